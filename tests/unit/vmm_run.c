/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/vmm_run.c - how runs end, what the guest's memory is, the console; with guests of a few bytes, on both
 * engines.
 *
 *   1. Little guests
 *   2. Ends
 *   3. Memory
 *   4. Console
 *   5. Kicks, pauses, sleep, two at once
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/lib/image.h"
#include "tests/lib/tap.h"
#include "vmm/vmm.h"

/* ---- 1. Little guests ----------------------------------------------------------------------- */

static enum vm_engine engine; /* the running test's */

/* 32-bit code at 1 MiB, entered as a multiboot kernel. */
struct little {
	struct loading files;
	struct vm_config config;
	struct vm *vm;
};

static void little_config(struct little *l, const char *code, size_t bytes)
{
	static struct made m;
	const uint32_t flags = 1u << 16 | 3;
	if (engine == VM_ENGINE_DIRECT && (direct_probe() || getenv("TEST_VALGRIND")))
		skip(); /* no such host, or a processor of valgrind's */
	memset(l, 0, sizeof *l);
	memset(&m, 0, sizeof m);
	loading_start(&l->files, 1u << 20); /* for its temporary files only */
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0,
		                     0x100020 };
	made_copy(&m, 0, header, sizeof header);
	made_copy(&m, 32, code, bytes);
	l->config.ram_bytes = 16u << 20;
	l->config.um_options = UM_OPT_ALL;
	l->config.cpu_options = CPU_OPT_ALL;
	l->config.debug_exit_port = 0xF4;
	l->config.engine = engine;
	l->config.direct_options = DIRECT_OPT_ALL;
	l->config.console.in = l->config.console.out = -1;
	l->config.guest.kernel = loading_file(&l->files, 0, m.bytes, m.size);
}

static void little_make(struct little *l)
{
	struct guest_error error;
	l->vm = vm_new(&l->config, &error);
	if (!l->vm)
		fail_msg("%s", error.text);
}

static void little_end(struct little *l)
{
	vm_free(l->vm);
	loading_end(&l->files);
}

#define LITTLE(l, code)                                                                                    \
	do {                                                                                               \
		little_config(l, code, sizeof(code) - 1);                                                  \
		little_make(l);                                                                            \
	} while (0)

#define EXIT_AL "\xE6\xF4"              /* out %al, $0xF4 */
#define EXIT(v) "\xB0" v EXIT_AL        /* with a value */
#define SAY_AL "\x66\xBA\xF8\x03\xEE"   /* mov $0x3F8, %dx; out %al, %dx */
#define SAY(c) "\xB0" c SAY_AL
#define POWER_OFF "\x66\xBA\x04\x06\x66\xB8\x00\x20\x66\xEF"
#define FOREVER "\xEB\xFE"

