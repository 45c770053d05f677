/* SPDX-License-Identifier: MIT */
/*
 * machine/machine.h - the PC around the processor.
 *
 * Two 8259 interrupt controllers, the 8254 timer, CMOS/RTC, a 16550 on COM1 (ttyS0), the debug console
 * at port 0xE9, isa-debug-exit, the keyboard controller (A20, reset) with port 0x92, PCI configuration
 * mechanism 1 with a host bridge.  A device is one file, one ops table and one line in machine.c's
 * table.
 *
 * Time is what machine_config.now() says, in nanoseconds; devices compute their state from it when they
 * are looked at, and machine_poll() makes due what is due.  Nothing here sleeps, spawns or allocates
 * after machine_new().  Single-threaded: the embedder serialises.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct machine;

enum machine_request {          /* what the guest asked of the machine's power */
	MACHINE_RUN,
	MACHINE_RESET,          /* keyboard controller 0xFE, port 0x92 bit 0, port 0xCF9 */
	MACHINE_POWER_OFF,      /* 0x604 <- 0x2000 (or 0x605 <- 0x20), "Shutdown" to 0x8900 */
	MACHINE_DEBUG_EXIT,     /* isa-debug-exit; status in machine_exit_code() */
};

struct machine_config {
	void *user;
	uint64_t (*now)(void *user);                  /* ns since the machine was made; monotonic */
	uint64_t (*wall_clock)(void *user);           /* seconds since 1970, UTC, for the RTC */
	void (*irq)(void *user, bool level);          /* INTR to the processor */
	void (*a20)(void *user, bool enabled);        /* the A20 gate changed; it is open at first */
	/* Serial output; must not block.  Returns bytes taken; the rest is offered again later. */
	size_t (*serial_out)(void *user, const uint8_t *bytes, size_t count);
	void (*debug_out)(void *user, uint8_t byte);  /* port 0xE9 */
	uint64_t ram_bytes;                           /* for the CMOS memory fields */
	uint16_t debug_exit_port;                     /* 0 = none; customary 0x501 or 0xF4 */
};

struct machine *machine_new(const struct machine_config *config); /* NULL: no memory */
void machine_free(struct machine *m);
void machine_reset(struct machine *m);

/* Ports.  Unclaimed ones read all ones and swallow writes. bytes: 1, 2, 4. */
uint32_t machine_port_in(struct machine *m, uint16_t port, unsigned bytes);
void machine_port_out(struct machine *m, uint16_t port, unsigned bytes, uint32_t value);

int machine_ack_irq(struct machine *m); /* INTA: the vector (spurious ones included) */
/* The time (ns) at which machine_poll() has work next; UINT64_MAX: none. */
uint64_t machine_deadline(const struct machine *m);
/* The same for an idle guest, which would not mind a one-shot timer that comes up to `slack` ns late. */
uint64_t machine_idle_deadline(const struct machine *m, uint64_t slack);
void machine_poll(struct machine *m);
/* Bytes that arrived on the serial line; returns how many the UART's FIFO took. */
size_t machine_serial_in(struct machine *m, const uint8_t *bytes, size_t count);
size_t machine_serial_room(const struct machine *m);
void machine_serial_break(struct machine *m); /* a break on the line (Linux: SysRq) */
/* Console output is gathered for up to a millisecond (machine_deadline() tells); call this before the
 * thread sleeps, so that an idle guest's last words are out at once. */
void machine_flush(struct machine *m);
/* The power request, sticky until machine_reset(). */
enum machine_request machine_requested(const struct machine *m);
uint32_t machine_exit_code(const struct machine *m); /* isa-debug-exit: (value << 1) | 1 */
/* All that the devices keep, as machine_saved_bytes() bytes, for a snapshot.  The digest is another one where the
 * layout is.  Bytes are checked as a whole before they are restored: NULL, or the name of a number that cannot be. */
size_t machine_saved_bytes(void);
uint32_t machine_saved_digest(uint32_t start);
void machine_save(const struct machine *m, uint8_t *to);
const char *machine_check_saved(const uint8_t *from);
void machine_restore(struct machine *m, const uint8_t *from);
/* For the monitor: interrupt state as text. */
size_t machine_describe_irq(const struct machine *m, char *buf, size_t bytes);
/* Another interrupt source (PCI devices later): level of ISA line 0..15. */
void machine_set_line(struct machine *m, unsigned line, bool level);

#endif
