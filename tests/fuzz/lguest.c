/* SPDX-License-Identifier: MIT */
/*
 * tests/fuzz/lguest.c - a paravirtual guest that does anything: calls, traps, code, memory, devices.
 *
 * An input is a setting and a program of moves (tests/lib/lgplay.c); what must hold is in tests/lib/lgbox.c.
 */
#include <stdio.h>

#include "tests/lib/fuzz.h"
#include "tests/lib/lgbox.h"

/* One machine with all of the processor's optimisations and one with none, made once. */
static struct lgbox *machine[2];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned plain = size && (data[0] & 0xF0) == 0xF0;

	if (!machine[plain])
		machine[plain] = lgbox_new(plain ? 0 : CPU_OPT_ALL);
	lgbox_play(machine[plain], data, size);
	return 0;
}

static void report(void)
{
	for (unsigned n = 0; n < 2; n++) {
		const struct lgbox *b = machine[n];

		if (!b)
			continue;
		printf("# %s: %llu inputs, %llu moves, %llu hypercalls, %llu runs of guest code; "
		       "ended: %llu powered off, %llu restarted, %llu crashed, %llu killed; most work in one move: %llu\n",
		       n ? "no options" : "all options", (unsigned long long)b->inputs, (unsigned long long)b->moves,
		       (unsigned long long)b->calls, (unsigned long long)b->runs,
		       (unsigned long long)b->ends[LGUEST_POWER_OFF], (unsigned long long)b->ends[LGUEST_RESTART],
		       (unsigned long long)b->ends[LGUEST_CRASHED], (unsigned long long)b->ends[LGUEST_KILLED],
		       (unsigned long long)b->most_work);
		lgbox_free(machine[n]);
		machine[n] = NULL;
	}
}

const struct fuzz_target fuzz_target = { "lguest", 20000, 4096, report };
