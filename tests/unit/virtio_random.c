/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_random.c - 100,000 random rings, on every device in every layout.
 *
 *   1. Numbers     from a seed that a failure prints
 *   2. Hosts       a disk, a wire, a terminal, a source, as unsteady as real ones
 *   3. Rings       half sensible, half not; changed while they are read
 *   4. Tests
 *
 * What holds for each ring: the device ends its work, stays inside RAM (ASan, and the host's own
 * bounds), announces every byte it writes, answers no request twice, and after a reset serves a
 * good request.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/virtio/internal.h"
#include "tests/lib/tap.h"
#include "tests/lib/virtio_driver.h"

/* Over all devices and layouts; UMBRA_RINGS=n for more, UMBRA_SEED=n for others. */
#define RINGS 100000u

/* ---- 1. Numbers ----------------------------------------------------------------------------- */

static uint64_t numbers;

static uint32_t any(void)
{
	numbers ^= numbers << 13;
	numbers ^= numbers >> 7;
	numbers ^= numbers << 17;
	return (uint32_t)(numbers >> 16);
}

static uint32_t below(uint32_t n)
{
	return any() % n;
}
static bool one_in(uint32_t n)
{
	return below(n) == 0;
}

/* ---- 2. Hosts ------------------------------------------------------------------------------- */

static struct driver v;
static uint8_t disk_bytes[128 * 512];
static struct disk_backend disk;
static struct net_backend wire;
static volatile uint8_t read_by_terminal;

static int disk_read(struct disk_backend *d, uint64_t at, void *to, size_t bytes)
{
	assert_true(bytes && at <= d->bytes && bytes <= d->bytes - at);
	if (one_in(20))
		return EIO;
	memcpy(to, disk_bytes + at, bytes);
	return 0;
}

static int disk_write(struct disk_backend *d, uint64_t at, const void *from, size_t bytes)
{
	assert_true(bytes && at <= d->bytes && bytes <= d->bytes - at && !d->read_only);
	if (one_in(20))
		return ENOSPC;
	memcpy(disk_bytes + at, from, bytes);
	return 0;
}

static int disk_flush(struct disk_backend *d)
{
	(void)d;
	return one_in(4) ? EIO : 0;
}

static void disk_free(struct disk_backend *d)
{
	(void)d;
}

static void wire_send(struct net_backend *n, const uint8_t *frame, size_t bytes)
{
	assert_in_range(bytes, 14, NET_FRAME_MAX);
	if (one_in(4))
		n->receive(n->user, frame, bytes);
}

static void wire_free(struct net_backend *n)
{
	(void)n;
}

static size_t take_some(void *user, const uint8_t *bytes, size_t count)
{
	(void)user;
	for (size_t i = 0; i < count; i += 64)
		read_by_terminal ^= bytes[i];
	if (one_in(8))
		return 0;
	return one_in(2) ? below((uint32_t)count + 1) : count;
}

static size_t make_some(void *user, uint8_t *bytes, size_t count)
{
	(void)user;
	if (one_in(8))
		count = below((uint32_t)count + 1);
	memset(bytes, 0x77, count);
	return count;
}

static struct virtio_device *make_console(void)
{
	return virtio_console_new(&v.memory, NULL, take_some);
}
static struct virtio_device *make_entropy(void)
{
	return virtio_entropy_new(&v.memory, make_some, NULL);
}

static struct virtio_device *make_block(void)
{
	static const struct disk_ops ops = {disk_read, disk_write, disk_flush, disk_free};

	disk = (struct disk_backend){&ops, sizeof disk_bytes, one_in(8)};
	return virtio_block_new(&v.memory, &disk);
}

static struct virtio_device *make_net(void)
{
	static const struct net_ops ops = {.send = wire_send, .free = wire_free};
	static const uint8_t mac[6] = {2};

	wire = (struct net_backend){.ops = &ops};
	return virtio_net_new(&v.memory, &wire, mac);
}

/* ---- 3. Rings ------------------------------------------------------------------------------- */

#define BUFFERS 0x40000u /* from here to the end of RAM: buffers, headers, indirect tables */

static uint64_t any_place(uint32_t bytes)
{
	if (one_in(40))
		return (uint64_t)any() << below(33);
	if (one_in(40))
		return DRIVER_RAM - below(4096);
	if (one_in(40))
		return below(BUFFERS); /* the rings themselves */
	return BUFFERS + below(DRIVER_RAM - BUFFERS - (bytes < 65536 ? bytes : 65536));
}

