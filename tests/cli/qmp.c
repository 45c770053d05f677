/* SPDX-License-Identifier: MIT */
/*
 * tests/cli/qmp.c - a real run and its sockets: sessions as QEMU's clients hold them, events, ends, people and programs at
 * the same time.
 *
 *   1. A run with sockets
 *   2. A client
 *   3. Programs       -qmp
 *   4. People         -monitor
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/lib/image.h"
#include "tests/lib/tap.h"

/* ---- 1. A run with sockets ------------------------------------------------------------------ */

#define PATIENCE_S 60

/* Each does one thing and is an image of its own. */
#define WAITS "\xFA\xEB\xFE"                                  /* cli; jmp . */
#define COUNTS "\xFF\x05\x00\x00\x20\x00\xEB\xF8"             /* incl 0x200000; jmp back */
#define POWERS_OFF "\x66\xBA\x04\x06\x66\xB8\x00\x20\x66\xEF\xEB\xFE"
#define RESETS "\xB0\xFE\xE6\x64\xEB\xFE"                     /* the keyboard controller's */
#define FAULTS "\x0F\x0B"                                     /* ud2 without an IDT: a triple fault */

struct running {
	struct loading files;
	pid_t child;
	int err;                 /* its standard error */
	char qmp[64], monitor[64];
};

/* `more`: words separated by blanks. */
static void run_start(struct running *r, const void *code, size_t bytes, const char *more)
{
	struct made *m = calloc(1, sizeof *m);
	const uint32_t flags = 1u << 16 | 3;
	const uint32_t header[8] = { 0x1BADB002, flags, 0u - 0x1BADB002 - flags, 0x100000, 0x100000, 0, 0, 0x100020 };
	const char *build = getenv("BUILD");
	char program[300], words[300], qmp[100], monitor[100];
	char *argv[30] = { program, "run", "-m", "16", "-serial", "null", "-qmp", qmp, "-monitor", monitor };
	int count = 10, err[2];
	memset(r, 0, sizeof *r);
	made_copy(m, 0, header, sizeof header);
	made_copy(m, 32, code, bytes);
	loading_start(&r->files, 1u << 20);
	char *image = strdup(loading_file(&r->files, 0, m->bytes, m->size));
	free(m);
	snprintf(program, sizeof program, "%s/umbra", build ? build : "build");
	snprintf(r->qmp, sizeof r->qmp, "/tmp/umbra-qmp-%d", (int)getpid());
	snprintf(r->monitor, sizeof r->monitor, "/tmp/umbra-monitor-%d", (int)getpid());
	snprintf(qmp, sizeof qmp, "unix:%s,server,nowait", r->qmp);
	snprintf(monitor, sizeof monitor, "unix:%s", r->monitor);
	snprintf(words, sizeof words, "%s", more);
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[count++] = word;
	argv[count++] = image;
	assert_int_equal(pipe(err), 0);
	r->child = fork();
	assert_true(r->child >= 0);
	if (r->child == 0) {
		dup2(err[1], 2);
		execv(program, argv);
		_exit(127);
	}
	close(err[1]);
	r->err = err[0];
	free(image);
}

/* Its exit status; 128 and a signal if that ended it. */
static int run_end(struct running *r)
{
	int status = 0;
	pid_t ended = 0;
	for (unsigned ms = 0; ms < PATIENCE_S * 1000 && !ended; ms++) {
		ended = waitpid(r->child, &status, WNOHANG);
		if (!ended)
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	if (!ended) {
		kill(r->child, SIGKILL);
		waitpid(r->child, &status, 0);
		fail_msg("it did not end");
	}
	assert_int_not_equal(access(r->qmp, F_OK), 0);
	assert_int_not_equal(access(r->monitor, F_OK), 0);
	close(r->err);
	loading_end(&r->files);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- 2. A client ---------------------------------------------------------------------------- */

struct peer {
	FILE *in;
	int fd;
};

static void peer_take(struct peer *p, int fd)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	p->fd = fd;
	p->in = fdopen(dup(fd), "r");
	assert_non_null(p->in);
}

static void peer_connect(struct peer *p, const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = -1;
	strcpy(name.sun_path, path);
	for (unsigned ms = 0; ms < PATIENCE_S * 1000 && fd < 0; ms++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&name, sizeof name) == 0)
			break;
		close(fd);
		fd = -1;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	assert_true(fd >= 0);
	peer_take(p, fd);
}

