/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_pci.c - virtio 1.0 over PCI as lguest of Linux 4.x had it, seen from the guest.
 *
 *   1. A bus              ports and memory as a guest uses them
 *   2. Configuration      who is there, capabilities, BARs
 *   3. Life               from reset to the first answer, and back
 *   4. Violations         each by name
 *   5. The window         registers without a mapped BAR
 *   6. Lines              the same function on a bus with level-triggered lines
 *   7. Anything           random ports, offsets, widths, values
 */
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

/* ---- 1. A bus ------------------------------------------------------------------------------- */

#define MMIO 0x08000000ull
#define MMIO_END 0x08100000ull
#define VERSION_1 (1ull << 32)

struct bus {
	struct driver v;
	struct virtio_pci *p;
	unsigned raised[32];
};

static struct bus t;

static void on_raise(void *user, unsigned irq)
{
	struct bus *b = user;

	assert_in_range(irq, 1, 31);
	b->raised[irq]++;
}

static int open_bus(void **state)
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

static int close_bus(void **state)
{
	(void)state;
	virtio_pci_free(t.p);
	t.v.d = NULL;
	driver_close(&t.v);
	return 0;
}

static struct virtio_device *add(enum virtio_type type, unsigned queues, uint64_t offered, unsigned config_bytes)
{
	struct virtio_device *d = echo_new(&t.v.memory, type, queues, offered, NULL, config_bytes);

	assert_non_null(d);
	assert_true(virtio_pci_add(t.p, d));
	return d;
}

static uint32_t address_of(unsigned slot, unsigned offset)
{
	return 0x80000000u | slot << 11 | (offset & 0xFCu);
}

static uint32_t cfg_read(unsigned slot, unsigned offset, unsigned bytes)
{
	virtio_pci_port_out(t.p, 0xCF8, 4, address_of(slot, offset));
	return virtio_pci_port_in(t.p, (uint16_t)(0xCFC + (offset & 3)), bytes);
}

static void cfg_write(unsigned slot, unsigned offset, unsigned bytes, uint32_t value)
{
	virtio_pci_port_out(t.p, 0xCF8, 4, address_of(slot, offset));
	virtio_pci_port_out(t.p, (uint16_t)(0xCFC + (offset & 3)), bytes, value);
}

static uint64_t bar_of(unsigned slot)
{
	return MMIO + 0x1000u * slot;
}

static uint64_t reg_read(unsigned slot, unsigned offset, unsigned bytes)
{
	uint64_t value = 0;

	assert_true(virtio_pci_read(t.p, bar_of(slot) + offset, bytes, &value));
	return value;
}

static void reg_write(unsigned slot, unsigned offset, unsigned bytes, uint64_t value)
{
	assert_true(virtio_pci_write(t.p, bar_of(slot) + offset, bytes, value));
}

/* Registers of the common configuration, as virtio 1.0 has them in 4.1.4.3. */
enum {
	R_OFFERED_SELECT = 0, R_OFFERED = 4, R_ACCEPTED_SELECT = 8, R_ACCEPTED = 12, R_MSIX = 16, R_QUEUES = 18,
	R_STATUS = 20, R_GENERATION = 21, R_QUEUE = 22, R_SIZE = 24, R_QUEUE_MSIX = 26, R_ENABLE = 28,
	R_NOTIFY_OFF = 30, R_DESC = 32, R_AVAIL = 40, R_USED = 48, R_NOTIFY = 56, R_ISR = 58, R_DEVICE = 60
};

static uint64_t offered_by(unsigned slot)
{
	uint64_t features;

	reg_write(slot, R_OFFERED_SELECT, 4, 0);
	features = reg_read(slot, R_OFFERED, 4);
	reg_write(slot, R_OFFERED_SELECT, 4, 1);
	return features | reg_read(slot, R_OFFERED, 4) << 32;
}

static void accept(unsigned slot, uint64_t features)
{
	reg_write(slot, R_ACCEPTED_SELECT, 4, 0);
	reg_write(slot, R_ACCEPTED, 4, (uint32_t)features);
	reg_write(slot, R_ACCEPTED_SELECT, 4, 1);
	reg_write(slot, R_ACCEPTED, 4, features >> 32);
}

/* Place and enable a queue of `num` entries in fresh memory. */
static void enable(unsigned slot, unsigned queue, uint16_t num)
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

static void place_bar(unsigned slot)
{
	cfg_write(slot, 0x10, 4, (uint32_t)bar_of(slot));
}

/* Up to FEATURES_OK. */
static void agree(unsigned slot, uint64_t features)
{
	place_bar(slot);
	reg_write(slot, R_STATUS, 1, 0);
	assert_int_equal(reg_read(slot, R_STATUS, 1), 0);
	reg_write(slot, R_STATUS, 1, 1);
	reg_write(slot, R_STATUS, 1, 3);
	accept(slot, features);
	reg_write(slot, R_STATUS, 1, 11);
}

static void begin(unsigned slot, struct virtio_device *d, uint64_t features)
{
	agree(slot, features);
	assert_int_equal(reg_read(slot, R_STATUS, 1), 11);
	for (unsigned q = 0; q < d->queues; q++)
		enable(slot, q, 64);
	reg_write(slot, R_STATUS, 1, 15);
	assert_int_equal(reg_read(slot, R_STATUS, 1), 15);
}

static uint64_t post(struct virtio_device *d, unsigned queue, const char *four)
{
	struct driver_buffer b[2] = {{driver_alloc(&t.v, 16), 4, false}, {driver_alloc(&t.v, 16), 4, true}};

	t.v.d = d;
	driver_store(&t.v, b[0].gpa, four, 4);
	driver_post(&t.v, queue, b, 2);
	return b[1].gpa;
}

static void use_queue(unsigned slot, struct virtio_device *d, unsigned queue)
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

static void forget_rings(void)
{
	memset(t.v.next_desc, 0, sizeof t.v.next_desc);
	memset(t.v.last_used, 0, sizeof t.v.last_used);
}

/* ---- 2. Configuration ----------------------------------------------------------------------- */

