/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/shadow_edges.c - the core at its named bounds (shadow/core.h) and at the edges of its
 * arguments.
 *
 *   1. Arguments      configurations, addresses, ranges
 *   2. Bounds         what a hostile guest would stretch: mappings, parents, tables, unsync tables
 *   3. Odd memory     page tables in memory that does not take Accessed and Dirty
 *   4. Looking, and the host's side
 *   5. Another way of learning
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/lib/fake.h"

enum { DIR = 0x1000, TABLE = 0x2000, DATA = 0x5000 };

static struct fake *tracked(uint64_t frames, uint32_t options, uint32_t tables, uint32_t roots)
{
	struct fake *f = fake_new(frames, UM_LEARN_TRACKED, options, tables, roots);

	fake_poke(f, DIR, TABLE | 7);
	fake_set_mode(f, REF_PG | REF_WP | REF_PSE, DIR);
	return f;
}

static void audit(const struct fake *f)
{
	struct um_violation v = um_audit(f->um);

	if (v.invariant)
		fail_msg("invariant %d: %s", v.invariant, v.text);
}

static void done(struct fake *f)
{
	audit(f);
	assert_null(fake_free(f));
}

static struct um_stats stats(const struct fake *f)
{
	struct um_stats s;

	um_get_stats(f->um, &s);
	return s;
}

static void expect(struct fake *f, uint32_t gva, unsigned access, enum um_result result)
{
	assert_int_equal(fake_access(f, gva, access).result, result);
}

/* ---- 1. Arguments --------------------------------------------------------------------------- */

static void bad_configurations_are_refused(void **state)
{
	struct fake *f = tracked(64, UM_OPT_ALL, 16, 4);
	struct um_config good = f->config, c;
	struct um_ops ops = *good.ops;
	struct um_format format = um_format_i386;
	struct um *um = NULL;

	(void)state;
	assert_true(um_size(&good) > 0);
	assert_int_equal(um_size(NULL), 0);
#define REFUSED(change) (c = good, change, assert_int_equal(um_size(&c), 0), \
			 assert_int_equal(um_init(f->arena, &c, &um), UM_EINVAL))
	REFUSED(c.ops = NULL);
	REFUSED(c.format = NULL);
	REFUSED(c.max_tables = UM_MIN_TABLES - 1);
	REFUSED(c.max_tables = (1u << 20) + 1);
	REFUSED(c.max_roots = 0);
	REFUSED(c.max_gfn = 0);
	REFUSED(c.max_gfn = (1u << 24) + 1);
	REFUSED(c.prefetch = 65);
	REFUSED(c.options = UM_OPT_ALL + 1);
	REFUSED(c.learn = (enum um_learn)(UM_LEARN_BOUND + 1));
	REFUSED(c.user_end = (UINT64_C(1) << 32) + 1);
	REFUSED((ops.get_table = NULL, c.ops = &ops));
	REFUSED((format.levels = 1, c.format = &format));
	format = um_format_i386;
	REFUSED((format.entry_bytes = 2, c.format = &format));
	format = um_format_i386;
	REFUSED((format.level[1].shift = 21, c.format = &format));
	assert_int_equal(um_init((char *)f->arena + 8, &good, &um), UM_EINVAL);
	assert_null(um);
	done(f);
}

static void addresses_past_the_end(void **state)
{
	struct fake *f = tracked(64, UM_OPT_ALL, 16, 4);
	struct um_map map;

	(void)state;
	assert_int_equal(um_demand_page(f->um, UINT64_C(1) << 32, 0, &map), UM_EINVAL);
	assert_int_equal(um_pin_page(f->um, UINT64_MAX), UM_EINVAL);
	assert_int_equal(um_lookup(f->um, UINT64_C(1) << 32, 0, &map), UM_EMPTY);
	um_flush_page(f->um, UINT64_MAX);
	um_guest_wrote(f->um, 0, UINT64_MAX);
	um_guest_wrote(f->um, UINT64_MAX, UINT64_MAX);
	um_guest_wrote(f->um, 0x1000, 0);
	um_forget_frame(f->um, UINT64_MAX);
	assert_false(um_is_tracked(f->um, UINT64_MAX));
	um_switch_root(f->um, UINT64_MAX); /* a directory where there is no memory */
	expect(f, 0x1000, 0, UM_FAULT);
	assert_int_equal(um_set_pte(f->um, DIR, 0, 0), UM_EINVAL); /* not told mode */
	assert_int_equal(um_set_pde(f->um, DIR, 0), UM_EINVAL);
	done(f);
}

