/* SPDX-License-Identifier: MIT */
/*
 * scope/screen.c - 80x25 cells of VGA text memory as lines: a character of code page 437 and its colours each.
 */
#include "scope/screen.h"

#include <string.h>

#include "scope/commands.h"

/* What is closest in ASCII: shades, lines, corners and blocks; letters with accents and the like are not told apart. */
static char to_ascii(uint8_t c)
{
	static const char box[] = ":%#|++++++|+++++" "++++-++++++++=++" "+++++++++++#####";
	if (c >= 0xB0 && c <= 0xDF)
		return box[c - 0xB0];
	if (c == 0 || c == 0xFF)
		return ' ';
	return c >= ' ' && c < 0x7F ? (char)c : '.';
}

bool screen_read(struct vm *vm, struct screen *screen)
{
	uint8_t cells[SCREEN_ROWS][SCREEN_COLUMNS][2];
	memset(screen, 0, sizeof *screen);
	if (!vm_machine(vm) || vm_read_physical(vm, SCREEN_ADDRESS, cells, sizeof cells) != sizeof cells)
		return false;
	for (unsigned y = 0; y < SCREEN_ROWS; y++) {
		char *row = screen->row[y];
		unsigned length = 0;
		for (unsigned x = 0; x < SCREEN_COLUMNS; x++) {
			row[x] = to_ascii(cells[y][x][0]);
			if (row[x] != ' ')
				length = x + 1;
		}
		row[length] = 0;
		if (length && !screen->rows)
			screen->first = y;
		if (length)
			screen->rows = y + 1;
	}
	return true;
}

void info_screen(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct screen screen;
	(void)suffix, (void)rest;
	if (!screen_read(scope->vm, &screen)) {
		monitor_refuse(scope, out, "this machine has no VGA text memory: its guests have a console of their own");
		return;
	}
	text_add(out, "(there is no display; this is the memory at 0x%X as text, %s)\n", SCREEN_ADDRESS,
	         screen.rows ? "80 columns, 25 rows" : "and there is none");
	for (unsigned y = 0; y < screen.rows; y++)
		text_add(out, "%s\n", screen.row[y]);
}

void info_screen_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct screen screen;
	if (!screen_read(scope->vm, &screen)) {
		info_screen(scope, suffix, rest, out); /* refuses */
		return;
	}
	text_add(out, "{\"address\":%u,\"columns\":%d,\"rows\":%d,\"lines\":[", SCREEN_ADDRESS, SCREEN_COLUMNS, SCREEN_ROWS);
	for (unsigned y = 0; y < SCREEN_ROWS; y++) {
		text_add(out, "%s", y ? "," : "");
		text_add_json(out, screen.row[y]);
	}
	text_add(out, "]}");
}
