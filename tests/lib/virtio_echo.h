/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/virtio_echo.h - a virtio device with nothing to it, for tests of what carries it.
 *
 * Of every request it copies what it reads into what it writes.  Its type, queues, features and configuration are
 * the test's to choose, and it counts what the transport asks of it.
 */
#ifndef TESTS_LIB_VIRTIO_ECHO_H
#define TESTS_LIB_VIRTIO_ECHO_H

#include "machine/virtio/virtio.h"

struct echo {
	unsigned resets, starts, polls, notifies[VIRTIO_QUEUES];
	unsigned config_writes, config_offset, config_bytes; /* the last write */
	uint64_t accepted;             /* at the last start */
	unsigned *freed;               /* if not NULL: counted up when the device is freed */
};

/* `config` may be NULL: zeroes.  The guest may write the configuration of net devices only. */
struct virtio_device *echo_new(const struct virtio_memory *m, enum virtio_type type, unsigned queues, uint64_t offered,
			       const void *config, unsigned config_bytes);
struct echo *echo_of(struct virtio_device *d);

#endif
