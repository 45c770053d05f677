/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/shadow_model.c - the core against the reference walker over long random histories.
 *
 *   1. The guest: directories, tables, data frames, a linear map of all memory in the kernel half
 *   2. What hardware may still believe: entries changed since the last flush
 *   3. Operations, and the judge of each access
 *   4. Runs: modes of learning, options, budgets, failures
 *
 * UMBRA_MODEL_OPS=n sets the operations of each run (default 60,000), UMBRA_MODEL_SEED the seed.
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

enum {
	FRAMES = 320,              /* guest RAM, frames */
	DIRS = 6, FIRST_DIR = 1,
	TABLES = 20, FIRST_TABLE = 16,
	LINEAR_TABLE = 40,         /* maps all RAM at LINEAR */
	FIRST_DATA = 48,
	HOT_SLOTS = 5,             /* user directory slots in use */
	HOT_PAGES = 24,            /* pages in use of each */
};
#define LINEAR 0xC0000000u

struct model {
	struct fake *f;
	enum um_learn learn;
	uint64_t rng;
	bool failures;
	unsigned audit_every;
	unsigned changed_count;    /* 2. entries changed while present, since the flush that covers them */
	struct { uint64_t gpa; bool global; } changed[256];
	uint64_t judged, excused, faults;
};

static uint32_t roll(struct model *m, uint32_t n)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return (uint32_t)((m->rng >> 20) % n);
}

static uint32_t frame(uint32_t gfn) { return gfn << 12; }
static uint32_t pick_dir(struct model *m) { return frame(FIRST_DIR + roll(m, DIRS)); }
static uint32_t pick_table(struct model *m) { return frame(FIRST_TABLE + roll(m, TABLES)); }

static uint32_t pick_user_gva(struct model *m)
{
	static const uint32_t slot[HOT_SLOTS] = { 0, 1, 2, 300, 767 };

	return slot[roll(m, HOT_SLOTS)] << 22 | roll(m, HOT_PAGES) << 12 | roll(m, 1024) << 2;
}

static uint32_t pick_gva(struct model *m)
{
	switch (roll(m, 8)) {
	case 0: return LINEAR + frame(roll(m, FRAMES)) + (roll(m, 1024) << 2);
	case 1: return 0xC0400000u + (roll(m, HOT_PAGES) << 12); /* a kernel slot that changes */
	case 2: return roll(m, 2) ? 0xFFC00000u + (roll(m, 1024) << 12) : roll(m, 0xFFFFFFFFu);
	default: return pick_user_gva(m);
	}
}

static uint32_t pick_flags(struct model *m)
{
	static const uint32_t often[] = { 0x07, 0x67, 0x27, 0x25, 0x05, 0x03, 0x63, 0x61, 0x65, 0x00, 0xA0, 0x40 };
	uint32_t flags = often[roll(m, 12)];

	return roll(m, 16) ? flags : (roll(m, 512) & (m->learn == UM_LEARN_TOLD ? 0x167u : 0x1FFu));
}

static uint32_t pick_pte(struct model *m)
{
	uint32_t gfn = FIRST_DATA + roll(m, FRAMES - FIRST_DATA);

	if (roll(m, 24) == 0)
		gfn = roll(m, FIRST_DATA);              /* a table seen as data */
	if (m->learn == UM_LEARN_TRACKED && roll(m, 40) == 0)
		gfn = FRAMES + roll(m, 8);              /* no RAM there */
	return frame(gfn) | pick_flags(m);
}

static uint32_t pick_pde(struct model *m, uint32_t dir)
{
	uint32_t flags = pick_flags(m) & ~0x80u;

	if (m->learn == UM_LEARN_TRACKED) {
		if (roll(m, 12) == 0)
			return dir | 0x67;              /* recursive */
		if (roll(m, 10) == 0)
			return (pick_flags(m) | 0x80) | (roll(m, 4) ? 0u : 1u << 13);
	}
	return pick_table(m) | flags;
}

static void build_guest(struct model *m)
{
	struct fake *f = m->f;

	for (uint32_t gfn = 0; gfn < FRAMES; gfn++)
		fake_quiet(f, frame(LINEAR_TABLE) + 4 * gfn, frame(gfn) | 0x63);
	for (uint32_t d = 0; d < DIRS; d++)
		fake_quiet(f, pde_gpa(frame(FIRST_DIR + d), LINEAR), frame(LINEAR_TABLE) | 0x63);
	fake_set_mode(f, REF_PG | REF_WP | (m->learn == UM_LEARN_TRACKED ? REF_PSE : 0u), frame(FIRST_DIR));
}

/* ---- 2. What hardware may still believe ----------------------------------------------------- */

