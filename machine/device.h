/* SPDX-License-Identifier: MIT */
/*
 * machine/device.h - the private index of machine/: devices, their state, who calls whom.
 *
 *   1. The ops table     what machine.c needs to know of a device
 *   2. Device state      one struct per chip, all inside struct machine
 *   3. Functions         prototypes, grouped by the file that has them
 *
 * State is plain data inside one struct machine: nothing is allocated after machine_new(), and a
 * device computes what has happened since it was last looked at from machine_now().
 */
#ifndef MACHINE_DEVICE_H
#define MACHINE_DEVICE_H

#include "machine/machine.h"

#define NEVER UINT64_MAX
#define NS_PER_SECOND 1000000000u

/* ---- 1. The ops table ----------------------------------------------------------------------- */

#define DEVICE_RANGES 7

struct port_range {
	uint16_t first, count;
};

struct device_ops {
	const char *name;
	struct port_range ports[DEVICE_RANGES]; /* up to the first with count 0 */
	/* Accesses wider than this are split into bytes at consecutive ports, as on ISA. */
	unsigned widest;
	void (*reset)(struct machine *m);
	uint32_t (*in)(struct machine *m, uint16_t port, unsigned bytes);
	void (*out)(struct machine *m, uint16_t port, unsigned bytes, uint32_t value);
	uint64_t (*deadline)(const struct machine *m); /* NULL: it never has work of its own */
	void (*poll)(struct machine *m, uint64_t now);
	bool (*is_patient)(const struct machine *m); /* met late, its deadline loses nothing (NULL: it would) */
};

extern const struct device_ops pic_ops, pit_ops, rtc_ops, uart_ops, kbc_ops, dma_ops, pci_ops,
        sysctl_ops, debugport_ops;

/* ---- 2. Device state ------------------------------------------------------------------------ */

/* The ISA lines that the board's own devices drive. */
enum { LINE_PIT = 0, LINE_KBC = 1, LINE_CASCADE = 2, LINE_UART = 4, LINE_RTC = 8 };

/* One 8259A. */
struct pic_chip {
	uint8_t lines;       /* level of the eight inputs now */
	uint8_t edges;       /* inputs that rose and were not acknowledged since */
	uint8_t level;       /* ELCR: inputs that are level-triggered */
	uint8_t imr, isr;
	uint8_t base;        /* vector of input 0 (ICW2) */
	uint8_t lowest;      /* input of the lowest priority; the next one up has the highest */
	uint8_t icw_next;    /* 0: initialised; 2..4: the ICW expected next; 1: not even ICW1 */
	uint8_t icw1;
	bool auto_eoi, rotate_auto_eoi;
	bool special_mask, special_nested;
	bool poll;           /* the next read is an acknowledge (OCW3 P) */
	bool read_isr;
};

struct pic {
	struct pic_chip chip[2]; /* master, slave */
	bool intr;               /* what the processor was told last */
};

/* One counter of the 8254.  Ticks are periods of 1.193182 MHz since the machine was made. */
struct pit_channel {
	uint8_t mode;           /* 0..5 */
	uint8_t access;         /* 1 low byte, 2 high byte, 3 low then high */
	bool bcd;
	bool gate;
	bool armed;             /* a count was written since the control word */
	bool running;           /* the counting element was loaded */
	bool has_next;          /* `next` waits for the end of the period (modes 2, 3) */
	bool write_high, read_high;
	bool out_idle;          /* OUT while nothing runs */
	uint8_t write_low;
	uint8_t latch_bytes;    /* of the latched count, still to be read: bit 0 low, bit 1 high */
	bool status_latched;
	uint8_t status;
	uint16_t latch;
	uint32_t count;         /* 1..65536 */
	uint32_t next;
	uint64_t start;         /* tick at which the counting element held `count` */
	uint64_t held;          /* gate low in modes 0 and 4: ticks counted so far */
};

