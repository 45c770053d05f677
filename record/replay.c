/* SPDX-License-Identifier: MIT */
/*
 * record/replay.c - a recording on the core alone: no guest, no memory of one, no hardware.
 *
 *   1. The run         what is read next, and how it can go wrong
 *   2. Answers         what the core asks is in the recording, or the run ends
 *   3. Notices         what it tells is compared by its digest
 *   4. Calls           made as recorded, results compared
 *   5. The end         audit, digest, statistics
 *   6. replay_run
 *
 * After the first difference the core gets refusals only, so that the call under way comes to its
 * end; nothing more is asked of the recording.
 *
 * A recording is untrusted.  What it can make us do is bounded: memory by TABLES_HELD and the
 * core's own bounds, time by a few microseconds a byte (WORK_BYTE).
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "record/notice.h"

enum {
	/* 320 MiB: a recording of some bytes must not make us take gigabytes. */
	TABLES_HELD = 16384,
	/* um_guest_wrote() costs a step a page: pages for each byte of the recording, ... */
	WORK_BYTE = 4096,
	/* ... and at first: loaders write all of memory. */
	WORK_START = 1 << 24,
};

/* ---- 1. The run ----------------------------------------------------------------------------- */

struct run {
	struct record_reader in;
	struct replay *out;
	struct um *um;
	struct record_item call; /* under way */
	bool over;               /* out->end is decided */
	uint64_t told;
	uint64_t work;           /* pages written, in all */
	uint32_t held;           /* tables the core has */
	uint32_t spares;
	void *spare[64];         /* given back, handed out again first */
};

__attribute__((format(printf, 3, 4)))
static void end_run(struct run *run, enum replay_end end, const char *format, ...)
{
	struct replay *out = run->out;
	va_list list;
	int used;

	if (run->over)
		return;
	run->over = true;
	out->end = end;
	used = 0;
	if (run->in.offset) /* else the file is no recording at all */
		used = snprintf(out->text, sizeof out->text, "operation %" PRIu64 " (byte %" PRIu64 "): ",
		                out->operations, run->in.offset);
	va_start(list, format);
	vsnprintf(out->text + used, sizeof out->text - (size_t)used, format, list);
	va_end(list);
}

static void differ(struct run *run, const char *what, const struct record_item *here,
                   const struct record_item *there)
{
	char call[120], a[120], b[120];

	record_describe(&run->call, call, sizeof call);
	record_describe(here, a, sizeof a);
	record_describe(there, b, sizeof b);
	end_run(run, REPLAY_DIFFERS, "%s: %s %s, recorded was %s", call, what, a, b);
}

static void end_by_reader(struct run *run)
{
	static const enum replay_end ends[] = {
		[RECORD_FINE] = REPLAY_BAD, [RECORD_CUT] = REPLAY_CUT, [RECORD_BAD] = REPLAY_BAD,
		[RECORD_ERROR] = REPLAY_HOST,
	};

	if (run->in.problem == RECORD_ERROR)
		end_run(run, REPLAY_HOST, "%s: %s", run->in.text, strerror(run->in.error));
	else
		end_run(run, ends[run->in.problem], "%s",
		        run->in.text ? run->in.text : "ends in the middle of a call");
}

static bool next_item(struct run *run, struct record_item *item)
{
	if (run->over)
		return false;
	if (!record_next(&run->in, item)) {
		end_by_reader(run);
		return false;
	}
	run->out->count[item->kind]++;
	return true;
}

/* ---- 2. Answers ----------------------------------------------------------------------------- */

/* The core asks about `place` (the first field): is the next item the answer?  `other`: the other
 * kind that it may be. */
static bool get_answer(struct run *run, unsigned kind, unsigned other, uint64_t place,
                       struct record_item *item)
{
	struct record_item asked = { .kind = kind, .field = { place } };

