/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_behaviour.c - the specification's behaviour tests B1-B20 as a paravirtual guest meets them: by
 * hypercalls and accesses, in every family, called directly and by the ring, with and without optimisations.
 *
 * What the ancestor did where it differed is in the comments: it killed, leaked, hung or crashed.
 *
 *   1. The guest of each test, and looking
 *   2. B1-B6    demand, SET_PTE
 *   3. B7-B9    kernel addresses, address spaces
 *   4. B10-B12  what an entry may not say
 *   5. B13-B16  flushes, odd addresses, the stack
 *   6. B20      the reserved area
 *
 * B17 to B19 are long or random: lguest_endurance.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lguest_rig.h"
#include "tests/lib/tap.h"

/* ---- 1. The guest of each test, and looking ------------------------------------------------- */

#define VA 0x10000000u
#define NEXT_VA 0x10001000u
#define KERNEL_VA 0xC1010000u /* in a page table that all spaces share, behind the mapped memory */

enum { A = 0x20, D = 0x40 };

typedef void body(struct lgrig *rig);

static struct lgrig *booted(enum lguest_family family, uint32_t options, bool by_ring)
{
	const struct lgrig_config config = { .family = family, .forced = true, .um_options = options,
		                             .cpu_options = options ? CPU_OPT_ALL : 0, .max_roots = 4,
		                             .max_tables = 64, .prefetch = 8, .tsc_khz = 1000000 };
	struct lgrig *rig = lgrig_new_with(&config);

	lgrig_boot(rig);
	rig->by_ring = by_ring;
	/* The programs' text and the stack are in before anything is counted. */
	assert_int_equal(lgrig_touch(rig, LGRIG_USER_TEXT, UM_USER), LGRIG_DONE);
	return rig;
}

/* Where all is slow, in B and F. */
static unsigned family_step(void) { return test_rounds(100) == 1 ? LGUEST_F - LGUEST_B : 1; }

static void in_each_family(body *test)
{
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family += family_step()) {
		for (unsigned form = 0; form < 3; form++) {
			struct lgrig *rig = booted((enum lguest_family)family, form == 2 ? 0 : UM_OPT_ALL, form == 1);

			test(rig);
			lgrig_free(rig);
		}
	}
}

