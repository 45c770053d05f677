/* SPDX-License-Identifier: MIT */
/*
 * scope/check.h - checks of what a guest does with its page tables: the missing-flush detector and its relatives.
 *
 *   1. What to check    the words of -check
 *   2. Life             attached to a vm, or to the parts of one
 *   3. What was found   as text, as JSON
 *
 * A check judges by the manual (Intel SDM vol. 3, chapter 4), or by what no kernel means; docs/SCOPE.md has each rule.  Each
 * place at fault is reported once, when it is first met.  Observing never steers: the guest does what it would do
 * unobserved, on the portable engine.
 */
#ifndef SCOPE_CHECK_H
#define SCOPE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <umbra/shadow.h>

struct check;
struct cpu;
struct cpu_access;
struct symbols;
struct text;
struct vm;

/* ---- 1. What to check ----------------------------------------------------------------------- */

enum check_bit {
	CHECK_TLB = 1u << 0,    /* a translation used that was changed and not flushed */
	CHECK_RSVD = 1u << 1,   /* bits set that are reserved or mean something else */
	CHECK_BEYOND = 1u << 2, /* a mapping used that leads to neither memory nor a device */
	CHECK_ALIAS = 1u << 3,  /* user code can write page tables */
	CHECK_WX = 1u << 4,     /* the kernel runs code in a writable page, although it protects its code */
	CHECK_FREED = 1u << 5,  /* what is no table any more is still linked as one */
	CHECK_USER = 1u << 6,   /* user code tried a page of the kernel's */
	CHECK_STACK = 1u << 7,  /* the running stack is unmapped or made read-only */
	CHECK_HALF = 1u << 8,   /* a kernel entry that another directory has and this one lacks */
	CHECK_SLOT = 1u << 9,   /* tables looked for in a slot that is not the recursive one */
	CHECK_WP = 1u << 10,    /* ring 0 writes to a read-only page while CR0.WP is clear */
	CHECK_ALL = (1u << 11) - 1,
	/* How: */
	CHECK_FATAL = 1u << 16, /* the run ends with the first report */
	CHECK_JSON = 1u << 17,  /* reports are JSON, one object a line */
};

/* The union of a list of words with commas between.  false: *bad is where the first unknown word begins. */
bool check_parse(const char *list, unsigned *what, const char **bad);
/* Word `k` of -check and its help, for tables of options; NULL: there are no more. */
const char *check_word(unsigned k, const char **help);

/* The core's options (enum um_opt) that would hide changes: a vm to be checked is made without them. */
#define CHECK_WITHOUT UM_OPT_UNSYNC

/* ---- 2. Life -------------------------------------------------------------------------------- */

/* The parts that are looked at.  `read`: guest-physical memory without side effects, bytes that are there. */
struct check_target {
	struct cpu *cpu;
	struct um *um;
	void *user;
	size_t (*read)(void *user, uint64_t gpa, void *buf, size_t bytes);
	uint64_t ram_bytes;
	bool paravirtual;                         /* the guest tells of its changes (lguest): no flushes to be missed */
	void (*stop)(void *user, const char *why); /* CHECK_FATAL; may be NULL */
};
struct check_config {
	unsigned what;                 /* enum check_bit; nothing but how: CHECK_ALL */
	const struct symbols *symbols; /* may be NULL, and filled later */
	FILE *to;                      /* where reports go as they are made; NULL: nowhere, they are kept */
};

/* From now on.  NULL: no memory, or the vm has too many observers. */
struct check *check_new(struct vm *vm, const struct check_config *config);
void check_free(struct check *check); /* NULL: nothing */
/* The guest has ended: what was waited for, in its favour, is reported.  true: with CHECK_FATAL, and there is any report. */
bool check_end(struct check *check);
#define CHECK_FATAL_WHY "check: something was reported (-check LIST,fatal)"

/* Without a vm: the caller passes on what the parts tell, check_access() as cpu_observer.translated. */
struct check *check_attach(const struct check_target *target, const struct check_config *config);
void check_event(struct check *check, const struct um_event *event);
bool check_access(struct check *check, const struct cpu_access *access);
void check_absent(struct check *check, bool write, um_gpa gpa, unsigned bytes);

/* ---- 3. What was found ---------------------------------------------------------------------- */

/* Places reported, and how often anything was found at all (a place may be met again and again). */
unsigned check_reports(const struct check *check, uint64_t *met);
/* All reports in order: as they were written, or one JSON object { "checks": [...], "reports": [...], "more": N }. */
void check_describe(const struct check *check, bool json, struct text *out);

#endif
