/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/policy.h - the original's way of caching shadow tables, fed with a recorded run.
 *
 * Four page directories, each with tables of its own for the kernel half as well; the one to be recycled is
 * drawn by lot; entries are filled one at a time, by a fault each; a flush of everything empties all four;
 * what is told about a kernel address is repeated in each, what is told about any other goes to the
 * directory it names, if that is cached.  This is a model of that policy, to count by: it maps nothing.
 *
 * The recording of a told run has what it needs: the guest's announcements, its switches, and every access
 * that its processor could not serve from its own buffer.  That buffer is emptied at each switch of tables
 * and loses what umbra's shadow loses; so an access that is not in the recording follows one to the same
 * page that is, with no switch between.  Where the original would have dropped the entry meanwhile and
 * umbra did not, the model counts a fault too few: the comparison errs in the original's favour.
 */
#ifndef TESTS_POLICY_H
#define TESTS_POLICY_H

#include <stdio.h>

#include "record/record.h"

struct policy {
	/* Settings. */
	unsigned directories;     /* the original: 4 */
	uint64_t seed;            /* of the lots */
	bool tables_when_refused; /* up to 2.6.24: a table is made although the fault is the guest's own, and
	                           * then takes what is announced */
	/* What the policy would have done. */
	uint64_t fills;           /* faults that filled an entry */
	uint64_t misses;          /* switches to a directory that was not cached */
	uint64_t tables;          /* made */
	/* What umbra did in the same run. */
	uint64_t umbra_fills;
	uint64_t switches, reflected, accesses;
};

/* false: the recording cannot be read to its end. */
bool policy_count(struct policy *policy, FILE *recording);

#endif
