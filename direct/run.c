/* SPDX-License-Identifier: MIT */
/*
 * direct/run.c - the loop: which code comes next, in which world; what translated code asks for.
 *
 *   1. Flags        between the host's form and the portable engine's
 *   2. Modes        what a block may assume
 *   3. Worlds       the one to be in
 *   4. Next         dispatch(): the next translated code, or the portable engine's turn
 *   5. Calls        from the stubs of enter_x86_64.S
 *   6. Running      direct_run(), direct_step()
 */
#include "direct/internal.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/fpu_state.h"
#include "direct/emit.h"
#include "direct/host.h"
#include "direct/translate.h"

/* ---- 1. Flags ------------------------------------------------------------------------------- */

/* HOT_FLAGS: SETO's byte below LAHF's. */
static void take_flags(struct direct *d)
{
	uint32_t f = d->hot.flags;

	set_status(d->cpu, (f >> 8 & (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)) | (f & 1 ? FL_OF : 0u));
}

static void give_flags(struct direct *d)
{
	uint32_t f = get_status(d->cpu);

	d->hot.flags = (f & 0xFF) << 8 | (f & FL_OF ? 1u : 0u);
}

/* ---- 2. Modes ------------------------------------------------------------------------------- */

static bool is_usable(const struct cpu *c)
{
	const unsigned need = MODE_FLAT | MODE_CODE32 | MODE_STACK32;

	return (c->mode & (need | MODE_STEP)) == need && !c->align_check;
}

/* All of 4 GiB, readable and writable: only the base counts. */
static bool base_counts_only(const struct cpu_segment *s)
{
	return s->limit == 0xFFFFFFFFu && (s->attr & (SEG_P | SEG_CODE | SEG_DOWN | SEG_RW)) == (SEG_P | SEG_RW);
}

static unsigned state_mode(const struct cpu *c)
{
	return (c->flags & FL_DF ? DMODE_DF : 0u) | (base_counts_only(&c->seg[CPU_FS]) ? DMODE_FS : 0u) |
	       (base_counts_only(&c->seg[CPU_GS]) ? DMODE_GS : 0u);
}

static void give_segments(struct direct *d)
{
	d->hot.seg_base[0] = d->cpu->seg[CPU_FS].base;
	d->hot.seg_base[1] = d->cpu->seg[CPU_GS].base;
}

/* Where x87 and SSE instructions may run as they are. */
static void give_fpu(struct direct *d)
{
	const struct cpu *c = d->cpu;
	const struct fpu *f = c->fpu;
	uint32_t off = c->cr0 & (CR0_EM | CR0_TS);

	d->hot.x87_bad = off | f->x87_slow;
	d->hot.sse_bad = off | (~c->cr4 & CR4_OSFXSR) | f->sse_slow;
}

/* All that translated code finds in struct hot but the world's. */
static void give_state(struct direct *d)
{
	give_flags(d);
	give_segments(d);
	give_fpu(d);
	d->hot.tlb = d->cpu->tlb;
}

/* ---- 3. Worlds ------------------------------------------------------------------------------ */

static bool globals_count(const struct cpu *c) { return c->cr0 & CR0_PG && c->cr4 & CR4_PGE; }

static enum world_kind kind_for(const struct cpu *c, uint32_t linear)
{
	if (c->cpl == 3)
		return WORLD_USER;
	return c->cpl == 0 && globals_count(c) && tlb_is_global(c, linear) ? WORLD_GLOBAL : WORLD_SUPERVISOR;
}

static unsigned ring_mode(const struct cpu *c, enum world_kind kind)
{
	return kind == WORLD_GLOBAL ? RING_GLOBAL : c->cpl == 3 ? 3u : c->cpl ? 1u : 0u;
}

void invalidate_returns(struct direct *d)
{
	d->hot.p_rsp = (uint64_t)(uintptr_t)(d->return_stack + UM_PAGE_SIZE + RETURN_STACK_BYTES);
}

static bool make_table(struct world *w, unsigned mode)
{
	void **table = malloc(JUMP_ENTRIES * sizeof(*table));

	if (!table)
		return false;
	for (unsigned n = 0; n < JUMP_ENTRIES; n++)
		table[n] = (void *)(uintptr_t)direct_stub_miss;
	w->tables[mode] = table;
	return true;
}

