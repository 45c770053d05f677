/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/start.c - making a host, and the state in which a guest begins.
 *
 *   1. Life         lguest_new, lguest_free
 *   2. The window   register page and state page: GDT, IDT, TSS of the processor
 *   3. The guest    what is known of it before its first call: nothing
 *   4. The start    lguest_start: core and processor
 */
#include <stdlib.h>

#include "guest/lguest/internal.h"

/* ---- 1. Life -------------------------------------------------------------------------------- */

struct lguest *lguest_new(const struct lguest_world *world)
{
	struct lguest *lg = calloc(1, sizeof *lg);

	if (!lg)
		return NULL;
	lg->world = *world;
	lg->pages = aligned_alloc(UM_PAGE_SIZE, 2 * UM_PAGE_SIZE);
	if (!lg->pages) {
		free(lg);
		return NULL;
	}
	memset(lg->pages, 0, 2 * UM_PAGE_SIZE);
	lg->save = (uint32_t *)(void *)(lg->pages + SAVE_OFFSET);
	lg->f = &lguest_families[LGUEST_AUTO];
	lg->alarm = UINT64_MAX;
	return lg;
}

void lguest_free(struct lguest *lg)
{
	if (!lg)
		return;
	free(lg->pages);
	free(lg);
}

/* ---- 2. The window -------------------------------------------------------------------------- */

static uint8_t *state_page(const struct lguest *lg) { return lg->pages + UM_PAGE_SIZE; }

uint32_t *lguest_gdt(struct lguest *lg) { return (uint32_t *)(void *)(state_page(lg) + STATE_GDT); }

void lguest_put_tss(struct lguest *lg, unsigned offset, uint32_t value)
{
	put32(state_page(lg) + STATE_TSS + offset, value);
}

void lguest_set_gate(struct lguest *lg, unsigned vector, uint32_t low, uint32_t high)
{
	uint8_t *at = state_page(lg) + STATE_IDT + vector * 8;

	put32(at, low);
	put32(at + 4, high);
}

/* The guest's code and data, flat, ring 1, accessed; the task state segment, busy.  Of the host's own segments
 * (entries 10 and 11) only the number is used: nothing of the guest's can load them. */
static void fill_gdt(struct lguest *lg)
{
	const uint32_t tss = STATE_PAGE + STATE_TSS;
	uint32_t *gdt = lguest_gdt(lg);

	memset(gdt, 0, GDT_ENTRIES * 8);
	gdt[2 * ENTRY_KERNEL_CS] = gdt[2 * ENTRY_KERNEL_DS] = 0x0000FFFF;
	gdt[2 * ENTRY_KERNEL_CS + 1] = 0x00CFBB00;
	gdt[2 * ENTRY_KERNEL_DS + 1] = 0x00CFB300;
	gdt[2 * ENTRY_TSS] = tss << 16 | (TSS_BYTES - 1);
	gdt[2 * ENTRY_TSS + 1] = (tss & 0xFF000000u) | 0x8B00 | (tss >> 16 & 0xFF);
}

static void put_table_register(uint8_t *at, unsigned limit, uint32_t base)
{
	put16(at, (uint16_t)limit);
	put32(at + 2, base);
}

static void fill_pages(struct lguest *lg)
{
	memset(lg->pages, 0, 2 * UM_PAGE_SIZE);
	put_table_register(state_page(lg) + STATE_IDTR, IDT_ENTRIES * 8 - 1, STATE_PAGE + STATE_IDT);
	put_table_register(state_page(lg) + STATE_GDTR, GDT_ENTRIES * 8 - 1, STATE_PAGE + STATE_GDT);
	lguest_put_tss(lg, TSS_ESP0, REGISTER_PAGE + UM_PAGE_SIZE);
	lguest_put_tss(lg, TSS_SS0, ENTRY_HOST_DS << 3);
	/* No port is the guest's: the map of permissions begins beyond the segment. */
	put16(state_page(lg) + STATE_TSS + TSS_IO_BASE, TSS_BYTES);
	fill_gdt(lg);
}

