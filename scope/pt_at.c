/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_at.c - one address, level by level: every bit, who may do what there, and where the shadow differs.
 *
 *   1. The levels      what the processor reads on its way down
 *   2. The shadow      the entry beside each of the guest's
 *   3. Text
 *   4. JSON
 *   5. pt_at
 */
#include <inttypes.h>
#include <stdio.h>

#include "scope/pt_at.h"

/* ---- 1. The levels -------------------------------------------------------------------------- */

static void find_levels(struct at *a)
{
	const struct pt *pt = a->pt;
	const struct space_walk *w = &a->walk;
	bool large = pt_is_large(pt, w->pde);
	a->cr3 = (struct level){ .name = "CR3", .value = pt->space.cr3, .there = pt->has_directory, .place = PT_IN_CR3,
		                 .child = pt->root };
	if (!pt->paging)
		return;
	a->level[a->levels++] = (struct level){
		.name = "PDE", .index = a->linear >> 22, .gpa = w->pde_gpa, .value = w->pde, .there = pt->has_directory,
		.place = large ? PT_IN_LARGE : PT_IN_TABLE,
	};
	if (!(w->pde & PT_BIT_P) || large)
		return;
	a->level[a->levels++] = (struct level){
		.name = "PTE", .index = a->linear >> 12 & 1023, .gpa = w->pte_gpa, .value = w->pte, .there = !w->outside,
		.place = PT_IN_PAGE,
	};
}

/* ---- 2. The shadow -------------------------------------------------------------------------- */

static uint32_t leaf_bits(const struct um_entry *leaf)
{
	uint32_t bits = PT_BIT_P | PT_BIT_A;
	bits |= leaf->rights & UM_WRITE ? PT_BIT_RW | PT_BIT_D : 0u;
	bits |= leaf->rights & UM_USER ? PT_BIT_US : 0u;
	return bits | (leaf->global ? PT_BIT_G : 0u);
}

static void find_shadow(struct at *a)
{
	struct pt *pt = a->pt;
	const uint32_t upper = PT_BIT_P | PT_BIT_RW | PT_BIT_US | PT_BIT_A;
	unsigned index = a->linear >> 12 & 1023;
	if (!pt->has_shadow)
		return;
	a->has_leaf = pt_shadow_leaf(pt, index, &a->leaf);
	a->window = pt->child_window || (a->has_leaf && a->leaf.window);
	for (unsigned k = 0; k < a->levels; k++) {
		struct level *l = &a->level[k];
		bool leaf = l->place != PT_IN_TABLE;
		l->beside = (leaf || pt->space.um) && !a->window;
		l->known = leaf ? upper | PT_BIT_D | PT_BIT_G : upper;
		if (leaf)
			l->shadow = a->has_leaf ? leaf_bits(&a->leaf) : 0;
		else
			l->shadow = pt->child ? upper : 0;
		l->table = l->place == PT_IN_PAGE ? pt->child : pt->root;
		l->child = l->place == PT_IN_PAGE ? 0 : pt->child;
	}
}

/* ---- 3. Text -------------------------------------------------------------------------------- */

/* The accesses and rings that were asked for: the visitor gets each. */
static bool is_asked(const struct at *a, enum pt_access access, unsigned ring)
{
	return (!a->o->accesses || a->o->accesses & access) && (a->o->ring < 0 || (unsigned)a->o->ring == ring);
}

static const struct access_name {
	enum pt_access access;
	char letter;
	const char *name;
} access_names[] = { { PT_READ, 'r', "read" }, { PT_WRITE, 'w', "write" }, { PT_EXECUTE, 'x', "execute" } };
enum { ACCESSES = sizeof access_names / sizeof access_names[0] };

static uint32_t field_of(uint32_t value, const struct pt_field *f)
{
	return (value & PT_MASK(f->first, f->last)) >> f->first;
}

static void add_field(const struct at *a, const struct level *l, const struct pt_field *f)
{
	uint32_t mask = PT_MASK(f->first, f->last);
	bool beside = l->beside && l->known & mask && l->shadow & PT_BIT_P;
	char bits[16];
	snprintf(bits, sizeof bits, f->first == f->last ? "%u" : "%u-%u", f->first, f->last);
	text_add(a->out, "  %-6s %-4s %-34s ", bits, f->name, f->meaning);
	if (f->last == 31)
		text_add(a->out, "%08x", l->value & mask);
	else
		text_add(a->out, "%8x", field_of(l->value, f));
	if (beside)
		text_add(a->out, " %7x%s", field_of(l->shadow, f), (l->shadow ^ l->value) & mask ? " *" : "");
	else if (l->beside && l->known & mask)
		text_add(a->out, "       -%s", l->value & PT_BIT_P && f->first == 0 ? " *" : "");
	text_add(a->out, "\n");
}

