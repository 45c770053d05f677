/* SPDX-License-Identifier: MIT */
/*
 * cpu/fpu.c - where the guest's floating-point state is, and who may use it now.
 *
 *   1. Life        fpu_new(), fpu_free(), fpu_reset(), fpu_features()
 *   2. x87         between the area and the host's registers
 *   3. MMX         the state MMX instructions make
 *   4. MXCSR       between us and the host
 *   5. Images      FXSAVE form, for FXSAVE, FXRSTOR and the embedder
 *   6. Gates       #UD, #NM, #MF before an instruction
 *   7. Thunks      how to come back from one
 *   8. Operands    the slow ways to memory
 */
#include <stdlib.h>

#include "cpu/fpu_state.h"

/* ---- 1. Life -------------------------------------------------------------------------------- */

bool fpu_new(struct cpu *c)
{
	size_t bytes = (sizeof(*c->fpu) + 63) & ~(size_t)63;

	c->fpu = aligned_alloc(64, bytes);
	if (!c->fpu)
		return false;
	memset(c->fpu, 0, bytes);
	fpu_reset(c);
	return true;
}

void fpu_free(struct cpu *c)
{
	free(c->fpu);
	c->fpu = NULL;
}

/* The state after RESET (SDM vol. 3, table 9-1): not that of FNINIT. */
void fpu_reset(struct cpu *c)
{
	struct fpu *f = c->fpu;

	fpu_leave(c);
	memset(f->area, 0, sizeof(f->area));
	memset(f->xmm, 0, sizeof(f->xmm));
	set_area16(f, FX_FCW, FCW_ONES);
	f->area[FX_FTW] = 0xFF;
	f->fip = f->fdp = 0;
	f->fcs = f->fds = f->fop = 0;
	x87_area_changed(f);
	mxcsr_set(f, MXCSR_INIT);
}

uint32_t fpu_features(void)
{
	return FEATURE_FPU | FEATURE_CLFSH | FEATURE_MMX | FEATURE_FXSR | FEATURE_SSE | FEATURE_SSE2;
}

void fpu_leave(struct cpu *c)
{
	struct fpu *f = c->fpu;

	x87_evict(f);
	if (f->mxcsr_loaded) {
		mxcsr_sync(f);
		_mm_setcsr(f->host_mxcsr);
		f->mxcsr_loaded = false;
		f->sse_slow = 1;
	}
}

/* ---- 2. x87 --------------------------------------------------------------------------------- */

static void set_where(struct fpu *f, enum fpu_where where)
{
	f->where = (uint8_t)where;
	f->x87_slow = where != IN_HOST || f->x87_unmasked;
	f->mmx_slow = where != IN_MMX;
}

static bool any_unmasked(unsigned fcw) { return (~fcw & FCW_MASKS) != 0; }

void x87_enter(struct fpu *f)
{
	if (f->where == IN_HOST)
		return;
	f->x87_unmasked = any_unmasked(area16(f, FX_FCW));
	x87_host_load(f->area);
	set_where(f, IN_HOST);
}

void x87_sync(struct fpu *f)
{
	if (f->where == IN_HOST)
		__asm__ volatile("fxsave %0" : "=m"(f->area));
}

void x87_evict(struct fpu *f)
{
	if (f->where != IN_HOST)
		return;
	x87_host_save(f->area);
	set_where(f, IN_AREA);
}

void x87_discard(struct fpu *f)
{
	if (f->where == IN_HOST)
		__asm__ volatile("fninit");
	set_where(f, IN_AREA);
}

/* FSW.ES (and B, its copy) is not a bit of its own: it says that a flag is set whose mask is not. */
void x87_area_changed(struct fpu *f)
{
	unsigned fcw = (area16(f, FX_FCW) & FCW_VALID) | FCW_ONES, fsw = area16(f, FX_FSW);

	fsw &= ~(unsigned)(FSW_ES | FSW_B);
	if (fsw & ~fcw & FSW_EXCEPTIONS)
		fsw |= FSW_ES | FSW_B;
	set_area16(f, FX_FCW, fcw);
	set_area16(f, FX_FSW, fsw);
	set_where(f, IN_AREA);
}

void x87_init(struct fpu *f)
{
	f->fip = f->fdp = 0;
	f->fcs = f->fds = f->fop = 0;
	if (f->where == IN_HOST) {
		__asm__ volatile("fninit");
		x87_control_changed(f);
		return;
	}
	x87_set_top(f, 0);
	set_area16(f, FX_FCW, FCW_INIT);
	set_area16(f, FX_FSW, 0);
	f->area[FX_FTW] = 0;
	x87_area_changed(f);
}

