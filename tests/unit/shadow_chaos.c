/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/shadow_chaos.c - guests whose memory is random words: every frame is directory, table
 * and data at once.
 *
 *   1. The guest       16 frames; entries lead anywhere, past the end of memory too
 *   2. The judge       tracked mode: each access, all of memory, and all that the hardware holds
 *   3. Runs            UMBRA_CHAOS_SEEDS=n sets the guests of each run (default 100)
 *
 * In told mode such a guest keeps none of its promises: the core must stop it or go on, and stay
 * whole.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/fake.h"

/* ---- 1. The guest --------------------------------------------------------------------------- */

enum { FRAMES = 16, WORDS = FRAMES * 1024, STEPS = 250 };

struct chaos {
	struct fake *f;
	uint64_t rng;
	uint32_t expected[WORDS]; /* memory as it must be */
};

static uint32_t roll(struct chaos *c, uint32_t n)
{
	c->rng ^= c->rng << 13;
	c->rng ^= c->rng >> 7;
	c->rng ^= c->rng << 17;
	return (uint32_t)((c->rng >> 20) % n);
}

/* Few indices, so that walks meet; the first words of each frame and the last. */
static uint32_t some_index(struct chaos *c)
{
	uint32_t i = roll(c, 8);

	return i < 7 ? i : 1023;
}

static uint32_t some_gva(struct chaos *c)
{
	return some_index(c) << 22 | some_index(c) << 12 | some_index(c) << 2;
}

static uint32_t some_entry(struct chaos *c)
{
	uint32_t flags = roll(c, 512), frame = roll(c, FRAMES + 2);

	if (roll(c, 4))
		flags |= 1;
	if (roll(c, 3))
		flags &= ~0x80u;
	if (flags & 0x80 && roll(c, 2))
		frame = roll(c, 2) << 10; /* a large page that begins at 0, or nowhere */
	return frame << 12 | flags;
}

static void fill_memory(struct chaos *c)
{
	for (uint32_t frame = 0; frame < FRAMES; frame++)
		for (uint32_t i = 0; i < 8; i++) {
			uint32_t at = frame * 1024 + (i < 7 ? i : 1023);

			c->expected[at] = some_entry(c);
			fake_poke(c->f, 4 * at, c->expected[at]);
		}
}

/* ---- 2. The judge --------------------------------------------------------------------------- */

static void check_memory(const struct chaos *c)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (fake_read(c->f, 4 * i) != c->expected[i])
			fail_msg("word %x is %x, must be %x", 4 * i, fake_read(c->f, 4 * i), c->expected[i]);
}

static void check_hardware(const struct chaos *c)
{
	struct fake *f = c->f;

	for (unsigned i = 0; i < FAKE_TLB; i++) {
		const struct fake_tlb_entry *e = &f->tlb[i];

		/* Each right it holds, alone and with the others. */
		for (unsigned access = 0; e->valid && access <= (UM_WRITE | UM_USER); access += 2) {
			struct ref_walk r = ref_walk(fake_ref_read, f, f->mode, f->cr3, e->page, access);

			if ((access & ~e->rights) == 0 && (!r.ok || r.gpa != e->gpa))
				fail_msg("hardware holds %x -> %" PRIx64 " rights %x", e->page, e->gpa, e->rights);
		}
	}
}

/* What the walk and the write do to memory; a walk that meets one entry twice sets all its bits. */
static void carry_out(struct chaos *c, const struct ref_walk *r)
{
	for (unsigned i = 0; r->ok && i < r->entries; i++)
		c->expected[r->entry_gpa[i] / 4] |= r->after[i] & 0x60;
}

