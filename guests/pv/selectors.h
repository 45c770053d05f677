/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/selectors.h - selectors and vectors, for C and for assembly.
 */
#ifndef PV_SELECTORS_H
#define PV_SELECTORS_H

/* The host's rule: 12 to 15 are code and data of kernel and user, 6 to 8 TLS, 10 and 11 its own. */
#define KERNEL_CODE 0x61
#define KERNEL_DATA 0x69
#define KERNEL_DATA_RPL0 0x68
#define USER_CODE 0x73
#define USER_DATA 0x7B
#define USER_TLS 0x33 /* and 0x3B, 0x43 */
#define PERCPU 0xD8
#define CANARY 0xE0
#define GDT_ENTRIES 32

#define VECTOR_HYPERCALL 0x1F
#define VECTOR_IRQ0 0x20
#define VECTOR_SYSCALL 0x80

#endif
