/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_string.c - MOVS STOS LODS CMPS SCAS, with and without REP.
 *
 *   1. One element     iterate()
 *   2. By the page     copy_page(), fill_page(): REP MOVS and REP STOS upwards in flat segments
 *   3. REP             repeat(): in slices, registers right after each element
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. One element ------------------------------------------------------------------------- */

FORCE_INLINE uint32_t pointer(const struct cpu *c, const struct insn *i, unsigned reg)
{
	return i->addrsize == 2 ? (uint16_t)c->gpr[reg] : c->gpr[reg];
}
FORCE_INLINE void advance(struct cpu *c, const struct insn *i, unsigned reg, uint32_t by)
{
	set_reg(c, reg, c->gpr[reg] + by, i->addrsize == 2 ? 16 : 32);
}

FORCE_INLINE bool load(struct cpu *c, unsigned seg, uint32_t offset, uint32_t *value, unsigned bits)
{
	uint8_t b = 0;
	uint16_t h = 0;
	bool ok;

	if (bits == 32)
		return seg_read32(c, seg, offset, value);
	ok = bits == 8 ? seg_read8(c, seg, offset, &b) : seg_read16(c, seg, offset, &h);
	*value = bits == 8 ? b : h;
	return ok;
}
FORCE_INLINE bool store_es(struct cpu *c, uint32_t offset, uint32_t value, unsigned bits)
{
	return bits == 8    ? seg_write8(c, CPU_ES, offset, (uint8_t)value)
	       : bits == 16 ? seg_write16(c, CPU_ES, offset, (uint16_t)value)
	                    : seg_write32(c, CPU_ES, offset, value);
}

/* One element; false: exception, nothing changed. */
FORCE_INLINE bool iterate(struct cpu *c, const struct insn *i, enum string op, unsigned bits)
{
	uint32_t by = c->flags & FL_DF ? 0u - bits / 8 : bits / 8;
	uint32_t a = get_reg(c, CPU_EAX, bits), b;

	if (op == STRING_MOVS || op == STRING_LODS || op == STRING_CMPS)
		if (!load(c, i->seg, pointer(c, i, CPU_ESI), &a, bits))
			return false;
	if (op == STRING_CMPS || op == STRING_SCAS) {
		if (!load(c, CPU_ES, pointer(c, i, CPU_EDI), &b, bits))
			return false;
		flags_sub(c, a, b, 0, bits);
	}
	if (op == STRING_MOVS || op == STRING_STOS)
		if (!store_es(c, pointer(c, i, CPU_EDI), a, bits))
			return false;
	if (op == STRING_LODS)
		set_reg(c, CPU_EAX, a, bits);
	if (op == STRING_MOVS || op == STRING_LODS || op == STRING_CMPS)
		advance(c, i, CPU_ESI, by);
	if (op != STRING_LODS)
		advance(c, i, CPU_EDI, by);
	return true;
}

/* ---- 2. By the page ------------------------------------------------------------------------- */

/* Whole elements of `size` bytes from `linear` to its page's end, at most `count`. */
static uint32_t elements_in_page(uint32_t linear, uint32_t count, unsigned size)
{
	uint32_t n = (UM_PAGE_SIZE - linear % UM_PAGE_SIZE) / size;

	return n < count ? n : count;
}

/* Element by element where the target lies just above the source: a pattern is repeated. */
static void copy_up(uint8_t *to, const uint8_t *from, uint32_t count, unsigned size)
{
	if ((uintptr_t)to - (uintptr_t)from >= (uintptr_t)count * size) {
		memmove(to, from, (size_t)count * size);
		return;
	}
	for (; count; count--, to += size, from += size) {
		uint8_t element[4];
		memcpy(element, from, size);
		memcpy(to, element, size);
	}
}

/* How many elements were copied; 0: not possible here, go one by one. */
static uint32_t copy_page(struct cpu *c, uint32_t count, unsigned size)
{
	uint32_t from = c->gpr[CPU_ESI], to = c->gpr[CPU_EDI];
	const uint8_t *source = tlb_direct(c, from, false);
	uint8_t *target = tlb_direct(c, to, true);

	count = elements_in_page(from, elements_in_page(to, count, size), size);
	if (!source || !target || !count)
		return 0;
	copy_up(target, source, count, size);
	c->gpr[CPU_ESI] += count * size;
	c->gpr[CPU_EDI] += count * size;
	return count;
}

