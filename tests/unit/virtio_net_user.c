/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_net_user.c - the user-mode network: its options; and with the library, a
 * guest's frames that reach this host's sockets and come back.
 *
 *   1. Options
 *   2. Frames      the little of ARP, IP and UDP that is needed
 *   3. The network
 */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/virtio/net_options.h"
#include "machine/virtio/virtio.h"

static char error[256];

/* ---- 1. Options ----------------------------------------------------------------------------- */

static void options_as_people_know_them(void **state)
{
	static const struct {
		const char *text;
		bool udp;
		const char *host, *guest;
		uint16_t host_port, guest_port;
	} good[] = {
	    {"user,hostfwd=tcp::2222-:22", false, "127.0.0.1", "10.0.2.15", 2222, 22},
	    {"hostfwd=tcp::2222-:22", false, "127.0.0.1", "10.0.2.15", 2222, 22},
	    {"hostfwd=tcp:2222-22", false, "127.0.0.1", "10.0.2.15", 2222, 22},
	    {"hostfwd=::1-:65535", false, "127.0.0.1", "10.0.2.15", 1, 65535},
	    {"hostfwd=udp:0.0.0.0:53-10.0.2.9:5353", true, "0.0.0.0", "10.0.2.9", 53, 5353},
	    {",hostfwd=tcp::80-:8080", false, "127.0.0.1", "10.0.2.15", 80, 8080},
	};
	struct net_options o;

	(void)state;
	for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
		const struct net_forward *f = &o.forward[0];

		assert_true(net_parse_options(good[i].text, &o, error, sizeof error));
		assert_int_equal(o.forwards, 1);
		assert_int_equal(f->udp, good[i].udp);
		assert_int_equal(f->host.s_addr, inet_addr(good[i].host));
		assert_int_equal(f->guest.s_addr, inet_addr(good[i].guest));
		assert_int_equal(f->host_port, good[i].host_port);
		assert_int_equal(f->guest_port, good[i].guest_port);
	}
	assert_true(net_parse_options(NULL, &o, error, sizeof error) && o.forwards == 0);
	assert_true(net_parse_options("", &o, error, sizeof error) && o.forwards == 0);
	assert_true(net_parse_options("user", &o, error, sizeof error) && o.forwards == 0);
	assert_true(
	    net_parse_options("hostfwd=tcp::1-:2,hostfwd=udp::3-:4", &o, error, sizeof error));
	assert_int_equal(o.forwards, 2);
	assert_int_equal(o.forward[1].guest_port, 4);
}

static void options_that_make_no_sense_are_named(void **state)
{
	static const char *const bad[] = {
	    "hostfwd=",
	    "hostfwd=tcp",
	    "hostfwd=tcp:",
	    "hostfwd=tcp::22",
	    "hostfwd=tcp::-:",
	    "hostfwd=tcp::22-",
	    "hostfwd=icmp::1-:1",
	    "hostfwd=tcp::0-:22",
	    "hostfwd=tcp::22-:0",
	    "hostfwd=tcp::65536-:22",
	    "hostfwd=tcp::2x-:22",
	    "hostfwd=tcp:: 22-:22",
	    "hostfwd=tcp::+22-:22",
	    "hostfwd=tcp:nowhere:22-:22",
	    "hostfwd=tcp:1.2.3:22-:22",
	    "hostfwd=tcp::22-1.2.3.4.5:22",
	    "hostfwd=tcp::22-:22-:22",
	    "hostfwd=tcp::99999999999999999999-:22",
	    "hostfwd-tcp:",
	    "model=e1000",
	    "user,user",
	    "user,",
	};
	struct net_options o;

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		error[0] = 0;
		if (net_parse_options(bad[i], &o, error, sizeof error))
			fail_msg("taken: %s", bad[i]);
		assert_true(*error && !strchr(error, '\n') && strstr(error, "hostfwd="));
	}
}

static void forwards_are_counted(void **state)
{
	char text[4096] = "user";
	struct net_options o;

	(void)state;
	for (unsigned i = 1; i <= NET_FORWARDS; i++)
		snprintf(text + strlen(text), sizeof text - strlen(text), ",hostfwd=tcp::%u-:1", i);
	assert_true(net_parse_options(text, &o, error, sizeof error));
	assert_int_equal(o.forwards, NET_FORWARDS);
	strcat(text, ",hostfwd=tcp::99-:1");
	assert_false(net_parse_options(text, &o, error, sizeof error));
}

