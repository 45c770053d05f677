/* SPDX-License-Identifier: MIT */
/*
 * scope/server.c - listening sockets, served by the vm's own loop.
 *
 *   1. Addresses    address.h's
 *   2. Listening    a stale socket file is replaced, somebody's is not
 *   3. Saying       a queue that is written as the other end takes it
 *   4. Serving      input is looked at before it is taken from the kernel's buffer
 *   5. Life
 */
#include "scope/server.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "scope/address.h"
#include "vmm/vmm.h"

#define LINGER_MS 300 /* for the last words, at the end of the run */

struct client {
	struct server *server;
	int fd;               /* -1: this place is free */
	void *state;
	char *out;            /* what was said and not taken: from `head` on */
	size_t head, size, room;
	bool ending;          /* nothing more is heard; it goes when all is said */
	bool gone;            /* the other end is */
};

struct server {
	struct vm *vm;
	struct server_ops ops;
	void *user;
	int fd;
	int spare;            /* for turning somebody away when there is no file descriptor left */
	char path[sizeof ((struct sockaddr_un *)0)->sun_path]; /* "": not a unix socket */
	dev_t device;         /* ... and which file it is */
	ino_t inode;
	struct client client[SERVER_CLIENTS_MAX];
};

/* ---- 1. Addresses --------------------------------------------------------------------------- */

bool server_check(const char *where, char *why, size_t bytes)
{
	struct socket_address address;
	return parse_socket_address(where, &address, why, bytes);
}

/* ---- 2. Listening --------------------------------------------------------------------------- */

/* Out of the way, if it is a socket that nobody listens to. */
static bool remove_stale(const struct sockaddr_un *name, char *why, size_t bytes)
{
	struct stat status;
	if (lstat(name->sun_path, &status) != 0)
		return errno == ENOENT || socket_fail(why, bytes, "%.107s: %s", name->sun_path, strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return socket_fail(why, bytes, "%.107s: there is a file, and it is no socket", name->sun_path);
	int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (probe < 0)
		return socket_fail(why, bytes, "%s", strerror(errno));
	bool refused = connect(probe, (const struct sockaddr *)name, sizeof *name) != 0 && errno == ECONNREFUSED;
	close(probe);
	if (!refused)
		return socket_fail(why, bytes, "%.107s: somebody listens there already", name->sun_path);
	return unlink(name->sun_path) == 0 || errno == ENOENT ||
	       socket_fail(why, bytes, "%.107s: %s", name->sun_path, strerror(errno));
}

static bool listen_unix(struct server *s, const char *path, char *why, size_t bytes)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct stat status;
	memcpy(name.sun_path, path, strlen(path) + 1);
	if (!remove_stale(&name, why, bytes))
		return false;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Before it has a name, so that there is no moment in which others could come in. */
	if (s->fd < 0 || fchmod(s->fd, 0600) != 0 || bind(s->fd, (const struct sockaddr *)&name, sizeof name) != 0)
		return socket_fail(why, bytes, "%.107s: %s", path, strerror(errno));
	memcpy(s->path, path, strlen(path) + 1);
	if (stat(path, &status) == 0) {
		s->device = status.st_dev;
		s->inode = status.st_ino;
	}
	return listen(s->fd, (int)SERVER_CLIENTS_MAX) == 0 || socket_fail(why, bytes, "%.107s: %s", path, strerror(errno));
}

static void tell_port(const struct server *s, const char *host)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof name;
	char port[16];
	if (getsockname(s->fd, (struct sockaddr *)&name, &length) == 0 &&
	    getnameinfo((struct sockaddr *)&name, length, NULL, 0, port, sizeof port, NI_NUMERICSERV) == 0)
		fprintf(stderr, "umbra: %s: tcp:%s:%s\n", s->ops.name, host, port);
}

