/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_control.c - the monitor's commands that stop the guest, let it go on, or change how it runs.
 *
 *   1. Running     stop, cont, step, quit
 *   2. Buttons     reset, power, NMI
 *   3. The rest    engine, log
 */
#include <string.h>

#include "scope/commands.h"

/* ---- 1. Running ------------------------------------------------------------------------------ */

void command_stop(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest, (void)out;
	vm_pause(scope->vm, true);
}

void command_cont(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	enum vm_end end;
	(void)suffix, (void)rest;
	if (vm_kept_end(scope->vm, &end))
		monitor_refuse(scope, out, "the guest has ended: system_reset starts it anew, quit leaves");
	else
		vm_pause(scope->vm, false);
}

#define STEPS_MAX 1000000u /* at a time: how long a command may take */

#define KICKS 16u          /* that end a slice before its instruction, in one command */

static void stopped_stepping(void *user, const struct vm_stop *stop)
{
	(void)user, (void)stop; /* only vm_run() tells, and it does not run */
}

/* Returns how many instructions it were; *why: what ended it early, or NULL. */
static uint32_t step_guest(struct vm *vm, uint32_t count, const char **why)
{
	uint32_t done = 0;
	*why = NULL;
	for (uint32_t tries = 0; done < count && !*why && tries < count + KICKS; tries++) {
		cpu_set_step(vm_cpu(vm), true);
		switch (cpu_run(vm_cpu(vm), 1)) {
		case CPU_EXIT_DEBUG:
		case CPU_EXIT_BUDGET:
			done++;
			break;
		case CPU_EXIT_HALTED:
			*why = "the processor is halted: only an interrupt wakes it";
			break;
		case CPU_EXIT_SHUTDOWN:
			*why = "triple fault: cont ends the run";
			break;
		case CPU_EXIT_STOP:
		case CPU_EXIT_NOMEM:
			*why = "the shadow refuses to go on: cont says why";
			break;
		case CPU_EXIT_KICKED: /* a kick of before, or somebody's who wants the loop to look around: it will */
			break;
		case CPU_EXIT_HOST:
			*why = "the guest asked for something that takes cont";
			break;
		}
	}
	cpu_set_step(vm_cpu(vm), false);
	return done;
}

/* Here and now, while the vm is paused: the guest's clocks stand still, and no interrupt is taken. */
void command_step(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	const struct vm_debugger ours = { .stopped = stopped_stepping };
	struct cpu_state s;
	const char *why;
	uint32_t count = 1;
	(void)suffix;
	if (*rest && !monitor_value(scope, rest, &count, out))
		return;
	if (count == 0 || count > STEPS_MAX) {
		monitor_refuse(scope, out, "step [N]: 1 to %u instructions", STEPS_MAX);
		return;
	}
	if (!vm_is_paused(scope->vm)) {
		monitor_refuse(scope, out, "the guest runs: stop it first");
		return;
	}
	if (!vm_attach_debugger(scope->vm, &ours)) {
		monitor_refuse(scope, out, "a debugger is connected: it steps");
		return;
	}
	uint32_t done = step_guest(scope->vm, count, &why);
	vm_detach_debugger(scope->vm, &ours);
	if (!done) {
		monitor_refuse(scope, out, "%s", why ? why : "nothing was executed");
		return;
	}
	scope->ran = true;
	if (why)
		text_add(out, "(after %u instructions: %s)\n", done, why);
	cpu_get_state(vm_cpu(scope->vm), &s);
	show_code(scope, s.seg[CPU_CS].base + s.eip, out);
}

void command_quit(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest, (void)out;
	scope->leave = true;
	vm_kick(scope->vm);
}

/* ---- 2. Buttons ----------------------------------------------------------------------------- */

void command_reset(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest, (void)out;
	scope->reset_asked = true;
	vm_reset(scope->vm);
}

void command_powerdown(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	monitor_refuse(scope, out, "this machine has no power button: shut the guest down from inside, or quit");
}

void command_nmi(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	if (!vm_nmi(scope->vm))
		monitor_refuse(scope, out, "this machine has no NMI: its host has the vector for itself");
}

/* ---- 3. The rest ---------------------------------------------------------------------------- */

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

/* The names are those of -d. */
void command_log(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	static const struct {
		const char *name;
		unsigned bits;
	} items[] = {
		{ "none", 0 }, { "int", VM_LOG_INT }, { "in_asm", VM_LOG_IN_ASM }, { "shadow", VM_LOG_SHADOW },
		{ "unimp", VM_LOG_UNIMP },
	};
	enum { ITEMS = sizeof items / sizeof items[0] };
	unsigned mask = 0;
	(void)suffix;
	for (const char *at = rest; *rest; at++) {
		size_t length = strcspn(at, ","), k = 0;
		while (k < ITEMS && (strlen(items[k].name) != length || strncmp(items[k].name, at, length) != 0))
			k++;
		if (k == ITEMS) {
			monitor_refuse(scope, out, "log LIST: none, or int, in_asm, shadow, unimp with commas between");
			return;
		}
		mask |= items[k].bits;
		at += length;
		if (!*at)
			break;
	}
	if (*rest)
		vm_set_log(scope->vm, mask);
	mask = vm_log_mask(scope->vm);
	text_add(out, "logged:");
	for (size_t k = 0; k < ITEMS; k++)
		if (mask ? mask & items[k].bits : k == 0)
			text_add(out, " %s", items[k].name);
	text_add(out, "\n");
}
