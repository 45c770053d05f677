/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/scope_check_exact.c - the detector at each kind of access: the instruction that it names, and what asking for
 * that instruction must not do to the guest.
 *
 *   1. Once        devices are read once, a task is saved whole
 *   2. By whom     stacks, strings, the FPU, the IDT, code in two pages, code in its own page
 *   3. Writers     XCHG, CMPXCHG8B, a device after an instruction that reads first, a scan of A bits
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/checkbench.h"

#define PAGE 0x200000u
#define OTHER 0x250000u
#define FRAME 0x300000u
#define TABLE2 0x180000u
#define LARGE 0x00C00000u
#define MOVED (FRAME | ENTRY)

static struct bench b;

static void start(unsigned what, uint32_t cr4) { bench_start(&b, what, cr4, false); }
static uint32_t emit_word(uint8_t op, uint32_t word)
{
	uint32_t at = EMIT(&b, op);
	emit(&b, &word, sizeof word);
	return at;
}
static void mov_to(unsigned reg, uint32_t value) { emit_word((uint8_t)(0xB8 + reg), value); }

/* ---- 1. Once -------------------------------------------------------------------------------- */

/* From a device into an entry: who writes it has to be known, but what the device answers is not asked for again. */
static void a_device_is_read_once(void **state)
{
	static const struct { uint8_t bytes[2]; size_t count; uint32_t answer; } moves[] = {
		{ { 0xA5 }, 1, FRAME },               /* movsl */
		{ { 0xFF, 0x36 }, 2, FRAME },         /* pushl (%esi) */
		{ { 0xFF, 0x16 }, 2, RIG_HANDLERS },  /* call *(%esi) */
	};
	(void)state;
	for (unsigned n = 0; n < 3; n++) {
		start(CHECK_TLB, 0);
		emit_store(&b, BENCH_PTE(PAGE), RIG_MMIO | ENTRY);
		emit_reload_cr3(&b);
		emit_load(&b, FRAME);
		bench_run(&b, 0);
		b.rig->mmio_value = moves[n].answer;
		mov_to(CPU_ESI, PAGE);
		mov_to(CPU_EDI, BENCH_PTE(FRAME));
		if (n)
			mov_to(CPU_ESP, BENCH_PTE(FRAME) + 4);
		emit(&b, moves[n].bytes, moves[n].count);
		bench_run(&b, 0);
		assert_int_equal(b.rig->mmio_reads, 1);
		bench_end(&b);
	}
}

/* The old task's state lies in a page that is a table, and what is there looks like entries. */
static void a_task_is_saved_whole(void **state)
{
	const uint32_t old = TABLE2 + 0x800, new = 0x2800;
	struct cpu_state s;
	uint32_t target;
	(void)state;
	start(CHECK_TLB, 0);
	emit_store(&b, BENCH_PDE(LARGE), TABLE2 | ENTRY);
	emit_store(&b, TABLE2, PAGE | ENTRY);
	emit_load(&b, LARGE);
	bench_run(&b, 0);
	mov_to(CPU_EBX, 0x12345678);
	EMIT(&b, 0xEA, 0, 0, 0, 0, RIG_FREE, 0); /* ljmp $RIG_FREE, $0 */
	target = RIG_CODE + b.at;
	for (unsigned at = 0; at < 0x68; at += 4)
		rig_set_word(b.rig, old + at, at >= 0x28 ? FRAME | 1 : 0);
	bench_task(&b, new, RIG_TABLES, target);
	cpu_get_state(b.rig->cpu, &s);
	s.tr.base = old;
	cpu_set_state(b.rig->cpu, &s);
	bench_run(&b, 0);
	assert_int_equal(rig_word(b.rig, old + 0x34), 0x12345678); /* EBX */
	assert_int_equal(rig_word(b.rig, old + 0x38), RIG_STACK);
	assert_int_equal(bench_count(&b), 0);
	bench_end(&b);
}