static void note_change(struct model *m, uint64_t gpa, uint32_t old)
{
	if (!(old & 1))
		return;                                 /* not present: nothing can be cached */
	for (unsigned i = 0; i < m->changed_count; i++)
		if (m->changed[i].gpa == gpa) {
			m->changed[i].global |= !!(old & 0x100);
			return;
		}
	if (m->changed_count == sizeof m->changed / sizeof *m->changed) {
		um_flush_all(m->f->um);
		m->changed_count = 0;
		return;
	}
	m->changed[m->changed_count].gpa = gpa;
	m->changed[m->changed_count++].global = old & 0x100;
}

static bool may_be_stale(const struct model *m, const struct ref_walk *walk)
{
	for (unsigned i = 0; i < m->changed_count; i++)
		for (unsigned e = 0; e < walk->entries; e++)
			if (m->changed[i].gpa == walk->entry_gpa[e])
				return true;
	return false;
}

static void flushed_all(struct model *m, bool globals)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < m->changed_count; i++)
		if (!globals && m->changed[i].global && (m->f->mode & REF_PGE))
			m->changed[kept++] = m->changed[i];
	m->changed_count = kept;
}

/* ---- 3. Operations -------------------------------------------------------------------------- */

/* `strict`: the address was just flushed, so nothing may be old. */
static void judge(struct model *m, uint32_t gva, unsigned access, bool strict)
{
	struct fake *f = m->f;
	struct ref_walk want = ref_walk(fake_ref_read, f, f->mode, f->cr3, gva, access);
	bool excused = !strict && may_be_stale(m, &want);
	struct fake_access got = fake_access(f, gva, access);
	enum um_result result;

	if (got.result == UM_NOMEM) {
		assert_true(m->failures);
		return;
	}
	if (got.result == UM_OK && got.hfn != fake_hfn(f, got.gpa >> 12))
		fail_msg("gva %x: host frame %" PRIx64 " is not what is behind gpa %" PRIx64, gva, got.hfn,
		         got.gpa);
	m->judged++;
	if (excused) {                                  /* old or new: the manual allows either */
		m->excused++;
		return;
	}
	result = !want.ok ? UM_FAULT : want.gpa / 4096 >= FRAMES ? UM_MMIO : UM_OK;
	if (result == UM_OK && got.result == UM_TRACKED && (access & REF_WRITE))
		result = UM_TRACKED;
	m->faults += result == UM_FAULT;
	if (got.result != result || (result == UM_FAULT ? got.error != want.error : got.gpa != want.gpa))
		fail_msg("gva %x access %x mode %x cr3 %x entries %x %x: got %d error %x gpa %" PRIx64
		         "%s, want %d error %x gpa %" PRIx64, gva, access, f->mode, f->cr3, want.entry[0],
		         want.entry[1], got.result, got.error, got.gpa, got.from_tlb ? " (cached)" : "",
		         result, want.error, want.gpa);
	for (unsigned e = 0; want.ok && e < want.entries; e++)
		if ((fake_read(f, want.entry_gpa[e]) & want.after[e] & 0x60) != (want.after[e] & 0x60))
			fail_msg("gva %x access %x: entry %u lacks Accessed or Dirty: %x, want %x", gva, access,
			         e, fake_read(f, want.entry_gpa[e]), want.after[e]);
}

/* The guest writes a table entry: through its linear map, or a device does. */
static void write_entry(struct model *m, uint64_t gpa, uint32_t value)
{
	struct ref_walk map = ref_walk(fake_ref_read, m->f, m->f->mode, m->f->cr3,
	                               LINEAR + (uint32_t)gpa, REF_WRITE);
	uint32_t old = fake_read(m->f, gpa);
	struct fake_access a;

	if (roll(m, 4) == 0 || may_be_stale(m, &map)) {
		fake_poke(m->f, gpa, value);
	} else {
		a = fake_store(m->f, LINEAR + (uint32_t)gpa, value);
		if (a.result == UM_NOMEM) {
			assert_true(m->failures);
			fake_poke(m->f, gpa, value);
		} else {
			assert_true(a.result == UM_OK || a.result == UM_TRACKED);
			assert_int_equal(a.gpa & ~3ull, gpa);
		}
	}
	note_change(m, gpa, old);
}

static void change_tracked(struct model *m)
{
	uint32_t dir = pick_dir(m), gva = pick_user_gva(m);

	if (roll(m, 4) == 0) {
		write_entry(m, pde_gpa(dir, gva), pick_pde(m, dir));
	} else if (roll(m, 16) == 0) {                  /* a whole table goes: the page is reused */
		uint32_t table = pick_table(m);

		for (unsigned i = 0; i < HOT_PAGES; i++)
			write_entry(m, table + 4 * i, roll(m, 2) ? 0 : pick_pte(m));
	} else {
		write_entry(m, pte_gpa(pick_table(m), gva), pick_pte(m));
	}
}

