/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_boot.c - how a guest begins: registers, recognition, LGUEST_INIT, and that each family maps,
 * faults and calls.
 *
 *   1. The start
 *   2. Recognition
 *   3. INIT
 *   4. Boot
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/lguest/internal.h"
#include "shadow/core.h"
#include "tests/lib/lguest_rig.h"
#include "tests/lib/tap.h"

#define assert_reason(rig, text) assert_non_null(strstr(lguest_reason((rig)->lg), (text)))

static const struct lgrig_config plain = { .um_options = UM_OPT_ALL, .cpu_options = CPU_OPT_ALL, .max_roots = 8,
	                                   .max_tables = 256, .prefetch = 8, .tsc_khz = 1000000 };

/* Not told its family. */
static struct lgrig *unknown(enum lguest_family family)
{
	struct lgrig_config config = plain;

	config.family = family;
	return lgrig_new_with(&config);
}

/* ---- 1. The start --------------------------------------------------------------------------- */

static void test_registers_at_entry(void **state)
{
	struct lgrig *rig = lgrig_new(LGUEST_B);
	struct cpu_state s;

	(void)state;
	cpu_get_state(rig->cpu, &s);
	for (unsigned r = 0; r < 8; r++)
		assert_int_equal(s.gpr[r], 0);
	assert_int_equal(s.eip, LGRIG_TEXT);
	assert_int_equal(s.eflags, 0x202);
	assert_int_equal(s.seg[CPU_CS].selector, 0x61);
	assert_int_equal(s.seg[CPU_SS].selector, 0x69);
	assert_int_equal(s.seg[CPU_DS].selector, 0x69);
	assert_int_equal(s.seg[CPU_ES].selector, 0x69);
	assert_int_equal(s.seg[CPU_FS].selector, 0);
	assert_int_equal(s.seg[CPU_GS].selector, 0);
	assert_int_equal(s.cr3, LGRIG_BOOT_DIR);
	assert_true(s.cr0 & 1u << 31);
	assert_true(s.cr0 & 1u << 16);
	assert_false(s.cr0 & 8);
	lgrig_free(rig);
}

static void test_window_holds_two_pages_of_the_host(void **state)
{
	struct lgrig *rig = lgrig_new(LGUEST_F);
	struct um_map map;

	(void)state;
	lgrig_boot(rig);
	assert_int_equal(um_window_lookup(rig->um, LGUEST_WINDOW + 0x1000, &map), UM_OK);
	assert_int_equal(map.rights, UM_WRITE);
	/* The save area: the last call's registers. */
	const uint32_t *save = (const uint32_t *)(uintptr_t)((map.hfn << 12) + 4024);
	assert_int_equal(save[0], LGCALL_NEW_PGTABLE);
	assert_int_equal(save[1], rig->space);
	assert_int_equal(save[11], 31);
	assert_int_equal(save[14], 0x61);
	assert_int_equal(um_window_lookup(rig->um, LGUEST_WINDOW + 0x2000, &map), UM_OK);
	assert_int_equal(map.rights, 0);
	const uint8_t *page = (const uint8_t *)(uintptr_t)(map.hfn << 12);
	uint32_t esp1, gdt12;
	memcpy(&esp1, page + 44, 4);
	memcpy(&gdt12, page + 2184 + 12 * 8 + 4, 4);
	assert_int_equal(esp1, lgrig_va(LGRIG_STACK_END) - 8);
	assert_int_equal(gdt12, 0x00CFBB00);
	lgrig_free(rig);
}

/* ---- 2. Recognition ------------------------------------------------------------------------- */

static void test_each_family_is_recognised_by_its_first_call(void **state)
{
	static const enum lguest_family as[LGUEST_FAMILIES] = { 0, LGUEST_B, LGUEST_C, LGUEST_D, LGUEST_E,
		                                                LGUEST_F, LGUEST_F /* G1 looks like F */,
		                                                LGUEST_G2 };

	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = unknown((enum lguest_family)family);

		assert_int_equal(lguest_family(rig->lg), LGUEST_AUTO);
		assert_int_equal(lgrig_init(rig), LGRIG_DONE);
		assert_int_equal(lguest_family(rig->lg), as[family]);
		lgrig_free(rig);
	}
}

