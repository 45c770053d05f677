/* SPDX-License-Identifier: MIT */
/*
 * guests/access/access.h - the access suite: every combination of page-table bits against every kind of
 * access, and the rules of when a change counts, judged inside the guest.
 *
 *   model.c         what the manual says an access comes to
 *   probe.c, .S     making one access, from ring 0 or 3, and seeing what it came to
 *   combinations.c  all bits x all accesses x all modes
 *   rules.c         sequences: flushing, marks; rules_tables.c: tables; rules_pages.c: pages
 *   main.c          set-up, TAP, the end
 *
 * Prints TAP on the serial line; the debug exit's value is 0 if all passed.
 */
#ifndef ACCESS_H
#define ACCESS_H

#include "guests/common/guest.h"

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH, ACCESSES };

/* ---- model.c -------------------------------------------------------------------------------- */

/* Which modes and entries an access meets. */
struct question {
	bool wp, pse;
	uint32_t pde, pte;
	enum access access;
	bool user;
};

struct verdict {
	bool fault, large;
	uint32_t error;    /* of the fault */
	uint32_t pde, pte; /* the entries afterwards */
	uint32_t optional; /* bits of pde that may or may not be set beyond that */
};

struct verdict judge(const struct question *q);
/* Error codes alike?  QEMU (7.2) reports a reserved bit without FAULT_P, which the manual excludes; the
 * command line's word `lenient-rsvd` lets that pass. */
extern bool lenient_rsvd;
bool same_error(uint32_t found, uint32_t expected);

/* ---- probe.c -------------------------------------------------------------------------------- */

struct outcome {
	bool fault;
	uint32_t error, address; /* of the fault */
	uint32_t value;          /* what was read */
};

void probe_start(void);
/* One access at `address`; `value` is what a write writes. */
struct outcome probe(enum access access, bool user, uint32_t address, uint32_t value);

/* ---- main.c: the address space -------------------------------------------------------------- */

#define SPAN 0x400000u           /* of one directory entry; the first is 1:1 for ring 0 */
#define USER_AREA 0x80000000u    /* code and stack of ring 3 accesses */
#define TEST_AREA 0x40000000u    /* one directory entry, the one under test */
#define LARGE_FRAME 0x800000u    /* 4 MiB of memory for large pages, also mapped 1:1 */
#define TABLE_WINDOW 0xC0000000u /* the directory as its own table */
#define AT(n) (TEST_AREA + (n) * PAGE)

/* Volatile: the processor reads and marks them behind the compiler's back, mappings alias them. */
extern volatile uint32_t directory[1024], test_table[1024];
/* Pages to be mapped: each begins with RET, and holds its own number at PAGE_NUMBER. */
#define PAGES 4u
extern uint8_t pages[PAGES][PAGE];
enum { PAGE_CODE = 0, PAGE_NUMBER = 8, PAGE_SCRATCH = 16 };
#define NUMBER_OF(n) (0x5EED0000u + (n))
#define LARGE_NUMBER 0x1A46E000u

static inline volatile uint32_t *test_entry(void)
{
	return &directory[TEST_AREA >> 22];
}

/* TAP */
void ok(bool good, const char *what);
void ok_count(unsigned wrong, const char *what, uint32_t count);

/* ---- combinations.c, rules*.c --------------------------------------------------------------- */

void combinations(void);

struct rule {
	const char *name;
	bool (*holds)(void);
};
void try_rules(const struct rule *list, unsigned count);
void rules_of_flushing(void), rules_of_tables(void), rules_of_pages(void);

#define RW (PTE_P | PTE_W)
#define RWU (PTE_P | PTE_W | PTE_U)
extern volatile uint32_t spare_table[1024];

uint32_t page(unsigned n);                     /* where page n is */
bool reads(uint32_t address, uint32_t value);  /* ring 0 reads this there */
bool shows(uint32_t address, unsigned n);      /* page n is mapped there */
bool writes(uint32_t address);                 /* ring 0 may write there */
bool faults(enum access access, bool user, uint32_t address, uint32_t error);

#endif
