/* SPDX-License-Identifier: MIT */
/*
 * cpu/far.c - transfers of control between segments: JMP, CALL and RET far, IRET.
 *
 *   1. Code segments   what may be entered, and from where
 *   2. Jump            segment, call gate, task
 *   3. Call            the same, with a return address; through a gate to an inner ring
 *   4. Return          RET far; to the same ring or an outer one
 *   5. IRET            real and virtual-8086 mode, to virtual-8086 mode, to a ring, to a task
 *   6. Instructions
 *
 * The order of the checks is that of the operation sections of SDM vol. 2 (JMP, CALL, RET, IRET), because
 * an operating system sees which fault comes first.
 *
 * All functions set c->eip when they succeed.  When they fail, c->eip is untouched, unless a task switch
 * went through and the fault belongs to the new task: then it is the new task's.
 */
#include "cpu/system.h"

/* ---- 1. Code segments ----------------------------------------------------------------------- */

struct code_target {
	uint16_t selector;
	uint32_t lo, hi;
	uint32_t offset;
};

static bool code_within_limit(const struct code_target *t)
{
	struct cpu_segment s = unpack_descriptor(t->selector, t->lo, t->hi);

	return t->offset <= s.limit;
}

/* A code segment entered directly, by selector: no change of privilege (SDM vol. 3, 5.8.1). */
static bool check_direct(struct cpu *c, const struct code_target *t)
{
	if (desc_is_conforming(t->hi)) {
		if (desc_dpl(t->hi) > c->cpl)
			return fault(c, EXC_GP, sel_error(t->selector));
	} else if (sel_rpl(t->selector) > c->cpl || desc_dpl(t->hi) != c->cpl) {
		return fault(c, EXC_GP, sel_error(t->selector));
	}
	if (!desc_present(t->hi))
		return fault(c, EXC_NP, sel_error(t->selector));
	return true;
}

/* Enter a checked code segment: the last step. */
static void enter_code(struct cpu *c, const struct code_target *t, unsigned cpl)
{
	load_cs(c, t->selector, t->lo, t->hi, cpl);
	c->eip = t->offset;
	ring_changed(c);
}

/* Read what `selector` names for a jump or a call.  True with *type = S and type. */
static bool read_far_target(struct cpu *c, struct code_target *t)
{
	if (sel_null(t->selector))
		return fault(c, EXC_GP, 0);
	return read_descriptor(c, t->selector, &t->lo, &t->hi, EXC_GP);
}

/* A gate or TSS named by `t` may be used from here (SDM vol. 3, 5.8.4, 7.3). */
static bool check_gate(struct cpu *c, const struct code_target *t)
{
	if (desc_dpl(t->hi) < c->cpl || desc_dpl(t->hi) < sel_rpl(t->selector))
		return fault(c, EXC_GP, sel_error(t->selector));
	if (!desc_present(t->hi))
		return fault(c, EXC_NP, sel_error(t->selector));
	return true;
}

/* What the call gate `gate` leads to; `jump`: privilege must not change. */
static bool read_gate_target(struct cpu *c, const struct code_target *gate, bool jump, struct code_target *t)
{
	unsigned dpl;

	t->selector = (uint16_t)(gate->lo >> 16);
	t->offset = gate->lo & 0xFFFF;
	if (desc_type(gate->hi) & SYS_32BIT)
		t->offset |= gate->hi & 0xFFFF0000;
	if (!read_far_target(c, t))
		return false;
	dpl = desc_dpl(t->hi);
	if (!desc_is_code(t->hi) || dpl > c->cpl || (jump && !desc_is_conforming(t->hi) && dpl != c->cpl))
		return fault(c, EXC_GP, sel_error(t->selector));
	if (!desc_present(t->hi))
		return fault(c, EXC_NP, sel_error(t->selector));
	return true;
}

/* A far jump or call that turned out to name a TSS or a task gate. */
static bool transfer_to_task(struct cpu *c, const struct code_target *t, enum task_switch why,
                             uint32_t return_eip)
{
	uint16_t selector = t->selector;

	if (!check_gate(c, t))
		return false;
	if (desc_type(t->hi) == SYS_TASK_GATE)
		selector = (uint16_t)(t->lo >> 16);
	return switch_task(c, selector, why, return_eip, false, 0);
}

