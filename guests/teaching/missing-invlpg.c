/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/missing-invlpg.c - an entry is changed and used, and nobody told the processor.
 *
 * A kernel often has one page of address space, a window, through which it looks at one frame after another: it puts
 * the frame's number into the window's page-table entry and reads.  The processor has kept the translation of the last
 * time in its TLB, and it may go on using that until INVLPG, or a load of CR3, makes it forget (SDM vol. 3, 4.10.4).
 *
 * The bug:  the second look goes through the entry of the first one.
 * The fix:  INVLPG after the entry was changed and before it is used.
 */
#include "guests/teaching/teach.h"

#define WINDOW 0x00800000u

static uint32_t *window; /* its page-table entry */

static uint32_t first_look(const uint32_t *frame)
{
	*window = (uint32_t)frame | PTE_P | PTE_W; /* not present before: nothing to forget */
	return LOAD(first_load, WINDOW);
}

static uint32_t second_look(const uint32_t *frame, bool fixed)
{
	STORE(change_entry, window, (uint32_t)frame | PTE_P | PTE_W);
	if (fixed)
		flush_page(WINDOW);
	return LOAD(stale_load, WINDOW); /* the bug shows here */
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	uint32_t *apples, *pears, seen;

	(void)magic;
	start_paging();
	print("missing-invlpg: a window is moved from one frame to another\n");
	apples = new_page();
	pears = new_page();
	*apples = 0xAAAAAAAA;
	*pears = 0xBBBBBBBB;
	window = entry_of(kernel_directory, WINDOW);

	seen = first_look(apples);
	print("the first frame holds %08x\n", seen);
	expect("the second frame holds bbbbbbbb");
	seen = second_look(pears, has_word(info, "fixed"));
	got_value("the second frame holds", seen, *pears);
}
