/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_check_random.c - the missing-flush detector against a reference that keeps everything: random changes,
 * flushes and accesses, each followed by the question whether there was something to report.
 *
 *   1. The reference   all translations and directory entries that a processor may hold, in lists
 *   2. Steps           one random instruction, on both
 *   3. The tests
 *
 * The detector keeps one translation a page, the one that permits most.  Where the reference holds two that do not
 * compare (one writable, the other dirty), or two directory entries, it may know more: then only false reports count.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/checkbench.h"
#include "tests/lib/tap.h"

/* ---- 1. The reference ----------------------------------------------------------------------- */

#define SLOT_BASE 0x00C00000u /* its directory entry changes too */
#define TABLE_A 0x180000u
#define TABLE_B 0x190000u
#define G 0x100u
enum { PAGES_USED = 4, HELD_MAX = 64 };
/* Two in the first table, two in the slot. */
static const uint32_t pages[PAGES_USED] = { 0x200000, 0x201000, SLOT_BASE, SLOT_BASE + 0x1000 };
static const uint32_t frames[] = { 0x300000, 0x301000, 0x302000 };

static struct bench b;
static struct {
	uint32_t entry[PAGES_USED][HELD_MAX]; /* frame, RW, US, D, G */
	unsigned held[PAGES_USED];
	uint32_t upper[2][HELD_MAX];          /* of the first 4 MiB, and of the slot */
	unsigned uppers[2];
	bool mixed[PAGES_USED];               /* held two that do not compare */
	bool wp, pge;
} ref;

static bool in_slot(unsigned page) { return page >= 2; }
static uint32_t word(uint32_t at) { return rig_word(b.rig, at); }

static bool permits(uint32_t entry, bool write, bool user)
{
	if (user)
		return entry & PTE_US && (entry & PTE_RW || !write);
	return entry & PTE_RW || !write || !ref.wp;
}

static void forget(bool global_too)
{
	for (unsigned p = 0; p < PAGES_USED; p++) {
		unsigned kept = 0;
		for (unsigned n = 0; n < ref.held[p]; n++)
			if (ref.entry[p][n] & PTE_G && !global_too)
				ref.entry[p][kept++] = ref.entry[p][n];
		ref.held[p] = kept;
		ref.mixed[p] &= kept > 0;
	}
	ref.uppers[0] = ref.uppers[1] = 0;
}

static void add(uint32_t *list, unsigned *count, uint32_t entry)
{
	for (unsigned n = 0; n < *count; n++)
		if (list[n] == entry)
			return;
	assert_true(*count < HELD_MAX);
	list[(*count)++] = entry;
}

enum verdict { FINE, STALE, UNSURE };

/* Do two of them not compare? */
static bool is_mixed(const uint32_t *list, unsigned count, uint32_t bits)
{
	for (unsigned n = 0; n < count; n++)
		for (unsigned m = 0; m < n; m++)
			if (list[n] & ~list[m] & bits && list[m] & ~list[n] & bits)
				return true;
	return false;
}

/* A walk puts what it finds in the place of what did not answer. */
static void drop_replaced(unsigned p, bool write, bool user)
{
	unsigned kept = 0;
	for (unsigned n = 0; n < ref.held[p]; n++) {
		uint32_t held = ref.entry[p][n];
		if (permits(held, write, user) && (!write || held & PTE_D))
			ref.entry[p][kept++] = held;
	}
	ref.held[p] = kept;
}

static enum verdict reference(unsigned p, bool write, bool user)
{
	uint32_t linear = pages[p], pde = word(BENCH_PDE(linear)), pte = 0, leaf = 0;
	unsigned slot = in_slot(p);
	bool answered = false, stale = false, unsure;
	if (pde & PTE_P)
		pte = word((pde & PTE_FRAME) + (linear >> 12 & 1023) * 4);
	if (pte & PTE_P)
		leaf = pte & (pde | ~(uint32_t)(PTE_RW | PTE_US));
	bool permitted = leaf && permits(leaf, write, user);
	unsure = ref.mixed[p] || ref.uppers[slot] > 1;
	for (unsigned n = 0; n < ref.held[p]; n++) {
		uint32_t held = ref.entry[p][n];
		if (!permits(held, write, user) || (write && !(held & PTE_D)))
			continue;
		answered = true;
		stale |= !permitted || (held ^ leaf) & PTE_FRAME;
	}
	for (unsigned n = 0; n < ref.uppers[slot] && !answered; n++) {
		uint32_t upper = ref.upper[slot][n], behind = word((upper & PTE_FRAME) + (linear >> 12 & 1023) * 4);
		if (!((upper ^ pde) & (PTE_FRAME | PTE_P | PTE_RW | PTE_US)))
			continue;
		if (behind & PTE_P && permits(behind & (upper | ~(uint32_t)(PTE_RW | PTE_US)), write, user))
			stale |= !permitted || (behind ^ leaf) & PTE_FRAME;
		else
			stale |= permitted && (upper ^ pde) & PTE_FRAME;
	}
	if (!permitted) {
		ref.held[p] = ref.uppers[slot] = 0;
	} else {
		if (stale && answered)
			ref.held[p] = 0;
		else if (stale)
			ref.uppers[slot] = 0;
		drop_replaced(p, write, user);
		if (!answered)
			add(ref.upper[slot], &ref.uppers[slot], pde & (PTE_FRAME | PTE_P | PTE_RW | PTE_US));
		/* Walked by either of the directory entries that it may hold, or by the one that there is. */
		for (unsigned n = 0; n <= ref.uppers[slot]; n++) {
			uint32_t upper = n < ref.uppers[slot] ? ref.upper[slot][n] : pde;
			if (!((upper ^ pde) & PTE_FRAME))
				add(ref.entry[p], &ref.held[p],
				    (pte & PTE_FRAME) | (pte & upper & (PTE_RW | PTE_US)) | (pte & PTE_D) |
					    (write ? PTE_D : 0u) | (ref.pge ? pte & PTE_G : 0u));
		}
	}
	ref.mixed[p] |= is_mixed(ref.entry[p], ref.held[p], PTE_RW | PTE_US | PTE_D | PTE_G);
	if (!ref.held[p])
		ref.mixed[p] = false;
	return unsure ? UNSURE : stale ? STALE : FINE;
}

