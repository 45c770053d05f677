/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/page_guest.h - the lguest device page as a guest uses it, for tests: one page, `t`, in plain memory.
 *
 *   1. The page        made by each test, checked and freed after; interrupts and kills counted
 *   2. Devices         echoes with one record at the start of the page
 *   3. Driving         by the habits of Linux 3.1 and later
 */
#ifndef TESTS_LIB_PAGE_GUEST_H
#define TESTS_LIB_PAGE_GUEST_H

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

/* ---- 1. The page ---------------------------------------------------------------------------- */

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

static inline void on_raise(void *user, unsigned irq)
{
	struct page *page = user;

	assert_in_range(irq, 1, 31);
	page->raised[irq]++;
}

static inline void on_kill(void *user, const char *why)
{
	struct page *page = user;

	page->kills++;
	page->why = why;
}

static inline void open_page(bool format1, unsigned pages, bool kill)
{
	memset(&t, 0, sizeof t);
	driver_open(&t.v);
	t.config = (struct device_page_config){.memory = &t.v.memory, .base = BASE, .pages = pages, .format1 = format1,
					       .user = &t, .raise = on_raise, .kill = kill ? on_kill : NULL};
	t.p = device_page_new(&t.config);
	assert_non_null(t.p);
}

static inline struct virtio_device *add(enum virtio_type type, unsigned queues, uint64_t offered, const void *config,
				 unsigned config_bytes)
{
	struct virtio_device *d = echo_new(&t.v.memory, type, queues, offered, config, config_bytes);

	assert_non_null(d);
	assert_true(device_page_add(t.p, d));
	return d;
}

static inline int close_page(void **state)
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

static inline uint16_t load16(uint64_t gpa)
{
	return (uint16_t)(t.v.ram[gpa] | t.v.ram[gpa + 1] << 8);
}

static inline void store8(uint64_t gpa, unsigned value)
{
	uint8_t byte = (uint8_t)value;

	driver_store(&t.v, gpa, &byte, 1);
}

/* A request on a queue of `d`, 4 bytes out and 4 in; not notified.  Returns where the answer goes. */
static inline uint64_t post(struct virtio_device *d, unsigned queue, const char *four)
{
	struct driver_buffer b[2] = {{driver_alloc(&t.v, 16), 4, false}, {driver_alloc(&t.v, 16), 4, true}};

	t.v.d = d;
	driver_store(&t.v, b[0].gpa, four, 4);
	driver_post(&t.v, queue, b, 2);
	return b[1].gpa;
}

/* Rings and records lie below this; requests come from above. */
static inline void set_up(void)
{
	device_page_reset(t.p);
	t.v.free = device_page_end(t.p);
	driver_check(&t.v);
}

static inline void forget_rings(void)
{
	memset(t.v.next_desc, 0, sizeof t.v.next_desc);
	memset(t.v.last_used, 0, sizeof t.v.last_used);
}

/* ---- 2. Devices ----------------------------------------------------------------------------- */

static inline struct virtio_device *open_format2(bool kill)
{
	struct virtio_device *d;

	open_page(false, PAGES, kill);
	d = add(VIRTIO_CONSOLE, 2, 0x85, NULL, 12);
	set_up();
	return d;
}

static inline struct virtio_device *open_format1(void)
{
	struct virtio_device *d;

	open_page(true, PAGES, true);
	d = add(VIRTIO_BLOCK, 2, 1 | 1u << 2, NULL, 16);
	set_up();
	return d;
}

/* ---- 3. Driving ----------------------------------------------------------------------------- */

/* Offsets in the records of a device with two queues and one byte of features (format 2). */
enum { AT_STATUS = 4, AT_OFFERED = 5 + 16, AT_ACCEPTED = AT_OFFERED + 1 };

static inline void notify(uint64_t gpa)
{
	assert_true(device_page_notify(t.p, gpa));
}

static inline void say_status(unsigned status)
{
	store8(BASE + AT_STATUS, status);
	notify(BASE);
}

/* Linux 3.1 and later, up to where queues may be used. */
static inline void begin_quietly(unsigned accepted)
{
	say_status(0);
	store8(BASE + AT_STATUS, 1);
	store8(BASE + AT_STATUS, 3);
	store8(BASE + AT_ACCEPTED, accepted);
	notify(BASE);
	store8(BASE + AT_STATUS, 7);
}

/* Post, kick and see the echo, on both queues. */
static inline void use_queues(struct virtio_device *d)
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

#endif
