/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/init.c - LGUEST_INIT: the first call, and what it tells of the family.
 *
 *   1. Recognition   the registers, the instruction, and the contents of the structure
 *   2. INIT          step by step
 *
 * A fresh struct lguest_data has 64 bytes of 0xFF, the ring's status, at an offset that tells families A, B/C
 * and the later ones apart; its static tail tells the later ones from each other.  The register that holds
 * its address fixes the order of arguments.  F and G1 are alike here: the image may have said which.
 */
#include "guest/lguest/internal.h"

/* ---- 1. Recognition ------------------------------------------------------------------------- */

#define SMALLEST_DATA 1120u /* family A's */
enum { STATUS_A = 12, STATUS_BC = 20, STATUS_LATER = 24 };

static uint32_t word_at(const struct lguest *lg, uint32_t gpa)
{
	return lguest_holds(lg, gpa, 4) ? get32(lg->world.ram + gpa) : 0;
}

/* Is the ring's status at this offset, nothing pending? */
static bool has_status(const struct lguest *lg, uint32_t data, unsigned offset)
{
	const uint8_t *at = lg->world.ram + data;

	for (unsigned n = 0; n < RING_SLOTS; n++)
		if (at[offset + n] != SLOT_FREE)
			return false;
	/* ... and no more than that: the word before and the one after are not part of it. */
	return at[offset - 1] != SLOT_FREE && at[offset + RING_SLOTS] != SLOT_FREE;
}

static bool could_be_syscall(uint32_t vector) { return vector == 0x80 || vector == 0x40; }

/* Does the static tail say what the linker of such a kernel filled in? */
static bool has_tail(const struct lguest *lg, uint32_t data, enum lguest_family family)
{
	const struct family *f = &lguest_families[family];
	uint32_t split = word_at(lg, data + f->kernel_address);

	return split && !(split & 0x3FFFFF) && could_be_syscall(word_at(lg, data + f->syscall_vec));
}

/* The families with the later layout; without a tail that says so, what the call says. */
static enum lguest_family later_family(const struct lguest *lg, uint32_t data, bool by_vmcall)
{
	if (by_vmcall)
		return LGUEST_D;
	if (has_tail(lg, data, LGUEST_F))
		return lg->version >= LGUEST_VERSION(4, 0, 0) ? LGUEST_G1 : LGUEST_F;
	if (has_tail(lg, data, LGUEST_G2))
		return LGUEST_G2;
	return has_tail(lg, data, LGUEST_E) ? LGUEST_E : LGUEST_F;
}

static bool refuse_a(struct lguest *lg)
{
	lguest_kill(lg, "this guest speaks the interface of Linux 2.6.23 (family A), which umbra does not: "
	                "2.6.24 to 4.13 are supported");
	return false;
}

/* Which family has its structure at `data`, given in this register?  AUTO: none; *a: the first one. */
static enum lguest_family family_of(const struct lguest *lg, uint32_t data, enum save reg, bool by_vmcall,
                                    bool *a)
{
	if (!data || !lguest_holds(lg, data, SMALLEST_DATA))
		return LGUEST_AUTO;
	if (has_status(lg, data, STATUS_A))
		*a = true;
	else if (has_status(lg, data, STATUS_BC))
		return reg == SAVE_EDX && !by_vmcall ? LGUEST_B : reg == SAVE_EBX ? LGUEST_C : LGUEST_AUTO;
	else if (has_status(lg, data, STATUS_LATER) && reg == SAVE_EBX)
		return later_family(lg, data, by_vmcall);
	return LGUEST_AUTO;
}

bool lguest_recognise(struct lguest *lg, bool by_vmcall)
{
	static const enum save order[] = { SAVE_EDX, SAVE_EBX };
	enum lguest_family family = lg->wanted;
	bool a = false;

	for (unsigned n = 0; family == LGUEST_AUTO && n < sizeof order / sizeof *order; n++)
		family = family_of(lg, lg->save[order[n]], order[n], by_vmcall, &a);
	if (family == LGUEST_AUTO && a)
		return refuse_a(lg);
	if (family == LGUEST_AUTO) {
		lguest_kill(lg, "bad guest page: no family's lguest_data is at %#x or %#x", lg->save[SAVE_EDX],
		            lg->save[SAVE_EBX]);
		return false;
	}
	if (lg->wanted == LGUEST_AUTO)
		lguest_set_family(lg, family);
	return lg->end == LGUEST_RUNS;
}

/* The embedder puts the devices where this family looks for them, and says where memory ends then. */
void lguest_set_family(struct lguest *lg, enum lguest_family family)
{
	lg->family = family;
	lg->f = &lguest_families[family];
	if (family != LGUEST_AUTO && lg->world.recognised)
		lg->limit = lg->world.recognised(lg->world.user, family);
}

/* ---- 2. INIT -------------------------------------------------------------------------------- */

/* The guest reads the code that it must not be interrupted in once only, and so do we. */
static void read_static(struct lguest *lg)
{
	const struct family *f = lg->f;

	lg->syscall_vec = lguest_get(lg, f->syscall_vec);
	lg->kernel_address = lguest_get(lg, f->kernel_address);
	if (f->noirq_start) {
		lg->noirq_start = lguest_get(lg, f->noirq_start);
		lg->noirq_end = lguest_get(lg, f->noirq_end);
	}
	if (f->noirq_iret)
		lg->noirq_iret = lguest_get(lg, f->noirq_iret);
}

/* The tables that a kernel of families D and E begins with have the kernel's alias where most kernels have
 * theirs.  One that was built for another split finds it there as well. */
static void complete_alias(struct lguest *lg)
{
	uint32_t slot = lg->kernel_address >> 22, slots = (uint32_t)((lg->world.ram_bytes + 0x3FFFFF) >> 22);

	if (!lg->f->alias || lg->flat || !lguest_holds(lg, lg->root, UM_PAGE_SIZE) || slot < slots)
		return;
	for (uint32_t n = 0; n < slots && slot + n < LGUEST_WINDOW >> 22; n++) {
		uint8_t *entry = lg->world.ram + lg->root + 4 * (slot + n);

		if (get32(entry))
			continue;
		put32(entry, get32(lg->world.ram + lg->root + 4 * n));
		lguest_wrote(lg, lg->root + 4 * (slot + n), 4);
	}
}

void lguest_call_init(struct lguest *lg, const uint32_t arg[4])
{
	const struct family *f = lg->f;

	if (lg->initialised) {
		lguest_kill(lg, "already have lguest_data");
		return;
	}
	if (!lguest_holds(lg, arg[0], f->bytes)) {
		lguest_kill(lg, "bad guest page %#x", arg[0]);
		return;
	}
	lg->data = arg[0];
	read_static(lg);
	lguest_set(lg, f->tsc_khz, lg->world.tsc_khz);
	if (!could_be_syscall(lg->syscall_vec)) {
		lguest_kill(lg, "bad syscall vector %u", lg->syscall_vec);
		return;
	}
	lg->initialised = true;
	lguest_update_time(lg);
	lguest_set(lg, f->reserve_mem, LGUEST_WINDOW_BYTES);
	if (f->pgdir)
		lguest_set(lg, f->pgdir, lg->root);
	if (lg->kernel_address >= LGUEST_WINDOW || um_set_user_end(lg->world.um, lg->kernel_address) != UM_OK) {
		lguest_kill(lg, "bad kernel address %#x", lg->kernel_address);
		return;
	}
	complete_alias(lg);
	lguest_refresh_gates(lg);
	lguest_enter_window(lg);
}
