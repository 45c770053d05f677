/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lgbox.c - the machine of lgbox.h.
 *
 *   1. Failing, counting
 *   2. The shadow's embedder
 *   3. The processor's outside, the host's world
 *   4. Life
 *   5. What must hold
 */
#include "tests/lib/lgbox.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GUARD_BELOW (16ull << 20)
#define GUARD_ABOVE (1ull << 32)
/* Of one move: the longest is a ring full of calls that each drop all tables. */
#define WORK_MAX (64ull * LGBOX_TABLES * 2048)

/* ---- 1. Failing, counting ------------------------------------------------------------------- */

void lgbox_fail(const struct lgbox *b, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "lgbox: family %s, input %llu, life %u, move %llu: ", lguest_family_name(b->set.family),
	        (unsigned long long)b->inputs, b->lives, (unsigned long long)b->moves);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	abort();
}

static void touch(struct lgbox *b, uint64_t gpa, uint64_t bytes)
{
	for (uint64_t page = gpa / UM_PAGE_SIZE; bytes && page <= (gpa + bytes - 1) / UM_PAGE_SIZE; page++)
		b->dirty[page] = 1;
}

/* ---- 2. The shadow's embedder --------------------------------------------------------------- */

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct lgbox *b = user;

	b->work++;
	*value = 0;
	if (gpa + bytes > b->limit)
		return false;
	memcpy(value, b->ram + gpa, bytes);
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct lgbox *b = user;

	b->work++;
	if (gpa + bytes > b->limit || memcmp(b->ram + gpa, &old, bytes))
		return false;
	touch(b, gpa, bytes);
	b->data_updated = true;
	memcpy(b->ram + gpa, &value, bytes);
	return true;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct lgbox *b = user;

	b->work++;
	if (gfn >= b->limit / UM_PAGE_SIZE) {
		bool mmio = b->transport == LGBOX_PCI && gfn >= LGBOX_MMIO / UM_PAGE_SIZE &&
		            gfn < LGBOX_MMIO_END / UM_PAGE_SIZE;
		return mmio ? UM_GRANT_MMIO : UM_GRANT_REFUSED;
	}
	if (write)
		b->dirty[gfn] = 1;
	if (write && gfn >= b->data / UM_PAGE_SIZE && gfn <= (b->data + LGBOX_DATA_BYTES) / UM_PAGE_SIZE)
		b->data_shared = true;
	*hfn = ((uintptr_t)b->ram >> UM_PAGE_SHIFT) + gfn;
	b->borrowed++;
	return UM_GRANT_RAM;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	struct lgbox *b = user;

	b->work++;
	if (gfn >= LGBOX_PAGES || hfn != ((uintptr_t)b->ram >> UM_PAGE_SHIFT) + gfn || !b->borrowed)
		lgbox_fail(b, "a page was given back that was not borrowed");
	b->borrowed--;
	b->dirty[gfn] |= dirty;
}

static void *get_table(void *user)
{
	struct lgbox *b = user;

	b->work++;
	b->table_calls++;
	if (!b->free_tables || (b->set.fail_every && b->table_calls % b->set.fail_every == 0)) {
		b->failing = true;
		return NULL;
	}
	return b->slab + (size_t)b->free_table[--b->free_tables] * UM_TABLE_BYTES;
}

static void put_table(void *user, void *table)
{
	struct lgbox *b = user;
	size_t at = (size_t)((uint8_t *)table - b->slab);

	b->work++;
	if (at % UM_TABLE_BYTES || at / UM_TABLE_BYTES >= LGBOX_TABLES || b->free_tables == LGBOX_TABLES)
		lgbox_fail(b, "a table was given back that was not taken");
	b->free_table[b->free_tables++] = (uint32_t)(at / UM_TABLE_BYTES);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	struct lgbox *b = user;

	b->work++;
	if (b->cpu)
		cpu_invalidate(b->cpu, first, last);
}

static void invalidate_all(void *user)
{
	struct lgbox *b = user;

	b->work++;
	if (b->cpu)
		cpu_invalidate_all(b->cpu);
}

static const struct um_ops ops = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page, .put_page = put_page,
	.get_table = get_table, .put_table = put_table, .invalidate = invalidate, .invalidate_all = invalidate_all,
};

/* ---- 3. The processor's outside, the host's world ------------------------------------------- */

