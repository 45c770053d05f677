/* SPDX-License-Identifier: MIT */
/*
 * guests/bad/cli-halt.S - halts with interrupts off, as a kernel does that cannot power off.
 */
#include "guests/bad/bad.h"

	cli
1:	hlt
	jmp	1b
