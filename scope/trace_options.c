/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_options.c - what to trace, in words: FILE,format=chrome,events=fill+fault,cr3=ADDR,from=ADDR,to=ADDR,size=N
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "scope/trace.h"

/* More of a name than one: what most want to say. */
static const struct {
	const char *name;
	uint32_t kinds;
} groups[] = {
	{ "all", (1u << TRACE_KINDS) - 1 },
	{ "faults", 1u << TRACE_FILL | 1u << TRACE_FAULT },
	{ "fills", 1u << TRACE_FILL | 1u << TRACE_PREFETCH },
	{ "flushes", 1u << TRACE_SWITCH | 1u << TRACE_FLUSH_USER | 1u << TRACE_FLUSH_ALL | 1u << TRACE_FLUSH_PAGE |
	                     1u << TRACE_MODE },
	{ "tables", 1u << TRACE_WRITE | 1u << TRACE_UNSYNC | 1u << TRACE_SYNC | 1u << TRACE_SET_PTE | 1u << TRACE_SET_PDE |
	                    1u << TRACE_EVICT },
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct symbols_error *error, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(error->text, sizeof error->text, format, list);
	va_end(list);
	return false;
}

void trace_options_default(struct trace_options *o)
{
	*o = (struct trace_options){ .bytes = TRACE_RING_BYTES };
	trace_filter_default(&o->filter);
}

static bool is(const char *name, const char *word, size_t length)
{
	return strlen(name) == length && strncmp(name, word, length) == 0;
}

static uint32_t kinds_of(const char *word, size_t length)
{
	struct trace_filter usual;
	trace_filter_default(&usual);
	if (is("usual", word, length))
		return usual.kinds;
	for (size_t k = 0; k < sizeof groups / sizeof groups[0]; k++)
		if (is(groups[k].name, word, length))
			return groups[k].kinds;
	for (unsigned kind = 0; kind < TRACE_KINDS; kind++)
		if (is(trace_kinds[kind].name, word, length))
			return 1u << kind;
	return 0;
}

static bool parse_events(struct trace_options *o, const char *list, struct symbols_error *error)
{
	o->filter.kinds = 0;
	for (const char *at = list;; at++) {
		size_t length = strcspn(at, "+");
		uint32_t kinds = kinds_of(at, length);
		if (!kinds)
			return refuse(error, "events: there is no '%.*s'; all, usual, faults, fills, flushes, tables, or kinds "
			              "that umbra(1) lists, with + between them", (int)(length < 40 ? length : 40), at);
		o->filter.kinds |= kinds;
		at += length;
		if (!*at)
			return true;
	}
}

static bool parse_address(const char *name, const char *text, uint32_t *value, struct symbols_error *error)
{
	char *end;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 0);
	if (*text < '0' || *text > '9' || *end || errno || number > UINT32_MAX)
		return refuse(error, "%s=%.40s: a 32-bit address is expected", name, text);
	*value = (uint32_t)number;
	return true;
}

static bool parse_bytes(struct trace_options *o, const char *text, struct symbols_error *error)
{
	char *end;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 0);
	unsigned shift = 0;
	if (*end == 'K' || *end == 'k')
		shift = 10, end++;
	else if (*end == 'M' || *end == 'm')
		shift = 20, end++;
	if (*text < '0' || *text > '9' || *end || errno || number > TRACE_RING_MAX || number << shift < TRACE_RING_MIN ||
	    number << shift > TRACE_RING_MAX)
		return refuse(error, "size=%.40s: %uK to %uM is expected", text, TRACE_RING_MIN >> 10, TRACE_RING_MAX >> 20);
	o->bytes = (size_t)(number << shift);
	return true;
}

static bool parse_format(struct trace_options *o, const char *text, struct symbols_error *error)
{
	if (strcmp(text, "jsonl") != 0 && strcmp(text, "chrome") != 0)
		return refuse(error, "format=%.40s: jsonl or chrome", text);
	o->format = *text == 'c' ? TRACE_CHROME : TRACE_JSONL;
	return true;
}

static bool parse_item(struct trace_options *o, char *item, struct symbols_error *error)
{
	char *value = strchr(item, '=');
	if (!value)
		return refuse(error, "'%.60s': NAME=VALUE is expected; events, cr3, from, to, size, file, format", item);
	*value++ = 0;
	if (strcmp(item, "file") == 0) {
		snprintf(o->path, sizeof o->path, "%s", value);
		return *value || refuse(error, "file=: a file is expected");
	}
	if (strcmp(item, "events") == 0)
		return parse_events(o, value, error);
	if (strcmp(item, "format") == 0)
		return parse_format(o, value, error);
	if (strcmp(item, "size") == 0)
		return parse_bytes(o, value, error);
	if (strcmp(item, "cr3") == 0)
		return o->filter.has_cr3 = parse_address(item, value, &o->filter.cr3, error);
	if (strcmp(item, "from") == 0)
		return parse_address(item, value, &o->filter.from, error);
	if (strcmp(item, "to") == 0)
		return parse_address(item, value, &o->filter.to, error);
	return refuse(error, "there is no '%.40s=' here: events, cr3, from, to, size, file, format", item);
}

bool trace_options_parse(struct trace_options *o, const char *text, bool with_path, struct symbols_error *error)
{
	char item[sizeof o->path];
	for (const char *at = text; *at; at += *at == ',') {
		size_t length = strcspn(at, ",");
		if (length >= sizeof item)
			return refuse(error, "'%.40s...': too long", at);
		memcpy(item, at, length);
		item[length] = 0;
		at += length;
		if (with_path) {
			memcpy(o->path, item, length + 1);
			with_path = false;
			if (!length)
				return refuse(error, "the file comes first");
		} else if (!parse_item(o, item, error)) {
			return false;
		}
	}
	if (with_path)
		return refuse(error, "a file is expected");
	if (o->filter.from > o->filter.to)
		return refuse(error, "from= is behind to=");
	return true;
}
