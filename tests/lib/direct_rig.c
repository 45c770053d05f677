/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/direct_rig.c - see direct_rig.h.
 *
 *   1. The shadow's embedder
 *   2. The processor's outside
 *   3. Making
 *   4. Starting a program
 */
#include "tests/lib/direct_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- 1. The shadow's embedder --------------------------------------------------------------- */

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct direct_side *side = user;

	*value = 0;
	if (gpa + bytes > DR_RAM)
		return false;
	memcpy(value, side->ram + gpa, bytes);
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct direct_side *side = user;

	if (gpa + bytes > DR_RAM || memcmp(side->ram + gpa, &old, bytes))
		return false;
	memcpy(side->ram + gpa, &value, bytes);
	/* A page may hold tables and code. */
	if (side->cpu)
		cpu_code_written(side->cpu, side->ram + gpa, bytes);
	return true;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct direct_side *side = user;
	bool rom = gfn == DR_ROM >> UM_PAGE_SHIFT;

	(void)write;
	if (gfn >= DR_RAM >> UM_PAGE_SHIFT)
		return UM_GRANT_MMIO;
	*hfn = rom ? (uintptr_t)side->rom >> UM_PAGE_SHIFT : ((uintptr_t)side->ram >> UM_PAGE_SHIFT) + gfn;
	return rom ? UM_GRANT_ROM : UM_GRANT_RAM;
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

/* The three for the portable engine's TLB; the direct engine hears all of it, and exactly, by invalidate_root(). */
static void invalidate(void *user, um_gva first, um_gva last)
{
	struct direct_side *side = user;

	if (side->cpu)
		cpu_invalidate(side->cpu, first, last);
}
static void invalidate_all(void *user)
{
	struct direct_side *side = user;

	if (side->cpu)
		cpu_invalidate_all(side->cpu);
}
static void invalidate_nonglobal(void *user)
{
	struct direct_side *side = user;

	if (side->cpu)
		cpu_invalidate_nonglobal(side->cpu);
}
static void invalidate_root(void *user, uint32_t root, um_gva first, um_gva last)
{
	struct direct_side *side = user;

	if (side->direct)
		direct_invalidate_root(side->direct, root, first, last);
}
static void root_switched(void *user, uint32_t root)
{
	struct direct_side *side = user;

	(void)root;
	if (!side->cpu)
		return;
	/* The portable engine's TLB knows one root. */
	if (um_mode(side->um) & UM_MODE_PGE)
		cpu_invalidate_nonglobal(side->cpu);
	else
		cpu_invalidate_all(side->cpu);
}

#define COMMON_OPS                                                                                         \
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page, .put_page = put_page, \
	.get_table = get_table, .put_table = put_table, .invalidate = invalidate,                          \
	.invalidate_all = invalidate_all, .invalidate_nonglobal = invalidate_nonglobal
static const struct um_ops portable_ops = { COMMON_OPS };
static const struct um_ops direct_ops = { COMMON_OPS, .invalidate_root = invalidate_root,
	                                  .root_switched = root_switched };

/* ---- 2. The processor's outside ------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
	return hash ^ hash >> 29;
}

static void hear(struct direct_side *side, struct heard what)
{
	side->heard[side->heard_count++ % HEARD_KEPT] = what;
	side->heard_hash = mix(side->heard_hash, (uint64_t)what.kind | (uint64_t)what.bytes << 8 |
	                       (uint64_t)what.software << 16 | (uint64_t)what.has_error << 24);
	side->heard_hash = mix(mix(side->heard_hash, what.at), what.value);
}

/* What is read from outside: the same on both sides as long as they read the same. */
static uint64_t answer(struct direct_side *side, uint64_t at)
{
	return mix(mix(++side->reads, at), 1);
}

static uint64_t cut(uint64_t value, unsigned bytes)
{
	return bytes >= 8 ? value : value & ((1ull << 8 * bytes) - 1);
}

static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	struct direct_side *side = user;
	uint32_t value = (uint32_t)cut(answer(side, port), bytes);

	hear(side, (struct heard){ HEARD_IN, (uint8_t)bytes, .at = port, .value = value });
	return value;
}

static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	struct direct_side *side = user;

	hear(side, (struct heard){ HEARD_OUT, (uint8_t)bytes, .at = port, .value = value });
	if (port == DR_PORT_IRQ && bytes == 1) {
		side->irq_vector = DR_IRQ_VECTOR + (int)(value & 15);
		cpu_set_irq(side->cpu, true);
	}
	side->ended |= port == DR_PORT_END;
}

static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes)
{
	struct direct_side *side = user;
	uint64_t value;

	if (gpa >> UM_PAGE_SHIFT == DR_ROM >> UM_PAGE_SHIFT) { /* read-only memory is read as any */
		value = 0;
		memcpy(&value, side->rom + gpa % UM_PAGE_SIZE, bytes);
		return value;
	}
	value = cut(answer(side, gpa), bytes);
	hear(side, (struct heard){ HEARD_READ, (uint8_t)bytes, .at = gpa, .value = value });
	return value;
}