/* ---- 2. Bounds ------------------------------------------------------------------------------ */

/* One frame mapped 6,144 times: mappings come and go, write protection stays bounded and complete. */
static void one_frame_mapped_everywhere(void **state)
{
	struct fake *f = tracked(64, UM_OPT_ALL & ~(unsigned)UM_OPT_PREFETCH, 32, 4);

	(void)state;
	for (uint32_t t = 0; t < 6; t++) {
		fake_poke(f, DIR + 4 * t, (16 + t) << 12 | 7);
		for (uint32_t i = 0; i < 1024; i++)
			fake_poke(f, ((16 + t) << 12) + 4 * i, DATA | 0x67);
	}
	for (uint32_t page = 0; page < 6 * 1024; page++)
		expect(f, page << 12, UM_WRITE, UM_OK);
	assert_true(stats(f).entries <= 4096);
	expect(f, 0, UM_WRITE, UM_OK);
	audit(f);
	/* The frame becomes a page table itself: no writable mapping may stay. */
	fake_poke(f, DIR + 4 * 8, DATA | 7);
	fake_poke(f, DATA, 0x6000 | 7);
	expect(f, 8 << 22, 0, UM_OK);
	assert_true(um_is_tracked(f->um, DATA >> 12));
	expect(f, 5 << 22, UM_WRITE, UM_TRACKED);
	audit(f);
	um_forget_frame(f->um, DATA >> 12);
	assert_int_equal(f->borrowed[DATA >> 12], 0);
	done(f);
}

/* One table entered 6,000 times, by six directories. */
static void one_table_entered_everywhere(void **state)
{
	struct fake *f = tracked(64, UM_OPT_ALL, 32, 8);

	(void)state;
	fake_poke(f, TABLE, DATA | 0x67);
	for (uint32_t d = 0; d < 6; d++)
		for (uint32_t i = 0; i < 1000; i++)
			fake_poke(f, ((8 + d) << 12) + 4 * i, TABLE | 7);
	for (uint32_t d = 0; d < 6; d++) {
		fake_switch(f, (8 + d) << 12);
		for (uint32_t i = 0; i < 1000; i++)
			expect(f, i << 22, UM_WRITE, UM_OK);
	}
	audit(f);
	fake_poke(f, TABLE, DATA | 0x25);
	expect(f, 0, UM_WRITE, UM_FAULT);
	expect(f, 999u << 22, UM_WRITE, UM_FAULT);
	done(f);
}

/* Without sharing a kernel table has a shadow for each root: more than one frame may have. */
static void one_table_shadowed_for_every_root(void **state)
{
	struct fake *f = tracked(1024, 0, 800, 400);

	(void)state;
	for (uint32_t d = 0; d < 300; d++)
		fake_poke(f, ((100 + d) << 12), TABLE | 7);
	fake_poke(f, TABLE, DATA | 0x67);
	for (uint32_t turn = 0; turn < 2; turn++)
		for (uint32_t d = 0; d < 300; d++) {
			fake_switch(f, (100 + d) << 12);
			expect(f, 0, UM_WRITE, UM_OK);
		}
	fake_poke(f, TABLE, DATA | 0x25);
	for (uint32_t d = 0; d < 300; d++) {
		fake_switch(f, (100 + d) << 12);
		expect(f, 0, UM_WRITE, UM_FAULT);
	}
	done(f);
}

enum { UNSYNC_TABLES = 40 };

/* A table map at 0x10000000: page i of it is table frame 100 + i. */
static struct fake *with_unsync_tables(void)
{
	struct fake *f = tracked(1024, UM_OPT_ALL, 200, 4);

	fake_poke(f, DIR + 4 * 64, 0x3000 | 7);
	for (uint32_t i = 0; i < UNSYNC_TABLES; i++) {
		fake_poke(f, DIR + 4 * i, (100 + i) << 12 | 0x67);
		fake_poke(f, 0x3000 + 4 * i, (100 + i) << 12 | 0x67);
		fake_poke(f, (100 + i) << 12, (200 + i) << 12 | 0x67);
		expect(f, i << 22, UM_WRITE, UM_OK);
	}
	for (uint32_t n = 0; n < 8; n++)
		for (uint32_t i = 0; i < UNSYNC_TABLES; i++) {
			enum um_result r = fake_store(f, (64u << 22) + (i << 12) + 64 + 4 * n, 0).result;

			assert_true(r == UM_OK || r == UM_TRACKED);
		}
	assert_true(stats(f).unsyncs >= UNSYNC_TABLES);
	audit(f);
	return f;
}

