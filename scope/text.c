/* SPDX-License-Identifier: MIT */
/* scope/text.c - text that grows up to a limit. */
#include "scope/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for `count` bytes more and a 0.  false: t->cut. */
static bool make_room(struct text *t, size_t count)
{
	size_t limit = t->limit ? t->limit : TEXT_LIMIT;
	if (t->cut || count > limit - t->size) {
		t->cut = true;
		return false;
	}
	if (t->size + count < t->room)
		return true;
	size_t room = t->room ? t->room : 256;
	while (room <= t->size + count)
		room *= 2;
	char *data = realloc(t->data, room);
	if (!data) {
		t->cut = true;
		return false;
	}
	t->data = data;
	t->room = room;
	return true;
}

void text_add_bytes(struct text *t, const char *bytes, size_t count)
{
	if (!make_room(t, count))
		return;
	memcpy(t->data + t->size, bytes, count);
	t->size += count;
	t->data[t->size] = 0;
}

void text_add_list(struct text *t, const char *format, va_list list)
{
	va_list again;
	va_copy(again, list);
	int length = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (length < 0 || !make_room(t, (size_t)length))
		return;
	vsnprintf(t->data + t->size, (size_t)length + 1, format, list);
	t->size += (size_t)length;
}

void text_add(struct text *t, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	text_add_list(t, format, list);
	va_end(list);
}

void text_add_json(struct text *t, const char *string)
{
	text_add_bytes(t, "\"", 1);
	for (const char *at = string; *at; at++) {
		unsigned char byte = (unsigned char)*at;
		if (byte == '"' || byte == '\\')
			text_add(t, "\\%c", byte);
		else if (byte < ' ' || byte > '~')
			text_add(t, "\\u%04x", byte);
		else
			text_add_bytes(t, at, 1);
	}
	text_add_bytes(t, "\"", 1);
}

void text_clear(struct text *t)
{
	t->size = 0;
	t->cut = false;
	if (t->data)
		t->data[0] = 0;
}

void text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){ .limit = t->limit };
}

const char *text_string(const struct text *t)
{
	return t->data ? t->data : "";
}
