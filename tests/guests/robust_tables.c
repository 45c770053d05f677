/* SPDX-License-Identifier: MIT */
/*
 * tests/guests/robust_tables.c - guests that build their page tables out of random bytes, and run on them.
 *
 *   1. Entries       random, but often enough leading somewhere
 *   2. Guests        pure noise; tables of tables; a kernel that goes wrong
 *   3. Tests
 *
 * Any frame may be directory, table, code and stack at once; the code that runs writes to all of them, loads
 * CR3 from anywhere and switches paging modes.  What must hold is in tests/lib/robust.h; ROBUST_SEEDS=n
 * ROBUST_FIRST=n run other seeds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/robust.h"

/* ---- 1. Entries ----------------------------------------------------------------------------- */

enum { P = 1, RW = 2, US = 4, PS = 1 << 7 };

static uint32_t random_entry(struct robust *r)
{
	uint64_t x = rng_next(&r->rng);
	uint32_t frame = (uint32_t)(x >> 32) % ROBUST_FRAMES, bits = (uint32_t)x & 0xFFF;

	if (!(x >> 12 & 7))
		frame = (uint32_t)(x >> 40) & 0xFFFFF; /* ROM, devices, nothing */
	if (x >> 16 & 15)
		bits |= P;
	if (x >> 20 & 1)
		bits |= RW | US;
	if (x >> 24 & 3)
		bits &= ~(uint32_t)PS;
	return frame << 12 | bits;
}

static void fill_table(struct robust *r, uint32_t frame)
{
	for (uint32_t i = 0; i < 1024; i++)
		robust_put32(r, frame * 4096 + 4 * i, random_entry(r));
}

/* ---- 2. Guests ------------------------------------------------------------------------------ */

static struct cpu_segment flat(unsigned selector, bool code)
{
	unsigned dpl = selector & 3;

	return (struct cpu_segment){ (uint16_t)selector, (uint16_t)(0xC093u | dpl << 5 | (code ? 8 : 0)), 0,
	                             0xFFFFFFFFu };
}

static void start(struct robust *r, struct cpu_state *s)
{
	bool user = rng_one_in(&r->rng, 3);

	for (unsigned i = 0; i < 8; i++)
		s->gpr[i] = rng_one_in(&r->rng, 2) ? (uint32_t)rng_next(&r->rng) : rng_below(&r->rng, ROBUST_RAM);
	for (unsigned seg = 0; seg < 6; seg++)
		s->seg[seg] = flat(seg == CPU_CS ? (user ? 0x1B : 8) : user ? 0x23 : 0x10, seg == CPU_CS);
	s->cr0 = CR0_PG | CR0_PE | CR0_ET | CR0_NE | (rng_one_in(&r->rng, 2) ? CR0_WP : 0);
	s->cr4 = CR4_OSFXSR | (rng_one_in(&r->rng, 2) ? CR4_PSE : 0) | (rng_one_in(&r->rng, 2) ? CR4_PGE : 0);
	s->eflags = 2 | (rng_one_in(&r->rng, 2) ? FL_IF : 0);
	s->eip = rng_one_in(&r->rng, 2) ? (uint32_t)rng_next(&r->rng) : ROBUST_CODE + rng_below(&r->rng, 4096);
}

/* Every byte of memory at random, tables too. */
static void start_noise(struct robust *r, struct cpu_state *s)
{
	start(r, s);
	s->cr3 = (uint32_t)rng_next(&r->rng) % (2 * ROBUST_RAM);
	s->gdtr.base = (uint32_t)rng_next(&r->rng);
	s->idtr.base = (uint32_t)rng_next(&r->rng);
	s->gdtr.limit = s->idtr.limit = 0x7FF;
}

static void build_noise(struct robust *r, struct cpu_state *s)
{
	robust_fill(r, 0, ROBUST_RAM);
	start_noise(r, s);
}

static void start_tables(struct robust *r, struct cpu_state *s)
{
	start(r, s);
	s->gdtr.base = ROBUST_GDT;
	s->gdtr.limit = 0xFF;
	s->idtr.base = ROBUST_IDT;
	s->idtr.limit = 0x7FF;
	s->tr = (struct cpu_segment){ 0x30, 0x8B, ROBUST_TSS, 0xFF };
	s->cr3 = rng_one_in(&r->rng, 4) ? rng_below(&r->rng, ROBUST_FRAMES) * 4096 : ROBUST_DIRECTORY;
}

/* Frames of entries and frames of code, evenly; whatever is reached runs.  The descriptor tables are where
 * they should be more often than not. */
static void build_tables(struct robust *r, struct cpu_state *s)
{
	uint32_t code = ROBUST_CODE + 4096 * rng_below(&r->rng, 100);

	robust_descriptors(r, s);
	robust_code(r, code, 4096);
	for (uint32_t frame = 0; frame < ROBUST_FRAMES; frame++)
		if (frame >= 4 && frame < 8) /* descriptor tables */
			continue;
		else if (frame < 4 || rng_one_in(&r->rng, 2))
			fill_table(r, frame);
		else if (frame * 4096 != code)
			memcpy(r->ram + frame * 4096, r->ram + code, 4096);
	if (!rng_one_in(&r->rng, 4)) {
		robust_put32(r, ROBUST_DIRECTORY, ROBUST_TABLES | P | RW | US);
		for (uint32_t page = 4; page < 24; page++)
			if (!rng_one_in(&r->rng, 32))
				robust_put32(r, ROBUST_TABLES + 4 * page, page << 12 | P | RW | US);
	}
	start_tables(r, s);
}

/* A decent kernel mapping, and some entries that nobody meant. */
static void build_kernel(struct robust *r, struct cpu_state *s)
{
	robust_descriptors(r, s);
	start(r, s);
	robust_code(r, ROBUST_CODE, ROBUST_CODE_BYTES);
	for (uint32_t table = 0; table < 4; table++)
		fill_table(r, 32 + table);
	for (uint32_t i = 0; i < 1024; i++) {
		bool wrong = rng_one_in(&r->rng, 24);

		robust_put32(r, ROBUST_TABLES + 4 * i, wrong ? random_entry(r) : i << 12 | P | RW | US);
		robust_put32(r, ROBUST_DIRECTORY + 4 * i,
		             !i ? ROBUST_TABLES | P | RW | US :
		             rng_one_in(&r->rng, 2) ? random_entry(r) : (32 + i % 4) << 12 | P | RW | US);
	}
	s->eip = ROBUST_CODE;
	s->cr3 = ROBUST_DIRECTORY;
	s->gpr[CPU_ESP] = ROBUST_STACK;
}

/* ---- 3. Tests ------------------------------------------------------------------------------- */

static void run(robust_build *build, robust_build *again, const char *what)
{
	uint64_t first;
	unsigned long count = robust_count(6000, &first);
	struct robust_result result = robust_seeds(build, again, first, count);

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

static void page_tables_of_noise_harm_nobody(void **state) { (void)state; run(build_noise, start_noise, "noise"); }
static void page_tables_of_random_entries_harm_nobody(void **state) { (void)state; run(build_tables, start_tables, "tables"); }
static void a_kernel_with_wrong_entries_harms_nobody(void **state) { (void)state; run(build_kernel, NULL, "kernel"); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(page_tables_of_noise_harm_nobody),
		cmocka_unit_test(page_tables_of_random_entries_harm_nobody),
		cmocka_unit_test(a_kernel_with_wrong_entries_harms_nobody),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
