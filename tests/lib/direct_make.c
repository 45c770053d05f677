/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/direct_make.c - random programs for direct_rig.h.
 *
 *   1. Maker          where code goes, what is drawn
 *   2. Descriptors    GDT, LDT, IDT, TSSs
 *   3. Tables         page tables and windows
 *   4. Values         addresses with a taste for what hurts
 *   5. Pieces         see direct_code.c
 *
 * A program is some pieces of code, each with registers of its own to start from (DR_PIECES), and the kernel that
 * leads from one to the next.
 */
#include "tests/lib/direct_make.h"

#include <string.h>

const char *const program_kind_names[PROGRAM_KINDS] = {
	"mixed", "user", "kernel", "branches", "memory", "strings", "fpu", "system", "tables", "self", "segments", "garbage",
	"heat",
};

/* ---- 1. Maker ------------------------------------------------------------------------------- */

void put_word(struct maker *m, uint32_t phys, uint32_t value) { memcpy(m->p->image + phys, &value, 4); }

static uint32_t word_at(const struct maker *m, uint32_t phys)
{
	uint32_t value;

	memcpy(&value, m->p->image + phys, 4);
	return value;
}

uint32_t pick(struct maker *m, const uint32_t *list, unsigned count) { return list[rng_below(&m->rng, count)]; }

/* ---- 2. Descriptors ------------------------------------------------------------------------- */

enum { G = 8, D = 4 }; /* flags of a descriptor */

static void put_descriptor(struct maker *m, unsigned selector, uint32_t base, uint32_t limit, uint32_t access,
                           uint32_t flags)
{
	uint32_t at = DR_GDT + (selector & ~7u);

	put_word(m, at, base << 16 | (limit & 0xFFFF));
	put_word(m, at + 4, (base & 0xFF000000u) | flags << 20 | (limit & 0xF0000) | access << 8 | (base >> 16 & 0xFF));
}

static void put_gate(struct maker *m, uint32_t at, uint32_t selector, uint32_t offset, uint32_t access)
{
	put_word(m, at, selector << 16 | (offset & 0xFFFF));
	put_word(m, at + 4, (offset & 0xFFFF0000u) | access << 8);
}

static uint32_t kernel_address(const uint8_t *what) { return DR_KERNEL + (uint32_t)(what - direct_kernel); }

static void make_tss(struct maker *m)
{
	put_word(m, DR_TSS + 4, DR_STACK0);
	put_word(m, DR_TSS + 8, DR_DATA0);
	put_word(m, DR_TSS + 12, DR_STACK1);
	put_word(m, DR_TSS + 16, DR_DATA1);
	put_word(m, DR_TSS + 28, DR_DIRECTORY);
	put_word(m, DR_TSS + 100, (DR_IO_MAP - DR_TSS) << 16);
	for (unsigned n = 0; n < DR_TSS_LIMIT + 1 - (DR_IO_MAP - DR_TSS); n += 4)
		put_word(m, DR_IO_MAP + n, rng_one_in(&m->rng, 4) ? (uint32_t)rng_next(&m->rng) : 0xFFFFFFFFu);
	put_word(m, DR_TSS_DF + 28, DR_DIRECTORY);
	put_word(m, DR_TSS_DF + 32, kernel_address(direct_kernel_df));
	put_word(m, DR_TSS_DF + 36, 2);
	put_word(m, DR_TSS_DF + 56, DR_STACK_DF);
	put_word(m, DR_TSS_DF + 72, DR_DATA0);
	put_word(m, DR_TSS_DF + 76, DR_CODE0);
	put_word(m, DR_TSS_DF + 80, DR_DATA0);
	put_word(m, DR_TSS_DF + 84, DR_DATA0);
	put_word(m, DR_TSS_DF + 96, DR_SEL_LDT);
	put_word(m, DR_TSS_DF + 100, 0x68u << 16);
}

