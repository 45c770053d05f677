/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_load.c - kernels in memory as the original launcher left them, and files that are refused.
 *
 *   1. Memory
 *   2. Page tables
 *   3. Refusals
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/lguest/lguest.h"
#include "tests/lib/image.h"
#include "tests/lib/tap.h"

#define MEM (16u << 20)

static bool load(struct loading *l, enum lguest_family family, const struct made *m, struct lguest_boot *boot)
{
	l->request.kernel = loading_file(l, 0, m->bytes, m->size);
	return lguest_load(&l->request, family, boot, &l->error);
}

static void bzimage(struct made *m, const char *release)
{
	make_bzimage(m, 0x207, "\xFA\xF4 the kernel", 13);
	made_word(m, 0x214, 0x100000);
	made_half(m, 0x20E, 0x100); /* the release, at 0x300 */
	made_copy(m, 0x300, release, strlen(release) + 1);
}

/* ---- 1. Memory ------------------------------------------------------------------------------ */

static void test_parameters_are_the_launchers(void **state)
{
	static struct made m;
	struct lguest_boot boot;
	struct loading l;
	uint8_t initrd[5000];
	uint32_t top = MEM - 8192;

	(void)state;
	loading_start(&l, MEM);
	bzimage(&m, "2.6.24 (me@here)");
	memset(initrd, 0x5A, sizeof initrd);
	l.request.initrd = loading_file(&l, 1, initrd, sizeof initrd);
	l.request.command_line = "console=hvc0";
	assert_true(load(&l, LGUEST_B, &m, &boot));
	assert_int_equal(boot.entry, 0x100000);
	assert_int_equal(boot.version, LGUEST_VERSION(2, 6, 24));
	assert_memory_equal(l.request.ram + 0x100000, "\xFA\xF4 the kernel", 13);
	assert_string_equal((char *)l.request.ram + 0x1000, "console=hvc0");
	assert_int_equal(ram_word(&l, 0x204) >> 16, 0x0207);
	assert_int_equal(l.request.ram[0x210], 0xFF);
	assert_int_equal(l.request.ram[0x211], 0x40);
	assert_int_equal(ram_word(&l, 0x218), top);
	assert_int_equal(ram_word(&l, 0x21C), 8192);
	assert_int_equal(ram_word(&l, 0x228), 0x1000);
	assert_int_equal(ram_word(&l, 0x23C), 1);
	assert_int_equal(l.request.ram[0x1E8], 1);
	assert_int_equal(ram_word(&l, 0x2D0), 0);
	assert_int_equal(ram_word(&l, 0x2D4), 0);
	assert_int_equal(ram_word(&l, 0x2D8), MEM);
	assert_int_equal(ram_word(&l, 0x2E0), 1);
	assert_int_equal(ram_word(&l, 0x200) >> 16, 0); /* no magic: the header is not copied */
	assert_int_equal(ram_word(&l, 0), 0);                  /* no screen */
	assert_int_equal(l.request.ram[0x1EF], 0);
	assert_int_equal(l.request.ram[top], 0x5A);
	assert_int_equal(l.request.ram[top + 4999], 0x5A);
	assert_int_equal(l.request.ram[top + 5000], 0);
	loading_end(&l);
}

static void test_no_initrd_no_loader_type(void **state)
{
	static struct made m;
	struct lguest_boot boot;
	struct loading l;

	(void)state;
	loading_start(&l, MEM);
	bzimage(&m, "3.12.9");
	m.bytes[0x1F1] = 0; /* means 4 sectors */
	assert_true(load(&l, LGUEST_F, &m, &boot));
	assert_int_equal(l.request.ram[0x210], 0);
	assert_int_equal(ram_word(&l, 0x218), 0);
	assert_memory_equal(l.request.ram + 0x100000, m.bytes + 5 * 512, m.size - 5 * 512);
	assert_int_equal(boot.pgdir, 0);
	assert_string_equal((char *)l.request.ram + 0x1000, "");
	loading_end(&l);
}

