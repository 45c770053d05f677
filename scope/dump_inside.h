/* SPDX-License-Identifier: MIT */
/*
 * scope/dump_inside.h - the inside of dumps: the index.
 */
#ifndef SCOPE_DUMP_INSIDE_H
#define SCOPE_DUMP_INSIDE_H

#include "scope/dump.h"

/* dump_state.c: the processor as a note */
#define DUMP_STATE_BYTES 1024u
size_t dump_pack_state(const struct cpu_state *s, uint8_t bytes[DUMP_STATE_BYTES]);
bool dump_unpack_state(const uint8_t *bytes, size_t size, struct cpu_state *s);
#define DUMP_PRSTATUS_BYTES 144u
void dump_pack_prstatus(const struct cpu_state *s, uint8_t bytes[DUMP_PRSTATUS_BYTES]);
bool dump_unpack_qemu(const uint8_t *bytes, size_t size, struct cpu_state *s);

/* dump_shadow.c: the shadow's leaves as a note */
uint8_t *dump_pack_shadow(const struct um *um, size_t *size); /* NULL: no memory; to be freed */
/* NULL: it makes no sense, or no memory; to be freed. */
struct space_leaf *dump_unpack_shadow(const uint8_t *bytes, size_t size, size_t *leaves, uint32_t *mode);

static inline void dump_put32(uint8_t *at, uint32_t value)
{
	for (unsigned k = 0; k < 4; k++)
		at[k] = (uint8_t)(value >> 8 * k);
}
static inline uint32_t dump_get32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

#endif
