/* SPDX-License-Identifier: MIT */
/*
 * scope/html_command.c - the page of a running guest, into a file: its map, what was traced, what was found.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scope/check.h"
#include "scope/commands.h"
#include "scope/html.h"

static void take_record(void *user, const struct trace_record *r)
{
	trace_log_add(user, r);
}

/* The names are the symbols'. */
static bool log_of(const struct scope *scope, struct trace_log *log)
{
	const struct trace_names names = trace_symbols(scope->symbols);
	struct trace_status s;
	trace_get_status(scope->trace, &s);
	log->lost = s.overwritten;
	trace_visit(scope->trace, HTML_EVENTS, take_record, log);
	for (size_t k = 0; k < log->count; k++) {
		char buf[TRACE_NAME_MAX];
		const char *name = names.name(names.user, log->record[k].eip, buf, sizeof buf);
		if (*name && !trace_log_name(log, log->record[k].eip, name))
			return false;
	}
	return true;
}

#define WAIT_MS 2000 /* what a pipe's reader may make the guest wait */

/* All of it, or errno. */
static int write_all(int fd, const char *bytes, size_t count)
{
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	while (count) {
		ssize_t n = write(fd, bytes, count);
		if (n > 0) {
			bytes += n;
			count -= (size_t)n;
		} else if (n == 0 || (errno == EAGAIN && poll(&wait, 1, WAIT_MS) <= 0)) {
			return n == 0 ? ENOSPC : ETIMEDOUT;
		} else if (errno != EAGAIN && errno != EINTR) {
			return errno;
		}
	}
	return 0;
}

bool html_write(const struct html_parts *parts, const char *path, char *why, size_t bytes)
{
	struct text page = { 0 };
	int number = ENOMEM;
	html_page(parts, &page);
	if (!page.cut) {
		/* A pipe that nobody reads is not waited for. */
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
		number = fd < 0 ? errno : write_all(fd, text_string(&page), page.size);
		if (fd >= 0 && close(fd) < 0 && !number)
			number = errno;
	}
	text_free(&page);
	if (number)
		snprintf(why, bytes, "%.150s: %s", path, number == ENXIO ? "nobody reads this pipe" : strerror(number));
	return !number;
}

int64_t html_file_time(const char *path)
{
	struct stat s;
	return stat(path, &s) == 0 && S_ISREG(s.st_mode) ? (int64_t)s.st_mtime : 0;
}

static void write_page(struct scope *scope, const char *path, struct text *out)
{
	struct space space;
	struct trace_log log = { 0 };
	struct text map = { 0 }, trace = { 0 }, checks = { 0 };
	char why[256] = "no memory", source[64];
	space_of_vm(&space, scope->vm, scope->symbols);
	bool done = html_map(&space, &map, why, sizeof why) && (!scope->trace || log_of(scope, &log));
	if (done && scope->trace)
		html_trace(&log, &trace);
	if (done && scope->check)
		check_describe(scope->check, true, &checks);
	snprintf(source, sizeof source, "a running guest, %.1f s after its start", (double)vm_now(scope->vm) / 1e9);
	const struct html_parts parts = {
		text_string(&map), trace.size ? text_string(&trace) : NULL, checks.size ? text_string(&checks) : NULL,
		source, (int64_t)time(NULL),
	};
	if (!done || !html_write(&parts, path, why, sizeof why))
		monitor_refuse(scope, out, "%s", why);
	trace_log_free(&log);
	text_free(&map);
	text_free(&trace);
	text_free(&checks);
}

void command_html(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	if (*suffix || !*rest)
		monitor_refuse(scope, out, "html FILE");
	else
		write_page(scope, rest, out);
}