static uint64_t clock_ns(clockid_t which)
{
	struct timespec t;
	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- 2. Ends -------------------------------------------------------------------------------- */

static void expect_end(const char *code, size_t bytes, enum vm_end end, const char *word)
{
	struct little l;
	little_config(&l, code, bytes);
	l.config.no_reboot = true;
	l.config.watchdog_seconds = 1;
	little_make(&l);
	assert_int_equal(vm_run(l.vm), end);
	if (!strstr(vm_last_words(l.vm), word))
		fail_msg("'%s' lacks '%s'", vm_last_words(l.vm), word);
	little_end(&l);
}
#define EXPECT_END(code, end, word) expect_end(code, sizeof(code) - 1, end, word)

static void power_off_ends_the_run(void **state)
{
	(void)state;
	EXPECT_END(POWER_OFF FOREVER, VM_POWER_OFF, "powered off");
}

static void debug_exit_carries_a_code(void **state)
{
	struct little l;
	(void)state;
	LITTLE(&l, EXIT("\x05") FOREVER);
	assert_int_equal(vm_run(l.vm), VM_DEBUG_EXIT);
	assert_int_equal(vm_exit_code(l.vm), 11);
	little_end(&l);
}

static void a_triple_fault_ends_with_registers(void **state)
{
	(void)state;
	EXPECT_END("\xB8\x78\x56\x34\x12\x0F\x0B", VM_SHUTDOWN, "12345678"); /* mov to %eax; ud2 */
	EXPECT_END("\xFF\xE1", VM_SHUTDOWN, "eip"); /* jmp *%ecx: zeros, until something faults */
}

static void halted_with_interrupts_off_is_stuck(void **state)
{
	(void)state;
	EXPECT_END("\xFA\xF4", VM_STUCK, "halted with interrupts off");
}

static void endless_loops_with_interrupts_off_are_proven(void **state)
{
	(void)state;
	EXPECT_END(FOREVER, VM_STUCK, "loops for ever");
	EXPECT_END("\xF3\x90\xEB\xFC", VM_STUCK, "loops for ever"); /* pause; jmp */
	EXPECT_END("\x83\x3D\x00\x00\x20\x00\x01\x75\xF7", VM_STUCK, "loops for ever"); /* waits for memory */
	EXPECT_END("\x90\xE8\x00\x00\x00\x00\x58\xEB\xF7", VM_STUCK, "watchdog"); /* call: it writes memory */
}

static void a_loop_that_counts_is_left_to_the_watchdog(void **state)
{
	(void)state;
	EXPECT_END("\x40\xEB\xFD", VM_STUCK, "watchdog");             /* inc %eax; jmp */
	EXPECT_END("\xE4\x61\xEB\xFC", VM_STUCK, "watchdog");         /* in $0x61: the world may change */
	EXPECT_END("\x31\xC0\x31\xD2\x0F\x31\x31\xC0\x31\xD2\xEB\xF6", VM_STUCK, "watchdog"); /* rdtsc */
}

static void a_loop_that_counts_in_a_system_register_is_not_proven_endless(void **state)
{
	(void)state;
	/* mov $0x175, %ecx (SYSENTER_ESP); rdmsr; inc %eax; wrmsr; xor %eax, %eax; jmp */
	EXPECT_END("\xB9\x75\x01\x00\x00\x0F\x32\x40\x0F\x30\x31\xC0\xEB\xF7", VM_STUCK, "watchdog");
}

static void without_a_watchdog_a_counting_loop_goes_on(void **state)
{
	struct little l;
	(void)state;
	LITTLE(&l, "\xB9\x00\x00\x40\x00\x49\x75\xFD" EXIT("\x01") FOREVER); /* 4 Mi times dec %ecx */
	assert_int_equal(vm_run(l.vm), VM_DEBUG_EXIT);
	little_end(&l);
}

static void a_reset_ends_or_loads_again(void **state)
{
	struct little l;
	int pipes[2];
	char got[4] = { 0 };
	(void)state;
	EXPECT_END("\xB0\xFE\xE6\x64" FOREVER, VM_RESET, "reset");
	/* Says what 2 MiB holds, which a reset clears; writes it; the real-time clock's memory, which a reset
	 * keeps, counts the starts: the fourth powers off. */
	assert_int_equal(pipe(pipes), 0);
	little_config(&l,
	              "\xA0\x00\x00\x20\x00\x04\x41" SAY_AL      /* mov 0x200000, %al; add $'A' */
	              "\xFE\x05\x00\x00\x20\x00"                 /* incb 0x200000 */
	              "\xB0\x50\xE6\x70\xE4\x71\x3C\x03\x74\x0C" /* CMOS byte 0x50: 3? */
	              "\xFE\xC0\x88\xC4\xB0\x50\xE6\x70\x88\xE0\xE6\x71"
	              "\x3C\x03\x75\x0C" POWER_OFF FOREVER       /* one more: power off at the third */
	              "\xB0\xFE\xE6\x64" FOREVER,
	              7 + 5 + 6 + 10 + 12 + 4 + 10 + 2 + 4 + 2);
	l.config.console.out = pipes[1];
	little_make(&l);
	assert_int_equal(vm_run(l.vm), VM_POWER_OFF);
	little_end(&l);
	assert_int_equal(read(pipes[0], got, sizeof got), 3);
	assert_memory_equal(got, "AAA", 3);
	close(pipes[0]);
	close(pipes[1]);
}

static void an_image_that_is_gone_at_reset_ends_the_run(void **state)
{
	struct little l;
	(void)state;
	LITTLE(&l, "\xB0\xFE\xE6\x64" FOREVER);
	unlink(l.files.path[0]);
	assert_int_equal(vm_run(l.vm), VM_STOPPED);
	assert_non_null(strstr(vm_last_words(l.vm), "No such file"));
	little_end(&l);
}

/* ---- 3. Memory ------------------------------------------------------------------------------ */

static void absent_memory_reads_ones_and_swallows_writes(void **state)
{
	struct little l;
	(void)state;
	LITTLE(&l, "\xC6\x05\x00\x00\x00\x01\x12"  /* movb $0x12, 0x1000000: the first byte past 16 MiB */
	           "\xA0\x00\x00\x00\x01\x34\x80"  /* mov 0x1000000, %al; xor $0x80 */
	           EXIT_AL FOREVER);
	assert_int_equal(vm_run(l.vm), VM_DEBUG_EXIT);
	assert_int_equal(vm_exit_code(l.vm), 0x7F * 2 + 1);
	little_end(&l);
}

static void the_a20_gate_folds_odd_mebibytes(void **state)
{
	struct little l;
	(void)state;
	LITTLE(&l, FOREVER);
	uint8_t one = 0x11, two = 0x22, got = 0;
	assert_int_equal(vm_write_physical(l.vm, 0x300000, &one, 1), 1);
	assert_int_equal(vm_write_physical(l.vm, 0x200000, &two, 1), 1);
	machine_port_out(vm_machine(l.vm), 0x92, 1, 0x00);
	vm_read_physical(l.vm, 0x300000, &got, 1);
	assert_int_equal(got, 0x22);
	machine_port_out(vm_machine(l.vm), 0x92, 1, 0x02);
	vm_read_physical(l.vm, 0x300000, &got, 1);
	assert_int_equal(got, 0x11);
	little_end(&l);
}

static void physical_reads_end_where_memory_ends(void **state)
{
	struct little l;
	uint8_t buf[8192];
	(void)state;
	LITTLE(&l, FOREVER);
	assert_int_equal(vm_read_physical(l.vm, (16u << 20) - 100, buf, sizeof buf), 100);
	assert_int_equal(vm_write_physical(l.vm, 16u << 20, buf, 1), 0);
	assert_int_equal(vm_read_physical(l.vm, UINT64_MAX - 10, buf, 5), 0);
	little_end(&l);
}

static void impossible_sizes_are_refused(void **state)
{
	static const uint64_t sizes[] = { 0, 4096, (1u << 20) + 4096, 4096ull << 20, UINT64_MAX };
	struct little l;
	struct guest_error error;
	(void)state;
	little_config(&l, FOREVER, 2);
	for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
		l.config.ram_bytes = sizes[k];
		assert_null(vm_new(&l.config, &error));
		assert_non_null(strstr(error.text, "memory size"));
	}
	l.config.ram_bytes = 16u << 20;
	l.config.max_tables = 1;
	assert_null(vm_new(&l.config, &error));
	loading_end(&l.files);
}

