/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_control.c - the monitor's commands that stop the guest, let it go on, or change how it runs.
 */
#include <string.h>

#include "scope/commands.h"

void command_stop(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest, (void)out;
	vm_pause(scope->vm, true);
}

void command_cont(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest, (void)out;
	vm_pause(scope->vm, false);
}

void command_engine(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	bool direct = strcmp(rest, "direct") == 0;
	(void)suffix;
	if (*rest && !direct && strcmp(rest, "portable") != 0) {
		monitor_refuse(scope, out, "engine, engine direct or engine portable");
		return;
	}
	if (*rest && !vm_set_engine(scope->vm, direct ? VM_ENGINE_DIRECT : VM_ENGINE_PORTABLE)) {
		monitor_refuse(scope, out, "%s", vm_engine_reason(scope->vm));
		return;
	}
	text_add(out, "the %s engine runs the guest\n",
	         vm_get_engine(scope->vm) == VM_ENGINE_DIRECT ? "direct" : "portable");
}

void command_quit(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest, (void)out;
	scope->leave = true;
	vm_kick(scope->vm);
}
