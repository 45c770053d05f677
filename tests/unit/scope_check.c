/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_check.c - the missing-flush detector, exact on what the manual does not allow (what it does:
 * scope_check_allowed.c).
 *
 *   1. Missing     each kind of change without a flush: who used it, who wrote it
 *   2. Writers     callers, devices, stores over two tables, strings
 *   3. Bounds      a place once, a bounded number of places, records that go
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

/* ---- 1. Missing ----------------------------------------------------------------------------- */

static void found(enum finding_kind kind, uint32_t user, uint32_t writer, uint32_t linear)
{
	const struct finding *f;
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_int_equal(f->kind, kind);
	assert_true(f->exact);
	assert_int_equal(f->eip, user);
	assert_int_equal(f->linear, linear);
	assert_true(f->is_written);
	assert_int_equal(f->write.eip, writer);
	assert_true(f->write.exact);
	bench_end(&b);
}

static void another_frame(void **state)
{
	uint32_t writer, user;
	const struct finding *f;
	(void)state;
	start(CHECK_TLB, 0);
	EMIT(&b, 0x90, 0x90);
	writer = bench_use_and_change(&b, PAGE, FRAME | ENTRY);
	EMIT(&b, 0x90);
	user = emit_load(&b, PAGE + 8);
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_int_equal(f->kind, FOUND_FRAME);
	assert_int_equal(f->eip, user);
	assert_int_equal(f->write.eip, writer);
	assert_int_equal(f->held & ~0xFFFu, PAGE);
	assert_int_equal(f->write.old & ~0x60u, PAGE | ENTRY);
	assert_int_equal(f->write.new, FRAME | ENTRY);
	assert_int_equal(f->write.gpa, BENCH_PTE(PAGE));
	assert_int_equal(f->at - f->write.at, 2);
	assert_int_equal(f->access, UM_READ);
	bench_end(&b);
}

static void unmapped(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, 0);
	writer = bench_use_and_change(&b, PAGE, 0);
	user = emit_load(&b, PAGE);
	found(FOUND_GONE, user, writer, PAGE);
}

/* Unmapped, then mapped elsewhere: it is the first of the two that should have been followed by a flush. */
static void unmapped_and_mapped_again(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, 0);
	writer = bench_use_and_change(&b, PAGE, 0);
	emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	user = emit_load(&b, PAGE);
	found(FOUND_FRAME, user, writer, PAGE);
}

static void made_read_only(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, 0);
	emit_save(&b, PAGE);
	writer = emit_store(&b, BENCH_PTE(PAGE), PAGE | 5);
	user = emit_save(&b, PAGE);
	found(FOUND_RIGHTS, user, writer, PAGE);
}

/* Changing WP is no flush. */
static void made_read_only_while_wp_was_clear(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, 0);
	emit_save(&b, PAGE);
	emit_cr0(&b, 0, CR0_WP);
	writer = emit_store(&b, BENCH_PTE(PAGE), PAGE | 5);
	emit_save(&b, PAGE);
	emit_cr0(&b, CR0_WP, 0);
	user = emit_save(&b, PAGE);
	found(FOUND_RIGHTS, user, writer, PAGE);
}

static void taken_from_the_user(void **state)
{
	const struct finding *f;
	uint32_t user;
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	bench_run(&b, 3);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | 3);
	bench_run(&b, 0);
	assert_int_equal(bench_count(&b), 0);
	user = emit_load(&b, PAGE);
	bench_run(&b, 3);
	f = bench_only(&b);
	assert_int_equal(f->kind, FOUND_RIGHTS);
	assert_int_equal(f->eip, user);
	assert_int_equal(f->ring, 3);
	assert_int_equal(f->access, UM_USER);
	bench_end(&b);
}

