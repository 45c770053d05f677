/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_tables.c - the monitor's looks at the guest's own page tables: info mem, info tlb, gva2gpa.
 *
 *   1. Walking     each mapping once, in order of address, a table's page at a time
 *   2. info mem    ranges of equal rights
 *   3. info tlb    page by page
 *   4. gva2gpa     one address
 *
 * A guest may map all 1,048,576 pages, each one unlike its neighbours: answers end after so many lines, and say where to
 * go on.
 */
#include <inttypes.h>

#include "scope/commands.h"

#define LINES_MAX 16384u

enum { P = 1u << 0, RW = 1u << 1, US = 1u << 2, PWT = 1u << 3, PCD = 1u << 4, A = 1u << 5, D = 1u << 6, PS = 1u << 7,
       G = 1u << 8 };
#define LARGE (4u << 20)

/* ---- 1. Walking ----------------------------------------------------------------------------- */

struct mapping {
	uint32_t start;
	uint64_t size;      /* 4 KiB or 4 MiB */
	uint64_t gpa;
	uint32_t entry;     /* the leaf's */
	bool user, write;   /* of all levels */
};

/* visit() returns whether to go on.  false: it did not. */
static bool walk(const struct space *space, uint32_t from, uint32_t to, bool (*visit)(void *user, const struct mapping *m),
                 void *user)
{
	uint32_t directory[1024], table[1024];
	size_t pdes = space->read(space->user, space->cr3 & ~0xFFFu, directory, sizeof directory) / 4;
	for (uint32_t d = from >> 22; d <= to >> 22 && d < pdes; d++) {
		uint32_t pde = directory[d];
		if (!(pde & P))
			continue;
		struct mapping m = { .start = d << 22, .size = LARGE, .gpa = pde & 0xFFC00000u, .entry = pde,
			             .user = pde & US, .write = pde & RW };
		if (pde & PS && space->cr4 & PS >> 3) { /* CR4.PSE */
			if (!(pde & um_format_i386.level[1].reserved_ps) && !visit(user, &m))
				return false;
			continue;
		}
		size_t ptes = space->read(space->user, pde & ~0xFFFu, table, sizeof table) / 4;
		uint32_t first = d == from >> 22 ? from >> 12 & 0x3FF : 0, last = d == to >> 22 ? to >> 12 & 0x3FF : 0x3FF;
		for (uint32_t t = first; t <= last && t < ptes; t++) {
			if (!(table[t] & P))
				continue;
			m = (struct mapping){ .start = d << 22 | t << 12, .size = UM_PAGE_SIZE, .gpa = table[t] & ~0xFFFu,
				              .entry = table[t], .user = pde & table[t] & US,
				              .write = pde & table[t] & RW };
			if (!visit(user, &m))
				return false;
		}
	}
	return true;
}

/* false: there is nothing to walk, and `out` says so. */
static bool open_space(struct scope *scope, struct space *space, struct text *out)
{
	space_of_vm(space, scope->vm, scope->symbols);
	if (space->cr0 & 1u << 31)
		return true;
	monitor_refuse(scope, out, "paging is off");
	return false;
}

/* ---- 2. info mem ---------------------------------------------------------------------------- */

struct ranges {
	struct text *out;
	bool json;
	uint64_t start, end; /* the range so far; equal: none */
	bool user, write;
	unsigned lines;
};

static void add_range(struct ranges *r)
{
	if (r->start == r->end)
		return;
	if (r->json)
		text_add(r->out, "%s{\"start\":%" PRIu64 ",\"end\":%" PRIu64 ",\"user\":%s,\"write\":%s}", r->lines ? "," : "",
		         r->start, r->end, r->user ? "true" : "false", r->write ? "true" : "false");
	else
		text_add(r->out, "%09" PRIx64 "-%09" PRIx64 " %09" PRIx64 " %cr%c\n", r->start, r->end, r->end - r->start,
		         r->user ? 'u' : '-', r->write ? 'w' : '-');
	r->lines++;
}

static bool visit_range(void *user, const struct mapping *m)
{
	struct ranges *r = user;
	if (r->end != m->start || r->user != m->user || r->write != m->write || r->start == r->end) {
		add_range(r);
		r->start = r->end = m->start;
		r->user = m->user;
		r->write = m->write;
	}
	if (r->lines >= LINES_MAX)
		return false;
	r->end += m->size;
	return true;
}

