/* SPDX-License-Identifier: MIT */
/*
 * cpu/run.c - the loop, and how handlers come back to it.
 *
 *   1. Raising       raise_exception(), fault(), faulted(), end_block()
 *   2. Modes         mode_changed(), flags_changed()
 *   3. Between       interrupts, halting, breakpoints, single steps: what happens between instructions
 *   4. cpu_run()
 *   5. Lines         IRQ, NMI, kick
 */
#include "cpu/block.h"
#include "cpu/fpu.h"
#include "cpu/memory.h"
#include "cpu/warm.h"

/* ---- 1. Raising ----------------------------------------------------------------------------- */

static bool has_error_code(enum vector vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

bool fault(struct cpu *c, enum vector vector, uint32_t error)
{
	c->exc.vector = (int)vector;
	c->exc.has_error = has_error_code(vector);
	c->exc.software = false;
	c->exc.error = error;
	return false;
}

enum run faulted(struct cpu *c, const struct insn *i)
{
	c->eip = insn_eip(c, i);
	c->budget -= i->count; /* the failed one counts: a guest must not fault for ever in one cpu_run() */
	return c->exc.vector >= 0 ? RUN_FAULT : RUN_EXIT;
}

enum run raise_exception(struct cpu *c, const struct insn *i, enum vector vector)
{
	fault(c, vector, 0);
	return faulted(c, i);
}

enum run raise_error(struct cpu *c, const struct insn *i, enum vector vector, uint32_t error)
{
	fault(c, vector, error);
	return faulted(c, i);
}

enum run end_block(struct cpu *c, const struct insn *i)
{
	c->eip = next_eip(c, i);
	c->budget -= i->count;
	return RUN_BLOCK;
}

enum run exit_run(struct cpu *c, const struct insn *i, enum cpu_exit why)
{
	c->eip = next_eip(c, i);
	c->budget -= i->count;
	c->exit = (uint8_t)why;
	return RUN_EXIT;
}

/* ---- 2. Modes ------------------------------------------------------------------------------- */

/* DR7's enable bits of breakpoints 0-3, and those that watch data (R/W = 01 or 11). */
static bool any_breakpoint(const struct cpu *c) { return c->dr[7] & 0xFF; }
static bool watches_data(const struct cpu *c)
{
	for (unsigned n = 0; n < 4; n++)
		if (c->dr[7] >> 2 * n & 3 && c->dr[7] >> (16 + 4 * n) & 1)
			return true;
	return false;
}

static bool is_flat(const struct cpu *c, unsigned seg)
{
	const struct cpu_segment *s = &c->seg[seg];
	bool protected = c->cr0 & CR0_PE && !(c->flags & FL_VM);

	if (s->base != 0 || s->limit != 0xFFFFFFFFu)
		return false;
	return !protected || seg == CPU_CS ||
	       (s->attr & (SEG_P | SEG_CODE | SEG_DOWN | SEG_RW)) == (SEG_P | SEG_RW);
}

/* c->flat_all's bit of one segment. */
static void note_flatness(struct cpu *c, unsigned seg)
{
	uint8_t bit = (uint8_t)(1u << seg);

	c->flat_all &= (uint8_t)~bit;
	if (c->options & CPU_OPT_FLAT && is_flat(c, seg))
		c->flat_all |= bit;
}

/* Everything that follows from flat_all, CS.D, SS.B, CPL, flags and control registers. */
static void derive_mode(struct cpu *c)
{
	const uint8_t all = 1u << CPU_ES | 1u << CPU_CS | 1u << CPU_SS | 1u << CPU_DS;
	bool big = c->seg[CPU_CS].attr & SEG_DB, big_stack = c->seg[CPU_SS].attr & SEG_DB;
	bool breakpoints = any_breakpoint(c), step = c->flags & FL_TF || breakpoints, user = c->cpl == 3;
	uint8_t no_tags;

	c->mode = (uint8_t)((big ? MODE_CODE32 : 0) | (big_stack ? MODE_STACK32 : 0) |
	                    (big && big_stack && (c->flat_all & all) == all ? MODE_FLAT : 0) |
	                    (step ? MODE_STEP : 0) | (user ? MODE_USER : 0));
	/* Data accesses through CS need its type checked. */
	c->flat_segs = c->flat_all & (uint8_t)~(1u << CPU_CS);
	c->events = (c->events & ~(uint32_t)EV_STEP) | (step ? EV_STEP : 0u);
	c->align_check = user && c->flags & FL_AC && c->cr0 & CR0_AM;
	no_tags = c->align_check || (breakpoints && watches_data(c)) || !(c->options & CPU_OPT_TLB) ||
	                          c->events & EV_RECORD
	                  ? NO_TAGS
	                  : 0;
	no_tags |= (c->observer.translated ? OBSERVED : 0) | (c->debugger.watches ? WATCHED : 0);
	if (no_tags & ~c->no_tags)
		tlb_flush(c);
	c->no_tags = no_tags;
	c->tlb = c->tlbs[user];
	jumps_set_mode(c);
}

void mode_changed(struct cpu *c)
{
	c->flags_seen = c->flags;
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		note_flatness(c, seg);
	derive_mode(c);
}

void ring_changed(struct cpu *c)
{
	note_flatness(c, CPU_CS);
	note_flatness(c, CPU_SS);
	derive_mode(c);
}

void data_segment_changed(struct cpu *c, unsigned seg)
{
	uint8_t old = c->flat_all;

	note_flatness(c, seg);
	if (c->flat_all != old)
		derive_mode(c);
}

void flags_changed(struct cpu *c)
{
	uint32_t changed = c->flags ^ c->flags_seen;

	c->flags_seen = c->flags;
	c->events &= ~(uint32_t)(EV_IRQ | EV_RESUME);
	if (c->irq_line && c->flags & FL_IF)
		c->events |= EV_IRQ;
	if (c->flags & FL_RF)
		c->events |= EV_RESUME;
	if (changed & (FL_TF | FL_AC | FL_VM))
		mode_changed(c);
}

void set_halted(struct cpu *c)
{
	c->halted = true;
	c->events |= EV_HALT;
}

void set_inhibit(struct cpu *c)
{
	c->inhibit = true;
	c->events |= EV_INHIBIT;
}

/* ---- 3. Between ----------------------------------------------------------------------------- */

enum { DR6_BS = 1u << 14 };

/* Deliver what is recorded; false: shutdown. */
static bool deliver(struct cpu *c)
{
	c->inhibit = c->inhibit_debug = false;
	c->debug_hits = 0; /* of an instruction that did not happen */
	c->exact = true;
	c->events &= ~(uint32_t)EV_INHIBIT;
	c->patch = NULL;
	if (deliver_exception(c)) {
		c->exc.vector = -1;
		return true;
	}
	c->exc.vector = -1;
	c->exit = CPU_EXIT_SHUTDOWN;
	return false;
}

/* After an instruction that ran to its end in step mode: #DB for TF and for breakpoints it met. */
static bool debug_trap(struct cpu *c, bool traced)
{
	if (c->inhibit_debug) /* kept for after the next instruction (SDM vol. 3, 6.8.3) */
		return true;
	uint32_t hits = c->debug_hits | (traced ? DR6_BS : 0);
	c->debug_hits = 0;
	if (!hits)
		return true;
	c->dr[6] |= hits;
	fault(c, EXC_DB, 0);
	return deliver(c);
}

/* An instruction breakpoint is a fault of the instruction it stands on; RF lets it run. */
static bool code_breakpoint(struct cpu *c)
{
	uint32_t hits;

	if (c->flags & FL_RF) {
		set_eflags(c, 0, FL_RF);
		return true;
	}
	if (!any_breakpoint(c))
		return true;
	hits = debug_match(c, c->seg[CPU_CS].base + c->eip, 1, 0 /* DR7.R/W: execution */);
	if (!hits)
		return true;
	c->dr[6] |= hits;
	fault(c, EXC_DB, 0);
	c->budget--;
	return deliver(c);
}

/* NMI, INTR and wake-up.  false: c->exit. */
static bool take_interrupt(struct cpu *c)
{
	bool ok = true;

	if (c->events & EV_NMI && !c->nmi_blocked) {
		c->nmi_pending = false;
		c->events &= ~(uint32_t)EV_NMI;
		c->nmi_blocked = true;
		c->halted = false;
		ok = deliver_external(c, EXC_NMI);
	} else if (c->events & EV_IRQ) {
		fpu_leave(c);
		int vector = c->bus.ack_irq(c->bus.user);
		if (vector >= 0) {
			if (c->halted && c->options & CPU_OPT_WARM)
				warm_up(c);
			c->halted = false;
			ok = deliver_external(c, (unsigned)vector);
		}
	} else {
		return true;
	}
	c->budget--;
	if (!ok)
		c->exit = CPU_EXIT_SHUTDOWN;
	return ok;
}

/* Was the delivery of an event put off (c->undelivered)?  Then nothing runs before it: leave with c->exit. */
static bool put_off(struct cpu *c)
{
	bool yes = c->events & EV_EXIT;

	c->events &= ~(uint32_t)EV_EXIT;
	return yes;
}

/* The guest's own breakpoint on the next instruction.  It yields to a debugger's on the same. */
static bool own_breakpoint(struct cpu *c)
{
	int64_t before = c->budget;

	if (breaks_next(c))
		return true;
	return code_breakpoint(c) && (c->budget == before || !stops_at_handler(c));
}

/* Everything that may happen before the next instruction.  `*extra`: MODE_STEP to run just one.  false: leave
 * cpu_run() with c->exit. */
bool cpu_attend(struct cpu *c, unsigned *extra)
{
	bool was_halted = c->halted;
	enum next next;

	c->patch = NULL;
	c->events &= ~(uint32_t)EV_CODE;
	if (put_off(c) || (c->events & EV_DEBUGGER && stops_now(c)))
		return false;
	if (c->kicked) {
		c->kicked = 0;
		c->exit = CPU_EXIT_KICKED;
		return false;
	}
	next = c->events & EV_DEBUGGER ? what_is_next(c) : NEXT_ANY;
	if (c->inhibit || next)
		*extra = MODE_STEP;
	if (!c->inhibit && next != NEXT_ALONE_FIRST && !take_interrupt(c))
		return false;
	if (c->halted) {
		if (c->options & CPU_OPT_WARM)
			warm_halted(c);
		c->exit = CPU_EXIT_HALTED;
		return false;
	}
	c->events &= ~(uint32_t)EV_HALT;
	/* Only if the instruction follows in this run: RF lets it run once. */
	if (was_halted && stops_at_handler(c))
		return false;
	if (c->events & (EV_STEP | EV_RESUME) && c->budget + c->reserve > 0 && !own_breakpoint(c))
		return false;
	if (put_off(c)) /* an interrupt or a breakpoint just now */
		return false;
	if (c->events & EV_DEBUGGER)
		grant_next(c);
	return true;
}

/* ---- 4. cpu_run() --------------------------------------------------------------------------- */

/* Run from i on, and what follows from it.  NULL: nothing was found to run, c->exc or c->exit says why. */
FORCE_INLINE bool execute(struct cpu *c, const struct insn *i)
{
	bool traced = c->flags & FL_TF;
	bool was_inhibited = c->inhibit, debug_was_inhibited = c->inhibit_debug;
	enum run r;

	if (i) {
		c->inhibit = c->inhibit_debug = false;
		if (unlikely(c->events & EV_RECORD))
			warm_record(c, i);
		r = i->fn(c, i);
	} else {
		c->budget--;
		r = c->exc.vector >= 0 ? RUN_FAULT : RUN_EXIT;
	}
	if (likely(r == RUN_BLOCK)) {
		if (was_inhibited && !c->inhibit)
			c->events &= ~(uint32_t)EV_INHIBIT;
		return likely(!(traced | c->debug_hits)) || debug_trap(c, traced);
	}
	if (r == RUN_FAULT) {
		c->debugger.hit = false; /* it did not happen */
		return deliver(c);
	}
	if (c->exit == CPU_EXIT_STOP || c->exit == CPU_EXIT_NOMEM || c->exit == EXIT_AGAIN) {
		/* The instruction has not run: everything as before it. */
		c->inhibit = was_inhibited;
		c->inhibit_debug = debug_was_inhibited;
	}
	return false;
}

bool cpu_execute(struct cpu *c, const struct insn *i) { return execute(c, i); }

/* One block; in step mode one instruction. */
bool cpu_run_block(struct cpu *c, unsigned extra) { return execute(c, find_block(c, extra)); }

bool cpu_run_insn(struct cpu *c)
{
	uint32_t options = c->options;
	bool ok;

	c->options &= ~(uint32_t)CPU_OPT_BLOCKS;
	ok = execute(c, find_block(c, MODE_STEP));
	c->options = options;
	return ok;
}

/* Instructions between two visits of the loop at most.  Also bounds the stack where the compiler makes calls
 * of the jumps from handler to handler. */
#define RUN_SLICE 4096

/* The next slice of the budget; false: it is used up. */
static bool refill(struct cpu *c)
{
	int64_t left = c->budget + c->reserve, next = left < RUN_SLICE ? left : RUN_SLICE;

	c->budget = next;
	c->reserve = left - next;
	return next > 0;
}

static uint64_t used(const struct cpu *c) { return (uint64_t)(c->slice - c->reserve - c->budget); }

/* Did it stop for an observer's or a debugger's sake?  (It has counted the instruction that is still to come.) */
static bool runs_again(struct cpu *c)
{
	if (c->exit != EXIT_AGAIN)
		return false;
	c->again = true;
	c->budget++;
	return true;
}

enum cpu_exit cpu_run(struct cpu *c, uint64_t budget)
{
	unsigned extra;

	c->slice = c->reserve = budget > INT64_MAX ? INT64_MAX : (int64_t)budget;
	c->budget = 0;
	c->exc.vector = -1;
	c->patch = NULL;
	c->exact = true;
	if (c->undelivered.vector >= 0) {
		c->events &= ~(uint32_t)EV_EXIT; /* may be left from a run that ended for another reason */
		if (!deliver_undelivered(c)) {
			c->slice = c->reserve = 0;
			return CPU_EXIT_SHUTDOWN;
		}
	}
	for (;;) {
		extra = 0;
		c->exact = true;
		/* What comes between instructions is the next run's when no instruction follows in this one. */
		if (unlikely(c->budget <= 0) && !refill(c)) {
			c->exit = CPU_EXIT_BUDGET;
			break;
		}
		if (unlikely(c->pending) && !cpu_attend(c, &extra))
			break;
		if (unlikely(c->budget <= 0)) /* taking an interrupt counts as one */
			continue;
		if (unlikely(c->again))
			extra = MODE_STEP;
		c->again = false;
		const struct insn *i = find_block(c, extra);
		c->alone = extra;
		c->exact = (c->mode | extra) & MODE_STEP; /* asked again it would meet its breakpoint again: RF is spent */
		if (unlikely(!execute(c, i)) && !runs_again(c))
			break;
	}
	c->exact = true;
	c->alone = false;
	if (unlikely(c->events & EV_DEBUGGER))
		end_debugged_run(c);
	fpu_leave(c);
	c->instructions += used(c);
	c->budget = c->reserve = c->slice = 0;
	return (enum cpu_exit)c->exit;
}

uint64_t cpu_instructions(const struct cpu *c) { return c->instructions + used(c); }

/* ---- 5. Lines ------------------------------------------------------------------------------- */

void cpu_kick(struct cpu *c) { c->kicked = 1; }

void cpu_set_irq(struct cpu *c, bool level)
{
	c->irq_line = level;
	flags_changed(c);
}

void cpu_pulse_nmi(struct cpu *c)
{
	c->nmi_pending = true;
	c->events |= EV_NMI;
}

void cpu_set_trace(struct cpu *c, const struct cpu_trace *trace)
{
	static const struct cpu_trace none;

	c->trace = trace ? *trace : none;
}
