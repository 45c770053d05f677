/* SPDX-License-Identifier: MIT */
/*
 * direct/verify.c - the code cache proves by itself that nothing in it reaches outside.
 *
 *   1. Known        joining what is known on two ways
 *   2. Refusing
 *   3. Leaving      branches
 *   4. A block      from its first byte to its last
 *   5. Ways in      jump tables, the return stack, struct hot
 *   6. All of it    direct_verify()
 *
 * Blocks are disassembled as the host's processor reads them, and what they rest on is proved, not believed
 * (verify_insn.c).  Whatever is not known there is refused, so a new sequence of the translator's needs its rule there.
 *
 * Branches lead forwards within a block, or to the entry of one: so a single pass in the order of addresses
 * meets each instruction with all that may be known before it.
 */
#include "direct/verify.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "direct/emit.h"

/* ---- 1. Known ------------------------------------------------------------------------------- */

static struct known known_at_entry(void)
{
	struct known k = { .compared = NOT_COMPARED };

	for (unsigned n = 0; n < REGISTERS; n++)
		k.kind[n] = GUEST_REGISTERS >> n & 1 ? LOW : ANYTHING;
	return k;
}

/* What holds whichever of two ways led here. */
static void join(struct known *k, const struct known *other)
{
	for (unsigned n = 0; n < REGISTERS; n++) {
		if (k->kind[n] == other->kind[n] && k->number[n] == other->number[n])
			continue;
		k->kind[n] = is_low((enum kind)k->kind[n]) && is_low((enum kind)other->kind[n]) ? LOW : ANYTHING;
	}
	k->compared = NOT_COMPARED;
	if (k->checked > other->checked)
		k->checked = other->checked;
	k->checked_write = k->checked_write && other->checked_write;
}

/* ---- 2. Refusing ---------------------------------------------------------------------------- */

bool refuse_code(struct proof *p, const char *format, ...)
{
	const struct block *b = p->block;
	va_list list;
	int used = 0;

	if (b)
		used = snprintf(p->why, p->why_bytes, "block of %08x, mode %02x, byte %u of %u: ", b->eip, b->mode,
		                p->at - b->code, b->code_bytes);
	va_start(list, format);
	if (used >= 0 && (size_t)used < p->why_bytes)
		vsnprintf(p->why + used, p->why_bytes - (size_t)used, format, list);
	va_end(list);
	return false;
}

static bool bit(const uint8_t *bits, uint32_t n) { return bits[n / 8] >> n % 8 & 1; }
static void set_bit(uint8_t *bits, uint32_t n) { bits[n / 8] |= (uint8_t)(1u << n % 8); }

/* ---- 3. Leaving ----------------------------------------------------------------------------- */

static bool guest_is_whole(struct proof *p)
{
	for (unsigned n = 0; n < REGISTERS; n++)
		if (GUEST_REGISTERS >> n & 1 && !is_low((enum kind)p->known.kind[n]))
			return refuse_code(p, "register %u is not the guest's here", n);
	return true;
}

/* Of a block, or a forwarder that kill_translation() made between blocks. */
static bool is_entry(const struct proof *p, uint32_t to)
{
	const struct block *b = block_at(p->d, p->d->code + to);

	return b ? b->code + b->entry == to : bit(p->forwarders, to);
}

static bool wait_for(struct proof *p, uint32_t to, const struct known *known)
{
	if (p->waiting_count == WAITING_MAX)
		return refuse_code(p, "more branches than the proof can hold");
	p->waiting[p->waiting_count].to = to;
	p->waiting[p->waiting_count++].known = *known;
	return true;
}

static bool check_target(struct proof *p)
{
	int64_t to = (int64_t)p->at + p->i.length + p->op[0].imm.value.s;
	struct known there = p->known;

	there.compared = NOT_COMPARED;
	if (p->i.mnemonic == ZYDIS_MNEMONIC_JZ && p->compared) {
		there.checked = p->known.number[R10];
		there.checked_write = p->compared == COMPARED_TO_WRITE;
	}
	if (to > p->at && to < p->end && p->block)
		return wait_for(p, (uint32_t)to, &there);
	if (to < 0 || to >= p->d->used || !is_entry(p, (uint32_t)to))
		return refuse_code(p, "a branch to nowhere, cache + %lld", (long long)to);
	return guest_is_whole(p);
}

