/* SPDX-License-Identifier: MIT */
/*
 * shadow/fill.c - part (i), demand page: build what an access needs.
 *
 *   1. Leaf rights     what an entry may permit
 *   2. The path        the shadow tables from the root down to the leaf
 *   3. One try         check everything, set memory aside, then commit
 *   4. um_demand_page, um_pin_page
 *   5. Ahead           entries nobody has asked for yet
 */
#include "core.h"

/* ---- 1. Leaf rights ------------------------------------------------------------------------- */

/* Writable only when Dirty (I3, R2), whatever the path.  With CR0.WP clear a supervisor may write
 * what is read-only, but the hardware always runs as with WP set: such an entry is either the
 * user's and read-only, or the supervisor's alone and writable, as the last access wants it. */
static unsigned leaf_rights(bool wp, uint32_t merged, bool dirty, unsigned access)
{
	unsigned user = merged & UM_USER;

	if (!dirty)
		return user;
	if (merged & UM_WRITE)
		return user | UM_WRITE;
	if (!wp && (!user || (access & (UM_WRITE | UM_USER)) == UM_WRITE))
		return UM_WRITE;
	return user;
}

uint64_t leaf_bits(const struct um *um, const struct table *t, uint64_t gpte, unsigned access)
{
	uint32_t merged = role_rights(t->role);
	bool dirty = t->role & ROLE_DIRTY, global = t->role & ROLE_GLOBAL;
	uint64_t bits;

	if (!(t->role & ROLE_DIRECT)) {
		if (!(gpte & GPTE_PRESENT) || !(gpte & GPTE_ACCESSED))
			return 0;
		if (gpte & um->fmt->level[0].reserved || (um->bound && (gpte & GPTE_LARGE)))
			return 0;
		merged &= (uint32_t)(gpte | um->fmt->level[0].no_rights);
		dirty = gpte & GPTE_DIRTY;
		global = (gpte & GPTE_GLOBAL) && um->learn == UM_LEARN_TRACKED;
	}
	bits = SPTE_PRESENT | SPTE_ACCESSED | leaf_rights(t->role & ROLE_WP, merged, dirty, access);
	if (bits & SPTE_WRITE)
		bits |= SPTE_DIRTY;
	return bits | (global ? SPTE_GLOBAL : 0u);
}

/* ---- 2. The path ---------------------------------------------------------------------------- */

struct path {
	struct key key[LEVELS_MAX];
	struct table *table[LEVELS_MAX]; /* NULL: to be made */
	unsigned missing;
};

/* The table below `parent`: the one linked there if it is the right one, else the cache's. */
static struct table *find_child(struct um *um, const struct table *parent, unsigned index,
                                const struct key *key)
{
	uint64_t spte = parent ? parent->spte[index] : 0;

	if ((spte & SPTE_PRESENT) && has_key(um, child_of(um, spte), key))
		return child_of(um, spte);
	return find_table(um, key);
}

static void plan_path(struct um *um, const struct walk *w, struct path *p)
{
	unsigned top = top_level(um);

	p->key[top] = root_key(um);
	p->table[top] = um->root ? table_at(um, um->root) : NULL;
	p->missing = !um->root;
	for (unsigned level = top; level-- > 0;) {
		unsigned index = index_at(um, level + 1, w->gva);

		/* The frame exists, so the tables' do: walk_guest() has read them. */
		child_key(um, &p->key[level + 1], index, w->want[level + 1], &p->key[level]);
		p->table[level] = find_child(um, p->table[level + 1], index, &p->key[level]);
		p->missing += !p->table[level];
	}
}

static void pin_path(struct um *um, struct path *p, bool pin)
{
	for (unsigned level = 0; level < um->fmt->levels; level++) {
		struct table *t = p->table[level];

		if (!t)
			continue;
		if (pin)
			t->flags |= TABLE_PINNED | TABLE_USED;
		else
			t->flags &= (uint8_t)~TABLE_PINNED;
	}
}

/* A table that others have used must be in step before a new way leads to it. */
static void check_step(struct um *um, unsigned index, struct table *child)
{
	if (um->learn == UM_LEARN_TOLD) {
		if (!told_in_step(um, index, child))
			sync_table(um, child);
	} else if (frame_at(um, child->gfn)->flags & FRAME_UNSYNC) {
		if (!(child->role & ROLE_DIRECT))
			sync_frame(um, child->gfn);
	}
}

