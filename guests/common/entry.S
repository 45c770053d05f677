/* SPDX-License-Identifier: MIT */
/*
 * guests/common/entry.S - an entry for each vector, and the way back.  It pushes a struct
 * trap_frame (guest.h).
 */
	.text
	.balign 16
	.globl trap_entries		# 16 bytes each (trap.c counts on it)
trap_entries:
	.set vector, 0
	.rept 0x81
	.balign 16
	.if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17) == 0
	pushl	$0			# vectors without an error code get one
	.endif
	pushl	$vector
	jmp	enter
	.set vector, vector + 1
	.endr

enter:
	pushal
	pushl	%ds
	pushl	%es
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	cld
	pushl	%esp
	call	handle_trap
	addl	$4, %esp
	.globl trap_return
trap_return:
	popl	%es
	popl	%ds
	popal
	addl	$8, %esp
	iret

	.section .note.GNU-stack, "", @progbits