/* Told: memory first, then the announcement for each root that shows it, as lguest's guests do. */
static void change_told(struct model *m)
{
	uint32_t dir = pick_dir(m), gva = roll(m, 6) ? pick_user_gva(m) : 0xC0400000u + (roll(m, HOT_PAGES) << 12);
	struct um *um = m->f->um;

	if (roll(m, 5) == 0) {                          /* user slots: one table for one slot */
		uint32_t pde = roll(m, 8) ? pick_table(m) | 0x67 : 0;

		if (gva < LINEAR) {
			fake_quiet(m->f, pde_gpa(dir, gva), pde);
			assert_int_equal(um_set_pde(um, dir, gva >> 22), UM_OK);
		} else {
			for (uint32_t d = 0; d < DIRS; d++)
				fake_quiet(m->f, pde_gpa(frame(FIRST_DIR + d), gva), pde);
			assert_int_equal(um_set_pde(um, dir, gva >> 22), UM_OK);
		}
		return;
	}
	uint32_t pde = fake_read(m->f, pde_gpa(dir, gva)), pte = pick_pte(m);
	if (!(pde & 1))
		return;
	fake_quiet(m->f, pte_gpa(pde & ~0xFFFu, gva), pte);
	/* The same table may hang in other slots and roots: the guest knows, and tells each. */
	for (uint32_t d = 0; d < DIRS; d++)
		for (uint32_t slot = 0; slot < 1024; slot++)
			if ((fake_read(m->f, frame(FIRST_DIR + d) + 4 * slot) & 0xFFFFF001u) == (pde & 0xFFFFF001u)) {
				enum um_result r = um_set_pte(um, frame(FIRST_DIR + d),
				                              slot << 22 | (gva & 0x3FF000u), pte);
				assert_true(r == UM_OK || (m->failures && r == UM_NOMEM));
			}
}

static void step(struct model *m)
{
	struct fake *f = m->f;
	uint32_t what = roll(m, 100);

	if (what < 55) {
		judge(m, pick_gva(m), (unsigned[]){ 0, 2, 4, 6 }[roll(m, 4)], false);
	} else if (what < 80) {
		if (m->learn == UM_LEARN_TRACKED)
			change_tracked(m);
		else
			change_told(m);
	} else if (what < 86) {
		fake_switch(f, pick_dir(m) | (roll(m, 4) ? 0 : 0x18)); /* PWT, PCD: no part of the address */
		flushed_all(m, false);
	} else if (what < 92) {
		uint32_t gva = pick_gva(m);

		um_flush_page(f->um, gva);
		judge(m, gva, 0, true);         /* its entries may map others: those stay excused */
	} else if (what < 93) {
		um_flush_all(f->um);
		flushed_all(m, true);
	} else if (what < 94) {
		um_flush_user(f->um);
	} else if (what < 97) {
		um_gfn gfn = roll(m, FRAMES);

		um_forget_frame(f->um, gfn);
		if (f->borrowed[gfn])
			fail_msg("gfn %x is still borrowed after um_forget_frame", (unsigned)gfn);
		f->epoch[gfn]++;
	} else if (what < 98) {
		um_shrink(f->um, roll(m, 4));
	} else if (what < 99 && m->learn == UM_LEARN_TRACKED) {
		uint32_t mode = REF_PG | (roll(m, 4) ? REF_WP : 0u) | (roll(m, 4) ? REF_PSE : 0u) |
		                (roll(m, 2) ? REF_PGE : 0u);

		if (mode != f->mode)                    /* a MOV that changes nothing flushes nothing */
			flushed_all(m, true);
		fake_set_mode(f, mode, f->cr3);
	} else {
		enum um_result r = um_pin_page(f->um, LINEAR + frame(FIRST_DATA + roll(m, 8)));

		assert_true(r == UM_OK || may_be_stale(m, &(struct ref_walk){ .entries = 0 }) ||
		            r == UM_TRACKED || (m->failures && r == UM_NOMEM));
	}
	if (f->broken)
		fail_msg("%s", f->broken);
}

