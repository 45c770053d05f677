/* SPDX-License-Identifier: MIT */
/*
 * machine/fields.h - the numbers of a struct as bytes and back: what a saved machine is made of.
 *
 * A table names each number with the range in which it makes sense, so that a file that was damaged, or made to do
 * harm, is refused as a whole before anything has changed.  Bytes are little-endian, in the table's order.
 */
#ifndef MACHINE_FIELDS_H
#define MACHINE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct field {
	const char *name;
	uint32_t offset;         /* bytes from the struct's start */
	uint8_t bytes;           /* 1, 2, 4, 8 */
	bool is_signed;          /* int64_t: min and max are, too */
	uint16_t count[2];       /* of equal ones: an array, or an array in an array of structs */
	uint32_t stride[2];      /* ... bytes from one to the next */
	uint64_t min, max;
};

#define FIELD_SIZE(type, member) sizeof(((type *)NULL)->member)
/* The last arguments are min and max.  One number; all of an array's; a member, or an array member, of each struct in an array. */
#define FIELD(type, member, ...)                                                                   \
	{ #member, offsetof(type, member), FIELD_SIZE(type, member), false, { 1, 1 }, { 0, 0 }, __VA_ARGS__ }
#define FIELD_SIGNED(type, member, min, max)                                                            \
	{ #member, offsetof(type, member), FIELD_SIZE(type, member), true, { 1, 1 }, { 0, 0 },          \
	  (uint64_t)(min), (uint64_t)(max) }
#define FIELD_ARRAY(type, member, ...)                                                             \
	{ #member, offsetof(type, member[0]), FIELD_SIZE(type, member[0]), false,                       \
	  { FIELD_SIZE(type, member) / FIELD_SIZE(type, member[0]), 1 },                                \
	  { FIELD_SIZE(type, member[0]), 0 }, __VA_ARGS__ }
#define FIELD_EACH(type, array, member, ...)                                                       \
	{ #array "." #member, offsetof(type, array[0].member), FIELD_SIZE(type, array[0].member), false, \
	  { FIELD_SIZE(type, array) / FIELD_SIZE(type, array[0]), 1 },                                  \
	  { FIELD_SIZE(type, array[0]), 0 }, __VA_ARGS__ }
#define FIELD_EACH_ARRAY(type, array, member, ...)                                                 \
	{ #array "." #member, offsetof(type, array[0].member[0]),                                       \
	  FIELD_SIZE(type, array[0].member[0]), false,                                                  \
	  { FIELD_SIZE(type, array) / FIELD_SIZE(type, array[0]),                                       \
	    FIELD_SIZE(type, array[0].member) / FIELD_SIZE(type, array[0].member[0]) },                 \
	  { FIELD_SIZE(type, array[0]), FIELD_SIZE(type, array[0].member[0]) }, __VA_ARGS__ }
#define FIELD_ANY 0, UINT64_MAX
#define FIELD_BOOL 0, 1

size_t fields_bytes(const struct field *table, size_t count);
void fields_save(const struct field *table, size_t count, const void *from, uint8_t *to);
/* NULL: each is in its range.  Else the name of one that is not. */
const char *fields_check(const struct field *table, size_t count, const uint8_t *from);
/* After fields_check(). */
void fields_load(const struct field *table, size_t count, const uint8_t *from, void *to);
/* A number for the table itself: another layout has another. */
uint32_t fields_digest(const struct field *table, size_t count, uint32_t start);

#endif
