/* SPDX-License-Identifier: MIT */
/*
 * scope/pt_at.h - one address on its way through the levels: what pt_at.c shows, and pt_why.c gives the reasons for.
 */
#ifndef SCOPE_PT_AT_H
#define SCOPE_PT_AT_H

#include "scope/pt_inside.h"

enum { NOTE_BYTES = 192 };

/* One entry on the way. */
struct level {
	const char *name;          /* CR3, PDE, PTE */
	unsigned index;
	enum pt_place place;
	uint64_t gpa;
	uint32_t value;
	bool there;                /* there is memory */
	/* What stands beside it: the shadow's entry in the form of the guest's, as far as it has those bits. */
	bool beside;               /* has_shadow, and a level that the shadow has */
	uint32_t shadow, known;    /* known: the bits that a shadow entry has */
	uint32_t table;            /* the shadow table that the entry is in, 0: not known */
	uint32_t child;            /* ... and that it leads to */
};

struct at {
	struct pt *pt;
	const struct pt_options *o;
	struct text *out;
	uint32_t linear;
	struct space_walk walk;
	struct pt_page page;       /* with the shadow's state */
	struct level cr3;
	struct level level[2];     /* PDE, PTE, as far as the way goes */
	unsigned levels;
	bool has_leaf;
	struct um_entry leaf;
	bool window;               /* of the host */
};

struct verdict {
	bool ok;
	uint32_t error;
	char why[NOTE_BYTES];
	const char *shadow;        /* what comes of it there; NULL: no shadow */
};

/* pt_why.c */
/* One difference between the guest's entry and the shadow's, from field *from on, which is moved behind it; the first field
 * (P) if the whole entry is not there.  false: there is no more. */
bool pt_next_difference(const struct at *a, const struct level *l, unsigned *from, const struct pt_field **field,
                        const char **why);
void pt_judge(const struct at *a, enum pt_access access, unsigned ring, struct verdict *v);

#endif