static void unsync_is_bounded_and_comes_back(void **state)
{
	struct fake *f = with_unsync_tables();

	(void)state;
	assert_true(stats(f).syncs >= UNSYNC_TABLES - 32);
	/* Written without a word, as an unsync table may be; the flush of the whole finds all. */
	for (uint32_t i = 0; i < UNSYNC_TABLES; i++) {
		fake_store(f, (64u << 22) + (i << 12), 0);
		assert_int_equal(fake_read(f, (100 + i) << 12), 0);
	}
	fake_switch(f, DIR);
	for (uint32_t i = 0; i < UNSYNC_TABLES; i++)
		expect(f, i << 22, 0, UM_FAULT);
	assert_int_equal(stats(f).unsyncs, stats(f).syncs);
	done(f);
}

static void one_page_of_an_unsync_table_is_flushed(void **state)
{
	struct fake *f = with_unsync_tables();
	uint32_t last = UNSYNC_TABLES - 1;
	uint64_t syncs = stats(f).syncs;

	(void)state;
	assert_false(um_is_tracked(f->um, 100 + last));
	assert_int_equal(fake_store(f, (64u << 22) + (last << 12), 300 << 12 | 0x67).result, UM_OK);
	um_flush_page(f->um, last << 22);
	assert_int_equal(fake_access(f, last << 22, UM_WRITE).gpa, 300 << 12);
	assert_false(um_is_tracked(f->um, 100 + last)); /* it stays unsync */
	assert_int_equal(stats(f).syncs, syncs);
	/* A second way in: brought back first (U4). */
	fake_store(f, (64u << 22) + (last << 12), 0);
	fake_poke(f, DIR + 4 * 65, (100 + last) << 12 | 0x67);
	expect(f, 65u << 22, 0, UM_FAULT);
	expect(f, (65u << 22) + 0x1000, 0, UM_FAULT);
	fake_store(f, (64u << 22) + (last << 12) + 4, 301 << 12 | 0x67);
	expect(f, (65u << 22) + 0x1000, 0, UM_OK);
	expect(f, last << 22, 0, UM_FAULT);
	done(f);
}

static void unsync_ends_with_a_flush_of_everything(void **state)
{
	struct fake *f = with_unsync_tables();
	uint32_t last = UNSYNC_TABLES - 1;

	(void)state;
	fake_store(f, (64u << 22) + (last << 12), 0);
	um_flush_all(f->um);
	audit(f);
	expect(f, last << 22, 0, UM_FAULT);
	um_forget_frame(f->um, 100 + last);
	audit(f);
	done(f);
}

/* ---- 3. Odd memory -------------------------------------------------------------------------- */

/* Page tables in ROM: A and D cannot be set, the guest runs all the same. */
struct rom_tables { struct um *um; uint32_t memory[8][1024]; bool honest; int tables; };

static bool rom_read(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct rom_tables *r = user;

	(void)bytes;
	if (gpa >> 12 >= 8)
		return false;
	*value = r->memory[gpa >> 12][(gpa & 4095) / 4];
	return true;
}

static bool rom_update(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	const struct rom_tables *r = user;

	(void)gpa;
	(void)bytes;
	(void)old;
	(void)value;
	return !r->honest; /* "done" (and ignored, as a bus does) or "refused": both must work */
}

static enum um_grant rom_get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	(void)user;
	(void)write;
	*hfn = gfn;
	return gfn < 3 ? UM_GRANT_ROM : UM_GRANT_RAM;
}

static void rom_put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	(void)user;
	(void)dirty;
	assert_int_equal(gfn, hfn);
}

static void *rom_get_table(void *user)
{
	((struct rom_tables *)user)->tables++;
	return aligned_alloc(UM_PAGE_SIZE, UM_TABLE_BYTES);
}

static void rom_put_table(void *user, void *table)
{
	((struct rom_tables *)user)->tables--;
	free(table);
}

static void rom_invalidate(void *user, um_gva first, um_gva last)
{
	(void)user;
	assert_true(first < last);
}

static void rom_invalidate_all(void *user)
{
	(void)user;
}

