/* SPDX-License-Identifier: MIT */
/*
 * cpu/warm.c - what waking from HLT needs is on its way before it is asked for.
 *
 *   1. Recording    the cache lines that one wake-up takes: code, jumps, translations, the guest's data
 *   2. Warming      prefetching them at the next ones
 *
 * A guest that ticks wakes 100 to 1000 times a second for a few thousand instructions that are the same each
 * time, most of them run once.  Meanwhile the host has done other things and its caches are cold, so that the
 * wait for decoded instructions, handlers and jumps, one line after the other, costs more than the work.  Asked
 * for together they come in a fraction of the time.  What is prefetched is a guess without consequences.
 */
#include "cpu/block.h"
#include "cpu/fpu.h"
#include "cpu/warm.h"

#include <stdlib.h>
#include <string.h>

/* A tick of Linux takes about 600 blocks and 3,500 lines.  Both bound a recording: a guest that wakes and then
 * works for minutes does not do so at a recording's pace. */
#define WARM_BLOCKS 2048u
#define WARM_LINES 4096u
#define WARM_EVERY 64u    /* wake-ups to a recorded one, which takes about twice as long */
#define WARM_SLEEPS 2048u /* shorter than a second's 2,048th: the caches are still warm */
#define LINE 64u

struct warm {
	uint64_t asleep_since; /* bus.tsc() */
	unsigned wakes;
	unsigned blocks;
	unsigned lines;
	uintptr_t line[WARM_LINES];
	uintptr_t seen[2 * WARM_LINES]; /* hash set of the same while recording */
};

bool warm_new(struct cpu *c)
{
	c->warm = calloc(1, sizeof(*c->warm));
	return c->warm;
}

void warm_free(struct cpu *c) { free(c->warm); }

/* ---- 1. Recording --------------------------------------------------------------------------- */

static void add(struct warm *w, uintptr_t at)
{
	uintptr_t line = at / LINE;
	size_t slot = line * 0x9E3779B1u % (2 * WARM_LINES);

	while (w->seen[slot] && w->seen[slot] != line)
		slot = (slot + 1) % (2 * WARM_LINES);
	if (w->seen[slot] || w->lines >= WARM_LINES)
		return;
	w->seen[slot] = line;
	w->line[w->lines++] = line * LINE;
}

static void stop_recording(struct cpu *c)
{
	c->events &= ~(uint32_t)EV_RECORD;
	mode_changed(c);
}

void warm_record(struct cpu *c, const struct insn *i)
{
	struct warm *w = c->warm;

	if (++w->blocks > WARM_BLOCKS || w->lines >= WARM_LINES) {
		stop_recording(c);
		return;
	}
	add(w, (uintptr_t)jump_at(c, c->block_eip));
	for (;; i++) {
		add(w, (uintptr_t)i);
		add(w, (uintptr_t)i->fn);
		add(w, (uintptr_t)i->fn + LINE);
		if (i->flags & INSN_END || i->fn == op_stale)
			break;
	}
	add(w, (uintptr_t)(i + 1));
}

void warm_see(struct cpu *c, const void *at) { add(c->warm, (uintptr_t)at); }

void warm_halted(struct cpu *c)
{
	if (c->events & EV_RECORD)
		stop_recording(c);
	fpu_leave(c);
	c->warm->asleep_since = c->bus.tsc(c->bus.user);
}

/* ---- 2. Warming ----------------------------------------------------------------------------- */

void warm_up(struct cpu *c)
{
	struct warm *w = c->warm;

	if (c->bus.tsc(c->bus.user) - w->asleep_since < c->tsc_hz / WARM_SLEEPS)
		return;
	if (++w->wakes % WARM_EVERY == 0) {
		w->lines = w->blocks = 0;
		memset(w->seen, 0, sizeof(w->seen));
		c->events |= EV_RECORD;
		mode_changed(c); /* without the TLB every access shows */
		return;
	}
	for (unsigned n = 0; n < w->lines; n++)
		__builtin_prefetch((const void *)w->line[n], 0, 3);
}
