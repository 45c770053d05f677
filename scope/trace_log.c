/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_log.c - a trace read back from JSON lines, to be looked at.
 *
 *   1. Names      of EIPs, as the file has them
 *   2. Records    one line
 *   3. Reading
 *   4. Filtering
 *   5. Summaries  who does what most
 *
 * The file is anybody's: sizes are bounded, what does not fit together is refused with the number of its line.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <umbra/shadow.h>

#include "scope/trace.h"

/* ---- 1. Names ------------------------------------------------------------------------------- */

struct trace_log_name {
	uint32_t eip;
	char name[TRACE_NAME_MAX - sizeof(uint32_t)];
};
#define NAMES_MAX 65536u /* different EIPs with a name: 10 MiB */

#define NAME_SLOTS (NAMES_MAX * 2)

/* Where the name of `eip` is, or would go: a place of log->name_slot, which holds 1 + an index of log->names. */
static uint32_t *name_slot(const struct trace_log *log, uint32_t eip)
{
	uint32_t at = eip * 2654435761u >> 15; /* 17 bits: NAME_SLOTS */
	while (log->name_slot[at] && log->names[log->name_slot[at] - 1].eip != eip)
		at = (at + 1) % NAME_SLOTS;
	return &log->name_slot[at];
}

bool trace_log_name(struct trace_log *log, uint32_t eip, const char *name)
{
	if (!log->name_slot && !(log->name_slot = calloc(NAME_SLOTS, sizeof *log->name_slot)))
		return false;
	uint32_t *slot = name_slot(log, eip);
	if (*slot || log->name_count == NAMES_MAX)
		return true;
	if (log->name_count == log->name_room) {
		size_t room = log->name_room ? log->name_room * 2 : 256;
		struct trace_log_name *names = realloc(log->names, room * sizeof *names);
		if (!names)
			return false;
		log->names = names;
		log->name_room = room;
	}
	struct trace_log_name *to = &log->names[log->name_count++];
	*slot = (uint32_t)log->name_count;
	to->eip = eip;
	snprintf(to->name, sizeof to->name, "%s", name);
	for (char *at = to->name; *at; at++) /* the file is anybody's, and this goes to a terminal */
		if (*at < ' ' || *at > '~')
			*at = '?';
	return true;
}

static const char *find_name(const void *user, uint32_t eip, char *buf, size_t bytes)
{
	const struct trace_log *log = user;
	uint32_t found = log->name_slot ? *name_slot(log, eip) : 0;
	snprintf(buf, bytes, "%s", found ? log->names[found - 1].name : "");
	return buf;
}

struct trace_names trace_log_names(const struct trace_log *log)
{
	return (struct trace_names){ find_name, log };
}

/* ---- 2. Records ----------------------------------------------------------------------------- */

/* What was wrong with a line, if anything. */
struct line {
	json_t *object;
	const char *wrong; /* a field's name */
};

static uint64_t number(struct line *line, const char *name, bool needed, uint64_t most)
{
	const json_t *value = json_object_get(line->object, name);
	if (json_is_integer(value) && json_integer_value(value) >= 0 && (uint64_t)json_integer_value(value) <= most)
		return (uint64_t)json_integer_value(value);
	if (value || needed)
		line->wrong = name;
	return 0;
}

/* "0x0123abcd" */
static uint64_t hex(struct line *line, const char *name, bool *there, uint64_t most)
{
	const json_t *value = json_object_get(line->object, name);
	const char *text = json_string_value(value);
	char *end = NULL;
	if (there)
		*there = value != NULL;
	if (there && !value)
		return 0;
	uint64_t got = text && text[0] == '0' && text[1] == 'x' && text[2] ? strtoull(text, &end, 16) : 0;
	if (!end || *end || got > most)
		line->wrong = name;
	return got;
}

static bool truth(const struct line *line, const char *name)
{
	return json_is_true(json_object_get(line->object, name));
}

