/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_traps.c - the frames of traps, word by word, and which gate does what.
 *
 *   1. From ring 3
 *   2. From ring 1
 *   3. Gates
 *   4. Stacks that are not in one piece
 */
#include "guests/pv/probes.h"

enum { FLAG_TF = 0x100, FLAG_IF = 0x200, FLAG_IOPL = 0x3000, FLAG_NT = 0x4000, FLAG_VM = 0x20000 };

/* ---- 1. From ring 3 ------------------------------------------------------------------------- */

struct user_trap {
	const char *code;
	unsigned vector, error;
	unsigned length; /* of the instruction, for traps that report the next one */
	unsigned at;     /* its offset */
};

static void check_user_frame(const struct process *p, const struct user_trap *t, uint32_t words)
{
	const struct trap_frame *f = &p->frame;

	CHECK_EQUAL(f->vector, t->vector);
	CHECK_EQUAL(f->error, t->error);
	CHECK_EQUAL(f->eip, user_address(t->code) + t->at + t->length);
	CHECK_EQUAL(f->cs & 0xFFFF, USER_CODE);
	CHECK_EQUAL(f->ss & 0xFFFF, USER_DATA);
	CHECK_EQUAL(f->esp, USER_STACK + PAGE);
	CHECK_EQUAL(f->ds & 0xFFFF, USER_DATA);
	CHECK_EQUAL(f->eflags & (FLAG_IOPL | FLAG_VM | FLAG_NT), 0);
	CHECK_EQUAL(caught.at, p->esp1 - 4 * words);
	CHECK_EQUAL(caught.cs & 0xFFFF, KERNEL_CODE);
	CHECK_EQUAL(caught.ss & 0xFFFF, KERNEL_DATA);
	CHECK_EQUAL(caught.eflags & (FLAG_TF | FLAG_NT | FLAG_VM | FLAG_IOPL), 0);
	CHECK(caught.eflags & FLAG_IF);
}

/* Interrupts were on: an interrupt gate turns them off, a trap gate does not. */
static void check_user_trap(struct process *p, const struct user_trap *t)
{
	bool error = t->vector == 13 || t->vector == 14;
	bool trap_gate = t->vector == VECTOR_SYSCALL || exception_gate(t->vector) == GATE_TRAP;

	run_user(p, t->code, 0, 0, 0);
	check_user_frame(p, t, error ? 6 : 5);
	CHECK_EQUAL(p->frame.eflags & FLAG_IF, FLAG_IF);
	CHECK_EQUAL(caught.irq_enabled & FLAG_IF, trap_gate ? FLAG_IF : 0);
}

static void test_user(void)
{
	static const struct user_trap traps[] = {
		{ u_nothing, VECTOR_SYSCALL, 0, 2, 0 },
		{ u_divide, 0, 0, 0, 2 },
		{ u_int3, 3, 0, 1, 0 },
		{ u_into, 4, 0, 1, 4 },
		{ u_ud, 6, 0, 0, 0 },
		{ u_vmcall, 6, 0, 0, 0 },
		{ u_in, 13, 0, 0, 0 },
		{ u_cli, 13, 0, 0, 0 },
		{ u_hlt, 13, 0, 0, 0 },
		{ u_read, 14, 4, 0, 0 },
		{ u_write, 14, 6, 0, 0 },
	};
	static struct process p;

	process_create(&p);
	for (unsigned i = 0; i < sizeof traps / sizeof traps[0]; i++)
		check_user_trap(&p, &traps[i]);
	process_destroy(&p);
}

/* Gates that ring 3 may not use, the host's own among them. */
static void test_forbidden_gates(void)
{
	static const struct user_trap traps[] = {
		{ u_int1f, 13, 0xFA, 0, 0 },  { u_int20, 13, 0x102, 0, 0 }, { u_int0e, 13, 0x72, 0, 0 },
		{ u_int2, 13, 0x12, 0, 0 },   { u_intff, 13, 0x7FA, 0, 0 },
	};
	static struct process p;

	process_create(&p);
	for (unsigned i = 0; i < sizeof traps / sizeof traps[0]; i++)
		check_user_trap(&p, &traps[i]);
	process_destroy(&p);
}

/* The frame says what the virtual flag was; POPF and the real flag have no part in it. */
static void test_virtual_flag(void)
{
	static struct process p;

	process_create(&p);
	run_user(&p, u_popf, 0, 0, 0);
	CHECK_EQUAL(p.frame.vector, VECTOR_SYSCALL);
	CHECK(p.frame.eax & FLAG_IF);
	p.frame.eip = user_address(u_int3);
	p.frame.eflags = 2; /* our IRET turns the virtual flag off */
	run_process(&p);
	CHECK_EQUAL(p.frame.vector, 3);
	CHECK_EQUAL(p.frame.eflags & FLAG_IF, 0);
	CHECK_EQUAL(caught.irq_enabled & FLAG_IF, 0);
	p.frame.eip = user_address(u_int3);
	p.frame.eflags = 0x246; /* the whole word goes there; only bit 9 counts */
	run_process(&p);
	CHECK_EQUAL(p.frame.eflags & 0xFFF, 0x246);
	p.frame.eip = user_address(u_int3);
	p.frame.eflags = 0x046;
	run_process(&p);
	CHECK_EQUAL(p.frame.eflags & 0xFFF, 0x046);
	CHECK_EQUAL(run_user(&p, u_flags, 0, 0, 0), 13); /* STI */
	CHECK(p.frame.eax & FLAG_IF);
	process_destroy(&p);
}