static void devices_follow_the_host_bridge_in_order(void **state)
{
	static const struct {
		enum virtio_type type;
		unsigned class_code;
	} kind[] = {{VIRTIO_CONSOLE, 0x0700}, {VIRTIO_NET, 0x0200}, {VIRTIO_BLOCK, 0x0180}, {VIRTIO_ENTROPY, 0xFF00}};

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		add(kind[i].type, 1, 0, 0);
	assert_int_equal(cfg_read(0, 0x0A, 2), 0x0600);
	assert_int_not_equal(cfg_read(0, 0x00, 2), 0xFFFF);
	assert_int_equal(cfg_read(0, 0x0E, 1), 0);
	cfg_write(0, 0x0A, 2, 0); /* all of it is read-only */
	assert_int_equal(cfg_read(0, 0x0A, 2), 0x0600);
	for (unsigned slot = 1; slot <= 4; slot++) {
		assert_int_equal(cfg_read(slot, 0x00, 4), (0x1040u + kind[slot - 1].type) << 16 | 0x1AF4);
		assert_int_equal(cfg_read(slot, 0x08, 1), 1);
		assert_int_equal(cfg_read(slot, 0x0A, 2), kind[slot - 1].class_code);
		assert_int_equal(cfg_read(slot, 0x06, 2), 0x0010);
		assert_int_equal(cfg_read(slot, 0x0E, 1), 0);
		assert_int_equal(cfg_read(slot, 0x2E, 2), 0x40);
		assert_int_equal(cfg_read(slot, 0x3C, 2), slot); /* interrupt line 1.., no pin */
		cfg_write(slot, 0x00, 4, 0);
		cfg_write(slot, 0x08, 4, 0);
		assert_int_equal(cfg_read(slot, 0x00, 2), 0x1AF4);
		assert_int_equal(cfg_read(slot, 0x08, 1), 1);
	}
	for (unsigned slot = 5; slot < 32; slot++)
		assert_int_equal(cfg_read(slot, 0, 4), 0xFFFFFFFF);
}

static void nobody_answers_elsewhere(void **state)
{
	static const uint32_t address[] = {0x00000800, 0x80000900, 0x80010800, 0x80FF0000, 0x80008000};

	(void)state;
	add(VIRTIO_CONSOLE, 1, 0, 12);
	for (unsigned i = 0; i < 5; i++) {
		virtio_pci_port_out(t.p, 0xCF8, 4, address[i]);
		assert_int_equal(virtio_pci_port_in(t.p, 0xCFC, 4), 0xFFFFFFFF);
		virtio_pci_port_out(t.p, 0xCFC, 4, 0);
	}
	assert_int_equal(cfg_read(1, 0, 4), 0x10431AF4);
}

static void ports_have_parts(void **state)
{
	(void)state;
	add(VIRTIO_CONSOLE, 1, 0, 12);
	virtio_pci_port_out(t.p, 0xCF8, 4, 0xFFFFFFFF);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCF8, 4), 0x80FFFFFC);
	virtio_pci_port_out(t.p, 0xCFB, 1, 0x80);
	virtio_pci_port_out(t.p, 0xCF8, 2, 0x0800);
	virtio_pci_port_out(t.p, 0xCFA, 1, 0x00);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCF8, 4), 0x80000800);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCF9, 1), 0x08);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCFA, 2), 0x8000);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCFC, 4), 0x10431AF4);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCFC, 2), 0x1AF4);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCFE, 2), 0x1043);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCFF, 1), 0x10);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCFE, 4), 0xFFFF1043); /* past the word: nobody */
	assert_int_equal(virtio_pci_port_in(t.p, 0x64, 1), 1);
	assert_int_equal(virtio_pci_port_in(t.p, 0x60, 1), 0xFF);
	assert_int_equal(virtio_pci_port_in(t.p, 0x3F8, 2), 0xFFFF);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCF7, 4), 0xFFFFFFFF);
	assert_int_equal(virtio_pci_port_in(t.p, 0xD00, 4), 0xFFFFFFFF);
}

/* Kind, offset and length of every capability, in the order of the list. */
static unsigned list_capabilities(unsigned slot, uint32_t found[][3])
{
	unsigned count = 0;

	for (unsigned at = cfg_read(slot, 0x34, 1); at; at = cfg_read(slot, at + 1, 1), count++) {
		assert_in_range(count, 0, 7);
		assert_in_range(at, 0x40, 0xF0);
		assert_int_equal(at % 4, 0);
		assert_int_equal(cfg_read(slot, at, 1), 0x09);
		assert_int_equal(cfg_read(slot, at + 4, 1), 0); /* BAR */
		found[count][0] = cfg_read(slot, at + 3, 1);
		found[count][1] = cfg_read(slot, at + 8, 4);
		found[count][2] = cfg_read(slot, at + 12, 4);
		if (found[count][0] == 2)
			assert_int_equal(cfg_read(slot, at + 16, 4), 0); /* one notify register for all queues */
		assert_int_equal(cfg_read(slot, at + 2, 1), found[count][0] == 2 || found[count][0] == 5 ? 20 : 16);
	}
	return count;
}

static void capabilities_say_where_registers_are(void **state)
{
	static const uint32_t expect[5][3] = {{1, 0, 56}, {2, 56, 2}, {3, 58, 1}, {5, 0, 0}, {4, 60, 12}};
	uint32_t found[8][3];

	(void)state;
	add(VIRTIO_CONSOLE, 2, 0, 12);
	add(VIRTIO_ENTROPY, 1, 0, 0);
	assert_int_equal(list_capabilities(1, found), 5);
	assert_memory_equal(found, expect, sizeof expect);
	assert_int_equal(list_capabilities(2, found), 4); /* no configuration, no capability for it */
	assert_memory_equal(found, expect, sizeof expect - sizeof expect[4]);
}

