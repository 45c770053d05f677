/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/pciregister.c - the registers of a virtio device's BAR, and the device's life behind them.
 *
 *   1. Layout       the common configuration (virtio 1.0, 4.1.4.3)
 *   2. The line     ISR byte, interrupts, changed configuration
 *   3. Life         status, features, start, what is wrong
 *   4. Queues       size, place, enable
 *   5. Reading
 *   6. Writing
 *
 * Fields are written in their own width (4.1.3.1), the 64-bit ones also by halves; any other write does
 * nothing.  Reads may have any width.  There is no MSI-X: its vectors read as "none".
 */
#include <string.h>

#include "machine/virtio/internal.h"
#include "machine/virtio/pci.h"

/* ---- 1. Layout ------------------------------------------------------------------------------ */

enum {
	COMMON_OFFERED_SELECT = 0,
	COMMON_OFFERED = 4,
	COMMON_ACCEPTED_SELECT = 8,
	COMMON_ACCEPTED = 12,
	COMMON_MSIX_CONFIG = 16,
	COMMON_QUEUES = 18,
	COMMON_STATUS = 20,
	COMMON_GENERATION = 21,
	COMMON_QUEUE_SELECT = 22,
	COMMON_QUEUE_SIZE = 24,
	COMMON_QUEUE_MSIX = 26,
	COMMON_QUEUE_ENABLE = 28,
	COMMON_QUEUE_DESC = 32, /* after the queue's notify offset, 30: always 0 */
	COMMON_QUEUE_AVAIL = 40,
	COMMON_QUEUE_USED = 48
};
enum { NO_VECTOR = 0xFFFF };
enum { ISR_QUEUE = 1, ISR_CONFIG = 2 }; /* 4.1.4.5 */
enum { ALIGN_DESC = 16, ALIGN_AVAIL = 2, ALIGN_USED = 4 }; /* 2.4 */

/* 2.1 */
enum {
	STATUS_ACKNOWLEDGE = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 0x40,
	STATUS_FAILED = 0x80
};
enum { STATUS_WRITABLE = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | STATUS_FEATURES_OK | STATUS_FAILED };

/* ---- 2. The line ---------------------------------------------------------------------------- */

void virtio_function_update_line(struct virtio_function *f, bool event)
{
	bool high = f->isr && !(virtio_function_command(f) & PCI_COMMAND_NO_INTERRUPT);

	if (high == f->high && !(high && event))
		return;
	f->high = high;
	f->line(f->user, f, high);
}

static void announce(struct virtio_function *f, uint8_t what)
{
	f->isr |= what;
	virtio_function_update_line(f, true);
}

static void take_interrupt(void *transport, struct virtio_device *d, unsigned index)
{
	(void)d;
	(void)index; /* they share the line */
	announce(transport, ISR_QUEUE);
}

/* A driver that reads the generation before and after sees that the bytes changed in between. */
static void take_config_change(void *transport, struct virtio_device *d)
{
	struct virtio_function *f = transport;

	(void)d;
	f->generation++;
	if (f->status & STATUS_DRIVER_OK)
		announce(f, ISR_CONFIG);
}

void virtio_function_connect(struct virtio_function *f)
{
	f->device->layout = VIRTIO_1_0;
	f->device->transport = f;
	f->device->interrupt = take_interrupt;
	f->device->config_changed = take_config_change;
}

/* ---- 3. Life -------------------------------------------------------------------------------- */

uint64_t virtio_function_offered(const struct virtio_function *f)
{
	return f->device->offered | 1ull << VIRTIO_F_VERSION_1;
}

void virtio_function_reset_registers(struct virtio_function *f)
{
	virtio_reset(f->device);
	f->offered_select = f->accepted_select = 0;
	f->accepted = 0;
	f->queue_select = 0;
	f->status = 0;
	f->isr = 0;
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		f->queue[i] = (struct function_queue){.num = VIRTIO_PCI_NUM};
	virtio_function_update_line(f, false);
}

/* Nothing more can be done with the device until the driver resets it (2.1.2). */
static void need_reset(struct virtio_function *f)
{
	if (f->status & STATUS_NEEDS_RESET)
		return;
	f->status |= STATUS_NEEDS_RESET;
	if (f->status & STATUS_DRIVER_OK)
		announce(f, ISR_CONFIG);
}

static void check_queues(struct virtio_function *f)
{
	if (virtio_why_broken(f->device))
		need_reset(f);
}

