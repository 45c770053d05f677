/* SPDX-License-Identifier: MIT */
/*
 * direct/translate.c - a block of guest code becomes host code.
 *
 *   1. The raw bytes   prefixes, opcode, where the immediate is
 *   2. Shapes          which instructions run as they are, and what their registers mean
 *   3. Operands        guest registers and memory as the host has them
 *   4. Leaving         links, indirect jumps, fallbacks
 *   5. The stack       PUSH POP CALL RET LEAVE
 *   6. Branches
 *   7. Special cases
 *   8. A block
 *
 * An instruction of a shape is emitted again, byte for byte but for its operands: ESP is R12D, memory is
 * gs:[32-bit address].  64-bit mode means something else by 40-4F, A0-A3, PUSH, POP and a ModRM without base;
 * these get other encodings.  Everything not known here is a fallback: the portable engine's handler.
 */
#include "direct/translate.h"

#include <string.h>

#include "cpu/decode.h"
#include "cpu/op_tables.h"
#include "cpu/simd.h"
#include "cpu/system.h"

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

/* ---- 2. Shapes ------------------------------------------------------------------------------ */

/* ModRM.reg and ModRM.rm: B a byte register, G a general one, X part of the opcode. */
enum layout { NO_SHAPE, S_BB, S_GG, S_GB, S_XB, S_XG, S_PLAIN };

static const uint8_t one_byte[256] = {
#define ALU(op) [op] = S_BB, [op + 1] = S_GG, [op + 2] = S_BB, [op + 3] = S_GG, [op + 4] = S_PLAIN, [op + 5] = S_PLAIN
	ALU(0x00), ALU(0x08), ALU(0x10), ALU(0x18), ALU(0x20), ALU(0x28), ALU(0x30), ALU(0x38),
	[0x69] = S_GG, [0x6B] = S_GG, [0x80] = S_XB, [0x81] = S_XG, [0x82] = S_XB, [0x83] = S_XG,
	[0x84] = S_BB, [0x85] = S_GG, [0x86] = S_BB, [0x87] = S_GG, [0x88] = S_BB, [0x89] = S_GG,
	[0x8A] = S_BB, [0x8B] = S_GG, [0x98] = S_PLAIN, [0x99] = S_PLAIN, [0x9E] = S_PLAIN, [0x9F] = S_PLAIN,
	[0xA8] = S_PLAIN, [0xA9] = S_PLAIN, [0xB0 ... 0xB7] = S_PLAIN,
	[0xC0] = S_XB, [0xC1] = S_XG, [0xC6] = S_XB, [0xC7] = S_XG, [0xD0] = S_XB, [0xD1] = S_XG,
	[0xD2] = S_XB, [0xD3] = S_XG, [0xF5] = S_PLAIN, [0xF6] = S_XB, [0xF7] = S_XG, [0xF8] = S_PLAIN,
	[0xF9] = S_PLAIN, [0xFE] = S_XB,
};
static const uint8_t two_bytes[256] = {
	[0x40 ... 0x4F] = S_GG, [0x90 ... 0x9F] = S_XB, [0xA4] = S_GG, [0xA5] = S_GG, [0xAC] = S_GG, [0xAD] = S_GG,
	[0xAF] = S_GG, [0xB0] = S_BB, [0xB1] = S_GG, [0xB6] = S_GB, [0xB7] = S_GG, [0xBA] = S_XG, [0xBC] = S_GG,
	[0xBD] = S_GG, [0xBE] = S_GB, [0xBF] = S_GG, [0xC0] = S_BB, [0xC1] = S_GG, [0xC7] = S_XG,
};

static enum layout layout_of(const struct piece *p)
{
	enum layout shape = (enum layout)(p->two ? two_bytes : one_byte)[p->opcode];
	unsigned digit = p->reg;

