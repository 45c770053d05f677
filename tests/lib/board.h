/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/board.h - a machine on a test bench: a clock that the test turns by hand, a processor's
 * interrupt pin to look at, and everything that came out of the serial line.
 */
#ifndef TESTS_BOARD_H
#define TESTS_BOARD_H

#include "machine/machine.h"

#define BOARD_OUT 65536u

struct board {
	struct machine *m;
	struct machine_config config;
	uint64_t now;  /* ns */
	uint64_t wall; /* seconds since 1970 */
	bool intr, a20;
	unsigned irq_calls;         /* changes of the interrupt pin */
	unsigned serial_calls;      /* host writes */
	size_t out_used, out_limit; /* bytes taken so far; how many may be taken in all */
	uint8_t out[BOARD_OUT];
	size_t debug_used;
	uint8_t debug[256];
};

/* ram 64 MiB, debug exit at port 0x501, wall clock 2024-02-28 23:59:50 UTC. */
void board_start(struct board *b);
void board_stop(struct board *b);
/* Pass time as an embedder does: poll at every deadline on the way.  Returns how many polls that
 * took. */
unsigned board_pass(struct board *b, uint64_t ns);

uint8_t board_in(struct board *b, uint16_t port);
void board_out(struct board *b, uint16_t port, uint8_t value);
/* Both 8259s as Linux sets them: vectors 0x30 and 0x38, everything unmasked. */
void board_set_up_pic(struct board *b);
void board_end_of_interrupt(struct board *b, unsigned line);

#endif