#define EACH(NAME)                                                                                     \
	static void NAME##_body(struct lgrig *rig);                                                    \
	static void NAME(void **state) { (void)state; in_each_family(NAME##_body); }                   \
	static void NAME##_body(struct lgrig *rig)

static uint32_t entry_of(struct lgrig *rig, uint32_t gva) { return lgrig_get(rig, lgrig_entry(rig, rig->space, gva)); }

static bool mapped(struct lgrig *rig, uint32_t gva, unsigned access)
{
	struct um_map map;

	return um_lookup(rig->um, gva, access, &map) == UM_OK;
}

static uint32_t where(struct lgrig *rig, uint32_t gva)
{
	struct um_map map = { .gpa = 0 };

	assert_int_equal(um_lookup(rig->um, gva, 0, &map), UM_OK);
	return (uint32_t)map.gpa & ~0xFFFu;
}

static struct um_stats stats(struct lgrig *rig)
{
	struct um_stats s;

	um_get_stats(rig->um, &s);
	return s;
}

static void call(struct lgrig *rig, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3)
{
	enum lgrig_result result = lgrig_call(rig, number, a1, a2, a3, 0);

	if (result != LGRIG_DONE)
		fail_msg("family %s, call %u: %d, %s", lguest_family_name(rig->family), number, (int)result,
		         lguest_reason(rig->lg));
}

/* The guest is no more, and says this. */
static void dead(struct lgrig *rig, enum lgrig_result result, const char *why)
{
	assert_int_equal(result, LGRIG_ENDED);
	assert_int_equal(lguest_ended(rig->lg), LGUEST_KILLED);
	if (!strstr(lguest_reason(rig->lg), why))
		fail_msg("family %s: '%s', not '%s'", lguest_family_name(rig->family), lguest_reason(rig->lg), why);
}

/* As the guest does it: the entry is in memory first. */
static void set_pte(struct lgrig *rig, uint32_t top, uint32_t gva, uint32_t pte)
{
	lgrig_map(rig, top, gva, pte);
	call(rig, LGCALL_SET_PTE, top, gva, pte);
}

static void reaches(struct lgrig *rig, uint32_t gva, unsigned access)
{
	assert_int_equal(lgrig_touch(rig, gva, access), LGRIG_DONE);
}

/* The fault is the guest's, with this error code. */
static void faults(struct lgrig *rig, uint32_t gva, unsigned access, uint32_t error)
{
	assert_int_equal(lgrig_touch(rig, gva, access), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 14);
	assert_int_equal(rig->frame.error, error);
	assert_int_equal(lgrig_data(rig, LGDATA_CR2), gva);
}

/* ---- 2. B1-B6: demand, SET_PTE -------------------------------------------------------------- */

EACH(b1_a_read_sets_accessed_only_and_maps_read_only)
{
	uint32_t page = lgrig_page(rig);
	unsigned before;

	lgrig_map(rig, rig->space, NEXT_VA, lgrig_page(rig) | 7);
	reaches(rig, NEXT_VA, UM_USER);
	lgrig_map(rig, rig->space, VA, page | 7);
	before = rig->borrowed;
	reaches(rig, VA, UM_USER);
	assert_int_equal(entry_of(rig, VA), page | 7 | A);
	assert_false(mapped(rig, VA, UM_WRITE));
	assert_int_equal(rig->borrowed, before + 1);
	reaches(rig, VA, UM_USER | UM_WRITE);
	assert_int_equal(entry_of(rig, VA), page | 7 | A | D);
	assert_true(mapped(rig, VA, UM_WRITE | UM_USER));
	assert_int_equal(rig->borrowed, before + 1);
}

EACH(b2_refused_accesses_are_reflected_and_change_nothing)
{
	static const struct { uint32_t flags; unsigned access; uint32_t error; } cases[] = {
		{ 5, UM_USER | UM_WRITE, 7 }, { 3, UM_USER, 5 }, { 3, UM_USER | UM_WRITE, 7 }, { 1, UM_WRITE, 3 },
		{ 5, UM_WRITE, 3 }, { 0, UM_USER, 4 }, { 0, UM_WRITE, 2 }, { 0, 0, 0 },
	};
	uint32_t page = lgrig_page(rig);

	for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++) {
		set_pte(rig, rig->space, VA, page | cases[n].flags);
		faults(rig, VA, cases[n].access, cases[n].error);
		assert_int_equal(entry_of(rig, VA), page | cases[n].flags);
	}
}

/* The ancestor installed an Accessed, clean entry writable: Dirty was lost. */
EACH(b3_set_pte_dirty_spares_the_fault_clean_does_not)
{
	uint32_t page = lgrig_page(rig);
	uint64_t before;

	lgrig_map(rig, rig->space, NEXT_VA, lgrig_page(rig) | 0x67);
	reaches(rig, NEXT_VA, UM_USER | UM_WRITE);
	set_pte(rig, rig->space, VA, page | 7 | A | D);
	before = stats(rig).faults;
	reaches(rig, VA, UM_USER | UM_WRITE);
	if (rig->config.um_options & UM_OPT_INSTALL_AHEAD)
		assert_int_equal(stats(rig).faults, before);
	set_pte(rig, rig->space, VA, page | 7 | A);
	assert_false(mapped(rig, VA, UM_WRITE));
	before = stats(rig).faults;
	reaches(rig, VA, UM_USER | UM_WRITE);
	assert_int_equal(stats(rig).faults, before + 1);
	assert_int_equal(entry_of(rig, VA), page | 7 | A | D);
}

EACH(b4_set_pte_unused_waits_for_the_access)
{
	uint32_t page = lgrig_page(rig);
	uint64_t before;

	lgrig_map(rig, rig->space, NEXT_VA, lgrig_page(rig) | 0x67);
	reaches(rig, NEXT_VA, UM_USER);
	set_pte(rig, rig->space, VA, page | 7);
	assert_false(mapped(rig, VA, 0));
	before = stats(rig).faults;
	reaches(rig, VA, UM_USER);
	assert_int_equal(stats(rig).faults, before + 1);
	assert_int_equal(entry_of(rig, VA), page | 7 | A);
}

/* PROT_NONE of 2.6.24 (bits 5 and 7), nonlinear files (6), swap types (5), PROT_NONE of 3.12 (8): the ancestor took
 * them for Accessed or large, and killed or leaked. */
EACH(b5_set_pte_not_present_only_removes)
{
	static const uint32_t bits[] = { 0x0A0, 0x040, 0x020, 0x160, 0x1E0, 0xFFE, 0xFFFFFFFE };
	uint32_t page = lgrig_page(rig);

	for (unsigned n = 0; n < sizeof bits / sizeof *bits; n++) {
		uint32_t pte = bits[n] > 0xFFF ? bits[n] : page | bits[n];
		unsigned held;

		set_pte(rig, rig->space, VA, page | 0x67);
		reaches(rig, VA, UM_USER | UM_WRITE);
		call(rig, LGCALL_FLUSH_ASYNC, 0, 0, 0);
		held = rig->borrowed;
		set_pte(rig, rig->space, VA, pte);
		assert_int_equal(rig->borrowed, held - 1);
		assert_false(mapped(rig, VA, 0));
		faults(rig, VA, UM_USER, UM_USER);
		assert_int_equal(entry_of(rig, VA), pte);
	}
}

EACH(b6_set_pte_0_forgets_but_never_writes)
{
	uint32_t page = lgrig_page(rig);

	set_pte(rig, rig->space, VA, page | 0x67);
	reaches(rig, VA, UM_USER);
	call(rig, LGCALL_SET_PTE, rig->space, VA, 0);
	assert_false(mapped(rig, VA, 0));
	assert_int_equal(entry_of(rig, VA), page | 0x67);
	reaches(rig, VA, UM_USER | UM_WRITE);
	assert_int_equal(where(rig, VA), page);
}

/* ---- 3. B7-B9: kernel addresses, address spaces --------------------------------------------- */

static void switch_to(struct lgrig *rig, uint32_t top) { call(rig, LGCALL_NEW_PGTABLE, top, 0, 0); }

EACH(b7_set_pte_of_the_kernel_is_seen_in_every_space)
{
	uint32_t space[3], page[2] = { lgrig_page(rig), lgrig_page(rig) };

	lgrig_map(rig, LGRIG_SWAPPER, KERNEL_VA, page[0] | 0x63);
	for (unsigned n = 0; n < 3; n++) {
		space[n] = lgrig_space(rig);
		switch_to(rig, space[n]);
		reaches(rig, KERNEL_VA, UM_WRITE);
		assert_int_equal(where(rig, KERNEL_VA), page[0]);
	}
	lgrig_map(rig, LGRIG_SWAPPER, KERNEL_VA, page[1] | 0x63);
	call(rig, LGCALL_SET_PTE, space[1], KERNEL_VA, page[1] | 0x63);
	for (unsigned n = 0; n < 3; n++) {
		switch_to(rig, space[n]);
		reaches(rig, KERNEL_VA, 0);
		assert_int_equal(where(rig, KERNEL_VA), page[1]);
	}
	lgrig_map(rig, LGRIG_SWAPPER, KERNEL_VA, 0);
	call(rig, LGCALL_SET_PTE, 0, KERNEL_VA, 0);
	for (unsigned n = 0; n < 3; n++) {
		switch_to(rig, space[n]);
		faults(rig, KERNEL_VA, 0, 0);
	}
}

/* The ancestor dropped it from one table only. */
EACH(b7_set_pmd_of_the_kernel_is_seen_in_every_space)
{
	const uint32_t va = 0xC8000000u, slot = va >> 22;
	uint32_t space[2], table[2] = { lgrig_page(rig), lgrig_page(rig) }, page[2] = { lgrig_page(rig), lgrig_page(rig) };

	for (unsigned n = 0; n < 2; n++)
		lgrig_put(rig, table[n], page[n] | 0x63);
	for (unsigned n = 0; n < 2; n++) {
		space[n] = lgrig_space(rig);
		lgrig_put(rig, space[n] + 4 * slot, table[0] | 0x67);
		switch_to(rig, space[n]);
		reaches(rig, va, 0);
		assert_int_equal(where(rig, va), page[0]);
	}
	for (unsigned n = 0; n < 2; n++)
		lgrig_put(rig, space[n] + 4 * slot, table[1] | 0x67);
	call(rig, LGCALL_SET_PGD, space[1], slot, 0);
	for (unsigned n = 0; n < 2; n++) {
		switch_to(rig, space[n]);
		reaches(rig, va, 0);
		assert_int_equal(where(rig, va), page[1]);
	}
}

/* More than are cached: each keeps its own memory. */
EACH(b8_spaces_in_rotation_never_see_each_other)
{
	enum { SPACES = 6 };
	uint32_t space[SPACES], page[SPACES];

	for (unsigned n = 0; n < SPACES; n++) {
		uint8_t mark = (uint8_t)(0x40 + n);

		space[n] = lgrig_space(rig);
		page[n] = lgrig_page(rig);
		lgrig_store(rig, page[n], &mark, 1);
		lgrig_map(rig, space[n], VA, page[n] | 7);
	}
	for (unsigned n = 0; n < 4 * SPACES; n++) {
		unsigned k = n * 5 % SPACES;
		struct cpu_regs regs;

		switch_to(rig, space[k]);
		reaches(rig, VA, UM_USER);
		cpu_get_regs(rig->cpu, &regs);
		assert_int_equal(regs.gpr[CPU_ECX] & 0xFF, 0x40 + k);
		assert_int_equal(where(rig, VA), page[k]);
	}
}

/* Family B never tells of these; real hardware reloads CR3.  The ancestor hit the stale translation. */
EACH(b9_silent_changes_of_an_inactive_space_are_found)
{
	static const uint32_t after[] = { 0, 0x0A0, 1, 5 };
	uint32_t space[2] = { rig->space, lgrig_space(rig) }, page = lgrig_page(rig), entry;

	entry = lgrig_entry(rig, space[1], VA);
	for (unsigned n = 0; n < sizeof after / sizeof *after; n++) {
		lgrig_put(rig, entry, page | 0x67);
		switch_to(rig, space[1]);
		reaches(rig, VA, UM_USER | UM_WRITE);
		switch_to(rig, space[0]);
		lgrig_put(rig, entry, page | after[n]);
		switch_to(rig, space[1]);
		faults(rig, VA, UM_USER | UM_WRITE, UM_USER | UM_WRITE | (after[n] & 1));
		switch_to(rig, space[0]);
	}
}

/* ---- 4. B10-B12: what an entry may not say -------------------------------------------------- */

/* One way for an entry to be met: announced, or found at an access. */
static enum lgrig_result meet(struct lgrig *rig, uint32_t pte, bool told)
{
	lgrig_map(rig, rig->space, VA, pte);
	return told ? lgrig_call(rig, LGCALL_SET_PTE, rig->space, VA, pte, 0) : lgrig_touch(rig, VA, UM_USER);
}

EACH(b10_the_last_page_maps)
{
	uint32_t last = LGRIG_LIMIT - UM_PAGE_SIZE;

	assert_int_equal(meet(rig, last | 0x67, true), LGRIG_DONE);
	assert_int_equal(meet(rig, last | 0x67, false), LGRIG_DONE);
	assert_int_equal(where(rig, VA), last);
	/* ... and may be a page table: it is empty. */
	lgrig_put(rig, rig->space + 4 * (VA >> 22), last | 0x67);
	call(rig, LGCALL_SET_PGD, rig->space, VA >> 22, 0);
	faults(rig, VA, UM_USER, UM_USER);
}

EACH(b10_a_page_at_the_limit_kills)
{
	/* Family G: devices' registers may be there; that there are none here is found at the access. */
	bool told = rig->by_ring && rig->family < LGUEST_G1;

	dead(rig, meet(rig, LGRIG_LIMIT | 0x67, told), "bad page table entry");
	assert_false(mapped(rig, VA, 0));
}

EACH(b10_a_table_at_the_limit_kills)
{
	lgrig_put(rig, rig->space + 4 * (VA >> 22), LGRIG_LIMIT | 0x67);
	dead(rig, lgrig_touch(rig, VA, UM_USER), "bad page directory entry");
	assert_false(mapped(rig, VA, 0));
}

EACH(b11_a_large_page_kills_and_is_not_mapped)
{
	struct um_map map;

	dead(rig, meet(rig, 0x00400000 | 0xE7, rig->by_ring), "bad page table entry");
	for (uint32_t va = VA; va < VA + 0x400000; va += UM_PAGE_SIZE)
		assert_int_equal(um_lookup(rig->um, va, 0, &map), UM_EMPTY);
}

EACH(b11_a_large_directory_entry_kills_and_is_not_mapped)
{
	lgrig_put(rig, rig->space + 4 * (VA >> 22), 0x00400000 | 0xE7);
	dead(rig, lgrig_touch(rig, VA, UM_USER), "bad page directory entry");
	assert_false(mapped(rig, VA, 0));
}

/* Later kernels set them; the host's caching is not theirs to choose, so they mean nothing. */
EACH(b11_cache_bits_are_accepted)
{
	uint32_t page = lgrig_page(rig);

	for (uint32_t bits = 0; bits <= 0x18; bits += 8) {
		set_pte(rig, rig->space, VA, page | 0x67 | bits);
		reaches(rig, VA, UM_USER | UM_WRITE);
		assert_int_equal(where(rig, VA), page);
	}
}

/* Rights are those of directory and table: the ancestor looked at the table alone, and the guest faulted for ever. */
EACH(b12_rights_of_the_directory_count)
{
	static const struct { uint32_t flags; unsigned access; uint32_t error; } cases[] = {
		{ 0x63, UM_USER, 5 }, { 0x65, UM_USER | UM_WRITE, 7 }, { 0x65, UM_WRITE, 3 }, { 0x61, UM_USER | UM_WRITE, 7 },
	};
	uint32_t table = lgrig_page(rig), page = lgrig_page(rig);

	lgrig_put(rig, table, page | 0x67);
	for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++) {
		lgrig_put(rig, rig->space + 4 * (VA >> 22), table | cases[n].flags);
		call(rig, LGCALL_SET_PGD, rig->space, VA >> 22, 0);
		faults(rig, VA, cases[n].access, cases[n].error);
		reaches(rig, VA, 0);
		assert_false(mapped(rig, VA, cases[n].access));
	}
}