	/* The 64-bit forms of these groups have more, or others are not ours. */
	if (!p->two && (p->opcode == 0xC6 || p->opcode == 0xC7) && digit != 0)
		return NO_SHAPE;
	if (p->two && p->opcode == 0xC7 && (digit != 1 || !(p->insn->flags & INSN_MEM)))
		return NO_SHAPE;
	if (p->two && p->opcode == 0xBA && digit < 4)
		return NO_SHAPE;
	if (!p->two && p->opcode == 0xFE && digit > 1)
		return NO_SHAPE;
	return shape;
}

/* ---- 3. Operands ---------------------------------------------------------------------------- */

static unsigned host_gpr(unsigned guest) { return guest == CPU_ESP ? R_ESP : guest; }

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

/* With a REX prefix, 4-7 as byte registers are not AH CH DH BH: such a combination is a fallback. */
static bool high_byte(unsigned reg) { return reg >= 4; }

static bool emit_shape(struct translation *t, struct piece *p, enum layout shape)
{
	const struct insn *i = p->insn;
	bool reg_byte = shape == S_BB, rm_byte = shape == S_BB || shape == S_GB || shape == S_XB;
	bool digit = shape == S_XB || shape == S_XG, memory = i->flags & INSN_MEM;
	unsigned reg = reg_byte || digit ? p->reg : host_gpr(p->reg);
	unsigned rm = rm_byte ? p->rm : host_gpr(p->rm);
	bool high = (reg_byte && high_byte(p->reg)) || (rm_byte && !memory && high_byte(p->rm));
	struct memory m;

	if (!memory) {
		if (high && ((reg | rm) & 8))
			return false;
		emit_form(&t->e, p, reg, rm, NULL);
		return true;
	}
	if (p->soft)
		return !high && emit_soft(t, p, reg, (rm_byte ? 1 : p->two && p->opcode == 0xC7 ? 8
		                                      : p->two && (p->opcode == 0xB7 || p->opcode == 0xBF) ? 2
		                                      : i->opsize), writes_memory(p));
	if (high && (i->base == CPU_ESP || i->seg == CPU_FS || i->seg == CPU_GS))
		return false;
	if (!find_memory(t, p, &m))
		return false;
	emit_form(&t->e, p, reg, 0, &m);
	return true;
}

/* ---- 4. Leaving ----------------------------------------------------------------------------- */

static uint32_t place(const struct translation *t) { return t->code + (uint32_t)(t->e.at - t->e.start); }

/* A 32-bit displacement, to the stub that leads to `target`. */
static void leave_through(struct translation *t, uint32_t target)
{
	t->exit[t->exits].site = place(t);
	t->exit[t->exits++].target = target;
	emit32(&t->e, 0);
}

static void patch(struct translation *t, uint32_t site)
{
	uint32_t displacement = place(t) - (site + 4);

	memcpy(t->e.start + (site - t->code), &displacement, 4);
}

static bool same_page(uint32_t a, uint32_t b) { return a / UM_PAGE_SIZE == b / UM_PAGE_SIZE; }

/* The stubs that exits lead to.  A target in another page is looked up each time, but for the kernel's in
 * the global world, whose translations are told of. */
static void emit_exits(struct translation *t)
{
	struct direct *d = t->d;

	for (unsigned n = 0; n < t->exits; n++) {
		bool far = !same_page(t->exit[n].target, t->eip);
		patch(t, t->exit[n].site);
		if (!(d->options & DIRECT_OPT_LINK) || (far && (t->mode & DMODE_RING) != RING_GLOBAL)) {
			emit_r8d(&t->e, t->exit[n].target);
			emit_indirect(&t->e);
			continue;
		}
		d->links[d->link_count] = (struct block_link){
			.site = t->exit[n].site,
			.stub = place(t),
			.target = t->exit[n].target,
			.block = d->block_count,
			.frame = t->frame,
			.mode = (uint8_t)t->mode,
			.far = far,
		};
		emit_r9d(&t->e, d->link_count++);
		emit_stub(&t->e, HOT_STUB_LINK);
		if (far) { /* where it leads if it must not be linked */
			emit_r8d(&t->e, t->exit[n].target);
			emit_indirect(&t->e);
		}
	}
	for (unsigned n = 0; n < t->indirects; n++)
		patch(t, t->indirect[n]);
	if (t->indirects)
		emit_indirect(&t->e);
}

