/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_fpu.c - x87 instructions, carried out by the host's x87.
 *
 *   1. Pointers and unmasked exceptions
 *   2. Register forms
 *   3. Loads and arithmetic with a memory operand
 *   4. Stores
 *   5. Control
 *
 * Order of what can go wrong: #NM, #MF of an earlier instruction, faults of the operand, this
 * instruction's own exceptions (which the *next* one reports).  A memory access may call a device, and with
 * that take the state out of the host (fpu_leave()): after one, look at f->x87_slow again.
 *
 * i->imm: the opcode as FOP has it.  i->size: bytes of the memory operand.
 */
#include "cpu/fpu_state.h"

/* ---- 1. Pointers and unmasked exceptions ---------------------------------------------------- */

/* What FSTENV and FXSAVE tell about the last instruction (SDM vol. 1, 8.1.8): guest addresses. */
FORCE_INLINE void note_insn(struct cpu *c, struct fpu *f, const struct insn *i)
{
	f->fip = insn_eip(c, i);
	f->fcs = c->seg[CPU_CS].selector;
	f->fop = (uint16_t)i->imm;
}
FORCE_INLINE void note_operand(struct cpu *c, struct fpu *f, const struct insn *i, uint32_t offset)
{
	note_insn(c, f, i);
	f->fdp = offset;
	f->fds = c->seg[i->seg].selector;
}

/* After an instruction with exceptions unmasked: if one happened, the state waits for #MF in the area. */
static void check_unmasked(struct fpu *f)
{
	if (f->where == IN_HOST && host_fsw() & FSW_ES)
		x87_evict(f);
}

/* ---- 2. Register forms ---------------------------------------------------------------------- */

static enum run reg_slow(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(false, x87_allowed, c, i);
	note_insn(c, f, i);
	run_thunk(c, thunk_of(i), NULL, NULL);
	check_unmasked(f);
	NEXT(c, i);
}

enum run op_x87_reg(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	if (unlikely(!x87_ready(c, f)))
		return reg_slow(c, i);
	note_insn(c, f, i);
	NEXT_AFTER(thunk_of(i), c, i, NULL, NULL);
}

/* FCOMI and its like: ZF, PF, CF are the outcome, OF, SF, AF are cleared. */
enum run op_x87_flags(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(x87_ready(c, f), x87_allowed, c, i);
	note_insn(c, f, i);
	set_status(c, (uint32_t)((x87_flags_fn *)thunk_of(i))() & (FL_ZF | FL_PF | FL_CF));
	if (unlikely(f->x87_slow))
		check_unmasked(f);
	NEXT(c, i);
}

/* FCMOVcc: B, E, BE, U by reg 0-3; DB has their negations.  An empty register is an underflow even when
 * the condition is false, so the host executes it in either case. */
enum run op_x87_cmov(struct cpu *c, const struct insn *i)
{
	static const uint8_t cc[4] = { CC_B, CC_Z, CC_BE, CC_P };
	struct fpu *f = c->fpu;

	uint32_t zero_if_move;

	REQUIRE(x87_ready(c, f), x87_allowed, c, i);
	note_insn(c, f, i);
	zero_if_move = condition(c, cc[i->reg & 3] ^ (i->opcode & 1u)) ? 0 : 1;
	if (likely(!f->x87_slow))
		return ((x87_cmov_fn *)thunk_of(i))(c, i, zero_if_move);
	((x87_cmov_fn *)thunk_of(i))(c, fpu_stop, zero_if_move);
	check_unmasked(f);
	NEXT(c, i);
}

/* Ten bytes are 8 and 2, and 16-bit addresses wrap between them. */
static bool is_split(const struct insn *i, uint32_t offset)
{
	return i->size == 10 && i->addrsize == 2 && offset + 10 > 0x10000;
}

/* ---- 3. Loads and arithmetic ---------------------------------------------------------------- */

static const void *load(struct cpu *c, const struct insn *i, uint32_t offset)
{
	uint8_t *buf = c->fpu->buf;

	if (!is_split(i, offset))
		return load_operand(c, i, offset, i->size);
	return seg_read_bytes(c, i->seg, offset, buf, 8) &&
	       seg_read_bytes(c, i->seg, (uint16_t)(offset + 8), buf + 8, 2) ? buf : NULL;
}

/* Not ready, or the operand is not plain memory. */
static enum run x87_load_slow(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint32_t offset = ea(c, i);

	REQUIRE(x87_ready(c, f), x87_allowed, c, i);
	const void *mem = load(c, i, offset);
	if (!mem)
		return faulted(c, i);
	x87_enter(f);
	note_operand(c, f, i, offset);
	run_thunk(c, thunk_of(i), (void *)(uintptr_t)mem, NULL);
	check_unmasked(f);
	NEXT(c, i);
}

FORCE_INLINE enum run x87_load(struct cpu *c, const struct insn *i, unsigned bytes)
{
	struct fpu *f = c->fpu;
	uint32_t offset = ea(c, i);
	uint8_t *mem = direct(c, i, offset, bytes, false);

	if (unlikely(!x87_ready(c, f) || !mem))
		return x87_load_slow(c, i);
	note_operand(c, f, i, offset);
	NEXT_AFTER(thunk_of(i), c, i, mem, NULL);
}
enum run op_x87_load(struct cpu *c, const struct insn *i) { return x87_load(c, i, i->size); }
enum run op_x87_load32(struct cpu *c, const struct insn *i) { return x87_load(c, i, 4); }
enum run op_x87_load64(struct cpu *c, const struct insn *i) { return x87_load(c, i, 8); }

