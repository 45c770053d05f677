/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cli_line.c - the monitor's line on the terminal: what keys make of it, and that the screen shows it.
 *
 *   1. A screen of one line, as a terminal would have it
 *   2. Editing, history, names, nonsense
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/line.h"

/* ---- 1. A screen ---------------------------------------------------------------------------- */

struct desk {
	struct line line;
	char screen[2 * LINE_BYTES];
	size_t at;
	char done[LINE_BYTES]; /* the last whole line */
	char said[65536];      /* everything, for lists */
	size_t bytes;
};

static void draw(struct desk *d, const char *echo)
{
	for (; *echo; echo++) {
		if (d->bytes < sizeof d->said - 1)
			d->said[d->bytes++] = *echo;
		if (*echo == '\b') {
			assert_true(d->at > 0); /* never before the line's beginning */
			d->at--;
		} else if (*echo == '\r') {
			d->at = 0;
		} else if (*echo == '\n') {
			memset(d->screen, 0, sizeof d->screen);
		} else {
			assert_true((unsigned char)*echo >= ' ' && d->at < sizeof d->screen - 1);
			d->screen[d->at++] = *echo;
		}
	}
}

static void type_bytes(struct desk *d, const char *bytes, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		struct text echo = { 0 };
		bool whole = line_type(&d->line, (uint8_t)bytes[k], &echo);
		draw(d, text_string(&echo));
		text_free(&echo);
		assert_true(d->line.at <= d->line.length && d->line.length < LINE_BYTES);
		if (whole)
			memcpy(d->done, d->line.text, LINE_BYTES);
	}
}

static void type(struct desk *d, const char *keys)
{
	type_bytes(d, keys, strlen(keys));
}

static struct desk *new_desk(void)
{
	struct desk *d = calloc(1, sizeof *d);
	assert_non_null(d);
	return d;
}

/* What the screen shows is what the line is, and the cursor is where it is.  (After a list there is a prompt before it.) */
static void assert_shown(const struct desk *d)
{
	size_t before = strncmp(d->screen, LINE_PROMPT, strlen(LINE_PROMPT)) == 0 ? strlen(LINE_PROMPT) : 0;
	assert_int_equal(d->at, before + d->line.at);
	assert_memory_equal(d->screen + before, d->line.text, d->line.length);
	for (const char *rest = d->screen + before + d->line.length; *rest; rest++)
		assert_int_equal(*rest, ' ');
}

/* ---- 2. Editing, history, names, nonsense ----------------------------------------------------- */

static void keys_edit_the_line(void **state)
{
	static const struct {
		const char *keys, *line;
	} cases[] = {
		{ "abc", "abc" },
		{ "abc\x7F", "ab" },
		{ "\x7F\x02\x06\x04\x0B\x15\x17", "" },
		{ "abc\x1B[D\x1B[DX", "aXbc" },
		{ "abc\x1BOD\x7F", "ac" },
		{ "abc\x1B[HX\x1B[FY", "XabcY" },
		{ "abc\x1B[1~X\x1B[4~Y", "XabcY" },
		{ "abc\x1B[7~X\x1B[8~Y", "XabcY" },
		{ "abc\x1B[H\x1B[3~", "bc" },
		{ "abc\x02\x02\x04", "ac" },
		{ "abc\x02\x06\x06\x06z", "abcz" },
		{ "abc def  \x17ghi", "abc ghi" },
		{ "abc def\x02\x02\x15", "ef" },
		{ "abc def\x02\x02\x0B", "abc d" },
		{ "abc\x1B[HX\x05Y", "XabcY" },
		{ "a\x1B[15~\x1B[1;5C\x1B[200;300;400qb\x1Bxc", "abc" },
		{ "a\x1B[99999999999999999999~b\x1BOPc", "abc" },
	};
	(void)state;
	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct desk *d = new_desk();
		type(d, cases[k].keys);
		assert_shown(d);
		type(d, "\r");
		assert_string_equal(d->done, cases[k].line);
		assert_int_equal(d->line.length, 0);
		free(d);
	}
}

