/* SPDX-License-Identifier: MIT */
/*
 * tests/access/direct_confine.c - after direct_confine() the host's kernel takes no call from translated code: a child
 * with an engine of its own makes one, from here and there, and lives or does not.
 */
#include <setjmp.h>
#include <signal.h> /* before cpu/internal.h, which has a raise() of its own */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "direct/internal.h"
#include "tests/lib/direct_rig.h"
#include "tests/lib/tap.h"

/* ---- A child --------------------------------------------------------------------------------- */

static struct direct *make_engine(void)
{
	static const struct direct_rig_config config = { .name = "confine", .direct_options = DIRECT_OPT_ALL,
		.cpu_options = CPU_OPT_ALL, .um_options = UM_OPT_ALL, .worlds = 2 };
	const char *why;
	struct direct_rig *rig = direct_rig_new(&config, &why);

	return rig ? rig->direct.direct : NULL;
}

enum { NO_ENGINE = 77, NO_FILTER, FINE };

/* How a child ended that did this: its status, or 256 and the signal. */
static int child(bool confined, void (*does)(struct direct *d))
{
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct direct *d = make_engine();
		/* Whoever catches faults for the tests does not for this. */
		for (int n = 1; n < 32; n++)
			signal(n, SIG_DFL);
		if (!d)
			_exit(NO_ENGINE);
		if (confined && direct_confine(d))
			_exit(NO_FILTER);
		does(d);
		_exit(FINE);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void ends(int wanted, bool confined, void (*does)(struct direct *d))
{
	int how = child(confined, does);

	if (how == NO_ENGINE || how == NO_FILTER) {
		print_message("# no %s here\n", how == NO_ENGINE ? "direct engine" : "seccomp filter");
		skip();
	}
	assert_int_equal(how, wanted);
}

/* ---- What it does ---------------------------------------------------------------------------- */

static void nothing(struct direct *d) { (void)d; }

static void other_calls(struct direct *d)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)d;
	if (p == MAP_FAILED || munmap(p, 4096) != 0 || getppid() <= 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		_exit(1);
}

/* getppid() by `syscall; ret` at this place of the cache. */
static void call_from(struct direct *d, uint32_t at)
{
	static const uint8_t code[] = { 0x0F, 0x05, 0xC3 };
	long result = SYS_getppid;
	uint8_t *to = d->code + at;

	memcpy(to + d->to_write, code, sizeof(code));
	__asm__ volatile("call *%1" : "+a"(result) : "r"(to) : "rcx", "r11", "memory", "cc");
	if (result <= 0)
		_exit(1);
}
static void call_from_the_start(struct direct *d) { call_from(d, 0); }
static void call_from_the_middle(struct direct *d) { call_from(d, CACHE_BYTES / 2 + 5); }
static void call_from_the_end(struct direct *d) { call_from(d, CACHE_BYTES - 3); }

/* As before, in memory that is just after where the cache was, or as near as can be. */
static void call_from_beside(struct direct *d)
{
	uint8_t *wanted = d->code + CACHE_BYTES, *page;
	static const uint8_t code[] = { 0x0F, 0x05, 0xC3 };
	long result = SYS_getppid;

	page = mmap(wanted, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page == MAP_FAILED)
		page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		_exit(1);
	memcpy(page, code, sizeof(code));
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC) != 0)
		_exit(1);
	__asm__ volatile("call *%1" : "+a"(result) : "r"(page) : "rcx", "r11", "memory", "cc");
	if (result <= 0)
		_exit(1);
}

static void call_as_i386(struct direct *d)
{
	long result = 20; /* getpid */

	(void)d;
	__asm__ volatile("int $0x80" : "+a"(result) : : "memory", "cc", "r8", "r9", "r10", "r11");
}

/* The addresses stay taken. */
static void freed(struct direct *d)
{
	uint8_t *code = d->code;

	direct_free(d);
	if (mmap(code, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)code)
		_exit(1);
}

/* ---- The tests ------------------------------------------------------------------------------- */

static void the_process_goes_on(void **state)
{
	(void)state;
	ends(FINE, true, nothing);
	ends(FINE, true, other_calls);
	ends(FINE, true, call_from_beside);
}

static void a_call_from_the_cache_ends_it(void **state)
{
	static void (*const from[])(struct direct *) = { call_from_the_start, call_from_the_middle, call_from_the_end };

	(void)state;
	for (unsigned n = 0; n < sizeof(from) / sizeof(from[0]); n++) {
		ends(FINE, false, from[n]);
		ends(256 + SIGSYS, true, from[n]);
	}
}

static void a_call_as_i386_ends_it(void **state)
{
	int without = child(false, call_as_i386);

	(void)state;
	if (without != FINE) {
		print_message("# there are none on this host\n");
		skip();
	}
	ends(256 + SIGSYS, true, call_as_i386);
}

static void the_addresses_stay_taken(void **state)
{
	(void)state;
	ends(FINE, true, freed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_process_goes_on),
		cmocka_unit_test(a_call_from_the_cache_ends_it),
		cmocka_unit_test(a_call_as_i386_ends_it),
		cmocka_unit_test(the_addresses_stay_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
