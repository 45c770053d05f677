/* SPDX-License-Identifier: MIT */
/*
 * cli/line.h - a line editor for the monitor on the terminal.
 */
#ifndef CLI_LINE_H
#define CLI_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "scope/text.h"

#define LINE_BYTES 1024u
#define LINE_HISTORY 32u /* lines kept */
#define LINE_PROMPT "(umbra) "

struct line {
	size_t length, at;       /* `at`: the cursor */
	int state;               /* of a terminal's sequence, whose first number is... */
	unsigned number;
	bool counts;             /* (it is not over yet) */
	unsigned lines, shown;   /* in the history; which of them is being edited, 0: none */
	char text[LINE_BYTES];   /* a string once line_type() returned true */
	char typed[LINE_BYTES];  /* what was being typed when the history was called */
	char history[LINE_HISTORY][LINE_BYTES]; /* the last first */
};

/* A byte was typed; what the terminal is to show is added to `echo`.  true: text is a line, and the next one begins. */
bool line_type(struct line *l, uint8_t byte, struct text *echo);
/* Begin a line anew; the history stays. */
void line_empty(struct line *l);

#endif
