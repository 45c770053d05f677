/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/shadow_smoke.c - the core's seven parts, once each, on a guest of 1 MiB.
 *
 *   1. A guest in an array   memory, callbacks, what they counted
 *   2. Tests
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <umbra/shadow.h>

/* ---- 1. A guest in an array ----------------------------------------------------------------- */

enum { FRAMES = 256, P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80 };

struct guest {
	uint32_t memory[FRAMES][1024];
	struct um *um;
	void *arena;
	struct um_config config;
	int tables, pages, invalidations;
	int fail_tables; /* get_table() gives nothing */
};

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct guest *g = user;

	assert_int_equal(bytes, 4);
	if (gpa >> 12 >= FRAMES)
		return false;
	*value = g->memory[gpa >> 12][(gpa & 4095) / 4];
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct guest *g = user;
	uint32_t *at = &g->memory[gpa >> 12][(gpa & 4095) / 4];

	assert_int_equal(bytes, 4);
	if (*at != old)
		return false;
	*at = (uint32_t)value;
	return true;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct guest *g = user;

	(void)write;
	if (gfn == 0xA0)
		return UM_GRANT_MMIO;
	g->pages++;
	*hfn = gfn + 0x1000;
	return gfn >= 0xF0 ? UM_GRANT_ROM : UM_GRANT_RAM;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	struct guest *g = user;

	(void)dirty;
	assert_int_equal(hfn, gfn + 0x1000);
	g->pages--;
}

static void *get_table(void *user)
{
	struct guest *g = user;

	if (g->fail_tables)
		return NULL;
	g->tables++;
	return memset(aligned_alloc(4096, UM_TABLE_BYTES), 0xAA, UM_TABLE_BYTES);
}

static void put_table(void *user, void *table)
{
	struct guest *g = user;

	g->tables--;
	free(table);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	struct guest *g = user;

	assert_true(first <= last);
	g->invalidations++;
}

static void invalidate_all(void *user)
{
	struct guest *g = user;

	g->invalidations++;
}

static const struct um_ops ops = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page,
	.put_page = put_page, .get_table = get_table, .put_table = put_table,
	.invalidate = invalidate, .invalidate_all = invalidate_all,
};

static struct guest *new_guest(enum um_learn learn, uint32_t options)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->config = (struct um_config){
		.ops = &ops, .user = g, .format = &um_format_i386, .learn = learn,
		.options = options, .max_gfn = FRAMES, .max_tables = 16, .max_roots = 4,
		.prefetch = 8,
	};
	g->arena = aligned_alloc(64, um_size(&g->config));
	memset(g->arena, 0, um_size(&g->config));
	assert_int_equal(um_init(g->arena, &g->config, &g->um), UM_OK);
	return g;
}

static void free_guest(struct guest *g)
{
	um_destroy(g->um);
	assert_int_equal(g->tables, 0);
	assert_int_equal(g->pages, 0);
	free(g->arena);
	free(g);
}

static void paging_on(struct guest *g)
{
	/* Directory in frame 1, page table for [0, 4M) in frame 2. */
	g->memory[1][0] = 2 << 12 | P | W | U;
	um_set_mode(g->um, UM_MODE_PAGING | UM_MODE_WP | UM_MODE_PSE, 1 << 12);
}

/* ---- 2. Tests ------------------------------------------------------------------------------- */

