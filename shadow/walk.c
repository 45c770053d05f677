/* SPDX-License-Identifier: MIT */
/*
 * shadow/walk.c - read the guest's tables as the processor would.
 *
 *   1. Entries         one read; what told mode forbids
 *   2. The walk        rights merged over all levels (R3), error codes (SDM vol. 3, 4.7)
 *   3. Accessed, Dirty written only when an access succeeds, and only when they change (R16)
 *
 * A faulting access changes nothing, not even Accessed in the upper entry: the manual permits that,
 * and a call that does not succeed must leave everything as it was (R4).
 */
#include "core.h"

/* ---- 1. Entries ----------------------------------------------------------------------------- */

um_gfn gpte_frame(const struct um *um, uint64_t gpte)
{
	return (gpte & um->fmt->frame_mask) >> UM_PAGE_SHIFT;
}

bool read_gpte(const struct um *um, um_gpa gpa, uint64_t *gpte)
{
	if (gpa >> UM_PAGE_SHIFT >= um->max_gfn)
		return false;
	return um->ops->read_entry(um->user, gpa, um->fmt->entry_bytes, gpte);
}

bool read_shadowed(const struct um *um, const struct table *t, unsigned index, uint64_t *gpte)
{
	um_gpa gpa = (um_gpa)t->gfn << UM_PAGE_SHIFT | (um_gpa)index * um->fmt->entry_bytes;

	return read_gpte(um, gpa, gpte);
}

/* What the interface has no use for in an upper entry: PWT, PSE, Global, the software's bits. */
#define UPPER_FORBIDDEN 0xF88u

/* Present is always the first test (R1); the rest of I7.  In a leaf PWT passes, PCD does anywhere (R17). */
enum um_stop check_told(const struct um *um, uint64_t gpte, enum um_stop bits)
{
	bool upper = bits == UM_STOP_BAD_PDE;

	if (!(gpte & GPTE_PRESENT))
		return UM_STOP_NONE;
	if (gpte & (upper ? UPPER_FORBIDDEN : GPTE_LARGE))
		return bits;
	if (gpte_frame(um, gpte) >= um->max_gfn)
		return upper ? UM_STOP_TABLE_OUTSIDE : UM_STOP_BAD_FRAME;
	return UM_STOP_NONE;
}

/* ---- 2. The walk ---------------------------------------------------------------------------- */

static enum um_result fault(struct walk *w, unsigned error)
{
	/* No format so far has no-execute, so the fetch bit is never reported (SDM vol. 3, 4.7). */
	w->error = (uint8_t)(error | (w->access & (UM_WRITE | UM_USER)));
	return UM_FAULT;
}

static enum um_result stop(struct um *um, enum um_stop why)
{
	um->stop = why;
	return UM_STOP;
}

/* Paging off: every address maps to itself, all rights. */
static enum um_result walk_flat(const struct um *um, struct walk *w)
{
	w->leaf = um->fmt->levels;
	w->gfn = w->gva >> UM_PAGE_SHIFT;
	w->rights = RIGHTS;
	return UM_OK;
}

/* May this access go on?  A supervisor ignores R/W when CR0.WP is clear (SDM vol. 3, 4.6.1). */
static bool permitted(const struct um *um, const struct walk *w)
{
	if (w->access & UM_USER)
		return (w->rights & GPTE_USER) &&
		       (!(w->access & UM_WRITE) || (w->rights & GPTE_WRITE));
	return !(w->access & UM_WRITE) || (w->rights & GPTE_WRITE) || !(um->mode & UM_MODE_WP);
}

/* Is this entry the leaf?  false with *reserved: a reserved bit is set. */
static bool is_leaf(const struct um *um, unsigned level, uint64_t gpte, bool *reserved)
{
	const struct um_level *l = &um->fmt->level[level];
	bool large = level && (um->mode & l->page_mode) && (gpte & GPTE_LARGE);

	*reserved = gpte & (large ? l->reserved_ps : l->reserved);
	return large || !level;
}

/* The 4 KiB frame inside the page that the leaf maps. */
static um_gfn frame_of_page(const struct um *um, const struct walk *w)
{
	uint64_t inside = span_of(um, w->leaf) - 1;

	return gpte_frame(um, w->gpte[w->leaf] & ~inside) | (w->gva & inside) >> UM_PAGE_SHIFT;
}

enum um_result walk_guest(struct um *um, struct walk *w)
{
	const struct um_format *fmt = um->fmt;
	bool bound = um->bound;
	um_gpa table = um->cr3;
	enum um_stop why;

	for (unsigned level = 0; level < LEVELS_MAX; level++)
		w->want[level] = 0;
	if (!(um->mode & UM_MODE_PAGING))
		return walk_flat(um, w);
	w->rights = RIGHTS;
	for (unsigned level = fmt->levels; level-- > 0;) {
		um_gpa gpa = table + (um_gpa)index_at(um, level, w->gva) * fmt->entry_bytes;
		uint64_t gpte;
		bool reserved, leaf;

		if (!read_gpte(um, gpa, &gpte)) {
			if (bound)
				return stop(um, UM_STOP_TABLE_OUTSIDE);
			return fault(w, 0);
		}
		if (!(gpte & GPTE_PRESENT))
			return fault(w, 0);
		if (bound && level && (why = check_told(um, gpte, UM_STOP_BAD_PDE)))
			return stop(um, why);
		leaf = is_leaf(um, level, gpte, &reserved);
		if (reserved)
			return fault(w, UM_PRESENT | UM_RSVD);
		w->gpa[level] = gpa;
		w->gpte[level] = gpte;
		w->want[level] = gpte | GPTE_ACCESSED;
		w->rights &= (uint32_t)(gpte | fmt->level[level].no_rights);
		w->leaf = level;
		if (leaf)
			break;
		table = gpte & fmt->frame_mask;
	}
	if (!permitted(um, w))
		return fault(w, UM_PRESENT);
	if (bound && (why = check_told(um, w->gpte[w->leaf], UM_STOP_BAD_PTE)))
		return stop(um, why);
	if (w->access & UM_WRITE)
		w->want[w->leaf] |= GPTE_DIRTY;
	w->gfn = frame_of_page(um, w);
	return UM_OK;
}

/* ---- 3. Accessed, Dirty --------------------------------------------------------------------- */

bool write_accessed_dirty(struct um *um, struct walk *w, bool insist)
{
	unsigned bytes = um->fmt->entry_bytes;

	for (unsigned level = um->fmt->levels; level-- > w->leaf;) {
		uint64_t now;

		if (w->want[level] == w->gpte[level])
			continue;
		if (!um->ops->update_entry(um->user, w->gpa[level], bytes, w->gpte[level],
		                           w->want[level]) && !insist)
			return false;
		/* Tables in ROM take no bits; the audit must not expect them there. */
		if (!read_gpte(um, w->gpa[level], &now) || (w->want[level] & ~now))
			w->no_ad |= (uint8_t)(1u << level);
	}
	return true;
}
