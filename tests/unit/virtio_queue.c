/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_queue.c - split virtqueues: what a driver may do works, what it may not breaks
 * the queue, with the reason, and nothing else.
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

#define NUM 8u

static struct driver v;
static struct virtqueue *q;
static struct virtio_chain chain;

static const struct virtio_ops ops = {.type = VIRTIO_ENTROPY, .name = "test", .queues = 1};

static void start(uint16_t num, uint64_t features)
{
	driver_open(&v);
	driver_start(&v, virtio_new(&ops, &v.memory, 1), VIRTIO_LEGACY, num, features);
	q = &v.d->queue[0];
}

static int set_up(void **state)
{
	(void)state;
	start(NUM, 1ull << VIRTIO_F_INDIRECT_DESC);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	driver_close(&v);
	return 0;
}

static bool take(void)
{
	return virtqueue_take(q, &v.memory, &chain);
}
static bool give(uint32_t written)
{
	return virtqueue_give(q, &v.memory, &chain, written);
}

/* The queue breaks with a reason that has `word` in it, stays so, and touches nothing. */
static void assert_breaks(const char *word)
{
	assert_false(take());
	assert_true(q->broken);
	assert_non_null(q->why);
	if (!strstr(q->why, word))
		fail_msg("broken because \"%s\", not \"%s\"", q->why, word);
	assert_false(take());
	assert_false(give(0));
	assert_false(virtqueue_has_more(q, &v.memory));
	assert_string_equal(virtio_why_broken(v.d), q->why);
	driver_check(&v);
}

/* ---- what works ---- */

static void legacy_layouts_are_where_guests_look(void **state)
{
	struct virtqueue place = {0};

	(void)state;
	virtqueue_place(&place, 128, 0x10000);
	assert_int_equal(place.desc, 0x10000);
	assert_int_equal(place.avail, 0x10800);
	assert_int_equal(place.used, 0x11000);
	assert_in_range(virtqueue_bytes(128), 0x1001, 0x2000); /* two pages */
	virtqueue_place(&place, 256, 0x10000);
	assert_int_equal(place.used, 0x12000);
	assert_in_range(virtqueue_bytes(256), 0x2001, 0x3000); /* three */
	virtqueue_place(&place, 1024, 0);
	assert_int_equal(place.avail, 0x4000);
	assert_int_equal(place.used, 0x5000);
}

static void a_chain_becomes_segments_reads_first(void **state)
{
	uint64_t a = driver_alloc(&v, 64), b = driver_alloc(&v, 64), c = driver_alloc(&v, 64);
	struct driver_buffer buffers[] = {
	    {a, 10, false}, {b, 0, false}, {b, 20, false}, {c, 30, true}};
	uint16_t head = driver_post(&v, 0, buffers, 4), got;
	uint32_t written;

	(void)state;
	assert_true(take());
	assert_int_equal(chain.head, head);
	assert_int_equal(chain.reads, 2); /* an empty buffer is none */
	assert_int_equal(chain.writes, 1);
	assert_int_equal(chain.read_bytes, 30);
	assert_int_equal(chain.write_bytes, 30);
	assert_ptr_equal(chain.segment[1].bytes, v.ram + b);
	assert_int_equal(chain.segment[2].gpa, c);
	assert_false(take());
	assert_true(give(7));
	assert_true(driver_used(&v, 0, &got, &written));
	assert_int_equal(got, head);
	assert_int_equal(written, 7);
	assert_false(driver_used(&v, 0, &got, &written));
	assert_false(q->broken);
}

static void more_than_was_writable_is_never_reported(void **state)
{
	struct driver_buffer buffer = {driver_alloc(&v, 64), 5, true};
	uint32_t written;
	uint16_t head;

	(void)state;
	driver_post(&v, 0, &buffer, 1);
	assert_true(take());
	give(1000);
	assert_true(driver_used(&v, 0, &head, &written));
	assert_int_equal(written, 5);
}

static void indices_run_past_65535(void **state)
{
	struct driver_buffer buffer = {driver_alloc(&v, 64), 4, true};
	uint32_t written;
	uint16_t head, got;

	(void)state;
	for (unsigned i = 0; i < 70000; i++) {
		head = driver_post(&v, 0, &buffer, 1);
		assert_true(take());
		give(i & 3);
		assert_true(driver_used(&v, 0, &got, &written));
		assert_int_equal(got, head);
		assert_int_equal(written, i & 3);
		assert_false(take());
	}
}

