/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/shadow_behaviour.c - what the core promises, point by point.
 *
 * The tags in a test's name: B1-B20 are the behaviour tests of the specification, R1-R17 its requirements,
 * D1-D27 and N1-N5 the defects of the ancestor that must never come back.
 *
 *   1. A small guest: two directories, a user and a kernel table
 *   2. Demand, rights, Accessed and Dirty
 *   3. Told changes
 *   4. Switching, flushing, pinning
 *   5. The window
 *   6. The host's side: shortage, budget, frames taken back
 *   7. Tracked changes
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/fake.h"

/* ---- 1. A small guest ----------------------------------------------------------------------- */

enum {
	FRAMES = 64, DIR_A = 0x1000, DIR_B = 0x2000, USER_TABLE = 0x3000, USER_TABLE_B = 0x4000,
	KERNEL_TABLE = 0x5000, PAGE = 0x10000, PAGE_2 = 0x11000, USER = 0x00401000, USER_2 = 0x00402000,
};
#define KERNEL 0xC0001000u

static struct fake *guest_with(enum um_learn learn, uint32_t options, uint32_t tables, uint32_t roots)
{
	struct fake *f = fake_new(FRAMES, learn, options, tables, roots);

	fake_quiet(f, pde_gpa(DIR_A, USER), USER_TABLE | 7);
	fake_quiet(f, pde_gpa(DIR_B, USER), USER_TABLE_B | 7);
	fake_quiet(f, pde_gpa(DIR_A, KERNEL), KERNEL_TABLE | 3);
	fake_quiet(f, pde_gpa(DIR_B, KERNEL), KERNEL_TABLE | 3);
	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE | 7);
	fake_quiet(f, pte_gpa(USER_TABLE_B, USER), PAGE_2 | 7);
	fake_quiet(f, pte_gpa(KERNEL_TABLE, KERNEL), 0x20000 | 3);
	fake_set_mode(f, REF_PG | REF_WP, DIR_A);
	return f;
}

static struct fake *told(void) { return guest_with(UM_LEARN_TOLD, UM_OPT_ALL & ~(uint32_t)UM_OPT_PREFETCH, 32, 4); }
static struct fake *tracked(void) { return guest_with(UM_LEARN_TRACKED, UM_OPT_ALL & ~(uint32_t)UM_OPT_PREFETCH, 32, 4); }

static void done(struct fake *f)
{
	struct um_violation v = um_audit(f->um);
	const char *left;

	if (v.invariant)
		fail_msg("invariant %d: %s", v.invariant, v.text);
	left = fake_free(f);
	if (left)
		fail_msg("%s", left);
}

static bool mapped(struct fake *f, uint32_t gva, unsigned access)
{
	struct um_map map;

	return um_lookup(f->um, gva, access, &map) == UM_OK;
}

static struct um_stats stats(struct fake *f)
{
	struct um_stats s;

	um_get_stats(f->um, &s);
	return s;
}

#define expect(F, GVA, ACCESS, RESULT) assert_int_equal(fake_access(F, GVA, ACCESS).result, RESULT)
static uint32_t upte(struct fake *f) { return fake_read(f, pte_gpa(USER_TABLE, USER)); }

