/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_debug.c - a debugger's breakpoints, watchpoints and steps: exact to the instruction, unseen by the
 * guest, with decoded blocks, chains and TLB and without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/rig.h"

static const uint32_t option_sets[] = { CPU_OPT_ALL, 0, CPU_OPT_BLOCKS, CPU_OPT_BLOCKS | CPU_OPT_CHAIN | CPU_OPT_FLAT,
	                                CPU_OPT_ALL & ~(uint32_t)CPU_OPT_BLOCKS, CPU_OPT_ALL & ~(uint32_t)CPU_OPT_TLB };
static void (*the_test)(struct rig *rig);

static void each_set(void **state)
{
	(void)state;
	for (size_t n = 0; n < sizeof(option_sets) / sizeof(*option_sets); n++) {
		struct rig *rig = rig_new(option_sets[n]);
		the_test(rig);
		rig_free(rig);
	}
}
#define EACH(name, test) \
	static void name(void **state) { the_test = test; each_set(state); }

static uint32_t *gpr(struct rig *rig) { return rig->cpu->gpr; }

static bool breaks(struct rig *rig, uint32_t at)
{
	return cpu_add_breakpoint(rig->cpu, &(struct cpu_breakpoint){ CPU_BREAK_EXECUTE, at, 1 });
}
static bool unbreaks(struct rig *rig, uint32_t at)
{
	return cpu_remove_breakpoint(rig->cpu, &(struct cpu_breakpoint){ CPU_BREAK_EXECUTE, at, 1 });
}
static bool watches(struct rig *rig, enum cpu_break kind, uint32_t at, uint32_t bytes)
{
	return cpu_add_breakpoint(rig->cpu, &(struct cpu_breakpoint){ kind, at, bytes });
}
static struct cpu_stop stopped(struct rig *rig, unsigned reason, uint32_t eip)
{
	struct cpu_stop s;

	assert_int_equal(rig_run(rig, 1000000), CPU_EXIT_DEBUG);
	cpu_get_stop(rig->cpu, &s);
	assert_int_equal(s.reason, reason);
	assert_int_equal(rig->cpu->eip, eip);
	return s;
}
static void breakpoint_met(struct rig *rig, uint32_t eip)
{
	assert_int_equal(stopped(rig, CPU_STOP_BREAKPOINT, eip).breakpoint.linear, eip);
}
static void watchpoint_met(struct rig *rig, uint32_t linear, bool write, uint32_t eip)
{
	struct cpu_stop s = stopped(rig, CPU_STOP_WATCHPOINT, eip);

	assert_int_equal(s.linear, linear);
	assert_int_equal(s.write, write);
}
static void step(struct rig *rig, uint32_t eip)
{
	cpu_set_step(rig->cpu, true);
	stopped(rig, CPU_STOP_STEP, eip);
}
static void halts(struct rig *rig) { assert_int_equal(rig_run(rig, 1000000), CPU_EXIT_HALTED); }
static void halts_at(struct rig *rig, int vector)
{
	halts(rig);
	assert_int_equal(rig_vector(rig), vector);
}

/* ---- Execution ------------------------------------------------------------------------------ */

/* xor eax, eax; mov ecx, 5; again: inc eax; nop; cmp eax, ecx; jb again; hlt */
static void load_loop(struct rig *rig)
{
	RIG_LOAD(rig, 0x31, 0xC0, 0xB9, 0x05, 0x00, 0x00, 0x00, 0x40, 0x90, 0x39, 0xC8, 0x72, 0xFA, 0xF4);
}
static void loop_breaks(struct rig *rig)
{
	/* On the first of a block, inside one, on what does nothing, on the second of a fused pair; with the code not
	 * decoded yet, and (second round) decoded, linked and jumped to before. */
	static const uint32_t at[] = { 7, 8, 9, 11 };

	for (unsigned round = 0; round < 2; round++)
		for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
			load_loop(rig);
			if (round) {
				halts(rig);
				rig_flat(rig, 0);
			}
			assert_true(breaks(rig, RIG_CODE + at[k]));
			uint64_t before = cpu_instructions(rig->cpu);
			for (uint32_t n = 0; n < 5; n++) {
				breakpoint_met(rig, RIG_CODE + at[k]);
				assert_int_equal(gpr(rig)[CPU_EAX], n + (at[k] > 7));
				assert_int_equal(gpr(rig)[CPU_ECX], 5);
			}
			halts(rig);
			/* Nothing was executed twice or left out. */
			assert_int_equal(cpu_instructions(rig->cpu) - before, 2 + 5 * 4 + 1);
			assert_int_equal(gpr(rig)[CPU_EAX], 5);
			assert_true(unbreaks(rig, RIG_CODE + at[k]));
			assert_false(unbreaks(rig, RIG_CODE + at[k]));
			rig_flat(rig, 0);
			halts(rig); /* none is left */
			assert_int_equal(gpr(rig)[CPU_EAX], 5);
			rig_flat(rig, 0);
		}
}
EACH(stops_before_the_instruction_once_each_time, loop_breaks)

