/* SPDX-License-Identifier: MIT */
/*
 * direct/layout.h - offsets that translated code and enter_x86_64.S know; internal.h asserts them.
 *
 * R15 points to struct hot.  Everything that translated code reads besides guest memory, struct cpu and the TLB
 * is there; it writes nothing there.
 */
#ifndef DIRECT_LAYOUT_H
#define DIRECT_LAYOUT_H

#define HOT_CPU 0           /* struct cpu *: gpr[] comes first there */
#define HOT_C_RSP 8         /* the stack of C code */
#define HOT_P_RSP 16        /* the return stack, while C code runs */
#define HOT_FLAGS 24        /* AH and AL of LAHF; SETO AL */
#define HOT_MASK_JUMP 28    /* PEXT: EIP to a jump table's index */
#define HOT_MASK_BIT 32     /* PEXT: bit number in a doubleword */
#define HOT_SEG_BASE 36     /* FS, GS: 2 words */
#define HOT_MASK_TLB 44     /* PEXT: linear address to a TLB index */
#define HOT_TABLE 48        /* R14: jump table of the world and mode in use */
#define HOT_TLB 56          /* R13: the portable engine's TLB for the current privilege */
#define HOT_TARGET 64       /* where to enter translated code */
#define HOT_STUB_FALLBACK 72
#define HOT_STUB_LINK 80
#define HOT_STUB_MISS 88
#define HOT_STUB_SOFT 96
#define HOT_STUB_FPU 104
#define HOT_FPU 112         /* struct fpu * */
#define HOT_WORLD 120       /* GS.base */
#define HOT_X87_BAD 128     /* 0: x87 instructions may run as they are */
#define HOT_SSE_BAD 132     /* 0: so may SSE's; guest XMM registers are in the host's */
#define HOT_MASK_NO_IF 136  /* PEXT and PDEP: EFLAGS without IF */
#define HOT_MASK_LAHF 140   /* PEXT, PDEP: the six flags from LAHF's and SETO's places to their own */
#define HOT_MASK_STATUS 144

#define FPU_XMM 512         /* struct fpu: xmm */
#define CPU_KICKED 76       /* struct cpu: kicked */
#define CPU_GPR_ECX 4
#define CPU_GPR_EDX 8
#define CPU_GPR_EBX 12
#define CPU_GPR_ESP 16
#define CPU_GPR_EBP 20
#define CPU_GPR_ESI 24
#define CPU_GPR_EDI 28

#endif
