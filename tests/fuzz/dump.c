/* SPDX-License-Identifier: MIT */
/*
 * tests/fuzz/dump.c - any file as a dump, looked at in every view: refused with a line, or an address space in bounds.
 *
 * The first byte chooses words of `umbra pt`; the rest is the file.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scope/dump.h"
#include "scope/pt.h"
#include "tests/lib/fuzz.h"

static const char *const lines[] = {
	"", "--json", "--merge", "--at 0", "--at ffc00ffc --json", "--tables", "--tables --json", "--shared",
	"--shared 1000 2000 --json", "--cr3 0 --cr0 80000001 --cr4 90", "--cr3 1000 --cr0 80010001 --json",
	"--cr0 80000001 --cr4 0 --at 400123", "--cr3 1000 --cr0 80010001 --cr4 10 --tables", "--roots",
	"--cr0 80010001 --user --from 1000", "--cr0 80010001 --kernel --to bfffffff --json",
};
enum { LINES = sizeof lines / sizeof lines[0] };

static unsigned long opened[DUMP_RAW + 1], refused;

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

static void look(struct dump *d, const char *line)
{
	struct space space;
	struct text out = { 0 };
	char why[256] = "";
	size_t size;
	dump_space(d, &space);
	if (pt_line(&space, line, &out, why, sizeof why)) {
		must(out.size > 0 && out.size < PT_RUNS_MAX * 450, "a view is too long");
		if (strstr(line, "json")) {
			json_t *json = json_loadb(text_string(&out), out.size, 0, NULL);
			must(json != NULL, "a view is no JSON");
			json_decref(json);
		}
	} else {
		must(out.size == 0 && why[0] && !strchr(why, '\n'), "a refusal is not one line");
	}
	free(dump_note(d, DUMP_NOTE_NAME, DUMP_NOTE_MORE, &size));
	text_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64], why[256] = "";
	int fd = memfd_create("dump", MFD_CLOEXEC);
	if (fd < 0 || !size || write(fd, data + 1, size - 1) != (ssize_t)(size - 1)) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	struct dump *d = dump_open(path, why, sizeof why);
	if (d) {
		opened[dump_kind(d)]++;
		look(d, lines[data[0] % LINES]);
		dump_close(d);
	} else {
		must(why[0] && !strchr(why, '\n'), "a refusal is not one line");
		refused++;
	}
	close(fd);
	return 0;
}

static void report(void)
{
	printf("# %lu of umbra's, %lu of QEMU's, %lu without registers, %lu raw; %lu refused\n", opened[DUMP_UMBRA],
	       opened[DUMP_QEMU], opened[DUMP_FOREIGN], opened[DUMP_RAW], refused);
}

const struct fuzz_target fuzz_target = { "dump", 300, 8192, report };
