/* SPDX-License-Identifier: MIT */
/*
 * shadow/rmap.c - leaf entries, the list of all mappings of each frame, and borrowed frames.
 *
 *   1. Borrowing   one host page for each mapped guest frame, however many mappings (I1)
 *   2. The list    threaded through the tables (core.h)
 *   3. Leaves      set, drop
 *   4. Frames      write-protect or drop every mapping of one
 */
#include "core.h"

/* ---- 1. Borrowing --------------------------------------------------------------------------- */

static void give_back(struct um *um, um_gfn gfn)
{
	struct frame *f = frame_at(um, gfn);
	bool dirty = f->flags & FRAME_DIRTY;

	f->flags &= (uint8_t)~(FRAME_BORROWED | FRAME_REAL | FRAME_ROM | FRAME_DIRTY);
	commit_invalidate(um);
	um->ops->put_page(um->user, gfn, frame_hfn(f), dirty);
}

static enum um_grant borrowed_as(const struct frame *f)
{
	return f->flags & FRAME_ROM ? UM_GRANT_ROM : UM_GRANT_RAM;
}

/* A frame held read-only gives way first: the host may answer with another page (copy on write), so
 * no mapping of the old one may stay. */
enum um_grant borrow_frame(struct um *um, um_gfn gfn, bool write)
{
	struct frame *f = frame_at(um, gfn);
	enum um_grant grant;
	um_hfn hfn = 0;

	if ((f->flags & FRAME_BORROWED) && (!write || (f->flags & FRAME_REAL))) {
		f->flags |= FRAME_HELD;
		return borrowed_as(f);
	}
	if (f->flags & FRAME_BORROWED) {
		f->flags |= FRAME_HELD;
		drop_frame(um, gfn);
		give_back(um, gfn);
		f->flags &= (uint8_t)~FRAME_HELD;
	}
	grant = um->ops->get_page(um->user, gfn, write, &hfn);
	if (grant != UM_GRANT_RAM && grant != UM_GRANT_ROM)
		return grant;
	f->hfn_low = (uint32_t)hfn;
	f->hfn_high = (uint8_t)(hfn >> 32);
	f->flags |= FRAME_BORROWED | FRAME_HELD;
	if (write)
		f->flags |= FRAME_REAL;
	if (grant == UM_GRANT_ROM)
		f->flags |= FRAME_ROM;
	return grant;
}

void release_frame(struct um *um, um_gfn gfn)
{
	struct frame *f = frame_at(um, gfn);

	f->flags &= (uint8_t)~FRAME_HELD;
	if ((f->flags & FRAME_BORROWED) && !f->rmap)
		give_back(um, gfn);
}

/* ---- 2. The list ---------------------------------------------------------------------------- */

static void rmap_add(struct um *um, um_gfn gfn, struct table *t, unsigned index)
{
	struct frame *f = frame_at(um, gfn);
	struct link *l = link_at(t, index);
	uint32_t slot = slot_of(um, t, index);

	l->gfn = (uint32_t)gfn;
	l->next = f->rmap;
	l->prev = LINK_HEAD | (uint32_t)gfn;
	if (f->rmap)
		link_at(slot_table(um, f->rmap), slot_index(f->rmap))->prev = slot;
	f->rmap = slot;
	f->aliases++;
}

static void rmap_remove(struct um *um, struct table *t, unsigned index)
{
	struct link *l = link_at(t, index);
	struct frame *f = frame_at(um, l->gfn);

	if (l->prev & LINK_HEAD)
		f->rmap = l->next;
	else
		link_at(slot_table(um, l->prev), slot_index(l->prev))->next = l->next;
	if (l->next)
		link_at(slot_table(um, l->next), slot_index(l->next))->prev = l->prev;
	f->aliases--;
}

/* ---- 3. Leaves ------------------------------------------------------------------------------ */

void discard_leaf(struct um *um, struct table *t, unsigned index)
{
	um_gfn gfn = link_at(t, index)->gfn;
	struct frame *f = frame_at(um, gfn);

	t->spte[index] = 0;
	t->present--;
	if (is_live(um, t))
		um->stats.entries--;
	rmap_remove(um, t, index);
	if (!f->rmap && !(f->flags & FRAME_HELD))
		give_back(um, gfn);
}

void drop_leaf(struct um *um, struct table *t, unsigned index)
{
	invalidate_leaf(um, t, index, t->spte[index]);
	discard_leaf(um, t, index);
}

/* What a cached copy of `old` permits that `new` does not. */
static bool is_downgrade(uint64_t old, uint64_t new)
{
	return old & ~new & (SPTE_WRITE | SPTE_USER | SPTE_GLOBAL);
}

/* The frame is held. */
void set_leaf(struct um *um, struct table *t, unsigned index, um_gfn gfn, uint64_t bits)
{
	struct frame *f = frame_at(um, gfn);
	uint64_t old = t->spte[index], new = bits | frame_hfn(f) << SPTE_FRAME_SHIFT;

	if (bits & SPTE_WRITE)
		f->flags |= FRAME_DIRTY;
	if (bits & SPTE_GLOBAL)
		t->flags |= TABLE_GLOBAL;
	if ((old & SPTE_PRESENT) && link_at(t, index)->gfn == gfn) {
		t->spte[index] = new;
		if (is_downgrade(old, new))
			invalidate_leaf(um, t, index, old);
		return;
	}
	if (old & SPTE_PRESENT)
		drop_leaf(um, t, index);
	if (f->aliases >= ALIASES_MAX)
		drop_leaf(um, slot_table(um, f->rmap), slot_index(f->rmap));
	t->spte[index] = new;
	t->present++;
	um->stats.entries++;
	rmap_add(um, gfn, t, index);
}

/* ---- 4. Frames ------------------------------------------------------------------------------ */

void protect_frame(struct um *um, um_gfn gfn)
{
	const struct frame *f = frame_at(um, gfn);

	if (!(f->flags & FRAME_DIRTY))
		return;
	for (uint32_t slot = f->rmap; slot;) {
		struct table *t = slot_table(um, slot);
		unsigned index = slot_index(slot);
		uint64_t spte = t->spte[index];

		slot = link_at(t, index)->next;
		if (!(spte & SPTE_WRITE))
			continue;
		t->spte[index] = spte & ~(uint64_t)(SPTE_WRITE | SPTE_DIRTY);
		invalidate_leaf(um, t, index, spte);
	}
}

void drop_frame(struct um *um, um_gfn gfn)
{
	const struct frame *f = frame_at(um, gfn);

	while (f->rmap)
		drop_leaf(um, slot_table(um, f->rmap), slot_index(f->rmap));
}
