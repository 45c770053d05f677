/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/trap.c - descriptors, gates, and what each trap comes to.
 *
 *   1. Segments    each family's call for them
 *   2. Gates
 *   3. Handling    interrupts, faults that are resolved, traps that somebody waits for
 */
#include "guests/pv/pv.h"

/* ---- 1. Segments ---------------------------------------------------------------------------- */

static uint64_t gdt[GDT_ENTRIES] __attribute__((aligned(8)));
static uint32_t percpu[4] = { 0x9E12C947, 0, 0, 0 };

/* type_dpl: the access byte (SDM vol. 3, 3.4.5).  Limits of less than 1 MiB count bytes. */
uint64_t make_segment(uint32_t base, uint32_t limit, unsigned type_dpl)
{
	bool pages = limit > 0xFFFFF;
	uint64_t l = pages ? limit >> 12 : limit;

	return (l & 0xFFFF) | (uint64_t)(base & 0xFFFFFF) << 16 | (uint64_t)type_dpl << 40 |
	       (l >> 16) << 48 | (pages ? 0xCull : 0x4ull) << 52 | (uint64_t)(base >> 24) << 56;
}

/* A table replaces TLS entries too: nothing may be loaded from them then. */
static void tell_descriptor(unsigned index)
{
	__asm__ volatile("movl %0, %%gs" : : "r"(0));
	if (family->gdt_entries)
		call(CALL_LOAD_GDT_ENTRY, index, (uint32_t)gdt[index], (uint32_t)(gdt[index] >> 32));
	else
		call(CALL_LOAD_GDT, physical(gdt), GDT_ENTRIES, 0);
}

void set_descriptor(unsigned index, uint64_t descriptor)
{
	gdt[index] = descriptor;
	tell_descriptor(index);
}

/* The kernel's have DPL 0 and have not been accessed: the host makes DPL 1 of it, and marks them. */
void segments_start(void)
{
	gdt[KERNEL_CODE / 8] = make_segment(0, ~0u, 0x9A);
	gdt[KERNEL_DATA / 8] = make_segment(0, ~0u, 0x92);
	gdt[USER_CODE / 8] = make_segment(0, ~0u, 0xFA);
	gdt[USER_DATA / 8] = make_segment(0, ~0u, 0xF2);
	gdt[16] = make_segment((uint32_t)percpu, 103, 0x89);     /* TSS: the host ignores it */
	gdt[26] = make_segment(0, 0xFFFF, 0x92);                 /* espfix */
	gdt[PERCPU / 8] = make_segment((uint32_t)percpu, sizeof percpu - 1, 0x92);
	gdt[CANARY / 8] = make_segment((uint32_t)percpu, 0x17, 0x92);
	gdt[31] = gdt[16];
	for (unsigned i = 0; i < GDT_ENTRIES && family->gdt_entries; i++)
		tell_descriptor(i);
	if (!family->gdt_entries)
		tell_descriptor(0);
	__asm__ volatile("movl %0, %%ds\n\t"
			 "movl %0, %%es\n\t"
			 "movl %1, %%ss\n\t"
			 "movl %2, %%fs\n\t"
			 "movl %3, %%gs"
			 :
			 : "r"(KERNEL_DATA_RPL0), "r"(KERNEL_DATA), "r"(PERCPU), "r"(0)
			 : "memory");
}

/* ---- 2. Gates ------------------------------------------------------------------------------- */

void set_gate(unsigned vector, uint32_t handler, unsigned type, unsigned dpl)
{
	uint32_t low = (uint32_t)KERNEL_CODE << 16 | (handler & 0xFFFF);
	uint32_t high = (handler & 0xFFFF0000) | (type ? 0x8000u : 0) | dpl << 13 | type << 8;

	call(CALL_LOAD_IDT_ENTRY, vector, type ? low : 0, type ? high : 0);
}

/* Families that have most exceptions behind trap gates: INT3, debug and page fault are not. */
enum gate exception_gate(unsigned vector)
{
	bool trap = family->trap_gates && vector != 1 && vector != 3 && vector != 14;

	return trap ? GATE_TRAP : GATE_INTERRUPT;
}

static bool is_external(unsigned vector)
{
	unsigned end = family->trap_gates ? 0x40 : 0x100;

	return vector >= VECTOR_IRQ0 && vector < end && vector != VECTOR_SYSCALL;
}

void default_gate(unsigned vector)
{
	uint32_t at = (uint32_t)trap_entries + 16 * vector;

	if (vector == VECTOR_SYSCALL)
		set_gate(vector, at, GATE_TRAP, 3);
	else if (vector < 20)
		set_gate(vector, at, exception_gate(vector), vector == 3 || vector == 4 ? 3 : 0);
	else if (is_external(vector))
		set_gate(vector, at, GATE_INTERRUPT, 0);
	else
		set_gate(vector, 0, 0, 0);
}

void traps_start(void)
{
	for (unsigned i = 0; i < 256; i++)
		default_gate(i);
}

/* ---- 3. Handling ---------------------------------------------------------------------------- */

struct caught caught;

static bool from_user(const struct trap_frame *f)
{
	return (f->cs & 3) == 3;
}

static void remember(const struct trap_frame *f, uint32_t irq_enabled, uint32_t eflags)
{
	bool error = f->vector == 8 || (f->vector >= 10 && f->vector <= 14) || f->vector == 17;

	caught.frame = *f;
	if (!from_user(f)) {
		caught.frame.esp = (uint32_t)&f->esp;
		caught.frame.ss = KERNEL_DATA;
	}
	caught.at = (uint32_t)&f->eip - (error ? 4 : 0);
	caught.irq_enabled = irq_enabled;
	caught.cr2 = *data_word(DATA_CR2);
	caught.eflags = eflags;
	__asm__("movl %%cs, %0" : "=r"(caught.cs));
	__asm__("movl %%ss, %0" : "=r"(caught.ss));
}

static _Noreturn void die_of(const struct trap_frame *f)
{
	print("\npv: trap %u, error %x, at %x:%08x, address %08x, eflags %x\n", f->vector, f->error,
	      f->cs, f->eip, *data_word(DATA_CR2), f->eflags);
	shut_down("pv: unexpected trap", SHUTDOWN_POWER_OFF);
}

static void handle_user(struct trap_frame *f, uint32_t irq_enabled, uint32_t eflags)
{
	if (f->vector == 7 && fpu_trap())
		return;
	if (f->vector == 14 && process_fault(*data_word(DATA_CR2), f->error))
		return;
	irq_off();
	remember(f, irq_enabled, eflags);
	process_stopped(f);
	leave_user();
}

static void handle_kernel(struct trap_frame *f, uint32_t irq_enabled, uint32_t eflags)
{
	uint32_t cr2 = *data_word(DATA_CR2);

	if (f->vector == 14 && (kernel_fault(cr2, f->error) || process_fault(cr2, f->error)))
		return;
	if (!guarded)
		die_of(f);
	remember(f, irq_enabled, eflags);
	leave_guarded();
}

void handle_trap(struct trap_frame *f)
{
	uint32_t irq_enabled = *data_word(DATA_IRQ_ENABLED), eflags;

	__asm__ volatile("pushfl; popl %0" : "=r"(eflags));
	if (f->vector >= VECTOR_IRQ0 && f->vector < VECTOR_IRQ0 + IRQS)
		take_interrupt(f);
	else if (from_user(f))
		handle_user(f, irq_enabled, eflags);
	else
		handle_kernel(f, irq_enabled, eflags);
}
