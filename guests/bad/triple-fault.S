/* SPDX-License-Identifier: MIT */
/*
 * guests/bad/triple-fault.S - an exception with no table to handle it: the processor shuts down
 * (SDM vol. 3, 6.15, "Double Fault").
 */
#include "guests/bad/bad.h"

	lidt	empty
	ud2

empty:	.word	0
	.long	0