static void a_bar_is_sized_and_placed(void **state)
{
	uint64_t value;

	(void)state;
	add(VIRTIO_CONSOLE, 2, 0, 12);
	assert_int_equal(cfg_read(1, 0x10, 1), 0); /* 32-bit memory */
	cfg_write(1, 0x10, 4, 0xFFFFFFFF);
	assert_int_equal(cfg_read(1, 0x10, 4), 0xFFFFF000);
	for (unsigned at = 0x14; at < 0x28; at += 4) {
		cfg_write(1, at, 4, 0xFFFFFFFF);
		assert_int_equal(cfg_read(1, at, 4), 0);
	}
	cfg_write(1, 0x30, 4, 0xFFFFFFFF);
	assert_int_equal(cfg_read(1, 0x30, 4), 0);
	cfg_write(1, 0x10, 4, (uint32_t)MMIO + 0x3FFF);
	assert_int_equal(cfg_read(1, 0x10, 4), MMIO + 0x3000);
	assert_true(virtio_pci_read(t.p, MMIO + 0x3000 + R_QUEUES, 2, &value));
	assert_int_equal(value, 2);
	assert_true(virtio_pci_read(t.p, MMIO + 0x3FFF, 1, &value));
	assert_int_equal(value, 0);
	assert_false(virtio_pci_read(t.p, MMIO + 0x2FFF, 1, &value));
	assert_false(virtio_pci_write(t.p, MMIO + 0x4000, 1, 0));
	assert_false(virtio_pci_read(t.p, MMIO + 0x3000 + 0x100000000ull, 2, &value));
}

/* A guest that leaves that to a firmware finds its devices too. */
static void bars_are_placed_one_after_the_other_at_the_start(void **state)
{
	struct virtio_pci_config tight = {.memory = &t.v.memory, .mmio_first = MMIO - 5, .mmio_end = MMIO + 0x1FFF,
					  .user = &t, .raise = on_raise};
	uint64_t value;

	(void)state;
	for (unsigned restart = 0; restart < 2; restart++) {
		for (unsigned slot = 1; slot <= 3; slot++) {
			if (!restart)
				add(VIRTIO_NET, slot, 0, 12);
			assert_int_equal(cfg_read(slot, 0x10, 4), MMIO + 0x1000 * (slot - 1));
			assert_true(virtio_pci_read(t.p, MMIO + 0x1000 * (slot - 1) + R_QUEUES, 2, &value));
			assert_int_equal(value, slot);
		}
		for (unsigned slot = 1; slot <= 3; slot++)
			cfg_write(slot, 0x10, 4, 0);
		virtio_pci_reset(t.p);
	}
	virtio_pci_free(t.p);
	t.p = virtio_pci_new(&tight);
	add(VIRTIO_NET, 1, 0, 12);
	add(VIRTIO_NET, 1, 0, 12);
	assert_int_equal(cfg_read(1, 0x10, 4), MMIO);
	assert_int_equal(cfg_read(2, 0x10, 4), 0); /* no room for it */
}

static void a_bar_decodes_inside_the_window_only(void **state)
{
	static const uint64_t outside[] = {0x1000, MMIO - 0x1000, MMIO_END, 0xFFFFF000};
	static const uint64_t inside[] = {MMIO, MMIO_END - 0x1000};
	uint64_t value;

	(void)state;
	add(VIRTIO_CONSOLE, 2, 0, 12);
	cfg_write(1, 0x10, 4, 0);
	assert_false(virtio_pci_read(t.p, 0, 2, &value));
	for (unsigned i = 0; i < 4; i++) {
		cfg_write(1, 0x10, 4, (uint32_t)outside[i]);
		assert_false(virtio_pci_read(t.p, outside[i] + R_QUEUES, 2, &value));
		assert_false(virtio_pci_write(t.p, outside[i], 4, 1));
	}
	for (unsigned i = 0; i < 2; i++) {
		cfg_write(1, 0x10, 4, (uint32_t)inside[i]);
		assert_true(virtio_pci_read(t.p, inside[i] + R_QUEUES, 2, &value));
		assert_int_equal(value, 2);
	}
}

static void where_two_bars_overlap_the_lower_slot_answers(void **state)
{
	(void)state;
	add(VIRTIO_CONSOLE, 2, 0, 12);
	add(VIRTIO_NET, 3, 0, 12);
	cfg_write(1, 0x10, 4, (uint32_t)bar_of(1));
	cfg_write(2, 0x10, 4, (uint32_t)bar_of(1));
	assert_int_equal(reg_read(1, R_QUEUES, 2), 2);
	cfg_write(1, 0x10, 4, 0);
	assert_int_equal(reg_read(1, R_QUEUES, 2), 3);
}

static void there_is_room_for_thirty_one(void **state)
{
	struct virtio_device *d;

	(void)state;
	for (unsigned i = 1; i < 32; i++) {
		add(VIRTIO_ENTROPY, 1, 0, 0);
		assert_int_equal(cfg_read(i, 0x3C, 1), i);
	}
	d = echo_new(&t.v.memory, VIRTIO_NET, 1, 0, NULL, 0);
	assert_false(virtio_pci_add(t.p, d));
	virtio_free(d);
	for (unsigned slot = 1; slot < 32; slot += 15) {
		d = NULL;
		place_bar(slot);
		assert_int_equal(reg_read(slot, R_QUEUES, 2), 1);
	}
}

/* ---- 3. Life -------------------------------------------------------------------------------- */

static void a_driver_lives(void **state)
{
	struct virtio_device *d[3];

	(void)state;
	d[0] = add(VIRTIO_CONSOLE, 2, 5, 12);
	d[1] = add(VIRTIO_NET, 3, 0x20, 10);
	d[2] = add(VIRTIO_ENTROPY, 1, 1u << 28, 0);
	for (unsigned slot = 1; slot <= 3; slot++) {
		struct virtio_device *one = d[slot - 1];

		forget_rings();
		assert_int_equal(one->layout, VIRTIO_1_0);
		place_bar(slot);
		assert_int_equal(offered_by(slot), VERSION_1 | one->offered);
		assert_int_equal(reg_read(slot, R_QUEUES, 2), one->queues);
		begin(slot, one, VERSION_1 | (one->offered & ~1ull));
		assert_int_equal(echo_of(one)->starts, 1);
		assert_int_equal(echo_of(one)->accepted, VERSION_1 | (one->offered & ~1ull));
		for (unsigned i = 0; i < 100; i++)
			for (unsigned q = 0; q < one->queues; q++)
				use_queue(slot, one, q);
		assert_int_equal(one->queue[0].indirect, slot == 3);
	}
}

