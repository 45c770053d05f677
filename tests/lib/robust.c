/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/robust.c - the machine that is fed nonsense: accounts, one seed, all seeds.
 *
 *   1. Embedder       pages and tables, counted
 *   2. Outside        ports, devices, interrupts at random
 *   3. Making
 *   4. Checks
 *   5. One seed
 *   6. All seeds
 *
 * (What the nonsense is made of: robust_make.c.)
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/robust.h"
#include "tests/lib/tap.h"

/* ---- 1. Embedder ---------------------------------------------------------------------------- */

static uint8_t *memory_at(struct robust *r, um_gpa gpa, unsigned bytes)
{
	if (gpa + bytes <= ROBUST_RAM)
		return r->ram + gpa;
	if (gpa >= ROBUST_ROM && gpa + bytes <= ROBUST_ROM + 4096)
		return r->rom + (gpa - ROBUST_ROM);
	return NULL;
}

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	const uint8_t *at = memory_at(user, gpa, bytes);

	*value = 0;
	if (at)
		memcpy(value, at, bytes);
	return at != NULL;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	uint8_t *at = memory_at(user, gpa, bytes);

	if (!at || memcmp(at, &old, bytes))
		return false;
	if (gpa < ROBUST_RAM) /* writes to ROM are lost */
		memcpy(at, &value, bytes);
	return true;
}

static void break_promise(struct robust *r, const char *what)
{
	if (!r->broken)
		r->broken = what;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct robust *r = user;
	bool rom = gfn == ROBUST_ROM / 4096;
	unsigned account = rom ? ROBUST_FRAMES : (unsigned)gfn;

	(void)write;
	if (!rom && gfn >= ROBUST_FRAMES)
		return UM_GRANT_MMIO;
	*hfn = (um_hfn)(uintptr_t)(rom ? r->rom : r->ram + gfn * 4096) >> UM_PAGE_SHIFT;
	if (r->borrowed[account]++)
		break_promise(r, "a page borrowed twice");
	return rom ? UM_GRANT_ROM : UM_GRANT_RAM;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	struct robust *r = user;
	unsigned account = gfn == ROBUST_ROM / 4096 ? ROBUST_FRAMES : (unsigned)gfn;

	(void)hfn, (void)dirty;
	if (account > ROBUST_FRAMES || !r->borrowed[account])
		break_promise(r, "a page given back that was not borrowed");
	else
		r->borrowed[account]--;
}

static void *get_table(void *user)
{
	struct robust *r = user;

	if (r->nomem_one_in && rng_one_in(&r->rng, r->nomem_one_in)) {
		r->ran_out = true;
		return NULL;
	}
	if (r->tables++ == r->tables_max)
		break_promise(r, "more tables than the budget");
	return aligned_alloc(UM_PAGE_SIZE, UM_TABLE_BYTES);
}

static void put_table(void *user, void *table)
{
	struct robust *r = user;

	r->tables--;
	free(table);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	struct robust *r = user;

	if (r->cpu)
		cpu_invalidate(r->cpu, first, last);
}

static void invalidate_all(void *user)
{
	struct robust *r = user;

	if (r->cpu)
		cpu_invalidate_all(r->cpu);
}

static void invalidate_nonglobal(void *user)
{
	struct robust *r = user;

	if (r->cpu)
		cpu_invalidate_nonglobal(r->cpu);
}

static const struct um_ops callbacks = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page, .put_page = put_page,
	.get_table = get_table, .put_table = put_table, .invalidate = invalidate,
	.invalidate_all = invalidate_all, .invalidate_nonglobal = invalidate_nonglobal,
};

/* ---- 2. Outside ----------------------------------------------------------------------------- */

static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	struct robust *r = user;

	(void)port, (void)bytes;
	return rng_value(&r->rng);
}

/* An OUT may be a device's command to write memory. */
static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	struct robust *r = user;
	uint32_t at = value % ROBUST_RAM & ~3u;

	(void)bytes;
	if (port % 4)
		return;
	memcpy(r->ram + at, &value, 4);
	cpu_code_written(r->cpu, r->ram + at, 4);
	um_guest_wrote(r->um, at, 4);
}

