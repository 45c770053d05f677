/* SPDX-License-Identifier: MIT */
/*
 * scope/qmp_commands.c - QMP: the commands, with QEMU's names and meanings, and ours under x-umbra-.
 *
 *   1. Asking       query-...
 *   2. Doing        stop, cont, reset, memory into files
 *   3. The monitor  its lines, and its table's JSON forms
 *   4. The table    and the arguments, checked by it
 */
#include "scope/qmp_internal.h"

#include <string.h>
#include <unistd.h>

#include "scope/commands.h"
#include "scope/dump.h"

#define OURS "x-umbra-"

struct call {
	struct scope *scope;
	json_t *arguments; /* checked; may be NULL */
	struct qmp_answer *answer;
};

static const char *string_of(const struct call *c, const char *name)
{
	const char *string = json_string_value(json_object_get(c->arguments, name));
	return string ? string : "";
}

static uint64_t number_of(const struct call *c, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(c->arguments, name));
}

/* ---- 1. Asking ------------------------------------------------------------------------------ */

static void query_version(struct call *c)
{
	c->answer->value = qmp_version();
}

static void query_status(struct call *c)
{
	c->answer->value = json_pack("{s:b,s:s}", "running", !vm_is_paused(c->scope->vm), "status",
	                             scope_status(c->scope));
}

static void query_name(struct call *c)
{
	c->answer->value = json_object(); /* a guest has none here */
}

static void query_kvm(struct call *c)
{
	c->answer->value = json_pack("{s:b,s:b}", "enabled", 0, "present", 0);
}

static void query_cpus(struct call *c)
{
	c->answer->value = json_pack("[{s:i,s:i,s:s,s:s,s:{}}]", "cpu-index", 0, "thread-id", (int)gettid(), "target",
	                             "i386", "qom-path", "/machine/cpu[0]", "props");
}

static void query_events(struct call *c)
{
	c->answer->value = qmp_event_names();
}

static void query_commands(struct call *c);

/* ---- 2. Doing ------------------------------------------------------------------------------- */

/* A line of the monitor that has nothing to say, unless it fails. */
static void run_line(struct call *c, const char *line)
{
	struct text out = { .limit = MONITOR_ANSWER };
	if (!monitor_run(c->scope, line, &out))
		qmp_refuse(c->answer, "GenericError", "%.*s", (int)strcspn(text_string(&out), "\n"), text_string(&out));
	text_free(&out);
}

static void stop(struct call *c)
{
	vm_pause(c->scope->vm, true);
}

static void cont(struct call *c)
{
	run_line(c, "cont");
}

static void quit(struct call *c)
{
	run_line(c, "quit");
}

static void system_reset(struct call *c)
{
	run_line(c, "system_reset");
}

static void system_powerdown(struct call *c)
{
	run_line(c, "system_powerdown");
}

static void inject_nmi(struct call *c)
{
	run_line(c, "nmi");
}

static void save(struct call *c, bool physical)
{
	struct text out = { 0 };
	if (!save_memory(c->scope, physical, number_of(c, "val"), number_of(c, "size"), string_of(c, "filename"), &out))
		qmp_refuse(c->answer, "GenericError", "%.*s", (int)strcspn(text_string(&out), "\n"), text_string(&out));
	text_free(&out);
}

static void memsave(struct call *c)
{
	save(c, false);
}

static void pmemsave(struct call *c)
{
	save(c, true);
}

/* "file:NAME" is the only protocol: a descriptor that the client would pass is not looked at. */
static void dump_guest_memory(struct call *c)
{
	const char *protocol = string_of(c, "protocol");
	char why[512];
	if (json_is_true(json_object_get(c->arguments, "paging")))
		qmp_refuse(c->answer, "GenericError", "a dump is by guest-physical address: paging must be false");
	else if (strncmp(protocol, "file:", 5) != 0)
		qmp_refuse(c->answer, "GenericError", "protocol must be file:NAME");
	else if (!dump_write(c->scope->vm, protocol + 5, NULL, 0, why, sizeof why))
		qmp_refuse(c->answer, "GenericError", "%s", why);
}

/* ---- 3. The monitor ------------------------------------------------------------------------- */

static void human_monitor_command(struct call *c)
{
	struct text out = { .limit = MONITOR_ANSWER };
	monitor_run(c->scope, string_of(c, "command-line"), &out);
	c->answer->value = qmp_string(text_string(&out), out.size);
	text_free(&out);
}

/* The same for who wants to know whether it failed. */
static void x_umbra_monitor(struct call *c)
{
	struct text out = { .limit = MONITOR_ANSWER };
	bool fine = monitor_run(c->scope, string_of(c, "command-line"), &out);
	c->answer->value = json_pack("{s:b,s:o}", "failed", !fine, "output", qmp_string(text_string(&out), out.size));
	text_free(&out);
}

static void add_command(void *list, const char *prefix, const struct monitor_command *command)
{
	char name[96];
	snprintf(name, sizeof name, "%s%s", prefix, command->name);
	json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:b}", "name", name, "arguments", command->arguments, "help",
	                                      command->help, "json", command->json != NULL));
}

static void x_umbra_commands(struct call *c)
{
	c->answer->value = json_array();
	monitor_visit(add_command, c->answer->value);
}