static void a_reset_forgets_everything(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0x20, 10);

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		forget_rings();
		begin(1, d, VERSION_1 | 0x20);
		use_queue(1, d, 1);
		post(d, 0, "ping");
		reg_write(1, R_NOTIFY, 2, 0);
		reg_write(1, R_STATUS, 1, 0);
		assert_int_equal(reg_read(1, R_STATUS, 1), 0);
		assert_int_equal(reg_read(1, R_ISR, 1), 0);
		assert_int_equal(reg_read(1, R_QUEUE, 2), 0);
		assert_false(d->started);
		assert_int_equal(d->accepted, 0);
		reg_write(1, R_ACCEPTED_SELECT, 4, 1);
		assert_int_equal(reg_read(1, R_ACCEPTED, 4), 0);
		for (unsigned q = 0; q < 2; q++) {
			reg_write(1, R_QUEUE, 2, q);
			assert_int_equal(reg_read(1, R_SIZE, 2), 256);
			assert_int_equal(reg_read(1, R_ENABLE, 2), 0);
			assert_int_equal(reg_read(1, R_DESC, 8), 0);
		}
	}
}

static void a_restart_finds_the_bus_as_at_the_start(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0x20, 10);
	uint32_t first[64];
	uint64_t value;

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		first[i] = cfg_read(1, 4 * i, 4);
	begin(1, d, VERSION_1);
	for (unsigned i = 0; i < 64; i++)
		if (4 * i != 0x10)
			cfg_write(1, 4 * i, 4, 0xA5A5A5A5);
	virtio_pci_reset(t.p);
	assert_false(d->started);
	assert_int_equal(virtio_pci_port_in(t.p, 0xCF8, 4), 0);
	assert_false(virtio_pci_read(t.p, bar_of(1), 1, &value));
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(cfg_read(1, 4 * i, 4), first[i]);
	forget_rings();
	begin(1, d, VERSION_1);
	use_queue(1, d, 0);
}

static void requests_wait_for_driver_ok(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);
	uint64_t answer;

	(void)state;
	agree(1, VERSION_1);
	enable(1, 0, 64);
	answer = post(d, 0, "ping");
	reg_write(1, R_NOTIFY, 2, 0);
	assert_int_equal(t.v.ram[answer], 0);
	assert_int_equal(t.raised[1], 0);
	reg_write(1, R_STATUS, 1, 15); /* the notification is not lost */
	assert_memory_equal(t.v.ram + answer, "ping", 4);
	assert_int_equal(t.raised[1], 1);
}

static void a_queue_may_be_made_smaller(void **state)
{
	static const uint16_t bad[] = {0, 3, 100, 257, 512, 0x8000, 0xFFFF};
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	agree(1, VERSION_1);
	reg_write(1, R_QUEUE, 2, 0);
	assert_int_equal(reg_read(1, R_SIZE, 2), 256);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		reg_write(1, R_SIZE, 2, bad[i]);
		assert_int_equal(reg_read(1, R_SIZE, 2), 256);
	}
	enable(1, 0, 4);
	reg_write(1, R_STATUS, 1, 15);
	assert_int_equal(d->queue[0].num, 4);
	for (unsigned i = 0; i < 10; i++)
		use_queue(1, d, 0);
}

static void a_queue_enabled_late_is_served(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 1u << 28, 10);

	(void)state;
	agree(1, VERSION_1 | 1u << 28);
	enable(1, 0, 64);
	reg_write(1, R_STATUS, 1, 15);
	reg_write(1, R_NOTIFY, 2, 1);
	enable(1, 1, 8);
	assert_true(d->queue[0].indirect && d->queue[1].indirect);
	use_queue(1, d, 1);
}

static void an_enabled_queue_stays_as_it_is(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);
	uint64_t desc;

	(void)state;
	agree(1, VERSION_1);
	enable(1, 0, 64);
	desc = reg_read(1, R_DESC, 8);
	reg_write(1, R_DESC, 8, 0);
	reg_write(1, R_SIZE, 2, 2);
	reg_write(1, R_ENABLE, 2, 0);
	assert_int_equal(reg_read(1, R_DESC, 8), desc);
	assert_int_equal(reg_read(1, R_SIZE, 2), 64);
	assert_int_equal(reg_read(1, R_ENABLE, 2), 1);
	reg_write(1, R_STATUS, 1, 15);
	use_queue(1, d, 0);
}

static void a_changed_configuration_has_a_new_generation(void **state)
{
	struct virtio_device *d = add(VIRTIO_CONSOLE, 2, 1, 12);
	uint64_t generation;

	(void)state;
	place_bar(1);
	generation = reg_read(1, R_GENERATION, 1);
	d->config[0] = 100;
	d->config_changed(d->transport, d);
	assert_int_not_equal(reg_read(1, R_GENERATION, 1), generation);
	assert_int_equal(reg_read(1, R_DEVICE, 2), 100);
	assert_int_equal(t.raised[1], 0); /* no driver, no interrupt */
	begin(1, d, VERSION_1);
	generation = reg_read(1, R_GENERATION, 1);
	d->config[0] = 132;
	d->config_changed(d->transport, d);
	assert_int_not_equal(reg_read(1, R_GENERATION, 1), generation);
	assert_int_equal(t.raised[1], 1);
	post(d, 0, "ping");
	reg_write(1, R_NOTIFY, 2, 0);
	assert_int_equal(reg_read(1, R_ISR, 1), 3);
	assert_int_equal(reg_read(1, R_ISR, 1), 0);
}