/* ---- 2. Frames ------------------------------------------------------------------------------ */

enum { ARP = 0x0806, IP = 0x0800, TCP = 6, UDP = 17 };
#define GATEWAY 0x0A000202u
#define GUEST 0x0A00020Fu

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xFFFF);
}

static unsigned get16(const uint8_t *at)
{
	return (unsigned)(at[0] << 8 | at[1]);
}
static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* Ethernet to everybody, so that nobody need be asked for an address. */
static void put_ethernet(uint8_t *frame, unsigned type)
{
	memset(frame, 0xFF, 6);
	memcpy(frame + 6, guest_mac, 6);
	put16(frame + 12, type);
}

static size_t make_arp(uint8_t *frame, unsigned operation, uint32_t from, uint32_t to)
{
	static const uint8_t ethernet_ip[6] = {0, 1, 8, 0, 6, 4};

	put_ethernet(frame, ARP);
	memcpy(frame + 14, ethernet_ip, 6);
	put16(frame + 20, operation);
	memcpy(frame + 22, guest_mac, 6);
	put32(frame + 28, from);
	memset(frame + 32, 0, 6);
	put32(frame + 38, to);
	return 42;
}

static size_t make_udp(uint8_t *frame, uint32_t to, unsigned from_port, unsigned to_port,
		       const char *text)
{
	size_t bytes = strlen(text);
	uint32_t sum = 0;

	put_ethernet(frame, IP);
	memset(frame + 14, 0, 28);
	frame[14] = 0x45;
	put16(frame + 16, (unsigned)(28 + bytes));
	frame[22] = 64;
	frame[23] = UDP;
	put32(frame + 26, GUEST);
	put32(frame + 30, to);
	for (unsigned i = 0; i < 20; i += 2)
		sum += get16(frame + 14 + i);
	put16(frame + 24, ~(sum + (sum >> 16)) & 0xFFFF);
	put16(frame + 34, from_port);
	put16(frame + 36, to_port);
	put16(frame + 38, (unsigned)(8 + bytes));
	memcpy(frame + 42, text, bytes);
	return 42 + bytes;
}

/* ---- 3. The network ------------------------------------------------------------------------- */

/* A guest that remembers the last frame of the kind it waits for, and answers questions for its
 * address. */
struct guest {
	struct net_backend *net;
	unsigned type, protocol; /* waits for */
	size_t got;
	uint8_t frame[NET_FRAME_MAX];
};

static bool hear(void *user, const uint8_t *frame, size_t bytes)
{
	struct guest *g = user;
	uint8_t answer[42];

	assert_in_range(bytes, 14, NET_FRAME_MAX);
	if (get16(frame + 12) == ARP && get16(frame + 20) == 1 && get32(frame + 38) == GUEST)
		g->net->ops->send(g->net, answer, make_arp(answer, 2, GUEST, get32(frame + 28)));
	if (get16(frame + 12) == g->type && (g->type != IP || frame[23] == g->protocol)) {
		memcpy(g->frame, frame, bytes);
		g->got = bytes;
	}
	return true;
}

static bool open_guest(struct guest *g, const char *options)
{
	memset(g, 0, sizeof *g);
	g->net = net_open_user(options, error, sizeof error);
	if (!g->net && !strstr(error, "built without libslirp"))
		fail_msg("%s", error);
	if (!g->net)
		return false; /* and that is all there is to see */
	g->net->user = g;
	g->net->receive = hear;
	return true;
}

static void close_guest(struct guest *g)
{
	g->net->ops->free(g->net);
}

/* The loop of a machine with these guests, until `which` got a frame (at most 10 s). */
static void pump(struct guest **guests, unsigned count, const struct guest *which)
{
	struct pollfd fds[2 + 64] = {{.fd = -1}, {.fd = -1}}; /* others' come first */

	for (unsigned turn = 0; turn < 1000 && !which->got; turn++) {
		unsigned used = 2;
		int timeout = 10;

		for (unsigned i = 0; i < count; i++)
			used += guests[i]->net->ops->fill(guests[i]->net, fds + used, 66 - used,
							  &timeout);
		assert_in_range(timeout, 0, 10);
		poll(fds, used, timeout);
		for (unsigned i = 0; i < count; i++)
			guests[i]->net->ops->process(guests[i]->net, fds, used);
	}
	assert_int_not_equal(which->got, 0);
}