static void a_full_ring_is_taken_whole(void **state)
{
	struct driver_buffer buffer = {driver_alloc(&v, 64), 4, true};

	(void)state;
	for (unsigned i = 0; i < NUM; i++)
		driver_post(&v, 0, &buffer, 1);
	assert_true(virtqueue_has_more(q, &v.memory));
	for (unsigned i = 0; i < NUM; i++)
		assert_true(take());
	assert_false(take());
	assert_false(q->broken);
}

static void what_is_put_back_is_taken_again(void **state)
{
	struct driver_buffer buffer = {driver_alloc(&v, 64), 4, true};
	uint16_t head = driver_post(&v, 0, &buffer, 1);

	(void)state;
	assert_true(take());
	virtqueue_untake(q);
	memset(&chain, 0xFF, sizeof chain);
	assert_true(take());
	assert_int_equal(chain.head, head);
	assert_int_equal(chain.writes, 1);
}

static void interrupts_are_not_wanted_while_the_flag_says_so(void **state)
{
	struct driver_buffer buffer = {driver_alloc(&v, 64), 4, true};

	(void)state;
	driver_quiet(&v, 0, true);
	driver_post(&v, 0, &buffer, 1);
	assert_true(take());
	assert_false(give(4));
	driver_quiet(&v, 0, false);
	driver_post(&v, 0, &buffer, 1);
	assert_true(take());
	assert_true(give(4));
}

static void buffers_may_cross_pages(void **state)
{
	struct driver_buffer buffers[] = {{0x20FFD, 6, false}, {0x22FFF, 8193, true}};
	uint8_t text[8193], back[8193];

	(void)state;
	memset(text, 'x', sizeof text);
	driver_store(&v, 0x20FFD, "abcdef", 6);
	driver_post(&v, 0, buffers, 2);
	assert_true(take());
	assert_int_equal(chain_read(&chain, 0, back, 99), 6);
	assert_memory_equal(back, "abcdef", 6);
	assert_int_equal(chain_write(&chain, &v.memory, 0, text, sizeof text), sizeof text);
	assert_memory_equal(v.ram + 0x22FFF, text, sizeof text);
	assert_int_equal(v.ram[0x22FFF + 8193], 0);
}

static void copies_begin_anywhere_and_end_with_the_chain(void **state)
{
	uint64_t at = driver_alloc(&v, 64);
	struct driver_buffer buffers[] = {{at, 3, false},
					  {at + 8, 1, false},
					  {at + 16, 4, false},
					  {at + 32, 2, true},
					  {at + 40, 3, true}};
	char back[16] = {0};

	(void)state;
	driver_store(&v, at, "abc", 3);
	driver_store(&v, at + 8, "d", 1);
	driver_store(&v, at + 16, "efgh", 4);
	driver_post(&v, 0, buffers, 5);
	assert_true(take());
	for (size_t from = 0; from <= 9; from++)
		for (size_t bytes = 0; bytes <= 10; bytes++) {
			size_t left = from < 8 ? 8 - from : 0, want = bytes < left ? bytes : left;

			memset(back, 0, sizeof back);
			assert_int_equal(chain_read(&chain, from, back, bytes), want);
			assert_memory_equal(back, &"abcdefgh\0\0"[from], want);
			assert_int_equal(back[want], 0);
		}
	assert_int_equal(chain_write(&chain, &v.memory, 1, "1234567", 7), 4);
	assert_int_equal(v.ram[at + 33], '1');
	assert_memory_equal(v.ram + at + 40, "234", 3);
	assert_int_equal(v.ram[at + 43], 0);
	assert_int_equal(chain_write(&chain, &v.memory, 5, "x", 1), 0);
}

/* ---- indirect tables ---- */

