/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/pse-without-cr4.c - a page of 4 MiB that the processor takes for a page table.
 *
 * Bit 7 (PS) of a directory entry makes it a page of 4 MiB, but only while CR4.PSE is set; otherwise the processor
 * ignores the bit (SDM vol. 3, table 4-5) and takes the frame for a table.  What lies at the beginning of the page,
 * data, is then read as page-table entries.
 *
 * The bug:  CR4.PSE was never set.
 * The fix:  set it before paging (having looked for PSE in CPUID).
 */
#include "guests/teaching/teach.h"

#define LARGE 0x00400000u /* the second 4 MiB, by one entry */

static void map_large(uint32_t address)
{
	kernel_directory[SLOT(address)] = address | PTE_P | PTE_W | PTE_PS;
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	uint32_t *numbers = (uint32_t *)LARGE, value;

	(void)magic;
	for (uint32_t i = 0; i < ENTRIES; i++) /* paging is off yet: this is physical memory */
		numbers[i] = 1000 + 2 * i;
	if (has_word(info, "fixed") && cpu_features() & FEATURE_PSE)
		write_cr4(read_cr4() | CR4_PSE);
	map_large(LARGE);
	start_paging();
	print("pse-without-cr4: 4 MiB are mapped by one directory entry\n");
	expect("the first number is 000003e8");
	value = LOAD(read_number, &numbers[0]); /* the bug shows here */
	got_value("the first number is", value, 1000);
}
