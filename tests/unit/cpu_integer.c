/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_integer.c - integer instructions against values worked out from the manual, on any host.
 *
 * The differential test (tests/differential/) has millions of cases where the host is an x86; these few hold
 * everywhere and say what was meant.  All run with every optimisation and with none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/rig.h"

enum { C = FL_CF, P = FL_PF, A = FL_AF, Z = FL_ZF, S = FL_SF, O = FL_OF, ALL = FL_STATUS };

struct item {
	const char *text;
	uint8_t code[8];
	uint8_t length;
	uint32_t eax, ecx, edx, flags;             /* before */
	uint32_t eax_out, ecx_out, edx_out, flags_out;
	uint32_t mask;                             /* the flags that are defined */
};

static const struct item arithmetic[] = {
	{ "add eax, ecx: carry out of everything", { 0x01, 0xC8 }, 2, 0xFFFFFFFF, 1, 0, 0, 0, 1, 0, C | P | A | Z, ALL },
	{ "add eax, ecx: signed overflow", { 0x01, 0xC8 }, 2, 0x7FFFFFFF, 1, 0, C, 0x80000000, 1, 0, P | A | S | O, ALL },
	{ "add al, cl", { 0x00, 0xC8 }, 2, 0x1280, 0x80, 0, 0, 0x1200, 0x80, 0, C | P | Z | O, ALL },
	{ "add ax, cx", { 0x66, 0x01, 0xC8 }, 3, 0x55558000, 0x8000, 0, 0, 0x55550000, 0x8000, 0, C | P | Z | O, ALL },
	{ "adc eax, ecx", { 0x11, 0xC8 }, 2, 0xFFFFFFFF, 0xFFFFFFFF, 0, C, 0xFFFFFFFF, 0xFFFFFFFF, 0, C | P | A | S, ALL },
	{ "sub eax, ecx: borrow", { 0x29, 0xC8 }, 2, 0, 1, 0, 0, 0xFFFFFFFF, 1, 0, C | P | A | S, ALL },
	{ "sbb al, cl", { 0x18, 0xC8 }, 2, 0, 0xFF, 0, C, 0, 0xFF, 0, C | P | A | Z, ALL },
	{ "cmp eax, ecx", { 0x39, 0xC8 }, 2, 0x80000000, 1, 0, 0, 0x80000000, 1, 0, P | A | O, ALL },
	{ "inc eax keeps CF", { 0x40 }, 1, 0x7FFFFFFF, 0, 0, C, 0x80000000, 0, 0, C | P | A | S | O, ALL },
	{ "dec al keeps CF", { 0xFE, 0xC8 }, 2, 0x80, 0, 0, 0, 0x7F, 0, 0, A | O, ALL },
	{ "neg eax", { 0xF7, 0xD8 }, 2, 0x80000000, 0, 0, 0, 0x80000000, 0, 0, C | P | S | O, ALL },
	{ "xor eax, eax", { 0x31, 0xC0 }, 2, 5, 0, 0, ALL, 0, 0, 0, P | Z, ALL & ~(uint32_t)A },
	{ "test ah, ah", { 0x84, 0xE4 }, 2, 0x8000, 0, 0, C | O, 0x8000, 0, 0, S, ALL & ~(uint32_t)A },
	{ "not eax: no flags", { 0xF7, 0xD0 }, 2, 0, 0, 0, C | Z | O, 0xFFFFFFFF, 0, 0, C | Z | O, ALL },
};
static const struct item shifts[] = {
	{ "shl eax, 1", { 0xD1, 0xE0 }, 2, 0xC0000000, 0, 0, 0, 0x80000000, 0, 0, C | P | S, ALL & ~(uint32_t)A },
	{ "shl eax, cl with cl = 32: nothing", { 0xD3, 0xE0 }, 2, 5, 32, 0, ALL, 5, 32, 0, ALL, ALL },
	{ "shl al, cl with cl = 9", { 0xD2, 0xE0 }, 2, 0xFF, 9, 0, 0, 0, 9, 0, P | Z, P | Z | S },
	{ "shr eax, 1", { 0xD1, 0xE8 }, 2, 0x80000001, 0, 0, 0, 0x40000000, 0, 0, C | P | O, ALL & ~(uint32_t)A },
	{ "sar ax, 15", { 0x66, 0xC1, 0xF8, 15 }, 4, 0x8000, 0, 0, 0, 0xFFFF, 0, 0, P | S, C | P | Z | S },
	{ "rol al, 1", { 0xD0, 0xC0 }, 2, 0x80, 0, 0, Z | S, 0x01, 0, 0, C | Z | S | O, ALL },
	{ "rol al, 8: the value stays, CF is its lowest bit", { 0xC0, 0xC0, 8 }, 3, 0x81, 0, 0, 0, 0x81, 0, 0, C, C | Z | S },
	{ "ror eax, 4", { 0xC1, 0xC8, 4 }, 3, 0x1234567F, 0, 0, 0, 0xF1234567, 0, 0, C, C },
	{ "rcl eax, 1", { 0xD1, 0xD0 }, 2, 0x80000000, 0, 0, C, 1, 0, 0, C | O, ALL },
	{ "rcr al, cl with cl = 9: all the way around", { 0xD2, 0xD8 }, 2, 0x5A, 9, 0, C, 0x5A, 9, 0, C, C },
	{ "shld eax, edx, 8", { 0x0F, 0xA4, 0xD0, 8 }, 4, 0x12345678, 0, 0xABCDEF01, 0, 0x345678AB, 0, 0xABCDEF01, 0, C | S },
	{ "shrd eax, edx, cl", { 0x0F, 0xAD, 0xD0 }, 3, 0x12345678, 4, 0xABCDEF01, 0, 0x11234567, 4, 0xABCDEF01, C, C | S },
};
static const struct item products[] = {
	{ "mul ecx", { 0xF7, 0xE1 }, 2, 0x80000000, 4, 9, 0, 0, 4, 2, C | O, C | O },
	{ "imul ecx: fits", { 0xF7, 0xE9 }, 2, 0xFFFFFFFF, 5, 0, C | O, 0xFFFFFFFB, 5, 0xFFFFFFFF, 0, C | O },
	{ "imul eax, ecx, -2", { 0x6B, 0xC1, 0xFE }, 3, 0, 0x40000001, 0, 0, 0x7FFFFFFE, 0x40000001, 0, C | O, C | O },
	{ "mul cl", { 0xF6, 0xE1 }, 2, 0x1234FF, 0xFF, 0, 0, 0x12FE01, 0xFF, 0, C | O, C | O },
	{ "div ecx", { 0xF7, 0xF1 }, 2, 5, 10, 1, 0, 0x1999999A, 10, 1, 0, 0 },
	{ "idiv cl", { 0xF6, 0xF9 }, 2, 0xFFF9, 2, 0, 0, 0xFFFD, 2, 0, 0, 0 },
	{ "aam", { 0xD4, 10 }, 2, 0x0063, 0, 0, 0, 0x0909, 0, 0, P, P | Z | S },
	{ "aad", { 0xD5, 10 }, 2, 0x0909, 0, 0, 0, 0x0063, 0, 0, P, P | Z | S },
	{ "daa", { 0x27 }, 1, 0x9A, 0, 0, 0, 0x00, 0, 0, C | P | A | Z, ALL & ~(uint32_t)O },
	{ "das", { 0x2F }, 1, 0x00, 0, 0, A, 0xFA, 0, 0, C | P | A | S, ALL & ~(uint32_t)O },
	{ "aaa", { 0x37 }, 1, 0x000B, 0, 0, 0, 0x0101, 0, 0, C | A, C | A },
};
static const struct item bits_and_moves[] = {
	{ "bsf eax, ecx", { 0x0F, 0xBC, 0xC1 }, 3, 7, 0x50, 0, 0, 4, 0x50, 0, 0, Z },
	{ "bsr eax, ecx of zero leaves eax", { 0x0F, 0xBD, 0xC1 }, 3, 7, 0, 0, 0, 7, 0, 0, Z, Z },
	{ "bt eax, ecx: modulo 32", { 0x0F, 0xA3, 0xC8 }, 3, 2, 33, 0, Z, 2, 33, 0, C | Z, C | Z },
	{ "btc eax, 31", { 0x0F, 0xBA, 0xF8, 31 }, 4, 1, 0, 0, C, 0x80000001, 0, 0, 0, C },
	{ "bswap eax", { 0x0F, 0xC8 }, 2, 0x12345678, 0, 0, 0, 0x78563412, 0, 0, 0, ALL },
	{ "movsx eax, cl", { 0x0F, 0xBE, 0xC1 }, 3, 0, 0x80, 0, 0, 0xFFFFFF80, 0x80, 0, 0, ALL },
	{ "movzx eax, ch", { 0x0F, 0xB6, 0xC5 }, 3, 0, 0xAB00, 0, 0, 0xAB, 0xAB00, 0, 0, ALL },
	{ "mov ah, cl", { 0x88, 0xCC }, 2, 0x11223344, 0x55, 0, 0, 0x11225544, 0x55, 0, 0, ALL },
	{ "lea eax, [ecx*4+edx-1]", { 0x8D, 0x44, 0x8A, 0xFF }, 4, 0, 5, 100, 0, 119, 5, 100, 0, ALL },
	{ "cdq", { 0x99 }, 1, 0x80000000, 0, 0, 0, 0x80000000, 0, 0xFFFFFFFF, 0, ALL },
	{ "cmovb eax, ecx", { 0x0F, 0x42, 0xC1 }, 3, 1, 2, 0, C, 2, 2, 0, C, ALL },
	{ "setnle al", { 0x0F, 0x9F, 0xC0 }, 3, 0, 0, 0, S | O, 1, 0, 0, S | O, ALL },
	{ "xchg eax, ecx", { 0x91 }, 1, 1, 2, 0, 0, 2, 1, 0, 0, ALL },
	{ "cmpxchg ecx, edx: unequal", { 0x0F, 0xB1, 0xD1 }, 3, 1, 2, 3, 0, 2, 2, 3, C | P | A | S, ALL },
	{ "cmpxchg ecx, edx: equal", { 0x0F, 0xB1, 0xD1 }, 3, 2, 2, 3, 0, 2, 3, 3, P | Z, ALL },
	{ "xadd eax, eax: the sum remains", { 0x0F, 0xC1, 0xC0 }, 3, 3, 0, 0, 0, 6, 0, 0, P, ALL },
	{ "lahf", { 0x9F }, 1, 0, 0, 0, C | Z, 0x4300, 0, 0, C | Z, ALL },
	{ "sahf keeps OF", { 0x9E }, 1, 0xD500, 0, 0, O, 0xD500, 0, 0, C | P | A | Z | S | O, ALL },
	{ "salc", { 0xD6 }, 1, 0x1200, 0, 0, C, 0x12FF, 0, 0, C, ALL },
	{ "long nop", { 0x0F, 0x1F, 0x44, 0x00, 0x00 }, 5, 1, 2, 3, ALL, 1, 2, 3, ALL, ALL },
	{ "endbr32 is a nop here", { 0xF3, 0x0F, 0x1E, 0xFB }, 4, 1, 2, 3, ALL, 1, 2, 3, ALL, ALL },
	{ "tzcnt is bsf here", { 0xF3, 0x0F, 0xBC, 0xC1 }, 4, 9, 0, 0, 0, 9, 0, 0, Z, Z },
};

