/* SPDX-License-Identifier: MIT */
/*
 * scope/client.h - the other end of a -qmp socket: one command of the monitor, for `umbra pt SOCKET` and its like.
 */
#ifndef SCOPE_CLIENT_H
#define SCOPE_CLIENT_H

#include "scope/text.h"

/* The longest that is waited for a vm to take a step: it may be busy with somebody else's command. */
#define CLIENT_PATIENCE_MS 30000

enum client_result {
	CLIENT_DONE,    /* the answer was added to out */
	CLIENT_REFUSED, /* the command failed; what it said was added to out */
	CLIENT_LOST,    /* there was no answer: `why` is a line */
};
/* Send `line` to the umbra whose -qmp socket is `socket` (a path, unix:PATH or tcp:[HOST]:PORT). */
enum client_result client_monitor(const char *socket, const char *line, struct text *out, char *why, size_t bytes);
/* The same for who does not care which way it went wrong: false: `why` is a line. */
bool client_command(const char *socket, const char *line, struct text *out, char *why, size_t bytes);

#endif
