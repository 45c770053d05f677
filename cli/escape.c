/* SPDX-License-Identifier: MIT */
/*
 * cli/escape.c - the escape key: what is typed is the guest's, the monitor's, or a command.
 *
 *   1. The monitor's line    say, end_line, open_monitor, type_line: a front to scope/monitor.c
 *   2. Commands              Ctrl-A and a key
 *   3. The filter            between the terminal and the guest
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "scope/monitor.h"

#define ESCAPE 0x01 /* Ctrl-A */

/* ---- 1. The monitor's line ------------------------------------------------------------------ */

void say(struct escape *e, const char *text)
{
	size_t left = strlen(text);
	vm_console_flush(e->vm);
	while (left) {
		struct pollfd ready = { .fd = e->out, .events = POLLOUT };
		ssize_t went = write(e->out, text, left);
		if (went < 0 && errno == EAGAIN && poll(&ready, 1, 1000) > 0)
			continue;
		if (went < 0 && errno == EINTR)
			continue;
		if (went <= 0)
			return;
		text += went;
		left -= (size_t)went;
	}
}

void end_line(struct escape *e)
{
	vm_console_flush(e->vm);
	if (isatty(e->out) && (e->monitor || (!e->elsewhere && vm_console_mid_line(e->vm))))
		say(e, "\r\n");
}

/* Several lines of somebody else's text, with the line ends that a raw terminal wants. */
static void say_lines(struct escape *e, const char *text)
{
	struct text lines = { 0 };
	for (const char *at = text; *at; at++)
		text_add_bytes(&lines, *at == '\n' ? "\r\n" : at, *at == '\n' ? 2 : 1);
	say(e, text_string(&lines));
	text_free(&lines);
}

static void run_line(struct escape *e, const char *line)
{
	struct text answer = { .limit = MONITOR_ANSWER };
	monitor_run(e->scope, line, &answer);
	say_lines(e, text_string(&answer));
	text_free(&answer);
}

void open_monitor(struct escape *e)
{
	e->monitor = true;
	line_empty(&e->line);
	say(e, "\r\numbra monitor: help lists the commands");
	say(e, e->monitor_only ? "\r\n" LINE_PROMPT : ", Ctrl-A c goes back\r\n" LINE_PROMPT);
}

static void type_line(struct escape *e, uint8_t byte)
{
	struct text echo = { .limit = 64 * LINE_BYTES };
	bool whole = line_type(&e->line, byte, &echo);
	say(e, text_string(&echo));
	text_free(&echo);
	if (!whole)
		return;
	run_line(e, e->line.text);
	if (!e->scope->leave)
		say(e, LINE_PROMPT);
}

/* ---- 2. Commands ---------------------------------------------------------------------------- */

static void leave_vm(struct escape *e)
{
	end_line(e);
	e->scope->leave = true;
	vm_kick(e->vm);
}

static void toggle_monitor(struct escape *e)
{
	if (e->no_monitor) {
		say(e, "\r\n(no monitor with -engine check)\r\n");
	} else if (!e->monitor) {
		open_monitor(e);
	} else if (!e->monitor_only) {
		e->monitor = false;
		say(e, "\r\n");
	}
}

static void say_help(struct escape *e);

static const struct {
	char key;
	void (*run)(struct escape *e);
	const char *help;
} commands[] = {
	{ 'x', leave_vm, "leave" },
	{ 'c', toggle_monitor, "the monitor, and back" },
	{ 'h', say_help, "this help (? too)" },
	{ '?', say_help, NULL },
};

static void say_help(struct escape *e)
{
	for (size_t k = 0; k < sizeof commands / sizeof commands[0]; k++) {
		char line[80];
		if (!commands[k].help)
			continue;
		snprintf(line, sizeof line, "\r\nCtrl-A %c       %s", commands[k].key, commands[k].help);
		say(e, line);
	}
	say(e, "\r\nCtrl-A Ctrl-A  send Ctrl-A to the guest\r\n");
}

static void run_command(struct escape *e, uint8_t key)
{
	for (size_t k = 0; k < sizeof commands / sizeof commands[0]; k++)
		if (commands[k].key == (char)key)
			commands[k].run(e);
}

/* ---- 3. The filter -------------------------------------------------------------------------- */

size_t escape_filter(void *user, uint8_t *bytes, size_t count)
{
	struct escape *e = user;
	size_t kept = 0;
	for (size_t k = 0; k < count && !e->scope->leave; k++) {
		uint8_t byte = bytes[k];
		if (e->pending) {
			e->pending = false;
			if (byte != ESCAPE) {
				run_command(e, byte);
				continue;
			}
		} else if (e->enabled && byte == ESCAPE) {
			e->pending = true;
			continue;
		}
		if (e->monitor)
			type_line(e, byte);
		else
			bytes[kept++] = byte;
	}
	return kept;
}
