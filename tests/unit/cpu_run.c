/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_run.c - what happens between instructions: interrupts, shadows, halting, single steps,
 * breakpoints, kicks, budgets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/rig.h"

static const uint32_t option_sets[] = { CPU_OPT_ALL, 0, CPU_OPT_BLOCKS, CPU_OPT_BLOCKS | CPU_OPT_CHAIN | CPU_OPT_FLAT };

static void each(void (*test)(struct rig *rig))
{
	for (size_t n = 0; n < sizeof(option_sets) / sizeof(*option_sets); n++) {
		struct rig *rig = rig_new(option_sets[n]);
		test(rig);
		rig_free(rig);
	}
}

static uint32_t *gpr(struct rig *rig) { return rig->cpu->gpr; }
static uint32_t pushed(struct rig *rig, unsigned word) { return rig_word(rig, gpr(rig)[CPU_ESP] + 4 * word); }

static void expect_vector(struct rig *rig, int vector, uint32_t eip)
{
	assert_int_equal(rig_run(rig, 100000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), vector);
	assert_int_equal(pushed(rig, 0), eip);
}

/* ---- Interrupts ----------------------------------------------------------------------------- */

static void interrupt_in_a_loop(struct rig *rig)
{
	/* sti; again: inc eax; jmp again */
	RIG_LOAD(rig, 0xFB, 0x40, 0xEB, 0xFD);
	rig->irq_vector = 0x55;
	assert_int_equal(rig_run(rig, 10000), CPU_EXIT_BUDGET);
	assert_true(gpr(rig)[CPU_EAX] > 1000);
	cpu_set_irq(rig->cpu, true);
	assert_int_equal(rig_run(rig, 10000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), 0x55);
	assert_int_equal(pushed(rig, 2) & FL_IF, FL_IF);
	assert_int_equal(rig->cpu->flags & FL_IF, 0);
}
static void an_interrupt_ends_a_loop(void **state)
{
	(void)state;
	each(interrupt_in_a_loop);
}

static void shadow_of_sti(struct rig *rig)
{
	/* sti; inc eax; inc eax: the interrupt comes between the two */
	RIG_LOAD(rig, 0xFB, 0x40, 0x40, 0xF4);
	rig->irq_vector = 0x40;
	cpu_set_irq(rig->cpu, true);
	expect_vector(rig, 0x40, RIG_CODE + 2);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
	/* sti; cli: never */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0xFB, 0xFA, 0x40, 0xF4);
	cpu_set_irq(rig->cpu, true);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), -1);
}
static void window(struct rig *rig)
{
	/* again: sti; nop; cli; jmp again */
	RIG_LOAD(rig, 0xFB, 0x90, 0xFA, 0xEB, 0xFB);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_BUDGET);
	rig->irq_vector = 0x44;
	cpu_set_irq(rig->cpu, true);
	expect_vector(rig, 0x44, RIG_CODE + 2);
}
static void a_window_between_sti_and_cli_is_open(void **state)
{
	(void)state;
	each(window);
}
static void sti_and_mov_ss_shield_one_instruction(void **state)
{
	(void)state;
	each(shadow_of_sti);
}

/* HLT ends 300 times by an interrupt whose handler returns; after that the guest works for long. */
static void waking_often(struct rig *rig)
{
	/* again: sti; hlt; inc eax; add [RIG_DATA], eax; cmp eax, ebx; jb again
	 * more: dec ecx; jnz more; cli; hlt */
	RIG_LOAD(rig, 0xFB, 0xF4, 0x40, 0x01, 0x05, 0x00, 0x00, 0x02, 0x00, 0x39, 0xD8, 0x72, 0xF3, 0x49, 0x75, 0xFD,
	         0xFA, 0xF4);
	/* the handler: iret */
	rig->ram[RIG_HANDLERS + 16 * 0x44] = 0xCF;
	cpu_code_written(rig->cpu, rig->ram + RIG_HANDLERS + 16 * 0x44, 1);
	rig->irq_vector = 0x44;
	gpr(rig)[CPU_EBX] = 320;
	gpr(rig)[CPU_ECX] = 200000;
	for (unsigned n = 0; n < 319; n++) {
		assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
		assert_int_equal(gpr(rig)[CPU_EAX], n);
		rig->tsc += 1000000; /* a millisecond */
		cpu_set_irq(rig->cpu, true);
	}
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	rig->tsc += 1000000;
	cpu_set_irq(rig->cpu, true); /* the 320th wake-up: one of those that CPU_OPT_WARM records */
	assert_int_equal(rig_run(rig, 300000), CPU_EXIT_BUDGET);
	assert_int_equal(rig->cpu->events & EV_RECORD, 0);
	assert_int_equal(rig->cpu->no_tags & NO_TAGS, !(rig->cpu->options & CPU_OPT_TLB));
	assert_int_equal(rig_run(rig, 1000000), CPU_EXIT_HALTED);
	assert_int_equal(rig_word(rig, RIG_DATA), 320 * 321 / 2);
	assert_int_equal(gpr(rig)[CPU_ECX], 0);
}
static void waking_from_hlt_again_and_again(void **state)
{
	(void)state;
	each(waking_often);
}

