/* SPDX-License-Identifier: MIT */
/*
 * cpu/control.c - control registers, descriptor-table registers, caches and the TLB's instructions.
 *
 *   1. Modes      what the core is told of CR0, CR3 and CR4
 *   2. MOV CRn    with the rules of SDM vol. 3, 2.5
 *   3. CR0        LMSW, SMSW, CLTS
 *   4. Tables     LGDT, LIDT, SGDT, SIDT, LLDT, SLDT, LTR, STR
 *   5. Caches     INVLPG, INVD, WBINVD
 */
#include "cpu/system.h"

/* ---- 1. Modes ------------------------------------------------------------------------------- */

static uint32_t um_mode_bits(uint32_t cr0, uint32_t cr4)
{
	return (cr0 & CR0_PG ? UM_MODE_PAGING : 0u) | (cr0 & CR0_WP ? UM_MODE_WP : 0u) |
	       (cr4 & CR4_PSE ? UM_MODE_PSE : 0u) | (cr4 & CR4_PGE ? UM_MODE_PGE : 0u);
}

/* The core hears of what concerns paging only: TS comes and goes with every task. */
void control_changed(struct cpu *c, uint32_t old_cr0, uint32_t old_cr4)
{
	uint32_t mode = um_mode_bits(c->cr0, c->cr4);

	if (mode != um_mode_bits(old_cr0, old_cr4))
		um_set_mode(c->um, mode, c->cr3);
	mode_changed(c);
}

void load_cr3(struct cpu *c, uint32_t value)
{
	c->cr3 = value;
	um_switch_root(c->um, value);
}

static bool privileged(const struct cpu *c) { return c->cpl == 0; }

/* Who hears of what a flush does may ask which instruction it is.  (It is the last of its block.) */
static void name_instruction(struct cpu *c, const struct insn *i)
{
	c->eip = insn_eip(c, i);
	c->exact = true;
}

/* ---- 2. MOV CRn ----------------------------------------------------------------------------- */

