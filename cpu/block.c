/* SPDX-License-Identifier: MIT */
/*
 * cpu/block.c - the cache of decoded blocks.
 *
 *   1. The cache         arena, hash table, what is known of each page
 *   2. Jumps             blocks by linear address
 *   3. Making            build_block(): one page; build_crossing(): one instruction in two pages
 *   4. Finding           find_block()
 *   5. Written code      code_written(), cpu_code_written()
 *
 * Memory is bounded: one arena of ARENA_BYTES.  When it is full everything is forgotten; that happens only
 * in find_block(), when no block is running, and is the only way memory is reclaimed.  What runs (instructions,
 * jumps) fills it from below, what is known of it from above: a processor that wakes with cold caches waits
 * for as few lines and pages of it as can be.
 */
#include "cpu/block.h"
#include "cpu/fpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/decode.h"
#include "cpu/memory.h"
#include "cpu/op_tables.h"
#include "cpu/uncached.h"
#include "cpu/warm.h"

/* ---- 1. The cache --------------------------------------------------------------------------- */

#define ARENA_BYTES (20u << 20)
#define HUGE_PAGE (2u << 20)     /* the host's, where it has such */
#define BLOCK_INSNS 32u          /* at most; bounds how long an interrupt waits */
#define BUCKETS 32768u
#define CODE_UNIT 16u            /* bytes a bit of code_page.map stands for */

struct block {
	uint64_t key;            /* offset in guest RAM << 8 | mode */
	struct block *next;      /* same bucket */
	const uint8_t *second;   /* crosses pages: the host page of its rest; else NULL */
	struct insn *insn;       /* ... and room for a struct link */
	uint16_t bytes;
	uint8_t insns;           /* handlers to poison, op_block_end included */
	bool dead;
};
_Static_assert(sizeof(struct link) <= sizeof(struct insn), "a link takes an instruction's place");

/* Bytes [first, last] of a page belong to a block. */
struct code_range {
	struct code_range *next;
	struct block *block;
	uint16_t first, last;
};
struct code_page {
	struct code_range *ranges;
	uint64_t map[UM_PAGE_SIZE / CODE_UNIT / 64];
};

struct block_cache {
	struct decoder decoder;
	size_t ram_pages;
	struct code_page **pages;   /* by page of guest RAM; NULL: no decoded code */
	uint8_t *arena;
	size_t used, end;           /* free in between */
	uint32_t generation[2];     /* of c->jumps, supervisor and user */
	bool nonglobal_jumps;       /* a supervisor's jump leads to a page that is not global */
	uint64_t jump_pages[512];   /* linear pages (hashed) that c->jumps knows */
	struct block *bucket[BUCKETS];
};

/* Fewer translations to be missed.  The host may refuse. */
static void prefer_huge_pages(void *start, size_t bytes)
{
#ifdef MADV_HUGEPAGE
	(void)madvise(start, bytes, MADV_HUGEPAGE);
#else
	(void)start, (void)bytes;
#endif
}

static void empty(struct block_cache *cache)
{
	cache->used = JUMPS * sizeof(struct jump);
	cache->end = ARENA_BYTES;
}

bool blocks_new(struct cpu *c)
{
	struct block_cache *cache = calloc(1, sizeof(*cache));

	c->blocks = cache;
	if (!cache)
		return false;
	decoder_init(&cache->decoder);
	c->decoder = &cache->decoder;
	cache->ram_pages = c->ram_bytes / UM_PAGE_SIZE;
	cache->pages = calloc(cache->ram_pages + 1, sizeof(*cache->pages));
	cache->arena = aligned_alloc(HUGE_PAGE, ARENA_BYTES);
	if (!cache->pages || !cache->arena)
		return false;
	prefer_huge_pages(cache->arena, ARENA_BYTES);
	c->jumps = memset(cache->arena, 0, JUMPS * sizeof(*c->jumps));
	empty(cache);
	return true;
}