static void the_history_goes_up_and_down(void **state)
{
	struct desk *d = new_desk();
	(void)state;
	type(d, "one\rtwo\rtwo\r\rthree\rnow");
	assert_int_equal(d->line.lines, 3);
	type(d, "\x1B[A\x1B[A");
	assert_shown(d);
	type(d, "\x1B[A\x1B[A\x1B[A");
	assert_shown(d);
	assert_memory_equal(d->line.text, "one", 3);
	type(d, "\x1B[B\x1B[B\x1B[B\x1B[B");
	assert_shown(d);
	type(d, "\r");
	assert_string_equal(d->done, "now");
	type(d, "\x10\x10\r");
	assert_string_equal(d->done, "three");
	for (unsigned k = 0; k < 2 * LINE_HISTORY; k++)
		type(d, k % 2 ? "odd\r" : "even\r");
	assert_int_equal(d->line.lines, LINE_HISTORY);
	for (unsigned k = 0; k < 2 * LINE_HISTORY; k++)
		type(d, "\x10");
	assert_shown(d);
	type(d, "\r");
	assert_string_equal(d->done, "even");
	free(d);
}

static void names_are_completed(void **state)
{
	static const struct {
		const char *keys, *line;
	} cases[] = {
		{ "info reg\t", "info registers " },
		{ "system_res\t", "system_reset " },
		{ "info\t", "info " }, /* a word at a time */
		{ "nothing-of-this-name\t", "nothing-of-this-name" },
		{ "info reg xyz\x02\x02\x02\x02\t", "info registers  xyz" },
	};
	(void)state;
	for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
		struct desk *d = new_desk();
		type(d, cases[k].keys);
		assert_shown(d);
		type(d, "\r");
		assert_string_equal(d->done, cases[k].line);
		free(d);
	}
	struct desk *d = new_desk();
	type(d, "info s\t");
	assert_non_null(strstr(d->said, "info shadow"));
	assert_non_null(strstr(d->said, "info status"));
	assert_shown(d);
	free(d);
}

static void a_line_is_bounded(void **state)
{
	struct desk *d = new_desk();
	(void)state;
	for (size_t k = 0; k < 2 * LINE_BYTES; k++)
		type(d, "x");
	assert_int_equal(d->line.length, LINE_BYTES - 1);
	type(d, "\t\x1B[H\t");
	assert_shown(d);
	free(d);
}

/* Whatever is typed, the screen shows the line and nothing is written outside of it. */
static void any_bytes_keep_the_screen_right(void **state)
{
	static const char *const keys[] = { "a", "b ", "info ", "\x1B[D", "\x1B[C", "\x1B[H", "\x1B[F", "\x1B[3~", "\x7F", "\x17",
		                            "\x15", "\x0B", "\x1B[A", "\x1B[B", "\r", "\x1B[31;4m", "\x1BOH", "\xC3\xA4" };
	uint32_t chance = 12345;
	struct desk *d = new_desk();
	(void)state;
	for (unsigned k = 0; k < 20000; k++) {
		chance = chance * 1664525u + 1013904223u;
		type(d, keys[(chance >> 16) % (sizeof keys / sizeof keys[0])]);
		assert_shown(d);
	}
	for (unsigned k = 0; k < 20000; k++) {
		chance = chance * 1664525u + 1013904223u;
		char byte = (char)(chance >> 24);
		if (byte != '\t') /* (lists are long) */
			type_bytes(d, &byte, 1);
		assert_shown(d);
	}
	free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_edit_the_line),
		cmocka_unit_test(the_history_goes_up_and_down),
		cmocka_unit_test(names_are_completed),
		cmocka_unit_test(a_line_is_bounded),
		cmocka_unit_test(any_bytes_keep_the_screen_right),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
