/* SPDX-License-Identifier: MIT */
/*
 * vmm/bus.c - the wires: what the processor asks of the machine, and the machine of the outside.
 *
 *   1. Time           host_now, vm_now
 *   2. Processor      ports, absent memory, interrupt acknowledge, RDTSC
 *   3. Devices        interrupt line, A20, serial output, clocks
 *
 * Every call that lets the guest see the world, or the world the guest, counts in vm->outside: a guest that
 * makes none is a closed system (stuck.c).
 */
#include <time.h>

#include "vmm/internal.h"

/* ---- 1. Time -------------------------------------------------------------------------------- */

uint64_t host_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The guest's clock follows the host's, but never jumps while the guest could run: where the host gave us no
 * processor for a while, a guest that sees tens of milliseconds pass between two instructions loses timer
 * ticks and then trust in its clocks.  It goes on by at most STEP_NS a look (or to the time that the guest
 * itself sleeps for); what is missing is made up while the guest runs, CATCH_UP times as fast as it passes:
 * a guest that gets a fifth of a processor keeps up. */
#define STEP_NS 1000000u
#define CATCH_UP 4u
#define LAG_MAX_NS 10000000000u /* stopped for longer: that time is lost */

uint64_t vm_now(struct vm *vm)
{
	if (vm->paused)
		return vm->now;
	uint64_t host = host_now(), went = host - vm->host_seen;
	uint64_t made_up = went * CATCH_UP, step = went + (vm->lag < made_up ? vm->lag : made_up);
	uint64_t most = vm->sleep_end > vm->now + STEP_NS ? vm->sleep_end - vm->now : STEP_NS;
	if (step > most)
		step = most;
	vm->lag += went - step;
	if (vm->lag > LAG_MAX_NS)
		vm->lag = LAG_MAX_NS;
	vm->host_seen = host;
	vm->now += step;
	return vm->now;
}

static uint64_t device_now(void *user)
{
	return vm_now(user);
}

static uint64_t wall_clock(void *user)
{
	(void)user;
	return (uint64_t)time(NULL);
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

static uint64_t read_tsc(void *user)
{
	struct vm *vm = user;
	vm->outside++;
	return vm_now(vm); /* TSC_HZ is 1 GHz */
}

void connect_cpu(struct vm *vm, struct cpu_config *config)
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

/* ---- 3. Devices ----------------------------------------------------------------------------- */

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

void connect_machine(struct vm *vm, struct machine_config *config)
{
	*config = (struct machine_config){
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
}
