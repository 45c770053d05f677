/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/virtio_driver.c - the guest's side of a virtio device: see virtio_driver.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/virtio_driver.h"

static uint8_t *ram_at(void *user, uint64_t gpa, uint64_t bytes)
{
	struct driver *v = user;

	assert_true(bytes && gpa + bytes > gpa); /* a host may rely on it */
	return bytes <= DRIVER_RAM && gpa <= DRIVER_RAM - bytes ? v->ram + gpa : NULL;
}

static void ram_wrote(void *user, uint64_t gpa, uint64_t bytes)
{
	struct driver *v = user;

	assert_true(bytes && bytes <= DRIVER_RAM && gpa <= DRIVER_RAM - bytes);
	memcpy(v->announced + gpa, v->ram + gpa, bytes);
}

static void on_interrupt(void *transport, struct virtio_device *d, unsigned index)
{
	struct driver *v = transport;

	assert_ptr_equal(d, v->d);
	assert_in_range(index, 0, d->queues - 1);
	v->interrupts[index]++;
}

static void on_config_changed(void *transport, struct virtio_device *d)
{
	(void)d;
	((struct driver *)transport)->config_changes++;
}

void driver_open(struct driver *v)
{
	memset(v, 0, sizeof *v);
	v->memory = (struct virtio_memory){.user = v, .at = ram_at, .wrote = ram_wrote};
	v->ram = aligned_alloc(4096, DRIVER_RAM);
	v->announced = malloc(DRIVER_RAM);
	assert_true(v->ram && v->announced);
	memset(v->ram, 0, DRIVER_RAM);
	memset(v->announced, 0, DRIVER_RAM);
}

void driver_start(struct driver *v, struct virtio_device *d, enum virtio_layout layout,
		  uint16_t num, uint64_t features)
{
	uint64_t at = 4096;

	assert_non_null(d);
	v->d = d;
	d->layout = layout;
	d->transport = v;
	d->interrupt = on_interrupt;
	d->config_changed = on_config_changed;
	for (unsigned i = 0; i < d->queues; i++) {
		virtqueue_place(&d->queue[i], num, at);
		at += (virtqueue_bytes(num) + 4095) & ~4095ull;
	}
	v->free = at;
	driver_restart(v, features);
}

void driver_restart(struct driver *v, uint64_t features)
{
	struct virtio_device *d = v->d;

	virtio_reset(d);
	for (unsigned i = 0; i < d->queues; i++) {
		uint64_t bytes = virtqueue_bytes(d->queue[i].num);

		memset(v->ram + d->queue[i].desc, 0, bytes);
		memset(v->announced + d->queue[i].desc, 0, bytes);
		v->next_desc[i] = v->last_used[i] = 0;
		d->queue[i].enabled = true;
	}
	virtio_start(d, features);
}

void driver_check(const struct driver *v)
{
	assert_memory_equal(v->ram, v->announced, DRIVER_RAM);
}

void driver_close(struct driver *v)
{
	driver_check(v);
	virtio_free(v->d);
	free(v->ram);
	free(v->announced);
}

uint64_t driver_alloc(struct driver *v, uint32_t bytes)
{
	uint64_t at = v->free;

	v->free += ((uint64_t)bytes + 15) & ~15ull;
	assert_true(v->free <= DRIVER_RAM);
	return at;
}

void driver_store(struct driver *v, uint64_t gpa, const void *from, size_t bytes)
{
	assert_true(bytes <= DRIVER_RAM && gpa <= DRIVER_RAM - bytes);
	memcpy(v->ram + gpa, from, bytes);
	memcpy(v->announced + gpa, from, bytes);
}

void driver_store16(struct driver *v, uint64_t gpa, uint16_t value)
{
	driver_store(v, gpa, &value, sizeof value);
}

static uint16_t load16(const struct driver *v, uint64_t gpa)
{
	uint16_t value;

	memcpy(&value, v->ram + gpa, sizeof value);
	return value;
}

void driver_desc(struct driver *v, unsigned queue, uint16_t i, uint64_t gpa, uint32_t bytes,
		 uint16_t flags, uint16_t next)
{
	uint64_t at = v->d->queue[queue].desc + 16ull * i;

	driver_store(v, at, &gpa, sizeof gpa);
	driver_store(v, at + 8, &bytes, sizeof bytes);
	driver_store16(v, at + 12, flags);
	driver_store16(v, at + 14, next);
}

void driver_offer(struct driver *v, unsigned queue, uint16_t head)
{
	const struct virtqueue *q = &v->d->queue[queue];
	uint16_t index = load16(v, q->avail + 2);

	driver_store16(v, q->avail + 4 + 2ull * (index % q->num), head);
	driver_store16(v, q->avail + 2, (uint16_t)(index + 1));
}

void driver_quiet(struct driver *v, unsigned queue, bool quiet)
{
	driver_store16(v, v->d->queue[queue].avail, quiet);
}

uint16_t driver_post(struct driver *v, unsigned queue, const struct driver_buffer *buffer,
		     unsigned count)
{
	uint16_t num = v->d->queue[queue].num, head = v->next_desc[queue];

	for (unsigned i = 0; i < count; i++) {
		uint16_t at = v->next_desc[queue], next = (uint16_t)((at + 1) % num);
		uint16_t flags = (uint16_t)((buffer[i].writable ? DRIVER_WRITE : 0) |
					    (i + 1 < count ? DRIVER_NEXT : 0));

		driver_desc(v, queue, at, buffer[i].gpa, buffer[i].bytes, flags, next);
		v->next_desc[queue] = next;
	}
	driver_offer(v, queue, head);
	return head;
}

bool driver_used(struct driver *v, unsigned queue, uint16_t *head, uint32_t *written)
{
	const struct virtqueue *q = &v->d->queue[queue];
	uint64_t at = q->used + 4 + 8ull * (v->last_used[queue] % q->num);
	uint32_t entry[2];

	if (v->last_used[queue] == load16(v, q->used + 2))
		return false;
	memcpy(entry, v->ram + at, sizeof entry);
	assert_true(entry[0] < q->num);
	*head = (uint16_t)entry[0];
	*written = entry[1];
	v->last_used[queue]++;
	return true;
}
