/* SPDX-License-Identifier: MIT */
/*
 * scope/savevm.h - snapshots: a whole machine as a file, and going on from there.
 *
 * A snapshot is a dump (dump.h) with one note more: what the devices and the processor keep (vm_save()).  So whatever
 * reads dumps - umbra pt, gdb, readelf - reads snapshots.
 */
#ifndef SCOPE_SAVEVM_H
#define SCOPE_SAVEVM_H

#include "scope/scope.h"

/* false: `why`, one line, and nothing has changed: there is no such file, and the machine goes on as it was.  (If memory
 * cannot be read half-way, the machine starts anew, and `why` says so.) */
bool savevm_write(struct vm *vm, const char *path, char *why, size_t bytes);
bool savevm_read(struct vm *vm, const char *path, char *why, size_t bytes);

#endif