/* TF and NT of ring 3 are in the frame, and not in force in the handler. */
static void test_step(void)
{
	static struct process p;

	process_create(&p);
	CHECK_EQUAL(run_user(&p, u_step, 0, 0, 0), 1);
	CHECK_EQUAL(p.frame.eip, user_address(u_step_end));
	CHECK(p.frame.eflags & FLAG_TF);
	CHECK_EQUAL(caught.eflags & FLAG_TF, 0);
	p.frame.eflags = 0x202 | FLAG_NT | 1;
	p.frame.eip = user_address(u_ud);
	run_process(&p);
	CHECK_EQUAL(p.frame.vector, 6);
	CHECK(p.frame.eflags & FLAG_NT);
	CHECK(p.frame.eflags & 1);
	CHECK_EQUAL(caught.eflags & FLAG_NT, 0);
	process_destroy(&p);
}

/* ---- 2. From ring 1 ------------------------------------------------------------------------- */

struct kernel_trap {
	char *probe, *at;
	uint32_t argument;
	unsigned vector, error, length;
};

static void check_kernel_trap(const struct kernel_trap *t, uint32_t irq_enabled)
{
	bool error = t->vector == 13 || t->vector == 14;
	bool trap_gate = t->vector == VECTOR_SYSCALL || exception_gate(t->vector) == GATE_TRAP;

	*data_word(DATA_IRQ_ENABLED) = irq_enabled;
	if (!CHECK(call_guarded(t->probe, t->argument, 0)))
		return;
	*data_word(DATA_IRQ_ENABLED) = 0;
	CHECK_EQUAL(caught.frame.vector, t->vector);
	CHECK_EQUAL(caught.frame.error, t->error);
	CHECK_EQUAL(caught.frame.eip, (uint32_t)t->at + t->length);
	CHECK_EQUAL(caught.frame.cs & 0xFFFF, KERNEL_CODE);
	if (!trap_gate || t->vector == 13) /* else the processor may push its own flags, with IF */
		CHECK_EQUAL(caught.frame.eflags & FLAG_IF, irq_enabled & FLAG_IF);
	CHECK_EQUAL(caught.at, caught.frame.esp - (error ? 16 : 12));
	CHECK_EQUAL(caught.irq_enabled & FLAG_IF, trap_gate ? irq_enabled & FLAG_IF : 0);
	CHECK_EQUAL(caught.eflags & (FLAG_TF | FLAG_NT | FLAG_IOPL), 0);
}

static void test_kernel(void)
{
	static uint32_t zero;
	const struct kernel_trap traps[] = {
		{ k_divide, k_divide_at, (uint32_t)&zero, 0, 0, 0 },
		{ k_int3, k_int3_at, 0, 3, 0, 1 },
		{ k_ud, k_ud_at, 0, 6, 0, 0 },
		{ k_load_es, k_load_es_at, 0x124, 13, 0x124, 0 }, /* of an LDT that is not there */
		{ k_read, k_read_at, USER_HEAP, 14, 0, 0 },
		{ k_write, k_write_at, USER_HEAP, 14, 2, 0 },
	};
	static const struct kernel_trap direct = { k_syscall, k_syscall_at, 0, VECTOR_SYSCALL, 0, 2 };

	irq_mask(IRQ_TIMER);
	for (unsigned i = 0; i < sizeof traps / sizeof traps[0]; i++) {
		check_kernel_trap(&traps[i], IRQ_ON);
		check_kernel_trap(&traps[i], 0);
		check_kernel_trap(&traps[i], 0x046);
	}
	check_kernel_trap(&direct, IRQ_ON);
	__asm__ volatile("movl %0, %%es" : : "r"(KERNEL_DATA_RPL0));
	irq_unmask(IRQ_TIMER);
}

/* ---- 3. Gates ------------------------------------------------------------------------------- */

