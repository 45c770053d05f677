/* SPDX-License-Identifier: MIT */
/*
 * tests/differential/masks.h - what the manuals leave undefined, so that instructions.c does not compare it.
 *
 *   1. Flags
 *   2. Shifts           by count
 *   3. Stores           x87 pointers, in registers and in memory; the upper half of a pushed selector
 *   4. Exceptions       what a fault leaves behind, and which of two comes first
 *
 * "SDM": Intel's manual, "APM": AMD's.  Nothing is masked because umbra or one processor differs.
 */
#ifndef TESTS_DIFFERENTIAL_MASKS_H
#define TESTS_DIFFERENTIAL_MASKS_H

#include <string.h>

#include "cpu/internal.h"
#include "tests/lib/native_states.h"

/* ---- 1. Flags ------------------------------------------------------------------------------- */

/* Left undefined whatever the operands (SDM vol. 2, "Flags Affected" of each). */
static const struct { ZydisMnemonic mnemonic; uint32_t flags; } undefined_flags[] = {
	{ ZYDIS_MNEMONIC_AND, FL_AF }, { ZYDIS_MNEMONIC_OR, FL_AF }, { ZYDIS_MNEMONIC_XOR, FL_AF },
	{ ZYDIS_MNEMONIC_TEST, FL_AF },
	{ ZYDIS_MNEMONIC_MUL, FL_SF | FL_ZF | FL_AF | FL_PF },
	{ ZYDIS_MNEMONIC_IMUL, FL_SF | FL_ZF | FL_AF | FL_PF },
	{ ZYDIS_MNEMONIC_DIV, FL_STATUS }, { ZYDIS_MNEMONIC_IDIV, FL_STATUS },
	{ ZYDIS_MNEMONIC_BSF, FL_CF | FL_OF | FL_SF | FL_AF | FL_PF },
	{ ZYDIS_MNEMONIC_BSR, FL_CF | FL_OF | FL_SF | FL_AF | FL_PF },
	{ ZYDIS_MNEMONIC_BT, FL_OF | FL_SF | FL_AF | FL_PF },
	{ ZYDIS_MNEMONIC_BTS, FL_OF | FL_SF | FL_AF | FL_PF },
	{ ZYDIS_MNEMONIC_BTR, FL_OF | FL_SF | FL_AF | FL_PF },
	{ ZYDIS_MNEMONIC_BTC, FL_OF | FL_SF | FL_AF | FL_PF },
	{ ZYDIS_MNEMONIC_AAA, FL_OF | FL_SF | FL_ZF | FL_PF },
	{ ZYDIS_MNEMONIC_AAS, FL_OF | FL_SF | FL_ZF | FL_PF },
	{ ZYDIS_MNEMONIC_AAM, FL_OF | FL_AF | FL_CF }, { ZYDIS_MNEMONIC_AAD, FL_OF | FL_AF | FL_CF },
	{ ZYDIS_MNEMONIC_DAA, FL_OF }, { ZYDIS_MNEMONIC_DAS, FL_OF },
};

/* ---- 2. Shifts ------------------------------------------------------------------------------ */

struct shift { uint32_t count, bits; };

static struct shift shift_of(const struct native_form *form, const struct native_regs *in)
{
	uint32_t count = 1;