static void join(struct um *um, struct path *p, unsigned level, unsigned index, bool made)
{
	struct table *parent = p->table[level + 1], *child = p->table[level];
	uint64_t spte = parent->spte[index];

	if (spte & SPTE_PRESENT) {
		if (child_of(um, spte) == child)
			return;
		unlink_slot(um, parent, index);
	}
	if (!made)
		check_step(um, index, child);
	link_child(um, parent, index, child);
}

/* Everything that can fail has been done. */
static struct table *build_path(struct um *um, const struct walk *w, struct path *p)
{
	unsigned top = top_level(um);

	if (!p->table[top])
		p->table[top] = make_root(um);
	p->table[top]->flags |= TABLE_PINNED;
	for (unsigned level = top; level-- > 0;) {
		bool made = !p->table[level];

		if (made)
			p->table[level] = make_table(um, &p->key[level]);
		p->table[level]->flags |= TABLE_PINNED | TABLE_USED;
		join(um, p, level, index_at(um, level + 1, w->gva), made);
	}
	for (unsigned level = 0; w->no_ad && level <= top; level++)
		if (w->no_ad & 1u << level)
			p->table[level]->flags |= TABLE_NO_AD;
	return p->table[0];
}

/* ---- 3. One try ----------------------------------------------------------------------------- */

enum { RETRY = -1 };

static int finish(struct um *um, const struct walk *w, struct table *t, struct um_map *map)
{
	unsigned index = index_at(um, 0, w->gva);
	struct frame *f = frame_at(um, w->gfn);
	uint64_t bits = leaf_bits(um, t, w->want[0], w->access);
	bool tracked = is_tracked(um, f);
	bool write = w->access & UM_WRITE;

	if (tracked && write) {
		consider_untracking(um, w->gfn);
		tracked = is_tracked(um, f);
	}
	if (tracked || (f->flags & FRAME_ROM))
		bits &= ~(uint64_t)(SPTE_WRITE | SPTE_DIRTY);
	set_leaf(um, t, index, w->gfn, bits);
	map->hfn = frame_hfn(f);
	map->rights = (uint8_t)(bits & RIGHTS);
	map->tracked = tracked;
	map->global = (bits & SPTE_GLOBAL) && (um->mode & UM_MODE_PGE);
	if (tracked && write) {
		/* The embedder is about to write the page in the guest's place. */
		f->flags |= FRAME_DIRTY;
		return UM_TRACKED;
	}
	um->stats.fills++;
	observe(um, UM_EV_FILL, w->gva, map->gpa, t->spte[index]);
	if (um->prefetch && (um->options & UM_OPT_PREFETCH))
		prefetch_around(um, t, index);
	return UM_OK;
}

static int map_frame(struct um *um, struct walk *w, struct um_map *map, bool insist)
{
	struct path p;
	int result = RETRY;

	plan_path(um, w, &p);
	pin_path(um, &p, true);
	if (p.missing && !reserve_tables(um, p.missing))
		result = UM_NOMEM;
	else if (write_accessed_dirty(um, w, insist))
		result = finish(um, w, build_path(um, w, &p), map);
	pin_path(um, &p, false);
	return result;
}

/* The host's word on the frame, before anything is changed. */
static enum um_grant ask_grant(struct um *um, const struct walk *w)
{
	bool dirty = w->leaf == um->fmt->levels || (w->want[w->leaf] & GPTE_DIRTY);
	/* Asked for writing only if the entry will be writable: not for a read of a dirty page that
	 * the tables forbid to write (D21). */
	unsigned rights = leaf_rights(um->mode & UM_MODE_WP, w->rights, dirty, w->access);

	if (w->gfn >= um->max_gfn)
		return UM_GRANT_REFUSED;
	return borrow_frame(um, w->gfn, rights & UM_WRITE);
}

static int try_demand(struct um *um, struct walk *w, struct um_map *map, bool insist)
{
	enum um_grant grant;
	int result = (int)walk_guest(um, w);

	if (result != UM_OK)
		return result;
	map->gpa = w->gfn << UM_PAGE_SHIFT | (w->gva & (UM_PAGE_SIZE - 1));
	grant = ask_grant(um, w);
	if (grant == UM_GRANT_RAM || (grant == UM_GRANT_ROM && !(w->access & UM_WRITE))) {
		result = map_frame(um, w, map, insist);
	} else if (grant == UM_GRANT_REFUSED && um->bound) {
		um->stop = UM_STOP_BAD_FRAME;
		return UM_STOP;
	} else {
		bool flat = w->leaf == um->fmt->levels;

		result = flat || write_accessed_dirty(um, w, insist) ? UM_MMIO : RETRY;
	}
	if (w->gfn < um->max_gfn)
		release_frame(um, w->gfn);
	return result;
}

