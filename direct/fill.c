/* SPDX-License-Identifier: MIT */
/*
 * direct/fill.c - pages that the shadow permits come into the world in use.
 *
 *   1. Rights     what a mapping may permit
 *   2. Runs       neighbours whose frames follow each other: one area for the host
 *   3. Filling
 *
 * Nothing is mapped but what um_lookup() permits at that moment (D4); a page with translated or decoded code
 * is never mapped writable (D5).
 */
#include "direct/internal.h"

#include <string.h>

/* ---- 1. Rights ------------------------------------------------------------------------------ */

struct entry {
	uint32_t frame;
	bool writable;
};

static bool in_ram(const struct direct *d, um_hfn hfn, uint32_t *frame)
{
	um_hfn first = (uintptr_t)d->config.ram >> UM_PAGE_SHIFT;

	if (hfn < first || hfn - first >= d->config.ram_bytes / UM_PAGE_SIZE)
		return false;
	*frame = (uint32_t)(hfn - first);
	return true;
}

/* Does `map` go into the world in use, and how? */
static bool entry_of(const struct direct *d, const struct um_map *map, struct entry *entry)
{
	if (d->world->kind == WORLD_GLOBAL && !map->global)
		return false;
	if (!in_ram(d, map->hfn, &entry->frame))
		return false;
	entry->writable = map->rights & UM_WRITE &&
	                  !has_code(d->cpu, d->config.ram + (size_t)entry->frame * UM_PAGE_SIZE);
	return true;
}

/* ---- 2. Runs -------------------------------------------------------------------------------- */

#define RUN_PAGES 16u     /* aligned, looked at around a page */
#define LARGE_PAGES 1024u /* a large page of the guest's */

/* Is `linear` in a large page of the guest's?  (Its A bit is set then: asking for its other parts changes
 * nothing that the guest can see.) */
static bool in_large_page(const struct direct *d, uint32_t linear)
{
	enum { PDE_LARGE = 1u << 7, PDE_PRESENT = 1u << 0 };
	const struct cpu *c = d->cpu;
	uint32_t at = (c->cr3 & PAGE_MASK) + (linear >> 22) * 4, pde;

	if (!(c->cr0 & CR0_PG))
		return false;
	if (!(c->cr4 & CR4_PSE) || at >= d->config.ram_bytes)
		return false;
	memcpy(&pde, d->config.ram + at, 4);
	return (pde & (PDE_LARGE | PDE_PRESENT)) == (PDE_LARGE | PDE_PRESENT);
}

static bool look(struct direct *d, uint32_t page, unsigned user, bool large, struct entry *entry)
{
	struct um_map map;
	um_gva gva = (um_gva)page << UM_PAGE_SHIFT;

	if (um_lookup(d->um, gva, user, &map) != UM_OK &&
	    (!large || um_demand_page(d->um, gva, user, &map) != UM_OK))
		return false;
	return entry_of(d, &map, entry);
}

/* How far [*first, *last] can be widened within `span` pages: not mapped yet, same rights, frames in a row. */
static void widen(struct direct *d, uint32_t page, const struct entry *entry, unsigned user, unsigned span, bool large,
                  uint32_t *first, uint32_t *last)
{
	uint32_t low = page & ~(span - 1), high = page | (span - 1);
	struct entry next;

	for (*last = page; *last < high; ++*last) {
		uint32_t n = *last + 1 - page;
		if (d->world->map[*last + 1].frame || !look(d, *last + 1, user, large, &next) ||
		    next.frame != entry->frame + n || next.writable != entry->writable)
			break;
	}
	for (*first = page; *first > low; --*first) {
		uint32_t n = page - (*first - 1);
		if (d->world->map[*first - 1].frame || !look(d, *first - 1, user, large, &next) ||
		    next.frame + n != entry->frame || next.writable != entry->writable)
			break;
	}
}

/* ---- 3. Filling ----------------------------------------------------------------------------- */

bool fill_page_in(struct direct *d, uint32_t linear, unsigned access)
{
	unsigned user = access & UM_USER;
	uint32_t page = linear >> UM_PAGE_SHIFT, first = page, last = page;
	struct um_map map;
	struct entry entry;

	if (um_lookup(d->um, linear, access, &map) != UM_OK &&
	    um_demand_page(d->um, linear, access, &map) != UM_OK)
		return false;
	/* (The core may have had to build this root anew: then its world is another.) */
	if (d->world->kind != WORLD_GLOBAL && d->world->root != um_current_root(d->um))
		return false;
	if (!entry_of(d, &map, &entry) || (access & UM_WRITE && !entry.writable))
		return false;
	if (d->options & DIRECT_OPT_RUNS && !d->world->map[page].frame) {
		bool large = !user && in_large_page(d, linear);
		widen(d, page, &entry, user, large ? LARGE_PAGES : RUN_PAGES, large, &first, &last);
	}
	/* (Looking around may have cost the page its entry, were the shadow short of tables.) */
	if (first != last && um_lookup(d->um, linear, access, &map) != UM_OK)
		return false;
	d->stats.fills++;
	return world_map(d, d->world, first, entry.frame - (page - first), last - first + 1, entry.writable);
}
