/* SPDX-License-Identifier: MIT */
/*
 * vmm/vmm.h - a virtual machine: memory, processor, devices, shadow and the loop that runs them.
 *
 * Any number of machines in a process; no globals.  One thread runs a vm; vm_kick() may come from any
 * thread or a signal handler.
 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <umbra/shadow.h>
#include "cpu/cpu.h"
#include "direct/direct.h"
#include "guest/guest.h"
#include "guest/lguest/lguest.h"
#include "machine/machine.h"

struct vm;

#define VM_RAM_MAX (3584ull << 20) /* the rest of 4 GiB is for devices */

/* Where the console's bytes come from and go to: file descriptors and a filter (the terminal's escape key). */
struct vm_console {
	int in, out;                  /* -1: none */
	void *user;
	/* Called with what was read; returns how many of them are the guest's (moved to the front). */
	size_t (*filter)(void *user, uint8_t *bytes, size_t count);
	/* May `in` be read now?  Asked before each look; NULL: always.  (A terminal is another's while we are in the
	 * background.) */
	bool (*ready)(void *user);
};

/* Somebody who watches the guest (the microscope).  Each may be NULL.  Observing never steers: but for vm_abort(),
 * vm_pause(), vm_kick() and calls that only look, nothing is to be called from there. */
struct vm_observer {
	void *user;
	void (*event)(void *user, const struct um_event *event);      /* the core's */
	bool (*access)(void *user, const struct cpu_access *access);  /* cpu_observer.translated */
	void (*interrupt)(void *user, unsigned vector, bool software, bool has_error, uint32_t error);
	void (*absent)(void *user, bool write, um_gpa gpa, unsigned bytes); /* nothing answers there */
	void (*replaced)(void *user); /* all of memory is another's: a reset, a snapshot (no event tells of its pages) */
};
#define VM_OBSERVERS_MAX 4u

/* A file descriptor that is watched while the vm runs, sleeps or is paused. */
struct vm_descriptor {
	int fd;
	short events;                 /* poll()'s; 0: only its end */
	void (*ready)(void *user, int fd, short revents);
	void *user;
};
#define VM_DESCRIPTORS_MAX 32u

/* What becomes of the run, for who tells others (the monitor's sockets).  Costs the guest nothing. */
enum vm_change {
	VM_CHANGE_PAUSED,   /* by vm_pause() */
	VM_CHANGE_RESUMED,
	VM_CHANGE_RESET,    /* the guest was reset, and is loaded again */
	VM_CHANGE_ENDED,    /* keep_ends: vm_kept_end() and vm_last_words() say how; VM_CHANGE_PAUSED follows */
};
struct vm_listener {
	void *user;
	void (*changed)(void *user, enum vm_change change);
};
#define VM_LISTENERS_MAX 4u

enum vm_board { VM_PC, VM_LGUEST };

/* What executes the guest: cpu/, or direct/.  AUTO: direct where this host can. */
enum vm_engine { VM_ENGINE_PORTABLE, VM_ENGINE_DIRECT, VM_ENGINE_AUTO };

#define VM_DRIVES_MAX 8u
#define VM_NETS_MAX 4u
struct vm_drive {
	const char *path;
	bool read_only, snapshot;
};