static uint32_t any_length(void)
{
	static const uint32_t good[] = {1,   8,   10,  12,   16,   17,   24,   60,
					512, 512, 513, 1024, 1514, 1526, 4096, 65536};

	if (one_in(60))
		return one_in(2) ? any() : 0;
	return one_in(4) ? below(300) : good[below(sizeof good / sizeof *good)];
}

static void put_desc(uint64_t at, uint32_t i, uint32_t count, bool table)
{
	struct {
		uint64_t gpa;
		uint32_t bytes;
		uint16_t flags, next;
	} d = {.bytes = any_length(), .next = (uint16_t)(i + 1)};

	d.gpa = any_place(d.bytes);
	d.flags = (uint16_t)((one_in(3) ? 0 : DRIVER_NEXT) |
			     (i > count / 2 || one_in(5) ? DRIVER_WRITE : 0));
	if (one_in(table ? 100 : 12)) {
		d.flags = DRIVER_INDIRECT | (one_in(20) ? DRIVER_NEXT : 0);
		d.bytes = one_in(20) ? any_length() : 16 * (1 + below(20));
		d.gpa = BUFFERS + 16 * below(512);
	}
	if (one_in(30))
		d.next = (uint16_t)(one_in(2) ? any() : below(count));
	if (one_in(60))
		d.flags = (uint16_t)any();
	driver_store(&v, at + 16ull * i, &d, sizeof d);
}

/* A header that block understands: read, write, flush, id, or not. */
static void put_header(uint64_t at)
{
	static const uint32_t types[] = {0, 0, 0, 1, 1, 1, 2, 4, 8, 0x80000001};
	uint8_t header[24] = {0};

	virtio_put(header, one_in(20) ? any() : types[below(10)], 4);
	virtio_put(header + 8, one_in(20) ? (uint64_t)any() << below(33) : below(140), 8);
	driver_store(&v, at, header, sizeof header);
}

static void fill_ring(struct virtqueue *q)
{
	for (uint32_t i = 0; i < q->num; i++)
		put_desc(q->desc, i, q->num, false);
	for (uint32_t i = 0; i < q->num; i++)
		driver_store16(&v, q->avail + 4 + 2 * i,
			       (uint16_t)(one_in(100) ? any() : below(q->num)));
	driver_store16(&v, q->avail, (uint16_t)below(2));
	driver_store16(&v, q->avail + 2, (uint16_t)(one_in(50) ? any() : below(q->num + 1u)));
}

static void fill_memory(void)
{
	static const uint16_t sizes[] = {1, 2, 8, 16, 16, 64, 256};
	uint16_t num = sizes[below(7)];

	/* what both kinds of reader may find there: a table, a header every 4 KiB or so */
	for (uint32_t i = 0; i < 64; i++)
		put_desc(BUFFERS + 16 * below(512), i % 20, 20, true);
	for (unsigned i = 0; i < 16; i++)
		put_header(BUFFERS + below(DRIVER_RAM - BUFFERS - 24));
	for (unsigned i = 0; i < v.d->queues; i++)
		virtqueue_place(&v.d->queue[i], num, 0x1000 + 0x8000 * i);
	driver_restart(&v, one_in(4) ? 0 : UINT64_MAX);
	for (unsigned i = 0; i < v.d->queues; i++) {
		if (one_in(100))
			v.d->queue[i].num = (uint16_t)any();
		if (one_in(100))
			v.d->queue[i].used = any_place(0);
		if (v.d->queue[i].num == num)
			fill_ring(&v.d->queue[i]);
	}
}

/* The guest's other hand: it changes a ring whenever the device looks up an address. */
static uint8_t *(*steady_at)(void *user, uint64_t gpa, uint64_t bytes);

static uint8_t *unsteady_at(void *user, uint64_t gpa, uint64_t bytes)
{
	uint8_t *at = steady_at(user, gpa, bytes);

	if (one_in(16))
		driver_store16(&v, 0x1000 + 2 * below(0x8000), (uint16_t)any());
	return at;
}