static unsigned word(struct line *line, const char *name, const char *const *words, unsigned count, unsigned stride)
{
	const char *text = json_string_value(json_object_get(line->object, name));
	if (!text)
		return 0;
	for (unsigned k = 0; k < count; k++)
		if (strcmp(words[k * stride], text) == 0)
			return k;
	line->wrong = name;
	return 0;
}

static uint8_t access_of(struct line *line)
{
	static const char *const words[] = { "read", "write", "fetch" };
	static const uint8_t bits[] = { UM_READ, UM_WRITE, UM_FETCH };
	return (uint8_t)(bits[word(line, "access", words, 3, 1)] | (truth(line, "user") ? UM_USER : 0));
}

static bool read_kind(struct line *line, struct trace_record *r)
{
	const char *name = json_string_value(json_object_get(line->object, "kind"));
	for (unsigned kind = 0; name && kind < TRACE_KINDS; kind++)
		if (strcmp(trace_kinds[kind].name, name) == 0) {
			r->kind = (uint8_t)kind;
			return true;
		}
	line->wrong = "kind";
	return false;
}

static void read_flags(struct line *line, struct trace_record *r)
{
	const char *rights = json_string_value(json_object_get(line->object, "rights"));
	r->flags |= (uint8_t)((truth(line, "exact") ? TRACE_EXACT : 0) | (truth(line, "host") ? TRACE_HOST : 0) |
	                      (truth(line, "software") ? TRACE_SOFTWARE : 0) | (truth(line, "global") ? TRACE_GLOBAL : 0));
	if (json_object_get(line->object, "error"))
		r->flags |= TRACE_HAS_ERROR;
	r->rights = (uint8_t)(rights ? (strchr(rights, 'u') ? UM_USER : 0) | (strchr(rights, 'w') ? UM_WRITE : 0) : 0);
}

static void read_record(struct line *line, struct trace_record *r)
{
	bool there;
	if (!read_kind(line, r))
		return;
	const struct trace_kind_info *kind = &trace_kinds[r->kind];
	r->seq = number(line, "seq", true, INT64_MAX);
	r->ns = number(line, "ns", true, INT64_MAX);
	r->instructions = number(line, "insns", true, INT64_MAX);
	r->cr3 = (uint32_t)hex(line, "cr3", NULL, UINT32_MAX);
	r->cpl = (uint8_t)number(line, "cpl", true, 3);
	read_flags(line, r);
	r->eip = (uint32_t)hex(line, "eip", &there, UINT32_MAX);
	r->linear = (uint32_t)hex(line, "gva", &there, UINT32_MAX);
	r->flags |= there ? TRACE_HAS_LINEAR : 0;
	r->gpa = hex(line, "gpa", &there, UINT64_MAX >> 1);
	r->flags |= there ? TRACE_HAS_GPA : 0;
	r->access = access_of(line);
	r->cause = (uint8_t)word(line, "cause", trace_causes, TRACE_CAUSES, 1);
	r->old = (uint32_t)hex(line, "old", &there, UINT32_MAX);
	if (kind->value)
		r->value = (uint32_t)(kind->hex ? hex(line, kind->value, NULL, UINT32_MAX)
		                                : number(line, kind->value, true, UINT32_MAX));
	r->error = (uint32_t)number(line, r->kind == TRACE_WRITE ? "bytes" : "error", false, UINT32_MAX);
	r->entries = (uint32_t)number(line, "entries", true, UINT32_MAX);
	r->tables = (uint32_t)number(line, "tables", true, UINT32_MAX);
}

