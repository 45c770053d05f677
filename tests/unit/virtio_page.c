/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_page.c - the lguest device page, seen from the guest.
 *
 *   1. A page             two small helpers, interrupts and kills counted
 *   2. What lies there    both formats, byte for byte
 *   3. Lives              guests of every age, from reset to the first answer
 *   4. Violations         each by name
 *   5. Change             configuration, overwritten records, restart
 *   6. Room
 *   7. Anything           random notifications of random pages
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/tap.h"
#include "tests/lib/virtio_driver.h"
#include "tests/lib/virtio_echo.h"

/* ---- 1. A page ------------------------------------------------------------------------------ */

#define BASE 0x10000u
#define PAGES 112u             /* to the end of RAM */
#define INDIRECT (1ull << VIRTIO_F_INDIRECT_DESC)

struct page {
	struct driver v;
	struct device_page_config config;
	struct device_page *p;
	unsigned raised[64];
	unsigned kills;
	const char *why;
};

static struct page t;

static void on_raise(void *user, unsigned irq)
{
	struct page *page = user;

	assert_in_range(irq, 1, 31);
	page->raised[irq]++;
}

static void on_kill(void *user, const char *why)
{
	struct page *page = user;

	page->kills++;
	page->why = why;
}

static void open_page(bool format1, unsigned pages, bool kill)
{
	memset(&t, 0, sizeof t);
	driver_open(&t.v);
	t.config = (struct device_page_config){.memory = &t.v.memory, .base = BASE, .pages = pages, .format1 = format1,
					       .user = &t, .raise = on_raise, .kill = kill ? on_kill : NULL};
	t.p = device_page_new(&t.config);
	assert_non_null(t.p);
}

static struct virtio_device *add(enum virtio_type type, unsigned queues, uint64_t offered, const void *config,
				 unsigned config_bytes)
{
	struct virtio_device *d = echo_new(&t.v.memory, type, queues, offered, config, config_bytes);

	assert_non_null(d);
	assert_true(device_page_add(t.p, d));
	return d;
}

static int close_page(void **state)
{
	(void)state;
	if (!t.v.ram)
		return 0;
	device_page_free(t.p);
	t.v.d = NULL;
	driver_close(&t.v);
	memset(&t, 0, sizeof t);
	return 0;
}

static uint16_t load16(uint64_t gpa)
{
	return (uint16_t)(t.v.ram[gpa] | t.v.ram[gpa + 1] << 8);
}

static void store8(uint64_t gpa, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	driver_store(&t.v, gpa, &byte, 1);
}

/* A request on a queue of `d`, 4 bytes out and 4 in; not notified.  Returns where the answer goes. */
static uint64_t post(struct virtio_device *d, unsigned queue, const char *four)
{
	struct driver_buffer b[2] = {{driver_alloc(&t.v, 16), 4, false}, {driver_alloc(&t.v, 16), 4, true}};

	t.v.d = d;
	driver_store(&t.v, b[0].gpa, four, 4);
	driver_post(&t.v, queue, b, 2);
	return b[1].gpa;
}

/* Rings and records lie below this; requests come from above. */
static void set_up(void)
{
	device_page_reset(t.p);
	t.v.free = device_page_end(t.p);
	driver_check(&t.v);
}

static void forget_rings(void)
{
	memset(t.v.next_desc, 0, sizeof t.v.next_desc);
	memset(t.v.last_used, 0, sizeof t.v.last_used);
}

/* ---- 2. What lies there --------------------------------------------------------------------- */

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

/* ---- 3. Lives ------------------------------------------------------------------------------- */

/* Offsets in the records of a device with two queues and one byte of features (format 2). */
enum { AT_STATUS = 4, AT_OFFERED = 5 + 16, AT_ACCEPTED = AT_OFFERED + 1 };

static void notify(uint64_t gpa)
{
	assert_true(device_page_notify(t.p, gpa));
}

static void say_status(unsigned status)
{
	store8(BASE + AT_STATUS, status);
	notify(BASE);
}

/* Linux 3.1 and later, up to where queues may be used. */
static void begin_quietly(unsigned accepted)
{
	say_status(0);
	store8(BASE + AT_STATUS, 1);
	store8(BASE + AT_STATUS, 3);
	store8(BASE + AT_ACCEPTED, accepted);
	notify(BASE);
	store8(BASE + AT_STATUS, 7);
}

