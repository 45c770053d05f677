/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_calls.c - hypercalls: which there are, the ring, text, the end; and page-table calls as far
 * as they concern the host rather than the core.
 *
 *   1. Numbers
 *   2. The ring
 *   3. NOTIFY
 *   4. SHUTDOWN
 *   5. Page tables
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lguest_rig.h"
#include "tests/lib/tap.h"

#define assert_reason(rig, text) assert_non_null(strstr(lguest_reason((rig)->lg), (text)))
#define USER 0x10000000u

static struct lgrig *booted(enum lguest_family family)
{
	struct lgrig *rig = lgrig_new(family);

	lgrig_boot(rig);
	return rig;
}

static void end(struct lgrig *rig, enum lguest_end how, const char *text)
{
	assert_int_equal(lguest_ended(rig->lg), how);
	assert_reason(rig, text);
	lgrig_free(rig);
}

static void put_text(struct lgrig *rig, uint32_t gpa, const char *text)
{
	lgrig_store(rig, gpa, text, (uint32_t)strlen(text) + 1);
}

/* ---- 1. Numbers ----------------------------------------------------------------------------- */

/* Families that have the call: a bit for each of B, C, D, E, F, G1, G2. */
static void test_each_family_has_its_calls_and_no_others(void **state)
{
	static const struct { uint32_t number; unsigned families; } calls[] = {
		{ 0, 0x7F }, { 3, 0x03 }, { 11, 0 }, { 12, 0 }, { 15, 0x7F }, { 16, 0x7F }, { 17, 0x1F },
		{ 18, 0x7C }, { 19, 0x7C }, { 20, 0 }, { 21, 0 }, { 256, 0 }, { 0x80000000, 0 }, { 0xFFFFFFFF, 0 },
	};

	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		for (unsigned n = 0; n < sizeof calls / sizeof *calls; n++) {
			struct lgrig *rig = booted((enum lguest_family)family);
			bool has = calls[n].families >> (family - LGUEST_B) & 1;
			uint32_t first = calls[n].number == 18 ? 14 : LGRIG_SCRATCH;
			uint32_t high = calls[n].number == 18 ? 0x00CFFB00 : 0;

			memset(rig->ram + LGRIG_SCRATCH, 0, 256);
			enum lgrig_result r = lgrig_call(rig, calls[n].number, first, 0, high, 0);
			assert_int_equal(r, has ? LGRIG_DONE : LGRIG_ENDED);
			if (!has)
				assert_reason(rig, "Bad hypercall");
			lgrig_free(rig);
		}
	}
}

/* SET_PMD of the middle level: Linux makes it only with PAE. */
static void test_pae_guests_are_told_so(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	lgrig_call(rig, LGCALL_SET_MIDDLE, LGRIG_SCRATCH, 0, 0, 0);
	end(rig, LGUEST_KILLED, "PAE");
	rig = booted(LGUEST_B);
	lgrig_call(rig, LGCALL_SET_MIDDLE, LGRIG_SCRATCH, 0, 0, 0);
	end(rig, LGUEST_KILLED, "Bad hypercall 13");
	rig = booted(LGUEST_E);
	lgrig_call(rig, LGCALL_SET_PGD, LGRIG_SCRATCH + 32, 1, 0, 0);
	end(rig, LGUEST_KILLED, "PAE");
	rig = booted(LGUEST_F);
	lgrig_call(rig, LGCALL_NEW_PGTABLE, LGRIG_SCRATCH + 32, 0, 0, 0);
	end(rig, LGUEST_KILLED, "PAE");
	/* By the form of its first table. */
	rig = lgrig_new(LGUEST_G2);
	assert_int_equal(lgrig_init(rig), LGRIG_DONE);
	memset(rig->ram + LGRIG_SCRATCH, 0, 4096);
	lgrig_put(rig, LGRIG_SCRATCH, 0x20001);
	lgrig_put(rig, LGRIG_SCRATCH + 24, 0x20001);
	lgrig_call(rig, LGCALL_NEW_PGTABLE, LGRIG_SCRATCH, 0, 0, 0);
	end(rig, LGUEST_KILLED, "PAE");
}

