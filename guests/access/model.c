/* SPDX-License-Identifier: MIT */
/*
 * guests/access/model.c - what an access comes to, as the manual says it and nothing else.
 *
 * SDM vol. 3: 4.3 (the formats of 32-bit paging), 4.6.1 (access rights), 4.7 (error codes), 4.8
 * (accessed and dirty).  Written in the manual's order, not for speed.
 */
#include "guests/access/access.h"

/* Bit 21 of an entry for a 4 MiB page is reserved in every processor (table 4-4). */
#define LARGE_RESERVED 0x00200000u

bool lenient_rsvd;

bool same_error(uint32_t found, uint32_t expected)
{
	if (lenient_rsvd && expected & FAULT_RSVD)
		found |= FAULT_P;
	return found == expected;
}

static uint32_t error_of(const struct question *q, uint32_t cause)
{
	/* the fetch bit is only for processors that can forbid fetches: not in 32-bit paging */
	return cause | (q->access == ACCESS_WRITE ? FAULT_W : 0) | (q->user ? FAULT_U : 0);
}

static struct verdict fault(const struct question *q, uint32_t cause, uint32_t optional)
{
	return (struct verdict){.fault = true,
				.error = error_of(q, cause),
				.pde = q->pde,
				.pte = q->pte,
				.optional = optional};
}

static bool is_permitted(const struct question *q, bool writable, bool for_users)
{
	if (q->user)
		return for_users && (q->access != ACCESS_WRITE || writable);
	/* ring 0: reads and fetches always, writes to read-only pages if CR0.WP is 0 */
	return q->access != ACCESS_WRITE || writable || !q->wp;
}

struct verdict judge(const struct question *q)
{
	struct verdict v = {.pde = q->pde, .pte = q->pte};
	uint32_t optional = 0;
	bool writable, for_users;

	if (!(q->pde & PTE_P))
		return fault(q, 0, 0);
	v.large = q->pse && q->pde & PTE_PS;
	if (v.large) {
		if (q->pde & LARGE_RESERVED)
			return fault(q, FAULT_P | FAULT_RSVD, 0);
		writable = q->pde & PTE_W;
		for_users = q->pde & PTE_U;
	} else {
		/* a processor may mark an upper entry that it used although the access fails */
		optional = PTE_A;
		if (!(q->pte & PTE_P))
			return fault(q, 0, optional);
		writable = q->pde & q->pte & PTE_W;
		for_users = q->pde & q->pte & PTE_U;
	}
	if (!is_permitted(q, writable, for_users))
		return fault(q, FAULT_P, optional);
	v.pde |= PTE_A;
	if (v.large)
		v.pde |= q->access == ACCESS_WRITE ? PTE_D : 0;
	else
		v.pte |= q->access == ACCESS_WRITE ? PTE_A | PTE_D : PTE_A;
	return v;
}
