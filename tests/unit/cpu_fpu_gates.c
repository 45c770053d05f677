/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_fpu_gates.c - when floating-point and SIMD instructions may not run, and what a fault leaves.
 *
 *   1. CR0.EM, TS, MP; CR4.OSFXSR       #UD and #NM by class (SDM vol. 3, 2.5, 12.1, 13.1)
 *   2. x87 exceptions                    #MF, FERR#, no-wait instructions
 *   3. SIMD exceptions                   #XM, #UD, flags
 *   4. Operands                          alignment, page faults: nothing has happened
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/flags.h"
#include "cpu/fpu.h"
#include "tests/lib/hostfpu.h"
#include "tests/lib/rig.h"

#define A32(a) (uint8_t)(a), (uint8_t)((a) >> 8), (uint8_t)((a) >> 16), (uint8_t)((a) >> 24)
#define DATA A32(RIG_DATA)
#define HLT 0xF4
enum { BUDGET = 100 };

static int set_up(void **state)
{
	*state = rig_new(CPU_OPT_ALL);
	return 0;
}
static int tear_down(void **state)
{
	rig_free(*state);
	return 0;
}

/* The vector that `bytes` end in with these control registers, -1: none. */
static int outcome(struct rig *rig, uint32_t cr0, uint32_t cr4, const uint8_t *bytes, size_t count)
{
	uint8_t code[32];

	rig_flat(rig, 0);
	rig->cpu->cr0 = (rig->cpu->cr0 & ~(uint32_t)(CR0_EM | CR0_TS | CR0_MP)) | cr0;
	rig->cpu->cr4 = cr4;
	rig->cpu->gpr[CPU_EDI] = RIG_DATA;
	memcpy(code, bytes, count);
	code[count] = HLT;
	rig_load(rig, code, count + 1);
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_HALTED);
	return rig_vector(rig);
}
#define OUTCOME(rig, cr0, cr4, ...)                                                                    \
	outcome(rig, cr0, cr4, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void set_bytes(struct rig *rig, uint32_t at, const void *from, size_t count)
{
	memcpy(rig->ram + at, from, count);
}
static uint16_t status(struct rig *rig)
{
	struct cpu_state s;
	uint16_t v;

	cpu_get_state(rig->cpu, &s);
	memcpy(&v, s.fxsave + 2, 2);
	return v;
}
static uint32_t mxcsr(struct rig *rig)
{
	struct cpu_state s;
	uint32_t v;

	cpu_get_state(rig->cpu, &s);
	memcpy(&v, s.fxsave + 24, 4);
	return v;
}

/* ---- 1. Control registers ------------------------------------------------------------------- */

/* Every class with every combination of EM, TS and OSFXSR. */
static void x87_wants_em_and_ts_clear(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 4; n++) {
		uint32_t cr0 = (n & 1 ? CR0_EM : 0u) | (n & 2 ? CR0_TS : 0u);
		int want = n ? EXC_NM : -1;
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xD9, 0xE8), want);       /* FLD1 */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDD, 0x05, DATA), want); /* FLD m64 */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDD, 0x15, DATA), want); /* FST m64 */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDB, 0xE3), want);       /* FNINIT */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDB, 0xE2), want);       /* FNCLEX */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDF, 0xE0), want);       /* FNSTSW AX */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xD9, 0x3D, DATA), want); /* FNSTCW */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xD9, 0x2D, DATA), want); /* FLDCW */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xD9, 0x35, DATA), want); /* FNSTENV */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDD, 0x35, DATA), want); /* FNSAVE */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDB, 0xE0), want);       /* FNENI: nothing, but an ESC */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDB, 0xF1), want);       /* FCOMI */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0xDA, 0xC1), want);       /* FCMOVB */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xAE, 0x05, DATA), want); /* FXSAVE */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xAE, 0x0D, DATA), want); /* FXRSTOR */
	}
}

