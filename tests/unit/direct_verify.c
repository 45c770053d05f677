/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/direct_verify.c - whatever the direct engine makes of a guest's bytes keeps to its world: garbage, each
 * opcode with each ModRM, blocks that were linked and killed; and the proof (direct/verify.c) sees what does not.
 *
 *   1. An engine      that only translates
 *   2. Translating
 *   3. Much code
 *   4. Broken code
 *
 *   FUZZ_SEED=s, FUZZ_SEEDS=n    which garbage
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "direct/internal.h"
#include "tests/lib/direct_rig.h"
#include "tests/lib/tap.h"

/* ---- 1. An engine --------------------------------------------------------------------------- */

static struct direct_rig *rig;
static struct direct *d;
static uint64_t random_state;

static uint32_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 16);
}
static bool one_in(uint32_t n) { return draw() % n == 0; }

static int make_engine(void **state)
{
	static const struct direct_rig_config config = { .name = "verify", .direct_options = DIRECT_OPT_ALL,
		.cpu_options = CPU_OPT_ALL, .um_options = UM_OPT_ALL, .worlds = 2 };
	static struct program program;
	const struct program_config start = { .kind = PROGRAM_MIXED, .seed = 1 };
	const char *why;

	(void)state;
	rig = direct_rig_new(&config, &why);
	if (!rig) {
		print_message("# no engine: %s\n", why);
		return 0;
	}
	d = rig->direct.direct;
	program_make(&program, &start);
	cpu_reset(rig->direct.cpu);
	cpu_set_state(rig->direct.cpu, &program.state);
	return 0;
}

static int free_engine(void **state)
{
	(void)state;
	if (rig)
		direct_rig_free(rig);
	rig = NULL;
	return 0;
}

static void harden_all(void)
{
	memset(d->soft, 0, SOFT_SLOTS * sizeof(*d->soft));
	d->soft_count = 0;
}

static void need_engine(void)
{
	if (!rig)
		skip();
	cache_flush(d);
	harden_all();
	d->options = DIRECT_OPT_ALL;
	d->config.exact = false;
	random_state = 0x9E3779B97F4A7C15u;
}

/* ---- 2. Translating ------------------------------------------------------------------------- */

#define FRAME (DR_CODE / UM_PAGE_SIZE) /* where the bytes are */

static uint8_t *page_bytes(void) { return rig->direct.ram + (size_t)FRAME * UM_PAGE_SIZE; }

/* A mode that blocks are made for. */
static unsigned any_mode(void) { return draw() % MODES; }

static struct block *translate_at(uint32_t linear_page, uint32_t offset, unsigned mode)
{
	return translate(d, linear_page * UM_PAGE_SIZE + offset, page_bytes() + offset, mode);
}

/* Instructions at odd places look pages up. */
static void soften(uint32_t offset) { heat_up(d, FRAME, offset, UINT8_MAX, false); }

static void assert_proof(void)
{
	char why[256];

	if (direct_verify(d, why, sizeof(why)))
		return;
	print_message("# %s\n", why);
	fail();
}

/* As running would: links are set and given up, code is written. */
static void stir(void)
{
	for (uint32_t n = 1; n < d->link_count; n++) {
		struct block_link *l = &d->links[n];
		const struct block *to = &d->blocks[1 + draw() % (d->block_count - 1)];
		if (l->block && d->blocks[l->block].dead)
			continue;
		if (one_in(2) && to->mode == l->mode && !to->dead)
			link_to(d, l, to);
		else if (l->far && !l->linked && one_in(2))
			redirect_link(d, l);
	}
	for (uint32_t n = 1; n < d->block_count; n++)
		if (one_in(4) && !d->blocks[n].dead)
			kill_translation(d, &d->blocks[n]);
}

/* ---- 3. Much code --------------------------------------------------------------------------- */

static void make_garbage(void)
{
	static const uint8_t usual[] = { 0x0F, 0x66, 0x65, 0x64, 0xF3, 0xF2, 0x67, 0xF0, 0xFF, 0xA5, 0xAB, 0xD9, 0xDD,
		                         0x24, 0x44, 0x8B, 0x89, 0xE8, 0xC3, 0x9C, 0x9D, 0xFB, 0xC1, 0x6F, 0x7F };
	uint8_t *bytes = page_bytes();

	for (uint32_t n = 0; n < UM_PAGE_SIZE; n++)
		bytes[n] = one_in(3) ? usual[draw() % sizeof(usual)] : (uint8_t)draw();
}

