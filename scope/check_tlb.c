/* SPDX-License-Identifier: MIT */
/*
 * scope/check_tlb.c - the missing-flush detector: every use of a translation, judged by what the processor may hold of it
 * and by what the tables say now.
 *
 *   1. Flushes      events that make a processor forget
 *   2. Differences  a translation held that permits what the tables do not say
 *   3. Holding      what the access leaves in the processor's caches
 *   4. An access
 *
 * We hear of an access only when the engine's own TLB has no answer.  That is enough, because the core drops the engine's
 * entry with every change that it hears (no table is left unsynced), and because the engine's entry goes whenever the
 * model's does (C1, docs/INVARIANTS.md): the first use after a change is always heard, and so is the first after a flush.
 */
#include "scope/check_internal.h"

/* ---- 1. Flushes ----------------------------------------------------------------------------- */

/* MOV to CR0 or CR4: which bits make the processor forget everything, global pages too (SDM vol. 3, 4.10.4.1 and 11.9).
 * CR0.WP is not among them. */
#define FORGETTING (UM_MODE_PAGING | UM_MODE_PGE | UM_MODE_PSE)
#define CR0_WP (1u << 16)
#define CR0_PG (1u << 31)
#define CR4_PSE (1u << 4)
#define CR4_PGE (1u << 7)

static void set_mode(struct check *k, uint32_t mode, um_gpa cr3)
{
	k->mode = mode;
	k->space.cr0 = (mode & UM_MODE_PAGING ? CR0_PG : 0u) | (mode & UM_MODE_WP ? CR0_WP : 0u);
	k->space.cr4 = (mode & UM_MODE_PSE ? CR4_PSE : 0u) | (mode & UM_MODE_PGE ? CR4_PGE : 0u);
	k->space.cr3 = (uint32_t)cr3;
	k->changes++;
}

/* Of a large page the engine holds pieces: they go with it. */
static void forget_page(struct check *k, uint32_t linear)
{
	if (model_forget_page(&k->model, linear))
		cpu_invalidate_all(k->target.cpu);
}

/* A fault leaves nothing of its address behind, here or in the engine. */
static void forget_fault(struct check *k, uint32_t linear)
{
	if (model_forget_fault(&k->model, linear))
		cpu_invalidate_all(k->target.cpu);
	else
		cpu_invalidate(k->target.cpu, linear, linear);
}

#define UPPER_SAYS (PTE_FRAME | PTE_P | PTE_RW | PTE_US | PTE_PS)

/* A global page stays, in the engine's TLB too.  Where the new directory differs from the old one it has to be heard of,
 * or another frame there would not be noticed. */
static void hear_global_pages(struct check *k, uint32_t cr3)
{
	for (uint32_t slot = 0; slot < SLOTS && cr3 != k->space.cr3; slot++)
		if (model_has_global(&k->model, slot) &&
		    (table_word(k, k->space.cr3 + slot * 4) ^ table_word(k, cr3 + slot * 4)) & UPPER_SAYS) {
			cpu_invalidate_all(k->target.cpu); /* one is enough: slot by slot would take a guest's time */
			return;
		}
}

void tlb_event(struct check *k, const struct um_event *event)
{
	uint32_t mode = (uint32_t)event->value;
	switch (event->kind) {
	case UM_EV_MODE:
		if ((mode ^ k->mode) & FORGETTING)
			model_forget_all(&k->model);
		else if ((uint32_t)event->gpa != k->space.cr3)
			model_forget_local(&k->model);
		set_mode(k, mode, event->gpa);
		break;
	case UM_EV_SWITCH:
		model_forget_local(&k->model);
		if (checks(k, CHECK_TLB))
			hear_global_pages(k, (uint32_t)event->gpa);
		set_mode(k, k->mode, event->gpa);
		break;
	case UM_EV_FLUSH_PAGE:
		forget_page(k, (uint32_t)event->gva);
		break;
	case UM_EV_FLUSH_USER:
	case UM_EV_FLUSH_ALL:
		model_forget_all(&k->model);
		k->changes++;
		break;
	case UM_EV_TRACKED:
	case UM_EV_FILL: /* the entry was not there: its table may have been changed while nobody tracked it */
		k->changes++;
		break;
	default:
		break;
	}
}

