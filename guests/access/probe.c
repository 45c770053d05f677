/* SPDX-License-Identifier: MIT */
/*
 * guests/access/probe.c - one access, and what it came to.
 */
#include "guests/access/access.h"

uint32_t ring0_access(enum access access, uint32_t address, uint32_t value);
uint32_t enter_ring3(enum access access, uint32_t address, uint32_t value);
_Noreturn void leave_ring3(uint32_t value);
extern const char ring0_end[], ring3_code[], ring3_code_end[];
extern uint32_t ring0_stack;

static uint8_t user_pages[2][PAGE] __attribute__((aligned(4096)));
static uint32_t user_table[1024] __attribute__((aligned(4096)));
static uint8_t trap_stack[4096] __attribute__((aligned(16)));
static struct outcome seen;

void probe_start(void)
{
	memcpy(user_pages[0], ring3_code, (size_t)(ring3_code_end - ring3_code));
	for (unsigned i = 0; i < 2; i++)
		user_table[i] = (uint32_t)user_pages[i] | RWU;
	directory[USER_AREA >> 22] = (uint32_t)user_table | RWU;
	set_kernel_stack((uint32_t)trap_stack + sizeof(trap_stack));
}

void handle_trap(struct trap_frame *f)
{
	bool user = f->cs & 3;

	if (f->vector == TRAP_USER && user)
		leave_ring3(f->eax);
	if (f->vector != TRAP_PAGE_FAULT || (!user && !ring0_stack)) {
		print("Bail out! trap %u, error %x, at %08x, address %08x\n", f->vector, f->error,
		      f->eip, read_cr2());
		debug_exit(3);
	}
	seen.fault = true;
	seen.error = f->error;
	seen.address = read_cr2();
	if (user)
		leave_ring3(0);
	f->eip = (uint32_t)ring0_end;
}

struct outcome probe(enum access access, bool user, uint32_t address, uint32_t value)
{
	uint32_t result;

	seen = (struct outcome){.fault = false};
	result = (user ? enter_ring3 : ring0_access)(access, address, value);
	__asm__ volatile("" : : : "memory"); /* the handler wrote `seen` */
	seen.value = result;
	return seen;
}
