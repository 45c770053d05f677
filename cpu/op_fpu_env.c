/* SPDX-License-Identifier: MIT */
/*
 * cpu/op_fpu_env.c - the x87 state to memory and back: FNSTENV, FLDENV, FNSAVE, FRSTOR, FXSAVE, FXRSTOR.
 *
 *   1. Tag words           two bits a register there, one here
 *   2. Environments        four formats (SDM vol. 1, figures 8-9 to 8-12); how they get to memory
 *   3. FNSTENV, FLDENV
 *   4. FNSAVE, FRSTOR
 *   5. FXSAVE, FXRSTOR
 */
#include "cpu/fpu_state.h"

enum { ENV16_BYTES = 14, ENV32_BYTES = 28, ST_BYTES = 10, ENV_MAX = ENV32_BYTES + 8 * ST_BYTES };

static void put16(uint8_t *p, unsigned v)
{
	uint16_t h = (uint16_t)v;
	memcpy(p, &h, 2);
}
static void put32(uint8_t *p, uint32_t v) { memcpy(p, &v, 4); }
static uint16_t get16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, 2);
	return v;
}
static uint32_t get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

/* ---- 1. Tag words --------------------------------------------------------------------------- */

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const uint8_t *st)
{
	uint64_t mantissa;
	unsigned exponent = get16(st + 8) & 0x7FFF;

	memcpy(&mantissa, st, 8);
	if (exponent == 0)
		return mantissa ? TAG_SPECIAL : TAG_ZERO;
	return exponent == 0x7FFF || !(mantissa >> 63) ? TAG_SPECIAL : TAG_VALID;
}

/* The area has registers by stack position and tags by physical number. */
static unsigned full_tags(const struct fpu *f)
{
	unsigned top = area16(f, FX_FSW) >> FSW_TOP_SHIFT & 7, tags = 0;

	for (unsigned n = 0; n < 8; n++) {
		const uint8_t *st = f->area + FX_ST + ((n - top) & 7) * FX_REGISTER;
		unsigned tag = f->area[FX_FTW] >> n & 1 ? tag_of(st) : TAG_EMPTY;
		tags |= tag << 2 * n;
	}
	return tags;
}

static uint8_t short_tags(unsigned tags)
{
	unsigned valid = 0;

	for (unsigned n = 0; n < 8; n++)
		valid |= (unsigned)((tags >> 2 * n & 3) != TAG_EMPTY) << n;
	return (uint8_t)valid;
}

/* ---- 2. Environments ------------------------------------------------------------------------ */

static bool linear_pointers(const struct cpu *c) /* real and virtual-8086 mode */
{
	return !(c->cr0 & CR0_PE) || c->flags & FL_VM;
}

static void pack_env32(const struct cpu *c, const struct fpu *f, uint8_t *env)
{
	uint32_t reserved = 0xFFFF0000;

	put32(env + 0, reserved | area16(f, FX_FCW));
	put32(env + 4, reserved | area16(f, FX_FSW));
	put32(env + 8, reserved | full_tags(f));
	if (linear_pointers(c)) {
		uint32_t ip = ((uint32_t)f->fcs << 4) + f->fip, dp = ((uint32_t)f->fds << 4) + f->fdp;
		put32(env + 12, reserved | (ip & 0xFFFF));
		put32(env + 16, (ip >> 16) << 12 | f->fop);
		put32(env + 20, reserved | (dp & 0xFFFF));
		put32(env + 24, (dp >> 16) << 12);
	} else {
		put32(env + 12, f->fip);
		put32(env + 16, (uint32_t)f->fop << 16 | f->fcs);
		put32(env + 20, f->fdp);
		put32(env + 24, reserved | f->fds);
	}
}

static void pack_env16(const struct cpu *c, const struct fpu *f, uint8_t *env)
{
	put16(env + 0, area16(f, FX_FCW));
	put16(env + 2, area16(f, FX_FSW));
	put16(env + 4, full_tags(f));
	if (linear_pointers(c)) {
		uint32_t ip = ((uint32_t)f->fcs << 4) + f->fip, dp = ((uint32_t)f->fds << 4) + f->fdp;
		put16(env + 6, ip);
		put16(env + 8, (ip >> 16) << 12 | f->fop);
		put16(env + 10, dp);
		put16(env + 12, (dp >> 16) << 12);
	} else {
		put16(env + 6, f->fip);
		put16(env + 8, f->fcs);
		put16(env + 10, f->fdp);
		put16(env + 12, f->fds);
	}
}

