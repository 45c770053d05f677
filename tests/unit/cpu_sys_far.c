/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_sys_far.c - far transfers: every code descriptor, every gate, every ring; IRET in all forms.
 *
 *   1. Direct        JMP and CALL to every type x DPL x P x RPL x CPL
 *   2. Call gates    16 and 32 bits, parameters, stack switch, conforming targets, each refusal
 *   3. Return        every return selector; outer rings, released bytes, segments that are dropped
 *   4. IRET          flags by CPL and IOPL, outer rings, virtual-8086 mode, real mode
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/sys.h"

static int make(void **state) { return (*state = sys_new(CPU_OPT_ALL)) == NULL; }
static int unmake(void **state) { return sys_free(*state), 0; }

static uint32_t esp(const struct sys *s) { return s->cpu->gpr[CPU_ESP]; }
static uint32_t word(const struct sys *s, uint32_t at) { return rig_word(s->rig, at); }
static void set_word(struct sys *s, uint32_t at, uint32_t value) { rig_set_word(s->rig, at, value); }
static uint16_t cs(const struct sys *s) { return s->cpu->seg[CPU_CS].selector; }

/* jmp or call selector:offset */
static void far_direct(struct sys *s, bool call, uint16_t selector, uint32_t offset)
{
	uint8_t code[7] = { call ? 0x9A : 0xEA };

	memcpy(code + 1, &offset, 4);
	memcpy(code + 5, &selector, 2);
	sys_run(s, code, sizeof code);
}

/* ---- 1. Direct ------------------------------------------------------------------------------ */

/* A plain code segment, or nothing (gates have their own tests). SDM vol. 2, JMP. */
static int expected_direct(unsigned type, unsigned dpl, bool present, unsigned rpl, unsigned cpl)
{
	if (type < 24)
		return EXC_GP;
	if (type & 4 ? dpl > cpl : rpl > cpl || dpl != cpl)
		return EXC_GP;
	return present ? -1 : EXC_NP;
}

static void direct_one(struct sys *s, bool call, unsigned type, unsigned dpl, bool present, unsigned rpl, unsigned cpl)
{
	int vector = expected_direct(type, dpl, present, rpl, cpl);

	sys_ring(s, cpl);
	sys_descriptor(s, SYS_OWN, SYS_TARGET - 0x100, 0xFFF, SYS_DB | (present ? 0x80u : 0u) | dpl << 5 | type);
	far_direct(s, call, (uint16_t)(SYS_OWN | rpl), 0x100);
	if (vector >= 0) {
		sys_fault(s, (unsigned)vector, SYS_OWN);
		return;
	}
	sys_ok(s, SYS_TARGET);
	assert_int_equal(cs(s), SYS_OWN | cpl);
	assert_int_equal(s->cpu->cpl, cpl);
	assert_int_equal(sys_access_byte(s, SYS_OWN) & 1, 1);
	assert_int_equal(esp(s), call ? RIG_STACK - 8 : RIG_STACK);
	if (call) {
		assert_int_equal(word(s, RIG_STACK - 4), sys_code(cpl));
		assert_int_equal(word(s, RIG_STACK - 8), RIG_CODE + 7);
	}
}

static void every_descriptor(void **state)
{
	for (unsigned type = 0; type < 32; type++) {
		if (type == 1 || type == 4 || type == 5 || type == 9 || type == 12)
			continue; /* gates and free TSSs */
		for (unsigned rights = 0; rights < 256; rights++)
			direct_one(*state, rights >> 7, type, rights & 3, rights >> 2 & 1, rights >> 3 & 3,
			           rights >> 5 & 3);
	}
}

