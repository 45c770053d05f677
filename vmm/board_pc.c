/* SPDX-License-Identifier: MIT */
/*
 * vmm/board_pc.c - the PC: machine/ behind the processor's bus.
 *
 *   1. Devices       interrupt line, A20, serial output, clocks
 *   2. Processor     ports, absent memory, interrupt acknowledge, RDTSC
 *   3. The board
 *
 * Every call that lets the guest see the world, or the world the guest, counts in vm->outside: a guest that
 * makes none is a closed system (stuck.c).
 */
#include <stdio.h>

#include "vmm/internal.h"

/* ---- 1. Devices ----------------------------------------------------------------------------- */

static uint64_t device_now(void *user)
{
	return vm_now(user);
}

static uint64_t wall_clock(void *user)
{
	return read_wall_clock(user) / 1000000000u;
}

static void irq(void *user, bool level)
{
	struct vm *vm = user;
	if (vm->cpu)
		cpu_set_irq(vm->cpu, level);
}

static void a20(void *user, bool enabled)
{
	struct vm *vm = user;
	if (vm->cpu)
		set_a20(vm, enabled);
}

static size_t serial_out(void *user, const uint8_t *bytes, size_t count)
{
	struct vm *vm = user;
	return console_put(&vm->console, bytes, count);
}

static void debug_out(void *user, uint8_t byte)
{
	struct vm *vm = user;
	console_put(&vm->console, &byte, 1);
}

static bool make(struct vm *vm, struct guest_error *error)
{
	const struct machine_config config = {
		.user = vm,
		.now = device_now,
		.wall_clock = wall_clock,
		.irq = irq,
		.a20 = a20,
		.serial_out = serial_out,
		.debug_out = debug_out,
		.ram_bytes = vm->ram_bytes,
		.debug_exit_port = vm->config.debug_exit_port,
	};
	vm->machine = machine_new(&config);
	if (!vm->machine)
		snprintf(error->text, sizeof error->text, "the host has no memory for the devices");
	return vm->machine != NULL;
}

/* ---- 2. Processor --------------------------------------------------------------------------- */

static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	struct vm *vm = user;
	vm->outside++;
	return machine_port_in(vm->machine, port, bytes);
}

static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	struct vm *vm = user;
	vm->outside++;
	machine_port_out(vm->machine, port, bytes, value);
	/* A request ends the slice at once: the guest does not run on past its own power-off. */
	if (machine_requested(vm->machine) != MACHINE_RUN)
		cpu_kick(vm->cpu);
	deadline_moved(vm);
}

static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes)
{
	struct vm *vm = user;
	vm->outside++;
	return read_bus(vm, gpa, bytes);
}

static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	struct vm *vm = user;
	vm->outside++;
	write_bus(vm, gpa, bytes, value);
}

static int ack_irq(void *user)
{
	struct vm *vm = user;
	vm->outside++;
	return machine_ack_irq(vm->machine);
}

static void connect_bus(struct vm *vm, struct cpu_config *config)
{
	config->bus = (struct cpu_bus){
		.user = vm,
		.port_in = port_in,
		.port_out = port_out,
		.mmio_read = mmio_read,
		.mmio_write = mmio_write,
		.ack_irq = ack_irq,
		.tsc = read_tsc,
	};
}

/* ---- 3. The board --------------------------------------------------------------------------- */

static bool load(struct vm *vm, struct guest_error *error)
{
	struct guest_request request = vm->config.guest;
	struct cpu_state start;
	enum image_kind kind;
	request.ram = vm->ram;
	request.ram_bytes = vm->ram_bytes;
	if (!guest_load(&request, &start, &kind, error))
		return false;
	ram_replaced(vm);
	cpu_set_state(vm->cpu, &start);
	return true;
}

static void reset(struct vm *vm)
{
	machine_reset(vm->machine);
	cpu_reset(vm->cpu);
	set_a20(vm, true);
}

static void free_board(struct vm *vm)
{
	if (vm->machine)
		machine_free(vm->machine);
}

static enum um_grant grant(struct vm *vm, um_gfn gfn)
{
	(void)vm, (void)gfn;
	return UM_GRANT_MMIO;
}

static uint64_t deadline(struct vm *vm, uint64_t slack)
{
	return machine_idle_deadline(vm->machine, slack);
}

static void poll_board(struct vm *vm)
{
	if (machine_deadline(vm->machine) <= vm->now)
		machine_poll(vm->machine);
}

static void flush(struct vm *vm)
{
	machine_flush(vm->machine);
}

static size_t hear(struct vm *vm, const uint8_t *bytes, size_t count)
{
	size_t room = machine_serial_room(vm->machine);
	return room ? machine_serial_in(vm->machine, bytes, count < room ? count : room) : 0;
}

static enum board_wish wish(struct vm *vm)
{
	switch (machine_requested(vm->machine)) {
	case MACHINE_RUN:
		break;
	case MACHINE_RESET:
		return BOARD_RESET;
	case MACHINE_POWER_OFF:
		return BOARD_POWER_OFF;
	case MACHINE_DEBUG_EXIT:
		return BOARD_DEBUG_EXIT;
	}
	return BOARD_RUN;
}

static const char *reason(struct vm *vm)
{
	(void)vm;
	return "";
}

static bool interrupts_off(struct vm *vm)
{
	struct cpu_regs r;
	cpu_get_regs(vm->cpu, &r);
	return !(r.eflags & EFLAGS_IF);
}

const struct board_ops board_pc = {
	.name = "pc",
	.make = make,
	.connect = connect_bus,
	.load = load,
	.reset = reset,
	.free = free_board,
	.grant = grant,
	.deadline = deadline,
	.poll = poll_board,
	.flush = flush,
	.hear = hear,
	.wish = wish,
	.reason = reason,
	.interrupts_off = interrupts_off,
};
