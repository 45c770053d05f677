/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_symbols.c - names of addresses: from System.map, from ELF, from a Linux kernel's memory; and what is
 * none of these is refused, whatever is in it.
 *
 *   1. Files        a file of a test's own
 *   2. System.map
 *   3. ELF          made by symbols_write_elf(), and spoilt
 *   4. kallsyms     by hand, in each form, and spoilt
 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "scope/symbols.h"
#include "tests/lib/kallsyms.h"
#include "tests/lib/tap.h"

/* ---- 1. Files ------------------------------------------------------------------------------- */

struct file {
	char path[64];
};

static void file_make(struct file *f, const void *bytes, size_t count)
{
	strcpy(f->path, "/tmp/umbra-symbols-XXXXXX");
	int fd = mkstemp(f->path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, count), (ssize_t)count);
	close(fd);
}

static bool load_text(struct symbols *s, const char *text, struct symbols_error *error)
{
	struct file f;
	file_make(&f, text, strlen(text));
	bool fine = symbols_load(s, f.path, error);
	unlink(f.path);
	return fine;
}

static void expect_name(const struct symbols *s, uint32_t address, const char *name)
{
	char buf[100];
	assert_string_equal(symbols_name(s, address, buf, sizeof buf), name);
}

/* ---- 2. System.map -------------------------------------------------------------------------- */

static void a_map_gives_names_and_addresses(void **state)
{
	struct symbols_error error;
	struct symbols *s = symbols_new();
	uint32_t address, offset;
	(void)state;
	assert_true(load_text(s,
	                      "00000001 A a_constant\nc1000000 T _text\nc1000000 t start_32\nc1000040 t helper\n"
	                      "c1000050 W weak_one\nc1000050 t shadowed\nc1000100 D some_data\tmodule\n",
	                      &error));
	assert_int_equal(symbols_count(s), 6);
	expect_name(s, 0xC1000000, "_text"); /* the global one of two */
	expect_name(s, 0xC100003F, "_text+0x3f");
	expect_name(s, 0xC1000040, "helper");
	expect_name(s, 0xC1000050, "weak_one");
	expect_name(s, 0xC1000100, "some_data");
	expect_name(s, 0xC1000100 + 0xFFFFF, "some_data+0xfffff");
	expect_name(s, 0xC1000100 + 0x100000, ""); /* too far behind */
	expect_name(s, 0xC0FFFFFF, "");
	assert_true(symbols_find(s, "start_32", &address) && address == 0xC1000000);
	assert_true(symbols_find(s, "shadowed", &address) && address == 0xC1000050);
	assert_false(symbols_find(s, "a_constant", &address));
	assert_false(symbols_find(s, "helpe", &address));
	assert_null(symbols_at(NULL, 1, &offset));
	/* xv6's kernel.sym has no types. */
	assert_true(load_text(s, "80100000 multiboot_header\n80100010 entry\n", &error));
	assert_true(symbols_find(s, "entry", &address) && address == 0x80100010);
	expect_name(s, 0xC1000040, "helper");
	symbols_free(s);
}

static void what_is_no_map_is_refused_and_nothing_is_added(void **state)
{
	static const char *const bad[] = {
		"", "hello\n", "c1000000\n", "c1000000 \n", "c1000000 TT name\n", "1c1000000 T beyond_32_bits\n",
		"ffffffff81000000 T a_64_bit_kernel\n", "c1000000 T fine\nc1000010 T \n", "c1000000 T fine\nnonsense\n",
		"c1000000 T \x01odd\n", "c1000000 9 name\n",
	};
	struct symbols_error error;
	struct symbols *s = symbols_new();
	char *longest = malloc(5000);
	uint32_t address;
	(void)state;
	assert_true(load_text(s, "c1000000 T first\n", &error));
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		error.text[0] = 0;
		assert_false(load_text(s, bad[k], &error));
		assert_true(error.text[0] && !strchr(error.text, '\n'));
		assert_int_equal(symbols_count(s), 1);
		assert_true(symbols_find(s, "first", &address));
	}
	memset(longest, 'a', 4999);
	longest[4999] = 0;
	memcpy(longest, "c1000000 T ", 11);
	assert_false(load_text(s, longest, &error));
	free(longest);
	assert_false(symbols_load(s, "/nonexistent", &error));
	assert_false(symbols_load(s, "/tmp", &error));
	assert_false(symbols_load(s, "/dev/zero", &error));
	symbols_free(s);
}

