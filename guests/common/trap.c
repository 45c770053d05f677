/* SPDX-License-Identifier: MIT */
/*
 * guests/common/trap.c - descriptor tables: flat segments for rings 0 and 3, one task, one gate a
 * vector.
 *
 *   1. Segments    GDT and TSS
 *   2. Gates       IDT
 */
#include "guests/common/guest.h"

extern const char trap_entries[];

struct table_pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

/* ---- 1. Segments ---------------------------------------------------------------------------- */

/* Base 0, limit 4 GiB, 32-bit; they differ in type and privilege (SDM vol. 3, 3.4.5). */
static uint64_t segments[] = {
    0,
    0x00CF9A000000FFFF, /* KERNEL_CODE */
    0x00CF92000000FFFF, /* KERNEL_DATA */
    0x00CFFA000000FFFF, /* USER_CODE */
    0x00CFF2000000FFFF, /* USER_DATA */
    0,                  /* TSS */
};

/* Of the task state segment only the ring 0 stack is used. */
static struct {
	uint32_t link, esp0, ss0, rest[22];
	uint16_t trap, io_map;
} task = {.ss0 = KERNEL_DATA, .io_map = 104};

void set_kernel_stack(uint32_t top)
{
	task.esp0 = top;
}

static void load_segments(void)
{
	const struct table_pointer p = {sizeof(segments) - 1, (uint32_t)segments};
	uint64_t base = (uint32_t)&task;

	segments[TSS / 8] =
	    (sizeof(task) - 1) | (base & 0xFFFFFF) << 16 | 0x89ull << 40 | base >> 24 << 56;
	__asm__ volatile("lgdt %0\n\t"
			 "ljmp %1, $1f\n"
			 "1:\n\t"
			 "movl %2, %%ds\n\t"
			 "movl %2, %%es\n\t"
			 "movl %2, %%ss\n\t"
			 "movl %3, %%fs\n\t"
			 "movl %3, %%gs\n\t"
			 "ltr %w4"
			 :
			 : "m"(p), "i"(KERNEL_CODE), "r"(KERNEL_DATA), "r"(0), "r"(TSS)
			 : "memory");
}

/* ---- 2. Gates ------------------------------------------------------------------------------- */

static uint64_t gates[TRAP_VECTORS];

void traps_start(void)
{
	const struct table_pointer p = {sizeof(gates) - 1, (uint32_t)gates};

	load_segments();
	for (unsigned i = 0; i < TRAP_VECTORS; i++) {
		uint64_t at = (uint32_t)trap_entries + 16 * i;
		/* interrupt gates, so that IF is off inside; ring 3 may use its own vector only */
		uint64_t type = i == TRAP_USER ? 0xEE : 0x8E;

		gates[i] =
		    (at & 0xFFFF) | (uint64_t)KERNEL_CODE << 16 | type << 40 | at >> 16 << 48;
	}
	__asm__ volatile("lidt %0" : : "m"(p));
}
