/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/pci.h - a virtio device as a PCI function (virtio 1.0, section 4.1), on whatever bus.
 *
 *   1. Layout      the registers of the one memory BAR
 *   2. Functions   struct virtio_function: configuration space, registers, interrupt line
 *
 * A bus owns the functions: it routes configuration cycles and memory accesses to them and says where the
 * interrupt line leads.  lguest's bus is pcilguest.c; nothing of its habits is in here.
 */
#ifndef MACHINE_VIRTIO_PCI_H
#define MACHINE_VIRTIO_PCI_H

#include "machine/virtio/virtio.h"

/* ---- 1. Layout ------------------------------------------------------------------------------ */

/* BAR0: common configuration (4.1.4.3), the notify register, the ISR status byte, a pad byte, and what the
 * device itself has. */
enum {
	REGISTER_COMMON = 0,
	REGISTER_NOTIFY = 56,
	REGISTER_ISR = 58,
	REGISTER_DEVICE = 60,
	REGISTER_END = REGISTER_DEVICE + VIRTIO_CONFIG_BYTES
};
#define VIRTIO_BAR_BYTES 4096u

/* Offsets in configuration space that a bus has business with (PCI 2.1, 6.1 and 6.2). */
enum {
	PCI_VENDOR = 0x00,
	PCI_DEVICE = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION = 0x08,
	PCI_CLASS = 0x0A,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2C,
	PCI_SUBSYSTEM = 0x2E,
	PCI_CAPABILITIES = 0x34,
	PCI_LINE = 0x3C,
	PCI_PIN = 0x3D
};
enum { PCI_COMMAND_MEMORY = 1u << 1, PCI_COMMAND_NO_INTERRUPT = 1u << 10 };
#define PCI_SPACE_BYTES 256u

/* ---- 2. Functions --------------------------------------------------------------------------- */

#define VIRTIO_PCI_NUM 256u    /* entries of a queue; the guest may reduce it to a smaller power of two */

/* A queue as the guest describes it, before it enables it. */
struct function_queue {
	uint16_t num;
	uint64_t desc, avail, used;
	bool enabled;
};

struct virtio_function {
	struct virtio_device *device;
	uint8_t space[PCI_SPACE_BYTES];
	uint8_t writable[PCI_SPACE_BYTES]; /* bits the guest may change; the zeroes of a BAR are its size */
	uint32_t offered_select, accepted_select;
	uint64_t accepted;             /* as written so far; final with FEATURES_OK */
	uint16_t queue_select;
	struct function_queue queue[VIRTIO_QUEUES];
	uint8_t status, generation, isr;
	uint8_t irq_line, irq_pin;     /* what the registers of these names say at the start */
	bool high;                     /* the interrupt line, as last told */
	/* The interrupt line.  true: at each event, also when the line is high already; false: it is low now. */
	void *user;
	void (*line)(void *user, struct virtio_function *f, bool high);
};

/* pcispace.c: configuration space.  `offset` and `bytes` stay inside one aligned word of four bytes. */
void virtio_function_init(struct virtio_function *f, struct virtio_device *d, uint8_t irq_line, uint8_t irq_pin);
/* Power-on: as init left it, the device reset. */
void virtio_function_reset(struct virtio_function *f);
uint32_t virtio_function_space_read(struct virtio_function *f, unsigned offset, unsigned bytes);
void virtio_function_space_write(struct virtio_function *f, unsigned offset, unsigned bytes, uint32_t value);
/* Where BAR0 is; 0: nowhere.  Whether it decodes (PCI_COMMAND_MEMORY) is for the bus to ask. */
uint32_t virtio_function_bar(const struct virtio_function *f);
uint16_t virtio_function_command(const struct virtio_function *f);

/* pciregister.c: the registers in BAR0.  `offset` < VIRTIO_BAR_BYTES; what lies past the last reads as 0. */
uint64_t virtio_function_read(struct virtio_function *f, unsigned offset, unsigned bytes);
void virtio_function_write(struct virtio_function *f, unsigned offset, unsigned bytes, uint64_t value);
void virtio_function_reset_registers(struct virtio_function *f);
/* The line follows the ISR byte and the command register; `event`: say it again if it is high. */
void virtio_function_update_line(struct virtio_function *f, bool event);
void virtio_function_connect(struct virtio_function *f); /* the device's callbacks lead here */
void virtio_function_poll(struct virtio_function *f);
uint64_t virtio_function_offered(const struct virtio_function *f);

#endif