struct pit {
	struct pit_channel channel[3];
	uint8_t port61;         /* the writable bits, 0..3 */
	uint64_t edge;          /* tick of channel 0's next rising edge, NEVER */
	uint64_t edge_ns;       /* the same in ns, not nearer than PIT_MIN_PERIOD_NS to the last */
};

#define CMOS_BYTES 128u

struct rtc {
	uint8_t cmos[CMOS_BYTES];
	uint8_t index;
	uint8_t flags;          /* register C: PF AF UF, without IRQF */
	bool made;              /* the clock was set from the host's, once: a battery keeps it */
	bool stopped;           /* SET, or the divider held: the time bytes are as written */
	int64_t base_seconds;   /* since 1970-01-01: what the calendar showed at base_ns */
	uint64_t base_ns;       /* a moment at which a second began; may lie "before" 0: wraps */
	uint64_t chain_ns;      /* when the divider chain was last released */
	uint8_t weekday_offset; /* the day of the week is a counter of its own */
	uint64_t done_seconds;  /* updates since base_ns that `flags` accounts for */
	uint64_t done_periods;  /* periodic ticks since chain_ns that `flags` accounts for */
	uint64_t deadline;
};

#define UART_FIFO_BYTES 16u
#define UART_OUT_BYTES 4096u

/* Line status bits, also the errors kept beside each received byte. */
enum uart_lsr {
	LSR_DATA = 1u << 0,
	LSR_OVERRUN = 1u << 1,
	LSR_PARITY = 1u << 2,
	LSR_FRAMING = 1u << 3,
	LSR_BREAK = 1u << 4,
	LSR_THR_EMPTY = 1u << 5,
	LSR_EMPTY = 1u << 6,
	LSR_FIFO_ERROR = 1u << 7,
};

struct uart {
	uint8_t ier, lcr, mcr, scratch, fcr;
	uint8_t msr_delta;      /* MSR bits 0-3; the inputs themselves are fixed or looped back */
	uint8_t divisor[2];
	bool overrun;
	bool thre_pending;      /* the THRE interrupt's latch: cleared by reading it from IIR */
	bool timeout;           /* character time-out indication */
	uint8_t fifo[UART_FIFO_BYTES];
	uint8_t error[UART_FIFO_BYTES]; /* enum uart_lsr: what came with the byte */
	unsigned head, used;
	uint64_t timeout_at;    /* when bytes waiting below the trigger level are announced */
	unsigned out_used;      /* bytes on their way to the host */
	uint64_t flush_at;
	uint8_t out[UART_OUT_BYTES];
};

#define KBC_OUT_BYTES 8u

struct kbc {
	uint8_t command_byte;
	bool last_was_command;
	uint8_t pending;        /* command whose data byte comes next through port 0x60, or 0 */
	uint8_t output_port;    /* bits other than A20 and reset */
	uint8_t ram[32];
	uint8_t out[KBC_OUT_BYTES];   /* bytes for port 0x60 */
	uint8_t flags[KBC_OUT_BYTES]; /* their status bits (time-out) */
	unsigned head, used;
	uint8_t last;
};

struct dma_channel {
	uint16_t base_address, base_count, address, count;
	uint8_t mode;
};

struct dma {
	struct dma_channel channel[8];
	struct {
		bool high;          /* the byte pointer flip-flop */
		uint8_t command, mask;
	} chip[2];
	uint8_t page[16];           /* ports 0x80-0x8F; 0x80 is the POST port */
};

#define PCI_SLOTS 32u
#define PCI_CONFIG_BYTES 256u
#define PCI_FUNCTIONS 8u        /* functions this machine can have */

struct pci_function {
	uint8_t slot;
	uint8_t config[PCI_CONFIG_BYTES];
	uint8_t writable[PCI_CONFIG_BYTES]; /* bits a guest may change; zeroes in a BAR: its size */
	/* The guest wrote `bytes` at `offset` (after the change); may be NULL. */
	void (*written)(struct machine *m, struct pci_function *f, unsigned offset,
	                unsigned bytes);
};