static void access_memory(struct chaos *c)
{
	struct fake *f = c->f;
	uint32_t gva = some_gva(c), value = some_entry(c);
	unsigned access = roll(c, 4) * 2;
	bool store = access == REF_WRITE;
	struct ref_walk want = ref_walk(fake_ref_read, f, f->mode, f->cr3, gva, access);
	struct fake_access got;
	enum um_result result = !want.ok ? UM_FAULT : want.gpa / 4096 >= FRAMES ? UM_MMIO : UM_OK;

	carry_out(c, &want);
	if (store && result == UM_OK)
		c->expected[want.gpa / 4] = value;
	got = store ? fake_store(f, gva, value) : fake_access(f, gva, access);
	if ((access & REF_WRITE) && got.result == UM_TRACKED)
		got.result = UM_OK;
	if (got.result != result || (result == UM_FAULT ? got.error != want.error : got.gpa != want.gpa))
		fail_msg("gva %x access %x mode %x cr3 %x: got %d error %x gpa %" PRIx64 ", want %d %x %" PRIx64,
		         gva, access, f->mode, f->cr3, got.result, got.error, got.gpa, result, want.error,
		         want.gpa);
}

static void audit(const struct fake *f)
{
	struct um_violation v = um_audit(f->um);

	if (v.invariant)
		fail_msg("invariant %d: %s (gva %" PRIx64 " gfn %" PRIx64 " spte %" PRIx64 " gpte %" PRIx64 ")",
		         v.invariant, v.text, v.gva, v.gfn, v.spte, v.gpte);
	if (f->broken)
		fail_msg("%s", f->broken);
}

/* ---- 3. Runs -------------------------------------------------------------------------------- */

static uint32_t some_mode(struct chaos *c)
{
	return (roll(c, 6) ? REF_PG : 0u) | (roll(c, 2) ? REF_WP : 0u) | (roll(c, 2) ? REF_PSE : 0u);
}

/* What both kinds of guest and their host do. */
static void step_common(struct chaos *c)
{
	struct fake *f = c->f;

	switch (roll(c, 8)) {
	case 0:
	case 1: fake_switch(f, roll(c, FRAMES + 1) << 12); break;
	case 2: fake_set_mode(f, some_mode(c), roll(c, FRAMES) << 12); break;
	case 3: um_forget_frame(f->um, roll(c, FRAMES)); break;
	case 4: um_shrink(f->um, roll(c, 4)); break;
	case 5: um_flush_page(f->um, some_gva(c)); break;
	case 6: um_flush_user(f->um); break;
	default:
		if (roll(c, 4) == 0)
			um_flush_all(f->um);
	}
}

static void step_tracked(struct chaos *c)
{
	uint32_t what = roll(c, 100), at = roll(c, FRAMES) * 1024 + some_index(c);

	if (what < 70) {
		access_memory(c);
	} else if (what < 80) {
		c->expected[at] = some_entry(c);
		fake_poke(c->f, 4 * at, c->expected[at]);
	} else {
		step_common(c);
	}
}

/* Unsync tables may lag: a burst of stores that nobody judges, then a flush, then all must be
 * right. */
static void step_unsync(struct chaos *c)
{
	for (unsigned n = roll(c, 12); n > 0; n--)
		fake_store(c->f, some_gva(c), some_entry(c));
	fake_switch(c->f, c->f->cr3);
	memcpy(c->expected, c->f->memory, sizeof(c->expected));
	check_hardware(c);
	step_tracked(c);
}

static void step_told(struct chaos *c)
{
	struct fake *f = c->f;
	uint32_t what = roll(c, 100), at = roll(c, FRAMES) * 1024 + some_index(c);
	uint32_t root = roll(c, FRAMES + 1) << 12;

	if (what < 50)
		fake_access(f, some_gva(c), roll(c, 4) * 2);
	else if (what < 60)
		fake_quiet(f, 4 * at, some_entry(c));
	else if (what < 75)
		um_set_pte(f->um, root, some_gva(c), some_entry(c));
	else if (what < 80)
		um_set_pde(f->um, root, roll(c, 2) ? some_index(c) : roll(c, 0xFFFFFFFF));
	else if (what < 82)
		um_set_user_end(f->um, (um_gva)some_index(c) << 22 | (roll(c, 2) ? 0x5000 : 0));
	else if (what < 85)
		um_pin_page(f->um, some_gva(c));
	else
		step_common(c);
}

enum { EITHER = -1 }; /* now told, now tracked: nothing of the one may be left in the other */