/* Both ways of learning must behave alike here. */
static void in_both(void (*body)(struct fake *))
{
	body(told());
	body(tracked());
}
#define BOTH(NAME) \
	static void NAME##_body(struct fake *f); \
	static void NAME(void **state) { (void)state; in_both(NAME##_body); } \
	static void NAME##_body(struct fake *f)
#define TOLD(NAME) \
	static void NAME##_body(struct fake *f); \
	static void NAME(void **state) { (void)state; NAME##_body(told()); } \
	static void NAME##_body(struct fake *f)
#define TRACKED(NAME) \
	static void NAME##_body(struct fake *f); \
	static void NAME(void **state) { (void)state; NAME##_body(tracked()); } \
	static void NAME##_body(struct fake *f)

/* ---- 2. Demand ------------------------------------------------------------------------------ */

BOTH(read_then_write)
{
	expect(f, USER, REF_USER, UM_OK);
	assert_int_equal(upte(f), PAGE | 0x27);
	assert_false(mapped(f, USER, REF_WRITE));
	assert_int_equal(f->borrowed[PAGE >> 12], 1);
	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	assert_int_equal(upte(f), PAGE | 0x67);
	assert_true(mapped(f, USER, REF_WRITE | REF_USER));
	assert_int_equal(f->borrowed[PAGE >> 12], 1);
	done(f);
}

BOTH(refusals_change_nothing)
{
	struct fake_access a;

	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE | 5);
	a = fake_access(f, USER, REF_WRITE | REF_USER);
	assert_int_equal(a.result, UM_FAULT);
	assert_int_equal(a.error, 7);
	assert_int_equal(upte(f), PAGE | 5);
	a = fake_access(f, KERNEL, REF_USER);
	assert_int_equal(a.result, UM_FAULT);
	assert_int_equal(a.error, 5);
	assert_int_equal(fake_read(f, pte_gpa(KERNEL_TABLE, KERNEL)), 0x20000 | 3);
	assert_int_equal(f->updates, 0);
	done(f);
}

/* D8: write is bit 1 of the error code and user bit 2, whatever comments once said. */
BOTH(error_code_bits)
{
	assert_int_equal(fake_access(f, 0x00800000, 0).error, 0);
	assert_int_equal(fake_access(f, 0x00800000, REF_WRITE).error, 2);
	assert_int_equal(fake_access(f, 0x00800000, REF_USER).error, 4);
	assert_int_equal(fake_access(f, 0x00800000, REF_USER | REF_WRITE).error, 6);
	assert_int_equal(UM_WRITE, REF_WRITE);
	assert_int_equal(UM_USER, REF_USER);
	assert_int_equal(UM_FETCH, REF_FETCH);
	assert_int_equal(UM_MODE_PAGING, REF_PG);
	assert_int_equal(UM_MODE_WP, REF_WP);
	assert_int_equal(UM_MODE_PSE, REF_PSE);
	assert_int_equal(UM_MODE_PGE, REF_PGE);
	done(f);
}

BOTH(directory_rights_count)
{
	fake_quiet(f, pde_gpa(DIR_A, USER), USER_TABLE | 3);      /* no user */
	expect(f, USER, REF_USER, UM_FAULT);
	expect(f, USER, 0, UM_OK);
	expect(f, USER, REF_USER, UM_FAULT);
	fake_poke(f, pde_gpa(DIR_A, USER), USER_TABLE | 5);       /* no write */
	um_set_pde(f->um, DIR_A, USER >> 22);
	um_flush_all(f->um);
	expect(f, USER, REF_USER, UM_OK);
	expect(f, USER, REF_USER | REF_WRITE, UM_FAULT);
	done(f);
}

BOTH(write_backs_only_when_needed)
{
	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	assert_int_equal(f->updates, 2);                          /* A of the PDE, A and D of the PTE */
	um_flush_all(f->um);
	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	assert_int_equal(f->updates, 2);
	done(f);
}

/* A read of a dirty but read-only page must not ask for the writable page behind it (D21). */
BOTH(read_only_borrows_read_only)
{
	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE | 0x65);
	expect(f, USER, REF_USER, UM_OK);
	assert_int_equal(f->borrowed_write[PAGE >> 12], 0);
	done(f);
}

/* Faults that come to nothing must not cost tables (D13). */
BOTH(fruitless_faults_cost_no_tables)
{
	uint64_t before;

	expect(f, USER, REF_USER, UM_OK);
	before = stats(f).tables;
	for (uint32_t slot = 2; slot < 700; slot++) {
		fake_quiet(f, DIR_A + 4 * slot, 0x6000 | 7);      /* an empty table */
		expect(f, slot << 22, REF_USER, UM_FAULT);
	}
	assert_true(stats(f).tables <= before + 1);
	done(f);
}

/* The highest frames are frames, not negative numbers (D14). */
TRACKED(high_frame_numbers)
{
	fake_quiet(f, pte_gpa(USER_TABLE, USER), 0xFFFFF000u | 7);
	struct fake_access a = fake_access(f, USER + 0x123, 0);
	assert_int_equal(a.result, UM_MMIO);
	assert_true(a.gpa == 0xFFFFF123u);
	fake_quiet(f, pde_gpa(DIR_A, USER), 0x80000000u | 7);
	um_guest_wrote(f->um, pde_gpa(DIR_A, USER), 4);
	um_flush_all(f->um);
	expect(f, USER, 0, UM_FAULT);                             /* a table where no memory is */
	done(f);
}

/* A frame that cannot be had leaves nothing behind (D15). */
TOLD(refused_frame_leaves_nothing)
{
	f->refuse_from = PAGE >> 12;
	expect(f, USER, REF_USER, UM_STOP);
	assert_false(mapped(f, USER, 0));
	f->refuse_from = UINT64_MAX;
	expect(f, USER, REF_USER, UM_OK);
	done(f);
}

BOTH(global_is_ignored_and_cache_bits_too)
{
	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE | 0x11F);   /* G, PCD, PWT */
	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	assert_int_equal(upte(f), PAGE | 0x17F);
	done(f);
}

BOTH(unmapped_stack_is_an_error_value)
{
	assert_int_equal(um_pin_page(f->um, 0xD0000000u), UM_FAULT);
	fake_quiet(f, pde_gpa(DIR_A, 0xD0000000u), 0xFFFFF000u | 3); /* a table outside memory */
	um_set_pde(f->um, DIR_A, 0xD0000000u >> 22);
	assert_int_not_equal(um_pin_page(f->um, 0xD0000000u), UM_OK);
	done(f);
}

/* ---- 3. Told changes ------------------------------------------------------------------------ */

TOLD(set_pte_accessed_dirty)
{
	expect(f, USER_2, REF_USER, UM_FAULT);
	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE_2 | 0x67);
	expect(f, USER, REF_USER, UM_OK);                         /* there is a leaf table now */
	assert_int_equal(um_set_pte(f->um, DIR_A, USER, PAGE_2 | 0x67), UM_OK);
	assert_true(mapped(f, USER, REF_USER | REF_WRITE));
	/* Accessed but clean: readable at once, the first write must fault and set Dirty. */
	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE_2 | 0x27);
	assert_int_equal(um_set_pte(f->um, DIR_A, USER, PAGE_2 | 0x27), UM_OK);
	assert_true(mapped(f, USER, REF_USER));
	assert_false(mapped(f, USER, REF_USER | REF_WRITE));
	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	assert_int_equal(upte(f), PAGE_2 | 0x67);
	assert_int_equal(f->borrowed_write[PAGE_2 >> 12], 1);
	done(f);
}

TOLD(set_pte_untouched_waits_for_a_fault)
{
	expect(f, USER, REF_USER, UM_OK);
	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE_2 | 7);
	assert_int_equal(um_set_pte(f->um, DIR_A, USER, PAGE_2 | 7), UM_OK);
	assert_false(mapped(f, USER, 0));
	expect(f, USER, REF_USER, UM_OK);
	assert_int_equal(upte(f), PAGE_2 | 0x27);
	done(f);
}

TOLD(set_pte_not_present)
{
	static const uint32_t values[] = { 0x0A0, 0x040, 0x020, PAGE | 0x0A0, 0xFFFFF060 };

	for (unsigned i = 0; i < 5; i++) {
		fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE | 7);
		expect(f, USER, REF_USER | REF_WRITE, UM_OK);
		fake_quiet(f, pte_gpa(USER_TABLE, USER), values[i]);
		assert_int_equal(um_set_pte(f->um, DIR_A, USER, values[i]), UM_OK);
		assert_false(mapped(f, USER, 0));
		assert_int_equal(f->borrowed[PAGE >> 12], 0);
		expect(f, USER, REF_USER, UM_FAULT);
	}
	done(f);
}

