/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_defects.c - what the interface's original hosts did wrong, one test for each, in families B, F
 * and the last: a guest of any age meets a host without them.
 *
 *   1. Interrupts and time    1, 2, 11
 *   2. Bounds                 3, 6, 7, 8
 *   3. Page tables            4, 5, 9, 10, 12
 *
 * Number 13, lost NMIs, was the original's dealing with its own hardware; there is none here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lguest_rig.h"
#include "tests/lib/tap.h"

#define VA 0x10000000u

static void in_families(void (*test)(struct lgrig *rig))
{
	static const enum lguest_family families[] = { LGUEST_B, LGUEST_D, LGUEST_F, LGUEST_G2 };

	for (unsigned n = 0; n < sizeof families / sizeof *families; n++) {
		struct lgrig *rig = lgrig_new(families[n]);

		lgrig_boot(rig);
		lgrig_put(rig, LGRIG_DATA + LGDATA_BLOCKED, 0);
		test(rig);
		lgrig_free(rig);
	}
}

#define DEFECT(NAME)                                                                                   \
	static void NAME##_body(struct lgrig *rig);                                                    \
	static void NAME(void **state) { (void)state; in_families(NAME##_body); }                      \
	static void NAME##_body(struct lgrig *rig)

static void call(struct lgrig *rig, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3)
{
	if (lgrig_call(rig, number, a1, a2, a3, 0) != LGRIG_DONE)
		fail_msg("family %s, call %u: %s", lguest_family_name(rig->family), number, lguest_reason(rig->lg));
}

/* Out of the last handler. */
static void go_on(struct lgrig *rig) { assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x90), LGRIG_DONE); }

static bool has_pending(const struct lgrig *rig) { return rig->family >= LGUEST_D; }

/* ---- 1. Interrupts and time ----------------------------------------------------------------- */

/* The guest's way back stores a whole EFLAGS, such as 0x046. */
DEFECT(defect_1_only_bit_9_enables_interrupts)
{
	static const uint32_t off[] = { 0, 0x046, 0x0D7, 0xFFFFFDFFu };

	for (unsigned n = 0; n < sizeof off / sizeof *off; n++) {
		lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, off[n]);
		go_on(rig);
		lguest_raise(rig->lg, 3);
		assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
		assert_true(lguest_is_waiting(rig->lg));
		lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, 0x246);
		assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 0x23);
	}
}

/* irq_pending stayed set for ever, and each restoring of flags became a call. */
DEFECT(defect_2_irq_pending_is_cleared_with_the_last_interrupt)
{
	struct lguest_stats stats;

	if (!has_pending(rig))
		return;
	lguest_raise(rig->lg, 1);
	lguest_raise(rig->lg, 2);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), 0x200);
	lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(lgrig_call(rig, LGCALL_SEND_INTERRUPTS, 0, 0, 0, 0), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x21);
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), 0x200);
	lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(lgrig_call(rig, LGCALL_SEND_INTERRUPTS, 0, 0, 0, 0), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x22);
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), 0);
	/* Masked while it waits: the guest need not ask for it either. */
	go_on(rig);
	lguest_raise(rig->lg, 4);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	lgrig_put(rig, LGRIG_DATA + LGDATA_BLOCKED, 1u << 4);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), 0);
	lguest_get_stats(rig->lg, &stats);
	assert_int_equal(stats.needless_sends, 0);
}

/* The timer ran on the wall clock; a wake-up between the check and the sleep was lost. */
DEFECT(defect_11_the_timer_knows_no_wall_clock_and_halt_misses_nothing)
{
	call(rig, LGCALL_SET_CLOCKEVENT, 5000, 0, 0);
	rig->seconds -= 1000000; /* the host's date is corrected */
	rig->now += 4999;
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	rig->now += 1;
	/* It has expired, and nobody has looked yet. */
	assert_int_equal(lgrig_call(rig, LGCALL_HALT, 0, 0, 0, 0), LGRIG_HALTED);
	assert_true(lguest_deadline(rig->lg) <= rig->now);
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x20);
	assert_true(lguest_deadline(rig->lg) == UINT64_MAX);
	/* A device's, raised before the guest halts: it does not sleep at all. */
	lguest_raise(rig->lg, 5);
	assert_int_equal(lgrig_call(rig, LGCALL_HALT, 0, 0, 0, 0), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x25);
}

