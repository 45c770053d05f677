/* SPDX-License-Identifier: MIT */
/*
 * shadow/prefetch.c - fill the neighbours of a demanded entry (UM_OPT_PREFETCH).
 *
 *   1. prefetch_around
 *
 * A neighbour is filled only if the guest has used it already: Accessed is set, and it is writable
 * only if Dirty is.  So prefetching never writes guest memory, never allocates, and never shows.
 */
#include "core.h"

/* ---- 1. prefetch_around --------------------------------------------------------------------- */

static void prefetch_one(struct um *um, struct table *t, unsigned index)
{
	uint64_t gpte = 0;
	um_gva gva;

	if (!(t->role & ROLE_DIRECT) && !read_shadowed(um, t, index, &gpte))
		return;
	if (!fill_ahead(um, t, index, gpte, true))
		return;
	um->stats.prefetched++;
	gva = t->gva + ((um_gva)index << UM_PAGE_SHIFT);
	observe(um, UM_EV_PREFETCH, gva, (um_gpa)link_at(t, index)->gfn << UM_PAGE_SHIFT,
	        t->spte[index]);
}

void prefetch_around(struct um *um, struct table *t, unsigned index)
{
	unsigned entries = entries_of(um, 0);
	unsigned before = um->prefetch / 2;
	unsigned first = index > before ? index - before : 0;
	unsigned last = first + um->prefetch;

	for (unsigned i = first; i <= last && i < entries; i++)
		if (!(t->spte[i] & SPTE_PRESENT))
			prefetch_one(um, t, i);
}
