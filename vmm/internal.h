/* SPDX-License-Identifier: MIT */
/*
 * vmm/internal.h - the inside of a virtual machine: its index.
 *
 *   memory.c    guest memory, the core's callbacks, shadow tables' memory
 *   clock.c     time, as the guest has it
 *   board_*.c   what is around the processor (board.h)
 *   network.c   waiting for the networks' file descriptors
 *   engine.c    which engine runs the guest; what interrupts the direct one
 *   console.c   bytes between the serial port and two file descriptors
 *   log.c       -d: exceptions, decoded blocks, shadow events
 *   observe.c   who hears of shadow events, translations, interrupts, and of the run
 *   debug.c     a debugger: breakpoints, steps, stops
 *   descriptors.c file descriptors that others want watched
 *   check.c     two machines in lock-step, one by each engine
 *   saved.c     a machine's state as bytes, and back
 *   stuck.c     proof that a guest will never do anything again
 *   vm.c        making, loading, resetting, freeing
 *   run.c       the loop
 */
#ifndef VMM_INTERNAL_H
#define VMM_INTERNAL_H

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "vmm/board.h"
#include "record/record.h"
#include "vmm/vmm.h"

#define DEFAULT_TABLES 1024u  /* 20 MiB of shadow tables at most */
#define DEFAULT_ROOTS 64u
#define DEFAULT_PREFETCH 8u
#define TSC_HZ 1000000000u    /* the guest's time stamp counts nanoseconds */

#define RAM_MIN (1ull << 20)

#define EFLAGS_IF (1u << 9)

#define CONSOLE_OUT 65536u    /* output waiting for a slow terminal */
#define CONSOLE_IN 4096u      /* input waiting for the guest */

/* ---- The object ----------------------------------------------------------------------------- */

struct table_slab {
	uint8_t *base;
	uint32_t count;       /* tables in it: a hard bound */
	uint32_t fresh;       /* tables never handed out start here */
	uint32_t free_count;
	uint32_t *free_list;
};

struct console {
	struct vm_console fd; /* as given; `out` may have been opened anew, without blocking */
	bool own_out, in_tty, in_ended, socket_out, careful_out;
	bool spoken;          /* the guest has put something there, whether or not anybody reads it */
	bool gone;            /* the other end closed: nothing more can be said or heard */
	int error;            /* errno of what made it so, 0: closed */
	size_t out_head, out_count, in_head, in_count;
	bool mid_line;        /* the last byte said ends no line */
	uint8_t out[CONSOLE_OUT]; /* a ring */
	uint8_t in[CONSOLE_IN];   /* a ring */
};

struct vm {
	struct vm_config config;
	const struct board_ops *board;
	uint8_t *ram;
	uint64_t ram_bytes;   /* guest-physical memory, with what devices share above RAM */
	uint64_t mapped_bytes;
	bool a20;
	int ram_fd;           /* a memfd, when the direct engine may be wanted; -1: private memory */
	struct um_ops um_ops;
	void *um_memory;
	size_t um_bytes;
	struct um *um;
	struct recorder *recorder;
	struct cpu *cpu;
	struct direct *direct;        /* NULL: engine_why says why */
	enum vm_engine engine;        /* in use */
	char engine_why[128];
	sigset_t mask;                /* of the thread, before vm_run() */
	timer_t timer;                /* while vm_run() runs, if there is a direct engine */
	bool has_timer;
	uint64_t armed;               /* the host's time when it expires first; 0: it is not armed */
	atomic_int thread;            /* that vm_run() runs in, if there is a direct engine; 0: none */
	struct machine *machine;      /* board_pc.c's */
	struct lguest_board *lguest;  /* board_lguest.c's */
	struct net_backend *net[VM_NETS_MAX];
	unsigned nets;
	struct table_slab tables;
	struct console console;
	int wake;             /* eventfd: vm_kick() while asleep */
	atomic_bool kicked;
	bool paused;
	uint64_t now;         /* the guest's clock when it was last looked at, ns */
	uint64_t host_seen;   /* the host's then */
	uint64_t lag;         /* ns that the guest's clock has yet to make up */
	uint64_t sleep_end;   /* guest's time up to which it chose to sleep */
	uint64_t woke_at;     /* when it last came back from a sleep */
	unsigned idle_wakes;  /* wake-ups in a row after which the guest soon slept again */
	uint64_t outside;     /* calls that the guest made to the world: ports, absent memory, time */
	uint64_t quiet_since; /* since when interrupts were found off at every look; 0: they were on */
	uint64_t chance;      /* counted_time: what the next random numbers come from */
	uint64_t next_proof;  /* when to try the next proof of being stuck */
	const struct vm_observer *observer[VM_OBSERVERS_MAX];
	unsigned observers;
	const struct vm_listener *listener[VM_LISTENERS_MAX];
	unsigned listeners;
	bool reset_wanted;            /* vm_reset() */
	bool reset_anew;              /* ... of a machine whose end was kept */
	unsigned portable_holds;      /* who needs the portable engine: observers, a debugger */
	enum vm_engine unheld;        /* the engine to go back to when nobody does any more */
	const struct vm_debugger *debugger;
	bool debug_holds, stepping;
	bool pause_untold;            /* vm_pause() has paused it, and a debugger would like to know */
	bool end_is_shown, let_end;   /* to the debugger, or kept; the run ends with... */
	enum vm_end end_shown;
	struct vm_descriptor descriptor[VM_DESCRIPTORS_MAX];
	unsigned descriptors;
	const char *aborted;          /* vm_abort(): why, or NULL */
	char words[4096];
};

/* ---- memory.c ------------------------------------------------------------------------------- */

