/* SPDX-License-Identifier: MIT */
/*
 * cpu/sysflags.c - the system's flags: PUSHF, POPF, CLI, STI, HLT.
 *
 * What a program may change depends on CPL, IOPL and virtual-8086 mode (SDM vol. 2, POPF, table 4-15; vol. 3,
 * 6.8.1).  VIF and VIP stay 0: there are no virtual-mode extensions.
 */
#include "cpu/block.h"
#include "cpu/system.h"
#include "cpu/uncached.h"

enum run op_pushf(struct cpu *c, const struct insn *i)
{
	uint32_t image = get_eflags(c) & ~(uint32_t)(FL_VM | FL_RF);
	uint32_t at = (c->gpr[CPU_ESP] - i->opsize) & stack_mask_of(&c->seg[CPU_SS]);

	if (in_v86(c) && io_privilege(c) < 3)
		return raise_error(c, i, EXC_GP, 0);
	if (i->opsize == 4 ? !seg_write32(c, CPU_SS, at, image) : !seg_write16(c, CPU_SS, at, (uint16_t)image))
		return faulted(c, i);
	stack_drop(c, 0u - i->opsize);
	NEXT(c, i);
}

static uint32_t popf_flags(const struct cpu *c, unsigned opsize)
{
	uint32_t mask = FL_STATUS | FL_TF | FL_DF | FL_NT;

	if (opsize == 4)
		mask |= FL_AC | FL_ID;
	if (c->cpl <= io_privilege(c))
		mask |= FL_IF;
	if (c->cpl == 0)
		mask |= FL_IOPL;
	return mask;
}

static bool pop_flags(struct cpu *c, const struct insn *i)
{
	uint32_t image;

	if (in_v86(c) && io_privilege(c) < 3)
		return fault(c, EXC_GP, 0);
	if (!stack_peek(c, 0, i->opsize, &image))
		return false;
	stack_drop(c, i->opsize);
	set_eflags(c, image, popf_flags(c, i->opsize));
	return true;
}

/* Linux restores IF with it all the time: the block goes on unless the flags made something due. */
enum run op_popf(struct cpu *c, const struct insn *i)
{
	uint8_t mode = c->mode;

	if (!pop_flags(c, i))
		return faulted(c, i);
	if (c->pending || c->mode != mode)
		return end_block(c, i);
	NEXT(c, i);
}

enum run op_cli(struct cpu *c, const struct insn *i)
{
	if (c->cpl > io_privilege(c))
		return raise_error(c, i, EXC_GP, 0);
	set_eflags(c, 0, FL_IF);
	NEXT(c, i);
}

/* Is the following instruction run from this block, without the loop in between? */
static bool next_is_here(const struct insn *i)
{
	insn_fn *fn = i[1].fn;

	return !(i->flags & INSN_END) && fn != op_block_end && fn != op_block_return && fn != op_stale &&
	       fn != op_uncached_next;
}

/* Interrupts are let in after the *next* instruction, so that STI; HLT and STI; RET leave no gap.  The loop
 * has to be told only where it would come between the two. */
enum run op_sti(struct cpu *c, const struct insn *i)
{
	if (c->cpl > io_privilege(c))
		return raise_error(c, i, EXC_GP, 0);
	if (!(c->flags & FL_IF)) {
		set_eflags(c, FL_IF, FL_IF);
		/* Something due waits for one instruction exactly: STI; NOP; CLI is a window. */
		if (c->pending || !next_is_here(i)) {
			set_inhibit(c);
			return end_block(c, i);
		}
	}
	NEXT(c, i);
}

/* The loop finds c->halted, unless an interrupt or a trap is due. */
enum run op_hlt(struct cpu *c, const struct insn *i)
{
	if (c->cpl != 0)
		return raise_error(c, i, EXC_GP, 0);
	set_halted(c);
	return end_block(c, i);
}
