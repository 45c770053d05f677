/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lgplay_code.c - moves that run instructions, or say that one trapped.
 */
#include "tests/lib/lgplay.h"

/* What a kernel or a program does that concerns us; registers are addresses (EBX, EDI, ESI) or anything. */
static const struct snippet { uint8_t bytes, code[14]; } snippets[] = {
	{ 2, { 0xCD, 0x1F } }, { 3, { 0x0F, 0x01, 0xC1 } }, { 3, { 0x0F, 0x01, 0xD9 } }, { 2, { 0x8A, 0x03 } },
	{ 2, { 0x88, 0x03 } }, { 2, { 0x89, 0x03 } }, { 2, { 0xFF, 0x13 } }, { 2, { 0xFF, 0xE3 } }, { 1, { 0xCF } },
	{ 1, { 0xCB } }, { 2, { 0xCD, 0x80 } }, { 1, { 0xCC } }, { 1, { 0xCE } }, { 2, { 0xCD, 0x0E } },
	{ 2, { 0xCD, 0x0D } }, { 2, { 0xCD, 0x20 } }, { 1, { 0xFA } }, { 1, { 0xFB } }, { 1, { 0xF4 } }, { 1, { 0xEC } },
	{ 1, { 0xED } }, { 1, { 0xEE } }, { 1, { 0xEF } }, { 2, { 0xE4, 0x64 } }, { 2, { 0xE6, 0x64 } },
	{ 2, { 0x66, 0xED } }, { 2, { 0x66, 0xEF } }, { 2, { 0xF3, 0x6C } }, { 2, { 0xF3, 0x6F } }, { 1, { 0x9C } },
	{ 1, { 0x9D } }, { 2, { 0x8E, 0xD8 } }, { 2, { 0x8E, 0xE8 } }, { 2, { 0x8E, 0xD0 } }, { 2, { 0x8E, 0xE0 } },
	{ 2, { 0x0F, 0x06 } }, { 3, { 0x0F, 0x20, 0xC0 } }, { 3, { 0x0F, 0x22, 0xC0 } }, { 3, { 0x0F, 0x22, 0xD8 } },
	{ 3, { 0x0F, 0x01, 0x1B } }, { 3, { 0x0F, 0x01, 0x13 } }, { 3, { 0x0F, 0x00, 0xD8 } }, { 3, { 0x0F, 0x00, 0xD0 } },
	{ 2, { 0x0F, 0x32 } }, { 2, { 0x0F, 0x30 } }, { 2, { 0x0F, 0x34 } }, { 2, { 0x0F, 0xA2 } }, { 2, { 0x0F, 0x31 } },
	{ 2, { 0xF3, 0xA4 } }, { 2, { 0xF3, 0xAB } }, { 2, { 0xD9, 0xE8 } }, { 3, { 0x0F, 0x10, 0x03 } },
	{ 7, { 0xEA, 0, 0, 0, 0, 0x61, 0 } }, { 7, { 0x9A, 0, 0, 0, 0, 0x50, 0 } }, { 2, { 0x0F, 0x0B } },
	{ 2, { 0x0F, 0x09 } }, { 3, { 0x0F, 0x01, 0x3B } }, { 2, { 0x87, 0x03 } }, { 3, { 0xF0, 0x87, 0x03 } },
	{ 1, { 0x50 } }, { 1, { 0x58 } }, { 2, { 0xFF, 0x33 } }, { 1, { 0x60 } }, { 1, { 0x61 } }, { 2, { 0x0F, 0xA1 } },
	{ 2, { 0x62, 0x03 } }, { 2, { 0xC5, 0x03 } }, { 2, { 0xC4, 0x03 } }, { 3, { 0x0F, 0xB2, 0x03 } },
	{ 3, { 0x0F, 0x21, 0xF8 } }, { 3, { 0x0F, 0x23, 0xF8 } }, { 2, { 0xFF, 0x1B } }, { 2, { 0xFF, 0x2B } },
};

static void set_registers(struct input *i)
{
	struct cpu *c = i->b->cpu;
	uint8_t how = take8(i);

	cpu_set_gpr(c, CPU_EBX, play_virtual(i));
	cpu_set_gpr(c, CPU_EAX, how & 1 ? take8(i) % 20u : how & 2 ? take16(i) : 0x7B);
	cpu_set_gpr(c, CPU_EDX, how & 4 ? play_virtual(i) : 0xCF8);
	cpu_set_gpr(c, CPU_ECX, how & 8 ? take32(i) : take8(i));
	if (how & 16)
		cpu_set_gpr(c, CPU_EDI, play_virtual(i));
	if (how & 32)
		cpu_set_gpr(c, CPU_ESI, play_virtual(i));
	if (how & 64)
		cpu_set_gpr(c, CPU_ESP, play_virtual(i));
}

void play_snippets(struct input *i)
{
	uint8_t code[64], how = take8(i);
	unsigned bytes = 0, count = (how & 3u) + 1, ring = how & 0x20 ? 3 : 1;

	lgbox_set_ring(i->b, ring);
	set_registers(i);
	for (unsigned n = 0; n < count; n++) {
		const struct snippet *s = &snippets[take8(i) % (sizeof snippets / sizeof *snippets)];
		memcpy(code + bytes, s->code, s->bytes);
		bytes += s->bytes;
	}
	lgbox_run(i->b, ring, code, bytes, 16);
}

void play_code(struct input *i)
{
	uint8_t code[32], how = take8(i);
	unsigned bytes = (how & 31u) + 1, ring = how & 0x20 ? 3 : 1;

	lgbox_set_ring(i->b, ring);
	set_registers(i);
	for (unsigned n = 0; n < bytes; n++)
		code[n] = take8(i);
	lgbox_run(i->b, ring, code, bytes, 64);
}

/* Any vector with any error: what the processor might say of some instruction. */
void play_trap(struct input *i)
{
	uint8_t how = take8(i);
	static const uint8_t usual[] = { 14, 13, 14, 6, 14, 7, 1, 3, 31, 13, 14, 0, 17, 0x80, 4, 13 };
	struct cpu_event event = { .vector = (how & 0x9F) == 0x9F ? take8(i) : usual[how & 15], .software = how & 0x40,
		                   .has_error = how & 0x20, .eflags = 0x202 };
	unsigned ring = take8(i) & 1 ? 3 : 1;

	if (event.has_error)
		event.error = take8(i) & 1 ? take32(i) : take8(i) & 31u;
	if (event.vector == 31)
		ring = 1; /* its gate is ring 1's */
	lgbox_set_ring(i->b, ring);
	i->b->cpu->cr2 = play_virtual(i);
	lgbox_trap(i->b, &event);
}

