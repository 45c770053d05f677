/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/fake.h - an embedder for tests: guest memory, host frames with accounts, table memory that can
 * fail on demand, and a hardware TLB that believes the core until it is told otherwise.
 *
 *   1. struct fake      the embedder; fake_new(), fake_free() (checks that all is given back)
 *   2. Memory           fake_read(), fake_poke() (a write by anyone, reported), fake_store() (by the guest)
 *   3. fake_access()    what the processor does: TLB, then look-up, then demand
 */
#ifndef TESTS_FAKE_H
#define TESTS_FAKE_H

#include <umbra/shadow.h>

#include "tests/lib/refwalk.h"

#define FAKE_TLB 8192u /* direct-mapped by page: no two pages that tests use together collide often */

struct fake_tlb_entry { bool valid, global; uint32_t page; uint8_t rights; um_gpa gpa; um_hfn hfn; };

struct fake {
	struct um *um;
	void *arena;
	struct um_config config;
	uint32_t *memory;          /* guest RAM, words */
	uint64_t frames;           /* of guest RAM */
	uint64_t rom_from, rom_to; /* gfn ranges [from, to) with another grant */
	uint64_t refuse_from;      /* gfn >= this: refused */
	uint32_t *borrowed;        /* net borrows by gfn: 0 or 1, or the core is wrong */
	uint8_t *borrowed_write;
	uint32_t *epoch;           /* the host page behind a frame changes when it is taken back */
	uint64_t dirty_puts, gets, puts;
	uint64_t table_count, table_calls;
	uint64_t fail_at;          /* fail the get_table() call of this number (1 = next), 0 = never */
	uint64_t fail_every;       /* fail each n-th call, 0 = never */
	uint64_t invalidations;
	bool keep_globals;         /* global translations survive invalidate_nonglobal() */
	uint64_t updates;          /* A/D write-backs */
	const struct um_ops *more; /* fake_new_tagged(): the hooks; NULL without */
	struct um_ops ops;         /* as the core knows them */
	void *owner;               /* the test's */
	const char *broken;        /* the first broken promise of the core towards the embedder */
	uint32_t mode, cr3;
	struct fake_tlb_entry tlb[FAKE_TLB];
};

struct fake *fake_new(uint64_t frames, enum um_learn learn, uint32_t options, uint32_t max_tables,
                      uint32_t max_roots);
/* With more->invalidate_root and root_switched (given the fake), for tests that have tagged hardware of their own;
 * the fake's TLB then goes at a switch, whatever is global. */
struct fake *fake_new_tagged(uint64_t frames, enum um_learn learn, uint32_t options, uint32_t max_tables,
                             uint32_t max_roots, const struct um_format *format, const struct um_ops *more,
                             void *owner);
/* Destroys the shadow; returns NULL, or what was not given back or broken. Frees `f`. */
const char *fake_free(struct fake *f);

uint32_t fake_read(const struct fake *f, uint64_t gpa);
void fake_poke(struct fake *f, uint64_t gpa, uint32_t value);  /* written and reported (a device, a loader) */
void fake_quiet(struct fake *f, uint64_t gpa, uint32_t value); /* written, not reported (told mode) */
ref_read fake_ref_read;

void fake_set_mode(struct fake *f, uint32_t mode, uint32_t cr3); /* REF_* bits */
void fake_switch(struct fake *f, uint32_t cr3);
um_hfn fake_hfn(const struct fake *f, um_gfn gfn);               /* the host frame behind gfn now */

/* One access as a processor makes it.  result/error/gpa/hfn as um_demand_page() or the TLB say. */
struct fake_access { enum um_result result; uint8_t error; um_gpa gpa; um_hfn hfn; bool from_tlb; };
struct fake_access fake_access(struct fake *f, uint32_t gva, unsigned access);
/* A guest store of one word at gva (supervisor): carried out and reported as an engine would. */
struct fake_access fake_store(struct fake *f, uint32_t gva, uint32_t value);

/* Table building: entry addresses. */
static inline uint64_t pde_gpa(uint32_t cr3, uint32_t gva) { return (cr3 & ~0xFFFu) + 4u * (gva >> 22); }
static inline uint64_t pte_gpa(uint32_t table, uint32_t gva) { return table + 4u * ((gva >> 12) & 1023u); }

#endif