static void paging_off_maps_one_to_one(void **state)
{
	struct guest *g = new_guest(UM_LEARN_TRACKED, UM_OPT_ALL);
	struct um_map map;

	(void)state;
	assert_int_equal(um_lookup(g->um, 0x5123, UM_READ, &map), UM_EMPTY);
	assert_int_equal(um_demand_page(g->um, 0x5123, UM_WRITE | UM_USER, &map), UM_OK);
	assert_int_equal(map.gpa, 0x5123);
	assert_int_equal(map.hfn, 0x1005);
	assert_int_equal(um_lookup(g->um, 0x5FFF, UM_WRITE, &map), UM_OK);
	assert_int_equal(um_demand_page(g->um, 0xA0004, UM_READ, &map), UM_MMIO);
	assert_int_equal(map.gpa, 0xA0004);
	assert_int_equal(um_demand_page(g->um, 0xFFFFFFF0, UM_FETCH, &map), UM_MMIO);
	assert_int_equal(um_demand_page(g->um, 0xF0000, UM_FETCH, &map), UM_OK);
	assert_int_equal(um_demand_page(g->um, 0xF0000, UM_WRITE, &map), UM_MMIO);
	free_guest(g);
}

static void read_then_write_sets_accessed_then_dirty(void **state)
{
	struct guest *g = new_guest(UM_LEARN_TRACKED, UM_OPT_ALL);
	struct um_map map;

	(void)state;
	paging_on(g);
	g->memory[2][3] = 7 << 12 | P | W;
	assert_int_equal(um_demand_page(g->um, 0x3000, UM_READ, &map), UM_OK);
	assert_int_equal(g->memory[2][3], 7 << 12 | P | W | A);
	assert_int_equal(g->memory[1][0], 2 << 12 | P | W | U | A);
	assert_int_equal(um_lookup(g->um, 0x3000, UM_WRITE, &map), UM_EMPTY);
	assert_int_equal(um_demand_page(g->um, 0x3000, UM_WRITE, &map), UM_OK);
	assert_int_equal(g->memory[2][3], 7 << 12 | P | W | A | D);
	assert_int_equal(um_lookup(g->um, 0x3000, UM_WRITE, &map), UM_OK);
	assert_int_equal(um_demand_page(g->um, 0x3000, UM_READ | UM_USER, &map), UM_FAULT);
	assert_int_equal(map.error, UM_PRESENT | UM_USER);
	assert_int_equal(um_demand_page(g->um, 0x4000, UM_WRITE, &map), UM_FAULT);
	assert_int_equal(map.error, UM_WRITE);
	free_guest(g);
}

static void tracked_write_changes_the_translation(void **state)
{
	struct guest *g = new_guest(UM_LEARN_TRACKED, UM_OPT_ALL & ~(uint32_t)UM_OPT_UNSYNC);
	struct um_map map;

	(void)state;
	paging_on(g);
	g->memory[2][2] = 2 << 12 | P | W;
	g->memory[2][3] = 7 << 12 | P | W;
	assert_int_equal(um_demand_page(g->um, 0x3000, UM_WRITE, &map), UM_OK);
	assert_int_equal(um_demand_page(g->um, 0x200C, UM_WRITE, &map), UM_TRACKED);
	assert_int_equal(map.hfn, 0x1002);
	assert_int_equal(map.gpa, 0x200C);
	g->memory[2][3] = 8 << 12 | P | W | A | D;
	um_guest_wrote(g->um, 0x200C, 4);
	assert_int_equal(um_lookup(g->um, 0x3000, UM_WRITE, &map), UM_OK); /* installed ahead */
	assert_int_equal(map.hfn, 0x1008);
	g->memory[2][3] = 0;
	um_guest_wrote(g->um, 0x200C, 4);
	assert_int_equal(um_lookup(g->um, 0x3000, UM_READ, &map), UM_EMPTY);
	free_guest(g);
}

static void large_page_is_split_and_dirty_governs(void **state)
{
	struct guest *g = new_guest(UM_LEARN_TRACKED, 0);
	struct um_map map;

	(void)state;
	paging_on(g);
	g->memory[1][1] = P | W | PS;
	assert_int_equal(um_demand_page(g->um, 0x405000, UM_READ, &map), UM_OK);
	assert_int_equal(map.hfn, 0x1005);
	assert_int_equal(map.rights, 0);
	assert_int_equal(um_demand_page(g->um, 0x405000, UM_WRITE, &map), UM_OK);
	assert_int_equal(g->memory[1][1], P | W | PS | A | D);
	g->memory[1][1] = P | W | PS | 1 << 13;
	um_guest_wrote(g->um, 0x1004, 4);
	assert_int_equal(um_demand_page(g->um, 0x405000, UM_WRITE, &map), UM_FAULT);
	assert_int_equal(map.error, UM_PRESENT | UM_RSVD | UM_WRITE);
	free_guest(g);
}

