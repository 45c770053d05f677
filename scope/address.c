/* SPDX-License-Identifier: MIT */
/* scope/address.c - where a socket is. */
#include "scope/address.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

bool socket_fail(char *why, size_t bytes, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(why, bytes, format, list);
	va_end(list);
	return false;
}

/* What follows the first comma: QEMU's words for what is done anyway. */
static bool check_suffix(const char *where, const char *suffix, char *why, size_t bytes)
{
	static const char *const fine[] = { "server", "server=on", "nowait", "wait=off" };
	for (const char *at = suffix; *at; ) {
		size_t length = strcspn(++at, ","), k = 0;
		while (k < 4 && (strlen(fine[k]) != length || strncmp(fine[k], at, length) != 0))
			k++;
		if (k == 4)
			return socket_fail(why, bytes, "%.80s: '%.*s': only server=on and wait=off can follow", where,
			            length < 40 ? (int)length : 40, at);
		at += length;
	}
	return true;
}

static bool parse_tcp(const char *where, struct socket_address *a, char *why, size_t bytes)
{
	char *colon = strrchr(a->text, ':'), *host = a->text, *end;
	if (!colon)
		return socket_fail(why, bytes, "%.80s: tcp:[HOST]:PORT is expected", where);
	*colon = 0;
	a->port = colon + 1;
	unsigned long port = strtoul(a->port, &end, 10);
	if (a->port[0] < '0' || a->port[0] > '9' || *end || port > 65535)
		return socket_fail(why, bytes, "%.80s: a port is a number up to 65535", where);
	if (*host == '[' && colon > host && colon[-1] == ']') { /* an IPv6 address */
		colon[-1] = 0;
		host++;
	}
	a->host = *host ? host : NULL;
	return true;
}

bool parse_socket_address(const char *where, struct socket_address *a, char *why, size_t bytes)
{
	size_t length = strcspn(where, ",");
	bool tcp = strncmp(where, "tcp:", 4) == 0;
	*a = (struct socket_address){ .is_unix = strncmp(where, "unix:", 5) == 0 };
	if (!tcp && !a->is_unix)
		return socket_fail(why, bytes, "%.80s: tcp:[HOST]:PORT or unix:PATH is expected", where);
	const char *from = where + (tcp ? 4 : 5);
	if (!check_suffix(where, where + length, why, bytes))
		return false;
	length -= (size_t)(from - where);
	if (length >= sizeof a->text)
		return socket_fail(why, bytes, "%.80s...: this is too long", where);
	memcpy(a->text, from, length);
	a->text[length] = 0;
	if (tcp)
		return parse_tcp(where, a, why, bytes);
	if (length == 0 || length >= sizeof ((struct sockaddr_un *)0)->sun_path)
		return socket_fail(why, bytes, "%.80s: a path of 1 to %zu bytes is expected", where,
		            sizeof ((struct sockaddr_un *)0)->sun_path - 1);
	return true;
}
