/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_check_tables.c - checks half, slot and wp: what they report, and what they must not.
 *
 *   1. half      missing for good, filled in, of another kind
 *   2. slot
 *   3. wp
 *   4. Bounds    of what waits, of directories
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/checkbench.h"

#define FIRST RIG_TABLES      /* the directory that the bench begins with */
#define SECOND 0x180000u      /* another one */
#define HEAP 0x40000000u      /* a kernel page by a directory entry of its own */
#define HEAP_TABLE 0x181000u
#define HEAP_FRAME 0x300000u
#define SUPERVISOR 3u         /* present, writable */
#define SLOT_OF(linear) ((linear) >> 22)

static struct bench b;

static uint32_t entry_in(uint32_t directory, uint32_t linear) { return directory + 4 * SLOT_OF(linear); }

/* Two directories that share the first 4 MiB; the heap's entry is in the first one only. */
static void start(unsigned what, uint32_t heap_bits)
{
	bench_start(&b, what, 0, false);
	rig_set_word(b.rig, SECOND, rig_word(b.rig, FIRST));
	rig_set_word(b.rig, HEAP_TABLE, HEAP_FRAME | heap_bits);
	rig_set_word(b.rig, entry_in(FIRST, HEAP), HEAP_TABLE | heap_bits);
	emit_cr3(&b, FIRST);
	emit_load(&b, HEAP);
	emit_cr3(&b, SECOND);
	bench_run(&b, 0);
}

static void silent(void)
{
	(void)check_end(b.check);
	if (bench_count(&b))
		(void)bench_only(&b);
	assert_int_equal(bench_count(&b), 0);
	bench_end(&b);
}

static void found(enum finding_kind kind, uint32_t eip, uint32_t linear, uint32_t value)
{
	const struct finding *f = bench_only(&b);
	assert_int_equal(f->kind, kind);
	assert_true(f->exact);
	assert_int_equal(f->eip, eip);
	assert_int_equal(f->linear, linear);
	assert_int_equal(f->value, value);
	bench_end(&b);
}

/* ---- 1. half -------------------------------------------------------------------------------- */

static void missing_until_the_end(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	uint32_t eip = emit_load(&b, HEAP + 8);
	bench_run(&b, 0);
	assert_int_equal(bench_count(&b), 0);
	(void)check_end(b.check);
	found(FOUND_HALF, eip, HEAP + 8, FIRST);
}

static void missing_until_the_directory_is_left(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	uint32_t eip = emit_load(&b, HEAP);
	bench_run(&b, 0);
	emit_cr3(&b, FIRST);
	bench_run(&b, 0);
	found(FOUND_HALF, eip, HEAP, FIRST);
}

static void missing_for_too_long(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	uint32_t eip = emit_load(&b, HEAP);
	bench_run(&b, 0);
	for (unsigned part = 0; part < 2; part++) { /* mov $n, %ecx; loop . */
		uint32_t turns = part ? MISSING_PATIENCE : MISSING_PATIENCE / 2;
		assert_int_equal(bench_count(&b), 0);
		EMIT(&b, 0xB9, (uint8_t)turns, (uint8_t)(turns >> 8), (uint8_t)(turns >> 16), 0, 0xE2, 0xFE);
		emit_load(&b, 0x200000 + part * 0x1000);
		bench_run(&b, 0);
	}
	found(FOUND_HALF, eip, HEAP, FIRST);
}

static void who_made_the_other_entry(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	emit_cr3(&b, FIRST);
	emit_load(&b, 0x200000);
	uint32_t made = emit_store(&b, entry_in(FIRST, HEAP + 0x400000), HEAP_TABLE | SUPERVISOR);
	emit_cr3(&b, SECOND);
	emit_load(&b, HEAP + 0x400000);
	bench_run(&b, 0);
	(void)check_end(b.check);
	const struct finding *f = bench_only(&b);
	assert_true(f->is_written);
	assert_int_equal(f->write.eip, made);
	assert_int_equal(f->write.new, HEAP_TABLE | SUPERVISOR);
	bench_end(&b);
}

static void copied_when_it_is_missed(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	emit_load(&b, HEAP);
	bench_run(&b, 0);
	emit_store(&b, entry_in(SECOND, HEAP), HEAP_TABLE | SUPERVISOR);
	emit_load(&b, HEAP);
	emit_cr3(&b, FIRST);
	bench_run(&b, 0);
	silent();
}

/* Users' entries differ by design: the kernel was given a bad address. */
static void another_users_entry(void **state)
{
	(void)state;
	start(CHECK_HALF, ENTRY);
	emit_load(&b, HEAP);
	bench_run(&b, 0);
	silent();
}

static void ring_3_misses_it(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	emit_load(&b, HEAP);
	bench_run(&b, 3);
	silent();
}

