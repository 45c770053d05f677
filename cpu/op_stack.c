/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_stack.c - PUSH POP PUSHA POPA ENTER LEAVE, and BOUND.
 *
 * The stack pointer is ESP or SP by SS.B; it moves last, so that a fault leaves it alone.
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. PUSH -------------------------------------------------------------------------------- */

FORCE_INLINE enum run push_general(struct cpu *c, const struct insn *i, uint32_t value)
{
	if (!push(c, value, i->opsize))
		return faulted(c, i);
	NEXT(c, i);
}

OP(op_push_r) { return push_general(c, i, c->gpr[i->rm]); }
OP(op_push_i) { return push_general(c, i, i->imm); }
OP(op_push_m)
{
	uint32_t value;

	if (!(i->opsize == 2 ? load_mem(c, i, &value, 16) : load_mem(c, i, &value, 32)))
		return faulted(c, i);
	return push_general(c, i, value);
}

FORCE_INLINE enum run push_flat32(struct cpu *c, const struct insn *i, uint32_t value, insn_fn *general)
{
	uint32_t sp = c->gpr[CPU_ESP] - 4;

	FLAT_HIT(t, write, sp, 32, general);
	host_store(tlb_host(t, sp), value, 32);
	c->gpr[CPU_ESP] = sp;
	NEXT(c, i);
}
OP(op_push_r32) { return push_flat32(c, i, c->gpr[i->rm], op_push_r); }
OP(op_push_i32) { return push_flat32(c, i, i->imm, op_push_i); }
OP(op_push_m32)
{
	uint32_t linear = flat_ea(c, i, SHAPE_SIB);

	FLAT_HIT(t, read, linear, 32, op_push_m);
	return push_flat32(c, i, host_load(tlb_host(t, linear), 32), op_push_m);
}

/* ---- 2. POP --------------------------------------------------------------------------------- */

OP(op_pop_r)
{
	uint32_t value;

	if (!peek_stack(c, 0, i->opsize, &value))
		return faulted(c, i);
	drop_stack(c, i->opsize);
	if (i->opsize == 2)
		set_reg(c, i->rm, value, 16);
	else
		c->gpr[i->rm] = value;
	NEXT(c, i);
}
OP(op_pop_r32)
{
	uint32_t sp = c->gpr[CPU_ESP];

	FLAT_HIT(t, read, sp, 32, op_pop_r);
	c->gpr[CPU_ESP] = sp + 4;
	c->gpr[i->rm] = host_load(tlb_host(t, sp), 32);
	NEXT(c, i);
}
/* POP to memory: an address that uses ESP sees it after the increment (SDM vol. 2, POP). */
OP(op_pop_m)
{
	uint32_t value, before = c->gpr[CPU_ESP];
	bool ok;

	if (!peek_stack(c, 0, i->opsize, &value))
		return faulted(c, i);
	drop_stack(c, i->opsize);
	ok = i->opsize == 2 ? store_mem(c, i, value, 16) : store_mem(c, i, value, 32);
	if (!ok) {
		c->gpr[CPU_ESP] = before;
		return faulted(c, i);
	}
	NEXT(c, i);
}

/* ---- 3. PUSHA POPA -------------------------------------------------------------------------- */

OP(op_pusha)
{
	uint32_t sp = c->gpr[CPU_ESP], mask = stack_mask(c);
	unsigned size = i->opsize;

	/* Eight values in one piece, unless the piece wraps in a 16-bit stack: then each by itself. */
	if (!seg_probe_write(c, CPU_SS, (sp - size) & mask, size) ||
	    !seg_probe_write(c, CPU_SS, (sp - 8 * size) & mask, size))
		return faulted(c, i);
	for (unsigned reg = CPU_EAX; reg <= CPU_EDI; reg++)
		if (!write_stack(c, sp - (reg + 1) * size, size, reg == CPU_ESP ? sp : c->gpr[reg]))
			return faulted(c, i);
	drop_stack(c, 0u - 8 * size);
	NEXT(c, i);
}

OP(op_popa)
{
	uint32_t value[8];
	unsigned size = i->opsize;

	for (unsigned n = 0; n < 8; n++)
		if (!peek_stack(c, n * size, size, &value[n]))
			return faulted(c, i);
	drop_stack(c, 8 * size);
	for (unsigned n = 0; n < 8; n++) {
		unsigned reg = 7 - n;
		if (reg == CPU_ESP)
			continue;
		if (size == 2)
			set_reg(c, reg, value[n], 16);
		else
			c->gpr[reg] = value[n];
	}
	NEXT(c, i);
}

/* ---- 4. ENTER LEAVE ------------------------------------------------------------------------- */