bool map_ram(struct vm *vm, struct guest_error *error);
void unmap_ram(struct vm *vm);
void empty_ram(struct vm *vm);
bool make_slab(struct table_slab *slab, uint32_t count);
void free_slab(struct table_slab *slab);
/* The callbacks, in vm->um_ops; tagged: the hardware may be the direct engine.  (event: observe.c) */
void make_um_ops(struct vm *vm, bool tagged);
/* Guest-physical memory as the bus sees it: A20 applied, absent memory reads as ones. */
uint64_t read_bus(struct vm *vm, um_gpa gpa, unsigned bytes);
void write_bus(struct vm *vm, um_gpa gpa, unsigned bytes, uint64_t value);
void set_a20(struct vm *vm, bool enabled);
/* All of RAM was replaced under the processor and the shadow. */
void ram_replaced(struct vm *vm);

/* ---- clock.c -------------------------------------------------------------------------------- */

uint64_t host_now(void);
uint64_t read_tsc(void *vm); /* what RDTSC returns: TSC_HZ a second */
uint64_t read_wall_clock(const struct vm *vm); /* ns since 1970 */

/* The host's ns, about, until the guest's clock has gone on by so many. */
uint64_t host_ns_for(const struct vm *vm, uint64_t guest_ns);

/* ---- engine.c ------------------------------------------------------------------------------- */

/* Is RAM to be something that the direct engine can map?  The reason if not goes to engine_why. */
bool wants_direct(struct vm *vm);
/* The direct engine, if it is wanted.  false: it is demanded, and cannot be. */
bool make_engine(struct vm *vm, struct guest_error *error);
void free_engine(struct vm *vm);
/* vm_run() begins and ends. */
void enter_engine(struct vm *vm);
void leave_engine(struct vm *vm);
enum cpu_exit run_engine(struct vm *vm, uint64_t budget, bool waiting);
/* From now on the portable engine, until as many have released it as held it. */
void hold_portable(struct vm *vm);
void release_portable(struct vm *vm);
void rest_engine(struct vm *vm);        /* about to sleep */
void interrupt_engine(struct vm *vm);   /* after cpu_kick(): from any thread, any signal handler */
/* The board has work earlier than it had: a timer was set by the guest. */
void deadline_moved(struct vm *vm);

/* ---- network.c ------------------------------------------------------------------------------ */

#define NETWORK_FDS 64u
struct pollfd;
/* What the networks wait for: file descriptors (at most `room`) and *timeout_ms, lowered. */
unsigned network_fill(struct vm *vm, struct pollfd *fds, unsigned room, int *timeout_ms);
void network_process(struct vm *vm, const struct pollfd *fds, unsigned count);
void network_pump(struct vm *vm); /* both, without waiting */

/* ---- console.c ------------------------------------------------------------------------------ */

void open_console(struct console *console, const struct vm_console *fd);
void close_console(struct console *console);
size_t console_put(struct console *console, const uint8_t *bytes, size_t count);
void console_flush(struct console *console);
/* Wait for the last output to go, as long as it moves. */
void console_drain(struct console *console, int patience_ms);
/* Read what is there, let the filter see it; give the guest what it takes; both. */
void console_read(struct vm *vm);
void console_feed(struct vm *vm);
void console_pump(struct vm *vm);
/* The window's size where the console is a terminal. */
bool console_size(const struct console *console, uint16_t *columns, uint16_t *rows);
bool console_listens(const struct console *console); /* more input may come */
bool console_ready(const struct console *console);   /* ... and may be read now */

/* ---- log.c ---------------------------------------------------------------------------------- */

void log_interrupt(struct vm *vm, unsigned vector, bool software, bool has_error, uint32_t error);
void log_block(void *vm, struct cpu *cpu, uint32_t eip);
void log_event(struct vm *vm, const struct um_event *event);
void log_absent(struct vm *vm, bool write, um_gpa gpa, unsigned bytes, uint64_t value);

/* ---- observe.c ------------------------------------------------------------------------------ */

/* What the log and the observers want to hear, and the engine that lets them. */
void apply_observers(struct vm *vm);
void tell_replaced(struct vm *vm);
void tell_change(struct vm *vm, enum vm_change change);
/* Guest-physical memory that is not there was accessed. */
void tell_absent(struct vm *vm, bool write, um_gpa gpa, unsigned bytes, uint64_t value);

/* ---- debug.c -------------------------------------------------------------------------------- */

void debug_paused(struct vm *vm);                   /* it is paused, by whomever */
bool debug_stopped(struct vm *vm);                  /* CPU_EXIT_DEBUG; false: there is no debugger */
bool debug_keeps(struct vm *vm, enum vm_end end);   /* shown to the debugger, or kept: the run does not end yet */
bool debug_ends(struct vm *vm, enum vm_end *end);   /* ... now it does */
void debug_forget_end(struct vm *vm);               /* the guest is another now */

/* ---- descriptors.c -------------------------------------------------------------------------- */

unsigned descriptors_fill(struct vm *vm, struct pollfd *fds);
/* Whoever's is ready is called; the order of `fds` is descriptors_fill()'s, if nobody came or went since. */
void descriptors_process(struct vm *vm, const struct pollfd *fds, unsigned count);
void descriptors_pump(struct vm *vm); /* both, without waiting */

/* ---- stuck.c -------------------------------------------------------------------------------- */

/* The guest has interrupts off: does it provably loop for ever?  Runs a few of its instructions; *exit is how
 * the last of them came out. */
bool prove_stuck(struct vm *vm, enum cpu_exit *exit);

/* ---- vm.c ----------------------------------------------------------------------------------- */

/* board_lguest.c: NULL on another board. */
struct lguest *board_lguest_host(const struct vm *vm);
bool reset_vm(struct vm *vm, struct guest_error *error);

#endif
