/* SPDX-License-Identifier: MIT */
/*
 * vmm/run.c - the loop: let the guest run a while, look after the devices and the console, again.
 *
 *   1. Last words    what is said about an end
 *   2. Sleeping      until a timer, input, room for output, or a kick
 *   3. Pacing        slices of about SLICE_NS
 *   4. Watching      guests that have interrupts off
 *   5. The loop      vm_run, vm_kick
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/internal.h"

/* ---- 1. Last words -------------------------------------------------------------------------- */

static enum vm_end end_with(struct vm *vm, enum vm_end end, const char *text, bool registers)
{
	int used = snprintf(vm->words, sizeof vm->words, "%s\n", text);
	if (registers) {
		size_t room = sizeof vm->words - (size_t)used - 1;
		size_t more = end == VM_SHUTDOWN
		                      ? cpu_describe_shutdown(vm->cpu, vm->words + used, room)
		                      : cpu_describe_state(vm->cpu, vm->words + used, room);
		vm->words[(size_t)used + (more < room ? more : room)] = 0;
	}
	return end;
}

static enum vm_end hang_up_with(struct vm *vm)
{
	return end_with(vm, VM_HANGUP, vm->console.error ? strerror(vm->console.error) : "closed", false);
}

/* ---- 2. Sleeping ---------------------------------------------------------------------------- */

#define SLEEP_MAX_NS 1000000000u /* look around at least once a second */
#define READY_NS 200000000u      /* ... and for a terminal that is another's now, that often */

/* Returns whether the console has something to say or to hear. */
static bool sleep_until(struct vm *vm, uint64_t deadline)
{
	struct console *console = &vm->console;
	struct pollfd wait[3 + VM_DESCRIPTORS_MAX + NETWORK_FDS] = { { .fd = vm->wake, .events = POLLIN } };
	unsigned count = 1;
	uint64_t now = vm_now(vm), ns = deadline > now ? deadline - now : 0;
	if (vm->paused || ns > SLEEP_MAX_NS)
		ns = SLEEP_MAX_NS;
	bool listens = console_listens(console), ready_to_hear = console_ready(console);
	if (listens && !ready_to_hear && ns > READY_NS)
		ns = READY_NS;
	if (ready_to_hear && (console->in_tty || console->in_count < CONSOLE_IN))
		wait[count++] = (struct pollfd){ .fd = console->fd.in, .events = POLLIN };
	if (console->out_count)
		wait[count++] = (struct pollfd){ .fd = console->fd.out, .events = POLLOUT };
	int net_ms = (int)(ns / 1000000u) + 1;
	unsigned own = count, watched = descriptors_fill(vm, wait + own);
	count += watched;
	count += network_fill(vm, wait + count, NETWORK_FDS, &net_ms);
	if ((uint64_t)net_ms * 1000000u < ns)
		ns = (uint64_t)net_ms * 1000000u;
	rest_engine(vm);
	vm->sleep_end = now + ns;
	struct timespec timeout = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
	int ready = ppoll(wait, count, &timeout, NULL);
	if (ready > 0 && (wait[0].revents & POLLIN)) {
		uint64_t kicks;
		while (read(vm->wake, &kicks, sizeof kicks) < 0 && errno == EINTR)
			;
	}
	network_process(vm, wait + own + watched, count - own - watched);
	if (ready > 0)
		descriptors_process(vm, wait + own, watched);
	vm_now(vm);
	vm->sleep_end = 0;
	return ready > 0;
}

/* ---- 3. Pacing ------------------------------------------------------------------------------ */

/* A slice bounds how late a timer may fire; what it costs is two looks at the clock. */
#define SLICE_NS 150000u
#define SLICE_MIN 2000u
#define SLICE_MAX 400000u
#define CONSOLE_NS 1000000u /* between two looks at the console */

static uint64_t next_budget(uint64_t budget, uint64_t took)
{
	if (took > SLICE_NS * 2)
		budget /= 2;
	else if (took < SLICE_NS / 2)
		budget *= 2;
	if (budget < SLICE_MIN)
		return SLICE_MIN;
	return budget > SLICE_MAX ? SLICE_MAX : budget;
}

/* ---- 4. Watching ---------------------------------------------------------------------------- */

