/* SPDX-License-Identifier: MIT */
/*
 * guests/bad/garbage-jump.S - fills memory with bytes that a generator makes, then jumps into them.
 */
#include "guests/bad/bad.h"

	movl	$0x200000, %edi
	movl	$0x10000, %ecx
	movl	$0x2545F491, %eax
1:	movl	%eax, %edx
	shll	$13, %edx
	xorl	%edx, %eax
	movl	%eax, %edx
	shrl	$17, %edx
	xorl	%edx, %eax
	movl	%eax, %edx
	shll	$5, %edx
	xorl	%edx, %eax
	stosl
	loop	1b
	movl	$0x200000, %eax
	jmp	*%eax
