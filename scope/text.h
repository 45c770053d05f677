/* SPDX-License-Identifier: MIT */
/*
 * scope/text.h - text that grows up to a limit: what views, commands and reports are written to.
 */
#ifndef SCOPE_TEXT_H
#define SCOPE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *data;   /* `size` bytes and a 0 behind them; NULL while there are none */
	size_t size, room;
	size_t limit; /* bytes at most; 0: TEXT_LIMIT */
	bool cut;     /* the limit was reached or memory ran out: the rest is missing */
};
/* A guest that fills all of its tables cannot make a view larger than this. */
#define TEXT_LIMIT (64u << 20)

void text_add(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_list(struct text *t, const char *format, va_list list);
void text_add_bytes(struct text *t, const char *bytes, size_t count);
/* A JSON string with its quotes (RFC 8259, 7); bytes that are no printable ASCII as \u00XX. */
void text_add_json(struct text *t, const char *string);
void text_clear(struct text *t); /* keeps the memory */
void text_free(struct text *t);
/* "" while there is none. */
const char *text_string(const struct text *t);

#endif
