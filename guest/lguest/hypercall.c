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
	IN_B = 1 << LGUEST_B, IN_C = 1 << LGUEST_C, IN_D = 1 << LGUEST_D, IN_E = 1 << LGUEST_E, IN_F = 1 << LGUEST_F,
	IN_G = 1 << LGUEST_G1 | 1 << LGUEST_G2,
	OLD = IN_B | IN_C, NEW = IN_D | IN_E | IN_F | IN_G, ALL = OLD | NEW,
};
enum { CALL_INIT = 1, CALL_SEND_INTERRUPTS = 19 };

static lguest_call_fn call_nothing, call_shutdown, call_notify;

/* A number, one line or two: where an old call was replaced. */
static const struct call {
	uint8_t number;
	uint8_t families;
	const char *name;
	lguest_call_fn *fn;
} calls[] = {
	{ 0, ALL, "FLUSH_ASYNC", call_nothing },
	{ 1, ALL, "LGUEST_INIT", lguest_call_init },
	{ 2, IN_B, "CRASH", call_shutdown },
	{ 2, ALL & ~IN_B, "SHUTDOWN", call_shutdown },
	{ 3, OLD, "LOAD_GDT", lguest_call_load_gdt },
	{ 4, ALL, "NEW_PGTABLE", lguest_call_new_pgtable },
	{ 5, ALL, "FLUSH_TLB", lguest_call_flush_tlb },
	{ 6, ALL, "LOAD_IDT_ENTRY", lguest_call_load_idt_entry },
	{ 7, ALL, "SET_STACK", lguest_call_set_stack },
	{ 8, ALL, "TS", lguest_call_ts },
	{ 9, ALL, "SET_CLOCKEVENT", lguest_call_clock },
	{ 10, ALL, "HALT", lguest_call_halt },
	{ 13, NEW, "SET_PMD", lguest_call_middle },
	{ 14, ALL, "SET_PTE", lguest_call_set_pte },
	{ 15, OLD, "SET_PMD", lguest_call_set_pmd },
	{ 15, NEW, "SET_PGD", lguest_call_set_pgd },
	{ 16, ALL, "LOAD_TLS", lguest_call_load_tls },
	{ 17, ALL & ~IN_G, "NOTIFY", call_notify },
	{ 18, NEW, "LOAD_GDT_ENTRY", lguest_call_load_gdt_entry },
	{ 19, NEW, "SEND_INTERRUPTS", lguest_call_send },
};

/* Where a number's line is: found once, then by number. */
static const struct call *find_call(enum lguest_family family, uint32_t number)
{
	unsigned guess = number < 3 ? number : number < 11 ? number + 1 : number < 16 ? number - 1 : number;

	for (; guess < sizeof calls / sizeof *calls && calls[guess].number <= number; guess++)
		if (calls[guess].number == number && calls[guess].families >> family & 1)
			return &calls[guess];
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

static void run_call(struct lguest *lg, const struct call *call, const uint32_t arg[4])
{
	uint64_t begin;

	if (!lg->timed || ++lg->sample % TIME_ONE_IN) {
		call->fn(lg, arg);
		return;
	}
	begin = host_ns();
	call->fn(lg, arg);
	lg->stats.call[call->number].nanoseconds += (host_ns() - begin) * TIME_ONE_IN;
}

/* `words`: the save area, or a slot of the ring, which has its order. */
static void make_call(struct lguest *lg, const uint32_t *words, bool async)
{
	const struct family *f = lg->f;
	const struct call *call = find_call(lg->family, words[0]);
	uint32_t arg[4] = { 0 };

	if (!call) {
		lguest_kill(lg, "Bad hypercall %u", words[0]);
		return;
	}
	for (unsigned n = 0; n < f->args; n++)
		arg[n] = words[f->arg[n]];
	if (async)
		lg->stats.call[call->number].async++;
	else
		lg->stats.call[call->number].direct++;
	run_call(lg, call, arg);
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
	const char *text = (const char *)w->ram + arg[0];
	uint64_t room;

	if (arg[0] >= lg->limit) {
		lguest_kill(lg, "Bad NOTIFY %#x", arg[0]);
		return;
	}
	if (!arg[0] || (w->notify && w->notify(w->user, arg[0])))
		return;
	room = lg->limit - arg[0];
	if (w->say)
		w->say(w->user, text, strnlen(text, room < NOTIFY_TEXT_MAX ? room : NOTIFY_TEXT_MAX));
}
