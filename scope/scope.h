/* SPDX-License-Identifier: MIT */
/*
 * scope/scope.h - the microscope: what is attached to one vm in order to look at its guest.
 *
 *   text.h       text that grows up to a limit
 *   symbols.h    names of the guest's addresses
 *   space.h      an address space, live or from a dump
 *   pt.h         views of page tables                                 (umbra pt)
 *   dump.h       a guest's memory and registers as a file
 *   check.h      the missing-flush detector and its relatives         (-check)
 *   trace.h      shadow events, kept and written                      (-trace, umbra trace)
 *   html.h       a page to look at                                    (--html)
 *   gdb.h        the remote serial protocol                           (-gdb)
 *   monitor.h    the monitor's commands, for people and for programs  (-monitor, -qmp)
 *   server.h     listening sockets, served by the vm's own loop
 *
 * It observes and never steers: it hears through vm_observe(), reads through calls that only look, and is served
 * between instructions by the thread that runs the vm (vm_add_descriptor), so that nothing here needs a lock.
 */
#ifndef SCOPE_SCOPE_H
#define SCOPE_SCOPE_H

#include "scope/space.h"
#include "scope/symbols.h"
#include "scope/text.h"
#include "vmm/vmm.h"

struct check;
struct gdb;
struct trace;

struct scope {
	struct vm *vm;
	struct symbols *symbols; /* never NULL */
	struct check *check;     /* NULL: nothing is checked */
	struct trace *trace;     /* NULL: nothing is traced */
	struct gdb *gdb;         /* NULL: no debugger is waited for */
};

#endif
