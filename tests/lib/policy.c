/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/policy.c - see policy.h.
 *
 *   1. Directories    what each of them maps
 *   2. Announcements  set pte, set pde, flushes
 *   3. Switches
 *   4. Accesses
 *   5. policy_count
 */
#include "tests/lib/policy.h"

#include <stdlib.h>
#include <string.h>

enum { DIRECTORIES_MAX = 64, PAGES = 1 << 20, SLOTS = 1024 };

/* A shadow entry, as far as it matters. */
enum { HERE = 1, WRITABLE = 2 };
/* Bits of a guest's entry. */
enum { PRESENT = 1, WRITE = 2, ACCESSED = 0x20, DIRTY = 0x40 };

/* ---- 1. Directories ------------------------------------------------------------------------- */

struct directory {
	bool allocated;
	uint64_t cr3;
	uint8_t table[SLOTS];  /* is there one? */
	uint8_t entry[PAGES];
};

struct model {
	struct policy *p;
	struct directory *directory; /* p->directories of them */
	struct directory *current;
	uint64_t rng;
	uint64_t kernel;             /* first kernel address */
	uint64_t window;             /* the host's, above the guest's */
	bool told;
	struct record_item call;     /* under way */
	bool pde_present;            /* the guest's own, of the access under way */
};

static struct directory *find_directory(const struct model *m, uint64_t cr3)
{
	for (unsigned i = 0; i < m->p->directories; i++)
		if (m->directory[i].allocated && m->directory[i].cr3 == cr3)
			return &m->directory[i];
	return NULL;
}

static void drop_table(struct directory *d, uint64_t slot)
{
	if (!d->table[slot])
		return;
	d->table[slot] = 0;
	memset(d->entry + slot * SLOTS, 0, SLOTS);
}

static void drop_tables(struct directory *d, uint64_t from, uint64_t to)
{
	for (uint64_t slot = from; slot < to; slot++)
		drop_table(d, slot);
}

static void make_table(struct model *m, struct directory *d, uint64_t page)
{
	m->p->tables += !d->table[page / SLOTS];
	d->table[page / SLOTS] = 1;
}

static uint64_t user_slots(const struct model *m)
{
	return m->kernel >> 22;
}

/* ---- 2. Announcements ----------------------------------------------------------------------- */

/* What has been used is installed at once, with the right to write that it has; anything else goes. */
static void announce(struct directory *d, uint64_t page, uint64_t gpte)
{
	if (!d->table[page / SLOTS])
		return;
	d->entry[page] = 0;
	if ((gpte & PRESENT) && (gpte & (ACCESSED | DIRTY)))
		d->entry[page] = gpte & WRITE ? HERE | WRITABLE : HERE;
}

static void set_pte(struct model *m, uint64_t root, uint64_t gva, uint64_t gpte)
{
	struct directory *d = find_directory(m, root);

	if (gva < m->kernel) {
		if (d)
			announce(d, gva >> 12, gpte);
		return;
	}
	for (unsigned i = 0; i < m->p->directories; i++)
		if (m->directory[i].allocated)
			announce(&m->directory[i], gva >> 12, gpte);
}

static void set_pde(struct model *m, uint64_t root, uint64_t index)
{
	struct directory *d = find_directory(m, root);

	if (d && index < SLOTS)
		drop_table(d, index);
}

static void flush_all(struct model *m)
{
	for (unsigned i = 0; i < m->p->directories; i++)
		drop_tables(&m->directory[i], 0, SLOTS);
}

/* ---- 3. Switches ---------------------------------------------------------------------------- */

static unsigned draw(struct model *m)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return (unsigned)((m->rng >> 20) % m->p->directories);
}

/* A directory that is cached is used as it is; one that is recycled keeps its kernel half. */
static void switch_to(struct model *m, uint64_t cr3)
{
	struct directory *d = find_directory(m, cr3);

	m->p->switches++;
	if (!d) {
		d = &m->directory[draw(m)];
		d->allocated = true;
		d->cr3 = cr3;
		drop_tables(d, 0, user_slots(m));
		m->p->misses++;
	}
	m->current = d;
}

/* ---- 4. Accesses ---------------------------------------------------------------------------- */

