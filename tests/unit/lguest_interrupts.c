/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_interrupts.c - injection, the places where none may come, the timer, the clock, HALT.
 *
 *   1. Injection
 *   2. Protected places
 *   3. irq_pending, SEND_INTERRUPTS
 *   4. HALT
 *   5. Time
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/internal.h"
#include "tests/lib/lguest_rig.h"
#include "tests/lib/tap.h"

#define HANDLER(vector) (lgrig_va(LGRIG_HANDLERS) + 16 * (vector))

static void set(struct lgrig *rig, unsigned offset, uint32_t value) { lgrig_put(rig, LGRIG_DATA + offset, value); }

/* Past NOP in ring 1, interrupts on, nothing masked. */
static struct lgrig *ready(enum lguest_family family)
{
	struct lgrig *rig = lgrig_new(family);

	lgrig_boot(rig);
	set(rig, LGDATA_BLOCKED, 0);
	set(rig, LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x90), LGRIG_DONE);
	return rig;
}

static bool has_irq_pending(enum lguest_family family) { return family >= LGUEST_D; }

/* ---- 1. Injection --------------------------------------------------------------------------- */

static void test_frame_of_an_interrupt(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = ready((enum lguest_family)family);

		rig->seconds++;
		lguest_raise(rig->lg, 7);
		assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 0x27);
		assert_false(rig->frame.has_error);
		assert_int_equal(rig->frame.eip, lgrig_va(LGRIG_TEXT) + 1);
		assert_int_equal(rig->frame.cs, 0x61);
		assert_int_equal(rig->frame.eflags & 0x200, 0x200);
		assert_int_equal(lgrig_data(rig, LGDATA_IRQ_ENABLED), 0);
		assert_int_equal(lgrig_data(rig, LGDATA_SECONDS), rig->seconds);
		lgrig_free(rig);
		/* From ring 3: on the kernel's stack. */
		rig = ready((enum lguest_family)family);
		assert_int_equal(LGRIG_EXECUTE(rig, 3, 0x90), LGRIG_DONE);
		lguest_raise(rig->lg, 31);
		assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 0x3F);
		assert_true(rig->frame.from_user);
		assert_int_equal(rig->frame.ss, 0x7B);
		lgrig_free(rig);
	}
}

static void test_lowest_first_and_masks(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);

	(void)state;
	set(rig, LGDATA_BLOCKED, 1u << 3);
	lguest_raise(rig->lg, 9);
	lguest_raise(rig->lg, 3);
	lguest_raise(rig->lg, 5);
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x25);
	for (unsigned next = 0; next < 2; next++) {
		set(rig, LGDATA_IRQ_ENABLED, 0x200);
		set(rig, LGDATA_BLOCKED, next ? 0 : 1u << 3);
		assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, next ? 0x23 : 0x29);
	}
	set(rig, LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x90), LGRIG_DONE);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	lgrig_free(rig);
}

/* The guest's way back stores all of EFLAGS there. */
static void test_only_bit_9_is_the_flag(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);

	(void)state;
	set(rig, LGDATA_IRQ_ENABLED, 0xFFFFFDFF);
	lguest_raise(rig->lg, 1);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	assert_true(lguest_is_waiting(rig->lg));
	set(rig, LGDATA_IRQ_ENABLED, 0x246);
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
	lgrig_free(rig);
}

static void test_no_gate_no_interrupt(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);

	(void)state;
	assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 0x24, 0, 0, 0), LGRIG_DONE);
	lguest_raise(rig->lg, 4);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	assert_false(lguest_is_waiting(rig->lg));
	/* The gate comes, and the interrupt with it. */
	assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 0x24, HANDLER(0x24) & 0xFFFF,
	                            (HANDLER(0x24) & 0xFFFF0000u) | 0x8E00, 0), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x24);
	lgrig_free(rig);
}

static void test_nothing_before_init(void **state)
{
	struct lgrig *rig = lgrig_new(LGUEST_F);

	(void)state;
	lguest_raise(rig->lg, 1);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x90), LGRIG_DONE);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	assert_int_equal(lguest_deadline(rig->lg), UINT64_MAX);
	lgrig_free(rig);
}

/* ---- 2. Protected places -------------------------------------------------------------------- */

/* Code that may not be interrupted, told at INIT: TEXT + 0x200 .. + 0x210, or one IRET there. */
static struct lgrig *with_protection(enum lguest_family family)
{
	static const uint16_t start[LGUEST_FAMILIES] = { 0, 1120, 1120, 1380, 1380, 1376, 1376, 1376 };
	struct lgrig *rig = lgrig_new(family);

	set(rig, start[family], lgrig_va(LGRIG_TEXT) + 0x200);
	if (family != LGUEST_G2)
		set(rig, start[family] + 4u, lgrig_va(LGRIG_TEXT) + 0x210);
	lgrig_boot(rig);
	set(rig, start[family], 0); /* read once */
	set(rig, LGDATA_BLOCKED, 0);
	set(rig, LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x90), LGRIG_DONE);
	return rig;
}