TOLD(set_pte_zero_over_a_valid_entry)
{
	expect(f, USER, REF_USER, UM_OK);
	assert_int_equal(um_set_pte(f->um, DIR_A, USER, 0), UM_OK);
	assert_int_equal(upte(f), PAGE | 0x27);
	expect(f, USER, REF_USER, UM_OK);
	done(f);
}

TOLD(kernel_changes_reach_every_root)
{
	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE | 7);
	expect(f, KERNEL, 0, UM_OK);
	fake_switch(f, DIR_B);
	expect(f, KERNEL, 0, UM_OK);
	fake_quiet(f, pte_gpa(KERNEL_TABLE, KERNEL), 0x21000 | 0x63);
	assert_int_equal(um_set_pte(f->um, 0xDEAD000, KERNEL, 0x21000 | 0x63), UM_OK); /* root ignored */
	assert_true(fake_access(f, KERNEL, 0).gpa == 0x21000);
	fake_switch(f, DIR_A);
	assert_true(fake_access(f, KERNEL, 0).gpa == 0x21000);
	/* The directory entry, likewise, whichever root is named. */
	fake_quiet(f, 0x6000 + 4 * 1, 0x22000 | 0x63);
	fake_quiet(f, pde_gpa(DIR_A, KERNEL), 0x6000 | 3);
	fake_quiet(f, pde_gpa(DIR_B, KERNEL), 0x6000 | 3);
	assert_int_equal(um_set_pde(f->um, DIR_A, KERNEL >> 22), UM_OK);
	assert_true(fake_access(f, KERNEL, 0).gpa == 0x22000);
	fake_switch(f, DIR_B);
	assert_true(fake_access(f, KERNEL, 0).gpa == 0x22000);
	done(f);
}

TOLD(frame_limit)
{
	fake_quiet(f, pte_gpa(USER_TABLE, USER), (FRAMES - 1) << 12 | 7);
	expect(f, USER, REF_USER, UM_OK);
	fake_quiet(f, pte_gpa(USER_TABLE, USER_2), FRAMES << 12 | 7);
	expect(f, USER_2, REF_USER, UM_STOP);
	assert_false(mapped(f, USER_2, 0));
	assert_int_equal(fake_read(f, pte_gpa(USER_TABLE, USER_2)), FRAMES << 12 | 7);
	fake_quiet(f, pde_gpa(DIR_A, 0x00800000), FRAMES << 12 | 7);
	expect(f, 0x00800000, REF_USER, UM_STOP);
	assert_int_equal(um_set_pte(f->um, DIR_A, USER, FRAMES << 12 | 0x67), UM_STOP);
	assert_true(mapped(f, USER, 0));                          /* a refused change changes nothing */
	done(f);
}

TOLD(large_pages_are_refused)
{
	const char *text = NULL;

	expect(f, USER, REF_USER, UM_OK);
	assert_int_equal(um_set_pte(f->um, DIR_A, USER, PAGE | 0xE7), UM_STOP);
	assert_true(mapped(f, USER, 0));
	assert_int_equal(um_stop_reason(f->um, &text), UM_STOP_BAD_PTE);
	assert_non_null(text);
	fake_quiet(f, pte_gpa(USER_TABLE, USER_2), PAGE | 0x87);
	expect(f, USER_2, REF_USER, UM_STOP);
	fake_quiet(f, pde_gpa(DIR_A, 0x00800000), 0x87);
	expect(f, 0x00800000, REF_USER, UM_STOP);
	assert_int_equal(um_stop_reason(f->um, &text), UM_STOP_BAD_PDE);
	assert_int_equal(fake_read(f, pde_gpa(DIR_A, 0x00800000)), 0x87);
	done(f);
}

TOLD(null_and_unknown_roots)
{
	expect(f, USER, REF_USER, UM_OK);
	assert_int_equal(um_set_pte(f->um, 0, USER, PAGE_2 | 0x67), UM_OK);
	assert_int_equal(um_set_pte(f->um, 0xFFFFF000u, USER, PAGE_2 | 0x67), UM_OK);
	assert_int_equal(um_set_pde(f->um, 0, USER >> 22), UM_OK);
	assert_true(fake_access(f, USER, REF_USER).gpa == PAGE);
	fake_switch(f, 0);
	expect(f, USER, REF_USER, UM_FAULT);                      /* memory at 0 holds zeroes */
	fake_switch(f, DIR_A);
	expect(f, USER, REF_USER, UM_OK);
	done(f);
}

TOLD(directory_index_range)
{
	assert_int_equal(um_window_reserve(f->um, 0xFFC00000u, 0x400000), UM_OK);
	expect(f, USER, REF_USER, UM_OK);
	assert_int_equal(um_set_pde(f->um, DIR_A, 1022), UM_OK);
	assert_int_equal(um_set_pde(f->um, DIR_A, 1023), UM_EINVAL);
	assert_int_equal(um_set_pde(f->um, DIR_B, 1023), UM_EINVAL); /* not the current one: N4 */
	assert_int_equal(um_set_pde(f->um, DIR_A, 1024), UM_EINVAL);
	assert_int_equal(um_set_pde(f->um, DIR_A, 0xFFFFFFFFu), UM_EINVAL);
	assert_int_equal(um_set_pte(f->um, DIR_A, 0xFFC01000u, PAGE | 0x67), UM_EINVAL);
	assert_true(mapped(f, USER, 0));                          /* D19: slot 0 or another is not hit instead */
	done(f);
}

