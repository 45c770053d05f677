/* SPDX-License-Identifier: MIT */
/*
 * cli/guest.c - a running guest as the WHAT of a verb: its -qmp socket, by which its monitor is asked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "scope/client.h"

bool is_guest(const char *what)
{
	struct stat s;
	return strncmp(what, "unix:", 5) == 0 || strncmp(what, "tcp:", 4) == 0 || (stat(what, &s) == 0 && S_ISSOCK(s.st_mode));
}

int ask_guest(const char *socket, const char *line, struct text *out)
{
	char why[512];
	switch (client_monitor(socket, line, out, why, sizeof why)) {
	case CLIENT_DONE:
		return STATUS_OK;
	case CLIENT_REFUSED:
		fprintf(stderr, "umbra: %s", text_string(out));
		text_clear(out);
		return STATUS_USAGE;
	case CLIENT_LOST:
		fprintf(stderr, "umbra: %s\n", why);
		break;
	}
	return STATUS_START;
}

/* It is the other process that writes, and it may have another working directory. */
int ask_guest_for_page(const char *socket, const char *path)
{
	struct text line = { 0 }, out = { 0 };
	char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	if (*path != '/' && !here) {
		fprintf(stderr, "umbra: %.120s: %s\n", path, strerror(errno));
		return STATUS_HOST;
	}
	text_add(&line, "html %s%s%s", here ? here : "", here ? "/" : "", path);
	int status = ask_guest(socket, text_string(&line), &out);
	text_free(&line);
	text_free(&out);
	free(here);
	return status;
}
