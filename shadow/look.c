/* SPDX-License-Identifier: MIT */
/*
 * shadow/look.c - read the shadow: what a software TLB is filled from, and what tools show.
 *
 *   1. um_lookup
 *   2. um_visit
 *   3. Statistics, stop reasons
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

/* ---- 3. Statistics, stop reasons ------------------------------------------------------------ */

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
