/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_pt.c - the monitor's commands that show page tables.
 *
 *   1. pt                  with the words of `umbra pt`
 *   2. info pg             the entries by index
 *   3. dump-guest-memory   all of it into a file
 */
#include <string.h>

#include "scope/commands.h"
#include "scope/dump.h"
#include "scope/pt.h"

/* ---- 1. pt ---------------------------------------------------------------------------------- */

static void run_pt(struct scope *scope, const char *line, struct text *out)
{
	struct space space;
	char why[256];
	space_of_vm(&space, scope->vm, scope->symbols);
	if (!pt_line(&space, line, out, why, sizeof why))
		monitor_refuse(scope, out, "pt: %s", why);
}

void command_pt(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix;
	run_pt(scope, rest, out);
}

void command_pt_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct text line = { .limit = MONITOR_LINE * 2 };
	(void)suffix;
	text_add(&line, "%s --json", rest);
	run_pt(scope, text_string(&line), out);
	text_free(&line);
}

/* ---- 2. info pg ------------------------------------------------------------------------------ */

void info_pg(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct space space;
	char why[256];
	(void)suffix, (void)rest;
	space_of_vm(&space, scope->vm, scope->symbols);
	if (!pt_entries(&space, out, why, sizeof why))
		monitor_refuse(scope, out, "info pg: %s", why);
}

/* ---- 3. dump-guest-memory ------------------------------------------------------------------- */

/* The whole rest is the file's name, blanks included; QMP's form of it is taken too. */
void command_dump(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	char why[512];
	(void)suffix;
	if (strncmp(rest, "file:", 5) == 0)
		rest += 5;
	if (!*rest || *rest == '-')
		monitor_refuse(scope, out, "dump-guest-memory FILE: it takes no options");
	else if (!dump_write(scope->vm, rest, NULL, 0, why, sizeof why))
		monitor_refuse(scope, out, "dump-guest-memory: %s", why);
}
