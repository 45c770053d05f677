/* SPDX-License-Identifier: MIT */
/*
 * direct/translate.h - what the files of the translator share.
 */
#ifndef DIRECT_TRANSLATE_H
#define DIRECT_TRANSLATE_H

#include "cpu/decode.h"
#include "direct/emit.h"
#include "direct/internal.h"

#define NO_REG 0xFFu

/* One guest instruction: decoded, and its raw bytes. */
struct piece {
	const struct insn *insn;
	uint32_t eip;
	const uint8_t *after_opcode, *end;
	uint8_t opcode, rep;
	uint8_t reg, rm; /* of ModRM, if it has one (insn's own are the handler's) */
	bool two, lock, prefix66;
	uint8_t mandatory;   /* F2, F3: part of the opcode; 0: none */
	bool soft;
};

/* A memory operand in host registers. */
struct memory {
	uint8_t base, index, scale;
	uint32_t disp;
	bool flat; /* a 64-bit address of the host's: no GS, no address-size prefix */
};

#define EXITS_MAX 16u
struct translation {
	struct direct *d;
	struct emitter e;
	uint32_t eip, code; /* the block's first instruction; its place in the cache */
	unsigned mode, insns, bytes, exits, indirects;
	uint32_t frame;     /* page of guest RAM */
	bool x87_checked, sse_checked; /* since the last fallback */
	bool shadow;        /* STI was this instruction: no interrupt before the next one */
	bool shadowed;      /* ... it was the one before */
	bool looks_up;      /* the instruction is emitted with a look-up: soft.c */
	bool goes_on;       /* after a branch: one that is not taken, or a CALL that is expected to return */
	uint32_t indirect[EXITS_MAX]; /* places of displacements to an indirect jump */
	struct { uint32_t site, target; } exit[EXITS_MAX];
};

/* Why an instruction is a fallback: for statistics. */
enum cause {
	CAUSE_OTHER, CAUSE_STRING, CAUSE_FLAGS, CAUSE_SEGMENT, CAUSE_FAR, CAUSE_CONTROL, CAUSE_IO, CAUSE_SYSCALL,
	CAUSE_FPU, CAUSE_SIMD, CAUSE_FAULT, CAUSE_SOFT, CAUSE_CROSSING, CAUSE_MODE, CAUSE_HALT, CAUSE_ADDRESS,
	CAUSE_UNDEFINED, CAUSE_COUNT
};
extern const char *const cause_names[CAUSE_COUNT];
enum cause cause_of(const struct piece *p);

/* ModRM, SIB and displacement; the REX bits are the caller's. */
static inline void emit_modrm(struct emitter *e, unsigned reg, const struct memory *m)
{
	unsigned r = (reg & 7) << 3, sib = (unsigned)m->scale << 6 | (m->index == NO_REG ? 4u : m->index & 7u) << 3;
	bool small = (int32_t)m->disp >= -128 && (int32_t)m->disp <= 127;

	if (m->base == NO_REG) { /* an absolute address needs a SIB: without, it is RIP-relative */
		emit8(e, 0x04 | r);
		emit8(e, sib | 5);
		emit32(e, m->disp);
		return;
	}
	unsigned mod = m->disp == 0 && (m->base & 7) != 5 ? 0 : small ? 0x40 : 0x80;
	if (m->index == NO_REG && (m->base & 7) != 4) {
		emit8(e, mod | r | (m->base & 7));
	} else {
		emit8(e, mod | r | 4);
		emit8(e, sib | (m->base & 7));
	}
	if (mod == 0x40)
		emit8(e, m->disp & 0xFF);
	else if (mod == 0x80)
		emit32(e, m->disp);
}

/* lea m, %reg: 32 bits. */
static inline void emit_lea(struct emitter *e, unsigned reg, const struct memory *m)
{
	unsigned rex = (reg & 8) >> 1 | (m->index != NO_REG ? (m->index & 8u) >> 2 : 0) |
	               (m->base != NO_REG ? (m->base & 8u) >> 3 : 0);

	if (rex)
		emit8(e, 0x40 | rex);
	emit8(e, 0x8D);
	emit_modrm(e, reg, m);
}

static inline unsigned host_gpr(unsigned guest) { return guest == CPU_ESP ? R_ESP : guest; }
static inline bool is_undefined(const struct insn *i) { return i->fn == op_undefined || i->fn == op_too_long; }
/* Offset in the cache of what is emitted next. */
static inline uint32_t place(const struct translation *t) { return t->code + (uint32_t)(t->e.at - t->e.start); }

/* translate_operand.c */
void look_at(struct piece *p, const uint8_t *bytes);
/* Where a guest's memory operand is for the host: at most one instruction before it, two for FS and GS.
 * false: it needs a fallback. */
bool find_memory(struct translation *t, const struct piece *p, struct memory *m);
/* Emit the instruction with these registers and memory operand (NULL: rm is a register). */
void emit_form(struct emitter *e, const struct piece *p, unsigned reg, unsigned rm, const struct memory *m);

/* translate_branch.c */
void emit_exits(struct translation *t); /* what the block's exits lead to */
void jump_to(struct translation *t, uint32_t target);
unsigned add_fallback(struct translation *t, const struct piece *p);
void emit_fallback(struct translation *t, const struct piece *p);
bool emit_branch(struct translation *t, const struct piece *p); /* false: a fallback */

/* translate_integer.c */
bool emit_insn(struct translation *t, struct piece *p); /* everything but branches; false: a fallback */

/* translate_stack.c */
bool emit_stack(struct translation *t, const struct piece *p); /* false: not here */
void move_esp(struct translation *t, int32_t by);
void push_immediate(struct translation *t, uint32_t value);
void load_top(struct translation *t, unsigned reg);
bool load_operand_r8(struct translation *t, const struct piece *p); /* of FF /2 /4 /6 */

/* translate_system.c */
bool emit_system(struct translation *t, const struct piece *p); /* false: a fallback */

/* translate_fpu.c */
bool emit_vector(struct translation *t, struct piece *p); /* false: a fallback */

/* soft.c */
/* An access of `bytes` bytes. */
bool emit_soft(struct translation *t, const struct piece *p, unsigned reg, unsigned bytes, bool write);
bool writes_memory(const struct piece *p); /* an integer instruction with a memory operand */

enum { RING_GLOBAL = 2 };

#endif
