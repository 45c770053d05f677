/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_page.c - what lies on the lguest device page, and how it changes.
 *
 *   1. What lies there    both formats, byte for byte
 *   2. Change             configuration, overwritten records, restart
 *   3. Room             
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/page_guest.h"

/* ---- 1. What lies there ---------------------------------------------------------------------- */

static void format_2_byte_for_byte(void **state)
{
	static const uint8_t block_config[16] = {0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFE, 0, 0, 0};
	static const uint8_t console_config[12] = {80, 0, 25, 0};
	static const uint8_t expect[] = {
	    3, 2, 4, 12, 0,                            /* console: type, queues, feature and config bytes, status */
	    0, 1, 1, 0, 0x11, 0, 0, 0,                 /* 256 entries, irq 1, page 0x11 */
	    0, 1, 2, 0, 0x14, 0, 0, 0,
	    5, 0, 0, 0x10, 0, 0, 0, 0,                 /* offered, accepted */
	    80, 0, 25, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    2, 1, 2, 16, 0,                            /* block */
	    0, 1, 3, 0, 0x17, 0, 0, 0,
	    4, 2, 0, 0,
	    0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFE, 0, 0, 0,
	    4, 1, 0, 0, 0,                             /* entropy: no features, no configuration */
	    0, 1, 4, 0, 0x1A, 0, 0, 0,
	    1, 2, 1, 6, 0,                             /* net */
	    0, 1, 5, 0, 0x1D, 0, 0, 0,
	    0, 1, 6, 0, 0x20, 0, 0, 0,
	    0x20, 0,
	    2, 0, 0, 1, 2, 3,
	    0};

	(void)state;
	open_page(false, PAGES, true);
	/* bit 32 has no place in the page: the guest reads 32 */
	add(VIRTIO_CONSOLE, 2, 5 | INDIRECT | 1ull << 32, console_config, 12);
	add(VIRTIO_BLOCK, 1, 1u << 2 | 1u << 9, block_config, 16);
	add(VIRTIO_ENTROPY, 1, 0, NULL, 0);
	add(VIRTIO_NET, 2, 1u << 5, (const uint8_t[]){2, 0, 0, 1, 2, 3}, 6);
	assert_int_equal(device_page_end(t.p), 0x23000);
	memset(t.v.ram, 0xAA, DRIVER_RAM); /* whatever was there before */
	memset(t.v.announced, 0xAA, DRIVER_RAM);
	set_up();
	assert_memory_equal(t.v.ram + BASE, expect, sizeof expect);
	for (unsigned at = BASE + sizeof expect; at < 0x23000; at++)
		assert_int_equal(t.v.ram[at], 0); /* the rest of the page, and empty rings */
	assert_int_equal(t.v.ram[0x23000], 0xAA);
	assert_int_equal(t.v.ram[BASE - 1], 0xAA);
}

static void format_1_byte_for_byte(void **state)
{
	static const uint8_t block_config[16] = {0x34, 0x12, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0xFE, 0, 0, 0};
	static const uint8_t expect[] = {
	    1, 28, 0,                                  /* net: type, config bytes, status */
	    0x02, 8, 128, 0, 1, 0, 0x11, 0, 0, 0,      /* 128 entries, irq 1, page 0x11 */
	    0x02, 8, 128, 0, 2, 0, 0x13, 0, 0, 0,
	    0x41, 6, 2, 0, 0, 1, 2, 3,                 /* the MAC */
	    2, 36, 0,                                  /* block */
	    0x02, 8, 128, 0, 3, 0, 0x15, 0, 0, 0,
	    0x40, 2, 1, 0,                             /* features: barrier offered, none accepted */
	    0x41, 8, 0x34, 0x12, 0, 0, 0, 0, 0, 0,     /* sectors */
	    0x42, 4, 0, 0x10, 0, 0,                    /* longest segment */
	    0x43, 4, 126, 0, 0, 0,                     /* segments: two less than the queue has entries */
	    3, 20, 0,                                  /* console: queues and nothing else */
	    0x02, 8, 128, 0, 4, 0, 0x17, 0, 0, 0,
	    0x02, 8, 128, 0, 5, 0, 0x19, 0, 0, 0,
	    2, 26, 0,                                  /* a second disk: nothing said of its segments */
	    0x02, 8, 128, 0, 6, 0, 0x1B, 0, 0, 0,
	    0x41, 8, 0x34, 0x12, 0, 0, 0, 0, 0, 0,
	    0x43, 4, 126, 0, 0, 0,
	    0};

	(void)state;
	open_page(true, PAGES, true);
	add(VIRTIO_NET, 2, 1u << 5 | 1u << 0 | INDIRECT, (const uint8_t[]){2, 0, 0, 1, 2, 3, 9, 9}, 8);
	add(VIRTIO_BLOCK, 1, 1u << 0 | 1u << 1 | 1u << 2 | 1u << 9, block_config, 16);
	add(VIRTIO_CONSOLE, 2, 5, NULL, 12);
	add(VIRTIO_BLOCK, 1, 0, block_config, 16);
	assert_int_equal(device_page_end(t.p), 0x1D000);
	set_up();
	assert_memory_equal(t.v.ram + BASE, expect, sizeof expect);
}

