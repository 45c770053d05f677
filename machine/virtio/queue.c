/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/queue.c - split virtqueues: requests in, answers out.
 *
 *   1. Layout      where things are in a ring (virtio 1.0, section 2.4)
 *   2. Reading     words that the guest may change under our hands
 *   3. Chains      descriptors become segments of host memory
 *   4. Queues      take, put back, give
 *   5. Copying     out of and into a chain
 *
 * Nothing here trusts the ring.  Each word is read once and what was read is what is checked and
 * used, so a guest that changes it in between (another processor, its own DMA) gains nothing.  A
 * ring that makes no sense breaks the queue, with a reason; the guest resets the device to use it
 * again.  Every loop is bounded by VIRTIO_SEGMENTS: descriptors that point in a circle end there.
 */
#include <stdatomic.h>
#include <string.h>

#include "machine/virtio/internal.h"

/* ---- 1. Layout ------------------------------------------------------------------------------ */

enum { DESC_BYTES = 16, USED_BYTES = 8 };
enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 }; /* flags of a descriptor, 2.4.5 */
enum { AVAIL_NO_INTERRUPT = 1 };                           /* flags of the available ring, 2.4.6 */
enum { RING_FLAGS = 0, RING_INDEX = 2, RING_ENTRIES = 4 }; /* of both rings */
enum { LEGACY_ALIGN = 4096, ALIGN_DESC = 16, ALIGN_AVAIL = 2, ALIGN_USED = 4 };

struct desc {
	uint64_t gpa;
	uint32_t count;
	uint16_t flags, next;
};

static uint64_t avail_bytes(uint16_t num)
{
	return RING_ENTRIES + 2u * num;
}

static uint64_t used_bytes(uint16_t num)
{
	return RING_ENTRIES + (uint64_t)USED_BYTES * num;
}

/* Where the used part begins: both rings end with a word for the event index, used or not (2.4.2).
 */
static uint64_t used_offset(uint16_t num)
{
	uint64_t end = (uint64_t)DESC_BYTES * num + avail_bytes(num) + 2;

	return (end + LEGACY_ALIGN - 1) & ~(uint64_t)(LEGACY_ALIGN - 1);
}

void virtqueue_place(struct virtqueue *q, uint16_t num, uint64_t base)
{
	q->num = num;
	q->desc = base;
	q->avail = base + (uint64_t)DESC_BYTES * num;
	q->used = base + used_offset(num);
}

uint64_t virtqueue_bytes(uint16_t num)
{
	return used_offset(num) + used_bytes(num) + 2;
}

void virtqueue_reset(struct virtqueue *q)
{
	q->last_avail = 0;
	q->used_idx = 0;
	q->indirect = false;
	q->enabled = false;
	q->broken = false;
	q->why = NULL;
}

/* ---- 2. Reading ----------------------------------------------------------------------------- */

static bool break_queue(struct virtqueue *q, const char *why)
{
	q->broken = true;
	q->why = why;
	return false;
}

/* A copy that stays as it was read: past the fence the compiler may not look at guest memory again.
 */
static void read_once(void *to, const uint8_t *from, size_t bytes)
{
	memcpy(to, from, bytes);
	atomic_signal_fence(memory_order_seq_cst);
}

/* The index the guest publishes; what it wrote before that is visible after this. */
static uint16_t load_index(const uint8_t *ring)
{
	return atomic_load_explicit((const _Atomic uint16_t *)(const void *)(ring + RING_INDEX),
				    memory_order_acquire);
}

static void store_index(uint8_t *ring, uint16_t value)
{
	atomic_store_explicit((_Atomic uint16_t *)(void *)(ring + RING_INDEX), value,
			      memory_order_release);
}

static uint8_t *ram(const struct virtio_memory *m, uint64_t gpa, uint64_t bytes)
{
	if (gpa + bytes < gpa)
		return NULL;
	return m->at(m->user, gpa, bytes);
}

