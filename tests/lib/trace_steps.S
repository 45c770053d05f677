/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/trace_steps.S - a guest of a few instructions, each of which does one thing to the shadow, in the middle of
 * its block: the labels are where a trace must say that it was.  Loaded at TRACE_STEPS, entered with paging off.
 *
 *   0x200000 directory, 0x201000 and 0x202000 tables: 4 MiB each one to one, the second at 0x400000 twice
 */
#ifdef __x86_64__

	.section .rodata
	.code32
	.globl trace_steps, trace_steps_end
	.globl step_mode, step_fill, step_write, step_flush, step_switch, step_read, step_fault, step_more
trace_steps:
	movl $0x201003, 0x200000
	mov $0x201000, %edi
	mov $3, %eax
	mov $1024, %ecx
1:	mov %eax, (%edi)
	add $0x1000, %eax
	add $4, %edi
	dec %ecx
	jnz 1b
	mov $0x200000, %eax
	mov %eax, %cr3
	mov %cr0, %eax
	or $0x80010000, %eax
	nop
step_mode:
	mov %eax, %cr0
	inc %ebx
	inc %ebx
step_fill:
	movl $0x42, 0x300000
	inc %ebx
	inc %ebx
step_write:
	movl $0x302003, 0x201C00        /* what 0x300000 leads to */
	inc %ebx
step_flush:
	invlpg 0x300000
	inc %ebx
step_read:
	mov 0x300000, %edx
	mov %cr3, %eax
	inc %ebx
step_switch:
	mov %eax, %cr3
	/* As many events as are wanted (%esi is 0 at the start of a multiboot kernel only by our own loader: set here). */
	mov $3000, %ecx
step_more:
	invlpg 0x300000
	dec %ecx
	jnz step_more
	inc %ebx
step_fault:
	movl $1, 0x00800000             /* no directory entry: there is no IDT, so this is the end */
	jmp .
trace_steps_end:
	.code64
#endif
	.section .note.GNU-stack, "", %progbits
