/* SPDX-License-Identifier: MIT */
/*
 * direct/translate_stack.c - the guest's stack: ESP is R12D, its memory the world's.
 *
 *   1. Moves     one word; what may fault comes before ESP changes (D2)
 *   2. PUSH, POP, LEAVE
 *
 * In 64-bit mode the instructions themselves would move 8 bytes, by RSP.
 */
#include "direct/translate.h"

/* ---- 1. Moves ------------------------------------------------------------------------------- */

/* lea by(%r12), %r12d */
void move_esp(struct translation *t, int32_t by)
{
	if (by >= -128 && by <= 127) {
		EMIT(&t->e, 0x45, 0x8D, 0x64, 0x24);
		emit8(&t->e, (uint8_t)by);
	} else {
		EMIT(&t->e, 0x45, 0x8D, 0xA4, 0x24);
		emit32(&t->e, (uint32_t)by);
	}
}

/* mov %reg, %gs:-4(%r12d) */
static void push_register(struct translation *t, unsigned reg)
{
	EMIT(&t->e, 0x65, 0x67);
	emit8(&t->e, 0x41 | (reg & 8) >> 1);
	emit8(&t->e, 0x89);
	emit8(&t->e, 0x44 | (reg & 7) << 3);
	EMIT(&t->e, 0x24, 0xFC);
	move_esp(t, -4);
}

void push_immediate(struct translation *t, uint32_t value)
{
	EMIT(&t->e, 0x65, 0x67, 0x41, 0xC7, 0x44, 0x24, 0xFC);
	emit32(&t->e, value);
	move_esp(t, -4);
}

/* mov %gs:(%r12d), %reg */
void load_top(struct translation *t, unsigned reg)
{
	EMIT(&t->e, 0x65, 0x67);
	emit8(&t->e, 0x41 | (reg & 8) >> 1);
	emit8(&t->e, 0x8B);
	emit8(&t->e, 0x04 | (reg & 7) << 3);
	emit8(&t->e, 0x24);
}

static void pop_register(struct translation *t, unsigned guest)
{
	if (guest == CPU_ESP) {
		load_top(t, R_ESP);
		return;
	}
	load_top(t, guest);
	move_esp(t, 4);
}

/* mov %gs:(%ebp), %r8d; lea 4(%rbp), %r12d; mov %r8d, %ebp */
static void leave(struct translation *t)
{
	EMIT(&t->e, 0x65, 0x67, 0x44, 0x8B, 0x45, 0x00, 0x44, 0x8D, 0x65, 0x04, 0x44, 0x89, 0xC5);
}

/* Load the operand of FF /2 /4 /6 into R8D.  Nothing has changed yet. */
bool load_operand_r8(struct translation *t, const struct piece *p)
{
	struct piece load = *p;
	struct memory m;

	if (!(p->insn->flags & INSN_MEM)) {
		unsigned reg = host_gpr(p->rm); /* mov %reg, %r8d */
		emit8(&t->e, 0x41 | (reg & 8) >> 1);
		emit8(&t->e, 0x89);
		emit8(&t->e, 0xC0 | (reg & 7) << 3);
		return true;
	}
	if (!find_memory(t, p, &m))
		return false;
	load.opcode = 0x8B;
	load.prefix66 = false;
	emit_form(&t->e, &load, 8, 0, &m);
	return true;
}

/* ---- 2. PUSH, POP, LEAVE -------------------------------------------------------------------- */

/* 32-bit operands.  false: not here. */
bool emit_stack(struct translation *t, const struct piece *p)
{
	if (p->two || p->prefix66)
		return false;
	switch (p->opcode) {
	case 0x50 ... 0x57:
		push_register(t, host_gpr(p->opcode & 7));
		return true;
	case 0x58 ... 0x5F:
		pop_register(t, p->opcode & 7);
		return true;
	case 0x68: case 0x6A:
		push_immediate(t, p->insn->imm);
		return true;
	case 0xC9:
		leave(t);
		return true;
	case 0xFF:
		if (p->reg != 6 || !load_operand_r8(t, p))
			return false;
		push_register(t, 8);
		return true;
	default:
		return false;
	}
}
