/* SPDX-License-Identifier: MIT */
/*
 * shadow/flush.c - part (v): forget translations.
 *
 *   1. The user half    the current root's upper entries go; the tables behind them stay cached
 *   2. Everything       one number changes (W7); tables are freed as their memory is wanted
 *   3. One page
 *   4. Another way of learning: what was built under the old one must not be left, not even stale
 */
#include "core.h"

/* ---- 1. The user half ----------------------------------------------------------------------- */

/* In told mode a table that is entered again is compared with guest memory first: as good as
 * forgotten. */
void um_flush_user(struct um *um)
{
	enter(um, UM_CALL_FLUSH_USER, 0, 0, 0);
	um->stats.flush_user++;
	sync_all(um);
	if (um->root && (um->mode & UM_MODE_PAGING))
		drop_user_half(um, table_at(um, um->root));
	commit_invalidate(um);
	observe(um, UM_EV_FLUSH_USER, 0, um->cr3, 0);
	leave(um, UM_OK, NULL);
}

/* ---- 2. Everything -------------------------------------------------------------------------- */

/* Stale tables keep their frames tracked and borrowed until their turn comes: both are only a cost.
 * Should the counter come round, tables of its first use must not come alive again. */
static void new_generation(struct um *um)
{
	if (!(um->options & UM_OPT_LAZY_FLUSH) || um->generation == UINT32_MAX)
		free_all_tables(um);
	um->generation = um->generation == UINT32_MAX ? 1 : um->generation + 1;
}

void flush_all(struct um *um)
{
	um->stats.flush_all++;
	invalidate_everything(um);
	um->root = 0;
	while (um->nunsync) {
		uint32_t gfn = um->unsync[um->nunsync - 1];

		forget_unsync(um, gfn);
		protect_frame(um, gfn);
	}
	new_generation(um);
	um->stats.entries = um->stats.roots = 0;
	if (um->learn == UM_LEARN_TOLD)
		told_reset(um);
	refresh_window(um);
	commit_invalidate(um);
	observe(um, UM_EV_FLUSH_ALL, 0, 0, 0);
}

void um_flush_all(struct um *um)
{
	enter(um, UM_CALL_FLUSH_ALL, 0, 0, 0);
	flush_all(um);
	leave(um, UM_OK, NULL);
}

/* ---- 3. One page ---------------------------------------------------------------------------- */

/* INVLPG (SDM vol. 3, 4.10.4.1).  What is tracked is in step already. */
void um_flush_page(struct um *um, um_gva gva)
{
	struct table *t;
	unsigned index;

	if (gva >= um->limit)
		return;
	enter(um, UM_CALL_FLUSH_PAGE, gva, 0, 0);
	um->stats.flush_page++;
	t = um->root ? current_leaf(um, gva) : NULL;
	index = index_at(um, 0, gva);
	if (t && (t->spte[index] & SPTE_PRESENT)) {
		if (um->learn == UM_LEARN_TOLD)
			drop_leaf(um, t, index);
		else if (!(t->role & ROLE_DIRECT) &&
		         (frame_at(um, t->gfn)->flags & FRAME_UNSYNC))
			sync_entry(um, t, index);
	}
	gva &= ~(um_gva)(UM_PAGE_SIZE - 1);
	invalidate_page(um, gva);
	commit_invalidate(um);
	observe(um, UM_EV_FLUSH_PAGE, gva, 0, 0);
	leave(um, UM_OK, NULL);
}

/* ---- 4. Another way of learning ------------------------------------------------------------- */

/* Tables made while told were never write-protected, and those made while tracked keep frames
 * protected that nobody would ask about any more: they are freed, where a flush makes them
 * stale. */
static enum um_result set_learn(struct um *um, enum um_learn learn)
{
	bool bound = learn != UM_LEARN_TRACKED;

	if ((unsigned)learn > UM_LEARN_BOUND)
		return UM_EINVAL;
	if (learn == UM_LEARN_BOUND)
		learn = UM_LEARN_TRACKED;
	if (learn == um->learn && bound == um->bound)
		return UM_OK;
	um->stats.flush_all++;
	free_all_tables(um);
	um->learn = learn;
	um->bound = bound;
	told_reset(um);
	commit_invalidate(um);
	observe(um, UM_EV_FLUSH_ALL, 0, 0, 0);
	return UM_OK;
}

enum um_result um_set_learn(struct um *um, enum um_learn learn)
{
	enter(um, UM_CALL_SET_LEARN, (uint64_t)learn, 0, 0);
	return leave(um, set_learn(um, learn), NULL);
}
