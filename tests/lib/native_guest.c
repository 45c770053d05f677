/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_guest.c - umbra's side of the differential test.
 *
 *   1. Layout       guest-physical memory
 *   2. Embedder     the core's callbacks over flat memory
 *   3. The hook     a case ends, the next begins
 *   4. Set-up       tables, landing code, registers
 *   5. Running
 */
#include "tests/lib/native_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/flags.h"
#include "cpu/internal.h"

/* ---- 1. Layout ------------------------------------------------------------------------------ */

enum {
	PHYS_DIRECTORY = 0x1000,
	PHYS_TABLE_SYSTEM = 0x2000,
	PHYS_TABLE_ARENA = 0x3000,
	PHYS_GDT = 0x4000,
	PHYS_LDT = 0x4800,
	PHYS_IDT = 0x5000,
	PHYS_TSS = 0x5800,
	PHYS_STUBS = 0x6000,   /* ring 0, 16 bytes for each of the 32 exceptions */
	PHYS_STACK = 0x9000,   /* ring 0, its top */
	PHYS_ARENA = 0x100000, /* code, landing, data as in native_layout.h */
	PHYS_LANDING = PHYS_ARENA + NATIVE_LANDING - NATIVE_ARENA,
	ARENA_BYTES = NATIVE_LANDING + 4096 - NATIVE_ARENA,
	RAM_BYTES = PHYS_ARENA + ARENA_BYTES,
};
#define SYSTEM_BASE 0xE0000000u /* the system's megabytes as ring 0 sees them */

/* CODE64 and CPU: what else Linux lets ring 3 load. */
enum { SEL_CODE0 = 0x10, SEL_DATA0 = 0x18, SEL_CODE64 = 0x30, SEL_TSS = 0x40, SEL_LDT = 0x48, SEL_CPU = 0x78 };
enum { INT_WENT_ON = 0x80, INT_TAKEN = 0x81, INT_FAULT = 0x82, INT_NEXT = 0x83 };
enum { LANDING_NEXT = 0x40, LANDING_WAIT = 0x60, LANDING_TARGET = 0x80 };
/* Enough for every case of a batch, exception and all, many times over. */
#define RUN_BUDGET 200000u

struct native_guest {
	uint8_t *ram;
	void *um_memory;
	struct um *um;
	struct cpu *cpu;
	struct native_batch *batch;
	unsigned at;       /* the running case */
	bool done;
	char why[1200];
};

static void put(struct native_guest *g, uint32_t phys, uint32_t value)
{
	memcpy(g->ram + phys, &value, 4);
}

static uint32_t get(const struct native_guest *g, uint32_t phys)
{
	uint32_t value;

	memcpy(&value, g->ram + phys, 4);
	return value;
}

/* ---- 2. Embedder ---------------------------------------------------------------------------- */

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct native_guest *g = user;

	if (gpa + bytes > RAM_BYTES || bytes != 4)
		return false;
	*value = get(g, (uint32_t)gpa);
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct native_guest *g = user;

	if (gpa + bytes > RAM_BYTES || bytes != 4 || get(g, (uint32_t)gpa) != (uint32_t)old)
		return false;
	put(g, (uint32_t)gpa, (uint32_t)value);
	return true;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct native_guest *g = user;

	(void)write;
	*hfn = (um_hfn)(uintptr_t)g->ram / 4096 + gfn;
	return gfn < RAM_BYTES / 4096 ? UM_GRANT_RAM : UM_GRANT_MMIO;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	(void)user, (void)gfn, (void)hfn, (void)dirty;
}

static void *get_table(void *user)
{
	(void)user;
	return aligned_alloc(UM_PAGE_SIZE, UM_TABLE_BYTES);
}

static void put_table(void *user, void *table)
{
	(void)user;
	free(table);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	struct native_guest *g = user;

	if (g->cpu)
		cpu_invalidate(g->cpu, first, last);
}

static void invalidate_all(void *user)
{
	struct native_guest *g = user;

	if (g->cpu)
		cpu_invalidate_all(g->cpu);
}

static const struct um_ops um_callbacks = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page, .put_page = put_page,
	.get_table = get_table, .put_table = put_table, .invalidate = invalidate,
	.invalidate_all = invalidate_all,
};

