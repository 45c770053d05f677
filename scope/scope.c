/* SPDX-License-Identifier: MIT */
/*
 * scope/scope.c - the microscope, put together and taken apart.
 *
 *   1. Parts      one line for each
 *   2. Symbols    when they are wanted
 */
#include "scope/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scope/check.h"
#include "scope/gdb.h"
#include "scope/monitor.h"
#include "scope/qmp.h"
#include "scope/savevm.h"
#include "scope/server.h"
#include "scope/trace.h"

/* ---- 1. Parts ------------------------------------------------------------------------------- */

static bool load_files(struct scope *scope, const struct scope_config *config, char *why, size_t bytes)
{
	struct symbols_error error;
	scope->image = config->symbol_files ? NULL : config->image;
	for (unsigned k = 0; k < config->symbol_files; k++) {
		/* (A guest that has not begun has none in memory yet: they are looked for when they are wanted.) */
		if (strcmp(config->symbols[k], "kallsyms") == 0)
			continue;
		if (!scope_load_symbols(scope, config->symbols[k], &error)) {
			snprintf(why, bytes, "-symbols %s", error.text);
			return false;
		}
	}
	return true;
}

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

static void want_symbols(void *scope);

static bool open_parts(struct scope *scope, const struct scope_config *config, char *why, size_t bytes)
{
	scope->symbols = symbols_new();
	const struct check_config check = { .what = config->checks, .symbols = scope->symbols, .to = config->reports };
	if (!scope->symbols) {
		snprintf(why, bytes, "no memory for symbols");
		return false;
	}
	symbols_on_demand(scope->symbols, want_symbols, scope);
	if (!load_files(scope, config, why, bytes))
		return false;
	if (config->checks && !(scope->check = check_new(scope->vm, &check))) {
		snprintf(why, bytes, "no memory for -check");
		return false;
	}
	if (config->trace && !open_trace(scope, config->trace, why, bytes))
		return false;
	if (config->snapshot && !savevm_read(scope->vm, config->snapshot, why, bytes))
		return false;
	if (config->monitor && !(scope->monitor = monitor_listen(scope, config->monitor, why, bytes)))
		return false;
	if (config->qmp && !(scope->qmp = qmp_listen(scope, config->qmp, why, bytes)))
		return false;
	return !config->gdb || gdb_listen(scope, config->gdb, why, bytes);
}

static void on_change(void *user, enum vm_change change)
{
	struct scope *scope = user;
	scope->ran |= change == VM_CHANGE_RESUMED;
	qmp_tell_change(scope, change);
}

struct scope *scope_open(struct vm *vm, const struct scope_config *config, char *why, size_t bytes)
{
	struct scope *scope = calloc(1, sizeof *scope);
	if (!scope) {
		snprintf(why, bytes, "no memory for the monitor");
		return NULL;
	}
	scope->vm = vm;
	scope->ran = !vm_is_paused(vm);
	scope->listener = (struct vm_listener){ .user = scope, .changed = on_change };
	vm_listen(vm, &scope->listener);
	if (open_parts(scope, config, why, bytes))
		return scope;
	scope_close(scope);
	return NULL;
}

void scope_close(struct scope *scope)
{
	if (!scope)
		return;
	gdb_close(scope);
	server_close(scope->qmp);
	server_close(scope->monitor);
	vm_unlisten(scope->vm, &scope->listener);
	check_free(scope->check);
	trace_free(scope->trace);
	symbols_free(scope->symbols);
	text_free(&scope->symbol_source);
	free(scope);
}

void scope_end(struct scope *scope, enum vm_end end)
{
	qmp_tell_end(scope, end);
	gdb_tell_end(scope, end);
}

const char *scope_status(const struct scope *scope)
{
	enum vm_end end;
	if (vm_kept_end(scope->vm, &end))
		return end == VM_POWER_OFF || end == VM_RESET ? "shutdown" : "guest-panicked";
	return !vm_is_paused(scope->vm) ? "running" : scope->ran ? "paused" : "prelaunch";
}

/* ---- 2. Symbols ----------------------------------------------------------------------------- */

/* A search in vain is not repeated for so long, by the guest's clock, and each time for twice as long. */
#define KALLSYMS_AGAIN_NS 2000000000u

static size_t peek(void *cpu, uint32_t linear, void *buf, size_t bytes)
{
	return cpu_peek(cpu, linear, buf, bytes);
}

static bool find_kallsyms(struct scope *scope, struct symbols_error *error)
{
	struct symbols *found = symbols_new();
	if (!found)
		return snprintf(error->text, sizeof error->text, "no memory for symbols"), false;
	if (!symbols_find_kallsyms(found, peek, vm_cpu(scope->vm), error)) {
		symbols_free(found);
		return false;
	}
	symbols_replace(scope->symbols, found);
	text_clear(&scope->symbol_source);
	return true;
}

bool scope_load_symbols(struct scope *scope, const char *what, struct symbols_error *error)
{
	bool kallsyms = strcmp(what, "kallsyms") == 0;
	scope->image = NULL; /* what is asked for is what is wanted */
	if (kallsyms ? !find_kallsyms(scope, error) : !symbols_load(scope->symbols, what, error))
		return false;
	text_add(&scope->symbol_source, "%s%s", scope->symbol_source.size ? ", " : "", what);
	return true;
}

/* Not every image is an ELF file, or has symbols; that is no error here. */
static void load_image(struct scope *scope)
{
	struct symbols_error error;
	char magic[4] = { 0 };
	const char *image = scope->image;
	scope->image = NULL;
	FILE *file = fopen(image, "re");
	bool elf = file && fread(magic, 1, sizeof magic, file) == sizeof magic && memcmp(magic, "\177ELF", 4) == 0;
	if (file)
		fclose(file);
	if (elf)
		scope_load_symbols(scope, image, &error);
}

void scope_want_symbols(struct scope *scope)
{
	struct symbols_error error;
	if (scope->image)
		load_image(scope);
	uint64_t now = vm_now(scope->vm);
	if (symbols_count(scope->symbols) || now < scope->kallsyms_again)
		return;
	scope->kallsyms_wait = scope->kallsyms_wait ? scope->kallsyms_wait * 2 : KALLSYMS_AGAIN_NS;
	scope->kallsyms_again = now + scope->kallsyms_wait;
	scope_load_symbols(scope, "kallsyms", &error);
}

static void want_symbols(void *scope)
{
	scope_want_symbols(scope);
}
