/* SPDX-License-Identifier: MIT */
/*
 * direct/world.c - worlds: 4 GiB of the host's addresses that are a guest address space.
 *
 *   1. Places      where a world may be
 *   2. Nodes       a frame's mappings
 *   3. Mapping     and what it costs the host: areas
 *   4. Dropping    at once in our records, gathered for the host
 *   5. Finding     by kind and root; the least recently used goes
 *
 * Our records are the truth, never the host's maps (D3): a page that they do not know is not mapped, or its
 * munmap() is in the gathered range, which is settled before the world is entered.
 */
#include "direct/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- 1. Places ------------------------------------------------------------------------------ */

/* Holes, not reservations: mapping into a PROT_NONE area costs twice as much.  The host gives addresses from
 * the top when nobody asks for one, so these stay free; the guard at each world's end says that it is
 * taken. */
#define FIRST_PLACE (UINT64_C(1) << 45)
#define LAST_PLACE (UINT64_C(1) << 46)
#define PLACE_STEP (WORLD_BYTES * 2)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static uint8_t *take_place(uint64_t *from)
{
	for (uint64_t at = *from; at < LAST_PLACE; at += PLACE_STEP) {
		void *want = (void *)(uintptr_t)at;
		void *p = mmap(want, WORLD_BYTES + WORLD_GUARD, PROT_NONE,
		               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
		if (p == MAP_FAILED) {
			if (errno != EEXIST)
				return NULL;
			continue;
		}
		if (p != want) { /* a kernel that takes the address as a hint */
			munmap(p, WORLD_BYTES + WORLD_GUARD);
			continue;
		}
		if (munmap(p, WORLD_BYTES) != 0)
			return NULL;
		*from = at + PLACE_STEP;
		return p;
	}
	return NULL;
}

#define DEFAULT_WORLDS 64u
#define AREAS_RESERVE 4096u /* for everybody else in the process */
#define AREAS_DEFAULT 65530u

static uint32_t areas_allowed(void)
{
	unsigned long allowed = AREAS_DEFAULT;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");

	if (f) {
		if (fscanf(f, "%lu", &allowed) != 1)
			allowed = AREAS_DEFAULT;
		fclose(f);
	}
	if (allowed > 1u << 24)
		allowed = 1u << 24;
	return allowed > 2 * AREAS_RESERVE ? (uint32_t)allowed - AREAS_RESERVE : (uint32_t)allowed / 2;
}

bool worlds_new(struct direct *d, const char **why)
{
	uint64_t place = FIRST_PLACE;

	d->world_count = d->config.worlds ? d->config.worlds : DEFAULT_WORLDS;
	if (d->world_count < 2)
		d->world_count = 2;
	if (d->world_count > WORLDS_MAX)
		d->world_count = WORLDS_MAX;
	d->areas_max = d->config.max_mappings ? d->config.max_mappings : areas_allowed();
	d->worlds = calloc(d->world_count, sizeof(*d->worlds));
	d->frame_nodes = calloc(d->config.ram_bytes / UM_PAGE_SIZE, sizeof(*d->frame_nodes));
	*why = "no memory for the direct engine";
	if (!d->worlds || !d->frame_nodes)
		return false;
	for (uint32_t n = 0; n < d->world_count; n++) {
		struct world *w = &d->worlds[n];
		w->id = n;
		w->map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE,
		              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (w->map == MAP_FAILED) {
			w->map = NULL;
			return false;
		}
		w->table_pages = (uint8_t *)(w->map + WORLD_PAGES);
		w->dir = (uint16_t *)(void *)(w->table_pages + WORLD_PAGES / 8);
		w->base = take_place(&place);
		if (!w->base) {
			*why = "the direct engine finds no address space for its worlds";
			return false;
		}
	}
	return true;
}

void worlds_free(struct direct *d)
{
	for (uint32_t n = 0; d->worlds && n < d->world_count; n++) {
		struct world *w = &d->worlds[n];
		if (w->map)
			munmap(w->map, MAP_BYTES);
		if (w->base)
			munmap(w->base, WORLD_BYTES + WORLD_GUARD);
		for (unsigned mode = 0; mode < MODES; mode++)
			free(w->tables[mode]);
	}
	free(d->worlds);
	free(d->frame_nodes);
}

/* ---- 2. Nodes ------------------------------------------------------------------------------- */

static uint32_t frame_of(const struct mapping *m) { return (m->frame >> 1) - 1; }
static uint32_t node_of(const struct world *w, uint32_t page) { return (w->id << 20 | page) + 1; }
static struct mapping *mapping_at(const struct direct *d, uint32_t node)
{
	return &d->worlds[(node - 1) >> 20].map[(node - 1) & (WORLD_PAGES - 1)];
}

static void add_node(struct direct *d, struct world *w, uint32_t page, uint32_t frame)
{
	struct mapping *m = &w->map[page];
	uint32_t *head = &d->frame_nodes[frame];

	m->prev = 0;
	m->next = *head;
	if (*head)
		mapping_at(d, *head)->prev = node_of(w, page);
	*head = node_of(w, page);
}

static void remove_node(struct direct *d, struct mapping *m)
{
	if (m->prev)
		mapping_at(d, m->prev)->next = m->next;
	else
		d->frame_nodes[frame_of(m)] = m->next;
	if (m->next)
		mapping_at(d, m->next)->prev = m->prev;
}

/* ---- 3. Mapping ----------------------------------------------------------------------------- */

/* Would the host join them to one area? */
static bool joined(const struct world *w, uint32_t page)
{
	uint32_t a, b;

	if (page == 0 || page >= WORLD_PAGES)
		return false;
	a = w->map[page - 1].frame;
	b = w->map[page].frame;
	return a && b && b - a == 2;
}

/* Areas that page's own borders make: counted before and after each change. */
static int borders(const struct world *w, uint32_t first, uint32_t last)
{
	int count = 0;

	for (uint32_t page = first; page <= last + 1 && page < WORLD_PAGES; page++)
		count += w->map[page].frame && !joined(w, page);
	return count;
}

static void count_areas(struct direct *d, struct world *w, int change)
{
	w->areas = (uint32_t)((int)w->areas + change);
	d->areas = (uint32_t)((int)d->areas + change);
	if (d->areas > d->stats.mappings_peak)
		d->stats.mappings_peak = d->areas;
}

/* Some other world's pages, or else this one's: the shadow brings them back. */
static void make_room(struct direct *d, struct world *keep)
{
	struct world *victim = NULL;

	for (uint32_t n = 0; n < d->world_count; n++) {
		struct world *w = &d->worlds[n];
		if (w != keep && w->areas && (!victim || w->used < victim->used))
			victim = w;
	}
	world_reset(d, victim ? victim : keep);
	world_settle(d, victim ? victim : keep);
	d->stats.worlds_evicted++;
}

#define POPULATE_MAX 16u /* pages that are given their place in the host's tables at once */

static bool map_pages(struct direct *d, struct world *w, uint32_t page, uint32_t frame, uint32_t pages, bool writable)
{
	void *at = w->base + (uint64_t)page * UM_PAGE_SIZE;
	int flags = MAP_SHARED | MAP_FIXED | (pages <= POPULATE_MAX ? MAP_POPULATE : 0);

	return mmap(at, (size_t)pages * UM_PAGE_SIZE, writable ? PROT_READ | PROT_WRITE : PROT_READ, flags,
	            d->config.ram_fd, (off_t)frame * UM_PAGE_SIZE) == at;
}

/* One page that is there already gets other rights. */
static bool change_rights(struct direct *d, struct world *w, uint32_t page, bool writable)
{
	int before = borders(w, page, page);

	if (d->areas + 4 > d->areas_max)
		return false;
	if (mprotect(w->base + (uint64_t)page * UM_PAGE_SIZE, UM_PAGE_SIZE,
	             writable ? PROT_READ | PROT_WRITE : PROT_READ) != 0)
		return false;
	w->map[page].frame = (w->map[page].frame & ~1u) | writable;
	count_areas(d, w, borders(w, page, page) - before);
	return true;
}

bool world_map(struct direct *d, struct world *w, uint32_t page, uint32_t frame, uint32_t pages, bool writable)
{
	uint32_t word = (frame + 1) << 1;
	int before;

	world_settle(d, w);
	if (pages == 1 && (w->map[page].frame & ~1u) == word && change_rights(d, w, page, writable))
		return true;
	if (d->areas + 4 > d->areas_max)
		make_room(d, w);
	if (!map_pages(d, w, page, frame, pages, writable)) {
		make_room(d, w);
		if (!map_pages(d, w, page, frame, pages, writable)) {
			world_drop(d, w, page, page + pages - 1); /* what was there may be gone */
			return false;
		}
	}
	before = borders(w, page, page + pages - 1);
	for (uint32_t n = 0; n < pages; n++) {
		struct mapping *m = &w->map[page + n];
		if (m->frame) {
			remove_node(d, m);
		} else {
			w->mapped++;
			w->dir[(page + n) >> 10]++;
		}
		m->frame = (word + 2 * n) | writable;
		add_node(d, w, page + n, frame + n);
	}
	count_areas(d, w, borders(w, page, page + pages - 1) - before);
	d->stats.filled_pages += pages;
	return true;
}

void protect_frame_everywhere(struct direct *d, uint32_t frame)
{
	for (uint32_t node = d->frame_nodes[frame]; node;) {
		struct mapping *m = mapping_at(d, node);
		struct world *w = &d->worlds[(node - 1) >> 20];
		uint32_t page = (node - 1) & (WORLD_PAGES - 1);

		node = m->next;
		/* Where the host will not split an area any more, that world goes; what is left is looked at again. */
		if (m->frame & 1 && !change_rights(d, w, page, false)) {
			world_reset(d, w);
			world_settle(d, w);
			node = d->frame_nodes[frame];
		}
	}
}

/* ---- 4. Dropping ---------------------------------------------------------------------------- */

/* munmap() of a range in which our records have nothing.  In the middle of an area it may need one more
 * area than the host allows: then everything goes. */
static void unmap(struct direct *d, struct world *w, uint32_t first, uint32_t end)
{
	if (munmap(w->base + (uint64_t)first * UM_PAGE_SIZE, (size_t)(end - first) * UM_PAGE_SIZE) == 0)
		return;
	world_reset(d, w);
	munmap(w->base, WORLD_BYTES);
	w->drop_first = w->drop_end = 0;
}

void world_settle(struct direct *d, struct world *w)
{
	uint32_t first = w->drop_first, end = w->drop_end;

	if (first == end)
		return;
	w->drop_first = w->drop_end = 0;
	unmap(d, w, first, end);
}

static void drop_page(struct direct *d, struct world *w, uint32_t page)
{
	struct mapping *m = &w->map[page];

	if (w->drop_end == page && w->drop_first != page) {
		w->drop_end++;
	} else if (w->drop_first == page + 1 && w->drop_end != w->drop_first) {
		w->drop_first--;
	} else {
		world_settle(d, w);
		if (!m->frame) /* settling had to give up the world */
			return;
		w->drop_first = page;
		w->drop_end = page + 1;
	}
	count_areas(d, w, -borders(w, page, page));
	remove_node(d, m);
	m->frame = 0;
	count_areas(d, w, borders(w, page, page));
	w->mapped--;
	w->dir[page >> 10]--;
	d->stats.drops++;
}

static void forget_line(struct world *w, unsigned line)
{
	if (!(w->lines_used >> line & 1))
		return;
	for (unsigned mode = 0; mode < MODES; mode++)
		for (unsigned n = 0; w->tables[mode] && n < JUMP_LINE; n++)
			w->tables[mode][line * JUMP_LINE + n] = (void *)(uintptr_t)direct_stub_miss;
	w->lines_used &= ~(1u << line);
}

static void forget_jumps_of_page(struct world *w, uint32_t page)
{
	uint8_t *byte = &w->table_pages[page / 8], bit = (uint8_t)(1u << page % 8);

	if (!(*byte & bit))
		return;
	*byte &= (uint8_t)~bit;
	forget_line(w, jump_line(page));
}

/* (That lines are empty now is not noted page by page: it would cost more than an idle look later.) */
void forget_jumps(struct world *w)
{
	for (unsigned line = 0; line < JUMP_LINES; line++)
		forget_line(w, line);
}

void world_drop(struct direct *d, struct world *w, uint32_t first, uint32_t last)
{
	if (last - first >= JUMP_LINES)
		forget_jumps(w);
	else
		for (uint32_t page = first; page <= last; page++)
			forget_jumps_of_page(w, page);
	for (uint32_t page = first; page <= last && w->mapped;) {
		if (!w->dir[page >> 10])
			page = (page | 1023u) + 1;
		else if (w->map[page].frame)
			drop_page(d, w, page++);
		else
			page++;
	}
	/* A hole in an area makes two of it. */
	if (d->areas > d->areas_max)
		world_reset(d, w);
}

/* Everything: one munmap(), whatever lies in between. */
void world_reset(struct direct *d, struct world *w)
{
	uint32_t first = WORLD_PAGES, end = 0;

	forget_jumps(w);
	for (uint32_t slot = 0; slot < 1024 && w->mapped; slot++) {
		for (uint32_t page = slot << 10; w->dir[slot]; page++) {
			struct mapping *m = &w->map[page];
			if (!m->frame)
				continue;
			remove_node(d, m);
			m->frame = 0;
			w->dir[slot]--;
			w->mapped--;
			d->stats.drops++;
			if (first > page)
				first = page;
			end = page + 1;
		}
	}
	count_areas(d, w, -(int)w->areas);
	if (first < end) {
		if (w->drop_first != w->drop_end) {
			first = first < w->drop_first ? first : w->drop_first;
			end = end > w->drop_end ? end : w->drop_end;
		}
		w->drop_first = first;
		w->drop_end = end;
	}
}

/* Of a world that is to be another's: what its records took. */
static void give_back(struct direct *d, struct world *w)
{
	world_settle(d, w);
	for (unsigned mode = 0; mode < MODES; mode++) {
		free(w->tables[mode]);
		w->tables[mode] = NULL;
	}
	w->lines_used = 0;
	madvise(w->map, MAP_BYTES, MADV_DONTNEED);
}

/* ---- 5. Finding ----------------------------------------------------------------------------- */

struct world *find_world(struct direct *d, enum world_kind kind, uint32_t root)
{
	struct world *oldest = NULL;

	if (kind == WORLD_GLOBAL)
		root = 0;
	for (uint32_t n = 0; n < d->world_count; n++) {
		struct world *w = &d->worlds[n];
		if (w->kind == kind && w->root == root) {
			w->used = ++d->clock;
			return w;
		}
		if (!oldest || w->kind == WORLD_FREE ||
		    (oldest->kind != WORLD_FREE && w->used < oldest->used))
			if (!oldest || oldest->kind != WORLD_FREE)
				oldest = w;
	}
	if (oldest->kind != WORLD_FREE)
		d->stats.worlds_evicted++;
	d->stats.worlds_made++;
	world_reset(d, oldest);
	give_back(d, oldest);
	oldest->kind = kind;
	oldest->root = root;
	oldest->used = ++d->clock;
	return oldest;
}
