/* SPDX-License-Identifier: MIT */
/*
 * record/codec.h - what recorder.c and reader.c share: how each kind of item is written.
 */
#ifndef RECORD_CODEC_H
#define RECORD_CODEC_H

#include "record/record.h"

#define RECORD_MAGIC "UMBRAREC"
enum {
	RECORD_VERSION = 1,
	MAGIC_BYTES = 8,
	NUMBER_BYTES = 10,  /* a 64-bit number, 7 bits a byte */
	NAME_BYTES = 16,    /* of a format, at most */
	ITEM_BYTES = 1 + RECORD_FIELDS * NUMBER_BYTES,
};

/* How a field is written: as it is, or as the difference to the last field of the same sort. */
enum field_sort {
	NONE,
	NUMBER,
	SORT_GVA,
	SORT_PAGE,
	SORT_ENTRY, /* where a guest's entry lies */
	SORT_GPA,
	SORT_ROOT,
	SORT_GFN,
	SORT_HFN,
	SORTS,
};
#define FIRST_DIFFERENCE SORT_GVA

struct kind_form {
	const char *name;
	const char *fields;          /* their names, for people */
	uint8_t sort[RECORD_FIELDS];
};
/* NULL: there is no such kind. */
const struct kind_form *record_form(unsigned kind);

/* A small difference either way is a small number: 0, -1, 1, -2... are 0, 1, 2, 3... */
static inline uint64_t fold_sign(uint64_t difference)
{
	return difference << 1 ^ (0 - (difference >> 63));
}
static inline uint64_t unfold_sign(uint64_t number)
{
	return number >> 1 ^ (0 - (number & 1));
}

#endif
