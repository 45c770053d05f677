/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lguest_rig.c - see lguest_rig.h.
 */
#include "tests/lib/lguest_rig.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/internal.h"

enum { FLAGS_KERNEL = 0x63, FLAGS_TABLE = 0x67, FLAGS_USER_TEXT = 0x25 };

/* ---- The shadow's embedder ------------------------------------------------------------------ */

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct lgrig *rig = user;

	*value = 0;
	if (gpa + bytes > LGRIG_LIMIT)
		return false;
	memcpy(value, rig->ram + gpa, bytes);
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct lgrig *rig = user;

	if (gpa + bytes > LGRIG_LIMIT || memcmp(rig->ram + gpa, &old, bytes))
		return false;
	memcpy(rig->ram + gpa, &value, bytes);
	return true;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct lgrig *rig = user;

	(void)write;
	if (gfn >= LGRIG_LIMIT / UM_PAGE_SIZE)
		return UM_GRANT_REFUSED;
	*hfn = ((uintptr_t)rig->ram >> UM_PAGE_SHIFT) + gfn;
	rig->borrowed++;
	return UM_GRANT_RAM;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	struct lgrig *rig = user;

	(void)gfn, (void)hfn, (void)dirty;
	rig->borrowed--;
}

static void *get_table(void *user)
{
	struct lgrig *rig = user;

	if (rig->fail_table && --rig->fail_table == 0)
		rig->table_failures = -1;
	if (rig->table_failures) {
		if (rig->table_failures > 0)
			rig->table_failures--;
		return NULL;
	}
	rig->tables++;
	return aligned_alloc(UM_PAGE_SIZE, UM_TABLE_BYTES);
}

static void put_table(void *user, void *table)
{
	struct lgrig *rig = user;

	rig->tables--;
	free(table);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	struct lgrig *rig = user;

	if (rig->cpu)
		cpu_invalidate(rig->cpu, first, last);
}

static void invalidate_all(void *user)
{
	struct lgrig *rig = user;

	if (rig->cpu)
		cpu_invalidate_all(rig->cpu);
}

static const struct um_ops ops = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page, .put_page = put_page,
	.get_table = get_table, .put_table = put_table, .invalidate = invalidate,
	.invalidate_all = invalidate_all,
};

/* ---- The processor's outside, and the host's ------------------------------------------------ */

static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes)
{
	struct lgrig *rig = user;

	(void)bytes;
	lguest_kill(rig->lg, "bad page table entry: no memory at %#llx", (unsigned long long)gpa);
	return UINT64_MAX;
}

static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	(void)value;
	(void)mmio_read(user, gpa, bytes);
}

static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	(void)user, (void)port, (void)bytes;
	fail_msg("a port was read by the processor itself");
	return 0;
}

static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	(void)user, (void)port, (void)bytes, (void)value;
	fail_msg("a port was written by the processor itself");
}

static int ack_irq(void *user)
{
	(void)user;
	return -1;
}

static uint64_t tsc(void *user) { return ((struct lgrig *)user)->now; }

static enum cpu_trap trap(void *user, struct cpu *cpu, const struct cpu_event *event)
{
	return lguest_trap(((struct lgrig *)user)->lg, cpu, event);
}

static uint64_t now(void *user) { return ((struct lgrig *)user)->now; }

static void wall(void *user, uint32_t *seconds, uint32_t *nanoseconds)
{
	struct lgrig *rig = user;

	*seconds = rig->seconds;
	*nanoseconds = rig->nanoseconds;
}

static void wrote(void *user, um_gpa gpa, uint64_t bytes)
{
	struct lgrig *rig = user;

	if (gpa + bytes > LGRIG_LIMIT)
		fail_msg("the host wrote outside memory: %#llx", (unsigned long long)gpa);
	cpu_code_written(rig->cpu, rig->ram + gpa, bytes);
	um_guest_wrote(rig->um, gpa, bytes);
}

static bool notify(void *user, um_gpa gpa)
{
	struct lgrig *rig = user;

	if (!rig->device || gpa != rig->device)
		return false;
	rig->notified++;
	return true;
}