/* Where C code goes on. */
static bool check_fallback(struct proof *p, uint32_t n, bool fpu)
{
	const struct fallback *f = &p->d->fallbacks[n];

	if (fpu) /* a guest's instruction, from its start */
		return (f->again < p->at && f->again >= p->block->code && bit(p->joins, f->again)) ||
		       refuse_code(p, "x87 or SSE goes on nowhere");
	if (!f->resume || f->insn->flags & INSN_END)
		return true;
	if (f->resume <= p->at || f->resume > p->end)
		return refuse_code(p, "a fallback goes on nowhere");
	set_bit(p->joins, f->resume);
	return true;
}

/* The stub's number is in R9. */
static bool check_stub(struct proof *p, int64_t offset)
{
	const struct direct *d = p->d;
	uint32_t n = p->known.number[R9], block = p->block ? (uint32_t)(p->block - d->blocks) : 0;
	bool number = p->known.kind[R9] == NUMBER && n;

	switch (offset) {
	case HOT_STUB_MISS:
		return true; /* any R8D will do */
	case HOT_STUB_LINK:
		return (number && n < d->link_count && d->links[n].block == block) || refuse_code(p, "a link of nobody");
	case HOT_STUB_FALLBACK:
	case HOT_STUB_SOFT:
	case HOT_STUB_FPU:
		if (!number || n >= d->fallback_count || !block || d->fallbacks[n].block != block)
			return refuse_code(p, "a fallback of nobody");
		return check_fallback(p, n, offset == HOT_STUB_FPU);
	default:
		return refuse_code(p, "a jump through struct hot + %lld", (long long)offset);
	}
}

/* An instruction that is not followed by the next, or not only. */
static bool check_branch(struct proof *p)
{
	const ZydisDecodedOperand *m = memory_operand(p);
	bool relative = is_immediate(&p->op[0]) && p->op[0].imm.is_relative;

	switch (p->i.meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		return relative ? check_target(p) : refuse_code(p, "a strange branch");
	case ZYDIS_CATEGORY_CALL:
		if (!relative || !guest_is_whole(p) || !check_target(p))
			return relative ? false : refuse_code(p, "a strange call");
		set_bit(p->returns, p->at + p->i.length);
		p->known = known_at_entry();
		return true;
	case ZYDIS_CATEGORY_RET:
		p->reached = false;
		return p->i.mnemonic != ZYDIS_MNEMONIC_RET || is_immediate(&p->op[0]) ? refuse_code(p, "a strange return")
		                                                                      : guest_is_whole(p);
	case ZYDIS_CATEGORY_UNCOND_BR:
		p->reached = false;
		if (relative)
			return check_target(p);
		if (p->i.mnemonic != ZYDIS_MNEMONIC_JMP || !m || m->size != 64)
			return refuse_code(p, "a strange jump");
		return guest_is_whole(p) && (m->mem.base == ZYDIS_REGISTER_R14 || check_stub(p, m->mem.disp.value));
	default:
		return true;
	}
}

/* ---- 4. A block ----------------------------------------------------------------------------- */

/* What leads to p->at besides the instruction before. */
static bool arrive(struct proof *p)
{
	const struct known entry = known_at_entry();
	unsigned kept = 0;

	for (unsigned n = 0; n < p->waiting_count; n++) {
		if (p->waiting[n].to < p->at)
			return refuse_code(p, "a branch into the middle of an instruction");
		if (p->waiting[n].to != p->at) {
			p->waiting[kept++] = p->waiting[n];
			continue;
		}
		if (p->reached)
			join(&p->known, &p->waiting[n].known);
		else
			p->known = p->waiting[n].known;
		p->reached = true;
	}
	p->waiting_count = kept;
	if (p->reached && bit(p->joins, p->at)) {
		if (!guest_is_whole(p))
			return false;
		join(&p->known, &entry);
	} else if (!p->reached) {
		/* Nothing leads here yet; something may, later (redirect_link()). */
		p->known = entry;
	}
	return true;
}