static void fwait_faults_with_both_mp_and_ts(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 8; n++) {
		uint32_t cr0 = (n & 1 ? CR0_MP : 0u) | (n & 2 ? CR0_TS : 0u) | (n & 4 ? CR0_EM : 0u);
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x9B), (n & 3) == 3 ? EXC_NM : -1);
	}
}

static void mmx_is_undefined_with_em_and_unavailable_with_ts(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 4; n++) {
		uint32_t cr0 = (n & 1 ? CR0_EM : 0u) | (n & 2 ? CR0_TS : 0u);
		int want = n & 1 ? EXC_UD : n & 2 ? EXC_NM : -1;
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xFC, 0xC1), want);       /* PADDB */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0x6F, 0x05, DATA), want); /* MOVQ load */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0x7F, 0x05, DATA), want); /* MOVQ store */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0x77), want);             /* EMMS */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xF7, 0xC1), want);       /* MASKMOVQ */
		assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0x71, 0xD0, 1), want);    /* PSRLW imm8 */
	}
}

static void sse_wants_osfxsr_and_em_clear_then_ts_clear(void **state)
{
	struct rig *rig = *state;

	for (unsigned n = 0; n < 8; n++) {
		uint32_t cr0 = (n & 1 ? CR0_EM : 0u) | (n & 2 ? CR0_TS : 0u), cr4 = n & 4 ? CR4_OSFXSR : 0u;
		int want = n & 1 || !cr4 ? EXC_UD : n & 2 ? EXC_NM : -1;
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x0F, 0x58, 0xC1), want);             /* ADDPS */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x0F, 0x58, 0x05, DATA), want);       /* ADDPS m128 */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x0F, 0x28, 0xC1), want);             /* MOVAPS */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x66, 0x0F, 0x7F, 0x05, DATA), want); /* MOVDQA store */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x0F, 0x54, 0xC1), want);             /* ANDPS */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x66, 0x0F, 0xEF, 0xC0), want);       /* PXOR */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x0F, 0x2E, 0xC1), want);             /* UCOMISS */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x0F, 0xAE, 0x1D, DATA), want);       /* STMXCSR */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x66, 0x0F, 0xF7, 0xC1), want);       /* MASKMOVDQU */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0xF3, 0x0F, 0xD6, 0xC1), want);       /* MOVQ2DQ */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x0F, 0x2D, 0xC1), want);             /* CVTPS2PI */
		assert_int_equal(OUTCOME(rig, cr0, cr4, 0x66, 0x0F, 0x73, 0xD8, 1), want);    /* PSRLDQ */
	}
}

static void hints_fences_and_movnti_touch_no_state_and_are_not_gated(void **state)
{
	struct rig *rig = *state;
	uint32_t cr0 = CR0_EM | CR0_TS | CR0_MP;

	assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xC3, 0x05, DATA), -1);       /* MOVNTI */
	assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xAE, 0xE8), -1);             /* LFENCE */
	assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xAE, 0xF0), -1);             /* MFENCE */
	assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xAE, 0xF8), -1);             /* SFENCE */
	assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0xAE, 0x3D, DATA), -1);       /* CLFLUSH */
	assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0x18, 0x0D, DATA), -1);       /* PREFETCHT0 */
	assert_int_equal(OUTCOME(rig, cr0, 0, 0x0F, 0x18, 0x05, A32(0xFFFFFFF0u)), -1); /* of anything */
	assert_int_equal(OUTCOME(rig, cr0, 0, 0xF3, 0x90), -1);                   /* PAUSE */
}

