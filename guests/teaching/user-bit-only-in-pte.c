/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/user-bit-only-in-pte.c - a page is opened to ring 3, its page table is not.
 *
 * The processor takes the rights of all levels together: ring 3 may use a page only if U/S is set in the directory's
 * entry AND in the table's (SDM vol. 3, 4.6).  The rights of the table alone say nothing.
 *
 * The bug:  U/S is set in the page-table entry only, so that ring 3's first instruction faults.
 * The fix:  set it in the directory's entry too; the other pages below it stay closed by their own entries.
 */
#include "guests/teaching/teach.h"

/* The process only says that it is there. */
__asm__("	.section .text.user, \"ax\"\n"
	"	.balign 4096\n"
	"	.globl process_start\n"
	"process_start:\n" /* the bug shows here: the instruction cannot be fetched */
	"	movl	$0x33333333, %ebx\n"
	"	int	$0x80\n"
	"	.balign 4096\n"
	"	.previous\n");
extern const char process_start[];

static void open_to_user(uint32_t address, bool fixed)
{
	uint32_t *entry = entry_of(kernel_directory, address);

	STORE(open_page, entry, *entry | PTE_U);
	if (fixed)
		kernel_directory[SLOT(address)] |= PTE_U;
	flush_all();
}

static void system_call(struct trap_frame *f)
{
	got_value("the process says", f->ebx, 0x33333333);
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	(void)magic;
	start_paging();
	print("user-bit-only-in-pte: a process is started\n");
	open_to_user((uint32_t)process_start, has_word(info, "fixed"));
	expect("the process says 33333333");
	enter_user(process_start, system_call);
}
