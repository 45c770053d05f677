/* SPDX-License-Identifier: MIT */
/*
 * cpu/select_system.c - which handler runs a system instruction.
 *
 *   1. Families     forms of one mnemonic
 *   2. The table    everything else: mnemonic to handler
 */
#include "cpu/decode.h"
#include "cpu/system.h"

/* ---- 1. Families ---------------------------------------------------------------------------- */

enum { OP_MOV_FROM_SREG = 0x8C, OP_MOV_TO_SREG = 0x8E };
enum { OP0F_MOV_FROM_CR = 0x20, OP0F_MOV_FROM_DR = 0x21, OP0F_MOV_TO_CR = 0x22, OP0F_MOV_TO_DR = 0x23 };

/* These ignore ModRM.mod: the operand is a register (SDM vol. 2, MOV). */
static insn_fn *control_move(const struct decoded *d, struct insn *i)
{
	i->flags &= (uint8_t)~INSN_MEM;
	i->rm = d->z.raw.modrm.rm;
	switch (i->opcode) {
	case OP0F_MOV_FROM_CR:
	case OP0F_MOV_TO_CR:
		if (i->reg != 0 && i->reg != 2 && i->reg != 3 && i->reg != 4)
			return op_undefined;
		if (i->opcode == OP0F_MOV_FROM_CR)
			return op_mov_from_cr;
		i->flags |= INSN_END;
		return op_mov_to_cr;
	case OP0F_MOV_FROM_DR:
		i->flags |= INSN_END;
		return op_mov_from_dr;
	case OP0F_MOV_TO_DR:
		i->flags |= INSN_END;
		return op_mov_to_dr;
	default:
		return NULL;
	}
}

static insn_fn *select_mov(const struct decoded *d, struct insn *i)
{
	if (d->two_byte)
		return control_move(d, i);
	if (i->opcode == OP_MOV_FROM_SREG)
		return i->reg <= CPU_GS ? op_mov_from_sreg : op_undefined;
	if (i->opcode != OP_MOV_TO_SREG)
		return NULL;
	if (i->reg > CPU_GS || i->reg == CPU_CS)
		return op_undefined;
	if (i->reg == CPU_SS)
		i->flags |= INSN_END;
	return op_mov_to_sreg;
}

/* 06 0E 16 1E, 0F A0, 0F A8 and their POPs: the register is in bits 3-5. */
static insn_fn *select_push_pop(const struct decoded *d, struct insn *i, insn_fn *fn)
{
	if (d->two_byte ? i->opcode < 0xA0 : i->opcode > 0x1F)
		return NULL;
	i->reg = i->opcode >> 3 & 7;
	if (fn == op_pop_sreg && i->reg == CPU_SS)
		i->flags |= INSN_END;
	return fn;
}

static insn_fn *select_far_pointer(struct insn *i, uint8_t seg)
{
	if (!(i->flags & INSN_MEM))
		return op_undefined;
	i->size = seg;
	return op_load_far_pointer;
}

/* JMP and CALL: 9A, EA, FF /3, FF /5; RET: CA, CB. */
static insn_fn *select_branch(const struct decoded *d, struct insn *i)
{
	if (d->z.meta.branch_type != ZYDIS_BRANCH_TYPE_FAR)
		return NULL;
	i->flags |= INSN_END;
	switch (i->opcode) {
	case 0x9A:
		return op_far_direct_call;
	case 0xEA:
		return op_far_direct_jump;
	case 0xCA:
	case 0xCB:
		i->imm = i->opcode == 0xCA ? i->imm & 0xFFFF : 0;
		return op_far_return;
	default:
		if (!(i->flags & INSN_MEM))
			return op_undefined;
		return i->reg == 3 ? op_far_call : op_far_jump;
	}
}

/* 6C-6F, E4-E7, EC-EF: bit 0 is the size, and from E8 up the port is in DX. */
static insn_fn *select_io(struct insn *i, insn_fn *fn)
{
	i->size = i->opcode & 1 ? i->opsize : 1;
	i->reg = i->opcode >= 0xE8;
	i->flags |= INSN_END;
	return fn;
}

