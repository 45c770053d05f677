/* SPDX-License-Identifier: MIT */
/*
 * scope/pt.h - the page-table microscope: views of one address space, as text and as JSON.
 *
 *   1. Options     pt_parse(): the same words for `umbra pt`, the monitor and gdb's `monitor pt`
 *   2. Views       pt_view(), pt_line(), pt_entries()
 *   3. Pages       pt_visit(): what the map view is made of, for other views
 *
 * A view reads guest memory and the shadow and changes neither.  Whatever the tables hold, it takes bounded time and
 * gives bounded output: where something is left out, the view says so and from which address on.
 * The JSON form is that of docs/pt.schema.json; its numbers are integers.
 */
#ifndef SCOPE_PT_H
#define SCOPE_PT_H

#include "scope/space.h"
#include "scope/text.h"

/* ---- 1. Options ----------------------------------------------------------------------------- */

enum pt_view {
	PT_MAP,     /* runs of pages that are alike */
	PT_AT,      /* one address, level by level */
	PT_TABLES,  /* every table that the directory leads to */
	PT_SHARED,  /* who shares which table */
	PT_ROOTS,   /* the roots whose shadows are cached */
	PT_HELP,    /* no view: the options */
};
enum pt_access { PT_READ = 1, PT_WRITE = 2, PT_EXECUTE = 4 };

/* Runs in one view: a guest with a million pages that are all different would fill the client's memory. */
#define PT_RUNS_MAX 8192u
/* Directories compared by --shared: the comparison sorts 1,024 entries of each. */
#define PT_DIRECTORIES_MAX 64u

struct pt_options {
	enum pt_view view;
	bool json, merge;          /* merge: runs are alike if their rights are */
	bool only_user, only_kernel;
	uint32_t at;               /* PT_AT */
	unsigned accesses;         /* enum pt_access; 0: all */
	int ring;                  /* -1: all */
	uint32_t from, to;         /* PT_MAP: first and last address */
	bool has_cr0, has_cr3, has_cr4;
	uint32_t cr0, cr3, cr4;    /* instead of the processor's */
	uint32_t directory[PT_DIRECTORIES_MAX]; /* PT_SHARED: CR3s beside; none: those of the cached roots */
	unsigned directories;
};

/* Options from words.  Addresses are hexadecimal, with 0x or without, names of `space`'s symbols (+ offset), or eip,
 * esp, cr3 ($ before it or not).  false: `why` says what is wrong, one line. */
bool pt_parse(const struct space *space, unsigned count, const char *const *word, struct pt_options *o, char *why,
              size_t bytes);
/* The options, a line each: what --help prints. */
void pt_help(struct text *out);

/* ---- 2. Views ------------------------------------------------------------------------------- */

/* false: the view cannot be had (PAE tables, no memory, no shadow): `why`, one line; nothing is written. */
bool pt_view(const struct space *space, const struct pt_options *o, struct text *out, char *why, size_t bytes);
/* Both, of a whole line of words, as a monitor's command has them. */
bool pt_line(const struct space *space, const char *line, struct text *out, char *why, size_t bytes);

/* The entries by index, neighbours with the same flags joined: `info pg`. */
bool pt_entries(const struct space *space, struct text *out, char *why, size_t bytes);

/* ---- 3. Pages ------------------------------------------------------------------------------- */

/* What is behind a page's frame. */
enum pt_memory {
	PT_RAM,
	PT_TABLE,   /* RAM, and one of this space's own tables */
	PT_DEVICE,
	PT_NOWHERE, /* beyond memory */
};
/* What the shadow has of a page. */
enum pt_shadow {
	PT_NONE,         /* nothing, nor could it have; or there is no shadow to look at */
	PT_UNFILLED,     /* not yet: the first access builds it */
	PT_RW,
	PT_RO,           /* read-only, as the guest has it */
	PT_CLEAN,        /* read-only until the first write, which sets Dirty */
	PT_TRACKED,      /* read-only because a guest table is in it: each write comes to the core */
	PT_SO_FAR,       /* read-only until the first write, built ahead of it */
	PT_NOT_USER,     /* CR0.WP = 0: the kernel has written a read-only page; the user's next read swaps it back */
	PT_STALE,        /* what the guest's tables no longer say: it has changed them and not flushed */
	PT_UNMAPPED,     /* no memory: each access comes to the device */
	PT_WINDOW,       /* the host's own, not the guest's */
};
const char *pt_memory_name(enum pt_memory memory);
const char *pt_shadow_name(enum pt_shadow shadow);  /* one word, as in the JSON form */

struct pt_page {
	bool present;       /* to the processor */
	bool large;         /* of a 4 MiB page */
	bool reserved;      /* a reserved bit: each access faults */
	bool outside;       /* its table is where there is no memory */
	bool writable, user, global, accessed, dirty;
	bool split;         /* part of a 4 MiB page for which the shadow has 4 KiB entries */
	enum pt_memory memory;
	enum pt_shadow shadow;
	uint32_t frame;     /* its guest-physical address */
};
/* Each page of [from, to] of which the guest's tables or the shadow have something, in order; false from visit() ends.
 * false: no memory. */
bool pt_visit(const struct space *space, uint32_t from, uint32_t to,
              bool (*visit)(void *user, uint32_t linear, const struct pt_page *page), void *user);

#endif