/* ---- 4. Console ----------------------------------------------------------------------------- */

/* Waits for a byte, sends it back one higher; ends at 'q'. */
#define ECHO                                                                                               \
	"\x66\xBA\xFD\x03\xEC\xA8\x01\x74\xFB"   /* LSR until data ready */                               \
	"\x66\xBA\xF8\x03\xEC\x3C\x71\x74\x05"   /* data; 'q'? */                                         \
	"\xFE\xC0\xEE\xEB\xE9" POWER_OFF FOREVER

static void input_reaches_the_guest_and_output_comes_back(void **state)
{
	struct little l;
	int in[2], out[2];
	static char text[9000], got[9000];
	(void)state;
	assert_int_equal(pipe(in) | pipe(out), 0);
	little_config(&l, ECHO, sizeof ECHO - 1);
	l.config.console.in = in[0];
	l.config.console.out = out[1];
	little_make(&l);
	memset(text, 'a', sizeof text); /* more than every buffer on the way */
	text[sizeof text - 1] = 'q';
	assert_int_equal(write(in[1], text, sizeof text), sizeof text);
	assert_int_equal(vm_run(l.vm), VM_POWER_OFF);
	assert_int_equal(read(out[0], got, sizeof got), sizeof text - 1);
	for (size_t k = 0; k < sizeof text - 1; k++)
		assert_int_equal(got[k], 'b');
	little_end(&l);
	close(in[0]), close(in[1]), close(out[0]), close(out[1]);
}

/* Says x for ever. */
#define CHATTER SAY("x") "\xEB\xFD"

