/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_boot.c - what a guest finds when it starts, and what must hold at the end of all.
 */
#include "guests/pv/pv.h"

enum { BOOT_ESP = 7, BOOT_EFLAGS, BOOT_CS, BOOT_DS, BOOT_ES, BOOT_SS, BOOT_FS, BOOT_GS };

static void test_registers(void)
{
	for (unsigned i = 0; i <= BOOT_ESP; i++)
		CHECK_EQUAL(boot_registers[i], 0);
	CHECK_EQUAL(boot_registers[BOOT_EFLAGS], 0x202);
	CHECK_EQUAL(boot_registers[BOOT_CS], KERNEL_CODE);
	CHECK_EQUAL(boot_registers[BOOT_DS], KERNEL_DATA);
	CHECK_EQUAL(boot_registers[BOOT_ES], KERNEL_DATA);
	CHECK_EQUAL(boot_registers[BOOT_SS], KERNEL_DATA);
	CHECK_EQUAL(boot_registers[BOOT_FS], 0);
	CHECK_EQUAL(boot_registers[BOOT_GS], 0);
}

static uint32_t parameter(unsigned offset)
{
	return *(const uint32_t *)virtual(offset);
}

static void test_parameters(void)
{
	CHECK_EQUAL(parameter(0x1E8) & 0xFF, 1);        /* one e820 entry */
	CHECK_EQUAL(parameter(0x1EC) >> 24, 0);         /* sentinel */
	CHECK_EQUAL(parameter(0x204) >> 16, 0x0207);    /* boot protocol */
	CHECK_EQUAL(parameter(0x202) & 0xFFFF, 0);      /* no header magic */
	CHECK(parameter(0x210) & 0x4000);               /* keep segments */
	CHECK_EQUAL(parameter(0x228), PHYSICAL_COMMAND_LINE);
	CHECK_EQUAL(parameter(0x23C), 1);               /* subarchitecture: lguest */
	CHECK_EQUAL(parameter(0x2D0), 0);
	CHECK_EQUAL(parameter(0x2D4), 0);
	CHECK_EQUAL(parameter(0x2D8) % PAGE, 0);
	CHECK_EQUAL(parameter(0x2DC), 0);
	CHECK_EQUAL(parameter(0x2E0), 1);
	CHECK_EQUAL(parameter(0), 0);                   /* no screen */
}

static void test_data(void)
{
	uint32_t reserve = *data_word(family->reserve);

	CHECK(reserve != 0 && reserve % PAGE == 0 && reserve <= 0x400000);
	CHECK(*data_word(DATA_SECONDS) != 0);
	CHECK(*data_word(DATA_NANOSECONDS) < 1000000000);
	CHECK_EQUAL(*data_word(DATA_IRQ_ENABLED), 0);
	for (unsigned i = 0; i < RING_SLOTS; i++)
		CHECK_EQUAL((uint8_t)lguest_data[family->status + i], RING_FREE);
	if (family->pgdir)
		CHECK(*data_word(family->pgdir) != 0 && *data_word(family->pgdir) % PAGE == 0);
}

/* Before any process: the families from F on tell nothing yet but flushes. */
static void test_silent(void)
{
	uint32_t va = VMALLOC + 0x1000000, frames[2] = { take_frame(), take_frame() };

	map_kernel(va, 0);
	for (uint32_t i = 0; i < 8; i++) {
		*(uint32_t *)virtual(frames[i % 2]) = i;
		*(volatile uint32_t *)find_pte(physical(swapper), va) = frames[i % 2] | PTE_KERNEL;
		if (i) /* the first is new, there is nothing to forget */
			(i % 4 == 3 ? flush_everything() : flush_page(va));
		__asm__ volatile("" : : : "memory");
		CHECK_EQUAL(*(volatile uint32_t *)va, i);
	}
	map_kernel(va, 0);
	release_frame(frames[0]);
	release_frame(frames[1]);
}

/* After everything else. */
static void test_registers_kept(void)
{
	CHECK_EQUAL(registers_changed, 0);
}

static void test_needless(void)
{
	CHECK_EQUAL(interrupts_needless, 0);
	CHECK_EQUAL(interrupts_misplaced, 0);
}

const struct test boot_tests[] = {
	{ "boot", "registers", test_registers },
	{ "boot", "parameters", test_parameters },
	{ "boot", "data", test_data },
	{ "boot", "silent", test_silent },
	{ 0 },
};

const struct test end_tests[] = {
	{ "end", "registers-kept", test_registers_kept },
	{ "end", "no-needless-calls", test_needless },
	{ 0 },
};