#define CR0_DEFINED                                                                                    \
	(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
/* What CPUID says is there, and PCE (every P6 has RDPMC); the rest is reserved. */
#define CR4_DEFINED                                                                                    \
	((uint32_t)(CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT))

/* Reserved bits of CR0 are ignored, ET is always 1. */
static bool set_cr0(struct cpu *c, uint32_t value)
{
	uint32_t old = c->cr0;

	value = (value & (uint32_t)CR0_DEFINED) | CR0_ET;
	if ((value & CR0_PG && !(value & CR0_PE)) || (value & CR0_NW && !(value & CR0_CD)))
		return fault(c, EXC_GP, 0);
	c->cr0 = value;
	control_changed(c, old, c->cr4);
	return true;
}

static bool set_cr4(struct cpu *c, uint32_t value)
{
	uint32_t old = c->cr4;

	if (value & ~CR4_DEFINED)
		return fault(c, EXC_GP, 0);
	c->cr4 = value;
	control_changed(c, c->cr0, old);
	return true;
}

/* i->reg is the control register (0, 2, 3 or 4: the decoder knows no other), i->rm the general one. */
enum run op_mov_to_cr(struct cpu *c, const struct insn *i)
{
	uint32_t value = c->gpr[i->rm];

	if (!privileged(c))
		return raise_error(c, i, EXC_GP, 0);
	name_instruction(c, i);
	switch (i->reg) {
	case 0:
		if (!set_cr0(c, value))
			return faulted(c, i);
		break;
	case 2:
		c->cr2 = value;
		break;
	case 3:
		load_cr3(c, value);
		break;
	default:
		if (!set_cr4(c, value))
			return faulted(c, i);
		break;
	}
	return end_block(c, i);
}

enum run op_mov_from_cr(struct cpu *c, const struct insn *i)
{
	if (!privileged(c))
		return raise_error(c, i, EXC_GP, 0);
	c->gpr[i->rm] = i->reg == 0 ? c->cr0 : i->reg == 2 ? c->cr2 : i->reg == 3 ? c->cr3 : c->cr4;
	NEXT(c, i);
}

/* ---- 3. CR0 --------------------------------------------------------------------------------- */

/* A 16-bit operand from register or memory. */
static bool read_word(struct cpu *c, const struct insn *i, uint16_t *value)
{
	if (i->flags & INSN_MEM)
		return seg_read16(c, i->seg, ea(c, i), value);
	*value = (uint16_t)c->gpr[i->rm];
	return true;
}

/* To memory 16 bits, to a register as many as the operand size says. */
static bool write_word(struct cpu *c, const struct insn *i, uint32_t value)
{
	if (i->flags & INSN_MEM)
		return seg_write16(c, i->seg, ea(c, i), (uint16_t)value);
	c->gpr[i->rm] = i->opsize == 4 ? value : (c->gpr[i->rm] & 0xFFFF0000) | (value & 0xFFFF);
	return true;
}

/* PE can be set but not cleared. */
enum run op_lmsw(struct cpu *c, const struct insn *i)
{
	const uint32_t bits = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	uint16_t value;

	if (!privileged(c))
		return raise_error(c, i, EXC_GP, 0);
	if (!read_word(c, i, &value) || !set_cr0(c, (c->cr0 & ~bits) | (value & bits) | (c->cr0 & CR0_PE)))
		return faulted(c, i);
	return end_block(c, i);
}

enum run op_smsw(struct cpu *c, const struct insn *i)
{
	if (!write_word(c, i, c->cr0))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_clts(struct cpu *c, const struct insn *i)
{
	if (!privileged(c))
		return raise_error(c, i, EXC_GP, 0);
	c->cr0 &= ~(uint32_t)CR0_TS;
	NEXT(c, i);
}

/* ---- 4. Tables ------------------------------------------------------------------------------ */

/* LGDT, LIDT: with 16-bit operands the base has 24 bits. */
static bool read_table_register(struct cpu *c, const struct insn *i, uint16_t *limit, uint32_t *base)
{
	uint8_t image[6];

	if (!privileged(c))
		return fault(c, EXC_GP, 0);
	if (!seg_read_bytes(c, i->seg, ea(c, i), image, sizeof image))
		return false;
	memcpy(limit, image, 2);
	memcpy(base, image + 2, 4);
	if (i->opsize == 2)
		*base &= 0xFFFFFF;
	return true;
}

enum run op_lgdt(struct cpu *c, const struct insn *i)
{
	uint16_t limit;
	uint32_t base;

	if (!read_table_register(c, i, &limit, &base))
		return faulted(c, i);
	c->gdtr.limit = limit;
	c->gdtr.base = base;
	NEXT(c, i);
}

enum run op_lidt(struct cpu *c, const struct insn *i)
{
	uint16_t limit;
	uint32_t base;

	if (!read_table_register(c, i, &limit, &base))
		return faulted(c, i);
	c->idtr.limit = limit;
	c->idtr.base = base;
	NEXT(c, i);
}

/* All 32 bits of the base, whatever the operand size: what 32-bit processors do (the 24-bit form of the
 * manual is the 286's; docs/CAVEATS.md). */
static bool write_table_register(struct cpu *c, const struct insn *i, uint16_t limit, uint32_t base)
{
	uint8_t image[6];

	memcpy(image, &limit, 2);
	memcpy(image + 2, &base, 4);
	return seg_write_bytes(c, i->seg, ea(c, i), image, sizeof image);
}

enum run op_sgdt(struct cpu *c, const struct insn *i)
{
	if (!write_table_register(c, i, c->gdtr.limit, c->gdtr.base))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_sidt(struct cpu *c, const struct insn *i)
{
	if (!write_table_register(c, i, c->idtr.limit, c->idtr.base))
		return faulted(c, i);
	NEXT(c, i);
}

static bool load_ldt(struct cpu *c, uint16_t selector)
{
	uint32_t lo, hi;

	if (sel_null(selector)) {
		c->ldtr = (struct cpu_segment){ .selector = selector };
		return true;
	}
	if (selector & SEL_TI)
		return fault(c, EXC_GP, sel_error(selector));
	if (!read_descriptor(c, selector, &lo, &hi, EXC_GP))
		return false;
	if (desc_type(hi) != SYS_LDT)
		return fault(c, EXC_GP, sel_error(selector));
	if (!desc_present(hi))
		return fault(c, EXC_NP, sel_error(selector));
	c->ldtr = unpack_descriptor(selector, lo, hi);
	return true;
}

/* The busy bit goes to memory before TR changes: the write may fault. */
static bool load_task_register(struct cpu *c, uint16_t selector)
{
	uint32_t lo, hi;

	if (sel_null(selector))
		return fault(c, EXC_GP, 0);
	if (selector & SEL_TI)
		return fault(c, EXC_GP, sel_error(selector));
	if (!read_descriptor(c, selector, &lo, &hi, EXC_GP))
		return false;
	if (desc_type(hi) != SYS_TSS16 && desc_type(hi) != SYS_TSS32)
		return fault(c, EXC_GP, sel_error(selector));
	if (!desc_present(hi))
		return fault(c, EXC_NP, sel_error(selector));
	hi |= (uint32_t)SYS_BUSY << 8;
	if (!lin_write8(c, c->gdtr.base + sel_error(selector) + 5, 0, (uint8_t)(hi >> 8)))
		return false;
	c->tr = unpack_descriptor(selector, lo, hi);
	return true;
}

enum run op_lldt(struct cpu *c, const struct insn *i)
{
	uint16_t selector;

	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (!privileged(c))
		return raise_error(c, i, EXC_GP, 0);
	if (!read_word(c, i, &selector) || !load_ldt(c, selector))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_ltr(struct cpu *c, const struct insn *i)
{
	uint16_t selector;

	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (!privileged(c))
		return raise_error(c, i, EXC_GP, 0);
	if (!read_word(c, i, &selector) || !load_task_register(c, selector))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_sldt(struct cpu *c, const struct insn *i)
{
	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (!write_word(c, i, c->ldtr.selector))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_str(struct cpu *c, const struct insn *i)
{
	if (!in_protected(c))
		return raise(c, i, EXC_UD);
	if (!write_word(c, i, c->tr.selector))
		return faulted(c, i);
	NEXT(c, i);
}

/* ---- 5. Caches ------------------------------------------------------------------------------ */

/* The address is not an access: no limit is checked, nothing is translated. */
enum run op_invlpg(struct cpu *c, const struct insn *i)
{
	if (!privileged(c))
		return raise_error(c, i, EXC_GP, 0);
	name_instruction(c, i);
	um_flush_page(c->um, c->seg[i->seg].base + ea(c, i));
	return end_block(c, i);
}

/* INVD, WBINVD: there are no caches to be seen. */
enum run op_cache_control(struct cpu *c, const struct insn *i)
{
	if (!privileged(c))
		return raise_error(c, i, EXC_GP, 0);
	NEXT(c, i);
}
