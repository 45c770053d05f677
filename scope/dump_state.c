/* SPDX-License-Identifier: MIT */
/*
 * scope/dump_state.c - the processor as notes of a core file.
 *
 *   1. Words        one list of all fields, for both directions
 *   2. UMBRA        dump_pack_state, dump_unpack_state
 *   3. PRSTATUS     as Linux writes it for a process of i386
 *   4. QEMU         what its dump-guest-memory writes
 */
#include <string.h>

#include "scope/dump_inside.h"

/* ---- 1. Words ------------------------------------------------------------------------------- */

/* Fields pass by one after the other, each as a word: written, or read. */
struct words {
	uint8_t *at;          /* to be written, or */
	const uint8_t *from;  /* ... read */
};

static void pass(struct words *w, uint32_t *field)
{
	if (w->at) {
		dump_put32(w->at, *field);
		w->at += 4;
	} else {
		*field = dump_get32(w->from);
		w->from += 4;
	}
}

static void pass16(struct words *w, uint16_t *field)
{
	uint32_t word = *field;
	pass(w, &word);
	*field = (uint16_t)word;
}

static void pass64(struct words *w, uint64_t *field)
{
	uint32_t low = (uint32_t)*field, high = (uint32_t)(*field >> 32);
	pass(w, &low);
	pass(w, &high);
	*field = low | (uint64_t)high << 32;
}

static void pass_bool(struct words *w, bool *field)
{
	uint32_t word = *field;
	pass(w, &word);
	*field = word & 1;
}

static void pass_segment(struct words *w, struct cpu_segment *s)
{
	pass16(w, &s->selector);
	pass16(w, &s->attr);
	pass(w, &s->base);
	pass(w, &s->limit);
}

static void pass_state(struct words *w, struct cpu_state *s)
{
	for (unsigned k = 0; k < 8; k++)
		pass(w, &s->gpr[k]);
	pass(w, &s->eip);
	pass(w, &s->eflags);
	for (unsigned k = 0; k < 6; k++)
		pass_segment(w, &s->seg[k]);
	pass_segment(w, &s->ldtr);
	pass_segment(w, &s->tr);
	pass(w, &s->gdtr.base);
	pass16(w, &s->gdtr.limit);
	pass(w, &s->idtr.base);
	pass16(w, &s->idtr.limit);
	pass(w, &s->cr0);
	pass(w, &s->cr2);
	pass(w, &s->cr3);
	pass(w, &s->cr4);
	for (unsigned k = 0; k < 8; k++)
		pass(w, &s->dr[k]);
	pass64(w, &s->sysenter_cs);
	pass64(w, &s->sysenter_esp);
	pass64(w, &s->sysenter_eip);
	pass_bool(w, &s->halted);
	pass_bool(w, &s->interrupt_shadow);
	for (unsigned k = 0; k < sizeof s->fxsave; k += 4) {
		uint32_t word = dump_get32(s->fxsave + k);
		pass(w, &word);
		dump_put32(s->fxsave + k, word);
	}
}

/* ---- 2. UMBRA ------------------------------------------------------------------------------- */

enum { STATE_VERSION = 1, STATE_WORDS = 1 + 8 + 2 + 8 * 4 + 4 + 4 + 8 + 6 + 2 + 128 };
_Static_assert(STATE_WORDS * 4 <= DUMP_STATE_BYTES, "the buffer holds all words");

size_t dump_pack_state(const struct cpu_state *s, uint8_t bytes[DUMP_STATE_BYTES])
{
	struct cpu_state copy = *s;
	struct words w = { .at = bytes };
	uint32_t version = STATE_VERSION;
	pass(&w, &version);
	pass_state(&w, &copy);
	return (size_t)(w.at - bytes);
}

bool dump_unpack_state(const uint8_t *bytes, size_t size, struct cpu_state *s)
{
	struct words w = { .from = bytes };
	uint32_t version;
	if (size != STATE_WORDS * 4)
		return false;
	pass(&w, &version);
	memset(s, 0, sizeof *s);
	pass_state(&w, s);
	return version == STATE_VERSION;
}

/* ---- 3. PRSTATUS ---------------------------------------------------------------------------- */