static void jumps_to_itself(struct rig *rig)
{
	/* nop; self: jmp self */
	RIG_LOAD(rig, 0x90, 0xEB, 0xFE);
	breaks(rig, RIG_CODE + 1);
	for (unsigned n = 0; n < 3; n++)
		breakpoint_met(rig, RIG_CODE + 1);
	/* Taken off and put in again where it is stopped at, as debuggers do it: seen already. */
	unbreaks(rig, RIG_CODE + 1);
	assert_int_equal(rig_run(rig, 100), CPU_EXIT_BUDGET);
	breaks(rig, RIG_CODE + 1);
	breakpoint_met(rig, RIG_CODE + 1);
}
EACH(meets_a_loop_of_one_instruction_each_time, jumps_to_itself)

static void another_eip(struct rig *rig)
{
	struct cpu_state s;

	load_loop(rig);
	breaks(rig, RIG_CODE + 7);
	breaks(rig, RIG_CODE + 9);
	breakpoint_met(rig, RIG_CODE + 7);
	cpu_get_state(rig->cpu, &s);
	s.gpr[CPU_EAX] = 4;
	cpu_set_state(rig->cpu, &s); /* a register was written: still seen */
	breakpoint_met(rig, RIG_CODE + 9);
	cpu_get_state(rig->cpu, &s);
	s.eip = RIG_CODE + 7;
	cpu_set_state(rig->cpu, &s); /* sent there: not seen */
	breakpoint_met(rig, RIG_CODE + 7);
	cpu_forget_debugger(rig->cpu);
	halts(rig);
}
EACH(a_jump_by_the_debugger_is_met_a_changed_register_is_not, another_eip)

/* Not there, then there: what is not executed is not stopped at, what comes later is. */
static void unmapped(struct rig *rig)
{
	const uint32_t at = 0x300000, page = at / UM_PAGE_SIZE * UM_PAGE_SIZE;

	rig_paging(rig);
	*rig_pte(rig, at) = 0;
	um_guest_wrote(rig->um, RIG_TABLES + 0x1000 + 4 * (at >> 12), 4);
	/* mov ebx, 300000; jmp ebx */
	RIG_LOAD(rig, 0xBB, 0x00, 0x00, 0x30, 0x00, 0xFF, 0xE3);
	breaks(rig, at);
	halts_at(rig, 14);
	/* inc eax; hlt */
	rig_set_word(rig, at, 0xF4F4F440);
	rig_flat(rig, 0);
	rig_paging(rig);
	*rig_pte(rig, at) = page | 7;
	um_guest_wrote(rig->um, RIG_TABLES + 0x1000 + 4 * (at >> 12), 4);
	breakpoint_met(rig, at);
	/* By another address the same bytes are another instruction. */
	*rig_pte(rig, at + UM_PAGE_SIZE) = page | 7;
	um_guest_wrote(rig->um, RIG_TABLES + 0x1000 + 4 * ((at >> 12) + 1), 4);
	rig->cpu->eip = at + UM_PAGE_SIZE;
	halts(rig);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
}
EACH(follows_the_address_not_the_page, unmapped)

/* In real mode, segments have bases: linear addresses count. */
static void real_mode(struct rig *rig)
{
	rig_real(rig);
	/* inc ax; inc ax; hlt */
	RIG_LOAD(rig, 0x40, 0x40, 0xF4);
	breaks(rig, RIG_CODE + 1);
	assert_int_equal(rig_run(rig, 100), CPU_EXIT_DEBUG);
	assert_int_equal(rig->cpu->eip, 1);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
	halts(rig);
}
EACH(real_mode_by_linear_address, real_mode)

static void over_pages(struct rig *rig)
{
	const uint32_t at = RIG_CODE + UM_PAGE_SIZE - 2;
	/* mov eax, imm32 over the end of the page; inc eax; hlt */
	static const uint8_t code[] = { 0xB8, 0x10, 0x00, 0x00, 0x00, 0x40, 0xF4 };

	memcpy(rig->ram + at, code, sizeof code);
	cpu_code_written(rig->cpu, rig->ram + at, sizeof code);
	breaks(rig, at);
	breaks(rig, at + 5);
	for (unsigned n = 0; n < 3; n++) {
		rig_flat(rig, 0);
		rig->cpu->eip = at;
		if (n == 1) /* where the last run stopped in the same context: gone by another address first */
			rig->cpu->eip = at - 1, rig->ram[at - 1] = 0x90;
		breakpoint_met(rig, at);
		breakpoint_met(rig, at + 5);
		assert_int_equal(gpr(rig)[CPU_EAX], 0x10);
		halts(rig);
	}
}
EACH(an_instruction_in_two_pages, over_pages)

