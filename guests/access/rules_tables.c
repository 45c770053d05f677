/* SPDX-License-Identifier: MIT */
/*
 * guests/access/rules_tables.c - page tables as memory: written through mappings, shared,
 * recursive, reused.
 */
#include "guests/access/access.h"

static volatile uint32_t second_directory[1024] __attribute__((aligned(4096)));

/* ---- written through mappings --------------------------------------------------------------- */

static bool through_a_mapping(void)
{
	volatile uint32_t *entry = (volatile uint32_t *)AT(7);
	bool good = true;

	test_table[7] = (uint32_t)test_table | RW;
	for (unsigned i = 0; i < 100; i++) {
		entry[1] = page(i % 4) | (i & 4 ? PTE_P : RW);
		flush_page(AT(1));
		good = good && shows(AT(1), i % 4) && writes(AT(1)) == !(i & 4);
		good = good && entry[1] == test_table[1];
	}
	entry[1] = 0;
	flush_page(AT(1));
	good = good && faults(ACCESS_READ, false, AT(1), 0);
	entry[2] = page(3) | RW; /* absent to present: no flush */
	return good && shows(AT(2), 3);
}

static bool by_bytes_and_across_entries(void)
{
	bool good;

	test_table[7] = (uint32_t)test_table | RW;
	test_table[1] = page(1) | RW;
	test_table[2] = page(2) | RW;
	good = shows(AT(1), 1) && shows(AT(2), 2);
	*(volatile uint8_t *)(AT(7) + 4) = PTE_P; /* the low byte alone: read-only now */
	flush_page(AT(1));
	good = good && shows(AT(1), 1) && !writes(AT(1));
	/* a word that is half of one entry and half of the next */
	*(volatile uint32_t *)(AT(7) + 6) = page(3) >> 16 | (page(3) | RW) << 16;
	flush_page(AT(1));
	flush_page(AT(2));
	return good && test_table[1] >> 16 == page(3) >> 16 &&
	       (test_table[2] & 0xFFFF) == ((page(3) | RW) & 0xFFFF);
}

/* ---- the recursive directory ---------------------------------------------------------------- */

static volatile uint32_t *window(uint32_t address)
{
	return (volatile uint32_t *)(TABLE_WINDOW + (address >> 12) * 4);
}

static volatile uint32_t *window_of_directory(uint32_t address)
{
	return window((uint32_t)window(address));
}

static bool recursion(void)
{
	bool good;

	directory[TABLE_WINDOW >> 22] = (uint32_t)directory | RW;
	test_table[1] = page(1) | RW;
	good = *window(AT(1)) == (page(1) | RW);
	*window(AT(1)) = page(2) | RW;
	flush_page(AT(1));
	good = good && shows(AT(1), 2);
	/* the directory itself, at the last step of the recursion */
	good = good && (*window_of_directory(AT(1)) & PTE_FRAME) == (uint32_t)test_table;
	*window_of_directory(AT(1)) = 0;
	flush_all();
	good = good && faults(ACCESS_READ, false, AT(1), 0);
	*window_of_directory(AT(1)) = (uint32_t)test_table | RW;
	good = good && shows(AT(1), 2);
	directory[TABLE_WINDOW >> 22] = 0;
	flush_all();
	return good && faults(ACCESS_READ, false, TABLE_WINDOW, 0);
}

/* ---- shared --------------------------------------------------------------------------------- */

static bool one_table_at_two_places(void)
{
	volatile uint32_t *other = test_entry() + 1;
	uint32_t far = AT(1) + SPAN;
	bool good;

	*other = (uint32_t)test_table | PTE_P; /* read-only there */
	test_table[1] = page(1) | RW;
	good = shows(AT(1), 1) && shows(far, 1) && writes(AT(1)) && !writes(far);
	test_table[1] = page(2) | RW;
	flush_page(AT(1));
	flush_page(far);
	good = good && shows(AT(1), 2) && shows(far, 2);
	*other = 0;
	flush_all();
	return good && faults(ACCESS_READ, false, far, 0) && shows(AT(1), 2);
}

