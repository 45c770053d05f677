/* SPDX-License-Identifier: MIT */
/*
 * tests/guests/robust_code.c - random bytes as code, in every mode: the engine and the core live through it.
 *
 *   1. Where to start
 *   2. The modes
 *   3. Tests
 *
 * ROBUST_SEEDS=n ROBUST_FIRST=n run other seeds; what must hold is in tests/lib/robust.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/robust.h"

/* ---- 1. Where to start ---------------------------------------------------------------------- */

static struct cpu_segment flat(unsigned selector, bool code)
{
	unsigned dpl = selector & 3;

	return (struct cpu_segment){ (uint16_t)selector, (uint16_t)(0xC093u | dpl << 5 | (code ? 8 : 0)), 0,
	                             0xFFFFFFFFu };
}

static void random_registers(struct robust *r, struct cpu_state *s)
{
	for (unsigned i = 0; i < 8; i++)
		s->gpr[i] = rng_one_in(&r->rng, 2) ? rng_value(&r->rng) : rng_below(&r->rng, ROBUST_RAM);
	s->gpr[CPU_ESP] = ROBUST_STACK;
	s->eip = ROBUST_CODE + rng_below(&r->rng, 64);
}

/* Identity, for the ring that is to run there. */
static void map_identity(struct robust *r, uint32_t rights)
{
	robust_put32(r, ROBUST_DIRECTORY, ROBUST_TABLES | 7);
	for (uint32_t page = 0; page < 1024; page++)
		robust_put32(r, ROBUST_TABLES + 4 * page,
		             page << 12 | (rng_one_in(&r->rng, 32) ? (uint32_t)rng_next(&r->rng) & 0xFFF : rights));
	/* Some more, of which nobody knows where they lead. */
	for (uint32_t n = 1 + rng_below(&r->rng, 1022), left = 16; left--; n = (n + 37) % 1023 + 1)
		robust_put32(r, ROBUST_DIRECTORY + 4 * n, (uint32_t)rng_next(&r->rng) % ROBUST_RAM);
}

static void protected_mode(struct robust *r, struct cpu_state *s, unsigned ring)
{
	random_registers(r, s);
	robust_descriptors(r, s);
	robust_code(r, ROBUST_CODE, ROBUST_CODE_BYTES);
	robust_fill(r, 0x10000, 0x4000);
	for (unsigned seg = 0; seg < 6; seg++)
		s->seg[seg] = flat(seg == CPU_CS ? (ring ? 0x1B : 8) : ring ? 0x23 : 0x10, seg == CPU_CS);
	s->cr0 = CR0_PE | CR0_ET | (rng_one_in(&r->rng, 2) ? CR0_NE | CR0_WP : 0) |
	         (rng_one_in(&r->rng, 4) ? CR0_AM : 0);
	s->cr3 = ROBUST_DIRECTORY;
	s->cr4 = CR4_OSFXSR | (rng_one_in(&r->rng, 2) ? CR4_PSE | CR4_PGE : 0);
	s->eflags = 2 | (rng_one_in(&r->rng, 2) ? FL_IF : 0) | (rng_one_in(&r->rng, 16) ? FL_TF : 0) |
	            (rng_one_in(&r->rng, 4) ? FL_IOPL : 0);
	if (rng_one_in(&r->rng, 8)) {
		s->dr[rng_below(&r->rng, 4)] = ROBUST_CODE + rng_below(&r->rng, 256);
		s->dr[7] = (uint32_t)rng_next(&r->rng) & 0xFFFF23FF;
	}
}

/* ---- 2. The modes --------------------------------------------------------------------------- */

static void build_ring0(struct robust *r, struct cpu_state *s)
{
	protected_mode(r, s, 0);
	if (rng_one_in(&r->rng, 3))
		return;
	map_identity(r, 7);
	s->cr0 |= CR0_PG;
}

static void build_ring3(struct robust *r, struct cpu_state *s)
{
	protected_mode(r, s, 3);
	map_identity(r, rng_one_in(&r->rng, 2) ? 7 : 5);
	s->cr0 |= CR0_PG;
}

