/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/direct_code.c - the pieces of code that direct_make.c's programs are made of.
 *
 *   1. Bytes and labels
 *   2. Any instruction     of a recipe (native_forms.h), with operands that hurt
 *   3. Branches
 *   4. The system          control registers, segments, tables, ports
 *   5. Strings
 *   6. Self-modification, garbage
 *   7. A piece             registers first, then items, then on to the next
 */
#include "tests/lib/direct_make.h"

#include <stdlib.h>
#include <string.h>

/* ---- 1. Bytes and labels -------------------------------------------------------------------- */

static uint32_t below(struct maker *m, uint32_t n) { return rng_below(&m->rng, n); }
static bool one_in(struct maker *m, uint32_t n) { return rng_one_in(&m->rng, n); }

static void put(struct maker *m, const void *bytes, unsigned count)
{
	memcpy(m->p->image + m->at, bytes, count);
	m->at += count;
}
static void put8(struct maker *m, unsigned value)
{
	m->p->image[m->at++] = (uint8_t)value;
}
static void put16(struct maker *m, unsigned value)
{
	put8(m, value);
	put8(m, value >> 8);
}
static void put32(struct maker *m, uint32_t value) { put(m, &value, 4); }
#define CODE(m, ...) put(m, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* Operands of 32 bits in 16-bit code take a prefix. */
static void wide(struct maker *m)
{
	if (m->code16)
		put8(m, 0x66);
}

static void here(struct maker *m)
{
	if (m->labels < LABELS_MAX)
		m->label[m->labels++] = m->at;
}

/* In a loop: who comes from elsewhere finds its counter at anything. */
static void here_in_loop(struct maker *m)
{
	if (!m->p->config.ends)
		here(m);
}

/* An item to jump to: mostly a little ahead. */
static unsigned some_label(struct maker *m)
{
	unsigned ahead = m->labels + below(m, 5);

	if (m->p->config.ends ? one_in(m, 40) : one_in(m, 7))
		return below(m, m->labels ? m->labels : 1);
	return ahead;
}

static void refer(struct maker *m, unsigned bytes, unsigned label)
{
	unsigned skew = !m->p->config.defined && one_in(m, 32) ? below(m, 3) : 0;

	if (m->fixups < FIXUPS_MAX)
		m->fixup[m->fixups++] = (struct fixup){ m->at, (uint16_t)label, (uint8_t)bytes, (uint8_t)skew };
	m->at += bytes ? bytes : 4;
}

static uint32_t offset_of(const struct maker *m, uint32_t image) { return m->shown + (image - m->start); }

static void resolve(struct maker *m)
{
	for (unsigned n = 0; n < m->fixups; n++) {
		const struct fixup *f = &m->fixup[n];
		unsigned label = f->label < m->labels ? f->label : m->labels - 1;
		uint32_t target = m->label[label] + f->skew, distance = target - (f->at + f->bytes);

		if (!f->bytes)
			put_word(m, f->at, offset_of(m, target));
		else
			memcpy(m->p->image + f->at, &distance, f->bytes);
	}
}

static void mov_imm(struct maker *m, unsigned reg, uint32_t imm)
{
	wide(m);
	put8(m, 0xB8 + reg);
	put32(m, imm);
}

/* ---- 2. Any instruction --------------------------------------------------------------------- */

enum pool { POOL_INTEGER, POOL_STACK, POOL_STRING, POOL_BRANCH, POOL_SEGMENT, POOL_PRIVILEGED, POOL_FPU, POOL_SIMD,
	    POOL_UNDEFINED, POOLS };

/* Groups of a pool, GROUP_NONE ends. */
static const enum native_group pool_groups[POOLS][9] = {
	[POOL_INTEGER] = { GROUP_ARITHMETIC, GROUP_LOGIC, GROUP_SHIFT, GROUP_MULTIPLY, GROUP_DECIMAL, GROUP_BITS, GROUP_MOVE,
	                   GROUP_CONDITION },
	[POOL_STACK] = { GROUP_STACK, GROUP_SEMAPHORE, GROUP_FLAGS },
	[POOL_STRING] = { GROUP_STRING },
	[POOL_BRANCH] = { GROUP_BRANCH },
	[POOL_SEGMENT] = { GROUP_SEGMENT },
	[POOL_PRIVILEGED] = { GROUP_PRIVILEGED },
	[POOL_FPU] = { GROUP_X87, GROUP_FPU_STATE },
	[POOL_SIMD] = { GROUP_MMX, GROUP_SSE, GROUP_SSE2 },
	[POOL_UNDEFINED] = { GROUP_UNDEFINED },
};

/* Made once in a process, from nothing but the code: the same for all. */
static struct native_recipe *recipes[GROUP_COUNT];
static size_t recipe_counts[GROUP_COUNT];

static const struct native_recipe *draw_recipe(struct maker *m, enum pool pool)
{
	const enum native_group *groups = pool_groups[pool];
	unsigned count = 0;
	enum native_group group;

	while (count < 8 && groups[count] != GROUP_NONE)
		count++;
	group = groups[below(m, count)];
	if (m->p->config.defined && group == GROUP_FPU_STATE)
		group = GROUP_X87;
	if (!recipes[group])
		recipes[group] = forms_of_group(group, &recipe_counts[group]);
	return &recipes[group][below(m, (uint32_t)recipe_counts[group])];
}

