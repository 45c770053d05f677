/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/stale-after-remap.c - a process gives a page back, gets another at the same address, and sees the old.
 *
 * unmap() clears the page-table entry and frees the frame; map() puts a fresh frame of zeroes at the same address.  Each
 * looks right on its own: an entry that goes from absent to present needs no flush (SDM vol. 3, 4.10.4.3).  But the one
 * that went from present to absent did need one, and by the time of map() the processor still has it.
 *
 * The bug:  the process reads, and could write, a frame that is no longer its own.
 * The fix:  INVLPG in unmap().
 */
#include "guests/teaching/teach.h"

#define DATA 0x40000000u

enum call { CALL_UNMAP, CALL_MAP, CALL_END };

/* The process: its call goes into EAX.  It has a code page of its own. */
__asm__("	.section .text.user, \"ax\"\n"
	"	.balign 4096\n"
	"	.globl process_start, process_load\n"
	"process_start:\n"
	"	movl	$0x40000000, %esi\n" /* DATA */
	"	movl	$0xdeadbeef, (%esi)\n" /* something to remember */
	"	movl	$0, %eax\n"
	"	int	$0x80\n" /* unmap */
	"	movl	$1, %eax\n"
	"	int	$0x80\n" /* map */
	"process_load:\n"
	"	movl	(%esi), %ebx\n" /* a fresh page: 0.  The bug shows here */
	"	movl	$2, %eax\n"
	"	int	$0x80\n" /* end */
	"	.balign 4096\n"
	"	.previous\n");
extern const char process_start[];

static bool fixed;
static uint32_t *page; /* DATA's page-table entry */

static void unmap(void)
{
	STORE(clear_entry, page, 0);
	if (fixed)
		flush_page(DATA);
}

static void map_fresh(void)
{
	uint32_t frame = (uint32_t)new_page();

	STORE(set_entry, page, frame | PTE_P | PTE_W | PTE_U);
}

static void system_call(struct trap_frame *f)
{
	if (f->eax == CALL_UNMAP)
		unmap();
	else if (f->eax == CALL_MAP)
		map_fresh();
	else
		got_value("the fresh page holds", f->ebx, 0);
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	(void)magic;
	start_paging();
	print("stale-after-remap: a process unmaps a page and maps it again\n");
	fixed = has_word(info, "fixed");
	map(kernel_directory, (uint32_t)process_start, (uint32_t)process_start, PTE_P | PTE_U);
	map(kernel_directory, DATA, (uint32_t)new_page(), PTE_P | PTE_W | PTE_U);
	flush_all();
	page = entry_of(kernel_directory, DATA);
	expect("the fresh page holds 00000000");
	enter_user(process_start, system_call);
}
