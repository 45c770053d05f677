/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/pcilguest.c - the PCI bus of lguest as of Linux 4.x, and the odd ports beside it.
 *
 *   1. Making         functions in slots 1.. in the order added
 *   2. Configuration  mechanism 1, the host bridge
 *   3. Ports          0xCF8-0xCFF, 0x64
 *   4. Memory         BARs in the window above RAM
 *   5. Reset, poll
 *
 * What is lguest's own, and nothing else, is here: interrupt numbers are counted from 1 and stand in the line
 * register with no pin; the address register takes parts of a word; a BAR decodes as soon as it lies in the
 * window, whatever the command register says, and lies there from the start; the keyboard controller's status port
 * reads 1.
 */
#include <stdlib.h>

#include "machine/virtio/internal.h"
#include "machine/virtio/pci.h"

/* Slot 0 is the bridge, a bus has 32; 31 is also what lguest has interrupts for. */
#define BUS_DEVICES 31u
#define BUS_ADDRESS_BITS 0x80FFFFFCu
#define BUS_ENABLE 0x80000000u

enum { PORT_KEYBOARD_STATUS = 0x64, PORT_ADDRESS = 0xCF8, PORT_DATA = 0xCFC, PORT_END = 0xD00 };

struct virtio_pci {
	struct virtio_pci_config config;
	uint32_t address;
	uint8_t bridge[PCI_SPACE_BYTES]; /* read-only */
	struct virtio_function function[BUS_DEVICES]; /* [i] is in slot i + 1 and has interrupt i + 1 */
	unsigned functions;
};

/* ---- 1. Making ------------------------------------------------------------------------------ */

struct virtio_pci *virtio_pci_new(const struct virtio_pci_config *config)
{
	struct virtio_pci *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->config = *config;
	virtio_put(p->bridge + PCI_VENDOR, 0x8086, 2);
	virtio_put(p->bridge + PCI_DEVICE, 0x1237, 2);
	virtio_put(p->bridge + PCI_CLASS, 0x0600, 2);
	return p;
}

void virtio_pci_free(struct virtio_pci *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->functions; i++)
		virtio_free(p->function[i].device);
	free(p);
}

static void set_line(void *user, struct virtio_function *f, bool high)
{
	struct virtio_pci *p = user;

	if (high)
		p->config.raise(p->config.user, f->irq_line);
}

/* There is no firmware: BARs begin where one would have put them, one page each from the start of the window.  A
 * guest that places them itself finds nothing in its way. */
static void reset_function(struct virtio_pci *p, struct virtio_function *f)
{
	uint64_t first = (p->config.mmio_first + VIRTIO_BAR_BYTES - 1) & ~(uint64_t)(VIRTIO_BAR_BYTES - 1);
	uint64_t bar = first + (uint64_t)(f - p->function) * VIRTIO_BAR_BYTES;

	virtio_function_reset(f);
	if (bar + VIRTIO_BAR_BYTES <= p->config.mmio_end && bar <= UINT32_MAX)
		virtio_function_space_write(f, PCI_BAR0, 4, (uint32_t)bar);
}

bool virtio_pci_add(struct virtio_pci *p, struct virtio_device *d)
{
	struct virtio_function *f = &p->function[p->functions];

	if (p->functions == BUS_DEVICES || d->queues > VIRTIO_QUEUES || d->config_bytes > VIRTIO_CONFIG_BYTES)
		return false;
	p->functions++;
	virtio_function_init(f, d, (uint8_t)p->functions, 0);
	f->user = p;
	f->line = set_line;
	virtio_function_connect(f);
	reset_function(p, f);
	return true;
}

/* ---- 2. Configuration ----------------------------------------------------------------------- */

/* The slot that the address register names; BUS_DEVICES + 1: nobody answers there. */
static unsigned find_slot(const struct virtio_pci *p)
{
	unsigned bus = p->address >> 16 & 0xFF, slot = p->address >> 11 & 31, function = p->address >> 8 & 7;

	if (!(p->address & BUS_ENABLE) || bus || function || slot > p->functions)
		return BUS_DEVICES + 1;
	return slot;
}