static um_hfn host_frame(const uint8_t *page) { return (uintptr_t)page >> UM_PAGE_SHIFT; }

static bool map_window(struct lguest *lg)
{
	struct um *um = lg->world.um;

	if (!lg->windowed && um_window_reserve(um, LGUEST_WINDOW, LGUEST_WINDOW_BYTES) != UM_OK)
		return false;
	lg->windowed = true;
	return um_window_map(um, 0, REGISTER_PAGE, host_frame(lg->pages), UM_WRITE) == UM_OK &&
	       um_window_map(um, 0, STATE_PAGE, host_frame(state_page(lg)), 0) == UM_OK;
}

/* ---- 3. The guest --------------------------------------------------------------------------- */

static void forget_guest(struct lguest *lg)
{
	lg->data = lg->root = lg->kernel_address = lg->syscall_vec = 0;
	lg->noirq_start = lg->noirq_end = lg->noirq_iret = 0;
	lg->initialised = lg->tells = lg->segments_stale = lg->ts = false;
	memset(lg->seen_root, 0, sizeof lg->seen_root);
	lg->seen_roots = lg->cursor = 0;
	lg->ss1 = lg->esp1 = lg->stack_pages = 0;
	lg->pending = 0;
	lg->alarm = UINT64_MAX;
	lg->waiting = false;
	lg->limit = lg->world.limit;
	lg->end = LGUEST_RUNS;
	lg->reason[0] = 0;
	memset(&lg->stats, 0, sizeof lg->stats);
}

/* ---- 4. The start --------------------------------------------------------------------------- */

enum { CR0 = 0x80050033 /* PG AM WP NE ET MP PE */, CR0_PAGING = 1u << 31,
       CR4 = 0x600 /* OSXMMEXCPT OSFXSR */ };

static struct cpu_segment ring1(uint16_t selector, uint16_t attr)
{
	return (struct cpu_segment){ selector, attr, 0, 0xFFFFFFFFu };
}

static void begin(struct lguest *lg, const struct lguest_boot *boot)
{
	struct cpu_state s = { .eip = boot->entry, .eflags = 0x202, .cr0 = (uint32_t)CR0, .cr4 = CR4 };
	const struct cpu_segment data = ring1(KERNEL_DS, 0xC0B3);

	s.seg[CPU_CS] = ring1(KERNEL_CS, 0xC0BB);
	s.seg[CPU_DS] = s.seg[CPU_ES] = s.seg[CPU_SS] = data;
	s.tr = (struct cpu_segment){ ENTRY_TSS << 3, 0x8B, STATE_PAGE + STATE_TSS, TSS_BYTES - 1 };
	s.gdtr.base = STATE_PAGE + STATE_GDT;
	s.gdtr.limit = GDT_ENTRIES * 8 - 1;
	s.idtr.base = STATE_PAGE + STATE_IDT;
	s.idtr.limit = IDT_ENTRIES * 8 - 1;
	s.cr3 = lg->root;
	if (lg->flat)
		s.cr0 &= ~(uint32_t)CR0_PAGING;
	s.dr[6] = 0xFFFF0FF0u;
	s.dr[7] = 0x400;
	put16(s.fxsave, 0x37F);
	put32(s.fxsave + 24, 0x1F80);
	cpu_set_state(lg->world.cpu, &s);
}

bool lguest_start(struct lguest *lg, enum lguest_family family, const struct lguest_boot *boot)
{
	struct um *um = lg->world.um;

	lg->wanted = family;
	lg->version = boot->version;
	fill_pages(lg);
	forget_guest(lg);
	lguest_set_family(lg, family);
	lguest_reset_gates(lg);
	lg->flat = !boot->pgdir;
	lg->root = boot->pgdir;
	if (um_set_learn(um, UM_LEARN_BOUND) != UM_OK || um_set_user_end(um, 0) != UM_OK)
		return false;
	um_flush_all(um); /* memory was written behind the core's back */
	begin(lg, boot);
	return map_window(lg) && um_window_enter(um, 0) == UM_OK;
}
