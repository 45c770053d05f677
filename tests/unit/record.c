/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/record.c - recordings: what replays comes to the same, what is damaged does no harm.
 *
 *   1. A run           random calls of every kind on the fake embedder, recorded into memory
 *   2. Replays         the same results and the same end, in every configuration
 *   3. Differences     found where they are
 *   4. Damage          truncation, flips, recordings made up to hurt
 *   5. Full disks      end the recording, not the run
 *   6. The digest
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "record/codec.h"
#include "tests/lib/fake.h"

/* ---- 1. A run ------------------------------------------------------------------------------- */

enum { FRAMES = 16, DIR = 0x1000 };

struct run {
	struct fake *f;
	struct recorder *recorder;
	uint64_t rng;
	uint64_t results;          /* what the calls came to, in one number */
	uint64_t digest;           /* at the end */
	struct um_stats stats;
};

static uint32_t roll(struct run *r, uint32_t n)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return (uint32_t)((r->rng >> 20) % n);
}

static uint32_t some_index(struct run *r)
{
	uint32_t i = roll(r, 8);

	return i < 7 ? i : 1023;
}

static uint32_t some_gva(struct run *r)
{
	return some_index(r) << 22 | some_index(r) << 12 | some_index(r) << 2;
}

static uint32_t some_entry(struct run *r)
{
	return roll(r, FRAMES + 2) << 12 | (roll(r, 512) & (roll(r, 3) ? ~0x80u : ~0u)) | !!roll(r, 4);
}

static void came_to(struct run *r, uint64_t result)
{
	r->results = (r->results ^ result) * UINT64_C(0x100000001B3);
}

static void access_memory(struct run *r)
{
	uint32_t gva = some_gva(r);
	struct fake_access a = roll(r, 3) ? fake_access(r->f, gva, roll(r, 4) * 2)
	                                  : fake_store(r->f, gva, some_entry(r));

	came_to(r, (uint64_t)a.result << 8 | a.error);
	if (a.result == UM_OK || a.result == UM_TRACKED)
		came_to(r, a.gpa ^ a.hfn << 32);
}

static void window_call(struct run *r)
{
	struct um *um = r->f->um;

	switch (roll(r, 4)) {
	case 0: came_to(r, um_window_reserve(um, 0xFF800000u, 0x800000)); break;
	case 1: came_to(r, um_window_enter(um, roll(r, 3))); break;
	default:
		came_to(r, um_window_map(um, roll(r, 3), 0xFF800000u + (roll(r, 600) << 12), roll(r, 1000),
		                         roll(r, 3)));
	}
}

static void rare_call(struct run *r)
{
	struct um *um = r->f->um;

	switch (roll(r, 8)) {
	case 0: fake_set_mode(r->f, roll(r, 16), roll(r, FRAMES) << 12); break;
	case 1: came_to(r, um_set_user_end(um, (um_gva)some_index(r) << 22)); break;
	case 2: came_to(r, um_set_learn(um, (enum um_learn)roll(r, 4))); break;
	case 3: came_to(r, um_shrink(um, roll(r, 6))); break;
	case 4: came_to(r, um_set_budget(um, 6 + roll(r, 20))); break;
	case 5: um_flush_all(um); break;
	case 6: um_flush_user(um); break;
	default: window_call(r); break;
	}
}

static void step(struct run *r)
{
	struct fake *f = r->f;
	uint32_t what = roll(r, 100), at = (roll(r, FRAMES) << 12) + 4 * some_index(r);

	if (what < 55)
		access_memory(r);
	else if (what < 65)
		fake_poke(f, at, some_entry(r));
	else if (what < 75)
		came_to(r, um_set_pte(f->um, roll(r, FRAMES) << 12, some_gva(r), some_entry(r)));
	else if (what < 78)
		came_to(r, um_set_pde(f->um, roll(r, FRAMES) << 12, some_index(r)));
	else if (what < 86)
		fake_switch(f, roll(r, FRAMES + 1) << 12 | roll(r, 2) << 3);
	else if (what < 89)
		um_flush_page(f->um, some_gva(r));
	else if (what < 92)
		came_to(r, um_pin_page(f->um, some_gva(r)));
	else if (what < 94)
		um_forget_frame(f->um, roll(r, FRAMES + 1));
	else
		rare_call(r);
}