/* ---- 5. B13-B16: flushes, odd addresses, the stack ------------------------------------------ */

static void stack_is_writable(struct lgrig *rig)
{
	assert_true(mapped(rig, lgrig_va(LGRIG_STACK_END) - 9, UM_WRITE));
	assert_true(mapped(rig, lgrig_va(LGRIG_STACK_END) - 9 - UM_PAGE_SIZE, UM_WRITE));
}

/* A system call, whose frame the processor itself pushes on that stack. */
static void system_call_works(struct lgrig *rig)
{
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xCD, 0x80), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x80);
	assert_true(rig->frame.from_user);
}

EACH(b13_flush_user_spares_the_kernel)
{
	uint32_t page = lgrig_page(rig);

	lgrig_map(rig, LGRIG_SWAPPER, KERNEL_VA, lgrig_page(rig) | 0x63);
	set_pte(rig, rig->space, VA, page | 0x67);
	reaches(rig, VA, UM_USER);
	reaches(rig, KERNEL_VA, 0);
	call(rig, LGCALL_FLUSH_TLB, 0, 0, 0);
	assert_false(mapped(rig, VA, 0));
	assert_true(mapped(rig, KERNEL_VA, 0));
	lgrig_put(rig, lgrig_entry(rig, rig->space, VA), 0);
	faults(rig, VA, UM_USER, UM_USER);
	system_call_works(rig);
}