static int local_socket(int type, uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void the_gateway_answers(void **state)
{
	struct guest g, *all = &g;
	uint8_t frame[64];

	(void)state;
	if (!open_guest(&g, NULL))
		return;
	g.type = ARP;
	g.net->ops->send(g.net, frame, make_arp(frame, 1, GUEST, GATEWAY));
	pump(&all, 1, &g);
	assert_int_equal(get16(g.frame + 20), 2);
	assert_int_equal(get32(g.frame + 28), GATEWAY);
	assert_memory_equal(g.frame, guest_mac, 6);
	close_guest(&g);
}

static void exchange_udp(struct guest *g, struct guest **all, unsigned count, const char *text)
{
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	uint8_t frame[256];
	char back[64] = "";
	uint16_t port;
	int fd = local_socket(SOCK_DGRAM, &port), ready = 0;
	struct pollfd asked = {.fd = fd, .events = POLLIN};

	g->type = ARP; /* so that it is known where answers go */
	g->net->ops->send(g->net, frame, make_arp(frame, 1, GUEST, GATEWAY));
	/* (A datagram may be lost: to an error left over from the one before.) */
	for (unsigned i = 0; i < 100 && !ready; i++) {
		g->net->ops->send(g->net, frame, make_udp(frame, GATEWAY, 4000, port, text));
		ready = poll(&asked, 1, 100);
	}
	assert_int_equal(ready, 1);
	assert_int_equal(recvfrom(fd, back, sizeof back, 0, (struct sockaddr *)&from, &size),
			 strlen(text));
	assert_string_equal(back, text);
	g->got = 0;
	g->type = IP;
	g->protocol = UDP;
	assert_int_equal(sendto(fd, "answer", 6, 0, (struct sockaddr *)&from, size), 6);
	pump(all, count, g);
	assert_int_equal(get32(g->frame + 26), GATEWAY);
	assert_int_equal(get16(g->frame + 34), port);
	assert_int_equal(get16(g->frame + 36), 4000);
	assert_memory_equal(g->frame + 42, "answer", 6);
	close(fd);
}

static void datagrams_reach_this_host_and_come_back(void **state)
{
	struct guest g, *all = &g;

	(void)state;
	if (!open_guest(&g, "user"))
		return;
	exchange_udp(&g, &all, 1, "question");
	close_guest(&g);
}

static void two_networks_share_a_loop(void **state)
{
	struct guest a, b, *all[] = {&a, &b};

	(void)state;
	if (!open_guest(&a, NULL) || !open_guest(&b, NULL))
		return;
	exchange_udp(&a, all, 2, "from a");
	exchange_udp(&b, all, 2, "from b");
	exchange_udp(&a, all, 2, "from a again");
	close_guest(&a);
	close_guest(&b);
}

static void a_forwarded_port_reaches_the_guest(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct guest g, *all = &g;
	char options[64];
	uint16_t port;
	int fd = local_socket(SOCK_STREAM, &port);

	(void)state;
	close(fd);
	snprintf(options, sizeof options, "user,hostfwd=tcp::%u-:22", port);
	if (!open_guest(&g, options))
		return;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	a.sin_port = htons(port);
	connect(fd, (struct sockaddr *)&a, sizeof a);
	g.type = IP;
	g.protocol = TCP;
	pump(&all, 1, &g);
	assert_int_equal(get32(g.frame + 30), GUEST);
	assert_int_equal(get16(g.frame + 36), 22);
	assert_int_equal(g.frame[47] & 0x12, 0x02); /* SYN */
	close(fd);
	close_guest(&g);
}

static void a_port_in_use_is_named(void **state)
{
	struct guest g;
	char options[64], number[16];
	uint16_t port;
	int fd = local_socket(SOCK_STREAM, &port);

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	snprintf(options, sizeof options, "hostfwd=tcp::%u-:22", port);
	snprintf(number, sizeof number, "127.0.0.1:%u", port);
	g.net = net_open_user(options, error, sizeof error);
	assert_null(g.net);
	if (!strstr(error, "built without libslirp"))
		assert_non_null(strstr(error, number));
	close(fd);
	assert_null(net_open_user("nonsense", error, sizeof error));
}

/* More sockets than the loop watches: each gets its turn. */
static void more_sockets_than_room_take_turns(void **state)
{
	struct guest g;
	uint8_t frame[256];
	struct pollfd fds[4];
	unsigned seen = 0;
	int known[64];

	(void)state;
	if (!open_guest(&g, NULL))
		return;
	for (unsigned i = 0; i < 20; i++)
		g.net->ops->send(g.net, frame, make_udp(frame, GATEWAY, 4000 + i, 9, "x"));
	for (unsigned turn = 0; turn < 10; turn++) {
		int timeout = 1000;
		unsigned count = g.net->ops->fill(g.net, fds, 4, &timeout);

		assert_in_range(count, 1, 4);
		assert_in_range(timeout, 0, 10);
		for (unsigned i = 0; i < count; i++) {
			unsigned k = 0;

			while (k < seen && known[k] != fds[i].fd)
				k++;
			if (k == seen)
				known[seen++] = fds[i].fd;
		}
	}
	assert_in_range(seen, 20, 64);
	close_guest(&g);
}

/* Whatever else opens files in the process goes on doing so. */
static void the_guest_does_not_get_the_last_descriptors(void **state)
{
	struct rlimit before, few;
	struct guest g;
	uint8_t frame[256];
	int kept[32];

	(void)state;
	if (!open_guest(&g, NULL))
		return;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (unsigned i = 0; i < 400; i++)
		g.net->ops->send(g.net, frame, make_udp(frame, GATEWAY, 4000 + i, 9, "x"));
	for (unsigned i = 0; i < 32; i++)
		kept[i] = dup(STDERR_FILENO);
	for (unsigned i = 0; i < 32; i++) {
		assert_true(kept[i] >= 0);
		close(kept[i]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close_guest(&g);
}

static void whatever_the_guest_sends_is_survived(void **state)
{
	uint32_t number = 1;
	struct guest g, *all = &g;
	uint8_t frame[NET_FRAME_MAX] = {0};

	(void)state;
	if (!open_guest(&g, NULL))
		return;
	for (unsigned i = 0; i < 3000; i++) {
		size_t bytes = make_udp(frame, GATEWAY, 4000, 9, "some text to be spoilt");

		for (unsigned k = 0; k < 4; k++) {
			number = number * 1103515245 + 12345;
			frame[(number >> 16) % 12] = (uint8_t)(number >> 8);
			frame[36 + (number >> 20) % 28] = (uint8_t)(number >> 12);
			put16(frame + 36, 9); /* discard: nobody is to be bothered */
		}
		if (i % 3 == 0)
			put16(frame + 16, number >> 16);
		if (i % 5 == 0)
			bytes = 14 + (number >> 24) % bytes;
		g.net->ops->send(g.net, frame, bytes < sizeof frame ? bytes : sizeof frame);
	}
	g.net->ops->send(g.net, frame, 4000); /* no frame at all: refused, not read */
	exchange_udp(&g, &all, 1, "still there");
	close_guest(&g);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(options_as_people_know_them),
	    cmocka_unit_test(options_that_make_no_sense_are_named),
	    cmocka_unit_test(forwards_are_counted),
	    cmocka_unit_test(the_gateway_answers),
	    cmocka_unit_test(datagrams_reach_this_host_and_come_back),
	    cmocka_unit_test(two_networks_share_a_loop),
	    cmocka_unit_test(a_forwarded_port_reaches_the_guest),
	    cmocka_unit_test(a_port_in_use_is_named),
	    cmocka_unit_test(more_sockets_than_room_take_turns),
	    cmocka_unit_test(the_guest_does_not_get_the_last_descriptors),
	    cmocka_unit_test(whatever_the_guest_sends_is_survived),
	};

	return cmocka_run_group_tests_name("virtio_net_user", tests, NULL, NULL);
}
