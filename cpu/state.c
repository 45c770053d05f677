/* SPDX-License-Identifier: MIT */
/*
 * cpu/state.c - making a processor, and its registers seen from outside.
 *
 *   1. Life      cpu_new(), cpu_free(), cpu_reset()
 *   2. State     cpu_get_state(), cpu_set_state()
 *   3. Snapshots cpu_save(), cpu_restore()
 *   4. Memory    cpu_peek(), cpu_poke()
 *   5. Text      cpu_describe_state(), cpu_describe_shutdown()
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/block.h"
#include "cpu/memory.h"
#include "cpu/uncached.h"
#include "cpu/warm.h"

/* ---- 1. Life -------------------------------------------------------------------------------- */

struct cpu *cpu_new(const struct cpu_config *config)
{
	struct cpu *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->um = config->um;
	c->exact = true; /* nothing is running */
	c->bus = config->bus;
	c->options = config->options;
	c->ram = config->ram;
	c->ram_bytes = config->ram_bytes;
	c->tsc_hz = config->tsc_hz;
	c->window = config->window ? config->window : 1ull << 32;
	c->host_code = config->host_code;
	if (!blocks_new(c) || !memos_new(c) || !warm_new(c) || !fpu_new(c)) {
		cpu_free(c);
		return NULL;
	}
	cpu_reset(c);
	return c;
}

void cpu_free(struct cpu *c)
{
	if (!c)
		return;
	if (c->fpu)
		fpu_free(c);
	blocks_free(c);
	memos_free(c);
	warm_free(c);
	free(c);
}

/* The core learns CR0.PG/WP, CR4.PSE/PGE and the root. */
static void tell_mode(struct cpu *c)
{
	uint32_t mode = (c->cr0 & CR0_PG ? UM_MODE_PAGING : 0u) | (c->cr0 & CR0_WP ? UM_MODE_WP : 0u) |
	                (c->cr4 & CR4_PSE ? UM_MODE_PSE : 0u) | (c->cr4 & CR4_PGE ? UM_MODE_PGE : 0u);

	um_set_mode(c->um, mode, c->cr3);
}

/* What both a reset and a new state from outside leave behind. */
static void start_afresh(struct cpu *c)
{
	c->exc.vector = c->undelivered.vector = -1;
	c->debug_hits = 0;
	c->inhibit_debug = false;
	c->patch = NULL;
	c->events = (c->events & EV_NMI) | (c->halted ? EV_HALT : 0u) | (c->inhibit ? EV_INHIBIT : 0u);
	debugger_starts_afresh(c);
	tell_mode(c);
	cpu_invalidate_all(c);
	mode_changed(c);
	flags_changed(c);
}

/* SDM vol. 3, table 9-1 */
void cpu_reset(struct cpu *c)
{
	enum { DATA = 0x93, CODE_AT_RESET = 0x9B, LDT = 0x82, BUSY_TSS = 0x8B };

	memset(c->gpr, 0, sizeof(c->gpr));
	c->gpr[CPU_EDX] = 0x600; /* family 6 */
	c->eip = 0xFFF0;
	c->flags = 2;
	set_status(c, 0);
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		c->seg[seg] = (struct cpu_segment){ 0, DATA, 0, 0xFFFF };
	c->seg[CPU_CS] = (struct cpu_segment){ 0xF000, CODE_AT_RESET, 0xFFFF0000u, 0xFFFF };
	c->ldtr = (struct cpu_segment){ 0, LDT, 0, 0xFFFF };
	c->tr = (struct cpu_segment){ 0, BUSY_TSS, 0, 0xFFFF };
	c->gdtr.base = c->idtr.base = 0;
	c->gdtr.limit = c->idtr.limit = 0xFFFF;
	c->cr0 = CR0_CD | CR0_NW | CR0_ET;
	c->cr2 = c->cr3 = c->cr4 = 0;
	memset(c->dr, 0, sizeof(c->dr));
	c->dr[6] = 0xFFFF0FF0u;
	c->dr[7] = 0x400;
	c->sysenter_cs = c->sysenter_esp = c->sysenter_eip = 0;
	memset(c->misc_msr, 0, sizeof(c->misc_msr));
	c->cpl = 0;
	c->halted = c->inhibit = c->nmi_pending = c->nmi_blocked = false;
	c->events = 0;
	c->last_words[0] = 0;
	fpu_reset(c);
	start_afresh(c);
}

/* ---- 2. State ------------------------------------------------------------------------------- */

void cpu_get_state(struct cpu *c, struct cpu_state *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->gpr, c->gpr, sizeof(out->gpr));
	out->eip = c->eip;
	out->eflags = get_eflags(c);
	memcpy(out->seg, c->seg, sizeof(out->seg));
	out->ldtr = c->ldtr;
	out->tr = c->tr;
	out->gdtr.base = c->gdtr.base;
	out->gdtr.limit = c->gdtr.limit;
	out->idtr.base = c->idtr.base;
	out->idtr.limit = c->idtr.limit;
	out->cr0 = c->cr0;
	out->cr2 = c->cr2;
	out->cr3 = c->cr3;
	out->cr4 = c->cr4;
	memcpy(out->dr, c->dr, sizeof(out->dr));
	out->sysenter_cs = c->sysenter_cs;
	out->sysenter_esp = c->sysenter_esp;
	out->sysenter_eip = c->sysenter_eip;
	fpu_save(c, out->fxsave);
	out->halted = c->halted;
	out->interrupt_shadow = c->inhibit;
}

