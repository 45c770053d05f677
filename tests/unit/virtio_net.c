/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_net.c - the network card: headers of all layouts, frames that are too long, too
 * short, or come when nobody waits.
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

enum { RX, TX };
static const uint32_t headers[] = {[VIRTIO_2_6_24] = 8, [VIRTIO_LEGACY] = 10, [VIRTIO_1_0] = 12};
static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};

static struct wire {
	struct net_backend backend;
	unsigned sent, freed;
	size_t bytes;
	uint8_t frame[NET_FRAME_MAX];
} wire;

static struct driver v;

static void wire_send(struct net_backend *n, const uint8_t *frame, size_t bytes)
{
	assert_ptr_equal(n, &wire.backend);
	assert_in_range(bytes, 14, NET_FRAME_MAX);
	memcpy(wire.frame, frame, bytes);
	wire.bytes = bytes;
	wire.sent++;
}

static void wire_free(struct net_backend *n)
{
	(void)n;
	wire.freed++;
}

static const struct net_ops wire_ops = {.send = wire_send, .free = wire_free};

static void start(enum virtio_layout layout)
{
	memset(&wire, 0, sizeof wire);
	wire.backend.ops = &wire_ops;
	driver_open(&v);
	driver_start(&v, virtio_net_new(&v.memory, &wire.backend, mac), layout, 256, 1u << 5);
}

static int set_up(void **state)
{
	(void)state;
	start(VIRTIO_LEGACY);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	driver_close(&v);
	assert_int_equal(wire.freed, 1);
	assert_null(wire.backend.receive);
	return 0;
}

static uint8_t frame[2000];

static void make_frame(size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(i * 5 + 1 + i / 256);
}

static bool receive(size_t bytes)
{
	make_frame(bytes);
	return wire.backend.receive(wire.backend.user, frame, bytes);
}

static bool answered(unsigned queue, uint32_t *written)
{
	uint16_t head;

	return driver_used(&v, queue, &head, written);
}

static void a_frame_comes_behind_the_layouts_header(void **state)
{
	(void)state;
	for (enum virtio_layout layout = VIRTIO_2_6_24; layout <= VIRTIO_1_0; layout++) {
		uint32_t head = headers[layout], written;
		uint8_t want[12] = {0};
		struct driver_buffer b;

		driver_close(&v);
		start(layout);
		b = (struct driver_buffer){driver_alloc(&v, 1600), head + 1514, true};
		for (uint32_t i = 0; i < 1600; i++)
			driver_store(&v, b.gpa + i, &(uint8_t){0xCC}, 1);
		driver_post(&v, RX, &b, 1);
		assert_true(receive(100));
		assert_true(answered(RX, &written));
		assert_int_equal(written, head + 100);
		if (layout == VIRTIO_1_0)
			want[10] = 1; /* buffers */
		assert_memory_equal(v.ram + b.gpa, want, head);
		assert_memory_equal(v.ram + b.gpa + head, frame, 100);
		assert_int_equal(v.ram[b.gpa + head + 100], 0xCC);
		assert_int_equal(v.interrupts[RX], 1);
	}
}

static void the_header_may_have_a_descriptor_of_its_own(void **state)
{
	uint64_t at;
	uint32_t written;

	(void)state;
	driver_close(&v);
	start(VIRTIO_2_6_24);
	at = driver_alloc(&v, 2048);
	driver_post(
	    &v, RX,
	    (struct driver_buffer[]){{at, 8, true}, {at + 100, 700, true}, {at + 900, 814, true}},
	    3);
	assert_true(receive(1514));
	assert_true(answered(RX, &written));
	assert_int_equal(written, 8 + 1514);
	assert_memory_equal(v.ram + at + 100, frame, 700);
	assert_memory_equal(v.ram + at + 900, frame + 700, 814);
	driver_store(&v, at, "\1\2\3\4\5\6\7\10", 8);
	make_frame(333);
	driver_store(&v, at + 100, frame, 333);
	driver_post(
	    &v, TX,
	    (struct driver_buffer[]){{at, 8, false}, {at + 100, 300, false}, {at + 400, 33, false}},
	    3);
	virtio_notify(v.d, TX);
	assert_int_equal(wire.sent, 1);
	assert_int_equal(wire.bytes, 333);
	assert_memory_equal(wire.frame, frame, 333);
}

static void frames_that_find_no_buffer_are_dropped(void **state)
{
	struct driver_buffer b = {driver_alloc(&v, 1600), 1524, true};
	uint32_t written;

	(void)state;
	assert_false(receive(64));
	driver_post(&v, RX, &b, 1);
	assert_true(receive(64));
	assert_false(receive(64));
	assert_true(answered(RX, &written));
	assert_false(answered(RX, &written));
	v.d->started = false;
	driver_post(&v, RX, &b, 1);
	assert_false(receive(64));
}

static void long_frames_are_dropped_whole(void **state)
{
	struct driver_buffer b = {driver_alloc(&v, 2048), 2048, true};
	uint32_t written;

	(void)state;
	driver_post(&v, RX, &b, 1);
	assert_false(receive(1515));
	assert_false(receive(2000));
	assert_false(answered(RX, &written)); /* and the buffer waits for the next */
	assert_true(receive(1514));
	assert_true(answered(RX, &written));
	assert_int_equal(written, 1524);
}

