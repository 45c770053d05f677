/* SPDX-License-Identifier: MIT */
/*
 * shadow/evict.c - which shadow table goes when memory is wanted (R11, R12).
 *
 *   1. The list     least recently made or touched last; a use bit stands in for exact order
 *   2. Evict one    stale tables first, then a second chance for those in use
 *   3. Giving back  um_shrink, um_set_budget, everything
 */
#include "core.h"

/* ---- 1. The list ---------------------------------------------------------------------------- */

void lru_insert(struct um *um, struct table *t)
{
	uint32_t id = table_id(um, t);

	t->lru_prev = 0;
	t->lru_next = um->lru_head;
	if (um->lru_head)
		table_at(um, um->lru_head)->lru_prev = id;
	else
		um->lru_tail = id;
	um->lru_head = id;
}

void lru_remove(struct um *um, struct table *t)
{
	if (t->lru_prev)
		table_at(um, t->lru_prev)->lru_next = t->lru_next;
	else
		um->lru_head = t->lru_next;
	if (t->lru_next)
		table_at(um, t->lru_next)->lru_prev = t->lru_prev;
	else
		um->lru_tail = t->lru_prev;
}

void lru_touch(struct um *um, struct table *t)
{
	if (um->lru_head == table_id(um, t))
		return;
	lru_remove(um, t);
	lru_insert(um, t);
}

/* ---- 2. Evict one --------------------------------------------------------------------------- */

static struct table *choose_victim(struct um *um)
{
	unsigned chances = CHANCES_MAX;

	/* A table moved to the head is met again, then without its bit: the loop ends. */
	for (uint32_t id = um->lru_tail; id;) {
		struct table *t = table_at(um, id);

		id = t->lru_prev;
		if ((t->flags & TABLE_PINNED) || table_id(um, t) == um->root)
			continue;
		if (is_live(um, t) && (t->flags & TABLE_USED) && chances) {
			chances--;
			t->flags &= (uint8_t)~TABLE_USED;
			if (!id)
				id = table_id(um, t);
			lru_touch(um, t);
			continue;
		}
		return t;
	}
	return NULL;
}

/* Stale tables are at the tail: everything made since a flush of everything stands before them. */
static struct table *choose_stale(struct um *um)
{
	struct table *t = um->lru_tail ? table_at(um, um->lru_tail) : NULL;

	return t && !is_live(um, t) ? t : NULL;
}

void *evict_one(struct um *um, bool stale_only, bool even_root)
{
	struct table *t = choose_stale(um);

	if (!t && !stale_only) {
		t = choose_victim(um);
		if (!t && even_root && um->root)
			t = table_at(um, um->root);
	}
	if (!t)
		return NULL;
	if (is_live(um, t)) {
		um->stats.evictions++;
		observe(um, UM_EV_EVICT, 0, (um_gpa)t->gfn << UM_PAGE_SHIFT, level_of(t));
	}
	return strip_table(um, t);
}

/* ---- 3. Giving back ------------------------------------------------------------------------- */

void put_memory(struct um *um, void *memory)
{
	um->ntables--;
	um->ops->put_table(um->user, memory);
}

void release_spares(struct um *um)
{
	while (um->nspare)
		put_memory(um, um->spare[--um->nspare]);
}

void free_all_tables(struct um *um)
{
	invalidate_everything(um);
	um->leaving = ROOTS_ALL;
	while (um->lru_tail)
		free_table(um, table_at(um, um->lru_tail));
	um->leaving = 0;
}

static uint32_t shrink(struct um *um, uint32_t tables)
{
	uint32_t gone = um->nspare;

	release_spares(um);
	while (gone < tables) {
		void *memory = evict_one(um, false, true);

		if (!memory)
			break;
		put_memory(um, memory);
		gone++;
	}
	commit_invalidate(um);
	return gone;
}

uint32_t um_shrink(struct um *um, uint32_t tables)
{
	uint32_t gone;

	enter(um, UM_CALL_SHRINK, tables, 0, 0);
	gone = shrink(um, tables);
	if (um->heard)
		um->ops->leave(um->user, gone, NULL);
	return gone;
}

static enum um_result set_budget(struct um *um, uint32_t max_tables)
{
	if (max_tables < UM_MIN_TABLES || max_tables > um->max_tables ||
	    max_tables < um->nwindow + TABLES_RESERVED)
		return UM_EINVAL;
	um->budget = max_tables;
	if (um->ntables > um->budget)
		shrink(um, um->ntables - um->budget);
	return UM_OK;
}

enum um_result um_set_budget(struct um *um, uint32_t max_tables)
{
	enter(um, UM_CALL_SET_BUDGET, max_tables, 0, 0);
	return leave(um, set_budget(um, max_tables), NULL);
}
