/* SPDX-License-Identifier: MIT */
/*
 * guests/access/rules.c - sequences: when a change of the tables counts, and how accesses mark
 * entries.
 *
 *   1. Helpers        for all the rules
 *   2. Flushing       SDM vol. 3, 4.10.4: what needs INVLPG or MOV to CR3, and what does not
 *   3. Marks          accessed and dirty over time
 *   4. The list
 */
#include "guests/access/access.h"

/* ---- 1. Helpers ----------------------------------------------------------------------------- */

volatile uint32_t spare_table[1024] __attribute__((aligned(4096)));

uint32_t page(unsigned n)
{
	return (uint32_t)pages[n];
}

bool reads(uint32_t address, uint32_t value)
{
	struct outcome o = probe(ACCESS_READ, false, address, 0);

	return !o.fault && o.value == value;
}

bool shows(uint32_t address, unsigned n)
{
	return reads(address + PAGE_NUMBER, NUMBER_OF(n));
}

bool writes(uint32_t address)
{
	return !probe(ACCESS_WRITE, false, address + PAGE_SCRATCH, 1).fault;
}

bool faults(enum access access, bool user, uint32_t address, uint32_t error)
{
	struct outcome o = probe(access, user, address, 1);

	return o.fault && o.error == error && o.address == address;
}

/* Each rule begins with WP on, an empty test table and nothing cached. */
void try_rules(const struct rule *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		write_cr0(read_cr0() | CR0_WP);
		memset((void *)test_table, 0, sizeof(test_table));
		memset((void *)spare_table, 0, sizeof(spare_table));
		*test_entry() = (uint32_t)test_table | RWU;
		flush_all();
		ok(list[i].holds(), list[i].name);
	}
}

/* ---- 2. Flushing ---------------------------------------------------------------------------- */

static bool absent_to_present(void)
{
	bool good = faults(ACCESS_READ, false, AT(1), 0);

	test_table[1] = page(1) | RW;
	good = good && shows(AT(1), 1);
	*test_entry() = 0;
	flush_all();
	good = good && faults(ACCESS_READ, false, AT(1), 0);
	*test_entry() = (uint32_t)test_table | RW;
	return good && shows(AT(1), 1);
}

/* The first fault may be a stale one (4.10.4.3); the second access sees the entry. */
static bool more_rights(void)
{
	bool good;

	test_table[1] = page(1) | PTE_P;
	good = shows(AT(1), 1) && !writes(AT(1));
	test_table[1] = page(1) | RW;
	writes(AT(1));
	return good && writes(AT(1));
}

static bool invlpg_ends_a_translation(void)
{
	bool good;

	test_table[1] = page(1) | RW;
	good = shows(AT(1), 1) && writes(AT(1));
	test_table[1] = page(2) | PTE_P;
	flush_page(AT(1) + 0x123);
	good = good && shows(AT(1), 2) && !writes(AT(1));
	test_table[1] = 0;
	flush_page(AT(1));
	return good && faults(ACCESS_READ, false, AT(1), 0);
}

static bool cr3_ends_all_translations(void)
{
	bool good = true;

	for (unsigned i = 0; i < 64; i++)
		test_table[i] = page(i % 2) | RW;
	for (unsigned i = 0; i < 64; i++)
		good = good && shows(AT(i), i % 2) && writes(AT(i));
	for (unsigned i = 0; i < 64; i++)
		test_table[i] = page(2 + i % 2) | PTE_P;
	flush_all();
	for (unsigned i = 0; i < 64; i++)
		good = good && shows(AT(i), 2 + i % 2) && !writes(AT(i));
	return good;
}

static bool a_changed_directory_entry(void)
{
	bool good;

	test_table[1] = page(1) | RWU;
	spare_table[1] = page(2) | RWU;
	good = shows(AT(1), 1);
	*test_entry() = (uint32_t)spare_table | PTE_P;
	flush_page(AT(1));
	good = good && shows(AT(1), 2) && !writes(AT(1)) &&
	       faults(ACCESS_READ, true, AT(1), FAULT_P | FAULT_U);
	*test_entry() = (uint32_t)test_table | RWU;
	flush_all();
	return good && shows(AT(1), 1) && writes(AT(1)) &&
	       !probe(ACCESS_READ, true, AT(1), 0).fault;
}