/* The masks may be others now, and flags that were harmless may be pending exceptions. */
void x87_control_changed(struct fpu *f)
{
	f->x87_unmasked = any_unmasked(host_fcw());
	set_where(f, IN_HOST);
	if (f->x87_unmasked && host_fsw() & FSW_ES)
		x87_evict(f);
}

/* The area has the registers in the order of the stack: moving TOP renames them. */
void x87_set_top(struct fpu *f, unsigned top)
{
	unsigned fsw = area16(f, FX_FSW), old = fsw >> FSW_TOP_SHIFT & 7;
	uint8_t was[8][FX_REGISTER];

	if (top == old)
		return;
	memcpy(was, f->area + FX_ST, sizeof(was));
	for (unsigned n = 0; n < 8; n++)
		memcpy(f->area + FX_ST + n * FX_REGISTER, was[(n + top - old) & 7], FX_REGISTER);
	set_area16(f, FX_FSW, (fsw & ~(7u << FSW_TOP_SHIFT)) | top << FSW_TOP_SHIFT);
}

/* ---- 3. MMX ------------------------------------------------------------------------------------ */

/* SDM vol. 3, 12.2: TOP 0, all registers valid. */
void mmx_enter(struct fpu *f)
{
	x87_evict(f);
	x87_set_top(f, 0);
	f->area[FX_FTW] = 0xFF;
	set_where(f, IN_MMX);
}

/* ---- 4. MXCSR ------------------------------------------------------------------------------- */

void mxcsr_enter(struct fpu *f)
{
	if (f->mxcsr_loaded)
		return;
	f->host_mxcsr = _mm_getcsr();
	f->mxcsr_loaded = true;
	mxcsr_set(f, f->mxcsr);
}

void mxcsr_sync(struct fpu *f)
{
	if (f->mxcsr_loaded)
		f->mxcsr = (f->mxcsr & ~(uint32_t)MXCSR_FLAGS) | (_mm_getcsr() & MXCSR_FLAGS);
}

void mxcsr_set(struct fpu *f, uint32_t value)
{
	f->mxcsr = value;
	f->sse_unmasked = (~value & MXCSR_MASKS) != 0;
	if (f->mxcsr_loaded)
		_mm_setcsr(value | MXCSR_MASKS);
	f->sse_slow = !f->mxcsr_loaded || f->sse_unmasked;
}

/* ---- 5. Images ------------------------------------------------------------------------------ */

void fpu_store_image(struct fpu *f, uint8_t *image)
{
	uint32_t mask = MXCSR_VALID;

	x87_sync(f);
	mxcsr_sync(f);
	memcpy(image, f->area, FX_XMM);
	image[FX_FTW + 1] = 0;
	memcpy(image + FX_FOP, &f->fop, 2);
	memcpy(image + FX_FIP, &f->fip, 4);
	memset(image + FX_FCS, 0, 4);
	memcpy(image + FX_FCS, &f->fcs, 2);
	memcpy(image + FX_FDP, &f->fdp, 4);
	memset(image + FX_FDS, 0, 4);
	memcpy(image + FX_FDS, &f->fds, 2);
	memcpy(image + FX_MXCSR, &f->mxcsr, 4);
	memcpy(image + FX_MXCSR_MASK, &mask, 4);
	memcpy(image + FX_XMM, f->xmm, sizeof(f->xmm));
}

void fpu_load_image(struct fpu *f, const uint8_t *image)
{
	uint32_t mxcsr;

	x87_discard(f);
	memcpy(f->area, image, FX_XMM);
	/* Bits 80-127 of a register do not exist. */
	for (unsigned n = 0; n < 8; n++)
		memset(f->area + FX_ST + n * FX_REGISTER + 10, 0, FX_REGISTER - 10);
	memcpy(&f->fop, image + FX_FOP, 2);
	f->fop &= 0x7FF;
	memcpy(&f->fip, image + FX_FIP, 4);
	memcpy(&f->fcs, image + FX_FCS, 2);
	memcpy(&f->fdp, image + FX_FDP, 4);
	memcpy(&f->fds, image + FX_FDS, 2);
	memcpy(&mxcsr, image + FX_MXCSR, 4);
	memcpy(f->xmm, image + FX_XMM, sizeof(f->xmm));
	x87_area_changed(f);
	mxcsr_set(f, mxcsr & MXCSR_VALID);
}

void fpu_save(struct cpu *c, uint8_t image[512])
{
	memset(image, 0, 512);
	fpu_store_image(c->fpu, image);
}

void fpu_load(struct cpu *c, const uint8_t image[512]) { fpu_load_image(c->fpu, image); }

