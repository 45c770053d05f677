/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/stack.c - stacks at the end of pages, of segments and of the world; calls without number.
 *
 *   1. Stacks
 *   2. Calls
 */
#include "guests/hostile/hostile.h"

/* ---- 1. Stacks ------------------------------------------------------------------------------ */

struct words { const char *bytes; unsigned count; };
#define W(s) { s, sizeof(s) - 1 }

/* %ebx: DATA + 0x100 */
static const struct words uses[] = {
	W("\x50"), W("\x54"), W("\x58"), W("\x5C"), W("\x66\x50"), W("\x66\x58"), W("\x60"), W("\x61"), W("\x66\x60"), W("\x66\x61"),
	W("\x9C"), W("\x66\x9C"), W("\x6A\x12"), W("\x66\x6A\x12"), W("\x68\x12\x34\x56\x78"), W("\xFF\x33"), W("\x66\xFF\x33"),
	W("\x8F\x03"), W("\x66\x8F\x03"), W("\xFF\x34\x24"), W("\x8F\x04\x24"), W("\x8F\x44\x24\x04"), W("\xFF\x74\x24\xFC"),
	W("\xE8\x00\x00\x00\x00"), W("\x66\xE8\x00\x00"), W("\xFF\xD3"), W("\xFF\x13"), W("\x66\xFF\x13"), W("\xC3"), W("\x66\xC3"),
	W("\xC2\x08\x00"), W("\xC2\xFF\xFF"), W("\xC9"), W("\x66\xC9"), W("\xC8\x00\x00\x00"), W("\xC8\x10\x00\x01"),
	W("\xC8\x00\x10\x00"), W("\xC8\x08\x00\x04"), W("\xC8\xFF\xFF\x1F"), W("\x66\xC8\x04\x00\x02"), W("\x06"), W("\x0E"), W("\x16"),
	W("\x0F\xA0"), W("\x66\x0F\xA8"), W("\x1F"), W("\x07"), W("\x17"), W("\x0F\xA1"), W("\x9A\x00\x00\x00\x40\x1B\x00"), W("\xCB"),
	W("\xCF"), W("\x89\x04\x24"), W("\x87\x04\x24"), W("\x01\x44\x24\xFE"), W("\x50\x5B\x50\x59"), W("\x54\x5C"), W("\x5C\x50"),
	W("\x83\xC4\x04\x50"), W("\x87\xE0\x50\x94\x58"), W("\x94\x94\x50"), W("\x8D\x64\x24\xF0\x50\x58"),
};
static const uint32_t tops[] = {
	STACK, STACK + 1, STACK + 2, STACK + 4, STACK + 8, STACK + 16, STACK + 28, STACK + 32, STACK + 0xFFC, STACK + 0xFFE,
	STACK + 0xFFF, STACK + 0x1000, STACK + 0x1001, STACK + 0x1002, STACK + 0x1004, STACK + 0x1020, STACK_TOP - 32,
	STACK_TOP - 28, STACK_TOP - 8, STACK_TOP - 4, STACK_TOP - 3, STACK_TOP - 2, STACK_TOP - 1, STACK_TOP, STACK_TOP + 4,
	STACK_TOP + 32, 0, 1, 2, 3, 4, 8, 28, 32, 0xFFF, 0x1000, 0xFFFFFFFC, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFFFFF8, 0xFFFFFFE0,
	0xFFFFF000, 0xFFFFE000, 0xFFFFE004, READ_ONLY + 8, READ_ONLY, KERNELS + 8, DATA + 0x2000, MISSING + 4, 0x80000000,
	0x0010, 0x00010000, 0x12340004, 0x56780000,
};

static void use_stack(uint32_t ss, uint32_t top)
{
	static unsigned at;
	struct context c = user_context;

	PUT("\x40");
	c.ss = ss;
	c.esp = top;
	c.ebp = top ^ 0x10;
	for (unsigned n = 0; n < COUNT(uses); n++) {
		/* Each time in another place: what faults in one often enough is done in other ways. */
		c.eip = CODE + 16 + (at++ % 200) * 16;
		put_code(c.eip, uses[n].bytes, uses[n].count);
		attempt(&c);
	}
}

