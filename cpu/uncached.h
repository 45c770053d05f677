/* SPDX-License-Identifier: MIT */
/*
 * cpu/uncached.h - running code without decoded blocks.
 */
#ifndef CPU_UNCACHED_H
#define CPU_UNCACHED_H

#include "cpu/internal.h"

bool memos_new(struct cpu *c); /* false: no memory */
void memos_free(struct cpu *c);
void memos_forget(struct cpu *c);

/* The instruction at `linear`, decoded from its bytes as they are now.  The caller has checked that CS reaches
 * its first byte, and checks the others (insn->len).  NULL: an exception or c->exit is recorded.  Good until
 * the next call. */
const struct insn *find_uncached(struct cpu *c, uint32_t linear, unsigned mode);
insn_fn op_uncached_next; /* follows each such instruction that does not return to the loop by itself */

#endif