static void translate_garbage(uint64_t seed)
{
	random_state = seed * 0x9E3779B97F4A7C15u | 1;
	cache_flush(d);
	d->options = one_in(2) ? DIRECT_OPT_ALL : draw() & DIRECT_OPT_ALL;
	d->config.exact = one_in(4);
	make_garbage();
	for (unsigned n = 0; n < 600; n++) {
		uint32_t offset = draw() % UM_PAGE_SIZE;
		if (one_in(2))
			soften(offset);
		translate_at(one_in(2) ? FRAME : draw() % WORLD_PAGES, offset, any_mode());
	}
	assert_proof();
	stir();
	assert_proof();
	harden_all();
}

static void garbage_keeps_to_its_world(void **state)
{
	const char *first = getenv("FUZZ_SEED"), *count = getenv("FUZZ_SEEDS");
	uint64_t from = first ? strtoull(first, NULL, 0) : 1;
	uint64_t seeds = count ? strtoull(count, NULL, 0) : test_rounds(400);

	(void)state;
	need_engine();
	for (uint64_t seed = from; seed < from + seeds; seed++)
		translate_garbage(seed);
}

/* An instruction of these bytes, in a place of its own. */
static void translate_one(uint32_t at, const uint8_t *prefix, bool two, unsigned opcode, unsigned modrm)
{
	uint8_t *bytes = page_bytes() + at;

	for (; *prefix; prefix++)
		*bytes++ = *prefix;
	if (two)
		*bytes++ = 0x0F;
	*bytes++ = (uint8_t)opcode;
	*bytes++ = (uint8_t)modrm;
	for (unsigned n = 0; n < 9; n++)
		*bytes++ = (uint8_t)draw();
	*bytes = 0xC3;
	translate_at(FRAME, at, any_mode());
}

static void opcodes_behind(const uint8_t *prefix, unsigned step)
{
	for (unsigned which = draw() % step; which < 2 * 256 * 256; which += step) {
		uint32_t at = draw() % 200 * 16;
		if (one_in(2))
			soften(at);
		translate_one(at, prefix, which & 1, which >> 1 & 0xFF, which >> 9);
		if (d->block_count < 20000)
			continue;
		assert_proof();
		cache_flush(d);
		harden_all();
	}
}

static void each_opcode_with_each_modrm_keeps_to_its_world(void **state)
{
	static const char *const prefixes[] = { "", "\x66", "\xF2", "\xF3", "\x65", "\x64\x66", "\xF0", "\x67", "\x66\xF3", "\x26" };
	unsigned step = test_rounds(100) >= 100 ? 3 : 331;

	(void)state;
	need_engine();
	for (unsigned n = 0; n < sizeof(prefixes) / sizeof(prefixes[0]); n++)
		opcodes_behind((const uint8_t *)prefixes[n], step);
	assert_proof();
}

/* ---- 4. Broken code ------------------------------------------------------------------------- */

/* A block of `count` bytes of guest code. */
static struct block *block_of(const uint8_t *code, size_t count)
{
	struct block *b;

	memcpy(page_bytes(), code, count);
	b = translate_at(FRAME, 0, 0);
	assert_non_null(b);
	assert_proof();
	return b;
}

static uint8_t *host_code(const struct block *b, unsigned insn)
{
	return d->code + d->to_write + b->code + d->points[b->points + insn].host;
}

static void assert_refused(const char *what)
{
	char why[256];

	if (!direct_verify(d, why, sizeof(why)))
		return;
	print_message("# not seen: %s\n", what);
	fail();
}

