/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_muldiv.c - MUL IMUL DIV IDIV, and decimal arithmetic.
 *
 *   1. MUL IMUL      CF = OF = the product does not fit the low half
 *   2. DIV IDIV      #DE for zero and for quotients that do not fit
 *   3. AAM AAD DAA DAS AAA AAS
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. MUL IMUL ---------------------------------------------------------------------------- */

static inline void set_product_flags(struct cpu *c, uint32_t low, bool overflow, unsigned bits)
{
	set_result(c, low, bits);
	c->lazy.aux = overflow ? AUX_CF : 0; /* bit 31 clear: OF = CF */
}

/* The double-width product goes to AX, DX:AX or EDX:EAX. */
FORCE_INLINE void store_product(struct cpu *c, uint64_t product, unsigned bits)
{
	if (bits == 8) {
		set_reg(c, CPU_EAX, (uint32_t)product, 16);
		return;
	}
	set_reg(c, CPU_EAX, truncate_to(product, bits), bits);
	set_reg(c, CPU_EDX, truncate_to(product >> bits, bits), bits);
}

FORCE_INLINE enum run mul(struct cpu *c, const struct insn *i, bool is_signed, unsigned bits)
{
	uint32_t a = get_reg(c, CPU_EAX, bits), b;
	uint64_t product;
	bool overflow;

	if (!load_rm(c, i, &b, bits))
		return faulted(c, i);
	if (is_signed) {
		int64_t p = sign_extend(a, bits) * sign_extend(b, bits);
		product = (uint64_t)p;
		overflow = p != sign_extend((uint32_t)product, bits);
	} else {
		product = (uint64_t)a * b;
		overflow = product >> bits != 0;
	}
	store_product(c, product, bits);
	set_product_flags(c, (uint32_t)product, overflow, bits);
	NEXT(c, i);
}

FORCE_INLINE enum run imul_to_reg(struct cpu *c, const struct insn *i, uint32_t a, uint32_t b, unsigned bits)
{
	int64_t p = sign_extend(a, bits) * sign_extend(b, bits);

	set_reg(c, i->reg, (uint32_t)p, bits);
	set_product_flags(c, (uint32_t)p, p != sign_extend((uint32_t)p, bits), bits);
	NEXT(c, i);
}
FORCE_INLINE enum run imul2(struct cpu *c, const struct insn *i, unsigned bits)
{
	uint32_t b;

	if (!load_rm(c, i, &b, bits))
		return faulted(c, i);
	return imul_to_reg(c, i, get_reg(c, i->reg, bits), b, bits);
}
FORCE_INLINE enum run imul3(struct cpu *c, const struct insn *i, unsigned bits)
{
	uint32_t b;

	if (!load_rm(c, i, &b, bits))
		return faulted(c, i);
	return imul_to_reg(c, i, b, i->imm, bits);
}

