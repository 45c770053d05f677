/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_tables.c - every table that a directory leads to: at most 1,025.
 *
 *   1. Finding     the tables in the order of the slots that lead to them
 *   2. Text
 *   3. JSON
 *   4. pt_tables
 */
#include <stdlib.h>

#include "scope/pt_inside.h"

enum { SLOTS_SHOWN = 3 }; /* of a table that many entries lead to, in the text */

/* ---- 1. Finding ----------------------------------------------------------------------------- */

struct counts {
	unsigned present, tables, large, reserved;
};

static struct counts count_directory(const struct pt *pt)
{
	struct counts c = { 0 };
	for (unsigned slot = 0; slot < PT_ENTRIES; slot++) {
		uint32_t pde = pt->directory[slot];
		if (!(pde & PT_BIT_P))
			continue;
		c.present++;
		if (!pt_is_large(pt, pde))
			c.tables++;
		else if (pde & PT_BIT_RESERVED)
			c.reserved++;
		else
			c.large++;
	}
	return c;
}

/* The frame that slot leads to as a table, 0 and false if it leads to none. */
static bool table_in(const struct pt *pt, unsigned slot, uint32_t *gpa)
{
	uint32_t pde = pt->directory[slot];
	*gpa = pde & PT_BIT_FRAME;
	return pde & PT_BIT_P && !pt_is_large(pt, pde);
}

/* Slots by the table that they lead to, then by number. */
struct ref {
	uint32_t gpa;
	unsigned slot;
};

static int by_table(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;
	if (x->gpa != y->gpa)
		return x->gpa < y->gpa ? -1 : 1;
	return x->slot < y->slot ? -1 : 1;
}

static int by_slot(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;
	return x->slot < y->slot ? -1 : 1;
}

struct tables {
	const struct pt *pt;
	struct ref ref[PT_ENTRIES];   /* by_table */
	unsigned refs;
	struct ref first[PT_ENTRIES]; /* one a table: slot is that of the first entry that leads to it */
	unsigned tables;
};

static void find_tables(struct tables *t)
{
	for (unsigned slot = 0; slot < PT_ENTRIES; slot++) {
		uint32_t gpa;
		if (table_in(t->pt, slot, &gpa))
			t->ref[t->refs++] = (struct ref){ gpa, slot };
	}
	qsort(t->ref, t->refs, sizeof t->ref[0], by_table);
	for (unsigned k = 0; k < t->refs; k++)
		if (!k || t->ref[k].gpa != t->ref[k - 1].gpa)
			t->first[t->tables++] = t->ref[k];
	qsort(t->first, t->tables, sizeof t->first[0], by_slot);
}

/* The references to one table; how many. */
static unsigned refs_of(const struct tables *t, uint32_t gpa, const struct ref **first)
{
	unsigned count = 0;
	*first = NULL;
	for (unsigned low = 0, high = t->refs; low < high && !*first;) {
		unsigned middle = low + (high - low) / 2;
		if (t->ref[middle].gpa < gpa) {
			low = middle + 1;
		} else if (t->ref[middle].gpa > gpa) {
			high = middle;
		} else {
			while (middle > 0 && t->ref[middle - 1].gpa == gpa)
				middle--;
			*first = &t->ref[middle];
		}
	}
	while (*first && *first + count < t->ref + t->refs && (*first)[count].gpa == gpa)
		count++;
	return count;
}

/* Present entries; -1: no memory there. */
static int count_entries(const struct pt *pt, uint32_t gpa)
{
	uint32_t table[PT_ENTRIES];
	int present = 0;
	if (!pt_read_table(pt, gpa, table))
		return -1;
	for (unsigned k = 0; k < PT_ENTRIES; k++)
		present += table[k] & PT_BIT_P ? 1 : 0;
	return present;
}

/* The current root's shadow of what is in a slot, 0: none. */
static uint32_t shadow_in(const struct pt *pt, unsigned slot)
{
	struct um_entry entry;
	return pt->root && um_look_entry(pt->space.um, pt->root, slot, &entry) ? entry.child : 0;
}

static bool is_recursive(const struct pt *pt, unsigned slot, bool *self)
{
	for (unsigned k = 0; k < pt->recursions && k < PT_NAMED_MAX; k++)
		if (pt->recursion[k].slot == slot) {
			*self = pt->recursion[k].self;
			return true;
		}
	return false;
}