static uint64_t indirect(unsigned entries, uint32_t bytes, uint16_t flags)
{
	uint64_t table = driver_alloc(&v, 16 * (entries + 1));

	driver_desc(&v, 0, 0, table, bytes, flags, 0);
	for (unsigned i = 0; i < entries; i++) {
		struct {
			uint64_t gpa;
			uint32_t count;
			uint16_t flags, next;
		} d = {0x30000, 16, (uint16_t)(i + 1 < entries ? DRIVER_NEXT : DRIVER_WRITE),
		       (uint16_t)(i + 1)};

		driver_store(&v, table + 16 * i, &d, sizeof d);
	}
	driver_offer(&v, 0, 0);
	return table;
}

static void an_indirect_table_is_a_chain(void **state)
{
	(void)state;
	/* longer than the ring: legal since it is ours to bound */
	indirect(20, 320, DRIVER_INDIRECT);
	assert_true(take());
	assert_int_equal(chain.reads, 19);
	assert_int_equal(chain.writes, 1);
}

static void the_write_flag_of_a_table_means_nothing(void **state)
{
	(void)state;
	indirect(3, 48, DRIVER_INDIRECT | DRIVER_WRITE);
	assert_true(take());
	assert_int_equal(chain.reads, 2);
}

static void a_table_may_follow_plain_descriptors(void **state)
{
	(void)state;
	indirect(3, 48, DRIVER_INDIRECT);
	driver_desc(&v, 0, 1, 0x30000, 8, DRIVER_NEXT, 0);
	driver_store16(&v, q->avail + 4, 1);
	assert_true(take());
	assert_int_equal(chain.head, 1);
	assert_int_equal(chain.reads, 3);
	assert_int_equal(chain.read_bytes, 40);
}

static void a_table_that_was_not_negotiated_breaks(void **state)
{
	(void)state;
	driver_restart(&v, 0);
	indirect(3, 48, DRIVER_INDIRECT);
	assert_breaks("not negotiated");
}

static void a_table_of_odd_length_breaks(void **state)
{
	(void)state;
	indirect(3, 40, DRIVER_INDIRECT);
	assert_breaks("whole number");
}

static void an_empty_table_breaks(void **state)
{
	(void)state;
	indirect(3, 0, DRIVER_INDIRECT);
	assert_breaks("whole number");
}

static void a_table_outside_memory_breaks(void **state)
{
	(void)state;
	driver_desc(&v, 0, 0, DRIVER_RAM - 16, 32, DRIVER_INDIRECT, 0);
	driver_offer(&v, 0, 0);
	assert_breaks("table is not in memory");
}

static void a_table_with_a_successor_breaks(void **state)
{
	(void)state;
	indirect(3, 48, DRIVER_INDIRECT | DRIVER_NEXT);
	assert_breaks("follows an indirect table");
}

static void a_table_in_a_table_breaks(void **state)
{
	uint64_t table = indirect(3, 48, DRIVER_INDIRECT);

	(void)state;
	driver_store16(&v, table + 12, DRIVER_INDIRECT);
	driver_store(&v, table + 8, &(uint32_t){16}, 4);
	assert_breaks("in an indirect table");
}

static void a_table_entry_out_of_range_breaks(void **state)
{
	uint64_t table = indirect(3, 48, DRIVER_INDIRECT);

	(void)state;
	driver_store16(&v, table + 14, 3);
	assert_breaks("out of range");
}

static void a_circle_in_a_table_breaks(void **state)
{
	uint64_t table = indirect(3, 48, DRIVER_INDIRECT);

	(void)state;
	driver_store16(&v, table + 14, 0);
	assert_breaks("circle");
}

static void a_table_that_is_the_ring_itself_is_only_a_table(void **state)
{
	(void)state;
	driver_desc(&v, 0, 0, q->desc, 16 * NUM, DRIVER_INDIRECT, 0);
	driver_offer(&v, 0, 0);
	assert_breaks("in an indirect table");
}

/* ---- what breaks ---- */

static void post_one(uint64_t gpa, uint32_t bytes, uint16_t flags, uint16_t next)
{
	driver_desc(&v, 0, 0, gpa, bytes, flags, next);
	driver_offer(&v, 0, 0);
}

static void a_head_out_of_range_breaks(void **state)
{
	(void)state;
	driver_offer(&v, 0, NUM);
	assert_breaks("out of range");
}

static void a_next_out_of_range_breaks(void **state)
{
	(void)state;
	post_one(0x30000, 8, DRIVER_NEXT, NUM);
	assert_breaks("out of range");
}

