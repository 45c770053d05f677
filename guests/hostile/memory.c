/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/memory.c - addresses of all forms, most of which lead nowhere; strings that end in the middle.
 *
 *   1. What registers hold
 *   2. Addresses
 *   3. Strings
 *   4. Alignment
 */
#include "guests/hostile/hostile.h"

/* ---- 1. What registers hold ----------------------------------------------------------------- */

static uint32_t any_address(void)
{
	static const uint32_t places[] = { 0, 0x1000, CODE, CODE + PAGE, DATA, DATA + PAGE, DATA + 4 * PAGE, READ_ONLY, KERNELS,
		                           LAST_DATA, LAST_DATA + PAGE, STACK, STACK_TOP, ALIAS, TOP, TOP + PAGE, 0x100000,
		                           0xFFC00000, 0x80000000, TABLES, DEEP, DEEP + 0x400000 };
	uint32_t r = random(), at = places[(r >> 8) % COUNT(places)];

	switch (r & 7) {
	case 0:
		return at;
	case 1:
		return at - 1 - (r >> 16 & 15);
	case 2:
		return at + (r >> 16 & 15);
	case 3:
		return 0u - (r >> 16 & 31);
	case 4:
		return r >> 16 & 0xFFF;
	case 5:
		return random();
	default:
		return at + (r >> 16 & 0xFFF);
	}
}

static void any_registers(struct context *c)
{
	uint32_t *word = &c->eax;

	for (unsigned n = 0; n < 7; n++)
		word[n] = random() & 1 ? any_address() : random() >> (random() & 31);
	if (!(random() & 3))
		c->esp = any_address();
}

static void note_pages(void)
{
	for (unsigned n = 0; n < USER_FRAMES; n++)
		note_memory(frame_address(n), PAGE);
}

/* ---- 2. Addresses --------------------------------------------------------------------------- */

struct form { uint8_t bytes[3], count, immediate; bool flags; };

static const struct form forms[] = {
	{ { 0x8B }, 1, 0, true }, { { 0x89 }, 1, 0, true }, { { 0x8A }, 1, 0, true }, { { 0x88 }, 1, 0, true },
	{ { 0x66, 0x8B }, 2, 0, true }, { { 0x66, 0x89 }, 2, 0, true }, { { 0x01 }, 1, 0, true }, { { 0x03 }, 1, 0, true },
	{ { 0x29 }, 1, 0, true }, { { 0x39 }, 1, 0, true }, { { 0x87 }, 1, 0, true }, { { 0x86 }, 1, 0, true },
	{ { 0x8D }, 1, 0, true }, { { 0x66, 0x8D }, 2, 0, true }, { { 0x0F, 0xB6 }, 2, 0, true }, { { 0x0F, 0xBF }, 2, 0, true },
	{ { 0x0F, 0xC1 }, 2, 0, true }, { { 0x0F, 0xB1 }, 2, 0, true }, { { 0xF0, 0x0F, 0xB1 }, 3, 0, true },
	{ { 0x81 }, 1, 4, false }, { { 0x83 }, 1, 1, false }, { { 0xC7 }, 1, 4, true }, { { 0xC6 }, 1, 1, true },
	{ { 0x80 }, 1, 1, false }, { { 0xF7 }, 1, 4, false }, { { 0xFF }, 1, 0, true }, { { 0xFE }, 1, 0, true }, { { 0x8F }, 1, 0, true },
	{ { 0x0F, 0xAB }, 2, 0, false }, { { 0x0F, 0xA3 }, 2, 0, false }, { { 0x0F, 0xBA }, 2, 1, false }, { { 0x66, 0x0F, 0xBB }, 3, 0, false },
	{ { 0x69 }, 1, 4, false }, { { 0x0F, 0xAF }, 2, 0, false }, { { 0xC1 }, 1, 1, false }, { { 0xD3 }, 1, 0, false },
	{ { 0x0F, 0xA4 }, 2, 1, false }, { { 0x0F, 0xC7 }, 2, 0, true }, { { 0x0F, 0x94 }, 2, 0, true }, { { 0x0F, 0x44 }, 2, 0, true },
	{ { 0x62 }, 1, 0, true }, { { 0x63 }, 1, 0, true }, { { 0x8C }, 1, 0, true }, { { 0xC4 }, 1, 0, true },
	{ { 0x0F, 0x28 }, 2, 0, true }, { { 0x0F, 0x11 }, 2, 0, true }, { { 0x0F, 0x16 }, 2, 0, true }, { { 0x66, 0x0F, 0x7F }, 3, 0, true },
	{ { 0xF3, 0x0F, 0x10 }, 3, 0, true }, { { 0x66, 0x0F, 0xEF }, 3, 0, true }, { { 0xD9 }, 1, 0, true }, { { 0xDD }, 1, 0, true },
	{ { 0xDB }, 1, 0, true }, { { 0xDF }, 1, 0, true }, { { 0xA0 }, 1, 0, true }, { { 0xA3 }, 1, 0, true }, { { 0xD7 }, 1, 0, true },
};

