/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_server.c - listening sockets: who is let in, what a client can and cannot do to the vm.
 *
 *   1. A server that answers lines
 *   2. Addresses and files
 *   3. Clients
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "scope/server.h"
#include "tests/lib/small_vm.h"
#include "tests/lib/tap.h"

/* ---- 1. A server that answers lines --------------------------------------------------------- */

#define PATIENCE_S 60
#define BIG (32u << 10)

/* "x": itself.  "big": 32 KiB of it.  "huge": more than may ever wait.  "bye": let go. */
struct answerer {
	struct small_vm small;
	struct server *server;
	char path[108];
	_Atomic unsigned joined, left, heard;
};
struct talker {
	struct answerer *a;
	struct client *client;
};

static void *join(void *user, struct client *client)
{
	struct talker *t = malloc(sizeof *t);
	*t = (struct talker){ user, client };
	t->a->joined++;
	client_send(client, "hello\n", 6);
	return t;
}

static void fill_and_send(struct client *c, size_t count)
{
	char *bytes = malloc(count);
	memset(bytes, '.', count);
	bytes[count - 1] = '\n';
	client_send(c, bytes, count);
	free(bytes);
}

static size_t hear(void *state, const char *bytes, size_t count)
{
	struct talker *t = state;
	const char *end = memchr(bytes, '\n', count);
	size_t took = end ? (size_t)(end - bytes) + 1 : count;
	t->a->heard++;
	if (took >= 4 && memcmp(bytes, "bye\n", 4) == 0)
		client_end(t->client);
	else if (took >= 4 && memcmp(bytes, "big\n", 4) == 0)
		fill_and_send(t->client, BIG);
	else if (took >= 5 && memcmp(bytes, "huge\n", 5) == 0)
		fill_and_send(t->client, SERVER_QUEUE_MOST + 1);
	else
		client_send(t->client, bytes, took);
	return took;
}

static void leave(void *state)
{
	struct talker *t = state;
	t->a->left++;
	free(t);
}

static const struct server_ops ops = { .name = "-test", .clients = 3, .join = join, .hear = hear, .leave = leave };

static void answerer_start(struct answerer *a)
{
	char why[256];
	memset(a, 0, sizeof *a);
	small_vm_make(&a->small, SMALL_COUNTS, sizeof SMALL_COUNTS - 1, false);
	snprintf(a->path, sizeof a->path, "/tmp/umbra-server-%d.sock", (int)getpid());
	char where[160];
	snprintf(where, sizeof where, "unix:%s,server=on,wait=off", a->path);
	a->server = server_open(a->small.vm, where, &ops, a, why, sizeof why);
	if (!a->server)
		fail_msg("%s", why);
	small_vm_start(&a->small);
}

static void answerer_end(struct answerer *a)
{
	assert_int_equal(small_vm_stop(&a->small), VM_KICKED);
	server_close(a->server);
	assert_int_equal(a->joined, a->left);
	assert_int_not_equal(access(a->path, F_OK), 0);
	small_vm_free(&a->small);
}

