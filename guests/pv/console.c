/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/console.c - where print() goes early, and the command line.
 *
 *   1. Early console    NOTIFY of a short text; family G writes to the console's emergency register
 *   2. Command line
 */
#include "guests/pv/pv.h"

/* ---- 1. Early console ----------------------------------------------------------------------- */

enum { LINE = 80, NOTIFY_TEXT = 16 };

/* On the stack, at whatever alignment, 16 characters and a NUL at most. */
static void early_write(const char *text, size_t length)
{
	char buffer[NOTIFY_TEXT + 1];

	while (length) {
		size_t n = length < NOTIFY_TEXT ? length : NOTIFY_TEXT;

		memcpy(buffer, text, n);
		buffer[n] = 0;
		__asm__ volatile("" : : "r"(buffer) : "memory");
		call(CALL_NOTIFY, physical(buffer), 0, 0);
		text += n;
		length -= n;
	}
}

static char line[LINE];
static unsigned line_used;

void flush_print(void)
{
	if (!line_used)
		return;
	if (console_ready())
		console_write(line, line_used);
	else if (family->devices == DEVICES_PCI)
		pci_early_write(line, line_used);
	else
		early_write(line, line_used);
	line_used = 0;
}

void put(char c)
{
	line[line_used++] = c;
	if (c == '\n' || line_used == LINE)
		flush_print();
}

/* ---- 2. Command line ------------------------------------------------------------------------ */

const char *command_line(void)
{
	return virtual(PHYSICAL_COMMAND_LINE);
}

bool find_word(const char *name, const char **value)
{
	const char *at = command_line();
	size_t length = strlen(name);

	while (*at) {
		while (*at == ' ')
			at++;
		if (memcmp(at, name, length) == 0 &&
		    (at[length] == 0 || at[length] == ' ' || at[length] == '=')) {
			*value = at + length + (at[length] == '=');
			return true;
		}
		while (*at && *at != ' ')
			at++;
	}
	return false;
}

uint32_t word_number(const char *name, uint32_t otherwise)
{
	const char *at;
	uint32_t value = 0;

	if (!find_word(name, &at) || *at < '0' || *at > '9')
		return otherwise;
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (uint32_t)(*at - '0');
	return value;
}

bool in_list(const char *list, const char *name)
{
	size_t length = strlen(name);

	for (;;) {
		size_t n = 0;

		while (list[n] && list[n] != ' ' && list[n] != ',')
			n++;
		if (n == length && memcmp(list, name, n) == 0)
			return true;
		if (list[n] != ',')
			return false;
		list += n + 1;
	}
}