/* Post, kick and see the echo, on both queues. */
static void use_queues(struct virtio_device *d)
{
	uint16_t head;
	uint32_t written;

	for (unsigned q = 0; q < 2; q++) {
		unsigned before = t.raised[1 + q];
		uint64_t answer = post(d, q, "ping");

		notify(d->queue[q].desc);
		assert_memory_equal(t.v.ram + answer, "ping", 4);
		assert_true(driver_used(&t.v, q, &head, &written));
		assert_int_equal(written, 4);
		assert_int_equal(t.raised[1 + q], before + 1);
	}
	assert_int_equal(t.kills, 0);
	driver_check(&t.v);
}

static struct virtio_device *open_format2(bool kill)
{
	struct virtio_device *d;

	open_page(false, PAGES, kill);
	d = add(VIRTIO_CONSOLE, 2, 0x85, NULL, 12);
	set_up();
	return d;
}

static void a_guest_of_linux_3_12_lives(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	begin_quietly(0x81);
	assert_int_equal(echo_of(d)->starts, 1);
	assert_int_equal(echo_of(d)->accepted, 0x81);
	assert_true(d->started);
	/* what the page says of the rings is where they are */
	for (unsigned q = 0; q < 2; q++) {
		assert_int_equal(load16(BASE + 5 + 8 * q), d->queue[q].num);
		assert_int_equal(load16(BASE + 9 + 8 * q) << 12, d->queue[q].desc);
	}
	for (unsigned i = 0; i < 300; i++) /* more than once around the ring */
		use_queues(d);
}

static void a_reset_forgets_rings_and_features(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		begin_quietly(5);
		assert_int_equal(d->accepted, 5);
		use_queues(d);
		say_status(0);
		forget_rings();
		assert_false(d->started);
		assert_int_equal(d->accepted, 0);
		assert_int_equal(t.v.ram[BASE + AT_ACCEPTED], 0);
		assert_int_equal(t.v.ram[BASE + AT_OFFERED], 0x85);
		for (uint64_t at = BASE + 4096; at < device_page_end(t.p); at++)
			assert_int_equal(t.v.ram[at], 0);
		driver_check(&t.v);
	}
}

static void a_driver_that_failed_resets(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	begin_quietly(1);
	use_queues(d);
	say_status(0x83);
	forget_rings();
	assert_false(d->started);
	assert_int_equal(t.v.ram[BASE + AT_ACCEPTED], 0);
	assert_int_equal(load16(d->queue[0].avail + 2), 0);
	assert_int_equal(t.v.ram[BASE + AT_STATUS], 0x83); /* the guest's own to read */
	say_status(0x83); /* said twice: no harm */
	begin_quietly(1);
	use_queues(d);
}

/* Linux before 3.1 notifies every status, and uses queues before it says "driver ok". */
static void a_guest_of_linux_2_6_35_lives(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		say_status(0);
		forget_rings();
		say_status(1);
		say_status(3);
		assert_int_equal(echo_of(d)->starts, i);
		store8(BASE + AT_ACCEPTED, 0x80 + i);
		use_queues(d); /* a disk looks for partitions here */
		assert_int_equal(echo_of(d)->starts, i + 1);
		assert_int_equal(echo_of(d)->accepted, 0x80 + (i & 5));
		say_status(7);
		assert_int_equal(echo_of(d)->starts, i + 1);
		use_queues(d);
	}
}

static void driver_ok_starts_a_guest_of_linux_2_6_35(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	say_status(0);
	say_status(1);
	say_status(3);
	store8(BASE + AT_ACCEPTED, 4);
	say_status(7);
	assert_int_equal(echo_of(d)->starts, 1);
	assert_int_equal(echo_of(d)->accepted, 4);
	use_queues(d);
}

/* The first kernels with format 2 tell nothing of the status. */
static void a_guest_that_notifies_queues_only_lives(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	store8(BASE + AT_STATUS, 3);
	store8(BASE + AT_ACCEPTED, 1);
	use_queues(d);
	assert_int_equal(echo_of(d)->accepted, 1);
}

static struct virtio_device *open_format1(void)
{
	struct virtio_device *d;

	open_page(true, PAGES, true);
	d = add(VIRTIO_BLOCK, 2, 1 | 1u << 2, NULL, 16);
	set_up();
	return d;
}