static void a_circle_of_one_breaks(void **state)
{
	(void)state;
	post_one(0x30000, 8, DRIVER_NEXT, 0);
	assert_breaks("circle");
}

static void a_circle_of_empty_buffers_breaks(void **state)
{
	(void)state;
	post_one(0x30000, 0, DRIVER_NEXT, 1);
	driver_desc(&v, 0, 1, 0x30000, 0, DRIVER_NEXT, 0);
	assert_breaks("circle");
}

static void an_index_that_runs_ahead_breaks(void **state)
{
	(void)state;
	driver_store16(&v, q->avail + 2, NUM + 1);
	assert_breaks("further ahead");
}

static void an_index_that_goes_back_breaks(void **state)
{
	(void)state;
	driver_store16(&v, q->avail + 2, 0xFFFF);
	assert_breaks("further ahead");
}

static void a_read_after_a_write_breaks(void **state)
{
	struct driver_buffer buffers[] = {{0x30000, 8, true}, {0x30000, 8, false}};

	(void)state;
	driver_post(&v, 0, buffers, 2);
	assert_breaks("readable buffer follows");
}

static void a_buffer_past_the_end_breaks(void **state)
{
	(void)state;
	post_one(DRIVER_RAM - 8, 9, DRIVER_WRITE, 0);
	assert_breaks("buffer is not in memory");
}

static void a_buffer_that_ends_with_memory_works(void **state)
{
	(void)state;
	post_one(DRIVER_RAM - 8, 8, DRIVER_WRITE, 0);
	assert_true(take());
	assert_int_equal(chain_write(&chain, &v.memory, 0, "12345678", 8), 8);
}

static void a_buffer_that_wraps_around_breaks(void **state)
{
	(void)state;
	post_one(UINT64_MAX - 7, 64, DRIVER_WRITE, 0);
	assert_breaks("buffer is not in memory");
}

static void a_buffer_of_4_gib_breaks(void **state)
{
	(void)state;
	post_one(0, UINT32_MAX, DRIVER_WRITE, 0);
	assert_breaks("buffer is not in memory");
}

static void a_bad_size_breaks(void **state)
{
	static const uint16_t sizes[] = {3, 6, 7, 2048, 32768, 65535};

	(void)state;
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		driver_restart(&v, 0);
		q->num = sizes[i];
		assert_breaks("power of two");
		q->num = NUM;
	}
}

static void rings_off_their_alignment_break(void **state)
{
	uint64_t *place[] = {&q->desc, &q->avail, &q->used};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		driver_restart(&v, 0);
		++*place[i];
		assert_breaks("aligned");
		--*place[i];
	}
}

static void rings_outside_memory_break(void **state)
{
	struct driver_buffer buffer = {0x30000, 8, true};
	uint64_t home = q->desc;

	(void)state;
	q->avail = DRIVER_RAM - 4;
	assert_breaks("available ring");
	virtqueue_place(q, NUM, home);
	driver_restart(&v, 0);
	driver_post(&v, 0, &buffer, 1);
	q->desc = UINT64_MAX - 15;
	assert_breaks("descriptors");
	virtqueue_place(q, NUM, home);
	driver_restart(&v, 0);
	driver_post(&v, 0, &buffer, 1);
	q->used = DRIVER_RAM - 64;
	assert_true(take());
	assert_false(give(8));
	assert_true(q->broken);
	virtqueue_place(q, NUM, home);
}

static void a_queue_that_is_not_set_up_has_nothing(void **state)
{
	(void)state;
	post_one(0x30000, 8, DRIVER_WRITE, 0);
	q->enabled = false;
	assert_false(take());
	q->enabled = true;
	q->num = 0;
	assert_false(take());
	assert_false(q->broken);
	q->num = NUM;
	assert_true(take());
}

static void a_reset_mends_a_broken_queue(void **state)
{
	(void)state;
	driver_offer(&v, 0, NUM);
	assert_breaks("out of range");
	driver_restart(&v, 0);
	assert_null(virtio_why_broken(v.d));
	post_one(0x30000, 8, DRIVER_WRITE, 0);
	assert_true(take());
}