static bool listen_tcp(struct server *s, const struct socket_address *a, char *why, size_t bytes)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	const char *host = a->host ? a->host : "127.0.0.1";
	const int on = 1;
	struct addrinfo *list;
	int failed = getaddrinfo(host, a->port, &hints, &list);
	if (failed)
		return socket_fail(why, bytes, "tcp:%.80s:%s: %s", host, a->port, gai_strerror(failed));
	int error = 0;
	for (const struct addrinfo *at = list; at && s->fd < 0; at = at->ai_next) {
		s->fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
		if (s->fd >= 0)
			setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
		if (s->fd < 0 || bind(s->fd, at->ai_addr, at->ai_addrlen) != 0 ||
		    listen(s->fd, (int)SERVER_CLIENTS_MAX) != 0) {
			error = errno;
			if (s->fd >= 0)
				close(s->fd);
			s->fd = -1;
		}
	}
	freeaddrinfo(list);
	if (s->fd < 0)
		return socket_fail(why, bytes, "tcp:%.80s:%s: %s", host, a->port, strerror(error));
	if (strtoul(a->port, NULL, 10) == 0)
		tell_port(s, host);
	return true;
}

/* ---- 3. Saying ------------------------------------------------------------------------------ */

static void flush_out(struct client *c)
{
	while (c->head < c->size) {
		ssize_t went = send(c->fd, c->out + c->head, c->size - c->head, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (went < 0 && errno == EINTR)
			continue;
		if (went < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (went <= 0) {
			c->gone = true;
			return;
		}
		c->head += (size_t)went;
	}
	c->head = c->size = 0;
	if (c->room > SERVER_QUEUE_SLOW) { /* what a large answer took need not stay */
		free(c->out);
		c->out = NULL;
		c->room = 0;
	}
}

/* What poll() is to look for.  (Of one that is gone, it says so by itself.) */
static void wait_for(struct client *c)
{
	bool hear = !c->ending && !client_is_slow(c);
	vm_set_descriptor(c->server->vm, c->fd, (short)((hear ? POLLIN : 0) | (c->head < c->size ? POLLOUT : 0)));
}

static bool make_room(struct client *c, size_t count)
{
	if (c->head) {
		memmove(c->out, c->out + c->head, c->size - c->head);
		c->size -= c->head;
		c->head = 0;
	}
	if (count <= c->room - c->size)
		return true;
	if (count > SERVER_QUEUE_MOST - c->size)
		return false;
	size_t room = c->room ? c->room : 4096;
	while (room - c->size < count)
		room *= 2;
	char *out = realloc(c->out, room);
	if (!out)
		return false;
	c->out = out;
	c->room = room;
	return true;
}

void client_send(struct client *c, const char *bytes, size_t count)
{
	if (c->fd < 0 || c->gone || count == 0)
		return;
	if (make_room(c, count)) {
		memcpy(c->out + c->size, bytes, count);
		c->size += count;
		flush_out(c);
	} else {
		c->gone = true;
	}
	/* Found by the loop, and let go there: our caller may be in the middle of it. */
	if (c->gone)
		shutdown(c->fd, SHUT_RDWR);
	wait_for(c);
}

bool client_is_slow(const struct client *c)
{
	return c->size - c->head > SERVER_QUEUE_SLOW;
}

void client_end(struct client *c)
{
	c->ending = true;
	wait_for(c);
}

/* ---- 4. Serving ----------------------------------------------------------------------------- */

static void let_go(struct client *c)
{
	struct server *s = c->server;
	s->ops.leave(c->state);
	vm_remove_descriptor(s->vm, c->fd);
	close(c->fd);
	free(c->out);
	*c = (struct client){ .server = s, .fd = -1 };
}

/* Commands stay in the kernel's buffer until their turn: so there is nothing of ours that could grow, and poll() goes on
 * saying that they are there. */
static void hear(struct client *c)
{
	char bytes[SERVER_HEAR];
	ssize_t got = recv(c->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	if (got < 0) {
		c->gone = errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK;
		return;
	}
	if (got == 0) { /* it may still read */
		c->ending = true;
		return;
	}
	size_t took = c->server->ops.hear(c->state, bytes, (size_t)got);
	if (took == 0 || took > (size_t)got)
		took = (size_t)got;
	if (recv(c->fd, bytes, took, MSG_DONTWAIT) < 0)
		c->gone = true;
}

static struct client *find_client(struct server *s, int fd)
{
	for (unsigned k = 0; k < SERVER_CLIENTS_MAX; k++)
		if (s->client[k].fd == fd)
			return &s->client[k];
	return NULL;
}

static void serve(void *server, int fd, short revents)
{
	struct client *c = find_client(server, fd);
	if (!c)
		return;
	flush_out(c);
	if (!c->gone && !c->ending && !client_is_slow(c) && revents & (POLLIN | POLLHUP | POLLERR))
		hear(c);
	else if (revents & POLLHUP) /* both ways are closed */
		c->gone = true;
	if (c->gone || (c->ending && c->head == c->size))
		let_go(c);
	else
		wait_for(c);
}

/* A place for a new one: free, or of one that has stopped talking and does not read its answers. */
static struct client *find_place(struct server *s)
{
	for (unsigned k = 0; k < s->ops.clients; k++)
		if (s->client[k].fd < 0)
			return &s->client[k];
	for (unsigned k = 0; k < s->ops.clients; k++)
		if (s->client[k].ending) {
			let_go(&s->client[k]);
			return &s->client[k];
		}
	return NULL;
}

/* One that could not be accepted would keep poll() from ever waiting. */
static int turn_away(struct server *s)
{
	close(s->spare);
	int peer = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	if (peer >= 0)
		close(peer);
	s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return -1;
}

static void welcome(void *server, int fd, short revents)
{
	struct server *s = server;
	(void)fd, (void)revents;
	int peer = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (peer < 0 && (errno == EMFILE || errno == ENFILE))
		peer = turn_away(s);
	if (peer < 0)
		return;
	struct client *c = find_place(s);
	struct vm_descriptor d = { .fd = peer, .events = POLLIN, .ready = serve, .user = s };
	if (!c || !vm_add_descriptor(s->vm, &d)) {
		close(peer);
		return;
	}
	c->fd = peer;
	c->state = s->ops.join(s->user, c);
	if (c->state)
		return;
	vm_remove_descriptor(s->vm, peer);
	close(peer);
	free(c->out);
	*c = (struct client){ .server = s, .fd = -1 };
}

void server_each(struct server *s, void (*visit)(void *state, void *user), void *user)
{
	for (unsigned k = 0; s && k < SERVER_CLIENTS_MAX; k++)
		if (s->client[k].fd >= 0)
			visit(s->client[k].state, user);
}

/* ---- 5. Life -------------------------------------------------------------------------------- */

struct server *server_open(struct vm *vm, const char *where, const struct server_ops *ops, void *user, char *why,
                           size_t bytes)
{
	struct socket_address address;
	if (!parse_socket_address(where, &address, why, bytes))
		return NULL;
	struct server *s = calloc(1, sizeof *s);
	if (!s) {
		socket_fail(why, bytes, "no memory");
		return NULL;
	}
	s->vm = vm;
	s->ops = *ops;
	s->user = user;
	s->fd = -1;
	s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned k = 0; k < SERVER_CLIENTS_MAX; k++)
		s->client[k] = (struct client){ .server = s, .fd = -1 };
	struct vm_descriptor d = { .events = POLLIN, .ready = welcome, .user = s };
	if (address.is_unix ? listen_unix(s, address.text, why, bytes) : listen_tcp(s, &address, why, bytes)) {
		d.fd = s->fd;
		if (vm_add_descriptor(vm, &d))
			return s;
		socket_fail(why, bytes, "too many sockets");
	}
	server_close(s);
	return NULL;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The last answers, to who takes them at once: all clients together have a moment. */
static void linger(struct server *s)
{
	int64_t end = now_ms() + LINGER_MS;
	for (unsigned k = 0; k < SERVER_CLIENTS_MAX; k++) {
		struct client *c = &s->client[k];
		struct pollfd ready = { .fd = c->fd, .events = POLLOUT };
		for (int64_t left = LINGER_MS; c->fd >= 0 && !c->gone && c->head < c->size && left > 0;
		     left = end - now_ms()) {
			if (poll(&ready, 1, (int)left) > 0)
				flush_out(c);
		}
	}
}

void server_close(struct server *s)
{
	struct stat status;
	if (!s)
		return;
	linger(s);
	for (unsigned k = 0; k < SERVER_CLIENTS_MAX; k++)
		if (s->client[k].fd >= 0)
			let_go(&s->client[k]);
	if (s->fd >= 0) {
		vm_remove_descriptor(s->vm, s->fd);
		close(s->fd);
	}
	if (s->spare >= 0)
		close(s->spare);
	/* (Unless somebody has put his own there meanwhile.) */
	if (s->path[0] && stat(s->path, &status) == 0 && status.st_dev == s->device && status.st_ino == s->inode)
		unlink(s->path);
	free(s);
}
