/* SPDX-License-Identifier: MIT */
/*
 * scope/scope.c - the microscope, put together and taken apart: one line for each part.
 */
#include "scope/scope.h"

#include "scope/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "scope/trace.h"

static bool open_trace(struct scope *scope, const struct trace_options *o, char *why, size_t bytes)
{
	struct symbols_error error;
	scope->trace = trace_new(scope->vm, scope->symbols, o->bytes);
	if (!scope->trace) {
		snprintf(why, bytes, "no memory for a trace of %zu bytes", o->bytes);
		return false;
	}
	if (trace_start(scope->trace, &o->filter, &error) && trace_open_file(scope->trace, o->path, o->format, &error))
		return true;
	snprintf(why, bytes, "%s", error.text);
	return false;
}

static bool open_parts(struct scope *scope, const struct scope_config *config, char *why, size_t bytes)
{
	scope->symbols = symbols_new();
	const struct check_config check = { .what = config->checks, .symbols = scope->symbols, .to = config->reports };
	if (!scope->symbols) {
		snprintf(why, bytes, "no memory for symbols");
		return false;
	}
	if (config->checks && !(scope->check = check_new(scope->vm, &check))) {
		snprintf(why, bytes, "no memory for -check");
		return false;
	}
	return !config->trace || open_trace(scope, config->trace, why, bytes);
}

struct scope *scope_open(struct vm *vm, const struct scope_config *config, char *why, size_t bytes)
{
	struct scope *scope = calloc(1, sizeof *scope);
	if (!scope) {
		snprintf(why, bytes, "no memory for the monitor");
		return NULL;
	}
	scope->vm = vm;
	if (open_parts(scope, config, why, bytes))
		return scope;
	scope_close(scope);
	return NULL;
}

void scope_close(struct scope *scope)
{
	if (!scope)
		return;
	check_free(scope->check);
	trace_free(scope->trace);
	symbols_free(scope->symbols);
	free(scope);
}

bool scope_symbol(struct scope *scope, const char *name, uint32_t *address)
{
	return symbols_find(scope->symbols, name, address);
}
