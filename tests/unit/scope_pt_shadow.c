/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_pt_shadow.c - views with the shadow beside: what it has of each page and why it differs from the guest's.
 *
 *   1. A guest with a shadow
 *   2. States         one page for each, as a processor makes them
 *   3. Reasons        in the words of --at
 *   4. Sharing        roots, tables that several lead to
 *   5. The core       um_look_*(): the same as um_visit(), and any number may be asked for
 *   6. Random         views of random guests after random accesses: no state that cannot be, looking changes nothing
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/fake.h"
#include "tests/lib/pt_space.h"
#include "tests/lib/tap.h"

/* ---- 1. A guest with a shadow --------------------------------------------------------------- */

enum { FRAMES = 64, DIRECTORY = 0x1000, TABLE = 0x2000, SECOND = 0x3000, WINDOW_END = 0xFFC00000 };

static size_t read_fake(void *user, uint64_t gpa, void *buf, size_t bytes)
{
	const struct fake *f = user;
	uint64_t all = f->frames * 4096;
	if (gpa >= all)
		return 0;
	bytes = bytes < all - gpa ? bytes : (size_t)(all - gpa);
	memcpy(buf, (const uint8_t *)f->memory + gpa, bytes);
	return bytes;
}

/* As it is now. */
static struct space space_of(struct fake *f)
{
	return (struct space){
		.user = f, .read = read_fake, .ram_bytes = f->frames * 4096, .device_bytes = 4096, .um = f->um, .cr3 = f->cr3,
		.cr0 = 1u | (f->mode & REF_PG ? 1u << 31 : 0u) | (f->mode & REF_WP ? 1u << 16 : 0u),
		.cr4 = (f->mode & REF_PSE ? 1u << 4 : 0u) | (f->mode & REF_PGE ? 1u << 7 : 0u),
	};
}

static void set_page(struct fake *f, uint32_t gva, uint32_t frame, uint32_t bits)
{
	fake_poke(f, pte_gpa(TABLE, gva), frame | bits);
}

/* A table for the first 4 MiB: frames 1:1, all rights, nothing used yet. */
static struct fake *start_with(uint32_t options, uint32_t mode)
{
	struct fake *f = fake_new(FRAMES, UM_LEARN_TRACKED, options, 64, 8);
	fake_poke(f, DIRECTORY, TABLE | BIT_P | BIT_W | BIT_U);
	for (uint32_t k = 0; k < FRAMES; k++)
		set_page(f, k << 12, k << 12, BIT_P | BIT_W | BIT_U);
	fake_set_mode(f, mode, DIRECTORY);
	return f;
}

static struct fake *start(void)
{
	return start_with(UM_OPT_ALL & ~(uint32_t)(UM_OPT_PREFETCH | UM_OPT_INSTALL_AHEAD), REF_PG | REF_WP | REF_PSE);
}

static void end(struct fake *f)
{
	const char *broken = fake_free(f);
	if (broken)
		fail_msg("%s", broken);
}

struct one {
	uint32_t linear;
	bool found;
	struct pt_page page;
};

static bool take_one(void *user, uint32_t linear, const struct pt_page *page)
{
	struct one *o = user;
	o->found = linear == o->linear;
	o->page = *page;
	return false;
}

static struct pt_page page_of(struct fake *f, uint32_t linear)
{
	struct space s = space_of(f);
	struct one o = { .linear = linear };
	assert_true(pt_visit(&s, linear, linear, take_one, &o));
	assert_true(o.found);
	return o.page;
}

static void is(struct fake *f, uint32_t linear, enum pt_shadow want)
{
	struct pt_page page = page_of(f, linear);
	if (page.shadow != want)
		fail_msg("%08x: %s, not %s", linear, pt_shadow_name(page.shadow), pt_shadow_name(want));
}

