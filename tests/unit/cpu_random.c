/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_random.c - no optimisation changes what a guest sees: random programs come to the same end
 * with all of them, with none, and with each alone; nor does an observer, however much it wants to know.
 *
 *   1. Programs    random instructions, with a taste for what the optimisations are about
 *   2. Running     one program on several processors, compared at its end
 *   3. The tests
 *
 * A program ends with an exception, a HLT or a shutdown.  One that outlives its budget ends in different places
 * (budgets are counted by blocks), so it counts only as "did not crash".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/rig.h"
#include "tests/lib/tap.h"

/* ---- 1. Programs ---------------------------------------------------------------------------- */

static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 32);
}

/* A value that is an address in the data, a small number, or anything. */
static uint32_t value(uint64_t *seed)
{
	uint32_t r = next(seed);

	switch (r % 8) {
	case 0: case 1: case 2: return RIG_DATA + next(seed) % 0x4000;
	case 3: return next(seed) % 64;
	case 4: return 0u - next(seed) % 64;
	case 5: return RIG_CODE + next(seed) % 0x40; /* stores into the program itself */
	case 6: return RIG_DATA + 0x1000 * (1 + next(seed) % 3) - next(seed) % 8; /* near a page's end */
	default: return r;
	}
}

static const uint8_t usual[] = {
	0x01, 0x03, 0x09, 0x0B, 0x11, 0x13, 0x19, 0x1B, 0x21, 0x23, 0x29, 0x2B, 0x31, 0x33, 0x39, 0x3B, 0x00, 0x02,
	0x38, 0x3A, 0x40, 0x41, 0x48, 0x4B, 0x50, 0x53, 0x58, 0x5B, 0x70, 0x72, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78,
	0x79, 0x7C, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8B, 0x8D, 0xA4,
	0xA5, 0xAA, 0xAB, 0xA6, 0xAE, 0xAC, 0xC0, 0xC1, 0xC6, 0xC7, 0xD1, 0xD3, 0xE2, 0xE8, 0xEB, 0xF3, 0xF2, 0x66,
	0x67, 0xF7, 0xF6, 0xFF, 0xFE, 0x0F, 0x0F, 0x9C, 0x9D, 0xC3, 0xC9, 0x60, 0x61, 0x8F, 0x99, 0x98, 0x64,
};
static const uint8_t second[] = { 0xB6, 0xB7, 0xBE, 0xBF, 0xA3, 0xAB, 0xB3, 0xBB, 0xBA, 0xBC, 0xBD, 0xA4, 0xA5, 0xAC,
	                          0xAD, 0xB0, 0xB1, 0xC0, 0xC1, 0xC8, 0xC7, 0x44, 0x45, 0x4C, 0x94, 0x9F, 0x85, 0x8C,
	                          0xAF, 0x1F, 0xA2, 0x31 };

enum { PROGRAM = 96 };

static void make_program(uint64_t *seed, uint8_t program[PROGRAM])
{
	unsigned at = 0;

	while (at < PROGRAM - 12) {
		uint8_t op = usual[next(seed) % sizeof(usual)];
		program[at++] = op;
		if (op == 0x0F)
			program[at++] = second[next(seed) % sizeof(second)];
		/* ModRM: half registers, and few that read far away */
		program[at++] = (uint8_t)(next(seed) & 1 ? 0xC0 | (next(seed) & 0x3F) : next(seed));
		if (next(seed) % 3 == 0) /* a displacement or an immediate, often near */
			program[at++] = (uint8_t)(next(seed) % 48 - 24);
	}
	/* Jumps are short: what they reach around the program are HLTs. */
	memset(program + at, 0xF4, PROGRAM - at);
}

/* ---- 2. Running ----------------------------------------------------------------------------- */

static const uint32_t option_sets[] = {
	CPU_OPT_ALL, 0, CPU_OPT_BLOCKS, CPU_OPT_BLOCKS | CPU_OPT_CHAIN | CPU_OPT_FLAT,
	CPU_OPT_BLOCKS | CPU_OPT_CHAIN | CPU_OPT_FLAT | CPU_OPT_FUSE, CPU_OPT_TLB, CPU_OPT_STRINGS | CPU_OPT_FLAT,
	CPU_OPT_FLAT, CPU_OPT_ALL & ~(uint32_t)CPU_OPT_BLOCKS,
};
/* The last two are observed, with all optimisations and with none. */
enum { PLAIN = sizeof(option_sets) / sizeof(*option_sets), SETS = PLAIN + 2, BUDGET = 3000, WINDOW = 0x80000 };

static struct rig *rigs[SETS];
static uint64_t accesses; /* that were heard exactly */

/* Wants to know each instruction, and that it has not happened yet. */
static bool wants_to_know(void *user, struct cpu *cpu, const struct cpu_access *access)
{
	bool exact;

	(void)user;
	assert_int_equal(cpu_running_eip(cpu, &exact), access->eip);
	assert_int_equal(exact, access->exact);
	accesses += exact;
	return exact;
}

static struct rig *new_rig(unsigned n)
{
	const struct cpu_observer observer = { .translated = wants_to_know };
	struct rig *rig = rig_new(n < PLAIN ? option_sets[n] : n == PLAIN ? CPU_OPT_ALL : 0);

