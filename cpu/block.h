/* SPDX-License-Identifier: MIT */
/*
 * cpu/block.h - decoded code: where it is kept and when it stops being right.
 *
 * A block is keyed by the host address of its first byte and the mode it was decoded in.  It stays until
 * one of its bytes is written (code_written) or the cache is full (everything goes, between blocks only).
 * A block that must go is poisoned: each of its handlers becomes one that returns to the loop at that
 * instruction, so a link, a jump entry or the very block that is running may still lead there.
 */
#ifndef CPU_BLOCK_H
#define CPU_BLOCK_H

#include "cpu/internal.h"

/* Blocks by linear address of their first byte. */
#define JUMPS 8192u
struct jump {
	uint64_t key; /* linear << 32 | c->jump_key */
	const struct insn *insn;
};
static inline struct jump *jump_at(const struct cpu *c, uint32_t linear)
{
	return &c->jumps[(linear ^ linear >> 12) % JUMPS];
}
/* Forget them all, or those in one page; the running code is looked up again at its next block's start. */
void jumps_flush(struct cpu *c);
void jumps_flush_nonglobal(struct cpu *c);
void jumps_flush_page(struct cpu *c, uint32_t linear);
/* jump_key follows c->mode. */
void jumps_set_mode(struct cpu *c);

bool blocks_new(struct cpu *c); /* false: no memory */
void blocks_free(struct cpu *c);

/* All blocks go; none may be running. */
void forget_everything(struct cpu *c);

/* The instruction to run at CS:EIP, in c->mode plus `extra` (MODE_STEP or 0).  NULL: an exception or c->exit
 * is recorded.  Sets the link in c->patch, if any. */
const struct insn *find_block(struct cpu *c, unsigned extra);

/* Does the page of this host address hold decoded code? */
bool has_code(const struct cpu *c, const uint8_t *host);
/* Bytes at host address were written, within one page: blocks made of them go. */
void code_written(struct cpu *c, const uint8_t *host, unsigned bytes);

insn_fn op_stale;     /* of a poisoned block: back to the loop, here */
insn_fn op_block_end; /* follows the last instruction of a block that no branch ends */
insn_fn op_block_return; /* the same where blocks are not chained */

/* May code of this mode go from block to block without the loop?  Only where no limit is to be checked. */
static inline bool may_chain(unsigned mode, uint32_t options)
{
	return (mode & (MODE_FLAT | MODE_STEP)) == MODE_FLAT && options & CPU_OPT_CHAIN;
}

#endif