static void test_no_call_changes_a_register(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);
	struct cpu_regs regs;

	(void)state;
	lgrig_call(rig, LGCALL_TS, 0, 0x11111111, 0x22222222, 0x33333333);
	cpu_get_regs(rig->cpu, &regs);
	assert_int_equal(regs.gpr[CPU_EAX], LGCALL_TS);
	assert_int_equal(regs.gpr[CPU_ECX], 0x11111111);
	assert_int_equal(regs.gpr[CPU_EDX], 0x22222222);
	assert_int_equal(regs.gpr[CPU_ESI], 0x33333333);
	assert_int_equal(regs.eip, lgrig_va(LGRIG_TEXT) + 2);
	assert_int_equal(regs.eflags & 0x200, 0x200);
	lgrig_free(rig);
}

static void test_vmcall_counts_where_it_is_the_call(void **state)
{
	struct lgrig *rig = booted(LGUEST_D);

	(void)state;
	cpu_set_gpr(rig->cpu, CPU_EAX, 0);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x0F, 0x01, 0xC1), LGRIG_DONE);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x0F, 0x01, 0xD9), LGRIG_DONE); /* VMMCALL */
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0xCD, 0x1F), LGRIG_DONE);
	assert_int_equal(LGRIG_EXECUTE(rig, 3, 0x0F, 0x01, 0xC1), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 6);
	lgrig_free(rig);
	rig = booted(LGUEST_F);
	assert_int_equal(LGRIG_EXECUTE(rig, 1, 0x0F, 0x01, 0xC1), LGRIG_REFLECTED);
	assert_int_equal(rig->frame.vector, 6);
	assert_int_equal(rig->frame.eip, lgrig_va(LGRIG_TEXT));
	lgrig_free(rig);
}

static void test_calls_from_programs_are_protection_faults(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = booted((enum lguest_family)family);

		assert_int_equal(LGRIG_EXECUTE(rig, 3, 0xCD, 0x1F), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 13);
		assert_int_equal(rig->frame.error, 0xFA);
		assert_int_equal(rig->frame.eip, LGRIG_USER_TEXT);
		lgrig_free(rig);
	}
}

/* ---- 2. The ring ---------------------------------------------------------------------------- */

/* Whatever is queued happens in its order, before the direct call that follows. */
static void test_ring_is_emptied_in_order_before_a_direct_call(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = booted((enum lguest_family)family);
		uint32_t first = lgrig_space(rig), second = lgrig_space(rig);
		struct cpu_state s;
		struct lguest_stats stats;

		assert_true(lgrig_queue(rig, LGCALL_NEW_PGTABLE, first, 0, 0, 0));
		assert_true(lgrig_queue(rig, LGCALL_NEW_PGTABLE, second, 0, 0, 0));
		assert_int_equal(lgrig_call(rig, LGCALL_FLUSH_ASYNC, 0, 0, 0, 0), LGRIG_DONE);
		cpu_get_state(rig->cpu, &s);
		assert_int_equal(s.cr3, second);
		lguest_get_stats(rig->lg, &stats);
		assert_int_equal(stats.call[LGCALL_NEW_PGTABLE].async, 2);
		assert_int_equal(stats.call[LGCALL_FLUSH_ASYNC].direct, 1);
		/* The direct call comes last. */
		assert_true(lgrig_queue(rig, LGCALL_NEW_PGTABLE, second, 0, 0, 0));
		assert_int_equal(lgrig_call(rig, LGCALL_NEW_PGTABLE, first, 0, 0, 0), LGRIG_DONE);
		cpu_get_state(rig->cpu, &s);
		assert_int_equal(s.cr3, first);
		lgrig_free(rig);
	}
}