static uint64_t mmio_read(void *user, um_gpa gpa, unsigned bytes)
{
	struct lgbox *b = user;
	uint64_t value = UINT64_MAX;

	b->work++;
	if (b->transport == LGBOX_PCI)
		(void)virtio_pci_read(b->pci, gpa, bytes, &value);
	return value;
}

static void mmio_write(void *user, um_gpa gpa, unsigned bytes, uint64_t value)
{
	struct lgbox *b = user;

	b->work++;
	if (b->transport == LGBOX_PCI)
		(void)virtio_pci_write(b->pci, gpa, bytes, value);
}

static uint32_t no_port_in(void *user, uint16_t port, unsigned bytes)
{
	lgbox_fail(user, "port %#x was read (%u) by the processor itself", port, bytes);
}

static void no_port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	lgbox_fail(user, "port %#x was written (%u: %#x) by the processor itself", port, bytes, value);
}

static int ack_irq(void *user)
{
	lgbox_fail(user, "an interrupt was acknowledged");
}

static uint64_t now(void *user) { return ((struct lgbox *)user)->now; }

static enum cpu_trap trap(void *user, struct cpu *cpu, const struct cpu_event *event)
{
	struct lgbox *b = user;

	return lguest_trap(b->lg, cpu, event);
}

static void wall(void *user, uint32_t *seconds, uint32_t *nanoseconds)
{
	struct lgbox *b = user;

	*seconds = (uint32_t)(b->now / 1000000000u);
	*nanoseconds = (uint32_t)(b->now % 1000000000u);
}

static void announce(struct lgbox *b, uint32_t gpa, uint32_t bytes)
{
	uint32_t first = gpa > b->data ? gpa : b->data, end = b->data + LGBOX_DATA_BYTES;

	if (gpa + bytes < end)
		end = gpa + bytes;
	memcpy(b->announced + (first - b->data), b->ram + first, end - first);
}

void lgbox_wrote(void *user, uint64_t gpa, uint64_t bytes)
{
	struct lgbox *b = user;

	b->work++;
	if (gpa > LGBOX_MAPPED || bytes > LGBOX_MAPPED - gpa)
		lgbox_fail(b, "memory was written that there is not: %#llx", (unsigned long long)gpa);
	touch(b, gpa, bytes);
	if (gpa < (uint64_t)b->data + LGBOX_DATA_BYTES && gpa + bytes > b->data)
		announce(b, (uint32_t)gpa, (uint32_t)bytes);
	cpu_code_written(b->cpu, b->ram + gpa, bytes);
	um_guest_wrote(b->um, gpa, bytes);
}

static uint64_t recognised(void *user, enum lguest_family family)
{
	struct lgbox *b = user;

	if (family >= LGUEST_G1) {
		b->transport = LGBOX_PCI;
		virtio_pci_reset(b->pci);
		return b->limit = LGBOX_MEM;
	}
	b->transport = family == LGUEST_B && b->set.old_page ? LGBOX_FORMAT1 : LGBOX_FORMAT2;
	device_page_reset(b->page[b->transport]);
	return b->limit = device_page_end(b->page[b->transport]);
}

static bool notify(void *user, um_gpa gpa)
{
	struct lgbox *b = user;

	b->work++;
	return b->transport != LGBOX_PCI && device_page_notify(b->page[b->transport], gpa);
}

static void say(void *user, const char *text, size_t bytes)
{
	struct lgbox *b = user;

	b->work++;
	for (size_t n = 0; n < bytes; n++)
		b->said += (uint8_t)text[n];
}

static uint32_t port_in(void *user, uint16_t port, unsigned bytes)
{
	return virtio_pci_port_in(((struct lgbox *)user)->pci, port, bytes);
}

static void port_out(void *user, uint16_t port, unsigned bytes, uint32_t value)
{
	virtio_pci_port_out(((struct lgbox *)user)->pci, port, bytes, value);
}

/* ---- 4. Life -------------------------------------------------------------------------------- */

static void put_word(struct lgbox *b, uint32_t gpa, uint32_t word) { memcpy(b->pristine + gpa, &word, 4); }