	if (!next_item(run, item))
		return false;
	if ((item->kind == kind || item->kind == other) && item->field[0] == place)
		return true;
	differ(run, "the core asks for", &asked, item);
	return false;
}

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct run *run = user;
	struct record_item item;

	if (!get_answer(run, RECORD_READ, RECORD_ABSENT, gpa, &item) || item.kind == RECORD_ABSENT)
		return false;
	*value = item.field[1];
	if (bytes == 8 || !(*value >> 32))
		return true;
	end_run(run, REPLAY_BAD, "an entry has more than 32 bits");
	return false;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct record_item item, mine = { RECORD_UPDATE, { gpa, old ^ value } };
	struct run *run = user;

	(void)bytes;
	if (!get_answer(run, RECORD_UPDATE, RECORD_UPDATE, gpa, &item))
		return false;
	mine.field[2] = item.field[2];
	if (item.field[1] != mine.field[1])
		differ(run, "the core asks for", &mine, &item);
	return item.field[2] && !run->over;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct run *run = user;
	struct record_item item, mine = { RECORD_PAGE, { gfn, (uint64_t)write << 2 } };

	if (!get_answer(run, RECORD_PAGE, RECORD_PAGE, gfn, &item))
		return UM_GRANT_MMIO;
	if (item.field[1] > 7) {
		end_run(run, REPLAY_BAD, "a page granted in no known way");
		return UM_GRANT_MMIO;
	}
	mine.field[1] |= item.field[1] & 3;
	mine.field[2] = *hfn = item.field[2];
	if (mine.field[1] != item.field[1])
		differ(run, "the core asks for", &mine, &item);
	return run->over ? UM_GRANT_MMIO : (enum um_grant)(item.field[1] & 3);
}

static void *get_table(void *user)
{
	struct run *run = user;
	struct record_item item;
	void *table;

	/* Its one field is the answer, not a place. */
	if (!next_item(run, &item))
		return NULL;
	if (item.kind != RECORD_TABLE) {
		differ(run, "the core asks for", &(struct record_item){ .kind = RECORD_TABLE }, &item);
		return NULL;
	}
	if (!item.field[0])
		return NULL;
	if (run->held == TABLES_HELD) {
		end_run(run, REPLAY_HOST, "more than %d shadow tables at a time", TABLES_HELD);
		return NULL;
	}
	table = run->spares ? run->spare[--run->spares] : aligned_alloc(UM_PAGE_SIZE, UM_TABLE_BYTES);
	if (!table)
		end_run(run, REPLAY_HOST, "the host has no memory for a shadow table");
	else
		run->held++;
	return table;
}

/* ---- 3. Notices ----------------------------------------------------------------------------- */

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	struct run *run = user;

	run->told = add_notice(run->told, NOTICE_PUT_PAGE + dirty, gfn, hfn);
}

static void put_table(void *user, void *table)
{
	struct run *run = user;

	run->told = add_notice(run->told, NOTICE_PUT_TABLE, 0, 0);
	run->held--;
	if (run->spares < sizeof run->spare / sizeof run->spare[0])
		run->spare[run->spares++] = table;
	else
		free(table);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	struct run *run = user;

	run->told = add_notice(run->told, NOTICE_INVALIDATE, first, last);
}

static void invalidate_all(void *user)
{
	struct run *run = user;

	run->told = add_notice(run->told, NOTICE_INVALIDATE_ALL, 0, 0);
}

static void invalidate_nonglobal(void *user)
{
	struct run *run = user;

	run->told = add_notice(run->told, NOTICE_INVALIDATE_NONGLOBAL, 0, 0);
}

static const struct um_ops replaying = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page,
	.put_page = put_page, .get_table = get_table, .put_table = put_table,
	.invalidate = invalidate, .invalidate_all = invalidate_all,
	.invalidate_nonglobal = invalidate_nonglobal,
};

/* ---- 4. Calls ------------------------------------------------------------------------------- */

static bool may_write(struct run *run, um_gpa gpa, uint64_t bytes)
{
	uint64_t end = run->in.config.max_gfn << UM_PAGE_SHIFT;

	/* As the core cuts it. */
	if (gpa < end)
		run->work += (bytes < end - gpa ? bytes : end - gpa) >> UM_PAGE_SHIFT;
	if (run->work <= WORK_START + run->in.offset * WORK_BYTE)
		return true;
	end_run(run, REPLAY_BAD, "more memory is written than any guest would");
	return false;
}

