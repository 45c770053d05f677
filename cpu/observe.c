/* SPDX-License-Identifier: MIT */
/*
 * cpu/observe.c - telling an observer of what the TLB had no answer for.
 *
 * Handlers do not say which instruction they are.  An observer that has to know asks for the instruction again: the
 * access fails without an exception, its handler reports that as it reports the shadow's refusals, and the loop runs
 * the instruction alone, when c->eip is its own.
 */
#include "cpu/internal.h"

bool observe_access(struct cpu *c, uint32_t linear, unsigned access, enum um_result result, const struct um_map *map)
{
	struct cpu_access a = { .linear = linear, .access = access, .result = result, .map = map };

	a.eip = cpu_running_eip(c, &a.exact);
	if (c->observer.translated(c->observer.user, c, &a) || a.exact)
		return true;
	c->exit = EXIT_AGAIN;
	return false;
}

void cpu_observe(struct cpu *c, const struct cpu_observer *observer)
{
	static const struct cpu_observer none;

	c->observer = observer ? *observer : none;
	c->again = false;
	mode_changed(c);
}

uint32_t cpu_running_eip(const struct cpu *c, bool *exact)
{
	*exact = c->exact;
	if (!c->exact)
		return c->block_eip;
	return c->is_int ? c->int_eip : c->eip;
}
