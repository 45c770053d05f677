/* SPDX-License-Identifier: MIT */
/*
 * shadow/audit.c - um_audit(): every numbered invariant of docs/INVARIANTS.md, looked at.
 *
 *   1. Leaf entries     what the guest permits (I3-I7), the words themselves (I14, I15)
 *   2. Upper entries    where they lead (I8, I12, I18)
 *   3. Tables           one after the other
 *   4. um_audit
 *
 * What is compared with guest memory is what must be in step: live tables, tracked mode, not
 * unsync.
 */
#include "audit.h"

/* ---- 1. Leaf entries ------------------------------------------------------------------------ */

static bool check_word(struct audit *a, const struct table *t, unsigned index)
{
	const struct um *um = a->um;
	uint64_t spte = t->spte[index];
	uint32_t gfn = link_at(t, index)->gfn;
	const struct frame *f;

	if (spte & SPTE_WINDOW)
		return broken(a, 8, "a guest's table holds an entry of the window");
	if (!(spte & SPTE_ACCESSED) || !(spte & SPTE_WRITE) != !(spte & SPTE_DIRTY))
		return broken(a, 14, "A must be set, D must go with W");
	if (gfn >= um->max_gfn)
		return broken(a, 15, "mapped frame does not exist");
	if ((t->role & ROLE_DIRECT) && gfn != t->gfn + index)
		return broken(a, 15, "direct entry maps another frame than its place says");
	f = frame_at(um, gfn);
	if (!(f->flags & FRAME_BORROWED) || frame_hfn(f) != spte_frame(spte))
		return broken(a, 1, "entry maps a page that is not the one borrowed");
	if (!(spte & SPTE_WRITE))
		return true;
	if (is_tracked(um, f))
		return broken(a, 6, "writable mapping of a tracked guest table");
	if (f->flags & FRAME_ROM)
		return broken(a, 7, "writable mapping of read-only memory");
	if (!(f->flags & FRAME_REAL) || !(f->flags & FRAME_DIRTY))
		return broken(a, 1, "writable mapping of a page borrowed for reading");
	return true;
}

/* The rights an entry may have at most, in the form it has (CR0.WP = 0: fill.c). */
static bool check_rights(struct audit *a, const struct table *t, unsigned index, uint64_t gpte)
{
	uint64_t spte = t->spte[index];
	unsigned form = (spte & RIGHTS) == SPTE_WRITE ? UM_WRITE : UM_READ;
	uint64_t most = leaf_bits(a->um, t, gpte | GPTE_ACCESSED | GPTE_DIRTY, form);
	uint64_t now = leaf_bits(a->um, t, gpte, form);

	if (spte & ~most & (RIGHTS | SPTE_GLOBAL))
		return broken(a, 5, "entry permits what the guest's tables do not");
	if (spte & ~now & SPTE_WRITE)
		return broken(a, 3, "writable though the guest's entry is not Dirty");
	return true;
}

static bool check_leaf(struct audit *a, const struct table *t, unsigned index)
{
	const struct um *um = a->um;
	uint64_t gpte = 0;

	a->v->spte = t->spte[index];
	a->v->gfn = link_at(t, index)->gfn;
	if (!check_word(a, t, index))
		return false;
	if (!is_live(um, t) || um->learn == UM_LEARN_TOLD)
		return true;
	if (!(t->role & ROLE_DIRECT)) {
		if (frame_at(um, t->gfn)->flags & FRAME_UNSYNC)
			return true;
		if (!read_shadowed(um, t, index, &gpte))
			return broken(a, 5, "entry without a guest's entry");
		if (t->flags & TABLE_NO_AD)
			gpte |= GPTE_ACCESSED | GPTE_DIRTY;
		a->v->gpte = gpte;
		if (!(gpte & GPTE_PRESENT) || gpte_frame(um, gpte) != a->v->gfn)
			return broken(a, 5, "entry maps what the guest's tables do not");
		if (!(gpte & GPTE_ACCESSED))
			return broken(a, 4, "present though the guest's entry is not Accessed");
	}
	return check_rights(a, t, index, gpte);
}

/* ---- 2. Upper entries ----------------------------------------------------------------------- */

static bool check_window_slot(struct audit *a, const struct table *t, unsigned index)
{
	const struct um *um = a->um;
	const struct table *child = child_of(um, t->spte[index]);
	unsigned first = index_at(um, top_level(um), um->window_first);
	bool inside = um->window && (t->role & ROLE_ROOT) && index >= first;

	if (!(child->role & ROLE_WINDOW))
		return inside ? broken(a, 8, "the window leads to a guest's table") : true;
	if (!inside)
		return broken(a, 8, "a guest's address leads into the window");
	if (!t->hooked ||
	    um->window_tables[t->hooked - 1][index - first] != table_id(um, child))
		return broken(a, 8, "another processor's window is hooked in");
	return true;
}