static void test_elf_segments_go_to_their_physical_addresses(void **state)
{
	static struct made m;
	struct lguest_boot boot;
	struct loading l;

	(void)state;
	loading_start(&l, MEM);
	make_elf(&m, 0x200000, 0xC0200000, 0x200000);
	assert_true(load(&l, LGUEST_E, &m, &boot));
	assert_int_equal(boot.entry, 0x200000);
	assert_memory_equal(l.request.ram + 0x200000, ELF_CODE, 8);
	loading_end(&l);
}

static void test_an_elf_kernel_says_its_release(void **state)
{
	static struct made m;
	struct lguest_boot boot;
	struct loading l;
	static const char banner[] = "Linux version %s\0Linux version 4.0.5-x (a@b)";

	(void)state;
	loading_start(&l, MEM);
	make_elf(&m, 0x200000, 0xC0200000, 0x200000);
	made_copy(&m, m.size, banner, sizeof banner);
	assert_true(load(&l, LGUEST_AUTO, &m, &boot));
	assert_int_equal(boot.version, LGUEST_VERSION(4, 0, 5));
	assert_int_equal(boot.pgdir, 0);
	loading_end(&l);
}

/* ---- 2. Page tables ------------------------------------------------------------------------- */

static void test_tables_of_each_family(void **state)
{
	static const struct { enum lguest_family family; const char *release; bool tables, alias; } cases[] = {
		{ LGUEST_B, "x", true, false }, { LGUEST_C, "x", true, false }, { LGUEST_D, "x", true, true },
		{ LGUEST_E, "x", true, true }, { LGUEST_F, "x", false, false }, { LGUEST_G1, "x", false, false },
		{ LGUEST_G2, "x", false, false }, { LGUEST_AUTO, "x", true, true },
		{ LGUEST_AUTO, "2.6.24", true, true }, { LGUEST_AUTO, "3.12.9-lg", false, false },
		{ LGUEST_AUTO, "4.13.0-rc2", false, false }, { LGUEST_AUTO, "3.0.101", true, true },
	};
	static struct made m;

	(void)state;
	for (unsigned n = 0; n < sizeof cases / sizeof *cases; n++) {
		const uint32_t tables = MEM - 4 * 4096 - 4096, top = MEM - 4096;
		struct lguest_boot boot;
		struct loading l;

		loading_start(&l, MEM);
		bzimage(&m, cases[n].release);
		assert_true(load(&l, cases[n].family, &m, &boot));
		assert_int_equal(boot.pgdir, cases[n].tables ? top : 0);
		for (uint32_t slot = 0; cases[n].tables && slot < 1024; slot++) {
			bool alias = cases[n].alias && slot >= 768 && slot < 768 + 4;
			uint32_t want = slot < 4 || alias ? (tables + slot % 768 * 4096) | 7 : 0;

			assert_int_equal(ram_word(&l, top + 4 * slot), want);
		}
		for (uint32_t page = 0; cases[n].tables && page < MEM / 4096; page++)
			assert_int_equal(ram_word(&l, tables + 4 * page), page << 12 | 7);
		loading_end(&l);
	}
}

/* ---- 3. Refusals ---------------------------------------------------------------------------- */

static void refused(struct loading *l, const struct made *m, const char *why)
{
	struct lguest_boot boot;

	assert_false(load(l, LGUEST_AUTO, m, &boot));
	if (!strstr(l->error.text, why))
		fail_msg("\"%s\" does not say \"%s\"", l->error.text, why);
	assert_null(strchr(l->error.text, '\n'));
	assert_true(loading_untouched(l, 0, 0));
}

