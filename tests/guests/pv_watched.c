/* SPDX-License-Identifier: MIT */
/*
 * tests/guests/pv_watched.c - the paravirtual guest (guests/pv), stopped again and again to look at its shadow or to
 * take the memory for its tables away: its own tests pass all the same.
 *
 *   1. A run      the guest in each of its families, its console in a file
 *   2. Looking    the core's invariants, in the middle of anything
 *   3. Shortage   tables that cannot be had, from some number on or now and then
 *   4. Company    two guests of different families in one process
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/tap.h"
#include "vmm/internal.h"

/* ---- 1. A run ------------------------------------------------------------------------------- */

enum { OUTPUT_BYTES = 1 << 16, TABLES = 1024, KICK_NS = 250000, LOOKS = 150 };

struct run {
	enum lguest_family family;
	const char *words;
	uint32_t tables, roots;
	void (*each)(struct run *run); /* at each stop */
	struct vm *vm;
	FILE *console;
	atomic_bool over, running;
	unsigned stops;
	uint32_t few;                          /* tables that there are, behind the core's back */
	uint32_t hidden[TABLES], hidden_count, count; /* those that we keep from it for a while */
	char output[OUTPUT_BYTES];
};

static const char *const family_words[LGUEST_FAMILIES] = {
	[LGUEST_B] = "family=B", [LGUEST_C] = "family=C",   [LGUEST_D] = "family=D", [LGUEST_E] = "family=E",
	[LGUEST_F] = "family=F", [LGUEST_G1] = "family=G1", [LGUEST_G2] = "family=G",
};

/* Not while it stands still already: the guest is to get on between two stops, as its clock does. */
static void *kick(void *arg)
{
	struct run *run = arg;
	const struct timespec pause = { 0, KICK_NS };

	while (!atomic_load(&run->over)) {
		nanosleep(&pause, NULL);
		if (atomic_exchange(&run->running, false))
			vm_kick(run->vm);
	}
	return NULL;
}

static struct vm *make(struct run *run)
{
	static __thread char line[128], kernel[256];
	const char *build = getenv("BUILD");
	struct guest_error error;

	snprintf(line, sizeof line, "%s %s", family_words[run->family], run->words ? run->words : "");
	snprintf(kernel, sizeof kernel, "%s/guests/pv.elf", build ? build : "build");
	const struct vm_config config = {
		.board = VM_LGUEST,
		.family = run->family,
		.ram_bytes = 32u << 20,
		.um_options = UM_OPT_ALL,
		.cpu_options = CPU_OPT_ALL,
		.max_tables = run->tables ? run->tables : TABLES,
		.max_roots = run->roots,
		.no_reboot = true,
		.console = { .in = -1, .out = fileno(run->console) },
		.guest = { .kernel = kernel, .command_line = line },
	};
	struct vm *vm = vm_new(&config, &error);
	if (!vm)
		print_message("# %s\n", error.text);
	return vm;
}

/* "1..N", N results, no "not ok". */
static bool passed(const struct run *run)
{
	const char *plan = strstr(run->output, "\n1..");
	unsigned wanted = plan ? (unsigned)atoi(plan + 4) : 0, ok = 0;

	for (const char *at = run->output; (at = strstr(at, "\nok ")); at++)
		ok++;
	return wanted > 5 && ok == wanted && !strstr(run->output, "not ok");
}

static void show_failure(struct run *run, enum vm_end end)
{
	print_message("# family %s: end %d, %s\n", lguest_family_name(run->family), (int)end,
	              vm_last_words(run->vm));
	for (char *line = strtok(run->output, "\n"); line; line = strtok(NULL, "\n"))
		if (strncmp(line, "ok ", 3) != 0)
			print_message("# %s\n", line);
}

/* Runs it to its end; false: it did not pass. */
static bool run_guest(struct run *run)
{
	pthread_t kicker;
	enum vm_end end;

	run->console = tmpfile();
	run->vm = run->console ? make(run) : NULL;
	if (!run->vm)
		return false;
	atomic_init(&run->over, false);
	atomic_init(&run->running, false);
	if (pthread_create(&kicker, NULL, kick, run))
		return false;
	atomic_store(&run->running, true);
	while ((end = vm_run(run->vm)) == VM_KICKED) {
		run->stops++;
		if (run->each)
			run->each(run);
		atomic_store(&run->running, true);
	}
	atomic_store(&run->over, true);
	pthread_join(kicker, NULL);
	rewind(run->console);
	run->output[fread(run->output, 1, sizeof run->output - 1, run->console)] = 0;
	bool good = end == VM_POWER_OFF && passed(run);
	if (!good)
		show_failure(run, end);
	vm_free(run->vm);
	fclose(run->console);
	return good;
}

