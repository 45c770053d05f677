/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_alu.c - ADD OR ADC SBB AND SUB XOR CMP TEST, INC DEC NEG NOT.
 *
 *   1. The operations        alu(): nine of them, flags included
 *   2. Two operands          one template per form, instantiated for each operation and size
 *   3. One operand           INC, DEC, NEG, NOT
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. The operations ---------------------------------------------------------------------- */

FORCE_INLINE uint32_t alu(struct cpu *c, enum alu op, uint32_t a, uint32_t b, unsigned bits)
{
	switch (op) {
	case ALU_ADD: return flags_add(c, a, b, 0, bits);
	case ALU_OR: return flags_logic(c, a | b, bits);
	case ALU_ADC: return flags_add(c, a, b, flag_cf(c), bits);
	case ALU_SBB: return flags_sub(c, a, b, flag_cf(c), bits);
	case ALU_AND:
	case ALU_TEST: return flags_logic(c, a & b, bits);
	case ALU_SUB:
	case ALU_CMP: return flags_sub(c, a, b, 0, bits);
	default: return flags_logic(c, a ^ b, bits);
	}
}
FORCE_INLINE bool alu_writes(enum alu op) { return op != ALU_CMP && op != ALU_TEST; }

/* ---- 2. Two operands ------------------------------------------------------------------------ */

FORCE_INLINE enum run alu_reg(struct cpu *c, const struct insn *i, enum alu op, uint32_t b, unsigned bits)
{
	uint32_t value = alu(c, op, get_reg(c, i->rm, bits), b, bits);

	if (alu_writes(op))
		set_reg(c, i->rm, value, bits);
	NEXT(c, i);
}

FORCE_INLINE enum run alu_to_reg(struct cpu *c, const struct insn *i, enum alu op, uint32_t b, unsigned bits)
{
	uint32_t value = alu(c, op, get_reg(c, i->reg, bits), b, bits);

	if (alu_writes(op))
		set_reg(c, i->reg, value, bits);
	NEXT(c, i);
}

FORCE_INLINE enum run alu_load(struct cpu *c, const struct insn *i, enum alu op, unsigned bits)
{
	uint32_t b;

	if (!load_mem(c, i, &b, bits))
		return faulted(c, i);
	return alu_to_reg(c, i, op, b, bits);
}

FORCE_INLINE enum run alu_mem(struct cpu *c, const struct insn *i, enum alu op, uint32_t b, unsigned bits)
{
	struct lazy_flags before = c->lazy;
	uint32_t a, value;

	if (!(alu_writes(op) ? load_mem_for_write(c, i, &a, bits) : load_mem(c, i, &a, bits)))
		return faulted(c, i);
	value = alu(c, op, a, b, bits);
	if (alu_writes(op) && !store_mem(c, i, value, bits)) {
		c->lazy = before;
		return faulted(c, i);
	}
	NEXT(c, i);
}

FORCE_INLINE enum run alu_load_flat(struct cpu *c, const struct insn *i, enum alu op, enum shape shape,
                                    unsigned bits, insn_fn *general)
{
	uint32_t linear = flat_ea(c, i, shape);

	FLAT_HIT(t, read, linear, bits, general);
	return alu_to_reg(c, i, op, host_load(tlb_host(t, linear), bits), bits);
}

FORCE_INLINE enum run alu_mem_flat(struct cpu *c, const struct insn *i, enum alu op, enum shape shape,
                                   uint32_t b, unsigned bits, insn_fn *general)
{
	uint32_t linear = flat_ea(c, i, shape);

	if (alu_writes(op)) {
		FLAT_HIT(t, write, linear, bits, general);
		uint8_t *host = tlb_host(t, linear);
		host_store(host, alu(c, op, host_load(host, bits), b, bits), bits);
	} else {
		FLAT_HIT(t, read, linear, bits, general);
		alu(c, op, host_load(tlb_host(t, linear), bits), b, bits);
	}
	NEXT(c, i);
}

#define REG(bits) get_reg(c, i->reg, bits)
#define IMM(bits) truncate_to(i->imm, bits)

