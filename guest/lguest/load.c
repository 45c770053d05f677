/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/load.c - a kernel into guest memory, as the original launcher left it.
 *
 *   1. The image    its release, and whether it is one of 2.6.23
 *   2. The kernel   bzImage (its own decompressor runs), or ELF
 *   3. Parameters   boot_params at 0, command line, initrd
 *   4. Page tables  for the families that begin with some
 *   5. lguest_load, lguest_only_image
 *
 * Memory is zero before.  The single entry of the memory map is all that the guest knows of it; it looks for
 * its devices right behind.
 */
#include <stdlib.h>

#include "guest/lguest/internal.h"

#define MIB (1ull << 20)
#define TABLE_SPAN (4 * MIB)  /* what one page table maps */
#define DEFAULT_SPLIT 0xC0000000u

/* ---- 1. The image --------------------------------------------------------------------------- */

static const char marker_a[] = "GenuineLguest";

static const uint8_t *find(const uint8_t *bytes, size_t size, const char *text)
{
	return memmem(bytes, size, text, strlen(text));
}

/* "2.6.24", "4.13-rc1": 0 if it is not a release. */
static uint32_t parse_version(const uint8_t *text, size_t size)
{
	unsigned part[3] = { 0 }, n = 0;
	size_t at = 0;

	for (; n < 3 && at < size && text[at] >= '0' && text[at] <= '9'; n++) {
		for (; at < size && text[at] >= '0' && text[at] <= '9'; at++)
			if (part[n] < 256)
				part[n] = part[n] * 10 + (unsigned)(text[at] - '0');
		if (part[n] > 255)
			return 0;
		if (at < size && text[at] == '.')
			at++;
	}
	return n < 2 ? 0 : LGUEST_VERSION(part[0], part[1], part[2]);
}

enum { P_SETUP_SECTS = 0x1F1, P_MAGIC = 0x202, P_VERSION = 0x206, P_KERNEL_VERSION = 0x20E, P_CODE32 = 0x214,
       HEADER_END = 0x250 };

static bool is_bzimage(const uint8_t *bytes, size_t size)
{
	return size >= HEADER_END && memcmp(bytes + P_MAGIC, "HdrS", 4) == 0;
}

/* A bzImage's header points to its release; an ELF kernel has its banner in the clear. */
static uint32_t linux_version(const struct image *image)
{
	static const char banner[] = "Linux version ";
	const uint8_t *at = image->bytes, *end = at + image->size;

	if (is_bzimage(at, image->size)) {
		size_t offset = get16(at + P_KERNEL_VERSION) + 0x200u;
		return offset < image->size ? parse_version(at + offset, image->size - offset) : 0;
	}
	while ((at = find(at, (size_t)(end - at), banner))) {
		const uint8_t *text = at + sizeof banner - 1;
		uint32_t version = parse_version(text, (size_t)(end - text));

		if (version)
			return version;
		at++;
	}
	return 0;
}

static bool check_release(struct plan *plan, const struct image *image, uint32_t version)
{
	if (find(image->bytes, image->size, marker_a) ||
	    (version >= LGUEST_VERSION(2, 6, 23) && version < LGUEST_VERSION(2, 6, 24)))
		return refuse(plan->error, image->path,
		              "a kernel of Linux 2.6.23, whose lguest interface (family A) umbra lacks");
	return true;
}

/* ---- 2. The kernel -------------------------------------------------------------------------- */

static bool place_bzimage(struct plan *plan, const struct image *image, uint32_t *entry)
{
	unsigned sectors = image->bytes[P_SETUP_SECTS] ? image->bytes[P_SETUP_SECTS] : 4;
	size_t skip = (sectors + 1) * 512;

	if (skip >= image->size)
		return refuse(plan->error, image->path, "a damaged or truncated Linux kernel");
	*entry = get32(image->bytes + P_CODE32);
	return place_bytes(plan, image->path, "the kernel", HIGH_RAM_START, image->bytes + skip,
	                   image->size - skip, image->size - skip);
}

static bool place_kernel(struct plan *plan, const struct image *image, uint32_t *entry)
{
	enum { ET_EXEC = 2, EM_386 = 3 };

	if (is_bzimage(image->bytes, image->size)) {
		if (!place_bzimage(plan, image, entry))
			return false;
	} else if (is_elf(image->bytes, image->size)) {
		if (!is_elf64(image->bytes, image->size) &&
		    (get16(image->bytes + 16) != ET_EXEC || get16(image->bytes + 18) != EM_386))
			return refuse(plan->error, image->path, "an ELF file, but not a 32-bit x86 kernel");
		if (!place_elf(plan, image->path, image->bytes, image->size, entry))
			return false;
	} else {
		return refuse(plan->error, image->path, "not an lguest kernel: neither bzImage nor ELF");
	}
	if (*entry >= plan->request->ram_bytes)
		return refuse(plan->error, image->path, "its entry point %#x is outside the guest's memory",
		              *entry);
	return true;
}

