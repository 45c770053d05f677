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
 *   stats.h      what was counted                                     (-stats)
 *   monitor.h    the monitor: a table of commands
 *   commands.h   ... and their index
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
struct trace_options;

struct scope {
	struct vm *vm;
	struct symbols *symbols; /* never NULL */
	struct check *check;     /* NULL: nothing is checked */
	struct trace *trace;     /* NULL: nothing is traced */
	struct gdb *gdb;         /* NULL: no debugger is waited for */
	bool failed;             /* the monitor's command: monitor_refuse() was called */
	bool leave;              /* somebody asked for the end of the run */
};

/* What is wanted at first; all may be NULL or 0. */
#define SCOPE_SYMBOLS_MAX 16u
struct scope_config {
	const char *symbols[SCOPE_SYMBOLS_MAX]; /* files, or "kallsyms" */
	unsigned symbol_files;
	unsigned checks;        /* enum check_bit: 0, or what to check from the first instruction on */
	FILE *reports;          /* ... and where that is reported */
	const struct trace_options *trace; /* trace from the start, to this file */
};

/* Attach to a vm, which must outlive it.  NULL: `why` is one line. */
struct scope *scope_open(struct vm *vm, const struct scope_config *config, char *why, size_t bytes);
void scope_close(struct scope *scope); /* NULL: nothing */

/* The address of a symbol. */
bool scope_symbol(struct scope *scope, const char *name, uint32_t *address);

#endif