static void explains(struct fake *f, uint32_t linear, const char *part)
{
	struct space s = space_of(f);
	struct text out = { 0 };
	char line[64];
	snprintf(line, sizeof line, "--at %x", linear);
	has_text(view(&s, &out, line), part);
	snprintf(line, sizeof line, "--at %x --json", linear);
	view(&s, &out, line);
	text_free(&out);
}

static void ok(struct fake_access a)
{
	assert_int_equal(a.result, UM_OK);
}

/* ---- 2. States ------------------------------------------------------------------------------ */

static void filled_by_use(void **state)
{
	struct fake *f = start();
	(void)state;
	is(f, 0x9000, PT_UNFILLED);
	ok(fake_access(f, 0x9000, UM_USER));
	is(f, 0x9000, PT_CLEAN);
	ok(fake_access(f, 0x9000, UM_WRITE));
	is(f, 0x9000, PT_RW);
	set_page(f, 0xA000, 0xA000, BIT_P | BIT_U);
	ok(fake_access(f, 0xA000, UM_READ));
	is(f, 0xA000, PT_RO);
	/* The guest's own tables. */
	ok(fake_access(f, TABLE, UM_READ));
	is(f, TABLE, PT_TRACKED);
	assert_int_equal(page_of(f, TABLE).memory, PT_TABLE);
	set_page(f, 0xB000, FRAMES << 12, BIT_P | BIT_W);
	is(f, 0xB000, PT_UNMAPPED);
	assert_int_equal(page_of(f, 0xB000).memory, PT_DEVICE);
	set_page(f, 0xC000, (FRAMES + 1) << 12, BIT_P | BIT_W);
	assert_int_equal(page_of(f, 0xC000).memory, PT_NOWHERE);
	end(f);
}

static void a_large_page_is_broken_up(void **state)
{
	struct fake *f = start();
	(void)state;
	fake_poke(f, DIRECTORY + 4, 0 | BIT_P | BIT_W | BIT_PS);
	is(f, 0x405000, PT_UNFILLED);
	assert_false(page_of(f, 0x405000).split);
	ok(fake_access(f, 0x405000, UM_READ));
	is(f, 0x405000, PT_CLEAN);
	assert_true(page_of(f, 0x405000).split && page_of(f, 0x405000).large);
	assert_false(page_of(f, 0x406000).split);
	explains(f, 0x405000, "which breaks the page up");
	end(f);
}

/* CR0.WP = 0: what the kernel wrote though it is read-only. */
static void written_without_wp(void **state)
{
	struct fake *f = start_with(0, REF_PG);
	(void)state;
	set_page(f, 0xA000, 0xA000, BIT_P | BIT_U);
	ok(fake_access(f, 0xA000, UM_WRITE));
	is(f, 0xA000, PT_NOT_USER);
	explains(f, 0xA000, "CR0.WP = 0: the kernel has written");
	ok(fake_access(f, 0xA000, UM_USER));
	is(f, 0xA000, PT_RO);
	end(f);
}

static void built_ahead_for_reading(void **state)
{
	struct fake *f = start_with(UM_OPT_PREFETCH, REF_PG | REF_WP);
	(void)state;
	/* A page that is borrowed for reading only, under another name: its neighbour is built ahead without W. */
	set_page(f, 0x10000, 0x9000, BIT_P);
	ok(fake_access(f, 0x10000, UM_READ));
	set_page(f, 0x21000, 0x9000, BIT_P | BIT_W | BIT_A | BIT_D);
	ok(fake_access(f, 0x20000, UM_READ));
	is(f, 0x21000, PT_SO_FAR);
	explains(f, 0x21000, "built ahead for reading: the first write makes it writable");
	ok(fake_access(f, 0x21000, UM_WRITE));
	is(f, 0x21000, PT_RW);
	end(f);
}