static bool two_directories(void)
{
	bool good = true;

	memcpy((void *)second_directory, (const void *)directory, sizeof(second_directory));
	for (unsigned i = 0; i < 20; i++) {
		test_table[1] = page(i % 4) | RW;
		write_cr3((uint32_t)(i & 1 ? second_directory : directory));
		good = good && shows(AT(1), i % 4) && writes(AT(1));
	}
	/* what one has for itself the other does not see */
	second_directory[TEST_AREA >> 22] = (uint32_t)spare_table | RW;
	spare_table[1] = page(3) | PTE_P;
	test_table[1] = page(0) | RW;
	for (unsigned i = 0; i < 20; i++) {
		write_cr3((uint32_t)second_directory);
		good = good && shows(AT(1), 3) && !writes(AT(1));
		write_cr3((uint32_t)directory);
		good = good && shows(AT(1), 0) && writes(AT(1));
	}
	return good;
}

/* ---- reused --------------------------------------------------------------------------------- */

static bool a_table_becomes_data(void)
{
	volatile uint32_t *data = (volatile uint32_t *)AT(9);
	bool good;

	spare_table[1] = page(1) | RW;
	*test_entry() = (uint32_t)spare_table | RW;
	flush_all();
	good = shows(AT(1), 1);
	*test_entry() = (uint32_t)test_table | RW;
	flush_all();
	test_table[9] = (uint32_t)spare_table | RW;
	for (unsigned i = 0; i < 1024; i++)
		data[i] = i * 0x01000193;
	for (unsigned i = 0; i < 1024; i++)
		good = good && spare_table[i] == i * 0x01000193;
	return good && faults(ACCESS_READ, false, AT(1), 0);
}

static bool data_becomes_a_table(void)
{
	bool good;

	for (unsigned i = 0; i < 1024; i++)
		spare_table[i] = page(i % 4) | RW;
	*test_entry() = (uint32_t)spare_table | RW;
	flush_all();
	good = shows(AT(5), 1) && shows(AT(1023), 3);
	*test_entry() = (uint32_t)test_table | RW;
	flush_all();
	return good && faults(ACCESS_READ, false, AT(5), 0);
}

static bool a_directory_becomes_a_table(void)
{
	bool good;

	memcpy((void *)second_directory, (const void *)directory, sizeof(second_directory));
	write_cr3((uint32_t)second_directory);
	test_table[1] = page(1) | RW;
	good = shows(AT(1), 1);
	write_cr3((uint32_t)directory);
	memset((void *)second_directory, 0, sizeof(second_directory));
	second_directory[1] = page(2) | RW;
	*test_entry() = (uint32_t)second_directory | RW;
	flush_all();
	return good && shows(AT(1), 2) && faults(ACCESS_READ, false, AT(2), 0);
}

static bool many_pages_and_back(void)
{
	bool good = true;

	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 1024; i++)
			test_table[i] = page((i + round) % 4) | (i % 3 ? RW : PTE_P);
		flush_all();
		for (unsigned i = 0; i < 1024; i++)
			good = good && shows(AT(i), (i + round) % 4) && (i % 3 || !writes(AT(i)));
	}
	return good;
}

void rules_of_tables(void)
{
	static const struct rule list[] = {
	    {"tables written through a mapping", through_a_mapping},
	    {"tables written by bytes and across entries", by_bytes_and_across_entries},
	    {"the directory as its own table", recursion},
	    {"one table at two places", one_table_at_two_places},
	    {"two directories share a table", two_directories},
	    {"a table becomes data", a_table_becomes_data},
	    {"data becomes a table", data_becomes_a_table},
	    {"a directory becomes a table", a_directory_becomes_a_table},
	    {"many pages and back", many_pages_and_back},
	};

	try_rules(list, sizeof(list) / sizeof(list[0]));
}