static void code_that_changes(struct rig *rig)
{
	/* mov byte [RIG_CODE + 8], 0x48; inc eax (becomes dec eax); hlt */
	RIG_LOAD(rig, 0xC6, 0x05, 0x08, 0x00, 0x01, 0x00, 0x48, 0x90, 0x40, 0xF4);
	breaks(rig, RIG_CODE + 8);
	breakpoint_met(rig, RIG_CODE + 8);
	assert_int_equal(rig->ram[RIG_CODE + 8], 0x48); /* the guest's memory is the guest's */
	halts(rig);
	assert_int_equal(gpr(rig)[CPU_EAX], 0xFFFFFFFF);
}
EACH(code_under_a_breakpoint_may_be_written, code_that_changes)

/* What is continued runs before an interrupt that waits; a step takes none. */
static void interrupts(struct rig *rig)
{
	/* sti; nop; inc eax; inc eax; hlt */
	RIG_LOAD(rig, 0xFB, 0x90, 0x40, 0x40, 0xF4);
	rig->irq_vector = 0x40;
	breaks(rig, RIG_CODE + 2);
	breakpoint_met(rig, RIG_CODE + 2);
	cpu_set_irq(rig->cpu, true);
	halts_at(rig, 0x40);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
	assert_int_equal(rig_word(rig, gpr(rig)[CPU_ESP]), RIG_CODE + 3);

	rig_flat(rig, 0);
	breakpoint_met(rig, RIG_CODE + 2);
	cpu_set_irq(rig->cpu, true);
	cpu_pulse_nmi(rig->cpu);
	step(rig, RIG_CODE + 3);
	step(rig, RIG_CODE + 4);
	assert_int_equal(gpr(rig)[CPU_EAX], 2);
	cpu_set_irq(rig->cpu, false);
	halts_at(rig, 2);
}
EACH(a_step_and_what_is_stepped_over_come_before_interrupts, interrupts)

/* ---- Repeated instructions ------------------------------------------------------------------ */

static void load_fill(struct rig *rig)
{
	/* mov edi, RIG_DATA; mov ecx, 100; sti; rep stosb; hlt */
	RIG_LOAD(rig, 0xBF, 0x00, 0x00, 0x02, 0x00, 0xB9, 0x64, 0x00, 0x00, 0x00, 0xFB, 0xF3, 0xAA, 0xF4);
}
static void repeated(struct rig *rig)
{
	const uint32_t at = RIG_CODE + 11;

	load_fill(rig);
	breaks(rig, at);
	breakpoint_met(rig, at);
	assert_int_equal(gpr(rig)[CPU_ECX], 100);
	/* One execution, whatever comes between its elements. */
	rig->irq_vector = 0x40;
	rig->ram[RIG_HANDLERS + 16 * 0x40] = 0xCF; /* iret */
	cpu_code_written(rig->cpu, rig->ram + RIG_HANDLERS + 16 * 0x40, 1);
	for (unsigned n = 0; n < 10; n++) {
		cpu_set_irq(rig->cpu, true);
		assert_int_equal(rig_run(rig, 7), CPU_EXIT_BUDGET);
	}
	assert_in_range(gpr(rig)[CPU_ECX], 1, 60);
	halts(rig);
	assert_int_equal(gpr(rig)[CPU_ECX], 0);
	/* A step is one element. */
	rig_flat(rig, 0);
	breakpoint_met(rig, at);
	for (uint32_t n = 1; n < 100; n++) {
		step(rig, at);
		assert_int_equal(gpr(rig)[CPU_ECX], 100 - n);
		assert_int_equal(gpr(rig)[CPU_EDI], RIG_DATA + n);
	}
	step(rig, at + 2);
	halts(rig);
	/* Stepped into and continued: still the same execution. */
	rig_flat(rig, 0);
	breakpoint_met(rig, at);
	step(rig, at);
	step(rig, at);
	halts(rig);
}
EACH(a_repeated_instruction_is_met_once_and_stepped_by_the_element, repeated)

static void watched_repeat(struct rig *rig)
{
	load_fill(rig);
	watches(rig, CPU_BREAK_WRITE, RIG_DATA + 50, 2);
	watchpoint_met(rig, RIG_DATA + 50, true, RIG_CODE + 11);
	assert_int_equal(gpr(rig)[CPU_ECX], 49);
	watchpoint_met(rig, RIG_DATA + 51, true, RIG_CODE + 11);
	halts(rig);
	assert_int_equal(gpr(rig)[CPU_EDI], RIG_DATA + 100);
	/* The last element: after the instruction. */
	cpu_forget_debugger(rig->cpu);
	rig_flat(rig, 0);
	watches(rig, CPU_BREAK_WRITE, RIG_DATA + 99, 1);
	watchpoint_met(rig, RIG_DATA + 99, true, RIG_CODE + 13);
	assert_int_equal(gpr(rig)[CPU_ECX], 0);
	halts(rig);
	/* rep insb: the port's byte is not lost */
	cpu_forget_debugger(rig->cpu);
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0xF3, 0x6C, 0xF4);
	rig->port_value = 0x77;
	gpr(rig)[CPU_EDI] = RIG_DATA + 0x1000;
	gpr(rig)[CPU_ECX] = 10;
	watches(rig, CPU_BREAK_WRITE, RIG_DATA + 0x1004, 1);
	watchpoint_met(rig, RIG_DATA + 0x1004, true, RIG_CODE);
	assert_int_equal(gpr(rig)[CPU_ECX], 5);
	assert_int_equal(rig->ram[RIG_DATA + 0x1004], 0x77);
	halts(rig);
}
EACH(a_watchpoint_stops_within_a_repeated_instruction, watched_repeat)

