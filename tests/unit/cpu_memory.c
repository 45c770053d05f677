/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/cpu_memory.c - how instructions reach memory: segments, page faults, devices, tracked tables,
 * alignment, watchpoints; and that a fault leaves no trace of its instruction.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/rig.h"

static const uint32_t option_sets[] = { CPU_OPT_ALL, 0, CPU_OPT_TLB, CPU_OPT_ALL & ~(uint32_t)CPU_OPT_FLAT,
	                                CPU_OPT_ALL & ~(uint32_t)CPU_OPT_TLB };

static void each(void (*test)(struct rig *rig))
{
	for (size_t n = 0; n < sizeof(option_sets) / sizeof(*option_sets); n++) {
		struct rig *rig = rig_new(option_sets[n]);
		test(rig);
		assert_int_equal(um_audit(rig->um).invariant, 0);
		rig_free(rig);
	}
}

static uint32_t *gpr(struct rig *rig) { return rig->cpu->gpr; }

/* The run must end in the handler of `vector`, with this error code and the faulting EIP on its stack. */
static void expect_fault(struct rig *rig, int vector, uint32_t error, uint32_t eip)
{
	assert_int_equal(rig_run(rig, 100000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), vector);
	assert_int_equal(rig_word(rig, gpr(rig)[CPU_ESP]), error);
	assert_int_equal(rig_word(rig, gpr(rig)[CPU_ESP] + 4), eip);
}
static void expect_halt(struct rig *rig)
{
	assert_int_equal(rig_run(rig, 1000000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), -1);
}

static void unmap(struct rig *rig, uint32_t linear)
{
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * (linear >> 12), 0);
	um_flush_page(rig->um, linear);
}
static void protect(struct rig *rig, uint32_t linear)
{
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * (linear >> 12), (linear & ~0xFFFu) | 5);
	um_flush_page(rig->um, linear);
}

/* ---- Page faults ---------------------------------------------------------------------------- */

static void fault_in_the_middle_of_a_block(struct rig *rig)
{
	/* mov eax, 5; add ebx, 1; mov [0x50000], eax; add ebx, 1; hlt */
	RIG_LOAD(rig, 0xB8, 5, 0, 0, 0, 0x83, 0xC3, 1, 0xA3, 0, 0, 5, 0, 0x83, 0xC3, 1, 0xF4);
	rig_paging(rig);
	unmap(rig, 0x50000);
	expect_fault(rig, EXC_PF, UM_WRITE, RIG_CODE + 8);
	assert_int_equal(rig->cpu->cr2, 0x50000);
	assert_int_equal(gpr(rig)[CPU_EBX], 1);
}
static void a_fault_names_its_instruction_and_undoes_no_other(void **state)
{
	(void)state;
	each(fault_in_the_middle_of_a_block);
}

static void write_across_into_nothing(struct rig *rig)
{
	/* mov dword [0x50FFE], -1; hlt: the second page is read-only; nothing of the first may change. */
	RIG_LOAD(rig, 0xC7, 0x05, 0xFE, 0x0F, 0x05, 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xF4);
	rig_paging(rig);
	protect(rig, 0x51000);
	expect_fault(rig, EXC_PF, UM_WRITE | UM_PRESENT, RIG_CODE);
	assert_int_equal(rig->cpu->cr2, 0x51000);
	assert_int_equal(rig_word(rig, 0x50FFC), 0);
}
static void a_write_that_faults_in_its_second_page_changes_nothing(void **state)
{
	(void)state;
	each(write_across_into_nothing);
}

static void modify_read_only(struct rig *rig)
{
	/* stc; adc dword [0x50000], 1: flags and memory as before */
	RIG_LOAD(rig, 0xF9, 0x83, 0x15, 0x00, 0x00, 0x05, 0x00, 0x01, 0xF4);
	rig_paging(rig);
	rig_set_word(rig, 0x50000, 0xFFFFFFFF);
	protect(rig, 0x50000);
	expect_fault(rig, EXC_PF, UM_WRITE | UM_PRESENT, RIG_CODE + 1);
	assert_int_equal(rig_word(rig, gpr(rig)[CPU_ESP] + 12) & FL_STATUS, FL_CF);
	assert_true(rig_word(rig, 0x50000) == 0xFFFFFFFFu);
	/* Not even Dirty. */
	assert_int_equal(*rig_pte(rig, 0x50000) & 0x40, 0);
}
static void read_modify_write_checks_for_writing_first(void **state)
{
	(void)state;
	each(modify_read_only);
}