/* A directory entry told of costs its own slot, not everything (N5). */
TOLD(set_pde_drops_one_slot)
{
	expect(f, USER, REF_USER, UM_OK);
	fake_quiet(f, pde_gpa(DIR_A, 0x00800000), USER_TABLE_B | 7);
	expect(f, 0x00801000, REF_USER, UM_OK);
	assert_int_equal(um_set_pde(f->um, DIR_A, 0x00800000 >> 22), UM_OK);
	assert_false(mapped(f, 0x00801000, 0));
	assert_true(mapped(f, USER, 0));
	assert_true(mapped(f, USER, REF_USER));
	done(f);
}

/* A change told for another root than the current one lands there (D25). */
TOLD(set_pte_elsewhere)
{
	expect(f, USER, REF_USER, UM_OK);
	fake_switch(f, DIR_B);
	expect(f, USER, REF_USER, UM_OK);
	fake_quiet(f, pte_gpa(USER_TABLE, USER), 0x12000 | 0x67);
	assert_int_equal(um_set_pte(f->um, DIR_A, USER, 0x12000 | 0x67), UM_OK);
	assert_true(fake_access(f, USER, REF_USER).gpa == PAGE_2);
	fake_switch(f, DIR_A);
	assert_true(fake_access(f, USER, REF_USER).gpa == 0x12000);
	done(f);
}

/* ---- 4. Switching, flushing, pinning -------------------------------------------------------- */

BOTH(five_address_spaces)
{
	for (uint32_t i = 0; i < 5; i++) {
		uint32_t dir = 0x6000 + i * 0x2000, table = dir + 0x1000;

		fake_quiet(f, pde_gpa(dir, USER), table | 7);
		fake_quiet(f, pte_gpa(table, USER), (0x20000 + i * 0x1000) | 7);
	}
	for (uint32_t turn = 0; turn < 50; turn++) {
		uint32_t i = turn * 3 % 5;

		fake_switch(f, 0x6000 + i * 0x2000);
		assert_true(fake_access(f, USER, REF_USER).gpa == 0x20000 + i * 0x1000);
	}
	assert_true(stats(f).roots <= 4);
	done(f);
}

BOTH(inactive_table_changed_in_place)
{
	expect(f, USER, REF_USER, UM_OK);
	fake_switch(f, DIR_B);
	expect(f, USER, REF_USER, UM_OK);
	if (f->config.learn == UM_LEARN_TOLD)
		fake_quiet(f, pte_gpa(USER_TABLE, USER), 0);      /* told of nothing */
	else
		fake_poke(f, pte_gpa(USER_TABLE, USER), 0);
	fake_switch(f, DIR_A);
	expect(f, USER, REF_USER, UM_FAULT);
	done(f);
}

/* What changed in silence while another was current is seen after the switch, whatever was kept. */
TOLD(inactive_directory_changed_in_silence)
{
	static const struct { uint32_t pde; unsigned access; enum um_result result; um_gfn gfn; } changes[] = {
		{ USER_TABLE_B | 0x27, REF_USER, UM_OK, PAGE_2 >> 12 },
		{ USER_TABLE | 0x25, REF_USER | REF_WRITE, UM_FAULT, 0 }, /* no longer writable */
		{ USER_TABLE | 0x03, REF_USER, UM_FAULT, 0 },
		{ USER_TABLE | 0x07, REF_USER, UM_OK, PAGE >> 12 },       /* not Accessed: to be set again */
		{ 0, REF_USER, UM_FAULT, 0 },
	};

	for (unsigned i = 0; i < sizeof changes / sizeof changes[0]; i++) {
		fake_quiet(f, pde_gpa(DIR_A, USER), USER_TABLE | 7);
		fake_switch(f, DIR_A);
		expect(f, USER, REF_USER | REF_WRITE, UM_OK);
		fake_switch(f, DIR_B);
		fake_quiet(f, pde_gpa(DIR_A, USER), changes[i].pde);
		fake_switch(f, DIR_A);
		struct fake_access got = fake_access(f, USER, changes[i].access);
		assert_int_equal(got.result, changes[i].result);
		if (got.result == UM_OK)
			assert_int_equal(got.gpa >> 12, changes[i].gfn);
		if (got.result == UM_OK)
			assert_true(fake_read(f, pde_gpa(DIR_A, USER)) & 0x20);
	}
	done(f);
}

/* Tables that still agree are there at once after a switch, up to a number of entries. */
TOLD(tables_are_kept_over_a_switch)
{
	uint64_t faults;

	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	fake_switch(f, DIR_B);
	expect(f, USER, REF_USER, UM_OK);
	fake_switch(f, DIR_A);
	faults = stats(f).faults;
	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	assert_int_equal(stats(f).faults, faults);
	for (uint32_t i = 0; i < 512; i++) {
		fake_quiet(f, pte_gpa(USER_TABLE, i << 12), PAGE | 0x67);
		expect(f, (USER & 0xFFC00000u) + (i << 12), REF_USER, UM_OK);
	}
	fake_switch(f, DIR_B);
	fake_switch(f, DIR_A);
	assert_false(mapped(f, USER, REF_USER));
	expect(f, USER, REF_USER, UM_OK);
	done(f);
}

BOTH(low_bits_of_cr3)
{
	uint64_t hits;

	expect(f, USER, REF_USER, UM_OK);
	fake_switch(f, DIR_B);
	expect(f, USER, REF_USER, UM_OK);
	hits = stats(f).switch_hits;
	fake_switch(f, DIR_A | 0x18);
	assert_int_equal(stats(f).switch_hits, hits + 1);
	expect(f, USER, REF_USER, UM_OK);
	done(f);
}

