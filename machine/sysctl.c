/* SPDX-License-Identifier: MIT */
/*
 * machine/sysctl.c - the board's own ports: A20, reset, power off, and isa-debug-exit.
 *
 *   1. Requests    A20 and the power request
 *   2. Ports       0x92, 0xCF9, 0x604, 0x8900, the debug-exit port
 *   3. Reset, ops
 *
 * There is no ACPI.  A guest powers off by setting SLP_EN (bit 13) in the 16-bit register at 0x604,
 * as a word (0x2000) or its upper byte alone (0x20 to port 0x605, which a Linux guest without
 * drivers can do through /dev/port), or by writing "Shutdown" to port 0x8900, one character at a
 * time.
 */
#include "machine/device.h"

enum {
	PORT_SYSTEM_A = 0x92,
	PORT_RESET = 0xCF9,
	PORT_POWER = 0x604,
	PORT_SHUTDOWN = 0x8900,
};
enum system_a { A_RESET = 1u << 0, A_A20 = 1u << 1 };
enum reset_control { RC_RESET = 1u << 2 };
enum power_control { SLP_EN_HIGH = 1u << 5 };

/* ---- 1. Requests ---------------------------------------------------------------------------- */

/* Keyboard controller and port 0x92 drive one gate; the last writer has it. */
void sysctl_set_a20(struct machine *m, bool enabled)
{
	if (enabled == m->sysctl.a20)
		return;
	m->sysctl.a20 = enabled;
	if (m->config.a20)
		m->config.a20(m->config.user, enabled);
}

/* The first request stands until the embedder has dealt with it. */
void sysctl_request(struct machine *m, enum machine_request request)
{
	if (m->sysctl.request == MACHINE_RUN)
		m->sysctl.request = request;
}

/* ---- 2. Ports ------------------------------------------------------------------------------- */

static void write_system_a(struct machine *m, uint8_t value)
{
	bool reset = value & A_RESET && !(m->sysctl.port92 & A_RESET);

	m->sysctl.port92 = value & (uint8_t)~A_A20;
	sysctl_set_a20(m, value & A_A20);
	if (reset)
		sysctl_request(m, MACHINE_RESET);
}

static void write_reset_control(struct machine *m, uint8_t value)
{
	bool reset = value & RC_RESET && !(m->sysctl.portcf9 & RC_RESET);

	m->sysctl.portcf9 = value;
	if (reset)
		sysctl_request(m, MACHINE_RESET);
}

/* `lane`: 0 the low byte of the register, 1 the high one. */
static void write_power(struct machine *m, unsigned lane, uint8_t value)
{
	m->sysctl.power[lane] = value;
	if (lane == 1 && value & SLP_EN_HIGH)
		sysctl_request(m, MACHINE_POWER_OFF);
}

static void write_shutdown(struct machine *m, uint8_t character)
{
	static const char word[] = "Shutdown";
	struct sysctl *s = &m->sysctl;

	if (character != word[s->shutdown_seen])
		s->shutdown_seen = 0;
	if (character == word[s->shutdown_seen])
		s->shutdown_seen++;
	if (!word[s->shutdown_seen]) {
		s->shutdown_seen = 0;
		sysctl_request(m, MACHINE_POWER_OFF);
	}
}

static void write_byte(struct machine *m, uint16_t port, uint8_t value)
{
	switch (port) {
	case PORT_SYSTEM_A:
		write_system_a(m, value);
		break;
	case PORT_RESET:
		write_reset_control(m, value);
		break;
	case PORT_POWER:
	case PORT_POWER + 1:
		write_power(m, port - PORT_POWER, value);
		break;
	case PORT_SHUTDOWN:
		write_shutdown(m, value);
		break;
	default:
		break;
	}
}

static void sysctl_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	if (m->config.debug_exit_port && port == m->config.debug_exit_port) {
		if (m->sysctl.request == MACHINE_RUN)
			m->sysctl.exit_code = value << 1 | 1;
		sysctl_request(m, MACHINE_DEBUG_EXIT);
		return;
	}
	for (unsigned i = 0; i < bytes; i++)
		write_byte(m, (uint16_t)(port + i), (uint8_t)(value >> (8 * i)));
}

static uint8_t read_byte(const struct machine *m, uint16_t port)
{
	switch (port) {
	case PORT_SYSTEM_A:
		return (uint8_t)(m->sysctl.port92 | (m->sysctl.a20 ? A_A20 : 0));
	case PORT_RESET:
		return m->sysctl.portcf9;
	case PORT_POWER:
	case PORT_POWER + 1:
		return m->sysctl.power[port - PORT_POWER];
	default:
		return 0xFF;
	}
}

static uint32_t sysctl_in(struct machine *m, uint16_t port, unsigned bytes)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value |= (uint32_t)read_byte(m, (uint16_t)(port + i)) << (8 * i);
	return value;
}

/* ---- 3. Reset, ops -------------------------------------------------------------------------- */

static void sysctl_reset(struct machine *m)
{
	m->sysctl = (struct sysctl){.a20 = m->sysctl.a20};
	sysctl_set_a20(m, true); /* open, as firmware leaves it */
}

const struct device_ops sysctl_ops = {
    .name = "sysctl",
    .ports = {{PORT_SYSTEM_A, 1}, {PORT_RESET, 1}, {PORT_POWER, 2}, {PORT_SHUTDOWN, 1}},
    .widest = 4,
    .reset = sysctl_reset,
    .in = sysctl_in,
    .out = sysctl_out,
};
