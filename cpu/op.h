/* SPDX-License-Identifier: MIT */
/*
 * cpu/op.h - what handlers of integer instructions are made of.
 *
 *   1. Registers     get_reg(), set_reg(): 8, 16, 32 bits
 *   2. Operands      load_rm(), store_rm(), probe_rm(): register or memory, any segment, any address size
 *   3. Fast forms    flat_ea(): shapes of 32-bit addresses in flat segments
 *   4. Leaving       go(), go_linked(): on to the next block
 *   5. Tables        what op_*.c give to select_integer.c
 *
 * A handler with a memory operand exists twice.  The general one works everywhere and calls functions.  The
 * flat one assumes MODE_FLAT and a 32-bit address; when its one TLB comparison fails it hands the whole
 * instruction to the general one, so that it needs no stack frame of its own.
 */
#ifndef CPU_OP_H
#define CPU_OP_H

#include "cpu/block.h"
#include "cpu/decode.h"
#include "cpu/memory.h"

#define OP(name) enum run name(struct cpu *c, const struct insn *i)

/* ---- 1. Registers --------------------------------------------------------------------------- */

/* 8-bit registers are numbered by where they are: byte offset in c->gpr (select_integer() converts). */
static inline uint8_t byte_register(uint8_t number) { return (uint8_t)((number & 3) * 4 + (number >> 2)); }

FORCE_INLINE uint32_t get_reg(const struct cpu *c, unsigned reg, unsigned bits)
{
	uint16_t h;
	if (bits == 8)
		return ((const uint8_t *)c->gpr)[reg];
	if (bits == 16)
		return memcpy(&h, &c->gpr[reg], 2), h;
	return c->gpr[reg];
}
FORCE_INLINE void set_reg(struct cpu *c, unsigned reg, uint32_t value, unsigned bits)
{
	uint16_t h = (uint16_t)value;
	if (bits == 8)
		((uint8_t *)c->gpr)[reg] = (uint8_t)value;
	else if (bits == 16)
		memcpy(&c->gpr[reg], &h, 2);
	else
		c->gpr[reg] = value;
}

/* ---- 2. Operands ---------------------------------------------------------------------------- */

FORCE_INLINE bool load_mem(struct cpu *c, const struct insn *i, uint32_t *value, unsigned bits)
{
	uint32_t offset = ea(c, i);
	uint8_t b = 0;
	uint16_t h = 0;
	bool ok;

	if (bits == 32)
		return seg_read32(c, i->seg, offset, value);
	ok = bits == 8 ? seg_read8(c, i->seg, offset, &b) : seg_read16(c, i->seg, offset, &h);
	*value = bits == 8 ? b : h;
	return ok;
}
FORCE_INLINE bool store_mem(struct cpu *c, const struct insn *i, uint32_t value, unsigned bits)
{
	uint32_t offset = ea(c, i);

	return bits == 8    ? seg_write8(c, i->seg, offset, (uint8_t)value)
	       : bits == 16 ? seg_write16(c, i->seg, offset, (uint16_t)value)
	                    : seg_write32(c, i->seg, offset, value);
}
/* The operand of an instruction that reads, computes and writes: write access is checked first. */
FORCE_INLINE bool load_mem_for_write(struct cpu *c, const struct insn *i, uint32_t *value, unsigned bits)
{
	return seg_probe_write(c, i->seg, ea(c, i), bits / 8) && load_mem(c, i, value, bits);
}

/* Register or memory, decided at run time: for what is not worth two handlers. */
FORCE_INLINE bool load_rm(struct cpu *c, const struct insn *i, uint32_t *value, unsigned bits)
{
	if (i->flags & INSN_MEM)
		return load_mem(c, i, value, bits);
	*value = get_reg(c, i->rm, bits);
	return true;
}
FORCE_INLINE bool load_rm_for_write(struct cpu *c, const struct insn *i, uint32_t *value, unsigned bits)
{
	if (i->flags & INSN_MEM)
		return load_mem_for_write(c, i, value, bits);
	*value = get_reg(c, i->rm, bits);
	return true;
}
FORCE_INLINE bool store_rm(struct cpu *c, const struct insn *i, uint32_t value, unsigned bits)
{
	if (i->flags & INSN_MEM)
		return store_mem(c, i, value, bits);
	set_reg(c, i->rm, value, bits);
	return true;
}