static void devices_know_what_they_are_carried_by(void **state)
{
	(void)state;
	open_page(true, PAGES, true);
	assert_int_equal(add(VIRTIO_BLOCK, 1, 0, NULL, 16)->layout, VIRTIO_2_6_24);
	close_page(NULL);
	open_page(false, PAGES, true);
	assert_int_equal(add(VIRTIO_BLOCK, 1, 0, NULL, 16)->layout, VIRTIO_LEGACY);
}

/* ---- 2. Change ------------------------------------------------------------------------------- */

static void a_changed_configuration_appears_in_the_page(void **state)
{
	struct virtio_device *d = open_format2(true);
	unsigned config = BASE + AT_ACCEPTED + 1;

	(void)state;
	begin_quietly(1);
	store8(BASE + AT_STATUS, 0x47);
	d->config[0] = 132;
	d->config[11] = 1;
	d->config_changed(d->transport, d);
	assert_int_equal(t.v.ram[config], 132);
	assert_int_equal(t.v.ram[config + 11], 1);
	assert_int_equal(t.v.ram[config + 12], 0);
	assert_int_equal(t.v.ram[BASE + AT_STATUS], 0x47); /* the guest's bytes are left alone */
	assert_int_equal(t.v.ram[BASE + AT_ACCEPTED], 1);
	driver_check(&t.v);
}

static void in_format_1_a_change_leaves_the_guests_marks(void **state)
{
	struct virtio_device *d = open_format1();
	unsigned capacity = BASE + 3 + 20 + 4;

	(void)state;
	assert_int_equal(t.v.ram[capacity], 0x41);
	store8(capacity, 0xC1);
	store8(capacity + 10, 0xC3);
	d->config[1] = 0x77;
	d->config_changed(d->transport, d);
	assert_int_equal(t.v.ram[capacity], 0xC1);
	assert_int_equal(t.v.ram[capacity + 3], 0x77);
	assert_int_equal(t.v.ram[capacity + 10], 0xC3);
	driver_check(&t.v);
}

/* Queue sizes, interrupts and ring addresses in the page are for reading. */
static void overwritten_records_move_nothing(void **state)
{
	struct virtio_device *d = open_format2(true);
	uint64_t ring = d->queue[0].desc;

	(void)state;
	begin_quietly(0);
	for (unsigned at = BASE; at < BASE + 4096; at++)
		if (at != BASE + AT_STATUS)
			store8(at, 0xFF);
	use_queues(d);
	assert_int_equal(d->queue[0].desc, ring);
	say_status(0);
	forget_rings();
	store8(BASE + AT_STATUS, 3);
	notify(BASE);
	assert_int_equal(d->accepted, 0);
	use_queues(d);
}

static void a_restart_finds_the_page_as_at_the_start(void **state)
{
	struct virtio_device *d = open_format2(true);
	uint8_t first[4096];

	(void)state;
	memcpy(first, t.v.ram + BASE, sizeof first);
	begin_quietly(5);
	use_queues(d);
	for (unsigned at = 0; at < 4096; at++)
		store8(BASE + at, rand() & 0xFF);
	device_page_reset(t.p);
	forget_rings();
	assert_memory_equal(t.v.ram + BASE, first, sizeof first);
	assert_false(d->started);
	driver_check(&t.v);
	begin_quietly(5);
	use_queues(d);
}

/* The next kernel may be of another age. */
static void a_restart_forgets_how_the_guest_spoke(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	say_status(1);
	device_page_reset(t.p);
	say_status(0);
	store8(BASE + AT_STATUS, 3);
	notify(d->queue[0].desc);
	assert_int_equal(t.kills, 1);
	device_page_reset(t.p);
	store8(BASE + AT_STATUS, 3);
	notify(d->queue[0].desc);
	assert_int_equal(t.kills, 1);
	assert_true(d->started);
}

static void work_left_over_is_told(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	assert_false(device_page_busy(t.p));
	d->busy = true;
	assert_true(device_page_busy(t.p));
}

