/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/machine_pit.c - the 8254 against its data sheet: six modes, latches, port 0x61, IRQ 0.
 *
 * Times are in ticks of 1.193182 MHz; the clock starts a little into a tick so that rounding cannot
 * hide.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/lib/board.h"

#define HZ 1193182ull

static struct board b;
static uint64_t tick; /* where the clock stands */

static uint64_t ns_of(uint64_t t)
{
	return t * 1000000000ull / HZ + 400; /* well inside the tick of 838 ns */
}

static void at(uint64_t t)
{
	board_pass(&b, ns_of(t) - b.now);
	tick = t;
}

static void after(uint64_t ticks)
{
	at(tick + ticks);
}

static int start(void **state)
{
	(void)state;
	board_start(&b);
	board_set_up_pic(&b);
	board_out(&b, 0x61, 1); /* gate 2 open */
	tick = 0;
	at(1000);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	board_stop(&b);
	return 0;
}

static void program(unsigned channel, unsigned mode, unsigned count)
{
	board_out(&b, 0x43, (uint8_t)(channel << 6 | 0x30 | mode << 1));
	board_out(&b, (uint16_t)(0x40 + channel), (uint8_t)count);
	board_out(&b, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static unsigned read_count(unsigned channel)
{
	unsigned low = board_in(&b, (uint16_t)(0x40 + channel));

	return low | (unsigned)board_in(&b, (uint16_t)(0x40 + channel)) << 8;
}

static unsigned latched(unsigned channel)
{
	board_out(&b, 0x43, (uint8_t)(channel << 6));
	return read_count(channel);
}

static bool out2(void)
{
	return board_in(&b, 0x61) & 0x20;
}

static void gate2(bool open)
{
	board_out(&b, 0x61, open);
}

static void mode_0_rises_once_at_zero(void **state)
{
	(void)state;
	program(2, 0, 10);
	assert_false(out2());
	after(1); /* the count is taken by the next clock pulse */
	assert_int_equal(latched(2), 10);
	after(9);
	assert_int_equal(latched(2), 1);
	assert_false(out2());
	after(1);
	assert_int_equal(latched(2), 0);
	assert_true(out2());
	after(1);
	assert_int_equal(latched(2), 0xFFFF); /* counts on */
	after(200000);
	assert_true(out2());
	program(2, 0, 10);
	assert_false(out2());
}

static void mode_0_waits_while_the_gate_is_low(void **state)
{
	(void)state;
	program(2, 0, 10);
	after(5);
	assert_int_equal(latched(2), 6);
	gate2(false);
	after(100);
	assert_int_equal(latched(2), 6);
	assert_false(out2());
	gate2(true);
	after(5);
	assert_int_equal(latched(2), 1);
	after(1);
	assert_true(out2());
}

static void mode_0_first_byte_stops_the_count(void **state)
{
	(void)state;
	program(2, 0, 10);
	after(50);
	assert_true(out2());
	board_out(&b, 0x42, 20);
	assert_false(out2());
	after(500);
	assert_false(out2());
	board_out(&b, 0x42, 0);
	after(20);
	assert_false(out2());
	after(1);
	assert_true(out2());
}

static void mode_1_is_a_pulse_for_each_trigger(void **state)
{
	(void)state;
	gate2(false);
	program(2, 1, 8);
	after(100);
	assert_true(out2()); /* the count alone starts nothing */
	gate2(true);
	after(1);
	assert_false(out2());
	after(7);
	assert_false(out2());
	gate2(false);
	gate2(true); /* again: the pulse begins anew */
	assert_false(out2());
	after(8);
	assert_false(out2());
	after(1);
	assert_true(out2());
	/* a new count is for the next trigger */
	gate2(false);
	gate2(true);
	after(1);
	board_out(&b, 0x42, 100);
	board_out(&b, 0x42, 0);
	after(8);
	assert_true(out2());
	gate2(false);
	gate2(true);
	after(99);
	assert_false(out2());
	after(2);
	assert_true(out2());
}

static void mode_2_is_low_for_the_last_clock(void **state)
{
	(void)state;
	program(2, 2, 5);
	after(1);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(latched(2), 5 - i % 5);
		assert_int_equal(out2(), i % 5 != 4);
		after(1);
	}
	gate2(false);
	assert_true(out2());
	after(17);
	gate2(true);
	after(1);
	assert_int_equal(latched(2), 5);
}

static void mode_2_takes_a_new_count_at_the_end_of_the_period(void **state)
{
	(void)state;
	program(2, 2, 100);
	after(1 + 250);
	board_out(&b, 0x42, 10);
	board_out(&b, 0x42, 0);
	after(40);
	assert_int_equal(latched(2), 100 - 90);
	after(10);
	assert_int_equal(latched(2), 10);
	after(9);
	assert_false(out2());
	after(1);
	assert_int_equal(latched(2), 10);
}

static void mode_3_even_counts_by_two(void **state)
{
	static const unsigned count[] = {6, 4, 2, 6, 4, 2};

	(void)state;
	program(2, 3, 6);
	after(1);
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(latched(2), count[i % 6]);
		assert_int_equal(out2(), i % 6 < 3);
		after(1);
	}
}

