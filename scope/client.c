/* SPDX-License-Identifier: MIT */
/*
 * scope/client.c - the other end of a -qmp socket.
 *
 *   1. Connecting    to one that is just being started, too
 *   2. Messages      lines of JSON, with a limit in time and in size
 *   3. A command     negotiation, the monitor's line, its answer
 */
#include "scope/client.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "scope/address.h"
#include "scope/monitor.h"

/* An answer's JSON: longer than any that a monitor gives. */
#define ANSWER_MOST (128u << 20)

struct peer {
	int fd;
	struct text in;
	size_t head;        /* what has been read of `in` */
	char *why;
	size_t bytes;
};

/* ---- 1. Connecting -------------------------------------------------------------------------- */

/* (errno says why not, where another try could help.) */

/* (A process that is stopped accepts nobody.) */
static void be_impatient(int fd)
{
	const struct timeval patience = { .tv_sec = CLIENT_PATIENCE_MS / 1000 };
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

static bool connect_unix(struct peer *p, const char *path)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof name.sun_path)
		return socket_fail(p->why, p->bytes, "%.100s...: the path is too long", path);
	memcpy(name.sun_path, path, strlen(path) + 1);
	p->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd >= 0)
		be_impatient(p->fd);
	if (p->fd < 0 || connect(p->fd, (const struct sockaddr *)&name, sizeof name) != 0)
		return socket_fail(p->why, p->bytes, "%.107s: %s", path, strerror(errno));
	return true;
}

static bool connect_tcp(struct peer *p, const struct socket_address *a)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	const char *host = a->host ? a->host : "127.0.0.1";
	struct addrinfo *list;
	int failed = getaddrinfo(host, a->port, &hints, &list), error = 0;
	errno = 0;
	if (failed)
		return socket_fail(p->why, p->bytes, "tcp:%.80s:%s: %s", host, a->port, gai_strerror(failed));
	for (const struct addrinfo *at = list; at && p->fd < 0; at = at->ai_next) {
		p->fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
		if (p->fd >= 0)
			be_impatient(p->fd);
		if (p->fd >= 0 && connect(p->fd, at->ai_addr, at->ai_addrlen) == 0)
			break;
		error = errno;
		if (p->fd >= 0)
			close(p->fd);
		p->fd = -1;
	}
	freeaddrinfo(list);
	errno = error;
	return p->fd >= 0 || socket_fail(p->why, p->bytes, "tcp:%.80s:%s: %s", host, a->port, strerror(error));
}

static bool connect_once(struct peer *p, const char *where)
{
	struct socket_address address;
	if (strncmp(where, "tcp:", 4) != 0 && strncmp(where, "unix:", 5) != 0)
		return connect_unix(p, where);
	if (!parse_socket_address(where, &address, p->why, p->bytes))
		return false;
	return address.is_unix ? connect_unix(p, address.text) : connect_tcp(p, &address);
}

#define CONNECT_PATIENCE_MS 1000
#define CONNECT_AGAIN_MS 20

/* `umbra run -qmp unix:s & umbra pt unix:s`: it has not made its socket yet. */
static bool connect_to(struct peer *p, const char *where)
{
	const struct timespec pause = { .tv_nsec = CONNECT_AGAIN_MS * 1000000L };
	for (unsigned tries = 0;; tries++) {
		errno = 0;
		if (connect_once(p, where))
			return true;
		bool early = errno == ENOENT || errno == ECONNREFUSED;
		if (!early || tries == CONNECT_PATIENCE_MS / CONNECT_AGAIN_MS)
			return false;
		if (p->fd >= 0)
			close(p->fd);
		p->fd = -1;
		nanosleep(&pause, NULL);
	}
}

/* ---- 2. Messages ---------------------------------------------------------------------------- */

