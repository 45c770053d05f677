/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_states.c - random registers and memory, with the operand where there is memory.
 *
 *   1. Where things lie      windows, edges
 *   2. Segments
 *   3. Addresses             solve base and index for an address
 *   4. Operand contents      (floating point: native_fx.c)
 *   5. Branches              landing pads
 *   6. Special registers     counts, dividends, bit numbers, selectors
 *   7. A batch
 *
 * Each case has a window of its own in the data; one in some goes to an edge instead, where the next page
 * is absent or read-only, or the segment ends.  Overlaps do no harm: both sides run the cases in order on
 * the same memory.
 */
#include "tests/lib/native_states.h"

#include <string.h>

/* ---- 1. Where things lie -------------------------------------------------------------------- */

enum {
	WINDOW_BYTES = 1024,
	WINDOW_FIRST = 512, /* so that every fourth window straddles two pages, in its middle */
	MIDDLE = 256,       /* operands are at least this far from the window's ends */
};

/* Offsets in the data around which something changes. */
static const uint32_t edges[] = {
	0,              /* below the data: absent, or the segment's other end */
	10 * 4096,      /* writable, then absent */
	11 * 4096,      /* absent, then writable */
	12 * 4096,      /* writable, then read-only */
	13 * 4096,      /* read-only, then writable */
	NATIVE_DATA_BYTES,
	0x43F8,         /* NATIVE_LDT_SHORT's limit + 1 */
	0x2000,         /* NATIVE_LDT_DOWN's first byte */
};

/* Offset in the data for a case's operand of `bytes`. */
uint32_t draw_place(const struct native_form *form, struct native_rng *rng, unsigned index, uint32_t bytes)
{
	uint32_t at = WINDOW_FIRST + WINDOW_BYTES * index + MIDDLE + rng_below(rng, WINDOW_BYTES - 2 * MIDDLE);
	uint32_t natural = bytes >= 16 ? 16 : bytes >= 8 ? 8 : bytes >= 4 ? 4 : 2;

	if (form->locked) /* a lock across cache lines: some hosts punish the program that tries */
		return at & ~(natural - 1);
	/* What is done in parts at the end of 64 KiB: whether the second part wraps or faults is nowhere
	 * written. */
	if (rng_one_in(rng, 20) && !(form->z.address_width == 16 && bytes > 8 && bytes != 16))
		at = edges[rng_below(rng, sizeof edges / sizeof *edges)] - rng_below(rng, bytes + 4) + 2;
	else if (index % 4 == 3 && rng_one_in(rng, 2))
		at = WINDOW_FIRST + WINDOW_BYTES * index + WINDOW_BYTES / 2 - rng_below(rng, bytes + 1);
	if (bytes >= 16 ? !rng_one_in(rng, 16) : rng_one_in(rng, 2))
		at &= ~(natural - 1);
	return at;
}

/* ---- 2. Segments ---------------------------------------------------------------------------- */

static uint32_t base_of(uint16_t selector)
{
	return selector & 4 ? native_ldt[selector >> 3].base : 0;
}

static uint16_t draw_selector(struct native_rng *rng, bool near_data, bool stack)
{
	static const uint8_t strange[] = { NATIVE_LDT_SHORT, NATIVE_LDT_DOWN, NATIVE_LDT_DOWN16,
	                                   NATIVE_LDT_STACK16, NATIVE_LDT_READONLY, NATIVE_LDT_CODE16 };
	if (rng_one_in(rng, near_data ? 12 : 32))
		return (uint16_t)NATIVE_SEL(strange[rng_below(rng, stack ? 4 : 6)]);
	if (!stack && rng_one_in(rng, 48))
		return 0;
	if (near_data || rng_one_in(rng, 10))
		return (uint16_t)NATIVE_SEL(stack && rng_one_in(rng, 2) ? NATIVE_LDT_STACK16 : NATIVE_LDT_DATA);
	return NATIVE_DS;
}

/* An address of 16 bits reaches the data only through a segment that begins there; one without registers
 * was drawn for a flat segment. */