static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	(void)user, (void)port, (void)bytes;
	return 0xFFFFFFFF;
}

static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	(void)user, (void)port, (void)bytes, (void)value;
}

static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes)
{
	(void)user, (void)gpa, (void)bytes;
	return UINT64_MAX;
}

static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	(void)user, (void)gpa, (void)bytes, (void)value;
}

static int ack_irq(void *user)
{
	(void)user;
	return -1;
}

static uint64_t tsc(void *user)
{
	(void)user;
	return 0;
}

/* ---- 3. The hook ---------------------------------------------------------------------------- */

static void set_selector(struct native_guest *g, unsigned seg, uint16_t selector)
{
	struct cpu_segment *s = &g->cpu->seg[seg];
	uint32_t table = selector & 4 ? PHYS_LDT : PHYS_GDT;
	uint32_t at = table + (selector & 0xFFF8u);

	if (s->selector == selector && s->attr)
		return;
	*s = (struct cpu_segment){ .selector = selector };
	if (selector & ~3u)
		*s = unpack_descriptor(selector, get(g, at), get(g, at + 4));
}

static void load_case(struct native_guest *g)
{
	struct native_case *it = &g->batch->cases[g->at];
	struct cpu *c = g->cpu;

	if (g->at == g->batch->count) {
		put(g, PHYS_LANDING + LANDING_TARGET, NATIVE_LANDING + LANDING_WAIT);
		put(g, PHYS_LANDING + LANDING_TARGET + 4, NATIVE_CS);
		g->done = true;
		cpu_kick(c);
		return;
	}
	memcpy(c->gpr, it->in.gpr, sizeof it->in.gpr);
	set_eflags(c, it->in.eflags, FL_STATUS | FL_DF | FL_AC | FL_ID | FL_NT | FL_RF);
	set_selector(g, CPU_ES, it->in.es);
	set_selector(g, CPU_SS, it->in.ss);
	set_selector(g, CPU_DS, it->in.ds);
	set_selector(g, CPU_FS, it->in.fs);
	set_selector(g, CPU_GS, NATIVE_DS);
	mode_changed(c);
	if (g->batch->fx)
		fpu_load(c, it->fx_in);
}

static void store_case(struct native_guest *g)
{
	struct native_case *it = &g->batch->cases[g->at];
	struct cpu *c = g->cpu;

	memcpy(it->out.gpr, c->gpr, sizeof it->out.gpr);
	it->out.eflags = get_eflags(c);
	it->out.es = c->seg[CPU_ES].selector;
	it->out.ss = c->seg[CPU_SS].selector;
	it->out.ds = c->seg[CPU_DS].selector;
	it->out.fs = c->seg[CPU_FS].selector;
	it->out.cr2 = c->cr2;
	if (g->batch->fx)
		fpu_save(c, it->fx_out);
}

/* The stub pushed the vector under what the exception pushed; the handler's frame now leads to the
 * landing. */
static void store_exception(struct native_guest *g)
{
	struct native_regs *out = &g->batch->cases[g->at].out;
	uint32_t frame = g->cpu->gpr[CPU_ESP] - SYSTEM_BASE;

	out->vector = get(g, frame);
	out->error = get(g, frame + 4);
	out->eip = get(g, frame + 8);
	out->eflags = get(g, frame + 16);
	out->gpr[CPU_ESP] = get(g, frame + 20);
	out->ss = (uint16_t)get(g, frame + 24);
	put(g, frame + 8, NATIVE_LANDING + LANDING_NEXT);
	put(g, frame + 12, NATIVE_CS);
	put(g, frame + 16, 0x202);
	put(g, frame + 24, NATIVE_DS);
}

static bool software_int(void *user, struct cpu *cpu, unsigned vector)
{
	struct native_guest *g = user;
	(void)cpu;

	if (vector < INT_WENT_ON || vector > INT_NEXT || !g->batch || g->done)
		return false;
	if (vector == INT_NEXT) {
		load_case(g);
		return true;
	}
	store_case(g);
	if (vector == INT_FAULT) {
		store_exception(g);
		g->at++; /* INT_NEXT in ring 3 loads it */
		return true;
	}
	g->batch->cases[g->at].out.vector = NATIVE_NO_VECTOR;
	g->batch->cases[g->at].out.eip = vector == INT_TAKEN;
	g->at++;
	load_case(g);
	return true;
}

