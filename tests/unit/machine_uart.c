/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/machine_uart.c - the 16550A against its data sheet, and as Linux's 8250 driver probes
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lib/board.h"

enum { DATA = 0x3F8, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };
#define MS 1000000ull

static struct board b;

static int start(void **state)
{
	(void)state;
	board_start(&b);
	board_set_up_pic(&b);
	board_out(&b, LCR, 0x80);
	board_out(&b, DATA, 1); /* 115200 */
	board_out(&b, IER, 0);
	board_out(&b, LCR, 0x03);
	board_out(&b, MCR, 0x0B); /* DTR RTS OUT2 */
	return 0;
}

static int stop(void **state)
{
	(void)state;
	board_stop(&b);
	return 0;
}

static size_t feed(const char *text)
{
	return machine_serial_in(b.m, (const uint8_t *)text, strlen(text));
}

static void fifo_on(unsigned trigger)
{
	board_out(&b, FCR, (uint8_t)(0x07 | trigger << 6));
}

static void bytes_come_out_in_order_and_in_pieces(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		assert_int_equal(board_in(&b, LSR) & 0x60, 0x60);
		board_out(&b, DATA, (uint8_t)(i * 7));
	}
	machine_flush(b.m);
	assert_int_equal(b.out_used, 10000);
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(b.out[i], (uint8_t)(i * 7));
	assert_in_range(b.serial_calls, 1, 4);
}

static void a_byte_waits_a_millisecond_at_most(void **state)
{
	(void)state;
	board_out(&b, DATA, 'x');
	assert_int_equal(b.out_used, 0);
	board_pass(&b, 1 * MS);
	assert_int_equal(b.out_used, 1);
	assert_int_equal(machine_deadline(b.m), UINT64_MAX);
}

static void a_host_that_takes_nothing_holds_the_guest_back(void **state)
{
	unsigned sent = 0;

	(void)state;
	fifo_on(0);
	b.out_limit = 100;
	while (sent < 20000 && board_in(&b, LSR) & 0x20) {
		board_out(&b, DATA, (uint8_t)sent);
		sent++;
	}
	assert_in_range(sent, 4096, 4200); /* the buffer, and what the host took */
	board_out(&b, IER, 2);
	assert_int_equal(board_in(&b, IIR) & 0x0F, 0x01);
	assert_false(b.intr);
	board_pass(&b, 100 * MS);
	assert_false(board_in(&b, LSR) & 0x20);
	b.out_limit = BOARD_OUT;
	board_pass(&b, 20 * MS);
	assert_int_equal(b.out_used, sent);
	assert_true(board_in(&b, LSR) & 0x20);
	assert_true(b.intr); /* room again: that is the interrupt it waited for */
	for (unsigned i = 0; i < sent; i++)
		assert_int_equal(b.out[i], (uint8_t)i);
}

static void transmitter_interrupt_is_a_latch(void **state)
{
	(void)state;
	board_out(&b, IER, 2);
	assert_true(b.intr); /* enabling it while THR is empty raises it */
	assert_int_equal(board_in(&b, IIR), 0x02);
	assert_false(b.intr);
	assert_int_equal(board_in(&b, IIR), 0x01); /* reading cleared it */
	board_out(&b, IER, 2);
	assert_int_equal(board_in(&b, IIR), 0x01); /* already enabled: nothing */
	board_out(&b, DATA, 'a');
	assert_true(b.intr); /* THR emptied */
	assert_int_equal(board_in(&b, IIR), 0x02);
	board_out(&b, IER, 0);
	board_out(&b, IER, 2);
	assert_int_equal(board_in(&b, IIR), 0x02);
}

static void interrupts_come_by_priority(void **state)
{
	(void)state;
	fifo_on(0);
	board_out(&b, IER, 0x0F);
	board_in(&b, MSR);
	board_out(&b, MCR, 0x10); /* loopback: modem lines change */
	board_out(&b, MCR, 0x0B);
	feed("a");
	machine_serial_break(b.m);
	assert_int_equal(board_in(&b, IIR), 0xC4); /* data; the break is not at the head yet */
	assert_int_equal(board_in(&b, LSR),
			 0xE1); /* but announced: an error somewhere in the FIFO */
	assert_int_equal(board_in(&b, DATA), 'a');
	assert_int_equal(board_in(&b, IIR), 0xC6);
	assert_int_equal(board_in(&b, LSR), 0xF1);
	assert_int_equal(board_in(&b, IIR), 0xC4);
	assert_int_equal(board_in(&b, DATA), 0);
	assert_int_equal(board_in(&b, IIR), 0xC2);
	assert_int_equal(board_in(&b, IIR), 0xC0);
	assert_int_equal(board_in(&b, MSR) & 0x0F, 0x0F & ~0x04);
	assert_int_equal(board_in(&b, IIR), 0xC1);
}

static void trigger_levels_and_time_out(void **state)
{
	static const unsigned level[] = {1, 4, 8, 14};

	(void)state;
	for (unsigned i = 1; i < 4; i++) {
		fifo_on(i);
		board_out(&b, IER, 1);
		for (unsigned n = 1; n < level[i]; n++)
			feed("x");
		assert_int_equal(board_in(&b, IIR), 0xC1);
		feed("y");
		assert_int_equal(board_in(&b, IIR), 0xC4);
		board_in(&b, DATA);
		assert_int_equal(board_in(&b, IIR), 0xC1);
		/* four characters' time later */
		board_pass(&b, 300000);
		assert_int_equal(board_in(&b, IIR), 0xC1);
		board_pass(&b, 60000);
		assert_int_equal(board_in(&b, IIR), 0xCC);
		assert_true(b.intr);
		assert_int_equal(machine_ack_irq(b.m), 0x34);
		board_end_of_interrupt(&b, 4);
		while (board_in(&b, LSR) & 1)
			board_in(&b, DATA);
		assert_int_equal(board_in(&b, IIR), 0xC1);
	}
}