static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	hear(user, (struct heard){ HEARD_WRITE, (uint8_t)bytes, .at = gpa, .value = cut(value, bytes) });
}

static int ack_irq(void *user)
{
	struct direct_side *side = user;

	hear(side, (struct heard){ HEARD_IRQ, .at = (uint64_t)side->irq_vector });
	cpu_set_irq(side->cpu, false);
	return side->irq_vector;
}

/* (The engine looks at the time for reasons of its own too: looking must not move it.) */
static uint64_t tsc(void *user)
{
	const struct direct_side *side = user;

	return side->heard_count * 1000003;
}

static void saw_interrupt(void *user, struct cpu *cpu, unsigned vector, bool software, bool has_error,
                          uint32_t error)
{
	(void)cpu;
	hear(user, (struct heard){ HEARD_EVENT, 0, software, has_error, .at = vector,
	                           .value = has_error ? error : 0 });
}

/* ---- 3. Making ------------------------------------------------------------------------------ */

/* Memory that the direct engine can map: a file. */
static bool make_memory(struct direct_side *side)
{
	void *ram;

	side->fd = memfd_create("umbra-test", MFD_CLOEXEC);
	if (side->fd < 0 || ftruncate(side->fd, DR_RAM))
		return false;
	ram = mmap(NULL, DR_RAM, PROT_READ | PROT_WRITE, MAP_SHARED, side->fd, 0);
	side->rom = aligned_alloc(UM_PAGE_SIZE, UM_PAGE_SIZE);
	if (ram == MAP_FAILED || !side->rom)
		return false;
	side->ram = ram;
	for (unsigned n = 0; n < UM_PAGE_SIZE; n++)
		side->rom[n] = (uint8_t)(n * 7 + (n >> 8));
	return true;
}

static bool make_side(struct direct_side *side, const struct direct_rig_config *c, uint32_t cpu_options,
                      const struct um_ops *ops)
{
	struct um_config um = {
		.ops = ops, .user = side, .format = &um_format_i386, .learn = UM_LEARN_TRACKED,
		.options = c->um_options, .max_gfn = 1u << 20, .max_tables = c->max_tables ? c->max_tables : 256,
		.max_roots = c->max_roots ? c->max_roots : 8, .prefetch = 8,
	};
	struct cpu_config cpu = {
		.options = cpu_options, .ram_bytes = DR_RAM, .tsc_hz = 1000000000,
		.bus = { .user = side, .port_in = port_in, .port_out = port_out, .mmio_read = mmio_read,
		         .mmio_write = mmio_write, .ack_irq = ack_irq, .tsc = tsc },
	};
	const struct cpu_trace trace = { .user = side, .interrupt = saw_interrupt };

	if (!make_memory(side))
		return false;
	side->um_memory = calloc(1, um_size(&um));
	if (!side->um_memory || um_init(side->um_memory, &um, &side->um) != UM_OK)
		return false;
	cpu.um = side->um;
	cpu.ram = side->ram;
	side->cpu = cpu_new(&cpu);
	if (!side->cpu)
		return false;
	cpu_set_trace(side->cpu, &trace);
	return true;
}

static void free_side(struct direct_side *side)
{
	if (side->direct)
		direct_free(side->direct);
	side->direct = NULL;
	if (side->cpu)
		cpu_free(side->cpu);
	side->cpu = NULL;
	if (side->um)
		um_destroy(side->um);
	free(side->um_memory);
	if (side->ram)
		munmap(side->ram, DR_RAM);
	free(side->rom);
	if (side->fd >= 0)
		close(side->fd);
}

struct direct_rig *direct_rig_new(const struct direct_rig_config *config, const char **why)
{
	struct direct_rig *rig = calloc(1, sizeof(*rig));

	*why = "no memory";
	if (!rig)
		return NULL;
	rig->config = *config;
	rig->direct.fd = rig->portable.fd = -1;
	/* The judge decodes each instruction each time: nothing is cached, nothing is a block. */
	if (!make_side(&rig->portable, config, CPU_OPT_TLB | CPU_OPT_FLAT, &portable_ops) ||
	    !make_side(&rig->direct, config, config->cpu_options, &direct_ops)) {
		direct_rig_free(rig);
		return NULL;
	}
	struct direct_config direct = {
		.cpu = rig->direct.cpu, .um = rig->direct.um, .ram_fd = rig->direct.fd, .ram = rig->direct.ram,
		.ram_bytes = DR_RAM, .options = config->direct_options, .worlds = config->worlds, .exact = !config->inexact,
	};
	rig->direct.direct = direct_new(&direct, why);
	if (!rig->direct.direct) {
		direct_rig_free(rig);
		return NULL;
	}
	return rig;
}

void direct_rig_free(struct direct_rig *rig)
{
	free_side(&rig->direct);
	free_side(&rig->portable);
	free(rig);
}