static void test_family_a_is_refused_in_plain_words(void **state)
{
	struct lgrig *rig = unknown(LGUEST_B);
	uint8_t data[1120] = { 0 };

	(void)state;
	memset(data + 12, 0xFF, 64);
	lgrig_store(rig, LGRIG_DATA, data, sizeof data);
	assert_int_equal(lgrig_init(rig), LGRIG_ENDED);
	assert_int_equal(lguest_ended(rig->lg), LGUEST_KILLED);
	assert_reason(rig, "2.6.23");
	lgrig_free(rig);
}

static void test_what_is_no_lguest_data_is_not_taken_for_one(void **state)
{
	struct lgrig *rig = unknown(LGUEST_F);

	(void)state;
	assert_int_equal(lgrig_call(rig, LGCALL_INIT, LGRIG_SCRATCH, 0, 0, 0), LGRIG_ENDED);
	assert_reason(rig, "bad guest page");
	lgrig_free(rig);
}

static void test_names_of_families(void **state)
{
	enum lguest_family family;

	(void)state;
	assert_true(lguest_parse_family("g", &family));
	assert_int_equal(family, LGUEST_G2);
	assert_true(lguest_parse_family("b", &family));
	assert_int_equal(family, LGUEST_B);
	assert_true(lguest_parse_family("Auto", &family));
	assert_int_equal(family, LGUEST_AUTO);
	assert_false(lguest_parse_family("A", &family));
	assert_false(lguest_parse_family("", &family));
	assert_string_equal(lguest_family_name(LGUEST_G1), "G1");
}

/* ---- 3. INIT -------------------------------------------------------------------------------- */

static void test_init_fills_the_structure(void **state)
{
	static const uint16_t reserve[] = { 0, 1108, 1108, 1368, 1368, 1368, 1368, 1368 };
	static const uint16_t pgdir[] = { 0, 1116, 1116, 1376, 1376, 0, 0, 0 };

	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = lgrig_new((enum lguest_family)family);

		rig->seconds = 0x4711;
		rig->nanoseconds = 815;
		assert_int_equal(lgrig_init(rig), LGRIG_DONE);
		assert_int_equal(lgrig_data(rig, reserve[family]), LGUEST_WINDOW_BYTES);
		assert_int_equal(lgrig_data(rig, reserve[family] + 4u), 1000000);
		if (pgdir[family])
			assert_int_equal(lgrig_data(rig, pgdir[family]), LGRIG_BOOT_DIR);
		assert_int_equal(lgrig_data(rig, LGDATA_SECONDS), 0x4711);
		assert_int_equal(lgrig_data(rig, LGDATA_NANOSECONDS), 815);
		assert_int_equal(lgrig_data(rig, LGDATA_IRQ_ENABLED), 0);
		assert_int_equal(lgrig_init(rig), LGRIG_ENDED);
		assert_reason(rig, "already have lguest_data");
		lgrig_free(rig);
	}
}

static void test_calls_before_init_kill(void **state)
{
	static const uint32_t numbers[] = { 0, 2, 4, 10, 17, 99, 0xFFFFFFFF };

	(void)state;
	for (unsigned n = 0; n < sizeof numbers / sizeof *numbers; n++) {
		struct lgrig *rig = unknown(LGUEST_F);

		assert_int_equal(lgrig_call(rig, numbers[n], 0, 0, 0, 0), LGRIG_ENDED);
		assert_reason(rig, "before INIT");
		lgrig_free(rig);
	}
}

static void init_with(unsigned offset, uint32_t value, const char *reason)
{
	struct lgrig *rig = lgrig_new(LGUEST_F);

	lgrig_put(rig, LGRIG_DATA + offset, value);
	assert_int_equal(lgrig_init(rig), LGRIG_ENDED);
	assert_reason(rig, reason);
	lgrig_free(rig);
}

static void test_init_refuses_what_it_cannot_serve(void **state)
{
	(void)state;
	init_with(1388, 0x21, "bad syscall vector");
	init_with(1388, 0x8000, "bad syscall vector");
	init_with(1388, 14, "bad syscall vector");
	init_with(1384, 0xFFC00000, "bad kernel address");
	init_with(1384, 0xFFFFFFFF, "bad kernel address");
}