static void direct_limits(void **state)
{
	struct sys *s = *state;

	for (unsigned call = 0; call < 2; call++) {
		sys_ring(s, 0);
		far_direct(s, call, 3, 0); /* null */
		sys_fault(s, EXC_GP, 0);
		sys_ring(s, 0);
		far_direct(s, call, 0x7F8 | SYS_TI, 0); /* beyond the LDT */
		sys_fault(s, EXC_GP, 0x7F8 | SYS_TI);
		sys_ring(s, 0);
		sys_descriptor(s, SYS_OWN, SYS_TARGET - 0x100, 0xFF, SYS_DB | 0x9A);
		far_direct(s, call, SYS_OWN, 0x100); /* beyond the segment */
		sys_fault(s, EXC_GP, 0);
	}
	/* No room for the return address: #SS(0) comes before the target's limit. */
	sys_ring(s, 0);
	s->cpu->seg[CPU_SS].limit = RIG_STACK - 0x1001;
	mode_changed(s->cpu);
	sys_descriptor(s, SYS_OWN, SYS_TARGET - 0x100, 0xFF, SYS_DB | 0x9A);
	far_direct(s, true, SYS_OWN, 0x100);
	assert_int_equal(s->event[0].vector, EXC_SS);
	assert_int_equal(s->event[0].error, 0);
}

/* 16-bit operands: the offset and the frame have 16 bits. */
static void direct_16bit(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	sys_descriptor(s, SYS_OWN, SYS_TARGET - 0x100, 0xFFFF, 0x9A);
	SYS_RUN(s, 0x66, 0x9A, 0x00, 0x01, SYS_OWN & 0xFF, SYS_OWN >> 8);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), RIG_STACK - 4);
	assert_int_equal(word(s, RIG_STACK - 4), (uint32_t)sys_code(0) << 16 | ((RIG_CODE + 6) & 0xFFFF));
	assert_int_equal(s->cpu->mode & MODE_CODE32, 0);
}

static void indirect(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	set_word(s, RIG_DATA, SYS_TARGET);
	set_word(s, RIG_DATA + 4, sys_code(0));
	SYS_RUN(s, 0xFF, 0x2D, 0, 0, 2, 0); /* jmp far [RIG_DATA] */
	sys_ok(s, SYS_TARGET);
	sys_ring(s, 0);
	SYS_RUN(s, 0xFF, 0x1D, 0, 0, 2, 0); /* call far [RIG_DATA] */
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), RIG_STACK - 8);
	assert_int_equal(word(s, RIG_STACK - 8), RIG_CODE + 6);
	sys_ring(s, 0);
	SYS_RUN(s, 0xFF, 0xD8); /* call far eax: undefined */
	sys_fault(s, EXC_UD, 0);
}

/* ---- 2. Call gates -------------------------------------------------------------------------- */

enum { GATE = SYS_OWN + 8, INNER = SYS_OWN };
enum { CALL16 = 4, CALL32 = 12 };

static void gate_to(struct sys *s, unsigned cpl, unsigned gate_attr, unsigned code_attr, unsigned params)
{
	sys_ring(s, cpl);
	sys_descriptor(s, INNER, SYS_TARGET - 0x100, 0xFFF, SYS_DB | code_attr);
	sys_gate(s, GATE, gate_attr, INNER, 0x100, params);
}

/* Every DPL of gate and code, RPL and CPL; CALL and JMP (SDM vol. 3, table 5-1). */
static void gate_privilege(void **state)
{
	struct sys *s = *state;

	for (unsigned n = 0; n < 1024; n++) {
		unsigned gate_dpl = n & 3, dpl = n >> 2 & 3, rpl = n >> 4 & 3, cpl = n >> 6 & 3;
		bool conforming = n >> 8 & 1, call = n >> 9;
		unsigned target = conforming ? cpl : dpl;
		bool gate_ok = cpl <= gate_dpl && rpl <= gate_dpl;
		bool code_ok = call || conforming ? dpl <= cpl : dpl == cpl;

		gate_to(s, cpl, 0x80u | gate_dpl << 5 | CALL32, 0x9Au | dpl << 5 | (conforming ? 4u : 0u), 0);
		far_direct(s, call, (uint16_t)(GATE | rpl), 0xDEADBEEF);
		if (!gate_ok) {
			sys_fault(s, EXC_GP, GATE);
		} else if (!code_ok) {
			sys_fault(s, EXC_GP, INNER);
		} else {
			sys_ok(s, SYS_TARGET);
			assert_int_equal(cs(s), INNER | target);
			assert_int_equal(s->cpu->cpl, target);
			if (call && target < cpl) {
				uint32_t top = SYS_STACKS + 0x1000 * target + 0x1000;
				assert_int_equal(s->cpu->seg[CPU_SS].selector, sys_data(target));
				assert_int_equal(esp(s), top - 16);
				assert_int_equal(word(s, top - 4), sys_data(cpl));
				assert_int_equal(word(s, top - 8), RIG_STACK);
				assert_int_equal(word(s, top - 12), sys_code(cpl));
				assert_int_equal(word(s, top - 16), RIG_CODE + 7);
			} else {
				assert_int_equal(esp(s), call ? RIG_STACK - 8 : RIG_STACK);
			}
		}
	}
}

