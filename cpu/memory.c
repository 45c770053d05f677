/* SPDX-License-Identifier: MIT */
/*
 * cpu/memory.c - the way from a linear address to bytes when the TLB has no answer.
 *
 *   1. Translation   find_page(): ask the shadow, then the core; fill the TLB
 *   2. One page      read_in_page(), write_in_page(): RAM, tracked tables, memory-mapped I/O
 *   3. Ranges        mem_read(), mem_write(), mem_probe_write()
 *   4. Segments      seg_linear_slow(), seg_*_bytes(), seg_probe_write()
 *   5. Code fetch    fetch_page()
 *   6. Upkeep        flushes, cpu_invalidate(), write protection of decoded pages
 *
 * The TLB holds what shadow entries permit and nothing else.  A page that holds decoded code never has a
 * write tag, so that every store to it comes here and tells block.c (invariant: a write tag implies no
 * decoded code in that host page).
 */
#include "cpu/block.h"
#include "cpu/fpu.h"
#include "cpu/memory.h"
#include "cpu/warm.h"

/* ---- 1. Translation ------------------------------------------------------------------------- */

enum backing { RAM, TABLE, IO, NONE };

struct page {
	enum backing backing; /* NONE: an exception or c->exit is recorded */
	uint8_t *host;        /* RAM, TABLE: the byte itself */
	um_gpa gpa;           /* of the byte */
};

static void fill_tlb(struct cpu *c, uint32_t linear, bool user, const struct um_map *map, uint8_t *host)
{
	struct tlb_entry *t = tlb_at(c->tlbs[user], linear);
	uint32_t page = linear & PAGE_MASK;
	uintptr_t addend = (uintptr_t)host - linear;

	t->read = page;
	t->write = map->rights & UM_WRITE && !has_code(c, host) ? page : TLB_NEVER;
	t->addend = addend;
	unsigned entry = (unsigned)(t - c->tlbs[user]);
	uint64_t bit = (uint64_t)1 << entry % 64, *word = &c->tlb_global[user][entry / 64];
	*word = map->global ? *word | bit : *word & ~bit;
}

/* As a number: there is no page behind a fault. */
static uint8_t *host_of(const struct um_map *map, uint32_t linear)
{
	return (uint8_t *)(uintptr_t)((map->hfn << UM_PAGE_SHIFT) + linear % UM_PAGE_SIZE);
}

/* What is more than memory, or seen by more than the TLB. */
__attribute__((noinline)) static struct page find_specially(struct cpu *c, uint32_t linear, unsigned access,
                                                            enum um_result result, const struct um_map *map)
{
	uint8_t *host = host_of(map, linear);
	bool user = access & UM_USER;

	if (c->no_tags & OBSERVED && !observe_access(c, linear, access, result, map))
		return (struct page){ NONE, NULL, 0 };
	switch (result) {
	case UM_OK:
		if (!(c->no_tags & NO_TAGS)) {
			if (c->no_tags & WATCHED && watches_page(c, linear))
				return (struct page){ RAM, host, map->gpa };
			fill_tlb(c, linear, user, map, host);
		} else if (c->events & EV_RECORD) {
			warm_see(c, tlb_at(c->tlbs[user], linear));
			warm_see(c, host);
		}
		return (struct page){ RAM, host, map->gpa };
	case UM_TRACKED:
		return (struct page){ TABLE, host, map->gpa };
	case UM_MMIO:
		/* What a device answers cannot be asked again: whatever else the instruction meets, it is exact. */
		if (c->no_tags & (WATCHED | OBSERVED) && !c->exact) {
			c->exit = EXIT_AGAIN;
			return (struct page){ NONE, NULL, 0 };
		}
		return (struct page){ IO, NULL, map->gpa };
	case UM_FAULT:
		c->cr2 = linear;
		fault(c, EXC_PF, map->error);
		break;
	case UM_STOP:
		c->exit = CPU_EXIT_STOP;
		break;
	default:
		c->exit = CPU_EXIT_NOMEM;
		break;
	}
	return (struct page){ NONE, NULL, 0 };
}

