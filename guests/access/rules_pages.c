/* SPDX-License-Identifier: MIT */
/*
 * guests/access/rules_pages.c - pages: edges, aliases, code that changes, large and small.
 */
#include "guests/access/access.h"

/* ---- edges and aliases ---------------------------------------------------------------------- */

static bool an_edge_is_all_or_nothing(void)
{
	volatile uint32_t *end = (volatile uint32_t *)(pages[1] + PAGE - 4);
	volatile uint16_t *start = (volatile uint16_t *)(pages[3] + 0);
	struct outcome o;
	bool good;

	*end = 0x11223344;
	test_table[1] = page(1) | RWU;
	o = probe(ACCESS_WRITE, false, AT(2) - 2, 0xFFFFFFFF);
	good = o.fault && o.error == FAULT_W && o.address == AT(2) && *end == 0x11223344;
	o = probe(ACCESS_READ, true, AT(2) - 1, 0);
	good = good && o.fault && o.error == FAULT_U && o.address == AT(2);
	/* with the second page there: both halves where they belong */
	test_table[2] = page(3) | RWU;
	*start = 0xBBAA;
	good = good && reads(AT(2) - 2, 0xBBAA1122);
	o = probe(ACCESS_WRITE, true, AT(2) - 2, 0xCAFE5678);
	good = good && !o.fault && *end == 0x56783344 && *start == 0xCAFE;
	*end = 0;
	*start = 0x00C3;
	return good;
}

static bool one_frame_two_rights(void)
{
	bool good;

	test_table[1] = page(1) | PTE_P;
	test_table[2] = page(1) | RWU;
	good = !writes(AT(1)) && writes(AT(2)) && shows(AT(1), 1) && shows(AT(2), 1);
	probe(ACCESS_WRITE, true, AT(2) + PAGE_SCRATCH, 0x77777777);
	good = good && reads(AT(1) + PAGE_SCRATCH, 0x77777777);
	return good && faults(ACCESS_READ, true, AT(1), FAULT_P | FAULT_U);
}

static bool the_last_page(void)
{
	volatile uint32_t *last = &directory[1023];
	bool good;

	*last = (uint32_t)spare_table | RW;
	spare_table[1023] = page(2) | RW;
	good = shows(0xFFFFF000, 2) && writes(0xFFFFF000);
	*last = 0;
	flush_all();
	return good && faults(ACCESS_READ, false, 0xFFFFF000, 0);
}

/* ---- code ----------------------------------------------------------------------------------- */

typedef uint32_t function(void);
enum { CODE = 0x100 };

static bool code_changed_through_an_alias(void)
{
	volatile uint8_t *code = (volatile uint8_t *)AT(2);
	bool good = true;

	test_table[1] = page(2) | PTE_P;
	test_table[2] = page(2) | RW;
	code[CODE] = 0xB8; /* mov imm32, %eax; ret */
	code[CODE + 5] = 0xC3;
	for (uint32_t i = 0; i < 50; i++) {
		for (unsigned n = 0; n < 4; n++)
			code[CODE + 1 + n] = (uint8_t)(i * 0x01020305 >> (8 * n));
		good = good && ((function *)(AT(1) + CODE))() == i * 0x01020305;
	}
	return good;
}

static bool other_code_mapped_in_its_place(void)
{
	bool good = true;

	for (unsigned n = 0; n < PAGES; n++) {
		pages[n][CODE] = 0xB8;
		*(uint32_t *)(pages[n] + CODE + 1) = NUMBER_OF(n);
		pages[n][CODE + 5] = 0xC3;
	}
	for (unsigned i = 0; i < 40; i++) {
		test_table[1] = page(i % 4) | PTE_P;
		if (i & 8)
			flush_page(AT(1));
		else
			flush_all();
		good = good && ((function *)(AT(1) + CODE))() == NUMBER_OF(i % 4);
	}
	return good;
}

/* ---- large pages ---------------------------------------------------------------------------- */

static bool small_and_large_by_turns(void)
{
	bool good = true;

	if (!(cpu_features() & FEATURE_PSE))
		return true;
	write_cr4(read_cr4() | CR4_PSE);
	test_table[5] = page(1) | RW;
	for (unsigned i = 0; i < 20; i++) {
		*test_entry() = LARGE_FRAME | (i & 2 ? PTE_P : RW) | PTE_PS;
		flush_all();
		good =
		    good && reads(AT(5) + PAGE_NUMBER, LARGE_NUMBER) && writes(AT(5)) == !(i & 2);
		*test_entry() = (uint32_t)test_table | RW;
		flush_all();
		good = good && shows(AT(5), 1) && writes(AT(5));
	}
	return good;
}

static bool the_size_bit_follows_cr4(void)
{
	bool good = true;

	if (!(cpu_features() & FEATURE_PSE))
		return true;
	test_table[5] = page(1) | RW;
	for (unsigned i = 0; i < 10; i++) {
		/* without CR4.PSE the bit means nothing */
		*test_entry() = (uint32_t)test_table | RW | PTE_PS;
		write_cr4(read_cr4() & ~(uint32_t)CR4_PSE);
		flush_all();
		good = good && shows(AT(5), 1);
		*test_entry() = LARGE_FRAME | RW | PTE_PS;
		write_cr4(read_cr4() | CR4_PSE);
		flush_all();
		good = good && reads(AT(5) + PAGE_NUMBER, LARGE_NUMBER);
	}
	return good;
}

static bool a_large_page_reaches_all_its_memory(void)
{
	bool good = true;

	if (!(cpu_features() & FEATURE_PSE))
		return true;
	write_cr4(read_cr4() | CR4_PSE);
	*test_entry() = LARGE_FRAME | RWU | PTE_PS;
	flush_all();
	for (uint32_t i = 0; i < 1024; i += 7)
		good = good && !probe(ACCESS_WRITE, i & 1, AT(i) + 64, i).fault;
	for (uint32_t i = 0; i < 1024; i += 7)
		good = good && reads(AT(i) + 64, i) &&
		       *(volatile uint32_t *)(LARGE_FRAME + i * PAGE + 64) == i;
	return good && *test_entry() == (LARGE_FRAME | RWU | PTE_PS | PTE_A | PTE_D);
}

void rules_of_pages(void)
{
	static const struct rule list[] = {
	    {"an access across an edge is all or nothing", an_edge_is_all_or_nothing},
	    {"one frame, two rights", one_frame_two_rights},
	    {"the last page of the address space", the_last_page},
	    {"code changed through an alias", code_changed_through_an_alias},
	    {"other code mapped in its place", other_code_mapped_in_its_place},
	    {"small and large pages by turns", small_and_large_by_turns},
	    {"the size bit follows CR4.PSE", the_size_bit_follows_cr4},
	    {"a large page reaches all its memory", a_large_page_reaches_all_its_memory},
	};

	try_rules(list, sizeof(list) / sizeof(list[0]));
}
