/* SPDX-License-Identifier: MIT */
/*
 * direct/translate_fpu.c - x87, SSE and SSE2 instructions: the host's own, on the guest's registers.
 *
 *   1. Ready?    a check before the first of a kind; again after each fallback
 *   2. x87
 *   3. SSE
 *
 * The portable engine knows where the guest's state is (cpu/fpu_state.h).  x87 instructions run here while it
 * is IN_HOST with all exceptions masked; SSE's while the guest's MXCSR is loaded, all masked, and its XMM
 * registers are then in the host's (the stubs save and load them around C code).  MMX, and what changes where
 * the state is or what is masked, are fallbacks.
 */
#include "direct/translate.h"

#include "cpu/fpu_state.h"
#include "cpu/op_tables.h"

/* ---- 1. Ready? ------------------------------------------------------------------------------ */

/* Flags stay: mov %rcx, %r11; mov offset(%r15), %ecx; jecxz 1f; mov %r11, %rcx; (stub) 1: mov %r11, %rcx */
static void emit_check(struct translation *t, const struct piece *p, unsigned offset)
{
	uint32_t start = place(t);
	unsigned n = add_fallback(t, p);

	EMIT(&t->e, 0x49, 0x89, 0xCB, 0x41, 0x8B, 0x8F);
	emit32(&t->e, offset);
	EMIT(&t->e, 0x67, 0xE3, 3 + 6 + 4, 0x4C, 0x89, 0xD9);
	emit_r9d(&t->e, n);
	emit_stub(&t->e, HOT_STUB_FPU);
	EMIT(&t->e, 0x4C, 0x89, 0xD9);
	t->d->fallbacks[n].resume = 0; /* not resumed after: its own block ends */
	t->d->fallbacks[n].again = start;
	t->d->fallbacks[n].sse = offset == HOT_SSE_BAD;
}

/* ---- 2. x87 --------------------------------------------------------------------------------- */

static bool is_x87(const struct piece *p) { return !p->two && (p->opcode & 0xF8) == 0xD8; }

static bool x87_is_plain(const struct piece *p)
{
	unsigned modrm = 0xC0u | (unsigned)p->reg << 3 | p->rm;

	if (p->insn->flags & INSN_MEM)
		return !(p->opcode == 0xD9 && p->reg >= 4 && p->reg <= 6) &&
		       !(p->opcode == 0xDD && (p->reg == 4 || p->reg == 6));
	return !(p->opcode == 0xDB && modrm >= 0xE0 && modrm <= 0xE7);
}

/* Into the host's x87 (SDM vol. 1, 8.1.8): only for comparisons.  With all exceptions masked processors differ
 * in whether these are kept (APM vol. 2, 11.4.4). */
static bool x87_is_noted(const struct translation *t) { return t->d->config.exact; }

static bool x87_writes(const struct piece *p)
{
	if (p->opcode == 0xDF && p->reg == 6)
		return true;
	return (p->opcode & 1) && (p->reg == 2 || p->reg == 3 || p->reg == 7) && p->opcode != 0xD8 &&
	       !(p->opcode == 0xDB && p->reg == 5);
}

/* ---- 3. SSE --------------------------------------------------------------------------------- */

/* ModRM.reg and ModRM.rm: V an XMM register, G a general one, X part of the opcode. */
enum vector_layout { NOT_SSE, V_V, V_G, G_V, X_V };

static enum vector_layout plain_layout(unsigned op)
{
	switch (op) {
	case 0x10 ... 0x17: case 0x28: case 0x29: case 0x2B: case 0x2E: case 0x2F: case 0x51 ... 0x5F: case 0xC2: case 0xC6:
		return V_V;
	case 0x50:
		return G_V;
	case 0xC3:
		return V_G; /* MOVNTI: both general, the second memory */
	default:
		return NOT_SSE;
	}
}

