/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/mmu.c - page tables: what the guest tells of them, and what the core is told.
 *
 *   1. Refusals         PAE
 *   2. Learning         tracked until the guest is known to tell, told from then on
 *   3. NEW_PGTABLE
 *   4. Changes          SET_PTE, SET_PMD/SET_PGD
 *   5. Flushes, the stack
 *
 * A guest is silent about some of its writes while it boots: families B and C until their first NEW_PGTABLE,
 * the later ones until they load a table that is neither of the two that Linux boots on (releases of D and E
 * differ; being told late costs time only).  So long its tables are write-protected and every write is seen;
 * then the core is told, and what the guest does to address spaces that are not active without a word (family
 * B) is found when they are switched to.
 */
#include "guest/lguest/internal.h"

/* ---- 1. Refusals ---------------------------------------------------------------------------- */

static void refuse_pae(struct lguest *lg, const char *how)
{
	lguest_kill(lg, "a PAE guest (%s): umbra runs lguest kernels built without PAE only", how);
}

/* The top level of a PAE guest: four entries of 8 bytes, with no flag but present, and little else. */
static bool looks_like_pae(const struct lguest *lg, uint32_t top)
{
	const uint8_t *table = lg->world.ram + top;
	bool any = false;

	for (unsigned n = 0; n < 4; n++) {
		uint32_t low = get32(table + 8 * n), high = get32(table + 8 * n + 4);

		if (high || (low && (low & 0xFFF) != 1))
			return false;
		any = any || low;
	}
	/* Linux without PAE would have its kernel here. */
	return any && !get32(table + 4 * (lg->kernel_address >> 22));
}

/* ---- 2. Learning ---------------------------------------------------------------------------- */

enum { OLD_SILENT_ROOTS = 0, NEW_SILENT_ROOTS = 2 };

static bool has_seen(const struct lguest *lg, uint32_t top)
{
	for (unsigned n = 0; n < lg->seen_roots; n++)
		if (lg->seen_root[n] == top)
			return true;
	return false;
}

/* Will the guest tell from now on, with `top` in force? */
static bool begins_to_tell(struct lguest *lg, uint32_t top)
{
	unsigned silent = lg->family >= LGUEST_D ? NEW_SILENT_ROOTS : OLD_SILENT_ROOTS;

	if (has_seen(lg, top))
		return false;
	if (lg->seen_roots >= silent)
		return true;
	lg->seen_root[lg->seen_roots++] = top;
	return false;
}

/* ---- 3. NEW_PGTABLE ------------------------------------------------------------------------- */

void lguest_enter_window(struct lguest *lg)
{
	/* Without memory now the processor asks again when it needs the window. */
	(void)um_window_enter(lg->world.um, 0);
}

void lguest_call_new_pgtable(struct lguest *lg, const uint32_t arg[4])
{
	uint32_t top = arg[0];

	if (top % UM_PAGE_SIZE) {
		refuse_pae(lg, "its page directory is not at a page's start");
		return;
	}
	if (!lguest_holds(lg, top, UM_PAGE_SIZE)) {
		lguest_kill(lg, "bad read address %#x len %u", top, UM_PAGE_SIZE);
		return;
	}
	if (lg->family >= LGUEST_D && !lg->tells && looks_like_pae(lg, top)) {
		refuse_pae(lg, "its page directory has the form of one");
		return;
	}
	if (!lg->tells && begins_to_tell(lg, top)) {
		(void)um_set_learn(lg->world.um, UM_LEARN_TOLD);
		lg->tells = true;
	}
	lg->root = top;
	lg->flat = false;
	cpu_set_root(lg->world.cpu, true, top);
	lguest_enter_window(lg);
}

/* ---- 4. Changes ----------------------------------------------------------------------------- */

/* Present is the first test of all: other values are the guest's own business, whatever bits they have.  One
 * that has been used would be installed at once, so it is judged at once. */