/* ---- Data ----------------------------------------------------------------------------------- */

static void data(struct rig *rig)
{
	/* mov eax, [RIG_DATA]; mov [RIG_DATA + 4], eax; add [RIG_DATA], eax; push eax; pop ebx; hlt */
	RIG_LOAD(rig, 0xA1, 0x00, 0x00, 0x02, 0x00, 0xA3, 0x04, 0x00, 0x02, 0x00, 0x01, 0x05, 0x00, 0x00, 0x02, 0x00, 0x50,
	         0x5B, 0xF4);
	for (unsigned round = 0; round < 2; round++) { /* decoded by then */
		rig_flat(rig, 0);
		rig_set_word(rig, RIG_DATA, 21);
		watches(rig, CPU_BREAK_READ, RIG_DATA + 2, 1);
		watches(rig, CPU_BREAK_WRITE, RIG_DATA, 8);
		watches(rig, CPU_BREAK_ACCESS, RIG_STACK - 4, 4);
		watchpoint_met(rig, RIG_DATA + 2, false, RIG_CODE + 5);
		assert_int_equal(gpr(rig)[CPU_EAX], 21);
		watchpoint_met(rig, RIG_DATA + 4, true, RIG_CODE + 10);
		assert_int_equal(rig_word(rig, RIG_DATA + 4), 21);
		assert_int_equal(rig_run(rig, 1000), CPU_EXIT_DEBUG); /* both: reads first, once */
		assert_int_equal(rig->cpu->eip, RIG_CODE + 16);
		assert_int_equal(rig_word(rig, RIG_DATA), 42);
		watchpoint_met(rig, RIG_STACK - 4, true, RIG_CODE + 17);
		watchpoint_met(rig, RIG_STACK - 4, false, RIG_CODE + 18);
		halts(rig);
		assert_int_equal(gpr(rig)[CPU_EBX], 21);
		cpu_forget_debugger(rig->cpu);
		rig_flat(rig, 0);
		halts(rig);
	}
}
EACH(watchpoints_stop_after_the_access_and_say_where, data)

/* Only the watched page is without tags. */
static void others_stay_fast(void **state)
{
	struct rig *rig = rig_new(CPU_OPT_ALL);

	(void)state;
	/* mov [RIG_DATA], eax; mov [RIG_DATA + 0x1000], eax; hlt */
	RIG_LOAD(rig, 0xA3, 0x00, 0x00, 0x02, 0x00, 0xA3, 0x00, 0x10, 0x02, 0x00, 0xF4);
	halts(rig);
	rig->cpu->eip = RIG_CODE;
	rig->cpu->halted = false;
	watches(rig, CPU_BREAK_WRITE, RIG_DATA + 0x800, 4);
	halts(rig);
	assert_int_not_equal(rig->cpu->tlbs[0][RIG_DATA >> 12].write, RIG_DATA);
	assert_int_not_equal(rig->cpu->tlbs[0][RIG_DATA >> 12].read, RIG_DATA);
	assert_int_equal(rig->cpu->tlbs[0][(RIG_DATA >> 12) + 1].write, RIG_DATA + 0x1000);
	cpu_forget_debugger(rig->cpu);
	rig_flat(rig, 0);
	halts(rig);
	assert_int_equal(rig->cpu->tlbs[0][RIG_DATA >> 12].write, RIG_DATA);
	rig_free(rig);
}

static void ends_of_pages(struct rig *rig)
{
	const uint32_t at = RIG_DATA + 0xFFE;
	/* mov [RIG_DATA + FFE], eax; hlt */
	RIG_LOAD(rig, 0xA3, 0xFE, 0x0F, 0x02, 0x00, 0xF4);
	watches(rig, CPU_BREAK_WRITE, at + 3, 1);
	watchpoint_met(rig, at + 3, true, RIG_CODE + 5);
	cpu_forget_debugger(rig->cpu);
	watches(rig, CPU_BREAK_WRITE, at - 3, 4);
	rig_flat(rig, 0);
	watchpoint_met(rig, at, true, RIG_CODE + 5);
	cpu_forget_debugger(rig->cpu);
	watches(rig, CPU_BREAK_WRITE, at - 4, 4);
	watches(rig, CPU_BREAK_WRITE, at + 4, 0x10000);
	watches(rig, CPU_BREAK_READ, at, 4);
	rig_flat(rig, 0);
	halts(rig);
	cpu_forget_debugger(rig->cpu);
	watches(rig, CPU_BREAK_WRITE, 0xFFFFFFF0, 0xFFFFFFFF); /* all but one: it wraps */
	rig_flat(rig, 0);
	watchpoint_met(rig, at, true, RIG_CODE + 5);
}
EACH(watchpoints_at_the_ends_of_pages_and_of_the_world, ends_of_pages)

