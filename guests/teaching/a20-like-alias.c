/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/a20-like-alias.c - an address bit is lost, and two different frames are one.
 *
 * With its A20 gate closed a PC drops bit 20 of every physical address: 0x00300000 is 0x00200000.  Whoever forgets to
 * open the gate, or loses a bit in arithmetic of his own as here, gets two names for one frame; and when one of the two
 * is a page table, whoever writes through the other edits it.
 *
 * The kernel keeps its tables from 2 MiB on and gives processes frames from 3 MiB on.
 *
 * The bug:  the number of a process's frame loses bit 20, so that the process's first page is its own page table.
 * The fix:  keep the bit.
 */
#include "guests/teaching/teach.h"

#define DATA 0x40000000u
#define A20 (1u << 20)

/* The process writes to its first page, then reads its second one. */
__asm__("	.section .text.user, \"ax\"\n"
	"	.balign 4096\n"
	"	.globl process_start, process_store, process_load\n"
	"process_start:\n"
	"	movl	$0x40000000, %esi\n" /* DATA */
	"process_store:\n"
	"	movl	$0x41414140, 4(%esi)\n" /* goes into the second page's entry */
	"process_load:\n"
	"	movl	0x1000(%esi), %ebx\n" /* ... and it hurts here */
	"	int	$0x80\n"
	"	.balign 4096\n"
	"	.previous\n");
extern const char process_start[];

static bool fixed;

static uint32_t frame_of_process(uint32_t number)
{
	uint32_t frame = 0x300000 + number * PAGE;

	return fixed ? frame : frame & ~A20;
}

static __attribute__((noinline)) void give_page(uint32_t address, uint32_t number)
{
	uint32_t *entry = entry_of(kernel_directory, address);

	kernel_directory[SLOT(address)] |= PTE_U;
	/* the bug begins here */
	STORE(set_entry, entry, frame_of_process(number) | PTE_P | PTE_W | PTE_U);
}

static void system_call(struct trap_frame *f)
{
	got_value("the second page holds", f->ebx, 0x22222222);
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	(void)magic;
	start_paging();
	print("a20-like-alias: a process has two pages, and writes to the first\n");
	fixed = has_word(info, "fixed");
	map(kernel_directory, (uint32_t)process_start, (uint32_t)process_start, PTE_P | PTE_U);
	give_page(DATA + PAGE, 1);
	*(volatile uint32_t *)(DATA + PAGE) = 0x22222222; /* what the second page shall hold */
	give_page(DATA, 0);
	flush_all(); /* so that what the process meets is in the tables */
	expect("the second page holds 22222222");
	enter_user(process_start, system_call);
}