static void test_ring_goes_round(void **state)
{
	struct lgrig *rig = booted(LGUEST_B);
	struct lguest_stats stats;

	(void)state;
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned n = 0; n < 50; n++)
			assert_true(lgrig_queue(rig, LGCALL_TS, n & 1, 0xDEAD, 0xBEEF, 0));
		assert_int_equal(lgrig_call(rig, LGCALL_FLUSH_ASYNC, 0, 0, 0, 0), LGRIG_DONE);
	}
	for (unsigned n = 0; n < 64; n++)
		assert_true(lgrig_queue(rig, LGCALL_TS, 0, 0, 0, 0));
	assert_false(lgrig_queue(rig, LGCALL_TS, 0, 0, 0, 0)); /* full */
	assert_int_equal(lgrig_call(rig, LGCALL_FLUSH_ASYNC, 0, 0, 0, 0), LGRIG_DONE);
	lguest_get_stats(rig->lg, &stats);
	assert_int_equal(stats.call[LGCALL_TS].async, 5 * 50 + 64);
	for (unsigned n = 0; n < 64; n++)
		assert_int_equal(rig->ram[LGRIG_DATA + 20 + n], 0xFF);
	lgrig_free(rig);
}

/* Anything but 0xFF is pending. */
static void test_status_of_a_slot(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);
	const uint8_t odd = 0x01;
	struct lguest_stats stats;

	(void)state;
	assert_true(lgrig_queue(rig, LGCALL_TS, 1, 0, 0, 0));
	lgrig_store(rig, LGRIG_DATA + 24, &odd, 1);
	lgrig_call(rig, LGCALL_FLUSH_ASYNC, 0, 0, 0, 0);
	lguest_get_stats(rig->lg, &stats);
	assert_int_equal(stats.call[LGCALL_TS].async, 1);
	assert_int_equal(rig->ram[LGRIG_DATA + 24], 0xFF);
	lgrig_free(rig);
}

/* Page faults and interrupts leave it alone. */
static void test_ring_waits_for_a_direct_call(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	assert_true(lgrig_queue(rig, LGCALL_TS, 1, 0, 0, 0));
	assert_int_equal(lgrig_touch(rig, USER, UM_USER), LGRIG_REFLECTED);
	lgrig_poll(rig);
	assert_int_equal(rig->ram[LGRIG_DATA + 24], 0);
	lgrig_call(rig, LGCALL_SEND_INTERRUPTS, 0, 0, 0, 0);
	assert_int_equal(rig->ram[LGRIG_DATA + 24], 0xFF);
	lgrig_free(rig);
}

static void test_a_bad_call_in_the_ring_ends_all(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	assert_true(lgrig_queue(rig, 77, 0, 0, 0, 0));
	assert_true(lgrig_queue(rig, 78, 0, 0, 0, 0));
	lgrig_call(rig, 79, 0, 0, 0, 0);
	end(rig, LGUEST_KILLED, "Bad hypercall 77");
}

/* ---- 3. NOTIFY ------------------------------------------------------------------------------ */

static void test_notify_is_a_devices_or_text(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	put_text(rig, 0xBFFE, "over the page's end"); /* crosses a page */
	assert_int_equal(lgrig_call(rig, LGCALL_NOTIFY, 0xBFFE, 0, 0, 0), LGRIG_DONE);
	assert_string_equal(rig->text, "over the page's end");
	rig->device = LGRIG_MEM;
	assert_int_equal(lgrig_call(rig, LGCALL_NOTIFY, LGRIG_MEM, 0, 0, 0), LGRIG_DONE);
	assert_int_equal(rig->notified, 1);
	assert_int_equal(lgrig_call(rig, LGCALL_NOTIFY, 0, 0, 0, 0), LGRIG_DONE);
	assert_int_equal(rig->notified, 1);
	lgrig_put(rig, LGRIG_LIMIT - 4, 0x64636261); /* no NUL before the end of memory */
	assert_int_equal(lgrig_call(rig, LGCALL_NOTIFY, LGRIG_LIMIT - 4, 0, 0, 0), LGRIG_DONE);
	assert_non_null(strstr(rig->text, "abcd"));
	lgrig_call(rig, LGCALL_NOTIFY, LGRIG_LIMIT, 0, 0, 0);
	end(rig, LGUEST_KILLED, "Bad NOTIFY");
}

static void test_endless_text_is_cut(void **state)
{
	struct lgrig *rig = booted(LGUEST_B);

	(void)state;
	memset(rig->ram + 0x800000, 'x', 0x100000);
	assert_int_equal(lgrig_call(rig, LGCALL_NOTIFY, 0x800000, 0, 0, 0), LGRIG_DONE);
	assert_int_equal(rig->said, 4096);
	lgrig_free(rig);
}

