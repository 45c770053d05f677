/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/machine_rtc.c - the MC146818 against its data sheet, and the CMOS memory of a PC.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "machine/device.h"
#include "tests/lib/board.h"

#define SECOND_NS 1000000000ull
#define MS 1000000ull

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

static uint8_t get(uint8_t index)
{
	board_out(&b, 0x70, index);
	return board_in(&b, 0x71);
}

static void set(uint8_t index, uint8_t value)
{
	board_out(&b, 0x70, index);
	board_out(&b, 0x71, value);
}

static void expect_time(unsigned century, unsigned year, unsigned month, unsigned day,
			unsigned hour, unsigned minute, unsigned second)
{
	assert_int_equal(get(0x32), century);
	assert_int_equal(get(9), year);
	assert_int_equal(get(8), month);
	assert_int_equal(get(7), day);
	assert_int_equal(get(4), hour);
	assert_int_equal(get(2), minute);
	assert_int_equal(get(0), second);
}

static void take_irq8(void)
{
	assert_true(b.intr);
	assert_int_equal(machine_ack_irq(b.m), 0x38);
	board_end_of_interrupt(&b, 8);
}

static void the_clock_starts_at_the_hosts_time(void **state)
{
	(void)state;
	expect_time(0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x50); /* BCD, 24 hours */
	assert_int_equal(get(6), 4);                           /* a Wednesday; Sunday is 1 */
	assert_int_equal(get(0x0D), 0x80);
	assert_int_equal(get(0x0A), 0x26);
	board_pass(&b, 10 * SECOND_NS);
	expect_time(0x20, 0x24, 0x02, 0x29, 0, 0, 0);
	assert_int_equal(get(6), 5);
	board_pass(&b, 86400 * SECOND_NS);
	expect_time(0x20, 0x24, 0x03, 0x01, 0, 0, 0);
}

static void binary_and_twelve_hours(void **state)
{
	(void)state;
	set(0x0B, 0x06);
	expect_time(20, 24, 2, 28, 23, 59, 50);
	set(0x0B, 0x04);
	assert_int_equal(get(4), 0x80 | 11);
	set(0x0B, 0x00);
	assert_int_equal(get(4), 0x91);
	board_pass(&b, 10 * SECOND_NS);
	assert_int_equal(get(4), 0x12); /* midnight */
	board_pass(&b, 12 * 3600 * SECOND_NS);
	assert_int_equal(get(4), 0x92); /* noon */
}

static void setting_the_time(void **state)
{
	static const uint8_t value[][2] = {{0x32, 0x19}, {9, 0x99}, {8, 0x12}, {7, 0x31},
					   {4, 0x23},    {2, 0x59}, {0, 0x58}, {6, 0x06}};

	(void)state;
	set(0x0B, 0x82);
	for (unsigned i = 0; i < sizeof(value) / sizeof(value[0]); i++)
		set(value[i][0], value[i][1]);
	board_pass(&b, 60 * SECOND_NS); /* stands still while SET is set */
	expect_time(0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58);
	set(0x0B, 0x02);
	board_pass(&b, 2 * SECOND_NS);
	expect_time(0x20, 0x00, 0x01, 0x01, 0, 0, 0);
	assert_int_equal(get(6), 7); /* Friday was set, so it is Saturday */
}

static void a_released_divider_updates_after_half_a_second(void **state)
{
	(void)state;
	set(0x0A, 0x76); /* held */
	board_pass(&b, 300 * MS);
	set(0, 0x10);
	set(0x0A, 0x26);
	board_pass(&b, 499 * MS);
	assert_int_equal(get(0), 0x10);
	board_pass(&b, 2 * MS);
	assert_int_equal(get(0), 0x11);
	board_pass(&b, 998 * MS);
	assert_int_equal(get(0), 0x11);
	board_pass(&b, 2 * MS);
	assert_int_equal(get(0), 0x12);
}

