/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_entry.S - into compatibility mode and back.
 *
 *   1. native_enter         64-bit code calls it; returns when every case has run
 *   2. native_loop          copied to NATIVE_LANDING: 32-bit code; one turn per case
 *   3. native_signal        first instructions of the signal handler
 *
 * In 32-bit code GS is flat and belongs to this loop; every other segment register is the case's.
 */
#ifdef __x86_64__

#include "tests/lib/native_layout.h"

#define CTL(field) (NATIVE_CONTROL + NATIVE_CTL_##field)

/* ---- 1. native_enter ------------------------------------------------------------------------ */

	.text
	.globl native_enter
	.type native_enter, @function
native_enter:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	stmxcsr CTL(HOST_MXCSR)
	mov %rsp, CTL(HOST_RSP)
	ljmpl *CTL(ENTRY)
	.globl native_leave
native_leave:
	/* Loading FS with a selector has put its base aside: arch_prctl(ARCH_SET_FS). */
	mov $158, %eax
	mov $0x1002, %edi
	mov CTL(HOST_FS), %rsi
	syscall
	fninit
	ldmxcsr CTL(HOST_MXCSR)
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.size native_enter, . - native_enter

/* ---- 2. native_loop ------------------------------------------------------------------------- */

	.section .rodata
	.globl native_loop, native_loop_end, native_loop_next, native_loop_back
	.code32
native_loop:
	/* NATIVE_LANDING: the instruction went on to the next one. */
	mov %esp, %gs:CTL(ESP)
	jmp landed
	.org native_loop + (NATIVE_TAKEN - NATIVE_LANDING)
	mov %esp, %gs:CTL(ESP)
	movl $1, %gs:CTL(TAKEN)
landed:
	mov %ebp, %gs:CTL(EBP)
	mov %gs:CTL(CURRENT), %ebp
	mov %eax, %gs:NATIVE_OUT + 0(%ebp)
	mov %ecx, %gs:NATIVE_OUT + 4(%ebp)
	mov %edx, %gs:NATIVE_OUT + 8(%ebp)
	mov %ebx, %gs:NATIVE_OUT + 12(%ebp)
	mov %esi, %gs:NATIVE_OUT + 24(%ebp)
	mov %edi, %gs:NATIVE_OUT + 28(%ebp)
	mov %es, %gs:NATIVE_OUT + NATIVE_REGS_ES(%ebp)
	mov %ss, %gs:NATIVE_OUT + NATIVE_REGS_SS(%ebp)
	mov %ds, %gs:NATIVE_OUT + NATIVE_REGS_DS(%ebp)
	mov %fs, %gs:NATIVE_OUT + NATIVE_REGS_FS(%ebp)
	mov $NATIVE_DS, %eax
	mov %eax, %ds
	mov %eax, %ss
	mov $NATIVE_CTL_STACK, %esp
	pushf
	pop %eax
	mov %eax, NATIVE_OUT + NATIVE_REGS_EFLAGS(%ebp)
	push $2
	popf
	mov CTL(ESP), %eax
	mov %eax, NATIVE_OUT + 16(%ebp)
	mov CTL(EBP), %eax
	mov %eax, NATIVE_OUT + 20(%ebp)
	xor %eax, %eax
	xchg %eax, CTL(TAKEN)
	mov %eax, NATIVE_OUT + NATIVE_REGS_EIP(%ebp)
	movl $-1, NATIVE_OUT + NATIVE_REGS_VECTOR(%ebp)
	testl $1, CTL(FX)
	jz 1f
	fxsave NATIVE_FX_OUT(%ebp)
1:	addl $NATIVE_CASE_BYTES, CTL(CURRENT)
	/* Entered here first, and after an exception. */
native_loop_next:
	mov $NATIVE_DS, %eax
	mov %eax, %ds
	mov %eax, %gs
	mov %eax, %ss
	mov $NATIVE_CTL_STACK, %esp
	mov CTL(CURRENT), %ebp
	cmp CTL(END), %ebp
	jae 9f
	testl $1, CTL(FX)
	jz 2f
	fxrstor NATIVE_FX_IN(%ebp)
2:	mov NATIVE_IN + NATIVE_REGS_ES(%ebp), %es
	mov NATIVE_IN + NATIVE_REGS_FS(%ebp), %fs
	mov NATIVE_IN + 4(%ebp), %ecx
	mov NATIVE_IN + 8(%ebp), %edx
	mov NATIVE_IN + 12(%ebp), %ebx
	mov NATIVE_IN + 24(%ebp), %esi
	mov NATIVE_IN + 28(%ebp), %edi
	pushl NATIVE_IN + NATIVE_REGS_EFLAGS(%ebp)
	popf
	mov %gs:NATIVE_IN + NATIVE_REGS_DS(%ebp), %ds
	mov %gs:NATIVE_IN + NATIVE_REGS_SS(%ebp), %ss
	mov %gs:NATIVE_IN + 16(%ebp), %esp
	mov %gs:NATIVE_IN + 0(%ebp), %eax
	mov %gs:NATIVE_IN + 20(%ebp), %ebp
	ljmp *%gs:CTL(TARGET)
9:	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	ljmp $NATIVE_CS64, $NATIVE_LANDING + (native_loop_back - native_loop)
	.code64
native_loop_back:
	mov CTL(HOST_RSP), %rsp
	jmp *CTL(LEAVE)
native_loop_end:
	.size native_loop, . - native_loop

/* ---- 3. native_signal ----------------------------------------------------------------------- */

	.text
	.globl native_signal
	.type native_signal, @function
	/* (signal, siginfo, ucontext): C code needs its thread pointer back before anything else, and no
	 * alignment check, which the kernel leaves on. */
native_signal:
	pushf
	andl $~0x40000, (%rsp)
	popf
	push %rdi
	push %rsi
	push %rdx
	mov %fs, %eax
	push %rax
	mov $158, %eax
	mov $0x1002, %edi
	mov CTL(HOST_FS), %rsi
	syscall
	pop %rcx
	pop %rdx
	pop %rsi
	pop %rdi
	jmp native_fault
	.size native_signal, . - native_signal

#endif
	.section .note.GNU-stack, "", %progbits
