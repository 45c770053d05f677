/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/virtio_transport.c - every device over every transport, found and driven by what a guest can see.
 *
 *   1. The host       a terminal, a disk, a wire, a source of randomness
 *   2. Finding        page records of both formats, PCI configuration space
 *   3. Starting       the order of each age
 *   4. Rings          one request at a time
 *   5. What they do
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/virtio/internal.h"
#include "tests/lib/virtio_driver.h"

#define BASE 0x10000u
#define MMIO 0x10000000u
#define SECTORS 64u

enum carrier { PAGE_FORMAT1, PAGE_FORMAT2, PCI, CARRIERS };
enum { CONSOLE, DISK, WIRE, RANDOM, DEVICES };

/* ---- 1. The host ---------------------------------------------------------------------------- */

struct ring {
	uint64_t desc, avail, used;
	unsigned num, irq;
	uint16_t next, last;
};

/* A device as the guest sees it. */
struct found {
	unsigned type, slot, queues;
	uint64_t record, accepted, config; /* page: guest-physical; PCI: config in the BAR */
	unsigned feature_bytes;
	struct ring ring[VIRTIO_QUEUES];
};

static struct host {
	struct driver v;
	enum carrier carrier;
	struct device_page *page;
	struct virtio_pci *pci;
	struct virtio_device *device[DEVICES];
	struct found found[DEVICES];
	unsigned raised[32], kills;
	char printed[4096];
	struct disk_backend disk;
	uint8_t sectors[SECTORS * 512];
	struct net_backend net;
	uint8_t sent[2000];
	size_t sent_bytes;
} h;

static const uint8_t mac[6] = {2, 0, 0, 0x12, 0x34, 0x56};

static size_t print(void *user, const uint8_t *bytes, size_t count)
{
	size_t used = strlen(h.printed);

	(void)user;
	assert_true(used + count < sizeof h.printed);
	memcpy(h.printed + used, bytes, count);
	return count;
}

static size_t randomness(void *user, uint8_t *bytes, size_t count)
{
	(void)user;
	memset(bytes, 0x5A, count);
	return count;
}

static int disk_read(struct disk_backend *d, uint64_t at, void *to, size_t bytes)
{
	(void)d;
	memcpy(to, h.sectors + at, bytes);
	return 0;
}

static int disk_write(struct disk_backend *d, uint64_t at, const void *from, size_t bytes)
{
	(void)d;
	memcpy(h.sectors + at, from, bytes);
	return 0;
}

static int disk_flush(struct disk_backend *d)
{
	(void)d;
	return 0;
}

static void disk_free(struct disk_backend *d) { (void)d; }

static void net_send(struct net_backend *n, const uint8_t *frame, size_t bytes)
{
	(void)n;
	memcpy(h.sent, frame, bytes);
	h.sent_bytes = bytes;
}

static void net_free(struct net_backend *n) { (void)n; }

static const struct disk_ops disk_ops = {disk_read, disk_write, disk_flush, disk_free};
static const struct net_ops net_ops = {.send = net_send, .free = net_free};

static void on_raise(void *user, unsigned irq)
{
	(void)user;
	assert_in_range(irq, 1, 31);
	h.raised[irq]++;
}

static void on_kill(void *user, const char *why)
{
	(void)user;
	(void)why;
	h.kills++;
}

static void make_transport(void)
{
	struct device_page_config page = {.memory = &h.v.memory, .base = BASE, .pages = 64,
					  .format1 = h.carrier == PAGE_FORMAT1, .raise = on_raise, .kill = on_kill};
	struct virtio_pci_config pci = {.memory = &h.v.memory, .mmio_first = MMIO, .mmio_end = 1ull << 32,
					.raise = on_raise};

	if (h.carrier == PCI)
		h.pci = virtio_pci_new(&pci);
	else
		h.page = device_page_new(&page);
	assert_true(h.pci || h.page);
	for (unsigned i = 0; i < DEVICES; i++)
		assert_true(h.pci ? virtio_pci_add(h.pci, h.device[i]) : device_page_add(h.page, h.device[i]));
	if (h.page)
		device_page_reset(h.page);
	h.v.free = h.page ? device_page_end(h.page) : BASE;
}

static void open_host(enum carrier carrier)
{
	memset(&h, 0, sizeof h);
	h.carrier = carrier;
	driver_open(&h.v);
	h.disk = (struct disk_backend){&disk_ops, sizeof h.sectors, false};
	h.net.ops = &net_ops;
	h.device[CONSOLE] = virtio_console_new(&h.v.memory, NULL, print);
	h.device[DISK] = virtio_block_new(&h.v.memory, &h.disk);
	h.device[WIRE] = virtio_net_new(&h.v.memory, &h.net, mac);
	h.device[RANDOM] = virtio_entropy_new(&h.v.memory, randomness, NULL);
	make_transport();
}

