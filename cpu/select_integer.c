/* SPDX-License-Identifier: MIT */
/*
 * cpu/select_integer.c - which handler runs an integer instruction.
 *
 *   1. Operands     byte registers, sizes, forms
 *   2. Families     one function each
 *   3. The table    mnemonic to family
 */
#include "cpu/op.h"
#include "cpu/op_tables.h"

/* ---- 1. Operands ---------------------------------------------------------------------------- */

/* Opcodes with a byte and a word form differ in bit 0. */
static unsigned operand_bytes(const struct insn *i) { return i->opcode & 1 ? i->opsize : 1; }

/* The registers of an 8-bit instruction by where they are. */
static void use_byte_registers(struct insn *i)
{
	i->reg = byte_register(i->reg);
	i->rm = byte_register(i->rm);
}

static insn_fn *pick_form(insn_fn *const forms[FORMS], const struct decoded *d,
			  const struct insn *i, enum form form)
{
	if (form < FORM_RM || !is_flat_operand(d, i))
		return forms[form];
	return forms[form + (shape_of(i) == SHAPE_BASE ? FORM_RM_BASE : FORM_RM_SIB) - FORM_RM];
}

/* Exchange ModRM's two registers: the destination is always `rm` in FORM_RR. */
static void swap_registers(struct insn *i)
{
	uint8_t rm = i->rm;

	i->rm = i->reg;
	i->reg = rm;
}

static enum place place_of(const struct decoded *d, const struct insn *i)
{
	if (!(i->flags & INSN_MEM))
		return PLACE_REG;
	return is_flat_operand(d, i) ? PLACE_FLAT : PLACE_MEM;
}

/* Index of 16 and 32 bits. */
static unsigned wide(const struct insn *i) { return i->opsize == 4; }

/* ---- 2. Families ---------------------------------------------------------------------------- */

/* ADD..CMP: 00-3D, 80-83.  TEST: 84, 85, A8, A9, F6, F7. */
static insn_fn *select_alu(const struct decoded *d, struct insn *i, unsigned op)
{
	unsigned bytes = operand_bytes(i);
	insn_fn *const *forms = alu_handlers[op][size_index(bytes)];
	bool mem = i->flags & INSN_MEM, test = op == ALU_TEST;
	bool immediate = test ? i->opcode != 0x84 && i->opcode != 0x85 : i->opcode >= 0x80;
	bool accumulator = test ? i->opcode == 0xA8 || i->opcode == 0xA9 : (i->opcode & 0xC4) == 0x04;

	if (accumulator)
		i->rm = i->reg = 0;
	if (bytes == 1)
		use_byte_registers(i);
	if (accumulator || (immediate && !mem))
		return forms[FORM_RI];
	if (immediate)
		return pick_form(forms, d, i, FORM_MI);
	/* Bit 1: to the register from r/m. */
	if (!mem) {
		if (!test && i->opcode & 2)
			swap_registers(i);
		return forms[FORM_RR];
	}
	return pick_form(forms, d, i, !test && i->opcode & 2 ? FORM_RM : FORM_MR);
}

/* INC, DEC: 40-4F, FE, FF; NOT, NEG: F6, F7 */
static insn_fn *select_unary(const struct decoded *d, struct insn *i, unsigned op)
{
	bool short_form = i->opcode < 0x50;
	unsigned bytes = short_form ? i->opsize : operand_bytes(i);

	if (bytes == 1)
		use_byte_registers(i);
	return unary_handlers[op][size_index(bytes)][place_of(d, i)];
}

/* 88-8B, A0-A3, B0-BF, C6, C7.  (8C, 8E and the 0F forms are select_system()'s.) */
static insn_fn *select_mov(const struct decoded *d, struct insn *i, unsigned unused)
{
	bool mem = i->flags & INSN_MEM;
	unsigned bytes = i->opcode >= 0xB0 && i->opcode <= 0xBF ? (i->opcode & 8 ? i->opsize : 1)
	                                                        : operand_bytes(i);
	insn_fn *const *forms = mov_handlers[size_index(bytes)];

	(void)unused;
	if (d->two_byte || i->opcode == 0x8C || i->opcode == 0x8E)
		return NULL;
	if (i->opcode >= 0xA0 && i->opcode <= 0xA3)
		i->reg = CPU_EAX;
	if (bytes == 1)
		use_byte_registers(i);
	switch (i->opcode) {
	case 0x88: case 0x89:
		return mem ? pick_form(forms, d, i, FORM_MR) : forms[FORM_RR];
	case 0x8A: case 0x8B:
		if (mem)
			return pick_form(forms, d, i, FORM_RM);
		swap_registers(i);
		return forms[FORM_RR];
	case 0xA0: case 0xA1:
		return pick_form(forms, d, i, FORM_RM);
	case 0xA2: case 0xA3:
		return pick_form(forms, d, i, FORM_MR);
	case 0xC6: case 0xC7:
		return mem ? pick_form(forms, d, i, FORM_MI) : forms[FORM_RI];
	default:
		return forms[FORM_RI];
	}
}

