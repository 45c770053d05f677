/* SPDX-License-Identifier: MIT */
/*
 * scope/trace_file.c - a trace's file.
 *
 *   1. Forms       a record in the file's form
 *   2. Writing     what the descriptor takes
 *   3. Draining    from the ring, while the guest runs
 *   4. Opening, closing
 *   5. At once     trace_write_file()
 *
 * The guest is never waited for, and never waits: a pipe is written without blocking, and what it does not take stays in
 * the ring until that is full.  A file that cannot go on ends; the trace and the guest go on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "scope/trace_internal.h"

#define WAITING_MAX (1u << 20)  /* bytes formatted ahead of a slow reader */
#define DRAIN_RECORDS 512u      /* so many at once, */
#define DRAIN_NS 100000000u     /* or those of so long */
#define CLOSE_MS 2000           /* what a reader that takes nothing is given at the end, */
#define CLOSE_MOST_MS 5000      /* and one that takes little: the guest may be waiting */

/* ---- 1. Forms ------------------------------------------------------------------------------- */

static void form_start(struct text *out, enum trace_format format, struct trace_chrome *chrome,
                       const struct trace_filter *filter)
{
	if (format == TRACE_CHROME)
		trace_chrome_start(chrome, out);
	else
		trace_json_start(out, filter);
}

static void form_record(struct text *out, enum trace_format format, struct trace_chrome *chrome,
                        const struct trace_record *r, const struct trace_names *names)
{
	if (format == TRACE_CHROME)
		trace_chrome_record(chrome, out, r, names);
	else
		trace_json_record(out, r, names);
}

static void form_lost(struct text *out, enum trace_format format, struct trace_chrome *chrome, uint64_t lost)
{
	if (format == TRACE_CHROME)
		trace_chrome_lost(chrome, out, lost);
	else
		trace_json_lost(out, lost);
}

static void form_end(struct text *out, enum trace_format format, struct trace_chrome *chrome, uint64_t records,
                     uint64_t lost)
{
	if (format == TRACE_CHROME)
		trace_chrome_end(chrome, out);
	else
		trace_json_end(out, records, lost);
}

/* ---- 2. Writing ----------------------------------------------------------------------------- */

static void end_out(struct trace_out *out, int error)
{
	if (close(out->fd) < 0 && !error)
		error = errno;
	out->fd = -1;
	out->error = error;
	free(out->chrome);
	out->chrome = NULL;
	text_free(&out->waiting);
	out->sent = 0;
}

/* As much as it takes.  false: the file has ended. */
static bool send_waiting(struct trace_out *out)
{
	while (out->sent < out->waiting.size) {
		ssize_t n = write(out->fd, out->waiting.data + out->sent, out->waiting.size - out->sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) {
			end_out(out, n < 0 ? errno : ENOSPC);
			return false;
		}
		out->sent += (size_t)n;
	}
	text_clear(&out->waiting);
	out->sent = 0;
	return true;
}

/* ---- 3. Draining ---------------------------------------------------------------------------- */

static void tell_lost(struct trace_out *out)
{
	if (out->lost == out->told_lost)
		return;
	form_lost(&out->waiting, out->format, out->chrome, out->lost - out->told_lost);
	out->told_lost = out->lost;
}

void out_drain(struct trace *t, bool all)
{
	struct trace_out *out = &t->out;
	const struct trace_names names = trace_symbols(t->symbols);
	uint64_t end = t->open ? t->open : t->ring.next;

	if (out->fd < 0)
		return;
	if (t->ring.first > out->next) {
		out->lost += t->ring.first - out->next;
		out->next = t->ring.first;
	}
	uint64_t now = vm_now(t->vm);
	if (!all && end < out->next + DRAIN_RECORDS && now - out->drained_at < DRAIN_NS)
		return;
	out->drained_at = now;
	while (send_waiting(out) && !out->waiting.size && out->next < end) {
		tell_lost(out);
		while (out->next < end && out->waiting.size < WAITING_MAX) {
			form_record(&out->waiting, out->format, out->chrome, ring_at(&t->ring, out->next++), &names);
			out->records++;
		}
		if (out->waiting.cut) {
			end_out(out, ENOMEM);
			return;
		}
	}
}

/* ---- 4. Opening, closing -------------------------------------------------------------------- */

