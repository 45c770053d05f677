/* SPDX-License-Identifier: MIT */
/*
 * cli/main.c - umbra VERB ...: one verb, one line in the table.
 */
#include <string.h>

#include "cli/cli.h"

typedef int verb_fn(int argc, char **argv);

static int help_verb(int argc, char **argv);
static int version_verb(int argc, char **argv);

static const struct {
	const char *name;
	verb_fn *run;
	const char *help;
	void (*print_help)(FILE *to); /* its options; NULL: it has none, and may be written as one itself: --version */
} verbs[] = {
	{ "run", run_verb, "run a 32-bit x86 system: umbra run [OPTIONS] [IMAGE]", print_run_help },
	{ "pt", pt_verb, "show page tables, the guest's and the shadow's: umbra pt WHAT [OPTIONS]", print_pt_help },
	{ "trace", trace_verb, "look at a trace of what the shadow did: umbra trace FILE [OPTIONS]", print_trace_help },
	{ "replay", replay_verb, "make a recorded run's shadow operations again: umbra replay FILE", print_replay_help },
	{ "monitor", monitor_verb, "a command for a running umbra's monitor: umbra monitor SOCKET COMMAND", print_monitor_help },
	{ "help", help_verb, "say this, or a verb's options: umbra help [VERB]", NULL },
	{ "version", version_verb, "say the version", NULL },
};
#define VERBS (sizeof verbs / sizeof verbs[0])

static void print_help(FILE *to)
{
	fprintf(to, "usage: umbra VERB [OPTIONS]\n\nverbs:\n");
	for (size_t k = 0; k < VERBS; k++)
		fprintf(to, "  %-10s %s\n", verbs[k].name, verbs[k].help);
	fprintf(to, "\nThe manual page is umbra(1).\n");
}

static int refuse_verb(const char *name)
{
	fprintf(stderr, "umbra: unknown verb '%.60s'; try `umbra help`\n", name);
	return STATUS_USAGE;
}

static int help_verb(int argc, char **argv)
{
	size_t k = 0;
	while (argc > 1 && k < VERBS && strcmp(argv[1], verbs[k].name) != 0)
		k++;
	if (k == VERBS)
		return refuse_verb(argv[1]);
	if (argc > 1 && verbs[k].print_help)
		verbs[k].print_help(stdout);
	else
		print_help(stdout);
	return STATUS_OK;
}

static int version_verb(int argc, char **argv)
{
	(void)argc, (void)argv;
	printf("umbra %s\n", UMBRA_VERSION);
	return STATUS_OK;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "umbra: no verb given; try `umbra help`\n");
		return STATUS_USAGE;
	}
	/* -version, --help: as options too. */
	const char *name = argv[1];
	if (strcmp(name, "-h") == 0)
		name = "help";
	while (*name == '-' && name < argv[1] + 2)
		name++;
	for (size_t k = 0; k < VERBS; k++) {
		bool dashed = argv[1][0] == '-';
		if (strcmp(name, verbs[k].name) == 0 && (!dashed || !verbs[k].print_help))
			return verbs[k].run(argc - 1, argv + 1);
	}
	return refuse_verb(argv[1]);
}
