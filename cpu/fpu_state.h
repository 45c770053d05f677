/* SPDX-License-Identifier: MIT */
/*
 * cpu/fpu_state.h - guest x87, MMX and SSE state, on hosts that can execute it.
 *
 *   1. struct fpu   where each piece of the state is
 *   2. Thunks       guest instructions as host subroutines (fpu_host_x86_64.S)
 *   3. The host's control registers
 *   4. Gates        may this instruction run now?  one test in the usual case
 *   5. Operands     guest memory in place
 *   6. The index
 *
 * x87 state is in one of two places.  IN_AREA: an FXSAVE image of ours.  IN_HOST: the host's own x87 unit,
 * with the guest's control word; then a guest x87 instruction is that instruction.  Unmasked exceptions do
 * no harm there: the x87 reports them at the *next* waiting instruction, and before there is one we look at
 * FSW.ES and take the state back into the area, where it stays until the guest has dealt with #MF.  So
 * every detail of unmasked responses is the processor's own.  (Invariant: IN_HOST implies FSW.ES == 0.)
 *
 * MMX works on the area.  IN_MMX: the area, in the state every MMX instruction makes (TOP 0, all tags valid).
 *
 * SSE registers are always in memory.  The guest's MXCSR is loaded into the host's with all exceptions
 * masked, because SIMD exceptions would strike at once; when the guest has unmasked some, each instruction
 * runs on a copy and its flags are looked at (run_exact()).
 */
#ifndef CPU_FPU_STATE_H
#define CPU_FPU_STATE_H

#include <string.h>
#include <xmmintrin.h>

#include "cpu/fpu.h"
#include "cpu/memory.h"

/* ---- 1. struct fpu -------------------------------------------------------------------------- */

/* An FXSAVE image (SDM vol. 1, table 10-2; the 32-bit form). */
enum {
	FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_FOP = 6, FX_FIP = 8, FX_FCS = 12, FX_FDP = 16, FX_FDS = 20,
	FX_MXCSR = 24, FX_MXCSR_MASK = 28, FX_ST = 32, FX_XMM = 160,
	FX_REGISTER = 16, /* bytes from one register to the next */
	FX_WRITTEN = 288, /* FXSAVE writes no more outside 64-bit mode */
};
enum {
	FSW_IE = 1u << 0, FSW_DE = 1u << 1, FSW_ZE = 1u << 2, FSW_OE = 1u << 3, FSW_UE = 1u << 4, FSW_PE = 1u << 5,
	FSW_EXCEPTIONS = 0x3F, FSW_SF = 1u << 6, FSW_ES = 1u << 7, FSW_B = 1u << 15,
	FSW_TOP_SHIFT = 11,
	FCW_MASKS = 0x3F, FCW_VALID = 0x1F3F, FCW_ONES = 0x0040, FCW_INIT = 0x037F,
	MXCSR_FLAGS = 0x003F, MXCSR_MASKS = 0x1F80, MXCSR_MASK_SHIFT = 7, MXCSR_FTZ = 0x8000,
	MXCSR_DAZ = 0x0040, MXCSR_VALID = 0xFFFF, MXCSR_INIT = 0x1F80,
	PRE_COMPUTATION = FSW_IE | FSW_DE | FSW_ZE,
};

union vec {
	uint8_t b[16];
	uint16_t w[8];
	uint32_t d[4];
	uint64_t q[2];
	__m128 ps;
};

enum fpu_where { IN_AREA, IN_HOST, IN_MMX };

struct fpu {
	/* The x87 part of an FXSAVE image; the rest belongs to the host instructions that fill it.  Not
	 * up to date IN_HOST.  FSW.ES and B always agree with the flags and masks. */
	_Alignas(64) uint8_t area[512];
	union vec xmm[8];
	_Alignas(64) uint8_t buf[512];  /* operands on their way; not the stack, for the sake of tail calls */
	union vec result;               /* of instructions that must not change their destination yet */
	uint32_t mxcsr;                 /* its flags: as of the last sync_mxcsr() */
	uint32_t host_mxcsr;            /* the host's own, while the guest's is loaded */
	/* Pointers of the last instruction that was not a control instruction: the guest's addresses. */
	uint32_t fip, fdp;
	uint16_t fcs, fds, fop;
	/* Reasons for the slow path; all 0 in the usual case. */
	uint8_t x87_slow;               /* not IN_HOST, or exceptions unmasked in FCW */
	uint8_t mmx_slow;               /* not IN_MMX */
	uint8_t sse_slow;               /* guest's MXCSR not loaded, or exceptions unmasked in it */
	uint8_t where;                  /* enum fpu_where */
	bool x87_unmasked, sse_unmasked, mxcsr_loaded;
};