/* ---- 2. Bounds ------------------------------------------------------------------------------ */

/* A range that ends exactly at the limit was refused; one byte further must be. */
DEFECT(defect_3_the_last_bytes_of_memory_are_memory)
{
	enum lgrig_result result;

	call(rig, LGCALL_LOAD_TLS, LGRIG_LIMIT - 24, 0, 0);
	if (rig->family < LGUEST_D)
		call(rig, LGCALL_LOAD_GDT, LGRIG_LIMIT - 8, 1, 0);
	call(rig, LGCALL_NEW_PGTABLE, rig->space, 0, 0);
	result = lgrig_call(rig, LGCALL_LOAD_TLS, LGRIG_LIMIT - 23, 0, 0, 0);
	assert_int_equal(result, LGRIG_ENDED);
	assert_non_null(strstr(lguest_reason(rig->lg), "bad read address"));
}

/* Lengths and addresses whose sum wraps. */
DEFECT(defect_3_a_range_that_wraps_is_refused)
{
	assert_int_equal(lgrig_call(rig, LGCALL_LOAD_TLS, 0xFFFFFFF0u, 0, 0, 0), LGRIG_ENDED);
	assert_non_null(strstr(lguest_reason(rig->lg), "bad read address"));
}

/* It killed, and then looped over the count all the same. */
DEFECT(defect_6_a_huge_stack_is_refused_before_it_is_looked_at)
{
	struct um_stats before, after;

	um_get_stats(rig->um, &before);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_STACK, 0x69, lgrig_va(LGRIG_STACK_END), 0xFFFFFFFFu, 0), LGRIG_ENDED);
	um_get_stats(rig->um, &after);
	assert_true(after.faults - before.faults < 8);
	assert_non_null(strstr(lguest_reason(rig->lg), "bad stack pages"));
}

/* 128 bytes were read though the string was shorter and memory ended. */
DEFECT(defect_7_a_crash_text_may_end_with_memory)
{
	lgrig_store(rig, LGRIG_LIMIT - 6, "panic", 6);
	assert_int_equal(lgrig_call(rig, LGCALL_SHUTDOWN, LGRIG_LIMIT - 6, 1, 0, 0), LGRIG_ENDED);
	assert_int_equal(lguest_ended(rig->lg), LGUEST_CRASHED);
	assert_string_equal(lguest_reason(rig->lg), "CRASH: panic");
}

/* An unmapped stack or eip killed the guest, and then an assertion of the host. */
DEFECT(defect_8_no_stack_and_no_code_end_the_guest_only)
{
	static const uint8_t no_stack[] = { 0xBC, 0, 0, 0, 0xB0, 0xCC };      /* mov $0xB0000000,%esp; int3 */
	static const uint8_t no_code[] = { 0xBC, 0, 0, 0, 0xB0, 0xFF, 0xE4 }; /* ... jmp *%esp */
	bool code = rig->family & 1;

	assert_int_equal(lgrig_execute(rig, 1, code ? no_code : no_stack, code ? sizeof no_code : sizeof no_stack),
	                 LGRIG_ENDED);
	assert_int_equal(lguest_ended(rig->lg), LGUEST_KILLED);
	assert_non_null(strstr(lguest_reason(rig->lg), "Bad address"));
}

/* ---- 3. Page tables ------------------------------------------------------------------------- */

/* Bits of values that are not present were taken for Accessed, Dirty and large. */
DEFECT(defect_4_absent_entries_have_no_meaning)
{
	static const uint32_t values[] = { 0x0A0, 0x040, 0x020, 0x060, 0x160, 0xFFFFF0E0u, 0xFFFFFFFEu };

	for (unsigned n = 0; n < sizeof values / sizeof *values; n++) {
		lgrig_map(rig, rig->space, VA, values[n]);
		call(rig, LGCALL_SET_PTE, rig->space, VA, values[n]);
		assert_int_equal(lgrig_touch(rig, VA, UM_USER), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.error, UM_USER);
	}
}

