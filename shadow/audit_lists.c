/* SPDX-License-Identifier: MIT */
/*
 * shadow/audit_lists.c - the other half of um_audit(): lists, counts and what belongs together.
 *
 *   1. Frames    mappings (I1, I2), tables of a frame (I9), unsync (I13)
 *   2. Tables    parents (I2), memory and the evictor's list (I10)
 *   3. Roots     the current one (I11), kernel slots (I16), nothing left over (I17)
 */
#include "audit.h"

/* ---- 1. Frames ------------------------------------------------------------------------------ */

static bool check_mappings(struct audit *a, um_gfn gfn, const struct frame *f)
{
	const struct um *um = a->um;
	uint32_t before = LINK_HEAD | (uint32_t)gfn;
	unsigned count = 0;

	for (uint32_t slot = f->rmap; slot;) {
		const struct table *t = slot_table(um, slot);
		const struct link *l;

		if (++count > f->aliases || !t->spte ||
		    !(t->spte[slot_index(slot)] & SPTE_PRESENT))
			return broken(a, 2, "frame's list holds what is no mapping");
		l = link_at(t, slot_index(slot));
		if (l->gfn != gfn || l->prev != before || level_of(t))
			return broken(a, 2, "frame's list is not linked both ways");
		before = slot;
		slot = l->next;
	}
	if (count != f->aliases || count > ALIASES_MAX)
		return broken(a, 2, "count of a frame's mappings is wrong");
	if (!count != !(f->flags & FRAME_BORROWED))
		return broken(a, 1, "a page is borrowed exactly while it is mapped");
	a->leaves -= count;
	return true;
}

static bool check_same_keys(struct audit *a, const struct table *t)
{
	const struct um *um = a->um;
	struct key key = key_of(t);

	for (uint32_t id = t->next_same; is_live(um, t) && id; id = table_at(um, id)->next_same)
		if (has_key(um, table_at(um, id), &key))
			return broken(a, 9, "two live tables with one identity");
	return true;
}

static bool check_frame_tables(struct audit *a, um_gfn gfn, const struct frame *f, uint32_t *found)
{
	const struct um *um = a->um;
	bool shadowed = false, upper = false;

	for (uint32_t id = f->tables; id; id = table_at(um, id)->next_same) {
		const struct table *t = table_at(um, id);

		if (++*found > um->max_tables || !t->spte || t->gfn != gfn ||
		    (t->role & ROLE_WINDOW))
			return broken(a, 9, "frame's tables: one that is not its own");
		if (!check_same_keys(a, t))
			return false;
		if (t->role & ROLE_DIRECT)
			continue;
		shadowed = true;
		upper |= level_of(t) > 0;
	}
	if (shadowed != !!(f->flags & FRAME_SHADOWED))
		return broken(a, 9, "frame does not know whether it is shadowed");
	if ((f->flags & FRAME_UNSYNC) && (!shadowed || upper))
		return broken(a, 13, "unsync frame is not a lowest-level table only (U1)");
	return true;
}

