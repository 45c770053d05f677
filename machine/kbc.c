/* SPDX-License-Identifier: MIT */
/*
 * machine/kbc.c - the 8042 keyboard controller with nothing plugged in: A20, reset, self-test.
 *
 *   1. Bits        status, commands, the output port
 *   2. Output      bytes for port 0x60, IRQ 1
 *   3. Commands    port 0x64
 *   4. Data        port 0x60
 *   5. Ports, reset
 *
 * After Intel's UPI-42 notes and IBM's PS/2 technical reference, "Keyboard and auxiliary device
 * controller". A command is answered before the next instruction, so the input buffer is never
 * full.  No device answers on either connector: a byte for the keyboard comes back as 0xFE with the
 * time-out bit, the auxiliary connector's test fails at once.  A probe learns that quickly instead
 * of waiting for it.
 */
#include <string.h>

#include "machine/device.h"

/* ---- 1. Bits -------------------------------------------------------------------------------- */

enum kbc_status {
	STATUS_OUT_FULL = 1u << 0,
	STATUS_SYSTEM = 1u << 2,  /* the self-test was passed */
	STATUS_COMMAND = 1u << 3, /* the last write went to port 0x64 */
	STATUS_UNLOCKED = 1u << 4,
	STATUS_TIMEOUT = 1u << 6,
};
enum kbc_command_byte {
	CB_KEYBOARD_IRQ = 1u << 0,
	CB_SYSTEM = 1u << 2,
	CB_NO_KEYBOARD = 1u << 4,
	CB_NO_AUX = 1u << 5,
	CB_TRANSLATE = 1u << 6
};
enum kbc_command {
	READ_RAM = 0x20,  /* ..0x3F; 0x20 is the command byte */
	WRITE_RAM = 0x60, /* ..0x7F */
	DISABLE_AUX = 0xA7,
	ENABLE_AUX = 0xA8,
	TEST_AUX = 0xA9,
	SELF_TEST = 0xAA,
	TEST_KEYBOARD = 0xAB,
	DISABLE_KEYBOARD = 0xAD,
	ENABLE_KEYBOARD = 0xAE,
	READ_INPUT_PORT = 0xC0,
	READ_OUTPUT_PORT = 0xD0,
	WRITE_OUTPUT_PORT = 0xD1,
	WRITE_KEYBOARD_OUT = 0xD2,
	WRITE_AUX_OUT = 0xD3,
	WRITE_AUX = 0xD4,
	DISABLE_A20 = 0xDD,
	ENABLE_A20 = 0xDF,
	PULSE = 0xF0,
};
enum { TO_KEYBOARD = 0 }; /* pending: a byte for port 0x60 without a command before it */
enum output_port { OUT_NOT_RESET = 1u << 0, OUT_A20 = 1u << 1 };
enum { PASSED = 0x55, INTERFACE_GOOD = 0x00, CLOCK_STUCK_LOW = 0x01, NO_ANSWER = 0xFE };

/* ---- 2. Output ------------------------------------------------------------------------------ */

static void update_irq(struct machine *m)
{
	pic_set_line(m, LINE_KBC, m->kbc.used && m->kbc.command_byte & CB_KEYBOARD_IRQ);
}

/* A reader that never comes loses the newest bytes. */
static void put(struct machine *m, uint8_t byte, uint8_t flags)
{
	struct kbc *k = &m->kbc;
	unsigned at = (k->head + k->used) % KBC_OUT_BYTES;

	if (k->used < KBC_OUT_BYTES) {
		k->out[at] = byte;
		k->flags[at] = flags;
		k->used++;
	}
	update_irq(m);
}

static uint8_t take(struct machine *m)
{
	struct kbc *k = &m->kbc;

	if (k->used) {
		k->last = k->out[k->head];
		k->head = (k->head + 1) % KBC_OUT_BYTES;
		k->used--;
		/* the next byte is a new edge */
		pic_set_line(m, LINE_KBC, false);
	}
	update_irq(m);
	return k->last;
}

static uint8_t read_status(const struct machine *m)
{
	const struct kbc *k = &m->kbc;

	return (uint8_t)(STATUS_UNLOCKED | (k->command_byte & CB_SYSTEM ? STATUS_SYSTEM : 0) |
			 (k->last_was_command ? STATUS_COMMAND : 0) |
			 (k->used ? STATUS_OUT_FULL | k->flags[k->head] : 0));
}

/* ---- 3. Commands ---------------------------------------------------------------------------- */

