/* SPDX-License-Identifier: MIT */
/*
 * scope/html.h - one self-contained page to look at: an address space, a trace, what was found.
 *
 *   1. Data      what the page shows, as JSON
 *   2. The page
 *
 * The page needs no network and no other file.  Whatever is in the data - names come from the guest - it cannot end the
 * element that it stands in, and the page puts it in place as text, never as markup.
 */
#ifndef SCOPE_HTML_H
#define SCOPE_HTML_H

#include <stdbool.h>
#include <stddef.h>

#include "scope/space.h"
#include "scope/text.h"
#include "scope/trace.h"

/* ---- 1. Data -------------------------------------------------------------------------------- */

/* Shadow entries in runs; a shadow of more (random tables) is cut there and the page says so. */
#define HTML_SHADOW_RUNS 100000u
/* The last so many of a trace; a page of more could not be moved through. */
#define HTML_EVENTS 50000u

/* An address space: each page's class in runs, the guest's entries table by table, the shadow's entries in runs.  One
 * JSON object, 16 MiB at most.  false: `why`, a line. */
bool html_map(const struct space *space, struct text *out, char *why, size_t bytes);
void html_trace(const struct trace_log *log, struct text *out);

/* ---- 2. The page ---------------------------------------------------------------------------- */

/* Each a JSON value, or NULL: the page goes without. */
struct html_parts {
	const char *map;     /* html_map()'s */
	const char *trace;   /* html_trace()'s */
	const char *checks;  /* check_describe()'s JSON */
	/* Not JSON: what it is a picture of, and of when (seconds since 1970; 0: not known). */
	const char *source;
	int64_t when;
};
/* (TEXT_LIMIT holds the largest page.) */
void html_page(const struct html_parts *parts, struct text *out);
/* When a file was last written; 0: not known. */
int64_t html_file_time(const char *path);
/* ... into a file.  false: `why`, a line. */
bool html_write(const struct html_parts *parts, const char *path, char *why, size_t bytes);

#endif
