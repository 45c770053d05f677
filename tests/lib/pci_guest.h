/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/pci_guest.h - lguest's PCI bus as a guest uses it, for tests: one bus, `t`, ports and memory.
 *
 *   1. The bus         made before each test, checked and freed after
 *   2. Access          configuration space, registers of a BAR
 *   3. Driving         features, queues, one request
 */
#ifndef TESTS_LIB_PCI_GUEST_H
#define TESTS_LIB_PCI_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/virtio/pci.h"
#include "tests/lib/tap.h"
#include "tests/lib/virtio_driver.h"
#include "tests/lib/virtio_echo.h"

/* ---- 1. The bus ----------------------------------------------------------------------------- */

#define MMIO 0x08000000ull
#define MMIO_END 0x08100000ull
#define VERSION_1 (1ull << 32)

struct bus {
	struct driver v;
	struct virtio_pci *p;
	unsigned raised[32];
};

static struct bus t;

static inline void on_raise(void *user, unsigned irq)
{
	struct bus *b = user;

	assert_in_range(irq, 1, 31);
	b->raised[irq]++;
}

static inline int open_bus(void **state)
{
	struct virtio_pci_config config = {.memory = &t.v.memory, .mmio_first = MMIO, .mmio_end = MMIO_END,
					   .user = &t, .raise = on_raise};

	(void)state;
	memset(&t, 0, sizeof t);
	driver_open(&t.v);
	t.p = virtio_pci_new(&config);
	assert_non_null(t.p);
	t.v.free = 4096;
	return 0;
}

static inline int close_bus(void **state)
{
	(void)state;
	virtio_pci_free(t.p);
	t.v.d = NULL;
	driver_close(&t.v);
	return 0;
}

static inline struct virtio_device *add(enum virtio_type type, unsigned queues, uint64_t offered, unsigned config_bytes)
{
	struct virtio_device *d = echo_new(&t.v.memory, type, queues, offered, NULL, config_bytes);

	assert_non_null(d);
	assert_true(virtio_pci_add(t.p, d));
	return d;
}

/* ---- 2. Access ------------------------------------------------------------------------------ */

static inline uint32_t address_of(unsigned slot, unsigned offset)
{
	return 0x80000000u | slot << 11 | (offset & 0xFCu);
}

static inline uint32_t cfg_read(unsigned slot, unsigned offset, unsigned bytes)
{
	virtio_pci_port_out(t.p, 0xCF8, 4, address_of(slot, offset));
	return virtio_pci_port_in(t.p, (uint16_t)(0xCFC + (offset & 3)), bytes);
}

static inline void cfg_write(unsigned slot, unsigned offset, unsigned bytes, uint32_t value)
{
	virtio_pci_port_out(t.p, 0xCF8, 4, address_of(slot, offset));
	virtio_pci_port_out(t.p, (uint16_t)(0xCFC + (offset & 3)), bytes, value);
}

static inline uint64_t bar_of(unsigned slot)
{
	return MMIO + 0x1000u * slot;
}

static inline uint64_t reg_read(unsigned slot, unsigned offset, unsigned bytes)
{
	uint64_t value = 0;

	assert_true(virtio_pci_read(t.p, bar_of(slot) + offset, bytes, &value));
	return value;
}

static inline void reg_write(unsigned slot, unsigned offset, unsigned bytes, uint64_t value)
{
	assert_true(virtio_pci_write(t.p, bar_of(slot) + offset, bytes, value));
}

/* Registers of the common configuration, as virtio 1.0 has them in 4.1.4.3. */
enum {
	R_OFFERED_SELECT = 0, R_OFFERED = 4, R_ACCEPTED_SELECT = 8, R_ACCEPTED = 12, R_MSIX = 16, R_QUEUES = 18,
	R_STATUS = 20, R_GENERATION = 21, R_QUEUE = 22, R_SIZE = 24, R_QUEUE_MSIX = 26, R_ENABLE = 28,
	R_NOTIFY_OFF = 30, R_DESC = 32, R_AVAIL = 40, R_USED = 48, R_NOTIFY = 56, R_ISR = 58, R_DEVICE = 60
};