/* ---- 4. SHUTDOWN ---------------------------------------------------------------------------- */

static struct lgrig *shut_down(enum lguest_family family, const char *text, uint32_t reason)
{
	struct lgrig *rig = booted(family);

	put_text(rig, LGRIG_SCRATCH, text);
	assert_int_equal(lgrig_call(rig, LGCALL_SHUTDOWN, LGRIG_SCRATCH, reason, 0, 0), LGRIG_ENDED);
	return rig;
}

static void test_the_three_ends(void **state)
{
	(void)state;
	end(shut_down(LGUEST_F, "Power down", 1), LGUEST_POWER_OFF, "Power down");
	end(shut_down(LGUEST_B, "Power down", 0), LGUEST_POWER_OFF, "Power down");
	end(shut_down(LGUEST_F, "no init found", 1), LGUEST_CRASHED, "CRASH: no init found");
	end(shut_down(LGUEST_B, "no init found", 0), LGUEST_CRASHED, "CRASH: no init found");
	end(shut_down(LGUEST_F, "Restarting system...", 2), LGUEST_RESTART, "Restarting");
	end(shut_down(LGUEST_F, "a\033[2Jb\nc\x80", 1), LGUEST_CRASHED, "CRASH: a?[2Jb?c?");
}

static void test_a_reason_at_the_end_of_memory(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	lgrig_store(rig, LGRIG_LIMIT - 5, "oops!", 5);
	assert_int_equal(lgrig_call(rig, LGCALL_SHUTDOWN, LGRIG_LIMIT - 5, 1, 0, 0), LGRIG_ENDED);
	assert_string_equal(lguest_reason(rig->lg), "CRASH: oops!");
	end(rig, LGUEST_CRASHED, "CRASH: oops!");
	rig = booted(LGUEST_F);
	lgrig_call(rig, LGCALL_SHUTDOWN, LGRIG_LIMIT, 1, 0, 0);
	end(rig, LGUEST_KILLED, "bad read address");
}

static void test_a_reason_is_bounded_and_the_first_is_kept(void **state)
{
	char text[301];

	(void)state;
	memset(text, 'z', 300);
	text[300] = 0;
	struct lgrig *rig = shut_down(LGUEST_F, text, 1);
	assert_int_equal(strlen(lguest_reason(rig->lg)), strlen("CRASH: ") + 127);
	lguest_kill(rig->lg, "another");
	end(rig, LGUEST_CRASHED, "CRASH: zzz");
}

/* ---- 5. Page tables ------------------------------------------------------------------------- */

static bool tells(struct lgrig *rig) { return um_set_pte(rig->um, 0, USER, 0) != UM_EINVAL; }

/* Silent until the first table (B, C), until one besides those of the boot (the others). */
static void test_when_the_core_is_told(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = lgrig_new((enum lguest_family)family);

		assert_int_equal(lgrig_init(rig), LGRIG_DONE);
		assert_false(tells(rig));
		assert_int_equal(lgrig_call(rig, LGCALL_NEW_PGTABLE, LGRIG_BOOT_DIR, 0, 0, 0), LGRIG_DONE);
		assert_int_equal(tells(rig), family < LGUEST_D);
		rig->booted = true;
		assert_int_equal(lgrig_call(rig, LGCALL_NEW_PGTABLE, LGRIG_SWAPPER, 0, 0, 0), LGRIG_DONE);
		assert_int_equal(tells(rig), family < LGUEST_D);
		assert_int_equal(lgrig_call(rig, LGCALL_NEW_PGTABLE, LGRIG_SWAPPER, 0, 0, 0), LGRIG_DONE);
		assert_int_equal(tells(rig), family < LGUEST_D);
		assert_int_equal(lgrig_call(rig, LGCALL_NEW_PGTABLE, lgrig_space(rig), 0, 0, 0), LGRIG_DONE);
		assert_true(tells(rig));
		lgrig_free(rig);
	}
}

