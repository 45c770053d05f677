/* SPDX-License-Identifier: MIT */
/*
 * cpu/breakpoint.c - what a debugger outside of the guest asks for: breakpoints, watchpoints, steps.
 *
 *   1. Stopping      stop(), and what makes the loop come here
 *   2. Execution     may_run(): a block begins where a breakpoint stands, and only the loop leads there
 *   3. Data          check_watched(), note_watched(): watched pages have no tags, so their accesses come by
 *   4. Attending     steps; what is stopped at is run next time
 *   5. The list      cpu_add_breakpoint() and its relatives
 *
 * Without breakpoints nothing of this is met.  An execution breakpoint costs where it stands: decoding ends a block
 * before each address with its offset in the page (so no page need be mapped, and aliases are seen), and neither a link
 * nor a jump leads to the block that begins there.  The offset stays such a place when the breakpoint goes, as debuggers
 * take theirs out at each stop and put them in again: blocks are forgotten only for an offset that is new.
 *
 * An access that meets a watchpoint fails without an exception and its instruction runs again, alone, as for an
 * observer (observe.c), so that nothing follows it before the stop.
 */
#include "cpu/block.h"
#include "cpu/memory.h"
#include "cpu/uncached.h"

/* WANTED: by cpu_set_step().  DONE: its instruction is running, or has. */
enum { STEP_OFF, STEP_WANTED, STEP_DONE };
/* The breakpoint at pass_linear does not count: ONCE: for the next instruction, which is that; RUN: it is running;
 * REST: for what a repeated one has left, interrupts in between. */
enum { PASS_NONE, PASS_ONCE, PASS_RUN, PASS_REST };

/* ---- 1. Stopping ---------------------------------------------------------------------------- */

static uint32_t linear_eip(const struct cpu *c) { return c->seg[CPU_CS].base + c->eip; }

/* Is this where, and in whose context, the pass was given? */
static bool passes_here(const struct cpu *c)
{
	const struct debugger *d = &c->debugger;

	return d->pass != PASS_NONE && d->pass_linear == linear_eip(c) && d->pass_esp == c->gpr[CPU_ESP] &&
	       d->pass_cr3 == c->cr3;
}

/* (What is left of a repeated instruction is looked at only where it is: an interrupt's handler runs as ever.) */
static void settle(struct cpu *c)
{
	const struct debugger *d = &c->debugger;
	bool busy = d->hit || d->step != STEP_OFF || d->pass == PASS_ONCE || d->pass == PASS_RUN ||
	            (d->pass == PASS_REST && passes_here(c));

	c->events = (c->events & ~(uint32_t)EV_DEBUGGER) | (busy ? EV_DEBUGGER : 0u);
}

static void pass_here(struct cpu *c, unsigned pass)
{
	struct debugger *d = &c->debugger;

	d->pass = (uint8_t)pass;
	d->pass_linear = linear_eip(c);
	d->pass_esp = c->gpr[CPU_ESP];
	d->pass_cr3 = c->cr3;
}

static void stop(struct cpu *c, unsigned reason)
{
	struct debugger *d = &c->debugger;

	d->stop.reason = reason;
	d->step = STEP_OFF;
	d->hit = false;
	c->exit = CPU_EXIT_DEBUG;
	settle(c);
}

void cpu_get_stop(const struct cpu *c, struct cpu_stop *stop) { *stop = c->debugger.stop; }

/* ---- 2. Execution --------------------------------------------------------------------------- */

static const struct cpu_breakpoint *stands_at(const struct cpu *c, uint32_t linear)
{
	const struct debugger *d = &c->debugger;

	for (unsigned n = 0; d->executes && n < d->count; n++)
		if (d->breakpoint[n].kind == CPU_BREAK_EXECUTE && d->breakpoint[n].linear == linear)
			return &d->breakpoint[n];
	return NULL;
}

bool breaks_next(const struct cpu *c)
{
	return c->debugger.executes && c->debugger.step == STEP_OFF && !passes_here(c) && stands_at(c, linear_eip(c));
}

