/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_block.c - the disk: headers of all layouts, every descriptor boundary, every
 * refusal.
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
#include "tests/lib/virtio_driver.h"

enum { READ, WRITE, SCSI, FLUSH = 4, GET_ID = 8 };
enum { OK, IO_ERROR, UNSUPPORTED };
#define SECTORS 64u

/* A disk in memory that fails from `fail_at` on and counts. */
static struct memory_disk {
	struct disk_backend backend;
	uint8_t bytes[SECTORS * 512];
	uint64_t fail_at;
	unsigned flushes, freed;
	int flush_error;
	uint64_t moved;
} disk;

static struct driver v;
static enum virtio_layout layout;

static int disk_read(struct disk_backend *d, uint64_t at, void *to, size_t bytes)
{
	assert_ptr_equal(d, &disk.backend);
	assert_true(at <= sizeof disk.bytes && bytes <= sizeof disk.bytes - at);
	disk.moved += bytes;
	if (at + bytes > disk.fail_at)
		return EIO;
	memcpy(to, disk.bytes + at, bytes);
	return 0;
}

static int disk_write(struct disk_backend *d, uint64_t at, const void *from, size_t bytes)
{
	assert_false(d->read_only);
	assert_true(at <= sizeof disk.bytes && bytes <= sizeof disk.bytes - at);
	disk.moved += bytes;
	if (at + bytes > disk.fail_at)
		return EIO;
	memcpy(disk.bytes + at, from, bytes);
	return 0;
}

static int disk_flush(struct disk_backend *d)
{
	(void)d;
	disk.flushes++;
	return disk.flush_error;
}

static void disk_free(struct disk_backend *d)
{
	(void)d;
	disk.freed++;
}

static const struct disk_ops disk_ops = {disk_read, disk_write, disk_flush, disk_free};

static void start(enum virtio_layout which, bool read_only)
{
	memset(&disk, 0, sizeof disk);
	disk.backend = (struct disk_backend){&disk_ops, sizeof disk.bytes, read_only};
	disk.fail_at = UINT64_MAX;
	for (size_t i = 0; i < sizeof disk.bytes; i++)
		disk.bytes[i] = (uint8_t)(i / 512 + i * 3);
	layout = which;
	driver_open(&v);
	driver_start(&v, virtio_block_new(&v.memory, &disk.backend), which, 128, 0);
}

static int set_up(void **state)
{
	(void)state;
	start(VIRTIO_LEGACY, false);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	driver_close(&v);
	assert_int_equal(disk.freed, 1);
	return 0;
}

static uint32_t header_bytes(void)
{
	return layout == VIRTIO_2_6_24 ? 24 : 16;
}

static uint64_t make_header(uint32_t type, uint64_t sector)
{
	uint64_t at = driver_alloc(&v, 24);
	uint8_t bytes[24];

	memset(bytes, 0xEE, sizeof bytes); /* priority and id mean nothing */
	virtio_put(bytes, type, 4);
	virtio_put(bytes + 8, sector, 8);
	driver_store(&v, at, bytes, sizeof bytes);
	return at;
}

/* Wait for the one answer; its status byte, and what the used ring says in *written. */
static uint8_t run(uint64_t status, uint32_t *written)
{
	uint16_t head;

	driver_store(&v, status, &(uint8_t){0xAA}, 1);
	virtio_notify(v.d, 0);
	assert_true(driver_used(&v, 0, &head, written));
	assert_false(driver_used(&v, 0, &head, &(uint32_t){0}));
	return v.ram[status];
}

/* Header, data, status: each in a descriptor of its own, as all old drivers do it. */
static uint8_t request(uint32_t type, uint64_t sector, uint64_t data, uint32_t bytes, bool to_guest,
		       uint32_t *written)
{
	uint64_t status = driver_alloc(&v, 1);
	struct driver_buffer b[] = {{make_header(type, sector), header_bytes(), false},
				    {data, bytes, to_guest},
				    {status, 1, true}};

	driver_post(&v, 0, b, 3);
	return run(status, written);
}

