/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/hypercall.c - which call does what in which family, and the two ways of calling.
 *
 *   1. The table
 *   2. One call     arguments in the family's order, counted, timed
 *   3. The ring     64 slots, emptied before every direct call
 *   4. Direct calls
 *   5. Small calls  the end
 */
#include <time.h>

#include "guest/lguest/internal.h"

/* ---- 1. The table --------------------------------------------------------------------------- */

enum {
	IN_B = 1 << LGUEST_B, IN_C = 1 << LGUEST_C, IN_D = 1 << LGUEST_D, IN_E = 1 << LGUEST_E,
	IN_F = 1 << LGUEST_F, IN_G = 1 << LGUEST_G1 | 1 << LGUEST_G2,
	OLD = IN_B | IN_C, NEW = IN_D | IN_E | IN_F | IN_G, ALL = OLD | NEW,
};
enum { CALL_INIT = 1 };

static lguest_call_fn call_nothing, call_shutdown, call_notify;

/* By number; two lines where an old call was replaced. */
static const struct call {
	const char *name;
	lguest_call_fn *fn;
	uint8_t families;
} calls[LGUEST_CALLS][2] = {
	[0] = { { "FLUSH_ASYNC", call_nothing, ALL } },
	[CALL_INIT] = { { "LGUEST_INIT", lguest_call_init, ALL } },
	[2] = { { "CRASH", call_shutdown, IN_B }, { "SHUTDOWN", call_shutdown, ALL & ~IN_B } },
	[3] = { { "LOAD_GDT", lguest_call_load_gdt, OLD } },
	[4] = { { "NEW_PGTABLE", lguest_call_new_pgtable, ALL } },
	[5] = { { "FLUSH_TLB", lguest_call_flush_tlb, ALL } },
	[6] = { { "LOAD_IDT_ENTRY", lguest_call_load_idt_entry, ALL } },
	[7] = { { "SET_STACK", lguest_call_set_stack, ALL } },
	[8] = { { "TS", lguest_call_ts, ALL } },
	[9] = { { "SET_CLOCKEVENT", lguest_call_clock, ALL } },
	[10] = { { "HALT", lguest_call_halt, ALL } },
	[13] = { { "SET_PMD", lguest_call_middle, NEW } },
	[14] = { { "SET_PTE", lguest_call_set_pte, ALL } },
	[15] = { { "SET_PMD", lguest_call_set_pmd, OLD }, { "SET_PGD", lguest_call_set_pgd, NEW } },
	[16] = { { "LOAD_TLS", lguest_call_load_tls, ALL } },
	[17] = { { "NOTIFY", call_notify, ALL & ~IN_G } },
	[18] = { { "LOAD_GDT_ENTRY", lguest_call_load_gdt_entry, NEW } },
	[19] = { { "SEND_INTERRUPTS", lguest_call_send, NEW } },
};

static const struct call *find_call(enum lguest_family family, uint32_t number)
{
	for (unsigned n = 0; number < LGUEST_CALLS && n < 2; n++)
		if (calls[number][n].families >> family & 1)
			return &calls[number][n];
	return NULL;
}

const char *lguest_call_name(enum lguest_family family, unsigned number)
{
	const struct call *call = find_call(family == LGUEST_AUTO ? LGUEST_F : family, number);

	return call ? call->name : NULL;
}

/* ---- 2. One call ---------------------------------------------------------------------------- */

#define TIME_ONE_IN 16u /* reading the clock costs as much as a call */

static uint64_t host_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void run_call(struct lguest *lg, lguest_call_fn *fn, const uint32_t arg[4], uint64_t *nanoseconds)
{
	uint64_t begin;

	if (!lg->timed || ++lg->sample % TIME_ONE_IN) {
		fn(lg, arg);
		return;
	}
	begin = host_ns();
	fn(lg, arg);
	*nanoseconds += (host_ns() - begin) * TIME_ONE_IN;
}