static void test_bad_files_change_nothing(void **state)
{
	static struct made m;
	struct loading l;

	(void)state;
	loading_start(&l, MEM);
	make_elf(&m, 0x200000, 0xC0200000, 0x200000);
	made_copy(&m, m.size, "GenuineLguest", 13);
	refused(&l, &m, "2.6.23");
	bzimage(&m, "2.6.23.1");
	refused(&l, &m, "2.6.23");
	bzimage(&m, "2.6.24");
	made_word(&m, 0x214, MEM);
	refused(&l, &m, "entry point");
	bzimage(&m, "2.6.24");
	m.size = 0x400;
	refused(&l, &m, "truncated");
	make_elf(&m, 0x200000, 0xC0200000, 0x200000);
	made_half(&m, 16, 3); /* ET_DYN */
	refused(&l, &m, "not a 32-bit x86 kernel");
	make_elf(&m, 0x200000, 0xC0200000, 0x200000);
	made_half(&m, 18, 62); /* x86-64 */
	refused(&l, &m, "64-bit");
	make_elf(&m, MEM - 4, 0xC0200000, 0x200000);
	refused(&l, &m, "memory");
	make_elf(&m, MEM - 0x3000, 0xC0200000, MEM - 0x3000); /* where the page tables go */
	refused(&l, &m, "overlaps");
	make_elf(&m, 0x800, 0xC0200000, 0x800); /* on the boot parameters */
	refused(&l, &m, "overlaps");
	memset(&m, 'x', sizeof m.bytes);
	m.size = 3000;
	refused(&l, &m, "neither bzImage nor ELF");
	loading_end(&l);
}

static void test_what_does_not_fit_is_refused(void **state)
{
	static char line[4096];
	static struct made m;
	struct loading l;

	(void)state;
	loading_start(&l, 2u << 20);
	bzimage(&m, "2.6.24");
	memset(line, 'a', sizeof line - 1);
	l.request.command_line = line;
	refused(&l, &m, "command line");
	line[2047] = 0;
	uint8_t *big = calloc(1, 2u << 20);
	l.request.initrd = loading_file(&l, 1, big, 2u << 20);
	refused(&l, &m, "does not fit");
	l.request.initrd = loading_file(&l, 1, big, (2u << 20) - 0x1800);
	refused(&l, &m, "");
	l.request.initrd = loading_file(&l, 1, big, 4096);
	struct lguest_boot boot;
	assert_true(load(&l, LGUEST_AUTO, &m, &boot));
	free(big);
	loading_end(&l);
}

static void test_only_what_says_so_is_taken_for_a_guest(void **state)
{
	static struct made m;
	struct loading l;
	static const struct { uint32_t name, desc, type; char text[8]; } note = { 7, 0, 1, "lguest" };

	(void)state;
	loading_start(&l, MEM);
	bzimage(&m, "3.12");
	assert_false(lguest_only_image(loading_file(&l, 0, m.bytes, m.size)));
	make_elf(&m, 0x200000, 0xC0200000, 0x200000);
	assert_false(lguest_only_image(loading_file(&l, 0, m.bytes, m.size)));
	/* The second segment's header becomes the note's. */
	size_t header = *(uint32_t *)(void *)(m.bytes + 28) + 32, at = m.size;
	made_word(&m, header, 4);
	made_word(&m, header + 4, (uint32_t)at);
	made_word(&m, header + 16, sizeof note);
	made_copy(&m, at, &note, sizeof note);
	assert_true(lguest_only_image(loading_file(&l, 0, m.bytes, m.size)));
	made_word(&m, header + 4, (uint32_t)at + 1); /* out of the file */
	assert_false(lguest_only_image(loading_file(&l, 0, m.bytes, m.size)));
	assert_false(lguest_only_image("/nonexistent"));
	loading_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parameters_are_the_launchers),
		cmocka_unit_test(test_no_initrd_no_loader_type),
		cmocka_unit_test(test_elf_segments_go_to_their_physical_addresses),
		cmocka_unit_test(test_an_elf_kernel_says_its_release),
		cmocka_unit_test(test_tables_of_each_family),
		cmocka_unit_test(test_bad_files_change_nothing),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
		cmocka_unit_test(test_only_what_says_so_is_taken_for_a_guest),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lguest_load", tests, NULL, NULL);
}
