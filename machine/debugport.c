/* SPDX-License-Identifier: MIT */
/*
 * machine/debugport.c - the debug console at port 0xE9: a byte written is a byte printed, no
 * set-up, no waiting.
 *
 * It reads as 0xE9, by which a guest knows that it is there.
 */
#include "machine/device.h"

#define PORT_DEBUG 0xE9

static uint32_t debugport_in(struct machine *m, uint16_t port, unsigned bytes)
{
	(void)m, (void)port, (void)bytes;
	return PORT_DEBUG;
}

static void debugport_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	(void)port, (void)bytes;
	if (m->config.debug_out)
		m->config.debug_out(m->config.user, (uint8_t)value);
}

static void debugport_reset(struct machine *m)
{
	(void)m; /* nothing is kept */
}

const struct device_ops debugport_ops = {
    .name = "debugport",
    .ports = {{PORT_DEBUG, 1}},
    .widest = 1,
    .reset = debugport_reset,
    .in = debugport_in,
    .out = debugport_out,
};
