/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_check_allowed.c - the missing-flush detector is silent: on each pattern of SDM vol. 3, 4.10 that needs no
 * flush, and after each flush that there is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/checkpatterns.h"

static struct bench b;

static void start(unsigned what, uint32_t cr4) { bench_start(&b, what, cr4, false); }

static void not_present_to_present(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, BENCH_PTE(PAGE), 0);
	emit_reload_cr3(&b);
	emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

static void what_was_never_used(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, OTHER);
	emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

static void invlpg_flushes_its_page(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY);
	emit_invlpg(&b, PAGE + 0x123);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

static void cr3_flushes(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY);
	emit_reload_cr3(&b);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

static void paging_off_and_on_flushes(void **state)
{
	(void)state;
	start(CHECK_TLB, CR4_PGE);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | ENTRY | G);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY | G);
	emit_cr0(&b, 0, CR0_PG);
	emit_cr0(&b, CR0_PG, 0);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

/* PGE, and PSE, whichever way (4.10.4.1; 11.9). */
static void toggling_cr4_flushes_global_pages(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 2; n++) {
		uint32_t bit = n ? CR4_PSE : CR4_PGE;
		start(CHECK_TLB, CR4_PGE);
		emit_store(&b, BENCH_PTE(PAGE), PAGE | ENTRY | G);
		bench_use_and_change(&b, PAGE, FRAME | ENTRY | G);
		emit_cr4(&b, n ? bit : 0, n ? 0 : bit);
		emit_load(&b, PAGE);
		bench_silent(&b);
	}
}

static void invlpg_flushes_a_global_page(void **state)
{
	(void)state;
	start(CHECK_TLB, CR4_PGE);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | ENTRY | G);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY | G);
	emit_invlpg(&b, PAGE);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

static void g_means_nothing_without_pge(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | ENTRY | G);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY | G);
	emit_reload_cr3(&b);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

static void more_rights_need_no_flush(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | 5);
	emit_reload_cr3(&b);
	bench_use_and_change(&b, PAGE, PAGE | ENTRY);
	emit_save(&b, PAGE);
	bench_silent(&b);
}

static void accessed_and_dirty_may_be_cleared(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_save(&b, PAGE);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | ENTRY);
	emit_load(&b, PAGE);
	emit_save(&b, PAGE);
	bench_silent(&b);
}

/* A processor sets Dirty by walking, and sees the new entry then. */
static void a_first_write_walks_again(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY);
	emit_save(&b, PAGE);
	bench_silent(&b);
}

static void a_fault_forgets(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | 5);
	emit_reload_cr3(&b);
	emit_load(&b, PAGE);
	emit_save(&b, PAGE); /* faults: read-only, by what is held too */
	bench_run(&b, 0);
	assert_int_equal(rig_vector(b.rig), 14);
	emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

/* With WP clear the supervisor may write what is read-only, by old entry and by new. */
static void rights_count_with_the_wp_of_the_access(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_cr0(&b, 0, CR0_WP);
	emit_save(&b, PAGE);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | 5);
	emit_save(&b, PAGE);
	bench_silent(&b);
}

static void a_large_page_is_flushed_by_any_of_its_addresses(void **state)
{
	(void)state;
	start(CHECK_TLB, CR4_PSE);
	emit_store(&b, BENCH_PDE(LARGE), 0 | PS | ENTRY);
	emit_load(&b, LARGE + PAGE);
	emit_load(&b, LARGE + PAGE + 0x5000);
	emit_store(&b, BENCH_PDE(LARGE), 0x400000 | PS | ENTRY);
	emit_invlpg(&b, LARGE + 0x3FF000);
	emit_load(&b, LARGE + PAGE);
	emit_load(&b, LARGE + PAGE + 0x5000);
	bench_silent(&b);
}

/* The directory entry is forgotten by INVLPG of whatever address. */
static void invlpg_flushes_directory_entries(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	for (unsigned n = 0; n < 2; n++)
		emit_store(&b, TABLE2 + 4 * n, (PAGE + 0x1000 * n) | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	emit_store(&b, BENCH_PDE(LARGE), 0);
	emit_invlpg(&b, PAGE);
	emit_store(&b, BENCH_PDE(LARGE), (RIG_TABLES + 0x1000) | ENTRY);
	emit_load(&b, LARGE + 0x1000);
	bench_silent(&b);
}

/* Another table that says the same of what is used. */
static void a_copied_table_makes_no_difference(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	for (unsigned n = 0; n < 2; n++)
		for (unsigned t = 0; t < 2; t++)
			emit_store(&b, TABLE2 + 0x10000 * t + 4 * n, (PAGE + 0x1000 * n) | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	emit_store(&b, BENCH_PDE(LARGE), (TABLE2 + 0x10000) | ENTRY);
	emit_load(&b, LARGE + 0x1000);
	emit_load(&b, LARGE);
	bench_silent(&b);
}

/* A kernel that gives processes their kernel entries when they fault (as Linux does with vmalloc). */
static void a_global_page_may_be_missing_elsewhere(void **state)
{
	(void)state;
	start(CHECK_TLB, CR4_PGE);
	bench_second_space(&b, 0);
	emit_store(&b, TABLE2, PAGE | ENTRY | G);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	emit_cr3(&b, SPACE2);
	emit_load(&b, LARGE);
	bench_run(&b, 0);
	assert_int_equal(rig_vector(b.rig), 14);
	emit_store(&b, SPACE2 + 4 * (LARGE >> 22), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	bench_silent(&b);
}

/* A task switch that loads CR3 is a flush (7.3; 4.10.4.1). */
static void a_task_switch_flushes(void **state)
{
	const uint32_t tss = 0x2800;
	uint32_t target;
	(void)state;
	start(CHECK_TLB, 0);
	bench_second_space(&b, 0);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY);
	EMIT(&b, 0xEA, 0, 0, 0, 0, RIG_FREE, 0); /* ljmp $RIG_FREE, $0 */
	target = RIG_CODE + b.at;
	emit_load(&b, PAGE);
	bench_task(&b, tss, SPACE2, target);
	bench_run(&b, 0);
	assert_int_equal(cpu_get_cr3(b.rig->cpu), SPACE2);
	assert_int_equal(bench_count(&b), 0);
	bench_end(&b);
}

/* The guest of a host that it tells of changes has no flush to miss. */
static void a_paravirtual_guest_tells(void **state)
{
	(void)state;
	bench_start(&b, CHECK_TLB, 0, true);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_present_to_present),
		cmocka_unit_test(what_was_never_used),
		cmocka_unit_test(invlpg_flushes_its_page),
		cmocka_unit_test(cr3_flushes),
		cmocka_unit_test(paging_off_and_on_flushes),
		cmocka_unit_test(toggling_cr4_flushes_global_pages),
		cmocka_unit_test(invlpg_flushes_a_global_page),
		cmocka_unit_test(g_means_nothing_without_pge),
		cmocka_unit_test(more_rights_need_no_flush),
		cmocka_unit_test(accessed_and_dirty_may_be_cleared),
		cmocka_unit_test(a_first_write_walks_again),
		cmocka_unit_test(a_fault_forgets),
		cmocka_unit_test(rights_count_with_the_wp_of_the_access),
		cmocka_unit_test(a_large_page_is_flushed_by_any_of_its_addresses),
		cmocka_unit_test(invlpg_flushes_directory_entries),
		cmocka_unit_test(a_copied_table_makes_no_difference),
		cmocka_unit_test(a_global_page_may_be_missing_elsewhere),
		cmocka_unit_test(a_task_switch_flushes),
		cmocka_unit_test(a_paravirtual_guest_tells),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
