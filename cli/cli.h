/* SPDX-License-Identifier: MIT */
/*
 * cli/cli.h - the inside of the program: its index.
 *
 *   main.c        the verbs
 *   run.c         umbra run
 *   check.c       ... with -engine check
 *   options.c     its options: one table for parsing and for --help
 *   options_*.c   ... those of devices, those of the microscope, those of QEMU that are not here
 *   terminal.c    raw mode, and back on every way out; signals
 *   escape.c      Ctrl-A: leaving, the monitor, help
 *   line.c        the monitor's line: editing, history, names completed
 *   replay.c      umbra replay
 *   monitor.c     umbra monitor
 *   trace.c       umbra trace
 *   guest.c       asking a running guest, for these
 *   pt.c          umbra pt
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "cli/line.h"
#include "scope/check.h"
#include "scope/gdb.h"
#include "scope/scope.h"
#include "scope/stats.h"
#include "scope/trace.h"
#include "vmm/vmm.h"

/* ---- Exit statuses: even ones are umbra's, odd ones the guest's (isa-debug-exit) ------------- */

enum {
	STATUS_OK = 0,        /* powered off, or left on request */
	STATUS_USAGE = 2,     /* the command line */
	STATUS_START = 4,     /* the image, or what the host refused before the guest ran */
	STATUS_SHUTDOWN = 6,  /* triple fault */
	STATUS_REFUSED = 6,   /* umbra monitor: the command failed */
	STATUS_STUCK = 8,     /* halted or looping for ever with interrupts off */
	STATUS_HOST = 10,     /* the host's resources ended while the guest ran */
	STATUS_HANGUP = 12,   /* the console went away */
	STATUS_CRASHED = 14,  /* a paravirtual guest reported its own crash */
	STATUS_KILLED = 16,   /* ... or broke the interface that it runs on */
	STATUS_DIFFERS = 18,  /* a replay came to something else than was recorded, an engine to something else
	                       * than the other (-engine check) */
	STATUS_REPORTED = 20, /* -check LIST,fatal: something was reported */
};

/* ---- options.c ------------------------------------------------------------------------------ */

enum serial { SERIAL_MON_STDIO, SERIAL_STDIO, SERIAL_NULL, SERIAL_FILE };

/* What -machine asks for; auto: by the image. */
enum machine_choice { MACHINE_AUTO, MACHINE_PC, MACHINE_LGUEST };

#define MODULES_MAX 64u
#define DRIVE_PATH_MAX 1024u

struct run_options {
	const char *kernel, *initrd, *append;
	const char *module[MODULES_MAX]; /* "FILE ARGS" each */
	unsigned module_count;
	uint64_t ram_bytes;
	enum serial serial;
	const char *serial_path;
	bool monitor_stdio;
	bool no_reboot, no_shutdown, paused, keep_packed;
	unsigned log_mask;
	const char *log_path, *record_path;
	bool traced;
	struct trace_options trace;
	uint16_t debug_exit_port;
	enum stats stats;
	bool hypercalls;
	enum machine_choice machine;
	enum lguest_family family;
	struct vm_drive drive[VM_DRIVES_MAX];
	char drive_path[VM_DRIVES_MAX][DRIVE_PATH_MAX];
	unsigned drives;
	bool snapshot;
	const char *net[VM_NETS_MAX];
	unsigned nets;
	uint32_t tables, roots, prefetch;
	enum vm_engine engine;
	uint32_t um_options, cpu_options, vm_options, direct_options;
	uint32_t worlds, mappings; /* the direct engine's */
	bool no_confine;           /* ... may make system calls */
	struct scope_config scope;
	unsigned checks;           /* -check: enum check_bit; 0: none */
	bool check;                /* both engines, compared */
	uint64_t check_every, check_from;
	unsigned watchdog_seconds;
	bool help;
};

/* false: error says why, one line. */
bool parse_run_options(int argc, char **argv, struct run_options *o, struct guest_error *error);
void print_run_help(FILE *to);

