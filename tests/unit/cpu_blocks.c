/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_blocks.c - decoded code is forgotten exactly when its bytes or their place change.
 *
 * Every test runs with all optimisations, with none, and with each alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/rig.h"

static const uint32_t option_sets[] = {
	CPU_OPT_ALL, 0, CPU_OPT_BLOCKS, CPU_OPT_BLOCKS | CPU_OPT_CHAIN | CPU_OPT_FLAT, CPU_OPT_BLOCKS | CPU_OPT_FUSE,
	CPU_OPT_TLB, CPU_OPT_STRINGS, CPU_OPT_FLAT, CPU_OPT_ALL & ~(uint32_t)CPU_OPT_BLOCKS,
};

/* Run `test` on a fresh rig for each set of options. */
static void each(void (*test)(struct rig *rig))
{
	for (size_t n = 0; n < sizeof(option_sets) / sizeof(*option_sets); n++) {
		struct rig *rig = rig_new(option_sets[n]);
		test(rig);
		assert_int_equal(um_audit(rig->um).invariant, 0);
		rig_free(rig);
	}
}

static uint32_t eax(const struct rig *rig) { return rig->cpu->gpr[CPU_EAX]; }

static void run_to_hlt(struct rig *rig)
{
	assert_int_equal(rig_run(rig, 100000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), -1);
}

static void store_into_the_next_instruction(struct rig *rig)
{
	/* mov byte [next+1], 7; next: mov eax, 1; hlt */
	RIG_LOAD(rig, 0xC6, 0x05, 0x08, 0x00, 0x01, 0x00, 0x07, 0xB8, 0x01, 0x00, 0x00, 0x00, 0xF4);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 7);
}
static void a_store_into_the_running_block_takes_effect_at_once(void **state)
{
	(void)state;
	each(store_into_the_next_instruction);
}

static void store_into_what_does_nothing(struct rig *rig)
{
	/* xor eax, eax; mov byte [next], 0x40; next: nop (an inc eax now); mov ecx, 1; hlt */
	RIG_LOAD(rig, 0x31, 0xC0, 0xC6, 0x05, 0x09, 0x00, 0x01, 0x00, 0x40, 0x90, 0xB9, 0x01, 0x00, 0x00, 0x00, 0xF4);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 1);
	/* ... among several, before a branch */
	RIG_LOAD(rig, 0x31, 0xC0, 0xC6, 0x05, 0x0A, 0x00, 0x01, 0x00, 0x40, 0x90, 0x90, 0x90, 0xEB, 0x00, 0xF4);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 1);
}
static void a_store_into_an_instruction_without_a_record_takes_effect(void **state)
{
	(void)state;
	each(store_into_what_does_nothing);
}

static void loop_that_counts_in_its_code(struct rig *rig)
{
	/* mov ecx, 50; again: add eax, 0 (imm8 counts up); inc byte [again+2]; dec ecx; jnz again; hlt */
	RIG_LOAD(rig, 0xB9, 50, 0, 0, 0, 0x83, 0xC0, 0x00, 0xFE, 0x05, 0x07, 0x00, 0x01, 0x00, 0x49, 0x75, 0xF4,
	         0xF4);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 49 * 50 / 2);
}
static void a_loop_that_modifies_itself_each_time_round(void **state)
{
	(void)state;
	each(loop_that_counts_in_its_code);
}

static void loop_that_counts_in_a_last_byte(struct rig *rig)
{
	/* mov ecx, 40; again: mov dword [RIG_DATA], imm32 (its last byte counts up); mov al, [RIG_DATA+3];
	 * add ebx, eax; inc byte [again+9]; dec ecx; jnz again; hlt */
	RIG_LOAD(rig, 0x31, 0xC0, 0x31, 0xDB, 0xB9, 40, 0, 0, 0, 0xC7, 0x05, (uint8_t)RIG_DATA,
	         (uint8_t)(RIG_DATA >> 8), (uint8_t)(RIG_DATA >> 16), (uint8_t)(RIG_DATA >> 24), 0, 0, 0, 0, 0xA0,
	         (uint8_t)(RIG_DATA + 3), (uint8_t)(RIG_DATA >> 8), (uint8_t)(RIG_DATA >> 16),
	         (uint8_t)(RIG_DATA >> 24), 0x01, 0xC3, 0xFE, 0x05, 18, (uint8_t)(RIG_CODE >> 8),
	         (uint8_t)(RIG_CODE >> 16), 0x00, 0x49, 0x75, 0xE6, 0xF4);
	run_to_hlt(rig);
	assert_int_equal(rig->cpu->gpr[CPU_EBX], 39 * 40 / 2);
}
static void the_last_byte_of_a_long_instruction_counts(void **state)
{
	(void)state;
	each(loop_that_counts_in_a_last_byte);
}