/* ---- 2. Differences ------------------------------------------------------------------------- */

/* One access, walked. */
struct use {
	const struct cpu_access *access;
	uint32_t linear;
	bool permitted;        /* by the tables as they are now */
	struct space_walk now;
	uint32_t page;         /* permitted: the frame, by its address */
	bool answered;         /* by what was held: no walk was needed */
};

/* Does this entry permit the access without another walk?  A write through a clean one walks again (4.8). */
static bool answers(const struct check *k, uint32_t entry, unsigned access)
{
	return entry_permits(k, entry, access) && (entry & PTE_D || !(access & UM_WRITE));
}

/* The page that a held entry leads to. */
static uint32_t page_of(uint32_t entry, bool large, uint32_t linear)
{
	return large ? (entry & LARGE_FRAME) | (linear & ~LARGE_FRAME & PTE_FRAME) : entry & PTE_FRAME;
}

static void find_writer(const struct check *k, const struct use *use, const struct line *line, struct finding *f)
{
	const uint32_t entries[] = { (uint32_t)use->now.pte_gpa, (uint32_t)use->now.pde_gpa, line ? line->leaf : 0 };
	struct written w;
	for (unsigned n = 0; n < 3; n++)
		if (entries[n] && writers_find(&k->writers, entries[n], &w) && (!f->is_written || w.at > f->write.at)) {
			f->write = w;
			f->is_written = true;
		}
}

static void complain(struct check *k, const struct use *use, enum finding_kind kind, uint32_t held, bool large,
                     const struct line *line)
{
	struct finding f = {
		.kind = kind, .uses = true, .linear = use->linear, .access = use->access->access,
		.holds = true, .held = held, .held_large = large, .walked = true, .now = use->now,
	};
	locate(k, &f);
	find_writer(k, use, line, &f);
	report(k, &f);
}

/* A global page seen from an address space that does not have it (a kernel that gives its processes their kernel entries
 * when they first fault): nothing was taken away if the entry it came from says what it said.  Of a large page that
 * entry is in a directory that may be gone: only a change that was seen counts. */
static bool is_elsewhere(const struct check *k, const struct use *use, const struct line *line, bool large)
{
	struct written w;
	if (!(line->entry & PTE_G) || line->root == k->space.cr3 || use->now.present)
		return false;
	if (large || !(use->now.pde & PTE_P)) {
		if (writers_find(&k->writers, (uint32_t)use->now.pde_gpa, &w) && w.old & PTE_P)
			return false;
		if (large)
			return true;
	}
	uint32_t leaf = table_word(k, line->leaf);
	return leaf & PTE_P && (leaf & PTE_FRAME) == (line->entry & PTE_FRAME) &&
	       !(line->entry & ~leaf & (PTE_RW | PTE_US));
}

/* FINDINGS: none. */
static enum finding_kind compare(const struct check *k, const struct use *use, const struct line *line, bool large)
{
	if (!use->permitted) {
		if (is_elsewhere(k, use, line, large))
			return FINDINGS;
		return use->now.present ? FOUND_RIGHTS : FOUND_GONE;
	}
	if (page_of(line->entry, large, use->linear) == use->page)
		return FINDINGS;
	return line->entry & PTE_G && line->root != k->space.cr3 ? FOUND_SPACES : FOUND_FRAME;
}

/* A first use: the processor may skip the directory and go by the entry that it holds of it.  The leaf entry that it
 * would come to then, merged; 0: it would fault. */
static uint32_t leaf_behind(const struct check *k, uint32_t upper, uint32_t linear)
{
	uint32_t leaf = table_word(k, (upper & PTE_FRAME) + (linear >> 12 & 0x3FF) * 4u);
	return leaf & PTE_P ? leaf & (upper | ~(uint32_t)(PTE_RW | PTE_US)) : 0;
}

static bool upper_differs(const struct check *k, const struct use *use, uint32_t upper, uint32_t *held)
{
	if (!upper || !((upper ^ use->now.pde) & UPPER_SAYS))
		return false;
	*held = leaf_behind(k, upper, use->linear);
	bool would = *held && entry_permits(k, *held, use->access->access);
	if (would)
		return !use->permitted || (*held & PTE_FRAME) != use->page;
	/* It would fault where the tables permit: allowed where rights were added, not where the table is another. */
	return use->permitted && (use->now.large || (upper ^ use->now.pde) & PTE_FRAME);
}

