/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/teach.c - what the teaching guests share (teach.h).
 *
 *   1. Paging
 *   2. Ring 3
 *   3. Verdict
 */
#include "guests/teaching/teach.h"

/* ---- 1. Paging ------------------------------------------------------------------------------ */

uint32_t kernel_directory[ENTRIES] __attribute__((aligned(4096)));
uint32_t kernel_table[ENTRIES] __attribute__((aligned(4096)));

uint32_t *new_page(void)
{
	static uint32_t next = 0x200000;
	uint32_t *page = (uint32_t *)next;

	next += PAGE;
	return memset(page, 0, PAGE);
}

uint32_t *entry_of(uint32_t *directory, uint32_t address)
{
	uint32_t *slot = &directory[SLOT(address)];

	if (!(*slot & PTE_P))
		*slot = (uint32_t)new_page() | PTE_P | PTE_W;
	return (uint32_t *)(*slot & PTE_FRAME) + INDEX(address);
}

void map(uint32_t *directory, uint32_t address, uint32_t frame, uint32_t flags)
{
	*entry_of(directory, address) = frame | flags;
	directory[SLOT(address)] |= flags & (PTE_W | PTE_U);
}

void start_paging(void)
{
	console_start();
	traps_start();
	for (uint32_t i = 0; i < ENTRIES; i++)
		kernel_table[i] = i * PAGE | PTE_P | PTE_W;
	kernel_directory[0] = (uint32_t)kernel_table | PTE_P | PTE_W;
	write_cr3((uint32_t)kernel_directory);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

/* ---- 2. Ring 3 ------------------------------------------------------------------------------ */

static void (*user_call)(struct trap_frame *f);

_Noreturn void enter_user(const char *eip, void (*call)(struct trap_frame *f))
{
	extern char stack_top[];

	user_call = call;
	set_kernel_stack((uint32_t)stack_top);
	__asm__ volatile("movl %1, %%ds\n\t"
			 "movl %1, %%es\n\t"
			 "pushl %1\n\t" /* SS, ESP, EFLAGS, CS, EIP: as if it had come from there */
			 "pushl $0\n\t" /* (our processes need no stack) */
			 "pushl $2\n\t"
			 "pushl %2\n\t"
			 "pushl %0\n\t"
			 "iret"
			 :
			 : "r"(eip), "r"(USER_DATA), "r"(USER_CODE)
			 : "memory");
	__builtin_unreachable();
}

/* ---- 3. Verdict ----------------------------------------------------------------------------- */

void expect(const char *what)
{
	print("expected: %s\n", what);
}

_Noreturn void got(const char *what, bool as_expected)
{
	print("got:      %s\n%s\n", what, as_expected ? "as expected" : "NOT as expected");
	power_off();
}

_Noreturn void got_value(const char *what, uint32_t value, uint32_t expected)
{
	print("got:      %s %08x\n%s\n", what, value,
	      value == expected ? "as expected" : "NOT as expected");
	power_off();
}

static bool (*repair_fault)(uint32_t address);

void on_page_fault(bool (*repair)(uint32_t address))
{
	repair_fault = repair;
}

void handle_trap(struct trap_frame *f)
{
	if (f->vector == TRAP_USER && user_call) {
		user_call(f);
		return;
	}
	if (f->vector == TRAP_PAGE_FAULT && repair_fault && repair_fault(read_cr2()))
		return;
	if (f->vector == TRAP_PAGE_FAULT)
		print("got:      a page fault at %08x, error %x, by %08x\n", read_cr2(), f->error,
		      f->eip);
	else
		print("got:      trap %u, error %x, by %08x\n", f->vector, f->error, f->eip);
	print("NOT as expected\n");
	power_off();
}