void blocks_free(struct cpu *c)
{
	if (!c->blocks)
		return;
	free(c->blocks->pages);
	free(c->blocks->arena);
	free(c->blocks);
}

static bool in_ram(const struct cpu *c, const uint8_t *host)
{
	return (uintptr_t)host - (uintptr_t)c->ram < c->ram_bytes;
}

static size_t ram_page(const struct cpu *c, const uint8_t *host)
{
	return (size_t)(host - c->ram) / UM_PAGE_SIZE;
}

bool has_code(const struct cpu *c, const uint8_t *host)
{
	size_t page = ram_page(c, host);

	if (!in_ram(c, host))
		return false;
	return c->blocks->pages[page] || (c->watch.pages && c->watch.pages[page / 8] >> page % 8 & 1);
}

/* From above. */
static void *take(struct block_cache *cache, size_t bytes)
{
	cache->end -= (bytes + 15) & ~(size_t)15;
	return cache->arena + cache->end;
}

/* From below: where the next block's instructions go. */
static struct insn *next_insns(const struct block_cache *cache)
{
	return (struct insn *)(cache->arena + cache->used);
}

/* Room for the largest block and its bookkeeping? */
static bool has_room(const struct block_cache *cache)
{
	return cache->end - cache->used >
	       sizeof(struct block) + (BLOCK_INSNS + 2) * sizeof(struct insn) +
		   2 * (sizeof(struct code_page) + sizeof(struct code_range)) + 128;
}

void forget_everything(struct cpu *c)
{
	struct block_cache *cache = c->blocks;

	memset(cache->pages, 0, cache->ram_pages * sizeof(*cache->pages));
	memset(cache->bucket, 0, sizeof(cache->bucket));
	empty(cache);
	c->patch = NULL;
	jumps_flush(c);
}

static struct block **bucket_of(struct block_cache *cache, uint64_t key)
{
	uint32_t h = (uint32_t)(key >> 8) * 0x9E3779B1u;

	return &cache->bucket[(h >> 16 ^ key) % BUCKETS];
}

/* ---- 2. Jumps ------------------------------------------------------------------------------- */

enum { JUMP_MODE_BITS = 8 };

static uint64_t jump_page_bit(uint32_t linear, size_t *word)
{
	uint32_t page = linear / UM_PAGE_SIZE;

	*word = page / 64 % 512;
	return (uint64_t)1 << page % 64;
}

void jumps_set_mode(struct cpu *c)
{
	c->jump_key = c->blocks->generation[c->cpl == 3] << JUMP_MODE_BITS | c->mode;
}

/* Entries made so far at this privilege count no more. */
static void next_generation(struct cpu *c, bool user)
{
	uint32_t *generation = &c->blocks->generation[user];

	*generation = (*generation + 1) & (0xFFFFFFFFu >> JUMP_MODE_BITS);
	if (!*generation) { /* that of empty entries */
		memset(c->jumps, 0, JUMPS * sizeof(*c->jumps));
		*generation = 1;
	}
	if (!user)
		c->blocks->nonglobal_jumps = false;
	jumps_set_mode(c);
	c->events |= EV_CODE;
}

void jumps_flush(struct cpu *c)
{
	next_generation(c, false);
	next_generation(c, true);
	memset(c->blocks->jump_pages, 0, sizeof(c->blocks->jump_pages));
}

/* Programs' pages are not global, the kernel's are: its jumps stay, unless one is not in a global page. */
void jumps_flush_nonglobal(struct cpu *c)
{
	next_generation(c, true);
	if (c->blocks->nonglobal_jumps)
		next_generation(c, false);
}

void jumps_flush_page(struct cpu *c, uint32_t linear)
{
	size_t word;
	uint64_t bit = jump_page_bit(linear, &word);

	if (c->blocks->jump_pages[word] & bit)
		jumps_flush(c);
}

/* A jump holds as long as the translation of this page does. */
static void depend_on(struct cpu *c, uint32_t linear)
{
	size_t word;
	uint64_t bit = jump_page_bit(linear, &word);

	c->blocks->jump_pages[word] |= bit;
	if (c->cpl != 3 && !tlb_is_global(c, linear))
		c->blocks->nonglobal_jumps = true;
}