EACH(b13_flush_all_leaves_a_usable_stack)
{
	uint32_t other = lgrig_space(rig), page = lgrig_page(rig);

	set_pte(rig, rig->space, VA, page | 0x67);
	reaches(rig, VA, UM_USER);
	switch_to(rig, other);
	reaches(rig, LGRIG_USER_TEXT, UM_USER);
	call(rig, LGCALL_FLUSH_TLB, 1, 0, 0);
	stack_is_writable(rig);
	assert_false(mapped(rig, LGRIG_USER_TEXT, 0));
	system_call_works(rig);
	switch_to(rig, rig->space);
	assert_false(mapped(rig, VA, 0));
	system_call_works(rig);
	reaches(rig, VA, UM_USER);
}

/* The ancestor took a slot that was never used for the table at 0, and crashed. */
EACH(b14_table_0_is_as_unknown_as_any)
{
	call(rig, LGCALL_SET_PTE, 0, VA, 0x67);
	call(rig, LGCALL_SET_PTE, 0, VA, 0);
	call(rig, LGCALL_SET_PGD, 0, VA >> 22, 0);
	call(rig, LGCALL_SET_PGD, 0, 0, 0);
	system_call_works(rig);
	/* A guest that switches to it has no code any more: it ends, and nobody else does. */
	(void)lgrig_call(rig, LGCALL_NEW_PGTABLE, 0, 0, 0, 0);
	dead(rig, lgrig_touch(rig, lgrig_va(0), 0), "Bad address");
}