/* The guest's own breakpoint on an instruction that is asked for again: RF lets it run, not only begin. */
static void an_own_breakpoint_is_met_once(void **state)
{
	/* incl COUNT; orl $RF, 8(%esp); iret */
	static const uint8_t handler[] = { 0xFF, 0x05, 0, 0, 2, 0, 0x81, 0x4C, 0x24, 8, 0, 0, 1, 0, 0xCF };
	struct cpu_state s;
	uint32_t at;
	(void)state;
	start(CHECK_TLB, 0);
	memcpy(b.rig->ram + OTHER, handler, sizeof handler);
	rig_set_word(b.rig, RIG_IDT + 8, RIG_CODE0 << 16 | (OTHER & 0xFFFF));
	rig_set_word(b.rig, RIG_IDT + 12, (OTHER & 0xFFFF0000) | 0x8E00);
	emit_load(&b, PAGE);
	at = emit_store(&b, BENCH_PTE(PAGE), MOVED);
	cpu_get_state(b.rig->cpu, &s);
	s.dr[0] = at;
	s.dr[7] = 0x402;
	cpu_set_state(b.rig->cpu, &s);
	bench_run(&b, 0);
	assert_int_equal(rig_word(b.rig, RIG_DATA), 1);
	assert_int_equal(rig_word(b.rig, BENCH_PTE(PAGE)), MOVED);
	bench_end(&b);
}

/* ---- 2. By whom ----------------------------------------------------------------------------- */

static void named(uint32_t eip)
{
	const struct finding *f;
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_int_equal(f->kind, FOUND_FRAME);
	assert_true(f->exact);
	assert_int_equal(f->eip, eip);
	bench_end(&b);
}

static void a_stack_that_was_moved(void **state)
{
	static const struct { uint8_t bytes[4]; size_t count; } pushes[] = {
		{ { 0x60 }, 1 },                   /* pusha */
		{ { 0x9C }, 1 },                   /* pushf */
		{ { 0xC8, 0x10, 0, 3 }, 4 },       /* enter $16, $3 */
		{ { 0xE8, 0, 0, 0 }, 4 },          /* call (its last byte below) */
	};
	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		start(CHECK_TLB, 0);
		mov_to(CPU_ESP, PAGE + 0x800);
		EMIT(&b, 0x6A, 0x11, 0x58); /* push $17; pop %eax */
		emit_store(&b, BENCH_PTE(PAGE), MOVED);
		EMIT(&b, 0x90, 0x90);
		uint32_t at = emit(&b, pushes[n].bytes, pushes[n].count);
		if (n == 3)
			EMIT(&b, 0);
		named(at);
	}
}

static void operands_of_every_kind(void **state)
{
	static const struct { uint8_t bytes[3]; size_t count; } uses[] = {
		{ { 0xDD, 0x06 }, 2 },       /* fldl (%esi) */
		{ { 0xDD, 0x36 }, 2 },       /* fnsave (%esi) */
		{ { 0x0F, 0xAE, 0x06 }, 3 }, /* fxsave (%esi) */
		{ { 0x0F, 0x10, 0x06 }, 3 }, /* movups (%esi), %xmm0 */
		{ { 0xF3, 0xA5 }, 2 },       /* rep movsl */
		{ { 0xF3, 0xA7 }, 2 },       /* repe cmpsl */
	};
	(void)state;
	for (unsigned n = 0; n < sizeof uses / sizeof uses[0]; n++) {
		start(CHECK_TLB, 0x600 /* OSFXSR, OSXMMEXCPT */);
		emit_save(&b, PAGE);
		emit_store(&b, BENCH_PTE(PAGE), MOVED);
		mov_to(CPU_ESI, PAGE + 0x100);
		mov_to(CPU_EDI, OTHER);
		mov_to(CPU_ECX, 5);
		named(emit(&b, uses[n].bytes, uses[n].count));
	}
}

/* INT n is what runs until its handler does, although what it saves is the address behind it. */
static void an_idt_that_was_moved(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	memcpy(b.rig->ram + FRAME, b.rig->ram + 0x1000, 0x1000); /* GDT and IDT */
	EMIT(&b, 0xB8, RIG_DATA0, 0, 0, 0, 0x8E, 0xD8);          /* mov $RIG_DATA0, %eax; mov %eax, %ds */
	emit_store(&b, BENCH_PTE(0x1000), MOVED);
	named(EMIT(&b, 0xCD, 0x40));
}

/* An instruction whose second half was moved: no jump that is remembered hides it. */
static void code_in_two_pages(void **state)
{
	static const uint8_t code[] = { 0xB8, 1, 2, 3, 4, 0xC3 }; /* mov $..., %eax; ret */
	const uint32_t second = PAGE + 0x1000, words[] = { BENCH_PTE(second), second ^ FRAME };
	uint32_t loop;
	(void)state;
	start(CHECK_TLB, 0);
	memcpy(b.rig->ram + PAGE + 0xFFE, code, sizeof code);
	memcpy(b.rig->ram + FRAME, b.rig->ram + second, 0x1000);
	mov_to(CPU_ECX, 2);
	loop = b.at;
	emit_word(0xE8, PAGE + 0xFFE - (RIG_CODE + b.at + 5)); /* call */
	EMIT(&b, 0x81, 0x35);                                  /* xorl, to and fro */
	emit(&b, words, sizeof words);
	EMIT(&b, 0x49, 0x75, (uint8_t)(loop - (b.at + 3)));    /* dec %ecx; jnz loop */
	named(PAGE + 0xFFE);
}