static void long_chains_are_bounded(void **state)
{
	(void)state;
	driver_close(&v);
	start(1024, 0);
	for (uint16_t i = 0; i < 1024; i++)
		driver_desc(&v, 0, i, 0x30000, 1, i < 1023 ? DRIVER_NEXT : 0, (uint16_t)(i + 1));
	driver_offer(&v, 0, 1024 - VIRTIO_SEGMENTS);
	assert_true(take());
	assert_int_equal(chain.reads, VIRTIO_SEGMENTS);
	driver_offer(&v, 0, 1024 - VIRTIO_SEGMENTS - 1);
	assert_breaks("longer than 256");
}

static void large_chains_are_bounded(void **state)
{
	(void)state;
	driver_close(&v);
	start(256, 0);
	for (uint16_t i = 0; i < 256; i++)
		driver_desc(&v, 0, i, 0, DRIVER_RAM, i < 255 ? DRIVER_NEXT : 0, (uint16_t)(i + 1));
	driver_offer(&v, 0, 256 - 128); /* 128 times all of memory: 64 MiB */
	assert_true(take());
	assert_int_equal(chain.read_bytes, VIRTIO_CHAIN_BYTES);
	driver_offer(&v, 0, 256 - 129);
	assert_breaks("64 MiB");
}

/* ---- changes under our hands: the descriptors change between take and use ---- */

static void what_was_checked_is_what_is_used(void **state)
{
	struct driver_buffer buffer = {0x30000, 8, true};
	uint32_t written;
	uint16_t head;

	(void)state;
	driver_post(&v, 0, &buffer, 1);
	assert_true(take());
	driver_desc(&v, 0, 0, UINT64_MAX / 2, UINT32_MAX, DRIVER_NEXT, 0x7777);
	driver_store16(&v, q->avail + 4, 0x7777);
	driver_store16(&v, q->used + 2, 0x5555); /* the used index is ours: theirs is not read */
	assert_int_equal(chain_write(&chain, &v.memory, 0, "12345678", 8), 8);
	give(8);
	assert_memory_equal(v.ram + 0x30000, "12345678", 8);
	assert_true(driver_used(&v, 0, &head, &written));
	assert_int_equal(head, 0);
	assert_int_equal(q->used_idx, 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    T(legacy_layouts_are_where_guests_look),
	    T(a_chain_becomes_segments_reads_first),
	    T(more_than_was_writable_is_never_reported),
	    T(indices_run_past_65535),
	    T(a_full_ring_is_taken_whole),
	    T(what_is_put_back_is_taken_again),
	    T(interrupts_are_not_wanted_while_the_flag_says_so),
	    T(buffers_may_cross_pages),
	    T(copies_begin_anywhere_and_end_with_the_chain),
	    T(an_indirect_table_is_a_chain),
	    T(the_write_flag_of_a_table_means_nothing),
	    T(a_table_may_follow_plain_descriptors),
	    T(a_table_that_was_not_negotiated_breaks),
	    T(a_table_of_odd_length_breaks),
	    T(an_empty_table_breaks),
	    T(a_table_outside_memory_breaks),
	    T(a_table_with_a_successor_breaks),
	    T(a_table_in_a_table_breaks),
	    T(a_table_entry_out_of_range_breaks),
	    T(a_circle_in_a_table_breaks),
	    T(a_table_that_is_the_ring_itself_is_only_a_table),
	    T(a_head_out_of_range_breaks),
	    T(a_next_out_of_range_breaks),
	    T(a_circle_of_one_breaks),
	    T(a_circle_of_empty_buffers_breaks),
	    T(an_index_that_runs_ahead_breaks),
	    T(an_index_that_goes_back_breaks),
	    T(a_read_after_a_write_breaks),
	    T(a_buffer_past_the_end_breaks),
	    T(a_buffer_that_ends_with_memory_works),
	    T(a_buffer_that_wraps_around_breaks),
	    T(a_buffer_of_4_gib_breaks),
	    T(a_bad_size_breaks),
	    T(rings_off_their_alignment_break),
	    T(rings_outside_memory_break),
	    T(a_queue_that_is_not_set_up_has_nothing),
	    T(a_reset_mends_a_broken_queue),
	    T(long_chains_are_bounded),
	    T(large_chains_are_bounded),
	    T(what_was_checked_is_what_is_used),
	};

	return cmocka_run_group_tests_name("virtio_queue", tests, NULL, NULL);
}