static void init_at(uint32_t gpa, bool fine)
{
	struct lgrig *rig = lgrig_new(LGUEST_F);
	uint8_t data[1392];

	memcpy(data, rig->ram + LGRIG_DATA, sizeof data);
	if (fine)
		lgrig_store(rig, gpa, data, sizeof data);
	assert_int_equal(lgrig_call(rig, LGCALL_INIT, gpa, 0, 0, 0), fine ? LGRIG_DONE : LGRIG_ENDED);
	if (!fine)
		assert_reason(rig, "bad guest page");
	lgrig_free(rig);
}

static void test_the_structure_may_end_at_the_limit_and_no_further(void **state)
{
	(void)state;
	init_at(LGRIG_LIMIT - 1392, true);
	init_at(LGRIG_LIMIT - 1391, false);
	init_at(0xFFFFFFFF, false);
	init_at(0xFFFFF000, false);
}

/* Built for another split than the loader's guess. */
static void test_a_kernel_elsewhere_finds_its_alias(void **state)
{
	struct lgrig *rig = lgrig_new(LGUEST_E);

	(void)state;
	lgrig_put(rig, LGRIG_DATA + 1388, 0x80000000);
	assert_int_equal(lgrig_init(rig), LGRIG_DONE);
	assert_int_equal(lgrig_touch(rig, 0x80000000 + LGRIG_SCRATCH, UM_WRITE), LGRIG_DONE);
	lgrig_free(rig);
}

/* ---- 4. Boot -------------------------------------------------------------------------------- */

static void test_each_family_boots_and_maps(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		for (unsigned by_ring = 0; by_ring < 2; by_ring++) {
			struct lgrig *rig = lgrig_new((enum lguest_family)family);
			uint32_t page, other;

			rig->by_ring = by_ring;
			lgrig_boot(rig);
			page = lgrig_page(rig);
			lgrig_map(rig, rig->space, 0x10000000, page | 7);
			assert_int_equal(lgrig_touch(rig, 0x10000000, UM_USER | UM_WRITE), LGRIG_DONE);
			assert_int_equal(lgrig_get(rig, lgrig_entry(rig, rig->space, 0x10000000)), page | 0x67);
			assert_int_equal(lgrig_touch(rig, 0x10001000, UM_USER | UM_WRITE), LGRIG_REFLECTED);
			assert_int_equal(rig->frame.vector, 14);
			assert_int_equal(rig->frame.error, UM_USER | UM_WRITE);
			assert_true(rig->frame.from_user);
			assert_int_equal(lgrig_data(rig, LGDATA_CR2), 0x10001000);
			other = lgrig_space(rig);
			assert_int_equal(lgrig_call(rig, LGCALL_NEW_PGTABLE, other, 0, 0, 0), LGRIG_DONE);
			assert_int_equal(lgrig_touch(rig, 0x10000000, UM_USER), LGRIG_REFLECTED);
			lgrig_free(rig);
		}
	}
}

/* Families F and G live 1:1, and there is nothing above the limit. */
static void test_one_to_one_until_the_first_table(void **state)
{
	struct lgrig *rig = lgrig_new(LGUEST_F);

	(void)state;
	assert_int_equal(lgrig_touch(rig, LGRIG_LIMIT - 1, UM_WRITE), LGRIG_DONE);
	assert_int_equal(lgrig_touch(rig, LGRIG_LIMIT, 0), LGRIG_ENDED);
	assert_reason(rig, "bad page table entry");
	lgrig_free(rig);
	rig = lgrig_new(LGUEST_G2);
	assert_int_equal(lgrig_touch(rig, 0xFFFFF000, 0), LGRIG_ENDED);
	assert_reason(rig, "bad page table entry");
	lgrig_free(rig);
}

/* What a life leaves behind: of everything that there is something. */
static void live(struct lgrig *rig)
{
	uint32_t top;

	lgrig_boot(rig);
	top = lgrig_space(rig);
	lgrig_call(rig, LGCALL_NEW_PGTABLE, top, 0, 0, 0);
	lgrig_call(rig, LGCALL_TS, 1, 0, 0, 0);
	lgrig_call(rig, LGCALL_SET_CLOCKEVENT, 1000000, 0, 0, 0);
	assert_true(lgrig_queue(rig, LGCALL_TS, 1, 0, 0, 0));
	lgrig_put(rig, LGRIG_SCRATCH, 0x0000FFFF);
	lgrig_put(rig, LGRIG_SCRATCH + 4, 0x00CFF300);
	lgrig_call(rig, LGCALL_LOAD_TLS, LGRIG_SCRATCH, 0, 0, 0);
	lgrig_put(rig, LGRIG_DATA + LGDATA_BLOCKED, 0);
	lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, 0);
	lguest_raise(rig->lg, 3);
	lgrig_poll(rig); /* it waits */
	rig->lg->segments_stale = true; /* (as a host without memory leaves it) */
	assert_true(rig->lg->waiting && rig->lg->pending && rig->lg->alarm != UINT64_MAX && rig->lg->cursor);
	assert_true(rig->lg->tells && rig->lg->ts && rig->lg->stack_pages && rig->lg->gate[14][1]);
	/* No entry names a page there: the core stops. */
	lgrig_map(rig, top, 0x10000000, 0xF0000067);
	assert_int_equal(lgrig_touch(rig, 0x10000000, UM_USER), LGRIG_ENDED);
}