static void enter_real(struct cpu *c, uint16_t selector, uint32_t offset)
{
	c->eip = offset;
	set_segment_real(c, CPU_CS, selector);
}

static uint32_t cut(uint32_t offset, unsigned opsize) { return opsize == 2 ? offset & 0xFFFF : offset; }

/* ---- 2. Jump -------------------------------------------------------------------------------- */

static bool jump_to_code(struct cpu *c, struct code_target *t)
{
	if (!code_within_limit(t))
		return fault(c, EXC_GP, 0);
	if (!write_accessed(c, t->selector, &t->hi))
		return false;
	enter_code(c, t, c->cpl);
	return true;
}

bool far_jump(struct cpu *c, uint16_t selector, uint32_t offset, uint32_t return_eip, unsigned opsize)
{
	struct code_target t = { .selector = selector, .offset = cut(offset, opsize) }, inner;

	if (!in_protected(c)) {
		if (t.offset > c->seg[CPU_CS].limit)
			return fault(c, EXC_GP, 0);
		enter_real(c, selector, t.offset);
		return true;
	}
	if (!read_far_target(c, &t))
		return false;
	if (desc_is_code(t.hi))
		return check_direct(c, &t) && jump_to_code(c, &t);
	switch (desc_type(t.hi)) {
	case SYS_CALL16:
	case SYS_CALL32:
		return check_gate(c, &t) && read_gate_target(c, &t, true, &inner) && jump_to_code(c, &inner);
	case SYS_TASK_GATE:
	case SYS_TSS16:
	case SYS_TSS32:
		return transfer_to_task(c, &t, TASK_JUMP, return_eip);
	default:
		return fault(c, EXC_GP, sel_error(selector));
	}
}

/* ---- 3. Call -------------------------------------------------------------------------------- */

/* CS and eip on the current stack, each `size` bytes, room checked; *esp is what ESP becomes. */
static bool push_return(struct cpu *c, uint32_t return_eip, unsigned size, uint32_t *esp)
{
	struct stack s = current_stack(c);
	uint32_t cs_at = (s.sp - size) & s.mask, eip_at = (s.sp - 2 * size) & s.mask;
	uint16_t cs = c->seg[CPU_CS].selector;

	if (size == 4 ? !seg_write32(c, CPU_SS, cs_at, cs) || !seg_write32(c, CPU_SS, eip_at, return_eip)
	              : !seg_write16(c, CPU_SS, cs_at, cs) ||
	                        !seg_write16(c, CPU_SS, eip_at, (uint16_t)return_eip))
		return false;
	s.sp -= 2 * size;
	*esp = stack_pointer(c, &s);
	return true;
}

/* Call a checked code segment without change of privilege. */
static bool call_code(struct cpu *c, struct code_target *t, uint32_t return_eip, unsigned size)
{
	uint32_t esp;
	struct stack s = current_stack(c);

	if (!stack_room(&s, 2, size))
		return fault(c, EXC_SS, 0);
	if (!code_within_limit(t))
		return fault(c, EXC_GP, 0);
	if (!write_accessed(c, t->selector, &t->hi) || !push_return(c, return_eip, size, &esp))
		return false;
	c->gpr[CPU_ESP] = esp;
	enter_code(c, t, c->cpl);
	return true;
}

/* Through a call gate to an inner ring: the stack is switched and parameters are copied (SDM vol. 3, 5.8.5). */
static bool call_inner(struct cpu *c, const struct code_target *gate, struct code_target *t,
                       uint32_t return_eip)
{
	unsigned size = desc_type(gate->hi) & SYS_32BIT ? 4 : 2, params = gate->hi & 31;
	unsigned cpl = desc_dpl(t->hi);
	struct cpu_segment ss;
	struct stack s;
	uint16_t selector;
	uint32_t esp, value;

	if (!read_inner_stack(c, cpl, &selector, &esp) || !check_stack_segment(c, selector, cpl, EXC_TS, &ss))
		return false;
	s = other_stack(&ss, esp, cpl);
	if (!stack_room(&s, params + 4, size))
		return fault(c, EXC_SS, sel_error(selector));
	if (!code_within_limit(t))
		return fault(c, EXC_GP, 0);
	if (!write_accessed(c, t->selector, &t->hi))
		return false;
	if (!stack_push(c, &s, size, c->seg[CPU_SS].selector) || !stack_push(c, &s, size, c->gpr[CPU_ESP]))
		return false;
	for (unsigned n = params; n--;)
		if (!stack_peek(c, n, size, &value) || !stack_push(c, &s, size, value))
			return false;
	if (!stack_push(c, &s, size, c->seg[CPU_CS].selector) || !stack_push(c, &s, size, return_eip))
		return false;
	c->seg[CPU_SS] = ss;
	c->gpr[CPU_ESP] = stack_pointer(c, &s);
	enter_code(c, t, cpl);
	return true;
}

