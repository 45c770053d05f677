/* SPDX-License-Identifier: MIT */
/*
 * cli/replay.c - umbra replay: a recorded run's operations, on the core alone.
 *
 *   1. The command line
 *   2. Replaying        as often as asked, against the clock
 *   3. Saying           the verdict, the statistics
 *   4. The verb         replay_verb
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/cli.h"
#include "record/record.h"

#define TIMES_MAX 1000000u

/* ---- 1. The command line -------------------------------------------------------------------- */

struct options {
	const char *path;
	uint32_t times;
	enum stats stats;
	bool help;
};

void print_replay_help(FILE *to)
{
	fprintf(to, "usage: umbra replay [OPTIONS] FILE\n\n"
	            "FILE is from umbra run -record FILE.  Each operation is made again and compared.\n\n"
	            "options (one dash or two):\n"
	            "  -times N                 so often, for the speed (1)\n"
	            "  -stats[=json]            how many of each operation, what the shadow did\n"
	            "  -help, -h                say this\n");
}

static bool set_times(struct options *o, const char *value)
{
	char *end = NULL;
	unsigned long number = value && *value >= '0' && *value <= '9' ? strtoul(value, &end, 10) : 0;
	if (number == 0 || number > TIMES_MAX || *end) {
		fprintf(stderr, "umbra: -times%s%.60s: a number from 1 to %u is expected\n", value ? " " : "",
		        value ? value : "", TIMES_MAX);
		return false;
	}
	o->times = (uint32_t)number;
	return true;
}

static bool set_option(struct options *o, int argc, char **argv, int *at)
{
	const char *name = argv[*at] + 1;
	name += *name == '-';
	if (strcmp(name, "help") == 0 || strcmp(name, "h") == 0)
		return o->help = true;
	if (strncmp(name, "times=", 6) == 0)
		return set_times(o, name + 6);
	if (strcmp(name, "times") == 0)
		return set_times(o, *at + 1 < argc ? argv[++*at] : NULL);
	if (strcmp(name, "stats") == 0 || strcmp(name, "stats=text") == 0) {
		o->stats = STATS_TEXT;
		return true;
	}
	if (strcmp(name, "stats=json") == 0) {
		o->stats = STATS_JSON;
		return true;
	}
	fprintf(stderr, "umbra: unknown option '%.60s'; try `umbra help replay`\n", argv[*at]);
	return false;
}

static bool parse(struct options *o, int argc, char **argv)
{
	o->times = 1;
	for (int at = 1; at < argc; at++) {
		if (argv[at][0] == '-' && argv[at][1]) {
			if (!set_option(o, argc, argv, &at))
				return false;
		} else if (o->path) {
			fprintf(stderr, "umbra: two recordings: '%.60s' and '%.60s'\n", o->path, argv[at]);
			return false;
		} else {
			o->path = argv[at];
		}
	}
	if (!o->path && !o->help)
		fprintf(stderr, "umbra: no recording given; try `umbra help replay`\n");
	return o->path || o->help;
}

/* ---- 2. Replaying --------------------------------------------------------------------------- */

/* A pipe or a terminal would be waited for, and cannot be read twice. */
static FILE *open_recording(const char *path)
{
	FILE *from = fopen(path, "re");
	struct stat status;
	const char *why = NULL;
	if (!from)
		why = strerror(errno);
	else if (fstat(fileno(from), &status) != 0)
		why = strerror(errno);
	else if (!S_ISREG(status.st_mode))
		why = S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file";
	if (!why)
		return from;
	fprintf(stderr, "umbra: %s: %s\n", path, why);
	if (from)
		fclose(from);
	return NULL;
}

static double processor_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- 3. Saying ------------------------------------------------------------------------------ */

static int status_of(enum replay_end end)
{
	switch (end) {
	case REPLAY_SAME: return STATUS_OK;
	case REPLAY_DIFFERS: return STATUS_DIFFERS;
	case REPLAY_HOST: return STATUS_HOST;
	case REPLAY_CUT:
	case REPLAY_BAD: break;
	}
	return STATUS_START;
}

static void print_counts(const struct replay *r, const struct options *o, double speed)
{
	struct figure f[FIGURES];
	char name[RECORD_RESULT][32];
	unsigned n = 0;
	if (o->stats == STATS_NONE)
		return;
	f[n++] = (struct figure){ "operations", r->operations };
	f[n++] = (struct figure){ "operations_per_second", (uint64_t)speed };
	f[n++] = (struct figure){ "bytes", r->bytes };
	for (unsigned kind = 0; kind < RECORD_RESULT; kind++) {
		if (!r->count[kind])
			continue;
		snprintf(name[kind], sizeof name[kind], "calls_%s", record_kind_name(kind));
		f[n++] = (struct figure){ name[kind], r->count[kind] };
	}
	n += collect_shadow(&r->stats, f + n);
	print_figures(f, n, o->stats, stdout);
}

/* ---- 4. The verb ---------------------------------------------------------------------------- */

static int replay(const struct options *o)
{
	struct replay *r = malloc(sizeof *r);
	FILE *from = r ? open_recording(o->path) : NULL;
	double start = processor_seconds(), seconds;
	uint64_t operations = 0;
	int status = STATUS_START;
	if (!r)
		fprintf(stderr, "umbra: no memory\n");
	if (!from) {
		free(r);
		return status;
	}
	for (uint32_t n = 0; n < o->times && (n == 0 || r->end == REPLAY_SAME); n++) {
		replay_run(from, r);
		operations += r->operations;
	}
	seconds = processor_seconds() - start;
	fclose(from);
	status = status_of(r->end);
	double speed = seconds > 0 ? (double)operations / seconds : 0;
	if (r->end == REPLAY_SAME && o->stats != STATS_JSON)
		printf("same end state: %" PRIu64 " operations, %.1f million a second\n", r->operations,
		       speed / 1e6);
	else if (r->end != REPLAY_SAME)
		fprintf(stderr, "umbra: %s: %s\n", o->path, r->text);
	if (r->end == REPLAY_SAME)
		print_counts(r, o, speed);
	free(r);
	return status;
}

int replay_verb(int argc, char **argv)
{
	struct options o = { .path = NULL };
	if (!parse(&o, argc, argv))
		return STATUS_USAGE;
	if (o.help) {
		print_replay_help(stdout);
		return STATUS_OK;
	}
	return replay(&o);
}