/* ---- 3. Driving ----------------------------------------------------------------------------- */

static inline uint64_t offered_by(unsigned slot)
{
	uint64_t features;

	reg_write(slot, R_OFFERED_SELECT, 4, 0);
	features = reg_read(slot, R_OFFERED, 4);
	reg_write(slot, R_OFFERED_SELECT, 4, 1);
	return features | reg_read(slot, R_OFFERED, 4) << 32;
}

static inline void accept(unsigned slot, uint64_t features)
{
	reg_write(slot, R_ACCEPTED_SELECT, 4, 0);
	reg_write(slot, R_ACCEPTED, 4, (uint32_t)features);
	reg_write(slot, R_ACCEPTED_SELECT, 4, 1);
	reg_write(slot, R_ACCEPTED, 4, features >> 32);
}

/* Place and enable a queue of `num` entries in fresh memory. */
static inline void enable(unsigned slot, unsigned queue, uint16_t num)
{
	uint64_t ring = (t.v.free + 4095) & ~4095ull;

	t.v.free = ring + 0x3000;
	reg_write(slot, R_QUEUE, 2, queue);
	reg_write(slot, R_SIZE, 2, num);
	assert_int_equal(reg_read(slot, R_SIZE, 2), num);
	reg_write(slot, R_DESC, 4, (uint32_t)ring);
	reg_write(slot, R_DESC + 4, 4, 0);
	reg_write(slot, R_AVAIL, 8, ring + 0x1000);
	reg_write(slot, R_USED, 4, (uint32_t)(ring + 0x1400));
	reg_write(slot, R_ENABLE, 2, 1);
	assert_int_equal(reg_read(slot, R_ENABLE, 2), 1);
}

static inline void place_bar(unsigned slot)
{
	cfg_write(slot, 0x10, 4, (uint32_t)bar_of(slot));
}

/* Up to FEATURES_OK. */
static inline void agree(unsigned slot, uint64_t features)
{
	place_bar(slot);
	reg_write(slot, R_STATUS, 1, 0);
	assert_int_equal(reg_read(slot, R_STATUS, 1), 0);
	reg_write(slot, R_STATUS, 1, 1);
	reg_write(slot, R_STATUS, 1, 3);
	accept(slot, features);
	reg_write(slot, R_STATUS, 1, 11);
}

static inline void begin(unsigned slot, struct virtio_device *d, uint64_t features)
{
	agree(slot, features);
	assert_int_equal(reg_read(slot, R_STATUS, 1), 11);
	for (unsigned q = 0; q < d->queues; q++)
		enable(slot, q, 64);
	reg_write(slot, R_STATUS, 1, 15);
	assert_int_equal(reg_read(slot, R_STATUS, 1), 15);
}

static inline uint64_t post(struct virtio_device *d, unsigned queue, const char *four)
{
	struct driver_buffer b[2] = {{driver_alloc(&t.v, 16), 4, false}, {driver_alloc(&t.v, 16), 4, true}};

	t.v.d = d;
	driver_store(&t.v, b[0].gpa, four, 4);
	driver_post(&t.v, queue, b, 2);
	return b[1].gpa;
}

static inline void use_queue(unsigned slot, struct virtio_device *d, unsigned queue)
{
	unsigned before = t.raised[slot];
	uint64_t answer = post(d, queue, "ping");

	reg_write(slot, R_NOTIFY, 2, queue);
	assert_memory_equal(t.v.ram + answer, "ping", 4);
	assert_int_equal(t.raised[slot], before + 1);
	assert_int_equal(reg_read(slot, R_ISR, 1), 1);
	assert_int_equal(reg_read(slot, R_ISR, 1), 0);
	driver_check(&t.v);
}

static inline void forget_rings(void)
{
	memset(t.v.next_desc, 0, sizeof t.v.next_desc);
	memset(t.v.last_used, 0, sizeof t.v.last_used);
}

#endif
