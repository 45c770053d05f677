/* SPDX-License-Identifier: MIT */
/*
 * cpu/weak.c - what parts of the processor that are not there yet come to: nothing.  Goes when they come.
 */
#include "cpu/decode.h"

#define WEAK __attribute__((weak))
static enum run halt(struct cpu *c, const struct insn *i)
{
	set_halted(c);
	return end_block(c, i);
}
WEAK insn_fn *select_system(const struct decoded *d, struct insn *i)
{
	return d->z.mnemonic == ZYDIS_MNEMONIC_HLT ? i->flags |= INSN_END, halt : NULL;
}
WEAK bool deliver_exception(struct cpu *c) { return (void)c, false; }
WEAK bool deliver_external(struct cpu *c, unsigned vector) { return (void)c, (void)vector, false; }
WEAK uint32_t debug_match(const struct cpu *c, uint32_t linear, unsigned bytes, unsigned type)
{
	return (void)c, (void)linear, (void)bytes, (void)type, 0u;
}
