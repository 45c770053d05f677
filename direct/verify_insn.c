/* SPDX-License-Identifier: MIT */
/*
 * direct/verify_insn.c - one instruction of translated code: may it be there, and what is known after it?
 *
 *   1. Kinds     which instructions there may be
 *   2. Memory    which operands
 *   3. Effects   what an instruction makes of the registers
 *
 * A register that holds a pointer of the host's got it just before, from where it may come; a look-up is compared
 * before its result is used; a guest's registers keep upper halves of zero.
 */
#include "direct/verify.h"

/* ---- 1. Kinds ------------------------------------------------------------------------------- */

/* Within kinds that are fine as a whole. */
static bool is_odd_one_out(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_LDMXCSR: case ZYDIS_MNEMONIC_STMXCSR: case ZYDIS_MNEMONIC_FXSAVE: case ZYDIS_MNEMONIC_FXSAVE64:
	case ZYDIS_MNEMONIC_FXRSTOR: case ZYDIS_MNEMONIC_FXRSTOR64: case ZYDIS_MNEMONIC_FLDCW: case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FRSTOR: case ZYDIS_MNEMONIC_MASKMOVQ: case ZYDIS_MNEMONIC_MASKMOVDQU: case ZYDIS_MNEMONIC_XLAT:
		return true;
	default:
		return false;
	}
}

static bool is_plain(const ZydisDecodedInstruction *i)
{
	switch (i->meta.category) {
	case ZYDIS_CATEGORY_BINARY: case ZYDIS_CATEGORY_BITBYTE: case ZYDIS_CATEGORY_CMOV: case ZYDIS_CATEGORY_CONVERT:
	case ZYDIS_CATEGORY_DATAXFER: case ZYDIS_CATEGORY_LOGICAL: case ZYDIS_CATEGORY_LOGICAL_FP:
	case ZYDIS_CATEGORY_ROTATE: case ZYDIS_CATEGORY_SHIFT: case ZYDIS_CATEGORY_SETCC: case ZYDIS_CATEGORY_SEMAPHORE:
	case ZYDIS_CATEGORY_SSE: case ZYDIS_CATEGORY_X87_ALU: case ZYDIS_CATEGORY_FCMOV: case ZYDIS_CATEGORY_STRINGOP:
	case ZYDIS_CATEGORY_COND_BR: case ZYDIS_CATEGORY_UNCOND_BR: case ZYDIS_CATEGORY_CALL: case ZYDIS_CATEGORY_RET:
		return i->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	case ZYDIS_CATEGORY_BMI2:
		return true;
	default:
		break;
	}
	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_LEA: case ZYDIS_MNEMONIC_CLC: case ZYDIS_MNEMONIC_STC: case ZYDIS_MNEMONIC_CMC:
	case ZYDIS_MNEMONIC_LAHF: case ZYDIS_MNEMONIC_SAHF:
		return true;
	default:
		return false;
	}
}

bool check_insn_kind(struct proof *p)
{
	const ZydisDecodedInstruction *i = &p->i;

	if (i->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED || i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || !is_plain(i) ||
	    is_odd_one_out(i->mnemonic))
		return refuse_code(p, "%s has no business here", ZydisMnemonicGetString(i->mnemonic));
	return true;
}

/* ---- 2. Memory ------------------------------------------------------------------------------ */

static unsigned number_of(ZydisRegister reg)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);

	return ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64 ? (unsigned)ZydisRegisterGetId(whole) : REGISTERS;
}

static bool within(const ZydisDecodedOperand *op, size_t first, size_t bytes)
{
	int64_t disp = op->mem.disp.value;

	return disp >= (int64_t)first && disp + op->size / 8 <= (int64_t)(first + bytes);
}

static bool writes(const ZydisDecodedOperand *op) { return op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE; }

/* A look-up's result: soft.c. */
static bool is_checked(const struct proof *p, const ZydisDecodedOperand *op)
{
	const struct known *k = &p->known;

	return number_of(op->mem.index) == R10 && k->kind[R10] == ADDEND && op->mem.scale == 1 && !op->mem.disp.value &&
	       op->size / 8 <= k->checked && (!writes(op) || k->checked_write);
}

/* By base register, of the host's 64 bits. */
static bool may_access(const struct proof *p, const ZydisDecodedOperand *op)
{
	const struct known *k = &p->known;
	bool alone = op->mem.index == ZYDIS_REGISTER_NONE, write = writes(op);
	unsigned base = number_of(op->mem.base), index = number_of(op->mem.index);

	switch (base) {
	case R15:
		return alone && within(op, 0, sizeof(struct hot)) && !write;
	case R13:
		return index == R9 && k->kind[R9] == ENTRY && op->mem.scale == 8 && !write &&
		       within(op, 0, sizeof(struct tlb_entry));
	case R14:
		return index == R9 && k->kind[R9] == JUMP && op->mem.scale == 8 && !op->mem.disp.value && !write &&
		       p->i.mnemonic == ZYDIS_MNEMONIC_JMP;
	case R8:
		if (k->kind[R8] != CPU)
			return is_checked(p, op);
		return alone && within(op, 0, sizeof(struct cpu)) &&
		       (!write || (within(op, offsetof(struct cpu, flags), 4) && op->size == 32));
	case RSI:
	case RDI:
		return p->i.meta.category == ZYDIS_CATEGORY_STRINGOP && k->kind[base] == IN_WORLD;
	case RSP:
		return p->i.meta.category == ZYDIS_CATEGORY_CALL || p->i.meta.category == ZYDIS_CATEGORY_RET;
	default:
		return false;
	}
}

