/* SPDX-License-Identifier: MIT */
/*
 * scope/monitor_symbols.c - the monitor's commands for names of addresses.
 */
#include <inttypes.h>
#include <string.h>

#include "scope/commands.h"

static void say_symbols(const struct scope *scope, struct text *out)
{
	size_t count = symbols_count(scope->symbols);
	text_add(out, "%zu symbols%s%s\n", count, *text_string(&scope->symbol_source) ? " from " : "",
	         text_string(&scope->symbol_source));
}

void info_symbols(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	say_symbols(scope, out);
}

void info_symbols_json(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix, (void)rest;
	text_add(out, "{\"count\":%zu,\"source\":", symbols_count(scope->symbols));
	text_add_json(out, text_string(&scope->symbol_source));
	text_add(out, "}");
}

void info_symbol(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	char name[600];
	uint32_t address;
	(void)suffix;
	if (!*rest) {
		monitor_refuse(scope, out, "info symbol ADDRESS");
		return;
	}
	if (!monitor_value(scope, rest, &address, out))
		return;
	if (*symbols_name(scope->symbols, address, name, sizeof name))
		text_add(out, "%s\n", name);
	else
		monitor_refuse(scope, out, "no symbol is near 0x%" PRIx32, address);
}

/* symbols, symbols kallsyms, symbols load FILE, symbols write FILE */
void command_symbols(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	struct symbols_error error;
	char *verb = monitor_word(&rest);
	bool fine = true;
	(void)suffix;
	if (strcmp(verb, "kallsyms") == 0 && !*rest) {
		fine = scope_load_symbols(scope, "kallsyms", &error);
	} else if (strcmp(verb, "load") == 0 && *rest) {
		fine = scope_load_symbols(scope, rest, &error);
	} else if (strcmp(verb, "write") == 0 && *rest) {
		scope_want_symbols(scope);
		fine = symbols_write_elf(scope->symbols, rest, &error);
	} else if (*verb) {
		monitor_refuse(scope, out, "symbols, symbols kallsyms, symbols load FILE or symbols write FILE");
		return;
	}
	if (!fine)
		monitor_refuse(scope, out, "%s", error.text);
	else
		say_symbols(scope, out);
}