void info_mem(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct ranges r = { .out = out };
	struct space space;
	(void)suffix, (void)rest;
	if (!open_space(scope, &space, out))
		return;
	if (walk(&space, 0, UINT32_MAX, visit_range, &r))
		add_range(&r);
	else
		text_add(out, "(%u ranges; more from %09" PRIx64 " on are left out)\n", r.lines, r.end);
}

void info_mem_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct ranges r = { .out = out, .json = true };
	struct space space;
	(void)suffix, (void)rest;
	if (!open_space(scope, &space, out))
		return;
	text_add(out, "{\"ranges\":[");
	bool all = walk(&space, 0, UINT32_MAX, visit_range, &r);
	if (all)
		add_range(&r);
	text_add(out, "],\"complete\":%s}", all ? "true" : "false");
}

/* ---- 3. info tlb ---------------------------------------------------------------------------- */

struct pages {
	struct text *out;
	bool json;
	unsigned lines;
	uint32_t next;  /* where one was left out */
};

static bool visit_page(void *user, const struct mapping *m)
{
	struct pages *p = user;
	uint32_t e = m->entry;
	if (p->lines == LINES_MAX) {
		p->next = m->start;
		return false;
	}
	if (p->json)
		text_add(p->out, "%s{\"address\":%u,\"physical\":%" PRIu64 ",\"size\":%" PRIu64
		         ",\"entry\":%u,\"user\":%s,\"write\":%s}", p->lines ? "," : "", m->start, m->gpa, m->size, e,
		         m->user ? "true" : "false", m->write ? "true" : "false");
	else
		text_add(p->out, "%08x: %08" PRIx64 " %c%c%c%c%c%c%c%c\n", m->start, m->gpa, e & G ? 'G' : '-',
		         m->size == LARGE ? 'P' : '-', e & D ? 'D' : '-', e & A ? 'A' : '-', e & PCD ? 'C' : '-',
		         e & PWT ? 'T' : '-', m->user ? 'U' : '-', m->write ? 'W' : '-');
	p->lines++;
	return true;
}

static bool parse_range(struct scope *scope, char *rest, uint32_t *from, uint32_t *to, struct text *out)
{
	char *first = monitor_word(&rest), *second = monitor_word(&rest);
	*from = 0;
	*to = UINT32_MAX;
	if (*first && !monitor_value(scope, first, from, out))
		return false;
	if (*second && !monitor_value(scope, second, to, out))
		return false;
	if (!*rest && *from <= *to)
		return true;
	monitor_refuse(scope, out, "info tlb [FROM [TO]]: two addresses, the second not below the first");
	return false;
}

void info_tlb(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct pages p = { .out = out };
	struct space space;
	uint32_t from, to;
	(void)suffix;
	if (parse_range(scope, rest, &from, &to, out) && open_space(scope, &space, out) &&
	    !walk(&space, from, to, visit_page, &p))
		text_add(out, "(%u lines; go on with: info tlb 0x%08x)\n", p.lines, p.next);
}

void info_tlb_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct pages p = { .out = out, .json = true };
	struct space space;
	uint32_t from, to;
	(void)suffix;
	if (!parse_range(scope, rest, &from, &to, out) || !open_space(scope, &space, out))
		return;
	text_add(out, "{\"pages\":[");
	bool all = walk(&space, from, to, visit_page, &p);
	text_add(out, all ? "],\"complete\":true}" : "],\"complete\":false,\"next\":%u}", p.next);
}

/* ---- 4. gva2gpa ----------------------------------------------------------------------------- */

void command_gva2gpa(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct space space;
	struct space_walk w;
	uint32_t address;
	(void)suffix;
	if (!*rest) {
		monitor_refuse(scope, out, "gva2gpa ADDRESS");
		return;
	}
	if (!monitor_value(scope, rest, &address, out))
		return;
	space_of_vm(&space, scope->vm, scope->symbols);
	space_walk(&space, address, &w);
	if (w.present)
		text_add(out, "gpa: 0x%" PRIx64 "\n", w.gpa);
	else
		monitor_refuse(scope, out, "unmapped");
}