static void check(struct rig *rig, const struct item *item)
{
	struct cpu_state s;
	uint8_t code[sizeof(item->code) + 1];

	memcpy(code, item->code, item->length);
	code[item->length] = 0xF4;
	rig_flat(rig, 0);
	rig_load(rig, code, item->length + 1u);
	cpu_get_state(rig->cpu, &s);
	s.gpr[CPU_EAX] = item->eax;
	s.gpr[CPU_ECX] = item->ecx;
	s.gpr[CPU_EDX] = item->edx;
	s.eflags = 2 | item->flags;
	cpu_set_state(rig->cpu, &s);
	assert_int_equal(rig_run(rig, 100), CPU_EXIT_HALTED);
	cpu_get_state(rig->cpu, &s);
	if (rig_vector(rig) != -1 || s.gpr[CPU_EAX] != item->eax_out || s.gpr[CPU_ECX] != item->ecx_out ||
	    s.gpr[CPU_EDX] != item->edx_out || (s.eflags & item->mask) != item->flags_out) {
		printf("# %s: vector %d eax=%08x ecx=%08x edx=%08x flags=%03x, want %08x %08x %08x %03x\n",
		       item->text, rig_vector(rig), s.gpr[CPU_EAX], s.gpr[CPU_ECX], s.gpr[CPU_EDX],
		       s.eflags & item->mask, item->eax_out, item->ecx_out, item->edx_out, item->flags_out);
		fail();
	}
}

