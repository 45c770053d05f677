/* SPDX-License-Identifier: MIT */
/*
 * record/codec.c - the format of a recording, as a table (docs/RECORDING.md).
 *
 *   1. The table     every kind of item: its fields, and how each is written
 *   2. Look-ups      by far the most frequent: a call and its result in one item
 *   3. For people
 */
#include <inttypes.h>
#include <string.h>

#include "record/codec.h"

/* ---- 1. The table --------------------------------------------------------------------------- */

static const struct kind_form forms[RECORD_KINDS] = {
	[UM_CALL_SET_MODE] = { "set_mode", "mode cr3", { NUMBER, SORT_ROOT } },
	[UM_CALL_SWITCH_ROOT] = { "switch_root", "cr3", { SORT_ROOT } },
	[UM_CALL_SET_USER_END] = { "set_user_end", "address", { NUMBER } },
	[UM_CALL_SET_LEARN] = { "set_learn", "learn", { NUMBER } },
	[UM_CALL_DEMAND_PAGE] = { "demand_page", "gva access", { SORT_GVA, NUMBER } },
	[UM_CALL_LOOKUP] = { "lookup", "flags page check", { NUMBER, SORT_PAGE, NUMBER } },
	[UM_CALL_PIN_PAGE] = { "pin_page", "gva", { SORT_GVA } },
	[UM_CALL_SET_PTE] = { "set_pte", "root gva gpte", { SORT_ROOT, SORT_GVA, NUMBER } },
	[UM_CALL_SET_PDE] = { "set_pde", "root index", { SORT_ROOT, NUMBER } },
	[UM_CALL_GUEST_WROTE] = { "guest_wrote", "gpa bytes", { SORT_GPA, NUMBER } },
	[UM_CALL_FLUSH_USER] = { "flush_user", "", { NONE } },
	[UM_CALL_FLUSH_ALL] = { "flush_all", "", { NONE } },
	[UM_CALL_FLUSH_PAGE] = { "flush_page", "gva", { SORT_GVA } },
	[UM_CALL_WINDOW_RESERVE] = { "window_reserve", "first bytes", { NUMBER, NUMBER } },
	[UM_CALL_WINDOW_MAP] = { "window_map", "cpu gva hfn rights", { NUMBER, SORT_GVA, SORT_HFN, NUMBER } },
	[UM_CALL_WINDOW_ENTER] = { "window_enter", "cpu", { NUMBER } },
	[UM_CALL_FORGET_FRAME] = { "forget_frame", "gfn", { SORT_GFN } },
	[UM_CALL_SHRINK] = { "shrink", "tables", { NUMBER } },
	[UM_CALL_SET_BUDGET] = { "set_budget", "tables", { NUMBER } },
	[RECORD_RESULT] = { "result", "result told error", { NUMBER, NUMBER, NUMBER } },
	[RECORD_MAP] = { "map", "result told gpa hfn bits", { NUMBER, NUMBER, SORT_GPA, SORT_HFN, NUMBER } },
	[RECORD_READ] = { "read", "gpa value", { SORT_ENTRY, NUMBER } },
	[RECORD_ABSENT] = { "absent", "gpa", { SORT_ENTRY } },
	[RECORD_UPDATE] = { "update", "gpa changed done", { SORT_ENTRY, NUMBER, NUMBER } },
	[RECORD_PAGE] = { "page", "gfn grant hfn", { SORT_GFN, NUMBER, SORT_HFN } },
	[RECORD_TABLE] = { "table", "got", { NUMBER } },
	[RECORD_AUDIT] = { "audit", "", { NONE } },
	[RECORD_END] = { "end", "digest statistics", { NUMBER, NUMBER } },
};

const struct kind_form *record_form(unsigned kind)
{
	return kind < RECORD_KINDS && forms[kind].name ? &forms[kind] : NULL;
}

/* ---- 2. Look-ups ---------------------------------------------------------------------------- */

/* Seven bits: one byte as a number. */
static uint64_t check_of(const struct um_map *map)
{
	uint64_t word = (map->gpa >> UM_PAGE_SHIFT) * 31 + map->hfn;

	word ^= word >> 32;
	word ^= word >> 16;
	return (word ^ word >> 7) & 127;
}

struct record_item record_lookup_item(um_gva gva, unsigned access, enum um_result result,
                                      const struct um_map *map)
{
	struct record_item item = { .kind = UM_CALL_LOOKUP };
	uint64_t flags = 0;

	flags |= access & UM_WRITE ? LOOKUP_WRITE : 0u;
	flags |= access & UM_USER ? LOOKUP_USER : 0u;
	flags |= access & UM_FETCH ? LOOKUP_FETCH : 0u;
	if (result == UM_OK) {
		flags |= map->rights & UM_WRITE ? LOOKUP_MAY_WRITE : 0u;
		flags |= map->rights & UM_USER ? LOOKUP_MAY_USER : 0u;
		flags |= map->global ? LOOKUP_GLOBAL : 0u;
		flags |= map->tracked ? LOOKUP_TRACKED : 0u;
		item.field[2] = check_of(map);
	} else {
		flags |= LOOKUP_EMPTY;
	}
	item.field[0] = flags;
	item.field[1] = gva >> UM_PAGE_SHIFT;
	return item;
}

/* ---- 3. For people -------------------------------------------------------------------------- */

const char *record_kind_name(unsigned kind)
{
	const struct kind_form *form = record_form(kind);

	return form ? form->name : NULL;
}

void record_describe(const struct record_item *item, char *text, size_t bytes)
{
	const struct kind_form *form = record_form(item->kind);
	const char *name = form ? form->fields : "";
	size_t used = 0;
	int more = snprintf(text, bytes, "%s", form ? form->name : "nothing");

	for (unsigned i = 0; form && i < RECORD_FIELDS && form->sort[i] != NONE; i++) {
		size_t length = strcspn(name, " ");

		used += more > 0 ? (size_t)more : 0;
		if (used >= bytes)
			return;
		more = snprintf(text + used, bytes - used, " %.*s=%" PRIx64, (int)length, name,
		                item->field[i]);
		name += length + (name[length] != 0);
	}
}