static void without_memory_the_oldest_table_goes(void **state)
{
	struct guest *g = new_guest(UM_LEARN_TRACKED, UM_OPT_ALL);
	struct um_map map;

	(void)state;
	paging_on(g);
	for (unsigned i = 0; i < 64; i++)
		g->memory[1][i] = (100 + i) << 12 | P | W;
	for (unsigned i = 0; i < 64; i++)
		g->memory[100 + i][0] = (i + 16) << 12 | P | W;
	for (unsigned i = 0; i < 64; i++) {
		g->fail_tables = i >= 4;
		assert_int_equal(um_demand_page(g->um, (um_gva)i << 22, UM_WRITE, &map), UM_OK);
		assert_int_equal(map.hfn, 0x1010 + i);
	}
	assert_int_equal(um_shrink(g->um, 100), 4 + 1);
	assert_int_equal(um_demand_page(g->um, 0, UM_READ, &map), UM_NOMEM);
	free_guest(g);
}

static void told_kernel_entry_changes_in_every_root(void **state)
{
	struct guest *g = new_guest(UM_LEARN_TOLD, UM_OPT_ALL);
	struct um_map map;

	(void)state;
	assert_int_equal(um_set_user_end(g->um, 0xC0000000), UM_OK);
	g->memory[1][768] = g->memory[5][768] = 2 << 12 | P | W | U;
	g->memory[2][0] = 7 << 12 | P | W;
	um_set_mode(g->um, UM_MODE_PAGING | UM_MODE_WP, 5 << 12);
	assert_int_equal(um_demand_page(g->um, 0xC0000000, UM_WRITE, &map), UM_OK);
	um_switch_root(g->um, 1 << 12);
	assert_int_equal(um_demand_page(g->um, 0xC0000000, UM_WRITE, &map), UM_OK);
	g->memory[2][0] = 8 << 12 | P | W | A | D;
	assert_int_equal(um_set_pte(g->um, 0, 0xC0000000, g->memory[2][0]), UM_OK);
	assert_int_equal(um_lookup(g->um, 0xC0000000, UM_WRITE, &map), UM_OK);
	assert_int_equal(map.hfn, 0x1008);
	um_switch_root(g->um, 5 << 12);
	assert_int_equal(um_lookup(g->um, 0xC0000000, UM_WRITE, &map), UM_OK);
	assert_int_equal(map.hfn, 0x1008);
	assert_int_equal(um_set_pte(g->um, 1 << 12, 0xC0000000, 0xA0), UM_OK);
	assert_int_equal(um_lookup(g->um, 0xC0000000, UM_READ, &map), UM_EMPTY);
	assert_int_equal(um_set_pte(g->um, 1 << 12, 0xC0000000, 0xA1), UM_STOP);
	assert_int_equal(um_set_pte(g->um, 1 << 12, 0xC0000000, FRAMES << 12 | P), UM_STOP);
	um_flush_all(g->um);
	assert_int_equal(um_lookup(g->um, 0xC0000000, UM_READ, &map), UM_EMPTY);
	free_guest(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paging_off_maps_one_to_one),
		cmocka_unit_test(read_then_write_sets_accessed_then_dirty),
		cmocka_unit_test(tracked_write_changes_the_translation),
		cmocka_unit_test(large_page_is_split_and_dirty_governs),
		cmocka_unit_test(without_memory_the_oldest_table_goes),
		cmocka_unit_test(told_kernel_entry_changes_in_every_root),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
