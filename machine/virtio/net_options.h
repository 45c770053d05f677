/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/net_options.h - what may be said of a user-mode network, library or not.
 */
#ifndef MACHINE_VIRTIO_NET_OPTIONS_H
#define MACHINE_VIRTIO_NET_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <netinet/in.h>

/* Where things are in the guest's network. */
#define NET_USER_NETWORK 0x0A000200u /* 10.0.2.0/24 */
#define NET_USER_MASK 0xFFFFFF00u
#define NET_USER_GATEWAY 0x0A000202u
#define NET_USER_DNS 0x0A000203u
#define NET_USER_GUEST 0x0A00020Fu /* the first address that DHCP gives */

#define NET_FORWARDS 32u

/* Connections to a port of the host go to one of the guest. */
struct net_forward {
	bool udp;
	struct in_addr host, guest;
	uint16_t host_port, guest_port;
};

struct net_options {
	unsigned forwards;
	struct net_forward forward[NET_FORWARDS];
};

/*
 * "hostfwd=[tcp|udp]:[HOST]:PORT-[GUEST]:PORT" any number of times, commas between; a first word
 * "user" is skipped, NULL or "" is none.  HOST is an address of this machine, 127.0.0.1 when left
 * out; GUEST is 10.0.2.15; "tcp:2222-22" is short for "tcp::2222-:22".  false with *error: one line
 * that names what is wrong.
 */
bool net_parse_options(const char *text, struct net_options *options, char *error, size_t room);

#endif