/* A subset of what is offered; and only version 1 is spoken here. */
static bool are_features_fine(const struct virtio_function *f)
{
	return !(f->accepted & ~virtio_function_offered(f)) && f->accepted >> VIRTIO_F_VERSION_1 & 1;
}

static void start_device(struct virtio_function *f)
{
	if (!(f->status & STATUS_FEATURES_OK)) {
		need_reset(f);
		return;
	}
	f->status |= STATUS_DRIVER_OK;
	virtio_start(f->device, f->accepted);
	/* Buffers may lie there already: they were not ours to take before. */
	for (unsigned i = 0; i < f->device->queues; i++)
		if (f->queue[i].enabled)
			virtio_notify(f->device, i);
	check_queues(f);
}

/* Bits are only ever added; 0 resets. */
static void write_status(struct virtio_function *f, uint8_t value)
{
	uint8_t added = value & STATUS_WRITABLE & (uint8_t)~f->status;

	if (!value) {
		virtio_function_reset_registers(f);
		return;
	}
	f->status |= added & (STATUS_ACKNOWLEDGE | STATUS_DRIVER);
	if (added & STATUS_FAILED) {
		f->status |= STATUS_FAILED;
		virtio_reset(f->device);
	}
	if (f->status & STATUS_FAILED)
		return;
	if (added & STATUS_FEATURES_OK && are_features_fine(f))
		f->status |= STATUS_FEATURES_OK;
	if (added & STATUS_DRIVER_OK)
		start_device(f);
}

static void write_accepted(struct virtio_function *f, uint32_t value)
{
	unsigned shift = 32 * f->accepted_select;

	if (f->accepted_select > 1 || f->status & STATUS_FEATURES_OK)
		return;
	f->accepted = (f->accepted & ~(0xFFFFFFFFull << shift)) | (uint64_t)value << shift;
}

/* ---- 4. Queues ------------------------------------------------------------------------------ */

/* The one that the driver selected; NULL: there is no such. */
static struct function_queue *find_queue(struct virtio_function *f)
{
	return f->queue_select < f->device->queues ? &f->queue[f->queue_select] : NULL;
}

static void set_queue_size(struct function_queue *q, uint64_t num)
{
	if (num && num <= VIRTIO_PCI_NUM && !(num & (num - 1)))
		q->num = (uint16_t)num;
}

/* `at`: from the first of the three addresses. */
static void set_queue_address(struct function_queue *q, unsigned at, unsigned bytes, uint64_t value)
{
	uint64_t *words[] = {&q->desc, &q->avail, &q->used};
	uint64_t *word = words[at / 8];
	uint8_t raw[8];

	if ((bytes != 4 && bytes != 8) || at % bytes)
		return;
	virtio_put(raw, *word, 8);
	virtio_put(raw + at % 8, value, bytes);
	*word = virtio_get(raw, 8);
}

static void enable_queue(struct virtio_function *f, struct function_queue *q)
{
	struct virtqueue *v = &f->device->queue[f->queue_select];

	if (q->desc % ALIGN_DESC || q->avail % ALIGN_AVAIL || q->used % ALIGN_USED) {
		need_reset(f);
		return;
	}
	*v = (struct virtqueue){.num = q->num, .desc = q->desc, .avail = q->avail, .used = q->used};
	virtqueue_reset(v);
	v->indirect = f->accepted >> VIRTIO_F_INDIRECT_DESC & 1;
	v->enabled = true;
	q->enabled = true;
}

/* An enabled queue stays as it is until the reset. */
static void write_queue(struct virtio_function *f, unsigned offset, unsigned bytes, uint64_t value)
{
	struct function_queue *q = find_queue(f);

	if (!q || q->enabled)
		return;
	if (offset == COMMON_QUEUE_SIZE && bytes == 2)
		set_queue_size(q, value);
	else if (offset == COMMON_QUEUE_ENABLE && bytes == 2 && value == 1)
		enable_queue(f, q);
	else if (offset >= COMMON_QUEUE_DESC)
		set_queue_address(q, offset - COMMON_QUEUE_DESC, bytes, value);
}

/* ---- 5. Reading ----------------------------------------------------------------------------- */

static uint32_t half_of(uint64_t word, uint32_t select)
{
	return select < 2 ? (uint32_t)(word >> (32 * select)) : 0;
}

