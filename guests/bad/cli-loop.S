/* SPDX-License-Identifier: MIT */
/*
 * guests/bad/cli-loop.S - loops for ever with interrupts off: nothing can ever end it from inside.
 */
#include "guests/bad/bad.h"

	cli
1:	jmp	1b