/* ---- 6. Gates ------------------------------------------------------------------------------- */

static bool refuse(struct cpu *c, const struct insn *i, enum vector vector, enum run *why)
{
	*why = raise(c, i, vector);
	return false;
}

bool x87_nowait_allowed(struct cpu *c, const struct insn *i, enum run *why)
{
	if (c->cr0 & (CR0_EM | CR0_TS))
		return refuse(c, i, EXC_NM, why);
	return true;
}

/* With CR0.NE clear the exception goes out through FERR# and comes back as IRQ 13, before this instruction
 * is tried again (SDM vol. 1, 8.7.2).  A machine without that wire gets #MF. */
bool x87_no_pending(struct cpu *c, const struct insn *i, enum run *why)
{
	struct fpu *f = c->fpu;

	if (f->where == IN_HOST || !(area16(f, FX_FSW) & FSW_ES))
		return true;
	if (c->cr0 & CR0_NE || !c->bus.ferr)
		return refuse(c, i, EXC_MF, why);
	fpu_leave(c);
	c->bus.ferr(c->bus.user);
	c->eip = insn_eip(c, i);
	c->budget -= i->count;
	*why = RUN_BLOCK;
	return false;
}

bool x87_allowed(struct cpu *c, const struct insn *i, enum run *why)
{
	if (!x87_nowait_allowed(c, i, why) || !x87_no_pending(c, i, why))
		return false;
	x87_enter(c->fpu);
	return true;
}

bool mmx_allowed(struct cpu *c, const struct insn *i, enum run *why)
{
	if (c->cr0 & CR0_EM)
		return refuse(c, i, EXC_UD, why);
	return x87_nowait_allowed(c, i, why) && x87_no_pending(c, i, why);
}

bool sse_allowed(struct cpu *c, const struct insn *i, enum run *why)
{
	if (c->cr0 & CR0_EM || !(c->cr4 & CR4_OSFXSR))
		return refuse(c, i, EXC_UD, why);
	return x87_nowait_allowed(c, i, why);
}

/* Between XMM and MMX registers: both classes' conditions. */
bool sse_mmx_allowed(struct cpu *c, const struct insn *i, enum run *why)
{
	return sse_allowed(c, i, why) && x87_no_pending(c, i, why);
}

/* ---- 7. Thunks ------------------------------------------------------------------------------ */

static enum run stop(struct cpu *c, const struct insn *i)
{
	(void)c;
	(void)i;
	return RUN_BLOCK;
}
const struct insn fpu_stop[2] = { { .fn = stop }, { .fn = stop } };

_Static_assert(sizeof(struct insn) == 32 && offsetof(struct insn, fn) == 0, "fpu_host_x86_64.S knows this");

/* ---- 8. Operands ---------------------------------------------------------------------------- */

/* #AC as the manual has it for operands that are not 2, 4 or 8 bytes (SDM vol. 3, table 6-7); memory.c
 * sees to those. */
bool check_align(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes, bool write, unsigned align)
{
	uint32_t linear = 0;

	if (likely(!c->align_check))
		return true;
	if (!seg_linear(c, i->seg, offset, bytes, write, &linear)) /* the limit comes first */
		return false;
	return linear & (align - 1) ? fault(c, EXC_AC, 0) : true;
}

static unsigned alignment(unsigned bytes) { return bytes == 16 ? 16 : bytes == 10 ? 8 : 1; }

const void *load_slow(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes)
{
	if (!check_align(c, i, offset, bytes, false, alignment(bytes)))
		return NULL;
	return seg_read_bytes(c, i->seg, offset, c->fpu->buf, bytes) ? c->fpu->buf : NULL;
}

bool store_slow(struct cpu *c, const struct insn *i, uint32_t offset, const void *from, unsigned bytes)
{
	return check_align(c, i, offset, bytes, true, alignment(bytes)) &&
	       seg_write_bytes(c, i->seg, offset, from, bytes);
}

/* Alignment comes before the limit. */
bool aligned_linear(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes, bool write,
                    uint32_t *linear)
{
	if ((c->seg[i->seg].base + offset) & 15)
		return fault(c, EXC_GP, 0);
	return seg_linear(c, i->seg, offset, bytes, write, linear);
}

const void *load_vector_slow(struct cpu *c, const struct insn *i, uint32_t offset)
{
	uint32_t linear = 0;

	if (!aligned_linear(c, i, offset, 16, false, &linear))
		return NULL;
	return mem_read(c, linear, c->fpu->buf, 16, c->cpl == 3) ? c->fpu->buf : NULL;
}
