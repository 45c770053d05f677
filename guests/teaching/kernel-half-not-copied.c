/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/kernel-half-not-copied.c - the kernel grew, and an older process does not know it.
 *
 * Each process has a directory of its own, and the kernel's entries are copied into it when it is made.  A kernel that
 * needs a new page table later puts it in the directory of the moment, and all others lack it: the kernel's own memory
 * is gone as soon as another process runs.
 *
 * The bug:  the kernel's heap gets its page table after process A's directory was made.
 * The fix:  put the new entry in every directory (or make all kernel tables before the first process).
 *           The word `lazy` shows another one: copy the entry when it is missed.
 */
#include "guests/teaching/teach.h"

#define HEAP 0xD0000000u
#define PROCESSES 2u

static uint32_t *directory[PROCESSES];

static void make_process(uint32_t number)
{
	directory[number] = new_page();
	memcpy(directory[number], kernel_directory, PAGE);
}

/* The heap's first page, made when it is wanted first: in the directory that is in use. */
static void grow_heap(uint32_t *current, bool fixed)
{
	map(current, HEAP, (uint32_t)new_page(), PTE_P | PTE_W);
	for (uint32_t i = 0; fixed && i < PROCESSES; i++)
		directory[i][SLOT(HEAP)] = current[SLOT(HEAP)];
	STORE(heap_store, HEAP, 0x12345678);
}

/* What is missing here and is the kernel's is copied from the directory that has it. */
static bool copy_entry(uint32_t address)
{
	uint32_t *current = (uint32_t *)read_cr3(), entry = directory[1][SLOT(address)];

	if (current[SLOT(address)] & PTE_P || !(entry & PTE_P))
		return false;
	current[SLOT(address)] = entry;
	return true;
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	uint32_t value;

	(void)magic;
	start_paging();
	print("kernel-half-not-copied: process B makes the kernel's heap grow, process A runs\n");
	if (has_word(info, "lazy"))
		on_page_fault(copy_entry);
	make_process(0);
	make_process(1);
	LOAD_CR3(switch_to_b, directory[1]);
	grow_heap(directory[1], has_word(info, "fixed"));
	LOAD_CR3(switch_to_a, directory[0]);
	expect("the heap holds 12345678");
	value = LOAD(heap_load, HEAP); /* the bug shows here */
	got_value("the heap holds", value, 0x12345678);
}
