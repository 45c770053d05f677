/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_pt.c - views of page tables, of memory made by hand.  (With a shadow beside: scope_pt_shadow.c.)
 *
 *   1. Agreement      random tables: each page of the map, and each verdict, is what the reference walker says
 *   2. Bits           each bit of each kind of entry is shown as what it is
 *   3. Text           a small address space, word by word
 *   4. Recursion      recognised, named, and never endless
 *   5. Bounds         tables that are full, random, recursive everywhere; memory that is not there
 *   6. Options        what is no option is refused with one line
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/lib/pt_space.h"
#include "tests/lib/tap.h"

static uint32_t next(uint64_t *rng)
{
	*rng ^= *rng << 13, *rng ^= *rng >> 7, *rng ^= *rng << 17;
	return (uint32_t)(*rng >> 16);
}

/* ---- 1. Agreement --------------------------------------------------------------------------- */

/* A directory at 0 and everything random: small frame numbers, so that tables are where there is memory, mostly. */
static void make_random(struct pt_ram *r, uint64_t *rng)
{
	static const uint32_t cr0[] = { 0x80010001, 0x80000001 }, cr4[] = { 0, 0x10, 0x80, 0x90 };
	uint32_t frames = (uint32_t)(r->bytes >> 12);
	for (uint64_t k = 0; k < r->bytes / 4; k++) {
		uint32_t word = next(rng), mostly = next(rng);
		uint32_t flags = word & 0x1FF;
		if (k < 1024 && mostly & 1)
			flags &= ~0x80u;
		r->words[k] = mostly % 8 == 0 ? 0 : mostly % 16 == 1 ? word : (word >> 12) % (frames + 2) << 12 | flags;
	}
	r->space.cr0 = cr0[next(rng) % 2];
	r->space.cr4 = cr4[next(rng) % 4];
	r->space.cr3 = next(rng) % 4 * 4096;
}

struct agreement {
	struct pt_ram *r;
	uint64_t pages;
	uint8_t seen[1 << 17]; /* a bit a page */
};

static bool agrees(void *user, uint32_t linear, const struct pt_page *page)
{
	struct agreement *a = user;
	struct space_walk w;
	uint32_t mode = pt_ref_mode(&a->r->space), cr3 = a->r->space.cr3;
	struct ref_walk read = ref_walk(pt_ram_ref_read, a->r, mode, cr3, linear, 0);
	struct ref_walk write = ref_walk(pt_ram_ref_read, a->r, mode, cr3, linear, REF_WRITE | REF_USER);
	struct ref_walk user_read = ref_walk(pt_ram_ref_read, a->r, mode, cr3, linear, REF_USER);
	space_walk(&a->r->space, linear, &w);
	assert_int_equal(page->present, read.ok);
	assert_int_equal(w.present, read.ok);
	assert_int_equal(page->reserved, !read.ok && read.error & 8);
	if (read.ok) {
		assert_int_equal(page->frame, read.gpa);
		assert_int_equal(page->user, user_read.ok);
		assert_int_equal(page->user && page->writable, write.ok);
		assert_int_equal(page->writable, w.writable);
		assert_int_equal(page->global, read.global);
		assert_int_equal(page->accessed, !!(read.entry[read.entries - 1] & BIT_A));
		assert_int_equal(page->dirty, !!(read.entry[read.entries - 1] & BIT_D));
		assert_int_equal(page->large, read.entries == 1);
	}
	a->seen[linear >> 15] |= (uint8_t)(1u << (linear >> 12 & 7));
	a->pages++;
	return true;
}

static void the_map_is_what_the_reference_walker_says(void **state)
{
	unsigned long rounds = test_rounds(20);
	uint64_t rng = 0x1234567;
	struct agreement *a = calloc(1, sizeof *a);
	struct pt_ram r;
	(void)state;
	pt_ram_start(&r, 64 * 4096);
	for (unsigned long k = 0; k < rounds; k++) {
		make_random(&r, &rng);
		*a = (struct agreement){ .r = &r };
		assert_true(pt_visit(&r.space, 0, UINT32_MAX, agrees, a));
		/* What was not shown is not there. */
		for (unsigned n = 0; n < 20000; n++) {
			uint32_t page = next(&rng) & 0xFFFFF;
			if (!(a->seen[page >> 3] >> (page & 7) & 1))
				assert_false(ref_walk(pt_ram_ref_read, &r, pt_ref_mode(&r.space), r.space.cr3, page << 12, 0).ok);
		}
		assert_true(a->pages > 1000);
	}
	pt_ram_end(&r);
	free(a);
}