/* The arguments that are not 64 bits wide. */
static bool arguments_fit(struct run *run, const struct record_item *c)
{
	static const struct { uint8_t kind, field; } narrow[] = {
		{ UM_CALL_SET_MODE, 0 }, { UM_CALL_SET_LEARN, 0 }, { UM_CALL_DEMAND_PAGE, 1 },
		{ UM_CALL_WINDOW_MAP, 0 }, { UM_CALL_WINDOW_MAP, 3 }, { UM_CALL_WINDOW_ENTER, 0 },
		{ UM_CALL_SHRINK, 0 }, { UM_CALL_SET_BUDGET, 0 },
	};

	for (size_t i = 0; i < sizeof narrow / sizeof narrow[0]; i++)
		if (narrow[i].kind == c->kind && c->field[narrow[i].field] > INT32_MAX) {
			end_run(run, REPLAY_BAD, "an argument is out of range");
			return false;
		}
	return true;
}

/* Make the call; its result. */
static uint64_t make_call(struct run *run, const struct record_item *c, struct um_map *map)
{
	const uint64_t *a = c->field;
	struct um *um = run->um;

	switch (c->kind) {
	case UM_CALL_SET_MODE: um_set_mode(um, (uint32_t)a[0], a[1]); break;
	case UM_CALL_SWITCH_ROOT: um_switch_root(um, a[0]); break;
	case UM_CALL_SET_USER_END: return um_set_user_end(um, a[0]);
	case UM_CALL_SET_LEARN: return um_set_learn(um, (enum um_learn)a[0]);
	case UM_CALL_DEMAND_PAGE: return um_demand_page(um, a[0], (unsigned)a[1], map);
	case UM_CALL_PIN_PAGE: return um_pin_page(um, a[0]);
	case UM_CALL_SET_PTE: return um_set_pte(um, a[0], a[1], a[2]);
	case UM_CALL_SET_PDE: return um_set_pde(um, a[0], a[1]);
	case UM_CALL_GUEST_WROTE:
		if (may_write(run, a[0], a[1]))
			um_guest_wrote(um, a[0], a[1]);
		break;
	case UM_CALL_FLUSH_USER: um_flush_user(um); break;
	case UM_CALL_FLUSH_ALL: um_flush_all(um); break;
	case UM_CALL_FLUSH_PAGE: um_flush_page(um, a[0]); break;
	case UM_CALL_WINDOW_RESERVE: return um_window_reserve(um, a[0], a[1]);
	case UM_CALL_WINDOW_MAP: return um_window_map(um, (unsigned)a[0], a[1], a[2], (unsigned)a[3]);
	case UM_CALL_WINDOW_ENTER: return um_window_enter(um, (unsigned)a[0]);
	case UM_CALL_FORGET_FRAME: um_forget_frame(um, a[0]); break;
	case UM_CALL_SHRINK: return um_shrink(um, (uint32_t)a[0]);
	case UM_CALL_SET_BUDGET: return um_set_budget(um, (uint32_t)a[0]);
	default: end_run(run, REPLAY_BAD, "an answer where a call is due"); break;
	}
	return UM_OK;
}

static bool same_item(const struct record_item *a, const struct record_item *b)
{
	for (unsigned i = 0; i < RECORD_FIELDS; i++)
		if (a->field[i] != b->field[i])
			return false;
	return a->kind == b->kind;
}

static void replay_call(struct run *run)
{
	struct record_item mine, item;
	struct um_map map = { .gpa = 0 };
	uint64_t result;

	run->told = 0;
	if (!arguments_fit(run, &run->call))
		return;
	result = make_call(run, &run->call, &map);
	if (!next_item(run, &item))
		return;
	mine = record_result_item(result, run->told,
	                          run->call.kind == UM_CALL_DEMAND_PAGE ? &map : NULL);
	if (!same_item(&mine, &item))
		differ(run, "it comes to", &mine, &item);
}

