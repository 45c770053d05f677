/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_look.c - one look at an address space: the guest's tables, and beside them the shadow's.
 *
 *   1. Reading        tables, what kind of memory a frame is
 *   2. Recursion      directory entries through which tables appear as pages
 *   3. The shadow     the root, the leaf of a page
 *   4. Pages          pt_page_at: both put together
 *   5. Looking        pt_look, pt_walk, pt_visit
 *   6. Heads          what every view begins with
 *
 * A two-level walk reads at most 1,025 tables whatever is in them: recursive entries make tables appear as
 * pages, and are not followed further than the processor follows them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope/pt_inside.h"

/* ---- 1. Reading ----------------------------------------------------------------------------- */

bool pt_read_table(const struct pt *pt, uint32_t gpa, uint32_t table[PT_ENTRIES])
{
	gpa &= PT_BIT_FRAME;
	return pt->space.read(pt->space.user, gpa, table, PT_PAGE) == PT_PAGE;
}

bool pt_is_large(const struct pt *pt, uint32_t pde)
{
	return pde & PT_BIT_PS && pt->pse;
}

/* An entry that leads to a table. */
static bool leads_on(const struct pt *pt, uint32_t pde)
{
	return pde & PT_BIT_P && !pt_is_large(pt, pde);
}

static bool is_marked(const uint32_t *frames, uint32_t gpa)
{
	return frames[gpa >> 17] >> (gpa >> 12 & 31) & 1;
}

static void mark(uint32_t *frames, uint32_t gpa)
{
	frames[gpa >> 17] |= 1u << (gpa >> 12 & 31);
}

bool pt_is_table(const struct pt *pt, uint32_t gpa)
{
	return is_marked(pt->is_table, gpa);
}

static bool is_ram(const struct pt *pt, uint32_t gpa)
{
	const struct space *s = &pt->space;
	return s->is_ram ? s->is_ram(s->user, gpa) : gpa < s->ram_bytes;
}

enum pt_memory pt_memory_at(const struct pt *pt, uint32_t gpa)
{
	const struct space *s = &pt->space;
	if (is_ram(pt, gpa))
		return pt_is_table(pt, gpa) ? PT_TABLE : PT_RAM;
	return gpa >= s->ram_bytes && gpa - s->ram_bytes < s->device_bytes ? PT_DEVICE : PT_NOWHERE;
}

static void read_directory(struct pt *pt)
{
	if (!pt->paging)
		return;
	pt->has_directory = pt_read_table(pt, pt->space.cr3, pt->directory);
	if (!pt->has_directory) {
		memset(pt->directory, 0, sizeof pt->directory);
		return;
	}
	mark(pt->is_table, pt->space.cr3);
	for (unsigned slot = 0; slot < PT_ENTRIES; slot++)
		if (leads_on(pt, pt->directory[slot]))
			mark(pt->is_table, pt->directory[slot]);
}

/* ---- 2. Recursion --------------------------------------------------------------------------- */

static void add_recursion(struct pt *pt, unsigned slot, uint32_t directory)
{
	if (pt->recursions < PT_NAMED_MAX)
		pt->recursion[pt->recursions] =
			(struct pt_recursion){ slot, directory, directory == (pt->space.cr3 & PT_BIT_FRAME) };
	pt->recursions++;
}

static void mark_roots(struct pt *pt)
{
	struct um_table t;
	if (!pt->space.um)
		return;
	for (uint32_t id = 0; (id = um_look_root(pt->space.um, id)) != 0;)
		if (um_look_table(pt->space.um, id, &t) && !t.direct)
			mark(pt->is_root, (uint32_t)(t.gfn << 12));
}

/* Another space's directory is known by its shadow's root, or because it has itself in the same slot as this one has:
 * that some entry leads to itself says nothing, most kernels' page tables map themselves with the rest of memory. */
static bool is_directory(const struct pt *pt, uint32_t gpa, unsigned own_slot)
{
	uint32_t table[PT_ENTRIES];
	if (is_marked(pt->is_root, gpa))
		return true;
	return own_slot < PT_ENTRIES && pt_read_table(pt, gpa, table) && leads_on(pt, table[own_slot]) &&
	       (table[own_slot] & PT_BIT_FRAME) == gpa;
}

