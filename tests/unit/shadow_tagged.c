/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/shadow_tagged.c - hardware that keeps translations of many roots at once believes the core, and is never
 * left with one that the root's own shadow does not permit.
 *
 *   1. The hardware    for each root all that it was ever shown, and what is global once more, under no root
 *   2. The judge       looks into the shadow of every root, current or not, after every call
 *   3. The guest       memory of random words: tables shared, recursive, one under many addresses
 *   4. Runs            UMBRA_CHAOS_SEEDS=n sets the guests of each run (default 30)
 *   5. Exactness       who is told of what, one case each
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "shadow/core.h"
#include "tests/lib/fake.h"

enum { FRAMES = 16, STEPS = 250, ROOTS = 400, HELD = 4096, CALLS = 512, SOME_HFN = 0x7777 };

/* ---- 1. The hardware ------------------------------------------------------------------------ */

struct held {
	um_gva page;
	um_hfn hfn;
	uint8_t rights;
};

struct call {
	uint32_t root;
	um_gva first, last;
};

struct tagged {
	struct fake *f;
	uint64_t rng;
	struct held *by_root[ROOTS]; /* [0]: global ones */
	unsigned count[ROOTS];
	struct call call[CALLS];     /* the last ones */
	unsigned calls, switches;
	uint64_t kept, dropped;      /* of roots that were not current */
};

static void forget(struct tagged *t, uint32_t id, um_gva first, um_gva last)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->count[id]; i++) {
		const struct held *h = &t->by_root[id][i];

		if (h->page + 4095 < first || h->page > last)
			t->by_root[id][n++] = *h;
		else if (id && id != um_current_root(t->f->um))
			t->dropped++;
	}
	t->count[id] = n;
}

static void invalidate_root(void *user, uint32_t root, um_gva first, um_gva last)
{
	struct tagged *t = user;

	if (root >= ROOTS || first > last || last > t->f->um->end)
		fail_msg("told of root %u, %" PRIx64 " to %" PRIx64, root, first, last);
	t->call[t->calls++ % CALLS] = (struct call){ root, first, last };
	if (root)
		forget(t, root, first, last);
	for (uint32_t id = 1; !root && id < ROOTS; id++)
		forget(t, id, first, last);
	/* The whole of one root says nothing of what is global. */
	if (!root || first || last != t->f->um->end - 1)
		forget(t, 0, first, last);
}

static void root_switched(void *user, uint32_t root)
{
	struct tagged *t = user;

	assert_int_equal(root, um_current_root(t->f->um));
	t->switches++;
	if (root)
		t->kept += t->count[root];
}

static const struct um_ops hooks = { .invalidate_root = invalidate_root, .root_switched = root_switched };

static void hold(struct tagged *t, uint32_t id, um_gva page, um_hfn hfn, uint8_t rights)
{
	struct held *h;

	if (!t->by_root[id])
		t->by_root[id] = calloc(HELD, sizeof *h);
	h = t->by_root[id];
	for (unsigned i = 0; i < t->count[id]; i++)
		if (h[i].page == page) {
			h[i] = (struct held){ page, hfn, rights };
			return;
		}
	if (t->count[id] < HELD)
		h[t->count[id]++] = (struct held){ page, hfn, rights };
}

/* The leaf entry of any root for gva, 0: none. */
static uint64_t leaf_of(const struct um *um, uint32_t root, um_gva gva)
{
	const struct table *t = table_at(um, root);

	if (!t->spte || !is_live(um, t) || !(t->role & ROLE_ROOT))
		return 0;
	for (unsigned level = top_level(um); level > 0; level--) {
		uint64_t spte = t->spte[index_at(um, level, gva)];

		if (!(spte & SPTE_PRESENT))
			return 0;
		t = child_of(um, spte);
	}
	return t->spte[index_at(um, 0, gva)];
}

static bool show(void *arg, const struct um_leaf *leaf)
{
	struct tagged *t = arg;
	const struct um *um = t->f->um;

	hold(t, um->root, leaf->gva, leaf->hfn, leaf->rights);
	if ((leaf_of(um, um->root, leaf->gva) & SPTE_GLOBAL) && (um_mode(um) & UM_MODE_PGE))
		hold(t, 0, leaf->gva, leaf->hfn, leaf->rights);
	return true;
}

