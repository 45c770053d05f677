/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/machine_ports.c - the small devices: keyboard controller, PCI, DMA registers, power,
 * debug ports; and what all have in common: wide accesses, nobody's ports, random writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "machine/device.h"
#include "tests/lib/board.h"
#include "tests/lib/tap.h"

static struct board b;

static int start(void **state)
{
	(void)state;
	board_start(&b);
	board_set_up_pic(&b);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	board_stop(&b);
	return 0;
}

/* ---- keyboard controller -------------------------------------------------------------------- */

static uint8_t kbc_ask(uint8_t command)
{
	board_out(&b, 0x64, command);
	assert_true(board_in(&b, 0x64) & 1);
	return board_in(&b, 0x60);
}

static void the_controller_passes_its_tests(void **state)
{
	(void)state;
	assert_int_equal(board_in(&b, 0x64) & 0x13, 0x10); /* nothing waits, not locked */
	assert_int_equal(kbc_ask(0xAA), 0x55);
	assert_int_equal(kbc_ask(0xAB), 0x00);
	board_out(&b, 0x64, 0x60);
	board_out(&b, 0x60, 0x47);
	assert_int_equal(kbc_ask(0x20), 0x47);
	assert_int_equal(board_in(&b, 0x64) & 1, 0);
}

static void nobody_is_on_either_connector(void **state)
{
	(void)state;
	/* the auxiliary loop-back answers as the keyboard, which tells a driver that there is no
	 * such port */
	board_out(&b, 0x64, 0xD3);
	board_out(&b, 0x60, 0x5A);
	assert_int_equal(board_in(&b, 0x64) & 0x21, 0x01);
	assert_int_equal(board_in(&b, 0x60), 0x5A);
	assert_int_not_equal(kbc_ask(0xA9), 0);
	/* a byte for the keyboard is answered by the controller: nobody there */
	board_out(&b, 0x64, 0x60);
	board_out(&b, 0x60, 0x41);
	board_out(&b, 0x60, 0xF2);
	assert_int_equal(board_in(&b, 0x64) & 0x41, 0x41);
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x31);
	assert_int_equal(board_in(&b, 0x60), 0xFE);
	board_end_of_interrupt(&b, 1);
	assert_false(b.intr);
}

static void the_controller_gates_a20(void **state)
{
	(void)state;
	assert_true(b.a20);
	board_out(&b, 0x64, 0xD1);
	board_out(&b, 0x60, 0xDD);
	assert_false(b.a20);
	assert_int_equal(kbc_ask(0xD0) & 2, 0);
	board_out(&b, 0x92, 2);
	assert_true(b.a20);
	assert_int_equal(kbc_ask(0xD0) & 2, 2);
	board_out(&b, 0x64, 0xDD);
	assert_false(b.a20);
	assert_int_equal(board_in(&b, 0x92) & 2, 0);
	machine_reset(b.m);
	assert_true(b.a20);
}

/* ---- power ---------------------------------------------------------------------------------- */

static void expect_request(enum machine_request request)
{
	assert_int_equal(machine_requested(b.m), request);
	machine_reset(b.m);
	assert_int_equal(machine_requested(b.m), MACHINE_RUN);
}

static void each_way_to_reset(void **state)
{
	(void)state;
	board_out(&b, 0x64, 0xFF); /* pulses nothing */
	assert_int_equal(machine_requested(b.m), MACHINE_RUN);
	board_out(&b, 0x64, 0xFE);
	expect_request(MACHINE_RESET);
	board_out(&b, 0x64, 0xD1);
	board_out(&b, 0x60, 0x02);
	expect_request(MACHINE_RESET);
	board_out(&b, 0x92, 0x03);
	expect_request(MACHINE_RESET);
	board_out(&b, 0xCF9, 0x02);
	assert_int_equal(machine_requested(b.m), MACHINE_RUN);
	board_out(&b, 0xCF9, 0x06);
	expect_request(MACHINE_RESET);
}

static void each_way_to_power_off(void **state)
{
	(void)state;
	machine_port_out(b.m, 0x604, 2, 0x1FFF);
	assert_int_equal(machine_requested(b.m), MACHINE_RUN);
	machine_port_out(b.m, 0x604, 2, 0x2000);
	expect_request(MACHINE_POWER_OFF);
	board_out(&b, 0x605, 0x20);
	expect_request(MACHINE_POWER_OFF);
	for (const char *c = "ShuShutdown"; *c; c++) {
		assert_int_equal(machine_requested(b.m), MACHINE_RUN);
		board_out(&b, 0x8900, (uint8_t)*c);
	}
	expect_request(MACHINE_POWER_OFF);
}