static void set_output_port(struct machine *m, uint8_t value)
{
	m->kbc.output_port = value;
	sysctl_set_a20(m, value & OUT_A20);
	if (!(value & OUT_NOT_RESET))
		sysctl_request(m, MACHINE_RESET);
}

static void do_simple_command(struct machine *m, uint8_t command)
{
	struct kbc *k = &m->kbc;

	switch (command) {
	case DISABLE_AUX:
		k->command_byte |= CB_NO_AUX;
		break;
	case ENABLE_AUX:
		k->command_byte &= (uint8_t)~CB_NO_AUX;
		break;
	case TEST_AUX:
		put(m, CLOCK_STUCK_LOW, 0);
		break;
	case SELF_TEST:
		k->command_byte |= CB_SYSTEM;
		put(m, PASSED, 0);
		break;
	case TEST_KEYBOARD:
		put(m, INTERFACE_GOOD, 0);
		break;
	case DISABLE_KEYBOARD:
		k->command_byte |= CB_NO_KEYBOARD;
		break;
	case ENABLE_KEYBOARD:
		k->command_byte &= (uint8_t)~CB_NO_KEYBOARD;
		break;
	case READ_INPUT_PORT:
		put(m, 0x80, 0); /* keyboard not locked */
		break;
	case READ_OUTPUT_PORT:
		put(m,
		    (uint8_t)((k->output_port & ~OUT_A20) | OUT_NOT_RESET |
			      (m->sysctl.a20 ? OUT_A20 : 0)),
		    0);
		break;
	case DISABLE_A20:
	case ENABLE_A20:
		sysctl_set_a20(m, command == ENABLE_A20);
		break;
	default: /* not a command of this controller: no answer */
		break;
	}
}

static void write_command(struct machine *m, uint8_t command)
{
	struct kbc *k = &m->kbc;

	k->last_was_command = true;
	k->pending = TO_KEYBOARD;
	if (command >= PULSE) {
		/* the low bits choose the lines that are pulsed low: bit 0 is the processor's reset
		 */
		if (!(command & OUT_NOT_RESET))
			sysctl_request(m, MACHINE_RESET);
	} else if (command == READ_RAM) {
		put(m, k->command_byte, 0);
	} else if (command > READ_RAM && command < READ_RAM + 0x20) {
		put(m, k->ram[command & 0x1F], 0);
	} else if ((command >= WRITE_RAM && command < WRITE_RAM + 0x20) ||
		   (command >= WRITE_OUTPUT_PORT && command <= WRITE_AUX)) {
		k->pending = command;
	} else {
		do_simple_command(m, command);
	}
}

/* ---- 4. Data -------------------------------------------------------------------------------- */

static void write_data(struct machine *m, uint8_t value)
{
	struct kbc *k = &m->kbc;
	uint8_t command = k->pending;

	k->last_was_command = false;
	k->pending = TO_KEYBOARD;
	switch (command) {
	case WRITE_RAM:
		k->command_byte = value;
		update_irq(m);
		break;
	case WRITE_OUTPUT_PORT:
		set_output_port(m, value);
		break;
	case WRITE_KEYBOARD_OUT:
	case WRITE_AUX_OUT: /* without an auxiliary port it comes back as the keyboard's */
		put(m, value, 0);
		break;
	case WRITE_AUX:
	case TO_KEYBOARD: /* nobody there: the controller's own time-out answer */
		put(m, NO_ANSWER, STATUS_TIMEOUT);
		break;
	default:
		k->ram[command & 0x1F] = value;
		break;
	}
}

/* ---- 5. Ports, reset ------------------------------------------------------------------------ */

static uint32_t kbc_in(struct machine *m, uint16_t port, unsigned bytes)
{
	(void)bytes;
	return port == 0x64 ? read_status(m) : take(m);
}

static void kbc_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	(void)bytes;
	if (port == 0x64)
		write_command(m, (uint8_t)value);
	else
		write_data(m, (uint8_t)value);
}

static void kbc_reset(struct machine *m)
{
	/* as firmware leaves it: tested, translating, interrupts off */
	memset(&m->kbc, 0, sizeof(m->kbc));
	m->kbc.command_byte = CB_SYSTEM | CB_TRANSLATE;
	m->kbc.output_port = OUT_NOT_RESET | OUT_A20;
	update_irq(m);
}

const struct device_ops kbc_ops = {
    .name = "kbc",
    .ports = {{0x60, 1}, {0x64, 1}},
    .widest = 1,
    .reset = kbc_reset,
    .in = kbc_in,
    .out = kbc_out,
};