/* Accessed and clean was installed writable. */
DEFECT(defect_5_dirty_is_not_lost)
{
	uint32_t page = lgrig_page(rig);
	struct um_map map;

	lgrig_map(rig, rig->space, VA, page | 0x27);
	call(rig, LGCALL_SET_PTE, rig->space, VA, page | 0x27);
	assert_int_equal(um_lookup(rig->um, VA, UM_WRITE, &map), UM_EMPTY);
	assert_int_equal(lgrig_touch(rig, VA, UM_USER | UM_WRITE), LGRIG_DONE);
	assert_int_equal(lgrig_get(rig, lgrig_entry(rig, rig->space, VA)), page | 0x67);
}

/* Address 0 matched a slot that had never been used. */
DEFECT(defect_9_table_0_is_no_table)
{
	call(rig, LGCALL_SET_PTE, 0, VA, 0x67);
	call(rig, LGCALL_SET_PGD, 0, VA >> 22, 0);
	assert_int_equal(lgrig_touch(rig, VA, UM_USER), LGRIG_REFLECTED);
}

/* An index equal to the table's size passed; the reserved one of a table that is not current lost its window. */
DEFECT(defect_10_indices_stay_inside_the_table)
{
	uint32_t other = lgrig_space(rig);

	call(rig, LGCALL_NEW_PGTABLE, other, 0, 0);
	call(rig, LGCALL_NEW_PGTABLE, rig->space, 0, 0);
	for (uint32_t index = 1020; index < 1024; index++)
		call(rig, LGCALL_SET_PGD, other, index, 0);
	call(rig, LGCALL_NEW_PGTABLE, other, 0, 0);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xCD, 0x80), LGRIG_REFLECTED);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_PGD, other, 1024, 0, 0),
	                 rig->family >= LGUEST_F ? LGRIG_ENDED : LGRIG_DONE);
}

/* A page that was first read, and then written by a device or replaced, kept its old contents. */
DEFECT(defect_12_pages_that_the_host_changes_are_seen)
{
	uint32_t page = lgrig_page(rig);
	const uint8_t old = 1, new = 2;
	struct cpu_regs regs;

	lgrig_store(rig, page, &old, 1);
	lgrig_map(rig, rig->space, VA, page | 7);
	assert_int_equal(lgrig_touch(rig, VA, UM_USER), LGRIG_DONE);
	lgrig_store(rig, page, &new, 1);
	assert_int_equal(lgrig_touch(rig, VA, UM_USER), LGRIG_DONE);
	cpu_get_regs(rig->cpu, &regs);
	assert_int_equal(regs.gpr[CPU_ECX] & 0xFF, new);
	um_forget_frame(rig->um, page >> UM_PAGE_SHIFT);
	lgrig_store(rig, page, &old, 1);
	assert_int_equal(lgrig_touch(rig, VA, UM_USER | UM_WRITE), LGRIG_DONE);
	assert_int_equal(rig->ram[page], regs.gpr[CPU_ECX] & 0xFF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defect_1_only_bit_9_enables_interrupts),
		cmocka_unit_test(defect_2_irq_pending_is_cleared_with_the_last_interrupt),
		cmocka_unit_test(defect_11_the_timer_knows_no_wall_clock_and_halt_misses_nothing),
		cmocka_unit_test(defect_3_the_last_bytes_of_memory_are_memory),
		cmocka_unit_test(defect_3_a_range_that_wraps_is_refused),
		cmocka_unit_test(defect_6_a_huge_stack_is_refused_before_it_is_looked_at),
		cmocka_unit_test(defect_7_a_crash_text_may_end_with_memory),
		cmocka_unit_test(defect_8_no_stack_and_no_code_end_the_guest_only),
		cmocka_unit_test(defect_4_absent_entries_have_no_meaning),
		cmocka_unit_test(defect_5_dirty_is_not_lost),
		cmocka_unit_test(defect_9_table_0_is_no_table),
		cmocka_unit_test(defect_10_indices_stay_inside_the_table),
		cmocka_unit_test(defect_12_pages_that_the_host_changes_are_seen),
	};

	return cmocka_run_group_tests_name("lguest_defects", tests, NULL, NULL);
}
