/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/block.c - the virtio block device.
 */
#include "guests/pv/device.h"

enum { FIELD_CAPACITY = 0x41, NO_ANSWER = 0xFF, MANY = 16 };

/* What goes first; format 1 has an id behind it. */
struct header {
	uint32_t type, priority;
	uint64_t sector, id;
};

static struct device *disk;
static uint64_t sectors;
static uint32_t features;

bool block_start(void)
{
	if (disk)
		return true;
	disk = find_device(DEVICE_BLOCK);
	if (!disk)
		return false;
	features = device_begin(disk, FEATURE_FLUSH);
	device_config(disk, FIELD_CAPACITY, 0, &sectors, sizeof sectors);
	return true;
}

uint64_t block_sectors(void)
{
	return sectors;
}

uint32_t block_features(void)
{
	return features;
}

struct virtqueue *block_queue(void)
{
	return &disk->queue[0];
}

static uint32_t header_bytes(void)
{
	return family->devices == DEVICES_FORMAT_1 ? 24 : 16;
}

uint8_t block_request(uint32_t type, uint64_t sector, void *data, uint32_t bytes, uint32_t *used)
{
	static struct header header;
	static uint8_t status;
	const struct buffer list[] = { { &header, header_bytes(), false },
				       { data, bytes, type != BLOCK_WRITE },
				       { &status, 1, true } };
	const struct buffer bare[] = { list[0], list[2] };
	struct used result;

	header.type = type;
	header.sector = sector;
	status = NO_ANSWER;
	if (!queue_request(&disk->queue[0], bytes ? list : bare, bytes ? 3 : 2, &result))
		return NO_ANSWER;
	*used = result.bytes;
	return status;
}

unsigned block_read_many(uint64_t sector, unsigned count, char *data)
{
	static struct header header[MANY];
	static uint8_t status[MANY];
	struct used result;
	unsigned good = 0;

	for (unsigned i = 0; i < count && i < MANY; i++) {
		const struct buffer list[] = { { &header[i], header_bytes(), false },
					       { data + i * SECTOR, SECTOR, true },
					       { &status[i], 1, true } };

		header[i].sector = sector + i;
		status[i] = NO_ANSWER;
		queue_add(&disk->queue[0], list, 3);
	}
	queue_notify(&disk->queue[0]);
	for (unsigned i = 0; i < count && i < MANY && queue_wait(&disk->queue[0], &result); i++)
		;
	for (unsigned i = 0; i < count && i < MANY; i++)
		good += status[i] == BLOCK_OK;
	return good;
}