/* Requests that were answered, by the index: never more than there were places for. */
static void serve(const struct virtqueue *q)
{
	uint16_t before = q->used_idx;
	unsigned calls = 0;

	for (unsigned i = 0; i < v.d->queues; i++)
		virtio_notify(v.d, i);
	if (v.d->ops->type == VIRTIO_CONSOLE)
		virtio_console_input(v.d, disk_bytes, below(300));
	if (v.d->ops->type == VIRTIO_NET && wire.receive)
		wire.receive(v.d, disk_bytes, below(1600));
	while (v.d->busy && calls++ < 40)
		virtio_poll(v.d);
	assert_true((uint16_t)(q->used_idx - before) <= 41u * VIRTIO_PASS);
	assert_true(q->broken ? q->why != NULL : !q->why);
	/* one held back at most, none answered twice */
	assert_true((uint16_t)(q->last_avail - q->used_idx) <= 1);
}

static void serve_a_good_request(void)
{
	unsigned queue = v.d->ops->type == VIRTIO_CONSOLE || v.d->ops->type == VIRTIO_NET;
	bool writable = v.d->ops->type == VIRTIO_ENTROPY;
	struct driver_buffer b[] = {{BUFFERS, 64, writable}, {BUFFERS + 64, 1, true}};
	uint32_t written;
	uint16_t head;

	for (unsigned i = 0; i < v.d->queues; i++)
		virtqueue_place(&v.d->queue[i], 16, 0x1000 + 0x8000 * i);
	driver_restart(&v, 0);
	driver_post(&v, queue, b, 2);
	for (unsigned i = 0; i < 100 && !driver_used(&v, queue, &head, &written); i++) {
		virtio_notify(v.d, queue);
		assert_int_not_equal(i, 99);
	}
	assert_null(virtio_why_broken(v.d));
}

/* ---- 4. Tests ------------------------------------------------------------------------------- */

static unsigned long wish(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

static void run(struct virtio_device *(*make)(void), enum virtio_layout layout, unsigned long rings)
{
	unsigned long broken = 0, answered = 0;
	uint64_t seed = 0;

	numbers = 0x9E3779B97F4A7C15u + layout + 1000003 * wish("UMBRA_SEED", 0);
	driver_open(&v);
	steady_at = v.memory.at;
	driver_start(&v, make(), layout, 16, 0);
	for (unsigned long i = 0; i < rings; i++) {
		seed = numbers;
		fill_memory();
		v.memory.at = i % 2 ? unsteady_at : steady_at;
		serve(&v.d->queue[v.d->queues - 1]);
		serve(&v.d->queue[0]);
		v.memory.at = steady_at;
		broken += virtio_why_broken(v.d) != NULL;
		answered += v.d->queue[v.d->queues - 1].used_idx != 0;
		if (i % 32 == 0 && memcmp(v.ram, v.announced, DRIVER_RAM) != 0)
			fail_msg(
			    "ring %lu (seed %#llx or up to 31 before): a write was not announced",
			    i, (unsigned long long)seed);
		if (i % 32 == 0)
			serve_a_good_request();
	}
	driver_close(&v);
	/* the rings were worth it: some broke, some were served */
	assert_in_range(broken, rings / 20, rings - rings / 20);
	assert_in_range(answered, rings / 10, rings);
}

#define RANDOM(device, layout)                                                                     \
	static void device##_survives_random_rings_##layout(void **state)                          \
	{                                                                                          \
		(void)state;                                                                       \
		run(make_##device, layout, wish("UMBRA_RINGS", test_rounds(RINGS)) / 12 + 1);      \
	}
#define LAYOUTS(device)                                                                            \
	RANDOM(device, VIRTIO_2_6_24) RANDOM(device, VIRTIO_LEGACY) RANDOM(device, VIRTIO_1_0)
LAYOUTS(console)
LAYOUTS(block)
LAYOUTS(net)
LAYOUTS(entropy)

#define TESTS(device)                                                                              \
	cmocka_unit_test(device##_survives_random_rings_VIRTIO_2_6_24),                            \
	    cmocka_unit_test(device##_survives_random_rings_VIRTIO_LEGACY),                        \
	    cmocka_unit_test(device##_survives_random_rings_VIRTIO_1_0)

int main(void)
{
	static const struct CMUnitTest tests[] = {TESTS(console), TESTS(block), TESTS(net),
						  TESTS(entropy)};

	return cmocka_run_group_tests_name("virtio_random", tests, NULL, NULL);
}
