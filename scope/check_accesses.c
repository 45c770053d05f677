/* SPDX-License-Identifier: MIT */
/*
 * scope/check_accesses.c - what is done with mappings: rsvd, alias, beyond, wx, user.
 *
 *   1. Faults      rsvd, user
 *   2. Tables      alias: user code writes one; rsvd: PS where it means nothing, CR3's low bits
 *   3. Devices     beyond
 *   4. Code        wx
 */
#include "scope/check_internal.h"

/* false: the instruction has to be known. */
static bool complain(struct check *k, const struct cpu_access *a, enum finding_kind kind, const struct space_walk *now,
                     uint32_t value)
{
	struct finding f = { .kind = kind, .uses = true, .linear = a->linear, .access = a->access, .value = value };
	if (!a->exact)
		return false;
	if (now) {
		f.walked = true;
		f.now = *now;
		f.is_written = writers_made(k, (uint32_t)(now->pte_gpa ? now->pte_gpa : now->pde_gpa), &f.write);
	}
	locate(k, &f);
	report(k, &f);
	return true;
}

/* ---- 1. Faults ------------------------------------------------------------------------------ */

static bool check_fault(struct check *k, const struct cpu_access *a)
{
	struct space_walk now;
	if (a->map->error & UM_RSVD && checks(k, CHECK_RSVD)) {
		space_walk(&k->space, a->linear, &now);
		return complain(k, a, FOUND_RESERVED, &now, (uint32_t)um_format_i386.level[1].reserved_ps & now.pde);
	}
	if (!(a->access & UM_USER) || !(a->map->error & UM_PRESENT) || !checks(k, CHECK_USER))
		return true;
	space_walk(&k->space, a->linear, &now);
	bool split = !now.large && now.pte & PTE_US && !(now.pde & PTE_US);
	return !now.present || now.user || complain(k, a, split ? FOUND_SPLIT : FOUND_USER, &now, 0);
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

/* Without CR4.PSE the bit is ignored, and what was meant as a page is taken for a table. */
static bool check_ps(struct check *k, const struct cpu_access *a)
{
	uint32_t pde = table_word(k, k->space.cr3 + (a->linear >> 22) * 4);
	struct space_walk now;
	if (k->mode & UM_MODE_PSE || (pde & (PTE_P | PTE_PS)) != (PTE_P | PTE_PS))
		return true;
	space_walk(&k->space, a->linear, &now);
	return complain(k, a, FOUND_PS, &now, 0);
}

/* The low bits of CR3 do not address: PWT, PCD, and bits that are ignored (SDM vol. 3, table 4-3). */
#define CR3_IGNORED 0xFE7u

void judge_root(struct check *k)
{
	uint32_t cr3 = cpu_get_cr3(k->target.cpu);
	struct finding f = { .kind = FOUND_CR3, .value = cr3 };
	if (!checks(k, CHECK_RSVD) || !(k->mode & UM_MODE_PAGING) || !(cr3 & CR3_IGNORED))
		return;
	locate(k, &f);
	report(k, &f);
}

/* ---- 3. Devices ----------------------------------------------------------------------------- */

/* Heard right after the access that was let pass as a device's. */
void judge_absent(struct check *k, bool write, um_gpa gpa, unsigned bytes)
{
	struct finding f = { .kind = FOUND_BEYOND, .uses = true, .linear = k->device.linear, .access = k->device.access,
		             .walked = true };
	(void)write, (void)bytes;
	if (!checks(k, CHECK_BEYOND) || !k->device.seen || (gpa ^ k->device.gpa) >> 12)
		return;
	k->device.seen = false;
	space_walk(&k->space, f.linear, &f.now);
	f.is_written = writers_find_now(&k->writers, (uint32_t)(f.now.large ? f.now.pde_gpa : f.now.pte_gpa),
	                                f.now.large ? f.now.pde : f.now.pte, &f.write);
	locate(k, &f);
	report(k, &f);
}

static bool check_device(struct check *k, const struct cpu_access *a)
{
	if (!a->exact)
		return false;
	k->device.seen = true;
	k->device.linear = a->linear;
	k->device.access = a->access;
	k->device.gpa = a->map->gpa;
	return true;
}

/* ---- 4. Code -------------------------------------------------------------------------------- */

/* Without an execute bit every page may be executed, so W+X is the rule and not a mistake - until a kernel write-protects
 * its code.  From then on, code in a writable page is what it missed.  It may be busy protecting: only a page that runs
 * writable again after a flush counts.  Pages side by side are one finding. */
#define WX_SAID UINT32_MAX

static bool check_code(struct check *k, const struct cpu_access *a)
{
	uint32_t page = a->linear >> 12, *suspect = &k->suspect[page];
	struct cpu_regs regs;
	struct space_walk now;
	space_walk(&k->space, a->linear, &now);
	cpu_get_regs(k->target.cpu, &regs);
	if (!now.present || regs.cpl != 0 || !(k->mode & UM_MODE_WP))
		return true;
	if (!now.writable) {
		k->protects = true;
		*suspect = 0;
		return true;
	}
	if (!k->protects || *suspect == WX_SAID || *suspect == k->model.local)
		return true;
	if (!*suspect) {
		*suspect = k->model.local;
		return true;
	}
	bool goes_on = k->suspect[(page - 1) % PAGES] == WX_SAID || k->suspect[(page + 1) % PAGES] == WX_SAID;
	if (!goes_on && !complain(k, a, FOUND_WX, &now, 0))
		return false;
	*suspect = WX_SAID;
	return true;
}

bool judge_access(struct check *k, const struct cpu_access *a)
{
	bool content = true;
	k->device.seen = false;
	if (!(k->mode & UM_MODE_PAGING))
		return true;
	if (checks(k, CHECK_RSVD))
		content &= check_ps(k, a);
	switch (a->result) {
	case UM_FAULT:
		content &= check_fault(k, a);
		break;
	case UM_TRACKED:
		if (a->access & UM_USER && checks(k, CHECK_ALIAS) && is_linked_table(k, (uint32_t)a->map->gpa & PTE_FRAME))
			content &= complain(k, a, FOUND_TABLE_WRITE, NULL, (uint32_t)a->map->gpa);
		break;
	case UM_MMIO:
		if (checks(k, CHECK_BEYOND))
			content &= check_device(k, a);
		break;
	default:
		break;
	}
	if (a->access & UM_FETCH && !(a->access & UM_USER) && a->result == UM_OK && checks(k, CHECK_WX))
		content &= check_code(k, a);
	return content;
}
