/* SPDX-License-Identifier: MIT */
/*
 * shadow/sync.c - bring shadow entries in step with the guest's.
 *
 *   1. Leaves    keep what the guest's entry still permits, drop the rest
 *   2. Upper     keep the way down if it still leads to the right table
 *   3. Tables
 *
 * Only ever takes rights away: what became possible is found by the next access (not-present to
 * present never waits for a flush).
 */
#include "core.h"

/* ---- 1. Leaves ------------------------------------------------------------------------------ */

static unsigned sync_leaf(struct um *um, struct table *t, unsigned index)
{
	uint64_t old = t->spte[index], new, gpte, bits = 0;
	uint32_t gfn = link_at(t, index)->gfn;
	/* Which of the two forms a read-only entry has under CR0.WP = 0 (fill.c). */
	unsigned form = (old & RIGHTS) == SPTE_WRITE ? UM_WRITE : UM_READ;

	if (read_shadowed(um, t, index, &gpte) && gpte_frame(um, gpte) == gfn)
		bits = leaf_bits(um, t, gpte, form);
	if (!bits) {
		drop_leaf(um, t, index);
		return 1;
	}
	new = old & ~((uint64_t)(RIGHTS | SPTE_DIRTY | SPTE_GLOBAL) & ~bits);
	if (new == old)
		return 0;
	t->spte[index] = new;
	invalidate_leaf(um, t, index, old);
	return 1;
}

/* ---- 2. Upper ------------------------------------------------------------------------------- */

static unsigned sync_upper(struct um *um, struct table *t, unsigned index)
{
	struct table *child = child_of(um, t->spte[index]);
	struct key key, parent = key_of(t);
	uint64_t gpte;

	if ((child->role & ROLE_WINDOW))
		return 0;
	if (read_shadowed(um, t, index, &gpte) &&
	    (gpte & (GPTE_PRESENT | GPTE_ACCESSED)) == (GPTE_PRESENT | GPTE_ACCESSED) &&
	    !upper_reserved(um, t, gpte) && child_key(um, &parent, index, gpte, &key) &&
	    has_key(um, child, &key))
		return 0;
	unlink_slot(um, t, index);
	return 1;
}

/* ---- 3. Tables ------------------------------------------------------------------------------ */

unsigned sync_entry(struct um *um, struct table *t, unsigned index)
{
	if (!(t->spte[index] & SPTE_PRESENT) || (t->role & ROLE_DIRECT))
		return 0;
	return level_of(t) ? sync_upper(um, t, index) : sync_leaf(um, t, index);
}

unsigned sync_table(struct um *um, struct table *t)
{
	unsigned changed = 0, left = t->present;

	if (t->role & ROLE_DIRECT)
		return 0;
	for (unsigned i = 0; i < ENTRIES && left; i++) {
		if (!(t->spte[i] & SPTE_PRESENT))
			continue;
		left--;
		changed += sync_entry(um, t, i);
	}
	return changed;
}
