/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_fpu_state.c - the floating-point state in memory, and who holds it.
 *
 *   1. Environments    FNSTENV, FNSAVE in their four formats; FLDENV, FRSTOR
 *   2. FXSAVE          layout, what it leaves alone
 *   3. MMX             on the same registers
 *   4. The host        gets its own back, whenever the guest's state was in it
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/fpu.h"
#include "tests/lib/hostfpu.h"
#include "tests/lib/rig.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#define A32(a) (uint8_t)(a), (uint8_t)((a) >> 8), (uint8_t)((a) >> 16), (uint8_t)((a) >> 24)
#define DATA A32(RIG_DATA)
#define HLT 0xF4
enum { BUDGET = 1000, OUT = RIG_DATA + 0x400 };

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

static void set_bytes(struct rig *rig, uint32_t at, const void *from, size_t count)
{
	memcpy(rig->ram + at, from, count);
}
static void run(struct rig *rig)
{
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), -1);
}
static unsigned word16(const struct rig *rig, uint32_t at) { return rig_word(rig, at) & 0xFFFF; }
static double number(const struct rig *rig, uint32_t at)
{
	double v;

	memcpy(&v, rig->ram + at, 8);
	return v;
}

/* ---- 1. Environments ------------------------------------------------------------------------ */

/* FLDZ, FLD1, FLD m80 (infinity), FFREE ST(0): tags from R7: zero 1, valid 0, empty. */
#define SOME_STATE 0xD9, 0xEE, 0xD9, 0xE8, 0xDD, 0x05, DATA, 0xD9, 0xE8, 0xDD, 0xC0
static const double infinity_value = __builtin_inf();

static void environment_32_bit_protected(void **state)
{
	struct rig *rig = *state;

	set_bytes(rig, RIG_DATA, &infinity_value, 8);
	memset(rig->ram + OUT, 0xA5, 64);
	RIG_LOAD(rig, SOME_STATE, 0xDD, 0x05, DATA, 0xD9, 0x35, A32(OUT), HLT); /* ... FLD m64, FNSTENV */
	run(rig);
	assert_int_equal(rig_word(rig, OUT), 0xFFFF037F);
	assert_int_equal(rig_word(rig, OUT + 4), 0xFFFF0000 | 3 << 11);
	/* R7 zero, R6 valid, R5 special, R4 empty, R3 special, others empty */
	assert_int_equal(rig_word(rig, OUT + 8), 0xFFFF0000 | 1 << 14 | 0 << 12 | 2 << 10 | 3 << 8 | 2 << 6 | 0x3F);
	assert_int_equal(rig_word(rig, OUT + 12), RIG_CODE + 14);
	assert_int_equal(rig_word(rig, OUT + 16), 0x505u << 16 | RIG_CODE0); /* DD 05 */
	assert_int_equal(rig_word(rig, OUT + 20), RIG_DATA);
	assert_int_equal(rig_word(rig, OUT + 24), 0xFFFF0000 | RIG_DATA0);
	assert_int_equal(rig_word(rig, OUT + 28), 0xA5A5A5A5);
}

static void environment_16_bit_protected(void **state)
{
	struct rig *rig = *state;

	memset(rig->ram + OUT, 0xA5, 64);
	RIG_LOAD(rig, 0xD9, 0xEE, 0xDD, 0x05, DATA, 0x66, 0xD9, 0x35, A32(OUT), HLT);
	run(rig);
	assert_int_equal(word16(rig, OUT), 0x037F);
	assert_int_equal(word16(rig, OUT + 2), 6 << 11);
	assert_int_equal(word16(rig, OUT + 4), 1 << 14 | 1 << 12 | 0xFFF);
	assert_int_equal(word16(rig, OUT + 6), (RIG_CODE + 2) & 0xFFFF);
	assert_int_equal(word16(rig, OUT + 8), RIG_CODE0);
	assert_int_equal(word16(rig, OUT + 10), RIG_DATA & 0xFFFF);
	assert_int_equal(word16(rig, OUT + 12), RIG_DATA0);
	assert_int_equal(word16(rig, OUT + 14), 0xA5A5);
}

