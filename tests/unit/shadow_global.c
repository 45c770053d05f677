/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/shadow_global.c - global translations that hardware keeps over root switches
 * (CR4.PGE).
 *
 *   1. The guest: directories that share one kernel half, as global pages and one large one
 *   2. The judge: after every step all that the hardware still holds must be permitted by the guest's tables
 *   3. Runs
 *
 * The danger: a table changes, or its shadow goes, while the current root does not lead to it, and
 * nobody tells the hardware.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/lib/fake.h"

/* ---- 1. The guest --------------------------------------------------------------------------- */

enum { FRAMES = 2048, DIRS = 5, TABLES = 3, FIRST_TABLE = 8, FIRST_DATA = 16, PAGES = 12, LARGE_GFN = 1024 };
#define KERNEL 0xC0000000u

struct world {
	struct fake *f;
	uint64_t rng;
};

static uint32_t roll(struct world *w, uint32_t n)
{
	w->rng ^= w->rng << 13;
	w->rng ^= w->rng >> 7;
	w->rng ^= w->rng << 17;
	return (uint32_t)((w->rng >> 20) % n);
}

static uint32_t dir_of(uint32_t n) { return (1 + n) << 12; }

static void poke_kernel_pde(struct world *w, uint32_t slot, uint32_t pde)
{
	/* All directories agree, as kernels see to it: a global page is the same everywhere. */
	for (uint32_t d = 0; d < DIRS; d++)
		fake_poke(w->f, pde_gpa(dir_of(d), KERNEL + (slot << 22)), pde);
}

static uint32_t some_pte(struct world *w)
{
	static const uint32_t flags[] = { 0x163, 0x163, 0x123, 0x121, 0x161, 0x63, 0x103, 0x167, 0, 0x1E0 };

	return (FIRST_DATA + roll(w, 64)) << 12 | flags[roll(w, 10)];
}

static void build(struct world *w)
{
	for (uint32_t t = 0; t < TABLES; t++) {
		poke_kernel_pde(w, t, (FIRST_TABLE + t) << 12 | 0x67);
		for (uint32_t i = 0; i < PAGES; i++)
			fake_poke(w->f, ((FIRST_TABLE + t) << 12) + 4 * i, some_pte(w));
	}
	poke_kernel_pde(w, TABLES, LARGE_GFN << 12 | 0x1E3);
}

/* ---- 2. The judge --------------------------------------------------------------------------- */

static void judge(const struct world *w, uint32_t what)
{
	struct fake *f = w->f;

	for (unsigned i = 0; i < FAKE_TLB; i++) {
		const struct fake_tlb_entry *e = &f->tlb[i];
		struct ref_walk r;

		if (!e->valid)
			continue;
		r = ref_walk(fake_ref_read, f, f->mode, f->cr3, e->page,
		             (e->rights & UM_WRITE ? REF_WRITE : 0u) |
		             (e->rights & UM_USER && !(e->rights & UM_WRITE) ? REF_USER : 0u));
		if (!r.ok || r.gpa != e->gpa)
			fail_msg("after %u: hardware holds %x -> %" PRIx64 " rights %x, guest says %d %" PRIx64
			         " (%x %x)", what, e->page, e->gpa, e->rights, r.ok, r.gpa, r.entry[0], r.entry[1]);
	}
}

static void change(struct world *w)
{
	uint32_t slot = roll(w, TABLES + 1);

	if (roll(w, 12) == 0)
		poke_kernel_pde(w, slot, slot == TABLES ? LARGE_GFN << 12 | (roll(w, 2) ? 0x1E3 : 0x1A1)
		                                        : (FIRST_TABLE + slot) << 12 | (roll(w, 3) ? 0x67u : 0u));
	else if (slot < TABLES)
		fake_poke(w->f, ((FIRST_TABLE + slot) << 12) + 4 * roll(w, PAGES), some_pte(w));
}

static uint32_t step(struct world *w)
{
	struct fake *f = w->f;
	uint32_t what = roll(w, 100);
	uint32_t gva = KERNEL + (roll(w, TABLES + 1) << 22) + (roll(w, PAGES) << 12);

	if (what < 50)
		fake_access(f, gva, roll(w, 2) ? REF_WRITE : 0);
	else if (what < 75)
		change(w);
	else if (what < 88)
		fake_switch(f, dir_of(roll(w, DIRS)));
	else if (what < 90)
		um_flush_page(f->um, gva);
	else if (what < 93)
		um_shrink(f->um, roll(w, 5));
	else if (what < 95)
		um_forget_frame(f->um, roll(w, FIRST_DATA + 64));
	else if (what < 96)
		um_flush_user(f->um);
	else if (what < 97)
		um_flush_all(f->um);
	else if (what < 98)
		fake_set_mode(f, REF_PG | REF_PSE | REF_WP | (roll(w, 3) ? REF_PGE : 0u), f->cr3);
	return what;
}

/* ---- 3. Runs -------------------------------------------------------------------------------- */

static void run(uint32_t options, uint32_t tables, uint32_t roots)
{
	struct world w = { .f = fake_new(FRAMES, UM_LEARN_TRACKED, options, tables, roots),
	                   .rng = 0x2545F4914F6CDD1Du ^ options };

	w.f->keep_globals = true;
	build(&w);
	fake_set_mode(w.f, REF_PG | REF_PSE | REF_WP | REF_PGE, dir_of(0));
	for (unsigned i = 0; i < 30000; i++) {
		uint32_t what = step(&w);

		judge(&w, what);
		if (i % 64 == 0 && um_audit(w.f->um).invariant)
			fail_msg("invariant %d: %s", um_audit(w.f->um).invariant, um_audit(w.f->um).text);
	}
	assert_null(fake_free(w.f));
}

enum { IN_STEP = UM_OPT_ALL & ~(unsigned)UM_OPT_UNSYNC }; /* unsync may lag until a flush */

static void globals_with_all_optimisations(void **state)
{
	(void)state;
	run(IN_STEP, 64, 8);
}

static void globals_with_none(void **state)
{
	(void)state;
	run(0, 64, 8);
}

static void globals_with_few_tables(void **state)
{
	(void)state;
	run(IN_STEP, UM_MIN_TABLES, 2);
}

static void globals_with_one_root(void **state)
{
	(void)state;
	run(IN_STEP, 16, 1);
}

static void globals_unshared(void **state)
{
	(void)state;
	run(IN_STEP & ~(unsigned)UM_OPT_SHARE, 64, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globals_with_all_optimisations),
		cmocka_unit_test(globals_with_none),
		cmocka_unit_test(globals_with_few_tables),
		cmocka_unit_test(globals_with_one_root),
		cmocka_unit_test(globals_unshared),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("global translations", tests, NULL, NULL);
}
