/* SPDX-License-Identifier: MIT */
/*
 * machine/pit.c - the 8254 timer with port 0x61.  Channel 0 is IRQ 0, channel 2 the speaker's.
 *
 *   1. IRQ 0         rising edges of channel 0, as deadlines
 *   2. Writing       control words, read-back, counts
 *   3. Reading       latches, status, live counts
 *   4. Port 0x61     gate and output of channel 2, the refresh toggle
 *   5. Ports, reset
 *
 * IRQ 0 stays high from one edge to the next, although OUT falls before: a tick that the processor
 * could not take at once is not lost.  Ticks that nobody took in time are one tick (the line cannot
 * say more).
 */
#include "machine/device.h"

enum { ACCESS_LOW = 1, ACCESS_HIGH = 2, ACCESS_BOTH = 3 };
enum port61 { GATE2 = 1u << 0, PORT61_WRITABLE = 0x0F, REFRESH = 1u << 4, OUT2 = 1u << 5 };

#define REFRESH_NS 15085u
/* A guest that programs a period of a few ticks would keep the host busy with nothing else. */
#define PIT_MIN_PERIOD_NS 20000u

static uint64_t present_tick(const struct machine *m)
{
	return pit_ticks(machine_now(m));
}

/* ---- 1. IRQ 0 ------------------------------------------------------------------------------- */

static void schedule_edge(struct machine *m, uint64_t tick)
{
	struct pit *p = &m->pit;

	p->edge = pit_next_edge(&p->channel[0], tick);
	p->edge_ns = p->edge == NEVER ? NEVER : pit_ns(p->edge);
}

static void poll_edge(struct machine *m, uint64_t now)
{
	struct pit *p = &m->pit;
	uint64_t tick;

	if (now < p->edge_ns)
		return;
	tick = pit_ticks(now);
	pit_settle(&p->channel[0], tick);
	pic_pulse_line(m, LINE_PIT);
	schedule_edge(m, tick);
	if (p->edge_ns != NEVER && p->edge_ns < now + PIT_MIN_PERIOD_NS)
		p->edge_ns = now + PIT_MIN_PERIOD_NS;
}

/* Channel 0 was programmed: the line takes OUT's level, the next edge another time. */
static void reprogram(struct machine *m, uint64_t tick)
{
	pic_set_line(m, LINE_PIT, pit_output(&m->pit.channel[0], tick));
	schedule_edge(m, tick);
}

static uint64_t pit_deadline(const struct machine *m)
{
	/* While a tick waits to be taken, another adds nothing. */
	return pic_is_requested(m, LINE_PIT) ? NEVER : m->pit.edge_ns;
}

/* Modes 2 and 3 tick: late ticks would be lost ones.  The others count down once. */
static bool pit_is_patient(const struct machine *m)
{
	unsigned mode = m->pit.channel[0].mode;

	return mode != 2 && mode != 3;
}

/* ---- 2. Writing ----------------------------------------------------------------------------- */

static uint8_t make_status(const struct pit_channel *c, uint64_t tick)
{
	return (uint8_t)(pit_output(c, tick) << 7 | pit_is_null(c, tick) << 6 | c->access << 4 |
			 c->mode << 1 | c->bcd);
}

/* A latch holds until it is read; another latch command before that does nothing. */
static void latch_count(struct pit_channel *c, uint64_t tick)
{
	if (c->latch_bytes)
		return;
	c->latch = pit_count(c, tick);
	c->latch_bytes = c->access;
}

static void read_back(struct pit *p, uint8_t value, uint64_t tick)
{
	enum { NO_COUNT = 1u << 5, NO_STATUS = 1u << 4 };

	for (unsigned i = 0; i < 3; i++) {
		struct pit_channel *c = &p->channel[i];

		if (!(value & 2u << i))
			continue;
		pit_settle(c, tick);
		if (!(value & NO_COUNT))
			latch_count(c, tick);
		if (!(value & NO_STATUS) && !c->status_latched) {
			c->status = make_status(c, tick);
			c->status_latched = true;
		}
	}
}

static void write_control(struct machine *m, uint8_t value)
{
	unsigned index = value >> 6, access = value >> 4 & 3u;
	uint64_t tick = present_tick(m);
	struct pit_channel *c;

	if (index == 3) {
		read_back(&m->pit, value, tick);
		return;
	}
	c = &m->pit.channel[index];
	pit_settle(c, tick);
	if (!access) {
		latch_count(c, tick);
		return;
	}
	c->access = (uint8_t)access;
	c->bcd = value & 1;
	c->write_high = c->read_high = false;
	c->latch_bytes = 0;
	c->status_latched = false;
	pit_set_mode(c, value >> 1 & 7u);
	if (index == 0)
		reprogram(m, tick);
}