static void the_guest_writes_configuration_where_it_may(void **state)
{
	struct virtio_device *net = add(VIRTIO_NET, 2, 0, 10), *block = add(VIRTIO_BLOCK, 1, 0, 16);

	(void)state;
	place_bar(1);
	place_bar(2);
	reg_write(1, R_DEVICE + 6, 2, 0x1234);
	assert_int_equal(reg_read(1, R_DEVICE + 6, 2), 0x1234);
	assert_int_equal(echo_of(net)->config_offset, 6);
	assert_int_equal(echo_of(net)->config_bytes, 2);
	reg_write(1, R_DEVICE + 8, 4, 0xAABBCCDD); /* two bytes of it are there */
	assert_int_equal(echo_of(net)->config_bytes, 2);
	assert_int_equal(reg_read(1, R_DEVICE + 8, 4), 0xCCDD);
	reg_write(1, R_DEVICE + 10, 4, 1);
	assert_int_equal(echo_of(net)->config_writes, 2);
	assert_int_equal(net->config[10], 0);
	reg_write(2, R_DEVICE, 8, UINT64_MAX); /* a disk's capacity is not */
	assert_int_equal(block->config[0], 0);
	assert_int_equal(reg_read(2, R_DEVICE, 8), 0);
}

static void there_are_no_vectors(void **state)
{
	(void)state;
	add(VIRTIO_NET, 2, 0, 10);
	place_bar(1);
	reg_write(1, R_MSIX, 2, 0);
	reg_write(1, R_QUEUE_MSIX, 2, 0);
	assert_int_equal(reg_read(1, R_MSIX, 2), 0xFFFF);
	assert_int_equal(reg_read(1, R_QUEUE_MSIX, 2), 0xFFFF);
	assert_int_equal(reg_read(1, R_NOTIFY_OFF, 2), 0);
}

static void a_queue_that_there_is_not_has_size_0(void **state)
{
	(void)state;
	add(VIRTIO_NET, 2, 0, 10);
	place_bar(1);
	for (unsigned q = 2; q < 65536; q = q * 3 + 1) {
		reg_write(1, R_QUEUE, 2, q);
		assert_int_equal(reg_read(1, R_QUEUE, 2), q);
		reg_write(1, R_SIZE, 2, 8);
		reg_write(1, R_DESC, 8, 0x1000);
		reg_write(1, R_ENABLE, 2, 1);
		assert_int_equal(reg_read(1, R_SIZE, 4), 0xFFFF0000);
		assert_int_equal(reg_read(1, R_ENABLE, 2), 0);
		assert_int_equal(reg_read(1, R_DESC, 8), 0);
		reg_write(1, R_NOTIFY, 2, q);
	}
}

static void devices_are_freed_with_the_bus(void **state)
{
	unsigned freed = 0;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		echo_of(add(VIRTIO_ENTROPY, 1, 0, 0))->freed = &freed;
	virtio_pci_free(t.p);
	t.p = NULL;
	assert_int_equal(freed, 3);
}

static void polls_reach_every_device(void **state)
{
	struct virtio_device *d[2] = {add(VIRTIO_NET, 1, 0, 0), add(VIRTIO_NET, 1, 0, 0)};

	(void)state;
	virtio_pci_poll(t.p);
	assert_int_equal(echo_of(d[0])->polls + echo_of(d[1])->polls, 2);
	assert_false(virtio_pci_busy(t.p));
	d[1]->busy = true;
	assert_true(virtio_pci_busy(t.p));
}

/* ---- 4. Violations -------------------------------------------------------------------------- */

static void features_that_were_not_offered_are_refused(void **state)
{
	static const uint64_t bad[] = {0, 0x20, VERSION_1 | 1, VERSION_1 | 1ull << 33, UINT64_MAX};
	struct virtio_device *d = add(VIRTIO_NET, 2, 0x20, 10);

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		agree(1, bad[i]);
		assert_int_equal(reg_read(1, R_STATUS, 1), 3);
		assert_int_equal(d->accepted, 0);
	}
	accept(1, VERSION_1); /* it may try again */
	reg_write(1, R_STATUS, 1, 11);
	assert_int_equal(reg_read(1, R_STATUS, 1), 11);
}

static void features_are_final_when_they_are_fine(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0x21, 10);

	(void)state;
	agree(1, VERSION_1 | 1);
	accept(1, VERSION_1 | 0x20);
	reg_write(1, R_STATUS, 1, 15);
	assert_int_equal(d->accepted, VERSION_1 | 1);
}

static void features_beyond_64_are_nothing(void **state)
{
	(void)state;
	add(VIRTIO_NET, 2, 0x21, 10);
	place_bar(1);
	accept(1, VERSION_1 | 1);
	for (unsigned select = 2; select; select *= 2) {
		reg_write(1, R_OFFERED_SELECT, 4, select);
		reg_write(1, R_ACCEPTED_SELECT, 4, select);
		reg_write(1, R_ACCEPTED, 4, 0xFFFFFFFF);
		assert_int_equal(reg_read(1, R_OFFERED, 4), 0);
		assert_int_equal(reg_read(1, R_ACCEPTED, 4), 0);
		assert_int_equal(reg_read(1, R_OFFERED_SELECT, 4), select);
	}
	reg_write(1, R_STATUS, 1, 8);
	assert_int_equal(reg_read(1, R_STATUS, 1), 8);
}

static void driver_ok_without_features_needs_a_reset(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	place_bar(1);
	reg_write(1, R_STATUS, 1, 7);
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x43);
	assert_false(d->started);
	begin(1, d, VERSION_1);
	use_queue(1, d, 0);
}

static void a_ring_that_is_not_aligned_is_not_enabled(void **state)
{
	static const unsigned bad[3][2] = {{R_DESC, 0x1008}, {R_AVAIL, 0x2001}, {R_USED, 0x3002}};

	(void)state;
	add(VIRTIO_NET, 2, 0, 10);
	for (unsigned i = 0; i < 3; i++) {
		agree(1, VERSION_1);
		reg_write(1, bad[i][0], 8, bad[i][1]);
		reg_write(1, R_ENABLE, 2, 1);
		assert_int_equal(reg_read(1, R_ENABLE, 2), 0);
		assert_int_equal(reg_read(1, R_STATUS, 1), 0x4B);
	}
}

