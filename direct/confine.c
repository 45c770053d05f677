/* SPDX-License-Identifier: MIT */
/*
 * direct/confine.c - translated code makes no system call: the host's kernel sees to it.
 *
 *   1. The filter     where a call comes from, and by which way
 *   2. For good       the cache's addresses are nobody else's afterwards
 *
 * No translation contains a way into the kernel (verify.c).  Should one all the same, or should a jump go wrong in the
 * cache, the process ends there and then.  A filter holds for all threads, cannot be taken back, and is looked at at
 * each system call of the process: some 50 ns, of which translated code makes none.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "direct/internal.h"

/* Older headers have no name for what older kernels refuse. */
#ifndef SECCOMP_RET_KILL_PROCESS
#define SECCOMP_RET_KILL_PROCESS 0x80000000u
#endif
#ifndef SECCOMP_FILTER_FLAG_SPEC_ALLOW
#define SECCOMP_FILTER_FLAG_SPEC_ALLOW (1UL << 2)
#endif

/* ---- 1. The filter -------------------------------------------------------------------------- */

#define LOAD(field, half) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field) + 4 * (half))
#define IF(test, value, yes, no) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), (yes), (no))
#define END(how) BPF_STMT(BPF_RET | BPF_K, (how))

/* Ends the process for a call from [first, last], or of another architecture (int $0x80 is i386's).  All addresses have
 * one upper half, or two: the range is smaller than 4 GiB. */
static bool install(uint64_t first, uint64_t last)
{
	const uint32_t high_first = (uint32_t)(first >> 32), high_last = (uint32_t)(last >> 32);
	const uint32_t low_first = (uint32_t)first, low_last = (uint32_t)last;
	struct sock_filter code[] = {
		/* 0 */ LOAD(arch, 0),
		/* 1 */ IF(BPF_JEQ, AUDIT_ARCH_X86_64, 0, 9),
		/* 2 */ LOAD(instruction_pointer, 1),
		/* 3 */ IF(BPF_JEQ, high_first, 0, 3),
		/* 4 */ LOAD(instruction_pointer, 0),
		/* 5 */ IF(BPF_JGE, low_first, 0, 6),
		/* 6 */ IF(BPF_JGT, high_first == high_last ? low_last : UINT32_MAX, 5, 4),
		/* 7 */ LOAD(instruction_pointer, 1),
		/* 8 */ IF(BPF_JEQ, high_last, 0, 3),
		/* 9 */ LOAD(instruction_pointer, 0),
		/* 10 */ IF(BPF_JGT, low_last, 1, 0),
		/* 11 */ END(SECCOMP_RET_KILL_PROCESS),
		/* 12 */ END(SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };
	const unsigned long all = SECCOMP_FILTER_FLAG_TSYNC;

	/* Some kernels would forbid the processor to speculate on memory as well: much slower, and no matter here. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all | SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) == 0 ||
	       (errno == EINVAL && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, all, &filter) == 0);
}

/* ---- 2. For good ---------------------------------------------------------------------------- */

const char *direct_confine(struct direct *d)
{
	uint64_t code = (uint64_t)(uintptr_t)d->code;

	if (d->confined)
		return NULL;
	/* (The kernel asks that of whoever is not root.) */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return "the host has no PR_SET_NO_NEW_PRIVS";
	/* The address is that after the instruction. */
	if (!install(code, code + CACHE_BYTES))
		return errno == EINVAL || errno == ENOSYS ? "the host has no seccomp filters"
		                                          : "the host allows no seccomp filter";
	d->confined = true;
	return NULL;
}

/* Whatever came to lie where the cache was could make no system call. */
void keep_addresses(uint8_t *code)
{
	mmap(code, CACHE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}