static void peer_close(struct peer *p)
{
	fclose(p->in);
	close(p->fd);
}

static void say(struct peer *p, const char *text)
{
	assert_int_equal(send(p->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The next message; NULL: the end. */
static json_t *hear(struct peer *p)
{
	char *line = NULL;
	size_t room = 0;
	json_error_t error;
	ssize_t length = getline(&line, &room, p->in);
	json_t *message = length > 0 ? json_loads(line, 0, &error) : NULL;
	if (length > 0 && !message)
		fail_msg("'%s': %s", line, error.text);
	free(line);
	return message;
}

static void expect_event(struct peer *p, const char *name, const char *reason, bool guest)
{
	json_t *event = hear(p), *data = json_object_get(event, "data"), *stamp = json_object_get(event, "timestamp");
	if (!event || strcmp(json_string_value(json_object_get(event, "event")) ?: "", name) != 0)
		fail_msg("not %s: %s", name, json_dumps(event, JSON_ENCODE_ANY));
	assert_true(json_integer_value(json_object_get(stamp, "seconds")) > 0);
	assert_true(json_integer_value(json_object_get(stamp, "microseconds")) < 1000000);
	if (reason) {
		assert_string_equal(json_string_value(json_object_get(data, "reason")), reason);
		assert_int_equal(json_is_true(json_object_get(data, "guest")), guest);
	}
	json_decref(event);
}

static void expect_return(struct peer *p)
{
	json_t *answer = hear(p);
	if (!json_object_get(answer, "return"))
		fail_msg("%s", json_dumps(answer, JSON_ENCODE_ANY));
	json_decref(answer);
}

static void negotiate(struct peer *p, const char *path)
{
	peer_connect(p, path);
	json_t *greeting = hear(p);
	assert_non_null(json_object_get(greeting, "QMP"));
	json_decref(greeting);
	say(p, "{\"execute\":\"qmp_capabilities\"}\n");
	expect_return(p);
}

/* ---- 3. Programs ---------------------------------------------------------------------------- */

static void a_session_hears_of_stop_resume_reset_and_the_end(void **state)
{
	struct running r;
	struct peer p, late;
	(void)state;
	run_start(&r, COUNTS, sizeof COUNTS - 1, "-S");
	negotiate(&p, r.qmp);
	say(&p, "{\"execute\":\"cont\"}\n");
	expect_event(&p, "RESUME", NULL, false);
	expect_return(&p);
	say(&p, "{\"execute\":\"stop\"}\n{\"execute\":\"stop\"}\n"); /* the second one changes nothing */
	expect_event(&p, "STOP", NULL, false);
	expect_return(&p);
	expect_return(&p);
	/* While it is stopped too. */
	say(&p, "{\"execute\":\"system_reset\"}\n");
	expect_return(&p);
	expect_event(&p, "RESET", "host-qmp-system-reset", false);
	/* One that has not said what it can do yet hears nothing. */
	peer_connect(&late, r.qmp);
	json_decref(hear(&late));
	say(&p, "{\"execute\":\"cont\"}\n");
	expect_event(&p, "RESUME", NULL, false);
	expect_return(&p);
	say(&late, "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\",\"id\":\"bye\"}\n");
	expect_return(&late);
	json_t *answer = hear(&late);
	assert_string_equal(json_string_value(json_object_get(answer, "id")), "bye");
	json_decref(answer);
	expect_event(&late, "SHUTDOWN", "host-qmp-quit", false);
	expect_event(&p, "SHUTDOWN", "host-qmp-quit", false);
	assert_null(hear(&p));
	assert_int_equal(run_end(&r), 0);
	peer_close(&p);
	peer_close(&late);
}

static void each_end_has_its_reason(void **state)
{
	static const struct {
		const char *code;
		size_t bytes;
		const char *more, *reason;
		bool guest;
		int status;
	} ends[] = {
		{ POWERS_OFF, sizeof POWERS_OFF - 1, "-S", "guest-shutdown", true, 0 },
		{ RESETS, sizeof RESETS - 1, "-S -no-reboot", "guest-reset", true, 0 },
		{ FAULTS, sizeof FAULTS - 1, "-S", "guest-panic", true, 6 },
		{ WAITS, sizeof WAITS - 1, "-S", "guest-panic", true, 8 },
	};
	(void)state;
	for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++) {
		struct running r;
		struct peer p;
		run_start(&r, ends[k].code, ends[k].bytes, ends[k].more);
		negotiate(&p, r.qmp);
		say(&p, "{\"execute\":\"cont\"}\n");
		expect_event(&p, "RESUME", NULL, false);
		expect_return(&p);
		expect_event(&p, "SHUTDOWN", ends[k].reason, ends[k].guest);
		assert_int_equal(run_end(&r), ends[k].status);
		peer_close(&p);
	}
}

/* -no-shutdown: the end is told, the machine stays, for the monitor too; a reset starts it anew, quit ends it as it ended. */
static void a_kept_machine_is_looked_at_and_starts_anew(void **state)
{
	static const struct {
		const char *code;
		size_t bytes;
		const char *more, *reason, *status;
		int exit;
	} ends[] = {
		{ FAULTS, sizeof FAULTS - 1, "-S -no-shutdown -no-reboot", "guest-panic", "guest-panicked", 6 },
		{ WAITS, sizeof WAITS - 1, "-S -no-shutdown", "guest-panic", "guest-panicked", 8 },
		{ RESETS, sizeof RESETS - 1, "-S -no-shutdown -no-reboot", "guest-reset", "shutdown", 0 },
	};
	(void)state;
	for (size_t k = 0; k < sizeof ends / sizeof ends[0]; k++) {
		struct running r;
		struct peer p;
		run_start(&r, ends[k].code, ends[k].bytes, ends[k].more);
		negotiate(&p, r.qmp);
		say(&p, "{\"execute\":\"cont\"}\n");
		expect_event(&p, "RESUME", NULL, false);
		expect_return(&p);
		for (unsigned again = 0; again < 2; again++) {
			expect_event(&p, "SHUTDOWN", ends[k].reason, true);
			expect_event(&p, "STOP", NULL, false);
			say(&p, "{\"execute\":\"query-status\"}\n");
			json_t *answer = hear(&p);
			const char *status =
				json_string_value(json_object_get(json_object_get(answer, "return"), "status"));
			assert_string_equal(status ? status : "none", ends[k].status);
			json_decref(answer);
			say(&p, "{\"execute\":\"cont\"}\n");
			answer = hear(&p);
			assert_non_null(json_object_get(answer, "error"));
			json_decref(answer);
			if (again)
				break;
			say(&p, "{\"execute\":\"system_reset\"}\n");
			expect_event(&p, "RESUME", NULL, false);
			expect_return(&p);
			expect_event(&p, "RESET", "host-qmp-system-reset", false);
		}
		say(&p, "{\"execute\":\"quit\"}\n");
		expect_return(&p);
		expect_event(&p, "SHUTDOWN", "host-qmp-quit", false);
		assert_int_equal(run_end(&r), ends[k].exit);
		peer_close(&p);
	}
}

static void the_reset_button_ends_a_run_without_reboot(void **state)
{
	struct running r;
	struct peer p;
	(void)state;
	run_start(&r, COUNTS, sizeof COUNTS - 1, "-no-reboot");
	negotiate(&p, r.qmp);
	say(&p, "{\"execute\":\"system_reset\"}\n");
	expect_return(&p);
	expect_event(&p, "SHUTDOWN", "host-qmp-system-reset", false);
	assert_int_equal(run_end(&r), 0);
	peer_close(&p);
}

static void a_signal_is_an_end_too(void **state)
{
	struct running r;
	struct peer p;
	(void)state;
	run_start(&r, COUNTS, sizeof COUNTS - 1, "");
	negotiate(&p, r.qmp);
	kill(r.child, SIGTERM);
	expect_event(&p, "SHUTDOWN", "host-signal", false);
	assert_int_equal(run_end(&r), 128 + SIGTERM);
	peer_close(&p);
}

/* The reset of a guest that resets itself for ever is told each time, and commands come between. */
static void a_guest_that_resets_itself_is_served(void **state)
{
	struct running r;
	struct peer p;
	unsigned resets = 0, answers = 0;
	(void)state;
	run_start(&r, RESETS, sizeof RESETS - 1, "");
	negotiate(&p, r.qmp);
	say(&p, "{\"execute\":\"query-status\"}\n{\"execute\":\"quit\"}\n");
	for (json_t *message; (message = hear(&p)) != NULL; json_decref(message)) {
		const char *event = json_string_value(json_object_get(message, "event"));
		resets += event && strcmp(event, "RESET") == 0;
		answers += json_object_get(message, "return") != NULL;
	}
	assert_true(resets > 0 && answers == 2);
	assert_int_equal(run_end(&r), 0);
	peer_close(&p);
}

static void a_tcp_port_is_this_machines_only(void **state)
{
	struct running r;
	struct peer p;
	char line[200] = "";
	unsigned port = 0;
	(void)state;
	run_start(&r, COUNTS, sizeof COUNTS - 1, "-gdb tcp::0");
	for (size_t k = 0; k < sizeof line - 1 && read(r.err, line + k, 1) == 1 && line[k] != '\n'; k++)
		;
	assert_int_equal(sscanf(line, "umbra: -gdb: tcp:127.0.0.1:%u", &port), 1);
	struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
	close(fd);
	/* Another address of this machine's own is not listened to. */
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_not_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
	close(fd);
	negotiate(&p, r.qmp);
	say(&p, "{\"execute\":\"quit\"}\n");
	assert_int_equal(run_end(&r), 0);
	peer_close(&p);
}

/* ---- 4. People ------------------------------------------------------------------------------ */

/* Reads up to and with `text`. */
static void expect_text(struct peer *p, const char *text)
{
	static char said[1 << 16];
	size_t length = 0;
	int byte;
	while (length < sizeof said - 1 && (byte = fgetc(p->in)) != EOF) {
		said[length++] = (char)byte;
		said[length] = 0;
		if (length >= strlen(text) && strcmp(said + length - strlen(text), text) == 0)
			return;
	}
	fail_msg("'%s' lacks '%s'", said, text);
}

static void people_have_a_prompt_beside_programs(void **state)
{
	struct running r;
	struct peer program, person, other;
	char much[5000];
	(void)state;
	run_start(&r, COUNTS, sizeof COUNTS - 1, "");
	negotiate(&program, r.qmp);
	peer_connect(&person, r.monitor);
	peer_connect(&other, r.monitor);
	expect_text(&person, "(umbra) ");
	expect_text(&other, "(umbra) ");
	say(&person, "info version\r\nprint 1+1\n");
	expect_text(&person, "umbra 0.1\n(umbra) 0x2\n(umbra) ");
	say(&person, "stop\n");
	expect_text(&person, "(umbra) ");
	expect_event(&program, "STOP", NULL, false);
	memset(much, 'x', sizeof much);
	much[sizeof much - 1] = 0;
	say(&other, much);
	say(&other, "\nprint 2\n");
	expect_text(&other, "too long: 4095 bytes at most\n(umbra) 0x2\n(umbra) ");
	say(&other, "\xff\xfe\x00half");
	peer_close(&other);
	say(&person, "cont\nquit\n");
	expect_event(&program, "RESUME", NULL, false);
	expect_event(&program, "SHUTDOWN", "host-qmp-quit", false);
	assert_int_equal(run_end(&r), 0);
	peer_close(&program);
	peer_close(&person);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_hears_of_stop_resume_reset_and_the_end),
		cmocka_unit_test(each_end_has_its_reason),
		cmocka_unit_test(a_kept_machine_is_looked_at_and_starts_anew),
		cmocka_unit_test(the_reset_button_ends_a_run_without_reboot),
		cmocka_unit_test(a_signal_is_an_end_too),
		cmocka_unit_test(a_guest_that_resets_itself_is_served),
		cmocka_unit_test(a_tcp_port_is_this_machines_only),
		cmocka_unit_test(people_have_a_prompt_beside_programs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