static uint32_t decode_count(const struct pit_channel *c, unsigned raw)
{
	if (c->bcd)
		raw =
		    (raw & 15) + (raw >> 4 & 15) * 10 + (raw >> 8 & 15) * 100 + (raw >> 12) * 1000;
	if (raw == 0)
		return c->bcd ? 10000 : 65536;
	return raw;
}

static void write_count(struct machine *m, unsigned index, uint8_t value)
{
	struct pit_channel *c = &m->pit.channel[index];
	uint64_t tick = present_tick(m);
	unsigned raw;

	pit_settle(c, tick);
	if (c->access == ACCESS_BOTH && !c->write_high) {
		c->write_low = value;
		c->write_high = true;
		/* in mode 0 the first byte stops the count and lowers OUT */
		if (c->mode == 0)
			pit_set_mode(c, 0);
	} else {
		raw = c->access == ACCESS_LOW    ? value
		      : c->access == ACCESS_HIGH ? (unsigned)value << 8
						 : (unsigned)value << 8 | c->write_low;
		c->write_high = false;
		pit_load(c, decode_count(c, raw), tick);
	}
	if (index == 0 && c->mode == 0)
		reprogram(m, tick);
	else if (index == 0)
		schedule_edge(m, tick); /* OUT does not change, nor does a waiting tick go away */
}

/* ---- 3. Reading ----------------------------------------------------------------------------- */

static uint8_t read_count(struct machine *m, unsigned index)
{
	struct pit_channel *c = &m->pit.channel[index];
	uint64_t tick = present_tick(m);
	uint16_t value;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->latch_bytes) {
		high = !(c->latch_bytes & ACCESS_LOW);
		c->latch_bytes = high ? 0 : c->latch_bytes & ACCESS_HIGH;
		return (uint8_t)(high ? c->latch >> 8 : c->latch);
	}
	pit_settle(c, tick);
	value = pit_count(c, tick);
	high = c->access == ACCESS_HIGH || (c->access == ACCESS_BOTH && c->read_high);
	if (c->access == ACCESS_BOTH)
		c->read_high = !c->read_high;
	return (uint8_t)(high ? value >> 8 : value);
}

/* ---- 4. Port 0x61 --------------------------------------------------------------------------- */

static uint8_t read_port61(struct machine *m)
{
	struct pit_channel *c = &m->pit.channel[2];
	uint64_t now = machine_now(m), tick = pit_ticks(now);

	pit_settle(c, tick);
	return (uint8_t)(m->pit.port61 | (now / REFRESH_NS & 1 ? REFRESH : 0) |
			 (pit_output(c, tick) ? OUT2 : 0));
}

/* ---- 5. Ports, reset ------------------------------------------------------------------------ */

static uint32_t pit_in(struct machine *m, uint16_t port, unsigned bytes)
{
	(void)bytes;
	if (port == 0x61)
		return read_port61(m);
	return port == 0x43 ? 0xFF : read_count(m, port & 3u); /* the control word cannot be read */
}

static void pit_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t word)
{
	uint8_t value = (uint8_t)word;

	(void)bytes;
	if (port == 0x61) {
		m->pit.port61 = value & PORT61_WRITABLE;
		pit_set_gate(&m->pit.channel[2], value & GATE2, present_tick(m));
		return;
	}
	poll_edge(m, machine_now(m)); /* what is due came before what is programmed now */
	if (port == 0x43) {
		write_control(m, value);
	} else {
		write_count(m, port & 3u, value);
	}
}

static void pit_reset(struct machine *m)
{
	for (unsigned i = 0; i < 3; i++) {
		struct pit_channel *c = &m->pit.channel[i];

		*c = (struct pit_channel){.access = ACCESS_BOTH, .gate = i != 2, .count = 65536,
					  .next = 65536};
	}
	m->pit.port61 = 0;
	reprogram(m, present_tick(m));
}

const struct device_ops pit_ops = {
    .name = "pit",
    .ports = {{0x40, 4}, {0x61, 1}},
    .widest = 1,
    .reset = pit_reset,
    .in = pit_in,
    .out = pit_out,
    .deadline = pit_deadline,
    .is_patient = pit_is_patient,
    .poll = poll_edge,
};
