/* SPDX-License-Identifier: MIT */
/*
 * machine/virtio/disk_file.c - disks in files: raw images and block devices.
 *
 *   1. The file       whole reads and writes
 *   2. The snapshot   written pages, in memory
 *   3. Opening        size, lock, errors
 *
 * An image is locked while it is open (flock): by one machine that writes, or by any number that
 * only read, so that no two write one file system.  With `snapshot` the file is only read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/virtio/internal.h"

enum { SECTOR = 512, PAGE = 4096, FAN = 512 }; /* FAN: pages under one entry of the top table */

struct disk_file {
	struct disk_backend backend; /* first: ops get this */
	int fd;
	uint8_t ***top; /* snapshot: top[page / FAN][page % FAN], NULL where nothing was written */
	uint64_t pages, pages_max; /* of the snapshot */
};

/* ---- 1. The file ---------------------------------------------------------------------------- */

static int read_file(const struct disk_file *f, uint64_t at, void *to, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = pread(f->fd, (uint8_t *)to + done, bytes - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO; /* EIO: somebody made it shorter */
		done += (size_t)n;
	}
	return 0;
}

static int write_file(const struct disk_file *f, uint64_t at, const void *from, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n =
		    pwrite(f->fd, (const uint8_t *)from + done, bytes - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : EIO;
		done += (size_t)n;
	}
	return 0;
}

static bool is_inside(const struct disk_backend *d, uint64_t at, size_t bytes)
{
	return at <= d->bytes && bytes <= d->bytes - at;
}

static int file_read(struct disk_backend *d, uint64_t at, void *to, size_t bytes)
{
	return is_inside(d, at, bytes) ? read_file((struct disk_file *)d, at, to, bytes) : EINVAL;
}

static int file_write(struct disk_backend *d, uint64_t at, const void *from, size_t bytes)
{
	if (d->read_only)
		return EROFS;
	return is_inside(d, at, bytes) ? write_file((struct disk_file *)d, at, from, bytes)
				       : EINVAL;
}

static int file_flush(struct disk_backend *d)
{
	if (d->read_only)
		return 0;
	return fdatasync(((struct disk_file *)d)->fd) ? errno : 0;
}

static void file_free(struct disk_backend *d)
{
	close(((struct disk_file *)d)->fd); /* and the lock */
	free(d);
}

static const struct disk_ops file_ops = {
    .read = file_read,
    .write = file_write,
    .flush = file_flush,
    .free = file_free,
};

/* ---- 2. The snapshot ------------------------------------------------------------------------ */

static uint8_t *find_page(const struct disk_file *f, uint64_t at)
{
	uint8_t **pages = f->top[at / PAGE / FAN];

	return pages ? pages[at / PAGE % FAN] : NULL;
}

/* The page around `at` with what the disk has there, ready to be written. */
static int make_page(struct disk_file *f, uint64_t at, uint8_t **page)
{
	uint64_t first = at & ~(uint64_t)(PAGE - 1);
	uint64_t left = f->backend.bytes - first;
	uint8_t ***pages = &f->top[at / PAGE / FAN];
	int error;

	if (f->pages >= f->pages_max)
		return ENOSPC;
	if (!*pages)
		*pages = calloc(FAN, sizeof **pages);
	*page = *pages ? calloc(1, PAGE) : NULL;
	if (!*page)
		return ENOMEM;
	error = read_file(f, first, *page, left < PAGE ? (size_t)left : PAGE);
	if (error) {
		free(*page);
		return error;
	}
	(*pages)[at / PAGE % FAN] = *page;
	f->pages++;
	return 0;
}

/* How much of `bytes` from `at` lies in one page. */
static size_t in_page(uint64_t at, size_t bytes)
{
	size_t room = PAGE - (size_t)(at % PAGE);

	return bytes < room ? bytes : room;
}

static int snapshot_read(struct disk_backend *d, uint64_t at, void *to, size_t bytes)
{
	const struct disk_file *f = (struct disk_file *)d;
	uint8_t *out = to;

	if (!is_inside(d, at, bytes))
		return EINVAL;
	while (bytes) {
		size_t part = in_page(at, bytes);
		const uint8_t *page = find_page(f, at);

		if (page) {
			memcpy(out, page + at % PAGE, part);
		} else {
			int error;

			/* one read for all that follows unchanged */
			while (part < bytes && !find_page(f, at + part))
				part += in_page(at + part, bytes - part);
			error = read_file(f, at, out, part);
			if (error)
				return error;
		}
		at += part;
		out += part;
		bytes -= part;
	}
	return 0;
}