/* A table that is written often is left to itself until a flush: what was changed meanwhile is stale. */
static void changed_and_not_flushed(void **state)
{
	struct fake *f = start();
	uint32_t entry = TABLE + 0x9 * 4;
	(void)state;
	ok(fake_access(f, 0x9000, UM_WRITE));
	for (unsigned k = 0; k < 8; k++) /* the table, through its own page */
		fake_store(f, TABLE + 0x30 * 4, (0x30u << 12) | BIT_P | BIT_W | k << 9);
	is(f, 0x9000, PT_RW);
	fake_store(f, entry, 0xF000 | BIT_P | BIT_W | BIT_U | BIT_A | BIT_D);
	is(f, 0x9000, PT_STALE);
	explains(f, 0x9000, "STALE: old page");
	explains(f, 0x9000, "frame 00009000 of the guest");
	fake_store(f, entry, 0x9000 | BIT_P | BIT_U | BIT_A);
	is(f, 0x9000, PT_STALE);
	explains(f, 0x9000, "* R/W: the guest has changed its entry and not flushed: the shadow keeps");
	explains(f, 0x9000, "STALE: permits it");
	fake_store(f, entry, 0);
	is(f, 0x9000, PT_STALE);
	explains(f, 0x9000, "PTE 9 is not present (P = 0)");
	struct space s = space_of(f);
	struct text out = { 0 };
	has_text(view(&s, &out, ""), "00009000-00009fff       4K    -----       00009000 -- STALE\n");
	has_text(view(&s, &out, "--json"), "\"shadow\":\"stale\"");
	text_free(&out);
	um_flush_page(f->um, 0x9000);
	set_page(f, 0x9000, 0x9000, BIT_P);
	is(f, 0x9000, PT_UNFILLED);
	end(f);
}

/* Told mode: the window of the host. */
static void the_host_s_window(void **state)
{
	struct fake *f = fake_new(FRAMES, UM_LEARN_TOLD, UM_OPT_ALL, 64, 8);
	struct text out = { 0 };
	(void)state;
	fake_quiet(f, DIRECTORY, TABLE | BIT_P | BIT_W | BIT_U);
	for (uint32_t k = 0; k < FRAMES; k++)
		fake_quiet(f, TABLE + 4 * k, (k << 12) | BIT_P | BIT_W | BIT_U);
	fake_set_mode(f, REF_PG | REF_WP, DIRECTORY);
	assert_int_equal(um_window_reserve(f->um, WINDOW_END, 4 << 20), UM_OK);
	assert_int_equal(um_window_map(f->um, 0, WINDOW_END + 0x5000, 0x1234, UM_WRITE), UM_OK);
	assert_int_equal(um_window_enter(f->um, 0), UM_OK);
	ok(fake_access(f, 0x9000, UM_WRITE));
	is(f, WINDOW_END + 0x5000, PT_WINDOW);
	struct space s = space_of(f);
	has_text(view(&s, &out, "--from ff000000"), "ffc05000-ffc05fff       4K    -----                -- the host's window\n");
	explains(f, WINDOW_END + 0x5000, "the host has these addresses");
	/* The guest unmaps a page and does not tell. */
	fake_quiet(f, TABLE + 9 * 4, 0);
	is(f, 0x9000, PT_STALE);
	text_free(&out);
	end(f);
}

/* ---- 3. Reasons ----------------------------------------------------------------------------- */

