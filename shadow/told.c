/* SPDX-License-Identifier: MIT */
/*
 * shadow/told.c - part (iii), learning by being told: set pte, set pde.
 *
 *   1. In step       what may be trusted when, without write protection
 *   2. Kernel slots  one store for a kernel address, whatever the number of roots (R8)
 *   3. um_set_pte
 *   4. um_set_pde, um_set_user_end
 *
 * The kernel half of every root is kept up to date by telling.  The user half of a root that is not
 * current need not be (R7, D9): when it is switched to, its tables are compared with guest memory,
 * entry by entry, or their upper entries dropped; a table that is entered again is compared then.
 */
#include "core.h"

/* ---- 1. In step ----------------------------------------------------------------------------- */

/* Top-level entries below this one hold user addresses.  No split known yet: all of them do. */
static unsigned user_slots(const struct um *um)
{
	unsigned top = top_level(um);
	uint64_t span = span_of(um, top);

	if (!um->user_end)
		return index_at(um, top, um->limit - 1) + 1;
	return (unsigned)((um->user_end + span - 1) >> um->fmt->level[top].shift);
}

void drop_user_half(struct um *um, struct table *root)
{
	unsigned slots = user_slots(um);

	for (unsigned i = 0; i < slots; i++)
		if (root->spte[i] & SPTE_PRESENT)
			unlink_slot(um, root, i);
}

/* A process that comes back wants most of its tables again: comparing them with guest memory now
 * saves the faults that would lead to the same comparison, one for each.  Two levels only: what
 * hangs deeper is not looked at. */
void revalidate_user_half(struct um *um, struct table *root)
{
	unsigned slots = user_slots(um), left = REVALIDATED_MAX;

	if (!(um->options & UM_OPT_REVALIDATE) || top_level(um) != 1)
		left = 0;
	for (unsigned i = 0; i < slots; i++) {
		struct table *child;

		if (!(root->spte[i] & SPTE_PRESENT))
			continue;
		child = child_of(um, root->spte[i]);
		if (child->present >= left) {
			unlink_slot(um, root, i);
		} else if (!sync_entry(um, root, i)) {
			left -= child->present + 1u;
			sync_table(um, child);
		}
	}
}

/* Has this table been kept up to date, so that another root may enter it at `index` as it is? */
bool told_in_step(const struct um *um, unsigned index, const struct table *child)
{
	return index >= user_slots(um) && child->nparents && !(child->flags & TABLE_MULTI) &&
	       um->kernel_slot[index] == table_id(um, child);
}

/* ---- 2. Kernel slots ------------------------------------------------------------------------ */

void told_reset(struct um *um)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		um->kernel_slot[i] = 0;
		__asm__ volatile("" ::: "memory");
	}
}

/* A root now leads to child at `index`. */
void told_linked(struct um *um, unsigned index, const struct table *child)
{
	uint32_t id = table_id(um, child), *known = &um->kernel_slot[index];
	const struct table *other;

	if (*known == id || *known == SLOT_DIVERGED)
		return;
	other = *known ? table_at(um, *known) : NULL;
	*known = other && other->spte && other->nparents ? SLOT_DIVERGED : id;
}

/* The one table all roots lead to for gva; NULL with *diverged: look at every root. */
static struct table *kernel_table(const struct um *um, um_gva gva, bool *diverged)
{
	unsigned top = top_level(um);
	uint32_t id = um->kernel_slot[index_at(um, top, gva)];
	struct table *t;

	*diverged = id == SLOT_DIVERGED;
	if (!id || *diverged)
		return NULL;
	t = table_at(um, id);
	if (!t->spte || !t->nparents || !is_live(um, t))
		return NULL;
	if ((t->flags & TABLE_MULTI) || t->gva != (gva & ~(span_of(um, top) - 1))) {
		*diverged = true;
		return NULL;
	}
	return t;
}

/* ---- 3. um_set_pte -------------------------------------------------------------------------- */

/* The lowest table below t for gva, or NULL. */
static struct table *leaf_below(const struct um *um, struct table *t, um_gva gva)
{
	for (unsigned level = level_of(t); level > 0; level--) {
		uint64_t spte = t->spte[index_at(um, level, gva)];

		if (!(spte & SPTE_PRESENT))
			return NULL;
		t = child_of(um, spte);
	}
	return t;
}

static void change_leaf(struct um *um, struct table *t, um_gva gva, uint64_t gpte)
{
	unsigned index = index_at(um, 0, gva);

	t = leaf_below(um, t, gva);
	if (!t || (t->role & ROLE_DIRECT))
		return;
	/* Not present, or not Accessed: the next access must fault first (D2, behaviour test 4). */
	if ((um->options & UM_OPT_INSTALL_AHEAD) && (gpte & GPTE_PRESENT) &&
	    (gpte & GPTE_ACCESSED)) {
		uint64_t old = t->spte[index];

		if ((old & SPTE_PRESENT) && link_at(t, index)->gfn != gpte_frame(um, gpte))
			drop_leaf(um, t, index);
		if (fill_ahead(um, t, index, gpte, false))
			return;
	}
	if (t->spte[index] & SPTE_PRESENT)
		drop_leaf(um, t, index);
}

