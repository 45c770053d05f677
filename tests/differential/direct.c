/* SPDX-License-Identifier: MIT */
/*
 * tests/differential/direct.c - the direct engine against the portable one: random programs, run by both on
 * machines that are the same, must leave them the same, after each translated block and at the end.
 *
 *   1. How many      FUZZ_* of the environment
 *   2. Rigs          sets of options
 *   3. One program   and what is said when it makes a difference
 *   4. The tests
 *
 *   FUZZ_SEEDS=n     programs of each kind (the suite: some hundreds, of all kinds)
 *   FUZZ_SEED=s      the first of them; FUZZ_SEEDS=1 then runs it alone
 *   FUZZ_BLOCKS=n    go on until so many blocks have run, in each test
 *   FUZZ_KIND=name   one kind of program: mixed, user, kernel, branches...
 *   FUZZ_RIG=name    one set of options
 *   FUZZ_VERIFY=n    check translated code and shadows after each n seeds (32)
 *   FUZZ_VERBOSE=1   name each program before it runs
 *   FUZZ_CAREFUL=1   compare memory after each block too
 */
#include <setjmp.h>
#include <signal.h> /* before cpu/internal.h, which has a raise() of its own */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/direct_rig.h"
#include "tests/lib/tap.h"

/* ---- 1. How many ---------------------------------------------------------------------------- */

static uint64_t number(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : usual;
}

static bool chosen(const char *name, const char *which)
{
	const char *text = getenv(name);

	return !text || !*text || !strcmp(text, which);
}

/* ---- 2. Rigs -------------------------------------------------------------------------------- */

#define WITHOUT(opt) (DIRECT_OPT_ALL & ~(uint32_t)(opt))
#define SYNC (UM_OPT_ALL & ~(uint32_t)UM_OPT_UNSYNC)

static const struct direct_rig_config configs[] = {
	{ "all", DIRECT_OPT_ALL, CPU_OPT_ALL, SYNC, 0, 0, 0, false },
	{ "unsync", DIRECT_OPT_ALL, CPU_OPT_ALL, UM_OPT_ALL, 0, 0, 0, false },
	{ "none", 0, CPU_OPT_ALL, SYNC, 0, 0, 0, false },
	{ "all-again", DIRECT_OPT_ALL, CPU_OPT_ALL, SYNC, 0, 0, 0, false },
	{ "few-worlds", DIRECT_OPT_ALL, CPU_OPT_ALL, SYNC, 2, 0, 0, false },
	{ "few-tables", DIRECT_OPT_ALL, CPU_OPT_ALL, SYNC, 3, 12, 2, false },
	{ "bare-shadow", DIRECT_OPT_ALL, CPU_OPT_ALL, 0, 0, 0, 0, false },
	{ "link", DIRECT_OPT_LINK, CPU_OPT_ALL, SYNC, 0, 0, 0, false },
	{ "no-link", WITHOUT(DIRECT_OPT_LINK), CPU_OPT_ALL, SYNC, 0, 0, 0, false },
	{ "no-returns", WITHOUT(DIRECT_OPT_RETURNS), CPU_OPT_ALL, SYNC, 0, 0, 0, false },
	{ "no-soft", WITHOUT(DIRECT_OPT_SOFT), CPU_OPT_ALL, UM_OPT_ALL, 0, 0, 0, false },
	{ "no-runs", WITHOUT(DIRECT_OPT_RUNS), CPU_OPT_ALL, SYNC, 0, 0, 0, false },
	{ "no-inline", WITHOUT(DIRECT_OPT_INLINE), CPU_OPT_ALL, SYNC, 0, 0, 0, false },
	{ "soft", DIRECT_OPT_SOFT, 0, SYNC, 0, 0, 0, false },
	/* For whole runs alone: as guests have it, nothing kept as the portable engine has it that need not be. */
	{ "plain", DIRECT_OPT_ALL, CPU_OPT_ALL, SYNC, 0, 0, 0, true },
	{ "plain-unsync", DIRECT_OPT_ALL, CPU_OPT_ALL, UM_OPT_ALL, 0, 0, 0, true },
	{ "plain-bare", 0, CPU_OPT_ALL, SYNC, 0, 0, 0, true },
};
enum { RIGS = sizeof(configs) / sizeof(*configs), PLAIN = 3, EXACT = RIGS - PLAIN };

static struct direct_rig *rigs[RIGS];
static struct program program;
static const char *running; /* name of the rig that is running it, NULL: none is */

/* (cmocka takes signals around each test, the engine needs them: rigs live within one.)  For a seed: half of them
 * with everything on. */
static struct direct_rig *get_rig(unsigned n)
{
	const char *why;

