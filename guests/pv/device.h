/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/device.h - virtio devices, however they are found.
 *
 *   1. Queues       virtqueue.c
 *   2. Devices      device_page.c: the page above memory; device_pci.c: family G
 *   3. Drivers      device_console.c, block.c
 */
#ifndef PV_DEVICE_H
#define PV_DEVICE_H

#include "guests/pv/pv.h"

#pragma GCC visibility push(hidden)

/* ---- 1. Queues ------------------------------------------------------------------------------ */

struct device;

struct virtqueue {
	struct device *device;
	uint16_t num, irq, index;
	uint32_t frame; /* physical */
	char *at;       /* where it is mapped */
	volatile uint16_t *avail, *used; /* flags, idx, ring */
	uint16_t next;  /* descriptor */
	uint16_t seen;  /* of used.idx */
	volatile uint32_t interrupts;
};

/* A piece of a request: memory of the linear map. */
struct buffer {
	void *at;
	uint32_t bytes;
	bool device_writes;
};

struct used {
	uint32_t id, bytes;
};

enum { QUEUE_SILENT = 1 }; /* avail.flags: no interrupt, please */

uint32_t queue_bytes(uint16_t num);
void queue_start(struct virtqueue *q); /* num, at are set: the memory is zero */
uint16_t queue_add(struct virtqueue *q, const struct buffer *buffers, unsigned count); /* its head */
void queue_notify(struct virtqueue *q);
bool queue_take(struct virtqueue *q, struct used *result); /* false: nothing came back */
bool queue_wait(struct virtqueue *q, struct used *result); /* spins, two seconds at most */
bool queue_request(struct virtqueue *q, const struct buffer *buffers, unsigned count,
		   struct used *result); /* add, notify, wait */

/* ---- 2. Devices ----------------------------------------------------------------------------- */

enum device_type { DEVICE_NET = 1, DEVICE_BLOCK, DEVICE_CONSOLE, DEVICE_ENTROPY };
enum { STATUS_ACKNOWLEDGE = 1, STATUS_DRIVER = 2, STATUS_DRIVER_OK = 4, STATUS_FEATURES_OK = 8,
       STATUS_FAILED = 0x80 };
enum { DEVICES_MAX = 8, QUEUES_MAX = 3 };

struct device {
	enum device_type type;
	unsigned queues;
	struct virtqueue queue[QUEUES_MAX];
	volatile uint8_t *record; /* of the device page */
	uint32_t record_physical;
	unsigned slot;            /* PCI */
	char *common, *notify, *isr, *config; /* PCI */
	uint32_t notify_multiplier;
};

extern struct device devices[DEVICES_MAX];
extern unsigned device_count;

void devices_start(void);                       /* finds them */
struct device *find_device(enum device_type type); /* NULL: none */
/* Reset, features, queues, ready.  `features` are wanted; those that were offered are returned. */
uint32_t device_begin(struct device *d, uint32_t features);
void device_reset(struct device *d);
void device_config(struct device *d, unsigned field, unsigned offset, void *to, unsigned bytes);
void device_notify(struct virtqueue *q);

/* device_page.c, device_pci.c */
void page_find(void), pci_find(void);
uint32_t page_begin(struct device *d, uint32_t features), pci_begin(struct device *d, uint32_t features);
void page_reset(struct device *d), pci_reset(struct device *d);
void page_config(struct device *d, unsigned field, unsigned offset, void *to, unsigned bytes);
void pci_config(struct device *d, unsigned offset, void *to, unsigned bytes);
void pci_notify(struct virtqueue *q);
void pci_acknowledge(struct device *d);

/* ---- 3. Drivers ----------------------------------------------------------------------------- */

enum { SECTOR = 512 };
enum block_type { BLOCK_READ, BLOCK_WRITE, BLOCK_SCSI, BLOCK_FLUSH = 4, BLOCK_ID = 8 };
enum { BLOCK_OK, BLOCK_ERROR, BLOCK_UNSUPPORTED };
enum { FEATURE_FLUSH = 1u << 9 };

bool block_start(void);
uint64_t block_sectors(void);
uint32_t block_features(void);
/* The status; 0xFF: no answer.  *used: bytes the device says it wrote. */
uint8_t block_request(uint32_t type, uint64_t sector, void *data, uint32_t bytes, uint32_t *used);
/* Many at once, one sector each, into `data`; how many came back well. */
unsigned block_read_many(uint64_t sector, unsigned count, char *data);
struct virtqueue *block_queue(void);
enum { MAC_BYTES = 6, FRAME_MAX = 1514 };
bool net_start(uint8_t *mac);
bool net_send(const void *frame, uint32_t bytes);
uint32_t net_receive(void *frame); /* its bytes, 0: none in two seconds */
uint32_t console_read(char *to, uint32_t room); /* a line, or as much as came in two seconds */

#pragma GCC visibility pop
#endif
