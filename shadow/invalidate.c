/* SPDX-License-Identifier: MIT */
/*
 * shadow/invalidate.c - what the hardware must forget, and when (R9).
 *
 *   1. Collecting   ranges owed, merged while they touch
 *   2. Reach        whether the hardware can hold anything from a table
 *   3. What went    a leaf, an upper entry, a table
 *
 * The hardware holds translations of the current root, and global ones of any root.  Everything is
 * handed over before the call returns, and before a page is given back.
 */
#include "core.h"

/* ---- 1. Collecting -------------------------------------------------------------------------- */

void commit_invalidate(struct um *um)
{
	struct pending *p = &um->pending;

	if (!p->some)
		return;
	p->some = false;
	if (p->all) {
		p->all = false;
		um->ops->invalidate_all(um->user);
	} else {
		um->ops->invalidate(um->user, p->first, p->last);
	}
}

void invalidate_everything(struct um *um)
{
	um->pending.some = um->pending.all = true;
}

void invalidate_range(struct um *um, um_gva first, um_gva last)
{
	struct pending *p = &um->pending;

	if (p->some && p->all)
		return;
	if (p->some && (first > p->last + 1 || last + 1 < p->first))
		commit_invalidate(um);
	if (!p->some) {
		p->some = true;
		p->first = first;
		p->last = last;
		return;
	}
	if (first < p->first)
		p->first = first;
	if (last > p->last)
		p->last = last;
}

/* ---- 2. Reach ------------------------------------------------------------------------------- */

/* Does the current root lead to t at its one address? */
static bool in_current_root(const struct um *um, const struct table *t)
{
	const struct table *at;

	if (!um->root)
		return false;
	at = table_at(um, um->root);
	for (unsigned level = top_level(um); level > level_of(t); level--) {
		uint64_t spte = at->spte[index_at(um, level, t->gva)];

		if (!(spte & SPTE_PRESENT))
			return false;
		at = child_of(um, spte);
	}
	return at == t;
}

static void invalidate_part(struct um *um, const struct table *t, uint64_t offset, uint64_t bytes,
                            bool global)
{
	/* A stale table was cut off by a flush of everything, an idle one when it was unlinked. */
	if (!is_live(um, t) || is_idle(t))
		return;
	if (t->flags & TABLE_MULTI)
		invalidate_everything(um);
	else if (global || in_current_root(um, t))
		invalidate_range(um, t->gva + offset, t->gva + offset + bytes - 1);
}

/* ---- 3. What went --------------------------------------------------------------------------- */

void invalidate_leaf(struct um *um, const struct table *t, unsigned index, uint64_t spte)
{
	invalidate_part(um, t, (uint64_t)index << UM_PAGE_SHIFT, UM_PAGE_SIZE, spte & SPTE_GLOBAL);
}

void invalidate_upper(struct um *um, const struct table *t, unsigned index)
{
	const struct table *child = child_of(um, t->spte[index]);
	uint64_t span = span_of(um, level_of(t));
	/* Only the lowest tables know whether they held global entries. */
	bool global = level_of(t) > 1 || (child->flags & TABLE_GLOBAL);

	invalidate_part(um, t, index * span, span, global);
}

void invalidate_table(struct um *um, const struct table *t)
{
	unsigned level = level_of(t);

	invalidate_part(um, t, 0, span_of(um, level) << index_bits(um, level),
	                level || (t->flags & TABLE_GLOBAL));
}
