/* SPDX-License-Identifier: MIT */
/*
 * direct/translate_integer.c - instructions without a branch: as they are, or with another encoding.
 *
 *   1. Shapes          which instructions run as they are, and what their registers mean
 *   2. Special cases   bit tests, LEA, absolute addresses, strings, opcodes with a register in them
 *   3. Which
 *
 * 64-bit mode means something else by 40-4F, A0-A3, PUSH, POP and a ModRM without base; these get other encodings.
 * Everything not known here or in the files that this one asks is a fallback.
 */
#include "direct/translate.h"

#include "cpu/op_tables.h"
#include "cpu/simd.h"

/* ---- 1. Shapes ------------------------------------------------------------------------------ */

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

/* ---- 2. Special cases ----------------------------------------------------------------------- */

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
	EMIT(&t->e, 0x4D, 0x8B, 0x47, HOT_WORLD);
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
	switch (p->opcode) {
	case 0x40 ... 0x4F:
		emit_step(t, p);
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
	case 0xFF:
		return p->reg <= 1 && emit_shape(t, p, S_XG);
	default:
		return false;
	}
}

/* ---- 3. Which ------------------------------------------------------------------------------- */

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
bool emit_insn(struct translation *t, struct piece *p)
{
	enum layout shape = layout_of(p);

	if (t->d->config.exact && leaves_undefined(p))
		return false;
	if (is_undefined(p->insn))
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
	return (p->two ? emit_two(t, p) : emit_one(t, p)) || emit_stack(t, p) || emit_vector(t, p) || emit_system(t, p);
}
