/* SPDX-License-Identifier: MIT */
/*
 * scope/dump_shadow.c - the shadow's leaves as a note, so that a dump shows what the shadow had.
 *
 *   1. Flags
 *   2. Packing      the current root, slot by slot
 *   3. Unpacking
 */
#include <stdlib.h>

#include "scope/dump_inside.h"

/* ---- 1. Flags ------------------------------------------------------------------------------- */

/* In the low 12 bits of the first word; rights are where um_access has them. */
enum leaf_flag { LEAF_TRACKED = 1 << 8, LEAF_GLOBAL = 1 << 9, LEAF_PREFETCHED = 1 << 10, LEAF_WINDOW = 1 << 11 };
enum { SHADOW_VERSION = 1, HEAD_BYTES = 12, LEAF_BYTES = 8, SLOTS = 1024, LEAF_RIGHTS = UM_WRITE | UM_USER };
#define LEAVES_MAX (1u << 20) /* pages of an address space */

/* ---- 2. Packing ----------------------------------------------------------------------------- */

static uint32_t leaf_flags(const struct um_entry *e)
{
	return (e->rights & LEAF_RIGHTS) | (e->tracked ? LEAF_TRACKED : 0u) | (e->global ? LEAF_GLOBAL : 0u) |
	       (e->prefetched ? LEAF_PREFETCHED : 0u) | (e->window ? LEAF_WINDOW : 0u);
}

static void put_leaves(const struct um *um, uint32_t child, uint32_t linear, uint8_t *bytes, size_t most, size_t *used)
{
	struct um_entry leaf;
	for (unsigned k = 0; k < SLOTS && *used < most; k++) {
		if (!um_look_entry(um, child, k, &leaf))
			continue;
		uint8_t *at = bytes + HEAD_BYTES + *used * LEAF_BYTES;
		dump_put32(at, linear | k << 12 | leaf_flags(&leaf));
		dump_put32(at + 4, (uint32_t)leaf.gfn);
		++*used;
	}
}

/* Entries of the tables below a root. */
static size_t count_leaves(const struct um *um, uint32_t root)
{
	struct um_entry upper;
	struct um_table child;
	size_t count = 0;
	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (um_look_entry(um, root, slot, &upper) && um_look_table(um, upper.child, &child))
			count += child.present;
	return count < LEAVES_MAX ? count : LEAVES_MAX;
}

uint8_t *dump_pack_shadow(const struct um *um, size_t *size)
{
	uint32_t root = um_current_root(um);
	struct um_entry upper;
	size_t most = count_leaves(um, root), used = 0;
	uint8_t *bytes = malloc(HEAD_BYTES + most * LEAF_BYTES);
	if (!bytes)
		return NULL;
	for (unsigned slot = 0; slot < SLOTS; slot++)
		if (um_look_entry(um, root, slot, &upper))
			put_leaves(um, upper.child, slot << 22, bytes, most, &used);
	dump_put32(bytes, SHADOW_VERSION);
	dump_put32(bytes + 4, um_mode(um));
	dump_put32(bytes + 8, (uint32_t)used);
	*size = HEAD_BYTES + used * LEAF_BYTES;
	return bytes;
}

/* ---- 3. Unpacking --------------------------------------------------------------------------- */

struct space_leaf *dump_unpack_shadow(const uint8_t *bytes, size_t size, size_t *leaves, uint32_t *mode)
{
	if (size < HEAD_BYTES || dump_get32(bytes) != SHADOW_VERSION)
		return NULL;
	size_t count = dump_get32(bytes + 8);
	if (!count || count > LEAVES_MAX || (size - HEAD_BYTES) / LEAF_BYTES != count)
		return NULL;
	struct space_leaf *leaf = calloc(count, sizeof *leaf);
	for (size_t k = 0; leaf && k < count; k++) {
		uint32_t word = dump_get32(bytes + HEAD_BYTES + k * LEAF_BYTES);
		leaf[k] = (struct space_leaf){
			.linear = word & ~4095u,
			.gfn = dump_get32(bytes + HEAD_BYTES + k * LEAF_BYTES + 4) & 0xFFFFF,
			.rights = word & LEAF_RIGHTS,
			.tracked = word & LEAF_TRACKED, .global = word & LEAF_GLOBAL,
			.prefetched = word & LEAF_PREFETCHED, .window = word & LEAF_WINDOW,
		};
		if (k && leaf[k].linear <= leaf[k - 1].linear) { /* they are searched by address */
			free(leaf);
			return NULL;
		}
	}
	*leaves = count;
	*mode = dump_get32(bytes + 4) & (UM_MODE_PAGING | UM_MODE_WP | UM_MODE_PSE);
	return leaf;
}
