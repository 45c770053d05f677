/* SPDX-License-Identifier: MIT */
/*
 * direct/enter_x86_64.S - between C and translated code.
 *
 *   1. In and out     direct_enter(), the way back
 *   2. Stubs          where translated code goes when it wants something
 *   3. From signals   the registers are in struct cpu already
 *
 * The registers of translated code: internal.h, section 1.  A stub saves them in struct cpu, changes to the
 * stack of C and calls; what is returned is where to go on, NULL: leave direct_enter().
 */
#include "direct/layout.h"

	.text

/* The guest's XMM registers are the host's while SSE is ready. */
.macro SAVE_XMM
	cmpl	$0, HOT_SSE_BAD(%r15)
	jne	1f
	movq	HOT_FPU(%r15), %r10
	movaps	%xmm0, FPU_XMM(%r10)
	movaps	%xmm1, FPU_XMM+16(%r10)
	movaps	%xmm2, FPU_XMM+32(%r10)
	movaps	%xmm3, FPU_XMM+48(%r10)
	movaps	%xmm4, FPU_XMM+64(%r10)
	movaps	%xmm5, FPU_XMM+80(%r10)
	movaps	%xmm6, FPU_XMM+96(%r10)
	movaps	%xmm7, FPU_XMM+112(%r10)
1:
.endm
.macro LOAD_XMM
	cmpl	$0, HOT_SSE_BAD(%r15)
	jne	1f
	movq	HOT_FPU(%r15), %r10
	movaps	FPU_XMM(%r10), %xmm0
	movaps	FPU_XMM+16(%r10), %xmm1
	movaps	FPU_XMM+32(%r10), %xmm2
	movaps	FPU_XMM+48(%r10), %xmm3
	movaps	FPU_XMM+64(%r10), %xmm4
	movaps	FPU_XMM+80(%r10), %xmm5
	movaps	FPU_XMM+96(%r10), %xmm6
	movaps	FPU_XMM+112(%r10), %xmm7
1:
.endm

/* AX: the flags as LAHF and SETO AL have them.  Everything but the guest's EAX. */
.macro SAVE_REST
	movw	%ax, HOT_FLAGS(%r15)
	movl	%ecx, CPU_GPR_ECX(%r10)
	movl	%edx, CPU_GPR_EDX(%r10)
	movl	%ebx, CPU_GPR_EBX(%r10)
	movl	%r12d, CPU_GPR_ESP(%r10)
	movl	%ebp, CPU_GPR_EBP(%r10)
	movl	%esi, CPU_GPR_ESI(%r10)
	movl	%edi, CPU_GPR_EDI(%r10)
	movq	%rsp, HOT_P_RSP(%r15)
	movq	HOT_C_RSP(%r15), %rsp
	movq	%r15, %rdi
	SAVE_XMM
.endm

/* EAX needs a moment without: LAHF and SETO tell the flags without touching them. */
.macro SAVE
	movq	HOT_CPU(%r15), %r10
	movl	%eax, (%r10)
	lahf
	seto	%al
	SAVE_REST
.endm

/* ---- 1. In and out -------------------------------------------------------------------------- */

	.globl	direct_enter
	.type	direct_enter, @function
direct_enter:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	movq	%rdi, %r15
	movq	%rsp, HOT_C_RSP(%r15)
	jmp	load

	.globl	direct_stubs_begin
direct_stubs_begin:

resume:
	testq	%rax, %rax
	jz	leave
	movq	%rax, HOT_TARGET(%r15)
	/* A kick before this look is seen here; one after it finds its signal among the stubs. */
load:
	movq	HOT_CPU(%r15), %r10
	cmpl	$0, CPU_KICKED(%r10)
	jne	kicked
	LOAD_XMM
	movq	HOT_CPU(%r15), %r10
	movq	HOT_TABLE(%r15), %r14
	movq	HOT_TLB(%r15), %r13
	movq	HOT_P_RSP(%r15), %rsp
	movl	CPU_GPR_ECX(%r10), %ecx
	movl	CPU_GPR_EDX(%r10), %edx
	movl	CPU_GPR_EBX(%r10), %ebx
	movl	CPU_GPR_ESP(%r10), %r12d
	movl	CPU_GPR_EBP(%r10), %ebp
	movl	CPU_GPR_ESI(%r10), %esi
	movl	CPU_GPR_EDI(%r10), %edi
	movzwl	HOT_FLAGS(%r15), %eax
	addb	$0x7F, %al		/* OF */
	sahf
	movl	(%r10), %eax
	jmp	*HOT_TARGET(%r15)

kicked:
	movq	%r15, %rdi
	call	direct_c_late
	jmp	resume

leave:
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* ---- 2. Stubs ------------------------------------------------------------------------------- */

/* R9D: which fallback. */
	.globl	direct_stub_fallback
direct_stub_fallback:
	SAVE
	movl	%r9d, %esi
	call	direct_c_fallback
	jmp	resume

/* R9D: which link. */
	.globl	direct_stub_link
direct_stub_link:
	SAVE
	movl	%r9d, %esi
	call	direct_c_link
	jmp	resume

/* R8D: the guest's next EIP, which the jump table does not know. */
	.globl	direct_stub_miss
direct_stub_miss:
	SAVE
	movl	%r8d, %esi
	call	direct_c_miss
	jmp	resume

/* R9D: which fallback; x87 or SSE is not ready. */
	.globl	direct_stub_fpu
direct_stub_fpu:
	SAVE
	movl	%r9d, %esi
	call	direct_c_fpu
	jmp	resume

/* R9D: which fallback; RAX, AX: as after LAHF and SETO AL; R11D: EAX. */
	.globl	direct_stub_soft
direct_stub_soft:
	movq	HOT_CPU(%r15), %r10
	movl	%r11d, (%r10)
	SAVE_REST
	movl	%r9d, %esi
	call	direct_c_fallback
	jmp	resume

/* A return that the return stack has nothing for: its entries above the first lead here. */
	.globl	direct_stub_return_miss
direct_stub_return_miss:
	leaq	-8(%rsp), %rsp
	pextl	HOT_MASK_JUMP(%r15), %r8d, %r9d
	jmp	*(%r14, %r9, 8)

/* ---- 3. From signals ------------------------------------------------------------------------ */

/* The instruction at struct cpu's EIP could not run: the portable engine's turn. */
	.globl	direct_stub_fault
direct_stub_fault:
	movq	HOT_C_RSP(%r15), %rsp
	movq	%r15, %rdi
	SAVE_XMM
	call	direct_c_fault
	jmp	resume

/* Kicked. */
	.globl	direct_stub_kicked
direct_stub_kicked:
	movq	HOT_C_RSP(%r15), %rsp
	movq	%r15, %rdi
	SAVE_XMM
	call	direct_c_kicked
	jmp	resume

	.globl	direct_stubs_end
direct_stubs_end:
	.section .note.GNU-stack, "", @progbits
