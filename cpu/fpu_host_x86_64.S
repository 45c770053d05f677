/* SPDX-License-Identifier: MIT */
/*
 * cpu/fpu_host_x86_64.S - guest floating-point and SIMD instructions as x86-64 subroutines.
 *
 *   1. x87: every register form, every memory form, comparisons into EFLAGS, FCMOVcc
 *   2. The x87 state in and out of the host's registers
 *   3. SIMD: one subroutine for each (mandatory prefix, opcode), operands in memory
 *   4. CMPccPS/PD/SS/SD: one for each predicate
 *
 * Most end as a handler ends, by jumping to the next instruction's handler: NEXT of internal.h.  They are
 * called with the cpu in rdi and the struct insn in rsi; rdx and rcx lead to operands.
 *
 * Where something lies is arithmetic: no table of addresses, no relocations.  The places of opcodes that do
 * not exist hold INT3; select_*.c never leads there.
 */
	.text

	.set	INSN_SIZE, 32 /* sizeof(struct insn); fn is its first member (asserted in fpu.c) */
	.macro	next
	add	$INSN_SIZE, %rsi
	jmp	*(%rsi)
	.endm

/* ---- 1. x87 --------------------------------------------------------------------------------- */

/* [(opcode & 7) * 64 + (modrm & 63)], 8 bytes each: D8 C0 .. DF FF */
	.globl	x87_reg_thunks
	.balign	64
x87_reg_thunks:
	.set	op, 0xD8
	.rept	8
	.set	modrm, 0xC0
	.rept	64
	.byte	op, modrm
	next
	.set	modrm, modrm + 1
	.endr
	.set	op, op + 1
	.endr

/* [(opcode & 7) * 8 + reg], 8 bytes each; the operand is at (%rdx): mod 0, rm 2 */
	.globl	x87_mem_thunks
	.balign	64
x87_mem_thunks:
	.set	op, 0xD8
	.rept	8
	.set	modrm, 0x02
	.rept	8
	.byte	op, modrm
	next
	.set	modrm, modrm + 8
	.endr
	.set	op, op + 1
	.endr

/* [(opcode >> 2 & 1) * 16 + (modrm & 15)], 8 bytes each: FUCOMI, FCOMI (DB E8..F7), FUCOMIP, FCOMIP
 * (DF E8..F7).  uint64_t f(void): the flags. */
	.globl	x87_flags_thunks
	.balign	64
x87_flags_thunks:
	.macro	flags_thunk op, modrm
	.balign	8, 0xCC
	.byte	\op, \modrm
	pushfq
	pop	%rax
	ret
	.endm
	.irp	op, 0xDB, 0xDF
	/* modrm & 15 runs 0..15 as F0..F7, E8..EF */
	.irp	modrm, 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xE8, 0xE9, 0xEA, 0xEB, 0xEC, 0xED, 0xEE, 0xEF
	flags_thunk \op, \modrm
	.endr
	.endr

/* [rm], 16 bytes each: FCMOVE ST, ST(rm) with ZF = (edx == 0) */
	.globl	x87_cmov_thunks
	.balign	64
x87_cmov_thunks:
	.irp	modrm, 0xC8, 0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF
	.balign	16, 0xCC
	test	%edx, %edx
	.byte	0xDA, \modrm
	next
	.endr

/* ---- 2. The x87 state ----------------------------------------------------------------------- */

/* void x87_host_load(void *area), void x87_host_save(void *area): FXSAVE areas, of which only the x87 part
 * means anything.  MXCSR stays as it is, the other vector registers are the callee's by the ABI. */
	.globl	x87_host_load
	.balign	16
x87_host_load:
	stmxcsr	24(%rdi)
	fxrstor	(%rdi)
	ret

/* Leaves the host what its ABI wants: an empty stack, the default control word. */
	.globl	x87_host_save
	.balign	16
x87_host_save:
	fxsave	(%rdi)
	fninit
	ret

/* ---- 3. SIMD -------------------------------------------------------------------------------- */

