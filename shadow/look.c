/* SPDX-License-Identifier: MIT */
/*
 * shadow/look.c - read the shadow: what a software TLB is filled from, and what tools show.
 *
 *   1. um_lookup
 *   2. um_visit
 *   3. Tables      um_look_table, um_look_entry, um_look_root
 *   4. Statistics, stop reasons
 */
#include "core.h"

/* ---- 1. um_lookup --------------------------------------------------------------------------- */

struct table *current_leaf(const struct um *um, um_gva gva)
{
	struct table *t = table_at(um, um->root);

	for (unsigned level = top_level(um); level > 0; level--) {
		uint64_t spte = t->spte[index_at(um, level, gva)];

		if (!(spte & SPTE_PRESENT))
			return NULL;
		t = child_of(um, spte);
	}
	return t;
}

enum um_result look_up(struct um *um, um_gva gva, unsigned access, struct um_map *map)
{
	uint64_t need = SPTE_PRESENT | (access & (UM_WRITE | UM_USER)), spte;
	struct table *t;
	unsigned index;

	if (!um->root || gva >= um->limit)
		return UM_EMPTY;
	t = current_leaf(um, gva);
	if (!t)
		return UM_EMPTY;
	index = index_at(um, 0, gva);
	spte = t->spte[index];
	if (need & ~spte)
		return UM_EMPTY;
	t->flags |= TABLE_USED;
	if (spte & SPTE_PREFETCHED) {
		t->spte[index] = spte & ~(uint64_t)SPTE_PREFETCHED;
		um->stats.prefetch_used++;
	}
	{
		uint32_t gfn = link_at(t, index)->gfn;

		map->gpa = (um_gpa)gfn << UM_PAGE_SHIFT | (gva & (UM_PAGE_SIZE - 1));
		map->hfn = spte_frame(spte);
		map->rights = (uint8_t)(spte & RIGHTS);
		map->error = 0;
		map->tracked = is_tracked(um, frame_at(um, gfn));
		map->global = (spte & SPTE_GLOBAL) && (um->mode & UM_MODE_PGE);
	}
	return UM_OK;
}

/* Apart, so that the hot way of a software TLB is one branch and a jump. */
__attribute__((noinline)) static enum um_result look_up_heard(struct um *um, um_gva gva,
                                                              unsigned access, struct um_map *map)
{
	enter(um, UM_CALL_LOOKUP, gva, access, 0);
	return leave(um, look_up(um, gva, access, map), map);
}

enum um_result um_lookup(struct um *um, um_gva gva, unsigned access, struct um_map *map)
{
	return um->heard ? look_up_heard(um, gva, access, map) : look_up(um, gva, access, map);
}

/* ---- 2. um_visit ---------------------------------------------------------------------------- */

static bool visit_leaf(const struct um *um, const struct table *t, unsigned index, um_gva gva,
                       bool (*visit)(void *arg, const struct um_leaf *), void *arg)
{
	uint64_t spte = t->spte[index];
	uint32_t gfn = link_at(t, index)->gfn;
	struct um_leaf leaf = {
		.gva = gva,
		.gfn = gfn,
		.hfn = spte_frame(spte),
		.rights = (uint8_t)(spte & RIGHTS),
		.tracked = is_tracked(um, frame_at(um, gfn)),
		.prefetched = spte & SPTE_PREFETCHED,
	};

	return visit(arg, &leaf);
}

/* Step over absent subtrees whole: bounded by the tables reached, not by the address space. */
void um_visit(const struct um *um, um_gva from, bool (*visit)(void *arg, const struct um_leaf *),
              void *arg)
{
	um_gva gva = from & ~(um_gva)(UM_PAGE_SIZE - 1);

	while (um->root && gva < um->limit) {
		const struct table *t = table_at(um, um->root);
		unsigned level = top_level(um), index = index_at(um, level, gva);

		while (level > 0 && (t->spte[index] & SPTE_PRESENT)) {
			t = child_of(um, t->spte[index]);
			index = index_at(um, --level, gva);
		}
		if ((t->spte[index] & SPTE_PRESENT) && !visit_leaf(um, t, index, gva, visit, arg))
			return;
		gva = (gva & ~(span_of(um, level) - 1)) + span_of(um, level);
	}
}