static bool write_protect_toggles(void)
{
	bool good = true;

	test_table[1] = page(1) | PTE_P | PTE_U;
	for (unsigned i = 0; i < 20; i++) {
		write_cr0(read_cr0() ^ CR0_WP);
		good = good && writes(AT(1)) == !(read_cr0() & CR0_WP) && shows(AT(1), 1);
		good = good && faults(ACCESS_WRITE, true, AT(1), FAULT_P | FAULT_W | FAULT_U);
	}
	return good;
}

static bool paging_off_and_on(void)
{
	bool good;

	test_table[1] = page(1) | RW;
	good = shows(AT(1), 1);
	for (unsigned i = 0; i < 10; i++) {
		write_cr0(read_cr0() & ~(uint32_t)CR0_PG);
		test_table[1] = page(i % 4) | RW;
		write_cr0(read_cr0() | CR0_PG);
		good = good && shows(AT(1), i % 4);
	}
	return good;
}

static bool global_pages(void)
{
	bool good;

	if (!(cpu_features() & FEATURE_PGE))
		return true;
	write_cr4(read_cr4() | CR4_PGE);
	test_table[1] = page(1) | RW | PTE_G;
	good = shows(AT(1), 1) && writes(AT(1));
	test_table[1] = page(2) | PTE_P | PTE_G;
	flush_page(AT(1));
	good = good && shows(AT(1), 2) && !writes(AT(1));
	/* a change of CR4.PGE ends all of them */
	test_table[1] = page(3) | PTE_P | PTE_G;
	write_cr4(read_cr4() & ~(uint32_t)CR4_PGE);
	return good && shows(AT(1), 3);
}

/* ---- 3. Marks ------------------------------------------------------------------------------- */

static bool dirty_comes_with_the_first_write(void)
{
	bool good;

	test_table[1] = page(1) | RW;
	good = shows(AT(1), 1) && test_table[1] == (page(1) | RW | PTE_A);
	good = good && writes(AT(1)) && test_table[1] == (page(1) | RW | PTE_A | PTE_D);
	/* taken away again, and flushed: they come back */
	test_table[1] = page(1) | RW;
	flush_page(AT(1));
	good = good && writes(AT(1)) && test_table[1] == (page(1) | RW | PTE_A | PTE_D);
	test_table[1] = page(1) | RW;
	*test_entry() &= ~(uint32_t)PTE_A;
	flush_page(AT(1));
	good = good && shows(AT(1), 1) && test_table[1] == (page(1) | RW | PTE_A);
	return good && *test_entry() & PTE_A && !(*test_entry() & PTE_D);
}

static bool only_what_is_touched_is_marked(void)
{
	bool good = true;

	for (unsigned i = 0; i < 1024; i++)
		test_table[i] = page(1) | RWU;
	for (unsigned i = 500; i < 520; i += 3)
		good = good && shows(AT(i), 1);
	for (unsigned i = 0; i < 1024; i++)
		good = good &&
		       !(test_table[i] & PTE_A) == !(i >= 500 && i < 520 && (i - 500) % 3 == 0);
	return good;
}

static bool aliases_are_marked_apart(void)
{
	bool good;

	test_table[1] = test_table[2] = page(1) | RW;
	good = shows(AT(1), 1) && writes(AT(2));
	return good && test_table[1] == (page(1) | RW | PTE_A) &&
	       test_table[2] == (page(1) | RW | PTE_A | PTE_D);
}

/* ---- 4. The list ---------------------------------------------------------------------------- */

void rules_of_flushing(void)
{
	static const struct rule list[] = {
	    {"absent to present needs no flush", absent_to_present},
	    {"more rights count after the fault", more_rights},
	    {"INVLPG ends a translation", invlpg_ends_a_translation},
	    {"loading CR3 ends all translations", cr3_ends_all_translations},
	    {"a changed directory entry counts after a flush", a_changed_directory_entry},
	    {"CR0.WP toggles at once", write_protect_toggles},
	    {"paging off and on", paging_off_and_on},
	    {"global pages end with INVLPG or CR4.PGE", global_pages},
	    {"dirty comes with the first write", dirty_comes_with_the_first_write},
	    {"only what is touched is marked", only_what_is_touched_is_marked},
	    {"aliases are marked apart", aliases_are_marked_apart},
	};

	try_rules(list, sizeof(list) / sizeof(list[0]));
}
