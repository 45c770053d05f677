/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_sequence.c - several integer instructions in a row.
 *
 *   1. What may take part
 *   2. Putting them in a row
 *   3. States
 *
 * An engine that keeps flags lazily, leaves out flags nobody reads, fuses a comparison with its branch or
 * chains blocks shows its mistakes only between instructions.  ESI and EDI hold addresses and are never
 * written; no instruction that takes part reads a flag that another leaves undefined (only AF is, and it is
 * not compared then).
 */
#include <stdlib.h>
#include <string.h>

#include "tests/lib/native_states.h"

enum { AF = 1u << 4, ITEMS_MAX = 6, ITEM_BYTES_MAX = 15 };
enum { ESP = 4, ESI = 6, EDI = 7 };

/* ---- 1. What may take part ------------------------------------------------------------------ */

bool sequence_pool(struct native_pool *pool)
{
	static const enum native_group groups[] = { GROUP_ARITHMETIC, GROUP_LOGIC, GROUP_MOVE, GROUP_CONDITION,
	                                            GROUP_SEMAPHORE, GROUP_FLAGS, GROUP_SHIFT };

	*pool = (struct native_pool){ 0 };
	for (unsigned i = 0; i < sizeof groups / sizeof *groups; i++) {
		size_t count;
		struct native_recipe *more = forms_of_group(groups[i], &count), *all;

		all = realloc(pool->recipes, (pool->count + count) * sizeof *all);
		if (!all) {
			free(more);
			return false;
		}
		memcpy(all + pool->count, more, count * sizeof *all);
		pool->recipes = all;
		pool->count += count;
		free(more);
	}
	return true;
}

static bool operand_fits(const ZydisDecodedOperand *op)
{
	int reg;

	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		reg = register_number(op->reg.value);
		return !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) || (reg != ESP && reg != ESI && reg != EDI);
	}
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return true;
	reg = register_number(op->mem.base);
	return (reg == ESI || reg == EDI) && op->mem.index == ZYDIS_REGISTER_NONE;
}

/* The flags that it leaves undefined are AF at most, and it reads no AF. */
static bool flags_fit(const struct native_form *form)
{
	if (form->z.meta.category == ZYDIS_CATEGORY_SHIFT || form->z.meta.category == ZYDIS_CATEGORY_ROTATE)
		return form->z.opcode == 0xD0 || form->z.opcode == 0xD1; /* by 1 */
	switch ((int)form->z.mnemonic) {
	case ZYDIS_MNEMONIC_LAHF: case ZYDIS_MNEMONIC_BOUND: case ZYDIS_MNEMONIC_CLFLUSH:
		return false;
	default:
		return true;
	}
}

static bool form_fits(const struct native_form *form)
{
	if (!form->known || form->code16 || form->z.address_width != 32 || form->locked || form->size > 8 ||
	    form->z.raw.disp.size > 8 || !flags_fit(form))
		return false;
	for (unsigned i = 0; i < form->z.operand_count; i++)
		if (!operand_fits(&form->op[i]))
			return false;
	return true;
}

static bool leaves_af(const struct native_form *form)
{
	return form->z.meta.category == ZYDIS_CATEGORY_LOGICAL || form->z.meta.category == ZYDIS_CATEGORY_SHIFT;
}

/* ---- 2. Putting them in a row --------------------------------------------------------------- */

struct item {
	uint8_t bytes[ITEM_BYTES_MAX];
	unsigned length;
	unsigned skips; /* a short Jcc over so many of the following */
};

static void draw_item(struct item *item, struct native_batch_plan *plan, const struct native_pool *pool,
                      struct native_rng *rng)
{
	struct native_form form;

	do
		form_draw(&form, &pool->recipes[rng_next(rng) % pool->count], rng);
	while (!form_fits(&form));
	memcpy(item->bytes, form.bytes, form.length);
	item->length = form.length;
	if (leaves_af(&form))
		plan->undefined |= AF;
}

static void draw_jump(struct item *item, struct native_rng *rng, unsigned following)
{
	item->bytes[0] = (uint8_t)(0x70 + rng_below(rng, 16));
	item->length = 2;
	item->skips = 1 + rng_below(rng, following);
}

static void append(struct native_form *form, const struct item *items, unsigned n, unsigned count)
{
	unsigned distance = 0;

	memcpy(form->bytes + form->length, items[n].bytes, items[n].length);
	for (unsigned k = n + 1; k < count && k <= n + items[n].skips; k++)
		distance += items[k].length;
	if (items[n].skips)
		form->bytes[form->length + 1] = (uint8_t)distance;
	form->length += items[n].length;
}

static void draw_row(struct native_batch_plan *plan, const struct native_pool *pool, struct native_rng *rng)
{
	struct item items[ITEMS_MAX] = { 0 };
	unsigned count = 2 + rng_below(rng, ITEMS_MAX - 1);

	memset(&plan->form, 0, sizeof plan->form);
	plan->undefined = 0;
	for (unsigned n = 0; n < count; n++)
		if (n && n + 1 < count && rng_one_in(rng, 4))
			draw_jump(&items[n], rng, count - n - 1);
		else
			draw_item(&items[n], plan, pool, rng);
	for (unsigned n = 0; n < count; n++)
		append(&plan->form, items, n, count);
}

/* ---- 3. States ------------------------------------------------------------------------------ */

static void draw_state(struct native_batch_plan *plan, struct native_rng *rng, unsigned index)
{
	struct native_case *it = &plan->batch->cases[index];

	memset(&it->in, 0, sizeof it->in);
	memset(&it->out, 0, sizeof it->out);
	for (unsigned r = 0; r < 8; r++)
		it->in.gpr[r] = rng_value(rng);
	it->in.gpr[ESI] = NATIVE_DATA + draw_place(&plan->form, rng, index, 4);
	it->in.gpr[EDI] = NATIVE_DATA + draw_place(&plan->form, rng, index, 4);
	it->in.eflags = draw_eflags(rng);
	it->in.ds = it->in.es = it->in.ss = it->in.fs = NATIVE_DS;
	plan->ea[index] = it->in.gpr[ESI];
}

void sequence_draw(struct native_batch_plan *plan, const struct native_pool *pool, struct native_rng *rng,
                   unsigned count)
{
	uint32_t at = rng_one_in(rng, 4) ? 0x1000 - rng_below(rng, 40) : 0x100 + rng_below(rng, 0x1C00);
	unsigned end;

	draw_row(plan, pool, rng);
	memset(plan->code, 0xCC, sizeof plan->code);
	memcpy(plan->code + at, plan->form.bytes, plan->form.length);
	/* The last may be a branch, out of the sequence. */
	end = at + plan->form.length;
	if (rng_one_in(rng, 2)) {
		plan->code[end] = (uint8_t)(0x70 + rng_below(rng, 16));
		plan->code[end + 1] = 16;
		put_pad(plan, end + 18, NATIVE_TAKEN);
		memcpy(plan->form.bytes + plan->form.length, plan->code + end, 2);
		plan->form.length += 2;
		end += 2;
	}
	put_pad(plan, end, NATIVE_LANDING);
	plan->batch->eip = NATIVE_CODE + at;
	plan->batch->cs = NATIVE_CS;
	plan->batch->fx = false;
	plan->batch->count = count;
	fill_data(plan, rng);
	for (unsigned i = 0; i < count; i++)
		draw_state(plan, rng, i);
}