static void reasons_word_by_word(void **state)
{
	struct fake *f = start();
	(void)state;
	explains(f, 0x9000, "this directory has no shadow yet: the first access builds it");
	ok(fake_access(f, 0x8000, UM_READ));
	explains(f, 0x9000, "  * P: not filled yet: the first access builds it\n");
	explains(f, 0x9000, "  0-2      read    ok              fills\n");
	fake_poke(f, DIRECTORY + 4, SECOND | BIT_P);
	explains(f, 0x400000, "  * P: no table yet: the first access below it builds one\n");
	ok(fake_access(f, 0x9000, UM_READ));
	explains(f, 0x9000, "  * R/W: read-only until the first write, which must set D\n");
	explains(f, 0x9000, "  0-2      read    ok              permits it\n");
	ok(fake_access(f, TABLE, UM_READ));
	fake_poke(f, TABLE + (TABLE >> 12) * 4, TABLE | BIT_P | BIT_W | BIT_U | BIT_A | BIT_D);
	ok(fake_access(f, TABLE, UM_READ));
	explains(f, TABLE, "  * R/W: a guest table that is shadowed lies there: each write comes to the core");
	explains(f, TABLE, "  0-2      write   ok              to the core\n");
	explains(f, TABLE, "  * D: set only with the right to write\n");
	/* The directory forbids what the table permits. */
	fake_poke(f, DIRECTORY + 8, TABLE | BIT_P);
	ok(fake_access(f, 0x809000, UM_READ));
	explains(f, 0x809000, "  * R/W: the leaf has what all levels agree on, and the PDE forbids");
	explains(f, 0x809000, "  * U/S: the leaf has what all levels agree on, and the PDE keeps the");
	explains(f, 0x809000, "  * R/W: upper shadow entries permit all: the leaf has what the levels agree on");
	set_page(f, 0xB000, FRAMES << 12, BIT_P | BIT_W);
	explains(f, 0xB000, "  * P: no memory there: never mapped, each access comes to the device\n");
	explains(f, 0xB000, "  0-2      read    ok              to the device\n");
	end(f);
}

/* ---- 4. Sharing ----------------------------------------------------------------------------- */

static void roots_and_what_they_share(void **state)
{
	struct fake *f = start();
	struct text out = { 0 };
	(void)state;
	/* Two directories with one table; the other's own second one; the same table twice in the first. */
	fake_poke(f, 0x5000, TABLE | BIT_P | BIT_W | BIT_U);
	fake_poke(f, 0x5004, SECOND | BIT_P | BIT_W);
	fake_poke(f, SECOND, 0x9000 | BIT_P);
	fake_poke(f, DIRECTORY + 8, TABLE | BIT_P | BIT_W | BIT_U);
	ok(fake_access(f, 0x9000, UM_READ));
	ok(fake_access(f, 0x809000, UM_READ));
	fake_switch(f, 0x5000);
	ok(fake_access(f, 0x8000, UM_READ));
	ok(fake_access(f, 0x400000, UM_READ));
	struct space s = space_of(f);
	const char *text = view(&s, &out, "--roots");
	has_text(text, "  00005000  PG WP PSE       2       1        3\n");
	has_text(text, "  00001000  PG WP PSE       2       2        4\n");
	const char *current = strstr(text, "\n* ");
	assert_non_null(current);
	assert_int_equal(strstr(current, "00005000") - current, 10);
	view(&s, &out, "--roots --json");
	text = view(&s, &out, "--shared");
	has_text(text, "   0: 00005000  its shadow is table ");
	has_text(text, "   1: 00001000  its shadow is table ");
	has_text(text, "the guest's tables:\n  table 00002000 in several slots: 0:0 1:0 1:2\nthe shadow's tables:\n  table ");
	has_text(text, " in several slots: 0:0 1:0 1:2\n");
	view(&s, &out, "--shared --json");
	has_text(view(&s, &out, "--tables"), "its shadow is table ");
	view(&s, &out, "--tables --json");
	/* The other directory, from here. */
	has_text(view(&s, &out, "--cr3 1000"), "00008000-00009fff       8K 4K rwxu- ram   00008000 A- ro until written\n");
	text_free(&out);
	end(f);
}

/* Paging off: 1:1, with a root that no CR3 names. */
static void paging_off(void **state)
{
	struct fake *f = fake_new(FRAMES, UM_LEARN_TRACKED, 0, 64, 8);
	struct text out = { 0 };
	(void)state;
	fake_set_mode(f, 0, 0);
	ok(fake_access(f, 0x5000, UM_WRITE));
	struct space s = space_of(f);
	has_text(view(&s, &out, ""), "00005000-00005fff       4K 4K rwxu- ram   00005000 AD rw\n");
	has_text(view(&s, &out, "--roots"), "-  no paging       1       0        1\n");
	view(&s, &out, "--roots --json");
	view(&s, &out, "--at 5000 --json");
	text_free(&out);
	end(f);
}

