/* SPDX-License-Identifier: MIT */
/*
 * cpu/stack.c - stacks of the system instructions: the current one, and one that is being entered.
 *
 * Room is asked for once, then items are pushed, then ESP is taken over (the rest is in system.h).
 *
 * A transfer of control that pushes is made whole by this order: nothing of the processor changes until
 * the last push has succeeded.  What lies below a stack pointer is nobody's, so that half a frame in
 * memory is no change of state (hardware leaves the same).
 */
#include "cpu/system.h"

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
