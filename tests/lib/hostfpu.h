/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/hostfpu.h - can this host's floating-point unit be the guest's?
 *
 * Not at all off x86-64, and under valgrind only roughly: it computes x87 numbers in 64 bits and has neither
 * exception flags nor MXCSR's rounding.
 */
#ifndef TESTS_LIB_HOSTFPU_H
#define TESTS_LIB_HOSTFPU_H

#include <stdbool.h>
#include <stdint.h>

/* The real thing: exception flags work. */
static inline bool host_fpu_is_exact(void)
{
#if defined(__x86_64__)
	uint16_t status;

	__asm__ volatile("fninit; fldz; fdivr %%st, %%st; fnstsw %0; fninit" : "=m"(status));
	return status & 1; /* 0/0 is invalid */
#else
	return false;
#endif
}

#endif
