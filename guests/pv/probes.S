/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/probes.S - single instructions of ring 1 whose traps the tests look at, for call_guarded():
 * k_NAME is the function (argument in EDX, second in ECX), k_NAME_at its instruction.
 *
 *   1. Instructions
 *   2. Ports, flags, descriptors
 *   3. Another stack
 */
	.text

	.macro	probe name instruction:vararg
	.globl	k_\name, k_\name\()_at
k_\name:
	movl	4(%esp), %edx
	movl	8(%esp), %ecx
k_\name\()_at:
	\instruction
	ret
	.endm

/* ---- 1. Instructions ------------------------------------------------------------------------ */

	probe	read	movl (%edx), %eax
	probe	write	movl %ecx, (%edx)
	probe	ud	ud2
	probe	int3	int3
	probe	divide	divl (%edx)
	probe	syscall	int $0x80
	probe	load_es	movl %edx, %es
	probe	fs_read	movl %fs:(%edx), %eax
	probe	gs_read	movl %gs:(%edx), %eax
	probe	rdmsr	rdmsr
	probe	wrmsr	wrmsr
	probe	read_cr0	movl %cr0, %eax
	probe	read_cr3	movl %cr3, %eax
	probe	write_cr3	movl %edx, %cr3
	probe	read_dr7	movl %dr7, %eax
	probe	clts	clts
	probe	invlpg	invlpg (%edx)
	probe	wbinvd	wbinvd
	probe	lgdt	lgdt (%edx)
	probe	ltr	ltr %dx
	probe	insb	insb
	probe	sti	sti
	probe	hlt	hlt
	probe	cli	cli
	probe	fpu	fnop
	probe	sse	xorps %xmm0, %xmm0

/* ---- 2. Ports, flags, descriptors ----------------------------------------------------------- */

	# uint32_t k_in...(uint32_t eax, uint32_t edx): EAX after it.
	.macro	port name instruction:vararg
	.globl	k_\name
k_\name:
	movl	4(%esp), %eax
	movl	8(%esp), %edx
	\instruction
	ret
	.endm

	port	in8_imm		inb $0x80, %al
	port	in16_imm	inw $0x80, %ax
	port	in32_imm	inl $0x80, %eax
	port	in8_dx		inb %dx, %al
	port	in16_dx		inw %dx, %ax
	port	in32_dx		inl %dx, %eax
	port	out8_imm	outb %al, $0x80
	port	out16_imm	outw %ax, $0x80
	port	out32_imm	outl %eax, $0x80
	port	out8_dx		outb %al, %dx
	port	out16_dx	outw %ax, %dx
	port	out32_dx	outl %eax, %dx

	# EAX: the flags in force after POPF of the argument.
	.globl	k_popf
k_popf:
	pushfl
	pushl	8(%esp)
	popfl
	pushfl
	popl	%eax
	popfl
	ret

	# uint32_t k_lar(selector): the second word of the descriptor, 0: not visible.
	.globl	k_lar
k_lar:
	movl	4(%esp), %edx
	xorl	%eax, %eax
	larl	%edx, %eax
	jz	1f
	xorl	%eax, %eax
1:	ret

/* ---- 3. Another stack ----------------------------------------------------------------------- */

	# void k_on_stack(void (*function)(void), uint32_t esp)
	.globl	k_on_stack
k_on_stack:
	pushl	%ebp
	movl	%esp, %ebp
	movl	8(%ebp), %eax
	movl	12(%ebp), %esp
	call	*%eax
	leave
	ret

	.section .note.GNU-stack, "", @progbits