/* 0F B6, B7, BE, BF */
static insn_fn *select_extend(const struct decoded *d, struct insn *i, unsigned how)
{
	unsigned from_word = i->opcode & 1;

	if (!from_word)
		i->rm = byte_register(i->rm);
	return extend_handlers[how][from_word][wide(i)][place_of(d, i)];
}

static insn_fn *select_lea(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)d, (void)unused;
	if (i->opsize == 2)
		return op_lea16;
	if (i->addrsize == 2)
		return op_lea;
	return shape_of(i) == SHAPE_BASE ? op_lea32_base : op_lea32_sib;
}

/* C0, C1, D0-D3: the operation is ModRM.reg. */
static insn_fn *select_shift(const struct decoded *d, struct insn *i, unsigned unused)
{
	unsigned bytes = operand_bytes(i), op = i->reg;

	(void)d, (void)unused;
	if (bytes == 1)
		use_byte_registers(i);
	if (i->opcode == 0xD2 || i->opcode == 0xD3)
		return shift_cl_handlers[op][size_index(bytes)];
	if (i->opcode == 0xD0 || i->opcode == 0xD1)
		i->imm = 1;
	i->imm &= 31;
	if (bytes == 4 && !(i->flags & INSN_MEM))
		return i->imm ? shift_reg32_handlers[op] : op_nop;
	return shift_imm_handlers[op][size_index(bytes)];
}

static insn_fn *select_double_shift(const struct decoded *d, struct insn *i, unsigned right)
{
	(void)d;
	return double_shift_handlers[right][wide(i)];
}

/* F6, F7: one operand.  IMUL also 0F AF, 69, 6B. */
static insn_fn *select_muldiv(const struct decoded *d, struct insn *i, unsigned op)
{
	static insn_fn *const *const tables[4] = { mul_handlers, imul_handlers, div_handlers, idiv_handlers };
	unsigned bytes = operand_bytes(i);

	if (d->two_byte)
		return imul2_handlers[wide(i)];
	if (i->opcode == 0x69 || i->opcode == 0x6B)
		return imul3_handlers[wide(i)];
	if (bytes == 1)
		use_byte_registers(i);
	return tables[op][size_index(bytes)];
}

/* 0F A3, AB, B3, BB; 0F BA with an immediate */
static insn_fn *select_bit_test(const struct decoded *d, struct insn *i, unsigned op)
{
	(void)d;
	return bit_test_handlers[op][i->opcode == 0xBA][wide(i)];
}
static insn_fn *select_bit_scan(const struct decoded *d, struct insn *i, unsigned reverse)
{
	(void)d;
	return bit_scan_handlers[reverse][wide(i)];
}

static insn_fn *select_string(const struct decoded *d, struct insn *i, unsigned op)
{
	if (d->two_byte || !(d->z.meta.category == ZYDIS_CATEGORY_STRINGOP))
		return NULL; /* MOVSD, CMPSD of SSE2 */
	return string_handlers[op][size_index(operand_bytes(i))];
}

/* 50-57, 68, 6A, FF.  (Segment registers are select_system()'s.) */
static insn_fn *select_push(const struct decoded *d, struct insn *i, unsigned unused)
{
	bool flat = d->mode & MODE_FLAT && i->opsize == 4;

	(void)unused;
	if (d->two_byte || i->opcode < 0x50)
		return NULL;
	if (i->opcode == 0x68 || i->opcode == 0x6A)
		return flat ? op_push_i32 : op_push_i;
	if (i->flags & INSN_MEM)
		return flat && is_flat_operand(d, i) ? op_push_m32 : op_push_m;
	return flat ? op_push_r32 : op_push_r;
}

/* 58-5F, 8F */
static insn_fn *select_pop(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)unused;
	if (d->two_byte || i->opcode < 0x50)
		return NULL;
	if (i->flags & INSN_MEM)
		return op_pop_m;
	return d->mode & MODE_FLAT && i->opsize == 4 ? op_pop_r32 : op_pop_r;
}