struct vm_config {
	enum vm_board board;
	enum lguest_family family;    /* VM_LGUEST */
	struct vm_drive drive[VM_DRIVES_MAX]; /* VM_LGUEST, until the PC has a disk controller */
	unsigned drives;
	const char *net[VM_NETS_MAX]; /* options of each user-mode network; "" */
	unsigned nets;
	bool time_calls;              /* VM_LGUEST: measure hypercalls */
	uint64_t ram_bytes;           /* whole MiB, 1 MiB .. 3584 MiB */
	uint32_t um_options;          /* enum um_opt */
	uint32_t cpu_options;         /* enum cpu_opt */
	uint32_t vm_options;          /* enum vm_opt */
	enum vm_engine engine;
	uint32_t direct_options;      /* enum direct_opt */
	uint32_t direct_worlds, direct_mappings; /* most address spaces and mappings of it; 0: the defaults */
	uint32_t max_tables, max_roots, prefetch; /* 0: the defaults */
	uint16_t debug_exit_port;
	bool no_reboot;               /* a guest's reset ends the run */
	bool keep_ends;               /* the guest's own ends leave the machine paused, as vm_kept_end() says, for as long as
	                               * a console or a descriptor is there by which somebody could look at it */
	struct vm_console console;
	struct guest_request guest;   /* ram, ram_bytes are filled in */
	FILE *log;                    /* -d output, or NULL */
	unsigned log_mask;            /* enum vm_log */
	FILE *record;                 /* the shadow's operations (docs/RECORDING.md), or NULL */
	unsigned watchdog_seconds;    /* end a guest that has had interrupts off for so long; 0: never.  A loop
	                               * that provably never ends is VM_STUCK without it */
	bool paused;                  /* start paused: vm_pause(vm, false) goes on */
	bool counted_time;            /* for vm_check(): time, date and chance are the same in each run */
};
enum vm_opt {
	VM_OPT_SLACK = 1u << 0, /* a guest that does nothing but tick may be woken some milliseconds late */
	VM_OPT_ALL = (1u << 1) - 1,
};
enum vm_log { VM_LOG_INT = 1, VM_LOG_IN_ASM = 2, VM_LOG_SHADOW = 4, VM_LOG_UNIMP = 8 };

enum vm_end {
	VM_POWER_OFF,    /* the guest powered off */
	VM_RESET,        /* ... or reset, with no_reboot */
	VM_DEBUG_EXIT,   /* isa-debug-exit; code in vm_exit_code() */
	VM_SHUTDOWN,     /* triple fault: vm_last_words() */
	VM_CRASHED,      /* the guest reported its own crash: vm_last_words() */
	VM_KILLED,       /* the guest broke the interface that it runs on: vm_last_words() */
	VM_STUCK,        /* halted or looping with interrupts off, and nothing could ever end it */
	VM_KICKED,       /* vm_kick(): asked to leave */
	VM_NOMEM,        /* the host has no memory for shadow tables */
	VM_HANGUP,       /* the console's other end is gone: terminal closed, pipe broken, disk full */
	VM_STOPPED,      /* the shadow refused to go on, or the image could not be loaded again */
	VM_DIFFERS,      /* vm_check(): the engines came to different things */
	VM_REPORTED,     /* vm_abort(): an observer found enough */
};

/* NULL: error->text says why (bad size, no memory, bad image...). */
struct vm *vm_new(const struct vm_config *config, struct guest_error *error);
void vm_free(struct vm *vm);
/* Run until the machine ends; sleeps while the guest is idle.  A vm that has the direct engine uses the signal
 * SIGRTMIN+3 in the thread that runs it, and leaves its handler installed.  A handler of yours for another signal
 * must have SA_ONSTACK then (guest code has no stack of the host's), and does best to block all signals. */
enum vm_end vm_run(struct vm *vm);
/* Run two machines of one configuration (counted_time; the first with the direct engine; drives as snapshots, no
 * networks) in lock-step until they differ or end.  Input is the first one's and goes to both, only it is heard. */
struct vm_check_config {
	uint64_t every;  /* instructions between two comparisons of all memory; >= 1 */
	uint64_t from;   /* ... the first of which comes after so many */
	FILE *report;    /* where a difference is described, or NULL */
};
struct vm_check_result {
	uint64_t instructions, blocks;
	uint32_t pages;  /* that differ */
	char what[256];  /* the first difference */
};
enum vm_end vm_check(struct vm *direct, struct vm *portable, const struct vm_check_config *config,
                     struct vm_check_result *result);