#define ALU(op, name, bits)                                                                            \
	static OP(name##_rr##bits) { return alu_reg(c, i, op, REG(bits), bits); }                      \
	static OP(name##_ri##bits) { return alu_reg(c, i, op, IMM(bits), bits); }                      \
	static OP(name##_rm##bits) { return alu_load(c, i, op, bits); }                                \
	static OP(name##_mr##bits) { return alu_mem(c, i, op, REG(bits), bits); }                      \
	static OP(name##_mi##bits) { return alu_mem(c, i, op, IMM(bits), bits); }                      \
	ALU_FLAT(op, name, bits, base, SHAPE_BASE)                                                     \
	ALU_FLAT(op, name, bits, sib, SHAPE_SIB)
#define ALU_FLAT(op, name, bits, suffix, shape)                                                        \
	static OP(name##_rm##bits##_##suffix)                                                          \
	{                                                                                              \
		return alu_load_flat(c, i, op, shape, bits, name##_rm##bits);                          \
	}                                                                                              \
	static OP(name##_mr##bits##_##suffix)                                                          \
	{                                                                                              \
		return alu_mem_flat(c, i, op, shape, REG(bits), bits, name##_mr##bits);                \
	}                                                                                              \
	static OP(name##_mi##bits##_##suffix)                                                          \
	{                                                                                              \
		return alu_mem_flat(c, i, op, shape, IMM(bits), bits, name##_mi##bits);                \
	}
#define ALU_FORMS(name, bits)                                                                          \
	{                                                                                              \
		[FORM_RR] = name##_rr##bits, [FORM_RI] = name##_ri##bits, [FORM_RM] = name##_rm##bits, \
		[FORM_MR] = name##_mr##bits, [FORM_MI] = name##_mi##bits,                              \
		[FORM_RM_BASE] = name##_rm##bits##_base, [FORM_MR_BASE] = name##_mr##bits##_base,      \
		[FORM_MI_BASE] = name##_mi##bits##_base, [FORM_RM_SIB] = name##_rm##bits##_sib,        \
		[FORM_MR_SIB] = name##_mr##bits##_sib, [FORM_MI_SIB] = name##_mi##bits##_sib,          \
	}

#define ALU_OPS(X)                                                                                     \
	X(ALU_ADD, add) X(ALU_OR, or) X(ALU_ADC, adc) X(ALU_SBB, sbb) X(ALU_AND, and)                  \
	X(ALU_SUB, sub) X(ALU_XOR, xor) X(ALU_CMP, cmp) X(ALU_TEST, test)

#define ALU_SIZES(op, name) ALU(op, name, 8) ALU(op, name, 16) ALU(op, name, 32)
ALU_OPS(ALU_SIZES)

#define ALU_ROW(op, name) [op] = { ALU_FORMS(name, 8), ALU_FORMS(name, 16), ALU_FORMS(name, 32) },
insn_fn *const alu_handlers[ALU_COUNT][3][FORMS] = { ALU_OPS(ALU_ROW) };

/* ---- 3. One operand ------------------------------------------------------------------------- */

FORCE_INLINE uint32_t unary(struct cpu *c, enum unary op, uint32_t a, unsigned bits)
{
	switch (op) {
	case UNARY_INC: return flags_step(c, a, false, bits);
	case UNARY_DEC: return flags_step(c, a, true, bits);
	case UNARY_NEG: return flags_sub(c, 0, a, 0, bits);
	default: return truncate_to(~a, bits);
	}
}

FORCE_INLINE enum run unary_reg(struct cpu *c, const struct insn *i, enum unary op, unsigned bits)
{
	set_reg(c, i->rm, unary(c, op, get_reg(c, i->rm, bits), bits), bits);
	NEXT(c, i);
}

FORCE_INLINE enum run unary_mem(struct cpu *c, const struct insn *i, enum unary op, unsigned bits)
{
	struct lazy_flags before = c->lazy;
	uint32_t a;

	if (!load_mem_for_write(c, i, &a, bits))
		return faulted(c, i);
	if (!store_mem(c, i, unary(c, op, a, bits), bits)) {
		c->lazy = before;
		return faulted(c, i);
	}
	NEXT(c, i);
}

FORCE_INLINE enum run unary_mem_flat(struct cpu *c, const struct insn *i, enum unary op, unsigned bits,
                                     insn_fn *general)
{
	uint32_t linear = flat_ea(c, i, SHAPE_SIB);

	FLAT_HIT(t, write, linear, bits, general);
	uint8_t *host = tlb_host(t, linear);
	host_store(host, unary(c, op, host_load(host, bits), bits), bits);
	NEXT(c, i);
}

#define UNARY(op, name, bits)                                                                          \
	static OP(name##_r##bits) { return unary_reg(c, i, op, bits); }                                \
	static OP(name##_m##bits) { return unary_mem(c, i, op, bits); }                                \
	static OP(name##_m##bits##_flat) { return unary_mem_flat(c, i, op, bits, name##_m##bits); }
#define UNARY_OPS(X) X(UNARY_INC, inc) X(UNARY_DEC, dec) X(UNARY_NEG, neg) X(UNARY_NOT, not)
#define UNARY_SIZES(op, name) UNARY(op, name, 8) UNARY(op, name, 16) UNARY(op, name, 32)
UNARY_OPS(UNARY_SIZES)

#define UNARY_FORMS(name, bits) { name##_r##bits, name##_m##bits, name##_m##bits##_flat }
#define UNARY_ROW(op, name) [op] = { UNARY_FORMS(name, 8), UNARY_FORMS(name, 16), UNARY_FORMS(name, 32) },
insn_fn *const unary_handlers[UNARY_COUNT][3][3] = { UNARY_OPS(UNARY_ROW) };
