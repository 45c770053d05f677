/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/hello.h - a small kernel to read and to boot: what each file gives the others.
 *
 * The kernel lives below 1 GiB, where all memory is mapped at its own address for ring 0 only.  A
 * process has 1 GiB to 2 GiB for itself: text and data at USER_BASE, a heap behind them, a stack at the
 * end.  Nothing of it is there before it is touched.
 *
 *   boot: start.S -> main.c -> memory.c, paging.c, trap.c, timer.c, process.c -> shell.c
 */
#ifndef HELLO_H
#define HELLO_H

#include "guests/common/guest.h"

/* ---- the map -------------------------------------------------------------------------------- */

#define MEMORY_MAX 0x10000000u /* more than 256 MiB we leave alone */
#define USER_BASE 0x40000000u  /* as in guest.ld */
#define USER_TOP 0x80000000u
#define HEAP_BYTES 0x100000u
#define STACK_BYTES 0x40000u

/* Laid down by guest.ld. */
extern char image_start[], text_end[], image_end[];
extern char user_load[], user_start[], user_text_end[], user_data_end[], user_end[];

/* ---- memory.c: frames ----------------------------------------------------------------------- */

void memory_start(uint32_t top);
uint32_t take_frame(void);            /* zeroed, one owner; 0: none left */
void share_frame(uint32_t frame);     /* one more owner */
void release_frame(uint32_t frame);   /* one less; free after the last */
unsigned frame_owners(uint32_t frame);
uint32_t frames_total(void), frames_free(void);

/* ---- paging.c: address spaces --------------------------------------------------------------- */

struct process;

#define PTE_COW 0x200u /* ours to use (bits 9-11): writable once it is copied */

void paging_start(uint32_t top);
uint32_t kernel_directory(void);
uint32_t new_directory(void); /* 0: no memory */
void free_directory(uint32_t directory);
uint32_t copy_directory(uint32_t directory); /* the user half, copy on write; 0: no memory */
/* The entry for a user address, or NULL: no table there. */
uint32_t *find_entry(uint32_t directory, uint32_t address);
/* Is this address part of what a process may have? */
bool is_user_range(uint32_t address, uint32_t bytes);
/* A page fault of `p`.  false: it asked for what it may not have. */
bool resolve_fault(struct process *p, uint32_t address, uint32_t error);
void print_tables(uint32_t directory);

/* ---- process.c ------------------------------------------------------------------------------ */

enum state { STATE_FREE, STATE_READY, STATE_ASLEEP, STATE_WAITING, STATE_ENDED };
#define PROCESSES 8

struct process {
	enum state state;
	unsigned pid, parent;
	uint32_t directory;
	uint32_t stack;             /* frame of its kernel stack */
	uint32_t esp;               /* where switch_stacks() left it */
	uint32_t wake;              /* tick at which a sleeper goes on */
	uint32_t ticks;             /* timer ticks that hit it */
	uint32_t demand, cow;       /* page faults that became pages, copies */
	uint32_t recover;           /* where it goes on after a fault of its own fault, once */
	int status;
};

extern struct process processes[PROCESSES];
extern struct process *current; /* processes[0] is the kernel itself */

void processes_start(void);
struct process *start_process(uint32_t argument); /* NULL: no room */
int wait_for(struct process *p);                  /* its status; the process is gone then */
void end_current(int status);
void schedule(void);                              /* another that is ready goes on, if one is */
void idle(void);                                  /* let others run, or sleep */
void processes_tick(bool from_user);
void system_call(struct trap_frame *f);

/* ---- timer.c, keys.c ------------------------------------------------------------------------ */

#define HZ 100u
extern volatile uint32_t ticks;
void timer_start(void);
void end_of_interrupt(unsigned line);
void keys_start(void);
void keys_interrupt(void);
int next_key(void); /* -1: none */

/* ---- check.c, shell.c ----------------------------------------------------------------------- */

void report(const char *what, bool ok);
bool self_check(void); /* prints a line each; true: all is well */
/* Touch an address from ring 0; the page fault's error code, or -1: no fault. */
int probe_read(uint32_t address);
int probe_write(uint32_t address);
bool probe_recover(struct trap_frame *f); /* was this fault a probe's? */
void shell(void);

/* What a process starts with in EAX. */
enum { RUN_CHECKS, RUN_WORKER };

#endif
