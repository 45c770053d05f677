/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/steps.c - single steps over all kinds of instructions, breakpoints, instructions that are too long or
 * lie in two pages.
 *
 *   1. Single steps
 *   2. Breakpoints
 *   3. Long instructions
 */
#include "guests/hostile/hostile.h"

/* ---- 1. Single steps ------------------------------------------------------------------------ */

struct words { const char *bytes; unsigned count; };
#define W(s) { s, sizeof(s) - 1 }

static const struct words sequences[] = {
	W("\x40\x41\x42\x01\xD8\x89\x03\x8B\x13"),
	W("\x50\x51\x58\x59\x60\x61\x9C\x58"),
	W("\xB9\x03\x00\x00\x00\x49\x75\xFD\xB1\x03\xE2\xFE\x40"),
	W("\xE8\x01\x00\x00\x00\x40\x58\x40\x50\x58"),
	W("\xE8\x03\x00\x00\x00\x40\xEB\x02\x41\xC3\x42"),
	W("\xB9\x05\x00\x00\x00\xF3\xA4\x40\xB9\x03\x00\x00\x00\xF3\xAB\x41"),
	W("\xB9\x00\x00\x00\x00\xF3\xA4\xB9\x04\x00\x00\x00\xF2\xAE\x40"),
	W("\x0F\xA2\x40"),
	W("\x8C\xD8\x8E\xD8\x40\x8C\xD2\x8E\xD2\x40\x41"), /* the shadow of MOV SS */
	W("\x16\x17\x40\x41"),
	W("\xDB\xE3\xD9\xE8\xD9\xC0\xDE\xC1\xDD\xD8\x0F\x57\xC0\x0F\x28\xC8"),
	W("\x9C\x81\x24\x24\xFF\xFE\xFF\xFF\x9D\x40\x41"),      /* TF goes */
	W("\x9C\x81\x0C\x24\x00\x01\x00\x00\x9D\x40\x41"),      /* ... is set again */
	W("\x9C\x0E\x68\x0B\x00\x00\x40\x40\x40\xCF\x41\x42"),
	W("\xF0\x0F\xC1\x03\x0F\xC7\x0B\x0F\xB1\x13\x86\x03"),
	W("\xC8\x10\x00\x01\xC9\x40"),
	W("\x0F\x0B"), W("\xCC"), W("\xCE\x40"), W("\xF1\x40"), W("\xCD\x21"),
	W("\xA1\x00\x80\x00\x40\x40"), /* a page that is missing */
	W("\x75\x01\x40\x74\x01\x41\xE3\x01\x42\x43"),
	W("\x66\x40\x67\x8B\x07\x40"),
	W("\xFC\xFD\xA4\xFC\x40"),
	W("\xC6\x05\x09\x00\x00\x40\x43\x40\x40\x40"),
};

void single_steps(void)
{
	stepping = true;
	for (unsigned ring = 0; ring < 2; ring++) {
		struct context c = ring ? user_context : kernel_context;
		c.eflags |= 1u << 8;
		for (unsigned n = 0; n < COUNT(sequences); n++) {
			if (!ring && (n == 13 || n == 20)) /* IRET to itself; INT n */
				continue;
			for (unsigned again = 0; again < 3; again++) {
				put_code(CODE, sequences[n].bytes, sequences[n].count);
				attempt(&c);
			}
		}
		told(ring ? "single steps in ring 3" : "single steps in ring 0");
	}
	stepping = false;
	/* TF that comes by POPF, after code was run without it. */
	for (unsigned n = 0; n < COUNT(sequences); n++) {
		struct context c = user_context;
		uint8_t code[64] = { 0x9C, 0x81, 0x0C, 0x24, 0, 1, 0, 0, 0x9D };
		memcpy(code + 9, sequences[n].bytes, sequences[n].count);
		put_code(CODE, code, 9 + sequences[n].count);
		c.eip = CODE + 9;
		attempt(&c);
		c.eip = CODE;
		attempt(&c);
		stepping = true;
		attempt(&c);
		stepping = false;
	}
	told("... after POPF");
}