static bool call_real(struct cpu *c, uint16_t selector, uint32_t offset, uint32_t return_eip, unsigned opsize)
{
	struct stack s = current_stack(c);
	uint32_t esp;

	if (!stack_room(&s, 2, opsize))
		return fault(c, EXC_SS, 0);
	if (offset > c->seg[CPU_CS].limit)
		return fault(c, EXC_GP, 0);
	if (!push_return(c, return_eip, opsize, &esp))
		return false;
	c->gpr[CPU_ESP] = esp;
	enter_real(c, selector, offset);
	return true;
}

bool far_call(struct cpu *c, uint16_t selector, uint32_t offset, uint32_t return_eip, unsigned opsize)
{
	struct code_target t = { .selector = selector, .offset = cut(offset, opsize) }, inner;

	if (!in_protected(c))
		return call_real(c, selector, t.offset, return_eip, opsize);
	if (!read_far_target(c, &t))
		return false;
	if (desc_is_code(t.hi))
		return check_direct(c, &t) && call_code(c, &t, return_eip, opsize);
	switch (desc_type(t.hi)) {
	case SYS_CALL16:
	case SYS_CALL32:
		if (!check_gate(c, &t) || !read_gate_target(c, &t, false, &inner))
			return false;
		if (!desc_is_conforming(inner.hi) && desc_dpl(inner.hi) < c->cpl)
			return call_inner(c, &t, &inner, return_eip);
		return call_code(c, &inner, return_eip, desc_type(t.hi) & SYS_32BIT ? 4 : 2);
	case SYS_TASK_GATE:
	case SYS_TSS16:
	case SYS_TSS32:
		return transfer_to_task(c, &t, TASK_CALL, return_eip);
	default:
		return fault(c, EXC_GP, sel_error(selector));
	}
}

/* ---- 4. Return ------------------------------------------------------------------------------ */

/* The code segment that RET or IRET goes back to: never inwards (SDM vol. 2, RET). */
static bool check_return_code(struct cpu *c, struct code_target *t)
{
	unsigned rpl = sel_rpl(t->selector), dpl;

	if (!read_far_target(c, t))
		return false;
	dpl = desc_dpl(t->hi);
	if (!desc_is_code(t->hi) || rpl < c->cpl || (desc_is_conforming(t->hi) ? dpl > rpl : dpl != rpl))
		return fault(c, EXC_GP, sel_error(t->selector));
	if (!desc_present(t->hi))
		return fault(c, EXC_NP, sel_error(t->selector));
	return true;
}

/* Return to a less privileged ring: SS:ESP lie after `above` bytes of the current stack, `release` are
 * dropped from the outer one.  Commits. */
static bool return_outer(struct cpu *c, struct code_target *t, unsigned opsize, uint32_t above,
                         uint32_t release)
{
	unsigned cpl = sel_rpl(t->selector);
	struct cpu_segment ss;
	struct stack outer;
	uint32_t mask = stack_mask_of(&c->seg[CPU_SS]);
	uint32_t at = c->gpr[CPU_ESP] + above, esp;
	uint16_t selector, half;

	if (opsize == 4) {
		if (!seg_read32(c, CPU_SS, at & mask, &esp))
			return false;
	} else {
		if (!seg_read16(c, CPU_SS, at & mask, &half))
			return false;
		esp = half;
	}
	if (!seg_read16(c, CPU_SS, (at + opsize) & mask, &selector) ||
	    !check_stack_segment(c, selector, cpl, EXC_GP, &ss))
		return false;
	if (!code_within_limit(t))
		return fault(c, EXC_GP, 0);
	if (!write_accessed(c, t->selector, &t->hi))
		return false;
	outer = other_stack(&ss, esp + release, cpl);
	c->gpr[CPU_ESP] = stack_pointer(c, &outer);
	c->seg[CPU_SS] = ss;
	load_cs(c, t->selector, t->lo, t->hi, cpl);
	c->eip = t->offset;
	drop_inner_segments(c);
	ring_changed(c);
	return true;
}