/* One that leaves EIP where it is while elements are left. */
static bool is_repeated(const struct insn *i)
{
	bool string = (i->opcode >= 0xA4 && i->opcode <= 0xAF && i->opcode != 0xA8 && i->opcode != 0xA9) ||
	              (i->opcode >= 0x6C && i->opcode <= 0x6F);

	return string && i->flags & (INSN_REP | INSN_REPNE);
}

bool may_run(struct cpu *c, uint32_t linear, const struct insn *i)
{
	struct debugger *d = &c->debugger;
	const struct cpu_breakpoint *b = stands_at(c, linear);

	if (!b)
		return true;
	if (d->step != STEP_DONE && !passes_here(c)) {
		d->stop.breakpoint = *b;
		pass_here(c, PASS_ONCE);
		stop(c, CPU_STOP_BREAKPOINT);
		c->budget++; /* it has not run */
		return false;
	}
	/* Back from an interrupt: on with it, and alone, so that its end is seen. */
	if (d->pass == PASS_REST && !(c->events & EV_DEBUGGER)) {
		settle(c);
		c->exit = EXIT_AGAIN;
		return false;
	}
	pass_here(c, PASS_RUN);
	d->passes_rep = is_repeated(i);
	settle(c);
	return true;
}

/* ---- 3. Data -------------------------------------------------------------------------------- */

static bool overlap(uint32_t a, uint32_t a_bytes, uint32_t b, uint32_t b_bytes)
{
	return a - b < b_bytes || b - a < a_bytes; /* either begins inside the other; both may wrap */
}

bool watches_page(const struct cpu *c, uint32_t linear)
{
	for (const struct cpu_breakpoint *b = c->debugger.breakpoint; b < c->debugger.breakpoint + c->debugger.count; b++)
		if (b->kind != CPU_BREAK_EXECUTE && overlap(linear & PAGE_MASK, UM_PAGE_SIZE, b->linear, b->bytes))
			return true;
	return false;
}

static const struct cpu_breakpoint *watched_by(const struct cpu *c, uint32_t linear, unsigned bytes, bool write)
{
	enum cpu_break one = write ? CPU_BREAK_WRITE : CPU_BREAK_READ;

	for (const struct cpu_breakpoint *b = c->debugger.breakpoint; b < c->debugger.breakpoint + c->debugger.count; b++)
		if ((b->kind == one || b->kind == CPU_BREAK_ACCESS) && overlap(linear, bytes, b->linear, b->bytes))
			return b;
	return NULL;
}

bool check_watched(struct cpu *c, uint32_t linear, unsigned bytes, bool write)
{
	if (c->exact || !watched_by(c, linear, bytes, write))
		return true;
	c->exit = EXIT_AGAIN;
	return false;
}

void note_watched(struct cpu *c, uint32_t linear, unsigned bytes, bool write)
{
	struct debugger *d = &c->debugger;
	const struct cpu_breakpoint *b = d->hit ? NULL : watched_by(c, linear, bytes, write);

	if (!b)
		return;
	d->stop.breakpoint = *b;
	d->stop.linear = linear - b->linear < b->bytes ? linear : b->linear;
	d->stop.write = write;
	d->hit = true;
	settle(c);
}

/* ---- 4. Attending --------------------------------------------------------------------------- */

bool stops_now(struct cpu *c)
{
	struct debugger *d = &c->debugger;

	if (d->pass == PASS_RUN)
		d->pass = d->passes_rep && passes_here(c) ? PASS_REST : PASS_NONE;
	else if (d->pass == PASS_ONCE && !passes_here(c))
		d->pass = PASS_NONE;
	if (d->hit || d->step == STEP_DONE) {
		stop(c, d->hit ? CPU_STOP_WATCHPOINT : CPU_STOP_STEP);
		return true;
	}
	settle(c);
	return false;
}

enum next what_is_next(const struct cpu *c)
{
	const struct debugger *d = &c->debugger;

	if (c->halted)
		return NEXT_ANY;
	if (d->step == STEP_WANTED || d->pass == PASS_ONCE)
		return NEXT_ALONE_FIRST;
	return passes_here(c) ? NEXT_ALONE : NEXT_ANY;
}

