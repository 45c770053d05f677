/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_map.c - the address space by runs: neighbouring pages that are alike.
 *
 *   1. Runs      what makes two pages alike
 *   2. Text      a line a run, 80 columns
 *   3. JSON
 *   4. pt_map
 */
#include <inttypes.h>
#include <string.h>

#include "scope/pt_inside.h"

struct map {
	struct pt *pt;
	const struct pt_options *o;
	struct text *out;
	struct pt_page page;      /* the run's first */
	uint32_t first, last;     /* its pages */
	bool open;                /* there is one */
	unsigned runs;
	bool cut;                 /* the rest was left out */
	uint32_t next;            /* ... from here on */
	uint64_t pages, in_shadow;
	unsigned recursion;       /* the next one to be named */
};

/* ---- 1. Runs -------------------------------------------------------------------------------- */

static bool same_rights(const struct pt_page *a, const struct pt_page *b)
{
	return a->present == b->present && a->reserved == b->reserved && a->outside == b->outside &&
	       a->writable == b->writable && a->user == b->user && a->global == b->global;
}

static bool continues(const struct map *m, uint32_t linear, const struct pt_page *page)
{
	const struct pt_page *run = &m->page;
	if (!m->open || linear != m->last + PT_PAGE || !same_rights(run, page))
		return false;
	if (m->o->merge)
		return true;
	return run->large == page->large && run->accessed == page->accessed && run->dirty == page->dirty &&
	       run->split == page->split && run->memory == page->memory && run->shadow == page->shadow &&
	       (page->outside || run->frame + (linear - m->first) == page->frame);
}

static uint64_t run_bytes(const struct map *m)
{
	return (uint64_t)(m->last - m->first) + PT_PAGE;
}

/* ---- 2. Text -------------------------------------------------------------------------------- */

static const char *shadow_words(enum pt_shadow shadow)
{
	static const char *const words[] = {
		[PT_NONE] = "", [PT_UNFILLED] = "not filled", [PT_RW] = "rw", [PT_RO] = "ro",
		[PT_CLEAN] = "ro until written", [PT_TRACKED] = "ro: a tracked table", [PT_SO_FAR] = "ro so far",
		[PT_NOT_USER] = "rw, kernel only", [PT_STALE] = "STALE", [PT_UNMAPPED] = "never mapped",
		[PT_WINDOW] = "the host's window",
	};
	return words[shadow];
}

static const char *memory_word(const struct pt_page *page)
{
	if (!page->present)
		return "";
	return page->memory == PT_NOWHERE ? "none" : page->memory == PT_DEVICE ? "dev" : pt_memory_name(page->memory);
}

static void add_run_text(struct map *m)
{
	const struct pt_page *page = &m->page;
	text_add(m->out, "%08x-%08x ", m->first, m->last | (PT_PAGE - 1));
	pt_add_size(m->out, run_bytes(m));
	if (!m->o->merge)
		text_add(m->out, " %s", !page->present && !page->reserved ? "  " : page->large ? "4M" : "4K");
	text_add(m->out, " ");
	pt_add_rights(m->out, page);
	if (page->reserved) {
		text_add(m->out, " a reserved bit is set: every access faults\n");
		return;
	}
	if (page->outside) {
		text_add(m->out, " the table is where there is no memory\n");
		return;
	}
	if (m->o->merge) {
		text_add(m->out, "\n");
		return;
	}
	text_add(m->out, " %-5s ", memory_word(page));
	if (page->present || page->shadow == PT_STALE)
		text_add(m->out, "%08x ", page->frame);
	else
		text_add(m->out, "         ");
	text_add(m->out, "%c%c", page->accessed ? 'A' : '-', page->dirty ? 'D' : '-');
	if (page->shadow != PT_NONE)
		text_add(m->out, " %s%s", shadow_words(page->shadow), page->split ? ", split" : "");
	text_add(m->out, "\n");
}

/* Where a recursive slot begins, say so. */
static void name_recursion(struct map *m)
{
	const struct pt *pt = m->pt;
	for (; m->recursion < pt->recursions && m->recursion < PT_NAMED_MAX; m->recursion++) {
		const struct pt_recursion *r = &pt->recursion[m->recursion];
		if (r->slot > m->first >> 22)
			return;
		if (r->slot == m->first >> 22)
			text_add(m->out, "  (slot %u: %s tables as pages)\n", r->slot,
			         r->self ? "this directory's" : "another directory's");
	}
}

