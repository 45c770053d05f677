/* SPDX-License-Identifier: MIT */
/*
 * cpu/system.h - what the system half of the engine shares: segments, gates, tasks, stacks being built.
 *
 *   1. Modes and privilege
 *   2. Descriptors        names for their bits; where the index does not suffice
 *   3. Stacks             a stack that is not the processor's yet
 *   4. The index          functions of the system files that only they use
 *
 * Rules of these files.  Everything that can fault comes before everything that changes the processor
 * (guest memory below a stack pointer may have been written by then, as on hardware).  Helpers that return
 * bool record their fault with fault(); the error code's EXT bit is added in interrupt.c, for all of them.
 */
#ifndef CPU_SYSTEM_H
#define CPU_SYSTEM_H

#include "cpu/internal.h"
#include "cpu/flags.h"
#include "cpu/memory.h"

/* ---- 1. Modes and privilege ----------------------------------------------------------------- */

static inline bool in_v86(const struct cpu *c) { return (c->flags & FL_VM) != 0; }
/* Selectors are selectors: protection enabled and not virtual-8086. */
static inline bool in_protected(const struct cpu *c)
{
	return (c->cr0 & CR0_PE) && !(c->flags & FL_VM);
}
static inline unsigned io_privilege(const struct cpu *c) { return (c->flags & FL_IOPL) >> 12; }

/* ---- 2. Descriptors ------------------------------------------------------------------------- */

/* cpu_segment.attr (SDM vol. 3, 3.4.5). */
enum {
	ATTR_ACCESSED = 1u << 0, ATTR_WRITE = 1u << 1 /* data */, ATTR_READ = 1u << 1 /* code */,
	ATTR_DOWN = 1u << 2 /* data: expand-down */, ATTR_CONFORMING = 1u << 2 /* code */, ATTR_CODE = 1u << 3,
	ATTR_S = 1u << 4, ATTR_DPL = 3u << 5, ATTR_P = 1u << 7, ATTR_AVL = 1u << 12, ATTR_DB = 1u << 14,
	ATTR_G = 1u << 15,
};
/* Bits 8-12 of a descriptor's high word: S and type.  System types (SDM vol. 3, table 3-2). */
enum {
	SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INT16 = 6,
	SYS_TRAP16 = 7, SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INT32 = 14, SYS_TRAP32 = 15,
	SYS_BUSY = 2,      /* the bit that makes an available TSS a busy one */
	SYS_32BIT = 8,     /* the bit that makes a gate or a TSS a 32-bit one */
};
enum { DESC_S = 1u << 12, DESC_P = 1u << 15, DESC_ACCESSED = 1u << 8 };

static inline unsigned desc_type(uint32_t hi) { return (hi >> 8) & 0x1F; } /* S and type */
static inline unsigned desc_dpl(uint32_t hi) { return (hi >> 13) & 3; }
static inline bool desc_present(uint32_t hi) { return (hi & DESC_P) != 0; }
static inline bool desc_is_code(uint32_t hi) { return (hi & 0x1800) == 0x1800; }
static inline bool desc_is_conforming(uint32_t hi) { return (hi & 0x1C00) == 0x1C00; }
static inline bool desc_is_writable_data(uint32_t hi) { return (hi & 0x1A00) == 0x1200; }
static inline bool desc_is_readable(uint32_t hi) /* data, or code that may be read */
{
	return (hi & 0x1000) && (hi & 0x0A00) != 0x0800;
}

static inline uint16_t sel_error(uint16_t selector) { return selector & 0xFFFC; }
static inline bool sel_null(uint16_t selector) { return !(selector & 0xFFFC); }
static inline unsigned sel_rpl(uint16_t selector) { return selector & 3; }
enum { SEL_TI = 4 };

/* What the processor reads for itself - GDT, LDT, IDT, TSS - it may find in the window too. */
bool window_read(struct cpu *c, uint32_t linear, void *buf, unsigned bytes); /* host.c */
#define DEFINE_SYS_READ(bits, type)                                                                    \
	static inline bool sys_read##bits(struct cpu *c, uint32_t linear, type *value)                 \
	{                                                                                              \
		if (unlikely(linear >= c->window))                                                     \
			return window_read(c, linear, value, bits / 8);                                \
		return lin_read##bits(c, linear, 0, value);                                            \
	}
