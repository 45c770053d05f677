/* SPDX-License-Identifier: MIT */
/*
 * direct/cause.c - why an instruction was left to the portable engine: for statistics.
 */
#include "direct/translate.h"

#include "cpu/op_tables.h"

const char *const cause_names[CAUSE_COUNT] = {
	[CAUSE_OTHER] = "other", [CAUSE_STRING] = "string", [CAUSE_FLAGS] = "flags", [CAUSE_SEGMENT] = "segment",
	[CAUSE_FAR] = "far transfer", [CAUSE_CONTROL] = "control register", [CAUSE_IO] = "port",
	[CAUSE_SYSCALL] = "system call", [CAUSE_FPU] = "x87", [CAUSE_SIMD] = "simd", [CAUSE_FAULT] = "fault",
	[CAUSE_SOFT] = "soft access", [CAUSE_CROSSING] = "page crossing", [CAUSE_MODE] = "mode",
	[CAUSE_HALT] = "halt", [CAUSE_ADDRESS] = "16-bit address", [CAUSE_UNDEFINED] = "undefined",
};
_Static_assert(CAUSE_COUNT <= CAUSES, "room for each");

static enum cause cause_of_two(const struct piece *p)
{
	switch (p->opcode) {
	case 0x00 ... 0x03: case 0xA0: case 0xA1: case 0xA8: case 0xA9: case 0xB2: case 0xB4: case 0xB5:
		return p->opcode == 0x01 ? CAUSE_CONTROL : CAUSE_SEGMENT;
	case 0x06: case 0x08: case 0x09: case 0x20 ... 0x23: case 0x30 ... 0x33: case 0xA2:
		return CAUSE_CONTROL;
	case 0x34: case 0x35:
		return CAUSE_SYSCALL;
	case 0x10 ... 0x17: case 0x28 ... 0x2F: case 0x50 ... 0x7F: case 0xC2: case 0xC4 ... 0xC6: case 0xD0 ... 0xFE:
	case 0xAE:
		return CAUSE_SIMD;
	default:
		return CAUSE_OTHER;
	}
}

enum cause cause_of(const struct piece *p)
{
	if (p->insn->fn == op_undefined)
		return CAUSE_UNDEFINED;
	if (p->insn->flags & INSN_MEM && p->insn->addrsize != 4)
		return CAUSE_ADDRESS;
	if (p->two)
		return cause_of_two(p);
	switch (p->opcode) {
	case 0x6C ... 0x6F: case 0xE4 ... 0xE7: case 0xEC ... 0xEF:
		return CAUSE_IO;
	case 0xA4 ... 0xA7: case 0xAA ... 0xAF:
		return CAUSE_STRING;
	case 0x9C: case 0x9D: case 0xFA ... 0xFD:
		return CAUSE_FLAGS;
	case 0x06: case 0x07: case 0x0E: case 0x16: case 0x17: case 0x1E: case 0x1F: case 0x8C: case 0x8E: case 0xC4:
	case 0xC5:
		return CAUSE_SEGMENT;
	case 0x9A: case 0xCA: case 0xCB: case 0xEA: case 0xFF: case 0xCF:
		return CAUSE_FAR;
	case 0xCC ... 0xCE: case 0xF1:
		return CAUSE_SYSCALL;
	case 0x9B: case 0xD8 ... 0xDF:
		return CAUSE_FPU;
	case 0xF4:
		return CAUSE_HALT;
	default:
		return CAUSE_OTHER;
	}
}