/* The stack: offsets are from SS:0, taken modulo the stack's width; `bytes` is 2 or 4. */
static inline uint32_t stack_mask(const struct cpu *c)
{
	return c->mode & MODE_STACK32 ? 0xFFFFFFFFu : 0xFFFFu;
}
FORCE_INLINE bool write_stack(struct cpu *c, uint32_t offset, unsigned bytes, uint32_t value)
{
	offset &= stack_mask(c);
	return bytes == 2 ? seg_write16(c, CPU_SS, offset, (uint16_t)value)
	                  : seg_write32(c, CPU_SS, offset, value);
}
FORCE_INLINE bool read_stack(struct cpu *c, uint32_t offset, unsigned bytes, uint32_t *value)
{
	uint16_t h = 0;
	bool ok;

	offset &= stack_mask(c);
	if (bytes == 4)
		return seg_read32(c, CPU_SS, offset, value);
	ok = seg_read16(c, CPU_SS, offset, &h);
	*value = h;
	return ok;
}
/* Move the stack pointer up. */
FORCE_INLINE void drop_stack(struct cpu *c, uint32_t bytes)
{
	uint32_t mask = stack_mask(c);

	c->gpr[CPU_ESP] = (c->gpr[CPU_ESP] & ~mask) | ((c->gpr[CPU_ESP] + bytes) & mask);
}
FORCE_INLINE bool push(struct cpu *c, uint32_t value, unsigned bytes)
{
	if (!write_stack(c, c->gpr[CPU_ESP] - bytes, bytes, value))
		return false;
	drop_stack(c, 0u - bytes);
	return true;
}
/* What is `above` bytes from the top. */
FORCE_INLINE bool peek_stack(struct cpu *c, uint32_t above, unsigned bytes, uint32_t *value)
{
	return read_stack(c, c->gpr[CPU_ESP] + above, bytes, value);
}

/* ---- 3. Fast forms -------------------------------------------------------------------------- */

enum shape { SHAPE_BASE /* base + disp */, SHAPE_SIB /* any */ };

FORCE_INLINE uint32_t flat_ea(const struct cpu *c, const struct insn *i, enum shape shape)
{
	uint32_t a = c->gpr[i->base] + i->disp;

	return shape == SHAPE_BASE ? a : a + (c->gpr[i->index] << i->scale);
}

/* May instruction i use the flat handlers, and which shape? */
static inline bool is_flat_operand(const struct decoded *d, const struct insn *i)
{
	return d->mode & MODE_FLAT && i->addrsize == 4 &&
	       (i->seg == CPU_DS || i->seg == CPU_SS || i->seg == CPU_ES);
}
static inline enum shape shape_of(const struct insn *i)
{
	return i->index == REG_NONE ? SHAPE_BASE : SHAPE_SIB;
}

/* In a flat handler: the TLB entry for the operand, or on to the general handler. */
#define FLAT_HIT(t, tag, linear, bits, general)                                                        \
	const struct tlb_entry *t = tlb_at(c->tlb, linear);                                            \
	if (unlikely(t->tag != tlb_page(linear, (bits) / 8)))                                          \
		return general(c, i)

/* ---- 4. Leaving ----------------------------------------------------------------------------- */

/* On to the block at `target`, through the jump table or the loop. */
FORCE_INLINE enum run go(struct cpu *c, const struct insn *i, uint32_t target)
{
	const struct jump *j = jump_at(c, target);

	c->budget -= i->count;
	if (likely(c->budget > 0 && !c->pending && j->key == ((uint64_t)target << 32 | c->jump_key))) {
		c->block_eip = target;
		return j->insn->fn(c, j->insn);
	}
	c->eip = target;
	return RUN_BLOCK;
}

/* On to a successor of the block that i ends: `taken` or what follows i. */
FORCE_INLINE enum run go_linked(struct cpu *c, const struct insn *i, uint32_t target, bool taken)
{
	struct link *link = (struct link *)(uintptr_t)(i + 1); /* the block's own, not const there */
	const struct insn **successor = taken ? &link->taken : &link->fall;
	const struct insn *next = *successor;

	if (likely(next)) {
		c->budget -= i->count;
		if (likely(c->budget > 0 && !c->pending)) {
			c->block_eip = target;
			return next->fn(c, next);
		}
		c->eip = target;
		return RUN_BLOCK;
	}
	if (!(i->flags & (taken ? INSN_TAKEN_NEAR : INSN_FALL_NEAR)))
		return go(c, i, target);
	c->patch = successor; /* only ever set on the way to the loop, which consumes it */
	c->budget -= i->count;
	c->eip = target;
	return RUN_BLOCK;
}

/* A branch by i->imm from what follows it, chained. */
FORCE_INLINE enum run branch(struct cpu *c, const struct insn *i, bool taken)
{
	if (taken)
		return go_linked(c, i, next_eip(c, i) + i->imm, true);
	return go_linked(c, i, next_eip(c, i), false);
}

/* ---- 5. Tables ------------------------------------------------------------------------------ */

#define CONDITIONS(X)                                                                                  \
	X(CC_O) X(CC_NO) X(CC_B) X(CC_NB) X(CC_Z) X(CC_NZ) X(CC_BE) X(CC_NBE)                          \
	X(CC_S) X(CC_NS) X(CC_P) X(CC_NP) X(CC_L) X(CC_NL) X(CC_LE) X(CC_NLE)
/* Handlers of one operation: [size 8, 16, 32][form]. */
enum form {
	FORM_RR, /* rm register, reg register */
	FORM_RI, /* rm register, immediate */
	FORM_RM, /* reg, memory */
	FORM_MR, /* memory, reg */
	FORM_MI, /* memory, immediate */
	FORM_RM_BASE, FORM_MR_BASE, FORM_MI_BASE, /* the same, flat, base + disp */
	FORM_RM_SIB, FORM_MR_SIB, FORM_MI_SIB,    /* ... any 32-bit address */
	FORMS
};
static inline unsigned size_index(unsigned bytes) { return bytes == 1 ? 0 : bytes == 2 ? 1 : 2; }

#endif
