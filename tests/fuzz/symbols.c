/* SPDX-License-Identifier: MIT */
/*
 * tests/fuzz/symbols.c - any file as one with symbols, any memory as a Linux kernel's: names, or a refusal with a line.
 *
 * The first byte chooses: a file is the rest; memory has a good table, over which the rest is written, in pieces of a
 * place (2 bytes), a length (1) and that many bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "scope/symbols.h"
#include "tests/lib/fuzz.h"
#include "tests/lib/kallsyms.h"

#define KERNEL 0xC1000000u
#define ROOM 32768u

static unsigned long taken[2], refused[2];

static void must(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s\n", what);
	abort();
}

/* What is in the store can be found again. */
static void look(void *user, uint32_t address, uint32_t size, const char *name)
{
	struct symbols *s = user;
	char buf[600];
	uint32_t found;
	(void)size;
	must(*name != 0, "a symbol without a name");
	must(symbols_find(s, name, &found), "a name that is not found");
	must(*symbols_name(s, address, buf, sizeof buf) || size, "an address without a name");
}

static void judge(unsigned kind, struct symbols *s, bool fine, const struct symbols_error *error)
{
	must(fine || (error->text[0] && !strchr(error->text, '\n')), "a refusal is not one line");
	must(fine || symbols_count(s) == 0, "a refusal added something");
	symbols_visit(s, look, s);
	taken[kind] += fine;
	refused[kind] += !fine;
	symbols_free(s);
}

static void play_file(const uint8_t *data, size_t size)
{
	struct symbols_error error = { "" };
	struct symbols *s = symbols_new();
	char path[64];
	int fd = memfd_create("symbols", MFD_CLOEXEC);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	must(s && fd >= 0 && write(fd, data, size) == (ssize_t)size, "no memory");
	judge(0, s, symbols_load(s, path, &error), &error);
	close(fd);
}

struct memory {
	uint8_t bytes[ROOM];
};

static size_t read_memory(void *memory, uint32_t linear, void *buf, size_t bytes)
{
	struct memory *m = memory;
	if (linear < KERNEL || linear - KERNEL >= ROOM)
		return 0;
	if (bytes > ROOM - (linear - KERNEL))
		bytes = ROOM - (linear - KERNEL);
	memcpy(buf, m->bytes + (linear - KERNEL), bytes);
	return bytes;
}

static void play_memory(unsigned how, const uint8_t *data, size_t size)
{
	struct symbols_error error = { "" };
	struct symbols *s = symbols_new();
	struct memory *m = calloc(1, sizeof *m);
	const struct kallsyms_layout layout = { .form = (enum kallsyms_form)(how % 3), .late = how / 3 % 2, .sequence = how / 6 % 2,
		                                .long_name = how / 12 % 2, .base = KERNEL, .count = 600 };
	must(s && m, "no memory");
	kallsyms_make(&layout, m->bytes + 64, ROOM - 64);
	while (size > 3) {
		size_t at = (size_t)(data[0] | data[1] << 8) % ROOM, count = data[2];
		data += 3;
		size -= 3;
		if (count > size)
			count = size;
		if (count > ROOM - at)
			count = ROOM - at;
		memcpy(m->bytes + at, data, count);
		data += count;
		size -= count;
	}
	judge(1, s, symbols_find_kallsyms(s, read_memory, m, &error), &error);
	free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] & 0x80)
		play_memory(data[0] & 0x7F, data + 1, size - 1);
	else if (size)
		play_file(data + 1, size - 1);
	return 0;
}

static void report(void)
{
	printf("# files: %lu taken, %lu refused; memory: %lu taken, %lu refused\n", taken[0], refused[0], taken[1], refused[1]);
}

const struct fuzz_target fuzz_target = { .name = "symbols", .inputs = 300, .bytes = 400, .report = report };