static void check_run(struct pt_ram *r, json_t *run)
{
	uint32_t start = (uint32_t)json_integer_value(json_object_get(run, "start"));
	uint64_t pages = (uint64_t)json_integer_value(json_object_get(run, "pages"));
	uint32_t frame = (uint32_t)json_integer_value(json_object_get(run, "frame"));
	assert_int_equal(start + pages * 4096 - 1, json_integer_value(json_object_get(run, "end")));
	for (uint64_t k = 0; k < pages; k++) {
		struct space_walk w;
		space_walk(&r->space, start + (uint32_t)k * 4096, &w);
		assert_int_equal(w.present, json_is_true(json_object_get(run, "present")));
		if (!w.present)
			continue;
		assert_int_equal(w.gpa, frame + k * 4096);
		assert_int_equal(w.writable, json_is_true(json_object_get(run, "writable")));
		assert_int_equal(w.user, json_is_true(json_object_get(run, "user")));
		assert_int_equal(w.global, json_is_true(json_object_get(run, "global")));
		assert_int_equal(w.accessed, json_is_true(json_object_get(run, "accessed")));
		assert_int_equal(w.dirty, json_is_true(json_object_get(run, "dirty")));
	}
}

static void runs_are_their_pages(void **state)
{
	unsigned long rounds = test_rounds(4);
	uint64_t rng = 0x7654321;
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	pt_ram_start(&r, 64 * 4096);
	for (unsigned long k = 0; k < rounds; k++) {
		make_random(&r, &rng);
		json_t *map = json_loads(view(&r.space, &out, test_rounds(2) < 2 ? "--json --from ff000000" : "--json --from 3c00000"), 0, NULL), *run;
		size_t index;
		json_array_foreach(json_object_get(map, "runs"), index, run)
			check_run(&r, run);
		assert_true(index > 0);
		json_decref(map);
	}
	text_free(&out);
	pt_ram_end(&r);
}

static void check_verdict(struct pt_ram *r, uint32_t linear, json_t *access)
{
	const char *letter = json_string_value(json_object_get(access, "access"));
	unsigned what = (*letter == 'w' ? REF_WRITE : 0u) | (*letter == 'x' ? REF_FETCH : 0u) |
	                (json_integer_value(json_object_get(access, "ring")) == 3 ? REF_USER : 0u);
	struct ref_walk ref = ref_walk(pt_ram_ref_read, r, pt_ref_mode(&r->space), r->space.cr3, linear, what);
	assert_int_equal(json_is_true(json_object_get(access, "ok")), ref.ok);
	if (ref.ok)
		assert_true(json_is_null(json_object_get(access, "error")));
	else
		assert_int_equal(json_integer_value(json_object_get(access, "error")), ref.error);
	assert_true(json_string_length(json_object_get(access, "why")) > 0);
}

static void verdicts_are_what_the_reference_walker_says(void **state)
{
	unsigned long rounds = test_rounds(400);
	uint64_t rng = 0xABCDEF;
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	pt_ram_start(&r, 64 * 4096);
	for (unsigned long k = 0; k < rounds; k++) {
		char line[64];
		uint32_t linear = next(&rng);
		if (k % 10 == 0)
			make_random(&r, &rng);
		snprintf(line, sizeof line, "--at %x --json", linear);
		json_t *at = json_loads(view(&r.space, &out, line), 0, NULL), *access;
		size_t index;
		json_array_foreach(json_object_get(at, "accesses"), index, access)
			check_verdict(&r, linear, access);
		assert_int_equal(index, 12);
		json_decref(at);
		snprintf(line, sizeof line, "--at %x", linear);
		view(&r.space, &out, line);
	}
	text_free(&out);
	pt_ram_end(&r);
}

/* ---- 2. Bits -------------------------------------------------------------------------------- */