struct pci {
	uint32_t address;       /* port 0xCF8 */
	struct pci_function function[PCI_FUNCTIONS];
	unsigned functions;
};

struct sysctl {
	bool a20;
	uint8_t port92, portcf9;
	uint8_t power[2];       /* the power-off register at 0x604 */
	unsigned shutdown_seen; /* characters of "Shutdown" seen in a row at port 0x8900 */
	enum machine_request request;
	uint32_t exit_code;
};

struct machine {
	struct machine_config config;
	struct pic pic;
	struct pit pit;
	struct rtc rtc;
	struct uart uart;
	struct kbc kbc;
	struct dma dma;
	struct pci pci;
	struct sysctl sysctl;
	uint8_t owner[65536];   /* port -> index into machine.c's table plus one; 0: nobody */
};

/* ---- 3. Functions --------------------------------------------------------------------------- */

/* machine.c */
static inline uint64_t machine_now(const struct machine *m)
{
	return m->config.now(m->config.user);
}

/* pic.c */
void pic_set_line(struct machine *m, unsigned line, bool level);
void pic_pulse_line(struct machine *m, unsigned line); /* low, then high: an edge in any case */
bool pic_is_requested(const struct machine *m, unsigned line); /* waits for an acknowledge */
int pic_acknowledge(struct machine *m);
size_t pic_describe(const struct machine *m, char *buf, size_t bytes);

/* pit.c, pitcount.c: what a counter shows at a tick */
uint64_t pit_ticks(uint64_t ns);
uint64_t pit_ns(uint64_t ticks); /* first ns at which pit_ticks() gives at least `ticks` */
void pit_settle(struct pit_channel *c, uint64_t tick);
bool pit_output(const struct pit_channel *c, uint64_t tick);
uint16_t pit_count(const struct pit_channel *c, uint64_t tick);
bool pit_is_null(const struct pit_channel *c, uint64_t tick);
uint64_t pit_next_edge(const struct pit_channel *c, uint64_t after);
void pit_load(struct pit_channel *c, uint32_t count, uint64_t tick);
void pit_set_mode(struct pit_channel *c, unsigned mode);
void pit_set_gate(struct pit_channel *c, bool gate, uint64_t tick);

/* rtc.c, calendar.c: days and seconds */
struct calendar {
	int64_t year;                 /* full: 1970 */
	unsigned month, day;          /* 1.. */
	unsigned hour, minute, second;
	unsigned weekday;             /* 0 Sunday */
};
struct calendar calendar_of_seconds(int64_t seconds);
int64_t calendar_to_seconds(const struct calendar *c); /* fields out of range carry over */

/* uart.c */
void uart_update_irq(struct machine *m);
bool uart_has_fifo(const struct uart *u);
bool uart_is_looped(const struct uart *u);

/* uartline.c: the line's side, where bytes come from and go to */
void uart_send(struct machine *m, uint8_t byte);
bool uart_is_full(const struct uart *u);
void uart_flush(struct machine *m);
size_t uart_room(const struct uart *u);
void uart_receive(struct machine *m, uint8_t byte, uint8_t error);
uint8_t uart_take(struct machine *m);
uint64_t uart_deadline(const struct machine *m);
void uart_poll(struct machine *m, uint64_t now);

/* pci.c */
struct pci_function *pci_add_function(struct machine *m, unsigned slot, uint16_t vendor,
                                      uint16_t device, uint32_t class_code, uint8_t revision);
void pci_add_bar(struct pci_function *f, unsigned bar, uint32_t bytes, bool io);

/* saved.c: machine_save() and its kin, from one table of all these numbers */

/* sysctl.c */
void sysctl_set_a20(struct machine *m, bool enabled);
void sysctl_request(struct machine *m, enum machine_request request);

#endif
