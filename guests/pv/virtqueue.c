/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/virtqueue.c - the guest's side of a virtqueue (virtio 1.0, 2.4, and the older layout that lguest
 * shares): descriptors, what is available, what was used.
 */
#include "guests/pv/device.h"

enum { DESC_NEXT = 1, DESC_WRITE = 2, USED_NO_NOTIFY = 1 };

struct descriptor {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags, next;
};

static uint32_t used_offset(uint16_t num)
{
	return (16u * num + 4 + 2u * num + 2 + PAGE - 1) & PTE_FRAME;
}

uint32_t queue_bytes(uint16_t num)
{
	return used_offset(num) + 4 + 8u * num + 2;
}

void queue_start(struct virtqueue *q)
{
	q->avail = (volatile uint16_t *)(q->at + 16u * q->num);
	q->used = (volatile uint16_t *)(q->at + used_offset(q->num));
	q->next = q->seen = 0;
}

uint16_t queue_add(struct virtqueue *q, const struct buffer *buffers, unsigned count)
{
	volatile struct descriptor *table = (volatile struct descriptor *)q->at;
	uint16_t head = q->next;

	for (unsigned i = 0; i < count; i++) {
		uint16_t next = (uint16_t)((q->next + 1) % q->num);

		table[q->next].address = physical(buffers[i].at);
		table[q->next].bytes = buffers[i].bytes;
		table[q->next].flags = (uint16_t)((buffers[i].device_writes ? DESC_WRITE : 0) |
						  (i + 1 < count ? DESC_NEXT : 0));
		table[q->next].next = next;
		q->next = next;
	}
	q->avail[2 + q->avail[1] % q->num] = head;
	__asm__ volatile("" : : : "memory");
	q->avail[1]++;
	return head;
}

void queue_notify(struct virtqueue *q)
{
	__asm__ volatile("lock addl $0, (%%esp)" : : : "memory", "cc");
	if (!(q->used[0] & USED_NO_NOTIFY))
		device_notify(q);
}

bool queue_take(struct virtqueue *q, struct used *result)
{
	const volatile struct used *ring = (const volatile struct used *)(q->used + 2);

	if (q->used[1] == q->seen)
		return false;
	__asm__ volatile("" : : : "memory");
	*result = ring[q->seen % q->num];
	q->seen++;
	return true;
}

bool queue_wait(struct virtqueue *q, struct used *result)
{
	uint32_t khz = *data_word(family->tsc_khz), turns = 0;
	uint64_t start = read_tsc(), limit = (uint64_t)(khz ? khz : 1000000) * 2000;

	while (!queue_take(q, result)) {
		if (read_tsc() - start > limit && ++turns > 100000)
			return false;
		__asm__ volatile("pause");
	}
	return true;
}

bool queue_request(struct virtqueue *q, const struct buffer *buffers, unsigned count,
		   struct used *result)
{
	uint16_t head = queue_add(q, buffers, count);

	queue_notify(q);
	return queue_wait(q, result) && result->id == head;
}