static void a_broken_ring_needs_a_reset(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	begin(1, d, VERSION_1);
	driver_store16(&t.v, d->queue[1].avail + 2, 65);
	reg_write(1, R_NOTIFY, 2, 1);
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x4F);
	assert_int_equal(t.raised[1], 1);
	assert_int_equal(reg_read(1, R_ISR, 1), 2);
	reg_write(1, R_NOTIFY, 2, 1); /* said once */
	virtio_pci_poll(t.p);
	assert_int_equal(t.raised[1], 1);
	forget_rings();
	begin(1, d, VERSION_1);
	use_queue(1, d, 1);
}

static void rings_outside_memory_break_their_queue_only(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	agree(1, VERSION_1);
	reg_write(1, R_QUEUE, 2, 0);
	reg_write(1, R_DESC, 8, 0xFFFFFFFFFFFFFFF0);
	reg_write(1, R_AVAIL, 8, 0xFFFFFFFFFFFFFFFE);
	reg_write(1, R_USED, 8, 0xFFFFFFFFFFFFFFFC);
	reg_write(1, R_ENABLE, 2, 1);
	enable(1, 1, 64);
	reg_write(1, R_STATUS, 1, 15);
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x4F);
	reg_write(1, R_NOTIFY, 2, 0);
	assert_int_equal(reg_read(1, R_ISR, 1), 2);
	use_queue(1, d, 1);
}

static void a_driver_that_failed_is_served_no_more(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);
	uint64_t answer;

	(void)state;
	begin(1, d, VERSION_1);
	reg_write(1, R_STATUS, 1, 0x80);
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x8F);
	answer = post(d, 0, "ping");
	reg_write(1, R_NOTIFY, 2, 0);
	assert_int_equal(t.v.ram[answer], 0);
	agree(1, VERSION_1);
	reg_write(1, R_STATUS, 1, 0x80);
	reg_write(1, R_STATUS, 1, 15); /* only a reset helps */
	assert_int_equal(reg_read(1, R_STATUS, 1), 0x8B);
	assert_false(d->started);
	forget_rings();
	begin(1, d, VERSION_1);
	use_queue(1, d, 0);
}

static void status_bits_are_never_taken_back(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);

	(void)state;
	begin(1, d, VERSION_1);
	reg_write(1, R_STATUS, 1, 1);
	assert_int_equal(reg_read(1, R_STATUS, 1), 15);
	reg_write(1, R_STATUS, 1, 0x70); /* not the driver's to set */
	assert_int_equal(reg_read(1, R_STATUS, 1), 15);
	assert_int_equal(echo_of(d)->starts, 1);
	use_queue(1, d, 0);
}

/* Every register, written in every width but its own. */
static void writes_of_another_width_do_nothing(void **state)
{
	static const uint8_t width[60] = {
	    [R_OFFERED_SELECT] = 4, [R_ACCEPTED_SELECT] = 4, [R_ACCEPTED] = 4, [R_STATUS] = 1, [R_QUEUE] = 2,
	    [R_SIZE] = 2, [R_ENABLE] = 2, [R_DESC] = 12, [R_DESC + 4] = 4, [R_AVAIL] = 12, [R_AVAIL + 4] = 4,
	    [R_USED] = 12, [R_USED + 4] = 4, [R_NOTIFY] = 2};
	struct virtio_device *d = add(VIRTIO_CONSOLE, 2, 0, 12);
	uint64_t before[8], after[8];

	(void)state;
	place_bar(1);
	for (unsigned i = 0; i < 8; i++)
		before[i] = reg_read(1, 8 * i, 8);
	for (unsigned offset = 0; offset < 64; offset++)
		for (unsigned bytes = 0; bytes < 10; bytes++)
			if (offset >= 60 || (bytes & 15) == 0 || !(width[offset] & bytes) || bytes & (bytes - 1))
				reg_write(1, offset, bytes, 0x0101010101010101);
	for (unsigned i = 0; i < 8; i++)
		after[i] = reg_read(1, 8 * i, 8);
	assert_memory_equal(before, after, sizeof after);
	assert_int_equal(echo_of(d)->notifies[1], 0);
}

/* ---- 5. The window -------------------------------------------------------------------------- */

static unsigned find_window(unsigned slot)
{
	unsigned at = cfg_read(slot, 0x34, 1);

	while (at && cfg_read(slot, at + 3, 1) != 5)
		at = cfg_read(slot, at + 1, 1);
	assert_true(at);
	return at;
}

static void aim(unsigned slot, unsigned bar, uint32_t offset, uint32_t bytes)
{
	unsigned at = find_window(slot);

	cfg_write(slot, at + 4, 1, bar);
	cfg_write(slot, at + 8, 4, offset);
	cfg_write(slot, at + 12, 4, bytes);
}

static size_t keep(void *user, const uint8_t *bytes, size_t count)
{
	char *text = user;
	size_t used = strlen(text);

	assert_true(used + count < 64);
	memcpy(text + used, bytes, count);
	return count;
}

/* A kernel's first words: the BAR is nowhere yet, no driver, no features. */
static void first_words_go_through_the_window(void **state)
{
	char text[64] = "";
	struct virtio_device *d = virtio_console_new(&t.v.memory, text, keep);
	unsigned at;

	(void)state;
	assert_true(d && virtio_pci_add(t.p, d));
	at = find_window(1);
	aim(1, 0, R_OFFERED_SELECT, 4);
	cfg_write(1, at + 16, 4, 0);
	aim(1, 0, R_OFFERED, 4);
	assert_true(cfg_read(1, at + 16, 4) & 1u << 2); /* it has the emergency write */
	for (const char *c = "Linux"; *c; c++) {
		aim(1, 0, R_DEVICE + 8, 1);
		cfg_write(1, at + 16, 1, (uint8_t)*c);
	}
	virtio_pci_poll(t.p);
	assert_string_equal(text, "Linux");
	/* as a whole word it works too */
	aim(1, 0, R_DEVICE + 8, 4);
	cfg_write(1, at + 16, 4, '!');
	virtio_pci_poll(t.p);
	assert_string_equal(text, "Linux!");
}

