/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/machine_pic.c - the 8259 pair against its data sheet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/board.h"

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

static void line(unsigned n, bool level)
{
	machine_set_line(b.m, n, level);
}

/* An edge on an input, held. */
static void raise(unsigned n)
{
	line(n, false);
	line(n, true);
}

static uint8_t irr(uint16_t port)
{
	board_out(&b, port, 0x0A);
	return board_in(&b, port);
}

static uint8_t isr(uint16_t port)
{
	board_out(&b, port, 0x0B);
	return board_in(&b, port);
}

static void uninitialised_controllers_never_interrupt(void **state)
{
	(void)state;
	machine_reset(b.m);
	for (unsigned n = 0; n < 16; n++)
		raise(n);
	assert_false(b.intr);
	/* half initialised is not initialised */
	board_out(&b, 0x20, 0x11);
	board_out(&b, 0x21, 0x20);
	assert_false(b.intr);
}

static void an_edge_gives_its_vector_once(void **state)
{
	(void)state;
	raise(4);
	assert_true(b.intr);
	assert_int_equal(irr(0x20), 0x10);
	assert_int_equal(machine_ack_irq(b.m), 0x34);
	assert_false(b.intr);
	assert_int_equal(irr(0x20), 0); /* high still, but its edge is used up */
	assert_int_equal(isr(0x20), 0x10);
	board_end_of_interrupt(&b, 4);
	assert_int_equal(isr(0x20), 0);
	assert_false(b.intr);
	raise(4);
	assert_true(b.intr);
}

static void an_edge_while_in_service_waits_for_the_end(void **state)
{
	(void)state;
	raise(4);
	machine_ack_irq(b.m);
	raise(4);
	assert_false(b.intr);
	board_end_of_interrupt(&b, 4);
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x34);
}

static void an_edge_while_masked_is_kept(void **state)
{
	(void)state;
	board_out(&b, 0x21, 0x10);
	raise(4);
	assert_false(b.intr);
	assert_int_equal(irr(0x20), 0x10);
	board_out(&b, 0x21, 0);
	assert_true(b.intr);
}

static void priority_is_fixed_from_zero_down_at_first(void **state)
{
	(void)state;
	raise(7);
	raise(5);
	raise(1);
	assert_int_equal(machine_ack_irq(b.m), 0x31);
	assert_false(b.intr); /* lower ones wait */
	raise(0);
	assert_true(b.intr); /* a higher one does not */
	assert_int_equal(machine_ack_irq(b.m), 0x30);
	board_out(&b, 0x20, 0x20); /* non-specific: the highest in service */
	assert_int_equal(isr(0x20), 0x02);
	assert_false(b.intr);
	board_out(&b, 0x20, 0x20);
	assert_int_equal(machine_ack_irq(b.m), 0x35);
}

static void the_slave_comes_through_input_two(void **state)
{
	(void)state;
	raise(12);
	assert_true(b.intr);
	assert_int_equal(irr(0x20), 0x04);
	raise(3); /* lower than the cascade */
	assert_int_equal(machine_ack_irq(b.m), 0x3C);
	assert_int_equal(isr(0x20), 0x04);
	assert_int_equal(isr(0xA0), 0x10);
	raise(8);
	/* fully nested: the master serves input 2 already, so the slave's better request waits */
	assert_false(b.intr);
	board_end_of_interrupt(&b, 12);
	assert_int_equal(machine_ack_irq(b.m), 0x38);
	board_end_of_interrupt(&b, 8);
	assert_int_equal(machine_ack_irq(b.m), 0x33);
}

static void special_fully_nested_mode_lets_the_slave_nest(void **state)
{
	(void)state;
	board_out(&b, 0x20, 0x11);
	board_out(&b, 0x21, 0x30);
	board_out(&b, 0x21, 0x04);
	board_out(&b, 0x21, 0x11);
	raise(12);
	assert_int_equal(machine_ack_irq(b.m), 0x3C);
	raise(13);
	assert_false(b.intr);
	raise(9);
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x39);
}

