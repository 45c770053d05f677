/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/image.c - made-up guest images: see image.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/lib/image.h"

static void check(bool fine, const char *what)
{
	if (!fine) {
		perror(what);
		abort();
	}
}

void made_copy(struct made *m, size_t at, const void *bytes, size_t count)
{
	check(at + count <= sizeof m->bytes, "image too large");
	memcpy(m->bytes + at, bytes, count);
	if (m->size < at + count)
		m->size = at + count;
}

void made_word(struct made *m, size_t at, uint32_t value)
{
	made_copy(m, at, &value, sizeof value);
}

void made_half(struct made *m, size_t at, uint16_t value)
{
	made_copy(m, at, &value, sizeof value);
}

void loading_start(struct loading *l, size_t ram_bytes)
{
	const char *folder = getenv("TMPDIR");
	memset(l, 0, sizeof *l);
	l->request.ram = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE,
	                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(l->request.ram != MAP_FAILED, "mmap");
	l->request.ram_bytes = ram_bytes;
	memset(l->request.ram, PATTERN, ram_bytes);
	for (unsigned k = 0; k < 3; k++)
		snprintf(l->path[k], sizeof l->path[k], "%s/umbra-test-%d-%u", folder ? folder : "/tmp",
		         (int)getpid(), k);
}

void loading_end(struct loading *l)
{
	munmap(l->request.ram, l->request.ram_bytes);
	for (unsigned k = 0; k < 3; k++)
		unlink(l->path[k]);
}

const char *loading_file(struct loading *l, unsigned which, const void *bytes, size_t count)
{
	FILE *file = fopen(l->path[which], "wb");
	check(file != NULL, l->path[which]);
	check(fwrite(bytes, 1, count, file) == count, l->path[which]);
	check(fclose(file) == 0, l->path[which]);
	return l->path[which];
}

bool loading_run(struct loading *l, const struct made *m)
{
	l->request.kernel = loading_file(l, 0, m->bytes, m->size);
	return guest_load(&l->request, &l->start, &l->kind, &l->error);
}

bool loading_untouched(const struct loading *l, size_t first, size_t end)
{
	for (size_t k = 0; k < l->request.ram_bytes; k++)
		if (l->request.ram[k] != PATTERN && (k < first || k >= end))
			return false;
	return true;
}

uint32_t ram_word(const struct loading *l, size_t gpa)
{
	uint32_t value;
	check(gpa + sizeof value <= l->request.ram_bytes, "outside memory");
	memcpy(&value, l->request.ram + gpa, sizeof value);
	return value;
}

void make_elf(struct made *m, uint32_t paddr, uint32_t vaddr, uint32_t entry)
{
	static const uint8_t ident[16] = { 0x7F, 'E', 'L', 'F', 1, 1, 1 };
	memset(m, 0, sizeof *m);
	made_copy(m, 0, ident, sizeof ident);
	made_half(m, 16, 2); /* ET_EXEC */
	made_half(m, 18, 3); /* EM_386 */
	made_word(m, 20, 1);
	made_word(m, 24, entry);
	made_word(m, 28, 52);
	made_half(m, 40, 52);
	made_half(m, 42, 32);
	made_half(m, 44, 2);
	for (uint32_t k = 0; k < 2; k++) {
		size_t at = 52 + k * 32;
		made_word(m, at, 1); /* PT_LOAD */
		made_word(m, at + 4, 0x100 + k * 8);
		made_word(m, at + 8, vaddr + k * 0x1000);
		made_word(m, at + 12, paddr + k * 0x1000);
		made_word(m, at + 16, 8);
		made_word(m, at + 20, k ? 64 : 8);
		made_word(m, at + 24, 7);
	}
	made_copy(m, 0x100, ELF_CODE "DATADATA", 16);
}

void make_bzimage(struct made *m, uint16_t version, const void *high, size_t high_bytes)
{
	memset(m, 0, sizeof *m);
	made_copy(m, 0x1F1, "\4", 1);
	made_word(m, 0x1F4, (uint32_t)((high_bytes + 15) / 16));
	made_half(m, 0x1FE, 0xAA55);
	made_copy(m, 0x200, "\xEB\x66HdrS", 6);
	made_half(m, 0x206, version);
	made_copy(m, 0x211, "\1", 1);
	made_word(m, 0x22C, 0x7FFFFFFF);
	made_word(m, 0x238, 255);
	made_copy(m, 2560, high, high_bytes);
}