static void close_host(void)
{
	assert_int_equal(h.kills, 0);
	device_page_free(h.page);
	virtio_pci_free(h.pci);
	driver_close(&h.v);
}

/* ---- 2. Finding ----------------------------------------------------------------------------- */

static uint64_t load(uint64_t gpa, unsigned bytes)
{
	assert_true(gpa + bytes <= DRIVER_RAM);
	return virtio_get(h.v.ram + gpa, bytes);
}

static void store(uint64_t gpa, uint64_t value, unsigned bytes)
{
	uint8_t raw[8];

	virtio_put(raw, value, bytes);
	driver_store(&h.v, gpa, raw, bytes);
}

/* {num, irq, page}: legacy layout (2.3 of virtio 0.9.5), used part on a page of its own. */
static void see_queue(struct found *f, uint64_t at)
{
	struct ring *r = &f->ring[f->queues++];
	uint64_t base = load(at + 4, 4) << 12;

	r->num = (unsigned)load(at, 2);
	r->irq = (unsigned)load(at + 2, 2);
	r->desc = base;
	r->avail = base + 16ull * r->num;
	r->used = (r->avail + 6 + 2ull * r->num + 4095) & ~4095ull;
}

static uint64_t see_format1(struct found *f, uint64_t record)
{
	uint64_t end = record + 3 + load(record + 1, 1);

	for (uint64_t at = record + 3; at < end; at += 2 + load(at + 1, 1)) {
		if (load(at, 1) == 2)
			see_queue(f, at + 2);
		else if (load(at, 1) == 0x41)
			f->config = at + 2;
		store(at, load(at, 1) | 0x80, 1);
	}
	return end;
}

static uint64_t see_format2(struct found *f, uint64_t record)
{
	unsigned queues = (unsigned)load(record + 1, 1);

	f->feature_bytes = (unsigned)load(record + 2, 1);
	for (unsigned q = 0; q < queues; q++)
		see_queue(f, record + 5 + 8 * q);
	f->accepted = record + 5 + 8 * queues + f->feature_bytes;
	f->config = f->accepted + f->feature_bytes;
	return f->config + load(record + 3, 1);
}

static uint32_t cfg(unsigned slot, unsigned offset, unsigned bytes)
{
	virtio_pci_port_out(h.pci, 0xCF8, 4, 0x80000000u | slot << 11 | (offset & 0xFCu));
	return virtio_pci_port_in(h.pci, (uint16_t)(0xCFC + offset % 4), bytes);
}

static uint64_t bar(const struct found *f)
{
	return cfg(f->slot, 0x10, 4);
}

static uint64_t mmio(const struct found *f, uint64_t offset, unsigned bytes)
{
	uint64_t value;

	assert_true(virtio_pci_read(h.pci, bar(f) + offset, bytes, &value));
	return value;
}

static void set_mmio(const struct found *f, uint64_t offset, unsigned bytes, uint64_t value)
{
	assert_true(virtio_pci_write(h.pci, bar(f) + offset, bytes, value));
}

static void see_function(struct found *f)
{
	for (unsigned at = cfg(f->slot, 0x34, 1); at; at = cfg(f->slot, at + 1, 1))
		if (cfg(f->slot, at + 3, 1) == 4)
			f->config = cfg(f->slot, at + 8, 4);
	f->queues = (unsigned)mmio(f, 18, 2);
}

static struct found *find(unsigned which)
{
	static const unsigned types[DEVICES] = {3, 2, 1, 4};
	struct found *f = &h.found[which];
	uint64_t at = BASE, next;

	memset(f, 0, sizeof *f);
	f->type = types[which];
	if (h.carrier == PCI) {
		for (f->slot = 1; cfg(f->slot, 2, 2) != 0x1040 + f->type; f->slot++)
			assert_in_range(f->slot, 1, 30);
		see_function(f);
		return f;
	}
	for (;; at = next) {
		memset(f, 0, sizeof *f);
		f->record = at;
		f->type = (unsigned)load(at, 1);
		assert_int_not_equal(f->type, 0);
		next = h.carrier == PAGE_FORMAT1 ? see_format1(f, at) : see_format2(f, at);
		if (f->type == types[which])
			return f;
	}
}

/* ---- 3. Starting ---------------------------------------------------------------------------- */

static void tell(uint64_t gpa)
{
	assert_true(device_page_notify(h.page, gpa));
}

static void start_on_page(struct found *f)
{
	if (h.carrier == PAGE_FORMAT1) {
		store(f->record + 2, 7, 1);
		return;
	}
	store(f->record + 4, 0, 1);
	tell(f->record);
	store(f->record + 4, 3, 1);
	store(f->accepted, 0, f->feature_bytes);
	tell(f->record);
	store(f->record + 4, 7, 1);
}