static void code_that_was_moved(void **state)
{
	const struct finding *f;
	uint32_t writer;
	(void)state;
	start(CHECK_TLB, 0);
	rig_set_word(b.rig, PAGE, 0xC3C3C3C3);  /* ret */
	rig_set_word(b.rig, FRAME, 0xC3C3C3C3);
	EMIT(&b, 0xE8, 0xFB, 0xFF, 0x1E, 0x00); /* call PAGE */
	writer = emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	EMIT(&b, 0xE8, 0xEC, 0xFF, 0x1E, 0x00); /* call PAGE, from RIG_CODE + 15 */
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_int_equal(f->eip, PAGE);
	assert_int_equal(f->access, UM_FETCH);
	assert_int_equal(f->write.eip, writer);
	bench_end(&b);
}

/* From the same place again and again: no link from block to block hides it. */
static void code_that_is_moved_in_a_loop(void **state)
{
	uint64_t met;
	(void)state;
	start(CHECK_TLB, 0);
	rig_set_word(b.rig, PAGE, 0xC3C3C3C3);
	rig_set_word(b.rig, FRAME, 0xC3C3C3C3);
	EMIT(&b, 0xB9, 6, 0, 0, 0);                              /* mov $6, %ecx */
	uint32_t loop = b.at, by = PAGE - (RIG_CODE + b.at + 5);
	EMIT(&b, 0xE8, (uint8_t)by, (uint8_t)(by >> 8), (uint8_t)(by >> 16), 0); /* call PAGE */
	EMIT(&b, 0x81, 0x35, 0x00, 0x18, 0x10, 0x00, 0x00, 0x00, 0x10, 0x00); /* xorl $0x100000, BENCH_PTE(PAGE) */
	EMIT(&b, 0x49, 0x75, (uint8_t)(loop - (b.at + 3)));      /* dec %ecx; jnz loop */
	bench_run(&b, 0);
	assert_int_equal(bench_only(&b)->access, UM_FETCH);
	check_reports(b.check, &met);
	assert_int_equal(met, 5);
	bench_end(&b);
}

/* A table that is shadowed no more is written by nobody's leave: what was held of it still counts. */
static void a_table_whose_shadow_went(void **state)
{
	uint32_t user;
	const struct finding *f;
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, TABLE2, PAGE | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	bench_run(&b, 0);
	um_shrink(b.rig->um, 100);
	emit_store(&b, TABLE2, FRAME | ENTRY);
	user = emit_load(&b, LARGE);
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_int_equal(f->kind, FOUND_FRAME);
	assert_int_equal(f->eip, user);
	bench_end(&b);
}

/* CR3 keeps it, the wrong address too. */
static void flushes_that_do_not_reach(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, CR4_PGE);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | ENTRY | G);
	writer = bench_use_and_change(&b, PAGE, FRAME | ENTRY | G);
	emit_reload_cr3(&b);
	emit_invlpg(&b, OTHER);
	user = emit_load(&b, PAGE);
	found(FOUND_FRAME, user, writer, PAGE);
}

/* Each piece of a large page is one translation with all others. */
static void a_large_page(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, CR4_PSE);
	emit_store(&b, BENCH_PDE(LARGE), 0 | PS | ENTRY);
	emit_load(&b, LARGE + PAGE);
	writer = emit_store(&b, BENCH_PDE(LARGE), 0x400000 | PS | ENTRY);
	user = emit_load(&b, LARGE + OTHER);
	found(FOUND_FRAME, user, writer, LARGE + OTHER);
}

/* INVLPG of one piece takes all, so the engine must not answer for the others by itself (C1). */
static void a_piece_used_after_the_flush_of_another(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, CR4_PSE);
	emit_store(&b, BENCH_PDE(LARGE), 0 | PS | ENTRY);
	emit_load(&b, LARGE + PAGE);
	emit_load(&b, LARGE + OTHER);
	emit_invlpg(&b, LARGE + PAGE);
	emit_load(&b, LARGE + OTHER);
	writer = emit_store(&b, BENCH_PDE(LARGE), 0x400000 | PS | ENTRY);
	user = emit_load(&b, LARGE + OTHER);
	found(FOUND_FRAME, user, writer, LARGE + OTHER);
}