/* ---- 3. Reading ----------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static bool refuse(struct symbols_error *error, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(error->text, sizeof error->text, format, list);
	va_end(list);
	return false;
}

bool trace_log_add(struct trace_log *log, const struct trace_record *r)
{
	if (log->count == TRACE_LOG_MAX) {
		log->cut = true;
		return true;
	}
	if (log->count == log->room) {
		size_t room = log->room ? log->room * 2 : 1024;
		struct trace_record *record = realloc(log->record, room * sizeof *record);
		if (!record)
			return false;
		log->record = record;
		log->room = room;
	}
	log->record[log->count++] = *r;
	return true;
}

static bool take_object(struct trace_log *log, struct line *line)
{
	struct trace_record r = { 0 };
	const char *name = json_string_value(json_object_get(line->object, "sym"));
	if (json_object_get(line->object, "trace")) {
		const char *whose = json_string_value(json_object_get(line->object, "trace"));
		if (!whose || strcmp(whose, "umbra") != 0 || number(line, "version", true, 1) != 1)
			line->wrong = "version";
		return true;
	}
	if (truth(line, "end")) {
		log->ended = true;
		return true;
	}
	if (json_object_get(line->object, "next"))
		return true;
	if (!json_object_get(line->object, "kind") && json_object_get(line->object, "lost")) {
		log->lost += number(line, "lost", true, INT64_MAX / 2);
		return true;
	}
	read_record(line, &r);
	return line->wrong || (trace_log_add(log, &r) && (!name || trace_log_name(log, r.eip, name)));
}

static bool take_line(struct trace_log *log, const char *text, size_t bytes, size_t at, struct symbols_error *error)
{
	json_error_t json_error;
	if (bytes == 0)
		return true;
	struct line line = { .object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &json_error) };
	if (!json_is_object(line.object)) {
		json_decref(line.object);
		if (at == 1 && memmem(text, bytes, "traceEvents", strlen("traceEvents")))
			return refuse(error, "this is the Chrome form, for Perfetto; umbra trace reads format=jsonl");
		return refuse(error, "line %zu is no JSON object: this is no trace of umbra's in JSON lines", at);
	}
	if (at == 1 && !json_object_get(line.object, "trace"))
		line.wrong = "trace";
	bool fits = line.wrong || take_object(log, &line);
	json_decref(line.object);
	if (!fits)
		return refuse(error, "no memory for the trace");
	return !line.wrong || refuse(error, "line %zu: '%s' is missing or not what it should be", at, line.wrong);
}

bool trace_log_read(struct trace_log *log, const char *text, size_t bytes, struct symbols_error *error)
{
	size_t at = 1 + (log->count > 0); /* a piece that follows has no first line */
	for (const char *end = text + bytes; text < end; at++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t length = (size_t)((newline ? newline : end) - text);
		if (length > TRACE_LINE_MAX)
			return refuse(error, "line %zu is longer than %u bytes", at, TRACE_LINE_MAX);
		if (!take_line(log, text, length, at, error))
			return false;
		text += length + 1;
	}
	return true;
}

bool trace_log_read_file(struct trace_log *log, FILE *file, struct symbols_error *error)
{
	char line[TRACE_LINE_MAX + 2];
	size_t at = 0;
	while (fgets(line, sizeof line, file)) {
		size_t length = strlen(line);
		at++;
		if (length && line[length - 1] == '\n')
			length--;
		else if (length > TRACE_LINE_MAX)
			return refuse(error, "line %zu is longer than %u bytes", at, TRACE_LINE_MAX);
		else if (at > 1 && feof(file))
			break; /* the last line was being written as its writer ended */
		if (!take_line(log, line, length, at, error))
			return false;
	}
	if (ferror(file))
		return refuse(error, "it cannot be read");
	return at > 0 || refuse(error, "it is empty");
}

void trace_log_free(struct trace_log *log)
{
	free(log->record);
	free(log->names);
	free(log->name_slot);
	*log = (struct trace_log){ 0 };
}

/* ---- 4. Filtering --------------------------------------------------------------------------- */

void trace_log_filter(struct trace_log *log, const struct trace_filter *filter, size_t count)
{
	size_t kept = 0;
	for (size_t k = 0; k < log->count; k++)
		if (trace_filter_takes(filter, &log->record[k]))
			log->record[kept++] = log->record[k];
	if (count && kept > count) {
		memmove(log->record, log->record + (kept - count), count * sizeof *log->record);
		kept = count;
	}
	log->count = kept;
}

/* ---- 5. Summaries --------------------------------------------------------------------------- */

struct place {
	uint32_t eip;
	uint64_t count;
	uint32_t low, high; /* addresses that it was about */
};