static void say(void *user, const char *text, size_t bytes)
{
	struct lgrig *rig = user;
	size_t room = sizeof rig->text - 1 - (rig->said < sizeof rig->text ? rig->said : sizeof rig->text - 1);

	if (bytes < room)
		room = bytes;
	if (room)
		memcpy(rig->text + rig->said, text, room);
	rig->said += (unsigned)bytes;
}

/* ---- Memory --------------------------------------------------------------------------------- */

void lgrig_store(struct lgrig *rig, uint32_t gpa, const void *bytes, uint32_t count)
{
	memcpy(rig->ram + gpa, bytes, count);
	cpu_code_written(rig->cpu, rig->ram + gpa, count);
	um_guest_wrote(rig->um, gpa, count);
}

void lgrig_put(struct lgrig *rig, uint32_t gpa, uint32_t word) { lgrig_store(rig, gpa, &word, 4); }

uint32_t lgrig_get(const struct lgrig *rig, uint32_t gpa)
{
	uint32_t word;

	memcpy(&word, rig->ram + gpa, 4);
	return word;
}

uint32_t lgrig_page(struct lgrig *rig)
{
	static const uint8_t zeroes[UM_PAGE_SIZE];
	uint32_t page = rig->next_page;

	if (page >= LGRIG_MEM)
		fail_msg("the rig's memory is used up");
	rig->next_page += UM_PAGE_SIZE;
	lgrig_store(rig, page, zeroes, UM_PAGE_SIZE);
	return page;
}

uint32_t lgrig_entry(struct lgrig *rig, uint32_t top, uint32_t gva)
{
	uint32_t pde = top + (gva >> 22) * 4;

	if (!(lgrig_get(rig, pde) & 1))
		lgrig_put(rig, pde, lgrig_page(rig) | FLAGS_TABLE);
	return (lgrig_get(rig, pde) & ~0xFFFu) + (gva >> 12 & 1023) * 4;
}

void lgrig_map(struct lgrig *rig, uint32_t top, uint32_t gva, uint32_t pte)
{
	lgrig_put(rig, lgrig_entry(rig, top, gva), pte);
}

uint32_t lgrig_space(struct lgrig *rig)
{
	uint32_t top = lgrig_page(rig);

	for (uint32_t slot = LGRIG_SPLIT >> 22; slot < 1024; slot++)
		lgrig_put(rig, top + 4 * slot, lgrig_get(rig, LGRIG_SWAPPER + 4 * slot));
	lgrig_map(rig, top, LGRIG_USER_TEXT, LGRIG_USER | FLAGS_USER_TEXT);
	return top;
}

uint32_t lgrig_data(const struct lgrig *rig, unsigned offset) { return lgrig_get(rig, LGRIG_DATA + offset); }

/* All memory at the split; in the boot directory at its own address as well. */
static void make_kernel_tables(struct lgrig *rig)
{
	for (uint32_t gpa = 0; gpa < LGRIG_LIMIT; gpa += UM_PAGE_SIZE)
		lgrig_map(rig, LGRIG_SWAPPER, lgrig_va(gpa), gpa | FLAGS_KERNEL);
	for (uint32_t slot = 0; slot < 1024 - (LGRIG_SPLIT >> 22); slot++) {
		uint32_t entry = lgrig_get(rig, LGRIG_SWAPPER + 4 * (slot + (LGRIG_SPLIT >> 22)));

		lgrig_put(rig, LGRIG_BOOT_DIR + 4 * slot, entry);
		lgrig_put(rig, LGRIG_BOOT_DIR + 4 * (slot + (LGRIG_SPLIT >> 22)), entry);
	}
}

/* ---- Running -------------------------------------------------------------------------------- */

static struct cpu_segment segment(unsigned selector, unsigned type)
{
	return (struct cpu_segment){ (uint16_t)selector, (uint16_t)(0xC090u | (selector & 3) << 5 | type), 0,
		                     0xFFFFFFFFu };
}

