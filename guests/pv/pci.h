/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/pci.h - configuration space, and virtio's capabilities in it.
 */
#ifndef PV_PCI_H
#define PV_PCI_H

#include "guests/pv/pv.h"

#pragma GCC visibility push(hidden)

enum virtio_cap { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_WINDOW };
/* Offsets in a capability. */
enum { CAP_BAR = 4, CAP_OFFSET = 8, CAP_LENGTH = 12, CAP_DATA = 16 };

uint32_t pci_read(unsigned slot, unsigned offset);
uint8_t pci_read8(unsigned slot, unsigned offset);
void pci_write(unsigned slot, unsigned offset, uint32_t value);
void pci_write8(unsigned slot, unsigned offset, uint8_t value);
unsigned pci_capability(unsigned slot, enum virtio_cap type); /* its offset, 0: none */

#pragma GCC visibility pop
#endif
