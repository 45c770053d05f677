/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_pt.c - the monitor's commands that show page tables.
 *
 *   1. pt                  with the words of `umbra pt`
 *   2. info mem, tlb, pg   the same for those who know QEMU's and Bochs' monitors
 */
#include "scope/commands.h"
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

/* ---- 2. info mem, tlb, pg ------------------------------------------------------------------- */

void info_mem(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	run_pt(scope, "--merge", out);
}

void info_tlb(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	run_pt(scope, "", out);
}

void info_pg(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct space space;
	char why[256];
	(void)suffix, (void)rest;
	space_of_vm(&space, scope->vm, scope->symbols);
	if (!pt_entries(&space, out, why, sizeof why))
		monitor_refuse(scope, out, "info pg: %s", why);
}