/* ---- 3. JSON -------------------------------------------------------------------------------- */

static void add_run_json(struct map *m)
{
	const struct pt_page *page = &m->page;
	text_add(m->out, "%s\n{\"start\":%u,\"end\":%u,\"pages\":%" PRIu64 ",", m->runs ? "," : "", m->first,
	         m->last | (PT_PAGE - 1), run_bytes(m) / PT_PAGE);
	text_add(m->out, "\"present\":%s,\"reserved\":%s,\"outside\":%s,\"large\":%s,", pt_bool(page->present),
	         pt_bool(page->reserved), pt_bool(page->outside), pt_bool(page->large));
	text_add(m->out, "\"writable\":%s,\"executable\":%s,\"user\":%s,\"global\":%s", pt_bool(page->writable),
	         pt_bool(page->present), pt_bool(page->user), pt_bool(page->global));
	if (!m->o->merge)
		text_add(m->out,
		         ",\"memory\":\"%s\",\"frame\":%u,\"accessed\":%s,\"dirty\":%s,\"shadow\":\"%s\",\"split\":%s",
		         pt_memory_name(page->memory), page->frame, pt_bool(page->accessed), pt_bool(page->dirty),
		         pt_shadow_name(page->shadow), pt_bool(page->split));
	text_add(m->out, "}");
}

/* ---- 4. pt_map ------------------------------------------------------------------------------ */

static void close_run(struct map *m)
{
	if (!m->open)
		return;
	if (m->o->json) {
		add_run_json(m);
	} else {
		name_recursion(m);
		add_run_text(m);
	}
	m->open = false;
	m->runs++;
}

static bool is_wanted(const struct map *m, const struct pt_page *page)
{
	if (m->o->only_user)
		return page->present && page->user;
	if (m->o->only_kernel)
		return page->present && !page->user;
	return !m->o->merge || page->present || page->reserved || page->outside;
}

static bool take_page(void *user, uint32_t linear, const struct pt_page *page)
{
	struct map *m = user;
	if (!is_wanted(m, page))
		return true;
	if (!continues(m, linear, page)) {
		close_run(m);
		if (m->runs == PT_RUNS_MAX || m->out->cut) {
			m->cut = true;
			m->next = linear;
			return false;
		}
		m->open = true;
		m->page = *page;
		m->first = linear;
	}
	m->last = linear;
	m->pages += page->present;
	m->in_shadow += page->shadow != PT_NONE && page->shadow != PT_UNFILLED && page->shadow != PT_UNMAPPED;
	return true;
}

static void add_foot(const struct map *m)
{
	text_add(m->out, "%u runs, %" PRIu64 " pages (%" PRIu64 " KiB)", m->runs, m->pages, m->pages * 4);
	if (m->pt->has_shadow)
		text_add(m->out, ", %" PRIu64 " of them in the shadow", m->in_shadow);
	text_add(m->out, "\n");
	if (m->cut)
		text_add(m->out, "... the rest is left out: see it with --from 0x%08x\n", m->next);
}

void pt_map(struct pt *pt, const struct pt_options *o, struct text *out)
{
	struct map m = { .pt = pt, .o = o, .out = out };
	if (o->json) {
		pt_add_head_json(pt, "map", out);
		text_add(out, ",\"merged\":%s,\"runs\":[", pt_bool(o->merge));
	} else {
		pt_add_head(pt, out);
		text_add(out, "x: always, two-level tables have no bit against it; u: the user too, s: not\n");
		text_add(out, o->merge ? "linear                size right\n"
		                       : "linear                size pg right what  frame    AD%s\n",
		         pt->has_shadow ? " shadow" : "");
	}
	pt_walk(pt, o->from & ~(PT_PAGE - 1u), o->to, take_page, &m);
	close_run(&m);
	if (!o->json) {
		add_foot(&m);
		return;
	}
	text_add(out, "\n],\"pages\":%" PRIu64 ",\"pages_in_shadow\":%" PRIu64 ",\"complete\":%s,\"next\":", m.pages,
	         m.in_shadow, pt_bool(!m.cut));
	text_add(out, m.cut ? "%u}\n" : "null}\n", m.next);
}