/* A device is asked once, though the instruction goes on to a watched place. */
static void devices(struct rig *rig)
{
	/* movsd; hlt */
	RIG_LOAD(rig, 0xA5, 0xF4);
	gpr(rig)[CPU_ESI] = RIG_MMIO;
	gpr(rig)[CPU_EDI] = RIG_DATA;
	rig->mmio_value = 0x12345678;
	watches(rig, CPU_BREAK_WRITE, RIG_DATA, 4);
	watchpoint_met(rig, RIG_DATA, true, RIG_CODE + 1);
	assert_int_equal(rig->mmio_reads, 1);
	assert_int_equal(rig_word(rig, RIG_DATA), 0x12345678);
	/* and a watched device */
	cpu_forget_debugger(rig->cpu);
	watches(rig, CPU_BREAK_READ, RIG_MMIO, 4);
	rig_flat(rig, 0);
	gpr(rig)[CPU_ESI] = RIG_MMIO;
	gpr(rig)[CPU_EDI] = RIG_DATA;
	watchpoint_met(rig, RIG_MMIO, false, RIG_CODE + 1);
	assert_int_equal(rig->mmio_reads, 2);
}
EACH(a_device_is_asked_once, devices)

/* What the processor itself pushes, and an instruction that faults after its first access. */
static void deliveries(struct rig *rig)
{
	/* int3; hlt */
	RIG_LOAD(rig, 0xCC, 0xF4);
	watches(rig, CPU_BREAK_WRITE, RIG_STACK - 12, 4);
	watchpoint_met(rig, RIG_STACK - 12, true, RIG_HANDLERS + 16 * 3);
	halts_at(rig, 3);
	cpu_forget_debugger(rig->cpu);
	rig_flat(rig, 0);
	rig_paging(rig);
	*rig_pte(rig, 0x300000) = 0;
	um_guest_wrote(rig->um, RIG_TABLES + 0x1000 + 4 * 0x300, 4);
	RIG_LOAD(rig, 0xA5, 0xF4);
	gpr(rig)[CPU_ESI] = RIG_DATA;
	gpr(rig)[CPU_EDI] = 0x300000;
	watches(rig, CPU_BREAK_READ, RIG_DATA, 4);
	halts_at(rig, 14); /* it did not happen */
	assert_int_equal(gpr(rig)[CPU_ESI], RIG_DATA);
}
EACH(deliveries_are_watched_and_faults_are_no_accesses, deliveries)

static void floating(struct rig *rig)
{
	/* fld1; fstp qword [RIG_DATA]; movups [RIG_DATA + 16], xmm0; hlt */
	RIG_LOAD(rig, 0xD9, 0xE8, 0xDD, 0x1D, 0x00, 0x00, 0x02, 0x00, 0x0F, 0x11, 0x05, 0x10, 0x00, 0x02, 0x00, 0xF4);
	watches(rig, CPU_BREAK_WRITE, RIG_DATA + 7, 1);
	watches(rig, CPU_BREAK_WRITE, RIG_DATA + 31, 1);
	watchpoint_met(rig, RIG_DATA + 7, true, RIG_CODE + 8);
	assert_int_equal(rig_word(rig, RIG_DATA + 4), 0x3FF00000);
	watchpoint_met(rig, RIG_DATA + 31, true, RIG_CODE + 15);
	halts(rig);
}
EACH(floating_point_is_watched, floating)

/* ---- Steps ---------------------------------------------------------------------------------- */

static void steps(struct rig *rig)
{
	/* mov eax, 7; cmp eax, 7; je +1; hlt; push eax; ud2 */
	RIG_LOAD(rig, 0xB8, 0x07, 0x00, 0x00, 0x00, 0x83, 0xF8, 0x07, 0x74, 0x01, 0xF4, 0x50, 0x0F, 0x0B);
	uint64_t before = cpu_instructions(rig->cpu);
	breaks(rig, RIG_CODE + 5); /* a step runs what it stands on */
	step(rig, RIG_CODE + 5);
	step(rig, RIG_CODE + 8);
	step(rig, RIG_CODE + 11);
	step(rig, RIG_CODE + 12);
	assert_int_equal(cpu_instructions(rig->cpu) - before, 4);
	step(rig, RIG_HANDLERS + 16 * 6); /* what it raised has been delivered */
	step(rig, RIG_HANDLERS + 16 * 6 + 1); /* HLT is one */
	assert_true(rig->cpu->halted);
	/* Halted: it waits for the interrupt. */
	cpu_set_step(rig->cpu, true);
	halts(rig);
	halts(rig);
	rig->cpu->flags |= FL_IF;
	rig->irq_vector = 0x41;
	cpu_set_irq(rig->cpu, true);
	stopped(rig, CPU_STOP_STEP, RIG_HANDLERS + 16 * 0x41);
	/* Called off. */
	cpu_set_step(rig->cpu, true);
	cpu_set_step(rig->cpu, false);
	halts(rig);
}
EACH(steps_are_single_instructions, steps)

