/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_layout.h - where things are when one instruction runs both on the host and on umbra.
 *
 *   1. The arena        linear addresses, the same on both sides
 *   2. The control page of the host's side
 *   3. One case         offsets of struct native_case, for assembler
 *   4. Selectors
 *
 * Included by C and assembler: constants only.  Everything is below 2 GiB, so that 32-bit code can
 * reach it and 64-bit code can name it in a signed 32-bit displacement.
 */
#ifndef TESTS_LIB_NATIVE_LAYOUT_H
#define TESTS_LIB_NATIVE_LAYOUT_H

/* ---- 1. The arena --------------------------------------------------------------------------- */

#define NATIVE_ARENA 0x10000000
#define NATIVE_CODE NATIVE_ARENA              /* the instruction under test, somewhere in two pages */
#define NATIVE_CODE_BYTES 0x2000
#define NATIVE_LANDING (NATIVE_ARENA + 0x30000) /* where the code comes back: differs by side */
#define NATIVE_TAKEN (NATIVE_LANDING + 0x20)   /* ... when a branch went elsewhere */
#define NATIVE_DATA (NATIVE_ARENA + 0x10000)   /* operands */
#define NATIVE_DATA_BYTES 0x10000
/* Host only; umbra has nothing there.  Far away: BTS with a wild bit number reaches 256 MiB. */
#define NATIVE_CONTROL 0x40000000
#define NATIVE_CASES (NATIVE_CONTROL + 0x10000)
#define NATIVE_CASES_MAX 32

/* ---- 2. The control page -------------------------------------------------------------------- */

#define NATIVE_CTL_CURRENT 0   /* address of the running case */
#define NATIVE_CTL_END 4       /* address after the last */
#define NATIVE_CTL_FX 8        /* load and store the FXSAVE image */
#define NATIVE_CTL_TARGET 12   /* m16:32: where the instruction is */
#define NATIVE_CTL_ESP 20
#define NATIVE_CTL_EBP 24
#define NATIVE_CTL_TAKEN 28
#define NATIVE_CTL_HOST_RSP 32 /* 64-bit from here */
#define NATIVE_CTL_HOST_FS 40
#define NATIVE_CTL_HOST_MXCSR 48
#define NATIVE_CTL_ENTRY 56    /* m16:32: the 32-bit loop */
#define NATIVE_CTL_LEAVE 64
#define NATIVE_CTL_STACK (NATIVE_CONTROL + 0x1000)

/* ---- 3. One case ---------------------------------------------------------------------------- */

#define NATIVE_IN 0
#define NATIVE_OUT 64
#define NATIVE_REGS_EFLAGS 32
#define NATIVE_REGS_ES 36
#define NATIVE_REGS_SS 38
#define NATIVE_REGS_DS 40
#define NATIVE_REGS_FS 42
#define NATIVE_REGS_VECTOR 44
#define NATIVE_REGS_ERROR 48
#define NATIVE_REGS_CR2 52
#define NATIVE_REGS_EIP 56
#define NATIVE_FX_IN 128
#define NATIVE_FX_OUT 640
#define NATIVE_CASE_BYTES 1152

/* ---- 4. Selectors --------------------------------------------------------------------------- */

/* The host's GDT (Linux, x86-64), imitated by the guest. */
#define NATIVE_CS 0x23
#define NATIVE_DS 0x2b
#define NATIVE_CS64 0x33
/* Ours, in the LDT of both. */
#define NATIVE_SEL(n) (((n) << 3) | 7)

#endif