	if (!rigs[n])
		rigs[n] = direct_rig_new(&configs[n], &why);
	if (!rigs[n])
		print_message("# no rig: %s\n", why);
	assert_non_null(rigs[n]);
	return rigs[n];
}

static struct direct_rig *rig_for(uint64_t seed, bool plain)
{
	unsigned first = plain ? EXACT : 0, count = plain ? PLAIN : EXACT;
	unsigned n = seed % 2 ? (unsigned)(seed / 2 % count) : (unsigned)(seed / 2 % 2);

	for (unsigned left = count; left && !chosen("FUZZ_RIG", configs[first + n].name); left--)
		n = (n + 1) % count;
	return get_rig(first + n);
}

/* ... that counts instructions, for what only steps can tell. */
static struct direct_rig *counting(struct direct_rig *rig)
{
	if (!rig->config.inexact)
		return rig;
	return get_rig(rig->config.um_options & UM_OPT_UNSYNC ? 1 : 0);
}

/* Nothing that was translated reaches outside. */
static void verify_rig(const struct direct_rig *rig)
{
	char why[256];

	if (direct_verify(rig->direct.direct, why, sizeof(why)))
		return;
	print_message("# rig %s: %s\n", rig->config.name, why);
	fail();
}

/* A rig keeps what many programs had, so looking takes long: not after each. */
#define VERIFY_EVERY 32u

static void audit_rigs(void)
{
	for (unsigned n = 0; n < RIGS; n++)
		if (rigs[n]) {
			verify_rig(rigs[n]);
			struct um_violation broken = um_audit(rigs[n]->direct.um);
			if (broken.invariant)
				print_message("# rig %s: I%d, %s\n", rigs[n]->config.name, broken.invariant, broken.text);
			assert_int_equal(broken.invariant, 0);
		}
}

/* What of the engine the programs have reached, all rigs together. */
static struct direct_stats reached;

static void add_stats(const struct direct_rig *rig)
{
	struct direct_stats s;

	direct_get_stats(rig->direct.direct, &s);
	reached.blocks += s.blocks;
	reached.linked += s.linked;
	reached.code_writes += s.code_writes;
	reached.faults += s.faults;
	reached.fills += s.fills;
	reached.softened += s.softened;
	reached.by_portable += s.by_portable;
	reached.worlds_made += s.worlds_made;
	reached.cache_flushes += s.cache_flushes;
}

static void free_rigs(void)
{
	for (unsigned n = 0; n < RIGS; n++) {
		if (rigs[n]) {
			add_stats(rigs[n]);
			direct_rig_free(rigs[n]);
		}
		rigs[n] = NULL;
	}
}

/* ---- 3. One program ------------------------------------------------------------------------- */

/* Again and slowly on a fresh rig: what leads there is printed. */
static bool replay(const struct direct_rig_config *config, enum direct_how how)
{
	const char *why;
	struct direct_rig *fresh = direct_rig_new(config, &why);
	struct direct_result again = { .same = true };

	if (fresh) {
		again = direct_rig_run(fresh, &program, how, true);
		direct_rig_free(fresh);
	}
	fflush(stdout);
	return again.same;
}

static void tell(struct direct_rig *rig, enum direct_how how, const struct direct_result *first)
{
	static const char *const hows[] = { "steps", "steps", "runs", "interrupted" };

	print_message("# %s: seed %llu, kind %s, rig %s: %s\n", hows[how], (unsigned long long)program.config.seed,
	              program_kind_names[program.config.kind], rig->config.name, first->what);
	print_message("# alone: FUZZ_SEED=%llu FUZZ_SEEDS=1 FUZZ_KIND=%s FUZZ_RIG=%s UMBRA_TEST_FILTER='%s*'\n",
	              (unsigned long long)program.config.seed, program_kind_names[program.config.kind], rig->config.name,
	              rig->config.inexact ? "plain" : hows[how]);
	if (replay(&rig->config, how))
		print_message("# (alone, on machines just made, there is no difference: it takes what ran before, or luck)\n");
	if (how != HOW_STEPS && replay(&counting(rig)->config, HOW_QUIET_STEPS))
		print_message("# (in steps there is no difference)\n");
}

/* Does the program do nothing that two engines may see differently? */
static bool is_tame(struct direct_rig *which)
{
	struct direct_rig *rig = counting(which);
	struct direct_result steps = direct_rig_run(rig, &program, HOW_QUIET_STEPS, false);

	return !steps.same || !(steps.skipped || steps.strayed || steps.unmapped ||
	                        direct_rig_doubts(rig, &program));
}

