/* SPDX-License-Identifier: MIT */
/*
 * tests/cli/terminal.c - umbra on a terminal: raw while it runs, sane after every way out.
 *
 *   1. A terminal with umbra on it
 *   2. Ways out
 *   3. The escape key and the monitor
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "direct/direct.h"
#include "tests/lib/image.h"
#include "tests/lib/tap.h"

/* ---- 1. A terminal with umbra on it --------------------------------------------------------- */

#define PATIENCE_MS 20000

/* Says OK, then sends back each byte one higher, for ever. */
static const char guest[] = "\xB0O\x66\xBA\xF8\x03\xEE\xB0K\xEE"
			    "\x66\xBA\xFD\x03\xEC\xA8\x01\x74\xFB\x66\xBA\xF8\x03\xEC\xFE\xC0\xEE\xEB\xED";

struct session {
	struct loading files;
	int master, slave; /* we keep the slave open: its modes outlive umbra */
	pid_t child;
	int shell;         /* started in the background: a byte brings it to the foreground; or -1 */
	struct termios before;
	size_t length;
	char said[65536];
};

/* A shell with job control, as much as is needed: umbra in a process group of its own, in the background until a byte
 * comes.  (As bash does it: one that runs gets no SIGCONT.)  A job that is stopped is status 99. */
static void be_shell(int orders, const char *program, char **argv)
{
	int status = 0;
	char byte;
	signal(SIGTTOU, SIG_IGN);
	pid_t job = fork();
	if (job == 0) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_DFL);
		execv(program, argv);
		_exit(127);
	}
	setpgid(job, job);
	if (read(orders, &byte, 1) == 1) {
		if (waitpid(job, &status, WNOHANG | WUNTRACED) == 0)
			tcsetpgrp(0, job);
		else
			_exit(99);
	}
	waitpid(job, &status, WUNTRACED);
	tcsetpgrp(0, getpgrp());
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

static void start_job(struct session *s, bool background, const char *option, const char *value)
{
	static struct made m;
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0,
		                     0x100020 };
	char program[512];
	const char *build = getenv("BUILD");
	memset(s, 0, sizeof *s);
	memset(&m, 0, sizeof m);
	made_copy(&m, 0, header, sizeof header);
	made_copy(&m, 32, guest, sizeof guest - 1);
	loading_start(&s->files, 1u << 20);
	const char *image = loading_file(&s->files, 0, m.bytes, m.size);
	snprintf(program, sizeof program, "%s/umbra", build ? build : "build");
	s->master = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(s->master >= 0 && grantpt(s->master) == 0 && unlockpt(s->master) == 0);
	const char *name = ptsname(s->master);
	s->slave = open(name, O_RDWR | O_NOCTTY);
	assert_true(s->slave >= 0);
	assert_int_equal(tcgetattr(s->slave, &s->before), 0);
	int orders[2];
	assert_int_equal(pipe(orders), 0);
	s->shell = orders[1];
	s->child = fork();
	assert_true(s->child >= 0);
	if (s->child == 0) {
		close(s->master);
		setsid();
		ioctl(s->slave, TIOCSCTTY, 0);
		for (int fd = 0; fd < 3; fd++)
			dup2(s->slave, fd);
		if (s->slave > 2)
			close(s->slave);
		close(orders[1]);
		char *argv[] = { program, "run", (char *)image, "-m", "16", (char *)option, (char *)value, NULL };
		if (background)
			be_shell(orders[0], program, argv);
		close(orders[0]);
		execv(program, argv);
		_exit(127);
	}
	close(orders[0]);
}

static void start(struct session *s, const char *option, const char *value)
{
	start_job(s, false, option, value);
}

/* Read until `text` was said. */
static void expect(struct session *s, const char *text)
{
	while (!strstr(s->said, text)) {
		struct pollfd ready = { .fd = s->master, .events = POLLIN };
		if (poll(&ready, 1, PATIENCE_MS) <= 0)
			fail_msg("no '%s' in '%s'", text, s->said);
		ssize_t got = read(s->master, s->said + s->length, sizeof s->said - 1 - s->length);
		if (got <= 0)
			fail_msg("the terminal closed before '%s': '%s'", text, s->said);
		s->length += (size_t)got;
	}
}

static void type(struct session *s, const char *keys)
{
	s->length = 0;
	memset(s->said, 0, sizeof s->said);
	assert_int_equal(write(s->master, keys, strlen(keys)), strlen(keys));
}

