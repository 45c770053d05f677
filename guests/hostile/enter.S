/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/enter.S - into any ring with any registers, and back from wherever it ended.
 */
	.set C_EAX, 0
	.set C_ECX, 4
	.set C_EDX, 8
	.set C_EBX, 12
	.set C_EBP, 16
	.set C_ESI, 20
	.set C_EDI, 24
	.set C_ESP, 28
	.set C_EIP, 32
	.set C_EFLAGS, 36
	.set C_CS, 40
	.set C_SS, 44
	.set C_DS, 48
	.set C_ES, 52
	.set C_FS, 56
	.set C_GS, 60

	.text
	.globl	enter_attempt		# (const struct context *)
enter_attempt:
	movl	4(%esp), %eax
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, return_esp
	testl	$3, C_CS(%eax)
	jz	1f
	pushl	C_SS(%eax)
	pushl	C_ESP(%eax)
	jmp	2f
1:	movl	C_ESP(%eax), %esp
2:	pushl	C_EFLAGS(%eax)
	pushl	C_CS(%eax)
	pushl	C_EIP(%eax)
	pushl	C_DS(%eax)
	pushl	C_EAX(%eax)
	movw	C_FS(%eax), %fs
	movw	C_GS(%eax), %gs
	movw	C_ES(%eax), %es
	movl	C_ECX(%eax), %ecx
	movl	C_EDX(%eax), %edx
	movl	C_EBX(%eax), %ebx
	movl	C_EBP(%eax), %ebp
	movl	C_ESI(%eax), %esi
	movl	C_EDI(%eax), %edi
	popl	%eax
	popl	%ds
	iret

	.globl	leave_attempt
leave_attempt:
	movl	$0x10, %eax
	movl	%eax, %ss
	movl	return_esp, %esp
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	cld
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

	.globl	gate_target		# of the call gate: ring 0
gate_target:
	int	$0x80

	.bss
	.balign 4
return_esp:
	.long	0

	.section .note.GNU-stack, "", @progbits
