/* SPDX-License-Identifier: MIT */
/*
 * scope/dump_read.c - a dump as an address space: ELF cores of both classes, raw memory.
 *
 *   1. The file       reading with every offset checked
 *   2. Headers        both classes in one form
 *   3. Segments       sorted by guest-physical address
 *   4. Notes          where they are; read when they are asked for
 *   5. Opening
 *   6. What is in it  dump_read, dump_note, dump_state, dump_space
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

/* ---- 1. The file ---------------------------------------------------------------------------- */

enum { NOTE_NAME_BYTES = 16 };

struct segment {
	uint64_t gpa, bytes;      /* where it is in guest memory */
	uint64_t offset, in_file; /* what is not in the file is zero */
};

struct note {
	char name[NOTE_NAME_BYTES];
	uint32_t type;
	uint64_t offset, size;
};

struct dump {
	int fd;
	uint64_t file_bytes;
	enum dump_kind kind;
	struct segment *segment;
	unsigned segments, last_hit;
	struct note note[DUMP_NOTES_MAX];
	unsigned notes;
	struct space_leaf *leaf;
	size_t leaves;
	uint32_t leaf_mode;
	const char *path;         /* while it is opened */
	char *why;
	size_t bytes;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct dump *d, const char *format, ...)
{
	va_list list;
	int used = snprintf(d->why, d->bytes, "%s: ", d->path);
	va_start(list, format);
	if (used > 0 && (size_t)used < d->bytes)
		vsnprintf(d->why + used, d->bytes - (size_t)used, format, list);
	va_end(list);
	return false;
}

/* Does [offset, offset + size) lie in the file? */
static bool in_file(const struct dump *d, uint64_t offset, uint64_t size)
{
	return offset <= d->file_bytes && size <= d->file_bytes - offset;
}