static void gate_parameters(void **state)
{
	struct sys *s = *state;
	uint32_t top = SYS_STACKS + 0x1000;

	for (unsigned params = 0; params < 32; params++) {
		gate_to(s, 3, 0xE0 | CALL32, 0x9A, params);
		for (unsigned n = 0; n < 32; n++)
			set_word(s, RIG_STACK + 4 * n, 0xABC00000 + n);
		far_direct(s, true, GATE | 3, 0);
		sys_ok(s, SYS_TARGET);
		assert_int_equal(esp(s), top - 16 - 4 * params);
		for (unsigned n = 0; n < params; n++)
			assert_int_equal(word(s, esp(s) + 8 + 4 * n), 0xABC00000 + n);
		assert_int_equal(word(s, top - 8), RIG_STACK);

		gate_to(s, 3, 0xE0 | CALL16, 0x9A, params);
		far_direct(s, true, GATE | 3, 0);
		sys_ok(s, SYS_TARGET);
		assert_int_equal(esp(s), top - 8 - 2 * params);
		assert_int_equal(sys_get16(s, top - 2), sys_data(3));
		assert_int_equal(sys_get16(s, top - 4), RIG_STACK & 0xFFFF);
		for (unsigned n = 0; n < params; n++)
			assert_int_equal(sys_get16(s, esp(s) + 4 + 2 * n), word(s, RIG_STACK + n / 2 * 4) >> n % 2 * 16 & 0xFFFF);
		assert_int_equal(sys_get16(s, esp(s)), (RIG_CODE + 7) & 0xFFFF);
		assert_int_equal(sys_get16(s, esp(s) + 2), sys_code(3));
	}
}

/* The refusals on the way to an inner ring, in the manual's order. */
static void gate_refusals(void **state)
{
	struct sys *s = *state;

#define REFUSED(prepare, vector, error)                                                                \
	do {                                                                                           \
		gate_to(s, 3, 0xE0 | CALL32, 0x9A, 2);                                                 \
		prepare;                                                                               \
		far_direct(s, true, GATE | 3, 0);                                                      \
		sys_fault(s, vector, error);                                                           \
	} while (0)
	REFUSED(sys_gate(s, GATE, 0x60 | CALL32, INNER, 0x100, 0), EXC_NP, GATE);
	REFUSED(sys_gate(s, GATE, 0xE0 | CALL32, 3, 0x100, 0), EXC_GP, 0);
	REFUSED(sys_gate(s, GATE, 0xE0 | CALL32, 0x7F8 | SYS_TI, 0x100, 0), EXC_GP, 0x7F8 | SYS_TI);
	REFUSED(sys_gate(s, GATE, 0xE0 | CALL32, sys_data(0), 0x100, 0), EXC_GP, sys_data(0));
	REFUSED(sys_descriptor(s, INNER, 0, 0xFFF, 0x1A), EXC_NP, INNER);
	REFUSED(s->cpu->tr.limit = 8, EXC_TS, RIG_TR);
	REFUSED(sys_put16(s, RIG_TSS + 8, 0), EXC_TS, 0);
	REFUSED(sys_put16(s, RIG_TSS + 8, 0x7F8 | SYS_TI), EXC_TS, 0x7F8 | SYS_TI);
	REFUSED(sys_put16(s, RIG_TSS + 8, sys_data(0) | 1), EXC_TS, sys_data(0));
	REFUSED(sys_put16(s, RIG_TSS + 8, sys_data(1)), EXC_TS, sys_data(1) & 0xFFFC);
	REFUSED(sys_put16(s, RIG_TSS + 8, sys_code(0)), EXC_TS, sys_code(0));
	REFUSED((sys_descriptor(s, SYS_OWN + 16, 0, 0xFFFF, 0x12), sys_put16(s, RIG_TSS + 8, SYS_OWN + 16)), EXC_SS,
	        SYS_OWN + 16);
	REFUSED((sys_descriptor(s, SYS_OWN + 16, 0, SYS_STACKS + 0x1000 - 2, SYS_DB | 0x92),
	         sys_put16(s, RIG_TSS + 8, SYS_OWN + 16)), EXC_SS, SYS_OWN + 16);
	REFUSED(sys_gate(s, GATE, 0xE0 | CALL32, INNER, 0x1000, 2), EXC_GP, 0);
#undef REFUSED
	/* Parameters beyond the caller's stack segment. */
	gate_to(s, 3, 0xE0 | CALL32, 0x9A, 2);
	s->cpu->seg[CPU_SS].limit = RIG_STACK + 6;
	mode_changed(s->cpu);
	far_direct(s, true, GATE | 3, 0);
	sys_fault(s, EXC_SS, 0);
}