void grant_next(struct cpu *c)
{
	if (c->debugger.step == STEP_WANTED)
		c->debugger.step = STEP_DONE;
}

bool stops_at_handler(struct cpu *c)
{
	if (c->debugger.step != STEP_WANTED)
		return false;
	stop(c, CPU_STOP_STEP);
	return true;
}

void end_debugged_run(struct cpu *c)
{
	struct debugger *d = &c->debugger;

	switch (c->exit) {
	case CPU_EXIT_BUDGET:
	case CPU_EXIT_KICKED:
	case CPU_EXIT_HALTED:
		if (d->hit || d->step == STEP_DONE)
			stops_now(c);
		return;
	case CPU_EXIT_STOP:
	case CPU_EXIT_NOMEM: /* the instruction has not run */
		d->step = d->step == STEP_DONE ? STEP_WANTED : d->step;
		d->pass = d->pass == PASS_RUN ? PASS_ONCE : d->pass;
		break;
	case CPU_EXIT_SHUTDOWN:
		d->step = STEP_OFF;
		break;
	default:
		return;
	}
	d->hit = false;
	settle(c);
}

void debugger_starts_afresh(struct cpu *c)
{
	c->debugger.hit = false;
	if (!passes_here(c))
		c->debugger.pass = PASS_NONE;
	settle(c);
}

/* ---- 5. The list ---------------------------------------------------------------------------- */

/* Blocks begin at the breakpoints' offsets, and at no others any more. */
static void split_blocks(struct cpu *c)
{
	struct debugger *d = &c->debugger;

	memset(d->split, 0, sizeof d->split);
	for (unsigned n = 0; n < d->count; n++) {
		unsigned offset = d->breakpoint[n].linear % UM_PAGE_SIZE;
		if (d->breakpoint[n].kind == CPU_BREAK_EXECUTE)
			d->split[offset / 64] |= (uint64_t)1 << offset % 64;
	}
	d->splits = d->executes;
	forget_everything(c);
	memos_forget(c);
}

static struct cpu_breakpoint *find(struct debugger *d, const struct cpu_breakpoint *wanted)
{
	for (unsigned n = 0; n < d->count; n++) {
		struct cpu_breakpoint *b = &d->breakpoint[n];
		if (b->kind == wanted->kind && b->linear == wanted->linear &&
		    (b->kind == CPU_BREAK_EXECUTE || b->bytes == wanted->bytes))
			return b;
	}
	return NULL;
}

bool cpu_add_breakpoint(struct cpu *c, const struct cpu_breakpoint *wanted)
{
	struct debugger *d = &c->debugger;

	if (find(d, wanted))
		return true;
	if (d->count == CPU_BREAKPOINTS_MAX || (wanted->kind != CPU_BREAK_EXECUTE && !wanted->bytes))
		return false;
	d->breakpoint[d->count++] = *wanted;
	if (wanted->kind != CPU_BREAK_EXECUTE) {
		d->watches++;
		mode_changed(c);
		tlb_flush(c);
		return true;
	}
	d->executes++;
	if (!splits_at(c, wanted->linear % UM_PAGE_SIZE))
		split_blocks(c);
	return true;
}

bool cpu_remove_breakpoint(struct cpu *c, const struct cpu_breakpoint *unwanted)
{
	struct debugger *d = &c->debugger;
	struct cpu_breakpoint *b = find(d, unwanted);

	if (!b)
		return false;
	if (b->kind == CPU_BREAK_EXECUTE)
		d->executes--;
	else
		d->watches--;
	*b = d->breakpoint[--d->count];
	mode_changed(c);
	return true;
}

void cpu_forget_debugger(struct cpu *c)
{
	struct debugger *d = &c->debugger;

	d->count = d->executes = d->watches = 0;
	d->hit = false;
	d->step = STEP_OFF;
	d->pass = PASS_NONE;
	if (d->splits)
		split_blocks(c);
	settle(c);
	mode_changed(c);
}

unsigned cpu_breakpoints(const struct cpu *c) { return c->debugger.count; }

void cpu_set_step(struct cpu *c, bool on)
{
	c->debugger.step = on ? STEP_WANTED : STEP_OFF;
	settle(c);
}