static void remember_jump(struct cpu *c, uint32_t linear, const struct insn *insn)
{
	struct jump *j = jump_at(c, linear);

	depend_on(c, linear);
	if (insn->crossing)
		depend_on(c, (linear | ~PAGE_MASK) + 1);
	j->key = (uint64_t)linear << 32 | c->jump_key;
	j->insn = insn;
}

/* ---- 3. Making ------------------------------------------------------------------------------ */

static void mark_range(struct code_page *page, unsigned first, unsigned last)
{
	for (unsigned unit = first / CODE_UNIT; unit <= last / CODE_UNIT; unit++)
		page->map[unit / 64] |= (uint64_t)1 << unit % 64;
}

/* Bytes [first, last] of the page at `host` are part of block b from now on. */
static void claim(struct cpu *c, const uint8_t *host, unsigned first, unsigned last, struct block *b)
{
	struct block_cache *cache = c->blocks;
	struct code_page **slot = &cache->pages[ram_page(c, host)];
	struct code_range *range = take(cache, sizeof(*range));

	if (!*slot) {
		*slot = take(cache, sizeof(**slot));
		memset(*slot, 0, sizeof(**slot));
		tlb_protect_host_page(c, host);
	}
	*range = (struct code_range){ (*slot)->ranges, b, (uint16_t)first, (uint16_t)last };
	(*slot)->ranges = range;
	mark_range(*slot, first, last);
}

/* Is where the branch i leads, and what follows it, in the block's page?  `start`: the block's offset there. */
static void find_near(struct insn *i, unsigned start)
{
	uint32_t after = start + i->off + i->len;

	if (after < UM_PAGE_SIZE)
		i->flags |= INSN_FALL_NEAR;
	if (after + i->imm < UM_PAGE_SIZE)
		i->flags |= INSN_TAKEN_NEAR;
}

/* What decode_run() made. */
struct run_of_insns {
	unsigned n;     /* in struct insn */
	unsigned count; /* instructions of the guest */
	unsigned bytes;
};

/* Close a block: its end, links, neighbourhood. */
static void finish_block(struct block *b, const struct run_of_insns *run, unsigned start, bool chain, bool fuse)
{
	unsigned n = run->n;
	struct insn *last = &b->insn[n - 1];

	b->bytes = (uint16_t)run->bytes;
	if (!(last->flags & INSN_END)) {
		last = &b->insn[n++];
		memset(last, 0, sizeof(*last));
		last->fn = chain ? op_block_end : op_block_return;
		last->off = b->bytes;
		last->count = (uint8_t)run->count;
		last->flags = INSN_END;
	}
	b->insn->first = 1;
	b->insn->crossing = b->second != NULL;
	if (fuse && n > 1) {
		insn_fn *both = fused_handler(last[-1].fn, last->fn);
		if (both)
			last[-1].fn = both;
	}
	memset(&b->insn[n], 0, sizeof(struct link));
	find_near(last, start);
	b->insns = (uint8_t)n;
}

/* Does it change nothing but EIP?  Compilers align with such, and entries of functions have one. */
static bool does_nothing(const struct insn *i)
{
	return i->fn == op_nop || (i->fn == op_lea32_base && i->base == i->reg && !i->disp) ||
	       (i->fn == mov_handlers[2][FORM_RR] && i->rm == i->reg);
}

/* Decode from bytes[0], the `avail`th byte before a page's end, at most `limit` instructions; run.n == 0 if the first is
 * not whole.  `skip`: those that do nothing get no struct insn, they only count. */
