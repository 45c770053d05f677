/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_net_guard.c - which of a guest's frames reach the network library: what systems
 * send, and nothing in which two lengths disagree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/virtio/internal.h"
#include "tests/lib/tap.h"

enum { ICMP = 1, TCP = 6, UDP = 17 };
#define IP 14u      /* where the packet begins */
#define PAYLOAD 34u /* what it carries */

static uint8_t frame[NET_FRAME_MAX + 1];

static void put16(size_t at, unsigned value)
{
	frame[at] = (uint8_t)(value >> 8);
	frame[at + 1] = (uint8_t)value;
}

static unsigned get16(size_t at)
{
	return (unsigned)frame[at] << 8 | frame[at + 1];
}

/* The Internet's checksum over `bytes` (even) from `at`, beginning with `sum`. */
static unsigned sum16(size_t at, size_t bytes, uint32_t sum)
{
	for (size_t i = 0; i < bytes; i += 2)
		sum += get16(at + i);
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return sum;
}

/* A good packet with `data` bytes; returns the frame's bytes. */
static size_t make(unsigned protocol, size_t data)
{
	size_t head = protocol == TCP ? 20 : 8, total = 20 + head + data;

	memset(frame, 0, sizeof frame);
	put16(12, 0x0800);
	frame[IP] = 0x45;
	put16(IP + 2, (unsigned)total);
	put16(IP + 6, 0x4000); /* do not fragment */
	frame[IP + 8] = 64;
	frame[IP + 9] = (uint8_t)protocol;
	put16(IP + 12, 0x0A00);
	put16(IP + 14, 0x020F);
	for (size_t i = 0; i < data; i++)
		frame[PAYLOAD + head + i] = (uint8_t)(i * 7);
	put16(PAYLOAD, 4000);
	put16(PAYLOAD + 2, 80);
	if (protocol == UDP)
		put16(PAYLOAD + 4, (unsigned)(8 + data));
	if (protocol == TCP)
		put16(PAYLOAD + 12, 0x5018);
	return IP + total;
}

static void what_systems_send_passes_whole(void **state)
{
	static const size_t sizes[] = {0, 1, 100, 1460};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		size_t bytes;

		bytes = make(TCP, sizes[i]);
		assert_int_equal(net_guard(frame, bytes), bytes);
		bytes = make(UDP, sizes[i]);
		assert_int_equal(net_guard(frame, bytes), bytes);
		bytes = make(ICMP, sizes[i]);
		assert_int_equal(net_guard(frame, bytes), bytes);
	}
}

static void the_cards_padding_is_cut_off(void **state)
{
	(void)state;
	assert_int_equal(make(TCP, 2), 56);
	assert_int_equal(net_guard(frame, 60), 56);
	memset(frame, 0, sizeof frame);
	put16(12, 0x0806);
	put16(14, 1);
	put16(16, 0x0800);
	put16(18, 0x0604);
	assert_int_equal(net_guard(frame, 60), 42);
	assert_int_equal(net_guard(frame, 42), 42);
	assert_int_equal(net_guard(frame, 41), 0);
	put16(18, 0x0804); /* addresses of 8 bytes */
	assert_int_equal(net_guard(frame, 60), 0);
}

static void what_is_cut_short_does_not_pass(void **state)
{
	static const unsigned protocols[] = {TCP, UDP, ICMP};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		size_t bytes = make(protocols[i], 10);

		for (size_t cut = 0; cut < bytes; cut++)
			assert_int_equal(net_guard(frame, cut), 0);
	}
}

static void lengths_that_disagree_do_not_pass(void **state)
{
	size_t bytes;

	(void)state;
	for (unsigned total = 0; total < 2000; total++) {
		bytes = make(UDP, 10);
		put16(IP + 2, total);
		assert_int_equal(net_guard(frame, bytes), total == 38 ? 52 : 0);
		bytes = make(TCP, 10);
		put16(IP + 2, total);
		assert_int_equal(net_guard(frame, bytes),
				 total >= 40 && total <= 50 ? 14 + total : 0);
		bytes = make(ICMP, 10);
		put16(IP + 2, total);
		assert_int_equal(net_guard(frame, bytes),
				 total >= 28 && total <= 38 ? 14 + total : 0);
	}
	for (unsigned length = 0; length < 20; length++) {
		bytes = make(UDP, 10);
		put16(IP + 2, 20 + length);
		put16(PAYLOAD + 4, length);
		assert_int_equal(net_guard(frame, bytes),
				 length >= 8 && length <= 18 ? 34 + length : 0);
	}
	for (unsigned length = 0; length < 70000; length += length < 100 ? 1 : 997) {
		bytes = make(UDP, 10);
		put16(PAYLOAD + 4, length);
		assert_int_equal(net_guard(frame, bytes), length == 18 ? bytes : 0);
	}
	for (unsigned offset = 0; offset < 16; offset++) {
		bytes = make(TCP, 10);
		frame[PAYLOAD + 12] = (uint8_t)(offset << 4);
		assert_int_equal(net_guard(frame, bytes),
				 offset >= 5 && offset * 4 <= 30 ? bytes : 0);
	}
	assert_int_equal(net_guard(frame, NET_FRAME_MAX + 1), 0);
}

