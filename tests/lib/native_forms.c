/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_forms.c - every opcode form that a 32-bit user program may meet, by group.
 *
 *   1. Random numbers
 *   2. What is left out, and why
 *   3. Groups
 *   4. Enumeration
 *   5. Drawing: prefixes, displacement, immediate
 */
#include "tests/lib/native_forms.h"

#include <stdlib.h>
#include <string.h>

/* ---- 1. Random numbers ---------------------------------------------------------------------- */

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

void rng_seed(struct native_rng *rng, uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++) { /* splitmix64 */
		uint64_t z = seed += 0x9E3779B97F4A7C15u;

		z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
		z = (z ^ z >> 27) * 0x94D049BB133111EBu;
		rng->s[i] = z ^ z >> 31;
	}
}

uint64_t rng_next(struct native_rng *rng)
{
	uint64_t *s = rng->s, result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

uint32_t rng_value(struct native_rng *rng)
{
	static const uint32_t edges[] = {
		0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000,
		0x80000001, 0xFFFFFFFE, 0xFFFFFFFF, 0xFFFF8000, 0xFFFFFF80, 0x55555555, 0xAAAAAAAA, 0x99999999,
	};
	uint64_t r = rng_next(rng);
	uint32_t v = (uint32_t)(r >> 32);

	switch (r & 7) {
	case 0:
	case 1: return edges[v % (sizeof edges / sizeof *edges)];
	case 2: return (uint32_t)((int32_t)v >> 24);                   /* small, either sign */
	case 3: return (uint32_t)1 << (v & 31);
	case 4: return (v & 0xFFFF) | ((r >> 8 & 1) ? 0xFFFF0000 : 0); /* half of it interesting */
	default: return v;
	}
}

/* ---- 2. What is left out, and why ----------------------------------------------------------- */

static const struct { ZydisMnemonic mnemonic; const char *why; } left_out[] = {
	{ ZYDIS_MNEMONIC_CPUID, "says what the processor is: differs by design" },
	{ ZYDIS_MNEMONIC_RDTSC, "time" },
	{ ZYDIS_MNEMONIC_RDPMC, "the host's performance counters" },
	{ ZYDIS_MNEMONIC_SYSENTER, "enters the host's kernel" },
	{ ZYDIS_MNEMONIC_SYSEXIT, "SYSENTER's other half" },
	{ ZYDIS_MNEMONIC_SYSCALL, "enters the host's kernel on some processors" },
	{ ZYDIS_MNEMONIC_SYSRET, "SYSCALL's other half" },
	{ ZYDIS_MNEMONIC_INT1, "the host's debugger machinery" },
	{ ZYDIS_MNEMONIC_IRET, "needs a frame; tests/guests" },
	{ ZYDIS_MNEMONIC_IRETD, "needs a frame; tests/guests" },
	{ ZYDIS_MNEMONIC_SGDT, "the host may emulate it (UMIP)" },
	{ ZYDIS_MNEMONIC_SIDT, "the host may emulate it (UMIP)" },
	{ ZYDIS_MNEMONIC_SLDT, "the host may emulate it (UMIP)" },
	{ ZYDIS_MNEMONIC_STR, "the host may emulate it (UMIP)" },
	{ ZYDIS_MNEMONIC_SMSW, "the host may emulate it (UMIP)" },
	{ ZYDIS_MNEMONIC_LGS, "GS is how the host's loop finds its memory" },
	{ ZYDIS_MNEMONIC_RSM, "Zydis does not know that it is #UD outside SMM" },
	{ ZYDIS_MNEMONIC_UD0, "whether it has a ModRM byte differs by maker" },
};

/* Everything up to SSE2; a later extension is the host's to have and umbra's not to have. */
static bool isa_of_i686(ZydisISASet isa)
{
	switch ((int)isa) {
	case ZYDIS_ISA_SET_I86: case ZYDIS_ISA_SET_I186: case ZYDIS_ISA_SET_I286REAL:
	case ZYDIS_ISA_SET_I286PROTECTED: case ZYDIS_ISA_SET_I386: case ZYDIS_ISA_SET_I486:
	case ZYDIS_ISA_SET_I486REAL: case ZYDIS_ISA_SET_PENTIUMREAL: case ZYDIS_ISA_SET_PENTIUMMMX:
	case ZYDIS_ISA_SET_PPRO: case ZYDIS_ISA_SET_CMOV: case ZYDIS_ISA_SET_FCMOV: case ZYDIS_ISA_SET_LAHF:
	case ZYDIS_ISA_SET_X87: case ZYDIS_ISA_SET_FXSAVE: case ZYDIS_ISA_SET_FAT_NOP:
	case ZYDIS_ISA_SET_PAUSE: case ZYDIS_ISA_SET_SSE: case ZYDIS_ISA_SET_SSEMXCSR:
	case ZYDIS_ISA_SET_SSE_PREFETCH: case ZYDIS_ISA_SET_PREFETCH_NOP: case ZYDIS_ISA_SET_SSE2:
	case ZYDIS_ISA_SET_SSE2MMX: case ZYDIS_ISA_SET_CLFSH:
		return true;
	default:
		return false;
	}
}

static bool touches_gs(const struct native_form *form)
{
	for (unsigned i = 0; i < form->z.operand_count; i++)
		if (form->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    form->op[i].reg.value == ZYDIS_REGISTER_GS &&
		    (form->op[i].actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
			return true;
	return false;
}

static bool has_repeat_prefix(const struct native_form *form)
{
	for (unsigned i = 0; i < form->z.raw.prefix_count; i++)
		if (form->z.raw.prefixes[i].value == 0xF2 || form->z.raw.prefixes[i].value == 0xF3)
			return true;
	return false;
}

const char *form_left_out(const struct native_form *form)
{
	if (!form->known)
		return NULL;
	if (!isa_of_i686(form->z.meta.isa_set))
		return "newer than SSE2";
	for (unsigned i = 0; i < sizeof left_out / sizeof *left_out; i++)
		if (left_out[i].mnemonic == form->z.mnemonic)
			return left_out[i].why;
	if (form->z.mnemonic == ZYDIS_MNEMONIC_NOP && form->z.opcode == 0x0D)
		return "PREFETCHW with a register: #UD or nothing, by maker";
	if ((form->z.mnemonic == ZYDIS_MNEMONIC_LOOPE || form->z.mnemonic == ZYDIS_MNEMONIC_LOOPNE) &&
	    has_repeat_prefix(form))
		return "a reserved prefix: some processors make LOOPE of LOOPNE and back";
	if (form->z.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)
		return "far transfers: tests/guests";
	if (touches_gs(form))
		return "GS is how the host's loop finds its memory";
	return NULL;
}

/* ---- 3. Groups ------------------------------------------------------------------------------ */

const char *const native_group_names[GROUP_COUNT] = {
	[GROUP_ARITHMETIC] = "arithmetic", [GROUP_LOGIC] = "logic", [GROUP_SHIFT] = "shifts and rotates",
	[GROUP_MULTIPLY] = "multiply and divide", [GROUP_DECIMAL] = "decimal adjust",
	[GROUP_BITS] = "bit tests and scans", [GROUP_MOVE] = "moves and conversions",
	[GROUP_CONDITION] = "SETcc and CMOVcc", [GROUP_SEMAPHORE] = "exchanges",
	[GROUP_STACK] = "stack", [GROUP_STRING] = "strings", [GROUP_BRANCH] = "near branches",
	[GROUP_FLAGS] = "flags and no-operations", [GROUP_SEGMENT] = "segment registers and descriptors",
	[GROUP_PRIVILEGED] = "what ring 3 may not do, and INT", [GROUP_X87] = "x87",
	[GROUP_FPU_STATE] = "floating-point state", [GROUP_MMX] = "MMX", [GROUP_SSE] = "SSE",
	[GROUP_SSE2] = "SSE2", [GROUP_UNDEFINED] = "undefined opcodes",
};

static enum native_group group_by_mnemonic(ZydisMnemonic mnemonic)
{
	switch ((int)mnemonic) {
	case ZYDIS_MNEMONIC_FNSAVE: case ZYDIS_MNEMONIC_FRSTOR: case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FNSTENV: case ZYDIS_MNEMONIC_FXSAVE: case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_LDMXCSR: case ZYDIS_MNEMONIC_STMXCSR: case ZYDIS_MNEMONIC_FLDCW:
	case ZYDIS_MNEMONIC_FNSTCW: case ZYDIS_MNEMONIC_FNSTSW: case ZYDIS_MNEMONIC_FNINIT:
	case ZYDIS_MNEMONIC_FNCLEX: case ZYDIS_MNEMONIC_EMMS: case ZYDIS_MNEMONIC_FWAIT:
		return GROUP_FPU_STATE;
	case ZYDIS_MNEMONIC_MUL: case ZYDIS_MNEMONIC_IMUL: case ZYDIS_MNEMONIC_DIV: case ZYDIS_MNEMONIC_IDIV:
		return GROUP_MULTIPLY;
	case ZYDIS_MNEMONIC_XCHG: case ZYDIS_MNEMONIC_XADD: case ZYDIS_MNEMONIC_CMPXCHG:
	case ZYDIS_MNEMONIC_CMPXCHG8B:
		return GROUP_SEMAPHORE;
	case ZYDIS_MNEMONIC_ENTER: case ZYDIS_MNEMONIC_LEAVE:
		return GROUP_STACK;
	case ZYDIS_MNEMONIC_LDS: case ZYDIS_MNEMONIC_LES: case ZYDIS_MNEMONIC_LSS: case ZYDIS_MNEMONIC_LFS:
	case ZYDIS_MNEMONIC_LAR: case ZYDIS_MNEMONIC_LSL: case ZYDIS_MNEMONIC_VERR: case ZYDIS_MNEMONIC_VERW:
	case ZYDIS_MNEMONIC_ARPL:
		return GROUP_SEGMENT;
	case ZYDIS_MNEMONIC_BOUND: case ZYDIS_MNEMONIC_XLAT: case ZYDIS_MNEMONIC_LEA: case ZYDIS_MNEMONIC_BSWAP:
	case ZYDIS_MNEMONIC_SALC:
		return GROUP_MOVE;
	case ZYDIS_MNEMONIC_LAHF: case ZYDIS_MNEMONIC_SAHF: case ZYDIS_MNEMONIC_PAUSE:
	case ZYDIS_MNEMONIC_CLFLUSH: case ZYDIS_MNEMONIC_LFENCE: case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
		return GROUP_FLAGS;
	case ZYDIS_MNEMONIC_CLI: case ZYDIS_MNEMONIC_STI: case ZYDIS_MNEMONIC_UD1: case ZYDIS_MNEMONIC_UD2:
		return GROUP_PRIVILEGED;
	default:
		return GROUP_NONE;
	}
}

static bool uses_segment_register(const struct native_form *form)
{
	for (unsigned i = 0; i < form->z.operand_count_visible; i++)
		if (form->op[i].type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    ZydisRegisterGetClass(form->op[i].reg.value) == ZYDIS_REGCLASS_SEGMENT)
			return true;
	return false;
}

static enum native_group group_by_category(const struct native_form *form)
{
	switch ((int)form->z.meta.category) {
	case ZYDIS_CATEGORY_BINARY: return GROUP_ARITHMETIC;
	case ZYDIS_CATEGORY_LOGICAL: return GROUP_LOGIC;
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_ROTATE: return GROUP_SHIFT;
	case ZYDIS_CATEGORY_DECIMAL: return GROUP_DECIMAL;
	case ZYDIS_CATEGORY_BITBYTE: return GROUP_BITS;
	case ZYDIS_CATEGORY_SETCC:
	case ZYDIS_CATEGORY_CMOV: return GROUP_CONDITION;
	case ZYDIS_CATEGORY_PUSH:
	case ZYDIS_CATEGORY_POP: return GROUP_STACK;
	case ZYDIS_CATEGORY_STRINGOP: return GROUP_STRING;
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_RET: return GROUP_BRANCH;
	case ZYDIS_CATEGORY_FLAGOP:
	case ZYDIS_CATEGORY_NOP:
	case ZYDIS_CATEGORY_WIDENOP:
	case ZYDIS_CATEGORY_PREFETCH: return GROUP_FLAGS;
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_IO:
	case ZYDIS_CATEGORY_IOSTRINGOP:
	case ZYDIS_CATEGORY_SYSTEM: return GROUP_PRIVILEGED;
	default: return GROUP_MOVE;
	}
}

static enum native_group group_of(const struct native_form *form)
{
	enum native_group group;

	if (!form->known)
		return GROUP_UNDEFINED;
	if (form_left_out(form))
		return GROUP_NONE;
	if (form->z.attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
		return GROUP_PRIVILEGED;
	group = group_by_mnemonic(form->z.mnemonic);
	if (group)
		return group;
	if (uses_segment_register(form))
		return GROUP_SEGMENT;
	switch ((int)form->z.meta.isa_set) {
	case ZYDIS_ISA_SET_X87: case ZYDIS_ISA_SET_FCMOV: return GROUP_X87;
	case ZYDIS_ISA_SET_PENTIUMMMX: return GROUP_MMX;
	case ZYDIS_ISA_SET_SSE: return GROUP_SSE;
	case ZYDIS_ISA_SET_SSE2: case ZYDIS_ISA_SET_SSE2MMX: return GROUP_SSE2;
	default:
		return form->z.meta.category == ZYDIS_CATEGORY_X87_ALU ? GROUP_X87 : group_by_category(form);
	}
}

/* ---- 4. Enumeration ------------------------------------------------------------------------- */

void form_decode(struct native_form *form)
{
	ZydisDecoder decoder;

	if (form->code16)
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	else
		ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	memset(&form->z, 0, sizeof form->z);
	form->known = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, form->bytes, 15, &form->z, form->op));
	form->length = form->known ? form->z.length : 15;
	form->size = 0;
	form->locked = false;
	for (unsigned i = 0; form->known && i < form->z.operand_count; i++)
		if (form->op[i].type == ZYDIS_OPERAND_TYPE_MEMORY) {
			uint16_t bytes = form->op[i].size / 8;

			form->size = form->size > bytes ? form->size : bytes;
			form->locked |= form->z.mnemonic == ZYDIS_MNEMONIC_XCHG ||
			                (form->z.attributes & ZYDIS_ATTRIB_HAS_LOCK);
		}
}

int register_number(ZydisRegister reg)
{
	ZydisRegisterClass class = ZydisRegisterGetClass(reg);

	if (class != ZYDIS_REGCLASS_GPR32 && class != ZYDIS_REGCLASS_GPR16)
		return -1;
	return ZydisRegisterGetId(reg);
}

static unsigned put_recipe(uint8_t *bytes, const struct native_recipe *r)
{
	unsigned n = 0;

	if (r->prefix)
		bytes[n++] = r->prefix;
	if (r->two_byte)
		bytes[n++] = 0x0F;
	bytes[n++] = r->opcode;
	bytes[n++] = r->modrm;
	return n;
}

static void plain_form(struct native_form *form, const struct native_recipe *recipe)
{
	memset(form, 0, sizeof *form);
	put_recipe(form->bytes, recipe);
	form_decode(form);
}

/* One-byte opcodes that are prefixes, or begin another encoding (VEX, EVEX, XOP) when they are not LES,
 * LDS, BOUND, POP. */
static bool opens_something_else(const struct native_recipe *r)
{
	static const uint8_t prefixes[] = { 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3,
	                                    0x0F };
	/* Three-byte maps, 3DNow!, PadLock, MPX: later than or beside SSE2. */
	static const uint8_t others[] = { 0x38, 0x3A, 0x0F, 0xA6, 0xA7, 0x1A, 0x1B };

	/* 0F 01 with registers: virtualisation and what came later, but for LMSW and SMSW. */
	if (r->two_byte && r->opcode == 0x01 && r->modrm >= 0xC0)
		return (r->modrm >> 3 & 5) != 4;
	if (r->two_byte)
		return memchr(others, r->opcode, sizeof others) != NULL;
	if (memchr(prefixes, r->opcode, sizeof prefixes))
		return true;
	if (r->opcode == 0x8F)
		return (r->modrm >> 3 & 7) != 0;
	return (r->opcode == 0xC4 || r->opcode == 0xC5 || r->opcode == 0x62) && r->modrm >= 0xC0;
}

/* An F2/F3/66 that changes nothing is tried with a few ModRM bytes only. */
static bool worth_it(const struct native_form *form, const struct native_recipe *r)
{
	if (!form->known)
		return r->modrm % 16 == 0 || r->modrm >= 0xC0;
	if (!r->prefix || !form->z.raw.prefix_count ||
	    form->z.raw.prefixes[0].type != ZYDIS_PREFIX_TYPE_IGNORED)
		return true;
	return r->modrm % 23 == 0;
}

static struct native_recipe recipe_of(unsigned n)
{
	static const uint8_t prefixes[4] = { 0, 0x66, 0xF2, 0xF3 };

	return (struct native_recipe){ .prefix = prefixes[n >> 17], .two_byte = n >> 16 & 1,
	                               .opcode = (uint8_t)(n >> 8), .modrm = (uint8_t)n };
}

struct native_recipe *forms_of_group(enum native_group group, size_t *count)
{
	enum { ALL = 4 << 17 };
	struct native_recipe *recipes = NULL;
	size_t n = 0, room = 0;

	for (unsigned i = 0; i < ALL; i++) {
		struct native_recipe r = recipe_of(i);
		struct native_form form;

		if (opens_something_else(&r))
			continue;
		plain_form(&form, &r);
		/* Without a ModRM byte one recipe stands for all, but gets as many turns as a register form
		 * has. */
		if (form.known && !(form.z.attributes & ZYDIS_ATTRIB_HAS_MODRM) && r.modrm >= 64)
			continue;
		if (group_of(&form) != group || !worth_it(&form, &r))
			continue;
		if (n == room) {
			struct native_recipe *more = realloc(recipes, (room = room ? 2 * room : 256) * sizeof *more);

			if (!more)
				abort();
			recipes = more;
		}
		recipes[n++] = r;
	}
	*count = n;
	return recipes;
}

/* ---- 5. Drawing ----------------------------------------------------------------------------- */

static unsigned draw_prefixes(uint8_t *bytes, const struct native_form *plain, const struct native_recipe *r,
                              struct native_rng *rng)
{
	static const uint8_t overrides[6] = { 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65 };
	bool memory = plain->known && plain->size;
	unsigned n = 0;

	if (rng_one_in(rng, memory ? 6 : 32))
		bytes[n++] = 0x67;
	if (rng_one_in(rng, memory ? 6 : 32))
		bytes[n++] = overrides[rng_below(rng, 6)];
	/* LOCK MOV CRn is another instruction to one maker's processors. */
	if (memory && (plain->z.attributes & ZYDIS_ATTRIB_ACCEPTS_LOCK) ? rng_one_in(rng, 4) : rng_one_in(rng, 64))
		if (!r->two_byte || (r->opcode & 0xFC) != 0x20)
			bytes[n++] = 0xF0;
	if ((r->prefix == 0xF2 || r->prefix == 0xF3) && rng_one_in(rng, 8))
		bytes[n++] = 0x66;
	return n;
}

static void patch(struct native_form *form, unsigned offset, unsigned bits, uint32_t value)
{
	memcpy(form->bytes + offset, &value, bits / 8);
}

/* An immediate worth trying: shift counts, nesting levels, INT numbers that the host lets through. */
static uint32_t draw_immediate(const struct native_form *form, unsigned which, struct native_rng *rng)
{
	uint32_t value = rng_value(rng);

	if (form->z.mnemonic == ZYDIS_MNEMONIC_INT && value % 256 >= 0x80 && value % 256 <= 0x83)
		return 0x90;
	if (form->z.mnemonic == ZYDIS_MNEMONIC_ENTER)
		return which ? value & (rng_one_in(rng, 4) ? 0xFF : 3) : value & 0x7F;
	if (form->z.mnemonic == ZYDIS_MNEMONIC_RET)
		return value & 0x7F;
	if (form->z.meta.category == ZYDIS_CATEGORY_SHIFT || form->z.meta.category == ZYDIS_CATEGORY_ROTATE)
		return rng_one_in(rng, 4) ? value : rng_below(rng, 34);
	return value;
}

/* A displacement: any, but such that an address it alone (or with a scaled index) makes is in the data. */
static uint32_t draw_displacement(const struct native_form *form, struct native_rng *rng)
{
	const ZydisDecodedOperand *op = form->op;
	uint32_t small = (uint32_t)((int32_t)rng_next(rng) >> 26), near;

	while (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		op++;
	if (op->mem.base == ZYDIS_REGISTER_ESP)
		return small & ~3u;
	if (op->mem.base != ZYDIS_REGISTER_NONE && op->mem.base == op->mem.index)
		return small & ~1u;
	if (op->mem.base != ZYDIS_REGISTER_NONE)
		return rng_one_in(rng, 2) ? small : (uint32_t)rng_next(rng);
	near = 0x600 + rng_below(rng, 0x7000);
	if (rng_one_in(rng, 2))
		near &= ~15u;
	return form->z.address_width == 16 ? near : NATIVE_DATA + near;
}

static void draw_rest(struct native_form *form, struct native_rng *rng)
{
	if (form->z.raw.disp.size >= 16)
		patch(form, form->z.raw.disp.offset, form->z.raw.disp.size, draw_displacement(form, rng));
	for (unsigned i = 0; i < 2; i++)
		if (form->z.raw.imm[i].size && !form->z.raw.imm[i].is_relative)
			patch(form, form->z.raw.imm[i].offset, form->z.raw.imm[i].size,
			      draw_immediate(form, i, rng));
	form_decode(form);
}

static bool draw_once(struct native_form *form, const struct native_form *plain,
                      const struct native_recipe *recipe, struct native_rng *rng)
{
	uint64_t tail[2] = { rng_next(rng), rng_next(rng) };
	unsigned n;

	memset(form, 0, sizeof *form);
	form->code16 = rng_one_in(rng, 8);
	memcpy(form->bytes, tail, sizeof tail);
	n = draw_prefixes(form->bytes, plain, recipe, rng);
	n += put_recipe(form->bytes + n, recipe);
	if (plain->known && !(plain->z.attributes & ZYDIS_ATTRIB_HAS_MODRM))
		form->bytes[n - 1] = (uint8_t)tail[0];
	form_decode(form);
	if (form->known)
		draw_rest(form, rng);
	return !form_left_out(form);
}

void form_draw(struct native_form *form, const struct native_recipe *recipe, struct native_rng *rng)
{
	struct native_form plain;

	plain_form(&plain, recipe);
	/* Another prefix may make another instruction of it: one that is left out is drawn again. */
	for (unsigned tries = 0; tries < 16; tries++)
		if (draw_once(form, &plain, recipe, rng))
			return;
	*form = plain;
}