static void add_level_head(const struct at *a, const struct level *l)
{
	char title[64];
	if (l->place == PT_IN_CR3)
		snprintf(title, sizeof title, "CR3 = %08x", l->value);
	else
		snprintf(title, sizeof title, "%s %u at %08" PRIx64 " = %08x", l->name, l->index, l->gpa, l->value);
	text_add(a->out, "%-47s    guest%s\n", title, l->beside ? "  shadow" : "");
}

static void add_level(const struct at *a, const struct level *l)
{
	text_add(a->out, "\n");
	if (!l->there && l->place != PT_IN_CR3) {
		text_add(a->out, "%s %u at %08" PRIx64 ": there is no memory, which reads as not present\n", l->name, l->index,
		         l->gpa);
		return;
	}
	add_level_head(a, l);
	for (unsigned k = 0; k < pt_field_count; k++)
		if (pt_fields[k].places & l->place)
			add_field(a, l, &pt_fields[k]);
	if (l->value & PT_BIT_PS && l->place == PT_IN_TABLE && l->value & PT_BIT_P)
		text_add(a->out, "  PS is ignored: CR4.PSE = 0\n");
	if (l->child && l->place == PT_IN_CR3)
		text_add(a->out, "  shadow: table %u\n", l->child);
	else if (l->child)
		text_add(a->out, "  shadow: entry %u of table %u leads to table %u%s\n", l->index, l->table, l->child,
		         a->pt->child_direct ? ", which breaks the page up" : "");
	const struct pt_field *field;
	const char *why;
	for (unsigned from = 0; pt_next_difference(a, l, &from, &field, &why);) {
		char line[NOTE_BYTES];
		snprintf(line, sizeof line, "  * %s: %s", field->name, why);
		pt_add_wrapped(a->out, line);
	}
}

static void add_where(const struct at *a)
{
	static const char *const what[] = {
		[PT_RAM] = "RAM", [PT_TABLE] = "RAM: one of this directory's tables", [PT_DEVICE] = "a device's",
		[PT_NOWHERE] = "beyond memory",
	};
	if (!a->walk.present)
		text_add(a->out, "\nphysical address: none\n");
	else
		text_add(a->out, "\nphysical address %08" PRIx64 " (%s)\n", a->walk.gpa, what[a->page.memory]);
	if (a->page.shadow != PT_NONE)
		text_add(a->out, "shadow: %s", pt_shadow_name(a->page.shadow));
	if (a->has_leaf && !a->window)
		text_add(a->out, ", frame %08" PRIx64 " of the guest%s", a->leaf.gfn << 12,
		         a->leaf.prefetched ? ", built ahead" : "");
	if (a->page.shadow != PT_NONE)
		text_add(a->out, "\n");
}

static void add_verdict(const struct at *a, const char *rings, const char *name, const struct verdict *v)
{
	char result[24];
	if (v->ok)
		snprintf(result, sizeof result, "ok");
	else
		snprintf(result, sizeof result, "#PF(%u%s%s%s%s)", v->error, v->error & UM_PRESENT ? " P" : "",
		         v->error & UM_WRITE ? " W" : "", v->error & UM_USER ? " U" : "",
		         v->error & UM_RSVD ? " RSVD" : "");
	if (v->shadow)
		text_add(a->out, "  %-8s %-7s %-15s %s\n", rings, name, result, v->shadow);
	else
		text_add(a->out, "  %-8s %-7s %s\n", rings, name, result);
	text_add(a->out, "           %s\n", v->why);
}

/* Rings 0 to 2 are one to paging: the supervisor. */
static void add_accesses(const struct at *a)
{
	text_add(a->out, "\n  ring     access  guest%s\n", a->pt->has_shadow ? "           shadow" : "");
	for (unsigned ring = 0; ring < 4; ring++) {
		if (a->o->ring < 0 && (ring == 1 || ring == 2))
			continue;
		for (unsigned k = 0; k < ACCESSES; k++) {
			struct verdict v;
			char rings[8];
			if (!is_asked(a, access_names[k].access, ring))
				continue;
			pt_judge(a, access_names[k].access, ring, &v);
			snprintf(rings, sizeof rings, ring == 0 && a->o->ring < 0 ? "0-2" : "%u", ring);
			add_verdict(a, rings, access_names[k].name, &v);
		}
	}
}

static void add_text(const struct at *a)
{
	const struct pt *pt = a->pt;
	char name[128] = "";
	text_add(a->out, "%08x: directory entry %u, table entry %u, offset 0x%03x\n", a->linear, a->linear >> 22,
	         a->linear >> 12 & 1023, a->linear & 4095);
	if (pt->space.symbols && symbols_name(pt->space.symbols, a->linear, name, sizeof name)[0])
		text_add(a->out, "%.79s\n", name);
	pt_add_head(pt, a->out);
	for (unsigned k = 0; k < pt->recursions && k < PT_NAMED_MAX; k++)
		if (pt->recursion[k].slot == a->linear >> 22)
			text_add(a->out, "this address is in slot %u: what is there is a table\n", pt->recursion[k].slot);
	if (a->window)
		text_add(a->out, "the host has these addresses: nothing of the guest's is mapped there\n");
	if (pt->paging)
		add_level(a, &a->cr3);
	for (unsigned k = 0; k < a->levels; k++)
		add_level(a, &a->level[k]);
	add_where(a);
	add_accesses(a);
}

