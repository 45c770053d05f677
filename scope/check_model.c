/* SPDX-License-Identifier: MIT */
/*
 * scope/check_model.c - what a processor's translation caches may hold (SDM vol. 3, 4.10).
 *
 *   1. Life
 *   2. Looking and holding
 *   3. Forgetting            by generation, so that a flush is one step
 *
 * A processor may hold any translation that it has used since it last had to forget it, and need not hold one.  The model
 * holds all that it may: a buffer (TLB) without limit, 4 KiB and 4 MiB pages apart, and the directory entries that lead to
 * tables (the paging-structure cache).  What it holds without having used it (speculation) is left out: docs/SCOPE.md.
 */
#include <string.h>
#include <sys/mman.h>

#include "scope/check_internal.h"

/* ---- 1. Life -------------------------------------------------------------------------------- */

/* Generation 0 is none: memory that was never touched holds nothing. */
static void empty(struct model *m)
{
	memset(m->large, 0, sizeof m->large);
	memset(m->upper, 0, sizeof m->upper);
	memset(m->globals, 0, sizeof m->globals);
	m->local = m->global = m->above = 1;
}

bool model_open(struct model *m)
{
	void *page = mmap(NULL, sizeof(struct line) * PAGES, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	m->page = page == MAP_FAILED ? NULL : page;
	empty(m);
	return m->page != NULL;
}

void model_close(struct model *m)
{
	if (m->page)
		munmap(m->page, sizeof(struct line) * PAGES);
	m->page = NULL;
}

/* ---- 2. Looking and holding ----------------------------------------------------------------- */

static uint32_t generation(const struct model *m, uint32_t entry)
{
	return entry & PTE_G ? m->global : m->local;
}

static struct line *live(struct model *m, struct line *line)
{
	return line->generation == generation(m, line->entry) ? line : NULL;
}

struct line *model_page(struct model *m, uint32_t linear)
{
	return live(m, &m->page[linear >> 12]);
}

struct line *model_large(struct model *m, uint32_t linear)
{
	return live(m, &m->large[linear >> 22]);
}

uint32_t model_upper(const struct model *m, uint32_t linear)
{
	return m->upper[linear >> 22].generation == m->above ? m->upper[linear >> 22].entry : 0;
}

static void hold(struct model *m, unsigned slot, struct line *place, const struct line *line)
{
	*place = *line;
	place->generation = generation(m, line->entry);
	if (line->entry & PTE_G)
		m->globals[slot] = m->global;
}

void model_hold_page(struct model *m, uint32_t linear, const struct line *line)
{
	hold(m, linear >> 22, &m->page[linear >> 12], line);
}

void model_hold_large(struct model *m, uint32_t linear, const struct line *line)
{
	hold(m, linear >> 22, &m->large[linear >> 22], line);
}

bool model_has_global(const struct model *m, unsigned slot)
{
	return m->globals[slot] == m->global;
}

void model_hold_upper(struct model *m, uint32_t linear, uint32_t entry)
{
	m->upper[linear >> 22].entry = entry;
	m->upper[linear >> 22].generation = m->above;
}

/* ---- 3. Forgetting -------------------------------------------------------------------------- */

/* The counters come round after 2^32 flushes: what was held in the first round must not come alive again. */
static void next(struct model *m, uint32_t *counter)
{
	if (++*counter)
		return;
	empty(m);
	if (madvise(m->page, sizeof(struct line) * PAGES, MADV_DONTNEED) != 0)
		memset(m->page, 0, sizeof(struct line) * PAGES);
}

/* Both sizes: the translation is forgotten however it is held, global or not (SDM vol. 3, 4.10.2.3, 4.10.4.1). */
static bool forget_both(struct model *m, uint32_t linear)
{
	bool large = model_large(m, linear);
	m->page[linear >> 12].generation = 0;
	m->large[linear >> 22].generation = 0;
	return large;
}

/* INVLPG: all of the paging-structure caches as well, whatever the address (4.10.4.1). */
bool model_forget_page(struct model *m, uint32_t linear)
{
	next(m, &m->above);
	return forget_both(m, linear);
}

/* A page fault: what would be used to translate its address (4.10.4.1). */
bool model_forget_fault(struct model *m, uint32_t linear)
{
	m->upper[linear >> 22].generation = 0;
	return forget_both(m, linear);
}

void model_forget_local(struct model *m)
{
	next(m, &m->local);
	next(m, &m->above);
}

void model_forget_all(struct model *m)
{
	model_forget_local(m);
	next(m, &m->global);
}
