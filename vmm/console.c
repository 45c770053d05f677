/* SPDX-License-Identifier: MIT */
/*
 * vmm/console.c - bytes between the serial port and two file descriptors.
 *
 *   1. Opening    an output of our own that does not block
 *   2. Output     a ring; what does not fit stays in the serial port (the guest sees a slow line)
 *   3. Input      always read, so that the escape key works whatever the guest does
 *
 * The vm must never block on its console.  O_NONBLOCK belongs to the open file, which we may share with the
 * shell that started us: so terminals and pipes are opened again through /proc; sockets have a flag for
 * each call; regular files do not block; for anything else poll() is asked first and little is written.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/internal.h"

/* ---- 1. Opening ----------------------------------------------------------------------------- */

void open_console(struct console *console, const struct vm_console *fd)
{
	struct stat status;
	char path[40];
	memset(console, 0, sizeof *console);
	console->fd = *fd;
	console->in_tty = fd->in >= 0 && isatty(fd->in);
	console->in_ended = fd->in < 0;
	if (fd->out < 0 || fstat(fd->out, &status) != 0 || S_ISREG(status.st_mode))
		return;
	if (S_ISSOCK(status.st_mode)) {
		console->socket_out = true;
		return;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd->out);
	int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	console->own_out = own >= 0;
	console->careful_out = own < 0;
	if (own >= 0)
		console->fd.out = own;
}

void close_console(struct console *console)
{
	if (console->own_out)
		close(console->fd.out);
	console->own_out = false;
	console->fd.in = console->fd.out = -1;
}

/* ---- 2. Output ------------------------------------------------------------------------------ */

#define CAREFUL_BYTES 128u /* what a descriptor that poll() called writable takes without blocking */

static void hang_up(struct console *console, int error)
{
	console->gone = true;
	console->error = error;
	console->out_count = 0;
}

static ssize_t write_some(struct console *console, const uint8_t *bytes, size_t count)
{
	if (console->socket_out)
		return send(console->fd.out, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (console->careful_out) {
		struct pollfd ready = { .fd = console->fd.out, .events = POLLOUT };
		if (poll(&ready, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		if (count > CAREFUL_BYTES)
			count = CAREFUL_BYTES;
	}
	return write(console->fd.out, bytes, count);
}

void console_flush(struct console *console)
{
	while (console->out_count) {
		size_t run = CONSOLE_OUT - console->out_head;
		if (run > console->out_count)
			run = console->out_count;
		ssize_t went = write_some(console, console->out + console->out_head, run);
		if (went < 0 && errno == EINTR)
			continue;
		if (went < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (went <= 0) {
			hang_up(console, went < 0 ? errno : 0);
			return;
		}
		console->out_head = (console->out_head + (size_t)went) % CONSOLE_OUT;
		console->out_count -= (size_t)went;
	}
}

size_t console_put(struct console *console, const uint8_t *bytes, size_t count)
{
	console->spoken |= count > 0;
	if (console->fd.out < 0 || console->gone)
		return count;
	if (CONSOLE_OUT - console->out_count < count)
		console_flush(console);
	size_t taken = CONSOLE_OUT - console->out_count;
	if (taken > count)
		taken = count;
	for (size_t k = 0; k < taken; k++)
		console->out[(console->out_head + console->out_count++) % CONSOLE_OUT] = bytes[k];
	if (taken)
		console->mid_line = bytes[taken - 1] != '\n';
	return taken;
}

void console_drain(struct console *console, int patience_ms)
{
	console_flush(console);
	while (console->out_count && !console->gone) {
		struct pollfd ready = { .fd = console->fd.out, .events = POLLOUT };
		size_t before = console->out_count;
		if (poll(&ready, 1, patience_ms) <= 0)
			return;
		console_flush(console);
		if (console->out_count == before)
			return;
	}
}

bool vm_has_spoken(const struct vm *vm)
{
	return vm->console.spoken;
}

void vm_console_flush(struct vm *vm)
{
	vm->board->flush(vm);
	console_flush(&vm->console);
}

bool vm_console_mid_line(const struct vm *vm)
{
	return vm->console.mid_line;
}

bool console_size(const struct console *console, uint16_t *columns, uint16_t *rows)
{
	struct winsize size;
	if (console->fd.out < 0 || ioctl(console->fd.out, TIOCGWINSZ, &size) < 0)
		return false;
	*columns = size.ws_col;
	*rows = size.ws_row;
	return size.ws_col && size.ws_row;
}

/* ---- 3. Input ------------------------------------------------------------------------------- */

bool console_listens(const struct console *console)
{
	return !console->in_ended && !console->gone;
}

bool console_ready(const struct console *console)
{
	return console_listens(console) && (!console->fd.ready || console->fd.ready(console->fd.user));
}

void console_feed(struct vm *vm)
{
	struct console *console = &vm->console;
	while (console->in_count) {
		size_t run = CONSOLE_IN - console->in_head;
		if (run > console->in_count)
			run = console->in_count;
		size_t took = vm->board->hear(vm, console->in + console->in_head, run);
		if (!took)
			return;
		console->in_head = (console->in_head + took) % CONSOLE_IN;
		console->in_count -= took;
	}
}

/* Room for bytes from a pipe or file; a terminal is read even without, or its escape key were lost behind
 * what a hung guest does not take. */
static size_t input_room(const struct console *console)
{
	size_t room = CONSOLE_IN - console->in_count;
	return room == 0 && console->in_tty ? 1 : room;
}

void console_read(struct vm *vm)
{
	struct console *console = &vm->console;
	uint8_t bytes[256];
	struct pollfd ready = { .fd = console->fd.in, .events = POLLIN };
	size_t room = input_room(console);
	if (room == 0 || !console_ready(console) || poll(&ready, 1, 0) <= 0)
		return;
	ssize_t got = read(console->fd.in, bytes, room < sizeof bytes ? room : sizeof bytes);
	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (got <= 0) {
		/* A terminal's end of file is a hang-up; a pipe's or file's is only the end of input. */
		console->in_ended = true;
		if (console->in_tty)
			hang_up(console, got < 0 ? errno : 0);
		return;
	}
	size_t count = (size_t)got;
	if (console->fd.filter)
		count = console->fd.filter(console->fd.user, bytes, count);
	for (size_t k = 0; k < count && console->in_count < CONSOLE_IN; k++)
		console->in[(console->in_head + console->in_count++) % CONSOLE_IN] = bytes[k];
}

void console_pump(struct vm *vm)
{
	console_read(vm);
	console_feed(vm);
}