/* Be in the world for this code.  false: there is none (no memory). */
static bool enter_world(struct direct *d, enum world_kind kind, unsigned mode)
{
	uint32_t root = kind == WORLD_GLOBAL ? 0 : um_current_root(d->um);
	struct world *w = d->world;

	if (!w || w->kind != kind || w->root != root) {
		if (kind != WORLD_GLOBAL && !root)
			return false;
		d->world = NULL; /* it may be the one that goes */
		w = find_world(d, kind, root);
	}
	if (!w->tables[mode] && !make_table(w, mode))
		return false;
	world_settle(d, w);
	if (w != d->world || d->hot.table != w->tables[mode]) {
		d->world = w;
		d->hot.table = w->tables[mode];
		d->hot.world = w->base;
		host_set_gs_base((uintptr_t)w->base, d->wrgsbase);
		invalidate_returns(d);
	}
	return true;
}

/* ---- 4. Next -------------------------------------------------------------------------------- */

static void remember_jump(struct direct *d, const struct block *b)
{
	uint32_t page = b->eip / UM_PAGE_SIZE;

	d->world->tables[b->mode][jump_index(b->eip)] = d->code + b->code;
	d->world->lines_used |= 1u << jump_line(page);
	d->world->table_pages[page / 8] |= (uint8_t)(1u << page % 8);
}

/* The translation of the code at EIP, with its world entered.  NULL: the portable engine's turn, which finds
 * out why (or there is an exception to be found by it). */
static struct block *find_code(struct direct *d)
{
	struct cpu *c = d->cpu;
	uint32_t eip = c->eip;
	const uint8_t *host;
	struct block *b;
	enum world_kind kind;
	unsigned mode;
	um_gpa gpa;

	if (!is_usable(c))
		return NULL;
	c->exc.vector = -1;
	if (!fetch_page(c, eip, &host, &gpa)) {
		c->exc.vector = -1; /* raised again by who fetches it next */
		return NULL;
	}
	if (!host || (size_t)(host - c->ram) >= c->ram_bytes)
		return NULL;
	kind = kind_for(c, eip);
	mode = ring_mode(c, kind) | state_mode(c);
	if (!enter_world(d, kind, mode))
		return NULL;
	b = find_translation(d, eip, (uint32_t)((size_t)(host - c->ram) / UM_PAGE_SIZE), mode);
	if (!b)
		b = translate(d, eip, host, mode);
	if (b && !d->stepping && !b->dead)
		remember_jump(d, b);
	return b;
}

static const void *leave(struct direct *d, enum cpu_exit why)
{
	d->exit = why;
	return NULL;
}

static void count(struct direct *d, enum cause cause)
{
	d->causes[cause]++;
	d->stats.by_portable++;
}

/* One block (or one instruction) by the portable engine.  false: d->cpu->exit. */
static bool run_portable(struct direct *d, unsigned extra)
{
	struct cpu *c = d->cpu;
	bool ok;

	count(d, is_usable(c) ? CAUSE_CROSSING : CAUSE_MODE);
	c->budget = c->slice = d->stepping || extra || is_usable(c) ? 1 : 64;
	c->reserve = 0;
	ok = c->slice == 1 ? cpu_run_insn(c) : cpu_run_block(c, 0);
	d->counted += (uint64_t)(c->slice - c->budget);
	c->budget = c->slice = 0;
	return ok;
}

/* cpu_attend(), counted: an interrupt that is taken is one. */
static bool attend(struct direct *d, unsigned *extra)
{
	struct cpu *c = d->cpu;
	int64_t budget = d->stepping ? 1 : 64;
	bool ok;

	c->budget = budget;
	c->reserve = 0;
	ok = cpu_attend(c, extra);
	d->counted += (uint64_t)(budget - c->budget);
	c->budget = 0;
	return ok;
}