static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes)
{
	struct robust *r = user;

	(void)gpa, (void)bytes;
	return rng_next(&r->rng);
}

static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	(void)user, (void)gpa, (void)bytes, (void)value;
}

static int ack_irq(void *user)
{
	struct robust *r = user;

	cpu_set_irq(r->cpu, false);
	return rng_one_in(&r->rng, 8) ? -1 : (int)rng_below(&r->rng, 256);
}

static uint64_t tsc(void *user)
{
	struct robust *r = user;

	return rng_next(&r->rng);
}

/* ---- 3. Making ------------------------------------------------------------------------------ */

static bool make_um(struct robust *r, uint32_t options, uint32_t roots)
{
	struct um_config config = {
		.ops = &callbacks, .user = r, .format = &um_format_i386, .learn = UM_LEARN_TRACKED,
		.options = options, .max_gfn = ROBUST_MAX_GFN, .max_tables = r->tables_max, .max_roots = roots,
		.prefetch = 8,
	};
	size_t bytes = um_size(&config);

	r->um_memory = bytes ? aligned_alloc(64, (bytes + 63) & ~(size_t)63) : NULL;
	if (!r->um_memory)
		return false;
	memset(r->um_memory, 0, bytes);
	return um_init(r->um_memory, &config, &r->um) == UM_OK;
}

static bool make_cpu(struct robust *r, uint32_t options)
{
	struct cpu_config config = {
		.um = r->um, .options = options, .ram = r->ram, .ram_bytes = ROBUST_RAM, .tsc_hz = 1000000000,
		.bus = { .user = r, .port_in = port_in, .port_out = port_out, .mmio_read = mmio_read,
		         .mmio_write = mmio_write, .ack_irq = ack_irq, .tsc = tsc },
	};

	r->cpu = cpu_new(&config);
	return r->cpu != NULL;
}

static const char *free_robust(struct robust *r)
{
	const char *broken;

	if (r->cpu)
		cpu_free(r->cpu);
	r->cpu = NULL;
	if (r->um)
		um_destroy(r->um);
	broken = r->broken;
	for (unsigned i = 0; i <= ROBUST_FRAMES && !broken; i++)
		if (r->borrowed[i])
			broken = "a page not given back";
	if (!broken && r->tables)
		broken = "a table not given back";
	free(r->um_memory);
	free(r->ram);
	free(r->rom);
	free(r);
	return broken;
}

struct robust_options { uint32_t cpu, um, tables, roots; unsigned nomem_one_in; };

static struct robust *make_robust(const struct robust_options *o)
{
	struct robust *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	r->tables_max = o->tables;
	r->nomem_one_in = o->nomem_one_in;
	r->ram = aligned_alloc(4096, ROBUST_RAM);
	r->rom = aligned_alloc(4096, 4096);
	if (r->ram && r->rom) {
		memset(r->ram, 0, ROBUST_RAM);
		memset(r->rom, 0xF4, 4096);
		if (make_um(r, o->um, o->roots) && make_cpu(r, o->cpu))
			return r;
	}
	free_robust(r);
	return NULL;
}

/* ---- 4. Checks ------------------------------------------------------------------------------ */

/* One TLB entry: the shadow permits it, at the same host page.  A global translation may have outlived the
 * root it was filled from; then it must at least be a page of ours. */
static bool entry_is_shadowed(struct robust *r, uint32_t tag, uintptr_t addend, unsigned access)
{
	uintptr_t host = (uintptr_t)tag + addend;
	struct um_map map;

	if (tag & 0xFFF) /* TLB_NEVER, or a tag that never matches */
		return true;
	if (um_lookup(r->um, tag, access, &map) == UM_OK)
		return (uintptr_t)map.hfn << UM_PAGE_SHIFT == host;
	return (r->cpu->cr4 & CR4_PGE) && host - (uintptr_t)r->ram < ROBUST_RAM;
}