/* Everything that the current root permits. */
static void show_root(struct tagged *t)
{
	struct um *um = t->f->um;
	struct um_map map;

	um_visit(um, 0, show, t);
	for (um_gva gva = um->window_first; um->window && gva < um->window_first + 0x8000; gva += 0x1000)
		if (um_window_lookup(um, gva, &map) == UM_OK)
			hold(t, um->root, gva, map.hfn, map.rights);
}

/* ---- 2. The judge --------------------------------------------------------------------------- */

static bool permits(uint64_t spte, const struct held *h)
{
	return (spte & SPTE_PRESENT) && spte_frame(spte) == h->hfn && !(h->rights & ~spte);
}

/* A global one is good while any root would give it: each of them hears of its changes. */
static bool permits_somewhere(const struct um *um, const struct held *h)
{
	for (const struct table *root = next_root(um, NULL); root; root = next_root(um, root))
		if (permits(leaf_of(um, table_id(um, root), h->page), h))
			return true;
	return false;
}

static void judge(const struct tagged *t)
{
	const struct um *um = t->f->um;
	struct um_violation v = um_audit(um);

	if (v.invariant)
		fail_msg("invariant %d: %s (gva %" PRIx64 ")", v.invariant, v.text, v.gva);
	for (uint32_t id = 0; id < ROOTS && id <= um->max_tables; id++)
		for (unsigned i = 0; i < t->count[id]; i++) {
			const struct held *h = &t->by_root[id][i];

			if (id ? !permits(leaf_of(um, id, h->page), h) : !permits_somewhere(um, h))
				fail_msg("root %u (current %u) still holds %" PRIx64 " -> %" PRIx64 " rights %x", id,
				         um->root, h->page, h->hfn, h->rights);
		}
	if (t->f->broken)
		fail_msg("%s", t->f->broken);
}

static struct tagged *tagged_new(uint64_t frames, enum um_learn learn, uint32_t options, uint32_t tables,
                                 uint32_t roots, const struct um_format *format)
{
	struct tagged *t = calloc(1, sizeof *t);

	t->f = fake_new_tagged(frames, learn, options, tables, roots, format, &hooks, t);
	return t;
}

static void tagged_free(struct tagged *t)
{
	assert_null(fake_free(t->f));
	for (unsigned id = 0; id < ROOTS; id++)
		free(t->by_root[id]);
	free(t);
}

/* ---- 3. The guest --------------------------------------------------------------------------- */

static uint32_t roll(struct tagged *t, uint32_t n)
{
	t->rng ^= t->rng << 13;
	t->rng ^= t->rng >> 7;
	t->rng ^= t->rng << 17;
	return (uint32_t)((t->rng >> 20) % n);
}

static uint32_t some_index(struct tagged *t, unsigned bits)
{
	uint32_t i = roll(t, 8);

	return i < 7 ? i : (1u << bits) - 1;
}

static uint32_t some_gva(struct tagged *t)
{
	const struct um_format *fmt = t->f->config.format;
	uint32_t gva = roll(t, 1024) << 2;

	for (unsigned level = 0; level < fmt->levels; level++)
		gva |= some_index(t, fmt->level[level].index_bits) << fmt->level[level].shift;
	return gva;
}

static uint32_t some_entry(struct tagged *t)
{
	uint32_t flags = roll(t, 512), frame = roll(t, FRAMES + 1);

	if (roll(t, 4))
		flags |= 1;
	if (roll(t, 3))
		flags &= ~0x80u;
	if (flags & 0x80)
		frame = 0;
	return frame << 12 | flags;
}

static uint32_t some_word(struct tagged *t)
{
	return roll(t, FRAMES) * 4096 + 4 * some_index(t, roll(t, 2) ? 10 : 5);
}

static uint32_t some_mode(struct tagged *t)
{
	return (roll(t, 8) ? REF_PG : 0u) | (roll(t, 2) ? REF_WP : 0u) | (roll(t, 4) ? REF_PSE : 0u) |
	       (roll(t, 4) ? REF_PGE : 0u);
}

static void step_window(struct tagged *t)
{
	struct um *um = t->f->um;

	if (roll(t, 2))
		um_window_enter(um, roll(t, 3));
	else
		um_window_map(um, roll(t, 3), um->window_first + (roll(t, 8) << 12), SOME_HFN + roll(t, 4),
		              roll(t, 2) ? UM_WRITE : 0);
}