static void a_slave_request_that_waits_raises_the_master_again(void **state)
{
	(void)state;
	raise(9);
	raise(10);
	assert_int_equal(machine_ack_irq(b.m), 0x39);
	board_end_of_interrupt(&b, 9);
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x3A);
}

static void a_request_that_goes_away_takes_intr_with_it(void **state)
{
	(void)state;
	raise(4);
	assert_true(b.intr);
	line(4, false);
	assert_false(b.intr);
	assert_int_equal(irr(0x20), 0);
}

static void an_acknowledge_without_a_request_is_spurious_seven(void **state)
{
	(void)state;
	assert_int_equal(machine_ack_irq(b.m), 0x37);
	assert_int_equal(isr(0x20), 0); /* by which a handler tells it from a real one */
	raise(7);
	assert_int_equal(machine_ack_irq(b.m), 0x37);
	assert_int_equal(isr(0x20), 0x80);
}

static void level_inputs_ask_again_until_they_fall(void **state)
{
	(void)state;
	board_out(&b, 0x4D1, 0x08); /* line 11 */
	assert_int_equal(board_in(&b, 0x4D1), 0x08);
	line(11, true);
	assert_int_equal(machine_ack_irq(b.m), 0x3B);
	assert_false(b.intr);
	board_end_of_interrupt(&b, 11);
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x3B);
	line(11, false);
	board_end_of_interrupt(&b, 11);
	assert_false(b.intr);
}

static void board_lines_cannot_be_made_level(void **state)
{
	(void)state;
	board_out(&b, 0x4D0, 0xFF);
	board_out(&b, 0x4D1, 0xFF);
	assert_int_equal(board_in(&b, 0x4D0), 0xF8);
	assert_int_equal(board_in(&b, 0x4D1), 0xDE);
	raise(0);
	machine_ack_irq(b.m);
	board_end_of_interrupt(&b, 0);
	assert_false(b.intr);
}

static void rotation_moves_the_lowest_priority(void **state)
{
	(void)state;
	raise(3);
	assert_int_equal(machine_ack_irq(b.m), 0x33);
	board_out(&b, 0x20, 0xA0); /* rotate on non-specific EOI: 3 is the lowest now */
	raise(3);
	raise(4);
	raise(0);
	assert_int_equal(machine_ack_irq(b.m), 0x34);
	board_out(&b, 0x20, 0x64);
	assert_int_equal(machine_ack_irq(b.m), 0x30); /* 4 5 6 7 0 1 2 3 */
	board_out(&b, 0x20, 0x60);
	assert_int_equal(machine_ack_irq(b.m), 0x33);
	board_out(&b, 0x20, 0xE3); /* rotate on specific EOI */
	assert_int_equal(isr(0x20), 0);
	board_out(&b, 0x20, 0xC5); /* set priority: 5 lowest, 6 highest */
	raise(5);
	raise(6);
	raise(0);
	assert_int_equal(machine_ack_irq(b.m), 0x36);
	board_out(&b, 0x20, 0x20);
	assert_int_equal(machine_ack_irq(b.m), 0x30);
}

static void automatic_eoi_leaves_nothing_in_service(void **state)
{
	(void)state;
	board_out(&b, 0x20, 0x11);
	board_out(&b, 0x21, 0x30);
	board_out(&b, 0x21, 0x04);
	board_out(&b, 0x21, 0x03);
	raise(1);
	assert_int_equal(machine_ack_irq(b.m), 0x31);
	assert_int_equal(isr(0x20), 0);
	/* and with rotation each one served becomes the lowest */
	board_out(&b, 0x20, 0x80);
	raise(1);
	assert_int_equal(machine_ack_irq(b.m), 0x31);
	raise(1);
	raise(3);
	assert_int_equal(machine_ack_irq(b.m), 0x33);
	board_out(&b, 0x20, 0x00);
	assert_int_equal(machine_ack_irq(b.m), 0x31);
}

