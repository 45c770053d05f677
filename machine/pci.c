/* SPDX-License-Identifier: MIT */
/*
 * machine/pci.c - PCI configuration space by mechanism 1 (ports 0xCF8, 0xCFC) and the host bridge.
 *
 *   1. Functions    adding one, its base address registers
 *   2. Access       from an address to a byte, write masks
 *   3. Ports, reset
 *
 * After the PCI Local Bus Specification 2.1, 3.2.2.3.2 and chapter 6.  One bus, single-function
 * devices in a small table.  A configuration space is bytes and a mask of what a guest may change:
 * sizing a base address register then needs no code, because its zero bits do not change.
 */
#include <string.h>

#include "machine/device.h"

enum {
	CF_VENDOR = 0x00,
	CF_DEVICE = 0x02,
	CF_COMMAND = 0x04,
	CF_REVISION = 0x08,
	CF_BAR = 0x10,
	CF_LINE = 0x3C
};
enum { COMMAND_WRITABLE = 0x0147 }; /* I/O, memory, master, parity, SERR */
#define CONFIG_ENABLE 0x80000000u
#define CONFIG_ADDRESS_BITS 0x80FFFFFCu

/* ---- 1. Functions --------------------------------------------------------------------------- */

static void put_bytes(uint8_t *at, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

/* NULL: the table is full or the slot taken. */
struct pci_function *pci_add_function(struct machine *m, unsigned slot, uint16_t vendor,
				      uint16_t device, uint32_t class_code, uint8_t revision)
{
	struct pci_function *f;

	if (slot >= PCI_SLOTS || m->pci.functions == PCI_FUNCTIONS)
		return NULL;
	for (unsigned i = 0; i < m->pci.functions; i++)
		if (m->pci.function[i].slot == slot)
			return NULL;
	f = &m->pci.function[m->pci.functions++];
	memset(f, 0, sizeof(*f));
	f->slot = (uint8_t)slot;
	put_bytes(f->config + CF_VENDOR, vendor, 2);
	put_bytes(f->config + CF_DEVICE, device, 2);
	put_bytes(f->config + CF_REVISION, class_code << 8 | revision, 4);
	put_bytes(f->writable + CF_COMMAND, COMMAND_WRITABLE, 2);
	f->writable[CF_LINE] = 0xFF;
	return f;
}

/* `bytes`: a power of two, at least 4 (I/O) or 16 (memory). */
void pci_add_bar(struct pci_function *f, unsigned bar, uint32_t bytes, bool io)
{
	unsigned at = CF_BAR + 4 * bar;

	put_bytes(f->config + at, io ? 1 : 0, 4);
	put_bytes(f->writable + at, ~(bytes - 1), 4);
}

/* ---- 2. Access ------------------------------------------------------------------------------ */

/* The function that the address register selects, or NULL: nobody answers there. */
static struct pci_function *find_function(struct machine *m)
{
	uint32_t address = m->pci.address;
	unsigned bus = address >> 16 & 0xFF, slot = address >> 11 & 31, function = address >> 8 & 7;

	if (!(address & CONFIG_ENABLE) || bus || function)
		return NULL;
	for (unsigned i = 0; i < m->pci.functions; i++)
		if (m->pci.function[i].slot == slot)
			return &m->pci.function[i];
	return NULL;
}

static uint32_t read_config(struct machine *m, unsigned lane, unsigned bytes)
{
	const struct pci_function *f = find_function(m);
	unsigned offset = (m->pci.address & 0xFC) + lane;
	uint32_t value = 0;

	if (!f)
		return ~0u;
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint32_t)f->config[(offset + i) % PCI_CONFIG_BYTES] << (8 * i);
	return value;
}

static void write_config(struct machine *m, unsigned lane, unsigned bytes, uint32_t value)
{
	struct pci_function *f = find_function(m);
	unsigned offset = (m->pci.address & 0xFC) + lane;

	if (!f)
		return;
	for (unsigned i = 0; i < bytes; i++) {
		unsigned at = (offset + i) % PCI_CONFIG_BYTES;
		uint8_t mask = f->writable[at];

		f->config[at] = (uint8_t)((f->config[at] & ~mask) | (value >> (8 * i) & mask));
	}
	if (f->written)
		f->written(m, f, offset, bytes);
}

/* ---- 3. Ports, reset ------------------------------------------------------------------------ */

static uint32_t pci_in(struct machine *m, uint16_t port, unsigned bytes)
{
	uint32_t all = bytes < 4 ? (1u << (8 * bytes)) - 1 : ~0u;

	if (port >= 0xCFC)
		return read_config(m, port & 3u, bytes) & all;
	/* the address register answers only as a whole */
	return port == 0xCF8 && bytes == 4 ? m->pci.address : all;
}

static void pci_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	if (port >= 0xCFC)
		write_config(m, port & 3u, bytes, value);
	else if (port == 0xCF8 && bytes == 4)
		m->pci.address = value & CONFIG_ADDRESS_BITS;
}

/* What the guest may write goes back to 0; a base address register keeps its type bits. */
static void pci_reset(struct machine *m)
{
	if (!m->pci.functions)
		pci_add_function(m, 0, 0x8086, 0x1237, 0x060000, 2); /* host bridge: a 440FX */
	m->pci.address = 0;
	for (unsigned i = 0; i < m->pci.functions; i++) {
		struct pci_function *f = &m->pci.function[i];

		for (unsigned at = 0; at < PCI_CONFIG_BYTES; at++)
			f->config[at] &= (uint8_t)~f->writable[at];
		if (f->written)
			f->written(m, f, 0, PCI_CONFIG_BYTES);
	}
}

const struct device_ops pci_ops = {
    .name = "pci",
    .ports = {{0xCF8, 1}, {0xCFA, 6}},
    .widest = 4,
    .reset = pci_reset,
    .in = pci_in,
    .out = pci_out,
};