/* Page tables are there from the first: what a guest builds in its own time. */
static void make_pristine(struct lgbox *b)
{
	enum { KERNEL = 0x63, TABLE = 0x67, USER_TEXT = 0x25 };

	for (uint32_t page = 0; page < (LGBOX_MMIO_END >> UM_PAGE_SHIFT); page++)
		put_word(b, LGBOX_KERNEL_TABLE + 4 * page, page << UM_PAGE_SHIFT | KERNEL);
	put_word(b, LGBOX_BOOT_DIR, LGBOX_KERNEL_TABLE | TABLE);
	put_word(b, LGBOX_BOOT_DIR + 4 * (LGBOX_SPLIT >> 22), LGBOX_KERNEL_TABLE | TABLE);
	for (uint32_t n = 0; n < LGBOX_DIR_COUNT; n++) {
		uint32_t dir = LGBOX_DIRS + n * UM_PAGE_SIZE, table = LGBOX_USER_TABLES + n * UM_PAGE_SIZE;

		put_word(b, dir + 4 * (LGBOX_SPLIT >> 22), LGBOX_KERNEL_TABLE | TABLE);
		put_word(b, dir + 4 * (LGBOX_USER_VA >> 22), table | TABLE);
		for (uint32_t page = 0; page < 32; page++)
			put_word(b, table + 4 * (((uint32_t)LGBOX_USER_VA >> 12 & 1023) + page),
			         (0x30000 + (n * 8 + page) * UM_PAGE_SIZE) | (page % 3 ? 0x07 : 0x67));
		put_word(b, table + 4 * ((uint32_t)LGBOX_USER_VA >> 12 & 1023), LGBOX_USER | USER_TEXT);
	}
	memcpy(b->pristine + LGBOX_TEXTS, "Power down", 11);
	for (uint32_t v = 0; v < 256; v++) /* 1: jmp 1b */
		put_word(b, LGBOX_HANDLERS + 16 * v, 0xFEEB);
}

static void make_memory(struct lgbox *b)
{
	uint8_t *at = mmap(NULL, GUARD_BELOW + LGBOX_MAPPED + GUARD_ABOVE, PROT_NONE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED || mprotect(at + GUARD_BELOW, LGBOX_MAPPED, PROT_READ | PROT_WRITE))
		lgbox_fail(b, "no memory");
	b->ram = at + GUARD_BELOW;
	b->pristine = calloc(1, LGBOX_MAPPED);
	b->slab = aligned_alloc(UM_PAGE_SIZE, (size_t)LGBOX_TABLES * UM_TABLE_BYTES);
	make_pristine(b);
	memcpy(b->ram, b->pristine, LGBOX_MAPPED);
	for (uint32_t n = 0; n < LGBOX_TABLES; n++)
		b->free_table[b->free_tables++] = n;
}

/* The core anew, at the same place: nothing of one input is left for the next. */
static void make_core(struct lgbox *b)
{
	struct um *um;

	memset(b->um_memory, 0, b->um_bytes);
	if (um_init(b->um_memory, &b->um_config, &um) != UM_OK || (b->um && um != b->um))
		lgbox_fail(b, "no core");
	b->um = um;
}

struct lgbox *lgbox_new(uint32_t cpu_options)
{
	struct lgbox *b = calloc(1, sizeof *b);

	make_memory(b);
	lgbox_make_devices(b);
	b->um_config = (struct um_config){
		.ops = &ops, .user = b, .format = &um_format_i386, .learn = UM_LEARN_TRACKED, .options = UM_OPT_ALL,
		.max_gfn = LGBOX_MMIO_END >> UM_PAGE_SHIFT, .max_tables = LGBOX_TABLES, .max_roots = 8, .prefetch = 8,
	};
	b->um_bytes = (um_size(&b->um_config) + 15) & ~(size_t)15;
	b->um_memory = aligned_alloc(16, b->um_bytes);
	make_core(b);
	const struct cpu_config config = {
		.um = b->um, .options = cpu_options, .ram = b->ram, .ram_bytes = LGBOX_MAPPED,
		.tsc_hz = 1000000000, .window = LGUEST_WINDOW, .host_code = LGUEST_HOST_CS,
		.bus = { .user = b, .port_in = no_port_in, .port_out = no_port_out, .mmio_read = mmio_read,
		         .mmio_write = mmio_write, .ack_irq = ack_irq, .tsc = now, .trap = trap },
	};
	b->cpu = cpu_new(&config);
	if (!b->cpu)
		lgbox_fail(b, "no processor");
	return b;
}

static void make_host(struct lgbox *b)
{
	const struct lguest_world world = {
		.user = b, .um = b->um, .cpu = b->cpu, .ram = b->ram, .ram_bytes = LGBOX_MEM, .limit = b->limit,
		.tsc_khz = b->set.tsc_khz, .now = now, .wall = wall, .wrote = lgbox_wrote, .recognised = recognised,
		.notify = notify, .say = say, .port_in = port_in, .port_out = port_out,
	};

	b->lg = lguest_new(&world);
	if (!b->lg)
		lgbox_fail(b, "no host");
}

