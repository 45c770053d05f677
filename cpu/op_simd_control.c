/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_simd_control.c - MXCSR, cache lines, fences.
 *
 *   1. LDMXCSR, STMXCSR
 *   2. CLFLUSH
 *   3. Nothing         PREFETCHx, LFENCE, SFENCE, MFENCE: one processor, in order
 */
#include "cpu/simd.h"

/* ---- 1. LDMXCSR, STMXCSR -------------------------------------------------------------------- */

enum run op_ldmxcsr(struct cpu *c, const struct insn *i)
{
	uint32_t v;

	REQUIRE_SSE(c, i);
	if (!seg_read32(c, i->seg, ea(c, i), &v))
		return faulted(c, i);
	if (v & ~(uint32_t)MXCSR_VALID)
		return raise_error(c, i, EXC_GP, 0);
	mxcsr_set(c->fpu, v);
	NEXT(c, i);
}

enum run op_stmxcsr(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	mxcsr_sync(c->fpu);
	if (!seg_write32(c, i->seg, ea(c, i), c->fpu->mxcsr))
		return faulted(c, i);
	NEXT(c, i);
}

/* ---- 2. CLFLUSH ----------------------------------------------------------------------------- */

/* Faults like a load of a byte. */
enum run op_clflush(struct cpu *c, const struct insn *i)
{
	uint8_t unused;

	if (!seg_read8(c, i->seg, ea(c, i), &unused))
		return faulted(c, i);
	NEXT(c, i);
}

/* ---- 3. Nothing ----------------------------------------------------------------------------- */

enum run op_simd_nothing(struct cpu *c, const struct insn *i) { NEXT(c, i); }
