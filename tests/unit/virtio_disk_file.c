/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_disk_file.c - disks in files: sizes, locks, snapshots, and what is said of a
 * file that is none.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "machine/virtio/internal.h"

#define SIZE (41u * 512) /* the last page is not whole */

static char folder[] = "/tmp/umbra-disk-XXXXXX", path[64];
static char error[256];
static uint8_t content[SIZE];

static void write_image(const void *bytes, size_t count)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, count, f), count);
	assert_int_equal(fclose(f), 0);
}

static void read_image(uint8_t *bytes, size_t count)
{
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	assert_int_equal(fread(bytes, 1, count, f), count);
	fclose(f);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/umbra-disk-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/image", folder);
	for (uint32_t i = 0; i < SIZE; i++)
		content[i] = (uint8_t)(i * 13 + i / 512);
	write_image(content, SIZE);
	memset(error, 0, sizeof error);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(path);
	rmdir(path);
	rmdir(folder);
	return 0;
}

static struct disk_backend *open_disk(bool read_only, bool snapshot)
{
	return disk_open_file(path, read_only, snapshot, error, sizeof error);
}

/* One line that names the file and has `word` in it. */
static void assert_refused(bool read_only, bool snapshot, const char *word)
{
	memset(error, 0, sizeof error);
	assert_null(open_disk(read_only, snapshot));
	assert_ptr_equal(strstr(error, path), error);
	if (!strstr(error, word) || strchr(error, '\n'))
		fail_msg("said: %s; not: %s", error, word);
}

static void a_file_is_read_and_written(void **state)
{
	struct disk_backend *d = open_disk(false, false);
	uint8_t back[SIZE];

	(void)state;
	assert_non_null(d);
	assert_int_equal(d->bytes, SIZE);
	assert_false(d->read_only);
	assert_int_equal(d->ops->read(d, 0, back, SIZE), 0);
	assert_memory_equal(back, content, SIZE);
	assert_int_equal(d->ops->write(d, 1000, "changed", 7), 0);
	assert_int_equal(d->ops->read(d, 999, back, 9), 0);
	assert_memory_equal(back + 1, "changed", 7);
	assert_int_equal(back[8], content[1007]);
	assert_int_equal(d->ops->flush(d), 0);
	d->ops->free(d);
	read_image(back, SIZE);
	memcpy(content + 1000, "changed", 7);
	assert_memory_equal(back, content, SIZE);
}

static void nothing_is_outside_the_disk(void **state)
{
	uint8_t back[1024] = {0};

	(void)state;
	for (unsigned snapshot = 0; snapshot < 2; snapshot++) {
		struct disk_backend *d = open_disk(false, snapshot);

		assert_non_null(d);
		assert_int_equal(d->ops->read(d, SIZE - 512, back, 513), EINVAL);
		assert_int_equal(d->ops->read(d, UINT64_MAX - 3, back, 8), EINVAL);
		assert_int_equal(d->ops->write(d, SIZE, back, 1), EINVAL);
		assert_int_equal(d->ops->write(d, SIZE - 512, back, 512), 0);
		d->ops->free(d);
	}
	assert_int_equal(truncate(path, SIZE), 0); /* it was not made longer */
	read_image(content, SIZE);
}

static void read_only_means_that(void **state)
{
	struct disk_backend *d;
	uint8_t back[SIZE];

	(void)state;
	assert_int_equal(chmod(path, 0444), 0);
	d = open_disk(true, false);
	assert_non_null(d);
	assert_true(d->read_only);
	assert_int_equal(d->ops->write(d, 0, "x", 1), EROFS);
	assert_int_equal(d->ops->flush(d), 0);
	d->ops->free(d);
	d = open_disk(true, true);
	assert_non_null(d);
	assert_true(d->read_only);
	assert_int_equal(d->ops->write(d, 0, "x", 1), EROFS);
	d->ops->free(d);
	read_image(back, SIZE);
	assert_memory_equal(back, content, SIZE);
}

static void a_file_that_shrinks_is_an_error_not_a_crash(void **state)
{
	struct disk_backend *d = open_disk(false, false);
	uint8_t back[SIZE];

	(void)state;
	assert_non_null(d);
	assert_int_equal(truncate(path, 1000), 0);
	assert_int_equal(d->ops->read(d, 512, back, 1024), EIO);
	assert_int_equal(d->ops->read(d, 0, back, 1000), 0);
	d->ops->free(d);
}

/* A snapshot against an array that says what should be there, with the image untouched. */
static void a_snapshot_remembers_and_forgets(void **state)
{
	struct disk_backend *d;
	static uint8_t model[SIZE], back[SIZE];
	uint32_t number = 12345;

	(void)state;
	assert_int_equal(chmod(path, 0444), 0); /* it needs no more than reading */
	d = open_disk(false, true);
	assert_non_null(d);
	assert_false(d->read_only);
	memcpy(model, content, SIZE);
	for (unsigned i = 0; i < 2000; i++) {
		uint32_t at, bytes;

		number = number * 1103515245 + 12345;
		at = (number >> 8) % SIZE;
		bytes = (number >> 4) % 9000;
		if (bytes > SIZE - at)
			bytes = SIZE - at;
		if (i % 8 == 0) {
			memset(back, (int)i, bytes);
			assert_int_equal(d->ops->write(d, at, back, bytes), 0);
			memcpy(model + at, back, bytes);
		}
		assert_int_equal(d->ops->read(d, at, back, bytes), 0);
		assert_memory_equal(back, model + at, bytes);
	}
	assert_int_equal(d->ops->flush(d), 0);
	d->ops->free(d);
	read_image(back, SIZE);
	assert_memory_equal(back, content, SIZE);
	d = open_disk(false, true);
	assert_int_equal(d->ops->read(d, 0, back, SIZE), 0);
	assert_memory_equal(back, content, SIZE);
	d->ops->free(d);
}