bool audit_frames(struct audit *a)
{
	const struct um *um = a->um;
	uint32_t found = 0, unsync = 0, used = 0;

	for (uint32_t gfn = 0; gfn < um->max_gfn; gfn++) {
		const struct frame *f = frame_at(um, gfn);

		if (!(f->rmap | f->tables | f->flags | f->aliases))
			continue;
		a->v->gfn = gfn;
		if (f->flags & FRAME_HELD)
			return broken(a, 17, "frame held between calls");
		if (!check_mappings(a, gfn, f) || !check_frame_tables(a, gfn, f, &found))
			return false;
		unsync += !!(f->flags & FRAME_UNSYNC);
	}
	if (a->leaves)
		return broken(a, 2, "a mapping is on no frame's list");
	for (uint32_t i = 0; i < um->nunsync; i++)
		if (!(frame_at(um, um->unsync[i])->flags & FRAME_UNSYNC))
			return broken(a, 13, "list of unsync frames holds another");
	if (unsync != um->nunsync || um->nunsync > UNSYNC_MAX)
		return broken(a, 13, "count of unsync frames is wrong");
	for (uint32_t id = 1; id <= um->max_tables; id++)
		used += table_at(um, id)->spte != NULL;
	if (found + um->nwindow != used)
		return broken(a, 9, "a table is on no frame's list");
	if (used + um->nspare != um->ntables || um->ntables > um->budget)
		return broken(a, 10, "tables held do not add up, or exceed the budget");
	return true;
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

static bool check_parents(struct audit *a, const struct table *t)
{
	const struct um *um = a->um;
	uint32_t before = LINK_HEAD | table_id(um, t);
	unsigned count = 0;

	for (uint32_t slot = t->parents; slot;) {
		const struct table *p = slot_table(um, slot);
		const struct link *l;

		if (++count > t->nparents || !p->spte || !level_of(p) ||
		    !(p->spte[slot_index(slot)] & SPTE_PRESENT) ||
		    child_of(um, p->spte[slot_index(slot)]) != t)
			return broken(a, 2, "table's list of parents holds what is none");
		l = link_at(p, slot_index(slot));
		if (l->prev != before)
			return broken(a, 2, "table's list of parents is not linked both ways");
		before = slot;
		slot = l->next;
	}
	a->uppers -= count;
	return count == t->nparents || broken(a, 2, "count of a table's parents is wrong");
}

static bool check_lru(struct audit *a)
{
	const struct um *um = a->um;
	uint32_t before = 0, count = 0;
	bool stale = false;

	for (uint32_t id = um->lru_head; id; id = table_at(um, id)->lru_next) {
		const struct table *t = table_at(um, id);

		if (++count > um->ntables || !t->spte || t->lru_prev != before)
			return broken(a, 10, "evictor's list is broken");
		if (stale && is_live(um, t))
			return broken(a, 10, "live table behind a stale one");
		stale = !is_live(um, t);
		before = id;
	}
	if (um->lru_tail != before || count + um->nwindow + um->nspare != um->ntables)
		return broken(a, 10, "evictor's list is not every table");
	return true;
}

bool audit_lists(struct audit *a)
{
	const struct um *um = a->um;

	for (uint32_t id = 1; id <= um->max_tables; id++)
		if (table_at(um, id)->spte && !check_parents(a, table_at(um, id)))
			return false;
	if (a->uppers)
		return broken(a, 2, "an upper entry is on no table's list");
	if (a->live_leaves != um->stats.entries)
		return broken(a, 14, "count of entries is wrong");
	return check_lru(a);
}

/* ---- 3. Roots ------------------------------------------------------------------------------- */

/* What one root leads to at a kernel index must be what the slot names, unless it names none. */
static bool check_kernel_slots(struct audit *a, const struct table *root)
{
	const struct um *um = a->um;
	unsigned first = (unsigned)(um->user_end / span_of(um, top_level(um)));
	unsigned last = index_at(um, top_level(um), um->limit - 1);

	for (unsigned i = first; i <= last; i++) {
		uint32_t known = um->kernel_slot[i];

		if (!(root->spte[i] & SPTE_PRESENT) || known == SLOT_DIVERGED)
			continue;
		if (known != table_id(um, child_of(um, root->spte[i])))
			return broken(a, 16, "a root leads to a kernel table of its own");
	}
	return true;
}

static bool check_current(struct audit *a)
{
	const struct um *um = a->um;
	struct key key = root_key(um);
	const struct table *t = table_at(um, um->root);

	if (!um->root)
		return true;
	if (!t->spte || !has_key(um, t, &key))
		return broken(a, 11, "current root is not CR3's in this mode");
	if (um->window && t->hooked != um->window_cpu)
		return broken(a, 8, "current root has not this processor's window");
	return true;
}

bool audit_roots(struct audit *a)
{
	const struct um *um = a->um;
	uint32_t roots = 0, live = 0;

	for (uint32_t id = 1; id <= um->max_tables; id++)
		roots += table_at(um, id)->spte && (table_at(um, id)->role & ROLE_ROOT);
	if (roots != um->nroots || um->nroots > um->max_roots)
		return broken(a, 11, "count of roots is wrong");
	for (const struct table *t = next_root(um, NULL); t; t = next_root(um, t)) {
		if (!roots-- || !t->spte || !(t->role & ROLE_ROOT))
			return broken(a, 11, "list of roots holds another table");
		live += is_live(um, t);
		if (um->learn == UM_LEARN_TOLD && is_live(um, t) && (t->role & ROLE_PAGING) &&
		    !check_kernel_slots(a, t))
			return false;
	}
	if (roots)
		return broken(a, 11, "a root is not on the list of roots");
	if (live != um->stats.roots)
		return broken(a, 11, "count of live roots is wrong");
	if (um->pending.some)
		return broken(a, 17, "invalidation owed between calls");
	return check_current(a);
}
