/* SPDX-License-Identifier: MIT */
/*
 * direct/verify.c - the code cache proves by itself that nothing in it reaches outside.
 *
 *   1. What is known   of registers, between two instructions
 *   2. Kinds           which instructions there may be
 *   3. Memory          which operands
 *   4. Effects         what an instruction makes of the registers
 *   5. Leaving         branches
 *   6. A block         from its first byte to its last
 *   7. Ways in         jump tables, the return stack, struct hot
 *   8. All of it       direct_verify()
 *
 * Blocks are disassembled as the host's processor reads them, and what they rest on is proved, not believed: a
 * register that holds a pointer of the host's got it just before, from where it may come; a look-up is compared
 * before its result is used; a guest's registers have upper halves of zero wherever code may be left.  Whatever
 * is not known here is refused, so a new sequence of the translator's needs its rule here too.
 *
 * Branches lead forwards within a block, or to the entry of one: so a single pass in the order of addresses
 * meets each instruction with all that may be known before it.
 */
#include <Zydis/Zydis.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/internal.h"
#include "direct/emit.h"
#include "direct/internal.h"

/* ---- 1. What is known ----------------------------------------------------------------------- */

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, REGISTERS };
#define GUEST_REGISTERS 0x10EFu /* all but RSP of the first eight, and R12 */
#define FREE_REGISTERS 0x0F00u  /* R8-R11 */

enum kind {
	ANYTHING,
	LOW,      /* its upper half is zero; so is that of the next ones */
	NUMBER,   /* a constant: `number` */
	SLOT,     /* of the TLB, for the address in R8 */
	ENTRY,    /* ... twice that: in words of 8 bytes */
	LAST,     /* the last of `number` bytes from the address in R8 */
	PAGE,     /* ... its page */
	JUMP,     /* an index of the jump table */
	ADDEND,   /* of the address in R8, for `checked` bytes */
	CPU,      /* struct cpu */
	WORLD,    /* the world's first byte */
	IN_WORLD, /* ... plus 32 bits */
};
static bool is_low(enum kind kind) { return kind >= LOW && kind <= JUMP; }

enum compared { NOT_COMPARED, COMPARED_TO_READ, COMPARED_TO_WRITE };

struct known {
	uint8_t kind[REGISTERS];
	uint32_t number[REGISTERS];
	enum compared compared; /* by the instruction before: equal is what the next one asks */
	uint32_t checked;       /* bytes at the address in R8 that may be read */
	bool checked_write;     /* ... and written */
};

static struct known known_at_entry(void)
{
	struct known k = { .compared = NOT_COMPARED };

	for (unsigned n = 0; n < REGISTERS; n++)
		k.kind[n] = GUEST_REGISTERS >> n & 1 ? LOW : ANYTHING;
	return k;
}

/* What holds whichever of two ways led here. */
static void join(struct known *k, const struct known *other)
{
	for (unsigned n = 0; n < REGISTERS; n++) {
		if (k->kind[n] == other->kind[n] && k->number[n] == other->number[n])
			continue;
		k->kind[n] = is_low((enum kind)k->kind[n]) && is_low((enum kind)other->kind[n]) ? LOW : ANYTHING;
	}
	k->compared = NOT_COMPARED;
	if (k->checked > other->checked)
		k->checked = other->checked;
	k->checked_write = k->checked_write && other->checked_write;
}

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

/* ---- The run of a proof --------------------------------------------------------------------- */

#define WAITING_MAX 512u

struct proof {
	const struct direct *d;
	ZydisDecoder decoder;
	char *why;
	size_t why_bytes;
	uint8_t *joins;      /* bit by place in the cache: code may be entered there, nothing known but the guest */
	uint8_t *returns;    /* ... or by a RET */
	uint8_t *forwarders; /* ... from what lead to a dead block */
	const struct block *block;
	uint32_t end;        /* of the block */
	/* forward branches whose target is still to come */
	struct { uint32_t to; struct known known; } waiting[WAITING_MAX];
	unsigned waiting_count;
	/* the instruction */
	uint32_t at;
	ZydisDecodedInstruction i;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	struct known known;
	enum compared compared; /* before it */
	bool reached;
};

