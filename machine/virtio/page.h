/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/page.h - the private index of the lguest device page.
 *
 *   1. Sizes       of the page, its rings, its interrupts
 *   2. Records     one device's place in the page
 *   3. Functions   prototypes, grouped by the file that has them
 *
 * The page is the guest's to overwrite.  Where a record lies, which ring and which interrupt a queue has is
 * kept here and never read back: of the page only the status byte and the accepted features are read.
 */
#ifndef MACHINE_VIRTIO_PAGE_H
#define MACHINE_VIRTIO_PAGE_H

#include "machine/virtio/virtio.h"

/* ---- 1. Sizes ------------------------------------------------------------------------------- */

#define PAGE_BYTES 4096u
#define PAGE_PAGES 256u        /* the device area: the descriptor page and the rings */
#define PAGE_IRQS 31u          /* 1..31; 0 is the timer */
#define PAGE_RECORD 128u       /* the longest record of either format: 5 + 3*8 + 2*4 + 64 */
#define PAGE_FEATURES 0xFFFFFFFFull /* a guest reads no more than 32 bits */
/* Interrupts run out before the page does, the byte that ends the list included. */
_Static_assert(PAGE_IRQS * PAGE_RECORD < PAGE_BYTES, "records fit the page");
enum { PAGE_NUM_FORMAT1 = 128, PAGE_NUM_FORMAT2 = 256 }; /* entries of a queue */

/* ---- 2. Records ----------------------------------------------------------------------------- */

struct page_record {
	struct device_page *page;
	struct virtio_device *device;
	unsigned first_irq;            /* of queue 0; one per queue */
	uint64_t ring[VIRTIO_QUEUES];  /* guest-physical */
	unsigned at, bytes;            /* the record, in the descriptor page */
	unsigned status, accepted, config; /* offsets in the record */
	unsigned feature_bytes;        /* of one bitmap */
	uint8_t image[PAGE_RECORD];    /* as the guest finds it at the start */
	bool touched;                  /* the guest has notified the record since the start */
	bool stopped;                  /* it broke the protocol: nothing until a reset */
};

/* One per interrupt at most, since every device has a queue. */
struct device_page {
	struct device_page_config config;
	struct page_record record[PAGE_IRQS];
	unsigned records;
	unsigned used_bytes;           /* of the descriptor page */
	unsigned used_pages;           /* the descriptor page included */
	unsigned used_irqs;
	bool chatty;                   /* the guest notifies every change of status: Linux before 3.1 */
};

/* ---- 3. Functions --------------------------------------------------------------------------- */

/* pageformat.c: what a record looks like */
void page_build_record(struct page_record *r, bool format1); /* image, bytes, offsets */
uint64_t page_offered(const struct page_record *r, bool format1);
void page_write_config(const struct page_record *r, uint8_t *record, bool format1);

#endif