/* x-umbra-info-stats, {"arguments": TEXT}: the JSON form of the line "info stats TEXT". */
static void run_json(struct scope *scope, const char *name, const char *arguments, struct qmp_answer *answer)
{
	struct text line = { .limit = MONITOR_LINE }, out = { .limit = MONITOR_ANSWER };
	json_error_t error;
	bool info = strncmp(name, "info-", 5) == 0;
	text_add(&line, "%s%s%s%s", info ? "info " : "", name + (info ? 5 : 0), *arguments == '/' ? "" : " ", arguments);
	if (!line.cut && monitor_run_json(scope, text_string(&line), &out)) {
		answer->value = json_loadb(text_string(&out), out.size, JSON_DECODE_ANY, &error);
		if (!answer->value)
			qmp_refuse(answer, "GenericError", "the answer cannot be told as JSON: %s", error.text);
	} else {
		qmp_refuse(answer, "GenericError", "%.*s", (int)strcspn(text_string(&out), "\n"), text_string(&out));
	}
	text_free(&line);
	text_free(&out);
}

/* ---- 4. The table --------------------------------------------------------------------------- */

/* Arguments: their names, each after its kind: s a string, u a number >= 0, b true or false; in brackets: may be missing. */
static const struct {
	const char *name;
	void (*run)(struct call *c);
	const char *arguments;
} commands[] = {
	{ "query-version", query_version, "" },
	{ "query-status", query_status, "" },
	{ "query-name", query_name, "" },
	{ "query-kvm", query_kvm, "" },
	{ "query-cpus-fast", query_cpus, "" },
	{ "query-commands", query_commands, "" },
	{ "query-events", query_events, "" },
	{ "stop", stop, "" },
	{ "cont", cont, "" },
	{ "quit", quit, "" },
	{ "system_reset", system_reset, "" },
	{ "system_powerdown", system_powerdown, "" },
	{ "inject-nmi", inject_nmi, "" },
	{ "memsave", memsave, "u:val u:size s:filename [u:cpu-index]" },
	{ "pmemsave", pmemsave, "u:val u:size s:filename" },
	{ "dump-guest-memory", dump_guest_memory, "b:paging s:protocol" },
	{ "human-monitor-command", human_monitor_command, "s:command-line [u:cpu-index]" },
	{ OURS "monitor", x_umbra_monitor, "s:command-line" },
	{ OURS "commands", x_umbra_commands, "" },
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static void add_name(json_t *list, const char *name)
{
	json_array_append_new(list, json_pack("{s:s}", "name", name));
}

static void json_form_name(char *name, size_t bytes, const char *prefix, const struct monitor_command *command)
{
	snprintf(name, bytes, OURS "%s%s", *prefix ? "info-" : "", command->name);
}

static void add_json_form(void *list, const char *prefix, const struct monitor_command *command)
{
	char name[96];
	json_form_name(name, sizeof name, prefix, command);
	if (command->json)
		add_name(list, name);
}

static void query_commands(struct call *c)
{
	json_t *list = json_array();
	add_name(list, "qmp_capabilities");
	for (size_t k = 0; k < COMMANDS; k++)
		add_name(list, commands[k].name);
	monitor_visit(add_json_form, list);
	c->answer->value = list;
}

/* Is `key` among them, its kind in *kind? */
static bool find_argument(const char *list, const char *key, char *kind)
{
	size_t length = strlen(key);
	for (const char *at = list; (at = strchr(at, ':')) != NULL; at++)
		if (strcspn(at + 1, " ]") == length && strncmp(at + 1, key, length) == 0) {
			*kind = at[-1];
			return true;
		}
	return false;
}

static bool is_kind(const json_t *value, char kind)
{
	if (kind == 'b')
		return json_is_boolean(value);
	return kind == 's' ? json_is_string(value) : json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool check_arguments(const char *list, json_t *arguments, struct qmp_answer *answer)
{
	const char *key;
	json_t *value;
	json_object_foreach(arguments, key, value) {
		char kind = 0;
		if (!find_argument(list, key, &kind))
			qmp_refuse(answer, "GenericError", "there is no argument '%.40s'", key);
		else if (!is_kind(value, kind))
			qmp_refuse(answer, "GenericError", "argument '%s' must be %s", key,
			           kind == 's' ? "a string" : kind == 'b' ? "true or false" : "a number");
	}
	for (const char *at = list; (at = strchr(at, ':')) != NULL; at++) {
		char name[32];
		size_t length = strcspn(at + 1, " ]");
		snprintf(name, sizeof name, "%.*s", (int)length, at + 1);
		bool needed = at < list + 2 || at[-2] != '[';
		if (needed && !json_object_get(arguments, name))
			qmp_refuse(answer, "GenericError", "argument '%s' is missing", name);
	}
	return !answer->class;
}

struct wanted {
	const char *name;
	bool found;
};

static void look_for(void *user, const char *prefix, const struct monitor_command *command)
{
	struct wanted *w = user;
	char name[96];
	json_form_name(name, sizeof name, prefix, command);
	w->found |= command->json && strcmp(name, w->name) == 0;
}

void qmp_execute(struct scope *scope, const char *name, json_t *arguments, struct qmp_answer *answer)
{
	struct call call = { .scope = scope, .arguments = arguments, .answer = answer };
	for (size_t k = 0; k < COMMANDS; k++)
		if (strcmp(name, commands[k].name) == 0) {
			if (check_arguments(commands[k].arguments, arguments, answer))
				commands[k].run(&call);
			return;
		}
	struct wanted wanted = { .name = name };
	monitor_visit(look_for, &wanted);
	if (!wanted.found)
		qmp_refuse(answer, "CommandNotFound", "there is no command '%.60s'", name);
	else if (check_arguments("[s:arguments]", arguments, answer))
		run_json(scope, name + strlen(OURS), string_of(&call, "arguments"), answer);
}