/* The root that was not used for the longest time goes, and a free place is taken first (D12). */
BOTH(least_recently_used_root_goes)
{
	uint64_t hits;

	for (uint32_t i = 0; i < 4; i++) {
		fake_quiet(f, pde_gpa(0x6000 + i * 0x1000, USER), USER_TABLE | 7);
		fake_switch(f, 0x6000 + i * 0x1000);
		expect(f, USER, 0, UM_OK);
	}
	fake_switch(f, 0x6000);
	expect(f, USER, 0, UM_OK);
	fake_switch(f, DIR_B);                                    /* 0x7000 has to go */
	expect(f, USER, 0, UM_OK);
	hits = stats(f).switch_hits;
	fake_switch(f, 0x6000);
	fake_switch(f, 0x8000);
	fake_switch(f, 0x9000);
	assert_int_equal(stats(f).switch_hits, hits + 3);
	fake_switch(f, 0x7000);
	assert_int_equal(stats(f).switch_hits, hits + 3);
	done(f);
}

/* More roots than any small index type holds by accident (D16). */
static void three_hundred_roots(void **state)
{
	struct fake *f = fake_new(1024, UM_LEARN_TRACKED, UM_OPT_ALL, 1000, 300);

	(void)state;
	for (uint32_t turn = 0; turn < 3; turn++)
		for (uint32_t i = 0; i < 300; i++) {
			uint32_t dir = 0x10000 + i * 0x1000;

			fake_poke(f, pde_gpa(dir, USER), 0x3000 | 7);
			fake_poke(f, 0x3000 + 4, PAGE | 7);
			if (turn == 0 && i == 0)
				fake_set_mode(f, REF_PG, dir);
			fake_switch(f, dir);
			expect(f, USER, REF_USER, UM_OK);
		}
	assert_int_equal(stats(f).roots, 300);
	assert_true(stats(f).switch_hits >= 599);
	done(f);
}

TOLD(flush_user_and_flush_all)
{
	expect(f, USER, REF_USER, UM_OK);
	expect(f, KERNEL, 0, UM_OK);
	um_flush_user(f->um);
	assert_false(mapped(f, USER, 0));
	assert_true(mapped(f, KERNEL, 0));
	assert_int_equal(um_pin_page(f->um, KERNEL), UM_OK);
	fake_switch(f, DIR_B);
	expect(f, USER, REF_USER, UM_OK);
	um_flush_all(f->um);
	assert_false(mapped(f, USER, 0));
	assert_false(mapped(f, KERNEL, 0));
	assert_int_equal(um_pin_page(f->um, KERNEL), UM_OK);      /* the stack is usable at once */
	assert_true(mapped(f, KERNEL, REF_WRITE));
	fake_switch(f, DIR_A);                                    /* ... and in the other root (D11) */
	assert_int_equal(um_pin_page(f->um, KERNEL), UM_OK);
	assert_true(mapped(f, KERNEL, REF_WRITE));
	done(f);
}

/* Before the split is known all addresses are the user's: a user flush drops them (N2). */
static void flush_user_before_the_split(void **state)
{
	struct fake *f = told();

	(void)state;
	assert_int_equal(um_set_user_end(f->um, 0), UM_OK);
	expect(f, USER, REF_USER, UM_OK);
	expect(f, KERNEL, 0, UM_OK);
	um_flush_user(f->um);
	assert_false(mapped(f, USER, 0));
	assert_false(mapped(f, KERNEL, 0));
	done(f);
}

/* A full flush is one step, however much is mapped; what it leaves is given back in bounded steps (R13). */
static void flush_all_is_one_step(void **state)
{
	struct fake *f = fake_new(2048, UM_LEARN_TRACKED, UM_OPT_ALL, 64, 4);
	uint64_t puts;

	(void)state;
	for (uint32_t i = 0; i < 1024; i++)
		fake_quiet(f, 0x2000 + 4 * i, (i + 512) << 12 | 7);
	fake_quiet(f, 0x1000, 0x2000 | 7);
	fake_set_mode(f, REF_PG, 0x1000);
	for (uint32_t i = 0; i < 1024; i++)
		expect(f, i << 12, 0, UM_OK);
	puts = f->puts;
	um_flush_all(f->um);
	assert_true(f->puts - puts <= 128);
	assert_false(mapped(f, 0x5000, 0));
	for (uint32_t i = 0; i < 1024; i++) {
		puts = f->puts;
		expect(f, i << 12, 0, UM_OK);
		assert_true(f->puts - puts <= 1100);              /* at most one table's worth at a time */
	}
	done(f);
}

BOTH(pinning)
{
	assert_int_equal(um_pin_page(f->um, KERNEL), UM_OK);
	assert_true(mapped(f, KERNEL, REF_WRITE));
	assert_int_equal(fake_read(f, pte_gpa(KERNEL_TABLE, KERNEL)), 0x20000 | 0x63);
	fake_quiet(f, pte_gpa(KERNEL_TABLE, KERNEL + 0x1000), 0x21000 | 1);
	assert_int_equal(um_pin_page(f->um, KERNEL + 0x1000), UM_FAULT); /* a read-only stack page */
	assert_false(mapped(f, KERNEL + 0x1000, 0));
	done(f);
}

/* ---- 5. The window -------------------------------------------------------------------------- */

