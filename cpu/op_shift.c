/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_shift.c - ROL ROR RCL RCR SHL SHR SAR, SHLD SHRD.
 *
 * The count is taken modulo 32; zero changes nothing, not even flags.  OF is defined for a count of one;
 * for others it is set by the same formula, as most processors do.  A narrow shift by more than its width
 * shifts everything out; narrow rotates go around.
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. Shifts and rotates of one operand --------------------------------------------------- */

/* ModRM.reg; 6 is another SHL. */
enum shift { ROL, ROR, RCL, RCR, SHL, SHR, SHL2, SAR };

FORCE_INLINE bool top_bit(uint32_t value, unsigned bits) { return value >> (bits - 1) & 1; }

/* Result and new carry of a rotate through carry: `bits` + 1 bits go around. */
FORCE_INLINE uint64_t rotate_carry_left(uint64_t wide, unsigned count, unsigned bits)
{
	return count ? (wide << count | wide >> (bits + 1 - count)) & (((uint64_t)2 << bits) - 1) : wide;
}

/* count: 1..31 */
FORCE_INLINE uint32_t shift(struct cpu *c, enum shift op, uint32_t a, unsigned count, unsigned bits)
{
	uint64_t wide;
	uint32_t value;
	bool cf;

	switch (op) {
	case ROL:
		count %= bits;
		value = count ? truncate_to(a << count | a >> (bits - count), bits) : a;
		cf = value & 1;
		set_cf_of(c, cf, cf != top_bit(value, bits));
		return value;
	case ROR:
		count %= bits;
		value = count ? truncate_to(a >> count | a << (bits - count), bits) : a;
		set_cf_of(c, top_bit(value, bits), top_bit(value, bits) != (value >> (bits - 2) & 1));
		return value;
	case RCL:
	case RCR:
		count %= bits + 1;
		wide = (uint64_t)flag_cf(c) << bits | a;
		if (op == RCR && count)
			count = bits + 1 - count;
		wide = rotate_carry_left(wide, count, bits);
		value = truncate_to(wide, bits);
		cf = wide >> bits & 1;
		if (op == RCL)
			set_cf_of(c, cf, cf != top_bit(value, bits));
		else
			set_cf_of(c, cf, top_bit(value, bits) != (value >> (bits - 2) & 1));
		return value;
	case SHR:
		cf = a >> (count - 1) & 1;
		value = a >> count;
		set_result(c, value, bits);
		c->lazy.aux = (uint64_t)cf << AUX_CF_BIT | (uint64_t)(cf ^ top_bit(a, bits)) << AUX_TOP_BIT;
		return value;
	case SAR:
		value = (uint32_t)((int32_t)sign_extend(a, bits) >> (count - 1));
		cf = value & 1;
		value = truncate_to((uint32_t)((int32_t)value >> 1), bits);
		set_result(c, value, bits);
		c->lazy.aux = (uint64_t)cf << AUX_CF_BIT | (uint64_t)cf << AUX_TOP_BIT;
		return value;
	default:
		/* The bit that leaves lands where CF is, the new sign below it: OF = CF xor sign. */
		wide = (uint64_t)a << count;
		set_result(c, (uint32_t)wide, bits);
		c->lazy.aux = wide << (32 - bits) & (AUX_CF | AUX_TOP);
		return truncate_to(wide, bits);
	}
}

FORCE_INLINE enum run shift_rm(struct cpu *c, const struct insn *i, enum shift op, unsigned count,
			       unsigned bits)
{
	struct lazy_flags before = c->lazy;
	uint32_t value;

	count %= 32;
	if (!load_rm_for_write(c, i, &value, bits))
		return faulted(c, i);
	if (count && !store_rm(c, i, shift(c, op, value, count, bits), bits)) {
		c->lazy = before;
		return faulted(c, i);
	}
	NEXT(c, i);
}

/* A 32-bit register by a constant of 1..31: the common case. */
FORCE_INLINE enum run shift_reg32(struct cpu *c, const struct insn *i, enum shift op)
{
	c->gpr[i->rm] = shift(c, op, c->gpr[i->rm], i->imm & 31, 32);
	NEXT(c, i);
}