static insn_fn *select_leave(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)unused;
	return d->mode & MODE_FLAT && i->opsize == 4 ? op_leave32 : op_leave;
}

static bool chains(const struct decoded *d, const struct insn *i)
{
	return i->opsize == 4 && may_chain(d->mode, d->options);
}

static insn_fn *select_jcc(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)unused;
	return (chains(d, i) ? jcc_handlers : jcc_loop_handlers)[i->opcode & 15];
}

/* E9, EB, FF /4 */
static insn_fn *select_jmp(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)unused;
	if (d->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return NULL;
	if (i->opcode == 0xE9 || i->opcode == 0xEB)
		return chains(d, i) ? op_jmp : op_jmp_loop;
	return chains(d, i) && !(i->flags & INSN_MEM) ? op_jmp_r : op_jmp_rm;
}

/* E8, FF /2 */
static insn_fn *select_call(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)unused;
	if (d->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return NULL;
	if (i->opcode == 0xE8)
		return chains(d, i) ? op_call : op_call_loop;
	if (!chains(d, i))
		return op_call_rm;
	if (!(i->flags & INSN_MEM))
		return op_call_r;
	return is_flat_operand(d, i) ? op_call_m : op_call_rm;
}

/* C2, C3 */
static insn_fn *select_ret(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)unused;
	if (i->opcode != 0xC2 && i->opcode != 0xC3)
		return NULL;
	i->imm = i->opcode == 0xC2 ? i->imm & 0xFFFF : 0;
	return chains(d, i) ? op_ret : op_ret_loop;
}

static insn_fn *select_exchange(const struct decoded *d, struct insn *i, unsigned op)
{
	static insn_fn *const *const tables[3] = { xchg_handlers, cmpxchg_handlers, xadd_handlers };
	bool accumulator = op == 0 && i->opcode >= 0x90 && i->opcode <= 0x97; /* 90-97 */
	unsigned bytes = accumulator ? i->opsize : operand_bytes(i);

	(void)d;
	if (accumulator)
		i->reg = CPU_EAX;
	if (bytes == 1)
		use_byte_registers(i);
	if (op == 0 && bytes == 4 && !(i->flags & INSN_MEM))
		return op_xchg_rr32;
	return tables[op][size_index(bytes)];
}

static insn_fn *select_cmov(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)unused;
	if (!d->two_byte)
		return NULL;
	return cmov_handlers[i->opcode & 15][wide(i)];
}
static insn_fn *select_setcc(const struct decoded *d, struct insn *i, unsigned unused)
{
	(void)d, (void)unused;
	i->rm = byte_register(i->rm);
	return setcc_handlers[i->opcode & 15];
}

/* One handler for all forms. */
enum simple { NOP, XLAT, CBW, CWDE, CWD, CDQ, LAHF, SAHF, CLC, STC, CMC, CLD, STD, SALC, BSWAP, CMPXCHG8B, AAM,
              AAD, DAA, DAS, AAA, AAS, PUSHA, POPA, ENTER, BOUND, INTO, JCXZ, LOOP, LOOPE, LOOPNE };
static insn_fn *select_simple(const struct decoded *d, struct insn *i, unsigned which)
{
	static insn_fn *const handlers[] = {
		[NOP] = op_nop, [XLAT] = op_xlat, [CBW] = op_cbw, [CWDE] = op_cwde, [CWD] = op_cwd,
		[CDQ] = op_cdq, [LAHF] = op_lahf, [SAHF] = op_sahf, [CLC] = op_clc, [STC] = op_stc,
		[CMC] = op_cmc, [CLD] = op_cld, [STD] = op_std, [SALC] = op_salc, [BSWAP] = op_bswap,
		[CMPXCHG8B] = op_cmpxchg8b, [AAM] = op_aam, [AAD] = op_aad, [DAA] = op_daa, [DAS] = op_das,
		[AAA] = op_aaa, [AAS] = op_aas, [PUSHA] = op_pusha, [POPA] = op_popa, [ENTER] = op_enter,
		[BOUND] = op_bound, [INTO] = op_into, [JCXZ] = op_jcxz, [LOOP] = op_loop,
		[LOOPE] = op_loope, [LOOPNE] = op_loopne,
	};

	(void)d;
	if (which == BOUND) /* Zydis counts it among the interrupts, but it goes on */
		i->flags &= (uint8_t)~INSN_END;
	return handlers[which];
}

