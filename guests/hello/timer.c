/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/timer.c - the interrupt controllers, the timer, and keys from the serial line.
 *
 *   1. Controllers   both 8259s, vectors 32-47
 *   2. Timer         channel 0 of the 8254, HZ ticks a second
 *   3. Keys          received bytes, kept until somebody asks
 */
#include "guests/hello/hello.h"

/* ---- 1. Controllers ------------------------------------------------------------------------- */

enum { MASTER = 0x20, SLAVE = 0xA0, END = 0x20 };

static void start_controllers(void)
{
	static const uint8_t words[2][3] = {{TRAP_IRQ0, 4, 1}, {TRAP_IRQ0 + 8, 2, 1}};

	for (unsigned i = 0; i < 2; i++) {
		uint16_t port = i ? SLAVE : MASTER;

		out8(port, 0x11); /* initialise: edge-triggered, cascaded, a fourth word follows */
		for (unsigned n = 0; n < 3; n++)
			out8((uint16_t)(port + 1), words[i][n]);
	}
	out8(MASTER + 1, 0xEE); /* the timer and COM1 may interrupt */
	out8(SLAVE + 1, 0xFF);
}

void end_of_interrupt(unsigned line)
{
	if (line >= 8)
		out8(SLAVE, END);
	out8(MASTER, END);
}

/* ---- 2. Timer ------------------------------------------------------------------------------- */

volatile uint32_t ticks;

void timer_start(void)
{
	uint32_t count = 1193182 / HZ;

	start_controllers();
	out8(0x43, 0x34); /* channel 0, both bytes, mode 2 */
	out8(0x40, (uint8_t)count);
	out8(0x40, (uint8_t)(count >> 8));
}

/* ---- 3. Keys -------------------------------------------------------------------------------- */

enum { COM1 = 0x3F8, KEYS = 256 };

static uint8_t keys[KEYS];
static volatile uint32_t keys_in, keys_out;

void keys_start(void)
{
	out8(COM1 + 1, 1); /* an interrupt for received bytes */
}

void keys_interrupt(void)
{
	while (in8(COM1 + 5) & 1) {
		uint8_t key = in8(COM1);

		if (keys_in - keys_out < KEYS)
			keys[keys_in++ % KEYS] = key;
	}
}

int next_key(void)
{
	return keys_in == keys_out ? -1 : keys[keys_out++ % KEYS];
}