static const ZydisDecoder *decoder(bool code16)
{
	static ZydisDecoder decoders[2];
	static bool made;

	if (!made) {
		ZydisDecoderInit(&decoders[0], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
		ZydisDecoderInit(&decoders[1], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
		made = true;
	}
	return &decoders[code16];
}

/* A ModRM byte of the same instruction with another memory operand. */
static uint8_t draw_modrm(struct maker *m, uint8_t modrm)
{
	static const uint8_t mods[] = { 0x40, 0x40, 0x40, 0x40, 0x00, 0x00, 0x80, 0x05 };
	uint8_t mod = mods[below(m, 8)], rm = (uint8_t)below(m, 8);

	if (modrm >= 0xC0)
		return modrm;
	if (mod == 0x05)
		return (uint8_t)((modrm & 0x38) | (m->code16 ? 6 : 5));
	if (rm == 4 && !one_in(m, 4)) /* ESP or a SIB byte */
		rm = 3;
	return (uint8_t)(mod | (modrm & 0x38) | rm);
}

static void patch(uint8_t *bytes, unsigned offset, unsigned bits, uint32_t v) { memcpy(bytes + offset, &v, bits / 8); }

static uint32_t draw_immediate(struct maker *m, const ZydisDecodedInstruction *z, unsigned which)
{
	switch ((int)z->mnemonic) {
	case ZYDIS_MNEMONIC_ENTER: return which ? below(m, 4) : below(m, 128);
	case ZYDIS_MNEMONIC_RET: return below(m, 32);
	case ZYDIS_MNEMONIC_INT: return one_in(m, 2) ? DR_CALL_VECTOR : below(m, 256);
	default: break;
	}
	if (z->meta.category == ZYDIS_CATEGORY_SHIFT || z->meta.category == ZYDIS_CATEGORY_ROTATE)
		return one_in(m, 4) ? below(m, 256) : below(m, 34);
	return value(m);
}

static int memory_base(const ZydisDecodedInstruction *z, const ZydisDecodedOperand *op, int *index)
{
	*index = -1;
	for (unsigned n = 0; n < z->operand_count_visible; n++)
		if (op[n].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			*index = op[n].mem.index ? register_number(op[n].mem.index) : -1;
			return op[n].mem.base ? register_number(op[n].mem.base) : -1;
		}
	return -1;
}

/* The registers of its address, so that it leads somewhere. */
static void aim(struct maker *m, int base, int index, uint32_t displacement)
{
	if (index >= 0 && one_in(m, 2))
		mov_imm(m, (unsigned)index, one_in(m, 8) ? value(m) : below(m, 64));
	if (base >= 0 && one_in(m, base == CPU_ESP ? 8 : 2))
		mov_imm(m, (unsigned)base, address(m) - (one_in(m, 2) ? displacement : 0));
}

/* cmp esp, imm8: every flag is defined again. */
static void define_flags(struct maker *m) { CODE(m, 0x83, 0xFC, (uint8_t)below(m, 256)); }

/* Results that are not flags. */
static bool is_undefined(const struct maker *m, const ZydisDecodedInstruction *z)
{
	return m->p->config.defined && z->operand_width == 16 &&
	       (z->mnemonic == ZYDIS_MNEMONIC_SHLD || z->mnemonic == ZYDIS_MNEMONIC_SHRD);
}

static unsigned draw_prefixes(struct maker *m, uint8_t *bytes, const struct native_recipe *r)
{
	static const uint8_t overrides[] = { 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x64, 0x65 };
	unsigned n = 0;

	if (one_in(m, 40))
		bytes[n++] = 0x67;
	if (one_in(m, m->kind == PROGRAM_SEGMENTS ? 3 : 10))
		bytes[n++] = overrides[below(m, sizeof(overrides))];
	if (one_in(m, 40))
		bytes[n++] = 0xF0;
	if (one_in(m, 24) && !r->prefix)
		bytes[n++] = one_in(m, 2) ? 0x66 : one_in(m, 2) ? 0xF2 : 0xF3;
	return n;
}

static void any_instruction(struct maker *m, enum pool pool)
{
	const struct native_recipe *r = draw_recipe(m, pool);
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	uint8_t bytes[32];
	uint64_t tail[2] = { rng_next(&m->rng), rng_next(&m->rng) };
	uint32_t displacement = 0;
	unsigned n = draw_prefixes(m, bytes, r);
	int base, index;
	bool relative = false;

	if (r->prefix)
		bytes[n++] = r->prefix;
	if (r->two_byte)
		bytes[n++] = 0x0F;
	bytes[n++] = r->opcode;
	bytes[n++] = draw_modrm(m, r->modrm);
	memcpy(bytes + n, tail, sizeof(tail));
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder(m->code16), bytes, 15, &z, op))) {
		if (one_in(m, 8) && !m->p->config.defined) /* an undefined one as well */
			put(m, bytes, n);
		return;
	}
	if (is_undefined(m, &z))
		return;
	base = memory_base(&z, op, &index);
	if (z.raw.disp.size == 8)
		displacement = (uint32_t)(int32_t)(int8_t)bytes[z.raw.disp.offset];
	if (z.raw.disp.size >= 16) {
		displacement = base >= 0 && !one_in(m, 4) ? below(m, 64) - 32 : address(m);
		patch(bytes, z.raw.disp.offset, z.raw.disp.size, displacement);
	}
	for (unsigned i = 0; i < 2; i++) {
		relative |= z.raw.imm[i].size && z.raw.imm[i].is_relative;
		if (z.raw.imm[i].size && !z.raw.imm[i].is_relative)
			patch(bytes, z.raw.imm[i].offset, z.raw.imm[i].size, draw_immediate(m, &z, i));
	}
	if (base >= 0 || index >= 0)
		aim(m, base, index, displacement);
	if (!relative) {
		put(m, bytes, z.length);
		if (m->p->config.defined && z.cpu_flags && z.cpu_flags->undefined)
			define_flags(m);
		return;
	}
	put(m, bytes, z.raw.imm[0].offset);
	refer(m, z.raw.imm[0].size / 8, some_label(m));
	m->at += z.length - z.raw.imm[0].offset - z.raw.imm[0].size / 8u;
}

/* ---- 3. Branches ---------------------------------------------------------------------------- */

static void integer(struct maker *m, unsigned most)
{
	for (unsigned n = 1 + below(m, most); n; n--)
		any_instruction(m, POOL_INTEGER);
}

static void jcc(struct maker *m)
{
	unsigned condition = below(m, 16);

	if (one_in(m, 3)) { /* of a comparison just before */
		CODE(m, (uint8_t)(one_in(m, 2) ? 0x39 : 0x85), (uint8_t)(0xC0 | below(m, 64)));
	} else if (one_in(m, 3)) {
		CODE(m, 0x83, (uint8_t)(0xF8 | below(m, 8)), (uint8_t)below(m, 4));
	}
	if (one_in(m, 2)) {
		put8(m, 0x70 + condition);
		refer(m, 1, some_label(m));
	} else {
		CODE(m, 0x0F, (uint8_t)(0x80 + condition));
		refer(m, m->code16 ? 2 : 4, some_label(m));
	}
}

static void put_place(struct maker *m, unsigned opcode, unsigned modrm, uint32_t at)
{
	CODE(m, (uint8_t)opcode, (uint8_t)modrm);
	put32(m, at);
}

