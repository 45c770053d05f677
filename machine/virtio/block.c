/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/block.c - a disk (virtio 1.0, section 5.2).
 *
 *   1. Requests    headers of the three layouts, the status byte
 *   2. Transfers   between the disk and a chain
 *   3. Serving     one request, one pass
 *   4. Ops, making
 *
 * A request is read as bytes, not as descriptors: the header is the front of what is readable, the
 * status the last writable byte, whatever lies between is data.  That serves the guests that keep
 * header, data and status in descriptors of their own (all before virtio 1.0) and those that do
 * not.
 */
#include <string.h>

#include "machine/virtio/internal.h"

/* ---- 1. Requests ---------------------------------------------------------------------------- */

enum { F_SEG_MAX = 2, F_RO = 5, F_BLK_SIZE = 6, F_FLUSH = 9 };           /* features, 5.2.3 */
enum { CAPACITY = 0, SEG_MAX = 12, BLK_SIZE = 20, CONFIG_BYTES = 24 };   /* configuration, 5.2.4 */
enum { TYPE_READ = 0, TYPE_WRITE = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8 }; /* 5.2.6 */
enum { STATUS_OK = 0, STATUS_IO_ERROR = 1, STATUS_UNSUPPORTED = 2 };
enum { SECTOR = 512, ID_BYTES = 20, HEADER = 16, HEADER_2_6_24 = 24 };
/* A flag of the drivers before virtio 1.0: requests are done in order anyway. */
#define TYPE_BARRIER 0x80000000u

/* Data segments of one request: what the smallest ring in use (128) has room for beside header and
 * status. */
#define BLOCK_SEGMENTS 126u
/* Of one pass: the guest's processor waits while we read and write. */
#define BLOCK_PASS (8u << 20)
/* What a flush counts as, in bytes: a guest could have us wait for the disk 256 times in a pass. */
#define FLUSH_COST (1u << 20)

struct block {
	struct disk_backend *disk;
};

struct request {
	uint32_t type;
	uint64_t sector;
	uint32_t header; /* bytes of it; data to write follow */
};

/* The header is the same in all layouts up to byte 16; 2.6.24 has 8 bytes more, meaning nothing. */
static bool read_header(const struct virtio_device *d, const struct virtio_chain *chain,
			struct request *r)
{
	uint8_t bytes[HEADER_2_6_24];

	r->header = d->layout == VIRTIO_2_6_24 ? HEADER_2_6_24 : HEADER;
	if (chain_read(chain, 0, bytes, r->header) < r->header)
		return false;
	r->type = (uint32_t)virtio_get(bytes, 4);
	r->sector = virtio_get(bytes + 8, 8);
	if (d->layout != VIRTIO_1_0)
		r->type &= ~TYPE_BARRIER;
	return true;
}

/* ---- 2. Transfers --------------------------------------------------------------------------- */

/* Whole sectors that the disk has. */
static bool is_on_disk(const struct disk_backend *disk, uint64_t sector, uint32_t bytes)
{
	uint64_t sectors = disk->bytes / SECTOR;

	return bytes % SECTOR == 0 && sector <= sectors && bytes / SECTOR <= sectors - sector;
}

/* `bytes` from the disk into the first that are writable; returns how many came before an error. */
static uint32_t read_sectors(struct virtio_device *d, const struct virtio_chain *chain, uint64_t at,
			     uint32_t bytes)
{
	const struct block *b = d->state;
	uint32_t done = 0;

	for (unsigned i = chain->reads; done < bytes; i++) {
		const struct virtio_segment *s = &chain->segment[i];
		uint32_t part = s->count < bytes - done ? s->count : bytes - done;
		int failed = b->disk->ops->read(b->disk, at + done, s->bytes, part);

		d->memory->wrote(d->memory->user, s->gpa, part); /* it may have come half */
		if (failed)
			break;
		done += part;
	}
	return done;
}

/* All that is readable after the header to the disk. */
static bool write_sectors(struct virtio_device *d, const struct virtio_chain *chain, uint64_t at,
			  uint32_t header)
{
	const struct block *b = d->state;

	for (unsigned i = 0; i < chain->reads; i++) {
		const struct virtio_segment *s = &chain->segment[i];
		uint32_t skip = header < s->count ? header : s->count;

		header -= skip;
		if (skip == s->count)
			continue;
		if (b->disk->ops->write(b->disk, at, s->bytes + skip, s->count - skip))
			return false;
		at += s->count - skip;
	}
	return true;
}

/* ---- 3. Serving ----------------------------------------------------------------------------- */