static struct run_of_insns decode_run(struct cpu *c, struct insn *insn, const uint8_t *bytes, unsigned avail,
                                      unsigned mode, unsigned limit, bool skip)
{
	struct run_of_insns run = { 0, 0, 0 };

	while (run.count < limit && run.bytes < avail) {
		if (run.count && splits_at(c, UM_PAGE_SIZE - avail + run.bytes))
			break;
		struct insn *i = &insn[run.n];
		if (decode(&c->blocks->decoder, bytes + run.bytes, avail - run.bytes, mode, c->options, i) ==
		    DECODE_MORE)
			break;
		i->off = (uint16_t)run.bytes;
		i->count = (uint8_t)++run.count;
		run.bytes += i->len;
		if (skip && does_nothing(i))
			continue;
		run.n++;
		if (i->flags & INSN_END)
			break;
	}
	if (!run.n && run.count)
		return decode_run(c, insn, bytes, avail, mode, limit, false);
	return run;
}

static unsigned insns_allowed(unsigned mode) { return mode & MODE_STEP ? 1 : BLOCK_INSNS; }

static bool may_fuse(unsigned mode, uint32_t options)
{
	return may_chain(mode, options) && options & CPU_OPT_FUSE;
}

/* The block of what decode_run() has put where the next block's instructions go. */
static struct block *add_block(struct cpu *c, const struct run_of_insns *run, const uint8_t *host,
                               const uint8_t *second, unsigned mode)
{
	struct block_cache *cache = c->blocks;
	struct block **bucket, *b = take(cache, sizeof(*b));

	*b = (struct block){
		.key = (uint64_t)(host - c->ram) << 8 | mode,
		.second = second,
		.insn = next_insns(cache),
	};
	finish_block(b, run, (unsigned)((uintptr_t)host % UM_PAGE_SIZE), may_chain(mode, c->options),
	             may_fuse(mode, c->options));
	cache->used += (b->insns + 1u) * sizeof(struct insn);
	bucket = bucket_of(cache, b->key);
	b->next = *bucket;
	*bucket = b;
	if (c->trace.block) {
		fpu_leave(c);
		c->trace.block(c->trace.user, c, c->eip);
	}
	return b;
}

/* Undefined opcodes have no length: all bytes that may have been looked at count. */
static unsigned last_byte(const struct block *b, unsigned n, unsigned first, unsigned avail)
{
	bool undefined = b->insn[n - 1].fn == op_undefined || b->insn[n - 1].fn == op_too_long;
	unsigned bytes = b->bytes + (undefined ? INSN_BYTES_MAX - 1 : 0);

	return first + (bytes < avail ? bytes : avail) - 1;
}

static struct block *build_block(struct cpu *c, const uint8_t *host, unsigned mode)
{
	struct insn *insn = next_insns(c->blocks);
	unsigned start = (unsigned)((uintptr_t)host % UM_PAGE_SIZE), avail = UM_PAGE_SIZE - start;
	struct run_of_insns run = decode_run(c, insn, host, avail, mode, insns_allowed(mode),
	                                     may_fuse(mode, c->options));
	struct block *b;

	if (!run.n)
		return NULL;
	b = add_block(c, &run, host, NULL, mode);
	claim(c, host, start, last_byte(b, run.n, start, avail), b);
	return b;
}

/* One instruction whose rest is in the page behind `second`. */
static struct block *build_crossing(struct cpu *c, const uint8_t *host, const uint8_t *second, unsigned mode)
{
	unsigned start = (unsigned)((uintptr_t)host % UM_PAGE_SIZE), first = UM_PAGE_SIZE - start;
	uint8_t bytes[INSN_BYTES_MAX];
	struct run_of_insns run;
	struct block *b;

	memcpy(bytes, host, first);
	memcpy(bytes + first, second, INSN_BYTES_MAX - first);
	run = decode_run(c, next_insns(c->blocks), bytes, INSN_BYTES_MAX, mode, 1, false);
	b = add_block(c, &run, host, second, mode);
	claim(c, host, start, UM_PAGE_SIZE - 1, b);
	claim(c, second, 0, INSN_BYTES_MAX - first - 1, b);
	return b;
}

/* ---- 4. Finding ----------------------------------------------------------------------------- */

