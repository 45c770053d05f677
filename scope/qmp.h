/* SPDX-License-Identifier: MIT */
/*
 * scope/qmp.h - the monitor for programs: the protocol that QEMU's clients speak (QMP), for what there is here.
 *
 * JSON objects on a socket: a greeting, then requests {"execute": NAME, "arguments": {...}, "id": any}, of which the first
 * is qmp_capabilities; answers {"return": ...} or {"error": {"class", "desc"}} with the same id; events in between.
 */
#ifndef SCOPE_QMP_H
#define SCOPE_QMP_H

#include "scope/scope.h"
#include "scope/server.h"

/* A request is refused beyond these: what a client can make us keep, and how deep a parser may go. */
#define QMP_REQUEST 65536u
#define QMP_DEPTH 32u

/* NULL: `why` is a line. */
struct server *qmp_listen(struct scope *scope, const char *where, char *why, size_t bytes);
/* The run is over, and this is how: to all clients. */
void qmp_tell_end(struct scope *scope, enum vm_end end);
void qmp_tell_change(struct scope *scope, enum vm_change change);

/* qmp.c, without a socket: for tests.  `say` gets each answer, a line. */
struct qmp;
struct qmp *qmp_new(struct scope *scope, void (*say)(void *user, const char *bytes, size_t count), void *user);
void qmp_free(struct qmp *q);
/* Returns the bytes taken: up to the end of the first request. */
size_t qmp_hear(struct qmp *q, const char *bytes, size_t count);

#endif