static void repeat_into_nothing(struct rig *rig)
{
	/* rep stosd from 0x50FF0, 16 times: four done, registers tell it */
	RIG_LOAD(rig, 0xF3, 0xAB, 0xF4);
	rig_paging(rig);
	unmap(rig, 0x51000);
	gpr(rig)[CPU_EAX] = 0x12345678;
	gpr(rig)[CPU_ECX] = 16;
	gpr(rig)[CPU_EDI] = 0x50FF0;
	expect_fault(rig, EXC_PF, UM_WRITE, RIG_CODE);
	assert_int_equal(rig->cpu->cr2, 0x51000);
	assert_int_equal(gpr(rig)[CPU_ECX], 12);
	assert_int_equal(gpr(rig)[CPU_EDI], 0x51000);
	assert_int_equal(rig_word(rig, 0x50FFC), 0x12345678);
}
static void a_repeated_store_stops_at_the_element_that_faults(void **state)
{
	(void)state;
	each(repeat_into_nothing);
}

static void push_into_nothing(struct rig *rig)
{
	/* Ring 3: pusha with room for five of the eight. */
	RIG_LOAD(rig, 0x60);
	rig_flat(rig, 3);
	rig_paging(rig);
	unmap(rig, 0x50000);
	gpr(rig)[CPU_ESP] = 0x51000 + 20;
	expect_fault(rig, EXC_PF, UM_WRITE | UM_USER, RIG_CODE);
	/* ESP in the frame that changed rings. */
	assert_int_equal(rig_word(rig, gpr(rig)[CPU_ESP] + 16), 0x51000 + 20);
}
static void a_push_that_faults_leaves_the_stack_pointer(void **state)
{
	(void)state;
	each(push_into_nothing);
}

static void accessed_and_dirty(struct rig *rig)
{
	/* mov eax, [0x50000]; hlt; mov [0x50000], eax; hlt */
	RIG_LOAD(rig, 0xA1, 0, 0, 5, 0, 0xF4, 0xA3, 0, 0, 5, 0, 0xF4);
	rig_paging(rig);
	assert_int_equal(*rig_pte(rig, 0x50000) & 0x60, 0);
	expect_halt(rig);
	assert_int_equal(*rig_pte(rig, 0x50000) & 0x60, 0x20);
	rig->cpu->halted = false;
	expect_halt(rig);
	assert_int_equal(*rig_pte(rig, 0x50000) & 0x60, 0x60);
}
static void accessed_on_reading_dirty_on_the_first_write(void **state)
{
	(void)state;
	each(accessed_and_dirty);
}

static void write_a_page_table(struct rig *rig)
{
	/* The guest maps 0x50000 to frame 0x60 by a store into its own table, then reads through it. */
	/* mov eax, [0x50000]; mov dword [pte], 0x60007; invlpg by reloading: tracked, the store tells */
	/* mov ebx, [0x50000]; hlt */
	uint32_t pte = RIG_TABLES + 0x1000 + 4 * 0x50;
	uint8_t code[] = { 0xA1, 0, 0, 5, 0, 0xC7, 0x05, (uint8_t)pte, (uint8_t)(pte >> 8), (uint8_t)(pte >> 16), 0,
		           0x07, 0x00, 0x06, 0x00, 0x0F, 0x01, 0x3D, 0, 0, 5, 0, 0x8B, 0x1D, 0, 0, 5, 0, 0xF4 };

	rig_load(rig, code, sizeof(code));
	rig_set_word(rig, 0x50000, 0x1111);
	rig_set_word(rig, 0x60000, 0x2222);
	rig_paging(rig);
	expect_halt(rig);
	assert_int_equal(gpr(rig)[CPU_EAX], 0x1111);
	assert_int_equal(gpr(rig)[CPU_EBX], 0x2222);
}
static void a_store_into_a_page_table_and_invlpg(void **state)
{
	(void)state;
	each(write_a_page_table);
}

/* The guest stores a word, loads one, reloads CR3. */
static void run_next(struct rig *rig, const uint8_t *code, size_t bytes)
{
	rig->cpu->halted = false;
	rig_load(rig, code, bytes);
	expect_halt(rig);
}
static void guest_store(struct rig *rig, uint32_t at, uint32_t value)
{
	uint8_t code[] = { 0xC7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0xF4 };

	memcpy(code + 2, &at, 4);
	memcpy(code + 6, &value, 4);
	run_next(rig, code, sizeof(code));
}
static uint32_t guest_load(struct rig *rig, uint32_t at)
{
	uint8_t code[] = { 0xA1, 0, 0, 0, 0, 0xF4 };

	memcpy(code + 1, &at, 4);
	run_next(rig, code, sizeof(code));
	return gpr(rig)[CPU_EAX];
}
static void reload_cr3(struct rig *rig)
{
	static const uint8_t code[] = { 0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8, 0xF4 };

	run_next(rig, code, sizeof(code));
}

