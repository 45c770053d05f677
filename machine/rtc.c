/* SPDX-License-Identifier: MIT */
/*
 * machine/rtc.c - the MC146818 real-time clock and its CMOS memory, ports 0x70 and 0x71, IRQ 8.
 *
 *   1. Registers     names and bits
 *   2. Encoding      binary or BCD, 12 or 24 hours
 *   3. Time          the running calendar, setting it
 *   4. Alarm         the next second that matches
 *   5. Interrupts    flags, IRQ 8, deadlines
 *   6. Memory        what a PC's firmware leaves in CMOS
 *   7. Ports, reset
 *
 * After Motorola's MC146818 data sheet (ADI-856).  Nothing ticks: the calendar is computed when it
 * is read, and interrupts are deadlines.  The clock is set from the host's once and then runs on
 * machine_now().
 */
#include "machine/device.h"

/* ---- 1. Registers --------------------------------------------------------------------------- */

enum rtc_register {
	SECOND = 0,
	SECOND_ALARM,
	MINUTE,
	MINUTE_ALARM,
	HOUR,
	HOUR_ALARM,
	WEEKDAY,
	DAY,
	MONTH,
	YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	EQUIPMENT = 0x14,
	BASE_KIB = 0x15,
	EXTENDED_KIB = 0x17,
	CHECKSUM = 0x2E,
	EXTENDED_KIB_2 = 0x30,
	CENTURY = 0x32,
	ABOVE_16M = 0x34,
};
enum { UPDATING = 1u << 7, DIVIDER = 7u << 4, DIVIDER_RUNS = 2u << 4, RATE = 0x0F }; /* A */
enum { SET = 1u << 7, BINARY = 1u << 2, HOURS_24 = 1u << 1, SQUARE_WAVE = 1u << 3 }; /* B */
enum {
	IRQF = 1u << 7,
	PERIODIC = 1u << 6,
	ALARM = 1u << 5,
	UPDATE = 1u << 4,
	ANY = 7u << 4
};                        /* B, C */
enum { VALID = 1u << 7 }; /* D */
enum { PM = 0x80, DONT_CARE = 0xC0 };

/* UIP rises 244 us before an update that takes 1984 us; the new time shows at its end. */
#define UPDATE_NS 2228000u
#define CRYSTAL_HZ 32768u

/* ---- 2. Encoding ---------------------------------------------------------------------------- */

