/* SPDX-License-Identifier: MIT */
/*
 * scope/dump_write.c - dump_write(): a guest as an ELF32 core (System V ABI, chapters 4 and 5).
 *
 *   1. Notes       name, type, bytes, each part padded to 4
 *   2. Headers     one segment of notes, one of memory
 *   3. Memory      page by page; zeros are holes
 *   4. The file    a temporary name, then the real one
 *   5. dump_write
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scope/dump_inside.h"
#include "scope/text.h"

enum { PAGE = 4096, CHUNK = 256 << 10, PHDRS = 2, NOTES_AT = sizeof(Elf32_Ehdr) + PHDRS * sizeof(Elf32_Phdr) };

struct writer {
	struct vm *vm;
	const char *path;
	int fd;
	struct text notes;
	char *why;
	size_t bytes;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct writer *w, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(w->why, w->bytes, format, list);
	va_end(list);
	return false;
}

/* ---- 1. Notes ------------------------------------------------------------------------------- */

static void pad(struct text *t)
{
	static const char zeros[4];
	text_add_bytes(t, zeros, -t->size & 3u);
}

static void add_note(struct text *t, const char *name, uint32_t type, const void *bytes, size_t size)
{
	uint8_t head[12];
	dump_put32(head, (uint32_t)strlen(name) + 1);
	dump_put32(head + 4, (uint32_t)size);
	dump_put32(head + 8, type);
	text_add_bytes(t, (const char *)head, sizeof head);
	text_add_bytes(t, name, strlen(name) + 1);
	pad(t);
	text_add_bytes(t, bytes, size);
	pad(t);
}

static bool make_notes(struct writer *w, const struct dump_note *more, size_t count)
{
	uint8_t prstatus[DUMP_PRSTATUS_BYTES], packed[DUMP_STATE_BYTES];
	struct cpu_state state;
	size_t size;
	uint8_t *shadow = dump_pack_shadow(vm_shadow(w->vm), &size);
	if (!shadow)
		return refuse(w, "no memory for the shadow's entries");
	cpu_get_state(vm_cpu(w->vm), &state);
	dump_pack_prstatus(&state, prstatus);
	add_note(&w->notes, "CORE", NT_PRSTATUS, prstatus, sizeof prstatus);
	add_note(&w->notes, DUMP_NOTE_NAME, DUMP_NOTE_STATE, packed, dump_pack_state(&state, packed));
	add_note(&w->notes, DUMP_NOTE_NAME, DUMP_NOTE_SHADOW, shadow, size);
	free(shadow);
	for (size_t k = 0; k < count; k++)
		add_note(&w->notes, more[k].name, more[k].type, more[k].bytes, more[k].size);
	return !w->notes.cut || refuse(w, "no memory for the notes, or they are larger than %u bytes", DUMP_NOTE_BYTES_MAX);
}

/* ---- 2. Headers ----------------------------------------------------------------------------- */

static bool put(struct writer *w, const void *from, size_t count, uint64_t at)
{
	const char *bytes = from;
	while (count) {
		ssize_t done = pwrite(w->fd, bytes, count, (off_t)at);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return refuse(w, "%s: %s", w->path, done ? strerror(errno) : "nothing could be written");
		bytes += done;
		count -= (size_t)done;
		at += (uint64_t)done;
	}
	return true;
}

static uint32_t memory_at(const struct writer *w)
{
	return ((uint32_t)(NOTES_AT + w->notes.size) + PAGE - 1) & ~(uint32_t)(PAGE - 1);
}