/* Translate for an access; leaves a TLB entry behind where one may be used. */
static struct page find_page(struct cpu *c, uint32_t linear, bool user, unsigned access)
{
	struct um_map map;

	access |= user ? UM_USER : 0u;
	enum um_result result = um_lookup(c->um, linear, access, &map);
	if (result != UM_OK)
		result = um_demand_page(c->um, linear, access, &map);
	if (unlikely(result != UM_OK || c->no_tags))
		return find_specially(c, linear, access, result, &map);
	uint8_t *host = host_of(&map, linear);
	fill_tlb(c, linear, user, &map, host);
	return (struct page){ RAM, host, map.gpa };
}

/* ---- 2. One page ---------------------------------------------------------------------------- */

/* Devices see accesses of 1, 2, 4 and 8 bytes; anything else arrives in pieces. */
static unsigned io_piece(unsigned bytes) { return bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1; }

static void read_in_page(struct cpu *c, const struct page *p, uint8_t *buf, unsigned bytes)
{
	if (p->backing != IO) {
		memcpy(buf, p->host, bytes);
		return;
	}
	fpu_leave(c);
	for (unsigned at = 0, piece; at < bytes; at += piece) {
		piece = io_piece(bytes - at);
		uint64_t value = c->bus.mmio_read(c->bus.user, p->gpa + at, piece);
		memcpy(buf + at, &value, piece);
	}
}

static void write_in_page(struct cpu *c, const struct page *p, const uint8_t *buf, unsigned bytes)
{
	if (p->backing == IO) {
		fpu_leave(c);
		for (unsigned at = 0, piece; at < bytes; at += piece) {
			uint64_t value = 0;
			piece = io_piece(bytes - at);
			memcpy(&value, buf + at, piece);
			c->bus.mmio_write(c->bus.user, p->gpa + at, piece, value);
		}
		return;
	}
	memcpy(p->host, buf, bytes);
	if (has_code(c, p->host))
		code_written(c, p->host, bytes);
	if (p->backing == TABLE)
		um_guest_wrote(c->um, p->gpa, bytes);
}

/* ---- 3. Ranges ------------------------------------------------------------------------------ */

/* Data breakpoints, the debugger's and the guest's, and alignment, where they are armed at all (no_tags). */
static bool check_access(struct cpu *c, uint32_t linear, unsigned bytes, bool user, bool write)
{
	/* #AC concerns the operands of CPL 3 code; 8 and 16-byte ones are aligned to 4 or by their own
	 * instruction (SDM vol. 3, 6.15, interrupt 17). */
	unsigned align = bytes == 2 ? 2 : bytes == 4 || bytes == 8 ? bytes : 1;

	if (c->no_tags & WATCHED && !check_watched(c, linear, bytes, write))
		return false;
	if (!(c->no_tags & NO_TAGS))
		return true;
	if (c->align_check && user && linear & (align - 1))
		return fault(c, EXC_AC, 0);
	c->debug_hits |= debug_match(c, linear, bytes, write ? 1 : 3 /* DR7.R/W */);
	return true;
}

static unsigned bytes_in_page(uint32_t linear, unsigned bytes)
{
	unsigned left = UM_PAGE_SIZE - linear % UM_PAGE_SIZE;

	return bytes < left ? bytes : left;
}

bool mem_read(struct cpu *c, uint32_t linear, void *buf, unsigned bytes, bool user)
{
	const struct tlb_entry *t = tlb_at(c->tlbs[user], linear);

	if (likely(t->read == tlb_page(linear, bytes))) {
		memcpy(buf, tlb_host(t, linear), bytes);
		return true;
	}
	if (unlikely(c->no_tags & (NO_TAGS | WATCHED)) && !check_access(c, linear, bytes, user, false))
		return false;
	/* Two translations before the first byte: a device in the first page must not be read by an
	 * instruction that faults in the second. */
	unsigned first = bytes_in_page(linear, bytes);
	struct page p = find_page(c, linear, user, UM_READ);
	struct page q = p;
	if (p.backing == NONE)
		return false;
	if (first < bytes)
		q = find_page(c, linear + first, user, UM_READ);
	if (q.backing == NONE)
		return false;
	read_in_page(c, &p, buf, first);
	if (first < bytes)
		read_in_page(c, &q, (uint8_t *)buf + first, bytes - first);
	if (unlikely(c->no_tags & WATCHED))
		note_watched(c, linear, bytes, false);
	return true;
}

