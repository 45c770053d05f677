/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/net_user.c - a network of the guest's own, without rights on the host: libslirp.
 *
 *   1. State
 *   2. Timers         the library asks for them, the loop keeps them
 *   3. Frames         from the guest, judged first (net_guard.c), and to it; connections, bounded
 *   4. Descriptors    the library's sockets in the loop's poll()
 *   5. Making, freeing
 *
 * libslirp ends the guest's connections in this process and makes its own to the world, as this
 * user may.  The guest is at 10.0.2.15 (DHCP), the gateway at 10.0.2.2 is also this host, 10.0.2.3
 * is its name server.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <slirp/libslirp.h>

#include "machine/virtio/internal.h"
#include "machine/virtio/net_options.h"

/* ---- 1. State ------------------------------------------------------------------------------- */

enum { MTU = 1500, CROWDED_MS = 10 };
/* Sockets watched at a time: the guest opens as many as it likes, the loop's sleep is bounded. With
 * more, they take turns every CROWDED_MS. */
#define WATCHED 256u
/* Descriptors of the process that no guest's connection takes: an image must be opened again at a reset, and
 * another machine may be in the process.  None beyond FDS_MAX either, however many the host allows. */
#define FDS_KEPT 64u
#define FDS_MAX 4096u

struct timer {
	struct timer *next;
	void (*call)(void *opaque);
	void *opaque;
	int64_t at; /* ms; INT64_MAX: not set */
};

struct net_user {
	struct net_backend backend; /* first: ops get this */
	Slirp *slirp;
	struct timer *timers;
	struct pollfd watched[WATCHED];
	unsigned count;       /* of them */
	unsigned asked, skip; /* sockets the library named this time; those whose turn was before */
	/* while filling or processing */
	unsigned room;
	const struct pollfd *ready;
	unsigned ready_count;
};

/* ---- 2. Timers ------------------------------------------------------------------------------ */

static int64_t now_ns(void *opaque)
{
	struct timespec t;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void *timer_new(SlirpTimerCb call, void *call_opaque, void *opaque)
{
	struct net_user *n = opaque;
	struct timer *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	*t =
	    (struct timer){.next = n->timers, .call = call, .opaque = call_opaque, .at = INT64_MAX};
	n->timers = t;
	return t;
}

static void timer_free(void *timer, void *opaque)
{
	struct net_user *n = opaque;

	for (struct timer **at = &n->timers; *at; at = &(*at)->next)
		if (*at == timer) {
			*at = (*at)->next;
			break;
		}
	free(timer);
}

static void timer_mod(void *timer, int64_t at_ms, void *opaque)
{
	struct timer *t = timer;

	(void)opaque;
	if (t)
		t->at = at_ms;
}

/* (One at a time: a timer's call may free any of them.) */
static void run_timers(struct net_user *n)
{
	int64_t now = now_ns(NULL) / 1000000;
	bool ran = true;

	while (ran) {
		ran = false;
		for (struct timer *t = n->timers; t && !ran; t = t->next)
			if (t->at <= now) {
				t->at = INT64_MAX;
				t->call(t->opaque);
				ran = true;
			}
	}
}

/* ---- 3. Frames ------------------------------------------------------------------------------ */

/* Could the library open a socket for this?  ICMP, UDP, TCP's SYN without ACK; net_guard() saw that the headers
 * are there. */
static bool may_open_socket(const uint8_t *frame)
{
	enum { ETHERNET = 14, IP_HEAD = 20, TCP = 6, SYN = 2, ACK = 16, TCP_FLAGS = ETHERNET + IP_HEAD + 13 };

	if (frame[12] != 8 || frame[13] != 0)
		return false;
	return frame[ETHERNET + 9] != TCP || (frame[TCP_FLAGS] & (SYN | ACK)) == SYN;
}

/* The lowest number that is free tells how many are in use, whoever has them. */
static bool has_descriptors(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct rlimit limit = {.rlim_cur = FDS_MAX};

	if (fd < 0)
		return false;
	close(fd);
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > FDS_MAX)
		limit.rlim_cur = FDS_MAX;
	return (rlim_t)fd + FDS_KEPT < limit.rlim_cur;
}

static void send_frame(struct net_backend *backend, const uint8_t *frame, size_t bytes)
{
	uint8_t copy[NET_FRAME_MAX];

	if (bytes > sizeof copy)
		return;
	memcpy(copy, frame, bytes);
	bytes = net_guard(copy, bytes);
	if (bytes && (!may_open_socket(copy) || has_descriptors()))
		slirp_input(((struct net_user *)backend)->slirp, copy, (int)bytes);
}

/* A frame that the guest has no room for is lost, as on a wire: TCP sends it again. */
static ssize_t frame_for_guest(const void *frame, size_t bytes, void *opaque)
{
	struct net_user *n = opaque;

	if (n->backend.receive)
		n->backend.receive(n->backend.user, frame, bytes);
	return (ssize_t)bytes;
}

static void guest_error(const char *message, void *opaque)
{
	(void)message; /* the guest's malformed packets are its own affair */
	(void)opaque;
}

/* ---- 4. Descriptors ------------------------------------------------------------------------- */