static void stack_switch(struct rig *rig)
{
	/* sti; mov ss, cx; mov esp, 0x41000; inc eax: STI keeps it from the first, that from the second */
	RIG_LOAD(rig, 0xFB, 0x8E, 0xD1, 0xBC, 0x00, 0x10, 0x04, 0x00, 0x40, 0xF4);
	gpr(rig)[CPU_ECX] = RIG_DATA0;
	rig->irq_vector = 0x41;
	cpu_set_irq(rig->cpu, true);
	expect_vector(rig, 0x41, RIG_CODE + 8);
	assert_int_equal(gpr(rig)[CPU_ESP], 0x41000 - 12);
}
static void an_interrupt_never_comes_between_ss_and_esp(void **state)
{
	(void)state;
	each(stack_switch);
}

static void halt_and_wake(struct rig *rig)
{
	/* sti; hlt; inc eax; hlt */
	RIG_LOAD(rig, 0xFB, 0xF4, 0x40, 0xF4);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED); /* still */
	assert_int_equal(rig->cpu->eip, RIG_CODE + 2);
	rig->irq_vector = 0x42;
	cpu_set_irq(rig->cpu, true);
	expect_vector(rig, 0x42, RIG_CODE + 2);
	/* With interrupts off only an NMI wakes. */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0xF4, 0x40, 0xF4);
	cpu_set_irq(rig->cpu, true);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig->cpu->eip, RIG_CODE + 1);
	cpu_pulse_nmi(rig->cpu);
	expect_vector(rig, EXC_NMI, RIG_CODE + 1);
}
static void halted_until_an_interrupt(void **state)
{
	(void)state;
	each(halt_and_wake);
}

static void spurious(struct rig *rig)
{
	RIG_LOAD(rig, 0xFB, 0x90, 0x40, 0xF4);
	rig->irq_vector = -1;
	cpu_set_irq(rig->cpu, true);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), -1);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
}
static void a_line_that_falls_before_it_is_acknowledged(void **state)
{
	(void)state;
	each(spurious);
}

static void repeated_string(struct rig *rig)
{
	/* sti; rep stosb of 1 MiB: taken in the middle, EIP at the instruction, registers say how far */
	RIG_LOAD(rig, 0xFB, 0xF3, 0xAA, 0xF4);
	gpr(rig)[CPU_ECX] = 1 << 20;
	gpr(rig)[CPU_EDI] = 0x200000;
	assert_int_equal(rig_run(rig, 20000), CPU_EXIT_BUDGET);
	assert_true(gpr(rig)[CPU_ECX] > 0 && gpr(rig)[CPU_ECX] < 1 << 20);
	assert_int_equal(gpr(rig)[CPU_EDI] + gpr(rig)[CPU_ECX], 0x200000 + (1 << 20));
	rig->irq_vector = 0x43;
	cpu_set_irq(rig->cpu, true);
	expect_vector(rig, 0x43, RIG_CODE + 1);
	assert_true(gpr(rig)[CPU_ECX] > 0);
}
static void a_repeated_string_can_be_interrupted(void **state)
{
	(void)state;
	each(repeated_string);
}

/* ---- Debugging ------------------------------------------------------------------------------ */

static void set_eflags_bits(struct rig *rig, uint32_t bits)
{
	struct cpu_state s;

	cpu_get_state(rig->cpu, &s);
	s.eflags |= bits;
	cpu_set_state(rig->cpu, &s);
}