static void run_rom_tables(bool honest)
{
	static const struct um_ops ops = {
		.read_entry = rom_read, .update_entry = rom_update, .get_page = rom_get_page,
		.put_page = rom_put_page, .get_table = rom_get_table, .put_table = rom_put_table,
		.invalidate = rom_invalidate, .invalidate_all = rom_invalidate_all,
	};
	struct rom_tables *r = calloc(1, sizeof(*r));
	struct um_config config = { .ops = &ops, .user = r, .format = &um_format_i386,
	                            .options = UM_OPT_ALL, .max_gfn = 8, .max_tables = 16,
	                            .max_roots = 4, .prefetch = 8 };
	void *arena = calloc(1, um_size(&config));
	struct um_map map;

	r->honest = honest;
	assert_int_equal(um_init(arena, &config, &r->um), UM_OK);
	r->memory[1][0] = TABLE | 7;
	r->memory[1][1] = 0x87; /* 4 MiB page */
	r->memory[2][0] = DATA | 7;
	um_set_mode(r->um, UM_MODE_PAGING | UM_MODE_WP | UM_MODE_PSE, DIR);
	assert_int_equal(um_demand_page(r->um, 0x000, UM_READ, &map), UM_OK);
	assert_int_equal(um_demand_page(r->um, 0x000, UM_WRITE, &map), UM_OK);
	assert_int_equal(um_lookup(r->um, 0x000, UM_WRITE, &map), UM_OK);
	assert_int_equal(um_demand_page(r->um, 0x405000, UM_WRITE, &map), UM_OK);
	assert_int_equal(um_demand_page(r->um, 0x401000, UM_WRITE, &map), UM_MMIO); /* ROM written */
	assert_int_equal(um_audit(r->um).invariant, 0);
	um_destroy(r->um);
	assert_int_equal(r->tables, 0);
	free(arena);
	free(r);
}

static void page_tables_in_rom(void **state)
{
	(void)state;
	run_rom_tables(false);
	run_rom_tables(true);
}

/* ---- 4. Looking, and the host's side -------------------------------------------------------- */

struct seen { unsigned count; uint32_t gva[64]; unsigned stop_after; };

static bool see(void *arg, const struct um_leaf *leaf)
{
	struct seen *s = arg;

	assert_int_equal(leaf->hfn & 0xFFFF, leaf->gfn);
	s->gva[s->count++] = (uint32_t)leaf->gva;
	return s->count < s->stop_after;
}

static void visiting_finds_every_leaf_in_order(void **state)
{
	struct fake *f = tracked(64, 0, 16, 4);
	struct seen s = { .stop_after = 64 };

	(void)state;
	fake_poke(f, DIR + 4 * 1023, 0x3000 | 7);
	fake_poke(f, TABLE + 4 * 7, DATA | 7);
	fake_poke(f, TABLE + 4 * 9, DATA | 7);
	fake_poke(f, 0x3000 + 4 * 1023, DATA | 7);
	expect(f, 0xFFFFF000u, 0, UM_OK);
	expect(f, 0x9000, 0, UM_OK);
	expect(f, 0x7000, 0, UM_OK);
	um_visit(f->um, 0, see, &s);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.gva[0], 0x7000);
	assert_int_equal(s.gva[1], 0x9000);
	assert_int_equal(s.gva[2], 0xFFFFF000u);
	s = (struct seen){ .stop_after = 1 };
	um_visit(f->um, 0x8123, see, &s);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.gva[0], 0x9000);
	done(f);
}

static void budget_can_be_lowered_and_raised(void **state)
{
	struct fake *f = tracked(256, UM_OPT_ALL, 40, 4);

	(void)state;
	for (uint32_t i = 0; i < 30; i++) {
		fake_poke(f, DIR + 4 * i, (100 + i) << 12 | 7);
		fake_poke(f, (100 + i) << 12, DATA | 7);
		expect(f, i << 22, 0, UM_OK);
	}
	assert_int_equal(stats(f).tables, 31);
	assert_int_equal(um_set_budget(f->um, UM_MIN_TABLES - 1), UM_EINVAL);
	assert_int_equal(um_set_budget(f->um, 41), UM_EINVAL);
	assert_int_equal(um_set_budget(f->um, 10), UM_OK);
	assert_int_equal(f->table_count, 10);
	for (uint32_t i = 0; i < 30; i++)
		expect(f, i << 22, 0, UM_OK);
	assert_int_equal(f->table_count, 10);
	assert_int_equal(um_set_budget(f->um, 40), UM_OK);
	for (uint32_t i = 0; i < 30; i++)
		expect(f, i << 22, 0, UM_OK);
	assert_int_equal(stats(f).tables, 31);
	assert_int_equal(um_shrink(f->um, 1000), 31);
	assert_int_equal(f->table_count, 0);
	expect(f, 0, 0, UM_OK);
	done(f);
}

