/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/access.c - one access, and the fault that it came to.
 */
#include "guests/pv/probes.h"

static uint32_t guarded_access(void *probe, uint32_t va, uint32_t value)
{
	uint32_t flags = *data_word(DATA_IRQ_ENABLED);

	if (!call_guarded(probe, va, value))
		return NO_FAULT;
	*data_word(DATA_IRQ_ENABLED) = flags;
	CHECK_EQUAL(caught.frame.vector, 14);
	CHECK_EQUAL(caught.cr2, va);
	return caught.frame.error;
}

uint32_t kernel_read(uint32_t va)
{
	return guarded_access(k_read, va, 0);
}

uint32_t kernel_write(uint32_t va, uint32_t value)
{
	return guarded_access(k_write, va, value);
}

static uint32_t user_access(struct process *p, const char *code, uint32_t va, uint32_t value)
{
	uint32_t vector = run_user(p, code, value, 0, va);

	if (vector == VECTOR_SYSCALL)
		return NO_FAULT;
	CHECK_EQUAL(vector, 14);
	CHECK_EQUAL(caught.cr2, va);
	CHECK_EQUAL(p->frame.eip, user_address(code));
	return p->frame.error;
}

uint32_t user_read(struct process *p, uint32_t va)
{
	return user_access(p, u_read, va, 0);
}

uint32_t user_write(struct process *p, uint32_t va, uint32_t value)
{
	return user_access(p, u_write, va, value);
}