static void short_frames_are_filled_up_with_zeroes(void **state)
{
	struct driver_buffer b = {driver_alloc(&v, 128), 128, true};
	static const uint8_t zeroes[60 - 14];
	uint32_t written;

	(void)state;
	for (uint32_t i = 0; i < 128; i++)
		driver_store(&v, b.gpa + i, &(uint8_t){0xCC}, 1);
	driver_post(&v, RX, &b, 1);
	assert_false(receive(0));
	assert_false(receive(13));
	assert_true(receive(14));
	assert_true(answered(RX, &written));
	assert_int_equal(written, 70);
	assert_memory_equal(v.ram + b.gpa + 10, frame, 14);
	assert_memory_equal(v.ram + b.gpa + 24, zeroes, 46);
	assert_int_equal(v.ram[b.gpa + 70], 0xCC);
}

static void a_buffer_too_small_goes_back_empty(void **state)
{
	struct driver_buffer small = {driver_alloc(&v, 128), 109, true},
			     large = {small.gpa, 110, true};
	uint32_t written;

	(void)state;
	driver_post(&v, RX, &small, 1);
	driver_post(&v, RX, &large, 1);
	assert_false(receive(100));
	assert_true(answered(RX, &written));
	assert_int_equal(written, 0);
	assert_true(receive(100));
	assert_true(answered(RX, &written));
	assert_int_equal(written, 110);
}

static void what_is_no_frame_is_not_sent(void **state)
{
	static const uint32_t lengths[] = {0, 1, 9, 10, 11, 23, 1525, 4096};
	uint64_t at = driver_alloc(&v, 4096);
	uint32_t written;

	(void)state;
	for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct driver_buffer b = {at, lengths[i], false};

		driver_post(&v, TX, &b, 1);
		virtio_notify(v.d, TX);
		assert_true(answered(TX, &written)); /* dropped, not stuck */
		assert_int_equal(wire.sent, 0);
	}
	driver_post(&v, TX, (struct driver_buffer[]){{at, 24, false}}, 1);
	driver_post(&v, TX, (struct driver_buffer[]){{at, 1524, false}}, 1);
	virtio_notify(v.d, TX);
	assert_int_equal(wire.sent, 2);
	assert_int_equal(v.interrupts[TX], 9); /* one for each notify */
}

static void one_notify_sends_so_many_and_polls_go_on(void **state)
{
	struct driver_buffer b = {driver_alloc(&v, 128), 100, false};

	(void)state;
	driver_close(&v);
	start(VIRTIO_LEGACY);
	virtqueue_place(&v.d->queue[1], 512, 0x20000);
	driver_restart(&v, 0);
	b.gpa = 0x30000;
	for (unsigned i = 0; i < 500; i++)
		driver_post(&v, TX, &b, 1);
	virtio_notify(v.d, TX);
	assert_int_equal(wire.sent, VIRTIO_PASS);
	assert_true(v.d->busy);
	virtio_poll(v.d);
	assert_int_equal(wire.sent, 500);
	assert_false(v.d->busy);
	virtio_poll(v.d);
	assert_int_equal(wire.sent, 500);
}

/* A wire that answers while the frame is being sent, as libslirp does with ARP. */
static void wire_echo(struct net_backend *n, const uint8_t *bytes, size_t count)
{
	n->receive(n->user, bytes, count);
}

static void an_answer_may_come_while_sending(void **state)
{
	static const struct net_ops echo = {.send = wire_echo, .free = wire_free};
	uint64_t at = driver_alloc(&v, 512);
	uint32_t written;

	(void)state;
	wire.backend.ops = &echo;
	make_frame(90);
	driver_store(&v, at + 10, frame, 80);
	driver_post(&v, RX, (struct driver_buffer[]){{at + 128, 128, true}}, 1);
	driver_post(&v, TX, (struct driver_buffer[]){{at, 90, false}}, 1);
	virtio_notify(v.d, TX);
	assert_true(answered(TX, &written));
	assert_true(answered(RX, &written));
	assert_memory_equal(v.ram + at + 138, frame, 80);
}

static void the_configuration_has_address_and_link(void **state)
{
	(void)state;
	assert_memory_equal(v.d->config, mac, 6);
	assert_int_equal(virtio_get(v.d->config + 6, 2), 1);
	assert_int_equal(v.d->offered, 1ull << 5 | 1ull << 16 | 1ull << 28);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    T(a_frame_comes_behind_the_layouts_header),
	    T(the_header_may_have_a_descriptor_of_its_own),
	    T(frames_that_find_no_buffer_are_dropped),
	    T(long_frames_are_dropped_whole),
	    T(short_frames_are_filled_up_with_zeroes),
	    T(a_buffer_too_small_goes_back_empty),
	    T(what_is_no_frame_is_not_sent),
	    T(one_notify_sends_so_many_and_polls_go_on),
	    T(an_answer_may_come_while_sending),
	    T(the_configuration_has_address_and_link),
	};

	return cmocka_run_group_tests_name("virtio_net", tests, NULL, NULL);
}