static void a_guest_of_linux_2_6_24_lives(void **state)
{
	struct virtio_device *d = open_format1();
	unsigned features = BASE + 3 + 20;

	(void)state;
	store8(BASE + 2, 1);
	store8(BASE + 2, 3);
	/* what it has read it marks */
	for (unsigned field = 0; field < 4; field++)
		store8(BASE + 3 + (field < 2 ? 10 * field : field == 2 ? 20 : 24), field < 2 ? 0x82 : 0xBE + field);
	assert_int_equal(t.v.ram[features], 0xC0);
	store8(features + 3, 0xFF); /* accepts more than there is */
	use_queues(d);
	assert_int_equal(echo_of(d)->starts, 1);
	assert_int_equal(d->accepted, 1);
	store8(BASE + 2, 7);
	for (unsigned i = 0; i < 200; i++)
		use_queues(d);
	assert_int_equal(echo_of(d)->starts, 1);
}

/* A console's input is polled for, by a guest that does not say that it has put a buffer there. */
static void format_1_is_live_as_soon_as_buffers_appear(void **state)
{
	struct virtio_device *d = open_format1();

	(void)state;
	device_page_poll(t.p);
	assert_false(d->started);
	post(d, 1, "ping");
	device_page_poll(t.p);
	assert_true(d->started);
	assert_int_equal(echo_of(d)->polls, 2);
}

static void in_format_1_a_record_is_not_notified(void **state)
{
	struct virtio_device *d = open_format1();

	(void)state;
	assert_false(device_page_notify(t.p, BASE));
	assert_int_equal(echo_of(d)->resets, 1);
}

static void only_exact_addresses_are_devices(void **state)
{
	static const uint64_t text[] = {0, 1, BASE - 1, BASE + 1, BASE + AT_STATUS, BASE + 4095, BASE + 4097,
					BASE + 0x2000, BASE + 0x7000, DRIVER_RAM, UINT32_MAX, UINT64_MAX,
					BASE + 0x100000000ull};
	struct virtio_device *d = open_format2(true);

	(void)state;
	for (unsigned i = 0; i < sizeof text / sizeof *text; i++)
		assert_false(device_page_notify(t.p, text[i]));
	assert_int_equal(t.kills, 0);
	assert_int_equal(echo_of(d)->resets, 1);
	begin_quietly(0);
	for (unsigned i = 0; i < sizeof text / sizeof *text; i++)
		assert_false(device_page_notify(t.p, text[i]));
	assert_int_equal(echo_of(d)->notifies[0] + echo_of(d)->notifies[1], 0);
}

static void each_queue_of_each_device_has_its_interrupt(void **state)
{
	struct virtio_device *d[5];
	unsigned irq = 1;

	(void)state;
	open_page(false, PAGES, true);
	for (unsigned i = 0; i < 5; i++)
		d[i] = add(VIRTIO_ENTROPY, 1 + i % 3, 0, NULL, 0);
	set_up();
	for (unsigned i = 0, at = BASE; i < 5; at += 5 + 8 * d[i]->queues, i++) {
		notify(at);
		store8(at + 4, 3);
		notify(at);
		forget_rings();
		for (unsigned q = 0; q < d[i]->queues; q++, irq++) {
			assert_int_equal(load16(at + 5 + 8 * q + 2), irq);
			post(d[i], q, "ping");
			notify(d[i]->queue[q].desc);
			for (unsigned n = 1; n < 32; n++)
				assert_int_equal(t.raised[n], n <= irq);
		}
	}
}

/* ---- 4. Violations -------------------------------------------------------------------------- */

static void a_queue_notified_before_the_start_kills(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	notify(d->queue[0].desc); /* at once */
	assert_int_equal(t.kills, 1);
	assert_string_equal(t.why, "queue notified before its device was started");
	close_page(NULL);
	d = open_format2(true);
	say_status(0);
	store8(BASE + AT_STATUS, 3); /* and forgets to say that features are final */
	notify(d->queue[1].desc);
	assert_int_equal(t.kills, 1);
	assert_false(d->started);
}

static void a_queue_notified_after_a_reset_kills(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	begin_quietly(0);
	use_queues(d);
	say_status(0);
	notify(d->queue[0].desc);
	assert_int_equal(t.kills, 1);
}

static void starting_twice_without_a_reset_kills(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	begin_quietly(0);
	notify(BASE);
	assert_int_equal(t.kills, 1);
	assert_string_equal(t.why, "device started twice without a reset");
	assert_false(d->started);
}

