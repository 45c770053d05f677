/* SPDX-License-Identifier: MIT */
/*
 * scope/qmp_internal.h - the protocol's inside: its index.
 *
 *   qmp.c            requests out of a stream of bytes, answers, negotiation
 *   qmp_commands.c   the table of commands
 *   qmp_events.c     what is told unasked; the socket
 */
#ifndef SCOPE_QMP_INTERNAL_H
#define SCOPE_QMP_INTERNAL_H

#include <jansson.h>

#include "scope/monitor.h"
#include "scope/qmp.h"

/* What a command has to say: a value, or an error.  (Classes that clients know: GenericError, CommandNotFound.) */
struct qmp_answer {
	json_t *value;      /* owned; NULL: an empty object, unless there is an error */
	const char *class;  /* NULL: no error */
	char desc[256];
};

/* ---- qmp.c ---------------------------------------------------------------------------------- */

/* A string of whatever bytes a guest or a file has given: those that are no printable ASCII become '?'. */
json_t *qmp_string(const char *bytes, size_t count);
void qmp_say(struct qmp *q, json_t *message); /* takes the message */
bool qmp_is_negotiated(const struct qmp *q);

/* ---- qmp_commands.c ------------------------------------------------------------------------- */

void qmp_execute(struct scope *scope, const char *name, json_t *arguments, struct qmp_answer *answer);
void qmp_refuse(struct qmp_answer *answer, const char *class, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- qmp_events.c --------------------------------------------------------------------------- */

json_t *qmp_event_names(void);
json_t *qmp_version(void);

#endif