/* A counter of a loop in memory, which the loop's own instructions hardly find. */
static uint32_t counter_of_loop(const struct maker *m) { return DR_COUNTERS + 4 * (m->labels % DR_COUNTERS_MAX); }

static void count_down(struct maker *m, uint32_t counter, uint32_t top)
{
	put_place(m, 0xFF, 0x0D, counter); /* dec dword */
	CODE(m, 0x0F, 0x85);
	put32(m, top - m->at - 4);
}

/* ... in ECX or EBX: loop, or dec and jnz. */
static void count_down_register(struct maker *m, unsigned counter, uint32_t top)
{
	if (counter == CPU_EBX)
		CODE(m, 0x4B, 0x75);
	else
		CODE(m, (uint8_t)(one_in(m, 8) ? 0xE0 + below(m, 2) : 0xE2));
	put8(m, m->at - top < 120 ? (uint8_t)(top - m->at - 1) : 0);
}

static void bounded_loop(struct maker *m)
{
	uint32_t turns = one_in(m, 8) ? below(m, 200) : 1 + below(m, 12), top, counter = counter_of_loop(m);
	unsigned reg = one_in(m, 2) ? CPU_ECX : CPU_EBX;
	bool in_memory = m->flat_data && !m->code16 && one_in(m, 2);
	/* One that is to end does not change its register. */
	bool any = in_memory || !m->p->config.ends;

	if (in_memory) {
		put_place(m, 0xC7, 0x05, counter);
		put32(m, turns + 1);
	} else {
		mov_imm(m, reg, turns + 1);
	}
	here_in_loop(m);
	top = m->at;
	for (unsigned n = 1 + below(m, 3); n; n--)
		if (one_in(m, 3))
			jcc(m);
		else if (!any || one_in(m, 2))
			CODE(m, (uint8_t)(0x01 + 8 * below(m, 8)), (uint8_t)(0xC0 | below(m, 8) << 3 | (one_in(m, 2) ? 0 : 6)));
		else
			any_instruction(m, POOL_INTEGER);
	here_in_loop(m);
	if (in_memory)
		count_down(m, counter, top);
	else
		count_down_register(m, reg, top);
}

/* An instruction of the pool with [base + disp8] in it, else nothing.  Returns its length. */
static unsigned based_instruction(struct maker *m, enum pool pool, unsigned base, uint8_t bytes[32])
{
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];

	for (unsigned tries = 0; tries < 30; tries++) {
		const struct native_recipe *r = draw_recipe(m, pool);
		uint64_t tail = rng_next(&m->rng);
		unsigned n = 0;

		if (r->modrm >= 0xC0)
			continue;
		if (r->prefix)
			bytes[n++] = r->prefix;
		else if (one_in(m, 8))
			bytes[n++] = 0x66;
		if (r->two_byte)
			bytes[n++] = 0x0F;
		bytes[n++] = r->opcode;
		bytes[n++] = (uint8_t)(0x40 | (r->modrm & 0x38) | base);
		bytes[n++] = (uint8_t)below(m, 64);
		memcpy(bytes + n, &tail, sizeof(tail));
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(decoder(false), bytes, 15, &z, op)) || !z.raw.disp.size ||
		    z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || is_undefined(m, &z))
			continue;
		if (m->p->config.defined && z.cpu_flags && z.cpu_flags->undefined) {
			memcpy(bytes + z.length, (const uint8_t[]){ 0x83, 0xFC, 0 }, 3);
			return z.length + 3u;
		}
		return z.length;
	}
	return 0;
}

/* Round and round over a few instructions whose memory changes between a place that costs a fault, as a device or a
 * page that is not there, and another: an engine may come to treat them in another way. */
static void hot_loop(struct maker *m)
{
	static const uint32_t bases[] = { CPU_EBX, CPU_EBP, CPU_ESI, CPU_EDI };
	static const enum pool pools[] = { POOL_INTEGER, POOL_INTEGER, POOL_INTEGER, POOL_STACK, POOL_FPU, POOL_FPU, POOL_SIMD,
		                           POOL_SIMD };
	uint32_t counter = counter_of_loop(m), place = DR_PLACES + (counter - DR_COUNTERS), top;
	uint8_t bytes[32];

	if (!m->flat_data || m->code16)
		return;
	put_place(m, 0xC7, 0x05, counter);
	put32(m, 5 + below(m, one_in(m, 6) ? 90 : 12));
	put_place(m, 0xC7, 0x05, place);
	put32(m, address(m));
	here_in_loop(m);
	top = m->at;
	for (unsigned n = 1 + below(m, 3); n; n--) {
		unsigned base = pick(m, bases, 4), length = based_instruction(m, pools[below(m, 8)], base, bytes);

		if (n == 1) { /* an address here and there */
			put_place(m, 0x81, 0x35, place);
			put32(m, one_in(m, 3) ? DR_DATA ^ address(m) : DR_DATA ^ (DR_WIN_DEVICE + 4 * below(m, 1024)));
		}
		put_place(m, 0x8B, 0x05 | base << 3, place);
		put(m, bytes, length);
		if (one_in(m, 3))
			any_instruction(m, POOL_INTEGER);
		if (m->ring == 0 && one_in(m, 6))
			CODE(m, 0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8);
	}
	count_down(m, counter, top);
	here(m);
}

static void call(struct maker *m)
{
	uint32_t over;

	switch (below(m, 8)) {
	case 0: /* anywhere, never to return */
		put8(m, 0xE8);
		refer(m, m->code16 ? 2 : 4, some_label(m));
		return;
	case 1: /* return to somewhere else */
		if (!m->code16) {
			put8(m, 0x68);
			refer(m, 0, some_label(m));
		}
		if (one_in(m, 2))
			put8(m, 0xC3);
		else
			CODE(m, 0xC2, (uint8_t)(4 * below(m, 4)), 0);
		return;
	case 2: /* call $+5; pop */
		put8(m, 0xE8);
		if (m->code16)
			put16(m, 0);
		else
			put32(m, 0);
		put8(m, 0x58 + pick(m, (const uint32_t[]){ 0, 1, 2, 3, 6, 7 }, 6));
		return;
	default:
		break;
	}
	/* call f; jmp over; f: body; ret; over: */
	put8(m, 0xE8);
	if (m->code16)
		put16(m, 2);
	else
		put32(m, 2);
	put8(m, 0xEB);
	over = m->at++;
	integer(m, 3);
	if (one_in(m, 4))
		call(m);
	switch (below(m, 6)) {
	case 0: /* not as it came */
		CODE(m, 0x83, 0x04, 0x24, 0x01, 0x58, 0xFF, 0xE0); /* add dword [esp], 1; pop eax; jmp eax */
		break;
	case 1: CODE(m, 0xC2, 0, 0); break;
	default: put8(m, 0xC3); break;
	}
	m->p->image[over] = (uint8_t)(m->at - over - 1);
}

