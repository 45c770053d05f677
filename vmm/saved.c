/* SPDX-License-Identifier: MIT */
/*
 * vmm/saved.c - a machine's state as bytes, and back.
 *
 *   1. The tables    the header's and the processor's numbers
 *   2. Saving
 *   3. Restoring     check, then commit
 */
#include <inttypes.h>
#include <string.h>

#include "machine/fields.h"
#include "vmm/internal.h"

/* ---- 1. The tables -------------------------------------------------------------------------- */

#define MAGIC 0x6D76626D75756D62ull /* any number that other files do not begin with */

struct header {
	uint64_t magic;
	uint32_t digest;      /* of all tables: another version's layout has another */
	uint64_t ram_bytes;
	uint64_t now;         /* the guest's clock, ns */
};

static const struct field header_fields[] = {
	FIELD(struct header, magic, FIELD_ANY), FIELD(struct header, digest, FIELD_ANY),
	FIELD(struct header, ram_bytes, FIELD_ANY), FIELD(struct header, now, 0, UINT64_MAX / 16),
};

#define ONE(member, ...) FIELD(struct cpu_saved, member, __VA_ARGS__)
#define ALL(member, ...) FIELD_ARRAY(struct cpu_saved, member, __VA_ARGS__)
#define SEGMENT(name)                                                                                   \
	ONE(state.name.selector, FIELD_ANY), ONE(state.name.attr, FIELD_ANY), ONE(state.name.base, FIELD_ANY), \
	        ONE(state.name.limit, FIELD_ANY)

static const struct field cpu_fields[] = {
	ALL(state.gpr, FIELD_ANY), ONE(state.eip, FIELD_ANY), ONE(state.eflags, FIELD_ANY),
	FIELD_EACH(struct cpu_saved, state.seg, selector, FIELD_ANY),
	FIELD_EACH(struct cpu_saved, state.seg, attr, FIELD_ANY),
	FIELD_EACH(struct cpu_saved, state.seg, base, FIELD_ANY),
	FIELD_EACH(struct cpu_saved, state.seg, limit, FIELD_ANY),
	SEGMENT(ldtr), SEGMENT(tr),
	ONE(state.gdtr.base, FIELD_ANY), ONE(state.gdtr.limit, FIELD_ANY), ONE(state.idtr.base, FIELD_ANY),
	ONE(state.idtr.limit, FIELD_ANY), ONE(state.cr0, FIELD_ANY), ONE(state.cr2, FIELD_ANY),
	ONE(state.cr3, FIELD_ANY), ONE(state.cr4, FIELD_ANY), ALL(state.dr, FIELD_ANY),
	ONE(state.sysenter_cs, FIELD_ANY), ONE(state.sysenter_esp, FIELD_ANY), ONE(state.sysenter_eip, FIELD_ANY),
	ALL(state.fxsave, FIELD_ANY), ONE(state.halted, FIELD_BOOL), ONE(state.interrupt_shadow, FIELD_BOOL),
	ONE(nmi_pending, FIELD_BOOL), ONE(nmi_blocked, FIELD_BOOL), ONE(inhibit_debug, FIELD_BOOL),
	ALL(misc_msr, FIELD_ANY),
	/* (vector + 1, so that none is 0) */
	ONE(undelivered.vector, 0, 256), ONE(undelivered.has_error, FIELD_BOOL),
	ONE(undelivered.software, FIELD_BOOL), ONE(undelivered.external, FIELD_BOOL),
	ONE(undelivered.error, FIELD_ANY), ONE(undelivered.eip, FIELD_ANY),
};
#define HEADER_FIELDS (sizeof header_fields / sizeof header_fields[0])
#define CPU_FIELDS (sizeof cpu_fields / sizeof cpu_fields[0])

static size_t header_bytes(void)
{
	return fields_bytes(header_fields, HEADER_FIELDS);
}

