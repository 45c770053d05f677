/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_mov.c - moving data: what changes no arithmetic flag, or flags only.
 *
 *   1. MOV                  all forms
 *   2. MOVZX MOVSX          and CBW CWDE CWD CDQ BSWAP
 *   3. LEA XLAT NOP
 *   4. CMOVcc SETcc
 *   5. XCHG CMPXCHG XADD CMPXCHG8B
 *   6. Flags                LAHF SAHF CLC STC CMC CLD STD SALC
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. MOV --------------------------------------------------------------------------------- */

FORCE_INLINE enum run mov_load(struct cpu *c, const struct insn *i, unsigned bits)
{
	uint32_t value;

	if (!load_mem(c, i, &value, bits))
		return faulted(c, i);
	set_reg(c, i->reg, value, bits);
	NEXT(c, i);
}

FORCE_INLINE enum run mov_store(struct cpu *c, const struct insn *i, uint32_t value, unsigned bits)
{
	if (!store_mem(c, i, value, bits))
		return faulted(c, i);
	NEXT(c, i);
}

FORCE_INLINE enum run mov_load_flat(struct cpu *c, const struct insn *i, enum shape shape, unsigned bits,
                                    insn_fn *general)
{
	uint32_t linear = flat_ea(c, i, shape);

	FLAT_HIT(t, read, linear, bits, general);
	set_reg(c, i->reg, host_load(tlb_host(t, linear), bits), bits);
	NEXT(c, i);
}

FORCE_INLINE enum run mov_store_flat(struct cpu *c, const struct insn *i, enum shape shape, uint32_t value,
                                     unsigned bits, insn_fn *general)
{
	uint32_t linear = flat_ea(c, i, shape);

	FLAT_HIT(t, write, linear, bits, general);
	host_store(tlb_host(t, linear), value, bits);
	NEXT(c, i);
}