static void a_whole_life_through_the_window(void **state)
{
	struct virtio_device *d = add(VIRTIO_NET, 2, 0, 10);
	static const struct {
		unsigned offset, bytes;
		uint32_t value;
	} script[] = {{R_STATUS, 1, 1},  {R_STATUS, 1, 3},    {R_ACCEPTED_SELECT, 4, 1}, {R_ACCEPTED, 4, 1},
		      {R_STATUS, 1, 11}, {R_QUEUE, 2, 1},     {R_SIZE, 2, 64},           {R_DESC, 4, 0x10000},
		      {R_DESC + 4, 4, 0}, {R_AVAIL, 4, 0x11000}, {R_USED, 4, 0x12000},   {R_ENABLE, 2, 1},
		      {R_STATUS, 1, 15}};
	unsigned at = find_window(1);
	uint64_t answer;

	(void)state;
	t.v.free = 0x20000;
	for (unsigned i = 0; i < sizeof script / sizeof *script; i++) {
		aim(1, 0, script[i].offset, script[i].bytes);
		cfg_write(1, at + 16, script[i].bytes, script[i].value);
		assert_int_equal(cfg_read(1, at + 16, script[i].bytes), script[i].value);
	}
	answer = post(d, 1, "ping");
	aim(1, 0, R_NOTIFY, 2);
	cfg_write(1, at + 16, 2, 1);
	assert_memory_equal(t.v.ram + answer, "ping", 4);
	aim(1, 0, R_ISR, 1);
	assert_int_equal(cfg_read(1, at + 16, 1), 1);
	assert_int_equal(cfg_read(1, at + 16, 1), 0);
}

static void a_window_that_makes_no_sense_shows_nothing(void **state)
{
	static const uint32_t bad[][3] = {{1, 0, 4}, {0, R_STATUS, 0}, {0, R_STATUS, 3}, {0, R_STATUS, 5},
					  {0, R_STATUS, 8}, {0, R_STATUS + 1, 2}, {0, R_STATUS + 2, 4},
					  {0, 4096, 4}, {0, 0xFFFFFFFC, 4}, {255, R_STATUS, 1},
					  {0, R_STATUS, 0x01000001}};
	unsigned at;

	(void)state;
	add(VIRTIO_NET, 2, 0, 10);
	place_bar(1);
	reg_write(1, R_STATUS, 1, 1);
	at = find_window(1);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		aim(1, bad[i][0], bad[i][1], bad[i][2]);
		cfg_write(1, at + 16, 4, 0x03030303);
		assert_int_equal(cfg_read(1, at + 16, 4), 0x03030303); /* what was written, no register */
		assert_int_equal(reg_read(1, R_STATUS, 1), 1);
	}
}

/* ---- 6. Lines ------------------------------------------------------------------------------- */

struct line {
	unsigned events;
	bool high;
};

static void on_line(void *user, struct virtio_function *f, bool high)
{
	struct line *line = user;

	(void)f;
	line->events++;
	line->high = high;
}

static void a_line_is_high_until_the_isr_is_read(void **state)
{
	struct virtio_device *d = echo_new(&t.v.memory, VIRTIO_NET, 2, 0, NULL, 10);
	struct virtio_function f;
	struct line line = {0};

	(void)state;
	virtio_function_init(&f, d, 11, 1);
	f.user = &line;
	f.line = on_line;
	virtio_function_connect(&f);
	virtio_function_reset(&f);
	assert_int_equal(virtio_function_space_read(&f, 0x3C, 2), 0x010B); /* line 11, INTA# */
	assert_int_equal(line.events, 0);
	d->interrupt(d->transport, d, 0);
	assert_true(line.high && line.events == 1);
	assert_int_equal(virtio_function_space_read(&f, 0x06, 2), 0x0018);
	virtio_function_space_write(&f, 0x04, 2, 0x0400); /* interrupts disabled: the status stays */
	assert_true(!line.high && line.events == 2);
	assert_int_equal(virtio_function_space_read(&f, 0x06, 2), 0x0018);
	virtio_function_space_write(&f, 0x04, 2, 0x0002);
	assert_true(line.high && line.events == 3);
	virtio_function_space_write(&f, 0x04, 2, 0x0006);
	assert_int_equal(line.events, 3);
	assert_int_equal(virtio_function_command(&f), 6);
	assert_int_equal(virtio_function_read(&f, R_ISR, 1), 1);
	assert_true(!line.high && line.events == 4);
	assert_int_equal(virtio_function_space_read(&f, 0x06, 2), 0x0010);
	d->interrupt(d->transport, d, 1);
	virtio_function_write(&f, R_STATUS, 1, 0); /* a reset takes it back */
	assert_true(!line.high && line.events == 6);
	virtio_free(d);
}

/* ---- 7. Anything ---------------------------------------------------------------------------- */

static uint32_t seed = 0x2545F491;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static uint32_t any(void)
{
	static const uint32_t favourite[] = {0, 1, 2, 3, 7, 11, 15, 64, 256, 0x80, 0x1000, (uint32_t)MMIO + 0x1000,
					     0x80000800, 0x80001000, 0x80000874, UINT32_MAX};

	return draw(2) ? favourite[draw(16)] : draw(UINT32_MAX);
}

