/* SPDX-License-Identifier: MIT */
/*
 * machine/dma.c - two 8237A DMA controllers as far as software sees their registers, and the page
 * registers.
 *
 *   1. Channels    addresses and counts through the flip-flop
 *   2. Controls    commands, masks, mode
 *   3. Ports, reset
 *
 * After Intel's 8237A data sheet (231466).  No device here asks for DMA, so no transfer takes place
 * and terminal count is never reached.  Port 0x80 is the POST port: operating systems write it to
 * pass a microsecond.
 */
#include <string.h>

#include "machine/device.h"

enum {
	COMMAND = 8,
	REQUEST,
	SINGLE_MASK,
	MODE,
	CLEAR_FLIP_FLOP,
	MASTER_CLEAR,
	CLEAR_MASK,
	ALL_MASK
};

/* ---- 1. Channels ---------------------------------------------------------------------------- */

static void write_half(uint16_t *word, bool high, uint8_t value)
{
	*word = (uint16_t)(high ? (*word & 0x00FF) | value << 8 : (*word & 0xFF00) | value);
}

static uint8_t read_channel(struct machine *m, unsigned chip, unsigned reg)
{
	const struct dma_channel *c = &m->dma.channel[chip * 4 + reg / 2];
	uint16_t value = reg & 1 ? c->count : c->address;
	bool high = m->dma.chip[chip].high;

	m->dma.chip[chip].high = !high;
	return (uint8_t)(high ? value >> 8 : value);
}

static void write_channel(struct machine *m, unsigned chip, unsigned reg, uint8_t value)
{
	struct dma_channel *c = &m->dma.channel[chip * 4 + reg / 2];
	bool high = m->dma.chip[chip].high;

	write_half(reg & 1 ? &c->base_count : &c->base_address, high, value);
	if (reg & 1)
		c->count = c->base_count;
	else
		c->address = c->base_address;
	m->dma.chip[chip].high = !high;
}

/* ---- 2. Controls ---------------------------------------------------------------------------- */

static void write_control(struct machine *m, unsigned chip, unsigned reg, uint8_t value)
{
	uint8_t one = (uint8_t)(1u << (value & 3));

	switch (reg) {
	case COMMAND:
		m->dma.chip[chip].command = value;
		break;
	case SINGLE_MASK:
		if (value & 4)
			m->dma.chip[chip].mask |= one;
		else
			m->dma.chip[chip].mask &= (uint8_t)~one;
		break;
	case MODE:
		m->dma.channel[chip * 4 + (value & 3)].mode = value;
		break;
	case CLEAR_FLIP_FLOP:
		m->dma.chip[chip].high = false;
		break;
	case MASTER_CLEAR:
		m->dma.chip[chip].high = false;
		m->dma.chip[chip].command = 0;
		m->dma.chip[chip].mask = 15;
		break;
	case CLEAR_MASK:
		m->dma.chip[chip].mask = 0;
		break;
	case ALL_MASK:
		m->dma.chip[chip].mask = value & 15;
		break;
	default: /* software requests: nothing to transfer with */
		break;
	}
}

static uint8_t read_control(const struct machine *m, unsigned chip, unsigned reg)
{
	/* the status (no request, no terminal count) and the temporary register read 0 */
	return reg == ALL_MASK ? m->dma.chip[chip].mask | 0xF0 : 0;
}

/* ---- 3. Ports, reset ------------------------------------------------------------------------ */

/* The second controller's registers stand at even ports. */
static uint32_t dma_in(struct machine *m, uint16_t port, unsigned bytes)
{
	unsigned chip = port >= 0xC0, reg = chip ? (port - 0xC0u) / 2 : port;

	(void)bytes;
	if (port >= 0x80 && port < 0x90)
		return m->dma.page[port & 15];
	return reg < COMMAND ? read_channel(m, chip, reg) : read_control(m, chip, reg);
}

static void dma_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	unsigned chip = port >= 0xC0, reg = chip ? (port - 0xC0u) / 2 : port;

	(void)bytes;
	if (port >= 0x80 && port < 0x90)
		m->dma.page[port & 15] = (uint8_t)value;
	else if (reg < COMMAND)
		write_channel(m, chip, reg, (uint8_t)value);
	else
		write_control(m, chip, reg, (uint8_t)value);
}

static void dma_reset(struct machine *m)
{
	memset(&m->dma, 0, sizeof(m->dma));
	m->dma.chip[0].mask = m->dma.chip[1].mask = 15;
}

const struct device_ops dma_ops = {
    .name = "dma",
    .ports = {{0x00, 16}, {0x80, 16}, {0xC0, 32}},
    .widest = 1,
    .reset = dma_reset,
    .in = dma_in,
    .out = dma_out,
};
