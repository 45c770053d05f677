/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_ring.c - the records that are kept: a bounded ring, and looking into it.
 */
#include <stdlib.h>

#include "scope/trace_internal.h"

bool ring_make(struct trace_ring *ring, size_t bytes)
{
	uint64_t size = bytes / sizeof *ring->record;
	struct trace_record *record = calloc(size, sizeof *record);
	if (!record)
		return false;
	*ring = (struct trace_ring){ record, size, 1, 1 };
	return true;
}

void ring_free(struct trace_ring *ring)
{
	free(ring->record);
	*ring = (struct trace_ring){ 0 };
}

struct trace_record *ring_at(const struct trace_ring *ring, uint64_t seq)
{
	return &ring->record[seq % ring->size];
}

struct trace_record *ring_push(struct trace_ring *ring)
{
	if (ring->next - ring->first == ring->size)
		ring->first++;
	struct trace_record *r = ring_at(ring, ring->next);
	*r = (struct trace_record){ .seq = ring->next++ };
	return r;
}

void ring_pop(struct trace_ring *ring)
{
	if (ring->next > ring->first)
		ring->next--;
}

uint64_t trace_visit(const struct trace *t, uint64_t count, void (*visit)(void *user, const struct trace_record *r),
                     void *user)
{
	const struct trace_ring *ring = &t->ring;
	uint64_t kept = ring->next - ring->first, from = kept > count ? ring->next - count : ring->first;
	for (uint64_t seq = from; seq < ring->next; seq++)
		visit(user, ring_at(ring, seq));
	return ring->next - from;
}

void trace_clear(struct trace *t)
{
	out_drain(t, true);
	t->ring.first = t->cleared = t->ring.next;
	t->open = 0;
}

bool trace_resize(struct trace *t, size_t bytes)
{
	struct trace_ring ring;
	if (!ring_make(&ring, bytes))
		return false;
	trace_clear(t);
	ring.first = ring.next = t->ring.next;
	ring_free(&t->ring);
	t->ring = ring;
	return true;
}

void trace_get_status(const struct trace *t, struct trace_status *s)
{
	*s = (struct trace_status){
		.running = t->running,
		.writing = t->out.fd >= 0,
		.bytes = (size_t)(t->ring.size * sizeof *t->ring.record),
		.seen = t->ring.next - t->cleared,
		.kept = t->ring.next - t->ring.first,
		.written = t->out.records,
		.lost = t->out.lost,
		.error = t->out.error,
		.filter = t->filter,
		.path = t->out.path[0] ? t->out.path : NULL,
		.format = t->out.format,
	};
	s->overwritten = s->seen - s->kept;
}
