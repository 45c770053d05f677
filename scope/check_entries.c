/* SPDX-License-Identifier: MIT */
/*
 * scope/check_entries.c - what is written into tables: rsvd, alias, freed, stack.
 *
 *   1. Where         which entry of the current address space was written
 *   2. rsvd          reserved bits
 *   3. alias         page tables within user code's reach
 *   4. freed         what cannot be entries, in a table that is linked
 *   5. stack         the running stack's page
 *
 * Each judges by the current page directory: which tables other address spaces link is their own affair until they run.
 */
#include "scope/check_internal.h"

/* ---- 1. Where ------------------------------------------------------------------------------- */

enum level { NOT_LINKED, TABLE, DIRECTORY };

bool is_linked_table(const struct check *k, uint32_t frame)
{
	uint32_t pde[256];
	if (frame == k->space.cr3)
		return true;
	for (unsigned part = 0; part < SLOTS; part += 256) {
		if (k->target.read(k->target.user, k->space.cr3 + part * 4u, pde, sizeof pde) != sizeof pde)
			return false;
		for (unsigned n = 0; n < 256; n++) {
			bool leads = pde[n] & PTE_P && !(pde[n] & PTE_PS && k->mode & UM_MODE_PSE);
			if (leads && (pde[n] & PTE_FRAME) == frame)
				return true;
		}
	}
	return false;
}

static enum level level_of(const struct check *k, uint32_t gpa)
{
	if ((gpa & PTE_FRAME) == k->space.cr3)
		return DIRECTORY;
	return is_linked_table(k, gpa & PTE_FRAME) ? TABLE : NOT_LINKED;
}

static void complain(struct check *k, enum finding_kind kind, const struct written *w, uint32_t value)
{
	struct finding f = { .kind = kind, .eip = w->eip, .cr3 = w->cr3, .exact = w->exact, .ring = w->ring, .at = w->at,
		             .is_written = true, .write = *w, .value = value };
	report(k, &f);
}

/* ---- 2. rsvd -------------------------------------------------------------------------------- */

static void check_reserved(struct check *k, const struct written *w)
{
	bool large = w->new & PTE_PS && k->mode & UM_MODE_PSE;
	uint32_t reserved = (uint32_t)(large ? um_format_i386.level[1].reserved_ps : um_format_i386.level[1].reserved);
	if (w->new & reserved)
		complain(k, FOUND_RESERVED, w, w->new & reserved);
}

/* ---- 3. alias ------------------------------------------------------------------------------- */

#define USER_WRITES (PTE_P | PTE_RW | PTE_US)

/* A supervisor's alias is what every direct map has.  (Frames of tables that were freed may still be tracked: only what
 * the current directory links counts.) */
static void check_alias(struct check *k, const struct written *w, enum level level)
{
	bool large = w->new & PTE_PS && k->mode & UM_MODE_PSE;
	if ((w->new & USER_WRITES) != USER_WRITES)
		return;
	if (level == DIRECTORY && !large) {
		if ((w->new & PTE_FRAME) == k->space.cr3)
			complain(k, FOUND_RECURSIVE, w, (w->gpa & 0xFFFu) / 4);
		return;
	}
	if (level == TABLE && um_is_tracked(k->target.um, w->new >> 12) && is_linked_table(k, w->new & PTE_FRAME))
		complain(k, FOUND_ALIAS, w, w->new & PTE_FRAME);
}

/* ---- 4. freed ------------------------------------------------------------------------------- */

/* Entries of one table that lead beyond memory and all devices, and have no bit of one that maps a device (PCD): one
 * may be a mistake of its own, two are no entries.  (A paravirtual guest's devices are memory behind its own.) */
#define CANNOT_BE 2u
#define PTE_PCD (1u << 4)

static bool cannot_be(const struct check *k, uint32_t entry)
{
	return entry & PTE_P && !(entry & PTE_PCD) && !k->target.paravirtual &&
	       (uint64_t)(entry & PTE_FRAME) >= k->target.ram_bytes;
}

/* Part of a range that is mapped: beside an entry with the frame beside its own, or where its own address has it. */
static bool is_of_a_range(const struct check *k, uint32_t gpa, uint32_t entry)
{
	const uint32_t set_by_processors = PTE_A | PTE_D;
	uint32_t index = gpa / 4 % SLOTS;
	if ((entry >> 12) % SLOTS == index)
		return true;
	return (index > 0 && !((table_word(k, gpa - 4) ^ (entry - 0x1000)) & ~set_by_processors)) ||
	       (index < SLOTS - 1 && !((table_word(k, gpa + 4) ^ (entry + 0x1000)) & ~set_by_processors));
}

static bool is_junk(const struct check *k, uint32_t gpa, uint32_t entry)
{
	return cannot_be(k, entry) && !is_of_a_range(k, gpa, entry);
}

static void check_freed(struct check *k, const struct written *w)
{
	unsigned count = 0;
	if (!is_junk(k, w->gpa, w->new) || (w->known && cannot_be(k, w->old)))
		return;
	for (uint32_t gpa = w->gpa & PTE_FRAME, n = 0; n < SLOTS && count < CANNOT_BE; n++, gpa += 4)
		count += is_junk(k, gpa, table_word(k, gpa));
	if (count >= CANNOT_BE)
		complain(k, FOUND_FREED, w, w->gpa & PTE_FRAME);
}

/* ---- 5. stack ------------------------------------------------------------------------------- */

/* The next push would fault, and the fault's own pushes with it. */
static void check_stack(struct check *k, const struct written *w)
{
	bool gone = !(w->new & PTE_P), read_only = !gone && w->old & ~w->new & PTE_RW && k->mode & UM_MODE_WP;
	struct cpu_regs regs;
	struct space_walk now;
	if (w->device || !(w->old & PTE_P) || !(gone || read_only))
		return;
	cpu_get_regs(k->target.cpu, &regs);
	if (regs.cpl != 0)
		return;
	space_walk(&k->space, regs.gpr[CPU_ESP], &now);
	if (w->gpa == now.pde_gpa || w->gpa == now.pte_gpa)
		complain(k, gone ? FOUND_STACK_GONE : FOUND_STACK_READ_ONLY, w, regs.gpr[CPU_ESP]);
}

void entry_written(struct check *k, const struct written *w)
{
	if (!(k->mode & UM_MODE_PAGING))
		return;
	if (checks(k, CHECK_STACK))
		check_stack(k, w);
	if (!(w->new & PTE_P) || !checks(k, CHECK_RSVD | CHECK_ALIAS | CHECK_FREED))
		return;
	bool suspicious = cannot_be(k, w->new) || (w->new & USER_WRITES) == USER_WRITES || w->new & PTE_PS;
	enum level level = suspicious ? level_of(k, w->gpa) : NOT_LINKED;
	if (level == DIRECTORY && checks(k, CHECK_RSVD))
		check_reserved(k, w);
	if (level != NOT_LINKED && checks(k, CHECK_ALIAS))
		check_alias(k, w, level);
	if (level == TABLE && checks(k, CHECK_FREED))
		check_freed(k, w);
}
