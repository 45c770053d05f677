/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/direct_rig.h - two machines that are one: the direct engine's and the portable engine's.
 *
 *   1. A side        memory, shadow, processor, what the bus heard
 *   2. A rig         two sides with the same options
 *   3. Programs      direct_make.c: what both run
 *   4. Running       in steps, in whole runs, in runs that are interrupted
 *   5. Differences
 *
 * What is counted.  Both engines count as cpu_run() does: an instruction that faults is one, an interrupt that
 * is taken is one, a repeated string instruction is one and one for each element.  Where a step of the direct
 * engine ends, the portable one is run, instruction by instruction, to the same count; there everything a guest
 * can see must be the same.
 *
 * What may differ, and is not judged where it does: a program that unmaps the code it runs may run on until it
 * flushes; one that loads CR3 with something that is none of its directories, or changes those, may still see global
 * pages; a repeated instruction that writes over itself, or is a device's, may be fetched again sooner or later.
 *
 * A page-table entry that is changed and not flushed may be obeyed later (UM_OPT_UNSYNC), and when depends on what
 * was filled.  Programs for such rigs flush what they change, and reach no table otherwise (program_config.flushes);
 * without UM_OPT_UNSYNC a change is obeyed at once, so programs may write wherever they like.
 */
#ifndef TESTS_LIB_DIRECT_RIG_H
#define TESTS_LIB_DIRECT_RIG_H

#include "cpu/internal.h"
#include "direct/direct.h"
#include "tests/lib/direct_layout.h"
#include "tests/lib/native_forms.h"

/* ---- 1. A side ------------------------------------------------------------------------------ */

enum heard_kind { HEARD_IN, HEARD_OUT, HEARD_READ, HEARD_WRITE, HEARD_EVENT, HEARD_IRQ };
struct heard {
	uint8_t kind, bytes;
	bool software, has_error;
	uint64_t at;             /* port, address, vector */
	uint64_t value;          /* or error code */
};
#define HEARD_KEPT 32u

struct direct_side {
	struct cpu *cpu;
	struct um *um;
	void *um_memory;
	struct direct *direct;   /* NULL: the portable engine's */
	int fd;
	uint8_t *ram, *rom;
	uint64_t heard_hash, heard_count;
	struct heard heard[HEARD_KEPT]; /* a ring */
	uint64_t reads;          /* from outside: the next answer follows */
	int irq_vector;
	bool ended;              /* the program said so */
};

/* ---- 2. A rig ------------------------------------------------------------------------------- */

struct direct_rig_config {
	const char *name;
	uint32_t direct_options, cpu_options, um_options;
	uint32_t worlds, max_tables, max_roots; /* 0: usual */
	bool inexact;            /* direct_config.exact is not set: for whole runs of programs that are `defined` */
};

struct direct_rig {
	struct direct_rig_config config;
	struct direct_side direct, portable;
	uint64_t runs;           /* programs since it was made */
};

/* NULL: *why this host cannot. */
struct direct_rig *direct_rig_new(const struct direct_rig_config *config, const char **why);
void direct_rig_free(struct direct_rig *rig);

/* ---- 3. Programs ---------------------------------------------------------------------------- */

enum program_kind {
	PROGRAM_MIXED, PROGRAM_USER, PROGRAM_KERNEL, PROGRAM_BRANCHES, PROGRAM_MEMORY, PROGRAM_STRINGS, PROGRAM_FPU,
	PROGRAM_SYSTEM, PROGRAM_TABLES, PROGRAM_SELF, PROGRAM_SEGMENTS, PROGRAM_GARBAGE, PROGRAM_HEAT, PROGRAM_KINDS,
};
extern const char *const program_kind_names[PROGRAM_KINDS];

struct program_config {
	enum program_kind kind;
	uint64_t seed;
	bool flushes;            /* what it changes in tables */
	bool ends;               /* by itself, mostly: no loops that need an interrupt */
	bool defined;            /* it shows nobody what the manual leaves undefined */
	bool unread;             /* it does not look at its tables: Accessed and Dirty may be set ahead of an interruption */
};
struct program {
	struct program_config config;
	bool global;             /* CR4.PGE may be set */
	uint8_t image[DR_HOT];   /* memory at the start */
	struct cpu_state state;
};
/* The same configuration gives the same program. */
void program_make(struct program *program, const struct program_config *config);

/* ---- 4. Running ----------------------------------------------------------------------------- */

/* QUIET: steps without interrupts from outside, as in whole runs. */
enum direct_how { HOW_STEPS, HOW_QUIET_STEPS, HOW_RUNS, HOW_INTERRUPTED };

struct direct_result {
	bool same;
	bool skipped;            /* no verdict: no end in time, or a difference that may be (see the top) */
	bool strayed;            /* in steps: it came where global pages are no longer what they were */
	bool unmapped;           /* in steps: it changed the entries that lead to the code it ran */
	uint64_t blocks, instructions;
	char what[256];          /* the first difference */
};
/* `careful`: compare all memory at each stop, and print the way there and the difference. */
struct direct_result direct_rig_run(struct direct_rig *rig, const struct program *program, enum direct_how how,
                                    bool careful);

/* Does an instruction of it write over itself while it repeats, or (where it is to be `defined`) show what the manual
 * leaves undefined? */
bool direct_rig_doubts(struct direct_rig *rig, const struct program *program);

/* ---- 5. Differences ------------------------------------------------------------------------- */

/* Registers and what the bus heard; `all`: floating point too, and memory.  Says which in `what`. */
bool direct_rig_same(struct direct_rig *rig, bool all, char *what, size_t bytes);
/* Both machines' registers, what their buses heard last, the shadow's verdict on itself. */
void direct_rig_print(struct direct_rig *rig);

#endif