	if (n >= PLAIN)
		cpu_observe(rig->cpu, &observer);
	return rig;
}

enum kind { FLAT0, FLAT3, REAL, PAGED, SHORT_SEGMENTS, KINDS };

static void start(struct rig *rig, enum kind kind, const uint8_t *program, uint64_t seed)
{
	struct cpu_state s;

	memset(rig->ram, 0xF4, WINDOW);
	for (uint32_t at = RIG_DATA; at < RIG_DATA + 0x4000; at += 4) {
		uint32_t word = value(&seed);
		memcpy(rig->ram + at, &word, 4);
	}
	cpu_code_written(rig->cpu, rig->ram, WINDOW);
	um_guest_wrote(rig->um, 0, WINDOW);
	if (kind == REAL)
		rig_real(rig);
	else
		rig_flat(rig, kind == FLAT3);
	rig_load(rig, program, PROGRAM);
	if (kind == PAGED) {
		rig_paging(rig);
		/* A page read-only, one absent, two that are one frame. */
		rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * (RIG_DATA >> 12), RIG_DATA | 5);
		rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * ((RIG_DATA >> 12) + 2), 0);
		rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * ((RIG_DATA >> 12) + 3), (RIG_DATA + 0x1000) | 7);
		um_flush_all(rig->um);
	}
	cpu_get_state(rig->cpu, &s);
	s.cr0 |= CR0_EM; /* floating point runs on the host's own unit, of which valgrind knows but a part */
	for (unsigned reg = 0; reg < 8; reg++)
		s.gpr[reg] = value(&seed);
	s.gpr[CPU_ECX] %= 256;
	s.gpr[CPU_ESP] = kind == REAL ? 0x8000 : RIG_DATA + 0x1F00;
	s.eflags = 2 | (next(&seed) & (FL_STATUS | (next(&seed) % 4 ? 0 : FL_DF)));
	if (kind == SHORT_SEGMENTS)
		s.seg[CPU_DS] = (struct cpu_segment){ RIG_DATA0, 0x4093, 0, RIG_DATA + 0x1800 };
	cpu_set_state(rig->cpu, &s);
}

/* Everything a guest could see, but the TSC. */
static void compare(struct rig *a, struct rig *b, const char *what)
{
	struct cpu_state s, t;

	cpu_get_state(a->cpu, &s);
	cpu_get_state(b->cpu, &t);
	if (memcmp(&s, &t, sizeof(s)) || memcmp(a->ram, b->ram, WINDOW)) {
		char text[2][2048];
		cpu_describe_state(a->cpu, text[0], sizeof(text[0]));
		cpu_describe_state(b->cpu, text[1], sizeof(text[1]));
		printf("# %s\n%s\n%s", what, text[0], text[1]);
		for (uint32_t at = 0; at < WINDOW; at++)
			if (a->ram[at] != b->ram[at]) {
				printf("# memory at %x: %02x, %02x\n", at, a->ram[at], b->ram[at]);
				break;
			}
		fail();
	}
}

static void run_everywhere(enum kind kind, uint64_t seed)
{
	uint8_t program[PROGRAM];
	uint64_t here = seed;
	enum cpu_exit how[SETS];
	char what[PROGRAM * 3 + 80];
	int used;

	make_program(&here, program);
	used = snprintf(what, sizeof(what), "kind %d seed %llu:", (int)kind, (unsigned long long)seed);
	for (unsigned n = 0; n < 24; n++)
		used += snprintf(what + used, sizeof(what) - (size_t)used, " %02x", program[n]);
	for (unsigned n = 0; n < SETS; n++) {
		start(rigs[n], kind, program, here);
		how[n] = rig_run(rigs[n], BUDGET);
	}
	for (unsigned n = 1; n < SETS; n++) {
		/* The budget may end just before or after the program does. */
		if (how[0] == CPU_EXIT_BUDGET || how[n] == CPU_EXIT_BUDGET)
			continue;
		assert_int_equal(how[0], how[n]);
		compare(rigs[0], rigs[n], what);
	}
}

/* ---- 3. The tests --------------------------------------------------------------------------- */

static void many(enum kind kind)
{
	unsigned long rounds = test_rounds(3000);

	for (unsigned n = 0; n < SETS; n++)
		rigs[n] = new_rig(n);
	for (unsigned long round = 0; round < rounds; round++)
		run_everywhere(kind, round * 977 + kind);
	assert_true(accesses > 0);
	for (unsigned n = 0; n < SETS; n++) {
		assert_int_equal(um_audit(rigs[n]->um).invariant, 0);
		rig_free(rigs[n]);
	}
}

static void random_programs_in_ring_0(void **state) { (void)state, many(FLAT0); }
static void random_programs_in_ring_3(void **state) { (void)state, many(FLAT3); }
static void random_programs_in_real_mode(void **state) { (void)state, many(REAL); }
static void random_programs_under_paging(void **state) { (void)state, many(PAGED); }
static void random_programs_in_short_segments(void **state) { (void)state, many(SHORT_SEGMENTS); }

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_programs_in_ring_0),
		cmocka_unit_test(random_programs_in_ring_3),
		cmocka_unit_test(random_programs_in_real_mode),
		cmocka_unit_test(random_programs_under_paging),
		cmocka_unit_test(random_programs_in_short_segments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
