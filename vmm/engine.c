/* SPDX-License-Identifier: MIT */
/*
 * vmm/engine.c - which engine runs the guest, and what interrupts the direct one.
 *
 *   1. Choosing       make_engine, vm_set_engine
 *   2. Interrupting   a timer and a signal of the thread that runs the vm
 *   3. The timer      armed for what the board waits for, and not oftener than need be
 *   4. Running        run_engine
 *
 * Both engines work on one struct cpu, so that changing over is calling the other one.  The portable engine counts
 * instructions and comes back after so many; the direct one runs until a signal finds it: the timer's, or
 * vm_kick()'s from another thread or handler.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/internal.h"

/* Older C libraries have no name for it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* ---- 1. Choosing ---------------------------------------------------------------------------- */

static void lacks(struct vm *vm, const char *why)
{
	snprintf(vm->engine_why, sizeof vm->engine_why, "%s", why);
}

bool wants_direct(struct vm *vm)
{
	const char *why = vm->config.engine == VM_ENGINE_PORTABLE
	                          ? "this machine was made for the portable engine (-engine portable)"
	                          : direct_probe();
	if (why)
		lacks(vm, why);
	return !why;
}

bool make_engine(struct vm *vm, struct guest_error *error)
{
	struct direct_config config = {
		.cpu = vm->cpu,
		.um = vm->um,
		.ram_fd = vm->ram_fd,
		.ram = vm->ram,
		.ram_bytes = vm->mapped_bytes,
		.options = vm->config.direct_options,
		.worlds = vm->config.direct_worlds,
		.max_mappings = vm->config.direct_mappings,
		.exact = vm->config.counted_time,
	};
	const char *why = NULL;
	if (vm->ram_fd >= 0 && !(vm->direct = direct_new(&config, &why)))
		lacks(vm, why);
	if (vm->direct)
		vm->engine = VM_ENGINE_DIRECT;
	if (vm->direct || vm->config.engine != VM_ENGINE_DIRECT)
		return true;
	snprintf(error->text, sizeof error->text, "%s", vm->engine_why);
	return false;
}

void free_engine(struct vm *vm)
{
	struct direct *d = vm->direct;
	/* It is taken apart while the core may still call. */
	vm->direct = NULL;
	vm->engine = VM_ENGINE_PORTABLE;
	direct_free(d);
}

enum vm_engine vm_get_engine(const struct vm *vm)
{
	return vm->engine;
}

const char *vm_engine_reason(const struct vm *vm)
{
	if (vm->portable_holds)
		return "the guest is observed or debugged, which takes the portable engine";
	return vm->direct ? NULL : vm->engine_why;
}

struct direct *vm_direct(struct vm *vm)
{
	return vm->direct;
}

bool vm_set_engine(struct vm *vm, enum vm_engine engine)
{
	bool direct = engine != VM_ENGINE_PORTABLE;
	if (direct && (!vm->direct || vm->portable_holds))
		return false;
	vm->engine = direct ? VM_ENGINE_DIRECT : VM_ENGINE_PORTABLE;
	if (!direct)
		rest_engine(vm);
	return true;
}

void hold_portable(struct vm *vm)
{
	if (!vm->portable_holds) {
		vm->unheld = vm->engine;
		vm_set_engine(vm, VM_ENGINE_PORTABLE);
	}
	vm->portable_holds++;
}

void release_portable(struct vm *vm)
{
	if (!--vm->portable_holds)
		vm_set_engine(vm, vm->unheld);
}

/* ---- 2. Interrupting ------------------------------------------------------------------------ */

#define INTERRUPT (SIGRTMIN + 3)

/* The signal carries its vm; whoever else sends it (raise) means none. */
static void on_interrupt(int signal_number, siginfo_t *info, void *context)
{
	struct vm *vm = info->si_code == SI_TIMER || info->si_code == SI_QUEUE ? info->si_value.sival_ptr : NULL;
	(void)signal_number;
	if (!vm)
		return;
	cpu_kick(vm->cpu);
	direct_interrupt(vm->direct, context);
}

/* Late ones, of a timer that is gone or of a thread that saw us run, shall not meet a vm that is gone as well: they
 * are taken while they are blocked, when a run ends and before the next begins. */
static void forget_interrupts(const sigset_t *interrupt)
{
	const struct timespec now = { 0 };
	while (sigtimedwait(interrupt, NULL, &now) > 0)
		;
}

static sigset_t interrupt_alone(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, INTERRUPT);
	return set;
}

/* Not blocked while the guest runs, nor what its faults are, whatever our caller does with the signals of its
 * threads. */
