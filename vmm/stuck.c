/* SPDX-License-Identifier: MIT */
/*
 * vmm/stuck.c - proof that a guest will never do anything again.
 *
 * With interrupts off, a guest is a closed system as long as it asks nothing of the outside: no port, no
 * absent memory, no time.  If it then comes back to exactly the same registers without having written
 * memory, it will do so for ever.  `jmp .`, `pause` loops and waiting for a variable are such loops; one
 * that counts or stores is not proven, and left to the watchdog.
 *
 *   1. Comparing     same_state: everything that an instruction can read but memory
 *   2. Watching      writes_nothing: the instructions just executed store nothing
 *   3. Proving       prove_stuck
 */
#include <string.h>

#include <Zydis/Zydis.h>

#include "vmm/internal.h"

#define PROOF_BLOCKS 64u       /* longest loop looked for, in blocks */
#define PROOF_INSTRUCTIONS 64u /* in one block */

/* ---- 1. Comparing --------------------------------------------------------------------------- */

static bool same_state(const struct cpu_state *a, const struct cpu_state *b)
{
	return memcmp(a->gpr, b->gpr, sizeof a->gpr) == 0 && a->eip == b->eip && a->eflags == b->eflags &&
	       memcmp(a->seg, b->seg, sizeof a->seg) == 0 && memcmp(&a->ldtr, &b->ldtr, sizeof a->ldtr) == 0 &&
	       memcmp(&a->tr, &b->tr, sizeof a->tr) == 0 && a->gdtr.base == b->gdtr.base &&
	       a->gdtr.limit == b->gdtr.limit && a->idtr.base == b->idtr.base &&
	       a->idtr.limit == b->idtr.limit && a->sysenter_cs == b->sysenter_cs &&
	       a->sysenter_esp == b->sysenter_esp && a->sysenter_eip == b->sysenter_eip &&
	       a->cr0 == b->cr0 && a->cr2 == b->cr2 && a->cr3 == b->cr3 && a->cr4 == b->cr4 &&
	       memcmp(a->dr, b->dr, sizeof a->dr) == 0 &&
	       memcmp(a->fxsave, b->fxsave, sizeof a->fxsave) == 0 && !a->halted && !b->halted;
}

/* ---- 2. Watching ---------------------------------------------------------------------------- */

/* The straight run of code from s->eip to its branch has at least `executed` instructions, and none of them
 * writes memory. */
static bool writes_nothing(struct vm *vm, const struct cpu_state *s, uint64_t executed)
{
	ZydisDecoder decoder;
	bool wide = (s->seg[CPU_CS].attr & 0x4000) && !(s->eflags & (1u << 17)); /* CS.D, not V86 */
	uint32_t linear = s->seg[CPU_CS].base + s->eip;
	ZydisDecoderInit(&decoder, wide ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
	                 wide ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
	for (uint64_t k = 0; k < PROOF_INSTRUCTIONS; k++) {
		uint8_t bytes[15];
		ZydisDecodedInstruction insn;
		ZydisDecodedOperand operand[ZYDIS_MAX_OPERAND_COUNT];
		size_t have = cpu_peek(vm->cpu, linear, bytes, sizeof bytes);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, have, &insn, operand)))
			return false;
		for (unsigned n = 0; n < insn.operand_count; n++)
			if (operand[n].type == ZYDIS_OPERAND_TYPE_MEMORY &&
			    (operand[n].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
				return false;
		linear += insn.length;
		if (k + 1 >= executed)
			return true;
		if (insn.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
			return false; /* more was executed than this run of code */
	}
	return false;
}

/* ---- 3. Proving ----------------------------------------------------------------------------- */

bool prove_stuck(struct vm *vm, enum cpu_exit *exit)
{
	struct cpu_state first, now;
	uint64_t outside = vm->outside;
	/* The direct engine leaves a loop anywhere; what comes after a branch is met again. */
	*exit = cpu_run(vm->cpu, 1);
	if (*exit != CPU_EXIT_BUDGET)
		return false;
	cpu_get_state(vm->cpu, &first);
	now = first;
	for (unsigned k = 0; k < PROOF_BLOCKS; k++) {
		struct cpu_state before = now;
		uint64_t count = cpu_instructions(vm->cpu);
		*exit = cpu_run(vm->cpu, 1);
		if (*exit != CPU_EXIT_BUDGET || vm->outside != outside)
			return false;
		cpu_get_state(vm->cpu, &now);
		if ((now.eflags & (1u << 9)) || !writes_nothing(vm, &before, cpu_instructions(vm->cpu) - count))
			return false;
		if (same_state(&first, &now))
			return true;
	}
	return false;
}
