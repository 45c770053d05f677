/* SPDX-License-Identifier: MIT */
/*
 * vmm/clock.c - time, as the guest has it.
 */
#include <time.h>

#include "vmm/internal.h"

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
#define DIRECT_STEP_NS 4000000u /* the direct engine is looked after less often (SLICE_MAX_NS in engine.c) */
#define CATCH_UP 4u
#define LAG_MAX_NS 10000000000u /* stopped for longer: that time is lost */

uint64_t vm_now(struct vm *vm)
{
	if (vm->paused || vm->config.counted_time)
		return vm->now;
	uint64_t host = host_now(), went = host - vm->host_seen;
	uint64_t made_up = went * CATCH_UP, step = went + (vm->lag < made_up ? vm->lag : made_up);
	uint64_t usual = vm->engine == VM_ENGINE_DIRECT ? DIRECT_STEP_NS : STEP_NS;
	uint64_t most = vm->sleep_end > vm->now + usual ? vm->sleep_end - vm->now : usual;
	if (step > most)
		step = most;
	vm->lag += went - step;
	if (vm->lag > LAG_MAX_NS)
		vm->lag = LAG_MAX_NS;
	vm->host_seen = host;
	vm->now += step;
	return vm->now;
}

uint64_t host_ns_for(const struct vm *vm, uint64_t guest_ns)
{
	return vm->lag ? guest_ns / (1 + CATCH_UP) : guest_ns;
}

#define COUNTED_START 1700000000u /* the date that counted time begins at, seconds */

uint64_t read_wall_clock(const struct vm *vm)
{
	struct timespec now;
	if (vm->config.counted_time)
		return COUNTED_START * 1000000000ull + vm->now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t read_tsc(void *user)
{
	struct vm *vm = user;
	vm->outside++;
	return vm_now(vm); /* TSC_HZ is 1 GHz */
}
