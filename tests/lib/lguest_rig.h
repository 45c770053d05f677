/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lguest_rig.h - an lguest guest of no kernel: plain memory, a real core, a real processor, and the
 * host under test; the test makes the guest's every move.
 *
 *   1. The map        where things are in the guest
 *   2. The rig        what a test may set, and what it finds afterwards
 *   3. Making         lgrig_new, lgrig_boot, lgrig_free
 *   4. Calls          lgrig_call (direct), lgrig_queue (ring)
 *   5. Memory         page tables as the guest writes them
 *   6. Touching       an access of ring 1 or 3, and what became of it
 *   7. Interrupts
 *
 * How to use it:
 *
 *	struct lgrig *rig = lgrig_new(LGUEST_F);
 *	lgrig_boot(rig);                                  // INIT, GDT, IDT, stack; the guest tells from here on
 *	uint32_t top = lgrig_space(rig);                  // a directory with the kernel's half
 *	lgrig_map(rig, top, 0x10000000, page | 0x67);     // writes the guest's entry; tells nobody
 *	lgrig_call(rig, LGCALL_NEW_PGTABLE, top, 0, 0, 0);
 *	lgrig_call(rig, LGCALL_SET_PTE, top, 0x10000000, page | 0x67, 0);
 *	assert_int_equal(lgrig_touch(rig, 0x10000000, UM_USER | UM_WRITE), LGRIG_DONE);
 *	lgrig_free(rig);
 *
 * Every operation runs guest instructions (INT 0x1F, a load, a store) until they are done, a handler of the
 * guest's is entered, or the guest ends; the core's invariants are checked after each (lgrig.audit).
 */
#ifndef TESTS_LGUEST_RIG_H
#define TESTS_LGUEST_RIG_H

#include "guest/lguest/lguest.h"

/* ---- 1. The map ----------------------------------------------------------------------------- */

#define LGRIG_MEM (16u << 20)           /* what e820 would say */
#define LGRIG_LIMIT (LGRIG_MEM + 0x4000u) /* four device pages above */
#define LGRIG_SPLIT 0xC0000000u         /* kernel_address; memory is mapped there, up to the limit */

/* Physical addresses. */
#define LGRIG_DATA 0x4000u              /* struct lguest_data */
#define LGRIG_TEXT 0x6000u              /* the kernel's few instructions */
#define LGRIG_USER 0x7000u              /* the programs' */
#define LGRIG_HANDLERS 0x8000u          /* 16 bytes for each vector */
#define LGRIG_SCRATCH 0xA000u           /* a page for a test's tables and strings */
#define LGRIG_STACK 0xC000u             /* two pages */
#define LGRIG_STACK_END 0xE000u
#define LGRIG_BOOT_DIR 0x10000u         /* identity and alias */
#define LGRIG_SWAPPER 0x11000u          /* the alias only */
#define LGRIG_FREE 0x20000u             /* lgrig_page() gives from here up */

/* Virtual addresses. */
#define LGRIG_USER_TEXT 0x08048000u     /* in every space of lgrig_space() */
static inline uint32_t lgrig_va(uint32_t physical) { return LGRIG_SPLIT + physical; }

enum {
	LGCALL_FLUSH_ASYNC, LGCALL_INIT, LGCALL_SHUTDOWN, LGCALL_LOAD_GDT, LGCALL_NEW_PGTABLE, LGCALL_FLUSH_TLB,
	LGCALL_LOAD_IDT_ENTRY, LGCALL_SET_STACK, LGCALL_TS, LGCALL_SET_CLOCKEVENT, LGCALL_HALT,
	LGCALL_SET_MIDDLE = 13, LGCALL_SET_PTE, LGCALL_SET_PGD, LGCALL_LOAD_TLS, LGCALL_NOTIFY,
	LGCALL_LOAD_GDT_ENTRY, LGCALL_SEND_INTERRUPTS,
};

/* ---- 2. The rig ----------------------------------------------------------------------------- */

enum lgrig_result {
	LGRIG_DONE,      /* the instructions ran to their end: returned, mapped */
	LGRIG_REFLECTED, /* the guest's handler was entered: lgrig.frame */
	LGRIG_HALTED,
	LGRIG_ENDED,     /* lguest_ended(), lguest_reason() */
	LGRIG_NOMEM,     /* get_table() refused (lgrig.table_failures), and there was nothing left to evict */
	LGRIG_LOST,      /* none of these within bounds: a bug */
};

struct lgrig_frame { /* what the host pushed for a handler */
	unsigned vector;
	bool has_error, from_user;
	uint32_t error, eip, cs, eflags, esp, ss;
};

struct lgrig_config {
	enum lguest_family family;     /* that the guest speaks */
	bool forced;                   /* the host is told, else it has to recognise it */
	bool trap_gates;               /* exceptions through trap gates, as 2.6.24 has them */
	uint32_t um_options, cpu_options, max_roots, max_tables, prefetch;
	uint32_t tsc_khz;
};

