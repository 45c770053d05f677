/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_internal.h - the inside of a trace: its index.
 *
 *   trace.c          what happens, as records
 *   trace_ring.c     the records that are kept
 *   trace_file.c     ... and written while the guest runs
 */
#ifndef SCOPE_TRACE_INTERNAL_H
#define SCOPE_TRACE_INTERNAL_H

#include "scope/trace.h"
#include "vmm/vmm.h"

/* A ring of the last `size` records: those of seq `first` to `next` - 1, each at seq % size. */
struct trace_ring {
	struct trace_record *record;
	uint64_t size, first, next;
};

/* The file, and how far it is. */
struct trace_out {
	int fd;                  /* -1: none */
	char path[1024];
	enum trace_format format;
	struct trace_chrome *chrome;
	struct text waiting;     /* formatted, not yet taken; from `sent` on */
	size_t sent;
	uint64_t next;           /* seq of the first record that was not formatted */
	uint64_t records, lost, told_lost;
	uint64_t drained_at;     /* ns */
	int error;
};

struct trace {
	struct vm *vm;
	const struct symbols *symbols;
	struct vm_observer observer;
	bool running;
	struct trace_filter filter;
	struct trace_ring ring;
	uint64_t cleared;        /* seq of the first after trace_clear() */
	/* Records at the end of the ring that wait for their instruction: seq `open` and on, or 0. */
	uint64_t open;
	uint32_t open_linear;    /* of this access, */
	bool open_named;         /* if that is known already */
	/* Writes to tables that have been announced: by whom, what was there.  One store may lie in two tables. */
	struct trace_writer {
		bool is;
		uint32_t linear, eip, old;
		um_gpa gpa;
		uint64_t instructions;
		unsigned access;
	} writer[2];
	unsigned next_writer;
	struct trace_out out;
};

/* trace_ring.c */
bool ring_make(struct trace_ring *ring, size_t bytes);
void ring_free(struct trace_ring *ring);
/* The next one, to be filled in; the oldest goes if there is no room. */
struct trace_record *ring_push(struct trace_ring *ring);
/* The last one never happened. */
void ring_pop(struct trace_ring *ring);
struct trace_record *ring_at(const struct trace_ring *ring, uint64_t seq);

/* trace_file.c */
/* Records were added: write some, if it is time.  `all`: down to the last that is known fully. */
void out_drain(struct trace *t, bool all);

#endif