/* One page at 0x00400000, or one of 4 MiB there. */
static void make_one(struct pt_ram *r, uint32_t pde, uint32_t pte)
{
	pt_ram_start(r, 16 * 4096);
	r->words[1] = pde;
	r->words[1024] = pte;
}

static json_int_t field(json_t *at, unsigned level, const char *name, unsigned first)
{
	json_t *one = json_array_get(json_object_get(at, "levels"), level + 1), *f; /* behind CR3 */
	size_t index;
	json_array_foreach(json_object_get(one, "fields"), index, f)
		if (strcmp(json_string_value(json_object_get(f, "name")), name) == 0 &&
		    json_integer_value(json_object_get(f, "first")) == first)
			return json_integer_value(json_object_get(f, "guest"));
	fail_msg("level %u has no field %s", level, name);
	return -1;
}

static json_t *explain(struct pt_ram *r)
{
	struct text out = { 0 };
	json_t *at = json_loads(view(&r->space, &out, "--at 400000 --json"), 0, NULL);
	assert_non_null(at);
	text_free(&out);
	return at;
}

/* What each bit is called, at each level: tables 4-4 to 4-6. */
static void every_bit_has_its_name(void **state)
{
	static const struct { unsigned bit; const char *pde, *large, *pte; } names[] = {
		{ 1, "R/W", "R/W", "R/W" }, { 2, "U/S", "U/S", "U/S" }, { 3, "PWT", "PWT", "PWT" }, { 4, "PCD", "PCD", "PCD" },
		{ 5, "A", "A", "A" }, { 6, "", "D", "D" }, { 8, "", "G", "G" }, { 12, NULL, "PAT", NULL },
	};
	(void)state;
	for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
		uint32_t bit = 1u << names[k].bit;
		struct pt_ram r;
		for (unsigned on = 0; on < 2; on++) {
			make_one(&r, 0x1001 | (on && names[k].pde ? bit : 0), 0x5001 | (on && names[k].pte ? bit : 0));
			json_t *at = explain(&r);
			if (names[k].pde)
				assert_int_equal(field(at, 0, names[k].pde, names[k].bit), on);
			if (names[k].pte)
				assert_int_equal(field(at, 1, names[k].pte, names[k].bit), on);
			json_decref(at);
			pt_ram_end(&r);
			make_one(&r, 0x00800081 | (on ? bit : 0), 0);
			at = explain(&r);
			assert_int_equal(field(at, 0, names[k].large, names[k].bit), on);
			assert_int_equal(field(at, 0, "PS", 7), 1);
			json_decref(at);
			pt_ram_end(&r);
		}
	}
}

/* A directory that is not at a multiple of 4 KiB is somewhere else. */
static void cr3_has_its_bits(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	make_one(&r, 0x1003, 0x5003);
	r.space.cr3 = 0xFF8;
	has_text(view(&r.space, &out, "--at 400000"), "  5-11        ignored: a directory has 4 KiB           7f\n");
	has_text(text_string(&out), "  4      PCD  not cached                                1\n");
	has_text(text_string(&out), "PDE 1 at 00000004");
	pt_ram_end(&r);
	text_free(&out);
}

static void frames_and_the_system_s_own_bits(void **state)
{
	struct pt_ram r;
	(void)state;
	make_one(&r, 0x00001E01, 0xABCDE201);
	json_t *at = explain(&r);
	assert_int_equal(field(at, 0, "AVL", 9), 7);
	assert_int_equal(field(at, 1, "AVL", 9), 1);
	assert_int_equal(field(at, 1, "PAT", 7), 0);
	assert_int_equal(field(at, 1, "", 12), 0xABCDE);
	assert_int_equal(json_integer_value(json_object_get(at, "physical")), 0xABCDE000);
	json_decref(at);
	pt_ram_end(&r);
}

static void each_reserved_bit_faults_and_says_so(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	for (unsigned bit = 13; bit <= 21; bit++) {
		make_one(&r, 0x00800087 | 1u << bit, 0);
		const char *text = view(&r.space, &out, "--at 400000 --ring 3 --access w");
		has_text(text, "#PF(15 P W U RSVD)");
		has_text(text, "PDE 1 has a reserved bit set");
		has_text(view(&r.space, &out, ""), "00400000-007fffff       4M 4M ----- a reserved bit is set");
		/* Without CR4.PSE it is a table like any other. */
		r.space.cr4 = 0;
		has_no_text(view(&r.space, &out, "--at 400000"), "RSVD");
		has_text(text_string(&out), "PS is ignored: CR4.PSE = 0");
		pt_ram_end(&r);
	}
	text_free(&out);
}