static void fill_common(struct virtio_function *f, uint8_t *image)
{
	const struct function_queue *q = find_queue(f);

	virtio_put(image + COMMON_OFFERED_SELECT, f->offered_select, 4);
	virtio_put(image + COMMON_OFFERED, half_of(virtio_function_offered(f), f->offered_select), 4);
	virtio_put(image + COMMON_ACCEPTED_SELECT, f->accepted_select, 4);
	virtio_put(image + COMMON_ACCEPTED, half_of(f->accepted, f->accepted_select), 4);
	virtio_put(image + COMMON_MSIX_CONFIG, NO_VECTOR, 2);
	virtio_put(image + COMMON_QUEUES, f->device->queues, 2);
	image[COMMON_STATUS] = f->status;
	image[COMMON_GENERATION] = f->generation;
	virtio_put(image + COMMON_QUEUE_SELECT, f->queue_select, 2);
	virtio_put(image + COMMON_QUEUE_MSIX, NO_VECTOR, 2);
	if (!q) /* a size of 0: no such queue */
		return;
	virtio_put(image + COMMON_QUEUE_SIZE, q->num, 2);
	virtio_put(image + COMMON_QUEUE_ENABLE, q->enabled, 2);
	virtio_put(image + COMMON_QUEUE_DESC, q->desc, 8);
	virtio_put(image + COMMON_QUEUE_AVAIL, q->avail, 8);
	virtio_put(image + COMMON_QUEUE_USED, q->used, 8);
}

/* Reading the ISR byte acknowledges: it clears, and the line goes low. */
static uint8_t take_isr(struct virtio_function *f)
{
	uint8_t isr = f->isr;

	f->isr = 0;
	virtio_function_update_line(f, false);
	return isr;
}

uint64_t virtio_function_read(struct virtio_function *f, unsigned offset, unsigned bytes)
{
	uint8_t image[REGISTER_END + 8] = {0};

	if (offset >= REGISTER_END || bytes > 8)
		return 0;
	if (offset < REGISTER_NOTIFY)
		fill_common(f, image);
	if (offset <= REGISTER_ISR && offset + bytes > REGISTER_ISR)
		image[REGISTER_ISR] = take_isr(f);
	memcpy(image + REGISTER_DEVICE, f->device->config, f->device->config_bytes);
	return virtio_get(image + offset, bytes);
}

/* ---- 6. Writing ----------------------------------------------------------------------------- */

static void write_common(struct virtio_function *f, unsigned offset, unsigned bytes, uint64_t value)
{
	if (offset == COMMON_OFFERED_SELECT && bytes == 4)
		f->offered_select = (uint32_t)value;
	else if (offset == COMMON_ACCEPTED_SELECT && bytes == 4)
		f->accepted_select = (uint32_t)value;
	else if (offset == COMMON_ACCEPTED && bytes == 4)
		write_accepted(f, (uint32_t)value);
	else if (offset == COMMON_STATUS && bytes == 1)
		write_status(f, (uint8_t)value);
	else if (offset == COMMON_QUEUE_SELECT && bytes == 2)
		f->queue_select = (uint16_t)value;
	else if (offset >= COMMON_QUEUE_SIZE && offset < REGISTER_NOTIFY)
		write_queue(f, offset, bytes, value);
}

/* What a device lets nobody write has no config_written; the others put right what is not the guest's. */
static void write_device(struct virtio_function *f, unsigned at, unsigned bytes, uint64_t value)
{
	struct virtio_device *d = f->device;

	if (!d->ops->config_written || at >= d->config_bytes)
		return;
	if (bytes > d->config_bytes - at)
		bytes = d->config_bytes - at;
	virtio_put(d->config + at, value, bytes);
	d->ops->config_written(d, at, bytes);
}

void virtio_function_write(struct virtio_function *f, unsigned offset, unsigned bytes, uint64_t value)
{
	if (!bytes || bytes > 8)
		return;
	if (bytes < 8)
		value &= (1ull << (8 * bytes)) - 1;
	if (offset < REGISTER_NOTIFY) {
		write_common(f, offset, bytes, value);
	} else if (offset == REGISTER_NOTIFY && bytes == 2) {
		virtio_notify(f->device, (unsigned)value);
		check_queues(f);
	} else if (offset >= REGISTER_DEVICE) {
		write_device(f, offset - REGISTER_DEVICE, bytes, value);
	}
}

void virtio_function_poll(struct virtio_function *f)
{
	virtio_poll(f->device);
	check_queues(f);
}
