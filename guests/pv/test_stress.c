/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_stress.c - anything in any order: entries set, edited in place, taken away and moved in several
 * spaces, with accesses between, each judged by the tables as they are in memory.  seed=N, steps=N.
 *
 *   1. The world     spaces, entries, frames that know who they are
 *   2. Judgement     what an access ought to come to
 *   3. Steps
 */
#include "guests/pv/probes.h"

enum { SPACES = 7, REGIONS = 2, REGION_PAGES = 6, FRAMES = 12, STEPS = 4000, SEED = 1 };
#define REGION_STEP 0x400000u

/* ---- 1. The world --------------------------------------------------------------------------- */

static struct process spaces[SPACES];
static uint32_t tables[SPACES][REGIONS]; /* directory entries, also while they are taken away */
static uint32_t frames[FRAMES];
static uint32_t state;

static uint32_t random_below(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (state >> 16) * n >> 16;
}

static uint32_t page_at(uint32_t region, uint32_t page)
{
	return USER_HEAP + region * REGION_STEP + page * PAGE;
}

static volatile uint32_t *pde_of(const struct process *p, uint32_t va)
{
	return (volatile uint32_t *)virtual(p->top) + (va >> 22);
}

/* Where the entry is, whether or not the directory leads there now. */
static volatile uint32_t *pte_of(uint32_t space, uint32_t va)
{
	uint32_t region = (va - USER_HEAP) / REGION_STEP;

	return (volatile uint32_t *)virtual(tables[space][region] & PTE_FRAME) + (va >> 12 & 1023);
}

static uint32_t random_entry(void)
{
	static const uint32_t flags[] = {
		PTE_USER, PTE_USER, PTE_USER | PTE_G, PTE_P | PTE_U, PTE_P | PTE_U | PTE_A,
		PTE_P | PTE_W | PTE_U, PTE_P | PTE_W | PTE_U | PTE_A, PTE_P | PTE_W, PTE_P,
		0x0A0, 0x040, 0x020, 0,
	};

	return frames[random_below(FRAMES)] | flags[random_below(sizeof flags / sizeof flags[0])];
}

static void build(void)
{
	for (uint32_t f = 0; f < FRAMES; f++) {
		frames[f] = take_frame();
		*word_at((uint32_t)virtual(frames[f])) = 0xF0000000 + f;
	}
	for (uint32_t s = 0; s < SPACES; s++) {
		process_create(&spaces[s]);
		for (uint32_t r = 0; r < REGIONS; r++) {
			make_pte(spaces[s].top, page_at(r, 0));
			tables[s][r] = *pde_of(&spaces[s], page_at(r, 0));
		}
	}
}

static void tear_down(void)
{
	for (uint32_t s = 0; s < SPACES; s++) {
		for (uint32_t r = 0; r < REGIONS; r++) {
			memset(virtual(tables[s][r] & PTE_FRAME), 0, PAGE);
			set_pde(spaces[s].top, page_at(r, 0), tables[s][r]);
		}
		process_destroy(&spaces[s]);
	}
	for (uint32_t f = 0; f < FRAMES; f++)
		release_frame(frames[f]);
}

/* ---- 2. Judgement --------------------------------------------------------------------------- */

enum { BY_USER = 1, TO_WRITE = 2 };

static uint32_t wanted_fault(uint32_t space, uint32_t va, uint32_t how)
{
	uint32_t pde = *pde_of(&spaces[space], va), pte = *pte_of(space, va), rights = pde & pte;
	uint32_t error = (how & BY_USER ? FAULT_U : 0) | (how & TO_WRITE ? FAULT_W : 0);

	if (!(pde & PTE_P) || !(pte & PTE_P))
		return error;
	if (((how & TO_WRITE) && !(rights & PTE_W)) || ((how & BY_USER) && !(rights & PTE_U)))
		return error | FAULT_P;
	return NO_FAULT;
}

