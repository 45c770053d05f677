/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/net_options.c - what may be said of a user-mode network: see net_options.h.
 *
 *   1. Pieces      ports, ends
 *   2. Options
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine/virtio/net_options.h"

/* ---- 1. Pieces ------------------------------------------------------------------------------ */

static bool parse_port(const char *text, uint16_t *port)
{
	unsigned value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned)(*text - '0');
		if (value > UINT16_MAX)
			return false;
	}
	*port = (uint16_t)value;
	return value != 0;
}

/* "PORT", ":PORT" or "ADDRESS:PORT"; the address stays as it is when left out.  Cuts `text`. */
static bool parse_end(char *text, struct in_addr *address, uint16_t *port)
{
	char *colon = strchr(text, ':');

	if (!colon)
		return parse_port(text, port);
	*colon = 0;
	if (*text && inet_pton(AF_INET, text, address) != 1)
		return false;
	return parse_port(colon + 1, port);
}

/* "[tcp|udp]:END-END".  Cuts `text`. */
static bool parse_forward(char *text, struct net_forward *f)
{
	char *colon = strchr(text, ':'), *dash = strchr(text, '-');

	if (!colon || !dash || dash < colon)
		return false;
	*colon = *dash = 0;
	f->udp = strcmp(text, "udp") == 0;
	if (*text && !f->udp && strcmp(text, "tcp") != 0)
		return false;
	f->host.s_addr = htonl(INADDR_LOOPBACK);
	f->guest.s_addr = htonl(NET_USER_GUEST);
	return parse_end(colon + 1, &f->host, &f->host_port) &&
	       parse_end(dash + 1, &f->guest, &f->guest_port);
}

/* ---- 2. Options ----------------------------------------------------------------------------- */

static bool parse_option(char *word, bool first, struct net_options *options, char *error,
			 size_t room)
{
	static const char hostfwd[] = "hostfwd=";
	char *cut;
	bool good;

	if (first && (!*word || strcmp(word, "user") == 0))
		return true;
	if (strncmp(word, hostfwd, sizeof hostfwd - 1) != 0) {
		snprintf(error, room,
			 "network option '%s': there is only hostfwd=tcp::HOSTPORT-:GUESTPORT",
			 word);
		return false;
	}
	if (options->forwards == NET_FORWARDS) {
		snprintf(error, room, "more than %u ports to forward", NET_FORWARDS);
		return false;
	}
	cut = strdup(word + sizeof hostfwd - 1);
	good = cut && parse_forward(cut, &options->forward[options->forwards]);
	free(cut);
	if (!good) {
		snprintf(error, room, "'%s': not of the form hostfwd=tcp:[HOST]:PORT-[GUEST]:PORT",
			 word);
		return false;
	}
	options->forwards++;
	return true;
}

bool net_parse_options(const char *text, struct net_options *options, char *error, size_t room)
{
	char *copy = strdup(text ? text : ""), *rest = copy, *word;
	bool good = copy, first = true;

	memset(options, 0, sizeof *options);
	if (!copy)
		snprintf(error, room, "out of memory");
	while (good && (word = strsep(&rest, ",")) != NULL) {
		good = parse_option(word, first, options, error, room);
		first = false;
	}
	free(copy);
	return good;
}