static void sse3_and_later_are_undefined(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(OUTCOME(rig, 0, CR4_OSFXSR, 0xF2, 0x0F, 0x7C, 0xC1), EXC_UD);       /* HADDPS */
	assert_int_equal(OUTCOME(rig, 0, CR4_OSFXSR, 0xF3, 0x0F, 0x12, 0xC1), EXC_UD);       /* MOVSLDUP */
	assert_int_equal(OUTCOME(rig, 0, CR4_OSFXSR, 0xF2, 0x0F, 0xF0, 0x05, DATA), EXC_UD); /* LDDQU */
	assert_int_equal(OUTCOME(rig, 0, CR4_OSFXSR, 0xDD, 0x0D, DATA), EXC_UD);             /* FISTTP */
	assert_int_equal(OUTCOME(rig, 0, CR4_OSFXSR, 0x66, 0x0F, 0x38, 0x00, 0xC1), EXC_UD); /* PSHUFB */
	assert_int_equal(OUTCOME(rig, 0, CR4_OSFXSR, 0x66, 0x0F, 0x3A, 0x0F, 0xC1, 4), EXC_UD); /* PALIGNR */
}

/* ---- 2. x87 exceptions ---------------------------------------------------------------------- */

enum { CW_DIVIDE = 0x037B }; /* as FNINIT's, but division by zero unmasked */

/* 1 / 0 with #Z unmasked, then `bytes`, HLT. */
static void load_division(struct rig *rig, const uint8_t *bytes, size_t count)
{
	uint8_t code[48] = { 0xD9, 0x2D, DATA, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9 }; /* FLDCW FLD1 FLDZ FDIVP */
	uint16_t cw = CW_DIVIDE;

	rig_flat(rig, 0);
	set_bytes(rig, RIG_DATA, &cw, 2);
	memcpy(code + 12, bytes, count);
	code[12 + count] = HLT;
	rig_load(rig, code, 13 + count);
}
#define LOAD_DIVISION(rig, ...)                                                                        \
	load_division(rig, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

static void an_unmasked_x87_exception_strikes_at_the_next_waiting_instruction(void **state)
{
	struct rig *rig = *state;

	if (!host_fpu_is_exact())
		skip();
	LOAD_DIVISION(rig, 0x90);
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), -1);
	assert_int_equal(status(rig) & 0xFFu, 0x84);   /* ZE, ES */
	assert_int_equal(status(rig) >> 11 & 7, 6);    /* both operands are still there */
	assert_true(status(rig) & 0x8000);

	LOAD_DIVISION(rig, 0xD9, 0xE0); /* FCHS */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), EXC_MF);
	assert_int_equal(rig_word(rig, rig->cpu->gpr[CPU_ESP]), RIG_CODE + 12);
	LOAD_DIVISION(rig, 0x9B); /* FWAIT */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), EXC_MF);
	LOAD_DIVISION(rig, 0x0F, 0xFC, 0xC1); /* PADDB */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), EXC_MF);
	LOAD_DIVISION(rig, 0xF3, 0x0F, 0xD6, 0xC1); /* MOVQ2DQ */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), EXC_MF);
	LOAD_DIVISION(rig, 0x0F, 0x58, 0xC1); /* ADDPS does not care */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), -1);
}

static void no_wait_instructions_pass_a_pending_exception(void **state)
{
	struct rig *rig = *state;

	if (!host_fpu_is_exact())
		skip();
	LOAD_DIVISION(rig, 0xDF, 0xE0, 0xDB, 0xE2, 0xD9, 0xE0); /* FNSTSW AX, FNCLEX, FCHS */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), -1);
	assert_int_equal(rig->cpu->gpr[CPU_EAX] & 0x80FF, 0x8084);
	assert_int_equal(status(rig) & 0x80FF, 0);
	LOAD_DIVISION(rig, 0xDB, 0xE3, 0xD9, 0xE8); /* FNINIT, FLD1 */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), -1);
	LOAD_DIVISION(rig, 0xD9, 0x35, A32(RIG_DATA + 64), 0xD9, 0xE0); /* FNSTENV masks all, FCHS */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), -1);
	assert_int_equal(rig_word(rig, RIG_DATA + 64) & 0xFFFF, CW_DIVIDE);
	assert_int_equal(rig_word(rig, RIG_DATA + 68) & 0x80FF, 0x8084);
	assert_int_equal(rig_word(rig, RIG_DATA + 76), RIG_CODE + 10); /* FIP: the division */
	LOAD_DIVISION(rig, 0x0F, 0xAE, 0x05, A32(RIG_DATA + 64)); /* FXSAVE */
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), -1);
	assert_int_equal(rig_word(rig, RIG_DATA + 64), 0xB084u << 16 | CW_DIVIDE);
}

