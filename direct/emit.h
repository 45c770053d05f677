/* SPDX-License-Identifier: MIT */
/*
 * direct/emit.h - x86-64 code, byte by byte.
 *
 *   1. Bytes
 *   2. Sequences   with fixed registers: internal.h, section 1
 *
 * Encodings: SDM vol. 2, chapter 2.
 */
#ifndef DIRECT_EMIT_H
#define DIRECT_EMIT_H

#include <stdint.h>
#include <string.h>

#include "direct/layout.h"

/* ---- 1. Bytes ------------------------------------------------------------------------------- */

struct emitter {
	uint8_t *at;    /* where the next byte goes: writable */
	uint8_t *start; /* of the block */
};

static inline void emit8(struct emitter *e, unsigned byte) { *e->at++ = (uint8_t)byte; }
static inline void emit32(struct emitter *e, uint32_t value)
{
	memcpy(e->at, &value, 4);
	e->at += 4;
}
static inline void emit_bytes(struct emitter *e, const void *bytes, size_t count)
{
	memcpy(e->at, bytes, count);
	e->at += count;
}
#define EMIT(e, ...)                                                                                   \
	do {                                                                                           \
		static const uint8_t bytes_[] = { __VA_ARGS__ };                                       \
		emit_bytes((e), bytes_, sizeof(bytes_));                                               \
	} while (0)

/* ---- 2. Sequences --------------------------------------------------------------------------- */

/* mov imm32, %r8d; mov imm32, %r9d */
static inline void emit_r8d(struct emitter *e, uint32_t value)
{
	EMIT(e, 0x41, 0xB8);
	emit32(e, value);
}
static inline void emit_r9d(struct emitter *e, uint32_t value)
{
	EMIT(e, 0x41, 0xB9);
	emit32(e, value);
}
/* jmp *offset(%r15) */
static inline void emit_stub(struct emitter *e, unsigned offset)
{
	EMIT(e, 0x41, 0xFF, 0x67);
	emit8(e, offset);
}
/* To the guest's EIP in R8D: pext HOT_MASK_JUMP(%r15), %r8d, %r9d; jmp *(%r14, %r9, 8) */
static inline void emit_indirect(struct emitter *e)
{
	EMIT(e, 0xC4, 0x42, 0x3A, 0xF5, 0x4F, HOT_MASK_JUMP, 0x43, 0xFF, 0x24, 0xCE);
}
/* To the engine, which goes on at `eip`. */
#define LEAVE_BYTES 10u
static inline void emit_leave_to(struct emitter *e, uint32_t eip)
{
	emit_r8d(e, eip);
	emit_stub(e, HOT_STUB_MISS);
}

#endif
