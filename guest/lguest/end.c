/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/end.c - how a guest ends: the first reason is kept, as one printable line.
 *
 *   1. Ending    by its own word, or by breaking the interface
 *   2. Asking
 */
#include <stdarg.h>
#include <stdio.h>

#include "guest/lguest/internal.h"

/* ---- 1. Ending ------------------------------------------------------------------------------ */

/* The text may be the guest's own: no terminal shall be steered by it. */
static void make_printable(char *text)
{
	for (char *at = text; *at; at++)
		if ((unsigned char)*at < ' ' || (unsigned char)*at >= 0x7F)
			*at = '?';
}

static void finish(struct lguest *lg, enum lguest_end end, const char *format, va_list args)
{
	if (lg->end != LGUEST_RUNS)
		return;
	lg->end = end;
	vsnprintf(lg->reason, sizeof lg->reason, format, args);
	make_printable(lg->reason);
	cpu_kick(lg->world.cpu); /* it may be in the middle of a run */
}

void lguest_finish(struct lguest *lg, enum lguest_end end, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	finish(lg, end, format, args);
	va_end(args);
}

void lguest_kill(struct lguest *lg, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	finish(lg, LGUEST_KILLED, format, args);
	va_end(args);
}

void lguest_core_stopped(struct lguest *lg)
{
	const char *text;

	um_stop_reason(lg->world.um, &text);
	lguest_kill(lg, "%s", text);
}

void lguest_stopped(struct lguest *lg, enum cpu_exit exit)
{
	struct cpu_regs regs;

	cpu_get_regs(lg->world.cpu, &regs);
	if (exit == CPU_EXIT_STOP)
		lguest_core_stopped(lg);
	else
		lguest_kill(lg, "unhandled trap %u at %#x (the processor shut down)", TRAP_DF, regs.eip);
}

void lguest_beyond_limit(struct lguest *lg, um_gpa gpa)
{
	lguest_kill(lg, "bad page table entry: physical address %#llx is beyond the limit %#llx",
	            (unsigned long long)gpa, (unsigned long long)lg->limit);
}

/* ---- 2. Asking ------------------------------------------------------------------------------ */

enum lguest_end lguest_ended(const struct lguest *lg) { return lg->end; }
const char *lguest_reason(const struct lguest *lg) { return lg->reason; }
