/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/pcispace.c - the configuration space of a virtio device's PCI function.
 *
 *   1. The header         identity, class, one 32-bit memory BAR
 *   2. Capabilities       where in the BAR things are (virtio 1.0, 4.1.4)
 *   3. The window         registers of the BAR through configuration space (4.1.4.7)
 *   4. Reading, writing
 *
 * Configuration space is bytes and a mask of what a guest may change.  Sizing the BAR then needs no code,
 * because its zero bits do not change.
 */
#include <string.h>

#include "machine/virtio/internal.h"
#include "machine/virtio/pci.h"

/* ---- 1. The header -------------------------------------------------------------------------- */

enum { VENDOR_VIRTIO = 0x1AF4, DEVICE_VIRTIO = 0x1040, SUBSYSTEM_VIRTIO = 0x40, REVISION_VIRTIO = 1 };
enum { STATUS_INTERRUPT = 1u << 3, STATUS_CAPABILITIES = 1u << 4 };
enum { COMMAND_WRITABLE = 0x0547 }; /* I/O, memory, master, parity, SERR, no interrupts */

static unsigned find_class(enum virtio_type type)
{
	switch (type) {
	case VIRTIO_NET:
		return 0x0200;
	case VIRTIO_BLOCK:
		return 0x0180;
	case VIRTIO_CONSOLE:
		return 0x0700;
	case VIRTIO_ENTROPY:
		break;
	}
	return 0xFF00;
}

static void fill_header(struct virtio_function *f)
{
	enum virtio_type type = f->device->ops->type;

	virtio_put(f->space + PCI_VENDOR, VENDOR_VIRTIO, 2);
	virtio_put(f->space + PCI_DEVICE, DEVICE_VIRTIO + type, 2);
	virtio_put(f->space + PCI_STATUS, STATUS_CAPABILITIES, 2);
	f->space[PCI_REVISION] = REVISION_VIRTIO;
	virtio_put(f->space + PCI_CLASS, find_class(type), 2);
	virtio_put(f->space + PCI_SUBSYSTEM_VENDOR, VENDOR_VIRTIO, 2);
	virtio_put(f->space + PCI_SUBSYSTEM, SUBSYSTEM_VIRTIO, 2);
	virtio_put(f->writable + PCI_COMMAND, COMMAND_WRITABLE, 2);
	virtio_put(f->writable + PCI_BAR0, ~(VIRTIO_BAR_BYTES - 1), 4);
	f->space[PCI_LINE] = f->irq_line;
	f->space[PCI_PIN] = f->irq_pin;
	f->writable[PCI_LINE] = 0xFF;
}

/* ---- 2. Capabilities ------------------------------------------------------------------------ */

/* A capability of a virtio device (4.1.4): {0x09, next, length, kind, bar, 3 pad bytes, offset, length}. */
enum { CAP_VENDOR = 0x09, CAP_BYTES = 16 };
enum { CAP_NEXT = 1, CAP_LENGTH = 2, CAP_KIND = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_COUNT = 12 };
enum { KIND_COMMON = 1, KIND_NOTIFY = 2, KIND_ISR = 3, KIND_DEVICE = 4, KIND_WINDOW = 5 };
/* In this order; notify has a multiplier behind it (0: one register for all queues), the window its data. */
enum {
	AT_COMMON = 0x40,
	AT_NOTIFY = AT_COMMON + CAP_BYTES,
	AT_ISR = AT_NOTIFY + CAP_BYTES + 4,
	AT_WINDOW = AT_ISR + CAP_BYTES,
	AT_WINDOW_DATA = AT_WINDOW + CAP_BYTES,
	AT_DEVICE = AT_WINDOW_DATA + 4
};

static void put_capability(struct virtio_function *f, unsigned at, unsigned next, unsigned kind, unsigned offset,
			   unsigned count)
{
	uint8_t *cap = f->space + at;

	cap[0] = CAP_VENDOR;
	cap[CAP_NEXT] = (uint8_t)next;
	cap[CAP_LENGTH] = (uint8_t)(kind == KIND_NOTIFY || kind == KIND_WINDOW ? CAP_BYTES + 4 : CAP_BYTES);
	cap[CAP_KIND] = (uint8_t)kind;
	virtio_put(cap + CAP_OFFSET, offset, 4);
	virtio_put(cap + CAP_COUNT, count, 4);
}

