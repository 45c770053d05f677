/* SPDX-License-Identifier: MIT */
/*
 * guest/multiboot.c - Multiboot specification version 0.6.96 ("multiboot 1").
 *
 *   1. The header     find_multiboot, has_multiboot2
 *   2. The kernel     place_by_fields (the header's own addresses), or as ELF
 *   3. The modules    place_modules: after the kernel, each on a page of its own
 *   4. Information    build_info: what EBX points at
 *   5. The loader     load_multiboot
 */
#include <stdlib.h>

#include "guest/internal.h"

/* ---- 1. The header -------------------------------------------------------------------------- */

#define HEADER_MAGIC 0x1BADB002u
#define HEADER2_MAGIC 0xE85250D6u
#define LOADER_MAGIC 0x2BADB002u
#define SEARCH_BYTES 8192u
enum {
	NEED_PAGE_ALIGN = 1 << 0, NEED_MEMORY = 1 << 1, NEED_VIDEO = 1 << 2, /* video: none is offered */
	NEED_KNOWN = NEED_PAGE_ALIGN | NEED_MEMORY | NEED_VIDEO, NEED_MASK = 0xFFFF,
	HAS_ADDRESSES = 1 << 16,
};

int find_multiboot(const uint8_t *bytes, size_t size)
{
	if (size > SEARCH_BYTES)
		size = SEARCH_BYTES;
	for (size_t at = 0; at + 12 <= size; at += 4) {
		uint32_t flags = get32(bytes + at + 4);
		if (get32(bytes + at) != HEADER_MAGIC ||
		    (uint32_t)(HEADER_MAGIC + flags + get32(bytes + at + 8)) != 0)
			continue;
		return (int)at;
	}
	return -1;
}

bool has_multiboot2(const uint8_t *bytes, size_t size)
{
	if (size > MULTIBOOT2_SEARCH)
		size = MULTIBOOT2_SEARCH;
	for (size_t at = 0; at + 16 <= size; at += 8) {
		/* The magic, the architecture, the length and the checksum add up to nothing. */
		uint32_t sum = get32(bytes + at) + get32(bytes + at + 4) + get32(bytes + at + 8) + get32(bytes + at + 12);
		if (get32(bytes + at) == HEADER2_MAGIC && sum == 0)
			return true;
	}
	return false;
}

/* ---- 2. The kernel -------------------------------------------------------------------------- */

static bool place_by_fields(struct plan *plan, const struct image *image, uint32_t at, uint32_t *entry)
{
	if (!inside(at, 32, image->size))
		return refuse(plan->error, image->path, "its multiboot header is cut off");
	const uint8_t *h = image->bytes + at;
	uint32_t header = get32(h + 12), load = get32(h + 16), load_end = get32(h + 20);
	uint32_t bss_end = get32(h + 24);
	*entry = get32(h + 28);
	if (header < load || header - load > at)
		return refuse(plan->error, image->path, "its multiboot load address is impossible");
	uint64_t offset = at - (header - load), filled = image->size - offset;
	if (load_end) {
		if (load_end <= load || load_end - load > filled)
			return refuse(plan->error, image->path,
			              "its multiboot load end is impossible, or the file is truncated");
		filled = load_end - load;
	}
	uint64_t total = filled;
	if (bss_end) {
		if (bss_end < load + filled)
			return refuse(plan->error, image->path, "its multiboot bss end is impossible");
		total = bss_end - load;
	}
	return place_bytes(plan, image->path, "the kernel", load, image->bytes + offset, filled, total);
}

/* ---- 3. The modules ------------------------------------------------------------------------- */

#define MODULES_MAX 64u

struct modules {
	unsigned count;
	struct image image[MODULES_MAX];
	uint32_t gpa[MODULES_MAX];
};

static bool place_modules(struct plan *plan, struct modules *modules)
{
	const struct guest_request *request = plan->request;
	if (request->module_count > MODULES_MAX)
		return refuse(plan->error, request->kernel, "%u modules; at most %u are possible",
		              request->module_count, MODULES_MAX);
	for (unsigned k = 0; k < request->module_count; k++) {
		const char *path = request->modules[k].path;
		struct image *image = &modules->image[k];
		/* Page-aligned whether the kernel asks for it or not. */
		uint64_t gpa = round_up(plan->end, 4096);
		uint64_t room = gpa < request->ram_bytes ? request->ram_bytes - gpa : 0;
		if (!read_image(image, path, room, plan->error))
			return false;
		modules->count = k + 1;
		modules->gpa[k] = (uint32_t)gpa;
		if (!place_bytes(plan, path, "the module", gpa, image->bytes, image->size, image->size))
			return false;
	}
	return true;
}

/* ---- 4. Information ------------------------------------------------------------------------- */

enum {
	I_FLAGS = 0, I_MEM_LOWER = 4, I_MEM_UPPER = 8, I_CMDLINE = 16, I_MODS_COUNT = 20, I_MODS_ADDR = 24,
	I_MMAP_LENGTH = 44, I_MMAP_ADDR = 48, I_LOADER_NAME = 64, INFO_BYTES = 116,
};
enum { HAVE_MEMORY = 1 << 0, HAVE_CMDLINE = 1 << 2, HAVE_MODS = 1 << 3, HAVE_MMAP = 1 << 6,
       HAVE_NAME = 1 << 9 };
enum { MODULE_BYTES = 16, MMAP_BYTES = 24 };