static unsigned env_bytes(const struct insn *i) { return i->opsize == 2 ? ENV16_BYTES : ENV32_BYTES; }

static void pack_env(const struct cpu *c, const struct insn *i, uint8_t *env)
{
	x87_sync(c->fpu);
	if (i->opsize == 2)
		pack_env16(c, c->fpu, env);
	else
		pack_env32(c, c->fpu, env);
}

static void unpack_pointers32(const struct cpu *c, struct fpu *f, const uint8_t *env)
{
	if (linear_pointers(c)) {
		f->fip = get16(env + 12) | (get32(env + 16) >> 12 & 0xFFFF) << 16;
		f->fop = get16(env + 16) & 0x7FF;
		f->fdp = get16(env + 20) | (get32(env + 24) >> 12 & 0xFFFF) << 16;
		f->fcs = f->fds = 0;
	} else {
		f->fip = get32(env + 12);
		f->fcs = get16(env + 16);
		f->fop = get16(env + 18) & 0x7FF;
		f->fdp = get32(env + 20);
		f->fds = get16(env + 24);
	}
}

static void unpack_pointers16(const struct cpu *c, struct fpu *f, const uint8_t *env)
{
	f->fip = get16(env + 6);
	f->fdp = get16(env + 10);
	if (linear_pointers(c)) {
		f->fip |= (uint32_t)(get16(env + 8) >> 12) << 16;
		f->fdp |= (uint32_t)(get16(env + 12) >> 12) << 16;
		f->fop = get16(env + 8) & 0x7FF;
		f->fcs = f->fds = 0;
	} else {
		f->fcs = get16(env + 8);
		f->fds = get16(env + 12);
		f->fop = 0; /* the format has no room for it */
	}
}

/* The state is in the area; its registers keep their places in the machine, not in the stack. */
static void unpack_env(const struct cpu *c, const struct insn *i, const uint8_t *env)
{
	struct fpu *f = c->fpu;
	unsigned unit = i->opsize == 2 ? 2 : 4, fsw = get16(env + unit);

	x87_set_top(f, fsw >> FSW_TOP_SHIFT & 7);
	set_area16(f, FX_FCW, get16(env));
	set_area16(f, FX_FSW, fsw);
	f->area[FX_FTW] = short_tags(get16(env + 2 * unit));
	if (i->opsize == 2)
		unpack_pointers16(c, f, env);
	else
		unpack_pointers32(c, f, env);
	x87_area_changed(f);
}

/* A large operand is many accesses, between which addresses wrap.  Processors try the first piece, then the
 * last byte, before they move anything: when only the second page is missing, the fault is at the last byte. */
static uint32_t wrap(const struct insn *i, uint32_t offset) { return i->addrsize == 2 ? (uint16_t)offset : offset; }
static bool wraps(const struct insn *i, uint32_t offset, unsigned bytes)
{
	return wrap(i, offset + bytes - 1) < offset;
}
static bool touch(struct cpu *c, const struct insn *i, uint32_t offset, unsigned bytes, bool write)
{
	uint8_t unused[FX_REGISTER];

	return write ? seg_probe_write(c, i->seg, offset, bytes) : seg_read_bytes(c, i->seg, offset, unused, bytes);
}
static bool move(struct cpu *c, const struct insn *i, uint32_t offset, uint8_t *buf, unsigned bytes, bool write)
{
	return write ? seg_write_bytes(c, i->seg, offset, buf, bytes) : seg_read_bytes(c, i->seg, offset, buf, bytes);
}

/* The words of an environment, then 8 and 2 bytes of each register. */
static bool move_state(struct cpu *c, const struct insn *i, unsigned bytes, bool write)
{
	uint32_t offset = ea(c, i);
	unsigned unit = env_bytes(i) / 7;
	uint8_t *buf = c->fpu->buf;

	if (!wraps(i, offset, bytes)) {
		return check_align(c, i, offset, bytes, write, unit) && touch(c, i, offset, unit, write) &&
		       touch(c, i, offset + bytes - 1, 1, write) && move(c, i, offset, buf, bytes, write);
	}
	if (!touch(c, i, offset, unit, write) || !touch(c, i, wrap(i, offset + bytes - 1), 1, write))
		return false;
	for (unsigned at = 0, n; at < bytes; at += n) {
		n = at < env_bytes(i) ? unit : (at - env_bytes(i)) % ST_BYTES ? 2 : 8;
		if (!move(c, i, wrap(i, offset + at), buf + at, n, write))
			return false;
	}
	return true;
}
static bool load_state(struct cpu *c, const struct insn *i, unsigned bytes) { return move_state(c, i, bytes, false); }
static bool store_state(struct cpu *c, const struct insn *i, unsigned bytes) { return move_state(c, i, bytes, true); }