/* ---- 2. Text -------------------------------------------------------------------------------- */

static void add_refs(const struct ref *ref, unsigned count, struct text *out)
{
	for (unsigned k = 0; k < count && k < SLOTS_SHOWN; k++)
		text_add(out, "%s%u", k ? "," : "", ref[k].slot);
	if (count > SLOTS_SHOWN)
		text_add(out, " +%u more", count - SLOTS_SHOWN);
}

static void add_table(const struct tables *t, const struct ref *table, struct text *out)
{
	const struct ref *ref;
	unsigned count = refs_of(t, table->gpa, &ref);
	int present = count_entries(t->pt, table->gpa);
	uint32_t shadow = shadow_in(t->pt, table->slot);
	bool self;
	text_add(out, "%08x ", table->gpa);
	if (present < 0)
		text_add(out, "no mem. ");
	else
		text_add(out, "%7d ", present);
	text_add(out, "%08x-%08x ", table->slot << 22, table->slot << 22 | (PT_SPAN - 1));
	if (shadow)
		text_add(out, "%6u ", shadow);
	else if (t->pt->root)
		text_add(out, "     - ");
	add_refs(ref, count, out);
	if (is_recursive(t->pt, table->slot, &self))
		text_add(out, self ? " recursive" : " directory");
	text_add(out, "\n");
}

static void add_text(const struct tables *t, struct text *out)
{
	const struct pt *pt = t->pt;
	struct counts c = count_directory(pt);
	pt_add_head(pt, out);
	if (!pt->paging)
		return;
	text_add(out, "directory %08x: %u entries present: %u to tables, %u of 4 MiB", pt->space.cr3 & PT_BIT_FRAME,
	         c.present, c.tables, c.large);
	if (c.reserved)
		text_add(out, ",\n  %u with reserved bits set", c.reserved);
	text_add(out, "\n");
	if (pt->root)
		text_add(out, "its shadow is table %u\n", pt->root);
	text_add(out, "table    present linear            %sdirectory entries\n", pt->root ? "shadow " : "");
	for (unsigned k = 0; k < t->tables; k++)
		add_table(t, &t->first[k], out);
	text_add(out, "%u tables\n", t->tables);
}

/* ---- 3. JSON -------------------------------------------------------------------------------- */

static void add_table_json(const struct tables *t, const struct ref *table, bool more, struct text *out)
{
	const struct ref *ref;
	unsigned count = refs_of(t, table->gpa, &ref);
	int present = count_entries(t->pt, table->gpa);
	bool self = false, recursive = is_recursive(t->pt, table->slot, &self);
	text_add(out, "%s\n{\"address\":%u,\"memory\":%s,\"present\":%d,\"shadow_table\":%u,", more ? "," : "", table->gpa,
	         pt_bool(present >= 0), present > 0 ? present : 0, shadow_in(t->pt, table->slot));
	text_add(out, "\"recursive\":%s,\"slots\":[", recursive ? self ? "\"self\"" : "\"other\"" : "null");
	for (unsigned k = 0; k < count; k++)
		text_add(out, "%s%u", k ? "," : "", ref[k].slot);
	text_add(out, "]}");
}

static void add_json(const struct tables *t, struct text *out)
{
	struct counts c = count_directory(t->pt);
	pt_add_head_json(t->pt, "tables", out);
	text_add(out, ",\"directory\":{\"address\":%u,\"memory\":%s,\"present\":%u,\"tables\":%u,\"large\":%u,\"reserved\":%u,"
	              "\"shadow_table\":%u},\"tables\":[",
	         t->pt->space.cr3 & PT_BIT_FRAME, pt_bool(t->pt->has_directory), c.present, c.tables, c.large, c.reserved,
	         t->pt->root);
	for (unsigned k = 0; k < t->tables; k++)
		add_table_json(t, &t->first[k], k > 0, out);
	text_add(out, "\n]}\n");
}

/* ---- 4. pt_tables --------------------------------------------------------------------------- */

void pt_tables(struct pt *pt, const struct pt_options *o, struct text *out)
{
	struct tables t = { .pt = pt };
	find_tables(&t);
	if (o->json)
		add_json(&t, out);
	else
		add_text(&t, out);
}