/* Family B writes over the directory in force before it has called anything but INIT. */
static void test_a_silent_boot_is_followed(void **state)
{
	struct lgrig *rig = lgrig_new(LGUEST_B);
	uint32_t page = lgrig_page(rig);

	(void)state;
	assert_int_equal(lgrig_init(rig), LGRIG_DONE);
	lgrig_put(rig, page, 0x600DCAFE);
	lgrig_put(rig, LGRIG_BOOT_DIR + 4 * 0x200, lgrig_get(rig, LGRIG_BOOT_DIR));
	assert_int_equal(lgrig_touch(rig, 0x80000000 + LGRIG_SCRATCH, UM_WRITE), LGRIG_DONE);
	lgrig_map(rig, LGRIG_BOOT_DIR, 0x30000000, page | 0x63);
	assert_int_equal(lgrig_touch(rig, 0x30000000, 0), LGRIG_DONE);
	assert_int_equal(rig->cpu ? lgrig_get(rig, page) : 0, 0x600DCAFE);
	/* Written so often that the table is left to itself: what is taken away then is gone after the flush that
	 * the guest makes. */
	for (uint32_t n = 1; n < 64; n++)
		lgrig_map(rig, LGRIG_BOOT_DIR, 0x30000000 + (n << 12), page | 0x63);
	assert_int_equal(lgrig_touch(rig, 0x30000000, 0), LGRIG_DONE);
	lgrig_map(rig, LGRIG_BOOT_DIR, 0x30000000, 0);
	lgrig_call(rig, LGCALL_SET_PTE, 0, 0x30000000, 0, 0);
	assert_int_equal(lgrig_touch(rig, 0x30000000, 0), LGRIG_ENDED); /* no handler yet */
	end(rig, LGUEST_KILLED, "unhandled trap 14");
}

/* The interface's rules hold from the start, whether the core is told or tracks. */
static void test_forbidden_entries_end_a_silent_guest(void **state)
{
	static const struct { uint32_t pde, pte; const char *why; } bad[] = {
		{ 0, 0x5000E7, "bad page table entry" }, { 0, LGRIG_LIMIT | 0x67, "bad page table entry" },
		{ 0x4000E7, 0, "bad page directory entry" }, { 0x400167, 0, "bad page directory entry" },
		{ LGRIG_LIMIT | 0x67, 0, "bad page directory entry" },
	};

	(void)state;
	for (unsigned n = 0; n < sizeof bad / sizeof *bad; n++) {
		for (unsigned told = 0; told < 2; told++) {
			struct lgrig *rig = told ? booted(LGUEST_F) : lgrig_new(LGUEST_B);
			uint32_t top = told ? rig->space : LGRIG_BOOT_DIR;

			if (!told)
				assert_int_equal(lgrig_init(rig), LGRIG_DONE);
			if (bad[n].pde)
				lgrig_put(rig, top + (USER >> 22) * 4, bad[n].pde);
			else
				lgrig_map(rig, top, USER, bad[n].pte);
			assert_int_equal(lgrig_touch(rig, USER, 0), LGRIG_ENDED);
			end(rig, LGUEST_KILLED, bad[n].why);
		}
	}
}

static void test_set_pte_judges_entries_that_have_been_used(void **state)
{
	static const struct { uint32_t pte; bool fine; } cases[] = {
		{ 0x000000A0, true }, { 0xFFFFF0A0, true }, { 0x00000040, true }, { 0x00000020, true }, /* absent */
		{ 0x00500067, true }, { (LGRIG_LIMIT - 0x1000) | 0x67, true }, { 0x0050007F, true },
		{ 0x005000E7, false }, { 0x005000A5, false }, { LGRIG_LIMIT | 0x67, false }, { 0xFFFFF067, false },
	};

	(void)state;
	for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++) {
		struct lgrig *rig = booted(LGUEST_F);

		assert_int_equal(lgrig_call(rig, LGCALL_SET_PTE, rig->space, USER, cases[n].pte, 0),
		                 cases[n].fine ? LGRIG_DONE : LGRIG_ENDED);
		if (!cases[n].fine)
			assert_reason(rig, "bad page table entry");
		lgrig_free(rig);
	}
}