void cpu_set_state(struct cpu *c, const struct cpu_state *in)
{
	memcpy(c->gpr, in->gpr, sizeof(in->gpr));
	c->eip = in->eip;
	c->flags = (in->eflags & ~(uint32_t)FL_STATUS) | 2;
	set_status(c, in->eflags);
	memcpy(c->seg, in->seg, sizeof(c->seg));
	c->ldtr = in->ldtr;
	c->tr = in->tr;
	c->gdtr.base = in->gdtr.base;
	c->gdtr.limit = in->gdtr.limit;
	c->idtr.base = in->idtr.base;
	c->idtr.limit = in->idtr.limit;
	c->cr0 = in->cr0;
	c->cr2 = in->cr2;
	c->cr3 = in->cr3;
	c->cr4 = in->cr4;
	memcpy(c->dr, in->dr, sizeof(c->dr));
	c->sysenter_cs = (uint32_t)in->sysenter_cs;
	c->sysenter_esp = (uint32_t)in->sysenter_esp;
	c->sysenter_eip = (uint32_t)in->sysenter_eip;
	fpu_load(c, in->fxsave);
	/* The privilege is SS.DPL in protected mode, 3 in V86 mode, 0 in real mode. */
	c->cpl = !(c->cr0 & CR0_PE) ? 0 : c->flags & FL_VM ? 3 : (uint8_t)(c->seg[CPU_SS].attr >> 5 & 3);
	c->halted = in->halted;
	c->inhibit = in->interrupt_shadow;
	start_afresh(c);
}

/* ---- 3. Snapshots --------------------------------------------------------------------------- */

void cpu_save(struct cpu *c, struct cpu_saved *out)
{
	memset(out, 0, sizeof(*out));
	cpu_get_state(c, &out->state);
	out->nmi_pending = c->nmi_pending;
	out->nmi_blocked = c->nmi_blocked;
	out->inhibit_debug = c->inhibit_debug;
	memcpy(out->misc_msr, c->misc_msr, sizeof(out->misc_msr));
	out->undelivered.vector = c->undelivered.vector;
	out->undelivered.has_error = c->undelivered.has_error;
	out->undelivered.software = c->undelivered.software;
	out->undelivered.external = c->undelivered.external;
	out->undelivered.error = c->undelivered.error;
	out->undelivered.eip = c->int_eip;
}

/* What MOV to CRn, POPF and segment loads let through (SDM vol. 3, 2.5, 3.4.3). */
static void make_possible(struct cpu_state *s)
{
	enum { ATTR = 0xF0FF };
	const uint32_t flags = FL_STATUS | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | FL_VIF |
	                       FL_VIP | FL_ID;
	const uint32_t cr0 = CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |
	                     CR0_PG;

	s->eflags &= flags;
	s->cr0 &= s->cr0 & CR0_PE ? cr0 : cr0 & ~(uint32_t)CR0_PG;
	s->cr4 &= CR4_TSD | CR4_DE | CR4_PSE | CR4_PGE | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		s->seg[seg].attr &= ATTR;
	s->ldtr.attr &= ATTR;
	s->tr.attr &= ATTR;
}

void cpu_restore(struct cpu *c, const struct cpu_saved *in)
{
	struct cpu_state state = in->state;

	make_possible(&state);
	cpu_set_state(c, &state);
	c->nmi_pending = in->nmi_pending;
	c->nmi_blocked = in->nmi_blocked;
	c->inhibit_debug = in->inhibit_debug;
	memcpy(c->misc_msr, in->misc_msr, sizeof(c->misc_msr));
	c->undelivered.vector = in->undelivered.vector;
	c->undelivered.has_error = in->undelivered.has_error;
	c->undelivered.software = in->undelivered.software;
	c->undelivered.external = in->undelivered.external;
	c->undelivered.error = in->undelivered.error;
	c->int_eip = in->undelivered.eip;
	c->events = (c->events & ~(uint32_t)EV_NMI) | (c->nmi_pending ? EV_NMI : 0u);
}

/* ---- 4. Memory ------------------------------------------------------------------------------ */

/* A debugger's look at guest-physical memory: guest RAM is one range from 0. */
static bool read_entry(const struct cpu *c, uint64_t gpa, uint32_t *entry)
{
	if (gpa + 4 > c->ram_bytes)
		return false;
	memcpy(entry, c->ram + gpa, 4);
	return true;
}