/* ---- 3. The table --------------------------------------------------------------------------- */

struct family {
	unsigned argument;
	insn_fn *(*select)(const struct decoded *d, struct insn *i, unsigned argument);
};

#define M(name) ZYDIS_MNEMONIC_##name
static const struct family families[ZYDIS_MNEMONIC_MAX_VALUE + 1] = {
	[M(ADD)] = { ALU_ADD, select_alu }, [M(OR)] = { ALU_OR, select_alu }, [M(ADC)] = { ALU_ADC, select_alu },
	[M(SBB)] = { ALU_SBB, select_alu }, [M(AND)] = { ALU_AND, select_alu }, [M(SUB)] = { ALU_SUB, select_alu },
	[M(XOR)] = { ALU_XOR, select_alu }, [M(CMP)] = { ALU_CMP, select_alu }, [M(TEST)] = { ALU_TEST, select_alu },
	[M(INC)] = { UNARY_INC, select_unary }, [M(DEC)] = { UNARY_DEC, select_unary },
	[M(NEG)] = { UNARY_NEG, select_unary }, [M(NOT)] = { UNARY_NOT, select_unary },
	[M(MOV)] = { 0, select_mov }, [M(MOVZX)] = { EXTEND_ZERO, select_extend },
	[M(MOVSX)] = { EXTEND_SIGN, select_extend }, [M(LEA)] = { 0, select_lea },
	[M(ROL)] = { 0, select_shift }, [M(ROR)] = { 0, select_shift }, [M(RCL)] = { 0, select_shift },
	[M(RCR)] = { 0, select_shift }, [M(SHL)] = { 0, select_shift }, [M(SHR)] = { 0, select_shift },
	[M(SAR)] = { 0, select_shift }, [M(SHLD)] = { 0, select_double_shift }, [M(SHRD)] = { 1, select_double_shift },
	[M(MUL)] = { 0, select_muldiv }, [M(IMUL)] = { 1, select_muldiv }, [M(DIV)] = { 2, select_muldiv },
	[M(IDIV)] = { 3, select_muldiv },
	[M(BT)] = { 0, select_bit_test }, [M(BTS)] = { 1, select_bit_test }, [M(BTR)] = { 2, select_bit_test },
	[M(BTC)] = { 3, select_bit_test }, [M(BSF)] = { 0, select_bit_scan }, [M(BSR)] = { 1, select_bit_scan },
	[M(MOVSB)] = { STRING_MOVS, select_string }, [M(MOVSW)] = { STRING_MOVS, select_string },
	[M(MOVSD)] = { STRING_MOVS, select_string }, [M(STOSB)] = { STRING_STOS, select_string },
	[M(STOSW)] = { STRING_STOS, select_string }, [M(STOSD)] = { STRING_STOS, select_string },
	[M(LODSB)] = { STRING_LODS, select_string }, [M(LODSW)] = { STRING_LODS, select_string },
	[M(LODSD)] = { STRING_LODS, select_string }, [M(CMPSB)] = { STRING_CMPS, select_string },
	[M(CMPSW)] = { STRING_CMPS, select_string }, [M(CMPSD)] = { STRING_CMPS, select_string },
	[M(SCASB)] = { STRING_SCAS, select_string }, [M(SCASW)] = { STRING_SCAS, select_string },
	[M(SCASD)] = { STRING_SCAS, select_string },
	[M(PUSH)] = { 0, select_push }, [M(POP)] = { 0, select_pop }, [M(LEAVE)] = { 0, select_leave },
	[M(JMP)] = { 0, select_jmp }, [M(CALL)] = { 0, select_call }, [M(RET)] = { 0, select_ret },
	[M(XCHG)] = { 0, select_exchange }, [M(CMPXCHG)] = { 1, select_exchange }, [M(XADD)] = { 2, select_exchange },
	[M(JO)] = { 0, select_jcc }, [M(JNO)] = { 0, select_jcc }, [M(JB)] = { 0, select_jcc }, [M(JNB)] = { 0, select_jcc },
	[M(JZ)] = { 0, select_jcc }, [M(JNZ)] = { 0, select_jcc }, [M(JBE)] = { 0, select_jcc },
	[M(JNBE)] = { 0, select_jcc }, [M(JS)] = { 0, select_jcc }, [M(JNS)] = { 0, select_jcc }, [M(JP)] = { 0, select_jcc },
	[M(JNP)] = { 0, select_jcc }, [M(JL)] = { 0, select_jcc }, [M(JNL)] = { 0, select_jcc }, [M(JLE)] = { 0, select_jcc },
	[M(JNLE)] = { 0, select_jcc },
	[M(CMOVO)] = { 0, select_cmov }, [M(CMOVNO)] = { 0, select_cmov }, [M(CMOVB)] = { 0, select_cmov },
	[M(CMOVNB)] = { 0, select_cmov }, [M(CMOVZ)] = { 0, select_cmov }, [M(CMOVNZ)] = { 0, select_cmov },
	[M(CMOVBE)] = { 0, select_cmov }, [M(CMOVNBE)] = { 0, select_cmov }, [M(CMOVS)] = { 0, select_cmov },
	[M(CMOVNS)] = { 0, select_cmov }, [M(CMOVP)] = { 0, select_cmov }, [M(CMOVNP)] = { 0, select_cmov },
	[M(CMOVL)] = { 0, select_cmov }, [M(CMOVNL)] = { 0, select_cmov }, [M(CMOVLE)] = { 0, select_cmov },
	[M(CMOVNLE)] = { 0, select_cmov },
	[M(SETO)] = { 0, select_setcc }, [M(SETNO)] = { 0, select_setcc }, [M(SETB)] = { 0, select_setcc },
	[M(SETNB)] = { 0, select_setcc }, [M(SETZ)] = { 0, select_setcc }, [M(SETNZ)] = { 0, select_setcc },
	[M(SETBE)] = { 0, select_setcc }, [M(SETNBE)] = { 0, select_setcc }, [M(SETS)] = { 0, select_setcc },
	[M(SETNS)] = { 0, select_setcc }, [M(SETP)] = { 0, select_setcc }, [M(SETNP)] = { 0, select_setcc },
	[M(SETL)] = { 0, select_setcc }, [M(SETNL)] = { 0, select_setcc }, [M(SETLE)] = { 0, select_setcc },
	[M(SETNLE)] = { 0, select_setcc },
	[M(NOP)] = { NOP, select_simple }, [M(PAUSE)] = { NOP, select_simple }, [M(PREFETCH)] = { NOP, select_simple },
	[M(PREFETCHW)] = { NOP, select_simple }, [M(PREFETCHNTA)] = { NOP, select_simple },
	[M(PREFETCHT0)] = { NOP, select_simple }, [M(PREFETCHT1)] = { NOP, select_simple },
	[M(PREFETCHT2)] = { NOP, select_simple },
	[M(XLAT)] = { XLAT, select_simple }, [M(CBW)] = { CBW, select_simple }, [M(CWDE)] = { CWDE, select_simple },
	[M(CWD)] = { CWD, select_simple }, [M(CDQ)] = { CDQ, select_simple }, [M(LAHF)] = { LAHF, select_simple },
	[M(SAHF)] = { SAHF, select_simple }, [M(CLC)] = { CLC, select_simple }, [M(STC)] = { STC, select_simple },
	[M(CMC)] = { CMC, select_simple }, [M(CLD)] = { CLD, select_simple }, [M(STD)] = { STD, select_simple },
	[M(SALC)] = { SALC, select_simple }, [M(BSWAP)] = { BSWAP, select_simple },
	[M(CMPXCHG8B)] = { CMPXCHG8B, select_simple }, [M(AAM)] = { AAM, select_simple },
	[M(AAD)] = { AAD, select_simple }, [M(DAA)] = { DAA, select_simple }, [M(DAS)] = { DAS, select_simple },
	[M(AAA)] = { AAA, select_simple }, [M(AAS)] = { AAS, select_simple }, [M(PUSHA)] = { PUSHA, select_simple },
	[M(PUSHAD)] = { PUSHA, select_simple }, [M(POPA)] = { POPA, select_simple }, [M(POPAD)] = { POPA, select_simple },
	[M(ENTER)] = { ENTER, select_simple }, [M(BOUND)] = { BOUND, select_simple }, [M(INTO)] = { INTO, select_simple },
	[M(JCXZ)] = { JCXZ, select_simple }, [M(JECXZ)] = { JCXZ, select_simple }, [M(LOOP)] = { LOOP, select_simple },
	[M(LOOPE)] = { LOOPE, select_simple }, [M(LOOPNE)] = { LOOPNE, select_simple },
};

insn_fn *select_integer(const struct decoded *d, struct insn *i)
{
	const struct family *family = &families[d->z.mnemonic];

	return family->select ? family->select(d, i, family->argument) : NULL;
}
