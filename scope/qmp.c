/* SPDX-License-Identifier: MIT */
/*
 * scope/qmp.c - QMP: requests out of a stream of bytes, and their answers.
 *
 *   1. Saying
 *   2. A request     negotiation, errors, the answer with its id
 *   3. Hearing       where a request ends, without parsing it
 *   4. Life
 *
 * A request may be spread over lines, and lines may hold several: it ends where its brackets do.  What is no request, is
 * too long or too deep is answered with an error once, and what follows is skipped up to the next line.
 */
#include "scope/qmp_internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct qmp {
	struct scope *scope;
	void (*say)(void *user, const char *bytes, size_t count);
	void *user;
	bool negotiated;
	bool skipping;       /* after an error: until the line's end */
	bool in_string, escaped;
	unsigned depth;
	struct text request;
};

/* ---- 1. Saying ------------------------------------------------------------------------------ */

void qmp_say(struct qmp *q, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	json_decref(message);
	/* Without memory for an answer there is none; the client sees that something is missing by its id. */
	if (!text)
		return;
	q->say(q->user, text, strlen(text));
	q->say(q->user, "\r\n", 2);
	free(text);
}

bool qmp_is_negotiated(const struct qmp *q)
{
	return q->negotiated;
}

json_t *qmp_string(const char *bytes, size_t count)
{
	char *copy = malloc(count + 1);
	if (!copy)
		return NULL;
	for (size_t k = 0; k < count; k++)
		copy[k] = (bytes[k] >= ' ' && bytes[k] <= '~') || bytes[k] == '\n' || bytes[k] == '\t' ? bytes[k] : '?';
	json_t *string = json_stringn(copy, count);
	free(copy);
	return string;
}

/* ---- 2. A request --------------------------------------------------------------------------- */

void qmp_refuse(struct qmp_answer *answer, const char *class, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(answer->desc, sizeof answer->desc, format, list);
	va_end(list);
	answer->class = class;
}

static void say_answer(struct qmp *q, struct qmp_answer *answer, json_t *id)
{
	json_t *message = json_object();
	if (answer->class) {
		json_t *error = json_object();
		json_object_set_new(error, "class", json_string(answer->class));
		json_object_set_new(error, "desc", qmp_string(answer->desc, strlen(answer->desc)));
		json_object_set_new(message, "error", error);
	} else {
		json_object_set_new(message, "return", answer->value ? answer->value : json_object());
		answer->value = NULL;
	}
	json_decref(answer->value);
	if (id)
		json_object_set(message, "id", id);
	qmp_say(q, message);
}

static void negotiate(struct qmp *q, json_t *arguments, struct qmp_answer *answer)
{
	json_t *enable = json_object_get(arguments, "enable");
	if (q->negotiated)
		qmp_refuse(answer, "CommandNotFound", "the capabilities are agreed on already");
	else if (enable && (!json_is_array(enable) || json_array_size(enable)))
		qmp_refuse(answer, "GenericError", "'enable' can only be an empty list: there are no capabilities");
	else
		q->negotiated = true;
}

/* Is it a request at all?  *name and *arguments are its parts. */
static bool check_request(json_t *request, const char **name, json_t **arguments, struct qmp_answer *answer)
{
	const char *key;
	json_t *value;
	*name = json_string_value(json_object_get(request, "execute"));
	*arguments = json_object_get(request, "arguments");
	json_object_foreach(request, key, value)
		if (strcmp(key, "execute") != 0 && strcmp(key, "arguments") != 0 && strcmp(key, "id") != 0)
			qmp_refuse(answer, "GenericError", "a request has no member '%.40s'", key);
	if (!json_is_object(request))
		qmp_refuse(answer, "GenericError", "a request is a JSON object");
	else if (!*name)
		qmp_refuse(answer, "GenericError", "a request has a member 'execute', a string");
	else if (*arguments && !json_is_object(*arguments))
		qmp_refuse(answer, "GenericError", "a request's member 'arguments' is an object");
	return !answer->class;
}

static void run_request(struct qmp *q)
{
	struct qmp_answer answer = { 0 };
	json_error_t error;
	const char *name;
	json_t *arguments;
	json_t *request = json_loadb(text_string(&q->request), q->request.size, JSON_REJECT_DUPLICATES, &error);
	if (!request)
		qmp_refuse(&answer, "GenericError", "this is no JSON: %s", error.text);
	else if (!check_request(request, &name, &arguments, &answer))
		;
	else if (strcmp(name, "qmp_capabilities") == 0)
		negotiate(q, arguments, &answer);
	else if (!q->negotiated)
		qmp_refuse(&answer, "CommandNotFound", "qmp_capabilities must be the first command");
	else
		qmp_execute(q->scope, name, arguments, &answer);
	say_answer(q, &answer, json_is_object(request) ? json_object_get(request, "id") : NULL);
	json_decref(request);
}

/* ---- 3. Hearing ----------------------------------------------------------------------------- */

static void begin_again(struct qmp *q)
{
	text_clear(&q->request);
	q->depth = 0;
	q->in_string = q->escaped = false;
}

/* What comes cannot become a request. */
static void give_up(struct qmp *q, char byte, const char *why)
{
	struct qmp_answer answer = { 0 };
	qmp_refuse(&answer, "GenericError", "%s", why);
	say_answer(q, &answer, NULL);
	begin_again(q);
	q->skipping = byte != '\n';
}

/* One byte more of a request.  true: it is complete. */
static bool follow(struct qmp *q, char byte)
{
	bool escaped = q->escaped;
	q->escaped = false;
	if (q->in_string) {
		q->escaped = byte == '\\' && !escaped;
		q->in_string = byte != '"' || escaped;
		return false;
	}
	if (byte == '"')
		q->in_string = true;
	else if (byte == '{' || byte == '[')
		q->depth++;
	else if (byte == '}' || byte == ']')
		return --q->depth == 0;
	return false;
}

/* Returns true when something was said. */
static bool hear_byte(struct qmp *q, char byte)
{
	if (q->skipping) {
		q->skipping = byte != '\n';
		return false;
	}
	if (!q->depth) {
		if (byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n')
			return false;
		if (byte != '{' && byte != '[') {
			give_up(q, byte, "this is no JSON object");
			return true;
		}
	}
	text_add_bytes(&q->request, &byte, 1);
	bool complete = follow(q, byte);
	const char *why = q->request.cut            ? "the request is too long"
	                  : q->depth > QMP_DEPTH    ? "the request is nested too deep"
	                  : q->in_string && byte == '\n' ? "a string does not end on its line"
	                                            : NULL;
	if (why)
		give_up(q, byte, why);
	else if (complete) {
		run_request(q);
		begin_again(q);
	}
	return why || complete;
}

size_t qmp_hear(struct qmp *q, const char *bytes, size_t count)
{
	for (size_t k = 0; k < count; k++)
		if (hear_byte(q, bytes[k]))
			return k + 1;
	return count;
}

/* ---- 4. Life -------------------------------------------------------------------------------- */

struct qmp *qmp_new(struct scope *scope, void (*say)(void *user, const char *bytes, size_t count), void *user)
{
	struct qmp *q = calloc(1, sizeof *q);
	if (!q)
		return NULL;
	*q = (struct qmp){ .scope = scope, .say = say, .user = user, .request = { .limit = QMP_REQUEST } };
	qmp_say(q, json_pack("{s:{s:o,s:[]}}", "QMP", "version", qmp_version(), "capabilities"));
	return q;
}

void qmp_free(struct qmp *q)
{
	text_free(&q->request);
	free(q);
}
