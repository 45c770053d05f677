/* SPDX-License-Identifier: MIT */
/*
 * cpu/task.c - hardware tasks: the TSS, and switching from one to another (SDM vol. 3, chapter 7).
 *
 *   1. The TSS          its two layouts
 *   2. Inner stacks     SSn:ESPn
 *   3. Before           all checks that belong to the old task; every page the switch writes is probed
 *   4. The switch       save, load registers; nothing fails here
 *   5. After            segments of the new task: their faults are the new task's
 *
 * The point of no return lies between 3 and 4.  From 5 on a fault is recorded with c->eip in the new task, its
 * registers loaded and the segment registers not yet reached unusable, as SDM vol. 3, 7.3 leaves them.
 */
#include "cpu/system.h"

/* ---- 1. The TSS ----------------------------------------------------------------------------- */

/* Offsets in a 32-bit TSS (SDM vol. 3, figure 7-2). */
enum {
	TSS32_CR3 = 0x1C, TSS32_EIP = 0x20, TSS32_EFLAGS = 0x24, TSS32_GPR = 0x28, TSS32_SEG = 0x48, TSS32_LDT = 0x60,
	TSS32_TRAP = 0x64, TSS32_SAVED_END = 0x60, TSS32_LIMIT = 0x67,
};
/* ... and in a 16-bit one (figure 7-10). */
enum {
	TSS16_IP = 0x0E, TSS16_FLAGS = 0x10, TSS16_GPR = 0x12, TSS16_SEG = 0x22, TSS16_LDT = 0x2A,
	TSS16_SAVED_END = 0x2A, TSS16_LIMIT = 0x2B,
};
enum { TSS_LINK = 0, TSS_STATE_MAX = TSS32_LIMIT + 1 };

#define EFLAGS_DEFINED                                                                                 \
	(FL_STATUS | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_ID)

/* What a TSS says, whatever its layout. */
struct task_state {
	uint32_t gpr[8], eip, eflags, cr3;
	uint16_t seg[6], ldt;
	bool trap;
};

static bool tss_is_32bit(const struct cpu_segment *tr) { return (tr->attr & SYS_32BIT) != 0; }

/* ---- 2. Inner stacks ------------------------------------------------------------------------ */

bool read_inner_stack(struct cpu *c, unsigned cpl, uint16_t *ss, uint32_t *esp)
{
	bool wide = tss_is_32bit(&c->tr);
	uint32_t at = wide ? cpl * 8 + 4 : cpl * 4 + 2;
	uint16_t half;

	if (at + (wide ? 5 : 3) > c->tr.limit)
		return fault(c, EXC_TS, sel_error(c->tr.selector));
	if (wide)
		return sys_read32(c, c->tr.base + at, esp) && sys_read16(c, c->tr.base + at + 4, ss);
	if (!sys_read16(c, c->tr.base + at, &half))
		return false;
	*esp = half;
	return sys_read16(c, c->tr.base + at + 2, ss);
}

/* ---- 3. Before ------------------------------------------------------------------------------ */

static bool read_range(struct cpu *c, uint32_t linear, uint8_t *to, unsigned bytes)
{
	for (unsigned n = 0; n < bytes; n++)
		if (!lin_read8(c, linear + n, 0, &to[n]))
			return false;
	return true;
}

/* The busy bit's byte of a descriptor in the GDT. */
static uint32_t busy_byte(const struct cpu *c, uint16_t selector)
{
	return c->gdtr.base + sel_error(selector) + 5;
}

/* TR may hold a selector that no GDT backs (after reset, or by a debugger): then there is no bit. */
static bool has_descriptor(const struct cpu *c, uint16_t selector)
{
	return !sel_null(selector) && (selector | 7u) <= c->gdtr.limit;
}

/* Steps 1 to 4 of SDM vol. 3, 7.3: the TSS descriptor named by `selector`. */
static bool check_new_tss(struct cpu *c, uint16_t selector, enum task_switch why, struct cpu_segment *tss)
{
	enum vector vector = why == TASK_IRET ? EXC_TS : EXC_GP;
	uint32_t lo, hi;

	if (selector & SEL_TI)
		return fault(c, vector, sel_error(selector));
	if (!read_descriptor(c, selector, &lo, &hi, vector))
		return false;
	if ((desc_type(hi) & ~(unsigned)SYS_32BIT) != (why == TASK_IRET ? SYS_TSS16_BUSY : SYS_TSS16))
		return fault(c, vector, sel_error(selector));
	if (!desc_present(hi))
		return fault(c, EXC_NP, sel_error(selector));
	*tss = unpack_descriptor((uint16_t)(selector & 0xFFFC), lo, hi | (uint32_t)SYS_BUSY << 8);
	if (tss->limit < (tss_is_32bit(tss) ? (uint32_t)TSS32_LIMIT : (uint32_t)TSS16_LIMIT))
		return fault(c, EXC_TS, sel_error(selector));
	return true;
}

