/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_why.c - the reasons: why the shadow's entry is not the guest's, why an access succeeds or faults.
 *
 *   1. Differences     bit by bit, with the reason
 *   2. Accesses        permitted or not, the error code, and who denies it
 */
#include <stdio.h>

#include "scope/pt_at.h"

/* ---- 1. Differences ------------------------------------------------------------------------- */

static const char *why_absent(const struct at *a, const struct level *l)
{
	if (a->page.shadow == PT_UNMAPPED && l->place != PT_IN_TABLE)
		return "no memory there: never mapped, each access comes to the device";
	if (!a->pt->root && a->pt->space.um)
		return "this directory has no shadow yet: the first access builds it";
	if (l->place == PT_IN_TABLE)
		return "no table yet: the first access below it builds one";
	return "not filled yet: the first access builds it";
}

static const char *why_user(const struct level *l, const struct at *a)
{
	if (l->place == PT_IN_TABLE)
		return "upper shadow entries permit all: the leaf has what the levels agree on";
	if (a->page.shadow == PT_NOT_USER)
		return "CR0.WP = 0: the kernel has written this read-only page; the user's next read gives it back";
	return "the leaf has what all levels agree on, and the PDE keeps the user out";
}

static const char *why_write(const struct at *a, const struct level *l)
{
	if (l->place == PT_IN_TABLE)
		return "upper shadow entries permit all: the leaf has what the levels agree on";
	switch (a->page.shadow) {
	case PT_TRACKED:
		return "a guest table that is shadowed lies there: each write comes to the core";
	case PT_CLEAN:
		return "read-only until the first write, which must set D";
	case PT_SO_FAR:
		return "built ahead for reading: the first write makes it writable";
	case PT_NOT_USER:
	case PT_RW:
		return "CR0.WP = 0: the kernel may write what is read-only, hardware with WP = 1 may not";
	default:
		return "the leaf has what all levels agree on, and the PDE forbids writing";
	}
}

/* Why this bit of the shadow is not the guest's. */
static const char *why_differs(const struct at *a, const struct level *l, uint32_t bit)
{
	bool leaf = l->place != PT_IN_TABLE;
	if (leaf && a->page.shadow == PT_STALE)
		return "the guest has changed its entry and not flushed: the shadow keeps the old one until then";
	if (leaf && bit & PT_BIT_D)
		return l->shadow & bit ? "set with the right to write" : "set only with the right to write";
	if (bit & PT_BIT_RW)
		return why_write(a, l);
	if (bit & PT_BIT_US)
		return why_user(l, a);
	if (bit & PT_BIT_A)
		return "the shadow's entries always have it";
	return "kept by the hardware only as far as the guest is tracked";
}

bool pt_next_difference(const struct at *a, const struct level *l, unsigned *from, const struct pt_field **field,
                        const char **why)
{
	if (!l->beside || *from >= pt_field_count)
		return false;
	if (!(l->shadow & PT_BIT_P)) {
		*from = pt_field_count;
		*field = &pt_fields[0];
		*why = why_absent(a, l);
		return l->value & PT_BIT_P;
	}
	for (; *from < pt_field_count; ++*from) {
		const struct pt_field *f = &pt_fields[*from];
		uint32_t mask = PT_MASK(f->first, f->last);
		if (!(f->places & l->place) || !((l->shadow ^ l->value) & mask & l->known))
			continue;
		++*from;
		*field = f;
		*why = why_differs(a, l, mask);
		return true;
	}
	return false;
}

/* ---- 2. Accesses ---------------------------------------------------------------------------- */

/* "PDE 772", "PTE 257", "PDE 772 and PTE 257": the levels that lack `bit`. */
static const char *who_lacks(const struct at *a, uint32_t bit, char *buf, size_t bytes)
{
	size_t used = 0;
	buf[0] = 0;
	for (unsigned k = 0; k < a->levels; k++)
		if (!(a->level[k].value & bit))
			used += (size_t)snprintf(buf + used, bytes - used, "%s%s %u", used ? " and " : "", a->level[k].name,
			                         a->level[k].index);
	return buf;
}

