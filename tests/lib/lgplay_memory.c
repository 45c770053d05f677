/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lgplay_memory.c - moves that write what guest and host share, and the devices' own.
 *
 *   1. Memory     scribbles, and queues that are nearly right
 *   2. Devices    ports, registers, input
 */
#include "tests/lib/lgplay.h"

/* ---- 1. Memory ------------------------------------------------------------------------------ */

void play_scribble(struct input *i)
{
	uint8_t bytes[64];
	uint32_t gpa = play_physical(i), count = (take8(i) & 63u) + 1;

	for (uint32_t n = 0; n < count; n++)
		bytes[n] = take8(i);
	lgbox_store(i->b, gpa, bytes, count);
}

/* A guest's page tables: mostly entries that could be. */
void play_table(struct input *i)
{
	uint8_t how = take8(i);
	uint32_t slot = take8(i), value = play_entry(i), gpa;

	if (how < 0xC0)
		gpa = LGBOX_USER_TABLES + (how & 7u) * UM_PAGE_SIZE + 4 * (((uint32_t)LGBOX_USER_VA >> 12 & 1023) + (slot & 31));
	else if (how < 0xE0)
		gpa = LGBOX_KERNEL_TABLE + 4 * (slot | (how & 3u) << 8);
	else
		gpa = LGBOX_DIRS + (how & 7u) * UM_PAGE_SIZE +
		      4 * (slot & 1 ? (uint32_t)LGBOX_USER_VA >> 22 : slot & 2 ? LGBOX_SPLIT >> 22 : slot << 2);
	if (how >= 0xE0 && how != 0xFF) /* another table, or a loop */
		value = (LGBOX_DIRS + (value >> UM_PAGE_SHIFT) % 17 * UM_PAGE_SIZE) | (value & 0x67);
	lgbox_put(i->b, gpa, value);
}

/* struct lguest_data: the flags that a guest writes all the time, or anything in it. */
void play_data(struct input *i)
{
	static const uint32_t flags[] = { 0, 0x200, 0x246, 0x046, 0xFFFFFFFFu, 0xFFFFFDFFu };
	uint8_t how = take8(i);

	if (how < 0x80)
		lgbox_put(i->b, i->b->data, flags[how % 6]);
	else if (how < 0xC0)
		lgbox_put(i->b, i->b->data + 4, how & 1 ? 0 : take32(i));
	else if (how < 0xE0)
		lgbox_store(i->b, i->b->data + 20 + (take8(i) & 127u), &how, 1);
	else
		lgbox_put(i->b, i->b->data + (take16(i) & 0x7FFu), take32(i));
}

/* The ring of queue n, as the transport has placed it; one of the guest's choice on PCI. */
static const struct virtqueue *choose_queue(struct input *i, unsigned *device, unsigned *queue)
{
	struct virtio_device *d;

	*device = take8(i) & 3;
	d = lgbox_device(i->b, *device);
	*queue = take8(i) % d->queues;
	return &d->queue[*queue];
}

static void put16(struct lgbox *b, uint64_t gpa, uint32_t value)
{
	const uint8_t bytes[2] = { (uint8_t)value, (uint8_t)(value >> 8) };

	if (gpa < LGBOX_MAPPED)
		lgbox_store(b, (uint32_t)gpa, bytes, 2);
}

static void put_descriptor(struct input *i, const struct virtqueue *q, uint32_t slot)
{
	uint8_t how = take8(i), bytes[16] = { 0 };
	uint32_t gpa = play_physical(i), count = how & 0x40 ? take32(i) : take16(i) & 0x3FFu;
	uint16_t flags = how & 7, next = (uint16_t)(slot + 1);
	uint64_t at = q->desc + slot * 16;

	if (how & 0x80)
		next = (uint16_t)take16(i);
	memcpy(bytes, &gpa, 4);
	memcpy(bytes + 8, &count, 4);
	memcpy(bytes + 12, &flags, 2);
	memcpy(bytes + 14, &next, 2);
	if (at < LGBOX_MAPPED)
		lgbox_store(i->b, (uint32_t)at, bytes, sizeof bytes);
}

static void offer(struct input *i, const struct virtqueue *q, unsigned device, unsigned queue, uint32_t slot)
{
	struct lgbox *b = i->b;

	put16(b, q->avail + 4 + 2 * (q->last_avail % q->num), slot);
	put16(b, q->avail + 2, q->last_avail + 1u + (rarely(i) ? take16(i) : 0));
	if (b->transport != LGBOX_PCI && q->desc < LGBOX_MAPPED) {
		const uint32_t arg[4] = { (uint32_t)q->desc };
		lgbox_call(b, 17, arg, false);
	} else {
		virtio_notify(lgbox_device(b, device), queue);
	}
}