static bool is_guest_root(const struct um *um, const struct table *t)
{
	return is_live(um, t) && (t->role & ROLE_PAGING);
}

static void change_every_root(struct um *um, um_gva gva, uint64_t gpte)
{
	bool diverged;
	struct table *t = kernel_table(um, gva, &diverged);

	if (t)
		change_leaf(um, t, gva, gpte);
	if (!diverged)
		return;
	for (t = next_root(um, NULL); t; t = next_root(um, t))
		if (is_guest_root(um, t))
			change_leaf(um, t, gva, gpte);
}

/* The cached shadows of one guest directory (one for each mode it was used in).  An unknown
 * directory has none (R6); the memory of directory 0 is like any other (D1). */
static struct table *next_shadow(const struct um *um, um_gpa root, const struct table *after)
{
	um_gfn gfn = (root & um->fmt->root_mask) >> UM_PAGE_SHIFT;
	uint32_t id;

	if (gfn >= um->max_gfn)
		return NULL;
	id = after ? after->next_same : frame_at(um, gfn)->tables;
	for (; id; id = table_at(um, id)->next_same) {
		struct table *t = table_at(um, id);

		if ((t->role & ROLE_ROOT) && is_guest_root(um, t))
			return t;
	}
	return NULL;
}

static enum um_result set_pte(struct um *um, um_gpa root, um_gva gva, uint64_t gpte)
{
	enum um_stop why;

	if (um->learn != UM_LEARN_TOLD || gva >= um->limit)
		return UM_EINVAL;
	why = check_told(um, gpte, UM_STOP_BAD_PTE);
	if (why) {
		um->stop = why;
		observe(um, UM_EV_STOP, gva, 0, why);
		return UM_STOP;
	}
	um->stats.told_ptes++;
	if (gva >= um->user_end)
		change_every_root(um, gva, gpte);
	else
		for (struct table *t = next_shadow(um, root, NULL); t; t = next_shadow(um, root, t))
			change_leaf(um, t, gva, gpte);
	commit_invalidate(um);
	observe(um, UM_EV_SET_PTE, gva, root, gpte);
	return UM_OK;
}

enum um_result um_set_pte(struct um *um, um_gpa root, um_gva gva, uint64_t gpte)
{
	enter(um, UM_CALL_SET_PTE, root, gva, gpte);
	return leave(um, set_pte(um, root, gva, gpte), NULL);
}

/* ---- 4. um_set_pde, um_set_user_end --------------------------------------------------------- */

static void drop_slot(struct um *um, struct table *root, unsigned index)
{
	if (root->spte[index] & SPTE_PRESENT)
		unlink_slot(um, root, index);
}

static enum um_result set_pde(struct um *um, um_gpa root, uint64_t index)
{
	unsigned top = top_level(um), i = (unsigned)index;
	um_gva first;

	if (um->learn != UM_LEARN_TOLD || index >= entries_of(um, top))
		return UM_EINVAL;
	first = index * span_of(um, top);
	if (first >= um->limit)
		return UM_EINVAL;
	um->stats.told_pdes++;
	if (first + (span_of(um, top) - 1) >= um->user_end) {
		for (struct table *t = next_root(um, NULL); t; t = next_root(um, t))
			if (is_guest_root(um, t))
				drop_slot(um, t, i);
	} else {
		for (struct table *t = next_shadow(um, root, NULL); t; t = next_shadow(um, root, t))
			drop_slot(um, t, i);
	}
	commit_invalidate(um);
	observe(um, UM_EV_SET_PDE, index, root, 0);
	return UM_OK;
}

enum um_result um_set_pde(struct um *um, um_gpa root, uint64_t index)
{
	enter(um, UM_CALL_SET_PDE, root, index, 0);
	return leave(um, set_pde(um, root, index), NULL);
}

static enum um_result set_user_end(struct um *um, um_gva first_kernel_address)
{
	if (first_kernel_address > um->limit || (um->window && first_kernel_address == um->limit))
		return UM_EINVAL;
	if (first_kernel_address != um->user_end) {
		um->user_end = first_kernel_address;
		/* What was kept up to date as kernel addresses may now be the user's. */
		flush_all(um);
	}
	return UM_OK;
}

enum um_result um_set_user_end(struct um *um, um_gva first_kernel_address)
{
	enter(um, UM_CALL_SET_USER_END, first_kernel_address, 0, 0);
	return leave(um, set_user_end(um, first_kernel_address), NULL);
}