/* A page table left out of step comes back into step while a store from its last bytes into a page that it
 * maps is half translated: those bytes are a table's after all. */
static void store_across_out_of_a_table(struct rig *rig)
{
	enum { TABLE = 0x300000, ALIAS = 0x3FF000, MAPPED = 0x400000, LAST = 0x7FF000 };
	const uint32_t pde = RIG_TABLES + 4;

	rig_paging(rig);
	rig_set_word(rig, 0x250000, 0x11111111);
	rig_set_word(rig, 0x260000, 0x22222222);
	guest_store(rig, RIG_TABLES + 0x1000 + ALIAS / 0x1000 * 4, TABLE | 7);
	guest_store(rig, TABLE, 0x240000 | 7);
	guest_store(rig, TABLE + 0xFFC, 0x250000 | 7);
	guest_store(rig, pde, TABLE | 7);
	reload_cr3(rig);
	assert_int_equal(guest_load(rig, LAST), 0x11111111);
	for (unsigned n = 0; n < 8; n++) /* until it is left to itself */
		guest_store(rig, ALIAS + 0x400 + 4 * n, 0x240000 | 7);
	assert_false(um_is_tracked(rig->um, TABLE >> 12));
	guest_store(rig, pde, 0);
	guest_store(rig, pde, TABLE | 7);
	guest_store(rig, ALIAS + 0xFFE, 0x12340026);
	assert_int_equal(rig_word(rig, 0x240000) & 0xFFFF, 0x1234);
	reload_cr3(rig);
	assert_int_equal(guest_load(rig, LAST), 0x22222222);
}
static void a_store_out_of_a_page_table_into_a_page_it_maps(void **state)
{
	(void)state;
	each(store_across_out_of_a_table);
}

/* ---- Devices -------------------------------------------------------------------------------- */

static void device_access(struct rig *rig)
{
	/* mov eax, [RIG_MMIO+4]; mov [RIG_MMIO+9], al; mov cx, [RIG_MMIO+2]; hlt */
	RIG_LOAD(rig, 0xA1, 4, 0, 0, 0xF0, 0xA2, 9, 0, 0, 0xF0, 0x66, 0x8B, 0x0D, 2, 0, 0, 0xF0, 0xF4);
	rig->mmio_value = 0xA1B2C3D4;
	expect_halt(rig);
	assert_true(gpr(rig)[CPU_EAX] == 0xA1B2C3D4u);
	assert_int_equal(gpr(rig)[CPU_ECX], 0xC3D4);
	assert_int_equal(rig->mmio_reads, 2);
	assert_int_equal(rig->mmio_writes, 1);
	assert_true(rig->mmio_gpa == RIG_MMIO + 2);
	assert_int_equal(rig->mmio_bytes, 2);
	assert_int_equal(rig->mmio_written, 0xD4);
}
static void device_memory_sees_each_access_once_in_its_size(void **state)
{
	(void)state;
	each(device_access);
}

static void device_then_fault(struct rig *rig)
{
	/* movsd from the device to an absent page: the device must not be read. */
	RIG_LOAD(rig, 0xFF, 0x35, 0, 0, 0x30, 0, 0xA5); /* push [0x300000]; movsd */
	rig_paging(rig);
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * 0x300, RIG_MMIO | 7);
	unmap(rig, 0x50000);
	gpr(rig)[CPU_ESP] = 0x51000; /* the push has nowhere to go */
	rig->cpu->eip = RIG_CODE;
	/* The exception itself needs a stack: another ring. */
	rig_flat(rig, 3);
	rig_paging(rig);
	rig_set_word(rig, RIG_TABLES + 0x1000 + 4 * 0x300, RIG_MMIO | 7);
	unmap(rig, 0x50000);
	gpr(rig)[CPU_ESP] = 0x51000;
	expect_fault(rig, EXC_PF, UM_WRITE | UM_USER, RIG_CODE);
	assert_int_equal(gpr(rig)[CPU_ESP], RIG_STACK0 - 24);
}
static void a_push_from_a_device_to_nowhere_faults(void **state)
{
	(void)state;
	each(device_then_fault);
}

