/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/rig.c - see rig.h.
 */
#include "tests/lib/rig.h"

#include <stdlib.h>
#include <string.h>

/* ---- The shadow's embedder ------------------------------------------------------------------ */

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct rig *rig = user;

	*value = 0;
	if (gpa + bytes > RIG_RAM)
		return false;
	memcpy(value, rig->ram + gpa, bytes);
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct rig *rig = user;

	if (gpa + bytes > RIG_RAM || memcmp(rig->ram + gpa, &old, bytes))
		return false;
	memcpy(rig->ram + gpa, &value, bytes);
	return true;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct rig *rig = user;

	(void)write;
	if (gfn >= RIG_RAM / UM_PAGE_SIZE)
		return UM_GRANT_MMIO;
	*hfn = ((uintptr_t)rig->ram >> UM_PAGE_SHIFT) + gfn;
	return UM_GRANT_RAM;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty) { (void)user, (void)gfn, (void)hfn, (void)dirty; }

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
	struct rig *rig = user;

	if (rig->cpu)
		cpu_invalidate(rig->cpu, first, last);
}
static void invalidate_all(void *user)
{
	struct rig *rig = user;

	if (rig->cpu)
		cpu_invalidate_all(rig->cpu);
}
static void invalidate_nonglobal(void *user)
{
	struct rig *rig = user;

	if (rig->cpu)
		cpu_invalidate_nonglobal(rig->cpu);
}

static void event(void *user, const struct um_event *what)
{
	struct rig *rig = user;

	if (rig->event)
		rig->event(rig->event_user, what);
}

static const struct um_ops ops = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page, .put_page = put_page,
	.get_table = get_table, .put_table = put_table, .invalidate = invalidate,
	.invalidate_all = invalidate_all, .invalidate_nonglobal = invalidate_nonglobal, .event = event,
};

/* ---- The processor's outside ---------------------------------------------------------------- */

static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	struct rig *rig = user;

	(void)port;
	return bytes == 4 ? rig->port_value : rig->port_value & ((1u << 8 * bytes) - 1);
}

static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	struct rig *rig = user;

	rig->port = port;
	rig->port_bytes = bytes;
	rig->port_written = value;
	rig->ports_written++;
}

static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes)
{
	struct rig *rig = user;

	rig->mmio_gpa = gpa;
	rig->mmio_bytes = bytes;
	rig->mmio_reads++;
	return rig->mmio_value;
}

static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	struct rig *rig = user;

	rig->mmio_gpa = gpa;
	rig->mmio_bytes = bytes;
	rig->mmio_written = value;
	rig->mmio_writes++;
}

static int ack_irq(void *user)
{
	struct rig *rig = user;

	cpu_set_irq(rig->cpu, false);
	return rig->irq_vector;
}

static uint64_t tsc(void *user)
{
	struct rig *rig = user;

	return rig->tsc;
}

/* ---- Making --------------------------------------------------------------------------------- */

/* TEST_OBSERVED=1: whatever the test is about, somebody watches who wants to know each instruction. */
static bool wants_to_know(void *user, struct cpu *cpu, const struct cpu_access *access)
{
	(void)user, (void)cpu;
	return access->exact;
}

static void observe_if_asked(struct cpu *cpu)
{
	const struct cpu_observer observer = { .translated = wants_to_know };

	if (getenv("TEST_OBSERVED"))
		cpu_observe(cpu, &observer);
}

struct rig *rig_new_with(uint32_t options, uint32_t um_options)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct um_config um = { .ops = &ops, .user = rig, .format = &um_format_i386, .learn = UM_LEARN_TRACKED,
	                        .options = um_options, .max_gfn = 1 << 20, .max_tables = 256, .max_roots = 8,
	                        .prefetch = 8 };

	rig->ram = aligned_alloc(UM_PAGE_SIZE, RIG_RAM);
	memset(rig->ram, 0, RIG_RAM);
	rig->um_memory = aligned_alloc(16, (um_size(&um) + 15) & ~(size_t)15);
	memset(rig->um_memory, 0, um_size(&um));
	if (um_init(rig->um_memory, &um, &rig->um) != UM_OK)
		abort();
	struct cpu_config cpu = {
		.um = rig->um, .options = options, .ram = rig->ram, .ram_bytes = RIG_RAM, .tsc_hz = 1000000000,
		.bus = { .user = rig, .port_in = port_in, .port_out = port_out, .mmio_read = mmio_read,
		         .mmio_write = mmio_write, .ack_irq = ack_irq, .tsc = tsc },
	};
	rig->cpu = cpu_new(&cpu);
	if (!rig->cpu)
		abort();
	observe_if_asked(rig->cpu);
	rig_flat(rig, 0);
	return rig;
}

struct rig *rig_new(uint32_t options) { return rig_new_with(options, UM_OPT_ALL); }

void rig_free(struct rig *rig)
{
	cpu_free(rig->cpu);
	rig->cpu = NULL;
	um_destroy(rig->um);
	free(rig->um_memory);
	free(rig->ram);
	free(rig);
}

/* ---- Modes ---------------------------------------------------------------------------------- */

/* Whatever the test stores behind the processor's back, the processor learns of. */
static void store(struct rig *rig, uint32_t at, const void *bytes, size_t count)
{
	memcpy(rig->ram + at, bytes, count);
	cpu_code_written(rig->cpu, rig->ram + at, count);
	um_guest_wrote(rig->um, at, count);
}

void rig_set_word(struct rig *rig, uint32_t physical, uint32_t value) { store(rig, physical, &value, 4); }
uint32_t rig_word(const struct rig *rig, uint32_t physical)
{
	uint32_t value;

	memcpy(&value, rig->ram + physical, 4);
	return value;
}

