/* SPDX-License-Identifier: MIT */
/*
 * machine/machine.c - the board: which devices there are, and the way from a port to one of them.
 *
 *   1. The table     every device, one line each
 *   2. Life          machine_new, machine_free, machine_reset
 *   3. Ports         dispatch, splitting of wide accesses
 *   4. Time          deadlines and polling
 *   5. The rest      interrupts, the serial line, power requests
 */
#include <stdlib.h>
#include <string.h>

#include "machine/device.h"

/* ---- 1. The table --------------------------------------------------------------------------- */

/* Reset runs in this order: the interrupt controllers first, because the others lower their lines.
 */
static const struct device_ops *const devices[] = {
    &pic_ops, &pit_ops, &rtc_ops,    &uart_ops,      &kbc_ops,
    &dma_ops, &pci_ops, &sysctl_ops, &debugport_ops,
};
#define DEVICES (sizeof(devices) / sizeof(devices[0]))

/* ---- 2. Life -------------------------------------------------------------------------------- */

static void claim_ports(struct machine *m, unsigned index)
{
	const struct device_ops *ops = devices[index];

	for (unsigned r = 0; r < DEVICE_RANGES && ops->ports[r].count; r++)
		for (unsigned i = 0; i < ops->ports[r].count; i++)
			m->owner[ops->ports[r].first + i] = (uint8_t)(index + 1);
}

struct machine *machine_new(const struct machine_config *config)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->config = *config;
	m->sysctl.a20 = true; /* what the embedder assumes until it is told otherwise */
	for (unsigned i = 0; i < DEVICES; i++)
		claim_ports(m, i);
	/* The one port that the embedder chooses: it wins over whatever stands there. */
	if (config->debug_exit_port)
		for (unsigned i = 0; i < DEVICES; i++)
			if (devices[i] == &sysctl_ops)
				m->owner[config->debug_exit_port] = (uint8_t)(i + 1);
	machine_reset(m);
	return m;
}

void machine_free(struct machine *m)
{
	if (m)
		uart_flush(m);
	free(m);
}

void machine_reset(struct machine *m)
{
	for (unsigned i = 0; i < DEVICES; i++)
		devices[i]->reset(m);
}

/* ---- 3. Ports ------------------------------------------------------------------------------- */

static const struct device_ops *find_owner(const struct machine *m, uint16_t port)
{
	unsigned index = m->owner[port];

	return index ? devices[index - 1] : NULL;
}

uint32_t machine_port_in(struct machine *m, uint16_t port, unsigned bytes)
{
	const struct device_ops *ops = find_owner(m, port);
	uint32_t value = 0;

	if (ops && bytes <= ops->widest)
		return ops->in(m, port, bytes);
	for (unsigned i = 0; i < bytes; i++) {
		uint16_t at = (uint16_t)(port + i);

		ops = find_owner(m, at);
		value |= (ops ? ops->in(m, at, 1) & 0xFFu : 0xFFu) << (8 * i);
	}
	return value;
}

void machine_port_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t value)
{
	const struct device_ops *ops = find_owner(m, port);

	if (ops && bytes <= ops->widest) {
		ops->out(m, port, bytes, bytes < 4 ? value & ((1u << (8 * bytes)) - 1) : value);
		return;
	}
	for (unsigned i = 0; i < bytes; i++) {
		uint16_t at = (uint16_t)(port + i);

		ops = find_owner(m, at);
		if (ops)
			ops->out(m, at, 1, value >> (8 * i) & 0xFFu);
	}
}

/* ---- 4. Time -------------------------------------------------------------------------------- */

uint64_t machine_deadline(const struct machine *m)
{
	uint64_t first = NEVER;

	for (unsigned i = 0; i < DEVICES; i++) {
		uint64_t at = devices[i]->deadline ? devices[i]->deadline(m) : NEVER;

		if (at < first)
			first = at;
	}
	return first;
}

uint64_t machine_idle_deadline(const struct machine *m, uint64_t slack)
{
	uint64_t first = NEVER;

	for (unsigned i = 0; i < DEVICES; i++) {
		uint64_t at = devices[i]->deadline ? devices[i]->deadline(m) : NEVER;

		if (at < NEVER - slack && devices[i]->is_patient && devices[i]->is_patient(m))
			at += slack;
		if (at < first)
			first = at;
	}
	return first;
}

void machine_poll(struct machine *m)
{
	uint64_t now = machine_now(m);

	for (unsigned i = 0; i < DEVICES; i++)
		if (devices[i]->poll)
			devices[i]->poll(m, now);
}

/* ---- 5. The rest ---------------------------------------------------------------------------- */

int machine_ack_irq(struct machine *m)
{
	/* A tick that is due counts as part of the request that is acknowledged now. */
	pit_ops.poll(m, machine_now(m));
	return pic_acknowledge(m);
}

void machine_set_line(struct machine *m, unsigned line, bool level)
{
	if (line < 16)
		pic_set_line(m, line, level);
}

size_t machine_describe_irq(const struct machine *m, char *buf, size_t bytes)
{
	return pic_describe(m, buf, bytes);
}

size_t machine_serial_in(struct machine *m, const uint8_t *bytes, size_t count)
{
	size_t taken = 0;

	while (taken < count && uart_room(&m->uart))
		uart_receive(m, bytes[taken++], 0);
	return taken;
}

size_t machine_serial_room(const struct machine *m)
{
	return uart_room(&m->uart);
}

void machine_serial_break(struct machine *m)
{
	if (uart_room(&m->uart))
		uart_receive(m, 0, LSR_BREAK);
}

void machine_flush(struct machine *m)
{
	uart_flush(m);
}

enum machine_request machine_requested(const struct machine *m)
{
	return m->sysctl.request;
}

uint32_t machine_exit_code(const struct machine *m)
{
	return m->sysctl.exit_code;
}
