/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/robust.h - a machine that is fed nonsense, and watched.
 *
 *   1. The machine     memory with accounts, table memory that may run out, ports that answer anything
 *   2. One seed        robust_begin(), robust_run(), robust_end()
 *   3. All seeds       robust_seeds(): each under a time limit, on machines with several sets of options
 *
 * What must hold whatever the guest does: cpu_run() comes back within its budget with a documented exit,
 * um_audit() finds nothing, the processor's TLB holds nothing that the shadow does not, every page and table
 * borrowed is accounted for, and the process does not grow.
 */
#ifndef TESTS_LIB_ROBUST_H
#define TESTS_LIB_ROBUST_H

#include "cpu/internal.h"
#include "tests/lib/native_forms.h"

/* ---- 1. The machine ------------------------------------------------------------------------- */

#define ROBUST_RAM 0x80000u /* bytes, from 0 */
#define ROBUST_ROM 0x90000u /* one page; the rest of guest-physical memory is memory-mapped I/O */
#define ROBUST_FRAMES (ROBUST_RAM / 4096)
#define ROBUST_MAX_GFN 0x400u  /* what the core believes to exist */

struct robust {
	struct cpu *cpu;
	struct um *um;
	void *um_memory;
	uint8_t *ram, *rom;
	struct native_rng rng;
	uint8_t borrowed[ROBUST_FRAMES + 1]; /* net get_page(); the last: the ROM page */
	uint32_t tables, tables_max;
	unsigned nomem_one_in;               /* get_table() fails so often; 0: never */
	bool ran_out;                        /* it has failed in this seed */
	const char *broken;                  /* first broken promise towards the embedder */
};

/* ---- 2. One seed ---------------------------------------------------------------------------- */

/* The state to start from; *s comes as after RESET. Memory is all zero. */
typedef void robust_build(struct robust *r, struct cpu_state *s);

/* ---- 3. All seeds --------------------------------------------------------------------------- */

struct robust_result {
	uint64_t seeds, instructions, shutdowns, halts, budgets, nomem;
	uint64_t growth_kib;  /* of the heap, shadow tables apart */
	uint64_t failed_seed; /* where `failure` happened */
	const char *failure;  /* NULL: everything held */
};
/* Run `count` seeds from `first` on.  `again` (or NULL) gives the registers to go on with after a shutdown,
 * in the memory that it left.  A seed that takes more than 20 s ends the process with a message. */
struct robust_result robust_seeds(robust_build *build, robust_build *again, uint64_t first,
                                  unsigned long count);
/* How many by environment (ROBUST_SEEDS, ROBUST_FIRST) or `usual`; prints them. */
unsigned long robust_count(unsigned long usual, uint64_t *first);

/* Random guest-physical bytes. */
void robust_fill(struct robust *r, uint32_t from, uint32_t bytes);
void robust_put32(struct robust *r, uint32_t phys, uint32_t value);
/* Random machine code with a taste for what changes the processor's mind: control registers, descriptors,
 * task switches, page tables, its own bytes.  16- and 32-bit code alike. */
void robust_code(struct robust *r, uint32_t from, uint32_t bytes);
/* GDT, LDT, IDT, TSSs: plausible and not; sets the registers that point at them. */
void robust_descriptors(struct robust *r, struct cpu_state *s);

enum {
	ROBUST_DIRECTORY = 0x1000, ROBUST_TABLES = 0x2000, ROBUST_GDT = 0x4000, ROBUST_IDT = 0x5000,
	ROBUST_TSS = 0x6000, ROBUST_LDT = 0x7000, ROBUST_CODE = 0x8000, ROBUST_CODE_BYTES = 0x8000,
	ROBUST_STACK = 0x14000,
};

#endif
