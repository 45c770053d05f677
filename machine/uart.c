/* SPDX-License-Identifier: MIT */
/*
 * machine/uart.c - the 16550A on COM1 (ports 0x3F8-0x3FF, IRQ 4): registers and interrupts.
 *
 *   1. Bits          register bits
 *   2. Interrupts    sources by priority, IRQ 4
 *   3. Modem         MSR, loopback
 *   4. Reading, writing
 *   5. Reset, ops
 *
 * After National Semiconductor's PC16550D data sheet (1995), sections 8.1-8.6; uartline.c is the
 * other side. A byte leaves the transmitter at once, so THR is empty again when the write to it is
 * over; the interrupt for that is the latch of section 8.5, not a level: set by emptying or by
 * enabling, cleared by reading it.
 */
#include "machine/device.h"

/* ---- 1. Bits -------------------------------------------------------------------------------- */

enum uart_register { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCRATCH };
enum ier {
	IER_DATA = 1u << 0,
	IER_THRE = 1u << 1,
	IER_LINE = 1u << 2,
	IER_MODEM = 1u << 3,
	IER_ALL = 0x0F
};
enum iir {
	IIR_MODEM = 0x00,
	IIR_NONE = 0x01,
	IIR_THRE = 0x02,
	IIR_DATA = 0x04,
	IIR_LINE = 0x06,
	IIR_TIMEOUT = 0x0C,
	IIR_FIFO = 0xC0,
};
enum fcr { FCR_ENABLE = 1u << 0, FCR_CLEAR_RX = 1u << 1, FCR_TRIGGER = 3u << 6 };
enum lcr { LCR_DLAB = 1u << 7 };
enum mcr {
	MCR_DTR = 1u << 0,
	MCR_RTS = 1u << 1,
	MCR_OUT1 = 1u << 2,
	MCR_OUT2 = 1u << 3,
	MCR_LOOP = 1u << 4
};
enum msr {
	MSR_TERI = 1u << 2,
	MSR_CTS = 1u << 4,
	MSR_DSR = 1u << 5,
	MSR_RI = 1u << 6,
	MSR_DCD = 1u << 7
};
enum { LSR_ERRORS = LSR_PARITY | LSR_FRAMING | LSR_BREAK };

bool uart_has_fifo(const struct uart *u)
{
	return u->fcr & FCR_ENABLE;
}

bool uart_is_looped(const struct uart *u)
{
	return u->mcr & MCR_LOOP;
}

/* ---- 2. Interrupts -------------------------------------------------------------------------- */

static unsigned trigger_level(const struct uart *u)
{
	static const uint8_t level[4] = {1, 4, 8, 14};

	return uart_has_fifo(u) ? level[u->fcr >> 6] : 1;
}

/* LSR as it reads now.  Errors show when their byte is the next to be read. */
static uint8_t line_status(const struct uart *u)
{
	unsigned value = uart_is_full(u) ? 0 : LSR_THR_EMPTY | LSR_EMPTY;

	if (u->overrun)
		value |= LSR_OVERRUN;
	if (u->used)
		value |= LSR_DATA | u->error[u->head];
	for (unsigned i = 0; uart_has_fifo(u) && i < u->used; i++)
		if (u->error[(u->head + i) % UART_FIFO_BYTES])
			value |= LSR_FIFO_ERROR;
	return (uint8_t)value;
}

