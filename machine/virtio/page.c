/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/page.c - the lguest device page: devices in guest memory just above the end of RAM.
 *
 *   1. Making        the page, devices on it, where their rings lie
 *   2. The page      reading and writing what the guest shares
 *   3. The device    what it calls: interrupts, a changed configuration
 *   4. Life          reset, start, and guests that break the order
 *   5. Outside       reset, notify, poll
 *
 * The guest finds records in the first page and the rings in the pages above; it speaks by NOTIFY with the
 * address of a record (its status changed) or of a ring (buffers were added).
 *
 * Who starts a device, and when, differs by the age of the guest:
 *   2.6.24 (format 1)  nobody says anything: live as soon as buffers appear
 *   before 3.1         every change of status is notified (0, 1, 3, 7), and queues are used before 7
 *   3.1 and later      status 0 (reset), features final (3), failed (0x80), nothing else; queues after that
 * The second kind is known by its notification of status 1, which the third never sends.
 */
#include <stdlib.h>
#include <string.h>

#include "machine/virtio/page.h"

enum { STATUS_DRIVER = 2, STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER_OK = 4, STATUS_FAILED = 0x80 };
#define NOTIFY_END (1ull << 32) /* NOTIFY has a 32-bit address */

/* ---- 1. Making ------------------------------------------------------------------------------ */

/* NULL: no memory, or `base` and `pages` name no room in guest memory. */
struct device_page *device_page_new(const struct device_page_config *config)
{
	struct device_page *p;

	if (config->base % PAGE_BYTES || !config->pages || config->pages > PAGE_PAGES ||
	    config->base > NOTIFY_END - (uint64_t)config->pages * PAGE_BYTES ||
	    !config->memory->at(config->memory->user, config->base, PAGE_BYTES))
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->config = *config;
	p->used_pages = 1;
	return p;
}

void device_page_free(struct device_page *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->records; i++)
		virtio_free(p->record[i].device);
	free(p);
}

static unsigned queue_entries(const struct device_page *p)
{
	return p->config.format1 ? PAGE_NUM_FORMAT1 : PAGE_NUM_FORMAT2;
}

static unsigned queue_pages(const struct device_page *p)
{
	return (unsigned)((virtqueue_bytes((uint16_t)queue_entries(p)) + PAGE_BYTES - 1) / PAGE_BYTES);
}

/* Rings follow each other in the order of creation. */
static bool place_rings(const struct device_page *p, struct page_record *r)
{
	const struct virtio_memory *m = p->config.memory;
	uint64_t bytes = (uint64_t)queue_pages(p) * PAGE_BYTES;
	uint64_t at = p->config.base + (uint64_t)p->used_pages * PAGE_BYTES;

	for (unsigned i = 0; i < r->device->queues; i++, at += bytes) {
		if (!m->at(m->user, at, bytes))
			return false;
		r->ring[i] = at;
	}
	return true;
}

static void take_interrupt(void *transport, struct virtio_device *d, unsigned index);
static void take_config_change(void *transport, struct virtio_device *d);

bool device_page_add(struct device_page *p, struct virtio_device *d)
{
	struct page_record *r = &p->record[p->records];
	unsigned pages;

	if (!d->queues || d->queues > VIRTIO_QUEUES || d->config_bytes > VIRTIO_CONFIG_BYTES ||
	    d->queues > PAGE_IRQS - p->used_irqs)
		return false;
	pages = d->queues * queue_pages(p);
	if (pages > p->config.pages - p->used_pages)
		return false;
	*r = (struct page_record){.page = p, .device = d, .at = p->used_bytes, .first_irq = p->used_irqs + 1};
	if (!place_rings(p, r))
		return false;
	page_build_record(r, p->config.format1);
	d->layout = p->config.format1 ? VIRTIO_2_6_24 : VIRTIO_LEGACY;
	d->transport = r;
	d->interrupt = take_interrupt;
	d->config_changed = take_config_change;
	p->used_pages += pages;
	p->used_irqs += d->queues;
	p->used_bytes += r->bytes;
	p->records++;
	return true;
}

/* End of the last page in use, guest-physical: the guest's page-number limit. */
uint64_t device_page_end(const struct device_page *p)
{
	return p->config.base + (uint64_t)p->used_pages * PAGE_BYTES;
}

/* ---- 2. The page ---------------------------------------------------------------------------- */

/* Host address of guest memory that was there when the device was added. */
static uint8_t *find(const struct device_page *p, uint64_t gpa, uint64_t bytes)
{
	return p->config.memory->at(p->config.memory->user, gpa, bytes);
}

static void tell_written(const struct device_page *p, uint64_t gpa, uint64_t bytes)
{
	p->config.memory->wrote(p->config.memory->user, gpa, bytes);
}

static uint8_t *find_record(const struct page_record *r)
{
	return find(r->page, r->page->config.base + r->at, r->bytes);
}

static uint8_t read_status(const struct page_record *r)
{
	const uint8_t *record = find_record(r);

	return record ? record[r->status] : 0;
}

/* What was not offered is not accepted, whatever the page says. */
static uint64_t read_accepted(const struct page_record *r)
{
	const uint8_t *record = find_record(r);
	uint64_t accepted = 0;

	for (unsigned i = 0; record && i < r->feature_bytes; i++)
		accepted |= (uint64_t)record[r->accepted + i] << (8 * i);
	return accepted & page_offered(r, r->page->config.format1);
}

static void clear_accepted(const struct page_record *r)
{
	uint8_t *record = find_record(r);

	if (!record || !r->feature_bytes)
		return;
	memset(record + r->accepted, 0, r->feature_bytes);
	tell_written(r->page, r->page->config.base + r->at + r->accepted, r->feature_bytes);
}

