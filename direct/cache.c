/* SPDX-License-Identifier: MIT */
/*
 * direct/cache.c - translated code: where it is kept, what leads to it, and when it stops being right.
 *
 *   1. Memory      one bounded cache, seen twice: executable, and writable
 *   2. Blocks      found by address, page and mode; by host address
 *   3. Links       jumps from block to block
 *   4. The end     written code, a full cache
 *   5. Heat        instructions that fault often
 *
 * A block is keyed by EIP, the page of guest RAM that its bytes are in, and the mode; it lies in one page, or is a
 * kernel's single instruction in two.
 * A dead one's entry leads back to the engine; its memory comes back when the cache is full and everything
 * goes.
 */
#include "direct/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/decode.h"
#include "direct/translate.h"

/* ---- 1. Memory ------------------------------------------------------------------------------ */

static void *pages_of(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t ram_pages(const struct direct *d) { return d->config.ram_bytes / UM_PAGE_SIZE; }

/* Some hosts allow no memory that is writable and executable at once: none is, anywhere. */
static bool map_code(struct direct *d)
{
	int fd = memfd_create("umbra-code", MFD_CLOEXEC);
	void *code, *write;

	if (fd < 0)
		return false;
	if (ftruncate(fd, CACHE_BYTES) != 0) {
		close(fd);
		return false;
	}
	code = mmap(NULL, CACHE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	write = mmap(NULL, CACHE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (code != MAP_FAILED)
		d->code = code;
	if (code == MAP_FAILED || write == MAP_FAILED)
		return false;
	d->to_write = (uint8_t *)write - (uint8_t *)code;
	return true;
}

bool cache_new(struct direct *d, const char **why)
{
	*why = "the host gives no memory for translated code";
	if (!map_code(d))
		return false;
	d->blocks = pages_of(BLOCKS_MAX * sizeof(*d->blocks));
	d->links = pages_of(LINKS_MAX * sizeof(*d->links));
	d->fallbacks = pages_of(FALLBACKS_MAX * sizeof(*d->fallbacks));
	d->points = pages_of(BLOCKS_MAX * 16 * sizeof(*d->points));
	d->hash = pages_of(HASH_BUCKETS * sizeof(*d->hash));
	d->page_blocks = pages_of(ram_pages(d) * sizeof(*d->page_blocks));
	d->code_pages = pages_of(ram_pages(d) / 8 + 1);
	d->second_pages = pages_of(ram_pages(d) / 8 + 1);
	d->patience = pages_of(ram_pages(d) * sizeof(*d->patience));
	d->link_pages = pages_of(WORLD_PAGES / 8);
	d->soft = pages_of(SOFT_SLOTS * sizeof(*d->soft));
	d->heat = pages_of(SOFT_SLOTS);
	d->soft_list = pages_of(SOFT_SLOTS * sizeof(*d->soft_list));
	if (!d->blocks || !d->links || !d->fallbacks || !d->points || !d->hash || !d->page_blocks ||
	    !d->code_pages || !d->second_pages || !d->patience || !d->link_pages || !d->soft || !d->heat || !d->soft_list)
		return false;
	d->block_count = d->link_count = d->fallback_count = 1; /* 0 is none */
	return true;
}

void cache_free(struct direct *d)
{
	if (d->code) {
		if (d->to_write)
			munmap(d->code + d->to_write, CACHE_BYTES);
		if (d->confined)
			keep_addresses(d->code);
		else
			munmap(d->code, CACHE_BYTES);
	}
	if (d->blocks)
		munmap(d->blocks, BLOCKS_MAX * sizeof(*d->blocks));
	if (d->links)
		munmap(d->links, LINKS_MAX * sizeof(*d->links));
	if (d->fallbacks)
		munmap(d->fallbacks, FALLBACKS_MAX * sizeof(*d->fallbacks));
	if (d->points)
		munmap(d->points, BLOCKS_MAX * 16 * sizeof(*d->points));
	if (d->hash)
		munmap(d->hash, HASH_BUCKETS * sizeof(*d->hash));
	if (d->page_blocks)
		munmap(d->page_blocks, ram_pages(d) * sizeof(*d->page_blocks));
	if (d->code_pages)
		munmap(d->code_pages, ram_pages(d) / 8 + 1);
	if (d->patience)
		munmap(d->patience, ram_pages(d) * sizeof(*d->patience));
	if (d->second_pages)
		munmap(d->second_pages, ram_pages(d) / 8 + 1);
	if (d->link_pages)
		munmap(d->link_pages, WORLD_PAGES / 8);
	if (d->soft)
		munmap(d->soft, SOFT_SLOTS * sizeof(*d->soft));
	if (d->heat)
		munmap(d->heat, SOFT_SLOTS);
	if (d->soft_list)
		munmap(d->soft_list, SOFT_SLOTS * sizeof(*d->soft_list));
}

/* ---- 2. Blocks ------------------------------------------------------------------------------ */

static uint32_t *bucket_of(const struct direct *d, uint32_t eip, uint32_t frame, unsigned mode)
{
	uint64_t h = (eip * UINT64_C(0x9E3779B97F4A7C15)) ^ (frame * UINT64_C(0xC2B2AE3D27D4EB4F));

	return &d->hash[(h >> 40 ^ mode) % HASH_BUCKETS];
}

struct block *find_translation(struct direct *d, uint32_t eip, uint32_t frame, unsigned mode)
{
	for (uint32_t n = *bucket_of(d, eip, frame, mode); n; n = d->blocks[n].next_hash) {
		struct block *b = &d->blocks[n];
		if (b->eip == eip && b->frame == frame && b->mode == mode)
			return b;
	}
	return NULL;
}

/* Writes to this page are to be seen from now on. */
static void watch_frame(struct direct *d, uint32_t frame)
{
	uint8_t *byte = &d->code_pages[frame / 8], bit = (uint8_t)(1u << frame % 8);

	if (*byte & bit)
		return;
	*byte |= bit;
	protect_frame_everywhere(d, frame);
	tlb_protect_host_page(d->cpu, d->config.ram + (size_t)frame * UM_PAGE_SIZE);
}

/* *b is complete but for the lists. */
void add_translation(struct direct *d, struct block *b)
{
	uint32_t n = (uint32_t)(b - d->blocks), *bucket = bucket_of(d, b->eip, b->frame, b->mode);

	b->next_hash = *bucket;
	*bucket = n;
	b->next_page = d->page_blocks[b->frame];
	d->page_blocks[b->frame] = n;
	watch_frame(d, b->frame);
	if (b->second) {
		uint32_t second = b->second - 1, page = b->eip / UM_PAGE_SIZE + 1;
		b->next_crossing = d->crossings;
		d->crossings = n;
		d->second_pages[second / 8] |= (uint8_t)(1u << second % 8);
		/* (Elsewhere the second page is looked at each time.) */
		if ((b->mode & DMODE_RING) == RING_GLOBAL)
			d->link_pages[page % WORLD_PAGES / 8] |= (uint8_t)(1u << page % 8);
		watch_frame(d, second);
	}
	d->stats.blocks++;
	d->stats.block_bytes += b->bytes;
	d->stats.host_bytes += b->code_bytes;
}

/* They are made in the order of their code. */
struct block *block_at(const struct direct *d, const uint8_t *host)
{
	uint32_t at = (uint32_t)(host - d->code), low = 1, high = d->block_count;

	if (host < d->code || at >= d->used || at < d->stubs)
		return NULL;
	while (low + 1 < high) {
		uint32_t middle = low + (high - low) / 2;
		if (d->blocks[middle].code <= at)
			low = middle;
		else
			high = middle;
	}
	return low < d->block_count && at - d->blocks[low].code < d->blocks[low].code_bytes ? &d->blocks[low] : NULL;
}

/* ---- 3. Links ------------------------------------------------------------------------------- */

static void set_displacement(struct direct *d, uint32_t site, uint32_t to)
{
	uint32_t displacement = to - (site + 4);

	memcpy(d->code + d->to_write + site, &displacement, 4);
}

void link_to(struct direct *d, struct block_link *l, const struct block *target)
{
	uint32_t page = l->target / UM_PAGE_SIZE;

	if (l->far)
		d->link_pages[page / 8] |= (uint8_t)(1u << page % 8);
	set_displacement(d, l->site, target->code + target->entry);
	l->linked = true;
	d->stats.linked++;
}

/* Not to be linked: it is looked up each time, without the engine's help where the jump table knows. */
void redirect_link(struct direct *d, struct block_link *l)
{
	l->stub += LEAVE_BYTES;
	set_displacement(d, l->site, l->stub);
}

static void kill_crossings(struct direct *d)
{
	for (uint32_t n = d->crossings; n; n = d->blocks[n].next_crossing)
		if (!d->blocks[n].dead)
			kill_translation(d, &d->blocks[n]);
	d->crossings = 0;
}

/* Jumps into other pages, and what lies in two, hold as long as those pages' translations do. */
void unlink_far(struct direct *d)
{
	for (uint32_t n = 1; n < d->link_count; n++) {
		struct block_link *l = &d->links[n];
		if (!l->far || !l->linked)
			continue;
		set_displacement(d, l->site, l->stub);
		l->linked = false;
	}
	kill_crossings(d);
	memset(d->link_pages, 0, WORLD_PAGES / 8);
	invalidate_returns(d);
}

/* ---- 4. The end ----------------------------------------------------------------------------- */

static void remove_from_hash(struct direct *d, struct block *b)
{
	uint32_t *at = bucket_of(d, b->eip, b->frame, b->mode), n = (uint32_t)(b - d->blocks);

	while (*at && *at != n)
		at = &d->blocks[*at].next_hash;
	if (*at)
		*at = b->next_hash;
}

/* A dead block's plain entry becomes a link to the block that will be in its place. */
static void forward(struct direct *d, struct block *b)
{
	struct emitter e = { d->code + d->to_write + b->code + b->entry, NULL };
	uint32_t site = b->code + b->entry + 1;

	if (d->used + CACHE_SLACK / 2 > CACHE_BYTES || d->link_count >= LINKS_MAX) {
		emit_leave_to(&e, b->eip);
		return;
	}
	emit8(&e, 0xE9); /* jmp */
	set_displacement(d, site, d->used);
	d->links[d->link_count] = (struct block_link){
		.site = site, .stub = d->used, .target = b->eip, .frame = b->frame, .mode = b->mode };
	e.at = d->code + d->to_write + d->used;
	emit_r9d(&e, d->link_count++);
	emit_stub(&e, HOT_STUB_LINK);
	d->used += LEAVE_BYTES;
}

/* What still leads to it finds a way on. */
void kill_translation(struct direct *d, struct block *b)
{
	b->dead = true;
	for (uint32_t n = b->links; n < b->links + b->link_count; n++)
		d->links[n].linked = d->links[n].far = false; /* its place may be another link's now */
	remove_from_hash(d, b);
	forward(d, b);
	for (uint32_t n = 0; n < d->world_count; n++)
		for (unsigned mode = 0; mode < MODES; mode++) {
			void **table = d->worlds[n].tables[mode];
			unsigned at = jump_index(b->eip);
			if (table && table[at] == d->code + b->code)
				table[at] = (void *)(uintptr_t)direct_stub_miss;
		}
	invalidate_returns(d);
}

static void forget_crossings(struct direct *d, uint32_t frame, uint32_t first)
{
	for (uint32_t *at = &d->crossings; *at;) {
		struct block *b = &d->blocks[*at];
		if (!b->dead && b->second == frame + 1 && first < b->bytes - (UM_PAGE_SIZE - b->eip % UM_PAGE_SIZE))
			kill_translation(d, b);
		if (b->dead)
			*at = b->next_crossing;
		else
			at = &b->next_crossing;
	}
}

void forget_written(struct direct *d, uint32_t frame, uint32_t first, uint32_t last)
{
	bool second = d->second_pages[frame / 8] >> frame % 8 & 1;

	for (uint32_t *at = &d->page_blocks[frame]; *at;) {
		struct block *b = &d->blocks[*at];
		uint32_t start = b->eip % UM_PAGE_SIZE;
		if (!b->dead && start <= last && start + b->bytes > first)
			kill_translation(d, b);
		if (b->dead)
			*at = b->next_page;
		else
			at = &b->next_page;
	}
	if (second && first < INSN_BYTES_MAX) {
		forget_crossings(d, frame, first);
		if (first == 0 && last == UM_PAGE_SIZE - 1) {
			d->second_pages[frame / 8] &= (uint8_t)~(1u << frame % 8);
			second = false;
		}
	}
	if (!d->page_blocks[frame] && !second)
		d->code_pages[frame / 8] &= (uint8_t)~(1u << frame % 8);
}

/* Memory that held code is often used for data later, and then each write costs a fault: after some writes all its
 * code goes.  Where code comes back each time, later and later. */
#define PATIENCE 16u
#define PATIENCE_MAX 12u

void give_up_page(struct direct *d, uint32_t frame)
{
	struct page_patience *p = &d->patience[frame];

	if (!d->page_blocks[frame] || ++p->writes < PATIENCE << p->times)
		return;
	p->writes = 0;
	p->times = (uint8_t)(p->times + (p->times < PATIENCE_MAX));
	forget_written(d, frame, 0, UM_PAGE_SIZE - 1);
}

void cache_flush(struct direct *d)
{
	memset(d->second_pages, 0, ram_pages(d) / 8 + 1);
	d->crossings = 0;
	memset(d->hash, 0, HASH_BUCKETS * sizeof(*d->hash));
	memset(d->page_blocks, 0, ram_pages(d) * sizeof(*d->page_blocks));
	memset(d->code_pages, 0, ram_pages(d) / 8 + 1);
	memset(d->link_pages, 0, WORLD_PAGES / 8);
	d->block_count = d->link_count = d->fallback_count = 1;
	d->point_count = 0;
	d->used = d->stubs;
	for (uint32_t n = 0; n < d->world_count; n++)
		forget_jumps(&d->worlds[n]);
	invalidate_returns(d);
	d->stats.cache_flushes++;
}

/* ---- 5. Heat -------------------------------------------------------------------------------- */

#define HOT_ENOUGH 64u

static uint32_t soft_slot(uint32_t key) { return (key * 0x9E3779B1u >> 12) % SOFT_SLOTS; }

/* (A collision forgets the older one: it only heats up again.) */
bool is_soft(const struct direct *d, uint32_t frame, uint32_t offset)
{
	uint32_t key = frame << 12 | offset;

	return d->options & DIRECT_OPT_SOFT && d->soft[soft_slot(key)] == key + 1;
}

bool heat_up(struct direct *d, uint32_t frame, uint32_t offset, unsigned by, bool for_good)
{
	uint32_t key = frame << 12 | offset, slot = soft_slot(key);

	if (!(d->options & DIRECT_OPT_SOFT) || is_soft(d, frame, offset))
		return false;
	if ((d->heat[slot] = (uint8_t)(d->heat[slot] + by)) < HOT_ENOUGH)
		return false;
	d->heat[slot] = 0;
	if (!d->soft[slot] && !for_good)
		d->soft_list[d->soft_count++] = slot;
	d->soft[slot] = key + 1;
	d->stats.softened++;
	return true;
}

void missed_softly(struct direct *d, uint32_t frame, uint32_t offset)
{
	uint8_t *heat = &d->heat[soft_slot(frame << 12 | offset)];

	*heat = (uint8_t)(*heat + (*heat < UINT8_MAX));
}

/* What has not missed lately costs more than it saves. */
#define COLD 2u

static void harden(struct direct *d, uint32_t key)
{
	uint32_t frame = key >> 12, offset = key & 0xFFF;

	d->soft[soft_slot(key)] = 0;
	forget_written(d, frame, offset, offset);
}

void cool_down(struct direct *d)
{
	uint32_t kept = 0;

	for (uint32_t n = 0; n < d->soft_count; n++) {
		uint32_t slot = d->soft_list[n];
		if (d->heat[slot] < COLD)
			harden(d, d->soft[slot] - 1);
		else
			d->soft_list[kept++] = slot;
	}
	d->soft_count = kept;
	memset(d->heat, 0, SOFT_SLOTS);
}
