/* SPDX-License-Identifier: MIT */
/*
 * cpu/decode.c - Zydis once per instruction, then the operands in the plain form that handlers use.
 *
 *   1. What exists     the instruction sets of this processor
 *   2. Operands        prefixes, ModRM, SIB, displacement, immediates
 *   3. decode()
 */
#include "cpu/decode.h"

#include <string.h>

void decoder_init(struct decoder *decoder)
{
	/* Encodings that newer processors gave to what is a NOP, BSF or BSR here. */
	static const ZydisDecoderMode not_ours[] = { ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
	                                             ZYDIS_DECODER_MODE_LZCNT, ZYDIS_DECODER_MODE_TZCNT,
	                                             ZYDIS_DECODER_MODE_CLDEMOTE };

	ZydisDecoderInit(&decoder->code16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
	ZydisDecoderInit(&decoder->code32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
	for (size_t n = 0; n < sizeof(not_ours) / sizeof(*not_ours); n++) {
		ZydisDecoderEnableMode(&decoder->code16, not_ours[n], ZYAN_FALSE);
		ZydisDecoderEnableMode(&decoder->code32, not_ours[n], ZYAN_FALSE);
	}
}

/* ---- 1. What exists ------------------------------------------------------------------------- */

/* An i686 with MMX, FXSR, SSE and SSE2.  (VT-x and SVM: only their hypercall instructions are looked at,
 * by select_system().) */
static bool exists(const ZydisDecodedInstruction *z)
{
	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	switch (z->meta.isa_ext) {
	case ZYDIS_ISA_EXT_BASE:
	case ZYDIS_ISA_EXT_X87:
	case ZYDIS_ISA_EXT_MMX:
	case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_PAUSE:
	case ZYDIS_ISA_EXT_CLFSH:
	case ZYDIS_ISA_EXT_AMD3DNOW_PREFETCH:
	case ZYDIS_ISA_EXT_VTX:
	case ZYDIS_ISA_EXT_SVM:
		break;
	default:
		return false;
	}
	return z->meta.isa_set != ZYDIS_ISA_SET_CMPXCHG16B && z->meta.isa_set != ZYDIS_ISA_SET_FXSAVE64;
}

/* ---- 2. Operands ---------------------------------------------------------------------------- */

static void take_prefixes(const ZydisDecodedInstruction *z, unsigned mode, struct insn *i, int *segment)
{
	bool code32 = mode & MODE_CODE32, opsize = false, addrsize = false;

	*segment = -1;
	for (unsigned n = 0; n < z->raw.prefix_count; n++) {
		switch (z->raw.prefixes[n].value) {
		case 0x26: *segment = CPU_ES; break;
		case 0x2E: *segment = CPU_CS; break;
		case 0x36: *segment = CPU_SS; break;
		case 0x3E: *segment = CPU_DS; break;
		case 0x64: *segment = CPU_FS; break;
		case 0x65: *segment = CPU_GS; break;
		case 0x66: opsize = true; break;
		case 0x67: addrsize = true; break;
		case 0xF0: i->flags |= INSN_LOCK; break;
		case 0xF2: i->flags = (uint8_t)((i->flags & ~INSN_REP) | INSN_REPNE); break;
		case 0xF3: i->flags = (uint8_t)((i->flags & ~INSN_REPNE) | INSN_REP); break;
		default: break;
		}
	}
	i->prefix = i->flags & INSN_REP     ? PREFIX_F3
	            : i->flags & INSN_REPNE ? PREFIX_F2
	            : opsize                ? PREFIX_66
	                                    : PREFIX_NONE;
	i->opsize = code32 != opsize ? 4 : 2;
	i->addrsize = code32 != addrsize ? 4 : 2;
}

/* 16-bit addressing: rm to base and index (SDM vol. 2, table 2-1). */
static void take_modrm16(const ZydisDecodedInstruction *z, struct insn *i)
{
	static const struct { uint8_t base, index; } form[8] = {
		{ CPU_EBX, CPU_ESI }, { CPU_EBX, CPU_EDI }, { CPU_EBP, CPU_ESI }, { CPU_EBP, CPU_EDI },
		{ CPU_ESI, REG_NONE }, { CPU_EDI, REG_NONE }, { CPU_EBP, REG_NONE }, { CPU_EBX, REG_NONE },
	};

	if (z->raw.modrm.mod == 0 && z->raw.modrm.rm == 6)
		return;
	i->base = form[z->raw.modrm.rm].base;
	i->index = form[z->raw.modrm.rm].index;
}

/* 32-bit addressing: ModRM and SIB (SDM vol. 2, tables 2-2, 2-3). */
static void take_modrm32(const ZydisDecodedInstruction *z, struct insn *i)
{
	bool sib = z->raw.modrm.rm == 4;
	uint8_t base = sib ? z->raw.sib.base : z->raw.modrm.rm;

	if (!(base == 5 && z->raw.modrm.mod == 0))
		i->base = base;
	if (sib && z->raw.sib.index != 4) {
		i->index = z->raw.sib.index;
		i->scale = z->raw.sib.scale;
	}
}

static void take_operands(const ZydisDecodedInstruction *z, unsigned mode, struct insn *i)
{
	int segment;

	take_prefixes(z, mode, i, &segment);
	i->len = z->length;
	i->opcode = z->opcode;
	i->base = i->index = REG_NONE;
	i->disp = (uint32_t)z->raw.disp.value;
	i->imm = (uint32_t)z->raw.imm[0].value.s;
	i->reg = i->rm = z->opcode & 7;
	if (z->attributes & ZYDIS_ATTRIB_HAS_MODRM) {
		i->reg = z->raw.modrm.reg;
		i->rm = z->raw.modrm.rm;
		if (z->raw.modrm.mod != 3) {
			i->flags |= INSN_MEM;
			if (i->addrsize == 2)
				take_modrm16(z, i);
			else
				take_modrm32(z, i);
		}
	} else if (z->raw.disp.size) {
		i->flags |= INSN_MEM; /* MOV with an absolute offset */
	} else {
		i->disp = (uint16_t)z->raw.imm[1].value.u;
	}
	if (segment < 0)
		segment = i->base == CPU_ESP || i->base == CPU_EBP ? CPU_SS : CPU_DS;
	i->seg = (unsigned)segment & 7;
}

/* ---- 3. decode() ---------------------------------------------------------------------------- */

static bool ends_block(const ZydisDecodedInstruction *z)
{
	switch (z->meta.category) {
	case ZYDIS_CATEGORY_CALL:
	case ZYDIS_CATEGORY_COND_BR:
	case ZYDIS_CATEGORY_UNCOND_BR:
	case ZYDIS_CATEGORY_RET:
	case ZYDIS_CATEGORY_INTERRUPT:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
		return true;
	default:
		return false;
	}
}

static insn_fn *select_handler(const struct decoded *d, struct insn *i)
{
	insn_fn *fn = NULL;

	if (exists(&d->z)) {
		fn = select_integer(d, i);
		if (!fn)
			fn = select_system(d, i);
		if (!fn)
			fn = select_fpu(d, i);
		if (!fn)
			fn = select_simd(d, i);
	}
	if (!fn) {
		i->flags |= INSN_END;
		fn = op_undefined;
	}
	return fn;
}

enum decode_result decode(const struct decoder *decoder, const uint8_t *bytes, unsigned avail, unsigned mode,
                          uint32_t options, struct insn *insn)
{
	const ZydisDecoder *z = mode & MODE_CODE32 ? &decoder->code32 : &decoder->code16;
	struct decoded d;
	ZyanStatus status;

	if (avail > INSN_BYTES_MAX)
		avail = INSN_BYTES_MAX;
	memset(insn, 0, sizeof(*insn));
	insn->len = 1;
	status = ZydisDecoderDecodeInstruction(z, NULL, bytes, avail, &d.z);
	if (status == ZYDIS_STATUS_NO_MORE_DATA && avail < INSN_BYTES_MAX)
		return DECODE_MORE;
	if (!ZYAN_SUCCESS(status)) {
		bool too_long = status == ZYDIS_STATUS_NO_MORE_DATA ||
		                status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG;
		insn->flags = INSN_END;
		insn->fn = too_long ? op_too_long : op_undefined;
		return DECODE_OK;
	}
	memcpy(d.bytes, bytes, avail);
	memset(d.bytes + avail, 0, sizeof(d.bytes) - avail);
	d.mode = (uint8_t)mode;
	d.options = options;
	d.two_byte = d.z.opcode_map != ZYDIS_OPCODE_MAP_DEFAULT;
	take_operands(&d.z, mode, insn);
	if (ends_block(&d.z))
		insn->flags |= INSN_END;
	insn->fn = select_handler(&d, insn);
	return DECODE_OK;
}