/* ---- 2. The table --------------------------------------------------------------------------- */

enum { MEMORY_ONLY = 1, ENDS = 2 };

#define M(name) ZYDIS_MNEMONIC_##name
static const struct {
	uint16_t mnemonic;
	uint8_t how;
	insn_fn *fn;
} table[] = {
	{ M(LAR), 0, op_lar }, { M(LSL), 0, op_lsl }, { M(VERR), 0, op_verr }, { M(VERW), 0, op_verw },
	{ M(ARPL), 0, op_arpl },
	{ M(IRET), ENDS, op_iret }, { M(IRETD), ENDS, op_iret },
	{ M(LMSW), ENDS, op_lmsw }, { M(SMSW), 0, op_smsw }, { M(CLTS), 0, op_clts },
	{ M(LGDT), MEMORY_ONLY, op_lgdt }, { M(LIDT), MEMORY_ONLY, op_lidt }, { M(SGDT), MEMORY_ONLY, op_sgdt },
	{ M(SIDT), MEMORY_ONLY, op_sidt }, { M(LLDT), 0, op_lldt }, { M(SLDT), 0, op_sldt }, { M(LTR), 0, op_ltr },
	{ M(STR), 0, op_str },
	{ M(INVLPG), MEMORY_ONLY | ENDS, op_invlpg }, { M(INVD), 0, op_cache_control },
	{ M(WBINVD), 0, op_cache_control },
	{ M(RDMSR), 0, op_rdmsr }, { M(WRMSR), 0, op_wrmsr }, { M(CPUID), 0, op_cpuid }, { M(RDTSC), 0, op_rdtsc },
	{ M(RDPMC), ENDS, op_rdpmc }, { M(SYSENTER), ENDS, op_sysenter }, { M(SYSEXIT), ENDS, op_sysexit },
	{ M(PUSHF), 0, op_pushf }, { M(PUSHFD), 0, op_pushf }, { M(POPF), 0, op_popf }, { M(POPFD), 0, op_popf },
	{ M(CLI), 0, op_cli }, { M(STI), 0, op_sti }, { M(HLT), ENDS, op_hlt },
	{ M(INT), ENDS, op_int }, { M(INT1), ENDS, op_int1 }, { M(INT3), ENDS, op_int3 },
	{ M(VMCALL), ENDS, op_hypercall }, { M(VMMCALL), ENDS, op_hypercall },
};

static insn_fn *select_by_table(const struct decoded *d, struct insn *i)
{
	for (size_t n = 0; n < sizeof table / sizeof *table; n++) {
		if (table[n].mnemonic != d->z.mnemonic)
			continue;
		if (table[n].how & ENDS)
			i->flags |= INSN_END;
		if (table[n].how & MEMORY_ONLY && !(i->flags & INSN_MEM))
			return op_undefined;
		return table[n].fn;
	}
	return NULL;
}

insn_fn *select_system(const struct decoded *d, struct insn *i)
{
	switch (d->z.mnemonic) {
	case M(MOV):
		return select_mov(d, i);
	case M(PUSH):
		return select_push_pop(d, i, op_push_sreg);
	case M(POP):
		return select_push_pop(d, i, op_pop_sreg);
	case M(LES):
		return select_far_pointer(i, CPU_ES);
	case M(LDS):
		return select_far_pointer(i, CPU_DS);
	case M(LSS):
		return select_far_pointer(i, CPU_SS);
	case M(LFS):
		return select_far_pointer(i, CPU_FS);
	case M(LGS):
		return select_far_pointer(i, CPU_GS);
	case M(JMP):
	case M(CALL):
	case M(RET):
		return select_branch(d, i);
	case M(IN):
		return select_io(i, op_in);
	case M(OUT):
		return select_io(i, op_out);
	case M(INSB):
	case M(INSW):
	case M(INSD):
		return select_io(i, op_ins);
	case M(OUTSB):
	case M(OUTSW):
	case M(OUTSD):
		return select_io(i, op_outs);
	default:
		return select_by_table(d, i);
	}
}
