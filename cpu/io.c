/* SPDX-License-Identifier: MIT */
/*
 * cpu/io.c - ports: IN, OUT, INS, OUTS and who may use them.
 *
 *   1. Permission    IOPL and the TSS's bitmap (SDM vol. 1, 19.5)
 *   2. IN, OUT
 *   3. INS, OUTS     with REP, restartable at each element
 *
 * A port access cannot be undone, so everything that can fault is checked before it.  All of them end the
 * block: a device may have raised its interrupt line or asked the machine to stop.
 */
#include "cpu/fpu.h"
#include "cpu/system.h"

/* ---- 1. Permission -------------------------------------------------------------------------- */

enum { TSS_IO_MAP = 0x66, TSS32_MIN_LIMIT = 0x67 };

/* The bits of ports port..port+bytes-1, all of which must be 0; two bytes of the map are always read. */
static bool allowed_by_map(struct cpu *c, uint16_t port, unsigned bytes)
{
	unsigned type = c->tr.attr & 0x1F;
	uint16_t map, bits;
	uint32_t at;

	if ((type != SYS_TSS32 && type != SYS_TSS32_BUSY) || c->tr.limit < TSS32_MIN_LIMIT)
		return fault(c, EXC_GP, 0);
	if (!sys_read16(c, c->tr.base + TSS_IO_MAP, &map))
		return false;
	at = (uint32_t)map + port / 8;
	if (at + 1 > c->tr.limit)
		return fault(c, EXC_GP, 0);
	if (!sys_read16(c, c->tr.base + at, &bits))
		return false;
	if ((unsigned)bits >> port % 8 & ((1u << bytes) - 1))
		return fault(c, EXC_GP, 0);
	return true;
}

bool io_permitted(struct cpu *c, uint16_t port, unsigned bytes)
{
	if (!(c->cr0 & CR0_PE) || (!in_v86(c) && c->cpl <= io_privilege(c)))
		return true;
	return allowed_by_map(c, port, bytes);
}

/* I/O breakpoints are reported after the instruction, by the loop. */
static void note_breakpoints(struct cpu *c, uint16_t port, unsigned bytes)
{
	if (c->cr4 & CR4_DE && c->dr[7] & 0xFF)
		c->debug_hits |= debug_match(c, port, bytes, DEBUG_IO);
}

static uint32_t read_port(struct cpu *c, uint16_t port, unsigned bytes)
{
	note_breakpoints(c, port, bytes);
	fpu_leave(c);
	return c->bus.port_in(c->bus.user, port, bytes);
}

static void write_port(struct cpu *c, uint16_t port, unsigned bytes, uint32_t value)
{
	note_breakpoints(c, port, bytes);
	fpu_leave(c);
	c->bus.port_out(c->bus.user, port, bytes, value);
}

/* ---- 2. IN, OUT ----------------------------------------------------------------------------- */

static uint32_t low_mask(unsigned bytes) { return bytes == 4 ? 0xFFFFFFFFu : (1u << 8 * bytes) - 1; }

/* i->imm is the port of E4-E7; i->reg != 0: it is in DX (EC-EF). */
static uint16_t port_of(const struct cpu *c, const struct insn *i)
{
	return (uint16_t)(i->reg ? c->gpr[CPU_EDX] : i->imm & 0xFF);
}

enum run op_in(struct cpu *c, const struct insn *i)
{
	uint32_t mask = low_mask(i->size);
	uint16_t port = port_of(c, i);

	if (!io_permitted(c, port, i->size))
		return faulted(c, i);
	c->gpr[CPU_EAX] = (c->gpr[CPU_EAX] & ~mask) | (read_port(c, port, i->size) & mask);
	return end_block(c, i);
}

enum run op_out(struct cpu *c, const struct insn *i)
{
	uint16_t port = port_of(c, i);

	if (!io_permitted(c, port, i->size))
		return faulted(c, i);
	write_port(c, port, i->size, c->gpr[CPU_EAX] & low_mask(i->size));
	return end_block(c, i);
}

/* ---- 3. INS, OUTS --------------------------------------------------------------------------- */

/* ESI, EDI and ECX as wide as the addresses are. */
static uint32_t address_mask(const struct insn *i) { return i->addrsize == 4 ? 0xFFFFFFFFu : 0xFFFFu; }

static void advance(struct cpu *c, const struct insn *i, unsigned reg)
{
	uint32_t mask = address_mask(i), step = c->flags & FL_DF ? 0u - i->size : i->size;

	c->gpr[reg] = (c->gpr[reg] & ~mask) | ((c->gpr[reg] + step) & mask);
}

/* One element to ES:EDI. The destination is probed before the port is read. */
static bool ins_element(struct cpu *c, const struct insn *i)
{
	uint32_t at = c->gpr[CPU_EDI] & address_mask(i), value;
	uint16_t port = (uint16_t)c->gpr[CPU_EDX];

	if (!io_permitted(c, port, i->size) || !seg_probe_write(c, CPU_ES, at, i->size))
		return false;
	value = read_port(c, port, i->size);
	if (!seg_write_bytes(c, CPU_ES, at, &value, i->size)) /* little-endian: the low bytes */
		return false;
	advance(c, i, CPU_EDI);
	return true;
}

/* One element from DS:ESI (or the overriding segment). */
static bool outs_element(struct cpu *c, const struct insn *i)
{
	uint32_t at = c->gpr[CPU_ESI] & address_mask(i), value = 0;
	uint16_t port = (uint16_t)c->gpr[CPU_EDX];

	if (!io_permitted(c, port, i->size) || !seg_read_bytes(c, i->seg, at, &value, i->size))
		return false;
	write_port(c, port, i->size, value);
	advance(c, i, CPU_ESI);
	return true;
}

/* Between two elements: does the loop want to be seen? */
static bool interrupted(const struct cpu *c)
{
	return c->pending || c->debug_hits || c->alone || c->budget <= 0;
}

/* The element function, once or ECX times.  After each element the registers say what is left, so that a
 * fault, an interrupt or a trap finds the instruction at a point where it can go on. */
static enum run transfer(struct cpu *c, const struct insn *i, bool (*element)(struct cpu *, const struct insn *))
{
	uint32_t mask = address_mask(i);

	if (!(i->flags & (INSN_REP | INSN_REPNE)))
		return element(c, i) ? end_block(c, i) : faulted(c, i);
	while (c->gpr[CPU_ECX] & mask) {
		if (!element(c, i))
			return faulted(c, i);
		c->gpr[CPU_ECX] = (c->gpr[CPU_ECX] & ~mask) | ((c->gpr[CPU_ECX] - 1) & mask);
		c->budget--;
		if (c->gpr[CPU_ECX] & mask && interrupted(c)) {
			c->budget -= i->count - 1;
			c->eip = insn_eip(c, i);
			return RUN_BLOCK;
		}
	}
	return end_block(c, i);
}

enum run op_ins(struct cpu *c, const struct insn *i) { return transfer(c, i, ins_element); }
enum run op_outs(struct cpu *c, const struct insn *i) { return transfer(c, i, outs_element); }