DEFINE_SYS_READ(16, uint16_t)
DEFINE_SYS_READ(32, uint32_t)
DEFINE_SYS_READ(64, uint64_t)

/* Linear address of the descriptor, if its table has it. */
static inline bool find_descriptor(const struct cpu *c, uint16_t selector, uint32_t *linear)
{
	uint32_t base = c->gdtr.base, limit = c->gdtr.limit;

	*linear = 0;
	if (selector & SEL_TI) {
		if (!c->ldtr.attr)
			return false;
		base = c->ldtr.base;
		limit = c->ldtr.limit;
	}
	if ((selector | 7u) > limit)
		return false;
	*linear = base + (selector & 0xFFF8u);
	return true;
}

/* Read it, with supervisor rights; `vector` with the selector when it is beyond its table's limit. */
static inline bool read_descriptor(struct cpu *c, uint16_t selector, uint32_t *lo, uint32_t *hi, enum vector vector)
{
	uint32_t linear;
	uint64_t both = 0;
	bool found = find_descriptor(c, selector, &linear);

	if (unlikely(!found || !sys_read64(c, linear, &both))) {
		*lo = *hi = 0;
		return found ? false : fault(c, vector, sel_error(selector));
	}
	*lo = (uint32_t)both;
	*hi = (uint32_t)(both >> 32);
	return true;
}

bool mark_accessed(struct cpu *c, uint16_t selector, uint32_t *hi); /* segment.c */
/* Set the accessed bit of the descriptor just read, in memory and in *hi, if it is clear. */
static inline bool write_accessed(struct cpu *c, uint16_t selector, uint32_t *hi)
{
	return likely(*hi & DESC_ACCESSED) || mark_accessed(c, selector, hi);
}

static inline unsigned attr_dpl(const struct cpu_segment *s) { return (s->attr & ATTR_DPL) >> 5; }

/* May [offset, offset + bytes) be accessed?  Limits only (SDM vol. 3, 5.3). */
static inline bool within_limit(const struct cpu_segment *s, uint32_t offset, uint32_t bytes)
{
	uint32_t last = offset + (bytes - 1);

	if (last < offset)
		return false;
	if ((s->attr & (ATTR_S | ATTR_CODE | ATTR_DOWN)) != (ATTR_S | ATTR_DOWN))
		return last <= s->limit;
	return offset > s->limit && (s->attr & ATTR_DB || last <= 0xFFFF);
}

/* ---- 3. Stacks ------------------------------------------------------------------------------ */

/* A stack being built: pushes go to memory, `sp` becomes ESP when everything has succeeded. */
struct stack {
	struct cpu_segment ss;
	uint32_t sp;
	uint32_t mask;   /* 0xFFFF or 0xFFFFFFFF by SS.B */
	unsigned access; /* 0 or UM_USER: the privilege it is written with */
};

static inline uint32_t stack_mask_of(const struct cpu_segment *ss)
{
	return ss->attr & ATTR_DB ? 0xFFFFFFFFu : 0xFFFFu;
}

/* A stack on segment `ss` at `esp`, for code of privilege `cpl`. */
static inline struct stack other_stack(const struct cpu_segment *ss, uint32_t esp, unsigned cpl)
{
	return (struct stack){ *ss, esp, stack_mask_of(ss), cpl == 3 ? UM_USER : 0 };
}
/* The current stack, with the current privilege. */
static inline struct stack current_stack(const struct cpu *c)
{
	return other_stack(&c->seg[CPU_SS], c->gpr[CPU_ESP], c->cpl);
}

/* Push one item of 2 or 4 bytes: memory faults only, the caller has asked stack_room(). */
static inline bool stack_push(struct cpu *c, struct stack *s, unsigned size, uint32_t value)
{
	uint32_t linear = s->ss.base + ((s->sp - size) & s->mask);

	if (size == 2 ? !lin_write16(c, linear, s->access, (uint16_t)value)
	              : !lin_write32(c, linear, s->access, value))
		return false;
	s->sp -= size;
	return true;
}