static bool check_memory(struct proof *p, const ZydisDecodedOperand *op)
{
	if (op->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
		return true; /* LEA */
	if (op->mem.segment == ZYDIS_REGISTER_GS && op->mem.type == ZYDIS_MEMOP_TYPE_MEM)
		return p->i.address_width == 32 || refuse_code(p, "more than 32 bits of address in the world");
	if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM || op->mem.segment == ZYDIS_REGISTER_FS || p->i.address_width != 64 ||
	    !may_access(p, op))
		return refuse_code(p, "%s: memory that is not the world's, base %s", ZydisMnemonicGetString(p->i.mnemonic),
		              ZydisRegisterGetString(op->mem.base));
	return true;
}

/* ---- 3. Effects ----------------------------------------------------------------------------- */

static void set_register(struct known *k, unsigned reg, enum kind kind, uint32_t number)
{
	k->kind[reg] = (uint8_t)kind;
	k->number[reg] = number;
	if (reg != R8)
		return;
	/* What was about the old address is about none. */
	for (unsigned n = 0; n < REGISTERS; n++) {
		if (k->kind[n] >= SLOT && k->kind[n] <= PAGE)
			k->kind[n] = LOW;
		else if (k->kind[n] == ADDEND)
			k->kind[n] = ANYTHING;
	}
	k->checked = 0;
}

const ZydisDecodedOperand *memory_operand(const struct proof *p)
{
	for (unsigned n = 0; n < p->i.operand_count; n++)
		if (p->op[n].type == ZYDIS_OPERAND_TYPE_MEMORY)
			return &p->op[n];
	return NULL;
}

static bool is_hot(const ZydisDecodedOperand *m, unsigned offset)
{
	return m && m->mem.base == ZYDIS_REGISTER_R15 && m->mem.disp.value == (int64_t)offset;
}

static bool is_register(const ZydisDecodedOperand *op, ZydisRegister reg)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER && op->reg.value == reg;
}

/* 32 bits are written. */
static enum kind low_kind(const struct proof *p, unsigned reg, uint32_t *number)
{
	const struct known *k = &p->known;
	const ZydisDecodedOperand *op = p->op, *m = memory_operand(p);

	switch (p->i.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		if (!is_immediate(&op[1]))
			return LOW;
		*number = (uint32_t)op[1].imm.value.u;
		return NUMBER;
	case ZYDIS_MNEMONIC_PEXT:
		if (!is_register(&op[1], ZYDIS_REGISTER_R8D) || reg != R9)
			return LOW;
		return is_hot(m, HOT_MASK_JUMP) ? JUMP : is_hot(m, HOT_MASK_TLB) ? SLOT : LOW;
	case ZYDIS_MNEMONIC_ADD:
		return reg == R9 && k->kind[R9] == SLOT && is_register(&op[1], ZYDIS_REGISTER_R9D) ? ENTRY : LOW;
	case ZYDIS_MNEMONIC_LEA:
		if (reg != R10 || m->mem.base != ZYDIS_REGISTER_R8 || m->mem.index != ZYDIS_REGISTER_NONE ||
		    !is_low((enum kind)k->kind[R8]) || m->mem.disp.value < 0)
			return LOW;
		*number = (uint32_t)m->mem.disp.value + 1;
		return LAST;
	case ZYDIS_MNEMONIC_AND:
		if (k->kind[reg] != LAST || !is_immediate(&op[1]) || (uint32_t)op[1].imm.value.u != 0xFFFFF000u)
			return LOW;
		*number = k->number[reg];
		return PAGE;
	default:
		return LOW;
	}
}

/* 64 bits are.  ANYTHING: they must not be. */
static enum kind wide_kind(const struct proof *p, unsigned reg, uint32_t *number)
{
	const struct known *k = &p->known;
	const ZydisDecodedOperand *op = p->op, *m = memory_operand(p);