/* ---- 4. um_demand_page, um_pin_page --------------------------------------------------------- */

static enum um_result demand(struct um *um, um_gva gva, unsigned access, struct um_map *map)
{
	struct walk w;
	int result = RETRY;

	w.gva = gva;
	w.access = access & (UM_WRITE | UM_USER | UM_FETCH);
	map->error = 0;
	map->tracked = map->global = false;
	map->rights = 0;
	if (gva >= um->limit) {
		/* The window does not exist for the guest (R10). */
		w.error = (uint8_t)(w.access & (UM_WRITE | UM_USER));
		result = UM_FAULT;
	}
	for (unsigned tries = 0; result == RETRY; tries++) {
		w.no_ad = 0;
		result = try_demand(um, &w, map, tries == RETRIES_MAX);
	}
	if (result == UM_FAULT) {
		map->error = w.error;
		um->stats.reflected++;
		observe(um, UM_EV_REFLECT, gva, 0, w.error);
	} else if (result == UM_STOP) {
		observe(um, UM_EV_STOP, gva, 0, um->stop);
	}
	commit_invalidate(um);
	return (enum um_result)result;
}

static enum um_result demand_page(struct um *um, um_gva gva, unsigned access, struct um_map *map)
{
	if (gva >= um->end)
		return UM_EINVAL;
	um->stats.faults++;
	return demand(um, gva, access, map);
}

/* Apart, as in um_lookup(). */
__attribute__((noinline)) static enum um_result demand_heard(struct um *um, um_gva gva,
                                                             unsigned access, struct um_map *map)
{
	enter(um, UM_CALL_DEMAND_PAGE, gva, access, 0);
	return leave(um, demand_page(um, gva, access, map), map);
}

enum um_result um_demand_page(struct um *um, um_gva gva, unsigned access, struct um_map *map)
{
	return um->heard ? demand_heard(um, gva, access, map) : demand_page(um, gva, access, map);
}

static enum um_result pin_page(struct um *um, um_gva gva)
{
	struct um_map map;

	if (gva < um->end && look_up(um, gva, UM_WRITE, &map) == UM_OK)
		return UM_OK;
	return demand_page(um, gva, UM_WRITE, &map);
}

enum um_result um_pin_page(struct um *um, um_gva gva)
{
	enter(um, UM_CALL_PIN_PAGE, gva, 0, 0);
	return leave(um, pin_page(um, gva), NULL);
}

/* ---- 5. Ahead ------------------------------------------------------------------------------- */

static um_gfn frame_behind(const struct um *um, const struct table *t, unsigned index,
                           uint64_t gpte)
{
	return t->role & ROLE_DIRECT ? (um_gfn)t->gfn + index : gpte_frame(um, gpte);
}

bool fill_ahead(struct um *um, struct table *t, unsigned index, uint64_t gpte, bool prefetch)
{
	uint64_t bits = leaf_bits(um, t, gpte, UM_READ);
	um_gfn gfn = frame_behind(um, t, index, gpte);
	struct frame *f;
	enum um_grant grant;

	if (!bits || gfn >= um->max_gfn)
		return false;
	f = frame_at(um, gfn);
	if (f->aliases >= ALIASES_MAX)
		return false;
	/* A page borrowed read-only would first be dropped everywhere: not for a guess. */
	if (is_tracked(um, f) ||
	    (prefetch && (f->flags & (FRAME_BORROWED | FRAME_REAL)) == FRAME_BORROWED))
		bits &= ~(uint64_t)(SPTE_WRITE | SPTE_DIRTY);
	grant = borrow_frame(um, gfn, bits & SPTE_WRITE);
	if (grant == UM_GRANT_ROM)
		bits &= ~(uint64_t)(SPTE_WRITE | SPTE_DIRTY);
	if (grant == UM_GRANT_RAM || grant == UM_GRANT_ROM)
		set_leaf(um, t, index, gfn, bits | (prefetch ? SPTE_PREFETCHED : 0u));
	release_frame(um, gfn);
	return t->spte[index] & SPTE_PRESENT;
}
