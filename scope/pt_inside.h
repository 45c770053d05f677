/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_inside.h - the inside of the views of page tables: bits, one look at a space, and the index.
 *
 *   1. Bits         each field of each kind of entry, once
 *   2. One look     struct pt
 *   3. The index
 */
#ifndef SCOPE_PT_INSIDE_H
#define SCOPE_PT_INSIDE_H

#include "scope/pt.h"

/* ---- 1. Bits -------------------------------------------------------------------------------- */

/* Where a field stands: CR3, an entry that leads to a table, one of a 4 MiB page, one of a 4 KiB page. */
enum pt_place { PT_IN_CR3 = 1, PT_IN_TABLE = 2, PT_IN_LARGE = 4, PT_IN_PAGE = 8 };
#define PT_IN_LEAF (PT_IN_LARGE | PT_IN_PAGE)
#define PT_IN_ENTRY (PT_IN_TABLE | PT_IN_LEAF)
#define PT_IN_ALL (PT_IN_CR3 | PT_IN_ENTRY)

/* X(id, first bit, last bit, places, name, meaning, section of the SDM, vol. 3) */
#define PT_FIELDS(X)                                                                                            \
	X(P, 0, 0, PT_IN_ENTRY, "P", "present", "4.3")                                                          \
	X(RW, 1, 1, PT_IN_ENTRY, "R/W", "may be written", "4.6.1")                                              \
	X(US, 2, 2, PT_IN_ENTRY, "U/S", "the user's (ring 3) too", "4.6.1")                                     \
	X(CR3_LOW, 0, 2, PT_IN_CR3, "", "ignored", "4.3, table 4-3")                                            \
	X(PWT, 3, 3, PT_IN_ALL, "PWT", "cache writes through", "4.9")                                           \
	X(PCD, 4, 4, PT_IN_ALL, "PCD", "not cached", "4.9")                                                     \
	X(CR3_MIDDLE, 5, 11, PT_IN_CR3, "", "ignored: a directory has 4 KiB", "4.3, table 4-3")                 \
	X(A, 5, 5, PT_IN_ENTRY, "A", "accessed", "4.8")                                                         \
	X(IGNORED_D, 6, 6, PT_IN_TABLE, "", "ignored", "4.3, table 4-5")                                        \
	X(D, 6, 6, PT_IN_LEAF, "D", "dirty: was written", "4.8")                                                \
	X(PS, 7, 7, PT_IN_TABLE | PT_IN_LARGE, "PS", "a 4 MiB page", "4.3, tables 4-4, 4-5")                    \
	X(PAT, 7, 7, PT_IN_PAGE, "PAT", "memory type", "4.9.2")                                                 \
	X(IGNORED_G, 8, 8, PT_IN_TABLE, "", "ignored", "4.3, table 4-5")                                        \
	X(G, 8, 8, PT_IN_LEAF, "G", "global: kept when CR3 is loaded", "4.10.2.4")                              \
	X(AVL, 9, 11, PT_IN_ENTRY, "AVL", "the system's own", "4.3")                                            \
	X(LARGE_PAT, 12, 12, PT_IN_LARGE, "PAT", "memory type", "4.9.2")                                        \
	X(RESERVED, 13, 21, PT_IN_LARGE, "", "must be 0", "4.3, table 4-4")                                     \
	X(LARGE_FRAME, 22, 31, PT_IN_LARGE, "", "frame of 4 MiB", "4.3, table 4-4")                             \
	X(FRAME, 12, 31, PT_IN_CR3 | PT_IN_TABLE | PT_IN_PAGE, "", "frame", "4.3, tables 4-3, 4-5, 4-6")

/* As masks: PT_BIT_P ... */
#define PT_MASK(first, last) ((UINT32_MAX >> (31 - (last))) & (UINT32_MAX << (first)))
#define PT_FIELD_CONST(id, first, last, places, name, meaning, section) \
	static const uint32_t PT_BIT_##id __attribute__((unused)) = PT_MASK(first, last);
PT_FIELDS(PT_FIELD_CONST)

struct pt_field {
	unsigned first, last, places;
	const char *name, *meaning, *section;
};

/* Control bits that views look at. */
#define PT_CR0_BITS(X) X(PE, 0) X(WP, 16) X(PG, 31)
#define PT_CR4_BITS(X) X(PSE, 4) X(PAE, 5) X(PGE, 7) X(SMEP, 20) X(SMAP, 21)
#define PT_CR_CONST(name, bit) static const uint32_t PT_CR_##name __attribute__((unused)) = 1u << (bit);
PT_CR0_BITS(PT_CR_CONST)
PT_CR4_BITS(PT_CR_CONST)