unsigned add_fallback(struct translation *t, const struct piece *p)
{
	struct direct *d = t->d;
	struct fallback *f = &d->fallbacks[d->fallback_count];

	*f = (struct fallback){
		.insn = { *p->insn },
		.eip = p->eip,
		.block = d->block_count,
		.index = (uint16_t)t->insns,
		.cause = (uint16_t)(p->soft ? CAUSE_SOFT : cause_of(p)),
	};
	f->insn[0].off = 0;
	f->insn[0].count = 1;
	if (!(p->insn->flags & INSN_END)) /* else a struct link is expected there: empty */
		f->insn[1] = (struct insn){ .fn = op_block_return, .off = p->insn->len, .count = 1, .flags = INSN_END };
	return d->fallback_count++;
}

static void emit_fallback(struct translation *t, const struct piece *p)
{
	unsigned n = add_fallback(t, p);

	t->x87_checked = t->sse_checked = false;
	emit_r9d(&t->e, n);
	emit_stub(&t->e, HOT_STUB_FALLBACK);
	t->d->fallbacks[n].resume = place(t);
}

/* ---- 5. The stack --------------------------------------------------------------------------- */

/* lea by(%r12), %r12d */
static void move_esp(struct translation *t, int32_t by)
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

static void push_immediate(struct translation *t, uint32_t value)
{
	EMIT(&t->e, 0x65, 0x67, 0x41, 0xC7, 0x44, 0x24, 0xFC);
	emit32(&t->e, value);
	move_esp(t, -4);
}

/* mov %gs:(%r12d), %reg */
static void load_top(struct translation *t, unsigned reg)
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
static bool load_operand_r8(struct translation *t, const struct piece *p)
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

/* ---- 6. Branches ---------------------------------------------------------------------------- */

static void jump_to(struct translation *t, uint32_t target)
{
	emit8(&t->e, 0xE9);
	leave_through(t, target);
}

/* What follows a CALL: the host's RET leads here when the guest's did not lead elsewhere; EIP is in R8D.  The
 * block goes on with it, unless instructions are counted. */
static void emit_return_site(struct translation *t, uint32_t eip)
{
	/* mov %rcx, %r11; lea -eip(%r8), %ecx; jecxz 1f; mov %r11, %rcx; (indirect) 1: mov %r11, %rcx */
	EMIT(&t->e, 0x49, 0x89, 0xCB, 0x41, 0x8D, 0x88);
	emit32(&t->e, 0u - eip);
	EMIT(&t->e, 0x67, 0xE3, 3 + 10, 0x4C, 0x89, 0xD9);
	emit_indirect(&t->e);
	EMIT(&t->e, 0x4C, 0x89, 0xD9);
	if (t->d->stepping)
		jump_to(t, eip);
	else
		t->goes_on = true;
	t->x87_checked = t->sse_checked = false;
}

/* The return address is pushed; go, E8 or E9, and come back here. */
static void emit_call(struct translation *t, bool indirect, uint32_t target, uint32_t back)
{
	bool predict = t->d->options & DIRECT_OPT_RETURNS && same_page(back, t->eip) &&
	               t->exits + 4 <= EXITS_MAX && t->indirects + 2 <= EXITS_MAX;

	push_immediate(t, back);
	if (!predict && indirect) {
		emit_indirect(&t->e);
		return;
	}
	emit8(&t->e, predict ? 0xE8 : 0xE9);
	if (indirect) {
		t->indirect[t->indirects++] = place(t);
		emit32(&t->e, 0);
	} else {
		leave_through(t, target);
	}
	if (predict)
		emit_return_site(t, back);
}

static void emit_return(struct translation *t, uint32_t extra)
{
	load_top(t, 8);
	move_esp(t, 4 + (int32_t)extra);
	if (t->d->options & DIRECT_OPT_RETURNS)
		emit8(&t->e, 0xC3);
	else
		emit_indirect(&t->e);
}

