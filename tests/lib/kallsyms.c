/* SPDX-License-Identifier: MIT */
/* tests/lib/kallsyms.c - a Linux kernel's table of its symbols, made by hand. */
#include "tests/lib/kallsyms.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct out {
	uint8_t *to;
	size_t size, room;
};

static void put(struct out *o, const void *bytes, size_t count)
{
	if (count > o->room - o->size)
		abort();
	memcpy(o->to + o->size, bytes, count);
	o->size += count;
}

static void put_word(struct out *o, uint32_t word)
{
	put(o, &word, 4);
}

static void align(struct out *o)
{
	while (o->size % 4)
		put(o, "", 1);
}

/* Bytes that are in names stand for themselves, a few others for more than one, the rest for nothing. */
static const char *token(unsigned k, char buf[2])
{
	static const char *const longer[] = { [1] = "do_", [2] = "thing_", [3] = "Tdo_", [200] = "tdo_", [255] = "x_y_z" };
	if (k < 256 && longer[k % 256] && !isalnum((int)k) && k != '_')
		return longer[k];
	buf[0] = isalnum((int)k) || k == '_' ? (char)k : 0;
	buf[1] = 0;
	return buf;
}

void kallsyms_name(const struct kallsyms_layout *l, unsigned k, char name[400])
{
	int size = snprintf(name, 400, "do_thing_%u", k);
	if (l->long_name && k == l->count / 2) {
		memset(name + size, 'q', 200);
		name[size + 200] = 0;
	}
}

static uint32_t address(const struct kallsyms_layout *l, unsigned k)
{
	return l->base + k * 16;
}

static void put_addresses(struct out *o, const struct kallsyms_layout *l)
{
	align(o);
	for (unsigned k = 0; k < l->count; k++) {
		uint32_t a = address(l, k);
		put_word(o, l->form == KALLSYMS_ABSOLUTE ? a : l->form == KALLSYMS_RELATIVE ? a - l->base : l->base - 1 - a);
	}
	if (l->form != KALLSYMS_ABSOLUTE)
		put_word(o, l->base);
}

/* Type and beginning by one long token, the rest letter by letter. */
static void put_name(struct out *o, const struct kallsyms_layout *l, unsigned k)
{
	char name[400];
	kallsyms_name(l, k, name);
	size_t rest = strlen(name + 9), length = rest + 2;
	uint8_t head[4] = { (uint8_t)length };
	size_t heads = 1;
	if (length > 127) {
		head[0] = (uint8_t)(length | 0x80);
		head[1] = (uint8_t)(length >> 7);
		heads = 2;
	}
	head[heads++] = k & 1 ? 200 : 3;
	head[heads++] = 2;
	put(o, head, heads);
	put(o, name + 9, rest);
}

size_t kallsyms_make(const struct kallsyms_layout *l, uint8_t *to, size_t room)
{
	struct out o = { .to = to, .room = room };
	char buf[2];
	uint32_t *marker = calloc(l->count / 256 + 1, sizeof *marker);
	uint16_t index[256], at = 0;
	if (!l->late)
		put_addresses(&o, l);
	put_word(&o, l->count);
	size_t names = o.size;
	for (unsigned k = 0; k < l->count; k++) {
		if (k % 256 == 0)
			marker[k / 256] = (uint32_t)(o.size - names);
		put_name(&o, l, k);
	}
	align(&o);
	for (unsigned k = 0; k * 256 < l->count; k++)
		put_word(&o, marker[k]);
	free(marker);
	for (unsigned k = 0; l->sequence && k < l->count; k++)
		put(&o, (uint8_t[3]){ (uint8_t)(k >> 16), (uint8_t)(k >> 8), (uint8_t)k }, 3);
	align(&o);
	for (unsigned k = 0; k < 256; k++) {
		const char *text = token(k, buf);
		index[k] = at;
		at = (uint16_t)(at + strlen(text) + 1);
		put(&o, text, strlen(text) + 1);
	}
	align(&o);
	put(&o, index, sizeof index);
	if (l->late)
		put_addresses(&o, l);
	return o.size;
}
