/* SPDX-License-Identifier: MIT */
/*
 * cli/line.c - a line editor for the monitor on the terminal.
 *
 *   1. The line      one change, one way to move; drawn with the characters themselves and backspaces, for any terminal
 *   2. History       the lines before
 *   3. Completion    the names of commands
 *   4. Keys          bytes, and the sequences that terminals send for the others
 *
 * It knows no terminal: bytes come in, what is to be written comes out.
 */
#include <stdio.h>
#include <string.h>

#include "cli/line.h"
#include "scope/monitor.h"

/* ---- 1. The line ---------------------------------------------------------------------------- */

static void move_to(struct line *l, size_t to, struct text *echo)
{
	for (; l->at > to; l->at--)
		text_add(echo, "\b");
	if (to > l->at)
		text_add_bytes(echo, l->text + l->at, to - l->at);
	l->at = to;
}

/* `removed` bytes at `from` become `count` others, behind which the cursor is then.  Nothing happens if there is no room. */
static void change(struct line *l, size_t from, size_t removed, const char *bytes, size_t count, struct text *echo)
{
	size_t length = l->length - removed + count;
	if (length >= LINE_BYTES)
		return;
	move_to(l, from, echo);
	memmove(l->text + from + count, l->text + from + removed, l->length - from - removed);
	memcpy(l->text + from, bytes, count);
	text_add_bytes(echo, l->text + from, length - from);
	size_t back = length - from - count;
	for (size_t k = length; k < l->length; k++, back++)
		text_add(echo, " ");
	for (size_t k = 0; k < back; k++)
		text_add(echo, "\b");
	l->length = length;
	l->at = from + count;
}

static void remove_word(struct line *l, struct text *echo)
{
	size_t from = l->at;
	while (from && l->text[from - 1] == ' ')
		from--;
	while (from && l->text[from - 1] != ' ')
		from--;
	change(l, from, l->at - from, "", 0, echo);
}

/* ---- 2. History ----------------------------------------------------------------------------- */

static void remember(struct line *l)
{
	l->shown = 0;
	if (!l->length || (l->lines && strcmp(l->history[0], l->text) == 0))
		return;
	if (l->lines < LINE_HISTORY)
		l->lines++;
	memmove(l->history[1], l->history[0], sizeof l->history[0] * (l->lines - 1));
	memcpy(l->history[0], l->text, l->length + 1);
}

/* 0: what is being typed, 1: the last line, ... */
static void show_history(struct line *l, unsigned which, struct text *echo)
{
	if (which > l->lines)
		return;
	if (l->shown == 0) {
		memcpy(l->typed, l->text, l->length);
		l->typed[l->length] = 0;
	}
	const char *text = which ? l->history[which - 1] : l->typed;
	l->shown = which;
	change(l, 0, l->length, text, strlen(text), echo);
}

/* ---- 3. Completion -------------------------------------------------------------------------- */

#define NAME_BYTES 64u

struct completion {
	const char *typed;
	size_t length;
	unsigned found;        /* different ones */
	char common[NAME_BYTES]; /* what they all begin with */
	char last[NAME_BYTES];
	struct text list;
};

static void try_name(void *user, const char *prefix, const struct monitor_command *command)
{
	struct completion *c = user;
	char name[NAME_BYTES];
	size_t same = 0;
	snprintf(name, sizeof name, "%s%s", prefix, command->name);
	if (strncmp(name, c->typed, c->length) != 0)
		return;
	name[c->length + strcspn(name + c->length, " ")] = 0; /* a word at a time: "info" before what it shows */
	if (c->found && strcmp(name, c->last) == 0)
		return;
	memcpy(c->last, name, sizeof name);
	text_add(&c->list, "%s%s", c->found ? "  " : "", name);
	if (c->found++ == 0) {
		memcpy(c->common, name, sizeof name);
		return;
	}
	while (name[same] && name[same] == c->common[same])
		same++;
	c->common[same] = 0;
}

