/* SPDX-License-Identifier: MIT */
/*
 * cli/monitor.c - umbra monitor SOCKET COMMAND...: one command of a running umbra's monitor, from outside.
 */
#include <string.h>

#include "cli/cli.h"
#include "scope/client.h"
#include "scope/monitor.h"

void print_monitor_help(FILE *to)
{
	fprintf(to, "usage: umbra monitor SOCKET COMMAND...\n"
	            "       umbra monitor -commands [-roff]\n\n"
	            "Sends one command to the monitor of an umbra that was started with -qmp SOCKET, and prints the\n"
	            "answer. SOCKET: a path, unix:PATH or tcp:[HOST]:PORT. The exit status is 0, 6 when the command\n"
	            "failed (its words are on standard error), 4 when there was no answer.\n\n"
	            "  -commands    list the commands that there are, without any socket; -roff: for the manual page\n");
}

/* ---- The table, for people and for the manual ---------------------------------------------- */

static void print_command(void *to, const char *prefix, const struct monitor_command *c)
{
	fprintf(to, "%s%s%s\n    %s\n", prefix, c->name, c->arguments, c->help);
}

static void print_roff_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		if (*text == '-')
			fputc('\\', to);
		fputc(*text, to);
	}
}

static void print_roff(void *to, const char *prefix, const struct monitor_command *c)
{
	fprintf(to, ".TP\n.B \"");
	print_roff_text(to, prefix);
	print_roff_text(to, c->name);
	print_roff_text(to, c->arguments);
	fprintf(to, "\"\n");
	print_roff_text(to, c->help);
	fprintf(to, "\n");
}

/* ---- The verb ------------------------------------------------------------------------------- */

static int refuse(const char *why)
{
	fprintf(stderr, "umbra: monitor: %s\n", why);
	return STATUS_USAGE;
}

static int send_line(const char *socket, const char *line)
{
	struct text out = { 0 };
	char why[300];
	enum client_result result = client_monitor(socket, line, &out, why, sizeof why);
	if (result == CLIENT_LOST)
		fprintf(stderr, "umbra: %s\n", why);
	fwrite(text_string(&out), 1, out.size, result == CLIENT_DONE ? stdout : stderr);
	text_free(&out);
	if (result == CLIENT_DONE && fflush(stdout) != 0)
		return STATUS_HANGUP;
	return result == CLIENT_DONE ? STATUS_OK : result == CLIENT_REFUSED ? STATUS_REFUSED : STATUS_START;
}

int monitor_verb(int argc, char **argv)
{
	struct text line = { .limit = MONITOR_LINE };
	if (argc == 2 && (strcmp(argv[1], "-help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_monitor_help(stdout);
		return STATUS_OK;
	}
	if (argc >= 2 && strcmp(argv[1], "-commands") == 0) {
		if (argc > 3 || (argc == 3 && strcmp(argv[2], "-roff") != 0))
			return refuse("-commands [-roff]");
		monitor_visit(argc == 3 ? print_roff : print_command, stdout);
		return STATUS_OK;
	}
	if (argc < 3)
		return refuse("it needs a socket and a command; try `umbra help monitor`");
	for (int k = 2; k < argc; k++)
		text_add(&line, "%s%s", k > 2 ? " " : "", argv[k]);
	int status = line.cut ? refuse("the command is too long") : send_line(argv[1], text_string(&line));
	text_free(&line);
	return status;
}