static enum vector_layout layout_66(unsigned op)
{
	switch (op) {
	case 0x10 ... 0x17: case 0x28: case 0x29: case 0x2B: case 0x2E: case 0x2F: case 0x51: case 0x54 ... 0x6D: case 0x6F:
	case 0x70: case 0x74 ... 0x76: case 0x7F: case 0xC2: case 0xC6: case 0xD1 ... 0xD6: case 0xD8 ... 0xEF:
	case 0xF1 ... 0xF6: case 0xF8 ... 0xFE:
		return V_V;
	case 0x6E: case 0x7E: case 0xC4:
		return V_G;
	case 0x50: case 0xC5: case 0xD7:
		return G_V;
	case 0x71 ... 0x73:
		return X_V;
	default:
		return NOT_SSE;
	}
}

static enum vector_layout scalar_layout(unsigned op, bool f3)
{
	switch (op) {
	case 0x10: case 0x11: case 0x51: case 0x58 ... 0x5A: case 0x5C ... 0x5F: case 0x70: case 0xC2: case 0xE6:
		return V_V;
	case 0x52: case 0x53: case 0x5B: case 0x6F: case 0x7E: case 0x7F:
		return f3 ? V_V : NOT_SSE;
	case 0x2A:
		return V_G;
	case 0x2C: case 0x2D:
		return G_V;
	default:
		return NOT_SSE;
	}
}

static enum vector_layout sse_layout(const struct piece *p)
{
	if (!p->two || p->lock)
		return NOT_SSE;
	switch (p->insn->prefix) {
	case PREFIX_66:
		return layout_66(p->opcode);
	case PREFIX_F3:
	case PREFIX_F2:
		return scalar_layout(p->opcode, p->insn->prefix == PREFIX_F3);
	default:
		return plain_layout(p->opcode);
	}
}

static bool sse_writes(const struct piece *p)
{
	switch (p->opcode) {
	case 0x11: case 0x13: case 0x17: case 0x29: case 0x2B: case 0x7F: case 0xC3: case 0xD6: case 0xE7:
		return true;
	case 0x7E:
		return p->insn->prefix == PREFIX_66;
	default:
		return false;
	}
}

/* ---- 4. Emitting ---------------------------------------------------------------------------- */

static bool emit_fpu(struct translation *t, struct piece *p, unsigned reg, unsigned rm, bool write)
{
	struct memory m;

	if (!(p->insn->flags & INSN_MEM)) {
		emit_form(&t->e, p, reg, rm, NULL);
		return true;
	}
	if (p->soft)
		return emit_soft(t, p, reg, p->insn->size, write);
	if (!find_memory(t, p, &m))
		return false;
	emit_form(&t->e, p, reg, 0, &m);
	return true;
}

static bool emit_x87(struct translation *t, struct piece *p)
{
	if (!x87_is_plain(p) || x87_is_noted(t))
		return false;
	if (!t->x87_checked)
		emit_check(t, p, HOT_X87_BAD);
	t->x87_checked = true;
	p->prefix66 = false;
	return emit_fpu(t, p, p->reg, p->rm, x87_writes(p));
}

static bool emit_sse(struct translation *t, struct piece *p, enum vector_layout layout)
{
	bool movnti = p->insn->prefix == PREFIX_NONE && p->opcode == 0xC3;
	unsigned reg = layout == G_V || movnti ? host_gpr(p->reg) : p->reg;
	unsigned rm = layout == V_G ? host_gpr(p->rm) : p->rm;

	if (!t->sse_checked)
		emit_check(t, p, HOT_SSE_BAD);
	t->sse_checked = true;
	p->prefix66 = p->insn->prefix == PREFIX_66;
	p->mandatory = p->insn->prefix == PREFIX_F3 ? 0xF3 : p->insn->prefix == PREFIX_F2 ? 0xF2 : 0;
	return emit_fpu(t, p, reg, rm, sse_writes(p));
}

bool emit_vector(struct translation *t, struct piece *p)
{
	enum vector_layout layout;

	if (p->insn->flags & INSN_MEM && p->insn->addrsize != 4)
		return false;
	if (is_x87(p))
		return emit_x87(t, p);
	layout = sse_layout(p);
	return layout != NOT_SSE && emit_sse(t, p, layout);
}
