/* SPDX-License-Identifier: MIT */
/*
 * scope/html.c - the page: its template with the data in it.
 *
 *   1. Traces     as the page's data: a row of numbers an event
 *   2. Escaping   so that no string ends its element
 *   3. The page
 */
#include "scope/html.h"

#include <inttypes.h>
#include <string.h>

#include "scope/html_files.h"

/* ---- 1. Traces ------------------------------------------------------------------------------ */

static void add_words(struct text *out, const char *name)
{
	text_add(out, "\"kinds\":[");
	for (unsigned k = 0; k < TRACE_KINDS; k++)
		text_add(out, "%s[\"%s\",\"%s\"]", k ? "," : "", trace_kinds[k].name, trace_kinds[k].help);
	text_add(out, "],\"%s\":[", name);
	for (unsigned k = 0; k < TRACE_CAUSES; k++)
		text_add(out, "%s\"%s\"", k ? "," : "", trace_causes[k]);
	text_add(out, "]");
}

/* In the order of scope/page/model.js's TRACE_FIELDS. */
static void add_event(struct text *out, const struct trace_record *r)
{
	text_add(out, "[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%u,%" PRIu32 ",%u,%" PRIu32 ",%u,%" PRIu32 ",%" PRIu64 ",%" PRIu32
	         ",%" PRIu32 ",%u,%u,%u,%" PRIu32 ",%" PRIu32 ",%" PRIu32 "]",
	         r->seq, r->ns, r->instructions, r->kind, r->cr3, r->cpl, r->eip, r->flags, r->linear, r->gpa, r->value, r->old,
	         r->access, r->rights, r->cause, r->error, r->entries, r->tables);
}

/* The names of the code in it: [eip, name, ...], each once if it comes again soon. */
static void add_names(struct text *out, const struct trace_log *log, size_t from)
{
	const struct trace_names names = trace_log_names(log);
	enum { RECENT = 4096 };
	uint32_t recent[RECENT] = { 0 };
	bool any = false;
	for (size_t k = from; k < log->count; k++) {
		char buf[TRACE_NAME_MAX];
		uint32_t eip = log->record[k].eip, *slot = &recent[(eip * 2654435761u) >> 20];
		if (*slot == eip || !*names.name(names.user, eip, buf, sizeof buf))
			continue;
		*slot = eip;
		text_add(out, "%s%" PRIu32 ",", any ? "," : "", eip);
		text_add_json(out, buf);
		any = true;
	}
}

void html_trace(const struct trace_log *log, struct text *out)
{
	size_t from = log->count > HTML_EVENTS ? log->count - HTML_EVENTS : 0;
	text_add(out, "{");
	add_words(out, "causes");
	text_add(out, ",\"lost\":%" PRIu64 ",\"left\":%zu,\"names\":[", log->lost, from);
	add_names(out, log, from);
	text_add(out, "],\"events\":[");
	for (size_t k = from; k < log->count; k++) {
		text_add(out, k > from ? ",\n" : "\n");
		add_event(out, &log->record[k]);
	}
	text_add(out, "]}");
}

/* ---- 2. Escaping ---------------------------------------------------------------------------- */

/* In JSON these stand in strings only, where \u00XX is the same.  Without them no "</script" and no "<!--" is possible. */
static void add_data(struct text *out, const char *json)
{
	for (const char *from = json; *from;) {
		size_t plain = strcspn(from, "<>&");
		text_add_bytes(out, from, plain);
		from += plain;
		if (*from)
			text_add(out, "\\u%04x", (unsigned char)*from++);
	}
}

/* ---- 3. The page ---------------------------------------------------------------------------- */

static void add_file(struct text *out, const char *start, const char *end)
{
	text_add_bytes(out, start, (size_t)(end - start));
}

#define ADD(name) add_file(out, html_file_##name, html_file_##name##_end)

static void add_scripts(struct text *out)
{
	text_add(out, "\"use strict\";\n");
	ADD(model_js);
	ADD(explain_js);
	ADD(map_js);
	ADD(trace_js);
	ADD(report_js);
	ADD(test_js);
	ADD(page_js);
}

/* The template has one line for each part: <!--style-->, <!--data-->, <!--script-->. */
static const char *find(const char *from, const char *end, const char *mark)
{
	const char *at = memmem(from, (size_t)(end - from), mark, strlen(mark));
	return at ? at : end;
}

void html_page(const struct html_parts *parts, struct text *out)
{
	const char *at = html_file_page_html, *end = html_file_page_html_end;
	const char *style = find(at, end, "<!--style-->"), *data = find(style, end, "<!--data-->");
	const char *script = find(data, end, "<!--script-->");
	struct text source = { 0 };
	add_file(out, at, style);
	ADD(page_css);
	add_file(out, style + strlen("<!--style-->"), data);
	text_add(out, "{\"map\":");
	add_data(out, parts->map ? parts->map : "null");
	text_add(out, ",\n\"trace\":");
	add_data(out, parts->trace ? parts->trace : "null");
	text_add(out, ",\n\"checks\":");
	add_data(out, parts->checks ? parts->checks : "null");
	text_add_json(&source, parts->source ? parts->source : "");
	text_add(out, ",\n\"source\":");
	add_data(out, text_string(&source));
	text_add(out, ",\"when\":%" PRId64 "}", parts->when);
	text_free(&source);
	add_file(out, data + strlen("<!--data-->"), script);
	add_scripts(out);
	add_file(out, script + strlen("<!--script-->"), end);
}