/* struct elf_prstatus of i386: pid at 24, registers at 72 in the order of PTRACE_GETREGS. */
void dump_pack_prstatus(const struct cpu_state *s, uint8_t bytes[DUMP_PRSTATUS_BYTES])
{
	const uint32_t regs[17] = {
		s->gpr[CPU_EBX], s->gpr[CPU_ECX], s->gpr[CPU_EDX], s->gpr[CPU_ESI], s->gpr[CPU_EDI], s->gpr[CPU_EBP],
		s->gpr[CPU_EAX], s->seg[CPU_DS].selector, s->seg[CPU_ES].selector, s->seg[CPU_FS].selector,
		s->seg[CPU_GS].selector, UINT32_MAX /* no system call */, s->eip, s->seg[CPU_CS].selector, s->eflags,
		s->gpr[CPU_ESP], s->seg[CPU_SS].selector,
	};
	memset(bytes, 0, DUMP_PRSTATUS_BYTES);
	dump_put32(bytes + 24, 1);
	for (unsigned k = 0; k < 17; k++)
		dump_put32(bytes + 72 + 4 * k, regs[k]);
}

/* ---- 4. QEMU -------------------------------------------------------------------------------- */

/* Version 1: version, size, 16 general registers, rip, rflags (64 bits each), 10 segments of 24 bytes (selector,
 * limit, flags, -, base), CR0 to CR4 (64 bits each). */
enum { QEMU_VERSION = 1, QEMU_GPR = 8, QEMU_RIP = 136, QEMU_RFLAGS = 144, QEMU_SEGMENTS = 152, QEMU_SEGMENT = 24,
       QEMU_CR = 392, QEMU_BYTES = 432 };

static void get_segment(const uint8_t *at, struct cpu_segment *s)
{
	s->selector = (uint16_t)dump_get32(at);
	s->limit = dump_get32(at + 4);
	s->attr = (uint16_t)(dump_get32(at + 8) >> 8 & 0xF0FF); /* the descriptor's second word, bits 8 to 23 */
	s->base = dump_get32(at + 16);
}

bool dump_unpack_qemu(const uint8_t *bytes, size_t size, struct cpu_state *s)
{
	static const uint8_t gpr[8] = { CPU_EAX, CPU_EBX, CPU_ECX, CPU_EDX, CPU_ESI, CPU_EDI, CPU_ESP, CPU_EBP };
	static const uint8_t seg[6] = { CPU_CS, CPU_DS, CPU_ES, CPU_FS, CPU_GS, CPU_SS };
	const uint8_t *segments = bytes + QEMU_SEGMENTS;
	if (size < QEMU_BYTES || dump_get32(bytes) != QEMU_VERSION)
		return false;
	memset(s, 0, sizeof *s);
	for (unsigned k = 0; k < 8; k++)
		s->gpr[gpr[k]] = dump_get32(bytes + QEMU_GPR + 8 * k);
	s->eip = dump_get32(bytes + QEMU_RIP);
	s->eflags = dump_get32(bytes + QEMU_RFLAGS);
	for (unsigned k = 0; k < 6; k++)
		get_segment(segments + k * QEMU_SEGMENT, &s->seg[seg[k]]);
	get_segment(segments + 6 * QEMU_SEGMENT, &s->ldtr);
	get_segment(segments + 7 * QEMU_SEGMENT, &s->tr);
	s->gdtr.limit = (uint16_t)dump_get32(segments + 8 * QEMU_SEGMENT + 4);
	s->gdtr.base = dump_get32(segments + 8 * QEMU_SEGMENT + 16);
	s->idtr.limit = (uint16_t)dump_get32(segments + 9 * QEMU_SEGMENT + 4);
	s->idtr.base = dump_get32(segments + 9 * QEMU_SEGMENT + 16);
	s->cr0 = dump_get32(bytes + QEMU_CR);
	s->cr2 = dump_get32(bytes + QEMU_CR + 16);
	s->cr3 = dump_get32(bytes + QEMU_CR + 24);
	s->cr4 = dump_get32(bytes + QEMU_CR + 32);
	return true;
}