static void mode_3_odd_is_high_one_clock_longer(void **state)
{
	static const unsigned count[] = {4, 2, 0, 4, 2};

	(void)state;
	program(2, 7, 5); /* 7 is 3 */
	after(1);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(latched(2), count[i % 5]);
		assert_int_equal(out2(), i % 5 < 3);
		after(1);
	}
}

static void mode_4_strobes_once(void **state)
{
	(void)state;
	program(2, 4, 10);
	after(1);
	assert_true(out2());
	after(9);
	assert_true(out2());
	after(1);
	assert_false(out2());
	after(1);
	assert_true(out2());
	after(70000);
	assert_true(out2());
}

static void mode_5_strobes_after_a_trigger(void **state)
{
	(void)state;
	program(2, 5, 10);
	after(100);
	assert_true(out2());
	gate2(false);
	gate2(true);
	after(10);
	assert_true(out2());
	after(1);
	assert_false(out2());
	after(1);
	assert_true(out2());
}

static void bcd_counts_in_decimal(void **state)
{
	(void)state;
	board_out(&b, 0x43, 0xB1); /* channel 2, mode 0, BCD */
	board_out(&b, 0x42, 0x00);
	board_out(&b, 0x42, 0x10); /* 1000 */
	after(2);
	assert_int_equal(latched(2), 0x0999);
	after(999);
	assert_true(out2());
	after(1);
	assert_int_equal(latched(2), 0x9999);
}

static void zero_is_the_longest_count(void **state)
{
	(void)state;
	program(2, 0, 0);
	after(65536);
	assert_false(out2());
	after(1);
	assert_true(out2());
}

static void one_byte_access_modes(void **state)
{
	(void)state;
	board_out(&b, 0x43, 0x90); /* low byte only, mode 0 */
	board_out(&b, 0x42, 200);
	after(101);
	assert_int_equal(board_in(&b, 0x42), 100);
	assert_int_equal(board_in(&b, 0x42), 100);
	board_out(&b, 0x43, 0xA0); /* high byte only */
	board_out(&b, 0x42, 2);
	after(257);
	assert_int_equal(board_in(&b, 0x42), 1);
	assert_int_equal(board_in(&b, 0x42), 1);
}

static void a_latch_holds_until_it_is_read(void **state)
{
	(void)state;
	program(2, 0, 1000);
	after(101);
	board_out(&b, 0x43, 0x80);
	after(50);
	board_out(&b, 0x43, 0x80); /* changes nothing */
	assert_int_equal(board_in(&b, 0x42), 900 & 0xFF);
	after(50);
	assert_int_equal(board_in(&b, 0x42), 900 >> 8);
	assert_int_equal(latched(2), 800);
}

static void read_back_latches_count_and_status(void **state)
{
	(void)state;
	program(2, 2, 1000);
	board_out(&b, 0x43, 0xE8); /* status of channel 2 */
	assert_int_equal(board_in(&b, 0x42),
			 0x80 | 0x40 | 0x30 | 0x04); /* OUT, null count, both bytes, mode 2 */
	after(1);
	board_out(&b, 0x43, 0xC8); /* both */
	after(10);
	assert_int_equal(board_in(&b, 0x42), 0x80 | 0x30 | 0x04);
	assert_int_equal(read_count(2), 1000);
	/* several counters at one command */
	program(0, 2, 500);
	after(11);
	board_out(&b, 0x43, 0xDA); /* counts of 0 and 2 */
	after(5);
	assert_int_equal(read_count(0), 490);
	assert_int_equal(read_count(2), 1000 - 21);
}

static void port_61_shows_what_it_should(void **state)
{
	unsigned toggles = 0;
	uint8_t before;

	(void)state;
	board_out(&b, 0x61, 0xFF);
	assert_int_equal(board_in(&b, 0x61) & 0xCF, 0x0F);
	before = board_in(&b, 0x61);
	for (unsigned i = 0; i < 1000; i++) {
		b.now += 1000;
		toggles += ((board_in(&b, 0x61) ^ before) & 0x10) != 0;
		before = board_in(&b, 0x61);
	}
	assert_in_range(toggles, 65, 67); /* one each 15.085 us */
}

/* ---- IRQ 0 ---------------------------------------------------------------------------------- */

static void take(void)
{
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x30);
	board_end_of_interrupt(&b, 0);
}

static void take_the_programming_edge(void)
{
	/* OUT of channel 0 was low since reset: setting a mode raises it, which is an edge */
	take();
	assert_false(b.intr);
}

static void a_periodic_timer_ticks_at_its_rate(void **state)
{
	unsigned ticks = 0;
	uint64_t end;

	(void)state;
	program(0, 2, 1193); /* 1000.15 Hz */
	take_the_programming_edge();
	end = b.now + 1000000000;
	while (b.now < end) {
		uint64_t due = machine_deadline(b.m);

		assert_true(due > b.now);
		b.now = due;
		machine_poll(b.m);
		take();
		ticks++;
		assert_false(b.intr);
	}
	assert_in_range(ticks, 1000, 1001);
}