static void put_segment(struct lgbox *b, uint64_t at, uint32_t gpa, uint32_t count, uint32_t flags, uint32_t next)
{
	const uint32_t words[4] = { gpa, 0, count, flags | next << 16 };

	if (at < LGBOX_MAPPED)
		lgbox_store(b, (uint32_t)at, words, sizeof words);
}

/* A disk request as a driver has it: header, data, status. */
static void play_disk(struct input *i, const struct virtqueue *q)
{
	static const uint8_t types[] = { 0, 1, 4, 8, 2, 0, 1, 11 };
	struct lgbox *b = i->b;
	uint32_t header = b->transport == LGBOX_FORMAT1 ? 24 : 16, slot = take8(i) % (q->num - 2u), type = types[take8(i) & 7];
	uint32_t sector = take8(i), bytes = (take8(i) & 7u) * 512 + (rarely(i) ? 7 : 0), writes = type == 1 ? 0 : 2;

	if (rarely(i))
		sector = take32(i);
	lgbox_put(b, LGBOX_SCRATCH, type | (rarely(i) ? 0x80000000u : 0));
	lgbox_put(b, LGBOX_SCRATCH + 8, sector);
	lgbox_put(b, LGBOX_SCRATCH + 12, rarely(i) ? take32(i) : 0);
	put_segment(b, q->desc + 16ull * slot, LGBOX_SCRATCH, header, 1, slot + 1);
	put_segment(b, q->desc + 16ull * (slot + 1), play_physical(i), bytes, 1 | writes, slot + 2);
	put_segment(b, q->desc + 16ull * (slot + 2), LGBOX_SCRATCH + 64, 1, 2, 0);
	offer(i, q, 1, 0, slot);
}

/* Requests that a device would take, most of them. */
void play_queue_of_device(struct input *i)
{
	struct lgbox *b = i->b;
	unsigned device, queue, chain = (take8(i) & 3u) + 1;
	const struct virtqueue *q = choose_queue(i, &device, &queue);
	uint32_t slot = take8(i) & 15;

	/* Without the device ready it would be the guest's end, which is worth little more than a try. */
	if (!q->num || (b->transport != LGBOX_FORMAT1 && !lgbox_device(b, device)->started && !rarely(i)))
		return;
	if (device == 1 && q->num > 2 && slot & 3) {
		play_disk(i, q);
		return;
	}
	for (unsigned n = 0; n < chain; n++)
		put_descriptor(i, q, slot + n);
	offer(i, q, device, queue, slot);
}

/* Where the record of device n is in the page that the guest finds (it may have overwritten it). */
static uint32_t find_record(const struct lgbox *b, unsigned n)
{
	uint32_t at = LGBOX_MEM;
	const uint8_t *r = b->ram;

	while (n-- && at < LGBOX_MEM + UM_PAGE_SIZE - 256)
		at += b->transport == LGBOX_FORMAT1 ? 3u + r[at + 1] : 5u + 8u * r[at + 1] + 2u * r[at + 2] + r[at + 3];
	return at;
}

/* The status byte, then its notification: as drivers do it (reset, features, ready), or not. */
void play_record(struct input *i)
{
	static const uint8_t steps[] = { 0, 1, 3, 3, 7, 0x80, 0xFF };
	struct lgbox *b = i->b;
	uint8_t how = take8(i);
	uint32_t record = find_record(b, how & 3), status = record + (b->transport == LGBOX_FORMAT1 ? 2 : 4);
	uint32_t arg[4] = { record };
	uint8_t ready = 3;

	if (b->transport == LGBOX_PCI)
		return;
	if (how < 0x20)
		ready = steps[take8(i) % sizeof steps];
	else
		lgbox_store(b, status, &(uint8_t){ 0 }, 1);
	if (how >= 0x20)
		lgbox_call(b, 17, arg, false);
	if (how & 0x10 && b->transport == LGBOX_FORMAT2)
		lgbox_put(b, record + 5 + 8u * b->ram[record + 1] + b->ram[record + 2], take32(i));
	lgbox_store(b, status, &ready, 1);
	lgbox_call(b, 17, arg, false);
}

/* ---- 2. Devices ----------------------------------------------------------------------------- */

