/* SPDX-License-Identifier: MIT */
/* tests/lib/fake.c - see fake.h. */
#include "tests/lib/fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HFN_BASE 0x1000000u /* so that a gfn taken for an hfn is noticed */

static void broke(struct fake *f, const char *what)
{
	if (!f->broken)
		f->broken = what;
}

/* ---- callbacks ------------------------------------------------------------------------------ */

static bool read_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t *value)
{
	struct fake *f = user;

	if (bytes != 4 || gpa % 4)
		broke(f, "read_entry: not a naturally aligned word");
	if (gpa / 4096 >= f->frames)
		return false;
	*value = f->memory[gpa / 4];
	return true;
}

static bool update_entry(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value)
{
	struct fake *f = user;

	if (bytes != 4 || gpa % 4 || gpa / 4096 >= f->frames) {
		broke(f, "update_entry: outside memory or misaligned");
		return false;
	}
	if (old == value)
		broke(f, "update_entry: changes nothing (R16)");
	if ((old ^ value) & ~(uint64_t)0x60)
		broke(f, "update_entry: more than Accessed and Dirty");
	if (f->memory[gpa / 4] != old)
		return false;
	f->memory[gpa / 4] = (uint32_t)value;
	f->updates++;
	return true;
}

static enum um_grant get_page(void *user, um_gfn gfn, bool write, um_hfn *hfn)
{
	struct fake *f = user;

	if (gfn >= f->refuse_from)
		return UM_GRANT_REFUSED;
	if (gfn >= f->frames)
		return UM_GRANT_MMIO;
	if (f->borrowed[gfn])
		broke(f, "get_page: borrowed twice (I1)");
	f->borrowed[gfn]++;
	f->borrowed_write[gfn] = write;
	f->gets++;
	*hfn = fake_hfn(f, gfn);
	return gfn >= f->rom_from && gfn < f->rom_to ? UM_GRANT_ROM : UM_GRANT_RAM;
}

static void put_page(void *user, um_gfn gfn, um_hfn hfn, bool dirty)
{
	struct fake *f = user;

	if (gfn >= f->frames || f->borrowed[gfn] != 1) {
		broke(f, "put_page: not borrowed");
		return;
	}
	if (hfn != fake_hfn(f, gfn))
		broke(f, "put_page: another host frame than was borrowed");
	if (dirty && !f->borrowed_write[gfn])
		broke(f, "put_page: dirty, but borrowed without write (D4)");
	f->borrowed[gfn] = 0;
	f->dirty_puts += dirty;
	f->puts++;
}

static void *get_table(void *user)
{
	struct fake *f = user;
	void *table;

	f->table_calls++;
	if (f->fail_at && --f->fail_at == 0)
		return NULL;
	if (f->fail_every && f->table_calls % f->fail_every == 0)
		return NULL;
	table = aligned_alloc(UM_PAGE_SIZE, UM_TABLE_BYTES);
	memset(table, 0xA5, UM_TABLE_BYTES);
	f->table_count++;
	if (f->table_count > f->config.max_tables)
		broke(f, "get_table: over the budget");
	return table;
}

static void put_table(void *user, void *table)
{
	struct fake *f = user;

	f->table_count--;
	free(table);
}

static void invalidate(void *user, um_gva first, um_gva last)
{
	struct fake *f = user;

	f->invalidations++;
	for (unsigned i = 0; i < FAKE_TLB; i++)
		if (f->tlb[i].valid && f->tlb[i].page >= (first & ~0xFFFull) && f->tlb[i].page <= last)
			f->tlb[i].valid = false;
}

static void invalidate_all(void *user)
{
	struct fake *f = user;

	f->invalidations++;
	for (unsigned i = 0; i < FAKE_TLB; i++)
		f->tlb[i].valid = false;
}

static void invalidate_nonglobal(void *user)
{
	struct fake *f = user;

	f->invalidations++;
	for (unsigned i = 0; i < FAKE_TLB; i++)
		if (!f->keep_globals || !f->tlb[i].global)
			f->tlb[i].valid = false;
}

static const struct um_ops ops = {
	.read_entry = read_entry, .update_entry = update_entry, .get_page = get_page, .put_page = put_page,
	.get_table = get_table, .put_table = put_table, .invalidate = invalidate,
	.invalidate_all = invalidate_all, .invalidate_nonglobal = invalidate_nonglobal,
};

static void invalidate_root(void *user, uint32_t root, um_gva first, um_gva last)
{
	struct fake *f = user;

	f->more->invalidate_root(f->owner, root, first, last);
}

