/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/internal.h - what the devices of this folder share.
 *
 *   1. Bounds      of one pass over a queue
 *   2. device.c    making a device, telling the guest
 *   3. disk_file.c bounds of its own
 *   4. net_guard.c frames before a network library sees them
 *   5. Words       little endian, any alignment
 */
#ifndef MACHINE_VIRTIO_INTERNAL_H
#define MACHINE_VIRTIO_INTERNAL_H

#include "machine/virtio/virtio.h"

/* ---- 1. Bounds ------------------------------------------------------------------------------ */

/* Requests served by one notify or poll.  A guest that refills the ring while we empty it would
 * else keep us here for ever; what is left over makes the device busy. */
#define VIRTIO_PASS 256u

/* ---- 2. device.c ---------------------------------------------------------------------------- */

/* A device with `state_bytes` of zeroed state of its own; NULL: no memory. */
struct virtio_device *virtio_new(const struct virtio_ops *ops, const struct virtio_memory *m,
				 size_t state_bytes);
/* Tell the guest of queue `index`, if `wanted` (what virtqueue_give() said). */
void virtio_interrupt(struct virtio_device *d, unsigned index, bool wanted);
void virtio_config_changed(struct virtio_device *d);
/* Is there something to take?  (The queue may yet turn out broken.) */
bool virtqueue_has_more(const struct virtqueue *q, const struct virtio_memory *m);

/* ---- 3. disk_file.c ------------------------------------------------------------------------- */

/* Another bound than DISK_SNAPSHOT_BYTES, for a disk opened as a snapshot. */
void disk_limit_snapshot(struct disk_backend *d, uint64_t bytes);

/* ---- 4. net_guard.c ------------------------------------------------------------------------- */

/* How many bytes of the frame to pass on (it may be changed in place); 0: none of it. */
size_t net_guard(uint8_t *frame, size_t bytes);

/* ---- 5. Words ------------------------------------------------------------------------------- */

static inline void virtio_put(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static inline uint64_t virtio_get(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

#endif
