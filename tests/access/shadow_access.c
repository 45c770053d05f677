/* SPDX-License-Identifier: MIT */
/*
 * tests/access/shadow_access.c - the access suite: every combination of entry bits, mode and access, each
 * followed by every other access, judged by the reference walker.  The second access is what finds entries
 * built too generously by the first (field lessons 1, 3, 7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/fake.h"

enum { DIR = 0x1000, TABLE = 0x2000, GVA = 0x00403000, FRAME = 0x5000, RSVD_BIT = 1 << 13 };

static const unsigned accesses[] = { 0, REF_WRITE, REF_USER, REF_USER | REF_WRITE,
                                     REF_FETCH, REF_FETCH | REF_USER };

static void check_access(struct fake *f, uint32_t pde, uint32_t pte, unsigned access, unsigned before)
{
	struct ref_walk want = ref_walk(fake_ref_read, f, f->mode, f->cr3, GVA + 0x123, access);
	struct fake_access got = fake_access(f, GVA + 0x123, access);
	enum um_result result = !want.ok ? UM_FAULT : want.gpa / 4096 < f->frames ? UM_OK : UM_MMIO;

	if (got.result != result || (result == UM_FAULT && got.error != want.error) ||
	    (result != UM_FAULT && got.gpa != want.gpa))
		fail_msg("pde %x pte %x mode %x access %x after %x: result %d error %x gpa %llx, "
		         "want %d %x %llx", pde, pte, f->mode, access, before, got.result, got.error,
		         (unsigned long long)got.gpa, result, want.error, (unsigned long long)want.gpa);
	for (unsigned i = 0; i < want.entries; i++)
		if (fake_read(f, want.entry_gpa[i]) != (want.ok ? want.after[i] : want.entry[i]))
			fail_msg("pde %x pte %x mode %x access %x after %x: entry %u is %x, was %x",
			         pde, pte, f->mode, access, before, i, fake_read(f, want.entry_gpa[i]),
			         want.entry[i]);
}

/* Bits in the order P W U A D PS G reserved -> entry bits. */
static uint32_t entry_of(unsigned combination)
{
	static const uint32_t bit[] = { 1, 2, 4, 0x20, 0x40, 0x80, 0x100, RSVD_BIT };
	uint32_t entry = 0;

	for (unsigned i = 0; i < 8; i++)
		if (combination & 1u << i)
			entry |= bit[i];
	return entry;
}

static void run_mode(uint32_t mode, uint32_t options, enum um_learn learn)
{
	struct fake *f = fake_new(16, learn, options, 16, 4);
	unsigned n = sizeof accesses / sizeof *accesses;

	fake_set_mode(f, mode, DIR);
	for (unsigned d = 0; d < 256; d++) {
		uint32_t pde = entry_of(d);
		bool large = (pde & 0x80) && (mode & REF_PSE);

		for (unsigned t = 0; t < (large ? 1u : 128u); t++) {
			/* A table at TABLE whatever the reserved bit says when it is not a large page:
			 * bit 13 of a table's address is then part of the address. */
			uint32_t pte = (entry_of(t & 31) | (t & 32 ? 0x100u : 0) | (t & 64 ? 0x80u : 0)) | FRAME;
			uint32_t table = TABLE | (pde & RSVD_BIT);

			if (learn == UM_LEARN_TOLD && ((pte & 0x80) || (pde & 0x180)))
				continue;               /* forbidden: behaviour test B11 */
			for (unsigned first = 0; first < n; first++)
				for (unsigned second = 0; second < n; second++) {
					fake_poke(f, pde_gpa(DIR, GVA), large ? pde : pde | table);
					fake_poke(f, pte_gpa(table, GVA), pte);
					um_flush_all(f->um);
					check_access(f, pde, pte, accesses[first], 99);
					check_access(f, pde, pte, accesses[second], accesses[first]);
					check_access(f, pde, pte, accesses[first], accesses[second]);
				}
		}
		if (um_audit(f->um).invariant)
			fail_msg("pde %x: invariant %d: %s", pde, um_audit(f->um).invariant,
			         um_audit(f->um).text);
	}
	assert_null(fake_free(f));
}

static void every_combination(void **state)
{
	(void)state;
	for (uint32_t mode = REF_PG; mode <= (REF_PG | REF_WP | REF_PSE); mode += 2)
		run_mode(mode, UM_OPT_ALL, UM_LEARN_TRACKED);
}

static void every_combination_unoptimised(void **state)
{
	(void)state;
	run_mode(REF_PG | REF_WP | REF_PSE, 0, UM_LEARN_TRACKED);
	run_mode(REF_PG, 0, UM_LEARN_TRACKED);
}

static void every_combination_told(void **state)
{
	(void)state;
	run_mode(REF_PG | REF_WP, UM_OPT_ALL, UM_LEARN_TOLD);
}

/* A large page's other 4 KiB pages: Dirty set through one must not be lost through another. */
static void large_page_neighbours(void **state)
{
	struct fake *f = fake_new(2048, UM_LEARN_TRACKED, UM_OPT_ALL, 16, 4);

	(void)state;
	fake_set_mode(f, REF_PG | REF_PSE | REF_WP, DIR);
	fake_poke(f, pde_gpa(DIR, 0x400000), 0x400000 | 0x87);
	assert_int_equal(fake_access(f, 0x400000, 0).result, UM_OK);
	assert_int_equal(fake_read(f, pde_gpa(DIR, 0x400000)) & 0x60, 0x20);
	assert_int_equal(fake_access(f, 0x401000, 0).result, UM_OK);
	assert_int_equal(fake_access(f, 0x402000, REF_WRITE | REF_USER).result, UM_OK);
	assert_int_equal(fake_read(f, pde_gpa(DIR, 0x400000)) & 0x60, 0x60);
	/* Dirty is cleared again and flushed: the next write, anywhere in the page, sets it. */
	fake_poke(f, pde_gpa(DIR, 0x400000), 0x400000 | 0xA7);
	um_flush_page(f->um, 0x402000);
	assert_int_equal(fake_access(f, 0x402000, REF_WRITE).result, UM_OK);
	assert_int_equal(fake_read(f, pde_gpa(DIR, 0x400000)) & 0x40, 0x40);
	assert_int_equal(um_audit(f->um).invariant, 0);
	assert_null(fake_free(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination),
		cmocka_unit_test(every_combination_unoptimised),
		cmocka_unit_test(every_combination_told),
		cmocka_unit_test(large_page_neighbours),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("access suite", tests, NULL, NULL);
}