static void root_switched(void *user, uint32_t root)
{
	struct fake *f = user;

	invalidate_all(user);
	f->more->root_switched(f->owner, root);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct fake *fake_new(uint64_t frames, enum um_learn learn, uint32_t options, uint32_t max_tables,
                      uint32_t max_roots)
{
	return fake_new_tagged(frames, learn, options, max_tables, max_roots, &um_format_i386, NULL, NULL);
}

struct fake *fake_new_tagged(uint64_t frames, enum um_learn learn, uint32_t options, uint32_t max_tables,
                             uint32_t max_roots, const struct um_format *format, const struct um_ops *more,
                             void *owner)
{
	struct fake *f = calloc(1, sizeof *f);
	size_t size;

	f->ops = ops;
	f->more = more;
	f->owner = owner;
	if (more) {
		f->ops.invalidate_root = invalidate_root;
		f->ops.root_switched = root_switched;
	}
	f->frames = frames;
	f->refuse_from = UINT64_MAX;
	f->memory = calloc(frames, 4096);
	f->borrowed = calloc(frames, sizeof *f->borrowed);
	f->borrowed_write = calloc(frames, 1);
	f->epoch = calloc(frames, sizeof *f->epoch);
	f->config = (struct um_config){
		.ops = &f->ops, .user = f, .format = format, .learn = learn, .options = options,
		.max_gfn = learn == UM_LEARN_TOLD ? frames : 2 * frames, .max_tables = max_tables, .max_roots = max_roots, .prefetch = 8,
		.user_end = 0xC0000000u,
	};
	size = um_size(&f->config);
	f->arena = size ? aligned_alloc(64, (size + 63) & ~(size_t)63) : NULL;
	if (f->arena)
		memset(f->arena, 0, size);
	if (!f->arena || um_init(f->arena, &f->config, &f->um) != UM_OK) {
		fprintf(stderr, "fake_new: the core refuses the configuration\n");
		abort();
	}
	return f;
}

const char *fake_free(struct fake *f)
{
	const char *broken;

	um_destroy(f->um);
	for (uint64_t gfn = 0; gfn < f->frames; gfn++)
		if (f->borrowed[gfn])
			broke(f, "um_destroy: a page is still borrowed");
	if (f->table_count)
		broke(f, "um_destroy: table memory is not given back");
	broken = f->broken;
	free(f->memory);
	free(f->borrowed);
	free(f->borrowed_write);
	free(f->epoch);
	free(f->arena);
	free(f);
	return broken;
}

/* ---- memory --------------------------------------------------------------------------------- */

um_hfn fake_hfn(const struct fake *f, um_gfn gfn)
{
	return HFN_BASE + gfn + f->epoch[gfn] * f->frames;
}

uint32_t fake_read(const struct fake *f, uint64_t gpa)
{
	return gpa / 4096 < f->frames ? f->memory[gpa / 4] : 0;
}

void fake_quiet(struct fake *f, uint64_t gpa, uint32_t value)
{
	if (gpa / 4096 < f->frames)
		f->memory[gpa / 4] = value;
}

void fake_poke(struct fake *f, uint64_t gpa, uint32_t value)
{
	fake_quiet(f, gpa, value);
	um_guest_wrote(f->um, gpa, 4);
}

bool fake_ref_read(void *user, uint64_t gpa, uint32_t *value)
{
	const struct fake *f = user;

	if (gpa / 4096 >= f->frames)
		return false;
	*value = f->memory[gpa / 4];
	return true;
}

void fake_set_mode(struct fake *f, uint32_t mode, uint32_t cr3)
{
	f->mode = mode;
	f->cr3 = cr3;
	um_set_mode(f->um, mode, cr3); /* REF_* and UM_MODE_* name the same bits; a test checks that */
}

void fake_switch(struct fake *f, uint32_t cr3)
{
	f->cr3 = cr3;
	um_switch_root(f->um, cr3);
}

/* ---- the processor -------------------------------------------------------------------------- */

static bool permits(uint8_t rights, unsigned access)
{
	return !(((access & UM_WRITE) && !(rights & UM_WRITE)) || ((access & UM_USER) && !(rights & UM_USER)));
}

static struct fake_access answer(enum um_result result, const struct um_map *map, bool from_tlb)
{
	return (struct fake_access){ .result = result, .error = map->error, .gpa = map->gpa, .hfn = map->hfn,
	                             .from_tlb = from_tlb };
}

struct fake_access fake_access(struct fake *f, uint32_t gva, unsigned access)
{
	struct fake_tlb_entry *e = &f->tlb[(gva >> 12) % FAKE_TLB];
	struct um_map map = { 0 };
	enum um_result result;

	if (e->valid && e->page == (gva & ~0xFFFu) && permits(e->rights, access)) {
		if ((access & UM_WRITE) && um_is_tracked(f->um, e->gpa >> 12))
			broke(f, "the hardware may write to a tracked table (I6)");
		return (struct fake_access){ .result = UM_OK, .gpa = e->gpa | (gva & 0xFFF), .hfn = e->hfn,
		                             .from_tlb = true };
	}
	result = um_lookup(f->um, gva, access, &map);
	if (result == UM_EMPTY) {
		memset(&map, 0, sizeof map);
		result = um_demand_page(f->um, gva, access, &map);
		if (result != UM_OK)
			return answer(result, &map, false);
		struct um_map again = { 0 };
		if (um_lookup(f->um, gva, access, &again) != UM_OK || again.hfn != map.hfn)
			broke(f, "um_demand_page said OK but um_lookup does not find it");
	}
	if (!permits(map.rights, access))
		broke(f, "UM_OK with fewer rights than were asked for");
	*e = (struct fake_tlb_entry){ .valid = true, .global = map.global, .page = gva & ~0xFFFu, .rights = map.rights,
	                              .gpa = map.gpa & ~0xFFFull, .hfn = map.hfn };
	return answer(UM_OK, &map, false);
}

struct fake_access fake_store(struct fake *f, uint32_t gva, uint32_t value)
{
	struct fake_access a = fake_access(f, gva, UM_WRITE);

	if (a.result == UM_OK || a.result == UM_TRACKED)
		fake_quiet(f, a.gpa & ~3ull, value);
	if (a.result == UM_TRACKED)
		um_guest_wrote(f->um, a.gpa & ~3ull, 4);
	return a;
}