/* SIB and displacement behind this ModRM; none of the instructions with an address in place of it. */
static unsigned rest_of(uint8_t modrm, uint8_t sib, bool short_address)
{
	unsigned mod = modrm >> 6, rm = modrm & 7;

	if (mod == 3)
		return 0;
	if (short_address)
		return mod == 0 ? (rm == 6 ? 2 : 0) : mod;
	if (rm == 4)
		return 1 + (mod == 0 ? ((sib & 7) == 5 ? 4 : 0) : mod == 1 ? 1 : 4);
	return mod == 0 ? (rm == 5 ? 4 : 0) : mod == 1 ? 1 : 4;
}

static bool has_modrm(const struct form *f) { return f->bytes[0] != 0xA0 && f->bytes[0] != 0xA3 && f->bytes[0] != 0xD7; }

/* Jumps are for others; and the environment of x87 has pointers that processors keep in their own ways. */
static bool is_left_out(const struct form *f, uint8_t modrm)
{
	unsigned digit = modrm >> 3 & 7;

	return (f->bytes[0] == 0xFF && digit >= 2 && digit <= 5) ||
	       ((f->bytes[0] == 0xD9 || f->bytes[0] == 0xDD) && modrm < 0xC0 && (digit == 4 || digit == 6));
}

static void one_address(const struct form *f, unsigned place)
{
	static const uint8_t segments[] = { 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x64, 0x65 };
	struct context c = user_context;
	uint8_t code[24], modrm = (uint8_t)(random() & 3 ? random() & 0xBF : random());
	uint32_t words[2] = { any_address(), any_address() };
	bool short_address = !(random() & 7);
	unsigned count = 0;

	any_registers(&c);
	if (is_left_out(f, modrm))
		return;
	if (random() & 1)
		code[count++] = segments[random() & 7];
	if (short_address)
		code[count++] = 0x67;
	memcpy(code + count, f->bytes, f->count);
	count += f->count;
	if (has_modrm(f)) {
		unsigned rest = rest_of(modrm, (uint8_t)(words[0] >> 8), short_address);
		code[count++] = modrm;
		code[count] = (uint8_t)(words[0] >> 8);
		memcpy(code + count + ((modrm & 7) == 4 && !short_address), words + 1, 4);
		count += rest;
	} else if (f->bytes[0] != 0xD7) {
		memcpy(code + count, words, 4);
		count += short_address ? 2 : 4;
	}
	/* NOPs, where it is none. */
	memset(code + count, 0x90, f->immediate);
	count += f->immediate;
	c.eip = CODE + place % 120 * 32;
	put_code(c.eip, code, count);
	c.es = random() & 3 ? (uint32_t)USER_DATA : (uint32_t)DOWN;
	c.ds = random() & 7 ? (uint32_t)USER_DATA : random() & 1 ? (uint32_t)BASED : 0u;
	c.fs = random() & 3 ? (uint32_t)TLS : 0u;
	c.gs = random() & 1 ? (uint32_t)BASED : random() & 1 ? (uint32_t)SHORT : (uint32_t)DOWN;
	noted_flags = f->flags ? ~0u : ~STATUS_FLAGS;
	attempt(&c);
	noted_flags = ~0u;
}

