/* SPDX-License-Identifier: MIT */
/*
 * cpu/segment.c - segment registers and the descriptors behind them.
 *
 *   1. Descriptors     the accessed bit (reading and unpacking are in system.h)
 *   2. Loads           data segments, stacks, code; real and virtual-8086 mode
 *   3. Instructions    MOV, PUSH, POP of segment registers; LDS and its kind
 *   4. Questions       LAR, LSL, VERR, VERW, ARPL
 *
 * Loads of DS, ES, FS and GS are on the path of every Linux system call: one 8-byte read of the
 * descriptor, and a write only when the accessed bit is clear (SDM vol. 3, 3.4.5.1).
 */
#include "cpu/system.h"

/* ---- 1. Descriptors ------------------------------------------------------------------------- */

bool mark_accessed(struct cpu *c, uint16_t selector, uint32_t *hi)
{
	uint32_t linear;

	if (!find_descriptor(c, selector, &linear))
		return true; /* cannot be: it has just been read */
	*hi |= DESC_ACCESSED;
	return lin_write8(c, linear + 5, 0, (uint8_t)(*hi >> 8));
}

/* ---- 2. Loads ------------------------------------------------------------------------------- */

/* Real mode changes selector and base and keeps the limit and the size bits ("big real mode"); virtual-8086
 * mode sets everything (SDM vol. 3, 21.2 and 9.9.2). The caller calls mode_changed(). */
static void put_segment_real(struct cpu *c, unsigned seg, uint16_t selector)
{
	struct cpu_segment *s = &c->seg[seg];

	s->selector = selector;
	s->base = (uint32_t)selector << 4;
	if (in_v86(c)) {
		s->limit = 0xFFFF;
		s->attr = ATTR_P | ATTR_DPL | ATTR_S | ATTR_WRITE | ATTR_ACCESSED;
		return;
	}
	if (!s->attr) /* it was null in protected mode */
		s->limit = 0xFFFF;
	s->attr = (uint16_t)((s->attr & 0xF000) | ATTR_P | ATTR_S | ATTR_WRITE | ATTR_ACCESSED);
}

void set_segment_real(struct cpu *c, unsigned seg, uint16_t selector)
{
	put_segment_real(c, seg, selector);
	if (seg == CPU_SS || seg == CPU_CS)
		ring_changed(c);
	else
		data_segment_changed(c, seg);
}

bool check_stack_segment(struct cpu *c, uint16_t selector, unsigned cpl, enum vector vector,
                         struct cpu_segment *out)
{
	uint32_t lo, hi;

	if (sel_null(selector))
		return fault(c, vector, 0);
	if (!read_descriptor(c, selector, &lo, &hi, vector))
		return false;
	if (sel_rpl(selector) != cpl || desc_dpl(hi) != cpl || !desc_is_writable_data(hi))
		return fault(c, vector, sel_error(selector));
	if (!desc_present(hi))
		return fault(c, EXC_SS, sel_error(selector));
	if (!write_accessed(c, selector, &hi))
		return false;
	*out = unpack_descriptor(selector, lo, hi);
	return true;
}

bool check_data_segment(struct cpu *c, uint16_t selector, enum vector vector, struct cpu_segment *out)
{
	uint32_t lo, hi;

	if (sel_null(selector)) {
		*out = (struct cpu_segment){ .selector = selector };
		return true;
	}
	if (!read_descriptor(c, selector, &lo, &hi, vector))
		return false;
	if (!desc_is_readable(hi))
		return fault(c, vector, sel_error(selector));
	if (!desc_is_conforming(hi) && (sel_rpl(selector) > desc_dpl(hi) || c->cpl > desc_dpl(hi)))
		return fault(c, vector, sel_error(selector));
	if (!desc_present(hi))
		return fault(c, EXC_NP, sel_error(selector));
	if (!write_accessed(c, selector, &hi))
		return false;
	*out = unpack_descriptor(selector, lo, hi);
	return true;
}

bool load_segment(struct cpu *c, unsigned seg, uint16_t selector)
{
	if (!in_protected(c))
		put_segment_real(c, seg, selector);
	else if (seg == CPU_SS ? !check_stack_segment(c, selector, c->cpl, EXC_GP, &c->seg[seg])
	                       : !check_data_segment(c, selector, EXC_GP, &c->seg[seg]))
		return false;
	if (seg == CPU_SS)
		ring_changed(c);
	else
		data_segment_changed(c, seg);
	return true;
}

void load_cs(struct cpu *c, uint16_t selector, uint32_t lo, uint32_t hi, unsigned cpl)
{
	c->seg[CPU_CS] = unpack_descriptor((uint16_t)((selector & 0xFFFC) | cpl), lo, hi);
	set_cpl(c, cpl);
}

static void drop_segment(struct cpu *c, unsigned seg)
{
	c->seg[seg] = (struct cpu_segment){ .selector = 0 };
	data_segment_changed(c, seg);
}

