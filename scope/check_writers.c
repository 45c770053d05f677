/* SPDX-License-Identifier: MIT */
/*
 * scope/check_writers.c - who wrote which table entry.
 *
 *   1. The records     the last change of each entry, as far as they go
 *   2. The processor   before a write the old values are read, after it the new ones
 *   3. Devices         and debuggers: there is no instruction behind them
 *
 * Only changes of present entries are kept: nothing else can leave a stale translation behind, and a fork that fills
 * empty tables costs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "scope/check_internal.h"

/* ---- 1. The records ------------------------------------------------------------------------- */

bool writers_open(struct writers *w)
{
	w->record = calloc((size_t)WRITER_SETS * WRITER_WAYS, sizeof *w->record);
	return w->record != NULL;
}

void writers_close(struct writers *w)
{
	free(w->record);
	w->record = NULL;
}

void writers_forget(struct writers *w)
{
	struct written *record = w->record;
	memset(record, 0, sizeof *record * WRITER_SETS * WRITER_WAYS);
	*w = (struct writers){ .record = record };
}

/* Entries of one table are in different sets, and so are the same entries of tables side by side. */
static struct written *set_of(const struct writers *w, uint32_t gpa)
{
	uint32_t entry = gpa / 4, table = gpa >> 12;
	return &w->record[(size_t)((entry ^ table * 37u) % WRITER_SETS) * WRITER_WAYS];
}

static void keep(struct writers *w, const struct written *written)
{
	struct written *set = set_of(w, written->gpa), *place = set;
	for (unsigned n = 0; n < WRITER_WAYS; n++) {
		if (set[n].gpa == written->gpa) {
			place = &set[n];
			break;
		}
		if (set[n].at < place->at)
			place = &set[n];
	}
	*place = *written;
}

bool writers_find(const struct writers *w, uint32_t gpa, struct written *found)
{
	const struct written *set = set_of(w, gpa);
	bool any = false;
	for (unsigned n = 0; n < WRITER_WAYS; n++)
		if (set[n].gpa == gpa) {
			*found = set[n];
			any = true;
		}
	for (unsigned n = 0; n < WRITER_RANGES; n++)
		if (w->range[n].last > gpa && w->range[n].first <= gpa && (!any || w->range[n].at > found->at)) {
			*found = (struct written){ .gpa = gpa, .at = w->range[n].at, .device = true };
			any = true;
		}
	return any;
}

bool writers_made(const struct check *k, uint32_t gpa, struct written *found)
{
	const uint32_t set_by_processors = PTE_A | PTE_D;
	return writers_find(&k->writers, gpa, found) &&
	       (found->device || !((found->new ^ table_word(k, gpa)) & ~set_by_processors));
}

bool writers_find_now(const struct writers *w, uint32_t gpa, uint32_t entry, struct written *found)
{
	return writers_find(w, gpa, found) && (found->device || !((found->new ^ entry) & ~(uint32_t)(PTE_A | PTE_D)));
}

/* ---- 2. The processor ----------------------------------------------------------------------- */

/* Callers by EBP, where the code keeps it so.  Whatever the guest's stack holds: a few steps upwards. */
#define FRAME_REACH 0x10000u

static unsigned backtrace(struct cpu *cpu, uint32_t frame, uint32_t *trace)
{
	unsigned depth = 0;
	while (depth < TRACE_MAX) {
		uint32_t pair[2];
		if (frame & 3 || cpu_peek(cpu, frame, pair, sizeof pair) != sizeof pair || !pair[1])
			break;
		trace[depth++] = pair[1];
		if (pair[0] <= frame || pair[0] - frame > FRAME_REACH)
			break;
		frame = pair[0];
	}
	return depth;
}

void writers_see(struct check *k, struct written *now)
{
	struct cpu *cpu = k->target.cpu;
	struct cpu_regs regs;
	cpu_get_regs(cpu, &regs);
	now->eip = cpu_running_eip(cpu, &now->exact);
	now->cr3 = k->space.cr3;
	now->ring = regs.cpl;
	now->at = cpu_instructions(cpu);
	now->depth = (uint8_t)backtrace(cpu, regs.gpr[CPU_EBP], now->trace);
}

/* Checks of what is written want to name the instruction even where the old entry was empty. */
#define ALWAYS_EXACT (CHECK_RSVD | CHECK_ALIAS | CHECK_FREED)

/* A page that appears says nothing of flushes; a directory entry that does may be missed in another directory. */
static bool is_kept(const struct check *k, uint32_t gpa, bool was_present)
{
	return was_present || (checks(k, CHECK_HALF) && (gpa & PTE_FRAME) == k->space.cr3);
}

bool writers_expect(struct check *k, const struct cpu_access *access)
{
	struct coming c = { .gpa = (uint32_t)access->map->gpa & ~3u };
	k->target.read(k->target.user, c.gpa, c.old, sizeof c.old);
	c.waits = access->exact || access->result == UM_OK || !(is_kept(k, c.gpa, c.old[0] & PTE_P) || checks(k, ALWAYS_EXACT));
	if (!c.waits)
		return false;
	c.at = cpu_instructions(k->target.cpu);
	/* One that reads first, or tries whether it may write, comes by twice. */
	struct coming *last = &k->writers.coming[(k->writers.next_coming - 1) % 2];
	if (!last->waits || last->gpa != c.gpa)
		last = &k->writers.coming[k->writers.next_coming++ % 2];
	*last = c;
	return true;
}

/* The entries from where it was to come on, before `end`; the old values are known of the first WRITE_WORDS. */
static void processor_wrote(struct check *k, const struct coming *coming, uint32_t end)
{
	struct written w = { .gpa = coming->gpa };
	for (unsigned n = 0; w.gpa < end; w.gpa += 4, n++) {
		w.known = n < WRITE_WORDS;
		w.old = w.known ? coming->old[n] : 0;
		w.new = table_word(k, w.gpa);
		if (w.known && w.old == w.new)
			continue;
		/* Who clears A has not changed where the entry leads: who did stays known. */
		bool changed = !w.known || (w.old ^ w.new) & ~(uint32_t)(PTE_A | PTE_D);
		bool kept = changed && is_kept(k, w.gpa, !w.known || w.old & PTE_P);
		if (!w.at && (kept || checks(k, ALWAYS_EXACT)))
			writers_see(k, &w);
		if (kept)
			keep(&k->writers, &w);
		entry_written(k, &w);
	}
}

/* ---- 3. Devices ----------------------------------------------------------------------------- */

static void device_wrote(struct check *k, uint32_t first, uint32_t end)
{
	struct writers *w = &k->writers;
	struct written each = { .device = true, .at = cpu_instructions(k->target.cpu) };
	w->range[w->next_range].first = first;
	w->range[w->next_range].last = end;
	w->range[w->next_range].at = each.at;
	w->next_range = (w->next_range + 1) % WRITER_RANGES;
	for (; first < end; first += 4) {
		each.gpa = first;
		each.new = table_word(k, first);
		entry_written(k, &each);
	}
}

/* Within one page (shadow/tracked.c). */
void writers_hear(struct check *k, const struct um_event *event)
{
	uint32_t first = (uint32_t)event->gpa & ~3u, end = (uint32_t)(event->gpa + event->value + 3) & ~3u;
	for (unsigned n = 0; n < 2; n++) {
		struct coming *c = &k->writers.coming[n];
		if (!c->waits || c->gpa != first || c->at != cpu_instructions(k->target.cpu))
			continue;
		c->waits = false;
		processor_wrote(k, c, end);
		return;
	}
	device_wrote(k, first, end);
}
