/* SPDX-License-Identifier: MIT */
/*
 * cpu/flags.h - the six arithmetic flags, derived when somebody asks.
 *
 *   1. The form        what `result` and `aux` hold
 *   2. Asking          flag_*(), condition()
 *   3. Setting         flags_add(), flags_sub(), flags_logic()... by arithmetic; set_status() any six
 *   4. EFLAGS          get_eflags(), set_eflags()
 *
 * The form.  An instruction stores its result and its carries, never the flags:
 *
 *   result  bits 0-31: the result, sign-extended from the operand size to 64 bits
 *           ZF = low half is 0;  SF = bit 63;  PF = even parity of byte 0 xor byte 4 (byte 4 is a
 *           copy of the sign eight times, so it does not count in an ordinary result)
 *   aux     carries *into* each bit, a ^ b ^ (a + b) computed in 64 bits, moved up for narrow
 *           operands so that the operand's top bit lands at 31
 *           CF = bit 32;  OF = bit 32 ^ bit 31;  AF = bit 4
 *
 * Other bits of aux are arbitrary.  Any six flags have a form (ZF with odd parity through byte 4), no flag
 * depends on which operation it was, and none takes a branch.
 */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/internal.h"

#define FORCE_INLINE static inline __attribute__((always_inline))

/* ---- 1. The form ---------------------------------------------------------------------------- */

enum { AUX_AF_BIT = 4, AUX_TOP_BIT = 31, AUX_CF_BIT = 32 };
#define AUX_CF ((uint64_t)1 << AUX_CF_BIT)
#define AUX_TOP ((uint64_t)1 << AUX_TOP_BIT)
#define AUX_AF ((uint64_t)1 << AUX_AF_BIT)

/* ---- 2. Asking ------------------------------------------------------------------------------ */

FORCE_INLINE bool flag_cf(const struct cpu *c) { return (c->lazy.aux >> AUX_CF_BIT) & 1; }
FORCE_INLINE bool flag_af(const struct cpu *c) { return (c->lazy.aux >> AUX_AF_BIT) & 1; }
FORCE_INLINE bool flag_zf(const struct cpu *c) { return (uint32_t)c->lazy.result == 0; }
FORCE_INLINE bool flag_sf(const struct cpu *c) { return c->lazy.result < 0; }
FORCE_INLINE bool flag_of(const struct cpu *c)
{
	return ((c->lazy.aux >> AUX_CF_BIT) ^ (c->lazy.aux >> AUX_TOP_BIT)) & 1;
}
FORCE_INLINE bool flag_pf(const struct cpu *c)
{
	uint64_t r = (uint64_t)c->lazy.result;
	return !__builtin_parity((uint32_t)((r ^ (r >> 32)) & 0xFF));
}

/* Condition codes as in the low four bits of Jcc (SDM vol. 1, appendix B); `cc` is a constant where
 * speed matters. */
enum { CC_O, CC_NO, CC_B, CC_NB, CC_Z, CC_NZ, CC_BE, CC_NBE, CC_S, CC_NS, CC_P, CC_NP, CC_L, CC_NL, CC_LE,
       CC_NLE };

FORCE_INLINE bool condition(const struct cpu *c, unsigned cc)
{
	bool yes;
	switch (cc & ~1u) {
	case CC_O: yes = flag_of(c); break;
	case CC_B: yes = flag_cf(c); break;
	case CC_Z: yes = flag_zf(c); break;
	case CC_BE: yes = flag_cf(c) || flag_zf(c); break;
	case CC_S: yes = flag_sf(c); break;
	case CC_P: yes = flag_pf(c); break;
	case CC_L: yes = flag_sf(c) != flag_of(c); break;
	default: yes = flag_zf(c) || flag_sf(c) != flag_of(c); break;
	}
	return yes != (cc & 1u);
}

/* ---- 3. Setting ----------------------------------------------------------------------------- */

/* `bits` (8, 16, 32) is a constant everywhere; operands are zero-extended. */
FORCE_INLINE int64_t sign_extend(uint32_t value, unsigned bits)
{
	return bits == 8 ? (int8_t)value : bits == 16 ? (int16_t)value : (int32_t)value;
}
FORCE_INLINE uint32_t truncate_to(uint64_t value, unsigned bits)
{
	return bits == 8 ? (uint8_t)value : bits == 16 ? (uint16_t)value : (uint32_t)value;
}
/* Carries of a narrow operation moved to where a 32-bit one has them, AF's also kept in place. */
FORCE_INLINE uint64_t place_carries(uint64_t carries, unsigned bits)
{
	if (bits == 32)
		return carries;
	carries &= ((uint64_t)2 << bits) - 1;
	return carries | carries << (32 - bits);
}

