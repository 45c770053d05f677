/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_monitor.c - the monitor's looks at page tables: right on any, bounded on the worst.
 *
 *   1. A guest with tables of a test's own
 *   2. Page by page    info tlb against a walk of each address
 *   3. The worst       all of 4 GiB mapped, no page like its neighbour
 *   4. Ranges          info mem
 *   5. Text            info screen
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "scope/monitor.h"
#include "tests/lib/small_vm.h"
#include "tests/lib/tap.h"

/* ---- 1. A guest with tables of a test's own ------------------------------------------------- */

#define DIRECTORY 0x400000u
#define TABLES 0x800000u /* 1024 of them: 4 MiB */
enum { P = 1, RW = 2, US = 4, PS = 1 << 7 };

struct guest {
	struct small_vm small;
	struct scope *scope;
	uint32_t directory[1024];
	uint32_t *tables; /* 1024 x 1024 */
};

static void guest_make(struct guest *g)
{
	char why[256];
	const struct scope_config config = { 0 };
	small_vm_make(&g->small, SMALL_COUNTS, sizeof SMALL_COUNTS - 1, true);
	g->scope = scope_open(g->small.vm, &config, why, sizeof why);
	assert_non_null(g->scope);
	memset(g->directory, 0, sizeof g->directory);
	g->tables = calloc(1024 * 1024, 4);
}

static void guest_free(struct guest *g)
{
	scope_close(g->scope);
	small_vm_free(&g->small);
	free(g->tables);
}

/* Paging on, by these tables. */
static void guest_page(struct guest *g, bool pse)
{
	struct cpu_state s;
	vm_write_physical(g->small.vm, DIRECTORY, g->directory, sizeof g->directory);
	vm_write_physical(g->small.vm, TABLES, g->tables, 4u << 20);
	cpu_get_state(vm_cpu(g->small.vm), &s);
	s.cr3 = DIRECTORY;
	s.cr4 = pse ? 1u << 4 : 0;
	s.cr0 |= 1u << 31;
	cpu_set_state(vm_cpu(g->small.vm), &s);
}

static void run(struct guest *g, struct text *out, const char *line, bool fine)
{
	text_clear(out);
	out->limit = MONITOR_ANSWER;
	if (monitor_run(g->scope, line, out) != fine)
		fail_msg("%s: %s", line, text_string(out));
}

static size_t count_lines(const char *text)
{
	size_t lines = 0;
	for (; (text = strchr(text, '\n')) != NULL; text++)
		lines++;
	return lines;
}

/* ---- 2. Page by page ------------------------------------------------------------------------ */

/* Random ones; some lead nowhere, some to the directory itself. */
static void make_random(struct guest *g)
{
	for (unsigned d = 0; d < 1024; d++) {
		uint32_t table = rand() % 20 ? TABLES + d * 4096 : rand() % 2 ? DIRECTORY : (uint32_t)rand() << 12;
		g->directory[d] = rand() % 8 ? 0 : table | ((uint32_t)rand() & 0xFFF & (rand() % 4 ? ~(uint32_t)PS : ~0u));
		for (unsigned t = 0; t < 1024; t++)
			g->tables[d * 1024 + t] = rand() % 4 ? 0 : (uint32_t)rand() << 12 | ((uint32_t)rand() & 0xFFF);
	}
}

/* The line is of this mapping, and says what the walk says.  Returns its size, 0: it is not. */
static uint64_t check_line(const struct space *space, const char *line, uint32_t address)
{
	struct space_walk w;
	uint32_t at;
	uint64_t gpa;
	char flags[16];
	space_walk(space, address, &w);
	if (sscanf(line, "%" SCNx32 ": %" SCNx64 " %15s", &at, &gpa, flags) != 3 || at != address || !w.present)
		return 0;
	assert_int_equal(gpa, w.gpa);
	assert_int_equal(flags[1] == 'P', w.large);
	assert_int_equal(flags[2] == 'D', w.dirty);
	assert_int_equal(flags[3] == 'A', w.accessed);
	assert_int_equal(flags[6] == 'U', w.user);
	assert_int_equal(flags[7] == 'W', w.writable);
	return w.large ? 4u << 20 : 4096;
}