static bool send_message(struct peer *p, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	json_decref(message);
	bool fine = text != NULL;
	size_t length = fine ? strlen(text) : 0;
	for (size_t done = 0; fine && done < length;) {
		ssize_t went = send(p->fd, text + done, length - done, MSG_NOSIGNAL);
		fine = went > 0 || (went < 0 && errno == EINTR);
		done += went > 0 ? (size_t)went : 0;
	}
	free(text);
	return fine || socket_fail(p->why, p->bytes, "the connection broke: %s", strerror(errno));
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* More bytes of the line.  false: there are none. */
static bool hear_more(struct peer *p, int64_t until)
{
	char bytes[65536];
	struct pollfd ready = { .fd = p->fd, .events = POLLIN };
	int64_t left = until - now_ms();
	if (left <= 0 || poll(&ready, 1, (int)left) == 0)
		return socket_fail(p->why, p->bytes, "no answer in %d seconds", CLIENT_PATIENCE_MS / 1000);
	ssize_t got = recv(p->fd, bytes, sizeof bytes, 0);
	if (got < 0 && errno == EINTR)
		return true;
	if (got <= 0)
		return socket_fail(p->why, p->bytes, "the connection was closed%s%s", got < 0 ? ": " : "",
		                   got < 0 ? strerror(errno) : "");
	text_add_bytes(&p->in, bytes, (size_t)got);
	return !p->in.cut || socket_fail(p->why, p->bytes, "the answer is too long");
}

/* The next line, parsed.  NULL: p->why. */
static json_t *hear_message(struct peer *p, int64_t until)
{
	json_error_t error;
	size_t searched = p->head;
	const char *end;
	while (!(end = p->in.data ? memchr(p->in.data + searched, '\n', p->in.size - searched) : NULL)) {
		searched = p->in.size;
		if (!hear_more(p, until))
			return NULL;
	}
	const char *start = p->in.data + p->head;
	size_t length = (size_t)(end - start);
	json_t *message = json_loadb(start, length, 0, &error);
	p->head += length + 1;
	if (!message && length >= sizeof MONITOR_GREETING - 1 && memcmp(start, MONITOR_GREETING, sizeof MONITOR_GREETING - 1) == 0)
		socket_fail(p->why, p->bytes, "that is a -monitor socket; -qmp makes the one that is needed");
	else if (!message)
		socket_fail(p->why, p->bytes, "this is no QMP socket: %s", error.text);
	return message;
}

/* ... that is an answer: events in between are passed over. */
static json_t *hear_answer(struct peer *p)
{
	int64_t until = now_ms() + CLIENT_PATIENCE_MS;
	for (;;) {
		json_t *message = hear_message(p, until);
		if (!message || json_object_get(message, "return") || json_object_get(message, "error") ||
		    json_object_get(message, "QMP"))
			return message;
		json_decref(message);
	}
}

/* ---- 3. A command --------------------------------------------------------------------------- */

/* The greeting, and that we heard it. */
static bool negotiate(struct peer *p)
{
	json_t *greeting = hear_answer(p);
	bool fine = json_object_get(greeting, "QMP") != NULL;
	if (greeting && !fine)
		socket_fail(p->why, p->bytes, "this is no QMP socket");
	json_decref(greeting);
	if (!fine || !send_message(p, json_pack("{s:s}", "execute", "qmp_capabilities")))
		return false;
	json_t *answer = hear_answer(p);
	fine = json_object_get(answer, "return") != NULL;
	if (answer && !fine)
		socket_fail(p->why, p->bytes, "the QMP server refuses us");
	json_decref(answer);
	return fine;
}

static enum client_result take_answer(struct peer *p, json_t *answer, struct text *out)
{
	json_t *value = json_object_get(answer, "return"), *failed = json_object_get(value, "failed");
	const char *output = json_string_value(json_object_get(value, "output"));
	const char *desc = json_string_value(json_object_get(json_object_get(answer, "error"), "desc"));
	if (!answer)
		return CLIENT_LOST;
	if (!output || !json_is_boolean(failed)) {
		socket_fail(p->why, p->bytes, "%.200s", desc ? desc : "the answer is none of umbra's");
		return CLIENT_LOST;
	}
	text_add(out, "%s", output);
	return json_is_true(failed) ? CLIENT_REFUSED : CLIENT_DONE;
}

enum client_result client_monitor(const char *socket, const char *line, struct text *out, char *why, size_t bytes)
{
	struct peer p = { .fd = -1, .in = { .limit = ANSWER_MOST }, .why = why, .bytes = bytes };
	enum client_result result = CLIENT_LOST;
	snprintf(why, bytes, "no memory");
	if (connect_to(&p, socket) && negotiate(&p) &&
	    send_message(&p, json_pack("{s:s,s:{s:s}}", "execute", "x-umbra-monitor", "arguments", "command-line", line))) {
		json_t *answer = hear_answer(&p);
		result = take_answer(&p, answer, out);
		json_decref(answer);
	}
	if (p.fd >= 0)
		close(p.fd);
	text_free(&p.in);
	return result;
}

bool client_command(const char *socket, const char *line, struct text *out, char *why, size_t bytes)
{
	struct text said = { 0 };
	enum client_result result = client_monitor(socket, line, &said, why, bytes);
	if (result == CLIENT_REFUSED)
		socket_fail(why, bytes, "%.*s", (int)strcspn(text_string(&said), "\n"), text_string(&said));
	else
		text_add_bytes(out, text_string(&said), said.size);
	text_free(&said);
	return result == CLIENT_DONE;
}