/* Who denies: each level, the other, both; CR0.WP. */
static void the_level_that_denies_is_named(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	make_one(&r, 0x1000 | BIT_P | BIT_W, 0x5000 | BIT_P | BIT_W | BIT_U);
	has_text(view(&r.space, &out, "--at 400000 --ring 3"), "PDE 1: the kernel's (U/S = 0)");
	r.words[1] |= BIT_U;
	r.words[1024] &= ~(uint32_t)BIT_U;
	has_text(view(&r.space, &out, "--at 400000 --ring 3"), "PTE 0: the kernel's (U/S = 0)");
	r.words[1] &= ~(uint32_t)(BIT_U | BIT_W);
	r.words[1024] &= ~(uint32_t)BIT_W;
	has_text(view(&r.space, &out, "--at 400000 --ring 3"), "PDE 1 and PTE 0: the kernel's (U/S = 0)");
	has_text(view(&r.space, &out, "--at 400000 --ring 0"), "PDE 1 and PTE 0: read-only (R/W = 0), and CR0.WP = 1");
	r.space.cr0 &= ~(1u << 16);
	has_text(view(&r.space, &out, "--at 400000 --ring 0"), "PDE 1 and PTE 0: read-only (R/W = 0), but CR0.WP = 0");
	has_text(view(&r.space, &out, "--at 400000 --access x --ring 0"), "no bit against it");
	r.words[1024] = 0;
	has_text(view(&r.space, &out, "--at 400000 --ring 3"), "PTE 0 is not present (P = 0)");
	r.words[1] = 0;
	has_text(view(&r.space, &out, "--at 400000 --ring 3"), "PDE 1 is not present (P = 0)");
	r.words[1] = 0x40000001;
	has_text(view(&r.space, &out, "--at 400000 --ring 3"), "PDE 1 leads to where there is no memory");
	pt_ram_end(&r);
	text_free(&out);
}

/* ---- 3. Text -------------------------------------------------------------------------------- */

/* 64 KiB of memory: a directory at 0x1000, tables at 0x2000 and 0x3000, devices behind it. */
static void make_small(struct pt_ram *r)
{
	pt_ram_start(r, 16 * 4096);
	r->space.cr3 = 0x1000;
	r->space.device_bytes = 0x1000;
	uint32_t *directory = r->words + 1024, *table = r->words + 2048;
	directory[0] = 0x2000 | BIT_P | BIT_W | BIT_U | BIT_A;
	directory[1] = 0x3000 | BIT_P;
	directory[2] = 0x00000000 | BIT_PS | BIT_P | BIT_W | BIT_A | BIT_D | BIT_G;
	directory[3] = 0x2000 | BIT_P | BIT_W;
	directory[1023] = 0x1000 | BIT_P | BIT_W | BIT_A;
	for (unsigned k = 0; k < 4; k++)
		table[k] = (0x8000 + 0x1000 * k) | BIT_P | BIT_W | BIT_U | BIT_A | (k < 2 ? BIT_D : 0u);
	table[5] = 0x2000 | BIT_P;              /* the table itself, read-only */
	table[6] = 0x10000 | BIT_P | BIT_W;     /* a device */
	table[7] = 0x90000000 | BIT_P | BIT_W;  /* nothing */
}