static bool check_insn(struct proof *p)
{
	const uint8_t *code = p->d->code + p->at;

	p->reached = p->reached || bit(p->joins, p->at);
	if (!p->reached && *code == 0xCC) { /* what fills a block up */
		p->i.length = 1;
		return true;
	}
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&p->decoder, code, p->end - p->at, &p->i, p->op)))
		return refuse_code(p, "no instruction: %02x %02x %02x %02x", code[0], code[1], code[2], code[3]);
	p->reached = true;
	p->compared = p->known.compared;
	p->known.compared = NOT_COMPARED;
	if (!check_insn_kind(p) || !check_insn_operands(p) || !check_branch(p))
		return false;
	for (uint32_t n = p->at + 1; n < p->at + p->i.length; n++)
		if (bit(p->joins, n))
			return refuse_code(p, "a way in to the middle of an instruction");
	return true;
}

/* [from, to), which nothing leaves by its end. */
static bool check_code(struct proof *p, uint32_t from, uint32_t to)
{
	p->at = from;
	p->end = to;
	p->waiting_count = 0;
	p->known = known_at_entry();
	p->reached = true;
	while (p->at < to) {
		if (!arrive(p) || !check_insn(p))
			return false;
		p->at += p->i.length;
	}
	if (p->waiting_count || p->reached)
		return refuse_code(p, "it goes on after the end");
	return true;
}

/* A guest's instruction begins with the guest's whole state (D1). */
static void mark_points(struct proof *p, const struct block *b, uint32_t from)
{
	for (unsigned n = 0; n < b->insns; n++) {
		uint32_t at = b->code + p->d->points[b->points + n].host;
		if (at >= from)
			set_bit(p->joins, at);
	}
}

/* Of a dead block the beginning is overwritten: what may still run are the instructions after that. */
static bool check_dead(struct proof *p, const struct block *b)
{
	const struct direct *d = p->d;
	uint32_t entry = b->code + b->entry;
	bool jump = d->code[entry] == 0xE9;
	uint32_t after = entry + (jump ? 5 : LEAVE_BYTES);

	p->end = b->code + b->code_bytes;
	if (!check_code(p, entry, after))
		return false;
	for (unsigned n = 0; n < b->insns; n++) {
		uint32_t at = b->code + d->points[b->points + n].host;
		if (at < after)
			continue;
		mark_points(p, b, at);
		return check_code(p, at, b->code + b->code_bytes);
	}
	return true;
}

static bool check_block(struct proof *p, const struct block *b)
{
	p->block = b;
	p->at = b->code;
	if (b->code < p->d->stubs || b->code + b->code_bytes > p->d->used || b->entry >= b->code_bytes)
		return refuse_code(p, "outside of the cache");
	if (b->dead)
		return check_dead(p, b);
	mark_points(p, b, b->code);
	set_bit(p->joins, b->code + b->entry);
	return check_code(p, b->code, b->code + b->code_bytes);
}

/* ---- 5. Ways in ----------------------------------------------------------------------------- */

static bool in_cache(const struct direct *d, const void *at)
{
	return (const uint8_t *)at >= d->code && (const uint8_t *)at < d->code + d->used;
}

static bool check_table(struct proof *p, void **table)
{
	const struct direct *d = p->d;

	for (unsigned n = 0; n < JUMP_ENTRIES; n++) {
		const struct block *b;
		if (table[n] == (const void *)direct_stub_miss)
			continue;
		b = in_cache(d, table[n]) ? block_at(d, table[n]) : NULL;
		if (!b || b->dead || d->code + b->code != table[n])
			return refuse_code(p, "entry %u of a jump table leads to no block", n);
	}
	return true;
}

static bool check_return_stack(struct proof *p)
{
	const struct direct *d = p->d;
	const uint8_t *bottom = d->return_stack + UM_PAGE_SIZE, *top = bottom + RETURN_STACK_BYTES;
	const uint8_t *at = (const uint8_t *)(uintptr_t)d->hot.p_rsp, *back;

	if (at < bottom || at > top + UM_PAGE_SIZE || (uintptr_t)at % 8)
		return refuse_code(p, "the return stack's pointer is not there");
	for (; at < top; at += sizeof(back)) {
		memcpy(&back, at, sizeof(back));
		if (back != direct_stub_return_miss && !(in_cache(d, back) && bit(p->returns, (uint32_t)(back - d->code))))
			return refuse_code(p, "the return stack leads to where nothing called");
	}
	return true;
}

