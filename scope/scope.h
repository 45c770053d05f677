/* SPDX-License-Identifier: MIT */
/*
 * scope/scope.h - the microscope: what is attached to one vm in order to look at its guest.
 *
 *   text.h       text that grows up to a limit
 *   symbols.h    names of the guest's addresses
 *   space.h      an address space, live or from a dump
 *   pt.h         views of page tables                                 (umbra pt)
 *   dump.h       a guest's memory and registers as a file
 *   savevm.h     ... with all that its devices keep: snapshots
 *   check.h      the missing-flush detector and its relatives         (-check)
 *   trace.h      shadow events, kept and written                      (-trace, umbra trace)
 *   html.h       a page to look at                                    (--html)
 *   gdb.h        the remote serial protocol                           (-gdb)
 *   stats.h      what was counted                                     (-stats)
 *   screen.h     what was written to VGA memory
 *   monitor.h    the monitor: a table of commands
 *   commands.h   ... and their index
 *   qmp.h        ... for programs
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

#define UMBRA_VERSION "0.1"

struct check;
struct gdb;
struct server;
struct trace;
struct trace_options;

struct scope {
	struct vm *vm;
	struct symbols *symbols; /* never NULL, always the same; empty until the first name is wanted */
	struct text symbol_source; /* where they are from: "vmlinux, kallsyms" */
	const char *image;       /* whose symbols have not been looked at yet, or NULL */
	uint64_t kallsyms_again, kallsyms_wait; /* the guest's time from which on a vain search may be repeated; ns */
	struct check *check;     /* NULL: nothing is checked */
	struct trace *trace;     /* NULL: nothing is traced */
	struct gdb *gdb;         /* NULL: no debugger is waited for */
	bool failed;             /* the monitor's command: monitor_refuse() was called */
	bool leave;              /* somebody asked for the end of the run */
	bool ran;                /* the guest has been running, or was not to start paused */
	bool reset_asked;        /* by us, and not done yet */
	struct server *monitor, *qmp; /* NULL: no such socket */
	struct vm_listener listener;
};

/* What is wanted at first; all may be NULL or 0. */
#define SCOPE_SYMBOLS_MAX 16u
struct scope_config {
	const char *image;                      /* whose symbols do where no others are given */
	const char *symbols[SCOPE_SYMBOLS_MAX]; /* files, or "kallsyms" */
	unsigned symbol_files;
	const char *monitor, *qmp, *gdb;        /* sockets: server.h */
	unsigned checks;        /* enum check_bit: 0, or what to check from the first instruction on */
	FILE *reports;          /* ... and where that is reported */
	const char *snapshot;   /* a file of savevm's to go on from (savevm.h) */
	const struct trace_options *trace; /* trace from the start, to this file */
};

/* Attach to a vm, which must outlive it.  NULL: `why` is one line. */
struct scope *scope_open(struct vm *vm, const struct scope_config *config, char *why, size_t bytes);
void scope_close(struct scope *scope); /* NULL: nothing */
/* The run is over: to who is still connected. */
void scope_end(struct scope *scope, enum vm_end end);

/* What the machine does, in QEMU's words: "running", "paused", "prelaunch", "shutdown", "guest-panicked". */
const char *scope_status(const struct scope *scope);

/* Look for names, if there are none: what symbols_at() and symbols_find() do by themselves.  Reading an image's symbols, or
 * searching a guest's memory for them, takes a while: so it is done when the first name is wanted, and not before. */
void scope_want_symbols(struct scope *scope);
/* A file's, or "kallsyms": a running Linux's own, which replace all others. */
bool scope_load_symbols(struct scope *scope, const char *what, struct symbols_error *error);

#endif