#define MUL(bits)                                                                                      \
	static OP(mul##bits) { return mul(c, i, false, bits); }                                        \
	static OP(imul##bits) { return mul(c, i, true, bits); }
MUL(8)
MUL(16)
MUL(32)
insn_fn *const mul_handlers[3] = { mul8, mul16, mul32 };
insn_fn *const imul_handlers[3] = { imul8, imul16, imul32 };
static OP(imul2_16) { return imul2(c, i, 16); }
static OP(imul2_32) { return imul2(c, i, 32); }
static OP(imul3_16) { return imul3(c, i, 16); }
static OP(imul3_32) { return imul3(c, i, 32); }
insn_fn *const imul2_handlers[2] = { imul2_16, imul2_32 };
insn_fn *const imul3_handlers[2] = { imul3_16, imul3_32 };

/* ---- 2. DIV IDIV ---------------------------------------------------------------------------- */

/* AX, DX:AX or EDX:EAX */
FORCE_INLINE uint64_t dividend(const struct cpu *c, unsigned bits)
{
	if (bits == 8)
		return get_reg(c, CPU_EAX, 16);
	return (uint64_t)get_reg(c, CPU_EDX, bits) << bits | get_reg(c, CPU_EAX, bits);
}
FORCE_INLINE void store_quotient(struct cpu *c, uint32_t quotient, uint32_t remainder, unsigned bits)
{
	if (bits == 8) {
		set_reg(c, CPU_EAX, (remainder & 0xFF) << 8 | (quotient & 0xFF), 16);
		return;
	}
	set_reg(c, CPU_EAX, quotient, bits);
	set_reg(c, CPU_EDX, remainder, bits);
}

FORCE_INLINE enum run divide(struct cpu *c, const struct insn *i, unsigned bits)
{
	uint64_t a = dividend(c, bits);
	uint32_t b;

	if (!load_rm(c, i, &b, bits))
		return faulted(c, i);
	if (b == 0 || a / b > truncate_to(0xFFFFFFFFu, bits))
		return raise(c, i, EXC_DE);
	store_quotient(c, (uint32_t)(a / b), (uint32_t)(a % b), bits);
	NEXT(c, i);
}

FORCE_INLINE enum run divide_signed(struct cpu *c, const struct insn *i, unsigned bits)
{
	uint64_t raw = dividend(c, bits);
	int64_t a = bits == 8 ? (int16_t)raw : bits == 16 ? (int32_t)raw : (int64_t)raw;
	int64_t b, quotient;
	uint32_t value;

	if (!load_rm(c, i, &value, bits))
		return faulted(c, i);
	b = sign_extend(value, bits);
	/* The one quotient that the host's own division cannot hold is out of range here as well. */
	if (b == 0 || (b == -1 && a == INT64_MIN))
		return raise(c, i, EXC_DE);
	quotient = a / b;
	if (quotient != sign_extend((uint32_t)quotient, bits))
		return raise(c, i, EXC_DE);
	store_quotient(c, (uint32_t)quotient, (uint32_t)(a % b), bits);
	NEXT(c, i);
}

#define DIV(bits)                                                                                      \
	static OP(div##bits) { return divide(c, i, bits); }                                            \
	static OP(idiv##bits) { return divide_signed(c, i, bits); }
DIV(8)
DIV(16)
DIV(32)
insn_fn *const div_handlers[3] = { div8, div16, div32 };
insn_fn *const idiv_handlers[3] = { idiv8, idiv16, idiv32 };

/* ---- 3. Decimal ----------------------------------------------------------------------------- */

OP(op_aam)
{
	uint8_t base = (uint8_t)i->imm, al = (uint8_t)c->gpr[CPU_EAX];

	if (!base)
		return raise(c, i, EXC_DE);
	set_reg(c, CPU_EAX, (uint32_t)(al / base) << 8 | al % base, 16);
	flags_logic(c, al % base, 8);
	NEXT(c, i);
}
OP(op_aad)
{
	uint32_t ax = get_reg(c, CPU_EAX, 16);
	uint32_t al = (ax + (ax >> 8) * (uint8_t)i->imm) & 0xFF;

	set_reg(c, CPU_EAX, al, 16);
	flags_logic(c, al, 8);
	NEXT(c, i);
}

/* DAA and DAS (SDM vol. 2): CF and AF are results, OF is undefined. */
static void decimal_adjust(struct cpu *c, bool down)
{
	uint32_t old = get_reg(c, CPU_EAX, 8), al = old;
	bool low = (old & 0xF) > 9 || flag_af(c), high = old > 0x99 || flag_cf(c);
	bool borrow = down && low && (old < 6 || flag_cf(c));

	if (low)
		al = down ? al - 6 : al + 6;
	if (high)
		al = down ? al - 0x60 : al + 0x60;
	al &= 0xFF;
	set_reg(c, CPU_EAX, al, 8);
	set_result(c, al, 8);
	c->lazy.aux = (low ? AUX_AF : 0) | (high || borrow ? AUX_CF | AUX_TOP : 0);
}
OP(op_daa)
{
	decimal_adjust(c, false);
	NEXT(c, i);
}
OP(op_das)
{
	decimal_adjust(c, true);
	NEXT(c, i);
}

/* AAA and AAS: AF and CF are results, the others undefined. */
static void ascii_adjust(struct cpu *c, bool down)
{
	uint32_t ax = get_reg(c, CPU_EAX, 16);
	bool carry = (ax & 0xF) > 9 || flag_af(c);

	if (carry)
		ax = down ? ax - 0x106 : ax + 0x106;
	ax &= 0xFF0F;
	set_reg(c, CPU_EAX, ax, 16);
	set_result(c, ax & 0xFF, 8);
	c->lazy.aux = carry ? AUX_AF | AUX_CF | AUX_TOP : 0;
}
OP(op_aaa)
{
	ascii_adjust(c, false);
	NEXT(c, i);
}
OP(op_aas)
{
	ascii_adjust(c, true);
	NEXT(c, i);
}