static void draw_segments(const struct native_form *form, struct native_regs *in, struct native_rng *rng)
{
	bool near = form->known && form->z.address_width == 16;
	bool fixed = false;

	for (unsigned i = 0; form->known && i < form->z.operand_count; i++)
		fixed |= form->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		         form->op[i].mem.base == ZYDIS_REGISTER_NONE && !near;
	in->ds = in->es = in->fs = in->ss = NATIVE_DS;
	if (fixed && !rng_one_in(rng, 64))
		return;
	in->ds = draw_selector(rng, near, false);
	in->es = draw_selector(rng, near, false);
	in->fs = draw_selector(rng, near, false);
	in->ss = draw_selector(rng, near, true);
}

static uint16_t selector_of(const struct native_form *form, const struct native_regs *in, ZydisRegister segment)
{
	switch ((int)segment) {
	case ZYDIS_REGISTER_ES: return in->es;
	case ZYDIS_REGISTER_SS: return in->ss;
	case ZYDIS_REGISTER_FS: return in->fs;
	case ZYDIS_REGISTER_DS: return in->ds;
	case ZYDIS_REGISTER_CS: return form->code16 ? (uint16_t)NATIVE_SEL(NATIVE_LDT_CODE16) : NATIVE_CS;
	default: return NATIVE_DS; /* GS is flat */
	}
}

/* ---- 3. Addresses --------------------------------------------------------------------------- */

struct solver {
	struct native_regs *in;
	struct native_rng *rng;
	unsigned locked; /* registers that hold part of an address already */
	uint32_t mask;   /* of the address size */
};

static uint32_t get_part(const struct solver *s, int reg)
{
	return s->in->gpr[reg] & s->mask;
}

static void set_part(struct solver *s, int reg, uint32_t value)
{
	s->in->gpr[reg] = (s->in->gpr[reg] & ~s->mask) | (value & s->mask);
	s->locked |= 1u << reg;
}

/* reg * times = want (times: 2, 3, 5, 9; or a scale alone: 1, 2, 4, 8) */
static uint32_t divide(const struct solver *s, uint32_t want, uint32_t times)
{
	uint32_t inverse = times; /* of an odd number, by Newton */

	if (times % 2)
		for (unsigned i = 0; i < 4; i++)
			inverse *= 2 - times * inverse;
	else
		return want / times + rng_below(s->rng, times) * (uint32_t)(0x100000000u / times);
	return want * inverse;
}

/* Set base and index so that the operand lies at `target` in its segment, as far as registers are free. */
static void solve(struct solver *s, const ZydisDecodedOperand *op, uint32_t target)
{
	int base = register_number(op->mem.base), index = register_number(op->mem.index);
	uint32_t scale = op->mem.scale ? op->mem.scale : 1, want = target - (uint32_t)op->mem.disp.value;

	if (op->mem.index == ZYDIS_REGISTER_AL) { /* XLAT */
		set_part(s, base, want - (s->in->gpr[0] & 0xFF));
	} else if (base >= 0 && base == index) {
		if (!(s->locked >> base & 1))
			set_part(s, base, divide(s, scale == 1 ? want & ~1u : want, 1 + scale));
	} else if (base < 0 && index >= 0) {
		if (!(s->locked >> index & 1))
			set_part(s, index, divide(s, want & ~(scale - 1), scale));
	} else if (base >= 0 && !(s->locked >> base & 1)) {
		if (index >= 0) {
			want -= get_part(s, index) * scale;
			s->locked |= 1u << index;
		}
		set_part(s, base, want);
	} else if (base >= 0 && index >= 0 && scale == 1 && !(s->locked >> index & 1)) {
		set_part(s, index, want - get_part(s, base));
	}
}

static uint32_t effective(const struct solver *s, const ZydisDecodedOperand *op)
{
	int base = register_number(op->mem.base), index = register_number(op->mem.index);
	uint32_t at = (uint32_t)op->mem.disp.value;

	if (base >= 0)
		at += get_part(s, base);
	if (index >= 0)
		at += get_part(s, index) * (op->mem.scale ? op->mem.scale : 1);
	else if (op->mem.index == ZYDIS_REGISTER_AL)
		at += s->in->gpr[0] & 0xFF;
	return at & s->mask;
}