/* ---- 3. ELF --------------------------------------------------------------------------------- */

static size_t read_file(const char *path, uint8_t *bytes, size_t room)
{
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	size_t size = fread(bytes, 1, room, file);
	fclose(file);
	return size;
}

static void count_one(void *user, uint32_t address, uint32_t size, const char *name)
{
	(void)address, (void)size, (void)name;
	++*(size_t *)user;
}

static void an_elf_file_that_was_written_is_read_again(void **state)
{
	struct symbols_error error;
	struct symbols *s = symbols_new(), *again = symbols_new();
	struct file f;
	uint32_t address;
	size_t count = 0;
	(void)state;
	file_make(&f, "", 0);
	assert_false(symbols_write_elf(s, f.path, &error)); /* nothing to write */
	assert_true(load_text(s, "c1000000 T _text\nc1000040 t helper\nc1100000 D data\nffffffff T last\n", &error));
	assert_true(symbols_write_elf(s, f.path, &error));
	assert_true(symbols_load(again, f.path, &error));
	assert_int_equal(symbols_count(again), 4);
	symbols_visit(again, count_one, &count);
	assert_int_equal(count, 4);
	assert_true(symbols_find(again, "helper", &address) && address == 0xC1000040);
	expect_name(again, 0xFFFFFFFF, "last");
	assert_false(symbols_write_elf(s, "/nonexistent/file", &error));
	assert_non_null(strstr(error.text, "/nonexistent/file"));
	unlink(f.path);
	symbols_free(s);
	symbols_free(again);
}

/* Sizes say where a function ends: what lies between two is in neither. */
static void an_elf_symbols_size_is_where_it_ends(void **state)
{
	struct symbols_error error;
	struct symbols *s = symbols_new(), *sized = symbols_new();
	struct file f;
	uint8_t bytes[4096];
	const uint32_t eight = 8;
	(void)state;
	assert_true(load_text(s, "c1000000 T outer\nc1000010 T inner\nc1000020 T after\n", &error));
	file_make(&f, "", 0);
	assert_true(symbols_write_elf(s, f.path, &error));
	size_t size = read_file(f.path, bytes, sizeof bytes);
	uint32_t table;
	memcpy(&table, bytes + 52 + 2 * 40 + 16, 4); /* the symbol table's place in the file */
	memcpy(bytes + table + 2 * 16 + 8, &eight, 4);  /* inner's size */
	unlink(f.path);
	file_make(&f, bytes, size);
	assert_true(symbols_load(sized, f.path, &error));
	expect_name(sized, 0xC1000017, "inner+0x7");
	expect_name(sized, 0xC1000018, "");
	expect_name(sized, 0xC1000028, "after+0x8");
	unlink(f.path);
	symbols_free(s);
	symbols_free(sized);
}

static void a_spoilt_elf_file_is_read_or_refused(void **state)
{
	struct symbols_error error;
	struct symbols *s = symbols_new();
	struct file f;
	uint8_t good[4096], bytes[4096];
	unsigned long rounds = test_rounds(1500);
	(void)state;
	assert_true(load_text(s, "c1000000 T _text\nc1000040 t helper\nc1100000 D data\n", &error));
	file_make(&f, "", 0);
	assert_true(symbols_write_elf(s, f.path, &error));
	size_t size = read_file(f.path, good, sizeof good);
	symbols_free(s);
	srand(5);
	for (unsigned long k = 0; k < rounds; k++) {
		size_t cut = k % 3 ? size : (size_t)rand() % size;
		FILE *file = fopen(f.path, "wb");
		memcpy(bytes, good, size);
		for (int changes = rand() % 4 + 1; changes; changes--)
			bytes[(size_t)rand() % size] = (uint8_t)rand();
		memcpy(bytes, good, 4); /* as an ELF file it shall be read */
		assert_int_equal(fwrite(bytes, 1, cut, file), cut);
		fclose(file);
		s = symbols_new();
		error.text[0] = 0;
		if (!symbols_load(s, f.path, &error))
			assert_true(error.text[0] && symbols_count(s) == 0);
		symbols_free(s);
	}
	unlink(f.path);
}

