/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/faults.c - floating point that traps, or that nobody has switched on; interrupts that have nowhere to
 * go.
 *
 *   1. Floating point
 *   2. Delivery
 */
#include "guests/hostile/hostile.h"

/* ---- 1. Floating point ---------------------------------------------------------------------- */

struct words { const char *bytes; unsigned count; };
#define W(s) { s, sizeof(s) - 1 }

/* %ebx: DATA + 0x100 */
static const struct words sequences[] = {
	W("\xD9\xE8\xD9\xEE\xDE\xF9\xD9\xE8\xDD\xD8"),                 /* 1 / 0; the next waits */
	W("\xD9\xEE\xD9\xEE\xDE\xF9\x9B\x40"),
	W("\xD9\xFA\xD9\xE8\xD9\xE0\xD9\xFA\xDD\x1B"),                 /* sqrt(-1) */
	W("\xD9\xE8\xD9\xE8\xD9\xE8\xD9\xE8\xD9\xE8\xD9\xE8\xD9\xE8\xD9\xE8\xD9\xE8\xD9\xE8\x40"),
	W("\xDD\xD8\xDD\xD8\xDD\xD8\xDD\xD8\xDD\xD8\xDD\xD8\xDD\xD8\xDD\xD8\xDD\xD8\x40"),
	W("\xDD\x03\xDC\x4B\x08\xDD\x1B\xDB\x2B\xDB\x7B\x10"),
	W("\xD9\x7B\x40\xD9\x6B\x40\xDB\xE3\xD9\xE8\xDD\x53\x20"),
	W("\x0F\x57\xC0\x0F\x28\xC8\xF3\x0F\x5E\xC1\x40"),             /* 0 / 0 */
	W("\x0F\x10\x03\x0F\x51\xC0\x0F\x5E\xC0\x0F\x11\x43\x20"),
	W("\x66\x0F\xEF\xC0\xF2\x0F\x51\xC8\xF2\x0F\x5E\xC8\x41"),
	W("\xF3\x0F\x2D\xC0\xF3\x0F\x2A\xC8\x0F\x2E\xC1\x9C\x5A"),
	W("\x0F\xEF\xC0\x0F\x6F\x03\x0F\xFE\xC0\x0F\x7F\x43\x30\x0F\x77"), /* MMX, then x87 */
	W("\x0F\xEF\xC9\xD9\xE8\xDD\x5B\x30"),
	W("\xDB\xE3\x0F\xAE\x5B\x60\x0F\xAE\x53\x60\x0F\x58\xC0"),     /* MXCSR out and in */
	W("\xDF\xE0\xDB\xE2\xDF\xE0\x89\xC1"),
	W("\xD9\x03\xDD\x05\x00\x80\x00\x40\xD9\xE8"),                 /* a page that is missing, in the middle */
	W("\x0F\x28\x05\xF8\x7F\x00\x40\x40"),
	W("\x0F\x10\x05\xF8\x7F\x00\x40\x40"),
	W("\xDD\x1D\xFC\x1F\x01\x40\xDD\x1D\xFC\x1F\x01\x40"),
};

static void set_words(uint16_t control, uint32_t mxcsr)
{
	__asm__ volatile("fninit; fldcw %0; ldmxcsr %1" : : "m"(control), "m"(mxcsr));
}

/* The state, without what differs between processors: last pointers, reserved words. */
static void note_state(void)
{
	static uint8_t area[512] __attribute__((aligned(16)));

	__asm__ volatile("clts; fxsave %0" : "=m"(area));
	note(*(uint32_t *)area);
	note(area[4]);
	note(*(uint32_t *)(area + 24));
	for (unsigned n = 0; n < 8; n++) {
		note_memory((uint32_t)area + 32 + 16 * n, 8);
		note(*(uint16_t *)(area + 40 + 16 * n));
	}
	note_memory((uint32_t)area + 160, 128);
}