static void unmasking_a_flag_that_is_set_makes_it_pending(void **state)
{
	struct rig *rig = *state;
	uint16_t cw = CW_DIVIDE;

	if (!host_fpu_is_exact())
		skip();
	set_bytes(rig, RIG_DATA, &cw, 2);
	/* FLD1 FLDZ FDIVP, FLDCW, FNOP */
	RIG_LOAD(rig, 0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9, 0xD9, 0x2D, DATA, 0xD9, 0xD0, HLT);
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), EXC_MF);
	assert_int_equal(rig_word(rig, rig->cpu->gpr[CPU_ESP]), RIG_CODE + 12);
}

static unsigned ferr_calls;
static void ferr(void *user)
{
	struct rig *rig = user;

	ferr_calls++;
	rig->irq_vector = 0x75;
	cpu_set_irq(rig->cpu, true);
}

static void without_cr0_ne_the_exception_leaves_by_ferr(void **state)
{
	struct rig *rig = *state;

	if (!host_fpu_is_exact())
		skip();
	LOAD_DIVISION(rig, 0xD9, 0xE0);
	rig->cpu->cr0 &= ~(uint32_t)CR0_NE;
	rig->cpu->bus.ferr = ferr;
	ferr_calls = 0;
	set_eflags(rig->cpu, FL_IF, FL_IF);
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), 0x75);
	assert_int_equal(ferr_calls, 1);
	assert_int_equal(rig_word(rig, rig->cpu->gpr[CPU_ESP]), RIG_CODE + 12); /* FCHS is tried again */
	/* Nobody takes the interrupt: it waits, and the budget ends. */
	LOAD_DIVISION(rig, 0xD9, 0xE0);
	rig->cpu->cr0 &= ~(uint32_t)CR0_NE;
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_BUDGET);
	/* No wire. */
	LOAD_DIVISION(rig, 0xD9, 0xE0);
	rig->cpu->cr0 &= ~(uint32_t)CR0_NE;
	rig->cpu->bus.ferr = NULL;
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), EXC_MF);
}

static void an_unmasked_store_that_overflows_writes_nothing_and_pops_nothing(void **state)
{
	struct rig *rig = *state;
	uint16_t cw = 0x0377; /* #O unmasked */
	double big = 1e300;

	if (!host_fpu_is_exact())
		skip();
	set_bytes(rig, RIG_DATA, &cw, 2);
	set_bytes(rig, RIG_DATA + 8, &big, 8);
	rig_set_word(rig, RIG_DATA + 16, 0x12345678);
	/* FLDCW, FLD m64, FSTP m32 */
	RIG_LOAD(rig, 0xD9, 0x2D, DATA, 0xDD, 0x05, A32(RIG_DATA + 8), 0xD9, 0x1D, A32(RIG_DATA + 16), HLT);
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), -1);
	assert_int_equal(rig_word(rig, RIG_DATA + 16), 0x12345678);
	assert_int_equal(status(rig) >> 11 & 7, 7);
	assert_int_equal(status(rig) & 0xFF, 0x88);
}

/* ---- 3. SIMD exceptions --------------------------------------------------------------------- */

/* xmm0 = DATA+16, LDMXCSR DATA, `opcode` xmm0, [DATA+32] (PS). */
static int simd(struct rig *rig, uint32_t csr, uint32_t cr4, uint8_t opcode, const float a[4], const float b[4])
{
	rig_flat(rig, 0);
	rig->cpu->cr4 = cr4;
	set_bytes(rig, RIG_DATA, &csr, 4);
	set_bytes(rig, RIG_DATA + 16, a, 16);
	set_bytes(rig, RIG_DATA + 32, b, 16);
	/* the result to DATA+48 */
	RIG_LOAD(rig, 0x0F, 0x28, 0x05, A32(RIG_DATA + 16), 0x0F, 0xAE, 0x15, DATA, 0x0F, opcode, 0x05,
	         A32(RIG_DATA + 32), 0x0F, 0x29, 0x05, A32(RIG_DATA + 48), HLT);
	rig_run(rig, BUDGET);
	return rig_vector(rig);
}

