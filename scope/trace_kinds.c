/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_kinds.c - the words of a trace: kinds, causes, names of addresses; filters.
 */
#include "scope/trace.h"

#include <inttypes.h>
#include <string.h>

const struct trace_kind_info trace_kinds[TRACE_KINDS] = {
	[TRACE_FILL] = { "fill", "the shadow had no entry, and built one", NULL, false, true },
	[TRACE_PREFETCH] = { "prefetch", "a neighbour of it was built ahead", NULL, false, true },
	[TRACE_FAULT] = { "fault", "the guest's own page fault", "entry", true, true },
	[TRACE_WRITE] = { "table-write", "a shadowed page table was written", "new", true, true },
	[TRACE_UNSYNC] = { "unsync", "a busy page table is left to itself", NULL, false, true },
	[TRACE_SYNC] = { "sync", "... and brought back in step", "changed", false, true },
	[TRACE_SET_PTE] = { "set-pte", "the guest told of an entry", "entry", true, true },
	[TRACE_SET_PDE] = { "set-pde", "the guest told of a directory entry", "index", false, true },
	[TRACE_SWITCH] = { "switch", "another address space", "hit", false, true },
	[TRACE_FLUSH_USER] = { "flush-user", "the user half was flushed", NULL, false, true },
	[TRACE_FLUSH_ALL] = { "flush-all", "everything was flushed", NULL, false, true },
	[TRACE_FLUSH_PAGE] = { "flush-page", "one page was flushed", NULL, false, true },
	[TRACE_EVICT] = { "evict", "a shadow table made room for another", "level", false, true },
	[TRACE_FORGET] = { "forget", "the host took a page back", NULL, false, true },
	[TRACE_STOP] = { "stop", "the guest broke its interface", "reason", false, true },
	[TRACE_MODE] = { "mode", "paging, WP, PSE or PGE changed", "mode", true, true },
	[TRACE_INTERRUPT] = { "interrupt", "an exception or interrupt is delivered", "vector", false, false },
	[TRACE_MMIO] = { "mmio", "a device's memory was accessed", NULL, false, false },
	[TRACE_ABSENT] = { "absent", "memory that is not there was accessed", "bytes", false, false },
};

const char *const trace_causes[TRACE_CAUSES] = {
	[TRACE_CAUSE_NONE] = "",
	[TRACE_CAUSE_MISSING] = "missing",
	[TRACE_CAUSE_FIRST_WRITE] = "missing-or-read-only",
	[TRACE_CAUSE_PDE] = "pde-not-present",
	[TRACE_CAUSE_PTE] = "pte-not-present",
	[TRACE_CAUSE_READ_ONLY] = "read-only",
	[TRACE_CAUSE_SUPERVISOR] = "supervisor-only",
	[TRACE_CAUSE_RESERVED] = "reserved-bit",
	[TRACE_CAUSE_OUTSIDE] = "table-outside-memory",
	[TRACE_CAUSE_WINDOW] = "window",
};

static const char *from_symbols(const void *symbols, uint32_t eip, char *buf, size_t bytes)
{
	return symbols_name(symbols, eip, buf, bytes);
}

static const char *from_nothing(const void *user, uint32_t eip, char *buf, size_t bytes)
{
	(void)user, (void)eip;
	if (bytes)
		buf[0] = 0;
	return "";
}

struct trace_names trace_symbols(const struct symbols *symbols)
{
	return (struct trace_names){ symbols ? from_symbols : from_nothing, symbols };
}

/* ---- Filters -------------------------------------------------------------------------------- */

void trace_filter_default(struct trace_filter *f)
{
	*f = (struct trace_filter){ .to = UINT32_MAX };
	for (unsigned kind = 0; kind < TRACE_KINDS; kind++)
		f->kinds |= trace_kinds[kind].usual ? 1u << kind : 0;
}

bool trace_filter_takes(const struct trace_filter *f, const struct trace_record *r)
{
	if (!(f->kinds & 1u << r->kind) || (f->has_cr3 && (f->cr3 ^ r->cr3) & ~0xFFFu))
		return false;
	return !(r->flags & TRACE_HAS_LINEAR) || (r->linear >= f->from && r->linear <= f->to);
}

void trace_filter_print(const struct trace_filter *f, struct text *out)
{
	struct trace_filter usual;
	const char *between = "events=";
	trace_filter_default(&usual);
	if (f->kinds == usual.kinds)
		text_add(out, "events=usual");
	else if (f->kinds == (1u << TRACE_KINDS) - 1)
		text_add(out, "events=all");
	else
		for (unsigned kind = 0; kind < TRACE_KINDS; kind++)
			if (f->kinds & 1u << kind) {
				text_add(out, "%s%s", between, trace_kinds[kind].name);
				between = "+";
			}
	if (f->has_cr3)
		text_add(out, ",cr3=0x%08" PRIx32, f->cr3);
	if (f->from || f->to != UINT32_MAX)
		text_add(out, ",from=0x%08" PRIx32 ",to=0x%08" PRIx32, f->from, f->to);
}
