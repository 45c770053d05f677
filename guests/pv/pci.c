/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/pci.c - family G: configuration space by ports, and the console before there is a driver.
 *
 *   1. Configuration space    mechanism 1 (PCI Local Bus 3.0, 3.2.2.3.2)
 *   2. Capabilities           of virtio 1.0, 4.1.4
 *   3. Early console          the emergency write, through the window in configuration space
 */
#include "guests/pv/pci.h"

/* ---- 1. Configuration space ----------------------------------------------------------------- */

enum { PORT_ADDRESS = 0xCF8, PORT_DATA = 0xCFC };

static void select_register(unsigned slot, unsigned offset)
{
	uint32_t value = 0x80000000u | slot << 11 | (offset & 0xFC);

	__asm__ volatile("outl %0, %w1" : : "a"(value), "d"(PORT_ADDRESS));
}

uint32_t pci_read(unsigned slot, unsigned offset)
{
	uint32_t value;

	select_register(slot, offset);
	__asm__ volatile("inl %w1, %0" : "=a"(value) : "d"(PORT_DATA));
	return value;
}

uint8_t pci_read8(unsigned slot, unsigned offset)
{
	uint8_t value;

	select_register(slot, offset);
	__asm__ volatile("inb %w1, %0" : "=a"(value) : "d"(PORT_DATA + (offset & 3)));
	return value;
}

void pci_write(unsigned slot, unsigned offset, uint32_t value)
{
	select_register(slot, offset);
	__asm__ volatile("outl %0, %w1" : : "a"(value), "d"(PORT_DATA));
}

void pci_write8(unsigned slot, unsigned offset, uint8_t value)
{
	select_register(slot, offset);
	__asm__ volatile("outb %0, %w1" : : "a"(value), "d"(PORT_DATA + (offset & 3)));
}

/* ---- 2. Capabilities ------------------------------------------------------------------------ */

enum { CAP_POINTER = 0x34, CAP_VENDOR = 9 };

unsigned pci_capability(unsigned slot, enum virtio_cap type)
{
	unsigned at = pci_read8(slot, CAP_POINTER);

	for (unsigned n = 0; at && n < 48; n++, at = pci_read8(slot, at + 1))
		if (pci_read8(slot, at) == CAP_VENDOR && pci_read8(slot, at + 3) == type)
			return at;
	return 0;
}

/* ---- 3. Early console ----------------------------------------------------------------------- */

enum { CONSOLE_SLOT = 1, CONSOLE_ID = 0x10431AF4, EMERGENCY_WRITE = 8 };

void pci_early_write(const char *text, uint32_t length)
{
	static unsigned window, device;

	if (!window) {
		if (pci_read(CONSOLE_SLOT, 0) != CONSOLE_ID)
			return;
		window = pci_capability(CONSOLE_SLOT, CAP_WINDOW);
		device = pci_capability(CONSOLE_SLOT, CAP_DEVICE);
	}
	if (!window || !device)
		return;
	for (uint32_t i = 0; i < length; i++) {
		pci_write8(CONSOLE_SLOT, window + CAP_BAR, pci_read8(CONSOLE_SLOT, device + CAP_BAR));
		pci_write(CONSOLE_SLOT, window + CAP_LENGTH, 4);
		pci_write(CONSOLE_SLOT, window + CAP_OFFSET,
			  pci_read(CONSOLE_SLOT, device + CAP_OFFSET) + EMERGENCY_WRITE);
		pci_write(CONSOLE_SLOT, window + CAP_DATA, (uint8_t)text[i]);
	}
}
