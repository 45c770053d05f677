/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_check_random.c - the missing-flush detector against a reference that keeps everything: random changes,
 * flushes and accesses, each followed by the question whether there was something to report.
 *
 *   1. The reference   all translations and directory entries that a processor may hold, in lists
 *   2. Steps           one random instruction, on both
 *   3. The tests
 *
 * Pages of both sizes, two address spaces, shadow tables that go at any time.
 *
 * The detector keeps one translation a page and size, the one that permits most.  Where the reference holds two that do not
 * compare (one writable, the other dirty), of both sizes, of another space, or two directory entries, it may know more: then
 * only false reports count.
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
#define SPACE2 0x1A0000u      /* its first table is the same */
#define G 0x100u
/* In a held entry's bits that are the software's: */
#define OF_LARGE 0x200u       /* of a 4 MiB page; the frame is this page's */
#define FOREIGN 0x400u        /* found by another directory than the present one */
#define LARGE_FRAME_BITS 0xFFC00000u
enum { PAGES_USED = 4, FIRST_IN_SLOT = 2, HELD_MAX = 256 };
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
	bool wp, pge, second;
} ref;

static bool in_slot(unsigned page) { return page >= FIRST_IN_SLOT; }
static uint32_t pde_at(uint32_t linear) { return (ref.second ? SPACE2 : RIG_TABLES) + 4 * (linear >> 22); }
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
static bool is_mixed(const uint32_t *list, unsigned count)
{
	const uint32_t bits = PTE_RW | PTE_US | PTE_D | PTE_G;
	for (unsigned n = 0; n < count; n++)
		for (unsigned m = 0; m < n; m++)
			if (!((list[n] ^ list[m]) & OF_LARGE) && list[n] & ~list[m] & bits && list[m] & ~list[n] & bits)
				return true;
	return false;
}

static bool answers(uint32_t held, bool write, bool user)
{
	return permits(held, write, user) && (!write || held & PTE_D);
}

/* Of this size: all, or (a walk puts what it finds in their place) those that do not answer. */
static void drop(unsigned p, uint32_t size, bool all, bool write, bool user)
{
	unsigned kept = 0;
	for (unsigned n = 0; n < ref.held[p]; n++) {
		uint32_t held = ref.entry[p][n];
		if ((held & OF_LARGE) != size || (!all && answers(held, write, user)))
			ref.entry[p][kept++] = held;
	}
	ref.held[p] = kept;
	ref.mixed[p] &= kept > 0;
}

/* A large page is one translation, by whichever of its addresses. */
static void drop_large(unsigned p, bool all, bool write, bool user)
{
	for (unsigned q = FIRST_IN_SLOT; in_slot(p) && q < PAGES_USED; q++)
		drop(q, OF_LARGE, all, write, user);
}

/* What was reported is forgotten, all of its size. */
static void drop_reported(unsigned p, bool permitted, uint32_t leaf, bool write, bool user)
{
	bool large = false, small = false;
	for (unsigned n = 0; n < ref.held[p]; n++) {
		uint32_t held = ref.entry[p][n];
		bool stale = answers(held, write, user) && (!permitted || (held ^ leaf) & PTE_FRAME);
		large |= stale && held & OF_LARGE;
		small |= stale && !(held & OF_LARGE);
	}
	if (large)
		drop_large(p, true, write, user);
	if (small)
		drop(p, 0, true, write, user);
}

static void hold_large(uint32_t pde, bool write)
{
	for (unsigned q = FIRST_IN_SLOT; q < PAGES_USED; q++)
		add(ref.entry[q], &ref.held[q],
		    (pde & LARGE_FRAME_BITS) | (pages[q] & ~LARGE_FRAME_BITS & PTE_FRAME) | OF_LARGE |
			    (pde & (PTE_RW | PTE_US | PTE_D)) | (write ? PTE_D : 0u) | (ref.pge ? pde & PTE_G : 0u));
}

static bool has_both_sizes(unsigned p)
{
	uint32_t any = 0, all = OF_LARGE;
	for (unsigned n = 0; n < ref.held[p]; n++) {
		any |= ref.entry[p][n];
		all &= ref.entry[p][n];
	}
	return any & OF_LARGE && !all;
}