BOTH(window_is_the_hosts)
{
	struct um_map map;

	assert_int_equal(um_window_reserve(f->um, 0xFFC00000u, 0x400000), UM_OK);
	assert_int_equal(um_window_reserve(f->um, 0xFF800000u, 0x400000), UM_EINVAL);
	assert_int_equal(um_window_map(f->um, 0, 0xFFC01000u, 0x77, UM_WRITE), UM_OK);
	assert_int_equal(um_window_map(f->um, 0, 0xFFC02000u, 0x78, 0), UM_OK);
	assert_int_equal(um_window_map(f->um, 1, 0xFFC01000u, 0x79, UM_WRITE), UM_OK);
	assert_int_equal(um_window_map(f->um, 0, 0xFFB00000u, 0x78, 0), UM_EINVAL);
	assert_int_equal(um_window_map(f->um, UM_MAX_CPUS, 0xFFC01000u, 0x78, 0), UM_EINVAL);
	/* The guest's own entry for that slot leads nowhere, and a touch is reflected, never a stop. */
	fake_quiet(f, pde_gpa(DIR_A, 0xFFC00000u), USER_TABLE | 7);
	um_set_pde(f->um, DIR_A, 5);
	expect(f, USER, REF_USER, UM_OK);
	expect(f, 0xFFC01000u, REF_USER, UM_FAULT);
	expect(f, 0xFFC05000u, 0, UM_FAULT);
	assert_int_equal(um_window_enter(f->um, 0), UM_OK);
	assert_int_equal(um_window_lookup(f->um, 0xFFC01000u, &map), UM_OK);
	assert_true(map.hfn == 0x77 && map.rights == UM_WRITE);
	assert_int_equal(um_window_lookup(f->um, 0xFFC02000u, &map), UM_OK);
	assert_true(map.hfn == 0x78 && map.rights == 0);
	/* The guest's own accesses never see it, whatever their privilege. */
	assert_int_equal(um_lookup(f->um, 0xFFC01000u, REF_WRITE, &map), UM_EMPTY);
	expect(f, 0xFFC02000u, 0, UM_FAULT);
	um_flush_all(f->um);
	fake_switch(f, DIR_B);
	assert_int_equal(um_window_enter(f->um, 1), UM_OK);
	assert_int_equal(um_window_lookup(f->um, 0xFFC01000u, &map), UM_OK);
	assert_true(map.hfn == 0x79);                             /* each processor sees its own page */
	expect(f, 0xFFC06000u, REF_USER | REF_WRITE, UM_FAULT);
	done(f);
}

static void window_limits(void **state)
{
	struct fake *f = told();

	(void)state;
	assert_int_equal(um_window_reserve(f->um, 0xFFC01000u, 0x400000), UM_EINVAL);
	assert_int_equal(um_window_reserve(f->um, 0xFFC00000u, 0x1000), UM_EINVAL);
	assert_int_equal(um_window_reserve(f->um, 0x80000000u, 0x400000), UM_EINVAL);
	assert_int_equal(um_window_reserve(f->um, 0xFFC00000u, 0x400000), UM_OK);
	assert_int_equal(um_set_user_end(f->um, 0xFFC00000u), UM_EINVAL); /* I12 */
	assert_int_equal(um_set_user_end(f->um, 0x80000000u), UM_OK);
	done(f);
}

/* ---- 6. The host's side --------------------------------------------------------------------- */

/* Fail the n-th allocation, for every n that is ever reached: the guest goes on. */
static void every_allocation_fails_once(struct fake *(*make)(void))
{
	uint64_t calls = 0;

	for (uint64_t n = 1; n <= calls + 1; n++) {
		struct fake *f = make();

		f->fail_at = n;
		for (uint32_t turn = 0; turn < 4; turn++) {
			fake_switch(f, turn & 1 ? DIR_B : DIR_A);
			for (unsigned tries = 0;; tries++) {
				enum um_result r = fake_access(f, USER, REF_USER | REF_WRITE).result;

				if (r == UM_OK)
					break;
				assert_int_equal(r, UM_NOMEM);
				assert_true(tries < 3);
				assert_int_equal(um_audit(f->um).invariant, 0);
			}
			while (fake_access(f, KERNEL, REF_WRITE).result == UM_NOMEM)
				;
			assert_true(mapped(f, KERNEL, REF_WRITE));
		}
		calls = f->table_calls;
		done(f);
	}
	assert_true(calls >= 3);
}

static void allocation_failures(void **state)
{
	(void)state;
	every_allocation_fails_once(told);
	every_allocation_fails_once(tracked);
}

BOTH(budget_is_hard_and_evicts)
{
	for (uint32_t slot = 1; slot < 32; slot++) {
		fake_quiet(f, DIR_A + 4 * slot, (0x20000 + slot * 0x400) | 7 | 0);
		fake_quiet(f, DIR_A + 4 * slot, USER_TABLE | 7);
	}
	assert_int_equal(um_set_budget(f->um, UM_MIN_TABLES), UM_OK);
	assert_int_equal(um_set_budget(f->um, UM_MIN_TABLES - 1), UM_EINVAL);
	for (uint32_t i = 0; i < 10; i++) {
		uint32_t table = 0x20000 + i * 0x1000;

		fake_quiet(f, DIR_A + 4 * (40 + i), table | 7);
		fake_quiet(f, pte_gpa(table, 0), PAGE | 7);
	}
	for (uint32_t turn = 0; turn < 3; turn++)
		for (uint32_t i = 0; i < 10; i++)
			expect(f, (40 + i) << 22, REF_USER, UM_OK);
	assert_true(stats(f).tables <= UM_MIN_TABLES);
	assert_true(stats(f).evictions > 0);
	assert_true(um_shrink(f->um, 100) > 0);
	expect(f, USER, REF_USER, UM_OK);
	done(f);
}

BOTH(frames_can_be_taken_back)
{
	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	um_forget_frame(f->um, PAGE >> 12);
	assert_int_equal(f->borrowed[PAGE >> 12], 0);
	assert_int_equal(f->dirty_puts, 1);                       /* D22: the host learns it was written */
	f->epoch[PAGE >> 12]++;
	assert_true(fake_access(f, USER, REF_USER).hfn == fake_hfn(f, PAGE >> 12));
	um_forget_frame(f->um, 0xFFFFFFFFFFull);                  /* no such frame: nothing */
	done(f);
}

