/* SPDX-License-Identifier: MIT */
/*
 * scope/html_map.c - an address space as the page's data.
 *
 *   1. Classes   what all pages of a run have in common: what umbra pt says of them
 *   2. Entries   a table's 1,024, as runs or, where that is shorter, as they are
 *   3. Tables    each once, however many directory entries lead to it
 *   4. Shadow
 *   5. All of it
 */
#include "scope/html.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope/pt.h"

#define CR0_PG (1u << 31)
enum { CR4_PSE = 1u << 4, PDE_P = 1u << 0, PDE_PS = 1u << 7 };

#define PAGES (1u << 20)

/* ---- 1. Classes ----------------------------------------------------------------------------- */

/* Bits of a class, as scope/page/model.js has them. */
enum { C_PRESENT = 1, C_WRITABLE = 2, C_USER = 4, C_LARGE = 8, C_GLOBAL = 16, C_ACCESSED = 32, C_DIRTY = 64,
       C_RESERVED = 128, C_OUTSIDE = 256, C_SPLIT = 512 };
enum { C_MEMORY_SHIFT = 10, C_SHADOW_SHIFT = 13 };

struct runs {
	struct text *out;
	uint32_t next;       /* the first page that was not said */
	uint32_t first, count, class;
	bool any;
};

static void add_run(struct runs *r, uint32_t count, uint32_t class)
{
	if (!count)
		return;
	text_add(r->out, "%s%" PRIu32 ",%" PRIu32, r->any ? "," : "", count, class);
	r->any = true;
}

static void end_run(struct runs *r)
{
	if (!r->count)
		return;
	add_run(r, r->first - r->next, 0);
	add_run(r, r->count, r->class);
	r->next = r->first + r->count;
	r->count = 0;
}

static uint32_t class_of(const struct pt_page *p)
{
	return (p->present ? C_PRESENT : 0u) | (p->writable ? C_WRITABLE : 0u) | (p->user ? C_USER : 0u) |
	       (p->large ? C_LARGE : 0u) | (p->global ? C_GLOBAL : 0u) | (p->accessed ? C_ACCESSED : 0u) |
	       (p->dirty ? C_DIRTY : 0u) | (p->reserved ? C_RESERVED : 0u) | (p->outside ? C_OUTSIDE : 0u) |
	       (p->split ? C_SPLIT : 0u) | (uint32_t)p->memory << C_MEMORY_SHIFT | (uint32_t)p->shadow << C_SHADOW_SHIFT;
}

static bool take_page(void *user, uint32_t linear, const struct pt_page *p)
{
	struct runs *r = user;
	uint32_t page = linear >> 12, class = class_of(p);
	if (r->count && (page != r->first + r->count || class != r->class))
		end_run(r);
	if (!r->count) {
		r->first = page;
		r->class = class;
	}
	r->count++;
	return !r->out->cut;
}

static bool add_classes(const struct space *space, struct text *out)
{
	struct runs r = { .out = out };
	text_add(out, ",\"memories\":[");
	for (unsigned k = 0; k <= PT_NOWHERE; k++)
		text_add(out, "%s\"%s\"", k ? "," : "", pt_memory_name((enum pt_memory)k));
	text_add(out, "],\"shadows\":[");
	for (unsigned k = 0; k <= PT_WINDOW; k++)
		text_add(out, "%s\"%s\"", k ? "," : "", pt_shadow_name((enum pt_shadow)k));
	text_add(out, "],\"pages\":[");
	bool done = pt_visit(space, 0, UINT32_MAX, take_page, &r);
	end_run(&r);
	add_run(&r, PAGES - r.next, 0);
	text_add(out, "]");
	return done;
}

/* ---- 2. Entries ----------------------------------------------------------------------------- */

#define ENTRIES 1024u
#define HEX_LENGTH (ENTRIES * 8 + 2)

/* How many follow entry[k] alike, each `step` more than the one before. */
static unsigned run_length(const uint32_t *entry, unsigned k, uint32_t *step)
{
	unsigned n = 1;
	*step = k + 1 < ENTRIES && entry[k] && entry[k + 1] - entry[k] == 4096 ? 4096 : 0;
	while (k + n < ENTRIES && entry[k + n] - entry[k + n - 1] == *step)
		n++;
	return n;
}

/* [count,value,step,...], or a string of 8 digits each. */
static void add_entries(const uint32_t *entry, struct text *out)
{
	struct text runs = { .limit = HEX_LENGTH };
	uint32_t step;
	for (unsigned k = 0, n; k < ENTRIES && !runs.cut; k += n) {
		n = run_length(entry, k, &step);
		text_add(&runs, "%s%u,%" PRIu32 ",%" PRIu32, k ? "," : "", n, entry[k], step);
	}
	if (!runs.cut) {
		text_add(out, "[%s]", text_string(&runs));
	} else {
		char hex[HEX_LENGTH];
		for (unsigned k = 0; k < ENTRIES; k++)
			snprintf(hex + k * 8, 9, "%08" PRIx32, entry[k]);
		text_add(out, "\"%s\"", hex);
	}
	text_free(&runs);
}

