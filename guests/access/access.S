/* SPDX-License-Identifier: MIT */
/*
 * guests/access/access.S - the accesses themselves.
 *
 * ring0_access(kind, address, value): from ring 0; after a fault it goes on at ring0_end.
 * enter_ring3(kind, address, value): the same from ring 3; leave_ring3() ends it from the handler.
 */
	.text
	.globl ring0_access, ring0_end, ring0_stack
ring0_access:
	movl	4(%esp), %ecx
	movl	8(%esp), %edx
	movl	12(%esp), %eax
	movl	%esp, ring0_stack	# by which the handler knows that an access is under way
	cmpl	$1, %ecx
	jb	1f
	je	2f
	call	*%edx			# to a RET
	jmp	ring0_end
1:	movl	(%edx), %eax
	jmp	ring0_end
2:	movl	%eax, (%edx)
ring0_end:
	movl	ring0_stack, %esp
	movl	$0, ring0_stack
	ret

	.globl enter_ring3, leave_ring3
enter_ring3:
	movl	4(%esp), %ecx
	movl	8(%esp), %edx
	movl	12(%esp), %eax
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, ring3_return
	pushl	$0x23
	pushl	$0x80002000		# the user area's second page is its stack
	pushl	$2
	pushl	$0x1B
	pushl	$0x80000000
	movl	$0x23, %ebx
	movl	%ebx, %ds
	movl	%ebx, %es
	iret

leave_ring3:				# (value)
	movl	4(%esp), %eax
	movl	ring3_return, %esp
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

	# Copied to the user area: no absolute addresses.
	.globl ring3_code, ring3_code_end
ring3_code:
	cmpl	$1, %ecx
	jb	1f
	je	2f
	call	*%edx
	jmp	3f
1:	movl	(%edx), %eax
	jmp	3f
2:	movl	%eax, (%edx)
3:	int	$0x80
ring3_code_end:

	.bss
	.balign 4
ring0_stack:
	.long	0
ring3_return:
	.long	0

	.section .note.GNU-stack, "", @progbits
