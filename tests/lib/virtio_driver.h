/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/virtio_driver.h - the guest's side of a virtio device, over plain memory.
 *
 * RAM is one heap block, so that a device that steps outside is caught by ASan.  A second copy of
 * it follows the test's own writes and those that the device announced: driver_check() fails where
 * the device wrote in silence.
 */
#ifndef TESTS_LIB_VIRTIO_DRIVER_H
#define TESTS_LIB_VIRTIO_DRIVER_H

#include "machine/virtio/virtio.h"

#define DRIVER_RAM (512u << 10)
enum { DRIVER_NEXT = 1, DRIVER_WRITE = 2, DRIVER_INDIRECT = 4 };

struct driver {
	struct virtio_memory memory;
	struct virtio_device *d;
	uint8_t *ram, *announced;
	uint64_t free; /* where driver_alloc() takes from */
	uint16_t next_desc[VIRTIO_QUEUES];
	uint16_t last_used[VIRTIO_QUEUES];
	unsigned interrupts[VIRTIO_QUEUES], config_changes;
};

struct driver_buffer {
	uint64_t gpa;
	uint32_t bytes;
	bool writable;
};

/* RAM first (the device is made with &v->memory), then the device: reset, rings of `num`, started.
 */
void driver_open(struct driver *v);
void driver_start(struct driver *v, struct virtio_device *d, enum virtio_layout layout,
		  uint16_t num, uint64_t features);
/* As a guest does it: reset, rings zeroed, started again. */
void driver_restart(struct driver *v, uint64_t features);
void driver_close(struct driver *v); /* checks, then frees the device and RAM */

uint64_t driver_alloc(struct driver *v, uint32_t bytes); /* at most 4 KiB apart, never given back */
void driver_store(struct driver *v, uint64_t gpa, const void *from, size_t bytes);
void driver_store16(struct driver *v, uint64_t gpa, uint16_t value);
void driver_check(const struct driver *v);

void driver_desc(struct driver *v, unsigned queue, uint16_t i, uint64_t gpa, uint32_t bytes,
		 uint16_t flags, uint16_t next);
/* Make `head` available (no notify). */
void driver_offer(struct driver *v, unsigned queue, uint16_t head);
void driver_quiet(struct driver *v, unsigned queue, bool quiet); /* no interrupts wanted */
/* A chain of buffers, in the next free descriptors; made available, not notified.  Returns its
 * head. */
uint16_t driver_post(struct driver *v, unsigned queue, const struct driver_buffer *buffer,
		     unsigned count);
/* Next answer: true, or false when there is none. */
bool driver_used(struct driver *v, unsigned queue, uint16_t *head, uint32_t *written);

#endif