EACH(b15_odd_indices_have_defined_results)
{
	static const uint32_t index[] = { 1022, 1023, 1024, 0x80000000u, 0xFFFFFFFFu };

	for (unsigned n = 0; n < sizeof index / sizeof *index; n++) {
		enum lgrig_result result = lgrig_call(rig, LGCALL_SET_PGD, rig->space, index[n], 0, 0);

		if (index[n] >= 1024 && rig->family >= LGUEST_F) {
			dead(rig, result, "Attempt to set pgd");
			return;
		}
		assert_int_equal(result, LGRIG_DONE);
		system_call_works(rig);
	}
}

/* Of a table that is not current: the window must be there when it is switched to (3.12 crashed). */
EACH(b15_the_windows_index_of_another_table_is_harmless)
{
	uint32_t other = lgrig_space(rig);

	switch_to(rig, other);
	switch_to(rig, rig->space);
	call(rig, LGCALL_SET_PGD, other, 1023, 0);
	switch_to(rig, other);
	system_call_works(rig);
	call(rig, LGCALL_FLUSH_TLB, 1, 0, 0);
}

EACH(b16_a_registered_stack_is_writable_at_once)
{
	uint32_t page[2] = { lgrig_page(rig), lgrig_page(rig) };

	call(rig, LGCALL_FLUSH_TLB, 1, 0, 0);
	call(rig, LGCALL_SET_STACK, 0x69, lgrig_va(page[1]) + UM_PAGE_SIZE, 2);
	assert_true(mapped(rig, lgrig_va(page[0]), UM_WRITE));
	assert_true(mapped(rig, lgrig_va(page[1]), UM_WRITE));
	system_call_works(rig);
	assert_int_equal(lgrig_get(rig, page[1] + UM_PAGE_SIZE - 4), rig->frame.ss);
	call(rig, LGCALL_SET_STACK, 0x69, lgrig_va(LGRIG_STACK_END) - 8, 0);
	system_call_works(rig);
}