/* A sparse disk of 1 TiB: what is written far apart costs pages, not the disk. */
static void a_snapshot_of_a_large_disk_is_small(void **state)
{
	const uint64_t step = 1ull << 32;
	struct disk_backend *d;
	char back[4];

	(void)state;
	assert_int_equal(truncate(path, (off_t)(1ull << 40)), 0);
	d = open_disk(false, true);
	assert_non_null(d);
	for (uint64_t at = 510; at < 1ull << 40; at += step)
		assert_int_equal(d->ops->write(d, at, "abcd", 4), 0);
	for (uint64_t at = 510; at < 1ull << 40; at += step) {
		assert_int_equal(d->ops->read(d, at, back, 4), 0);
		assert_memory_equal(back, "abcd", 4);
	}
	d->ops->free(d);
}

/* One write to each page, until there is no more: the disk says it is full and stays as it was. */
static void a_snapshot_is_bounded(void **state)
{
	const uint64_t limit = 1000;
	struct disk_backend *d;
	uint64_t page = 0;
	char back[4];

	(void)state;
	assert_int_equal(truncate(path, (off_t)(limit * 8192)), 0);
	d = open_disk(false, true);
	assert_non_null(d);
	disk_limit_snapshot(d, limit * 4096);
	while (page <= limit && d->ops->write(d, page * 4096, "abcd", 4) == 0)
		page++;
	assert_int_equal(page, limit);
	assert_int_equal(d->ops->write(d, page * 4096, "abcd", 4), ENOSPC);
	assert_int_equal(d->ops->write(d, 0, "efgh", 4), 0); /* what is there may change */
	assert_int_equal(d->ops->read(d, page * 4096, back, 4), 0);
	assert_memory_equal(back, "\0\0\0\0", 4);
	d->ops->free(d);
}

static void two_machines_do_not_write_one_image(void **state)
{
	struct disk_backend *a, *b;

	(void)state;
	a = open_disk(false, false);
	assert_non_null(a);
	assert_refused(false, false, "in use by another machine");
	assert_refused(true, false, "another machine is writing to it");
	assert_refused(false, true, "another machine is writing to it");
	a->ops->free(a);
	a = open_disk(true, false);
	b = open_disk(false, true);
	assert_true(a && b);
	assert_refused(false, false, "in use by another machine");
	a->ops->free(a);
	b->ops->free(b);
	a = open_disk(false, false);
	assert_non_null(a);
	a->ops->free(a);
}

static void what_is_no_disk_is_named(void **state)
{
	(void)state;
	write_image("", 0);
	assert_refused(false, false, "empty");
	write_image(content, 1000);
	assert_refused(true, false, "1000 bytes are not whole sectors of 512");
	unlink(path);
	assert_refused(false, false, "No such file");
	assert_int_equal(mkdir(path, 0755), 0);
	assert_refused(true, false, "neither a file nor a block device");
	assert_refused(false, false, "directory");
	rmdir(path);
	assert_int_equal(mkfifo(path, 0644), 0);
	/* and it does not wait for a writer */
	assert_refused(true, false, "neither a file nor a block device");
}

static void a_file_we_may_not_write_says_what_may_be_done(void **state)
{
	(void)state;
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(chmod(path, 0444), 0);
	if (geteuid() == 0) /* root may write: be nobody meanwhile */
		assert_int_equal(seteuid(65534), 0);
	assert_refused(false, false, "read-only, or as a snapshot");
	seteuid(getuid());
}

static void a_short_line_for_the_error_is_kept_to(void **state)
{
	char small[10];

	(void)state;
	memset(small, 'x', sizeof small);
	unlink(path);
	assert_null(disk_open_file(path, false, false, small, sizeof small - 1));
	assert_int_equal(small[8], 0);
	assert_int_equal(small[9], 'x');
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    T(a_file_is_read_and_written),
	    T(nothing_is_outside_the_disk),
	    T(read_only_means_that),
	    T(a_file_that_shrinks_is_an_error_not_a_crash),
	    T(a_snapshot_remembers_and_forgets),
	    T(a_snapshot_of_a_large_disk_is_small),
	    T(a_snapshot_is_bounded),
	    T(two_machines_do_not_write_one_image),
	    T(what_is_no_disk_is_named),
	    T(a_file_we_may_not_write_says_what_may_be_done),
	    T(a_short_line_for_the_error_is_kept_to),
	};

	return cmocka_run_group_tests_name("virtio_disk_file", tests, NULL, NULL);
}
