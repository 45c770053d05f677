/* SPDX-License-Identifier: MIT */
/*
 * guest/image.c - image files: into memory, and what they look like.
 *
 *   1. Refusals         refuse
 *   2. Files            read_image, read_head, free_image
 *   3. Identification   guest_identify
 *   4. Loading          guest_load: the table of loaders
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/internal.h"

/* ---- 1. Refusals ---------------------------------------------------------------------------- */

bool refuse(struct guest_error *error, const char *path, const char *format, ...)
{
	int used = snprintf(error->text, sizeof error->text, "%.120s: ", path);
	va_list list;
	va_start(list, format);
	vsnprintf(error->text + used, sizeof error->text - (size_t)used, format, list);
	va_end(list);
	/* A file's name may hold anything; the message stays one printable line. */
	for (char *at = error->text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7F)
			*at = '?';
	return false;
}

/* ---- 2. Files ------------------------------------------------------------------------------- */

static int open_regular(const char *path, struct stat *status, struct guest_error *error)
{
	/* O_NONBLOCK: opening a FIFO that nobody writes must not hang. */
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file < 0) {
		refuse(error, path, "%s", strerror(errno));
		return -1;
	}
	if (fstat(file, status) != 0) {
		refuse(error, path, "%s", strerror(errno));
	} else if (S_ISDIR(status->st_mode)) {
		refuse(error, path, "is a directory");
	} else if (!S_ISREG(status->st_mode)) {
		refuse(error, path, "not a regular file");
	} else if (status->st_size <= 0) {
		refuse(error, path, "is empty");
	} else {
		return file;
	}
	close(file);
	return -1;
}

/* Up to `room` bytes; -1 with errno on an error. */
static ssize_t read_fully(int file, uint8_t *bytes, size_t room)
{
	size_t have = 0;
	while (have < room) {
		ssize_t got = read(file, bytes + have, room - have);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		have += (size_t)got;
	}
	return (ssize_t)have;
}

bool read_image(struct image *image, const char *path, uint64_t limit, struct guest_error *error)
{
	struct stat status;
	*image = (struct image){ .path = path };
	int file = open_regular(path, &status, error);
	if (file < 0)
		return false;
	uint64_t size = (uint64_t)status.st_size;
	bool fine = false;
	if (size > limit) {
		refuse(error, path, "is too large: %llu bytes, at most %llu fit", (unsigned long long)size,
		       (unsigned long long)limit);
	} else if (!(image->bytes = malloc(size))) {
		refuse(error, path, "no memory on the host for %llu bytes", (unsigned long long)size);
	} else {
		ssize_t got = read_fully(file, image->bytes, size);
		if (got < 0)
			refuse(error, path, "%s", strerror(errno));
		else if ((uint64_t)got != size)
			refuse(error, path, "became shorter while it was read");
		else
			fine = true;
		image->size = size;
	}
	close(file);
	if (!fine)
		free_image(image);
	return fine;
}

bool read_head(const char *path, uint8_t *head, size_t room, size_t *size, struct guest_error *error)
{
	struct stat status;
	int file = open_regular(path, &status, error);
	if (file < 0)
		return false;
	ssize_t got = read_fully(file, head, room);
	if (got < 0)
		refuse(error, path, "%s", strerror(errno));
	close(file);
	*size = got < 0 ? 0 : (size_t)got;
	return got >= 0;
}

void free_image(struct image *image)
{
	free(image->bytes);
	image->bytes = NULL;
	image->size = 0;
}

/* ---- 3. Identification ---------------------------------------------------------------------- */

#define HEAD_BYTES MULTIBOOT2_SEARCH /* no magic number is looked for beyond that */

enum image_kind identify_bytes(const uint8_t *head, size_t size)
{
	/* A multiboot header wins over ELF: such kernels are ELF files too. */
	if (find_multiboot(head, size) >= 0)
		return IMAGE_MULTIBOOT;
	if (is_elf64(head, size))
		return IMAGE_ELF64;
	if (has_multiboot2(head, size))
		return IMAGE_MULTIBOOT2;
	if (is_elf(head, size))
		return IMAGE_ELF_LINUX;
	if (size >= 0x206 && memcmp(head + 0x202, "HdrS", 4) == 0)
		return IMAGE_BZIMAGE;
	if (size >= 512 && head[510] == 0x55 && head[511] == 0xAA)
		return IMAGE_RAW_BOOT;
	return IMAGE_UNKNOWN;
}

enum image_kind guest_identify(const char *path, struct guest_error *error)
{
	uint8_t head[HEAD_BYTES];
	size_t size;
	error->text[0] = 0;
	if (!read_head(path, head, sizeof head, &size, error))
		return IMAGE_UNKNOWN;
	enum image_kind kind = identify_bytes(head, size);
	if (kind == IMAGE_UNKNOWN)
		refuse(error, path, "not a bootable image: no Linux, multiboot or ELF header%s",
		       size < 512 ? " (the file is very short)" : "");
	return kind;
}

/* ---- 4. Loading ----------------------------------------------------------------------------- */

typedef bool load_fn(struct plan *plan, const struct image *image, struct cpu_state *start);

/* One image format, one line. */
static const struct {
	enum image_kind kind;
	load_fn *load;
	bool initrd, modules, command_line; /* what it can be given */
	const char *name;
} loaders[] = {
	{ IMAGE_BZIMAGE, load_bzimage, true, false, true, "a Linux kernel" },
	{ IMAGE_ELF_LINUX, load_elf_linux, true, false, true, "an ELF kernel" },
	{ IMAGE_MULTIBOOT, load_multiboot, false, true, true, "a multiboot kernel" },
	{ IMAGE_RAW_BOOT, load_boot_sector, false, false, false, "a boot sector" },
};

static bool run_loader(const struct guest_request *request, const struct image *image,
                       struct cpu_state *start, enum image_kind kind, struct guest_error *error)
{
	if (kind == IMAGE_ELF64)
		return refuse(error, image->path, "is a 64-bit kernel; umbra runs 32-bit x86 guests only");
	if (kind == IMAGE_MULTIBOOT2)
		return refuse(error, image->path, "has a multiboot 2 header; only multiboot 1 is supported");
	for (size_t k = 0; k < sizeof loaders / sizeof loaders[0]; k++) {
		if (loaders[k].kind != kind)
			continue;
		if (request->initrd && !loaders[k].initrd)
			return refuse(error, image->path, "is %s, which takes no initrd", loaders[k].name);
		if (request->module_count && !loaders[k].modules)
			return refuse(error, image->path, "is %s, which takes no modules", loaders[k].name);
		if (request->command_line && request->command_line[0] && !loaders[k].command_line)
			return refuse(error, image->path, "is %s, which takes no command line",
			              loaders[k].name);
		struct plan *plan = malloc(sizeof *plan);
		if (!plan)
			return refuse(error, image->path, "no memory on the host");
		start_plan(plan, request, error);
		memset(start, 0, sizeof *start);
		bool fine = loaders[k].load(plan, image, start);
		free(plan);
		return fine;
	}
	return refuse(error, image->path, "not a bootable image: no Linux, multiboot or ELF header");
}

bool guest_load(const struct guest_request *request, struct cpu_state *start, enum image_kind *kind,
                struct guest_error *error)
{
	struct image image;
	error->text[0] = 0;
	*kind = guest_identify(request->kernel, error);
	if (*kind == IMAGE_UNKNOWN || !read_image(&image, request->kernel, KERNEL_MAX, error))
		return false;
	bool fine = run_loader(request, &image, start, *kind, error);
	free_image(&image);
	return fine;
}
