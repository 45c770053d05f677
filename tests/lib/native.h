/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native.h - run one 32-bit instruction on the host's own processor.
 *
 *   1. Cases       struct native_case: registers before and after
 *   2. Segments    the LDT both sides share
 *   3. The host    native_open, native_run
 *
 * The bytes lie below 4 GiB; a far jump takes this 64-bit process into compatibility mode, a loop there
 * loads each case's registers, jumps to the instruction, and stores what came of it.  Exceptions arrive
 * as signals, whose handler stores vector, error code and registers and goes on with the next case.
 */
#ifndef TESTS_LIB_NATIVE_H
#define TESTS_LIB_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lib/native_layout.h"

/* ---- 1. Cases ------------------------------------------------------------------------------- */

#define NATIVE_NO_VECTOR 0xFFFFFFFFu

struct native_regs {
	uint32_t gpr[8];
	uint32_t eflags;
	uint16_t es, ss, ds, fs;
	/* Out only. */
	uint32_t vector; /* exception, or NATIVE_NO_VECTOR */
	uint32_t error;  /* error code of vectors that have one */
	uint32_t cr2;    /* of vector 14 */
	uint32_t eip;    /* of the exception; without one: 0 went on, 1 went to NATIVE_TAKEN */
	uint32_t spare;
};

struct native_case {
	struct native_regs in, out;
	_Alignas(16) uint8_t fx_in[512];
	_Alignas(16) uint8_t fx_out[512];
};

_Static_assert(sizeof(struct native_regs) == 64, "native_layout.h");
_Static_assert(offsetof(struct native_regs, fs) == NATIVE_REGS_FS, "native_layout.h");
_Static_assert(offsetof(struct native_regs, vector) == NATIVE_REGS_VECTOR, "native_layout.h");
_Static_assert(offsetof(struct native_regs, eip) == NATIVE_REGS_EIP, "native_layout.h");
_Static_assert(offsetof(struct native_case, out) == NATIVE_OUT, "native_layout.h");
_Static_assert(offsetof(struct native_case, fx_in) == NATIVE_FX_IN, "native_layout.h");
_Static_assert(offsetof(struct native_case, fx_out) == NATIVE_FX_OUT, "native_layout.h");
_Static_assert(sizeof(struct native_case) == NATIVE_CASE_BYTES, "native_layout.h");

/* Cases that run the same bytes, one after the other, on the same memory. */
struct native_batch {
	uint32_t eip;       /* linear address of the first byte, in NATIVE_CODE */
	uint16_t cs;        /* NATIVE_CS or the 16-bit code segment */
	bool fx;            /* floating-point state goes in and out */
	unsigned count;     /* <= NATIVE_CASES_MAX */
	struct native_case cases[NATIVE_CASES_MAX];
};

/* ---- 2. Segments ---------------------------------------------------------------------------- */

enum native_segment {
	NATIVE_LDT_DATA,      /* base NATIVE_DATA, 64 KiB */
	NATIVE_LDT_STACK16,   /* the same with B = 0 */
	NATIVE_LDT_CODE16,    /* base NATIVE_ARENA, 64 KiB, D = 0, readable */
	NATIVE_LDT_SHORT,     /* base NATIVE_DATA, limit in the middle of the windows */
	NATIVE_LDT_DOWN,      /* expand-down: valid above 0x2000 */
	NATIVE_LDT_DOWN16,    /* ... with B = 0 */
	NATIVE_LDT_READONLY,
	NATIVE_LDT_EXECONLY,
	NATIVE_LDT_ABSENT,    /* P = 0 */
	NATIVE_LDT_COUNT,
};
struct native_descriptor {
	uint32_t base, limit;
	bool big, code, down, readonly, absent; /* readonly: of code, not readable */
};
extern const struct native_descriptor native_ldt[NATIVE_LDT_COUNT];

/* The pages of NATIVE_DATA: 'w' writable, 'r' read-only, '-' absent. */
extern const char native_data_pages[NATIVE_DATA_BYTES / 4096 + 1];

/* ---- 3. The host ---------------------------------------------------------------------------- */

struct native;

/* NULL: this host cannot; *why says so in one line. */
struct native *native_open(const char **why);
void native_close(struct native *n);
/* Take the signals of exceptions, and give them back: between the two native_run() works.  (cmocka takes
 * them itself around every test, so each test arms.) */
bool native_arm(struct native *n);
void native_disarm(struct native *n);
/* The code bytes (NATIVE_CODE_BYTES) and data bytes (NATIVE_DATA_BYTES; absent pages must not be touched,
 * read-only ones only through native_set_readonly()). */
uint8_t *native_code(struct native *n);
uint8_t *native_data(struct native *n);
/* Run every case of the batch; fills out and fx_out. */
void native_run(struct native *n, struct native_batch *batch);

#endif
