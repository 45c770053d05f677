/* SPDX-License-Identifier: MIT */
/*
 * cpu/debug.c - the debug registers (SDM vol. 3, chapter 17).
 *
 *   1. Breakpoints   which of DR0-DR3 an access meets
 *   2. MOV DRn
 *
 * Who asks: run.c before an instruction (execution), memory.c at accesses while a data breakpoint is armed,
 * io.c at port accesses.
 */
#include "cpu/system.h"

/* ---- 1. Breakpoints ------------------------------------------------------------------------- */

/* DR7.LENn: 1, 2, 8, 4 bytes; 10 is undefined before processors with 8-byte breakpoints. */
static uint32_t breakpoint_bytes(unsigned len)
{
	static const uint8_t bytes[4] = { 1, 2, 8, 4 };

	return bytes[len];
}

/* Does a breakpoint whose R/W field is `rw` watch accesses of this type? */
static bool watches(const struct cpu *c, unsigned rw, unsigned type)
{
	switch (type) {
	case DEBUG_EXECUTE:
		return rw == DEBUG_EXECUTE;
	case DEBUG_IO:
		return rw == DEBUG_IO && c->cr4 & CR4_DE;
	case DEBUG_WRITE:
		return rw == DEBUG_WRITE || rw == DEBUG_READ; /* 11: reads and writes */
	default:
		return rw == DEBUG_READ;
	}
}

uint32_t debug_match(const struct cpu *c, uint32_t linear, unsigned bytes, unsigned type)
{
	uint32_t dr7 = c->dr[7], hits = 0;

	for (unsigned n = 0; n < 4; n++) {
		unsigned field = dr7 >> (16 + 4 * n) & 15;
		uint32_t length = breakpoint_bytes(field >> 2), first = c->dr[n] & ~(length - 1);

		if (!(dr7 >> 2 * n & 3) || !watches(c, field & 3, type))
			continue;
		/* The ranges meet when either begins inside the other. */
		if (linear - first < length || first - linear < bytes)
			hits |= 1u << n;
	}
	return hits;
}

/* ---- 2. MOV DRn ----------------------------------------------------------------------------- */

/* DR4 and DR5 are names of DR6 and DR7 unless CR4.DE; DR7.GD guards all of them, in ring 0 too. */
static bool check_access(struct cpu *c, unsigned *reg)
{
	if (c->cpl != 0)
		return fault(c, EXC_GP, 0);
	if (*reg == 4 || *reg == 5) {
		if (c->cr4 & CR4_DE)
			return fault(c, EXC_UD, 0);
		*reg += 2;
	}
	if (c->dr[7] & DR7_GD) {
		c->dr[6] |= DR6_BD;
		return fault(c, EXC_DB, 0);
	}
	return true;
}

enum run op_mov_to_dr(struct cpu *c, const struct insn *i)
{
	static const uint32_t dr6_defined = 0xE00F, dr6_ones = 0xFFFF0FF0, dr7_defined = 0xFFFF23FF,
	                      dr7_ones = 0x400;
	unsigned reg = i->reg;
	uint32_t value = c->gpr[i->rm];

	if (!check_access(c, &reg))
		return faulted(c, i);
	if (reg == 6)
		value = (value & dr6_defined) | dr6_ones;
	else if (reg == 7)
		value = (value & dr7_defined) | dr7_ones;
	c->dr[reg] = value;
	mode_changed(c);
	return end_block(c, i);
}

enum run op_mov_from_dr(struct cpu *c, const struct insn *i)
{
	unsigned reg = i->reg;

	if (!check_access(c, &reg))
		return faulted(c, i);
	c->gpr[i->rm] = c->dr[reg];
	return end_block(c, i); /* `reg` had its address taken: no jump to the next from here */
}
