/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/rig.h - a processor with flat RAM and nothing else, for tests of cpu/.
 *
 *   1. Where things are     RIG_*
 *   2. Making               rig_new(), rig_free()
 *   3. Modes                rig_flat(), rig_real(), rig_paging()
 *   4. Running              rig_load(), rig_run(), rig_vector()
 *
 * Code ends with HLT.  Every vector leads to a HLT of its own, so an exception ends the run too and
 * rig_vector() tells which it was.
 */
#ifndef TESTS_RIG_H
#define TESTS_RIG_H

#include "cpu/internal.h"

/* ---- 1. Where things are (guest-physical = linear unless rig_paging()) ----------------------- */

#define RIG_RAM (8u << 20)
#define RIG_GDT 0x1000u
#define RIG_IDT 0x1800u
#define RIG_TSS 0x2000u
#define RIG_HANDLERS 0x3000u    /* of vector v: RIG_HANDLERS + 16 * v */
#define RIG_STACK0 0x9000u      /* ESP0 of the TSS */
#define RIG_CODE 0x10000u
#define RIG_DATA 0x20000u
#define RIG_STACK 0x40000u      /* ESP after rig_flat() */
#define RIG_TABLES 0x100000u    /* page directory, then page tables */
#define RIG_MMIO 0xF0000000u    /* and above: memory-mapped I/O */

enum { RIG_CODE0 = 0x08, RIG_DATA0 = 0x10, RIG_CODE3 = 0x1B, RIG_DATA3 = 0x23, RIG_TR = 0x28,
       RIG_FREE = 0x30 /* the first descriptor that is a test's own */ };

struct rig {
	struct cpu *cpu;
	struct um *um;
	void *um_memory;
	uint8_t *ram;
	uint32_t port_value;                   /* what IN reads */
	uint16_t port;                         /* the last OUT */
	unsigned port_bytes, ports_written;
	uint32_t port_written;
	uint64_t mmio_value;                   /* what devices' memory reads as */
	um_gpa mmio_gpa;                       /* the last access */
	unsigned mmio_bytes, mmio_reads, mmio_writes;
	uint64_t mmio_written;
	int irq_vector;                        /* what INTA answers; -1: spurious */
	uint64_t tsc;
	void (*event)(void *user, const struct um_event *event); /* the core's, or NULL */
	void *event_user;
};

/* ---- 2. Making ------------------------------------------------------------------------------ */

/* `options`: enum cpu_opt.  The processor is in rig_flat(rig, 0). */
struct rig *rig_new(uint32_t options);
struct rig *rig_new_with(uint32_t options, uint32_t um_options); /* enum um_opt */
void rig_free(struct rig *rig);

/* ---- 3. Modes ------------------------------------------------------------------------------- */

/* 32-bit protected mode, flat segments, ring 0 or 3, GDT, IDT and TSS in place, no paging. */
void rig_flat(struct rig *rig, unsigned ring);
/* Real mode: CS = RIG_CODE >> 4, DS = ES = RIG_DATA >> 4, SS:SP = 0x3000:0xFFFE; vectors to HLTs. */
void rig_real(struct rig *rig);
/* Switch paging on: the first 4 MiB 1:1 by 4 KiB pages (present, writable, user). */
void rig_paging(struct rig *rig);
/* The guest's entry for a linear address below 4 MiB; change it, then flush or reload CR3. */
uint32_t *rig_pte(struct rig *rig, uint32_t linear);

/* ---- 4. Running ----------------------------------------------------------------------------- */

/* Bytes at RIG_CODE, EIP there (offset 0 of CS in real mode). */
void rig_load(struct rig *rig, const void *code, size_t bytes);
#define RIG_LOAD(rig, ...) rig_load(rig, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
/* Until HLT, shutdown or the budget; the exit. */
enum cpu_exit rig_run(struct rig *rig, uint64_t budget);
/* The vector whose handler the run ended in, or -1. */
int rig_vector(const struct rig *rig);
uint32_t rig_word(const struct rig *rig, uint32_t physical);
void rig_set_word(struct rig *rig, uint32_t physical, uint32_t value);

#endif