void stacks(void)
{
	static const struct { const char *what; uint32_t ss; } kinds[] = {
		{ "a flat stack", USER_DATA }, { "a stack with 16 bits of SP", STACK16 }, { "an expand-down stack", DOWN },
		{ "a stack with a limit", SHORT }, { "a stack with a base", BASED }, { "a stack out of the LDT", 7 },
	};

	for (unsigned k = 0; k < COUNT(kinds); k++) {
		for (unsigned n = 0; n < COUNT(tops); n++)
			use_stack(kinds[k].ss, kinds[k].ss == STACK16 || kinds[k].ss == BASED ? tops[n] - STACK : tops[n]);
		note_memory(STACK, 2 * PAGE);
		note_memory(DATA, 4 * PAGE);
		note_memory(TOP, 2 * PAGE);
		note_memory(0, PAGE);
		told(kinds[k].what);
	}
}

/* ---- 2. Calls ------------------------------------------------------------------------------- */

static void go(const void *code, unsigned count, struct context c)
{
	put_code(CODE, code, count);
	attempt(&c);
}
#define GO(s, c) go(s, sizeof(s) - 1, c)

void calls(void)
{
	struct context c = user_context;

	/* Down n times and back: call 1f; int $0x80; 1: dec %ecx; jz 2f; call 1b; inc %eax; 2: ret */
	c.esp = DEEP + 0x3FFFF0;
	for (c.ecx = 1; c.ecx < 1000000; c.ecx = c.ecx * 7 + 3)
		GO("\xE8\x02\x00\x00\x00\xCD\x80\x49\x74\x06\xE8\xF8\xFF\xFF\xFF\x40\xC3", c);
	told("deep recursion");
	/* ... until there is no more stack: call . */
	c.esp = STACK_TOP;
	GO("\xE8\xFB\xFF\xFF\xFF", c);
	c.esp = 0x2000;
	GO("\xE8\xFB\xFF\xFF\xFF", c);
	told("... without end");
	/* A return that is not to the caller: call 1f; int3; 1: addl $1, (%esp); ret */
	c.esp = STACK_TOP;
	GO("\xE8\x02\x00\x00\x00\xCC\x90\x83\x04\x24\x01\xC3", c);
	/* Two frames left at once: call 1f; int $0x80; 1: call 2f; int3; 2: pop %eax; ret */
	GO("\xE8\x02\x00\x00\x00\xCD\x80\xE8\x01\x00\x00\x00\xCC\x58\xC3", c);
	/* Returns without calls: 4096 times push $1f; ret; 1: dec %ecx; jnz */
	c.ecx = 4096;
	GO("\x68\x06\x00\x00\x40\xC3\x49\x75\xF7", c);
	/* Calls without returns: call 1f; 1: pop %eax; dec %ecx; jnz */
	GO("\xE8\x00\x00\x00\x00\x58\x49\x75\xF7", c);
	/* The return address changes its page, its alias, its parity: call 1f; 1: pop %eax; add $0x20000, %eax;
	 * xor $3, ... jmp *%eax */
	GO("\xE8\x00\x00\x00\x00\x58\x05\x0D\x00\x02\x00\xFF\xE0\xCC\xCC\xCC\xCC\xCC\x40\xEB\x01\xCC\x41", c);
	/* Each return by another's stack: xchg %esp, %ebp between */
	c.ebp = STACK + 0x800;
	GO("\xE8\x05\x00\x00\x00\x49\x75\xF8\xCD\x80\x87\xE5\x68\x05\x00\x00\x40\xC3", c);
	told("returns that nobody expects");

	/* To every byte of a page of code that means something from everywhere: inc, add $imm, INT 0x80... */
	for (uint32_t n = 0; n < PAGE; n++)
		((uint8_t *)CODE)[n] = (uint8_t)"\x40\x05\x42\x42\x43\xCD\x80\xB8\x41\xEB\x01\xCD\x80\x90\x66\x05"[n & 15];
	for (c.eip = CODE; c.eip < CODE + 0xFF0; c.eip++) {
		c.eflags = 2;
		attempt(&c);
	}
	told("entries at every byte");
	/* The same by jumps from the other page: jmp *%eax */
	put_code(CODE + PAGE, "\xFF\xE0", 2);
	c.eip = CODE + PAGE;
	for (c.eax = CODE; c.eax < CODE + 0xFF0; c.eax++)
		attempt(&c);
	told("indirect jumps to every byte");
}