static bool refuse(struct proof *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(struct proof *p, const char *format, ...)
{
	const struct block *b = p->block;
	va_list list;
	int used = 0;

	if (b)
		used = snprintf(p->why, p->why_bytes, "block of %08x, mode %02x, byte %u of %u: ", b->eip, b->mode,
		                p->at - b->code, b->code_bytes);
	va_start(list, format);
	if (used >= 0 && (size_t)used < p->why_bytes)
		vsnprintf(p->why + used, p->why_bytes - (size_t)used, format, list);
	va_end(list);
	return false;
}

static bool bit(const uint8_t *bits, uint32_t n) { return bits[n / 8] >> n % 8 & 1; }
static void set_bit(uint8_t *bits, uint32_t n) { bits[n / 8] |= (uint8_t)(1u << n % 8); }

/* ---- 2. Kinds ------------------------------------------------------------------------------- */

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

static bool check_kind(struct proof *p)
{
	const ZydisDecodedInstruction *i = &p->i;

	if (i->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED || i->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR || !is_plain(i) ||
	    is_odd_one_out(i->mnemonic))
		return refuse(p, "%s has no business here", ZydisMnemonicGetString(i->mnemonic));
	return true;
}

/* ---- 3. Memory ------------------------------------------------------------------------------ */

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
		return alone && within(op, 0, sizeof(struct hot)) &&
		       (!write || within(op, HOT_SCRATCH, sizeof(((struct hot *)NULL)->scratch)));
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
		return p->i.address_width == 32 || refuse(p, "more than 32 bits of address in the world");
	if (op->mem.type != ZYDIS_MEMOP_TYPE_MEM || op->mem.segment == ZYDIS_REGISTER_FS || p->i.address_width != 64 ||
	    !may_access(p, op))
		return refuse(p, "%s: memory that is not the world's, base %s", ZydisMnemonicGetString(p->i.mnemonic),
		              ZydisRegisterGetString(op->mem.base));
	return true;
}

/* ---- 4. Effects ----------------------------------------------------------------------------- */

static const ZydisDecodedOperand *memory_operand(const struct proof *p)
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

static bool is_immediate(const ZydisDecodedOperand *op) { return op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }

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
		return ZydisRegisterGetId(reg) < 8 || refuse(p, "a register that no guest has");
	default:
		break;
	}
	switch (reg) {
	case ZYDIS_REGISTER_X87CONTROL: case ZYDIS_REGISTER_X87STATUS: case ZYDIS_REGISTER_X87TAG: case ZYDIS_REGISTER_MXCSR:
		return true;
	default:
		return refuse(p, "%s has no business here", ZydisRegisterGetString(reg));
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
		return refuse(p, "%s is written", ZydisRegisterGetString(op->reg.value));
	e->reg = reg;
	if (class == ZYDIS_REGCLASS_GPR64)
		e->kind = wide_kind(p, reg, &e->number);
	else if (class == ZYDIS_REGCLASS_GPR32)
		e->kind = low_kind(p, reg, &e->number);
	else /* the rest of it stays */
		e->kind = is_low((enum kind)p->known.kind[reg]) ? LOW : ANYTHING;
	if (e->kind == ANYTHING && (class == ZYDIS_REGCLASS_GPR64 || GUEST_REGISTERS >> reg & 1))
		return refuse(p, "%s: 64 bits of %s", ZydisMnemonicGetString(p->i.mnemonic),
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

static bool check_operands(struct proof *p)
{
	struct effect effects[ZYDIS_MAX_OPERAND_COUNT];
	unsigned count = 0;

	for (unsigned n = 0; n < p->i.operand_count; n++) {
		const ZydisDecodedOperand *op = &p->op[n];
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && !check_memory(p, op))
			return false;
		if (op->type == ZYDIS_OPERAND_TYPE_POINTER)
			return refuse(p, "a far pointer");
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && !effect_of(p, op, &effects[count++]))
			return false;
	}
	note_comparison(p);
	for (unsigned n = 0; n < count; n++)
		if (effects[n].reg != REGISTERS)
			set_register(&p->known, effects[n].reg, effects[n].kind, effects[n].number);
	return true;
}

/* ---- 5. Leaving ----------------------------------------------------------------------------- */

static bool guest_is_whole(struct proof *p)
{
	for (unsigned n = 0; n < REGISTERS; n++)
		if (GUEST_REGISTERS >> n & 1 && !is_low((enum kind)p->known.kind[n]))
			return refuse(p, "register %u is not the guest's here", n);
	return true;
}

/* Of a block, or a forwarder that kill_translation() made between blocks. */
static bool is_entry(const struct proof *p, uint32_t to)
{
	const struct block *b = block_at(p->d, p->d->code + to);

	return b ? b->code + b->entry == to : bit(p->forwarders, to);
}

