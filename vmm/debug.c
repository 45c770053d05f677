/* SPDX-License-Identifier: MIT */
/*
 * vmm/debug.c - a debugger of the guest, as the loop has it.
 *
 *   1. Stopping      the vm is paused, then the debugger hears of it
 *   2. Ends          a guest that cannot go on is shown before its run ends, or kept
 *   3. Asking        breakpoints and steps; while there are any, the portable engine runs
 *   4. Coming and going
 */
#include "vmm/internal.h"

/* ---- 1. Stopping ---------------------------------------------------------------------------- */

/* The engine that knows breakpoints, while there are any. */
static void apply(struct vm *vm)
{
	bool needed = vm->stepping || cpu_breakpoints(vm->cpu);
	if (needed == vm->debug_holds)
		return;
	vm->debug_holds = needed;
	if (needed)
		hold_portable(vm);
	else
		release_portable(vm);
}

static void end_step(struct vm *vm)
{
	vm->stepping = false;
	cpu_set_step(vm->cpu, false);
	apply(vm);
}

static void tell(struct vm *vm, const struct vm_stop *stop)
{
	vm_pause(vm, true);
	vm->pause_untold = false;
	end_step(vm);
	vm->debugger->stopped(vm->debugger->user, stop);
}

void debug_paused(struct vm *vm)
{
	const struct vm_stop stop = { .reason = VM_STOP_PAUSED };
	if (vm->debugger && vm->pause_untold)
		tell(vm, &stop);
}

bool debug_stopped(struct vm *vm)
{
	static const enum vm_stop_reason reasons[] = {
		[CPU_STOP_STEP] = VM_STOP_STEP,
		[CPU_STOP_BREAKPOINT] = VM_STOP_BREAKPOINT,
		[CPU_STOP_WATCHPOINT] = VM_STOP_WATCHPOINT,
	};
	struct vm_stop stop = { 0 };
	if (!vm->debugger)
		return false;
	cpu_get_stop(vm->cpu, &stop.at);
	stop.reason = reasons[stop.at.reason];
	tell(vm, &stop);
	return true;
}

/* ---- 2. Ends -------------------------------------------------------------------------------- */

/* Is there anything by which a kept machine could be looked at, or left? */
static bool anyone_looks(const struct vm *vm)
{
	return console_listens(&vm->console) || vm->descriptors;
}

bool vm_kept_end(const struct vm *vm, enum vm_end *end)
{
	*end = vm->end_shown;
	return vm->config.keep_ends && vm->end_is_shown;
}

bool debug_keeps(struct vm *vm, enum vm_end end)
{
	const struct vm_stop stop = { .reason = VM_STOP_END, .why = vm->words };
	bool broken = end == VM_SHUTDOWN || end == VM_STUCK || end == VM_KILLED || end == VM_CRASHED;
	bool keeps = vm->config.keep_ends && (broken || end == VM_POWER_OFF || end == VM_RESET) && anyone_looks(vm);
	if (!keeps && (!vm->debugger || !broken))
		return false;
	vm->end_shown = end;
	vm->end_is_shown = true;
	if (keeps)
		tell_change(vm, VM_CHANGE_ENDED);
	if (vm->debugger)
		tell(vm, &stop);
	else
		vm_pause(vm, true);
	return true;
}

void vm_let_end(struct vm *vm)
{
	vm->let_end = vm->end_is_shown;
	vm_pause(vm, false);
}

void debug_forget_end(struct vm *vm)
{
	vm->end_is_shown = vm->let_end = false;
}

bool debug_ends(struct vm *vm, enum vm_end *end)
{
	if (vm_kept_end(vm, end))
		return !anyone_looks(vm);
	if (!vm->let_end || vm->paused)
		return false;
	debug_forget_end(vm);
	return true;
}

/* ---- 3. Asking ------------------------------------------------------------------------------ */

bool vm_add_breakpoint(struct vm *vm, const struct cpu_breakpoint *breakpoint)
{
	bool added = vm->debugger && cpu_add_breakpoint(vm->cpu, breakpoint);
	apply(vm);
	return added;
}

bool vm_remove_breakpoint(struct vm *vm, const struct cpu_breakpoint *breakpoint)
{
	bool removed = cpu_remove_breakpoint(vm->cpu, breakpoint);
	apply(vm);
	return removed;
}

bool vm_step(struct vm *vm)
{
	if (!vm->debugger)
		return false;
	vm->stepping = true;
	cpu_set_step(vm->cpu, true);
	apply(vm);
	vm_pause(vm, false);
	return true;
}

/* ---- 4. Coming and going -------------------------------------------------------------------- */

bool vm_attach_debugger(struct vm *vm, const struct vm_debugger *debugger)
{
	if (vm->debugger)
		return false;
	vm->debugger = debugger;
	return true;
}

void vm_detach_debugger(struct vm *vm, const struct vm_debugger *debugger)
{
	if (vm->debugger != debugger)
		return;
	vm->debugger = NULL;
	vm->stepping = false;
	cpu_forget_debugger(vm->cpu);
	apply(vm);
}
