/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/guest_linux.c - the Linux boot protocol: what the kernel finds, and every compression.
 *
 *   1. Parameters    ESI's page, command line, memory map, initrd
 *   2. Unpacking     gzip, xz, zstd, lz4, lzma here; others in the guest
 *   3. Refusals
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lz4hc.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "tests/lib/image.h"
#include "tests/lib/tap.h"

/* ---- 1. Parameters -------------------------------------------------------------------------- */

static void the_kernel_finds_its_parameters(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 8u << 20);
	make_bzimage(&m, 0x20C, "\xFA\xF4 the kernel", 13);
	l.request.command_line = "console=ttyS0 quiet";
	assert_true(loading_run(&l, &m));
	assert_int_equal(l.kind, IMAGE_BZIMAGE);
	assert_int_equal(l.start.eip, 0x100000);
	assert_int_equal(l.start.eflags & 0x200, 0);
	assert_int_equal(l.start.seg[CPU_CS].selector, 0x10);
	assert_int_equal(l.start.seg[CPU_DS].selector, 0x18);
	assert_int_equal(l.start.gpr[CPU_EBX] | l.start.gpr[CPU_EBP] | l.start.gpr[CPU_EDI], 0);
	assert_memory_equal(l.request.ram + 0x100000, "\xFA\xF4 the kernel", 13);
	uint32_t params = l.start.gpr[CPU_ESI];
	/* The setup header is the kernel's own but for what a loader fills in. */
	assert_memory_equal(l.request.ram + params + 0x1F1, m.bytes + 0x1F1, 0x1FA - 0x1F1);
	assert_memory_equal(l.request.ram + params + 0x1FE, m.bytes + 0x1FE, 0x210 - 0x1FE);
	assert_int_equal(l.request.ram[params + 0x210], 0xFF);
	assert_string_equal((char *)l.request.ram + ram_word(&l, params + 0x228), "console=ttyS0 quiet");
	assert_int_equal(ram_word(&l, params + 0x21C), 0); /* no ramdisk */
	assert_int_equal(l.request.ram[params + 0x0F], 0); /* no screen */
	assert_int_equal(l.request.ram[params + 0x1EF], 0); /* the sentinel: we filled the page ourselves */
	loading_end(&l);
}

static void the_descriptor_table_in_memory_is_what_the_segments_say(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 4u << 20);
	make_bzimage(&m, 0x20C, "kernel", 6);
	assert_true(loading_run(&l, &m));
	assert_true(l.start.gdtr.limit >= 0x1F);
	for (uint32_t k = 0x10; k <= 0x18; k += 8) {
		uint32_t low = ram_word(&l, l.start.gdtr.base + k);
		uint32_t high = ram_word(&l, l.start.gdtr.base + k + 4);
		const struct cpu_segment *s = &l.start.seg[k == 0x10 ? CPU_CS : CPU_DS];
		assert_int_equal(low, 0xFFFF);
		assert_int_equal(high & 0xFF0000FF, 0);
		assert_int_equal(high >> 16 & 0xF, 0xF);
		assert_int_equal(high >> 8 & 0xF0FF, s->attr);
	}
	loading_end(&l);
}

static void the_memory_map_leaves_out_the_hole(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 16u << 20);
	make_bzimage(&m, 0x20C, "kernel", 6);
	assert_true(loading_run(&l, &m));
	uint32_t map = l.start.gpr[CPU_ESI] + 0x2D0;
	assert_int_equal(l.request.ram[l.start.gpr[CPU_ESI] + 0x1E8], 4);
	static const uint32_t want[4][3] = { { 0, 0x9FC00, 1 }, { 0x9FC00, 0x400, 2 },
		                             { 0xF0000, 0x10000, 2 }, { 0x100000, 15u << 20, 1 } };
	for (uint32_t k = 0; k < 4; k++) {
		assert_int_equal(ram_word(&l, map + k * 20), want[k][0]);
		assert_int_equal(ram_word(&l, map + k * 20 + 4), 0);
		assert_int_equal(ram_word(&l, map + k * 20 + 8), want[k][1]);
		assert_int_equal(ram_word(&l, map + k * 20 + 16), want[k][2]);
	}
	loading_end(&l);
}

static void load_initrd(size_t ram_bytes, uint32_t initrd_max, uint32_t *gpa)
{
	static struct made m;
	static uint8_t initrd[10000];
	struct loading l;
	loading_start(&l, ram_bytes);
	make_bzimage(&m, 0x20C, "kernel", 6);
	made_word(&m, 0x22C, initrd_max);
	memset(initrd, 0x3C, sizeof initrd);
	l.request.initrd = loading_file(&l, 1, initrd, sizeof initrd);
	assert_true(loading_run(&l, &m));
	uint32_t params = l.start.gpr[CPU_ESI];
	*gpa = ram_word(&l, params + 0x218);
	assert_int_equal(ram_word(&l, params + 0x21C), sizeof initrd);
	assert_int_equal(*gpa % 4096, 0);
	assert_memory_equal(l.request.ram + *gpa, initrd, sizeof initrd);
	loading_end(&l);
}