static uint8_t encode(const struct rtc *r, unsigned value)
{
	return (uint8_t)(r->cmos[REG_B] & BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned decode(const struct rtc *r, uint8_t raw)
{
	return r->cmos[REG_B] & BINARY ? raw : (raw >> 4) * 10u + (raw & 15u);
}

static uint8_t encode_hour(const struct rtc *r, unsigned hour)
{
	if (r->cmos[REG_B] & HOURS_24)
		return encode(r, hour);
	return (uint8_t)(encode(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? PM : 0));
}

static unsigned decode_hour(const struct rtc *r, uint8_t raw)
{
	if (r->cmos[REG_B] & HOURS_24)
		return decode(r, raw);
	return decode(r, raw & (uint8_t)~PM) % 12 + (raw & PM ? 12 : 0);
}

/* ---- 3. Time -------------------------------------------------------------------------------- */

static uint64_t updates(const struct rtc *r, uint64_t now)
{
	return (now - r->base_ns) / NS_PER_SECOND;
}

/* The time bytes of CMOS as of `now`. */
static void store_time(struct rtc *r, uint64_t now)
{
	struct calendar c = calendar_of_seconds(r->base_seconds + (int64_t)updates(r, now));

	r->cmos[SECOND] = encode(r, c.second);
	r->cmos[MINUTE] = encode(r, c.minute);
	r->cmos[HOUR] = encode_hour(r, c.hour);
	r->cmos[WEEKDAY] = encode(r, (c.weekday + r->weekday_offset) % 7 + 1);
	r->cmos[DAY] = encode(r, c.day);
	r->cmos[MONTH] = encode(r, c.month);
	r->cmos[YEAR] = encode(r, (unsigned)(c.year % 100));
	r->cmos[CENTURY] = encode(r, (unsigned)(c.year / 100 % 100));
}

/* The calendar goes on from the time bytes; a date that does not exist carries over. */
static void load_time(struct rtc *r, uint64_t now)
{
	struct calendar c = {.second = decode(r, r->cmos[SECOND]),
			     .minute = decode(r, r->cmos[MINUTE]),
			     .hour = decode_hour(r, r->cmos[HOUR]),
			     .day = decode(r, r->cmos[DAY]),
			     .month = decode(r, r->cmos[MONTH])};

	c.year = (int64_t)decode(r, r->cmos[CENTURY]) * 100 + decode(r, r->cmos[YEAR]);
	r->base_ns += updates(r, now) * NS_PER_SECOND;
	r->base_seconds = calendar_to_seconds(&c);
	r->done_seconds = 0;
	r->weekday_offset = (uint8_t)((decode(r, r->cmos[WEEKDAY]) + 6 + 7 -
				       calendar_of_seconds(r->base_seconds).weekday) %
				      7);
}

static bool is_time(unsigned index)
{
	return index == CENTURY || index == SECOND || index == MINUTE || index == HOUR ||
	       (index >= WEEKDAY && index <= YEAR);
}

static bool should_stop(const struct rtc *r)
{
	return r->cmos[REG_B] & SET || (r->cmos[REG_A] & DIVIDER) != DIVIDER_RUNS;
}

/* ---- 4. Alarm ------------------------------------------------------------------------------- */

enum { MATCH_ANY = -1, MATCH_NONE = -2 };

/* The value an alarm byte stands for: 0..limit-1, MATCH_ANY, MATCH_NONE. */
static int alarm_value(const struct rtc *r, unsigned index, unsigned limit)
{
	uint8_t raw = r->cmos[index];
	unsigned value = index == HOUR_ALARM ? decode_hour(r, raw) : decode(r, raw);

	if (raw >= DONT_CARE)
		return MATCH_ANY;
	if (value >= limit ||
	    raw != (index == HOUR_ALARM ? encode_hour(r, value) : encode(r, value)))
		return MATCH_NONE;
	return (int)value;
}

/* The first matching second after `after`, INT64_MAX: none.  Hours that do not match are skipped
 * whole, then minutes: at most 24 + 60 + 60 steps. */
static int64_t next_alarm(const struct rtc *r, int64_t after)
{
	int hour = alarm_value(r, HOUR_ALARM, 24), minute = alarm_value(r, MINUTE_ALARM, 60);
	int second = alarm_value(r, SECOND_ALARM, 60);
	int64_t t = after + 1;

	if (hour == MATCH_NONE || minute == MATCH_NONE || second == MATCH_NONE)
		return INT64_MAX;
	for (;;) {
		struct calendar c = calendar_of_seconds(t);

		if (hour >= 0 && c.hour != (unsigned)hour)
			t += 3600 - c.minute * 60 - c.second;
		else if (minute >= 0 && c.minute != (unsigned)minute)
			t += 60 - c.second;
		else if (second >= 0 && c.second != (unsigned)second)
			t++;
		else
			return t;
	}
}

/* ---- 5. Interrupts -------------------------------------------------------------------------- */

/* Crystal ticks in one period as a power of two; -1: the periodic interrupt is off. */
static int period_shift(const struct rtc *r)
{
	unsigned rate = r->cmos[REG_A] & RATE;

	if (!rate || (r->cmos[REG_A] & DIVIDER) != DIVIDER_RUNS)
		return -1;
	return (int)(rate < 3 ? rate + 6 : rate - 1); /* 1 and 2 are as 8 and 9 */
}

static uint64_t periods(const struct rtc *r, uint64_t now)
{
	uint64_t ns = now - r->chain_ns;
	int shift = period_shift(r);

	if (shift < 0)
		return 0;
	return (ns / NS_PER_SECOND * CRYSTAL_HZ +
		ns % NS_PER_SECOND * CRYSTAL_HZ / NS_PER_SECOND) >>
	       shift;
}

static uint64_t period_start(const struct rtc *r, uint64_t index)
{
	uint64_t ticks = index << period_shift(r);

	return r->chain_ns + ticks / CRYSTAL_HZ * NS_PER_SECOND +
	       (ticks % CRYSTAL_HZ * NS_PER_SECOND + CRYSTAL_HZ - 1) / CRYSTAL_HZ;
}

/* When the first flag rises that is enabled and not up yet. */
static uint64_t find_deadline(const struct rtc *r)
{
	unsigned waiting = r->cmos[REG_B] & ANY & ~(unsigned)r->flags;
	uint64_t first = NEVER, at;

	if (r->cmos[REG_B] & r->flags & ANY)
		return NEVER; /* IRQ 8 is up already */
	if (waiting & PERIODIC && period_shift(r) >= 0)
		first = period_start(r, r->done_periods + 1);
	if (waiting & UPDATE && !r->stopped) {
		at = r->base_ns + (r->done_seconds + 1) * NS_PER_SECOND;
		first = at < first ? at : first;
	}
	if (waiting & ALARM && !r->stopped) {
		int64_t alarm = next_alarm(r, r->base_seconds + (int64_t)r->done_seconds);

		at = r->base_ns + (uint64_t)(alarm - r->base_seconds) * NS_PER_SECOND;
		if (alarm != INT64_MAX && at < first)
			first = at;
	}
	return first;
}

/* Bring the flags up to now. */
static void settle(struct rtc *r, uint64_t now)
{
	uint64_t count = periods(r, now);

	if (count > r->done_periods)
		r->flags |= PERIODIC;
	r->done_periods = count;
	if (r->stopped)
		return;
	count = updates(r, now);
	if (count == r->done_seconds)
		return;
	r->flags |= UPDATE;
	if (next_alarm(r, r->base_seconds + (int64_t)r->done_seconds) - (int64_t)count <=
	    r->base_seconds)
		r->flags |= ALARM;
	r->done_seconds = count;
}

static void update_irq(struct machine *m)
{
	struct rtc *r = &m->rtc;

	pic_set_line(m, LINE_RTC, r->cmos[REG_B] & r->flags & ANY);
	r->deadline = find_deadline(r);
}

static void rtc_poll(struct machine *m, uint64_t now)
{
	if (now < m->rtc.deadline)
		return;
	settle(&m->rtc, now);
	update_irq(m);
}

static uint64_t rtc_deadline(const struct machine *m)
{
	return m->rtc.deadline;
}

/* ---- 6. Memory ------------------------------------------------------------------------------ */

static void store_word(struct rtc *r, unsigned index, uint64_t value)
{
	if (value > 0xFFFF)
		value = 0xFFFF;
	r->cmos[index] = (uint8_t)value;
	r->cmos[index + 1] = (uint8_t)(value >> 8);
}

static void describe_board(struct machine *m)
{
	struct rtc *r = &m->rtc;
	uint64_t kib = m->config.ram_bytes >> 10, above = kib > 1024 ? kib - 1024 : 0;
	unsigned sum = 0;

	r->cmos[EQUIPMENT] = 0x02; /* a floating-point unit, no diskette drives, no display */
	store_word(r, BASE_KIB, kib < 640 ? kib : 640);
	store_word(r, EXTENDED_KIB, above);
	store_word(r, EXTENDED_KIB_2, above);
	store_word(r, ABOVE_16M, kib > 16384 ? (kib - 16384) / 64 : 0);
	for (unsigned i = 0x10; i < CHECKSUM; i++)
		sum += r->cmos[i];
	r->cmos[CHECKSUM] = (uint8_t)(sum >> 8); /* this one is big-endian */
	r->cmos[CHECKSUM + 1] = (uint8_t)sum;
}

/* ---- 7. Ports, reset ------------------------------------------------------------------------ */

static uint8_t read_register(struct machine *m, unsigned index)
{
	struct rtc *r = &m->rtc;
	uint64_t now = machine_now(m);
	uint8_t value;

	if (is_time(index) && !r->stopped)
		store_time(r, now);
	switch (index) {
	case REG_A:
		value =
		    (now - r->base_ns) % NS_PER_SECOND >= NS_PER_SECOND - UPDATE_NS && !r->stopped;
		return (uint8_t)(r->cmos[REG_A] | (value ? UPDATING : 0));
	case REG_C:
		settle(r, now);
		value = (uint8_t)(r->flags | (r->flags & r->cmos[REG_B] & ANY ? IRQF : 0));
		r->flags = 0;
		update_irq(m);
		return value;
	default:
		return r->cmos[index];
	}
}

/* A or B changed from `before`: the clock may stop or go on. */
static void follow_control(struct rtc *r, bool divider_ran, uint64_t now)
{
	bool divider_runs = (r->cmos[REG_A] & DIVIDER) == DIVIDER_RUNS, stop = should_stop(r);

	if (divider_runs && !divider_ran) {
		/* released: the first update comes half a second later */
		r->chain_ns = now;
		r->base_ns = now - NS_PER_SECOND / 2;
	}
	if (r->stopped && !stop)
		load_time(r, now);
	r->stopped = stop;
	r->done_periods = periods(r, now);
}

static void write_register(struct machine *m, unsigned index, uint8_t value)
{
	struct rtc *r = &m->rtc;
	uint64_t now = machine_now(m);
	bool divider_ran = (r->cmos[REG_A] & DIVIDER) == DIVIDER_RUNS;

	if (index == REG_C || index == REG_D)
		return;
	settle(r, now);
	if (!r->stopped) /* whatever changes, it is encoded as B says until now */
		store_time(r, now);
	if (index == REG_A)
		value &= (uint8_t)~UPDATING;
	if (index == REG_B && value & SET)
		value &= (uint8_t)~UPDATE; /* SET clears the update interrupt's enable */
	r->cmos[index] = value;
	if (index == REG_A || index == REG_B)
		follow_control(r, divider_ran, now);
	else if (is_time(index) && !r->stopped)
		load_time(r, now);
	update_irq(m);
}

static uint32_t rtc_in(struct machine *m, uint16_t port, unsigned bytes)
{
	(void)bytes;
	return port == 0x70 ? 0xFF : read_register(m, m->rtc.index);
}

static void rtc_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	(void)bytes;
	if (port == 0x70)
		m->rtc.index = value & (CMOS_BYTES - 1); /* bit 7 masks NMI, which nobody raises */
	else
		write_register(m, m->rtc.index, (uint8_t)value);
}

static void make_clock(struct machine *m, uint64_t now)
{
	struct rtc *r = &m->rtc;

	r->made = true;
	r->cmos[REG_A] = DIVIDER_RUNS | 6; /* 1024 Hz, as firmware leaves it */
	r->cmos[REG_B] = HOURS_24;
	r->cmos[REG_D] = VALID;
	r->base_ns = r->chain_ns = now;
	r->base_seconds = (int64_t)m->config.wall_clock(m->config.user);
	describe_board(m);
}

/* RESET leaves time and memory alone: a battery keeps them. */
static void rtc_reset(struct machine *m)
{
	uint64_t now = machine_now(m);

	if (!m->rtc.made)
		make_clock(m, now);
	settle(&m->rtc, now);
	m->rtc.cmos[REG_B] &= (uint8_t) ~(ANY | SQUARE_WAVE);
	m->rtc.flags = 0;
	update_irq(m);
}

const struct device_ops rtc_ops = {
    .name = "rtc",
    .ports = {{0x70, 2}},
    .widest = 1,
    .reset = rtc_reset,
    .in = rtc_in,
    .out = rtc_out,
    .deadline = rtc_deadline,
    .poll = rtc_poll,
};
