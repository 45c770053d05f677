/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/system.c - instructions that are not everybody's, from every ring.
 *
 *   1. One after the other
 *   2. INT n
 *   3. Asking about selectors
 */
#include "guests/hostile/hostile.h"

/* ---- 1. One after the other ----------------------------------------------------------------- */

struct words { const char *bytes; unsigned count; };
#define W(s) { s, sizeof(s) - 1 }

/* Nothing here may change the machine where it is allowed; what would is for rings 1 to 3. */
static const struct words harmless[] = {
	W("\x0F\x34"), W("\x0F\x35"), W("\x0F\x05"), W("\x0F\x07"), W("\xCE"), W("\xCC"), W("\xF1"), W("\x0F\x0B"),
	W("\x0F\xB9\xC0"), W("\x0F\xFF\xC0"), W("\xF0\x90"), W("\xF0\x89\xC8"), W("\xF0\x0F\xA3\x03"), W("\xD6"), W("\x82\xC0\x01"),
	W("\x0F\x01\x03"), W("\x0F\x01\x0B"), W("\x0F\x00\xC0"), W("\x0F\x00\xC8"), W("\x0F\x01\xE0"), W("\x66\x0F\x01\xE2"),
	W("\x0F\x20\xC0"), W("\x0F\x20\xD0"), W("\x0F\x20\xE0"), W("\x0F\x20\xC8"), W("\x0F\x20\xE8"), W("\x0F\x21\xC0"),
	W("\x0F\x21\xF8"), W("\x0F\x21\xE0"), W("\x0F\x08"), W("\x0F\x09"), W("\x0F\x01\x3B"), W("\x0F\x01\xF8"), W("\x0F\x06"),
	W("\x0F\x33"), W("\x0F\xAA"), W("\x0F\xA2"), W("\x0F\x01\xD0"), W("\x0F\x01\xC8"), W("\x0F\x01\xC1"), W("\x0F\xAE\xF0"),
	W("\xF3\x0F\xAE\xD8"), W("\xF3\x0F\xAE\xC0"), W("\xC4\xC0"), W("\xC5\xF8\x77"), W("\x62\xC0"), W("\xC4\xE2\x7B\xF5\xC1"),
	W("\x48\xB8\x01"), W("\x4F"), W("\x9C\x58\x9D"), W("\x63\xC8"), W("\x63\x0B"), W("\x8C\xF0"), W("\x8E\xF0"), W("\x8E\xC8"),
	W("\xE4\x80"), W("\xEC"), W("\xED"), W("\x66\xED"), W("\xE7\x80"), W("\x6C"), W("\x6E"), W("\xF3\x6F"), W("\x0F\x30"),
	W("\x0F\x32"), W("\x9B"), W("\xD9\xC0"), W("\x0F\x77"), W("\x0F\x6F\xC1"), W("\xFA"), W("\xFB\x90"), W("\xF0\xFA"),
	W("\x6A\x00\x9D"), W("\x68\x00\x30\x00\x00\x9D"), W("\x68\x00\x40\x00\x00\x9D\x9C\x5A"), W("\x68\x00\x00\x24\x00\x9D\x9C\x5A"),
	W("\x68\x00\x00\x1A\x00\x9D\x9C\x5A"), W("\x68\x00\x02\x00\x00\x9D\x9C\x5A"), W("\x66\x9C\x66\x5A"), W("\x6A\x40\x66\x9D"),
	W("\xFC\xFD\x9C\x5A"), W("\x9E\x9F"), W("\xD7"), W("\x62\x03"), W("\x62\xC3"), W("\x0F\xC7\xC8"), W("\x0F\xC7\xF0"),
	W("\x0F\x0D\x03"), W("\x0F\x18\x03"), W("\x0F\x1F\x00"), W("\xF3\x90"), W("\x66\x0F\x1F\x84\x00\x00\x00\x00\x00"),
	W("\x64\xA1\xFC\xFF\xFF\xFF"), W("\x65\xA1\xFC\x0F\x00\x00"), W("\x65\xA1\xFD\x0F\x00\x00"), W("\xC8\x10\x00\x00"), W("\xC8\x10\x00\x1F"),
	W("\xCF"), W("\xCB"), W("\xCA\x04\x00"), W("\x17"), W("\x07"), W("\x1F"), W("\x0F\xA1"), W("\x0F\xA9"), W("\x0F\xB2\x23"),
	W("\xC4\x03"), W("\xC5\x03"), W("\x0F\xB4\x03"), W("\xFF\x2B"), W("\xFF\x1B"), W("\xFF\x3B"), W("\xFF\xE8"), W("\xFF\xD8"),
	W("\x8F\xC8"), W("\x8D\xC0"), W("\xFE\xD0"), W("\xC6\xC8\x00"), W("\xC7\xF8\x00\x00\x00\x00"), W("\x0F\xBA\xC0\x01"),
};
static const struct words harmful[] = {
	W("\xF4"), W("\x0F\x01\x13"), W("\x0F\x01\x1B"), W("\x0F\x00\xD0"), W("\x0F\x00\xD8"), W("\x0F\x01\xF0"),
	W("\x0F\x22\xC0"), W("\x0F\x22\xD8"), W("\x0F\x22\xE0"), W("\x0F\x23\xC0"), W("\x0F\x23\xF8"), W("\xE6\x20"), W("\xEE"),
};

