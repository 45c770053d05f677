/* SPDX-License-Identifier: MIT */
/*
 * cpu/warm.h - prefetching what waking from HLT needs.
 */
#ifndef CPU_WARM_H
#define CPU_WARM_H

#include "cpu/internal.h"

bool warm_new(struct cpu *c); /* false: no memory */
void warm_free(struct cpu *c);

void warm_up(struct cpu *c);     /* an interrupt ends HLT */
void warm_halted(struct cpu *c); /* the processor halts */
void warm_see(struct cpu *c, const void *at); /* something else that it takes, likewise */
void warm_record(struct cpu *c, const struct insn *i); /* a block is about to run; while EV_RECORD is set */

#endif