/* Leave vm_run() or vm_check() with VM_KICKED soon.  Async-signal-safe. */
void vm_kick(struct vm *vm);
/* Stop and continue the guest, its clocks included; the console's filter goes on being called.  From the
 * thread that runs the vm (a filter), or while it does not run. */
void vm_pause(struct vm *vm, bool paused);
/* End the recording, if there is one, before the vm is freed.  0, or the errno for which it had ended already,
 * after so many operations: the guest went on without. */
int vm_end_recording(struct vm *vm, uint64_t *operations);
bool vm_is_paused(const struct vm *vm);
uint32_t vm_exit_code(const struct vm *vm);
/* keep_ends: has the guest ended?  Then nothing but a reset or vm_restore() makes it go on, and a vm_kick() ends the run
 * with this. */
bool vm_kept_end(const struct vm *vm, enum vm_end *end);
/* How the last vm_run() ended, with registers: lines of text. */
const char *vm_last_words(struct vm *vm);
uint64_t vm_now(struct vm *vm); /* the guest's clock: ns since its start, without pauses */
bool vm_has_spoken(const struct vm *vm); /* something on its console, ever */
void vm_console_flush(struct vm *vm); /* the guest's waiting output, before somebody else writes there */
bool vm_console_mid_line(const struct vm *vm); /* ... and whether its last line has an end yet */

/* Observe the guest from the next instruction on (`observer` stays the caller's, until it is taken off).  An observed
 * guest runs on the portable engine, the only one that knows its instructions; when the last observer has gone the other
 * takes over again.  When vm_pause() may be called.  false: there are VM_OBSERVERS_MAX already. */
bool vm_observe(struct vm *vm, const struct vm_observer *observer);
void vm_unobserve(struct vm *vm, const struct vm_observer *observer);
/* End the run with VM_REPORTED soon (before the next instruction but one or so); `why`, a line, outlives the vm. */
void vm_abort(struct vm *vm, const char *why);

/* Hear of changes (`listener` stays the caller's, until it is taken off).  false: there are VM_LISTENERS_MAX already. */
bool vm_listen(struct vm *vm, const struct vm_listener *listener);
void vm_unlisten(struct vm *vm, const struct vm_listener *listener);

/* What is logged (enum vm_log), from now on; to standard error if nothing was wanted at first. */
void vm_set_log(struct vm *vm, unsigned mask);
unsigned vm_log_mask(const struct vm *vm);

/* The reset button: soon, in vm_run(), as if the guest had asked for it (no_reboot ends the run).  A machine whose end is
 * kept starts anew, no_reboot or not, and runs unless there is a debugger. */
void vm_reset(struct vm *vm);
/* The NMI button.  false: this machine has none. */
bool vm_nmi(struct vm *vm);

/* A debugger of the guest, one at a time (cpu.h, section 8, says what breakpoints are).  What follows is for when
 * vm_pause() may be called, and nothing of it is seen by the guest, but that its clocks stand still while it is stopped.
 * While there is a breakpoint or a step, the portable engine runs; afterwards the other one may again. */