static void a_reader_that_went_away_ends_the_run(void **state)
{
	struct little l;
	int out[2];
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(out), 0);
	little_config(&l, CHATTER, sizeof CHATTER - 1);
	l.config.console.out = out[1];
	little_make(&l);
	close(out[0]);
	assert_int_equal(vm_run(l.vm), VM_HANGUP);
	little_end(&l);
	close(out[1]);
}

static void *kick_later(void *arg)
{
	usleep(300000);
	vm_kick(arg);
	return NULL;
}

static void a_reader_that_does_not_read_blocks_nobody(void **state)
{
	struct little l;
	int out[2];
	pthread_t thread;
	(void)state;
	assert_int_equal(pipe(out), 0);
	little_config(&l, CHATTER, sizeof CHATTER - 1);
	l.config.console.out = out[1];
	little_make(&l);
	uint64_t start = clock_ns(CLOCK_MONOTONIC);
	pthread_create(&thread, NULL, kick_later, l.vm);
	assert_int_equal(vm_run(l.vm), VM_KICKED);
	pthread_join(thread, NULL);
	assert_true(clock_ns(CLOCK_MONOTONIC) - start < 5000000000u);
	little_end(&l);
	close(out[0]), close(out[1]);
}

static void a_full_disk_ends_the_run(void **state)
{
	struct little l;
	(void)state;
	FILE *full = fopen("/dev/full", "w");
	if (!full)
		skip();
	little_config(&l, CHATTER, sizeof CHATTER - 1);
	l.config.console.out = fileno(full);
	little_make(&l);
	assert_int_equal(vm_run(l.vm), VM_HANGUP);
	assert_non_null(strstr(vm_last_words(l.vm), strerror(ENOSPC)));
	little_end(&l);
	fclose(full);
}

/* ---- 5. Kicks, pauses, sleep, two at once --------------------------------------------------- */

static void an_idle_guest_sleeps_and_a_kick_wakes_it(void **state)
{
	struct little l;
	int in[2];
	pthread_t thread;
	(void)state;
	assert_int_equal(pipe(in), 0); /* input may come: not stuck */
	little_config(&l, "\xFB\xF4\xEB\xFC", 4); /* sti; hlt */
	l.config.console.in = in[0];
	little_make(&l);
	machine_port_out(vm_machine(l.vm), 0x21, 1, 0xFF); /* no interrupt has a handler here */
	uint64_t busy = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	pthread_create(&thread, NULL, kick_later, l.vm);
	assert_int_equal(vm_run(l.vm), VM_KICKED);
	pthread_join(thread, NULL);
	assert_true(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - busy < 100000000u * (test_rounds(100) == 1 ? 10 : 1));
	little_end(&l);
	close(in[0]), close(in[1]);
}

static void the_clock_never_jumps_while_the_guest_could_run(void **state)
{
	struct little l;
	(void)state;
	LITTLE(&l, FOREVER);
	uint64_t host = clock_ns(CLOCK_MONOTONIC), first = vm_now(l.vm), last = first;
	usleep(50000); /* the host ran something else */
	last = vm_now(l.vm);
	const uint64_t most = engine == VM_ENGINE_DIRECT ? 4000000 : 1000000;
	assert_true(last - first <= most);
	/* What is missing is made up in small steps, faster than it passes. */
	uint64_t spent = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) - spent < 10000000) {
		uint64_t now = vm_now(l.vm);
		assert_true(now >= last && now - last <= most);
		last = now;
	}
	assert_true(last - first >= 40000000);
	assert_true(last - first <= clock_ns(CLOCK_MONOTONIC) - host + 1000000000);
	little_end(&l);
}

static size_t pause_filter(void *user, uint8_t *bytes, size_t count)
{
	struct little *l = user;
	(void)bytes;
	for (size_t k = 0; k < count; k++)
		vm_pause(l->vm, bytes[k] == 'p');
	return 0;
}

static void a_pause_stops_the_guest_and_its_clock(void **state)
{
	struct little l;
	(void)state;
	LITTLE(&l, "\x40\xEB\xFD");
	vm_pause(l.vm, true);
	uint64_t before = vm_now(l.vm), ran = cpu_instructions(vm_cpu(l.vm));
	pthread_t thread;
	pthread_create(&thread, NULL, kick_later, l.vm);
	assert_int_equal(vm_run(l.vm), VM_KICKED);
	pthread_join(thread, NULL);
	assert_int_equal(vm_now(l.vm), before);
	assert_int_equal(cpu_instructions(vm_cpu(l.vm)), ran);
	vm_pause(l.vm, false);
	assert_true(vm_now(l.vm) - before < 100000000u);
	little_end(&l);
}