/* After a return to an outer ring: what the outer ring may not use becomes null (SDM vol. 2, RET). */
void drop_inner_segments(struct cpu *c)
{
	static const uint8_t data[] = { CPU_ES, CPU_FS, CPU_GS, CPU_DS };

	for (unsigned n = 0; n < sizeof data; n++) {
		struct cpu_segment *s = &c->seg[data[n]];
		bool conforming = (s->attr & (ATTR_CODE | ATTR_CONFORMING)) == (ATTR_CODE | ATTR_CONFORMING);

		if (s->attr && !conforming && attr_dpl(s) < c->cpl)
			drop_segment(c, data[n]);
	}
}

/* ---- 3. Instructions ------------------------------------------------------------------------ */

/* After a load of segment register `seg` by instruction i.  A change of what decoding relies on ends the
 * block, and so does SS, whose load holds interrupts off for one instruction (SDM vol. 3, 6.8.3). */
static enum run segment_loaded(struct cpu *c, const struct insn *i, uint8_t old_mode)
{
	if (c->mode != old_mode)
		return end_block(c, i);
	NEXT(c, i);
}

/* MOV SS, POP SS: neither interrupts nor debug traps before the next instruction, which will load ESP. */
static enum run stack_loaded(struct cpu *c, const struct insn *i)
{
	set_inhibit(c);
	c->inhibit_debug = true;
	return end_block(c, i);
}

/* The 16-bit operand, register or memory. */
static bool read_selector(struct cpu *c, const struct insn *i, uint16_t *value)
{
	if (i->flags & INSN_MEM)
		return seg_read16(c, i->seg, ea(c, i), value);
	*value = (uint16_t)c->gpr[i->rm];
	return true;
}

enum run op_mov_to_sreg(struct cpu *c, const struct insn *i)
{
	uint8_t mode = c->mode;
	uint16_t selector;

	if (!read_selector(c, i, &selector) || !load_segment(c, i->reg, selector))
		return faulted(c, i);
	if (i->reg != CPU_SS)
		return segment_loaded(c, i, mode);
	return stack_loaded(c, i);
}

enum run op_mov_from_sreg(struct cpu *c, const struct insn *i)
{
	uint16_t selector = c->seg[i->reg].selector;

	if (i->flags & INSN_MEM) {
		if (!seg_write16(c, i->seg, ea(c, i), selector))
			return faulted(c, i);
	} else if (i->opsize == 4) {
		c->gpr[i->rm] = selector;
	} else {
		c->gpr[i->rm] = (c->gpr[i->rm] & 0xFFFF0000) | selector;
	}
	NEXT(c, i);
}

/* The 32-bit form moves ESP by four and writes two bytes, as recent processors do (SDM vol. 2, PUSH). */
enum run op_push_sreg(struct cpu *c, const struct insn *i)
{
	uint32_t mask = stack_mask_of(&c->seg[CPU_SS]);

	if (!seg_write16(c, CPU_SS, (c->gpr[CPU_ESP] - i->opsize) & mask, c->seg[i->reg].selector))
		return faulted(c, i);
	stack_drop(c, 0u - i->opsize);
	NEXT(c, i);
}

enum run op_pop_sreg(struct cpu *c, const struct insn *i)
{
	uint32_t mask = stack_mask_of(&c->seg[CPU_SS]), esp = c->gpr[CPU_ESP];
	uint8_t mode = c->mode;
	uint16_t selector;

	if (!seg_read16(c, CPU_SS, esp & mask, &selector) || !load_segment(c, i->reg, selector))
		return faulted(c, i);
	c->gpr[CPU_ESP] = (esp & ~mask) | ((esp + i->opsize) & mask);
	if (i->reg != CPU_SS)
		return segment_loaded(c, i, mode);
	return stack_loaded(c, i);
}

/* LDS, LES, LFS, LGS, LSS: i->size is the segment register. */
enum run op_load_far_pointer(struct cpu *c, const struct insn *i)
{
	uint32_t at = ea(c, i), second = at + i->opsize, offset;
	uint8_t mode = c->mode;
	uint16_t half, selector;

	if (i->addrsize == 2)
		second = (uint16_t)second;
	if (i->opsize == 4) {
		if (!seg_read32(c, i->seg, at, &offset) || !seg_read16(c, i->seg, second, &selector))
			return faulted(c, i);
	} else {
		if (!seg_read16(c, i->seg, at, &half) || !seg_read16(c, i->seg, second, &selector))
			return faulted(c, i);
		offset = (c->gpr[i->reg] & 0xFFFF0000) | half;
	}
	if (!load_segment(c, i->size, selector))
		return faulted(c, i);
	c->gpr[i->reg] = offset;
	if (i->size == CPU_SS)
		return end_block(c, i);
	return segment_loaded(c, i, mode);
}

/* ---- 4. Questions --------------------------------------------------------------------------- */