static void environment_real_mode(void **state)
{
	struct rig *rig = *state;

	rig_real(rig);
	memset(rig->ram + OUT, 0xA5, 64);
	/* FLD m64 [0x10], FNSTENV [0x400]: 16-bit */
	RIG_LOAD(rig, 0xD9, 0xEE, 0xDD, 0x06, 0x10, 0x00, 0xD9, 0x36, 0x00, 0x04, HLT);
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_HALTED);
	assert_int_equal(word16(rig, OUT), 0x037F);
	assert_int_equal(word16(rig, OUT + 6), (RIG_CODE + 2) & 0xFFFF);
	assert_int_equal(word16(rig, OUT + 8), (RIG_CODE >> 16) << 12 | 0x506); /* DD 06 */
	assert_int_equal(word16(rig, OUT + 10), (RIG_DATA + 0x10) & 0xFFFF);
	assert_int_equal(word16(rig, OUT + 12), (RIG_DATA >> 16) << 12);
	assert_int_equal(word16(rig, OUT + 14), 0xA5A5);
	rig_real(rig);
	memset(rig->ram + OUT, 0xA5, 64);
	RIG_LOAD(rig, 0xD9, 0xEE, 0xDD, 0x06, 0x10, 0x00, 0x66, 0xD9, 0x36, 0x00, 0x04, HLT);
	assert_int_equal(rig_run(rig, BUDGET), CPU_EXIT_HALTED);
	assert_int_equal(rig_word(rig, OUT + 4), 0xFFFF0000 | 6 << 11);
	assert_int_equal(rig_word(rig, OUT + 12), 0xFFFF0000 | ((RIG_CODE + 2) & 0xFFFF));
	assert_int_equal(rig_word(rig, OUT + 16), (RIG_CODE >> 16) << 12 | 0x506);
	assert_int_equal(rig_word(rig, OUT + 20), 0xFFFF0000 | ((RIG_DATA + 0x10) & 0xFFFF));
	assert_int_equal(rig_word(rig, OUT + 24), (RIG_DATA >> 16) << 12);
	assert_int_equal(rig_word(rig, OUT + 28), 0xA5A5A5A5);
}

static void save_and_restore_bring_everything_back(void **state)
{
	struct rig *rig = *state;

	for (unsigned narrow = 0; narrow < 2; narrow++) {
		uint8_t prefix = narrow ? 0x66 : 0x3E; /* or a segment prefix, which changes nothing */
		rig_flat(rig, 0);
		set_bytes(rig, RIG_DATA, &infinity_value, 8);
		/* state, FLDPI, FNSAVE, FLDZ, FRSTOR, FNSAVE elsewhere */
		RIG_LOAD(rig, SOME_STATE, 0xD9, 0xEB, prefix, 0xDD, 0x35, A32(OUT), 0xD9, 0xEE, prefix, 0xDD, 0x25,
		         A32(OUT), prefix, 0xDD, 0x35, A32(OUT + 256), HLT);
		run(rig);
		assert_memory_equal(rig->ram + OUT, rig->ram + OUT + 256, narrow ? 94 : 108);
		assert_int_equal(word16(rig, OUT + (narrow ? 2 : 4)) >> 11 & 7, 3);
	}
}

static void fnsave_leaves_the_state_of_fninit(void **state)
{
	struct rig *rig = *state;

	RIG_LOAD(rig, 0xD9, 0xE8, 0xDD, 0x35, A32(OUT), 0xD9, 0x35, A32(OUT + 256), HLT);
	run(rig);
	assert_int_equal(rig_word(rig, OUT + 256), 0xFFFF037F);
	assert_int_equal(rig_word(rig, OUT + 260), 0xFFFF0000);
	assert_int_equal(rig_word(rig, OUT + 264), 0xFFFFFFFF);
	assert_int_equal(rig_word(rig, OUT + 268), 0);
	assert_int_equal(rig_word(rig, OUT + 276), 0);
}

static void fldenv_moves_the_top_and_leaves_the_registers(void **state)
{
	struct rig *rig = *state;

	/* R7 = pi, R6 = 1: TOP 6.  An environment with TOP 7 makes pi the top. */
	RIG_LOAD(rig, 0xD9, 0xEB, 0xD9, 0xE8, 0xD9, 0x35, A32(OUT), /* FLDPI FLD1 FNSTENV */
	         0x66, 0xC7, 0x05, A32(OUT + 4), 0x00, 0x38,        /* MOV word [OUT+4], 7 << 11 */
	         0xD9, 0x25, A32(OUT), 0xDD, 0x15, A32(OUT + 64), HLT); /* FLDENV, FST m64 */
	run(rig);
	assert_true(number(rig, OUT + 64) > 3.14159 && number(rig, OUT + 64) < 3.14160);
}