/* ---- 3. Parameters -------------------------------------------------------------------------- */

enum {
	PARAMS_BYTES = 4096, CMDLINE_GPA = 0x1000, CMDLINE_MAX = 2047,
	B_E820_ENTRIES = 0x1E8, B_VERSION = 0x206, B_LOADER = 0x210, B_LOADFLAGS = 0x211, B_RAMDISK = 0x218,
	B_RAMDISK_SIZE = 0x21C, B_CMDLINE = 0x228, B_ALIGNMENT = 0x230, B_SUBARCH = 0x23C, B_E820 = 0x2D0,
};
enum { LOADER_UNKNOWN = 0xFF, KEEP_SEGMENTS = 0x40, SUBARCH_LGUEST = 1, E820_RAM = 1 };

/* The image's own header is not copied: the kernel knows where it is by hardware_subarch. */
static bool place_params(struct plan *plan, const struct image *image, uint8_t *params, uint64_t initrd_bytes)
{
	const char *line = plan->request->command_line ? plan->request->command_line : "";
	uint64_t mem = plan->request->ram_bytes;
	size_t length = strlen(line);

	if (length > CMDLINE_MAX)
		return refuse(plan->error, image->path, "the command line has %zu bytes, this kernel takes %u",
		              length, (unsigned)CMDLINE_MAX);
	put16(params + B_VERSION, 0x0207);
	params[B_LOADFLAGS] = KEEP_SEGMENTS;
	if (initrd_bytes) {
		params[B_LOADER] = LOADER_UNKNOWN;
		put32(params + B_RAMDISK, (uint32_t)(mem - initrd_bytes));
		put32(params + B_RAMDISK_SIZE, (uint32_t)initrd_bytes);
	}
	put32(params + B_CMDLINE, CMDLINE_GPA);
	put32(params + B_ALIGNMENT, 0x01000000);
	put32(params + B_SUBARCH, SUBARCH_LGUEST);
	params[B_E820_ENTRIES] = 1;
	put64(params + B_E820 + 8, mem);
	put32(params + B_E820 + 16, E820_RAM);
	return place_bytes(plan, image->path, "the boot parameters", 0, params, PARAMS_BYTES, PARAMS_BYTES) &&
	       place_bytes(plan, image->path, "the command line", CMDLINE_GPA, line, length + 1, length + 1);
}

/* At the top of memory, rounded up to whole pages. */
static bool place_initrd(struct plan *plan, struct image *initrd, uint64_t *bytes)
{
	const struct guest_request *request = plan->request;

	*bytes = 0;
	if (!request->initrd)
		return true;
	if (!read_image(initrd, request->initrd, request->ram_bytes, plan->error))
		return false;
	*bytes = round_up(initrd->size, UM_PAGE_SIZE);
	if (*bytes >= request->ram_bytes)
		return refuse(plan->error, request->initrd, "does not fit into %llu MiB of memory",
		              (unsigned long long)(request->ram_bytes >> 20));
	return place_bytes(plan, request->initrd, "the initrd", request->ram_bytes - *bytes, initrd->bytes,
	                   initrd->size, *bytes);
}

/* ---- 4. Page tables ------------------------------------------------------------------------- */

enum { PTE_ALL = 7 /* present, writable, user */ };

/* Page tables first, the directory behind them: `slots` + 1 pages. */
static void fill_tables(uint8_t *tables, uint64_t gpa, unsigned slots, uint64_t mem, bool alias)
{
	uint8_t *directory = tables + (size_t)slots * UM_PAGE_SIZE;
	unsigned kernel = DEFAULT_SPLIT >> 22, window = LGUEST_WINDOW >> 22;

	for (uint64_t page = 0; page < mem / UM_PAGE_SIZE; page++)
		put32(tables + page * 4, (uint32_t)(page << UM_PAGE_SHIFT) | PTE_ALL);
	for (unsigned n = 0; n < slots; n++) {
		uint32_t entry = (uint32_t)(gpa + (uint64_t)n * UM_PAGE_SIZE) | PTE_ALL;

		put32(directory + 4 * n, entry);
		if (alias && slots <= kernel && kernel + n < window)
			put32(directory + 4 * (kernel + n), entry);
	}
}

/* Does a guest of this family, or of this release, begin with tables?  Not knowing, it gets some: the families
 * that need none load their own before they look. */
static bool wants_tables(enum lguest_family family, uint32_t version)
{
	if (family == LGUEST_AUTO && version >= LGUEST_VERSION(3, 1, 0))
		return false;
	return lguest_families[family].tables;
}