static void set_code(struct rig *rig, uint32_t at, uint8_t byte)
{
	rig->ram[at] = byte;
	cpu_code_written(rig->cpu, rig->ram + at, 1);
}
static void undefined_for_a_while(struct rig *rig)
{
	/* inc eax; 0F; in the next page a byte that makes it nothing, UD2, BSWAP EAX; hlt */
	static const uint8_t code[] = { 0x40, 0x0F, 0x04, 0xF4 }, second[] = { 0x04, 0xC8, 0x0B, 0xC8 };

	for (size_t n = 0; n < sizeof(second); n++) {
		bool undefined = second[n] != 0xC8;
		rig_flat(rig, 0);
		for (uint32_t at = 0; at < sizeof(code); at++)
			set_code(rig, RIG_CODE + 0xFFE + at, at == 2 ? second[n] : code[at]);
		rig->cpu->gpr[CPU_EAX] = 0x11223343;
		rig->cpu->eip = RIG_CODE + 0xFFE;
		assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
		assert_int_equal(rig_vector(rig), undefined ? EXC_UD : -1);
		assert_int_equal(eax(rig), undefined ? 0x11223344 : 0x44332211);
	}
}
static void undefined_bytes_that_change(void **state)
{
	(void)state;
	each(undefined_for_a_while);
}

static void data_beside_code(struct rig *rig)
{
	/* The counter lies in the same page, 256 bytes on: right result, and the code stays decoded. */
	/* mov ecx, 1000; again: inc dword [code+0x100]; dec ecx; jnz again; mov eax, [code+0x100]; hlt */
	RIG_LOAD(rig, 0xB9, 0xE8, 3, 0, 0, 0xFF, 0x05, 0x00, 0x01, 0x01, 0x00, 0x49, 0x75, 0xF7, 0xA1, 0x00, 0x01,
	         0x01, 0x00, 0xF4);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 1000);
}
static void data_in_a_page_of_code(void **state)
{
	(void)state;
	each(data_beside_code);
}

static void written_from_outside(struct rig *rig)
{
	uint8_t five = 5;

	RIG_LOAD(rig, 0xB8, 1, 0, 0, 0, 0xF4);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 1);
	/* A device writes the immediate. */
	rig->ram[RIG_CODE + 1] = five;
	cpu_code_written(rig->cpu, rig->ram + RIG_CODE + 1, 1);
	rig_flat(rig, 0);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 5);
	assert_int_equal(cpu_poke(rig->cpu, RIG_CODE + 1, "\x09", 1), 1);
	rig_flat(rig, 0);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 9);
}
static void code_written_by_a_device_or_a_debugger(void **state)
{
	(void)state;
	each(written_from_outside);
}

static void written_through_an_alias(struct rig *rig)
{
	/* Linear 0x300000 is mapped to the code's frame. */
	/* mov ecx, 3; again: call f; mov byte [0x300101], 9; dec ecx; jnz again; hlt */
	static const uint8_t code[] = { 0xB9, 3, 0, 0, 0, 0xE8, 0xF6, 0x00, 0x00, 0x00, 0xC6, 0x05, 0x01, 0x01,
		                        0x30, 0x00, 0x09, 0x49, 0x75, 0xF1, 0xF4 };
	static const uint8_t function[] = { 0x04, 1, 0xC3 }; /* add al, 1; ret */

	rig_load(rig, code, sizeof(code));
	memcpy(rig->ram + RIG_CODE + 0x100, function, sizeof(function));
	rig_paging(rig);
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * 0x300, RIG_CODE | 7);
	cpu_invalidate_all(rig->cpu);
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 1 + 9 + 9);
}
static void code_written_through_an_alias(void **state)
{
	(void)state;
	each(written_through_an_alias);
}

static void string_store_over_code(struct rig *rig)
{
	/* f returns 1; REP STOSB writes NOPs over its INC; f returns 0. */
	/* call f; mov edx, eax; mov edi, f; mov ecx, 1; mov al, 0x90; rep stosb; xor eax, eax; call f; hlt */
	static const uint8_t code[] = { 0xE8, 0xFB, 0x01, 0x00, 0x00, 0x89, 0xC2, 0xBF, 0x00, 0x02, 0x01, 0x00,
		                        0xB9, 1, 0, 0, 0, 0xB0, 0x90, 0xF3, 0xAA, 0x31, 0xC0, 0xE8, 0xE4,
		                        0x01, 0x00, 0x00, 0xF4 };

	rig_load(rig, code, sizeof(code));
	memcpy(rig->ram + RIG_CODE + 0x200, "\x40\xC3", 2); /* inc eax; ret */
	run_to_hlt(rig);
	assert_int_equal(rig->cpu->gpr[CPU_EDX], 1);
	assert_int_equal(eax(rig), 0);
}
static void string_stores_over_code(void **state)
{
	(void)state;
	each(string_store_over_code);
}

