/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/image.h - made-up guest images, and a guest memory to load them into.
 */
#ifndef TESTS_LIB_IMAGE_H
#define TESTS_LIB_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/guest.h"

/* A file's bytes while they are made. */
struct made {
	uint8_t bytes[65536];
	size_t size;
};
void made_word(struct made *m, size_t at, uint32_t value);
void made_half(struct made *m, size_t at, uint16_t value);
void made_copy(struct made *m, size_t at, const void *bytes, size_t count);

/* Guest memory filled with a pattern, so that what a loader wrote shows; a request for it. */
struct loading {
	struct guest_request request;
	struct guest_error error;
	struct cpu_state start;
	enum image_kind kind;
	char path[3][256]; /* kernel, initrd or first module, second module */
};
#define PATTERN 0xA5
void loading_start(struct loading *l, size_t ram_bytes);
void loading_end(struct loading *l);
/* Put bytes in file number `which`; returns its path. */
const char *loading_file(struct loading *l, unsigned which, const void *bytes, size_t count);
/* Load `m` as the kernel. */
bool loading_run(struct loading *l, const struct made *m);
/* Nothing was written but, perhaps, [first, end). */
bool loading_untouched(const struct loading *l, size_t first, size_t end);
uint32_t ram_word(const struct loading *l, size_t gpa);

/* A 32-bit ELF of two segments: code (8 bytes at file offset 0x100) and data with bss. */
#define ELF_CODE "\xFA\xF4\x90\x90umbr"
void make_elf(struct made *m, uint32_t paddr, uint32_t vaddr, uint32_t entry);
/* A bzImage of 5 sectors with the given protected-mode part. */
void make_bzimage(struct made *m, uint16_t version, const void *high, size_t high_bytes);

#endif
