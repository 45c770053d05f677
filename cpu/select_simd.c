/* SPDX-License-Identifier: MIT */
/*
 * cpu/select_simd.c - which handler and which host instruction an MMX, SSE or SSE2 instruction gets.
 *
 *   1. Tables by mandatory prefix     none, 66, F3, F2 (SDM vol. 2, tables A-3)
 *   2. Groups                         71, 72, 73: shifts; AE: state and fences; 18: prefetch
 *   3. select_simd()
 *
 * The decoder has turned away what does not exist (SSE3 and later too).
 */
#include "cpu/decode.h"
#include "cpu/simd.h"

/* ---- 1. Tables ------------------------------------------------------------------------------ */

struct form {
	insn_fn *reg, *mem;
	uint8_t bytes; /* of the memory operand */
};

#define INT { op_sse_int_reg, op_sse_int_mem, 16 }
#define FP(bytes) { op_sse_fp_reg, op_sse_fp_mem, bytes }
#define COMPARE(bytes) { op_sse_compare_reg, op_sse_compare_mem, bytes }
#define TO_GPR(bytes) { op_sse_to_gpr_reg, op_sse_to_gpr_mem, bytes }
#define FROM_GPR { op_sse_from_gpr_reg, op_sse_from_gpr_mem, 4 }
#define TO_MMX(bytes) { op_sse_to_mmx_reg, op_sse_to_mmx_mem, bytes }
#define FROM_MMX { op_sse_from_mmx_reg, op_sse_from_mmx_mem, 8 }
#define SHUFFLE(name) { op_##name##_reg, op_##name##_mem, 16 }
#define MMX { op_mmx_reg, op_mmx_mem, 8 }
#define MMX32 { op_mmx_reg, op_mmx_mem32, 4 }

static const struct form plain_forms[256] = {
	[0x10] = { op_sse_copy, op_sse_load_unaligned, 16 },
	[0x11] = { op_sse_copy_back, op_sse_store_unaligned, 16 },
	[0x12] = { op_movhlps, op_movlp_load, 8 },
	[0x13] = { NULL, op_sse_store_low64, 8 },
	[0x14] = INT, [0x15] = INT,
	[0x16] = { op_movlhps, op_movhp_load, 8 },
	[0x17] = { NULL, op_movhp_store, 8 },
	[0x28] = { op_sse_copy, op_sse_load_aligned, 16 },
	[0x29] = { op_sse_copy_back, op_sse_store_aligned, 16 },
	[0x2A] = FROM_MMX,
	[0x2B] = { NULL, op_sse_store_aligned, 16 },
	[0x2C] = TO_MMX(8), [0x2D] = TO_MMX(8),
	[0x2E] = COMPARE(4), [0x2F] = COMPARE(4),
	[0x50] = { op_movmskps, NULL, 0 },
	[0x51] = FP(16), [0x52] = FP(16), [0x53] = FP(16),
	[0x54] = INT, [0x55] = INT, [0x56] = INT, [0x57] = INT,
	[0x58] = FP(16), [0x59] = FP(16), [0x5A] = FP(8), [0x5B] = FP(16),
	[0x5C] = FP(16), [0x5D] = FP(16), [0x5E] = FP(16), [0x5F] = FP(16),
	[0x60] = MMX32, [0x61] = MMX32, [0x62] = MMX32,
	[0x63] = MMX, [0x64] = MMX, [0x65] = MMX, [0x66] = MMX, [0x67] = MMX,
	[0x68] = MMX, [0x69] = MMX, [0x6A] = MMX, [0x6B] = MMX,
	[0x6E] = { op_mmx_from_gpr, op_mmx_load32, 4 },
	[0x6F] = { op_mmx_copy, op_mmx_load, 8 },
	[0x70] = { op_pshufw_reg, op_pshufw_mem, 8 },
	[0x74] = MMX, [0x75] = MMX, [0x76] = MMX,
	[0x77] = { op_emms, op_emms, 0 },
	[0x7E] = { op_mmx_to_gpr, op_mmx_store32, 4 },
	[0x7F] = { op_mmx_copy_back, op_mmx_store, 8 },
	[0xC2] = FP(16),
	[0xC3] = { NULL, op_movnti, 4 },
	[0xC4] = { op_mmx_pinsrw_reg, op_mmx_pinsrw_mem, 2 },
	[0xC5] = { op_mmx_pextrw, NULL, 0 },
	[0xC6] = SHUFFLE(shufps),
	[0xD1] = MMX, [0xD2] = MMX, [0xD3] = MMX, [0xD4] = MMX, [0xD5] = MMX,
	[0xD7] = { op_mmx_pmovmskb, NULL, 0 },
	[0xD8] = MMX, [0xD9] = MMX, [0xDA] = MMX, [0xDB] = MMX,
	[0xDC] = MMX, [0xDD] = MMX, [0xDE] = MMX, [0xDF] = MMX,
	[0xE0] = MMX, [0xE1] = MMX, [0xE2] = MMX, [0xE3] = MMX, [0xE4] = MMX, [0xE5] = MMX,
	[0xE7] = { NULL, op_mmx_store, 8 },
	[0xE8] = MMX, [0xE9] = MMX, [0xEA] = MMX, [0xEB] = MMX,
	[0xEC] = MMX, [0xED] = MMX, [0xEE] = MMX, [0xEF] = MMX,
	[0xF1] = MMX, [0xF2] = MMX, [0xF3] = MMX, [0xF4] = MMX, [0xF5] = MMX, [0xF6] = MMX,
	[0xF7] = { op_maskmovq, NULL, 0 },
	[0xF8] = MMX, [0xF9] = MMX, [0xFA] = MMX, [0xFB] = MMX, [0xFC] = MMX, [0xFD] = MMX, [0xFE] = MMX,
};