static void set_descriptor(struct rig *rig, unsigned selector, uint32_t low, uint32_t high)
{
	rig_set_word(rig, RIG_GDT + (selector & ~7u), low);
	rig_set_word(rig, RIG_GDT + (selector & ~7u) + 4, high);
}

static struct cpu_segment flat_segment(unsigned selector, unsigned type)
{
	unsigned dpl = selector & 3;

	return (struct cpu_segment){ (uint16_t)selector, (uint16_t)(0xC090u | dpl << 5 | type), 0, 0xFFFFFFFFu };
}

static void set_tables(struct rig *rig)
{
	set_descriptor(rig, RIG_CODE0, 0x0000FFFF, 0x00CF9B00);
	set_descriptor(rig, RIG_DATA0, 0x0000FFFF, 0x00CF9300);
	set_descriptor(rig, RIG_CODE3, 0x0000FFFF, 0x00CFFB00);
	set_descriptor(rig, RIG_DATA3, 0x0000FFFF, 0x00CFF300);
	set_descriptor(rig, RIG_TR, RIG_TSS << 16 | 0x67, 0x00008B00 | (RIG_TSS & 0xFF0000) >> 16);
	for (unsigned v = 0; v < 256; v++) {
		uint32_t handler = RIG_HANDLERS + 16 * v;
		rig_set_word(rig, RIG_IDT + 8 * v, RIG_CODE0 << 16 | (handler & 0xFFFF));
		rig_set_word(rig, RIG_IDT + 8 * v + 4, (handler & 0xFFFF0000u) | 0xEE00);
		rig_set_word(rig, handler, 0xF4F4F4F4u);
	}
	rig_set_word(rig, RIG_TSS + 4, RIG_STACK0);
	rig_set_word(rig, RIG_TSS + 8, RIG_DATA0);
}

static void finish_state(struct cpu_state *s)
{
	static const uint8_t control[] = { 0x7F, 0x03 }, mxcsr[] = { 0x80, 0x1F };

	memcpy(s->fxsave, control, 2);
	memcpy(s->fxsave + 24, mxcsr, 2);
	s->dr[6] = 0xFFFF0FF0u;
	s->dr[7] = 0x400;
}

void rig_flat(struct rig *rig, unsigned ring)
{
	struct cpu_state s = { .eip = RIG_CODE, .eflags = 2, .cr0 = CR0_PE | CR0_ET | CR0_NE, .cr4 = CR4_OSFXSR };

	set_tables(rig);
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		s.seg[seg] = flat_segment(ring ? RIG_DATA3 : RIG_DATA0, 3);
	s.seg[CPU_CS] = flat_segment(ring ? RIG_CODE3 : RIG_CODE0, 0xB);
	s.tr = (struct cpu_segment){ RIG_TR, 0x8B, RIG_TSS, 0x67 };
	s.gdtr.base = RIG_GDT;
	s.gdtr.limit = 0x7FF;
	s.idtr.base = RIG_IDT;
	s.idtr.limit = 0x7FF;
	s.gpr[CPU_ESP] = RIG_STACK;
	finish_state(&s);
	cpu_set_state(rig->cpu, &s);
}

void rig_real(struct rig *rig)
{
	struct cpu_state s = { .eip = 0, .eflags = 2, .cr0 = CR0_ET };
	static const uint16_t base[6] = { RIG_DATA >> 4, RIG_CODE >> 4, 0x3000, RIG_DATA >> 4, 0, 0 };

	for (unsigned v = 0; v < 256; v++) {
		rig_set_word(rig, 4 * v, RIG_HANDLERS + 16 * v);
		rig_set_word(rig, RIG_HANDLERS + 16 * v, 0xF4F4F4F4u);
	}
	for (unsigned seg = CPU_ES; seg <= CPU_GS; seg++)
		s.seg[seg] = (struct cpu_segment){ base[seg], 0x93, (uint32_t)base[seg] << 4, 0xFFFF };
	s.idtr.limit = 0x3FF;
	s.gpr[CPU_ESP] = 0xFFFE;
	finish_state(&s);
	cpu_set_state(rig->cpu, &s);
}

uint32_t *rig_pte(struct rig *rig, uint32_t linear)
{
	return (uint32_t *)(void *)(rig->ram + RIG_TABLES + 0x1000) + (linear >> 12 & 1023);
}

void rig_paging(struct rig *rig)
{
	struct cpu_state s;

	rig_set_word(rig, RIG_TABLES, (RIG_TABLES + 0x1000) | 7);
	for (uint32_t page = 0; page < 1024; page++)
		rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * page, page << 12 | 7);
	cpu_get_state(rig->cpu, &s);
	s.cr0 |= CR0_PG | CR0_WP;
	s.cr3 = RIG_TABLES;
	cpu_set_state(rig->cpu, &s);
}

/* ---- Running -------------------------------------------------------------------------------- */

void rig_load(struct rig *rig, const void *code, size_t bytes)
{
	store(rig, RIG_CODE, code, bytes);
	rig->cpu->eip = rig->cpu->cr0 & CR0_PE ? RIG_CODE : 0;
}

enum cpu_exit rig_run(struct rig *rig, uint64_t budget) { return cpu_run(rig->cpu, budget); }

int rig_vector(const struct rig *rig)
{
	uint32_t linear = rig->cpu->seg[CPU_CS].base + rig->cpu->eip - 1; /* HLT is done */

	if (!rig->cpu->halted || linear < RIG_HANDLERS || linear >= RIG_HANDLERS + 256 * 16)
		return -1;
	return (int)((linear - RIG_HANDLERS) / 16);
}
