/* SPDX-License-Identifier: MIT */
/*
 * shadow/table.c - shadow tables: find, make, link, free.
 *
 *   1. Find       by what is shadowed: the frame's own list
 *   2. Memory     set aside before anything is changed, so that nothing fails half-way (R4)
 *   3. Make
 *   4. Link       parent entry to child table, and back
 *   5. Free
 */
#include "core.h"

/* ---- 1. Find -------------------------------------------------------------------------------- */

struct table *find_table(const struct um *um, const struct key *key)
{
	for (uint32_t id = frame_at(um, key->gfn)->tables; id;) {
		struct table *t = table_at(um, id);

		if (has_key(um, t, key))
			return t;
		id = t->next_same;
	}
	return NULL;
}

bool is_idle(const struct table *t)
{
	return !t->nparents && !(t->role & ROLE_ROOT);
}

/* ---- 2. Memory ------------------------------------------------------------------------------ */

/* The barrier keeps compilers from turning the loop into a call of memset, which is not ours to
 * call. */
static void clear_entries(uint64_t *spte)
{
	for (unsigned i = 0; i < ENTRIES; i += 8) {
		spte[i] = spte[i + 1] = spte[i + 2] = spte[i + 3] = 0;
		spte[i + 4] = spte[i + 5] = spte[i + 6] = spte[i + 7] = 0;
		__asm__ volatile("" ::: "memory");
	}
}

/* Stale tables first, then the embedder, then the least recently used (R11). */
static void *find_memory(struct um *um)
{
	void *memory = evict_one(um, true, false);

	if (memory)
		return memory;
	if (um->ntables < um->budget) {
		memory = um->ops->get_table(um->user);
		if (memory) {
			clear_entries(memory);
			um->ntables++;
			if (um->ntables > um->stats.tables_peak)
				um->stats.tables_peak = um->ntables;
			return memory;
		}
	}
	return evict_one(um, false, false);
}

bool reserve_tables(struct um *um, unsigned count)
{
	while (um->nspare < count) {
		void *memory = find_memory(um);

		if (!memory)
			return false;
		um->spare[um->nspare++] = memory;
	}
	return true;
}

static struct table *take_descriptor(struct um *um)
{
	struct table *t = table_at(um, um->free_tables);

	um->free_tables = t->next_same;
	t->spte = um->spare[--um->nspare];
	t->generation = um->generation;
	t->owner = 0;
	t->next_same = t->parents = 0;
	t->nparents = t->present = 0;
	t->gva = 0;
	t->flags = TABLE_USED;
	t->writes = t->hooked = 0;
	um->stats.tables_made++;
	return t;
}

/* ---- 3. Make -------------------------------------------------------------------------------- */

static bool shadows_guest_table(const struct table *t)
{
	return !(t->role & (ROLE_DIRECT | ROLE_WINDOW));
}

/* Called whenever a table of this frame came or went. */
static void update_shadowed(struct um *um, uint32_t gfn)
{
	struct frame *f = frame_at(um, gfn);
	bool shadowed = false;

	for (uint32_t id = f->tables; id && !shadowed; id = table_at(um, id)->next_same)
		shadowed = shadows_guest_table(table_at(um, id));
	if (shadowed) {
		f->flags |= FRAME_SHADOWED;
		return;
	}
	if (f->flags & FRAME_UNSYNC)
		forget_unsync(um, gfn);
	f->flags &= (uint8_t)~FRAME_SHADOWED;
}

/* Keep the frame's list short: stale tables go, and past SHADOWS_MAX any that is not in use. */
static void trim_shadows(struct um *um, uint32_t gfn)
{
	struct table *victim = NULL;
	unsigned count = 0;

	for (uint32_t id = frame_at(um, gfn)->tables; id;) {
		struct table *t = table_at(um, id);

		id = t->next_same;
		count++;
		if ((t->flags & TABLE_PINNED) || table_id(um, t) == um->root)
			continue;
		if (!victim || is_live(um, victim))
			victim = t;
	}
	if (victim && (!is_live(um, victim) || count >= SHADOWS_MAX)) {
		if (is_live(um, victim)) /* a stale one is free memory already */
			um->stats.evictions++;
		free_table(um, victim);
	}
}

struct table *make_table(struct um *um, const struct key *key)
{
	struct frame *f = frame_at(um, key->gfn);
	struct table *t;

	trim_shadows(um, key->gfn);
	t = take_descriptor(um);
	t->gfn = key->gfn;
	t->role = key->role;
	t->owner = key->owner;
	t->next_same = f->tables;
	f->tables = table_id(um, t);
	lru_insert(um, t);
	if (!shadows_guest_table(t))
		return t;
	/* A new role of a frame left out of step must not start from what the others missed. */
	if (f->flags & FRAME_UNSYNC)
		sync_frame(um, key->gfn);
	f->flags |= FRAME_SHADOWED;
	if (um->learn == UM_LEARN_TRACKED)
		protect_frame(um, key->gfn);
	return t;
}

/* Outside the cache and the evictor's reach. */
struct table *make_window_table(struct um *um, um_gva gva)
{
	struct table *t = take_descriptor(um);