/* The stack's address size is SS.B's, not the instruction's. */
static uint32_t mask_of(const struct native_form *form, const ZydisDecodedOperand *op, const struct native_regs *in)
{
	bool stack = op->visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN &&
	             (op->mem.base == ZYDIS_REGISTER_ESP || op->mem.base == ZYDIS_REGISTER_SP);

	if (stack && in->ss & 4)
		return native_ldt[in->ss >> 3].big ? 0xFFFFFFFF : 0xFFFF;
	if (stack)
		return 0xFFFFFFFF;
	return form->z.address_width == 16 ? 0xFFFF : 0xFFFFFFFF;
}

/* ---- 4. Operand contents -------------------------------------------------------------------- */

static void put_operand(struct native_rng *rng, uint8_t *at, const struct native_form *form,
                        const ZydisDecodedOperand *op)
{
	unsigned bytes = op->size / 8;

	switch ((int)op->element_type) {
	case ZYDIS_ELEMENT_TYPE_FLOAT32: fx_draw_floats(rng, at, bytes, 4); return;
	case ZYDIS_ELEMENT_TYPE_FLOAT64: fx_draw_floats(rng, at, bytes, 8); return;
	case ZYDIS_ELEMENT_TYPE_FLOAT80: fx_draw_extended(rng, at); return;
	case ZYDIS_ELEMENT_TYPE_LONGBCD:
		for (unsigned i = 0; i < 10; i++)
			at[i] = (uint8_t)(rng_below(rng, 10) << 4 | rng_below(rng, 10));
		at[9] = rng_one_in(rng, 2) ? 0x80 : 0;
		return;
	default:
		break;
	}
	if (form->z.mnemonic == ZYDIS_MNEMONIC_FXRSTOR) {
		fx_draw_image(rng, at);
	} else if (form->z.mnemonic == ZYDIS_MNEMONIC_LDMXCSR) {
		uint32_t value = fx_draw_mxcsr(rng);

		memcpy(at, &value, 4);
	} else if (form->z.meta.isa_set >= ZYDIS_ISA_SET_SSE && bytes == 16) {
		fx_draw_vector(rng, at);
	} else {
		for (unsigned i = 0; i < bytes && i < 16; i += 4) {
			uint32_t value = rng_value(rng);

			memcpy(at + i, &value, bytes - i < 4 ? bytes - i : 4);
		}
	}
}

/* Put a value at a linear address, if all of it is in writable data. */
static uint8_t *data_at(struct native_batch_plan *plan, uint32_t linear, uint32_t bytes)
{
	uint32_t at = linear - NATIVE_DATA;

	if (at >= NATIVE_DATA_BYTES || at + bytes > NATIVE_DATA_BYTES ||
	    native_data_pages[at / 4096] != 'w' || native_data_pages[(at + bytes - 1) / 4096] != 'w')
		return NULL;
	return plan->data + at;
}

static void place_operands(struct native_batch_plan *plan, struct solver *s, unsigned index)
{
	const struct native_form *form = &plan->form;

	for (unsigned i = 0; i < form->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &form->op[i];
		uint32_t bytes = op->size / 8, base, linear;
		uint8_t *at;

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
			continue;
		s->mask = mask_of(form, op, s->in);
		base = base_of(selector_of(form, s->in, op->mem.segment));
		solve(s, op, draw_place(form, s->rng, index, bytes) + NATIVE_DATA - base);
		linear = base + effective(s, op);
		if (op->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN || !plan->ea[index])
			plan->ea[index] = linear;
		at = data_at(plan, linear, bytes);
		if (at)
			put_operand(s->rng, at, form, op);
	}
}

/* ---- 5. Branches ---------------------------------------------------------------------------- */

/* JMP to a landing: near in 32-bit code; 16-bit code goes to the 32-bit segment. Returns its length. */
unsigned put_pad(struct native_batch_plan *plan, uint32_t at, uint32_t landing)
{
	uint8_t *code = plan->code + at;
	uint32_t distance = landing - (NATIVE_CODE + at + 5);

	if (!plan->form.code16) {
		code[0] = 0xE9;
		memcpy(code + 1, &distance, 4);
		return 5;
	}
	code[0] = 0x66;
	code[1] = 0xEA;
	memcpy(code + 2, &landing, 4);
	code[6] = NATIVE_CS;
	code[7] = 0;
	return 8;
}