static void unmasked_simd_exceptions_are_precise(void **state)
{
	static const float one[4] = { 1, 1, 1, 1 }, zero_three[4] = { 0, 3, 3, 3 }, tiny[4] = { 0x1p-126f },
	                   half[4] = { 0.5f, 1, 1, 1 }, huge[4] = { 0x1p127f, 1, 1, 1 }, two[4] = { 2, 1, 1, 1 };
	enum { DIV = 0x5E, MUL = 0x59, Z = 1 << 9, O = 1 << 10, U = 1 << 11, P = 1 << 12, ALL = 0x1F80 };
	uint32_t cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
	struct rig *rig = *state;
	struct cpu_state s;

	if (!host_fpu_is_exact())
		skip();
	/* masked: results and all flags */
	assert_int_equal(simd(rig, ALL, cr4, DIV, one, zero_three), -1);
	assert_int_equal(mxcsr(rig), ALL | 0x24);
	assert_int_equal(rig_word(rig, RIG_DATA + 48), 0x7F800000);
	/* #Z hides the inexact lanes */
	assert_int_equal(simd(rig, ALL & ~Z, cr4, DIV, one, zero_three), EXC_XM);
	assert_int_equal(mxcsr(rig), (ALL & ~Z) | 0x04);
	assert_int_equal(rig_word(rig, rig->cpu->gpr[CPU_ESP]), RIG_CODE + 14);
	cpu_get_state(rig->cpu, &s);
	assert_memory_equal(s.fxsave + 160, one, 16); /* the destination is as it was */
	assert_int_equal(simd(rig, ALL & ~Z, CR4_OSFXSR, DIV, one, zero_three), EXC_UD);
	/* after the computation: all flags */
	assert_int_equal(simd(rig, ALL & ~P, cr4, DIV, one, zero_three), EXC_XM);
	assert_int_equal(mxcsr(rig), (ALL & ~P) | 0x24);
	/* an exact tiny result is an underflow when that is unmasked, and only then */
	assert_int_equal(simd(rig, ALL, cr4, MUL, tiny, half), -1);
	assert_int_equal(mxcsr(rig), ALL);
	assert_int_equal(rig_word(rig, RIG_DATA + 48), 0x00400000);
	assert_int_equal(simd(rig, ALL & ~U, cr4, MUL, tiny, half), EXC_XM);
	assert_int_equal(mxcsr(rig), (ALL & ~U) | 0x10);
	/* an overflow whose significand is exact is inexact when masked, not when unmasked */
	assert_int_equal(simd(rig, ALL, cr4, MUL, huge, two), -1);
	assert_int_equal(mxcsr(rig), ALL | 0x28);
	assert_int_equal(simd(rig, ALL & ~O, cr4, MUL, huge, two), EXC_XM);
	assert_int_equal(mxcsr(rig), (ALL & ~O) | 0x08);
	/* unmasked, but nothing happens */
	assert_int_equal(simd(rig, 0, cr4, MUL, one, two), -1);
	assert_int_equal(rig_word(rig, RIG_DATA + 48), 0x40000000);
}

/* ---- 4. Operands ---------------------------------------------------------------------------- */

