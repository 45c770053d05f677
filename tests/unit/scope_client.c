/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_client.c - the client of a -qmp socket, against servers that are none, or leave in the middle.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "scope/client.h"
#include "tests/lib/tap.h"

#define GREETING "{\"QMP\":{\"version\":{\"qemu\":{\"major\":0,\"minor\":1,\"micro\":0},\"package\":\"\"},\"capabilities\":[]}}\r\n"
#define EVENT "{\"event\":\"STOP\",\"timestamp\":{\"seconds\":1,\"microseconds\":2}}\r\n"

/* A server that says its lines, one more after each that it hears, and hangs up. */
struct server_script {
	const char *say[4];
	bool flood;          /* then brackets without end, until nobody listens */
	int fd;
	char path[64];
	pthread_t thread;
};

static void say_all(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void *serve(void *script)
{
	struct server_script *s = script;
	char buf[65536];
	int fd = accept(s->fd, NULL, NULL);
	for (int k = 0; k < 4 && s->say[k]; k++) {
		say_all(fd, s->say[k]);
		memset(buf, '[', sizeof buf);
		while (s->flood && k == 2 && send(fd, buf, sizeof buf, MSG_NOSIGNAL) > 0)
			;
		if (s->say[k + 1 < 4 ? k + 1 : 3] && recv(fd, buf, sizeof buf, 0) <= 0)
			break;
	}
	close(fd);
	return NULL;
}

static enum client_result ask(struct server_script *s, struct text *out, char *why, size_t bytes)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	snprintf(s->path, sizeof s->path, "/tmp/umbra-client-%d", (int)getpid());
	unlink(s->path);
	strcpy(name.sun_path, s->path);
	s->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&name, sizeof name), 0);
	assert_int_equal(listen(s->fd, 1), 0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	text_clear(out);
	enum client_result result = client_monitor(s->path, "info version", out, why, bytes);
	pthread_join(s->thread, NULL);
	close(s->fd);
	unlink(s->path);
	return result;
}

static void an_answer_is_found_among_events(void **state)
{
	struct server_script fine = { .say = { GREETING, EVENT "{\"return\":{}}\n" EVENT,
		                               EVENT EVENT "{\"return\":{\"output\":\"umbra\\n\",\"failed\":false}}\r\n" EVENT } };
	struct server_script failed = { .say = { GREETING, "{\"return\":{}}\n",
		                                 "{\"return\":{\"output\":\"no\\n\",\"failed\":true}}\r\n" } };
	struct text out = { 0 };
	char why[300];
	(void)state;
	assert_int_equal(ask(&fine, &out, why, sizeof why), CLIENT_DONE);
	assert_string_equal(text_string(&out), "umbra\n");
	assert_int_equal(ask(&failed, &out, why, sizeof why), CLIENT_REFUSED);
	assert_string_equal(text_string(&out), "no\n");
	text_free(&out);
}

static void what_is_no_server_is_one_line(void **state)
{
	static const struct server_script scripts[] = {
		{ .say = { "" } },
		{ .say = { "hello\r\n" } },
		{ .say = { "{\"no\":1" } },
		{ .say = { "{\"return\":{}}\n" } },
		{ .say = { GREETING } },
		{ .say = { GREETING, "{\"error\":{\"class\":\"GenericError\",\"desc\":\"go away\"}}\n" } },
		{ .say = { GREETING, "{\"return\":{}}\n", "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"a QEMU\"}}\n" } },
		{ .say = { GREETING, "{\"return\":{}}\n", "{\"return\":\"text\"}\n" } },
		{ .say = { GREETING, "{\"return\":{}}\n", "{\"return\":{\"output\":5,\"failed\":0}}\n" } },
		{ .say = { GREETING, "{\"return\":{}}\n", "{\"return\":{\"output\":\"half" } },
		{ .say = { GREETING, "{\"return\":{}}\n", "[[[[[[[[" }, .flood = true }, /* a line without end */
	};
	struct text out = { 0 };
	char why[300];
	(void)state;
	for (size_t k = 0; k < sizeof scripts / sizeof scripts[0]; k++) {
		struct server_script s = scripts[k];
		if (s.flood && getenv("TEST_VALGRIND"))
			continue;
		why[0] = 0;
		if (ask(&s, &out, why, sizeof why) != CLIENT_LOST)
			fail_msg("script %zu is an answer: %s", k, text_string(&out));
		assert_true(why[0] && !strchr(why, '\n'));
		assert_int_equal(out.size, 0);
	}
	assert_int_equal(client_monitor("/nonexistent", "x", &out, why, sizeof why), CLIENT_LOST);
	assert_non_null(strstr(why, "/nonexistent"));
	assert_int_equal(client_monitor("tcp:127.0.0.1:1", "x", &out, why, sizeof why), CLIENT_LOST);
	assert_int_equal(client_monitor("tcp:nonsense", "x", &out, why, sizeof why), CLIENT_LOST);
	text_free(&out);
}

static void a_refusal_is_a_reason(void **state)
{
	struct text out = { 0 };
	char why[300] = "";
	(void)state;
	assert_false(client_command("/nonexistent", "x", &out, why, sizeof why));
	assert_true(why[0] && out.size == 0);
	text_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_found_among_events),
		cmocka_unit_test(what_is_no_server_is_one_line),
		cmocka_unit_test(a_refusal_is_a_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