/* Every loss of rights reaches the hardware before the call returns (R9). */
BOTH(downgrades_invalidate)
{
	expect(f, USER, REF_USER | REF_WRITE, UM_OK);
	fake_poke(f, pte_gpa(USER_TABLE, USER), PAGE | 0x65);
	um_set_pte(f->um, DIR_A, USER, PAGE | 0x65);
	um_flush_page(f->um, USER);
	expect(f, USER, REF_USER | REF_WRITE, UM_FAULT);
	expect(f, USER, REF_USER, UM_OK);
	assert_true(f->invalidations > 0);
	done(f);
}

static void make_and_destroy(void **state)
{
	uint32_t rng = 1;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		struct fake *f = guest_with(i & 1 ? UM_LEARN_TOLD : UM_LEARN_TRACKED, i & UM_OPT_ALL, 8, 2);

		for (unsigned n = 0; n < 12; n++) {
			rng = rng * 1664525u + 1013904223u;
			switch (rng >> 29) {
			case 0: fake_switch(f, rng & 0x10000 ? DIR_A : DIR_B); break;
			case 1: um_flush_all(f->um); break;
			case 2: um_forget_frame(f->um, PAGE >> 12); break;
			case 3: um_set_pte(f->um, DIR_A, USER, PAGE | 0x67); break;
			case 4: um_set_pde(f->um, DIR_B, USER >> 22); break;
			default: fake_access(f, rng & 0x20000 ? USER : KERNEL, rng >> 20 & 6); break;
			}
		}
		assert_null(fake_free(f));
	}
}

/* Two shadows in one process know nothing of each other (D27). */
static void two_shadows(void **state)
{
	struct fake *a = told(), *b = tracked();

	(void)state;
	expect(a, USER, REF_USER, UM_OK);
	fake_quiet(b, pte_gpa(USER_TABLE, USER), PAGE_2 | 7);
	expect(b, USER, REF_USER | REF_WRITE, UM_OK);
	um_flush_all(b->um);
	assert_true(mapped(a, USER, REF_USER));
	assert_false(mapped(b, USER, 0));
	assert_true(fake_access(a, USER, 0).gpa == PAGE);
	assert_true(fake_access(b, USER, 0).gpa == PAGE_2);
	done(a);
	expect(b, USER, 0, UM_OK);
	done(b);
}

/* ---- 7. Tracked changes --------------------------------------------------------------------- */

/* Not present to present needs no flush, ever (field lesson 2). */
TRACKED(new_entries_need_no_flush)
{
	fake_quiet(f, pte_gpa(KERNEL_TABLE, 0xC0003000u), USER_TABLE | 3); /* the kernel maps the table */
	expect(f, USER, REF_USER, UM_OK);
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t gva = 0x00410000 + (i << 12);

		expect(f, gva, REF_USER, UM_FAULT);
		fake_store(f, 0xC0003000u + 4 * (gva >> 12 & 1023), PAGE | 7);
		expect(f, gva, REF_USER, UM_OK);
	}
	done(f);
}

TRACKED(device_writes_count)
{
	expect(f, USER, REF_USER, UM_OK);
	fake_poke(f, pte_gpa(USER_TABLE, USER), PAGE_2 | 7);      /* by DMA, say */
	um_flush_page(f->um, USER);
	assert_true(fake_access(f, USER, REF_USER).gpa == PAGE_2);
	for (uint32_t i = 0; i < 1024; i++)
		fake_quiet(f, DIR_A + 4 * i, 0);
	um_guest_wrote(f->um, DIR_A, 4096);
	um_flush_all(f->um);
	expect(f, USER, REF_USER, UM_FAULT);
	done(f);
}

/* A table page that is also mapped writable may be written only under the core's eyes. */
TRACKED(no_writable_alias_of_a_table)
{
	fake_quiet(f, pte_gpa(KERNEL_TABLE, 0xC0003000u), DIR_A | 0x63);
	expect(f, 0xC0003000u, REF_WRITE, UM_TRACKED);            /* the directory is in use */
	expect(f, USER, REF_USER, UM_OK);
	assert_true(um_is_tracked(f->um, DIR_A >> 12));
	fake_store(f, 0xC0003000u + 4 * (USER >> 22), USER_TABLE_B | 7);
	um_flush_page(f->um, USER);
	assert_true(fake_access(f, USER, REF_USER).gpa == PAGE_2);
	done(f);
}

/* A directory that maps itself is a table at two levels. */
TRACKED(recursive_directory)
{
	fake_quiet(f, DIR_A + 4 * 1022, DIR_A | 3);
	expect(f, USER, REF_USER, UM_OK);
	expect(f, 0xFFBFE000u, 0, UM_OK);                         /* the directory, seen through itself */
	assert_true(fake_access(f, 0xFF800000u + (USER >> 10 & ~3u), 0).gpa == pte_gpa(USER_TABLE, USER));
	fake_store(f, 0xFF800000u + (USER >> 10 & ~3u), PAGE_2 | 7);
	um_flush_page(f->um, USER);
	assert_true(fake_access(f, USER, REF_USER).gpa == PAGE_2);
	fake_store(f, 0xFFBFE000u + 4 * (USER >> 22), 0);
	um_flush_page(f->um, USER);
	expect(f, USER, REF_USER, UM_FAULT);
	done(f);
}

/* Toggling CR0.WP must not leave the other mode's rights behind (field lesson 3). */
TRACKED(write_protect_toggles)
{
	fake_quiet(f, pte_gpa(USER_TABLE, USER), PAGE | 5);
	expect(f, USER, REF_WRITE, UM_FAULT);
	fake_set_mode(f, REF_PG, DIR_A);
	expect(f, USER, REF_WRITE, UM_OK);
	assert_int_equal(upte(f), PAGE | 0x65);
	expect(f, USER, REF_USER | REF_WRITE, UM_FAULT);
	expect(f, USER, REF_USER, UM_OK);
	expect(f, USER, REF_WRITE, UM_OK);
	fake_set_mode(f, REF_PG | REF_WP, DIR_A);
	expect(f, USER, REF_WRITE, UM_FAULT);
	expect(f, USER, REF_USER, UM_OK);
	done(f);
}