/* The ancestor looped over the count even after it had killed the guest for it. */
static void b16_bad_stacks_are_refused(void **state)
{
	static const struct { uint32_t ss, esp, pages; const char *why; } cases[] = {
		{ 0x69, 0xC000E000u, 3, "bad stack pages" },   { 0x69, 0xC000E000u, 0xFFFFFFFFu, "bad stack pages" },
		{ 0x68, 0xC000E000u, 2, "bad stack segment" }, { 0x7B, 0xC000E000u, 2, "bad stack segment" },
		{ 0x69, 0xB0000000u, 1, "bad stack page" },    { 0x69, VA + UM_PAGE_SIZE, 1, "bad stack page" },
		{ 0x69, 0, 1, "bad stack page" },              { 0x69, 0xFFFFFFFFu, 2, "bad stack page" },
		{ 0x69, 0xFFC01000u, 2, "bad stack page" },
	};

	(void)state;
	for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++) {
		for (unsigned family = LGUEST_B; family <= LGUEST_G2; family += family_step()) {
			struct lgrig *rig = booted((enum lguest_family)family, UM_OPT_ALL, n & 1);

			set_pte(rig, rig->space, VA, lgrig_page(rig) | 0x21); /* read-only */
			dead(rig, lgrig_call(rig, LGCALL_SET_STACK, cases[n].ss, cases[n].esp, cases[n].pages, 0),
			     cases[n].why);
			lgrig_free(rig);
		}
	}
}

