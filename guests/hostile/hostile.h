/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/hostile.h - a guest that does what no decent one does, and notes to the last bit what came of it.
 *
 *   attempt.c, enter.S a few instructions from any ring, in any state, and what they came to: one number for many
 *   tables.c        descriptors of all kinds, an address space with holes
 *   segments.c      selectors, far transfers
 *   system.c        instructions that are not everybody's
 *   stack.c         stacks at the end of the world
 *   self.c          code that changes under itself
 *   memory.c        addresses of all forms, strings
 *   steps.c         single steps, breakpoints, long instructions
 *   control.c       modes and tables that change while they are in use
 *   faults.c        floating point that traps, gates that lead nowhere
 *   timer.c         interrupts in the middle of computations
 *   snippets.S      what does not go into a string
 *   main.c          set-up, TAP, the end
 *
 * There is no verdict in here: two processors are alike if they print the same (tests/guests/hostile.sh).  So nothing
 * that the manual leaves undefined may be noted.
 */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "guests/common/guest.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- tables.c ------------------------------------------------------------------------------- */

enum {
	CODE1 = 0x31, DATA1 = 0x39, CODE2 = 0x42, DATA2 = 0x4A,
	TLS = 0x53,        /* user data: a base, 4 GiB */
	SHORT = 0x5B,      /* ... a base, one page */
	DOWN = 0x63,       /* ... expand-down: from DATA's second page on */
	STACK16 = 0x6B,    /* ... B = 0, at STACK */
	BASED = 0x73,      /* ... 4 GiB at STACK */
	CODE3_LONG = 0x7B, /* code with L set */
	CODE0_LONG = 0x80,
	GATE = 0x8B,       /* a call gate to gate_target */
	CODE3_16 = 0x93,
	LDT = 0x98,        /* four descriptors */
	CONFORMING = 0xA0,
	KINDS = 0x100,     /* from here on: each type, DPL 0 or 3, present or not */
	KINDS_COUNT = 128,
	GDT_END = KINDS + KINDS_COUNT * 8,
};

#define CODE 0x40000000u      /* two pages that ring 3 may write and run; the next is missing */
#define DATA 0x40004000u      /* four pages; a missing one, a read-only one, a kernel's, one more */
#define MISSING 0x40008000u
#define READ_ONLY 0x40009000u
#define KERNELS 0x4000A000u
#define LAST_DATA 0x4000B000u
#define STACK 0x40010000u     /* two pages, with nothing on either side */
#define STACK_TOP 0x40012000u
#define ALIAS 0x40020000u     /* the code's two pages again */
#define TOP 0xFFFFE000u       /* two pages at the end of all addresses; and page 0 */
#define TABLES 0x50000000u    /* the directory, then the user table: ring 3's after give_tables() */
#define DEEP 0x60000000u      /* 4 MiB of stack */

#define USER_FRAMES 24u
enum { FRAME_CODE = 0, FRAME_DATA = 4, FRAME_STACK = 16, FRAME_TOP = 18, FRAME_ZERO = 20, FRAME_SPARE = 21 };
extern uint8_t frames[USER_FRAMES][PAGE];
extern volatile uint32_t directory[1024], user_table[1024];
void tables_start(void);
/* User pages as at the start: entries, and contents. */
void tidy_up(void);
void give_tables(void);
uint32_t frame_address(unsigned n);
/* Leaf entry of a page at CODE..., with nothing flushed. */
static inline volatile uint32_t *user_entry(uint32_t address) { return &user_table[address >> 12 & 1023]; }

/* ---- attempt.c ------------------------------------------------------------------------------ */

/* The order is enter.S's. */
struct context {
	uint32_t eax, ecx, edx, ebx, ebp, esi, edi, esp, eip, eflags;
	uint32_t cs, ss, ds, es, fs, gs;
};

struct outcome {
	uint32_t vector, error, cr2;
	struct context at;
};

/* What ring 3 starts with: at CODE, a stack at STACK_TOP. */
extern const struct context user_context, kernel_context;
/* The instructions, at `address`, which is where c->eip leads; INT 0x80 after them. */
void put_code(uint32_t address, const void *bytes, unsigned count);
#define PUT(s) put_code(CODE, s, sizeof(s) - 1)
/* Until the first exception; INT 0x80 is the usual one.  Noted. */
struct outcome attempt(const struct context *c);
/* While single-stepped, #DB is noted and goes on. */
extern bool stepping;
/* Interrupts that go on: counted, not noted. */
extern volatile uint32_t interrupts;

/* Of EFLAGS; what the manual leaves undefined after an instruction is not to be among them. */
extern uint32_t noted_flags;
#define STATUS_FLAGS 0x8D5u

void note(uint32_t word);
void note_memory(uint32_t address, uint32_t bytes);
/* A result: everything noted since the last one. */
void told(const char *what);
extern bool verbose;

uint32_t random(void);

/* ---- The tests ------------------------------------------------------------------------------ */

void segments(void), far_transfers(void), system_instructions(void), stacks(void), self_changes(void),
	addresses(void), strings(void), single_steps(void), breakpoints(void), long_instructions(void),
	alignment(void), modes(void), changing_tables(void), timer(void), calls(void), floating_point(void), delivery(void);

#endif
