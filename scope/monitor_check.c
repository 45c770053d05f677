/* SPDX-License-Identifier: MIT */
/* scope/monitor_check.c - the monitor's check: what -check has found so far. */
#include "scope/check.h"
#include "scope/commands.h"

void command_check(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix;
	if (*rest)
		monitor_refuse(scope, out, "check takes no arguments, but got '%.40s'", rest);
	else if (!scope->check)
		monitor_refuse(scope, out, "check: nothing is checked: umbra run -check LIST does");
	else
		check_describe(scope->check, false, out);
}

void command_check_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	if (*rest || !scope->check)
		command_check(scope, suffix, rest, out);
	else
		check_describe(scope->check, true, out);
}