static void the_filter_may_pause_and_go_on(void **state)
{
	struct little l;
	int in[2];
	(void)state;
	assert_int_equal(pipe(in), 0);
	little_config(&l, "\xB9\x00\x00\x40\x00\x49\x75\xFD" EXIT("\x01") FOREVER, 14);
	l.config.console.in = in[0];
	l.config.console.user = &l;
	l.config.console.filter = pause_filter;
	l.config.paused = true;
	little_make(&l);
	assert_int_equal(write(in[1], "pgpg", 4), 4);
	assert_int_equal(vm_run(l.vm), VM_DEBUG_EXIT);
	little_end(&l);
	close(in[0]), close(in[1]);
}

static void *run_little(void *arg)
{
	struct little *l = arg;
	return (void *)(uintptr_t)(vm_run(l->vm) == VM_DEBUG_EXIT ? vm_exit_code(l->vm) : 0);
}

static void two_machines_run_in_one_process(void **state)
{
	struct little l[2];
	pthread_t thread[2];
	void *code[2];
	(void)state;
	LITTLE(&l[0], "\xB9\x00\x00\x08\x00\xFF\x05\x00\x00\x20\x00\x49\x75\xF7"
	              "\xA1\x00\x00\x20\x00\xC1\xE8\x0C" EXIT_AL FOREVER); /* 0x80000 >> 12 = 0x80 */
	LITTLE(&l[1], "\xB9\x00\x00\x04\x00\xFF\x05\x00\x00\x20\x00\x49\x75\xF7"
	              "\xA1\x00\x00\x20\x00\xC1\xE8\x0C" EXIT_AL FOREVER); /* 0x40000 >> 12 = 0x40 */
	for (int k = 0; k < 2; k++)
		pthread_create(&thread[k], NULL, run_little, &l[k]);
	for (int k = 0; k < 2; k++)
		pthread_join(thread[k], &code[k]);
	assert_int_equal((uintptr_t)code[0] & 0xFF, (0x80 * 2 + 1) & 0xFF);
	assert_int_equal((uintptr_t)code[1] & 0xFF, 0x40 * 2 + 1);
	little_end(&l[0]);
	little_end(&l[1]);
}

static int on_portable(void **state)
{
	(void)state;
	engine = VM_ENGINE_PORTABLE;
	return 0;
}

static int on_direct(void **state)
{
	(void)state;
	engine = VM_ENGINE_DIRECT;
	return 0;
}

#define BOTH(f) cmocka_unit_test_setup(f, on_portable), { #f "_directly", f, on_direct, NULL, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(power_off_ends_the_run),
		BOTH(debug_exit_carries_a_code),
		BOTH(a_triple_fault_ends_with_registers),
		BOTH(halted_with_interrupts_off_is_stuck),
		BOTH(endless_loops_with_interrupts_off_are_proven),
		BOTH(a_loop_that_counts_is_left_to_the_watchdog),
		BOTH(a_loop_that_counts_in_a_system_register_is_not_proven_endless),
		BOTH(without_a_watchdog_a_counting_loop_goes_on),
		BOTH(a_reset_ends_or_loads_again),
		BOTH(an_image_that_is_gone_at_reset_ends_the_run),
		BOTH(absent_memory_reads_ones_and_swallows_writes),
		BOTH(the_a20_gate_folds_odd_mebibytes),
		BOTH(physical_reads_end_where_memory_ends),
		BOTH(impossible_sizes_are_refused),
		BOTH(input_reaches_the_guest_and_output_comes_back),
		BOTH(a_reader_that_went_away_ends_the_run),
		BOTH(a_reader_that_does_not_read_blocks_nobody),
		BOTH(a_full_disk_ends_the_run),
		BOTH(an_idle_guest_sleeps_and_a_kick_wakes_it),
		BOTH(a_pause_stops_the_guest_and_its_clock),
		BOTH(the_clock_never_jumps_while_the_guest_could_run),
		BOTH(the_filter_may_pause_and_go_on),
		BOTH(two_machines_run_in_one_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