/* ---- 3. Room --------------------------------------------------------------------------------- */

/* A device that is refused is still the test's. */
static bool try_add(unsigned queues, unsigned config_bytes)
{
	struct virtio_device *d = echo_new(&t.v.memory, VIRTIO_NET, queues, 0, NULL, config_bytes);
	bool added = device_page_add(t.p, d);

	if (!added)
		virtio_free(d);
	return added;
}

static void thirty_one_interrupts_and_no_more(void **state)
{
	unsigned added = 0;

	(void)state;
	open_page(false, PAGES, true);
	while (try_add(2, 0))
		added += 2;
	assert_int_equal(added, 30);
	assert_true(try_add(1, 0));
	assert_false(try_add(1, 0));
	assert_int_equal(device_page_end(t.p), BASE + 4096 * (1 + 3 * 31));
	set_up();
}

static void the_pages_given_and_no_more(void **state)
{
	(void)state;
	open_page(false, 1 + 3 * 3 + 2, true);
	assert_true(try_add(2, 0));
	assert_false(try_add(2, 0));
	assert_true(try_add(1, 0));
	assert_false(try_add(1, 0)); /* two pages are left: a ring has three */
	assert_int_equal(device_page_end(t.p), BASE + 4096 * 10);
	close_page(NULL);
	open_page(true, 1 + 3 * 3 + 2, true); /* of format 1, two */
	assert_true(try_add(3, 0) && try_add(2, 0));
	assert_false(try_add(1, 0));
	close_page(NULL);
	open_page(false, 1, true);
	assert_false(try_add(1, 0));
	assert_int_equal(device_page_end(t.p), BASE + 4096);
}

static void devices_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	open_page(false, PAGES, true);
	assert_false(try_add(0, 0));
	assert_true(try_add(1, VIRTIO_CONFIG_BYTES));
}

static void a_page_needs_a_place_in_memory(void **state)
{
	static const struct {
		uint64_t base;
		unsigned pages;
	} bad[] = {{BASE + 1, 2}, {BASE, 0}, {BASE, 257}, {DRIVER_RAM, 1}, {UINT64_MAX - 4095, 1},
		   {0xFFFFF000, 2}, {0x100000000, 1}};
	struct device_page_config config;

	(void)state;
	open_page(false, PAGES, true);
	config = t.config;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		config.base = bad[i].base;
		config.pages = bad[i].pages;
		assert_null(device_page_new(&config));
	}
	/* RAM that ends before the room does: what fits is added */
	device_page_free(t.p);
	config.base = DRIVER_RAM - 4096 * 4;
	config.pages = 256;
	t.p = device_page_new(&config);
	assert_non_null(t.p);
	assert_true(try_add(1, 0));
	assert_false(try_add(1, 0));
}

static void devices_are_freed_with_the_page(void **state)
{
	unsigned freed = 0;

	(void)state;
	open_page(false, PAGES, true);
	for (unsigned i = 0; i < 3; i++)
		echo_of(add(VIRTIO_ENTROPY, 1, 0, NULL, 0))->freed = &freed;
	device_page_free(t.p);
	t.p = NULL;
	assert_int_equal(freed, 3);
	device_page_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(format_2_byte_for_byte, close_page),
	    cmocka_unit_test_teardown(format_1_byte_for_byte, close_page),
	    cmocka_unit_test_teardown(devices_know_what_they_are_carried_by, close_page),
	    cmocka_unit_test_teardown(a_changed_configuration_appears_in_the_page, close_page),
	    cmocka_unit_test_teardown(in_format_1_a_change_leaves_the_guests_marks, close_page),
	    cmocka_unit_test_teardown(overwritten_records_move_nothing, close_page),
	    cmocka_unit_test_teardown(a_restart_finds_the_page_as_at_the_start, close_page),
	    cmocka_unit_test_teardown(a_restart_forgets_how_the_guest_spoke, close_page),
	    cmocka_unit_test_teardown(work_left_over_is_told, close_page),
	    cmocka_unit_test_teardown(thirty_one_interrupts_and_no_more, close_page),
	    cmocka_unit_test_teardown(the_pages_given_and_no_more, close_page),
	    cmocka_unit_test_teardown(devices_that_make_no_sense_are_refused, close_page),
	    cmocka_unit_test_teardown(a_page_needs_a_place_in_memory, close_page),
	    cmocka_unit_test_teardown(devices_are_freed_with_the_page, close_page),
	};

	return cmocka_run_group_tests_name("virtio_page", tests, NULL, NULL);
}