static bool check_hot(struct proof *p)
{
	const struct direct *d = p->d;
	const struct hot *h = &d->hot;
	const struct cpu *c = d->cpu;

	if (h->cpu != c || (h->tlb && h->tlb != c->tlbs[0] && h->tlb != c->tlbs[1]) ||
	    h->mask_tlb != (TLB_ENTRIES - 1) << UM_PAGE_SHIFT || h->mask_jump != JUMP_MASK ||
	    h->stub_fallback != direct_stub_fallback || h->stub_link != direct_stub_link ||
	    h->stub_miss != direct_stub_miss || h->stub_soft != direct_stub_soft || h->stub_fpu != direct_stub_fpu ||
	    (d->world && h->world != d->world->base))
		return refuse_code(p, "struct hot is not as code expects it");
	return true;
}

static bool check_ways_in(struct proof *p)
{
	const struct direct *d = p->d;

	p->block = NULL;
	for (uint32_t n = 0; n < d->world_count; n++)
		for (unsigned mode = 0; mode < MODES; mode++)
			if (d->worlds[n].tables[mode] && !check_table(p, d->worlds[n].tables[mode]))
				return false;
	return check_hot(p) && check_return_stack(p);
}

/* ---- 6. All of it --------------------------------------------------------------------------- */

/* Where a link that is not set leads. */
static bool mark_joins(struct proof *p)
{
	const struct direct *d = p->d;

	for (uint32_t n = 1; n < d->link_count; n++) {
		const struct block_link *l = &d->links[n];
		if (l->stub + LEAVE_BYTES > d->used || l->site + 4 > d->used)
			return refuse_code(p, "link %u is nowhere", n);
		if (!l->block)
			set_bit(p->forwarders, l->stub);
		else if (!d->blocks[l->block].dead)
			set_bit(p->joins, l->stub);
	}
	return true;
}

static bool check_blocks(struct proof *p)
{
	const struct direct *d = p->d;
	uint32_t end = d->stubs;

	for (uint32_t n = 1; n < d->block_count; n++) {
		const struct block *b = &d->blocks[n];
		if (b->code < end)
			return refuse_code(p, "blocks overlap");
		if (!check_block(p, b))
			return false;
		end = b->code + b->code_bytes;
	}
	return true;
}

static bool check_forwarders(struct proof *p)
{
	const struct direct *d = p->d;

	p->block = NULL;
	for (uint32_t n = 1; n < d->link_count; n++) {
		uint32_t from = d->links[n].stub;
		if (d->links[n].block)
			continue;
		if (block_at(d, d->code + from) || block_at(d, d->code + from + LEAVE_BYTES - 1))
			return refuse_code(p, "a forwarder in a block");
		if (!check_code(p, from, from + LEAVE_BYTES))
			return false;
	}
	return true;
}

bool direct_verify(struct direct *d, char *why, size_t bytes)
{
	struct proof *p = calloc(1, sizeof(*p));
	bool ok;

	if (bytes)
		why[0] = 0;
	if (p) {
		p->joins = calloc(1, d->used / 8 + 2);
		p->returns = calloc(1, d->used / 8 + 2);
		p->forwarders = calloc(1, d->used / 8 + 2);
		p->d = d;
		p->why = why;
		p->why_bytes = bytes;
	}
	ok = p && p->joins && p->returns && p->forwarders &&
	     ZYAN_SUCCESS(ZydisDecoderInit(&p->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
	if (!ok)
		snprintf(why, bytes, "no memory for a proof");
	ok = ok && mark_joins(p) && check_blocks(p) && check_forwarders(p) && check_ways_in(p);
	if (p) {
		free(p->joins);
		free(p->returns);
		free(p->forwarders);
	}
	free(p);
	return ok;
}
