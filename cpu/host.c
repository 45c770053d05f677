/* SPDX-License-Identifier: MIT */
/*
 * cpu/host.c - what a host does that keeps ring 0 for itself (cpu.h, section 6).
 *
 *   1. The window     descriptor tables and task state segments that are the host's
 *   2. Registers      in and out, one at a time
 *   3. Segments       loaded again from the host's table
 */
#include "cpu/system.h"

/* ---- 1. The window -------------------------------------------------------------------------- */

/* What is not mapped there reads as zeroes: a descriptor that is not present.  No exception of the guest's
 * may come of it, since the host alone has a hand in these tables. */
bool window_read(struct cpu *c, uint32_t linear, void *buf, unsigned bytes)
{
	for (unsigned n = 0; n < bytes; n++) {
		struct um_map map;
		uint32_t at = linear + n;
		uint8_t *to = (uint8_t *)buf + n;

		*to = 0;
		if (at < c->window || um_window_lookup(c->um, at, &map) != UM_OK)
			continue;
		const uint8_t *page = (const uint8_t *)((uintptr_t)map.hfn << UM_PAGE_SHIFT);
		unsigned offset = at & (UM_PAGE_SIZE - 1), room = UM_PAGE_SIZE - offset;
		unsigned some = bytes - n < room ? bytes - n : room;

		memcpy(to, page + offset, some);
		n += some - 1;
	}
	return true;
}

/* ---- 2. Registers --------------------------------------------------------------------------- */

void cpu_get_regs(struct cpu *c, struct cpu_regs *out)
{
	memcpy(out->gpr, c->gpr, sizeof out->gpr);
	out->eip = c->eip;
	out->eflags = get_eflags(c);
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		out->selector[seg] = c->seg[seg].selector;
	out->cpl = c->cpl;
	out->halted = c->halted;
}

void cpu_set_gpr(struct cpu *c, unsigned gpr, uint32_t value) { c->gpr[gpr & 7] = value; }
void cpu_set_eip(struct cpu *c, uint32_t eip) { c->eip = eip; }
uint32_t cpu_get_cr2(const struct cpu *c) { return c->cr2; }

void cpu_set_ts(struct cpu *c, bool ts)
{
	uint32_t old = c->cr0;

	c->cr0 = ts ? old | CR0_TS : old & ~(uint32_t)CR0_TS;
	if (c->cr0 != old)
		control_changed(c, old, c->cr4);
}

void cpu_set_root(struct cpu *c, bool paging, uint32_t cr3)
{
	uint32_t old = c->cr0;

	c->cr0 = paging ? old | CR0_PG : old & ~(uint32_t)CR0_PG;
	if (c->cr0 == old) {
		load_cr3(c, cr3);
		return;
	}
	c->cr3 = cr3;
	control_changed(c, old, c->cr4);
}

void cpu_set_halted(struct cpu *c, bool halted)
{
	if (halted)
		set_halted(c);
	else
		c->halted = false;
}

/* ---- 3. Segments ---------------------------------------------------------------------------- */

/* CS as IRET checks it when it returns to the ring that the guest is in. */
static bool reload_code(struct cpu *c)
{
	uint16_t selector = c->seg[CPU_CS].selector;
	uint32_t lo, hi;

	if (sel_null(selector) || !read_descriptor(c, selector, &lo, &hi, EXC_GP))
		return false;
	if (!desc_is_code(hi) || !desc_present(hi) ||
	    (desc_is_conforming(hi) ? desc_dpl(hi) > c->cpl : desc_dpl(hi) != c->cpl))
		return false;
	c->seg[CPU_CS] = unpack_descriptor(selector, lo, hi);
	return true;
}

bool cpu_reload_segments(struct cpu *c)
{
	static const uint8_t order[] = { CPU_SS, CPU_DS, CPU_ES, CPU_FS, CPU_GS };
	struct cpu_segment before[6];
	bool ok;

	memcpy(before, c->seg, sizeof before);
	ok = reload_code(c);
	for (unsigned n = 0; ok && n < sizeof order; n++)
		ok = load_segment(c, order[n], c->seg[order[n]].selector);
	if (!ok)
		memcpy(c->seg, before, sizeof before);
	c->exc.vector = -1;
	c->inhibit = c->inhibit_debug = false;
	mode_changed(c);
	return ok;
}
