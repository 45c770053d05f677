/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_pci.c - virtio 1.0 over PCI as lguest of Linux 4.x had it: what a guest finds, how it lives.
 *
 *   1. Configuration    who is there, capabilities, BARs
 *   2. Life             from reset to the first answer, and back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/pci_guest.h"

/* ---- 1. Configuration ------------------------------------------------------------------------ */

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

/* ---- 2. Life --------------------------------------------------------------------------------- */

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
	};

	return cmocka_run_group_tests_name("virtio_pci", tests, NULL, NULL);
}