/* false: the instruction has to be known. */
static bool look_for_differences(struct check *k, struct use *use)
{
	uint32_t held;
	for (unsigned large = 0; large < 2; large++) {
		struct line *line = large ? model_large(&k->model, use->linear) : model_page(&k->model, use->linear);
		if (!line || !answers(k, line->entry, use->access->access))
			continue;
		use->answered = true;
		enum finding_kind kind = compare(k, use, line, large);
		if (kind == FINDINGS)
			continue;
		if (!use->access->exact)
			return false;
		complain(k, use, kind, line->entry, large, line);
		line->generation = 0; /* said; from here on it is the tables that count */
	}
	if (use->answered || !upper_differs(k, use, model_upper(&k->model, use->linear), &held))
		return true;
	if (!use->access->exact)
		return false;
	complain(k, use, FOUND_UPPER, held, false, NULL);
	model_hold_upper(&k->model, use->linear, use->now.large ? 0 : use->now.pde);
	return true;
}

/* ---- 3. Holding ----------------------------------------------------------------------------- */

/* What a processor may hold after it held `old` and the tables say `new`, the same frame: either.  The one that permits
 * more and lasts longer, so that a change is noticed that takes away what either permits; where neither is that, the newer.
 * (Never what only both together permit: nobody holds that.) */
static uint32_t either(uint32_t old, uint32_t new)
{
	const uint32_t bits = PTE_RW | PTE_US | PTE_G | PTE_D;
	return new & ~old & bits ? new : old;
}

static void hold(struct check *k, const struct use *use)
{
	struct model *m = &k->model;
	const struct space_walk *w = &use->now;
	uint32_t upper = w->large ? 0 : model_upper(m, use->linear);
	upper = upper && !((upper ^ w->pde) & PTE_FRAME) ? either(upper, w->pde) : w->pde;
	if (!w->large && !use->answered)
		model_hold_upper(m, use->linear, upper);
	uint32_t rights = w->large ? w->pde : w->pte & (upper | ~(uint32_t)(PTE_RW | PTE_US));
	struct line *old = w->large ? model_large(m, use->linear) : model_page(m, use->linear);
	struct line line = {
		.entry = (w->large ? w->pde & LARGE_FRAME : w->pte & PTE_FRAME) | (rights & (PTE_RW | PTE_US | PTE_D)) |
		         (w->global ? PTE_G : 0u),
		.agreed = k->changes,
		.leaf = (uint32_t)(w->large ? w->pde_gpa : w->pte_gpa),
		.root = k->space.cr3,
	};
	/* (One that did not answer was walked for, and replaced.) */
	if (old && answers(k, old->entry, use->access->access) && !((old->entry ^ line.entry) & PTE_FRAME))
		line.entry = either(old->entry, line.entry);
	if (w->large)
		model_hold_large(m, use->linear, &line);
	else
		model_hold_page(m, use->linear, &line);
}

/* ---- 4. An access --------------------------------------------------------------------------- */

/* Nothing was written to any table, nor filled from one, since a held entry was seen to agree. */
static bool is_known(struct check *k, const struct cpu_access *a)
{
	const struct line *line = model_page(&k->model, a->linear);
	if (a->result != UM_OK)
		return false;
	if (!line)
		line = model_large(&k->model, a->linear);
	return line && line->agreed == k->changes && answers(k, line->entry, a->access);
}

bool tlb_access(struct check *k, const struct cpu_access *a)
{
	struct use use = { .access = a, .linear = a->linear,
	                   .permitted = a->result == UM_OK || a->result == UM_TRACKED || a->result == UM_MMIO };
	if (!(k->mode & UM_MODE_PAGING) || (!use.permitted && a->result != UM_FAULT))
		return true;
	if (is_known(k, a))
		return true;
	space_walk(&k->space, a->linear, &use.now);
	use.page = (uint32_t)use.now.gpa & PTE_FRAME;
	if (!look_for_differences(k, &use))
		return false;
	if (!use.permitted)
		forget_fault(k, a->linear);
	else if (use.now.present)
		hold(k, &use);
	return true;
}
