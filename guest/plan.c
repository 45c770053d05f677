/* SPDX-License-Identifier: MIT */
/*
 * guest/plan.c - what goes where in guest memory, collected before the first byte is written.
 *
 *   1. The plan        start_plan, place_bytes, is_free, commit_plan
 *   2. The start       start_flat: a GDT and a processor in flat protected mode
 *   3. The memory map  list_memory
 */
#include "guest/internal.h"

/* ---- 1. The plan ---------------------------------------------------------------------------- */

void start_plan(struct plan *plan, const struct guest_request *request, struct guest_error *error)
{
	plan->request = request;
	plan->error = error;
	plan->end = HIGH_RAM_START;
	plan->count = 0;
}

bool is_free(const struct plan *plan, uint64_t gpa, uint64_t bytes)
{
	if (!inside(gpa, bytes, plan->request->ram_bytes))
		return false;
	for (unsigned k = 0; k < plan->count; k++) {
		const struct place *other = &plan->place[k];
		if (gpa < other->gpa + other->total && other->gpa < gpa + bytes)
			return false;
	}
	return true;
}

bool place_bytes(struct plan *plan, const char *path, const char *what, uint64_t gpa, const void *bytes,
                 uint64_t filled, uint64_t total)
{
	uint64_t ram = plan->request->ram_bytes;
	if (!inside(gpa, total, ram)) {
		if (gpa >= UINT64_MAX - total)
			return refuse(plan->error, path, "%s is at an impossible address", what);
		uint64_t mib = (gpa + total + 0xFFFFF) >> 20;
		return refuse(plan->error, path, "%s needs %llu MiB of memory, the guest has %llu", what,
		              (unsigned long long)mib, (unsigned long long)(ram >> 20));
	}
	if (total == 0)
		return true;
	if (!is_free(plan, gpa, total))
		return refuse(plan->error, path, "%s at %#llx overlaps something else", what,
		              (unsigned long long)gpa);
	if (plan->count == PLAN_PLACES)
		return refuse(plan->error, path, "too many pieces");
	plan->place[plan->count++] = (struct place){
		.gpa = gpa, .total = total, .bytes = bytes, .filled = filled < total ? filled : total
	};
	if (gpa + total > plan->end)
		plan->end = gpa + total;
	return true;
}

void commit_plan(const struct plan *plan)
{
	for (unsigned k = 0; k < plan->count; k++) {
		const struct place *p = &plan->place[k];
		uint8_t *to = plan->request->ram + p->gpa;
		if (p->filled)
			memcpy(to, p->bytes, p->filled);
		memset(to + p->filled, 0, p->total - p->filled);
	}
}

/* ---- 2. The start --------------------------------------------------------------------------- */

/* null, unused, flat code (0x10), flat data (0x18): present, DPL 0, accessed, 32-bit, 4 KiB units
 * (SDM vol. 3, 3.4.5). */
static const uint8_t boot_gdt[32] = {
	[16] = 0xFF, 0xFF, 0, 0, 0, 0x9B, 0xCF, 0,
	[24] = 0xFF, 0xFF, 0, 0, 0, 0x93, 0xCF, 0,
};

bool start_flat(struct plan *plan, const char *path, struct cpu_state *start, uint32_t entry)
{
	if (entry >= plan->request->ram_bytes)
		return refuse(plan->error, path, "its entry point %#x is outside the guest's memory", entry);
	if (!place_bytes(plan, path, "the boot descriptor table", BOOT_GDT_GPA, boot_gdt, sizeof boot_gdt,
	                 sizeof boot_gdt))
		return false;
	for (unsigned k = 0; k < 6; k++)
		start->seg[k] = (struct cpu_segment){ BOOT_DS, 0xC093, 0, 0xFFFFFFFF };
	start->seg[CPU_CS] = (struct cpu_segment){ BOOT_CS, 0xC09B, 0, 0xFFFFFFFF };
	/* Usable for nothing, yet what RESET leaves (SDM vol. 3, table 9-1). */
	start->ldtr = (struct cpu_segment){ 0, 0x0082, 0, 0xFFFF };
	start->tr = (struct cpu_segment){ 0, 0x008B, 0, 0xFFFF };
	start->gdtr.base = BOOT_GDT_GPA;
	start->gdtr.limit = sizeof boot_gdt - 1;
	start->eip = entry;
	start->eflags = 0x2;
	start->cr0 = 0x11; /* PE, ET */
	start->dr[6] = 0xFFFF0FF0;
	start->dr[7] = 0x400;
	/* FXSAVE image after RESET/FNINIT: FCW 0x37F, all registers empty, MXCSR 0x1F80. */
	put16(start->fxsave, 0x37F);
	put32(start->fxsave + 24, 0x1F80);
	return true;
}

/* ---- 3. The memory map ---------------------------------------------------------------------- */

unsigned list_memory(uint64_t ram_bytes, struct memory_range range[MEMORY_RANGES])
{
	unsigned n = 0;
	range[n++] = (struct memory_range){ 0, LOW_RAM_END, MEMORY_RAM };
	range[n++] = (struct memory_range){ LOW_RAM_END, 0xA0000 - LOW_RAM_END, MEMORY_RESERVED };
	range[n++] = (struct memory_range){ 0xF0000, 0x10000, MEMORY_RESERVED };
	if (ram_bytes > HIGH_RAM_START)
		range[n++] = (struct memory_range){ HIGH_RAM_START, ram_bytes - HIGH_RAM_START, MEMORY_RAM };
	return n;
}
