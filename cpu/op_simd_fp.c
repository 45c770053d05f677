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

/* Instructions whose results can be too large or too small. */
static bool may_leave_range(const struct insn *i)
{
	switch (i->opcode) {
	case 0x58: /* ADD */
	case 0x59: /* MUL */
	case 0x5C: /* SUB */
	case 0x5E: /* DIV */
		return true;
	case 0x5A: /* double to single */
		return i->prefix == PREFIX_66 || i->prefix == PREFIX_F2;
	default:
		return false;
	}
}

/* One lane with unbounded exponent: the x87's exponent range and the lane's precision (SDM vol. 1, 8.1.5.2).
 * Returns the flags of an unmasked response: where overflow or underflow is unmasked, it is detected on the
 * rounded result, an exact tiny one too, and inexact means rounded with any exponent (4.9.1.4-6). */
static uint32_t lane_flags(const struct insn *i, const void *a, const void *b, bool single, uint32_t mxcsr)
{
	bool narrow = i->opcode == 0x5A, from_single = single && !narrow;
	/* All masked; precision of the result; MXCSR.RC in its place. */
	uint16_t fcw = (uint16_t)(FCW_MASKS | (single ? 0 : 2u << 8) | (mxcsr >> 13 & 3) << 10), fsw, exponent;
	uint8_t result[10];

	__asm__ volatile("fninit; fldcw %0" : : "m"(fcw));
	if (from_single)
		__asm__ volatile("flds (%0); flds (%1)" : : "r"(a), "r"(b) : "memory");
	else
		__asm__ volatile("fldl (%0); fldl (%1)" : : "r"(a), "r"(b) : "memory");
	__asm__ volatile("fnclex");
	switch (i->opcode) {
	case 0x58: __asm__ volatile("faddp"); break;
	case 0x59: __asm__ volatile("fmulp"); break;
	case 0x5C: __asm__ volatile(".byte 0xDE, 0xE9"); break; /* FSUBP: assemblers disagree on which way */
	case 0x5E: __asm__ volatile(".byte 0xDE, 0xF9"); break; /* FDIVP */
	default: __asm__ volatile("fstp %st(0); fld1; fmulp"); break;
	}
	fsw = host_fsw();
	__asm__ volatile("fstpt %0; fninit" : "=m"(result));
	memcpy(&exponent, result + 8, 2);
	exponent &= 0x7FFF;
	int e = exponent - 0x3FFF, max = single ? 127 : 1023;
	uint32_t inexact = fsw & FSW_PE;
	if (exponent == 0x7FFF || exponent == 0)
		return 0; /* infinity, NaN, zero: not out of range */
	if (e > max)
		return FSW_OE | inexact;
	return e < 1 - max ? FSW_UE | inexact : 0;
}

static bool is_denormal(const union vec *v, bool single)
{
	if (single)
		return !(v->d[0] & 0x7F800000) && v->d[0] & 0x007FFFFF;
	return !(v->q[0] & 0x7FF0000000000000) && v->q[0] & 0x000FFFFFFFFFFFFF;
}

/* The flags of all lanes that overflow or underflow unmasked; others have those of the masked run. */
static uint32_t range_flags(struct cpu *c, const struct insn *i, const union vec *dst, const union vec *src,
                            uint32_t work, uint32_t allowed)
{
	bool scalar = i->prefix == PREFIX_F2 || i->prefix == PREFIX_F3, narrow = i->opcode == 0x5A;
	bool single = narrow || i->prefix == PREFIX_NONE || i->prefix == PREFIX_F3;
	bool from_double = narrow || !single;
	unsigned width = from_double ? 8 : 4, lanes = scalar ? 1 : 16 / width;
	uint32_t all = 0;
	const void *thunk = simd_thunks[(from_double ? 3 : 2) * 256 + i->opcode]; /* the scalar form */

	x87_evict(c->fpu); /* we need the host's for ourselves */
	for (unsigned n = 0; n < lanes; n++) {
		union vec a = { .q = { 0, 0 } }, b = { .q = { 0, 0 } };

		memcpy(&b, src->b + n * width, width);
		memcpy(&a, (narrow ? src->b : dst->b) + n * width, width);
		uint32_t unbounded = lane_flags(i, &a, &b, single, work);
		/* With a zero for an operand (DAZ) nothing leaves the range. */
		if (work & MXCSR_DAZ && (is_denormal(&a, !from_double) || is_denormal(&b, !from_double)))
			unbounded = 0;
		_mm_setcsr(work);
		run_thunk(c, thunk, &a, &b);
		uint32_t flags = _mm_getcsr() & MXCSR_FLAGS;
		if (unbounded & ~allowed & (FSW_OE | FSW_UE))
			flags = (flags & PRE_COMPUTATION) | unbounded;
		all |= flags;
	}
	return all;
}

/* With exceptions unmasked: run masked on a copy, see what happened, then either #XM with the flags that
 * the processor would show, or the result.  Exceptions before the computation (#I, #D, #Z) hide those
 * after it, in all lanes (SDM vol. 1, 11.5.2 and E.4). */
static bool run_exact(struct cpu *c, const struct insn *i, union vec *dst, const void *src, uint64_t *flags)
{
	struct fpu *f = c->fpu;
	union vec copy = *dst, operand = { .q = { 0, 0 } };

	mxcsr_sync(f);
	uint32_t old = f->mxcsr, allowed = old >> MXCSR_MASK_SHIFT & FSW_EXCEPTIONS;
	uint32_t work = (old & ~(uint32_t)MXCSR_FLAGS) | MXCSR_MASKS;
	if (!(allowed & FSW_UE))
		work &= ~(uint32_t)MXCSR_FTZ; /* flushes are the masked response */
	_mm_setcsr(work);
	*flags = run_thunk(c, thunk_of(i), &copy, src);
	uint32_t now = _mm_getcsr() & MXCSR_FLAGS;

	if (!(now & ~allowed & PRE_COMPUTATION) && ~allowed & (FSW_OE | FSW_UE) && may_leave_range(i)) {
		memcpy(&operand, src, i->flags & INSN_MEM ? i->size : sizeof(operand));
		now = range_flags(c, i, dst, &operand, work, allowed);
	}
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
	*flags = run_thunk(c, thunk_of(i), dst, src);
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
	NEXT_AFTER(thunk_of(i), c, i, &f->xmm[i->reg], &f->xmm[i->rm]);
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
	NEXT_AFTER(thunk_of(i), c, i, &f->xmm[i->reg], mem);
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
	NEXT_AFTER(thunk_of(i), c, i, &f->xmm[i->reg], &c->gpr[i->rm]);
}

enum run op_sse_from_gpr_mem(struct cpu *c, const struct insn *i) { return op_sse_fp_mem(c, i); }

/* ---- 5. MMX registers ----------------------------------------------------------------------- */

static enum run to_mmx(struct cpu *c, const struct insn *i, const void *src)
{
	struct fpu *f = c->fpu;
	uint64_t unused;

	use_mmx(f); /* even if an exception follows: as processors do it */
	if (!run_fp(c, i, &f->result, src, &unused))
		return RUN_FAULT;
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
