/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_simd_fp.c - SSE and SSE2 floating point: what MXCSR governs.
 *
 *   1. Running one         masked exceptions: the host; unmasked: on a copy
 *   2. dst = dst op src
 *   3. COMISx, UCOMISx
 *   4. General registers   CVTxx2SI, CVTSI2xx
 *   5. MMX registers       CVTxx2PI, CVTPI2xx
 */
#include "cpu/simd.h"

/* ---- 1. Running one ------------------------------------------------------------------------- */

/* Does a result that underflowed stand in the first lanes of v?  Only instructions that can make one from
 * larger operands are asked about.  Host flags do not tell: masked, an exact tiny result is no underflow;
 * unmasked, it is (SDM vol. 1, 4.9.1.5). */
static bool any_tiny(const struct insn *i, const union vec *v)
{
	bool arithmetic = i->opcode == 0x58 || i->opcode == 0x59 || i->opcode == 0x5C || i->opcode == 0x5E;
	bool narrow = i->opcode == 0x5A && (i->prefix == 0x66 || i->prefix == 0xF2); /* double to single */
	bool single = narrow || i->prefix == 0 || i->prefix == 0xF3;
	bool scalar = i->prefix == 0xF2 || i->prefix == 0xF3;
	unsigned lanes = scalar ? 1 : single && !narrow ? 4 : 2;

	if (!arithmetic && !narrow)
		return false;
	for (unsigned n = 0; n < lanes; n++) {
		if (single ? !(v->d[n] & 0x7F800000) && v->d[n] & 0x007FFFFF
		           : !(v->q[n] & 0x7FF0000000000000) && v->q[n] & 0x000FFFFFFFFFFFFF)
			return true;
	}
	return false;
}

/* With exceptions unmasked: run masked on a copy, see what happened, then either #XM with the flags that
 * the processor would show, or the result.  Exceptions before the computation (#I, #D, #Z) hide those
 * after it, in all lanes (SDM vol. 1, 11.5.2 and E.4). */
static bool run_exact(struct cpu *c, const struct insn *i, union vec *dst, const void *src, uint64_t *flags)
{
	struct fpu *f = c->fpu;
	union vec copy = *dst;

	mxcsr_sync(f);
	uint32_t old = f->mxcsr, allowed = old >> MXCSR_MASK_SHIFT & FSW_EXCEPTIONS;
	uint32_t work = (old & ~(uint32_t)MXCSR_FLAGS) | MXCSR_MASKS;
	if (!(allowed & FSW_UE))
		work &= ~(uint32_t)MXCSR_FTZ; /* flushes are the masked response */
	_mm_setcsr(work);
	*flags = run_thunk(c, i->thunk, &copy, src);
	uint32_t now = _mm_getcsr() & MXCSR_FLAGS;

	if (!(allowed & FSW_UE) && any_tiny(i, &copy))
		now |= FSW_UE;
	uint32_t unmasked = now & ~allowed;
	if (unmasked & PRE_COMPUTATION)
		now &= PRE_COMPUTATION;
	mxcsr_set(f, old | now);
	if (unmasked) {
		raise(c, i, c->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
		return false;
	}
	*dst = copy;
	return true;
}

/* Run the thunk and come back.  false: an exception was raised, nothing but MXCSR's flags changed. */
static bool run_fp(struct cpu *c, const struct insn *i, union vec *dst, const void *src, uint64_t *flags)
{
	mxcsr_enter(c->fpu);
	if (c->fpu->sse_unmasked)
		return run_exact(c, i, dst, src, flags);
	*flags = run_thunk(c, i->thunk, dst, src);
	return true;
}

static enum run fp_slow(struct cpu *c, const struct insn *i, union vec *dst, const void *src)
{
	uint64_t unused;

	if (!run_fp(c, i, dst, src, &unused))
		return RUN_FAULT;
	NEXT(c, i);
}

/* The memory operand: 16 bytes must be aligned, smaller ones need not be. */
FORCE_INLINE const void *load_fp(struct cpu *c, const struct insn *i)
{
	uint32_t offset = ea(c, i);
	return i->size == 16 ? load_vector(c, i, offset) : load_operand(c, i, offset, i->size);
}

/* ---- 2. dst = dst op src -------------------------------------------------------------------- */

enum run op_sse_fp_reg(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_SSE(c, i);
	if (unlikely(f->sse_slow))
		return fp_slow(c, i, &f->xmm[i->reg], &f->xmm[i->rm]);
	NEXT_AFTER(i->thunk, c, i, &f->xmm[i->reg], &f->xmm[i->rm]);
}

enum run op_sse_fp_mem(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_SSE(c, i);
	const void *mem = load_fp(c, i);
	if (unlikely(!mem))
		return faulted(c, i);
	if (unlikely(f->sse_slow))
		return fp_slow(c, i, &f->xmm[i->reg], mem);
	NEXT_AFTER(i->thunk, c, i, &f->xmm[i->reg], mem);
}

/* ---- 3. COMISx, UCOMISx --------------------------------------------------------------------- */

FORCE_INLINE enum run compare(struct cpu *c, const struct insn *i, const void *src)
{
	uint64_t flags;

	if (unlikely(!run_fp(c, i, &c->fpu->xmm[i->reg], src, &flags)))
		return RUN_FAULT;
	set_status(c, (uint32_t)flags & (FL_ZF | FL_PF | FL_CF));
	NEXT(c, i);
}

enum run op_sse_compare_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	return compare(c, i, &c->fpu->xmm[i->rm]);
}

