/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/main.c - all of it, one after the other.  See hostile.h.  The command line may name tests (and
 * `verbose`: each attempt).
 */
#include "guests/hostile/hostile.h"

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "segments", segments }, { "far", far_transfers }, { "system", system_instructions }, { "stacks", stacks },
	{ "self", self_changes }, { "addresses", addresses }, { "strings", strings }, { "steps", single_steps },
	{ "breakpoints", breakpoints }, { "long", long_instructions }, { "alignment", alignment }, { "modes", modes },
	{ "tables", changing_tables }, { "calls", calls },
	{ "floating", floating_point }, { "delivery", delivery }, { "timer", timer },
};

static bool wanted(const struct multiboot *info, const char *name)
{
	bool some = false;

	for (unsigned n = 0; n < COUNT(tests); n++)
		some |= has_word(info, tests[n].name);
	return !some || has_word(info, name);
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	bool run[COUNT(tests)];

	console_start();
	if (magic != MULTIBOOT_MAGIC || memory_top(info) < 12u << 20) {
		print("Bail out! a multiboot loader and 12 MiB of memory are needed\n");
		debug_exit(2);
	}
	for (unsigned n = 0; n < COUNT(tests); n++)
		run[n] = wanted(info, tests[n].name);
	verbose = has_word(info, "verbose");
	traps_start();
	tables_start();
	for (unsigned n = 0; n < COUNT(tests); n++) {
		if (!run[n])
			continue;
		tidy_up();
		tests[n].run();
	}
	print("END\n");
	debug_exit(0);
}
