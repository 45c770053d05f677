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
} verbs[] = {
	{ "run", run_verb, "run a 32-bit x86 system: umbra run [OPTIONS] [IMAGE]" },
	{ "replay", replay_verb, "make a recorded run's shadow operations again: umbra replay FILE" },
	{ "help", help_verb, "say this, or a verb's options: umbra help [VERB]" },
	{ "version", version_verb, "say the version" },
};
#define VERBS (sizeof verbs / sizeof verbs[0])

static void print_help(FILE *to)
{
	fprintf(to, "usage: umbra VERB [OPTIONS]\n\nverbs:\n");
	for (size_t k = 0; k < VERBS; k++)
		fprintf(to, "  %-10s %s\n", verbs[k].name, verbs[k].help);
	fprintf(to, "\nThe manual page is umbra(1).\n");
}

static bool is_verb(const char *name)
{
	for (size_t k = 0; k < VERBS; k++)
		if (strcmp(name, verbs[k].name) == 0)
			return true;
	return false;
}

static int refuse_verb(const char *name)
{
	fprintf(stderr, "umbra: unknown verb '%.60s'; try `umbra help`\n", name);
	return STATUS_USAGE;
}

static int help_verb(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "run") == 0)
		print_run_help(stdout);
	else if (argc > 1 && strcmp(argv[1], "replay") == 0)
		print_replay_help(stdout);
	else if (argc > 1 && !is_verb(argv[1]))
		return refuse_verb(argv[1]);
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
		if (strcmp(name, verbs[k].name) == 0 && (!dashed || (verbs[k].run != run_verb && verbs[k].run != replay_verb)))
			return verbs[k].run(argc - 1, argv + 1);
	}
	return refuse_verb(argv[1]);
}
