/* SPDX-License-Identifier: MIT */
/*
 * scope/symbols_internal.h - how names are kept, for those who read them from somewhere: its index.
 *
 *   symbols.c            the store: adding, sorting, looking up
 *   symbols_file.c       ELF images, System.map; writing an ELF file
 *   symbols_kallsyms.c   the table that Linux keeps of its own symbols, in its memory
 */
#ifndef SCOPE_SYMBOLS_INTERNAL_H
#define SCOPE_SYMBOLS_INTERNAL_H

#include "scope/symbols.h"

/* What a file or a guest can make us keep.  (A distribution's kernel has some 100,000, of 20 bytes each.) */
#define SYMBOLS_MAX (1u << 20)
#define SYMBOL_NAMES_MAX (64u << 20)
#define SYMBOL_NAME_MAX 511u

/* Which of several names of one address is meant: the largest. */
enum symbol_rank { SYMBOL_LABEL, SYMBOL_LOCAL, SYMBOL_WEAK, SYMBOL_GLOBAL };

struct symbol {
	uint32_t address, size; /* size 0: not known */
	uint32_t name;          /* in names */
	uint8_t rank;
	bool code;
};

struct symbols {
	struct symbol *symbol;  /* by address, then rank */
	char *names;
	size_t count, room, names_size, names_room;
	void (*want)(void *user); /* NULL: nobody knows any */
	void *user;
};

/* symbols.c: add one; what is added becomes visible by symbols_sort(), and symbols_cut() takes back all from a count on.
 * false: too many, or no memory. */
bool symbols_add(struct symbols *s, const struct symbol *symbol, const char *name, size_t length);
void symbols_sort(struct symbols *s);
void symbols_cut(struct symbols *s, size_t count, size_t names_size);
/* Always false. */
bool symbols_fail(struct symbols_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