static bool tlb_is_shadowed(struct robust *r)
{
	for (unsigned user = 0; user < 2; user++)
		for (unsigned i = 0; i < TLB_ENTRIES; i++) {
			const struct tlb_entry *t = &r->cpu->tlbs[user][i];
			unsigned access = user ? UM_USER : 0;

			if (!entry_is_shadowed(r, t->read, t->addend, access) ||
			    !entry_is_shadowed(r, t->write, t->addend, access | UM_WRITE))
				return false;
		}
	return true;
}

static const char *check(struct robust *r)
{
	struct um_violation v = um_audit(r->um);

	if (v.invariant)
		return v.text;
	if (!tlb_is_shadowed(r))
		return "the TLB holds what the shadow does not";
	return r->broken;
}

/* ---- 5. One seed ---------------------------------------------------------------------------- */

enum { SLICES = 12, SLICE = 400, SLACK = 8192 };

/* Something from outside between two runs. */
static void disturb(struct robust *r)
{
	uint8_t bytes[64];
	uint32_t at = (uint32_t)rng_next(&r->rng);

	switch (rng_below(&r->rng, 14)) {
	case 0: cpu_set_irq(r->cpu, true); break;
	case 1: cpu_pulse_nmi(r->cpu); break;
	case 2: cpu_kick(r->cpu); break;
	case 3: um_forget_frame(r->um, rng_below(&r->rng, ROBUST_FRAMES)); break;
	case 4: um_shrink(r->um, rng_below(&r->rng, 4)); break;
	case 5: um_flush_all(r->um); break;
	case 6: um_flush_page(r->um, at); break;
	case 7: cpu_peek(r->cpu, at, bytes, sizeof bytes); break;
	case 8: cpu_poke(r->cpu, at % ROBUST_RAM, &at, sizeof at); break;
	default: break;
	}
}

static void restart(struct robust *r, robust_build *build)
{
	struct cpu_state s;

	memset(r->ram, 0, ROBUST_RAM);
	cpu_reset(r->cpu);
	cpu_get_state(r->cpu, &s);
	build(r, &s);
	um_guest_wrote(r->um, 0, ROBUST_RAM);
	cpu_code_written(r->cpu, r->ram, ROBUST_RAM);
	cpu_set_irq(r->cpu, false);
	cpu_set_state(r->cpu, &s);
}

static const char *check_exit(struct robust *r, enum cpu_exit exit, uint64_t ran)
{
	char text[1024];

	if (ran > SLICE + SLACK)
		return "cpu_run() went on far beyond its budget";
	switch (exit) {
	case CPU_EXIT_BUDGET: case CPU_EXIT_KICKED: case CPU_EXIT_HALTED:
		return NULL;
	case CPU_EXIT_SHUTDOWN:
		return cpu_describe_shutdown(r->cpu, text, sizeof text) > 16 ? NULL : "a shutdown without a word";
	case CPU_EXIT_NOMEM:
		return r->ran_out ? NULL : "out of memory while there was memory";
	default:
		return "an exit that this machine cannot have";
	}
}

/* The guest has shut down: another one begins in its memory. */
static void reincarnate(struct robust *r, robust_build *again)
{
	struct cpu_state s;

	cpu_reset(r->cpu);
	cpu_get_state(r->cpu, &s);
	again(r, &s);
	cpu_set_state(r->cpu, &s);
}

static const char *run_seed(struct robust *r, robust_build *build, robust_build *again, struct robust_result *result)
{
	enum cpu_exit exit = CPU_EXIT_BUDGET;
	const char *wrong = NULL;

	r->ran_out = false;
	restart(r, build);
	for (unsigned slice = 0; slice < SLICES && !wrong; slice++) {
		uint64_t before = cpu_instructions(r->cpu);

		if (exit == CPU_EXIT_SHUTDOWN) {
			if (!again)
				break;
			reincarnate(r, again);
		}
		exit = cpu_run(r->cpu, SLICE);
		wrong = check_exit(r, exit, cpu_instructions(r->cpu) - before);
		result->instructions += cpu_instructions(r->cpu) - before;
		if (exit == CPU_EXIT_HALTED)
			cpu_set_irq(r->cpu, true);
		if (!wrong && slice % 4 == 0)
			wrong = check(r);
		r->ran_out = false;
		disturb(r);
	}
	result->shutdowns += exit == CPU_EXIT_SHUTDOWN;
	result->halts += exit == CPU_EXIT_HALTED;
	result->nomem += exit == CPU_EXIT_NOMEM;
	result->budgets += exit == CPU_EXIT_BUDGET || exit == CPU_EXIT_KICKED;
	return wrong ? wrong : check(r);
}

