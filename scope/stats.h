/* SPDX-License-Identifier: MIT */
/*
 * scope/stats.h - what the shadow, the processor and the direct engine did, as names and numbers.
 */
#ifndef SCOPE_STATS_H
#define SCOPE_STATS_H

#include <stdio.h>

#include "scope/text.h"
#include "vmm/vmm.h"

enum stats { STATS_NONE, STATS_TEXT, STATS_JSON };

struct figure {
	const char *name; /* the JSON key; with spaces for people */
	uint64_t value;
};
#define FIGURES 96u

/* What the core counts, from `f` on; how many. */
unsigned collect_shadow(const struct um_stats *s, struct figure *f);
void print_figures(const struct figure *f, unsigned count, enum stats how, FILE *to);
void print_stats(struct vm *vm, enum stats how, FILE *to);
void print_hypercalls(struct vm *vm, enum stats how, FILE *to);
/* The same as print_stats(), for the monitor. */
void describe_stats(struct vm *vm, enum stats how, struct text *out);

#endif
