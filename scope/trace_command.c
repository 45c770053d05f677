/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_command.c - the monitor's `trace`.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "scope/monitor.h"
#include "scope/scope.h"
#include "scope/trace.h"

#define SHOW_USUAL 20u    /* records that `trace show` shows when it is not told */
#define LINES_MOST 20000u /* ... and shows, or `trace lines` gives, at once: some 6 MB; how long the guest waits for it */

typedef void subcommand(struct scope *scope, char *rest, struct text *out);

/* There is none until somebody wants one. */
static struct trace *need_trace(struct scope *scope, size_t bytes, struct text *out)
{
	if (!scope->trace)
		scope->trace = trace_new(scope->vm, scope->symbols, bytes);
	if (!scope->trace)
		monitor_refuse(scope, out, "no memory for a trace of %zu bytes", bytes);
	return scope->trace;
}

/* Words after the subcommand, with blanks or commas between them. */
static bool parse_rest(struct scope *scope, char *rest, struct trace_options *o, struct text *out)
{
	struct symbols_error error;
	for (char *at = rest; *at; at++)
		if (*at == ' ')
			*at = ',';
	if (trace_options_parse(o, rest, false, &error))
		return true;
	monitor_refuse(scope, out, "%s", error.text);
	return false;
}

static void add_status(const struct trace *t, struct text *out)
{
	struct trace_status s;
	trace_get_status(t, &s);
	text_add(out, "%s, ", s.running ? "running" : "stopped");
	trace_filter_print(&s.filter, out);
	text_add(out, "\n%" PRIu64 " events, the last %" PRIu64 " are kept (%zu KiB), %" PRIu64 " were overwritten\n", s.seen,
	         s.kept, s.bytes >> 10, s.overwritten);
	if (!s.path)
		return;
	text_add(out, "%s: %" PRIu64 " events written, %" PRIu64 " lost, %s\n", s.path, s.written, s.lost,
	         s.writing ? "open" : s.error ? strerror(s.error) : "complete");
}

static void start(struct scope *scope, char *rest, struct text *out)
{
	struct trace_options o;
	struct symbols_error error;
	struct trace_status was = { 0 };
	trace_options_default(&o);
	if (scope->trace) {
		trace_get_status(scope->trace, &was);
		o.bytes = was.bytes;
	}
	if (!parse_rest(scope, rest, &o, out) || !need_trace(scope, o.bytes, out))
		return;
	if (was.bytes && o.bytes / sizeof(struct trace_record) != was.bytes / sizeof(struct trace_record) &&
	    !trace_resize(scope->trace, o.bytes)) {
		monitor_refuse(scope, out, "no memory for a trace of %zu bytes", o.bytes);
	} else if (!trace_start(scope->trace, &o.filter, &error)) {
		monitor_refuse(scope, out, "%s", error.text);
	} else if (o.path[0] && !trace_open_file(scope->trace, o.path, o.format, &error)) {
		trace_stop(scope->trace);
		monitor_refuse(scope, out, "%s", error.text);
	} else {
		add_status(scope->trace, out);
	}
}

static void stop(struct scope *scope, char *rest, struct text *out)
{
	(void)rest;
	if (!trace_running(scope->trace)) {
		monitor_refuse(scope, out, "nothing is traced");
		return;
	}
	trace_stop(scope->trace);
	int number = trace_close_file(scope->trace);
	if (number)
		monitor_refuse(scope, out, "the trace's file: %s", strerror(number));
}

static void clear(struct scope *scope, char *rest, struct text *out)
{
	(void)rest, (void)out;
	if (scope->trace)
		trace_clear(scope->trace);
}

static void status(struct scope *scope, char *rest, struct text *out)
{
	(void)rest;
	if (scope->trace)
		add_status(scope->trace, out);
	else
		text_add(out, "nothing was traced yet; trace start\n");
}

struct showing {
	struct text *out;
	struct trace_names names;
	uint64_t from, to, count;
};

/* The last N; more than LINES_MOST are not shown at once. */
static void visit_last(const struct trace *t, unsigned long count, void (*visit)(void *user, const struct trace_record *r), void *user)
{
	trace_visit(t, count < LINES_MOST ? count : LINES_MOST, visit, user);
}

static void show_record(void *user, const struct trace_record *r)
{
	struct showing *s = user;
	trace_table_record(s->out, r, &s->names);
}

