/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/memory.c - guest memory as hypercalls name it.
 *
 *   1. Physical addresses   bounded by the limit; a range may end exactly there
 *   2. struct lguest_data   shared, and known to lie in memory
 *   3. Code                 what the guest executes
 */
#include "guest/lguest/internal.h"

/* ---- 1. Physical addresses ------------------------------------------------------------------ */

bool lguest_holds(const struct lguest *lg, uint64_t gpa, uint64_t bytes)
{
	return inside(gpa, bytes, lg->limit);
}

bool lguest_read(struct lguest *lg, uint32_t gpa, void *to, uint32_t bytes)
{
	memset(to, 0, bytes);
	if (!lguest_holds(lg, gpa, bytes)) {
		lguest_kill(lg, "bad read address %#x len %u", gpa, bytes);
		return false;
	}
	memcpy(to, lg->world.ram + gpa, bytes);
	return true;
}

void lguest_wrote(struct lguest *lg, uint32_t gpa, uint32_t bytes)
{
	if (lg->world.wrote)
		lg->world.wrote(lg->world.user, gpa, bytes);
}

/* ---- 2. struct lguest_data ------------------------------------------------------------------ */

uint8_t *lguest_data_at(struct lguest *lg, unsigned offset) { return lg->world.ram + lg->data + offset; }

uint32_t lguest_get(const struct lguest *lg, unsigned offset)
{
	return get32(lg->world.ram + lg->data + offset);
}

/* The core hears of it only if something changed: the structure's page is written all the time. */
void lguest_set(struct lguest *lg, unsigned offset, uint32_t value)
{
	uint8_t *at = lguest_data_at(lg, offset);

	if (get32(at) == value)
		return;
	put32(at, value);
	lguest_wrote(lg, lg->data + offset, 4);
}

/* ---- 3. Code -------------------------------------------------------------------------------- */

/* The base of the code segment counts, should it not be 0: it is in the processor's table, which is ours. */
static uint32_t code_base(struct lguest *lg, uint16_t selector)
{
	const uint32_t *entry = lguest_gdt(lg) + (selector >> 3) % GDT_ENTRIES * 2;

	return entry[0] >> 16 | (entry[1] & 0xFF) << 16 | (entry[1] & 0xFF000000u);
}

size_t lguest_fetch(struct lguest *lg, const struct cpu_regs *regs, uint8_t *to, size_t bytes)
{
	return cpu_peek(lg->world.cpu, code_base(lg, regs->selector[CPU_CS]) + regs->eip, to, bytes);
}