static bool check_pte(struct lguest *lg, uint32_t pte)
{
	enum { PRESENT = 1, ACCESSED = 0x20, DIRTY = 0x40, LARGE = 0x80 };

	if (!(pte & PRESENT) || !(pte & (ACCESSED | DIRTY)))
		return true;
	if (!(pte & LARGE) && (lg->f->pci || lguest_holds(lg, pte & ~(UM_PAGE_SIZE - 1), UM_PAGE_SIZE)))
		return true;
	lguest_kill(lg, "bad page table entry %#x", pte);
	return false;
}

/* While tables are tracked there is nothing to tell, but it may mean "flush this page". */
void lguest_call_set_pte(struct lguest *lg, const uint32_t arg[4])
{
	struct um *um = lg->world.um;
	uint32_t top = arg[0], vaddr = arg[1], pte = arg[2];

	if (vaddr >= LGUEST_WINDOW) {
		lguest_kill(lg, "attempt to set pte into Switcher pages: %#x", vaddr);
		return;
	}
	if (!check_pte(lg, pte))
		return;
	if (!lg->tells)
		um_flush_page(um, vaddr);
	else if (um_set_pte(um, top, vaddr, pte) == UM_STOP)
		lguest_core_stopped(lg);
}

static void set_top_entry(struct lguest *lg, uint32_t table, uint32_t index)
{
	/* The window's own entries are refused: they stay as they are. */
	if (lg->tells)
		(void)um_set_pde(lg->world.um, table, index);
	else if (!lg->flat)
		cpu_set_root(lg->world.cpu, true, lg->root);
}

/* Families B and C: an index in the reserved area, or beyond the table, is ignored. */
void lguest_call_set_pmd(struct lguest *lg, const uint32_t arg[4])
{
	if (arg[1] < LGUEST_WINDOW >> 22)
		set_top_entry(lg, arg[0], arg[1]);
}

void lguest_call_set_pgd(struct lguest *lg, const uint32_t arg[4])
{
	enum { TOP_ENTRIES = 1024 };

	if (arg[0] % UM_PAGE_SIZE)
		refuse_pae(lg, "SET_PGD of a directory that is not at a page's start");
	else if (arg[1] >= TOP_ENTRIES && lg->family >= LGUEST_F)
		lguest_kill(lg, "Attempt to set pgd %u/%u", arg[1], TOP_ENTRIES);
	else if (arg[1] < LGUEST_WINDOW >> 22)
		set_top_entry(lg, arg[0], arg[1]);
}

/* Call 13: the middle level, which only PAE has. */
void lguest_call_middle(struct lguest *lg, const uint32_t arg[4])
{
	(void)arg;
	refuse_pae(lg, "it made call 13, SET_PMD");
}

/* ---- 5. Flushes, the stack ------------------------------------------------------------------ */

void lguest_call_flush_tlb(struct lguest *lg, const uint32_t arg[4])
{
	struct um *um = lg->world.um;

	if (lg->flat)
		return;
	if (!lg->tells)
		cpu_set_root(lg->world.cpu, true, lg->root); /* all that is cached is in step then */
	else if (arg[0])
		um_flush_all(um);
	else
		um_flush_user(um);
	if (!arg[0])
		return;
	lguest_enter_window(lg);
	(void)lguest_pin_stack(lg, false);
}

/* The pages below esp1, writable now.  `must`: the guest says that they are; else it may have unmapped them. */
bool lguest_pin_stack(struct lguest *lg, bool must)
{
	for (unsigned n = 0; n < lg->stack_pages; n++) {
		uint32_t at = lg->esp1 - 1 - n * UM_PAGE_SIZE;
		enum um_result result = um_pin_page(lg->world.um, at);

		if (result == UM_OK || result == UM_TRACKED || result == UM_NOMEM || !must)
			continue;
		if (result == UM_STOP)
			lguest_core_stopped(lg);
		else
			lguest_kill(lg, "bad stack page %#x", at);
		return false;
	}
	return true;
}