static void test_the_way_back_is_protected(void **state)
{
	static const struct { uint32_t offset; bool range, iret; } at[] = {
		{ 0x1FF, true, true }, { 0x200, false, false }, { 0x201, false, true }, { 0x20F, false, true },
		{ 0x210, true, true },
	};

	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		for (unsigned n = 0; n < sizeof at / sizeof *at; n++) {
			struct lgrig *rig = with_protection((enum lguest_family)family);
			bool may = family == LGUEST_G2 ? at[n].iret : at[n].range;

			cpu_set_eip(rig->cpu, lgrig_va(LGRIG_TEXT) + at[n].offset);
			lguest_raise(rig->lg, 2);
			assert_int_equal(lgrig_poll(rig), may ? LGRIG_REFLECTED : LGRIG_DONE);
			assert_int_equal(lguest_is_waiting(rig->lg), !may);
			lgrig_free(rig);
		}
	}
}

/* Between MOV SS and the load of ESP there is no stack. */
static void test_not_behind_mov_ss(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);
	static const uint8_t code[] = { 0x8E, 0xD3, 0x90, 0x90, 0xEB, 0xFE }; /* mov %ebx,%ss; nop; nop */

	(void)state;
	lgrig_store(rig, LGRIG_TEXT, code, sizeof code);
	cpu_set_gpr(rig->cpu, CPU_EBX, 0x69);
	cpu_set_eip(rig->cpu, lgrig_va(LGRIG_TEXT));
	while (rig->cpu->eip == lgrig_va(LGRIG_TEXT))
		cpu_run(rig->cpu, 1);
	assert_int_equal(rig->cpu->eip, lgrig_va(LGRIG_TEXT) + 2);
	lguest_raise(rig->lg, 1);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	assert_true(lguest_is_waiting(rig->lg));
	cpu_run(rig->cpu, 1);
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
	lgrig_free(rig);
}

/* ---- 3. irq_pending, SEND_INTERRUPTS -------------------------------------------------------- */

static void test_irq_pending_is_set_and_cleared(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = ready((enum lguest_family)family);
		bool has = has_irq_pending((enum lguest_family)family);
		uint32_t ring = lgrig_data(rig, LGDATA_IRQ_PENDING);

		set(rig, LGDATA_IRQ_ENABLED, 0);
		lguest_raise(rig->lg, 1);
		lguest_raise(rig->lg, 2);
		lgrig_poll(rig);
		/* Families B and C have the ring's status there. */
		assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), has ? 0x200 : ring);
		set(rig, LGDATA_IRQ_ENABLED, 0x200);
		assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 0x21);
		assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), has ? 0x200 : ring); /* one more */
		set(rig, LGDATA_IRQ_ENABLED, 0x200);
		assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 0x22);
		assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), has ? 0 : ring);
		lgrig_free(rig);
	}
}

static void test_send_interrupts_sends(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);
	struct lguest_stats stats;

	(void)state;
	set(rig, LGDATA_IRQ_ENABLED, 0);
	lguest_raise(rig->lg, 1);
	lgrig_poll(rig);
	set(rig, LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(lgrig_call(rig, LGCALL_SEND_INTERRUPTS, 0, 0, 0, 0), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x21);
	assert_int_equal(rig->frame.eip, lgrig_va(LGRIG_TEXT) + 2);
	lguest_get_stats(rig->lg, &stats);
	assert_int_equal(stats.needless_sends, 0);
	assert_int_equal(stats.interrupts, 1);
	set(rig, LGDATA_IRQ_ENABLED, 0x200);
	assert_int_equal(lgrig_call(rig, LGCALL_SEND_INTERRUPTS, 0, 0, 0, 0), LGRIG_DONE);
	lguest_get_stats(rig->lg, &stats);
	assert_int_equal(stats.needless_sends, 1);
	lgrig_free(rig);
}

/* The guest masks what it was told of: nothing waits any more, and it must not be made to call for it. */
static void test_a_masked_interrupt_is_not_pending(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);

	(void)state;
	set(rig, LGDATA_IRQ_ENABLED, 0);
	lguest_raise(rig->lg, 4);
	lgrig_poll(rig);
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), 0x200);
	set(rig, LGDATA_BLOCKED, 1u << 4);
	lgrig_poll(rig);
	assert_int_equal(lgrig_data(rig, LGDATA_IRQ_PENDING), 0);
	assert_false(lguest_is_waiting(rig->lg));
	lgrig_free(rig);
}

/* ---- 4. HALT -------------------------------------------------------------------------------- */

static void test_halt_enables_and_waits(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = ready((enum lguest_family)family);

		set(rig, LGDATA_IRQ_ENABLED, 0);
		assert_true(lguest_interrupts_off(rig->lg));
		assert_int_equal(lgrig_call(rig, LGCALL_HALT, 0, 0, 0, 0), LGRIG_HALTED);
		assert_false(lguest_interrupts_off(rig->lg));
		assert_int_equal(lgrig_poll(rig), LGRIG_HALTED);
		set(rig, LGDATA_BLOCKED, 1u << 1);
		lguest_raise(rig->lg, 1);
		assert_int_equal(lgrig_poll(rig), LGRIG_HALTED);
		lguest_raise(rig->lg, 2);
		assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 0x22);
		assert_int_equal(rig->frame.eflags & 0x200, 0x200); /* it woke with interrupts on */
		lgrig_free(rig);
	}
}