/* The guest's tables permit it; `writable`: and may be written without asking again. */
static void access_page(struct model *m, uint64_t page, bool write, bool writable, bool is_fault)
{
	struct directory *d = m->current;
	unsigned need = write ? HERE | WRITABLE : HERE;

	if (!d || page >= m->window >> 12)
		return;
	m->p->accesses++;
	if ((d->entry[page] & need) == need)
		return;
	make_table(m, d, page);
	d->entry[page] = write || writable ? HERE | WRITABLE : HERE;
	m->p->fills += is_fault;
}

static void finish_call(struct model *m, const struct record_item *end)
{
	const uint64_t *a = m->call.field;
	bool ok = end->field[0] == UM_OK;

	if (m->call.kind == UM_CALL_PIN_PAGE && ok)
		access_page(m, a[0] >> 12, true, true, false); /* mapped ahead by either */
	if (m->call.kind != UM_CALL_DEMAND_PAGE)
		return;
	if (end->kind == RECORD_MAP && end->field[0] != UM_MMIO) {
		m->p->umbra_fills++;
		access_page(m, a[0] >> 12, a[1] & UM_WRITE, end->field[4] & UM_WRITE, true);
	} else if (end->field[0] == UM_FAULT) {
		m->p->reflected++;
		if (m->p->tables_when_refused && m->pde_present && m->current && a[0] < m->window)
			make_table(m, m->current, a[0] >> 12);
	}
}

/* ---- 5. policy_count ------------------------------------------------------------------------ */

static void take_call(struct model *m, const struct record_item *item)
{
	const uint64_t *a = item->field;

	switch (item->kind) {
	case UM_CALL_SWITCH_ROOT: switch_to(m, a[0] & ~UINT64_C(0xFFF)); break;
	case UM_CALL_SET_USER_END: m->kernel = a[0]; break;
	case UM_CALL_SET_PTE: set_pte(m, a[0], a[1], a[2]); break;
	case UM_CALL_SET_PDE: set_pde(m, a[0], a[1]); break;
	case UM_CALL_FLUSH_ALL: flush_all(m); break;
	case UM_CALL_FLUSH_USER:
		if (m->current)
			drop_tables(m->current, 0, user_slots(m));
		break;
	case UM_CALL_LOOKUP:
		if (!(a[0] & LOOKUP_EMPTY))
			access_page(m, a[1], a[0] & LOOKUP_WRITE, a[0] & LOOKUP_MAY_WRITE, true);
		break;
	default: break;
	}
}

static void take_item(struct model *m, const struct record_item *item)
{
	const uint64_t *a = item->field;

	if (item->kind == UM_CALL_SET_LEARN)
		m->told = a[0] == UM_LEARN_TOLD;
	if (item->kind == UM_CALL_WINDOW_RESERVE)
		m->window = a[0];
	if (item->kind == UM_CALL_SET_USER_END)
		m->kernel = a[0];
	if (!m->told)
		return;
	if (item->kind == RECORD_READ && m->call.kind == UM_CALL_DEMAND_PAGE && m->current &&
	    a[0] == m->current->cr3 + (m->call.field[0] >> 22) * 4)
		m->pde_present = a[1] & PRESENT;
	if (item->kind == RECORD_RESULT || item->kind == RECORD_MAP) {
		finish_call(m, item);
	} else if (item->kind < RECORD_RESULT) {
		m->call = *item;
		m->pde_present = false;
		take_call(m, item);
	}
}

bool policy_count(struct policy *p, FILE *recording)
{
	struct record_reader *reader = malloc(sizeof *reader);
	struct model m = { .p = p, .rng = p->seed * UINT64_C(0x9E3779B97F4A7C15) | 1, .window = UINT64_C(1) << 32 };
	struct record_item item;
	bool whole;

	m.directory = calloc(p->directories, sizeof *m.directory);
	if (!reader || !m.directory || p->directories > DIRECTORIES_MAX)
		abort();
	p->fills = p->misses = p->tables = p->umbra_fills = p->switches = p->reflected = p->accesses = 0;
	rewind(recording);
	if (record_open(reader, recording)) {
		m.told = reader->config.learn == UM_LEARN_TOLD;
		m.kernel = reader->config.user_end;
		while (record_next(reader, &item))
			take_item(&m, &item);
	}
	whole = reader->ended && reader->problem == RECORD_FINE;
	free(m.directory);
	free(reader);
	return whole;
}
