/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/pageformat.c - what a device's record on the lguest page looks like, in both formats.
 *
 *   1. Writing       bytes one after the other, nothing aligned
 *   2. Format 1      Linux 2.6.24: type, config_len, status, then fields {type, length, data}
 *   3. Format 2      later Linux: type, num_vq, feature_len, config_len, status, queues, features twice, config
 *   4. Both
 *
 * Records follow each other without a gap and without alignment; type 0 ends the page.
 */
#include <string.h>

#include "machine/virtio/page.h"

/* ---- 1. Writing ----------------------------------------------------------------------------- */

/* A record has room for all that a device can have: PAGE_RECORD counts it. */
static void put(struct page_record *r, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		r->image[r->bytes++] = (uint8_t)(value >> (8 * i));
}

/* {num u16, irq u16, pfn u32} */
static void put_queue(struct page_record *r, unsigned queue, unsigned num)
{
	put(r, num, 2);
	put(r, r->first_irq + queue, 2);
	put(r, r->ring[queue] / PAGE_BYTES, 4);
}

/* Bytes of a bitmap that has all of these. */
static unsigned count_feature_bytes(uint64_t features)
{
	unsigned bytes = 0;

	for (; features; features >>= 8)
		bytes++;
	return bytes;
}

/* Offered, then as many bytes of zeroes for what the guest accepts. */
static void put_features(struct page_record *r, uint64_t offered)
{
	put(r, offered, r->feature_bytes);
	r->accepted = r->bytes;
	put(r, 0, r->feature_bytes);
}

/* ---- 2. Format 1 ---------------------------------------------------------------------------- */

enum {
	FIELD_QUEUE = 0x02,
	FIELD_FEATURES = 0x40,
	FIELD_NET_MAC = 0x41,
	FIELD_BLOCK_CAPACITY = 0x41,
	FIELD_BLOCK_SEGMENT_BYTES = 0x42,
	FIELD_BLOCK_SEGMENTS = 0x43
};
enum { FORMAT1_HEADER = 3, FORMAT1_LENGTH = 1, FORMAT1_STATUS = 2, FIELD_HEADER = 2 };

/* Feature bits of today that mean the same in 2.6.24: of block the barrier (0).  Its net bits are others. */
enum { BLOCK_BARRIER = 0, BLOCK_SIZE_MAX = 1, BLOCK_SEG_MAX = 2 };
static const uint64_t format1_block_features = 1ull << BLOCK_BARRIER;

static void put_field_header(struct page_record *r, unsigned type, unsigned bytes)
{
	put(r, type, 1);
	put(r, bytes, 1);
}

static void put_field(struct page_record *r, unsigned type, uint64_t value, unsigned bytes)
{
	put_field_header(r, type, bytes);
	put(r, value, bytes);
}

static uint64_t get_config(const struct virtio_device *d, unsigned at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && at + i < d->config_bytes; i++)
		value |= (uint64_t)d->config[at + i] << (8 * i);
	return value;
}

/* Capacity u64, size_max u32, seg_max u32 begin a block device's configuration. */
static void put_block_fields(struct page_record *r)
{
	const struct virtio_device *d = r->device;
	uint64_t limit = PAGE_NUM_FORMAT1 - 2; /* the header and the status byte take an entry each */
	uint64_t segments = d->offered >> BLOCK_SEG_MAX & 1 ? get_config(d, 12, 4) : limit;

	put_field(r, FIELD_BLOCK_CAPACITY, get_config(d, 0, 8), 8);
	if (d->offered >> BLOCK_SIZE_MAX & 1)
		put_field(r, FIELD_BLOCK_SEGMENT_BYTES, get_config(d, 8, 4), 4);
	put_field(r, FIELD_BLOCK_SEGMENTS, segments < limit ? segments : limit, 4);
}

static void build_format1(struct page_record *r)
{
	const struct virtio_device *d = r->device;
	uint64_t offered = page_offered(r, true);

	put(r, d->ops->type, 1);
	put(r, 0, 2); /* the length comes at the end; status */
	r->status = FORMAT1_STATUS;
	for (unsigned i = 0; i < d->queues; i++) {
		put_field_header(r, FIELD_QUEUE, 8);
		put_queue(r, i, PAGE_NUM_FORMAT1);
	}
	r->feature_bytes = count_feature_bytes(offered);
	if (offered) {
		put_field_header(r, FIELD_FEATURES, 2 * r->feature_bytes);
		put_features(r, offered);
	}
	r->config = r->bytes;
	if (d->ops->type == VIRTIO_NET)
		put_field(r, FIELD_NET_MAC, get_config(d, 0, 6), 6);
	else if (d->ops->type == VIRTIO_BLOCK)
		put_block_fields(r);
	r->image[FORMAT1_LENGTH] = (uint8_t)(r->bytes - FORMAT1_HEADER);
}

/* The data of the device's own fields; their types stay, because the guest marks there what it has read. */
static void write_fields(const struct page_record *r, uint8_t *record)
{
	unsigned length;

	for (unsigned at = r->config; at < r->bytes; at += FIELD_HEADER + length) {
		length = r->image[at + 1];
		memcpy(record + at + FIELD_HEADER, r->image + at + FIELD_HEADER, length);
	}
}

/* ---- 3. Format 2 ---------------------------------------------------------------------------- */

enum { FORMAT2_STATUS = 4 };

static void build_format2(struct page_record *r)
{
	const struct virtio_device *d = r->device;
	uint64_t offered = page_offered(r, false);

	r->feature_bytes = count_feature_bytes(offered);
	put(r, d->ops->type, 1);
	put(r, d->queues, 1);
	put(r, r->feature_bytes, 1);
	put(r, d->config_bytes, 1);
	r->status = FORMAT2_STATUS;
	put(r, 0, 1);
	for (unsigned i = 0; i < d->queues; i++)
		put_queue(r, i, PAGE_NUM_FORMAT2);
	put_features(r, offered);
	r->config = r->bytes;
	memcpy(r->image + r->bytes, d->config, d->config_bytes);
	r->bytes += d->config_bytes;
}

/* ---- 4. Both -------------------------------------------------------------------------------- */

/* The features of the device that the format has a place for. */
uint64_t page_offered(const struct page_record *r, bool format1)
{
	const struct virtio_device *d = r->device;

	if (!format1)
		return d->offered & PAGE_FEATURES;
	return d->ops->type == VIRTIO_BLOCK ? d->offered & format1_block_features : 0;
}

/* The record as it is before the guest has touched it; sizes do not change from one time to the next. */
void page_build_record(struct page_record *r, bool format1)
{
	memset(r->image, 0, sizeof(r->image));
	r->bytes = 0;
	if (format1)
		build_format1(r);
	else
		build_format2(r);
}

/* Copy the configuration from the image, and nothing else, to where the guest reads it. */
void page_write_config(const struct page_record *r, uint8_t *record, bool format1)
{
	if (format1)
		write_fields(r, record);
	else
		memcpy(record + r->config, r->image + r->config, r->bytes - r->config);
}