static void the_map_word_by_word(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	make_small(&r);
	assert_string_equal(view(&r.space, &out, "--to 7fffff"),
		"CR3 00001000   CR0 80010001 (PE WP PG)   CR4 00000090 (PSE PGE)\n"
		"recursive slot 1023: tables appear at 0xffc00000, the directory at 0xfffff000\n"
		"x: always, two-level tables have no bit against it; u: the user too, s: not\n"
		"linear                size pg right what  frame    AD\n"
		"00000000-00001fff       8K 4K rwxu- ram   00008000 AD\n"
		"00002000-00003fff       8K 4K rwxu- ram   0000a000 A-\n"
		"00005000-00005fff       4K 4K r-xs- table 00002000 --\n"
		"00006000-00006fff       4K 4K rwxs- dev   00010000 --\n"
		"00007000-00007fff       4K 4K rwxs- none  90000000 --\n"
		"5 runs, 7 pages (28 KiB)\n");
	assert_string_equal(view(&r.space, &out, "--from 800000 --merge"),
		"CR3 00001000   CR0 80010001 (PE WP PG)   CR4 00000090 (PSE PGE)\n"
		"recursive slot 1023: tables appear at 0xffc00000, the directory at 0xfffff000\n"
		"x: always, two-level tables have no bit against it; u: the user too, s: not\n"
		"linear                size right\n"
		"00800000-00bfffff       4M rwxsg\n"
		"00c00000-00c03fff      16K rwxs-\n"
		"00c05000-00c05fff       4K r-xs-\n"
		"00c06000-00c07fff       8K rwxs-\n"
		"  (slot 1023: this directory's tables as pages)\n"
		"ffc00000-ffc00fff       4K rwxs-\n"
		"ffc01000-ffc01fff       4K r-xs-\n"
		"ffc02000-ffc02fff       4K rwxsg\n" /* the entry of 4 MiB, taken for one of 4 KiB */
		"ffc03000-ffc03fff       4K rwxs-\n"
		"fffff000-ffffffff       4K rwxs-\n"
		"9 runs, 1036 pages (4144 KiB)\n");
	has_no_text(view(&r.space, &out, "--user"), "s-");
	has_no_text(view(&r.space, &out, "--kernel"), "u-");
	pt_ram_end(&r);
	text_free(&out);
}

static void an_address_word_by_word(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	make_small(&r);
	assert_string_equal(view(&r.space, &out, "--at 0x2345 --access w"),
		"00002345: directory entry 0, table entry 2, offset 0x345\n"
		"CR3 00001000   CR0 80010001 (PE WP PG)   CR4 00000090 (PSE PGE)\n"
		"recursive slot 1023: tables appear at 0xffc00000, the directory at 0xfffff000\n"
		"\n"
		"CR3 = 00001000                                     guest\n"
		"  0-2         ignored                                   0\n"
		"  3      PWT  cache writes through                      0\n"
		"  4      PCD  not cached                                0\n"
		"  5-11        ignored: a directory has 4 KiB            0\n"
		"  12-31       frame                              00001000\n"
		"\n"
		"PDE 0 at 00001000 = 00002027                       guest\n"
		"  0      P    present                                   1\n"
		"  1      R/W  may be written                            1\n"
		"  2      U/S  the user's (ring 3) too                   1\n"
		"  3      PWT  cache writes through                      0\n"
		"  4      PCD  not cached                                0\n"
		"  5      A    accessed                                  1\n"
		"  6           ignored                                   0\n"
		"  7      PS   a 4 MiB page                              0\n"
		"  8           ignored                                   0\n"
		"  9-11   AVL  the system's own                          0\n"
		"  12-31       frame                              00002000\n"
		"\n"
		"PTE 2 at 00002008 = 0000a027                       guest\n"
		"  0      P    present                                   1\n"
		"  1      R/W  may be written                            1\n"
		"  2      U/S  the user's (ring 3) too                   1\n"
		"  3      PWT  cache writes through                      0\n"
		"  4      PCD  not cached                                0\n"
		"  5      A    accessed                                  1\n"
		"  6      D    dirty: was written                        0\n"
		"  7      PAT  memory type                               0\n"
		"  8      G    global: kept when CR3 is loaded           0\n"
		"  9-11   AVL  the system's own                          0\n"
		"  12-31       frame                              0000a000\n"
		"\n"
		"physical address 0000a345 (RAM)\n"
		"\n"
		"  ring     access  guest\n"
		"  0-2      write   ok\n"
		"           all levels permit it\n"
		"  3        write   ok\n"
		"           all levels permit it\n");
	pt_ram_end(&r);
	text_free(&out);
}

