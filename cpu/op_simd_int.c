/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_simd_int.c - XMM instructions without exceptions of their own: integers, logic, shuffles.
 *
 *   1. dst = dst op src    by thunk
 *   2. Shifts by immediate
 *   3. Shuffles
 *   4. Words in and out    PINSRW, PEXTRW
 */
#include "cpu/simd.h"

/* ---- 1. dst = dst op src -------------------------------------------------------------------- */

enum run op_sse_int_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	NEXT_AFTER(thunk_of(i), c, i, &c->fpu->xmm[i->reg], &c->fpu->xmm[i->rm]);
}

enum run op_sse_int_mem(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	const void *mem = load_vector(c, i, ea(c, i));
	if (unlikely(!mem))
		return faulted(c, i);
	NEXT_AFTER(thunk_of(i), c, i, &c->fpu->xmm[i->reg], mem);
}

/* ---- 2. Shifts by immediate ----------------------------------------------------------------- */

/* The shift by a register's low 64 bits; select_simd() made i->disp and i->imm into such a count. */
enum run op_sse_shift(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	NEXT_AFTER(thunk_of(i), c, i, &c->fpu->xmm[i->rm], &i->disp);
}

static unsigned __int128 get_whole(const union vec *v)
{
	unsigned __int128 n;
	memcpy(&n, v, 16);
	return n;
}

enum run op_pslldq(struct cpu *c, const struct insn *i)
{
	union vec *v = &c->fpu->xmm[i->rm];

	REQUIRE_SSE(c, i);
	unsigned __int128 n = i->imm > 15 ? 0 : get_whole(v) << i->imm * 8;
	memcpy(v, &n, 16);
	NEXT(c, i);
}

enum run op_psrldq(struct cpu *c, const struct insn *i)
{
	union vec *v = &c->fpu->xmm[i->rm];

	REQUIRE_SSE(c, i);
	unsigned __int128 n = i->imm > 15 ? 0 : get_whole(v) >> i->imm * 8;
	memcpy(v, &n, 16);
	NEXT(c, i);
}

/* ---- 3. Shuffles ---------------------------------------------------------------------------- */

static inline uint32_t dword(const uint8_t *v, unsigned n)
{
	uint32_t d;
	memcpy(&d, v + (n & 3) * 4, 4);
	return d;
}
static inline uint64_t word(const uint8_t *v, unsigned n)
{
	uint16_t w;
	memcpy(&w, v + (n & 3) * 2, 2);
	return w;
}
static inline uint64_t qword(const uint8_t *v, unsigned n)
{
	uint64_t q;
	memcpy(&q, v + (n & 1) * 8, 8);
	return q;
}
static inline void set_dwords(union vec *to, uint32_t d0, uint32_t d1, uint32_t d2, uint32_t d3)
{
	_mm_store_si128((__m128i *)to, _mm_set_epi32((int)d3, (int)d2, (int)d1, (int)d0));
}
static inline void set_qwords(union vec *to, uint64_t low, uint64_t high)
{
	_mm_store_si128((__m128i *)to, _mm_set_epi64x((long long)high, (long long)low));
}
/* Four words selected from the four at v. */
static inline uint64_t four_words(const uint8_t *v, unsigned order)
{
	return word(v, order) | word(v, order >> 2) << 16 | word(v, order >> 4) << 32 |
	       word(v, order >> 6) << 48;
}

static inline void shuffle_pshufd(union vec *dst, const uint8_t *src, unsigned order)
{
	set_dwords(dst, dword(src, order), dword(src, order >> 2), dword(src, order >> 4),
	           dword(src, order >> 6));
}
static inline void shuffle_pshufhw(union vec *dst, const uint8_t *src, unsigned order)
{
	set_qwords(dst, qword(src, 0), four_words(src + 8, order));
}
static inline void shuffle_pshuflw(union vec *dst, const uint8_t *src, unsigned order)
{
	set_qwords(dst, four_words(src, order), qword(src, 1));
}
static inline void shuffle_shufps(union vec *dst, const uint8_t *src, unsigned order)
{
	set_dwords(dst, dword(dst->b, order), dword(dst->b, order >> 2), dword(src, order >> 4),
	           dword(src, order >> 6));
}
static inline void shuffle_shufpd(union vec *dst, const uint8_t *src, unsigned order)
{
	set_qwords(dst, qword(dst->b, order), qword(src, order >> 1));
}

#define DEFINE_SHUFFLE(name)                                                                           \
	enum run op_##name##_reg(struct cpu *c, const struct insn *i)                                  \
	{                                                                                              \
		REQUIRE_SSE(c, i);                                                                     \
		shuffle_##name(&c->fpu->xmm[i->reg], c->fpu->xmm[i->rm].b, i->imm);                    \
		NEXT(c, i);                                                                            \
	}                                                                                              \
	enum run op_##name##_mem(struct cpu *c, const struct insn *i)                                  \
	{                                                                                              \
		REQUIRE_SSE(c, i);                                                                     \
		const void *mem = load_vector(c, i, ea(c, i));                                         \
		if (unlikely(!mem))                                                                    \
			return faulted(c, i);                                                          \
		shuffle_##name(&c->fpu->xmm[i->reg], mem, i->imm);                                     \
		NEXT(c, i);                                                                            \
	}
DEFINE_SHUFFLE(pshufd)
DEFINE_SHUFFLE(pshufhw)
DEFINE_SHUFFLE(pshuflw)
DEFINE_SHUFFLE(shufps)
DEFINE_SHUFFLE(shufpd)

/* ---- 4. Words in and out -------------------------------------------------------------------- */

enum run op_pinsrw_reg(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	c->fpu->xmm[i->reg].w[i->imm & 7] = (uint16_t)c->gpr[i->rm];
	NEXT(c, i);
}

enum run op_pinsrw_mem(struct cpu *c, const struct insn *i)
{
	uint16_t v;

	REQUIRE_SSE(c, i);
	if (unlikely(!seg_read16(c, i->seg, ea(c, i), &v)))
		return faulted(c, i);
	c->fpu->xmm[i->reg].w[i->imm & 7] = v;
	NEXT(c, i);
}

enum run op_pextrw(struct cpu *c, const struct insn *i)
{
	REQUIRE_SSE(c, i);
	c->gpr[i->reg] = c->fpu->xmm[i->rm].w[i->imm & 7];
	NEXT(c, i);
}