static void make_descriptors(struct maker *m)
{
	static const struct { uint16_t selector; uint8_t access, flags; uint32_t base, limit; } fixed[] = {
		{ DR_CODE0, 0x9B, G | D, 0, 0xFFFFF }, { DR_DATA0, 0x93, G | D, 0, 0xFFFFF },
		{ DR_CODE3, 0xFB, G | D, 0, 0xFFFFF }, { DR_DATA3, 0xF3, G | D, 0, 0xFFFFF },
		{ DR_CODE1, 0xBB, G | D, 0, 0xFFFFF }, { DR_DATA1, 0xB3, G | D, 0, 0xFFFFF },
		{ DR_SEL_TSS, 0x8B, 0, DR_TSS, DR_TSS_LIMIT }, { DR_SEL_TSS_DF, 0x89, 0, DR_TSS_DF, 0x67 },
		{ DR_SEL_LDT, 0x82, 0, DR_LDT, 0xFF },
		{ DR_SHORT, 0xF3, D, DR_DATA, 0x1234 }, { DR_DOWN, 0xF7, G | D, 0, 0x26 },
		{ DR_READONLY, 0xF1, G | D, 0, 0xFFFFF }, { DR_CODE3_BASE, 0xFB, D, DR_CODE, DR_CODE_END - DR_CODE - 1 },
		{ DR_CODE16, 0xFB, 0, DR_CODE, 0xFFFF }, { DR_STACK16, 0xF3, 0, DR_STACK, 0xFFFF },
		{ DR_CODE0_BASE, 0x9B, D, DR_CODE, DR_CODE_END - DR_CODE - 1 }, { DR_CODE0_16, 0x9B, 0, DR_CODE, 0xFFFF },
		{ DR_STACK0_16, 0x93, 0, DR_STACK, 0xFFFF }, { DR_CONFORMING, 0x9F, G | D, 0, 0xFFFFF },
		{ DR_ABSENT, 0x73, G | D, 0, 0xFFFFF }, { DR_SHORT0, 0x93, D, DR_DATA, 0x2345 },
	};

	for (unsigned n = 0; n < sizeof(fixed) / sizeof(*fixed); n++)
		put_descriptor(m, fixed[n].selector, fixed[n].base, fixed[n].limit, fixed[n].access, fixed[n].flags);
	put_descriptor(m, DR_TLS, rng_one_in(&m->rng, 2) ? 0xB7D00000u : address(m), 0xFFFFF, 0xF3, G | D);
	put_gate(m, DR_GDT + (DR_GATE & ~7u), DR_CODE0, kernel_address(direct_kernel_gate), 0xEC);
	memcpy(m->p->image + DR_LDT, m->p->image + DR_GDT, 0x100);
	/* A few of nobody's liking. */
	for (unsigned n = 0; n < 4; n++) {
		uint32_t at = DR_GDT + DR_SELECTORS - 8 - 8 * n;
		put_word(m, at, (uint32_t)rng_next(&m->rng));
		put_word(m, at + 4, (uint32_t)rng_next(&m->rng));
	}
	for (unsigned v = 0; v < 256; v++) {
		unsigned stub = v < DR_STUBS ? v : DR_STUBS - 1;
		bool open = v == 3 || v == 4 || v == DR_NEXT_VECTOR || v == DR_CALL_VECTOR || v >= DR_STUBS;
		put_gate(m, DR_IDT + 8 * v, DR_CODE0, DR_KERNEL + DR_STUB_BYTES * stub,
		         (open ? 0xEEu : 0x8Eu) | (rng_one_in(&m->rng, 8) ? 1u : 0) /* trap gate */);
	}
	put_gate(m, DR_IDT + 8 * 8, DR_SEL_TSS_DF, 0, 0x85);
}

/* ---- 3. Tables ------------------------------------------------------------------------------ */

enum { P = 1, W = 2, U = 4, PWT = 8, PCD = 16, A = 32, DIRTY = 64, PS = 128, GLOBAL = 256 };

/* Rights as real systems have them, and others.  Global is what every directory shows alike: where one shows
 * something else, how long the first is remembered is the processor's business. */