static void show(struct scope *scope, char *rest, struct text *out)
{
	struct showing s = { .out = out, .names = trace_symbols(scope->symbols) };
	char *end = rest;
	unsigned long count = *rest ? strtoul(rest, &end, 10) : SHOW_USUAL;
	if (*end || (*rest && (*rest < '0' || *rest > '9'))) {
		monitor_refuse(scope, out, "trace show [N]: how many of the last events");
		return;
	}
	if (!scope->trace) {
		monitor_refuse(scope, out, "nothing was traced yet; trace start");
		return;
	}
	trace_table_head(out);
	visit_last(scope->trace, count, show_record, &s);
}

static void write_line(void *user, const struct trace_record *r)
{
	struct showing *s = user;
	if (r->seq < s->from || s->count == LINES_MOST)
		return;
	trace_json_record(s->out, r, &s->names);
	s->count++;
	s->to = r->seq + 1;
}

/* For programs: as in a file, a piece at a time. */
static void lines(struct scope *scope, char *rest, struct text *out)
{
	struct trace_status t;
	struct showing s = { .out = out, .names = trace_symbols(scope->symbols), .from = strtoull(rest, NULL, 10) };
	if (!scope->trace) {
		monitor_refuse(scope, out, "nothing was traced yet; trace start");
		return;
	}
	trace_get_status(scope->trace, &t);
	if (!s.from) {
		trace_json_start(out, &t.filter);
		if (t.overwritten)
			trace_json_lost(out, t.overwritten);
	}
	s.to = s.from;
	trace_visit(scope->trace, UINT64_MAX, write_line, &s);
	if (s.count < LINES_MOST)
		trace_json_end(out, t.kept, t.overwritten);
	else
		text_add(out, "{\"next\":%" PRIu64 "}\n", s.to);
}

static void write_to(struct scope *scope, char *rest, struct text *out)
{
	struct symbols_error error;
	const char *path = monitor_word(&rest), *format = monitor_word(&rest);
	bool chrome = strcmp(format, "chrome") == 0;
	if (!*path || *rest || (*format && !chrome && strcmp(format, "jsonl") != 0))
		monitor_refuse(scope, out, "trace write FILE [jsonl|chrome]");
	else if (!scope->trace)
		monitor_refuse(scope, out, "nothing was traced yet; trace start");
	else if (!trace_write_file(scope->trace, path, chrome ? TRACE_CHROME : TRACE_JSONL, &error))
		monitor_refuse(scope, out, "%s", error.text);
}

static void write_item(void *user, const struct trace_record *r)
{
	struct showing *s = user;
	text_add(s->out, "%s", s->count++ ? "," : "");
	trace_json_record(s->out, r, &s->names);
}

/* For programs: how it stands, and the last N events if they are asked for. */
void trace_command_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct showing s = { .out = out, .names = trace_symbols(scope->symbols) };
	struct trace_status t = { 0 };
	const char *name = monitor_word(&rest);
	bool events = strcmp(name, "show") == 0;
	(void)suffix;
	if (*name && !events && strcmp(name, "status") != 0) {
		monitor_refuse(scope, out, "trace status and trace show [N] have a JSON form");
		return;
	}
	trace_filter_default(&t.filter);
	if (scope->trace)
		trace_get_status(scope->trace, &t);
	text_add(out, "{\"running\":%s,\"filter\":\"", t.running ? "true" : "false");
	trace_filter_print(&t.filter, out);
	text_add(out, "\",\"seen\":%" PRIu64 ",\"kept\":%" PRIu64 ",\"overwritten\":%" PRIu64 ",\"written\":%" PRIu64 ",\"lost\":%" PRIu64
	         ",\"file\":", t.seen, t.kept, t.overwritten, t.written, t.lost);
	if (t.path)
		text_add_json(out, t.path);
	else
		text_add(out, "null");
	text_add(out, ",\"events\":[");
	if (events && scope->trace)
		visit_last(scope->trace, *rest ? strtoul(rest, NULL, 10) : SHOW_USUAL, write_item, &s);
	text_add(out, "]}");
}

static const struct {
	const char *name;
	subcommand *run;
} subcommands[] = {
	{ "start", start }, { "stop", stop }, { "clear", clear }, { "status", status },
	{ "show", show },   { "lines", lines }, { "write", write_to },
};

void trace_command(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	const char *name = monitor_word(&rest);
	(void)suffix;
	if (!*name)
		name = "status";
	for (size_t k = 0; k < sizeof subcommands / sizeof subcommands[0]; k++)
		if (strcmp(name, subcommands[k].name) == 0) {
			subcommands[k].run(scope, rest, out);
			return;
		}
	monitor_refuse(scope, out, "trace start [events=LIST,cr3=,from=,to=,size=,file=,format=], trace stop, clear, status, "
	                           "show [N] or write FILE [jsonl|chrome]");
}
