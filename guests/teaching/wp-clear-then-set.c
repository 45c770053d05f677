/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/wp-clear-then-set.c - a write that nobody minded, until somebody set CR0.WP.
 *
 * With CR0.WP clear, ring 0 may write to pages whose entries say read-only (SDM vol. 3, 4.6).  A kernel that starts
 * that way can write into its own constants, or into a page that processes share until one of them writes, and notice
 * nothing.  The day WP is set the same line faults.
 *
 * The bug:  the table of constants is patched although its page is read-only.
 * The fix:  WP from the start; and who has to write makes the page writable for as long (and flushes).
 */
#include "guests/teaching/teach.h"

#define CONSTANTS 0x00900000u

static void set_wp(bool on)
{
	write_cr0(on ? read_cr0() | CR0_WP : read_cr0() & ~(uint32_t)CR0_WP);
}

static __attribute__((noinline)) void patch_openly(uint32_t value)
{
	uint32_t *entry = entry_of(kernel_directory, CONSTANTS);

	*entry |= PTE_W;
	flush_page(CONSTANTS);
	STORE(open_store, CONSTANTS, value);
	*entry &= ~(uint32_t)PTE_W;
	flush_page(CONSTANTS);
}

static void patch_twice(void)
{
	STORE(unnoticed_store, CONSTANTS, 1); /* the bug shows here */
	print("a read-only page was written to, and nothing happened\n");
	set_wp(true);
	print("CR0.WP is set; the same again\n");
	STORE(refused_store, CONSTANTS, 2); /* ... and hurts here */
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	bool fixed = has_word(info, "fixed");

	(void)magic;
	start_paging();
	set_wp(fixed);
	print("wp-clear-then-set: the kernel patches a read-only page twice\n");
	map(kernel_directory, CONSTANTS, (uint32_t)new_page(), PTE_P);
	expect("the page holds 00000002");
	if (fixed) {
		patch_openly(1);
		patch_openly(2);
	} else {
		patch_twice();
	}
	got_value("the page holds", LOAD(final_load, CONSTANTS), 2);
}