/* Where to go on: translated code; NULL: leave, d->exit says why.  Flags are the portable engine's. */
static const void *dispatch(struct direct *d)
{
	struct cpu *c = d->cpu;

	for (;;) {
		struct block *b;
		unsigned extra = 0;

		if (d->leave && d->counted)
			return leave(d, CPU_EXIT_BUDGET);
		if (c->pending && !attend(d, &extra))
			return leave(d, (enum cpu_exit)c->exit);
		if (d->stepping && d->counted) /* taking an interrupt counts as one */
			return leave(d, CPU_EXIT_BUDGET);
		b = extra ? NULL : find_code(d);
		if (b) {
			give_state(d);
			d->found = b;
			d->step_block = (uint32_t)(b - d->blocks);
			d->step_index = 0;
			d->leave = d->stepping;
			return d->code + b->code + b->entry;
		}
		if (d->stepping)
			d->leave = true;
		if (!run_portable(d, extra))
			return leave(d, (enum cpu_exit)c->exit);
	}
}

/* ---- 5. Calls ------------------------------------------------------------------------------- */

/* The whole block ran. */
static void count_block(struct direct *d)
{
	d->counted += d->blocks[d->step_block].insns - d->step_index;
}

const void *direct_c_miss(struct hot *hot, uint32_t eip);
const void *direct_c_link(struct hot *hot, uint32_t number);
const void *direct_c_fallback(struct hot *hot, uint32_t number);
const void *direct_c_fpu(struct hot *hot, uint32_t number);
const void *direct_c_fault(struct hot *hot);
const void *direct_c_kicked(struct hot *hot);
const void *direct_c_late(struct hot *hot);

const void *direct_c_miss(struct hot *hot, uint32_t eip)
{
	struct direct *d = direct_of(hot);

	d->stats.lookups++;
	count_block(d);
	take_flags(d);
	d->cpu->eip = eip;
	return dispatch(d);
}

/* A far link needs a target that is told of when it goes; else its stub becomes a look-up. */
static bool may_link(struct direct *d, struct block_link *l)
{
	if (!l->far)
		return d->found->frame == l->frame; /* else this page is another one meanwhile */
	if (d->world->kind == WORLD_GLOBAL && tlb_is_global(d->cpu, l->target))
		return true;
	redirect_link(d, l);
	return false;
}

const void *direct_c_link(struct hot *hot, uint32_t number)
{
	struct direct *d = direct_of(hot);
	struct block_link *l = &d->links[number];
	uint64_t flushes = d->stats.cache_flushes;
	uint32_t target = l->target;
	unsigned mode = l->mode;
	const void *next;

	d->stats.exits++;
	count_block(d);
	take_flags(d);
	d->cpu->eip = target;
	d->found = NULL;
	next = dispatch(d);
	if (d->stats.cache_flushes != flushes || d->stepping || !next || !d->found || d->found->dead)
		return next;
	if (d->found->eip == target && d->found->mode == mode && !d->blocks[l->block].dead && may_link(d, l))
		link_to(d, l, d->found);
	return next;
}

/* After an instruction that the portable engine did: straight on in the same block, if it may. */
static bool may_resume(struct direct *d, const struct fallback *f, unsigned cpl)
{
	const struct cpu *c = d->cpu;
	const struct block *b = &d->blocks[f->block];

	return f->resume && c->eip == f->eip + f->insn->len && !(f->insn->flags & INSN_END) && !c->pending && !b->dead &&
	       !d->stepping && c->cpl == cpl && is_usable(c) &&
	       (b->mode & ~(unsigned)DMODE_RING) == state_mode(c);
}

const void *direct_c_fallback(struct hot *hot, uint32_t number)
{
	struct direct *d = direct_of(hot);
	struct cpu *c = d->cpu;
	struct fallback *f = &d->fallbacks[number];
	unsigned cpl = c->cpl;
	uint64_t flushes = d->stats.cache_flushes;
	bool ok;

	take_flags(d);
	count(d, (enum cause)f->cause);
	if (f->cause == CAUSE_SOFT)
		missed_softly(d, d->blocks[f->block].frame, f->eip % UM_PAGE_SIZE);
	d->counted += f->index - d->step_index;
	d->step_index = f->index;
	c->block_eip = f->eip;
	c->exc.vector = -1;
	/* A branch is not to go on from there. */
	c->budget = c->slice = f->insn->flags & INSN_END || f->second ? 1 : 4096;
	c->reserve = 0;
	c->eip = f->eip;
	ok = f->second && code_page(c, (f->eip | ~PAGE_MASK) + 1) != f->second ? cpu_run_insn(c)
	                                                                      : cpu_execute(c, f->insn);
	c->patch = NULL;
	d->counted += (uint64_t)(c->slice - c->budget);
	d->step_index++;
	c->budget = c->slice = 0;
	if (!ok)
		return leave(d, (enum cpu_exit)c->exit);
	if (d->stats.cache_flushes == flushes && may_resume(d, f, cpl)) {
		world_settle(d, d->world);
		give_state(d);
		return d->code + f->resume;
	}
	return dispatch(d);
}

