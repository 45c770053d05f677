/* SPDX-License-Identifier: MIT */
/*
 * scope/scope.c - the microscope, put together and taken apart: one line for each part.
 */
#include "scope/scope.h"

#include <stdio.h>
#include <stdlib.h>

static bool open_parts(struct scope *scope, const struct scope_config *config, char *why, size_t bytes)
{
	(void)config;
	scope->symbols = symbols_new();
	if (!scope->symbols) {
		snprintf(why, bytes, "no memory for symbols");
		return false;
	}
	return true;
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
	symbols_free(scope->symbols);
	free(scope);
}

bool scope_symbol(struct scope *scope, const char *name, uint32_t *address)
{
	return symbols_find(scope->symbols, name, address);
}