static const struct form forms_66[256] = {
	[0x10] = { op_sse_copy, op_sse_load_unaligned, 16 },
	[0x11] = { op_sse_copy_back, op_sse_store_unaligned, 16 },
	[0x12] = { NULL, op_movlp_load, 8 },
	[0x13] = { NULL, op_sse_store_low64, 8 },
	[0x14] = INT, [0x15] = INT,
	[0x16] = { NULL, op_movhp_load, 8 },
	[0x17] = { NULL, op_movhp_store, 8 },
	[0x28] = { op_sse_copy, op_sse_load_aligned, 16 },
	[0x29] = { op_sse_copy_back, op_sse_store_aligned, 16 },
	[0x2A] = FROM_MMX,
	[0x2B] = { NULL, op_sse_store_aligned, 16 },
	[0x2C] = TO_MMX(16), [0x2D] = TO_MMX(16),
	[0x2E] = COMPARE(8), [0x2F] = COMPARE(8),
	[0x50] = { op_movmskpd, NULL, 0 },
	[0x51] = FP(16),
	[0x54] = INT, [0x55] = INT, [0x56] = INT, [0x57] = INT,
	[0x58] = FP(16), [0x59] = FP(16), [0x5A] = FP(16), [0x5B] = FP(16),
	[0x5C] = FP(16), [0x5D] = FP(16), [0x5E] = FP(16), [0x5F] = FP(16),
	[0x60] = INT, [0x61] = INT, [0x62] = INT, [0x63] = INT, [0x64] = INT, [0x65] = INT, [0x66] = INT,
	[0x67] = INT, [0x68] = INT, [0x69] = INT, [0x6A] = INT, [0x6B] = INT, [0x6C] = INT, [0x6D] = INT,
	[0x6E] = { op_movd_from_gpr, op_sse_load_low32, 4 },
	[0x6F] = { op_sse_copy, op_sse_load_aligned, 16 },
	[0x70] = SHUFFLE(pshufd),
	[0x74] = INT, [0x75] = INT, [0x76] = INT,
	[0x7E] = { op_movd_to_gpr, op_sse_store_low32, 4 },
	[0x7F] = { op_sse_copy_back, op_sse_store_aligned, 16 },
	[0xC2] = FP(16),
	[0xC4] = { op_pinsrw_reg, op_pinsrw_mem, 2 },
	[0xC5] = { op_pextrw, NULL, 0 },
	[0xC6] = SHUFFLE(shufpd),
	[0xD1] = INT, [0xD2] = INT, [0xD3] = INT, [0xD4] = INT, [0xD5] = INT,
	[0xD6] = { op_movq_reg_back, op_sse_store_low64, 8 },
	[0xD7] = { op_pmovmskb, NULL, 0 },
	[0xD8] = INT, [0xD9] = INT, [0xDA] = INT, [0xDB] = INT,
	[0xDC] = INT, [0xDD] = INT, [0xDE] = INT, [0xDF] = INT,
	[0xE0] = INT, [0xE1] = INT, [0xE2] = INT, [0xE3] = INT, [0xE4] = INT, [0xE5] = INT,
	[0xE6] = FP(16),
	[0xE7] = { NULL, op_sse_store_aligned, 16 },
	[0xE8] = INT, [0xE9] = INT, [0xEA] = INT, [0xEB] = INT,
	[0xEC] = INT, [0xED] = INT, [0xEE] = INT, [0xEF] = INT,
	[0xF1] = INT, [0xF2] = INT, [0xF3] = INT, [0xF4] = INT, [0xF5] = INT, [0xF6] = INT,
	[0xF7] = { op_maskmovdqu, NULL, 0 },
	[0xF8] = INT, [0xF9] = INT, [0xFA] = INT, [0xFB] = INT, [0xFC] = INT, [0xFD] = INT, [0xFE] = INT,
};