bool far_return(struct cpu *c, unsigned opsize, uint16_t pop_bytes)
{
	struct code_target t = { 0 };
	uint32_t selector, drop = 2 * opsize + pop_bytes;

	if (!stack_peek(c, 0, opsize, &t.offset) || !stack_peek(c, 1, opsize, &selector))
		return false;
	t.selector = (uint16_t)selector;
	if (!in_protected(c)) {
		if (t.offset > c->seg[CPU_CS].limit)
			return fault(c, EXC_GP, 0);
		stack_drop(c, drop);
		enter_real(c, t.selector, t.offset);
		return true;
	}
	if (!check_return_code(c, &t))
		return false;
	if (sel_rpl(t.selector) > c->cpl)
		return return_outer(c, &t, opsize, drop, pop_bytes);
	if (!code_within_limit(&t))
		return fault(c, EXC_GP, 0);
	if (!write_accessed(c, t.selector, &t.hi))
		return false;
	stack_drop(c, drop);
	enter_code(c, &t, c->cpl);
	return true;
}

/* ---- 5. IRET -------------------------------------------------------------------------------- */

/* Which bits of EFLAGS an IRET of this size may change, at the privilege it starts from. */
static uint32_t iret_flags(const struct cpu *c, unsigned opsize)
{
	uint32_t mask = FL_STATUS | FL_TF | FL_DF | FL_NT;

	if (opsize == 4)
		mask |= FL_RF | FL_AC | FL_ID;
	if (c->cpl <= io_privilege(c))
		mask |= FL_IF;
	if (c->cpl == 0)
		mask |= FL_IOPL;
	return mask;
}

/* In real mode, and in virtual-8086 mode with IOPL 3. */
static bool iret_real(struct cpu *c, unsigned opsize)
{
	uint32_t eip, selector, flags, mask;

	if (in_v86(c) && io_privilege(c) < 3)
		return fault(c, EXC_GP, 0);
	if (!stack_peek(c, 0, opsize, &eip) || !stack_peek(c, 1, opsize, &selector) ||
	    !stack_peek(c, 2, opsize, &flags))
		return false;
	if (eip > c->seg[CPU_CS].limit)
		return fault(c, EXC_GP, 0);
	mask = iret_flags(c, opsize);
	stack_drop(c, 3 * opsize);
	enter_real(c, (uint16_t)selector, eip);
	set_eflags(c, flags, mask);
	return true;
}