/* The instruction at EIP could not run in translated code. */
const void *direct_c_fault(struct hot *hot)
{
	struct direct *d = direct_of(hot);
	struct cpu *c = d->cpu;
	bool ok;

	count(d, CAUSE_FAULT);
	c->exc.vector = -1;
	c->budget = c->slice = 1;
	c->reserve = 0;
	ok = cpu_run_insn(c);
	d->counted += (uint64_t)(c->slice - c->budget);
	c->budget = c->slice = 0;
	if (!ok)
		return leave(d, (enum cpu_exit)c->exit);
	return dispatch(d);
}

/* Somebody kicked, or the code here is to be translated anew: nothing of this instruction has happened. */
const void *direct_c_kicked(struct hot *hot)
{
	return dispatch(direct_of(hot));
}

/* A kick came between the last look and the way into translated code: EIP and the flags are those there. */
const void *direct_c_late(struct hot *hot)
{
	struct direct *d = direct_of(hot);

	take_flags(d);
	return dispatch(d);
}

/* May x87 (SSE) instructions run as they are?  They could, with the state where it has to be. */
static bool make_ready(struct direct *d, bool sse)
{
	struct cpu *c = d->cpu;
	struct fpu *f = c->fpu;

	if (c->cr0 & (CR0_EM | CR0_TS))
		return false;
	if (sse) {
		if (!(c->cr4 & CR4_OSFXSR))
			return false;
		mxcsr_enter(f);
		return !f->sse_slow;
	}
	if (f->where != IN_HOST) {
		if (area16(f, FX_FSW) & FSW_ES)
			return false;
		x87_enter(f);
	}
	return !f->x87_slow;
}

const void *direct_c_fpu(struct hot *hot, uint32_t number)
{
	struct direct *d = direct_of(hot);
	const struct fallback *f = &d->fallbacks[number];

	/* (After the check comes a look for kicks.) */
	if (f->shadowed || !make_ready(d, f->sse))
		return direct_c_fallback(hot, number);
	give_fpu(d);
	d->cpu->eip = f->eip;
	return d->code + f->again;
}

/* ---- 6. Running ----------------------------------------------------------------------------- */

static enum cpu_exit run(struct direct *d)
{
	struct cpu *c = d->cpu;
	const void *start;

	c->exc.vector = -1;
	c->patch = NULL;
	if (c->undelivered.vector >= 0) {
		c->events &= ~(uint32_t)EV_EXIT;
		if (!deliver_undelivered(c))
			return CPU_EXIT_SHUTDOWN;
	}
	if (!signals_enter(d))
		return CPU_EXIT_NOMEM;
	d->world = NULL; /* another engine of this thread may have run meanwhile */
	start = dispatch(d);
	if (start) {
		d->hot.target = start;
		direct_enter(&d->hot);
	}
	signals_leave(d);
	fpu_leave(c);
	return d->exit;
}

enum cpu_exit direct_run(struct direct *d)
{
	if (d->stepping) {
		d->stepping = false;
		cache_flush(d);
	}
	d->leave = false;
	if (++d->runs % RUNS_PER_SWEEP == 0)
		cool_down(d);
	return run(d);
}

enum cpu_exit direct_step(struct direct *d)
{
	enum cpu_exit exit;

	if (!d->stepping) {
		d->stepping = true;
		cache_flush(d);
	}
	d->leave = false;
	d->counted = 0;
	exit = run(d);
	d->cpu->instructions += d->counted;
	return exit;
}