static void build_v86(struct robust *r, struct cpu_state *s)
{
	protected_mode(r, s, 3);
	map_identity(r, 7);
	s->cr0 |= CR0_PG;
	s->eflags |= FL_VM;
	for (unsigned seg = 0; seg < 6; seg++) {
		uint16_t selector = seg == CPU_CS ? ROBUST_CODE >> 4 : (uint16_t)(rng_next(&r->rng) % 0x2000);

		s->seg[seg] = (struct cpu_segment){ selector, 0xF3, (uint32_t)selector << 4, 0xFFFF };
	}
	s->eip &= 0xFF;
}

static void build_real(struct robust *r, struct cpu_state *s)
{
	random_registers(r, s);
	for (uint32_t v = 0; v < 256; v++)
		robust_put32(r, 4 * v, (uint32_t)ROBUST_CODE << 12 | rng_below(&r->rng, ROBUST_CODE_BYTES));
	robust_code(r, ROBUST_CODE, ROBUST_CODE_BYTES);
	robust_descriptors(r, s);
	if (!rng_one_in(&r->rng, 4)) {
		s->idtr.base = 0;
		s->idtr.limit = 0x3FF;
	}
	for (unsigned seg = 0; seg < 6; seg++) {
		uint16_t selector = seg == CPU_CS ? ROBUST_CODE >> 4 : (uint16_t)(rng_next(&r->rng) % 0x2000);

		s->seg[seg] = (struct cpu_segment){ selector, 0x93, (uint32_t)selector << 4, 0xFFFF };
	}
	s->eip &= 0xFF;
	s->eflags = 2 | (rng_one_in(&r->rng, 2) ? FL_IF : 0);
}

/* Nothing but noise, all over memory. */
static void build_noise(struct robust *r, struct cpu_state *s)
{
	static robust_build *const modes[] = { build_ring0, build_ring3, build_real };
	bool tables = rng_one_in(&r->rng, 2);

	modes[rng_below(&r->rng, 3)](r, s);
	robust_fill(r, ROBUST_CODE, ROBUST_RAM - ROBUST_CODE);
	if (tables)
		robust_fill(r, 0, ROBUST_CODE);
}

/* ---- 3. Tests ------------------------------------------------------------------------------- */

static void run(robust_build *build, const char *what)
{
	uint64_t first;
	unsigned long count = robust_count(5000, &first);
	struct robust_result result = robust_seeds(build, NULL, first, count);

	print_message("# %s: seeds %llu to %llu, %llu instructions; ended by shutdown %llu, halted %llu, budget "
	              "%llu, no memory %llu; grew by %llu KiB\n",
	              what, (unsigned long long)first, (unsigned long long)(first + result.seeds - 1),
	              (unsigned long long)result.instructions, (unsigned long long)result.shutdowns,
	              (unsigned long long)result.halts, (unsigned long long)result.budgets,
	              (unsigned long long)result.nomem, (unsigned long long)result.growth_kib);
	if (result.failure)
		print_message("# seed %llu: %s\n", (unsigned long long)result.failed_seed, result.failure);
	assert_null(result.failure);
	assert_true(result.growth_kib < 64);
}

static void random_code_in_ring_0_harms_nobody(void **state) { (void)state; run(build_ring0, "ring 0"); }
static void random_code_in_ring_3_harms_nobody(void **state) { (void)state; run(build_ring3, "ring 3"); }
static void random_code_in_v86_mode_harms_nobody(void **state) { (void)state; run(build_v86, "V86"); }
static void random_code_in_real_mode_harms_nobody(void **state) { (void)state; run(build_real, "real mode"); }
static void random_bytes_everywhere_harm_nobody(void **state) { (void)state; run(build_noise, "noise"); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_code_in_ring_0_harms_nobody),
		cmocka_unit_test(random_code_in_ring_3_harms_nobody),
		cmocka_unit_test(random_code_in_v86_mode_harms_nobody),
		cmocka_unit_test(random_code_in_real_mode_harms_nobody),
		cmocka_unit_test(random_bytes_everywhere_harm_nobody),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