static void late_ticks_are_one_tick(void **state)
{
	(void)state;
	program(0, 3, 1000);
	take_the_programming_edge();
	b.now += 1000000000;
	machine_poll(b.m);
	take();
	assert_false(b.intr);
	/* and the next one is on the old grid, in the future */
	assert_in_range(machine_deadline(b.m), b.now, b.now + 1000 * 1000000000ull / HZ + 1);
}

static void a_waiting_tick_is_never_lost(void **state)
{
	(void)state;
	program(0, 3, 1000);
	take_the_programming_edge();
	after(1001);
	assert_true(b.intr);
	/* nobody takes it: no more work until then, but it stays, also in the low half of the wave
	 */
	assert_int_equal(machine_deadline(b.m), UINT64_MAX);
	for (unsigned i = 0; i < 20; i++) {
		after(250);
		assert_true(b.intr);
	}
	take();
	after(1000);
	assert_true(b.intr);
}

static void a_masked_timer_costs_one_poll(void **state)
{
	(void)state;
	board_out(&b, 0x21, 1);
	program(0, 2, 1193);
	assert_in_range(board_pass(&b, 1000000000), 0, 2);
	board_out(&b, 0x21, 0);
	assert_true(b.intr);
}

static void a_one_shot_fires_once_on_time(void **state)
{
	uint64_t armed;

	(void)state;
	program(0, 4, 100);
	take_the_programming_edge();
	armed = b.now;
	assert_in_range(machine_deadline(b.m), armed + 101 * 838, armed + 103 * 839);
	board_pass(&b, 100000);
	take();
	assert_int_equal(machine_deadline(b.m), UINT64_MAX);
	/* rearmed by a count alone, as Linux does */
	board_out(&b, 0x40, 50);
	board_out(&b, 0x40, 0);
	board_pass(&b, 100000);
	take();
}

/* An idle guest may be woken late for one shot; ticks that are late would be ticks lost. */
static void only_a_one_shot_may_be_late(void **state)
{
	const uint64_t slack = 4000000;

	(void)state;
	for (unsigned mode = 0; mode < 6; mode++) {
		bool periodic = mode == 2 || mode == 3;

		if (mode == 1 || mode == 5)
			continue; /* they wait for a gate that this channel has not */
		board_out(&b, 0x43, (uint8_t)(0x30 | mode << 1));
		board_out(&b, 0x40, 0xA9);
		board_out(&b, 0x40, 0x04);
		if (b.intr) /* the control word's own edge */
			take();
		assert_true(machine_deadline(b.m) < UINT64_MAX);
		assert_int_equal(machine_idle_deadline(b.m, 0), machine_deadline(b.m));
		assert_int_equal(machine_idle_deadline(b.m, slack) - machine_deadline(b.m), periodic ? 0 : slack);
	}
}

static void mode_0_holds_its_line(void **state)
{
	(void)state;
	program(0, 0, 100);
	assert_false(b.intr);
	after(101);
	take();
	after(100000);
	assert_false(b.intr);
}

static void an_edge_that_was_due_survives_reprogramming(void **state)
{
	(void)state;
	program(0, 4, 100);
	take_the_programming_edge();
	b.now += 1000000; /* nobody polled */
	board_out(&b, 0x40, 0);
	assert_true(b.intr);
}

static void a_tiny_period_does_not_flood_the_host(void **state)
{
	unsigned polls = 0;
	uint64_t end;

	(void)state;
	program(0, 2, 2);
	take_the_programming_edge();
	end = b.now + 10000000;
	while (b.now < end) {
		b.now = machine_deadline(b.m);
		machine_poll(b.m);
		if (b.intr)
			take();
		polls++;
	}
	assert_in_range(polls, 400, 501);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
	    TEST(mode_0_rises_once_at_zero),
	    TEST(mode_0_waits_while_the_gate_is_low),
	    TEST(mode_0_first_byte_stops_the_count),
	    TEST(mode_1_is_a_pulse_for_each_trigger),
	    TEST(mode_2_is_low_for_the_last_clock),
	    TEST(mode_2_takes_a_new_count_at_the_end_of_the_period),
	    TEST(mode_3_even_counts_by_two),
	    TEST(mode_3_odd_is_high_one_clock_longer),
	    TEST(mode_4_strobes_once),
	    TEST(mode_5_strobes_after_a_trigger),
	    TEST(bcd_counts_in_decimal),
	    TEST(zero_is_the_longest_count),
	    TEST(one_byte_access_modes),
	    TEST(a_latch_holds_until_it_is_read),
	    TEST(read_back_latches_count_and_status),
	    TEST(port_61_shows_what_it_should),
	    TEST(a_periodic_timer_ticks_at_its_rate),
	    TEST(late_ticks_are_one_tick),
	    TEST(a_waiting_tick_is_never_lost),
	    TEST(a_masked_timer_costs_one_poll),
	    TEST(a_one_shot_fires_once_on_time),
	    TEST(only_a_one_shot_may_be_late), TEST(mode_0_holds_its_line),
	    TEST(an_edge_that_was_due_survives_reprogramming),
	    TEST(a_tiny_period_does_not_flood_the_host),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
