/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_simd_mmx.c - instructions on MMX registers.
 *
 *   1. dst = dst op src
 *   2. Moves
 *   3. Words and bytes     PSHUFW, PINSRW, PEXTRW, PMOVMSKB, MASKMOVQ
 *   4. XMM registers       MOVQ2DQ, MOVDQ2Q
 *   5. EMMS
 *
 * Each of them leaves TOP 0 and all tags valid (EMMS: empty): use_mmx(), after the last possible fault.
 */
#include "cpu/simd.h"

/* ---- 1. dst = dst op src -------------------------------------------------------------------- */

enum run op_mmx_reg(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	NEXT_AFTER(thunk_of(i), c, i, mm(f, i->reg), mm(f, i->rm));
}

enum run op_mmx_mem(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	const void *mem = load_operand(c, i, ea(c, i), 8);
	if (unlikely(!mem))
		return faulted(c, i);
	use_mmx(f);
	NEXT_AFTER(thunk_of(i), c, i, mm(f, i->reg), mem);
}

/* PUNPCKL: the memory operand has 32 bits, the thunk reads 64. */
enum run op_mmx_mem32(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint32_t v;

	REQUIRE_MMX(c, f, i);
	if (unlikely(!seg_read32(c, i->seg, ea(c, i), &v)))
		return faulted(c, i);
	use_mmx(f);
	f->result.q[0] = v;
	NEXT_AFTER(thunk_of(i), c, i, mm(f, i->reg), &f->result);
}

/* See op_sse_shift(). */
enum run op_mmx_shift(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	NEXT_AFTER(thunk_of(i), c, i, mm(f, i->rm), &i->disp);
}

/* ---- 2. Moves ------------------------------------------------------------------------------- */

enum run op_mmx_copy(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	set_mm(f, i->reg, get_mm(f, i->rm));
	NEXT(c, i);
}

enum run op_mmx_copy_back(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	set_mm(f, i->rm, get_mm(f, i->reg));
	NEXT(c, i);
}

enum run op_mmx_load(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint64_t v;

	REQUIRE_MMX(c, f, i);
	if (unlikely(!seg_read64(c, i->seg, ea(c, i), &v)))
		return faulted(c, i);
	use_mmx(f);
	set_mm(f, i->reg, v);
	NEXT(c, i);
}

enum run op_mmx_load32(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint32_t v;

	REQUIRE_MMX(c, f, i);
	if (unlikely(!seg_read32(c, i->seg, ea(c, i), &v)))
		return faulted(c, i);
	use_mmx(f);
	set_mm(f, i->reg, v);
	NEXT(c, i);
}

/* Before a store: the register can only be found in the MMX state, which a fault must not bring about. */
FORCE_INLINE bool prepare_store(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes)
{
	if (likely(!c->fpu->mmx_slow))
		return true;
	if (!seg_probe_write(c, i->seg, offset, bytes))
		return false;
	mmx_enter(c->fpu);
	return true;
}

enum run op_mmx_store(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint32_t offset = ea(c, i);

	REQUIRE_MMX(c, f, i);
	if (unlikely(!prepare_store(c, i, offset, 8) ||
	             !seg_write64(c, i->seg, offset, get_mm(f, i->reg))))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_mmx_store32(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint32_t offset = ea(c, i);

	REQUIRE_MMX(c, f, i);
	if (unlikely(!prepare_store(c, i, offset, 4) ||
	             !seg_write32(c, i->seg, offset, (uint32_t)get_mm(f, i->reg))))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_mmx_from_gpr(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	set_mm(f, i->reg, c->gpr[i->rm]);
	NEXT(c, i);
}

enum run op_mmx_to_gpr(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	c->gpr[i->rm] = (uint32_t)get_mm(f, i->reg);
	NEXT(c, i);
}

/* ---- 3. Words and bytes --------------------------------------------------------------------- */

static uint64_t shuffle_words(uint64_t v, unsigned order)
{
	uint64_t to = 0;

	for (unsigned n = 0; n < 4; n++)
		to |= (v >> (order >> 2 * n & 3) * 16 & 0xFFFF) << n * 16;
	return to;
}

enum run op_pshufw_reg(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	set_mm(f, i->reg, shuffle_words(get_mm(f, i->rm), i->imm));
	NEXT(c, i);
}

enum run op_pshufw_mem(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint64_t v;

	REQUIRE_MMX(c, f, i);
	if (unlikely(!seg_read64(c, i->seg, ea(c, i), &v)))
		return faulted(c, i);
	use_mmx(f);
	set_mm(f, i->reg, shuffle_words(v, i->imm));
	NEXT(c, i);
}

static void insert_word(struct fpu *f, const struct insn *i, uint16_t word)
{
	unsigned at = (i->imm & 3) * 16;

	use_mmx(f);
	set_mm(f, i->reg, (get_mm(f, i->reg) & ~((uint64_t)0xFFFF << at)) | (uint64_t)word << at);
}

enum run op_mmx_pinsrw_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE_MMX(c, c->fpu, i);
	insert_word(c->fpu, i, (uint16_t)c->gpr[i->rm]);
	NEXT(c, i);
}

enum run op_mmx_pinsrw_mem(struct cpu *c, const struct insn *i)
{
	uint16_t v;

	REQUIRE_MMX(c, c->fpu, i);
	if (unlikely(!seg_read16(c, i->seg, ea(c, i), &v)))
		return faulted(c, i);
	insert_word(c->fpu, i, v);
	NEXT(c, i);
}

enum run op_mmx_pextrw(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	c->gpr[i->reg] = (uint16_t)(get_mm(f, i->rm) >> (i->imm & 3) * 16);
	NEXT(c, i);
}

enum run op_mmx_pmovmskb(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	c->gpr[i->reg] = (uint32_t)_mm_movemask_epi8(_mm_set_epi64x(0, (long long)get_mm(f, i->rm)));
	NEXT(c, i);
}

enum run op_maskmovq(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f); /* even if a fault follows: as processors do it */
	if (!store_masked(c, i, mm(f, i->reg), mm(f, i->rm), 8))
		return faulted(c, i);
	NEXT(c, i);
}

/* ---- 4. XMM registers ----------------------------------------------------------------------- */

enum run op_movq2dq(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(false, sse_mmx_allowed, c, i);
	use_mmx(f);
	set_low64(&f->xmm[i->reg], get_mm(f, i->rm));
	NEXT(c, i);
}

enum run op_movdq2q(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(false, sse_mmx_allowed, c, i);
	use_mmx(f);
	set_mm(f, i->reg, f->xmm[i->rm].q[0]);
	NEXT(c, i);
}

/* ---- 5. EMMS -------------------------------------------------------------------------------- */

/* TOP 0, all tags empty (SDM vol. 3, table 12-1). */
enum run op_emms(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE_MMX(c, f, i);
	use_mmx(f);
	f->area[FX_FTW] = 0;
	x87_area_changed(f);
	NEXT(c, i);
}