/* Code that moves the page it runs in, and goes on there. */
static void code_that_moves_itself(void **state)
{
	uint8_t code[] = { 0xC7, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0xEB, 0, 0x90, 0xF4 }; /* movl; jmp; nop; hlt */
	const uint32_t words[] = { BENCH_PTE(PAGE), MOVED };
	(void)state;
	start(CHECK_TLB, 0);
	memcpy(code + 2, words, sizeof words);
	memcpy(b.rig->ram + PAGE, code, sizeof code);
	memcpy(b.rig->ram + FRAME, code, sizeof code);
	emit_word(0xE9, PAGE - (RIG_CODE + 5));
	named(PAGE + 10);
}

/* ---- 3. Writers ----------------------------------------------------------------------------- */

static void written_by(uint32_t eip)
{
	const struct finding *f;
	bench_run(&b, 0);
	f = bench_only(&b);
	assert_true(f->is_written);
	assert_int_equal(f->write.device, eip == 0);
	assert_int_equal(f->write.eip, eip);
	bench_end(&b);
}

static uint32_t emit_xchg(uint32_t linear, uint32_t entry)
{
	uint32_t at;
	mov_to(CPU_EAX, entry);
	at = EMIT(&b, 0x87, 0x05);
	emit(&b, &linear, sizeof linear);
	return at;
}

static void an_exchange(void **state)
{
	uint32_t at;
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	at = emit_xchg(BENCH_PTE(PAGE), MOVED);
	emit_load(&b, PAGE);
	written_by(at);
}

static void two_entries_at_once(void **state)
{
	const uint32_t pte = BENCH_PTE(PAGE);
	uint32_t at;
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	emit_load(&b, PAGE + 0x1000);
	mov_to(CPU_EAX, PAGE | ENTRY | 0x20);
	mov_to(CPU_EDX, (PAGE + 0x1000) | ENTRY | 0x20);
	mov_to(CPU_EBX, PAGE | ENTRY);
	mov_to(CPU_ECX, MOVED);
	at = EMIT(&b, 0xF0, 0x0F, 0xC7, 0x0D); /* lock cmpxchg8b */
	emit(&b, &pte, sizeof pte);
	emit_load(&b, PAGE + 0x1000);
	written_by(at);
}

/* A scan that clears A between the change and the use is not to blame. */
static void a_scan_after_the_change(void **state)
{
	const uint32_t pte = BENCH_PTE(PAGE);
	uint32_t at;
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	at = emit_store(&b, pte, MOVED | 0x20);
	EMIT(&b, 0x80, 0x25); /* andb $~A */
	emit(&b, &pte, sizeof pte);
	EMIT(&b, 0xDF);
	emit_load(&b, PAGE);
	written_by(at);
}

/* What an exchange was expected to write says nothing of what a device writes there later. */
static void a_device_after_an_exchange(void **state)
{
	(void)state;
	start(CHECK_TLB, 0);
	emit_load(&b, PAGE);
	emit_xchg(BENCH_PTE(PAGE), PAGE | ENTRY | 0x220);
	emit_load(&b, PAGE);
	bench_run(&b, 0);
	rig_set_word(b.rig, BENCH_PTE(PAGE), MOVED);
	emit_load(&b, PAGE);
	written_by(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_is_read_once),
		cmocka_unit_test(a_task_is_saved_whole),
		cmocka_unit_test(an_own_breakpoint_is_met_once),
		cmocka_unit_test(a_stack_that_was_moved),
		cmocka_unit_test(operands_of_every_kind),
		cmocka_unit_test(an_idt_that_was_moved),
		cmocka_unit_test(code_in_two_pages),
		cmocka_unit_test(code_that_moves_itself),
		cmocka_unit_test(an_exchange),
		cmocka_unit_test(two_entries_at_once),
		cmocka_unit_test(a_scan_after_the_change),
		cmocka_unit_test(a_device_after_an_exchange),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
