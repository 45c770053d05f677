/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_entries.c - `info pg`: the entries themselves, by index, runs of them with the same flags on one line.
 *
 *   1. Lines       [first-last] flags and frames
 *   2. Tables      the runs of one table
 *   3. pt_entries
 */
#include "scope/pt_inside.h"

struct entries {
	struct pt *pt;
	struct text *out;
	unsigned lines;
};

/* ---- 1. Lines ------------------------------------------------------------------------------- */

/* A letter for each single-bit field that is set. */
static void add_flags(struct text *out, uint32_t entry, enum pt_place place)
{
	const struct {
		uint32_t bit;
		unsigned places;
		char letter;
	} flags[] = {
		{ PT_BIT_G, PT_IN_LEAF, 'G' }, { PT_BIT_PS, PT_IN_LARGE, 'S' }, { PT_BIT_PAT, PT_IN_PAGE, 'T' },
		{ PT_BIT_D, PT_IN_LEAF, 'D' }, { PT_BIT_A, PT_IN_ENTRY, 'A' }, { PT_BIT_PCD, PT_IN_ENTRY, 'C' },
		{ PT_BIT_PWT, PT_IN_ENTRY, 't' }, { PT_BIT_US, PT_IN_ENTRY, 'U' }, { PT_BIT_RW, PT_IN_ENTRY, 'W' },
		{ PT_BIT_P, PT_IN_ENTRY, 'P' },
	};
	for (size_t k = 0; k < sizeof flags / sizeof flags[0]; k++)
		text_add(out, "%c", entry & flags[k].bit && flags[k].places & place ? flags[k].letter : '-');
}

static void add_line(struct entries *e, unsigned slot, enum pt_place place, unsigned first, unsigned last, uint32_t entry,
                     uint32_t step)
{
	uint32_t mask = place == PT_IN_LARGE ? PT_BIT_LARGE_FRAME : PT_BIT_FRAME, frame = (entry & mask) >> 12;
	if (place == PT_IN_PAGE)
		text_add(e->out, " [%05x-%05x]  PTE[%03x-%03x] ", slot << 10 | first, slot << 10 | last, first, last);
	else
		text_add(e->out, "[%05x-%05x]   PDE[%03x-%03x] ", first << 10, last << 10 | 1023, first, last);
	add_flags(e->out, entry, place);
	text_add(e->out, " %05x", frame);
	if (last > first)
		text_add(e->out, "-%05x", frame + (last - first) * step);
	text_add(e->out, "\n");
	e->lines++;
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

/* Entries from `first` on with the same flags and frames that follow each other; the last of them. */
static unsigned last_alike(const uint32_t table[PT_ENTRIES], unsigned first, uint32_t step)
{
	unsigned last = first;
	while (last + 1 < PT_ENTRIES && table[last + 1] == table[last] + (step << 12))
		last++;
	return last;
}

static void add_table(struct entries *e, unsigned slot)
{
	const uint32_t *table = e->pt->table;
	for (unsigned first = 0, last; first < PT_ENTRIES && e->lines < PT_RUNS_MAX; first = last + 1) {
		last = first;
		if (!(table[first] & PT_BIT_P))
			continue;
		last = last_alike(table, first, 1);
		add_line(e, slot, PT_IN_PAGE, first, last, table[first], 1);
	}
}

/* ---- 3. pt_entries -------------------------------------------------------------------------- */

bool pt_entries(const struct space *space, struct text *out, char *why, size_t bytes)
{
	struct pt *pt = pt_look(space, NULL, why, bytes);
	struct entries e = { pt, out, 0 };
	unsigned slot = 0;
	if (!pt)
		return false;
	pt_add_head(pt, out);
	text_add(out, "page numbers     entries      GSDACtUWP frames (S 4 MiB, T PAT, C PCD, t PWT)\n");
	for (unsigned last; slot < PT_ENTRIES && e.lines < PT_RUNS_MAX; slot = last + 1) {
		uint32_t pde = pt->directory[slot];
		last = slot;
		if (!(pde & PT_BIT_P))
			continue;
		if (pt_is_large(pt, pde)) {
			last = last_alike(pt->directory, slot, 1024);
			add_line(&e, slot, PT_IN_LARGE, slot, last, pde, 1024);
			continue;
		}
		add_line(&e, slot, PT_IN_TABLE, slot, slot, pde, 0);
		pt_load_slot(pt, slot);
		if (pt->has_table)
			add_table(&e, slot);
		else
			text_add(out, " (there is no memory)\n");
	}
	if (e.lines >= PT_RUNS_MAX)
		text_add(out, "... the rest, from 0x%08x or before it, is left out: pt --from shows it\n", (slot - 1) << 22);
	pt_free(pt);
	return true;
}
