/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/stats.c - what can be asked about a guest's calls.
 */
#include "guest/lguest/internal.h"

void lguest_get_stats(const struct lguest *lg, struct lguest_stats *out) { *out = lg->stats; }

void lguest_time_calls(struct lguest *lg, bool on)
{
	lg->timed = on;
	lg->sample = 0;
}