static int connect_to(const char *path)
{
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(name.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Exactly this comes next; NULL: the end. */
static void expect(int fd, const char *text)
{
	char buf[256] = "";
	size_t want = text ? strlen(text) : 1, have = 0;
	while (have < want) {
		ssize_t got = recv(fd, buf + have, want - have, 0);
		if (got <= 0 && !text)
			return;
		if (got <= 0)
			fail_msg("'%s', then nothing, instead of '%s'", buf, text);
		have += (size_t)got;
	}
	assert_non_null(text);
	assert_string_equal(buf, text);
}

/* The guest counts on. */
static void expect_running(struct answerer *a)
{
	uint32_t before = small_vm_counter(&a->small);
	for (unsigned ms = 0; ms < PATIENCE_S * 1000 && small_vm_counter(&a->small) - before < 1000; ms++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_true(small_vm_counter(&a->small) - before >= 1000);
}

/* ---- 2. Addresses and files ----------------------------------------------------------------- */

static void addresses_are_understood_or_refused(void **state)
{
	static const char *const good[] = {
		"unix:/tmp/x", "unix:x,server,nowait", "unix:x,server=on,wait=off", "tcp::1234", "tcp:127.0.0.1:0",
		"tcp:[::1]:1,server", "tcp:localhost:65535",
	};
	static const char *const bad[] = {
		"", "unix:", "unix:,server", "tcp:", "tcp:1234x", "tcp::", "tcp::65536", "tcp::-1", "tcp::12,wait=on",
		"unix:x,server=off", "unix:x,", "file:x", "stdio", "tcp:host:1:,", "tcp::99999999999999999999",
		"unix:0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678",
	};
	char why[256];
	(void)state;
	for (size_t k = 0; k < sizeof good / sizeof good[0]; k++)
		if (!server_check(good[k], why, sizeof why))
			fail_msg("%s: %s", good[k], why);
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		why[0] = 0;
		if (server_check(bad[k], why, sizeof why))
			fail_msg("'%s' is fine?", bad[k]);
		assert_true(why[0] && !strchr(why, '\n'));
	}
}

static void a_stale_socket_is_replaced_and_nothing_else_is(void **state)
{
	struct small_vm s;
	struct stat status;
	char path[64], where[80], why[256];
	(void)state;
	snprintf(path, sizeof path, "/tmp/umbra-stale-%d", (int)getpid());
	snprintf(where, sizeof where, "unix:%s", path);
	small_vm_make(&s, SMALL_COUNTS, sizeof SMALL_COUNTS - 1, true);
	/* A file of somebody's. */
	int fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	assert_null(server_open(s.vm, where, &ops, NULL, why, sizeof why));
	assert_non_null(strstr(why, path));
	assert_true(stat(path, &status) == 0 && status.st_size == 8);
	unlink(path);
	/* One that listens. */
	struct server *first = server_open(s.vm, where, &ops, NULL, why, sizeof why);
	assert_non_null(first);
	assert_true(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
	assert_null(server_open(s.vm, where, &ops, NULL, why, sizeof why));
	assert_non_null(strstr(why, "listens"));
	assert_int_equal(access(path, F_OK), 0);
	server_close(first);
	assert_int_not_equal(access(path, F_OK), 0);
	/* One that was left behind. */
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	strcpy(name.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
	close(fd);
	struct server *second = server_open(s.vm, where, &ops, NULL, why, sizeof why);
	assert_non_null(second);
	/* It is somebody else's by the time of our end: it stays. */
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	server_close(second);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	assert_null(server_open(s.vm, "unix:/nonexistent/socket", &ops, NULL, why, sizeof why));
	small_vm_free(&s);
}

/* ---- 3. Clients ----------------------------------------------------------------------------- */

static void clients_are_served_and_one_too_many_is_turned_away(void **state)
{
	struct answerer a;
	int fd[4];
	(void)state;
	answerer_start(&a);
	for (int k = 0; k < 3; k++) {
		fd[k] = connect_to(a.path);
		expect(fd[k], "hello\n");
	}
	fd[3] = connect_to(a.path);
	expect(fd[3], NULL);
	close(fd[3]);
	for (int k = 0; k < 3; k++) {
		say(fd[k], "one\ntwo\nthr");
		say(fd[k], "ee\n");
		expect(fd[k], "one\ntwo\nthree\n");
	}
	say(fd[0], "bye\nnot heard\n");
	expect(fd[0], NULL);
	close(fd[0]);
	/* Its place is free again (once the vm has seen it go). */
	fd[0] = connect_to(a.path);
	expect(fd[0], "hello\n");
	expect_running(&a);
	for (int k = 0; k < 3; k++)
		close(fd[k]);
	answerer_end(&a);
}

static void a_half_closed_client_gets_its_answers(void **state)
{
	struct answerer a;
	(void)state;
	answerer_start(&a);
	int fd = connect_to(a.path);
	say(fd, "a\nb\nc\n");
	shutdown(fd, SHUT_WR);
	expect(fd, "hello\na\nb\nc\n");
	expect(fd, NULL);
	close(fd);
	answerer_end(&a);
}

/* It asks and asks, and reads nothing: it is not heard any more, the guest runs, others are served. */
static void a_client_that_does_not_read_harms_itself_only(void **state)
{
	struct answerer a;
	size_t read_all = 0;
	char buf[65536];
	(void)state;
	answerer_start(&a);
	int slow = connect_to(a.path), other = connect_to(a.path);
	expect(slow, "hello\n");
	expect(other, "hello\n");
	fcntl(slow, F_SETFL, O_NONBLOCK);
	unsigned asked = 0;
	for (unsigned idle = 0; idle < 100;) {
		if (send(slow, "big\n", 4, MSG_NOSIGNAL) == 4 && asked < 20000) {
			asked++;
		} else {
			nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
			idle++;
		}
	}
	/* What the kernel's buffers take, and the queue's bound. */
	assert_true(a.heard * (size_t)BIG < (16u << 20));
	expect_running(&a);
	say(other, "still here\n");
	expect(other, "still here\n");
	/* Now it reads: all answers are there. */
	fcntl(slow, F_SETFL, 0);
	while (read_all < (size_t)asked * BIG) {
		ssize_t got = recv(slow, buf, sizeof buf, 0);
		assert_true(got > 0);
		read_all += (size_t)got;
		if (read_all > (64u << 20))
			break; /* enough is proven */
	}
	close(slow);
	close(other);
	answerer_end(&a);
}

static void a_client_with_too_long_an_answer_is_let_go(void **state)
{
	struct answerer a;
	(void)state;
	answerer_start(&a);
	int fd = connect_to(a.path);
	expect(fd, "hello\n");
	say(fd, "huge\n");
	expect(fd, NULL);
	close(fd);
	expect_running(&a);
	answerer_end(&a);
}

static void clients_that_vanish_are_forgotten(void **state)
{
	struct answerer a;
	unsigned long rounds = test_rounds(300);
	(void)state;
	answerer_start(&a);
	for (unsigned long k = 0; k < rounds; k++) {
		int fd = connect_to(a.path);
		if (k % 3 == 0)
			send(fd, "big\nbig\nbig\nbig\n", 16, MSG_NOSIGNAL);
		if (k % 3 == 1)
			send(fd, "half a li", 9, MSG_NOSIGNAL);
		if (k % 5 == 0) /* with an answer unread: its end is an error on the other side */
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
		close(fd);
	}
	expect_running(&a);
	/* All places are free again. */
	for (unsigned tries = 0; a.left < a.joined && tries < PATIENCE_S * 1000; tries++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	int fd = connect_to(a.path);
	expect(fd, "hello\n");
	close(fd);
	answerer_end(&a);
}

/* The process has no file descriptor left: the next one is turned away, and those who are there are served. */
static void without_descriptors_clients_are_turned_away(void **state)
{
	struct answerer a;
	struct rlimit before, none;
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	(void)state;
	answerer_start(&a);
	strcpy(name.sun_path, a.path);
	int there = connect_to(a.path), late = socket(AF_UNIX, SOCK_STREAM, 0);
	setsockopt(late, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	expect(there, "hello\n");
	getrlimit(RLIMIT_NOFILE, &before);
	none = before;
	none.rlim_cur = (rlim_t)late + 1; /* as many as are open: numbers are given from below */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int connected = connect(late, (struct sockaddr *)&name, sizeof name);
	char byte;
	ssize_t got = recv(late, &byte, 1, 0);
	say(there, "still\n");
	expect(there, "still\n");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(connected, 0);
	assert_true(got <= 0);
	close(late);
	close(there);
	expect_running(&a);
	answerer_end(&a);
}

/* Not even for one that has much to read and does not. */
static void the_end_waits_for_nobody(void **state)
{
	struct answerer a;
	struct timespec before, after;
	(void)state;
	answerer_start(&a);
	int fd = connect_to(a.path), deaf = connect_to(a.path);
	expect(fd, "hello\n");
	expect(deaf, "hello\n");
	for (unsigned k = 0; k < 40; k++)
		send(deaf, "big\n", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
	say(fd, "x\n");
	expect(fd, "x\n");
	clock_gettime(CLOCK_MONOTONIC, &before);
	answerer_end(&a);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 10);
	expect(fd, NULL);
	close(fd);
	close(deaf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_understood_or_refused),
		cmocka_unit_test(a_stale_socket_is_replaced_and_nothing_else_is),
		cmocka_unit_test(clients_are_served_and_one_too_many_is_turned_away),
		cmocka_unit_test(a_half_closed_client_gets_its_answers),
		cmocka_unit_test(a_client_that_does_not_read_harms_itself_only),
		cmocka_unit_test(a_client_with_too_long_an_answer_is_let_go),
		cmocka_unit_test(clients_that_vanish_are_forgotten),
		cmocka_unit_test(without_descriptors_clients_are_turned_away),
		cmocka_unit_test(the_end_waits_for_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
