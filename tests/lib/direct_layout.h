/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/direct_layout.h - where things are in the machines of direct_rig.h: for C and assembler.
 *
 *   1. Frames        guest-physical, and linear: the first 4 MiB are mapped 1:1
 *   2. Windows       linear addresses with mappings of all kinds
 *   3. Selectors
 *   4. The kernel    its data, what a piece of a program is
 */
#ifndef TESTS_LIB_DIRECT_LAYOUT_H
#define TESTS_LIB_DIRECT_LAYOUT_H

/* ---- 1. Frames ------------------------------------------------------------------------------ */

#define DR_RAM 0x800000
#define DR_HOT 0x80000          /* what programs are meant to touch; the rest is cold */
#define DR_GDT 0x1000
#define DR_IDT 0x1800
#define DR_TSS 0x2000
#define DR_TSS_DF 0x2100        /* of the double fault's task */
#define DR_LDT 0x2200
#define DR_IO_MAP 0x2400        /* the TSS's: DR_TSS + 0x400 */
#define DR_TSS_LIMIT 0x5FF
#define DR_KERNEL 0x3000        /* direct_kernel.S */
#define DR_KDATA 0x4000
#define DR_UDATA 0x5000         /* for every ring */
#define DR_STACK0 0x7000        /* tops of stacks, which grow down */
#define DR_STACK1 0x8000
#define DR_STACK_DF 0x9000
#define DR_CODE 0x14000
#define DR_CODE_END 0x24000
#define DR_DATA 0x24000
#define DR_DATA_END 0x44000
#define DR_STACK 0x44000
#define DR_STACK_END 0x48000
#define DR_DIRECTORY 0x70000    /* three of them */
#define DR_DIRECTORIES 3
#define DR_PT_LOW 0x73000
#define DR_PT_USER 0x74000      /* two: of the first directory and the third, of the second */
#define DR_PT_KERNEL 0x76000
#define DR_PT_TOP 0x77000
#define DR_PT_SPARE 0x78000
#define DR_TABLES_END 0x79000
#define DR_ROM 0x90000          /* one page that is not RAM */
#define DR_MMIO 0xF0000000      /* and wherever there is no RAM */

/* ---- 2. Windows ----------------------------------------------------------------------------- */

#define DR_LAZY 0x100000        /* the kernel makes these pages present when they are missed */
#define DR_LAZY_BYTES 0x20000
#define DR_WIN_USER 0x400000    /* differs by directory; the code first */
#define DR_WIN_BIG 0x800000     /* a 4 MiB page: all of the frames above */
#define DR_WIN_DEVICE 0xC00000  /* a 4 MiB page without RAM */
#define DR_WIN_KERNEL 0xC0000000
#define DR_WIN_BIG_KERNEL 0xC0400000
#define DR_WIN_TOP 0xFFFF0000   /* up to the end */
#define DR_WIN_PAGES 64         /* in the windows of 4 KiB pages, 16 in the top one */

/* ---- 3. Selectors --------------------------------------------------------------------------- */

#define DR_CODE0 0x08
#define DR_DATA0 0x10
#define DR_CODE3 0x1B
#define DR_DATA3 0x23
#define DR_SEL_TSS 0x28
#define DR_SEL_TSS_DF 0x30
#define DR_SEL_LDT 0x38
#define DR_CODE1 0x41
#define DR_DATA1 0x49
#define DR_TLS 0x53             /* data: a base and 4 GiB, as Linux' GS */
#define DR_SHORT 0x5B           /* data: a limit in bytes */
#define DR_DOWN 0x63            /* data: expand-down */
#define DR_READONLY 0x6B
#define DR_CODE3_BASE 0x73      /* code: a base and a limit */
#define DR_CODE16 0x7B          /* code: D = 0 */
#define DR_STACK16 0x83         /* data: B = 0 */
#define DR_CODE0_BASE 0x88
#define DR_CODE0_16 0x90
#define DR_STACK0_16 0x98
#define DR_CONFORMING 0xA0
#define DR_GATE 0xAB            /* call gate to the kernel */
#define DR_ABSENT 0xB3
#define DR_SHORT0 0xB8
#define DR_SELECTORS 0x100      /* bytes of the table in use */

/* ---- 4. The kernel -------------------------------------------------------------------------- */

#define DR_PIECE (DR_KDATA + 0)    /* the next piece */
#define DR_PIECES_END (DR_KDATA + 4)
#define DR_PATTERN (DR_KDATA + 8)  /* from its top: 1 after a fault to the next piece, 0 to DR_RESUME */
#define DR_FAULTS (DR_KDATA + 12)  /* in this piece */
#define DR_FAULTS_MAX 24
#define DR_PIECES (DR_KDATA + 0x100)
#define DR_PIECES_MAX 32
#define DR_PIECE_BYTES 64
#define DR_P_EIP 0
#define DR_P_CS 4
#define DR_P_EFLAGS 8
#define DR_P_ESP 12
#define DR_P_SS 16
#define DR_P_ES 20
#define DR_P_DS 24
#define DR_P_FS 28
#define DR_P_GS 32
#define DR_P_CR0 36
#define DR_P_CR3 40
#define DR_P_CR4 44
#define DR_P_RESUME 48
#define DR_RESUME (DR_UDATA + 0)   /* where to go on after a fault: the piece keeps it up to date */

#define DR_COUNTERS (DR_UDATA + 0x100) /* of loops that no register keeps */
#define DR_COUNTERS_MAX 32
#define DR_PLACES (DR_UDATA + 0x200)   /* ... and addresses that change each time round */

#define DR_IRQ_VECTOR 0x20         /* sixteen: return */
#define DR_NEXT_VECTOR 0x30        /* to the next piece */
#define DR_CALL_VECTOR 0x31        /* returns */
#define DR_STUBS 64
#define DR_STUB_BYTES 16
#define DR_PORT_END 0xE9           /* the program is over */
#define DR_PORT_IRQ 0x60           /* a byte written raises IRQ 0..15 */

#endif