void floating_point(void)
{
	static const struct { uint32_t cr0, cr4; } switches[] = {
		{ 0x22, 0x600 }, { 0x02, 0x600 }, { 0x22, 0x200 }, { 0x22, 0 }, { 0x26, 0x600 }, { 0x2A, 0x600 }, { 0x28, 0x600 },
		{ 0x24, 0x600 }, { 0x22, 0x600 },
	};
	static const struct { uint16_t control; uint32_t mxcsr; } words[] = {
		{ 0x37F, 0x1F80 }, { 0x37B, 0x1D80 }, { 0x340, 0x0000 }, { 0x27F, 0x9FC0 }, { 0xF7F, 0x7F80 }, { 0x36F, 0x1F00 },
	};
	uint32_t cr0 = read_cr0() & ~0x2Eu, cr4 = read_cr4() & ~0x600u;

	for (unsigned s = 0; s < COUNT(switches); s++) {
		for (unsigned w = 0; w < COUNT(words); w++)
			for (unsigned n = 0; n < COUNT(sequences); n++) {
				struct context c = user_context;
				write_cr0(cr0 | 0x22);
				write_cr4(cr4 | 0x600);
				set_words(words[w].control, words[w].mxcsr);
				write_cr4(cr4 | switches[s].cr4);
				write_cr0(cr0 | switches[s].cr0);
				put_code(CODE, sequences[n].bytes, sequences[n].count);
				for (unsigned again = 0; again < 3; again++)
					attempt(&c);
				write_cr0(cr0 | 0x22);
				write_cr4(cr4 | 0x600);
				note_state();
			}
		tidy_up();
	}
	set_words(0x37F, 0x1F80);
	write_cr0(cr0);
	write_cr4(cr4 | 0x200);
	told("floating point: traps, switches, masks");
}

/* ---- 2. Delivery ---------------------------------------------------------------------------- */

struct table_pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

static uint64_t copy[TRAP_VECTORS];

/* Gates that lead nowhere: what comes is another exception, or a double fault. */
void delivery(void)
{
	static const uint64_t bits[] = { 1ull << 47, 1ull << 44, 1ull << 40, 1ull << 35, 1ull << 16, 1ull << 18, 1ull << 63, 1ull << 42 };
	static const struct words causes[] = { W("\x0F\x0B"), W("\xCC"), W("\xCD\x21"), W("\xA1\x00\x80\x00\x40"), W("\xF4"), W("\x31\xC9\xF7\xF1"),
		                               W("\xCE"), W("\x62\x03"), W("\x8E\xD8") };
	static const uint8_t vectors[] = { 6, 3, 14, 13, 0, 4, 5, 0x21, 11 };
	struct table_pointer real, p = { sizeof(copy) - 1, (uint32_t)copy };
	struct context c = user_context;

	__asm__ volatile("sidt %0" : "=m"(real));
	c.eflags |= 1u << 11;
	c.eax = KINDS + 0x12 * 8; /* data, not present */
	for (unsigned b = 0; b < COUNT(bits); b++)
		for (unsigned v = 0; v < COUNT(vectors); v++) {
			if (vectors[v] == 13 || vectors[v] == 11)
				continue; /* what the others become */
			memcpy(copy, (const void *)real.base, sizeof(copy));
			copy[vectors[v]] ^= bits[b];
			if (bits[b] == 1ull << 63 || bits[b] == 1ull << 42)
				copy[vectors[v]] = vectors[v] & 1 ? 0 : copy[vectors[v]] & ~(0x1Full << 40);
			__asm__ volatile("lidt %0" : : "m"(p));
			for (unsigned n = 0; n < COUNT(causes); n++) {
				put_code(CODE, causes[n].bytes, causes[n].count);
				attempt(&c);
			}
			__asm__ volatile("lidt %0" : : "m"(real));
		}
	told("gates that lead nowhere");
	/* A table that ends before the vector, in its gate, or after it: #GP's is in it. */
	for (uint32_t limit = 15 * 8 - 1; limit < TRAP_VECTORS * 8; limit++) {
		const uint8_t code[] = { 0xCD, (uint8_t)(limit / 8) };
		p = (struct table_pointer){ (uint16_t)limit, real.base };
		__asm__ volatile("lidt %0" : : "m"(p));
		put_code(CODE, code, sizeof(code));
		attempt(&c);
	}
	__asm__ volatile("lidt %0" : : "m"(real));
	told("a short table of gates");
}