/* An inner stack with room for exactly so much. */
static void gate_stack_room(void **state)
{
	struct sys *s = *state;

	for (unsigned n = 0; n < 8; n++) {
		unsigned size = n & 1 ? 4 : 2, params = n & 2 ? 31 : 0, enough = n >> 2;

		gate_to(s, 3, 0xE0u | (n & 1 ? CALL32 : CALL16), 0x9A, params);
		sys_descriptor(s, SYS_OWN + 16, 0, SYS_STACKS + 0x1000 - (params + 4) * size - enough, SYS_DB | 0x96);
		sys_put16(s, RIG_TSS + 8, SYS_OWN + 16);
		far_direct(s, true, GATE | 3, 0);
		if (enough) {
			sys_ok(s, SYS_TARGET);
			continue;
		}
		assert_int_equal(s->event[0].vector, EXC_SS);
		assert_int_equal(s->event[0].error, SYS_OWN + 16);
	}
}

/* Inner stacks of a 16-bit TSS. */
static void gate_16bit_tss(void **state)
{
	struct sys *s = *state;

	gate_to(s, 3, 0xE0 | CALL32, 0x9A, 0);
	s->cpu->tr.attr = 0x83;
	s->cpu->tr.base = SYS_TSS2;
	s->cpu->tr.limit = 0x2B;
	sys_put16(s, SYS_TSS2 + 2, 0xB000);
	sys_put16(s, SYS_TSS2 + 4, sys_data(0));
	far_direct(s, true, GATE | 3, 0);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), 0xB000 - 16);
	gate_to(s, 3, 0xE0 | CALL32, 0x9A, 0);
	s->cpu->tr.attr = 0x83;
	s->cpu->tr.limit = 4;
	far_direct(s, true, GATE | 3, 0);
	sys_fault(s, EXC_TS, RIG_TR);
}

/* A 16-bit inner stack: SP wraps inside 64 KiB and ESP's upper half stays. */
static void gate_to_16bit_stack(void **state)
{
	struct sys *s = *state;

	gate_to(s, 3, 0xE0 | CALL32, 0x9A, 0);
	sys_descriptor(s, SYS_OWN + 16, 0x50000, 0xFFFF, 0x92);
	sys_put16(s, RIG_TSS + 8, SYS_OWN + 16);
	set_word(s, RIG_TSS + 4, 8);
	far_direct(s, true, GATE | 3, 0);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), (RIG_STACK & 0xFFFF0000) | 0xFFF8);
	assert_int_equal(word(s, 0x50004), sys_data(3));
	assert_int_equal(word(s, 0x50000), RIG_STACK);
	assert_int_equal(word(s, 0x5FFFC), sys_code(3));
	assert_int_equal(word(s, 0x5FFF8), RIG_CODE + 7);
}

/* ---- 3. Return ------------------------------------------------------------------------------ */

static void push_frame(struct sys *s, const uint32_t *items, unsigned count)
{
	s->cpu->gpr[CPU_ESP] = RIG_STACK - 4 * count;
	for (unsigned n = 0; n < count; n++)
		set_word(s, RIG_STACK - 4 * count + 4 * n, items[n]);
}
#define FRAME(s, ...) push_frame((s), (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)

