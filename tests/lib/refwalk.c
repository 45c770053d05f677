/* SPDX-License-Identifier: MIT */
/* tests/lib/refwalk.c - see refwalk.h.  Read it beside the manual: it follows its order. */
#include "tests/lib/refwalk.h"

#define P 0x001u
#define W 0x002u
#define U 0x004u
#define A 0x020u
#define D 0x040u
#define PS 0x080u
#define G 0x100u

/* SDM vol. 3, 4.7: the code of a fault.  I/D (bit 4) stays 0: neither PAE with NXE nor SMEP is on. */
static struct ref_walk refuse(struct ref_walk r, unsigned access, bool present, bool reserved)
{
	r.ok = false;
	r.error = (present ? 1u : 0u) | (access & REF_WRITE) | (access & REF_USER) | (reserved ? 8u : 0u);
	return r;
}

static uint32_t look(ref_read *read, void *user, struct ref_walk *r, uint64_t gpa)
{
	uint32_t value = 0;

	if (!read(user, gpa, &value))
		value = 0;
	r->entry_gpa[r->entries] = gpa;
	r->entry[r->entries] = value;
	r->after[r->entries] = value;
	r->entries++;
	return value;
}

struct ref_walk ref_walk(ref_read *read, void *user, uint32_t mode, uint32_t cr3, uint32_t gva,
                         unsigned access)
{
	struct ref_walk r = { .ok = true };
	bool may_write, may_user;

	if (!(mode & REF_PG)) {
		r.gpa = gva;
		r.writable = true;
		return r;
	}

	uint32_t pde = look(read, user, &r, (cr3 & 0xFFFFF000u) + 4u * (gva >> 22));
	if (!(pde & P))
		return refuse(r, access, false, false);

	if ((pde & PS) && (mode & REF_PSE)) {           /* table 4-4: a 4 MiB page */
		if (pde & 0x003FE000u)                  /* bits 21:13, with no PSE-36 */
			return refuse(r, access, true, true);
		may_write = pde & W;
		may_user = pde & U;
		r.gpa = (pde & 0xFFC00000u) | (gva & 0x003FFFFFu);
		r.global = (pde & G) && (mode & REF_PGE);
	} else {
		uint32_t pte = look(read, user, &r, (pde & 0xFFFFF000u) + 4u * ((gva >> 12) & 1023u));
		if (!(pte & P))
			return refuse(r, access, false, false);
		may_write = (pde & W) && (pte & W);     /* 4.6: all levels must agree */
		may_user = (pde & U) && (pte & U);
		r.gpa = (pte & 0xFFFFF000u) | (gva & 0xFFFu);
		r.global = (pte & G) && (mode & REF_PGE);
	}

	if ((access & REF_USER) && !may_user)
		return refuse(r, access, true, false);
	r.writable = may_write || (!(access & REF_USER) && !(mode & REF_WP));
	if ((access & REF_WRITE) && !r.writable)
		return refuse(r, access, true, false);

	for (unsigned i = 0; i < r.entries; i++)        /* 4.8 */
		r.after[i] |= A;
	if (access & REF_WRITE)
		r.after[r.entries - 1] |= D;
	return r;
}