static void without_a_killer_the_device_is_silent_until_its_reset(void **state)
{
	struct virtio_device *d = open_format2(false);

	(void)state;
	begin_quietly(0);
	d->busy = true;
	notify(BASE);
	assert_false(d->started);
	assert_false(device_page_busy(t.p)); /* or the host would never sleep */
	post(d, 0, "ping");
	notify(d->queue[0].desc);
	notify(d->queue[0].desc);
	notify(BASE);
	assert_false(d->started);
	assert_int_equal(t.raised[1], 0);
	forget_rings();
	begin_quietly(0);
	use_queues(d);
}

static void what_was_not_offered_is_not_accepted(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	begin_quietly(0xFF);
	assert_int_equal(d->accepted, 0x85);
	assert_int_equal(d->queue[0].indirect, 0);
}

static void a_broken_ring_stops_its_queue_until_the_reset(void **state)
{
	struct virtio_device *d = open_format2(true);

	(void)state;
	begin_quietly(0);
	driver_store16(&t.v, d->queue[0].avail + 2, 300); /* more than the ring holds */
	notify(d->queue[0].desc);
	assert_non_null(virtio_why_broken(d));
	assert_int_equal(t.kills, 0);
	begin_quietly(0);
	assert_null(virtio_why_broken(d));
	use_queues(d);
}

/* ---- 5. Change ------------------------------------------------------------------------------ */

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

/* ---- 6. Room -------------------------------------------------------------------------------- */

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

/* ---- 7. Anything ---------------------------------------------------------------------------- */

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static size_t swallow(void *user, const uint8_t *bytes, size_t count)
{
	*(volatile uint8_t *)user = count ? bytes[count - 1] : 0;
	return count;
}

static size_t fill(void *user, uint8_t *bytes, size_t count)
{
	memset(bytes, *(uint8_t *)user, count);
	return count;
}

/* A descriptor, a ring index, or any byte of the area. */
static void scribble(void)
{
	uint64_t area = device_page_end(t.p) - BASE;
	uint64_t ring = BASE + 4096 + 3 * 4096 * (uint64_t)draw(6);
	uint32_t words[4] = {draw(DRIVER_RAM), 0, draw(5000), draw(16) | draw(300) << 16};

	switch (draw(5)) {
	case 0:
		store8(BASE + draw((uint32_t)area), draw(256));
		break;
	case 1:
		store8(BASE + draw(160), draw(256));
		break;
	case 2:
		driver_store(&t.v, ring + 16 * draw(256), words, 16);
		break;
	case 3:
		driver_store16(&t.v, ring + 16 * 256 + 2 + 2 * draw(256), (uint16_t)draw(260));
		break;
	default:
		driver_store16(&t.v, ring + 16 * 128 + 2, (uint16_t)draw(130));
		break;
	}
}

/* A proper start, as a guest that got it right would do it. */
static void start_over(unsigned record)
{
	for (unsigned status = 0; status <= 3; status += 3) {
		store8(record + AT_STATUS, status);
		device_page_notify(t.p, record);
	}
}

/* One request: a descriptor or two of anything, offered and notified. */
static void request(struct virtio_device *d)
{
	unsigned queue = draw(d->queues), num = d->queue[queue].num;
	uint16_t head = (uint16_t)draw(num), next = (uint16_t)draw(num);

	t.v.d = d;
	driver_desc(&t.v, queue, head, draw(DRIVER_RAM), draw(3000), (uint16_t)draw(4), next);
	driver_desc(&t.v, queue, next, draw(DRIVER_RAM), draw(3000), (uint16_t)(draw(40) ? 2 : draw(8)), head);
	driver_offer(&t.v, queue, head);
	device_page_notify(t.p, d->queue[queue].desc);
}

static void poke(struct virtio_device **devices, const unsigned *records)
{
	uint64_t area = device_page_end(t.p) - BASE;
	unsigned which = draw(3), record = records[which];
	struct virtio_device *console = devices[0];

	switch (draw(16)) {
	case 0:
		device_page_poll(t.p);
		break;
	case 1:
		device_page_notify(t.p, BASE + draw((uint32_t)area));
		break;
	case 2:
		virtio_console_resize(console, (uint16_t)draw(65536), (uint16_t)draw(65536));
		break;
	case 3:
		virtio_console_input(console, (const uint8_t *)"0123456789", draw(11));
		break;
	case 4:
	case 5:
	case 6:
		if (draw(2))
			store8(record + AT_STATUS, (unsigned[]){0, 1, 3, 7, 0x80, draw(256)}[draw(6)]);
		device_page_notify(t.p, record);
		break;
	case 7:
		if (!draw(50))
			device_page_reset(t.p);
		break;
	case 8:
		start_over(record);
		break;
	case 9:
	case 10:
	case 11:
	case 12:
		request(devices[which]);
		break;
	default:
		device_page_notify(t.p, BASE + 4096 * (1 + draw((uint32_t)area / 4096)));
		break;
	}
}

