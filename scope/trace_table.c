/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_table.c - a trace for people: one row a record.
 */
#include <inttypes.h>

#include <umbra/shadow.h>

#include "scope/trace.h"

static const char *const cause_words[TRACE_CAUSES] = {
	[TRACE_CAUSE_NONE] = "",
	[TRACE_CAUSE_MISSING] = "no shadow entry",
	[TRACE_CAUSE_FIRST_WRITE] = "no shadow entry to write by",
	[TRACE_CAUSE_PDE] = "PDE not present",
	[TRACE_CAUSE_PTE] = "PTE not present",
	[TRACE_CAUSE_READ_ONLY] = "read-only",
	[TRACE_CAUSE_SUPERVISOR] = "supervisor's",
	[TRACE_CAUSE_RESERVED] = "reserved bit",
	[TRACE_CAUSE_OUTSIDE] = "table outside memory",
	[TRACE_CAUSE_WINDOW] = "the host's window",
};

static const char *access_word(const struct trace_record *r)
{
	return r->access & UM_WRITE ? "write" : r->access & UM_FETCH ? "fetch" : "read";
}

static const char *who(const struct trace_record *r)
{
	return r->access & UM_USER ? "user" : "kernel";
}

void trace_describe(struct text *out, const struct trace_record *r)
{
	switch (r->kind) {
	case TRACE_FILL:
		if (r->cause)
			text_add(out, "%s %s: %s; ", who(r), access_word(r), cause_words[r->cause]);
		text_add(out, "now %c%c%s", r->rights & UM_USER ? 'u' : 's', r->rights & UM_WRITE ? 'w' : 'r',
		         r->flags & TRACE_GLOBAL ? " global" : "");
		break;
	case TRACE_PREFETCH:
		text_add(out, "now %c%c%s", r->rights & UM_USER ? 'u' : 's', r->rights & UM_WRITE ? 'w' : 'r',
		         r->flags & TRACE_GLOBAL ? " global" : "");
		break;
	case TRACE_FAULT:
		text_add(out, "%s %s: %s; error %04" PRIx32 ", entry %08" PRIx32, who(r), access_word(r), cause_words[r->cause],
		         r->error, r->value);
		break;
	case TRACE_WRITE:
		if (r->flags & TRACE_HOST)
			text_add(out, "by a device or the host: now %08" PRIx32, r->value);
		else
			text_add(out, "%08" PRIx32 " to %08" PRIx32, r->old, r->value);
		if (r->error > 4)
			text_add(out, ", %" PRIu32 " bytes", r->error);
		break;
	case TRACE_SWITCH:
		text_add(out, "to %08" PRIx32 ": %s", r->cr3, r->value ? "its shadow is kept" : "no shadow yet");
		break;
	case TRACE_SYNC:
		text_add(out, "%" PRIu32 " entries dropped or changed", r->value);
		break;
	case TRACE_EVICT:
		text_add(out, "a table of level %" PRIu32, r->value);
		break;
	case TRACE_MODE:
		text_add(out, "%s%s%s%s", r->value & UM_MODE_PAGING ? "paging" : "no paging", r->value & UM_MODE_WP ? " WP" : "",
		         r->value & UM_MODE_PSE ? " PSE" : "", r->value & UM_MODE_PGE ? " PGE" : "");
		break;
	case TRACE_INTERRUPT:
		text_add(out, "vector %" PRIu32 "%s", r->value, r->flags & TRACE_SOFTWARE ? " by INT" : "");
		if (r->flags & TRACE_HAS_ERROR)
			text_add(out, ", error %04" PRIx32, r->error);
		break;
	case TRACE_MMIO:
		text_add(out, "%s %s", who(r), access_word(r));
		break;
	case TRACE_ABSENT:
		text_add(out, "%s of %" PRIu32 " bytes", access_word(r), r->value);
		break;
	case TRACE_SET_PTE:
		text_add(out, "entry %08" PRIx32, r->value);
		break;
	case TRACE_SET_PDE:
		text_add(out, "index %" PRIu32, r->value);
		break;
	case TRACE_STOP:
		text_add(out, "reason %" PRIu32, r->value);
		break;
	default:
		break;
	}
}

void trace_table_head(struct text *out)
{
	text_add(out, "     seq          ms event       cr3       eip       address   what\n");
}

void trace_table_record(struct text *out, const struct trace_record *r, const struct trace_names *names)
{
	char buf[TRACE_NAME_MAX];
	text_add(out, "%8" PRIu64 " %5" PRIu64 ".%06u %-11s %08" PRIx32 " ", r->seq, r->ns / 1000000, (unsigned)(r->ns % 1000000),
	         trace_kinds[r->kind].name, r->cr3);
	if (r->flags & TRACE_HOST)
		text_add(out, "        -  ");
	else
		text_add(out, "%c%08" PRIx32 " ", r->flags & TRACE_EXACT ? ' ' : '~', r->eip);
	if (r->flags & TRACE_HAS_LINEAR)
		text_add(out, "%08" PRIx32 "  ", r->linear);
	else if (r->flags & TRACE_HAS_GPA)
		text_add(out, "p%08" PRIx64 " ", r->gpa);
	else
		text_add(out, "       -  ");
	trace_describe(out, r);
	if (!(r->flags & TRACE_HOST)) {
		const char *name = names->name(names->user, r->eip, buf, sizeof buf);
		if (*name)
			text_add(out, "  [%s]", name);
	}
	text_add(out, "\n");
}