/* The same for what a fault takes away. */
static void a_page_used_after_its_fault(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, BENCH_PTE(PAGE), PAGE | 5);
	emit_reload_cr3(&b);
	emit_load(&b, PAGE);
	emit_save(&b, PAGE);
	bench_run(&b, 0);
	assert_int_equal(rig_vector(b.rig), 14);
	emit_load(&b, PAGE);
	writer = emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	user = emit_load(&b, PAGE);
	found(FOUND_FRAME, user, writer, PAGE);
}

static void directory(uint32_t then, uint32_t *writer, uint32_t *user)
{
	start(CHECK_TLB, 0);
	for (unsigned n = 0; n < 2; n++) {
		emit_store(&b, TABLE2 + 4 * n, (PAGE + 0x1000 * n) | ENTRY);
		emit_store(&b, TABLE2 + 0x10000 + 4 * n, (FRAME + 0x1000 * n) | ENTRY);
	}
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	*writer = emit_store(&b, BENCH_PDE(LARGE), then);
	*user = emit_load(&b, LARGE + 0x1000); /* was not used before: only the directory's entry is held */
}

static void a_directory_entry_that_leads_to_another_table(void **state)
{
	uint32_t writer, user;
	(void)state;
	directory((TABLE2 + 0x10000) | ENTRY, &writer, &user);
	found(FOUND_UPPER, user, writer, LARGE + 0x1000);
}

static void a_directory_entry_that_is_gone(void **state)
{
	uint32_t writer, user;
	(void)state;
	directory(0, &writer, &user);
	found(FOUND_UPPER, user, writer, LARGE + 0x1000);
}

/* Another table where the old one has nothing: the processor may fault at what is mapped. */
static void a_directory_entry_by_which_it_may_fault(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, TABLE2, PAGE | ENTRY);
	emit_store(&b, TABLE2 + 0x10004, OTHER | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	writer = emit_store(&b, BENCH_PDE(LARGE), (TABLE2 + 0x10000) | ENTRY);
	user = emit_load(&b, LARGE + 0x1000);
	found(FOUND_UPPER, user, writer, LARGE + 0x1000);
}

static void a_directory_entry_made_read_only(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, TABLE2, PAGE | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_save(&b, LARGE);
	writer = emit_store(&b, BENCH_PDE(LARGE), TABLE2 | 5);
	user = emit_save(&b, LARGE);
	found(FOUND_RIGHTS, user, writer, LARGE);
}

/* Two address spaces, one global address, two frames. */
static void a_global_page_that_is_another_elsewhere(void **state)
{
	uint32_t user;
	const struct finding *f;
	(void)state;
	start(CHECK_TLB, CR4_PGE);
	bench_second_space(&b, (TABLE2 + 0x10000) | ENTRY);
	emit_store(&b, TABLE2, PAGE | ENTRY | G);
	emit_store(&b, TABLE2 + 0x10000, FRAME | ENTRY | G);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	emit_cr3(&b, SPACE2);
	user = emit_load(&b, LARGE);
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_int_equal(f->kind, FOUND_SPACES);
	assert_int_equal(f->eip, user);
	bench_end(&b);
}

/* What was gone in the space that it came from is not merely missing here. */
static void a_global_page_that_was_unmapped(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, CR4_PGE);
	bench_second_space(&b, TABLE2 | ENTRY);
	emit_store(&b, TABLE2, PAGE | ENTRY | G);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_load(&b, LARGE);
	writer = emit_store(&b, TABLE2, 0);
	emit_cr3(&b, SPACE2);
	user = emit_load(&b, LARGE);
	found(FOUND_GONE, user, writer, LARGE);
}

/* ---- 2. Writers ----------------------------------------------------------------------------- */

