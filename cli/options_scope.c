/* SPDX-License-Identifier: MIT */
/*
 * cli/options_scope.c - the options of `umbra run` that look at the guest: sockets, symbols.
 */
#include <string.h>

#include "cli/cli.h"
#include "scope/server.h"

static bool set_socket(struct parse *p, const char *option, const char *value, const char **where)
{
	char why[256];
	if (!server_check(value, why, sizeof why))
		return refuse_option(p, "%s %s", option, why);
	if (*where)
		return refuse_option(p, "%s %.60s: it has a socket already", option, value);
	*where = value;
	return true;
}

bool set_monitor(struct parse *p, const char *value)
{
	bool none = strcmp(value, "none") == 0, terminal = strcmp(value, "stdio") == 0;
	if (strncmp(value, "unix:", 5) == 0 || strncmp(value, "tcp:", 4) == 0)
		return set_socket(p, "-monitor", value, &p->o->scope.monitor);
	if (!none && !terminal)
		return refuse_option(p, "-monitor %.60s: none, stdio, unix:PATH or tcp:[HOST]:PORT", value);
	p->o->monitor_stdio = terminal;
	if (none)
		p->o->scope.monitor = NULL;
	return true;
}

bool set_qmp(struct parse *p, const char *value)
{
	return set_socket(p, "-qmp", value, &p->o->scope.qmp);
}

bool set_gdb(struct parse *p, const char *value)
{
	char why[256];
	if (!gdb_check(value, why, sizeof why))
		return refuse_option(p, "-gdb %s", why);
	if (p->o->scope.gdb)
		return refuse_option(p, "-gdb %.60s: there is one already", value);
	p->o->scope.gdb = value;
	return true;
}

/* As QEMU has it. */
bool set_gdb_default(struct parse *p, const char *value)
{
	(void)value;
	return set_gdb(p, GDB_DEFAULT);
}

bool add_symbols(struct parse *p, const char *value)
{
	struct scope_config *c = &p->o->scope;
	if (c->symbol_files == SCOPE_SYMBOLS_MAX)
		return refuse_option(p, "-symbols: at most %u files", SCOPE_SYMBOLS_MAX);
	c->symbols[c->symbol_files++] = value;
	return true;
}

bool has_remote(const struct run_options *o)
{
	return o->scope.monitor || o->scope.qmp || o->scope.gdb;
}