static void requests_of_every_layout(void **state)
{
	(void)state;
	for (enum virtio_layout which = VIRTIO_2_6_24; which <= VIRTIO_1_0; which++) {
		uint64_t data;
		uint32_t written;

		driver_close(&v);
		start(which, false);
		data = driver_alloc(&v, 4096);
		assert_int_equal(request(READ, 7, data, 1024, true, &written), OK);
		assert_int_equal(written, 1025);
		assert_memory_equal(v.ram + data, disk.bytes + 7 * 512, 1024);
		assert_int_equal(v.ram[data + 1024], 0);
		driver_store(&v, data, "written!", 8);
		assert_int_equal(request(WRITE, 9, data, 512, false, &written), OK);
		assert_int_equal(written, 1);
		assert_memory_equal(disk.bytes + 9 * 512, "written!", 8);
		assert_int_equal(disk.bytes[10 * 512], (uint8_t)(10 + 10 * 512 * 3));
		assert_int_equal(disk.bytes[9 * 512 - 1], (uint8_t)(8 + (9 * 512 - 1) * 3));
	}
}

/* The bytes of a request cut into descriptors anywhere: reading. */
static void descriptor_boundaries_mean_nothing_to_reads(void **state)
{
	static const uint32_t cuts[] = {1, 2, 3, 7, 15, 16, 17, 100, 511, 512, 513, 1000};

	(void)state;
	driver_close(&v);
	for (unsigned i = 0; i < sizeof cuts / sizeof *cuts; i++) {
		struct driver_buffer b[1100];
		uint64_t header, data;
		uint32_t written;
		unsigned n = 0;

		start(VIRTIO_1_0, false);
		header = make_header(READ, 3);
		data = driver_alloc(&v, 1025 + 1);
		for (uint32_t at = 0; at < 16; at += cuts[i])
			b[n++] = (struct driver_buffer){
			    header + at, at + cuts[i] < 16 ? cuts[i] : 16 - at, false};
		if (1025 / cuts[i] > 100)
			b[n++] = (struct driver_buffer){data, 1000, true};
		for (uint32_t at = 1025 / cuts[i] > 100 ? 1000 : 0; at < 1025; at += cuts[i])
			b[n++] = (struct driver_buffer){
			    data + at, at + cuts[i] < 1025 ? cuts[i] : 1025 - at, true};
		driver_post(&v, 0, b, n);
		assert_int_equal(run(data + 1024, &written), OK);
		assert_int_equal(written, 1025);
		assert_memory_equal(v.ram + data, disk.bytes + 3 * 512, 1024);
		if (i + 1 < sizeof cuts / sizeof *cuts)
			driver_close(&v);
	}
}

/* Header and data in one buffer, cut in two at every place. */
static void descriptor_boundaries_mean_nothing_to_writes(void **state)
{
	uint64_t status, at;

	(void)state;
	driver_close(&v);
	start(VIRTIO_1_0, false);
	status = driver_alloc(&v, 1);
	at = driver_alloc(&v, 16 + 1024);
	driver_store(&v, at, v.ram + make_header(WRITE, 20), 16);
	for (uint32_t i = 0; i < 1024; i++)
		driver_store(&v, at + 16 + i, &(uint8_t){(uint8_t)(i * 11 + 1)}, 1);
	for (uint32_t cut = 1; cut < 16 + 1024; cut += cut < 40 ? 1 : 97) {
		struct driver_buffer b[] = {
		    {at, cut, false}, {at + cut, 16 + 1024 - cut, false}, {status, 1, true}};
		uint32_t written;

		memset(disk.bytes, 0, sizeof disk.bytes);
		driver_post(&v, 0, b, 3);
		assert_int_equal(run(status, &written), OK);
		assert_memory_equal(disk.bytes + 20 * 512, v.ram + at + 16, 1024);
		assert_int_equal(disk.bytes[22 * 512], 0);
	}
}

static void beyond_the_end_is_an_io_error(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t bytes;
		uint8_t status;
	} cases[] = {
	    {SECTORS - 2, 1024, OK},          {SECTORS - 1, 1024, IO_ERROR},
	    {SECTORS, 512, IO_ERROR},         {SECTORS, 0, OK},
	    {UINT64_MAX, 512, IO_ERROR},      {UINT64_MAX / 512 + 1, 512, IO_ERROR},
	    {UINT64_MAX - 1, 1024, IO_ERROR},
	};
	uint64_t data = driver_alloc(&v, 1024);
	uint32_t written;

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		for (unsigned write = 0; write < 2; write++)
			assert_int_equal(request(write ? WRITE : READ, cases[i].sector, data,
						 cases[i].bytes, !write, &written),
					 cases[i].status);
}