/* Names of a guest's own image are shown on a terminal. */
static void a_name_has_nothing_that_a_terminal_obeys(void **state)
{
	struct symbols_error error;
	struct symbols *s = symbols_new(), *spoilt = symbols_new();
	struct file f;
	uint8_t bytes[4096];
	(void)state;
	assert_true(load_text(s, "c1000000 T _text\nc1000040 t helper\n", &error));
	file_make(&f, "", 0);
	assert_true(symbols_write_elf(s, f.path, &error));
	size_t size = read_file(f.path, bytes, sizeof bytes);
	uint8_t *name = memmem(bytes, size, "helper", 6);
	assert_non_null(name);
	memcpy(name, "\33[2J\x9B\n", 6);
	unlink(f.path);
	file_make(&f, bytes, size);
	assert_true(symbols_load(spoilt, f.path, &error));
	expect_name(spoilt, 0xC1000040, "?[2J??");
	unlink(f.path);
	symbols_free(s);
	symbols_free(spoilt);
}

/* Each of many symbols, in a table that many sections claim to be, has a name of 4 MiB: to go through all that would take
 * a day, with the guest stopped. */
static void an_elf_file_cannot_make_the_reading_long(void **state)
{
	enum { SYMBOLS = 100000, NAME = 4 << 20, SECTIONS = 1000,
	       SYMBOLS_AT = sizeof(Elf32_Ehdr) + SECTIONS * sizeof(Elf32_Shdr), NAMES_AT = SYMBOLS_AT + SYMBOLS * 16 };
	const Elf32_Ehdr header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_EXEC,
		.e_machine = EM_386, .e_version = EV_CURRENT, .e_ehsize = sizeof header, .e_shentsize = sizeof(Elf32_Shdr),
		.e_shoff = sizeof header, .e_shnum = SECTIONS,
	};
	const Elf32_Sym symbol = { .st_name = 1, .st_value = 0xC1000000, .st_info = ELF32_ST_INFO(STB_GLOBAL, STT_FUNC),
		                   .st_shndx = 1 };
	const size_t size = NAMES_AT + NAME;
	uint8_t *bytes = malloc(size);
	struct symbols_error error;
	struct symbols *s = symbols_new();
	struct timespec before, after;
	struct file f;
	(void)state;
	memset(bytes, 0, size);
	memset(bytes + NAMES_AT, 'a', NAME - 1);
	memcpy(bytes, &header, sizeof header);
	for (unsigned k = 1; k < SECTIONS; k++) {
		const Elf32_Shdr section = {
			.sh_type = k == 1 ? SHT_STRTAB : SHT_SYMTAB, .sh_link = 1, .sh_offset = k == 1 ? NAMES_AT : SYMBOLS_AT,
			.sh_size = k == 1 ? NAME : SYMBOLS * sizeof symbol, .sh_entsize = sizeof symbol, .sh_addralign = 4,
		};
		memcpy(bytes + sizeof header + k * sizeof section, &section, sizeof section);
	}
	for (size_t k = 0; k < SYMBOLS; k++)
		memcpy(bytes + SYMBOLS_AT + k * sizeof symbol, &symbol, sizeof symbol);
	file_make(&f, bytes, size);
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_true(symbols_load(s, f.path, &error));
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(after.tv_sec - before.tv_sec < 10);
	assert_int_equal(symbols_count(s), 0);
	unlink(f.path);
	symbols_free(s);
	free(bytes);
}

/* ---- 4. kallsyms ---------------------------------------------------------------------------- */

#define KERNEL 0xC1000000u
#define KERNEL_BYTES (2u << 20)

struct memory {
	uint8_t *bytes;
	uint32_t start;
	size_t size;
	uint64_t read; /* bytes, in all */
};

