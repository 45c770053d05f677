/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_bit.c - BT BTS BTR BTC, BSF BSR.
 *
 * With the bit's number in a register and the operand in memory, the number is signed and reaches 2^31 bits
 * to either side: the operand's address moves (SDM vol. 2, BT).
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

enum bit_op { BT, BTS, BTR, BTC };

FORCE_INLINE uint32_t change_bit(enum bit_op op, uint32_t value, uint32_t bit)
{
	switch (op) {
	case BTS: return value | bit;
	case BTR: return value & ~bit;
	case BTC: return value ^ bit;
	default: return value;
	}
}

FORCE_INLINE enum run bit_test_reg(struct cpu *c, const struct insn *i, enum bit_op op, uint32_t number,
                                   unsigned bits)
{
	uint32_t bit = 1u << number % bits, value = get_reg(c, i->rm, bits);

	if (op != BT)
		set_reg(c, i->rm, change_bit(op, value, bit), bits);
	set_cf(c, value & bit);
	NEXT(c, i);
}

FORCE_INLINE enum run bit_test_at(struct cpu *c, const struct insn *i, enum bit_op op, uint32_t offset,
                                  uint32_t number, unsigned bits)
{
	uint32_t bit = 1u << number % bits, value;
	uint16_t half = 0;

	if (i->addrsize == 2)
		offset = (uint16_t)offset;
	if (op != BT && !seg_probe_write(c, i->seg, offset, bits / 8))
		return faulted(c, i);
	if (bits == 32) {
		if (!seg_read32(c, i->seg, offset, &value))
			return faulted(c, i);
		if (op != BT && !seg_write32(c, i->seg, offset, change_bit(op, value, bit)))
			return faulted(c, i);
	} else {
		if (!seg_read16(c, i->seg, offset, &half))
			return faulted(c, i);
		value = half;
		if (op != BT && !seg_write16(c, i->seg, offset, (uint16_t)change_bit(op, value, bit)))
			return faulted(c, i);
	}
	set_cf(c, value & bit);
	NEXT(c, i);
}

FORCE_INLINE enum run bit_test_by_reg(struct cpu *c, const struct insn *i, enum bit_op op, unsigned bits)
{
	uint32_t number = (uint32_t)sign_extend(c->gpr[i->reg], bits);
	uint32_t units = (uint32_t)((int32_t)number >> (bits == 32 ? 5 : 4));

	if (!(i->flags & INSN_MEM))
		return bit_test_reg(c, i, op, number, bits);
	return bit_test_at(c, i, op, ea(c, i) + units * (bits / 8), number, bits);
}

FORCE_INLINE enum run bit_test_by_imm(struct cpu *c, const struct insn *i, enum bit_op op, unsigned bits)
{
	if (!(i->flags & INSN_MEM))
		return bit_test_reg(c, i, op, i->imm, bits);
	return bit_test_at(c, i, op, ea(c, i), i->imm, bits);
}

#define BIT_OP(op)                                                                                     \
	static OP(op##_reg16) { return bit_test_by_reg(c, i, op, 16); }                                \
	static OP(op##_reg32) { return bit_test_by_reg(c, i, op, 32); }                                \
	static OP(op##_imm16) { return bit_test_by_imm(c, i, op, 16); }                                \
	static OP(op##_imm32) { return bit_test_by_imm(c, i, op, 32); }
#define BIT_OPS(X) X(BT) X(BTS) X(BTR) X(BTC)
BIT_OPS(BIT_OP)
#define BIT_ROW(op) [op] = { { op##_reg16, op##_reg32 }, { op##_imm16, op##_imm32 } },
insn_fn *const bit_test_handlers[4][2][2] = { BIT_OPS(BIT_ROW) };

/* ---- BSF BSR -------------------------------------------------------------------------------- */

/* Of zero: ZF, and the destination stays as it is. */
FORCE_INLINE enum run bit_scan(struct cpu *c, const struct insn *i, bool reverse, unsigned bits)
{
	uint32_t value;

	if (!load_rm(c, i, &value, bits))
		return faulted(c, i);
	if (value)
		set_reg(c, i->reg,
			(uint32_t)(reverse ? 31 - __builtin_clz(value) : __builtin_ctz(value)),
			bits);
	flags_logic(c, value, bits);
	NEXT(c, i);
}
static OP(bsf16) { return bit_scan(c, i, false, 16); }
static OP(bsf32) { return bit_scan(c, i, false, 32); }
static OP(bsr16) { return bit_scan(c, i, true, 16); }
static OP(bsr32) { return bit_scan(c, i, true, 32); }
insn_fn *const bit_scan_handlers[2][2] = { { bsf16, bsf32 }, { bsr16, bsr32 } };