/* Walk the guest's own tables (SDM vol. 3, 4.3), changing nothing. */
static bool walk(const struct cpu *c, uint32_t linear, um_gpa *gpa)
{
	enum { PRESENT = 1, PAGE_SIZE_BIT = 0x80 };
	uint32_t pde, pte;

	*gpa = linear;
	if (!(c->cr0 & CR0_PG))
		return true;
	if (!read_entry(c, (c->cr3 & PAGE_MASK) + (linear >> 22) * 4ull, &pde) || !(pde & PRESENT))
		return false;
	if (pde & PAGE_SIZE_BIT && c->cr4 & CR4_PSE) {
		*gpa = (pde & 0xFFC00000u) | (linear & 0x3FFFFFu);
		return true;
	}
	if (!read_entry(c, (pde & PAGE_MASK) + (linear >> 12 & 1023) * 4ull, &pte) || !(pte & PRESENT))
		return false;
	*gpa = (pte & PAGE_MASK) | (linear & ~PAGE_MASK);
	return true;
}

/* Bytes at `linear` up to the page's end as host memory, NULL if there is none. */
static uint8_t *look(struct cpu *c, uint32_t linear, um_gpa *gpa)
{
	if (!walk(c, linear, gpa) || *gpa >= c->ram_bytes)
		return NULL;
	return c->ram + *gpa;
}

size_t cpu_peek(struct cpu *c, uint32_t linear, void *buf, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		size_t piece = UM_PAGE_SIZE - (linear + done) % UM_PAGE_SIZE;
		um_gpa gpa;
		const uint8_t *p = look(c, (uint32_t)(linear + done), &gpa);
		if (!p)
			break;
		if (piece > bytes - done)
			piece = bytes - done;
		memcpy((uint8_t *)buf + done, p, piece);
		done += piece;
	}
	return done;
}

size_t cpu_poke(struct cpu *c, uint32_t linear, const void *buf, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		size_t piece = UM_PAGE_SIZE - (linear + done) % UM_PAGE_SIZE;
		um_gpa gpa;
		uint8_t *p = look(c, (uint32_t)(linear + done), &gpa);
		if (!p)
			break;
		if (piece > bytes - done)
			piece = bytes - done;
		memcpy(p, (const uint8_t *)buf + done, piece);
		cpu_code_written(c, p, piece);
		um_guest_wrote(c->um, gpa, piece);
		done += piece;
	}
	return done;
}

/* ---- 5. Text -------------------------------------------------------------------------------- */

struct text { char *buf; size_t room, used; };

static __attribute__((format(printf, 2, 3))) void put(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->buf + t->used, t->room - t->used, format, args);
	va_end(args);
	if (n > 0)
		t->used += (size_t)n < t->room - t->used ? (size_t)n : t->room - t->used - 1;
}

static void put_segment(struct text *t, const char *name, const struct cpu_segment *s)
{
	put(t, "%s=%04x %08x %08x %04x\n", name, s->selector, s->base, s->limit, s->attr);
}

static void put_code(struct text *t, struct cpu *c)
{
	uint8_t bytes[16];
	size_t n = cpu_peek(c, c->seg[CPU_CS].base + c->eip, bytes, sizeof(bytes));

	put(t, "code=");
	for (size_t k = 0; k < n; k++)
		put(t, "%s%02x", k ? " " : "", bytes[k]);
	put(t, "%s\n", n ? "" : "(not mapped)");
}

size_t cpu_describe_state(struct cpu *c, char *buf, size_t bytes)
{
	static const char *const names[] = { "es", "cs", "ss", "ds", "fs", "gs" };
	struct text t = { buf, bytes, 0 };
	const uint32_t *r = c->gpr;

	if (!bytes)
		return 0;
	put(&t, "eax=%08x ebx=%08x ecx=%08x edx=%08x\n", r[CPU_EAX], r[CPU_EBX], r[CPU_ECX], r[CPU_EDX]);
	put(&t, "esi=%08x edi=%08x ebp=%08x esp=%08x\n", r[CPU_ESI], r[CPU_EDI], r[CPU_EBP], r[CPU_ESP]);
	put(&t, "eip=%08x eflags=%08x cpl=%u%s%s\n", c->eip, get_eflags(c), c->cpl, c->halted ? " halted" : "",
	    c->inhibit ? " interrupt-shadow" : "");
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		put_segment(&t, names[seg], &c->seg[seg]);
	put_segment(&t, "ldtr", &c->ldtr);
	put_segment(&t, "tr", &c->tr);
	put(&t, "gdtr=%08x %04x idtr=%08x %04x\n", c->gdtr.base, c->gdtr.limit, c->idtr.base, c->idtr.limit);
	put(&t, "cr0=%08x cr2=%08x cr3=%08x cr4=%08x\n", c->cr0, c->cr2, c->cr3, c->cr4);
	put(&t, "dr0=%08x dr1=%08x dr2=%08x dr3=%08x dr6=%08x dr7=%08x\n", c->dr[0], c->dr[1], c->dr[2],
	    c->dr[3], c->dr[6], c->dr[7]);
	put_code(&t, c);
	return t.used;
}

size_t cpu_describe_shutdown(struct cpu *c, char *buf, size_t bytes)
{
	struct text t = { buf, bytes, 0 };

	if (!bytes)
		return 0;
	put(&t, "%s\n", c->last_words[0] ? c->last_words : "triple fault");
	t.used += cpu_describe_state(c, buf + t.used, bytes - t.used);
	return t.used;
}