static bool wait_for(struct proof *p, uint32_t to, const struct known *known)
{
	if (p->waiting_count == WAITING_MAX)
		return refuse(p, "more branches than the proof can hold");
	p->waiting[p->waiting_count].to = to;
	p->waiting[p->waiting_count++].known = *known;
	return true;
}

static bool check_target(struct proof *p)
{
	int64_t to = (int64_t)p->at + p->i.length + p->op[0].imm.value.s;
	struct known there = p->known;

	there.compared = NOT_COMPARED;
	if (p->i.mnemonic == ZYDIS_MNEMONIC_JZ && p->compared) {
		there.checked = p->known.number[R10];
		there.checked_write = p->compared == COMPARED_TO_WRITE;
	}
	if (to > p->at && to < p->end && p->block)
		return wait_for(p, (uint32_t)to, &there);
	if (to < 0 || to >= p->d->used || !is_entry(p, (uint32_t)to))
		return refuse(p, "a branch to nowhere, cache + %lld", (long long)to);
	return guest_is_whole(p);
}

/* Where C code goes on. */
static bool check_fallback(struct proof *p, uint32_t n, bool fpu)
{
	const struct fallback *f = &p->d->fallbacks[n];

	if (fpu) /* a guest's instruction, from its start */
		return (f->again < p->at && f->again >= p->block->code && bit(p->joins, f->again)) ||
		       refuse(p, "x87 or SSE goes on nowhere");
	if (!f->resume || f->insn->flags & INSN_END)
		return true;
	if (f->resume <= p->at || f->resume > p->end)
		return refuse(p, "a fallback goes on nowhere");
	set_bit(p->joins, f->resume);
	return true;
}

/* The stub's number is in R9. */
static bool check_stub(struct proof *p, int64_t offset)
{
	const struct direct *d = p->d;
	uint32_t n = p->known.number[R9], block = p->block ? (uint32_t)(p->block - d->blocks) : 0;
	bool number = p->known.kind[R9] == NUMBER && n;

	switch (offset) {
	case HOT_STUB_MISS:
		return true; /* any R8D will do */
	case HOT_STUB_LINK:
		return (number && n < d->link_count && d->links[n].block == block) || refuse(p, "a link of nobody");
	case HOT_STUB_FALLBACK:
	case HOT_STUB_SOFT:
	case HOT_STUB_FPU:
		if (!number || n >= d->fallback_count || !block || d->fallbacks[n].block != block)
			return refuse(p, "a fallback of nobody");
		return check_fallback(p, n, offset == HOT_STUB_FPU);
	default:
		return refuse(p, "a jump through struct hot + %lld", (long long)offset);
	}
}

/* An instruction that is not followed by the next, or not only. */
static bool check_branch(struct proof *p)
{
	const ZydisDecodedOperand *m = memory_operand(p);
	bool relative = is_immediate(&p->op[0]) && p->op[0].imm.is_relative;

	switch (p->i.meta.category) {
	case ZYDIS_CATEGORY_COND_BR:
		return relative ? check_target(p) : refuse(p, "a strange branch");
	case ZYDIS_CATEGORY_CALL:
		if (!relative || !guest_is_whole(p) || !check_target(p))
			return relative ? false : refuse(p, "a strange call");
		set_bit(p->returns, p->at + p->i.length);
		p->known = known_at_entry();
		return true;
	case ZYDIS_CATEGORY_RET:
		p->reached = false;
		return p->i.mnemonic != ZYDIS_MNEMONIC_RET || is_immediate(&p->op[0]) ? refuse(p, "a strange return")
		                                                                      : guest_is_whole(p);
	case ZYDIS_CATEGORY_UNCOND_BR:
		p->reached = false;
		if (relative)
			return check_target(p);
		if (p->i.mnemonic != ZYDIS_MNEMONIC_JMP || !m || m->size != 64)
			return refuse(p, "a strange jump");
		return guest_is_whole(p) && (m->mem.base == ZYDIS_REGISTER_R14 || check_stub(p, m->mem.disp.value));
	default:
		return true;
	}
}

/* ---- 6. A block ----------------------------------------------------------------------------- */

