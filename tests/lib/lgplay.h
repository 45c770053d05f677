/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lgplay.h - how the moves of an input come out of its bytes; private to lgplay*.c.
 *
 * Most of what is chosen is what a guest does, or it would be dead at its third call and nothing behind that would
 * ever be reached; an input that has run out goes on in zeroes until the move ends.
 */
#ifndef TESTS_LGPLAY_H
#define TESTS_LGPLAY_H

#include <string.h>

#include "tests/lib/lgbox.h"

struct input {
	struct lgbox *b;
	const uint8_t *at, *end;
};

static inline uint8_t take8(struct input *i) { return i->at < i->end ? *i->at++ : 0; }
static inline uint32_t take16(struct input *i)
{
	uint32_t low = take8(i);

	return low | (uint32_t)take8(i) << 8;
}
static inline uint32_t take32(struct input *i)
{
	uint32_t low = take16(i);

	return low | take16(i) << 16;
}
/* One of 256: now and then. */
static inline bool rarely(struct input *i) { return take8(i) == 0xA5; }

/* lgplay.c: what a guest would say, and now and then what none would */
uint32_t play_edge(struct input *i);
uint32_t play_physical(struct input *i);
uint32_t play_directory(struct input *i);
uint32_t play_virtual(struct input *i);
uint32_t play_entry(struct input *i);

/* A move takes its bytes from the input. */
typedef void play_move(struct input *i);
play_move play_call, play_queue;                                                     /* lgplay.c */
play_move play_scribble, play_table, play_data, play_queue_of_device, play_record,
	play_ports, play_registers, play_pci_start, play_input;                                       /* lgplay_memory.c */
play_move play_snippets, play_code, play_trap;                                       /* lgplay_code.c */

#endif
