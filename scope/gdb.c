/* SPDX-License-Identifier: MIT */
/*
 * scope/gdb.c - a debugger's way in.
 *
 *   1. Sessions    one for each client, one at a time
 *   2. The server  scope/server.c's view of them
 *   3. Listening   -gdb, and the monitor's gdbserver
 */
#include "scope/gdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope/commands.h"
#include "scope/gdb_internal.h"
#include "scope/server.h"

struct gdb {
	struct scope *scope;
	struct server *server;
	char where[256];
	/* The one client: */
	struct client *client;
	struct gdb_session *session;
	bool hearing;        /* one of its packets is being answered */
};

/* ---- 1. Sessions ---------------------------------------------------------------------------- */

struct gdb_session *gdb_session_new(struct scope *scope, void (*say)(void *user, const char *bytes, size_t count),
                                    void *user)
{
	struct gdb_session *s = calloc(1, sizeof *s);
	if (!s)
		return NULL;
	s->scope = scope;
	s->say = say;
	s->user = user;
	s->debugger = (struct vm_debugger){ .user = s, .stopped = gdb_stopped };
	snprintf(s->stop, sizeof s->stop, "T%02xthread:1;", GDB_SIGTRAP);
	if (vm_attach_debugger(scope->vm, &s->debugger)) {
		vm_pause(scope->vm, true);
		return s;
	}
	free(s);
	return NULL;
}

void gdb_session_free(struct gdb_session *s)
{
	if (!s)
		return;
	if (!s->ending)
		gdb_detach(s);
	text_free(&s->reply);
	text_free(&s->sent);
	free(s);
}

/* ---- 2. The server -------------------------------------------------------------------------- */

static void say(void *user, const char *bytes, size_t count)
{
	struct gdb *g = user;
	client_send(g->client, bytes, count);
}

static void *join(void *user, struct client *client)
{
	struct gdb *g = user;
	g->client = client;
	g->session = gdb_session_new(g->scope, say, g);
	return g->session ? g : NULL;
}

static size_t hear(void *state, const char *bytes, size_t count)
{
	struct gdb *g = state;
	g->hearing = true;
	size_t took = gdb_hear(g->session, bytes, count);
	g->hearing = false;
	if (g->session->ending)
		client_end(g->client);
	return took;
}

static void leave(void *state)
{
	struct gdb *g = state;
	gdb_session_free(g->session);
	g->session = NULL;
	g->client = NULL;
}

static const struct server_ops ops = { .name = "-gdb", .clients = 1, .join = join, .hear = hear, .leave = leave };

/* ---- 3. Listening --------------------------------------------------------------------------- */

/* QEMU's users write "tcp::1234", and think of gdb's "localhost:1234" and ":1234". */
static const char *full_address(const char *where, char *buf, size_t bytes)
{
	bool known = strncmp(where, "tcp:", 4) == 0 || strncmp(where, "unix:", 5) == 0;
	if (known || !strchr(where, ':'))
		return where;
	snprintf(buf, bytes, "tcp:%s", where);
	return buf;
}

bool gdb_check(const char *where, char *why, size_t bytes)
{
	char full[300];
	return strcmp(where, "none") == 0 || server_check(full_address(where, full, sizeof full), why, bytes);
}

static void stop_listening(struct gdb *g)
{
	server_close(g->server);
	free(g);
}

bool gdb_listen(struct scope *scope, const char *where, char *why, size_t bytes)
{
	struct gdb *g = NULL;
	char full[300];
	if (scope->gdb && scope->gdb->hearing) {
		snprintf(why, bytes, "not from within gdb: it would saw off the branch that it sits on");
		return false;
	}
	if (strcmp(where, "none") != 0) {
		g = calloc(1, sizeof *g);
		if (!g) {
			snprintf(why, bytes, "no memory");
			return false;
		}
		g->scope = scope;
		snprintf(g->where, sizeof g->where, "%s", where);
		g->server = server_open(scope->vm, full_address(where, full, sizeof full), &ops, g, why, bytes);
		if (!g->server) {
			free(g);
			return false;
		}
	}
	if (scope->gdb)
		stop_listening(scope->gdb);
	scope->gdb = g;
	return true;
}

void gdb_tell_end(struct scope *scope, enum vm_end end)
{
	if (scope->gdb && scope->gdb->session)
		gdb_ended(scope->gdb->session, end);
}

void gdb_close(struct scope *scope)
{
	if (scope->gdb)
		stop_listening(scope->gdb);
	scope->gdb = NULL;
}

/* Without an address: as it is, or as QEMU has it. */
void command_gdbserver(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	char why[256];
	const char *where = *rest || scope->gdb ? rest : GDB_DEFAULT;
	if (*where && !gdb_listen(scope, where, why, sizeof why))
		monitor_refuse(scope, out, "%s", why);
	else
		info_gdb(scope, suffix, rest, out);
}

void info_gdb(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	const struct gdb *g = scope->gdb;
	(void)suffix, (void)rest;
	if (!g)
		text_add(out, "no debugger is waited for\n");
	else
		text_add(out, "%s: %s\n", g->where, g->session ? "a debugger is there" : "waiting for a debugger");
}
