/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/timer.c - interrupts by the thousand in the middle of computations, whose results are exact.
 */
#include "guests/hostile/hostile.h"

enum { MASTER = 0x20, SLAVE = 0xA0, HZ = 4000 };

static void start_timer(void)
{
	static const uint8_t words[2][3] = { { TRAP_IRQ0, 4, 1 }, { TRAP_IRQ0 + 8, 2, 1 } };
	const uint32_t count = 1193182 / HZ;

	for (unsigned i = 0; i < 2; i++) {
		uint16_t port = i ? SLAVE : MASTER;
		out8(port, 0x11);
		for (unsigned n = 0; n < 3; n++)
			out8((uint16_t)(port + 1), words[i][n]);
	}
	out8(MASTER + 1, 0xFE);
	out8(SLAVE + 1, 0xFF);
	out8(0x43, 0x34);
	out8(0x40, (uint8_t)count);
	out8(0x40, (uint8_t)(count >> 8));
}

/* snippets.S: the length before each, 0 ends. */
extern const uint8_t computations[];
extern const uint8_t computations_end[];

void timer(void)
{
	uint32_t before = 0;

	start_timer();
	for (unsigned ring = 0; ring < 2; ring++) {
		for (const uint8_t *at = computations; at < computations_end;) {
			struct context c = ring ? user_context : kernel_context;
			uint32_t length;
			memcpy(&length, at, 4);
			put_code(CODE, at + 4, length);
			c.eflags |= 1u << 9;
			c.ecx = 1000000;
			attempt(&c);
			note_memory(DATA, 4 * PAGE);
			at += 4 + length;
		}
		told(ring ? "computations in ring 3, interrupted" : "computations in ring 0, interrupted");
		if (interrupts == before)
			print("# no interrupt came\n");
		before = interrupts;
	}
	out8(MASTER + 1, 0xFF);
}