static void update_in_progress_warns_in_time(void **state)
{
	(void)state;
	board_pass(&b, SECOND_NS - 3 * MS);
	assert_false(get(0x0A) & 0x80);
	/* not up: at least 244 us until the bytes change */
	for (unsigned i = 0; i < 4000; i++) {
		uint8_t before = get(0);

		if (!(get(0x0A) & 0x80)) {
			b.now += 244000;
			assert_int_equal(get(0), before);
			b.now -= 244000;
		}
		b.now += 1000;
	}
	assert_int_equal(get(0), 0x51);
	b.now += 999 * MS - 1000 * 1000;
	assert_true(get(0x0A) & 0x80);
	set(0x0B, 0x82);
	assert_false(get(0x0A) & 0x80); /* SET aborts it */
}

static void the_update_interrupt_comes_each_second(void **state)
{
	(void)state;
	set(0x0B, 0x12);
	for (unsigned i = 0; i < 5; i++) {
		board_pass(&b, SECOND_NS);
		take_irq8();
		board_pass(&b, 10 * MS);
		assert_false(b.intr); /* edge: nothing new until register C is read */
		assert_int_equal(get(0x0C) & 0x90, 0x90);
		assert_int_equal(get(0x0C), 0);
	}
	/* unread, it does not come again */
	board_pass(&b, SECOND_NS);
	take_irq8();
	board_pass(&b, 5 * SECOND_NS);
	assert_false(b.intr);
}

static void the_periodic_interrupt_keeps_its_rate(void **state)
{
	unsigned count = 0;
	uint64_t end;

	(void)state;
	set(0x0A, 0x26); /* 1024 Hz */
	set(0x0B, 0x42);
	get(0x0C);
	end = b.now + SECOND_NS;
	while (machine_deadline(b.m) <= end) {
		b.now = machine_deadline(b.m);
		machine_poll(b.m);
		take_irq8();
		assert_int_equal(get(0x0C) & 0xC0, 0xC0);
		count++;
	}
	assert_in_range(count, 1023, 1024);
	/* rate 1 is 256 Hz, rate 0 is none */
	set(0x0A, 0x21);
	get(0x0C);
	count = 0;
	end = b.now + SECOND_NS;
	while (machine_deadline(b.m) <= end) {
		b.now = machine_deadline(b.m);
		machine_poll(b.m);
		take_irq8();
		get(0x0C);
		count++;
	}
	assert_in_range(count, 255, 256);
	set(0x0A, 0x20);
	assert_int_equal(machine_deadline(b.m), UINT64_MAX);
}

static void flags_rise_without_being_enabled(void **state)
{
	(void)state;
	get(0x0C);
	assert_int_equal(machine_deadline(b.m), UINT64_MAX); /* and without costing anything */
	b.now += 2 * SECOND_NS;
	assert_int_equal(get(0x0C), 0x50); /* PF and UF, no IRQF */
	assert_false(b.intr);
	/* enabling what is up already interrupts at once */
	b.now += 2 * SECOND_NS;
	machine_poll(b.m);
	set(0x0B, 0x12);
	assert_true(b.intr);
}

static void the_alarm_at_a_time_of_day(void **state)
{
	(void)state;
	set(5, 0x06); /* 06:30:15 tomorrow */
	set(3, 0x30);
	set(1, 0x15);
	get(0x0C);
	set(0x0B, 0x22);
	assert_int_equal(machine_deadline(b.m), (10 + 6 * 3600 + 30 * 60 + 15) * SECOND_NS);
	assert_int_equal(board_pass(&b, 12 * 3600 * SECOND_NS), 1);
	take_irq8();
	assert_int_equal(get(0x0C) & 0xA0, 0xA0);
	/* and again a day later */
	assert_int_equal(machine_deadline(b.m), (10 + 86400 + 6 * 3600 + 30 * 60 + 15) * SECOND_NS);
}

