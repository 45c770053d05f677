/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/user.S - pieces of ring 3 code.  They are shared read-only at USER_TEXT and know no address
 * of their own.  Each ends with a system call, if it gets that far; EAX, ECX, EDX as in run_user().
 *
 *   1. Memory          u_read u_write u_jump u_sum u_fill u_add
 *   2. Instructions    those that trap, those that must not
 *   3. Segments, FPU
 */
	.section .user, "ax"

	.macro	piece name
	.globl	\name
\name:
	.endm
	.macro	done
	int	$0x80
	ud2
	.endm

/* ---- 1. Memory ------------------------------------------------------------------------------ */

piece	u_nothing
	done
piece	u_read
	movl	(%edx), %eax
	done
piece	u_write
	movl	%eax, (%edx)
	done
piece	u_jump
	jmp	*%edx
piece	u_sum			# EAX += the first words of ECX pages from EDX
1:	addl	(%edx), %eax
	addl	$4096, %edx
	decl	%ecx
	jnz	1b
	done
piece	u_fill			# EAX, EAX + 1 ... into the first words of ECX pages from EDX
1:	movl	%eax, (%edx)
	incl	%eax
	addl	$4096, %edx
	decl	%ecx
	jnz	1b
	done
piece	u_add			# EAX is added to those words; EBX: how many were not EBX + index before
	xorl	%edi, %edi
1:	cmpl	%ebx, (%edx)
	je	2f
	incl	%edi
2:	addl	%eax, (%edx)
	incl	%ebx
	addl	$4096, %edx
	decl	%ecx
	jnz	1b
	movl	%edi, %ebx
	done

/* ---- 2. Instructions ------------------------------------------------------------------------ */

piece	u_int3
	int3
	done
piece	u_into
	movb	$0x7F, %al
	addb	$1, %al		# overflow
	into
	done
piece	u_int1f
	int	$0x1F
	done
piece	u_vmcall
	vmcall
	done
piece	u_int20
	int	$0x20
	done
piece	u_int0e
	int	$0x0E
	done
piece	u_int2
	int	$0x02
	done
piece	u_intff
	int	$0xFF
	done
piece	u_divide
	xorl	%ecx, %ecx
	divl	%ecx
	done
piece	u_ud
	ud2
piece	u_in
	inb	$0x80, %al
	done
piece	u_cli
	cli
	done
piece	u_hlt
	hlt
	done
piece	u_step			# one instruction with TF set
	pushfl
	orl	$0x100, (%esp)
	popfl
	nop
piece	u_step_end
	nop
	done
piece	u_flags			# EAX: the flags after IF was "cleared", and set again
	pushl	$0
	popfl
	pushfl
	popl	%eax
	sti
	done
piece	u_popf
	pushl	$0
	popfl
	pushfl
	popl	%eax
	done
piece	u_spin
1:	incl	%eax
	jmp	1b
piece	u_spin_memory		# counts in memory, page by page of four
1:	movl	%eax, %ebx
	andl	$3, %ebx
	shll	$12, %ebx
	incl	(%edx, %ebx)
	incl	%eax
	jmp	1b

/* ---- 3. Segments, FPU ----------------------------------------------------------------------- */

piece	u_gs			# EAX: the word at GS:0, GS being ECX
	movl	%ecx, %gs
	movl	%gs:0, %eax
	done
piece	u_gs_kept		# the same, without loading it
	movl	%gs:0, %eax
	done
piece	u_load_gs
	movl	%ecx, %gs
	done
piece	u_fpu_load		# four x87 registers and two SSE ones, from EAX on
	fninit
	movl	%eax, -16(%esp)
	fildl	-16(%esp)
	fld1
	fadd	%st(1), %st
	fld1
	fadd	%st(1), %st
	fld1
	fadd	%st(1), %st
	movl	%eax, -16(%esp)
	notl	%eax
	movl	%eax, -12(%esp)
	movl	%eax, -8(%esp)
	movl	%eax, -4(%esp)
	movups	-16(%esp), %xmm0
	movaps	%xmm0, %xmm7
	paddd	%xmm7, %xmm7
	done
piece	u_fpu_check		# EAX: what does not fit, for the value ECX
	fnstsw	-16(%esp)
	xorl	%eax, %eax
	testw	$0x3800, -16(%esp)	# top of stack: 4
	jz	9f
	subl	$16, %esp
	movl	$4, %ebx
1:	fistl	(%esp)
	fincstp
	leal	-1(%ecx, %ebx), %edx
	cmpl	%edx, (%esp)
	je	2f
	orl	$1, %eax
2:	decl	%ebx
	jnz	1b
	fincstp
	fincstp
	fincstp
	fincstp
	movups	%xmm0, (%esp)
	cmpl	%ecx, (%esp)
	je	3f
	orl	$2, %eax
3:	movl	%ecx, %edx
	notl	%edx
	cmpl	%edx, 12(%esp)
	je	4f
	orl	$4, %eax
4:	movups	%xmm7, (%esp)
	leal	(%ecx, %ecx), %edx
	cmpl	%edx, (%esp)
	je	5f
	orl	$8, %eax
5:	addl	$16, %esp
	done
9:	movl	$16, %eax
	done

	.section .note.GNU-stack, "", @progbits
