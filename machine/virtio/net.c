/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/net.c - a network card (virtio 1.0, section 5.1).
 *
 *   1. Packets     the header before each frame
 *   2. Receiving   queue 0
 *   3. Sending     queue 1
 *   4. Ops, making
 *
 * No offloads are offered, so the header says nothing and a frame is one frame: at most 1514 bytes,
 * in one chain.
 */
#include <string.h>

#include "machine/virtio/internal.h"

/* ---- 1. Packets ----------------------------------------------------------------------------- */

enum { RECEIVE, SEND };
enum { F_MAC = 5, F_STATUS = 16 };              /* features, 5.1.3 */
enum { MAC = 0, STATUS = 6, CONFIG_BYTES = 8 }; /* configuration, 5.1.4 */
enum { LINK_UP = 1, NUM_BUFFERS = 10, HEADER_MAX = 12 };
enum { FRAME_HEAD = 14, FRAME_MIN = 60 }; /* Ethernet: addresses and type; without the checksum */

/* 2.6.24 had no hdr_len; virtio 1.0 always has num_buffers. */
static uint32_t header_bytes(const struct virtio_device *d)
{
	static const uint32_t bytes[] = {
	    [VIRTIO_2_6_24] = 8, [VIRTIO_LEGACY] = 10, [VIRTIO_1_0] = HEADER_MAX};

	return bytes[d->layout];
}

/* ---- 2. Receiving --------------------------------------------------------------------------- */

/* Frames longer than 1514 bytes make 2.6.24 panic; others would be cut.  A card on a wire sees none
 * under 60. */
static bool net_receive(void *user, const uint8_t *frame, size_t bytes)
{
	static const uint8_t nothing[FRAME_MIN];
	struct virtio_device *d = user;
	struct virtqueue *q = &d->queue[RECEIVE];
	uint32_t head = header_bytes(d), length = (uint32_t)(bytes < FRAME_MIN ? FRAME_MIN : bytes);
	uint8_t header[HEADER_MAX] = {0};
	struct virtio_chain chain;

	if (!d->started || bytes < FRAME_HEAD || bytes > NET_FRAME_MAX)
		return false;
	if (!virtqueue_take(q, d->memory, &chain))
		return false;
	if (chain.write_bytes < head + length) {
		/* back to the guest, empty: a larger one may follow */
		virtio_interrupt(d, RECEIVE, virtqueue_give(q, d->memory, &chain, 0));
		return false;
	}
	if (d->layout == VIRTIO_1_0)
		virtio_put(header + NUM_BUFFERS, 1, 2);
	chain_write(&chain, d->memory, 0, header, head);
	chain_write(&chain, d->memory, head, frame, bytes);
	chain_write(&chain, d->memory, head + bytes, nothing, length - bytes);
	virtio_interrupt(d, RECEIVE, virtqueue_give(q, d->memory, &chain, head + length));
	return true;
}

/* ---- 3. Sending ----------------------------------------------------------------------------- */

static void serve_send(struct virtio_device *d)
{
	struct net_backend *net = *(struct net_backend **)d->state;
	struct virtqueue *q = &d->queue[SEND];
	uint32_t head = header_bytes(d);
	uint8_t frame[NET_FRAME_MAX];
	struct virtio_chain chain;
	bool wanted = false;
	unsigned pass;

	for (pass = 0; pass < VIRTIO_PASS; pass++) {
		uint32_t length;

		if (!virtqueue_take(q, d->memory, &chain))
			break;
		length = chain.read_bytes > head ? chain.read_bytes - head : 0;
		if (length >= FRAME_HEAD && length <= NET_FRAME_MAX) {
			chain_read(&chain, head, frame, length);
			net->ops->send(net, frame, length);
		}
		wanted |= virtqueue_give(q, d->memory, &chain, 0);
	}
	d->busy = pass == VIRTIO_PASS && virtqueue_has_more(q, d->memory);
	virtio_interrupt(d, SEND, wanted);
}

/* ---- 4. Ops, making ------------------------------------------------------------------------- */

/* New receive buffers need nothing done: the next frame finds them. */
static void net_notify(struct virtio_device *d, unsigned queue)
{
	if (queue == SEND)
		serve_send(d);
}

static void net_poll(struct virtio_device *d)
{
	if (d->started && d->busy)
		serve_send(d);
}

static void net_free(struct virtio_device *d)
{
	struct net_backend *net = *(struct net_backend **)d->state;

	net->receive = NULL;
	net->ops->free(net);
}

static const struct virtio_ops net_ops = {
    .type = VIRTIO_NET,
    .name = "net",
    .queues = 2,
    .notify = net_notify,
    .poll = net_poll,
    .free = net_free,
};

struct virtio_device *virtio_net_new(const struct virtio_memory *m, struct net_backend *net,
				     const uint8_t mac[6])
{
	struct virtio_device *d = virtio_new(&net_ops, m, sizeof net);

	if (!d)
		return NULL;
	*(struct net_backend **)d->state = net;
	net->user = d;
	net->receive = net_receive;
	d->offered |= 1ull << F_MAC | 1ull << F_STATUS;
	d->config_bytes = CONFIG_BYTES;
	memcpy(d->config + MAC, mac, 6);
	virtio_put(d->config + STATUS, LINK_UP, 2);
	return d;
}