static void dont_care_alarms_repeat(void **state)
{
	unsigned count = 0;

	(void)state;
	set(5, 0xFF);
	set(3, 0xC0);
	set(1, 0x30);
	set(0x0B, 0x22);
	for (unsigned i = 0; i < 3600; i++) {
		board_pass(&b, SECOND_NS);
		if (b.intr) {
			take_irq8();
			assert_int_equal(get(0), 0x30);
			get(0x0C);
			count++;
		}
	}
	assert_int_equal(count, 60);
}

static void an_impossible_alarm_never_comes(void **state)
{
	(void)state;
	set(5, 0xFF);
	set(3, 0x7A);
	set(1, 0xFF);
	set(0x0B, 0x22);
	assert_int_equal(machine_deadline(b.m), UINT64_MAX);
	b.now += 100000 * SECOND_NS;
	assert_false(get(0x0C) & 0x20);
}

static void nonsense_dates_carry_over(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 65536;
	     i++) { /* whatever bytes, no crash, and a real date afterwards */
		set(0x0B, 0x80);
		set(7, (uint8_t)i);
		set(8, (uint8_t)(i >> 8));
		set(9, (uint8_t)(i * 7));
		set(4, (uint8_t)(i * 5));
		set(0x0B, 0x06);
		assert_in_range(get(7), 1, 31);
		assert_in_range(get(8), 1, 12);
		assert_in_range(get(4), 0, 23);
	}
}

static void reset_keeps_the_time_and_drops_interrupts(void **state)
{
	(void)state;
	set(0x0B, 0x72);
	board_pass(&b, 3 * SECOND_NS);
	set(0x50, 0xA5);
	machine_reset(b.m);
	assert_int_equal(get(0x0B), 0x02);
	assert_int_equal(get(0), 0x53);
	assert_int_equal(get(0x50), 0xA5);
	assert_int_equal(get(0x0C) & 0x80, 0);
}

static void cmos_tells_the_memory(void **state)
{
	unsigned sum = 0;

	(void)state;
	assert_int_equal(get(0x15) | get(0x16) << 8, 640);
	assert_int_equal(get(0x17) | get(0x18) << 8, 63 * 1024);
	assert_int_equal(get(0x30) | get(0x31) << 8, 63 * 1024);
	assert_int_equal(get(0x34) | get(0x35) << 8, 48 * 16);
	for (uint8_t i = 0x10; i < 0x2E; i++)
		sum += get(i);
	assert_int_equal(get(0x2E) << 8 | get(0x2F), sum);
}

static void the_calendar_agrees_with_the_hosts(void **state)
{
	(void)state;
	for (int64_t t = -3000000000; t < 8000000000; t += 999983) {
		struct calendar c = calendar_of_seconds(t);
		time_t host = (time_t)t;
		struct tm tm;

		gmtime_r(&host, &tm);
		assert_int_equal(c.year, tm.tm_year + 1900);
		assert_int_equal(c.month, tm.tm_mon + 1);
		assert_int_equal(c.day, tm.tm_mday);
		assert_int_equal(c.hour, tm.tm_hour);
		assert_int_equal(c.minute, tm.tm_min);
		assert_int_equal(c.second, tm.tm_sec);
		assert_int_equal(c.weekday, tm.tm_wday);
		assert_true(calendar_to_seconds(&c) == t);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
	    TEST(the_clock_starts_at_the_hosts_time),
	    TEST(binary_and_twelve_hours),
	    TEST(setting_the_time),
	    TEST(a_released_divider_updates_after_half_a_second),
	    TEST(update_in_progress_warns_in_time),
	    TEST(the_update_interrupt_comes_each_second),
	    TEST(the_periodic_interrupt_keeps_its_rate),
	    TEST(flags_rise_without_being_enabled),
	    TEST(the_alarm_at_a_time_of_day),
	    TEST(dont_care_alarms_repeat),
	    TEST(an_impossible_alarm_never_comes),
	    TEST(nonsense_dates_carry_over),
	    TEST(reset_keeps_the_time_and_drops_interrupts),
	    TEST(cmos_tells_the_memory),
	    TEST(the_calendar_agrees_with_the_hosts),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