/* ---- Segments ------------------------------------------------------------------------------- */

static void set_limit(struct rig *rig, unsigned seg, uint32_t base, uint32_t limit, uint16_t attr)
{
	rig->cpu->seg[seg].base = base;
	rig->cpu->seg[seg].limit = limit;
	rig->cpu->seg[seg].attr = attr;
	mode_changed(rig->cpu);
}

static void limits(struct rig *rig)
{
	/* mov eax, [0xFFD] */
	RIG_LOAD(rig, 0xA1, 0xFD, 0x0F, 0, 0, 0xF4);
	rig_set_word(rig, RIG_DATA + 0xFFC, 0x44332211);
	set_limit(rig, CPU_DS, RIG_DATA, 0xFFF, 0x4093);
	expect_fault(rig, EXC_GP, 0, RIG_CODE);
	rig_flat(rig, 0);
	set_limit(rig, CPU_DS, RIG_DATA, 0x1000, 0x4093);
	expect_halt(rig);
	assert_int_equal(gpr(rig)[CPU_EAX], 0x00443322);
	/* expand-down: valid above the limit */
	rig_flat(rig, 0);
	set_limit(rig, CPU_DS, RIG_DATA, 0xFFC, 0x4097);
	expect_halt(rig);
	rig_flat(rig, 0);
	set_limit(rig, CPU_DS, RIG_DATA, 0xFFD, 0x4097);
	expect_fault(rig, EXC_GP, 0, RIG_CODE);
	/* a null selector */
	rig_flat(rig, 0);
	set_limit(rig, CPU_DS, 0, 0, 0);
	expect_fault(rig, EXC_GP, 0, RIG_CODE);
}
static void segment_limits_and_expand_down(void **state)
{
	(void)state;
	each(limits);
}

static void types(struct rig *rig)
{
	/* mov [0x100], eax with a read-only DS; mov cs:[0x100], eax; mov eax, cs:[..] of execute-only */
	RIG_LOAD(rig, 0xA3, 0, 1, 0, 0, 0xF4);
	set_limit(rig, CPU_DS, RIG_DATA, 0xFFF, 0x4091);
	expect_fault(rig, EXC_GP, 0, RIG_CODE);
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0x2E, 0xA3, 0, 1, 0, 0, 0xF4);
	expect_fault(rig, EXC_GP, 0, RIG_CODE);
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0x2E, 0xA1, 0, 1, 0, 0, 0xF4);
	set_limit(rig, CPU_CS, 0, 0xFFFFFFFF, 0xC099);
	expect_fault(rig, EXC_GP, 0, RIG_CODE);
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0x2E, 0xA1, 0, 1, 0, 0, 0xF4);
	expect_halt(rig);
	/* the stack segment has a vector of its own: push with SS too short */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0x8B, 0x45, 0x00, 0xF4); /* mov eax, [ebp] */
	gpr(rig)[CPU_EBP] = 0x80000;
	set_limit(rig, CPU_SS, 0, 0x7FFFF, 0x4093);
	expect_fault(rig, EXC_SS, 0, RIG_CODE);
}
static void segment_types_and_the_stacks_own_vector(void **state)
{
	(void)state;
	each(types);
}

static void real_mode_wrap(struct rig *rig)
{
	/* mov ax, [bx+si] with bx+si = 0x1_0004: wraps; then mov ax, [0xFFFF]: #GP */
	rig_real(rig);
	RIG_LOAD(rig, 0x8B, 0x00, 0xF4);
	gpr(rig)[CPU_EBX] = 0xFFFF;
	gpr(rig)[CPU_ESI] = 5;
	rig_set_word(rig, RIG_DATA + 4, 0xBEEF);
	expect_halt(rig);
	assert_int_equal(gpr(rig)[CPU_EAX] & 0xFFFF, 0xBEEF);
	rig_real(rig);
	RIG_LOAD(rig, 0xA1, 0xFF, 0xFF, 0xF4);
	assert_int_equal(rig_run(rig, 100), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), EXC_GP);
}
static void sixteen_bit_addresses_wrap_and_end_at_64k(void **state)
{
	(void)state;
	each(real_mode_wrap);
}