static void every_return_selector(void **state)
{
	struct sys *s = *state;

	for (unsigned iret = 0; iret < 2; iret++)
		for (unsigned type = 0; type < 32; type++)
			for (unsigned rights = 0; rights < 128; rights++) {
				unsigned dpl = rights & 3, rpl = rights >> 3 & 3, cpl = rights >> 5;
				bool present = rights >> 2 & 1, code = type >= 24, conforming = code && type & 4;
				bool allowed = code && rpl >= cpl && (conforming ? dpl <= rpl : dpl == rpl);
				uint16_t selector = (uint16_t)(SYS_OWN | rpl);

				sys_ring(s, cpl);
				sys_descriptor(s, SYS_OWN, SYS_TARGET - 0x100, 0xFFF,
				               SYS_DB | (present ? 0x80u : 0u) | dpl << 5 | type);
				if (iret)
					FRAME(s, 0x100, selector, 2, 0x12345678, sys_data(rpl));
				else
					FRAME(s, 0x100, selector, 0x12345678, sys_data(rpl));
				uint32_t before = esp(s);
				sys_run(s, iret ? (const uint8_t *)"\xCF" : (const uint8_t *)"\xCB", 1);
				if (!allowed) {
					sys_fault(s, EXC_GP, SYS_OWN);
				} else if (!present) {
					sys_fault(s, EXC_NP, SYS_OWN);
				} else {
					sys_ok(s, SYS_TARGET);
					assert_int_equal(cs(s), selector);
					assert_int_equal(s->cpu->cpl, rpl);
					assert_int_equal(esp(s), rpl > cpl ? 0x12345678
					                                   : before + (iret ? 12 : 8));
					assert_int_equal(s->cpu->seg[CPU_SS].selector, sys_data(rpl));
				}
			}
}

static void outer_refusals(void **state)
{
	struct sys *s = *state;

#define REFUSED(ss, prepare, vector, error)                                                            \
	do {                                                                                           \
		sys_ring(s, 0);                                                                        \
		prepare;                                                                               \
		FRAME(s, SYS_TARGET, sys_code(3), 0x1000, ss);                                         \
		SYS_RUN(s, 0xCB);                                                                      \
		sys_fault(s, vector, error);                                                           \
		sys_ring(s, 0);                                                                        \
		prepare;                                                                               \
		FRAME(s, SYS_TARGET, sys_code(3), 2, 0x1000, ss);                                      \
		SYS_RUN(s, 0xCF);                                                                      \
		sys_fault(s, vector, error);                                                           \
	} while (0)
	REFUSED(0, (void)0, EXC_GP, 0);
	REFUSED(0x7F8 | SYS_TI | 3, (void)0, EXC_GP, 0x7F8 | SYS_TI);
	REFUSED(sys_data(0), (void)0, EXC_GP, sys_data(0));
	REFUSED(sys_data(0) | 3, (void)0, EXC_GP, sys_data(0));
	REFUSED(sys_data(2), (void)0, EXC_GP, sys_data(2) & 0xFFFC);
	REFUSED(sys_code(3), (void)0, EXC_GP, sys_code(3) & 0xFFFC);
	REFUSED(SYS_OWN | 3, sys_descriptor(s, SYS_OWN, 0, 0xFFFF, 0x72), EXC_SS, SYS_OWN);
	REFUSED(SYS_OWN | 3, sys_descriptor(s, SYS_OWN, 0, 0xFFFF, 0xF0), EXC_GP, SYS_OWN);
#undef REFUSED
	sys_ring(s, 0);
	sys_descriptor(s, SYS_OWN, 0, 0xFF, SYS_DB | 0xFA);
	FRAME(s, 0x100, SYS_OWN | 3, 0x1000, sys_data(3));
	SYS_RUN(s, 0xCB);
	sys_fault(s, EXC_GP, 0); /* EIP beyond the limit */
	sys_ring(s, 0);
	FRAME(s, 0x100, 3, 0, 0);
	SYS_RUN(s, 0xCB);
	sys_fault(s, EXC_GP, 0); /* null CS */
	/* The frame's end lies beyond the stack's limit: #SS(0), after the checks of CS. */
	for (unsigned bytes = 0; bytes < 16; bytes += 4) {
		sys_ring(s, 0);
		FRAME(s, SYS_TARGET, sys_code(3), 0x1000, sys_data(3));
		s->cpu->seg[CPU_SS].limit = RIG_STACK - 16 + bytes;
		mode_changed(s->cpu);
		SYS_RUN(s, 0xCB);
		assert_int_equal(s->event[0].vector, EXC_SS);
		assert_int_equal(s->event[0].error, 0);
		assert_int_equal(s->first.eip, RIG_CODE);
	}
}