bool mem_write(struct cpu *c, uint32_t linear, const void *buf, unsigned bytes, bool user)
{
	const struct tlb_entry *t = tlb_at(c->tlbs[user], linear);

	if (likely(t->write == tlb_page(linear, bytes))) {
		memcpy(tlb_host(t, linear), buf, bytes);
		return true;
	}
	if (unlikely(c->no_tags & (NO_TAGS | WATCHED)) && !check_access(c, linear, bytes, user, true))
		return false;
	unsigned first = bytes_in_page(linear, bytes);
	struct page p = find_page(c, linear, user, UM_WRITE);
	struct page q = p;
	if (p.backing == NONE)
		return false;
	if (first < bytes)
		q = find_page(c, linear + first, user, UM_WRITE);
	if (q.backing == NONE)
		return false;
	/* The first page may be a table on the way to the second, tracked since it was translated itself. */
	if (first < bytes && p.backing == RAM)
		p.backing = TABLE;
	write_in_page(c, &p, buf, first);
	if (first < bytes)
		write_in_page(c, &q, (const uint8_t *)buf + first, bytes - first);
	if (unlikely(c->no_tags & WATCHED))
		note_watched(c, linear, bytes, true);
	return true;
}

bool mem_probe_write(struct cpu *c, uint32_t linear, unsigned bytes, bool user)
{
	const struct tlb_entry *t = tlb_at(c->tlbs[user], linear);

	if (likely(t->write == tlb_page(linear, bytes)))
		return true;
	if (unlikely(c->no_tags & (NO_TAGS | WATCHED)) && !check_access(c, linear, bytes, user, true))
		return false;
	unsigned first = bytes_in_page(linear, bytes);
	if (find_page(c, linear, user, UM_WRITE).backing == NONE)
		return false;
	return first == bytes || find_page(c, linear + first, user, UM_WRITE).backing != NONE;
}

/* ---- 4. Segments ---------------------------------------------------------------------------- */

bool seg_linear_slow(struct cpu *c, unsigned seg, uint32_t offset, uint32_t bytes, bool write)
{
	const struct cpu_segment *s = &c->seg[seg];
	enum vector vector = seg == CPU_SS ? EXC_SS : EXC_GP;
	uint32_t last = offset + (bytes - 1);
	bool checked = c->cr0 & CR0_PE && !(c->flags & FL_VM); /* types count in protected mode only */

	c->linear = s->base + offset;
	if (checked) {
		bool code = s->attr & SEG_CODE;
		if (!(s->attr & SEG_P))
			return fault(c, vector, 0);
		if (write ? code || !(s->attr & SEG_RW) : code && !(s->attr & SEG_RW))
			return fault(c, vector, 0);
		if (!code && s->attr & SEG_DOWN) {
			uint32_t top = s->attr & SEG_DB ? 0xFFFFFFFFu : 0xFFFFu;
			if (offset <= s->limit || last < offset || last > top)
				return fault(c, vector, 0);
			return true;
		}
	}
	if (s->limit == 0xFFFFFFFFu)
		return true; /* wraps at 4 GiB */
	if (last < offset || last > s->limit)
		return fault(c, vector, 0);
	return true;
}

bool seg_read_bytes(struct cpu *c, unsigned seg, uint32_t offset, void *buf, unsigned bytes)
{
	uint32_t linear;

	return seg_linear(c, seg, offset, bytes, false, &linear) &&
	       mem_read(c, linear, buf, bytes, c->cpl == 3);
}

bool seg_write_bytes(struct cpu *c, unsigned seg, uint32_t offset, const void *buf, unsigned bytes)
{
	uint32_t linear;

	return seg_linear(c, seg, offset, bytes, true, &linear) &&
	       mem_write(c, linear, buf, bytes, c->cpl == 3);
}

