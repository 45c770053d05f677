/* SPDX-License-Identifier: MIT */
/*
 * cpu/simd.h - the handlers of MMX, SSE and SSE2 that select_simd.c chooses from.
 *
 *   1. Helpers that several files need
 *   2. The index
 *
 * Names: op_sse_* works on XMM registers, op_mmx_* on MMX registers; _reg and _mem say what ModRM.rm is.
 * i->size: bytes of the memory operand; 16 means that it must be aligned.
 */
#ifndef CPU_SIMD_H
#define CPU_SIMD_H

#include <emmintrin.h>

#include "cpu/fpu_state.h"

/* ---- 1. Helpers ----------------------------------------------------------------------------- */

FORCE_INLINE void copy_vec(void *to, const void *from)
{
	_mm_store_si128(to, _mm_loadu_si128(from));
}
/* One 16-byte store: a narrower one would make the next 16-byte load wait. */
FORCE_INLINE void set_low64(union vec *to, uint64_t low)
{
	_mm_store_si128((__m128i *)to, _mm_set_epi64x(0, (long long)low));
}

FORCE_INLINE uint64_t get_mm(struct fpu *f, unsigned n)
{
	uint64_t v;
	memcpy(&v, mm(f, n), 8);
	return v;
}
/* Bits 64-79 become ones with every write (SDM vol. 1, 9.2.1). */
FORCE_INLINE void set_mm(struct fpu *f, unsigned n, uint64_t v)
{
	memcpy(mm(f, n), &v, 8);
	memset(mm(f, n) + 8, 0xFF, 2);
}

#define REQUIRE_MMX(c, f, i) REQUIRE(mmx_ready((c), (f)), mmx_allowed, (c), (i))
/* After everything that may fault. */
FORCE_INLINE void use_mmx(struct fpu *f)
{
	if (unlikely(f->mmx_slow))
		mmx_enter(f);
}

/* ---- 2. The index --------------------------------------------------------------------------- */

/* op_simd_move.c */
insn_fn op_sse_copy, op_sse_copy_back, op_sse_load_aligned, op_sse_load_unaligned, op_sse_store_aligned,
	op_sse_store_unaligned;
insn_fn op_movss_reg, op_movss_reg_back, op_movsd_reg, op_movsd_reg_back, op_sse_load_low32, op_sse_load_low64,
	op_sse_store_low32, op_sse_store_low64;
insn_fn op_movq_reg, op_movq_reg_back, op_movhlps, op_movlhps, op_movlp_load, op_movhp_load, op_movhp_store;
insn_fn op_movd_from_gpr, op_movd_to_gpr, op_movmskps, op_movmskpd, op_pmovmskb, op_movnti, op_maskmovdqu;

/* op_simd_int.c: no exceptions of their own */
insn_fn op_sse_int_reg, op_sse_int_mem, op_sse_shift, op_pslldq, op_psrldq;
insn_fn op_pshufd_reg, op_pshufd_mem, op_pshufhw_reg, op_pshufhw_mem, op_pshuflw_reg, op_pshuflw_mem,
	op_shufps_reg, op_shufps_mem, op_shufpd_reg, op_shufpd_mem, op_pinsrw_reg, op_pinsrw_mem, op_pextrw;

/* op_simd_fp.c: exceptions by MXCSR */
insn_fn op_sse_fp_reg, op_sse_fp_mem, op_sse_compare_reg, op_sse_compare_mem, op_sse_to_gpr_reg,
	op_sse_to_gpr_mem, op_sse_from_gpr_reg, op_sse_from_gpr_mem;
insn_fn op_sse_to_mmx_reg, op_sse_to_mmx_mem, op_sse_from_mmx_reg, op_sse_from_mmx_mem;

/* op_simd_mmx.c */
insn_fn op_mmx_reg, op_mmx_mem, op_mmx_mem32, op_mmx_shift, op_mmx_copy, op_mmx_copy_back, op_mmx_load,
	op_mmx_store, op_mmx_load32, op_mmx_store32, op_mmx_from_gpr, op_mmx_to_gpr;
insn_fn op_pshufw_reg, op_pshufw_mem, op_mmx_pinsrw_reg, op_mmx_pinsrw_mem, op_mmx_pextrw, op_mmx_pmovmskb,
	op_maskmovq, op_movq2dq, op_movdq2q, op_emms;
/* MASKMOVQ, MASKMOVDQU: the selected bytes to memory */
bool store_masked(struct cpu *c, const struct insn *i, const uint8_t *data, const uint8_t *mask, unsigned bytes);

/* op_simd_control.c */
insn_fn op_ldmxcsr, op_stmxcsr, op_clflush, op_simd_nothing;

#endif
