/* SPDX-License-Identifier: MIT */
/*
 * guests/common/console.c - the serial console, a small print(), the command line, the end.
 *
 *   1. Console    COM1 by polling; the debug port where there is one
 *   2. print()
 *   3. Strings    what the compiler and we need
 *   4. Multiboot
 *   5. The end
 */
#include <stdarg.h>

#include "guests/common/guest.h"

enum { COM1 = 0x3F8, DEBUG_PORT = 0xE9 };

/* ---- 1. Console ----------------------------------------------------------------------------- */

void console_start(void)
{
	out8(COM1 + 1, 0);    /* no interrupts yet */
	out8(COM1 + 3, 0x80); /* divisor: 115200 */
	out8(COM1 + 0, 1);
	out8(COM1 + 1, 0);
	out8(COM1 + 3, 0x03); /* 8N1 */
	out8(COM1 + 2, 0x07); /* FIFO on, cleared */
	out8(COM1 + 4, 0x0B); /* DTR, RTS, and OUT2: interrupts may pass */
}

static void put_raw(char c)
{
	while (!(in8(COM1 + 5) & 0x20))
		;
	out8(COM1, (uint8_t)c);
}

void put(char c)
{
	if (c == '\n')
		put_raw('\r');
	put_raw(c);
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

/* ---- 3. Strings ----------------------------------------------------------------------------- */

void *memset(void *to, int value, size_t bytes)
{
	void *start = to;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
	return start;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	void *start = to;

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

/* ---- 4. Multiboot --------------------------------------------------------------------------- */

bool has_word(const struct multiboot *info, const char *word)
{
	const char *at = (const char *)info->command_line;
	size_t length = strlen(word);

	if (!(info->flags & 4) || !at)
		return false;
	while (*at) {
		size_t n = 0;

		while (*at == ' ')
			at++;
		while (at[n] && at[n] != ' ')
			n++;
		if (n == length && memcmp(at, word, n) == 0)
			return true;
		at += n;
	}
	return false;
}

uint32_t memory_top(const struct multiboot *info)
{
	uint32_t kib = info->flags & 1 ? info->mem_upper : 0;

	if (kib > 0x3FFFFF - 1024)
		kib = 0x3FFFFF - 1024;
	return (kib + 1024) * 1024;
}

/* ---- 5. The end ----------------------------------------------------------------------------- */

_Noreturn void power_off(void)
{
	out16(0x604, 0x2000);
	for (;;)
		__asm__ volatile("cli; hlt");
}

_Noreturn void debug_exit(uint8_t status)
{
	out8(0x501, status);
	out8(0xF4, status);
	power_off();
}