/* ---- 2. Steps ------------------------------------------------------------------------------- */

static uint32_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static uint32_t some_entry(uint64_t *seed)
{
	static const uint32_t rights[] = { 7, 7, 7, 5, 3, 1, 0, 7 | G };
	return frames[next(seed) % 3] | rights[next(seed) % 8];
}

/* An access, and what is to be reported of it. */
static void step_access(uint64_t *seed, const char *what)
{
	unsigned p = next(seed) % PAGES_USED;
	bool write = next(seed) & 1, user = next(seed) % 4 == 0;
	uint64_t before, after;
	check_reports(b.check, &before);
	enum verdict verdict = reference(p, write, user);
	if (write)
		emit_save(&b, pages[p]);
	else
		emit_load(&b, pages[p]);
	bench_run(&b, user ? 3 : 0);
	check_reports(b.check, &after);
	if (verdict == FINE ? after != before : verdict == STALE && after != before + 1)
		fail_msg("%s: %s of page %u by ring %u: %s, and %d reported", what, write ? "write" : "read", p, user ? 3 : 0,
		         verdict == FINE ? "nothing is wrong" : "a flush is missing", (int)(after - before));
	/* Where the reference knows more, both begin anew. */
	if (verdict == UNSURE) {
		emit_cr4(&b, 0, CR4_PGE);
		if (ref.pge)
			emit_cr4(&b, CR4_PGE, 0);
		else
			emit_reload_cr3(&b);
		bench_run(&b, 0);
		forget(true);
	}
}

static void step(uint64_t *seed, const char *what)
{
	uint32_t page = pages[next(seed) % PAGES_USED];
	switch (next(seed) % 16) {
	case 0: case 1: case 2: {
		uint32_t table = page < SLOT_BASE ? RIG_TABLES + 0x1000 : next(seed) & 1 ? TABLE_A : TABLE_B;
		emit_store(&b, table + 4 * (page >> 12 & 1023), some_entry(seed));
		break;
	}
	case 3: {
		static const uint32_t values[] = { TABLE_A | 7, TABLE_B | 7, TABLE_A | 5, TABLE_A | 3, 0 };
		emit_store(&b, BENCH_PDE(SLOT_BASE), values[next(seed) % 5]);
		break;
	}
	case 4: case 5:
		emit_invlpg(&b, page);
		ref.uppers[0] = ref.uppers[1] = 0;
		for (unsigned p = 0; p < PAGES_USED; p++)
			if (pages[p] == page)
				ref.held[p] = ref.mixed[p] = 0;
		break;
	case 6:
		emit_reload_cr3(&b);
		forget(false);
		break;
	case 7:
		if (next(seed) % 4)
			break;
		ref.pge = !ref.pge;
		emit_cr4(&b, ref.pge ? CR4_PGE : 0, ref.pge ? 0 : CR4_PGE);
		forget(true);
		break;
	case 8:
		if (next(seed) % 4)
			break;
		ref.wp = !ref.wp;
		emit_cr0(&b, ref.wp ? CR0_WP : 0, ref.wp ? 0 : CR0_WP);
		break;
	default:
		step_access(seed, what);
		return;
	}
	bench_run(&b, 0);
}

/* C1: what the engine's TLB answers, the model holds. */
static void check_c1(const char *what)
{
	for (unsigned user = 0; user < 2; user++)
		for (unsigned n = 0; n < TLB_ENTRIES; n++) {
			uint32_t page = b.rig->cpu->tlbs[user][n].read;
			if (page != TLB_NEVER && !model_page(&b.check->model, page) && !model_large(&b.check->model, page))
				fail_msg("%s: the engine answers for %08x, and the model does not hold it", what, page);
		}
}

/* ---- 3. The tests --------------------------------------------------------------------------- */

static void the_reference_agrees(void **state)
{
	unsigned long rounds = test_rounds(150);
	uint64_t met = 0, all = 0;
	(void)state;
	for (unsigned long round = 0; round < rounds; round++) {
		uint64_t seed = round * 7919 + 1;
		char what[64];
		memset(&ref, 0, sizeof ref);
		ref.wp = true;
		bench_start(&b, CHECK_TLB, 0, false);
		for (unsigned n = 0; n < 200; n++) {
			snprintf(what, sizeof what, "round %lu step %u", round, n);
			step(&seed, what);
			if (n % 8 == 0)
				check_c1(what);
		}
		check_reports(b.check, &met);
		all += met;
		bench_end(&b);
	}
	assert_true(all > rounds); /* there was something to find */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reference_agrees),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