static void step(struct tagged *t, bool told)
{
	struct fake *f = t->f;
	uint32_t what = roll(t, 100);

	if (what < 45)
		fake_access(f, some_gva(t), roll(t, 4) * 2);
	else if (what < 55)
		fake_store(f, some_gva(t), some_entry(t));
	else if (what < 62)
		(told ? fake_quiet : fake_poke)(f, some_word(t), some_entry(t));
	else if (what < 85 && !told)
		fake_switch(f, roll(t, 5) << 12);
	else if (what < 72)
		um_set_pte(f->um, roll(t, 5) << 12, some_gva(t), some_entry(t));
	else if (what < 75)
		um_set_pde(f->um, roll(t, 5) << 12, some_index(t, 10));
	else if (what < 85)
		fake_switch(f, roll(t, 5) << 12);
	else if (what < 87)
		fake_set_mode(f, some_mode(t), roll(t, 5) << 12);
	else if (what < 91)
		um_forget_frame(f->um, roll(t, FRAMES));
	else if (what < 93)
		um_shrink(f->um, roll(t, 3));
	else if (what < 96)
		um_flush_page(f->um, some_gva(t));
	else if (what < 97)
		um_flush_user(f->um);
	else if (what < 98 && roll(t, 4) == 0)
		um_flush_all(f->um);
	else if (what < 99 && roll(t, 4) == 0)
		um_set_user_end(f->um, (um_gva)roll(t, 8) << 22);
	else if (f->um->window)
		step_window(t);
	else
		um_pin_page(f->um, some_gva(t));
}

/* ---- 4. Runs -------------------------------------------------------------------------------- */

enum { EITHER = -1, WINDOW = -2 };

/* Three levels of the same entries, so that a table may hang under tables that nothing leads to. */
static const struct um_format three_levels = {
	.name = "test", .levels = 3, .entry_bytes = 4, .frame_mask = 0xFFFFF000, .root_mask = 0xFFFFF000,
	.level = { { .shift = 12, .index_bits = 10 }, { .shift = 22, .index_bits = 5 }, { .shift = 27, .index_bits = 5 } },
};

static void run(int which, uint32_t options, uint32_t tables, uint32_t roots, const struct um_format *format)
{
	const char *text = getenv("UMBRA_CHAOS_SEEDS");
	unsigned seeds = text ? (unsigned)strtoul(text, NULL, 0) : 30;
	uint64_t kept = 0, dropped = 0;

	for (unsigned seed = 1; seed <= seeds; seed++) {
		bool told = which == UM_LEARN_TOLD || which == WINDOW;
		struct tagged *t = tagged_new(FRAMES, told ? UM_LEARN_TOLD : UM_LEARN_TRACKED, options, tables, roots,
		                              format);

		t->rng = seed * UINT64_C(0x9E3779B97F4A7C15) ^ options ^ tables;
		for (uint32_t frame = 0; frame < FRAMES; frame++)
			for (uint32_t i = 0; i < 8; i++)
				fake_quiet(t->f, frame * 4096 + 4 * (i < 7 ? i : 1023), some_entry(t));
		fake_set_mode(t->f, some_mode(t) | REF_PG, roll(t, 5) << 12);
		if (which == WINDOW)
			assert_int_equal(um_window_reserve(t->f->um, 0xFFC00000, 0x400000), UM_OK);
		for (unsigned i = 0; i < STEPS; i++) {
			if (which == EITHER && roll(t, 25) == 0)
				um_set_learn(t->f->um, (told = !told) ? UM_LEARN_TOLD : UM_LEARN_TRACKED);
			step(t, told);
			judge(t);
			show_root(t);
		}
		kept += t->kept;
		dropped += t->dropped;
		tagged_free(t);
	}
	if (roots > 1 && seeds >= 30 && (!kept || !dropped))
		fail_msg("kept %" PRIu64 ", dropped %" PRIu64 ": nothing was tested", kept, dropped);
}

