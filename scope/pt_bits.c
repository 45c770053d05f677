/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_bits.c - the words for bits.
 *
 *   1. The tables    from the lists in pt_inside.h
 *   2. Words
 */
#include <string.h>

#include "scope/pt_inside.h"

enum { COLUMNS = 80 };

/* ---- 1. The tables -------------------------------------------------------------------------- */

#define FIELD(id, first, last, places, name, meaning, section) { first, last, places, name, meaning, section },
const struct pt_field pt_fields[] = { PT_FIELDS(FIELD) };
const unsigned pt_field_count = sizeof pt_fields / sizeof pt_fields[0];

struct control_bit {
	unsigned bit;
	const char *name;
};
#define CONTROL(name, bit) { bit, #name },
static const struct control_bit cr0_bits[] = { PT_CR0_BITS(CONTROL) };
static const struct control_bit cr4_bits[] = { PT_CR4_BITS(CONTROL) };

/* ---- 2. Words ------------------------------------------------------------------------------- */

static void add_control(struct text *out, uint32_t value, const struct control_bit *bit, size_t count)
{
	bool some = false;
	for (size_t k = 0; k < count; k++) {
		if (!(value >> bit[k].bit & 1))
			continue;
		text_add(out, "%s%s", some ? " " : "", bit[k].name);
		some = true;
	}
}

void pt_add_cr0(struct text *out, uint32_t cr0)
{
	add_control(out, cr0, cr0_bits, sizeof cr0_bits / sizeof cr0_bits[0]);
}

void pt_add_cr4(struct text *out, uint32_t cr4)
{
	add_control(out, cr4, cr4_bits, sizeof cr4_bits / sizeof cr4_bits[0]);
}

void pt_add_rights(struct text *out, const struct pt_page *page)
{
	if (!page->present)
		text_add(out, "-----");
	else
		text_add(out, "r%cx%c%c", page->writable ? 'w' : '-', page->user ? 'u' : 's', page->global ? 'g' : '-');
}

void pt_add_size(struct text *out, uint64_t bytes)
{
	if (!(bytes & 0xFFFFF))
		text_add(out, "%7uM", (unsigned)(bytes >> 20));
	else
		text_add(out, "%7uK", (unsigned)(bytes >> 10));
}

void pt_add_wrapped(struct text *out, const char *words)
{
	const char *space = words;
	size_t column = 0;
	for (; *words; words = space) {
		space = words + strspn(words, " ");
		space += strcspn(space, " ");
		if (column && column + (size_t)(space - words) > COLUMNS) {
			text_add(out, "\n     ");
			column = 5;
		}
		text_add_bytes(out, words, (size_t)(space - words));
		column += (size_t)(space - words);
	}
	text_add(out, "\n");
}

const char *pt_bool(bool value)
{
	return value ? "true" : "false";
}

const char *pt_memory_name(enum pt_memory memory)
{
	static const char *const names[] = {
		[PT_RAM] = "ram", [PT_TABLE] = "table", [PT_DEVICE] = "device", [PT_NOWHERE] = "nowhere",
	};
	return names[memory];
}

const char *pt_shadow_name(enum pt_shadow shadow)
{
	static const char *const names[] = {
		[PT_NONE] = "none", [PT_UNFILLED] = "unfilled", [PT_RW] = "rw", [PT_RO] = "ro", [PT_CLEAN] = "clean",
		[PT_TRACKED] = "tracked", [PT_SO_FAR] = "so_far", [PT_NOT_USER] = "not_user", [PT_STALE] = "stale",
		[PT_UNMAPPED] = "unmapped", [PT_WINDOW] = "window",
	};
	return names[shadow];
}