struct how {
	enum um_learn learn;
	uint32_t options;
	uint64_t seed;
	unsigned steps;
	unsigned fail_every;
	bool tagged;               /* the hardware keeps many roots: recorded as if it did not */
};

static void invalidate_root(void *user, uint32_t root, um_gva first, um_gva last)
{
	(void)user, (void)root, (void)first, (void)last;
}

static void root_switched(void *user, uint32_t root)
{
	(void)user, (void)root;
}

static const struct um_ops tagged = { .invalidate_root = invalidate_root, .root_switched = root_switched };

/* The fake's core once more, with a recorder between the two. */
static void put_between(struct run *r, FILE *to)
{
	struct um_config config = r->f->config;

	um_destroy(r->f->um);
	memset(r->f->arena, 0, um_size(&config));
	r->recorder = recorder_new(to, &config);
	assert_non_null(r->recorder);
	assert_int_equal(um_init(r->f->arena, &config, &r->f->um), UM_OK);
}

/* to: the recording, or NULL.  The error that ended it. */
static int make_run(struct run *r, const struct how *how, FILE *to)
{
	int error = 0;

	memset(r, 0, sizeof *r);
	r->rng = how->seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
	r->f = fake_new_tagged(FRAMES, how->learn, how->options, 24, 4, &um_format_i386,
	                       how->tagged ? &tagged : NULL, r);
	if (to)
		put_between(r, to);
	for (uint32_t i = 0; i < 8 * FRAMES; i++)
		fake_quiet(r->f, (i / 8 << 12) + 4 * (i % 8 < 7 ? i % 8 : 1023), some_entry(r));
	r->f->fail_every = how->fail_every;
	r->f->rom_from = 3, r->f->rom_to = 4;
	fake_set_mode(r->f, REF_PG | REF_WP, DIR);
	for (unsigned i = 0; i < how->steps; i++) {
		step(r);
		assert_null(r->f->broken);
	}
	r->digest = um_digest(r->f->um);
	um_get_stats(r->f->um, &r->stats);
	assert_int_equal(um_audit(r->f->um).invariant, 0);
	if (to) {
		recorder_finish(r->recorder, r->f->um);
		error = recorder_error(r->recorder, NULL);
	}
	assert_null(fake_free(r->f));
	if (to)
		recorder_free(r->recorder);
	return error;
}

struct recording { char *bytes; size_t length; };

static struct recording record(struct run *r, const struct how *how)
{
	struct recording rec = { NULL, 0 };
	FILE *to = open_memstream(&rec.bytes, &rec.length);

	assert_non_null(to);
	assert_int_equal(make_run(r, how, to), 0);
	fclose(to);
	return rec;
}

static struct replay replay(const char *bytes, size_t length)
{
	struct replay out;
	FILE *from = length ? fmemopen((void *)(uintptr_t)bytes, length, "r") : fopen("/dev/null", "r");

	assert_non_null(from);
	replay_run(from, &out);
	fclose(from);
	if (out.end != REPLAY_SAME && (!out.text[0] || strchr(out.text, '\n')))
		fail_msg("not one line: '%s'", out.text);
	return out;
}

/* ---- 2. Replays ----------------------------------------------------------------------------- */

static void same_again(const struct how *how)
{
	struct run plain, recorded;
	struct recording rec = record(&recorded, how);
	struct replay out = replay(rec.bytes, rec.length);

	if (out.end != REPLAY_SAME)
		fail_msg("learn %d options %x seed %" PRIu64 ": %s", how->learn, how->options, how->seed,
		         out.text);
	assert_memory_equal(&out.stats, &recorded.stats, sizeof out.stats);
	assert_int_equal(out.bytes, rec.length);
	assert_true(out.operations > how->steps / 2);
	for (unsigned kind = 1; kind <= UM_CALL_SET_BUDGET; kind++)
		if (how->steps >= 5000 && !out.count[kind])
			fail_msg("no call of %s was made", record_kind_name(kind));
	/* Being recorded changes nothing. */
	make_run(&plain, how, NULL);
	assert_int_equal(plain.results, recorded.results);
	assert_int_equal(plain.digest, recorded.digest);
	assert_memory_equal(&plain.stats, &recorded.stats, sizeof plain.stats);
	free(rec.bytes);
}

