/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_simd_move.c - moves to, from and between XMM registers.
 *
 *   1. Whole registers     MOVAPS, MOVUPS and all their synonyms, non-temporal ones too
 *   2. Low parts           MOVSS, MOVSD, MOVQ
 *   3. Halves              MOVLPx, MOVHPx, MOVHLPS, MOVLHPS
 *   4. General registers   MOVD, MOVMSKPx, PMOVMSKB, MOVNTI
 *   5. MASKMOVDQU
 */
#include "cpu/simd.h"

/* ---- 1. Whole registers --------------------------------------------------------------------- */

enum run op_sse_copy(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	copy_vec(&c->fpu->xmm[i->reg], &c->fpu->xmm[i->rm]);
	NEXT(c, i);
}

enum run op_sse_copy_back(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	copy_vec(&c->fpu->xmm[i->rm], &c->fpu->xmm[i->reg]);
	NEXT(c, i);
}

enum run op_sse_load_aligned(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	const void *mem = load_vector(c, i, ea(c, i));
	if (unlikely(!mem))
		return faulted(c, i);
	copy_vec(&c->fpu->xmm[i->reg], mem);
	NEXT(c, i);
}

enum run op_sse_load_unaligned(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	const void *mem = load_operand(c, i, ea(c, i), 16);
	if (unlikely(!mem))
		return faulted(c, i);
	copy_vec(&c->fpu->xmm[i->reg], mem);
	NEXT(c, i);
}

enum run op_sse_store_unaligned(struct cpu *c, const struct insn *i)
{
	uint32_t offset = ea(c, i);
	const union vec *v = &c->fpu->xmm[i->reg];

	REQUIRE_SSE(c, i);
	uint8_t *mem = direct(c, i, offset, 16, true);
	if (likely(mem != NULL))
		memcpy(mem, v, 16);
	else if (!store_slow(c, i, offset, v, 16))
		return faulted(c, i);
	NEXT(c, i);
}

static enum run store_vector_slow(struct cpu *c, const struct insn *i, uint32_t offset)
{
	uint32_t linear = 0;

	if (!aligned_linear(c, i, offset, 16, true, &linear) ||
	    !mem_write(c, linear, &c->fpu->xmm[i->reg], 16, c->cpl == 3))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_sse_store_aligned(struct cpu *c, const struct insn *i)
{
	uint32_t offset = ea(c, i);

	REQUIRE_SSE(c, i);
	uint8_t *mem = direct(c, i, offset, 16, true);
	if (unlikely(!mem || offset & 15))
		return store_vector_slow(c, i, offset);
	memcpy(mem, &c->fpu->xmm[i->reg], 16);
	NEXT(c, i);
}

/* ---- 2. Low parts --------------------------------------------------------------------------- */

FORCE_INLINE void merge_low32(union vec *to, const union vec *from) { to->ps = _mm_move_ss(to->ps, from->ps); }
FORCE_INLINE void merge_low64(union vec *to, const union vec *from)
{
	to->ps = _mm_castpd_ps(_mm_move_sd(_mm_castps_pd(to->ps), _mm_castps_pd(from->ps)));
}

enum run op_movss_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	merge_low32(&c->fpu->xmm[i->reg], &c->fpu->xmm[i->rm]);
	NEXT(c, i);
}
enum run op_movss_reg_back(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	merge_low32(&c->fpu->xmm[i->rm], &c->fpu->xmm[i->reg]);
	NEXT(c, i);
}
enum run op_movsd_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	merge_low64(&c->fpu->xmm[i->reg], &c->fpu->xmm[i->rm]);
	NEXT(c, i);
}
enum run op_movsd_reg_back(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	merge_low64(&c->fpu->xmm[i->rm], &c->fpu->xmm[i->reg]);
	NEXT(c, i);
}
enum run op_movq_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	set_low64(&c->fpu->xmm[i->reg], c->fpu->xmm[i->rm].q[0]);
	NEXT(c, i);
}
enum run op_movq_reg_back(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	set_low64(&c->fpu->xmm[i->rm], c->fpu->xmm[i->reg].q[0]);
	NEXT(c, i);
}

/* From memory the rest of the register becomes zero. */
enum run op_sse_load_low32(struct cpu *c, const struct insn *i)
{
	uint32_t v;

	REQUIRE_SSE(c, i);
	if (unlikely(!seg_read32(c, i->seg, ea(c, i), &v)))
		return faulted(c, i);
	set_low64(&c->fpu->xmm[i->reg], v);
	NEXT(c, i);
}
enum run op_sse_load_low64(struct cpu *c, const struct insn *i)
{
	uint64_t v;

