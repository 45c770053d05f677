/* SPDX-License-Identifier: MIT */
/*
 * guest/guest.h - ways in: what an image is, and how it is brought into guest memory.
 *
 * A loader checks everything before it writes the first byte, then fills RAM and says how the processor
 * starts.  It never trusts a length or an offset from the file.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpu.h"

enum image_kind {
	IMAGE_UNKNOWN, IMAGE_BZIMAGE, IMAGE_ELF_LINUX, IMAGE_MULTIBOOT, IMAGE_RAW_BOOT,
	IMAGE_ELF64, IMAGE_MULTIBOOT2, /* known, and refused */
};

struct guest_module { const char *path; const char *command_line; };

struct guest_request {
	const char *kernel;            /* path */
	const char *initrd;            /* path or NULL */
	const char *command_line;      /* or NULL */
	const struct guest_module *modules; /* multiboot */
	unsigned module_count;
	bool unpack;                   /* unpack a bzImage here rather than in the guest */
	uint8_t *ram;
	size_t ram_bytes;
};

struct guest_error { char text[256]; }; /* one line, no newline, names the file */

/* What the file looks like; IMAGE_UNKNOWN with error->text where it can be none. */
enum image_kind guest_identify(const char *path, struct guest_error *error);
/* Load, and fill *start with the state in which the processor begins.  On false nothing was written to
 * RAM and error->text says why. */
bool guest_load(const struct guest_request *request, struct cpu_state *start, enum image_kind *kind,
                struct guest_error *error);

#endif