/* ---- 5. The core ---------------------------------------------------------------------------- */

struct leaves {
	const struct um *um;
	uint64_t count;
};

static bool same_leaf(void *user, const struct um_leaf *leaf)
{
	struct leaves *l = user;
	struct um_entry upper, entry;
	assert_true(um_look_entry(l->um, um_current_root(l->um), (unsigned)(leaf->gva >> 22), &upper));
	assert_int_not_equal(upper.child, 0);
	assert_true(um_look_entry(l->um, upper.child, leaf->gva >> 12 & 1023, &entry));
	assert_int_equal(entry.child, 0);
	assert_int_equal(entry.gfn, leaf->gfn);
	assert_int_equal(entry.hfn, leaf->hfn);
	assert_int_equal(entry.rights, leaf->rights);
	assert_int_equal(entry.tracked, leaf->tracked);
	assert_int_equal(entry.prefetched, leaf->prefetched);
	l->count++;
	return true;
}

/* Table by table it is what um_visit() shows, no more and no less. */
static void looking_agrees_with_visiting(const struct um *um)
{
	struct leaves l = { um, 0 };
	struct um_entry upper;
	struct um_table child;
	uint64_t count = 0;
	um_visit(um, 0, same_leaf, &l);
	for (unsigned slot = 0; slot < 1024; slot++)
		if (um_look_entry(um, um_current_root(um), slot, &upper)) {
			assert_true(um_look_table(um, upper.child, &child));
			assert_int_equal(child.level, 0);
			assert_true(child.parents > 0);
			count += child.present;
		}
	assert_int_equal(count, l.count);
}

static void any_number_may_be_asked_for(void **state)
{
	struct fake *f = start();
	struct um_table t;
	struct um_entry e;
	unsigned roots = 0;
	(void)state;
	assert_int_equal(um_look_root(f->um, 0), 0);
	ok(fake_access(f, 0x9000, UM_READ));
	for (uint32_t id = 0; (id = um_look_root(f->um, id)) != 0; roots++)
		assert_true(um_look_table(f->um, id, &t) && t.root && t.level == 1);
	assert_int_equal(roots, 1);
	assert_int_equal(um_look_root(f->um, 0), um_current_root(f->um));
	static const uint32_t none[] = { 0, 60, 64, 65, 1u << 20, UINT32_MAX };
	for (size_t k = 0; k < sizeof none / sizeof none[0]; k++) {
		assert_false(um_look_table(f->um, none[k], &t));
		assert_false(um_look_entry(f->um, none[k], 0, &e));
		if (none[k])
			assert_int_equal(um_look_root(f->um, none[k]), 0);
	}
	assert_false(um_look_entry(f->um, um_current_root(f->um), 1024, &e));
	assert_false(um_look_entry(f->um, um_current_root(f->um), UINT32_MAX, &e));
	assert_true(um_look_entry(f->um, um_current_root(f->um), 0, &e));
	assert_int_equal(um_look_root(f->um, e.child), 0); /* no root */
	um_flush_all(f->um);
	assert_false(um_look_table(f->um, e.child, &t)); /* stale */
	assert_int_equal(um_look_root(f->um, 0), 0);
	end(f);
}

/* ---- 6. Random ------------------------------------------------------------------------------ */

static uint32_t next(uint64_t *rng)
{
	*rng ^= *rng << 13, *rng ^= *rng >> 7, *rng ^= *rng << 17;
	return (uint32_t)(*rng >> 16);
}

/* Tracked tables that are in step are never stale, and where the shadow says rw a write is permitted, etc. */
struct sanity {
	struct fake *f;
	uint64_t states[PT_WINDOW + 1];
};