static void test_flushes_drop_what_they_say(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = booted((enum lguest_family)family);
		struct um_stats before, after;

		um_get_stats(rig->um, &before);
		lgrig_call(rig, LGCALL_FLUSH_TLB, 0, 0, 0, 0);
		um_get_stats(rig->um, &after);
		assert_int_equal(after.flush_user - before.flush_user, 1);
		assert_int_equal(after.flush_all - before.flush_all, 0);
		lgrig_call(rig, LGCALL_FLUSH_TLB, 1, 0, 0, 0);
		um_get_stats(rig->um, &after);
		assert_int_equal(after.flush_user - before.flush_user, 1);
		assert_int_equal(after.flush_all - before.flush_all, 1);
		lgrig_free(rig);
	}
}

static void test_entries_of_the_window(void **state)
{
	static const uint32_t index[] = { 1022, 1023, 1024, 0x7FFFFFFF, 0xFFFFFFFF };

	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		for (unsigned n = 0; n < sizeof index / sizeof *index; n++) {
			struct lgrig *rig = booted((enum lguest_family)family);
			bool kills = index[n] >= 1024 && family >= LGUEST_F;

			assert_int_equal(lgrig_call(rig, LGCALL_SET_PGD, rig->space, index[n], 0, 0),
			                 kills ? LGRIG_ENDED : LGRIG_DONE);
			if (kills)
				assert_reason(rig, "Attempt to set pgd");
			lgrig_free(rig);
		}
		struct lgrig *rig = booted((enum lguest_family)family);
		lgrig_call(rig, LGCALL_SET_PTE, rig->space, 0xFFC00000, 0x500067, 0);
		end(rig, LGUEST_KILLED, "Switcher pages");
	}
}

static void test_tables_nowhere(void **state)
{
	struct lgrig *rig = booted(LGUEST_F);

	(void)state;
	assert_int_equal(lgrig_call(rig, LGCALL_SET_PTE, 0, USER, 0x500067, 0), LGRIG_DONE);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_PTE, 0x7FFFF000, USER, 0x500067, 0), LGRIG_DONE);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_PGD, 0, 5, 0, 0), LGRIG_DONE);
	assert_int_equal(lgrig_call(rig, LGCALL_SET_PGD, 0xFFFFF000, 5, 0, 0), LGRIG_DONE);
	lgrig_call(rig, LGCALL_NEW_PGTABLE, LGRIG_LIMIT, 0, 0, 0);
	end(rig, LGUEST_KILLED, "bad read address");
	/* Table 0 is memory like any other, here without any entry. */
	rig = booted(LGUEST_F);
	assert_int_equal(lgrig_call(rig, LGCALL_NEW_PGTABLE, 0, 0, 0, 0), LGRIG_DONE);
	assert_int_equal(lgrig_touch(rig, USER, 0), LGRIG_ENDED); /* no code, no stack */
	end(rig, LGUEST_KILLED, "Bad address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_family_has_its_calls_and_no_others),
		cmocka_unit_test(test_pae_guests_are_told_so),
		cmocka_unit_test(test_no_call_changes_a_register),
		cmocka_unit_test(test_vmcall_counts_where_it_is_the_call),
		cmocka_unit_test(test_calls_from_programs_are_protection_faults),
		cmocka_unit_test(test_ring_is_emptied_in_order_before_a_direct_call),
		cmocka_unit_test(test_ring_goes_round),
		cmocka_unit_test(test_status_of_a_slot),
		cmocka_unit_test(test_ring_waits_for_a_direct_call),
		cmocka_unit_test(test_a_bad_call_in_the_ring_ends_all),
		cmocka_unit_test(test_notify_is_a_devices_or_text),
		cmocka_unit_test(test_endless_text_is_cut),
		cmocka_unit_test(test_the_three_ends),
		cmocka_unit_test(test_a_reason_at_the_end_of_memory),
		cmocka_unit_test(test_a_reason_is_bounded_and_the_first_is_kept),
		cmocka_unit_test(test_when_the_core_is_told),
		cmocka_unit_test(test_a_silent_boot_is_followed),
		cmocka_unit_test(test_forbidden_entries_end_a_silent_guest),
		cmocka_unit_test(test_set_pte_judges_entries_that_have_been_used),
		cmocka_unit_test(test_flushes_drop_what_they_say),
		cmocka_unit_test(test_entries_of_the_window),
		cmocka_unit_test(test_tables_nowhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lguest_calls", tests, NULL, NULL);
}
