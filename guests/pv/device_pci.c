/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/device_pci.c - virtio 1.0 over PCI as family G has it: one memory BAR, which the host emulates
 * for plain moves only.
 *
 *   1. Registers    moves of one register, and nothing else
 *   2. Finding      slots 1 and up of bus 0
 *   3. Life cycle   virtio 1.0, 3.1.1
 */
#include "guests/pv/device.h"
#include "guests/pv/pci.h"

/* ---- 1. Registers --------------------------------------------------------------------------- */

static uint32_t read32(const char *at)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=a"(value) : "d"(at) : "memory");
	return value;
}

static uint16_t read16(const char *at)
{
	uint16_t value;

	__asm__ volatile("movw (%1), %0" : "=a"(value) : "d"(at) : "memory");
	return value;
}

static uint8_t read8(const char *at)
{
	uint8_t value;

	__asm__ volatile("movb (%1), %0" : "=a"(value) : "d"(at) : "memory");
	return value;
}

static void write32(char *at, uint32_t value)
{
	__asm__ volatile("movl %0, 0(%1)" : : "c"(value), "d"(at) : "memory");
}

static void write16(char *at, uint16_t value)
{
	__asm__ volatile("movw %0, 0(%1)" : : "c"(value), "d"(at) : "memory");
}

static void write8(char *at, uint8_t value)
{
	__asm__ volatile("movb %0, 0(%1)" : : "c"(value), "d"(at) : "memory");
}

/* Common configuration (virtio 1.0, 4.1.4.3). */
enum {
	OFFERED_SELECT = 0,
	OFFERED = 4,
	ACCEPTED_SELECT = 8,
	ACCEPTED = 0x0C,
	STATUS = 0x14,
	QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18,
	QUEUE_ENABLE = 0x1C,
	QUEUE_NOTIFY = 0x1E,
	QUEUE_DESC = 0x20,
	QUEUE_AVAIL = 0x28,
	QUEUE_USED = 0x30,
};

/* ---- 2. Finding ----------------------------------------------------------------------------- */

enum { SLOTS = 32, PCI_COMMAND = 4, PCI_BAR0 = 0x10, PCI_IRQ = 0x3C, VIRTIO_VENDOR = 0x1AF4,
       VIRTIO_ID = 0x1040, COMMAND_MEMORY = 2, COMMAND_MASTER = 4, BAR_BYTES = 4096 };
#define BAR_ADDRESS 0xFFFFFFF0u

static char *find_part(const struct device *d, char *bar, enum virtio_cap type)
{
	unsigned at = pci_capability(d->slot, type);

	return at ? bar + pci_read(d->slot, at + CAP_OFFSET) : NULL;
}

/* Where the host put it; or, as a kernel without a BIOS does, above memory and aligned to its size. */
static uint32_t find_bar(unsigned slot)
{
	static uint32_t next;
	uint32_t at = pci_read(slot, PCI_BAR0) & BAR_ADDRESS, size;

	if (at)
		return at;
	pci_write(slot, PCI_BAR0, ~0u);
	size = 0u - (pci_read(slot, PCI_BAR0) & BAR_ADDRESS);
	if (!next)
		next = *(const uint32_t *)virtual(0x2D8);
	at = (next + size - 1) & ~(size - 1);
	next = at + size;
	pci_write(slot, PCI_BAR0, at);
	return at;
}

static void add_device(unsigned slot, unsigned type)
{
	struct device *d = &devices[device_count++];
	uint32_t bar0 = find_bar(slot);
	char *bar;

	d->type = type;
	d->slot = slot;
	pci_write(slot, PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER);
	bar = map_device(bar0, BAR_BYTES, PTE_PCD);
	d->common = find_part(d, bar, CAP_COMMON);
	d->notify = find_part(d, bar, CAP_NOTIFY);
	d->isr = find_part(d, bar, CAP_ISR);
	d->config = find_part(d, bar, CAP_DEVICE);
	d->notify_multiplier = pci_read(slot, pci_capability(slot, CAP_NOTIFY) + CAP_DATA);
}

void pci_find(void)
{
	for (unsigned slot = 1; slot < SLOTS && device_count < DEVICES_MAX; slot++) {
		uint32_t id = pci_read(slot, 0);

		if ((id & 0xFFFF) == VIRTIO_VENDOR && id >> 16 > VIRTIO_ID)
			add_device(slot, (id >> 16) - VIRTIO_ID);
	}
}

/* ---- 3. Life cycle -------------------------------------------------------------------------- */

void pci_reset(struct device *d)
{
	write8(d->common + STATUS, 0);
}

static uint32_t accept_features(struct device *d, uint32_t features)
{
	write32(d->common + OFFERED_SELECT, 0);
	features &= read32(d->common + OFFERED);
	write32(d->common + ACCEPTED_SELECT, 0);
	write32(d->common + ACCEPTED, features);
	write32(d->common + OFFERED_SELECT, 1);
	write32(d->common + ACCEPTED_SELECT, 1);
	write32(d->common + ACCEPTED, read32(d->common + OFFERED) & 1); /* version 1 */
	return features;
}

static void start_queue(struct device *d, unsigned index)
{
	struct virtqueue *q = &d->queue[index];
	uint16_t num;

	write16(d->common + QUEUE_SELECT, (uint16_t)index);
	num = read16(d->common + QUEUE_SIZE);
	if (!num)
		return;
	if (!q->at) {
		q->frame = take_frames((queue_bytes(num) + PAGE - 1) / PAGE);
		q->at = virtual(q->frame);
	}
	memset(q->at, 0, queue_bytes(num));
	q->device = d;
	q->num = num;
	q->index = (uint16_t)index;
	q->irq = pci_read8(d->slot, PCI_IRQ);
	queue_start(q);
	write32(d->common + QUEUE_DESC, q->frame);
	write32(d->common + QUEUE_DESC + 4, 0);
	write32(d->common + QUEUE_AVAIL, physical(q->avail));
	write32(d->common + QUEUE_AVAIL + 4, 0);
	write32(d->common + QUEUE_USED, physical(q->used));
	write32(d->common + QUEUE_USED + 4, 0);
	write16(d->common + QUEUE_ENABLE, 1);
	d->queues = index + 1;
}

uint32_t pci_begin(struct device *d, uint32_t features)
{
	uint8_t status = STATUS_ACKNOWLEDGE | STATUS_DRIVER;

	pci_reset(d);
	write8(d->common + STATUS, STATUS_ACKNOWLEDGE);
	write8(d->common + STATUS, status);
	features = accept_features(d, features);
	status |= STATUS_FEATURES_OK;
	write8(d->common + STATUS, status);
	if (!(read8(d->common + STATUS) & STATUS_FEATURES_OK))
		return 0;
	for (unsigned i = 0; i < QUEUES_MAX; i++)
		start_queue(d, i);
	write8(d->common + STATUS, status | STATUS_DRIVER_OK);
	return features;
}

void pci_config(struct device *d, unsigned offset, void *to, unsigned bytes)
{
	uint8_t *out = to;

	for (unsigned i = 0; i < bytes; i++)
		out[i] = d->config ? read8(d->config + offset + i) : 0;
}

void pci_notify(struct virtqueue *q)
{
	uint32_t offset;

	write16(q->device->common + QUEUE_SELECT, q->index);
	offset = read16(q->device->common + QUEUE_NOTIFY) * q->device->notify_multiplier;
	write16(q->device->notify + offset, q->index);
}

/* Reading it takes the line down. */
void pci_acknowledge(struct device *d)
{
	(void)read8(d->isr);
}