static void part_of_a_sector_is_an_io_error(void **state)
{
	uint64_t data = driver_alloc(&v, 1024), before;
	uint32_t written;

	(void)state;
	before = disk.moved;
	assert_int_equal(request(READ, 0, data, 511, true, &written), IO_ERROR);
	assert_int_equal(written, 1);
	assert_int_equal(request(READ, 0, data, 513, true, &written), IO_ERROR);
	assert_int_equal(request(WRITE, 0, data, 100, false, &written), IO_ERROR);
	assert_int_equal(request(WRITE, 0, data, 1000, false, &written), IO_ERROR);
	assert_int_equal(disk.moved, before);
}

static void a_read_only_disk_stays_as_it_is(void **state)
{
	uint64_t data;
	uint32_t written;

	(void)state;
	driver_close(&v);
	start(VIRTIO_LEGACY, true);
	assert_true(v.d->offered >> 5 & 1);
	data = driver_alloc(&v, 512);
	assert_int_equal(request(WRITE, 0, data, 512, false, &written), IO_ERROR);
	assert_int_equal(request(READ, 0, data, 512, true, &written), OK);
	assert_int_equal(disk.moved, 512);
}

static void an_error_of_the_disk_is_told(void **state)
{
	uint64_t data = driver_alloc(&v, 2048), status = driver_alloc(&v, 1);
	struct driver_buffer b[] = {{make_header(READ, 0), 16, false},
				    {data, 512, true},
				    {data + 512, 512, true},
				    {status, 1, true}};
	uint32_t written;

	(void)state;
	disk.fail_at = 1000;
	driver_post(&v, 0, b, 4);
	assert_int_equal(run(status, &written), IO_ERROR);
	assert_int_equal(written, 513); /* the first half came, and the status */
	assert_int_equal(request(WRITE, 1, data, 1024, false, &written), IO_ERROR);
}

static void flush_reaches_the_disk(void **state)
{
	uint32_t written;

	(void)state;
	assert_true(v.d->offered >> 9 & 1);
	assert_int_equal(request(FLUSH, 0, 0, 0, true, &written), OK);
	assert_int_equal(disk.flushes, 1);
	disk.flush_error = EIO;
	assert_int_equal(request(FLUSH, 0, 0, 0, true, &written), IO_ERROR);
}

static void the_id_is_twenty_bytes(void **state)
{
	uint64_t data = driver_alloc(&v, 64);
	uint32_t written;

	(void)state;
	driver_store(&v, data, "xxxxxxxxxxxxxxxxxxxxxxxx", 24);
	assert_int_equal(request(GET_ID, 0, data, 20, true, &written), OK);
	assert_int_equal(written, 21);
	assert_memory_equal(v.ram + data, "umbra\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0xxxx", 24);
	driver_store(&v, data, "xxxxxxxx", 8);
	assert_int_equal(request(GET_ID, 0, data, 3, true, &written), OK);
	assert_memory_equal(v.ram + data, "umbx", 4);
}

static void the_rest_is_unsupported(void **state)
{
	static const uint32_t types[] = {SCSI, 3, 5, 11, 13, 0x7FFFFFFF, 0x80000002};
	uint64_t data = driver_alloc(&v, 512);
	uint32_t written;

	(void)state;
	for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
		assert_int_equal(request(types[i], 0, data, 512, true, &written), UNSUPPORTED);
	assert_int_equal(disk.moved, 0);
}

static void the_barrier_flag_is_an_old_drivers(void **state)
{
	uint64_t data = driver_alloc(&v, 512);
	uint32_t written;

	(void)state;
	assert_int_equal(request(0x80000000u | WRITE, 0, data, 512, false, &written), OK);
	driver_close(&v);
	start(VIRTIO_1_0, false);
	assert_int_equal(request(0x80000000u | WRITE, 0, data, 512, false, &written), UNSUPPORTED);
}

static void a_header_cut_short_is_an_io_error(void **state)
{
	(void)state;
	for (enum virtio_layout which = VIRTIO_2_6_24; which <= VIRTIO_1_0; which++) {
		uint64_t status;
		uint32_t written;

		driver_close(&v);
		start(which, false);
		status = driver_alloc(&v, 1);
		for (uint32_t bytes = 0; bytes < header_bytes(); bytes++) {
			struct driver_buffer b[] = {{make_header(FLUSH, 0), bytes, false},
						    {status, 1, true}};

			driver_post(&v, 0, b, 2);
			assert_int_equal(run(status, &written), IO_ERROR);
		}
		assert_int_equal(disk.flushes, 0);
	}
}

