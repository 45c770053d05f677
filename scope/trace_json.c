/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_json.c - a trace as JSON lines: docs/trace.schema.json.
 *
 * Addresses and entries are strings, "0x%08x", as they stand everywhere else: they can be searched for.
 */
#include <inttypes.h>

#include <umbra/shadow.h>

#include "scope/trace.h"

void trace_json_start(struct text *out, const struct trace_filter *filter)
{
	struct text words = { .limit = 1024 };
	trace_filter_print(filter, &words);
	text_add(out, "{\"trace\":\"umbra\",\"version\":1,\"filter\":\"%s\"}\n", text_string(&words));
	text_free(&words);
}

static void add_access(struct text *out, const struct trace_record *r)
{
	text_add(out, ",\"access\":\"%s\",\"user\":%s",
	         r->access & UM_WRITE ? "write" : r->access & UM_FETCH ? "fetch" : "read",
	         r->access & UM_USER ? "true" : "false");
}

static bool has_access(const struct trace_record *r)
{
	switch (r->kind) {
	case TRACE_FILL:
		return r->cause != TRACE_CAUSE_NONE;
	case TRACE_WRITE:
		return !(r->flags & TRACE_HOST);
	default:
		return r->kind == TRACE_FAULT || r->kind == TRACE_MMIO || r->kind == TRACE_ABSENT;
	}
}

static void add_value(struct text *out, const struct trace_record *r)
{
	const struct trace_kind_info *kind = &trace_kinds[r->kind];
	if (!kind->value)
		return;
	if (r->kind == TRACE_WRITE && !(r->flags & TRACE_HOST))
		text_add(out, ",\"old\":\"0x%08" PRIx32 "\"", r->old);
	text_add(out, kind->hex ? ",\"%s\":\"0x%08" PRIx32 "\"" : ",\"%s\":%" PRIu32, kind->value, r->value);
	if (r->kind == TRACE_WRITE)
		text_add(out, ",\"bytes\":%" PRIu32, r->error);
	if (r->kind == TRACE_INTERRUPT)
		text_add(out, ",\"software\":%s", r->flags & TRACE_SOFTWARE ? "true" : "false");
}

void trace_json_record(struct text *out, const struct trace_record *r, const struct trace_names *names)
{
	char buf[TRACE_NAME_MAX];

	text_add(out, "{\"seq\":%" PRIu64 ",\"ns\":%" PRIu64 ",\"insns\":%" PRIu64 ",\"kind\":\"%s\",\"cr3\":\"0x%08" PRIx32
	         "\",\"cpl\":%u", r->seq, r->ns, r->instructions, trace_kinds[r->kind].name, r->cr3, r->cpl);
	if (r->flags & TRACE_HOST) {
		text_add(out, ",\"host\":true");
	} else {
		const char *name = names->name(names->user, r->eip, buf, sizeof buf);
		text_add(out, ",\"eip\":\"0x%08" PRIx32 "\",\"exact\":%s", r->eip,
		         r->flags & TRACE_EXACT ? "true" : "false");
		if (*name) {
			text_add(out, ",\"sym\":");
			text_add_json(out, name);
		}
	}
	if (r->flags & TRACE_HAS_LINEAR)
		text_add(out, ",\"gva\":\"0x%08" PRIx32 "\"", r->linear);
	if (r->flags & TRACE_HAS_GPA)
		text_add(out, ",\"gpa\":\"0x%08" PRIx64 "\"", r->gpa);
	if (has_access(r))
		add_access(out, r);
	if (r->kind == TRACE_FILL || r->kind == TRACE_PREFETCH)
		text_add(out, ",\"rights\":\"%s%s\",\"global\":%s", r->rights & UM_USER ? "u" : "s",
		         r->rights & UM_WRITE ? "w" : "r", r->flags & TRACE_GLOBAL ? "true" : "false");
	if (r->flags & TRACE_HAS_ERROR)
		text_add(out, ",\"error\":%" PRIu32, r->error);
	if (r->cause)
		text_add(out, ",\"cause\":\"%s\"", trace_causes[r->cause]);
	add_value(out, r);
	text_add(out, ",\"entries\":%" PRIu32 ",\"tables\":%" PRIu32 "}\n", r->entries, r->tables);
}

void trace_json_lost(struct text *out, uint64_t lost)
{
	text_add(out, "{\"lost\":%" PRIu64 "}\n", lost);
}

void trace_json_end(struct text *out, uint64_t records, uint64_t lost)
{
	text_add(out, "{\"end\":true,\"records\":%" PRIu64 ",\"lost\":%" PRIu64 "}\n", records, lost);
}