	REQUIRE_SSE(c, i);
	if (unlikely(!seg_read64(c, i->seg, ea(c, i), &v)))
		return faulted(c, i);
	set_low64(&c->fpu->xmm[i->reg], v);
	NEXT(c, i);
}
enum run op_sse_store_low32(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	if (unlikely(!seg_write32(c, i->seg, ea(c, i), c->fpu->xmm[i->reg].d[0])))
		return faulted(c, i);
	NEXT(c, i);
}
enum run op_sse_store_low64(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	if (unlikely(!seg_write64(c, i->seg, ea(c, i), c->fpu->xmm[i->reg].q[0])))
		return faulted(c, i);
	NEXT(c, i);
}

/* ---- 3. Halves ------------------------------------------------------------------------------ */

enum run op_movhlps(struct cpu *c, const struct insn *i)
{
	union vec *dst = &c->fpu->xmm[i->reg];

	REQUIRE_SSE(c, i);
	dst->ps = _mm_movehl_ps(dst->ps, c->fpu->xmm[i->rm].ps);
	NEXT(c, i);
}
enum run op_movlhps(struct cpu *c, const struct insn *i)
{
	union vec *dst = &c->fpu->xmm[i->reg];

	REQUIRE_SSE(c, i);
	dst->ps = _mm_movelh_ps(dst->ps, c->fpu->xmm[i->rm].ps);
	NEXT(c, i);
}
enum run op_movlp_load(struct cpu *c, const struct insn *i)
{
	union vec *dst = &c->fpu->xmm[i->reg];

	REQUIRE_SSE(c, i);
	const void *mem = load_operand(c, i, ea(c, i), 8);
	if (unlikely(!mem))
		return faulted(c, i);
	dst->ps = _mm_loadl_pi(dst->ps, mem);
	NEXT(c, i);
}
enum run op_movhp_load(struct cpu *c, const struct insn *i)
{
	union vec *dst = &c->fpu->xmm[i->reg];

	REQUIRE_SSE(c, i);
	const void *mem = load_operand(c, i, ea(c, i), 8);
	if (unlikely(!mem))
		return faulted(c, i);
	dst->ps = _mm_loadh_pi(dst->ps, mem);
	NEXT(c, i);
}
enum run op_movhp_store(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	if (unlikely(!seg_write64(c, i->seg, ea(c, i), c->fpu->xmm[i->reg].q[1])))
		return faulted(c, i);
	NEXT(c, i);
}

/* ---- 4. General registers ------------------------------------------------------------------- */

enum run op_movd_from_gpr(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	set_low64(&c->fpu->xmm[i->reg], c->gpr[i->rm]);
	NEXT(c, i);
}
enum run op_movd_to_gpr(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	c->gpr[i->rm] = c->fpu->xmm[i->reg].d[0];
	NEXT(c, i);
}
enum run op_movmskps(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	c->gpr[i->reg] = (uint32_t)_mm_movemask_ps(c->fpu->xmm[i->rm].ps);
	NEXT(c, i);
}
enum run op_movmskpd(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	c->gpr[i->reg] = (uint32_t)_mm_movemask_pd(_mm_castps_pd(c->fpu->xmm[i->rm].ps));
	NEXT(c, i);
}
enum run op_pmovmskb(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	c->gpr[i->reg] = (uint32_t)_mm_movemask_epi8(_mm_castps_si128(c->fpu->xmm[i->rm].ps));
	NEXT(c, i);
}
/* Touches no SSE state: neither EM, TS nor OSFXSR matter. */
enum run op_movnti(struct cpu *c, const struct insn *i)
{
	if (unlikely(!seg_write32(c, i->seg, ea(c, i), c->gpr[i->reg])))
		return faulted(c, i);
	NEXT(c, i);
}

/* ---- 5. MASKMOVDQU -------------------------------------------------------------------------- */

/* The whole operand must be writable and aligned to 8 where alignment counts, whatever is selected (the
 * manual leaves it to the processor). */
bool store_masked(struct cpu *c, const struct insn *i, const uint8_t *data, const uint8_t *mask, unsigned bytes)
{
	uint32_t edi = i->addrsize == 2 ? (uint16_t)c->gpr[CPU_EDI] : c->gpr[CPU_EDI];

	if (!check_align(c, i, edi, bytes, true, 8) || !seg_probe_write(c, i->seg, edi, bytes))
		return false;
	for (unsigned n = 0; n < bytes; n++)
		if (mask[n] & 0x80 && !seg_write8(c, i->seg, edi + n, data[n]))
			return false;
	return true;
}

enum run op_maskmovdqu(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	if (!store_masked(c, i, c->fpu->xmm[i->reg].b, c->fpu->xmm[i->rm].b, 16))
		return faulted(c, i);
	NEXT(c, i);
}