static void every_run_replays_to_the_same(void **state)
{
	static const uint32_t options[] = { UM_OPT_ALL, 0, UM_OPT_SHARE | UM_OPT_UNSYNC };

	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++)
		for (unsigned o = 0; o < 3; o++)
			same_again(&(struct how){ seed % 2 ? UM_LEARN_TOLD : UM_LEARN_TRACKED, options[o],
			                          seed, 600, seed % 3 ? 0 : 3, seed % 4 < 2 });
	same_again(&(struct how){ UM_LEARN_TRACKED, UM_OPT_ALL, 99, 10000, 0, false });
	same_again(&(struct how){ UM_LEARN_TRACKED, UM_OPT_ALL, 101, 10000, 0, true });
	same_again(&(struct how){ UM_LEARN_TOLD, UM_OPT_ALL, 100, 1, 0, false });
}

/* ---- 3. Differences ------------------------------------------------------------------------- */

static struct recording small_recording(void)
{
	struct run r;

	return record(&r, &(struct how){ UM_LEARN_TOLD, UM_OPT_ALL, 6, 300, 0, false });
}

/* Change the first field of the n-th item of a kind; where it was. */
static uint64_t change_item(struct recording *rec, unsigned kind, unsigned n)
{
	struct record_reader *reader = malloc(sizeof *reader);
	FILE *from = fmemopen(rec->bytes, rec->length, "r");
	struct record_item item = { 0 };
	uint64_t at;

	assert_true(record_open(reader, from));
	while (n && record_next(reader, &item))
		n -= item.kind == kind;
	assert_int_equal(n, 0);
	at = reader->offset;
	rec->bytes[at + 1] = (char)(rec->bytes[at + 1] ^ (kind == UM_CALL_LOOKUP ? LOOKUP_EMPTY : 1));
	fclose(from);
	free(reader);
	return at;
}

static void a_difference_is_found_where_it_is(void **state)
{
	static const unsigned kinds[] = { RECORD_RESULT, RECORD_MAP, RECORD_PAGE, RECORD_UPDATE, UM_CALL_LOOKUP,
	                                  RECORD_END };
	(void)state;
	for (unsigned k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
		struct recording rec = small_recording();
		char where[40];
		uint64_t at = change_item(&rec, kinds[k], 1 + (kinds[k] == RECORD_RESULT));
		struct replay out = replay(rec.bytes, rec.length);

		snprintf(where, sizeof where, "(byte %" PRIu64 ")", at);
		if (out.end != REPLAY_DIFFERS || !strstr(out.text, where))
			fail_msg("%s changed at byte %" PRIu64 ": %d: %s", record_kind_name(kinds[k]), at,
			         out.end, out.text);
		free(rec.bytes);
	}
}

/* ---- 4. Damage ------------------------------------------------------------------------------ */

static void every_truncation_is_noticed(void **state)
{
	struct recording rec = small_recording();

	(void)state;
	for (size_t length = 0; length < rec.length; length += 1 + length / 512) {
		struct replay out = replay(rec.bytes, length);

		if (out.end != REPLAY_CUT && (length >= MAGIC_BYTES || out.end != REPLAY_BAD))
			fail_msg("%zu bytes of %zu: %d: %s", length, rec.length, out.end, out.text);
	}
	free(rec.bytes);
}

static void no_damage_does_harm(void **state)
{
	struct recording rec = small_recording();
	char *copy = malloc(rec.length + 64);
	const char *text = getenv("UMBRA_DAMAGES");
	unsigned damages = text ? (unsigned)strtoul(text, NULL, 0) : 1500, ends[REPLAY_HOST + 1] = { 0 };
	struct run r = { .rng = 0xDA3A6E };

	(void)state;
	for (unsigned n = 0; n < damages; n++) {
		size_t length = rec.length;

		memcpy(copy, rec.bytes, length);
		for (unsigned flips = 1 + roll(&r, 4); flips; flips--) {
			size_t at = roll(&r, 3) ? roll(&r, (uint32_t)length) : roll(&r, 40);

			copy[at] = (char)(roll(&r, 2) ? copy[at] ^ 1 << roll(&r, 8) : (int)roll(&r, 256));
		}
		if (roll(&r, 4) == 0)
			length = roll(&r, (uint32_t)length);
		if (roll(&r, 8) == 0) { /* a piece comes twice */
			size_t at = roll(&r, (uint32_t)length + 1), bytes = roll(&r, 64);

			memmove(copy + at + bytes, copy + at, length - at);
			length += bytes;
		}
		ends[replay(copy, length).end]++;
	}
	assert_true(ends[REPLAY_DIFFERS] && ends[REPLAY_CUT] && ends[REPLAY_BAD]);
	assert_true(ends[REPLAY_SAME] < damages / 4);
	free(copy);
	free(rec.bytes);
}

