/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/vmm_engine.c - which engine runs a guest: chosen, changed over, interrupted.
 *
 *   1. A guest        counts at 2 MiB for ever, with interrupts on
 *   2. Choosing       what was asked for, what can be, and why not
 *   3. Changing over  in the middle of a run, again and again
 *   4. Interrupting   from a thread, from signal handlers, whatever they block; late signals; time
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/image.h"
#include "tests/lib/tap.h"
#include "vmm/vmm.h"

/* ---- 1. A guest ----------------------------------------------------------------------------- */

#define COUNT_AT 0x200000u
#define COUNTS "\xFB\xFF\x05\x00\x00\x20\x00\xEB\xF8" /* sti; incl 0x200000; jmp */
#define EXIT "\xB0\x05\xE6\xF4\xEB\xFE"               /* out of 5 to the port 0xF4 */

struct counting {
	struct loading files;
	struct vm_config config;
	struct vm *vm;
};

static bool has_direct(void)
{
	return !direct_probe() && !getenv("TEST_VALGRIND"); /* which has a processor of its own */
}

static void prepare(struct counting *c, enum vm_engine engine, const char *code, size_t bytes)
{
	static struct made m;
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0,
		                     0x100020 };
	memset(c, 0, sizeof *c);
	memset(&m, 0, sizeof m);
	loading_start(&c->files, 1u << 20);
	made_copy(&m, 0, header, sizeof header);
	made_copy(&m, 32, code, bytes);
	c->config.ram_bytes = 16u << 20;
	c->config.um_options = UM_OPT_ALL;
	c->config.cpu_options = CPU_OPT_ALL;
	c->config.direct_options = DIRECT_OPT_ALL;
	c->config.debug_exit_port = 0xF4;
	c->config.engine = engine;
	c->config.console.in = c->config.console.out = -1;
	c->config.guest.kernel = loading_file(&c->files, 0, m.bytes, m.size);
}

static void make(struct counting *c)
{
	struct guest_error error;
	c->vm = vm_new(&c->config, &error);
	if (!c->vm)
		fail_msg("%s", error.text);
	/* No interrupt has a handler here. */
	machine_port_out(vm_machine(c->vm), 0x21, 1, 0xFF);
}

static void start(struct counting *c, enum vm_engine engine)
{
	prepare(c, engine, COUNTS, sizeof COUNTS - 1);
	make(c);
}

static void end(struct counting *c)
{
	vm_free(c->vm);
	loading_end(&c->files);
}

static uint32_t counted(struct counting *c)
{
	uint32_t count = 0;
	vm_read_physical(c->vm, COUNT_AT, &count, sizeof count);
	return count;
}