static size_t read_memory(void *user, uint32_t linear, void *buf, size_t bytes)
{
	struct memory *m = user;
	if (linear < m->start || linear - m->start >= m->size)
		return 0;
	size_t there = m->size - (linear - m->start);
	if (bytes > there)
		bytes = there;
	memcpy(buf, m->bytes + (linear - m->start), bytes);
	m->read += bytes;
	return bytes;
}

/* Kernel text (noise, with decoys in it) around the tables. */
static size_t memory_make(struct memory *m, const struct kallsyms_layout *layout, size_t at)
{
	*m = (struct memory){ .bytes = malloc(KERNEL_BYTES), .start = layout->base & ~0xFFFFFu, .size = KERNEL_BYTES };
	uint32_t noise = 1;
	for (size_t k = 0; k < KERNEL_BYTES; k += 4) {
		noise = noise * 1664525u + 1013904223u;
		memcpy(m->bytes + k, &noise, 4);
	}
	memcpy(m->bytes + 5000, "0\0001\0002\0003\0004\0005\0006\0007\0008\0009", 20);
	return kallsyms_make(layout, m->bytes + at, KERNEL_BYTES - at);
}

static void expect_all(const struct symbols *s, const struct kallsyms_layout *l)
{
	char name[400], buf[500];
	uint32_t address;
	assert_int_equal(symbols_count(s), l->count);
	for (unsigned k = 0; k < l->count; k++) {
		kallsyms_name(l, k, name);
		assert_true(symbols_find(s, name, &address));
		assert_int_equal(address, l->base + k * 16);
		assert_string_equal(symbols_name(s, address, buf, sizeof buf), name);
	}
}

static void a_kernels_own_table_is_found_in_each_form(void **state)
{
	struct symbols_error error;
	(void)state;
	/* (Seven has no factor in common with the number of forms of anything.) */
	for (unsigned k = 0; k < 3 * 2 * 2 * 2 * 3; k += test_rounds(100) == 100 ? 1 : 7) {
		const struct kallsyms_layout layout = {
			.form = (enum kallsyms_form)(k % 3),
			.late = k / 3 % 2,
			.sequence = k / 6 % 2,
			.long_name = k / 12 % 2,
			.base = k / 24 == 1 ? 0x80100000u : k / 24 == 2 ? 0x40100000u : KERNEL + 0x1000,
			.count = (const unsigned[]){ 257, 3000, 512 }[k / 24],
		};
		struct memory m;
		struct symbols *s = symbols_new();
		memory_make(&m, &layout, 0x123458);
		if (!symbols_find_kallsyms(s, read_memory, &m, &error))
			fail_msg("layout %u: %s", k, error.text);
		expect_all(s, &layout);
		symbols_free(s);
		free(m.bytes);
	}
}

/* Without a table, with a cut one, with one too small to be a kernel's: refused, and in bounded time. */
static void memory_without_a_table_is_refused(void **state)
{
	const struct kallsyms_layout small = { .form = KALLSYMS_RELATIVE, .base = KERNEL, .count = 256 };
	struct symbols_error error;
	struct symbols *s = symbols_new();
	struct memory m;
	(void)state;
	memory_make(&m, &small, 0x10000);
	assert_false(symbols_find_kallsyms(s, read_memory, &m, &error));
	memset(m.bytes, 0, m.size);
	assert_false(symbols_find_kallsyms(s, read_memory, &m, &error));
	assert_non_null(strstr(error.text, "kallsyms"));
	m.size = 0;
	assert_false(symbols_find_kallsyms(s, read_memory, &m, &error));
	assert_int_equal(symbols_count(s), 0);
	free(m.bytes);
	symbols_free(s);
}