/* A recording by hand. */
struct hand { uint8_t bytes[4096]; size_t length; };

static void put_byte(struct hand *h, unsigned byte) { h->bytes[h->length++] = (uint8_t)byte; }
static void put_number(struct hand *h, uint64_t number)
{
	for (; number > 127; number >>= 7)
		put_byte(h, (unsigned)(number & 127) | 128);
	put_byte(h, (unsigned)number);
}
static void put_text(struct hand *h, const char *text)
{
	while (*text)
		put_byte(h, (uint8_t)*text++);
}

static struct hand header(uint64_t version, const char *format, uint64_t learn, uint64_t gfns, uint64_t tables)
{
	struct hand h = { .length = 0 };
	const uint64_t rest[] = { learn, UM_OPT_ALL, gfns, tables, 4, 8, 0 };

	put_text(&h, RECORD_MAGIC);
	put_number(&h, version);
	put_number(&h, strlen(format));
	put_text(&h, format);
	for (unsigned i = 0; i < 7; i++)
		put_number(&h, rest[i]);
	return h;
}

static void refused(const char *what, const struct hand *h, enum replay_end end, const char *word)
{
	struct timespec before, after;
	struct replay out;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	out = replay((const char *)h->bytes, h->length);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	if (out.end != end || !strstr(out.text, word))
		fail_msg("%s: %d: %s", what, out.end, out.text);
	if (after.tv_sec - before.tv_sec > 20)
		fail_msg("%s: took %ld s", what, (long)(after.tv_sec - before.tv_sec));
}

static void bad_headers_are_refused(void **state)
{
	const char *i386 = um_format_i386.name;
	struct hand h = { .length = 0 };

	(void)state;
	refused("nothing", &h, REPLAY_BAD, "empty");
	put_text(&h, "#!/bin/sh\n");
	refused("a script", &h, REPLAY_BAD, "not a recording");
	h = header(2, i386, 0, 64, 16);
	refused("version", &h, REPLAY_BAD, "another version");
	h = header(1, "ia64", 0, 64, 16);
	refused("format", &h, REPLAY_BAD, "format");
	h = header(1, "a name that is far too long for it", 0, 64, 16);
	refused("name", &h, REPLAY_BAD, "too long");
	h = header(1, i386, 7, 64, 16);
	refused("learn", &h, REPLAY_BAD, "configuration");
	h = header(1, i386, 0, UINT64_C(1) << 40, 16);
	refused("frames", &h, REPLAY_BAD, "configuration");
	h = header(1, i386, 0, 64, UINT64_C(1) << 40);
	refused("tables", &h, REPLAY_BAD, "out of range");
	h = header(1, i386, 0, 64, 16);
	refused("no items", &h, REPLAY_CUT, "cut off");
}

static void made_up_recordings_do_no_harm(void **state)
{
	const char *i386 = um_format_i386.name;
	struct hand h;

	(void)state;
	h = header(1, i386, 0, 64, 16);
	put_byte(&h, 31);
	refused("unknown kind", &h, REPLAY_BAD, "unknown kind");
	h = header(1, i386, 0, 64, 16);
	put_byte(&h, RECORD_READ), put_number(&h, 0), put_number(&h, 0);
	refused("an answer without a call", &h, REPLAY_BAD, "where a call is due");
	h = header(1, i386, 0, 64, 16);
	put_byte(&h, UM_CALL_SHRINK);
	for (unsigned i = 0; i < 12; i++)
		put_byte(&h, 255);
	refused("a number without end", &h, REPLAY_BAD, "64 bits");
	h = header(1, i386, 0, 64, 16);
	put_byte(&h, UM_CALL_WINDOW_ENTER), put_number(&h, UINT64_C(1) << 32);
	refused("an argument that would be cut", &h, REPLAY_BAD, "out of range");
	h = header(1, i386, 0, 64, 16);
	put_byte(&h, RECORD_AUDIT);
	put_byte(&h, RECORD_RESULT), put_number(&h, 0), put_number(&h, 0), put_number(&h, 0);
	put_byte(&h, RECORD_AUDIT);
	refused("two audits", &h, REPLAY_BAD, "between the audit and the end");
	h.length--;
	put_byte(&h, RECORD_END), put_number(&h, 0), put_number(&h, 1000000);
	refused("a million statistics", &h, REPLAY_BAD, "too many statistics");
	/* The largest guest, written from end to end with every few bytes. */
	h = header(1, i386, 0, 1 << 24, 16);
	while (h.length < sizeof h.bytes - 32) {
		put_byte(&h, UM_CALL_GUEST_WROTE), put_number(&h, 0), put_number(&h, UINT64_C(1) << 36);
		put_byte(&h, RECORD_RESULT), put_number(&h, 0), put_number(&h, 0), put_number(&h, 0);
	}
	refused("memory written all the time", &h, REPLAY_BAD, "more memory is written");
}

