/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_fused.c - an instruction that sets flags and the Jcc behind it, as one.
 *
 * The first of the two gets a handler that does both: flags are stored as ever (who comes next may ask), but
 * the condition is taken from the operands themselves and one indirect jump is saved.  When the operand is
 * not where the fast path can reach it, the ordinary handler runs and leads to the ordinary Jcc, whose
 * struct insn stays in its place.
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. Conditions from operands ------------------------------------------------------------- */

/* After CMP a, b (or SUB). */
FORCE_INLINE bool compare(unsigned cc, uint32_t a, uint32_t b, unsigned bits)
{
	int64_t sa = sign_extend(a, bits), sb = sign_extend(b, bits), difference = sign_extend(a - b, bits);
	bool yes;

	switch (cc & ~1u) {
	case CC_O: yes = sa - sb != difference; break;
	case CC_B: yes = a < b; break;
	case CC_Z: yes = a == b; break;
	case CC_BE: yes = a <= b; break;
	case CC_S: yes = difference < 0; break;
	case CC_P: yes = !__builtin_parity((uint32_t)(difference & 0xFF)); break;
	case CC_L: yes = sa < sb; break;
	default: yes = sa <= sb; break;
	}
	return yes != (cc & 1u);
}

/* After TEST, AND, OR, XOR: CF = OF = 0. */
FORCE_INLINE bool test(unsigned cc, uint32_t value, unsigned bits) { return compare(cc, value, 0, bits); }

/* ---- 2. Pairs ------------------------------------------------------------------------------- */

FORCE_INLINE enum run fused_cmp(struct cpu *c, const struct insn *i, unsigned cc, uint32_t a, uint32_t b,
                                unsigned bits)
{
	flags_sub(c, a, b, 0, bits);
	return branch(c, i + 1, compare(cc, a, b, bits));
}
FORCE_INLINE enum run fused_test(struct cpu *c, const struct insn *i, unsigned cc, uint32_t value,
				 unsigned bits)
{
	flags_logic(c, value, bits);
	return branch(c, i + 1, test(cc, value, bits));
}
FORCE_INLINE enum run fused_step(struct cpu *c, const struct insn *i, unsigned cc, bool down)
{
	uint32_t value = flags_step(c, c->gpr[i->rm], down, 32);

	c->gpr[i->rm] = value;
	if ((cc & ~1u) == CC_Z)
		return branch(c, i + 1, (value == 0) != (cc & 1u));
	return branch(c, i + 1, condition(c, cc));
}
FORCE_INLINE enum run fused_sub(struct cpu *c, const struct insn *i, unsigned cc, uint32_t a, uint32_t b)
{
	c->gpr[i->rm] = flags_sub(c, a, b, 0, 32);
	return branch(c, i + 1, compare(cc, a, b, 32));
}
FORCE_INLINE enum run fused_add(struct cpu *c, const struct insn *i, unsigned cc, uint32_t a, uint32_t b)
{
	uint32_t value = flags_add(c, a, b, 0, 32);

	c->gpr[i->rm] = value;
	if ((cc & ~1u) == CC_Z)
		return branch(c, i + 1, (value == 0) != (cc & 1u));
	return branch(c, i + 1, condition(c, cc));
}
FORCE_INLINE enum run fused_logic(struct cpu *c, const struct insn *i, unsigned cc, uint32_t value)
{
	c->gpr[i->rm] = value;
	return fused_test(c, i, cc, value, 32);
}

#define RM(bits) get_reg(c, i->rm, bits)
#define REG(bits) get_reg(c, i->reg, bits)
#define IMM(bits) truncate_to(i->imm, bits)
/* The memory operand of a base + disp form, or on to the general handler. */
#define MEM(op, size, form, bits)                                                                      \
	uint32_t linear = flat_ea(c, i, SHAPE_BASE);                                                   \
	FLAT_HIT(t, read, linear, bits, alu_handlers[op][size][form]);                                 \
	uint32_t value = host_load(tlb_host(t, linear), bits)