/*
 * dst (rdx) is a guest register in place (16-byte aligned) or a result buffer; src (rcx) a guest register or
 * the memory operand, of which no more is read than the instruction reads.  Kinds of operand loads: x 16
 * bytes, q 8 bytes, d 4 bytes; xmm0 is the destination, xmm1 the source.
 *
 * [prefix * 256 + opcode], 32 bytes each; prefix 0 none, 1 66, 2 F3, 3 F2.
 */
	.globl	simd_thunks
	.balign	64
simd_thunks:

	.macro	place prefix, opcode
	.org	simd_thunks + ((\prefix) * 256 + (\opcode)) * 32, 0xCC
	.endm

	.macro	load_x
	movdqu	(%rcx), %xmm1
	.endm
	.macro	load_q
	movq	(%rcx), %xmm1
	.endm
	.macro	load_d
	movd	(%rcx), %xmm1
	.endm

	/* xmm0 = xmm0 op xmm1, with the prefix byte or none */
	.macro	operate prefix, opcode, modrm=0xC1
	.if \prefix == 1
	.byte	0x66
	.elseif \prefix == 2
	.byte	0xF3
	.elseif \prefix == 3
	.byte	0xF2
	.endif
	.byte	0x0F, \opcode, \modrm
	.endm

	.macro	sse prefix, opcode, kind
	place	\prefix, \opcode
	movdqa	(%rdx), %xmm0
	load_\kind
	operate	\prefix, \opcode
	movdqa	%xmm0, (%rdx)
	next
	.endm

	/* The result of a conversion to an integer register, 32 bits. */
	.macro	to_gpr prefix, opcode, kind
	place	\prefix, \opcode
	load_\kind
	operate	\prefix, \opcode
	mov	%eax, (%rdx)
	next
	.endm

	/* COMISx, UCOMISx: return the flags instead of going on. */
	.macro	compare prefix, opcode, kind
	place	\prefix, \opcode
	movdqa	(%rdx), %xmm0
	load_\kind
	operate	\prefix, \opcode
	pushfq
	pop	%rax
	ret
	.endm

	/* CVTSI2SS, CVTSI2SD: the source is 32 bits at (%rcx) (mod 0, rm 1). */
	.macro	from_gpr prefix, opcode
	place	\prefix, \opcode
	movdqa	(%rdx), %xmm0
	operate	\prefix, \opcode, 0x01
	movdqa	%xmm0, (%rdx)
	next
	.endm

	/* The end of every write to an MMX register: bits 64-79 become ones (SDM vol. 1, 9.2). */
	.macro	store_mmx
	movq	%xmm0, (%rdx)
	movw	$-1, 8(%rdx)
	next
	.endm

	/* MMX by the low half of the SSE2 instruction. */
	.macro	mmx opcode
	place	0, \opcode
	movq	(%rdx), %xmm0
	movq	(%rcx), %xmm1
	operate	1, \opcode
	store_mmx
	.endm

	/* PUNPCKH: the high half of what SSE2's PUNPCKL makes of the same. */
	.macro	mmx_high opcode
	place	0, \opcode
	movq	(%rdx), %xmm0
	movq	(%rcx), %xmm1
	operate	1, (\opcode-8)
	psrldq	$8, %xmm0
	movq	%xmm0, (%rdx)
	orw	$-1, 8(%rdx) /* a byte shorter: 32 in all */
	next
	.endm

	/* PACKSS, PACKUS: both operands side by side, packed with itself. */
	.macro	mmx_pack opcode
	place	0, \opcode
	movq	(%rdx), %xmm0
	movhps	(%rcx), %xmm0
	operate	1, \opcode, 0xC0
	store_mmx
	.endm

	/* CVT(T)PS2PI, CVT(T)PD2PI by CVT(T)PS2DQ, CVT(T)PD2DQ: xmm0 = convert(xmm1). */
	.macro	to_mmx prefix, opcode, kind, by_prefix, by_opcode
	place	\prefix, \opcode
	load_\kind
	operate	\by_prefix, \by_opcode
	store_mmx
	.endm