static void check_all(const struct item *items, size_t count)
{
	static const uint32_t option_sets[] = { CPU_OPT_ALL, 0 };

	for (size_t set = 0; set < 2; set++) {
		struct rig *rig = rig_new(option_sets[set]);
		for (size_t n = 0; n < count; n++)
			check(rig, &items[n]);
		rig_free(rig);
	}
}
#define CHECK_ALL(items) check_all(items, sizeof(items) / sizeof(*(items)))

static void addition_and_logic(void **state) { (void)state, CHECK_ALL(arithmetic); }
static void shifts_and_rotates(void **state) { (void)state, CHECK_ALL(shifts); }
static void products_quotients_decimals(void **state) { (void)state, CHECK_ALL(products); }
static void bits_moves_flags(void **state) { (void)state, CHECK_ALL(bits_and_moves); }

/* What has to raise an exception: code, vector. */
static void illegal(void **state)
{
	static const struct { uint8_t code[16]; uint8_t length; int vector; uint32_t ecx; } cases[] = {
		{ { 0x0F, 0x0B }, 2, EXC_UD, 0 },                                     /* ud2 */
		{ { 0xF0, 0x40 }, 2, EXC_UD, 0 },                                     /* lock inc eax */
		{ { 0xF0, 0x8B, 0x05, 0, 0, 2, 0 }, 7, EXC_UD, 0 },                   /* lock mov */
		{ { 0xF0, 0x39, 0x05, 0, 0, 2, 0 }, 7, EXC_UD, 0 },                   /* lock cmp */
		{ { 0x8D, 0xC0 }, 2, EXC_UD, 0 },                                     /* lea eax, eax */
		{ { 0x0F, 0xC7, 0xC8 }, 3, EXC_UD, 0 },                               /* cmpxchg8b eax */
		{ { 0xC5, 0xF8, 0x77 }, 3, EXC_UD, 0 },                               /* vzeroupper */
		{ { 0x0F, 0x38, 0xF0, 0x05, 0, 0, 2, 0 }, 8, EXC_UD, 0 },             /* movbe */
		{ { 0x66, 0x0F, 0x38, 0x00, 0xC1 }, 5, EXC_UD, 0 },                   /* pshufb: SSSE3 */
		{ { 0xF3, 0x0F, 0xB8, 0xC1 }, 4, EXC_UD, 0 },                         /* popcnt */
		{ { 0x0F, 0x05 }, 2, EXC_UD, 0 },                                     /* syscall */
		{ { 0xF7, 0xF1 }, 2, EXC_DE, 0 },                                     /* div by zero */
		{ { 0xF7, 0xF9 }, 2, EXC_DE, 0 },                                     /* idiv by zero */
		{ { 0xD4, 0x00 }, 2, EXC_DE, 0 },                                     /* aam 0 */
		{ { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90 },
		  16, EXC_GP, 0 },                                                    /* 16 bytes */
	};
	static const uint32_t option_sets[] = { CPU_OPT_ALL, 0 };

	(void)state;
	for (size_t set = 0; set < 2; set++) {
		struct rig *rig = rig_new(option_sets[set]);
		for (size_t n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
			rig_flat(rig, 0);
			rig_load(rig, cases[n].code, cases[n].length);
			assert_int_equal(rig_run(rig, 100), CPU_EXIT_HALTED);
			assert_int_equal(rig_vector(rig), cases[n].vector);
			/* EIP of the instruction itself; #GP has an error code before it. */
			assert_int_equal(rig_word(rig, rig->cpu->gpr[CPU_ESP] + (cases[n].vector == EXC_GP ? 4 : 0)),
			                 RIG_CODE);
		}
		rig_free(rig);
	}
}
static void what_is_not_an_instruction_here_faults(void **state) { illegal(state); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addition_and_logic),
		cmocka_unit_test(shifts_and_rotates),
		cmocka_unit_test(products_quotients_decimals),
		cmocka_unit_test(bits_moves_flags),
		cmocka_unit_test(what_is_not_an_instruction_here_faults),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
