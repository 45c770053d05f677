/* SPDX-License-Identifier: MIT */
/*
 * tests/guests/pv_nomem.c - behaviour test B17 with a whole guest: memory for shadow tables is refused, at each n-th
 * request, or while so many are held.  guests/pv passes its own tests, or the run ends with VM_NOMEM; nothing leaks.
 *
 * The ancestor killed its guest ("out of memory allocating pte page").
 *
 *   1. The core's callbacks, between it and the machine's own
 *   2. A run
 *   3. Tests
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "shadow/core.h"
#include "tests/lib/tap.h"
#include "vmm/internal.h"

/* ---- 1. The core's callbacks ---------------------------------------------------------------- */

/* The callbacks' user is the machine: what is ours has to be here. */
static struct refusal {
	struct um_ops ops;
	uint64_t every;      /* refuse each n-th request while there is something to evict; 0: none */
	int64_t most;        /* refuse while so many are held; 0: never */
	uint64_t requests, refused;
	int64_t tables, pages; /* taken and not given back */
} refusal;

static const struct um_ops *own_ops(void *vm)
{
	return &((struct vm *)vm)->um_ops;
}

static void *get_table(void *vm)
{
	void *table;
	uint64_t n = ++refusal.requests;

	if ((refusal.every && refusal.tables >= UM_MIN_TABLES && n % refusal.every == 0) ||
	    (refusal.most && refusal.tables >= refusal.most)) {
		refusal.refused++;
		return NULL;
	}
	table = own_ops(vm)->get_table(vm);
	refusal.tables += table != NULL;
	return table;
}

static void put_table(void *vm, void *table)
{
	refusal.tables--;
	own_ops(vm)->put_table(vm, table);
}

static enum um_grant get_page(void *vm, um_gfn gfn, bool write, um_hfn *hfn)
{
	enum um_grant grant = own_ops(vm)->get_page(vm, gfn, write, hfn);

	refusal.pages += grant == UM_GRANT_RAM || grant == UM_GRANT_ROM;
	return grant;
}

static void put_page(void *vm, um_gfn gfn, um_hfn hfn, bool dirty)
{
	refusal.pages--;
	own_ops(vm)->put_page(vm, gfn, hfn, dirty);
}

static void come_between(struct vm *vm, uint64_t every, int64_t most)
{
	struct um *um = vm_shadow(vm);

	/* What the machine holds already, at its start, it has from its own callbacks. */
	um_set_learn(um, UM_LEARN_TOLD);
	um_set_learn(um, UM_LEARN_BOUND);
	refusal = (struct refusal){ .ops = *um->ops, .every = every, .most = most };
	refusal.tables = (int64_t)(vm->tables.fresh - vm->tables.free_count);
	refusal.ops.get_table = get_table;
	refusal.ops.put_table = put_table;
	refusal.ops.get_page = get_page;
	refusal.ops.put_page = put_page;
	um->ops = &refusal.ops;
}

/* ---- 2. A run ------------------------------------------------------------------------------- */

static const struct { enum lguest_family family; const char *words; } families[] = {
	{ LGUEST_B, "family=B" }, { LGUEST_D, "family=D" }, { LGUEST_F, "family=F" }, { LGUEST_G2, "family=G" },
};
enum { FAMILIES = sizeof families / sizeof *families, OUTPUT_MAX = 1 << 16 };

static struct vm *make(unsigned n, uint32_t tables, FILE *console)
{
	char kernel[256];
	const char *build = getenv("BUILD");
	struct guest_error error;
	struct vm *vm;

	snprintf(kernel, sizeof kernel, "%s/guests/pv.elf", build ? build : "build");
	const struct vm_config config = {
		.board = VM_LGUEST, .family = families[n].family, .ram_bytes = 32u << 20, .um_options = UM_OPT_ALL,
		.cpu_options = CPU_OPT_ALL, .max_tables = tables, .no_reboot = true,
		.console = { .in = -1, .out = fileno(console) },
		.guest = { .kernel = kernel, .command_line = families[n].words },
	};
	vm = vm_new(&config, &error);
	if (!vm && access(kernel, R_OK))
		skip(); /* no 32-bit guests were built here */
	if (!vm)
		fail_msg("%s", error.text);
	return vm;
}

static void judge_output(FILE *console, unsigned family)
{
	static char text[OUTPUT_MAX];
	size_t count;

	rewind(console);
	count = fread(text, 1, sizeof text - 1, console);
	text[count] = 0;
	if (!strstr(text, "\nok ") || strstr(text, "not ok") || !strstr(text, "1.."))
		fail_msg("%s: the guest's own tests: %s", families[family].words, text);
}

static enum vm_end run(unsigned family, uint32_t tables, uint64_t every, int64_t most)
{
	FILE *console = tmpfile();
	struct vm *vm = make(family, tables, console);
	struct um_violation v;
	enum vm_end end;

	come_between(vm, every, most);
	end = vm_run(vm);
	if (end != VM_POWER_OFF && end != VM_NOMEM)
		fail_msg("%s, each %d, at most %d: %s", families[family].words, (int)every, (int)most, vm_last_words(vm));
	v = um_audit(vm_shadow(vm));
	if (v.invariant)
		fail_msg("invariant %d: %s", v.invariant, v.text);
	vm_free(vm);
	if (refusal.tables || refusal.pages)
		fail_msg("%d tables and %d pages were not given back", (int)refusal.tables, (int)refusal.pages);
	if (end == VM_POWER_OFF)
		judge_output(console, family);
	fclose(console);
	return end;
}

/* ---- 3. Tests ------------------------------------------------------------------------------- */

static void b17_each_nth_table_is_refused(void **state)
{
	static const uint64_t every[] = { 2, 3, 5, 16 };

	(void)state;
	for (unsigned family = 0; family < FAMILIES; family++) {
		for (unsigned n = 0; n < sizeof every / sizeof *every; n++) {
			assert_int_equal(run(family, 1024, every[n], 0), VM_POWER_OFF);
			assert_int_not_equal(refusal.refused, 0);
		}
	}
}

/* So few that not even one access can be carried out: the run ends in order.  From some number on the guest lives on
 * eviction alone; a core has a right to UM_MIN_TABLES. */
static void b17_too_few_tables_end_in_order(void **state)
{
	(void)state;
	for (unsigned family = 0; family < FAMILIES; family++) {
		bool survived = false;

		for (int64_t most = 1; most <= UM_MIN_TABLES; most++) {
			bool ends = run(family, 1024, 0, most) == VM_POWER_OFF;

			assert_int_not_equal(refusal.refused, 0);
			if (survived && !ends)
				fail_msg("%s: enough with fewer tables than %d", families[family].words, (int)most);
			survived = ends;
		}
		assert_true(survived);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b17_each_nth_table_is_refused),
		cmocka_unit_test(b17_too_few_tables_end_in_order),
	};

	return cmocka_run_group_tests_name("pv_nomem", tests, NULL, NULL);
}