static void each_page_is_as_a_walk_finds_it(void **state)
{
	struct guest g;
	struct text out = { 0 };
	struct space space;
	(void)state;
	guest_make(&g);
	srand(21);
	for (unsigned long round = 0; round < test_rounds(200) / 100 + 1; round++) {
		make_random(&g);
		guest_page(&g, round % 2);
		space_of_vm(&space, g.small.vm, NULL);
		uint32_t from = (uint32_t)rand() << 12 & 0x7FF00000u, to = from + 0x0FFFFFFF;
		char line[64];
		snprintf(line, sizeof line, "info tlb 0x%x 0x%x", from, to);
		run(&g, &out, line, true);
		const char *at = text_string(&out);
		for (uint64_t address = from; address <= to;) {
			struct space_walk w;
			space_walk(&space, (uint32_t)address, &w);
			uint64_t size = *at ? check_line(&space, at, (uint32_t)address) : 0;
			if (size == 0 && w.present)
				fail_msg("%08" PRIx64 " is mapped and not shown: %.60s", address, at);
			if (size)
				at = strchr(at, '\n') + 1;
			address += size ? size : 4096;
		}
		assert_int_equal(*at, 0);
	}
	text_free(&out);
	guest_free(&g);
}

/* ---- 3. The worst --------------------------------------------------------------------------- */

static void make_full(struct guest *g)
{
	for (uint32_t d = 0; d < 1024; d++) {
		g->directory[d] = (TABLES + d * 4096) | P | RW | US;
		for (uint32_t t = 0; t < 1024; t++)
			g->tables[d * 1024 + t] = (t * 7 % 1024) << 12 | P | (t & 1 ? RW : US);
	}
}

static void full_tables_are_cut_and_can_be_gone_on_with(void **state)
{
	struct guest g;
	struct text out = { 0 };
	unsigned calls = 0, all = test_rounds(100) == 100 ? 64 : 2; /* of them, where everything is slow */
	size_t pages = 0;
	char line[64] = "info tlb";
	(void)state;
	guest_make(&g);
	make_full(&g);
	guest_page(&g, false);
	run(&g, &out, "info mem", true);
	assert_true(count_lines(text_string(&out)) < 17000);
	assert_non_null(strstr(text_string(&out), "left out"));
	for (bool more = true; more && calls < all; calls++) {
		run(&g, &out, line, true);
		const char *on = strstr(text_string(&out), "go on with: ");
		pages += count_lines(text_string(&out)) - (on != NULL);
		more = on != NULL;
		assert_int_equal(more, calls < 63);
		if (more)
			snprintf(line, sizeof line, "%.*s", (int)strcspn(on + 12, ")"), on + 12);
	}
	assert_int_equal(calls, all);
	assert_int_equal(pages, all * 16384);
	text_clear(&out);
	assert_true(monitor_run_json(g.scope, "info tlb", &out));
	json_t *value = json_loadb(text_string(&out), out.size, 0, NULL);
	assert_true(value && json_is_false(json_object_get(value, "complete")));
	assert_int_equal(json_integer_value(json_object_get(value, "next")), 16384 * 4096);
	json_decref(value);
	text_free(&out);
	guest_free(&g);
}

/* ---- 4. Ranges ------------------------------------------------------------------------------ */