/* Instructions among others, each of one byte, that are in order. */
static const struct { const char *what, *bytes; unsigned count; } broken[] = {
#define BYTES(what, s) { what, s, sizeof(s) - 1 }
	BYTES("syscall", "\x0F\x05"),
	BYTES("sysenter", "\x0F\x34"),
	BYTES("int $0x80", "\xCD\x80"),
	BYTES("int3 where code comes by", "\xCC"),
	BYTES("icebp", "\xF1"),
	BYTES("hlt", "\xF4"),
	BYTES("in", "\xEC"),
	BYTES("out", "\xE6\x80"),
	BYTES("cli", "\xFA"),
	BYTES("rdmsr", "\x0F\x32"),
	BYTES("swapgs", "\x0F\x01\xF8"),
	BYTES("wrgsbase %rax", "\xF3\x48\x0F\xAE\xD8"),
	BYTES("wrfsbase %eax", "\xF3\x0F\xAE\xD0"),
	BYTES("wrpkru", "\x0F\x01\xEF"),
	BYTES("xrstor %gs:(%ebx)", "\x65\x67\x0F\xAE\x2B"),
	BYTES("ldmxcsr %gs:(%ebx)", "\x65\x67\x0F\xAE\x13"),
	BYTES("mov %eax, %ds", "\x8E\xD8"),
	BYTES("mov %eax, %gs", "\x8E\xE8"),
	BYTES("mov %cr0, %rax", "\x0F\x20\xC0"),
	BYTES("mov %rax, %dr7", "\x0F\x23\xF8"),
	BYTES("mov (%rbx), %eax", "\x8B\x03"),
	BYTES("mov (%ebx), %eax", "\x67\x8B\x03"),
	BYTES("mov %gs:(%rbx), %eax", "\x65\x8B\x03"),
	BYTES("mov %fs:(%ebx), %eax", "\x64\x67\x8B\x03"),
	BYTES("mov 0(%rip), %eax", "\x8B\x05\x00\x00\x00\x00"),
	BYTES("mov (%rsp), %eax", "\x8B\x04\x24"),
	BYTES("mov %eax, HOT_FLAGS(%r15)", "\x41\x89\x47\x18"),
	BYTES("mov 0x1000(%r15), %eax", "\x41\x8B\x87\x00\x10\x00\x00"),
	BYTES("mov -4(%r15), %eax", "\x41\x8B\x47\xFC"),
	BYTES("mov 24(%r15, %rax), %eax", "\x41\x8B\x44\x07\x18"),
	BYTES("mov HOT_C_RSP(%r15), %r8", "\x4D\x8B\x47\x08"),
	BYTES("mov (%r8), %eax", "\x41\x8B\x00"),
	BYTES("mov HOT_CPU(%r15), %r8; mov %eax, (%r8)", "\x4D\x8B\x07\x41\x89\x00"),
	BYTES("mov HOT_CPU(%r15), %r8; mov 0x10000000(%r8), %eax", "\x4D\x8B\x07\x41\x8B\x80\x00\x00\x00\x10"),
	BYTES("mov HOT_CPU(%r15), %r8; lea (%r8, %rsi), %rsi", "\x4D\x8B\x07\x49\x8D\x34\x30"),
	BYTES("mov (%r13), %eax", "\x41\x8B\x45\x00"),
	BYTES("mov %eax, (%r13, %r9, 8)", "\x43\x89\x44\xCD\x00"),
	BYTES("jmp *(%r14, %r9, 8)", "\x43\xFF\x24\xCE"),
	BYTES("jmp *%rax", "\xFF\xE0"),
	BYTES("call *HOT_STUB_MISS(%r15)", "\x41\xFF\x57\x58"),
	BYTES("jmp *HOT_TARGET(%r15)", "\x41\xFF\x67\x40"),
	BYTES("mov $0x7FFF, %r9d; jmp *HOT_STUB_FALLBACK(%r15)", "\x41\xB9\xFF\x7F\x00\x00\x41\xFF\x67\x48"),
	BYTES("ljmp *%gs:(%ebx)", "\x65\x67\xFF\x2B"),
	BYTES("iretq", "\x48\xCF"),
	BYTES("ret $8", "\xC2\x08\x00"),
	BYTES("jmp into the middle of the next", "\xEB\x01\x66\xB8\xF8\xF8"),
	BYTES("jmp backwards", "\xEB\xFD"),
	BYTES("jmp far away", "\xE9\x00\x00\x00\x01"),
	BYTES("push %rax", "\x50"),
	BYTES("pop %rsp", "\x5C"),
	BYTES("popf", "\x9D"),
	BYTES("std", "\xFD"),
	BYTES("leave", "\xC9"),
	BYTES("xlat", "\xD7"),
	BYTES("mov %rax, %r15", "\x49\x89\xC7"),
	BYTES("mov %eax, %r13d", "\x41\x89\xC5"),
	BYTES("mov %al, %r14b", "\x41\x88\xC6"),
	BYTES("mov %eax, %esp", "\x89\xC4"),
	BYTES("add $1, %rax", "\x48\x83\xC0\x01"),
	BYTES("add $1, %r12", "\x49\x83\xC4\x01"),
	BYTES("xchg %rax, %rbx", "\x48\x93"),
	BYTES("movabs", "\x48\xB8\x00\x00\x00\x00\x00\x00\x00\x00"),
	BYTES("cltq", "\x48\x98"),
	BYTES("mov %r11, %rcx of nothing known", "\x4C\x89\xD9"),
	BYTES("mov HOT_CPU(%r15), %rax", "\x49\x8B\x07"),
	BYTES("movsb of the guest's registers", "\xA4"),
	BYTES("stosb", "\xAA"),
	BYTES("maskmovdqu", "\x66\x0F\xF7\xC1"),
	BYTES("movd %eax, %xmm8", "\x66\x44\x0F\x6E\xC0"),
	BYTES("vmovups %ymm0, %gs:(%ebx)", "\x65\x67\xC5\xFC\x11\x03"),
	BYTES("a world's address that stays", "\x4D\x8B\x87\xA0\x00\x00\x00\x49\x8D\x34\x30"),
#undef BYTES
};