static void find_recursion(struct pt *pt)
{
	uint32_t own = pt->space.cr3 & PT_BIT_FRAME;
	unsigned own_slot = PT_ENTRIES;
	for (unsigned slot = PT_ENTRIES; slot-- > 0;)
		if (leads_on(pt, pt->directory[slot]) && (pt->directory[slot] & PT_BIT_FRAME) == own)
			own_slot = slot;
	for (unsigned slot = 0; slot < PT_ENTRIES; slot++) {
		uint32_t leads = pt->directory[slot] & PT_BIT_FRAME;
		if (leads_on(pt, pt->directory[slot]) && (leads == own || is_directory(pt, leads, own_slot)))
			add_recursion(pt, slot, leads);
	}
}

/* ---- 3. The shadow -------------------------------------------------------------------------- */

uint32_t pt_mode(const struct space *s)
{
	if (!(s->cr0 & PT_CR_PG))
		return 0;
	return UM_MODE_PAGING | (s->cr0 & PT_CR_WP ? UM_MODE_WP : 0u) | (s->cr4 & PT_CR_PSE ? UM_MODE_PSE : 0u);
}

uint32_t pt_root_of(const struct pt *pt, uint32_t cr3)
{
	uint32_t mode = pt_mode(&pt->space);
	struct um_table t;
	if (!pt->space.um)
		return 0;
	for (uint32_t id = 0; (id = um_look_root(pt->space.um, id)) != 0;)
		if (um_look_table(pt->space.um, id, &t) && t.mode == mode && (!mode || t.gfn == cr3 >> 12))
			return id;
	return 0;
}

static size_t first_leaf(const struct space *s, uint32_t linear)
{
	size_t low = 0, high = s->leaves;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->leaf[middle].linear < linear)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool pt_shadow_leaf(struct pt *pt, unsigned index, struct um_entry *leaf)
{
	const struct space *s = &pt->space;
	if (s->um)
		return pt->child && um_look_entry(s->um, pt->child, index, leaf);
	uint32_t linear = pt->slot << 22 | index << 12;
	size_t at = pt->leaf;
	/* Mostly the one that was asked for last, or the next. */
	if (at >= s->leaves || s->leaf[at].linear > linear || (at + 1 < s->leaves && s->leaf[at + 1].linear <= linear))
		at = first_leaf(s, linear);
	if (at >= s->leaves || s->leaf[at].linear != linear)
		return false;
	pt->leaf = at;
	*leaf = (struct um_entry){
		.gfn = s->leaf[at].gfn, .rights = s->leaf[at].rights, .global = s->leaf[at].global,
		.tracked = s->leaf[at].tracked, .prefetched = s->leaf[at].prefetched, .window = s->leaf[at].window,
	};
	return true;
}

/* ---- 4. Pages ------------------------------------------------------------------------------- */

void pt_load_slot(struct pt *pt, unsigned slot)
{
	uint32_t pde = pt->directory[slot];
	struct um_entry upper;
	struct um_table t;
	pt->slot = slot;
	pt->has_table = leads_on(pt, pde) && pt_read_table(pt, pde, pt->table);
	pt->child = 0;
	pt->child_direct = pt->child_window = false;
	if (pt->root && um_look_entry(pt->space.um, pt->root, slot, &upper)) {
		pt->child = upper.child;
		pt->child_window = upper.window;
		pt->child_direct = um_look_table(pt->space.um, upper.child, &t) && t.direct;
	}
	if (pt->space.leaves)
		pt->leaf = first_leaf(&pt->space, slot << 22);
}

static bool slot_is_empty(const struct pt *pt)
{
	const struct space *s = &pt->space;
	if (!pt->paging || pt->directory[pt->slot] & PT_BIT_P || pt->child)
		return false;
	return !s->leaves || pt->leaf >= s->leaves || s->leaf[pt->leaf].linear >> 22 != pt->slot;
}