/* ---- 4. Set-up ------------------------------------------------------------------------------ */

/* A descriptor; access: bits 40-47, flags: bits 52-55. */
static void put_descriptor(struct native_guest *g, uint32_t phys, uint32_t base, uint32_t limit, uint32_t access,
                           uint32_t flags)
{
	put(g, phys, base << 16 | (limit & 0xFFFF));
	put(g, phys + 4,
	    (base & 0xFF000000u) | flags << 20 | (limit & 0xF0000) | access << 8 | (base >> 16 & 0xFF));
}

static void build_descriptors(struct native_guest *g)
{
	put_descriptor(g, PHYS_GDT + SEL_CODE0, 0, 0xFFFFF, 0x9B, 0xC);
	put_descriptor(g, PHYS_GDT + SEL_DATA0, 0, 0xFFFFF, 0x93, 0xC);
	put_descriptor(g, PHYS_GDT + (NATIVE_CS & ~7), 0, 0xFFFFF, 0xFB, 0xC);
	put_descriptor(g, PHYS_GDT + (NATIVE_DS & ~7), 0, 0xFFFFF, 0xF3, 0xC);
	put_descriptor(g, PHYS_GDT + SEL_CODE64, 0, 0xFFFFF, 0xFB, 0xA);
	put_descriptor(g, PHYS_GDT + SEL_CPU, 0, 0, 0xF5, 0x4);
	put_descriptor(g, PHYS_GDT + SEL_TSS, SYSTEM_BASE + PHYS_TSS, 0x67, 0x8B, 0);
	put_descriptor(g, PHYS_GDT + SEL_LDT, SYSTEM_BASE + PHYS_LDT, 8 * NATIVE_LDT_COUNT - 1, 0x82, 0);
	for (unsigned i = 0; i < NATIVE_LDT_COUNT; i++) {
		const struct native_descriptor *d = &native_ldt[i];
		uint32_t type = d->code ? 0xA | (d->readonly ? 0 : 2) : d->readonly ? 0 : 2;

		if (d->code && d->readonly)
			type = 8;
		put_descriptor(g, PHYS_LDT + 8 * i, d->base, d->limit,
		               0x71u | type | (d->down ? 4 : 0) | (d->absent ? 0 : 0x80), d->big ? 4 : 0);
	}
	put(g, PHYS_TSS + 4, SYSTEM_BASE + PHYS_STACK);
	put(g, PHYS_TSS + 8, SEL_DATA0);
	put(g, PHYS_TSS + 100, 0x68u << 16); /* no I/O bitmap */
}

