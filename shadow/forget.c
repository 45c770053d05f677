/* SPDX-License-Identifier: MIT */
/*
 * shadow/forget.c - the host takes a page back (R14, W2, W12).
 *
 *   1. um_forget_frame
 */
#include "core.h"

/* ---- 1. um_forget_frame --------------------------------------------------------------------- */

/* The page's contents may be replaced with it: if it is a guest table, what was built from it is
 * compared with what is there now. */
static void reexamine(struct um *um, um_gfn gfn)
{
	const struct frame *f = frame_at(um, gfn);

	if (f->flags & FRAME_UNSYNC)
		sync_frame(um, gfn);
	for (uint32_t id = f->tables; id;) {
		struct table *t = table_at(um, id);

		id = t->next_same;
		if (is_live(um, t))
			sync_table(um, t);
	}
}

void um_forget_frame(struct um *um, um_gfn gfn)
{
	if (gfn >= um->max_gfn)
		return;
	enter(um, UM_CALL_FORGET_FRAME, gfn, 0, 0);
	um->stats.forgets++;
	drop_frame(um, gfn);
	if (frame_at(um, gfn)->flags & FRAME_SHADOWED)
		reexamine(um, gfn);
	commit_invalidate(um);
	observe(um, UM_EV_FORGET, 0, gfn << UM_PAGE_SHIFT, 0);
	leave(um, UM_OK, NULL);
}