static uint32_t rights(struct maker *m, bool kernel)
{
	uint32_t r = 0;

	r |= rng_one_in(&m->rng, 10) ? 0 : P;
	r |= rng_one_in(&m->rng, 4) ? 0 : W;
	r |= rng_one_in(&m->rng, kernel ? 2 : 5) ? 0 : U;
	r |= rng_one_in(&m->rng, 2) ? A : 0;
	r |= rng_one_in(&m->rng, 3) ? DIRTY : 0;
	r |= rng_one_in(&m->rng, 8) ? PCD | PWT : 0;
	r |= kernel && rng_one_in(&m->rng, 2) ? GLOBAL : 0;
	return r | rng_below(&m->rng, 8) << 9 /* the system's own bits */;
}

/* A table that may be written to at random: where there are global pages, none that differs by directory. */
static uint32_t some_table(struct maker *m, uint32_t page)
{
	if (m->p->config.flushes)
		return DR_DATA;
	if (m->global)
		return DR_PT_KERNEL + page % (DR_PT_SPARE - DR_PT_KERNEL);
	return DR_DIRECTORY + page % (DR_TABLES_END - DR_DIRECTORY);
}

/* What is behind a page of a window. */
static uint32_t frame(struct maker *m)
{
	uint32_t page = rng_below(&m->rng, 0x10000) << 12;

	switch (rng_below(&m->rng, 24)) {
	case 0: return DR_MMIO + page % 0x8000;
	case 1: return DR_ROM;
	case 2: return some_table(m, page);
	case 3: return DR_UDATA;
	case 4: return page % DR_HOT < DR_DIRECTORY ? page % DR_HOT : DR_CODE; /* the kernel's own, too */
	case 5: return DR_HOT + page % (DR_RAM - DR_HOT);
	case 6: case 7: case 8: case 9: return DR_CODE + page % (DR_CODE_END - DR_CODE);
	default: return DR_DATA + page % (DR_DATA_END - DR_DATA);
	}
}

uint32_t table_entry(struct maker *m, bool kernel) { return frame(m) | rights(m, kernel); }

static void make_window(struct maker *m, uint32_t table, unsigned first, unsigned count, bool kernel)
{
	for (unsigned n = 0; n < count; n++)
		put_word(m, table + 4 * (first + n), table_entry(m, kernel));
}

/* The code is there in each window of 4 KiB pages, and may run there. */
static void show_code(struct maker *m, uint32_t table)
{
	for (unsigned n = 0; n < (DR_CODE_END - DR_CODE) >> 12; n++)
		put_word(m, table + 4 * n, (DR_CODE + (n << 12)) | P | U | (rights(m, false) & ~(uint32_t)P));
}

static void make_low(struct maker *m)
{
	for (uint32_t page = 0; page < 1024; page++) {
		uint32_t at = page << 12, entry = at | P | W | (rights(m, true) & (A | DIRTY | GLOBAL));

		if (at >= DR_LAZY && at < DR_LAZY + DR_LAZY_BYTES)
			entry = (DR_DATA + (at - DR_LAZY)) | (rng_one_in(&m->rng, 2) ? W : 0);
		else if (at >= DR_HOT)
			entry = rng_one_in(&m->rng, 8) ? at | rights(m, true) : 0;
		else if (at >= DR_DATA && at < DR_DATA_END)
			entry = at | rights(m, false);
		else if ((at >= DR_CODE && at < DR_CODE_END))
			entry = at | P | U | (rng_one_in(&m->rng, 3) ? 0 : W);
		else if ((at >= DR_STACK && at < DR_STACK_END) || at == DR_UDATA)
			entry |= U;
		put_word(m, DR_PT_LOW + 4 * page, entry);
	}
}