static void fill_capabilities(struct virtio_function *f)
{
	unsigned device_bytes = f->device->config_bytes;

	f->space[PCI_CAPABILITIES] = AT_COMMON;
	put_capability(f, AT_COMMON, AT_NOTIFY, KIND_COMMON, REGISTER_COMMON, REGISTER_NOTIFY);
	put_capability(f, AT_NOTIFY, AT_ISR, KIND_NOTIFY, REGISTER_NOTIFY, 2);
	put_capability(f, AT_ISR, AT_WINDOW, KIND_ISR, REGISTER_ISR, 1);
	put_capability(f, AT_WINDOW, device_bytes ? AT_DEVICE : 0, KIND_WINDOW, 0, 0);
	f->writable[AT_WINDOW + CAP_BAR] = 0xFF;
	memset(f->writable + AT_WINDOW + CAP_OFFSET, 0xFF, 12); /* offset, count, data */
	if (device_bytes)
		put_capability(f, AT_DEVICE, 0, KIND_DEVICE, REGISTER_DEVICE, device_bytes);
}

/* ---- 3. The window -------------------------------------------------------------------------- */

/* The access that the window's fields ask for: 1, 2 or 4 bytes, aligned, inside BAR0; 0 bytes: none. */
static unsigned find_window(const struct virtio_function *f, unsigned *offset)
{
	const uint8_t *cap = f->space + AT_WINDOW;
	uint64_t at = virtio_get(cap + CAP_OFFSET, 4), bytes = virtio_get(cap + CAP_COUNT, 4);

	if (cap[CAP_BAR] || (bytes != 1 && bytes != 2 && bytes != 4) || at % bytes || at >= VIRTIO_BAR_BYTES)
		return 0;
	*offset = (unsigned)at;
	return (unsigned)bytes;
}

static bool touches_window(unsigned offset, unsigned bytes)
{
	return offset < AT_WINDOW_DATA + 4 && offset + bytes > AT_WINDOW_DATA;
}

/* The BAR need not be mapped for this: it is how a kernel prints its first characters. */
static void read_window(struct virtio_function *f)
{
	unsigned offset, bytes = find_window(f, &offset);

	if (bytes)
		virtio_put(f->space + AT_WINDOW_DATA, virtio_function_read(f, offset, bytes), bytes);
}

static void write_window(struct virtio_function *f)
{
	unsigned offset, bytes = find_window(f, &offset);

	if (bytes)
		virtio_function_write(f, offset, bytes, virtio_get(f->space + AT_WINDOW_DATA, bytes));
}

/* ---- 4. Reading, writing -------------------------------------------------------------------- */

/* An access stays inside one word: a bus cannot ask for more, and we take no other. */
static bool is_in_word(unsigned offset, unsigned bytes)
{
	return offset < PCI_SPACE_BYTES && bytes && bytes <= 4 - offset % 4;
}

uint32_t virtio_function_space_read(struct virtio_function *f, unsigned offset, unsigned bytes)
{
	if (!is_in_word(offset, bytes))
		return ~0u;
	if (touches_window(offset, bytes))
		read_window(f);
	if (f->isr)
		f->space[PCI_STATUS] |= STATUS_INTERRUPT;
	else
		f->space[PCI_STATUS] &= (uint8_t)~STATUS_INTERRUPT;
	return (uint32_t)virtio_get(f->space + offset, bytes);
}

void virtio_function_space_write(struct virtio_function *f, unsigned offset, unsigned bytes, uint32_t value)
{
	if (!is_in_word(offset, bytes))
		return;
	for (unsigned i = 0; i < bytes; i++) {
		uint8_t mask = f->writable[offset + i];

		f->space[offset + i] = (uint8_t)((f->space[offset + i] & ~mask) | (value >> (8 * i) & mask));
	}
	if (touches_window(offset, bytes))
		write_window(f);
	if (offset < PCI_COMMAND + 2 && offset + bytes > PCI_COMMAND)
		virtio_function_update_line(f, false);
}

uint32_t virtio_function_bar(const struct virtio_function *f)
{
	return (uint32_t)virtio_get(f->space + PCI_BAR0, 4);
}

uint16_t virtio_function_command(const struct virtio_function *f)
{
	return (uint16_t)virtio_get(f->space + PCI_COMMAND, 2);
}

static void fill_space(struct virtio_function *f)
{
	memset(f->space, 0, sizeof(f->space));
	memset(f->writable, 0, sizeof(f->writable));
	fill_header(f);
	fill_capabilities(f);
}

/* The caller sets f->line and f->user. */
void virtio_function_init(struct virtio_function *f, struct virtio_device *d, uint8_t irq_line, uint8_t irq_pin)
{
	*f = (struct virtio_function){.device = d, .irq_line = irq_line, .irq_pin = irq_pin};
	fill_space(f);
}

void virtio_function_reset(struct virtio_function *f)
{
	virtio_function_reset_registers(f);
	fill_space(f);
}