/* ---- 2. FXSAVE ------------------------------------------------------------------------------ */

static void fxsave_has_its_layout_and_leaves_the_rest_alone(void **state)
{
	struct rig *rig = *state;
	uint64_t words[2] = { 0x0123456789ABCDEF, 0xFEDCBA9876543210 };

	set_bytes(rig, RIG_DATA, words, 16);
	memset(rig->ram + OUT, 0xA5, 512);
	/* MOVUPS xmm5, FLD1, FLDZ, FLD m64, FXSAVE */
	RIG_LOAD(rig, 0x0F, 0x10, 0x2D, DATA, 0xD9, 0xE8, 0xD9, 0xEE, 0xDD, 0x05, DATA, 0x0F, 0xAE, 0x05, A32(OUT),
	         HLT);
	run(rig);
	assert_int_equal(word16(rig, OUT), 0x037F);
	assert_int_equal(word16(rig, OUT + 2), 5 << 11);
	assert_int_equal(word16(rig, OUT + 4), 0xE0); /* R5-R7 */
	assert_int_equal(word16(rig, OUT + 6), 0x505);
	assert_int_equal(rig_word(rig, OUT + 8), RIG_CODE + 11);
	assert_int_equal(rig_word(rig, OUT + 12), RIG_CODE0);
	assert_int_equal(rig_word(rig, OUT + 16), RIG_DATA);
	assert_int_equal(rig_word(rig, OUT + 20), RIG_DATA0);
	assert_int_equal(rig_word(rig, OUT + 24), 0x1F80);
	assert_int_equal(rig_word(rig, OUT + 28), 0xFFFF);
	assert_int_equal(rig_word(rig, OUT + 32 + 32 + 4), 0x80000000); /* ST(2) is 1 */
	assert_int_equal(rig_word(rig, OUT + 32 + 32 + 8), 0x3FFF);
	assert_memory_equal(rig->ram + OUT + 160 + 5 * 16, words, 16);
	for (unsigned n = 288; n < 512; n++)
		assert_int_equal(rig->ram[OUT + n], 0xA5);
}

static void fxrstor_brings_back_what_fxsave_saved(void **state)
{
	struct rig *rig = *state;
	uint64_t words[2] = { 0x0123456789ABCDEF, 0xFEDCBA9876543210 };

	set_bytes(rig, RIG_DATA, words, 16);
	/* MOVUPS xmm5, FLD1, FXSAVE, FNINIT, XORPS xmm5, FXRSTOR, FXSAVE elsewhere */
	RIG_LOAD(rig, 0x0F, 0x10, 0x2D, DATA, 0xD9, 0xE8, 0x0F, 0xAE, 0x05, A32(OUT), 0xDB, 0xE3, 0x0F, 0x57, 0xED,
	         0x0F, 0xAE, 0x0D, A32(OUT), 0x0F, 0xAE, 0x05, A32(OUT + 512), HLT);
	run(rig);
	assert_memory_equal(rig->ram + OUT, rig->ram + OUT + 512, 288);
}

/* ---- 3. MMX --------------------------------------------------------------------------------- */