/* A budget of one instruction at a time changes nothing. */
static void small_budgets(struct rig *rig)
{
	unsigned stops = 0;

	load_loop(rig);
	breaks(rig, RIG_CODE + 9);
	for (unsigned n = 0; n < 100 && !rig->cpu->halted; n++) {
		enum cpu_exit exit = rig_run(rig, 1);
		if (exit == CPU_EXIT_DEBUG) {
			assert_int_equal(rig->cpu->eip, RIG_CODE + 9);
			stops++;
		}
	}
	assert_int_equal(stops, 5);
	rig_flat(rig, 0);
	cpu_set_step(rig->cpu, true);
	assert_int_equal(rig_run(rig, 1), CPU_EXIT_DEBUG);
	assert_int_equal(rig->cpu->eip, RIG_CODE + 2);
}
EACH(budgets_of_one, small_budgets)

/* ---- The guest's own ------------------------------------------------------------------------ */

static void own_trap_flag(struct rig *rig)
{
	/* pushf; or dword [esp], 0x100; popf; nop; nop; hlt */
	RIG_LOAD(rig, 0x9C, 0x81, 0x0C, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9D, 0x90, 0x90, 0xF4);
	breaks(rig, RIG_CODE + 9);
	breakpoint_met(rig, RIG_CODE + 9);
	assert_int_equal(rig->cpu->flags & FL_TF, FL_TF);
	step(rig, RIG_HANDLERS + 16); /* its #DB comes, after the NOP */
	assert_int_equal(rig_word(rig, gpr(rig)[CPU_ESP]), RIG_CODE + 10);
	assert_int_equal(rig->cpu->dr[6] & 0x4000, 0x4000);
	/* A debugger's step leaves no mark. */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0x9C, 0x58, 0xF4); /* pushf; pop eax; hlt */
	cpu_forget_debugger(rig->cpu);
	step(rig, RIG_CODE + 1);
	step(rig, RIG_CODE + 2);
	assert_int_equal(gpr(rig)[CPU_EAX], 2);
	assert_int_equal(rig->cpu->dr[6], 0xFFFF0FF0u);
}
EACH(the_guests_trap_flag_works_and_steps_leave_no_mark, own_trap_flag)

/* Its breakpoint and a debugger's on one instruction: both are met, once. */
static void own_breakpoint(struct rig *rig)
{
	/* mov eax, RIG_CODE + 17; mov dr0, eax; mov eax, 1; mov dr7, eax; nop; inc ecx; hlt */
	RIG_LOAD(rig, 0xB8, 0x11, 0x00, 0x01, 0x00, 0x0F, 0x23, 0xC0, 0xB8, 0x01, 0x00, 0x00, 0x00, 0x0F, 0x23, 0xF8, 0x90,
	         0x41, 0xF4);
	/* #DB: or dword [esp + 8], RF; iret */
	static const uint8_t handler[] = { 0x81, 0x4C, 0x24, 0x08, 0x00, 0x00, 0x01, 0x00, 0xCF };
	const uint32_t at = RIG_CODE + 17, db = RIG_HANDLERS + 16;

	memcpy(rig->ram + db, handler, sizeof handler);
	cpu_code_written(rig->cpu, rig->ram + db, sizeof handler);
	breaks(rig, at);
	breaks(rig, db);
	breakpoint_met(rig, at);
	assert_int_equal(rig->cpu->dr[6] & 1, 0);
	breakpoint_met(rig, db); /* continued: its own comes, as a fault of the instruction */
	assert_int_equal(rig->cpu->dr[6] & 1, 1);
	breakpoint_met(rig, at); /* started anew, with RF, which it still has */
	assert_int_equal(rig->cpu->flags & FL_RF, FL_RF);
	assert_int_equal(gpr(rig)[CPU_ECX], 0);
	halts(rig);
	assert_int_equal(gpr(rig)[CPU_ECX], 1);
	assert_int_equal(rig->cpu->dr[0], at);
	assert_int_equal(rig->cpu->dr[7], 0x401);
}
EACH(the_guests_breakpoint_on_the_same_instruction_works, own_breakpoint)

static void own_watchpoint(struct rig *rig)
{
	/* mov eax, RIG_DATA; mov dr1, eax; mov eax, 0xD00004; mov dr7, eax; mov [RIG_DATA], eax; hlt: DR1, 4 bytes, write */
	RIG_LOAD(rig, 0xB8, 0x00, 0x00, 0x02, 0x00, 0x0F, 0x23, 0xC8, 0xB8, 0x04, 0x00, 0xD0, 0x00, 0x0F, 0x23, 0xF8, 0xA3,
	         0x00, 0x00, 0x02, 0x00, 0xF4);
	watches(rig, CPU_BREAK_WRITE, RIG_DATA, 4);
	/* After the access its #DB has been delivered; then the debugger stops. */
	watchpoint_met(rig, RIG_DATA, true, RIG_HANDLERS + 16);
	assert_int_equal(rig->cpu->dr[6] & 2, 2);
	assert_int_equal(rig_word(rig, gpr(rig)[CPU_ESP]), RIG_CODE + 21);
	halts_at(rig, 1);
}
EACH(the_guests_watchpoint_on_the_same_bytes_works, own_watchpoint)