static void start_on_pci(struct found *f)
{
	set_mmio(f, 20, 1, 0);
	set_mmio(f, 20, 1, 3);
	set_mmio(f, 8, 4, 1);
	set_mmio(f, 12, 4, 1); /* version 1 */
	set_mmio(f, 20, 1, 11);
	assert_int_equal(mmio(f, 20, 1), 11);
	for (unsigned q = 0; q < f->queues; q++) {
		struct ring *r = &f->ring[q];

		set_mmio(f, 22, 2, q);
		set_mmio(f, 24, 2, 32);
		r->num = (unsigned)mmio(f, 24, 2);
		r->irq = cfg(f->slot, 0x3C, 1);
		r->desc = driver_alloc(&h.v, 512);
		r->avail = driver_alloc(&h.v, 80);
		r->used = driver_alloc(&h.v, 272);
		set_mmio(f, 32, 8, r->desc);
		set_mmio(f, 40, 8, r->avail);
		set_mmio(f, 48, 8, r->used);
		set_mmio(f, 28, 2, 1);
	}
	set_mmio(f, 20, 1, 15);
}

static struct found *start(unsigned which)
{
	struct found *f = find(which);

	if (h.carrier == PCI)
		start_on_pci(f);
	else
		start_on_page(f);
	return f;
}

static uint64_t config(const struct found *f, unsigned offset, unsigned bytes)
{
	return h.carrier == PCI ? mmio(f, f->config + offset, bytes) : load(f->config + offset, bytes);
}

/* ---- 4. Rings ------------------------------------------------------------------------------- */

static void kick(const struct found *f, unsigned queue)
{
	if (h.carrier == PCI)
		set_mmio(f, 56, 2, queue);
	else
		tell(f->ring[queue].desc);
}

static void submit(struct found *f, unsigned queue, const struct driver_buffer *b, unsigned count)
{
	struct ring *r = &f->ring[queue];
	uint16_t index = (uint16_t)load(r->avail + 2, 2), head = (uint16_t)(r->next % r->num);

	for (unsigned i = 0; i < count; i++, r->next++) {
		uint64_t at = r->desc + 16ull * (r->next % r->num);

		store(at, b[i].gpa, 8);
		store(at + 8, b[i].bytes, 4);
		store(at + 12, (b[i].writable ? 2u : 0u) | (i + 1 < count), 2);
		store(at + 14, (r->next + 1u) % r->num, 2);
	}
	store(r->avail + 4 + 2ull * (index % r->num), head, 2);
	store(r->avail + 2, index + 1u, 2);
	kick(f, queue);
}

/* The oldest request is done: an interrupt came, and this many bytes.  -1: it is not. */
static int64_t done(struct found *f, unsigned queue)
{
	struct ring *r = &f->ring[queue];
	uint64_t at = r->used + 4 + 8ull * (r->last % r->num);

	if (load(r->used + 2, 2) == r->last)
		return -1;
	r->last++;
	assert_true(h.raised[r->irq] > 0);
	h.raised[r->irq] = 0;
	if (h.carrier == PCI)
		assert_int_equal(mmio(f, 58, 1), 1);
	return (int64_t)load(at + 4, 4);
}

/* ---- 5. What they do ------------------------------------------------------------------------ */

static void use_console(unsigned columns)
{
	struct found *f = start(CONSOLE);
	uint64_t at = driver_alloc(&h.v, 64);

	driver_store(&h.v, at, "hello, ", 7);
	for (unsigned i = 0; i < 300; i++) { /* around the ring */
		h.printed[0] = 0;
		submit(f, 1, &(struct driver_buffer){at, 7, false}, 1);
		assert_int_equal(done(f, 1), 0);
		assert_string_equal(h.printed, "hello, ");
	}
	submit(f, 0, &(struct driver_buffer){at, 64, true}, 1);
	assert_int_equal(done(f, 0), -1);
	assert_int_equal(virtio_console_input(h.device[CONSOLE], (const uint8_t *)"ls\n", 3), 3);
	assert_int_equal(done(f, 0), 3);
	assert_memory_equal(h.v.ram + at, "ls\n", 3);
	virtio_console_resize(h.device[CONSOLE], (uint16_t)columns, 50);
	if (h.carrier == PAGE_FORMAT1)
		return;
	assert_int_equal(config(f, 0, 4), columns | 50 << 16);
	if (h.carrier == PCI)
		assert_int_equal(mmio(f, 58, 1), 2);
}