static void emit_condition(struct translation *t, unsigned cc, uint32_t taken, uint32_t fall)
{
	emit8(&t->e, 0x0F);
	emit8(&t->e, 0x80 | cc);
	leave_through(t, taken);
	/* The block goes on, unless instructions are counted. */
	t->goes_on = !t->d->stepping && t->exits + 4 <= EXITS_MAX && same_page(fall, t->eip);
	if (!t->goes_on)
		jump_to(t, fall);
}

/* LOOPNE LOOPE LOOP JECXZ: E0-E3, without touching the flags. */
static void emit_loop(struct translation *t, unsigned opcode, uint32_t taken, uint32_t fall)
{
	if (opcode != 0xE3)
		EMIT(&t->e, 0x8D, 0x49, 0xFF); /* lea -1(%rcx), %ecx */
	switch (opcode) {
	case 0xE3:
		EMIT(&t->e, 0x67, 0xE3, 0x02, 0xEB, 0x05);
		jump_to(t, taken);
		break;
	case 0xE2:
		EMIT(&t->e, 0x67, 0xE3, 0x05);
		jump_to(t, taken);
		break;
	default:
		EMIT(&t->e, 0x67, 0xE3, 0x06, 0x0F);
		emit8(&t->e, opcode == 0xE1 ? 0x84 : 0x85);
		leave_through(t, taken);
		break;
	}
	jump_to(t, fall);
}

/* ---- 7. Special cases ----------------------------------------------------------------------- */

/* BT BTS BTR BTC with a register: the bit may be far from the operand.  The doubleword's address is made
 * first, flags untouched: SARX, PEXT. */
static bool emit_bit_test(struct translation *t, struct piece *p)
{
	const struct insn *i = p->insn;
	unsigned reg = host_gpr(p->reg);
	struct memory m;

	if (!(i->flags & INSN_MEM))
		return emit_shape(t, p, S_GG);
	if (i->opsize != 4 || p->soft || !find_memory(t, p, &m))
		return false;
	emit_lea(&t->e, 8, &m);
	/* mov $5, %r10d; sarx %r10d, %reg, %r9d; lea (%r8, %r9, 4), %r8d; pext HOT_MASK_BIT(%r15), %reg, %r10d */
	EMIT(&t->e, 0x41, 0xBA, 5, 0, 0, 0);
	EMIT(&t->e, 0xC4);
	emit8(&t->e, 0x42 | (reg & 8 ? 0 : 0x20));
	emit8(&t->e, 0x2A);
	emit8(&t->e, 0xF7);
	emit8(&t->e, 0xC8 | (reg & 7));
	EMIT(&t->e, 0x47, 0x8D, 0x04, 0x88);
	EMIT(&t->e, 0xC4, 0x42);
	emit8(&t->e, 0x02 | (~reg & 15) << 3);
	EMIT(&t->e, 0xF5, 0x57, HOT_MASK_BIT);
	m = (struct memory){ .base = 8, .index = NO_REG };
	emit_form(&t->e, p, 10, 0, &m);
	return true;
}

static bool emit_lea_insn(struct translation *t, const struct piece *p)
{
	const struct insn *i = p->insn;
	struct memory m = {
		.base = i->base == REG_NONE ? NO_REG : (uint8_t)host_gpr(i->base),
		.index = i->index == REG_NONE ? NO_REG : (uint8_t)host_gpr(i->index),
		.scale = i->scale,
		.disp = i->disp,
		.flat = true,
	};

	if (i->addrsize != 4 || !(i->flags & INSN_MEM))
		return false;
	emit_form(&t->e, p, host_gpr(p->reg), 0, &m);
	return true;
}

/* MOV between the accumulator and an absolute address: the ordinary forms. */
static bool emit_moffs(struct translation *t, struct piece *p)
{
	static const uint8_t no_modrm[1] = { 0xC0 };
	struct piece q = *p;

	q.opcode = (uint8_t)(0x88 | (p->opcode & 1) | (p->opcode < 0xA2 ? 2 : 0));
	q.after_opcode = no_modrm;
	q.end = no_modrm + 1;
	q.reg = CPU_EAX;
	return emit_shape(t, &q, p->opcode & 1 ? S_GG : S_BB);
}