/* An instruction whose first bytes are at the end of a page. */
static void crossing_instruction(struct rig *rig)
{
	uint32_t at = RIG_CODE + 0x1000 - 2;

	memcpy(rig->ram + at, "\xB8\x11\x22\x33\x44\xF4", 6); /* mov eax, 0x44332211; hlt */
	rig->cpu->eip = at;
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 0x44332211);
	/* A write to its second page only. */
	assert_int_equal(cpu_poke(rig->cpu, at + 3, "\x55", 1), 1);
	rig_flat(rig, 0);
	rig->cpu->eip = at;
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 0x44552211);
}
static void an_instruction_in_two_pages(void **state)
{
	(void)state;
	each(crossing_instruction);
}

static void crossing_with_another_second_page(struct rig *rig)
{
	uint32_t first = RIG_CODE + 0x1000, at = first - 2;

	memcpy(rig->ram + at, "\xB8\x11\x22\x33\x44\xF4", 6);
	memcpy(rig->ram + 0x50000, "\x66\x77\x88\xF4", 4); /* another rest, in another frame */
	rig_paging(rig);
	rig->cpu->eip = at;
	run_to_hlt(rig);
	assert_int_equal(eax(rig), 0x44332211);
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * (first >> 12), 0x50000 | 7);
	um_flush_page(rig->um, first);
	rig->cpu->halted = false;
	rig->cpu->eip = at;
	run_to_hlt(rig);
	assert_true(eax(rig) == 0x88776611u);
}
static void an_instruction_whose_second_page_is_mapped_elsewhere(void **state)
{
	(void)state;
	each(crossing_with_another_second_page);
}

/* The same, led to by a jump in the first page that has been taken often. */
static void link_to_a_crossing_instruction(struct rig *rig)
{
	uint32_t at = RIG_CODE + 0x1000 - 2;
	/* again: jmp at; back: dec ecx; jnz again; hlt */
	static const uint8_t start[] = { 0xE9, 0xF9, 0x0F, 0x00, 0x00, 0x49, 0x75, 0xF8, 0xF4 };
	/* (mov eax,) 0x..332211; jmp back */
	static const uint8_t rest[] = { 0x22, 0x33, 0x44, 0xE9, 0xFD, 0xEF, 0xFF, 0xFF };

	memcpy(rig->ram + RIG_CODE, start, sizeof(start));
	memcpy(rig->ram + at, "\xB8\x11", 2);
	memcpy(rig->ram + RIG_CODE + 0x1000, rest, sizeof(rest));
	memcpy(rig->ram + 0x50000, rest, sizeof(rest));
	rig->ram[0x50002] = 0x99;
	rig_paging(rig);
	for (unsigned n = 0; n < 2; n++) {
		rig->cpu->halted = false;
		rig->cpu->eip = RIG_CODE;
		rig->cpu->gpr[CPU_ECX] = 100;
		run_to_hlt(rig);
		assert_int_equal(eax(rig), n ? 0x99332211 : 0x44332211);
		rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * ((RIG_CODE + 0x1000) >> 12), 0x50000 | 7);
		um_flush_page(rig->um, RIG_CODE + 0x1000);
	}
}
static void a_link_to_an_instruction_in_two_pages(void **state)
{
	(void)state;
	each(link_to_a_crossing_instruction);
}

static void crossing_into_nothing(struct rig *rig)
{
	uint32_t second = RIG_CODE + 0x1000, at = second - 2;

	memcpy(rig->ram + at, "\xB8\x11\x22\x33\x44\xF4", 6);
	rig_paging(rig);
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * (second >> 12), 0);
	rig->cpu->eip = at;
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), EXC_PF);
	assert_int_equal(rig->cpu->cr2, second);
	/* Error code 0 (supervisor, not present), EIP of the instruction. */
	assert_int_equal(rig_word(rig, rig->cpu->gpr[CPU_ESP]), 0);
	assert_int_equal(rig_word(rig, rig->cpu->gpr[CPU_ESP] + 4), at);
}
static void a_fetch_fault_in_the_second_page_names_that_page(void **state)
{
	(void)state;
	each(crossing_into_nothing);
}

