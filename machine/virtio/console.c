/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/console.c - a terminal with one port (virtio 1.0, section 5.3).
 *
 *   1. State          two bounded buffers
 *   2. Output         queue 1, and the emergency write
 *   3. Input          queue 0
 *   4. Configuration  the window's size
 *   5. Ops, making
 *
 * Early guests spin with interrupts off until their output is in the used ring, so output is taken
 * while the notify is handled: into a buffer, from which the terminal takes it at its own pace.
 * Only when the buffer is full is a request held back, to go on where it stopped at a later poll.
 */
#include <string.h>

#include "machine/virtio/internal.h"

/* ---- 1. State ------------------------------------------------------------------------------- */

enum { INPUT, OUTPUT };
enum { F_SIZE = 0, F_EMERGENCY = 2 };                             /* features, 5.3.3 */
enum { COLUMNS = 0, ROWS = 2, EMERGENCY = 8, CONFIG_BYTES = 12 }; /* configuration, 5.3.4 */

/* What a guest may have in flight while the terminal is slow: more would be host memory at its
 * will. */
#define OUTPUT_BYTES 65536u
#define INPUT_BYTES 4096u
/* Of one pass: a chain may name the same page 256 times, a ring 1024 such chains. */
#define OUTPUT_PASS (1u << 20)

struct fifo {
	uint8_t *bytes;
	size_t room, first, used;
};

struct console {
	size_t (*put)(void *user, const uint8_t *bytes, size_t count);
	void *user;
	struct fifo out, in;
	uint8_t out_bytes[OUTPUT_BYTES], in_bytes[INPUT_BYTES];
	uint16_t columns, rows;
	bool held; /* `chain` is half done */
	size_t at; /* bytes of it taken */
	struct virtio_chain chain;
};

/* The longest piece that lies in one stretch: to fill ... */
static size_t fifo_space(const struct fifo *f, uint8_t **at)
{
	size_t last = (f->first + f->used) % f->room;

	*at = f->bytes + last;
	if (f->used == f->room)
		return 0;
	return last < f->first ? f->first - last : f->room - last;
}

/* ... and to empty. */
static size_t fifo_held(const struct fifo *f, const uint8_t **at)
{
	size_t to_end = f->room - f->first;

	*at = f->bytes + f->first;
	return f->used < to_end ? f->used : to_end;
}

static void fifo_drop(struct fifo *f, size_t count)
{
	f->first = (f->first + count) % f->room;
	f->used -= count;
}

/* ---- 2. Output ------------------------------------------------------------------------------ */

/* Give the terminal what it takes. */
static void drain(struct console *c)
{
	const uint8_t *at;

	while (c->out.used) {
		size_t count = fifo_held(&c->out, &at);
		size_t taken = c->put(c->user, at, count);

		if (taken > count)
			taken = count;
		fifo_drop(&c->out, taken);
		if (taken < count)
			break;
	}
}

void virtio_console_flush(struct virtio_device *d)
{
	drain(d->state);
}

/* Move the held chain on; true: all of it is in the buffer. */
static bool absorb(struct console *c, size_t *budget)
{
	uint8_t *at;

	while (c->at < c->chain.read_bytes) {
		size_t space = fifo_space(&c->out, &at);

		if (!space) {
			drain(c);
			space = fifo_space(&c->out, &at);
		}
		if (space > *budget)
			space = *budget;
		if (!space)
			return false;
		space = chain_read(&c->chain, c->at, at, space);
		c->out.used += space;
		c->at += space;
		*budget -= space;
	}
	return true;
}

static void serve_output(struct virtio_device *d)
{
	struct console *c = d->state;
	struct virtqueue *q = &d->queue[OUTPUT];
	size_t budget = OUTPUT_PASS;
	bool wanted = false;
	unsigned pass;

	for (pass = 0; pass < VIRTIO_PASS; pass++) {
		if (!c->held && !virtqueue_take(q, d->memory, &c->chain))
			break;
		if (!c->held)
			c->at = 0;
		c->held = !absorb(c, &budget);
		if (c->held)
			break;
		wanted |= virtqueue_give(q, d->memory, &c->chain, 0);
	}
	drain(c);
	/* A slow terminal is waited for, not polled: busy is only what the bounds of this pass
	 * left. */
	d->busy = !budget || (pass == VIRTIO_PASS && virtqueue_has_more(q, d->memory));
	virtio_interrupt(d, OUTPUT, wanted);
}