#define RUN(NAME, ...) static void NAME(void **state) { (void)state; run(__VA_ARGS__); }
RUN(tracked_with_optimisations, UM_LEARN_TRACKED, UM_OPT_ALL, 64, 16, &um_format_i386)
RUN(tracked_without, UM_LEARN_TRACKED, 0, 64, 16, &um_format_i386)
RUN(tracked_with_least_memory, UM_LEARN_TRACKED, UM_OPT_ALL, UM_MIN_TABLES, 1, &um_format_i386)
RUN(tracked_with_few_roots, UM_LEARN_TRACKED, UM_OPT_ALL, 12, 3, &um_format_i386)
RUN(tracked_three_levels, UM_LEARN_TRACKED, UM_OPT_ALL, 64, 16, &three_levels)
RUN(tracked_three_levels_little_memory, UM_LEARN_TRACKED, UM_OPT_ALL, 12, 4, &three_levels)
RUN(told_with_optimisations, UM_LEARN_TOLD, UM_OPT_ALL, 64, 16, &um_format_i386)
RUN(told_without, UM_LEARN_TOLD, 0, 64, 16, &um_format_i386)
RUN(told_without_revalidation, UM_LEARN_TOLD, UM_OPT_ALL & ~(unsigned)UM_OPT_REVALIDATE, 12, 4, &um_format_i386)
RUN(told_three_levels, UM_LEARN_TOLD, UM_OPT_ALL, 64, 16, &three_levels)
RUN(told_with_a_window, WINDOW, UM_OPT_ALL, 64, 16, &um_format_i386)
RUN(changing, EITHER, UM_OPT_ALL, 32, 8, &um_format_i386)

/* ---- 5. Exactness --------------------------------------------------------------------------- */

#define PAGE(frame) ((uint32_t)(frame) << 12)
enum { RW = 0x67, GLOBAL = 0x100 };
#define KERNEL 0xC0000000u

/* `count` directories in frames 10 up, each with a table of its own (frame 300 up) for addresses from 0; all share the
 * table in frame 5 for those from KERNEL. */
static struct tagged *processes(unsigned count)
{
	struct tagged *t = tagged_new(1024, UM_LEARN_TRACKED, UM_OPT_ALL & ~(unsigned)UM_OPT_PREFETCH, 399, 128, &um_format_i386);

	for (unsigned i = 0; i < count; i++) {
		fake_quiet(t->f, pde_gpa(PAGE(10 + i), 0), PAGE(300 + i) | RW);
		fake_quiet(t->f, pde_gpa(PAGE(10 + i), KERNEL), PAGE(5) | RW);
		fake_quiet(t->f, pte_gpa(PAGE(300 + i), 0x1000), PAGE(700 + i) | RW);
	}
	fake_quiet(t->f, pte_gpa(PAGE(5), KERNEL), PAGE(6) | RW | GLOBAL);
	fake_set_mode(t->f, REF_PG | REF_WP | REF_PGE, PAGE(10));
	for (unsigned i = 0; i < count; i++) {
		fake_switch(t->f, PAGE(10 + i));
		assert_int_equal(fake_access(t->f, 0x1000, UM_WRITE | UM_USER).result, UM_OK);
		assert_int_equal(fake_access(t->f, KERNEL, UM_WRITE).result, UM_OK);
		show_root(t);
	}
	t->calls = 0;
	return t;
}

static bool was_told(const struct tagged *t, uint32_t root, um_gva first, um_gva last)
{
	for (unsigned i = 0; i < t->calls && i < CALLS; i++)
		if (t->call[i].root == root && t->call[i].first == first && t->call[i].last == last)
			return true;
	return false;
}

static uint32_t root_of(struct tagged *t, unsigned process)
{
	fake_switch(t->f, PAGE(10 + process));
	return um_current_root(t->f->um);
}

static void a_switch_keeps_what_is_held(void **state)
{
	struct tagged *t = processes(2);
	uint32_t a = root_of(t, 0), b = root_of(t, 1);

	(void)state;
	assert_int_not_equal(a, b);
	assert_int_equal(t->calls, 0);
	assert_int_equal(t->count[a], 2);
	assert_int_equal(t->count[b], 2);
	assert_int_equal(t->count[0], 1);
	fake_switch(t->f, PAGE(200));
	assert_int_equal(um_current_root(t->f->um), 0);
	assert_int_equal(um_mode(t->f->um), REF_PG | REF_WP | REF_PGE);
	judge(t);
	tagged_free(t);
}

static void a_root_that_is_not_current_is_told(void **state)
{
	struct tagged *t = processes(2);
	uint32_t a = root_of(t, 0);

	(void)state;
	root_of(t, 1);
	fake_poke(t->f, pte_gpa(PAGE(300), 0x1000), 0);
	assert_int_equal(t->calls, 1);
	assert_true(was_told(t, a, 0x1000, 0x1FFF));
	judge(t);
	tagged_free(t);
}