#define MOV(bits)                                                                                      \
	static OP(mov_rr##bits)                                                                        \
	{                                                                                              \
		set_reg(c, i->rm, get_reg(c, i->reg, bits), bits);                                     \
		NEXT(c, i);                                                                            \
	}                                                                                              \
	static OP(mov_ri##bits)                                                                        \
	{                                                                                              \
		set_reg(c, i->rm, i->imm, bits);                                                       \
		NEXT(c, i);                                                                            \
	}                                                                                              \
	static OP(mov_rm##bits) { return mov_load(c, i, bits); }                                       \
	static OP(mov_mr##bits) { return mov_store(c, i, get_reg(c, i->reg, bits), bits); }            \
	static OP(mov_mi##bits) { return mov_store(c, i, i->imm, bits); }                              \
	MOV_FLAT(bits, base, SHAPE_BASE)                                                               \
	MOV_FLAT(bits, sib, SHAPE_SIB)
#define MOV_FLAT(bits, suffix, shape)                                                                  \
	static OP(mov_rm##bits##_##suffix) { return mov_load_flat(c, i, shape, bits, mov_rm##bits); }  \
	static OP(mov_mr##bits##_##suffix)                                                             \
	{                                                                                              \
		return mov_store_flat(c, i, shape, get_reg(c, i->reg, bits), bits, mov_mr##bits);      \
	}                                                                                              \
	static OP(mov_mi##bits##_##suffix)                                                             \
	{                                                                                              \
		return mov_store_flat(c, i, shape, i->imm, bits, mov_mi##bits);                        \
	}
MOV(8)
MOV(16)
MOV(32)

#define MOV_FORMS(bits)                                                                                \
	{                                                                                              \
		[FORM_RR] = mov_rr##bits, [FORM_RI] = mov_ri##bits, [FORM_RM] = mov_rm##bits,          \
		[FORM_MR] = mov_mr##bits, [FORM_MI] = mov_mi##bits,                                    \
		[FORM_RM_BASE] = mov_rm##bits##_base, [FORM_MR_BASE] = mov_mr##bits##_base,            \
		[FORM_MI_BASE] = mov_mi##bits##_base, [FORM_RM_SIB] = mov_rm##bits##_sib,              \
		[FORM_MR_SIB] = mov_mr##bits##_sib, [FORM_MI_SIB] = mov_mi##bits##_sib,                \
	}
insn_fn *const mov_handlers[3][FORMS] = { MOV_FORMS(8), MOV_FORMS(16), MOV_FORMS(32) };

/* ---- 2. MOVZX MOVSX ------------------------------------------------------------------------- */

FORCE_INLINE uint32_t extend(uint32_t value, enum extend how, unsigned from)
{
	return how == EXTEND_SIGN ? (uint32_t)sign_extend(value, from) : value;
}

FORCE_INLINE enum run extend_mem(struct cpu *c, const struct insn *i, enum extend how,
				 unsigned from, unsigned to)
{
	uint32_t value;

	if (!load_mem(c, i, &value, from))
		return faulted(c, i);
	set_reg(c, i->reg, extend(value, how, from), to);
	NEXT(c, i);
}

FORCE_INLINE enum run extend_flat(struct cpu *c, const struct insn *i, enum extend how, unsigned from,
                                  unsigned to, insn_fn *general)
{
	uint32_t linear = flat_ea(c, i, SHAPE_SIB);

	FLAT_HIT(t, read, linear, from, general);
	set_reg(c, i->reg, extend(host_load(tlb_host(t, linear), from), how, from), to);
	NEXT(c, i);
}

#define EXTEND(name, how, from, to)                                                                    \
	static OP(name##from##_r##to)                                                                  \
	{                                                                                              \
		set_reg(c, i->reg, extend(get_reg(c, i->rm, from), how, from), to);                    \
		NEXT(c, i);                                                                            \
	}                                                                                              \
	static OP(name##from##_m##to) { return extend_mem(c, i, how, from, to); }                      \
	static OP(name##from##_f##to) { return extend_flat(c, i, how, from, to, name##from##_m##to); }
#define EXTENDS(name, how) EXTEND(name, how, 8, 16) EXTEND(name, how, 8, 32) EXTEND(name, how, 16, 16) \
	EXTEND(name, how, 16, 32)
EXTENDS(movzx, EXTEND_ZERO)
EXTENDS(movsx, EXTEND_SIGN)
#define EXTEND_PLACES(name, from, to) { name##from##_r##to, name##from##_m##to, name##from##_f##to }
#define EXTEND_TABLE(name)                                                                             \
	{ { EXTEND_PLACES(name, 8, 16), EXTEND_PLACES(name, 8, 32) },                                  \
	  { EXTEND_PLACES(name, 16, 16), EXTEND_PLACES(name, 16, 32) } }
insn_fn *const extend_handlers[2][2][2][PLACES] = { EXTEND_TABLE(movzx), EXTEND_TABLE(movsx) };

OP(op_cbw)
{
	set_reg(c, CPU_EAX, (uint32_t)sign_extend(c->gpr[CPU_EAX], 8), 16);
	NEXT(c, i);
}
OP(op_cwde)
{
	c->gpr[CPU_EAX] = (uint32_t)sign_extend(c->gpr[CPU_EAX], 16);
	NEXT(c, i);
}
OP(op_cwd)
{
	set_reg(c, CPU_EDX, c->gpr[CPU_EAX] & 0x8000 ? 0xFFFF : 0, 16);
	NEXT(c, i);
}
OP(op_cdq)
{
	c->gpr[CPU_EDX] = c->gpr[CPU_EAX] & 0x80000000u ? 0xFFFFFFFFu : 0;
	NEXT(c, i);
}
OP(op_bswap)
{
	/* Of a 16-bit register: undefined, and zero on every processor. */
	if (i->opsize == 2)
		set_reg(c, i->rm, 0, 16);
	else
		c->gpr[i->rm] = __builtin_bswap32(c->gpr[i->rm]);
	NEXT(c, i);
}

/* ---- 3. LEA XLAT NOP ------------------------------------------------------------------------ */

OP(op_lea32_base)
{
	c->gpr[i->reg] = flat_ea(c, i, SHAPE_BASE);
	NEXT(c, i);
}
OP(op_lea32_sib)
{
	c->gpr[i->reg] = flat_ea(c, i, SHAPE_SIB);
	NEXT(c, i);
}
OP(op_lea)
{
	c->gpr[i->reg] = ea(c, i);
	NEXT(c, i);
}
OP(op_lea16)
{
	set_reg(c, i->reg, ea(c, i), 16);
	NEXT(c, i);
}
OP(op_xlat)
{
	uint32_t offset = c->gpr[CPU_EBX] + (uint8_t)c->gpr[CPU_EAX];
	uint8_t value;

	if (!seg_read8(c, i->seg, i->addrsize == 2 ? (uint16_t)offset : offset, &value))
		return faulted(c, i);
	set_reg(c, CPU_EAX, value, 8);
	NEXT(c, i);
}
OP(op_nop) { NEXT(c, i); }

/* ---- 4. CMOVcc SETcc ------------------------------------------------------------------------ */

/* The source is read whether or not the condition holds (SDM vol. 2, CMOVcc). */
FORCE_INLINE enum run cmov(struct cpu *c, const struct insn *i, unsigned cc, unsigned bits)
{
	uint32_t value;

	if (!load_rm(c, i, &value, bits))
		return faulted(c, i);
	if (condition(c, cc))
		set_reg(c, i->reg, value, bits);
	NEXT(c, i);
}
FORCE_INLINE enum run setcc(struct cpu *c, const struct insn *i, unsigned cc)
{
	if (!store_rm(c, i, condition(c, cc), 8))
		return faulted(c, i);
	NEXT(c, i);
}

#define CONDITIONAL(cc)                                                                                \
	static OP(cmov16_##cc) { return cmov(c, i, cc, 16); }                                          \
	static OP(cmov32_##cc) { return cmov(c, i, cc, 32); }                                          \
	static OP(set_##cc) { return setcc(c, i, cc); }
CONDITIONS(CONDITIONAL)
#define CMOV_ROW(cc) [cc] = { cmov16_##cc, cmov32_##cc },
#define SETCC_ROW(cc) [cc] = set_##cc,
insn_fn *const cmov_handlers[16][2] = { CONDITIONS(CMOV_ROW) };
insn_fn *const setcc_handlers[16] = { CONDITIONS(SETCC_ROW) };

/* ---- 5. XCHG CMPXCHG XADD CMPXCHG8B --------------------------------------------------------- */

/* One processor runs at a time, and no device looks in the middle of an instruction: every instruction is
 * atomic, LOCK or not. */
FORCE_INLINE enum run xchg(struct cpu *c, const struct insn *i, unsigned bits)
{
	uint32_t value, other = get_reg(c, i->reg, bits);

	if (!load_rm_for_write(c, i, &value, bits) || !store_rm(c, i, other, bits))
		return faulted(c, i);
	set_reg(c, i->reg, value, bits);
	NEXT(c, i);
}
OP(op_xchg_rr32)
{
	uint32_t value = c->gpr[i->rm];

	c->gpr[i->rm] = c->gpr[i->reg];
	c->gpr[i->reg] = value;
	NEXT(c, i);
}

/* The destination is written in either case, as hardware does (SDM vol. 2, CMPXCHG). */
FORCE_INLINE enum run cmpxchg(struct cpu *c, const struct insn *i, unsigned bits)
{
	uint32_t old, accumulator = get_reg(c, CPU_EAX, bits);
	bool equal;

	if (!load_rm_for_write(c, i, &old, bits))
		return faulted(c, i);
	equal = old == accumulator;
	if (!store_rm(c, i, equal ? get_reg(c, i->reg, bits) : old, bits))
		return faulted(c, i);
	flags_sub(c, accumulator, old, 0, bits);
	if (!equal)
		set_reg(c, CPU_EAX, old, bits);
	NEXT(c, i);
}

FORCE_INLINE enum run xadd(struct cpu *c, const struct insn *i, unsigned bits)
{
	uint32_t old, other = get_reg(c, i->reg, bits);

	if (!load_rm_for_write(c, i, &old, bits))
		return faulted(c, i);
	if (i->flags & INSN_MEM && !store_mem(c, i, truncate_to(old + other, bits), bits))
		return faulted(c, i);
	/* The register first: of XADD of a register with itself the sum remains. */
	set_reg(c, i->reg, old, bits);
	old = flags_add(c, old, other, 0, bits);
	if (!(i->flags & INSN_MEM))
		set_reg(c, i->rm, old, bits);
	NEXT(c, i);
}

#define EXCHANGES(bits)                                                                                \
	static OP(xchg##bits) { return xchg(c, i, bits); }                                             \
	static OP(cmpxchg##bits) { return cmpxchg(c, i, bits); }                                       \
	static OP(xadd##bits) { return xadd(c, i, bits); }
EXCHANGES(8)
EXCHANGES(16)
EXCHANGES(32)
insn_fn *const xchg_handlers[3] = { xchg8, xchg16, xchg32 };
insn_fn *const cmpxchg_handlers[3] = { cmpxchg8, cmpxchg16, cmpxchg32 };
insn_fn *const xadd_handlers[3] = { xadd8, xadd16, xadd32 };

OP(op_cmpxchg8b)
{
	uint64_t value, expected = (uint64_t)c->gpr[CPU_EDX] << 32 | c->gpr[CPU_EAX];
	uint64_t wanted = (uint64_t)c->gpr[CPU_ECX] << 32 | c->gpr[CPU_EBX];
	uint32_t offset = ea(c, i);

	if (!seg_probe_write(c, i->seg, offset, 8) || !seg_read64(c, i->seg, offset, &value) ||
	    !seg_write64(c, i->seg, offset, value == expected ? wanted : value))
		return faulted(c, i);
	set_zf(c, value == expected);
	if (value != expected) {
		c->gpr[CPU_EAX] = (uint32_t)value;
		c->gpr[CPU_EDX] = (uint32_t)(value >> 32);
	}
	NEXT(c, i);
}

/* ---- 6. Flags ------------------------------------------------------------------------------- */

enum { FL_AH = FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF };

OP(op_lahf)
{
	set_reg(c, byte_register(4 /* AH */), (get_status(c) & FL_AH) | 2, 8);
	NEXT(c, i);
}
OP(op_sahf)
{
	set_status(c, (get_status(c) & ~(uint32_t)FL_AH) | (c->gpr[CPU_EAX] >> 8 & FL_AH));
	NEXT(c, i);
}
OP(op_clc)
{
	set_cf(c, false);
	NEXT(c, i);
}
OP(op_stc)
{
	set_cf(c, true);
	NEXT(c, i);
}
OP(op_cmc)
{
	set_cf(c, !flag_cf(c));
	NEXT(c, i);
}
OP(op_cld)
{
	c->flags &= ~(uint32_t)FL_DF;
	NEXT(c, i);
}
OP(op_std)
{
	c->flags |= FL_DF;
	NEXT(c, i);
}
OP(op_salc)
{
	set_reg(c, CPU_EAX, flag_cf(c) ? 0xFF : 0, 8);
	NEXT(c, i);
}