static uint64_t clock_ns(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *kick_soon(void *arg)
{
	usleep(20000);
	vm_kick(arg);
	return NULL;
}

static uint32_t run_a_little(struct counting *c)
{
	pthread_t thread;
	uint32_t before = counted(c);
	pthread_create(&thread, NULL, kick_soon, c->vm);
	assert_int_equal(vm_run(c->vm), VM_KICKED);
	pthread_join(thread, NULL);
	return counted(c) - before;
}

/* ---- 2. Choosing ---------------------------------------------------------------------------- */

static void a_machine_gets_what_it_asks_for(void **state)
{
	struct counting c;
	(void)state;
	start(&c, VM_ENGINE_PORTABLE);
	assert_int_equal(vm_get_engine(c.vm), VM_ENGINE_PORTABLE);
	assert_null(vm_direct(c.vm));
	assert_non_null(strstr(vm_engine_reason(c.vm), "-engine portable"));
	assert_true(vm_set_engine(c.vm, VM_ENGINE_PORTABLE));
	assert_false(vm_set_engine(c.vm, VM_ENGINE_DIRECT));
	end(&c);
	if (!has_direct())
		skip();
	start(&c, VM_ENGINE_AUTO);
	assert_int_equal(vm_get_engine(c.vm), VM_ENGINE_DIRECT);
	assert_non_null(vm_direct(c.vm));
	assert_null(vm_engine_reason(c.vm));
	end(&c);
}

/* Where it cannot be: demanded, that is an error; else the other one runs the guest.  (Address spaces need room.) */
static void what_cannot_be_has_a_reason(void **state)
{
	struct counting c;
	struct guest_error error;
	struct rlimit before, little = { .rlim_cur = 3ull << 30, .rlim_max = RLIM_INFINITY };
	(void)state;
	prepare(&c, VM_ENGINE_DIRECT, COUNTS, sizeof COUNTS - 1);
	if (test_rounds(100) != 100)
		skip(); /* sanitizers need the address space */
	getrlimit(RLIMIT_AS, &before);
	little.rlim_max = before.rlim_max;
	setrlimit(RLIMIT_AS, &little);
	assert_null(vm_new(&c.config, &error));
	assert_true(error.text[0] && !strchr(error.text, '\n'));
	c.config.engine = VM_ENGINE_AUTO;
	make(&c);
	setrlimit(RLIMIT_AS, &before);
	assert_int_equal(vm_get_engine(c.vm), VM_ENGINE_PORTABLE);
	assert_string_equal(vm_engine_reason(c.vm), error.text);
	/* (On a busy host the kick may come first.) */
	for (unsigned tries = 0; tries < 100 && counted(&c) < 1000; tries++)
		run_a_little(&c);
	assert_true(counted(&c) >= 1000);
	end(&c);
}

/* ---- 3. Changing over ----------------------------------------------------------------------- */

static void either_engine_goes_on_where_the_other_stopped(void **state)
{
	struct counting c;
	uint64_t instructions;
	(void)state;
	if (!has_direct())
		skip();
	start(&c, VM_ENGINE_AUTO);
	for (unsigned k = 0; k < 20; k++) {
		assert_true(vm_set_engine(c.vm, k % 2 ? VM_ENGINE_PORTABLE : VM_ENGINE_DIRECT));
		instructions = cpu_instructions(vm_cpu(c.vm));
		assert_true(run_a_little(&c) > 1000);
		/* The one counts them, the other does not. */
		if (k % 2)
			assert_true(cpu_instructions(vm_cpu(c.vm)) - instructions > 1000);
	}
	end(&c);
}

struct switching {
	struct counting c;
	unsigned switches;
};

static size_t change_over(void *user, uint8_t *bytes, size_t count)
{
	struct switching *s = user;
	(void)bytes;
	for (size_t k = 0; k < count; k++)
		s->switches += vm_set_engine(s->c.vm, vm_get_engine(s->c.vm) == VM_ENGINE_DIRECT ? VM_ENGINE_PORTABLE
		                                                                                 : VM_ENGINE_DIRECT);
	return 0;
}

/* mov $0x10000000, %ecx; 1: dec %ecx; jnz 1b; then out */
#define LONG_WAY "\xB9\x00\x00\x00\x10\x49\x75\xFD" EXIT

static void *type_slowly(void *arg)
{
	for (unsigned k = 0; k < 21; k++) {
		usleep(5000);
		if (write(*(int *)arg, "x", 1) != 1)
			break;
	}
	return NULL;
}

static void the_monitor_may_change_over_while_the_guest_runs(void **state)
{
	struct switching s = { .switches = 0 };
	pthread_t thread;
	int in[2];
	(void)state;
	if (!has_direct())
		skip();
	assert_int_equal(pipe(in), 0);
	prepare(&s.c, VM_ENGINE_DIRECT, LONG_WAY, sizeof LONG_WAY - 1);
	s.c.config.console.in = in[0];
	s.c.config.console.user = &s;
	s.c.config.console.filter = change_over;
	make(&s.c);
	pthread_create(&thread, NULL, type_slowly, &in[1]);
	assert_int_equal(vm_run(s.c.vm), VM_DEBUG_EXIT);
	assert_int_equal(vm_exit_code(s.c.vm), 11);
	pthread_join(thread, NULL);
	assert_true(s.switches > 2);
	end(&s.c);
	close(in[0]), close(in[1]);
}

/* ---- 4. Interrupting ------------------------------------------------------------------------ */

static void a_kick_from_a_thread_ends_the_run_at_once(void **state)
{
	struct counting c;
	(void)state;
	if (!has_direct())
		skip();
	start(&c, VM_ENGINE_DIRECT);
	for (unsigned k = 0; k < 5; k++) {
		uint64_t from = clock_ns(CLOCK_MONOTONIC);
		run_a_little(&c);
		assert_true(clock_ns(CLOCK_MONOTONIC) - from < 1000000000u);
	}
	end(&c);
}

static struct vm *volatile alarmed;

static void on_alarm(int signal_number)
{
	(void)signal_number;
	if (alarmed)
		vm_kick(alarmed);
}

/* Of our own thread: one that blocks everything, as it best does, and one that blocks nothing. */
static void a_kick_from_a_handler_ends_the_run(void **state)
{
	struct counting c;
	struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART }, old;
	(void)state;
	if (!has_direct())
		skip();
	start(&c, VM_ENGINE_DIRECT);
	alarmed = c.vm;
	for (unsigned k = 0; k < 10; k++) {
		(k % 2 ? sigfillset : sigemptyset)(&action.sa_mask);
		sigaction(SIGALRM, &action, &old);
		uint64_t from = clock_ns(CLOCK_MONOTONIC);
		setitimer(ITIMER_REAL, &soon, NULL);
		assert_int_equal(vm_run(c.vm), VM_KICKED);
		assert_true(clock_ns(CLOCK_MONOTONIC) - from < 1000000000u);
		sigaction(SIGALRM, &old, NULL);
	}
	alarmed = NULL;
	end(&c);
}

