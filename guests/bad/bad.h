/* SPDX-License-Identifier: MIT */
/*
 * guests/bad/bad.h - the start of each badly behaved guest: a multiboot header, and no more.
 */
	.section .multiboot, "a"
	.long	0x1BADB002, 0, -0x1BADB002
	.section .note.GNU-stack, "", @progbits
	.text
	.globl	start
start:
