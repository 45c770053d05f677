/* SPDX-License-Identifier: MIT */
/*
 * cli/trace.c - umbra trace: look at a trace, of a file or of a running guest.
 *
 *   1. Options
 *   2. Reading      a file of JSON lines, or a running guest's by pieces
 *   3. Showing      table, summary
 *   4. Converting   to Chrome's form, to JSON lines, to a page
 *   5. The verb
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "scope/html.h"

struct options {
	const char *what;
	struct trace_options trace;  /* the filter */
	size_t last;
	unsigned top;
	bool summary, help;
	const char *chrome, *jsonl, *html;
	const char *word[8];         /* a running guest: a command, and what it takes */
	unsigned words;
};

/* ---- 1. Options ----------------------------------------------------------------------------- */

#define TOP_USUAL 10u
#define TOP_MAX 1000u

enum { NO_VALUE, A_VALUE };

static bool set_filter(struct options *o, const char *name, const char *value)
{
	struct symbols_error error;
	char item[512];
	if (strchr(value, ',') || (size_t)snprintf(item, sizeof item, "%s=%s", name, value) >= sizeof item) {
		fprintf(stderr, "umbra: -%s %.60s: one value is expected\n", name, value);
		return false;
	}
	if (trace_options_parse(&o->trace, item, false, &error))
		return true;
	fprintf(stderr, "umbra: -%s\n", error.text);
	return false;
}

static bool set_number(const char *name, const char *value, unsigned long most, unsigned long *number)
{
	char *end;
	errno = 0;
	*number = strtoul(value, &end, 10);
	if (*value >= '0' && *value <= '9' && !*end && !errno && *number >= 1 && *number <= most)
		return true;
	fprintf(stderr, "umbra: -%s %.60s: a number from 1 to %lu is expected\n", name, value, most);
	return false;
}

static bool set_last(struct options *o, const char *name, const char *value)
{
	unsigned long number = 0;
	bool fits = set_number(name, value, TRACE_LOG_MAX, &number);
	o->last = number;
	return fits;
}

static bool set_top(struct options *o, const char *name, const char *value)
{
	unsigned long number = 0;
	bool fits = set_number(name, value, TOP_MAX, &number);
	o->top = (unsigned)number;
	return fits;
}

static bool set_summary(struct options *o, const char *name, const char *value)
{
	(void)name, (void)value;
	return o->summary = true;
}

static bool set_path(struct options *o, const char *name, const char *value)
{
	*(*name == 'c' ? &o->chrome : *name == 'h' ? &o->html : &o->jsonl) = value;
	return true;
}

static bool set_help(struct options *o, const char *name, const char *value)
{
	(void)name, (void)value;
	return o->help = true;
}

static const struct {
	const char *name, *value, *help;
	bool (*apply)(struct options *o, const char *name, const char *value);
} options[] = {
	{ "events", "LIST", "these kinds only, with + between them: fill+fault, flushes, all", set_filter },
	{ "cr3", "ADDRESS", "of this address space only", set_filter },
	{ "from", "ADDRESS", "... and from this linear address on (what has none concerns all)", set_filter },
	{ "to", "ADDRESS", "... up to this one", set_filter },
	{ "last", "N", "the last N of them", set_last },
	{ "summary", NULL, "counts by kind, and the code that faults, writes tables and flushes most", set_summary },
	{ "top", "N", "... the first N of each (10)", set_top },
	{ "chrome", "FILE", "write them to FILE as Chrome trace events, for Perfetto", set_path },
	{ "jsonl", "FILE", "write them to FILE as JSON lines", set_path },
	{ "html", "FILE", "write a page to look at, which needs nothing but a browser", set_path },
	{ "help", NULL, "say this", set_help },
};
#define OPTIONS (sizeof options / sizeof options[0])

void print_trace_help(FILE *to)
{
	fprintf(to, "usage: umbra trace FILE [OPTIONS]\n       umbra trace SOCKET [OPTIONS | start [FILTERS] | stop | clear | status]\n\n"
	            "FILE is what umbra run -trace, or the monitor's trace write, wrote as JSON lines; SOCKET a running guest's -qmp.\n\n"
	            "options:\n");
	for (size_t k = 0; k < OPTIONS; k++) {
		int length = fprintf(to, "  -%s%s%s", options[k].name, options[k].value ? " " : "",
		                     options[k].value ? options[k].value : "");
		fprintf(to, "%*s %s\n", length < 24 ? 24 - length : 0, "", options[k].help);
	}
	fprintf(to, "\nevents:\n");
	for (unsigned kind = 0; kind < TRACE_KINDS; kind++)
		fprintf(to, "  %-22s %s%s\n", trace_kinds[kind].name, trace_kinds[kind].help,
		        trace_kinds[kind].usual ? "" : " (only if asked for)");
}

