/* SPDX-License-Identifier: MIT */
/*
 * scope/gdb.h - the remote serial protocol: a stock gdb debugs the guest (docs/SCOPE.md).
 *
 * One debugger at a time, any number after each other.  The guest stops when one connects, and goes on without its
 * breakpoints when it detaches, is let go or dies.
 */
#ifndef SCOPE_GDB_H
#define SCOPE_GDB_H

#include "scope/scope.h"

/* What -gdb and the monitor's gdbserver take: server.h's addresses, `none`, and as QEMU's users write it, a colon and a
 * port. */
#define GDB_DEFAULT "tcp::1234" /* QEMU's -s, and its gdbserver without an address */
bool gdb_check(const char *where, char *why, size_t bytes);
/* Listen there, and nowhere else; "none": not at all.  false: `why` is a line, and all is as before. */
bool gdb_listen(struct scope *scope, const char *where, char *why, size_t bytes);
/* The run has ended: a debugger that is there is told. */
void gdb_tell_end(struct scope *scope, enum vm_end end);
/* It is let go, and no other is waited for. */
void gdb_close(struct scope *scope);

#endif