/* The interrupt of highest priority (table IV of the data sheet). */
static uint8_t identify_interrupt(const struct uart *u)
{
	if (u->ier & IER_LINE && line_status(u) & (LSR_ERRORS | LSR_OVERRUN))
		return IIR_LINE;
	if (u->ier & IER_DATA && u->used >= trigger_level(u))
		return IIR_DATA;
	if (u->ier & IER_DATA && u->timeout)
		return IIR_TIMEOUT;
	if (u->ier & IER_THRE && u->thre_pending)
		return IIR_THRE;
	if (u->ier & IER_MODEM && u->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

/* OUT2 gates the interrupt on a PC's board; in loopback the pin is inactive. */
void uart_update_irq(struct machine *m)
{
	const struct uart *u = &m->uart;
	bool gated = !(u->mcr & MCR_OUT2) || uart_is_looped(u);

	pic_set_line(m, LINE_UART, !gated && identify_interrupt(u) != IIR_NONE);
}

/* ---- 3. Modem ------------------------------------------------------------------------------- */

/* The upper half of MSR: a terminal that is always there, or our own outputs. */
static uint8_t modem_inputs(const struct uart *u)
{
	if (!uart_is_looped(u))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	return (uint8_t)((u->mcr & MCR_RTS ? MSR_CTS : 0) | (u->mcr & MCR_DTR ? MSR_DSR : 0) |
			 (u->mcr & MCR_OUT1 ? MSR_RI : 0) | (u->mcr & MCR_OUT2 ? MSR_DCD : 0));
}

static void write_mcr(struct uart *u, uint8_t value)
{
	uint8_t before = modem_inputs(u), now, changed;

	u->mcr = value & 0x1F;
	now = modem_inputs(u);
	changed = before ^ now;
	/* RI counts only where it ends */
	u->msr_delta |= (uint8_t)((changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> 4);
	u->msr_delta |= (uint8_t)((before & ~now & MSR_RI) >> 4);
}

/* ---- 4. Reading, writing -------------------------------------------------------------------- */

static uint8_t read_iir(struct machine *m)
{
	struct uart *u = &m->uart;
	uint8_t id = identify_interrupt(u);

	if (id == IIR_THRE)
		u->thre_pending = false;
	return (uint8_t)(id | (uart_has_fifo(u) ? IIR_FIFO : 0));
}

static uint8_t read_lsr(struct uart *u)
{
	uint8_t value = line_status(u);

	u->overrun = false;
	if (u->used)
		u->error[u->head] = 0;
	return value;
}

static uint8_t read_msr(struct uart *u)
{
	uint8_t value = modem_inputs(u) | u->msr_delta;

	u->msr_delta = 0;
	return value;
}

static uint32_t uart_in(struct machine *m, uint16_t port, unsigned bytes)
{
	struct uart *u = &m->uart;
	uint8_t value;

	(void)bytes;
	if (u->lcr & LCR_DLAB && (port & 7u) <= IER)
		return u->divisor[port & 1];
	switch ((enum uart_register)(port & 7u)) {
	case DATA:
		value = uart_take(m);
		break;
	case IER:
		return u->ier;
	case IIR_FCR:
		value = read_iir(m);
		break;
	case LCR:
		return u->lcr;
	case MCR:
		return u->mcr;
	case LSR:
		value = read_lsr(u);
		break;
	case MSR:
		value = read_msr(u);
		break;
	default:
		return u->scratch;
	}
	uart_update_irq(m);
	return value;
}

static void write_data(struct machine *m, uint8_t value)
{
	struct uart *u = &m->uart;

	u->thre_pending = false;
	if (uart_is_looped(u))
		uart_receive(m, value, 0);
	else
		uart_send(m, value);
	u->thre_pending = !uart_is_full(u);
}

static void write_ier(struct uart *u, uint8_t value)
{
	/* Enabling it while THR is empty raises it at once: drivers start transmission that way. */
	if (value & IER_THRE && !(u->ier & IER_THRE))
		u->thre_pending = !uart_is_full(u);
	u->ier = value & IER_ALL;
}

static void write_fcr(struct uart *u, uint8_t value)
{
	if ((value ^ u->fcr) & FCR_ENABLE || value & FCR_CLEAR_RX) {
		u->used = u->head = 0;
		u->timeout = false;
	}
	/* without the enable bit the others are not programmed */
	u->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | FCR_TRIGGER) : 0;
}

static void uart_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t word)
{
	struct uart *u = &m->uart;
	uint8_t value = (uint8_t)word;

	(void)bytes;
	if (u->lcr & LCR_DLAB && (port & 7u) <= IER) {
		u->divisor[port & 1] = value;
		return;
	}
	switch ((enum uart_register)(port & 7u)) {
	case DATA:
		write_data(m, value);
		break;
	case IER:
		write_ier(u, value);
		break;
	case IIR_FCR:
		write_fcr(u, value);
		break;
	case LCR:
		u->lcr = value;
		break;
	case MCR:
		write_mcr(u, value);
		break;
	case SCRATCH:
		u->scratch = value;
		break;
	case LSR: /* factory test */
	case MSR: /* the inputs are not ours to write */
		break;
	}
	uart_update_irq(m);
}

/* ---- 5. Reset, ops -------------------------------------------------------------------------- */

/* Bytes that were sent stay on their way: they have left the chip. */
static void uart_reset(struct machine *m)
{
	struct uart *u = &m->uart;

	u->ier = u->lcr = u->mcr = u->fcr = u->scratch = u->msr_delta = 0;
	u->divisor[0] = 12; /* 9600 */
	u->divisor[1] = 0;
	u->overrun = u->thre_pending = u->timeout = false;
	u->head = u->used = 0;
	uart_update_irq(m);
}

const struct device_ops uart_ops = {
    .name = "uart",
    .ports = {{0x3F8, 8}},
    .widest = 1,
    .reset = uart_reset,
    .in = uart_in,
    .out = uart_out,
    .deadline = uart_deadline,
    .poll = uart_poll,
};