	for (unsigned i = 1; i < form->z.operand_count; i++)
		if (form->op[i].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			count = (uint32_t)form->op[i].imm.value.u;
		else if (form->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		         form->op[i].reg.value == ZYDIS_REGISTER_CL)
			count = in->gpr[CPU_ECX];
	return (struct shift){ count & 31, form->op[0].size };
}

/* SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD: OF for counts but 1, AF, and CF once every
 * bit has been shifted out. */
static uint32_t undefined_by_shift(const struct native_form *form, const struct native_regs *in)
{
	struct shift s = shift_of(form, in);
	uint32_t mask = s.count > 1 ? FL_OF : 0;

	switch ((int)form->z.mnemonic) {
	case ZYDIS_MNEMONIC_SHL: case ZYDIS_MNEMONIC_SHR:
		if (s.count >= s.bits)
			mask |= FL_CF;
		return s.count ? mask | FL_AF : 0;
	case ZYDIS_MNEMONIC_SAR:
		return s.count ? mask | FL_AF : 0;
	case ZYDIS_MNEMONIC_ROL: case ZYDIS_MNEMONIC_ROR: case ZYDIS_MNEMONIC_RCL: case ZYDIS_MNEMONIC_RCR:
		return mask;
	case ZYDIS_MNEMONIC_SHLD: case ZYDIS_MNEMONIC_SHRD:
		if (s.count > s.bits)
			return FL_STATUS;
		return s.count ? mask | FL_AF : 0;
	default:
		return 0;
	}
}

/* SHLD and SHRD by more than the operand's size leave the destination undefined, too. */
static bool result_undefined(const struct native_form *form, const struct native_regs *in)
{
	struct shift s;

	if (!form->known || (form->z.mnemonic != ZYDIS_MNEMONIC_SHLD && form->z.mnemonic != ZYDIS_MNEMONIC_SHRD))
		return false;
	s = shift_of(form, in);
	return s.count > s.bits;
}

/* The flags to compare after `form` ran to its end. */
static uint32_t flags_mask(const struct native_form *form, const struct native_regs *in)
{
	uint32_t undefined = 0;

	if (!form->known)
		return ~0u;
	for (unsigned i = 0; i < sizeof undefined_flags / sizeof *undefined_flags; i++)
		if (undefined_flags[i].mnemonic == form->z.mnemonic)
			undefined = undefined_flags[i].flags;
	return ~(undefined | undefined_by_shift(form, in));
}

/* ---- 3. Stores ------------------------------------------------------------------------------- */

/* FOP, FIP, FDP: some processors keep them only for instructions that raise an exception (APM vol. 2,
 * 11.4.4); MXCSR_MASK: the processor's own.  Bytes 288-511 belong to 64-bit mode and to software. */
static void mask_image(uint8_t *image)
{
	memset(image + 6, 0, 18);
	memset(image + 28, 0, 4);
	for (unsigned i = 0; i < 8; i++)
		memset(image + 32 + 16 * i + 10, 0, 6);
	memset(image + 288, 0, 224);
}

/* PUSH and POP of a segment register with 32-bit operands may touch two bytes or four (SDM vol. 2, PUSH), so
 * that one processor faults at the end of a page or for alignment where another does not. */
static bool moves_segment_register(const struct native_form *form)
{
	return form->known && form->z.operand_width == 32 &&
	       (form->z.mnemonic == ZYDIS_MNEMONIC_PUSH || form->z.mnemonic == ZYDIS_MNEMONIC_POP) &&
	       form->op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(form->op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT;
}

/* The same fields where an instruction stores them: [first, first + bytes) of the operand. */
static bool masked_store(const struct native_form *form, uint32_t *first, uint32_t *bytes)
{
	bool narrow = form->z.operand_width == 16;

	if (moves_segment_register(form)) {
		*first = 0u - 4;
		*bytes = 4;
		return true;
	}
	switch ((int)form->z.mnemonic) {
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FNSAVE:
		*first = narrow ? 6 : 12;
		*bytes = narrow ? 8 : 16;
		return true;
	case ZYDIS_MNEMONIC_FXSAVE:
		*first = 6;
		*bytes = 26; /* with MXCSR in between, which is compared as a register */
		return true;
	default:
		return false;
	}
}

/* ---- 4. Exceptions -------------------------------------------------------------------------- */

/* PUSHA and POPA that fault half-way: nobody says what has been written or popped by then (ESP and EIP are as
 * before, so that they can be restarted). */
static bool pushes_or_pops_all(const struct native_form *form)
{
	return form->known &&
	       (form->z.mnemonic == ZYDIS_MNEMONIC_PUSHA || form->z.mnemonic == ZYDIS_MNEMONIC_PUSHAD ||
	        form->z.mnemonic == ZYDIS_MNEMONIC_POPA || form->z.mnemonic == ZYDIS_MNEMONIC_POPAD);
}

static bool registers_undefined(const struct native_form *form, uint32_t vector)
{
	return vector != NATIVE_NO_VECTOR && pushes_or_pops_all(form);
}

static bool may_fault_by_width(const struct native_form *form, uint32_t vector)
{
	return moves_segment_register(form) && (vector == EXC_AC || vector == EXC_PF || vector == EXC_SS);
}

/* ARPL with nothing to change: the manuals want the destination writable, some processors do not look. */
static bool untouched_by_arpl(const struct native_form *form, const struct native_regs *out)
{
	return form->known && form->z.mnemonic == ZYDIS_MNEMONIC_ARPL && out->vector == NATIVE_NO_VECTOR &&
	       !(out->eflags & FL_ZF);
}

/* CMPS has two operands in memory, and nobody says which is read first: where both fault, processors of one maker differ. */
static bool compares_memory(const struct native_form *form)
{
	return form->known && form->z.meta.category == ZYDIS_CATEGORY_STRINGOP &&
	       (form->z.mnemonic == ZYDIS_MNEMONIC_CMPSB || form->z.mnemonic == ZYDIS_MNEMONIC_CMPSW ||
	        form->z.mnemonic == ZYDIS_MNEMONIC_CMPSD);
}

/* An operand of many words, partly in an absent page: the first byte accessed there is any of it. */
static bool cr2_undefined(const struct native_form *form)
{
	return form->known && ((form->size > 8 && form->size != 16) || pushes_or_pops_all(form) || compares_memory(form));
}

/* What is stored or loaded in parts: a part outside the segment, another in an absent page. */
static bool in_parts(const struct native_form *form, uint32_t a, uint32_t b)
{
	return cr2_undefined(form) && a >= EXC_SS && a <= EXC_PF && b >= EXC_SS && b <= EXC_PF;
}

/* CALL whose target is outside the code segment while its stack is in an absent page. */
static bool calls_wrongly(const struct native_form *form, uint32_t a, uint32_t b)
{
	return form->known && form->z.meta.category == ZYDIS_CATEGORY_CALL && a >= EXC_SS && a <= EXC_PF &&
	       b >= EXC_SS && b <= EXC_PF;
}

static bool either_operand(const struct native_form *form, uint32_t a, uint32_t b)
{
	return compares_memory(form) && a != NATIVE_NO_VECTOR && b != NATIVE_NO_VECTOR;
}

/* Is it open which of the two outcomes is right? */
static bool either_fault(const struct native_form *form, const struct native_regs *a, const struct native_regs *b)
{
	return may_fault_by_width(form, a->vector) || may_fault_by_width(form, b->vector) ||
	       untouched_by_arpl(form, a) || untouched_by_arpl(form, b) || in_parts(form, a->vector, b->vector) ||
	       calls_wrongly(form, a->vector, b->vector) || either_operand(form, a->vector, b->vector);
}

/* An SSE operand that is misaligned (#GP whatever the segment) and outside SS (#SS): no order is given
 * (SDM vol. 3, table 6-2 has both in one class). */
static bool same_class(const struct native_form *form, uint32_t ea, uint32_t a, uint32_t b)
{
	return form->known && form->size >= 16 && ea % 16 && a + b == EXC_SS + EXC_GP;
}

/* MMX instructions that fault, by #XM or otherwise: whether the x87 state is in MMX mode already (TOP = 0,
 * all tags valid) is left open (SDM vol. 1, 9.6.2 speaks of instructions that are executed). */
static bool mmx_mode_undefined(const struct native_form *form, uint32_t vector)
{
	bool mmx = false;

	if (!form->known || vector == NATIVE_NO_VECTOR)
		return false;
	for (unsigned i = 0; i < form->z.operand_count; i++)
		mmx |= form->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		       ZydisRegisterGetClass(form->op[i].reg.value) == ZYDIS_REGCLASS_MMX;
	return mmx;
}

#endif