/* Vectors that push an error code: SDM vol. 3, table 6-1. */
static bool has_error(unsigned vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void build_idt(struct native_guest *g)
{
	for (unsigned v = 0; v < 32; v++) {
		/* push 0 or nothing; push v; int INT_FAULT; add esp, 8; iret */
		uint8_t code[] = { 0x6A, 0, 0x6A, (uint8_t)v, 0xCD, INT_FAULT, 0x83, 0xC4, 8, 0xCF };

		if (has_error(v))
			code[0] = code[1] = 0x90;
		memcpy(g->ram + PHYS_STUBS + 16 * v, code, sizeof code);
	}
	for (unsigned v = 0; v < 256; v++) {
		uint32_t stub = SYSTEM_BASE + PHYS_STUBS + 16 * (v < 32 ? v : 31);
		uint32_t dpl = v == EXC_BP || v == EXC_OF ? 3 : 0; /* as Linux has it */

		put(g, PHYS_IDT + 8 * v, SEL_CODE0 << 16 | (stub & 0xFFFF));
		put(g, PHYS_IDT + 8 * v + 4, (stub & 0xFFFF0000u) | 0x8E00 | dpl << 13);
	}
}

/* As native_data_pages. */
static char kind_of_page(uint32_t linear)
{
	if (linear < NATIVE_CODE + NATIVE_CODE_BYTES)
		return 'w';
	if (linear >= NATIVE_DATA && linear < NATIVE_DATA + NATIVE_DATA_BYTES)
		return native_data_pages[(linear - NATIVE_DATA) / 4096];
	return linear == NATIVE_LANDING ? 'r' : '-';
}

static void build_tables(struct native_guest *g)
{
	enum { P = 1, W = 2, U = 4 };

	put(g, PHYS_DIRECTORY + (SYSTEM_BASE >> 22) * 4, PHYS_TABLE_SYSTEM | P | W);
	put(g, PHYS_DIRECTORY + (NATIVE_ARENA >> 22) * 4, PHYS_TABLE_ARENA | P | W | U);
	for (uint32_t page = 0; page < 16; page++)
		put(g, PHYS_TABLE_SYSTEM + 4 * page, page << 12 | P | W);
	for (uint32_t at = 0; at < ARENA_BYTES; at += 4096) {
		char kind = kind_of_page(NATIVE_ARENA + at);

		if (kind != '-')
			put(g, PHYS_TABLE_ARENA + at / 1024, (PHYS_ARENA + at) | P | U | (kind == 'w' ? W : 0));
	}
}

/* INT n, then a far jump through the pointer that load_case() chose; and a place to wait. */
static void build_landing(struct native_guest *g)
{
	static const struct { unsigned at; uint8_t vector; } pads[] = {
		{ 0, INT_WENT_ON }, { NATIVE_TAKEN - NATIVE_LANDING, INT_TAKEN }, { LANDING_NEXT, INT_NEXT },
	};
	uint8_t *page = g->ram + PHYS_LANDING;
	const uint32_t target = NATIVE_LANDING + LANDING_TARGET;

	for (unsigned i = 0; i < 3; i++) {
		uint8_t code[] = { 0xCD, pads[i].vector, 0x65, 0xFF, 0x2D, 0, 0, 0, 0 };

		memcpy(code + 5, &target, 4);
		memcpy(page + pads[i].at, code, sizeof code);
	}
	page[LANDING_WAIT] = 0xEB;
	page[LANDING_WAIT + 1] = 0xFE;
}

static void start_registers(struct native_guest *g)
{
	struct cpu_state s;

	cpu_get_state(g->cpu, &s);
	s.cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG; /* as Linux has it */
	s.cr3 = PHYS_DIRECTORY;
	s.cr4 = CR4_PSE | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	s.gdtr.base = SYSTEM_BASE + PHYS_GDT;
	s.gdtr.limit = SEL_CPU + 7;
	s.idtr.base = SYSTEM_BASE + PHYS_IDT;
	s.idtr.limit = 0x7FF;
	s.ldtr = unpack_descriptor(SEL_LDT, get(g, PHYS_GDT + SEL_LDT), get(g, PHYS_GDT + SEL_LDT + 4));
	s.tr = unpack_descriptor(SEL_TSS, get(g, PHYS_GDT + SEL_TSS), get(g, PHYS_GDT + SEL_TSS + 4));
	for (unsigned seg = 0; seg < 6; seg++) {
		uint16_t selector = seg == CPU_CS ? NATIVE_CS : NATIVE_DS;
		uint32_t at = PHYS_GDT + (selector & ~7u);

		s.seg[seg] = unpack_descriptor(selector, get(g, at), get(g, at + 4));
	}
	s.eflags = 0x202;
	s.eip = NATIVE_LANDING + LANDING_WAIT;
	s.halted = s.interrupt_shadow = false;
	cpu_set_state(g->cpu, &s);
}

static bool new_um(struct native_guest *g)
{
	struct um_config config = {
		.ops = &um_callbacks, .user = g, .format = &um_format_i386, .learn = UM_LEARN_TRACKED,
		.options = UM_OPT_ALL, .max_gfn = RAM_BYTES / 4096, .max_tables = 32, .max_roots = 2,
		.prefetch = 8,
	};
	size_t bytes = um_size(&config);

	g->um_memory = bytes ? aligned_alloc(64, (bytes + 63) & ~(size_t)63) : NULL;
	if (!g->um_memory)
		return false;
	memset(g->um_memory, 0, bytes);
	return um_init(g->um_memory, &config, &g->um) == UM_OK;
}

static bool new_cpu(struct native_guest *g, uint32_t options)
{
	struct cpu_config config = {
		.um = g->um, .options = options, .ram = g->ram, .ram_bytes = RAM_BYTES, .tsc_hz = 1000000000,
		.bus = { .user = g, .port_in = port_in, .port_out = port_out, .mmio_read = mmio_read,
		         .mmio_write = mmio_write, .ack_irq = ack_irq, .tsc = tsc,
		         .software_int = software_int },
	};

	g->cpu = cpu_new(&config);
	return g->cpu != NULL;
}

struct native_guest *guest_new(uint32_t options)
{
	struct native_guest *g = calloc(1, sizeof *g);

	if (!g)
		return NULL;
	g->ram = aligned_alloc(4096, RAM_BYTES);
	if (!g->ram || !new_um(g) || !new_cpu(g, options)) {
		guest_free(g);
		return NULL;
	}
	memset(g->ram, 0, RAM_BYTES);
	build_descriptors(g);
	build_idt(g);
	build_tables(g);
	build_landing(g);
	for (uint32_t page = 0; native_data_pages[page]; page++)
		if (native_data_pages[page] == 'r')
			memcpy(guest_data(g) + 4096 * page, (void *)(uintptr_t)(NATIVE_DATA + 4096 * page), 4096);
	cpu_reset(g->cpu);
	start_registers(g);
	return g;
}

const char *guest_free(struct native_guest *g)
{
	const char *broken = NULL;

	if (g->um)
		broken = um_audit(g->um).text;
	if (g->um && !um_audit(g->um).invariant)
		broken = NULL;
	if (g->cpu)
		cpu_free(g->cpu);
	g->cpu = NULL;
	if (g->um)
		um_destroy(g->um);
	free(g->um_memory);
	free(g->ram);
	free(g);
	return broken;
}

uint8_t *guest_code(struct native_guest *g)
{
	return g->ram + PHYS_ARENA;
}

uint8_t *guest_data(struct native_guest *g)
{
	return g->ram + PHYS_ARENA + (NATIVE_DATA - NATIVE_ARENA);
}

void guest_code_written(struct native_guest *g)
{
	cpu_code_written(g->cpu, guest_code(g), NATIVE_CODE_BYTES);
}

/* ---- 5. Running ----------------------------------------------------------------------------- */

static bool gone_astray(struct native_guest *g, enum cpu_exit exit, const char **why)
{
	static const char *const names[] = { "still running", "kicked", "halted", "shut down", "stopped",
	                                     "out of memory", "stopped for a debugger" };
	int length = snprintf(g->why, sizeof g->why, "umbra did not come back: %s\n", names[exit]);

	if (exit == CPU_EXIT_SHUTDOWN)
		cpu_describe_shutdown(g->cpu, g->why + length, sizeof g->why - (size_t)length);
	else
		cpu_describe_state(g->cpu, g->why + length, sizeof g->why - (size_t)length);
	*why = g->why;
	cpu_reset(g->cpu);
	start_registers(g);
	return false;
}

bool guest_run(struct native_guest *g, struct native_batch *batch, const char **why)
{
	uint32_t base = batch->cs == NATIVE_CS ? 0 : NATIVE_ARENA;
	enum cpu_exit exit = CPU_EXIT_KICKED;
	uint64_t limit = cpu_instructions(g->cpu) + RUN_BUDGET;

	g->batch = batch;
	g->at = 0;
	g->done = false;
	put(g, PHYS_LANDING + LANDING_TARGET, batch->eip - base);
	put(g, PHYS_LANDING + LANDING_TARGET + 4, batch->cs);
	g->cpu->eip = NATIVE_LANDING + LANDING_NEXT;
	while (!g->done && cpu_instructions(g->cpu) < limit &&
	       (exit == CPU_EXIT_KICKED || exit == CPU_EXIT_BUDGET))
		exit = cpu_run(g->cpu, RUN_BUDGET);
	g->batch = NULL;
	return g->done || gone_astray(g, exit, why);
}