static void random_access(void)
{
	static const unsigned widths[] = {1, 2, 4, 8};
	unsigned bytes = draw(20) ? widths[draw(3)] : draw(12);
	uint64_t value, gpa = bar_of(1 + draw(4)) + draw(draw(4) ? 130 : 4096);

	switch (draw(8)) {
	case 0:
		virtio_pci_port_out(t.p, 0xCF8, 4, 0x80000000 | (1 + draw(4)) << 11 | draw(256));
		break;
	case 1:
		virtio_pci_port_out(t.p, (uint16_t)(draw(4) ? 0xCF8 + draw(8) : draw(65536)), bytes, any());
		break;
	case 2:
		virtio_pci_port_in(t.p, (uint16_t)(draw(4) ? 0xCF8 + draw(8) : draw(65536)), bytes);
		break;
	case 3:
		virtio_pci_read(t.p, draw(50) ? gpa : (uint64_t)any() << draw(33), bytes, &value);
		break;
	case 4:
		virtio_pci_poll(t.p);
		break;
	default:
		virtio_pci_write(t.p, draw(50) ? gpa : (uint64_t)any() << draw(33), draw(4) ? bytes : 8,
				 (uint64_t)any() << 32 * draw(2));
		break;
	}
}

/* What a driver would do, so that accesses meet devices in every state; rings of anything. */
static void almost_proper(struct virtio_device *d, unsigned slot)
{
	uint64_t rings = 0x10000 * slot;
	unsigned queue = draw(d->queues), status[] = {0, 1, 3, 11, 15};

	place_bar(slot);
	for (unsigned i = 0; i < 5; i++) {
		reg_write(slot, R_STATUS, 1, status[i]);
		if (i == 2)
			accept(slot, VERSION_1 | (d->offered & any()));
		for (unsigned q = 0; i == 3 && q < d->queues; q++) {
			reg_write(slot, R_QUEUE, 2, q);
			reg_write(slot, R_SIZE, 2, 1u << draw(9));
			reg_write(slot, R_DESC, 8, rings + 0x4000 * q);
			reg_write(slot, R_AVAIL, 8, rings + 0x4000 * q + 0x1000);
			reg_write(slot, R_USED, 8, rings + 0x4000 * q + 0x2000);
			memset(t.v.ram + rings + 0x4000 * q, 0, 0x4000);
			memset(t.v.announced + rings + 0x4000 * q, 0, 0x4000);
			reg_write(slot, R_ENABLE, 2, 1);
		}
	}
	t.v.d = d;
	for (unsigned i = draw(10); i && d->queue[queue].num; i--) {
		uint16_t num = d->queue[queue].num, head = (uint16_t)draw(num), next = (uint16_t)draw(num);

		driver_desc(&t.v, queue, head, draw(DRIVER_RAM), draw(3000), (uint16_t)draw(4), next);
		driver_desc(&t.v, queue, next, draw(DRIVER_RAM), draw(3000), (uint16_t)(draw(40) ? 2 : draw(8)), head);
		driver_offer(&t.v, queue, head);
		reg_write(slot, R_NOTIFY, 2, queue);
	}
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

static void a_guest_that_does_anything_hurts_itself_only(void **state)
{
	static uint8_t sink;
	struct virtio_device *d[4] = {virtio_console_new(&t.v.memory, &sink, swallow),
				      virtio_entropy_new(&t.v.memory, fill, &sink)};

	(void)state;
	assert_true(d[0] && d[1] && virtio_pci_add(t.p, d[0]) && virtio_pci_add(t.p, d[1]));
	d[2] = add(VIRTIO_NET, 3, 0x10000021, 10);
	d[3] = add(VIRTIO_BLOCK, 1, 0, 64);
	for (unsigned long i = 0; i < test_rounds(3000000); i++) {
		unsigned slot = 1 + draw(4);

		random_access();
		if (!draw(100))
			almost_proper(d[slot - 1], slot);
		if (!draw(1000))
			virtio_console_resize(d[0], (uint16_t)draw(65536), (uint16_t)draw(65536));
		if (!draw(2000))
			virtio_console_input(d[0], (const uint8_t *)"0123456789", 10);
		if (!draw(20000))
			virtio_pci_reset(t.p);
		if (!draw(4096))
			driver_check(&t.v);
	}
	assert_true(t.raised[1] && t.raised[2] && t.raised[3] && t.raised[4] && echo_of(d[2])->starts);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bus, close_bus)
	const struct CMUnitTest tests[] = {
	    TEST(devices_follow_the_host_bridge_in_order),
	    TEST(nobody_answers_elsewhere),
	    TEST(ports_have_parts),
	    TEST(capabilities_say_where_registers_are),
	    TEST(a_bar_is_sized_and_placed),
	    TEST(bars_are_placed_one_after_the_other_at_the_start),
	    TEST(a_bar_decodes_inside_the_window_only),
	    TEST(where_two_bars_overlap_the_lower_slot_answers),
	    TEST(there_is_room_for_thirty_one),
	    TEST(a_driver_lives),
	    TEST(a_reset_forgets_everything),
	    TEST(a_restart_finds_the_bus_as_at_the_start),
	    TEST(requests_wait_for_driver_ok),
	    TEST(a_queue_may_be_made_smaller),
	    TEST(a_queue_enabled_late_is_served),
	    TEST(an_enabled_queue_stays_as_it_is),
	    TEST(a_changed_configuration_has_a_new_generation),
	    TEST(the_guest_writes_configuration_where_it_may),
	    TEST(there_are_no_vectors),
	    TEST(a_queue_that_there_is_not_has_size_0),
	    TEST(devices_are_freed_with_the_bus),
	    TEST(polls_reach_every_device),
	    TEST(features_that_were_not_offered_are_refused),
	    TEST(features_are_final_when_they_are_fine),
	    TEST(features_beyond_64_are_nothing),
	    TEST(driver_ok_without_features_needs_a_reset),
	    TEST(a_ring_that_is_not_aligned_is_not_enabled),
	    TEST(a_broken_ring_needs_a_reset),
	    TEST(rings_outside_memory_break_their_queue_only),
	    TEST(a_driver_that_failed_is_served_no_more),
	    TEST(status_bits_are_never_taken_back),
	    TEST(writes_of_another_width_do_nothing),
	    TEST(first_words_go_through_the_window),
	    TEST(a_whole_life_through_the_window),
	    TEST(a_window_that_makes_no_sense_shows_nothing),
	    TEST(a_line_is_high_until_the_isr_is_read),
	    TEST(a_guest_that_does_anything_hurts_itself_only),
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
