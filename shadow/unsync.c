/* SPDX-License-Identifier: MIT */
/*
 * shadow/unsync.c - guest tables left to themselves (UM_OPT_UNSYNC).
 *
 *   1. Leaving       make_unsync
 *   2. Coming back   sync_frame, sync_all
 *
 * A guest that fills or clears a page table writes hundreds of entries; the processor promises to
 * notice changes of present entries only at a flush.  So a leaf table written often may be writable
 * until then, under five rules (docs/INVARIANTS.md):
 *   U1  only frames that are shadowed as lowest-level tables and nothing else;
 *   U2  every flush of the hardware's kind brings them back first: a root switch, a mode change,
 *       a flush of everything or of the user half; a flush of one page that page's entry;
 *   U3  not-present to present never waits: a missing entry is always built from guest memory;
 *   U4  before a new parent or a new role of the frame, it is brought back;
 *   U5  at most UNSYNC_MAX at a time, so that bringing back is bounded.
 */
#include "core.h"

/* ---- 1. Leaving ----------------------------------------------------------------------------- */

void make_unsync(struct um *um, um_gfn gfn)
{
	if (um->nunsync == UNSYNC_MAX)
		sync_frame(um, um->unsync[0]);
	um->unsync[um->nunsync++] = (uint32_t)gfn;
	frame_at(um, gfn)->flags |= FRAME_UNSYNC;
	um->stats.unsyncs++;
	observe(um, UM_EV_UNSYNC, 0, gfn << UM_PAGE_SHIFT, 0);
}

/* ---- 2. Coming back ------------------------------------------------------------------------- */

void forget_unsync(struct um *um, um_gfn gfn)
{
	uint32_t i = 0;

	while (um->unsync[i] != gfn)
		i++;
	for (um->nunsync--; i < um->nunsync; i++)
		um->unsync[i] = um->unsync[i + 1];
	frame_at(um, gfn)->flags &= (uint8_t)~FRAME_UNSYNC;
}

void sync_frame(struct um *um, um_gfn gfn)
{
	unsigned changed = 0;

	forget_unsync(um, gfn);
	protect_frame(um, gfn);
	for (uint32_t id = frame_at(um, gfn)->tables; id;) {
		struct table *t = table_at(um, id);

		id = t->next_same;
		changed += sync_table(um, t);
		t->writes = 0;
	}
	um->stats.syncs++;
	observe(um, UM_EV_SYNC, 0, gfn << UM_PAGE_SHIFT, changed);
}

void sync_all(struct um *um)
{
	while (um->nunsync)
		sync_frame(um, um->unsync[um->nunsync - 1]);
}