static void window_survives_everything(void **state)
{
	struct fake *f = tracked(256, UM_OPT_ALL, 16, 4);
	struct um_map map;

	(void)state;
	assert_int_equal(um_window_enter(f->um, 0), UM_EINVAL);           /* none reserved */
	assert_int_equal(um_window_map(f->um, 0, 0xFFC00000u, 1, 0), UM_EINVAL);
	assert_int_equal(um_window_lookup(f->um, 0xFFC00000u, &map), UM_EMPTY);
	assert_int_equal(um_window_reserve(f->um, 0xFF800000u, 0x800000), UM_OK);
	assert_int_equal(um_window_map(f->um, 0, 0xFF800000u, UINT64_C(1) << 40, 0), UM_EINVAL);
	assert_int_equal(um_window_map(f->um, 0, 0xFF800010u, 1, 0), UM_EINVAL);
	assert_int_equal(um_window_map(f->um, 0, 0xFF800000u, 1, UM_USER), UM_EINVAL);
	assert_int_equal(um_window_map(f->um, 0, 0xFF800000u, 0x11, UM_WRITE), UM_OK);
	assert_int_equal(um_window_enter(f->um, 0), UM_OK);
	assert_int_equal(um_window_lookup(f->um, 0xFF800000u, &map), UM_OK);
	/* Mapped after the processor has entered: seen at once, in every root it is hooked into. */
	assert_int_equal(um_window_map(f->um, 0, 0xFFC03000u, 0x12, 0), UM_OK);
	assert_int_equal(um_window_lookup(f->um, 0xFFC03000u, &map), UM_OK);
	assert_int_equal(um_window_map(f->um, 0, 0xFFC03000u, 0x13, UM_WRITE), UM_OK);
	assert_int_equal(um_window_lookup(f->um, 0xFFC03000u, &map), UM_OK);
	assert_int_equal(map.hfn, 0x13);
	audit(f);
	assert_int_equal(um_window_enter(f->um, 1), UM_OK);
	assert_int_equal(um_window_lookup(f->um, 0xFFC03000u, &map), UM_EMPTY);
	assert_int_equal(um_window_enter(f->um, 0), UM_OK);
	audit(f);
	/* A new root has it without being told again, whether flushed, switched to or evicted. */
	fake_poke(f, TABLE, DATA | 7);
	fake_poke(f, 0x4000, TABLE | 7);
	for (unsigned turn = 0; turn < 3; turn++) {
		fake_switch(f, turn & 1 ? DIR : 0x4000);
		if (turn == 1)
			um_flush_all(f->um);
		if (turn == 2)
			um_shrink(f->um, 100);
		expect(f, 0, 0, UM_OK);
		assert_int_equal(um_window_lookup(f->um, 0xFF800000u, &map), UM_OK);
		assert_int_equal(map.hfn, 0x11);
		audit(f);
	}
	/* A directory where there is no memory has no shadow to hook into; the next one has. */
	fake_switch(f, 0xFFFFF000u);
	assert_int_equal(um_window_enter(f->um, 0), UM_OK);
	assert_int_equal(um_window_lookup(f->um, 0xFF800000u, &map), UM_EMPTY);
	fake_switch(f, DIR);
	expect(f, 0, 0, UM_OK);
	assert_int_equal(um_window_lookup(f->um, 0xFF800000u, &map), UM_OK);
	/* The window cannot eat the memory that the guest needs. */
	assert_int_equal(um_set_budget(f->um, UM_MIN_TABLES), UM_OK);
	assert_int_equal(um_window_map(f->um, 2, 0xFF800000u, 1, 0), UM_OK);
	assert_int_equal(um_window_map(f->um, 3, 0xFF800000u, 1, 0), UM_OK);
	assert_int_equal(um_window_map(f->um, 4, 0xFF800000u, 1, 0), UM_NOMEM);
	um_shrink(f->um, 100);
	f->fail_every = 1;
	assert_int_equal(um_window_enter(f->um, 0), UM_NOMEM);
	f->fail_every = 0;
	assert_int_equal(um_window_enter(f->um, 0), UM_OK);
	expect(f, 0, 0, UM_OK);
	done(f);
}

