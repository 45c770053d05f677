/* SPDX-License-Identifier: MIT */
/*
 * guests/common/start.S - the multiboot 1 header and the first instructions (Multiboot
 * Specification 0.6.96, 3.1-3.2): flat 32-bit segments, paging and interrupts off, EAX magic, EBX information.
 */
	.set MAGIC, 0x1BADB002
	.set FLAGS, 3			# modules on page boundaries; tell us the memory
	.set STACK_BYTES, 16384

	.section .multiboot, "a"
	.balign 4
	.long MAGIC, FLAGS, -(MAGIC + FLAGS)

	.text
	.globl start
start:
	cli
	cld
	movl	$stack_top, %esp
	pushl	$0
	popfl				# every flag as we want it
	xorl	%ebp, %ebp		# a backtrace ends here
	pushl	%ebx
	pushl	%eax
	call	guest_main
	call	power_off

	.bss
	.balign 16
	.globl stack_top
	.skip	STACK_BYTES
stack_top:

	.section .note.GNU-stack, "", @progbits