#define INFO_LOW_GPA 0x10000u
#define STRINGS_MAX (256u << 10) /* command lines of kernel and modules together */

/* Appends a string; returns its address. */
static uint32_t put_string(uint8_t *block, uint32_t *used, uint32_t gpa, const char *text)
{
	uint32_t at = *used;
	memcpy(block + at, text, strlen(text) + 1);
	*used += (uint32_t)strlen(text) + 1;
	return gpa + at;
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static void fill_info(const struct plan *plan, const struct modules *modules, uint8_t *block, uint32_t gpa)
{
	const struct guest_request *request = plan->request;
	struct memory_range range[MEMORY_RANGES];
	unsigned ranges = list_memory(request->ram_bytes, range);
	uint32_t mmap = INFO_BYTES, mods = mmap + ranges * MMAP_BYTES;
	uint32_t used = mods + modules->count * MODULE_BYTES;
	uint64_t upper = request->ram_bytes > HIGH_RAM_START ? request->ram_bytes - HIGH_RAM_START : 0;

	put32(block + I_FLAGS, HAVE_MEMORY | HAVE_CMDLINE | HAVE_MODS | HAVE_MMAP | HAVE_NAME);
	put32(block + I_MEM_LOWER, LOW_RAM_END >> 10);
	put32(block + I_MEM_UPPER, (uint32_t)(upper >> 10));
	put32(block + I_MMAP_LENGTH, ranges * MMAP_BYTES);
	put32(block + I_MMAP_ADDR, gpa + mmap);
	for (unsigned k = 0; k < ranges; k++) {
		uint8_t *entry = block + mmap + k * MMAP_BYTES;
		put32(entry, MMAP_BYTES - 4); /* the size field does not count itself */
		put64(entry + 4, range[k].base);
		put64(entry + 12, range[k].bytes);
		put32(entry + 20, range[k].type);
	}
	put32(block + I_MODS_COUNT, modules->count);
	put32(block + I_MODS_ADDR, gpa + mods);
	for (unsigned k = 0; k < modules->count; k++) {
		uint8_t *entry = block + mods + k * MODULE_BYTES;
		put32(entry, modules->gpa[k]);
		put32(entry + 4, modules->gpa[k] + (uint32_t)modules->image[k].size);
		put32(entry + 8, put_string(block, &used, gpa, text_of(request->modules[k].command_line)));
	}
	put32(block + I_CMDLINE, put_string(block, &used, gpa, text_of(request->command_line)));
	put32(block + I_LOADER_NAME, put_string(block, &used, gpa, "umbra"));
}

/* *block is for free(). */
static bool build_info(struct plan *plan, const struct modules *modules, uint8_t **block, uint32_t *gpa)
{
	const struct guest_request *request = plan->request;
	size_t strings = strlen(text_of(request->command_line)) + 1 + sizeof "umbra";
	for (unsigned k = 0; k < modules->count; k++)
		strings += strlen(text_of(request->modules[k].command_line)) + 1;
	if (strings > STRINGS_MAX)
		return refuse(plan->error, request->kernel, "the command lines are too long: %zu bytes",
		              strings);
	size_t bytes = INFO_BYTES + MEMORY_RANGES * MMAP_BYTES + modules->count * MODULE_BYTES + strings;
	/* Low memory is out of the way of kernels that take what follows their image. */
	uint64_t at = is_free(plan, INFO_LOW_GPA, bytes) ? INFO_LOW_GPA : round_up(plan->end, 4096);
	*block = calloc(1, bytes);
	if (!*block)
		return refuse(plan->error, request->kernel, "no memory on the host");
	if (!place_bytes(plan, request->kernel, "the boot information", at, *block, bytes, bytes))
		return false;
	*gpa = (uint32_t)at;
	fill_info(plan, modules, *block, *gpa);
	return true;
}

/* ---- 5. The loader -------------------------------------------------------------------------- */

static bool place_kernel(struct plan *plan, const struct image *image, uint32_t *entry)
{
	int at = find_multiboot(image->bytes, image->size);
	if (at < 0)
		return refuse(plan->error, image->path, "its multiboot header is gone");
	uint32_t flags = get32(image->bytes + at + 4);
	if (flags & NEED_MASK & ~(uint32_t)NEED_KNOWN)
		return refuse(plan->error, image->path, "asks for unknown multiboot features (flags %#x)",
		              flags & NEED_MASK);
	if (flags & HAS_ADDRESSES)
		return place_by_fields(plan, image, (uint32_t)at, entry);
	return place_elf(plan, image->path, image->bytes, image->size, entry);
}

bool load_multiboot(struct plan *plan, const struct image *image, struct cpu_state *start)
{
	uint32_t entry = 0, info = 0;
	uint8_t *block = NULL;
	struct modules *modules = calloc(1, sizeof *modules);
	if (!modules)
		return refuse(plan->error, image->path, "no memory on the host");
	bool fine = place_kernel(plan, image, &entry) && start_flat(plan, image->path, start, entry) &&
	            place_modules(plan, modules) && build_info(plan, modules, &block, &info);
	if (fine) {
		start->gpr[CPU_EAX] = LOADER_MAGIC;
		start->gpr[CPU_EBX] = info;
		commit_plan(plan);
	}
	for (unsigned k = 0; k < modules->count; k++)
		free_image(&modules->image[k]);
	free(modules);
	free(block);
	return fine;
}
