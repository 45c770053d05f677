/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/probes.h - the instructions of probes.S and the pieces of user.S, by name.
 *
 *   1. Ring 1
 *   2. Ring 3
 */
#ifndef PV_PROBES_H
#define PV_PROBES_H

#include "guests/pv/pv.h"

#pragma GCC visibility push(hidden)

/* ---- 1. Ring 1 ------------------------------------------------------------------------------ */

#define PROBE(name) extern char k_##name[], k_##name##_at[]
PROBE(read);
PROBE(write);
PROBE(ud);
PROBE(int3);
PROBE(divide);
PROBE(syscall);
PROBE(load_es);
PROBE(fs_read);
PROBE(gs_read);
PROBE(rdmsr);
PROBE(wrmsr);
PROBE(read_cr0);
PROBE(read_cr3);
PROBE(write_cr3);
PROBE(read_dr7);
PROBE(clts);
PROBE(invlpg);
PROBE(wbinvd);
PROBE(lgdt);
PROBE(ltr);
PROBE(insb);
PROBE(sti);
PROBE(hlt);
PROBE(cli);
PROBE(fpu);
PROBE(sse);
#undef PROBE

typedef uint32_t port_probe(uint32_t eax, uint32_t edx);
port_probe k_in8_imm, k_in16_imm, k_in32_imm, k_in8_dx, k_in16_dx, k_in32_dx;
port_probe k_out8_imm, k_out16_imm, k_out32_imm, k_out8_dx, k_out16_dx, k_out32_dx;
uint32_t k_popf(uint32_t flags);
uint32_t k_lar(uint32_t selector);
void k_on_stack(void (*function)(void), uint32_t esp);
uint32_t noirq_wait(uint64_t tsc); /* timer interrupts until then */

#define NO_FAULT 0xFFFFFFFFu
/* One access of ring 1: the error code of its page fault, or NO_FAULT. */
uint32_t kernel_read(uint32_t va);
uint32_t kernel_write(uint32_t va, uint32_t value);
/* One access of ring 3. */
uint32_t user_read(struct process *p, uint32_t va);
uint32_t user_write(struct process *p, uint32_t va, uint32_t value);
/* What is there, by the kernel's eyes through the table in force. */
static inline volatile uint32_t *word_at(uint32_t va)
{
	__asm__ volatile("" : : : "memory"); /* it may fault, and the handler look at anything */
	return (volatile uint32_t *)va;
}

/* ---- 2. Ring 3 ------------------------------------------------------------------------------ */

extern const char u_nothing[], u_read[], u_write[], u_jump[], u_sum[], u_fill[], u_add[];
extern const char u_int3[], u_into[], u_int1f[], u_vmcall[], u_int20[], u_int0e[], u_int2[], u_intff[];
extern const char u_divide[], u_ud[], u_in[], u_cli[], u_hlt[], u_step[], u_step_end[], u_popf[];
extern const char u_spin[], u_spin_memory[], u_flags[];
extern const char u_gs[], u_gs_kept[], u_load_gs[], u_fpu_load[], u_fpu_check[];

#pragma GCC visibility pop
#endif