struct lgrig {
	struct lgrig_config config;
	enum lguest_family family;
	struct lguest *lg;
	struct cpu *cpu;
	struct um *um;
	uint8_t *ram;                  /* LGRIG_LIMIT bytes; write with lgrig_store() */
	bool audit;                    /* um_audit() after every operation (true) */
	bool by_ring;                  /* lgrig_call() of what a guest may queue: queued, then flushed (false) */
	uint64_t now;                  /* ns, the guest's clock */
	uint32_t seconds, nanoseconds; /* wall clock */
	/* found afterwards */
	struct lgrig_frame frame;
	unsigned borrowed;             /* pages that the core holds */
	unsigned tables;               /* its tables' memory */
	int table_failures;            /* get_table() fails that often; -1: always */
	unsigned fail_table;           /* from the n-th get_table() on, table_failures becomes -1; 0: never */
	uint32_t device;               /* a NOTIFY of this address is a device's, 0: none */
	unsigned notified, said;       /* times it was; characters of text */
	char text[256];
	/* the rig's own */
	void *um_memory;
	uint32_t next_page, space, slot, landing;
	bool booted;
};

/* ---- 3. Making ------------------------------------------------------------------------------ */

struct lgrig *lgrig_new(enum lguest_family family);               /* all optimisations, forced */
struct lgrig *lgrig_new_with(const struct lgrig_config *config);
void lgrig_free(struct lgrig *rig);                               /* checks that nothing is still held */
/* INIT, descriptors, handlers for all vectors, stack, page tables until the guest is known to tell; then a first
 * space is in force (lgrig.space). */
void lgrig_boot(struct lgrig *rig);
/* Its parts, for tests that break them: INIT as the family does it; the rest. */
enum lgrig_result lgrig_init(struct lgrig *rig);
void lgrig_fill_data(struct lgrig *rig); /* a fresh struct lguest_data at LGRIG_DATA */

/* ---- 4. Calls ------------------------------------------------------------------------------- */

/* From ring 1, arguments in the family's registers, by its instruction. */
enum lgrig_result lgrig_call(struct lgrig *rig, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4);
/* Into the next slot of the ring; false: that slot is not free. */
bool lgrig_queue(struct lgrig *rig, uint32_t number, uint32_t a1, uint32_t a2, uint32_t a3, uint32_t a4);

/* ---- 5. Memory ------------------------------------------------------------------------------ */

/* As the guest's own stores to physical memory: tables that are tracked are seen to change. */
void lgrig_store(struct lgrig *rig, uint32_t gpa, const void *bytes, uint32_t count);
void lgrig_put(struct lgrig *rig, uint32_t gpa, uint32_t word);
uint32_t lgrig_get(const struct lgrig *rig, uint32_t gpa);
uint32_t lgrig_page(struct lgrig *rig);   /* a fresh page of zeroes, physical */
uint32_t lgrig_space(struct lgrig *rig);  /* a fresh directory: the kernel's half, and LGRIG_USER_TEXT */
/* Where the entry of gva is, physical; makes the page table (entry 0x67 in the directory) if there is none. */
uint32_t lgrig_entry(struct lgrig *rig, uint32_t top, uint32_t gva);
void lgrig_map(struct lgrig *rig, uint32_t top, uint32_t gva, uint32_t pte);
/* A field of struct lguest_data that is at the same offset in all families. */
enum { LGDATA_IRQ_ENABLED = 0, LGDATA_BLOCKED = 4, LGDATA_CR2 = 8, LGDATA_SECONDS = 12, LGDATA_NANOSECONDS = 16,
       LGDATA_IRQ_PENDING = 20 /* D and later */ };
uint32_t lgrig_data(const struct lgrig *rig, unsigned offset);

/* ---- 6. Touching ---------------------------------------------------------------------------- */

/* A load, or a store with UM_WRITE, of one byte; with UM_USER from ring 3. */
enum lgrig_result lgrig_touch(struct lgrig *rig, uint32_t gva, unsigned access);
/* One instruction in ring 1 or 3 (its bytes), with registers as they are. */
enum lgrig_result lgrig_execute(struct lgrig *rig, unsigned ring, const void *code, unsigned bytes);
/* Go on after LGRIG_NOMEM. */
enum lgrig_result lgrig_resume(struct lgrig *rig);
#define LGRIG_EXECUTE(rig, ring, ...)                                                                  \
	lgrig_execute((rig), (ring), (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))

/* ---- 7. Interrupts -------------------------------------------------------------------------- */

/* lguest_poll(); LGRIG_REFLECTED: a handler has been entered. */
enum lgrig_result lgrig_poll(struct lgrig *rig);

#endif
