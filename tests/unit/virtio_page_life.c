/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_page_life.c - the lguest device page and guests of every age.
 *
 *   1. Lives         from reset to the first answer
 *   2. Violations    each by name
 *   3. Anything      random notifications of random pages
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/page_guest.h"

/* ---- 1. Lives -------------------------------------------------------------------------------- */

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

/* ---- 2. Violations --------------------------------------------------------------------------- */

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

/* ---- 3. Anything ----------------------------------------------------------------------------- */

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
	    cmocka_unit_test_teardown(a_guest_that_writes_anything_hurts_itself_only, close_page),
	};

	return cmocka_run_group_tests_name("virtio_page_life", tests, NULL, NULL);
}