/* The guest's side; whether it has anything at all there. */
static bool guest_page(const struct pt *pt, unsigned index, struct pt_page *page)
{
	uint32_t pde = pt->directory[pt->slot], entry = pde;
	*page = (struct pt_page){ 0 };
	if (!pt->paging) {
		page->present = page->writable = page->user = page->accessed = page->dirty = true;
		page->frame = pt->slot << 22 | index << 12;
		return true;
	}
	if (!(pde & PT_BIT_P))
		return false;
	page->large = pt_is_large(pt, pde);
	if (page->large) {
		page->reserved = pde & PT_BIT_RESERVED;
		page->frame = (pde & PT_BIT_LARGE_FRAME) | index << 12;
	} else if (!pt->has_table) {
		page->outside = true;
		return true;
	} else {
		entry = pt->table[index];
		if (!(entry & PT_BIT_P))
			return false;
		page->frame = entry & PT_BIT_FRAME;
	}
	page->present = !page->reserved;
	page->writable = pde & entry & PT_BIT_RW;
	page->user = pde & entry & PT_BIT_US;
	page->global = entry & PT_BIT_G && pt->space.cr4 & PT_CR_PGE;
	page->accessed = entry & PT_BIT_A;
	page->dirty = entry & PT_BIT_D;
	return true;
}

/* Does the shadow's leaf say what the guest's tables do not, or no longer, say? */
static bool is_stale(const struct pt *pt, const struct pt_page *page, const struct um_entry *leaf)
{
	bool writes = leaf->rights & UM_WRITE, user = leaf->rights & UM_USER;
	if (!page->present || leaf->gfn != page->frame >> 12 || !page->accessed)
		return true;
	if ((user && !page->user) || (writes && !page->dirty))
		return true;
	/* CR0.WP = 0: read-only for the user, writable for the kernel. */
	return writes && !page->writable && (pt->wp || user);
}

static enum pt_shadow judge(const struct pt *pt, const struct pt_page *page, const struct um_entry *leaf)
{
	if (is_stale(pt, page, leaf))
		return PT_STALE;
	if (leaf->rights & UM_WRITE)
		return page->user && !(leaf->rights & UM_USER) ? PT_NOT_USER : PT_RW;
	if (!page->writable && pt->wp)
		return PT_RO;
	if (leaf->tracked)
		return PT_TRACKED;
	if (!page->dirty)
		return PT_CLEAN;
	return page->writable ? PT_SO_FAR : PT_RO;
}

bool pt_page_at(struct pt *pt, unsigned index, struct pt_page *page)
{
	struct um_entry leaf;
	bool some = guest_page(pt, index, page);
	page->memory = some && !page->outside ? pt_memory_at(pt, page->frame) : PT_NOWHERE;
	if (!pt->has_shadow)
		return some;
	if (pt_shadow_leaf(pt, index, &leaf)) {
		page->shadow = leaf.window ? PT_WINDOW : judge(pt, page, &leaf);
		page->split = page->large && !leaf.window;
		if (!some && !leaf.window)
			page->frame = (uint32_t)leaf.gfn << 12;
		return true;
	}
	if (page->present)
		page->shadow = page->memory >= PT_DEVICE ? PT_UNMAPPED : PT_UNFILLED;
	return some;
}

/* ---- 5. Looking ----------------------------------------------------------------------------- */

static void take_options(struct space *s, const struct pt_options *o)
{
	if (o->has_cr0)
		s->cr0 = o->cr0;
	if (o->has_cr3)
		s->cr3 = o->cr3;
	if (o->has_cr4)
		s->cr4 = o->cr4;
	/* A dump has the shadow of the directory that was current then, in the mode that was. */
	if (o->has_cr3 || pt_mode(s) != s->leaf_mode)
		s->leaves = 0;
}

struct pt *pt_look(const struct space *space, const struct pt_options *o, char *why, size_t bytes)
{
	struct pt *pt = calloc(1, sizeof *pt);
	if (!pt) {
		snprintf(why, bytes, "no memory");
		return NULL;
	}
	pt->space = *space;
	if (o)
		take_options(&pt->space, o);
	if (pt->space.cr0 & PT_CR_PG && pt->space.cr4 & PT_CR_PAE) {
		snprintf(why, bytes, "CR4.PAE is set: tables of 64-bit entries are not looked at");
		free(pt);
		return NULL;
	}
	pt->paging = pt->space.cr0 & PT_CR_PG;
	pt->wp = pt->space.cr0 & PT_CR_WP;
	pt->pse = pt->space.cr4 & PT_CR_PSE;
	pt->has_shadow = pt->space.um || pt->space.leaves;
	pt->root = pt_root_of(pt, pt->space.cr3);
	read_directory(pt);
	mark_roots(pt);
	find_recursion(pt);
	return pt;
}

