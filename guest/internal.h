/* SPDX-License-Identifier: MIT */
/*
 * guest/internal.h - the inside of the loaders: their index.
 *
 * A loader reads the whole file, checks all of it, and collects what is to go where in a `struct plan`.
 * Only when nothing can fail any more does commit_plan() write to guest memory.
 *
 *   1. Words in files      get16 .. put64: little endian, any alignment
 *   2. image.c             files in memory, refusals
 *   3. plan.c              what goes where
 *   4. elf.c unpack.c      ELF segments; compressed payloads
 *   5. linux.c multiboot.c bootsector.c   one loader each
 */
#ifndef GUEST_INTERNAL_H
#define GUEST_INTERNAL_H

#include <string.h>

#include "guest/guest.h"

/* ---- 1. Words in files ---------------------------------------------------------------------- */

static inline uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t get32(const uint8_t *at)
{
	return get16(at) | (uint32_t)get16(at + 2) << 16;
}

static inline uint64_t get64(const uint8_t *at)
{
	return get32(at) | (uint64_t)get32(at + 4) << 32;
}

static inline void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)value);
	put16(at + 2, (uint16_t)(value >> 16));
}

static inline void put64(uint8_t *at, uint64_t value)
{
	put32(at, (uint32_t)value);
	put32(at + 4, (uint32_t)(value >> 32));
}

/* [offset, offset + bytes) lies inside [0, size), without overflow. */
static inline bool inside(uint64_t offset, uint64_t bytes, uint64_t size)
{
	return offset <= size && bytes <= size - offset;
}

static inline uint64_t round_up(uint64_t value, uint64_t to)
{
	return (value + to - 1) / to * to;
}

/* ---- 2. image.c ----------------------------------------------------------------------------- */

#define KERNEL_MAX (512u << 20) /* a kernel file larger than this is a mistake, or an attack on the host's memory */

struct image {
	const char *path;
	uint8_t *bytes;
	size_t size;
};

/* The whole file in memory; at most `limit` bytes.  An empty file is refused. */
bool read_image(struct image *image, const char *path, uint64_t limit, struct guest_error *error);
/* The first `room` bytes of the file; *size says how many there were. */
bool read_head(const char *path, uint8_t *head, size_t room, size_t *size, struct guest_error *error);
void free_image(struct image *image);
/* "PATH: text", one printable line.  Always false. */
bool refuse(struct guest_error *error, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
enum image_kind identify_bytes(const uint8_t *head, size_t size);

/* ---- 3. plan.c ------------------------------------------------------------------------------ */

#define PLAN_PLACES 128u /* ELF segments and modules are bounded below that */

struct place {
	uint64_t gpa, total;
	const uint8_t *bytes; /* the first `filled` bytes; the rest up to `total` is zero */
	uint64_t filled;
};

struct plan {
	const struct guest_request *request;
	struct guest_error *error;
	uint64_t end; /* first byte behind everything placed above 1 MiB */
	unsigned count;
	struct place place[PLAN_PLACES];
};

void start_plan(struct plan *plan, const struct guest_request *request, struct guest_error *error);
/* `bytes` must live until commit_plan().  false: refused, with the reason in plan->error. */
bool place_bytes(struct plan *plan, const char *path, const char *what, uint64_t gpa, const void *bytes,
                 uint64_t filled, uint64_t total);
bool is_free(const struct plan *plan, uint64_t gpa, uint64_t bytes);
void commit_plan(const struct plan *plan);

#define LOW_RAM_END 0x9FC00u  /* where a BIOS would keep its extended data area */
#define HIGH_RAM_START 0x100000u
#define BOOT_GDT_GPA 0x1000u
#define BOOT_CS 0x10u         /* the selectors of the Linux boot protocol */
#define BOOT_DS 0x18u
/* Flat 32-bit protected mode, paging and interrupts off, with a GDT at BOOT_GDT_GPA. */
bool start_flat(struct plan *plan, const char *path, struct cpu_state *start, uint32_t entry);

/* The PC's memory as a BIOS would report it. */
#define MEMORY_RAM 1u
#define MEMORY_RESERVED 2u
struct memory_range { uint64_t base, bytes; uint32_t type; };
#define MEMORY_RANGES 4u
unsigned list_memory(uint64_t ram_bytes, struct memory_range range[MEMORY_RANGES]);

/* ---- 4. elf.c, unpack.c --------------------------------------------------------------------- */

#define ELF_SEGMENTS 32u
bool is_elf(const uint8_t *bytes, size_t size);
bool is_elf64(const uint8_t *bytes, size_t size);
/* Place the PT_LOAD segments of a 32-bit x86 ELF at their physical addresses; *entry is physical. */
bool place_elf(struct plan *plan, const char *path, const uint8_t *bytes, size_t size, uint32_t *entry);

enum unpacked { UNPACKED, UNPACK_UNKNOWN, UNPACK_CORRUPT, UNPACK_NO_MEMORY };
/* The compressed payload of a bzImage: its last word is the length of what it unpacks to.  *out is for
 * free(); *format names the compression where it was recognised. */
enum unpacked unpack_payload(const uint8_t *in, size_t in_bytes, uint64_t limit, uint8_t **out,
                             size_t *out_bytes, const char **format);

/* ---- 5. The loaders ------------------------------------------------------------------------- */

bool load_bzimage(struct plan *plan, const struct image *image, struct cpu_state *start);
bool load_elf_linux(struct plan *plan, const struct image *image, struct cpu_state *start);
bool load_multiboot(struct plan *plan, const struct image *image, struct cpu_state *start);
bool load_boot_sector(struct plan *plan, const struct image *image, struct cpu_state *start);

/* Offset of a valid multiboot 1 header in the first 8 KiB, or -1. */
int find_multiboot(const uint8_t *bytes, size_t size);
/* Is there a valid multiboot 2 header in the first 32 KiB?  Such a kernel waits for another magic in EAX. */
#define MULTIBOOT2_SEARCH 32768u
bool has_multiboot2(const uint8_t *bytes, size_t size);

#endif