/* `words`: the save area, or a slot of the ring, which has its order. */
static void make_call(struct lguest *lg, const uint32_t *words, bool async)
{
	const struct family *f = lg->f;
	const struct call *call = find_call(lg->family, words[0]);
	struct lguest_call_stats *stats;
	uint32_t arg[4] = { 0 };

	if (!call) {
		lguest_kill(lg, "Bad hypercall %u", words[0]);
		return;
	}
	for (unsigned n = 0; n < f->args; n++)
		arg[n] = words[f->arg[n]];
	stats = &lg->stats.call[words[0]];
	if (async)
		stats->async++;
	else
		stats->direct++;
	run_call(lg, call->fn, arg, &stats->nanoseconds);
}

/* ---- 3. The ring ---------------------------------------------------------------------------- */

static void drain_ring(struct lguest *lg)
{
	const struct family *f = lg->f;
	bool wrote = false;

	for (unsigned n = 0; n < RING_SLOTS && lg->end == LGUEST_RUNS; n++) {
		uint8_t *status = lguest_data_at(lg, f->status + lg->cursor);
		const uint8_t *slot = lguest_data_at(lg, f->ring + lg->cursor * f->slot_words * 4u);
		uint32_t words[SLOT_WORDS_MAX] = { 0 };

		if (*status == SLOT_FREE)
			break;
		lg->cursor = (lg->cursor + 1) % RING_SLOTS;
		for (unsigned w = 0; w < f->slot_words; w++)
			words[w] = get32(slot + 4 * w);
		make_call(lg, words, true);
		*status = SLOT_FREE;
		wrote = true;
	}
	if (wrote)
		lguest_wrote(lg, lg->data + f->status, RING_SLOTS);
}

/* ---- 4. Direct calls ------------------------------------------------------------------------ */

void lguest_direct_call(struct lguest *lg, bool by_vmcall)
{
	const uint32_t number = lg->save[SAVE_EAX];

	lg->stats.called = true;
	if (lg->initialised) {
		drain_ring(lg);
		if (lg->end != LGUEST_RUNS)
			return;
	} else if (number != CALL_INIT) {
		lguest_kill(lg, "hypercall %u before INIT", number);
		return;
	} else if (!lguest_recognise(lg, by_vmcall)) {
		return;
	}
	make_call(lg, lg->save, false);
}

/* ---- 5. Small calls ------------------------------------------------------------------------- */

static void call_nothing(struct lguest *lg, const uint32_t arg[4]) { (void)lg, (void)arg; }

/* The string may stand close to the end of memory: read as far as that goes. */
static void call_shutdown(struct lguest *lg, const uint32_t arg[4])
{
	enum { RESTART = 2 };
	char text[STRING_MAX] = "";
	uint32_t room = STRING_MAX - 1;

	if (arg[0] >= lg->limit) {
		lguest_kill(lg, "bad read address %#x len %u", arg[0], STRING_MAX);
		return;
	}
	if (room > lg->limit - arg[0])
		room = (uint32_t)(lg->limit - arg[0]);
	memcpy(text, lg->world.ram + arg[0], room);
	if (arg[1] == RESTART)
		lguest_finish(lg, LGUEST_RESTART, "%s", text[0] ? text : "restart");
	else if (strcmp(text, "Power down") == 0)
		lguest_finish(lg, LGUEST_POWER_OFF, "%s", text);
	else
		lguest_finish(lg, LGUEST_CRASHED, "CRASH: %s", text);
}

/* A device's queue or descriptor, else text of the early console.  0 means "nothing" by design. */
static void call_notify(struct lguest *lg, const uint32_t arg[4])
{
	const struct lguest_world *w = &lg->world;
	const char *text;
	uint64_t room;

	if (arg[0] >= lg->limit) {
		lguest_kill(lg, "Bad NOTIFY %#x", arg[0]);
		return;
	}
	if (!arg[0] || (w->notify && w->notify(w->user, arg[0])))
		return;
	text = (const char *)w->ram + arg[0];
	room = lg->limit - arg[0];
	if (w->say)
		w->say(w->user, text, strnlen(text, room < NOTIFY_TEXT_MAX ? room : NOTIFY_TEXT_MAX));
}