/* The code runs from above, by a table that both have: what is missing below is no kernel's. */
static void below_the_code(void **state)
{
	(void)state;
	const uint32_t high = 0xC0000000;
	bench_start(&b, CHECK_HALF, 0, false);
	for (unsigned n = 0; n < 2; n++) {
		uint32_t directory = n ? SECOND : FIRST;
		rig_set_word(b.rig, directory, rig_word(b.rig, FIRST));
		rig_set_word(b.rig, entry_in(directory, high), rig_word(b.rig, FIRST));
	}
	rig_set_word(b.rig, HEAP_TABLE, HEAP_FRAME | SUPERVISOR);
	rig_set_word(b.rig, entry_in(FIRST, HEAP), HEAP_TABLE | SUPERVISOR);
	emit_cr3(&b, FIRST);
	emit_load(&b, HEAP);
	emit_cr3(&b, SECOND);
	/* call 1f; 1: pop %eax; add $high + 8, %eax; jmp *%eax: to what follows, from above */
	EMIT(&b, 0xE8, 0, 0, 0, 0, 0x58, 0x05, 8, 0, 0, high >> 24, 0xFF, 0xE0);
	emit_load(&b, HEAP);
	bench_run(&b, 0);
	assert_int_equal(rig_vector(b.rig), 14);
	silent();
}

/* What was a directory, and is data that looks like one at this place. */
static void a_directory_that_was_freed(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	rig_set_word(b.rig, FIRST, 0x12345003);
	emit_load(&b, HEAP);
	bench_run(&b, 0);
	silent();
}

/* The table is there, its entry is not: a page like any other. */
static void only_the_page_is_missing(void **state)
{
	(void)state;
	start(CHECK_HALF | CHECK_SLOT, SUPERVISOR);
	emit_cr3(&b, FIRST);
	emit_load(&b, HEAP + 0x1000);
	bench_run(&b, 0);
	silent();
}

/* ---- 2. slot -------------------------------------------------------------------------------- */

static void start_recursive(uint32_t slot)
{
	bench_start(&b, CHECK_SLOT, 0, false);
	rig_set_word(b.rig, FIRST + 4 * slot, FIRST | SUPERVISOR);
	emit_cr3(&b, FIRST);
	bench_run(&b, 0);
}

static void a_table_through_the_wrong_slot(void **state)
{
	(void)state;
	start_recursive(1022);
	uint32_t eip = emit_load(&b, 0xFFC00804);
	bench_run(&b, 0);
	assert_int_equal(through_slot(0xFFC00804, 1022), 0xFF800804u);
	assert_int_equal(bench_count(&b), 0);
	(void)check_end(b.check);
	found(FOUND_SLOT, eip, 0xFFC00804, 1022);
}

static void the_directory_through_the_wrong_slot(void **state)
{
	(void)state;
	start_recursive(768);
	uint32_t eip = emit_save(&b, 0xFFFFF004);
	bench_run(&b, 0);
	assert_int_equal(through_slot(0xFFFFF004, 768), 0xC0300004u);
	(void)check_end(b.check);
	found(FOUND_SLOT, eip, 0xFFFFF004, 768);
}

static void the_right_slot(void **state)
{
	(void)state;
	start_recursive(1023);
	emit_load(&b, 0xFFC00804);
	emit_load(&b, 0xFFFFF000);
	emit_load(&b, 0xFFD00000); /* the table of an empty slot: a kernel may look whether it is there */
	bench_run(&b, 0);
	silent();
}

/* Any absent address is a table's in some slot; only where that table is there is it plausible. */
static void no_table_there_either(void **state)
{
	(void)state;
	start_recursive(1022);
	emit_load(&b, 0xFFC00000 + 4096 * 5); /* of slot 5, which is empty */
	bench_run(&b, 0);
	silent();
}

/* A page of the kernel's own, in a slot as near, and by chance with the index of a table that is there: it maps it now. */
static void a_page_that_is_made_when_it_is_missed(void **state)
{
	(void)state;
	start_recursive(1023);
	emit_load(&b, 0xF8000000);
	bench_run(&b, 0);
	assert_int_equal(b.check->tables.missings, 1);
	emit_store(&b, entry_in(FIRST, 0xF8000000), HEAP_TABLE | SUPERVISOR);
	emit_load(&b, 0x200000);
	bench_run(&b, 0);
	silent();
}

static void far_from_the_recursive_slot(void **state)
{
	(void)state;
	start_recursive(1023);
	emit_load(&b, HEAP);
	bench_run(&b, 0);
	silent();
}

static void no_slot_is_recursive(void **state)
{
	(void)state;
	bench_start(&b, CHECK_SLOT, 0, false);
	emit_load(&b, 0xFFC00804);
	bench_run(&b, 0);
	silent();
}

