/* SPDX-License-Identifier: MIT */
/*
 * tests/differential/instructions.c - the host's processor judges umbra's, instruction by instruction.
 *
 *   1. A trial
 *   2. Comparing    one case, one batch (what is not compared: masks.h)
 *   3. Reporting    a difference, with all that reproduces it
 *   4. Running      a group of opcode forms
 *   5. The groups   one test each
 *
 * Every opcode form of tests/lib/native_forms.c runs on random states on both; registers, flags, FXSAVE
 * state, memory, and exceptions with error code and address must agree.  Environment:
 *
 *   UMBRA_DIFF_SEED=n      another seed (the default is fixed, and printed)
 *   UMBRA_DIFF_PASSES=n    go through all forms n times (default 1)
 *   UMBRA_DIFF_BATCH=name  one batch only, by the name that a difference was reported under
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/internal.h"
#include "tests/differential/masks.h"
#include "tests/lib/native_guest.h"
#include "tests/lib/native_states.h"
#include "tests/lib/tap.h"

/* ---- 1. A trial ----------------------------------------------------------------------------- */

enum {
	CASES = 16,         /* of a batch: states for the same bytes at the same place */
	GUESTS = 8,         /* sets of optimisations */
	REPORTS = 12,       /* differences printed in full, by group */
	REPORTS_OF_A_KIND = 2,
	SEQUENCES = 30000, /* in a pass */
};

struct trial {
	struct native *native;
	struct native_guest *guests[GUESTS];
	unsigned guest; /* of this batch */
	uint64_t seed, states, differences;
	unsigned passes;
	const char *only;
	struct native_batch_plan plan;
	struct native_batch expected, got;
	uint8_t data[NATIVE_DATA_BYTES];
	char name[64];  /* of the batch */
	unsigned reported[ZYDIS_MNEMONIC_MAX_VALUE + 1], reports;
};

/* All optimisations, none, and each alone (as far as it can be). */
static const uint32_t guest_options[GUESTS] = {
	CPU_OPT_ALL, 0, CPU_OPT_BLOCKS, CPU_OPT_BLOCKS | CPU_OPT_CHAIN, CPU_OPT_BLOCKS | CPU_OPT_FUSE, CPU_OPT_TLB,
	CPU_OPT_STRINGS, CPU_OPT_FLAT,
};

/* ---- 2. Comparing --------------------------------------------------------------------------- */