OP(op_leave)
{
	uint32_t before = c->gpr[CPU_ESP], mask = stack_mask(c), value;

	c->gpr[CPU_ESP] = (before & ~mask) | (c->gpr[CPU_EBP] & mask);
	if (!peek_stack(c, 0, i->opsize, &value)) {
		c->gpr[CPU_ESP] = before;
		return faulted(c, i);
	}
	drop_stack(c, i->opsize);
	if (i->opsize == 2)
		set_reg(c, CPU_EBP, value, 16);
	else
		c->gpr[CPU_EBP] = value;
	NEXT(c, i);
}
OP(op_leave32)
{
	uint32_t sp = c->gpr[CPU_EBP];

	FLAT_HIT(t, read, sp, 32, op_leave);
	c->gpr[CPU_ESP] = sp + 4;
	c->gpr[CPU_EBP] = host_load(tlb_host(t, sp), 32);
	NEXT(c, i);
}

/* With EBP near ESP the links are copied over each other: who did half of it cannot begin again.  So an observer that
 * has to ask for the instruction once more does so before its first write, in the order of the copying. */
static __attribute__((noinline)) bool is_asked_again(struct cpu *c, const struct insn *i, uint32_t sp, unsigned level)
{
	uint32_t size = i->opsize, mask = stack_mask(c), link;
	bool ok = true;

	for (unsigned n = 1; ok && n <= level + 1; n++)
		ok = seg_probe_write(c, CPU_SS, (sp - n * size) & mask, i->opsize) &&
		     (n >= level || read_stack(c, c->gpr[CPU_EBP] - n * size, i->opsize, &link));
	if (ok)
		ok = seg_probe_write(c, CPU_SS, (sp - (level + 1) * size - (i->imm & 0xFFFF)) & mask, i->opsize);
	bool again = !ok && c->exc.vector < 0 && c->exit == EXIT_AGAIN;
	c->exc.vector = -1; /* what fails otherwise fails when it is done, after the writes before it as on processors */
	return again;
}

/* ENTER size, level (SDM vol. 2).  Writes go below the stack pointer, which moves only at the end, after the
 * new top was found writable. */
OP(op_enter)
{
	uint32_t sp = c->gpr[CPU_ESP], mask = stack_mask(c), frame, link, size = i->opsize;
	unsigned level = i->disp % 32;

	if (unlikely(c->no_tags & OBSERVED && !c->exact && level > 1) && is_asked_again(c, i, sp, level))
		return faulted(c, i);
	sp -= size;
	frame = (c->gpr[CPU_ESP] & ~mask) | (sp & mask);
	if (!write_stack(c, sp, i->opsize, c->gpr[CPU_EBP]))
		return faulted(c, i);
	for (unsigned n = 1; n < level; n++) {
		if (!read_stack(c, c->gpr[CPU_EBP] - n * size, i->opsize, &link))
			return faulted(c, i);
		sp -= size;
		if (!write_stack(c, sp, i->opsize, link))
			return faulted(c, i);
	}
	if (level) {
		sp -= size;
		if (!write_stack(c, sp, i->opsize, frame))
			return faulted(c, i);
	}
	sp -= i->imm & 0xFFFF;
	if (!seg_probe_write(c, CPU_SS, sp & mask, i->opsize))
		return faulted(c, i);
	c->gpr[CPU_ESP] = (c->gpr[CPU_ESP] & ~mask) | (sp & mask);
	if (i->opsize == 2)
		set_reg(c, CPU_EBP, frame, 16);
	else
		c->gpr[CPU_EBP] = frame;
	NEXT(c, i);
}

/* ---- 5. BOUND ------------------------------------------------------------------------------- */

OP(op_bound)
{
	uint32_t offset = ea(c, i), second = offset + i->opsize, lower, upper;
	int64_t index, low, high;
	uint16_t low16, high16;

	if (i->addrsize == 2)
		second = (uint16_t)second;
	if (i->opsize == 2) {
		if (!seg_read16(c, i->seg, offset, &low16) || !seg_read16(c, i->seg, second, &high16))
			return faulted(c, i);
		index = (int16_t)c->gpr[i->reg];
		low = (int16_t)low16;
		high = (int16_t)high16;
	} else {
		if (!seg_read32(c, i->seg, offset, &lower) || !seg_read32(c, i->seg, second, &upper))
			return faulted(c, i);
		index = (int32_t)c->gpr[i->reg];
		low = (int32_t)lower;
		high = (int32_t)upper;
	}
	if (index < low || index > high)
		return raise(c, i, EXC_BR);
	NEXT(c, i);
}