static void debug_exit_has_a_status(void **state)
{
	(void)state;
	machine_port_out(b.m, 0x501, 4, 0x21);
	assert_int_equal(machine_exit_code(b.m), 0x43);
	machine_port_out(b.m, 0x604, 2, 0x2000); /* too late */
	expect_request(MACHINE_DEBUG_EXIT);
}

static void no_debug_exit_unless_asked_for(void **state)
{
	struct machine_config config = b.config;
	struct machine *m;

	(void)state;
	config.debug_exit_port = 0;
	m = machine_new(&config);
	assert_non_null(m);
	machine_port_out(m, 0x501, 1, 0);
	machine_port_out(m, 0, 1, 0);
	assert_int_equal(machine_requested(m), MACHINE_RUN);
	machine_free(m);
}

/* ---- PCI ------------------------------------------------------------------------------------ */

static uint32_t pci_read(unsigned slot, unsigned offset)
{
	machine_port_out(b.m, 0xCF8, 4, 0x80000000u | slot << 11 | (offset & 0xFC));
	return machine_port_in(b.m, 0xCFC, 4);
}

static void pci_write(unsigned slot, unsigned offset, uint32_t value)
{
	machine_port_out(b.m, 0xCF8, 4, 0x80000000u | slot << 11 | (offset & 0xFC));
	machine_port_out(b.m, 0xCFC, 4, value);
}

static void mechanism_one_is_found_as_linux_looks_for_it(void **state)
{
	uint32_t before;

	(void)state;
	board_out(&b, 0xCFB, 1);
	before = machine_port_in(b.m, 0xCF8, 4);
	machine_port_out(b.m, 0xCF8, 4, 0x80000000u);
	assert_int_equal(machine_port_in(b.m, 0xCF8, 4), 0x80000000u);
	machine_port_out(b.m, 0xCF8, 4, before);
	assert_int_equal(pci_read(0, 0), 0x12378086);
	assert_int_equal(pci_read(0, 8) >> 8, 0x060000);
	machine_port_out(b.m, 0xCF8, 4, 0x80000008u);
	assert_int_equal(machine_port_in(b.m, 0xCFE, 2), 0x0600);
	assert_int_equal(board_in(&b, 0xCFF), 0x06);
	/* nobody else on the bus, on other buses or functions, or without the enable bit */
	for (unsigned slot = 1; slot < 32; slot++)
		assert_int_equal(pci_read(slot, 0), 0xFFFFFFFFu);
	machine_port_out(b.m, 0xCF8, 4, 0x80000100u);
	assert_int_equal(machine_port_in(b.m, 0xCFC, 4), 0xFFFFFFFFu);
	machine_port_out(b.m, 0xCF8, 4, 0x80010000u);
	assert_int_equal(machine_port_in(b.m, 0xCFC, 4), 0xFFFFFFFFu);
	machine_port_out(b.m, 0xCF8, 4, 0);
	assert_int_equal(machine_port_in(b.m, 0xCFC, 4), 0xFFFFFFFFu);
}

static void base_registers_can_be_sized(void **state)
{
	struct pci_function *f = pci_add_function(b.m, 5, 0x1234, 0x5678, 0x020000, 1);

	(void)state;
	assert_non_null(f);
	assert_null(pci_add_function(b.m, 5, 1, 1, 0, 0));
	pci_add_bar(f, 0, 64, true);
	pci_add_bar(f, 1, 4096, false);
	pci_write(5, 0x10, 0xFFFFFFFFu);
	assert_int_equal(pci_read(5, 0x10), 0xFFFFFFC1u);
	pci_write(5, 0x14, 0xFFFFFFFFu);
	assert_int_equal(pci_read(5, 0x14), 0xFFFFF000u);
	pci_write(5, 0x18, 0xFFFFFFFFu);
	assert_int_equal(pci_read(5, 0x18), 0);
	pci_write(5, 0x10, 0xC000);
	assert_int_equal(pci_read(5, 0x10), 0xC001);
	pci_write(5, 0x00, 0);
	assert_int_equal(pci_read(5, 0x00), 0x56781234);
	pci_write(5, 0x3C, 0x0B);
	assert_int_equal(pci_read(5, 0x3C), 0x0B);
	machine_reset(b.m);
	assert_int_equal(pci_read(5, 0x10), 1);
}

/* ---- DMA ------------------------------------------------------------------------------------ */

