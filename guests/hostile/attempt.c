/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/attempt.c - a few instructions, and what they came to.
 *
 *   1. Noting      one number for everything
 *   2. Traps       the end of an attempt, or one of its steps
 *   3. Attempts
 */
#include "guests/hostile/hostile.h"

/* ---- 1. Noting ------------------------------------------------------------------------------ */

static uint32_t noted = 2166136261u, notes, attempts, exceptions, results;
bool verbose;
uint32_t noted_flags = ~0u;

void note(uint32_t word)
{
	noted = (noted ^ word) * 16777619u;
	noted ^= noted >> 15;
	notes++;
}

void note_memory(uint32_t address, uint32_t bytes)
{
	for (uint32_t n = 0; n < bytes; n += 4)
		note(*(const volatile uint32_t *)(address + n));
}

void told(const char *what)
{
	print("ok %u - %s: %u attempts, %u exceptions, %08x\n", ++results, what, attempts, exceptions, noted);
	noted = 2166136261u;
	notes = attempts = exceptions = 0;
}

static uint32_t state = 0x2545F491;

uint32_t random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* ---- 2. Traps ------------------------------------------------------------------------------- */

enum { TRAP_DEBUG = 1 };
void enter_attempt(const struct context *c);
_Noreturn void leave_attempt(void);

static struct outcome seen;
static bool attempting;
bool stepping;
volatile uint32_t interrupts;

#define READ_SELECTOR(name, to) __asm__ volatile("movl %%" name ", %0" : "=r"(to))

static void see(const struct trap_frame *f)
{
	seen = (struct outcome){
		.vector = f->vector, .error = f->error, .cr2 = f->vector == TRAP_PAGE_FAULT ? read_cr2() : 0,
		.at = { f->eax, f->ecx, f->edx, f->ebx, f->ebp, f->esi, f->edi, 0, f->eip, f->eflags, f->cs,
		        .ds = f->ds & 0xFFFF, .es = f->es & 0xFFFF },
	};
	if (f->cs & 3) {
		seen.at.esp = f->esp;
		seen.at.ss = f->ss & 0xFFFF;
	} else {
		seen.at.esp = (uint32_t)&f->esp;
	}
	seen.at.cs &= 0xFFFF;
	READ_SELECTOR("fs", seen.at.fs);
	READ_SELECTOR("gs", seen.at.gs);
}

static void note_outcome(struct outcome *o)
{
	const uint32_t *word = (const uint32_t *)o;

	o->at.eflags &= noted_flags;
	for (unsigned n = 0; n < sizeof(*o) / 4; n++)
		note(word[n]);
	if (verbose)
		print("# %x/%x cr2 %08x at %x:%08x fl %08x ss:esp %x:%08x %08x %08x %08x %08x %08x %08x %08x ds %x %x %x %x\n",
		      o->vector, o->error, o->cr2, o->at.cs, o->at.eip, o->at.eflags, o->at.ss, o->at.esp, o->at.eax,
		      o->at.ecx, o->at.edx, o->at.ebx, o->at.ebp, o->at.esi, o->at.edi, o->at.ds, o->at.es, o->at.fs,
		      o->at.gs);
}

static uint32_t read_dr6(void)
{
	uint32_t value;

	__asm__ volatile("movl %%dr6, %0" : "=r"(value));
	return value;
}

void handle_trap(struct trap_frame *f)
{
	if (f->vector >= TRAP_IRQ0 && f->vector < TRAP_IRQ0 + 16) {
		interrupts++;
		out8(0x20, 0x20);
		return;
	}
	if (!attempting) {
		print("Bail out! trap %u, error %x, at %x:%08x, address %08x\n", f->vector, f->error, f->cs, f->eip,
		      read_cr2());
		debug_exit(3);
	}
	see(f);
	if (f->vector == TRAP_DEBUG) {
		note(read_dr6());
		__asm__ volatile("movl %0, %%dr6" : : "r"(0xFFFF0FF0u));
	}
	if (f->vector == TRAP_DEBUG && stepping) {
		note_outcome(&seen);
		f->eflags |= 1u << 16; /* RF: past a breakpoint on the instruction */
		exceptions++;
		return;
	}
	leave_attempt();
}

/* ---- 3. Attempts ---------------------------------------------------------------------------- */

static uint8_t trap_stack[8192] __attribute__((aligned(16)));
static uint8_t ring0_stack[8192] __attribute__((aligned(16)));

const struct context user_context = {
	.eip = CODE, .esp = STACK_TOP, .eflags = 2, .cs = USER_CODE, .ss = USER_DATA, .ds = USER_DATA, .es = USER_DATA,
	.fs = TLS, .gs = SHORT,
	.eax = 0x11111111, .ecx = 0x22222222, .edx = 0x33333333, .ebx = DATA + 0x100, .ebp = STACK_TOP - 64,
	.esi = DATA + 0x200, .edi = DATA + 0x300,
};
const struct context kernel_context = {
	.eip = CODE, .esp = (uint32_t)ring0_stack + 4096, .eflags = 2, .cs = KERNEL_CODE, .ss = KERNEL_DATA,
	.ds = KERNEL_DATA, .es = KERNEL_DATA,
	.eax = 0x11111111, .ecx = 0x22222222, .edx = 0x33333333, .ebx = DATA + 0x100, .ebp = STACK_TOP - 64,
	.esi = DATA + 0x200, .edi = DATA + 0x300,
};

void put_code(uint32_t address, const void *bytes, unsigned count)
{
	memcpy((void *)address, bytes, count);
	memcpy((void *)(address + count), "\xCD\x80", 2);
}

struct outcome attempt(const struct context *c)
{
	set_kernel_stack((uint32_t)trap_stack + sizeof(trap_stack));
	attempting = true;
	enter_attempt(c);
	__asm__ volatile("" : : : "memory");
	attempting = false;
	attempts++;
	exceptions += seen.vector != TRAP_USER;
	note_outcome(&seen);
	return seen;
}
