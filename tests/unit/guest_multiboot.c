/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/guest_multiboot.c - multiboot 1 kernels: where they land, what they are told, what is refused.
 *
 *   1. Images
 *   2. Loading
 *   3. Information
 *   4. Refusals
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/image.h"
#include "tests/lib/tap.h"

/* ---- 1. Images ------------------------------------------------------------------------------ */

#define MAGIC 0x1BADB002u

static void put_header(struct made *m, size_t at, uint32_t flags)
{
	made_word(m, at, MAGIC);
	made_word(m, at + 4, flags);
	made_word(m, at + 8, 0u - MAGIC - flags);
}

/* By address fields: loaded from file offset 16 to 1 MiB, 64 bytes and a bss up to 4 KiB. */
static void make_fields(struct made *m)
{
	memset(m, 0, sizeof *m);
	for (uint8_t k = 0; k < 128; k++)
		made_copy(m, k, &k, 1);
	put_header(m, 32, 1u << 16 | 3);
	made_word(m, 44, 0x100010);  /* header_addr */
	made_word(m, 48, 0x100000);  /* load_addr */
	made_word(m, 52, 0x100040);  /* load_end_addr */
	made_word(m, 56, 0x101000);  /* bss_end_addr */
	made_word(m, 60, 0x100020);  /* entry_addr */
}

/* ---- 2. Loading ----------------------------------------------------------------------------- */

static void address_fields_say_where(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 4u << 20);
	make_fields(&m);
	assert_true(loading_run(&l, &m));
	assert_int_equal(l.kind, IMAGE_MULTIBOOT);
	assert_int_equal(l.start.eip, 0x100020);
	assert_int_equal(l.start.gpr[CPU_EAX], 0x2BADB002);
	assert_memory_equal(l.request.ram + 0x100000, m.bytes + 16, 64);
	for (size_t k = 0x100040; k < 0x101000; k++)
		assert_int_equal(l.request.ram[k], 0);
	assert_int_equal(l.request.ram[0x101000], PATTERN);
	loading_end(&l);
}

static void the_processor_starts_as_the_specification_says(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 4u << 20);
	make_fields(&m);
	assert_true(loading_run(&l, &m));
	assert_int_equal(l.start.cr0 & 0x80000001u, 1); /* PE, not PG */
	assert_int_equal(l.start.eflags & 0x20200u, 0); /* neither VM nor IF */
	for (unsigned k = 0; k < 6; k++) {
		assert_int_equal(l.start.seg[k].base, 0);
		assert_int_equal(l.start.seg[k].limit, 0xFFFFFFFF);
		assert_int_equal(l.start.seg[k].attr & 0xFF, k == CPU_CS ? 0x9B : 0x93);
	}
	loading_end(&l);
}

static void elf_goes_to_physical_addresses_and_a_virtual_entry_follows(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 4u << 20);
	make_elf(&m, 0x200000, 0xC0200000, 0xC0200004);
	put_header(&m, 0x200, 3);
	assert_true(loading_run(&l, &m));
	assert_int_equal(l.kind, IMAGE_MULTIBOOT);
	assert_int_equal(l.start.eip, 0x200004);
	assert_memory_equal(l.request.ram + 0x200000, ELF_CODE, 8);
	assert_memory_equal(l.request.ram + 0x201000, "DATADATA\0\0\0\0", 12);
	assert_int_equal(ram_word(&l, 0x201000 + 60), 0);
	loading_end(&l);
}

/* ---- 3. Information ------------------------------------------------------------------------- */

