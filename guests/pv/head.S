/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/head.S - the first instructions: physical addresses, no stack, and what the host left in
 * the registers, which a test looks at later.  Then early.c, then kernel_main() at its linked address.
 */
	.set PAGE_OFFSET, 0xC0000000
	.set STACK_BYTES, 8192

	.section .head, "ax"
	.globl start
start:
	movl	%eax, boot_registers - PAGE_OFFSET + 0
	movl	%ebx, boot_registers - PAGE_OFFSET + 4
	movl	%ecx, boot_registers - PAGE_OFFSET + 8
	movl	%edx, boot_registers - PAGE_OFFSET + 12
	movl	%esi, boot_registers - PAGE_OFFSET + 16
	movl	%edi, boot_registers - PAGE_OFFSET + 20
	movl	%ebp, boot_registers - PAGE_OFFSET + 24
	movl	%esp, boot_registers - PAGE_OFFSET + 28
	movl	$(boot_stack_top - PAGE_OFFSET), %esp
	pushfl
	popl	boot_registers - PAGE_OFFSET + 32
	xorl	%eax, %eax
	movw	%cs, %ax
	movl	%eax, boot_registers - PAGE_OFFSET + 36
	movw	%ds, %ax
	movl	%eax, boot_registers - PAGE_OFFSET + 40
	movw	%es, %ax
	movl	%eax, boot_registers - PAGE_OFFSET + 44
	movw	%ss, %ax
	movl	%eax, boot_registers - PAGE_OFFSET + 48
	movw	%fs, %ax
	movl	%eax, boot_registers - PAGE_OFFSET + 52
	movw	%gs, %ax
	movl	%eax, boot_registers - PAGE_OFFSET + 56
	cld
	movl	$(bss_start - PAGE_OFFSET), %edi
	movl	$(bss_end - PAGE_OFFSET), %ecx
	subl	%edi, %ecx
	shrl	$2, %ecx
	xorl	%eax, %eax
	rep stosl
	call	early_start
	movl	$boot_stack_top, %esp	# here PAGE_OFFSET is mapped
	movl	$kernel_main, %eax
	xorl	%ebp, %ebp
	call	*%eax
1:	jmp	1b

	# Not in .bss: they are in use while that is cleared.
	.data
	.balign 4
	.globl boot_registers
boot_registers:
	.fill	15, 4, 0x5A5A5A5A
	.balign 8192			# the stack is two whole pages, physically contiguous
	.skip	STACK_BYTES
	.globl boot_stack_top
boot_stack_top:

	# For nothing but an lguest host: -machine auto looks for this.
	.section .note.lguest, "a", @note
	.balign 4
	.long	7, 0, 1			# bytes of name and description, type
	.asciz	"lguest"
	.balign 4

	.section .note.GNU-stack, "", @progbits