static bool pushes_error(uint32_t vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

/* Linux makes 0 of FS = 1, 2, 3 when it switches threads. */
static uint16_t usual_null(uint16_t selector)
{
	return selector > 3 ? selector : 0;
}

/* What differs between two outcomes of a case: a word, or NULL. */
static const char *difference(const struct native_batch_plan *plan, unsigned i, const struct native_case *want,
                              const struct native_case *have)
{
	const struct native_regs *a = &want->out, *b = &have->out;
	const struct native_form *form = &plan->form;
	/* Bit 4, "instruction fetch", is there only with PAE and NXE (SDM vol. 3, 4.7). */
	uint32_t error = a->vector == EXC_PF ? ~(uint32_t)UM_FETCH : ~0u;
	uint32_t flags = a->vector == NATIVE_NO_VECTOR ? flags_mask(form, &want->in) : ~0u;

	if (a->vector != b->vector && either_fault(form, a, b))
		return NULL;
	if (a->vector != b->vector && !same_class(form, plan->ea[i], a->vector, b->vector))
		return "exception";
	if (a->eip != b->eip)
		return "eip";
	if (a->vector != NATIVE_NO_VECTOR && pushes_error(a->vector) && ((a->error ^ b->error) & error))
		return "error code";
	if (a->vector == EXC_PF && a->cr2 != b->cr2 && !cr2_undefined(form))
		return "cr2";
	if (memcmp(a->gpr, b->gpr, sizeof a->gpr) && !result_undefined(form, &want->in) &&
	    !(registers_undefined(form, a->vector) && a->gpr[CPU_ESP] == b->gpr[CPU_ESP]))
		return "registers";
	if ((a->eflags ^ b->eflags) & flags & ~plan->undefined)
		return "flags";
	if (a->es != b->es || a->ss != b->ss || a->ds != b->ds || usual_null(a->fs) != usual_null(b->fs))
		return "segment registers";
	return NULL;
}

static const char *difference_fx(const struct native_form *form, struct native_case *want, struct native_case *have)
{
	bool mmx = mmx_mode_undefined(form, want->out.vector);

	mask_image(want->fx_out);
	mask_image(have->fx_out);
	if (mmx) /* TOP and tags */
		memcpy(have->fx_out + 3, want->fx_out + 3, 2);
	if (memcmp(want->fx_out, have->fx_out, 24))
		return "x87 control, status or tags";
	if (memcmp(want->fx_out + 24, have->fx_out + 24, 4))
		return "MXCSR";
	if (!mmx && memcmp(want->fx_out + 32, have->fx_out + 32, 128))
		return "x87 registers";
	return memcmp(want->fx_out + 160, have->fx_out + 160, 128) ? "XMM registers" : NULL;
}

/* Make bytes equal that need not be. */
static void forgive(struct trial *r, uint32_t linear, uint32_t bytes)
{
	const uint8_t *native = native_data(r->native);
	uint8_t *umbra = guest_data(r->guests[r->guest]);

	for (uint32_t at = linear - NATIVE_DATA; bytes; at++, bytes--)
		if (at < NATIVE_DATA_BYTES && native_data_pages[at / 4096] == 'w')
			umbra[at] = native[at];
}

static void forgive_stores(struct trial *r)
{
	const struct native_form *form = &r->plan.form;
	uint32_t first, bytes;

	for (unsigned i = 0; form->known && i < r->expected.count; i++)
		if (masked_store(form, &first, &bytes)) {
			forgive(r, r->plan.ea[i] + first, bytes);
			forgive(r, r->plan.ea[i] + 0x10000 + first, bytes); /* a stack of 16 bits wraps */
		} else if (registers_undefined(form, r->expected.cases[i].out.vector)) {
			forgive(r, r->plan.ea[i] - 32, 32);
			forgive(r, r->plan.ea[i] + 0x10000 - 32, 32);
		} else if (result_undefined(form, &r->expected.cases[i].in)) {
			forgive(r, r->plan.ea[i], 4);
		}
}

/* Offset of the first byte that differs, or -1. */
static int64_t difference_memory(struct trial *r)
{
	const uint8_t *a = native_data(r->native), *b = guest_data(r->guests[r->guest]);

	forgive_stores(r);
	for (uint32_t page = 0; native_data_pages[page]; page++) {
		if (native_data_pages[page] == '-' || !memcmp(a + 4096 * page, b + 4096 * page, 4096))
			continue;
		for (uint32_t i = 4096 * page;; i++)
			if (a[i] != b[i])
				return i;
	}
	return -1;
}

/* ---- 3. Reporting --------------------------------------------------------------------------- */

static void print_instruction(const struct trial *r)
{
	const struct native_form *form = &r->plan.form;
	char text[128] = "";
	ZydisFormatter formatter;

	if (form->known && ZYAN_SUCCESS(ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL)))
		ZydisFormatterFormatInstruction(&formatter, &form->z, form->op, form->z.operand_count_visible,
		                                text, sizeof text, r->expected.eip, NULL);
	print_message("# batch %s, options 0x%X, %u-bit code at %08X:", r->name, guest_options[r->guest],
	              form->code16 ? 16 : 32, r->expected.eip);
	for (unsigned i = 0; i < form->length; i++)
		print_message(" %02X", form->bytes[i]);
	print_message("  %s\n", text);
}

static void print_regs(const char *title, const struct native_regs *x)
{
	print_message("#   %-6s eax=%08X ecx=%08X edx=%08X ebx=%08X esp=%08X ebp=%08X esi=%08X edi=%08X\n"
	              "#          flags=%06X es=%04X ss=%04X ds=%04X fs=%04X",
	              title, x->gpr[0], x->gpr[1], x->gpr[2], x->gpr[3], x->gpr[4], x->gpr[5], x->gpr[6],
	              x->gpr[7], x->eflags, x->es, x->ss, x->ds, x->fs);
	if (x->vector == NATIVE_NO_VECTOR)
		print_message(" %s\n", x->eip ? "branched" : "went on");
	else
		print_message(" vector=%d error=%X cr2=%08X eip=%08X\n", (int)x->vector, x->error, x->cr2, x->eip);
}