static void single_step(struct rig *rig)
{
	/* inc eax; inc eax; with TF */
	RIG_LOAD(rig, 0x40, 0x40, 0xF4);
	set_eflags_bits(rig, FL_TF);
	expect_vector(rig, EXC_DB, RIG_CODE + 1);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
	assert_int_equal(rig->cpu->dr[6] & 0x4000, 0x4000);
	assert_int_equal(pushed(rig, 2) & FL_TF, FL_TF);
	/* A repeated string: after each element. */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0xF3, 0xAA, 0xF4);
	gpr(rig)[CPU_ECX] = 3;
	gpr(rig)[CPU_EDI] = 0x50000;
	set_eflags_bits(rig, FL_TF);
	expect_vector(rig, EXC_DB, RIG_CODE);
	assert_int_equal(gpr(rig)[CPU_ECX], 2);
	/* The last one: after the instruction. */
	rig_flat(rig, 0);
	gpr(rig)[CPU_ECX] = 1;
	gpr(rig)[CPU_EDI] = 0x50000;
	set_eflags_bits(rig, FL_TF);
	expect_vector(rig, EXC_DB, RIG_CODE + 2);
	/* MOV SS: not before the following one is done. */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0x8E, 0xD1, 0x40, 0x40, 0xF4);
	gpr(rig)[CPU_ECX] = RIG_DATA0;
	set_eflags_bits(rig, FL_TF);
	expect_vector(rig, EXC_DB, RIG_CODE + 3);
	/* A fault takes precedence: no step is reported for an instruction that did not happen. */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0x0F, 0x0B);
	set_eflags_bits(rig, FL_TF);
	expect_vector(rig, EXC_UD, RIG_CODE);
	assert_int_equal(rig->cpu->dr[6] & 0x4000, 0);
}
static void the_trap_flag_steps_through(void **state)
{
	(void)state;
	each(single_step);
}

static void popf_sets_tf(struct rig *rig)
{
	/* pushfd; or dword [esp], 0x100; popfd; inc eax; inc eax: the first trap after the first INC */
	RIG_LOAD(rig, 0x9C, 0x81, 0x0C, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9D, 0x40, 0x40, 0xF4);
	expect_vector(rig, EXC_DB, RIG_CODE + 10);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
}
static void popf_that_sets_tf_traps_after_the_next_instruction(void **state)
{
	(void)state;
	each(popf_sets_tf);
}

static void breakpoint(struct rig *rig)
{
	struct cpu_state s;

	/* inc eax; inc eax <- DR1; inc eax; hlt */
	RIG_LOAD(rig, 0x40, 0x40, 0x40, 0xF4);
	cpu_get_state(rig->cpu, &s);
	s.dr[1] = RIG_CODE + 1;
	s.dr[7] = 0x400 | 4;
	cpu_set_state(rig->cpu, &s);
	expect_vector(rig, EXC_DB, RIG_CODE + 1);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
	assert_int_equal(rig->cpu->dr[6] & 0xF, 2);
	/* RF is the debugger's to set (SDM vol. 3, 17.3.1.1): then IRET goes on past it. */
	assert_int_equal(pushed(rig, 2) & FL_RF, 0);
	rig_set_word(rig, gpr(rig)[CPU_ESP] + 8, pushed(rig, 2) | FL_RF);
	cpu_get_state(rig->cpu, &s);
	s.halted = false;
	s.eip = RIG_HANDLERS + 0x1800; /* an IRET */
	rig->ram[s.eip] = 0xCF;
	cpu_set_state(rig->cpu, &s);
	assert_int_equal(rig_run(rig, 100), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), -1);
	assert_int_equal(gpr(rig)[CPU_EAX], 3);
	assert_int_equal(rig->cpu->flags & FL_RF, 0);
}
static void a_code_breakpoint_is_passed_with_rf(void **state)
{
	(void)state;
	each(breakpoint);
}

/* RF lets one instruction run, not one look for interrupts: runs of one instruction each pass as well. */
static void breakpoint_in_steps(struct rig *rig)
{
	struct cpu_state s;

	/* iret <- to the next one, with RF; inc eax <- DR0; hlt */
	RIG_LOAD(rig, 0xCF, 0x40, 0xF4);
	cpu_get_state(rig->cpu, &s);
	s.gpr[CPU_ESP] -= 12;
	rig_set_word(rig, s.gpr[CPU_ESP], RIG_CODE + 1);
	rig_set_word(rig, s.gpr[CPU_ESP] + 4, s.seg[CPU_CS].selector);
	rig_set_word(rig, s.gpr[CPU_ESP] + 8, s.eflags | FL_RF);
	s.dr[0] = RIG_CODE + 1;
	s.dr[7] = 0x400 | 1;
	cpu_set_state(rig->cpu, &s);
	assert_int_equal(rig_run(rig, 1), CPU_EXIT_BUDGET);
	assert_true(rig->cpu->flags & FL_RF);
	rig_run(rig, 1);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
	assert_int_equal(rig->cpu->flags & FL_RF, 0);
	assert_int_equal(rig_run(rig, 10), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), -1);
}
static void rf_outlives_the_end_of_a_run(void **state)
{
	(void)state;
	each(breakpoint_in_steps);
}

/* ---- Kicks and budgets ---------------------------------------------------------------------- */

static void kick(struct rig *rig)
{
	RIG_LOAD(rig, 0x40, 0xEB, 0xFD);
	cpu_kick(rig->cpu);
	assert_int_equal(rig_run(rig, 1000000), CPU_EXIT_KICKED);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_BUDGET);
}
static void a_kick_leaves_once(void **state)
{
	(void)state;
	each(kick);
}