static bool hear_interrupts(struct vm *vm)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction action = { .sa_sigaction = on_interrupt, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	sigset_t ours = interrupt_alone();
	sigfillset(&action.sa_mask);
	pthread_sigmask(SIG_BLOCK, &ours, &vm->mask);
	forget_interrupts(&ours);
	for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++)
		sigaddset(&ours, faults[k]);
	return sigaction(INTERRUPT, &action, NULL) == 0 && pthread_sigmask(SIG_UNBLOCK, &ours, NULL) == 0;
}

void enter_engine(struct vm *vm)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = INTERRUPT,
		                  .sigev_value = { .sival_ptr = vm } };
	if (!vm->direct)
		return;
	pid_t thread = gettid();
	event.sigev_notify_thread_id = thread;
	vm->armed = 0;
	vm->has_timer = hear_interrupts(vm) && timer_create(CLOCK_MONOTONIC, &event, &vm->timer) == 0;
	/* Nothing would bring the direct engine back: this run is the other one's. */
	if (!vm->has_timer)
		vm->engine = VM_ENGINE_PORTABLE;
	atomic_store(&vm->thread, thread);
}

void leave_engine(struct vm *vm)
{
	sigset_t ours = interrupt_alone();
	if (!vm->direct)
		return;
	pthread_sigmask(SIG_BLOCK, &ours, NULL);
	atomic_store(&vm->thread, 0);
	if (vm->has_timer)
		timer_delete(vm->timer);
	vm->has_timer = false;
	forget_interrupts(&ours);
	pthread_sigmask(SIG_SETMASK, &vm->mask, NULL);
}

/* (No function of the C library queues a signal for one thread from a handler.) */
void interrupt_engine(struct vm *vm)
{
	siginfo_t info = { .si_signo = INTERRUPT, .si_code = SI_QUEUE };
	int thread = atomic_load(&vm->thread);
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = vm;
	if (thread)
		syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, INTERRUPT, &info);
}

/* ---- 3. The timer --------------------------------------------------------------------------- */

/* At the latest the console is looked after.  At the earliest, so that a board which is always late gets work done. */
#define SLICE_MAX_NS 2000000u
#define SLICE_MIN_NS 30000u
#define WAITING_NS 50000u /* the board waits for something that the guest does without a word */

/* `at` 0: not at all.  It goes on by itself until then: a signal that comes where it has no effect, in a handler or
 * between the engine's last look and the guest's first instruction, makes a slice longer, not endless. */
static void set_timer(struct vm *vm, uint64_t at)
{
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at / 1000000000u),
		                                 .tv_nsec = (long)(at % 1000000000u) },
		                   .it_interval = { .tv_nsec = SLICE_MAX_NS } };
	timer_settime(vm->timer, TIMER_ABSTIME, &when, NULL);
	vm->armed = at;
}

/* The host's time when the board has work, `most` ns from the last look at the clock. */
static uint64_t next_work(struct vm *vm, uint64_t most)
{
	uint64_t deadline = vm->board->deadline(vm, 0);
	uint64_t ns = deadline > vm->now ? host_ns_for(vm, deadline - vm->now) : 0;
	if (ns < SLICE_MIN_NS)
		ns = SLICE_MIN_NS;
	return vm->host_seen + (ns < most ? ns : most);
}

/* One that comes too early does no harm: it costs less to let it come than to set it again. */
static void arm(struct vm *vm, uint64_t most)
{
	uint64_t wanted = next_work(vm, most);
	if (vm->armed <= vm->host_seen || vm->armed > wanted)
		set_timer(vm, wanted);
}

/* One that has expired, or is about to, ends this slice in any case. */
void deadline_moved(struct vm *vm)
{
	if (vm->engine != VM_ENGINE_DIRECT || !vm->has_timer)
		return;
	uint64_t wanted = next_work(vm, SLICE_MAX_NS);
	if (wanted < vm->armed)
		set_timer(vm, wanted);
}

/* A thread that sleeps, or runs the other engine, is not to be woken for a slice that is over. */
void rest_engine(struct vm *vm)
{
	if (vm->has_timer && vm->armed)
		set_timer(vm, 0);
}

/* ---- 4. Running ----------------------------------------------------------------------------- */

enum cpu_exit run_engine(struct vm *vm, uint64_t budget, bool waiting)
{
	if (vm->engine != VM_ENGINE_DIRECT || !vm->has_timer)
		return cpu_run(vm->cpu, budget);
	arm(vm, waiting ? WAITING_NS : SLICE_MAX_NS);
	return direct_run(vm->direct);
}