/* One-byte opcodes with a register in them.  `opcode | reg`, REX.B for ESP. */
static void emit_plus_register(struct translation *t, const struct piece *p, unsigned opcode, unsigned guest)
{
	unsigned reg = host_gpr(guest);

	if (p->prefix66)
		emit8(&t->e, 0x66);
	if (reg & 8)
		emit8(&t->e, 0x41);
	if (p->two)
		emit8(&t->e, 0x0F);
	emit8(&t->e, opcode | (reg & 7));
	emit_bytes(&t->e, p->after_opcode, (size_t)(p->end - p->after_opcode));
}

/* INC, DEC: 40-4F are REX prefixes now; FF /0, FF /1. */
static void emit_step(struct translation *t, const struct piece *p)
{
	unsigned reg = host_gpr(p->opcode & 7);

	if (p->prefix66)
		emit8(&t->e, 0x66);
	if (reg & 8)
		emit8(&t->e, 0x41);
	emit8(&t->e, 0xFF);
	emit8(&t->e, 0xC0 | (p->opcode & 8) | (reg & 7));
}

/* MOVS CMPS STOS LODS SCAS, upwards: the host's, with 64-bit addresses in the world.  A fault or an interrupt in
 * the middle of a repetition finds the guest's registers in their lower halves. */
static bool emit_string(struct translation *t, const struct piece *p)
{
	const struct insn *i = p->insn;
	unsigned op = p->opcode & 0xFE;
	bool from = op == 0xA4 || op == 0xA6 || op == 0xAC, to = op != 0xAC;

	if (i->addrsize != 4 || t->mode & DMODE_DF || p->soft || p->lock || t->d->config.exact ||
	    (from && (i->seg == CPU_CS || i->seg == CPU_FS || i->seg == CPU_GS)))
		return false;
	/* mov HOT_WORLD(%r15), %r8; add it by LEA; after it, mov %esi, %esi; mov %edi, %edi */
	EMIT(&t->e, 0x4D, 0x8B, 0x87);
	emit32(&t->e, HOT_WORLD);
	if (from)
		EMIT(&t->e, 0x49, 0x8D, 0x34, 0x30);
	if (to)
		EMIT(&t->e, 0x49, 0x8D, 0x3C, 0x38);
	if (p->prefix66)
		emit8(&t->e, 0x66);
	if (p->rep)
		emit8(&t->e, p->rep);
	emit8(&t->e, p->opcode);
	if (from)
		EMIT(&t->e, 0x89, 0xF6);
	if (to)
		EMIT(&t->e, 0x89, 0xFF);
	return true;
}

/* Two-byte opcodes.  false: not here. */
static bool emit_two(struct translation *t, struct piece *p)
{
	switch (p->opcode) {
	case 0xA3: case 0xAB: case 0xB3: case 0xBB:
		return emit_bit_test(t, p);
	case 0xC8: case 0xC9: case 0xCA: case 0xCB: case 0xCC: case 0xCD: case 0xCE: case 0xCF:
		if (p->prefix66)
			return false;
		emit_plus_register(t, p, 0xC8, p->opcode & 7);
		return true;
	default:
		return false;
	}
}

/* One-byte opcodes.  false: not here. */
static bool emit_one(struct translation *t, struct piece *p)
{
	const struct insn *i = p->insn;

	switch (p->opcode) {
	case 0x40 ... 0x4F:
		emit_step(t, p);
		return true;
	case 0x50 ... 0x57:
		if (p->prefix66)
			return false;
		push_register(t, host_gpr(p->opcode & 7));
		return true;
	case 0x58 ... 0x5F:
		if (p->prefix66)
			return false;
		pop_register(t, p->opcode & 7);
		return true;
	case 0x68: case 0x6A:
		if (p->prefix66)
			return false;
		push_immediate(t, i->imm);
		return true;
	case 0x8D:
		return emit_lea_insn(t, p);
	case 0x91 ... 0x97:
		emit_plus_register(t, p, 0x90, p->opcode & 7);
		return true;
	case 0xA0 ... 0xA3:
		return emit_moffs(t, p);
	case 0xA4 ... 0xA7: case 0xAA ... 0xAF:
		return emit_string(t, p);
	case 0xB8 ... 0xBF:
		emit_plus_register(t, p, 0xB8, p->opcode & 7);
		return true;
	case 0xC9:
		if (p->prefix66)
			return false;
		leave(t);
		return true;
	case 0xFF:
		if (p->reg <= 1)
			return emit_shape(t, p, S_XG);
		if (p->reg != 6 || p->prefix66 || !load_operand_r8(t, p))
			return false;
		push_register(t, 8);
		return true;
	default:
		return false;
	}
}

