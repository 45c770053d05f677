/* SPDX-License-Identifier: MIT */
/*
 * direct/translate.c - a block of guest code becomes host code.
 *
 *   1. The way in
 *   2. An instruction
 *   3. A block           in one page, or a single instruction in two
 *
 * What becomes of an instruction: translate_branch.c, translate_integer.c and the files that this one asks.
 */
#include "direct/translate.h"

#include <string.h>

#include "cpu/decode.h"

/* ---- 1. The way in -------------------------------------------------------------------------- */

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

/* ---- 2. An instruction ---------------------------------------------------------------------- */

/* As code, or else as a fallback.  false: the block ends after it. */
static bool translate_insn(struct translation *t, struct piece *p, const uint8_t *bytes)
{
	struct emitter before = t->e;
	unsigned exits = t->exits, indirects = t->indirects;
	uint32_t fallbacks = t->d->fallback_count;

	if (p->insn->flags & INSN_END) {
		if (p->soft || is_undefined(p->insn) || !emit_branch(t, p)) {
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

/* ... with its point. */
static bool add_insn(struct translation *t, struct piece *p, const uint8_t *bytes)
{
	struct direct *d = t->d;
	bool goes_on;

	d->points[d->point_count + t->insns] = (struct point){
		(uint16_t)(t->e.at - t->e.start), (uint16_t)(t->bytes | (t->shadow ? POINT_SHADOW : 0)) };
	t->shadowed = t->shadow;
	t->shadow = t->goes_on = false;
	goes_on = translate_insn(t, p, bytes);
	t->bytes += p->insn->len;
	t->insns++;
	return goes_on;
}

/* ---- 3. A block ----------------------------------------------------------------------------- */

static bool has_room(struct direct *d)
{
	return d->used + CACHE_SLACK < CACHE_BYTES && d->block_count + 1 < BLOCKS_MAX &&
	       d->link_count + EXITS_MAX < LINKS_MAX &&
	       d->fallback_count + 3 * BLOCK_INSNS_MAX < FALLBACKS_MAX && /* a check, a look-up, or the whole */
	       d->point_count + BLOCK_INSNS_MAX < BLOCKS_MAX * 16;
}

/* What every block has: a beginning, instructions, an end. */
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