/* Poison it.  Nothing is freed: it may be running. */
static void kill_block(struct block_cache *cache, struct block *b)
{
	struct block **p = bucket_of(cache, b->key);

	while (*p && *p != b)
		p = &(*p)->next;
	if (*p)
		*p = b->next;
	b->dead = true;
	for (unsigned n = 0; n < b->insns; n++)
		b->insn[n].fn = op_stale;
}

/* What find_block() found. */
struct found {
	const struct insn *insn; /* NULL: an exception or c->exit is recorded */
	unsigned bytes;          /* of the block */
	bool cached;             /* a block: a jump may lead to it */
};
static struct found found_block(const struct block *b)
{
	return (struct found){ b->insn, b->bytes, true };
}
static struct found found_uncached(struct cpu *c, uint32_t linear, unsigned mode)
{
	const struct insn *i = find_uncached(c, linear, mode);

	return (struct found){ i, i ? i->len : 0, false };
}

/* What a search takes, for warm.c. */
static void see_search(struct cpu *c, uint64_t key)
{
	struct block **bucket = bucket_of(c->blocks, key);

	warm_see(c, bucket);
	for (const struct block *b = *bucket; b; b = b->key != key ? b->next : NULL)
		warm_see(c, b);
}

static struct found cached_block(struct cpu *c, uint32_t linear, const uint8_t *host, unsigned mode)
{
	struct block_cache *cache = c->blocks;
	uint64_t key = (uint64_t)(host - c->ram) << 8 | mode;
	struct block *b = *bucket_of(cache, key);
	const uint8_t *second = NULL;
	um_gpa gpa;

	if (unlikely(c->events & EV_RECORD))
		see_search(c, key);
	while (b && b->key != key)
		b = b->next;
	if (b && !b->second)
		return found_block(b);
	if (!has_room(cache)) {
		forget_everything(c);
		b = NULL;
	}
	if (!b) {
		b = build_block(c, host, mode);
		if (b)
			return found_block(b);
	}
	/* The second page's translation counts each time. */
	if (!fetch_page(c, (linear | ~PAGE_MASK) + 1, &second, &gpa))
		return (struct found){ 0 };
	if (b && b->second == second)
		return found_block(b);
	if (b)
		kill_block(cache, b);
	if (!second || !in_ram(c, second))
		return found_uncached(c, linear, mode);
	return found_block(build_crossing(c, host, second, mode));
}

static struct found find_here(struct cpu *c, uint32_t linear, unsigned mode)
{
	const uint8_t *host;
	um_gpa gpa;

	if (!(c->options & CPU_OPT_BLOCKS))
		return found_uncached(c, linear, mode);
	if (!fetch_page(c, linear, &host, &gpa))
		return (struct found){ 0 };
	if (!host || !in_ram(c, host))
		return found_uncached(c, linear, mode);
	return cached_block(c, linear, host, mode);
}

/* Next time the link that led here leads there at once. */
static const struct insn *chain_to(struct cpu *c, const struct insn *insn)
{
	if (c->patch && !insn->crossing)
		*c->patch = insn;
	c->patch = NULL;
	return insn;
}

/* Does the code segment end before the last of these bytes at EIP?  One of 4 GiB has no end: it wraps. */
static bool past_limit(const struct cpu *c, uint32_t bytes)
{
	uint32_t limit = c->seg[CPU_CS].limit;

	return limit != 0xFFFFFFFFu && (c->eip > limit || bytes - 1 > limit - c->eip);
}