static int watch(int fd, int events, void *opaque)
{
	struct net_user *n = opaque;
	unsigned mine = n->asked++;
	int poll_events = (events & SLIRP_POLL_IN ? POLLIN : 0) |
			  (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
			  (events & SLIRP_POLL_PRI ? POLLPRI : 0);

	if (mine < n->skip || n->count == n->room)
		return -1;
	n->watched[n->count] = (struct pollfd){.fd = fd, .events = (short)poll_events};
	return (int)n->count++;
}

static unsigned fill_fds(struct net_backend *backend, struct pollfd *fds, unsigned room,
			 int *timeout_ms)
{
	struct net_user *n = (struct net_user *)backend;
	uint32_t timeout = *timeout_ms < 0 ? UINT32_MAX : (uint32_t)*timeout_ms;
	int64_t now = now_ns(NULL) / 1000000;

	n->room = room < WATCHED ? room : WATCHED;
	n->count = n->asked = 0;
	slirp_pollfds_fill(n->slirp, &timeout, watch, n);
	n->skip = n->skip + n->count < n->asked ? n->skip + n->count : 0;
	if (n->asked > n->count && timeout > CROWDED_MS)
		timeout = CROWDED_MS;
	for (const struct timer *t = n->timers; t; t = t->next)
		if (t->at < INT64_MAX && (t->at <= now || t->at - now < timeout))
			timeout = t->at <= now ? 0 : (uint32_t)(t->at - now);
	if (timeout <= INT32_MAX)
		*timeout_ms = (int)timeout;
	memcpy(fds, n->watched, n->count * sizeof *fds);
	return n->count;
}

/* The loop may hand us more than ours, or none: ours is known by its number and what was asked of
 * it. */
static int look_up(int index, void *opaque)
{
	const struct net_user *n = opaque;
	int events = 0;

	if (index < 0 || (unsigned)index >= n->count)
		return 0;
	for (unsigned i = 0; i < n->ready_count; i++) {
		const struct pollfd *p = &n->ready[i];

		if (p->fd != n->watched[index].fd || p->events != n->watched[index].events)
			continue;
		events = (p->revents & POLLIN ? SLIRP_POLL_IN : 0) |
			 (p->revents & POLLOUT ? SLIRP_POLL_OUT : 0) |
			 (p->revents & POLLPRI ? SLIRP_POLL_PRI : 0) |
			 (p->revents & POLLERR ? SLIRP_POLL_ERR : 0) |
			 (p->revents & POLLHUP ? SLIRP_POLL_HUP : 0);
		break;
	}
	return events;
}

static void process_fds(struct net_backend *backend, const struct pollfd *fds, unsigned count)
{
	struct net_user *n = (struct net_user *)backend;

	n->ready = fds;
	n->ready_count = count;
	slirp_pollfds_poll(n->slirp, 0, look_up, n);
	n->ready = NULL;
	n->ready_count = 0;
	run_timers(n);
}

static void no_fd(int fd, void *opaque)
{
	(void)fd; /* sockets are named anew at each fill */
	(void)opaque;
}

static void no_notify(void *opaque)
{
	(void)opaque; /* one thread: nobody to wake */
}

/* ---- 5. Making, freeing --------------------------------------------------------------------- */

static void free_user(struct net_backend *backend)
{
	struct net_user *n = (struct net_user *)backend;

	n->backend.receive = NULL;
	slirp_cleanup(n->slirp);
	while (n->timers)
		timer_free(n->timers, n);
	free(n);
}

static const struct net_ops user_ops = {
    .send = send_frame,
    .fill = fill_fds,
    .process = process_fds,
    .free = free_user,
};

static Slirp *start_library(struct net_user *n)
{
	static const SlirpCb callbacks = {
	    .send_packet = frame_for_guest,
	    .guest_error = guest_error,
	    .clock_get_ns = now_ns,
	    .timer_new = timer_new,
	    .timer_free = timer_free,
	    .timer_mod = timer_mod,
	    .register_poll_fd = no_fd,
	    .unregister_poll_fd = no_fd,
	    .notify = no_notify,
	};
	const SlirpConfig config = {
	    .version = 1, /* any library of the last years */
	    .in_enabled = true,
	    .vnetwork.s_addr = htonl(NET_USER_NETWORK),
	    .vnetmask.s_addr = htonl(NET_USER_MASK),
	    .vhost.s_addr = htonl(NET_USER_GATEWAY),
	    .vdhcp_start.s_addr = htonl(NET_USER_GUEST),
	    .vnameserver.s_addr = htonl(NET_USER_DNS),
	    .if_mtu = MTU,
	    .if_mru = MTU,
	};

	return slirp_new(&config, &callbacks, n);
}

static bool forward_ports(struct net_user *n, const struct net_options *options, char *error,
			  size_t room)
{
	for (unsigned i = 0; i < options->forwards; i++) {
		const struct net_forward *f = &options->forward[i];
		char host[INET_ADDRSTRLEN];

		if (slirp_add_hostfwd(n->slirp, f->udp, f->host, f->host_port, f->guest,
				      f->guest_port) == 0)
			continue;
		snprintf(error, room, "cannot forward %s port %s:%u: %s", f->udp ? "UDP" : "TCP",
			 inet_ntop(AF_INET, &f->host, host, sizeof host), f->host_port,
			 strerror(errno));
		return false;
	}
	return true;
}

struct net_backend *net_open_user(const char *options, char *error, size_t room)
{
	struct net_options parsed;
	struct net_user *n;

	if (!net_parse_options(options, &parsed, error, room))
		return NULL;
	n = calloc(1, sizeof *n);
	if (!n) {
		snprintf(error, room, "user-mode network: out of memory");
		return NULL;
	}
	n->backend.ops = &user_ops;
	n->slirp = start_library(n);
	if (!n->slirp) {
		snprintf(error, room, "user-mode network: libslirp does not start");
		free(n);
		return NULL;
	}
	if (!forward_ports(n, &parsed, error, room)) {
		free_user(&n->backend);
		return NULL;
	}
	return &n->backend;
}
