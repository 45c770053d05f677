/* SPDX-License-Identifier: MIT */
/*
 * scope/space.c - an address space as the guest's own tables have it.
 *
 *   1. Of a running vm
 *   2. Walking          space_walk(): SDM vol. 3, 4.3, figure 4-4; space_peek()
 *   3. Rights           space_permits(): SDM vol. 3, 4.6
 */
#include "scope/space.h"

#include "vmm/vmm.h"

enum { CR0_WP = 1u << 16, CR4_PSE = 1u << 4, CR4_PGE = 1u << 7 };
#define CR0_PG (1u << 31)
enum { PTE_P = 1u << 0, PTE_RW = 1u << 1, PTE_US = 1u << 2, PTE_A = 1u << 5, PTE_D = 1u << 6, PTE_PS = 1u << 7,
       PTE_G = 1u << 8 };

/* ---- 1. Of a running vm --------------------------------------------------------------------- */

static size_t read_vm(void *vm, uint64_t gpa, void *buf, size_t bytes)
{
	return vm_read_physical(vm, gpa, buf, bytes);
}

void space_of_vm(struct space *space, struct vm *vm, const struct symbols *symbols)
{
	struct cpu_state s;
	cpu_get_state(vm_cpu(vm), &s);
	*space = (struct space){
		.user = vm,
		.read = read_vm,
		.ram_bytes = vm_ram_bytes(vm),
		.device_bytes = vm_lguest(vm) ? LGUEST_DEVICE_PAGES * UM_PAGE_SIZE : 0,
		.cr0 = s.cr0, .cr3 = s.cr3, .cr4 = s.cr4,
		.eip = s.eip, .esp = s.gpr[CPU_ESP],
		.cpl = s.eflags & 1u << 17 ? 3u : s.seg[CPU_CS].selector & 3u,
		.um = vm_shadow(vm),
		.symbols = symbols,
	};
}

/* ---- 2. Walking ----------------------------------------------------------------------------- */

static bool read_entry(const struct space *space, uint64_t gpa, uint32_t *entry)
{
	*entry = 0;
	return space->read(space->user, gpa, entry, sizeof *entry) == sizeof *entry;
}

/* A leaf's own bits, on top of what is above it. */
static void take_leaf(const struct space *space, struct space_walk *w, uint32_t entry)
{
	w->accessed = entry & PTE_A;
	w->dirty = entry & PTE_D;
	w->global = entry & PTE_G && space->cr4 & CR4_PGE;
	w->present = true;
}

void space_walk(const struct space *space, uint32_t linear, struct space_walk *w)
{
	*w = (struct space_walk){ 0 };
	if (!(space->cr0 & CR0_PG)) {
		w->present = w->writable = w->user = w->accessed = w->dirty = true;
		w->gpa = linear;
		return;
	}
	w->pde_gpa = (space->cr3 & ~0xFFFu) + (uint64_t)(linear >> 22) * 4;
	if (!read_entry(space, w->pde_gpa, &w->pde)) {
		w->outside = true;
		return;
	}
	if (!(w->pde & PTE_P))
		return;
	w->writable = w->pde & PTE_RW;
	w->user = w->pde & PTE_US;
	if (w->pde & PTE_PS && space->cr4 & CR4_PSE) {
		w->large = true;
		w->reserved = w->pde & um_format_i386.level[1].reserved_ps;
		w->gpa = (w->pde & 0xFFC00000u) | (linear & 0x3FFFFFu);
		if (!w->reserved)
			take_leaf(space, w, w->pde);
		return;
	}
	w->pte_gpa = (w->pde & ~0xFFFu) + (uint64_t)(linear >> 12 & 0x3FF) * 4;
	if (!read_entry(space, w->pte_gpa, &w->pte)) {
		w->outside = true;
		return;
	}
	if (!(w->pte & PTE_P))
		return;
	w->writable = w->writable && w->pte & PTE_RW;
	w->user = w->user && w->pte & PTE_US;
	w->gpa = (w->pte & ~0xFFFu) | (linear & 0xFFFu);
	take_leaf(space, w, w->pte);
}

size_t space_peek(const struct space *space, uint32_t linear, void *buf, size_t bytes)
{
	size_t done = 0;
	while (done < bytes) {
		struct space_walk w;
		uint32_t at = linear + (uint32_t)done;
		size_t piece = UM_PAGE_SIZE - at % UM_PAGE_SIZE;
		space_walk(space, at, &w);
		if (piece > bytes - done)
			piece = bytes - done;
		if (!w.present || space->read(space->user, w.gpa, (uint8_t *)buf + done, piece) != piece)
			break;
		done += piece;
	}
	return done;
}

/* ---- 3. Rights ------------------------------------------------------------------------------ */

bool space_permits(const struct space *space, const struct space_walk *w, unsigned access)
{
	if (!w->present)
		return false;
	if (access & UM_USER)
		return w->user && (w->writable || !(access & UM_WRITE));
	return w->writable || !(access & UM_WRITE) || !(space->cr0 & CR0_WP);
}