/* Registers that change by themselves are not noted: none of these reads the time. */
static void try_words(const struct context *c, const struct words *list, unsigned count)
{
	for (unsigned n = 0; n < count; n++) {
		put_code(CODE, list[n].bytes, list[n].count);
		attempt(c);
	}
}

static void with_iopl(const struct context *from, const struct words *list, unsigned count)
{
	struct context c = *from;

	c.eflags |= 3u << 12 | 1u << 11; /* IOPL 3, OF for INTO */
	c.edx = 0x80;
	c.eax = 0;
	try_words(&c, list, count);
}

void system_instructions(void)
{
	struct context ring1 = user_context, ring2 = user_context;

	ring1.cs = CODE1;
	ring1.ss = ring1.ds = ring1.es = DATA1;
	ring2.cs = CODE2;
	ring2.ss = ring2.ds = ring2.es = DATA2;
	try_words(&kernel_context, harmless, 56);
	told("system instructions in ring 0");
	try_words(&ring1, harmless, COUNT(harmless));
	try_words(&ring1, harmful, COUNT(harmful));
	try_words(&ring2, harmless, COUNT(harmless));
	try_words(&ring2, harmful, COUNT(harmful));
	told("... in rings 1 and 2");
	try_words(&user_context, harmless, COUNT(harmless));
	try_words(&user_context, harmful, COUNT(harmful));
	told("... in ring 3");
	with_iopl(&user_context, harmless, COUNT(harmless));
	told("... in ring 3 with IOPL 3");

	for (unsigned vector = 0; vector < 256; vector++) {
		const uint8_t code[] = { 0xCD, (uint8_t)vector };
		put_code(CODE, code, 2);
		attempt(&user_context);
		attempt(&ring1);
		if (vector < TRAP_IRQ0 || vector >= TRAP_IRQ0 + 16)
			attempt(&kernel_context);
	}
	told("INT of every vector");

	static const struct words ask[] = { W("\x0F\x02\xD0"), W("\x0F\x03\xD0"), W("\x0F\x00\xE0"), W("\x0F\x00\xE8"),
		                            W("\x66\x0F\x02\xD0"), W("\x66\x0F\x03\xD0"), W("\x63\xC2") };
	for (unsigned n = 0; n < COUNT(ask); n++) {
		struct context c = user_context, k = kernel_context;
		put_code(CODE, ask[n].bytes, ask[n].count);
		for (uint32_t selector = 0; selector < 0x10000; selector += selector < GDT_END + 32 ? 1 : 997) {
			c.eax = k.eax = selector;
			attempt(&c);
			attempt(&k);
		}
	}
	told("LAR, LSL, VERR, VERW, ARPL of every selector");
}