static bool place_tables(struct plan *plan, const struct image *image, enum lguest_family family,
                         uint64_t initrd_bytes, uint8_t **tables, struct lguest_boot *boot)
{
	uint64_t mem = plan->request->ram_bytes;
	unsigned slots = (unsigned)((mem + TABLE_SPAN - 1) / TABLE_SPAN);
	uint64_t bytes = (slots + 1ull) * UM_PAGE_SIZE, gpa = mem - initrd_bytes - bytes;

	if (!wants_tables(family, boot->version))
		return true;
	if (initrd_bytes + bytes > mem)
		return refuse(plan->error, image->path, "no room for page tables in the guest's memory");
	*tables = calloc(1, bytes);
	if (!*tables)
		return refuse(plan->error, image->path, "no memory on the host");
	fill_tables(*tables, gpa, slots, mem, lguest_families[family].alias);
	boot->pgdir = (uint32_t)(gpa + bytes - UM_PAGE_SIZE);
	return place_bytes(plan, image->path, "the first page tables", gpa, *tables, bytes, bytes);
}

/* ---- 5. lguest_load, lguest_only_image ------------------------------------------------------ */

/* The addresses of devices and window are above. */
#define MEM_MAX_LGUEST ((uint64_t)LGUEST_WINDOW - LGUEST_DEVICE_PAGES * UM_PAGE_SIZE)

static bool load_all(struct plan *plan, const struct image *image, enum lguest_family family,
                     struct lguest_boot *boot)
{
	uint8_t params[PARAMS_BYTES] = { 0 }, *tables = NULL;
	struct image initrd = { 0 };
	uint64_t initrd_bytes = 0;
	bool fine;

	if (plan->request->ram_bytes > MEM_MAX_LGUEST || plan->request->ram_bytes % UM_PAGE_SIZE)
		return refuse(plan->error, image->path, "an lguest guest has at most %llu MiB, in whole pages",
		              MEM_MAX_LGUEST / MIB);
	boot->version = linux_version(image);
	fine = check_release(plan, image, boot->version) && place_kernel(plan, image, &boot->entry) &&
	       place_initrd(plan, &initrd, &initrd_bytes) && place_params(plan, image, params, initrd_bytes) &&
	       place_tables(plan, image, family, initrd_bytes, &tables, boot);
	if (fine)
		commit_plan(plan);
	free(tables);
	free_image(&initrd);
	return fine;
}

bool lguest_load(const struct guest_request *request, enum lguest_family family, struct lguest_boot *boot,
                 struct guest_error *error)
{
	struct image image;
	struct plan *plan;
	bool fine = false;

	error->text[0] = 0;
	*boot = (struct lguest_boot){ 0 };
	if (request->module_count)
		return refuse(error, request->kernel, "is an lguest guest, which takes no modules");
	if (!read_image(&image, request->kernel, KERNEL_MAX, error))
		return false;
	plan = malloc(sizeof *plan);
	if (!plan) {
		refuse(error, request->kernel, "no memory on the host");
	} else {
		start_plan(plan, request, error);
		fine = load_all(plan, &image, family, boot);
	}
	free(plan);
	free_image(&image);
	return fine;
}

/* A note named "lguest" in an ELF file without a multiboot header: made for nothing else.  Linux itself has
 * other ways in, whatever it was configured for; one of 2.6.23 is ours only to be refused in plain words. */
static bool has_note(const struct image *image)
{
	enum { PT_NOTE = 4, PHDR_BYTES = 32 };
	const uint8_t *bytes = image->bytes;
	uint32_t table = get32(bytes + 28);

	if (get16(bytes + 42) != PHDR_BYTES ||
	    !inside(table, get16(bytes + 44) * (uint64_t)PHDR_BYTES, image->size))
		return false;
	for (unsigned n = 0; n < get16(bytes + 44); n++) {
		const uint8_t *header = bytes + table + n * (size_t)PHDR_BYTES;
		uint32_t offset = get32(header + 4), size = get32(header + 16);

		if (get32(header) != PT_NOTE || !inside(offset, size, image->size) || size < 12 + 7)
			continue;
		if (get32(bytes + offset) == 7 && memcmp(bytes + offset + 12, "lguest", 7) == 0)
			return true;
	}
	return false;
}

bool lguest_only_image(const char *path)
{
	struct guest_error error;
	struct image image;
	bool only = false;

	if (!read_image(&image, path, KERNEL_MAX, &error))
		return false;
	if (is_elf(image.bytes, image.size) && !is_elf64(image.bytes, image.size) &&
	    find_multiboot(image.bytes, image.size) < 0)
		only = has_note(&image) || find(image.bytes, image.size, marker_a);
	free_image(&image);
	return only;
}