static void tables_word_by_word(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	make_small(&r);
	assert_string_equal(view(&r.space, &out, "--tables"),
		"CR3 00001000   CR0 80010001 (PE WP PG)   CR4 00000090 (PSE PGE)\n"
		"recursive slot 1023: tables appear at 0xffc00000, the directory at 0xfffff000\n"
		"directory 00001000: 5 entries present: 4 to tables, 1 of 4 MiB\n"
		"table    present linear            directory entries\n"
		"00002000       7 00000000-003fffff 0,3\n"
		"00003000       0 00400000-007fffff 1\n"
		"00001000       5 ffc00000-ffffffff 1023 recursive\n"
		"3 tables\n");
	view(&r.space, &out, "--tables --json");
	/* Another directory with one table in common, at the same place, and one that is there twice. */
	r.words[4 * 1024] = 0x2001;
	r.words[4 * 1024 + 7] = 0x3001;
	assert_string_equal(view(&r.space, &out, "--shared 4000"),
		"CR3 00001000   CR0 80010001 (PE WP PG)   CR4 00000090 (PSE PGE)\n"
		"recursive slot 1023: tables appear at 0xffc00000, the directory at 0xfffff000\n"
		"directories, by number (NUMBER:SLOT is an entry of one):\n"
		"   0: 00001000  (looked at)\n"
		"   1: 00004000\n"
		"the guest's tables:\n"
		"  table 00002000 in several slots: 0:0 1:0 0:3\n"
		"  table 00003000 in several slots: 0:1 1:7\n");
	r.words[4 * 1024 + 7] = 0;
	r.words[4 * 1024 + 1] = 0x3001;
	r.words[1024 + 3] = 0;
	has_text(view(&r.space, &out, "--shared 4000"), "  00000000-007fffff    2 tables  shared by 0-1\n");
	view(&r.space, &out, "--shared 4000 --json");
	pt_ram_end(&r);
	text_free(&out);
}

static void entries_by_index(void **state)
{
	struct text out = { 0 };
	char why[128];
	struct pt_ram r;
	(void)state;
	make_small(&r);
	assert_true(pt_entries(&r.space, &out, why, sizeof why));
	fits_80(text_string(&out));
	has_text(text_string(&out), "[00000-003ff]   PDE[000-000] ----A--UWP 00002\n"
	                            " [00000-00001]  PTE[000-001] ---DA--UWP 00008-00009\n");
	pt_ram_end(&r);
	text_free(&out);
}

/* ---- 4. Recursion --------------------------------------------------------------------------- */

static void recursion_is_named(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	make_small(&r);
	has_text(view(&r.space, &out, "--at fffff004"), "this address is in slot 1023: what is there is a table\n");
	has_text(text_string(&out), "physical address 00001004 (RAM: one of this directory's tables)");
	/* Another directory that has itself in the same slot, hung in at slot 1022. */
	r.words[1024 + 1022] = 0x5003;
	r.words[5 * 1024 + 1023] = 0x5003;
	has_text(view(&r.space, &out, ""), "slot 1022 leads to another directory, 00005000: its tables appear at 0xff800000\n");
	has_text(text_string(&out), "  (slot 1022: another directory's tables as pages)\nffbff000");
	has_text(view(&r.space, &out, "--tables"), "1022 directory\n");
	/* A page table that maps itself, as kernels' do, is no directory. */
	r.words[5 * 1024 + 1023] = 0;
	r.words[5 * 1024 + 5] = 0x5003;
	has_no_text(view(&r.space, &out, ""), "another directory");
	pt_ram_end(&r);
	text_free(&out);
}

/* ---- 5. Bounds ------------------------------------------------------------------------------ */

static const char *const all_views[] = {
	"", "--json", "--merge", "--merge --json", "--user", "--kernel --json", "--from ff000000", "--at fedcba98",
	"--at fedcba98 --json", "--tables", "--tables --json", "--shared", "--shared --json", "--shared 1000 2000 3000",
	"--shared 0 1000 2000 3000 4000 5000 --json",
};