static void replay_lookup(struct run *run)
{
	const uint64_t *a = run->call.field;
	unsigned access = (a[0] & LOOKUP_WRITE ? UM_WRITE : 0u) | (a[0] & LOOKUP_USER ? UM_USER : 0u) |
	                  (a[0] & LOOKUP_FETCH ? UM_FETCH : 0u);
	struct um_map map = { .gpa = 0 };
	um_gva gva = a[1] << UM_PAGE_SHIFT;
	enum um_result result = um_lookup(run->um, gva, access, &map);
	struct record_item mine = record_lookup_item(gva, access, result, &map);

	if (!same_item(&mine, &run->call))
		differ(run, "it comes to", &mine, &run->call);
}

/* ---- 5. The end ----------------------------------------------------------------------------- */

static void check_end(struct run *run, const struct record_item *end)
{
	enum { COUNT = sizeof(struct um_stats) / sizeof(uint64_t) };
	union { struct um_stats stats; uint64_t word[COUNT]; } mine;
	struct record_item here = *end;

	um_get_stats(run->um, &mine.stats);
	run->out->stats = mine.stats;
	here.field[0] = um_digest(run->um);
	run->call = *end;
	if (here.field[0] != end->field[0])
		differ(run, "the shadow is", &here, end);
	/* New statistics stand behind the old ones. */
	for (unsigned i = 0; i < COUNT && i < run->in.stats_count; i++)
		if (mine.word[i] != run->in.stats[i])
			end_run(run, REPLAY_DIFFERS, "end: statistic %u is %" PRIu64 ", recorded was %"
			        PRIu64, i, mine.word[i], run->in.stats[i]);
}

/* Once, and last: it looks at every frame. */
static void finish(struct run *run)
{
	struct record_item item, mine = { .kind = RECORD_RESULT };

	mine.field[0] = (uint64_t)um_audit(run->um).invariant;
	if (!next_item(run, &item))
		return;
	if (!same_item(&mine, &item)) {
		differ(run, "it comes to", &mine, &item);
		return;
	}
	if (!next_item(run, &item))
		return;
	if (item.kind == RECORD_END)
		check_end(run, &item);
	else
		end_run(run, REPLAY_BAD, "something between the audit and the end");
	run->over = true;
}

/* ---- 6. replay_run -------------------------------------------------------------------------- */

static void replay_items(struct run *run)
{
	while (next_item(run, &run->call)) {
		if (run->call.kind == RECORD_AUDIT) {
			finish(run);
			return;
		}
		run->out->operations++;
		if (run->call.kind == UM_CALL_LOOKUP)
			replay_lookup(run);
		else
			replay_call(run);
	}
}

static void replay_on(struct run *run)
{
	struct um_config config = run->in.config;
	size_t bytes;
	void *memory;

	config.ops = &replaying;
	config.user = run;
	bytes = um_size(&config);
	if (!bytes) {
		end_run(run, REPLAY_BAD, "the core refuses the recorded configuration");
		return;
	}
	/* Mapped, not allocated: what is recorded may be large, and little of it used. */
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	              -1, 0);
	if (memory == MAP_FAILED) {
		end_run(run, REPLAY_HOST, "the host has no memory for the shadow");
		return;
	}
	if (um_init(memory, &config, &run->um) == UM_OK) {
		replay_items(run);
		run->over = true;
		um_destroy(run->um);
	}
	munmap(memory, bytes);
	while (run->spares)
		free(run->spare[--run->spares]);
}

void replay_run(FILE *from, struct replay *out)
{
	struct run *run = calloc(1, sizeof *run);

	memset(out, 0, sizeof *out);
	if (!run) {
		out->end = REPLAY_HOST;
		snprintf(out->text, sizeof out->text, "the host has no memory");
		return;
	}
	run->out = out;
	rewind(from);
	if (record_open(&run->in, from))
		replay_on(run);
	else
		end_by_reader(run);
	out->config = run->in.config;
	out->bytes = run->in.consumed + run->in.at;
	free(run);
}
