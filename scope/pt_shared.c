/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_shared.c - who shares which table, of the guest's and of the shadow's; the roots that are cached.
 *
 *   1. Directories    which are compared
 *   2. References     every entry of each of them that leads to a table
 *   3. Groups         tables shared at one place, tables that appear at several
 *   4. Text
 *   5. JSON
 *   6. pt_shared
 *   7. pt_roots
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope/pt_inside.h"

enum {
	REFS_SHOWN = 4,      /* references named of one table */
	RANGES_SHOWN = 8,    /* ... and ranges of directories */
	ROOTS_MAX = 1024,    /* lines of --roots: each costs a look at 1,024 entries */
};

/* ---- 1. Directories ------------------------------------------------------------------------- */

struct shared {
	struct pt *pt;
	const struct pt_options *o;
	struct text *out;
	uint32_t cr3[PT_DIRECTORIES_MAX];
	unsigned directories;
	bool more;           /* there are more than are compared */
	struct ref *ref;     /* of one side at a time */
	size_t refs;
	struct place *place;
	size_t places;
};

static void add_directory(struct shared *s, uint32_t cr3)
{
	cr3 &= PT_BIT_FRAME;
	for (unsigned k = 0; k < s->directories; k++)
		if (s->cr3[k] == cr3)
			return;
	if (s->directories < PT_DIRECTORIES_MAX)
		s->cr3[s->directories++] = cr3;
	else
		s->more = true;
}

/* This one first.  Then those asked for, or those whose shadows are cached, in the mode that this one is in. */
static void find_directories(struct shared *s)
{
	const struct um *um = s->pt->space.um;
	struct um_table t;
	add_directory(s, s->pt->space.cr3);
	for (unsigned k = 0; k < s->o->directories; k++)
		add_directory(s, s->o->directory[k]);
	if (s->o->directories || !um)
		return;
	for (uint32_t id = 0; (id = um_look_root(um, id)) != 0;)
		if (um_look_table(um, id, &t) && !t.direct && t.mode == pt_mode(&s->pt->space))
			add_directory(s, (uint32_t)(t.gfn << 12));
}

/* ---- 2. References -------------------------------------------------------------------------- */

struct ref {
	uint32_t table;      /* the guest's: its address; the shadow's: its id */
	uint16_t slot, directory;
};

static int by_table(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;
	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	return x->directory - y->directory;
}

static void add_guest_refs(struct shared *s, unsigned directory)
{
	uint32_t table[PT_ENTRIES];
	if (!pt_read_table(s->pt, s->cr3[directory], table))
		return;
	for (unsigned slot = s->o->from >> 22; slot <= s->o->to >> 22; slot++)
		if (table[slot] & PT_BIT_P && !pt_is_large(s->pt, table[slot]))
			s->ref[s->refs++] = (struct ref){ table[slot] & PT_BIT_FRAME, (uint16_t)slot, (uint16_t)directory };
}

static void add_shadow_refs(struct shared *s, unsigned directory)
{
	uint32_t root = pt_root_of(s->pt, s->cr3[directory]);
	struct um_entry entry;
	if (!root)
		return;
	for (unsigned slot = s->o->from >> 22; slot <= s->o->to >> 22; slot++)
		if (um_look_entry(s->pt->space.um, root, slot, &entry) && entry.child && !entry.window)
			s->ref[s->refs++] = (struct ref){ entry.child, (uint16_t)slot, (uint16_t)directory };
}

/* ---- 3. Groups ------------------------------------------------------------------------------ */

/* Neighbouring slots in which the same directories lead to common tables; or one table that appears in several. */
struct place {
	unsigned slot, slots;
	uint64_t directories; /* a bit each; 0: several slots */
	size_t ref, refs;     /* ... these */
};

static int by_slot(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	if (!x->directories != !y->directories)
		return x->directories ? -1 : 1;
	if (x->slot != y->slot)
		return x->slot < y->slot ? -1 : 1;
	return x->directories < y->directories ? -1 : x->directories > y->directories;
}

static void merge_places(struct shared *s)
{
	size_t kept = 0;
	for (size_t k = 0; k < s->places; k++) {
		struct place *last = kept ? &s->place[kept - 1] : NULL, *p = &s->place[k];
		if (last && p->directories && last->directories == p->directories && last->slot + last->slots == p->slot)
			last->slots++;
		else
			s->place[kept++] = *p;
	}
	s->places = kept;
}

static void find_places(struct shared *s, void (*add_refs)(struct shared *s, unsigned directory))
{
	s->refs = s->places = 0;
	for (unsigned k = 0; k < s->directories; k++)
		add_refs(s, k);
	qsort(s->ref, s->refs, sizeof s->ref[0], by_table);
	for (size_t k = 0, end; k < s->refs; k = end) {
		struct place p = { .slot = s->ref[k].slot, .slots = 1, .ref = k };
		bool several = false;
		for (end = k; end < s->refs && s->ref[end].table == s->ref[k].table; end++) {
			p.directories |= UINT64_C(1) << s->ref[end].directory;
			several |= s->ref[end].slot != p.slot;
		}
		p.refs = end - k;
		if (several)
			p.directories = 0;
		if (p.refs > 1)
			s->place[s->places++] = p;
	}
	qsort(s->place, s->places, sizeof s->place[0], by_slot);
	merge_places(s);
}