static void make_directories(struct maker *m)
{
	static const uint32_t user[3] = { DR_PT_USER, DR_PT_USER + 0x1000, DR_PT_USER };
	uint32_t big = 0x400000 | P | W | PS | GLOBAL | A | DIRTY | (rng_one_in(&m->rng, 8) ? 0x2000 /* reserved */ : 0);

	for (unsigned n = 0; n < DR_DIRECTORIES; n++) {
		uint32_t at = DR_DIRECTORY + (n << 12), ad = rights(m, true) & A;
		/* A global page is found without a look at its directory's entry: Accessed may stay as it is. */
		uint32_t shared = m->global ? A : ad;

		put_word(m, at, DR_PT_LOW | P | W | U | shared);
		put_word(m, at + 4 * (DR_WIN_USER >> 22), user[n] | P | U | (rng_one_in(&m->rng, 6) ? 0 : W) | ad);
		/* (It shows the tables.) */
		put_word(m, at + 4 * (DR_WIN_BIG >> 22), m->p->config.flushes ? 0 : P | W | U | PS | ad);
		put_word(m, at + 4 * (DR_WIN_DEVICE >> 22), DR_MMIO | P | W | U | PS);
		put_word(m, at + 4 * (DR_WIN_KERNEL >> 22), DR_PT_KERNEL | P | W | U | shared);
		put_word(m, at + 4 * (DR_WIN_BIG_KERNEL >> 22), big);
		put_word(m, at + 4 * 1023, DR_PT_TOP | P | W | U | shared);
	}
}

static void make_tables(struct maker *m)
{
	make_low(m);
	make_window(m, DR_PT_USER, 0, DR_WIN_PAGES, false);
	make_window(m, DR_PT_USER + 0x1000, 0, DR_WIN_PAGES, false);
	make_window(m, DR_PT_KERNEL, 0, DR_WIN_PAGES, true);
	make_window(m, DR_PT_TOP, 1024 - 16, 16, true);
	make_window(m, DR_PT_SPARE, 0, DR_WIN_PAGES, false);
	show_code(m, DR_PT_USER);
	show_code(m, DR_PT_USER + 0x1000);
	show_code(m, DR_PT_KERNEL);
	make_directories(m);
}

/* ---- 4. Values ------------------------------------------------------------------------------ */

/* A page of a window. */
static uint32_t window_page(struct maker *m)
{
	uint32_t page = rng_below(&m->rng, DR_WIN_PAGES) << 12;

	switch (rng_below(&m->rng, 24)) {
	case 0: case 1: case 2: case 3: case 4: case 5: case 6: return DR_DATA + page % (DR_DATA_END - DR_DATA);
	case 7: case 8: case 9: return DR_WIN_USER + page;
	case 10: case 11: return DR_WIN_KERNEL + page;
	case 12: case 13: return DR_WIN_TOP + page % 0x10000;
	case 14: return DR_WIN_TOP + 0xF000;
	case 15: return m->p->config.flushes ? DR_DATA : DR_WIN_BIG + DR_CODE + page;
	case 16: return DR_WIN_BIG_KERNEL + page;
	case 17: return DR_WIN_DEVICE + page;
	case 18: return DR_LAZY + page % DR_LAZY_BYTES;
	case 19: return DR_STACK + page % (DR_STACK_END - DR_STACK);
	case 20: return some_table(m, page);
	case 21: return DR_CODE + page % (DR_CODE_END - DR_CODE);
	case 22: return rng_one_in(&m->rng, 4) ? page % 0x10000 : DR_UDATA;
	default: return m->kind == PROGRAM_SELF ? DR_CODE : 0;
	}
}

uint32_t address(struct maker *m)
{
	uint32_t page = window_page(m);

	switch (rng_below(&m->rng, 8)) {
	case 0: return page + 0x1000 - rng_below(&m->rng, 9); /* into the next one */
	case 1: return page + 0x1000 - rng_below(&m->rng, 17);
	case 2: return page + rng_below(&m->rng, 0x1000);
	case 3: return page;
	default: return page + (rng_below(&m->rng, 0x1000) & ~15u);
	}
}

uint32_t value(struct maker *m)
{
	if (rng_one_in(&m->rng, 3))
		return rng_value(&m->rng);
	return address(m);
}

/* ---- 5. Pieces ------------------------------------------------------------------------------ */

static void fill(struct maker *m, uint32_t from, uint32_t end)
{
	for (; from < end; from += 4)
		put_word(m, from, rng_one_in(&m->rng, 3) ? value(m) : (uint32_t)rng_next(&m->rng));
}