#define LOOK_NS 10000000u    /* between two looks at the interrupt flag */
#define PROOF_NS 200000000u  /* between two proofs */
/* true: the run ends with VM_STUCK. */
static bool watch_quiet(struct vm *vm, uint64_t now, enum cpu_exit *exit)
{
	if (!vm->board->interrupts_off(vm)) {
		vm->quiet_since = 0;
		return false;
	}
	if (!vm->quiet_since) {
		vm->quiet_since = now;
		vm->next_proof = now + PROOF_NS;
		return false;
	}
	if (now >= vm->next_proof) {
		vm->next_proof = now + PROOF_NS;
		if (prove_stuck(vm, exit)) {
			end_with(vm, VM_STUCK, "the guest loops for ever with interrupts off", true);
			return true;
		}
	}
	uint64_t patience = vm->config.watchdog_seconds * 1000000000ull;
	if (patience && now - vm->quiet_since > patience) {
		end_with(vm, VM_STUCK, "the watchdog: the guest has had interrupts off for too long", true);
		return true;
	}
	return false;
}

/* ---- 5. The loop ---------------------------------------------------------------------------- */

/* What a run keeps between two slices. */
struct pace {
	uint64_t budget, next_console, next_look;
	enum vm_end end;
};

/* Returns true when the run ends; pace->end says how. */
static bool look_around(struct vm *vm, struct pace *pace, uint64_t now)
{
	vm->board->poll(vm);
	if (now >= pace->next_console || vm->paused) {
		console_pump(vm);
		network_pump(vm);
		descriptors_pump(vm);
		pace->next_console = now + CONSOLE_NS;
	}
	if (vm->console.out_count)
		console_flush(&vm->console);
	if (atomic_exchange_explicit(&vm->kicked, false, memory_order_relaxed)) {
		if (!vm_kept_end(vm, &pace->end))
			pace->end = end_with(vm, VM_KICKED, "asked to leave", false);
		return true;
	}
	if (vm->aborted) {
		pace->end = end_with(vm, VM_REPORTED, vm->aborted, false);
		vm->aborted = NULL;
		return true;
	}
	if (vm->console.gone) {
		pace->end = hang_up_with(vm);
		return true;
	}
	return false;
}

/* What the guest asked of the machine's power.  Returns true when the run ends. */
static bool obey_request(struct vm *vm, struct pace *pace)
{
	struct guest_error error;
	enum board_wish wish = vm->board->wish(vm);
	if (vm->reset_wanted)
		wish = BOARD_RESET;
	vm->reset_wanted = false;
	switch (wish) {
	case BOARD_RUN:
		return false;
	case BOARD_POWER_OFF:
		pace->end = end_with(vm, VM_POWER_OFF, "the guest powered off", false);
		return true;
	case BOARD_DEBUG_EXIT:
		pace->end = end_with(vm, VM_DEBUG_EXIT, "the guest asked to exit", false);
		return true;
	case BOARD_CRASHED:
		pace->end = end_with(vm, VM_CRASHED, vm->board->reason(vm), false);
		return true;
	case BOARD_KILLED:
		pace->end = end_with(vm, VM_KILLED, vm->board->reason(vm), true);
		return true;
	case BOARD_RESET:
		break;
	}
	bool anew = vm->reset_anew;
	vm->reset_anew = false;
	if (vm->config.no_reboot && !anew) {
		pace->end = end_with(vm, VM_RESET, "the guest asked for a reset", false);
		return true;
	}
	vm->board->flush(vm);
	if (reset_vm(vm, &error)) {
		tell_change(vm, VM_CHANGE_RESET);
		return false;
	}
	pace->end = end_with(vm, VM_STOPPED, error.text, false);
	return true;
}

/* A guest that ticks while it has nothing to do (Linux with a periodic timer: 250 times a second) costs most
 * by being woken: caches are cold each time.  After DEEP wake-ups in a row that came to nothing, a one-shot
 * timer may be SLACK_NS late, so that two ticks are one wake-up; anything else to do ends that at once. */
#define DEEP_WAKES 64u
#define BRIEF_NS 1000000u
#define SLACK_NS 4000000u

static uint64_t idle_slack(struct vm *vm)
{
	if (vm_now(vm) - vm->woke_at >= BRIEF_NS)
		vm->idle_wakes = 0;
	else if (vm->idle_wakes < DEEP_WAKES)
		vm->idle_wakes++;
	return vm->config.vm_options & VM_OPT_SLACK && vm->idle_wakes == DEEP_WAKES ? SLACK_NS : 0;
}