static void remapped_code(struct rig *rig)
{
	/* The page of a function is remapped while callers and chains know the old one. */
	/* call 0x60000; mov edx, eax; <pte = other frame, invlpg by the test at the port>; call 0x60000; hlt */
	static const uint8_t code[] = { 0xE8, 0xFB, 0xFF, 0x04, 0x00, 0x89, 0xC2, 0xF4, 0xE8, 0xF3, 0xFF, 0x04, 0x00,
		                        0xF4 };

	rig_load(rig, code, sizeof(code));
	memcpy(rig->ram + 0x60000, "\xB8\x01\x00\x00\x00\xC3", 6);
	memcpy(rig->ram + 0x61000, "\xB8\x02\x00\x00\x00\xC3", 6);
	rig_paging(rig);
	run_to_hlt(rig);
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * 0x60, 0x61000 | 7);
	um_flush_page(rig->um, 0x60000);
	rig->cpu->halted = false;
	run_to_hlt(rig);
	assert_int_equal(rig->cpu->gpr[CPU_EDX], 1);
	assert_int_equal(eax(rig), 2);
}
static void code_mapped_elsewhere_after_a_flush(void **state)
{
	(void)state;
	each(remapped_code);
}

static void user_jump_to_supervisor_code(struct rig *rig)
{
	/* Ring 0 has run a function; ring 3 must not through what was remembered of it. */
	static const uint8_t code[] = { 0xE8, 0xFB, 0xFF, 0x04, 0x00, 0xF4 };

	rig_load(rig, code, sizeof(code));
	memcpy(rig->ram + 0x60000, "\xC3", 1);
	rig_paging(rig);
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * 0x60, 0x60000 | 3);
	um_flush_page(rig->um, 0x60000);
	run_to_hlt(rig);
	rig_flat(rig, 3);
	rig_paging(rig);
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * 0x60, 0x60000 | 3);
	um_flush_page(rig->um, 0x60000);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), EXC_PF);
	assert_int_equal(rig->cpu->cr2, 0x60000);
	assert_int_equal(rig_word(rig, rig->cpu->gpr[CPU_ESP]), UM_PRESENT | UM_USER);
}
static void a_program_cannot_run_the_kernels_decoded_code(void **state)
{
	(void)state;
	each(user_jump_to_supervisor_code);
}

static void full_cache(struct rig *rig)
{
	/* More code than the cache holds: 6 MiB of INC EAX, a JMP each 4 KiB; twice. */
	uint32_t from = 0x200000, to = 0x800000 - 0x1000;

	for (uint32_t page = from; page < to; page += 0x1000) {
		memset(rig->ram + page, 0x40, 0x1000);
		memcpy(rig->ram + page + 0xFFB, "\xE9\x00\x00\x00\x00", 5);
	}
	rig->ram[to] = 0xF4;
	for (unsigned round = 0; round < 2; round++) {
		rig->cpu->gpr[CPU_EAX] = 0;
		rig->cpu->eip = from;
		rig->cpu->halted = false;
		assert_int_equal(rig_run(rig, 100000000), CPU_EXIT_HALTED);
		assert_int_equal(eax(rig), (to - from) / 0x1000 * 0xFFB);
	}
}
static void more_code_than_the_cache_holds(void **state)
{
	struct rig *rig = rig_new(CPU_OPT_ALL);

	(void)state;
	full_cache(rig);
	rig_free(rig);
}

static void code_in_device_memory(struct rig *rig)
{
	/* Outside RAM: bytes come from the device, one by one; 0x90 everywhere runs on, 0xF4 halts. */
	rig->mmio_value = 0xF4;
	rig->cpu->eip = RIG_MMIO;
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig->cpu->eip, RIG_MMIO + 1);
	assert_true(rig->mmio_reads >= 1);
}
static void code_outside_ram_is_fetched_from_the_device(void **state)
{
	(void)state;
	each(code_in_device_memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_into_the_running_block_takes_effect_at_once),
		cmocka_unit_test(a_store_into_an_instruction_without_a_record_takes_effect),
		cmocka_unit_test(a_loop_that_modifies_itself_each_time_round),
		cmocka_unit_test(the_last_byte_of_a_long_instruction_counts),
		cmocka_unit_test(undefined_bytes_that_change),
		cmocka_unit_test(data_in_a_page_of_code),
		cmocka_unit_test(code_written_by_a_device_or_a_debugger),
		cmocka_unit_test(code_written_through_an_alias),
		cmocka_unit_test(string_stores_over_code),
		cmocka_unit_test(an_instruction_in_two_pages),
		cmocka_unit_test(an_instruction_whose_second_page_is_mapped_elsewhere),
		cmocka_unit_test(a_link_to_an_instruction_in_two_pages),
		cmocka_unit_test(a_fetch_fault_in_the_second_page_names_that_page),
		cmocka_unit_test(code_mapped_elsewhere_after_a_flush),
		cmocka_unit_test(a_program_cannot_run_the_kernels_decoded_code),
		cmocka_unit_test(more_code_than_the_cache_holds),
		cmocka_unit_test(code_outside_ram_is_fetched_from_the_device),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
