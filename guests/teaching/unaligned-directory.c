/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/unaligned-directory.c - a page directory that does not begin on a page boundary.
 *
 * CR3 holds bits 12 to 31 of the directory's address (SDM vol. 3, table 4-3).  Of the others two mean caching (PWT, PCD)
 * and the rest is ignored: the processor reads the directory from the beginning of the page, where something else is.
 *
 * The bug:  the new process's directory comes from an allocator that puts a header in front of what it gives away.
 * The fix:  take a whole page for it.
 *
 * With that directory the very next instruction is not mapped, nor is the fault handler, nor the handler of that: the
 * processor shuts down, a PC is reset.
 */
#include "guests/teaching/teach.h"

struct header { /* of each piece that allocate() gives away */
	uint32_t bytes, used, reserved[14];
};

/* The kernel's malloc: good for everything but this. */
static void *allocate(uint32_t bytes)
{
	struct header *h = (struct header *)new_page();

	new_page(); /* header and directory are longer than a page */
	h->bytes = bytes;
	return h + 1;
}

static uint32_t *new_directory(bool fixed)
{
	uint32_t *directory = fixed ? new_page() : allocate(PAGE);

	memcpy(directory, kernel_directory, PAGE);
	return directory;
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	uint32_t *directory;

	(void)magic;
	start_paging();
	directory = new_directory(has_word(info, "fixed"));
	print("unaligned-directory: switching to a new process's directory at %08x\n", (uint32_t)directory);
	expect("the kernel goes on in the new address space");
	LOAD_CR3(switch_directory, directory); /* the bug shows here */
	got("the kernel goes on in the new address space", true);
}
