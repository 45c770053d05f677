/* SPDX-License-Identifier: MIT */
/*
 * shadow/digest.c - um_digest(): one number for all that is cached.
 *
 *   1. Mixing
 *   2. Tables      by what they shadow, not by where they lie
 *   3. um_digest
 *
 * A sum over all entries, so that the order of tables does not matter: two shadows that hold the
 * same translations have the same number, whatever ids their tables got.  It finds differences; it
 * is no defence against somebody who makes up two shadows with one number.
 */
#include "core.h"

/* ---- 1. Mixing ------------------------------------------------------------------------------ */

/* Every bit of the word changes about half of the bits of the result. */
static uint64_t mix(uint64_t word)
{
	word += UINT64_C(0x9E3779B97F4A7C15);
	word = (word ^ word >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	word = (word ^ word >> 27) * UINT64_C(0x94D049BB133111EB);
	return word ^ word >> 31;
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

static uint64_t table_identity(const struct table *t)
{
	uint64_t what = t->role & ROLE_WINDOW ? t->gva : t->gfn;

	return mix(mix(what << 32 | t->role) + t->owner);
}

static uint64_t digest_entry(const struct um *um, const struct table *t, unsigned index)
{
	uint64_t spte = t->spte[index];
	uint64_t leads = link_at(t, index)->gfn;

	if (t->role & ROLE_WINDOW) {
		leads = 0;
	} else if (level_of(t)) {
		leads = table_identity(child_of(um, spte));
		spte &= (UINT64_C(1) << SPTE_FRAME_SHIFT) - 1; /* the rest is the child's id */
	}
	return mix(mix(spte + index) + leads);
}

static uint64_t digest_table(const struct um *um, const struct table *t)
{
	uint64_t identity = table_identity(t), sum = 0;

	for (unsigned i = 0, left = t->present; i < ENTRIES && left; i++) {
		if (!(t->spte[i] & SPTE_PRESENT))
			continue;
		left--;
		sum += mix(identity + digest_entry(um, t, i));
	}
	return sum + mix(identity);
}

/* ---- 3. um_digest --------------------------------------------------------------------------- */

uint64_t um_digest(const struct um *um)
{
	uint64_t sum = mix(um->cr3) + mix(um->mode + UINT64_C(0x100000000) * um->learn);

	if (um->root)
		sum += mix(table_identity(table_at(um, um->root)) + 1);
	for (uint32_t id = 1; id <= um->max_tables; id++)
		if (table_at(um, id)->spte && is_live(um, table_at(um, id)))
			sum += digest_table(um, table_at(um, id));
	return sum;
}