static void the_fifo_holds_sixteen(void **state)
{
	(void)state;
	assert_int_equal(machine_serial_room(b.m), 1);
	fifo_on(0);
	assert_int_equal(machine_serial_room(b.m), 16);
	assert_int_equal(feed("0123456789abcdefghi"), 16);
	assert_int_equal(machine_serial_room(b.m), 0);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(board_in(&b, DATA), "0123456789abcdef"[i]);
	assert_int_equal(board_in(&b, LSR), 0x60);
	feed("zz");
	fifo_on(0); /* clears */
	assert_int_equal(board_in(&b, LSR), 0x60);
}

static void without_the_fifo_one_byte_at_a_time(void **state)
{
	(void)state;
	assert_int_equal(feed("ab"), 1);
	assert_int_equal(board_in(&b, DATA), 'a');
	assert_int_equal(board_in(&b, IIR), 0x01);
	board_out(&b, IER, 1);
	feed("b");
	assert_int_equal(board_in(&b, IIR), 0x04);
}

static void loopback_as_a_driver_tests_it(void **state)
{
	(void)state;
	board_out(&b, IER, 0x0F);
	board_in(&b, IIR);
	board_out(&b, MCR, 0x1A);
	assert_int_equal(board_in(&b, MSR) & 0xF0, 0x90);
	board_out(&b, MCR, 0x15);
	assert_int_equal(board_in(&b, MSR) & 0xF0, 0x60);
	board_out(&b, MCR, 0x10);
	assert_int_equal(board_in(&b, MSR), 0x06); /* RI ended: its trailing edge counts */
	board_out(&b, DATA, 0x5A);
	assert_int_equal(board_in(&b, LSR) & 1, 1);
	assert_int_equal(board_in(&b, DATA), 0x5A);
	board_out(&b, DATA, 1);
	board_out(&b, DATA, 2);
	assert_int_equal(board_in(&b, LSR) & 2, 2); /* overrun */
	assert_false(b.intr);                       /* OUT2 is inactive */
	assert_int_equal(machine_serial_room(b.m), 0);
	machine_flush(b.m);
	assert_int_equal(b.out_used, 0);
}

static void out2_gates_the_interrupt(void **state)
{
	(void)state;
	board_out(&b, IER, 2);
	assert_true(b.intr);
	board_out(&b, MCR, 0x03);
	assert_false(b.intr);
	board_out(&b, MCR, 0x0B);
	assert_true(b.intr);
}

static void registers_keep_what_they_should(void **state)
{
	(void)state;
	board_out(&b, SCR, 0xA5);
	assert_int_equal(board_in(&b, SCR), 0xA5);
	board_out(&b, IER, 0xFF);
	assert_int_equal(board_in(&b, IER), 0x0F);
	board_out(&b, LCR, 0x83);
	board_out(&b, DATA, 0x34);
	board_out(&b, IER, 0x12);
	assert_int_equal(board_in(&b, DATA), 0x34);
	assert_int_equal(board_in(&b, IER), 0x12);
	board_out(&b, LCR, 0x03);
	assert_int_equal(board_in(&b, IER), 0x0F);
	assert_int_equal(board_in(&b, MSR) & 0xF0, 0xB0);
	/* a 16550A, not a 16750: the 64-byte bit does nothing */
	board_out(&b, FCR, 0x01);
	assert_int_equal(board_in(&b, IIR) >> 5, 6);
	board_out(&b, LCR, 0x80);
	board_out(&b, FCR, 0x21);
	assert_int_equal(board_in(&b, IIR) >> 5, 6);
}

static void linux_finds_no_transmitter_bug(void **state)
{
	(void)state;
	/* the driver's THRE test */
	board_out(&b, IER, 2);
	uint8_t first = board_in(&b, IIR);
	board_out(&b, IER, 0);
	board_out(&b, IER, 2);
	uint8_t second = board_in(&b, IIR);
	board_out(&b, IER, 0);
	assert_false(!(first & 1) && second & 1);
	/* and its TXEN test */
	board_out(&b, IER, 2);
	assert_true(board_in(&b, LSR) & 0x40);
	assert_false(board_in(&b, IIR) & 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
	    TEST(bytes_come_out_in_order_and_in_pieces),
	    TEST(a_byte_waits_a_millisecond_at_most),
	    TEST(a_host_that_takes_nothing_holds_the_guest_back),
	    TEST(transmitter_interrupt_is_a_latch),
	    TEST(interrupts_come_by_priority),
	    TEST(trigger_levels_and_time_out),
	    TEST(the_fifo_holds_sixteen),
	    TEST(without_the_fifo_one_byte_at_a_time),
	    TEST(loopback_as_a_driver_tests_it),
	    TEST(out2_gates_the_interrupt),
	    TEST(registers_keep_what_they_should),
	    TEST(linux_finds_no_transmitter_bug),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
