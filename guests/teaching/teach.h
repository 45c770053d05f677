/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/teach.h - what the teaching guests share: a first address space, and a way to say what came of it.
 *
 *   1. Accesses    one load or store each, with a name that a report can show
 *   2. Paging      memory, tables, mappings
 *   3. Ring 3
 *   4. Verdict     what was expected, what we got, the end
 *
 * Each guest is one file with one bug in it.  Started with the word `fixed` it does the same without.
 */
#ifndef GUESTS_TEACHING_TEACH_H
#define GUESTS_TEACHING_TEACH_H

#include "guests/common/guest.h"

/* ---- 1. Accesses ---------------------------------------------------------------------------- */

/* Exactly one instruction, whose address has a name in the symbol table.  Each name once in a program. */
#define LOAD(name, address)                                                                        \
	({                                                                                         \
		uint32_t loaded_;                                                                  \
		__asm__ volatile(".globl " #name "\n" #name ": movl (%1), %0"                      \
				 : "=r"(loaded_)                                                   \
				 : "r"((uint32_t)(address))                                        \
				 : "memory");                                                      \
		loaded_;                                                                           \
	})
#define STORE(name, address, value)                                                                \
	__asm__ volatile(".globl " #name "\n" #name ": movl %1, (%0)"                              \
			 :                                                                         \
			 : "r"((uint32_t)(address)), "r"((uint32_t)(value))                        \
			 : "memory")
#define LOAD_CR3(name, directory)                                                                  \
	__asm__ volatile(".globl " #name "\n" #name ": movl %0, %%cr3"                             \
			 :                                                                         \
			 : "r"((uint32_t)(directory))                                              \
			 : "memory")

/* ---- 2. Paging ------------------------------------------------------------------------------ */

#define ENTRIES 1024u
#define TABLE_SPAN (ENTRIES * PAGE) /* what one directory entry covers: 4 MiB */
#define SLOT(address) ((uint32_t)(address) / TABLE_SPAN)
#define INDEX(address) ((uint32_t)(address) / PAGE % ENTRIES)

/* The kernel's directory: the first 4 MiB at their own addresses, ring 0, writable. */
extern uint32_t kernel_directory[ENTRIES], kernel_table[ENTRIES];

/* A page of zeroes out of 2 MiB .. 3 MiB.  (Frame and address are the same there.) */
uint32_t *new_page(void);
/* The entry for `address`, with a table of its own if there is none yet. */
uint32_t *entry_of(uint32_t *directory, uint32_t address);
/* Map it: `flags` in the page table's entry, and U and W in the directory's too. */
void map(uint32_t *directory, uint32_t address, uint32_t frame, uint32_t flags);
/* Console, traps, kernel_directory in CR3, paging with CR0.WP. */
void start_paging(void);

/* ---- 3. Ring 3 ------------------------------------------------------------------------------ */

/* Go to ring 3; it comes back by INT 0x80 to `call`, or by a fault to the verdict. */
_Noreturn void enter_user(const char *eip, void (*call)(struct trap_frame *f));

/* ---- 4. Verdict ----------------------------------------------------------------------------- */

/* From now on page faults are asked about: true, the access is tried again. */
void on_page_fault(bool (*repair)(uint32_t address));
/* Say what should come next.  A fault that comes instead is reported as what we got, and ends the guest. */
void expect(const char *what);
/* ... or this is what came; ends the guest. */
_Noreturn void got(const char *what, bool as_expected);
/* ... or this word. */
_Noreturn void got_value(const char *what, uint32_t value, uint32_t expected);

#endif