static bool refuse(struct symbols_error *error, const char *path, int number)
{
	snprintf(error->text, sizeof error->text, "%.150s: %s", path, number == ENXIO ? "nobody reads this pipe" : strerror(number));
	return false;
}

/* A pipe is not waited for, neither now nor later. */
static int create(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
}

bool trace_open_file(struct trace *t, const char *path, enum trace_format format, struct symbols_error *error)
{
	struct trace_out *out = &t->out;
	if (strlen(path) >= sizeof out->path)
		return refuse(error, path, ENAMETOOLONG);
	trace_close_file(t);
	int fd = create(path);
	if (fd < 0)
		return refuse(error, path, errno);
	struct trace_chrome *chrome = calloc(1, sizeof *chrome);
	if (!chrome) {
		close(fd);
		return refuse(error, path, ENOMEM);
	}
	*out = (struct trace_out){ .fd = fd, .format = format, .chrome = chrome, .next = t->ring.next };
	strcpy(out->path, path);
	form_start(&out->waiting, format, chrome, &t->filter);
	return true;
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool takes_more(const struct trace_out *out, int64_t until)
{
	struct pollfd wait = { .fd = out->fd, .events = POLLOUT };
	int64_t left = until - now_ms();
	return left > 0 && poll(&wait, 1, left < CLOSE_MS ? (int)left : CLOSE_MS) > 0;
}

int trace_close_file(struct trace *t)
{
	struct trace_out *out = &t->out;
	int64_t until = now_ms() + CLOSE_MOST_MS;
	if (out->fd < 0)
		return out->error;
	t->open = 0;
	out_drain(t, true);
	while (out->fd >= 0 && out->waiting.size && takes_more(out, until))
		out_drain(t, true);
	if (out->fd < 0)
		return out->error;
	if (!out->waiting.size) {
		tell_lost(out);
		form_end(&out->waiting, out->format, out->chrome, out->records, out->lost);
		if (!send_waiting(out))
			return out->error;
		while (out->waiting.size && takes_more(out, until))
			if (!send_waiting(out))
				return out->error;
	}
	end_out(out, out->waiting.size ? EAGAIN : 0);
	return out->error;
}

/* ---- 5. At once ----------------------------------------------------------------------------- */

struct at_once {
	struct trace_out out;
	const struct trace_names *names;
};

/* To the end, however slow. */
static bool send_all(struct trace_out *out)
{
	struct pollfd wait = { .fd = out->fd, .events = POLLOUT };
	do {
		if (!send_waiting(out))
			return false;
		if (out->waiting.size && poll(&wait, 1, CLOSE_MS) <= 0) {
			end_out(out, EAGAIN);
			return false;
		}
	} while (out->waiting.size);
	return true;
}

static void write_one(void *user, const struct trace_record *r)
{
	struct at_once *w = user;
	if (w->out.fd < 0)
		return;
	form_record(&w->out.waiting, w->out.format, w->out.chrome, r, w->names);
	w->out.records++;
	if (w->out.waiting.size >= WAITING_MAX)
		send_all(&w->out);
}

bool trace_write_file(const struct trace *t, const char *path, enum trace_format format, struct symbols_error *error)
{
	const struct trace_names names = trace_symbols(t->symbols);
	struct at_once w = { .names = &names, .out = { .format = format } };
	struct trace_status status;
	if (t->out.fd >= 0 && strcmp(path, t->out.path) == 0) {
		snprintf(error->text, sizeof error->text, "%.150s: the trace is being written there already", path);
		return false;
	}
	trace_get_status(t, &status);
	w.out.chrome = calloc(1, sizeof *w.out.chrome);
	if (!w.out.chrome)
		return refuse(error, path, ENOMEM);
	w.out.fd = create(path);
	if (w.out.fd < 0) {
		int number = errno;
		free(w.out.chrome);
		return refuse(error, path, number);
	}
	form_start(&w.out.waiting, format, w.out.chrome, &t->filter);
	if (status.overwritten)
		form_lost(&w.out.waiting, format, w.out.chrome, status.overwritten);
	trace_visit(t, UINT64_MAX, write_one, &w);
	if (w.out.fd >= 0) {
		form_end(&w.out.waiting, format, w.out.chrome, w.out.records, status.overwritten);
		if (send_all(&w.out))
			end_out(&w.out, 0);
	}
	return !w.out.error || refuse(error, path, w.out.error);
}