/* ---- 3. Tables ------------------------------------------------------------------------------ */

/* Ids come from outside: any number may be asked for. */
static const struct table *live_table(const struct um *um, uint32_t id)
{
	const struct table *t = id && id <= um->max_tables ? table_at(um, id) : NULL;

	return t && t->spte && is_live(um, t) ? t : NULL;
}

bool um_look_table(const struct um *um, uint32_t table, struct um_table *out)
{
	const struct table *t = live_table(um, table);

	if (!t)
		return false;
	out->level = level_of(t);
	out->gfn = t->gfn;
	out->mode = t->role >> ROLE_MODE_SHIFT & (UM_MODE_PAGING | UM_MODE_WP | UM_MODE_PSE);
	out->rights = (uint8_t)role_rights(t->role);
	out->root = t->role & ROLE_ROOT;
	out->direct = t->role & ROLE_DIRECT;
	out->window = t->role & ROLE_WINDOW;
	out->unsync = !(t->role & (ROLE_DIRECT | ROLE_WINDOW)) &&
	              (frame_at(um, t->gfn)->flags & FRAME_UNSYNC);
	out->present = t->present;
	out->parents = t->nparents;
	return true;
}

bool um_look_entry(const struct um *um, uint32_t table, unsigned index, struct um_entry *out)
{
	const struct table *t = live_table(um, table);
	uint64_t spte;

	if (!t || index >= entries_of(um, level_of(t)) || !(t->spte[index] & SPTE_PRESENT))
		return false;
	spte = t->spte[index];
	out->child = level_of(t) ? (uint32_t)spte_frame(spte) : 0;
	out->window = level_of(t) ? child_of(um, spte)->role & ROLE_WINDOW : spte & SPTE_WINDOW;
	out->rights = (uint8_t)(spte & RIGHTS);
	out->global = spte & SPTE_GLOBAL;
	out->prefetched = spte & SPTE_PREFETCHED;
	out->hfn = level_of(t) ? 0 : spte_frame(spte);
	out->gfn = level_of(t) || out->window ? 0 : link_at(t, index)->gfn;
	out->tracked = !level_of(t) && !out->window && is_tracked(um, frame_at(um, out->gfn));
	return true;
}

uint32_t um_look_root(const struct um *um, uint32_t after)
{
	const struct table *t = live_table(um, after);

	if (after && (!t || !(t->role & ROLE_ROOT)))
		return 0;
	do
		t = next_root(um, t);
	while (t && !is_live(um, t));
	return t ? table_id(um, t) : 0;
}

/* ---- 4. Statistics, stop reasons ------------------------------------------------------------ */

/* Word by word: copying the structure would be a call of memcpy, which is not ours to call. */
void um_get_stats(const struct um *um, struct um_stats *out)
{
	const uint64_t *from = (const uint64_t *)(const void *)&um->stats;
	uint64_t *to = (uint64_t *)(void *)out;

	for (size_t i = 0; i < sizeof(*out) / sizeof(*to); i++) {
		to[i] = from[i];
		__asm__ volatile("" ::: "memory");
	}
	out->tables = um->ntables;
}

enum um_stop um_stop_reason(const struct um *um, const char **text)
{
	static const char *const texts[] = {
		[UM_STOP_NONE] = "not stopped",
		[UM_STOP_BAD_PTE] = "bad page table entry: it has the PSE bit",
		[UM_STOP_BAD_PDE] = "bad page directory entry: it has flags that are not for one",
		[UM_STOP_BAD_FRAME] = "bad page table entry: it names a page beyond the guest's memory",
		[UM_STOP_TABLE_OUTSIDE] = "bad page directory entry: no memory where its table would be",
	};

	if (text)
		*text = texts[um->stop];
	return um->stop;
}