static int by_eip(const void *left, const void *right)
{
	const struct place *a = left, *b = right;
	return a->eip < b->eip ? -1 : a->eip > b->eip;
}

static int by_count(const void *left, const void *right)
{
	const struct place *a = left, *b = right;
	return a->count != b->count ? (a->count > b->count ? -1 : 1) : by_eip(left, right);
}

/* Equal EIPs next to each other become one.  Returns how many are left. */
static size_t merge(struct place *place, size_t count)
{
	size_t merged = 0;
	qsort(place, count, sizeof *place, by_eip);
	for (size_t k = 0; k < count; k++) {
		struct place *to = &place[merged ? merged - 1 : 0];
		if (!merged || to->eip != place[k].eip) {
			place[merged++] = place[k];
			continue;
		}
		to->count += place[k].count;
		to->low = place[k].low < to->low ? place[k].low : to->low;
		to->high = place[k].high > to->high ? place[k].high : to->high;
	}
	qsort(place, merged, sizeof *place, by_count);
	return merged;
}

static void add_top(const struct trace_log *log, uint32_t kinds, const char *title, unsigned top, struct text *out)
{
	const struct trace_names names = trace_log_names(log);
	struct place *place = malloc((log->count ? log->count : 1) * sizeof *place);
	size_t count = 0;
	if (!place)
		return;
	for (size_t k = 0; k < log->count; k++) {
		const struct trace_record *r = &log->record[k];
		if (kinds & 1u << r->kind && !(r->flags & TRACE_HOST))
			place[count++] = r->flags & TRACE_HAS_LINEAR ? (struct place){ r->eip, 1, r->linear, r->linear } :
			                                               (struct place){ r->eip, 1, UINT32_MAX, 0 };
	}
	count = merge(place, count);
	if (count)
		text_add(out, "\n%s\n", title);
	for (size_t k = 0; k < count && k < top; k++) {
		char buf[TRACE_NAME_MAX];
		text_add(out, "%10" PRIu64 "  %08" PRIx32 "  ", place[k].count, place[k].eip);
		if (place[k].low <= place[k].high)
			text_add(out, "%08" PRIx32 "-%08" PRIx32, place[k].low, place[k].high);
		else
			text_add(out, "%17s", "-");
		text_add(out, "  %s\n", names.name(names.user, place[k].eip, buf, sizeof buf));
	}
	if (count > top)
		text_add(out, "            and %zu other places\n", count - top);
	free(place);
}

void trace_log_summary(const struct trace_log *log, unsigned top, struct text *out)
{
	uint64_t count[TRACE_KINDS] = { 0 };
	for (size_t k = 0; k < log->count; k++)
		count[log->record[k].kind]++;
	text_add(out, "%zu events", log->count);
	if (log->count) {
		const struct trace_record *first = log->record, *last = first + log->count - 1;
		text_add(out, ", %" PRIu64 ".%03u ms of the guest's time, %" PRIu64 " instructions",
		         (last->ns - first->ns) / 1000000, (unsigned)((last->ns - first->ns) / 1000 % 1000),
		         last->instructions - first->instructions);
	}
	text_add(out, log->lost ? ", %" PRIu64 " lost\n\n" : "\n\n", log->lost);
	for (unsigned kind = 0; kind < TRACE_KINDS; kind++)
		if (count[kind])
			text_add(out, "%10" PRIu64 "  %-12s %s\n", count[kind], trace_kinds[kind].name, trace_kinds[kind].help);
	add_top(log, 1u << TRACE_FILL | 1u << TRACE_FAULT, "code that faults most (fill, fault), and where", top, out);
	add_top(log, 1u << TRACE_WRITE | 1u << TRACE_SET_PTE | 1u << TRACE_SET_PDE, "code that writes page tables most", top, out);
	add_top(log, 1u << TRACE_FLUSH_PAGE | 1u << TRACE_FLUSH_ALL | 1u << TRACE_FLUSH_USER | 1u << TRACE_SWITCH,
	        "code that flushes and switches most", top, out);
}