static uint32_t read_space(struct virtio_pci *p, unsigned lane, unsigned bytes)
{
	unsigned slot = find_slot(p), offset = (p->address & 0xFC) + lane;

	if (slot > BUS_DEVICES)
		return ~0u;
	if (!slot)
		return (uint32_t)virtio_get(p->bridge + offset, bytes);
	return virtio_function_space_read(&p->function[slot - 1], offset, bytes);
}

static void write_space(struct virtio_pci *p, unsigned lane, unsigned bytes, uint32_t value)
{
	unsigned slot = find_slot(p);

	if (slot && slot <= BUS_DEVICES)
		virtio_function_space_write(&p->function[slot - 1], (p->address & 0xFC) + lane, bytes, value);
}

/* ---- 3. Ports ------------------------------------------------------------------------------- */

/* The part of an access that lies in one aligned word; the rest is nobody's. */
static unsigned clip_to_word(uint16_t port, unsigned bytes)
{
	unsigned room = 4 - port % 4u;

	return bytes < room ? bytes : room;
}

static uint32_t mask_of(unsigned bytes)
{
	return bytes < 4 ? (1u << (8 * bytes)) - 1 : ~0u;
}

uint32_t virtio_pci_port_in(struct virtio_pci *p, uint16_t port, unsigned bytes)
{
	unsigned inside = clip_to_word(port, bytes), lane = port % 4u;
	uint32_t value;

	if (port == PORT_KEYBOARD_STATUS)
		return 1;
	if (!bytes || port < PORT_ADDRESS || port >= PORT_END)
		return mask_of(bytes);
	value = port < PORT_DATA ? p->address >> (8 * lane) : read_space(p, lane, inside);
	return (value | ~mask_of(inside)) & mask_of(bytes);
}

void virtio_pci_port_out(struct virtio_pci *p, uint16_t port, unsigned bytes, uint32_t value)
{
	unsigned inside = clip_to_word(port, bytes), lane = port % 4u;
	uint8_t raw[4];

	if (!bytes || port < PORT_ADDRESS || port >= PORT_END)
		return;
	if (port >= PORT_DATA) {
		write_space(p, lane, inside, value);
		return;
	}
	virtio_put(raw, p->address, 4);
	virtio_put(raw + lane, value, inside);
	p->address = (uint32_t)virtio_get(raw, 4) & BUS_ADDRESS_BITS;
}

/* ---- 4. Memory ------------------------------------------------------------------------------ */

/* The function whose BAR has the address, and where in it; where two overlap, the lower slot. */
static struct virtio_function *find_bar(struct virtio_pci *p, uint64_t gpa, unsigned *offset)
{
	for (unsigned i = 0; i < p->functions; i++) {
		uint64_t first = virtio_function_bar(&p->function[i]), end = first + VIRTIO_BAR_BYTES;

		if (!first || first < p->config.mmio_first || end > p->config.mmio_end || gpa < first || gpa >= end)
			continue;
		*offset = (unsigned)(gpa - first);
		return &p->function[i];
	}
	return NULL;
}

bool virtio_pci_read(struct virtio_pci *p, uint64_t gpa, unsigned bytes, uint64_t *value)
{
	unsigned offset;
	struct virtio_function *f = find_bar(p, gpa, &offset);

	if (!f)
		return false;
	*value = virtio_function_read(f, offset, bytes);
	return true;
}

bool virtio_pci_write(struct virtio_pci *p, uint64_t gpa, unsigned bytes, uint64_t value)
{
	unsigned offset;
	struct virtio_function *f = find_bar(p, gpa, &offset);

	if (!f)
		return false;
	virtio_function_write(f, offset, bytes, value);
	return true;
}

/* ---- 5. Reset, poll ------------------------------------------------------------------------- */

void virtio_pci_reset(struct virtio_pci *p)
{
	p->address = 0;
	for (unsigned i = 0; i < p->functions; i++)
		reset_function(p, &p->function[i]);
}

void virtio_pci_poll(struct virtio_pci *p)
{
	for (unsigned i = 0; i < p->functions; i++)
		virtio_function_poll(&p->function[i]);
}

bool virtio_pci_busy(const struct virtio_pci *p)
{
	for (unsigned i = 0; i < p->functions; i++)
		if (p->function[i].device->busy)
			return true;
	return false;
}
