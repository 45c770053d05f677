/* SPDX-License-Identifier: MIT */
/*
 * scope/server.h - listening sockets, served by the vm's own loop between instructions: no thread, no lock.
 *
 * Nothing here ever waits for a client: what it sends is looked at a bounded amount at a time, what it does not take is
 * kept up to a bound, and while much is kept nothing more is heard from it.
 */
#ifndef SCOPE_SERVER_H
#define SCOPE_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct vm;
struct server;
struct client;

/* At a time and server: all servers together stay below VM_DESCRIPTORS_MAX. */
#define SERVER_CLIENTS_MAX 6u
/* Answers that wait for a client that does not read.  From SLOW on nothing is heard from it and events are left out;
 * one answer may go beyond; who makes it more than MOST is let go. */
#define SERVER_QUEUE_SLOW (64u << 10)
#define SERVER_QUEUE_MOST (64u << 20)
/* Bytes that one call of hear() sees at most. */
#define SERVER_HEAR 4096u

struct server_ops {
	const char *name;             /* whose it is, in messages: "-qmp" */
	unsigned clients;             /* at a time, <= SERVER_CLIENTS_MAX; one more is turned away */
	/* Somebody came; returns what the other two get, NULL: turn it away. */
	void *(*join)(void *user, struct client *client);
	/* It said something; returns how many bytes were taken, at least 1: the rest comes again soon.  One command at a
	 * time is taken, so that a flood of them leaves the guest its time. */
	size_t (*hear)(void *state, const char *bytes, size_t count);
	/* It is gone, or is let go: the state is to be freed. */
	void (*leave)(void *state);
};

/* tcp:[HOST]:PORT or unix:PATH, with QEMU's ,server=on,wait=off (or ,server,nowait) behind it or not.  Without HOST only
 * this machine is listened to (127.0.0.1).  false: `why` is a line. */
bool server_check(const char *where, char *why, size_t bytes);
/* Listen.  A unix socket's file is readable and writable by its owner only; one that nobody listens to any more is
 * replaced; one that somebody listens to, or any other file, is not.  Port 0 is one that is free, told on standard error.
 * NULL: `why` is a line. */
struct server *server_open(struct vm *vm, const char *where, const struct server_ops *ops, void *user, char *why,
                           size_t bytes);
/* What is still to be said is given a moment, clients are let go, the socket's file is removed.  NULL: nothing. */
void server_close(struct server *server);
/* For each client's state.  NULL: none. */
void server_each(struct server *server, void (*visit)(void *state, void *user), void *user);

/* Say something.  (A client that is gone is one that leave() is soon called for.) */
void client_send(struct client *client, const char *bytes, size_t count);
/* It does not read what is said already. */
bool client_is_slow(const struct client *client);
/* Let it go when it has taken what was said; nothing more is heard from it. */
void client_end(struct client *client);

#endif