/* A relative branch: to a pad near enough, clear of the instruction and of the pad after it. */
static void aim_branch(struct native_batch_plan *plan, uint32_t at, struct native_rng *rng)
{
	struct native_form *form = &plan->form;
	uint32_t after = at + form->length;
	int32_t distance;

	for (unsigned i = 0; i < 2; i++) {
		if (!form->z.raw.imm[i].is_relative)
			continue;
		if (form->z.raw.imm[i].size == 8 || rng_one_in(rng, 2))
			distance = rng_one_in(rng, 2) ? 8 + (int32_t)rng_below(rng, 120) :
			                                -40 - (int32_t)rng_below(rng, 88);
		else if (rng_one_in(rng, 2))
			distance = 8 + (int32_t)rng_below(rng, NATIVE_CODE_BYTES - 16 - after);
		else
			distance = -(int32_t)form->length - 8 - (int32_t)rng_below(rng, at - 32);
		put_pad(plan, (uint32_t)((int32_t)after + distance), NATIVE_TAKEN);
		memcpy(plan->code + after - form->length + form->z.raw.imm[i].offset, &distance,
		       form->z.raw.imm[i].size / 8);
	}
}

/* The offset that indirect branches and returns go to. */
enum { PAD_OFFSET = 0x20 };

static void aim_indirect(struct native_batch_plan *plan, struct solver *s, unsigned index)
{
	const struct native_form *form = &plan->form;
	uint32_t target = (form->code16 ? 0 : NATIVE_CODE) + PAD_OFFSET;
	int reg;

	for (unsigned i = 0; i < form->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &form->op[i];
		uint8_t *at;

		if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
			continue;
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && i == 0) {
			reg = register_number(op->reg.value);
			if (reg >= 0)
				s->in->gpr[reg] = target;
		} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			at = data_at(plan, plan->ea[index], 4);
			if (at)
				memcpy(at, &target, 4);
		}
	}
}

/* ---- 6. Special registers ------------------------------------------------------------------- */

static void set_low(uint32_t *reg, uint32_t mask, uint32_t value)
{
	*reg = (*reg & ~mask) | (value & mask);
}

/* A bit number relative to memory: near the operand, unless its register is part of the address. */
static void near_bit(const struct native_form *form, struct solver *s)
{
	int reg = form->op[1].type == ZYDIS_OPERAND_TYPE_REGISTER ? register_number(form->op[1].reg.value) : -1;

	if (reg >= 0 && !(s->locked >> reg & 1))
		s->in->gpr[reg] = rng_below(s->rng, 2048) - 1024;
}