static void special_mask_mode_lets_lower_ones_through(void **state)
{
	(void)state;
	raise(1);
	machine_ack_irq(b.m);
	raise(5);
	assert_false(b.intr);
	board_out(&b, 0x21, 0x02);
	assert_false(b.intr); /* masking alone changes nothing */
	board_out(&b, 0x20, 0x68);
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x35);
	board_out(&b, 0x20, 0x20); /* non-specific: passes the masked one over */
	assert_int_equal(isr(0x20), 0x02);
	board_out(&b, 0x20, 0x48);
	raise(5);
	assert_false(b.intr);
}

static void the_poll_command_acknowledges(void **state)
{
	(void)state;
	board_out(&b, 0x20, 0x0C);
	assert_int_equal(board_in(&b, 0x20) & 0x80, 0);
	raise(6);
	board_out(&b, 0x20, 0x0C);
	assert_int_equal(board_in(&b, 0x20), 0x86);
	assert_false(b.intr);
	assert_int_equal(isr(0x20), 0x40);
	assert_int_equal(board_in(&b, 0x21), 0); /* the next read is an ordinary one */
}

static void the_mask_can_be_read_back(void **state)
{
	(void)state;
	board_out(&b, 0x21, 0xFB);
	board_out(&b, 0xA1, 0xA5);
	assert_int_equal(board_in(&b, 0x21), 0xFB);
	assert_int_equal(board_in(&b, 0xA1), 0xA5);
	/* starting over clears it */
	board_out(&b, 0x20, 0x11);
	board_out(&b, 0x21, 0x20);
	board_out(&b, 0x21, 0x04);
	board_out(&b, 0x21, 0x01);
	assert_int_equal(board_in(&b, 0x21), 0);
}

static void initialisation_forgets_edges_and_service(void **state)
{
	(void)state;
	raise(5);
	raise(1);
	machine_ack_irq(b.m);
	board_set_up_pic(&b);
	assert_false(b.intr);
	assert_int_equal(isr(0x20), 0);
	assert_int_equal(irr(0x20), 0);
}

static void a_single_chip_needs_no_third_word(void **state)
{
	(void)state;
	board_out(&b, 0x20, 0x12); /* single, no ICW4 */
	board_out(&b, 0x21, 0x40);
	raise(1);
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x41);
}

static void the_description_has_both_chips(void **state)
{
	char text[512], small[8];

	(void)state;
	raise(4);
	assert_true(machine_describe_irq(b.m, text, sizeof(text)) > 0);
	assert_non_null(strstr(text, "master irr 10"));
	assert_non_null(strstr(text, "slave"));
	assert_int_equal(machine_describe_irq(b.m, small, sizeof(small)), sizeof(small) - 1);
	assert_int_equal(strlen(small), sizeof(small) - 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
	    TEST(uninitialised_controllers_never_interrupt),
	    TEST(an_edge_gives_its_vector_once),
	    TEST(an_edge_while_in_service_waits_for_the_end),
	    TEST(an_edge_while_masked_is_kept),
	    TEST(priority_is_fixed_from_zero_down_at_first),
	    TEST(the_slave_comes_through_input_two),
	    TEST(special_fully_nested_mode_lets_the_slave_nest),
	    TEST(a_slave_request_that_waits_raises_the_master_again),
	    TEST(a_request_that_goes_away_takes_intr_with_it),
	    TEST(an_acknowledge_without_a_request_is_spurious_seven),
	    TEST(level_inputs_ask_again_until_they_fall),
	    TEST(board_lines_cannot_be_made_level),
	    TEST(rotation_moves_the_lowest_priority),
	    TEST(automatic_eoi_leaves_nothing_in_service),
	    TEST(special_mask_mode_lets_lower_ones_through),
	    TEST(the_poll_command_acknowledges),
	    TEST(the_mask_can_be_read_back),
	    TEST(initialisation_forgets_edges_and_service),
	    TEST(a_single_chip_needs_no_third_word),
	    TEST(the_description_has_both_chips),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
