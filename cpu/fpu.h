/* SPDX-License-Identifier: MIT */
/*
 * cpu/fpu.h - what the rest of the engine needs to know of x87, MMX and SSE.
 *
 * Two sets of files implement it, chosen by the Makefile.  On x86-64 hosts (fpu.c, op_fpu*.c, op_simd*.c,
 * fpu_host_x86_64.S) guest instructions run on the host's own units and the guest's x87 registers and
 * MXCSR may stay in the host's while cpu_run() goes on.  Elsewhere (fpu_host_none.c) the guest has no FPU.
 */
#ifndef CPU_FPU_H
#define CPU_FPU_H

#include "cpu/internal.h"

/* CPUID.1:EDX bits of what there is: FPU, MMX, FXSR, SSE, SSE2 (CLFSH with it); 0: no FPU. */
enum {
	FEATURE_FPU = 1u << 0, FEATURE_CLFSH = 1u << 19, FEATURE_MMX = 1u << 23, FEATURE_FXSR = 1u << 24,
	FEATURE_SSE = 1u << 25, FEATURE_SSE2 = 1u << 26,
};
uint32_t fpu_features(void);
/* Bytes of a cache line as CLFLUSH knows it (CPUID.1:EBX bits 8-15, in units of 8). */
#define FPU_CLFLUSH_BYTES 64u

/* Give the host its x87 registers and MXCSR back.  Called before control leaves the engine: when cpu_run()
 * returns and before every callback of the bus.  Cheap when there is nothing to do. */
void fpu_leave(struct cpu *c);

#endif