static void callers_are_named(void **state)
{
	const struct finding *f;
	(void)state;
	start(CHECK_TLB, 0);
	/* ebp -> { RIG_STACK - 0x80, 0x11111111 } -> { 0, 0x22222222 } */
	rig_set_word(b.rig, RIG_STACK - 0x100, RIG_STACK - 0x80);
	rig_set_word(b.rig, RIG_STACK - 0xFC, 0x11111111);
	rig_set_word(b.rig, RIG_STACK - 0x80, 0);
	rig_set_word(b.rig, RIG_STACK - 0x7C, 0x22222222);
	EMIT(&b, 0xBD, 0x00, 0xFF, 0x03, 0x00); /* mov $RIG_STACK - 0x100, %ebp */
	bench_use_and_change(&b, PAGE, FRAME | ENTRY);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_int_equal(f->write.depth, 2);
	assert_int_equal(f->write.trace[0], 0x11111111);
	assert_int_equal(f->write.trace[1], 0x22222222);
	bench_end(&b);
}

/* A stack that is a ring, or leads nowhere. */
static void hostile_frames_end(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		start(CHECK_TLB, 0);
		rig_set_word(b.rig, RIG_STACK - 0x100, n ? 0xFFFFFFFC : RIG_STACK - 0x100);
		rig_set_word(b.rig, RIG_STACK - 0xFC, 0x11111111);
		EMIT(&b, 0xBD, 0x00, 0xFF, n == 2 ? 0xFF : 0x03, n == 2 ? 0xFF : 0x00);
		bench_use_and_change(&b, PAGE, FRAME | ENTRY);
		emit_load(&b, PAGE);
		bench_run(&b, 0);
		assert_in_range(bench_only(&b)->write.depth, 0, 1);
		bench_end(&b);
	}
}

static void a_device_wrote_it(void **state)
{
	const struct finding *f;
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	rig_set_word(b.rig, BENCH_PTE(PAGE), FRAME | ENTRY);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_int_equal(f->kind, FOUND_FRAME);
	assert_true(f->is_written);
	assert_true(f->write.device);
	bench_end(&b);
}

/* One store that changes the last entry of a table and the first of the next frame, a table too. */
static void a_store_over_two_tables(void **state)
{
	const uint32_t first = TABLE2 + 0xFFC, second = TABLE2 + 0x1000;
	uint32_t writer;
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, first, PAGE | ENTRY);
	emit_store(&b, second, OTHER | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_store(&b, BENCH_PDE(LARGE) + 4, (TABLE2 + 0x1000) | ENTRY);
	emit_load(&b, LARGE + 0x3FF000);
	emit_load(&b, LARGE + 0x400000);
	/* Two bytes of each: the frame's upper half becomes the other's, the second's lower half without P. */
	writer = emit_store(&b, first + 2, (FRAME >> 16) | 0u << 16);
	emit_load(&b, LARGE + 0x3FF000);
	bench_run(&b, 0);
	assert_int_equal(bench_only(&b)->write.eip, writer);
	emit_load(&b, LARGE + 0x400000);
	bench_run(&b, 0);
	assert_int_equal(bench_count(&b), 2);
	assert_int_equal(b.check->reports.list[1].kind, FOUND_GONE);
	assert_int_equal(b.check->reports.list[1].write.eip, writer);
	assert_false(b.check->reports.list[1].write.device);
	bench_end(&b);
}

static void a_string_over_a_table(void **state)
{
	uint32_t writer, user;
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	emit_load(&b, OTHER);
	EMIT(&b, 0xBF, 0x00, 0x18, 0x10, 0x00);  /* mov $BENCH_PTE(PAGE), %edi */
	EMIT(&b, 0xB9, 2, 0, 0, 0, 0x31, 0xC0);  /* mov $2, %ecx; xor %eax, %eax */
	writer = EMIT(&b, 0xF3, 0xAB);           /* rep stosl */
	user = emit_load(&b, OTHER);
	assert_int_equal(BENCH_PTE(PAGE), 0x101800);
	found(FOUND_GONE, user, writer, OTHER);
}

