/* SPDX-License-Identifier: MIT */
/*
 * vmm/vm.c - the life of a virtual machine.
 *
 *   1. Making      vm_new: memory, devices, shadow, processor, engine, guest, in this order
 *   2. Resetting   reset_vm
 *   3. Freeing     vm_free, of a half-made machine too
 *   4. Looking     accessors
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/internal.h"

static const struct board_ops *const boards[] = { [VM_PC] = &board_pc, [VM_LGUEST] = &board_lguest };

/* ---- 1. Making ------------------------------------------------------------------------------ */

static bool fail(struct guest_error *error, const char *text)
{
	snprintf(error->text, sizeof error->text, "%s", text);
	return false;
}

static bool make_shadow(struct vm *vm, struct guest_error *error)
{
	const struct vm_config *c = &vm->config;
	struct um_config config = {
		.ops = &vm->um_ops,
		.user = vm,
		.format = &um_format_i386,
		.learn = UM_LEARN_TRACKED,
		.options = c->um_options,
		.max_gfn = vm->board->max_gfn ? vm->board->max_gfn : vm->ram_bytes >> UM_PAGE_SHIFT,
		.max_tables = c->max_tables ? c->max_tables : DEFAULT_TABLES,
		.max_roots = c->max_roots ? c->max_roots : DEFAULT_ROOTS,
		.prefetch = c->prefetch ? c->prefetch : DEFAULT_PREFETCH,
	};
	make_um_ops(vm, vm->ram_fd >= 0);
	vm->um_bytes = um_size(&config);
	if (!vm->um_bytes)
		return fail(error, "the numbers of shadow tables, roots or prefetched entries are out of range");
	if (!make_slab(&vm->tables, config.max_tables))
		return fail(error, "the host has no memory for shadow tables");
	/* Mapped, not allocated: the core's tables per guest frame cost memory where they are used only. */
	void *memory = mmap(NULL, vm->um_bytes, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return fail(error, "the host has no memory for the shadow");
	vm->um_memory = memory;
	if (c->record && !(vm->recorder = recorder_new(c->record, &config)))
		return fail(error, "the host has no memory for recording");
	if (um_init(memory, &config, &vm->um) != UM_OK)
		return fail(error, "the shadow refuses its configuration");
	return true;
}

static bool make_parts(struct vm *vm, struct guest_error *error)
{
	if (!vm->board->make(vm, error) || !make_shadow(vm, error))
		return false;
	struct cpu_config cpu = {
		.um = vm->um,
		.options = vm->config.cpu_options,
		.ram = vm->ram,
		.ram_bytes = vm->mapped_bytes,
		.tsc_hz = TSC_HZ,
	};
	vm->board->connect(vm, &cpu);
	vm->cpu = cpu_new(&cpu);
	if (!vm->cpu)
		return fail(error, "the host has no memory for the processor");
	return make_engine(vm, error) && (!vm->board->join || vm->board->join(vm, error));
}

struct vm *vm_new(const struct vm_config *config, struct guest_error *error)
{
	struct vm *vm = calloc(1, sizeof *vm);
	error->text[0] = 0;
	if (!vm) {
		fail(error, "the host has no memory for the machine");
		return NULL;
	}
	vm->config = *config;
	vm->board = boards[config->board];
	vm->console.fd.in = vm->console.fd.out = -1;
	vm->ram_fd = -1;
	atomic_init(&vm->thread, 0);
	vm->host_seen = host_now();
	vm->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	atomic_init(&vm->kicked, false);
	if (vm->wake < 0)
		fail(error, "the host has no file descriptor left");
	if (vm->wake < 0 || !map_ram(vm, error) || !make_parts(vm, error) || !vm->board->load(vm, error)) {
		vm_free(vm);
		return NULL;
	}
	apply_observers(vm);
	open_console(&vm->console, &config->console);
	vm_pause(vm, config->paused);
	return vm;
}

/* ---- 2. Resetting --------------------------------------------------------------------------- */

bool reset_vm(struct vm *vm, struct guest_error *error)
{
	vm->board->reset(vm);
	empty_ram(vm);
	ram_replaced(vm);
	vm->quiet_since = 0;
	return vm->board->load(vm, error);
}

void vm_reset(struct vm *vm)
{
	enum vm_end kept;
	vm->reset_wanted = true;
	vm->reset_anew = vm_kept_end(vm, &kept);
	debug_forget_end(vm);
	if (vm->reset_anew && !vm->debugger)
		vm_pause(vm, false);
	cpu_kick(vm->cpu);
}

/* A paravirtual guest's host has the vector for itself. */
bool vm_nmi(struct vm *vm)
{
	if (vm->config.board != VM_PC)
		return false;
	cpu_pulse_nmi(vm->cpu);
	return true;
}

/* ---- 3. Freeing ----------------------------------------------------------------------------- */

void vm_free(struct vm *vm)
{
	if (!vm)
		return;
	close_console(&vm->console);
	/* The core calls back while it is taken down; the processor need not hear of it any more. */
	free_engine(vm);
	if (vm->cpu)
		cpu_free(vm->cpu);
	vm->cpu = NULL;
	if (vm->um) {
		vm_end_recording(vm, NULL);
		um_destroy(vm->um);
	}
	if (vm->recorder)
		recorder_free(vm->recorder);
	if (vm->um_memory)
		munmap(vm->um_memory, vm->um_bytes);
	free_slab(&vm->tables);
	vm->board->free(vm);
	unmap_ram(vm);
	if (vm->wake >= 0)
		close(vm->wake);
	free(vm);
}

/* ---- 4. Looking ----------------------------------------------------------------------------- */

struct cpu *vm_cpu(struct vm *vm)
{
	return vm->cpu;
}

const uint8_t *vm_ram(const struct vm *vm)
{
	return vm->ram;
}

uint64_t vm_ram_bytes(const struct vm *vm)
{
	return vm->ram_bytes;
}

struct um *vm_shadow(struct vm *vm)
{
	return vm->um;
}

struct machine *vm_machine(struct vm *vm)
{
	return vm->machine;
}

struct lguest *vm_lguest(struct vm *vm)
{
	return board_lguest_host(vm);
}

uint32_t vm_exit_code(const struct vm *vm)
{
	return vm->machine ? machine_exit_code(vm->machine) : 0;
}

const char *vm_last_words(struct vm *vm)
{
	return vm->words;
}

int vm_end_recording(struct vm *vm, uint64_t *operations)
{
	if (!vm->recorder)
		return 0;
	recorder_finish(vm->recorder, vm->um);
	return recorder_error(vm->recorder, operations);
}

bool vm_is_paused(const struct vm *vm)
{
	return vm->paused;
}

void vm_pause(struct vm *vm, bool paused)
{
	enum vm_end kept;
	if (paused == vm->paused)
		return;
	if (!paused && vm_kept_end(vm, &kept)) {
		vm->pause_untold = true; /* a debugger hears that it stopped again at once */
		return;
	}
	if (paused)
		vm_now(vm);
	else
		vm->host_seen = host_now();
	vm->paused = paused;
	if (paused && vm->cpu)
		cpu_kick(vm->cpu);
	tell_change(vm, paused ? VM_CHANGE_PAUSED : VM_CHANGE_RESUMED);
	vm->pause_untold = paused;
}