static void released_bytes(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	FRAME(s, SYS_TARGET, sys_code(0), 1, 2, 3);
	SYS_RUN(s, 0xCA, 8, 0); /* retf 8 */
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), RIG_STACK - 4);
	/* To an outer ring: skipped here, and released there too. */
	sys_ring(s, 0);
	FRAME(s, SYS_TARGET, sys_code(3), 1, 2, 0x5000, sys_data(3));
	SYS_RUN(s, 0xCA, 8, 0);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), 0x5008);
	/* 16-bit operands */
	sys_ring(s, 0);
	sys_descriptor(s, SYS_OWN, SYS_TARGET - 0x100, 0xFFFF, 0xFA);
	s->cpu->gpr[CPU_ESP] = RIG_STACK - 8;
	set_word(s, RIG_STACK - 8, (uint32_t)(SYS_OWN | 3) << 16 | 0x100);
	set_word(s, RIG_STACK - 4, (uint32_t)sys_data(3) << 16 | 0x5678);
	SYS_RUN(s, 0x66, 0xCB);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), 0x5678);
}

/* Data segments that the outer ring may not use become null; conforming code and nulls stay. */
static void dropped_segments(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	s->cpu->seg[CPU_ES] = (struct cpu_segment){ SYS_OWN, 0x9F, 0, 0xFFFF };            /* conforming, DPL 0 */
	s->cpu->seg[CPU_DS] = (struct cpu_segment){ sys_data(3), 0xC0F3, 0, 0xFFFFFFFF };
	s->cpu->seg[CPU_FS] = (struct cpu_segment){ SYS_OWN + 8, 0xDB, 0, 0xFFFF };        /* code, DPL 2 */
	s->cpu->seg[CPU_GS] = (struct cpu_segment){ 2, 0, 0, 0 };                          /* null */
	mode_changed(s->cpu);
	FRAME(s, SYS_TARGET, sys_code(3), 0x5000, sys_data(3));
	SYS_RUN(s, 0xCB);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(s->cpu->seg[CPU_ES].attr, 0x9F);
	assert_int_equal(s->cpu->seg[CPU_DS].selector, sys_data(3));
	assert_int_equal(s->cpu->seg[CPU_FS].selector, 0);
	assert_int_equal(s->cpu->seg[CPU_FS].attr, 0);
	assert_int_equal(s->cpu->seg[CPU_GS].selector, 2);
}

/* Returning to a 16-bit stack leaves the upper half of ESP. */
static void outer_16bit_stack(void **state)
{
	struct sys *s = *state;

	sys_ring(s, 0);
	sys_descriptor(s, SYS_OWN, 0, 0xFFFF, 0xF2);
	FRAME(s, SYS_TARGET, sys_code(3), 2, 0xAAAA5000, SYS_OWN | 3);
	SYS_RUN(s, 0xCF);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(esp(s), (RIG_STACK & 0xFFFF0000 ? (RIG_STACK - 20) & 0xFFFF0000 : 0) | 0x5000);
}

/* ---- 4. IRET -------------------------------------------------------------------------------- */

#define ALL_FLAGS (FL_STATUS | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_AC | FL_ID | FL_VIF | FL_VIP)