static void indirect(struct maker *m)
{
	unsigned reg = below(m, 8);
	uint32_t table;

	if (m->code16 || reg == CPU_ESP)
		return;
	if (one_in(m, 2)) { /* through a register */
		put8(m, 0xB8 + reg);
		refer(m, 0, some_label(m));
		CODE(m, 0xFF, (uint8_t)((one_in(m, 3) ? 0xD0 : 0xE0) + reg));
		return;
	}
	/* ... or a table in the code */
	mov_imm(m, reg, below(m, 4));
	put8(m, 0xFF);
	put8(m, 0x24); /* jmp [table + reg * 4] */
	put8(m, (uint8_t)(0x85 | reg << 3));
	table = m->at;
	put32(m, 0);
	put_word(m, table, offset_of(m, m->at));
	for (unsigned n = 0; n < 4; n++)
		refer(m, 0, some_label(m));
}

static void branch(struct maker *m)
{
	switch (below(m, 10)) {
	case 0: case 1: case 2: jcc(m); break;
	case 3: case 4: bounded_loop(m); break;
	case 5: case 6: call(m); break;
	case 7: indirect(m); break;
	case 8: any_instruction(m, POOL_BRANCH); break;
	default:
		put8(m, 0xEB);
		refer(m, 1, some_label(m));
		break;
	}
}

/* ---- 4. The system -------------------------------------------------------------------------- */

static uint32_t data_selector(struct maker *m)
{
	static const uint32_t all[] = { DR_DATA0, DR_DATA3, DR_DATA1, DR_TLS, DR_SHORT, DR_DOWN, DR_READONLY, DR_CODE3,
		                        DR_STACK16, DR_ABSENT, DR_CONFORMING, DR_SHORT0, DR_SEL_TSS, 0, 0, 0x27, 0xF0 };
	static const uint32_t usual[] = { DR_DATA3, DR_TLS, DR_TLS, DR_SHORT, DR_DOWN, DR_READONLY, 0 };

	return one_in(m, 3) ? pick(m, all, 17) : pick(m, usual, 7);
}

static void load_segment_register(struct maker *m)
{
	static const uint8_t pops[][2] = { { 0x07 }, { 0x1F }, { 0x0F, 0xA1 }, { 0x0F, 0xA9 } };
	static const uint8_t regs[] = { CPU_ES, CPU_DS, CPU_FS, CPU_GS };
	unsigned which = one_in(m, 2) ? 2 + below(m, 2) : below(m, 4);
	uint32_t selector = data_selector(m);

	if (which < 2 && !one_in(m, 3)) { /* DS and ES mostly as they were */
		CODE(m, 0x8C, (uint8_t)(0xC0 | regs[which] << 3 | CPU_EAX));
		CODE(m, 0x8E, (uint8_t)(0xC0 | regs[which] << 3 | CPU_EAX));
		return;
	}
	if (one_in(m, 2)) {
		mov_imm(m, CPU_EAX, selector);
		CODE(m, 0x8E, (uint8_t)(0xC0 | regs[which] << 3 | CPU_EAX));
	} else {
		CODE(m, 0x6A, (uint8_t)(selector & 0x7F));
		put(m, pops[which], which < 2 ? 1 : 2);
	}
}

static void stack_segment(struct maker *m)
{
	/* mov eax, ss; mov ss, eax (or a fresh one); what follows is in its shadow */
	if (one_in(m, 2))
		CODE(m, 0x8C, 0xD0);
	else
		mov_imm(m, CPU_EAX, m->ring == 0 ? pick(m, (const uint32_t[]){ DR_DATA0, DR_DATA0, DR_STACK0_16, DR_SHORT0 }, 4)
		                    : pick(m, (const uint32_t[]){ DR_DATA3, DR_DATA3, DR_STACK16, DR_SHORT, DR_DATA1 }, 5));
	CODE(m, 0x8E, 0xD0);
	if (one_in(m, 2))
		mov_imm(m, CPU_ESP, DR_STACK + 0x800 + (below(m, 0x3000) & ~3u));
}

static uint32_t draw_cr0(struct maker *m)
{
	uint32_t cr0 = CR0_PE | CR0_ET | (m->paging ? CR0_PG : 0);

	cr0 |= one_in(m, 4) ? 0 : CR0_WP;
	cr0 |= one_in(m, 8) ? 0 : CR0_NE;
	cr0 |= one_in(m, 6) ? CR0_TS : 0;
	cr0 |= one_in(m, 2) ? CR0_MP : 0;
	cr0 |= one_in(m, 6) ? CR0_AM : 0;
	cr0 |= one_in(m, 48) ? CR0_EM : 0;
	if (one_in(m, 24))
		cr0 ^= CR0_PG;
	return cr0;
}

static uint32_t draw_cr4(struct maker *m)
{
	uint32_t cr4 = m->cr4;

	if (!m->p->config.flushes && one_in(m, 12))
		cr4 ^= CR4_PSE;
	if (m->global && one_in(m, 8))
		cr4 ^= CR4_PGE;
	if (one_in(m, 24))
		cr4 ^= CR4_OSFXSR;
	return cr4 | (one_in(m, 16) ? CR4_TSD : 0) | (one_in(m, 8) ? CR4_DE : 0);
}

static uint32_t draw_root(struct maker *m) { return DR_DIRECTORY + (below(m, DR_DIRECTORIES) << 12); }

static void mov_to_cr(struct maker *m, unsigned cr, uint32_t v)
{
	mov_imm(m, CPU_EAX, v);
	CODE(m, 0x0F, 0x22, (uint8_t)(0xC0 | cr << 3));
}

