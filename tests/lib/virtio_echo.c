/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/virtio_echo.c - a virtio device with nothing to it: see virtio_echo.h.
 */
#include <string.h>

#include "machine/virtio/internal.h"
#include "tests/lib/virtio_echo.h"

struct echo *echo_of(struct virtio_device *d)
{
	return d->state;
}

static void echo_reset(struct virtio_device *d)
{
	echo_of(d)->resets++;
}

static void echo_start(struct virtio_device *d)
{
	echo_of(d)->starts++;
	echo_of(d)->accepted = d->accepted;
}

static void serve(struct virtio_device *d, unsigned queue)
{
	struct virtio_chain chain;
	uint8_t bytes[256];
	bool wanted = false;

	for (unsigned pass = 0; pass < VIRTIO_PASS && virtqueue_take(&d->queue[queue], d->memory, &chain); pass++) {
		size_t count = chain_read(&chain, 0, bytes, sizeof bytes);

		count = chain_write(&chain, d->memory, 0, bytes, count);
		wanted |= virtqueue_give(&d->queue[queue], d->memory, &chain, (uint32_t)count);
	}
	virtio_interrupt(d, queue, wanted);
}

static void echo_notify(struct virtio_device *d, unsigned queue)
{
	echo_of(d)->notifies[queue]++;
	serve(d, queue);
}

static void echo_config_written(struct virtio_device *d, unsigned offset, unsigned bytes)
{
	echo_of(d)->config_writes++;
	echo_of(d)->config_offset = offset;
	echo_of(d)->config_bytes = bytes;
}

static void echo_poll(struct virtio_device *d)
{
	echo_of(d)->polls++;
}

static void echo_free(struct virtio_device *d)
{
	if (echo_of(d)->freed)
		++*echo_of(d)->freed;
}

#define ECHO_OPS(kind, words, written)                                                                       \
	{                                                                                                    \
		.type = kind, .name = words, .queues = VIRTIO_QUEUES, .reset = echo_reset,                   \
		.start = echo_start, .notify = echo_notify, .config_written = written, .poll = echo_poll,    \
		.free = echo_free                                                                            \
	}

static const struct virtio_ops echo_ops[] = {
    ECHO_OPS(VIRTIO_NET, "echo as net", echo_config_written),
    ECHO_OPS(VIRTIO_BLOCK, "echo as block", NULL),
    ECHO_OPS(VIRTIO_CONSOLE, "echo as console", NULL),
    ECHO_OPS(VIRTIO_ENTROPY, "echo as entropy", NULL),
};

struct virtio_device *echo_new(const struct virtio_memory *m, enum virtio_type type, unsigned queues, uint64_t offered,
			       const void *config, unsigned config_bytes)
{
	struct virtio_device *d = virtio_new(&echo_ops[type - VIRTIO_NET], m, sizeof(struct echo));

	if (!d)
		return NULL;
	d->queues = queues;
	d->offered = offered;
	d->config_bytes = config_bytes;
	if (config)
		memcpy(d->config, config, config_bytes);
	return d;
}
