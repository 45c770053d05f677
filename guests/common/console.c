/* SPDX-License-Identifier: MIT */
/*
 * guests/common/console.c - the serial console, the command line, the end.
 *
 *   1. Console    COM1 by polling; the debug port where there is one
 *   2. Multiboot
 *   3. The end
 */
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

/* ---- 2. Multiboot --------------------------------------------------------------------------- */

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

/* ---- 3. The end ----------------------------------------------------------------------------- */

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
