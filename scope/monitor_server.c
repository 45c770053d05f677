/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_server.c - the monitor for people, on a socket: lines, answers, a prompt.
 */
#include <stdlib.h>
#include <string.h>

#include "scope/monitor.h"
#include "scope/server.h"

#define PROMPT "(umbra) "

struct talk {
	struct scope *scope;
	struct client *client;
	size_t length;
	bool overlong;        /* the line goes on, and is refused at its end */
	char line[MONITOR_LINE];
};

static void say(struct talk *t, const char *text)
{
	client_send(t->client, text, strlen(text));
}

static void *join(void *scope, struct client *client)
{
	struct talk *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->scope = scope;
	t->client = client;
	say(t, MONITOR_GREETING "help lists the commands\n" PROMPT);
	return t;
}

static void run_line(struct talk *t)
{
	struct text answer = { .limit = MONITOR_ANSWER };
	t->line[t->length] = 0;
	if (t->overlong)
		text_add(&answer, "the line is too long: %u bytes at most\n", MONITOR_LINE - 1);
	else
		monitor_run(t->scope, t->line, &answer);
	t->length = 0;
	t->overlong = false;
	client_send(t->client, text_string(&answer), answer.size);
	text_free(&answer);
	say(t, PROMPT);
}

/* (A 0 in a line would end it before its end.) */
static size_t hear(void *state, const char *bytes, size_t count)
{
	struct talk *t = state;
	for (size_t k = 0; k < count; k++) {
		if (bytes[k] == '\n') {
			run_line(t);
			return k + 1;
		}
		if (t->length == sizeof t->line - 1)
			t->overlong = true;
		else if (bytes[k] != '\r')
			t->line[t->length++] = bytes[k] ? bytes[k] : '?';
	}
	return count;
}

static void leave(void *state)
{
	free(state);
}

struct server *monitor_listen(struct scope *scope, const char *where, char *why, size_t bytes)
{
	static const struct server_ops ops = { .name = "-monitor", .clients = 4, .join = join, .hear = hear,
		                               .leave = leave };
	return server_open(scope->vm, where, &ops, scope, why, bytes);
}
