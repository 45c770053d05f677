/* SPDX-License-Identifier: MIT */
/*
 * shadow/key.c - a shadow table's identity: what it shadows and in which role.
 *
 *   1. The root      CR3's frame and the mode
 *   2. Children      the table that an upper entry must lead to
 *
 * Everything that changes what a table's entries mean is in the role (bits.h): two tables with one
 * key are interchangeable, which is what makes sharing safe.
 */
#include "core.h"

/* ---- 1. The root ---------------------------------------------------------------------------- */

static uint32_t mode_role(const struct um *um, unsigned level)
{
	uint32_t mode = um->mode & (UM_MODE_PAGING | UM_MODE_WP | (level ? UM_MODE_PSE : 0u));

	if (!(um->mode & UM_MODE_PAGING))
		return 0;
	return mode << ROLE_MODE_SHIFT;
}

struct key root_key(const struct um *um)
{
	struct key key = { 0, top_level(um) | ROLE_ROOT, 0 };

	key.role |= (uint32_t)RIGHTS << ROLE_RIGHTS_SHIFT;
	key.role |= mode_role(um, top_level(um));
	if (um->mode & UM_MODE_PAGING)
		key.gfn = (uint32_t)(um->cr3 >> UM_PAGE_SHIFT);
	else
		key.role |= ROLE_DIRECT | ROLE_DIRTY;
	return key;
}

struct key key_of(const struct table *t)
{
	return (struct key){ t->gfn, t->role, t->owner };
}

bool has_key(const struct um *um, const struct table *t, const struct key *key)
{
	return t->gfn == key->gfn && t->role == key->role && t->owner == key->owner &&
	       is_live(um, t);
}

/* ---- 2. Children ---------------------------------------------------------------------------- */

/* Roles keep the mode they were made under: a table's children follow it, not the current mode. */
static uint32_t child_mode(uint32_t role, unsigned level)
{
	return role & (ROLE_PAGING | ROLE_WP | (level ? ROLE_PSE : 0u));
}

static bool is_large(const struct um *um, uint32_t role, uint64_t gpte)
{
	uint32_t mode = um->fmt->level[role & ROLE_LEVEL_MASK].page_mode;

	return (role >> ROLE_MODE_SHIFT & mode) && (gpte & GPTE_LARGE);
}

bool upper_reserved(const struct um *um, const struct table *t, uint64_t gpte)
{
	const struct um_level *l = &um->fmt->level[level_of(t)];

	return gpte & (is_large(um, t->role, gpte) ? l->reserved_ps : l->reserved);
}

/* The table that entry `index` of the table `parent` leads to when the guest's entry is gpte (which
 * a direct parent does not look at).  false: no such frame. */
bool child_key(const struct um *um, const struct key *parent, unsigned index, uint64_t gpte,
               struct key *child)
{
	unsigned level = (parent->role & ROLE_LEVEL_MASK) - 1u;
	uint64_t span = span_of(um, level + 1u) >> UM_PAGE_SHIFT;
	uint32_t rights = role_rights(parent->role);
	uint32_t role = level | child_mode(parent->role, level);
	um_gfn gfn;

	if (parent->role & ROLE_DIRECT) {
		gfn = parent->gfn + index * span;
		role |= parent->role & (ROLE_DIRECT | ROLE_DIRTY | ROLE_GLOBAL);
	} else {
		rights &= (uint32_t)(gpte | um->fmt->level[level + 1u].no_rights);
		gfn = gpte_frame(um, gpte);
		if (is_large(um, parent->role, gpte)) {
			gfn &= ~(span - 1u);
			role |= ROLE_DIRECT;
			role |= gpte & GPTE_DIRTY ? ROLE_DIRTY : 0u;
			role |= gpte & GPTE_GLOBAL ? ROLE_GLOBAL : 0u;
		}
	}
	if (gfn >= um->max_gfn)
		return false;
	child->gfn = (uint32_t)gfn;
	child->role = role | rights << ROLE_RIGHTS_SHIFT;
	child->owner = parent->owner;
	if (!(um->options & UM_OPT_SHARE) && (parent->role & ROLE_ROOT))
		child->owner = parent->gfn + 1u;
	return true;
}
