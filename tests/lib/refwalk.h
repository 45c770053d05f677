/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/refwalk.h - the reference walker: what the manual says of one access, and nothing else.
 *
 * It judges the core, so it shares no line, constant or structure with it, remembers nothing and takes
 * no short cut.  Source: Intel SDM vol. 3, 4.3 (32-bit paging), 4.6 (rights), 4.7 (error code), 4.8 (A/D).
 */
#ifndef TESTS_REFWALK_H
#define TESTS_REFWALK_H

#include <stdbool.h>
#include <stdint.h>

enum { REF_WRITE = 2, REF_USER = 4, REF_FETCH = 16 };           /* the access, and error code bits */
enum { REF_PG = 1, REF_WP = 2, REF_PSE = 4, REF_PGE = 8 };      /* the mode */

struct ref_walk {
	bool ok;             /* permitted */
	uint32_t error;      /* if not: the error code */
	uint64_t gpa;        /* if so: where */
	bool writable;       /* the merged rights permit writing in this mode, at this privilege */
	unsigned entries;    /* guest entries consulted: 0, 1 or 2, from the root */
	uint64_t entry_gpa[2];
	uint32_t entry[2];   /* as read */
	uint32_t after[2];   /* as they are after a permitted access (Accessed, Dirty) */
	bool global;
};

/* `read` returns the 32-bit word at a guest-physical address; false: no memory, taken as not present. */
typedef bool ref_read(void *user, uint64_t gpa, uint32_t *value);
struct ref_walk ref_walk(ref_read *read, void *user, uint32_t mode, uint32_t cr3, uint32_t gva,
                         unsigned access);

#endif
