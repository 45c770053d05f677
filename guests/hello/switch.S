/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/switch.S - from one kernel stack to another; touching an address that may fault.
 *
 *   void switch_stacks(uint32_t *save, uint32_t load);
 *   int probe_read(uint32_t address), probe_write(uint32_t address);
 */
	.text
	.globl switch_stacks
switch_stacks:
	movl	4(%esp), %eax
	movl	8(%esp), %edx
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, (%eax)
	movl	%edx, %esp
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

	# A fault between probe_first and probe_last goes on at probe_fault, EAX the error code.
	.globl probe_read, probe_write, probe_first, probe_last, probe_fault
probe_read:
	movl	4(%esp), %edx
probe_first:
	movl	(%edx), %eax
	movl	$-1, %eax
	ret
probe_write:
	movl	4(%esp), %edx
	movl	$0, (%edx)
probe_last:
	movl	$-1, %eax
probe_fault:
	ret

	.section .note.GNU-stack, "", @progbits
