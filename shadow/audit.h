/* SPDX-License-Identifier: MIT */
/*
 * shadow/audit.h - the two halves of um_audit() to each other.
 */
#ifndef SHADOW_AUDIT_H
#define SHADOW_AUDIT_H

#include "core.h"

struct audit {
	const struct um *um;
	struct um_violation *v; /* the first found */
	uint64_t leaves;       /* present leaf entries of guest frames, all tables */
	uint64_t live_leaves;  /* ... of live tables */
	uint64_t uppers;       /* present upper entries */
};

/* Record a violation; always false, so that checks can `return broken(...)`. */
static inline bool broken(struct audit *a, int invariant, const char *text)
{
	a->v->invariant = invariant;
	a->v->text = text;
	return false;
}

/* audit_lists.c: I1, I2 and the bookkeeping I9-I11, I13, I17; needs the counts of the tables. */
bool audit_frames(struct audit *a);
bool audit_lists(struct audit *a);
bool audit_roots(struct audit *a);

#endif