static void ranges_join_what_has_the_same_rights(void **state)
{
	struct guest g;
	struct text out = { 0 };
	(void)state;
	guest_make(&g);
	for (unsigned t = 0; t < 1024; t++)
		g.tables[t] = t << 12 | P | (t >= 0x100 && t < 0x108 ? 0 : RW);
	g.tables[5] = 0;
	for (unsigned t = 0; t < 1024; t++)
		g.tables[1023 * 1024 + t] = P | RW | US;
	g.directory[0] = TABLES | P | RW;
	g.directory[1] = 0x00400000 | P | RW | PS;      /* goes on where the first ends */
	g.directory[2] = 0x00602000 | P | RW | PS;      /* reserved bits: no mapping */
	g.directory[1023] = (TABLES + 1023 * 4096) | P | US; /* read-only by its directory entry */
	guest_page(&g, true);
	run(&g, &out, "info mem", true);
	assert_string_equal(text_string(&out), "000000000-000005000 000005000 -rw\n"
	                                       "000006000-000100000 0000fa000 -rw\n"
	                                       "000100000-000108000 000008000 -r-\n"
	                                       "000108000-000800000 0006f8000 -rw\n"
	                                       "0ffc00000-100000000 000400000 ur-\n");
	run(&g, &out, "gva2gpa 0x401234", true);
	assert_string_equal(text_string(&out), "gpa: 0x401234\n");
	run(&g, &out, "gva2gpa 0x5000", false);
	run(&g, &out, "x/1xw 0x5000", true);
	assert_non_null(strstr(text_string(&out), "no memory there"));
	text_free(&out);
	guest_free(&g);
}

/* ---- 5. VGA text memory ------------------------------------------------------------------------- */

static void json_says(struct guest *g, const char *line, unsigned row, const char *wanted)
{
	struct text out = { .limit = MONITOR_ANSWER };
	assert_true(monitor_run_json(g->scope, line, &out));
	json_t *value = json_loads(text_string(&out), 0, NULL);
	assert_int_equal(json_array_size(json_object_get(value, "lines")), 25);
	assert_string_equal(json_string_value(json_array_get(json_object_get(value, "lines"), row)), wanted);
	json_decref(value);
	text_free(&out);
}

static void text_memory_is_shown_as_text(void **state)
{
	static const char head[] = "(there is no display; this is the memory at 0xB8000 as text, ";
	struct guest g;
	struct text out = { 0 };
	uint8_t cells[80 * 25][2] = { 0 };
	char wanted[4096];
	(void)state;
	guest_make(&g);
	run(&g, &out, "info screen", true);
	snprintf(wanted, sizeof wanted, "%sand there is none)\n", head);
	assert_string_equal(text_string(&out), wanted);
	for (unsigned k = 0; k < sizeof cells / sizeof cells[0]; k++)
		cells[k][0] = ' ', cells[k][1] = 7;
	static const uint8_t line[] = { 0xC9, 0xCD, 0xBB, ' ', '"', 'a', '\\', 0x1B, 0x81, 0xDB, 0 };
	for (unsigned k = 0; k < sizeof line; k++)
		cells[80 + k][0] = line[k];
	for (unsigned k = 0; k < 80; k++)
		cells[24 * 80 + k][0] = 'x';
	vm_write_physical(g.small.vm, 0xB8000, cells, sizeof cells);
	run(&g, &out, "info screen", true);
	snprintf(wanted, sizeof wanted, "%s80 columns, 25 rows)\n\n+=+ \"a\\..#\n", head);
	for (unsigned k = 2; k < 24; k++)
		strcat(wanted, "\n");
	for (unsigned k = 0; k < 80; k++)
		strcat(wanted, "x");
	strcat(wanted, "\n");
	assert_string_equal(text_string(&out), wanted);
	json_says(&g, "info screen", 1, "+=+ \"a\\..#");
	json_says(&g, "info screen", 2, "");
	text_free(&out);
	guest_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_page_is_as_a_walk_finds_it),
		cmocka_unit_test(full_tables_are_cut_and_can_be_gone_on_with),
		cmocka_unit_test(ranges_join_what_has_the_same_rights),
		cmocka_unit_test(text_memory_is_shown_as_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
