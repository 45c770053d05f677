/* SPDX-License-Identifier: MIT */
/*
 * direct/translate_operand.c - a guest instruction's bytes and operands, and the same instruction for the host.
 *
 *   1. The raw bytes           prefixes, opcode, where the immediate is
 *   2. Operands                guest memory as the host has it
 *   3. The instruction again   byte for byte but for its operands: ESP is R12D, memory is gs:[32-bit address]
 */
#include "direct/translate.h"

/* ---- 1. The raw bytes ----------------------------------------------------------------------- */

void look_at(struct piece *p, const uint8_t *bytes)
{
	const uint8_t *at = bytes, *end = bytes + p->insn->len;

	p->lock = p->prefix66 = false;
	p->rep = p->mandatory = 0;
	for (; at < end; at++) {
		if (*at == 0xF0)
			p->lock = true;
		else if (*at == 0x66)
			p->prefix66 = true;
		else if (*at == 0xF2 || *at == 0xF3)
			p->rep = *at;
		else if (*at != 0x26 && *at != 0x2E && *at != 0x36 && *at != 0x3E && *at != 0x64 &&
		         *at != 0x65 && *at != 0x67)
			break;
	}
	p->two = *at == 0x0F;
	at += p->two;
	p->opcode = *at++;
	p->after_opcode = at;
	p->reg = p->rm = 0;
	if (at < bytes + p->insn->len) {
		p->reg = *at >> 3 & 7; /* where there is no ModRM, nobody asks */
		p->rm = *at & 7;
	}
	p->end = end;
}

/* Bytes of ModRM, SIB and displacement, 32-bit forms (SDM vol. 2, tables 2-2 and 2-3). */
static unsigned modrm_bytes(const uint8_t *modrm)
{
	unsigned mod = *modrm >> 6, rm = *modrm & 7, bytes = 1;

	if (mod == 3)
		return 1;
	if (rm == 4) {
		bytes++;
		if (mod == 0 && (modrm[1] & 7) == 5)
			return bytes + 4;
	} else if (mod == 0 && rm == 5) {
		return bytes + 4;
	}
	return bytes + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* ---- 2. Operands ---------------------------------------------------------------------------- */

/* Where a guest's memory operand is for the host: at most one instruction before it, two for FS and GS.
 * false: it needs a fallback. */
bool find_memory(struct translation *t, const struct piece *p, struct memory *m)
{
	const struct insn *i = p->insn;
	unsigned seg = i->seg;

	if (i->addrsize != 4 || seg == CPU_CS)
		return false;
	m->base = i->base == REG_NONE ? NO_REG : (uint8_t)host_gpr(i->base);
	m->index = i->index == REG_NONE ? NO_REG : (uint8_t)host_gpr(i->index);
	m->scale = i->scale;
	m->disp = i->disp;
	m->flat = false;
	if (seg != CPU_FS && seg != CPU_GS)
		return true;
	if (!(t->mode & (seg == CPU_FS ? DMODE_FS : DMODE_GS)))
		return false;
	/* mov HOT_SEG_BASE(%r15), %r9d */
	EMIT(&t->e, 0x45, 0x8B, 0x4F);
	emit8(&t->e, HOT_SEG_BASE + (seg == CPU_GS ? 4 : 0));
	if (m->index == NO_REG) {
		if (m->base == NO_REG) {
			m->base = 9;
		} else {
			m->index = 9;
			m->scale = 0;
		}
		return true;
	}
	emit_lea(&t->e, 8, m);
	*m = (struct memory){ .base = 8, .index = 9 };
	return true;
}

/* ---- 3. The instruction again --------------------------------------------------------------- */

void emit_form(struct emitter *e, const struct piece *p, unsigned reg, unsigned rm, const struct memory *m)
{
	unsigned rex = (reg & 8) >> 1 | (m ? (m->index != NO_REG ? (m->index & 8u) >> 2 : 0) : 0);
	const uint8_t *modrm = p->after_opcode;

	rex |= m ? (m->base != NO_REG ? (m->base & 8u) >> 3 : 0) : (rm & 8) >> 3;
	if (p->prefix66)
		emit8(e, 0x66);
	if (p->lock)
		emit8(e, 0xF0);
	if (p->mandatory)
		emit8(e, p->mandatory);
	if (m && !m->flat)
		EMIT(e, 0x65, 0x67);
	if (rex)
		emit8(e, 0x40 | rex);
	if (p->two)
		emit8(e, 0x0F);
	emit8(e, p->opcode == 0x82 && !p->two ? 0x80 : p->opcode);
	if (m)
		emit_modrm(e, reg, m);
	else
		emit8(e, 0xC0 | (reg & 7) << 3 | (rm & 7));
	modrm += modrm_bytes(modrm);
	emit_bytes(e, modrm, (size_t)(p->end - modrm));
}
