/* SPDX-License-Identifier: MIT */
/*
 * scope/dump.h - a guest's memory and registers as a file: an ELF32 core that gdb, readelf and crash tools read too.
 *
 *   1. Writing    dump_write()
 *   2. Reading    dump_open() and what is in it: our own dumps, those of QEMU's dump-guest-memory, raw memory
 *
 * The file:  ELF header, program headers, notes, guest memory from physical address 0 (p_paddr).  Pages of zeros are
 * holes.  Notes, all numbers little-endian words of 32 bits:
 *
 *   CORE  1 (NT_PRSTATUS)      the registers as Linux has them for a process
 *   UMBRA 554D0001 (state)     1, then all of struct cpu_state, in the order of dump_state.c
 *   UMBRA 554D0002 (shadow)    1, enum um_mode, a number, and so many leaves of the current root in order of addresses,
 *                              two words each: linear address | flags (dump_shadow.c), guest frame number
 *   UMBRA 554D0100 and above   what else a caller wants kept
 *
 * A file that is read is not trusted: every offset, size and number in it is checked against the file.
 */
#ifndef SCOPE_DUMP_H
#define SCOPE_DUMP_H

#include "scope/space.h"
#include "vmm/vmm.h"

#define DUMP_NOTE_NAME "UMBRA"
/* Far from the types of others: BFD looks at those of some names' notes only by type. */
enum dump_note_type { DUMP_NOTE_STATE = 0x554D0001, DUMP_NOTE_SHADOW = 0x554D0002, DUMP_NOTE_MORE = 0x554D0100 };

struct dump_note {
	const char *name;      /* at most 15 characters */
	uint32_t type;
	const void *bytes;
	size_t size;
};

/* ---- 1. Writing ----------------------------------------------------------------------------- */

/* Write the vm's memory, registers and shadow, and `more` notes, to `path`: by a temporary name beside it, so that there
 * is a whole file or none.  What is not a regular file is not replaced.  The file is its owner's only: it holds all that
 * the guest knows.  false: `why`, one line. */
bool dump_write(struct vm *vm, const char *path, const struct dump_note *more, size_t count, char *why, size_t bytes);

/* ---- 2. Reading ----------------------------------------------------------------------------- */

/* Notes that are looked at: where each is, is kept in memory.  (Pieces of memory are as many as ELF can count: 65,534.) */
#define DUMP_NOTES_MAX 256u
/* A note is read as a whole: a file with holes could claim one of any size. */
#define DUMP_NOTE_BYTES_MAX (64u << 20)

enum dump_kind {
	DUMP_UMBRA,
	DUMP_QEMU,      /* an ELF core with QEMU's note */
	DUMP_FOREIGN,   /* an ELF core without control registers */
	DUMP_RAW,       /* memory and nothing else */
};
struct dump;
/* Files that are no ELF are taken as raw memory from guest-physical address 0.  NULL: `why`, one line. */
struct dump *dump_open(const char *path, char *why, size_t bytes);
void dump_close(struct dump *d); /* NULL: nothing */
enum dump_kind dump_kind(const struct dump *d);
/* Where raw memory begins. */
void dump_set_base(struct dump *d, uint64_t gpa);
size_t dump_read(struct dump *d, uint64_t gpa, void *buf, size_t bytes); /* bytes that are there, from the start */
uint64_t dump_ram_bytes(const struct dump *d); /* the end of RAM: of ROM near 4 GiB the file may have a copy as well */
/* The processor: all of it (UMBRA), its integer and control registers and segments (QEMU), or none: false. */
bool dump_state(struct dump *d, struct cpu_state *out);
/* The first note of this name and type: its bytes, to be freed by the caller.  NULL: there is none, it is too large, or
 * the file cannot be read. */
void *dump_note(struct dump *d, const char *name, uint32_t type, size_t *size);
/* The address space; valid while the dump is open.  Without registers in the file paging is off there. */
void dump_space(struct dump *d, struct space *space);

#endif