static void mmx_registers_are_the_x87_ones_by_number(void **state)
{
	struct rig *rig = *state;
	struct cpu_state s;

	if (!host_fpu_is_exact())
		skip();
	rig->cpu->gpr[CPU_EAX] = 0x89ABCDEF;
	/* FLDPI (R7), FLD1 (R6); MOVD mm2, eax; MOVQ [OUT], mm7 */
	RIG_LOAD(rig, 0xD9, 0xEB, 0xD9, 0xE8, 0x0F, 0x6E, 0xD0, 0x0F, 0x7F, 0x3D, A32(OUT), HLT);
	run(rig);
	assert_int_equal(rig_word(rig, OUT), 0x2168C235); /* pi's significand */
	assert_int_equal(rig_word(rig, OUT + 4), 0xC90FDAA2);
	cpu_get_state(rig->cpu, &s);
	assert_int_equal(s.fxsave[3] >> 3 & 7, 0);  /* TOP */
	assert_int_equal(s.fxsave[4], 0xFF);
	assert_memory_equal(s.fxsave + 32 + 2 * 16, ((uint8_t[]){ 0xEF, 0xCD, 0xAB, 0x89, 0, 0, 0, 0, 0xFF, 0xFF }), 10);
	/* The x87 sees it: a NaN with that significand. */
	RIG_LOAD(rig, 0xD9, 0xC2, 0xDB, 0x3D, A32(OUT), 0x0F, 0x77, HLT); /* FLD ST(2), FSTP m80, EMMS */
	cpu_get_state(rig->cpu, &s);
	s.eip = RIG_CODE;
	s.halted = false;
	s.fxsave[4] = 0x7F; /* room for it */
	cpu_set_state(rig->cpu, &s);
	run(rig);
	assert_int_equal(rig_word(rig, OUT), 0x89ABCDEF);
	assert_int_equal(word16(rig, OUT + 8), 0xFFFF);
	cpu_get_state(rig->cpu, &s);
	assert_int_equal(s.fxsave[4], 0); /* EMMS: all empty */
}

/* ---- 4. The host ---------------------------------------------------------------------------- */

/* sum = sum + x * x (x87) and the same in SSE2, ten times over a table; results at OUT and OUT + 8. */
static void load_sums(struct rig *rig)
{
	double table[10];

	for (unsigned n = 0; n < 10; n++)
		table[n] = 1.0 / (n + 3);
	set_bytes(rig, RIG_DATA, table, sizeof(table));
	rig->cpu->gpr[CPU_EBX] = RIG_DATA;
	rig->cpu->gpr[CPU_ECX] = 10;
	RIG_LOAD(rig, 0xD9, 0xEE, 0x66, 0x0F, 0x57, 0xC0,       /* FLDZ, XORPD xmm0, xmm0 */
	         0xDD, 0x03, 0xDC, 0x0B, 0xDE, 0xC1,            /* 6: FLD, FMUL m64, FADDP */
	         0xF2, 0x0F, 0x10, 0x0B, 0xF2, 0x0F, 0x59, 0xC9, /* MOVSD, MULSD */
	         0xF2, 0x0F, 0x58, 0xC1, 0x83, 0xC3, 0x08, 0x49, /* ADDSD, ADD ebx, 8, DEC ecx */
	         0x75, (uint8_t)-24,                            /* JNZ 6 */
	         0xDD, 0x1D, A32(OUT), 0xF2, 0x0F, 0x11, 0x05, A32(OUT + 8), HLT);
}

static double expected_sum(void)
{
	long double sum = 0;

	for (unsigned n = 0; n < 10; n++)
		sum += (long double)(1.0 / (n + 3)) * (1.0 / (n + 3));
	return (double)sum;
}

static void check_host_is_clean(void)
{
#if defined(__x86_64__)
	uint16_t fcw;
	struct { uint16_t w[14]; } env;

	__asm__ volatile("fnstcw %0; fnstenv %1; fldcw %0" : "=m"(fcw), "=m"(env));
	assert_int_equal(fcw, 0x037F);
	assert_int_equal(env.w[4], 0xFFFF); /* all empty */
	assert_int_equal(_mm_getcsr() & 0xFFC0u, 0x1F80);
#endif
}

static void the_host_gets_its_state_back_after_every_run(void **state)
{
	struct rig *rig = *state;
	double whole;
	enum cpu_exit why;

	load_sums(rig);
	run(rig);
	check_host_is_clean();
	whole = number(rig, OUT);
	assert_true(whole == expected_sum());
	/* One instruction at a time, with the host's own arithmetic in between. */
	rig_flat(rig, 0);
	load_sums(rig);
	memset(rig->ram + OUT, 0, 16);
	for (unsigned n = 0; n < BUDGET; n++) {
		why = cpu_run(rig->cpu, 1);
		check_host_is_clean();
		assert_true(expected_sum() == whole);
		if (why != CPU_EXIT_BUDGET)
			break;
	}
	assert_int_equal(why, CPU_EXIT_HALTED);
	assert_true(number(rig, OUT) == whole);
	assert_true(number(rig, OUT + 8) > whole * 0.999999 && number(rig, OUT + 8) < whole * 1.000001);
}