static uint32_t fill_page(struct cpu *c, uint32_t count, unsigned size)
{
	uint32_t to = c->gpr[CPU_EDI], value = c->gpr[CPU_EAX];
	uint8_t *target = tlb_direct(c, to, true);

	count = elements_in_page(to, count, size);
	if (!target || !count)
		return 0;
	if (size == 1 || value == (value & 0xFF) * 0x01010101u)
		memset(target, (int)(value & 0xFF), (size_t)count * size);
	else
		for (uint32_t n = 0; n < count; n++)
			memcpy(target + (size_t)n * size, &value, size);
	c->gpr[CPU_EDI] += count * size;
	return count;
}

static bool by_the_page(const struct cpu *c, const struct insn *i, enum string op)
{
	uint8_t flat = (uint8_t)(1u << CPU_ES | (op == STRING_MOVS ? 1u << i->seg : 0));

	return c->options & CPU_OPT_STRINGS && i->addrsize == 4 && !(c->flags & FL_DF) &&
	       (c->flat_segs & flat) == flat && !(c->mode & MODE_STEP);
}

/* ---- 3. REP --------------------------------------------------------------------------------- */

/* Elements between two looks at interrupts and kicks. */
#define REP_SLICE 4096u

enum repeated { REPEAT_DONE, REPEAT_MORE, REPEAT_FAULT };

FORCE_INLINE enum repeated repeat(struct cpu *c, const struct insn *i, enum string op, unsigned bits)
{
	bool compares = op == STRING_CMPS || op == STRING_SCAS, equal = i->flags & INSN_REP;
	bool paged = (op == STRING_MOVS || op == STRING_STOS) && by_the_page(c, i, op);
	uint32_t slice = c->mode & MODE_STEP || c->alone ? 1 : REP_SLICE, count;

	while ((count = pointer(c, i, CPU_ECX)) != 0) {
		uint32_t done = 0;
		if (!slice)
			return REPEAT_MORE;
		if (paged)
			done = op == STRING_MOVS ? copy_page(c, count < slice ? count : slice, bits / 8)
			                         : fill_page(c, count < slice ? count : slice, bits / 8);
		if (!done) {
			if (!iterate(c, i, op, bits))
				return REPEAT_FAULT;
			done = 1;
		}
		slice -= done;
		c->budget -= done;
		advance(c, i, CPU_ECX, 0u - done);
		if (compares && flag_zf(c) != equal)
			break;
	}
	return REPEAT_DONE;
}

FORCE_INLINE enum run finish(struct cpu *c, const struct insn *i, enum repeated how)
{
	if (likely(how == REPEAT_DONE))
		NEXT(c, i);
	if (how == REPEAT_FAULT)
		return faulted(c, i);
	c->eip = insn_eip(c, i);
	c->budget -= i->count - 1;
	return RUN_BLOCK;
}

#define STRING(op, name, bits)                                                                         \
	static __attribute__((noinline)) enum repeated repeat_##name##bits(struct cpu *c,              \
	                                                                   const struct insn *i)       \
	{                                                                                              \
		return repeat(c, i, op, bits);                                                         \
	}                                                                                              \
	static OP(name##bits)                                                                          \
	{                                                                                              \
		if (i->flags & (INSN_REP | INSN_REPNE))                                                \
			return finish(c, i, repeat_##name##bits(c, i));                                \
		if (!iterate(c, i, op, bits))                                                          \
			return faulted(c, i);                                                          \
		NEXT(c, i);                                                                            \
	}
#define STRINGS(X) X(STRING_MOVS, movs) X(STRING_STOS, stos) X(STRING_LODS, lods) X(STRING_CMPS, cmps) \
	X(STRING_SCAS, scas)
#define STRING_SIZES(op, name) STRING(op, name, 8) STRING(op, name, 16) STRING(op, name, 32)
STRINGS(STRING_SIZES)
#define STRING_ROW(op, name) [op] = { name##8, name##16, name##32 },
insn_fn *const string_handlers[STRING_COUNT][3] = { STRINGS(STRING_ROW) };
