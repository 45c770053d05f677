/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/robust_make.c - what nonsense is made of.
 *
 *   1. Memory
 *   2. Code          instructions that matter, between random ones
 *   3. Descriptors   GDT, LDT, IDT, TSSs
 */
#include <string.h>

#include "tests/lib/robust.h"

/* ---- 1. Memory ------------------------------------------------------------------------------ */

void robust_put32(struct robust *r, uint32_t phys, uint32_t value)
{
	memcpy(r->ram + phys, &value, 4);
}

void robust_fill(struct robust *r, uint32_t from, uint32_t bytes)
{
	for (uint32_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t value = rng_next(&r->rng);

		memcpy(r->ram + from + i, &value, 8);
	}
}

/* ---- 2. Code -------------------------------------------------------------------------------- */

/* Instructions in hexadecimal; x: a random byte, m: a ModRM byte of memory form, r: of register form, a: four
 * bytes of an interesting address, s: two of a selector. */
static const char *const snippets[] = {
	"0F22r", "0F20r", "0F23r", "0F21r",                           /* MOV CRn, DRn */
	"0F01m", "0F0115a", "0F011Da", "0F013Da", "0F00r", "0F00m",   /* LGDT, LIDT, INVLPG, LLDT, LTR... */
	"8Er", "8Er", "8Em", "8Cm", "0FB2m", "C4m", "C5m",            /* segments */
	"07", "17", "1F", "06", "0E", "0FA1", "0FA9",
	"EAas", "9Aas", "FFm", "CB", "CAx00", "CF", "66CF",           /* far transfers */
	"CDx", "CC", "CE", "F1", "0F0B", "0F34", "0F35", "0F05",
	"0F30", "0F32", "0F31", "0FA2", "0F33", "0F09", "0F06",
	"F4", "FA", "FB", "FB", "9D", "9C", "E4x", "E6x", "EC", "EE", "ED", "EF",
	"F3A4", "F3A5", "F3AB", "F2AE", "F3A6", "F36C", "F36F", "FC", "FD",
	"B8a", "B9a", "BAa", "BBa", "BCa", "BDa", "BEa", "BFa", "BC00400100",
	"B8s0000", "B901000000", "B9x000000", "B811000080", "B833000180", "B913000000",
	"A3a", "A1a", "C705aa", "C605ax", "89m", "8Bm", "01m", "F00FC70F",
	"0FAEm", "DDm", "D9r", "0F10m", "0F77", "9B",
	"60", "61", "C8xx1F", "C9", "C3", "E8x000000", "EBx", "74x", "75x", "E2x",
	"648Bm", "3689m", "678Bm", "66", "D7", "62m", "63m",
};

static uint32_t interesting_address(struct robust *r)
{
	static const uint32_t places[] = {
		ROBUST_DIRECTORY, ROBUST_TABLES, ROBUST_TABLES + 0x1000, ROBUST_GDT, ROBUST_IDT, ROBUST_TSS, ROBUST_LDT,
		ROBUST_CODE, ROBUST_CODE + 0x1000, ROBUST_STACK, ROBUST_ROM, ROBUST_RAM, 0, 0xFFFFF000, 0xC0000000,
	};
	uint32_t at = places[rng_below(&r->rng, sizeof places / sizeof *places)];

	switch (rng_below(&r->rng, 4)) {
	case 0: return at;
	case 1: return at + rng_below(&r->rng, 4096) - 16;
	case 2: return at + 4 * rng_below(&r->rng, 1024);
	default: return rng_value(&r->rng);
	}
}

static unsigned hex_digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* One letter or two digits of a snippet: its value, and how many bytes it makes. */
static uint32_t make_part(struct robust *r, const char *text, unsigned *bytes)
{
	uint32_t random = (uint32_t)rng_next(&r->rng);

	*bytes = 1;
	switch (*text) {
	case 'x': return random & 0xFF;
	case 'm': return random % 0xC0;
	case 'r': return 0xC0 | random % 0x40;
	case 's': *bytes = 2; return random & 0x3FF;
	case 'a': *bytes = 4; return interesting_address(r);
	default: return hex_digit(text[0]) << 4 | hex_digit(text[1]);
	}
}

static uint32_t put_snippet(struct robust *r, uint32_t at, const char *text)
{
	unsigned bytes;

	while (*text) {
		uint32_t value = make_part(r, text, &bytes);

		memcpy(r->ram + at, &value, bytes);
		at += bytes;
		text += *text >= 'a' ? 1 : 2;
	}
	return at;
}

void robust_code(struct robust *r, uint32_t from, uint32_t bytes)
{
	uint32_t at = from, end = from + bytes - 16;

	robust_fill(r, from, bytes);
	while (at < end)
		if (rng_one_in(&r->rng, 4))
			at += 1 + rng_below(&r->rng, 4);
		else
			at = put_snippet(r, at, snippets[rng_below(&r->rng, sizeof snippets / sizeof *snippets)]);
}

/* ---- 3. Descriptors ------------------------------------------------------------------------- */

static void put_descriptor(struct robust *r, uint32_t at, uint32_t base, uint32_t limit, uint32_t access,
                           uint32_t flags)
{
	robust_put32(r, at, base << 16 | (limit & 0xFFFF));
	robust_put32(r, at + 4, (base & 0xFF000000u) | flags << 20 | (limit & 0xF0000) | access << 8 |
	                                (base >> 16 & 0xFF));
}