static inline uint16_t area16(const struct fpu *f, unsigned at)
{
	uint16_t v;
	memcpy(&v, f->area + at, 2);
	return v;
}
static inline void set_area16(struct fpu *f, unsigned at, unsigned v)
{
	uint16_t h = (uint16_t)v;
	memcpy(f->area + at, &h, 2);
}
/* Valid in IN_MMX: mm registers are physical registers, TOP is 0. */
static inline uint8_t *mm(struct fpu *f, unsigned n) { return f->area + FX_ST + n * FX_REGISTER; }

/* ---- 2. Thunks ------------------------------------------------------------------------------ */

/* They end like handlers, with NEXT; run_thunk() gets back from one. */
typedef enum run thunk_fn(struct cpu *c, const struct insn *i, void *dst, const void *src);
typedef enum run x87_cmov_fn(struct cpu *c, const struct insn *i, uint32_t zero_if_move);
/* These return: the flags of a comparison. */
typedef uint64_t x87_flags_fn(void);
typedef uint64_t simd_flags_fn(struct cpu *c, const struct insn *i, void *dst, const void *src);

extern const uint8_t x87_reg_thunks[8 * 64][8], x87_mem_thunks[8 * 8][8], x87_flags_thunks[2 * 16][8],
	x87_cmov_thunks[8][16], simd_thunks[4 * 256][32], simd_cmp_thunks[4 * 8][32];

/* struct insn's `thunk`: where it is after the first of them, in steps of 8 bytes. */
static inline uint16_t thunk_number(const void *thunk)
{
	return (uint16_t)(((uintptr_t)thunk - (uintptr_t)x87_reg_thunks) / 8);
}
static inline const void *thunk_of(const struct insn *i)
{
	return (const void *)((uintptr_t)x87_reg_thunks + (uintptr_t)i->thunk * 8);
}

/* The last line of a handler: the thunk, then the next instruction. */
#define NEXT_AFTER(thunk, c, i, dst, src) return ((thunk_fn *)(thunk))((c), (i), (dst), (src))
/* The thunk alone: what comes next is a handler that returns. */
extern const struct insn fpu_stop[2];
static inline uint64_t run_thunk(struct cpu *c, const void *thunk, void *dst, const void *src)
{
	return ((simd_flags_fn *)thunk)(c, fpu_stop, dst, src);
}

void x87_host_load(void *area);
void x87_host_save(void *area);

/* ---- 3. The host's control registers -------------------------------------------------------- */

static inline uint16_t host_fsw(void)
{
	uint16_t v;
	__asm__ volatile("fnstsw %0" : "=a"(v));
	return v;
}
static inline uint16_t host_fcw(void)
{
	uint16_t v;
	__asm__ volatile("fnstcw %0" : "=m"(v));
	return v;
}
static inline void host_set_fcw(uint16_t v) { __asm__ volatile("fldcw %0" : : "m"(v)); }

/* ---- 4. Gates ------------------------------------------------------------------------------- */

static inline bool x87_ready(const struct cpu *c, const struct fpu *f)
{
	return likely(!((c->cr0 & (CR0_EM | CR0_TS)) | f->x87_slow));
}
static inline bool mmx_ready(const struct cpu *c, const struct fpu *f)
{
	return likely(!((c->cr0 & (CR0_EM | CR0_TS)) | f->mmx_slow));
}
/* Moves, logic, integers: MXCSR does not matter. */
static inline bool sse_ready(const struct cpu *c)
{
	return likely(!((c->cr0 & (CR0_EM | CR0_TS)) | (~c->cr4 & CR4_OSFXSR)));
}

/* The slow ways in: the exceptions of each class, in order (SDM vol. 3, 2.5 and 12.6).  true: go on.
 * false: return *why. */
bool x87_allowed(struct cpu *c, const struct insn *i, enum run *why);    /* #NM, #MF; then to IN_HOST */
bool x87_nowait_allowed(struct cpu *c, const struct insn *i, enum run *why); /* #NM */
bool x87_no_pending(struct cpu *c, const struct insn *i, enum run *why); /* #MF */
bool mmx_allowed(struct cpu *c, const struct insn *i, enum run *why);    /* #UD, #NM, #MF */
bool sse_allowed(struct cpu *c, const struct insn *i, enum run *why);    /* #UD, #NM */
bool sse_mmx_allowed(struct cpu *c, const struct insn *i, enum run *why); /* #UD, #NM, #MF */