static void budget(struct rig *rig)
{
	uint64_t before = cpu_instructions(rig->cpu);

	/* again: inc eax; jmp again */
	RIG_LOAD(rig, 0x40, 0xEB, 0xFD);
	assert_int_equal(rig_run(rig, 100000), CPU_EXIT_BUDGET);
	assert_in_range(cpu_instructions(rig->cpu) - before, 100000, 100064);
	assert_in_range(gpr(rig)[CPU_EAX], 50000, 50032);
	/* Faults count: a guest that faults for ever does not run for ever. */
	rig_flat(rig, 0);
	rig_set_word(rig, RIG_HANDLERS + 16 * EXC_UD, 0x04240483); /* add dword [esp], 0; iret */
	rig_set_word(rig, RIG_HANDLERS + 16 * EXC_UD, 0xCFCFCFCF);
	RIG_LOAD(rig, 0x0F, 0x0B);
	assert_int_equal(rig_run(rig, 10000), CPU_EXIT_BUDGET);
	/* A jump to itself, and REP with a huge count, too. */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0xEB, 0xFE);
	assert_int_equal(rig_run(rig, 10000), CPU_EXIT_BUDGET);
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0xF3, 0xAC, 0xF4);
	gpr(rig)[CPU_ECX] = 0xFFFFFFFF;
	gpr(rig)[CPU_ESI] = 0;
	assert_int_equal(rig_run(rig, 10000), CPU_EXIT_BUDGET);
	assert_true(gpr(rig)[CPU_ECX] > 0xFFF00000u);
}
static void the_budget_bounds_every_run(void **state)
{
	(void)state;
	each(budget);
}

static void state_round_trip(struct rig *rig)
{
	struct cpu_state a, b;

	RIG_LOAD(rig, 0xF9, 0x83, 0xD0, 0x7F, 0xF4); /* stc; adc eax, 0x7F; hlt */
	assert_int_equal(rig_run(rig, 100), CPU_EXIT_HALTED);
	for (uint32_t flags = 0; flags < 64; flags++) {
		/* Every set of six flags survives, ZF with odd parity among them. */
		cpu_get_state(rig->cpu, &a);
		a.eflags = 2 | (flags & 1 ? FL_CF : 0u) | (flags & 2 ? FL_PF : 0u) | (flags & 4 ? FL_AF : 0u) |
		           (flags & 8 ? FL_ZF : 0u) | (flags & 16 ? FL_SF : 0u) | (flags & 32 ? FL_OF : 0u);
		cpu_set_state(rig->cpu, &a);
		cpu_get_state(rig->cpu, &b);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}
static void state_goes_out_and_in_unchanged(void **state)
{
	(void)state;
	each(state_round_trip);
}

static void two_processors(void **state)
{
	struct rig *a = rig_new(CPU_OPT_ALL), *b = rig_new(CPU_OPT_ALL);

	(void)state;
	RIG_LOAD(a, 0x40, 0xEB, 0xFD);
	RIG_LOAD(b, 0x48, 0xEB, 0xFD);
	for (unsigned n = 0; n < 10; n++) {
		assert_int_equal(rig_run(a, 1000), CPU_EXIT_BUDGET);
		assert_int_equal(rig_run(b, 1000), CPU_EXIT_BUDGET);
	}
	assert_int_equal(gpr(a)[CPU_EAX], 0u - gpr(b)[CPU_EAX]);
	rig_free(a);
	assert_int_equal(rig_run(b, 1000), CPU_EXIT_BUDGET);
	rig_free(b);
}
static void two_processors_know_nothing_of_each_other(void **state) { two_processors(state); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interrupt_ends_a_loop),
		cmocka_unit_test(sti_and_mov_ss_shield_one_instruction),
		cmocka_unit_test(a_window_between_sti_and_cli_is_open),
		cmocka_unit_test(an_interrupt_never_comes_between_ss_and_esp),
		cmocka_unit_test(waking_from_hlt_again_and_again),
		cmocka_unit_test(halted_until_an_interrupt),
		cmocka_unit_test(a_line_that_falls_before_it_is_acknowledged),
		cmocka_unit_test(a_repeated_string_can_be_interrupted),
		cmocka_unit_test(the_trap_flag_steps_through),
		cmocka_unit_test(popf_that_sets_tf_traps_after_the_next_instruction),
		cmocka_unit_test(a_code_breakpoint_is_passed_with_rf),
		cmocka_unit_test(rf_outlives_the_end_of_a_run),
		cmocka_unit_test(a_kick_leaves_once),
		cmocka_unit_test(the_budget_bounds_every_run),
		cmocka_unit_test(state_goes_out_and_in_unchanged),
		cmocka_unit_test(two_processors_know_nothing_of_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