static void all_roots_that_share_a_table_are_told(void **state)
{
	struct tagged *t = processes(3);
	uint32_t a = root_of(t, 0), b = root_of(t, 1), c = root_of(t, 2);

	(void)state;
	fake_poke(t->f, pte_gpa(PAGE(5), KERNEL), PAGE(7) | RW | GLOBAL);
	assert_true(was_told(t, a, KERNEL, KERNEL + 4095));
	assert_true(was_told(t, b, KERNEL, KERNEL + 4095));
	assert_true(was_told(t, c, KERNEL, KERNEL + 4095));
	assert_int_equal(t->count[0], 0);
	judge(t);
	tagged_free(t);
}

/* Too many to name (REACH_MAX): every root, but that page alone. */
static void a_crowd_is_told_at_once(void **state)
{
	struct tagged *t = processes(100);
	uint32_t a = root_of(t, 0);

	(void)state;
	fake_poke(t->f, pte_gpa(PAGE(5), KERNEL), 0);
	assert_in_range(t->calls, 1, REACH_MAX + 1);
	assert_true(was_told(t, 0, KERNEL, KERNEL + 4095));
	assert_int_equal(t->count[a], 1);
	judge(t);
	tagged_free(t);
}

/* A process ends, its directory becomes something else: the others keep what is global. */
static void a_root_that_goes_leaves_the_others_their_own(void **state)
{
	struct tagged *t = processes(2);
	uint32_t a = root_of(t, 0), b = root_of(t, 1);

	(void)state;
	for (unsigned i = 0; i <= FLOOD_WRITES; i++)
		fake_poke(t->f, PAGE(10) + 0x800, i);
	assert_true(was_told(t, a, 0, UINT32_MAX));
	assert_false(was_told(t, a, KERNEL, KERNEL + 0x3FFFFF));
	assert_int_equal(t->count[a], 0);
	assert_int_equal(t->count[b], 2);
	assert_int_equal(t->count[0], 1);
	judge(t);
	/* The last one: nothing leads there any more. */
	fake_switch(t->f, PAGE(200));
	for (unsigned i = 0; i <= FLOOD_WRITES; i++)
		fake_poke(t->f, PAGE(11) + 0x800, i);
	assert_true(was_told(t, b, KERNEL, KERNEL + 0x3FFFFF));
	assert_int_equal(t->count[0], 0);
	judge(t);
	tagged_free(t);
}

static void flushes_are_told(void **state)
{
	struct tagged *t = processes(2);
	uint32_t b = root_of(t, 1);

	(void)state;
	um_flush_page(t->f->um, 0x00801234); /* nothing is cached there: it is told all the same */
	assert_int_equal(t->calls, 1);
	assert_true(was_told(t, b, 0x00801000, 0x00801FFF));
	um_flush_all(t->f->um);
	assert_true(was_told(t, 0, 0, UINT32_MAX));
	t->calls = 0;
	fake_set_mode(t->f, REF_PG | REF_WP, PAGE(10));
	assert_true(was_told(t, 0, 0, UINT32_MAX));
	judge(t);
	tagged_free(t);
}

static void both_or_neither(void **state)
{
	struct tagged *t = processes(1);
	struct um_ops one = t->f->ops;
	struct um_config config = t->f->config;

	(void)state;
	config.ops = &one;
	assert_true(um_size(&config) > 0);
	one.root_switched = NULL;
	assert_int_equal(um_size(&config), 0);
	one = t->f->ops;
	one.invalidate_root = NULL;
	assert_int_equal(um_size(&config), 0);
	tagged_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_switch_keeps_what_is_held),
		cmocka_unit_test(a_root_that_is_not_current_is_told),
		cmocka_unit_test(all_roots_that_share_a_table_are_told),
		cmocka_unit_test(a_crowd_is_told_at_once),
		cmocka_unit_test(a_root_that_goes_leaves_the_others_their_own),
		cmocka_unit_test(flushes_are_told),
		cmocka_unit_test(both_or_neither),
		cmocka_unit_test(tracked_with_optimisations),
		cmocka_unit_test(tracked_without),
		cmocka_unit_test(tracked_with_least_memory),
		cmocka_unit_test(tracked_with_few_roots),
		cmocka_unit_test(tracked_three_levels),
		cmocka_unit_test(tracked_three_levels_little_memory),
		cmocka_unit_test(told_with_optimisations),
		cmocka_unit_test(told_without),
		cmocka_unit_test(told_without_revalidation),
		cmocka_unit_test(told_three_levels),
		cmocka_unit_test(told_with_a_window),
		cmocka_unit_test(changing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("tagged", tests, NULL, NULL);
}
