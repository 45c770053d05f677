/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/direct_kernel.S - the small kernel in which the random programs of direct_make.c run.
 *
 *   1. Stubs         one for each vector
 *   2. Interrupts    what each is good for
 *   3. Pieces        on to the next one
 *   4. Double faults
 *
 * Copied to DR_KERNEL: 32-bit code.  It takes whatever a piece leaves behind, and is a guest like others: how
 * exceptions find it, and how it goes back, is part of what is compared.
 */
#ifdef __x86_64__

#include "tests/lib/direct_layout.h"

	.section .rodata
	.code32
	.globl direct_kernel
direct_kernel:

/* ---- 1. Stubs ------------------------------------------------------------------------------- */

	.set vector, 0
	.rept DR_STUBS
	.balign DR_STUB_BYTES
	.if vector != 8 && vector != 10 && vector != 11 && vector != 12 && vector != 13 && vector != 14 && vector != 17
	push $0
	.endif
	push $vector
	jmp interrupt
	.set vector, vector + 1
	.endr
	.balign DR_STUB_BYTES

/* ---- 2. Interrupts -------------------------------------------------------------------------- */

/* From ESP up: ES, DS, eight registers, vector, error code, EIP, CS, EFLAGS. */
#define VECTOR 40
#define EIP 48
#define EFLAGS 56

interrupt:
	pushal
	push %ds
	push %es
	mov $DR_DATA0, %eax
	mov %eax, %ds
	mov %eax, %es
	cld
	mov VECTOR(%esp), %ebx
	cmp $DR_NEXT_VECTOR, %ebx
	je next_piece
	cmp $2, %ebx
	je next_piece
	cmp $DR_CALL_VECTOR, %ebx
	je back
	cmp $DR_IRQ_VECTOR, %ebx
	jb exception
	cmp $(DR_IRQ_VECTOR + 16), %ebx
	jb back

exception:
	incl DR_FAULTS
	cmpl $DR_FAULTS_MAX, DR_FAULTS
	ja next_piece
	cmp $7, %ebx
	je not_available
	cmp $1, %ebx
	je debug
	cmp $16, %ebx
	je floating_point
	cmp $14, %ebx
	jne resume
	mov %cr2, %eax
	lea -DR_LAZY(%eax), %ecx
	cmp $DR_LAZY_BYTES, %ecx
	jae resume
	mov %eax, %edx
	shr $12, %edx
	orl $7, DR_PT_LOW(,%edx,4)
	invlpg (%eax)
	jmp back

resume:
	roll $1, DR_PATTERN
	jc next_piece
	mov DR_RESUME, %eax
	mov %eax, EIP(%esp)
	jmp back

not_available:
	clts
	jmp back

debug:
	xor %eax, %eax
	mov %eax, %dr6
	orl $0x10000, EFLAGS(%esp)
	jmp back

floating_point:
	fninit

back:
	pop %es
	pop %ds
	popal
	add $8, %esp
	iretl

/* ---- 3. Pieces ------------------------------------------------------------------------------ */

	.globl direct_kernel_start
direct_kernel_start:
next_piece:
	mov $DR_DATA0, %eax
	mov %eax, %ds
	mov %eax, %ss
	mov $DR_STACK0, %esp
	mov DR_PIECE, %esi
	cmp DR_PIECES_END, %esi
	jae finish
	addl $DR_PIECE_BYTES, DR_PIECE
	movl $0, DR_FAULTS
	mov $0x400, %eax
	mov %eax, %dr7
	mov DR_P_CR4(%esi), %eax
	mov %eax, %cr4
	mov DR_P_CR3(%esi), %eax
	mov %eax, %cr3
	mov DR_P_CR0(%esi), %eax
	mov %eax, %cr0
	mov DR_P_RESUME(%esi), %eax
	mov %eax, DR_RESUME
	mov $DR_SEL_LDT, %eax
	lldt %ax
	pushl DR_P_GS(%esi)
	pushl DR_P_FS(%esi)
	pushl DR_P_DS(%esi)
	pushl DR_P_ES(%esi)
	pushl DR_P_SS(%esi)
	pushl DR_P_ESP(%esi)
	pushl DR_P_EFLAGS(%esi)
	pushl DR_P_CS(%esi)
	pushl DR_P_EIP(%esi)
	testl $0x20000, DR_P_EFLAGS(%esi)
	jnz go
	mov DR_P_GS(%esi), %gs
	mov DR_P_FS(%esi), %fs
	mov DR_P_ES(%esi), %es
	mov DR_P_DS(%esi), %ds
go:
	iretl

finish:
	out %al, $DR_PORT_END
	cli
	hlt
	jmp finish

/* SYSENTER leads here: half of the time back. */
	.globl direct_kernel_sysenter
direct_kernel_sysenter:
	roll $1, DR_PATTERN
	jc next_piece
	mov DR_RESUME, %edx
	mov $(DR_STACK_END - 0x100), %ecx
	sysexit

/* ... and the call gate. */
	.globl direct_kernel_gate
direct_kernel_gate:
	lretl

/* ---- 4. Double faults ----------------------------------------------------------------------- */

/* A task of its own: whatever the stack was.  The interrupted task is given up. */
	.globl direct_kernel_df
direct_kernel_df:
	pushfl
	andl $~0x4000, (%esp)
	popfl
	andb $0xFD, DR_GDT + DR_SEL_TSS + 5
	mov $DR_SEL_TSS, %eax
	ltr %ax
	andb $0xFD, DR_GDT + DR_SEL_TSS_DF + 5
	jmp next_piece

	.globl direct_kernel_end
direct_kernel_end:

#else /* elsewhere there is no direct engine, and no such test */
	.globl direct_kernel, direct_kernel_start, direct_kernel_sysenter, direct_kernel_gate, direct_kernel_df, direct_kernel_end
direct_kernel:
direct_kernel_start:
direct_kernel_sysenter:
direct_kernel_gate:
direct_kernel_df:
direct_kernel_end:
#endif
	.section .note.GNU-stack, "", @progbits
