/* SPDX-License-Identifier: MIT */
/*
 * direct/verify.h - what the two files of the proof share.
 *
 *   1. What is known   of registers, between two instructions
 *   2. A proof         while it runs
 *   3. The index
 */
#ifndef DIRECT_VERIFY_H
#define DIRECT_VERIFY_H

#include <Zydis/Zydis.h>

#include "cpu/internal.h"
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
static inline bool is_low(enum kind kind) { return kind >= LOW && kind <= JUMP; }

enum compared { NOT_COMPARED, COMPARED_TO_READ, COMPARED_TO_WRITE };

struct known {
	uint8_t kind[REGISTERS];
	uint32_t number[REGISTERS];
	enum compared compared; /* by the instruction before: equal is what the next one asks */
	uint32_t checked;       /* bytes at the address in R8 that may be read */
	bool checked_write;     /* ... and written */
};

/* ---- 2. A proof ----------------------------------------------------------------------------- */

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

/* ---- 3. The index --------------------------------------------------------------------------- */

/* verify.c: always false; why, with where */
bool refuse_code(struct proof *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* verify_insn.c */
bool check_insn_kind(struct proof *p);
/* Operands, and what becomes of p->known. */
bool check_insn_operands(struct proof *p);
const ZydisDecodedOperand *memory_operand(const struct proof *p);
static inline bool is_immediate(const ZydisDecodedOperand *op) { return op->type == ZYDIS_OPERAND_TYPE_IMMEDIATE; }

#endif
