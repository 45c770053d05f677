/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_chrome.c - a trace in the Chrome trace-event form (JSON object form, "traceEvents"), which Perfetto and
 * chrome://tracing open.
 *
 *   process 1   the guest: a thread ("track") an address space, named by its CR3
 *   X           ... the time for which it is current
 *   i           each record, on the track of its address space
 *   C           shadow entries and tables
 *
 * Times are microseconds with three decimals.
 */
#include <inttypes.h>

#include <umbra/shadow.h>

#include "scope/trace.h"

#define COUNTER_NS 50000u /* between two values of a counter at least */

static void begin_event(struct trace_chrome *c, struct text *out)
{
	text_add(out, c->any ? ",\n" : "\n");
	c->any = true;
}

static void add_time(struct text *out, const char *key, uint64_t ns)
{
	text_add(out, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

static void name_track(struct trace_chrome *c, struct text *out, unsigned track, const char *name)
{
	begin_event(c, out);
	text_add(out, "{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":%u,\"args\":{\"name\":\"%s\"}}", track,
	         name);
}

/* 1, 2, 3 ... as they come; 0: all that came after TRACE_TRACKS_MAX. */
static unsigned track_of(struct trace_chrome *c, struct text *out, uint32_t cr3)
{
	char name[32];
	cr3 &= ~0xFFFu;
	for (unsigned k = 0; k < c->tracks; k++)
		if (c->track[k] == cr3)
			return k + 1;
	if (c->tracks == TRACE_TRACKS_MAX)
		return 0;
	c->track[c->tracks++] = cr3;
	snprintf(name, sizeof name, "CR3 0x%08" PRIx32, cr3);
	name_track(c, out, c->tracks, name);
	return c->tracks;
}

void trace_chrome_start(struct trace_chrome *c, struct text *out)
{
	*c = (struct trace_chrome){ 0 };
	text_add(out, "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"trace\":\"umbra\",\"version\":\"1\"},\"traceEvents\":[");
	begin_event(c, out);
	text_add(out, "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"args\":{\"name\":\"guest\"}}");
	name_track(c, out, 0, "other address spaces");
}

static void end_slice(struct trace_chrome *c, struct text *out, uint64_t now)
{
	if (!c->in_slice)
		return;
	unsigned track = track_of(c, out, c->cr3);
	begin_event(c, out);
	text_add(out, "{\"ph\":\"X\",\"name\":\"current\",\"cat\":\"switch\",\"pid\":1,\"tid\":%u", track);
	add_time(out, "ts", c->since);
	add_time(out, "dur", now > c->since ? now - c->since : 0);
	text_add(out, "}");
	c->in_slice = false;
}

static void add_counters(struct trace_chrome *c, struct text *out, const struct trace_record *r)
{
	if (c->counted && (r->ns - c->counted < COUNTER_NS || (r->entries == c->entries && r->tables == c->tables)))
		return;
	c->counted = r->ns ? r->ns : 1;
	c->entries = r->entries;
	c->tables = r->tables;
	begin_event(c, out);
	text_add(out, "{\"ph\":\"C\",\"name\":\"shadow entries\",\"pid\":1");
	add_time(out, "ts", r->ns);
	text_add(out, ",\"args\":{\"entries\":%" PRIu32 "}},\n{\"ph\":\"C\",\"name\":\"shadow tables\",\"pid\":1", r->entries);
	add_time(out, "ts", r->ns);
	text_add(out, ",\"args\":{\"tables\":%" PRIu32 "}}", r->tables);
}

static void add_arguments(struct text *out, const struct trace_record *r, const struct trace_names *names)
{
	const struct trace_kind_info *kind = &trace_kinds[r->kind];
	struct text words = { .limit = 512 };
	char buf[TRACE_NAME_MAX];
	text_add(out, "{\"seq\":%" PRIu64 ",\"insns\":%" PRIu64 ",\"cpl\":%u", r->seq, r->instructions, r->cpl);
	if (!(r->flags & TRACE_HOST)) {
		const char *name = names->name(names->user, r->eip, buf, sizeof buf);
		text_add(out, ",\"eip\":\"0x%08" PRIx32 "%s\"", r->eip, r->flags & TRACE_EXACT ? "" : " (block)");
		if (*name) {
			text_add(out, ",\"code\":");
			text_add_json(out, name);
		}
	}
	if (r->flags & TRACE_HAS_LINEAR)
		text_add(out, ",\"gva\":\"0x%08" PRIx32 "\"", r->linear);
	if (r->flags & TRACE_HAS_GPA)
		text_add(out, ",\"gpa\":\"0x%08" PRIx64 "\"", r->gpa);
	if (r->kind == TRACE_WRITE && !(r->flags & TRACE_HOST))
		text_add(out, ",\"old\":\"0x%08" PRIx32 "\"", r->old);
	if (kind->value)
		text_add(out, kind->hex ? ",\"%s\":\"0x%08" PRIx32 "\"" : ",\"%s\":%" PRIu32, kind->value, r->value);
	trace_describe(&words, r);
	text_add(out, ",\"what\":");
	text_add_json(out, text_string(&words));
	text_add(out, "}");
	text_free(&words);
}

void trace_chrome_record(struct trace_chrome *c, struct text *out, const struct trace_record *r,
                         const struct trace_names *names)
{
	c->last = r->ns;
	if (r->kind == TRACE_SWITCH || !c->in_slice || (c->cr3 ^ r->cr3) & ~0xFFFu) {
		end_slice(c, out, r->ns);
		c->in_slice = true;
		c->cr3 = r->cr3;
		c->since = r->ns;
	}
	unsigned track = track_of(c, out, r->cr3);
	begin_event(c, out);
	text_add(out, "{\"ph\":\"i\",\"s\":\"t\",\"name\":\"%s\",\"cat\":\"shadow\",\"pid\":1,\"tid\":%u", trace_kinds[r->kind].name,
	         track);
	add_time(out, "ts", r->ns);
	text_add(out, ",\"args\":");
	add_arguments(out, r, names);
	text_add(out, "}");
	add_counters(c, out, r);
}

void trace_chrome_lost(struct trace_chrome *c, struct text *out, uint64_t lost)
{
	begin_event(c, out);
	text_add(out, "{\"ph\":\"i\",\"s\":\"g\",\"name\":\"%" PRIu64 " lost\",\"cat\":\"lost\",\"pid\":1,\"tid\":0", lost);
	add_time(out, "ts", c->last);
	text_add(out, "}");
}

void trace_chrome_end(struct trace_chrome *c, struct text *out)
{
	end_slice(c, out, c->last);
	text_add(out, "\n]}\n");
}