static void sixteen_byte_operands_must_be_aligned(void **state)
{
	struct rig *rig = *state;
	uint32_t off = RIG_DATA + 8, cr4 = CR4_OSFXSR;

	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0x28, 0x05, A32(off)), EXC_GP);       /* MOVAPS */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0x29, 0x05, A32(off)), EXC_GP);
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0x58, 0x05, A32(off)), EXC_GP);       /* ADDPS */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x66, 0x0F, 0xFC, 0x05, A32(off)), EXC_GP); /* PADDB */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x66, 0x0F, 0x70, 0x05, A32(off), 0), EXC_GP); /* PSHUFD */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0x2B, 0x05, A32(off)), EXC_GP);       /* MOVNTPS */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0xAE, 0x05, A32(off)), EXC_GP);       /* FXSAVE */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0xAE, 0x0D, A32(off)), EXC_GP);       /* FXRSTOR */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0x10, 0x05, A32(off + 1)), -1);       /* MOVUPS */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0xF3, 0x0F, 0x7F, 0x05, A32(off + 1)), -1); /* MOVDQU */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0x5A, 0x05, A32(off + 1)), -1);       /* CVTPS2PD m64 */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0xF2, 0x0F, 0x58, 0x05, A32(off + 1)), -1); /* ADDSD */
	assert_int_equal(OUTCOME(rig, 0, cr4, 0x0F, 0xFC, 0x05, A32(off + 1)), -1);       /* PADDB mm */
}

static void reserved_mxcsr_bits_are_refused(void **state)
{
	struct rig *rig = *state;
	uint32_t bad = 0x00011F80;

	set_bytes(rig, RIG_DATA, &bad, 4);
	set_bytes(rig, RIG_DATA + 512 + 24, &bad, 4);
	assert_int_equal(OUTCOME(rig, 0, CR4_OSFXSR, 0x0F, 0xAE, 0x15, DATA), EXC_GP);                   /* LDMXCSR */
	assert_int_equal(OUTCOME(rig, 0, CR4_OSFXSR, 0x0F, 0xAE, 0x0D, A32(RIG_DATA + 512)), EXC_GP); /* FXRSTOR */
	assert_int_equal(mxcsr(rig), 0x1F80);
}

/* The state before and after an instruction that ends in #PF, some of its operand in a page that allows it. */
static void check_untouched(struct rig *rig, const char *what, const uint8_t *bytes, size_t count, bool absent)
{
	struct cpu_state before, after;
	uint8_t *page = rig->ram + RIG_DATA + 0x1000, code[32];

	rig_flat(rig, 0);
	RIG_LOAD(rig, 0xD9, 0xE8, 0xD9, 0xEB, HLT); /* FLD1 FLDPI */
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_HALTED);
	cpu_get_state(rig->cpu, &before);
	rig_flat(rig, 3);
	rig_paging(rig);
	*rig_pte(rig, RIG_DATA + 0x1000) &= absent ? ~1u : ~2u;
	cpu_get_state(rig->cpu, &after);
	memcpy(after.fxsave, before.fxsave, 512);
	cpu_set_state(rig->cpu, &after);
	rig->cpu->gpr[CPU_EDI] = RIG_DATA + 0x1000 - 4;
	memset(rig->ram + RIG_DATA + 0x0FF0, 0x66, 16);
	memset(page, 0x55, 4096);
	memcpy(code, bytes, count);
	code[count] = HLT;
	rig_load(rig, code, count + 1);
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_HALTED);
	cpu_get_state(rig->cpu, &after);
	if (rig_vector(rig) != EXC_PF || memcmp(before.fxsave, after.fxsave, 512) ||
	    rig->ram[RIG_DATA + 0xFFF] != 0x66 || page[0] != 0x55)
		fail_msg("%s: vector %d", what, rig_vector(rig));
	assert_int_equal(after.cr2 & ~0xFFu, RIG_DATA + 0x1000);
}
#define CHECK_UNTOUCHED(rig, what, absent, ...)                                                        \
	check_untouched(rig, what, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }), absent)