static bool read_at(const struct dump *d, uint64_t offset, void *buf, size_t size)
{
	uint8_t *bytes = buf;
	while (size) {
		ssize_t done = pread(d->fd, bytes, size, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		bytes += done;
		size -= (size_t)done;
		offset += (uint64_t)done;
	}
	return true;
}

/* ---- 2. Headers ----------------------------------------------------------------------------- */

struct headers {
	uint64_t offset;
	unsigned count, size;
	bool wide;
};
struct program_header {
	uint32_t type;
	uint64_t offset, gpa, in_file, in_memory;
};

static bool read_header(struct dump *d, const uint8_t ident[EI_NIDENT], struct headers *h)
{
	unsigned type, machine;
	union {
		Elf32_Ehdr narrow;
		Elf64_Ehdr wide;
	} e;
	h->wide = ident[EI_CLASS] == ELFCLASS64;
	if ((!h->wide && ident[EI_CLASS] != ELFCLASS32) || ident[EI_DATA] != ELFDATA2LSB)
		return refuse(d, "an ELF file of another kind of machine");
	if (!read_at(d, 0, &e, h->wide ? sizeof e.wide : sizeof e.narrow))
		return refuse(d, "an ELF file cut off in its header");
	if (h->wide) {
		type = e.wide.e_type, machine = e.wide.e_machine;
		*h = (struct headers){ e.wide.e_phoff, e.wide.e_phnum, sizeof(Elf64_Phdr), true };
	} else {
		type = e.narrow.e_type, machine = e.narrow.e_machine;
		*h = (struct headers){ e.narrow.e_phoff, e.narrow.e_phnum, sizeof(Elf32_Phdr), false };
	}
	if (type != ET_CORE)
		return refuse(d, "an ELF file, but no core: no memory of a guest is in it");
	if (machine != EM_386 && machine != EM_X86_64)
		return refuse(d, "a core of another kind of machine");
	if ((h->wide ? e.wide.e_phentsize : e.narrow.e_phentsize) != h->size || h->count == PN_XNUM)
		return refuse(d, "program headers of a size or number that does not occur");
	if (!in_file(d, h->offset, (uint64_t)h->count * h->size))
		return refuse(d, "the program headers are beyond the end of the file");
	return true;
}

static bool read_program_header(struct dump *d, const struct headers *h, unsigned index, struct program_header *out)
{
	uint64_t at = h->offset + (uint64_t)index * h->size;
	union {
		Elf32_Phdr narrow;
		Elf64_Phdr wide;
	} p;
	if (!read_at(d, at, &p, h->size))
		return refuse(d, "program header %u cannot be read", index);
	if (h->wide)
		*out = (struct program_header){ p.wide.p_type, p.wide.p_offset, p.wide.p_paddr, p.wide.p_filesz, p.wide.p_memsz };
	else
		*out = (struct program_header){ p.narrow.p_type, p.narrow.p_offset, p.narrow.p_paddr, p.narrow.p_filesz,
			                        p.narrow.p_memsz };
	return true;
}

/* ---- 3. Segments ---------------------------------------------------------------------------- */

static bool add_segment(struct dump *d, const struct program_header *p)
{
	uint64_t bytes = p->in_memory > p->in_file ? p->in_memory : p->in_file;
	if (!bytes)
		return true;
	if (!in_file(d, p->offset, p->in_file))
		return refuse(d, "memory at %llx is beyond the end of the file: it was cut off", (unsigned long long)p->gpa);
	if (p->gpa + bytes < p->gpa)
		return refuse(d, "memory at %llx is larger than the address space", (unsigned long long)p->gpa);
	d->segment[d->segments++] = (struct segment){ p->gpa, bytes, p->offset, p->in_file };
	return true;
}

static int by_gpa(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;
	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

/* What is mapped at several linear addresses is in some dumps as often, each time the same bytes of memory: of pieces that
 * overlap, only what is new stays. */
static void sort_segments(struct dump *d)
{
	unsigned kept = 0;
	uint64_t end = 0;
	qsort(d->segment, d->segments, sizeof d->segment[0], by_gpa);
	for (unsigned k = 0; k < d->segments; k++) {
		struct segment s = d->segment[k];
		uint64_t known = s.gpa < end ? end - s.gpa : 0;
		if (known >= s.bytes)
			continue;
		s.gpa += known;
		s.bytes -= known;
		s.offset += known < s.in_file ? known : s.in_file;
		s.in_file -= known < s.in_file ? known : s.in_file;
		d->segment[kept++] = s;
		end = s.gpa + s.bytes;
	}
	d->segments = kept;
}

static const struct segment *find_segment(struct dump *d, uint64_t gpa)
{
	unsigned low = 0, high = d->segments;
	if (d->last_hit < d->segments && gpa - d->segment[d->last_hit].gpa < d->segment[d->last_hit].bytes)
		return &d->segment[d->last_hit];
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		if (gpa < d->segment[middle].gpa) {
			high = middle;
		} else if (gpa - d->segment[middle].gpa >= d->segment[middle].bytes) {
			low = middle + 1;
		} else {
			d->last_hit = middle;
			return &d->segment[middle];
		}
	}
	return NULL;
}

/* ---- 4. Notes ------------------------------------------------------------------------------- */

static uint64_t padded(uint64_t size)
{
	return (size + 3) & ~UINT64_C(3);
}

static bool add_notes(struct dump *d, const struct program_header *p)
{
	uint64_t at = p->offset, end = p->offset + p->in_file;
	if (!in_file(d, p->offset, p->in_file))
		return refuse(d, "its notes are beyond the end of the file");
	while (end - at >= 12 && d->notes < DUMP_NOTES_MAX) {
		struct note *n = &d->note[d->notes];
		uint8_t head[12];
		if (!read_at(d, at, head, sizeof head))
			return refuse(d, "a note cannot be read");
		uint64_t name = dump_get32(head), size = dump_get32(head + 4);
		at += sizeof head;
		/* The padding of the last one may be missing. */
		if (padded(name) > end - at || size > end - at - padded(name))
			return refuse(d, "a note is larger than its segment");
		*n = (struct note){ .type = dump_get32(head + 8), .offset = at + padded(name), .size = size };
		if (name && name <= NOTE_NAME_BYTES && !read_at(d, at, n->name, (size_t)name))
			return refuse(d, "a note cannot be read");
		n->name[NOTE_NAME_BYTES - 1] = 0;
		d->notes++;
		at += padded(name);
		at = end - at < padded(size) ? end : at + padded(size);
	}
	return true;
}

/* ---- 5. Opening ----------------------------------------------------------------------------- */

static bool open_file(struct dump *d)
{
	struct stat s;
	d->fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (d->fd < 0 || fstat(d->fd, &s) != 0)
		return refuse(d, "%s", strerror(errno));
	if (!S_ISREG(s.st_mode))
		return refuse(d, "is not a regular file");
	if (!s.st_size)
		return refuse(d, "is empty");
	d->file_bytes = (uint64_t)s.st_size;
	return true;
}

static bool make_segments(struct dump *d, unsigned most)
{
	d->segment = calloc(most + 1, sizeof *d->segment);
	return d->segment || refuse(d, "no memory");
}

static bool take_raw(struct dump *d)
{
	if (!make_segments(d, 1))
		return false;
	d->kind = DUMP_RAW;
	d->segment[d->segments++] = (struct segment){ 0, d->file_bytes, 0, d->file_bytes };
	return true;
}

static bool read_elf(struct dump *d, const uint8_t ident[EI_NIDENT])
{
	struct headers h = { 0 };
	struct program_header p = { 0 };
	if (!read_header(d, ident, &h) || !make_segments(d, h.count))
		return false;
	for (unsigned k = 0; k < h.count; k++) {
		if (!read_program_header(d, &h, k, &p))
			return false;
		if ((p.type == PT_LOAD && !add_segment(d, &p)) || (p.type == PT_NOTE && !add_notes(d, &p)))
			return false;
	}
	sort_segments(d);
	return true;
}

static const struct note *find_note(const struct dump *d, const char *name, uint32_t type)
{
	for (unsigned k = 0; k < d->notes; k++)
		if (d->note[k].type == type && strcmp(d->note[k].name, name) == 0)
			return &d->note[k];
	return NULL;
}

/* Who wrote it; a note of ours that makes no sense is damage, and said. */
static bool take_kind(struct dump *d)
{
	struct cpu_state s;
	size_t size;
	d->kind = find_note(d, DUMP_NOTE_NAME, DUMP_NOTE_STATE) ? DUMP_UMBRA :
	          find_note(d, "QEMU", 0)                        ? DUMP_QEMU :
	                                                           DUMP_FOREIGN;
	if (d->kind == DUMP_FOREIGN)
		return true;
	if (!dump_state(d, &s))
		return refuse(d, "its note of the processor's state is damaged, or of another version");
	uint8_t *shadow = d->kind == DUMP_UMBRA ? dump_note(d, DUMP_NOTE_NAME, DUMP_NOTE_SHADOW, &size) : NULL;
	if (shadow)
		d->leaf = dump_unpack_shadow(shadow, size, &d->leaves, &d->leaf_mode);
	free(shadow);
	return true;
}

static bool open_dump(struct dump *d)
{
	uint8_t ident[EI_NIDENT] = { 0 };
	if (!open_file(d))
		return false;
	if (d->file_bytes < sizeof ident || !read_at(d, 0, ident, sizeof ident) || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return take_raw(d);
	return read_elf(d, ident) && take_kind(d);
}

struct dump *dump_open(const char *path, char *why, size_t bytes)
{
	struct dump *d = calloc(1, sizeof *d);
	if (!d) {
		snprintf(why, bytes, "no memory");
		return NULL;
	}
	d->fd = -1;
	d->path = path;
	d->why = why;
	d->bytes = bytes;
	if (!open_dump(d)) {
		dump_close(d);
		return NULL;
	}
	d->path = d->why = NULL;
	return d;
}

void dump_close(struct dump *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		close(d->fd);
	free(d->segment);
	free(d->leaf);
	free(d);
}

/* ---- 6. What is in it ----------------------------------------------------------------------- */

enum dump_kind dump_kind(const struct dump *d)
{
	return d->kind;
}

void dump_set_base(struct dump *d, uint64_t gpa)
{
	if (d->kind == DUMP_RAW)
		d->segment[0].gpa = gpa;
}

size_t dump_read(struct dump *d, uint64_t gpa, void *buf, size_t bytes)
{
	size_t done = 0;
	while (done < bytes) {
		const struct segment *s = find_segment(d, gpa + done);
		if (!s)
			break;
		uint64_t offset = gpa + done - s->gpa, left = s->bytes - offset;
		size_t some = bytes - done < left ? bytes - done : (size_t)left;
		if (offset >= s->in_file) {
			memset((uint8_t *)buf + done, 0, some);
		} else {
			some = some < s->in_file - offset ? some : (size_t)(s->in_file - offset);
			if (!read_at(d, s->offset + offset, (uint8_t *)buf + done, some))
				break;
		}
		done += some;
	}
	return done;
}

/* Holes in RAM are below 1 MiB (a PC's screen and ROMs); what begins behind another is not RAM: a display's memory, the
 * BIOS below 4 GiB. */
#define HOLES_BELOW (1u << 20)

uint64_t dump_ram_bytes(const struct dump *d)
{
	uint64_t end = 0;
	for (unsigned k = 0; k < d->segments; k++) {
		const struct segment *s = &d->segment[k];
		if (k && s->gpa > end && s->gpa > HOLES_BELOW)
			break;
		end = s->gpa + s->bytes;
	}
	return end;
}

void *dump_note(struct dump *d, const char *name, uint32_t type, size_t *size)
{
	const struct note *n = find_note(d, name, type);
	if (!n || n->size > DUMP_NOTE_BYTES_MAX)
		return NULL;
	void *bytes = malloc(n->size ? (size_t)n->size : 1);
	if (bytes && !read_at(d, n->offset, bytes, (size_t)n->size)) {
		free(bytes);
		return NULL;
	}
	*size = (size_t)n->size;
	return bytes;
}

bool dump_state(struct dump *d, struct cpu_state *out)
{
	bool ours = d->kind == DUMP_UMBRA, good;
	size_t size;
	if (!ours && d->kind != DUMP_QEMU)
		return false;
	uint8_t *bytes = ours ? dump_note(d, DUMP_NOTE_NAME, DUMP_NOTE_STATE, &size) : dump_note(d, "QEMU", 0, &size);
	good = bytes && (ours ? dump_unpack_state(bytes, size, out) : dump_unpack_qemu(bytes, size, out));
	free(bytes);
	return good;
}

static size_t read_space(void *user, uint64_t gpa, void *buf, size_t bytes)
{
	return dump_read(user, gpa, buf, bytes);
}

static bool is_ram(void *user, uint64_t gpa)
{
	return find_segment(user, gpa) && gpa < dump_ram_bytes(user);
}

void dump_space(struct dump *d, struct space *space)
{
	struct cpu_state s;
	*space = (struct space){
		.user = d, .read = read_space, .is_ram = is_ram, .ram_bytes = dump_ram_bytes(d),
		.leaf = d->leaf, .leaves = d->leaves, .leaf_mode = d->leaf_mode,
	};
	if (!dump_state(d, &s))
		return;
	space->cr0 = s.cr0;
	space->cr3 = s.cr3;
	space->cr4 = s.cr4;
	space->eip = s.eip;
	space->esp = s.gpr[CPU_ESP];
	space->cpl = s.eflags & 1u << 17 ? 3u : s.seg[CPU_CS].selector & 3u;
}
