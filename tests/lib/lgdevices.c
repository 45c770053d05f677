/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lgdevices.c - the devices of lgbox.h's machine: console, disk, network and entropy on each transport, with
 * back ends that are plain memory.
 */
#include "tests/lib/lgbox.h"

#include <string.h>

static uint8_t *memory_at(void *user, uint64_t gpa, uint64_t bytes)
{
	struct lgbox *b = user;

	b->work++;
	return gpa <= LGBOX_MAPPED && bytes <= LGBOX_MAPPED - gpa ? b->ram + gpa : NULL;
}

static void raise_irq(void *user, unsigned irq) { lguest_raise(((struct lgbox *)user)->lg, irq); }

static void kill_guest(void *user, const char *why) { lguest_kill(((struct lgbox *)user)->lg, "%s", why); }

static size_t console_out(void *user, const uint8_t *bytes, size_t count)
{
	struct lgbox *b = user;

	for (size_t n = 0; n < count; n++)
		b->said += bytes[n];
	return count;
}

static size_t entropy(void *user, uint8_t *bytes, size_t count)
{
	struct lgbox *b = user;

	for (size_t n = 0; n < count; n++)
		bytes[n] = (uint8_t)(b->now >> n % 8 * 8);
	return count;
}

static int disk_read(struct disk_backend *d, uint64_t at, void *to, size_t bytes)
{
	memcpy(to, ((struct lgbox_disk *)d)->bytes + at, bytes);
	return 0;
}

static int disk_write(struct disk_backend *d, uint64_t at, const void *from, size_t bytes)
{
	memcpy(((struct lgbox_disk *)d)->bytes + at, from, bytes);
	return 0;
}

static int disk_flush(struct disk_backend *d) { return (void)d, 0; }
static void disk_free(struct disk_backend *d) { (void)d; }
static const struct disk_ops disk_ops = { disk_read, disk_write, disk_flush, disk_free };

static void net_send(struct net_backend *n, const uint8_t *frame, size_t bytes) { (void)n, (void)frame, (void)bytes; }
static unsigned net_fill(struct net_backend *n, struct pollfd *fds, unsigned room, int *timeout_ms)
{
	return (void)n, (void)fds, (void)room, (void)timeout_ms, 0;
}
static void net_process(struct net_backend *n, const struct pollfd *fds, unsigned count)
{
	(void)n, (void)fds, (void)count;
}
static void net_free(struct net_backend *n) { (void)n; }
static const struct net_ops net_ops = { net_send, net_fill, net_process, net_free };

static bool add_device(struct lgbox *b, enum lgbox_transport t, struct virtio_device *d)
{
	return t == LGBOX_PCI ? virtio_pci_add(b->pci, d) : device_page_add(b->page[t], d);
}

static void make_devices(struct lgbox *b, enum lgbox_transport t)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
	struct lgbox_devices *set = &b->set_of[t];

	set->disk.backend = (struct disk_backend){ .ops = &disk_ops, .bytes = LGBOX_DISK };
	set->net.ops = &net_ops;
	set->device[0] = virtio_console_new(&b->memory, b, console_out);
	set->device[1] = virtio_block_new(&b->memory, &set->disk.backend);
	set->device[2] = virtio_net_new(&b->memory, &set->net, mac);
	set->device[3] = virtio_entropy_new(&b->memory, entropy, b);
	for (unsigned n = 0; n < LGBOX_DEVICES; n++)
		if (!set->device[n] || !add_device(b, t, set->device[n]))
			lgbox_fail(b, "no device");
}

void lgbox_make_devices(struct lgbox *b)
{
	b->memory = (struct virtio_memory){ b, memory_at, lgbox_wrote };
	for (unsigned t = LGBOX_FORMAT1; t <= LGBOX_FORMAT2; t++) {
		const struct device_page_config config = { &b->memory, LGBOX_MEM, LGUEST_DEVICE_PAGES,
			                                   t == LGBOX_FORMAT1, b, raise_irq, kill_guest };

		b->page[t] = device_page_new(&config);
		make_devices(b, (enum lgbox_transport)t);
	}
	const struct virtio_pci_config pci = { &b->memory, LGBOX_MMIO, LGBOX_MMIO_END, b, raise_irq };
	b->pci = virtio_pci_new(&pci);
	make_devices(b, LGBOX_PCI);
}

struct virtio_device *lgbox_device(struct lgbox *b, unsigned n)
{
	return b->set_of[b->transport].device[n % LGBOX_DEVICES];
}