#define SHIFT(op, bits)                                                                                \
	static OP(imm_##op##bits) { return shift_rm(c, i, op, i->imm, bits); }                         \
	static OP(cl_##op##bits) { return shift_rm(c, i, op, c->gpr[CPU_ECX], bits); }
#define SHIFTS(op)                                                                                     \
	SHIFT(op, 8) SHIFT(op, 16) SHIFT(op, 32)                                                       \
	static OP(reg32_##op) { return shift_reg32(c, i, op); }
#define SHIFT_OPS(X) X(ROL) X(ROR) X(RCL) X(RCR) X(SHL) X(SHR) X(SAR)
SHIFT_OPS(SHIFTS)

#define IMM_ROW(op) [op] = { imm_##op##8, imm_##op##16, imm_##op##32 },
#define CL_ROW(op) [op] = { cl_##op##8, cl_##op##16, cl_##op##32 },
#define REG32_ROW(op) [op] = reg32_##op,
insn_fn *const shift_imm_handlers[8][3] = { SHIFT_OPS(IMM_ROW)[SHL2] = { imm_SHL8, imm_SHL16, imm_SHL32 } };
insn_fn *const shift_cl_handlers[8][3] = { SHIFT_OPS(CL_ROW)[SHL2] = { cl_SHL8, cl_SHL16, cl_SHL32 } };
insn_fn *const shift_reg32_handlers[8] = { SHIFT_OPS(REG32_ROW)[SHL2] = reg32_SHL };

/* ---- 2. Double shifts ----------------------------------------------------------------------- */

/* A 16-bit double shift by more than 16 is undefined; here operand, source and operand again follow each
 * other, as on Intel's processors. */
FORCE_INLINE uint32_t double_shift(struct cpu *c, bool left, uint32_t a, uint32_t from,
				   unsigned count, unsigned bits)
{
	uint32_t value;
	bool cf;

	if (bits == 32) {
		uint64_t both = left ? (uint64_t)a << 32 | from : (uint64_t)from << 32 | a;
		cf = left ? a >> (32 - count) & 1 : a >> (count - 1) & 1;
		value = left ? (uint32_t)(both << count >> 32) : (uint32_t)(both >> count);
	} else {
		uint64_t both = left ? (uint64_t)a << 32 | (uint64_t)from << 16 | a
		                     : (uint64_t)a << 32 | (uint64_t)from << 16 | a;
		cf = left ? both >> (48 - count) & 1 : both >> (count - 1) & 1;
		value = left ? (uint32_t)(uint16_t)(both << count >> 32) : (uint32_t)(uint16_t)(both >> count);
	}
	set_result(c, value, bits);
	c->lazy.aux = (uint64_t)cf << AUX_CF_BIT;
	/* OF: the sign changed. */
	if (top_bit(value, bits) != top_bit(a, bits))
		c->lazy.aux ^= cf ? 0 : AUX_TOP;
	else
		c->lazy.aux ^= cf ? AUX_TOP : 0;
	return value;
}

FORCE_INLINE enum run double_shift_rm(struct cpu *c, const struct insn *i, bool left, unsigned bits)
{
	/* 0F A4, AC: by an immediate; A5, AD: by CL */
	unsigned count = (i->opcode & 1 ? c->gpr[CPU_ECX] : i->imm) & 31;
	struct lazy_flags before = c->lazy;
	uint32_t value;

	if (!load_rm_for_write(c, i, &value, bits))
		return faulted(c, i);
	if (!count)
		NEXT(c, i);
	value = double_shift(c, left, value, get_reg(c, i->reg, bits), count, bits);
	if (!store_rm(c, i, value, bits)) {
		c->lazy = before;
		return faulted(c, i);
	}
	NEXT(c, i);
}

static OP(shld16) { return double_shift_rm(c, i, true, 16); }
static OP(shld32) { return double_shift_rm(c, i, true, 32); }
static OP(shrd16) { return double_shift_rm(c, i, false, 16); }
static OP(shrd32) { return double_shift_rm(c, i, false, 32); }
insn_fn *const double_shift_handlers[2][2] = { { shld16, shld32 }, { shrd16, shrd32 } };