static void flush(struct maker *m, uint32_t linear)
{
	if (one_in(m, 2) && (m->flat_data && !m->code16))
		CODE(m, 0x0F, 0x01, 0x3D, (uint8_t)linear, (uint8_t)(linear >> 8), (uint8_t)(linear >> 16), (uint8_t)(linear >> 24));
	else {
		CODE(m, 0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8); /* CR3 again */
		if (one_in(m, 2)) { /* ... and global ones */
			CODE(m, 0x0F, 0x20, 0xE0, 0x34, CR4_PGE, 0x0F, 0x22, 0xE0);
			CODE(m, 0x34, CR4_PGE, 0x0F, 0x22, 0xE0);
		}
	}
}

/* One entry changed, and (where it must be) flushed before anything else. */
static void change_table(struct maker *m)
{
	static const struct { uint32_t table, linear, first, pages; } tables[] = {
		{ DR_PT_USER, DR_WIN_USER, 16, 48 }, { DR_PT_USER + 0x1000, DR_WIN_USER, 16, 48 },
		{ DR_PT_KERNEL, DR_WIN_KERNEL, 16, 48 }, { DR_PT_TOP, 0xFFC00000u, 1008, 16 },
		{ DR_PT_LOW, 0, DR_DATA >> 12, (DR_DATA_END - DR_DATA) >> 12 },
		{ DR_PT_LOW, 0, DR_LAZY >> 12, DR_LAZY_BYTES >> 12 },
	};
	unsigned which = below(m, 6), page = tables[which].first + below(m, tables[which].pages);
	uint32_t at = tables[which].table + 4 * page, linear = tables[which].linear + (page << 12);

	if (m->code16 || !m->flat_data || m->ring)
		return;
	switch (m->p->config.unread ? 2 + below(m, 4) : below(m, 6)) {
	case 0: /* one bit */
		CODE(m, 0x83, 0x35, (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16), (uint8_t)(at >> 24),
		     (uint8_t)(1u << below(m, 7)));
		break;
	case 1: /* Accessed and Dirty away */
		CODE(m, 0x80, 0x25, (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16), (uint8_t)(at >> 24),
		     (uint8_t)(one_in(m, 2) ? 0x9F : 0xBF));
		break;
	case 2: /* a directory's */
		at = DR_DIRECTORY + (below(m, DR_DIRECTORIES) << 12) + 4 * (DR_WIN_USER >> 22);
		mov_imm(m, CPU_EAX, pick(m, (const uint32_t[]){ DR_PT_USER, DR_PT_USER + 0x1000, DR_PT_SPARE, DR_PT_USER }, 4) |
		        (one_in(m, 8) ? 0u : 1u) | (one_in(m, 4) ? 0u : 2u) | (one_in(m, 8) ? 0u : 4u));
		CODE(m, 0xA3, (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16), (uint8_t)(at >> 24));
		CODE(m, 0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8);
		return;
	default:
		mov_imm(m, CPU_EAX, which == 4 && one_in(m, 2) ? linear | 7 : table_entry(m, which >= 2));
		if (!m->p->config.unread && one_in(m, 3))
			CODE(m, 0x87, 0x05, (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16), (uint8_t)(at >> 24));
		else
			CODE(m, 0xA3, (uint8_t)at, (uint8_t)(at >> 8), (uint8_t)(at >> 16), (uint8_t)(at >> 24));
		break;
	}
	if (!m->p->config.flushes) {
		if (one_in(m, 2))
			flush(m, linear);
		return;
	}
	/* The entry may be global, and another root's. */
	CODE(m, 0x0F, 0x01, 0x3D, (uint8_t)linear, (uint8_t)(linear >> 8), (uint8_t)(linear >> 16), (uint8_t)(linear >> 24));
	CODE(m, 0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8);
}

static void ports(struct maker *m)
{
	static const uint8_t fixed[] = { 0xE4, 0xE5, 0xE6, 0xE7 }, by_dx[] = { 0xEC, 0xED, 0xEE, 0xEF };

	if (one_in(m, 3)) {
		CODE(m, 0xB0, (uint8_t)below(m, 16), 0xE6, DR_PORT_IRQ);
		return;
	}
	if (one_in(m, 2)) {
		uint8_t port = (uint8_t)below(m, 128);
		CODE(m, fixed[below(m, 4)], port);
		return;
	}
	mov_imm(m, CPU_EDX, below(m, one_in(m, 4) ? 0x10000 : 0x400) & ~0xE8u);
	if (one_in(m, 3)) { /* INS, OUTS */
		mov_imm(m, CPU_ECX, below(m, 6));
		mov_imm(m, one_in(m, 2) ? CPU_EDI : CPU_ESI, address(m));
		CODE(m, 0xF3, (uint8_t)(0x6C + below(m, 4)));
	} else {
		put8(m, by_dx[below(m, 4)]);
	}
}

/* A far transfer within the piece, by all ways. */
static void far(struct maker *m)
{
	uint32_t cs = m->based ? (m->ring ? DR_CODE3_BASE : DR_CODE0_BASE) : m->ring == 3 ? DR_CODE3 : m->ring ? DR_CODE1 : DR_CODE0;

	if (m->code16)
		return;
	switch (below(m, 6)) {
	case 0: /* jmp far */
		put8(m, 0xEA);
		refer(m, 0, some_label(m));
		put16(m, cs);
		break;
	case 1: /* push cs; push label; retf */
		put8(m, 0x0E);
		put8(m, 0x68);
		refer(m, 0, some_label(m));
		put8(m, 0xCB);
		break;
	case 2: /* pushf; push cs; push label; iret */
		CODE(m, 0x9C, 0x0E, 0x68);
		refer(m, 0, some_label(m));
		put8(m, 0xCF);
		break;
	case 3: /* call gate, comes back */
		put8(m, 0x9A);
		put32(m, value(m));
		put16(m, DR_GATE);
		break;
	case 4: /* call far, the pointer in memory */
		CODE(m, 0x68, (uint8_t)cs, 0, 0, 0, 0x68);
		refer(m, 0, some_label(m));
		CODE(m, 0xFF, (uint8_t)(one_in(m, 2) ? 0x1C : 0x2C), 0x24);
		break;
	default: CODE(m, 0x9A); put32(m, value(m)); put16(m, data_selector(m)); break;
	}
}

static void soft_interrupt(struct maker *m)
{
	switch (below(m, 6)) {
	case 0: put8(m, 0xCC); break;
	case 1: put8(m, 0xCE); break;
	case 2: CODE(m, 0xCD, (uint8_t)below(m, 256)); break;
	case 3: CODE(m, 0x0F, 0x34); break; /* SYSENTER */
	default: CODE(m, 0xCD, DR_CALL_VECTOR); break;
	}
}