static uint8_t serve_read(struct virtio_device *d, const struct virtio_chain *chain,
			  const struct request *r, uint32_t *written)
{
	const struct block *b = d->state;
	uint32_t room = chain->write_bytes - 1;

	if (!is_on_disk(b->disk, r->sector, room))
		return STATUS_IO_ERROR;
	*written = read_sectors(d, chain, r->sector * SECTOR, room);
	return *written == room ? STATUS_OK : STATUS_IO_ERROR;
}

static uint8_t serve_write(struct virtio_device *d, const struct virtio_chain *chain,
			   const struct request *r)
{
	const struct block *b = d->state;

	if (b->disk->read_only || !is_on_disk(b->disk, r->sector, chain->read_bytes - r->header))
		return STATUS_IO_ERROR;
	return write_sectors(d, chain, r->sector * SECTOR, r->header) ? STATUS_OK : STATUS_IO_ERROR;
}

static uint8_t serve_flush(struct virtio_device *d)
{
	const struct block *b = d->state;

	return b->disk->ops->flush(b->disk) ? STATUS_IO_ERROR : STATUS_OK;
}

/* 20 bytes, filled up with zeroes (5.2.6). */
static uint8_t serve_get_id(struct virtio_device *d, const struct virtio_chain *chain,
			    uint32_t *written)
{
	static const char id[ID_BYTES] = "umbra";
	uint32_t room = chain->write_bytes - 1;

	*written =
	    (uint32_t)chain_write(chain, d->memory, 0, id, room < ID_BYTES ? room : ID_BYTES);
	return STATUS_OK;
}

/* Returns what goes to the used ring: bytes written, the status included. */
static uint32_t serve_request(struct virtio_device *d, const struct virtio_chain *chain, uint64_t *cost)
{
	uint8_t status = STATUS_IO_ERROR;
	uint32_t written = 0;
	struct request r;

	*cost += chain->read_bytes + chain->write_bytes;
	/* No place for a status: nothing is done, so that nothing is done unheard. */
	if (!chain->write_bytes)
		return 0;
	if (read_header(d, chain, &r)) {
		if (r.type == TYPE_READ)
			status = serve_read(d, chain, &r, &written);
		else if (r.type == TYPE_WRITE)
			status = serve_write(d, chain, &r);
		else if (r.type == TYPE_FLUSH)
			status = serve_flush(d), *cost += FLUSH_COST;
		else if (r.type == TYPE_GET_ID)
			status = serve_get_id(d, chain, &written);
		else
			status = STATUS_UNSUPPORTED;
	}
	chain_write(chain, d->memory, chain->write_bytes - 1, &status, 1);
	return written + 1;
}

static void serve(struct virtio_device *d)
{
	struct virtqueue *q = &d->queue[0];
	struct virtio_chain chain;
	bool wanted = false;
	uint64_t moved = 0;
	unsigned pass;

	for (pass = 0; pass < VIRTIO_PASS && moved < BLOCK_PASS; pass++) {
		if (!virtqueue_take(q, d->memory, &chain))
			break;
		wanted |= virtqueue_give(q, d->memory, &chain, serve_request(d, &chain, &moved));
	}
	d->busy = (pass == VIRTIO_PASS || moved >= BLOCK_PASS) && virtqueue_has_more(q, d->memory);
	virtio_interrupt(d, 0, wanted);
}

/* ---- 4. Ops, making ------------------------------------------------------------------------- */

/* While a pass has left something to do, the polls do it: a guest can notify 64 times in one exit. */
static void block_notify(struct virtio_device *d, unsigned queue)
{
	(void)queue;
	if (!d->busy)
		serve(d);
}

static void block_poll(struct virtio_device *d)
{
	if (d->started && d->busy)
		serve(d);
}

static void block_free(struct virtio_device *d)
{
	const struct block *b = d->state;

	b->disk->ops->free(b->disk);
}

static const struct virtio_ops block_ops = {
    .type = VIRTIO_BLOCK,
    .name = "block",
    .queues = 1,
    .notify = block_notify,
    .poll = block_poll,
    .free = block_free,
};

struct virtio_device *virtio_block_new(const struct virtio_memory *m, struct disk_backend *disk)
{
	struct virtio_device *d = virtio_new(&block_ops, m, sizeof(struct block));

	if (!d)
		return NULL;
	((struct block *)d->state)->disk = disk;
	d->offered |= 1ull << F_SEG_MAX | 1ull << F_BLK_SIZE | 1ull << F_FLUSH;
	if (disk->read_only)
		d->offered |= 1ull << F_RO;
	d->config_bytes = CONFIG_BYTES;
	virtio_put(d->config + CAPACITY, disk->bytes / SECTOR, 8);
	virtio_put(d->config + SEG_MAX, BLOCK_SEGMENTS, 4);
	virtio_put(d->config + BLK_SIZE, SECTOR, 4);
	return d;
}
