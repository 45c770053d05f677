/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/entropy.c - random bytes for the guest (virtio 1.0, section 5.4).
 *
 * One queue: the device fills what is writable.  Bytes come from the embedder's callback; where it
 * has none now, the request waits for the next poll.
 */
#include "machine/virtio/internal.h"

/* Of one request: a guest that asks for gigabytes must not drain the host's source or its time. */
#define ENTROPY_REQUEST 65536u
/* Of one pass over the queue. */
#define ENTROPY_PASS (1u << 20)

struct entropy {
	size_t (*fill)(void *user, uint8_t *bytes, size_t count);
	void *user;
};

/* Straight into the guest's buffers; returns how much came. */
static uint32_t fill_chain(struct virtio_device *d, const struct virtio_chain *chain)
{
	const struct entropy *e = d->state;
	uint32_t done = 0;

	for (unsigned i = chain->reads; i < chain->reads + chain->writes && done < ENTROPY_REQUEST;
	     i++) {
		const struct virtio_segment *s = &chain->segment[i];
		size_t want = s->count < ENTROPY_REQUEST - done ? s->count : ENTROPY_REQUEST - done;
		size_t got = e->fill(e->user, s->bytes, want);

		if (got > want)
			got = want;
		if (got)
			d->memory->wrote(d->memory->user, s->gpa, got);
		done += (uint32_t)got;
		if (got < want)
			break;
	}
	return done;
}

static void serve(struct virtio_device *d)
{
	struct virtqueue *q = &d->queue[0];
	struct virtio_chain chain;
	bool wanted = false;
	uint32_t total = 0, done = 0;
	unsigned pass;

	for (pass = 0; pass < VIRTIO_PASS && total < ENTROPY_PASS; pass++) {
		if (!virtqueue_take(q, d->memory, &chain))
			break;
		done = fill_chain(d, &chain);
		if (!done && chain.write_bytes) {
			virtqueue_untake(q);
			break;
		}
		total += done;
		wanted |= virtqueue_give(q, d->memory, &chain, done);
	}
	d->busy =
	    (pass == VIRTIO_PASS || total >= ENTROPY_PASS) && virtqueue_has_more(q, d->memory);
	virtio_interrupt(d, 0, wanted);
}

static void entropy_notify(struct virtio_device *d, unsigned queue)
{
	(void)queue;
	serve(d);
}

static void entropy_poll(struct virtio_device *d)
{
	if (d->started)
		serve(d);
}

static const struct virtio_ops entropy_ops = {
    .type = VIRTIO_ENTROPY,
    .name = "entropy",
    .queues = 1,
    .notify = entropy_notify,
    .poll = entropy_poll,
};

struct virtio_device *virtio_entropy_new(const struct virtio_memory *m,
					 size_t (*fill)(void *user, uint8_t *bytes, size_t count),
					 void *user)
{
	struct virtio_device *d = virtio_new(&entropy_ops, m, sizeof(struct entropy));
	struct entropy *e;

	if (!d)
		return NULL;
	e = d->state;
	e->fill = fill;
	e->user = user;
	return d;
}