/* From ring 0 to virtual-8086 mode: nine items are popped, all segments become real-mode ones. */
static bool iret_v86(struct cpu *c, uint32_t eip, uint16_t cs, uint32_t flags)
{
	static const uint8_t order[] = { CPU_SS, CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	uint32_t esp, selector[sizeof order];

	if (!stack_peek(c, 3, 4, &esp))
		return false;
	for (unsigned n = 0; n < sizeof order; n++)
		if (!stack_peek(c, n + 4, 4, &selector[n]))
			return false;
	if (eip > 0xFFFF)
		return fault(c, EXC_GP, 0);
	set_cpl(c, 3);
	set_eflags(c, flags, FL_STATUS | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_ID);
	c->gpr[CPU_ESP] = esp;
	for (unsigned n = 0; n < sizeof order; n++)
		set_segment_real(c, order[n], (uint16_t)selector[n]);
	enter_real(c, cs, eip);
	return true;
}

/* NT is set: back to the task that the current TSS links to (SDM vol. 3, 7.4). */
static bool iret_task(struct cpu *c, uint32_t next)
{
	uint16_t link;

	if (!sys_read16(c, c->tr.base, &link))
		return false;
	return switch_task(c, link, TASK_IRET, next, false, 0);
}

bool interrupt_return(struct cpu *c, uint32_t next, unsigned opsize)
{
	struct code_target t = { 0 };
	uint32_t selector, flags, mask;

	if (!in_protected(c))
		return iret_real(c, opsize);
	if (c->flags & FL_NT)
		return iret_task(c, next);
	if (!stack_peek(c, 0, opsize, &t.offset) || !stack_peek(c, 1, opsize, &selector) ||
	    !stack_peek(c, 2, opsize, &flags))
		return false;
	t.selector = (uint16_t)selector;
	if (opsize == 4 && (flags & FL_VM) && c->cpl == 0)
		return iret_v86(c, t.offset, t.selector, flags);
	if (!check_return_code(c, &t))
		return false;
	mask = iret_flags(c, opsize);
	if (sel_rpl(t.selector) > c->cpl) {
		if (!return_outer(c, &t, opsize, 3 * opsize, 0))
			return false;
	} else {
		if (!code_within_limit(&t))
			return fault(c, EXC_GP, 0);
		if (!write_accessed(c, t.selector, &t.hi))
			return false;
		stack_drop(c, 3 * opsize);
		enter_code(c, &t, c->cpl);
	}
	set_eflags(c, flags, mask);
	return true;
}

/* ---- 6. Instructions ------------------------------------------------------------------------ */

/* A transfer is done, or its fault is recorded with c->eip where the fault belongs. */
static enum run finish(struct cpu *c, const struct insn *i, bool done)
{
	uint32_t eip = c->eip;
	enum run run;

	if (likely(done)) {
		c->budget -= i->count;
		return RUN_BLOCK;
	}
	run = faulted(c, i);
	c->eip = eip;
	return run;
}

enum run op_far_direct_jump(struct cpu *c, const struct insn *i)
{
	c->eip = insn_eip(c, i);
	return finish(c, i, far_jump(c, (uint16_t)i->disp, i->imm, next_eip(c, i), i->opsize));
}

enum run op_far_direct_call(struct cpu *c, const struct insn *i)
{
	c->eip = insn_eip(c, i);
	return finish(c, i, far_call(c, (uint16_t)i->disp, i->imm, next_eip(c, i), i->opsize));
}

/* The far pointer in memory: offset, then selector. */
static bool read_pointer(struct cpu *c, const struct insn *i, uint16_t *selector, uint32_t *offset)
{
	uint32_t at = ea(c, i), second = at + i->opsize;
	uint16_t half;

	if (i->addrsize == 2)
		second = (uint16_t)second;
	if (i->opsize == 4)
		return seg_read32(c, i->seg, at, offset) && seg_read16(c, i->seg, second, selector);
	if (!seg_read16(c, i->seg, at, &half) || !seg_read16(c, i->seg, second, selector))
		return false;
	*offset = half;
	return true;
}

enum run op_far_jump(struct cpu *c, const struct insn *i)
{
	uint16_t selector;
	uint32_t offset;

	c->eip = insn_eip(c, i);
	if (!read_pointer(c, i, &selector, &offset))
		return faulted(c, i);
	return finish(c, i, far_jump(c, selector, offset, next_eip(c, i), i->opsize));
}

enum run op_far_call(struct cpu *c, const struct insn *i)
{
	uint16_t selector;
	uint32_t offset;

	c->eip = insn_eip(c, i);
	if (!read_pointer(c, i, &selector, &offset))
		return faulted(c, i);
	return finish(c, i, far_call(c, selector, offset, next_eip(c, i), i->opsize));
}

enum run op_far_return(struct cpu *c, const struct insn *i)
{
	c->eip = insn_eip(c, i);
	return finish(c, i, far_return(c, i->opsize, (uint16_t)i->imm));
}

enum run op_iret(struct cpu *c, const struct insn *i)
{
	c->eip = insn_eip(c, i);
	/* NMIs are let in again even if this IRET faults (SDM vol. 3, 6.7.1). */
	if (unlikely(c->nmi_blocked)) {
		c->nmi_blocked = false;
		if (c->nmi_pending)
			c->events |= EV_NMI;
	}
	return finish(c, i, interrupt_return(c, next_eip(c, i), i->opsize));
}