/* ---- 4. Stores ------------------------------------------------------------------------------ */

/* Was there a result?  Every unmasked exception but the inexact one leaves memory and stack alone. */
static bool stored(const struct fpu *f)
{
	unsigned fcw = area16(f, FX_FCW), fsw = area16(f, FX_FSW);

	return f->where == IN_HOST || !(fsw & ~fcw & (FSW_EXCEPTIONS & ~FSW_PE));
}

static bool may_store(struct cpu *c, const struct insn *i, uint32_t offset)
{
	if (is_split(i, offset))
		return seg_probe_write(c, i->seg, offset, 8) &&
		       seg_probe_write(c, i->seg, (uint16_t)(offset + 8), 2);
	return (i->size != 10 || check_align(c, i, offset, 10, true, 8)) &&
	       seg_probe_write(c, i->seg, offset, i->size);
}
static bool store(struct cpu *c, const struct insn *i, uint32_t offset, const uint8_t *buf)
{
	if (is_split(i, offset))
		return seg_write_bytes(c, i->seg, offset, buf, 8) &&
		       seg_write_bytes(c, i->seg, (uint16_t)(offset + 8), buf + 8, 2);
	return seg_write_bytes(c, i->seg, offset, buf, i->size);
}

/* Not ready, or the operand is not plain memory: make sure of the write before the stack may be popped. */
static enum run x87_store_slow(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint32_t offset = ea(c, i);

	REQUIRE(x87_ready(c, f), x87_allowed, c, i);
	if (!may_store(c, i, offset))
		return faulted(c, i);
	x87_enter(f);
	note_operand(c, f, i, offset);
	run_thunk(c, thunk_of(i), f->buf, NULL);
	check_unmasked(f);
	if (stored(f) && !store(c, i, offset, f->buf))
		return faulted(c, i);
	NEXT(c, i);
}

FORCE_INLINE enum run x87_store(struct cpu *c, const struct insn *i, unsigned bytes)
{
	struct fpu *f = c->fpu;
	uint32_t offset = ea(c, i);
	uint8_t *mem = direct(c, i, offset, bytes, true);

	if (unlikely(!x87_ready(c, f) || !mem))
		return x87_store_slow(c, i);
	note_operand(c, f, i, offset);
	NEXT_AFTER(thunk_of(i), c, i, mem, NULL);
}
enum run op_x87_store(struct cpu *c, const struct insn *i) { return x87_store(c, i, i->size); }
enum run op_x87_store32(struct cpu *c, const struct insn *i) { return x87_store(c, i, 4); }
enum run op_x87_store64(struct cpu *c, const struct insn *i) { return x87_store(c, i, 8); }

/* ---- 5. Control ----------------------------------------------------------------------------- */

enum run op_fldcw(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	uint16_t value;

	REQUIRE(x87_ready(c, f), x87_allowed, c, i);
	const void *mem = load_operand(c, i, ea(c, i), 2);
	if (unlikely(!mem))
		return faulted(c, i);
	memcpy(&value, mem, 2);
	x87_enter(f);
	host_set_fcw(value);
	x87_control_changed(f);
	NEXT(c, i);
}

static bool write16(struct cpu *c, const struct insn *i, uint16_t value)
{
	return seg_write16(c, i->seg, ea(c, i), value);
}

enum run op_fnstcw(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(x87_ready(c, f), x87_nowait_allowed, c, i);
	if (!write16(c, i, f->where == IN_HOST ? host_fcw() : area16(f, FX_FCW)))
		return faulted(c, i);
	NEXT(c, i);
}

static uint16_t status_word(const struct fpu *f)
{
	return f->where == IN_HOST ? host_fsw() : area16(f, FX_FSW);
}

enum run op_fnstsw(struct cpu *c, const struct insn *i)
{
	REQUIRE(x87_ready(c, c->fpu), x87_nowait_allowed, c, i);
	if (!write16(c, i, status_word(c->fpu)))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_fnstsw_ax(struct cpu *c, const struct insn *i)
{
	REQUIRE(x87_ready(c, c->fpu), x87_nowait_allowed, c, i);
	c->gpr[CPU_EAX] = (c->gpr[CPU_EAX] & 0xFFFF0000) | status_word(c->fpu);
	NEXT(c, i);
}

enum run op_fnclex(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(x87_ready(c, f), x87_nowait_allowed, c, i);
	if (f->where == IN_HOST) {
		__asm__ volatile("fnclex");
	} else {
		unsigned flags = FSW_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B;
		set_area16(f, FX_FSW, area16(f, FX_FSW) & ~flags);
	}
	NEXT(c, i);
}

enum run op_fninit(struct cpu *c, const struct insn *i)
{
	REQUIRE(x87_ready(c, c->fpu), x87_nowait_allowed, c, i);
	x87_init(c->fpu);
	NEXT(c, i);
}

/* FNENI, FNDISI, FNSETPM of the 8087 and 80287: nothing. */
enum run op_x87_nowait(struct cpu *c, const struct insn *i)
{
	REQUIRE(x87_ready(c, c->fpu), x87_nowait_allowed, c, i);
	NEXT(c, i);
}

enum run op_fwait(struct cpu *c, const struct insn *i)
{
	enum run why;

	if (unlikely((c->cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS)))
		return raise(c, i, EXC_NM);
	if (unlikely(c->fpu->x87_slow) && !x87_no_pending(c, i, &why))
		return why;
	NEXT(c, i);
}