static void put_gate(struct robust *r, uint32_t at, uint32_t selector, uint32_t offset, uint32_t access)
{
	robust_put32(r, at, selector << 16 | (offset & 0xFFFF));
	robust_put32(r, at + 4, (offset & 0xFFFF0000u) | access << 8 | (rng_below(&r->rng, 8) == 0 ? 3 : 0));
}

static uint32_t code_address(struct robust *r)
{
	return ROBUST_CODE + rng_below(&r->rng, ROBUST_CODE_BYTES);
}

/* Any of 32 descriptors: the first few as a kernel has them, then system ones, then garbage. */
static void put_random_descriptor(struct robust *r, uint32_t at)
{
	static const uint8_t access[] = { 0x9B, 0x93, 0xFB, 0xF3, 0x9F, 0x97, 0xF7, 0xDB, 0xB3, 0x91, 0xF1, 0x99, 0x13 };
	uint32_t tss = ROBUST_TSS + 0x100 * rng_below(&r->rng, 8);

	switch (rng_below(&r->rng, 6)) {
	case 0:
	case 1:
		put_descriptor(r, at, rng_one_in(&r->rng, 2) ? 0 : rng_value(&r->rng), rng_value(&r->rng) & 0xFFFFF,
		               access[rng_below(&r->rng, sizeof access)], rng_below(&r->rng, 16));
		break;
	case 2: put_descriptor(r, at, tss, rng_one_in(&r->rng, 4) ? 0x2B : 0xFF,
		               0x81 | rng_below(&r->rng, 4) << 5 | (rng_below(&r->rng, 4) & 3) << 1 |
		                       rng_below(&r->rng, 2) << 3, 0);
		break;
	case 3: put_gate(r, at, rng_below(&r->rng, 128), code_address(r), 0x84 | rng_below(&r->rng, 16) | 0x60); break;
	case 4: put_descriptor(r, at, ROBUST_LDT, 0xFF, 0x82 | rng_below(&r->rng, 4) << 5, 0); break;
	default: robust_fill(r, at, 8); break;
	}
}

static void put_idt(struct robust *r)
{
	static const uint8_t kinds[] = { 0x8E, 0x8E, 0xEE, 0x8F, 0xEF, 0x86, 0x87, 0x85, 0xE5, 0x0E, 0x8C };
	bool wild = rng_one_in(&r->rng, 4);

	for (uint32_t v = 0; v < 256; v++)
		if (wild && rng_one_in(&r->rng, 2))
			robust_fill(r, ROBUST_IDT + 8 * v, 8);
		else
			put_gate(r, ROBUST_IDT + 8 * v,
			         rng_one_in(&r->rng, 8) ? rng_below(&r->rng, 256) : 8u,
			         code_address(r), kinds[rng_one_in(&r->rng, 2) ? 0 : rng_below(&r->rng, sizeof kinds)]);
}

/* TSSs of both sizes begin alike enough: back link, stacks, CR3, EIP... */
static void put_tss(struct robust *r, uint32_t at)
{
	robust_fill(r, at, 0x100);
	robust_put32(r, at, rng_below(&r->rng, 256));
	for (uint32_t ring = 0; ring < 3; ring++) {
		robust_put32(r, at + 4 + 8 * ring, ROBUST_STACK - 64 * ring);
		robust_put32(r, at + 8 + 8 * ring, rng_one_in(&r->rng, 4) ? rng_below(&r->rng, 256) : 0x10);
	}
	robust_put32(r, at + 28, rng_one_in(&r->rng, 2) ? ROBUST_DIRECTORY : (uint32_t)rng_next(&r->rng));
	robust_put32(r, at + 32, code_address(r));
	for (uint32_t n = 72; n < 96; n += 4)
		robust_put32(r, at + n, rng_one_in(&r->rng, 2) ? 0x10 : rng_below(&r->rng, 256));
	robust_put32(r, at + 76, rng_one_in(&r->rng, 4) ? rng_below(&r->rng, 256) : 8);
	robust_put32(r, at + 96, 8 * rng_below(&r->rng, 32));
	robust_put32(r, at + 100, rng_below(&r->rng, 0x120) << 16 | (rng_one_in(&r->rng, 8) ? 1 : 0));
}

void robust_descriptors(struct robust *r, struct cpu_state *s)
{
	for (uint32_t i = 0; i < 32; i++) {
		put_random_descriptor(r, ROBUST_GDT + 8 * i);
		put_random_descriptor(r, ROBUST_LDT + 8 * i);
	}
	put_descriptor(r, ROBUST_GDT + 8, 0, 0xFFFFF, 0x9B, 0xC);
	put_descriptor(r, ROBUST_GDT + 16, 0, 0xFFFFF, 0x93, 0xC);
	put_descriptor(r, ROBUST_GDT + 24, 0, 0xFFFFF, 0xFB, 0xC);
	put_descriptor(r, ROBUST_GDT + 32, 0, 0xFFFFF, 0xF3, 0xC);
	put_idt(r);
	for (uint32_t n = 0; n < 8; n++)
		put_tss(r, ROBUST_TSS + 0x100 * n);
	s->gdtr.base = ROBUST_GDT;
	s->gdtr.limit = 0xFF;
	s->idtr.base = ROBUST_IDT;
	s->idtr.limit = rng_one_in(&r->rng, 16) ? (uint16_t)rng_next(&r->rng) : 0x7FF;
	s->ldtr = (struct cpu_segment){ 0x28, 0x82, ROBUST_LDT, 0xFF };
	s->tr = (struct cpu_segment){ 0x30, 0x8B, ROBUST_TSS, 0xFF };
}