static void flag_work(struct maker *m)
{
	switch (below(m, 7)) {
	case 2: /* a single step or two */
		if (m->p->config.defined)
			break;
		CODE(m, 0x9C, 0x81, 0x0C, 0x24, 0x00, 0x01, 0x00, 0x00, 0x9D);
		any_instruction(m, POOL_INTEGER);
		CODE(m, 0x9C, 0x81, 0x24, 0x24, 0xFF, 0xFE, 0xFF, 0xFF, 0x9D);
		break;
	case 0: put8(m, 0xFA); break;
	case 1: put8(m, 0xFB); break; /* what follows is in its shadow */
	case 3: /* any flags that do no lasting harm */
		put8(m, 0x68);
		put32(m, (uint32_t)rng_next(&m->rng) & (FL_STATUS | FL_DF | FL_IF | FL_AC | FL_ID | FL_NT));
		put8(m, 0x9D);
		break;
	case 4: put8(m, one_in(m, 8) ? 0xFD : 0xFC); break;
	case 5: CODE(m, 0x9C, 0x58, 0x50, 0x9D); break;
	default: CODE(m, 0xFB, 0xF4); break; /* STI; HLT */
	}
}

static void system_item(struct maker *m)
{
	uint32_t at = address(m);

	switch (below(m, 22)) {
	case 0: case 1: mov_to_cr(m, 3, draw_root(m)); break;
	case 2: mov_to_cr(m, 0, draw_cr0(m)); break;
	case 3: mov_to_cr(m, 4, draw_cr4(m)); break;
	case 4: CODE(m, 0x0F, 0x20, (uint8_t)(0xC0 | pick(m, (const uint32_t[]){ 0, 2, 3, 4, 1 }, 5) << 3 | below(m, 8))); break;
	case 5: CODE(m, 0x0F, 0x06); break; /* CLTS */
	case 6: flush(m, at); break;
	case 7: case 8: change_table(m); break;
	case 9:
		if (m->p->config.defined)
			break;
		/* a breakpoint (global: a task switch does not end it halfway) */
		mov_imm(m, CPU_EAX, one_in(m, 2) ? at : m->shown + below(m, 0x400));
		CODE(m, 0x0F, 0x23, (uint8_t)(0xC0 | below(m, 4) << 3));
		mov_imm(m, CPU_EAX, 0x400 | ((uint32_t)rng_next(&m->rng) & 0xAA) | (uint32_t)rng_next(&m->rng) << 16);
		CODE(m, 0x0F, 0x23, 0xF8);
		break;
	case 10: CODE(m, 0x0F, 0x21, (uint8_t)(0xF0 | below(m, 8) << 3 | below(m, 8))); break;
	case 11: CODE(m, 0x0F, 0xA2); break; /* CPUID */
	case 12: CODE(m, 0x0F, 0x31); break; /* RDTSC */
	case 13: /* LMSW, SMSW */
		mov_imm(m, CPU_EAX, draw_cr0(m));
		CODE(m, 0x0F, 0x01, (uint8_t)(one_in(m, 2) ? 0xE0 : 0xF0));
		break;
	case 14: /* RDMSR, WRMSR */
		mov_imm(m, CPU_ECX, pick(m, (const uint32_t[]){ 0x174, 0x175, 0x10, 0x1B, 0x277, 0xC0000080, 0 }, 7));
		CODE(m, 0x0F, 0x32);
		if (one_in(m, 2))
			CODE(m, 0x0F, 0x30);
		break;
	case 15: CODE(m, 0x0F, 0x00, (uint8_t)(0xC0 | below(m, 2) << 3 | below(m, 8))); break; /* SLDT, STR */
	case 16: CODE(m, 0x0F, 0x01, (uint8_t)(below(m, 2) << 3 | 5)); put32(m, at); break; /* SGDT, SIDT */
	case 17: /* LLDT */
		mov_imm(m, CPU_EAX, one_in(m, 4) ? data_selector(m) : DR_SEL_LDT);
		CODE(m, 0x0F, 0x00, 0xD0);
		break;
	case 18: CODE(m, 0x0F, 0x09); break; /* WBINVD */
	case 19: soft_interrupt(m); break;
	case 20: flag_work(m); break;
	default: ports(m); break;
	}
}

/* ---- 5. Strings ----------------------------------------------------------------------------- */

static void string(struct maker *m)
{
	static const uint8_t ops[] = { 0xA4, 0xA5, 0xA6, 0xA7, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF, 0xA4, 0xA5, 0xAB };
	uint32_t count = one_in(m, 12) ? below(m, 6000) : one_in(m, 3) ? below(m, 400) : below(m, 20);

	if (one_in(m, 40) && !m->p->config.ends)
		count = value(m);
	mov_imm(m, CPU_ECX, count);
	if (!one_in(m, 4))
		mov_imm(m, CPU_EDI, address(m));
	if (!one_in(m, 4))
		mov_imm(m, CPU_ESI, one_in(m, 6) ? address(m) & ~0xFFFu : address(m));
	if (one_in(m, 6)) { /* overlapping */
		mov_imm(m, CPU_EDI, address(m));
		CODE(m, 0x8D, 0x77, (uint8_t)(below(m, 9) - 4)); /* lea esi, [edi + n] */
	}
	if (one_in(m, 4))
		put8(m, one_in(m, 3) ? 0xFD : 0xFC);
	if (one_in(m, 40))
		put8(m, 0x67);
	if (one_in(m, 8))
		put8(m, one_in(m, 2) ? 0x64 : 0x65);
	if (one_in(m, 8))
		put8(m, 0x66);
	if (!one_in(m, 5))
		put8(m, one_in(m, 4) ? 0xF2 : 0xF3);
	put8(m, ops[below(m, sizeof(ops))]);
	if (one_in(m, 2))
		put8(m, 0xFC);
}

/* ---- 6. Self-modification, garbage ---------------------------------------------------------- */