void addresses(void)
{
	for (unsigned n = 0; n < COUNT(forms); n++)
		for (unsigned k = 0; k < 400; k++)
			one_address(&forms[n], n * 400 + k);
	note_pages();
	told("addresses of all forms");
	tidy_up();
	/* Each again and again, so that it is translated and meets many pages: a loop over a table of addresses. */
	for (unsigned n = 0; n < 60; n++) {
		struct context c = user_context;
		for (unsigned k = 0; k < 64; k++)
			((uint32_t *)DATA)[k] = (any_address() & 3 ? any_address() : DATA + 0x400 + (any_address() & 0x1FFF));
		c.esi = DATA;
		c.ecx = 64;
		/* 1: lodsl; add 16(%eax), %edx; mov %edx, 3(%eax,%ebp,0); dec %ecx; jnz 1b */
		PUT("\xAD\x03\x50\x10\x89\x50\x03\x49\x75\xF6");
		for (unsigned k = 0; k < 40; k++) {
			struct outcome o = attempt(&c);
			if (o.vector != TRAP_PAGE_FAULT || !o.at.ecx)
				break;
			c = o.at; /* the next one */
			c.eip = CODE + 7;
			c.eflags = 2;
		}
	}
	note_pages();
	told("one instruction, many pages");
}

/* ---- 3. Strings ----------------------------------------------------------------------------- */

void strings(void)
{
	static const uint8_t opcodes[] = { 0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF };
	static const uint32_t counts[] = { 0, 1, 2, 3, 7, 64, 100, 1000, 1024, 2048, 4097, 0x10000, 0xFFFFFFFF };

	for (unsigned n = 0; n < 6000; n++) {
		struct context c = user_context;
		uint8_t code[8];
		unsigned count = 0;
		any_registers(&c);
		c.esp = STACK_TOP;
		c.ecx = counts[random() % COUNT(counts)];
		if (random() & 3) {
			c.esi = any_address();
			c.edi = any_address();
		}
		if (!(random() & 3))
			c.edi = c.esi + (random() & 15) - 8; /* they overlap */
		if (!(random() & 3))
			c.eflags |= 1u << 10;
		if (random() & 3)
			code[count++] = random() & 1 ? 0xF3 : 0xF2;
		if (!(random() & 7))
			code[count++] = 0x66;
		if (!(random() & 15))
			code[count++] = 0x67;
		if (!(random() & 7))
			code[count++] = random() & 1 ? 0x64 : 0x65;
		code[count++] = opcodes[random() % COUNT(opcodes)];
		/* Not over the code itself: self.c has that. */
		put_code(ALIAS + 0x800 + (n & 63) * 16, code, count);
		c.eip = ALIAS + 0x800 + (n & 63) * 16;
		if (!(n % 200)) {
			note_pages();
			tidy_up();
			put_code(c.eip, code, count);
		}
		attempt(&c);
	}
	note_pages();
	told("strings");
}

/* ---- 4. Alignment --------------------------------------------------------------------------- */

void alignment(void)
{
	static const struct { const char *bytes; unsigned count; } uses[] = {
		{ "\x8B\x03", 2 }, { "\x89\x03", 2 }, { "\x66\x8B\x03", 3 }, { "\x8A\x03", 2 }, { "\xA5", 1 }, { "\xF3\xA5", 2 },
		{ "\xFF\x33", 2 }, { "\x50", 1 }, { "\x58", 1 }, { "\x60", 1 }, { "\xE8\x00\x00\x00\x00", 5 }, { "\xDD\x03", 2 },
		{ "\xDB\x2B", 2 }, { "\x0F\x28\x03", 3 }, { "\x0F\x10\x03", 3 }, { "\xF2\x0F\x10\x03", 4 }, { "\x0F\xC7\x0B", 3 },
		{ "\xF0\x01\x03", 3 }, { "\x0F\x01\x03", 3 }, { "\xC4\x13", 2 }, { "\x9D", 1 }, { "\xCF", 1 },
	};

	for (unsigned am = 0; am < 2; am++) {
		write_cr0(am ? read_cr0() | 1u << 18 : read_cr0() & ~(1u << 18));
		for (unsigned n = 0; n < COUNT(uses); n++)
			for (unsigned by = 0; by < 16; by++)
				for (unsigned ac = 0; ac < 2; ac++) {
					struct context c = user_context;
					c.ebx += by;
					c.esi += by;
					c.edi += by;
					c.esp -= 64 + by;
					c.ecx = 3;
					c.eflags |= ac << 18;
					put_code(CODE, uses[n].bytes, uses[n].count);
					attempt(&c);
				}
	}
	write_cr0(read_cr0() & ~(1u << 18));
	told("alignment checks");
}