static bool makes_sense(void *user, uint32_t linear, const struct pt_page *page)
{
	struct sanity *s = user;
	struct um_map map;
	s->states[page->shadow]++;
	switch (page->shadow) {
	case PT_RW:
		assert_int_equal(um_lookup(s->f->um, linear, UM_WRITE, &map), UM_OK);
		assert_int_equal(map.gpa & ~4095ull, page->frame);
		break;
	case PT_RO:
	case PT_CLEAN:
	case PT_TRACKED:
	case PT_SO_FAR:
		assert_int_equal(um_lookup(s->f->um, linear, UM_READ, &map), UM_OK);
		assert_int_equal(um_lookup(s->f->um, linear, UM_WRITE, &map), UM_EMPTY);
		assert_int_equal(map.tracked && (page->writable || !(s->f->mode & REF_WP)), page->shadow == PT_TRACKED);
		break;
	case PT_UNFILLED:
	case PT_UNMAPPED:
		assert_int_equal(um_lookup(s->f->um, linear, UM_READ, &map), UM_EMPTY);
		break;
	default:
		break;
	}
	return true;
}

static void random_guests(void **state)
{
	static const char *const views[] = { "", "--json", "--merge", "--tables", "--shared", "--roots", "--shared --json" };
	uint64_t rng = 0xFACE;
	struct text out = { 0 };
	struct sanity s = { 0 };
	(void)state;
	for (unsigned long round = test_rounds(12); round; round--) {
		struct fake *f = fake_new(FRAMES, UM_LEARN_TRACKED, round & 1 ? UM_OPT_ALL : UM_OPT_ALL & ~(uint32_t)UM_OPT_UNSYNC, 32, 4);
		s.f = f;
		for (uint32_t k = 0; k < FRAMES * 1024; k++)
			f->memory[k] = next(&rng) % (FRAMES + 1) << 12 | (next(&rng) & 0x167) | (k < 1024 && next(&rng) & 1 ? 0x80u : 0u);
		fake_set_mode(f, (next(&rng) & 7) | REF_PG, next(&rng) % 4 << 12);
		for (unsigned step = 0; step < 300; step++) {
			uint32_t gva = next(&rng) % 1024 << 22 | next(&rng) % 64 << 12;
			if (step % 50 == 49)
				fake_switch(f, next(&rng) % 4 << 12);
			else if (step % 5 == 4)
				fake_store(f, gva, next(&rng) % FRAMES << 12 | (next(&rng) & 0x67));
			else
				fake_access(f, gva, next(&rng) & (UM_WRITE | UM_USER));
		}
		uint64_t before = um_digest(f->um);
		struct space space = space_of(f);
		looking_agrees_with_visiting(f->um);
		for (size_t k = 0; k < sizeof views / sizeof views[0]; k++)
			view(&space, &out, views[k]);
		assert_true(um_digest(f->um) == before);
		assert_true(pt_visit(&space, 0, UINT32_MAX, makes_sense, &s));
		if (!(round & 1))
			assert_int_equal(s.states[PT_STALE], 0);
		else
			s.states[PT_STALE] = 0;
		assert_int_equal(um_audit(f->um).invariant, 0);
		end(f);
	}
	/* All of it occurred. */
	if (test_rounds(2) > 1)
		for (enum pt_shadow k = PT_UNFILLED; k < PT_SO_FAR; k++)
			assert_true(s.states[k] > 0);
	text_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filled_by_use),
		cmocka_unit_test(a_large_page_is_broken_up),
		cmocka_unit_test(written_without_wp),
		cmocka_unit_test(built_ahead_for_reading),
		cmocka_unit_test(changed_and_not_flushed),
		cmocka_unit_test(the_host_s_window),
		cmocka_unit_test(reasons_word_by_word),
		cmocka_unit_test(roots_and_what_they_share),
		cmocka_unit_test(paging_off),
		cmocka_unit_test(any_number_may_be_asked_for),
		cmocka_unit_test(random_guests),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
