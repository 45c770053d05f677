/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor.h - the monitor: one table of commands, for people, for programs and for the manual.
 *
 * A command is a function and one line in monitor.c's table (what `info` shows: monitor_info.c's).  It is called by the
 * thread that runs the vm, between instructions, and may do whatever vm_pause() may beside.
 */
#ifndef SCOPE_MONITOR_H
#define SCOPE_MONITOR_H

#include "scope/scope.h"

/* A line that is longer is refused: what somebody who sends no line end can make us keep. */
#define MONITOR_LINE 4096u
/* An answer's bytes, beyond which it is cut with a word about it: a guest's tables make long ones. */
#define MONITOR_ANSWER (16u << 20)

struct monitor_command {
	const char *name;
	const char *arguments;  /* as help shows them: "/COUNT FORMAT SIZE ADDRESS", " [NAME]", "" */
	const char *help;       /* what it does: one line, no full stop */
	/* `suffix`: what followed the name at once, with its '/', or ""; `rest`: the words after it, without blanks
	 * around, or "".  Both may be written to. */
	void (*run)(struct scope *scope, char *suffix, char *rest, struct text *out);
	/* The same as one JSON value, NULL: there is none.  QMP has it as x-umbra-NAME. */
	void (*json)(struct scope *scope, char *suffix, char *rest, struct text *out);
};

/* Carry out one line; what it has to say is added to `out`.  false: the command failed, or there is none such, and `out`
 * says why. */
bool monitor_run(struct scope *scope, const char *line, struct text *out);
/* ... in its JSON form.  false: it failed, and `out` is a line of text. */
bool monitor_run_json(struct scope *scope, const char *line, struct text *out);
/* For a command: it has failed, and this is why (a line end is added). */
void monitor_refuse(struct scope *scope, struct text *out, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* For a command: the next word of *rest, cut off; "" when there is none. */
char *monitor_word(char **rest);

/* All commands in order, `info`'s as "info NAME": name, arguments, help. */
void monitor_visit(void (*visit)(void *user, const char *prefix, const struct monitor_command *command), void *user);

#define MONITOR_GREETING "umbra monitor: " /* how its first line begins */
/* The monitor for people on a socket (server.h).  NULL: `why` is a line. */
struct server *monitor_listen(struct scope *scope, const char *where, char *why, size_t bytes);

/* A value in a command: a number, $REGISTER, the name of a symbol, with + - * / and parentheses, modulo 2^32.  `what` is one
 * word or several.  false: `out` says why not, and the command has failed. */
bool monitor_value(struct scope *scope, const char *what, uint32_t *value, struct text *out);

#endif
