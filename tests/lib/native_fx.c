/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_fx.c - random floating-point values and states.
 *
 *   1. Values
 *   2. FXSAVE images
 */
#include <string.h>

#include "tests/lib/native_states.h"

/* ---- 1. Values ------------------------------------------------------------------------------ */

static uint32_t draw_float(struct native_rng *rng)
{
	static const uint32_t edges[] = {
		0x00000000, 0x3F800000, 0x7F800000, 0x7FC00000, 0x7F800001, 0x00000001, 0x007FFFFF, 0x00800000,
		0x7F7FFFFF, 0x4F000000, 0x4EFFFFFF, 0x5F000000, 0x3F000000, 0x40000000, 0x7FBFFFFF, 0x3FC00000,
	};
	uint64_t r = rng_next(rng);
	uint32_t sign = (uint32_t)(r >> 8 & 1) << 31, v = (uint32_t)(r >> 32);

	switch (r & 3) {
	case 0: return sign | edges[v % 16];
	case 1: return sign | ((120 + (v >> 23) % 16) << 23) | (v & 0x7FFFFF); /* near 1 */
	default: return v;
	}
}

static uint64_t draw_double(struct native_rng *rng)
{
	static const uint64_t edges[] = {
		0, 0x3FF0000000000000, 0x7FF0000000000000, 0x7FF8000000000000, 0x7FF0000000000001, 1,
		0x000FFFFFFFFFFFFF, 0x0010000000000000, 0x7FEFFFFFFFFFFFFF, 0x41E0000000000000,
		0x41DFFFFFFFC00000, 0x43E0000000000000, 0x3FE0000000000000, 0x4000000000000000,
		0x36A0000000000000, 0x47EFFFFFE0000000,
	};
	uint64_t r = rng_next(rng), v = rng_next(rng), sign = (r >> 8 & 1) << 63;

	switch (r & 3) {
	case 0: return sign | edges[v % 16];
	case 1: return sign | (1015 + (v >> 52) % 16) << 52 | (v & 0xFFFFFFFFFFFFF);
	default: return v;
	}
}

void fx_draw_floats(struct native_rng *rng, uint8_t *at, unsigned bytes, unsigned width)
{
	for (unsigned i = 0; i + width <= bytes; i += width) {
		uint64_t v = width == 4 ? draw_float(rng) : draw_double(rng);

		memcpy(at + i, &v, width);
	}
}

void fx_draw_extended(struct native_rng *rng, uint8_t *at)
{
	static const uint16_t exponents[] = { 0, 1, 0x3FFF, 0x3FFE, 0x4000, 0x7FFE, 0x7FFF, 0x403E, 0x401E, 0x400E,
	                                      0x3C01, 0x3F81, 0x43FE, 0x407E, 0x3FBF, 0x4005 };
	static const uint64_t significands[] = { 0, 0x8000000000000000, 0xC000000000000000, 0xFFFFFFFFFFFFFFFF,
	                                         1, 0x8000000000000001, 0x4000000000000000, 0xA000000000000000 };
	uint64_t r = rng_next(rng), significand = rng_next(rng);
	uint16_t exponent = (uint16_t)(r >> 16 & 0x7FFF);

	if (r & 3)
		exponent = (r & 1) ? (uint16_t)(0x3FFF - 20 + (r >> 32) % 64) : exponents[r >> 32 & 15];
	if (!(r & 12))
		significand = significands[significand & 7];
	if (exponent && r & 0x70) /* one in eight keeps an impossible integer bit */
		significand |= 0x8000000000000000;
	exponent = (uint16_t)(exponent | (r >> 8 & 1) << 15);
	memcpy(at, &significand, 8);
	memcpy(at + 8, &exponent, 2);
}

void fx_draw_vector(struct native_rng *rng, uint8_t *at)
{
	switch (rng_below(rng, 4)) {
	case 0:
	case 1: fx_draw_floats(rng, at, 16, 4); break;
	case 2: fx_draw_floats(rng, at, 16, 8); break;
	default:
		for (unsigned i = 0; i < 16; i += 4) {
			uint32_t v = rng_value(rng);

			memcpy(at + i, &v, 4);
		}
		break;
	}
}

/* ---- 2. FXSAVE images ----------------------------------------------------------------------- */

/* Masks mostly set, any rounding, any sticky flags; FZ and DAZ now and then.  Never bit 17, which one
 * maker defines (misaligned SSE) and another reserves. */
static uint32_t good_mxcsr(struct native_rng *rng)
{
	uint64_t r = rng_next(rng);
	uint32_t v = (uint32_t)r & 0x603F;

	v |= (r >> 32 & 3) ? 0x1F80 : (uint32_t)(r >> 34) & 0x1F80;
	if (!(r >> 48 & 7))
		v |= 0x8000;
	if (!(r >> 52 & 7))
		v |= 0x0040;
	return v;
}

uint32_t fx_draw_mxcsr(struct native_rng *rng)
{
	if (rng_one_in(rng, 16))
		return good_mxcsr(rng) | 0x40000u << rng_below(rng, 14);
	return good_mxcsr(rng);
}

/* SDM vol. 1, table 10-2 (32-bit form).  FSW.ES and B follow from the exception bits and their masks. */
void fx_draw_image(struct native_rng *rng, uint8_t *at)
{
	uint64_t r = rng_next(rng);
	uint16_t fcw = (uint16_t)(0x40 | (r & 0xF3F)), fsw = (uint16_t)(r >> 16 & 0x7F7F);
	uint32_t mxcsr = good_mxcsr(rng);

	if (r >> 32 & 7)
		fcw |= 0x3F;
	if (r >> 35 & 3)
		fcw |= 0x300;
	if (r >> 37 & 1)
		fsw &= 0x7F00;
	if (fsw & ~fcw & 0x3F)
		fsw |= 0x8080;
	memset(at, 0, 512);
	memcpy(at, &fcw, 2);
	memcpy(at + 2, &fsw, 2);
	at[4] = (uint8_t)((r >> 40 & 3) ? ~(1u << (r >> 42 & 7)) : r >> 48);
	if (!(r >> 56 & 3))
		at[4] = 0xFF;
	memcpy(at + 24, &mxcsr, 4);
	for (unsigned i = 0; i < 8; i++) {
		fx_draw_extended(rng, at + 32 + 16 * i);
		fx_draw_vector(rng, at + 160 + 16 * i);
	}
}