static void special_registers(const struct native_form *form, struct solver *s)
{
	uint32_t *gpr = s->in->gpr, address = form->z.address_width == 16 ? 0xFFFF : 0xFFFFFFFF;

	switch ((int)form->z.mnemonic) {
	case ZYDIS_MNEMONIC_BT: case ZYDIS_MNEMONIC_BTC: case ZYDIS_MNEMONIC_BTR: case ZYDIS_MNEMONIC_BTS:
		if (form->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
			near_bit(form, s);
		break;
	case ZYDIS_MNEMONIC_DIV: case ZYDIS_MNEMONIC_IDIV: /* a quotient that fits, often */
		if (!rng_one_in(s->rng, 4) && !(s->locked & 4))
			gpr[2] = (uint32_t)((int32_t)rng_next(s->rng) >> (24 + rng_below(s->rng, 8)));
		if (!rng_one_in(s->rng, 4) && !(s->locked & 1) && form->op[0].size == 8)
			set_low(&gpr[0], 0xFF00, rng_below(s->rng, 32) << 8);
		break;
	case ZYDIS_MNEMONIC_LOOP: case ZYDIS_MNEMONIC_LOOPE: case ZYDIS_MNEMONIC_LOOPNE:
	case ZYDIS_MNEMONIC_JCXZ: case ZYDIS_MNEMONIC_JECXZ:
		set_low(&gpr[1], rng_one_in(s->rng, 2) ? 0xFFFF : 0xFFFFFFFF, rng_below(s->rng, 3));
		break;
	default:
		if (form->z.meta.category == ZYDIS_CATEGORY_SHIFT ||
		    form->z.meta.category == ZYDIS_CATEGORY_ROTATE) {
			/* A double shift of 16 bits by more leaves memory undefined: seldom. */
			bool narrow = form->op[0].size == 16 && form->op[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
			              !rng_one_in(s->rng, 64);

			if ((narrow || !rng_one_in(s->rng, 4)) && !(s->locked & 2))
				set_low(&gpr[1], 0xFF, rng_below(s->rng, narrow ? 17 : 36));
		} else if (form->z.meta.category == ZYDIS_CATEGORY_IOSTRINGOP) {
			/* Whether the port's permission counts when nothing is transferred is open. */
			set_low(&gpr[1], address, 1 + rng_below(s->rng, 12));
		} else if (form->z.meta.category == ZYDIS_CATEGORY_STRINGOP) {
			/* Now and then over several pages, forbidden ones among them. */
			set_low(&gpr[1], address, rng_below(s->rng, rng_one_in(s->rng, 8) ? 8000 : 12));
		}
		break;
	}
}

/* Instructions that read memory through registers Zydis does not list. */
static void lead_frame(const struct native_form *form, struct solver *s, unsigned index)
{
	uint32_t base = base_of(s->in->ss);

	if (form->z.mnemonic != ZYDIS_MNEMONIC_ENTER && form->z.mnemonic != ZYDIS_MNEMONIC_LEAVE)
		return;
	s->mask = s->in->ss & 4 && !native_ldt[s->in->ss >> 3].big ? 0xFFFF : 0xFFFFFFFF;
	set_part(s, 5, draw_place(form, s->rng, index, 32) + NATIVE_DATA - base);
}

/* Selectors that segment loads and checks may see. */
static void draw_visible_selectors(struct native_batch_plan *plan, struct solver *s, unsigned index)
{
	static const uint16_t others[] = { 0, 1, 3, NATIVE_DS, NATIVE_DS & ~3, NATIVE_CS,
	                                   NATIVE_SEL(NATIVE_LDT_COUNT), NATIVE_SEL(0) & ~3, NATIVE_SEL(0x1FFF) };
	const struct native_form *form = &plan->form;
	/* The host's GDT has other limits and types: only the LDT's descriptors are inspected. */
	bool inspects = form->z.mnemonic == ZYDIS_MNEMONIC_LAR || form->z.mnemonic == ZYDIS_MNEMONIC_LSL ||
	                form->z.mnemonic == ZYDIS_MNEMONIC_VERR || form->z.mnemonic == ZYDIS_MNEMONIC_VERW;

	for (unsigned i = 0; i < form->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &form->op[i];
		uint16_t selector = (uint16_t)NATIVE_SEL(rng_below(s->rng, NATIVE_LDT_COUNT + 1));
		int reg = op->type == ZYDIS_OPERAND_TYPE_REGISTER ? register_number(op->reg.value) : -1;
		uint32_t part = op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->size > 32 ? 4 : 0;
		uint8_t *at;

		if (!inspects && rng_one_in(s->rng, 3))
			selector = others[rng_below(s->rng, sizeof others / sizeof *others)];
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			if (op->size == 32 && op->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
			    form->z.operand_width == 16 && op->visibility != ZYDIS_OPERAND_VISIBILITY_HIDDEN)
				part = 2;
			at = data_at(plan, plan->ea[index] + part, 2);
			if (at)
				memcpy(at, &selector, 2);
		} else if (reg >= 0 && op->visibility == ZYDIS_OPERAND_VISIBILITY_EXPLICIT && !(s->locked >> reg & 1)) {
			set_low(&s->in->gpr[reg], 0xFFFF, selector);
		}
	}
}

/* ---- 7. A batch ----------------------------------------------------------------------------- */

static bool handles_selectors(const struct native_form *form)
{
	switch ((int)form->z.mnemonic) {
	case ZYDIS_MNEMONIC_LDS: case ZYDIS_MNEMONIC_LES: case ZYDIS_MNEMONIC_LSS: case ZYDIS_MNEMONIC_LFS:
	case ZYDIS_MNEMONIC_LAR: case ZYDIS_MNEMONIC_LSL: case ZYDIS_MNEMONIC_VERR: case ZYDIS_MNEMONIC_VERW:
		return true;
	default:
		break;
	}
	for (unsigned i = 0; i < form->z.operand_count; i++)
		if (form->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(form->op[i].reg.value) == ZYDIS_REGCLASS_SEGMENT)
			return true;
	return false;
}

uint32_t draw_eflags(struct native_rng *rng)
{
	uint32_t flags = 0x202 | ((uint32_t)rng_next(rng) & 0x8D5);

	if (rng_one_in(rng, 4))
		flags |= 0x400; /* DF */
	if (rng_one_in(rng, 32))
		flags |= 0x40000; /* AC */
	if (rng_one_in(rng, 32))
		flags |= 0x200000; /* ID */
	return flags;
}

static void draw_case(struct native_batch_plan *plan, struct native_rng *rng, unsigned index)
{
	const struct native_form *form = &plan->form;
	struct native_case *it = &plan->batch->cases[index];
	struct solver s = { .in = &it->in, .rng = rng };

	memset(&it->in, 0, sizeof it->in);
	memset(&it->out, 0, sizeof it->out);
	for (unsigned r = 0; r < 8; r++)
		it->in.gpr[r] = rng_value(rng);
	it->in.eflags = draw_eflags(rng);
	draw_segments(form, &it->in, rng);
	plan->ea[index] = 0;
	if (plan->batch->fx)
		fx_draw_image(rng, it->fx_in);
	if (!form->known)
		return;
	lead_frame(form, &s, index);
	if (form->z.meta.category == ZYDIS_CATEGORY_STRINGOP)
		special_registers(form, &s);
	place_operands(plan, &s, index);
	if (form->z.meta.category != ZYDIS_CATEGORY_STRINGOP)
		special_registers(form, &s);
	if (form->z.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		aim_indirect(plan, &s, index);
	if (handles_selectors(form))
		draw_visible_selectors(plan, &s, index);
}

void fill_data(struct native_batch_plan *plan, struct native_rng *rng)
{
	for (uint32_t page = 0; native_data_pages[page]; page++)
		if (native_data_pages[page] == 'w')
			for (uint32_t i = 0; i < 4096; i += 8) {
				uint64_t value = rng_next(rng);

				memcpy(plan->data + 4096 * page + i, &value, 8);
			}
	plan->data[12 * 4096 - 1] |= 4; /* see native.c: a selector here is of the LDT */
}

static bool uses_fx(const struct native_form *form)
{
	if (!form->known)
		return false;
	switch ((int)form->z.meta.isa_set) {
	case ZYDIS_ISA_SET_X87: case ZYDIS_ISA_SET_FCMOV: case ZYDIS_ISA_SET_FXSAVE: case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSEMXCSR: case ZYDIS_ISA_SET_SSE2: case ZYDIS_ISA_SET_SSE2MMX:
	case ZYDIS_ISA_SET_PENTIUMMMX:
		return true;
	default:
		return form->z.meta.category == ZYDIS_CATEGORY_X87_ALU ||
		       form->z.meta.category == ZYDIS_CATEGORY_MMX;
	}
}

void states_draw(struct native_batch_plan *plan, struct native_rng *rng, unsigned count)
{
	/* Room for a branch of 127 bytes both ways; sometimes across the page. */
	uint32_t at = rng_one_in(rng, 4) ? 0x1000 - rng_below(rng, plan->form.length + 1) :
	                                   0x100 + rng_below(rng, NATIVE_CODE_BYTES - 0x200);

	memset(plan->code, 0xCC, sizeof plan->code);
	memcpy(plan->code + at, plan->form.bytes, plan->form.length);
	plan->undefined = 0;
	put_pad(plan, at + plan->form.length, NATIVE_LANDING);
	put_pad(plan, PAD_OFFSET, NATIVE_TAKEN);
	if (plan->form.known)
		aim_branch(plan, at, rng);
	plan->batch->eip = NATIVE_CODE + at;
	plan->batch->cs = plan->form.code16 ? (uint16_t)NATIVE_SEL(NATIVE_LDT_CODE16) : NATIVE_CS;
	plan->batch->fx = uses_fx(&plan->form);
	plan->batch->count = count;
	fill_data(plan, rng);
	for (unsigned i = 0; i < count; i++)
		draw_case(plan, rng, i);
}
