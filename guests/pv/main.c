/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/main.c - from the first C to the last line of TAP.
 *
 *   1. Results
 *   2. The tests    and which of them the command line wants
 *   3. Boot
 *
 * Command line: family=B|C|D|E|F|G1|G2; tests=GROUP-OR-NAME,...; crash=KIND; early=KIND;
 * workload=forks,COUNT; spaces=N;
 * seed=N, steps=N (test_stress.c); input; selfcheck (BOOT-OK, SELF-CHECK ok: as the other guests of `make run` say)
 */
#include "guests/pv/device.h"

/* ---- 1. Results ----------------------------------------------------------------------------- */

static unsigned failures;       /* of the test that runs */
static const char *skip_reason; /* of it */

bool check(bool ok, const char *what, const char *file, unsigned line)
{
	if (!ok && failures++ < 8)
		print("# %s:%u: not so: %s\n", file, line, what);
	return ok;
}

void check_equal(uint32_t got, uint32_t wanted, const char *what, const char *file, unsigned line)
{
	if (got != wanted && failures++ < 8)
		print("# %s:%u: %s is %x, not %x\n", file, line, what, got, wanted);
}

void skip_test(const char *why)
{
	skip_reason = why;
}

void note(const char *what, uint32_t value)
{
	print("# %s %u\n", what, value);
}

static bool run_test(const struct test *t, unsigned number)
{
	failures = 0;
	skip_reason = NULL;
	t->run();
	print("%sok %u - %s: %s%s%s\n", failures ? "not " : "", number, t->group, t->name,
	      skip_reason ? " # SKIP " : "", skip_reason ? skip_reason : "");
	return !failures;
}

/* ---- 2. The tests --------------------------------------------------------------------------- */

static const struct test *const tables[] = {
	boot_tests, calls_tests, segments_tests, traps_tests, instructions_tests, time_tests,
	fpu_tests, memory_tests, spaces_tests, stress_tests, devices_tests, end_tests,
};
enum { TABLES = sizeof tables / sizeof tables[0] };

static bool is_wanted(const struct test *t)
{
	const char *list;

	return !find_word("tests", &list) || in_list(list, t->group) || in_list(list, t->name);
}

static unsigned count_tests(void)
{
	unsigned count = 0;

	for (unsigned i = 0; i < TABLES; i++)
		for (const struct test *t = tables[i]; t->run; t++)
			count += is_wanted(t);
	return count;
}

static bool run_tests(void)
{
	unsigned number = 0, failed = 0;

	print("1..%u\n", count_tests());
	for (unsigned i = 0; i < TABLES; i++)
		for (const struct test *t = tables[i]; t->run; t++)
			if (is_wanted(t))
				failed += !run_test(t, ++number);
	if (failed)
		print("# %u of %u failed\n", failed, number);
	return !failed;
}

/* ---- 3. Boot -------------------------------------------------------------------------------- */

/* Ends with the tests' verdict. */
static void check_self(void)
{
	bool says = find_word("selfcheck", &(const char *){ NULL }), ok;

	if (says)
		print("BOOT-OK 0\n");
	ok = run_tests();
	if (says && ok)
		print("SELF-CHECK ok\n");
	shut_down(ok ? "Power down" : "pv: tests failed", SHUTDOWN_POWER_OFF);
}

void kernel_main(void);
void kernel_main(void)
{
	const char *what;

	family = &families[family_index];
	if (family->gdt_entries)
		segments_start();
	print("# pv: family %s\n", family->name);
	if (family->gdt_entries)
		traps_start();
	memory_start();
	if (!family->gdt_entries) {
		traps_start();
		segments_start();
	}
	irqs_start();
	devices_start();
	console_start();
	if (find_word("crash", &what))
		run_crash(what);
	if (find_word("workload", &what)) {
		run_workload(what);
		shut_down("Power down", SHUTDOWN_POWER_OFF);
	}
	check_self();
}
