/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/fuzz_main.c - a fuzz target as a test: see fuzz.h.
 *
 *   1. Inputs    from files, from a seed
 *   2. Tests     the corpus; random inputs in bounded time and memory
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/fuzz.h"
#include "tests/lib/tap.h"

#define PATIENCE 300u        /* s: an input that takes longer hangs, and SIGALRM ends the program */
/* Resident memory that may come after the first inputs.  Freed memory is kept for a while by ASan, whose leak check
 * does this test's work. */
#ifdef __SANITIZE_ADDRESS__
#define GROWTH_KB 1048576l
#else
#define GROWTH_KB 16384l
#endif
#define FILE_MAX (1u << 20)

/* ---- 1. Inputs ------------------------------------------------------------------------------ */

static unsigned long setting(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

static void play(const uint8_t *bytes, size_t count)
{
	const char *save = getenv("UMBRA_FUZZ_SAVE");
	FILE *file = save && *save ? fopen(save, "wb") : NULL;

	if (file) {
		fwrite(bytes, 1, count, file);
		fclose(file);
	}
	alarm(PATIENCE);
	LLVMFuzzerTestOneInput(bytes, count);
	alarm(0);
}

static bool play_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes;
	size_t count;

	if (!file)
		return false;
	bytes = malloc(FILE_MAX);
	count = fread(bytes, 1, FILE_MAX, file);
	fclose(file);
	play(bytes, count);
	free(bytes);
	return true;
}

static uint64_t next(uint64_t *state) /* splitmix64 */
{
	uint64_t z = *state += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return z ^ z >> 31;
}

static void play_seed(uint64_t seed, uint8_t *bytes)
{
	uint64_t state = seed * 0xD1342543DE82EF95u;
	size_t count = 16 + next(&state) % (fuzz_target.bytes - 15);

	for (size_t n = 0; n < count; n++)
		bytes[n] = (uint8_t)next(&state);
	play(bytes, count);
}

/* ---- 2. Tests ------------------------------------------------------------------------------- */

static void test_corpus_is_played(void **state)
{
	char path[512];
	unsigned played = 0;
	struct dirent *entry;
	DIR *dir;

	(void)state;
	if (getenv("UMBRA_FUZZ_FILE"))
		skip();
	snprintf(path, sizeof path, "tests/fuzz/corpus/%s", fuzz_target.name);
	dir = opendir(path);
	if (!dir)
		fail_msg("no %s: run from the top of the sources", path);
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof path, "tests/fuzz/corpus/%s/%s", fuzz_target.name, entry->d_name);
		if (entry->d_name[0] != '.')
			played += play_file(path);
	}
	closedir(dir);
	assert_int_not_equal(played, 0);
}

static long resident_kb(void)
{
	long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file)
		return 0;
	if (fscanf(file, "%*d %ld", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Under sanitizers a few more than other tests have: they find most. */
static unsigned long in_suite(void)
{
	return test_rounds(100) == 1 ? fuzz_target.inputs / 10 : fuzz_target.inputs;
}

static void test_random_inputs_do_no_harm(void **state)
{
	const char *path = getenv("UMBRA_FUZZ_FILE");
	unsigned long seconds = setting("UMBRA_FUZZ_SECONDS", 0), first = setting("UMBRA_FUZZ_SEED", 1), n;
	unsigned long inputs = setting("UMBRA_FUZZ_INPUTS", seconds ? ~0ul : in_suite());
	time_t end = time(NULL) + (time_t)seconds;
	uint8_t *bytes = malloc(fuzz_target.bytes);
	long before = 0;

	(void)state;
	if (path && !play_file(path))
		fail_msg("no input %s", path);
	for (n = 0; !path && n < inputs && (!seconds || time(NULL) < end); n++) {
		if (n == inputs / 4 || n == 2000)
			before = resident_kb();
		play_seed(first + n, bytes);
	}
	if (!path && resident_kb() - before > GROWTH_KB)
		fail_msg("memory grew by %ld KiB in %lu inputs", resident_kb() - before, n);
	free(bytes);
	fuzz_target.report();
	print_message("# %s: seeds %lu to %lu\n", fuzz_target.name, first, first + n - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corpus_is_played),
		cmocka_unit_test(test_random_inputs_do_no_harm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name(fuzz_target.name, tests, NULL, NULL);
}