/* ---- 3. FNSTENV, FLDENV --------------------------------------------------------------------- */

enum run op_fnstenv(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(x87_ready(c, f), x87_nowait_allowed, c, i);
	pack_env(c, i, f->buf);
	if (!store_state(c, i, env_bytes(i)))
		return faulted(c, i);
	/* Then all exceptions are masked, with which nothing is pending any more. */
	x87_evict(f);
	set_area16(f, FX_FCW, area16(f, FX_FCW) | FCW_MASKS);
	x87_area_changed(f);
	NEXT(c, i);
}

enum run op_fldenv(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;

	REQUIRE(x87_ready(c, f), x87_allowed, c, i);
	if (!load_state(c, i, env_bytes(i)))
		return faulted(c, i);
	x87_evict(f);
	unpack_env(c, i, f->buf);
	NEXT(c, i);
}

/* ---- 4. FNSAVE, FRSTOR ---------------------------------------------------------------------- */

enum run op_fnsave(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	unsigned env = env_bytes(i);

	REQUIRE(x87_ready(c, f), x87_nowait_allowed, c, i);
	pack_env(c, i, f->buf);
	for (unsigned n = 0; n < 8; n++)
		memcpy(f->buf + env + n * ST_BYTES, f->area + FX_ST + n * FX_REGISTER, ST_BYTES);
	if (!store_state(c, i, env + 8 * ST_BYTES))
		return faulted(c, i);
	x87_init(f);
	NEXT(c, i);
}

enum run op_frstor(struct cpu *c, const struct insn *i)
{
	struct fpu *f = c->fpu;
	unsigned env = env_bytes(i);

	REQUIRE(x87_ready(c, f), x87_allowed, c, i);
	if (!load_state(c, i, env + 8 * ST_BYTES))
		return faulted(c, i);
	x87_discard(f);
	unpack_env(c, i, f->buf);
	for (unsigned n = 0; n < 8; n++)
		memcpy(f->area + FX_ST + n * FX_REGISTER, f->buf + env + n * ST_BYTES, ST_BYTES);
	NEXT(c, i);
}

/* ---- 5. FXSAVE, FXRSTOR --------------------------------------------------------------------- */

/* Neither waits; both want EM and TS clear and 16-byte alignment (#AC for what is not aligned to 4, where
 * that counts).  We save and restore the SSE part whatever CR4.OSFXSR says, which the manual leaves open. */
static bool touch_image(struct cpu *c, const struct insn *i, uint32_t offset, bool write)
{
	uint32_t linear = 0;

	if (!seg_linear(c, i->seg, offset, 4, write, &linear)) /* the first piece, whatever its alignment */
		return false;
	if (linear & 15)
		return fault(c, c->align_check && linear & 3 ? EXC_AC : EXC_GP, 0);
	return touch(c, i, wrap(i, offset + sizeof(c->fpu->buf) - 1), 1, write);
}
static bool move_image(struct cpu *c, const struct insn *i, uint32_t offset, bool write)
{
	uint8_t *buf = c->fpu->buf;

	if (!wraps(i, offset, FX_WRITTEN))
		return move(c, i, offset, buf, FX_WRITTEN, write);
	for (unsigned at = 0; at < FX_WRITTEN; at += FX_REGISTER)
		if (!move(c, i, wrap(i, offset + at), buf + at, FX_REGISTER, write))
			return false;
	return true;
}

enum run op_fxsave(struct cpu *c, const struct insn *i)
{
	uint32_t offset = ea(c, i);

	REQUIRE(x87_ready(c, c->fpu), x87_nowait_allowed, c, i);
	if (!touch_image(c, i, offset, true))
		return faulted(c, i);
	fpu_store_image(c->fpu, c->fpu->buf);
	if (!move_image(c, i, offset, true))
		return faulted(c, i);
	NEXT(c, i);
}

enum run op_fxrstor(struct cpu *c, const struct insn *i)
{
	uint32_t offset = ea(c, i);

	REQUIRE(x87_ready(c, c->fpu), x87_nowait_allowed, c, i);
	if (!touch_image(c, i, offset, false) || !move_image(c, i, offset, false))
		return faulted(c, i);
	if (get32(c->fpu->buf + FX_MXCSR) & ~(uint32_t)MXCSR_VALID)
		return raise_error(c, i, EXC_GP, 0);
	fpu_load_image(c->fpu, c->fpu->buf);
	NEXT(c, i);
}
