/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/segments.c - GDT, IDT, the kernel's stack, the FPU's switch.
 *
 *   1. Descriptors   LOAD_GDT, LOAD_GDT_ENTRY, LOAD_TLS
 *   2. Gates         LOAD_IDT_ENTRY, and which of them the processor sees itself
 *   3. The stack     SET_STACK
 *   4. TS
 */
#include "guest/lguest/internal.h"

/* ---- 1. Descriptors ------------------------------------------------------------------------- */

enum { DESC_DPL = 3u << 13, DESC_DPL_SHIFT = 13, DESC_S = 1u << 12, DESC_ACCESSED = 1u << 8 };

static bool is_ours(uint32_t entry)
{
	return entry == ENTRY_HOST_CS || entry == ENTRY_HOST_DS || entry == ENTRY_TSS ||
	       entry == ENTRY_DOUBLE_FAULT_TSS;
}

/* A guest is careless about rings: 0 becomes 1; the table cannot be written by the processor: accessed.  Call
 * gates and task states, with which a guest could leave its rings, are not installed at all. */
static void install(struct lguest *lg, uint32_t entry, uint32_t low, uint32_t high)
{
	uint32_t *at = lguest_gdt(lg) + 2 * entry;

	if (is_ours(entry))
		return;
	if (!(high & DESC_DPL))
		high |= KERNEL_RING << DESC_DPL_SHIFT;
	high |= DESC_ACCESSED;
	if (!(high & DESC_S))
		low = high = 0;
	at[0] = low;
	at[1] = high;
}

/* What is loaded follows the table, as after a return from ring 0. */
void lguest_reload_segments(struct lguest *lg)
{
	lg->segments_stale = um_window_enter(lg->world.um, 0) != UM_OK;
	if (!lg->segments_stale && !cpu_reload_segments(lg->world.cpu))
		lguest_kill(lg, "unhandled trap %u at %#x: a segment register's descriptor is bad",
		            TRAP_SEGMENTS, lg->save[SAVE_EIP]);
}

void lguest_call_load_gdt(struct lguest *lg, const uint32_t arg[4])
{
	uint8_t table[GDT_ENTRIES * 8];

	if (arg[1] > GDT_ENTRIES) {
		lguest_kill(lg, "too many gdt entries %u", arg[1]);
		return;
	}
	if (!lguest_read(lg, arg[0], table, arg[1] * 8))
		return;
	for (uint32_t n = 0; n < arg[1]; n++)
		install(lg, n, get32(table + 8 * n), get32(table + 8 * n + 4));
	lguest_reload_segments(lg);
}

void lguest_call_load_gdt_entry(struct lguest *lg, const uint32_t arg[4])
{
	if (arg[0] >= GDT_ENTRIES) {
		lguest_kill(lg, "too many gdt entries %u", arg[0]);
		return;
	}
	install(lg, arg[0], arg[1], arg[2]);
	lguest_reload_segments(lg);
}

void lguest_call_load_tls(struct lguest *lg, const uint32_t arg[4])
{
	uint8_t table[TLS_ENTRIES * 8];

	if (!lguest_read(lg, arg[0], table, sizeof table))
		return;
	for (uint32_t n = 0; n < TLS_ENTRIES; n++)
		install(lg, ENTRY_TLS + n, get32(table + 8 * n), get32(table + 8 * n + 4));
	lguest_reload_segments(lg);
}

/* ---- 2. Gates ------------------------------------------------------------------------------- */

enum { GATE_PRESENT = 0x8000u, GATE_KEPT = 0xFFFFEF00u };

static unsigned gate_type(uint32_t high) { return high >> 8 & 0xF; }

/* May this vector be the guest's business at all?  The others are interrupts of the host's hardware, whose
 * gates no INT n may pass. */
static bool is_guests(const struct lguest *lg, unsigned vector)
{
	return vector < 32 ? vector != HYPERCALL_VECTOR : vector == lg->syscall_vec;
}

