/* SPDX-License-Identifier: MIT */
/*
 * guests/common/text.c - a small print() over the guest's own put(), and strings.
 *
 *   1. print()
 *   2. Strings    what the compiler and we need
 */
#include <stdarg.h>

#include "guests/common/text.h"

/* ---- 1. print() ----------------------------------------------------------------------------- */

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

static void print_string(const char *s, unsigned width)
{
	size_t length = strlen(s);

	while (*s)
		put(*s++);
	for (; width > length; width--)
		put(' ');
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		unsigned width = 0;
		char pad = ' ';
		int number;

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
			print_string(va_arg(args, const char *), width);
			break;
		case 'c':
			put((char)va_arg(args, int));
			break;
		case 'd':
			number = va_arg(args, int);
			if (number < 0)
				put('-');
			print_number(number < 0 ? 0u - (uint32_t)number : (uint32_t)number, 10,
				     width, pad);
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

/* ---- 2. Strings ----------------------------------------------------------------------------- */

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
