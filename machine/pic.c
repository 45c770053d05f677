/* SPDX-License-Identifier: MIT */
/*
 * machine/pic.c - two 8259A interrupt controllers in cascade, with the edge/level registers of a
 * PCI PC.
 *
 *   1. Requests      which inputs ask, which of them may interrupt
 *   2. The output    INTR to the processor, follows every change
 *   3. Lines         inputs from devices
 *   4. Acknowledge   INTA cycles, spurious vectors, poll commands
 *   5. Commands      ICW1-4, OCW1-3
 *   6. Ports, reset, text
 *
 * After Intel's 8259A data sheet (231468-003) and, for ELCR, the 82371SB's (290550): the LTIM bit
 * of ICW1 does nothing there, each input's trigger is chosen in ports 0x4D0 and 0x4D1.
 *
 * IRR is never stored: an edge input requests while it is high and has risen since its last
 * acknowledge, a level input while it is high.  A request that goes away before the acknowledge is
 * then a spurious one, as in the chip.
 */
#include <stdio.h>

#include "machine/device.h"

enum { MASTER, SLAVE };
enum icw1 { ICW1_NEEDS_ICW4 = 1u << 0, ICW1_SINGLE = 1u << 1, ICW1_START = 1u << 4 };
enum icw4 { ICW4_AUTO_EOI = 1u << 1, ICW4_SPECIAL_NESTED = 1u << 4 };
enum ocw2 { OCW2_EOI = 1u << 5, OCW2_SPECIFIC = 1u << 6, OCW2_ROTATE = 1u << 7 };
enum ocw3 {
	OCW3_READ_ISR = 1u << 0,
	OCW3_READ = 1u << 1,
	OCW3_POLL = 1u << 2,
	OCW3_SELECT = 1u << 3,
	OCW3_MASK = 1u << 5,
	OCW3_SET_MASK = 1u << 6,
};
enum { ICW_NONE = 0, ICW_NEVER = 1 }; /* icw_next besides 2..4 */
/* The timer, keyboard, cascade, RTC and FPU inputs have no level mode (82371SB, 2.5.10-11). */
static const uint8_t level_allowed[2] = {0xF8, 0xDE};

/* ---- 1. Requests ---------------------------------------------------------------------------- */

static unsigned bit(unsigned input)
{
	return 1u << input;
}

static uint8_t requests(const struct pic_chip *c)
{
	return c->lines & (uint8_t)(c->edges | c->level);
}

/* The input of highest priority in `set`, or -1. */
static int pick_highest(const struct pic_chip *c, unsigned set)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned input = (c->lowest + i) & 7;

		if (set & bit(input))
			return (int)input;
	}
	return -1;
}

/* The input that interrupts now, or -1: unmasked, and above everything in service. */
static int pick_request(const struct pic_chip *c, bool master)
{
	unsigned wanted = requests(c) & ~(unsigned)c->imr, serving = c->isr;

	if (c->icw_next != ICW_NONE)
		return -1;
	/* Special mask mode: a masked input in service holds nobody back. */
	if (c->special_mask)
		serving &= ~(unsigned)c->imr;
	/* Special fully nested mode: the slave may interrupt its own service. */
	if (c->special_nested && master)
		serving &= ~bit(LINE_CASCADE);
	for (unsigned i = 1; i <= 8; i++) {
		unsigned input = (c->lowest + i) & 7;

		if (serving & bit(input))
			return -1;
		if (wanted & bit(input))
			return (int)input;
	}
	return -1;
}

/* ---- 2. The output -------------------------------------------------------------------------- */

static void update_output(struct machine *m)
{
	struct pic_chip *chip = m->pic.chip;
	bool intr;

	/* The cascade input follows the slave; taken as a level, no second edge can be lost. */
	if (pick_request(&chip[SLAVE], false) >= 0)
		chip[MASTER].lines |= (uint8_t)bit(LINE_CASCADE);
	else
		chip[MASTER].lines &= (uint8_t)~bit(LINE_CASCADE);
	intr = pick_request(&chip[MASTER], true) >= 0;
	if (intr != m->pic.intr) {
		m->pic.intr = intr;
		m->config.irq(m->config.user, intr);
	}
}