const struct insn *find_block(struct cpu *c, unsigned extra)
{
	unsigned mode = (c->mode | extra) & MODE_DECODING;
	uint32_t linear = c->seg[CPU_CS].base + c->eip;
	struct found f;

	c->block_eip = c->eip;
	if (!extra && may_chain(mode, c->options)) {
		const struct jump *j = jump_at(c, linear);
		if (likely(j->key == ((uint64_t)linear << 32 | c->jump_key)))
			return chain_to(c, j->insn);
	}
	if (past_limit(c, 1)) {
		fault(c, EXC_GP, 0);
		return NULL;
	}
	f = find_here(c, linear, mode);
	/* A segment's end inside the block: one instruction at a time finds the one that crosses it. */
	if (f.insn && !(mode & MODE_STEP) && past_limit(c, f.bytes)) {
		mode |= MODE_STEP;
		f = find_here(c, linear, mode);
	}
	if (!f.insn)
		return NULL;
	if (past_limit(c, f.bytes)) {
		fault(c, EXC_GP, 0);
		return NULL;
	}
	if (splits_at(c, linear % UM_PAGE_SIZE)) {
		f.cached = false;
		if (!may_run(c, linear, f.insn))
			return NULL;
	}
	/* (While warm.c records, the TLB does not tell which pages are global.) */
	if (f.cached && mode & MODE_FLAT && !(mode & MODE_STEP) && !(c->events & EV_RECORD)) {
		remember_jump(c, linear, f.insn);
		return chain_to(c, f.insn);
	}
	c->patch = NULL;
	return f.insn;
}

/* ---- 5. Written code ------------------------------------------------------------------------ */

static bool map_overlaps(const struct code_page *page, unsigned first, unsigned last)
{
	for (unsigned unit = first / CODE_UNIT; unit <= last / CODE_UNIT; unit++)
		if (page->map[unit / 64] >> unit % 64 & 1)
			return true;
	return false;
}

void code_written(struct cpu *c, const uint8_t *host, unsigned bytes)
{
	struct code_page **slot, *page;
	unsigned first = (unsigned)((uintptr_t)host % UM_PAGE_SIZE), last = first + bytes - 1;

	if (!in_ram(c, host) || !bytes)
		return;
	if (c->watch.pages && c->watch.pages[ram_page(c, host) / 8] >> ram_page(c, host) % 8 & 1)
		c->watch.written(c->watch.user, host, bytes);
	slot = &c->blocks->pages[ram_page(c, host)];
	page = *slot;
	if (!page || !map_overlaps(page, first, last))
		return;
	memset(page->map, 0, sizeof(page->map));
	for (struct code_range **p = &page->ranges; *p;) {
		struct code_range *r = *p;
		if (!r->block->dead && r->first <= last && r->last >= first)
			kill_block(c->blocks, r->block);
		if (r->block->dead) {
			*p = r->next;
			continue;
		}
		mark_range(page, r->first, r->last);
		p = &r->next;
	}
	if (!page->ranges)
		*slot = NULL;
}

void cpu_code_written(struct cpu *c, const uint8_t *host, size_t bytes)
{
	while (bytes) {
		size_t left = UM_PAGE_SIZE - (uintptr_t)host % UM_PAGE_SIZE;
		size_t piece = bytes < left ? bytes : left;
		code_written(c, host, (unsigned)piece);
		host += piece;
		bytes -= piece;
	}
}

/* Links keep leading to a poisoned block, so its first instruction learns where its successor is: c->patch.
 * (Not before it is met: who poisoned it may be its own running instruction, which may still need its operands.) */
enum run op_stale(struct cpu *c, const struct insn *i)
{
	struct insn *first;

	/* On after the one that wrote, not at this: in between there may have been some that do nothing and have no
	 * record (decode_run()), and it may be they that were written. */
	if (!i->first) {
		c->eip = next_eip(c, i - 1);
		c->budget -= i[-1].count;
		c->patch = NULL;
		return RUN_BLOCK;
	}
	if (i->linked && i->successor && i->successor->fn != op_stale)
		return i->successor->fn(c, i->successor);
	c->eip = c->block_eip;
	struct jump *j = jump_at(c, c->seg[CPU_CS].base + c->eip);
	if (j->insn == i)
		j->key = 0;
	first = (struct insn *)(uintptr_t)i; /* the arena's, not const there */
	first->linked = 1;
	first->successor = NULL;
	c->patch = &first->successor;
	return RUN_BLOCK;
}
