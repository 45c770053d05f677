/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/wrong-recursive-slot.c - the directory maps itself, but not where the kernel looks for it.
 *
 * A directory entry that leads to the directory itself makes all page tables visible as 4 MiB of memory: with slot 1023
 * the entry for address A is the word at 0xFFC00000 + A / 4096 * 4.  Slot and address belong together.
 *
 * The bug:  the self-entry is put in slot 1022, and the tables are looked for where slot 1023 would have them.
 * The fix:  one constant for both.
 */
#include "guests/teaching/teach.h"

#define TABLES 0xFFC00000u /* where all page tables are to be seen: slot 1023 */

static uint32_t entry_address(uint32_t address)
{
	return TABLES + address / PAGE * sizeof(uint32_t);
}

static void install_self_entry(bool fixed)
{
	uint32_t slot = fixed ? SLOT(TABLES) : 1022;

	kernel_directory[slot] = (uint32_t)kernel_directory | PTE_P | PTE_W;
	flush_all();
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	uint32_t *frame, entry;

	(void)magic;
	start_paging();
	print("wrong-recursive-slot: an entry is read through the recursive mapping\n");
	frame = new_page();
	install_self_entry(has_word(info, "fixed"));
	expect("the entry of the page is 00200001");
	entry = LOAD(read_entry, entry_address((uint32_t)frame)); /* the bug shows here */
	got_value("the entry of the page is", entry & (PTE_FRAME | PTE_P), (uint32_t)frame | PTE_P);
}
