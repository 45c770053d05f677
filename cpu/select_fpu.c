/* SPDX-License-Identifier: MIT */
/*
 * cpu/select_fpu.c - which handler and which host instruction an x87 instruction gets.
 *
 *   1. Memory forms     a table by opcode and ModRM.reg
 *   2. Register forms   nearly all are the host's; the exceptions
 *   3. select_fpu()
 */
#include "cpu/decode.h"
#include "cpu/fpu_state.h"

/* ---- 1. Memory forms ------------------------------------------------------------------------ */

#define LD2 { op_x87_load, 2 }
#define LD4 { op_x87_load32, 4 }
#define LD8 { op_x87_load64, 8 }
#define LD10 { op_x87_load, 10 }
#define ST2 { op_x87_store, 2 }
#define ST4 { op_x87_store32, 4 }
#define ST8 { op_x87_store64, 8 }
#define ST10 { op_x87_store, 10 }
#define NONE { NULL, 0 }

static const struct { insn_fn *fn; uint8_t bytes; } memory_forms[8][8] = {
	/* D8: arithmetic, m32 */
	{ LD4, LD4, LD4, LD4, LD4, LD4, LD4, LD4 },
	/* D9: FLD m32, -, FST, FSTP, FLDENV, FLDCW, FNSTENV, FNSTCW */
	{ LD4, NONE, ST4, ST4, { op_fldenv, 0 }, { op_fldcw, 2 }, { op_fnstenv, 0 }, { op_fnstcw, 2 } },
	/* DA: arithmetic, m32 integer */
	{ LD4, LD4, LD4, LD4, LD4, LD4, LD4, LD4 },
	/* DB: FILD m32, -, FIST, FISTP, -, FLD m80, -, FSTP m80 */
	{ LD4, NONE, ST4, ST4, NONE, LD10, NONE, ST10 },
	/* DC: arithmetic, m64 */
	{ LD8, LD8, LD8, LD8, LD8, LD8, LD8, LD8 },
	/* DD: FLD m64, -, FST, FSTP, FRSTOR, -, FNSAVE, FNSTSW */
	{ LD8, NONE, ST8, ST8, { op_frstor, 0 }, NONE, { op_fnsave, 0 }, { op_fnstsw, 2 } },
	/* DE: arithmetic, m16 integer */
	{ LD2, LD2, LD2, LD2, LD2, LD2, LD2, LD2 },
	/* DF: FILD m16, -, FIST, FISTP, FBLD, FILD m64, FBSTP, FISTP m64 */
	{ LD2, NONE, ST2, ST2, LD10, LD8, ST10, ST8 },
};

static insn_fn *select_memory(struct insn *i)
{
	unsigned n = i->opcode & 7;

	i->size = memory_forms[n][i->reg].bytes;
	i->thunk = thunk_number(x87_mem_thunks[n * 8 + i->reg]);
	return memory_forms[n][i->reg].fn;
}

/* ---- 2. Register forms ---------------------------------------------------------------------- */

/* The decoder has turned away the encodings that mean nothing.  The undocumented doubles (FSTP at D9 D8,
 * DF D0, DF D8; FCOM at DC D0; FCOMP at DC D8, DE D0; FXCH at DD C8, DF C8; FFREEP at DF C0) are the
 * host's like all others. */
static insn_fn *select_register(struct insn *i, unsigned modrm)
{
	unsigned n = i->opcode & 7;

	switch (i->opcode) {
	case 0xDA:
	case 0xDB:
		if (modrm < 0xE0) {
			i->thunk = thunk_number(x87_cmov_thunks[i->rm]);
			return op_x87_cmov;
		}
		if (i->opcode == 0xDB && modrm == 0xE2)
			return op_fnclex;
		if (i->opcode == 0xDB && modrm == 0xE3)
			return op_fninit;
		if (i->opcode == 0xDB && modrm < 0xE8)
			return modrm == 0xE5 ? NULL : op_x87_nowait;
		break;
	case 0xDF:
		if (modrm == 0xE0)
			return op_fnstsw_ax;
		break;
	default:
		break;
	}
	if ((i->opcode == 0xDB || i->opcode == 0xDF) && modrm >= 0xE8) {
		i->thunk = thunk_number(x87_flags_thunks[(i->opcode >> 2 & 1) * 16 + (modrm & 15)]);
		return op_x87_flags;
	}
	i->thunk = thunk_number(x87_reg_thunks[n * 64 + (modrm & 63)]);
	return op_x87_reg;
}

/* ---- 3. select_fpu() ------------------------------------------------------------------------ */

insn_fn *select_fpu(const struct decoded *d, struct insn *i)
{
	unsigned modrm;

	if (d->two_byte)
		return NULL;
	if (i->opcode == 0x9B)
		return op_fwait;
	if (i->opcode < 0xD8 || i->opcode > 0xDF)
		return NULL;
	modrm = (unsigned)d->z.raw.modrm.mod << 6 | (unsigned)i->reg << 3 | i->rm;
	i->imm = (i->opcode & 7u) << 8 | modrm;
	return i->flags & INSN_MEM ? select_memory(i) : select_register(i, modrm);
}
