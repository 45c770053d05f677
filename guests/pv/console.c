/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/console.c - print(), the early console and the command line.
 *
 *   1. Early console    NOTIFY of a short text; family G writes to the console's emergency register
 *   2. print()
 *   3. Command line
 *   4. Strings          what the compiler and we need
 */
#include <stdarg.h>

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

/* ---- 2. print() ----------------------------------------------------------------------------- */

static void print_number(uint32_t value, unsigned base, unsigned width, char pad)
{
	char digits[12];
	unsigned used = 0;

	do {
		digits[used++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	for (; width > used; width--)
		put(pad);
	while (used)
		put(digits[--used]);
}

static void print_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void print_signed(int number, unsigned width, char pad)
{
	if (number < 0)
		put('-');
	print_number(number < 0 ? 0u - (uint32_t)number : (uint32_t)number, 10, width, pad);
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		unsigned width = 0;
		char pad = ' ';

		if (*format != '%') {
			put(*format);
			continue;
		}
		if (*++format == '0')
			pad = '0';
		while (*format >= '0' && *format <= '9')
			width = width * 10 + (unsigned)(*format++ - '0');
		switch (*format) {
		case 's':
			print_string(va_arg(args, const char *));
			break;
		case 'c':
			put((char)va_arg(args, int));
			break;
		case 'd':
			print_signed(va_arg(args, int), width, pad);
			break;
		case 'u':
			print_number(va_arg(args, uint32_t), 10, width, pad);
			break;
		case 'x':
			print_number(va_arg(args, uint32_t), 16, width, pad);
			break;
		default:
			put(*format);
			break;
		}
	}
	va_end(args);
}

/* ---- 3. Command line ------------------------------------------------------------------------ */

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

/* ---- 4. Strings ----------------------------------------------------------------------------- */

void *memset(void *to, int value, size_t bytes)
{
	void *start = to;

	size_t words = bytes / 4;

	bytes %= 4;
	__asm__ volatile("rep stosl" : "+D"(to), "+c"(words) : "a"((uint8_t)value * 0x01010101u) : "memory");
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
	return start;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	void *start = to;

	size_t words = bytes / 4;

	bytes %= 4;
	__asm__ volatile("rep movsl" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
	return start;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const uint8_t *x = a, *y = b;

	for (; bytes; bytes--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}
