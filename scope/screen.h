/* SPDX-License-Identifier: MIT */
/*
 * scope/screen.h - the text that a guest writes to VGA memory.  There is no display: it is memory like any other.
 */
#ifndef SCOPE_SCREEN_H
#define SCOPE_SCREEN_H

#include "vmm/vmm.h"

#define SCREEN_ADDRESS 0xB8000u
enum { SCREEN_COLUMNS = 80, SCREEN_ROWS = 25 };

struct screen {
	char row[SCREEN_ROWS][SCREEN_COLUMNS + 1]; /* printable ASCII, without the blanks at the end */
	unsigned first, rows; /* the first row with something on it; one more than the last, 0: there is no text */
};

/* false: this machine is no PC, and has no such memory. */
bool screen_read(struct vm *vm, struct screen *screen);

#endif