static size_t cpu_bytes(void)
{
	return fields_bytes(cpu_fields, CPU_FIELDS);
}

static uint32_t layout(void)
{
	return machine_saved_digest(fields_digest(cpu_fields, CPU_FIELDS, 2166136261u));
}

/* ---- 2. Saving ------------------------------------------------------------------------------ */

size_t vm_saved_bytes(const struct vm *vm)
{
	return vm->machine ? header_bytes() + cpu_bytes() + machine_saved_bytes() : 0;
}

void vm_save(struct vm *vm, uint8_t *to)
{
	struct header header = { .magic = MAGIC, .digest = layout(), .ram_bytes = vm->ram_bytes };
	struct cpu_saved cpu;
	vm_console_flush(vm);
	header.now = vm_now(vm);
	cpu_save(vm->cpu, &cpu);
	cpu.undelivered.vector++;
	fields_save(header_fields, HEADER_FIELDS, &header, to);
	to += header_bytes();
	fields_save(cpu_fields, CPU_FIELDS, &cpu, to);
	machine_save(vm->machine, to + cpu_bytes());
}

/* ---- 3. Restoring --------------------------------------------------------------------------- */

static bool refuse(struct guest_error *error, const char *why, const char *what)
{
	snprintf(error->text, sizeof error->text, "%s%s", why, what);
	return false;
}

static bool check(const struct vm *vm, const uint8_t *from, size_t bytes, struct guest_error *error)
{
	struct header header;
	if (!vm->machine)
		return refuse(error, "this machine's devices cannot be saved", "");
	if (bytes < header_bytes())
		return refuse(error, "the saved state is too short", "");
	fields_load(header_fields, HEADER_FIELDS, from, &header);
	if (header.magic != MAGIC)
		return refuse(error, "that is no saved state", "");
	if (header.digest != layout() || bytes != vm_saved_bytes(vm))
		return refuse(error, "it was saved by another version of umbra", "");
	if (header.ram_bytes != vm->ram_bytes) {
		snprintf(error->text, sizeof error->text, "it was saved with -m %" PRIu64 ", this machine has %" PRIu64,
		         header.ram_bytes >> 20, vm->ram_bytes >> 20);
		return false;
	}
	const uint8_t *cpu = from + header_bytes();
	const char *wrong = fields_check(header_fields, HEADER_FIELDS, from);
	if (!wrong)
		wrong = fields_check(cpu_fields, CPU_FIELDS, cpu);
	if (!wrong)
		wrong = machine_check_saved(cpu + cpu_bytes());
	return !wrong || refuse(error, "it is damaged: no machine could have this: ", wrong);
}

static void restore_clock(struct vm *vm, uint64_t now)
{
	vm->now = now;
	vm->host_seen = host_now();
	vm->lag = vm->sleep_end = vm->woke_at = vm->quiet_since = 0;
	vm->idle_wakes = 0;
	rest_engine(vm); /* its timer was set by the other clock */
}

bool vm_restore(struct vm *vm, const uint8_t *from, size_t bytes,
                bool (*read_ram)(void *user, uint8_t *ram, uint64_t bytes, struct guest_error *error), void *user,
                struct guest_error *error)
{
	struct header header;
	struct cpu_saved cpu;
	if (!check(vm, from, bytes, error))
		return false;
	empty_ram(vm);
	if (!read_ram(user, vm->ram, vm->ram_bytes, error)) {
		struct guest_error second;
		reset_vm(vm, &second);
		return false;
	}
	fields_load(header_fields, HEADER_FIELDS, from, &header);
	fields_load(cpu_fields, CPU_FIELDS, from + header_bytes(), &cpu);
	cpu.undelivered.vector--;
	restore_clock(vm, header.now);
	machine_restore(vm->machine, from + header_bytes() + cpu_bytes());
	ram_replaced(vm);
	cpu_restore(vm->cpu, &cpu);
	debug_forget_end(vm);
	return true;
}