#define REQUIRE(ready, allowed, c, i)                                                                  \
	do {                                                                                           \
		enum run why_;                                                                         \
		if (unlikely(!(ready)) && !allowed((c), (i), &why_))                                   \
			return why_;                                                                   \
	} while (0)
#define REQUIRE_SSE(c, i) REQUIRE(sse_ready(c), sse_allowed, c, i)

/* ---- 5. Operands ---------------------------------------------------------------------------- */

/* Guest memory itself when the TLB leads straight to it, else NULL. */
FORCE_INLINE uint8_t *direct(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes, bool write)
{
	if (unlikely(!(c->flat_segs >> i->seg & 1)))
		return NULL;
	const struct tlb_entry *t = tlb_at(c->tlb, offset);
	if (unlikely((write ? t->write : t->read) != tlb_page(offset, bytes)))
		return NULL;
	return tlb_host(t, offset);
}
/* A readable operand: in place, or its copy in f->buf; NULL after an exception.  Never of a size that a
 * device would see torn: more than 8 bytes are. */
const void *load_slow(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes);
bool store_slow(struct cpu *c, const struct insn *i, uint32_t offset, const void *from, unsigned bytes);
/* #AC, after the segment's own checks */
bool check_align(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes, bool write, unsigned align);
FORCE_INLINE const void *load_operand(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes)
{
	const void *p = direct(c, i, offset, bytes, false);
	return likely(p != NULL) ? p : load_slow(c, i, offset, bytes);
}
/* 16-byte SSE operands must be aligned: #GP(0) otherwise (SDM vol. 1, 10.4.1.1). */
/* #GP(0) unless 16-byte aligned, and the checks of the segment. */
bool aligned_linear(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes, bool write,
                    uint32_t *linear);
const void *load_vector_slow(struct cpu *c, const struct insn *i, uint32_t offset);
FORCE_INLINE const void *load_vector(struct cpu *c, const struct insn *i, uint32_t offset)
{
	const void *p = offset & 15 ? NULL : direct(c, i, offset, 16, false);
	return likely(p != NULL) ? p : load_vector_slow(c, i, offset);
}

/* ---- 6. The index --------------------------------------------------------------------------- */

/* fpu.c */
void x87_enter(struct fpu *f);         /* to IN_HOST; nothing may be pending */
void x87_sync(struct fpu *f);          /* the area is up to date; the state stays where it is */
void x87_evict(struct fpu *f);         /* to IN_AREA (or stays IN_MMX) */
void x87_discard(struct fpu *f);       /* to IN_AREA, whose contents are about to be rewritten */
void x87_area_changed(struct fpu *f);  /* not IN_HOST: FCW, FSW or more was rewritten; now IN_AREA */
void x87_init(struct fpu *f);          /* FNINIT */
void x87_control_changed(struct fpu *f); /* IN_HOST, FCW was loaded */
void x87_set_top(struct fpu *f, unsigned top); /* not IN_HOST: the registers stay, TOP moves */
void mmx_enter(struct fpu *f);
void mxcsr_enter(struct fpu *f);       /* the guest's MXCSR into the host's */
void mxcsr_sync(struct fpu *f);        /* f->mxcsr is up to date; stays loaded */
void mxcsr_set(struct fpu *f, uint32_t value);
void fpu_store_image(struct fpu *f, uint8_t *image);       /* the FX_WRITTEN bytes that FXSAVE writes */
void fpu_load_image(struct fpu *f, const uint8_t *image);  /* MXCSR already checked */

/* op_fpu.c, op_fpu_env.c: the handlers that select_fpu.c chooses from */
insn_fn op_x87_reg, op_x87_flags, op_x87_cmov, op_x87_nowait, op_x87_load, op_x87_load32, op_x87_load64,
	op_x87_store, op_x87_store32, op_x87_store64, op_fldcw, op_fnstcw, op_fnstsw, op_fnstsw_ax, op_fnclex, op_fninit, op_fwait;
insn_fn op_fnstenv, op_fldenv, op_fnsave, op_frstor, op_fxsave, op_fxrstor;
/* simd.h has those of op_simd*.c */

#endif