/* Which bits an IRET changes (SDM vol. 2, IRET: "RETURN-TO-..."). */
static void iret_flags(void **state)
{
	struct sys *s = *state;

	for (unsigned n = 0; n < 64; n++) {
		unsigned cpl = n & 3, iopl = n >> 2 & 3;
		bool wide = n >> 4 & 1, set = n >> 5;
		uint32_t may = FL_STATUS | FL_DF, old, image = set ? FL_STATUS | FL_DF | FL_IF | FL_IOPL | FL_ID : 0;
		uint32_t interesting = FL_STATUS | FL_DF | FL_IF | FL_IOPL | FL_ID;

		if (wide)
			may |= FL_ID;
		if (cpl <= iopl)
			may |= FL_IF;
		if (cpl == 0)
			may |= FL_IOPL;
		sys_ring(s, cpl);
		sys_descriptor(s, SYS_OWN, SYS_TARGET - 0x100, 0xFFFF, SYS_DB | 0x9A | cpl << 5);
		sys_set_flags(s, iopl << 12 | (set ? 0 : (uint32_t)FL_ID | FL_STATUS | FL_DF));
		old = s->cpu->flags | (set ? 0 : (uint32_t)FL_STATUS);
		FRAME(s, 0x100, SYS_OWN | cpl, image);
		if (!wide) {
			s->cpu->gpr[CPU_ESP] = RIG_STACK - 8;
			set_word(s, RIG_STACK - 8, (uint32_t)(SYS_OWN | cpl) << 16 | 0x100);
			set_word(s, RIG_STACK - 4, image & 0xFFFF);
			SYS_RUN(s, 0x66, 0xCF);
		} else {
			SYS_RUN(s, 0xCF);
		}
		sys_ok(s, SYS_TARGET);
		struct cpu_state st;
		cpu_get_state(s->cpu, &st);
		assert_int_equal(st.eflags & interesting, ((old & ~may) | (image & may)) & interesting);
	}
}

static void iret_to_v86(void **state)
{
	struct sys *s = *state;
	static const uint16_t seg[6] = { 0x1111, 0x3000, 0x2222, 0x3333, 0x4444, 0x5555 };

	sys_ring(s, 0);
	/* CS:IP = 3000:0000 = SYS_TARGET */
	FRAME(s, 0, 0x3000, FL_VM | FL_IF | 3 << 12 | 2, 0xFFFF1234, seg[CPU_SS], seg[CPU_ES], seg[CPU_DS], seg[CPU_FS],
	      seg[CPU_GS]);
	SYS_RUN(s, 0xCF);
	sys_ok(s, SYS_TARGET);
	assert_int_equal(s->cpu->cpl, 3);
	assert_true(s->cpu->flags & FL_VM);
	assert_int_equal(s->cpu->flags & FL_IOPL, 3 << 12);
	assert_int_equal(esp(s), 0xFFFF1234);
	for (unsigned n = 0; n < 6; n++) {
		assert_int_equal(s->cpu->seg[n].selector, seg[n]);
		assert_int_equal(s->cpu->seg[n].base, (uint32_t)seg[n] << 4);
		assert_int_equal(s->cpu->seg[n].limit, 0xFFFF);
		assert_int_equal(s->cpu->seg[n].attr, 0xF3);
	}
	assert_int_equal(s->cpu->mode & (MODE_CODE32 | MODE_STACK32), 0);
	/* EIP beyond 64 KiB */
	sys_ring(s, 0);
	FRAME(s, 0x10000, 0x3000, FL_VM | 2, 0, 0, 0, 0, 0, 0);
	SYS_RUN(s, 0xCF);
	sys_fault(s, EXC_GP, 0);
	/* The frame is longer than the stack. */
	sys_ring(s, 0);
	FRAME(s, 0, 0x3000, FL_VM | 2, 0, 0, 0, 0, 0, 0);
	s->cpu->seg[CPU_SS].limit = RIG_STACK - 2;
	mode_changed(s->cpu);
	SYS_RUN(s, 0xCF);
	assert_int_equal(s->event[0].vector, EXC_SS);
	/* Not from ring 1 to 3: VM in the image is ignored there. */
	sys_ring(s, 3);
	FRAME(s, SYS_TARGET, sys_code(3), FL_VM | 2);
	SYS_RUN(s, 0xCF);
	sys_ok(s, SYS_TARGET);
	assert_false(s->cpu->flags & FL_VM);
}