enum vm_stop_reason {
	VM_STOP_PAUSED,     /* vm_pause(), whoever called it */
	VM_STOP_STEP,
	VM_STOP_BREAKPOINT,
	VM_STOP_WATCHPOINT,
	VM_STOP_END,        /* the run would have ended: triple fault, VM_STUCK, VM_KILLED, VM_CRASHED */
};
struct vm_stop {
	enum vm_stop_reason reason;
	struct cpu_stop at; /* STEP, BREAKPOINT, WATCHPOINT */
	const char *why;    /* END: what vm_last_words() would have said, until the guest goes on */
};
struct vm_debugger {
	void *user;
	/* The guest has stopped and the vm is paused; called between instructions, in the thread that runs the vm.  May
	 * do what vm_pause() may be called from, that as well. */
	void (*stopped)(void *user, const struct vm_stop *stop);
};
/* It stays the caller's until it is detached.  false: there is one. */
bool vm_attach_debugger(struct vm *vm, const struct vm_debugger *debugger);
/* Breakpoints and steps go with it; paused or not, the vm stays as it is. */
void vm_detach_debugger(struct vm *vm, const struct vm_debugger *debugger);
/* As cpu_add_breakpoint(), cpu_remove_breakpoint(); false also without a debugger. */
bool vm_add_breakpoint(struct vm *vm, const struct cpu_breakpoint *breakpoint);
bool vm_remove_breakpoint(struct vm *vm, const struct cpu_breakpoint *breakpoint);
/* Go on for one instruction (cpu_set_step()); vm_pause(vm, false) goes on for good.  After VM_STOP_END either tries
 * again from what the state is then; vm_let_end() lets the run end as it would have (unless a reset or another state is
 * between: then it goes on). */
bool vm_step(struct vm *vm);
void vm_let_end(struct vm *vm);

/* Watch a file descriptor: ready() is called in the thread that runs the vm, between instructions, and may call whatever
 * vm_pause() may be beside, and these three.  false: there are VM_DESCRIPTORS_MAX already. */
bool vm_add_descriptor(struct vm *vm, const struct vm_descriptor *descriptor);
void vm_set_descriptor(struct vm *vm, int fd, short events);
void vm_remove_descriptor(struct vm *vm, int fd);

/* The engine in use, PORTABLE or DIRECT. */
enum vm_engine vm_get_engine(const struct vm *vm);
/* Why this vm has no direct engine, one line; NULL: it has. */
const char *vm_engine_reason(const struct vm *vm);
/* The other engine from the next instruction on; when vm_pause() may be called.  false: vm_engine_reason(). */
bool vm_set_engine(struct vm *vm, enum vm_engine engine);
struct direct *vm_direct(struct vm *vm);   /* NULL: vm_engine_reason() */

/* A snapshot's state: all but the memory, as vm_saved_bytes() bytes.  Between two runs, or when vm_pause() may be called.
 * 0: this machine's devices cannot be saved (a paravirtual one's, whose other ends are outside). */
size_t vm_saved_bytes(const struct vm *vm);
void vm_save(struct vm *vm, uint8_t *to);
/* Go on from there: all is checked, then read_ram() fills guest memory (which is zero before), then the rest changes.
 * false: error says why; if it was read_ram() that failed (false, text in error), the machine starts anew as after a
 * reset.  The guest's clock goes on from where it was saved, the calendar with it. */
bool vm_restore(struct vm *vm, const uint8_t *from, size_t bytes,
                bool (*read_ram)(void *user, uint8_t *ram, uint64_t bytes, struct guest_error *error), void *user,
                struct guest_error *error);
const uint8_t *vm_ram(const struct vm *vm); /* vm_ram_bytes() of it */

struct cpu *vm_cpu(struct vm *vm);
uint64_t vm_ram_bytes(const struct vm *vm); /* guest-physical memory, from 0 */
struct um *vm_shadow(struct vm *vm);
struct machine *vm_machine(struct vm *vm); /* NULL: not a PC */
struct lguest *vm_lguest(struct vm *vm);   /* NULL: not an lguest guest's */
/* Guest-physical memory for the monitor; bytes transferred.  Writes tell the core and the code cache. */
size_t vm_read_physical(struct vm *vm, uint64_t gpa, void *buf, size_t bytes);
size_t vm_write_physical(struct vm *vm, uint64_t gpa, const void *buf, size_t bytes);
/* The first address from `gpa` on where memory may hold anything but zeros, and where that ends: what is never touched
 * takes no memory of the host's, and reading it can change that.  false: the rest is zeros. */
bool vm_next_data(const struct vm *vm, uint64_t gpa, uint64_t *first, uint64_t *end);

#endif
