/* SPDX-License-Identifier: MIT */
/*
 * cli/check.c - umbra run -engine check: both engines on machines of their own, compared all the way.
 */
#include <inttypes.h>

#include "cli/cli.h"

#define CHECK_EVERY 50000000u /* instructions between two comparisons of memory, unless said otherwise */

struct vm *new_judge(const struct vm_config *config, struct guest_error *error)
{
	struct vm_config judge = *config;
	judge.engine = VM_ENGINE_PORTABLE;
	judge.console = (struct vm_console){ .in = -1, .out = -1 };
	judge.log = NULL;
	judge.log_mask = 0;
	return vm_new(&judge, error);
}

enum vm_end run_check(struct vm *vm, struct vm *judge, const struct run_options *o)
{
	const struct vm_check_config config = {
		.every = o->check_every ? o->check_every : CHECK_EVERY,
		.from = o->check_from,
		.report = stderr,
	};
	struct vm_check_result result;
	enum vm_end end = vm_check(vm, judge, &config, &result);
	if (end == VM_DIFFERS)
		return end;
	fprintf(stderr, "check: %" PRIu64 " instructions, %" PRIu64 " blocks, no difference\n", result.instructions,
	        result.blocks);
	return end;
}