static enum verdict reference(unsigned p, bool write, bool user)
{
	uint32_t linear = pages[p], pde = word(pde_at(linear)), pte = 0, leaf = 0;
	unsigned slot = in_slot(p);
	bool large = pde & PTE_P && pde & PTE_PS;
	bool answered = false, stale = false, unsure = ref.mixed[p] || ref.uppers[slot] > 1;
	if (large)
		pte = (pde & LARGE_FRAME_BITS) | (linear & ~LARGE_FRAME_BITS & PTE_FRAME) | (pde & ~PTE_FRAME);
	else if (pde & PTE_P)
		pte = word((pde & PTE_FRAME) + (linear >> 12 & 1023) * 4);
	if (pte & PTE_P)
		leaf = pte & (pde | ~(uint32_t)(PTE_RW | PTE_US));
	bool permitted = leaf && permits(leaf, write, user), both = has_both_sizes(p);
	for (unsigned n = 0; n < ref.held[p]; n++) {
		uint32_t held = ref.entry[p][n];
		if (!answers(held, write, user))
			continue;
		bool differs = !permitted || (held ^ leaf) & PTE_FRAME;
		answered = true;
		stale |= differs;
		unsure |= differs && (both || held & FOREIGN);
	}
	for (unsigned n = 0; n < ref.uppers[slot] && !answered; n++) {
		uint32_t upper = ref.upper[slot][n], behind = word((upper & PTE_FRAME) + (linear >> 12 & 1023) * 4);
		if (!((upper ^ pde) & (PTE_FRAME | PTE_P | PTE_RW | PTE_US | PTE_PS)))
			continue;
		if (behind & PTE_P && permits(behind & (upper | ~(uint32_t)(PTE_RW | PTE_US)), write, user))
			stale |= !permitted || (behind ^ leaf) & PTE_FRAME;
		else
			stale |= permitted && (large || (upper ^ pde) & PTE_FRAME);
	}
	if (!permitted) {
		ref.held[p] = ref.uppers[slot] = 0;
		drop_large(p, true, write, user);
	} else {
		if (stale && answered)
			drop_reported(p, permitted, leaf, write, user);
		else if (stale)
			ref.uppers[slot] = 0;
		if (large) {
			drop_large(p, false, write, user);
			hold_large(pde, write);
		} else {
			drop(p, 0, false, write, user);
			if (!answered)
				add(ref.upper[slot], &ref.uppers[slot], pde & (PTE_FRAME | PTE_P | PTE_RW | PTE_US));
		}
		/* Walked by either of the directory entries that it may hold, or by the one that there is. */
		for (unsigned n = 0; n <= ref.uppers[slot] && !large; n++) {
			uint32_t upper = n < ref.uppers[slot] ? ref.upper[slot][n] : pde;
			if (!((upper ^ pde) & PTE_FRAME))
				add(ref.entry[p], &ref.held[p],
				    (pte & PTE_FRAME) | (pte & upper & (PTE_RW | PTE_US)) | (pte & PTE_D) |
					    (write ? PTE_D : 0u) | (ref.pge ? pte & PTE_G : 0u));
		}
	}
	for (unsigned q = 0; q < PAGES_USED; q++)
		ref.mixed[q] = ref.held[q] && (ref.mixed[q] || is_mixed(ref.entry[q], ref.held[q]));
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
	switch (next(seed) % 20) {
	case 0: case 1: case 2: {
		uint32_t table = page < SLOT_BASE ? RIG_TABLES + 0x1000 : next(seed) & 1 ? TABLE_A : TABLE_B;
		emit_store(&b, table + 4 * (page >> 12 & 1023), some_entry(seed));
		break;
	}
	case 3: {
		static const uint32_t values[] = { TABLE_A | 7, TABLE_B | 7, TABLE_A | 5, TABLE_A | 3, 0, PTE_PS | 7, PTE_PS | G | 7,
			                           PTE_PS | 3, PTE_PS | 5, 0x400000 | PTE_PS | 7, 0x400000 | PTE_PS | 5 };
		uint32_t directory = next(seed) & 1 ? SPACE2 : RIG_TABLES;
		emit_store(&b, directory + 4 * (SLOT_BASE >> 22), values[next(seed) % (sizeof values / sizeof values[0])]);
		break;
	}
	case 4: case 5:
		emit_invlpg(&b, page);
		ref.uppers[0] = ref.uppers[1] = 0;
		for (unsigned p = 0; p < PAGES_USED; p++)
			if (pages[p] == page) {
				ref.held[p] = ref.mixed[p] = 0;
				drop_large(p, true, false, false);
			}
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
	case 9:
		ref.second = !ref.second;
		emit_cr3(&b, ref.second ? SPACE2 : RIG_TABLES);
		forget(false);
		for (unsigned p = 0; p < PAGES_USED; p++)
			for (unsigned n = 0; n < ref.held[p]; n++)
				ref.entry[p][n] |= FOREIGN;
		break;
	case 10:
		um_shrink(b.rig->um, next(seed) % 2 ? 100 : next(seed) % 4);
		return;
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
		bench_start(&b, CHECK_TLB, CR4_PSE, false);
		rig_set_word(b.rig, SPACE2, (RIG_TABLES + 0x1000) | ENTRY);
		for (unsigned n = 0; n < 300; n++) {
			snprintf(what, sizeof what, "round %lu step %u", round, n);
			step(&seed, what);
			if (n % 4 == 0)
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