static bool rest(struct vm *vm, struct pace *pace)
{
	if (vm->board->interrupts_off(vm)) {
		pace->end = end_with(vm, VM_STUCK, "the guest halted with interrupts off", true);
		return true;
	}
	/* What was typed and found no room so far: it has read the last of it, so there is some. */
	size_t waiting = vm->console.in_count;
	console_feed(vm);
	if (vm->console.in_count != waiting)
		return false;
	/* Nothing more is coming for a while: what the guest has said goes out now. */
	vm->board->flush(vm);
	if (vm->console.out_count)
		console_flush(&vm->console);
	uint64_t deadline = vm->board->deadline(vm, idle_slack(vm));
	if (deadline == UINT64_MAX && !console_listens(&vm->console) && !vm->console.in_count &&
	    !vm->nets) {
		pace->end = end_with(vm, VM_STUCK, "the guest halted, and nothing is left that could wake it",
		                     true);
		return true;
	}
	bool heard = sleep_until(vm, deadline);
	pace->next_console = heard ? 0 : vm->now + CONSOLE_NS;
	vm->woke_at = vm->now;
	if (heard)
		vm->idle_wakes = 0;
	return false;
}

/* Returns true when the run ends. */
static bool handle_exit(struct vm *vm, struct pace *pace, enum cpu_exit exit)
{
	const char *reason;
	switch (exit) {
	case CPU_EXIT_BUDGET:
	case CPU_EXIT_KICKED:
	case CPU_EXIT_HOST:
		return false;
	case CPU_EXIT_HALTED:
		return rest(vm, pace);
	case CPU_EXIT_SHUTDOWN:
		pace->end = end_with(vm, VM_SHUTDOWN, "triple fault", true);
		return true;
	case CPU_EXIT_STOP:
		um_stop_reason(vm->um, &reason);
		pace->end = end_with(vm, VM_KILLED, reason, true);
		return true;
	case CPU_EXIT_NOMEM:
		pace->end = end_with(vm, VM_NOMEM, "no memory for shadow tables", true);
		return true;
	case CPU_EXIT_DEBUG:
		if (debug_stopped(vm))
			return false;
		pace->end = end_with(vm, VM_KICKED, "a breakpoint", true);
		return true;
	}
	return false;
}

/* One slice of guest code.  Returns true when the run ends. */
static bool run_slice(struct vm *vm, struct pace *pace, uint64_t now)
{
	bool waiting = vm->board->is_waiting && vm->board->is_waiting(vm);
	bool direct = vm->engine == VM_ENGINE_DIRECT;
	enum cpu_exit exit = run_engine(vm, waiting ? SLICE_MIN : pace->budget, waiting);
	uint64_t then = vm_now(vm);
	if (exit == CPU_EXIT_BUDGET || (direct && exit == CPU_EXIT_KICKED)) {
		if (!waiting && !direct)
			pace->budget = next_budget(pace->budget, then - now);
		if (then >= pace->next_look) {
			pace->next_look = then + LOOK_NS;
			if (watch_quiet(vm, then, &exit)) {
				pace->end = VM_STUCK;
				return true;
			}
		}
	}
	return obey_request(vm, pace) || handle_exit(vm, pace, exit);
}

enum vm_end vm_run(struct vm *vm)
{
	struct pace pace = { .budget = SLICE_MIN };
	vm->words[0] = 0;
	enter_engine(vm);
	for (;;) {
		uint64_t now = vm_now(vm);
		if (look_around(vm, &pace, now) || debug_ends(vm, &pace.end))
			break;
		if (vm->reset_wanted && obey_request(vm, &pace) && !debug_keeps(vm, pace.end))
			break;
		if (vm->paused)
			debug_paused(vm);
		if (vm->paused || (vm->board->is_full && vm->board->is_full(vm)))
			sleep_until(vm, UINT64_MAX);
		else if (run_slice(vm, &pace, now) && !vm->aborted && !debug_keeps(vm, pace.end))
			break;
	}
	leave_engine(vm);
	/* The last lines are wanted; a reader that does not read is not waited for long. */
	for (;;) {
		vm->board->flush(vm);
		if (!vm->console.out_count)
			break;
		console_drain(&vm->console, pace.end == VM_KICKED ? 200 : 2000);
		if (vm->console.out_count)
			break;
	}
	/* A good end whose last lines the console did not take is none. */
	if (vm->console.gone && (pace.end == VM_POWER_OFF || pace.end == VM_RESET))
		return hang_up_with(vm);
	return pace.end;
}

void vm_kick(struct vm *vm)
{
	const uint64_t one = 1;
	int saved = errno;
	atomic_store_explicit(&vm->kicked, true, memory_order_relaxed);
	cpu_kick(vm->cpu);
	interrupt_engine(vm);
	if (write(vm->wake, &one, sizeof one) < 0)
		errno = saved; /* the counter is full: it wakes anyway */
	errno = saved;
}