/* ---- 4. Text -------------------------------------------------------------------------------- */

/* "0-4,7" */
static void add_set(const struct shared *s, uint64_t set)
{
	unsigned ranges = 0;
	for (unsigned k = 0; k < s->directories; k++) {
		unsigned first = k;
		if (!(set >> k & 1))
			continue;
		while (k + 1 < s->directories && set >> (k + 1) & 1)
			k++;
		if (ranges++ == RANGES_SHOWN) {
			text_add(s->out, ",...");
			return;
		}
		text_add(s->out, first == k ? "%s%u" : "%s%u-%u", ranges > 1 ? "," : "", first, k);
	}
}

static void add_place(const struct shared *s, const struct place *p, bool shadow)
{
	const struct ref *ref = &s->ref[p->ref];
	if (p->directories) {
		text_add(s->out, "  %08x-%08x %4u table%s  shared by ", p->slot << 22,
		         (p->slot + p->slots) * (uint32_t)PT_SPAN - 1, p->slots, p->slots == 1 ? " " : "s");
		add_set(s, p->directories);
	} else {
		text_add(s->out, shadow ? "  table %u" : "  table %08x", ref->table);
		text_add(s->out, " in several slots:");
		for (size_t k = 0; k < p->refs && k < REFS_SHOWN; k++)
			text_add(s->out, " %u:%u", ref[k].directory, ref[k].slot);
		if (p->refs > REFS_SHOWN)
			text_add(s->out, " and %zu more", p->refs - REFS_SHOWN);
	}
	text_add(s->out, "\n");
}

static void add_places(const struct shared *s, bool shadow)
{
	text_add(s->out, shadow ? "the shadow's tables:\n" : "the guest's tables:\n");
	if (!s->places)
		text_add(s->out, "  none is shared\n");
	for (size_t k = 0; k < s->places && k < PT_RUNS_MAX; k++)
		add_place(s, &s->place[k], shadow);
	if (s->places > PT_RUNS_MAX)
		text_add(s->out, "  ... %zu lines are left out: see them with --from and --to\n", s->places - PT_RUNS_MAX);
}

static void add_directories(const struct shared *s)
{
	text_add(s->out, "directories, by number (NUMBER:SLOT is an entry of one):\n");
	for (unsigned k = 0; k < s->directories; k++) {
		uint32_t root = pt_root_of(s->pt, s->cr3[k]);
		text_add(s->out, "  %2u: %08x", k, s->cr3[k]);
		if (root)
			text_add(s->out, "  its shadow is table %u", root);
		text_add(s->out, k ? "\n" : "  (looked at)\n");
	}
	if (s->more)
		text_add(s->out, "  ... and more: name those that matter behind --shared\n");
}

/* ---- 5. JSON -------------------------------------------------------------------------------- */

static void add_place_json(const struct shared *s, const struct place *p)
{
	const struct ref *ref = &s->ref[p->ref];
	size_t shown = 0;
	if (p->directories) {
		text_add(s->out, "{\"start\":%u,\"end\":%u,\"tables\":%u,\"directories\":[", p->slot << 22,
		         (p->slot + p->slots) * (uint32_t)PT_SPAN - 1, p->slots);
		for (unsigned k = 0; k < s->directories; k++)
			if (p->directories >> k & 1)
				text_add(s->out, "%s%u", shown++ ? "," : "", s->cr3[k]);
		text_add(s->out, "]}");
		return;
	}
	text_add(s->out, "{\"table\":%u,\"references\":%zu,\"slots\":[", ref->table, p->refs);
	for (size_t k = 0; k < p->refs && k < PT_ENTRIES; k++)
		text_add(s->out, "%s{\"directory\":%u,\"slot\":%u}", k ? "," : "", s->cr3[ref[k].directory], ref[k].slot);
	text_add(s->out, "]}");
}

static void add_places_json(const struct shared *s, const char *name)
{
	text_add(s->out, ",\"%s\":[", name);
	for (size_t k = 0; k < s->places && k < PT_RUNS_MAX; k++) {
		text_add(s->out, k ? ",\n" : "\n");
		add_place_json(s, &s->place[k]);
	}
	text_add(s->out, "\n],\"%s_left_out\":%zu", name, s->places > PT_RUNS_MAX ? s->places - PT_RUNS_MAX : 0);
}

/* ---- 6. pt_shared --------------------------------------------------------------------------- */