static void fragments_options_and_strangers_do_not_pass(void **state)
{
	static const unsigned types[] = {0x86DD, 0x8100, 0x88F8, 0x8863, 0x0801, 64};
	size_t bytes = make(UDP, 10);

	(void)state;
	put16(IP + 6, 0x2000);
	assert_int_equal(net_guard(frame, bytes), 0);
	put16(IP + 6, 1);
	assert_int_equal(net_guard(frame, bytes), 0);
	bytes = make(UDP, 10);
	for (unsigned first = 0; first < 256; first++) {
		frame[IP] = (uint8_t)first;
		assert_int_equal(net_guard(frame, bytes), first == 0x45 ? bytes : 0);
	}
	bytes = make(UDP, 10);
	for (unsigned protocol = 0; protocol < 256; protocol++) {
		frame[IP + 9] = (uint8_t)protocol;
		if (protocol != TCP && protocol != UDP && protocol != ICMP)
			assert_int_equal(net_guard(frame, bytes), 0);
	}
	for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
		bytes = make(UDP, 10);
		put16(12, types[i]);
		assert_int_equal(net_guard(frame, bytes), 0);
	}
	bytes = make(UDP, 10);
	put16(PAYLOAD + 2, 69); /* TFTP */
	assert_int_equal(net_guard(frame, bytes), 0);
}

/* CVE-2026-9539: the library's arithmetic on urgent pointers.  It never sees one; the checksum
 * stays good. */
static void urgent_data_become_data_like_others(void **state)
{
	(void)state;
	for (unsigned pointer = 0; pointer < 0x10000; pointer += 251)
		for (unsigned flags = 0x10; flags < 0x40; flags += 0x08) {
			size_t bytes = make(TCP, 10);
			unsigned pseudo = 0x1234;

			frame[PAYLOAD + 13] = (uint8_t)flags;
			put16(PAYLOAD + 18, pointer);
			put16(PAYLOAD + 16, ~sum16(PAYLOAD, 30, pseudo) & 0xFFFF);
			assert_int_equal(sum16(PAYLOAD, 30, pseudo), 0xFFFF);
			assert_int_equal(net_guard(frame, bytes), bytes);
			assert_int_equal(sum16(PAYLOAD, 30, pseudo), 0xFFFF);
			assert_int_equal(get16(PAYLOAD + 18), 0);
			assert_int_equal(frame[PAYLOAD + 13], flags & ~0x20u);
			assert_int_equal(frame[PAYLOAD + 12], 0x50);
		}
}

/* Exact copies on the heap, so that ASan sees a byte read past the end. */
static void random_frames_are_judged_within_their_bytes(void **state)
{
	unsigned long rounds = test_rounds(300000), passed = 0;
	uint32_t number = 7;

	(void)state;
	for (unsigned long i = 0; i < rounds; i++) {
		static const unsigned protocols[] = {TCP, UDP, ICMP};
		size_t bytes = make(protocols[i % 3], i % 40), got;
		uint8_t *copy;

		for (unsigned k = 0; k < 3; k++) {
			number = number * 1103515245 + 12345;
			if (number >> 30)
				frame[12 + (number >> 16) % 44] = (uint8_t)(number >> 8);
		}
		if (number >> 29 == 3)
			bytes = (number >> 12) % (bytes + 1);
		copy = malloc(bytes ? bytes : 1);
		assert_non_null(copy);
		memcpy(copy, frame, bytes);
		got = net_guard(copy, bytes);
		assert_true(got <= bytes);
		passed += got != 0;
		free(copy);
	}
	assert_in_range(passed, rounds / 10, rounds - rounds / 10);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_systems_send_passes_whole),
	    cmocka_unit_test(the_cards_padding_is_cut_off),
	    cmocka_unit_test(what_is_cut_short_does_not_pass),
	    cmocka_unit_test(lengths_that_disagree_do_not_pass),
	    cmocka_unit_test(fragments_options_and_strangers_do_not_pass),
	    cmocka_unit_test(urgent_data_become_data_like_others),
	    cmocka_unit_test(random_frames_are_judged_within_their_bytes),
	};

	return cmocka_run_group_tests_name("virtio_net_guard", tests, NULL, NULL);
}