static void iret_in_v86_mode(void **state)
{
	struct sys *s = *state;

	sys_v86(s, 3);
	sys_put16(s, 0x3FFF0, 0);
	sys_put16(s, 0x3FFF2, 0x3000);
	sys_put16(s, 0x3FFF4, FL_IOPL | FL_CF);
	s->cpu->gpr[CPU_ESP] = 0xFFF0;
	sys_put_code(s, 0x30000, "\x0F\x01\xC1", 3);
	SYS_RUN(s, 0xCF);
	sys_ok(s, SYS_TARGET);
	assert_true(s->cpu->flags & FL_VM);
	assert_false(s->cpu->flags & FL_IF); /* IOPL 3 lets IF through */
	assert_int_equal(esp(s), 0xFFF6);
	sys_v86(s, 2);
	SYS_RUN(s, 0xCF);
	sys_fault(s, EXC_GP, 0);
}

static void real_mode(void **state)
{
	struct sys *s = *state;

	/* SS:SP = 3000:FFF0 */
	sys_real(s);
	sys_put_code(s, 0x50010, "\x0F\x01\xC1", 3);
	s->cpu->gpr[CPU_ESP] = 0xFFF0;
	sys_put16(s, 0x3FFF0, 0x10);
	sys_put16(s, 0x3FFF2, 0x5000);
	sys_put16(s, 0x3FFF4, FL_IF | FL_IOPL | FL_NT);
	SYS_RUN(s, 0xCF);
	sys_ok(s, 0x50010);
	assert_int_equal(s->cpu->flags & (FL_IF | FL_IOPL | FL_NT), FL_IF | FL_IOPL | FL_NT);
	assert_int_equal(s->cpu->cpl, 0);
	sys_real(s); /* retf */
	s->cpu->gpr[CPU_ESP] = 0xFFF0;
	SYS_RUN(s, 0xCA, 2, 0);
	sys_ok(s, 0x50010);
	assert_int_equal(esp(s), 0xFFF6);
	sys_real(s); /* call 5000:0010, jmp 5000:0010 */
	SYS_RUN(s, 0x9A, 0x10, 0x00, 0x00, 0x50);
	sys_ok(s, 0x50010);
	assert_int_equal(word(s, 0x3FFFA), (RIG_CODE >> 4) << 16 | 5);
	sys_real(s);
	SYS_RUN(s, 0xEA, 0x10, 0x00, 0x00, 0x50);
	sys_ok(s, 0x50010);
	assert_int_equal(s->cpu->seg[CPU_CS].base, 0x50000);
	sys_real(s); /* 32-bit offset beyond the limit */
	SYS_RUN(s, 0x66, 0xEA, 0x10, 0x00, 0x01, 0x00, 0x00, 0x50);
	assert_int_equal(s->event[0].vector, EXC_GP);
	assert_false(s->event[0].has_error);
	/* A stack that wraps in the middle of a word. */
	sys_real(s);
	s->cpu->gpr[CPU_ESP] = 3;
	SYS_RUN(s, 0x9A, 0x10, 0x00, 0x00, 0x50);
	assert_int_equal(s->event[0].vector, EXC_SS);
	sys_real(s); /* ... between words */
	s->cpu->gpr[CPU_ESP] = 2;
	SYS_RUN(s, 0x9A, 0x10, 0x00, 0x00, 0x50);
	sys_ok(s, 0x50010);
	assert_int_equal(esp(s), 0xFFFE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_descriptor), cmocka_unit_test(direct_limits), cmocka_unit_test(direct_16bit),
		cmocka_unit_test(indirect), cmocka_unit_test(gate_privilege), cmocka_unit_test(gate_parameters),
		cmocka_unit_test(gate_refusals), cmocka_unit_test(gate_stack_room), cmocka_unit_test(gate_16bit_tss),
		cmocka_unit_test(gate_to_16bit_stack), cmocka_unit_test(every_return_selector),
		cmocka_unit_test(outer_refusals), cmocka_unit_test(released_bytes),
		cmocka_unit_test(dropped_segments), cmocka_unit_test(outer_16bit_stack), cmocka_unit_test(iret_flags),
		cmocka_unit_test(iret_to_v86), cmocka_unit_test(iret_in_v86_mode), cmocka_unit_test(real_mode),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make, unmake);
}