/* What views cost: tables read, bytes written.  (Each read of a table is 4 KiB; sorting is of what was read.) */
static void all_in_bounds(struct pt_ram *r)
{
	struct text out = { 0 };
	char why[128];
	/* (Where everything is slow, those without large JSON.) */
	for (size_t k = 0; k < sizeof all_views / sizeof all_views[0]; k++) {
		if (test_rounds(2) < 2 && strstr(all_views[k], "json"))
			continue;
		r->reads = 0;
		view(&r->space, &out, all_views[k]);
		assert_true(r->reads < 8 * 1024);
		assert_true(out.size < PT_RUNS_MAX * 450);
	}
	text_clear(&out);
	assert_true(pt_entries(&r->space, &out, why, sizeof why));
	assert_true(out.size < PT_RUNS_MAX * 100);
	text_free(&out);
}

/* 1024 tables of 1024 entries, each page unlike its neighbour. */
static void make_full(struct pt_ram *r)
{
	pt_ram_start(r, 1025 * 4096);
	for (unsigned slot = 0; slot < 1024; slot++) {
		r->words[slot] = (slot + 1) << 12 | BIT_P | BIT_W | BIT_U;
		for (unsigned k = 0; k < 1024; k++)
			r->words[(slot + 1) * 1024 + k] = (1023 - k) << 12 | BIT_P | (k & 1 ? BIT_W : 0u) | BIT_U;
	}
}

static void full_tables_are_cut_and_can_be_gone_on_with(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	uint32_t from = 0;
	(void)state;
	make_full(&r);
	all_in_bounds(&r);
	has_text(view(&r.space, &out, ""), "... the rest is left out: see it with --from 0x02000000\n");
	for (unsigned part = 0; part < (test_rounds(2) < 2 ? 0 : 3); part++) {
		char line[64];
		snprintf(line, sizeof line, "--json --from %x", from);
		json_t *map = json_loads(view(&r.space, &out, line), 0, NULL), *runs = json_object_get(map, "runs");
		assert_int_equal(json_array_size(runs), PT_RUNS_MAX);
		assert_int_equal(json_integer_value(json_object_get(json_array_get(runs, 0), "start")), from);
		assert_true(json_is_false(json_object_get(map, "complete")));
		from = (uint32_t)json_integer_value(json_object_get(map, "next"));
		assert_int_equal(from, (part + 1) * PT_RUNS_MAX * 4096);
		json_decref(map);
	}
	json_t *end = json_loads(view(&r.space, &out, "--json --from fff00000"), 0, NULL);
	assert_true(json_is_true(json_object_get(end, "complete")));
	assert_int_equal(json_array_size(json_object_get(end, "runs")), 256);
	json_decref(end);
	pt_ram_end(&r);
	text_free(&out);
}

/* Every entry of the directory is the directory: 1024 recursive slots. */
static void recursion_everywhere(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	pt_ram_start(&r, 16 * 4096);
	for (unsigned k = 0; k < 1024; k++)
		r.words[k] = BIT_P | BIT_W;
	all_in_bounds(&r);
	has_text(view(&r.space, &out, ""), "... and 1008 slots more that lead to directories\n");
	has_text(text_string(&out), "... the rest is left out");
	has_text(view(&r.space, &out, "--tables"), "0,1,2 +1021 more recursive\n1 tables\n");
	pt_ram_end(&r);
	text_free(&out);
}

static void random_tables_stay_in_bounds(void **state)
{
	uint64_t rng = 0x5EED;
	struct pt_ram r;
	(void)state;
	pt_ram_start(&r, 256 * 4096);
	for (unsigned long k = test_rounds(4); k; k--) {
		make_random(&r, &rng);
		all_in_bounds(&r);
		for (uint64_t w = 0; w < r.bytes / 4; w++)
			r.words[w] = next(&rng);
		all_in_bounds(&r);
	}
	pt_ram_end(&r);
}