	if (p->i.meta.category == ZYDIS_CATEGORY_STRINGOP)
		return (enum kind)k->kind[reg]; /* a count falls; an address stays in the world or faults */
	if (p->i.mnemonic == ZYDIS_MNEMONIC_LEA)
		return (reg == RSI || reg == RDI) && m->mem.base == ZYDIS_REGISTER_R8 && k->kind[R8] == WORLD &&
		       number_of(m->mem.index) == reg && m->mem.scale == 1 && !m->mem.disp.value &&
		       is_low((enum kind)k->kind[reg]) ? IN_WORLD : ANYTHING;
	if (p->i.mnemonic != ZYDIS_MNEMONIC_MOV)
		return ANYTHING;
	if (!m && op[1].type == ZYDIS_OPERAND_TYPE_REGISTER) {
		unsigned from = number_of(op[1].reg.value);
		*number = k->number[from];
		return is_low((enum kind)k->kind[from]) ? (enum kind)k->kind[from] : ANYTHING;
	}
	if (is_hot(m, HOT_CPU))
		return CPU;
	if (is_hot(m, HOT_WORLD))
		return WORLD;
	return m && m->mem.base == ZYDIS_REGISTER_R13 && m->mem.disp.value == offsetof(struct tlb_entry, addend) &&
	       reg == R10 && k->checked ? ADDEND : ANYTHING;
}

/* The class of register that it is decides. */
static bool check_other_register(struct proof *p, ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_FLAGS: case ZYDIS_REGCLASS_IP: case ZYDIS_REGCLASS_X87:
		return true;
	case ZYDIS_REGCLASS_XMM:
		return ZydisRegisterGetId(reg) < 8 || refuse_code(p, "a register that no guest has");
	default:
		break;
	}
	switch (reg) {
	case ZYDIS_REGISTER_X87CONTROL: case ZYDIS_REGISTER_X87STATUS: case ZYDIS_REGISTER_X87TAG: case ZYDIS_REGISTER_MXCSR:
		return true;
	default:
		return refuse_code(p, "%s has no business here", ZydisRegisterGetString(reg));
	}
}

struct effect { unsigned reg; enum kind kind; uint32_t number; };

/* false: refused.  effect->reg REGISTERS: none. */
static bool effect_of(struct proof *p, const ZydisDecodedOperand *op, struct effect *e)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(op->reg.value);
	unsigned reg = number_of(op->reg.value);

	*e = (struct effect){ .reg = REGISTERS };
	if (reg == REGISTERS)
		return check_other_register(p, op->reg.value);
	if (!writes(op))
		return true;
	if (reg == RSP && (p->i.meta.category == ZYDIS_CATEGORY_CALL || p->i.meta.category == ZYDIS_CATEGORY_RET))
		return true;
	if (!((GUEST_REGISTERS | FREE_REGISTERS) >> reg & 1))
		return refuse_code(p, "%s is written", ZydisRegisterGetString(op->reg.value));
	e->reg = reg;
	if (class == ZYDIS_REGCLASS_GPR64)
		e->kind = wide_kind(p, reg, &e->number);
	else if (class == ZYDIS_REGCLASS_GPR32)
		e->kind = low_kind(p, reg, &e->number);
	else /* the rest of it stays */
		e->kind = is_low((enum kind)p->known.kind[reg]) ? LOW : ANYTHING;
	if (e->kind == ANYTHING && (class == ZYDIS_REGCLASS_GPR64 || GUEST_REGISTERS >> reg & 1))
		return refuse_code(p, "%s: 64 bits of %s", ZydisMnemonicGetString(p->i.mnemonic),
		              ZydisRegisterGetString(op->reg.value));
	return true;
}

/* CMP tag(%r13, %r9, 8), %r10d: the page of the last byte, with that which the TLB knows. */
static void note_comparison(struct proof *p)
{
	const ZydisDecodedOperand *m = memory_operand(p);

	if (p->i.mnemonic != ZYDIS_MNEMONIC_CMP || !m || m->mem.base != ZYDIS_REGISTER_R13 || m->size != 32 ||
	    !is_register(&p->op[0], ZYDIS_REGISTER_R10D) || p->known.kind[R10] != PAGE)
		return;
	if (m->mem.disp.value == offsetof(struct tlb_entry, read))
		p->known.compared = COMPARED_TO_READ;
	else if (m->mem.disp.value == offsetof(struct tlb_entry, write))
		p->known.compared = COMPARED_TO_WRITE;
}

bool check_insn_operands(struct proof *p)
{
	struct effect effects[ZYDIS_MAX_OPERAND_COUNT];
	unsigned count = 0;

	for (unsigned n = 0; n < p->i.operand_count; n++) {
		const ZydisDecodedOperand *op = &p->op[n];
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && !check_memory(p, op))
			return false;
		if (op->type == ZYDIS_OPERAND_TYPE_POINTER)
			return refuse_code(p, "a far pointer");
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && !effect_of(p, op, &effects[count++]))
			return false;
	}
	note_comparison(p);
	for (unsigned n = 0; n < count; n++)
		if (effects[n].reg != REGISTERS)
			set_register(&p->known, effects[n].reg, effects[n].kind, effects[n].number);
	return true;
}