void play_ports(struct input *i)
{
	struct lgbox *b = i->b;
	uint8_t how = take8(i);
	uint32_t slot = take8(i) % 6u, reg = take8(i);
	uint16_t port = (uint16_t)(how & 0x40 ? take16(i) : 0xCFC + (how & 3u));
	unsigned bytes = 1u << (how >> 2 & 3) % 3;

	virtio_pci_port_out(b->pci, 0xCF8, 4, 0x80000000u | slot << 11 | (reg & 0xFC));
	if (how & 0x80)
		(void)virtio_pci_port_in(b->pci, port, bytes);
	else
		virtio_pci_port_out(b->pci, port, bytes, how & 0x20 ? take32(i) : play_edge(i));
}

/* A BAR where a guest would put it, and its registers. */
void play_registers(struct input *i)
{
	struct lgbox *b = i->b;
	uint8_t how = take8(i);
	uint32_t slot = (how & 3u) + 1, bar = LGBOX_MMIO + slot * UM_PAGE_SIZE;
	uint64_t at = bar + take8(i) % 136u, value;
	unsigned bytes = 1u << (how >> 2 & 3);

	if (how >= 0xE0) {
		virtio_pci_port_out(b->pci, 0xCF8, 4, 0x80000000u | slot << 11 | 0x10);
		virtio_pci_port_out(b->pci, 0xCFC, 4, how & 0x10 ? bar : play_physical(i));
		virtio_pci_port_out(b->pci, 0xCF8, 4, 0x80000000u | slot << 11 | 4);
		virtio_pci_port_out(b->pci, 0xCFC, 2, how & 8 ? 6 : take16(i));
	} else if (how & 0x40) {
		(void)virtio_pci_read(b->pci, at, bytes, &value);
	} else {
		value = how & 0x80 ? take32(i) : how & 0x20 ? play_physical(i) : take8(i);
		(void)virtio_pci_write(b->pci, at, bytes, value);
	}
}

/* As a driver of virtio 1.0 starts a device: reset, features, queues, ready; rings in pages that hold nothing else. */
void play_pci_start(struct input *i)
{
	enum { SELECT = 8, ACCEPT = 12, STATUS = 20, QUEUE = 22, SIZE = 24, ENABLE = 28, DESC = 32, RINGS = 0x90000 };
	struct lgbox *b = i->b;
	uint8_t how = take8(i);
	uint32_t slot = (how & 3u) + 1, at;

	virtio_pci_port_out(b->pci, 0xCF8, 4, 0x80000000u | slot << 11 | 4);
	virtio_pci_port_out(b->pci, 0xCFC, 2, 6);
	virtio_pci_port_out(b->pci, 0xCF8, 4, 0x80000000u | slot << 11 | 0x10);
	at = virtio_pci_port_in(b->pci, 0xCFC, 4) & ~15u;
	(void)virtio_pci_write(b->pci, at + STATUS, 1, 0);
	(void)virtio_pci_write(b->pci, at + STATUS, 1, 3);
	for (uint32_t half = 0; half < 2; half++) {
		(void)virtio_pci_write(b->pci, at + SELECT, 4, half);
		(void)virtio_pci_write(b->pci, at + ACCEPT, 4, half ? 1 : how & 0x10 ? take32(i) : 0);
	}
	(void)virtio_pci_write(b->pci, at + STATUS, 1, 11);
	for (uint32_t q = 0; q < 2; q++) {
		uint32_t ring = RINGS + (slot * 2 + q) * 2 * UM_PAGE_SIZE;

		(void)virtio_pci_write(b->pci, at + QUEUE, 2, q);
		(void)virtio_pci_write(b->pci, at + SIZE, 2, how & 0x20 ? 1u << (take8(i) & 15) : 64);
		for (uint32_t part = 0; part < 3; part++)
			(void)virtio_pci_write(b->pci, at + DESC + 8 * part, 4,
			                       how == 0xC0 ? play_physical(i) : ring + part * 2048);
		(void)virtio_pci_write(b->pci, at + ENABLE, 2, 1);
	}
	(void)virtio_pci_write(b->pci, at + STATUS, 1, how == 0x80 ? take8(i) : 15);
}

void play_input(struct input *i)
{
	struct lgbox *b = i->b;
	uint8_t bytes[64], how = take8(i);
	struct net_backend *net = &b->set_of[b->transport].net;
	size_t count = take8(i) & 63;

	for (size_t n = 0; n < count; n++)
		bytes[n] = (uint8_t)(how + n);
	if (how < 0x60)
		(void)virtio_console_input(lgbox_device(b, 0), bytes, count);
	else if (how < 0xC0 && net->receive)
		(void)net->receive(net->user, bytes, count);
	else
		virtio_console_resize(lgbox_device(b, 0), how, (uint16_t)count);
}