/* ---- 2. One look ---------------------------------------------------------------------------- */

enum {
	PT_ENTRIES = 1024,
	PT_FRAMES = 1 << 20,     /* of 32-bit entries */
	PT_SPAN = 4 << 20,       /* of a directory's entry */
	PT_PAGE = 4096,
	PT_NAMED_MAX = 16,       /* recursive slots named; a directory can be nothing else */
};

/* A directory entry through which tables appear as pages. */
struct pt_recursion {
	unsigned slot;
	uint32_t directory;      /* whose tables they are */
	bool self;               /* this one; else another one's */
};

struct pt {
	struct space space;      /* with what the options say instead */
	bool paging, wp, pse;
	bool has_directory;      /* there is memory where CR3 points */
	uint32_t directory[PT_ENTRIES];
	uint32_t is_table[PT_FRAMES / 32]; /* a bit a frame: this directory's tables, itself among them */
	uint32_t is_root[PT_FRAMES / 32];  /* ... directories whose shadows are cached */
	struct pt_recursion recursion[PT_NAMED_MAX];
	unsigned recursions;     /* may be more than are named */
	bool has_shadow;         /* there is something that the shadow column can be filled from */
	uint32_t root;           /* this directory's shadow, 0: none is cached */
	/* The slot that was looked at last. */
	unsigned slot;
	bool has_table;
	uint32_t table[PT_ENTRIES];
	uint32_t child;          /* the shadow's table there, 0: none */
	bool child_direct, child_window;
	size_t leaf;             /* of a dump: the first one there */
};

/* ---- 3. The index --------------------------------------------------------------------------- */

/* pt_bits.c */
extern const struct pt_field pt_fields[];
extern const unsigned pt_field_count;
/* "PG WP ", as far as they are set. */
void pt_add_cr0(struct text *out, uint32_t cr0);
void pt_add_cr4(struct text *out, uint32_t cr4);
/* 5 characters: rwxug with - for what is not; a page that is not there has no rights. */
void pt_add_rights(struct text *out, const struct pt_page *page);
void pt_add_size(struct text *out, uint64_t bytes); /* 8 characters */
/* A line of words, and a line end; what does not fit goes on, indented, in the next. */
void pt_add_wrapped(struct text *out, const char *words);
const char *pt_bool(bool value); /* JSON */

/* pt_look.c */
/* NULL: `why`. */
struct pt *pt_look(const struct space *space, const struct pt_options *o, char *why, size_t bytes);
void pt_free(struct pt *pt);
bool pt_read_table(const struct pt *pt, uint32_t gpa, uint32_t table[PT_ENTRIES]);
bool pt_is_large(const struct pt *pt, uint32_t pde);
bool pt_is_table(const struct pt *pt, uint32_t gpa);
enum pt_memory pt_memory_at(const struct pt *pt, uint32_t gpa);
uint32_t pt_mode(const struct space *space);     /* enum um_mode, from CR0 and CR4 */
uint32_t pt_root_of(const struct pt *pt, uint32_t cr3); /* its shadow in this mode, 0: none */
void pt_load_slot(struct pt *pt, unsigned slot); /* its table, the guest's and the shadow's */
/* The shadow's leaf for a page of the slot loaded. */
bool pt_shadow_leaf(struct pt *pt, unsigned index, struct um_entry *leaf);
/* false: neither the guest nor the shadow has anything. */
bool pt_page_at(struct pt *pt, unsigned index, struct pt_page *page);
/* The slots [from, to] page by page. */
void pt_walk(struct pt *pt, uint32_t from, uint32_t to,
             bool (*visit)(void *user, uint32_t linear, const struct pt_page *page), void *user);
/* What every view begins with: registers, recursive slots. */
void pt_add_head(const struct pt *pt, struct text *out);
void pt_add_head_json(const struct pt *pt, const char *view, struct text *out); /* an object is left open */

/* pt_map.c, pt_at.c, pt_tables.c, pt_shared.c */
void pt_map(struct pt *pt, const struct pt_options *o, struct text *out);
void pt_at(struct pt *pt, const struct pt_options *o, struct text *out);
void pt_tables(struct pt *pt, const struct pt_options *o, struct text *out);
bool pt_shared(struct pt *pt, const struct pt_options *o, struct text *out, char *why, size_t bytes);
bool pt_roots(struct pt *pt, const struct pt_options *o, struct text *out, char *why, size_t bytes);

#endif
