/* SPDX-License-Identifier: MIT */
/* machine/fields.c - the numbers of a struct as bytes and back. */
#include "machine/fields.h"

#include <string.h>

static uint64_t load_le(const uint8_t *from, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned k = 0; k < bytes; k++)
		value |= (uint64_t)from[k] << 8 * k;
	return value;
}

static void store_le(uint8_t *to, unsigned bytes, uint64_t value)
{
	for (unsigned k = 0; k < bytes; k++)
		to[k] = (uint8_t)(value >> 8 * k);
}

/* In the host's order. */
static uint64_t get_number(const void *at, unsigned bytes)
{
	uint16_t half;
	uint32_t word;
	uint64_t both;

	switch (bytes) {
	case 1: return *(const uint8_t *)at;
	case 2: return memcpy(&half, at, 2), half;
	case 4: return memcpy(&word, at, 4), word;
	default: return memcpy(&both, at, 8), both;
	}
}

static void set_number(void *at, unsigned bytes, uint64_t value)
{
	uint8_t byte = (uint8_t)value;
	uint16_t half = (uint16_t)value;
	uint32_t word = (uint32_t)value;

	switch (bytes) {
	case 1: memcpy(at, &byte, 1); break;
	case 2: memcpy(at, &half, 2); break;
	case 4: memcpy(at, &word, 4); break;
	default: memcpy(at, &value, 8); break;
	}
}

static size_t numbers(const struct field *f) { return (size_t)f->count[0] * f->count[1]; }

/* Where the k-th of them is in the struct. */
static size_t place(const struct field *f, size_t k)
{
	return f->offset + k / f->count[1] * f->stride[0] + k % f->count[1] * f->stride[1];
}

size_t fields_bytes(const struct field *table, size_t count)
{
	size_t bytes = 0;

	for (const struct field *f = table; f < table + count; f++)
		bytes += numbers(f) * f->bytes;
	return bytes;
}

void fields_save(const struct field *table, size_t count, const void *from, uint8_t *to)
{
	for (const struct field *f = table; f < table + count; f++)
		for (size_t k = 0; k < numbers(f); k++, to += f->bytes)
			store_le(to, f->bytes, get_number((const uint8_t *)from + place(f, k), f->bytes));
}

static bool is_in_range(const struct field *f, uint64_t value)
{
	if (f->is_signed)
		return (int64_t)value >= (int64_t)f->min && (int64_t)value <= (int64_t)f->max;
	return value >= f->min && value <= f->max;
}

const char *fields_check(const struct field *table, size_t count, const uint8_t *from)
{
	for (const struct field *f = table; f < table + count; f++)
		for (size_t k = 0; k < numbers(f); k++, from += f->bytes)
			if (!is_in_range(f, load_le(from, f->bytes)))
				return f->name;
	return NULL;
}

void fields_load(const struct field *table, size_t count, const uint8_t *from, void *to)
{
	for (const struct field *f = table; f < table + count; f++)
		for (size_t k = 0; k < numbers(f); k++, from += f->bytes)
			set_number((uint8_t *)to + place(f, k), f->bytes, load_le(from, f->bytes));
}

/* FNV-1a. */
static uint32_t mix(uint32_t digest, uint32_t byte) { return (digest ^ byte) * 16777619u; }

uint32_t fields_digest(const struct field *table, size_t count, uint32_t start)
{
	uint32_t digest = start;

	for (const struct field *f = table; f < table + count; f++) {
		for (const char *at = f->name; *at; at++)
			digest = mix(digest, (uint8_t)*at);
		digest = mix(digest, f->bytes);
		digest = mix(digest, (uint32_t)numbers(f));
	}
	return digest;
}