/* What is not there reads as 0, and is said to be missing by its class. */
static bool read_table(const struct space *space, uint64_t gpa, uint32_t entry[ENTRIES])
{
	memset(entry, 0, ENTRIES * sizeof *entry);
	return space->read(space->user, gpa, entry, ENTRIES * sizeof *entry) > 0;
}

/* ---- 3. Tables ------------------------------------------------------------------------------ */

static int compare(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
	return a < b ? -1 : a > b;
}

static void add_tables(const struct space *space, struct text *out)
{
	uint32_t directory[ENTRIES], frame[ENTRIES], entry[ENTRIES], count = 0;
	bool any = false;
	read_table(space, space->cr3 & ~0xFFFu, directory);
	text_add(out, ",\"directory\":");
	add_entries(directory, out);
	for (unsigned k = 0; k < ENTRIES; k++)
		if (directory[k] & PDE_P && !(directory[k] & PDE_PS && space->cr4 & CR4_PSE))
			frame[count++] = directory[k] & ~0xFFFu;
	qsort(frame, count, sizeof *frame, compare);
	text_add(out, ",\"tables\":{");
	for (unsigned k = 0; k < count; k++) {
		if ((k && frame[k] == frame[k - 1]) || !read_table(space, frame[k], entry))
			continue;
		text_add(out, "%s\"%" PRIu32 "\":", any ? "," : "", frame[k] >> 12);
		add_entries(entry, out);
		any = true;
	}
	text_add(out, "}");
}

/* ---- 4. Shadow ------------------------------------------------------------------------------ */

enum { S_WRITABLE = 2, S_USER = 4, S_TRACKED = 8, S_PREFETCHED = 16 };

struct shadow_runs {
	struct text *out;
	uint64_t page, count, gfn;
	unsigned flags, runs;
	bool cut;
};

static void end_shadow_run(struct shadow_runs *r)
{
	if (r->count)
		text_add(r->out, "%s%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%u", r->runs++ ? "," : "", r->page, r->count, r->gfn, r->flags);
	r->count = 0;
}

static bool add_leaf(struct shadow_runs *r, uint64_t page, uint64_t gfn, unsigned flags)
{
	if (r->count && (page != r->page + r->count || gfn != r->gfn + r->count || flags != r->flags))
		end_shadow_run(r);
	if (r->runs == HTML_SHADOW_RUNS) {
		r->cut = true;
		return false;
	}
	if (!r->count) {
		r->page = page;
		r->gfn = gfn;
		r->flags = flags;
	}
	r->count++;
	return true;
}

static unsigned flags_of(uint8_t rights, bool tracked, bool prefetched)
{
	return (rights & (UM_WRITE | UM_USER)) | (tracked ? S_TRACKED : 0u) | (prefetched ? S_PREFETCHED : 0u);
}

static bool take_leaf(void *user, const struct um_leaf *leaf)
{
	return add_leaf(user, leaf->gva >> UM_PAGE_SHIFT, leaf->gfn, flags_of(leaf->rights, leaf->tracked, leaf->prefetched));
}

/* Live, or as a dump has it. */
static bool has_shadow(const struct space *space)
{
	return space->um || space->leaf;
}

static void add_shadow(const struct space *space, struct text *out)
{
	struct shadow_runs r = { .out = out };
	if (!has_shadow(space))
		return;
	text_add(out, ",\"shadow\":[");
	if (space->um)
		um_visit(space->um, 0, take_leaf, &r);
	for (size_t k = 0; !space->um && k < space->leaves; k++) {
		const struct space_leaf *leaf = &space->leaf[k];
		if (!add_leaf(&r, leaf->linear >> UM_PAGE_SHIFT, leaf->gfn, flags_of(leaf->rights, leaf->tracked, leaf->prefetched)))
			break;
	}
	end_shadow_run(&r);
	text_add(out, "],\"shadowCut\":%s", r.cut ? "true" : "false");
}

/* ---- 5. All of it --------------------------------------------------------------------------- */

bool html_map(const struct space *space, struct text *out, char *why, size_t bytes)
{
	char eip[TRACE_NAME_MAX];
	text_add(out, "{\"cr0\":%" PRIu32 ",\"cr3\":%" PRIu32 ",\"cr4\":%" PRIu32 ",\"eip\":%" PRIu32 ",\"esp\":%" PRIu32
	         ",\"cpl\":%u,\"ram\":%" PRIu64 ",\"live\":%s,\"at\":", space->cr0, space->cr3, space->cr4, space->eip, space->esp,
	         space->cpl, space->ram_bytes, has_shadow(space) ? "true" : "false");
	text_add_json(out, space->symbols ? symbols_name(space->symbols, space->eip, eip, sizeof eip) : "");
	if (!add_classes(space, out)) {
		snprintf(why, bytes, "no memory for the map");
		return false;
	}
	if (space->cr0 & CR0_PG)
		add_tables(space, out);
	add_shadow(space, out);
	text_add(out, "}");
	if (out->cut)
		snprintf(why, bytes, "no memory for the map");
	return !out->cut;
}