/* Step 5: every byte that the switch will read or write is there. */
static bool probe_switch(struct cpu *c, const struct cpu_segment *tss, enum task_switch why)
{
	uint8_t unused[TSS_STATE_MAX];
	bool old32 = tss_is_32bit(&c->tr), links = why == TASK_CALL || why == TASK_GATE;
	uint32_t first = old32 ? TSS32_EIP : TSS16_IP, end = old32 ? TSS32_SAVED_END : TSS16_SAVED_END;

	if (!read_range(c, tss->base, unused, tss_is_32bit(tss) ? TSS32_LIMIT + 1 : TSS16_LIMIT + 1))
		return false;
	if (!lin_probe_write(c, c->tr.base + first, end - first, 0))
		return false;
	if (links && !lin_probe_write(c, tss->base + TSS_LINK, 2, 0))
		return false;
	if (!links && has_descriptor(c, c->tr.selector) &&
	    !lin_probe_write(c, busy_byte(c, c->tr.selector), 1, 0))
		return false;
	return why == TASK_IRET || lin_probe_write(c, busy_byte(c, tss->selector), 1, 0);
}

/* ---- 4. The switch -------------------------------------------------------------------------- */

/* Memory that has been probed: the results are known. */
static void put16(struct cpu *c, uint32_t linear, uint32_t value) { (void)lin_write16(c, linear, 0, (uint16_t)value); }
static void put32(struct cpu *c, uint32_t linear, uint32_t value) { (void)lin_write32(c, linear, 0, value); }

static void set_busy(struct cpu *c, uint16_t selector, bool busy)
{
	uint32_t at = busy_byte(c, selector);
	uint8_t byte;

	if (!has_descriptor(c, selector) || !lin_read8(c, at, 0, &byte))
		return;
	byte = (uint8_t)(busy ? byte | SYS_BUSY : byte & ~SYS_BUSY);
	(void)lin_write8(c, at, 0, byte);
}

/* CPU_ES.. are in the order in which a TSS has them: ES, CS, SS, DS, FS, GS. */
static void save_state(struct cpu *c, uint32_t eip, uint32_t eflags)
{
	uint32_t base = c->tr.base;

	if (tss_is_32bit(&c->tr)) {
		put32(c, base + TSS32_EIP, eip);
		put32(c, base + TSS32_EFLAGS, eflags);
		for (unsigned n = 0; n < 8; n++)
			put32(c, base + TSS32_GPR + 4 * n, c->gpr[n]);
		for (unsigned n = 0; n < 6; n++)
			put16(c, base + TSS32_SEG + 4 * n, c->seg[n].selector);
		return;
	}
	put16(c, base + TSS16_IP, eip);
	put16(c, base + TSS16_FLAGS, eflags);
	for (unsigned n = 0; n < 8; n++)
		put16(c, base + TSS16_GPR + 2 * n, c->gpr[n]);
	for (unsigned n = 0; n < 4; n++)
		put16(c, base + TSS16_SEG + 2 * n, c->seg[n].selector);
}

static uint32_t get16(const uint8_t *p) { return p[0] | (uint32_t)p[1] << 8; }
static uint32_t get32(const uint8_t *p) { return get16(p) | get16(p + 2) << 16; }

/* A 16-bit TSS leaves the upper halves of the registers all ones, FS and GS null. */
static void parse_state(const uint8_t *tss, bool wide, struct task_state *t)
{
	*t = (struct task_state){ .cr3 = 0 };
	for (unsigned n = 0; n < 8; n++)
		t->gpr[n] = wide ? get32(tss + TSS32_GPR + 4 * n) : 0xFFFF0000u | get16(tss + TSS16_GPR + 2 * n);
	for (unsigned n = 0; n < (wide ? 6u : 4u); n++)
		t->seg[n] = (uint16_t)get16(wide ? tss + TSS32_SEG + 4 * n : tss + TSS16_SEG + 2 * n);
	t->eip = wide ? get32(tss + TSS32_EIP) : get16(tss + TSS16_IP);
	t->eflags = wide ? get32(tss + TSS32_EFLAGS) : get16(tss + TSS16_FLAGS);
	t->ldt = (uint16_t)get16(tss + (wide ? TSS32_LDT : TSS16_LDT));
	if (wide) {
		t->cr3 = get32(tss + TSS32_CR3);
		t->trap = tss[TSS32_TRAP] & 1;
	}
}

/* Steps 6 to 12. */
static void exchange(struct cpu *c, const struct cpu_segment *tss, enum task_switch why, uint32_t old_eip,
                     struct task_state *new)
{
	static const uint32_t local_breakpoints = 0x155; /* DR7.L0-L3, LE */
	bool links = why == TASK_CALL || why == TASK_GATE, wide = tss_is_32bit(tss);
	uint32_t eflags = get_eflags(c);
	uint8_t image[TSS_STATE_MAX] = { 0 };