/* Read-only memory is read through the shadow and written as MMIO. */
TRACKED(rom)
{
	f->rom_from = PAGE >> 12;
	f->rom_to = (PAGE >> 12) + 1;
	expect(f, USER, REF_USER, UM_OK);
	expect(f, USER, REF_USER | REF_WRITE, UM_MMIO);
	expect(f, USER, REF_USER, UM_OK);
	done(f);
}

/* With paging off every address is its own, and turning paging on starts clean. */
static void paging_off(void **state)
{
	struct fake *f = fake_new(FRAMES, UM_LEARN_TRACKED, UM_OPT_ALL, 16, 4);

	(void)state;
	assert_true(fake_access(f, 0x3123, REF_WRITE).gpa == 0x3123);
	expect(f, FRAMES << 12, 0, UM_MMIO);
	assert_true(fake_access(f, 0xFFFFFFFFu, 0).gpa == 0xFFFFFFFFu);
	fake_store(f, 0x1000, 0x2000 | 7);
	fake_store(f, 0x2000, 0x9000 | 7);
	fake_set_mode(f, REF_PG, 0x1000);
	assert_true(fake_access(f, 0x123, REF_WRITE).gpa == 0x9123);
	fake_set_mode(f, 0, 0x1000);
	assert_true(fake_access(f, 0x123, REF_WRITE).gpa == 0x123);
	done(f);
}

/* The guest's number of tables, not its processes, sets what the kernel half costs (R8, W8). */
TRACKED(kernel_tables_are_shared)
{
	uint64_t fills;

	expect(f, KERNEL, 0, UM_OK);
	fills = stats(f).fills;
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t dir = 0x8000 + i * 0x1000;

		fake_quiet(f, pde_gpa(dir, KERNEL), KERNEL_TABLE | 3);
		fake_switch(f, dir);
		expect(f, KERNEL, 0, UM_OK);
	}
	assert_true(stats(f).fills <= fills + 3);
	assert_true(stats(f).tables <= 2 + 3);
	done(f);
}

#define T(NAME, FUNCTION) { NAME, FUNCTION, NULL, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		T("B1 R2 I3 read-only until the first write", read_then_write),
		T("B2 R4 refused accesses change nothing", refusals_change_nothing),
		T("D8 error code bits", error_code_bits),
		T("B12 R3 D7 directory rights count", directory_rights_count),
		T("R16 D20 A/D written back only when they change", write_backs_only_when_needed),
		T("D21 a read-only mapping borrows read-only", read_only_borrows_read_only),
		T("D13 fruitless faults cost no tables", fruitless_faults_cost_no_tables),
		T("D14 frame numbers are unsigned", high_frame_numbers),
		T("D15 a refused frame leaves nothing", refused_frame_leaves_nothing),
		T("R17 D23 global and cache bits", global_is_ignored_and_cache_bits_too),
		T("R5 N1 unmapped stack", unmapped_stack_is_an_error_value),
		T("B3 D3 D4 set_pte with A, with A and D", set_pte_accessed_dirty),
		T("B4 set_pte untouched", set_pte_untouched_waits_for_a_fault),
		T("B5 R1 D2 set_pte not present with soft bits", set_pte_not_present),
		T("B6 set_pte 0 over a valid entry", set_pte_zero_over_a_valid_entry),
		T("B7 R8 D10 kernel changes reach every root", kernel_changes_reach_every_root),
		T("B10 D6 frame limit", frame_limit),
		T("B11 D5 R17 large pages refused when told", large_pages_are_refused),
		T("B14 R6 D1 null and unknown roots", null_and_unknown_roots),
		T("B15 D18 D19 N3 N4 directory index range", directory_index_range),
		T("N5 set_pde drops one slot", set_pde_drops_one_slot),
		T("D25 set_pte for another root", set_pte_elsewhere),
		T("B8 five address spaces", five_address_spaces),
		T("B9 R7 D9 inactive table changed in place", inactive_table_changed_in_place),
		T("R7 D9 inactive directory changed in silence", inactive_directory_changed_in_silence),
		T("R7 R13 tables are kept over a switch", tables_are_kept_over_a_switch),
		T("D26 low bits of CR3", low_bits_of_cr3),
		T("R12 D12 least recently used root goes", least_recently_used_root_goes),
		T("D16 three hundred roots", three_hundred_roots),
		T("B13 R15 D11 flush user, flush all, stack", flush_user_and_flush_all),
		T("N2 flush user before the split", flush_user_before_the_split),
		T("R13 D24 flush all is one step", flush_all_is_one_step),
		T("B16 pinning and a read-only stack page", pinning),
		T("B20 R10 D17 the window is the host's", window_is_the_hosts),
		T("I8 I12 window limits", window_limits),
		T("B17 R11 every allocation fails once", allocation_failures),
		T("R11 hard budget evicts", budget_is_hard_and_evicts),
		T("R14 D22 frames can be taken back", frames_can_be_taken_back),
		T("R9 downgrades invalidate", downgrades_invalidate),
		T("B18 I1 I2 made and destroyed 10,000 times", make_and_destroy),
		T("D27 two shadows", two_shadows),
		T("new entries need no flush", new_entries_need_no_flush),
		T("device writes count", device_writes_count),
		T("no writable alias of a table", no_writable_alias_of_a_table),
		T("recursive directory", recursive_directory),
		T("CR0.WP toggles", write_protect_toggles),
		T("read-only memory", rom),
		T("paging off", paging_off),
		T("R8 kernel tables are shared", kernel_tables_are_shared),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("behaviour", tests, NULL, NULL);
}