/* Branches.  They end the block.  false: not here. */
static bool emit_branch(struct translation *t, const struct piece *p)
{
	const struct insn *i = p->insn;
	uint32_t next = p->eip + i->len, target = next + i->imm;

	if (p->prefix66 || i->addrsize != 4)
		return false;
	if (p->two) {
		if (p->opcode < 0x80 || p->opcode > 0x8F)
			return false;
		emit_condition(t, p->opcode & 15, target, next);
		return true;
	}
	switch (p->opcode) {
	case 0x70 ... 0x7F:
		emit_condition(t, p->opcode & 15, target, next);
		return true;
	case 0xC2:
		emit_return(t, i->imm & 0xFFFF);
		return true;
	case 0xC3:
		emit_return(t, 0);
		return true;
	case 0xE0 ... 0xE3:
		emit_loop(t, p->opcode, target, next);
		return true;
	case 0xE8:
		emit_call(t, false, target, next);
		return true;
	case 0xE9: case 0xEB:
		jump_to(t, target);
		return true;
	case 0xFF:
		if ((p->reg != 2 && p->reg != 4) || !load_operand_r8(t, p))
			return false;
		if (p->reg == 2)
			emit_call(t, true, 0, next);
		else
			emit_indirect(&t->e);
		return true;
	default:
		return false;
	}
}

static bool does_nothing(const struct piece *p)
{
	return (p->insn->fn == op_nop || p->insn->fn == op_simd_nothing) && !p->lock;
}

/* Does it leave flags undefined (SDM vol. 2, "Flags Affected")?  Each processor has its own way then. */
static bool leaves_undefined(const struct piece *p)
{
	if (p->two)
		return (p->opcode >= 0xA3 && p->opcode <= 0xAF && p->opcode != 0xA8 && p->opcode != 0xA9) ||
		       p->opcode == 0xB3 || (p->opcode >= 0xBA && p->opcode <= 0xBD);
	switch (p->opcode) {
	case 0x69: case 0x6B: case 0xC0: case 0xC1: case 0xD0: case 0xD1: case 0xD2: case 0xD3:
		return true;
	case 0xF6: case 0xF7:
		return p->reg >= 4;
	default:
		return false;
	}
}

/* Everything but branches.  false: a fallback. */
static bool emit_insn(struct translation *t, struct piece *p)
{
	enum layout shape = layout_of(p);

	if (t->d->config.exact && leaves_undefined(p))
		return false;
	if (p->insn->fn == op_undefined || p->insn->fn == op_too_long)
		return false;
	if (does_nothing(p))
		return true;
	if (shape == S_PLAIN) {
		if (p->prefix66)
			emit8(&t->e, 0x66);
		emit8(&t->e, p->opcode);
		emit_bytes(&t->e, p->after_opcode, (size_t)(p->end - p->after_opcode));
		return true;
	}
	if (shape != NO_SHAPE)
		return emit_shape(t, p, shape);
	return (p->two ? emit_two(t, p) : emit_one(t, p)) || emit_vector(t, p) || emit_system(t, p);
}

/* ---- 8. A block ----------------------------------------------------------------------------- */

#define ENTRY_BYTES 23u
#define ENTRY_ALIGN 32u