/* Sizes and places are the guest's choice: looked at when used, not when set. */
static const char *judge_place(const struct virtqueue *q)
{
	if (q->num > VIRTQUEUE_MAX || q->num & (q->num - 1))
		return "the size of a queue is not a power of two up to 1024";
	if (q->desc % ALIGN_DESC || q->avail % ALIGN_AVAIL || q->used % ALIGN_USED)
		return "a ring is not aligned";
	return NULL;
}

/* ---- 3. Chains ------------------------------------------------------------------------------ */

/* A table of descriptors: the queue's own, or an indirect one. */
struct table {
	const uint8_t *at;
	uint32_t count;
};

static bool add_segment(struct virtqueue *q, const struct virtio_memory *m,
			struct virtio_chain *chain, const struct desc *d)
{
	struct virtio_segment *s = &chain->segment[chain->reads + chain->writes];
	uint32_t *total = d->flags & DESC_WRITE ? &chain->write_bytes : &chain->read_bytes;

	if (!(d->flags & DESC_WRITE) && chain->writes)
		return break_queue(q, "a readable buffer follows a writable one");
	if (!d->count)
		return true;
	s->bytes = ram(m, d->gpa, d->count);
	if (!s->bytes)
		return break_queue(q, "a buffer is not in memory");
	if (d->count > VIRTIO_CHAIN_BYTES - chain->read_bytes - chain->write_bytes)
		return break_queue(q, "a request is larger than 64 MiB");
	s->gpa = d->gpa;
	s->count = d->count;
	*total += d->count;
	if (d->flags & DESC_WRITE)
		chain->writes++;
	else
		chain->reads++;
	return true;
}

/* 2.4.5.3: only if negotiated, the last of its chain, whole descriptors, no table in a table. */
static bool enter_indirect(struct virtqueue *q, const struct virtio_memory *m, const struct desc *d,
			   bool inside, struct table *table)
{
	if (!q->indirect)
		return break_queue(q, "an indirect descriptor that was not negotiated");
	if (inside)
		return break_queue(q, "an indirect table in an indirect table");
	if (d->flags & DESC_NEXT)
		return break_queue(q, "a descriptor follows an indirect table");
	if (!d->count || d->count % DESC_BYTES)
		return break_queue(q, "an indirect table of no whole number of descriptors");
	table->at = ram(m, d->gpa, d->count);
	table->count = d->count / DESC_BYTES;
	return table->at ? true : break_queue(q, "an indirect table is not in memory");
}

/* Follow the chain from chain->head.  Each turn of the loop reads one descriptor, so it ends after
 * VIRTIO_SEGMENTS turns whatever `next` says. */
static bool walk_chain(struct virtqueue *q, const struct virtio_memory *m,
		       struct virtio_chain *chain)
{
	struct table table = {ram(m, q->desc, (uint64_t)DESC_BYTES * q->num), q->num};
	uint32_t next = chain->head;
	bool inside = false;
	struct desc d;

	if (!table.at)
		return break_queue(q, "the descriptors are not in memory");
	for (unsigned turn = 0; turn <= VIRTIO_SEGMENTS; turn++) {
		if (next >= table.count)
			return break_queue(q, "a descriptor's number is out of range");
		read_once(&d, table.at + (size_t)next * DESC_BYTES, sizeof d);
		next = d.next;
		if (d.flags & DESC_INDIRECT) {
			if (!enter_indirect(q, m, &d, inside, &table))
				return false;
			inside = true;
			next = 0;
			continue;
		}
		if (chain->reads + chain->writes == VIRTIO_SEGMENTS)
			break;
		if (!add_segment(q, m, chain, &d))
			return false;
		if (!(d.flags & DESC_NEXT))
			return true;
	}
	return break_queue(q, "a chain is longer than 256 descriptors, or goes in a circle");
}

/* ---- 4. Queues ------------------------------------------------------------------------------ */

