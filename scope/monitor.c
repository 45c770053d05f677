/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor.c - the monitor: one table of commands.
 *
 *   1. The table
 *   2. For commands    monitor_refuse, monitor_word
 *   3. Finding         by name, or as much of it as only one has; `info`'s by two
 *   4. help, info
 *   5. Running         monitor_run, monitor_run_json
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "scope/commands.h"
#include "scope/trace.h"

/* ---- 1. The table --------------------------------------------------------------------------- */

static monitor_function command_help, command_info;

static const struct monitor_command commands[] = {
	{ "help", " [COMMAND]", "this list, or one command of it", command_help, NULL },
	{ "info", " NAME", "show something of the guest or the shadow: help info lists what", command_info, NULL },
	{ "x", "/COUNT FORMAT SIZE ADDRESS", "memory by linear address: x/8xw $esp, x/5i do_exit", command_x, NULL },
	{ "xp", "/COUNT FORMAT SIZE ADDRESS", "guest-physical memory; formats x d u c s i, sizes b h w g", command_xp, NULL },
	{ "print", "/FORMAT VALUE", "numbers, $REGISTER, symbols with + - * / ( ); formats x d u o c", command_print, NULL },
	{ "gva2gpa", " ADDRESS", "where a linear address leads by the guest's tables", command_gva2gpa, NULL },
	{ "memsave", " ADDRESS SIZE FILE", "memory by linear address into a file", command_memsave, NULL },
	{ "pmemsave", " ADDRESS SIZE FILE", "guest-physical memory into a file", command_pmemsave, NULL },
	{ "symbols", " [kallsyms|load FILE|write FILE]", "names: how many; a Linux guest's own; a file's; into an ELF file",
	  command_symbols, NULL },
	{ "pt", " [OPTIONS]", "page tables, the guest's and the shadow's, as umbra pt: pt --help lists its options", command_pt,
	  command_pt_json },
	{ "check", "", "what -check has found so far", command_check, command_check_json },
	{ "dump-guest-memory", " FILE", "memory, registers and the shadow's entries into an ELF core; umbra pt reads it",
	  command_dump, NULL },
	{ "savevm", " FILE", "the whole machine into a file, a dump with its devices: loadvm goes on from it", command_savevm,
	  NULL },
	{ "loadvm", " FILE", "go on from what savevm wrote", command_loadvm, NULL },
	{ "trace", " start|stop|clear|status|show|write", "what the shadow does: trace help says what each takes",
	  trace_command, trace_command_json },
	{ "html", " FILE", "a page to look at: the map, what was traced, what was found", command_html, NULL },
	{ "stop", "", "stop the guest and its clocks", command_stop, NULL },
	{ "cont", "", "go on", command_cont, NULL },
	{ "step", " [N]", "N instructions (1) of a stopped guest, without interrupts; shows the next", command_step, NULL },
	{ "engine", " [direct|portable]", "which engine runs the guest; another one", command_engine, NULL },
	{ "system_reset", "", "the reset button", command_reset, NULL },
	{ "system_powerdown", "", "the power button, which this machine does not have: an error", command_powerdown, NULL },
	{ "nmi", "", "a non-maskable interrupt", command_nmi, NULL },
	{ "log", " [LIST]", "what is logged: none, int, in_asm, shadow, unimp with commas between", command_log, NULL },
	{ "gdbserver", " [ADDRESS|none]", "wait for gdb at tcp:[HOST]:PORT (tcp::1234) or unix:PATH; or no more", command_gdbserver, NULL },
	{ "quit", "", "end the run", command_quit, NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

/* Shorter names, as QEMU has them. */
static const struct {
	const char *name, *stands_for;
} aliases[] = {
	{ "?", "help" }, { "c", "cont" }, { "p", "print" }, { "q", "quit" }, { "s", "stop" },
};

/* What people used to QEMU look for, and why it is not there. */
static const struct {
	const char *name, *why;
} absent[] = {
	{ "sendkey", "there is no keyboard: type on the serial console" },
	{ "screendump", "there is no screen, only the serial console; info screen shows VGA text memory" },
	{ "gpa2hva", "host addresses are nobody's business: xp shows guest-physical memory" },
};

/* ---- 2. For commands ------------------------------------------------------------------------ */

void monitor_refuse(struct scope *scope, struct text *out, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	text_add_list(out, format, list);
	va_end(list);
	text_add(out, "\n");
	scope->failed = true;
}

char *monitor_word(char **rest)
{
	char *word = *rest + strspn(*rest, " ");
	char *end = word + strcspn(word, " ");
	*rest = end + strspn(end, " ");
	*end = 0;
	return word;
}

/* ---- 3. Finding ----------------------------------------------------------------------------- */

/* The one of that name, or whose name alone begins so.  NULL: there is none, or several. */
static const struct monitor_command *find_in(const struct monitor_command *table, const char *name, size_t length)
{
	const struct monitor_command *found = NULL;
	bool several = length == 0;
	for (const struct monitor_command *c = table; c->name; c++) {
		if (strncmp(name, c->name, length) != 0)
			continue;
		if (!c->name[length])
			return c;
		several |= found != NULL;
		found = c;
	}
	return several ? NULL : found;
}

static const struct monitor_command *find_command(const char *name, size_t length)
{
	for (size_t k = 0; k < sizeof aliases / sizeof aliases[0]; k++)
		if (strlen(aliases[k].name) == length && strncmp(name, aliases[k].name, length) == 0)
			return find_in(commands, aliases[k].stands_for, strlen(aliases[k].stands_for));
	return find_in(commands, name, length);
}

static const struct monitor_command *find_info(const char *name)
{
	return find_in(monitor_infos, name, strlen(name));
}

/* Those that begin so; of none, all. */
static void add_names(const struct monitor_command *table, const char *begin, struct text *out)
{
	const char *between = "";
	for (const struct monitor_command *c = table; c->name; c++)
		if (strncmp(begin, c->name, strlen(begin)) == 0) {
			text_add(out, "%s%s", between, c->name);
			between = ", ";
		}
	if (!*between && *begin)
		add_names(table, "", out);
}

void monitor_visit(void (*visit)(void *user, const char *prefix, const struct monitor_command *command), void *user)
{
	for (const struct monitor_command *command = commands; command->name; command++) {
		visit(user, "", command);
		if (command->run == command_info)
			for (const struct monitor_command *c = monitor_infos; c->name; c++)
				visit(user, "info ", c);
	}
}

/* ---- 4. help, info -------------------------------------------------------------------------- */

struct help {
	const char *only; /* this one, and what begins with it and a blank; "": all */
	bool found;
	struct text *out;
};

static void add_help(void *user, const char *prefix, const struct monitor_command *c)
{
	struct help *h = user;
	char name[64];
	int length = snprintf(name, sizeof name, "%s%s", prefix, c->name);
	size_t only = strlen(h->only);
	if (only && strcmp(name, h->only) != 0 && (strncmp(name, h->only, only) != 0 || name[only] != ' '))
		return;
	h->found = true;
	int column = length + (int)strlen(c->arguments);
	text_add(h->out, "%s%s%*s %s\n", name, c->arguments, column < 28 ? 28 - column : 0, "", c->help);
}

static void command_help(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	const struct monitor_command *c = strchr(rest, ' ') ? NULL : find_command(rest, strlen(rest));
	struct help h = { .only = c ? c->name : rest, .out = out };
	(void)suffix;
	monitor_visit(add_help, &h);
	if (!h.found)
		monitor_refuse(scope, out, "there is no command '%.40s'; help lists them", rest);
}

static void command_info(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	const char *name = monitor_word(&rest);
	const struct monitor_command *c = find_info(name);
	(void)suffix;
	if (c) {
		c->run(scope, "", rest, out);
		return;
	}
	if (*name)
		text_add(out, "there is no info '%.40s'; there are: ", name);
	else
		text_add(out, "info NAME: ");
	add_names(monitor_infos, name, out);
	monitor_refuse(scope, out, "%s", "");
}

/* ---- 5. Running ----------------------------------------------------------------------------- */

/* A line, in words: the command, what followed its name at once, the rest.  NULL: there is no such command. */
static const struct monitor_command *split(char *line, char **suffix, char **rest)
{
	*rest = line;
	char *word = monitor_word(rest);
	for (char *end = *rest + strlen(*rest); end > *rest && end[-1] == ' ';)
		*--end = 0;
	*suffix = word + strcspn(word, "/");
	return find_command(word, (size_t)(*suffix - word));
}

static bool copy_line(struct scope *scope, const char *line, char copy[MONITOR_LINE], struct text *out)
{
	size_t length = strcspn(line, "\r\n");
	scope->failed = false;
	if (length >= MONITOR_LINE) {
		monitor_refuse(scope, out, "the line is too long: %u bytes at most", MONITOR_LINE - 1);
		return false;
	}
	for (size_t k = 0; k < length; k++)
		copy[k] = line[k] == '\t' ? ' ' : line[k];
	copy[length] = 0;
	return true;
}

static void refuse_unknown(struct scope *scope, const char *name, struct text *out)
{
	for (size_t k = 0; k < sizeof absent / sizeof absent[0]; k++)
		if (strcmp(name, absent[k].name) == 0) {
			monitor_refuse(scope, out, "%s: %s", name, absent[k].why);
			return;
		}
	size_t length = strcspn(name, "/");
	bool several = false;
	for (const struct monitor_command *c = commands; c->name && !several; c++)
		several = length && strncmp(name, c->name, length) == 0;
	if (several) {
		text_add(out, "'%.40s' may be ", name);
		add_names(commands, name, out);
		monitor_refuse(scope, out, "%s", "");
		return;
	}
	monitor_refuse(scope, out, "unknown command '%.40s'; help lists them", name);
}

bool monitor_run(struct scope *scope, const char *line, struct text *out)
{
	char copy[MONITOR_LINE], *suffix, *rest;
	if (!copy_line(scope, line, copy, out))
		return false;
	if (!copy[strspn(copy, " ")])
		return true;
	const struct monitor_command *c = split(copy, &suffix, &rest);
	if (c)
		c->run(scope, suffix, rest, out);
	else
		refuse_unknown(scope, copy + strspn(copy, " "), out);
	if (out->cut) {
		static const char cut[] = "\n(cut: the answer is longer than fits)\n";
		size_t room = out->size < sizeof cut ? 0 : out->size - sizeof cut;
		out->size = room;
		out->cut = false;
		text_add(out, "%s", room ? cut : "");
	}
	return !scope->failed;
}

bool monitor_run_json(struct scope *scope, const char *line, struct text *out)
{
	char copy[MONITOR_LINE], *suffix, *rest;
	if (!copy_line(scope, line, copy, out))
		return false;
	const struct monitor_command *c = split(copy, &suffix, &rest);
	if (c && c->run == command_info) {
		c = find_info(monitor_word(&rest));
		suffix = rest + strlen(rest);
	}
	if (c && c->json)
		c->json(scope, suffix, rest, out);
	else
		monitor_refuse(scope, out, "'%.40s' has no JSON form", copy + strspn(copy, " "));
	if (out->cut && !scope->failed) {
		text_clear(out);
		monitor_refuse(scope, out, "the answer is longer than %u bytes", MONITOR_ANSWER);
	}
	return !scope->failed;
}