static void judge_absent(const struct at *a, struct verdict *v)
{
	const struct level *l = &a->level[a->levels - 1];
	if (!a->pt->has_directory)
		snprintf(v->why, sizeof v->why, "there is no memory where CR3 points: reads as not present");
	else if (a->walk.outside)
		snprintf(v->why, sizeof v->why, "PDE %u leads to where there is no memory: reads as not present",
		         a->level[0].index);
	else
		snprintf(v->why, sizeof v->why, "%s %u is not present (P = 0)", l->name, l->index);
}

static void judge_guest(const struct at *a, enum pt_access access, unsigned ring, struct verdict *v)
{
	char who[64];
	bool user = ring == 3, write = access == PT_WRITE;
	const struct space_walk *w = &a->walk;
	unsigned bits = (write ? UM_WRITE : 0u) | (user ? UM_USER : 0u);
	v->ok = space_permits(&a->pt->space, w, bits | (access == PT_EXECUTE ? UM_FETCH : 0u));
	v->error = bits; /* I/D stays 0: no NX, no SMEP (4.7) */
	if (w->reserved) {
		v->error |= UM_PRESENT | UM_RSVD;
		snprintf(v->why, sizeof v->why, "PDE %u has a reserved bit set (13-21 of a 4 MiB page)", a->level[0].index);
	} else if (!w->present) {
		judge_absent(a, v);
	} else if (user && !w->user) {
		v->error |= UM_PRESENT;
		snprintf(v->why, sizeof v->why, "%s: the kernel's (U/S = 0)", who_lacks(a, PT_BIT_US, who, sizeof who));
	} else if (write && !w->writable && !v->ok) {
		v->error |= UM_PRESENT;
		snprintf(v->why, sizeof v->why, "%s: read-only (R/W = 0)%s", who_lacks(a, PT_BIT_RW, who, sizeof who),
		         user ? "" : ", and CR0.WP = 1");
	} else if (write && !w->writable) {
		snprintf(v->why, sizeof v->why, "%s: read-only (R/W = 0), but CR0.WP = 0",
		         who_lacks(a, PT_BIT_RW, who, sizeof who));
	} else if (access == PT_EXECUTE) {
		snprintf(v->why, sizeof v->why, "what can be read can be executed: no bit against it");
	} else {
		snprintf(v->why, sizeof v->why, "all levels permit it");
	}
}

static const char *judge_shadow(const struct at *a, enum pt_access access, unsigned ring, bool ok)
{
	unsigned need = (access == PT_WRITE ? UM_WRITE : 0u) | (ring == 3 ? UM_USER : 0u);
	bool permits = a->has_leaf && !(need & (unsigned)~a->leaf.rights);
	if (!a->pt->has_shadow)
		return NULL;
	if (a->window)
		return "the host's window";
	if (!ok)
		return permits ? "STALE: permits it" : "faults";
	if (a->page.memory >= PT_DEVICE)
		return "to the device";
	if (a->page.shadow == PT_STALE)
		return permits ? "STALE: old page" : "fills";
	if (permits)
		return "permits it";
	return access == PT_WRITE && a->has_leaf && a->leaf.tracked ? "to the core" : "fills";
}

void pt_judge(const struct at *a, enum pt_access access, unsigned ring, struct verdict *v)
{
	*v = (struct verdict){ 0 };
	judge_guest(a, access, ring, v);
	if (a->window) {
		v->ok = false;
		v->error = (access == PT_WRITE ? UM_WRITE : 0u) | (ring == 3 ? UM_USER : 0u);
		snprintf(v->why, sizeof v->why, "the host has these addresses: nothing of the guest's is there");
	}
	v->shadow = judge_shadow(a, access, ring, v->ok);
}
