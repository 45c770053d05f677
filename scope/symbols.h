/* SPDX-License-Identifier: MIT */
/*
 * scope/symbols.h - names of addresses in the guest's kernel.
 *
 * From an ELF image with a symbol table, a System.map, or, for a stock kernel that has neither at hand, from the
 * table that Linux keeps of its own symbols in memory (kallsyms).  The guest's memory is not trusted: every size and
 * loop is bounded, and what does not fit together is refused with a line of text.
 */
#ifndef SCOPE_SYMBOLS_H
#define SCOPE_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

struct symbols_error {
	char text[256];
};

struct symbols *symbols_new(void); /* empty; NULL: no memory */
void symbols_free(struct symbols *s);
/* Add those of a file: an ELF32 image or object (.symtab), else a System.map ("c1000000 T _text" lines), told apart by
 * content.  A relocatable or position-independent image is taken as linked.  false: error says why, nothing is added. */
bool symbols_load(struct symbols *s, const char *path, struct symbols_error *error);
/* ... from a running Linux's memory: read() is as cpu_peek(), by linear address.  May take a second. */
bool symbols_find_kallsyms(struct symbols *s, size_t (*read)(void *user, uint32_t linear, void *buf, size_t bytes),
                           void *user, struct symbols_error *error);
/* want() is called, and may add some, when something is looked for while there are none. */
void symbols_on_demand(struct symbols *s, void (*want)(void *user), void *user);
/* Forget all, and take those of `from`, which is freed. */
void symbols_replace(struct symbols *s, struct symbols *from);
size_t symbols_count(const struct symbols *s);
/* The name of the symbol at or before `address` (the function or object that it is in, by size where sizes are known, at
 * most 1 MiB behind it otherwise), *offset bytes after its start.  NULL: none; s may be NULL. */
const char *symbols_at(const struct symbols *s, uint32_t address, uint32_t *offset);
/* The address of a name; false: there is none. */
bool symbols_find(const struct symbols *s, const char *name, uint32_t *address);
/* In order of address. */
void symbols_visit(const struct symbols *s, void (*visit)(void *user, uint32_t address, uint32_t size, const char *name),
                   void *user);
/* An ELF32 file with nothing but these symbols, for a debugger ("symbol-file PATH"). */
bool symbols_write_elf(const struct symbols *s, const char *path, struct symbols_error *error);
/* "do_fork+0x12" in buf, or "" where there is none. */
const char *symbols_name(const struct symbols *s, uint32_t address, char *buf, size_t bytes);

#endif