/* Behind the processor's back, and without a flush. */
static void set_ring(struct lgrig *rig, unsigned ring)
{
	struct cpu *c = rig->cpu;

	c->seg[CPU_CS] = segment(ring == 3 ? 0x73 : 0x61, 0xB);
	c->seg[CPU_SS] = c->seg[CPU_DS] = c->seg[CPU_ES] = segment(ring == 3 ? 0x7B : 0x69, 3);
	c->cpl = (uint8_t)ring;
	c->gpr[CPU_ESP] = ring == 3 ? LGRIG_USER_TEXT + 0xF00 : (rig->booted ? lgrig_va(0) : 0) + LGRIG_STACK_END - 64;
	c->halted = false;
	mode_changed(c);
}

static bool pushes_error(unsigned vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static uint32_t stack_word(struct lgrig *rig, unsigned n)
{
	uint32_t word = 0, at = rig->cpu->gpr[CPU_ESP] + 4 * n;

	/* Wild code may have jumped there without a frame: zeroes. */
	(void)cpu_peek(rig->cpu, at, &word, 4);
	return word;
}

static void read_frame(struct lgrig *rig, unsigned vector)
{
	struct lgrig_frame *f = &rig->frame;
	unsigned n = 0;

	*f = (struct lgrig_frame){ .vector = vector, .has_error = pushes_error(vector) };
	if (f->has_error)
		f->error = stack_word(rig, n++);
	f->eip = stack_word(rig, n++);
	f->cs = stack_word(rig, n++);
	f->eflags = stack_word(rig, n++);
	f->from_user = (f->cs & 3) == 3;
	if (f->from_user) {
		f->esp = stack_word(rig, n++);
		f->ss = stack_word(rig, n++);
	}
}

static bool in_handler(struct lgrig *rig)
{
	uint32_t eip = rig->cpu->eip, first = lgrig_va(LGRIG_HANDLERS);

	if (rig->cpu->cpl != 1 || eip < first || eip >= first + 16 * 256 || eip % 16)
		return false;
	read_frame(rig, (eip - first) / 16);
	return true;
}

static void check(struct lgrig *rig)
{
	if (!rig->audit)
		return;
	struct um_violation v = um_audit(rig->um);
	if (v.invariant)
		fail_msg("I%d: %s (gva %llx gfn %llx)", v.invariant, v.text, (unsigned long long)v.gva,
		         (unsigned long long)v.gfn);
}

static enum lgrig_result run_to(struct lgrig *rig, uint32_t landing)
{
	enum { STEPS_MAX = 4096 };

	for (unsigned n = 0; n < STEPS_MAX; n++) {
		enum cpu_exit exit;

		if (lguest_ended(rig->lg) != LGUEST_RUNS)
			return LGRIG_ENDED;
		/* (That it has halted, the next run says.) */
		if (n && rig->cpu->eip == landing && !rig->cpu->halted)
			return LGRIG_DONE;
		if (n && in_handler(rig))
			return LGRIG_REFLECTED;
		exit = cpu_run(rig->cpu, 1);
		switch (exit) {
		case CPU_EXIT_STOP:
		case CPU_EXIT_SHUTDOWN:
			lguest_stopped(rig->lg, exit);
			break;
		case CPU_EXIT_NOMEM:
			return LGRIG_NOMEM;
		case CPU_EXIT_HALTED:
			return LGRIG_HALTED;
		default:
			break;
		}
	}
	return LGRIG_LOST;
}

/* Where the kernel runs: 1:1 until it has tables of its own. */
static uint32_t text(const struct lgrig *rig) { return rig->booted ? lgrig_va(LGRIG_TEXT) : LGRIG_TEXT; }

enum lgrig_result lgrig_execute(struct lgrig *rig, unsigned ring, const void *code, unsigned bytes)
{
	static const uint8_t stop[] = { 0xEB, 0xFE }; /* 1: jmp 1b */
	uint32_t page = ring == 3 ? LGRIG_USER : LGRIG_TEXT;
	uint32_t at = ring == 3 ? LGRIG_USER_TEXT : text(rig);
	enum lgrig_result result;

	if (memcmp(rig->ram + page, code, bytes) || memcmp(rig->ram + page + bytes, stop, sizeof stop)) {
		lgrig_store(rig, page, code, bytes);
		lgrig_store(rig, page + bytes, stop, sizeof stop);
	}
	set_ring(rig, ring);
	cpu_set_eip(rig->cpu, at);
	rig->landing = at + bytes;
	result = run_to(rig, rig->landing);
	check(rig);
	return result;
}

enum lgrig_result lgrig_resume(struct lgrig *rig)
{
	enum lgrig_result result = run_to(rig, rig->landing);

	check(rig);
	return result;
}

/* ---- Calls ---------------------------------------------------------------------------------- */

/* Registers of arguments, by family. */
static void set_arguments(struct lgrig *rig, const uint32_t arg[4])
{
	static const uint8_t old[] = { CPU_EDX, CPU_EBX, CPU_ECX }, later[] = { CPU_EBX, CPU_ECX, CPU_EDX, CPU_ESI };
	const uint8_t *order = rig->family == LGUEST_B ? old : later;
	unsigned count = rig->family <= LGUEST_C ? 3 : 4;

	for (unsigned n = 0; n < count; n++)
		cpu_set_gpr(rig->cpu, order[n], arg[n]);
}

static bool may_queue(uint32_t number)
{
	switch (number) {
	case LGCALL_NEW_PGTABLE:
	case LGCALL_FLUSH_TLB:
	case LGCALL_SET_STACK:
	case LGCALL_TS:
	case LGCALL_SET_MIDDLE:
	case LGCALL_SET_PTE:
	case LGCALL_SET_PGD:
	case LGCALL_LOAD_TLS:
		return true;
	default:
		return false;
	}
}

enum lgrig_result lgrig_call(struct lgrig *rig, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4)
{
	static const uint8_t interrupt[] = { 0xCD, 0x1F }, vmcall[] = { 0x0F, 0x01, 0xC1 };
	bool by_vmcall = rig->family == LGUEST_C || rig->family == LGUEST_D;

	if (rig->by_ring && may_queue(number) && lgrig_queue(rig, number, a1, a2, a3, a4))
		number = a1 = a2 = a3 = a4 = 0;
	set_ring(rig, 1);
	for (unsigned r = 0; r < 8; r++)
		if (r != CPU_ESP)
			cpu_set_gpr(rig->cpu, r, 0);
	cpu_set_gpr(rig->cpu, CPU_EAX, number);
	set_arguments(rig, (const uint32_t[4]){ a1, a2, a3, a4 });
	return lgrig_execute(rig, 1, by_vmcall ? vmcall : interrupt, by_vmcall ? sizeof vmcall : sizeof interrupt);
}

bool lgrig_queue(struct lgrig *rig, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4)
{
	bool old = rig->family <= LGUEST_C;
	uint32_t status = LGRIG_DATA + (old ? 20 : 24) + rig->slot;
	uint32_t slot = LGRIG_DATA + (old ? 84 + 16 * rig->slot : 88 + 20 * rig->slot);
	const uint32_t b[] = { number, a2, a3, a1 }, later[] = { number, a1, a2, a3, a4 };
	const uint8_t pending = 0;

	if (rig->ram[status] != 0xFF)
		return false;
	lgrig_store(rig, slot, rig->family == LGUEST_B ? b : later, old ? 16 : 20);
	lgrig_store(rig, status, &pending, 1);
	rig->slot = (rig->slot + 1) % 64;
	return true;
}

/* ---- Touching ------------------------------------------------------------------------------- */

enum lgrig_result lgrig_touch(struct lgrig *rig, uint32_t gva, unsigned access)
{
	static const uint8_t load[] = { 0x8A, 0x0B }, store[] = { 0x88, 0x0B }; /* mov (%ebx),%cl and back */

	cpu_set_gpr(rig->cpu, CPU_EBX, gva);
	return lgrig_execute(rig, access & UM_USER ? 3 : 1, access & UM_WRITE ? store : load, 2);
}

enum lgrig_result lgrig_poll(struct lgrig *rig)
{
	lguest_poll(rig->lg);
	check(rig);
	if (lguest_ended(rig->lg) != LGUEST_RUNS)
		return LGRIG_ENDED;
	if (in_handler(rig))
		return LGRIG_REFLECTED;
	return rig->cpu->halted ? LGRIG_HALTED : LGRIG_DONE;
}

/* ---- Making --------------------------------------------------------------------------------- */

void lgrig_fill_data(struct lgrig *rig)
{
	static const uint16_t tail[LGUEST_FAMILIES] = { 0, 1128, 1128, 1388, 1388, 1384, 1384, 1380 };
	uint8_t data[1396] = { 0 };
	const uint32_t split = LGRIG_SPLIT, vector = 0x80, masked = 1;

	memset(data + (rig->family <= LGUEST_C ? 20 : 24), 0xFF, 64);
	memcpy(data + LGDATA_BLOCKED, &masked, 4);
	memcpy(data + tail[rig->family], &split, 4);
	memcpy(data + tail[rig->family] + 4, &vector, 4);
	lgrig_store(rig, LGRIG_DATA, data, sizeof data);
}

enum lgrig_result lgrig_init(struct lgrig *rig) { return lgrig_call(rig, LGCALL_INIT, LGRIG_DATA, 0, 0, 0); }

static void must(enum lgrig_result result, struct lgrig *rig)
{
	if (result != LGRIG_DONE)
		fail_msg("the rig does not boot: %d, %s", (int)result, lguest_reason(rig->lg));
}

static void load_segments(struct lgrig *rig)
{
	static const uint32_t high[4] = { 0x00CF9B00, 0x00CF9300, 0x00CFFB00, 0x00CFF300 };

	for (uint32_t n = 0; n < 4; n++) {
		lgrig_put(rig, LGRIG_SCRATCH + 8 * (12 + n), 0x0000FFFF);
		lgrig_put(rig, LGRIG_SCRATCH + 8 * (12 + n) + 4, high[n]);
		if (rig->family >= LGUEST_D)
			must(lgrig_call(rig, LGCALL_LOAD_GDT_ENTRY, 12 + n, 0x0000FFFF, high[n], 0), rig);
	}
	if (rig->family < LGUEST_D)
		must(lgrig_call(rig, LGCALL_LOAD_GDT, LGRIG_SCRATCH, 32, 0, 0), rig);
}

/* Which of the exceptions 2.6.24 takes through trap gates. */
static bool is_trap_gate(const struct lgrig *rig, unsigned vector)
{
	static const uint32_t traps = 0x000F3EF1u & ~(1u << 8);

	return vector == 0x80 || (rig->config.trap_gates && vector < 32 && traps >> vector & 1);
}

static void load_handlers(struct lgrig *rig)
{
	static const uint8_t stop[] = { 0xEB, 0xFE };

	for (uint32_t v = 0; v < 256; v++) {
		uint32_t at = lgrig_va(LGRIG_HANDLERS) + 16 * v, high = is_trap_gate(rig, v) ? 0x8F00 : 0x8E00;

		if (v == 3 || v == 4 || v == 0x80)
			high |= 0x6000;
		lgrig_store(rig, LGRIG_HANDLERS + 16 * v, stop, sizeof stop);
		must(lgrig_call(rig, LGCALL_LOAD_IDT_ENTRY, v, 0x00600000 | (at & 0xFFFF), (at & 0xFFFF0000u) | high, 0),
		     rig);
	}
}

void lgrig_boot(struct lgrig *rig)
{
	bool audit = rig->audit;

	rig->audit = false; /* some 300 calls: once at the end */
	must(lgrig_init(rig), rig);
	if (rig->family >= LGUEST_D)
		must(lgrig_call(rig, LGCALL_NEW_PGTABLE, LGRIG_BOOT_DIR, 0, 0, 0), rig);
	rig->booted = true;
	must(lgrig_call(rig, LGCALL_NEW_PGTABLE, LGRIG_SWAPPER, 0, 0, 0), rig);
	load_segments(rig);
	load_handlers(rig);
	must(lgrig_call(rig, LGCALL_SET_STACK, 0x69, lgrig_va(LGRIG_STACK_END) - 8, 2, 0), rig);
	rig->space = lgrig_space(rig);
	rig->audit = audit;
	must(lgrig_call(rig, LGCALL_NEW_PGTABLE, rig->space, 0, 0, 0), rig);
}

struct lgrig *lgrig_new(enum lguest_family family)
{
	const struct lgrig_config config = { .family = family, .forced = true, .um_options = UM_OPT_ALL,
		                             .cpu_options = CPU_OPT_ALL, .max_roots = 8, .max_tables = 256,
		                             .prefetch = 8, .tsc_khz = 1000000 };

	return lgrig_new_with(&config);
}

static void make_core(struct lgrig *rig)
{
	const struct um_config config = {
		.ops = &ops, .user = rig, .format = &um_format_i386, .learn = UM_LEARN_TRACKED,
		.options = rig->config.um_options, .max_gfn = 2 * (LGRIG_MEM >> UM_PAGE_SHIFT), .max_tables = rig->config.max_tables,
		.max_roots = rig->config.max_roots, .prefetch = rig->config.prefetch,
	};
	size_t bytes = (um_size(&config) + 15) & ~(size_t)15;

	rig->um_memory = aligned_alloc(16, bytes);
	memset(rig->um_memory, 0, bytes);
	if (um_init(rig->um_memory, &config, &rig->um) != UM_OK)
		abort();
}

static void make_cpu(struct lgrig *rig)
{
	const struct cpu_config config = {
		.um = rig->um, .options = rig->config.cpu_options, .ram = rig->ram, .ram_bytes = LGRIG_LIMIT,
		.tsc_hz = 1000000000, .window = LGUEST_WINDOW, .host_code = LGUEST_HOST_CS,
		.bus = { .user = rig, .port_in = port_in, .port_out = port_out, .mmio_read = mmio_read,
		         .mmio_write = mmio_write, .ack_irq = ack_irq, .tsc = tsc, .trap = trap },
	};

	rig->cpu = cpu_new(&config);
	if (!rig->cpu)
		abort();
}

static void make_host(struct lgrig *rig)
{
	const struct lguest_world world = {
		.user = rig, .um = rig->um, .cpu = rig->cpu, .ram = rig->ram, .ram_bytes = LGRIG_MEM,
		.limit = LGRIG_LIMIT, .tsc_khz = rig->config.tsc_khz, .now = now, .wall = wall, .wrote = wrote,
		.notify = notify, .say = say,
	};

	rig->lg = lguest_new(&world);
	if (!rig->lg)
		abort();
}

struct lgrig *lgrig_new_with(const struct lgrig_config *config)
{
	struct lgrig *rig = calloc(1, sizeof *rig);
	struct lguest_boot boot = { .entry = LGRIG_TEXT };

	rig->config = *config;
	rig->family = config->family;
	rig->audit = true;
	rig->now = 1000;
	rig->seconds = 1000000;
	rig->next_page = LGRIG_FREE;
	rig->ram = aligned_alloc(UM_PAGE_SIZE, LGRIG_LIMIT);
	memset(rig->ram, 0, LGRIG_LIMIT);
	make_core(rig);
	make_cpu(rig);
	make_host(rig);
	lgrig_fill_data(rig);
	make_kernel_tables(rig);
	if (rig->family < LGUEST_F)
		boot.pgdir = LGRIG_BOOT_DIR;
	if (!lguest_start(rig->lg, config->forced ? rig->family : LGUEST_AUTO, &boot))
		fail_msg("the guest does not start");
	return rig;
}

void lgrig_free(struct lgrig *rig)
{
	unsigned borrowed, tables;

	cpu_free(rig->cpu);
	rig->cpu = NULL;
	um_destroy(rig->um);
	lguest_free(rig->lg);
	borrowed = rig->borrowed;
	tables = rig->tables;
	free(rig->um_memory);
	free(rig->ram);
	free(rig);
	if (borrowed || tables)
		fail_msg("%u pages and %u tables were not given back", borrowed, tables);
}
