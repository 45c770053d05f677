/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/device.c - what every virtio device has in common.
 *
 *   1. Making, freeing
 *   2. The transport's side   reset, start, notify, poll
 *   3. The device's side      interrupts
 */
#include <stdlib.h>

#include "machine/virtio/internal.h"

/* ---- 1. Making, freeing --------------------------------------------------------------------- */

struct virtio_device *virtio_new(const struct virtio_ops *ops, const struct virtio_memory *m,
				 size_t state_bytes)
{
	struct virtio_device *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->state = calloc(1, state_bytes);
	if (!d->state) {
		free(d);
		return NULL;
	}
	d->ops = ops;
	d->memory = m;
	d->layout = VIRTIO_LEGACY;
	d->queues = ops->queues;
	d->offered = 1ull << VIRTIO_F_INDIRECT_DESC;
	return d;
}

void virtio_free(struct virtio_device *d)
{
	if (!d)
		return;
	if (d->ops->free)
		d->ops->free(d);
	free(d->state);
	free(d);
}

/* ---- 2. The transport's side ---------------------------------------------------------------- */

void virtio_reset(struct virtio_device *d)
{
	d->started = false;
	d->busy = false;
	d->accepted = 0;
	for (unsigned i = 0; i < d->queues; i++)
		virtqueue_reset(&d->queue[i]);
	if (d->ops->reset)
		d->ops->reset(d);
}

void virtio_start(struct virtio_device *d, uint64_t accepted)
{
	const uint64_t transport_own = 1ull << VIRTIO_F_VERSION_1;

	d->accepted = accepted & (d->offered | transport_own);
	for (unsigned i = 0; i < d->queues; i++)
		d->queue[i].indirect = d->accepted >> VIRTIO_F_INDIRECT_DESC & 1;
	d->started = true;
	if (d->ops->start)
		d->ops->start(d);
}

void virtio_notify(struct virtio_device *d, unsigned queue)
{
	if (d->started && queue < d->queues && d->ops->notify)
		d->ops->notify(d, queue);
}

void virtio_poll(struct virtio_device *d)
{
	if (d->ops->poll)
		d->ops->poll(d);
}

const char *virtio_why_broken(const struct virtio_device *d)
{
	for (unsigned i = 0; i < d->queues; i++)
		if (d->queue[i].broken)
			return d->queue[i].why;
	return NULL;
}

/* ---- 3. The device's side ------------------------------------------------------------------- */

void virtio_interrupt(struct virtio_device *d, unsigned index, bool wanted)
{
	if (wanted && d->interrupt)
		d->interrupt(d->transport, d, index);
}

void virtio_config_changed(struct virtio_device *d)
{
	if (d->config_changed)
		d->config_changed(d->transport, d);
}