static void compare(struct shared *s)
{
	bool json = s->o->json;
	find_directories(s);
	if (json) {
		pt_add_head_json(s->pt, "shared", s->out);
		text_add(s->out, ",\"complete\":%s,\"directories\":[", pt_bool(!s->more));
		for (unsigned k = 0; k < s->directories; k++)
			text_add(s->out, "%s{\"cr3\":%u,\"root\":%u}", k ? "," : "", s->cr3[k], pt_root_of(s->pt, s->cr3[k]));
		text_add(s->out, "]");
	} else {
		pt_add_head(s->pt, s->out);
		add_directories(s);
	}
	find_places(s, add_guest_refs);
	if (json)
		add_places_json(s, "guest");
	else
		add_places(s, false);
	if (s->pt->space.um)
		find_places(s, add_shadow_refs);
	else
		s->refs = s->places = 0;
	if (json)
		add_places_json(s, "shadow_tables");
	else if (s->pt->space.um)
		add_places(s, true);
	if (json)
		text_add(s->out, "}\n");
}

bool pt_shared(struct pt *pt, const struct pt_options *o, struct text *out, char *why, size_t bytes)
{
	struct shared s = { .pt = pt, .o = o, .out = out };
	const size_t most = (size_t)PT_DIRECTORIES_MAX * PT_ENTRIES;
	if (!pt->paging) {
		snprintf(why, bytes, "paging is off: there are no tables to share");
		return false;
	}
	s.ref = calloc(most, sizeof *s.ref);
	s.place = calloc(most, sizeof *s.place);
	bool done = s.ref && s.place;
	if (done)
		compare(&s);
	else
		snprintf(why, bytes, "no memory");
	free(s.ref);
	free(s.place);
	return done;
}

/* ---- 7. pt_roots ---------------------------------------------------------------------------- */

struct root {
	uint32_t id;
	struct um_table table;
	unsigned tables, shared, leaves; /* below it: shared ones have several entries that lead to them */
};

static void look_at_root(const struct um *um, struct root *r)
{
	struct um_entry entry;
	struct um_table child;
	r->tables = r->shared = r->leaves = 0;
	um_look_table(um, r->id, &r->table);
	for (unsigned slot = 0; slot < PT_ENTRIES; slot++) {
		if (!um_look_entry(um, r->id, slot, &entry) || entry.window || !um_look_table(um, entry.child, &child))
			continue;
		r->tables++;
		r->shared += child.parents > 1;
		r->leaves += child.present;
	}
}

static void add_root(const struct root *r, bool current, struct text *out)
{
	char mode[32];
	snprintf(mode, sizeof mode, "%s%s%s", r->table.mode & UM_MODE_PAGING ? "PG" : "no paging",
	         r->table.mode & UM_MODE_WP ? " WP" : "", r->table.mode & UM_MODE_PSE ? " PSE" : "");
	text_add(out, "%c %5u  ", current ? '*' : ' ', r->id);
	if (r->table.direct)
		text_add(out, "       -");
	else
		text_add(out, "%08x", (unsigned)(r->table.gfn << 12));
	text_add(out, "  %-9s  %6u  %6u  %7u\n", mode, r->tables, r->shared, r->leaves);
}

static void add_root_json(const struct root *r, bool current, bool more, struct text *out)
{
	text_add(out, "%s\n{\"root\":%u,\"cr3\":", more ? "," : "", r->id);
	if (r->table.direct)
		text_add(out, "null");
	else
		text_add(out, "%u", (unsigned)(r->table.gfn << 12));
	text_add(out, ",\"current\":%s,\"paging\":%s,\"wp\":%s,\"pse\":%s,\"tables\":%u,\"shared\":%u,\"leaves\":%u}",
	         pt_bool(current), pt_bool(r->table.mode & UM_MODE_PAGING), pt_bool(r->table.mode & UM_MODE_WP),
	         pt_bool(r->table.mode & UM_MODE_PSE), r->tables, r->shared, r->leaves);
}

bool pt_roots(struct pt *pt, const struct pt_options *o, struct text *out, char *why, size_t bytes)
{
	const struct um *um = pt->space.um;
	struct root r = { 0 };
	unsigned roots = 0;
	if (!um) {
		snprintf(why, bytes, "no shadow to look at: only a running guest has roots");
		return false;
	}
	if (o->json) {
		pt_add_head_json(pt, "roots", out);
		text_add(out, ",\"roots\":[");
	} else {
		text_add(out, "cached roots, the one that was current last first (*: current)\n"
		              "   root  CR3       mode       tables  shared  entries\n");
	}
	while (roots < ROOTS_MAX && (r.id = um_look_root(um, r.id)) != 0) {
		look_at_root(um, &r);
		if (o->json)
			add_root_json(&r, r.id == um_current_root(um), roots > 0, out);
		else
			add_root(&r, r.id == um_current_root(um), out);
		roots++;
	}
	bool more = r.id && um_look_root(um, r.id);
	if (o->json)
		text_add(out, "\n],\"complete\":%s}\n", pt_bool(!more));
	else
		text_add(out, more ? "... the rest was current longer ago and is left out\n" : "");
	return true;
}
