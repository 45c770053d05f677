/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/checkbench.h - a rig with checks attached, and guest code written one instruction at a time.
 *
 * Each function that writes an instruction returns its address, to be compared with what is reported.  The guest runs in
 * ring 0 with paging as rig_paging() has it: the first 4 MiB 1:1, its tables within its reach.
 */
#ifndef TESTS_CHECKBENCH_H
#define TESTS_CHECKBENCH_H

#include "scope/check_internal.h"
#include "tests/lib/rig.h"

#define BENCH_CODE 32768u
struct bench {
	struct rig *rig;
	struct check *check;
	uint8_t code[BENCH_CODE];
	uint32_t at;
	const char *stopped;   /* CHECK_FATAL's word */
};

/* `what`: enum check_bit; `cr4`: bits more. */
void bench_start(struct bench *b, unsigned what, uint32_t cr4, bool paravirtual);
void bench_end(struct bench *b);

/* The address of a page's entry in the first table; of the directory's. */
#define BENCH_PTE(linear) (RIG_TABLES + 0x1000 + 4 * ((linear) >> 12 & 1023))
#define BENCH_PDE(linear) (RIG_TABLES + 4 * ((linear) >> 22))
enum { ENTRY = 7 }; /* present, writable, user */

uint32_t emit(struct bench *b, const void *bytes, size_t count);
#define EMIT(b, ...) emit(b, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
uint32_t emit_store(struct bench *b, uint32_t linear, uint32_t value);  /* movl $value, linear */
uint32_t emit_load(struct bench *b, uint32_t linear);                   /* mov linear, %eax */
uint32_t emit_save(struct bench *b, uint32_t linear);                   /* mov %eax, linear */
uint32_t emit_invlpg(struct bench *b, uint32_t linear);
void emit_reload_cr3(struct bench *b);
uint32_t emit_cr3(struct bench *b, uint32_t cr3);
void emit_cr0(struct bench *b, uint32_t set, uint32_t clear);
void emit_cr4(struct bench *b, uint32_t set, uint32_t clear);

/* A task of ring 0 at `tss`, to be jumped to by the selector RIG_FREE: its CR3 and EIP, flat segments, all else 0. */
void bench_task(struct bench *b, uint32_t tss, uint32_t cr3, uint32_t eip);

/* HLT after what was written, and run it, in this ring; the next instruction is the first again. */
void bench_run(struct bench *b, unsigned ring);
/* Reported so far; the one that there is. */
unsigned bench_count(const struct bench *b);
const struct finding *bench_only(const struct bench *b);

#endif