static void code_limit(struct rig *rig)
{
	/* add ebx, 1; inc eax at the last byte; what follows lies outside */
	RIG_LOAD(rig, 0x83, 0xC3, 1, 0x40, 0x40, 0x40);
	set_limit(rig, CPU_CS, 0, RIG_CODE + 3, 0x409B);
	expect_fault(rig, EXC_GP, 0, RIG_CODE + 4);
	assert_int_equal(gpr(rig)[CPU_EAX], 1);
	/* an instruction that begins inside and ends outside */
	rig_flat(rig, 0);
	set_limit(rig, CPU_CS, 0, RIG_CODE + 1, 0x409B);
	expect_fault(rig, EXC_GP, 0, RIG_CODE);
	assert_int_equal(gpr(rig)[CPU_EBX], 0);
	/* a jump out: the jump faults */
	rig_flat(rig, 0);
	RIG_LOAD(rig, 0x40, 0xE9, 0xFA, 0xFF, 0x00, 0x00);
	set_limit(rig, CPU_CS, 0, RIG_CODE + 0xFFF, 0x409B);
	expect_fault(rig, EXC_GP, 0, RIG_CODE + 1);
}
static void code_ends_at_its_segments_limit(void **state)
{
	(void)state;
	each(code_limit);
}

/* ---- Alignment and watchpoints ---------------------------------------------------------------- */

static void alignment(struct rig *rig)
{
	struct cpu_state s;

	/* ring 3, AM and AC: mov eax, [0x50001] */
	RIG_LOAD(rig, 0xA1, 0x00, 0, 5, 0, 0xA1, 0x01, 0, 5, 0, 0xF4);
	rig_flat(rig, 3);
	cpu_get_state(rig->cpu, &s);
	s.cr0 |= CR0_AM;
	s.eflags |= FL_AC;
	cpu_set_state(rig->cpu, &s);
	expect_fault(rig, EXC_AC, 0, RIG_CODE + 5);
	/* ring 0 does not care */
	rig_flat(rig, 0);
	cpu_get_state(rig->cpu, &s);
	s.cr0 |= CR0_AM;
	s.eflags |= FL_AC;
	cpu_set_state(rig->cpu, &s);
	expect_halt(rig);
}
static void alignment_is_checked_in_ring_3_when_asked_for(void **state)
{
	(void)state;
	each(alignment);
}

static void watchpoint(struct rig *rig)
{
	struct cpu_state s;

	/* mov [0x50004], eax; mov [0x50002], eax; inc ebx; hlt: a trap after the second */
	RIG_LOAD(rig, 0xA3, 4, 0, 5, 0, 0xA3, 2, 0, 5, 0, 0x43, 0xF4);
	cpu_get_state(rig->cpu, &s);
	s.dr[0] = 0x50003;
	s.dr[7] = 0x400 | 1 | 1u << 16; /* DR0, local, writes of one byte */
	cpu_set_state(rig->cpu, &s);
	assert_int_equal(rig_run(rig, 1000), CPU_EXIT_HALTED);
	assert_int_equal(rig_vector(rig), EXC_DB);
	assert_int_equal(rig_word(rig, gpr(rig)[CPU_ESP]), RIG_CODE + 10);
	assert_int_equal(rig->cpu->dr[6] & 0xF, 1);
	assert_int_equal(gpr(rig)[CPU_EBX], 0);
}
static void a_watchpoint_traps_after_the_access(void **state)
{
	(void)state;
	each(watchpoint);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_names_its_instruction_and_undoes_no_other),
		cmocka_unit_test(a_write_that_faults_in_its_second_page_changes_nothing),
		cmocka_unit_test(read_modify_write_checks_for_writing_first),
		cmocka_unit_test(a_repeated_store_stops_at_the_element_that_faults),
		cmocka_unit_test(a_push_that_faults_leaves_the_stack_pointer),
		cmocka_unit_test(accessed_on_reading_dirty_on_the_first_write),
		cmocka_unit_test(a_store_into_a_page_table_and_invlpg),
		cmocka_unit_test(a_store_out_of_a_page_table_into_a_page_it_maps),
		cmocka_unit_test(device_memory_sees_each_access_once_in_its_size),
		cmocka_unit_test(a_push_from_a_device_to_nowhere_faults),
		cmocka_unit_test(segment_limits_and_expand_down),
		cmocka_unit_test(segment_types_and_the_stacks_own_vector),
		cmocka_unit_test(sixteen_bit_addresses_wrap_and_end_at_64k),
		cmocka_unit_test(code_ends_at_its_segments_limit),
		cmocka_unit_test(alignment_is_checked_in_ring_3_when_asked_for),
		cmocka_unit_test(a_watchpoint_traps_after_the_access),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