static int snapshot_write(struct disk_backend *d, uint64_t at, const void *from, size_t bytes)
{
	struct disk_file *f = (struct disk_file *)d;
	const uint8_t *in = from;

	if (!is_inside(d, at, bytes))
		return EINVAL;
	while (bytes) {
		size_t part = in_page(at, bytes);
		uint8_t *page = find_page(f, at);
		int error = page ? 0 : make_page(f, at, &page);

		if (error)
			return error;
		memcpy(page + at % PAGE, in, part);
		at += part;
		in += part;
		bytes -= part;
	}
	return 0;
}

static int snapshot_flush(struct disk_backend *d)
{
	(void)d;
	return 0;
}

void disk_limit_snapshot(struct disk_backend *d, uint64_t bytes)
{
	((struct disk_file *)d)->pages_max = bytes / PAGE;
}

static uint64_t top_entries(const struct disk_backend *d)
{
	return (d->bytes + (uint64_t)PAGE * FAN - 1) / ((uint64_t)PAGE * FAN);
}

static void snapshot_free(struct disk_backend *d)
{
	struct disk_file *f = (struct disk_file *)d;

	for (uint64_t i = 0; i < top_entries(d); i++) {
		for (unsigned k = 0; f->top[i] && k < FAN; k++)
			free(f->top[i][k]);
		free(f->top[i]);
	}
	free(f->top);
	file_free(d);
}

static const struct disk_ops snapshot_ops = {
    .read = snapshot_read,
    .write = snapshot_write,
    .flush = snapshot_flush,
    .free = snapshot_free,
};

/* ---- 3. Opening ----------------------------------------------------------------------------- */

static bool refuse(char *error, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(char *error, size_t room, const char *format, ...)
{
	va_list words;

	va_start(words, format);
	vsnprintf(error, room, format, words);
	va_end(words);
	return false;
}

/* Bytes of a file or a block device. */
static bool measure(struct disk_file *f, const char *path, char *error, size_t room)
{
	struct stat s;
	off_t end;

	if (fstat(f->fd, &s))
		return refuse(error, room, "%s: %s", path, strerror(errno));
	if (!S_ISREG(s.st_mode) && !S_ISBLK(s.st_mode))
		return refuse(error, room, "%s: neither a file nor a block device", path);
	end = lseek(f->fd, 0, SEEK_END);
	if (end < 0)
		return refuse(error, room, "%s: %s", path, strerror(errno));
	if (end == 0)
		return refuse(error, room,
			      "%s: empty: a disk needs at least one sector of 512 bytes", path);
	if (end % SECTOR)
		return refuse(error, room,
			      "%s: %lld bytes are not whole sectors of 512 (truncate -s %%512 %s)",
			      path, (long long)end, path);
	f->backend.bytes = (uint64_t)end;
	return true;
}

static bool open_image(struct disk_file *f, const char *path, bool writable, char *error,
		       size_t room)
{
	/* (O_NONBLOCK: a FIFO by mistake must not hang us; files and disks do not know it.) */
	f->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0) {
		const char *hint =
		    writable && (errno == EACCES || errno == EROFS || errno == EPERM)
			? " (to write; it may still be opened read-only, or as a snapshot)"
			: "";

		return refuse(error, room, "%s: %s%s", path, strerror(errno), hint);
	}
	if (!measure(f, path, error, room))
		return false;
	if (flock(f->fd, (writable ? LOCK_EX : LOCK_SH) | LOCK_NB))
		return refuse(error, room, "%s: %s", path,
			      errno == EWOULDBLOCK ? (writable ? "in use by another machine"
							       : "another machine is writing to it")
						   : strerror(errno));
	return true;
}

struct disk_backend *disk_open_file(const char *path, bool read_only, bool snapshot, char *error,
				    size_t room)
{
	struct disk_file *f = calloc(1, sizeof *f);

	if (!f) {
		refuse(error, room, "%s: out of memory", path);
		return NULL;
	}
	f->fd = -1;
	f->backend.read_only = read_only;
	f->backend.ops = &file_ops;
	snapshot = snapshot && !read_only;
	if (!open_image(f, path, !read_only && !snapshot, error, room))
		goto fail;
	if (snapshot) {
		f->backend.ops = &snapshot_ops;
		f->pages_max = DISK_SNAPSHOT_BYTES / PAGE;
		f->top = calloc(top_entries(&f->backend), sizeof *f->top);
		if (!f->top) {
			refuse(error, room, "%s: out of memory", path);
			goto fail;
		}
	}
	return &f->backend;
fail:
	if (f->fd >= 0)
		close(f->fd);
	free(f);
	return NULL;
}
