/* SPDX-License-Identifier: MIT */
/*
 * vmm/log.c - what -d writes.
 *
 *   1. int      exceptions and interrupts as they are delivered
 *   2. in_asm   blocks as they are decoded
 *   3. shadow   the core's events
 *   4. unimp    memory that is not there
 */
#include <inttypes.h>

#include <Zydis/Zydis.h>

#include "vmm/internal.h"

/* ---- 1. int --------------------------------------------------------------------------------- */

void log_interrupt(struct vm *vm, unsigned vector, bool software, bool has_error, uint32_t error)
{
	struct cpu_state s;
	cpu_get_state(vm->cpu, &s);
	fprintf(vm->config.log, "int %02x%s at %04x:%08x sp %04x:%08x flags %08x", vector,
	        software ? " (software)" : "", s.seg[CPU_CS].selector, s.eip, s.seg[CPU_SS].selector,
	        s.gpr[CPU_ESP], s.eflags);
	if (has_error)
		fprintf(vm->config.log, " error %04x", error);
	if (vector == 14)
		fprintf(vm->config.log, " cr2 %08x", s.cr2);
	fprintf(vm->config.log, " eax %08x cr3 %08x\n", s.gpr[CPU_EAX], s.cr3);
}

/* ---- 2. in_asm ------------------------------------------------------------------------------ */

#define BLOCK_INSTRUCTIONS 64u

void log_block(void *user, struct cpu *cpu, uint32_t eip)
{
	struct vm *vm = user;
	struct cpu_state s;
	ZydisDecoder decoder;
	ZydisFormatter formatter;
	cpu_get_state(cpu, &s);
	bool wide = (s.seg[CPU_CS].attr & 0x4000) && !(s.eflags & (1u << 17)); /* CS.D, not V86 */
	ZydisDecoderInit(&decoder, wide ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
	                 wide ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_ATT);
	fprintf(vm->config.log, "block %04x:%08x\n", s.seg[CPU_CS].selector, eip);
	for (unsigned k = 0; k < BLOCK_INSTRUCTIONS; k++) {
		uint8_t bytes[15];
		char text[128];
		ZydisDecodedInstruction insn;
		ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
		size_t have = cpu_peek(cpu, s.seg[CPU_CS].base + eip, bytes, sizeof bytes);
		if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, have, &insn, operands)))
			break;
		ZydisFormatterFormatInstruction(&formatter, &insn, operands, insn.operand_count_visible,
		                                text, sizeof text, eip, NULL);
		fprintf(vm->config.log, "  %08x  %s\n", eip, text);
		eip += insn.length;
		if (insn.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
			break;
	}
}

/* ---- 3. shadow ------------------------------------------------------------------------------ */

static const char *const event_names[] = {
	[UM_EV_FILL] = "fill", [UM_EV_PREFETCH] = "prefetch", [UM_EV_REFLECT] = "reflect",
	[UM_EV_TRACKED] = "tracked", [UM_EV_UNSYNC] = "unsync", [UM_EV_SYNC] = "sync",
	[UM_EV_SET_PTE] = "set-pte", [UM_EV_SET_PDE] = "set-pde", [UM_EV_SWITCH] = "switch",
	[UM_EV_FLUSH_USER] = "flush-user", [UM_EV_FLUSH_ALL] = "flush-all",
	[UM_EV_FLUSH_PAGE] = "flush-page", [UM_EV_EVICT] = "evict", [UM_EV_FORGET] = "forget",
	[UM_EV_STOP] = "stop", [UM_EV_MODE] = "mode",
};

void log_event(struct vm *vm, const struct um_event *event)
{
	const char *name = (size_t)event->kind < sizeof event_names / sizeof event_names[0]
	                           ? event_names[event->kind]
	                           : NULL;
	fprintf(vm->config.log, "shadow %s gva %08" PRIx64 " gpa %08" PRIx64 " value %" PRIx64 "\n",
	        name ? name : "?", event->gva, event->gpa, event->value);
}

/* ---- 4. unimp ------------------------------------------------------------------------------- */

void log_absent(struct vm *vm, bool write, um_gpa gpa, unsigned bytes, uint64_t value)
{
	if (!vm->config.log || !(vm->config.log_mask & VM_LOG_UNIMP))
		return;
	if (write)
		fprintf(vm->config.log, "unimp write %u bytes at gpa %08" PRIx64 " value %" PRIx64 "\n",
		        bytes, gpa, value);
	else
		fprintf(vm->config.log, "unimp read %u bytes at gpa %08" PRIx64 "\n", bytes, gpa);
}