void pt_free(struct pt *pt)
{
	free(pt);
}

void pt_walk(struct pt *pt, uint32_t from, uint32_t to,
             bool (*visit)(void *user, uint32_t linear, const struct pt_page *page), void *user)
{
	for (unsigned slot = from >> 22; slot <= to >> 22; slot++) {
		unsigned first = slot == from >> 22 ? from >> 12 & 1023 : 0;
		unsigned last = slot == to >> 22 ? to >> 12 & 1023 : PT_ENTRIES - 1;
		pt_load_slot(pt, slot);
		if (slot_is_empty(pt))
			continue;
		for (unsigned index = first; index <= last; index++) {
			struct pt_page page;
			if (pt_page_at(pt, index, &page) && !visit(user, slot << 22 | index << 12, &page))
				return;
		}
	}
}

bool pt_visit(const struct space *space, uint32_t from, uint32_t to,
              bool (*visit)(void *user, uint32_t linear, const struct pt_page *page), void *user)
{
	char why[128];
	struct pt *pt = pt_look(space, NULL, why, sizeof why);
	if (!pt)
		return false;
	pt_walk(pt, from, to, visit, user);
	pt_free(pt);
	return true;
}

/* ---- 6. Heads ------------------------------------------------------------------------------- */

static void add_recursion_text(const struct pt_recursion *r, struct text *out)
{
	uint32_t at = r->slot << 22;
	if (r->self)
		text_add(out, "recursive slot %u: tables appear at 0x%08x, the directory at 0x%08x\n", r->slot, at,
		         at | r->slot << 12);
	else
		text_add(out, "slot %u leads to another directory, %08x: its tables appear at 0x%08x\n", r->slot,
		         r->directory, at);
}

void pt_add_head(const struct pt *pt, struct text *out)
{
	const struct space *s = &pt->space;
	text_add(out, "CR3 %08x   CR0 %08x (", s->cr3, s->cr0);
	pt_add_cr0(out, s->cr0);
	text_add(out, ")   CR4 %08x (", s->cr4);
	pt_add_cr4(out, s->cr4);
	text_add(out, ")\n");
	if (!pt->paging)
		text_add(out, "paging is off: linear addresses are guest-physical ones, with all rights\n");
	else if (!pt->has_directory)
		text_add(out, "there is no memory where CR3 points: nothing is present\n");
	if (s->cr4 & (PT_CR_SMEP | PT_CR_SMAP))
		text_add(out, "CR4.SMEP and CR4.SMAP are not looked at\n");
	for (unsigned k = 0; k < pt->recursions && k < PT_NAMED_MAX; k++)
		add_recursion_text(&pt->recursion[k], out);
	if (pt->recursions > PT_NAMED_MAX)
		text_add(out, "... and %u slots more that lead to directories\n", pt->recursions - PT_NAMED_MAX);
}

void pt_add_head_json(const struct pt *pt, const char *view, struct text *out)
{
	const struct space *s = &pt->space;
	text_add(out, "{\"view\":\"%s\",\"cr0\":%u,\"cr3\":%u,\"cr4\":%u,\"paging\":%s,\"ram_bytes\":%" PRIu64 ",\"shadow\":%s,",
	         view, s->cr0, s->cr3, s->cr4, pt_bool(pt->paging), s->ram_bytes, pt_bool(pt->has_shadow));
	text_add(out, "\"recursive_slots\":%u,\"recursive\":[", pt->recursions);
	for (unsigned k = 0; k < pt->recursions && k < PT_NAMED_MAX; k++)
		text_add(out, "%s{\"slot\":%u,\"directory\":%u,\"self\":%s,\"tables_at\":%u}", k ? "," : "",
		         pt->recursion[k].slot, pt->recursion[k].directory, pt_bool(pt->recursion[k].self),
		         pt->recursion[k].slot << 22);
	text_add(out, "]");
}