static void the_initrd_is_high_but_where_the_kernel_reaches_it(void **state)
{
	uint32_t gpa;
	(void)state;
	load_initrd(8u << 20, 0x7FFFFFFF, &gpa);
	assert_int_equal(gpa, (8u << 20) - 3 * 4096);
	load_initrd(8u << 20, 0x4FFFFF, &gpa);
	assert_int_equal(gpa, 0x500000 - 3 * 4096);
	load_initrd(64u << 20, 0x37FFFFFF, &gpa);
	assert_int_equal(gpa, (64u << 20) - 3 * 4096);
}

/* ---- 2. Unpacking --------------------------------------------------------------------------- */

enum packer { GZIP, XZ, XZ_X86, LZMA, ZSTD, LZ4, PACKERS };

/* An LZMA filter chain with the small dictionary that small test data needs. */
static size_t pack_lzma(enum packer how, const void *in, size_t bytes, uint8_t *out, size_t room)
{
	lzma_options_lzma options;
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_lzma_preset(&options, 0);
	lzma_filter filters[3] = { { LZMA_FILTER_X86, NULL }, { LZMA_FILTER_LZMA2, &options },
		                   { LZMA_VLI_UNKNOWN, NULL } };
	lzma_ret ready = how == LZMA ? lzma_alone_encoder(&stream, &options)
	                             : lzma_stream_encoder(&stream, filters + (how == XZ), LZMA_CHECK_CRC32);
	assert_int_equal(ready, LZMA_OK);
	stream.next_in = in;
	stream.avail_in = bytes;
	stream.next_out = out;
	stream.avail_out = room;
	assert_int_equal(lzma_code(&stream, LZMA_FINISH), LZMA_STREAM_END);
	room = stream.total_out;
	lzma_end(&stream);
	return room;
}

static size_t pack_gzip(const void *in, size_t bytes, uint8_t *out, size_t room)
{
	z_stream stream = { 0 };
	assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	stream.next_in = (uint8_t *)(uintptr_t)in;
	stream.avail_in = (uInt)bytes;
	stream.next_out = out;
	stream.avail_out = (uInt)room;
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	room = stream.total_out;
	deflateEnd(&stream);
	return room;
}

/* As the kernel's build does: packed, then (but for gzip) the length. */
static size_t pack(enum packer how, const void *in, size_t bytes, uint8_t *out, size_t room)
{
	size_t size = 0;
	uint32_t length = (uint32_t)bytes;
	switch (how) {
	case GZIP:
		return pack_gzip(in, bytes, out, room);
	case XZ:
	case XZ_X86:
	case LZMA:
		size = pack_lzma(how, in, bytes, out, room);
		break;
	case ZSTD:
		size = ZSTD_compress(out, room, in, bytes, 19);
		assert_false(ZSTD_isError(size));
		break;
	case LZ4:
	case PACKERS:
		size = (size_t)LZ4_compress_HC(in, (char *)out + 8, (int)bytes, (int)room - 8, 9);
		memcpy(out, "\x02\x21\x4C\x18", 4);
		memcpy(out + 4, &(uint32_t){ (uint32_t)size }, 4);
		size += 8;
		break;
	}
	memcpy(out + size, &length, 4);
	return size + 4;
}

/* A bzImage around an ELF kernel at 2 MiB, with relocations behind it as the kernel's build leaves them. */
static void make_packed(struct made *m, enum packer how)
{
	static struct made elf;
	static uint8_t high[8192];
	make_elf(&elf, 0x200000, 0xC0200000, 0x200004);
	for (size_t k = 0; k < 600; k++)
		made_word(&elf, elf.size, 0xC0200000u + (uint32_t)k * 7);
	memset(high, 0x90, 64); /* the guest's own decompressor */
	size_t size = pack(how, elf.bytes, elf.size, high + 64, sizeof high - 64 - 4);
	make_bzimage(m, 0x20C, high, 64 + size);
	made_word(m, 0x248, 64);
	made_word(m, 0x24C, (uint32_t)size);
	made_word(m, 0x258, 0x200000);
	made_word(m, 0x260, 0x10000);
}

static void every_compression_is_unpacked(void **state)
{
	static struct made m;
	(void)state;
	for (enum packer how = GZIP; how < PACKERS; how++) {
		struct loading l;
		loading_start(&l, 4u << 20);
		l.request.unpack = true;
		make_packed(&m, how);
		assert_true(loading_run(&l, &m));
		assert_int_equal(l.start.eip, 0x200004);
		assert_memory_equal(l.request.ram + 0x200000, ELF_CODE, 8);
		assert_memory_equal(l.request.ram + 0x201000, "DATADATA\0\0", 10);
		assert_int_equal(l.request.ram[0x100000], PATTERN);
		loading_end(&l);
	}
}