/* One name is completed, of several what they share; if that is nothing more, they are listed. */
static void complete(struct line *l, struct text *echo)
{
	char typed[LINE_BYTES];
	struct completion c = { .typed = typed, .length = l->at };
	memcpy(typed, l->text, l->at);
	typed[l->at] = 0;
	if (l->at >= NAME_BYTES)
		return;
	monitor_visit(try_name, &c);
	size_t more = c.found ? strlen(c.common) - l->at : 0;
	if (c.found)
		change(l, l->at, 0, c.common + l->at, more, echo);
	if (c.found == 1)
		change(l, l->at, 0, " ", 1, echo);
	if (c.found > 1 && !more) {
		text_add(echo, "\r\n%s\r\n%s", text_string(&c.list), LINE_PROMPT);
		text_add_bytes(echo, l->text, l->length);
		for (size_t k = l->at; k < l->length; k++)
			text_add(echo, "\b");
	}
	text_free(&c.list);
}

/* ---- 4. Keys -------------------------------------------------------------------------------- */

enum { PLAIN, AFTER_ESCAPE, AFTER_O, IN_SEQUENCE };

#define CTRL(letter) ((letter) - 'A' + 1)

static void delete_at(struct line *l, struct text *echo)
{
	if (l->at < l->length)
		change(l, l->at, 1, "", 0, echo);
}

static void press(struct line *l, int key, struct text *echo)
{
	switch (key) {
	case CTRL('B'):
		if (l->at)
			move_to(l, l->at - 1, echo);
		break;
	case CTRL('F'):
		if (l->at < l->length)
			move_to(l, l->at + 1, echo);
		break;
	case CTRL('E'):
		move_to(l, l->length, echo);
		break;
	case CTRL('D'):
		delete_at(l, echo);
		break;
	case CTRL('H'):
	case 0x7F:
		if (l->at)
			change(l, l->at - 1, 1, "", 0, echo);
		break;
	case CTRL('U'):
		change(l, 0, l->at, "", 0, echo);
		break;
	case CTRL('K'):
		change(l, l->at, l->length - l->at, "", 0, echo);
		break;
	case CTRL('W'):
		remove_word(l, echo);
		break;
	case CTRL('P'):
		show_history(l, l->shown + 1, echo);
		break;
	case CTRL('N'):
		if (l->shown)
			show_history(l, l->shown - 1, echo);
		break;
	case '\t':
		complete(l, echo);
		break;
	}
}

/* The end of a sequence, with its first number. */
static void press_sequence(struct line *l, uint8_t final, unsigned number, struct text *echo)
{
	bool tilde = final == '~';
	if (final == 'A' || final == 'B')
		press(l, final == 'A' ? CTRL('P') : CTRL('N'), echo);
	else if (final == 'C' || final == 'D')
		press(l, final == 'C' ? CTRL('F') : CTRL('B'), echo);
	else if (final == 'H' || (tilde && (number == 1 || number == 7)))
		move_to(l, 0, echo);
	else if (final == 'F' || (tilde && (number == 4 || number == 8)))
		press(l, CTRL('E'), echo);
	else if (tilde && number == 3)
		delete_at(l, echo);
}

/* Is the byte part of a sequence?  Those that mean nothing here are swallowed. */
static bool take_sequence(struct line *l, uint8_t byte, struct text *echo)
{
	int state = l->state;
	if (byte == 0x1B) {
		l->state = AFTER_ESCAPE;
		return true;
	}
	if (state == PLAIN)
		return false;
	l->state = PLAIN;
	if (byte < ' ')
		return false; /* broken off */
	if (state == AFTER_ESCAPE && (byte == '[' || byte == 'O')) {
		l->state = byte == '[' ? IN_SEQUENCE : AFTER_O;
		l->number = 0;
		l->counts = true;
	} else if (state == IN_SEQUENCE && byte < '@') {
		l->state = IN_SEQUENCE;
		l->counts &= byte >= '0' && byte <= '9' && l->number < 100;
		if (l->counts)
			l->number = l->number * 10 + byte - '0';
	} else if (state != AFTER_ESCAPE) {
		press_sequence(l, byte, l->number, echo);
	}
	return true;
}

bool line_type(struct line *l, uint8_t byte, struct text *echo)
{
	const char typed = (char)byte;
	if (take_sequence(l, byte, echo))
		return false;
	if (byte == '\r' || byte == '\n') {
		text_add(echo, "\r\n");
		l->text[l->length] = 0;
		remember(l);
		l->length = l->at = 0;
		return true;
	}
	if (byte >= ' ' && byte < 0x7F)
		change(l, l->at, 0, &typed, 1, echo);
	else
		press(l, byte, echo);
	return false;
}

void line_empty(struct line *l)
{
	l->length = l->at = 0;
	l->shown = 0;
	l->state = PLAIN;
}
