/* SPDX-License-Identifier: MIT */
/*
 * direct/direct.h - the direct engine: guest code, kernel and user, at near-native speed on the host's own MMU.
 *
 *   1. How it works   worlds, translated code, what the portable engine still does
 *   2. Life           direct_probe, direct_new, direct_free, direct_confine
 *   3. Running        direct_run, direct_step
 *   4. Lines          what the core's callbacks tell it
 *   5. Looking        statistics, a proof
 *
 * ---- 1. How it works
 *
 * A *world* is 4 GiB of this process's address space that hold the guest's linear addresses as the core's
 * shadow entries say: each permitted page is an mmap() of guest RAM's file there.  Guest code is translated,
 * x86-32 to x86-64, nearly one to one; each memory operand becomes gs:[32-bit address], with GS.base = the
 * world in use.  So the host's MMU carries the shadow, a switch of address spaces is one WRGSBASE, and no
 * guest address can lead outside its world.
 *
 * The engine works on the portable engine's own struct cpu: what it does not translate, that one's handler
 * does, with the same state, in the same process.  `struct cpu` may be run by either at any time.
 *
 * x86-64 Linux only; elsewhere direct_probe() says so.  One thread at a time, as struct cpu; several guests
 * may be in one process.
 */
#ifndef DIRECT_DIRECT_H
#define DIRECT_DIRECT_H

#include "cpu/cpu.h"

struct direct;

/* ---- 2. Life -------------------------------------------------------------------------------- */

/* Optimisations, each with its switch. */
enum direct_opt {
	DIRECT_OPT_LINK = 1u << 0,    /* jump from block to block without a look-up */
	DIRECT_OPT_RETURNS = 1u << 1, /* predict returns with the host's own return stack */
	DIRECT_OPT_SOFT = 1u << 2,    /* an instruction that often faults looks its page up instead */
	DIRECT_OPT_RUNS = 1u << 3,    /* map the contiguous run around a page, not the page alone */
	DIRECT_OPT_INLINE = 1u << 4,  /* sensitive instructions as code, not as calls */
	DIRECT_OPT_ALL = (1u << 5) - 1,
};

struct direct_config {
	struct cpu *cpu;       /* made with the same ram and um */
	struct um *um;
	int ram_fd;            /* a memfd that is mapped shared, whole, from offset 0, at ram */
	uint8_t *ram;
	size_t ram_bytes;      /* whole pages */
	uint32_t options;      /* enum direct_opt */
	uint32_t worlds;       /* address spaces kept, 2 at least; 0: the default */
	bool exact;            /* what the manual leaves undefined (flags of shifts, multiplications...) is as the
	                        * portable engine has it: for comparisons */
	uint32_t max_mappings; /* of this process, at most; 0: what the host allows, less a reserve */
};

/* NULL if this host can: else one line why not. */
const char *direct_probe(void);
/* NULL: *why says why in one line.  Joins the cpu: from then on cpu_code_written() and the like reach it. */
struct direct *direct_new(const struct direct_config *config, const char **why);
void direct_free(struct direct *d);
/* From now on a system call by translated code, or int $0x80 by anybody, ends the process (SIGSYS): no_new_privs and
 * a seccomp filter, of all threads and for good.  NULL: so it is; else one line why it is not. */
const char *direct_confine(struct direct *d);

/* ---- 3. Running ----------------------------------------------------------------------------- */

/* As cpu_run(), but without a budget: until cpu_kick(), a halt, or another exit.  (cpu_kick() from a signal
 * handler or another thread takes effect when the thread that runs is next interrupted by a signal: see
 * direct_interrupt().)  cpu_instructions() is not kept. */
enum cpu_exit direct_run(struct direct *d);
/* One translated block, or one instruction that the portable engine does, and no more; instructions are
 * counted (cpu_instructions()).  CPU_EXIT_BUDGET: done. */
enum cpu_exit direct_step(struct direct *d);
/* For signal handlers of the thread in direct_run() installed with SA_SIGINFO: `context` is their third
 * argument.  The guest leaves at the next instruction's end, exactly, after cpu_kick(). */
void direct_interrupt(struct direct *d, void *context);

/* ---- 4. Lines ------------------------------------------------------------------------------- */

/* um_ops.invalidate_root.  A switch of roots needs no line: the core said before what changed. */
void direct_invalidate_root(struct direct *d, uint32_t root, um_gva first, um_gva last);

/* ---- 5. Looking ----------------------------------------------------------------------------- */

struct direct_stats {
	uint64_t blocks, block_bytes, host_bytes; /* translated */
	uint64_t linked, cache_flushes, code_writes;
	uint64_t faults, fills, filled_pages, drops; /* host signals; pages mapped and unmapped */
	uint64_t softened;                        /* instructions translated anew because they faulted often */
	uint64_t lookups, exits;
	uint64_t by_portable;                     /* instructions that the portable engine did */
	uint64_t worlds_made, worlds_evicted, mappings, mappings_peak;
	struct { const char *name; uint64_t count; } fallback[24]; /* ... by cause, name NULL ends */
};
void direct_get_stats(const struct direct *d, struct direct_stats *out);

/* Disassembles all translated code: does it keep to its world, its state and itself (verify.c)?  false: `why` says
 * in a line of at most `bytes` what does not.  Between runs only; some 100 ns an instruction. */
bool direct_verify(struct direct *d, char *why, size_t bytes);

#endif
