/* SPDX-License-Identifier: MIT */
/*
 * tests/guests/efficiency.c - how many faults a fork and exec cost, beside the original's way of caching.
 *
 *   1. A recorded run of the paravirtual guest's workload
 *   2. The original's policy on the same run (tests/lib/policy.h)
 *   3. The goal, in each family
 *   4. Whether the recording is enough: a trace of every access says the same
 *
 * The original on a real 3.12 kernel: 25,088 faults, 9,390 of them the guest's own, in a boot with some 300
 * forks: 52 faults that filled for each.  33,271 of its guest's calls of SEND_INTERRUPTS were needless.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/lib/policy.h"

/* ---- 1. A recorded run ---------------------------------------------------------------------- */

struct pv_run {
	FILE *recording;
	unsigned forks;
	uint64_t needless;  /* the host's count */
};

static const char *build(void)
{
	const char *name = getenv("BUILD");

	return name ? name : "build";
}

static bool have_guest(void)
{
	char path[200];
	struct stat status;

	snprintf(path, sizeof path, "%s/guests/pv.elf", build());
	return stat(path, &status) == 0;
}

static struct pv_run record_forks(const char *family, unsigned forks, const char *more)
{
	const char *folder = getenv("TMPDIR");
	char path[300], command[900], line[400];
	struct pv_run run = { .needless = UINT64_MAX };
	unsigned done = 0, wanted = 0;
	FILE *from;

	snprintf(path, sizeof path, "%s/efficiency-XXXXXX", folder && *folder ? folder : "/tmp");
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	snprintf(command, sizeof command,
	         "timeout 100 %s/umbra run -machine lguest,family=%s -kernel %s/guests/pv.elf -m 64 "
	         "-append 'family=%s workload=forks,%u' -hypercalls -record %s %s </dev/null 2>&1",
	         build(), family, build(), family, forks, path, more);
	from = popen(command, "r");
	while (fgets(line, sizeof line, from)) {
		sscanf(line, "# forks %u of %u", &done, &wanted);
		sscanf(line, "needless SEND_INTERRUPTS %" SCNu64, &run.needless);
	}
	if (pclose(from) != 0 || done != forks || wanted != forks)
		fail_msg("family %s: %u forks of %u: %s", family, done, forks, line);
	run.forks = forks;
	run.recording = fdopen(fd, "r");
	unlink(path);
	return run;
}

/* ---- 2. The original's policy --------------------------------------------------------------- */

enum { LOTS = 5 };

/* The best of several draws, of both ways of making tables. */
static struct policy least_faults(const struct pv_run *run)
{
	struct policy best = { .fills = UINT64_MAX };

	for (uint64_t seed = 1; seed <= LOTS; seed++)
		for (int early = 0; early < 2; early++) {
			struct policy p = { .directories = 4, .seed = seed, .tables_when_refused = early };

			assert_true(policy_count(&p, run->recording));
			if (p.fills < best.fills)
				best = p;
		}
	return best;
}

/* ---- 3. The goal ---------------------------------------------------------------------------- */

static void at_most_half(const char *family, unsigned forks)
{
	struct pv_run run;
	struct policy p;

	if (!have_guest())
		skip();
	run = record_forks(family, forks, "");
	p = least_faults(&run);
	printf("# family %s, faults that fill for each fork and exec: umbra %.1f, four directories by lot %.1f\n",
	       family, (double)p.umbra_fills / forks, (double)p.fills / forks);
	/* Is it the workload it should be? */
	assert_true(p.switches >= 6 * forks && p.reflected >= 50 * forks);
	assert_true(p.fills > 20 * forks && p.umbra_fills > 0);
	if (2 * p.umbra_fills > p.fills)
		fail_msg("family %s: %" PRIu64 " faults, the original's policy %" PRIu64, family, p.umbra_fills,
		         p.fills);
	assert_int_equal(run.needless, 0);
	fclose(run.recording);
}

#define FAMILY(NAME, FORKS) \
	static void half_of_the_faults_in_family_##NAME(void **state) { (void)state; at_most_half(#NAME, FORKS); }
FAMILY(B, 60)
FAMILY(C, 60)
FAMILY(D, 60)
FAMILY(E, 60)
FAMILY(F, 300)
FAMILY(G1, 60)
FAMILY(G, 60)

/* ---- 4. Whether the recording is enough ----------------------------------------------------- */

/* The processor's own buffer hides most accesses from the shadow.  Without it there are a thousand times
 * more, and the policy would have had the same faults. */
static void accesses_that_are_not_recorded_change_nothing(void **state)
{
	struct pv_run some, all;
	struct policy a, b;

	(void)state;
	if (!have_guest())
		skip();
	some = record_forks("F", 3, "-engine portable");
	all = record_forks("F", 3, "-engine portable -no-opt tlb");
	a = least_faults(&some);
	b = least_faults(&all);
	assert_true(b.accesses > 100 * a.accesses);
	assert_int_equal(a.fills, b.fills);
	assert_int_equal(a.umbra_fills, b.umbra_fills);
	fclose(some.recording);
	fclose(all.recording);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_of_the_faults_in_family_B),
		cmocka_unit_test(half_of_the_faults_in_family_C),
		cmocka_unit_test(half_of_the_faults_in_family_D),
		cmocka_unit_test(half_of_the_faults_in_family_E),
		cmocka_unit_test(half_of_the_faults_in_family_F),
		cmocka_unit_test(half_of_the_faults_in_family_G1),
		cmocka_unit_test(half_of_the_faults_in_family_G),
		cmocka_unit_test(accesses_that_are_not_recorded_change_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("efficiency", tests, NULL, NULL);
}