	t->gfn = 0;
	t->role = ROLE_WINDOW;
	t->gva = gva;
	um->nwindow++;
	return t;
}

/* ---- 4. Link -------------------------------------------------------------------------------- */

/* t is reachable at several addresses; so is everything below. */
static void mark_multi(struct um *um, struct table *t)
{
	if (t->flags & TABLE_MULTI)
		return;
	t->flags |= TABLE_MULTI;
	if (!level_of(t))
		return;
	for (unsigned i = 0; i < ENTRIES; i++) {
		struct table *below;

		if (!(t->spte[i] & SPTE_PRESENT))
			continue;
		below = child_of(um, t->spte[i]);
		below->flags |= TABLE_MULTI;
		for (unsigned j = 0; level_of(below) && j < ENTRIES; j++)
			if (below->spte[j] & SPTE_PRESENT)
				child_of(um, below->spte[j])->flags |= TABLE_MULTI;
	}
}

static void note_address(struct um *um, const struct table *parent, unsigned index,
                         struct table *child)
{
	um_gva gva = parent->gva + index * span_of(um, level_of(parent));

	/* What hangs below it knows the address it had. */
	if (!child->nparents && !(level_of(child) && child->present)) {
		child->flags &= (uint8_t)~TABLE_MULTI;
		child->gva = gva;
	}
	if ((parent->flags & TABLE_MULTI) || child->gva != gva)
		mark_multi(um, child);
}

void link_child(struct um *um, struct table *parent, unsigned index, struct table *child)
{
	struct link *l = link_at(parent, index);
	uint32_t id = table_id(um, child);
	uint64_t bits = SPTE_PRESENT | SPTE_WRITE | SPTE_USER | SPTE_ACCESSED;

	if (child->nparents >= PARENTS_MAX)
		unlink_slot(um, slot_table(um, child->parents), slot_index(child->parents));
	if (child->role & ROLE_WINDOW)
		bits = SPTE_PRESENT | SPTE_WRITE | SPTE_ACCESSED | SPTE_WINDOW;
	else if (um->learn == UM_LEARN_TOLD && (parent->role & ROLE_ROOT) &&
	         (parent->role & ROLE_PAGING))
		told_linked(um, index, child);
	note_address(um, parent, index, child);
	l->next = child->parents;
	l->prev = LINK_HEAD | id;
	if (child->parents)
		link_at(slot_table(um, child->parents), slot_index(child->parents))->prev =
			slot_of(um, parent, index);
	child->parents = slot_of(um, parent, index);
	child->nparents++;
	parent->spte[index] = bits | (uint64_t)id << SPTE_FRAME_SHIFT;
	parent->present++;
}

void unlink_slot(struct um *um, struct table *parent, unsigned index)
{
	struct link *l = link_at(parent, index);
	struct table *child = child_of(um, parent->spte[index]);

	invalidate_upper(um, parent, index);
	parent->spte[index] = 0;
	parent->present--;
	if (l->prev & LINK_HEAD)
		child->parents = l->next;
	else
		link_at(slot_table(um, l->prev), slot_index(l->prev))->next = l->next;
	if (l->next)
		link_at(slot_table(um, l->next), slot_index(l->next))->prev = l->prev;
	child->nparents--;
}

/* ---- 5. Free -------------------------------------------------------------------------------- */

static void remove_from_frame(struct um *um, struct table *t)
{
	uint32_t *at = &frame_at(um, t->gfn)->tables;

	while (*at != table_id(um, t))
		at = &table_at(um, *at)->next_same;
	*at = t->next_same;
	if (shadows_guest_table(t))
		update_shadowed(um, t->gfn);
}

static void remove_entries(struct um *um, struct table *t)
{
	for (unsigned i = 0; i < ENTRIES && t->present; i++) {
		if (!(t->spte[i] & SPTE_PRESENT))
			continue;
		if (t->role & ROLE_WINDOW) {
			t->spte[i] = 0;
			t->present--;
		} else if (level_of(t)) {
			unlink_slot(um, t, i);
		} else {
			discard_leaf(um, t, i);
		}
	}
}

/* Cut off first, emptied after, so that no page is given back while it can be reached. */
void *strip_table(struct um *um, struct table *t)
{
	void *memory = t->spte;

	invalidate_table(um, t);
	if (table_id(um, t) == um->root)
		um->root = 0;
	while (t->parents)
		unlink_slot(um, slot_table(um, t->parents), slot_index(t->parents));
	if ((t->role & ROLE_ROOT) && !um->leaving)
		um->leaving = table_id(um, t);
	remove_entries(um, t);
	if (um->leaving == table_id(um, t))
		um->leaving = 0;
	if (t->role & ROLE_WINDOW) {
		um->nwindow--;
	} else {
		if (t->role & ROLE_ROOT)
			root_removed(um, t);
		remove_from_frame(um, t);
		lru_remove(um, t);
	}
	t->spte = NULL;
	t->next_same = um->free_tables;
	um->free_tables = table_id(um, t);
	return memory;
}

void free_table(struct um *um, struct table *t)
{
	put_memory(um, strip_table(um, t));
}
