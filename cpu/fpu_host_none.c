/* SPDX-License-Identifier: MIT */
/*
 * cpu/fpu_host_none.c - on hosts that cannot execute x87 and SSE instructions the guest has neither.
 *
 *   1. Life            nothing to keep
 *   2. Instructions    as on a processor without coprocessor (SDM vol. 3, 2.5 and 10.2)
 *
 * CPUID reports no FPU, MMX, FXSR, SSE.  An operating system that probes (FNINIT, then FNSTSW and FNSTCW
 * with a pattern in their operands) finds them ignored; every other ESC instruction is #NM, for an
 * emulator of the guest's, and MMX and SSE are #UD.
 */
#include <string.h>

#include "cpu/decode.h"
#include "cpu/fpu.h"

/* ---- 1. Life -------------------------------------------------------------------------------- */

bool fpu_new(struct cpu *c)
{
	c->fpu = NULL;
	return true;
}

void fpu_free(struct cpu *c) { (void)c; }
void fpu_reset(struct cpu *c) { (void)c; }
void fpu_leave(struct cpu *c) { (void)c; }
uint32_t fpu_features(void) { return 0; }

void fpu_save(struct cpu *c, uint8_t image[512])
{
	(void)c;
	memset(image, 0, 512);
}

void fpu_load(struct cpu *c, const uint8_t image[512])
{
	(void)c;
	(void)image;
}

/* ---- 2. Instructions ------------------------------------------------------------------------ */

static enum run op_escape(struct cpu *c, const struct insn *i) { return raise(c, i, EXC_NM); }

static enum run op_probe(struct cpu *c, const struct insn *i)
{
	if (c->cr0 & (CR0_EM | CR0_TS))
		return raise(c, i, EXC_NM);
	NEXT(c, i);
}

static enum run op_wait(struct cpu *c, const struct insn *i)
{
	if ((c->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return raise(c, i, EXC_NM);
	NEXT(c, i);
}

static bool is_probe(const struct insn *i)
{
	if (i->flags & INSN_MEM) /* FNSTCW, FNSTSW */
		return i->reg == 7 && (i->opcode == 0xD9 || i->opcode == 0xDD);
	/* FNINIT, FNCLEX, FNSTSW AX */
	return (i->opcode == 0xDB && i->reg == 4) || (i->opcode == 0xDF && i->reg == 4);
}

insn_fn *select_fpu(const struct decoded *d, struct insn *i)
{
	if (d->two_byte)
		return NULL;
	if (i->opcode == 0x9B)
		return op_wait;
	if (i->opcode < 0xD8 || i->opcode > 0xDF)
		return NULL;
	return is_probe(i) ? op_probe : op_escape;
}

insn_fn *select_simd(const struct decoded *d, struct insn *i)
{
	(void)d;
	(void)i;
	return NULL;
}