static const struct form forms_f3[256] = {
	[0x10] = { op_movss_reg, op_sse_load_low32, 4 },
	[0x11] = { op_movss_reg_back, op_sse_store_low32, 4 },
	[0x2A] = FROM_GPR,
	[0x2C] = TO_GPR(4), [0x2D] = TO_GPR(4),
	[0x51] = FP(4), [0x52] = FP(4), [0x53] = FP(4),
	[0x58] = FP(4), [0x59] = FP(4), [0x5A] = FP(4), [0x5B] = FP(16),
	[0x5C] = FP(4), [0x5D] = FP(4), [0x5E] = FP(4), [0x5F] = FP(4),
	[0x6F] = { op_sse_copy, op_sse_load_unaligned, 16 },
	[0x70] = SHUFFLE(pshufhw),
	[0x7E] = { op_movq_reg, op_sse_load_low64, 8 },
	[0x7F] = { op_sse_copy_back, op_sse_store_unaligned, 16 },
	[0xC2] = FP(4),
	[0xD6] = { op_movq2dq, NULL, 0 },
	[0xE6] = FP(8),
};

static const struct form forms_f2[256] = {
	[0x10] = { op_movsd_reg, op_sse_load_low64, 8 },
	[0x11] = { op_movsd_reg_back, op_sse_store_low64, 8 },
	[0x2A] = FROM_GPR,
	[0x2C] = TO_GPR(8), [0x2D] = TO_GPR(8),
	[0x51] = FP(8),
	[0x58] = FP(8), [0x59] = FP(8), [0x5A] = FP(8),
	[0x5C] = FP(8), [0x5D] = FP(8), [0x5E] = FP(8), [0x5F] = FP(8),
	[0x70] = SHUFFLE(pshuflw),
	[0xC2] = FP(8),
	[0xD6] = { op_movdq2q, NULL, 0 },
	[0xE6] = FP(16),
};

/* ---- 2. Groups ------------------------------------------------------------------------------ */

static uint16_t simd_thunk(unsigned prefix, unsigned opcode)
{
	return thunk_number(simd_thunks[prefix * 256 + opcode]);
}

/* Shifts by an immediate are shifts by a register whose low 64 bits are the immediate: i->disp, which has
 * no other use here, and i->imm after it become that register. */
static insn_fn *select_shift(struct insn *i, unsigned prefix)
{
	static const uint8_t by_register[3][8] = {
		{ 0, 0, 0xD1, 0, 0xE1, 0, 0xF1, 0 }, /* 71: words */
		{ 0, 0, 0xD2, 0, 0xE2, 0, 0xF2, 0 }, /* 72: doublewords */
		{ 0, 0, 0xD3, 0, 0, 0, 0xF3, 0 },    /* 73: quadwords */
	};
	unsigned opcode = by_register[i->opcode - 0x71][i->reg];

	if (i->flags & INSN_MEM || prefix > 1)
		return NULL;
	if (!opcode) {
		if (i->opcode != 0x73 || prefix != 1)
			return NULL;
		return i->reg == 3 ? op_psrldq : i->reg == 7 ? op_pslldq : NULL;
	}
	i->thunk = simd_thunk(prefix, opcode);
	i->disp = i->imm;
	i->imm = 0;
	return prefix == 1 ? op_sse_shift : op_mmx_shift;
}
_Static_assert(offsetof(struct insn, imm) == offsetof(struct insn, disp) + 4 &&
               sizeof(struct insn) >= offsetof(struct insn, disp) + 16, "a shift's count is 16 bytes at disp");

static insn_fn *select_state(const struct insn *i)
{
	static insn_fn *const memory[8] = { op_fxsave, op_fxrstor, op_ldmxcsr, op_stmxcsr,
	                                    NULL, NULL, NULL, op_clflush };

	if (i->flags & INSN_MEM)
		return memory[i->reg];
	return i->reg >= 5 ? op_simd_nothing : NULL; /* LFENCE, MFENCE, SFENCE */
}

/* ---- 3. select_simd() ----------------------------------------------------------------------- */

insn_fn *select_simd(const struct decoded *d, struct insn *i)
{
	static const struct form *const tables[4] = {
		[PREFIX_NONE] = plain_forms, [PREFIX_66] = forms_66, [PREFIX_F3] = forms_f3, [PREFIX_F2] = forms_f2,
	};
	unsigned prefix = i->prefix;
	const struct form *form = &tables[prefix][i->opcode];

	if (d->z.opcode_map != ZYDIS_OPCODE_MAP_0F)
		return NULL;
	i->imm &= 0xFF;
	switch (i->opcode) {
	case 0x0D: /* PREFETCHW: a hint, no faults */
		return op_simd_nothing;
	case 0x18: /* PREFETCHh; its register forms are NOPs */
		return i->reg < 4 && i->flags & INSN_MEM ? op_simd_nothing : NULL;
	case 0x71:
	case 0x72:
	case 0x73:
		return select_shift(i, prefix);
	case 0xAE:
		return prefix == 0 || i->flags & INSN_MEM ? select_state(i) : NULL;
	case 0xC2:
		i->thunk = thunk_number(simd_cmp_thunks[prefix * 8 + (i->imm & 7)]);
		break;
	default:
		i->thunk = simd_thunk(prefix, i->opcode);
		break;
	}
	i->size = form->bytes;
	return i->flags & INSN_MEM ? form->mem : form->reg;
}