#define FUSED(cc)                                                                                      \
	static OP(cmp_rr32_##cc) { return fused_cmp(c, i, cc, RM(32), REG(32), 32); }                  \
	static OP(cmp_ri32_##cc) { return fused_cmp(c, i, cc, RM(32), IMM(32), 32); }                  \
	static OP(cmp_rr8_##cc) { return fused_cmp(c, i, cc, RM(8), REG(8), 8); }                      \
	static OP(cmp_ri8_##cc) { return fused_cmp(c, i, cc, RM(8), IMM(8), 8); }                      \
	static OP(test_rr32_##cc) { return fused_test(c, i, cc, RM(32) & REG(32), 32); }               \
	static OP(test_ri32_##cc) { return fused_test(c, i, cc, RM(32) & IMM(32), 32); }               \
	static OP(test_rr8_##cc) { return fused_test(c, i, cc, RM(8) & REG(8), 8); }                   \
	static OP(test_ri8_##cc) { return fused_test(c, i, cc, RM(8) & IMM(8), 8); }                   \
	static OP(cmp_rm32_##cc)                                                                       \
	{                                                                                              \
		MEM(ALU_CMP, 2, FORM_RM, 32);                                                          \
		return fused_cmp(c, i, cc, REG(32), value, 32);                                        \
	}                                                                                              \
	static OP(cmp_mr32_##cc)                                                                       \
	{                                                                                              \
		MEM(ALU_CMP, 2, FORM_MR, 32);                                                          \
		return fused_cmp(c, i, cc, value, REG(32), 32);                                        \
	}                                                                                              \
	static OP(cmp_mi32_##cc)                                                                       \
	{                                                                                              \
		MEM(ALU_CMP, 2, FORM_MI, 32);                                                          \
		return fused_cmp(c, i, cc, value, IMM(32), 32);                                        \
	}                                                                                              \
	static OP(cmp_mi8_##cc)                                                                        \
	{                                                                                              \
		MEM(ALU_CMP, 0, FORM_MI, 8);                                                           \
		return fused_cmp(c, i, cc, value, IMM(8), 8);                                          \
	}                                                                                              \
	static OP(test_mi8_##cc)                                                                       \
	{                                                                                              \
		MEM(ALU_TEST, 0, FORM_MI, 8);                                                          \
		return fused_test(c, i, cc, value & IMM(8), 8);                                        \
	}                                                                                              \
	static OP(inc_r32_##cc) { return fused_step(c, i, cc, false); }                                \
	static OP(dec_r32_##cc) { return fused_step(c, i, cc, true); }                                 \
	static OP(add_rr32_##cc) { return fused_add(c, i, cc, RM(32), REG(32)); }                      \
	static OP(add_ri32_##cc) { return fused_add(c, i, cc, RM(32), IMM(32)); }                      \
	static OP(sub_rr32_##cc) { return fused_sub(c, i, cc, RM(32), REG(32)); }                      \
	static OP(sub_ri32_##cc) { return fused_sub(c, i, cc, RM(32), IMM(32)); }                      \
	static OP(and_rr32_##cc) { return fused_logic(c, i, cc, RM(32) & REG(32)); }                   \
	static OP(and_ri32_##cc) { return fused_logic(c, i, cc, RM(32) & IMM(32)); }                   \
	static OP(or_rr32_##cc) { return fused_logic(c, i, cc, RM(32) | REG(32)); }
CONDITIONS(FUSED)

/* ---- 3. The table --------------------------------------------------------------------------- */

/* Where the first handler of each pair is found, and the row of its fused ones. */
#define PAIRS(X)                                                                                       \
	X(cmp_rr32, alu_handlers[ALU_CMP][2][FORM_RR]) X(cmp_ri32, alu_handlers[ALU_CMP][2][FORM_RI])  \
	X(cmp_rr8, alu_handlers[ALU_CMP][0][FORM_RR]) X(cmp_ri8, alu_handlers[ALU_CMP][0][FORM_RI])    \
	X(test_rr32, alu_handlers[ALU_TEST][2][FORM_RR])                                               \
	X(test_ri32, alu_handlers[ALU_TEST][2][FORM_RI])                                               \
	X(test_rr8, alu_handlers[ALU_TEST][0][FORM_RR]) X(test_ri8, alu_handlers[ALU_TEST][0][FORM_RI]) \
	X(cmp_rm32, alu_handlers[ALU_CMP][2][FORM_RM_BASE])                                            \
	X(cmp_mr32, alu_handlers[ALU_CMP][2][FORM_MR_BASE])                                            \
	X(cmp_mi32, alu_handlers[ALU_CMP][2][FORM_MI_BASE])                                            \
	X(cmp_mi8, alu_handlers[ALU_CMP][0][FORM_MI_BASE])                                             \
	X(test_mi8, alu_handlers[ALU_TEST][0][FORM_MI_BASE])                                           \
	X(inc_r32, unary_handlers[UNARY_INC][2][PLACE_REG])                                            \
	X(dec_r32, unary_handlers[UNARY_DEC][2][PLACE_REG])                                            \
	X(add_rr32, alu_handlers[ALU_ADD][2][FORM_RR]) X(add_ri32, alu_handlers[ALU_ADD][2][FORM_RI])  \
	X(sub_rr32, alu_handlers[ALU_SUB][2][FORM_RR]) X(sub_ri32, alu_handlers[ALU_SUB][2][FORM_RI])  \
	X(and_rr32, alu_handlers[ALU_AND][2][FORM_RR]) X(and_ri32, alu_handlers[ALU_AND][2][FORM_RI])  \
	X(or_rr32, alu_handlers[ALU_OR][2][FORM_RR])

#define ROW(name)                                                                                      \
	{ name##_CC_O, name##_CC_NO, name##_CC_B, name##_CC_NB, name##_CC_Z, name##_CC_NZ, name##_CC_BE, \
	  name##_CC_NBE, name##_CC_S, name##_CC_NS, name##_CC_P, name##_CC_NP, name##_CC_L, name##_CC_NL, \
	  name##_CC_LE, name##_CC_NLE }
#define PAIR_ROW(name, first) ROW(name),
#define PAIR_FIRST(name, first) &first,

insn_fn *fused_handler(insn_fn *first, insn_fn *jcc)
{
	static insn_fn *const rows[][16] = { PAIRS(PAIR_ROW) };
	static insn_fn *const *const firsts[] = { PAIRS(PAIR_FIRST) };

	for (unsigned cc = 0; cc < 16; cc++) {
		if (jcc_handlers[cc] != jcc)
			continue;
		for (size_t n = 0; n < sizeof(firsts) / sizeof(*firsts); n++)
			if (*firsts[n] == first)
				return rows[n][cc];
	}
	return NULL;
}
