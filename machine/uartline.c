/* SPDX-License-Identifier: MIT */
/*
 * machine/uartline.c - the serial line behind the 16550A: where bytes come from and go to.
 *
 *   1. Sending      bytes gathered, given to the host in pieces
 *   2. Receiving    the FIFO and the character time-out
 *   3. Time         deadlines
 *
 * A host write for each console byte would cost more than the guest's own work.  So bytes wait
 * until the buffer is full, a millisecond has gone by, or the guest falls asleep (machine_flush).
 */
#include <string.h>

#include "machine/device.h"

#define FLUSH_NS 1000000u       /* a byte waits no longer */
#define RETRY_NS 10000000u      /* the host took nothing: a stopped terminal */
#define TIMEOUT_MAX_NS 1000000u /* of the character time-out, however slow the line is set */
#define UART_HZ 1843200u

/* ---- 1. Sending ----------------------------------------------------------------------------- */

bool uart_is_full(const struct uart *u)
{
	return u->out_used == UART_OUT_BYTES;
}

void uart_flush(struct machine *m)
{
	struct uart *u = &m->uart;
	size_t taken = u->out_used;

	if (!u->out_used)
		return;
	if (m->config.serial_out)
		taken = m->config.serial_out(m->config.user, u->out, u->out_used);
	if (taken > u->out_used)
		taken = u->out_used;
	if (taken && uart_is_full(u))
		u->thre_pending = true; /* THR empties at last */
	memmove(u->out, u->out + taken, u->out_used - taken);
	u->out_used -= (unsigned)taken;
	u->flush_at = machine_now(m) + RETRY_NS;
	uart_update_irq(m);
}

/* A byte written while nothing drains the line is lost, as the second byte in a real THR is. */
void uart_send(struct machine *m, uint8_t byte)
{
	struct uart *u = &m->uart;

	if (!u->out_used)
		u->flush_at = machine_now(m) + FLUSH_NS;
	if (!uart_is_full(u))
		u->out[u->out_used++] = byte;
	if (uart_is_full(u) && machine_now(m) + FLUSH_NS >= u->flush_at)
		uart_flush(m);
}

/* ---- 2. Receiving --------------------------------------------------------------------------- */

/* Start bit, 5 to 8 data bits, parity, stop bits, at the divisor's rate. */
static uint64_t character_ns(const struct uart *u)
{
	enum { TWO_STOP = 1u << 2, PARITY = 1u << 3 };
	uint64_t bits =
	    1u + 5 + (u->lcr & 3u) + (u->lcr & PARITY ? 1 : 0) + (u->lcr & TWO_STOP ? 2 : 1);
	uint64_t divisor = u->divisor[0] | (uint64_t)u->divisor[1] << 8;

	return bits * 16 * divisor * NS_PER_SECOND / UART_HZ;
}

static void restart_timeout(struct machine *m)
{
	uint64_t ns = 4 * character_ns(&m->uart);

	m->uart.timeout = false;
	m->uart.timeout_at = machine_now(m) + (ns < TIMEOUT_MAX_NS ? ns : TIMEOUT_MAX_NS);
}

/* Bytes from outside that the chip can take; none while it listens to itself. */
size_t uart_room(const struct uart *u)
{
	if (uart_is_looped(u))
		return 0;
	if (!uart_has_fifo(u))
		return u->used ? 0 : 1;
	return UART_FIFO_BYTES - u->used;
}

void uart_receive(struct machine *m, uint8_t byte, uint8_t error)
{
	struct uart *u = &m->uart;
	unsigned at, size = uart_has_fifo(u) ? UART_FIFO_BYTES : 1;

	if (u->used >= size) {
		/* the FIFO keeps what it has; without it the new byte takes the old one's place */
		u->overrun = true;
		if (size == 1)
			u->fifo[u->head] = byte;
	} else {
		at = (u->head + u->used++) % UART_FIFO_BYTES;
		u->fifo[at] = byte;
		u->error[at] = error;
	}
	restart_timeout(m);
	uart_update_irq(m);
}

uint8_t uart_take(struct machine *m)
{
	struct uart *u = &m->uart;
	uint8_t byte = u->fifo[u->head];

	if (!u->used)
		return 0;
	u->head = (u->head + 1) % UART_FIFO_BYTES;
	u->used--;
	restart_timeout(m);
	return byte;
}

/* ---- 3. Time -------------------------------------------------------------------------------- */

static bool awaits_timeout(const struct uart *u)
{
	return uart_has_fifo(u) && u->used && !u->timeout;
}

uint64_t uart_deadline(const struct machine *m)
{
	const struct uart *u = &m->uart;
	uint64_t first = u->out_used ? u->flush_at : NEVER;

	if (awaits_timeout(u) && u->timeout_at < first)
		first = u->timeout_at;
	return first;
}

void uart_poll(struct machine *m, uint64_t now)
{
	struct uart *u = &m->uart;

	if (u->out_used && now >= u->flush_at)
		uart_flush(m);
	if (awaits_timeout(u) && now >= u->timeout_at) {
		u->timeout = true;
		uart_update_irq(m);
	}
}