static void print_bytes(const char *title, const uint8_t *image, unsigned from, unsigned to)
{
	print_message("#   %-6s", title);
	for (unsigned i = from; i < to; i++)
		print_message("%s%02X", i % 16 && i != from ? "" : " ", image[i]);
	print_message("\n");
}

static void print_fx(const struct native_case *want, const struct native_case *have)
{
	static const struct { const char *name; unsigned from, to; } parts[] = {
		{ "x87", 0, 6 }, { "mxcsr", 24, 28 }, { "st", 32, 160 }, { "xmm", 160, 288 },
	};

	for (unsigned i = 0; i < 4; i++) {
		unsigned from = parts[i].from, to = parts[i].to;

		if (i >= 2 && !memcmp(want->fx_out + from, have->fx_out + from, to - from))
			continue;
		print_message("#   %s:\n", parts[i].name);
		print_bytes("before", want->fx_in, from, to);
		print_bytes("host", want->fx_out, from, to);
		print_bytes("umbra", have->fx_out, from, to);
	}
}

static void print_case(const struct trial *r, unsigned i)
{
	print_regs("before", &r->expected.cases[i].in);
	print_regs("host", &r->expected.cases[i].out);
	print_regs("umbra", &r->got.cases[i].out);
}

/* Is this one to be printed?  Only the first few of a kind are. */
static bool worth_a_report(struct trial *r)
{
	unsigned *kind = &r->reported[r->plan.form.known ? r->plan.form.z.mnemonic : 0];

	r->differences++;
	if (!r->only && (*kind >= REPORTS_OF_A_KIND || r->reports >= REPORTS))
		return false;
	++*kind;
	r->reports++;
	print_instruction(r);
	return true;
}

static void report(struct trial *r, unsigned i, const char *what)
{
	if (!worth_a_report(r))
		return;
	print_message("#   case %u differs in %s; operand at %08X\n", i, what, r->plan.ea[i]);
	print_case(r, i);
	if (r->expected.fx)
		print_fx(&r->expected.cases[i], &r->got.cases[i]);
}

static void report_memory(struct trial *r, int64_t at)
{
	unsigned bytes = 16 - (unsigned)at % 16;

	if (!worth_a_report(r))
		return;
	print_message("#   memory differs at %08X\n", (unsigned)(NATIVE_DATA + at));
	print_bytes("before", r->data + at, 0, bytes);
	print_bytes("host", native_data(r->native) + at, 0, bytes);
	print_bytes("umbra", guest_data(r->guests[r->guest]) + at, 0, bytes);
	for (unsigned i = 0; i < r->expected.count; i++)
		if (NATIVE_DATA + (uint32_t)at - r->plan.ea[i] + 64 < 640) {
			print_message("#   perhaps case %u, operand at %08X\n", i, r->plan.ea[i]);
			print_case(r, i);
			return;
		}
}

/* ---- 4. Running ----------------------------------------------------------------------------- */

static void put_data(uint8_t *to, const uint8_t *from)
{
	for (uint32_t page = 0; native_data_pages[page]; page++)
		if (native_data_pages[page] == 'w')
			memcpy(to + 4096 * page, from + 4096 * page, 4096);
}

static void compare_batch(struct trial *r)
{
	int64_t at;

	for (unsigned i = 0; i < r->expected.count; i++) {
		const char *what = difference(&r->plan, i, &r->expected.cases[i], &r->got.cases[i]);

		if (!what && r->expected.fx)
			what = difference_fx(&r->plan.form, &r->expected.cases[i], &r->got.cases[i]);
		if (what) {
			report(r, i, what);
			return; /* later cases may follow from this one */
		}
		if (result_undefined(&r->plan.form, &r->expected.cases[i].in) && r->plan.ea[i])
			return; /* ... or from what this one left in memory */
	}
	at = difference_memory(r);
	if (at >= 0)
		report_memory(r, at);
}