/* What an embedder with a memory budget would meet. */
static void set_core(struct lgbox *b)
{
	b->um_config.options = b->set.um_options & UM_OPT_ALL;
	b->um_config.max_tables = b->set.max_tables;
	b->um_config.max_roots = b->set.max_roots;
	b->um_config.prefetch = b->set.prefetch;
	if (um_size(&b->um_config) > b->um_bytes)
		lgbox_fail(b, "a smaller core needs more memory");
	make_core(b);
}

void lgbox_begin(struct lgbox *b, const struct lgbox_setting *set)
{
	b->set = *set;
	b->limit = LGBOX_MAPPED;
	b->transport = LGBOX_FORMAT2;
	b->failing = b->data_shared = false;
	b->table_calls = 0;
	b->now = 1000;
	b->lives = 0;
	set_core(b);
	cpu_reset(b->cpu);
	b->cpu->undelivered.vector = -1;
	make_host(b);
	b->inputs++;
	lgbox_restart(b);
}

static void count_calls(struct lgbox *b)
{
	struct lguest_stats stats;

	lguest_get_stats(b->lg, &stats);
	for (unsigned n = 0; n < LGUEST_CALLS; n++)
		b->calls += stats.call[n].direct + stats.call[n].async;
	b->ends[lguest_ended(b->lg)]++;
	if (lguest_ended(b->lg) != LGUEST_RUNS && getenv("WHY")) puts(lguest_reason(b->lg));
}

/* Pages stay marked: what the core borrowed for writing it may still write without another word. */
void lgbox_renew(struct lgbox *b)
{
	count_calls(b);
	for (uint32_t n = 0; n < LGBOX_PAGES; n++) {
		if (!b->dirty[n])
			continue;
		memcpy(b->ram + n * UM_PAGE_SIZE, b->pristine + n * UM_PAGE_SIZE, UM_PAGE_SIZE);
		lgbox_wrote(b, n * UM_PAGE_SIZE, UM_PAGE_SIZE);
	}
	b->limit = LGBOX_MAPPED;
	b->transport = LGBOX_FORMAT2;
}

void lgbox_end(struct lgbox *b, bool whole)
{
	lgbox_audit(b);
	count_calls(b);
	lguest_free(b->lg);
	b->lg = NULL;
	um_destroy(b->um);
	if (b->borrowed || b->free_tables != LGBOX_TABLES)
		lgbox_fail(b, "the core kept %u pages and %u tables", b->borrowed, LGBOX_TABLES - b->free_tables);
	for (uint32_t n = 0; n < LGBOX_PAGES; n++) {
		uint8_t *page = b->ram + n * UM_PAGE_SIZE, *was = b->pristine + n * UM_PAGE_SIZE;

		if (b->dirty[n]) {
			memcpy(page, was, UM_PAGE_SIZE);
			cpu_code_written(b->cpu, page, UM_PAGE_SIZE);
			b->dirty[n] = 0;
		} else if (whole && memcmp(page, was, UM_PAGE_SIZE)) {
			lgbox_fail(b, "page %#x was written in silence", n);
		}
	}
	make_core(b);
}

void lgbox_free(struct lgbox *b)
{
	cpu_free(b->cpu);
	b->cpu = NULL;
	um_destroy(b->um);
	device_page_free(b->page[LGBOX_FORMAT1]);
	device_page_free(b->page[LGBOX_FORMAT2]);
	virtio_pci_free(b->pci);
	munmap(b->ram - GUARD_BELOW, GUARD_BELOW + LGBOX_MAPPED + GUARD_ABOVE);
	free(b->um_memory);
	free(b->slab);
	free(b->pristine);
	free(b);
}

/* ---- 5. What must hold ---------------------------------------------------------------------- */

/* Accessed and Dirty are written where a guest has its page tables: in there, too, if it likes. */
static void check_data(struct lgbox *b)
{
	if (b->data > LGBOX_MAPPED - LGBOX_DATA_BYTES)
		return;
	if (b->data_shared || b->data_updated)
		memcpy(b->announced, b->ram + b->data, LGBOX_DATA_BYTES);
	else if (memcmp(b->announced, b->ram + b->data, LGBOX_DATA_BYTES))
		lgbox_fail(b, "lguest_data was written in silence");
	b->data_updated = false;
}

