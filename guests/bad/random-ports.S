/* SPDX-License-Identifier: MIT */
/*
 * guests/bad/random-ports.S - reads and writes device ports at random, a million times, then powers off.
 * The ports that end a machine are left out, or it would be over too soon: 0x60-0x64 and 0x92 (reset),
 * 0x501 and 0xF4 (debug exit), 0x600-0x607 (power), 0xCF9 (reset), 0x8900.
 */
#include "guests/bad/bad.h"

	movl	$1000000, %esi
	movl	$0x9E3779B9, %ebx
again:
	movl	%ebx, %edx
	shll	$13, %edx
	xorl	%edx, %ebx
	movl	%ebx, %edx
	shrl	$17, %edx
	xorl	%edx, %ebx
	movl	%ebx, %edx
	shll	$5, %edx
	xorl	%edx, %ebx

	movl	%ebx, %edx
	shrl	$7, %edx
	andl	$0xFFFF, %edx
	testl	$1, %ebx		# half of them where the devices are
	jz	1f
	andl	$0x3FF, %edx
1:	movl	%edx, %ecx		# eight ports at a time, with what reaches into them
	andl	$~7, %ecx
	cmpl	$0x60, %ecx
	je	next
	cmpl	$0x58, %ecx
	je	next
	cmpl	$0x90, %ecx
	je	next
	cmpl	$0x88, %ecx
	je	next
	cmpl	$0xF0, %ecx
	je	next
	cmpl	$0x4F8, %ecx
	je	next
	cmpl	$0x500, %ecx
	je	next
	cmpl	$0x5F8, %ecx
	je	next
	cmpl	$0x600, %ecx
	je	next
	cmpl	$0xCF8, %ecx
	je	next
	cmpl	$0xCF0, %ecx
	je	next
	cmpl	$0x8900, %ecx
	je	next
	cmpl	$0x88F8, %ecx
	je	next
	movl	%ebx, %eax
	testl	$0x40000000, %ebx
	jz	2f
	outb	%al, %dx
	testl	$0x20000000, %ebx
	jz	next
	outl	%eax, %dx
	jmp	next
2:	inb	%dx, %al
	testl	$0x20000000, %ebx
	jz	next
	inw	%dx, %ax
next:
	decl	%esi
	jnz	again
	movw	$0x604, %dx
	movw	$0x2000, %ax
	outw	%ax, %dx
1:	cli
	hlt
	jmp	1b