static void modules_lines_and_the_memory_map_are_told(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 4u << 20);
	make_fields(&m);
	const struct guest_module modules[2] = {
		{ loading_file(&l, 1, "first module", 12), "one 1" },
		{ loading_file(&l, 2, "second", 6), NULL },
	};
	l.request.modules = modules;
	l.request.module_count = 2;
	l.request.command_line = "kernel words";
	assert_true(loading_run(&l, &m));
	uint32_t info = l.start.gpr[CPU_EBX];
	const char *ram = (const char *)l.request.ram;
	assert_int_equal(ram_word(&l, info) & 0x24D, 0x24D); /* memory, line, modules, map, name */
	assert_int_equal(ram_word(&l, info + 4), 639);
	assert_int_equal(ram_word(&l, info + 8), 3 * 1024);
	assert_string_equal(ram + ram_word(&l, info + 16), "kernel words");
	assert_int_equal(ram_word(&l, info + 20), 2);
	uint32_t list = ram_word(&l, info + 24);
	uint32_t first = ram_word(&l, list), second = ram_word(&l, list + 16);
	assert_int_equal(first % 4096, 0);
	assert_int_equal(second % 4096, 0);
	assert_true(first >= 0x101000); /* behind the kernel's bss */
	assert_int_equal(ram_word(&l, list + 4) - first, 12);
	assert_memory_equal(ram + first, "first module", 12);
	assert_memory_equal(ram + second, "second", 6);
	assert_string_equal(ram + ram_word(&l, list + 8), "one 1");
	assert_string_equal(ram + ram_word(&l, list + 24), "");
	assert_string_equal(ram + ram_word(&l, info + 64), "umbra");
	loading_end(&l);
}

static void the_memory_map_is_sorted_and_ends_with_memory(void **state)
{
	static struct made m;
	struct loading l;
	uint64_t end = 0, high = 0;
	(void)state;
	loading_start(&l, 8u << 20);
	make_fields(&m);
	assert_true(loading_run(&l, &m));
	uint32_t info = l.start.gpr[CPU_EBX];
	uint32_t at = ram_word(&l, info + 48), last = at + ram_word(&l, info + 44);
	assert_true(last > at);
	while (at < last) {
		uint64_t base = ram_word(&l, at + 4), bytes = ram_word(&l, at + 12);
		assert_int_equal(ram_word(&l, at + 8), 0);
		assert_true(base >= end);
		end = base + bytes;
		if (ram_word(&l, at + 20) == 1)
			high = end;
		at += ram_word(&l, at) + 4;
	}
	assert_int_equal(at, last);
	assert_int_equal(high, 8u << 20);
	loading_end(&l);
}

static void information_avoids_a_kernel_in_low_memory(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 4u << 20);
	make_elf(&m, 0x10000, 0x10000, 0x10000);
	put_header(&m, 0x200, 3);
	l.request.command_line = "words";
	assert_true(loading_run(&l, &m));
	assert_memory_equal(l.request.ram + 0x10000, ELF_CODE, 8);
	assert_true(l.start.gpr[CPU_EBX] >= 0x100000);
	loading_end(&l);
}

/* ---- 4. Refusals ---------------------------------------------------------------------------- */

static void refuse_made(const struct made *m, const char *word)
{
	struct loading l;
	loading_start(&l, 2u << 20);
	assert_false(loading_run(&l, m));
	assert_non_null(strstr(l.error.text, word));
	assert_null(strchr(l.error.text, '\n'));
	assert_true(loading_untouched(&l, 0, 0));
	loading_end(&l);
}

static void impossible_fields_are_refused_before_a_byte_is_written(void **state)
{
	static const struct { size_t at; uint32_t value; const char *word; } bad[] = {
		{ 44, 0x0FFFFF, "load address" }, { 44, 0x100100, "load address" },
		{ 52, 0x100000, "load end" },     { 52, 0x110000, "load end" },
		{ 56, 0x100001, "bss end" },      { 56, 0xFFFFFFFF, "memory" },
		{ 60, 0xFFFFFFF0, "entry" },      { 60, 0x200000, "entry" },
	};
	static struct made m;
	(void)state;
	for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
		make_fields(&m);
		made_word(&m, bad[k].at, bad[k].value);
		refuse_made(&m, bad[k].word);
	}
}

static void unknown_requirements_are_refused(void **state)
{
	static struct made m;
	(void)state;
	make_elf(&m, 0x100000, 0x100000, 0x100000);
	put_header(&m, 0x200, 3 | 1u << 5);
	refuse_made(&m, "unknown multiboot features");
}

