/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/device.c - the devices, of whichever transport.
 */
#include "guests/pv/device.h"

struct device devices[DEVICES_MAX];
unsigned device_count;

static bool on_pci(void)
{
	return family->devices == DEVICES_PCI;
}

void devices_start(void)
{
	(on_pci() ? pci_find : page_find)();
}

struct device *find_device(enum device_type type)
{
	for (unsigned i = 0; i < device_count; i++)
		if (devices[i].type == type)
			return &devices[i];
	return NULL;
}

static void count_interrupt(void *object)
{
	struct device *d = object;

	if (on_pci())
		pci_acknowledge(d);
	for (unsigned i = 0; i < d->queues; i++)
		d->queue[i].interrupts++;
}

uint32_t device_begin(struct device *d, uint32_t features)
{
	features = (on_pci() ? pci_begin : page_begin)(d, features);
	for (unsigned i = 0; i < d->queues; i++)
		irq_handle(d->queue[i].irq, count_interrupt, d);
	return features;
}

void device_reset(struct device *d)
{
	(on_pci() ? pci_reset : page_reset)(d);
}

/* Format 1 wants the field, the others the offset. */
void device_config(struct device *d, unsigned field, unsigned offset, void *to, unsigned bytes)
{
	if (on_pci())
		pci_config(d, offset, to, bytes);
	else
		page_config(d, field, offset, to, bytes);
}

void device_notify(struct virtqueue *q)
{
	if (on_pci())
		pci_notify(q);
	else
		call(CALL_NOTIFY, q->frame, 0, 0);
}