	if (!links)
		set_busy(c, c->tr.selector, false);
	save_state(c, old_eip, why == TASK_IRET ? eflags & ~(uint32_t)FL_NT : eflags);
	(void)read_range(c, tss->base, image, wide ? TSS32_LIMIT + 1 : TSS16_LIMIT + 1);
	parse_state(image, wide, new);
	if (links) {
		put16(c, tss->base + TSS_LINK, c->tr.selector);
		new->eflags |= FL_NT;
	}
	if (why != TASK_IRET)
		set_busy(c, tss->selector, true);
	c->is_int = false; /* from here on it is the new task that runs */
	c->tr = *tss;
	c->cr0 |= CR0_TS;
	if (wide && (c->cr0 & CR0_PG) && new->cr3 != c->cr3)
		load_cr3(c, new->cr3);
	memcpy(c->gpr, new->gpr, sizeof new->gpr);
	c->eip = new->eip;
	c->dr[7] &= ~local_breakpoints;
	for (unsigned n = 0; n < 6; n++)
		c->seg[n] = (struct cpu_segment){ .selector = new->seg[n] };
	c->ldtr = (struct cpu_segment){ .selector = new->ldt };
	set_cpl(c, new->eflags & FL_VM ? 3 : sel_rpl(new->seg[CPU_CS]));
	set_eflags(c, new->eflags, EFLAGS_DEFINED);
}

/* ---- 5. After ------------------------------------------------------------------------------- */

static bool load_new_ldt(struct cpu *c, uint16_t selector)
{
	uint32_t lo, hi;

	if (sel_null(selector))
		return true;
	if (selector & SEL_TI)
		return fault(c, EXC_TS, sel_error(selector));
	if (!read_descriptor(c, selector, &lo, &hi, EXC_TS))
		return false;
	if (desc_type(hi) != SYS_LDT || !desc_present(hi))
		return fault(c, EXC_TS, sel_error(selector));
	c->ldtr = unpack_descriptor(selector, lo, hi);
	return true;
}

static bool load_new_cs(struct cpu *c, uint16_t selector)
{
	uint32_t lo, hi;

	if (sel_null(selector))
		return fault(c, EXC_TS, 0);
	if (!read_descriptor(c, selector, &lo, &hi, EXC_TS))
		return false;
	if (!desc_is_code(hi) ||
	    (desc_is_conforming(hi) ? desc_dpl(hi) > sel_rpl(selector) : desc_dpl(hi) != sel_rpl(selector)))
		return fault(c, EXC_TS, sel_error(selector));
	if (!desc_present(hi))
		return fault(c, EXC_NP, sel_error(selector));
	if (!write_accessed(c, selector, &hi))
		return false;
	load_cs(c, selector, lo, hi, sel_rpl(selector));
	return true;
}

/* Step 13 (SDM vol. 3, table 7-1). */
static bool load_new_segments(struct cpu *c, const struct task_state *t)
{
	static const uint8_t data[] = { CPU_DS, CPU_ES, CPU_FS, CPU_GS };

	if (!load_new_ldt(c, t->ldt))
		return false;
	if (in_v86(c)) {
		for (unsigned n = 0; n < 6; n++)
			set_segment_real(c, n, t->seg[n]);
		return true;
	}
	if (!load_new_cs(c, t->seg[CPU_CS]) ||
	    !check_stack_segment(c, t->seg[CPU_SS], c->cpl, EXC_TS, &c->seg[CPU_SS]))
		return false;
	for (unsigned n = 0; n < sizeof data; n++)
		if (!check_data_segment(c, t->seg[data[n]], EXC_TS, &c->seg[data[n]]))
			return false;
	return true;
}

static bool push_error_code(struct cpu *c, uint32_t error)
{
	unsigned size = tss_is_32bit(&c->tr) ? 4 : 2;
	struct stack s = current_stack(c);

	if (!stack_room(&s, 1, size))
		return fault(c, EXC_SS, 0);
	if (!stack_push(c, &s, size, error))
		return false;
	c->gpr[CPU_ESP] = stack_pointer(c, &s);
	return true;
}

bool switch_task(struct cpu *c, uint16_t selector, enum task_switch why, uint32_t next, bool push_error,
                 uint32_t error)
{
	struct cpu_segment tss;
	struct task_state new;
	bool loaded;

	/* Halfway nobody can ask for the instruction once more. */
	if (c->no_tags & (OBSERVED | WATCHED) && !c->exact) {
		c->exit = EXIT_AGAIN;
		return false;
	}
	if (!check_new_tss(c, selector, why, &tss) || !probe_switch(c, &tss, why))
		return false;
	exchange(c, &tss, why, next, &new);
	loaded = load_new_segments(c, &new);
	mode_changed(c);
	if (!loaded)
		return false;
	if (push_error && !push_error_code(c, error))
		return false;
	if (c->eip > c->seg[CPU_CS].limit)
		return fault(c, EXC_GP, 0);
	if (!new.trap)
		return true;
	/* The T flag: a debug exception before the new task's first instruction (SDM vol. 3, 17.3.1.5). */
	c->dr[6] |= DR6_BT;
	return fault(c, EXC_DB, 0);
}
