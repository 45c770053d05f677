/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/self.c - code that changes under itself.
 *
 *   1. By itself
 *   2. By another address
 */
#include "guests/hostile/hostile.h"

static void go(const void *code, unsigned count, struct context c)
{
	put_code(CODE, code, count);
	attempt(&c);
	note_memory(CODE, 64);
	attempt(&c); /* and as it is now */
}
#define GO(s, c) go(s, sizeof(s) - 1, c)

/* ---- 1. By itself --------------------------------------------------------------------------- */

static void next_instructions(struct context c)
{
	/* movb $0x43, 7(CODE); inc %eax -> inc %ebx */
	GO("\xC6\x05\x07\x00\x00\x40\x43\x40\x42", c);
	/* mov %al over the byte after; stosb; */
	c.eax = 0x43;
	c.edi = CODE + 1;
	GO("\xAA\x40\x42", c);
	/* stosl over the next four; movsb; push */
	c.eax = 0x43434343;
	GO("\xAB\x40\x40\x40\x40\x42", c);
	c.edi = CODE + 2;
	c.ecx = 3;
	GO("\xF3\xAA\x40\x40\x40\x40\x42", c);
	c.edi = CODE;
	c.ecx = 5; /* over itself, too */
	GO("\xF3\xAA\x40\x40\x40\x40\x42", c);
	c.ecx = 2;
	GO("\xF3\xAB\x40\x40\x40\x40\x40\x40\x40\x40\x42", c);
	if (!(c.cs & 3)) { /* ring 0 needs its stack for what comes */
		told("the next instruction, in ring 0");
		return;
	}
	c.eax = 0x42424242;
	c.esp = CODE + 5;
	GO("\x50\x40\x40\x40\x40\x41", c); /* push %eax */
	c.esp = CODE + 4;
	GO("\x50\x40\x40\x40\x40\x41", c);
	c.esp = CODE + 12;
	GO("\xE8\x02\x00\x00\x00\x40\x40\x43\x40\x40\x40\x40\x41", c); /* call, whose return address is code */
	told("the next instruction");
}

static void itself(struct context c)
{
	/* The immediate of the loop's own add: 1: add $1, %edx; incl 2(CODE) ; dec %ecx; jnz 1b */
	c.ecx = 1000;
	GO("\x81\xC2\x01\x00\x00\x00\xFF\x05\x02\x00\x00\x40\x49\x75\xF1", c);
	/* The opcode: xorb $8, CODE: inc and dec in turn */
	GO("\x40\x80\x35\x00\x00\x00\x40\x08\x49\x75\xF5", c);
	/* The prefix: notb-like on 66: 1: nop/66 inc; xorb $0xF6, 0 */
	GO("\x90\x40\x80\x35\x00\x00\x00\x40\xF6\x49\x75\xF4", c);
	/* A segment prefix: DS and ES, then FS in turn: mov %ds:(%ebx), %eax */
	GO("\x3E\x8B\x03\x01\xC2\x80\x35\x00\x00\x00\x40\x5A\x49\x75\xF2", c);
	/* The branch's own displacement: decb: */
	GO("\x40\x40\x40\xFE\x0D\x0B\x00\x00\x40\x49\x75\xF5\x42\x42", c);
	/* XADD, XCHG, CMPXCHG, locked, with the code */
	c.eax = 0x01010101;
	GO("\xF0\x0F\xC1\x05\x08\x00\x00\x40\x40\x41\x42\x43", c);
	c.eax = 0x43424140;
	c.edx = 0x40404040;
	GO("\xF0\x0F\xB1\x15\x08\x00\x00\x40\x40\x41\x42\x43", c);
	/* movq %xmm, movaps into the next 16 bytes */
	GO("\x0F\x29\x05\x10\x00\x00\x40\x90\x90\x90\x90\x90\x90\x90\x90\x90\x40\x41\x42\x43\x40\x41\x42\x43\x40\x41\x42\x43\x40\x41\x42\x43", c);
	told("the instruction itself, its prefix, its loop");
}

/* ---- 2. By another address ------------------------------------------------------------------ */

static void aliases(struct context c)
{
	/* movb $0x43, 7(ALIAS); inc %eax */
	GO("\xC6\x05\x07\x00\x02\x40\x43\x40\x42", c);
	c.ecx = 1000;
	GO("\x81\xC2\x01\x00\x00\x00\xFF\x05\x02\x00\x02\x40\x49\x75\xF1", c);
	for (unsigned n = 0; n < 200; n++) { /* run here, changed there, run there, changed here */
		struct context other = c;
		const uint8_t code[] = { 0x05, (uint8_t)n, (uint8_t)random(), 0, 0, (uint8_t)(0x40 | (n & 3)) };
		put_code(n & 1 ? CODE : ALIAS, code, sizeof(code));
		other.eip = n & 2 ? CODE : ALIAS;
		attempt(&other);
		attempt(&c);
	}
	told("another address of the same code");
}

static void across_pages(struct context c)
{
	/* add $imm32 over the boundary: its second page changes, is missing, is another */
	for (unsigned n = 1; n < 6; n++) {
		c.eip = CODE + PAGE - n;
		c.ecx = 50;
		put_code(c.eip, "\x05\x01\x02\x03\x04\xFE\x05\x00\x10\x00\x40\x49\x75\xF2", 14);
		attempt(&c);
		note_memory(CODE + PAGE - 8, 32);
		*user_entry(CODE + PAGE) = frame_address(FRAME_SPARE) | PTE_P | PTE_W | PTE_U;
		flush_page(CODE + PAGE);
		memcpy((void *)(CODE + PAGE), "\x07\x07\x07\x07\x40\x40\xCD\x80", 8);
		attempt(&c);
		*user_entry(CODE + PAGE) = 0;
		flush_page(CODE + PAGE);
		attempt(&c);
		*user_entry(CODE + PAGE) = frame_address(FRAME_CODE + 1) | PTE_P | PTE_W | PTE_U;
		flush_page(CODE + PAGE);
	}
	told("code across two pages");
}

/* What is code for a moment and data then, over and over; the kernel's writes, too. */
static void code_and_data(struct context c)
{
	for (unsigned n = 0; n < 300; n++) {
		uint8_t *at = (uint8_t *)CODE + 16 * (random() % 200);
		const uint8_t code[] = { 0xB8, (uint8_t)n, 1, 2, 3, (uint8_t)(0x40 | (n & 3)), 0xA3, 0, 0x08, 0, 0x40 };
		put_code((uint32_t)at, code, sizeof(code));
		c.eip = (uint32_t)at;
		attempt(&c);
		for (unsigned k = 0; k < 40; k++)
			((volatile uint8_t *)CODE)[random() % PAGE] ^= 1;
	}
	note_memory(CODE, PAGE);
	told("code and data in one page");
}

void self_changes(void)
{
	next_instructions(user_context);
	itself(user_context);
	aliases(user_context);
	across_pages(user_context);
	code_and_data(user_context);
	next_instructions(kernel_context);
	itself(kernel_context);
}
