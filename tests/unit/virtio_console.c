/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_console.c - the console and the entropy source.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/virtio/internal.h"
#include "tests/lib/virtio_driver.h"

enum { IN, OUT };
#define BUFFER_BYTES 65536u /* what the console holds for a slow terminal */

/* A terminal that takes `limit` bytes more, and keeps them. */
static struct terminal {
	size_t limit, used;
	unsigned calls;
	uint8_t text[1u << 21];
} terminal;

static struct driver v;

static size_t put(void *user, const uint8_t *bytes, size_t count)
{
	struct terminal *t = user;

	t->calls++;
	if (count > t->limit)
		count = t->limit;
	if (count > sizeof t->text - t->used)
		count = sizeof t->text - t->used;
	memcpy(t->text + t->used, bytes, count);
	t->used += count;
	t->limit -= count;
	return count;
}

static int set_up(void **state)
{
	(void)state;
	terminal.limit = SIZE_MAX;
	terminal.used = terminal.calls = 0;
	driver_open(&v);
	driver_start(&v, virtio_console_new(&v.memory, &terminal, put), VIRTIO_LEGACY, 256, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	driver_close(&v);
	return 0;
}

static bool answered(unsigned queue, uint32_t *written)
{
	uint16_t head;

	return driver_used(&v, queue, &head, written);
}

/* `bytes` bytes that are told apart by their place. */
static uint64_t pattern(uint32_t bytes)
{
	uint64_t at = driver_alloc(&v, bytes);

	for (uint32_t i = 0; i < bytes; i++)
		driver_store(&v, at + i, &(uint8_t){(uint8_t)(i * 7 + (i >> 8))}, 1);
	return at;
}

static void assert_pattern(const uint8_t *text, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		assert_int_equal(text[i], (uint8_t)(i * 7 + (i >> 8)));
}

static void output_is_complete_when_the_notify_returns(void **state)
{
	struct driver_buffer buffers[] = {{pattern(300), 100, false}, {0, 200, false}};
	uint32_t written = 99;

	(void)state;
	buffers[1].gpa = buffers[0].gpa + 100;
	terminal.limit = 0; /* not even then may a guest that spins be kept waiting */
	driver_post(&v, OUT, buffers, 2);
	virtio_notify(v.d, OUT);
	assert_true(answered(OUT, &written));
	assert_int_equal(written, 0);
	assert_int_equal(v.interrupts[OUT], 1);
	assert_int_equal(terminal.used, 0);
	terminal.limit = SIZE_MAX;
	virtio_poll(v.d);
	assert_int_equal(terminal.used, 300);
	assert_pattern(terminal.text, 300);
}

static void output_waits_only_when_the_buffer_is_full(void **state)
{
	struct driver_buffer half = {pattern(40000), 40000, false};
	uint32_t written;

	(void)state;
	terminal.limit = 0;
	driver_post(&v, OUT, &half, 1);
	driver_post(&v, OUT, &half, 1);
	virtio_notify(v.d, OUT);
	assert_true(answered(OUT, &written));
	assert_false(answered(OUT, &written)); /* 80000 > 65536 */
	assert_false(v.d->busy);               /* nothing to do but wait */
	virtio_poll(v.d);
	assert_false(answered(OUT, &written));
	terminal.limit = 80000 - BUFFER_BYTES - 1;
	virtio_poll(v.d);
	assert_false(answered(OUT, &written));
	terminal.limit = 1;
	virtio_poll(v.d);
	virtio_poll(v.d);
	assert_true(answered(OUT, &written));
	terminal.limit = SIZE_MAX;
	virtio_poll(v.d);
	assert_int_equal(terminal.used, 80000);
	assert_pattern(terminal.text, 40000);
	assert_pattern(terminal.text + 40000, 40000);
}

static void output_of_a_trickling_terminal_stays_in_order(void **state)
{
	struct driver_buffer all = {pattern(200000), 200000, false};
	uint32_t written;

	(void)state;
	terminal.limit = 0;
	driver_post(&v, OUT, &all, 1);
	virtio_notify(v.d, OUT);
	for (unsigned i = 0; terminal.used < 200000 && i < 10000; i++) {
		terminal.limit = 1 + i * 37 % 999;
		virtio_poll(v.d);
	}
	assert_int_equal(terminal.used, 200000);
	assert_pattern(terminal.text, 200000);
	assert_true(answered(OUT, &written));
}

/* One page, named 256 times by each of 256 chains: 64 times what one pass may take. */
static void output_of_one_notify_is_bounded(void **state)
{
	uint64_t page = driver_alloc(&v, 4096);

	(void)state;
	for (uint16_t i = 0; i < 256; i++)
		driver_desc(&v, OUT, i, page, 4096, i < 255 ? DRIVER_NEXT : 0, (uint16_t)(i + 1));
	for (unsigned i = 0; i < 256; i++)
		driver_offer(&v, OUT, 0);
	virtio_notify(v.d, OUT);
	assert_in_range(terminal.used, 1u << 19, 1u << 20);
	assert_true(v.d->busy);
	terminal.used = 0;
	virtio_poll(v.d);
	assert_in_range(terminal.used, 1u << 19, 1u << 20);
	assert_true(v.d->busy);
}

static void a_reset_drops_what_was_held_but_not_what_was_said(void **state)
{
	struct driver_buffer all = {pattern(70000), 70000, false};
	struct driver_buffer little = {all.gpa, 5, false};
	uint32_t written;

	(void)state;
	terminal.limit = 0;
	driver_post(&v, OUT, &all, 1);
	virtio_notify(v.d, OUT);
	driver_restart(&v, 0);
	terminal.limit = SIZE_MAX;
	virtio_poll(v.d);
	assert_int_equal(terminal.used, BUFFER_BYTES);
	assert_false(answered(OUT, &written));
	driver_post(&v, OUT, &little, 1);
	virtio_notify(v.d, OUT);
	assert_true(answered(OUT, &written));
	assert_int_equal(terminal.used, BUFFER_BYTES + 5);
}

static void nothing_is_served_before_the_start(void **state)
{
	struct driver_buffer b = {pattern(5), 5, false};
	uint32_t written;

	(void)state;
	driver_post(&v, OUT, &b, 1);
	v.d->started = false;
	virtio_notify(v.d, OUT);
	virtio_poll(v.d);
	assert_false(answered(OUT, &written));
	v.d->started = true;
	virtio_notify(v.d, 2); /* there is no third queue */
	virtio_notify(v.d, 99);
	assert_false(answered(OUT, &written));
	virtio_notify(v.d, OUT);
	assert_true(answered(OUT, &written));
}

static void typed_early_is_kept_for_the_guest(void **state)
{
	struct driver_buffer b = {driver_alloc(&v, 64), 64, true};
	uint32_t written;

	(void)state;
	assert_int_equal(virtio_console_input(v.d, (const uint8_t *)"root\n", 5), 5);
	driver_post(&v, IN, &b, 1);
	assert_int_equal(v.interrupts[IN], 0);
	virtio_notify(v.d, IN);
	assert_true(answered(IN, &written));
	assert_int_equal(written, 5);
	assert_memory_equal(v.ram + b.gpa, "root\n", 5);
	assert_int_equal(v.interrupts[IN], 1);
}

static void input_fills_buffers_in_turn_and_then_stops(void **state)
{
	struct driver_buffer b[2] = {{driver_alloc(&v, 4), 4, true},
				     {driver_alloc(&v, 4), 3, true}};
	static const uint8_t text[8192] = "abcdefghij";
	uint32_t written;

	(void)state;
	driver_post(&v, IN, b, 2);
	driver_post(&v, IN, b, 1);
	assert_int_equal(virtio_console_input(v.d, text, 10), 10);
	assert_true(answered(IN, &written));
	assert_int_equal(written, 7);
	assert_memory_equal(v.ram + b[1].gpa, "efg", 3);
	assert_true(answered(IN, &written));
	assert_int_equal(written, 3);
	assert_memory_equal(v.ram + b[0].gpa, "hij", 3);
	assert_int_equal(virtio_console_input(v.d, text, sizeof text), 4096);
	assert_int_equal(virtio_console_input(v.d, text, 1), 0);
}

static void input_takes_no_readable_buffer_for_room(void **state)
{
	struct driver_buffer b = {driver_alloc(&v, 64), 64, false};
	uint32_t written;

	(void)state;
	driver_post(&v, IN, &b, 1);
	virtio_console_input(v.d, (const uint8_t *)"x", 1);
	assert_true(answered(IN, &written));
	assert_int_equal(written, 0);
	assert_int_equal(v.ram[b.gpa], 0);
	b.writable = true;
	driver_post(&v, IN, &b, 1);
	virtio_notify(v.d, IN);
	assert_true(answered(IN, &written));
	assert_int_equal(v.ram[b.gpa], 'x');
}

static void the_window_has_a_size_that_changes(void **state)
{
	(void)state;
	virtio_console_resize(v.d, 132, 50);
	assert_int_equal(virtio_get(v.d->config, 2), 132);
	assert_int_equal(virtio_get(v.d->config + 2, 2), 50);
	assert_int_equal(v.config_changes, 1);
	virtio_console_resize(v.d, 132, 50);
	assert_int_equal(v.config_changes, 1);
	v.d->started = false;
	virtio_console_resize(v.d, 80, 24);
	/* before the start as well: the guest may be reading it */
	assert_int_equal(v.config_changes, 2);
	assert_int_equal(virtio_get(v.d->config, 2), 80);
}

static void emergency_writes_need_no_queues(void **state)
{
	static const char text[] = "early";

	(void)state;
	virtio_reset(v.d);
	assert_true(v.d->offered >> 2 & 1);
	for (unsigned i = 0; text[i]; i++) {
		virtio_put(v.d->config + 8, (uint8_t)text[i], 4);
		v.d->ops->config_written(v.d, 8, i % 2 ? 1 : 4);
	}
	assert_int_equal(terminal.used, 5);
	assert_memory_equal(terminal.text, text, 5);
	v.d->config[0] = 7; /* the rest is not the guest's */
	v.d->ops->config_written(v.d, 0, 2);
	assert_int_equal(v.d->config[0], 80);
	assert_int_equal(terminal.used, 5);
}

static void emergency_writes_are_dropped_when_nobody_takes_them(void **state)
{
	(void)state;
	terminal.limit = 0;
	for (unsigned i = 0; i < BUFFER_BYTES + 10; i++)
		v.d->ops->config_written(v.d, 8, 4);
	terminal.limit = SIZE_MAX;
	virtio_poll(v.d);
	assert_int_equal(terminal.used, BUFFER_BYTES);
}

static void a_broken_queue_stops_the_console_alone(void **state)
{
	struct driver_buffer b = {driver_alloc(&v, 64), 64, true};
	uint32_t written;

	(void)state;
	driver_offer(&v, OUT, 300);
	virtio_notify(v.d, OUT);
	virtio_poll(v.d);
	assert_true(v.d->queue[OUT].broken);
	assert_false(v.d->busy);
	driver_post(&v, IN, &b, 1);
	virtio_console_input(v.d, (const uint8_t *)"x", 1);
	assert_true(answered(IN, &written));
}

/* ---- entropy ---- */

static size_t entropy_left;

static size_t fill(void *user, uint8_t *bytes, size_t count)
{
	(void)user;
	if (count > entropy_left)
		count = entropy_left;
	memset(bytes, 0x5A, count);
	entropy_left -= count;
	return count;
}

static int set_up_entropy(void **state)
{
	(void)state;
	entropy_left = SIZE_MAX;
	driver_open(&v);
	driver_start(&v, virtio_entropy_new(&v.memory, fill, NULL), VIRTIO_LEGACY, 64, 0);
	return 0;
}

static void entropy_fills_what_is_writable(void **state)
{
	uint64_t at = driver_alloc(&v, 256);
	struct driver_buffer b[] = {{at, 16, false}, {at + 32, 10, true}, {at + 64, 20, true}};
	uint32_t written;

	(void)state;
	driver_post(&v, 0, b, 3);
	virtio_notify(v.d, 0);
	assert_true(answered(0, &written));
	assert_int_equal(written, 30);
	assert_int_equal(v.ram[at + 41], 0x5A);
	assert_int_equal(v.ram[at + 42], 0);
	assert_int_equal(v.ram[at], 0);
	assert_int_equal(v.ram[at + 83], 0x5A);
	assert_int_equal(v.interrupts[0], 1);
}

static void entropy_of_one_request_is_bounded(void **state)
{
	struct driver_buffer b[] = {{0x20000, 0x20000, true}, {0x20000, 0x20000, true}};
	uint32_t written;

	(void)state;
	driver_post(&v, 0, b, 2);
	virtio_notify(v.d, 0);
	assert_true(answered(0, &written));
	assert_int_equal(written, 65536);
}

static void entropy_that_runs_out_is_waited_for(void **state)
{
	struct driver_buffer b = {driver_alloc(&v, 64), 64, true};
	uint32_t written;

	(void)state;
	entropy_left = 10;
	driver_post(&v, 0, &b, 1);
	driver_post(&v, 0, &b, 1);
	virtio_notify(v.d, 0);
	assert_true(answered(0, &written));
	assert_int_equal(written, 10);
	assert_false(answered(0, &written));
	entropy_left = 3;
	virtio_poll(v.d);
	assert_true(answered(0, &written));
	assert_int_equal(written, 3);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define E(name) cmocka_unit_test_setup_teardown(name, set_up_entropy, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    T(output_is_complete_when_the_notify_returns),
	    T(output_waits_only_when_the_buffer_is_full),
	    T(output_of_a_trickling_terminal_stays_in_order),
	    T(output_of_one_notify_is_bounded),
	    T(a_reset_drops_what_was_held_but_not_what_was_said),
	    T(nothing_is_served_before_the_start),
	    T(typed_early_is_kept_for_the_guest),
	    T(input_fills_buffers_in_turn_and_then_stops),
	    T(input_takes_no_readable_buffer_for_room),
	    T(the_window_has_a_size_that_changes),
	    T(emergency_writes_need_no_queues),
	    T(emergency_writes_are_dropped_when_nobody_takes_them),
	    T(a_broken_queue_stops_the_console_alone),
	    E(entropy_fills_what_is_writable),
	    E(entropy_of_one_request_is_bounded),
	    E(entropy_that_runs_out_is_waited_for),
	};

	return cmocka_run_group_tests_name("virtio_console", tests, NULL, NULL);
}
