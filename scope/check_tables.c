/* SPDX-License-Identifier: MIT */
/*
 * scope/check_tables.c - entries, directories and control bits that do not go together: half, slot, wp.
 *
 *   1. Saying          a finding about an access
 *   2. Waiting         for the kernel to add what is missing
 *   3. half            a kernel entry that another directory has and this one lacks
 *      slot            tables looked for in a slot that is not the recursive one
 *   4. wp              ring 0 writes to a read-only page while CR0.WP is clear
 *   5. Hearing
 *
 * Each is judged from the tables in memory as one access finds them, after a cheap test of what the shadow answered.
 */
#include "scope/check_internal.h"

#include <string.h>

static uint32_t directory_entry(const struct check *k, uint32_t directory, uint32_t linear)
{
	return table_word(k, (uint64_t)directory + (linear >> 22) * 4);
}

/* ---- 1. Saying ------------------------------------------------------------------------------ */

static struct finding finding_of(struct check *k, const struct cpu_access *a, enum finding_kind kind)
{
	struct finding f = { .kind = kind, .uses = true, .linear = a->linear, .access = a->access, .walked = true };
	space_walk(&k->space, a->linear, &f.now);
	f.is_written = writers_made(k, (uint32_t)(f.now.pte_gpa ? f.now.pte_gpa : f.now.pde_gpa), &f.write);
	locate(k, &f);
	return f;
}

/* ---- 2. Waiting ----------------------------------------------------------------------------- */

/* Many kernels add or copy a missing entry when it is missed, in their page-fault handler: that is no mistake. */
static void wait_for(struct check *k, const struct finding *f)
{
	if (k->tables.missings < MISSING_MAX)
		k->tables.missing[k->tables.missings++] = *f;
}

static void settle(struct check *k, bool end)
{
	struct tables *t = &k->tables;
	unsigned kept = 0;
	for (unsigned n = 0; n < t->missings; n++) {
		struct finding f = t->missing[n];
		bool patient = cpu_instructions(k->target.cpu) - f.at < MISSING_PATIENCE;
		if (directory_entry(k, f.cr3, f.linear) & PTE_P)
			continue;
		if (!end && patient && f.cr3 == k->space.cr3)
			t->missing[kept++] = f;
		else
			report(k, &f);
	}
	t->missings = kept;
}

/* ---- 3. half, slot -------------------------------------------------------------------------- */

#define ACCESSED_DIRTY (PTE_A | PTE_D)

static void remember_directory(struct tables *t, uint32_t directory)
{
	unsigned n = 0;
	while (n < t->directories && t->directory[n] != directory)
		n++;
	if (n == t->directories && n < DIRECTORIES_MAX)
		t->directories++;
	if (n == DIRECTORIES_MAX)
		n--; /* the oldest goes */
	memmove(t->directory + 1, t->directory, n * sizeof t->directory[0]);
	t->directory[0] = directory;
}

/* Does this directory map the same kernel?  (One that was freed and is something else now does not.) */
static bool is_kin(const struct check *k, uint32_t other, uint32_t eip)
{
	uint32_t ours = directory_entry(k, k->space.cr3, eip), theirs = directory_entry(k, other, eip);
	return ours & PTE_P && !((ours ^ theirs) & ~(uint32_t)ACCESSED_DIRTY);
}

static void check_half(struct check *k, const struct cpu_access *a)
{
	struct tables *t = &k->tables;
	/* What is below the kernel's code is mostly a process's: whatever it has there, others need not have. */
	if (a->linear >> 22 < a->eip >> 22)
		return;
	for (unsigned n = 0; n < t->directories; n++) {
		uint32_t other = t->directory[n], entry = directory_entry(k, other, a->linear);
		if (other == k->space.cr3 || (entry & (PTE_P | PTE_US)) != PTE_P || !is_kin(k, other, a->eip))
			continue;
		struct finding f = finding_of(k, a, FOUND_HALF);
		f.value = other;
		f.is_written = writers_made(k, other + (a->linear >> 22) * 4, &f.write);
		wait_for(k, &f);
		return;
	}
}

uint32_t through_slot(uint32_t linear, uint32_t slot)
{
	uint32_t meant = linear >> 22, index = linear >> 12 & (SLOTS - 1);
	return slot << 22 | (index == meant ? slot : index) << 12 | (linear & 0xFFFu);
}

/* User addresses, and whatever else a kernel has elsewhere, are not looked at: who errs about the slot errs by a little. */
static bool are_near(uint32_t slot, uint32_t other)
{
	return slot >> 8 == other >> 8; /* the same GiB */
}

static void check_slot(struct check *k, const struct cpu_access *a)
{
	uint32_t directory[SLOTS];
	struct space_walk meant;
	if (k->target.read(k->target.user, k->space.cr3, directory, sizeof directory) != sizeof directory)
		return;
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		if (!(directory[slot] & PTE_P) || (directory[slot] & PTE_FRAME) != k->space.cr3 ||
		    !are_near(slot, a->linear >> 22))
			continue;
		space_walk(&k->space, through_slot(a->linear, slot), &meant);
		if (!meant.present || meant.large)
			continue;
		struct finding f = finding_of(k, a, FOUND_SLOT);
		f.value = slot;
		wait_for(k, &f);
		return;
	}
}

/* ---- 4. wp ---------------------------------------------------------------------------------- */

static void check_wp(struct check *k, const struct cpu_access *a)
{
	struct finding f = finding_of(k, a, FOUND_WP);
	if (f.now.present && !f.now.writable)
		report(k, &f);
}

/* ---- 5. Hearing ----------------------------------------------------------------------------- */

bool tables_access(struct check *k, const struct cpu_access *a)
{
	bool fault = a->result == UM_FAULT;
	if (!(k->mode & UM_MODE_PAGING))
		return true;
	if (k->tables.missings)
		settle(k, false);
	if (a->access & UM_USER)
		return true;
	bool wp = checks(k, CHECK_WP) && a->access & UM_WRITE && !(k->mode & UM_MODE_WP) && !fault;
	bool hole = checks(k, CHECK_HALF | CHECK_SLOT) && fault && !(a->map->error & UM_PRESENT) &&
	            !(directory_entry(k, k->space.cr3, a->linear) & PTE_P);
	if (!wp && !hole)
		return true;
	if (!a->exact)
		return false;
	if (wp)
		check_wp(k, a);
	if (hole && checks(k, CHECK_SLOT))
		check_slot(k, a);
	if (hole && checks(k, CHECK_HALF))
		check_half(k, a);
	return true;
}

void tables_root(struct check *k)
{
	if (!(k->mode & UM_MODE_PAGING))
		return;
	if (k->tables.missings)
		settle(k, false);
	remember_directory(&k->tables, k->space.cr3);
}

void tables_end(struct check *k)
{
	settle(k, true);
}