/* no prefix */
	sse	0, 0x14, x
	sse	0, 0x15, x
	/* CVTPI2PS: two integers into the low half */
	place	0, 0x2A
	movdqa	(%rdx), %xmm0
	movq	(%rcx), %xmm1
	cvtdq2ps %xmm1, %xmm1
	movsd	%xmm1, %xmm0
	movdqa	%xmm0, (%rdx)
	next
	to_mmx	0, 0x2C, q, 2, 0x5B
	to_mmx	0, 0x2D, q, 1, 0x5B
	compare	0, 0x2E, d
	compare	0, 0x2F, d
	.irp	opcode, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59
	sse	0, \opcode, x
	.endr
	sse	0, 0x5A, q
	.irp	opcode, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F
	sse	0, \opcode, x
	.endr
	.irp	opcode, 0x60, 0x61, 0x62
	mmx	\opcode
	.endr
	mmx_pack 0x63
	.irp	opcode, 0x64, 0x65, 0x66
	mmx	\opcode
	.endr
	mmx_pack 0x67
	.irp	opcode, 0x68, 0x69, 0x6A
	mmx_high \opcode
	.endr
	mmx_pack 0x6B
	.irp	opcode, 0x74, 0x75, 0x76, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF
	mmx	\opcode
	.endr
	.irp	opcode, 0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE8, 0xE9, 0xEA, 0xEB, 0xEC, 0xED, 0xEE, 0xEF
	mmx	\opcode
	.endr
	.irp	opcode, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE
	mmx	\opcode
	.endr

/* 66 */
	sse	1, 0x14, x
	sse	1, 0x15, x
	/* CVTPI2PD */
	place	1, 0x2A
	movq	(%rcx), %xmm1
	cvtdq2pd %xmm1, %xmm0
	movdqa	%xmm0, (%rdx)
	next
	to_mmx	1, 0x2C, x, 1, 0xE6
	to_mmx	1, 0x2D, x, 3, 0xE6
	compare	1, 0x2E, q
	compare	1, 0x2F, q
	.irp	opcode, 0x51, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x5B, 0x5C, 0x5D, 0x5E, 0x5F
	sse	1, \opcode, x
	.endr
	.irp	opcode, 0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x6B, 0x6C, 0x6D
	sse	1, \opcode, x
	.endr
	.irp	opcode, 0x74, 0x75, 0x76, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF
	sse	1, \opcode, x
	.endr
	.irp	opcode, 0xE0, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE8, 0xE9, 0xEA, 0xEB, 0xEC, 0xED, 0xEE, 0xEF
	sse	1, \opcode, x
	.endr
	.irp	opcode, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF8, 0xF9, 0xFA, 0xFB, 0xFC, 0xFD, 0xFE
	sse	1, \opcode, x
	.endr

/* F3 */
	from_gpr 2, 0x2A
	to_gpr	2, 0x2C, d
	to_gpr	2, 0x2D, d
	.irp	opcode, 0x51, 0x52, 0x53, 0x58, 0x59, 0x5A
	sse	2, \opcode, d
	.endr
	sse	2, 0x5B, x
	.irp	opcode, 0x5C, 0x5D, 0x5E, 0x5F
	sse	2, \opcode, d
	.endr
	sse	2, 0xE6, q

/* F2 */
	from_gpr 3, 0x2A
	to_gpr	3, 0x2C, q
	to_gpr	3, 0x2D, q
	.irp	opcode, 0x51, 0x58, 0x59, 0x5A, 0x5C, 0x5D, 0x5E, 0x5F
	sse	3, \opcode, q
	.endr
	sse	3, 0xE6, x
	place	3, 0xFF

/* ---- 4. Comparisons with a predicate -------------------------------------------------------- */

/* [prefix * 8 + predicate], 32 bytes each */
	.globl	simd_cmp_thunks
	.balign	64, 0xCC
simd_cmp_thunks:
	.macro	cmp_thunk prefix, kind, predicate
	.balign	32, 0xCC
	movdqa	(%rdx), %xmm0
	load_\kind
	operate	\prefix, 0xC2
	.byte	\predicate
	movdqa	%xmm0, (%rdx)
	next
	.endm
	.macro	cmp_thunks prefix, kind
	.irp	predicate, 0, 1, 2, 3, 4, 5, 6, 7
	cmp_thunk \prefix, \kind, \predicate
	.endr
	.endm
	cmp_thunks 0, x
	cmp_thunks 1, x
	cmp_thunks 2, d
	cmp_thunks 3, q

	.section .note.GNU-stack, "", @progbits
