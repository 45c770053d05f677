/* SPDX-License-Identifier: MIT */
/*
 * shadow/tracked.c - learning by write protection: what happens when a guest table is written.
 *
 *   1. um_guest_wrote   re-examine the entries written
 *   2. Letting go       tables that are written but no longer used as tables
 *   3. um_is_tracked
 */
#include "core.h"

/* ---- 1. um_guest_wrote ---------------------------------------------------------------------- */

/* A write of one or two entries is the guest setting them; a longer one is memory being filled. */
enum { ENTRY_WRITE_MAX = 8 };

static void install_ahead(struct um *um, struct table *t, unsigned index)
{
	uint64_t gpte;

	if (!is_idle(t) && read_shadowed(um, t, index, &gpte))
		fill_ahead(um, t, index, gpte, false);
}

/* An idle table is no use in step; a root that is written again and again without being switched to
 * is most likely a freed page: the next user would pay for every write. */
static bool is_abandoned(const struct um *um, const struct table *t)
{
	if (t->flags & TABLE_PINNED)
		return false;
	if (!is_live(um, t) || is_idle(t))
		return true;
	return (t->role & ROLE_ROOT) && table_id(um, t) != um->root && t->writes > FLOOD_WRITES;
}

static void table_written(struct um *um, struct table *t, unsigned first, unsigned last)
{
	unsigned bytes = um->fmt->entry_bytes, entries = entries_of(um, level_of(t));
	bool ahead = (um->options & UM_OPT_INSTALL_AHEAD) && !level_of(t) &&
	             last - first < ENTRY_WRITE_MAX;

	for (unsigned i = first / bytes; i <= last / bytes && i < entries; i++) {
		sync_entry(um, t, i);
		if (ahead)
			install_ahead(um, t, i);
	}
}

/* Bytes first..last of the page were written. */
void frame_written(struct um *um, um_gfn gfn, unsigned first, unsigned last)
{
	um->stats.tracked_writes++;
	observe(um, UM_EV_TRACKED, 0, gfn << UM_PAGE_SHIFT | first, last - first + 1);
	for (uint32_t id = frame_at(um, gfn)->tables; id;) {
		struct table *t = table_at(um, id);

		id = t->next_same;
		if (t->role & ROLE_DIRECT)
			continue;
		if (t->writes < UINT8_MAX)
			t->writes++;
		if (is_abandoned(um, t))
			free_table(um, t);
		else
			table_written(um, t, first, last);
	}
}

void um_guest_wrote(struct um *um, um_gpa gpa, uint64_t bytes)
{
	um_gpa end = (um_gpa)um->max_gfn << UM_PAGE_SHIFT;

	if (gpa >= end || um->learn != UM_LEARN_TRACKED)
		return;
	if (bytes > end - gpa)
		bytes = end - gpa;
	enter(um, UM_CALL_GUEST_WROTE, gpa, bytes, 0);
	while (bytes) {
		unsigned first = (unsigned)gpa & (UM_PAGE_SIZE - 1);
		unsigned here = UM_PAGE_SIZE - first;
		um_gfn gfn = gpa >> UM_PAGE_SHIFT;

		if (here > bytes)
			here = (unsigned)bytes;
		if (is_tracked(um, frame_at(um, gfn)))
			frame_written(um, gfn, first, first + here - 1);
		gpa += here;
		bytes -= here;
	}
	commit_invalidate(um);
	leave(um, UM_OK, NULL);
}

/* ---- 2. Letting go -------------------------------------------------------------------------- */

void consider_untracking(struct um *um, um_gfn gfn)
{
	struct frame *f = frame_at(um, gfn);
	bool upper = false;
	unsigned writes = 0;

	for (uint32_t id = f->tables; id;) {
		struct table *t = table_at(um, id);

		id = t->next_same;
		if (t->role & ROLE_DIRECT)
			continue;
		if (is_abandoned(um, t)) {
			free_table(um, t);
			continue;
		}
		upper |= level_of(t) > 0;
		if (t->writes > writes)
			writes = t->writes;
	}
	if (is_tracked(um, f) && !upper && writes >= UNSYNC_WRITES && (um->options & UM_OPT_UNSYNC))
		make_unsync(um, gfn);
}

/* ---- 3. um_is_tracked ----------------------------------------------------------------------- */

bool um_is_tracked(const struct um *um, um_gfn gfn)
{
	return gfn < um->max_gfn && is_tracked(um, frame_at(um, gfn));
}
