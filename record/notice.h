/* SPDX-License-Identifier: MIT */
/*
 * record/notice.h - what the core tells its embedder without wanting an answer: pages and tables
 * given back, translations to be dropped.  A recording keeps one small number for all of a call.
 *
 *   1. Notices    add_notice()
 *   2. Results    record_result_item(): the end of a call, with what was told in it
 */
#ifndef RECORD_NOTICE_H
#define RECORD_NOTICE_H

#include "record/record.h"

/* ---- 1. Notices ----------------------------------------------------------------------------- */

enum notice {
	NOTICE_PUT_PAGE = 1, /* + 1: dirty */
	NOTICE_PUT_TABLE = 3,
	NOTICE_INVALIDATE = 4,
	NOTICE_INVALIDATE_ALL = 5,
	NOTICE_INVALIDATE_NONGLOBAL = 6,
};

/* FNV-1a over words: the order counts. */
static inline uint64_t add_notice(uint64_t told, unsigned notice, uint64_t a, uint64_t b)
{
	const uint64_t prime = UINT64_C(0x100000001B3);

	told = (told ^ notice) * prime;
	told = (told ^ a) * prime;
	return (told ^ b) * prime;
}

/* ---- 2. Results ----------------------------------------------------------------------------- */

/* Two bytes as a number; 0 only if nothing was told, nearly. */
static inline uint64_t told_check(uint64_t told)
{
	return (told ^ told >> 14 ^ told >> 28 ^ told >> 42) & 0x3FFF;
}

static inline struct record_item record_result_item(uint64_t result, uint64_t told,
                                                    const struct um_map *map)
{
	struct record_item item = { RECORD_RESULT, { result, told_check(told) } };

	if (!map)
		return item;
	if (result == UM_FAULT) {
		item.field[2] = map->error;
	} else if (result == UM_OK || result == UM_TRACKED || result == UM_MMIO) {
		item.kind = RECORD_MAP;
		item.field[2] = map->gpa;
		item.field[3] = result == UM_MMIO ? 0 : map->hfn;
		if (result == UM_OK)
			item.field[4] = (map->rights & RECORD_RIGHTS) |
			                (map->tracked ? RECORD_TRACKED : 0u) |
			                (map->global ? RECORD_GLOBAL : 0u);
	}
	return item;
}

#endif