static void a_header_too_far_or_out_of_step_is_none(void **state)
{
	static struct made m;
	struct guest_error error;
	struct loading l;
	(void)state;
	loading_start(&l, 2u << 20);
	static const size_t at[] = { 8192, 8184, 0x202 };
	for (size_t k = 0; k < 3; k++) {
		make_elf(&m, 0x100000, 0x100000, 0x100000);
		put_header(&m, at[k], 3);
		loading_file(&l, 0, m.bytes, m.size);
		assert_int_equal(guest_identify(l.path[0], &error), IMAGE_ELF_LINUX);
	}
	put_header(&m, 8180, 3);
	loading_file(&l, 0, m.bytes, m.size);
	assert_int_equal(guest_identify(l.path[0], &error), IMAGE_MULTIBOOT);
	loading_end(&l);
}

static void a_multiboot_2_kernel_is_told_so(void **state)
{
	static const uint32_t header[4] = { 0xE85250D6, 0, 24, 0u - 0xE85250D6u - 24u };
	static const struct { size_t at; enum image_kind kind; } where[] = {
		{ 0x200, IMAGE_MULTIBOOT2 }, { 32752, IMAGE_MULTIBOOT2 }, { 32760, IMAGE_ELF_LINUX },
		{ 0x204, IMAGE_ELF_LINUX },
	};
	static struct made m;
	struct guest_error error;
	struct loading l;
	(void)state;
	loading_start(&l, 2u << 20);
	for (size_t k = 0; k < sizeof where / sizeof where[0]; k++) {
		make_elf(&m, 0x100000, 0x100000, 0x100000);
		for (size_t n = 0; n < 4; n++)
			made_word(&m, where[k].at + 4 * n, header[n]);
		loading_file(&l, 0, m.bytes, m.size);
		assert_int_equal(guest_identify(l.path[0], &error), where[k].kind);
	}
	make_elf(&m, 0x100000, 0x100000, 0x100000);
	for (size_t n = 0; n < 4; n++)
		made_word(&m, 0x200 + 4 * n, header[n]);
	refuse_made(&m, "a multiboot 2 header; only multiboot 1 is supported");
	put_header(&m, 0x300, 3); /* both: what is supported is used */
	loading_file(&l, 0, m.bytes, m.size);
	assert_int_equal(guest_identify(l.path[0], &error), IMAGE_MULTIBOOT);
	make_elf(&m, 0x100000, 0x100000, 0x100000);
	for (size_t n = 0; n < 4; n++)
		made_word(&m, 0x200 + 4 * n, header[n] + (n == 3)); /* its sum is wrong: chance */
	loading_file(&l, 0, m.bytes, m.size);
	assert_int_equal(guest_identify(l.path[0], &error), IMAGE_ELF_LINUX);
	loading_end(&l);
}

static void no_damage_to_the_file_does_harm(void **state)
{
	static struct made good, m;
	struct loading l;
	(void)state;
	loading_start(&l, 2u << 20);
	srand(1);
	for (unsigned long k = test_rounds(20000); k; k--) {
		if (k & 1)
			make_fields(&good);
		else
			make_elf(&good, 0x100000, 0xC0100000, 0x100000), put_header(&good, 0x200, 3);
		m = good;
		for (int n = 1 + rand() % 3; n; n--)
			m.bytes[(size_t)rand() % m.size] = (uint8_t)rand();
		if (rand() % 4 == 0)
			m.size = 1 + (size_t)rand() % m.size;
		if (!loading_run(&l, &m))
			assert_true(l.error.text[0]);
	}
	loading_end(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(address_fields_say_where),
		cmocka_unit_test(the_processor_starts_as_the_specification_says),
		cmocka_unit_test(elf_goes_to_physical_addresses_and_a_virtual_entry_follows),
		cmocka_unit_test(modules_lines_and_the_memory_map_are_told),
		cmocka_unit_test(the_memory_map_is_sorted_and_ends_with_memory),
		cmocka_unit_test(information_avoids_a_kernel_in_low_memory),
		cmocka_unit_test(impossible_fields_are_refused_before_a_byte_is_written),
		cmocka_unit_test(unknown_requirements_are_refused),
		cmocka_unit_test(a_header_too_far_or_out_of_step_is_none),
		cmocka_unit_test(a_multiboot_2_kernel_is_told_so),
		cmocka_unit_test(no_damage_to_the_file_does_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
