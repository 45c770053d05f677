/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/device_page.c - devices as records of the page above memory, families B to F.
 *
 *   1. Records      format 1 (B): typed fields; format 2: counted parts
 *   2. Life cycle   format 1 has none, format 2 tells by NOTIFY of the record
 *   3. Configuration
 */
#include "guests/pv/device.h"

/* ---- 1. Records ----------------------------------------------------------------------------- */

enum { FIELD_USED = 0x80, FIELD_QUEUE = 0x02, RECORD_1 = 3, RECORD_2 = 5 };

static volatile uint8_t *page;
static uint32_t page_physical;

static uint32_t read_le(const volatile uint8_t *at, unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint32_t)at[i] << 8 * i;
	return value;
}

static bool has_format_1(void)
{
	return family->devices == DEVICES_FORMAT_1;
}

static void add_queue(struct device *d, const volatile uint8_t *at)
{
	struct virtqueue *q = &d->queue[d->queues];

	if (d->queues == QUEUES_MAX)
		return;
	q->device = d;
	q->index = (uint16_t)d->queues++;
	q->num = (uint16_t)read_le(at, 2);
	q->irq = (uint16_t)read_le(at + 2, 2);
	q->frame = read_le(at + 4, 4) * PAGE;
}

/* A field that is taken is marked, so that the next of its type is found the next time. */
static volatile uint8_t *take_field(volatile uint8_t *record, unsigned type, unsigned *bytes)
{
	unsigned end = record[1];

	for (unsigned at = 0; at + 2 <= end; at += 2u + record[RECORD_1 + at + 1]) {
		volatile uint8_t *field = record + RECORD_1 + at;

		if (field[0] != type)
			continue;
		field[0] |= FIELD_USED;
		*bytes = field[1];
		return field + 2;
	}
	return NULL;
}

static unsigned read_record_1(struct device *d)
{
	const volatile uint8_t *field;
	unsigned bytes;

	while ((field = take_field(d->record, FIELD_QUEUE, &bytes)))
		if (bytes == 8)
			add_queue(d, field);
	return RECORD_1 + d->record[1];
}

static unsigned read_record_2(struct device *d)
{
	const volatile uint8_t *r = d->record;

	for (unsigned i = 0; i < r[1]; i++)
		add_queue(d, r + RECORD_2 + 8 * i);
	return RECORD_2 + 8u * r[1] + 2u * r[2] + r[3];
}

void page_find(void)
{
	page_physical = *(const uint32_t *)virtual(0x2D8);
	page = map_device(page_physical, PAGE, 0);
	for (unsigned at = 0; page[at] && device_count < DEVICES_MAX;) {
		struct device *d = &devices[device_count++];

		d->type = page[at];
		d->record = page + at;
		d->record_physical = page_physical + at;
		at += has_format_1() ? read_record_1(d) : read_record_2(d);
	}
}

/* ---- 2. Life cycle -------------------------------------------------------------------------- */

static volatile uint8_t *status_of(struct device *d)
{
	return d->record + (has_format_1() ? 2 : 4);
}

static void tell_record(struct device *d)
{
	call(CALL_NOTIFY, d->record_physical, 0, 0);
}

void page_reset(struct device *d)
{
	*status_of(d) = 0;
	if (!has_format_1())
		tell_record(d);
}

static uint32_t accept_features(struct device *d, uint32_t features)
{
	volatile uint8_t *offered = d->record + RECORD_2 + 8 * d->record[1];
	volatile uint8_t *accepted = offered + d->record[2];

	features &= read_le(offered, d->record[2] < 4 ? d->record[2] : 4);
	for (unsigned i = 0; i < d->record[2]; i++)
		accepted[i] = i < 4 ? (uint8_t)(features >> 8 * i) : 0;
	tell_record(d);
	return features;
}

uint32_t page_begin(struct device *d, uint32_t features)
{
	volatile uint8_t *status = status_of(d);

	page_reset(d);
	*status |= STATUS_ACKNOWLEDGE;
	*status |= STATUS_DRIVER;
	features = has_format_1() ? 0 : accept_features(d, features);
	for (unsigned i = 0; i < d->queues; i++) {
		struct virtqueue *q = &d->queue[i];

		if (!q->at)
			q->at = map_device(q->frame, queue_bytes(q->num), 0);
		queue_start(q);
	}
	*status |= STATUS_DRIVER_OK;
	return features;
}

/* ---- 3. Configuration ----------------------------------------------------------------------- */

/* Format 1 knows fields by type, format 2 by offset. */
void page_config(struct device *d, unsigned field, unsigned offset, void *to, unsigned bytes)
{
	const volatile uint8_t *from;
	uint8_t *out = to;
	unsigned length = 0;

	memset(to, 0, bytes);
	if (has_format_1()) {
		from = take_field(d->record, field, &length);
	} else {
		from = d->record + RECORD_2 + 8 * d->record[1] + 2 * d->record[2] + offset;
		length = d->record[3] > offset ? d->record[3] - offset : 0;
	}
	for (unsigned i = 0; from && i < bytes && i < length; i++)
		out[i] = from[i];
}