enum run op_sse_compare_mem(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	const void *mem = load_fp(c, i);
	if (unlikely(!mem))
		return faulted(c, i);
	return compare(c, i, mem);
}

/* ---- 4. General registers ------------------------------------------------------------------- */

FORCE_INLINE enum run to_gpr(struct cpu *c, const struct insn *i, const void *src)
{
	uint64_t unused;

	if (unlikely(!run_fp(c, i, &c->fpu->result, src, &unused)))
		return RUN_FAULT;
	c->gpr[i->reg] = c->fpu->result.d[0];
	NEXT(c, i);
}

enum run op_sse_to_gpr_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	return to_gpr(c, i, &c->fpu->xmm[i->rm]);
}

enum run op_sse_to_gpr_mem(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	const void *mem = load_fp(c, i);
	if (unlikely(!mem))
		return faulted(c, i);
	return to_gpr(c, i, mem);
}

enum run op_sse_from_gpr_reg(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_SSE(c, i);
	if (unlikely(f->sse_slow))
		return fp_slow(c, i, &f->xmm[i->reg], &c->gpr[i->rm]);
	NEXT_AFTER(i->thunk, c, i, &f->xmm[i->reg], &c->gpr[i->rm]);
}

enum run op_sse_from_gpr_mem(struct cpu *c, const struct insn *i) { return op_sse_fp_mem(c, i); }

/* ---- 5. MMX registers ----------------------------------------------------------------------- */

static enum run to_mmx(struct cpu *c, const struct insn *i, const void *src)
{
	struct fpu *f = c->fpu;
	uint64_t unused;

	if (!run_fp(c, i, &f->result, src, &unused))
		return RUN_FAULT;
	use_mmx(f);
	set_mm(f, i->reg, f->result.q[0]);
	NEXT(c, i);
}

enum run op_sse_to_mmx_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE(false, sse_mmx_allowed, c, i);
	return to_mmx(c, i, &c->fpu->xmm[i->rm]);
}

enum run op_sse_to_mmx_mem(struct cpu *c, const struct insn *i)
{
	REQUIRE(false, sse_mmx_allowed, c, i);
	const void *mem = load_fp(c, i);
	if (!mem)
		return faulted(c, i);
	return to_mmx(c, i, mem);
}

enum run op_sse_from_mmx_reg(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(false, sse_mmx_allowed, c, i);
	use_mmx(f);
	return fp_slow(c, i, &f->xmm[i->reg], mm(f, i->rm));
}

/* No MMX register takes part: the x87 stays as it is. */
enum run op_sse_from_mmx_mem(struct cpu *c, const struct insn *i) { return op_sse_fp_mem(c, i); }