static void dma_registers_go_through_the_flip_flop(void **state)
{
	(void)state;
	board_out(&b, 0x0C, 0);
	board_out(&b, 0x04, 0x34);
	board_out(&b, 0x04, 0x12);
	board_out(&b, 0x0C, 0);
	assert_int_equal(board_in(&b, 0x04), 0x34);
	assert_int_equal(board_in(&b, 0x04), 0x12);
	board_out(&b, 0xD8, 0);
	board_out(&b, 0xC6, 0xCD);
	board_out(&b, 0xC6, 0xAB);
	board_out(&b, 0xD8, 0);
	assert_int_equal(board_in(&b, 0xC6), 0xCD);
	assert_int_equal(board_in(&b, 0xC6), 0xAB);
	board_out(&b, 0x0D, 0); /* master clear masks all */
	assert_int_equal(board_in(&b, 0x0F) & 0x0F, 0x0F);
	board_out(&b, 0x0A, 0x02);
	assert_int_equal(board_in(&b, 0x0F) & 0x0F, 0x0B);
	assert_int_equal(board_in(&b, 0x08), 0);
	board_out(&b, 0x83, 0x5A);
	assert_int_equal(board_in(&b, 0x83), 0x5A);
}

/* ---- all ------------------------------------------------------------------------------------ */

static void the_debug_port_prints(void **state)
{
	(void)state;
	assert_int_equal(board_in(&b, 0xE9), 0xE9);
	board_out(&b, 0xE9, 'h');
	board_out(&b, 0xE9, 'i');
	assert_int_equal(b.debug_used, 2);
	assert_memory_equal(b.debug, "hi", 2);
}

static void nobodys_ports_read_all_ones(void **state)
{
	(void)state;
	assert_int_equal(machine_port_in(b.m, 0x1F0, 1), 0xFF);
	assert_int_equal(machine_port_in(b.m, 0x1F0, 2), 0xFFFF);
	assert_int_equal(machine_port_in(b.m, 0xFFFF, 4),
			 0xFF); /* wraps at the end, into DMA's registers */
	machine_port_out(b.m, 0x1F0, 4, 0);
}

static void wide_accesses_are_split_into_bytes(void **state)
{
	(void)state;
	machine_port_out(b.m, 0x3FE, 2, 0xA500); /* MSR ignored, scratch written */
	assert_int_equal(board_in(&b, 0x3FF), 0xA5);
	assert_int_equal(machine_port_in(b.m, 0x3FE, 4) >> 8, 0xFFFFA5);
}

/* A guest that writes anything anywhere harms nobody but itself. */
static void random_port_traffic_is_harmless(void **state)
{
	unsigned long rounds = test_rounds(1000000);
	uint64_t x = 88172645463325252ull;

	(void)state;
	for (unsigned long i = 0; i < rounds; i++) {
		static const unsigned width[] = {1, 1, 2, 4};
		static const uint16_t busy[] = {0x20,  0x40,  0x60,  0x70, 0xA0,
						0x3F8, 0xCF8, 0x4D0, 0x00, 0x600};
		uint16_t port;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		port = (uint16_t)(x & 1 ? busy[x / 2 % 10] + (x >> 8 & 15) : x >> 16);
		if (x & 1u << 30)
			machine_port_out(b.m, port, width[x >> 32 & 3], (uint32_t)(x >> 24));
		else
			machine_port_in(b.m, port, width[x >> 32 & 3]);
		b.now += x >> 40 & 0x3FFFF;
		if (machine_deadline(b.m) <= b.now)
			machine_poll(b.m);
		/* polling leaves nothing overdue: an embedder's loop makes progress */
		assert_true(machine_deadline(b.m) > b.now);
		if (b.intr)
			assert_in_range(machine_ack_irq(b.m), 0, 255);
		if (x >> 34 & 1)
			machine_serial_in(b.m, (const uint8_t *)&x, 8);
		b.out_used = 0;
		if (machine_requested(b.m) != MACHINE_RUN && x >> 60 & 1)
			machine_reset(b.m);
	}
}

static void two_machines_share_nothing(void **state)
{
	static struct board other;

	(void)state;
	board_start(&other);
	board_out(&b, 0x3FF, 1);
	board_out(&other, 0x3FF, 2);
	board_out(&b, 0x21, 0x55);
	assert_int_equal(board_in(&b, 0x3FF), 1);
	assert_int_equal(board_in(&other, 0x3FF), 2);
	assert_int_equal(board_in(&other, 0x21), 0);
	board_stop(&other);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
	    TEST(the_controller_passes_its_tests),
	    TEST(nobody_is_on_either_connector),
	    TEST(the_controller_gates_a20),
	    TEST(each_way_to_reset),
	    TEST(each_way_to_power_off),
	    TEST(debug_exit_has_a_status),
	    TEST(no_debug_exit_unless_asked_for),
	    TEST(mechanism_one_is_found_as_linux_looks_for_it),
	    TEST(base_registers_can_be_sized),
	    TEST(dma_registers_go_through_the_flip_flop),
	    TEST(the_debug_port_prints),
	    TEST(nobodys_ports_read_all_ones),
	    TEST(wide_accesses_are_split_into_bytes),
	    TEST(random_port_traffic_is_harmless),
	    TEST(two_machines_share_nothing),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