/* ---- 4. JSON -------------------------------------------------------------------------------- */

static void add_fields_json(const struct at *a, const struct level *l)
{
	bool some = false;
	for (unsigned k = 0; k < pt_field_count; k++) {
		const struct pt_field *f = &pt_fields[k];
		uint32_t mask = PT_MASK(f->first, f->last);
		if (!(f->places & l->place))
			continue;
		text_add(a->out, "%s{\"first\":%u,\"last\":%u,\"name\":\"%s\",\"meaning\":\"%s\",\"section\":\"%s\","
		                 "\"guest\":%u,\"shadow\":",
		         some ? ",\n   " : "", f->first, f->last, f->name, f->meaning, f->section, field_of(l->value, f));
		if (l->beside && l->known & mask && l->shadow & PT_BIT_P)
			text_add(a->out, "%u}", field_of(l->shadow, f));
		else
			text_add(a->out, "null}");
		some = true;
	}
}

static void add_level_json(const struct at *a, const struct level *l, bool more)
{
	const struct pt_field *field;
	const char *why;
	bool some = false;
	text_add(a->out, "%s\n {\"name\":\"%s\",\"index\":%u,\"address\":%" PRIu64 ",\"memory\":%s,\"value\":%u,",
	         more ? "," : "", l->name, l->index, l->gpa, pt_bool(l->there), l->value);
	text_add(a->out, "\"shadow_table\":%u,\"shadow_child\":%u,\"shadow_present\":%s,\n  \"fields\":[", l->table, l->child,
	         pt_bool(l->shadow & PT_BIT_P));
	add_fields_json(a, l);
	text_add(a->out, "],\n  \"differences\":[");
	for (unsigned from = 0; pt_next_difference(a, l, &from, &field, &why); some = true) {
		text_add(a->out, "%s{\"name\":\"%s\",\"why\":", some ? "," : "", field->name);
		text_add_json(a->out, why);
		text_add(a->out, "}");
	}
	text_add(a->out, "]}");
}

static void add_accesses_json(const struct at *a)
{
	bool some = false;
	for (unsigned ring = 0; ring < 4; ring++) {
		for (unsigned k = 0; k < ACCESSES; k++) {
			struct verdict v;
			if (!is_asked(a, access_names[k].access, ring))
				continue;
			pt_judge(a, access_names[k].access, ring, &v);
			text_add(a->out, "%s\n {\"ring\":%u,\"access\":\"%c\",\"ok\":%s,\"error\":", some ? "," : "", ring,
			         access_names[k].letter, pt_bool(v.ok));
			text_add(a->out, v.ok ? "null,\"why\":" : "%u,\"why\":", v.error);
			text_add_json(a->out, v.why);
			text_add(a->out, ",\"shadow\":");
			if (v.shadow)
				text_add_json(a->out, v.shadow);
			else
				text_add(a->out, "null");
			text_add(a->out, "}");
			some = true;
		}
	}
}

static void add_json(const struct at *a)
{
	char name[128] = "";
	pt_add_head_json(a->pt, "at", a->out);
	text_add(a->out, ",\"linear\":%u,\"symbol\":", a->linear);
	if (a->pt->space.symbols)
		symbols_name(a->pt->space.symbols, a->linear, name, sizeof name);
	text_add_json(a->out, name);
	text_add(a->out, ",\"present\":%s,\"physical\":", pt_bool(a->walk.present));
	text_add(a->out, a->walk.present ? "%" PRIu64 ",\"memory\":\"%s\"," : "null,\"memory\":null,", a->walk.gpa,
	         pt_memory_name(a->page.memory));
	text_add(a->out, "\"shadow_state\":\"%s\",\"root\":%u,\"levels\":[", pt_shadow_name(a->page.shadow), a->pt->root);
	if (a->pt->paging)
		add_level_json(a, &a->cr3, false);
	for (unsigned k = 0; k < a->levels; k++)
		add_level_json(a, &a->level[k], true);
	text_add(a->out, "],\"accesses\":[");
	add_accesses_json(a);
	text_add(a->out, "]}\n");
}

/* ---- 5. pt_at ------------------------------------------------------------------------------- */

void pt_at(struct pt *pt, const struct pt_options *o, struct text *out)
{
	struct at a = { .pt = pt, .o = o, .out = out, .linear = o->at };
	space_walk(&pt->space, a.linear, &a.walk);
	pt_load_slot(pt, a.linear >> 22);
	pt_page_at(pt, a.linear >> 12 & 1023, &a.page);
	find_levels(&a);
	find_shadow(&a);
	if (o->json)
		add_json(&a);
	else
		add_text(&a);
}