static void clear_rings(const struct page_record *r)
{
	uint64_t bytes = (uint64_t)queue_pages(r->page) * PAGE_BYTES;

	for (unsigned i = 0; i < r->device->queues; i++) {
		uint8_t *ring = find(r->page, r->ring[i], bytes);

		if (!ring)
			continue;
		memset(ring, 0, bytes);
		tell_written(r->page, r->ring[i], bytes);
	}
}

/* The guest has put something into a ring: its available index is not 0 (offset 2 after the descriptors). */
static bool has_buffers(const struct page_record *r)
{
	for (unsigned i = 0; i < r->device->queues; i++) {
		const uint8_t *index = find(r->page, r->ring[i] + 16 * PAGE_NUM_FORMAT1 + 2, 2);

		if (index && (index[0] || index[1]))
			return true;
	}
	return false;
}

/* ---- 3. The device -------------------------------------------------------------------------- */

static void take_interrupt(void *transport, struct virtio_device *d, unsigned index)
{
	struct page_record *r = transport;

	if (index < d->queues)
		r->page->config.raise(r->page->config.user, r->first_irq + index);
}

/* There is no interrupt for it: the guest finds the new bytes when it looks. */
static void take_config_change(void *transport, struct virtio_device *d)
{
	struct page_record *r = transport;
	uint8_t *record = find_record(r);
	bool format1 = r->page->config.format1;

	(void)d;
	page_build_record(r, format1);
	if (!record || r->bytes == r->config)
		return;
	page_write_config(r, record, format1);
	tell_written(r->page, r->page->config.base + r->at + r->config, r->bytes - r->config);
}

/* ---- 4. Life -------------------------------------------------------------------------------- */

static void reset_device(struct page_record *r)
{
	struct virtio_device *d = r->device;

	virtio_reset(d);
	r->stopped = false;
	for (unsigned i = 0; i < d->queues; i++)
		virtqueue_place(&d->queue[i], (uint16_t)queue_entries(r->page), r->ring[i]);
}

static void start_device(struct page_record *r)
{
	for (unsigned i = 0; i < r->device->queues; i++)
		r->device->queue[i].enabled = true;
	virtio_start(r->device, read_accepted(r));
}

/* The guest broke the order: it is killed, or, if nobody wants that, its device is silent until a reset. */
static void stop_device(struct page_record *r, const char *why)
{
	virtio_reset(r->device); /* nothing of it is left to be done, either */
	r->stopped = true;
	if (r->page->config.kill)
		r->page->config.kill(r->page->config.user, why);
}

/* Format 2: the guest notified its record. */
static void take_status(struct page_record *r)
{
	uint8_t status = read_status(r);
	bool first_of_all = status == STATUS_ACKNOWLEDGE;

	r->touched = true;
	if (!status || status & STATUS_FAILED) {
		reset_device(r);
		clear_accepted(r);
		clear_rings(r);
	} else if (r->stopped) {
		return;
	} else if (r->page->chatty || first_of_all) {
		r->page->chatty = true;
		if (status & STATUS_DRIVER_OK && !r->device->started)
			start_device(r);
	} else if (r->device->started) {
		stop_device(r, "device started twice without a reset");
	} else {
		start_device(r);
	}
}

/* A queue is notified that is not served: is it one of the guests that may do that? */
static bool may_start_by_queue(const struct page_record *r)
{
	if (r->page->config.format1)
		return true;
	/* Before 3.1; the oldest of them notify no record at all. */
	return (r->page->chatty || !r->touched) && read_status(r) & STATUS_DRIVER;
}

static void take_queue(struct page_record *r, unsigned queue)
{
	if (r->stopped)
		return;
	if (!r->device->started) {
		if (!may_start_by_queue(r)) {
			stop_device(r, "queue notified before its device was started");
			return;
		}
		start_device(r);
	}
	virtio_notify(r->device, queue);
}

/* ---- 5. Outside ----------------------------------------------------------------------------- */

/* Write records and empty rings (at the start and at a restart). */
void device_page_reset(struct device_page *p)
{
	uint8_t *page = find(p, p->config.base, PAGE_BYTES);

	p->chatty = false;
	if (page)
		memset(page, 0, PAGE_BYTES);
	for (unsigned i = 0; i < p->records; i++) {
		struct page_record *r = &p->record[i];

		r->touched = false;
		reset_device(r);
		clear_rings(r);
		page_build_record(r, p->config.format1);
		if (page)
			memcpy(page + r->at, r->image, r->bytes);
	}
	if (page)
		tell_written(p, p->config.base, PAGE_BYTES);
}

/* Exact addresses only, records before rings: whatever else is notified is text to print. */
bool device_page_notify(struct device_page *p, uint64_t gpa)
{
	for (unsigned i = 0; i < p->records && !p->config.format1; i++) {
		if (gpa == p->config.base + p->record[i].at) {
			take_status(&p->record[i]);
			return true;
		}
	}
	for (unsigned i = 0; i < p->records; i++) {
		for (unsigned q = 0; q < p->record[i].device->queues; q++) {
			if (gpa == p->record[i].ring[q]) {
				take_queue(&p->record[i], q);
				return true;
			}
		}
	}
	return false;
}

void device_page_poll(struct device_page *p)
{
	for (unsigned i = 0; i < p->records; i++) {
		struct page_record *r = &p->record[i];

		if (p->config.format1 && !r->device->started && has_buffers(r))
			start_device(r);
		virtio_poll(r->device);
	}
}

bool device_page_busy(const struct device_page *p)
{
	for (unsigned i = 0; i < p->records; i++)
		if (p->record[i].device->busy)
			return true;
	return false;
}
