/* SPDX-License-Identifier: MIT */
/*
 * shadow/invalidate.c - what the hardware must forget, and when (R9).
 *
 *   1. Collecting   ranges owed, merged while they touch
 *   2. Reach        whether the hardware can hold anything from a table
 *   3. Tagged       hardware that keeps many roots: each that leads to the table is told, at once
 *   4. What went    a leaf, an upper entry, a table
 *
 * The hardware holds translations of the current root, and global ones of any root; tagged hardware
 * those of all live roots.  Everything is handed over before the call returns, and before a page is
 * given back.
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

static void collect_everything(struct um *um)
{
	um->pending.some = um->pending.all = true;
}

static void collect_range(struct um *um, um_gva first, um_gva last)
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
		collect_everything(um);
	else if (global || in_current_root(um, t))
		collect_range(um, t->gva + offset, t->gva + offset + bytes - 1);
}

/* ---- 3. Tagged ------------------------------------------------------------------------------ */

static void tell(const struct um *um, uint32_t root, um_gva first, um_gva last)
{
	um->ops->invalidate_root(um->user, root, first, last);
}

/* Every root that leads to t hears that first..last of it went.  false: there are too many ways. */
static bool tell_reaching(const struct um *um, const struct table *t, um_gva first, um_gva last,
                          unsigned *left)
{
	/* Only a window's table can have a stale parent. */
	if (!is_live(um, t))
		return true;
	if (t->role & ROLE_ROOT) {
		tell(um, table_id(um, t), first, last);
		return true;
	}
	for (uint32_t slot = t->parents; slot;) {
		const struct table *parent = slot_table(um, slot);
		um_gva offset = slot_index(slot) * span_of(um, level_of(parent));

		if (!*left)
			return false;
		--*left;
		if (!tell_reaching(um, parent, offset + first, offset + last, left))
			return false;
		slot = link_at(parent, slot_index(slot))->next;
	}
	return true;
}

/* Out of line: without tagged hardware it costs its callers a branch. */
__attribute__((noinline)) static void tell_part(const struct um *um, const struct table *t,
                                                uint64_t offset, uint64_t bytes)
{
	unsigned left = REACH_MAX;

	if (um->leaving == ROOTS_ALL || tell_reaching(um, t, offset, offset + bytes - 1, &left))
		return;
	if (t->flags & TABLE_MULTI)
		tell(um, 0, 0, um->end - 1);
	else
		tell(um, 0, t->gva + offset, t->gva + offset + bytes - 1);
}

/* A root that is freed has been told of as a whole; what is global below it may stay if another
 * root leads there at the same address, since that one will hear of every change. */
static bool is_kept(const struct um *um, const struct table *t, const struct table *child)
{
	return um->leaving == table_id(um, t) && child->nparents > 1 &&
	       !(child->flags & TABLE_MULTI);
}

/* ---- 4. What went --------------------------------------------------------------------------- */

void invalidate_everything(struct um *um)
{
	collect_everything(um);
	if (um->tagged)
		tell(um, 0, 0, um->end - 1);
}

/* A root without a shadow has nothing in the hardware, but what is global is no root's. */
void invalidate_page(struct um *um, um_gva gva)
{
	collect_range(um, gva, gva + UM_PAGE_SIZE - 1);
	if (um->tagged)
		tell(um, um->root, gva, gva + UM_PAGE_SIZE - 1);
}

void invalidate_leaf(struct um *um, const struct table *t, unsigned index, uint64_t spte)
{
	uint64_t offset = (uint64_t)index << UM_PAGE_SHIFT;

	invalidate_part(um, t, offset, UM_PAGE_SIZE, spte & SPTE_GLOBAL);
	if (um->tagged)
		tell_part(um, t, offset, UM_PAGE_SIZE);
}

void invalidate_upper(struct um *um, const struct table *t, unsigned index)
{
	const struct table *child = child_of(um, t->spte[index]);
	uint64_t span = span_of(um, level_of(t));
	/* Only the lowest tables know whether they held global entries. */
	bool global = level_of(t) > 1 || (child->flags & TABLE_GLOBAL);

	invalidate_part(um, t, index * span, span, global);
	if (um->tagged && !is_kept(um, t, child))
		tell_part(um, t, index * span, span);
}

/* All but a root are unlinked next, and told of by that. */
void invalidate_table(struct um *um, const struct table *t)
{
	unsigned level = level_of(t);

	if (table_id(um, t) == um->root)
		collect_everything(um);
	else
		invalidate_part(um, t, 0, span_of(um, level) << index_bits(um, level),
		                level || (t->flags & TABLE_GLOBAL));
	if (um->tagged && (t->role & ROLE_ROOT))
		tell_part(um, t, 0, um->end);
}