static void test_gates(void)
{
	static const uint8_t ignored[] = { 2, 8, 15, VECTOR_HYPERCALL };
	static struct process p;

	/* the type counts */
	process_create(&p);
	for (unsigned type = GATE_INTERRUPT; type <= GATE_TRAP; type++) {
		set_gate(3, (uint32_t)trap_entries + 16 * 3, type, 3);
		CHECK_EQUAL(run_user(&p, u_int3, 0, 0, 0), 3);
		CHECK_EQUAL(caught.irq_enabled & FLAG_IF, type == GATE_TRAP ? FLAG_IF : 0);
		set_gate(VECTOR_SYSCALL, (uint32_t)trap_entries + 16 * VECTOR_SYSCALL, type, 3);
		CHECK_EQUAL(run_user(&p, u_nothing, 0, 0, 0), VECTOR_SYSCALL);
		CHECK_EQUAL(caught.irq_enabled & FLAG_IF, type == GATE_TRAP ? FLAG_IF : 0);
	}
	/* also of those that the host looks at first */
	for (unsigned type = GATE_INTERRUPT; type <= GATE_TRAP; type++) {
		set_gate(13, (uint32_t)trap_entries + 16 * 13, type, 0);
		CHECK_EQUAL(run_user(&p, u_cli, 0, 0, 0), 13);
		CHECK_EQUAL(caught.irq_enabled & FLAG_IF, type == GATE_TRAP ? FLAG_IF : 0);
		set_gate(14, (uint32_t)trap_entries + 16 * 14, type, 0);
		CHECK_EQUAL(user_read(&p, 0), FAULT_U);
		CHECK_EQUAL(caught.irq_enabled & FLAG_IF, type == GATE_TRAP ? FLAG_IF : 0);
	}
	default_gate(13);
	default_gate(14);
	/* and the privilege */
	set_gate(3, (uint32_t)trap_entries + 16 * 3, GATE_INTERRUPT, 0);
	CHECK_EQUAL(run_user(&p, u_int3, 0, 0, 0), 13);
	CHECK_EQUAL(p.frame.error, 3 * 8 + 2);
	set_gate(3, (uint32_t)trap_entries + 16 * 3, GATE_INTERRUPT, 1);
	CHECK_EQUAL(run_user(&p, u_int3, 0, 0, 0), 13);
	default_gate(3);
	default_gate(VECTOR_SYSCALL);
	/* and not for these */
	for (unsigned i = 0; i < sizeof ignored; i++)
		set_gate(ignored[i], (uint32_t)trap_entries + 16 * 6, GATE_TRAP, 3);
	CHECK_EQUAL(run_user(&p, u_int1f, 0, 0, 0), 13);
	CHECK_EQUAL(p.frame.error, 0xFA);
	CHECK_EQUAL(run_user(&p, u_int2, 0, 0, 0), 13);
	CHECK_EQUAL(p.frame.error, 0x12);
	for (unsigned i = 0; i < sizeof ignored; i++)
		set_gate(ignored[i], 0, 0, 0);
	CHECK_EQUAL(run_user(&p, u_nothing, 0, 0, 0), VECTOR_SYSCALL);
	process_destroy(&p);
}

/* ---- 4. Stacks ------------------------------------------------------------------------------ */

static void check_split(struct process *p)
{
	switch_to(p);
	CHECK_EQUAL(run_user(p, u_int3, 0, 0, 0), 3);
	CHECK_EQUAL(p->frame.eip, user_address(u_int3) + 1);
	CHECK_EQUAL(p->frame.esp, USER_STACK + PAGE);
	CHECK_EQUAL(p->frame.ss & 0xFFFF, USER_DATA);
	CHECK_EQUAL(caught.at, p->esp1 - 20);
	CHECK_EQUAL(user_read(p, USER_HEAP), 4);
	CHECK_EQUAL(caught.at, p->esp1 - 24);
	CHECK_EQUAL(run_user(p, u_nothing, 0, 0, 0), VECTOR_SYSCALL);
	CHECK_EQUAL(p->frame.ss & 0xFFFF, USER_DATA);
}

/* Frames that are no neighbours; the frame of a trap lies across. */
static void test_split_stack(void)
{
	static struct process p;
	const uint32_t frames[3] = { take_frame(), take_frame(), take_frame() };
	uint32_t base = VMALLOC + 0x100000, top = base + 2 * PAGE, home;

	for (unsigned i = 0; i < 3; i++) /* the lower the page, the higher its frame */
		map_kernel(base + i * PAGE, frames[2 - i] | PTE_KERNEL);
	process_create(&p);
	home = p.esp1;
	for (uint32_t above = 0; above <= 24; above += 4) {
		p.esp1 = top + above;
		check_split(&p);
	}
	p.esp1 = home + 8; /* at the very end of its page: what is above need not be there */
	check_split(&p);
	p.esp1 = home;
	switch_to(&p);
	process_destroy(&p);
	for (unsigned i = 0; i < 3; i++) {
		map_kernel(base + i * PAGE, 0);
		release_frame(frames[i]);
	}
}

const struct test traps_tests[] = {
	{ "traps", "user", test_user },
	{ "traps", "forbidden-gates", test_forbidden_gates },
	{ "traps", "virtual-flag", test_virtual_flag },
	{ "traps", "step", test_step },
	{ "traps", "kernel", test_kernel },
	{ "traps", "gates", test_gates },
	{ "traps", "split-stack", test_split_stack },
	{ 0 },
};