/* Only when R8D is this block's EIP: a jump table's entry may be another's. */
static void emit_checked_entry(struct translation *t)
{
	/* mov %rcx, %r11; lea -eip(%r8), %ecx; jecxz 1f; mov %r11, %rcx; (miss) 1: mov %r11, %rcx */
	EMIT(&t->e, 0x49, 0x89, 0xCB, 0x41, 0x8D, 0x88);
	emit32(&t->e, 0u - t->eip);
	EMIT(&t->e, 0x67, 0xE3, 3 + 4, 0x4C, 0x89, 0xD9);
	emit_stub(&t->e, HOT_STUB_MISS);
	EMIT(&t->e, 0x4C, 0x89, 0xD9);
}

/* One instruction.  false: the block ends after it. */
static bool translate_insn(struct translation *t, struct piece *p, const uint8_t *bytes)
{
	struct emitter before = t->e;
	unsigned exits = t->exits, indirects = t->indirects;
	uint32_t fallbacks = t->d->fallback_count;

	if (p->insn->flags & INSN_END) {
		if (p->soft || p->insn->fn == op_undefined || p->insn->fn == op_too_long || !emit_branch(t, p)) {
			t->e = before;
			t->exits = exits;
			t->indirects = indirects;
			t->goes_on = false;
			t->d->fallback_count = fallbacks;
			emit_fallback(t, p);
		}
		return t->goes_on;
	}
	t->looks_up = false;
	if (!emit_insn(t, p) || (p->soft && !t->looks_up)) {
		t->e = before;
		t->d->fallback_count = fallbacks;
		look_at(p, bytes);
		emit_fallback(t, p);
	}
	return true;
}

static bool has_room(struct direct *d)
{
	return !d->flush_wanted && d->used + CACHE_SLACK < CACHE_BYTES && d->block_count + 1 < BLOCKS_MAX &&
	       d->link_count + EXITS_MAX < LINKS_MAX &&
	       d->fallback_count + 3 * BLOCK_INSNS_MAX < FALLBACKS_MAX && /* a check, a look-up, or the whole */
	       d->point_count + BLOCK_INSNS_MAX < BLOCKS_MAX * 16;
}

/* What every block has: begin_block(), instructions, end_block(). */
static void begin_translation(struct translation *t, struct block *b, uint32_t frame)
{
	struct direct *d = t->d;

	t->frame = frame;
	/* Loops come back to the plain entry. */
	d->used += (0u - (d->used + ENTRY_BYTES)) % ENTRY_ALIGN;
	t->code = d->used;
	t->e.start = t->e.at = d->code + d->to_write + d->used;
	*b = (struct block){ .eip = t->eip, .frame = frame, .mode = (uint8_t)t->mode, .code = d->used,
		             .points = d->point_count };
	emit_checked_entry(t);
	b->entry = (uint16_t)(t->e.at - t->e.start);
}

static void end_translation(struct translation *t, struct block *b)
{
	struct direct *d = t->d;

	b->links = d->link_count;
	emit_exits(t);
	b->link_count = (uint8_t)(d->link_count - b->links);
	d->point_count += t->insns;
	b->insns = (uint8_t)t->insns;
	b->code_bytes = (uint32_t)(t->e.at - t->e.start);
	d->used += b->code_bytes;
	d->block_count++;
	add_translation(d, b);
}

/* One instruction: its point, its code.  false: the block ends after it. */
static bool add_insn(struct translation *t, struct piece *p, const uint8_t *bytes)
{
	struct direct *d = t->d;
	bool goes_on;

	d->points[d->point_count + t->insns] = (struct point){
		(uint16_t)(t->e.at - t->e.start), (uint16_t)(t->bytes | (t->shadow ? POINT_SHADOW : 0)) };
	t->shadow = t->goes_on = false;
	goes_on = translate_insn(t, p, bytes);
	t->bytes += p->insn->len;
	t->insns++;
	return goes_on;
}

static bool is_undefined(const struct insn *i) { return i->fn == op_undefined || i->fn == op_too_long; }

const uint8_t *code_page(struct cpu *c, uint32_t linear)
{
	const uint8_t *host;
	um_gpa gpa;

	if (!fetch_page(c, linear, &host, &gpa)) {
		c->exc.vector = -1;
		return NULL;
	}
	return host && (size_t)(host - c->ram) < c->ram_bytes ? host : NULL;
}