static void change_learn(struct chaos *c, enum um_learn *learn)
{
	struct um_stats s;

	*learn = *learn == UM_LEARN_TOLD ? UM_LEARN_TRACKED : UM_LEARN_TOLD;
	assert_int_equal(um_set_learn(c->f->um, *learn), UM_OK);
	audit(c->f);
	um_get_stats(c->f->um, &s);
	assert_int_equal(s.tables + s.entries, 0);
	assert_int_equal(c->f->gets, c->f->puts);
	for (um_gfn gfn = 0; gfn < FRAMES; gfn++)
		assert_false(um_is_tracked(c->f->um, gfn));
	for (unsigned i = 0; i < FAKE_TLB; i++)
		assert_false(c->f->tlb[i].valid);
	memcpy(c->expected, c->f->memory, sizeof(c->expected));
}

static void run(int which, uint32_t options, uint32_t tables, uint32_t roots)
{
	const char *text = getenv("UMBRA_CHAOS_SEEDS");
	unsigned seeds = text ? (unsigned)strtoul(text, NULL, 0) : 100;

	for (unsigned seed = 1; seed <= seeds; seed++) {
		struct chaos *c = calloc(1, sizeof(*c));
		c->rng = seed * UINT64_C(0x9E3779B97F4A7C15) ^ options;
		enum um_learn learn = which == UM_LEARN_TOLD ? UM_LEARN_TOLD : UM_LEARN_TRACKED;

		c->f = fake_new(FRAMES, learn, options, tables, roots);
		fill_memory(c);
		fake_set_mode(c->f, some_mode(c) | REF_PG, roll(c, FRAMES) << 12);
		for (unsigned i = 0; i < STEPS; i++) {
			if (which == EITHER && roll(c, 20) == 0)
				change_learn(c, &learn);
			if (learn == UM_LEARN_TOLD) {
				step_told(c);
			} else {
				(options & UM_OPT_UNSYNC ? step_unsync : step_tracked)(c);
				check_memory(c);
				if (i % 8 == 0 && !(options & UM_OPT_UNSYNC))
					check_hardware(c);
			}
			if (i % 4 == 0)
				audit(c->f);
		}
		assert_null(fake_free(c->f));
		free(c);
	}
}

#define RUN(NAME, ...) static void NAME(void **state) { (void)state; run(__VA_ARGS__); }
#define IN_STEP (UM_OPT_ALL & ~(unsigned)UM_OPT_UNSYNC)
RUN(tracked_with_optimisations, UM_LEARN_TRACKED, IN_STEP, 64, 16)
RUN(tracked_without, UM_LEARN_TRACKED, 0, 64, 16)
RUN(tracked_with_least_memory, UM_LEARN_TRACKED, IN_STEP, UM_MIN_TABLES, 1)
RUN(tracked_with_unsync, UM_LEARN_TRACKED, UM_OPT_ALL, 64, 16)
RUN(told_with_optimisations, UM_LEARN_TOLD, UM_OPT_ALL, 64, 16)
RUN(told_without, UM_LEARN_TOLD, 0, 64, 16)
RUN(told_with_least_memory, UM_LEARN_TOLD, UM_OPT_ALL, UM_MIN_TABLES, 1)
RUN(changing_with_optimisations, EITHER, IN_STEP, 64, 16)
RUN(changing_without, EITHER, 0, 64, 16)
RUN(changing_with_unsync, EITHER, UM_OPT_ALL, UM_MIN_TABLES, 2)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tracked_with_optimisations),
		cmocka_unit_test(tracked_without),
		cmocka_unit_test(tracked_with_least_memory),
		cmocka_unit_test(tracked_with_unsync),
		cmocka_unit_test(told_with_optimisations),
		cmocka_unit_test(told_without),
		cmocka_unit_test(told_with_least_memory),
		cmocka_unit_test(changing_with_optimisations),
		cmocka_unit_test(changing_without),
		cmocka_unit_test(changing_with_unsync),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("chaos", tests, NULL, NULL);
}