static void run_families(const struct run *like)
{
	for (enum lguest_family f = LGUEST_B; f < LGUEST_FAMILIES; f++) {
		struct run *run = calloc(1, sizeof *run);

		assert_non_null(run);
		memcpy(run, like, sizeof *run);
		run->family = f;
		assert_true(run_guest(run));
		free(run);
	}
}

/* ---- 2. Looking ----------------------------------------------------------------------------- */

static void audit(struct run *run)
{
	if (run->stops > LOOKS)
		return;
	const struct um_violation v = um_audit(vm_shadow(run->vm));
	if (v.invariant)
		fail_msg("family %s, stop %u: invariant %d, %s, at %#llx", lguest_family_name(run->family), run->stops,
		         v.invariant, v.text, (unsigned long long)v.gva);
}

static void invariants_hold_at_any_time(void **state)
{
	const struct run usual = { .each = audit, .roots = 4 };
	const struct run one_root = { .each = audit, .roots = 1, .words = "tests=spaces,stress,memory,calls" };

	(void)state;
	run_families(&usual);
	run_families(&one_root);
}

/* ---- 3. Shortage ---------------------------------------------------------------------------- */

/* The core believes in all of its budget; the host has `count` tables and no more. */
static void limit(struct run *run)
{
	if (run->stops == 1 && run->vm->tables.fresh < run->few)
		run->vm->tables.count = run->few;
	if (run->stops % 8 == 0)
		audit(run);
}

static void tables_run_out(void **state)
{
	(void)state;
	for (uint32_t few = 10; few <= 40; few += 10) {
		const struct run short_of = { .each = limit, .few = few, .words = "spaces=24" };

		run_families(&short_of);
	}
}

/* At every other stop there is not one table to be had; at the next, all are back. */
static void take_away(struct run *run)
{
	struct table_slab *slab = &run->vm->tables;

	if (run->stops % 2 && slab->fresh > 16) {
		memcpy(run->hidden, slab->free_list, slab->free_count * sizeof *slab->free_list);
		run->hidden_count = slab->free_count;
		slab->free_count = 0;
		run->count = slab->count;
		slab->count = slab->fresh;
	} else if (run->count) {
		memcpy(slab->free_list + slab->free_count, run->hidden,
		       run->hidden_count * sizeof *slab->free_list);
		slab->free_count += run->hidden_count;
		run->hidden_count = 0;
		slab->count = run->count;
		run->count = 0;
	}
	if (run->stops % 8 == 0)
		audit(run);
}

static void tables_cannot_be_had_now_and_then(void **state)
{
	const struct run usual = { .each = take_away, .words = "spaces=24" };

	(void)state;
	run_families(&usual);
}

/* ---- 4. Company ----------------------------------------------------------------------------- */

static void *run_beside(void *arg)
{
	struct run *run = arg;

	return run_guest(run) ? run : NULL;
}

static void guests_do_not_meet(void **state)
{
	static struct run runs[3];
	pthread_t thread[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		static const enum lguest_family family[] = { LGUEST_B, LGUEST_F, LGUEST_G2 };

		runs[i].family = family[i];
		assert_int_equal(pthread_create(&thread[i], NULL, run_beside, &runs[i]), 0);
	}
	for (unsigned i = 0; i < 3; i++) {
		void *result;

		assert_int_equal(pthread_join(thread[i], &result), 0);
		assert_ptr_equal(result, &runs[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invariants_hold_at_any_time),
		cmocka_unit_test(tables_run_out),
		cmocka_unit_test(tables_cannot_be_had_now_and_then),
		cmocka_unit_test(guests_do_not_meet),
	};
	const char *build = getenv("BUILD");
	char kernel[256];

	snprintf(kernel, sizeof kernel, "%s/guests/pv.elf", build ? build : "build");
	if (access(kernel, R_OK)) {
		printf("1..0 # SKIP no 32-bit guests were built here\n");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