static void our_callers_mask_does_not_keep_the_guest_running(void **state)
{
	struct counting c;
	sigset_t all, before;
	(void)state;
	if (!has_direct())
		skip();
	start(&c, VM_ENGINE_DIRECT);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	assert_true(run_a_little(&c) > 1000);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	end(&c);
}

/* Whoever kicks while a run ends may reach a thread that has left it. */
static void a_late_signal_does_no_harm(void **state)
{
	struct counting c;
	(void)state;
	if (!has_direct())
		skip();
	start(&c, VM_ENGINE_DIRECT);
	run_a_little(&c);
	raise(SIGRTMIN + 3);
	end(&c);
	raise(SIGRTMIN + 3);
}

static void the_clock_keeps_pace_with_the_hosts(void **state)
{
	struct counting c;
	(void)state;
	if (!has_direct())
		skip();
	start(&c, VM_ENGINE_DIRECT);
	run_a_little(&c);
	/* A host that is busy gives us no processor for a while, and the guest no time: what counts is what we had. */
	uint64_t guest = vm_now(c.vm), host = clock_ns(CLOCK_MONOTONIC), ours = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (unsigned k = 0; k < 20; k++)
		run_a_little(&c);
	guest = vm_now(c.vm) - guest;
	host = clock_ns(CLOCK_MONOTONIC) - host;
	ours = clock_ns(CLOCK_THREAD_CPUTIME_ID) - ours;
	if (guest > host + 100000000 || guest < ours / 4 * 3)
		fail_msg("%llu ms of %llu, and %llu of the processor's", (unsigned long long)guest / 1000000,
		         (unsigned long long)host / 1000000, (unsigned long long)ours / 1000000);
	end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_machine_gets_what_it_asks_for),
		cmocka_unit_test(what_cannot_be_has_a_reason),
		cmocka_unit_test(either_engine_goes_on_where_the_other_stopped),
		cmocka_unit_test(the_monitor_may_change_over_while_the_guest_runs),
		cmocka_unit_test(a_kick_from_a_thread_ends_the_run_at_once),
		cmocka_unit_test(a_kick_from_a_handler_ends_the_run),
		cmocka_unit_test(our_callers_mask_does_not_keep_the_guest_running),
		cmocka_unit_test(a_late_signal_does_no_harm),
		cmocka_unit_test(the_clock_keeps_pace_with_the_hosts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
