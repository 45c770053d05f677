/* SPDX-License-Identifier: MIT */
/*
 * direct/translate_branch.c - how a block is left: links, look-ups, fallbacks; CALL, RET, Jcc, LOOP.
 *
 *   1. Leaving     stubs at the block's end; the portable engine's turn
 *   2. Branches
 *   3. Which       by opcode
 */
#include "direct/translate.h"

#include <string.h>

#include "cpu/block.h"

/* ---- 1. Leaving ----------------------------------------------------------------------------- */

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
void emit_exits(struct translation *t)
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
		.shadowed = t->shadowed,
	};
	f->insn[0].off = 0;
	f->insn[0].count = 1;
	if (!(p->insn->flags & INSN_END)) /* else a struct link is expected there: empty */
		f->insn[1] = (struct insn){ .fn = op_block_return, .off = p->insn->len, .count = 1, .flags = INSN_END };
	return d->fallback_count++;
}

void emit_fallback(struct translation *t, const struct piece *p)
{
	unsigned n = add_fallback(t, p);

	t->x87_checked = t->sse_checked = false;
	emit_r9d(&t->e, n);
	emit_stub(&t->e, HOT_STUB_FALLBACK);
	t->d->fallbacks[n].resume = place(t);
}

/* ---- 2. Branches ---------------------------------------------------------------------------- */

void jump_to(struct translation *t, uint32_t target)
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

/* ---- 3. Which ------------------------------------------------------------------------------- */

/* Branches.  They end the block.  false: not here. */
bool emit_branch(struct translation *t, const struct piece *p)
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