static void what_cannot_be_unpacked_here_unpacks_itself(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	for (int how = 0; how < 3; how++) {
		loading_start(&l, 4u << 20);
		make_packed(&m, XZ);
		l.request.unpack = how != 0;
		if (how == 1)
			made_copy(&m, 2560 + 64, "BZh9", 4);
		if (how == 2)
			made_word(&m, 0x24C, 0);
		assert_true(loading_run(&l, &m));
		assert_int_equal(l.start.eip, 0x100000);
		assert_memory_equal(l.request.ram + 0x100000, m.bytes + 2560, m.size - 2560);
		loading_end(&l);
	}
}

/* ---- 3. Refusals ---------------------------------------------------------------------------- */

static void refuse_loading(struct loading *l, const struct made *m, const char *word)
{
	assert_false(loading_run(l, m));
	assert_non_null(strstr(l->error.text, word));
	assert_true(loading_untouched(l, 0, 0));
	loading_end(l);
}

static void a_damaged_payload_is_refused_before_a_byte_is_written(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	for (enum packer how = GZIP; how <= XZ_X86; how++) { /* those with a checksum */
		loading_start(&l, 4u << 20);
		l.request.unpack = true;
		make_packed(&m, how);
		m.bytes[2560 + 64 + 300] ^= 0x10;
		refuse_loading(&l, &m, "payload is bad");
	}
	for (enum packer how = GZIP; how < PACKERS; how++) {
		loading_start(&l, 4u << 20);
		l.request.unpack = true;
		make_packed(&m, how);
		made_word(&m, m.size - 4, 0xFFFFFFFF); /* a length that would take 4 GiB */
		refuse_loading(&l, &m, "payload is bad");
	}
}

static void what_does_not_fit_is_refused(void **state)
{
	static struct made m;
	static uint8_t initrd[900 << 10];
	struct loading l;
	(void)state;
	loading_start(&l, 2u << 20);
	l.request.unpack = true;
	make_packed(&m, GZIP);
	refuse_loading(&l, &m, "needs 3 MiB");

	loading_start(&l, 2u << 20);
	make_bzimage(&m, 0x20C, initrd, 50000);
	static uint8_t large[(1 << 20) - 8192];
	l.request.initrd = loading_file(&l, 1, large, sizeof large);
	refuse_loading(&l, &m, "too large");

	char line[300];
	memset(line, 'x', sizeof line - 1);
	line[sizeof line - 1] = 0;
	loading_start(&l, 2u << 20);
	make_bzimage(&m, 0x20C, "kernel", 6);
	l.request.command_line = line;
	refuse_loading(&l, &m, "command line");
}

static void sixty_four_bit_kernels_are_refused(void **state)
{
	static struct made m;
	struct loading l;
	(void)state;
	loading_start(&l, 2u << 20);
	make_bzimage(&m, 0x20C, "kernel", 6);
	made_half(&m, 0x236, 1);
	refuse_loading(&l, &m, "64-bit");
	loading_start(&l, 2u << 20);
	make_elf(&m, 0x100000, 0x100000, 0x100000);
	made_half(&m, 18, 62);
	refuse_loading(&l, &m, "64-bit");
}

static void no_damage_to_the_file_does_harm(void **state)
{
	static struct made good[PACKERS], m;
	struct loading l;
	(void)state;
	loading_start(&l, 4u << 20);
	l.request.unpack = true;
	for (enum packer how = GZIP; how < PACKERS; how++)
		make_packed(&good[how], how);
	srand(2);
	for (unsigned long k = test_rounds(6000); k; k--) {
		m = good[k % PACKERS];
		size_t reach = rand() % 2 ? m.size : 0x270;
		for (int n = 1 + rand() % 3; n; n--)
			m.bytes[(size_t)rand() % reach] = (uint8_t)rand();
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
		cmocka_unit_test(the_kernel_finds_its_parameters),
		cmocka_unit_test(the_descriptor_table_in_memory_is_what_the_segments_say),
		cmocka_unit_test(the_memory_map_leaves_out_the_hole),
		cmocka_unit_test(the_initrd_is_high_but_where_the_kernel_reaches_it),
		cmocka_unit_test(every_compression_is_unpacked),
		cmocka_unit_test(what_cannot_be_unpacked_here_unpacks_itself),
		cmocka_unit_test(a_damaged_payload_is_refused_before_a_byte_is_written),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(sixty_four_bit_kernels_are_refused),
		cmocka_unit_test(no_damage_to_the_file_does_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