static void the_guests_rounding_stays_the_guests(void **state)
{
	struct rig *rig = *state;
	uint32_t up = 0x5F80; /* MXCSR: round up */
	uint16_t control = 0x0B7F;
	double one = 1, three = 3;
	volatile double host = 1;

	if (!host_fpu_is_exact())
		skip();
	set_bytes(rig, RIG_DATA, &up, 4);
	set_bytes(rig, RIG_DATA + 4, &control, 2);
	set_bytes(rig, RIG_DATA + 8, &one, 8);
	set_bytes(rig, RIG_DATA + 16, &three, 8);
	/* LDMXCSR, FLDCW; MOVSD, DIVSD; FLD, FDIV */
	RIG_LOAD(rig, 0x0F, 0xAE, 0x15, DATA, 0xD9, 0x2D, A32(RIG_DATA + 4), 0xF2, 0x0F, 0x10, 0x05,
	         A32(RIG_DATA + 8), 0xF2, 0x0F, 0x5E, 0x05, A32(RIG_DATA + 16), 0xF2, 0x0F, 0x11, 0x05, A32(OUT),
	         0xDD, 0x05, A32(RIG_DATA + 8), 0xDC, 0x35, A32(RIG_DATA + 16), 0xDD, 0x1D, A32(OUT + 8),
	         0x0F, 0xAE, 0x1D, A32(OUT + 16), HLT);
	run(rig);
	host /= 3;
	assert_true(number(rig, OUT) > host && number(rig, OUT + 8) > host);
	assert_int_equal(rig_word(rig, OUT + 16), 0x5FA0); /* inexact */
	check_host_is_clean();
}

static unsigned reads;
static uint64_t device(void *user, um_gpa gpa, unsigned bytes)
{
	double v = 2.5;
	uint64_t bits;

	(void)user, (void)gpa, (void)bytes;
	reads++;
	check_host_is_clean();
	assert_true(expected_sum() > 0); /* spoils x87 registers that are not the host's */
	memcpy(&bits, &v, 8);
	return bits;
}

static void devices_run_with_the_hosts_state(void **state)
{
	struct rig *rig = *state;
	double v;

	rig->cpu->bus.mmio_read = device;
	reads = 0;
	/* FLDPI, FLD1, FADD m64 (device), FSTP m64 (device), FSTP OUT */
	RIG_LOAD(rig, 0xD9, 0xEB, 0xD9, 0xE8, 0xDC, 0x05, A32(RIG_MMIO), 0xDD, 0x1D, A32(RIG_MMIO + 8), 0xDD, 0x1D,
	         A32(OUT), HLT);
	run(rig);
	assert_int_equal(reads, 1);
	memcpy(&v, &rig->mmio_written, 8);
	assert_true(v == 3.5);
	assert_true(number(rig, OUT) > 3.14159 && number(rig, OUT) < 3.14160);
}

static void two_processors_do_not_share_a_state(void **state)
{
	struct rig *a = *state, *b = rig_new(0);
	bool more_a = true, more_b = true;

	load_sums(a);
	load_sums(b);
	for (unsigned n = 0; n < BUDGET && (more_a || more_b); n++) {
		if (more_a)
			more_a = cpu_run(a->cpu, 1) == CPU_EXIT_BUDGET;
		if (more_b && n % 3)
			more_b = cpu_run(b->cpu, 2) == CPU_EXIT_BUDGET;
	}
	assert_true(number(a, OUT) == expected_sum());
	assert_true(number(b, OUT) == expected_sum());
	rig_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(environment_32_bit_protected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(environment_16_bit_protected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(environment_real_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(save_and_restore_bring_everything_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fnsave_leaves_the_state_of_fninit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fldenv_moves_the_top_and_leaves_the_registers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fxsave_has_its_layout_and_leaves_the_rest_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(fxrstor_brings_back_what_fxsave_saved, set_up, tear_down),
		cmocka_unit_test_setup_teardown(mmx_registers_are_the_x87_ones_by_number, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_host_gets_its_state_back_after_every_run, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_guests_rounding_stays_the_guests, set_up, tear_down),
		cmocka_unit_test_setup_teardown(devices_run_with_the_hosts_state, set_up, tear_down),
		cmocka_unit_test_setup_teardown(two_processors_do_not_share_a_state, set_up, tear_down),
	};

	if (!fpu_features()) {
		puts("1..0 # SKIP this host has no x87 to lend to the guest");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
