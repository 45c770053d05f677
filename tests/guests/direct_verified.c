/* SPDX-License-Identifier: MIT */
/*
 * tests/guests/direct_verified.c - what the direct engine made of whole guests, and still has when they end, is proved
 * to keep to its world (direct/verify.c): our own, the hostile one, and Debian's kernel where it is at hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/tap.h"
#include "vmm/vmm.h"

struct guest {
	const char *kernel, *initrd, *command_line;
	uint32_t options;
	uint64_t ram_bytes;
	uint32_t worlds, mappings;
	enum vm_end end;
};

static void run_and_verify(const struct guest *g)
{
	struct vm_config config = {
		.ram_bytes = g->ram_bytes, .um_options = UM_OPT_ALL, .cpu_options = CPU_OPT_ALL, .vm_options = VM_OPT_ALL,
		.engine = VM_ENGINE_DIRECT, .direct_options = g->options, .direct_worlds = g->worlds,
		.direct_mappings = g->mappings, .debug_exit_port = 0x501, .no_reboot = true, .console = { .in = -1, .out = -1 },
		.guest = { .kernel = g->kernel, .initrd = g->initrd, .command_line = g->command_line, .unpack = true },
	};
	struct guest_error error;
	struct direct_stats stats;
	struct vm *vm;
	char why[256];

	if (direct_probe()) {
		print_message("# %s\n", direct_probe());
		skip();
	}
	vm = vm_new(&config, &error);
	if (!vm)
		fail_msg("%s", error.text);
	assert_int_equal(vm_run(vm), g->end);
	direct_get_stats(vm_direct(vm), &stats);
	assert_true(stats.blocks > 0);
	if (!direct_verify(vm_direct(vm), why, sizeof why))
		fail_msg("%s", why);
	print_message("# %s: %llu blocks, %llu bytes\n", strrchr(g->kernel, '/') + 1, (unsigned long long)stats.blocks,
	              (unsigned long long)stats.host_bytes);
	vm_free(vm);
}

/* A file of the build, or NULL: 32-bit guests are not built everywhere. */
static const char *built(const char *name, char path[static 512])
{
	const char *build = getenv("BUILD");
	FILE *file;

	snprintf(path, 512, "%s/guests/%s", build && *build ? build : "build", name);
	file = fopen(path, "rb");
	if (!file) {
		print_message("# no %s here\n", path);
		skip();
	}
	fclose(file);
	return path;
}

static void own_guest(const char *name, const char *command_line, enum vm_end end)
{
	static const uint32_t options[] = { DIRECT_OPT_ALL, 0, DIRECT_OPT_LINK | DIRECT_OPT_RETURNS,
		                            DIRECT_OPT_SOFT | DIRECT_OPT_INLINE };
	char path[512];

	for (unsigned n = 0; n < sizeof options / sizeof options[0]; n++)
		run_and_verify(&(struct guest){ .kernel = built(name, path), .command_line = command_line, .options = options[n],
		                                .ram_bytes = 64u << 20, .worlds = n == 1 ? 2 : 0, .end = end });
}

static void hello_is(void **state) { (void)state, own_guest("hello", "selfcheck", VM_POWER_OFF); }
static void the_access_suite_is(void **state) { (void)state, own_guest("access", NULL, VM_DEBUG_EXIT); }
static void the_hostile_guest_is(void **state) { (void)state, own_guest("hostile", NULL, VM_DEBUG_EXIT); }

/* The first line of what a command says. */
static bool ask(const char *command, char *line, size_t bytes)
{
	FILE *from = popen(command, "r");
	bool got = from && fgets(line, (int)bytes, from);

	if (from)
		pclose(from);
	line[got ? strcspn(line, "\n") : 0] = 0;
	return got && line[0];
}

static void debian_is(void **state)
{
	char folder[256], kernel[512], initrd[300], command[1024];
	const char *tmp = getenv("TMPDIR");

	(void)state;
	if (!ask("tools/fetch-guest 2>/dev/null", folder, sizeof folder)) {
		print_message("# no guest kernel\n");
		skip();
	}
	snprintf(kernel, sizeof kernel, "%s/vmlinuz", folder);
	snprintf(initrd, sizeof initrd, "%s/verified.cpio", tmp && *tmp ? tmp : "/tmp");
	snprintf(command, sizeof command, "tools/make-initramfs '%s/busybox' '%s'", folder, initrd);
	assert_int_equal(system(command), 0);
	for (unsigned few = 0; few < 2; few++)
		run_and_verify(&(struct guest){ .kernel = kernel, .initrd = initrd, .options = DIRECT_OPT_ALL,
		                                .command_line = "console=ttyS0 umbra.selfcheck panic=-1 cryptomgr.notests",
		                                .ram_bytes = 128u << 20, .worlds = few ? 2 : 0, .mappings = few ? 300 : 0,
		                                .end = VM_POWER_OFF });
	remove(initrd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hello_is),
		cmocka_unit_test(the_access_suite_is),
		cmocka_unit_test(the_hostile_guest_is),
		cmocka_unit_test(debian_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
