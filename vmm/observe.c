/* SPDX-License-Identifier: MIT */
/*
 * vmm/observe.c - who hears of what the guest does.
 *
 *   1. Telling     events, translations, interrupts, absent memory: to the log and to each observer
 *   2. Applying    what is not wanted by anybody is not asked for, and costs nothing
 *   3. Coming and going
 *   4. Changes     of the run itself, which everybody may hear of on any engine
 */
#include "vmm/internal.h"

/* ---- 1. Telling ----------------------------------------------------------------------------- */

static bool logs(const struct vm *vm, enum vm_log item)
{
	return vm->config.log && (vm->config.log_mask & item);
}

static void tell_event(void *user, const struct um_event *event)
{
	struct vm *vm = user;
	if (logs(vm, VM_LOG_SHADOW))
		log_event(vm, event);
	for (unsigned k = 0; k < vm->observers; k++)
		if (vm->observer[k]->event)
			vm->observer[k]->event(vm->observer[k]->user, event);
}

/* One that wants to be asked again is enough; the others hear it twice. */
static bool tell_access(void *user, struct cpu *cpu, const struct cpu_access *access)
{
	struct vm *vm = user;
	bool content = true;
	(void)cpu;
	for (unsigned k = 0; k < vm->observers; k++)
		if (vm->observer[k]->access)
			content &= vm->observer[k]->access(vm->observer[k]->user, access);
	return content;
}

static void tell_interrupt(void *user, struct cpu *cpu, unsigned vector, bool software, bool has_error, uint32_t error)
{
	struct vm *vm = user;
	(void)cpu;
	if (logs(vm, VM_LOG_INT))
		log_interrupt(vm, vector, software, has_error, error);
	for (unsigned k = 0; k < vm->observers; k++)
		if (vm->observer[k]->interrupt)
			vm->observer[k]->interrupt(vm->observer[k]->user, vector, software, has_error, error);
}

void tell_absent(struct vm *vm, bool write, um_gpa gpa, unsigned bytes, uint64_t value)
{
	log_absent(vm, write, gpa, bytes, value);
	for (unsigned k = 0; k < vm->observers; k++)
		if (vm->observer[k]->absent)
			vm->observer[k]->absent(vm->observer[k]->user, write, gpa, bytes);
}

void tell_replaced(struct vm *vm)
{
	for (unsigned k = 0; k < vm->observers; k++)
		if (vm->observer[k]->replaced)
			vm->observer[k]->replaced(vm->observer[k]->user);
}

/* ---- 2. Applying ---------------------------------------------------------------------------- */

void apply_observers(struct vm *vm)
{
	const struct cpu_observer observer = { .user = vm, .translated = tell_access };
	struct cpu_trace trace = { .user = vm };
	bool event = logs(vm, VM_LOG_SHADOW), access = false, interrupt = logs(vm, VM_LOG_INT);
	for (unsigned k = 0; k < vm->observers; k++) {
		event |= vm->observer[k]->event != NULL;
		access |= vm->observer[k]->access != NULL;
		interrupt |= vm->observer[k]->interrupt != NULL;
	}
	vm->um_ops.event = event ? tell_event : NULL;
	cpu_observe(vm->cpu, access ? &observer : NULL);
	if (interrupt)
		trace.interrupt = tell_interrupt;
	if (logs(vm, VM_LOG_IN_ASM))
		trace.block = log_block;
	cpu_set_trace(vm->cpu, &trace);
}

void vm_set_log(struct vm *vm, unsigned mask)
{
	if (!vm->config.log)
		vm->config.log = stderr;
	vm->config.log_mask = mask;
	apply_observers(vm);
}

unsigned vm_log_mask(const struct vm *vm)
{
	return vm->config.log_mask;
}

/* ---- 3. Coming and going -------------------------------------------------------------------- */

bool vm_observe(struct vm *vm, const struct vm_observer *observer)
{
	if (vm->observers == VM_OBSERVERS_MAX)
		return false;
	hold_portable(vm);
	vm->observer[vm->observers++] = observer;
	apply_observers(vm);
	return true;
}

void vm_unobserve(struct vm *vm, const struct vm_observer *observer)
{
	unsigned kept = 0;
	for (unsigned k = 0; k < vm->observers; k++)
		if (vm->observer[k] != observer)
			vm->observer[kept++] = vm->observer[k];
	if (kept == vm->observers)
		return;
	unsigned gone = vm->observers - kept;
	vm->observers = kept;
	apply_observers(vm);
	while (gone--)
		release_portable(vm);
}

void vm_abort(struct vm *vm, const char *why)
{
	if (!vm->aborted)
		vm->aborted = why;
	cpu_kick(vm->cpu);
}

/* ---- 4. Changes ----------------------------------------------------------------------------- */

void tell_change(struct vm *vm, enum vm_change change)
{
	for (unsigned k = 0; k < vm->listeners; k++)
		vm->listener[k]->changed(vm->listener[k]->user, change);
}

bool vm_listen(struct vm *vm, const struct vm_listener *listener)
{
	if (vm->listeners == VM_LISTENERS_MAX)
		return false;
	vm->listener[vm->listeners++] = listener;
	return true;
}

void vm_unlisten(struct vm *vm, const struct vm_listener *listener)
{
	unsigned kept = 0;
	for (unsigned k = 0; k < vm->listeners; k++)
		if (vm->listener[k] != listener)
			vm->listener[kept++] = vm->listener[k];
	vm->listeners = kept;
}
