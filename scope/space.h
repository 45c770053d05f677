/* SPDX-License-Identifier: MIT */
/*
 * scope/space.h - one address space to look at: a guest's tables, live or from a file, and, live, the shadow's.
 *
 * A view (pt_*.c) sees nothing else, so that what it shows of a running guest it shows of a dump as well.
 */
#ifndef SCOPE_SPACE_H
#define SCOPE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbra/shadow.h>

#include "scope/symbols.h"

/* An entry of a shadow that is no more. */
struct space_leaf {
	uint32_t linear, gfn;
	uint8_t rights;                 /* UM_WRITE, UM_USER */
	bool tracked, global, prefetched, window;
};

struct space {
	void *user;
	/* Guest-physical memory, without side effects; returns the bytes that are there, from the start. */
	size_t (*read)(void *user, uint64_t gpa, void *buf, size_t bytes);
	uint64_t ram_bytes;             /* frames at and beyond it are devices' or nobody's */
	uint64_t device_bytes;          /* ... devices' right behind it; the rest is nobody's */
	bool (*is_ram)(void *user, uint64_t gpa); /* memory with holes: is this byte there?  NULL: none */
	uint32_t cr0, cr3, cr4;
	uint32_t eip, esp;              /* 0 in a dump without registers */
	unsigned cpl;
	const struct um *um;            /* NULL: no shadow that can be asked */
	const struct space_leaf *leaf;  /* ... but, in a dump, the leaves that it had, in order of addresses */
	size_t leaves;
	uint32_t leaf_mode;             /* ... enum um_mode it was in */
	const struct symbols *symbols;  /* may be NULL */
};

struct vm;
/* The running guest's, as it is now; valid until the guest runs on. */
void space_of_vm(struct space *space, struct vm *vm, const struct symbols *symbols);

/* The guest's own translation of one address (SDM vol. 3, 4.3), without side effects: no A/D, no cache. */
struct space_walk {
	uint32_t pde, pte;              /* as they are in memory; pte 0 where there is no table */
	uint64_t pde_gpa, pte_gpa;      /* where they are; pte_gpa 0: no table */
	bool present;                   /* on all levels, and no reserved bit */
	bool large;                     /* a 4 MiB page */
	bool reserved;                  /* a reserved bit is set in a present entry */
	bool outside;                   /* a table where there is no memory */
	bool writable, user, global;    /* merged over the levels (CR0.WP not looked at) */
	bool accessed, dirty;           /* the leaf's */
	uint64_t gpa;                   /* present: of the byte */
};
void space_walk(const struct space *space, uint32_t linear, struct space_walk *walk);
/* Memory by linear address, whatever the rights are; returns the bytes that are there, from the start. */
size_t space_peek(const struct space *space, uint32_t linear, void *buf, size_t bytes);
/* Would this access (UM_WRITE | UM_USER | UM_FETCH) be permitted?  CR0.WP is looked at. */
bool space_permits(const struct space *space, const struct space_walk *walk, unsigned access);

#endif
