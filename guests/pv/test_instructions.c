/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_instructions.c - privileged instructions of ring 1: the few that are emulated, in the right
 * widths, and those that trap.
 */
#include "guests/pv/probes.h"

enum { SOME_PORT = 0x80, FLAG_IF = 0x200 };
#define BEFORE 0x12345678u

static void test_in(void)
{
	CHECK_EQUAL(k_in8_imm(BEFORE, 0), 0x123456FF);
	CHECK_EQUAL(k_in16_imm(BEFORE, 0), 0x1234FFFF);
	CHECK_EQUAL(k_in32_imm(BEFORE, 0), 0xFFFFFFFF);
	CHECK_EQUAL(k_in8_dx(BEFORE, SOME_PORT), 0x123456FF);
	CHECK_EQUAL(k_in16_dx(BEFORE, SOME_PORT), 0x1234FFFF);
	CHECK_EQUAL(k_in32_dx(BEFORE, SOME_PORT), 0xFFFFFFFF);
}

static void test_out(void)
{
	CHECK_EQUAL(k_out8_imm(BEFORE, 0), BEFORE);
	CHECK_EQUAL(k_out16_imm(BEFORE, 0), BEFORE);
	CHECK_EQUAL(k_out32_imm(BEFORE, 0), BEFORE);
	CHECK_EQUAL(k_out8_dx(BEFORE, SOME_PORT), BEFORE);
	CHECK_EQUAL(k_out16_dx(BEFORE, SOME_PORT), BEFORE);
	CHECK_EQUAL(k_out32_dx(BEFORE, SOME_PORT), BEFORE);
}

/* Skipped since family F; the others may, or show it to us. */
static void test_cli(void)
{
	bool trapped;

	irq_mask(IRQ_TIMER);
	*data_word(DATA_IRQ_ENABLED) = IRQ_ON;
	trapped = call_guarded(k_cli, 0, 0);
	CHECK(!trapped || (family->tables != TABLES_NONE && caught.frame.vector == 13));
	CHECK(trapped || *data_word(DATA_IRQ_ENABLED) == IRQ_ON);
	irq_off();
	irq_unmask(IRQ_TIMER);
}

/* IF and IOPL are beyond ring 1; nothing faults. */
static void test_popf(void)
{
	CHECK_EQUAL(k_popf(0) & 0x3200, FLAG_IF);
	CHECK_EQUAL(k_popf(0x3001) & 0x3201, FLAG_IF | 1);
	CHECK_EQUAL(k_popf(0x8D5) & 0x8D5, 0x8D5);
	CHECK_EQUAL(*data_word(DATA_IRQ_ENABLED), 0);
}

struct privileged {
	char *probe, *at;
};

static void test_privileged(void)
{
	const struct privileged list[] = {
		{ k_rdmsr, k_rdmsr_at },       { k_wrmsr, k_wrmsr_at },
		{ k_read_cr0, k_read_cr0_at }, { k_read_cr3, k_read_cr3_at },
		{ k_write_cr3, k_write_cr3_at }, { k_read_dr7, k_read_dr7_at },
		{ k_clts, k_clts_at },         { k_invlpg, k_invlpg_at },
		{ k_wbinvd, k_wbinvd_at },     { k_lgdt, k_lgdt_at },
		{ k_ltr, k_ltr_at },           { k_insb, k_insb_at },
	};

	for (unsigned i = 0; i < sizeof list / sizeof list[0]; i++) {
		if (!CHECK(call_guarded(list[i].probe, (uint32_t)lguest_data, 0x10)))
			continue;
		irq_off();
		CHECK_EQUAL(caught.frame.vector, 13);
		CHECK_EQUAL(caught.frame.error, 0);
		CHECK_EQUAL(caught.frame.eip, (uint32_t)list[i].at);
	}
}

/* Not of the interface: a host may show them to us, or do what they mean. */
static void test_sti_hlt(void)
{
	irq_mask(IRQ_TIMER);
	if (call_guarded(k_sti, 0, 0))
		CHECK_EQUAL(caught.frame.vector, 13);
	else
		CHECK(*data_word(DATA_IRQ_ENABLED) & IRQ_ON);
	irq_off();
	irq_unmask(IRQ_TIMER);
	timer_set(1000000);
	if (call_guarded(k_hlt, 0, 0))
		CHECK_EQUAL(caught.frame.vector, 13);
	timer_set(0);
	irq_off();
	irq_on(); /* a timer that was not waited for may be pending yet */
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	irq_off();
}

static void test_allowed(void)
{
	uint32_t a = 1, b, c = 0, d;
	uint64_t first = read_tsc();

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	CHECK((d & 0x01008101) == 0x01008101); /* FPU, CX8, CMOV, FXSR */
	CHECK(read_tsc() >= first);
}

const struct test instructions_tests[] = {
	{ "instructions", "in", test_in },
	{ "instructions", "out", test_out },
	{ "instructions", "cli", test_cli },
	{ "instructions", "popf", test_popf },
	{ "instructions", "privileged", test_privileged },
	{ "instructions", "sti-hlt", test_sti_hlt },
	{ "instructions", "allowed", test_allowed },
	{ 0 },
};