/* What may differ between a guest's first life and a later one. */
static void put_aside(struct lguest *lg, const struct lguest *from)
{
	memcpy(lg, from, sizeof *lg);
	memset(&lg->world, 0, sizeof lg->world);
	lg->pages = NULL;
	lg->save = NULL;
	lg->sample = 0;
	assert_int_equal(lg->reason[0], 0);
	memset(lg->reason, 0, sizeof lg->reason);
}

static void compare_lives(const struct lgrig *a, const struct lgrig *b)
{
	struct cpu_state states[2];
	struct lguest hosts[2];

	put_aside(&hosts[0], a->lg);
	put_aside(&hosts[1], b->lg);
	assert_memory_equal(&hosts[0], &hosts[1], sizeof hosts[0]);
	assert_memory_equal(a->lg->pages, b->lg->pages, 2 * UM_PAGE_SIZE);
	memset(states, 0, sizeof states);
	cpu_get_state(a->cpu, &states[0]);
	cpu_get_state(b->cpu, &states[1]);
	assert_memory_equal(&states[0], &states[1], sizeof states[0]);
	assert_int_equal(a->um->learn, b->um->learn);
	assert_int_equal(a->um->bound, b->um->bound);
	assert_int_equal(a->um->user_end, b->um->user_end);
	assert_int_equal(a->um->mode, b->um->mode);
}

static void test_a_restart_begins_from_nothing(void **state)
{
	static const enum lguest_family families[] = { LGUEST_B, LGUEST_E, LGUEST_F };

	(void)state;
	for (unsigned n = 0; n < sizeof families / sizeof *families; n++) {
		struct lguest_boot boot = { .entry = LGRIG_TEXT };
		struct lgrig *rig = lgrig_new(families[n]), *fresh = lgrig_new(families[n]);

		if (families[n] < LGUEST_F)
			boot.pgdir = LGRIG_BOOT_DIR;
		live(rig);
		assert_true(lguest_start(rig->lg, families[n], &boot));
		compare_lives(fresh, rig);
		rig->booted = false;
		rig->slot = 0;
		lgrig_fill_data(rig);
		lgrig_boot(rig);
		lgrig_put(rig, LGRIG_DATA + LGDATA_BLOCKED, 0);
		lgrig_put(rig, LGRIG_DATA + LGDATA_IRQ_ENABLED, 0x200);
		assert_int_equal(lgrig_poll(rig), LGRIG_DONE);
		lgrig_free(rig);
		lgrig_free(fresh);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers_at_entry),
		cmocka_unit_test(test_window_holds_two_pages_of_the_host),
		cmocka_unit_test(test_each_family_is_recognised_by_its_first_call),
		cmocka_unit_test(test_family_a_is_refused_in_plain_words),
		cmocka_unit_test(test_what_is_no_lguest_data_is_not_taken_for_one),
		cmocka_unit_test(test_names_of_families),
		cmocka_unit_test(test_init_fills_the_structure),
		cmocka_unit_test(test_calls_before_init_kill),
		cmocka_unit_test(test_init_refuses_what_it_cannot_serve),
		cmocka_unit_test(test_the_structure_may_end_at_the_limit_and_no_further),
		cmocka_unit_test(test_a_kernel_elsewhere_finds_its_alias),
		cmocka_unit_test(test_each_family_boots_and_maps),
		cmocka_unit_test(test_one_to_one_until_the_first_table),
		cmocka_unit_test(test_a_restart_begins_from_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lguest_boot", tests, NULL, NULL);
}
