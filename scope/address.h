/* SPDX-License-Identifier: MIT */
/*
 * scope/address.h - where a socket is: tcp:[HOST]:PORT, unix:PATH, and what QEMU's users write behind them.
 */
#ifndef SCOPE_ADDRESS_H
#define SCOPE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

struct socket_address {
	bool is_unix;
	char text[256];          /* the path, or the host */
	const char *host, *port; /* in text; host NULL: 127.0.0.1 */
};

/* false: `why` is a line. */
bool parse_socket_address(const char *where, struct socket_address *address, char *why, size_t bytes);
/* Always false. */
bool socket_fail(char *why, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