/* Told mode: the guest's entry may have changed unannounced; the child must fit its parent all the
 * same. */
static bool check_child_told(struct audit *a, const struct table *t, const struct table *child)
{
	if (level_of(child) + 1 != level_of(t) ||
	    (role_rights(child->role) & ~role_rights(t->role)) ||
	    ((child->role ^ t->role) & (ROLE_PAGING | ROLE_WP)))
		return broken(a, 12, "upper entry leads to a table of another role");
	return true;
}

static bool check_child(struct audit *a, const struct table *t, unsigned index)
{
	const struct um *um = a->um;
	const struct table *child = child_of(um, t->spte[index]);
	struct key key, parent = key_of(t);
	uint64_t gpte = 0;

	if (um->learn == UM_LEARN_TOLD)
		return check_child_told(a, t, child);
	if (!(t->role & ROLE_DIRECT)) {
		if (!read_shadowed(um, t, index, &gpte))
			return broken(a, 12, "upper entry without a guest's entry");
		a->v->gpte = gpte;
		if (!(gpte & GPTE_PRESENT) || upper_reserved(um, t, gpte))
			return broken(a, 12, "the guest's upper entry leads nowhere");
		if (t->flags & TABLE_NO_AD)
			gpte |= GPTE_ACCESSED | GPTE_DIRTY;
		if (!(gpte & GPTE_ACCESSED))
			return broken(a, 4, "upper entry though the guest's is not Accessed");
		/* Dirty set through another role is found at the next write through this one. */
		if ((child->role & ROLE_DIRECT) && !(child->role & ROLE_DIRTY))
			gpte &= ~(uint64_t)GPTE_DIRTY;
	}
	if (!child_key(um, &parent, index, gpte, &key) || !has_key(um, child, &key))
		return broken(a, 12, "upper entry leads to the wrong table");
	return true;
}

static bool check_upper(struct audit *a, const struct table *t, unsigned index)
{
	const struct um *um = a->um;
	const struct table *child = child_of(um, t->spte[index]);
	um_gva gva = t->gva + index * span_of(um, level_of(t));

	a->v->spte = t->spte[index];
	a->v->gfn = t->gfn;
	if (spte_frame(t->spte[index]) > um->max_tables || !child->spte)
		return broken(a, 12, "upper entry leads to no table");
	if (!check_window_slot(a, t, index))
		return false;
	if (!is_live(um, t))
		return true;
	if (!(child->flags & TABLE_MULTI) && ((t->flags & TABLE_MULTI) || child->gva != gva))
		return broken(a, 18, "table with several addresses is not marked so");
	return (child->role & ROLE_WINDOW) || check_child(a, t, index);
}

/* ---- 3. Tables ------------------------------------------------------------------------------ */

static bool check_window_entry(struct audit *a, uint64_t spte)
{
	a->v->spte = spte;
	if (!(spte & SPTE_WINDOW) || (spte & SPTE_USER))
		return broken(a, 8, "the window maps something that is not the host's alone");
	return true;
}

static bool check_table(struct audit *a, const struct table *t)
{
	const struct um *um = a->um;
	unsigned present = 0;

	if (t->flags & TABLE_PINNED)
		return broken(a, 17, "table pinned between calls");
	if (!(t->role & ROLE_WINDOW) && t->gfn >= um->max_gfn)
		return broken(a, 9, "table of a frame that does not exist");
	for (unsigned i = 0; i < ENTRIES; i++) {
		bool ok;

		if (!(t->spte[i] & SPTE_PRESENT))
			continue;
		present++;
		a->v->gva = t->gva + i * span_of(um, level_of(t));
		if (t->role & ROLE_WINDOW) {
			ok = check_window_entry(a, t->spte[i]);
		} else if (level_of(t)) {
			ok = check_upper(a, t, i);
			a->uppers++;
		} else {
			ok = check_leaf(a, t, i);
			a->leaves++;
			a->live_leaves += is_live(um, t);
		}
		if (!ok)
			return false;
	}
	return present == t->present || broken(a, 14, "count of present entries is wrong");
}

/* ---- 4. um_audit ---------------------------------------------------------------------------- */

/* Field by field: a whole structure may become a call of memset, which is not ours to call. */
static void forget_violation(struct um_violation *v)
{
	v->invariant = 0;
	v->text = NULL;
	v->gva = v->gfn = 0;
	v->spte = v->gpte = 0;
}

struct um_violation um_audit(const struct um *um)
{
	struct um_violation found;
	struct audit a;
	bool ok = true;

	a.um = um;
	a.v = &found;
	a.leaves = a.live_leaves = a.uppers = 0;
	forget_violation(&found);
	for (uint32_t id = 1; ok && id <= um->max_tables; id++)
		if (table_at(um, id)->spte)
			ok = check_table(&a, table_at(um, id));
	if (ok && audit_frames(&a) && audit_lists(&a) && audit_roots(&a))
		forget_violation(&found);
	return found;
}