/* ---- 3. wp ---------------------------------------------------------------------------------- */

#define PAGE 0x200000u
#define READ_ONLY 1u

static void start_wp(bool set)
{
	bench_start(&b, CHECK_WP, 0, false);
	emit_cr0(&b, set ? CR0_WP : 0, set ? 0 : CR0_WP);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | READ_ONLY);
	emit_invlpg(&b, PAGE);
	bench_run(&b, 0);
}

static void a_write_that_passes(void **state)
{
	(void)state;
	start_wp(false);
	uint32_t eip = emit_save(&b, PAGE + 4);
	bench_run(&b, 0);
	assert_int_equal(rig_vector(b.rig), -1);
	found(FOUND_WP, eip, PAGE + 4, 0);
}

static void a_write_after_a_read(void **state)
{
	(void)state;
	start_wp(false);
	emit_load(&b, PAGE);
	uint32_t eip = emit_save(&b, PAGE);
	bench_run(&b, 0);
	found(FOUND_WP, eip, PAGE, 0);
}

static void a_write_that_faults(void **state)
{
	(void)state;
	start_wp(true);
	emit_save(&b, PAGE);
	bench_run(&b, 0);
	assert_int_equal(rig_vector(b.rig), 14);
	silent();
}

static void reads_and_writable_pages(void **state)
{
	(void)state;
	start_wp(false);
	emit_load(&b, PAGE);
	emit_save(&b, PAGE + 0x1000);
	bench_run(&b, 0);
	silent();
}

static void before_paging_nothing_is_read_only(void **state)
{
	(void)state;
	start_wp(false);
	emit_cr0(&b, 0, CR0_PG);
	emit_save(&b, PAGE);
	bench_run(&b, 0);
	silent();
}

/* ---- 4. Bounds ------------------------------------------------------------------------------ */

static void many_that_are_missing(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	for (unsigned n = 0; n < 3 * MISSING_MAX; n++) {
		for (unsigned pad = 0; pad < n; pad++)
			EMIT(&b, 0x90);
		emit_load(&b, HEAP);
		bench_run(&b, 0);
	}
	(void)check_end(b.check);
	assert_int_equal(bench_count(&b), MISSING_MAX);
	bench_end(&b);
}

static void many_directories(void **state)
{
	(void)state;
	start(CHECK_HALF, SUPERVISOR);
	for (unsigned n = 0; n < 3 * DIRECTORIES_MAX; n++) {
		uint32_t directory = 0x400000 + n * 0x1000;
		rig_set_word(b.rig, directory, rig_word(b.rig, FIRST));
		emit_cr3(&b, directory);
	}
	bench_run(&b, 0);
	assert_int_equal(b.check->tables.directories, DIRECTORIES_MAX);
	assert_int_equal(b.check->tables.directory[0], 0x400000 + (3 * DIRECTORIES_MAX - 1) * 0x1000);
	emit_load(&b, HEAP); /* the one that has it is forgotten */
	bench_run(&b, 0);
	silent();
}

static void the_end_with_fatal(void **state)
{
	(void)state;
	start(CHECK_HALF | CHECK_FATAL, SUPERVISOR);
	emit_load(&b, HEAP);
	bench_run(&b, 0);
	assert_true(check_end(b.check));
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_until_the_end),
		cmocka_unit_test(missing_until_the_directory_is_left),
		cmocka_unit_test(missing_for_too_long),
		cmocka_unit_test(who_made_the_other_entry),
		cmocka_unit_test(copied_when_it_is_missed),
		cmocka_unit_test(another_users_entry),
		cmocka_unit_test(ring_3_misses_it),
		cmocka_unit_test(below_the_code),
		cmocka_unit_test(a_directory_that_was_freed),
		cmocka_unit_test(only_the_page_is_missing),
		cmocka_unit_test(a_table_through_the_wrong_slot),
		cmocka_unit_test(the_directory_through_the_wrong_slot),
		cmocka_unit_test(the_right_slot),
		cmocka_unit_test(no_table_there_either),
		cmocka_unit_test(a_page_that_is_made_when_it_is_missed),
		cmocka_unit_test(far_from_the_recursive_slot),
		cmocka_unit_test(no_slot_is_recursive),
		cmocka_unit_test(a_write_that_passes),
		cmocka_unit_test(a_write_after_a_read),
		cmocka_unit_test(a_write_that_faults),
		cmocka_unit_test(reads_and_writable_pages),
		cmocka_unit_test(before_paging_nothing_is_read_only),
		cmocka_unit_test(many_that_are_missing),
		cmocka_unit_test(many_directories),
		cmocka_unit_test(the_end_with_fatal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