/* An interrupt gate needs irq_enabled cleared, so it always comes here first; page faults, general protection
 * and the FPU need us; and so does the undefined opcode, where it may be a hypercall. */
static bool goes_directly(const struct lguest *lg, unsigned vector, uint32_t high)
{
	if (!is_guests(lg, vector) || gate_type(high) != GATE_TRAP)
		return false;
	if (vector == TRAP_NM || vector == TRAP_GP || vector == TRAP_PF)
		return false;
	return vector != TRAP_UD || !lg->f->vmcall;
}

/* The processor's gate: the guest's own, or one to us, with the guest's privilege level. */
static void refresh_gate(struct lguest *lg, unsigned vector)
{
	uint32_t low = lg->gate[vector][0], high = lg->gate[vector][1], dpl = 0;

	if (high && goes_directly(lg, vector, high)) {
		lguest_set_gate(lg, vector, low, high);
		return;
	}
	if (vector == HYPERCALL_VECTOR)
		dpl = KERNEL_RING << DESC_DPL_SHIFT;
	else if (is_guests(lg, vector))
		dpl = high & DESC_DPL;
	lguest_set_gate(lg, vector, LGUEST_HOST_CS << 16, GATE_PRESENT | GATE_INTERRUPT << 8 | dpl);
}

void lguest_refresh_gates(struct lguest *lg)
{
	for (unsigned vector = 0; vector < IDT_ENTRIES; vector++)
		refresh_gate(lg, vector);
}

void lguest_reset_gates(struct lguest *lg)
{
	memset(lg->gate, 0, sizeof lg->gate);
	lguest_refresh_gates(lg);
}

void lguest_call_load_idt_entry(struct lguest *lg, const uint32_t arg[4])
{
	static const uint32_t ignored = 1u << TRAP_NMI | 1u << TRAP_DF | 1u << 15 | 1u << HYPERCALL_VECTOR;
	uint32_t vector = arg[0], low = arg[1], high = arg[2];

	if (vector >= IDT_ENTRIES) {
		lguest_kill(lg, "Setting idt entry %u", vector);
		return;
	}
	if (vector < 32 && ignored >> vector & 1)
		return;
	if (!(high & GATE_PRESENT)) {
		low = high = 0;
	} else if (gate_type(high) != GATE_INTERRUPT && gate_type(high) != GATE_TRAP) {
		lguest_kill(lg, "bad IDT type %u for %u", gate_type(high), vector);
		return;
	} else {
		low = (low & 0xFFFF) | KERNEL_CS << 16;
		high &= GATE_KEPT;
	}
	lg->gate[vector][0] = low;
	lg->gate[vector][1] = high;
	refresh_gate(lg, vector);
}

/* ---- 3. The stack --------------------------------------------------------------------------- */

/* Nothing is touched before all of it is known to be fine. */
void lguest_call_set_stack(struct lguest *lg, const uint32_t arg[4])
{
	if ((arg[0] & 3) != KERNEL_RING) {
		lguest_kill(lg, "bad stack segment %#x", arg[0]);
		return;
	}
	if (arg[2] > STACK_PAGES_MAX) {
		lguest_kill(lg, "bad stack pages %u", arg[2]);
		return;
	}
	lg->ss1 = arg[0] & 0xFFFF;
	lg->esp1 = arg[1];
	lg->stack_pages = arg[2];
	lguest_put_tss(lg, TSS_ESP1, lg->esp1);
	lguest_put_tss(lg, TSS_SS1, lg->ss1);
	(void)lguest_pin_stack(lg, true);
}

/* ---- 4. TS ---------------------------------------------------------------------------------- */

void lguest_call_ts(struct lguest *lg, const uint32_t arg[4])
{
	lg->ts = arg[0] != 0;
	cpu_set_ts(lg->world.cpu, lg->ts);
}