static bool is_raw(const struct session *s)
{
	struct termios now;
	assert_int_equal(tcgetattr(s->slave, &now), 0);
	return !(now.c_lflag & (ICANON | ECHO));
}

static int wait_end(struct session *s)
{
	int status = 0;
	for (int ms = 0; ms < PATIENCE_MS; ms += 10) {
		char drain[4096];
		struct pollfd ready = { .fd = s->master, .events = POLLIN };
		if (s->master >= 0 && poll(&ready, 1, 0) > 0 && read(s->master, drain, sizeof drain) < 0)
			errno = 0;
		if (waitpid(s->child, &status, WNOHANG) == s->child) {
			s->child = 0;
			return status;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	kill(s->child, SIGKILL);
	waitpid(s->child, &status, 0);
	fail_msg("umbra did not end");
	return status;
}

static void finish(struct session *s)
{
	struct termios now;
	assert_int_equal(tcgetattr(s->slave, &now), 0);
	assert_int_equal(now.c_lflag, s->before.c_lflag);
	assert_int_equal(now.c_iflag, s->before.c_iflag);
	assert_int_equal(now.c_oflag, s->before.c_oflag);
	if (s->master >= 0)
		close(s->master);
	close(s->slave);
	close(s->shell);
	loading_end(&s->files);
}

/* ---- 2. Ways out ---------------------------------------------------------------------------- */

static void signals_end_the_run_and_restore_the_terminal(void **state)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGSEGV, SIGABRT };
	static struct session s;
	(void)state;
	for (size_t k = 0; k < 2 * sizeof signals / sizeof signals[0]; k++) {
		start(&s, "-engine", k % 2 ? "auto" : "portable");
		expect(&s, "OK");
		assert_true(is_raw(&s));
		kill(s.child, signals[k / 2]);
		int status = wait_end(&s);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[k / 2]);
		finish(&s);
	}
}

static void a_stop_gives_the_terminal_back_until_we_go_on(void **state)
{
	static struct session s;
	int status;
	(void)state;
	start(&s, "-serial", "mon:stdio");
	expect(&s, "OK");
	kill(s.child, SIGTSTP);
	assert_int_equal(waitpid(s.child, &status, WUNTRACED), s.child);
	assert_true(WIFSTOPPED(status));
	assert_false(is_raw(&s));
	kill(s.child, SIGCONT);
	type(&s, "a");
	expect(&s, "b");
	assert_true(is_raw(&s));
	type(&s, "\x01x");
	assert_int_equal(wait_end(&s), 0);
	finish(&s);
}

static void in_the_background_it_runs_and_leaves_the_terminal_alone(void **state)
{
	static struct session s;
	static const char *const engines[] = { "auto", "portable" };
	(void)state;
	for (size_t k = 0; k < 2; k++) {
		start_job(&s, true, "-engine", engines[k]);
		expect(&s, "OK");
		type(&s, "a\n"); /* the foreground's, which is the shell, and does not read it */
		expect(&s, "a");
		nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
		assert_false(is_raw(&s));
		assert_null(strchr(s.said, 'b'));
		assert_int_equal(write(s.shell, "f", 1), 1);
		expect(&s, "b");
		assert_true(is_raw(&s));
		type(&s, "c");
		expect(&s, "d");
		type(&s, "\x01x");
		assert_int_equal(wait_end(&s), 0);
		finish(&s);
	}
}

static void a_closed_terminal_ends_the_run(void **state)
{
	static struct session s;
	(void)state;
	start(&s, "-serial", "mon:stdio");
	expect(&s, "OK");
	close(s.slave);
	close(s.master);
	close(s.shell);
	s.master = -1;
	int status = wait_end(&s);
	assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP) ||
	            (WIFEXITED(status) && WEXITSTATUS(status) == 12));
	loading_end(&s.files);
}

static void control_c_goes_to_the_guest_or_ends_as_asked(void **state)
{
	static struct session s;
	(void)state;
	start(&s, "-serial", "mon:stdio");
	expect(&s, "OK");
	type(&s, "\x03");
	expect(&s, "\x04");
	type(&s, "\x01x");
	assert_int_equal(wait_end(&s), 0);
	finish(&s);

	start(&s, "-serial", "stdio");
	expect(&s, "OK");
	type(&s, "\x03");
	int status = wait_end(&s);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	finish(&s);
}

/* ---- 3. The escape key and the monitor ------------------------------------------------------ */