static bool parse_option(struct options *o, int argc, char **argv, int *at)
{
	const char *name = argv[*at] + strspn(argv[*at], "-");
	for (size_t k = 0; k < OPTIONS; k++) {
		if (strcmp(name, options[k].name) != 0)
			continue;
		if (options[k].value && ++*at == argc) {
			fprintf(stderr, "umbra: -%s wants %s\n", name, options[k].value);
			return false;
		}
		return options[k].apply(o, options[k].name, argv[*at]);
	}
	fprintf(stderr, "umbra: unknown option '%.60s'; try `umbra help trace`\n", argv[*at]);
	return false;
}

static bool parse(struct options *o, int argc, char **argv)
{
	*o = (struct options){ .top = TOP_USUAL };
	trace_options_default(&o->trace);
	o->trace.filter.kinds = (1u << TRACE_KINDS) - 1;
	for (int at = 1; at < argc; at++) {
		if (argv[at][0] == '-' && argv[at][1]) {
			if (!parse_option(o, argc, argv, &at))
				return false;
		} else if (!o->what) {
			o->what = argv[at];
		} else if (is_guest(o->what) && o->words < sizeof o->word / sizeof o->word[0]) {
			o->word[o->words++] = argv[at];
		} else {
			fprintf(stderr, "umbra: two traces: '%.60s' and '%.60s'\n", o->what, argv[at]);
			return false;
		}
	}
	if (o->trace.filter.from > o->trace.filter.to) {
		fprintf(stderr, "umbra: -from is behind -to\n");
		return false;
	}
	if (!o->what && !o->help)
		fprintf(stderr, "umbra: no trace given; try `umbra help trace`\n");
	return o->what || o->help;
}

/* ---- 2. Reading ----------------------------------------------------------------------------- */

/* Between two pieces events may be added, and lost: it ends at the last that there was at first. */
#define PIECES_MAX 4096u

static int read_guest(const struct options *o, struct trace_log *log)
{
	struct symbols_error error;
	uint64_t from = 0;
	for (unsigned piece = 0; piece < PIECES_MAX && !log->ended; piece++) {
		struct text line = { 0 }, out = { 0 };
		text_add(&line, "trace lines %llu", (unsigned long long)from);
		int status = ask_guest(o->what, text_string(&line), &out);
		size_t before = log->count;
		bool fits = status == STATUS_OK && trace_log_read(log, text_string(&out), out.size, &error);
		text_free(&line);
		text_free(&out);
		if (status != STATUS_OK)
			return status;
		if (!fits) {
			fprintf(stderr, "umbra: %.120s: %s\n", o->what, error.text);
			return STATUS_START;
		}
		if (log->count == before)
			break;
		from = log->record[log->count - 1].seq + 1;
	}
	return STATUS_OK;
}

/* "start events=fill", "stop", ... : the guest's monitor does it. */
static int tell_guest(const struct options *o)
{
	struct text line = { 0 }, out = { 0 };
	text_add(&line, "trace");
	for (unsigned k = 0; k < o->words; k++)
		text_add(&line, " %s", o->word[k]);
	int status = ask_guest(o->what, text_string(&line), &out);
	printf("%s", text_string(&out));
	text_free(&line);
	text_free(&out);
	return status;
}

static bool read_log(const struct options *o, struct trace_log *log)
{
	struct symbols_error error;
	FILE *file = fopen(o->what, "re");
	if (!file) {
		fprintf(stderr, "umbra: %.120s: %s\n", o->what, strerror(errno));
		return false;
	}
	bool fits = trace_log_read_file(log, file, &error);
	fclose(file);
	if (!fits)
		fprintf(stderr, "umbra: %.120s: %s\n", o->what, error.text);
	if (fits && log->cut)
		fprintf(stderr, "umbra: %.120s: only its first %u events are looked at\n", o->what, TRACE_LOG_MAX);
	else if (fits && !log->ended)
		fprintf(stderr, "umbra: %.120s: it has no end: its writer was ended, or still writes\n", o->what);
	return fits;
}

/* ---- 3. Showing ----------------------------------------------------------------------------- */

/* What is waiting goes out.  false: it does not. */
static bool pour(struct text *text, FILE *to, const char *name)
{
	bool done = fwrite(text_string(text), 1, text->size, to) == text->size && fflush(to) == 0 && !text->cut;
	if (!done)
		fprintf(stderr, "umbra: %.120s: %s\n", name, text->cut ? "no memory" : strerror(errno));
	text_clear(text);
	return done;
}