/* However an instruction writes: a push, an exchange, eight bytes at once. */
static void other_ways_to_write(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		uint32_t writer, user;
		start(CHECK_TLB, 0);
		emit_load(&b, PAGE);
		EMIT(&b, 0x31, 0xC0, 0x31, 0xD2, 0x31, 0xDB, 0x31, 0xC9, 0x40); /* eax = 1, edx = ebx = ecx = 0 */
		EMIT(&b, 0xBC, 0x04, 0x18, 0x10, 0x00);                         /* mov $BENCH_PTE(PAGE) + 4, %esp */
		if (n == 0)
			writer = EMIT(&b, 0x68, 0x07, 0x00, 0x30, 0x00);        /* push $FRAME | ENTRY */
		else if (n == 1)
			writer = EMIT(&b, 0x87, 0x1D, 0x00, 0x18, 0x10, 0x00);  /* xchg %ebx, BENCH_PTE(PAGE) */
		else
			writer = EMIT(&b, 0xF0, 0x0F, 0xC7, 0x0D, 0x00, 0x18, 0x10, 0x00); /* lock cmpxchg8b: fails, */
		if (n == 2) { /* and loads what is there; then it does not fail */
			EMIT(&b, 0x31, 0xDB, 0x31, 0xC9);
			writer = EMIT(&b, 0xF0, 0x0F, 0xC7, 0x0D, 0x00, 0x18, 0x10, 0x00);
		}
		EMIT(&b, 0xBC, 0x00, 0x00, 0x04, 0x00);                         /* mov $RIG_STACK, %esp */
		user = emit_load(&b, PAGE);
		found(n == 0 ? FOUND_FRAME : FOUND_GONE, user, writer, PAGE);
	}
}

/* ---- 3. Bounds ------------------------------------------------------------------------------ */

static void a_place_is_reported_once(void **state)
{
	uint64_t met;
	(void)state;
	start(CHECK_TLB, 0);
	EMIT(&b, 0xB9, 5, 0, 0, 0);                              /* mov $5, %ecx */
	uint32_t loop = b.at;
	emit_load(&b, PAGE);
	EMIT(&b, 0x81, 0x35, 0x00, 0x18, 0x10, 0x00, 0x00, 0x00, 0x10, 0x00); /* xorl $0x100000, BENCH_PTE(PAGE) */
	emit_load(&b, PAGE);
	EMIT(&b, 0x49, 0x75, (uint8_t)(loop - (b.at + 3)));      /* dec %ecx; jnz loop */
	bench_run(&b, 0);
	const struct finding *f = bench_only(&b);
	check_reports(b.check, &met);
	assert_int_equal(met, 5);
	assert_int_equal(f->count, 5);
	bench_end(&b);
}

static void places_are_bounded(void **state)
{
	struct text out = { 0 };
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	for (unsigned n = 0; n < REPORTS_EACH + 44; n++) {
		emit_store(&b, BENCH_PTE(PAGE), (n & 1 ? PAGE : FRAME) | ENTRY);
		emit_load(&b, PAGE);
	}
	bench_run(&b, 0);
	assert_int_equal(bench_count(&b), REPORTS_EACH);
	assert_int_equal(b.check->reports.more, 44);
	check_describe(b.check, true, &out);
	assert_false(out.cut);
	assert_non_null(strstr(text_string(&out), "\"more\":44}"));
	text_free(&out);
	bench_end(&b);
}

/* One kind that is full leaves room for the others. */
static void a_noisy_kind_drowns_no_other(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	for (unsigned n = 0; n < REPORTS_EACH + 1; n++) {
		emit_store(&b, BENCH_PTE(PAGE), (n & 1 ? PAGE : FRAME) | ENTRY);
		emit_load(&b, PAGE);
	}
	emit_store(&b, BENCH_PTE(PAGE), 0);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	assert_int_equal(bench_count(&b), REPORTS_EACH + 1);
	assert_int_equal(b.check->reports.list[REPORTS_EACH].kind, FOUND_GONE);
	bench_end(&b);
}