static void a_spoilt_table_is_found_or_refused(void **state)
{
	const struct kallsyms_layout layout = { .form = KALLSYMS_RELATIVE, .base = KERNEL, .count = 700 };
	struct symbols_error error;
	struct memory m;
	unsigned found = 0, refused = 0;
	unsigned long rounds = test_rounds(600);
	const size_t at = 0x10000;
	size_t size = memory_make(&m, &layout, at);
	uint8_t *good = malloc(size);
	(void)state;
	memcpy(good, m.bytes + at, size);
	for (unsigned long k = 0; k < rounds; k++) {
		struct symbols *s = symbols_new();
		memcpy(m.bytes + at, good, size);
		for (int changes = rand() % 3 + 1; changes; changes--)
			m.bytes[at + (size_t)rand() % size] = (uint8_t)rand();
		if (k % 5 == 0)
			m.size = at + (size_t)rand() % size; /* the rest is not mapped */
		error.text[0] = 0;
		if (symbols_find_kallsyms(s, read_memory, &m, &error)) {
			assert_int_equal(symbols_count(s), layout.count);
			found++;
		} else {
			assert_true(error.text[0] && symbols_count(s) == 0);
			refused++;
		}
		m.size = KERNEL_BYTES;
		symbols_free(s);
	}
	assert_true(rounds < 100 || (found && refused));
	free(good);
	free(m.bytes);
}

/* The worst that a guest can put there: tokens that are fine, and before them nothing but words that may be markers, and
 * names that almost are ones. */
static void a_guest_cannot_make_the_search_long(void **state)
{
	const struct kallsyms_layout layout = { .form = KALLSYMS_RELATIVE, .base = KERNEL, .count = 300 };
	struct symbols_error error;
	struct memory m;
	if (getenv("TEST_VALGRIND"))
		skip(); /* it is about time */
	uint8_t *table = calloc(1, 65536);
	struct timespec before, after;
	struct symbols *s = symbols_new();
	size_t size = kallsyms_make(&layout, table, 65536), tokens = 0;
	(void)state;
	for (size_t k = 0; k + 20 < size; k++)
		if (memcmp(table + k, "0\0001\0002\0003", 7) == 0)
			tokens = k;
	assert_true(tokens > 0);
	memory_make(&m, &layout, 0);
	/* 0, 600 again and again: two markers; 600 and 0 as numbers of names and as names are not far from right. */
	for (size_t k = 0; k + 8 <= m.size; k += 8)
		memcpy(m.bytes + k, (uint32_t[2]){ 0, 600 }, 8);
	for (unsigned k = 1; k < 20; k++) /* more candidates than are looked at */
		memcpy(m.bytes + k * 100000, table + tokens - 400, size - tokens + 400);
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_false(symbols_find_kallsyms(s, read_memory, &m, &error));
	clock_gettime(CLOCK_MONOTONIC, &after);
	if (after.tv_sec - before.tv_sec > 20)
		fail_msg("it took %ld seconds", (long)(after.tv_sec - before.tv_sec));
	assert_true(m.read < 4000u << 20);
	free(table);
	free(m.bytes);
	symbols_free(s);
}

static void want_some(void *user)
{
	struct symbols_error error;
	struct symbols *s = user;
	load_text(s, "1000 T on_demand\n", &error);
}

static void names_are_looked_for_when_the_first_one_is_wanted(void **state)
{
	struct symbols *s = symbols_new();
	uint32_t address;
	(void)state;
	symbols_on_demand(s, want_some, s);
	assert_int_equal(symbols_count(s), 0);
	assert_true(symbols_find(s, "on_demand", &address) && address == 0x1000);
	symbols_replace(s, symbols_new());
	expect_name(s, 0x1004, "on_demand+0x4");
	symbols_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_gives_names_and_addresses),
		cmocka_unit_test(what_is_no_map_is_refused_and_nothing_is_added),
		cmocka_unit_test(an_elf_file_that_was_written_is_read_again),
		cmocka_unit_test(an_elf_symbols_size_is_where_it_ends),
		cmocka_unit_test(a_spoilt_elf_file_is_read_or_refused),
		cmocka_unit_test(a_name_has_nothing_that_a_terminal_obeys),
		cmocka_unit_test(an_elf_file_cannot_make_the_reading_long),
		cmocka_unit_test(a_kernels_own_table_is_found_in_each_form),
		cmocka_unit_test(memory_without_a_table_is_refused),
		cmocka_unit_test(a_spoilt_table_is_found_or_refused),
		cmocka_unit_test(a_guest_cannot_make_the_search_long),
		cmocka_unit_test(names_are_looked_for_when_the_first_one_is_wanted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
