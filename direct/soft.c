/* SPDX-License-Identifier: MIT */
/*
 * direct/soft.c - soft accesses: a page looked up in the portable engine's TLB, not by the host's MMU.
 *
 *   1. Which write
 *   2. The sequence
 *
 * A host fault and a mapping cost some 10 us, a look-up 3 ns.  So an instruction that meets one page after the
 * other for the first time (a page of zeros for a program, a page table, a device) is translated anew with a
 * look-up before it, and is made hard again when it stops missing (run.c).
 */
#include "direct/translate.h"

/* ---- 1. Which write ------------------------------------------------------------------------- */

static bool writes_one(const struct piece *p)
{
	unsigned op = p->opcode, digit = p->reg;

	if (op < 0x40)
		return (op & 7) < 2 && op < 0x38;
	switch (op) {
	case 0x80: case 0x81: case 0x82: case 0x83:
		return digit != 7;
	case 0xF6: case 0xF7:
		return digit == 2 || digit == 3;
	case 0x69: case 0x6B: case 0x84: case 0x85: case 0x8A: case 0x8B:
		return false;
	default:
		return true;
	}
}

bool writes_memory(const struct piece *p)
{
	if (!p->two)
		return writes_one(p);
	switch (p->opcode) {
	case 0x40 ... 0x4F: case 0xAF: case 0xB6: case 0xB7: case 0xBE: case 0xBF: case 0xBC: case 0xBD:
		return false;
	case 0xBA:
		return p->reg != 4;
	default:
		return true;
	}
}

/* ---- 2. The sequence ------------------------------------------------------------------------ */

bool emit_soft(struct translation *t, const struct piece *p, unsigned reg, unsigned bytes, bool write)
{
	struct emitter *e = &t->e;
	struct memory m = { .base = 8, .index = 10, .flat = true };
	struct memory from;
	unsigned n;

	if (bytes < 1 || bytes > 64 || !find_memory(t, p, &from))
		return false;
	emit_lea(e, 8, &from);
	/* mov %eax, %r11d; lahf; seto %al */
	EMIT(e, 0x41, 0x89, 0xC3, 0x9F, 0x0F, 0x90, 0xC0);
	/* pext HOT_MASK_TLB(%r15), %r8d, %r9d; lea bytes-1(%r8), %r10d; and $-4096, %r10d; add %r9d, %r9d */
	EMIT(e, 0xC4, 0x42, 0x3A, 0xF5, 0x4F, HOT_MASK_TLB, 0x45, 0x8D, 0x50);
	emit8(e, bytes - 1);
	EMIT(e, 0x41, 0x81, 0xE2, 0x00, 0xF0, 0xFF, 0xFF, 0x45, 0x01, 0xC9);
	/* cmp tag(%r13, %r9, 8), %r10d; je 1f */
	EMIT(e, 0x47, 0x3B, 0x54, 0xCD);
	emit8(e, write ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read));
	EMIT(e, 0x74, 10);
	n = add_fallback(t, p);
	t->looks_up = true;
	emit_r9d(e, n);
	emit_stub(e, HOT_STUB_SOFT);
	/* 1: mov addend(%r13, %r9, 8), %r10; add $0x7F, %al; sahf; mov %r11d, %eax */
	EMIT(e, 0x4F, 0x8B, 0x54, 0xCD, offsetof(struct tlb_entry, addend), 0x04, 0x7F, 0x9E, 0x44, 0x89, 0xD8);
	emit_form(e, p, reg, 0, &m);
	t->d->fallbacks[n].resume = place(t);
	/* A device may have been asked meanwhile, and the guest's floating point put away for that. */
	t->x87_checked = t->sse_checked = false;
	return true;
}