static void the_escape_key_leaves_helps_and_sends_itself(void **state)
{
	static struct session s;
	(void)state;
	start(&s, "-serial", "mon:stdio");
	expect(&s, "OK");
	type(&s, "\x01h");
	expect(&s, "Ctrl-A x");
	type(&s, "\x01\x01");
	expect(&s, "\x02");
	type(&s, "\x01"); /* the key and its command may come apart */
	type(&s, "x");
	assert_int_equal(wait_end(&s), 0);
	finish(&s);
}

static void the_monitor_shows_stops_and_leaves(void **state)
{
	static const struct { const char *line, *answer; } talk[] = {
		{ "info registers\r", "eip=" },
		{ "info shadow\r", "shadow entries in" },
		{ "info stats\r", "prefetch used" },
		{ "info irq\r", "(umbra) " },
		{ "x/2xw 0x100000\r", "00100000: 0x1badb002 0x00010003" },
		{ "xp/4xb 0x100000\r", "00100000: 0x02 0xb0 0xad 0x1b" },
		{ "xp /2xb 0x100002\r", "00100002: 0xad 0x1b" },
		{ "x/2i 0x100020\r", "00100022: mov $0x3F8" },
		{ "xp/1xw 0xF0000000\r", "no memory there" },
		{ "x/1xq 0\r", "x/COUNT" },
		{ "hlep\x7F\x7F\x7F" "elp\r", "guest-physical memory" },
		{ "dance\r", "unknown command 'dance'" },
		{ "info\r", "registers, mem" },
	};
	static struct session s;
	(void)state;
	start(&s, "-serial", "mon:stdio");
	expect(&s, "OK");
	type(&s, "\x01" "c");
	expect(&s, "(umbra) ");
	for (size_t k = 0; k < sizeof talk / sizeof talk[0]; k++) {
		type(&s, talk[k].line);
		expect(&s, talk[k].answer);
	}
	type(&s, "stop\r");
	expect(&s, "(umbra) ");
	type(&s, "\x01" "cA"); /* back to the guest, which is stopped: no answer yet */
	expect(&s, "\r\n");
	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	assert_null(strchr(s.said, 'B'));
	type(&s, "\x01" "ccont\r\x01" "c");
	expect(&s, "B");
	type(&s, "\x01" "cquit\r");
	assert_int_equal(wait_end(&s), 0);
	finish(&s);
}

static void the_monitor_changes_the_engine(void **state)
{
	static struct session s;
	(void)state;
	start(&s, "-engine", "portable");
	expect(&s, "OK");
	type(&s, "\x01" "cengine\r");
	expect(&s, "the portable engine runs the guest");
	type(&s, "engine direct\r");
	expect(&s, "(-engine portable)");
	type(&s, "engine both\r");
	expect(&s, "engine, engine direct or");
	type(&s, "q\r");
	assert_int_equal(wait_end(&s), 0);
	finish(&s);
	if (direct_probe())
		skip();
	start(&s, "-engine", "auto");
	expect(&s, "OK");
	for (unsigned k = 0; k < 6; k++) {
		type(&s, k % 2 ? "\x01" "cengine portable\r\x01" "c" : "\x01" "cengine direct\r\x01" "c");
		expect(&s, k % 2 ? "the portable engine runs" : "the direct engine runs");
		type(&s, "a");
		expect(&s, "b");
	}
	type(&s, "\x01x");
	assert_int_equal(wait_end(&s), 0);
	finish(&s);
}

static void a_guest_may_start_paused(void **state)
{
	static struct session s;
	(void)state;
	start(&s, "-S", "-no-reboot");
	nanosleep(&(struct timespec){ .tv_nsec = 300000000 }, NULL);
	type(&s, "\x01" "c");
	expect(&s, "(umbra) ");
	assert_null(strstr(s.said, "OK"));
	type(&s, "cont\r");
	expect(&s, "OK");
	type(&s, "q\r");
	assert_int_equal(wait_end(&s), 0);
	finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(signals_end_the_run_and_restore_the_terminal),
		cmocka_unit_test(a_stop_gives_the_terminal_back_until_we_go_on),
		cmocka_unit_test(in_the_background_it_runs_and_leaves_the_terminal_alone),
		cmocka_unit_test(a_closed_terminal_ends_the_run),
		cmocka_unit_test(control_c_goes_to_the_guest_or_ends_as_asked),
		cmocka_unit_test(the_escape_key_leaves_helps_and_sends_itself),
		cmocka_unit_test(the_monitor_shows_stops_and_leaves),
		cmocka_unit_test(the_monitor_changes_the_engine),
		cmocka_unit_test(a_guest_may_start_paused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
