/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/family.h - what differs between the families of the lguest interface, as data.
 *
 *   1. Numbers of the interface that all families share
 *   2. struct family
 */
#ifndef PV_FAMILY_H
#define PV_FAMILY_H

#include <stdbool.h>
#include <stdint.h>

/* ---- 1. Numbers ----------------------------------------------------------------------------- */

enum hypercall {
	CALL_FLUSH_ASYNC,
	CALL_INIT,
	CALL_SHUTDOWN, /* B: crash */
	CALL_LOAD_GDT, /* B, C */
	CALL_NEW_PGTABLE,
	CALL_FLUSH_TLB,
	CALL_LOAD_IDT_ENTRY,
	CALL_SET_STACK,
	CALL_TS,
	CALL_SET_CLOCKEVENT,
	CALL_HALT,
	CALL_SET_PMD = 13, /* the middle level, of PAE guests */
	CALL_SET_PTE,
	CALL_SET_PGD, /* B, C call it SET_PMD */
	CALL_LOAD_TLS,
	CALL_NOTIFY,           /* B to F */
	CALL_LOAD_GDT_ENTRY,   /* D to G */
	CALL_SEND_INTERRUPTS,  /* D to G */
};
enum { SHUTDOWN_POWER_OFF = 1, SHUTDOWN_RESTART = 2 };

enum { RING_SLOTS = 64, RING_FREE = 0xFF, RING_PENDING = 0 };
enum { SLOT_WORDS_MAX = 5, ARGUMENTS_MAX = 4 };
enum { DATA_BYTES_MAX = 1396 };

/* The same in every family: the first words of struct lguest_data. */
enum { DATA_IRQ_ENABLED = 0, DATA_BLOCKED = 4, DATA_CR2 = 8, DATA_SECONDS = 12, DATA_NANOSECONDS = 16 };

/* ---- 2. struct family ----------------------------------------------------------------------- */

/* Registers as raw_hypercall() takes them. */
enum reg { REG_EAX, REG_EBX, REG_ECX, REG_EDX, REG_ESI, REG_EDI, REG_EBP, REGS };

/* What the address space is at entry. */
enum tables {
	TABLES_IDENTITY, /* virtual = physical: the guest adds its kernel's alias */
	TABLES_ALIASED,  /* both are there */
	TABLES_NONE,     /* virtual = physical without any tables, until the first NEW_PGTABLE */
};
enum devices { DEVICES_FORMAT_1, DEVICES_FORMAT_2, DEVICES_PCI };

/* Read before there are page tables as well: no pointers in it.  An offset of 0: not there. */
struct family {
	char name[3];
	uint8_t tables, devices;
	bool vmcall;             /* the call instruction, else int 0x1F */
	bool gdt_entries;        /* LOAD_GDT_ENTRY, else LOAD_GDT */
	bool trap_gates;         /* exceptions through trap gates, most of them */
	bool silent_edits;       /* page-table entries of inactive tables are edited without a call */
	bool iret_only;          /* noirq_iret, else noirq_start and noirq_end */
	uint8_t arguments;
	uint8_t argument[ARGUMENTS_MAX]; /* enum reg */
	uint8_t slot_words;
	uint8_t slot[SLOT_WORDS_MAX]; /* what each word holds: 0 the call, n argument n */
	uint16_t irq_pending, status, calls, reserve, tsc_khz, pgdir;
	uint16_t noirq_start, noirq_end, noirq_iret, kernel_address, syscall_vec, size;
};

enum { FAMILIES = 7, FAMILY_DEFAULT = 4 };
#pragma GCC visibility push(hidden)
extern const struct family families[FAMILIES];
#pragma GCC visibility pop

#endif