/* An instruction in two pages.  In the global world it is code as any other while both translations last; for
 * others only the first page is sure. */
static struct block *translate_crossing(struct translation *t, const uint8_t *host, unsigned dmode)
{
	struct direct *d = t->d;
	struct cpu *c = d->cpu;
	unsigned first = UM_PAGE_SIZE - t->eip % UM_PAGE_SIZE;
	uint32_t frame = (uint32_t)((size_t)(host - d->config.ram) / UM_PAGE_SIZE);
	const uint8_t *second = code_page(c, t->eip + first);
	struct block *b = &d->blocks[d->block_count];
	uint8_t bytes[2 * INSN_BYTES_MAX] = { 0 };
	struct insn insn;
	struct piece p = { .insn = &insn, .eip = t->eip };
	bool sure;

	if (!second)
		return NULL;
	memcpy(bytes, host, first);
	memcpy(bytes + first, second, INSN_BYTES_MAX - first);
	if (decode(c->decoder, bytes, INSN_BYTES_MAX, dmode, c->options, &insn) != DECODE_OK)
		return NULL;
	look_at(&p, bytes);
	if (is_undefined(&insn))
		return NULL;
	sure = (t->mode & DMODE_RING) == RING_GLOBAL && tlb_is_global(c, t->eip + first) &&
	       d->options & DIRECT_OPT_LINK && !d->stepping;
	begin_translation(t, b, frame);
	b->second = (uint32_t)((size_t)(second - d->config.ram) / UM_PAGE_SIZE) + 1;
	b->bytes = insn.len;
	if (sure) {
		p.soft = is_soft(d, frame, p.eip % UM_PAGE_SIZE);
		if (add_insn(t, &p, bytes))
			jump_to(t, t->eip + t->bytes);
	} else {
		unsigned n = add_fallback(t, &p);
		d->points[d->point_count] = (struct point){ (uint16_t)(t->e.at - t->e.start), 0 };
		d->fallbacks[n].second = second;
		d->fallbacks[n].cause = CAUSE_CROSSING;
		emit_r9d(&t->e, n);
		emit_stub(&t->e, HOT_STUB_FALLBACK);
		t->insns = 1;
	}
	end_translation(t, b);
	return b;
}

struct block *translate(struct direct *d, uint32_t eip, const uint8_t *host, unsigned mode)
{
	struct cpu *c = d->cpu;
	unsigned dmode = (c->mode & MODE_DECODING) | MODE_STEP, avail = UM_PAGE_SIZE - eip % UM_PAGE_SIZE;
	uint32_t frame = (uint32_t)((size_t)(host - d->config.ram) / UM_PAGE_SIZE);
	struct translation t = { .d = d, .eip = eip, .mode = mode };
	bool ended = false, undefined = false;
	struct insn insn;
	struct block *b;

	if (!has_room(d))
		cache_flush(d);
	b = &d->blocks[d->block_count];
	while (!ended && t.insns < BLOCK_INSNS_MAX && t.bytes < avail) {
		struct piece p = { .insn = &insn, .eip = eip + t.bytes };
		if (decode(c->decoder, host + t.bytes, avail - t.bytes, dmode, c->options, &insn) == DECODE_MORE)
			break;
		if (!t.insns)
			begin_translation(&t, b, frame);
		look_at(&p, host + t.bytes);
		p.soft = is_soft(d, frame, p.eip % UM_PAGE_SIZE);
		undefined = is_undefined(&insn);
		ended = !add_insn(&t, &p, host + t.bytes);
	}
	if (!t.insns)
		return translate_crossing(&t, host, dmode);
	if (!ended)
		jump_to(&t, eip + t.bytes);
	/* An undefined opcode has no length: all bytes that were looked at count. */
	b->bytes = (uint16_t)(undefined && t.bytes + INSN_BYTES_MAX > avail ? avail
	                      : undefined ? t.bytes + INSN_BYTES_MAX - 1 : t.bytes);
	end_translation(&t, b);
	return b;
}