/* ---- 2. Breakpoints ------------------------------------------------------------------------- */

static void set_breakpoints(const uint32_t *at, uint32_t dr7)
{
	__asm__ volatile("movl %0, %%dr0; movl %1, %%dr1; movl %2, %%dr2; movl %3, %%dr3; movl %4, %%dr7"
	                 : : "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(dr7));
}

void breakpoints(void)
{
	static const uint32_t off[4];

	for (unsigned n = 0; n < 400; n++) {
		uint32_t at[4], dr7 = 0x400;
		struct context c = random() & 3 ? user_context : kernel_context;
		const struct words *s = &sequences[random() % COUNT(sequences)];
		if (!(c.cs & 3) && (s == &sequences[13] || s == &sequences[20]))
			continue;
		for (unsigned k = 0; k < 4; k++) {
			uint32_t r = random(), type = r & 3, length = r >> 2 & 3;
			at[k] = type == 0 ? CODE + (r >> 8 & 15) : r & 16 ? DATA + 0x100 + (r >> 8 & 7)
			        : r & 32 && c.cs & 3 ? c.esp - 4 - (r >> 8 & 12) : DATA + 0x200 + (r >> 8 & 0xFF);
			if (type == 2) /* of I/O */
				type = 1;
			if (type == 0)
				length = 0;
			if (length == 2)
				length = 3;
			at[k] &= ~length;
			dr7 |= (r >> 24 & 3) << (2 * k) | (type | length << 2) << (16 + 4 * k);
		}
		stepping = true;
		if (random() & 1)
			c.eflags |= 1u << 16; /* RF: not on the first one */
		put_code(CODE, s->bytes, s->count);
		attempt(&c);
		set_breakpoints(at, dr7);
		attempt(&c);
		attempt(&c);
		set_breakpoints(off, 0x400);
		attempt(&c);
		stepping = false;
	}
	told("breakpoints");
}

/* ---- 3. Long instructions ------------------------------------------------------------------- */

static void second_page(uint32_t entry)
{
	*user_entry(CODE + PAGE) = entry;
	flush_page(CODE + PAGE);
}

void long_instructions(void)
{
	static const uint8_t prefixes[] = { 0x66, 0x2E, 0x26, 0x3E, 0x65, 0xF3, 0x67, 0x36 };
	static const struct words bodies[] = { W("\x40"), W("\x8B\x03"), W("\x81\x05\x00\x41\x00\x40\x01\x02\x03\x04"), W("\x05\x01\x02\x03\x04"),
		                               W("\x0F\x1F\x84\x00\x00\x00\x00\x00"), W("\xE8\x00\x00\x00\x00"), W("\xC3"), W("\xA4") };
	const uint32_t present = frame_address(FRAME_CODE + 1) | PTE_P | PTE_W | PTE_U;
	const uint32_t entries[] = { present, 0, present & ~(uint32_t)PTE_U, frame_address(FRAME_SPARE) | PTE_P | PTE_U };

	for (unsigned n = 0; n < 16 * COUNT(bodies); n++) {
		const struct words *body = &bodies[n % COUNT(bodies)];
		uint8_t code[32];
		unsigned count = 0;
		for (unsigned k = n / COUNT(bodies); k; k--)
			code[count++] = prefixes[random() % COUNT(prefixes)];
		memcpy(code + count, body->bytes, body->count);
		count += body->count;
		for (unsigned before = 1; before < 17; before++) {
			struct context c = user_context;
			c.eip = CODE + PAGE - before;
			c.ecx = 3;
			second_page(present);
			put_code(c.eip, code, count);
			attempt(&c);
			for (unsigned k = 0; k < COUNT(entries); k++) {
				second_page(entries[k]);
				attempt(&c);
			}
			second_page(present);
			memset((void *)(CODE + 2 * PAGE - 32), 0x90, 32);
			c.eip = CODE + 2 * PAGE - before;
			memcpy((void *)c.eip, code, before < count ? before : count);
			attempt(&c);
		}
	}
	told("long instructions, and their pages");
}