static bool put_headers(struct writer *w)
{
	uint32_t ram = (uint32_t)vm_ram_bytes(w->vm);
	Elf32_Ehdr e = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_386, .e_version = EV_CURRENT, .e_phoff = sizeof e, .e_ehsize = sizeof e,
		.e_phentsize = sizeof(Elf32_Phdr), .e_phnum = PHDRS,
	};
	Elf32_Phdr p[PHDRS] = {
		{ .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_filesz = (uint32_t)w->notes.size },
		{ .p_type = PT_LOAD, .p_offset = memory_at(w), .p_filesz = ram, .p_memsz = ram, .p_flags = PF_R | PF_W | PF_X,
		  .p_align = PAGE },
	};
	return put(w, &e, sizeof e, 0) && put(w, p, sizeof p, sizeof e) &&
	       put(w, text_string(&w->notes), w->notes.size, NOTES_AT);
}

/* ---- 3. Memory ------------------------------------------------------------------------------ */

static bool is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* Pages that are not zero, as many at a time as follow each other. */
static bool put_chunk(struct writer *w, const uint8_t *chunk, size_t count, uint64_t at)
{
	for (size_t first = 0, end; first < count; first = end) {
		bool zero = is_zero(chunk + first);
		for (end = first + PAGE; end < count && is_zero(chunk + end) == zero; end += PAGE)
			;
		if (!zero && !put(w, chunk + first, end - first, at + first))
			return false;
	}
	return true;
}

static bool put_range(struct writer *w, uint64_t gpa, uint64_t end, uint8_t *chunk)
{
	bool good = true;
	for (; good && gpa < end; gpa += CHUNK) {
		size_t count = end - gpa < CHUNK ? (size_t)(end - gpa) : CHUNK;
		if (vm_read_physical(w->vm, gpa, chunk, count) != count)
			good = refuse(w, "guest memory at %08llx cannot be read", (unsigned long long)gpa);
		else
			good = put_chunk(w, chunk, count, memory_at(w) + gpa);
	}
	return good;
}

static bool put_memory(struct writer *w)
{
	uint64_t first, end = 0;
	uint8_t *chunk = malloc(CHUNK);
	bool good = chunk || refuse(w, "no memory");
	if (good && ftruncate(w->fd, (off_t)(memory_at(w) + vm_ram_bytes(w->vm))) != 0)
		good = refuse(w, "%s: %s", w->path, strerror(errno));
	while (good && vm_next_data(w->vm, end, &first, &end))
		good = put_range(w, first, end, chunk);
	free(chunk);
	return good;
}

/* ---- 4. The file ---------------------------------------------------------------------------- */

/* A device, a pipe or a folder would be replaced by the new file. */
static bool may_replace(struct writer *w)
{
	struct stat s;
	if (!*w->path)
		return refuse(w, "the file has no name");
	if (stat(w->path, &s) == 0 && !S_ISREG(s.st_mode))
		return refuse(w, "%s: is not a regular file", w->path);
	return true;
}

static bool fill_file(struct writer *w)
{
	bool good = put_headers(w) && put_memory(w);
	if (close(w->fd) != 0 && good)
		good = refuse(w, "%s: %s", w->path, strerror(errno));
	return good;
}

static bool write_file(struct writer *w)
{
	struct text name = { .limit = PAGE };
	text_add(&name, "%s.XXXXXX", w->path);
	if (name.cut) {
		text_free(&name);
		return refuse(w, "the file's name is too long");
	}
	w->fd = mkostemp(name.data, O_CLOEXEC);
	bool good = w->fd >= 0 || refuse(w, "%s: %s", w->path, strerror(errno)), made = good;
	good = good && fill_file(w);
	if (good && rename(name.data, w->path) != 0)
		good = refuse(w, "%s: %s", w->path, strerror(errno));
	if (made && !good)
		unlink(name.data);
	text_free(&name);
	return good;
}

/* ---- 5. dump_write -------------------------------------------------------------------------- */

bool dump_write(struct vm *vm, const char *path, const struct dump_note *more, size_t count, char *why, size_t bytes)
{
	struct writer w = { .vm = vm, .path = path, .fd = -1, .why = why, .bytes = bytes };
	w.notes.limit = DUMP_NOTE_BYTES_MAX;
	bool good = may_replace(&w) && make_notes(&w, more, count) && write_file(&w);
	text_free(&w.notes);
	return good;
}
