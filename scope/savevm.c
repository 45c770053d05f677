/* SPDX-License-Identifier: MIT */
/*
 * scope/savevm.c - snapshots.
 *
 *   1. Writing
 *   2. Reading    the state is checked before memory is touched
 *   3. Commands   savevm, loadvm
 */
#include "scope/savevm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "scope/commands.h"
#include "scope/dump.h"

/* ---- 1. Writing ----------------------------------------------------------------------------- */

bool savevm_write(struct vm *vm, const char *path, char *why, size_t bytes)
{
	struct dump_note note = { .name = DUMP_NOTE_NAME, .type = DUMP_NOTE_MORE, .size = vm_saved_bytes(vm) };
	uint8_t *state = note.size ? malloc(note.size) : NULL;
	if (!state) {
		snprintf(why, bytes, "%s", note.size ? "no memory for the machine's state"
		                                     : "a paravirtual machine's devices cannot be saved");
		return false;
	}
	vm_save(vm, state);
	note.bytes = state;
	bool done = dump_write(vm, path, &note, 1, why, bytes);
	free(state);
	return done;
}

/* ---- 2. Reading ----------------------------------------------------------------------------- */

/* Pages of zeros stay untouched: they cost the host no memory. */
static bool is_empty(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, UM_PAGE_SIZE - 1) == 0;
}

static bool read_ram(void *user, uint8_t *ram, uint64_t bytes, struct guest_error *error)
{
	enum { CHUNK = 1 << 20 }; /* memory is whole MiB */
	struct dump *d = user;
	uint8_t *chunk = malloc(CHUNK);
	bool fine = chunk != NULL;
	for (uint64_t at = 0; fine && at < bytes; at += CHUNK) {
		fine = dump_read(d, at, chunk, CHUNK) == CHUNK;
		for (size_t page = 0; fine && page < CHUNK; page += UM_PAGE_SIZE)
			if (!is_empty(chunk + page))
				memcpy(ram + at + page, chunk + page, UM_PAGE_SIZE);
	}
	if (!fine)
		snprintf(error->text, sizeof error->text, "%s; the machine starts anew",
		         chunk ? "its memory cannot be read" : "no memory to read it with");
	free(chunk);
	return fine;
}

bool savevm_read(struct vm *vm, const char *path, char *why, size_t bytes)
{
	struct guest_error error;
	size_t size = 0;
	struct dump *d = dump_open(path, why, bytes);
	if (!d)
		return false;
	uint8_t *state = dump_note(d, DUMP_NOTE_NAME, DUMP_NOTE_MORE, &size);
	bool done = false;
	if (!state)
		snprintf(why, bytes, "%s: this is no snapshot (savevm makes them)", path);
	else if (dump_ram_bytes(d) != vm_ram_bytes(vm))
		snprintf(why, bytes, "%s: it was saved with -m %" PRIu64 ", this machine has %" PRIu64, path,
		         dump_ram_bytes(d) >> 20, vm_ram_bytes(vm) >> 20);
	else if (!(done = vm_restore(vm, state, size, read_ram, d, &error)))
		snprintf(why, bytes, "%s: %s", path, error.text);
	free(state);
	dump_close(d);
	return done;
}

/* ---- 3. Commands ---------------------------------------------------------------------------- */

typedef bool move_fn(struct vm *vm, const char *path, char *why, size_t bytes);

static void move(struct scope *scope, const char *name, const char *path, move_fn *fn, struct text *out)
{
	char why[512];
	if (!*path)
		monitor_refuse(scope, out, "%s FILE", name);
	else if (!fn(scope->vm, path, why, sizeof why))
		monitor_refuse(scope, out, "%s", why);
}

void command_savevm(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix;
	move(scope, "savevm", rest, savevm_write, out);
}

void command_loadvm(struct scope *scope, char *suffix, char *rest, struct text *out)
{
	(void)suffix;
	move(scope, "loadvm", rest, savevm_read, out);
}
