/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/entry.S - between the kernel, its host and ring 3: hypercalls, entries of every vector, the way
 * back, an accident that is expected.
 *
 *   1. Hypercall    void raw_hypercall(uint32_t regs[REGS], bool vmcall)
 *   2. Traps        struct trap_frame (pv.h) and the return, which interrupts must not split
 *   3. Ring 3       void enter_user(const struct trap_frame *); _Noreturn void leave_user(void)
 *   4. Accidents    bool call_guarded(function, argument, argument); _Noreturn void leave_guarded(void)
 */
#include "guests/pv/selectors.h"

	.text

/* ---- 1. Hypercall --------------------------------------------------------------------------- */

	# Position-independent: early.c uses it too.  Every register is loaded from regs[] and stored
	# back, so that a host that changes one is found out.
	.globl raw_hypercall
raw_hypercall:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	20(%esp), %eax
	cmpb	$0, 24(%esp)
	movl	4(%eax), %ebx
	movl	8(%eax), %ecx
	movl	12(%eax), %edx
	movl	16(%eax), %esi
	movl	20(%eax), %edi
	movl	24(%eax), %ebp
	movl	(%eax), %eax
	jne	1f
	int	$0x1F
	jmp	2f
1:	vmcall
2:	pushl	%eax
	movl	24(%esp), %eax
	popl	(%eax)
	movl	%ebx, 4(%eax)
	movl	%ecx, 8(%eax)
	movl	%edx, 12(%eax)
	movl	%esi, 16(%eax)
	movl	%edi, 20(%eax)
	movl	%ebp, 24(%eax)
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

/* ---- 2. Traps ------------------------------------------------------------------------------- */

	.balign 16
	.globl trap_entries		# 16 bytes each (trap.c counts on it)
trap_entries:
	.set vector, 0
	.rept 256
	.balign 16
	.if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17) == 0
	pushl	$0			# vectors without an error code get one
	.endif
	pushl	$vector
	jmp	enter
	.set vector, vector + 1
	.endr

enter:
	pushl	%gs
	pushl	%fs
	pushl	%es
	pushl	%ds
	pushal
	movl	$KERNEL_DATA_RPL0, %eax	# RPL 0 at CPL 1: right, since the host makes DPL 1 of it
	movl	%eax, %ds
	movl	%eax, %es
	movl	$PERCPU, %eax
	movl	%eax, %fs
	cld
	pushl	%esp
	call	handle_trap
	addl	$4, %esp
return:
	popal
	popl	%ds
	popl	%es
	popl	%fs
	popl	%gs
	addl	$8, %esp
	cmpl	$0, %ss:iret_only
	jne	return_iret_only
	# The virtual interrupt flag is what the frame says (all of EFLAGS goes there: only bit 9
	# counts), and no interrupt may come between that and the end of the IRET.
	pushl	%eax
	movl	12(%esp), %eax
	.globl noirq_start, noirq_end, noirq_iret
noirq_start:
	movl	%eax, %ss:lguest_data
	popl	%eax
	iret
	# For a test: the protected range, long enough for an interrupt to come meanwhile.  The argument
	# is the time to leave, the result how many timer interrupts came.
	.globl	noirq_wait
noirq_wait:
	pushl	%ebx
	pushl	%esi
	movl	irq_count, %esi
	movl	12(%esp), %ebx
	movl	16(%esp), %ecx
1:	rdtsc
	cmpl	%ebx, %eax
	sbbl	%ecx, %edx
	jb	1b
	movl	irq_count, %eax
	subl	%esi, %eax
	popl	%esi
	popl	%ebx
	ret
noirq_end:
return_iret_only:
	pushl	8(%esp)
	popl	%ss:lguest_data
noirq_iret:
	iret

/* ---- 3. Ring 3 ------------------------------------------------------------------------------ */

	# Returns when somebody calls leave_user(): a trap of ring 3 that the kernel's main thread
	# wants to see.
	.globl enter_user, leave_user
enter_user:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, user_return
	movl	20(%esp), %esp
	jmp	return

leave_user:
	movl	user_return, %esp
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

/* ---- 4. Accidents --------------------------------------------------------------------------- */

	# 1: the function ended by a trap, which is in `caught` (trap.c); 0: it returned.
	.globl call_guarded, leave_guarded
call_guarded:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	movl	%esp, guarded
	pushl	28(%esp)
	pushl	28(%esp)		# the push moved it
	call	*28(%esp)
	addl	$8, %esp
	xorl	%eax, %eax
	jmp	1f
leave_guarded:
	movl	guarded, %esp
	movl	$1, %eax
1:	movl	$0, guarded
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

	.bss
	.balign 4
	.globl guarded
guarded:
	.long	0
user_return:
	.long	0
	.data
	.globl iret_only
iret_only:
	.long	0

	.section .note.GNU-stack, "", @progbits