/* Each batch has a seed of its own, from its name: it can be run alone. */
static uint64_t batch_seed(const struct trial *r)
{
	uint64_t seed = r->seed;

	for (const char *p = r->name; *p; p++)
		seed = (seed ^ (uint8_t)*p) * 0x100000001B3u;
	return seed;
}

/* The plan is drawn: run it on both. */
static void run_plan(struct trial *r)
{
	struct native_guest *g = r->guests[r->guest];
	const char *why;

	r->got = r->expected;
	memcpy(native_code(r->native), r->plan.code, NATIVE_CODE_BYTES);
	memcpy(guest_code(g), r->plan.code, NATIVE_CODE_BYTES);
	guest_code_written(g);
	put_data(native_data(r->native), r->data);
	put_data(guest_data(g), r->data);
	native_run(r->native, &r->expected);
	r->states += CASES;
	if (guest_run(g, &r->got, &why))
		compare_batch(r);
	else if (worth_a_report(r))
		print_message("#   %s\n", why);
}

static void begin_batch(struct trial *r, struct native_rng *rng, enum native_group group, unsigned pass, size_t i)
{
	snprintf(r->name, sizeof r->name, "%d.%u.%zu", (int)group, pass, i);
	rng_seed(rng, batch_seed(r));
	r->guest = rng_one_in(rng, 4) ? rng_below(rng, GUESTS) : 0;
}

static bool wanted(const struct trial *r)
{
	return !r->only || !strcmp(r->only, r->name);
}

/* Where everything is slow, every n-th form. */
static size_t stride(void)
{
	return 100 / test_rounds(100);
}

static void begin_group(struct trial *r)
{
	r->differences = r->states = r->reports = 0;
	assert_true(native_arm(r->native));
}

static void end_group(struct trial *r, const char *name, size_t forms)
{
	native_disarm(r->native);
	print_message("# %s: %zu opcode forms, %llu states, %llu batches differ\n", name, forms,
	              (unsigned long long)r->states, (unsigned long long)r->differences);
	assert_true(forms > 0);
	assert_int_equal(r->differences, 0);
}

static void run_group(void **state, enum native_group group)
{
	struct trial *r = *state;
	struct native_recipe *recipes;
	struct native_rng rng;
	size_t count;

	if (!r)
		skip();
	recipes = forms_of_group(group, &count);
	begin_group(r);
	for (unsigned pass = 0; pass < r->passes; pass++)
		for (size_t i = pass % stride(); i < count; i += stride()) {
			begin_batch(r, &rng, group, pass, i);
			if (!wanted(r))
				continue;
			form_draw(&r->plan.form, &recipes[i], &rng);
			states_draw(&r->plan, &rng, CASES);
			run_plan(r);
		}
	free(recipes);
	end_group(r, native_group_names[group], count);
}

static void sequences_agree_with_the_host(void **state)
{
	struct trial *r = *state;
	struct native_pool pool;
	struct native_rng rng;

	if (!r)
		skip();
	assert_true(sequence_pool(&pool));
	begin_group(r);
	for (unsigned pass = 0; pass < r->passes; pass++)
		for (size_t i = 0; i < SEQUENCES; i += stride()) {
			begin_batch(r, &rng, GROUP_SEQUENCE, pass, i);
			if (!wanted(r))
				continue;
			sequence_draw(&r->plan, &pool, &rng, CASES);
			run_plan(r);
		}
	free(pool.recipes);
	end_group(r, "sequences", pool.count);
}

/* ---- 5. The groups -------------------------------------------------------------------------- */

static int open_trial(void **state)
{
	struct trial *r = calloc(1, sizeof *r);
	const char *why, *text;

	assert_non_null(r);
	*state = NULL;
	r->native = native_open(&why);
	if (!r->native) {
		print_message("# skipped: %s\n", why);
		free(r);
		return 0;
	}
	text = getenv("UMBRA_DIFF_SEED");
	r->seed = text ? strtoull(text, NULL, 0) : 20250101;
	text = getenv("UMBRA_DIFF_PASSES");
	r->passes = text && atoi(text) > 0 ? (unsigned)atoi(text) : 1;
	r->only = getenv("UMBRA_DIFF_BATCH");
	r->plan.batch = &r->expected;
	r->plan.data = r->data;
	for (unsigned i = 0; i < GUESTS; i++) {
		r->guests[i] = guest_new(guest_options[i]);
		assert_non_null(r->guests[i]);
	}
	print_message("# UMBRA_DIFF_SEED=%llu UMBRA_DIFF_PASSES=%u\n", (unsigned long long)r->seed, r->passes);
	*state = r;
	return 0;
}

