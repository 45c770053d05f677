/* SPDX-License-Identifier: MIT */
/*
 * shadow/window.c - part (vi): the Switcher's window, addresses that belong to the host.
 *
 *   1. Reserve
 *   2. Map      each processor has tables of its own, so that none sees another's pages
 *   3. Enter    hook them into the current root, in one place whatever makes a root current (N4)
 *
 * No guest address there is ever looked at, and no guest frame mapped (I8, R10).  Window tables are
 * counted in the budget but never evicted.
 */
#include "core.h"

/* ---- 1. Reserve ----------------------------------------------------------------------------- */

static enum um_result reserve(struct um *um, um_gva first, uint64_t bytes)
{
	unsigned top = top_level(um);
	uint64_t span = span_of(um, top);

	if (um->window || top != 1 || !bytes || first % span || bytes % span)
		return UM_EINVAL;
	if (first >= um->end || bytes != um->end - first || bytes / span > WINDOW_SLOTS_MAX)
		return UM_EINVAL;
	if (first < um->user_end || !first)
		return UM_EINVAL;
	/* What is mapped there now goes, with everything else. */
	flush_all(um);
	um->window = true;
	um->window_first = um->limit = first;
	return UM_OK;
}

enum um_result um_window_reserve(struct um *um, um_gva first, uint64_t bytes)
{
	enter(um, UM_CALL_WINDOW_RESERVE, first, bytes, 0);
	return leave(um, reserve(um, first, bytes), NULL);
}

/* ---- 2. Map --------------------------------------------------------------------------------- */

static unsigned window_slot(const struct um *um, um_gva gva)
{
	return (unsigned)((gva - um->window_first) / span_of(um, top_level(um)));
}

static unsigned window_slots(const struct um *um)
{
	return um->window ? window_slot(um, um->end - 1) + 1 : 0;
}

/* A processor's table for a slot; made, and hooked in where that processor is, if need be. */
static struct table *window_table(struct um *um, unsigned cpu, unsigned slot)
{
	uint32_t *id = &um->window_tables[cpu][slot];
	struct table *t;

	if (*id)
		return table_at(um, *id);
	/* The guest's tables must not be left without any memory. */
	if (um->nwindow + TABLES_RESERVED >= um->budget || !reserve_tables(um, 1))
		return NULL;
	t = make_window_table(um, um->window_first + slot * span_of(um, top_level(um)));
	*id = table_id(um, t);
	for (struct table *root = next_root(um, NULL); root; root = next_root(um, root))
		if (root->hooked == cpu + 1)
			link_child(um, root, index_at(um, top_level(um), t->gva), t);
	return t;
}

static enum um_result map_page(struct um *um, unsigned cpu, um_gva gva, um_hfn hfn,
                               unsigned rights)
{
	struct table *t;
	unsigned index;
	uint64_t spte;

	if (!um->window || cpu >= UM_MAX_CPUS || gva < um->window_first || gva >= um->end)
		return UM_EINVAL;
	if (gva % UM_PAGE_SIZE || hfn >= HFN_LIMIT || (rights & ~(unsigned)UM_WRITE))
		return UM_EINVAL;
	t = window_table(um, cpu, window_slot(um, gva));
	if (!t) {
		commit_invalidate(um);
		return UM_NOMEM;
	}
	index = index_at(um, 0, gva);
	spte = SPTE_PRESENT | SPTE_ACCESSED | SPTE_WINDOW | hfn << SPTE_FRAME_SHIFT;
	if (rights & UM_WRITE)
		spte |= SPTE_WRITE | SPTE_DIRTY;
	if (t->spte[index] & SPTE_PRESENT)
		invalidate_leaf(um, t, index, t->spte[index]);
	else
		t->present++;
	t->spte[index] = spte;
	commit_invalidate(um);
	return UM_OK;
}

enum um_result um_window_map(struct um *um, unsigned cpu, um_gva gva, um_hfn hfn, unsigned rights)
{
	if (um->heard) {
		struct um_call call = { UM_CALL_WINDOW_MAP, { cpu, gva, hfn, rights } };

		um->ops->enter(um->user, &call);
	}
	return leave(um, map_page(um, cpu, gva, hfn, rights), NULL);
}

/* ---- 3. Enter ------------------------------------------------------------------------------- */

void hook_window(struct um *um, struct table *root)
{
	unsigned first = index_at(um, top_level(um), um->window_first);

	if (!um->window || root->hooked == um->window_cpu)
		return;
	for (unsigned slot = 0; slot < window_slots(um); slot++) {
		uint32_t id = um->window_cpu ? um->window_tables[um->window_cpu - 1][slot] : 0;

		if (root->spte[first + slot] & SPTE_PRESENT)
			unlink_slot(um, root, first + slot);
		if (id)
			link_child(um, root, first + slot, table_at(um, id));
	}
	root->hooked = um->window_cpu;
}

static enum um_result enter_window(struct um *um, unsigned cpu)
{
	struct table *root = um->root ? table_at(um, um->root) : NULL;
	enum um_result result = UM_OK;

	if (!um->window || cpu >= UM_MAX_CPUS)
		return UM_EINVAL;
	/* A root that no memory backs cannot be built at all: there is nothing to hook into. */
	if (!root && root_key(um).gfn >= um->max_gfn) {
		um->window_cpu = (uint8_t)(cpu + 1);
		return UM_OK;
	}
	if (!root && !reserve_tables(um, 1)) {
		result = UM_NOMEM;
	} else {
		um->window_cpu = (uint8_t)(cpu + 1);
		if (root)
			hook_window(um, root);
		else
			make_root(um);
	}
	commit_invalidate(um);
	return result;
}

enum um_result um_window_enter(struct um *um, unsigned cpu)
{
	enter(um, UM_CALL_WINDOW_ENTER, cpu, 0, 0);
	return leave(um, enter_window(um, cpu), NULL);
}

/* After a flush of everything the window's own tables stay good. */
void refresh_window(struct um *um)
{
	for (unsigned cpu = 0; um->window && cpu < UM_MAX_CPUS; cpu++)
		for (unsigned slot = 0; slot < WINDOW_SLOTS_MAX; slot++)
			if (um->window_tables[cpu][slot])
				table_at(um, um->window_tables[cpu][slot])->generation =
					um->generation;
}

void free_window(struct um *um)
{
	for (unsigned cpu = 0; cpu < UM_MAX_CPUS; cpu++)
		for (unsigned slot = 0; slot < WINDOW_SLOTS_MAX; slot++)
			if (um->window_tables[cpu][slot])
				free_table(um, table_at(um, um->window_tables[cpu][slot]));
}

enum um_result um_window_lookup(const struct um *um, um_gva gva, struct um_map *map)
{
	const struct table *t;
	uint64_t spte;

	if (!um->window || !um->root || gva < um->window_first || gva >= um->end)
		return UM_EMPTY;
	t = current_leaf(um, gva);
	spte = t ? t->spte[index_at(um, 0, gva)] : 0;
	if (!(spte & SPTE_PRESENT))
		return UM_EMPTY;
	map->gpa = 0;
	map->hfn = spte_frame(spte);
	map->rights = (uint8_t)(spte & RIGHTS);
	map->error = 0;
	map->tracked = map->global = false;
	return UM_OK;
}
