/* SPDX-License-Identifier: MIT */
/*
 * direct/host.c - what the direct engine needs of its host, found out at run time.
 *
 *   1. The processor   BMI2 (PEXT, SARX: flags untouched), LAHF in 64-bit mode
 *   2. GS.base         by WRGSBASE where the kernel lets programs use it
 */
#include "direct/host.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- 1. The processor ----------------------------------------------------------------------- */

static bool has_bmi2(void)
{
	unsigned a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b & bit_BMI2;
}

static bool has_lahf(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000001u, &a, &b, &c, &d) && c & bit_LAHF_LM;
}

const char *host_lacks(void)
{
	if (!has_bmi2())
		return "the direct engine needs a processor with BMI2";
	if (!has_lahf())
		return "the direct engine needs a processor with LAHF in 64-bit mode";
	return NULL;
}

/* ---- 2. GS.base ----------------------------------------------------------------------------- */

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE (1u << 1)
#endif

bool host_has_wrgsbase(void) { return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE; }

void host_set_gs_base(uintptr_t base, bool wrgsbase)
{
	if (wrgsbase)
		__asm__ volatile("wrgsbase %0" : : "r"(base));
	else
		syscall(SYS_arch_prctl, ARCH_SET_GS, base);
}
