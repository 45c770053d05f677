/* SPDX-License-Identifier: MIT */
/*
 * guests/access/combinations.c - every combination of entry bits, for every access, in every mode.
 *
 *   1. Bits      the combinations
 *   2. One       set the entries, access, compare all that can be seen
 *   3. All       a line of TAP for each mode and access
 *
 * Directory entry: P W U A D PS and a reserved bit; table entry: P W U A D; both with the ignored
 * bits 9-11 set in every other combination.  The pages hold numbers, so that an access to the wrong
 * one is seen.
 */
#include "guests/access/access.h"

/* ---- 1. Bits -------------------------------------------------------------------------------- */

#define IGNORED 0xE00u
#define RESERVED_LARGE 0x00200000u
#define INDEX 5u /* of the page under test in its table; the large page's part at the same place   \
		  */

static const uint32_t pde_bits[] = {PTE_P, PTE_W, PTE_U, PTE_A, PTE_D, PTE_PS, RESERVED_LARGE};
static const uint32_t pte_bits[] = {PTE_P, PTE_W, PTE_U, PTE_A, PTE_D};
#define PDE_CHOICES 128u
#define PTE_CHOICES 32u

/* The bits of a number, one after the other, as those of an entry. */
static uint32_t spread(unsigned choice, const uint32_t *bits)
{
	uint32_t entry = 0;

	for (unsigned i = 0; choice; i++, choice >>= 1)
		if (choice & 1)
			entry |= bits[i];
	return entry;
}

/* ---- 2. One --------------------------------------------------------------------------------- */

static uint8_t *target(bool large)
{
	return large ? (uint8_t *)(LARGE_FRAME + INDEX * PAGE) : pages[0];
}

/* The page's number is untouched, and exactly the one word was written. */
static bool data_is_right(const struct question *q, const struct verdict *v,
			  const struct outcome *o, uint32_t written)
{
	volatile uint32_t *number = (volatile uint32_t *)(target(v->large) + PAGE_NUMBER);
	volatile uint32_t *scratch = (volatile uint32_t *)(target(v->large) + PAGE_SCRATCH);
	uint32_t expected = v->large ? LARGE_NUMBER : NUMBER_OF(0), found = *scratch;

	*scratch = 0;
	if (*number != expected || (q->access == ACCESS_READ && !v->fault && o->value != expected))
		return false;
	return found == (q->access == ACCESS_WRITE && !v->fault ? written : 0);
}

static void complain(const struct question *q, const struct verdict *v, const struct outcome *o)
{
	static const char *const name[] = {"read", "write", "fetch"};

	print("# WP=%u PSE=%u %s %s pde=%08x pte=%08x: ", q->wp, q->pse,
	      q->user ? "user" : "supervisor", name[q->access], q->pde, q->pte);
	if (o->fault)
		print("fault %x at %08x", o->error, o->address);
	else
		print("no fault, value %08x", o->value);
	print(", pde=%08x pte=%08x; expected ", *test_entry(), test_table[INDEX]);
	if (v->fault)
		print("fault %x", v->error);
	else
		print("no fault");
	print(", pde=%08x pte=%08x\n", v->pde, v->pte);
}

/* Where in the page: RET for fetches, the number for reads, scratch for writes. */
static uint32_t offset_for(enum access access)
{
	return access == ACCESS_FETCH  ? PAGE_CODE
	       : access == ACCESS_READ ? PAGE_NUMBER
				       : PAGE_SCRATCH;
}

static bool try_one(const struct question *q, uint32_t written)
{
	struct verdict v = judge(q);
	uint32_t address = AT(INDEX) + offset_for(q->access), pde, pte;
	struct outcome o;
	bool good;

	*test_entry() = q->pde;
	test_table[INDEX] = q->pte;
	flush_page(address);
	o = probe(q->access, q->user, address, written);
	pde = *test_entry();
	pte = test_table[INDEX];
	good = o.fault == v.fault &&
	       (!o.fault || (same_error(o.error, v.error) && o.address == address)) &&
	       (pde | v.optional) == (v.pde | v.optional) && (pde & v.pde) == v.pde && pte == v.pte;
	good = data_is_right(q, &v, &o, written) && good;
	if (!good)
		complain(q, &v, &o);
	return good;
}

/* ---- 3. All --------------------------------------------------------------------------------- */

#define COMPLAINTS 10u

/* Returns how many were wrong; gives up after COMPLAINTS. */
static unsigned try_all(struct question *q, uint32_t *count)
{
	unsigned wrong = 0;

	for (unsigned a = 0; a < PDE_CHOICES; a++) {
		uint32_t bits = spread(a, pde_bits);
		bool large = bits & PTE_PS && q->pse;

		/* only there is the bit a reserved one: elsewhere it is part of an address */
		if (bits & RESERVED_LARGE && !large)
			continue;
		/* a large page has no table entry to vary */
		for (unsigned b = 0; b < (large ? 2 : PTE_CHOICES); b++) {
			uint32_t ignored = (a + b) & 1 ? IGNORED : 0;

			q->pde = bits | ignored | (large ? LARGE_FRAME : (uint32_t)test_table);
			q->pte = spread(b, pte_bits) | ignored | page(0);
			(*count)++;
			if (!try_one(q, 0xD1E70000 + *count) && ++wrong == COMPLAINTS)
				return wrong;
		}
	}
	return wrong;
}

static void set_mode(const struct question *q)
{
	write_cr0(q->wp ? read_cr0() | CR0_WP : read_cr0() & ~(uint32_t)CR0_WP);
	if (cpu_features() & FEATURE_PSE)
		write_cr4(q->pse ? read_cr4() | CR4_PSE : read_cr4() & ~(uint32_t)CR4_PSE);
}

void combinations(void)
{
	static const char *const kind[2][ACCESSES] = {
	    {"supervisor read", "supervisor write", "supervisor fetch"},
	    {"user read", "user write", "user fetch"}};
	bool has_pse = cpu_features() & FEATURE_PSE;

	for (unsigned mode = 0; mode < 24; mode++) {
		struct question q = {
		    .wp = mode / 12, .pse = mode / 6 % 2, .user = mode / 3 % 2, .access = mode % 3};
		uint32_t count = 0;
		unsigned wrong;

		if (q.pse && !has_pse)
			continue;
		set_mode(&q);
		wrong = try_all(&q, &count);
		print("# CR0.WP=%u CR4.PSE=%u:\n", q.wp, q.pse);
		ok_count(wrong, kind[q.user][q.access], count);
	}
	*test_entry() = 0;
	flush_all();
}