/* What leads to p->at besides the instruction before. */
static bool arrive(struct proof *p)
{
	const struct known entry = known_at_entry();
	unsigned kept = 0;

	for (unsigned n = 0; n < p->waiting_count; n++) {
		if (p->waiting[n].to < p->at)
			return refuse(p, "a branch into the middle of an instruction");
		if (p->waiting[n].to != p->at) {
			p->waiting[kept++] = p->waiting[n];
			continue;
		}
		if (p->reached)
			join(&p->known, &p->waiting[n].known);
		else
			p->known = p->waiting[n].known;
		p->reached = true;
	}
	p->waiting_count = kept;
	if (p->reached && bit(p->joins, p->at)) {
		if (!guest_is_whole(p))
			return false;
		join(&p->known, &entry);
	} else if (!p->reached) {
		/* Nothing leads here yet; something may, later (redirect_link()). */
		p->known = entry;
	}
	return true;
}

static bool check_insn(struct proof *p)
{
	const uint8_t *code = p->d->code + p->at;

	p->reached = p->reached || bit(p->joins, p->at);
	if (!p->reached && *code == 0xCC) { /* what fills a block up */
		p->i.length = 1;
		return true;
	}
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&p->decoder, code, p->end - p->at, &p->i, p->op)))
		return refuse(p, "no instruction: %02x %02x %02x %02x", code[0], code[1], code[2], code[3]);
	p->reached = true;
	p->compared = p->known.compared;
	p->known.compared = NOT_COMPARED;
	if (!check_kind(p) || !check_operands(p) || !check_branch(p))
		return false;
	for (uint32_t n = p->at + 1; n < p->at + p->i.length; n++)
		if (bit(p->joins, n))
			return refuse(p, "a way in to the middle of an instruction");
	return true;
}

/* [from, to), which nothing leaves by its end. */
static bool check_code(struct proof *p, uint32_t from, uint32_t to)
{
	p->at = from;
	p->end = to;
	p->waiting_count = 0;
	p->known = known_at_entry();
	p->reached = true;
	while (p->at < to) {
		if (!arrive(p) || !check_insn(p))
			return false;
		p->at += p->i.length;
	}
	if (p->waiting_count || p->reached)
		return refuse(p, "it goes on after the end");
	return true;
}

/* A guest's instruction begins with the guest's whole state (D1). */
static void mark_points(struct proof *p, const struct block *b, uint32_t from)
{
	for (unsigned n = 0; n < b->insns; n++) {
		uint32_t at = b->code + p->d->points[b->points + n].host;
		if (at >= from)
			set_bit(p->joins, at);
	}
}

/* Of a dead block the beginning is overwritten: what may still run are the instructions after that. */
static bool check_dead(struct proof *p, const struct block *b)
{
	const struct direct *d = p->d;
	uint32_t entry = b->code + b->entry;
	bool jump = d->code[entry] == 0xE9;
	uint32_t after = entry + (jump ? 5 : LEAVE_BYTES);

	p->end = b->code + b->code_bytes;
	if (!check_code(p, entry, after))
		return false;
	for (unsigned n = 0; n < b->insns; n++) {
		uint32_t at = b->code + d->points[b->points + n].host;
		if (at < after)
			continue;
		mark_points(p, b, at);
		return check_code(p, at, b->code + b->code_bytes);
	}
	return true;
}

static bool check_block(struct proof *p, const struct block *b)
{
	p->block = b;
	p->at = b->code;
	if (b->code < p->d->stubs || b->code + b->code_bytes > p->d->used || b->entry >= b->code_bytes)
		return refuse(p, "outside of the cache");
	if (b->dead)
		return check_dead(p, b);
	mark_points(p, b, b->code);
	set_bit(p->joins, b->code + b->entry);
	return check_code(p, b->code, b->code + b->code_bytes);
}

/* ---- 7. Ways in ----------------------------------------------------------------------------- */

static bool in_cache(const struct direct *d, const void *at)
{
	return (const uint8_t *)at >= d->code && (const uint8_t *)at < d->code + d->used;
}

static bool check_table(struct proof *p, void **table)
{
	const struct direct *d = p->d;

	for (unsigned n = 0; n < JUMP_ENTRIES; n++) {
		const struct block *b;
		if (table[n] == (const void *)direct_stub_miss)
			continue;
		b = in_cache(d, table[n]) ? block_at(d, table[n]) : NULL;
		if (!b || b->dead || d->code + b->code != table[n])
			return refuse(p, "entry %u of a jump table leads to no block", n);
	}
	return true;
}

