/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/board.c - a machine on a test bench.  See board.h.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/board.h"

static uint64_t board_now(void *user)
{
	return ((struct board *)user)->now;
}

static uint64_t board_wall(void *user)
{
	return ((struct board *)user)->wall;
}

static void board_irq(void *user, bool level)
{
	struct board *b = user;

	b->intr = level;
	b->irq_calls++;
}

static void board_a20(void *user, bool enabled)
{
	((struct board *)user)->a20 = enabled;
}

static size_t board_serial(void *user, const uint8_t *bytes, size_t count)
{
	struct board *b = user;

	b->serial_calls++;
	if (count > b->out_limit - b->out_used)
		count = b->out_limit - b->out_used;
	memcpy(b->out + b->out_used, bytes, count);
	b->out_used += count;
	return count;
}

static void board_debug(void *user, uint8_t byte)
{
	struct board *b = user;

	if (b->debug_used < sizeof(b->debug))
		b->debug[b->debug_used++] = byte;
}

void board_start(struct board *b)
{
	memset(b, 0, sizeof(*b));
	b->a20 = true;
	b->wall = 1709164790;
	b->out_limit = BOARD_OUT;
	b->config = (struct machine_config){.user = b,
					    .now = board_now,
					    .wall_clock = board_wall,
					    .irq = board_irq,
					    .a20 = board_a20,
					    .serial_out = board_serial,
					    .debug_out = board_debug,
					    .ram_bytes = 64u << 20,
					    .debug_exit_port = 0x501};
	b->m = machine_new(&b->config);
	if (!b->m)
		abort();
}

void board_stop(struct board *b)
{
	machine_free(b->m);
	b->m = NULL;
}

unsigned board_pass(struct board *b, uint64_t ns)
{
	uint64_t end = b->now + ns, at;
	unsigned polls = 0;

	while ((at = machine_deadline(b->m)) <= end) {
		if (at > b->now)
			b->now = at;
		machine_poll(b->m);
		polls++;
	}
	b->now = end;
	return polls;
}

uint8_t board_in(struct board *b, uint16_t port)
{
	return (uint8_t)machine_port_in(b->m, port, 1);
}

void board_out(struct board *b, uint16_t port, uint8_t value)
{
	machine_port_out(b->m, port, 1, value);
}

void board_set_up_pic(struct board *b)
{
	static const uint8_t words[2][4] = {{0x11, 0x30, 0x04, 0x01}, {0x11, 0x38, 0x02, 0x01}};

	for (unsigned chip = 0; chip < 2; chip++) {
		uint16_t port = chip ? 0xA0 : 0x20;

		board_out(b, port, words[chip][0]);
		for (unsigned i = 1; i < 4; i++)
			board_out(b, port + 1, words[chip][i]);
		board_out(b, port + 1, 0);
	}
}

void board_end_of_interrupt(struct board *b, unsigned line)
{
	if (line >= 8)
		board_out(b, 0xA0, 0x60 | (line & 7));
	board_out(b, 0x20, (uint8_t)(0x60 | (line >= 8 ? 2 : line)));
}