FORCE_INLINE void set_result(struct cpu *c, uint32_t value, unsigned bits)
{
	c->lazy.result = sign_extend(value, bits);
}

FORCE_INLINE uint32_t flags_add(struct cpu *c, uint32_t a, uint32_t b, uint32_t carry, unsigned bits)
{
	uint64_t sum = (uint64_t)a + b + carry;
	c->lazy.aux = place_carries(a ^ b ^ sum, bits);
	set_result(c, (uint32_t)sum, bits);
	return truncate_to(sum, bits);
}
FORCE_INLINE uint32_t flags_sub(struct cpu *c, uint32_t a, uint32_t b, uint32_t borrow, unsigned bits)
{
	uint64_t difference = (uint64_t)a - b - borrow;
	c->lazy.aux = place_carries(a ^ b ^ difference, bits);
	set_result(c, (uint32_t)difference, bits);
	return truncate_to(difference, bits);
}
FORCE_INLINE uint32_t flags_logic(struct cpu *c, uint32_t value, unsigned bits)
{
	c->lazy.aux = 0;
	set_result(c, value, bits);
	return value;
}
/* INC and DEC leave CF alone: put the old one at bit 32 and flip bit 31 with it, which keeps OF. */
FORCE_INLINE uint32_t flags_step(struct cpu *c, uint32_t a, bool down, unsigned bits)
{
	uint64_t old = c->lazy.aux;
	uint32_t value = down ? flags_sub(c, a, 1, 0, bits) : flags_add(c, a, 1, 0, bits);
	uint64_t flip = (c->lazy.aux ^ old) & AUX_CF;
	c->lazy.aux ^= flip ^ flip >> 1;
	return value;
}
/* Only CF and OF change (rotates, BT, multiplications). */
FORCE_INLINE void set_cf_of(struct cpu *c, bool cf, bool of)
{
	c->lazy.aux = (c->lazy.aux & AUX_AF) | (uint64_t)cf << AUX_CF_BIT |
	              (uint64_t)(cf ^ of) << AUX_TOP_BIT;
}
FORCE_INLINE void set_cf(struct cpu *c, bool cf) { set_cf_of(c, cf, flag_of(c)); }
FORCE_INLINE void set_zf(struct cpu *c, bool zf)
{
	/* Keep SF and PF: bit 63 and the parity over both bytes. */
	uint64_t odd = !flag_pf(c);
	uint64_t low = zf ? 0 : 1;
	c->lazy.result = (int64_t)((uint64_t)flag_sf(c) << 63 | (low ^ odd) << 32 | low);
}

/* Any six flags, in EFLAGS' places. */
FORCE_INLINE void set_status(struct cpu *c, uint32_t eflags)
{
	uint64_t low = eflags & FL_ZF ? 0 : 1, odd = eflags & FL_PF ? 0 : 1;
	uint64_t sf = eflags & FL_SF ? 1 : 0, cf = eflags & FL_CF ? 1 : 0, of = eflags & FL_OF ? 1 : 0;
	c->lazy.result = (int64_t)(sf << 63 | (low ^ odd) << 32 | low);
	c->lazy.aux = cf << AUX_CF_BIT | (cf ^ of) << AUX_TOP_BIT | (eflags & FL_AF ? AUX_AF : 0);
}
FORCE_INLINE uint32_t get_status(const struct cpu *c)
{
	return (flag_cf(c) ? FL_CF : 0u) | (flag_pf(c) ? FL_PF : 0u) | (flag_af(c) ? FL_AF : 0u) |
	       (flag_zf(c) ? FL_ZF : 0u) | (flag_sf(c) ? FL_SF : 0u) | (flag_of(c) ? FL_OF : 0u);
}

/* ---- 4. EFLAGS ------------------------------------------------------------------------------ */

static inline uint32_t get_eflags(const struct cpu *c) { return c->flags | get_status(c); }

/* The bits of `mask` become those of `value`.  Reserved bits are the caller's not to change. */
static inline void set_eflags(struct cpu *c, uint32_t value, uint32_t mask)
{
	if (mask & FL_STATUS)
		set_status(c, (get_status(c) & ~mask) | (value & mask));
	mask &= ~(uint32_t)FL_STATUS;
	if (mask) {
		c->flags = (c->flags & ~mask) | (value & mask) | 2;
		flags_changed(c);
	}
}

#endif