/* The descriptor that LAR, LSL, VERR and VERW ask about.  *hi == 0: there is none to be seen (and a
 * descriptor whose high word is 0 is of the reserved system type 0: the same answer). */
static bool look_at_descriptor(struct cpu *c, const struct insn *i, uint16_t *selector, uint32_t *lo,
                               uint32_t *hi)
{
	uint32_t linear;
	uint64_t both;

	*lo = *hi = 0;
	if (!read_selector(c, i, selector))
		return false;
	if (sel_null(*selector) || !find_descriptor(c, *selector, &linear))
		return true;
	if (!sys_read64(c, linear, &both))
		return false;
	*lo = (uint32_t)both;
	*hi = (uint32_t)(both >> 32);
	return true;
}

static bool visible(const struct cpu *c, uint16_t selector, uint32_t hi)
{
	return desc_is_conforming(hi) || (c->cpl <= desc_dpl(hi) && sel_rpl(selector) <= desc_dpl(hi));
}

/* Bit per S-and-type: what LAR and LSL accept (SDM vol. 2, tables of LAR and LSL). */
#define CODE_AND_DATA 0xFFFF0000u
static const uint32_t lar_types = CODE_AND_DATA | 1u << SYS_TSS16 | 1u << SYS_LDT | 1u << SYS_TSS16_BUSY |
	1u << SYS_CALL16 | 1u << SYS_TASK_GATE | 1u << SYS_TSS32 | 1u << SYS_TSS32_BUSY | 1u << SYS_CALL32;
static const uint32_t lsl_types = CODE_AND_DATA | 1u << SYS_TSS16 | 1u << SYS_LDT | 1u << SYS_TSS16_BUSY |
	1u << SYS_TSS32 | 1u << SYS_TSS32_BUSY;

static void put_answer(struct cpu *c, const struct insn *i, uint32_t value)
{
	c->gpr[i->reg] = i->opsize == 4 ? value : (c->gpr[i->reg] & 0xFFFF0000) | (value & 0xFFFF);
}

enum run op_lar(struct cpu *c, const struct insn *i)
{
	uint32_t lo, hi;
	uint16_t selector;
	bool seen;

	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (!look_at_descriptor(c, i, &selector, &lo, &hi))
		return faulted(c, i);
	seen = (lar_types >> desc_type(hi) & 1) && visible(c, selector, hi);
	if (seen)
		put_answer(c, i, hi & 0x00FFFF00);
	set_eflags(c, seen ? FL_ZF : 0, FL_ZF);
	NEXT(c, i);
}

enum run op_lsl(struct cpu *c, const struct insn *i)
{
	uint32_t lo, hi;
	uint16_t selector;
	bool seen;

	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (!look_at_descriptor(c, i, &selector, &lo, &hi))
		return faulted(c, i);
	seen = (lsl_types >> desc_type(hi) & 1) && visible(c, selector, hi);
	if (seen)
		put_answer(c, i, unpack_descriptor(selector, lo, hi).limit);
	set_eflags(c, seen ? FL_ZF : 0, FL_ZF);
	NEXT(c, i);
}

enum run op_verr(struct cpu *c, const struct insn *i)
{
	uint32_t lo, hi;
	uint16_t selector;
	bool yes;

	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (!look_at_descriptor(c, i, &selector, &lo, &hi))
		return faulted(c, i);
	yes = desc_is_readable(hi) && visible(c, selector, hi);
	set_eflags(c, yes ? FL_ZF : 0, FL_ZF);
	NEXT(c, i);
}

enum run op_verw(struct cpu *c, const struct insn *i)
{
	uint32_t lo, hi;
	uint16_t selector;
	bool yes;

	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (!look_at_descriptor(c, i, &selector, &lo, &hi))
		return faulted(c, i);
	yes = desc_is_writable_data(hi) && visible(c, selector, hi);
	set_eflags(c, yes ? FL_ZF : 0, FL_ZF);
	NEXT(c, i);
}

/* As processors do it: the destination need be writable only if there is something to change. */
enum run op_arpl(struct cpu *c, const struct insn *i)
{
	unsigned rpl = c->gpr[i->reg] & 3;
	uint32_t at = 0;
	uint16_t selector;
	bool raised;

	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (i->flags & INSN_MEM)
		at = ea(c, i);
	if (!read_selector(c, i, &selector))
		return faulted(c, i);
	raised = sel_rpl(selector) < rpl;
	if (raised) {
		selector = (uint16_t)(sel_error(selector) | rpl);
		if (!(i->flags & INSN_MEM))
			c->gpr[i->rm] = (c->gpr[i->rm] & 0xFFFF0000) | selector;
		else if (!seg_write16(c, i->seg, at, selector))
			return faulted(c, i);
	}
	set_eflags(c, raised ? FL_ZF : 0, FL_ZF);
	NEXT(c, i);
}
