/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/snippets.S - computations for timer.c: ECX rounds, EBX DATA + 0x100, ESI and EDI behind it.  Copied to
 * CODE: no absolute addresses of their own.
 */
	.set	CODE, 0x40000000
	.set	DATA, 0x40004000

.macro BEGIN
	.long	2f - 1f
1:
.endm
.macro END
2:
.endm

	.section .rodata
	.globl	computations, computations_end
computations:
	BEGIN				# integers
	movl	$1, %eax
	movl	$0x9E3779B9, %edx
3:	imull	$1664525, %eax, %eax
	addl	$1013904223, %eax
	roll	$7, %edx
	xorl	%eax, %edx
	adcl	%ecx, %edx
	cmpl	%edx, %eax
	sbbl	$0, %edx
	movl	%edx, (%ebx)
	addl	%eax, 4(%ebx)
	decl	%ecx
	jnz	3b
	END
	BEGIN				# the stack, calls
	jmp	4f
5:	pushl	%edx
	addl	%ecx, (%esp)
	popl	%edx
	ret
4:	call	5b
	pushal
	popal
	pushfl
	popl	%eax
	decl	%ecx
	jnz	4b
	END
	BEGIN				# strings, both ways
	movl	$3000, %edx
6:	movl	$300, %ecx
	movl	$DATA + 0x200, %esi
	movl	$DATA + 0xF03, %edi
	rep movsb
	movl	$75, %ecx
	movl	$DATA + 0x1200, %edi
	movl	%edx, %eax
	rep stosl
	std
	movl	$200, %ecx
	leal	-1(%edi), %edi
	leal	-1(%esi), %esi
	rep movsb
	cld
	movl	$100, %ecx
	movl	$DATA + 0x200, %esi
	movl	$DATA + 0xF03, %edi
	repe cmpsb
	decl	%edx
	jnz	6b
	END
	BEGIN				# x87
	fninit
	fld1
	fldpi
7:	fmul	%st(1), %st
	fadd	%st(1), %st
	fsqrt
	fxch
	fadds	(%ebx)
	fabs
	fsqrt
	fistl	8(%ebx)
	decl	%ecx
	jnz	7b
	fstpt	16(%ebx)
	fstpt	32(%ebx)
	END
	BEGIN				# SSE
	andl	$-16, %ebx
	movl	$0x3F800001, %eax
	movd	%eax, %xmm0
	pshufd	$0, %xmm0, %xmm0
	movaps	%xmm0, %xmm1
	cvtdq2pd (%ebx), %xmm2
8:	mulps	%xmm0, %xmm1
	addps	%xmm0, %xmm1
	sqrtps	%xmm1, %xmm1
	paddd	%xmm1, %xmm3
	pxor	%xmm3, %xmm4
	addpd	%xmm2, %xmm5
	movd	%xmm4, %eax
	xorl	%eax, %edx
	decl	%ecx
	jnz	8b
	movaps	%xmm1, 16(%ebx)
	movaps	%xmm3, 32(%ebx)
	movaps	%xmm4, 48(%ebx)
	movaps	%xmm5, 64(%ebx)
	END
	BEGIN				# code that changes itself
	movl	$3000, %ecx
9:	.byte	0x81, 0xC2, 1, 0, 0, 0	# addl $1, %edx, with 32 bits of immediate
	addl	$0x01010101, CODE + 7
	xorl	%edx, %eax
	decl	%ecx
	jnz	9b
	END
	BEGIN				# branches of all kinds
	xorl	%eax, %eax
3:	imull	$69069, %edx, %edx
	incl	%edx
	testl	$0x10000, %edx
	jz	4f
	addl	$3, %eax
4:	js	5f
	xorl	%edx, %eax
5:	testl	$0x300000, %edx
	jp	6f
	pushl	$CODE + 7f - 3b + 2
	ret
6:	notl	%eax
7:	loop	3b
	END
	BEGIN				# read, change, write; locked
3:	lock xaddl %ecx, (%ebx)
	xchgl	%ecx, (%ebx)
	subl	(%ebx), %ecx
	lock incl 4(%ebx)
	movl	4(%ebx), %eax
	lock cmpxchgl %edx, 8(%ebx)
	bswap	%edx
	addl	%eax, %edx
	cmpl	$100000, 4(%ebx)
	jb	3b
	END
computations_end:

	.section .note.GNU-stack, "", @progbits
