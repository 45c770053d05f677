/* SPDX-License-Identifier: MIT */
/*
 * shadow/root.c - modes and roots: part (iv), switching page tables.
 *
 *   1. The roots    how many are kept, which one goes
 *   2. Switching    MOV to CR3
 *   3. Modes        MOV to CR0, CR4
 *   4. Looking      um_current_root, um_mode
 */
#include "core.h"

/* ---- 1. The roots --------------------------------------------------------------------------- */

static void list_remove(struct um *um, struct table *t)
{
	if (t->root_prev)
		table_at(um, t->root_prev)->root_next = t->root_next;
	else
		um->roots = t->root_next;
	if (t->root_next)
		table_at(um, t->root_next)->root_prev = t->root_prev;
	else
		um->last_root = t->root_prev;
}

static void list_insert(struct um *um, struct table *t)
{
	t->root_prev = 0;
	t->root_next = um->roots;
	if (um->roots)
		table_at(um, um->roots)->root_prev = table_id(um, t);
	else
		um->last_root = table_id(um, t);
	um->roots = table_id(um, t);
}

void root_removed(struct um *um, struct table *t)
{
	list_remove(um, t);
	um->nroots--;
	if (is_live(um, t))
		um->stats.roots--;
}

/* Free places first, then the root that was current longest ago (R12, D12); stale ones are among
 * the last. */
static void make_room(struct um *um)
{
	struct table *victim;

	if (um->nroots < um->max_roots)
		return;
	victim = table_at(um, um->last_root);
	if (is_live(um, victim)) {
		um->stats.evictions++;
		observe(um, UM_EV_EVICT, 0, (um_gpa)victim->gfn << UM_PAGE_SHIFT, level_of(victim));
	}
	free_table(um, victim);
}

static void use_root(struct um *um, struct table *t)
{
	um->root = table_id(um, t);
	list_remove(um, t);
	list_insert(um, t);
	t->flags |= TABLE_USED;
	t->writes = 0;
	lru_touch(um, t);
	hook_window(um, t);
}

/* um->root is 0, so any root may go to make room. */
struct table *make_root(struct um *um)
{
	struct key key = root_key(um);
	struct table *t;

	make_room(um);
	t = make_table(um, &key);
	list_insert(um, t);
	um->nroots++;
	um->stats.roots++;
	use_root(um, t);
	return t;
}

/* Make cr3's cached shadow current, if there is one. */
static bool find_root(struct um *um)
{
	struct key key = root_key(um);
	struct table *t = key.gfn < um->max_gfn ? find_table(um, &key) : NULL;

	um->root = 0;
	if (!t)
		return false;
	/* Told mode: the guest need not have told what it did to it meanwhile (R7). */
	if (um->learn == UM_LEARN_TOLD && (um->mode & UM_MODE_PAGING))
		revalidate_user_half(um, t);
	use_root(um, t);
	return true;
}

/* ---- 2. Switching --------------------------------------------------------------------------- */

void um_switch_root(struct um *um, um_gpa cr3)
{
	bool hit;

	enter(um, UM_CALL_SWITCH_ROOT, cr3, 0, 0);
	sync_all(um);
	um->cr3 = cr3 & um->fmt->root_mask;
	hit = find_root(um);
	um->stats.switches++;
	um->stats.switch_hits += hit;
	commit_invalidate(um);
	if (um->ops->root_switched)
		um->ops->root_switched(um->user, um->root);
	else if (um->ops->invalidate_nonglobal && (um->mode & UM_MODE_PGE))
		um->ops->invalidate_nonglobal(um->user);
	else
		um->ops->invalidate_all(um->user);
	observe(um, UM_EV_SWITCH, 0, um->cr3, hit);
	leave(um, UM_OK, NULL);
}

/* ---- 3. Modes ------------------------------------------------------------------------------- */

enum { MODES = UM_MODE_PAGING | UM_MODE_WP | UM_MODE_PSE | UM_MODE_PGE };

void um_set_mode(struct um *um, uint32_t mode, um_gpa cr3)
{
	mode &= MODES;
	cr3 &= um->fmt->root_mask;
	if (mode == um->mode && cr3 == um->cr3)
		return;
	enter(um, UM_CALL_SET_MODE, mode, cr3, 0);
	sync_all(um);
	um->mode = mode;
	um->cr3 = cr3;
	find_root(um);
	invalidate_everything(um);
	commit_invalidate(um);
	observe(um, UM_EV_MODE, 0, cr3, mode);
	leave(um, UM_OK, NULL);
}

/* ---- 4. Looking ----------------------------------------------------------------------------- */

uint32_t um_current_root(const struct um *um)
{
	return um->root;
}

uint32_t um_mode(const struct um *um)
{
	return um->mode;
}