/* ---- 4. Runs -------------------------------------------------------------------------------- */

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void run(enum um_learn learn, uint32_t options, uint32_t tables, uint32_t roots, uint64_t fail_every,
                unsigned audit_every)
{
	uint64_t ops = from_environment("UMBRA_MODEL_OPS", 60000);
	uint64_t seed = from_environment("UMBRA_MODEL_SEED", 0x9E3779B97F4A7C15u) ^ (options * 77u + tables);
	struct model m = { .learn = learn, .rng = seed | 1, .failures = fail_every, .audit_every = audit_every };
	const char *left;

	m.f = fake_new(FRAMES, learn, options, tables, roots);
	build_guest(&m);
	m.f->fail_every = fail_every;
	for (uint64_t i = 0; i < ops; i++) {
		step(&m);
		if (i % audit_every == 0) {
			struct um_violation v = um_audit(m.f->um);

			if (v.invariant)
				fail_msg("after operation %" PRIu64 ": invariant %d: %s (gva %" PRIx64 " gfn %"
				         PRIx64 " spte %" PRIx64 " gpte %" PRIx64 ")", i, v.invariant, v.text,
				         v.gva, v.gfn, v.spte, v.gpte);
		}
	}
	if (learn == UM_LEARN_TRACKED)
		assert_true(m.judged - m.excused > ops / 8);    /* the run must have judged something */
	assert_true(m.faults > ops / 100);
	left = fake_free(m.f);
	if (left)
		fail_msg("%s", left);
}

#define RUN(NAME, ...) static void NAME(void **state) { (void)state; run(__VA_ARGS__); }
#define TRACKED UM_LEARN_TRACKED
#define TOLD UM_LEARN_TOLD
RUN(tracked_all_on, TRACKED, UM_OPT_ALL, 64, 16, 0, 16)
RUN(tracked_all_off, TRACKED, 0, 64, 16, 0, 16)
RUN(tracked_only_prefetch, TRACKED, UM_OPT_PREFETCH, 64, 16, 0, 64)
RUN(tracked_only_unsync, TRACKED, UM_OPT_UNSYNC, 64, 16, 0, 64)
RUN(tracked_only_share, TRACKED, UM_OPT_SHARE, 64, 16, 0, 64)
RUN(tracked_only_install_ahead, TRACKED, UM_OPT_INSTALL_AHEAD, 64, 16, 0, 64)
RUN(tracked_only_lazy_flush, TRACKED, UM_OPT_LAZY_FLUSH, 64, 16, 0, 64)
RUN(tracked_smallest_budget, TRACKED, UM_OPT_ALL, UM_MIN_TABLES, 2, 0, 16)
RUN(tracked_one_root, TRACKED, UM_OPT_ALL, 32, 1, 0, 64)
RUN(tracked_failing_allocations, TRACKED, UM_OPT_ALL, 24, 4, 3, 16)
RUN(tracked_most_allocations_fail, TRACKED, UM_OPT_ALL, 24, 4, 2, 16)
RUN(tracked_audit_after_every_step, TRACKED, UM_OPT_ALL, 16, 4, 0, 1)
RUN(told_all_on, TOLD, UM_OPT_ALL, 64, 16, 0, 16)
RUN(told_all_off, TOLD, 0, 64, 16, 0, 16)
RUN(told_only_share, TOLD, UM_OPT_SHARE, 64, 4, 0, 64)
RUN(told_only_install_ahead, TOLD, UM_OPT_INSTALL_AHEAD, 64, 4, 0, 64)
RUN(told_only_prefetch, TOLD, UM_OPT_PREFETCH, 64, 4, 0, 64)
RUN(told_only_lazy_flush, TOLD, UM_OPT_LAZY_FLUSH, 64, 4, 0, 64)
RUN(told_only_revalidate, TOLD, UM_OPT_REVALIDATE, 64, 4, 0, 64)
RUN(told_smallest_budget, TOLD, UM_OPT_ALL, UM_MIN_TABLES, 1, 0, 16)
RUN(told_failing_allocations, TOLD, UM_OPT_ALL, 24, 4, 3, 16)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tracked_all_on), cmocka_unit_test(tracked_all_off),
		cmocka_unit_test(tracked_only_prefetch), cmocka_unit_test(tracked_only_unsync),
		cmocka_unit_test(tracked_only_share), cmocka_unit_test(tracked_only_install_ahead),
		cmocka_unit_test(tracked_only_lazy_flush), cmocka_unit_test(tracked_smallest_budget),
		cmocka_unit_test(tracked_one_root), cmocka_unit_test(tracked_failing_allocations),
		cmocka_unit_test(tracked_most_allocations_fail), cmocka_unit_test(tracked_audit_after_every_step),
		cmocka_unit_test(told_all_on), cmocka_unit_test(told_all_off), cmocka_unit_test(told_only_share),
		cmocka_unit_test(told_only_install_ahead), cmocka_unit_test(told_only_prefetch),
		cmocka_unit_test(told_only_revalidate), cmocka_unit_test(told_only_lazy_flush), cmocka_unit_test(told_smallest_budget),
		cmocka_unit_test(told_failing_allocations),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