#define POUR (1u << 16)

static bool show(const struct options *o, const struct trace_log *log)
{
	const struct trace_names names = trace_log_names(log);
	struct text text = { 0 };
	bool done = true;
	if (o->summary) {
		trace_log_summary(log, o->top, &text);
	} else {
		trace_table_head(&text);
		for (size_t k = 0; k < log->count && done; k++) {
			trace_table_record(&text, &log->record[k], &names);
			if (text.size >= POUR)
				done = pour(&text, stdout, "standard output");
		}
		if (log->lost)
			text_add(&text, "%llu events were lost\n", (unsigned long long)log->lost);
	}
	done = done && pour(&text, stdout, "standard output");
	text_free(&text);
	return done;
}

/* ---- 4. Converting -------------------------------------------------------------------------- */

static bool write_records(const struct options *o, const struct trace_log *log, struct text *text, FILE *file,
                          struct trace_chrome *chrome, const char *path)
{
	const struct trace_names names = trace_log_names(log);
	if (chrome)
		trace_chrome_start(chrome, text);
	else
		trace_json_start(text, &o->trace.filter);
	if (log->lost && chrome)
		trace_chrome_lost(chrome, text, log->lost);
	else if (log->lost)
		trace_json_lost(text, log->lost);
	for (size_t k = 0; k < log->count; k++) {
		if (chrome)
			trace_chrome_record(chrome, text, &log->record[k], &names);
		else
			trace_json_record(text, &log->record[k], &names);
		if (text->size >= POUR && !pour(text, file, path))
			return false;
	}
	if (chrome)
		trace_chrome_end(chrome, text);
	else
		trace_json_end(text, log->count, log->lost);
	return pour(text, file, path);
}

static bool convert(const struct options *o, const struct trace_log *log, const char *path, bool is_chrome)
{
	struct trace_chrome *chrome = is_chrome ? calloc(1, sizeof *chrome) : NULL;
	FILE *file = chrome || !is_chrome ? fopen(path, "we") : NULL;
	struct text text = { 0 };
	if (!file) {
		fprintf(stderr, "umbra: %.120s: %s\n", path, strerror(errno));
		free(chrome);
		return false;
	}
	bool done = write_records(o, log, &text, file, chrome, path);
	text_free(&text);
	free(chrome);
	if (fclose(file) != 0 && done) {
		fprintf(stderr, "umbra: %.120s: %s\n", path, strerror(errno));
		done = false;
	}
	return done;
}

static bool write_page(const struct trace_log *log, const char *file, const char *path)
{
	struct text trace = { 0 };
	char why[256] = "no memory";
	html_trace(log, &trace);
	const struct html_parts parts = { .trace = text_string(&trace), .source = file, .when = html_file_time(file) };
	bool done = !trace.cut && html_write(&parts, path, why, sizeof why);
	if (!done)
		fprintf(stderr, "umbra: %s\n", why);
	text_free(&trace);
	return done;
}

/* ---- 5. The verb ---------------------------------------------------------------------------- */

static int look(const struct options *o, struct trace_log *log)
{
	bool written = o->chrome || o->jsonl || o->html;
	int status = is_guest(o->what) ? read_guest(o, log) : read_log(o, log) ? STATUS_OK : STATUS_START;
	if (status != STATUS_OK)
		return status;
	if (is_guest(o->what) && !log->count)
		fprintf(stderr, "umbra: %.120s: no events yet; `umbra trace %.120s start` begins a trace\n", o->what, o->what);
	trace_log_filter(log, &o->trace.filter, o->last);
	if (o->chrome && !convert(o, log, o->chrome, true))
		return STATUS_HOST;
	if (o->jsonl && !convert(o, log, o->jsonl, false))
		return STATUS_HOST;
	if (o->html && is_guest(o->what)) {
		status = ask_guest_for_page(o->what, o->html); /* with the map */
		if (status != STATUS_OK)
			return status;
	} else if (o->html && !write_page(log, o->what, o->html)) {
		return STATUS_HOST;
	}
	return (written && !o->summary) || show(o, log) ? STATUS_OK : STATUS_HOST;
}

int trace_verb(int argc, char **argv)
{
	struct options o;
	struct trace_log log = { 0 };
	if (!parse(&o, argc, argv))
		return STATUS_USAGE;
	if (o.help) {
		print_trace_help(stdout);
		return STATUS_OK;
	}
	int status = o.words ? tell_guest(&o) : look(&o, &log);
	trace_log_free(&log);
	return status;
}