bool virtqueue_has_more(const struct virtqueue *q, const struct virtio_memory *m)
{
	const uint8_t *avail;

	if (!q->num || !q->enabled || q->broken || judge_place(q))
		return false;
	avail = ram(m, q->avail, avail_bytes(q->num));
	return avail && load_index(avail) != q->last_avail;
}

bool virtqueue_take(struct virtqueue *q, const struct virtio_memory *m, struct virtio_chain *chain)
{
	const uint8_t *avail;
	uint16_t ahead;

	if (!q->num || !q->enabled || q->broken)
		return false;
	if (judge_place(q))
		return break_queue(q, judge_place(q));
	avail = ram(m, q->avail, avail_bytes(q->num));
	if (!avail)
		return break_queue(q, "the available ring is not in memory");
	ahead = (uint16_t)(load_index(avail) - q->last_avail);
	if (!ahead)
		return false;
	if (ahead > q->num)
		return break_queue(q, "the available ring is further ahead than its size");
	chain->reads = chain->writes = 0;
	chain->read_bytes = chain->write_bytes = 0;
	read_once(&chain->head, avail + RING_ENTRIES + 2 * (q->last_avail & (q->num - 1u)),
		  sizeof chain->head);
	if (!walk_chain(q, m, chain))
		return false;
	q->last_avail++;
	return true;
}

void virtqueue_untake(struct virtqueue *q)
{
	q->last_avail--;
}

bool virtqueue_give(struct virtqueue *q, const struct virtio_memory *m,
		    const struct virtio_chain *chain, uint32_t written)
{
	uint32_t entry[2] = {chain->head,
			     written < chain->write_bytes ? written : chain->write_bytes};
	uint64_t offset = RING_ENTRIES + (uint64_t)USED_BYTES * (q->used_idx & (q->num - 1u));
	uint8_t *used, *avail;
	uint16_t flags;

	if (!q->num || !q->enabled || q->broken)
		return false;
	used = ram(m, q->used, used_bytes(q->num));
	avail = ram(m, q->avail, avail_bytes(q->num));
	if (!used || !avail)
		return break_queue(q, "a ring is not in memory");
	memcpy(used + offset, entry, sizeof entry);
	m->wrote(m->user, q->used + offset, sizeof entry);
	store_index(used, ++q->used_idx);
	m->wrote(m->user, q->used + RING_INDEX, 2);
	/* The guest clears its flag, then looks at the index; we store the index, then look at the
	 * flag (2.4.7). */
	atomic_thread_fence(memory_order_seq_cst);
	read_once(&flags, avail + RING_FLAGS, sizeof flags);
	return !(flags & AVAIL_NO_INTERRUPT);
}

/* ---- 5. Copying ----------------------------------------------------------------------------- */

size_t chain_read(const struct virtio_chain *chain, size_t offset, void *to, size_t bytes)
{
	size_t done = 0;

	for (unsigned i = 0; i < chain->reads && done < bytes; i++) {
		const struct virtio_segment *s = &chain->segment[i];
		size_t part;

		if (offset >= s->count) {
			offset -= s->count;
			continue;
		}
		part = s->count - offset < bytes - done ? s->count - offset : bytes - done;
		read_once((uint8_t *)to + done, s->bytes + offset, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t chain_write(const struct virtio_chain *chain, const struct virtio_memory *m, size_t offset,
		   const void *from, size_t bytes)
{
	size_t done = 0;

	for (unsigned i = chain->reads; i < chain->reads + chain->writes && done < bytes; i++) {
		const struct virtio_segment *s = &chain->segment[i];
		size_t part;

		if (offset >= s->count) {
			offset -= s->count;
			continue;
		}
		part = s->count - offset < bytes - done ? s->count - offset : bytes - done;
		memcpy(s->bytes + offset, (const uint8_t *)from + done, part);
		m->wrote(m->user, s->gpa + offset, part);
		done += part;
		offset = 0;
	}
	return done;
}