void lgbox_check(struct lgbox *b)
{
	const struct cpu *c = b->cpu;
	uint64_t work = b->work - b->work_before;

	if (work > b->most_work)
		b->most_work = work;
	if (work > WORK_MAX)
		lgbox_fail(b, "one move took %llu steps", (unsigned long long)work);
	b->work_before = b->work;
	check_data(b);
	if ((c->cpl != 1 && c->cpl != 3) || (c->seg[CPU_CS].selector & 3) != c->cpl)
		lgbox_fail(b, "the guest is in ring %u, CS %#x", c->cpl, c->seg[CPU_CS].selector);
	if (b->cpu->tr.base != LGUEST_WINDOW + 0x2000 + 32 || b->cpu->ldtr.selector)
		lgbox_fail(b, "TR or LDTR is not the host's");
}

/* The host's tables: nothing in them leads to ring 0 but its own gates. */
static void check_tables(struct lgbox *b)
{
	struct um_map map;
	const uint8_t *page;

	if (um_window_enter(b->um, 0) != UM_OK || um_window_lookup(b->um, LGUEST_WINDOW + 0x2000, &map) != UM_OK) {
		if (!b->failing)
			lgbox_fail(b, "the state page is not in the window");
		return;
	}
	page = (const uint8_t *)((uintptr_t)map.hfn << UM_PAGE_SHIFT);
	if (map.rights & UM_WRITE)
		lgbox_fail(b, "the state page is writable");
	for (unsigned n = 0; n < 32; n++) {
		uint32_t high;

		memcpy(&high, page + 2184 + 8 * n + 4, 4);
		if (n == 16 ? (high & 0xFF00) != 0x8B00 : high && (!(high & 0x1000) || !(high & 0x6000)))
			lgbox_fail(b, "GDT entry %u is %#x", n, high);
		if ((n == 10 || n == 11 || n == 31) && high)
			lgbox_fail(b, "GDT entry %u is the guest's", n);
	}
	for (unsigned n = 2184 + 256; n < UM_PAGE_SIZE; n++)
		if (page[n])
			lgbox_fail(b, "something is behind the GDT");
	for (unsigned n = 0; n < 256; n++) {
		uint32_t word[2];

		memcpy(word, page + 136 + 8 * n, 8);
		bool ours = word[0] >> 16 == LGUEST_HOST_CS, direct = word[0] >> 16 == 0x61;
		if (!(ours || direct) || (word[1] & 0x1000) || (direct && (word[1] >> 8 & 15) != 15) ||
		    (n == 31 && (!ours || (word[1] >> 13 & 3) != 1)))
			lgbox_fail(b, "gate %u is %08x %08x", n, word[1], word[0]);
	}
}

static bool check_leaf(void *arg, const struct um_leaf *leaf)
{
	struct lgbox *b = arg;

	if (leaf->gva < LGUEST_WINDOW &&
	    (leaf->gfn >= b->limit >> UM_PAGE_SHIFT || leaf->hfn != ((uintptr_t)b->ram >> UM_PAGE_SHIFT) + leaf->gfn))
		lgbox_fail(b, "%#llx leads to frame %#llx, outside the guest", (unsigned long long)leaf->gva,
		           (unsigned long long)leaf->gfn);
	return true;
}

void lgbox_audit(struct lgbox *b)
{
	struct um_violation v = um_audit(b->um);
	const char *reason = lguest_reason(b->lg);

	if (v.invariant)
		lgbox_fail(b, "I%d: %s (gva %#llx, gfn %#llx, spte %#llx, gpte %#llx)", v.invariant, v.text,
		           (unsigned long long)v.gva, (unsigned long long)v.gfn, (unsigned long long)v.spte,
		           (unsigned long long)v.gpte);
	check_tables(b);
	um_visit(b->um, 0, check_leaf, b);
	if ((lguest_ended(b->lg) == LGUEST_RUNS) != !*reason)
		lgbox_fail(b, "ended %d, but the reason is '%s'", (int)lguest_ended(b->lg), reason);
	for (; *reason; reason++)
		if (*reason < ' ' || *reason > '~')
			lgbox_fail(b, "a reason that is not printable");
	if (b->cpu->flags & (FL_IOPL | FL_VM))
		lgbox_fail(b, "IOPL or VM is set: %#x", b->cpu->flags);
}