static void without_a_status_byte_nothing_is_done(void **state)
{
	struct driver_buffer b[] = {{make_header(WRITE, 0), 16, false},
				    {driver_alloc(&v, 512), 512, false}};
	uint32_t written;
	uint16_t head;

	(void)state;
	driver_post(&v, 0, b, 2);
	virtio_notify(v.d, 0);
	assert_true(driver_used(&v, 0, &head, &written));
	assert_int_equal(written, 0);
	assert_int_equal(disk.moved, 0);
	assert_false(v.d->queue[0].broken);
}

static void one_notify_is_bounded_and_polls_go_on(void **state)
{
	uint64_t status = driver_alloc(&v, 1), header = make_header(READ, 0);
	unsigned answers = 0;
	uint32_t written;
	uint16_t head;

	(void)state;
	/* 60 requests of 1 MiB, all into the same pages: more than the disk has, but as much work
	 * to check */
	disk.backend.bytes = 1u << 30;
	disk.fail_at = 0;
	driver_desc(&v, 0, 0, header, 16, DRIVER_NEXT, 1);
	for (uint16_t i = 1; i < 4; i++)
		driver_desc(&v, 0, i, 0x20000, 0x50000, DRIVER_NEXT | DRIVER_WRITE,
			    (uint16_t)(i + 1));
	driver_desc(&v, 0, 4, status, 1, DRIVER_WRITE, 0);
	for (unsigned i = 0; i < 60; i++)
		driver_offer(&v, 0, 0);
	disk.backend.bytes = sizeof disk.bytes;
	virtio_notify(v.d, 0);
	while (driver_used(&v, 0, &head, &written))
		answers++;
	assert_in_range(answers, 1, 59);
	assert_true(v.d->busy);
	assert_int_equal(v.interrupts[0], 1); /* one for all */
	virtio_notify(v.d, 0); /* asking again, before the next poll, hastens nothing */
	assert_false(driver_used(&v, 0, &head, &written));
	for (unsigned i = 0; v.d->busy && i < 60; i++)
		virtio_poll(v.d);
	while (driver_used(&v, 0, &head, &written))
		answers++;
	assert_int_equal(answers, 60);
	assert_false(v.d->busy);
}

static void flushes_are_work_too(void **state)
{
	uint64_t status = driver_alloc(&v, 1), header = make_header(FLUSH, 0);

	(void)state;
	driver_desc(&v, 0, 0, header, 16, DRIVER_NEXT, 1);
	driver_desc(&v, 0, 1, status, 1, DRIVER_WRITE, 0);
	for (unsigned i = 0; i < 60; i++)
		driver_offer(&v, 0, 0);
	virtio_notify(v.d, 0);
	assert_in_range(disk.flushes, 1, 16);
	assert_true(v.d->busy);
	for (unsigned i = 0; v.d->busy && i < 60; i++)
		virtio_poll(v.d);
	assert_int_equal(disk.flushes, 60);
}

static void the_configuration_tells_size_and_segments(void **state)
{
	(void)state;
	assert_int_equal(v.d->config_bytes, 24);
	assert_int_equal(virtio_get(v.d->config, 8), SECTORS);
	assert_int_equal(virtio_get(v.d->config + 12, 4), 126);
	assert_int_equal(virtio_get(v.d->config + 20, 4), 512);
	assert_int_equal(v.d->offered & 0xFFFF, 1u << 2 | 1u << 6 | 1u << 9);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    T(requests_of_every_layout),
	    T(descriptor_boundaries_mean_nothing_to_reads),
	    T(descriptor_boundaries_mean_nothing_to_writes),
	    T(beyond_the_end_is_an_io_error),
	    T(part_of_a_sector_is_an_io_error),
	    T(a_read_only_disk_stays_as_it_is),
	    T(an_error_of_the_disk_is_told),
	    T(flush_reaches_the_disk),
	    T(the_id_is_twenty_bytes),
	    T(the_rest_is_unsupported),
	    T(the_barrier_flag_is_an_old_drivers),
	    T(a_header_cut_short_is_an_io_error),
	    T(without_a_status_byte_nothing_is_done),
	    T(one_notify_is_bounded_and_polls_go_on),
	    T(flushes_are_work_too),
	    T(the_configuration_tells_size_and_segments),
	};

	return cmocka_run_group_tests_name("virtio_block", tests, NULL, NULL);
}