/* Header, data, status; returns the status byte. */
static unsigned transfer(struct found *f, unsigned type, uint64_t sector, uint64_t data, bool in)
{
	uint64_t header = driver_alloc(&h.v, 24), status = driver_alloc(&h.v, 1);
	uint32_t header_bytes = h.carrier == PAGE_FORMAT1 ? 24 : 16;

	store(header, type, 8);
	store(header + 8, sector, 8);
	store(status, 0xEE, 1);
	submit(f, 0, (struct driver_buffer[]){{header, header_bytes, false}, {data, 1024, in}, {status, 1, true}}, 3);
	assert_int_equal(done(f, 0), load(status, 1) == 0 && in ? 1025 : 1);
	return (unsigned)load(status, 1);
}

static void use_disk(void)
{
	struct found *f = start(DISK);
	uint64_t data = driver_alloc(&h.v, 1024);

	assert_int_equal(config(f, 0, 8), SECTORS);
	for (unsigned i = 0; i < 1024; i++)
		store(data + i, i * 7, 1);
	assert_int_equal(transfer(f, 1, 5, data, false), 0);
	assert_memory_equal(h.sectors + 5 * 512, h.v.ram + data, 1024);
	h.sectors[6 * 512 + 1] = 0xA5;
	assert_int_equal(transfer(f, 0, 6, data, true), 0);
	assert_memory_equal(h.sectors + 6 * 512, h.v.ram + data, 1024);
	assert_int_equal(transfer(f, 0, SECTORS - 1, data, true), 1);
	assert_int_equal(transfer(f, 1, SECTORS, data, false), 1);
	assert_int_equal(transfer(f, 2, 0, data, true), 2); /* SCSI commands are not supported */
}

static void use_wire(void)
{
	struct found *f = start(WIRE);
	uint64_t at = driver_alloc(&h.v, 1600), header = driver_alloc(&h.v, 16);
	uint32_t bytes = (uint32_t[]){8, 10, 12}[h.carrier];
	uint8_t frame[100];

	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(config(f, i, 1), mac[i]);
	store(header, 0, 8);
	store(header + 8, 0, 8);
	for (unsigned i = 0; i < 60; i++)
		store(at + i, i, 1);
	submit(f, 1, (struct driver_buffer[]){{header, bytes, false}, {at, 60, false}}, 2);
	assert_int_equal(done(f, 1), 0);
	assert_int_equal(h.sent_bytes, 60);
	assert_memory_equal(h.sent, h.v.ram + at, 60);
	submit(f, 0, (struct driver_buffer[]){{header, bytes, true}, {at, 1514, true}}, 2);
	memset(frame, 0x77, sizeof frame);
	assert_true(h.net.receive(h.net.user, frame, sizeof frame));
	assert_int_equal(done(f, 0), bytes + 100);
	assert_memory_equal(h.v.ram + at, frame, sizeof frame);
}

static void use_randomness(void)
{
	struct found *f = start(RANDOM);
	uint64_t at = driver_alloc(&h.v, 100);

	submit(f, 0, &(struct driver_buffer){at, 99, true}, 1);
	assert_int_equal(done(f, 0), 99);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(load(at + i, 1), i < 99 ? 0x5A : 0);
}

static void use_all(unsigned columns)
{
	use_console(columns);
	use_disk();
	use_wire();
	if (h.carrier != PAGE_FORMAT1) /* 2.6.24 knows of none */
		use_randomness();
	if (h.page)
		device_page_poll(h.page);
	else
		virtio_pci_poll(h.pci);
	driver_check(&h.v);
}

/* All devices, then the guest starts over: as another kernel, and after a power cycle. */
static void use_carrier(enum carrier carrier)
{
	open_host(carrier);
	use_all(132);
	if (h.page)
		device_page_reset(h.page);
	else
		virtio_pci_reset(h.pci);
	h.v.free = h.page ? device_page_end(h.page) : BASE;
	memset(h.v.ram + h.v.free, 0, DRIVER_RAM - h.v.free);
	memset(h.v.announced + h.v.free, 0, DRIVER_RAM - h.v.free);
	memset(h.raised, 0, sizeof h.raised);
	use_all(100);
	close_host();
}

static void all_devices_over_the_page_of_2_6_24(void **state)
{
	(void)state;
	use_carrier(PAGE_FORMAT1);
}

static void all_devices_over_the_page_of_3_12(void **state)
{
	(void)state;
	use_carrier(PAGE_FORMAT2);
}

static void all_devices_over_pci(void **state)
{
	(void)state;
	use_carrier(PCI);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_devices_over_the_page_of_2_6_24),
	    cmocka_unit_test(all_devices_over_the_page_of_3_12),
	    cmocka_unit_test(all_devices_over_pci),
	};

	return cmocka_run_group_tests_name("virtio_transport", tests, NULL, NULL);
}