/* Store to a byte of this piece, by any of the places where it is seen. */
static void modify(struct maker *m)
{
	int32_t far_off = one_in(m, 2) ? (int32_t)below(m, 24) : (int32_t)below(m, 256) - 128;
	uint32_t image = m->at + 8 + (uint32_t)far_off, at;

	if (m->code16 || !m->flat_data)
		return;
	switch (below(m, 4)) {
	case 0: at = DR_WIN_USER + (image - DR_CODE); break;
	case 1: at = DR_WIN_KERNEL + (image - DR_CODE); break;
	default: at = image; break;
	}
	switch (below(m, 5)) {
	case 0: CODE(m, 0xC6, 0x05); put32(m, at); put8(m, below(m, 2) ? 0x90 : below(m, 256)); break;
	case 1: CODE(m, 0xC7, 0x05); put32(m, at); put32(m, 0x90909090u); break;
	case 2: CODE(m, 0xFE, 0x05); put32(m, at); break;           /* inc byte */
	case 3: CODE(m, 0x66, 0xA3); put32(m, at); break;           /* mov [at], ax */
	default:                                                    /* itself again: code is written, nothing changes */
		CODE(m, 0xA1); put32(m, at);
		CODE(m, 0xA3); put32(m, at);
		break;
	}
}

static void garbage(struct maker *m)
{
	uint64_t bytes = rng_next(&m->rng);

	put(m, &bytes, 1 + below(m, 8));
}

/* ---- 7. A piece ----------------------------------------------------------------------------- */

static void go_on_here_after_faults(struct maker *m)
{
	if (!m->flat_data || m->code16 || m->v86)
		return;
	CODE(m, 0xC7, 0x05);
	put32(m, DR_RESUME);
	refer(m, 0, m->labels + 1 + below(m, 2));
}

static void load_registers(struct maker *m)
{
	for (unsigned reg = 0; reg < 8; reg++)
		if (reg != CPU_ESP && !one_in(m, 8))
			mov_imm(m, reg, reg == CPU_ECX && one_in(m, 2) ? below(m, 64) : value(m));
}

/* Chances out of 256 of each sort of item, by kind of program; what is left is POOL_INTEGER. */
enum sort { SORT_BRANCH, SORT_SYSTEM, SORT_STRING, SORT_FPU, SORT_SIMD, SORT_STACK, SORT_SEGMENT, SORT_TABLE, SORT_SELF,
	    SORT_GARBAGE, SORT_FAR, SORT_UNDEFINED, SORT_HEAT, SORTS };
static const uint8_t chances[PROGRAM_KINDS][SORTS] = {
	[PROGRAM_MIXED] = { 50, 12, 10, 12, 12, 24, 6, 4, 6, 2, 6, 2, 4 },
	[PROGRAM_USER] = { 50, 4, 8, 8, 8, 40, 4, 0, 2, 1, 3, 1 },
	[PROGRAM_KERNEL] = { 50, 20, 12, 4, 4, 30, 8, 8, 2, 0, 6, 0 },
	[PROGRAM_BRANCHES] = { 140, 2, 2, 2, 2, 40, 2, 0, 2, 2, 8, 0 },
	[PROGRAM_MEMORY] = { 12, 4, 20, 8, 8, 30, 0, 4, 0, 0, 0, 0, 20 },
	[PROGRAM_STRINGS] = { 20, 4, 160, 0, 0, 10, 4, 4, 4, 0, 0, 0 },
	[PROGRAM_FPU] = { 20, 8, 4, 90, 90, 10, 0, 2, 0, 1, 0, 1, 6 },
	[PROGRAM_SYSTEM] = { 20, 100, 10, 6, 4, 24, 24, 10, 2, 1, 20, 3 },
	[PROGRAM_TABLES] = { 16, 24, 20, 4, 4, 20, 2, 90, 2, 0, 2, 0 },
	[PROGRAM_SELF] = { 50, 4, 20, 2, 2, 10, 2, 6, 90, 4, 2, 0 },
	[PROGRAM_SEGMENTS] = { 24, 8, 24, 4, 4, 30, 80, 2, 2, 0, 16, 0 },
	[PROGRAM_GARBAGE] = { 24, 4, 4, 4, 4, 10, 2, 2, 2, 120, 2, 24 },
	[PROGRAM_HEAT] = { 10, 4, 4, 4, 4, 10, 2, 6, 0, 0, 0, 0, 160 },
};

static enum sort draw_sort(struct maker *m)
{
	unsigned roll = below(m, 256), sort = 0;

	for (; sort < SORTS; sort++) {
		if (roll < chances[m->kind][sort])
			break;
		roll -= chances[m->kind][sort];
	}
	return (enum sort)sort;
}

static void item(struct maker *m)
{
	enum sort sort = draw_sort(m);

	switch (sort) {
	case SORT_BRANCH: branch(m); break;
	case SORT_SYSTEM: /* outside ring 0 most of it is the same fault */
		if (m->ring == 0 || one_in(m, 6))
			system_item(m);
		else if (one_in(m, 2))
			soft_interrupt(m);
		else
			one_in(m, 2) ? flag_work(m) : ports(m);
		break;
	case SORT_STRING:
		if (!one_in(m, 6)) {
			string(m);
			break;
		}
		if (m->p->config.ends)
			mov_imm(m, CPU_ECX, below(m, 64));
		any_instruction(m, POOL_STRING);
		break;
	case SORT_FPU: any_instruction(m, POOL_FPU); break;
	case SORT_SIMD: any_instruction(m, POOL_SIMD); break;
	case SORT_STACK: any_instruction(m, POOL_STACK); break;
	case SORT_SEGMENT:
		if (one_in(m, 8))
			stack_segment(m);
		else
			one_in(m, 2) ? load_segment_register(m) : any_instruction(m, POOL_SEGMENT);
		break;
	case SORT_TABLE: change_table(m); break;
	case SORT_SELF:
		if (!m->p->config.defined)
			modify(m);
		break;
	case SORT_GARBAGE:
		if (!m->p->config.defined)
			garbage(m);
		break;
	case SORT_FAR: far(m); break;
	case SORT_HEAT: hot_loop(m); break;
	case SORT_UNDEFINED:
		if (!m->p->config.defined)
			any_instruction(m, one_in(m, 2) ? POOL_UNDEFINED : POOL_PRIVILEGED);
		break;
	default:
		if (one_in(m, 5))
			mov_imm(m, below(m, 4), value(m));
		else if (one_in(m, 12))
			mov_imm(m, CPU_ESP, DR_STACK + 0x400 + (below(m, 0x3800) & ~3u));
		any_instruction(m, POOL_INTEGER);
		break;
	}
}

struct record {
	uint32_t cs, ss, es, ds, fs, gs, eflags, esp, cr0, cr3, cr4;
};