bool seg_probe_write(struct cpu *c, unsigned seg, uint32_t offset, unsigned bytes)
{
	uint32_t linear;

	return seg_linear(c, seg, offset, bytes, true, &linear) &&
	       mem_probe_write(c, linear, bytes, c->cpl == 3);
}

/* ---- 5. Code fetch -------------------------------------------------------------------------- */

bool fetch_page(struct cpu *c, uint32_t linear, const uint8_t **host, um_gpa *gpa)
{
	bool user = c->cpl == 3;
	const struct tlb_entry *t = tlb_at(c->tlbs[user], linear);

	/* Without NX whatever may be read may be executed: the read tag serves. */
	if (likely(t->read == (linear & PAGE_MASK))) {
		*host = tlb_host(t, linear);
		return true;
	}
	struct page p = find_page(c, linear, user, UM_FETCH);
	if (p.backing == NONE)
		return false;
	*host = p.backing == IO ? NULL : p.host;
	*gpa = p.gpa;
	return true;
}

uint8_t fetch_io_byte(struct cpu *c, um_gpa gpa)
{
	fpu_leave(c);
	return (uint8_t)c->bus.mmio_read(c->bus.user, gpa, 1);
}

uint8_t *tlb_direct(struct cpu *c, uint32_t linear, bool write)
{
	struct tlb_entry *t = tlb_at(c->tlb, linear);
	uint32_t page = linear & PAGE_MASK;

	if ((write ? t->write : t->read) == page)
		return tlb_host(t, linear);
	return NULL;
}

/* ---- 6. Upkeep ------------------------------------------------------------------------------ */

void tlb_flush(struct cpu *c)
{
	/* All ones: TLB_NEVER in both tags. */
	memset(c->tlbs, 0xFF, sizeof(c->tlbs));
}

bool tlb_is_global(const struct cpu *c, uint32_t linear)
{
	bool user = c->cpl == 3;
	unsigned entry = linear / UM_PAGE_SIZE % TLB_ENTRIES;

	return c->tlbs[user][entry].read == (linear & PAGE_MASK) &&
	       c->tlb_global[user][entry / 64] >> entry % 64 & 1;
}

void tlb_protect_host_page(struct cpu *c, const uint8_t *host)
{
	uintptr_t page = (uintptr_t)host / UM_PAGE_SIZE;

	for (unsigned user = 0; user < 2; user++)
		for (struct tlb_entry *t = c->tlbs[user]; t < c->tlbs[user] + TLB_ENTRIES; t++)
			if (t->write != TLB_NEVER && (t->addend + t->write) / UM_PAGE_SIZE == page)
				t->write = TLB_NEVER;
	if (c->watch.pages)
		c->watch.decoded(c->watch.user, host);
}

void cpu_invalidate_all(struct cpu *c)
{
	tlb_flush(c);
	jumps_flush(c);
}

void cpu_invalidate_nonglobal(struct cpu *c)
{
	for (unsigned user = 0; user < 2; user++) {
		for (unsigned entry = 0; entry < TLB_ENTRIES; entry++)
			if (!(c->tlb_global[user][entry / 64] >> entry % 64 & 1))
				c->tlbs[user][entry].read = c->tlbs[user][entry].write = TLB_NEVER;
	}
	jumps_flush_nonglobal(c);
}

void cpu_invalidate(struct cpu *c, um_gva first, um_gva last)
{
	uint32_t from = (uint32_t)first & PAGE_MASK, pages;

	if (last > 0xFFFFFFFFu)
		last = 0xFFFFFFFFu;
	if (first > last)
		return;
	pages = (((uint32_t)last & PAGE_MASK) - from) / UM_PAGE_SIZE + 1;
	if (pages > TLB_ENTRIES) {
		cpu_invalidate_all(c);
		return;
	}
	for (; pages; pages--, from += UM_PAGE_SIZE) {
		for (unsigned user = 0; user < 2; user++) {
			struct tlb_entry *t = tlb_at(c->tlbs[user], from);
			if (t->read == from || t->write == from)
				t->read = t->write = TLB_NEVER;
		}
		jumps_flush_page(c, from);
	}
}