static void an_instruction_that_page_faults_has_not_happened(void **state)
{
	struct rig *rig = *state;

	CHECK_UNTOUCHED(rig, "fld m64", true, 0xDD, 0x07);
	CHECK_UNTOUCHED(rig, "fld m80", true, 0xDB, 0x2F);
	CHECK_UNTOUCHED(rig, "fadd m64", true, 0xDC, 0x07);
	CHECK_UNTOUCHED(rig, "fstp m64", false, 0xDD, 0x1F);
	CHECK_UNTOUCHED(rig, "fstp m80", false, 0xDB, 0x3F);
	CHECK_UNTOUCHED(rig, "fistp m64", false, 0xDF, 0x3F);
	CHECK_UNTOUCHED(rig, "fbstp", false, 0xDF, 0x37);
	CHECK_UNTOUCHED(rig, "fnstenv", false, 0xD9, 0x37);
	CHECK_UNTOUCHED(rig, "fnsave", false, 0xDD, 0x37);
	CHECK_UNTOUCHED(rig, "frstor", true, 0xDD, 0x27);
	CHECK_UNTOUCHED(rig, "fldenv", true, 0xD9, 0x27);
	CHECK_UNTOUCHED(rig, "movq mm, m64", true, 0x0F, 0x6F, 0x07);
	CHECK_UNTOUCHED(rig, "movq m64, mm", false, 0x0F, 0x7F, 0x07);
	CHECK_UNTOUCHED(rig, "paddb mm, m64", true, 0x0F, 0xFC, 0x07);
	CHECK_UNTOUCHED(rig, "movups m128", false, 0x0F, 0x11, 0x07);
	CHECK_UNTOUCHED(rig, "addsd m64", true, 0xF2, 0x0F, 0x58, 0x07);
	CHECK_UNTOUCHED(rig, "cvtsi2sd m32", true, 0xF2, 0x0F, 0x2A, 0x47, 0x04);
}

/* A TLB filled by an earlier access must not hide a later fault. */
static void a_page_that_turns_read_only_stops_the_next_store(void **state)
{
	struct rig *rig = *state;

	uint32_t pte;

	rig_paging(rig);
	pte = (uint32_t)((uint8_t *)rig_pte(rig, RIG_DATA) - rig->ram);
	rig->cpu->gpr[CPU_EDI] = RIG_DATA;
	/* FLD1, FST m64, AND [pte], ~2, INVLPG, FSTP m64 */
	RIG_LOAD(rig, 0xD9, 0xE8, 0xDD, 0x17, 0x83, 0x25, A32(pte), 0xFD, 0x0F, 0x01, 0x3F, 0xDD, 0x1F, HLT);
	rig_run(rig, BUDGET);
	assert_int_equal(rig_vector(rig), EXC_PF);
	assert_int_equal(status(rig) >> 11 & 7, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(x87_wants_em_and_ts_clear, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fwait_faults_with_both_mp_and_ts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mmx_is_undefined_with_em_and_unavailable_with_ts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sse_wants_osfxsr_and_em_clear_then_ts_clear, set_up, tear_down),
		cmocka_unit_test_setup_teardown(hints_fences_and_movnti_touch_no_state_and_are_not_gated, set_up,
		                                tear_down),
		cmocka_unit_test_setup_teardown(sse3_and_later_are_undefined, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unmasked_x87_exception_strikes_at_the_next_waiting_instruction,
		                                set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_wait_instructions_pass_a_pending_exception, set_up, tear_down),
		cmocka_unit_test_setup_teardown(unmasking_a_flag_that_is_set_makes_it_pending, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_cr0_ne_the_exception_leaves_by_ferr, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_unmasked_store_that_overflows_writes_nothing_and_pops_nothing,
		                                set_up, tear_down),
		cmocka_unit_test_setup_teardown(unmasked_simd_exceptions_are_precise, set_up, tear_down),
		cmocka_unit_test_setup_teardown(sixteen_byte_operands_must_be_aligned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reserved_mxcsr_bits_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_instruction_that_page_faults_has_not_happened, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_page_that_turns_read_only_stops_the_next_store, set_up, tear_down),
	};

	if (!fpu_features()) {
		puts("1..0 # SKIP this host has no x87 to lend to the guest");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