static void no_memory_no_paging(void **state)
{
	struct text out = { 0 };
	struct pt_ram r;
	(void)state;
	pt_ram_start(&r, 4 * 4096);
	r.space.cr3 = 0x8000;
	has_text(view(&r.space, &out, ""), "there is no memory where CR3 points: nothing is present\n");
	has_text(view(&r.space, &out, "--at 1234"), "there is no memory where CR3 points: reads as not present");
	view(&r.space, &out, "--at 1234 --json");
	view(&r.space, &out, "--tables --json");
	/* A directory that is cut off by the end of memory does not count as one. */
	r.bytes -= 4;
	r.space.cr3 = 0x3000;
	has_text(view(&r.space, &out, ""), "there is no memory where CR3 points");
	r.bytes += 4;
	r.space.cr0 = 1;
	has_text(view(&r.space, &out, ""), "00000000-00003fff      16K 4K rwxu- ram   00000000 AD\n");
	has_text(text_string(&out), "paging is off");
	has_text(view(&r.space, &out, "--at 1234"), "physical address 00001234 (RAM)");
	view(&r.space, &out, "--at 1234 --json");
	view(&r.space, &out, "--tables");
	view(&r.space, &out, "--tables --json");
	refused(&r.space, "--shared", "paging is off");
	r.space.cr0 = SPACE_CR0;
	r.space.cr4 |= 1u << 5;
	refused(&r.space, "", "CR4.PAE is set");
	pt_ram_end(&r);
	text_free(&out);
}

/* ---- 6. Options ----------------------------------------------------------------------------- */

static void what_is_no_option_is_refused(void **state)
{
	struct text out = { 0 }, line = { 0 };
	struct pt_ram r;
	(void)state;
	make_small(&r);
	refused(&r.space, "--nonsense", "unknown option '--nonsense'");
	refused(&r.space, "c0000000", "'c0000000' is no option");
	refused(&r.space, "--at", "--at: ADDR is missing");
	refused(&r.space, "--at zebra", "'zebra' is no address");
	refused(&r.space, "--at 123456789", "is no address");
	refused(&r.space, "--at -1", "is no address");
	refused(&r.space, "--at ''", "is no address");
	refused(&r.space, "--at 1000 --access q", "not one or more of r, w, x");
	refused(&r.space, "--at 1000 --ring 4", "not 0, 1, 2 or 3");
	refused(&r.space, "--ring 3", "belong to --at");
	refused(&r.space, "--from 2000 --to 1000", "is behind");
	refused(&r.space, "--user --kernel", "leave nothing");
	refused(&r.space, "--roots", "no shadow");
	text_add(&line, "--shared");
	for (unsigned k = 0; k <= PT_DIRECTORIES_MAX; k++)
		text_add(&line, " %x", k << 12);
	refused(&r.space, text_string(&line), "more than 64 directories");
	for (unsigned k = 0; k <= PT_DIRECTORIES_MAX; k++)
		text_add(&line, " --json");
	refused(&r.space, text_string(&line), "more than 96 words");
	/* Registers and both ways of writing options. */
	r.space.eip = 0x2000;
	r.space.esp = 0x3000;
	has_text(view(&r.space, &out, "-at eip -access r -ring 0"), "00002000: directory entry 0, table entry 2");
	has_text(view(&r.space, &out, "--at $esp"), "00003000: ");
	/* Another directory, other control bits. */
	has_text(view(&r.space, &out, "--cr3 2000"), "CR3 00002000");
	has_text(view(&r.space, &out, "--cr0 1"), "paging is off");
	has_text(view(&r.space, &out, "--cr4 0 --from 800000"), "CR4 00000000 ()");
	has_text(view(&r.space, &out, "--help"), "--shared");
	pt_ram_end(&r);
	text_free(&out);
	text_free(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_map_is_what_the_reference_walker_says),
		cmocka_unit_test(runs_are_their_pages),
		cmocka_unit_test(verdicts_are_what_the_reference_walker_says),
		cmocka_unit_test(every_bit_has_its_name),
		cmocka_unit_test(cr3_has_its_bits),
		cmocka_unit_test(frames_and_the_system_s_own_bits),
		cmocka_unit_test(each_reserved_bit_faults_and_says_so),
		cmocka_unit_test(the_level_that_denies_is_named),
		cmocka_unit_test(the_map_word_by_word),
		cmocka_unit_test(an_address_word_by_word),
		cmocka_unit_test(tables_word_by_word),
		cmocka_unit_test(entries_by_index),
		cmocka_unit_test(recursion_is_named),
		cmocka_unit_test(full_tables_are_cut_and_can_be_gone_on_with),
		cmocka_unit_test(recursion_everywhere),
		cmocka_unit_test(random_tables_stay_in_bounds),
		cmocka_unit_test(no_memory_no_paging),
		cmocka_unit_test(what_is_no_option_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