/* As the space in force; the value read must be the frame's, the value written must arrive. */
static bool access_page(uint32_t space, uint32_t va, uint32_t how, uint32_t value)
{
	struct process *p = &spaces[space];
	uint32_t wanted = wanted_fault(space, va, how), before = *pte_of(space, va), fault, after;
	volatile uint32_t *word = word_at((uint32_t)virtual(before & PTE_FRAME));
	bool ok;

	if (how & BY_USER)
		fault = how & TO_WRITE ? user_write(p, va, value) : user_read(p, va);
	else
		fault = how & TO_WRITE ? kernel_write(va, value) : kernel_read(va);
	after = *pte_of(space, va);
	if (wanted != NO_FAULT)
		return fault == wanted && after == before;
	ok = fault == NO_FAULT && after == (before | PTE_A | (how & TO_WRITE ? PTE_D : 0));
	if (how & TO_WRITE)
		return ok && *word == value;
	return ok && (!(how & BY_USER) || p->frame.eax == *word);
}

/* ---- 3. Steps ------------------------------------------------------------------------------- */

static void change_entry(uint32_t space, uint32_t va)
{
	uint32_t top = spaces[space].top, value = random_entry();

	if (!(*pde_of(&spaces[space], va) & PTE_P)) {
		*pte_of(space, va) = value; /* nothing leads there */
		return;
	}
	switch (random_below(4)) {
	case 0:
		set_pte(top, va, value);
		break;
	case 1:
		edit_pte(top, va, value);
		break;
	case 2: /* less than it was */
		edit_pte(top, va, *pte_of(space, va) & ~(uint32_t)(PTE_W | PTE_A | PTE_D));
		break;
	default:
		edit_pte(top, va, *pte_of(space, va) & ~(uint32_t)PTE_P);
		break;
	}
}

/* Many at once: queued, and one flush at the end if they are in force. */
static void change_many(uint32_t space)
{
	lazy_begin();
	for (uint32_t n = random_below(40); n; n--) {
		uint32_t va = page_at(random_below(REGIONS), random_below(REGION_PAGES));

		if (*pde_of(&spaces[space], va) & PTE_P)
			store_pte(spaces[space].top, va, random_entry());
	}
	if (spaces[space].top == current_table)
		flush_user();
	lazy_end();
}

static void change_directory(uint32_t space)
{
	uint32_t region = random_below(REGIONS), va = page_at(region, 0);
	static const uint32_t masks[] = { 0, ~0u, ~0u, ~(uint32_t)PTE_W, ~(uint32_t)PTE_U };

	set_pde(spaces[space].top, va, tables[space][region] & masks[random_below(5)]);
}

static bool one_step(uint32_t *now)
{
	uint32_t any = random_below(SPACES), space = random_below(3) ? *now : any;
	uint32_t va = page_at(random_below(REGIONS), random_below(REGION_PAGES));

	switch (random_below(16)) {
	case 0:
	case 1:
		*now = any;
		switch_to(&spaces[any]);
		return true;
	case 2:
	case 3:
	case 4:
		change_entry(space, va);
		return true;
	case 5:
		change_many(space);
		return true;
	case 6:
		change_directory(space);
		return true;
	case 7:
		random_below(4) ? flush_user() : flush_everything();
		return true;
	default:
		return access_page(*now, va, random_below(4), state);
	}
}

static void test_stress(void)
{
	uint32_t seed = word_number("seed", SEED), steps = word_number("steps", STEPS), now = 0;

	state = seed;
	build();
	switch_to(&spaces[0]);
	for (uint32_t step = 0; step < steps; step++)
		if (!CHECK(one_step(&now))) { /* an access that is not as the tables say */
			print("# seed=%u, step %u\n", seed, step);
			break;
		}
	tear_down();
}

const struct test stress_tests[] = {
	{ "stress", "stress", test_stress },
	{ 0 },
};
