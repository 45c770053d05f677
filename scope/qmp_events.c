/* SPDX-License-Identifier: MIT */
/*
 * scope/qmp_events.c - QMP: what clients are told unasked, and the socket that they come by.
 *
 *   1. Events
 *   2. The socket
 */
#include "scope/qmp_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERSION_MAJOR 0
#define VERSION_MINOR 1

/* ---- 1. Events ------------------------------------------------------------------------------ */

struct talk {
	struct qmp *qmp;
	struct client *client;
};

json_t *qmp_version(void)
{
	/* Clients look for "qemu"; the number is ours. */
	return json_pack("{s:{s:i,s:i,s:i},s:s}", "qemu", "major", VERSION_MAJOR, "minor", VERSION_MINOR, "micro", 0,
	                 "package", "umbra");
}

json_t *qmp_event_names(void)
{
	return json_pack("[{s:s},{s:s},{s:s},{s:s}]", "name", "STOP", "name", "RESUME", "name", "RESET", "name",
	                 "SHUTDOWN");
}

/* One that does not read has more than enough to read already. */
static void tell_client(void *state, void *event)
{
	struct talk *t = state;
	if (qmp_is_negotiated(t->qmp) && !client_is_slow(t->client))
		qmp_say(t->qmp, json_incref(event));
}

static void tell(struct scope *scope, const char *name, json_t *data)
{
	struct timespec now;
	if (!scope->qmp) {
		json_decref(data);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	json_t *event = json_pack("{s:s,s:{s:I,s:I}}", "event", name, "timestamp", "seconds", (json_int_t)now.tv_sec,
	                          "microseconds", (json_int_t)now.tv_nsec / 1000);
	if (data)
		json_object_set_new(event, "data", data);
	if (event)
		server_each(scope->qmp, tell_client, event);
	json_decref(event);
}

static const char *end_reason(const struct scope *scope, enum vm_end end);

static void tell_shutdown(struct scope *scope, enum vm_end end)
{
	const char *reason = end_reason(scope, end);
	tell(scope, "SHUTDOWN", json_pack("{s:b,s:s}", "guest", strncmp(reason, "guest", 5) == 0, "reason", reason));
}

void qmp_tell_change(struct scope *scope, enum vm_change change)
{
	bool ours = scope->reset_asked;
	enum vm_end end;
	switch (change) {
	case VM_CHANGE_PAUSED:
		tell(scope, "STOP", NULL);
		break;
	case VM_CHANGE_RESUMED:
		tell(scope, "RESUME", NULL);
		break;
	case VM_CHANGE_RESET:
		scope->reset_asked = false;
		tell(scope, "RESET", json_pack("{s:b,s:s}", "guest", !ours, "reason",
		                               ours ? "host-qmp-system-reset" : "guest-reset"));
		break;
	case VM_CHANGE_ENDED:
		vm_kept_end(scope->vm, &end);
		tell_shutdown(scope, end);
		break;
	}
}

/* Whose doing the end was, in the words that the protocol has for it. */
static const char *end_reason(const struct scope *scope, enum vm_end end)
{
	switch (end) {
	case VM_POWER_OFF:
	case VM_DEBUG_EXIT:
		return "guest-shutdown";
	case VM_RESET:
		return scope->reset_asked ? "host-qmp-system-reset" : "guest-reset";
	case VM_SHUTDOWN:
	case VM_CRASHED:
	case VM_KILLED:
	case VM_STUCK:
		return "guest-panic";
	case VM_KICKED:
		return scope->leave ? "host-qmp-quit" : "host-signal";
	case VM_HANGUP:
		return "host-ui";
	case VM_NOMEM:
	case VM_STOPPED:
	case VM_DIFFERS:
	case VM_REPORTED:
		break;
	}
	return "host-error";
}

void qmp_tell_end(struct scope *scope, enum vm_end end)
{
	enum vm_end kept;
	/* The guest's own was told when it was; this is that of the machine. */
	tell_shutdown(scope, vm_kept_end(scope->vm, &kept) ? VM_KICKED : end);
}

/* ---- 2. The socket -------------------------------------------------------------------------- */

static void say(void *user, const char *bytes, size_t count)
{
	struct talk *t = user;
	client_send(t->client, bytes, count);
}

static void *join(void *scope, struct client *client)
{
	struct talk *t = calloc(1, sizeof *t);
	if (!t)
		return NULL;
	t->client = client;
	t->qmp = qmp_new(scope, say, t);
	if (t->qmp)
		return t;
	free(t);
	return NULL;
}

static size_t hear(void *state, const char *bytes, size_t count)
{
	struct talk *t = state;
	return qmp_hear(t->qmp, bytes, count);
}

static void leave(void *state)
{
	struct talk *t = state;
	qmp_free(t->qmp);
	free(t);
}

struct server *qmp_listen(struct scope *scope, const char *where, char *why, size_t bytes)
{
	static const struct server_ops ops = { .name = "-qmp", .clients = 4, .join = join, .hear = hear, .leave = leave };
	return server_open(scope->vm, where, &ops, scope, why, bytes);
}
