/* SPDX-License-Identifier: MIT */
/*
 * direct/direct.c - making an engine, what the core's callbacks tell it, figures.
 *
 *   1. Life
 *   2. Code      the processor's watch over written code
 *   3. Lines     from um_ops
 *   4. Looking
 */
#include "direct/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "direct/host.h"
#include "direct/translate.h"

/* ---- 1. Life -------------------------------------------------------------------------------- */

const char *direct_probe(void) { return host_lacks(); }

#define RETURN_MISSES 16u

/* Calls grow it downwards into a guard page; what is above the top leads to a look-up. */
static bool make_return_stack(struct direct *d)
{
	size_t bytes = RETURN_STACK_BYTES + 3 * UM_PAGE_SIZE;
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint8_t *miss = direct_stub_return_miss;
	uint8_t *top;

	if (p == MAP_FAILED)
		return false;
	d->return_stack = p;
	top = d->return_stack + UM_PAGE_SIZE + RETURN_STACK_BYTES;
	for (unsigned n = 0; n < RETURN_MISSES; n++)
		memcpy(top + n * sizeof(miss), &miss, sizeof(miss));
	return mprotect(p, UM_PAGE_SIZE, PROT_NONE) == 0;
}

static void make_hot(struct direct *d)
{
	struct hot *h = &d->hot;

	h->cpu = d->cpu;
	h->mask_jump = JUMP_MASK;
	h->mask_bit = 31;
	h->mask_tlb = (TLB_ENTRIES - 1) << UM_PAGE_SHIFT;
	h->mask_no_if = ~(uint32_t)FL_IF;
	h->mask_lahf = 0x010000FD;
	h->mask_status = 0x8FD;
	h->stub_fallback = direct_stub_fallback;
	h->stub_link = direct_stub_link;
	h->stub_miss = direct_stub_miss;
	h->stub_soft = direct_stub_soft;
	h->stub_fpu = direct_stub_fpu;
	h->fpu = d->cpu->fpu;
}

static void code_was_written(void *user, const uint8_t *host, unsigned bytes);
static void code_was_decoded(void *user, const uint8_t *host);

static void join(struct direct *d)
{
	struct cpu *c = d->cpu;

	c->watch.user = d;
	c->watch.pages = d->code_pages;
	c->watch.written = code_was_written;
	c->watch.decoded = code_was_decoded;
	/* Flatness is what translation rests on; warming is for another engine's caches. */
	c->options = (c->options | CPU_OPT_FLAT) & ~(uint32_t)CPU_OPT_WARM;
	mode_changed(c);
}

struct direct *direct_new(const struct direct_config *config, const char **why)
{
	struct direct *d = aligned_alloc(64, (sizeof(*d) + 63) & ~(size_t)63);

	*why = host_lacks();
	if (*why) {
		free(d);
		return NULL;
	}
	*why = "no memory for the direct engine";
	if (!d)
		return NULL;
	memset(d, 0, sizeof(*d));
	d->config = *config;
	d->cpu = config->cpu;
	d->um = config->um;
	d->options = config->options;
	d->wrgsbase = host_has_wrgsbase();
	if (!make_return_stack(d) || !worlds_new(d, why) || !cache_new(d, why) || !signals_new(why)) {
		direct_free(d);
		return NULL;
	}
	make_hot(d);
	invalidate_returns(d);
	join(d);
	return d;
}

void direct_free(struct direct *d)
{
	if (!d)
		return;
	memset(&d->cpu->watch, 0, sizeof(d->cpu->watch));
	cache_free(d);
	worlds_free(d);
	if (d->return_stack)
		munmap(d->return_stack, RETURN_STACK_BYTES + 3 * UM_PAGE_SIZE);
	free(d);
}

/* ---- 2. Code -------------------------------------------------------------------------------- */

static void code_was_written(void *user, const uint8_t *host, unsigned bytes)
{
	struct direct *d = user;
	uint32_t frame = (uint32_t)((size_t)(host - d->config.ram) / UM_PAGE_SIZE);
	uint32_t first = (uint32_t)((uintptr_t)host % UM_PAGE_SIZE), last = first + bytes - 1;

	d->stats.code_writes++;
	forget_written(d, frame, first, last);
	give_up_page(d, frame);
}

/* The portable engine decoded something there: it must hear of writes. */
static void code_was_decoded(void *user, const uint8_t *host)
{
	struct direct *d = user;

	protect_frame_everywhere(d, (uint32_t)((size_t)(host - d->config.ram) / UM_PAGE_SIZE));
}

/* ---- 3. Lines ------------------------------------------------------------------------------- */

static uint32_t page_of(um_gva gva) { return gva > 0xFFFFFFFFu ? WORLD_PAGES - 1 : (uint32_t)(gva >> UM_PAGE_SHIFT); }

/* A link that leads into one of these pages from another is not to be followed any more. */
static void check_links(struct direct *d, uint32_t first, uint32_t last)
{
	for (uint32_t page = first; page <= last; page++) {
		if (page % 8 == 0 && page + 7 <= last && !d->link_pages[page / 8]) {
			page += 7;
			continue;
		}
		if (d->link_pages[page / 8] >> page % 8 & 1) {
			unlink_far(d);
			return;
		}
	}
}

static void drop(struct direct *d, struct world *w, uint32_t first, uint32_t last)
{
	if (first == 0 && last == WORLD_PAGES - 1)
		world_reset(d, w);
	else
		world_drop(d, w, first, last);
	if (w == d->world)
		invalidate_returns(d);
}

/* A root that goes as a whole takes no global translation along: the core tells of those apart. */
void direct_invalidate_root(struct direct *d, uint32_t root, um_gva first, um_gva last)
{
	uint32_t from = page_of(first), to = page_of(last);
	bool globals = !root || from || to != WORLD_PAGES - 1;

	if (first > 0xFFFFFFFFu || first > last)
		return;
	if (globals)
		check_links(d, from, to);
	for (uint32_t n = 0; n < d->world_count; n++) {
		struct world *w = &d->worlds[n];
		if (w->kind == WORLD_GLOBAL ? globals : w->kind != WORLD_FREE && (!root || w->root == root))
			drop(d, w, from, to);
	}
}

/* ---- 4. Looking ----------------------------------------------------------------------------- */

void direct_get_stats(const struct direct *d, struct direct_stats *out)
{
	unsigned n = 0;

	*out = d->stats;
	out->mappings = d->areas;
	for (unsigned cause = 0; cause < CAUSE_COUNT; cause++) {
		if (!d->causes[cause])
			continue;
		out->fallback[n].name = cause_names[cause];
		out->fallback[n++].count = d->causes[cause];
	}
}