/* ---- 6. B20: the reserved area -------------------------------------------------------------- */

/* Even if the guest's own directory has something there; the ancestor killed the guest for its program's doing. */
EACH(b20_touching_the_reserved_area_is_a_fault_like_any)
{
	static const uint32_t at[] = { 0xFFC00000u, 0xFFC01000u, 0xFFC02000u, 0xFFFFFFFFu };
	uint32_t table = lgrig_page(rig);

	for (uint32_t n = 0; n < 1024; n++)
		lgrig_put(rig, table + 4 * n, table | 0x67);
	lgrig_put(rig, rig->space + 4 * 1023, table | 0x67);
	for (unsigned n = 0; n < sizeof at / sizeof *at; n++) {
		faults(rig, at[n], UM_USER, UM_USER);
		faults(rig, at[n], UM_USER | UM_WRITE, UM_USER | UM_WRITE);
		faults(rig, at[n], 0, 0);
		faults(rig, at[n], UM_WRITE, UM_WRITE);
	}
	system_call_works(rig);
}

#define T(NAME) cmocka_unit_test(NAME)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(b1_a_read_sets_accessed_only_and_maps_read_only),
		T(b2_refused_accesses_are_reflected_and_change_nothing),
		T(b3_set_pte_dirty_spares_the_fault_clean_does_not),
		T(b4_set_pte_unused_waits_for_the_access),
		T(b5_set_pte_not_present_only_removes),
		T(b6_set_pte_0_forgets_but_never_writes),
		T(b7_set_pte_of_the_kernel_is_seen_in_every_space),
		T(b7_set_pmd_of_the_kernel_is_seen_in_every_space),
		T(b8_spaces_in_rotation_never_see_each_other),
		T(b9_silent_changes_of_an_inactive_space_are_found),
		T(b10_the_last_page_maps),
		T(b10_a_page_at_the_limit_kills),
		T(b10_a_table_at_the_limit_kills),
		T(b11_a_large_page_kills_and_is_not_mapped),
		T(b11_a_large_directory_entry_kills_and_is_not_mapped),
		T(b11_cache_bits_are_accepted),
		T(b12_rights_of_the_directory_count),
		T(b13_flush_user_spares_the_kernel),
		T(b13_flush_all_leaves_a_usable_stack),
		T(b14_table_0_is_as_unknown_as_any),
		T(b15_odd_indices_have_defined_results),
		T(b15_the_windows_index_of_another_table_is_harmless),
		T(b16_a_registered_stack_is_writable_at_once),
		T(b16_bad_stacks_are_refused),
		T(b20_touching_the_reserved_area_is_a_fault_like_any),
	};

	return cmocka_run_group_tests_name("lguest_behaviour", tests, NULL, NULL);
}