static int close_trial(void **state)
{
	struct trial *r = *state;
	const char *broken = NULL;

	if (!r)
		return 0;
	for (unsigned i = 0; i < GUESTS; i++) {
		const char *text = guest_free(r->guests[i]);

		broken = text ? text : broken;
	}
	native_close(r->native);
	free(r);
	if (broken)
		print_message("# broken invariant of the core: %s\n", broken);
	return broken ? -1 : 0;
}

#define GROUP(name, group) \
	static void name(void **state) { run_group(state, group); }

GROUP(arithmetic_agrees_with_the_host, GROUP_ARITHMETIC)
GROUP(logic_agrees_with_the_host, GROUP_LOGIC)
GROUP(shifts_and_rotates_agree_with_the_host, GROUP_SHIFT)
GROUP(multiply_and_divide_agree_with_the_host, GROUP_MULTIPLY)
GROUP(decimal_adjust_agrees_with_the_host, GROUP_DECIMAL)
GROUP(bit_tests_and_scans_agree_with_the_host, GROUP_BITS)
GROUP(moves_and_conversions_agree_with_the_host, GROUP_MOVE)
GROUP(setcc_and_cmovcc_agree_with_the_host, GROUP_CONDITION)
GROUP(exchanges_agree_with_the_host, GROUP_SEMAPHORE)
GROUP(stack_operations_agree_with_the_host, GROUP_STACK)
GROUP(string_operations_agree_with_the_host, GROUP_STRING)
GROUP(near_branches_agree_with_the_host, GROUP_BRANCH)
GROUP(flag_operations_agree_with_the_host, GROUP_FLAGS)
GROUP(segment_loads_agree_with_the_host, GROUP_SEGMENT)
GROUP(forbidden_instructions_fault_as_on_the_host, GROUP_PRIVILEGED)
GROUP(x87_agrees_with_the_host, GROUP_X87)
GROUP(floating_point_state_agrees_with_the_host, GROUP_FPU_STATE)
GROUP(mmx_agrees_with_the_host, GROUP_MMX)
GROUP(sse_agrees_with_the_host, GROUP_SSE)
GROUP(sse2_agrees_with_the_host, GROUP_SSE2)
GROUP(undefined_opcodes_fault_as_on_the_host, GROUP_UNDEFINED)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arithmetic_agrees_with_the_host),
		cmocka_unit_test(logic_agrees_with_the_host),
		cmocka_unit_test(shifts_and_rotates_agree_with_the_host),
		cmocka_unit_test(multiply_and_divide_agree_with_the_host),
		cmocka_unit_test(decimal_adjust_agrees_with_the_host),
		cmocka_unit_test(bit_tests_and_scans_agree_with_the_host),
		cmocka_unit_test(moves_and_conversions_agree_with_the_host),
		cmocka_unit_test(setcc_and_cmovcc_agree_with_the_host),
		cmocka_unit_test(exchanges_agree_with_the_host),
		cmocka_unit_test(stack_operations_agree_with_the_host),
		cmocka_unit_test(string_operations_agree_with_the_host),
		cmocka_unit_test(near_branches_agree_with_the_host),
		cmocka_unit_test(flag_operations_agree_with_the_host),
		cmocka_unit_test(segment_loads_agree_with_the_host),
		cmocka_unit_test(forbidden_instructions_fault_as_on_the_host),
		cmocka_unit_test(x87_agrees_with_the_host),
		cmocka_unit_test(floating_point_state_agrees_with_the_host),
		cmocka_unit_test(mmx_agrees_with_the_host),
		cmocka_unit_test(sse_agrees_with_the_host),
		cmocka_unit_test(sse2_agrees_with_the_host),
		cmocka_unit_test(undefined_opcodes_fault_as_on_the_host),
		cmocka_unit_test(sequences_agree_with_the_host),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, open_trial, close_trial);
}
