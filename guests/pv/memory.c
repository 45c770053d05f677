/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/memory.c - frames, page tables, and what the host is told of them.
 *
 *   1. Frames      counted owners
 *   2. Tables      memory first, then the call
 *   3. Kernel      the master directory; the others' kernel half is a copy that may lag behind
 *   4. Start
 */
#include "guests/pv/pv.h"

/* ---- 1. Frames ------------------------------------------------------------------------------ */

enum { BOOT_PARAMS_E820 = 0x2D0, BOOT_PARAMS_INITRD = 0x218 };

uint32_t memory_bytes;
static uint16_t owners[MEMORY_MAX / PAGE];
static uint32_t next_frame, first_frame, free_count;

uint32_t take_frame(void)
{
	uint32_t end = memory_bytes / PAGE;

	for (uint32_t tries = end - first_frame; tries; tries--) {
		uint32_t frame = next_frame;

		next_frame = next_frame + 1 == end ? first_frame : next_frame + 1;
		if (owners[frame])
			continue;
		owners[frame] = 1;
		free_count--;
		memset(virtual(frame * PAGE), 0, PAGE);
		return frame * PAGE;
	}
	print("\npv: no memory left\n");
	shut_down("pv: no memory left", SHUTDOWN_POWER_OFF);
}

uint32_t take_frames(unsigned n)
{
	uint32_t end = memory_bytes / PAGE;

	for (uint32_t at = first_frame, run = 0; at < end; at++) {
		run = owners[at] ? 0 : run + 1;
		if (run < n)
			continue;
		for (uint32_t i = at + 1 - n; i <= at; i++)
			owners[i] = 1;
		free_count -= n;
		memset(virtual((at + 1 - n) * PAGE), 0, n * PAGE);
		return (at + 1 - n) * PAGE;
	}
	shut_down("pv: no contiguous memory left", SHUTDOWN_POWER_OFF);
}

void share_frame(uint32_t frame)
{
	if (owners[frame / PAGE]++ == 0) /* part of the image */
		owners[frame / PAGE]++;
}

void release_frame(uint32_t frame)
{
	if (--owners[frame / PAGE] != 0)
		return;
	free_count++;
	if (frame / PAGE < next_frame) /* the first to be taken again: what is stale shows */
		next_frame = frame / PAGE;
}

uint32_t frame_owners(uint32_t frame)
{
	return owners[frame / PAGE];
}

uint32_t frames_free(void)
{
	return free_count;
}

static void frames_start(void)
{
	uint32_t initrd = *(uint32_t *)virtual(BOOT_PARAMS_INITRD);
	uint32_t length = *(uint32_t *)virtual(BOOT_PARAMS_INITRD + 4);

	memory_bytes = *(uint32_t *)virtual(BOOT_PARAMS_E820 + 8);
	if (memory_bytes > MEMORY_MAX)
		memory_bytes = MEMORY_MAX;
	first_frame = next_frame = physical(image_end) / PAGE;
	free_count = memory_bytes / PAGE - first_frame;
	for (uint32_t at = initrd; length && at < initrd + length && at < memory_bytes; at += PAGE) {
		owners[at / PAGE] = 1;
		free_count--;
	}
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

uint32_t current_table;

void load_table(uint32_t top)
{
	current_table = top;
	lazy_call(CALL_NEW_PGTABLE, top, 0, 0);
}

/* "Forget this translation": the entry need not be 0, and stays as it is. */
void flush_page(uint32_t va)
{
	lazy_call(CALL_SET_PTE, current_table, va, 0);
}

void flush_user(void)
{
	lazy_call(CALL_FLUSH_TLB, 0, 0, 0);
}

void flush_everything(void)
{
	lazy_call(CALL_FLUSH_TLB, 1, 0, 0);
}

uint32_t *find_pte(uint32_t top, uint32_t va)
{
	const uint32_t *directory = virtual(top);
	uint32_t pde = directory[va >> 22];

	if (!(pde & PTE_P))
		return NULL;
	return (uint32_t *)virtual(pde & PTE_FRAME) + (va >> 12 & 1023);
}

void set_pde(uint32_t top, uint32_t va, uint32_t value)
{
	volatile uint32_t *directory = virtual(top);

	directory[va >> 22] = value;
	lazy_call(CALL_SET_PGD, top, va >> 22, 0);
}

uint32_t *make_pte(uint32_t top, uint32_t va)
{
	if (!find_pte(top, va))
		set_pde(top, va, take_frame() | PDE_TABLE);
	return find_pte(top, va);
}

void set_pte(uint32_t top, uint32_t va, uint32_t value)
{
	*(volatile uint32_t *)make_pte(top, va) = value;
	lazy_call(CALL_SET_PTE, top, va, value);
}

void store_pte(uint32_t top, uint32_t va, uint32_t value)
{
	*(volatile uint32_t *)find_pte(top, va) = value;
	if (!family->silent_edits)
		lazy_call(CALL_SET_PTE, top, va, value);
}

void edit_pte(uint32_t top, uint32_t va, uint32_t value)
{
	store_pte(top, va, value);
	if (top == current_table)
		flush_page(va);
}

/* ---- 3. Kernel ------------------------------------------------------------------------------ */

static uint32_t master[1024] __attribute__((aligned(4096)));
uint32_t *swapper = master;
uint32_t vmalloc_faults;

/* The host applies it to every directory, whichever is named. */
void map_kernel(uint32_t va, uint32_t value)
{
	set_pte(physical(swapper), va, value);
}

void *map_device(uint32_t at, uint32_t bytes, uint32_t flags)
{
	static uint32_t next = VMALLOC_END;
	uint32_t va = next, from = at & PTE_FRAME, to = (at + bytes + PAGE - 1) & PTE_FRAME;

	for (; from < to; from += PAGE, next += PAGE)
		map_kernel(next, from | PTE_KERNEL | flags);
	return (void *)(va + (at & (PAGE - 1)));
}

bool kernel_fault(uint32_t va, uint32_t error)
{
	volatile uint32_t *directory = virtual(current_table);

	if (va < VMALLOC || (error & FAULT_P) || (directory[va >> 22] & PTE_P) ||
	    !(swapper[va >> 22] & PTE_P))
		return false;
	vmalloc_faults++;
	directory[va >> 22] = swapper[va >> 22];
	call(CALL_SET_PGD, current_table, va >> 22, 0);
	return true;
}

/* ---- 4. Start ------------------------------------------------------------------------------- */

void memory_start(void)
{
	frames_start();
	for (uint32_t at = 0; at < memory_bytes; at += PAGE) {
		uint32_t *pde = &master[(PAGE_OFFSET + at) >> 22];

		if (!*pde)
			*pde = take_frame() | PDE_TABLE;
		((uint32_t *)virtual(*pde & PTE_FRAME))[at >> 12 & 1023] = at | PTE_KERNEL;
	}
	load_table(physical(swapper));
	flush_everything();
	call(CALL_SET_STACK, KERNEL_DATA, (uint32_t)boot_stack_top, STACK_PAGES);
}