/* ---- Bounds --------------------------------------------------------------------------------- */

static void bounds(struct rig *rig)
{
	load_loop(rig);
	assert_false(watches(rig, CPU_BREAK_WRITE, RIG_DATA, 0));
	for (uint32_t n = 0; n < CPU_BREAKPOINTS_MAX; n++)
		assert_true(n % 2 ? breaks(rig, RIG_CODE + 0x100 + n) : watches(rig, CPU_BREAK_ACCESS, RIG_DATA + n, 1));
	assert_int_equal(cpu_breakpoints(rig->cpu), CPU_BREAKPOINTS_MAX);
	assert_false(breaks(rig, RIG_CODE));
	assert_true(breaks(rig, RIG_CODE + 0x101)); /* is there already */
	assert_int_equal(cpu_breakpoints(rig->cpu), CPU_BREAKPOINTS_MAX);
	halts(rig);
	assert_true(unbreaks(rig, RIG_CODE + 0x101));
	assert_true(breaks(rig, RIG_CODE + 7));
	rig_flat(rig, 0);
	breakpoint_met(rig, RIG_CODE + 7);
	cpu_forget_debugger(rig->cpu);
	assert_int_equal(cpu_breakpoints(rig->cpu), 0);
	halts(rig);
}
EACH(there_are_so_many_and_no_more, bounds)

/* ---- Everything at once --------------------------------------------------------------------- */

/* Sorts, calls, moves and counts: what each instruction's count is, is known from stepping through it. */
static const uint8_t program[] = {
	0xBE, 0x00, 0x00, 0x02, 0x00,       /*  0       mov esi, RIG_DATA */
	0x31, 0xD2,                         /*  5       xor edx, edx */
	0x69, 0xC2, 0x35, 0x4E, 0x5A, 0x01, /*  7 fill: imul eax, edx, 15A4E35 */
	0x89, 0x04, 0x96,                   /* 13       mov [esi + edx * 4], eax */
	0x42,                               /* 16       inc edx */
	0x83, 0xFA, 0x14,                   /* 17       cmp edx, 20 */
	0x75, 0xF1,                         /* 20       jne fill */
	0xE8, 0x17, 0x00, 0x00, 0x00,       /* 22       call sort */
	0xBF, 0x00, 0x10, 0x02, 0x00,       /* 27       mov edi, RIG_DATA + 1000 */
	0xB9, 0x14, 0x00, 0x00, 0x00,       /* 32       mov ecx, 20 */
	0x56,                               /* 37       push esi */
	0xF3, 0xA5,                         /* 38       rep movsd */
	0x5E,                               /* 40       pop esi */
	0x8B, 0x1E,                         /* 41       mov ebx, [esi] */
	0xF4,                               /* 43       hlt */
	0x90, 0x90,                         /* 44       nop; nop */
	0x31, 0xC9,                         /* 46 sort: xor ecx, ecx  (CALL's target is 50: see below) */
	0x90, 0x90,                         /* 48 */
	0xB9, 0x13, 0x00, 0x00, 0x00,       /* 50       mov ecx, 19 */
	0x31, 0xD2,                         /* 55 pass: xor edx, edx */
	0x8B, 0x04, 0x96,                   /* 57 cell: mov eax, [esi + edx * 4] */
	0x3B, 0x44, 0x96, 0x04,             /* 60       cmp eax, [esi + edx * 4 + 4] */
	0x76, 0x0A,                         /* 64       jbe next */
	0x87, 0x44, 0x96, 0x04,             /* 66       xchg [esi + edx * 4 + 4], eax */
	0x89, 0x04, 0x96,                   /* 70       mov [esi + edx * 4], eax */
	0x90, 0x90, 0x90,                   /* 73       nop x 3 */
	0x42,                               /* 76 next: inc edx */
	0x39, 0xCA,                         /* 77       cmp edx, ecx */
	0x72, 0xE8,                         /* 79       jb cell */
	0xE2, 0xE4,                         /* 81       loop pass */
	0xC3,                               /* 83       ret */
};
struct counted {
	unsigned runs[sizeof program], writes[20]; /* executions of each address; stores to each cell */
	struct cpu_state end;
	uint64_t instructions;
};

static void start(struct rig *rig)
{
	rig_flat(rig, 0);
	memset(rig->ram + RIG_DATA, 0, 0x2000);
	rig_load(rig, program, sizeof program);
}