/* One character for the terminal, without queues or features: the first and the last words of a
 * guest. */
static void write_emergency(struct virtio_device *d)
{
	struct console *c = d->state;
	uint8_t *at;

	if (!fifo_space(&c->out, &at))
		drain(c);
	if (fifo_space(&c->out, &at)) {
		*at = d->config[EMERGENCY];
		c->out.used++;
	}
	drain(c);
}

/* ---- 3. Input ------------------------------------------------------------------------------- */

/* What was typed goes into the buffers that the guest has posted. */
static void serve_input(struct virtio_device *d)
{
	struct console *c = d->state;
	struct virtqueue *q = &d->queue[INPUT];
	struct virtio_chain chain;
	const uint8_t *at;
	bool wanted = false;

	for (unsigned pass = 0; pass < VIRTIO_PASS && c->in.used; pass++) {
		size_t done = 0;

		if (!virtqueue_take(q, d->memory, &chain))
			break;
		while (c->in.used) {
			size_t part = fifo_held(&c->in, &at);

			part = chain_write(&chain, d->memory, done, at, part);
			if (!part)
				break;
			fifo_drop(&c->in, part);
			done += part;
		}
		wanted |= virtqueue_give(q, d->memory, &chain, (uint32_t)done);
	}
	virtio_interrupt(d, INPUT, wanted);
}

size_t virtio_console_input(struct virtio_device *d, const uint8_t *bytes, size_t count)
{
	struct console *c = d->state;
	size_t done = 0;
	uint8_t *at;

	while (done < count) {
		size_t part = fifo_space(&c->in, &at);

		if (!part)
			break;
		if (part > count - done)
			part = count - done;
		memcpy(at, bytes + done, part);
		c->in.used += part;
		done += part;
	}
	if (d->started)
		serve_input(d);
	return done;
}

/* ---- 4. Configuration ----------------------------------------------------------------------- */

static void fill_config(struct virtio_device *d)
{
	const struct console *c = d->state;

	memset(d->config, 0, CONFIG_BYTES);
	virtio_put(d->config + COLUMNS, c->columns, 2);
	virtio_put(d->config + ROWS, c->rows, 2);
}

void virtio_console_resize(struct virtio_device *d, uint16_t columns, uint16_t rows)
{
	struct console *c = d->state;

	if (c->columns == columns && c->rows == rows)
		return;
	c->columns = columns;
	c->rows = rows;
	fill_config(d);
	virtio_config_changed(d);
}

/* Only the emergency write is the guest's to write. */
static void console_config_written(struct virtio_device *d, unsigned offset, unsigned bytes)
{
	if (offset <= EMERGENCY && offset + bytes > EMERGENCY)
		write_emergency(d);
	fill_config(d);
}

/* ---- 5. Ops, making ------------------------------------------------------------------------- */

/* What is in the buffers stays: it was printed, or typed. */
static void console_reset(struct virtio_device *d)
{
	struct console *c = d->state;

	c->held = false;
	c->at = 0;
}

static void console_notify(struct virtio_device *d, unsigned queue)
{
	if (queue == OUTPUT)
		serve_output(d);
	else
		serve_input(d);
}

static void console_poll(struct virtio_device *d)
{
	if (!d->started) {
		drain(d->state);
		return;
	}
	serve_output(d);
	serve_input(d);
}

static const struct virtio_ops console_ops = {
    .type = VIRTIO_CONSOLE,
    .name = "console",
    .queues = 2,
    .reset = console_reset,
    .notify = console_notify,
    .config_written = console_config_written,
    .poll = console_poll,
};

struct virtio_device *virtio_console_new(const struct virtio_memory *m, void *user,
					 size_t (*put)(void *user, const uint8_t *bytes,
						       size_t count))
{
	struct virtio_device *d = virtio_new(&console_ops, m, sizeof(struct console));
	struct console *c;

	if (!d)
		return NULL;
	c = d->state;
	c->put = put;
	c->user = user;
	c->out = (struct fifo){.bytes = c->out_bytes, .room = OUTPUT_BYTES};
	c->in = (struct fifo){.bytes = c->in_bytes, .room = INPUT_BYTES};
	c->columns = 80;
	c->rows = 25;
	d->offered |= 1ull << F_SIZE | 1ull << F_EMERGENCY;
	d->config_bytes = CONFIG_BYTES;
	fill_config(d);
	return d;
}