/* What ESP becomes: a 16-bit stack leaves the upper half alone. */
static inline uint32_t stack_pointer(const struct cpu *c, const struct stack *s)
{
	return (c->gpr[CPU_ESP] & ~s->mask) | (s->sp & s->mask);
}

/* The `n`th item (0 = top) of the current stack, #SS(0) beyond it. */
static inline bool stack_peek(struct cpu *c, unsigned n, unsigned size, uint32_t *value)
{
	uint32_t offset = (c->gpr[CPU_ESP] + n * size) & stack_mask_of(&c->seg[CPU_SS]);
	uint16_t half;

	if (size == 4)
		return seg_read32(c, CPU_SS, offset, value);
	if (!seg_read16(c, CPU_SS, offset, &half))
		return false;
	*value = half;
	return true;
}

static inline void stack_drop(struct cpu *c, uint32_t bytes)
{
	uint32_t mask = stack_mask_of(&c->seg[CPU_SS]), esp = c->gpr[CPU_ESP];

	c->gpr[CPU_ESP] = (esp & ~mask) | ((esp + bytes) & mask);
}

/* ---- 4. The index --------------------------------------------------------------------------- */

/* stack.c */
/* Is there room for `count` items of `size` bytes?  Records nothing. */
bool stack_room(const struct stack *s, unsigned count, unsigned size);

/* segment.c */
/* The caller calls mode_changed(). */
static inline void set_cpl(struct cpu *c, unsigned cpl) { c->cpl = (uint8_t)cpl; }
/* CS and CPL, everything checked. The caller calls mode_changed(). */
void load_cs(struct cpu *c, uint16_t selector, uint32_t lo, uint32_t hi, unsigned cpl);
/* The protection checks of loading a segment register, and what it becomes (SDM vol. 2, MOV; vol. 3, 5.6-5.7).
 * `vector`: #GP, or #TS where a TSS gave the selector. */
bool check_data_segment(struct cpu *c, uint16_t selector, enum vector vector, struct cpu_segment *out);
bool check_stack_segment(struct cpu *c, uint16_t selector, unsigned cpl, enum vector vector,
                         struct cpu_segment *out);
void drop_inner_segments(struct cpu *c);
insn_fn op_lar, op_lsl, op_verr, op_verw, op_arpl, op_mov_to_sreg, op_mov_from_sreg, op_push_sreg,
	op_pop_sreg, op_load_far_pointer;

/* far.c */
insn_fn op_far_direct_jump, op_far_direct_call, op_far_jump, op_far_call, op_far_return, op_iret;

/* task.c */
/* SSn:ESPn from the current TSS for privilege `cpl`; #TS as SDM vol. 3, 6.12.1. */
bool read_inner_stack(struct cpu *c, unsigned cpl, uint16_t *ss, uint32_t *esp);

/* control.c */
insn_fn op_mov_to_cr, op_mov_from_cr, op_lmsw, op_smsw, op_clts, op_lgdt, op_lidt, op_sgdt, op_sidt, op_lldt,
	op_sldt, op_ltr, op_str, op_invlpg, op_cache_control;
/* Load CR3 as a task switch or MOV does. */
void load_cr3(struct cpu *c, uint32_t value);

/* msr.c */
insn_fn op_rdmsr, op_wrmsr, op_cpuid, op_rdtsc, op_rdpmc, op_sysenter, op_sysexit;

/* debug.c */
insn_fn op_mov_to_dr, op_mov_from_dr;
enum { DEBUG_EXECUTE = 0, DEBUG_WRITE = 1, DEBUG_IO = 2, DEBUG_READ = 3 }; /* debug_match()'s type */
enum { DR6_BD = 1u << 13, DR6_BS = 1u << 14, DR6_BT = 1u << 15, DR7_GD = 1u << 13 };

/* io.c */
insn_fn op_in, op_out, op_ins, op_outs;

/* sysflags.c */
insn_fn op_pushf, op_popf, op_cli, op_sti, op_hlt, op_int, op_int1, op_int3, op_hypercall;

#endif