static void test_halt_with_something_pending_does_not_sleep(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);

	(void)state;
	set(rig, LGDATA_IRQ_ENABLED, 0);
	lguest_raise(rig->lg, 1);
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	assert_int_equal(lgrig_call(rig, LGCALL_HALT, 0, 0, 0, 0), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x21);
	lgrig_free(rig);
}

/* It waited for an interrupt, and there is one: that nobody takes it is the guest's affair. */
static void test_halt_ends_without_a_handler_too(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);
	struct cpu_regs regs;

	(void)state;
	assert_int_equal(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, 0x25, 0, 0, 0), LGRIG_DONE);
	assert_int_equal(lgrig_call(rig, LGCALL_HALT, 0, 0, 0, 0), LGRIG_HALTED);
	lguest_raise(rig->lg, 5);
	lguest_poll(rig->lg);
	cpu_get_regs(rig->cpu, &regs);
	assert_false(regs.halted);
	assert_false(lguest_is_waiting(rig->lg));
	lgrig_free(rig);
}

/* ---- 5. Time -------------------------------------------------------------------------------- */

static void test_timer_is_one_shot(void **state)
{
	struct lgrig *rig = ready(LGUEST_B);

	(void)state;
	assert_int_equal(lguest_deadline(rig->lg), UINT64_MAX);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_CLOCKEVENT, 5000, 0, 0, 0), LGRIG_DONE);
	assert_int_equal(lguest_deadline(rig->lg), rig->now + 5000);
	rig->now += 4999;
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	rig->now += 1;
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x20);
	assert_int_equal(lguest_deadline(rig->lg), UINT64_MAX);
	set(rig, LGDATA_IRQ_ENABLED, 0x200);
	/* A new one replaces the old, 0 cancels. */
	lgrig_call(rig, LGCALL_SET_CLOCKEVENT, 0xFFFFFFFF, 0, 0, 0);
	lgrig_call(rig, LGCALL_SET_CLOCKEVENT, 100, 0, 0, 0);
	assert_int_equal(lguest_deadline(rig->lg), rig->now + 100);
	lgrig_call(rig, LGCALL_SET_CLOCKEVENT, 0, 0, 0, 0);
	assert_int_equal(lguest_deadline(rig->lg), UINT64_MAX);
	rig->now += 1000;
	assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
	lgrig_free(rig);
}

static void test_timer_wakes(void **state)
{
	struct lgrig *rig = ready(LGUEST_F);

	(void)state;
	lgrig_call(rig, LGCALL_SET_CLOCKEVENT, 100, 0, 0, 0);
	assert_int_equal(lgrig_call(rig, LGCALL_HALT, 0, 0, 0, 0), LGRIG_HALTED);
	rig->now += 100;
	assert_int_equal(lgrig_poll(rig), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 0x20);
	lgrig_free(rig);
}

/* Without a time stamp counter `time` is the guest's only clock. */
static void test_time_moves_where_it_is_the_clock(void **state)
{
	(void)state;
	for (unsigned khz = 0; khz < 2; khz++) {
		const struct lgrig_config config = { .family = LGUEST_F, .forced = true, .um_options = UM_OPT_ALL,
			                             .cpu_options = CPU_OPT_ALL, .max_roots = 4,
			                             .max_tables = 64, .tsc_khz = khz };
		struct lgrig *rig = lgrig_new_with(&config);

		lgrig_boot(rig);
		rig->nanoseconds = 77;
		lgrig_call(rig, LGCALL_FLUSH_ASYNC, 0, 0, 0, 0);
		assert_int_equal(lgrig_data(rig, LGDATA_NANOSECONDS), khz ? 0 : 77);
		rig->nanoseconds = 78;
		lgrig_poll(rig);
		assert_int_equal(lgrig_data(rig, LGDATA_NANOSECONDS), khz ? 0 : 78);
		lgrig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_of_an_interrupt),
		cmocka_unit_test(test_lowest_first_and_masks),
		cmocka_unit_test(test_only_bit_9_is_the_flag),
		cmocka_unit_test(test_no_gate_no_interrupt),
		cmocka_unit_test(test_nothing_before_init),
		cmocka_unit_test(test_the_way_back_is_protected),
		cmocka_unit_test(test_not_behind_mov_ss),
		cmocka_unit_test(test_irq_pending_is_set_and_cleared),
		cmocka_unit_test(test_send_interrupts_sends),
		cmocka_unit_test(test_a_masked_interrupt_is_not_pending),
		cmocka_unit_test(test_halt_enables_and_waits),
		cmocka_unit_test(test_halt_with_something_pending_does_not_sleep),
		cmocka_unit_test(test_halt_ends_without_a_handler_too),
		cmocka_unit_test(test_timer_is_one_shot),
		cmocka_unit_test(test_timer_wakes),
		cmocka_unit_test(test_time_moves_where_it_is_the_clock),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lguest_interrupts", tests, NULL, NULL);
}
