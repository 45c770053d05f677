/* SPDX-License-Identifier: MIT */
/*
 * machine/saved.c - the devices' state as bytes, for snapshots.
 *
 *   1. The table    every number that the devices keep, and what it may be
 *   2. Saving, restoring
 */
#include "machine/device.h"
#include "machine/fields.h"

/* ---- 1. The table --------------------------------------------------------------------------- */

#define ONE(member, ...) FIELD(struct machine, member, __VA_ARGS__)
#define ALL(member, ...) FIELD_ARRAY(struct machine, member, __VA_ARGS__)
#define EACH(array, member, ...) FIELD_EACH(struct machine, array, member, __VA_ARGS__)

/* Far from where a sum of two would wrap. */
#define TICK 0, UINT64_MAX / 8
#define SECONDS (1ll << 40)

static const struct field fields[] = {
	EACH(pic.chip, lines, FIELD_ANY), EACH(pic.chip, edges, FIELD_ANY), EACH(pic.chip, level, FIELD_ANY),
	EACH(pic.chip, imr, FIELD_ANY), EACH(pic.chip, isr, FIELD_ANY), EACH(pic.chip, base, FIELD_ANY),
	EACH(pic.chip, lowest, 0, 7), EACH(pic.chip, icw_next, 0, 4), EACH(pic.chip, icw1, FIELD_ANY),
	EACH(pic.chip, auto_eoi, FIELD_BOOL), EACH(pic.chip, rotate_auto_eoi, FIELD_BOOL),
	EACH(pic.chip, special_mask, FIELD_BOOL), EACH(pic.chip, special_nested, FIELD_BOOL),
	EACH(pic.chip, poll, FIELD_BOOL), EACH(pic.chip, read_isr, FIELD_BOOL), ONE(pic.intr, FIELD_BOOL),

	EACH(pit.channel, mode, 0, 5), EACH(pit.channel, access, 1, 3), EACH(pit.channel, bcd, FIELD_BOOL),
	EACH(pit.channel, gate, FIELD_BOOL), EACH(pit.channel, armed, FIELD_BOOL),
	EACH(pit.channel, running, FIELD_BOOL), EACH(pit.channel, has_next, FIELD_BOOL),
	EACH(pit.channel, write_high, FIELD_BOOL), EACH(pit.channel, read_high, FIELD_BOOL),
	EACH(pit.channel, out_idle, FIELD_BOOL), EACH(pit.channel, write_low, FIELD_ANY),
	EACH(pit.channel, latch_bytes, 0, 3), EACH(pit.channel, status_latched, FIELD_BOOL),
	EACH(pit.channel, status, FIELD_ANY), EACH(pit.channel, latch, FIELD_ANY),
	EACH(pit.channel, count, 1, 65536), EACH(pit.channel, next, 1, 65536),
	EACH(pit.channel, start, TICK), EACH(pit.channel, held, TICK),
	ONE(pit.port61, 0, 15), ONE(pit.edge, FIELD_ANY), ONE(pit.edge_ns, FIELD_ANY),

	ALL(rtc.cmos, FIELD_ANY), ONE(rtc.index, 0, CMOS_BYTES - 1), ONE(rtc.flags, FIELD_ANY),
	ONE(rtc.made, FIELD_BOOL), ONE(rtc.stopped, FIELD_BOOL),
	FIELD_SIGNED(struct machine, rtc.base_seconds, -SECONDS, SECONDS), ONE(rtc.base_ns, FIELD_ANY),
	ONE(rtc.chain_ns, FIELD_ANY), ONE(rtc.weekday_offset, 0, 6), ONE(rtc.done_seconds, 0, SECONDS),
	ONE(rtc.done_periods, TICK), ONE(rtc.deadline, FIELD_ANY),

	ONE(uart.ier, FIELD_ANY), ONE(uart.lcr, FIELD_ANY), ONE(uart.mcr, FIELD_ANY),
	ONE(uart.scratch, FIELD_ANY), ONE(uart.fcr, FIELD_ANY), ONE(uart.msr_delta, FIELD_ANY),
	ALL(uart.divisor, FIELD_ANY), ONE(uart.overrun, FIELD_BOOL), ONE(uart.thre_pending, FIELD_BOOL),
	ONE(uart.timeout, FIELD_BOOL), ALL(uart.fifo, FIELD_ANY), ALL(uart.error, FIELD_ANY),
	ONE(uart.head, 0, UART_FIFO_BYTES - 1), ONE(uart.used, 0, UART_FIFO_BYTES),
	ONE(uart.timeout_at, FIELD_ANY), ONE(uart.out_used, 0, UART_OUT_BYTES), ONE(uart.flush_at, FIELD_ANY),
	ALL(uart.out, FIELD_ANY),

	ONE(kbc.command_byte, FIELD_ANY), ONE(kbc.last_was_command, FIELD_BOOL), ONE(kbc.pending, FIELD_ANY),
	ONE(kbc.output_port, FIELD_ANY), ALL(kbc.ram, FIELD_ANY), ALL(kbc.out, FIELD_ANY),
	ALL(kbc.flags, FIELD_ANY), ONE(kbc.head, 0, KBC_OUT_BYTES - 1), ONE(kbc.used, 0, KBC_OUT_BYTES),
	ONE(kbc.last, FIELD_ANY),

	EACH(dma.channel, base_address, FIELD_ANY), EACH(dma.channel, base_count, FIELD_ANY),
	EACH(dma.channel, address, FIELD_ANY), EACH(dma.channel, count, FIELD_ANY),
	EACH(dma.channel, mode, FIELD_ANY), EACH(dma.chip, high, FIELD_BOOL), EACH(dma.chip, command, FIELD_ANY),
	EACH(dma.chip, mask, FIELD_ANY), ALL(dma.page, FIELD_ANY),

	ONE(pci.address, FIELD_ANY), FIELD_EACH_ARRAY(struct machine, pci.function, config, FIELD_ANY),

	ONE(sysctl.a20, FIELD_BOOL), ONE(sysctl.port92, FIELD_ANY), ONE(sysctl.portcf9, FIELD_ANY),
	ALL(sysctl.power, FIELD_ANY), ONE(sysctl.shutdown_seen, 0, 7), ONE(sysctl.request, 0, MACHINE_DEBUG_EXIT),
	ONE(sysctl.exit_code, FIELD_ANY),
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* ---- 2. Saving, restoring ------------------------------------------------------------------- */

size_t machine_saved_bytes(void) { return fields_bytes(fields, FIELDS); }

uint32_t machine_saved_digest(uint32_t start) { return fields_digest(fields, FIELDS, start); }

void machine_save(const struct machine *m, uint8_t *to) { fields_save(fields, FIELDS, m, to); }

const char *machine_check_saved(const uint8_t *from) { return fields_check(fields, FIELDS, from); }

void machine_restore(struct machine *m, const uint8_t *from)
{
	fields_load(fields, FIELDS, from, m);
	/* What the embedder heard last was the old machine's. */
	m->config.irq(m->config.user, m->pic.intr);
	m->config.a20(m->config.user, m->sysctl.a20);
}