/* ---- 3. Lines ------------------------------------------------------------------------------- */

static void set_input(struct pic_chip *c, unsigned input, bool level)
{
	if (!level) {
		c->lines &= (uint8_t)~bit(input);
		c->edges &= (uint8_t)~bit(input);
	} else if (!(c->lines & bit(input))) {
		c->lines |= (uint8_t)bit(input);
		c->edges |= (uint8_t)bit(input);
	}
}

void pic_set_line(struct machine *m, unsigned line, bool level)
{
	struct pic_chip *c = &m->pic.chip[line >> 3];

	if (line == LINE_CASCADE || !(c->lines & bit(line & 7)) == !level)
		return;
	set_input(c, line & 7, level);
	update_output(m);
}

void pic_pulse_line(struct machine *m, unsigned line)
{
	struct pic_chip *c = &m->pic.chip[line >> 3];

	set_input(c, line & 7, false);
	set_input(c, line & 7, true);
	update_output(m);
}

bool pic_is_requested(const struct machine *m, unsigned line)
{
	return requests(&m->pic.chip[line >> 3]) & bit(line & 7);
}

/* ---- 4. Acknowledge ------------------------------------------------------------------------- */

static void set_in_service(struct pic_chip *c, unsigned input)
{
	c->edges &= (uint8_t)~bit(input);
	if (!c->auto_eoi)
		c->isr |= (uint8_t)bit(input);
	else if (c->rotate_auto_eoi)
		c->lowest = (uint8_t)input;
}

/* One chip's part in INTA.  Without a request it answers as for input 7 and serves nothing. */
static unsigned acknowledge(struct pic_chip *c, bool master)
{
	int input = pick_request(c, master);

	if (input < 0)
		return 7;
	set_in_service(c, (unsigned)input);
	return (unsigned)input;
}

int pic_acknowledge(struct machine *m)
{
	struct pic_chip *chip = m->pic.chip;
	unsigned input = acknowledge(&chip[MASTER], true);
	unsigned vector = chip[MASTER].base + input;

	if (input == LINE_CASCADE)
		vector = chip[SLAVE].base + acknowledge(&chip[SLAVE], false);
	update_output(m);
	return (int)(vector & 0xFF);
}

/* A read after the poll command: an acknowledge that answers with the input's number. */
static uint8_t answer_poll(struct machine *m, unsigned which)
{
	struct pic_chip *c = &m->pic.chip[which];
	int input = pick_request(c, which == MASTER);

	c->poll = false;
	if (input < 0)
		return 7;
	set_in_service(c, (unsigned)input);
	update_output(m);
	return (uint8_t)(0x80u | (unsigned)input);
}

/* ---- 5. Commands ---------------------------------------------------------------------------- */

static void start_initialisation(struct pic_chip *c, uint8_t icw1)
{
	c->icw1 = icw1;
	c->icw_next = 2;
	c->edges = 0;
	c->imr = c->isr = 0;
	c->lowest = 7;
	c->special_mask = c->poll = c->read_isr = false;
	c->auto_eoi = c->rotate_auto_eoi = c->special_nested = false;
}

static void write_icw(struct pic_chip *c, uint8_t value)
{
	switch (c->icw_next) {
	case 2:
		c->base = value & 0xF8;
		c->icw_next = c->icw1 & ICW1_SINGLE ? 4 : 3;
		break;
	case 3: /* the wiring is fixed: slave on input 2 */
		c->icw_next = 4;
		break;
	default:
		c->auto_eoi = value & ICW4_AUTO_EOI;
		c->special_nested = value & ICW4_SPECIAL_NESTED;
		c->icw_next = ICW_NONE;
		return;
	}
	if (c->icw_next == 4 && !(c->icw1 & ICW1_NEEDS_ICW4))
		c->icw_next = ICW_NONE;
}