/* ---- 5. Full disks -------------------------------------------------------------------------- */

struct disk { size_t room; };

static ssize_t write_to_disk(void *cookie, const char *bytes, size_t count)
{
	struct disk *disk = cookie;

	(void)bytes;
	if (disk->room < count) {
		disk->room = 0;
		errno = ENOSPC;
		return 0;
	}
	disk->room -= count;
	return (ssize_t)count;
}

static void a_full_disk_ends_the_recording_only(void **state)
{
	static const size_t rooms[] = { 0, 70000, 140000 };
	struct how how = { UM_LEARN_TRACKED, UM_OPT_ALL, 8, 20000, 0, false };
	struct run plain, recorded;

	(void)state;
	make_run(&plain, &how, NULL);
	for (unsigned i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
		struct disk disk = { rooms[i] };
		FILE *to = fopencookie(&disk, "w", (cookie_io_functions_t){ .write = write_to_disk });

		setvbuf(to, NULL, _IONBF, 0);
		assert_int_equal(make_run(&recorded, &how, to), ENOSPC);
		fclose(to);
		assert_int_equal(recorded.results, plain.results);
		assert_int_equal(recorded.digest, plain.digest);
	}
}

/* ---- 6. The digest -------------------------------------------------------------------------- */

static uint64_t digest_after(const uint32_t *gvas, unsigned count, uint32_t access)
{
	struct fake *f = fake_new(64, UM_LEARN_TRACKED, UM_OPT_SHARE, 16, 4);
	uint64_t digest;

	fake_poke(f, DIR, 0x2067);
	fake_poke(f, DIR + 4, 0x3067);
	for (uint32_t i = 0; i < 8; i++) {
		fake_poke(f, 0x2000 + 4 * i, (16 + i) << 12 | 0x67);
		fake_poke(f, 0x3000 + 4 * i, (32 + i) << 12 | 0x67);
	}
	fake_set_mode(f, REF_PG | REF_WP, DIR);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(fake_access(f, gvas[i], access).result, UM_OK);
	digest = um_digest(f->um);
	assert_null(fake_free(f));
	return digest;
}

static void the_digest_tells_what_is_cached(void **state)
{
	static const uint32_t one[] = { 0x1000, 0x400000, 0x2000 }, other[] = { 0x400000, 0x2000, 0x1000 };
	static const uint32_t third[] = { 0x1000, 0x400000, 0x3000 };

	(void)state;
	assert_int_equal(digest_after(one, 3, UM_USER), digest_after(one, 3, UM_USER));
	/* Tables made in another order, with other numbers: the same translations. */
	assert_int_equal(digest_after(one, 3, UM_USER), digest_after(other, 3, UM_USER));
	assert_int_not_equal(digest_after(one, 3, UM_USER), digest_after(third, 3, UM_USER));
	assert_int_not_equal(digest_after(one, 3, UM_USER), digest_after(one, 2, UM_USER));
	assert_int_not_equal(digest_after(one, 0, UM_USER), digest_after(one, 1, UM_USER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_run_replays_to_the_same),
		cmocka_unit_test(a_difference_is_found_where_it_is),
		cmocka_unit_test(every_truncation_is_noticed),
		cmocka_unit_test(no_damage_does_harm),
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(made_up_recordings_do_no_harm),
		cmocka_unit_test(a_full_disk_ends_the_recording_only),
		cmocka_unit_test(the_digest_tells_what_is_cached),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