/* More changed entries than there are records: the newest is known, and one that is not is said to be unknown. */
static void records_go_and_nothing_else_does(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	bench_run(&b, 0);
	memset(b.check->writers.record, 0, sizeof(struct written) * WRITER_SETS * WRITER_WAYS);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	assert_false(bench_only(&b)->is_written);
	/* Each way of one set is taken by another entry; the oldest goes. */
	struct written *set = b.check->writers.record;
	for (uint32_t n = 0; n < WRITER_SETS * WRITER_WAYS * 4; n++)
		set[n % (WRITER_SETS * WRITER_WAYS)] = (struct written){ .gpa = 0x80000000u + 4 * n, .at = 1 };
	emit_store(&b, BENCH_PTE(PAGE), PAGE | ENTRY);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	assert_int_equal(bench_count(&b), 2);
	assert_true(b.check->reports.list[1].is_written);
	bench_end(&b);
}

static void generations_come_round(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	struct line old = *model_page(&b.check->model, PAGE);
	b.check->model.local = UINT32_MAX;
	b.check->model.page[PAGE >> 12] = old;
	emit_reload_cr3(&b);
	emit_store(&b, BENCH_PTE(PAGE), FRAME | ENTRY);
	bench_run(&b, 0);
	assert_int_equal(b.check->model.page[PAGE >> 12].generation, 0);
	emit_load(&b, PAGE);
	bench_silent(&b);
}

static void fatal_ends_the_run(void **state)
{
	(void)state;
	start(CHECK_TLB | CHECK_FATAL, 0);
	bench_use_and_change(&b, PAGE, FRAME | ENTRY);
	emit_load(&b, PAGE);
	b.stopped = "expected";
	bench_run(&b, 0);
	assert_non_null(strstr(b.stopped, "fatal"));
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_frame),
		cmocka_unit_test(unmapped),
		cmocka_unit_test(unmapped_and_mapped_again),
		cmocka_unit_test(made_read_only),
		cmocka_unit_test(made_read_only_while_wp_was_clear),
		cmocka_unit_test(taken_from_the_user),
		cmocka_unit_test(code_that_was_moved),
		cmocka_unit_test(code_that_is_moved_in_a_loop),
		cmocka_unit_test(a_table_whose_shadow_went),
		cmocka_unit_test(flushes_that_do_not_reach),
		cmocka_unit_test(a_large_page),
		cmocka_unit_test(a_piece_used_after_the_flush_of_another),
		cmocka_unit_test(a_page_used_after_its_fault),
		cmocka_unit_test(a_directory_entry_that_leads_to_another_table),
		cmocka_unit_test(a_directory_entry_that_is_gone),
		cmocka_unit_test(a_directory_entry_by_which_it_may_fault),
		cmocka_unit_test(a_directory_entry_made_read_only),
		cmocka_unit_test(a_global_page_that_is_another_elsewhere),
		cmocka_unit_test(a_global_page_that_was_unmapped),
		cmocka_unit_test(callers_are_named),
		cmocka_unit_test(hostile_frames_end),
		cmocka_unit_test(a_device_wrote_it),
		cmocka_unit_test(a_store_over_two_tables),
		cmocka_unit_test(a_string_over_a_table),
		cmocka_unit_test(other_ways_to_write),
		cmocka_unit_test(a_place_is_reported_once),
		cmocka_unit_test(places_are_bounded),
		cmocka_unit_test(a_noisy_kind_drowns_no_other),
		cmocka_unit_test(records_go_and_nothing_else_does),
		cmocka_unit_test(generations_come_round),
		cmocka_unit_test(fatal_ends_the_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