/* For the functions behind options: always false, error says why. */
struct parse {
	struct run_options *o;
	struct guest_error *error;
};
bool refuse_option(struct parse *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- options_devices.c ---------------------------------------------------------------------- */

bool set_machine(struct parse *p, const char *value);
bool set_drive(struct parse *p, const char *value);
bool set_hda(struct parse *p, const char *value);
bool set_snapshot(struct parse *p, const char *value);
bool set_nic(struct parse *p, const char *value);
bool set_hypercalls(struct parse *p, const char *value);

/* ---- options_qemu.c ------------------------------------------------------------------------- */

bool accept_option(struct parse *p, const char *value);
bool accept_none(struct parse *p, const char *value);
bool accept_vga(struct parse *p, const char *value);
bool accept_accelerator(struct parse *p, const char *value);
bool accept_clock(struct parse *p, const char *value);
/* Why there is no such option, place of -serial, item of -d, though QEMU has it.  NULL: nothing is known of it. */
const char *why_no_option(const char *name, size_t length);
const char *why_no_place(const char *place);
const char *why_no_item(const char *item, size_t length);

/* ---- options_scope.c ------------------------------------------------------------------------ */

bool set_monitor(struct parse *p, const char *value);
bool set_qmp(struct parse *p, const char *value);
bool set_gdb(struct parse *p, const char *value);
bool set_gdb_default(struct parse *p, const char *value);
bool add_symbols(struct parse *p, const char *value);
/* Can somebody steer the guest from outside the terminal? */
bool has_remote(const struct run_options *o);

/* ---- run.c ---------------------------------------------------------------------------------- */

int run_verb(int argc, char **argv);

/* ---- check.c -------------------------------------------------------------------------------- */

/* A second machine for the portable engine, made as `config` says.  NULL: error says why. */
struct vm *new_judge(const struct vm_config *config, struct guest_error *error);
/* Both to the end, or to the first difference; says which on standard error. */
enum vm_end run_check(struct vm *vm, struct vm *judge, const struct run_options *o);

/* ---- terminal.c ----------------------------------------------------------------------------- */

/* Raw mode if `in` is a terminal (raw_signals: Ctrl-C and its like go to the guest too); signals that end
 * the program kick `vm`. */
void open_terminal(struct vm *vm, int in, bool raw_signals);
/* May it be read now?  In the background it is another's, neither read nor changed; back in the foreground it becomes raw
 * again.  `user`: nobody's (it is a vm_console's). */
bool take_terminal(void *user);
void restore_terminal(void);
void close_terminal(void); /* ... and the vm is about to go */
/* Put the terminal back on a crash.  Before there is a vm: its engine passes on the signals that are not its own. */
void catch_crashes(void);
/* The signal that asked us to leave, or 0. */
int pending_signal(void);

/* ---- escape.c ------------------------------------------------------------------------------- */

struct escape {
	struct vm *vm;
	struct scope *scope; /* whose monitor it is */
	int out;            /* its answers */
	bool enabled;       /* Ctrl-A means something */
	bool no_monitor;    /* ... but there is no monitor: it would change one of two machines */
	bool pending;       /* Ctrl-A was pressed */
	bool monitor;       /* what is typed is the monitor's */
	bool elsewhere;     /* the guest's console is another file than `out` */
	bool monitor_only;  /* -monitor stdio: there is no guest console to go back to */
	struct line line;
};
size_t escape_filter(void *user, uint8_t *bytes, size_t count);
void open_monitor(struct escape *e);
/* Whoever writes next begins a line. */
void end_line(struct escape *e);
void say(struct escape *e, const char *text);

/* ---- guest.c -------------------------------------------------------------------------------- */

/* A socket, or its address (unix:PATH, tcp:HOST:PORT). */
bool is_guest(const char *what);
/* One line of its monitor's.  Returns an exit status; what went wrong is said on standard error. */
int ask_guest(const char *socket, const char *line, struct text *out);
int ask_guest_for_page(const char *socket, const char *path);

/* ---- trace.c -------------------------------------------------------------------------------- */

int trace_verb(int argc, char **argv);
void print_trace_help(FILE *to);

/* ---- replay.c ------------------------------------------------------------------------------- */

int replay_verb(int argc, char **argv);
void print_replay_help(FILE *to);

/* ---- monitor.c ------------------------------------------------------------------------------ */

int monitor_verb(int argc, char **argv);
void print_monitor_help(FILE *to);
/* ---- pt.c ----------------------------------------------------------------------------------- */

int pt_verb(int argc, char **argv);
void print_pt_help(FILE *to);

#endif