static void make_state(struct maker *m)
{
	struct cpu_state *s = &m->p->state;
	static const uint8_t control[] = { 0x7F, 0x03 }, mxcsr[] = { 0x80, 0x1F };

	memset(s, 0, sizeof(*s));
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		s->seg[seg] = (struct cpu_segment){ DR_DATA0, 0xC093, 0, 0xFFFFFFFFu };
	s->seg[CPU_CS] = (struct cpu_segment){ DR_CODE0, 0xC09B, 0, 0xFFFFFFFFu };
	s->tr = (struct cpu_segment){ DR_SEL_TSS, 0x8B, DR_TSS, DR_TSS_LIMIT };
	s->ldtr = (struct cpu_segment){ DR_SEL_LDT, 0x82, DR_LDT, 0xFF };
	s->gdtr.base = DR_GDT;
	s->gdtr.limit = DR_SELECTORS - 1;
	s->idtr.base = DR_IDT;
	s->idtr.limit = 0x7FF;
	s->eip = kernel_address(direct_kernel_start);
	s->eflags = 2;
	s->gpr[CPU_ESP] = DR_STACK0;
	s->cr0 = CR0_PE | CR0_ET | CR0_NE | (m->paging ? CR0_PG | CR0_WP : 0);
	s->cr3 = DR_DIRECTORY;
	s->cr4 = m->cr4;
	s->dr[6] = 0xFFFF0FF0u;
	s->dr[7] = 0x400;
	s->sysenter_cs = DR_CODE0;
	s->sysenter_esp = DR_STACK0;
	s->sysenter_eip = kernel_address(direct_kernel_sysenter);
	memcpy(s->fxsave, control, 2);
	memcpy(s->fxsave + 24, mxcsr, 2);
	for (unsigned n = 32; n < 288; n++)
		s->fxsave[n] = n < 160 && n % 16 >= 10 ? 0 : (uint8_t)rng_next(&m->rng);
}

void program_make(struct program *program, const struct program_config *config)
{
	struct maker m = { .p = program, .kind = config->kind };
	unsigned pieces;

	rng_seed(&m.rng, config->seed * PROGRAM_KINDS + config->kind);
	program->config = *config;
	memset(program->image, 0, sizeof(program->image));
	if (config->kind == PROGRAM_MIXED)
		m.kind = (enum program_kind)rng_below(&m.rng, PROGRAM_KINDS);
	m.paging = m.kind == PROGRAM_TABLES || !rng_one_in(&m.rng, 12);
	m.global = !rng_one_in(&m.rng, 4);
	program->global = m.global;
	m.cr4 = CR4_OSFXSR | (config->flushes || !rng_one_in(&m.rng, 8) ? CR4_PSE : 0) |
	        (m.global && !rng_one_in(&m.rng, 4) ? CR4_PGE : 0) |
	        (rng_one_in(&m.rng, 2) ? CR4_OSXMMEXCPT : 0);
	fill(&m, 0, 0x1000);
	fill(&m, DR_UDATA, DR_UDATA + 0x1000);
	fill(&m, DR_DATA, DR_STACK_END);
	fill(&m, DR_CODE, DR_CODE_END);
	memcpy(program->image + DR_KERNEL, direct_kernel, (size_t)(direct_kernel_end - direct_kernel));
	make_descriptors(&m);
	make_tss(&m);
	make_tables(&m);
	make_state(&m);
	m.at = DR_CODE;
	for (pieces = 0; pieces < DR_PIECES_MAX && m.at < DR_CODE_END - PIECE_ROOM; pieces++)
		make_piece(&m, DR_PIECES + pieces * DR_PIECE_BYTES);
	put_word(&m, DR_PIECE, DR_PIECES);
	put_word(&m, DR_PIECES_END, DR_PIECES + pieces * DR_PIECE_BYTES);
	put_word(&m, DR_PATTERN, (uint32_t)rng_next(&m.rng) & (uint32_t)rng_next(&m.rng));
	put_word(&m, DR_RESUME, word_at(&m, DR_PIECES + DR_P_RESUME));
}
