/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/sys.h - tests of the processor's system half: descriptors, gates, rings, and what was delivered.
 *
 *   1. Making         sys_new(), sys_free(): a rig whose every landing place is known
 *   2. Tables         descriptors, gates, task states
 *   3. Running        one instruction from any ring; sys_ok(), sys_fault()
 *
 * Code ends with VMCALL, which stops the run in any ring and mode.  Every vector's handler is one, too.
 */
#ifndef TESTS_SYS_H
#define TESTS_SYS_H

#include "tests/lib/rig.h"

/* ---- 1. Making ------------------------------------------------------------------------------ */

struct sys_event {
	unsigned vector;
	bool software, has_error;
	uint32_t error;
};
enum { SYS_EVENTS = 32 };

struct sys {
	struct rig *rig;
	struct cpu *cpu;
	struct cpu_state before; /* when sys_run() began */
	struct cpu_state first;  /* when the first event was about to be delivered */
	struct cpu_state flat;   /* ring 0, as sys_new() left it */
	uint8_t tables[RIG_HANDLERS + 4096 - RIG_IDT]; /* IDT, TSS and handlers, as they should be */
	unsigned events;
	struct sys_event event[SYS_EVENTS];
	bool stopped;            /* by VMCALL */
	enum cpu_exit exit;
};

struct sys *sys_new(uint32_t options);
void sys_free(struct sys *s);

/* ---- 2. Tables ------------------------------------------------------------------------------ */

/* Flat segments of each ring, and room for a test's own. */
#define SYS_LDT 0x6000u
#define SYS_LDT_LIMIT 0xFFu
#define SYS_STACKS 0xA000u /* ESP of ring r in the TSS: SYS_STACKS + 0x1000 * r + 0x1000 */
#define SYS_TSS2 0x2800u
#define SYS_TARGET 0x30000u /* where far transfers of tests lead: VMCALL */
enum { SYS_OWN = 0x100, SYS_LDTR = 0xF0, SYS_TI = 4 };
static inline uint16_t sys_code(unsigned ring) { return (uint16_t)(0x40 + ring * 16 + ring); }
static inline uint16_t sys_data(unsigned ring) { return (uint16_t)(0x48 + ring * 16 + ring); }

enum { SYS_P = 0x80, SYS_S = 0x10, SYS_DB = 0x4000, SYS_G = 0x8000 };
enum { SYS_RW_DATA = 0x13, SYS_XR_CODE = 0x1B, SYS_CONFORMING = 0x1F };

/* attr as in struct cpu_segment; limit in the descriptor's own unit.  Selectors with TI go to the LDT. */
void sys_descriptor(struct sys *s, uint16_t selector, uint32_t base, uint32_t limit, unsigned attr);
uint8_t sys_access_byte(const struct sys *s, uint16_t selector);
void sys_gate(struct sys *s, uint16_t selector, unsigned attr, uint16_t target, uint32_t offset, unsigned params);
void sys_idt(struct sys *s, unsigned vector, unsigned attr, uint16_t target, uint32_t offset);
/* Bytes of guest memory. */
void sys_put16(struct sys *s, uint32_t at, unsigned value);
uint32_t sys_get16(const struct sys *s, uint32_t at);
void sys_put_code(struct sys *s, uint32_t at, const void *bytes, size_t count);

/* ---- 3. Running ----------------------------------------------------------------------------- */

/* Flat protected mode in this ring, nothing delivered yet. */
void sys_ring(struct sys *s, unsigned ring);
/* Virtual-8086 mode: CS:IP = RIG_CODE, SS:SP = 3000:FFF0, DS = ES = RIG_DATA >> 4. */
void sys_v86(struct sys *s, unsigned iopl);
void sys_real(struct sys *s);
/* One instruction at RIG_CODE, then VMCALL; runs until it or a shutdown. */
void sys_run(struct sys *s, const void *code, size_t bytes);
#define SYS_RUN(s, ...) sys_run(s, (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* It ran and stopped where a VMCALL stands (`at`: its address; 0: behind the instruction). */
#define sys_ok(s, at) sys_check_ok((s), (at), __FILE__, __LINE__)
/* The first event was this fault: registers untouched when it was delivered, and its handler was reached. */
#define sys_fault(s, vector, error) sys_check_fault((s), (vector), (error), __FILE__, __LINE__)
void sys_check_ok(struct sys *s, uint32_t at, const char *file, int line);
void sys_check_fault(struct sys *s, unsigned vector, uint32_t error, const char *file, int line);
bool get_zf(struct cpu *c);
void sys_set_flags(struct sys *s, uint32_t set); /* ... in EFLAGS, before the run */
/* The vector whose handler it stopped in, -1: none. */
int sys_vector(const struct sys *s);

#endif
