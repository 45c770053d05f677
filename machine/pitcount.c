/* SPDX-License-Identifier: MIT */
/*
 * machine/pitcount.c - what one counter of an 8254 shows at a given tick, in each of its six modes.
 *
 *   1. Ticks         nanoseconds to periods of 1.193182 MHz and back
 *   2. Loading       control words, counts, the gate
 *   3. Showing       OUT, the counting element, the null-count flag
 *   4. Edges         when OUT rises next
 *
 * A counter never ticks here: it is a start tick and a length, and everything else is arithmetic on
 * the present tick.  After Intel's 8254 data sheet (231164), "Mode definitions".
 */
#include "machine/device.h"

#define PIT_HZ 1193182u

enum pit_mode { ON_ZERO, ONE_SHOT, RATE, SQUARE, STROBE, HARD_STROBE };

/* ---- 1. Ticks ------------------------------------------------------------------------------- */

uint64_t pit_ticks(uint64_t ns)
{
	return ns / NS_PER_SECOND * PIT_HZ + ns % NS_PER_SECOND * PIT_HZ / NS_PER_SECOND;
}

uint64_t pit_ns(uint64_t ticks)
{
	return ticks / PIT_HZ * NS_PER_SECOND +
	       (ticks % PIT_HZ * NS_PER_SECOND + PIT_HZ - 1) / PIT_HZ;
}

/* ---- 2. Loading ----------------------------------------------------------------------------- */

static bool is_periodic(const struct pit_channel *c)
{
	return c->mode == RATE || c->mode == SQUARE;
}

/* Modes 1 and 5 start by a rising gate, not by the count. */
static bool is_triggered(const struct pit_channel *c)
{
	return c->mode == ONE_SHOT || c->mode == HARD_STROBE;
}

/* The counting element takes the count at the next clock pulse.  Until then OUT stays as it is, but
 * mode 0 lowers it at once. */
static void start_counting(struct pit_channel *c, uint64_t tick)
{
	c->out_idle = c->mode != ON_ZERO && (!is_triggered(c) || pit_output(c, tick));
	c->start = tick + 1;
	c->held = 0;
	c->running = true;
}

/* Bring the counter up to `tick`: a count that waited for the end of a period takes its place. */
void pit_settle(struct pit_channel *c, uint64_t tick)
{
	uint64_t end;

	if (!is_periodic(c) || !c->running || !c->has_next || !c->gate || tick < c->start)
		return;
	/* `next` was written in the period that began at c->start: pit_load() saw to it. */
	end = c->start + c->count;
	if (tick < end)
		return;
	c->count = c->next;
	c->start = end;
	c->has_next = false;
}

/* Move the start of a periodic count to the period that `tick` is in. */
static void rebase(struct pit_channel *c, uint64_t tick)
{
	if (tick >= c->start)
		c->start += (tick - c->start) / c->count * c->count;
}

void pit_load(struct pit_channel *c, uint32_t count, uint64_t tick)
{
	c->armed = true;
	if (is_periodic(c) && c->running && tick >= c->start) {
		if (c->gate)
			rebase(c, tick);
		c->next = count;
		c->has_next = true;
		return;
	}
	if (is_triggered(c) && c->running) {
		/* the current pulse is not affected; the next trigger takes it */
		c->next = count;
		c->has_next = true;
		return;
	}
	c->count = count;
	c->has_next = false;
	if (is_triggered(c))
		return;
	if (is_periodic(c) && !c->gate)
		return; /* starts with the gate */
	start_counting(c, tick);
}

void pit_set_mode(struct pit_channel *c, unsigned mode)
{
	c->mode = (uint8_t)(mode > HARD_STROBE ? mode - 4 : mode); /* 6 and 7 are 2 and 3 */
	c->armed = c->running = c->has_next = false;
	c->held = 0;
	c->out_idle = c->mode != ON_ZERO;
}

/* Ticks since the counting element was loaded; a low gate stops modes 0 and 4 where they are. */
static uint64_t elapsed(const struct pit_channel *c, uint64_t tick)
{
	if (!c->gate && !is_triggered(c))
		return c->held;
	return tick > c->start ? tick - c->start : 0;
}

void pit_set_gate(struct pit_channel *c, bool gate, uint64_t tick)
{
	if (gate == c->gate)
		return;
	pit_settle(c, tick);
	if (!gate) {
		if (c->running)
			c->held = elapsed(c, tick);
		c->gate = false;
		return;
	}
	c->gate = true;
	if (!c->armed)
		return;
	if (is_periodic(c) || is_triggered(c)) {
		/* a rising gate reloads: periodic modes begin a new period, triggered ones a new
		 * pulse */
		if (c->has_next)
			c->count = c->next;
		c->has_next = false;
		start_counting(c, tick);
	} else if (c->running) {
		c->start = tick - c->held; /* goes on where it stopped */
	}
}

/* ---- 3. Showing ----------------------------------------------------------------------------- */

bool pit_output(const struct pit_channel *c, uint64_t tick)
{
	uint64_t t;

	if (!c->running || tick < c->start)
		return c->out_idle;
	t = elapsed(c, tick);
	switch (c->mode) {
	case ON_ZERO:
	case ONE_SHOT:
		return t >= c->count;
	case RATE:
		return !c->gate || t % c->count != c->count - 1;
	case SQUARE:
		return !c->gate || t % c->count < (c->count + 1) / 2;
	default: /* a strobe of one clock */
		return t != c->count;
	}
}

static uint32_t to_bcd(uint32_t value)
{
	return value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 % 10 << 12;
}

/* The counting element as a guest reads it.  Counts down, wraps at 10000 or 65536. */
uint16_t pit_count(const struct pit_channel *c, uint64_t tick)
{
	uint32_t modulus = c->bcd ? 10000 : 65536;
	uint64_t t = elapsed(c, tick);
	uint32_t value, phase;

	if (!c->running) {
		value = c->count % modulus;
	} else if (c->mode == RATE) {
		value = c->count - (uint32_t)(t % c->count);
	} else if (c->mode == SQUARE) {
		/* by twos, once for each half; an odd count is loaded less one */
		phase = (uint32_t)(t % c->count);
		if (phase >= (c->count + 1) / 2)
			phase -= (c->count + 1) / 2;
		value = (c->count & ~1u) - 2 * phase;
	} else {
		value = (uint32_t)((c->count + modulus - t % modulus) % modulus);
	}
	value %= modulus;
	return (uint16_t)(c->bcd ? to_bcd(value) : value);
}

/* Was a count written that the counting element has not taken yet? (status bit 6) */
bool pit_is_null(const struct pit_channel *c, uint64_t tick)
{
	return !c->running || c->has_next || tick < c->start;
}

/* ---- 4. Edges ------------------------------------------------------------------------------- */

/* The first tick later than `after` at which OUT rises, as things stand; NEVER. */
uint64_t pit_next_edge(const struct pit_channel *c, uint64_t after)
{
	uint64_t edge, periods;

	if (!c->running || !c->gate)
		return NEVER;
	switch (c->mode) {
	case RATE:
	case SQUARE:
		edge = c->start + c->count;
		if (after < edge)
			return edge;
		if (c->has_next) { /* from there on, periods of the new length */
			periods = (after - edge) / c->next + 1;
			return edge + periods * c->next;
		}
		periods = (after - c->start) / c->count + 1;
		return c->start + periods * c->count;
	case ON_ZERO:
	case ONE_SHOT:
		edge = c->start + c->count;
		break;
	default:
		edge = c->start + c->count + 1;
		break;
	}
	return after < edge ? edge : NEVER;
}
