/* SPDX-License-Identifier: MIT */
/*
 * cpu/stack.c - stacks of the system instructions: the current one, and one that is being entered.
 *
 *   1. Building      room is asked for once, then items are pushed, then ESP is taken over
 *   2. Reading       the current stack, from the top, without popping
 *
 * A transfer of control that pushes is made whole by this order: nothing of the processor changes until
 * the last push has succeeded.  What lies below a stack pointer is nobody's, so that half a frame in
 * memory is no change of state (hardware leaves the same).
 */
#include "cpu/system.h"

/* ---- 1. Building ---------------------------------------------------------------------------- */

struct stack other_stack(struct cpu_segment ss, uint32_t esp, unsigned cpl)
{
	struct stack s = {
		.ss = ss,
		.sp = esp,
		.mask = ss.attr & ATTR_DB ? 0xFFFFFFFFu : 0xFFFFu,
		.access = cpl == 3 ? UM_USER : 0,
	};

	return s;
}

struct stack current_stack(const struct cpu *c)
{
	return other_stack(c->seg[CPU_SS], c->gpr[CPU_ESP], c->cpl);
}

bool stack_room(const struct stack *s, unsigned count, unsigned size)
{
	uint32_t high = s->sp & s->mask, low = (s->sp - count * size) & s->mask;

	/* The common case, a frame in one piece.  (high == 0 is the top of the segment: it wraps.) */
	if (low < high)
		return within_limit(&s->ss, low, high - low);
	for (unsigned n = 1; n <= count; n++)
		if (!within_limit(&s->ss, (s->sp - n * size) & s->mask, size))
			return false;
	return true;
}

bool stack_push(struct cpu *c, struct stack *s, unsigned size, uint32_t value)
{
	uint32_t linear = s->ss.base + ((s->sp - size) & s->mask);

	if (size == 2 ? !lin_write16(c, linear, s->access, (uint16_t)value)
	              : !lin_write32(c, linear, s->access, value))
		return false;
	s->sp -= size;
	return true;
}

uint32_t stack_pointer(const struct cpu *c, const struct stack *s)
{
	return (c->gpr[CPU_ESP] & ~s->mask) | (s->sp & s->mask);
}

/* ---- 2. Reading ----------------------------------------------------------------------------- */

static uint32_t stack_mask(const struct cpu *c)
{
	return c->seg[CPU_SS].attr & ATTR_DB ? 0xFFFFFFFFu : 0xFFFFu;
}

bool stack_peek(struct cpu *c, unsigned n, unsigned size, uint32_t *value)
{
	uint32_t offset = (c->gpr[CPU_ESP] + n * size) & stack_mask(c);
	uint16_t half;

	if (size == 4)
		return seg_read32(c, CPU_SS, offset, value);
	if (!seg_read16(c, CPU_SS, offset, &half))
		return false;
	*value = half;
	return true;
}

void stack_drop(struct cpu *c, uint32_t bytes)
{
	uint32_t mask = stack_mask(c), esp = c->gpr[CPU_ESP];

	c->gpr[CPU_ESP] = (esp & ~mask) | ((esp + bytes) & mask);
}