/* ---- 6. All seeds --------------------------------------------------------------------------- */

enum { MACHINES = 8, SECONDS = 20 };

static const struct robust_options options[MACHINES] = {
	{ CPU_OPT_ALL, UM_OPT_ALL, 64, 4, 0 },
	{ CPU_OPT_ALL, UM_OPT_ALL, UM_MIN_TABLES, 1, 0 },
	{ CPU_OPT_ALL, UM_OPT_ALL, 16, 16, 5 },
	{ 0, 0, 64, 4, 0 },
	{ CPU_OPT_ALL, 0, 64, 4, 0 },
	{ 0, UM_OPT_ALL, 64, 4, 0 },
	{ CPU_OPT_ALL & ~CPU_OPT_TLB, UM_OPT_ALL & ~UM_OPT_UNSYNC, 32, 2, 0 },
	{ CPU_OPT_ALL & ~CPU_OPT_CHAIN, UM_OPT_ALL & ~UM_OPT_LAZY_FLUSH, 32, 64, 50 },
};

/* The seed that runs, in words, for the alarm's handler. */
static char running[64];

static void took_too_long(int number)
{
	(void)number;
	if (write(1, running, strlen(running)) < 0)
		_exit(4);
	_exit(3);
}

/* Heap in use, without shadow tables, whose number is bounded elsewhere (0 where the C library cannot say). */
static uint64_t heap_bytes(struct robust *const machines[MACHINES])
{
	uint64_t tables = 0;

	for (unsigned i = 0; i < MACHINES; i++)
		tables += machines[i]->tables;
#ifdef __GLIBC__
	struct mallinfo2 info = mallinfo2();

	tables *= UM_TABLE_BYTES;
	return info.uordblks + info.hblkhd > tables ? info.uordblks + info.hblkhd - tables : 0;
#else
	return 0;
#endif
}

static void run_all(struct robust *machines[MACHINES], robust_build *build, robust_build *again, uint64_t first,
                    unsigned long count, struct robust_result *result)
{
	uint64_t heap = 0, now;

	for (uint64_t seed = first; seed < first + count && !result->failure; seed++) {
		struct robust *r = machines[seed % MACHINES];

		if (seed == first + 2 * MACHINES)
			heap = heap_bytes(machines);
		snprintf(running, sizeof running, "Bail out! seed %llu takes too long\n", (unsigned long long)seed);
		alarm(SECONDS);
		rng_seed(&r->rng, seed);
		result->failure = run_seed(r, build, again, result);
		result->failed_seed = seed;
		result->seeds++;
	}
	alarm(0);
	now = heap_bytes(machines);
	if (heap && now > heap)
		result->growth_kib = (now - heap) / 1024;
}

struct robust_result robust_seeds(robust_build *build, robust_build *again, uint64_t first, unsigned long count)
{
	struct robust *machines[MACHINES] = { 0 };
	struct robust_result result = { 0 };

	signal(SIGALRM, took_too_long);
	for (unsigned i = 0; i < MACHINES && !result.failure; i++) {
		machines[i] = make_robust(&options[i]);
		if (!machines[i])
			result.failure = "no memory for the test";
	}
	if (!result.failure)
		run_all(machines, build, again, first, count, &result);
	for (unsigned i = 0; i < MACHINES; i++) {
		const char *broken = machines[i] ? free_robust(machines[i]) : NULL;

		if (broken && !result.failure)
			result.failure = broken;
	}
	signal(SIGALRM, SIG_DFL);
	return result;
}

unsigned long robust_count(unsigned long usual, uint64_t *first)
{
	const char *count = getenv("ROBUST_SEEDS"), *from = getenv("ROBUST_FIRST");

	*first = from ? strtoull(from, NULL, 0) : 1;
	return count && strtoul(count, NULL, 0) ? strtoul(count, NULL, 0) : test_rounds(usual);
}