static void fuzz(bool format1, bool kill)
{
	static uint8_t state;
	struct virtio_device *d[3];
	const unsigned rings = format1 ? 12 : 18; /* pages */
	unsigned records[3] = {BASE};

	open_page(format1, PAGES, kill);
	d[0] = virtio_console_new(&t.v.memory, &state, swallow);
	d[1] = virtio_entropy_new(&t.v.memory, fill, &state);
	assert_true(d[0] && d[1] && device_page_add(t.p, d[0]) && device_page_add(t.p, d[1]));
	d[2] = add(VIRTIO_NET, 3, 0x1234567 | INDIRECT, NULL, 10);
	device_page_reset(t.p);
	for (unsigned i = 1; i < 3; i++) /* where format 2 has them */
		records[i] = records[i - 1] + 5 + 8u * t.v.ram[records[i - 1] + 1] +
			     2u * t.v.ram[records[i - 1] + 2] + t.v.ram[records[i - 1] + 3];
	for (unsigned long i = 0; i < test_rounds(1000000); i++) {
		if (draw(6))
			poke(d, records);
		else
			scribble();
		if (i % 4096 == 0) {
			driver_check(&t.v);
			assert_int_equal(device_page_end(t.p), BASE + 4096 * (1 + rings));
		}
	}
	/* it did get somewhere */
	assert_true(echo_of(d[2])->starts && echo_of(d[2])->notifies[2] && t.raised[1] && t.raised[3] && t.raised[5]);
	close_page(NULL);
}

static void a_guest_that_writes_anything_hurts_itself_only(void **state)
{
	(void)state;
	seed = 0x9E3779B9;
	for (unsigned i = 0; i < 4; i++)
		fuzz(i & 1, i & 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(format_2_byte_for_byte, close_page),
	    cmocka_unit_test_teardown(format_1_byte_for_byte, close_page),
	    cmocka_unit_test_teardown(devices_know_what_they_are_carried_by, close_page),
	    cmocka_unit_test_teardown(a_guest_of_linux_3_12_lives, close_page),
	    cmocka_unit_test_teardown(a_reset_forgets_rings_and_features, close_page),
	    cmocka_unit_test_teardown(a_driver_that_failed_resets, close_page),
	    cmocka_unit_test_teardown(a_guest_of_linux_2_6_35_lives, close_page),
	    cmocka_unit_test_teardown(driver_ok_starts_a_guest_of_linux_2_6_35, close_page),
	    cmocka_unit_test_teardown(a_guest_that_notifies_queues_only_lives, close_page),
	    cmocka_unit_test_teardown(a_guest_of_linux_2_6_24_lives, close_page),
	    cmocka_unit_test_teardown(format_1_is_live_as_soon_as_buffers_appear, close_page),
	    cmocka_unit_test_teardown(in_format_1_a_record_is_not_notified, close_page),
	    cmocka_unit_test_teardown(only_exact_addresses_are_devices, close_page),
	    cmocka_unit_test_teardown(each_queue_of_each_device_has_its_interrupt, close_page),
	    cmocka_unit_test_teardown(a_queue_notified_before_the_start_kills, close_page),
	    cmocka_unit_test_teardown(a_queue_notified_after_a_reset_kills, close_page),
	    cmocka_unit_test_teardown(starting_twice_without_a_reset_kills, close_page),
	    cmocka_unit_test_teardown(without_a_killer_the_device_is_silent_until_its_reset, close_page),
	    cmocka_unit_test_teardown(what_was_not_offered_is_not_accepted, close_page),
	    cmocka_unit_test_teardown(a_broken_ring_stops_its_queue_until_the_reset, close_page),
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
	    cmocka_unit_test_teardown(a_guest_that_writes_anything_hurts_itself_only, close_page),
	};

	return cmocka_run_group_tests_name("virtio_page", tests, NULL, NULL);
}