static void count_by_steps(struct rig *rig, struct counted *k)
{
	uint64_t before = cpu_instructions(rig->cpu);

	memset(k, 0, sizeof *k);
	start(rig);
	while (!rig->cpu->halted) {
		uint32_t cells[20];
		unsigned at = rig->cpu->eip - RIG_CODE;
		bool again = at == 38 && gpr(rig)[CPU_ECX] != 20;
		k->runs[at] += !again;
		memcpy(cells, rig->ram + RIG_DATA, sizeof cells);
		cpu_set_step(rig->cpu, true);
		assert_int_equal(rig_run(rig, 10), CPU_EXIT_DEBUG);
		for (unsigned n = 0; n < 20; n++)
			k->writes[n] += memcmp(&cells[n], rig->ram + RIG_DATA + 4 * n, 4) != 0;
	}
	cpu_get_state(rig->cpu, &k->end);
	k->instructions = cpu_instructions(rig->cpu) - before;
}

static uint32_t next_random(uint32_t *seed) { return *seed = *seed * 1664525u + 1013904223u, *seed >> 8; }

static void at_random(struct rig *rig)
{
	static struct counted k;
	struct cpu_state end;
	uint32_t seed = 5;

	count_by_steps(rig, &k);
	start(rig);
	halts(rig); /* decoded, linked */
	for (unsigned round = 0; round < 60; round++) {
		unsigned breaks_at[6], count = next_random(&seed) % 6 + 1, cell = next_random(&seed) % 19, stops = 0;
		unsigned expected = k.writes[cell], runs[sizeof program] = { 0 }, writes = 0;
		uint64_t before = cpu_instructions(rig->cpu);
		bool watched = round % 3 == 0;

		start(rig);
		for (unsigned n = 0; n < count; n++) {
			do
				breaks_at[n] = next_random(&seed) % sizeof program;
			while (!k.runs[breaks_at[n]]);
			breaks(rig, RIG_CODE + breaks_at[n]);
		}
		if (watched)
			watches(rig, CPU_BREAK_WRITE, RIG_DATA + 4 * cell, 4);
		for (;;) {
			struct cpu_stop s;
			if (rig_run(rig, next_random(&seed) % 40 + 1) != CPU_EXIT_DEBUG) {
				if (rig->cpu->halted)
					break;
				continue;
			}
			cpu_get_stop(rig->cpu, &s);
			stops++;
			if (s.reason == CPU_STOP_WATCHPOINT)
				writes++;
			else
				runs[s.breakpoint.linear - RIG_CODE]++;
		}
		for (unsigned n = 0; n < count; n++)
			assert_int_equal(runs[breaks_at[n]], k.runs[breaks_at[n]]);
		if (watched) /* (some stores store what is there) */
			assert_in_range(writes, expected, expected + 1);
		assert_true(stops > 0);
		cpu_get_state(rig->cpu, &end);
		assert_memory_equal(&end, &k.end, sizeof end);
		assert_int_equal(cpu_instructions(rig->cpu) - before, k.instructions);
		if (round % 2)
			cpu_forget_debugger(rig->cpu);
		else /* as debuggers do: out, and in again next time */
			for (unsigned n = 0; n < count; n++)
				unbreaks(rig, RIG_CODE + breaks_at[n]);
		cpu_remove_breakpoint(rig->cpu, &(struct cpu_breakpoint){ CPU_BREAK_WRITE, RIG_DATA + 4 * cell, 4 });
		assert_int_equal(cpu_breakpoints(rig->cpu), 0);
	}
}
EACH(stops_at_random_change_nothing_and_count_right, at_random)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stops_before_the_instruction_once_each_time),
		cmocka_unit_test(meets_a_loop_of_one_instruction_each_time),
		cmocka_unit_test(a_jump_by_the_debugger_is_met_a_changed_register_is_not),
		cmocka_unit_test(follows_the_address_not_the_page),
		cmocka_unit_test(real_mode_by_linear_address),
		cmocka_unit_test(an_instruction_in_two_pages),
		cmocka_unit_test(code_under_a_breakpoint_may_be_written),
		cmocka_unit_test(a_step_and_what_is_stepped_over_come_before_interrupts),
		cmocka_unit_test(a_repeated_instruction_is_met_once_and_stepped_by_the_element),
		cmocka_unit_test(a_watchpoint_stops_within_a_repeated_instruction),
		cmocka_unit_test(watchpoints_stop_after_the_access_and_say_where),
		cmocka_unit_test(others_stay_fast),
		cmocka_unit_test(watchpoints_at_the_ends_of_pages_and_of_the_world),
		cmocka_unit_test(a_device_is_asked_once),
		cmocka_unit_test(deliveries_are_watched_and_faults_are_no_accesses),
		cmocka_unit_test(floating_point_is_watched),
		cmocka_unit_test(steps_are_single_instructions),
		cmocka_unit_test(budgets_of_one),
		cmocka_unit_test(the_guests_trap_flag_works_and_steps_leave_no_mark),
		cmocka_unit_test(the_guests_breakpoint_on_the_same_instruction_works),
		cmocka_unit_test(the_guests_watchpoint_on_the_same_bytes_works),
		cmocka_unit_test(there_are_so_many_and_no_more),
		cmocka_unit_test(stops_at_random_change_nothing_and_count_right),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
