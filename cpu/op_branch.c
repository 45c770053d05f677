/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_branch.c - near control transfers, and the ends of blocks.
 *
 *   1. Ends of blocks   without a branch
 *   2. Jcc, JMP         chained, and through the loop
 *   3. CALL, RET        likewise
 *   4. LOOP JCXZ INTO
 *
 * Chained handlers assume a flat code segment and 32-bit operands, so that no target is out of bounds.
 * The *_loop ones check the limit (SDM vol. 2, JMP: #GP(0), nothing changed) and return to the loop.
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. Ends of blocks ---------------------------------------------------------------------- */

OP(op_block_end) { return go_linked(c, i, insn_eip(c, i), false); }
OP(op_block_return)
{
	c->eip = insn_eip(c, i);
	c->budget -= i->count;
	return RUN_BLOCK;
}
OP(op_undefined) { return raise(c, i, EXC_UD); }
OP(op_too_long) { return raise_error(c, i, EXC_GP, 0); }

/* ---- 2. Jcc, JMP ---------------------------------------------------------------------------- */

static uint32_t branch_target(const struct cpu *c, const struct insn *i)
{
	uint32_t target = next_eip(c, i) + i->imm;

	return i->opsize == 2 ? (uint16_t)target : target;
}

/* Leave for `target` through the loop, if the code segment reaches that far. */
static enum run leave_to(struct cpu *c, const struct insn *i, uint32_t target)
{
	if (target > c->seg[CPU_CS].limit)
		return raise_error(c, i, EXC_GP, 0);
	c->eip = target;
	c->budget -= i->count;
	return RUN_BLOCK;
}

static enum run branch_loop(struct cpu *c, const struct insn *i, bool taken)
{
	return taken ? leave_to(c, i, branch_target(c, i)) : end_block(c, i);
}

#define JCC(cc)                                                                                        \
	static OP(jcc_##cc) { return branch(c, i, condition(c, cc)); }                                 \
	static OP(jcc_loop_##cc) { return branch_loop(c, i, condition(c, cc)); }
CONDITIONS(JCC)
#define JCC_ROW(cc) [cc] = jcc_##cc,
#define JCC_LOOP_ROW(cc) [cc] = jcc_loop_##cc,
insn_fn *const jcc_handlers[16] = { CONDITIONS(JCC_ROW) };
insn_fn *const jcc_loop_handlers[16] = { CONDITIONS(JCC_LOOP_ROW) };

OP(op_jmp) { return branch(c, i, true); }
OP(op_jmp_loop) { return branch_loop(c, i, true); }
OP(op_jmp_r) { return go(c, i, c->gpr[i->rm]); }

/* 16 or 32 bits by opsize. */
static inline bool load_target(struct cpu *c, const struct insn *i, uint32_t *target)
{
	return i->opsize == 2 ? load_rm(c, i, target, 16) : load_rm(c, i, target, 32);
}

OP(op_jmp_rm)
{
	uint32_t target;

	if (!load_target(c, i, &target))
		return faulted(c, i);
	if (may_chain(c->mode, c->options))
		return go(c, i, target);
	return leave_to(c, i, target);
}

/* ---- 3. CALL, RET --------------------------------------------------------------------------- */

/* Push in the flat fast way; false: nothing done, take the other. */
FORCE_INLINE bool push_flat(struct cpu *c, uint32_t value)
{
	uint32_t sp = c->gpr[CPU_ESP] - 4;
	const struct tlb_entry *t = tlb_at(c->tlb, sp);

	if (unlikely(t->write != tlb_page(sp, 4)))
		return false;
	host_store(tlb_host(t, sp), value, 32);
	c->gpr[CPU_ESP] = sp;
	return true;
}

OP(op_call_loop)
{
	uint32_t target = branch_target(c, i);

	if (target > c->seg[CPU_CS].limit)
		return raise_error(c, i, EXC_GP, 0);
	if (!push(c, next_eip(c, i), i->opsize))
		return faulted(c, i);
	return leave_to(c, i, target);
}

OP(op_call)
{
	if (unlikely(!push_flat(c, next_eip(c, i))))
		return op_call_loop(c, i);
	return go_linked(c, i, next_eip(c, i) + i->imm, true);
}

OP(op_call_rm)
{
	uint32_t target;

	if (!load_target(c, i, &target))
		return faulted(c, i);
	if (target > c->seg[CPU_CS].limit)
		return raise_error(c, i, EXC_GP, 0);
	if (!push(c, next_eip(c, i), i->opsize))
		return faulted(c, i);
	if (may_chain(c->mode, c->options))
		return go(c, i, target);
	return leave_to(c, i, target);
}

OP(op_call_r)
{
	uint32_t target = c->gpr[i->rm];

	if (unlikely(!push_flat(c, next_eip(c, i))))
		return op_call_rm(c, i);
	return go(c, i, target);
}

OP(op_call_m)
{
	uint32_t linear = flat_ea(c, i, SHAPE_SIB);

	FLAT_HIT(t, read, linear, 32, op_call_rm);
	uint32_t target = host_load(tlb_host(t, linear), 32);
	if (unlikely(!push_flat(c, next_eip(c, i))))
		return op_call_rm(c, i);
	return go(c, i, target);
}

OP(op_ret_loop)
{
	uint32_t target;

	if (!peek_stack(c, 0, i->opsize, &target))
		return faulted(c, i);
	if (target > c->seg[CPU_CS].limit)
		return raise_error(c, i, EXC_GP, 0);
	drop_stack(c, i->opsize + (i->imm & 0xFFFF));
	return leave_to(c, i, target);
}

OP(op_ret)
{
	uint32_t sp = c->gpr[CPU_ESP];

	FLAT_HIT(t, read, sp, 32, op_ret_loop);
	c->gpr[CPU_ESP] = sp + 4 + i->imm;
	return go(c, i, host_load(tlb_host(t, sp), 32));
}

/* ---- 4. LOOP JCXZ INTO ---------------------------------------------------------------------- */

/* Count down CX or ECX by address size; whether it is not yet zero. */
static inline bool count_down(struct cpu *c, const struct insn *i)
{
	unsigned bits = i->addrsize * 8u;
	uint32_t count = truncate_to(get_reg(c, CPU_ECX, 32) - 1u, bits);

	return count != 0;
}

static enum run finish_loop(struct cpu *c, const struct insn *i, bool taken)
{
	uint32_t count = c->gpr[CPU_ECX] - 1;

	if (taken && branch_target(c, i) > c->seg[CPU_CS].limit)
		return raise_error(c, i, EXC_GP, 0);
	set_reg(c, CPU_ECX, count, i->addrsize * 8u);
	if (may_chain(c->mode, c->options) && i->opsize == 4)
		return branch(c, i, taken);
	return branch_loop(c, i, taken);
}

OP(op_loop) { return finish_loop(c, i, count_down(c, i)); }
OP(op_loope) { return finish_loop(c, i, count_down(c, i) && flag_zf(c)); }
OP(op_loopne) { return finish_loop(c, i, count_down(c, i) && !flag_zf(c)); }
OP(op_jcxz)
{
	bool taken = truncate_to(c->gpr[CPU_ECX], i->addrsize * 8u) == 0;

	if (may_chain(c->mode, c->options) && i->opsize == 4)
		return branch(c, i, taken);
	return branch_loop(c, i, taken);
}

OP(op_into)
{
	if (!flag_of(c))
		return end_block(c, i);
	/* A trap like INT n: eip is after it, the gate's DPL counts. */
	fault(c, EXC_OF, 0);
	c->exc.software = true;
	c->int_eip = insn_eip(c, i);
	c->eip = next_eip(c, i);
	c->budget -= i->count;
	return RUN_FAULT;
}