static unsigned draw_ring(struct maker *m)
{
	bool kernel = m->kind == PROGRAM_KERNEL || m->kind == PROGRAM_SYSTEM || m->kind == PROGRAM_TABLES;

	if (m->kind == PROGRAM_USER)
		return one_in(m, 12) ? 1 : 3;
	if (kernel ? !one_in(m, 6) : one_in(m, 3))
		return 0;
	return one_in(m, 10) ? 1 : 3;
}

/* Rings and segments of a piece. */
static void draw_segments(struct maker *m, struct record *r)
{
	unsigned odd = below(m, m->kind == PROGRAM_SEGMENTS ? 16 : 60);

	m->ring = draw_ring(m);
	m->code16 = m->v86 = m->based = false;
	m->flat_data = true;
	r->cs = m->ring == 3 ? DR_CODE3 : m->ring ? DR_CODE1 : DR_CODE0;
	r->ss = r->es = r->ds = m->ring == 3 ? DR_DATA3 : m->ring ? DR_DATA1 : DR_DATA0;
	r->fs = one_in(m, 3) ? data_selector(m) & ~4u : 0;
	r->gs = one_in(m, 2) ? DR_TLS : 0;
	if (r->fs && (r->fs > DR_READONLY || !(r->fs & 3)))
		r->fs = DR_TLS;
	if (m->ring == 1)
		return;
	switch (odd) {
	case 0: /* 16-bit code, and stack */
		m->code16 = true;
		m->based = true;
		m->flat_data = false;
		r->cs = m->ring ? DR_CODE16 : DR_CODE0_16;
		r->ss = m->ring ? DR_STACK16 : DR_STACK0_16;
		break;
	case 1: m->based = true; r->cs = m->ring ? DR_CODE3_BASE : DR_CODE0_BASE; break;
	case 2: m->flat_data = false; r->ds = m->ring ? DR_SHORT : DR_SHORT0; break;
	case 3: m->flat_data = false; r->ds = DR_DOWN; break;
	case 4: r->ss = m->ring ? DR_STACK16 : DR_STACK0_16; break;
	case 5: r->es = DR_TLS; break;
	case 6: m->flat_data = false; r->ds = DR_READONLY; break;
	case 7: /* virtual 8086 */
		m->ring = 3;
		m->v86 = m->code16 = m->based = true;
		m->flat_data = false;
		r->cs = DR_CODE >> 4;
		r->ss = DR_STACK >> 4;
		r->ds = r->es = (DR_DATA >> 4) + below(m, 0x1000);
		r->fs = r->gs = below(m, 0x4000);
		break;
	default: break;
	}
}

static void draw_record(struct maker *m, struct record *r)
{
	draw_segments(m, r);
	r->eflags = 2 | ((uint32_t)rng_next(&m->rng) & FL_STATUS) | (one_in(m, 3) ? 0 : FL_IF);
	r->eflags |= !m->p->config.defined && one_in(m, 24) ? FL_TF : 0;
	r->eflags |= one_in(m, 12) ? FL_DF : 0;
	r->eflags |= one_in(m, 8) ? FL_AC : 0;
	r->eflags |= one_in(m, 4) ? FL_IOPL : one_in(m, 6) ? 1u << 12 : 0;
	r->eflags |= m->v86 ? FL_VM : 0;
	r->esp = DR_STACK + 0x800 + (below(m, DR_STACK_END - DR_STACK - 0x800) & ~3u);
	if (one_in(m, 6))
		r->esp = (r->esp & ~0xFFFu) + 4 * below(m, 4); /* at a page's end */
	if (one_in(m, 24))
		r->esp = address(m);
	if (r->ss == DR_STACK16 || r->ss == DR_STACK0_16 || m->v86)
		r->esp = (r->esp & 0x3FFF) | 0x1000 | (one_in(m, 2) && !m->v86 ? 0x12340000u : 0);
	r->cr0 = draw_cr0(m);
	r->cr3 = draw_root(m);
	r->cr4 = draw_cr4(m);
}

static void put_record(struct maker *m, uint32_t at, const struct record *r)
{
	put_word(m, at + DR_P_EIP, m->shown);
	put_word(m, at + DR_P_CS, r->cs);
	put_word(m, at + DR_P_EFLAGS, r->eflags);
	put_word(m, at + DR_P_ESP, r->esp);
	put_word(m, at + DR_P_SS, r->ss);
	put_word(m, at + DR_P_ES, r->es);
	put_word(m, at + DR_P_DS, r->ds);
	put_word(m, at + DR_P_FS, r->fs);
	put_word(m, at + DR_P_GS, r->gs);
	put_word(m, at + DR_P_CR0, r->cr0);
	put_word(m, at + DR_P_CR3, r->cr3);
	put_word(m, at + DR_P_CR4, r->cr4);
	put_word(m, at + DR_P_RESUME, offset_of(m, m->label[m->labels - 1]));
}

void make_piece(struct maker *m, uint32_t record)
{
	struct record r;
	uint32_t end;

	if (one_in(m, 3)) /* where the next page is near */
		m->at = ((m->at + 0xFFF) & ~0xFFFu) - below(m, 48);
	else
		m->at += below(m, 64);
	if (m->at < DR_CODE || m->at > DR_CODE_END - PIECE_ROOM)
		m->at = DR_CODE_END - PIECE_ROOM;
	draw_record(m, &r);
	m->start = m->at;
	m->shown = m->based ? m->at - DR_CODE : m->at;
	if (!m->based && m->ring == 3 && (r.cr0 & CR0_PG) && one_in(m, 3))
		m->shown = DR_WIN_USER + (m->at - DR_CODE);
	if (!m->based && r.cr3 != DR_DIRECTORY + 0x1000 && (r.cr0 & CR0_PG) && one_in(m, 4))
		m->shown = DR_WIN_KERNEL + (m->at - DR_CODE);
	m->labels = m->fixups = 0;
	if (!m->ring)
		mov_imm(m, CPU_ESP, r.esp);
	load_registers(m);
	end = m->at + 40 + below(m, PIECE_ROOM - 0x700);
	while (m->at < end && m->labels < LABELS_MAX - 16) {
		here(m);
		if (one_in(m, 6))
			go_on_here_after_faults(m);
		item(m);
	}
	here(m);
	CODE(m, 0xCD, DR_NEXT_VECTOR);
	resolve(m);
	put_record(m, record, &r);
}
