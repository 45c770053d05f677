/* SPDX-License-Identifier: MIT */
/*
 * scope/symbols.c - names of addresses: the store.
 *
 *   1. Life
 *   2. Adding        symbols_add, symbols_sort, symbols_cut
 *   3. Looking up    by address, by name
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope/symbols_internal.h"

#define REACH (1u << 20)  /* how far behind a symbol without a size an address may be */
#define LOOK_BACK 64u     /* symbols: how many may lie inside the one that an address is in */

/* ---- 1. Life -------------------------------------------------------------------------------- */

struct symbols *symbols_new(void)
{
	return calloc(1, sizeof(struct symbols));
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	free(s->symbol);
	free(s->names);
	free(s);
}

void symbols_on_demand(struct symbols *s, void (*want)(void *user), void *user)
{
	s->want = want;
	s->user = user;
}

void symbols_replace(struct symbols *s, struct symbols *from)
{
	struct symbols old = *s;
	*s = *from;
	s->want = old.want;
	s->user = old.user;
	*from = old;
	symbols_free(from);
}

size_t symbols_count(const struct symbols *s)
{
	return s ? s->count : 0;
}

bool symbols_fail(struct symbols_error *error, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(error->text, sizeof error->text, format, list);
	va_end(list);
	return false;
}

/* ---- 2. Adding ------------------------------------------------------------------------------ */

/* At least `wanted` items of `size` bytes at *items, doubling. */
static bool grow(void **items, size_t *room, size_t wanted, size_t size, size_t most)
{
	size_t more = *room ? *room : 1024;
	if (wanted <= *room)
		return true;
	if (wanted > most)
		return false;
	while (more < wanted)
		more *= 2;
	void *grown = realloc(*items, more * size);
	if (!grown)
		return false;
	*items = grown;
	*room = more;
	return true;
}

bool symbols_add(struct symbols *s, const struct symbol *symbol, const char *name, size_t length)
{
	void *items = s->symbol, *names = s->names;
	if (length == 0 || length > SYMBOL_NAME_MAX)
		return true; /* a name that nobody could ask for */
	bool fits = grow(&items, &s->room, s->count + 1, sizeof *s->symbol, SYMBOLS_MAX);
	s->symbol = items;
	fits = fits && grow(&names, &s->names_room, s->names_size + length + 1, 1, SYMBOL_NAMES_MAX);
	s->names = names;
	if (!fits)
		return false;
	s->symbol[s->count] = *symbol;
	s->symbol[s->count++].name = (uint32_t)s->names_size;
	/* (A guest's own image names its symbols, and they are shown on a terminal: nothing that one would obey.) */
	for (size_t k = 0; k < length; k++)
		s->names[s->names_size + k] = name[k] > ' ' && name[k] <= '~' ? name[k] : '?';
	s->names[s->names_size + length] = 0;
	s->names_size += length + 1;
	return true;
}

/* The names' order breaks ties, so that the same files always come out the same. */
static int compare_addresses(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;
	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->name > b->name ? -1 : 1;
}

void symbols_sort(struct symbols *s)
{
	if (s->count)
		qsort(s->symbol, s->count, sizeof *s->symbol, compare_addresses);
}

void symbols_cut(struct symbols *s, size_t count, size_t names_size)
{
	s->count = count;
	s->names_size = names_size;
}

/* ---- 3. Looking up -------------------------------------------------------------------------- */

static void look_for_some(const struct symbols *s)
{
	if (s && !s->count && s->want)
		s->want(s->user);
}

static bool is_in(const struct symbol *symbol, uint32_t address)
{
	return address - symbol->address < (symbol->size ? symbol->size : REACH);
}

/* The number of symbols that begin at or before `address`. */
static size_t count_up_to(const struct symbols *s, uint32_t address)
{
	size_t low = 0, high = s->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->symbol[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The nearest one before it that it is in.  One of known size that ends before the address says that labels further back
 * do not reach here; one whose size is larger may. */
static const struct symbol *find_address(const struct symbols *s, uint32_t address)
{
	size_t at = s ? count_up_to(s, address) : 0;
	bool ended = false;
	for (size_t k = at; k > 0 && at - k < LOOK_BACK; k--) {
		const struct symbol *symbol = &s->symbol[k - 1];
		if (is_in(symbol, address) && (symbol->size || !ended))
			return symbol;
		ended = true;
	}
	return NULL;
}

const char *symbols_at(const struct symbols *s, uint32_t address, uint32_t *offset)
{
	look_for_some(s);
	const struct symbol *symbol = find_address(s, address);
	if (!symbol)
		return NULL;
	*offset = address - symbol->address;
	return s->names + symbol->name;
}

/* (No index of names: who asks for one has typed it, and looking at all takes a millisecond, making an index 20.)  Of several
 * the one of highest rank, or else the first that was added. */
bool symbols_find(const struct symbols *s, const char *name, uint32_t *address)
{
	const struct symbol *best = NULL;
	look_for_some(s);
	for (size_t k = 0; k < symbols_count(s); k++) {
		const struct symbol *symbol = &s->symbol[k];
		if (strcmp(s->names + symbol->name, name) != 0)
			continue;
		if (!best || symbol->rank > best->rank || (symbol->rank == best->rank && symbol->name < best->name))
			best = symbol;
	}
	if (best)
		*address = best->address;
	return best;
}

void symbols_visit(const struct symbols *s, void (*visit)(void *user, uint32_t address, uint32_t size, const char *name),
                   void *user)
{
	for (size_t k = 0; k < symbols_count(s); k++)
		visit(user, s->symbol[k].address, s->symbol[k].size, s->names + s->symbol[k].name);
}

const char *symbols_name(const struct symbols *s, uint32_t address, char *buf, size_t bytes)
{
	uint32_t offset = 0;
	const char *name = symbols_at(s, address, &offset);
	if (!name)
		snprintf(buf, bytes, "%s", "");
	else if (offset)
		snprintf(buf, bytes, "%s+0x%x", name, offset);
	else
		snprintf(buf, bytes, "%s", name);
	return buf;
}
