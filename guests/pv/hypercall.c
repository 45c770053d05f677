/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/hypercall.c - asking the host: at once, or by the ring.
 *
 *   1. Direct
 *   2. The ring    64 slots; what is queued is seen at the next direct call
 *   3. Lazy        a section in which calls are queued
 *   4. The end
 */
#include "guests/pv/pv.h"

const struct family *family;
unsigned family_index;
char lguest_data[DATA_BYTES_MAX] __attribute__((aligned(4096)));

/* ---- 1. Direct ------------------------------------------------------------------------------ */

uint32_t calls_made[20];
unsigned registers_changed;

static void direct_call(const uint32_t arguments[ARGUMENTS_MAX], enum hypercall number)
{
	/* What is no argument holds something that a careless host would trip over. */
	uint32_t regs[REGS] = { 0, 0xB5B5B5B5, 0xC5C5C5C5, 0xD5D5D5D5,
				0x51515151, 0xD1D1D1D1, 0xB9B9B9B9 };
	uint32_t before[REGS];

	regs[REG_EAX] = number;
	for (unsigned i = 0; i < family->arguments; i++)
		regs[family->argument[i]] = arguments[i];
	memcpy(before, regs, sizeof before);
	raw_hypercall(regs, family->vmcall);
	if (memcmp(before, regs, sizeof before) != 0)
		registers_changed++;
}

void call(enum hypercall number, uint32_t a, uint32_t b, uint32_t c)
{
	const uint32_t arguments[ARGUMENTS_MAX] = { a, b, c, 0 };

	if ((unsigned)number < sizeof calls_made / sizeof calls_made[0])
		calls_made[number]++;
	direct_call(arguments, number);
}

/* ---- 2. The ring ---------------------------------------------------------------------------- */

unsigned ring_next;

void queue_call(enum hypercall number, uint32_t a, uint32_t b, uint32_t c)
{
	const uint32_t words[SLOT_WORDS_MAX] = { number, a, b, c, 0 };
	uint32_t flags = irq_save();
	volatile uint8_t *status = (volatile uint8_t *)lguest_data + family->status + ring_next;
	volatile uint32_t *slot = data_word(family->calls + 4 * family->slot_words * ring_next);

	if (*status != RING_FREE) {
		call(number, a, b, c);
	} else {
		calls_made[number]++;
		for (unsigned i = 0; i < family->slot_words; i++)
			slot[i] = words[family->slot[i]];
		__asm__ volatile("" : : : "memory");
		*status = RING_PENDING;
		ring_next = (ring_next + 1) % RING_SLOTS;
	}
	irq_restore(flags);
}

/* ---- 3. Lazy -------------------------------------------------------------------------------- */

static bool lazy;

void lazy_begin(void)
{
	lazy = true;
}

void lazy_end(void)
{
	lazy = false;
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
}

void lazy_call(enum hypercall number, uint32_t a, uint32_t b, uint32_t c)
{
	(lazy ? queue_call : call)(number, a, b, c);
}

/* ---- 4. The end ----------------------------------------------------------------------------- */

/* The host reads 128 bytes, wherever the text ends. */
_Noreturn void shut_down(const char *text, unsigned reason)
{
	static char buffer[128];
	size_t length = strlen(text);

	flush_print();
	memset(buffer, 0, sizeof buffer);
	memcpy(buffer, text, length < sizeof buffer ? length : sizeof buffer - 1);
	call(CALL_SHUTDOWN, physical(buffer), family->devices == DEVICES_FORMAT_1 ? 0 : reason, 0);
	for (;;)
		__asm__ volatile("");
}