/* End of interrupt and rotation. */
static void write_ocw2(struct pic_chip *c, uint8_t value)
{
	/* In special mask mode a masked input's service is not ended by a non-specific EOI. */
	unsigned ending = c->isr & ~(c->special_mask ? (unsigned)c->imr : 0u);
	int input = value & OCW2_SPECIFIC ? value & 7 : pick_highest(c, ending);

	switch (value & (OCW2_EOI | OCW2_ROTATE | OCW2_SPECIFIC)) {
	case 0:
	case OCW2_ROTATE:
		c->rotate_auto_eoi = value & OCW2_ROTATE;
		return;
	case OCW2_SPECIFIC: /* no operation */
		return;
	default:
		break;
	}
	if (input < 0)
		return;
	if (value & OCW2_EOI)
		c->isr &= (uint8_t)~bit((unsigned)input);
	if (value & OCW2_ROTATE)
		c->lowest = (uint8_t)input;
}

static void write_ocw3(struct pic_chip *c, uint8_t value)
{
	if (value & OCW3_SET_MASK)
		c->special_mask = value & OCW3_MASK;
	c->poll = value & OCW3_POLL;
	if (value & OCW3_READ)
		c->read_isr = value & OCW3_READ_ISR;
}

/* ---- 6. Ports, reset, text ------------------------------------------------------------------ */

/* The cascade input is a level to us, whatever ELCR says (see update_output). */
static uint8_t cascade_level(unsigned which)
{
	return which == MASTER ? (uint8_t)bit(LINE_CASCADE) : 0;
}

static uint32_t pic_in(struct machine *m, uint16_t port, unsigned bytes)
{
	unsigned which = port == 0x4D0 || port == 0x4D1 ? port & 1u : port >> 7 & 1u;
	struct pic_chip *c = &m->pic.chip[which];

	(void)bytes;
	if (port >= 0x4D0)
		return c->level & level_allowed[which];
	if (c->poll)
		return answer_poll(m, which);
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : requests(c);
}

static void pic_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t word)
{
	unsigned which = port == 0x4D0 || port == 0x4D1 ? port & 1u : port >> 7 & 1u;
	struct pic_chip *c = &m->pic.chip[which];
	uint8_t value = (uint8_t)word;

	(void)bytes;
	if (port >= 0x4D0)
		c->level = (uint8_t)((value & level_allowed[which]) | cascade_level(which));
	else if (port & 1 && c->icw_next > ICW_NEVER)
		write_icw(c, value);
	else if (port & 1)
		c->imr = value;
	else if (value & ICW1_START)
		start_initialisation(c, value);
	else if (value & OCW3_SELECT)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
	update_output(m);
}

static void pic_reset(struct machine *m)
{
	for (unsigned i = 0; i < 2; i++) {
		struct pic_chip *c = &m->pic.chip[i];

		start_initialisation(c, 0);
		c->icw_next = ICW_NEVER;
		c->base = 0;
		c->level = cascade_level(i);
		c->lines = 0;
	}
	update_output(m);
}

size_t pic_describe(const struct machine *m, char *buf, size_t bytes)
{
	static const char *const name[2] = {"master", "slave"};
	size_t used = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct pic_chip *c = &m->pic.chip[i];
		int n =
		    snprintf(buf + used, bytes - used,
			     "%-6s irr %02x imr %02x isr %02x lines %02x level %02x base %02x "
			     "lowest %u%s%s%s\n",
			     name[i], requests(c), c->imr, c->isr, c->lines,
			     c->level & level_allowed[i], c->base, c->lowest,
			     c->auto_eoi ? " auto-eoi" : "", c->special_mask ? " special-mask" : "",
			     c->icw_next != ICW_NONE ? " not initialised" : "");

		if (n < 0 || (size_t)n >= bytes - used)
			return bytes ? bytes - 1 : 0;
		used += (size_t)n;
	}
	return used;
}

const struct device_ops pic_ops = {
    .name = "pic",
    .ports = {{0x20, 2}, {0xA0, 2}, {0x4D0, 2}},
    .widest = 1,
    .reset = pic_reset,
    .in = pic_in,
    .out = pic_out,
};