static bool check_return_stack(struct proof *p)
{
	const struct direct *d = p->d;
	const uint8_t *bottom = d->return_stack + UM_PAGE_SIZE, *top = bottom + RETURN_STACK_BYTES;
	const uint8_t *at = (const uint8_t *)(uintptr_t)d->hot.p_rsp, *back;

	if (at < bottom || at > top + UM_PAGE_SIZE || (uintptr_t)at % 8)
		return refuse(p, "the return stack's pointer is not there");
	for (; at < top; at += sizeof(back)) {
		memcpy(&back, at, sizeof(back));
		if (back != direct_stub_return_miss && !(in_cache(d, back) && bit(p->returns, (uint32_t)(back - d->code))))
			return refuse(p, "the return stack leads to where nothing called");
	}
	return true;
}

static bool check_hot(struct proof *p)
{
	const struct direct *d = p->d;
	const struct hot *h = &d->hot;
	const struct cpu *c = d->cpu;

	if (h->cpu != c || (h->tlb && h->tlb != c->tlbs[0] && h->tlb != c->tlbs[1]) ||
	    h->mask_tlb != (TLB_ENTRIES - 1) << UM_PAGE_SHIFT || h->mask_jump != JUMP_MASK ||
	    h->stub_fallback != direct_stub_fallback || h->stub_link != direct_stub_link ||
	    h->stub_miss != direct_stub_miss || h->stub_soft != direct_stub_soft || h->stub_fpu != direct_stub_fpu ||
	    (d->world && h->world != d->world->base))
		return refuse(p, "struct hot is not as code expects it");
	return true;
}

static bool check_ways_in(struct proof *p)
{
	const struct direct *d = p->d;

	p->block = NULL;
	for (uint32_t n = 0; n < d->world_count; n++)
		for (unsigned mode = 0; mode < MODES; mode++)
			if (d->worlds[n].tables[mode] && !check_table(p, d->worlds[n].tables[mode]))
				return false;
	return check_hot(p) && check_return_stack(p);
}

/* ---- 8. All of it --------------------------------------------------------------------------- */

/* Where a link that is not set leads. */
static bool mark_joins(struct proof *p)
{
	const struct direct *d = p->d;

	for (uint32_t n = 1; n < d->link_count; n++) {
		const struct block_link *l = &d->links[n];
		if (l->stub + LEAVE_BYTES > d->used || l->site + 4 > d->used)
			return refuse(p, "link %u is nowhere", n);
		if (!l->block)
			set_bit(p->forwarders, l->stub);
		else if (!d->blocks[l->block].dead)
			set_bit(p->joins, l->stub);
	}
	return true;
}

static bool check_blocks(struct proof *p)
{
	const struct direct *d = p->d;
	uint32_t end = d->stubs;

	for (uint32_t n = 1; n < d->block_count; n++) {
		const struct block *b = &d->blocks[n];
		if (b->code < end)
			return refuse(p, "blocks overlap");
		if (!check_block(p, b))
			return false;
		end = b->code + b->code_bytes;
	}
	return true;
}

static bool check_forwarders(struct proof *p)
{
	const struct direct *d = p->d;

	p->block = NULL;
	for (uint32_t n = 1; n < d->link_count; n++) {
		uint32_t from = d->links[n].stub;
		if (d->links[n].block)
			continue;
		if (block_at(d, d->code + from) || block_at(d, d->code + from + LEAVE_BYTES - 1))
			return refuse(p, "a forwarder in a block");
		if (!check_code(p, from, from + LEAVE_BYTES))
			return false;
	}
	return true;
}

bool direct_verify(struct direct *d, char *why, size_t bytes)
{
	struct proof *p = calloc(1, sizeof(*p));
	bool ok;

	if (bytes)
		why[0] = 0;
	if (p) {
		p->joins = calloc(1, d->used / 8 + 2);
		p->returns = calloc(1, d->used / 8 + 2);
		p->forwarders = calloc(1, d->used / 8 + 2);
		p->d = d;
		p->why = why;
		p->why_bytes = bytes;
	}
	ok = p && p->joins && p->returns && p->forwarders &&
	     ZYAN_SUCCESS(ZydisDecoderInit(&p->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64));
	if (!ok)
		snprintf(why, bytes, "no memory for a proof");
	ok = ok && mark_joins(p) && check_blocks(p) && check_forwarders(p) && check_ways_in(p);
	if (p) {
		free(p->joins);
		free(p->returns);
		free(p->forwarders);
	}
	free(p);
	return ok;
}