static struct direct_result run_one(enum program_kind kind, uint64_t seed, enum direct_how how, bool plain)
{
	struct direct_rig *rig = rig_for(seed, plain);
	struct program_config config = { .kind = kind, .seed = seed, .ends = how != HOW_STEPS, .defined = plain,
		                         .unread = how == HOW_INTERRUPTED || plain };
	struct direct_result result;

	/* Where an interruption strikes is no more known afterwards, nor why the host's string instruction touched a
	 * page: nothing doubtful then. */
	config.flushes = rig->config.um_options & UM_OPT_UNSYNC || how == HOW_INTERRUPTED || plain;
	program_make(&program, &config);
	if (getenv("FUZZ_VERBOSE"))
		print_message("# seed %llu, kind %s, rig %s\n", (unsigned long long)seed, program_kind_names[kind],
		              rig->config.name);
	if (how == HOW_INTERRUPTED && !is_tame(rig))
		return (struct direct_result){ .same = true, .skipped = true };
	running = rig->config.name;
	result = direct_rig_run(rig, &program, how, number("FUZZ_CAREFUL", 0));
	running = NULL;
	/* A whole run cannot tell whether the difference may be; steps can. */
	if (!result.same && how == HOW_RUNS && !is_tame(rig)) {
		result.same = true;
		result.skipped = true;
	}
	if (!result.same) {
		tell(rig, how, &result);
		free_rigs();
	}
	assert_true(result.same);
	return result;
}

static void many(enum direct_how how, bool plain, unsigned long usual)
{
	uint64_t first = number("FUZZ_SEED", 1), seeds = number("FUZZ_SEEDS", test_rounds(usual));
	uint64_t blocks_wanted = number("FUZZ_BLOCKS", 0), blocks = 0, instructions = 0, programs = 0, skipped = 0;
	const char *no = direct_probe();

	if (no) {
		print_message("# skipped: %s\n", no);
		skip();
	}
	for (uint64_t seed = first; blocks_wanted ? blocks < blocks_wanted : seed < first + seeds; seed++) {
		for (unsigned kind = 0; kind < PROGRAM_KINDS; kind++) {
			struct direct_result result;
			if (!chosen("FUZZ_KIND", program_kind_names[kind]))
				continue;
			result = run_one((enum program_kind)kind, seed, how, plain);
			blocks += result.blocks;
			instructions += result.instructions;
			skipped += result.skipped;
			programs++;
		}
		if (seed % number("FUZZ_VERIFY", VERIFY_EVERY) == 0)
			audit_rigs();
	}
	audit_rigs();
	free_rigs();
	print_message("# %llu programs, %llu stops, %llu instructions, %llu given up\n", (unsigned long long)programs,
	              (unsigned long long)blocks, (unsigned long long)instructions, (unsigned long long)skipped);
	print_message("# translated %llu blocks (%llu links, %llu code writes, %llu flushes); %llu faults, %llu fills, %llu "
	              "softened, %llu worlds; %llu instructions left to the portable engine\n",
	              (unsigned long long)reached.blocks, (unsigned long long)reached.linked,
	              (unsigned long long)reached.code_writes, (unsigned long long)reached.cache_flushes,
	              (unsigned long long)reached.faults, (unsigned long long)reached.fills,
	              (unsigned long long)reached.softened, (unsigned long long)reached.worlds_made,
	              (unsigned long long)reached.by_portable);
	memset(&reached, 0, sizeof(reached));
}

/* What a test that crashed has left: which program it was, and signals that its handler held back. */
static int after_test(void **state)
{
	sigset_t none;

	(void)state;
	if (running)
		print_message("# the end came in seed %llu, kind %s, rig %s\n", (unsigned long long)program.config.seed,
		              program_kind_names[program.config.kind], running);
	running = NULL;
	memset(rigs, 0, sizeof(rigs));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	return 0;
}

/* ---- 4. The tests --------------------------------------------------------------------------- */

static void steps_end_as_the_portable_engine_does(void **state) { (void)state, many(HOW_STEPS, false, 30); }
static void runs_end_as_the_portable_engine_does(void **state) { (void)state, many(HOW_RUNS, false, 30); }
static void plain_runs_end_as_the_portable_engine_does(void **state) { (void)state, many(HOW_RUNS, true, 30); }
static void interrupted_runs_stop_where_the_portable_engine_comes_by(void **state)
{
	(void)state, many(HOW_INTERRUPTED, false, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(steps_end_as_the_portable_engine_does, after_test),
		cmocka_unit_test_teardown(runs_end_as_the_portable_engine_does, after_test),
		cmocka_unit_test_teardown(plain_runs_end_as_the_portable_engine_does, after_test),
		cmocka_unit_test_teardown(interrupted_runs_stop_where_the_portable_engine_comes_by, after_test),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