/* ---- 5. Another way of learning ------------------------------------------------------------- */

static void switching_the_way_of_learning_drops_everything(void **state)
{
	struct fake *f = tracked(256, UM_OPT_ALL, 16, 4);
	struct um_map map;

	(void)state;
	assert_int_equal(um_window_reserve(f->um, 0xFFC00000u, 0x400000), UM_OK);
	assert_int_equal(um_window_map(f->um, 0, 0xFFC00000u, 0x11, UM_WRITE), UM_OK);
	assert_int_equal(um_window_enter(f->um, 0), UM_OK);
	fake_poke(f, TABLE, DATA | 7);
	fake_poke(f, TABLE + 4, TABLE | 7);
	expect(f, 0x0, UM_WRITE, UM_OK);
	/* Written so often that it is left to itself, and one table stale from a flush before. */
	for (unsigned i = 0; i < 8 && um_is_tracked(f->um, TABLE >> 12); i++)
		fake_store(f, 0x1000 + 8 + 4 * i, 0);
	assert_false(um_is_tracked(f->um, TABLE >> 12));
	um_flush_all(f->um);
	expect(f, 0x0, UM_WRITE, UM_OK);
	assert_true(um_is_tracked(f->um, DIR >> 12));
	/* Refused, or nothing to do: nothing changes. */
	assert_int_equal(um_set_learn(f->um, (enum um_learn)(UM_LEARN_BOUND + 1)), UM_EINVAL);
	assert_int_equal(um_set_learn(f->um, UM_LEARN_TRACKED), UM_OK);
	assert_true(fake_access(f, 0x0, UM_WRITE).from_tlb);
	assert_int_equal(um_set_pte(f->um, DIR, 0, 0), UM_EINVAL);
	audit(f);

	assert_int_equal(um_set_learn(f->um, UM_LEARN_TOLD), UM_OK);
	audit(f);
	assert_false(um_is_tracked(f->um, DIR >> 12) || um_is_tracked(f->um, TABLE >> 12));
	assert_int_equal(stats(f).entries, 0);
	assert_int_equal(stats(f).tables, 1); /* the window's */
	assert_int_equal(f->gets, f->puts);
	assert_int_equal(um_lookup(f->um, 0x0, UM_READ, &map), UM_EMPTY);
	assert_false(fake_access(f, 0x0, UM_WRITE).from_tlb);
	/* Told now: a write to a table is a write like any other, and the shadow waits to be told. */
	expect(f, 0x1000, UM_WRITE, UM_OK);
	assert_int_equal(fake_store(f, 0x1000, 0).result, UM_OK);
	expect(f, 0x0, UM_READ, UM_OK);
	assert_int_equal(um_set_pte(f->um, DIR, 0, 0), UM_OK);
	expect(f, 0x0, UM_READ, UM_FAULT);
	assert_int_equal(um_window_lookup(f->um, 0xFFC00000u, &map), UM_OK);
	assert_int_equal(map.hfn, 0x11);
	audit(f);

	assert_int_equal(um_set_learn(f->um, UM_LEARN_TRACKED), UM_OK);
	audit(f);
	assert_int_equal(f->gets, f->puts);
	expect(f, 0x1000, UM_READ, UM_OK);
	expect(f, 0x1000, UM_WRITE, UM_TRACKED);
	fake_poke(f, TABLE, DATA | 7);
	expect(f, 0x0, UM_WRITE, UM_OK);
	assert_int_equal(um_set_pte(f->um, DIR, 0, 0), UM_EINVAL);
	done(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(addresses_past_the_end),
		cmocka_unit_test(one_frame_mapped_everywhere),
		cmocka_unit_test(one_table_entered_everywhere),
		cmocka_unit_test(one_table_shadowed_for_every_root),
		cmocka_unit_test(unsync_is_bounded_and_comes_back),
		cmocka_unit_test(one_page_of_an_unsync_table_is_flushed),
		cmocka_unit_test(unsync_ends_with_a_flush_of_everything),
		cmocka_unit_test(page_tables_in_rom),
		cmocka_unit_test(visiting_finds_every_leaf_in_order),
		cmocka_unit_test(budget_can_be_lowered_and_raised),
		cmocka_unit_test(window_survives_everything),
		cmocka_unit_test(switching_the_way_of_learning_drops_everything),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("edges", tests, NULL, NULL);
}
