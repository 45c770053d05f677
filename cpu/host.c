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

#define WINDOW_CPU 0u /* this processor's, to the core */

/* The window hangs in the current root; one that was evicted, or is new, is built first. */
static enum um_result find_window_page(struct cpu *c, uint32_t linear, struct um_map *map)
{
	enum um_result r = um_window_lookup(c->um, linear, map);

	if (likely(r == UM_OK))
		return r;
	r = um_window_enter(c->um, WINDOW_CPU);
	return r == UM_OK ? um_window_lookup(c->um, linear, map) : r;
}

/* What is not mapped there reads as zeroes: a descriptor that is not present.  No exception of the guest's
 * may come of it, since the host alone has a hand in these tables. */
bool window_read(struct cpu *c, uint32_t linear, void *buf, unsigned bytes)
{
	unsigned done = 0;

	memset(buf, 0, bytes);
	while (done < bytes && linear + done >= c->window) {
		struct um_map map;
		uint32_t offset = (linear + done) & (UM_PAGE_SIZE - 1), room = UM_PAGE_SIZE - offset;
		unsigned some = bytes - done < room ? bytes - done : room;
		enum um_result r = find_window_page(c, linear + done, &map);

		if (r == UM_NOMEM) {
			c->exit = CPU_EXIT_NOMEM;
			c->exc.vector = -1;
			return false;
		}
		if (r == UM_OK) {
			const uint8_t *page = (const uint8_t *)((uintptr_t)map.hfn << UM_PAGE_SHIFT);
			memcpy((uint8_t *)buf + done, page + offset, some);
		}
		done += some;
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
	out->busy = c->inhibit || c->undelivered.vector >= 0;
}

void cpu_set_gpr(struct cpu *c, unsigned gpr, uint32_t value) { c->gpr[gpr & 7] = value; }
void cpu_set_eip(struct cpu *c, uint32_t eip) { c->eip = eip; }
uint32_t cpu_get_cr2(const struct cpu *c) { return c->cr2; }
uint32_t cpu_get_cr3(const struct cpu *c) { return c->cr3; }

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