#define PLAIN 0xF8 /* CLC: the same for the host, and one byte */

static void broken_instructions_are_seen(void **state)
{
	uint8_t code[33];
	struct block *b;

	(void)state;
	need_engine();
	memset(code, PLAIN, 32);
	code[32] = 0xC3;
	b = block_of(code, sizeof(code));
	for (unsigned n = 0; n < sizeof(broken) / sizeof(broken[0]); n++) {
		uint8_t *host = host_code(b, 8);
		memcpy(host, broken[n].bytes, broken[n].count);
		b->insns = 8; /* what is overwritten is no instruction's start any more */
		assert_refused(broken[n].what);
		memset(host, PLAIN, 16);
		b->insns = 33;
		assert_proof();
	}
}

/* What the translator gave, but for one byte. */
static void assert_byte_counts(struct block *b, const char *what, const uint8_t *pattern, size_t count, size_t at, uint8_t value)
{
	uint8_t *code = d->code + d->to_write + b->code, *found = memmem(code, b->code_bytes, pattern, count), old;

	assert_non_null(found);
	old = found[at];
	found[at] = value;
	assert_refused(what);
	found[at] = old;
	assert_proof();
}

static void broken_lookups_are_seen(void **state)
{
	static const uint8_t store[] = { 0x89, 0x03, 0xC3 }; /* mov %eax, (%ebx); ret */
	static const uint8_t je[] = { 0x74, 10 }, cmp[] = { 0x47, 0x3B, 0x54, 0xCD, 4 }, lea[] = { 0x45, 0x8D, 0x50, 3 },
			     mask[] = { 0xC4, 0x42, 0x3A, 0xF5, 0x4F, HOT_MASK_TLB },
			     and[] = { 0x41, 0x81, 0xE2, 0x00, 0xF0 }, twice[] = { 0x45, 0x01, 0xC9 },
			     addend[] = { 0x4F, 0x8B, 0x54, 0xCD, 8 };
	struct block *b;

	(void)state;
	need_engine();
	soften(0);
	b = block_of(store, sizeof(store));
	assert_byte_counts(b, "other pages are accessed", je, sizeof(je), 0, 0x75);
	assert_byte_counts(b, "the way out is gone", je, sizeof(je), 1, 0);
	assert_byte_counts(b, "a store where only reading was asked about", cmp, sizeof(cmp), 4, 0);
	assert_byte_counts(b, "fewer bytes asked about than stored", lea, sizeof(lea), 3, 2);
	assert_byte_counts(b, "a slot without bounds", mask, sizeof(mask), 5, HOT_MASK_JUMP);
	assert_byte_counts(b, "a page of another size", and, sizeof(and), 4, 0xE0);
	assert_byte_counts(b, "an index of half the size", twice, sizeof(twice), 1, 0x89);
	assert_byte_counts(b, "a tag for an addend", addend, sizeof(addend), 4, 0);
}

static void broken_ways_in_are_seen(void **state)
{
	static const uint8_t code[] = { 0x89, 0x03, 0x0F, 0xA2, 0xC3 }; /* mov %eax, (%ebx); cpuid; ret */
	struct block *b;
	uint32_t old;

	(void)state;
	need_engine();
	b = block_of(code, sizeof(code));
	for (uint32_t n = 1; n < d->fallback_count; n++) {
		old = d->fallbacks[n].resume;
		d->fallbacks[n].resume = b->code + b->entry + 1;
		assert_refused("a fallback that goes on in the middle");
		d->fallbacks[n].resume = old;
	}
	b->entry++;
	assert_refused("an entry in the middle");
	b->entry--;
	d->hot.mask_tlb *= 2;
	assert_refused("a mask that is too wide");
	d->hot.mask_tlb /= 2;
	d->hot.p_rsp -= 8;
	memset(d->return_stack + UM_PAGE_SIZE + RETURN_STACK_BYTES - 8, 0, 8);
	assert_refused("a return to nowhere");
	invalidate_returns(d);
	assert_proof();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_keeps_to_its_world),
		cmocka_unit_test(each_opcode_with_each_modrm_keeps_to_its_world),
		cmocka_unit_test(broken_instructions_are_seen),
		cmocka_unit_test(broken_lookups_are_seen),
		cmocka_unit_test(broken_ways_in_are_seen),
	};
	return cmocka_run_group_tests(tests, make_engine, free_engine);
}
