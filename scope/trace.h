/* SPDX-License-Identifier: MIT */
/*
 * scope/trace.h - what happens to the shadow, kept and written.
 *
 *   1. Records         struct trace_record: one thing that happened
 *   2. Filters         which of them are kept
 *   3. Collecting      trace_new, trace_start ... : from a running vm into a ring          (trace.c, trace_ring.c)
 *   4. Names           of EIPs, when they are written                                      (trace_kinds.c)
 *   5. Forms           a line of JSON, Chrome trace events, a row of a table               (trace_json.c, trace_chrome.c,
 *                                                                                            trace_table.c)
 *   6. Files           written while the guest runs, or at once                            (trace_file.c)
 *   7. Logs            records read back from a file, to be looked at                      (trace_log.c)
 *   8. Words           options and the monitor's command                                   (trace_options.c,
 *                                                                                            trace_command.c)
 *
 * A guest that nobody traces pays nothing: the core's callback is NULL and the processor's observer is not asked.
 * While it is traced it runs on the portable engine, which can say which instruction it was (vmm/vmm.h).
 */
#ifndef SCOPE_TRACE_H
#define SCOPE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "scope/symbols.h"
#include "scope/text.h"

struct vm;
struct scope;

/* ---- 1. Records ----------------------------------------------------------------------------- */

enum trace_kind {
	TRACE_FILL,        /* a hidden fault: the shadow had no entry, or one without the right; built */
	TRACE_PREFETCH,    /* ... and a neighbour of it, ahead of its use */
	TRACE_FAULT,       /* the guest's own page fault */
	TRACE_WRITE,       /* a guest table that is shadowed was written */
	TRACE_UNSYNC,      /* a page table is left to itself until the next flush */
	TRACE_SYNC,        /* ... and was brought back in step */
	TRACE_SET_PTE,     /* a paravirtual guest told of an entry */
	TRACE_SET_PDE,
	TRACE_SWITCH,      /* another address space (MOV to CR3, a task switch) */
	TRACE_FLUSH_USER,
	TRACE_FLUSH_ALL,
	TRACE_FLUSH_PAGE,  /* INVLPG */
	TRACE_EVICT,       /* a shadow table went, for want of room */
	TRACE_FORGET,      /* the host took a page back */
	TRACE_STOP,        /* the guest broke the interface that it runs on */
	TRACE_MODE,        /* CR0.PG, CR0.WP, CR4.PSE or CR4.PGE changed */
	TRACE_INTERRUPT,   /* an exception or an interrupt is delivered */
	TRACE_MMIO,        /* a device's memory was accessed for the first time, or as it always is */
	TRACE_ABSENT,      /* memory that is not there was accessed */
	TRACE_KINDS,
};

/* Why an access went no further: the guest's faults, decided from its tables as they were then. */
enum trace_cause {
	TRACE_CAUSE_NONE,
	TRACE_CAUSE_MISSING,     /* a hidden fault of a read: there was no shadow entry */
	TRACE_CAUSE_FIRST_WRITE, /* ... of a write: there was none, or it was read-only until the first write */
	TRACE_CAUSE_PDE,         /* the guest's: its directory entry is not present */
	TRACE_CAUSE_PTE,         /* its table entry is not present */
	TRACE_CAUSE_READ_ONLY,   /* a write to what is read-only */
	TRACE_CAUSE_SUPERVISOR,  /* a user's access to what is the supervisor's */
	TRACE_CAUSE_RESERVED,    /* a reserved bit is set */
	TRACE_CAUSE_OUTSIDE,     /* a table where there is no memory */
	TRACE_CAUSE_WINDOW,      /* the host's window: it does not exist for the guest */
	TRACE_CAUSES,
};

enum trace_flag {
	TRACE_EXACT = 1u << 0,     /* eip is the instruction's; else the first one's of its block */
	TRACE_HOST = 1u << 1,      /* not an instruction's doing: a device's, the debugger's, the loader's */
	TRACE_HAS_LINEAR = 1u << 2,
	TRACE_HAS_GPA = 1u << 3,
	TRACE_HAS_ERROR = 1u << 4, /* error: an error code */
	TRACE_SOFTWARE = 1u << 5,  /* INTERRUPT: INT n */
	TRACE_GLOBAL = 1u << 6,    /* FILL: a global entry */
};

struct trace_record {
	uint64_t seq;          /* 1, 2, 3 ... of what the filter let through */
	uint64_t ns;           /* the guest's time (vm_now) */
	uint64_t instructions; /* executed before, or before its block */
	uint64_t gpa;
	uint32_t linear;
	uint32_t cr3, eip;
	uint32_t value;        /* by kind: trace_kind_info.value */
	uint32_t old;          /* WRITE: what was there */
	uint32_t entries;      /* present shadow entries and shadow tables, after it */
	uint32_t tables;
	uint32_t error;        /* error code; WRITE: bytes */
	uint8_t kind, cause, cpl;
	uint8_t access;        /* UM_WRITE, UM_USER, UM_FETCH: of a FILL, FAULT, WRITE, MMIO */
	uint8_t rights;        /* of a FILL or PREFETCH: UM_WRITE, UM_USER */
	uint8_t flags;         /* enum trace_flag */
};

struct trace_kind_info {
	const char *name, *help;
	const char *value; /* what record.value is called in JSON; NULL: nothing */
	bool hex;          /* ... and is written as "0x%08x" */
	bool usual;        /* in the filter that nobody asked for */
};
extern const struct trace_kind_info trace_kinds[TRACE_KINDS];
extern const char *const trace_causes[TRACE_CAUSES]; /* "" for none */

/* ---- 2. Filters ----------------------------------------------------------------------------- */

struct trace_filter {
	uint32_t kinds;    /* bits of enum trace_kind */
	bool has_cr3;
	uint32_t cr3;
	uint32_t from, to; /* linear, inclusive; what has no address of its own concerns all */
};
/* The usual kinds, everywhere. */
void trace_filter_default(struct trace_filter *f);
bool trace_filter_takes(const struct trace_filter *f, const struct trace_record *r);
/* As options say it: "events=fill+fault,cr3=..."; for people. */
void trace_filter_print(const struct trace_filter *f, struct text *out);

/* ---- 3. Collecting -------------------------------------------------------------------------- */

#define TRACE_RING_BYTES (4u << 20)   /* default */
#define TRACE_RING_MIN (64u << 10)
#define TRACE_RING_MAX (1024u << 20)  /* what a monitor's client may ask of the host's memory */

enum trace_format { TRACE_JSONL, TRACE_CHROME };

struct trace;
/* Nothing is traced yet.  `bytes` of ring, TRACE_RING_MIN..MAX.  NULL: no memory.  `symbols` may be NULL. */
struct trace *trace_new(struct vm *vm, const struct symbols *symbols, size_t bytes);
/* Stops, ends its file. */
void trace_free(struct trace *t);
/* From the next instruction on; again: with another filter.  When vm_pause() may be called.  false: why. */
bool trace_start(struct trace *t, const struct trace_filter *filter, struct symbols_error *error);
void trace_stop(struct trace *t);
void trace_clear(struct trace *t);
bool trace_running(const struct trace *t);
/* Another size; what was kept is gone.  false: no memory, and all is as before. */
bool trace_resize(struct trace *t, size_t bytes);

struct trace_status {
	bool running, writing;
	size_t bytes;
	uint64_t seen;        /* records since the last trace_clear() */
	uint64_t kept;        /* ... still in the ring */
	uint64_t overwritten; /* ... no longer */
	uint64_t written;     /* to the file */
	uint64_t lost;        /* overwritten before the file had taken them */
	int error;            /* errno that ended the file, 0: none */
	struct trace_filter filter;
	const char *path;     /* NULL: no file */
	enum trace_format format;
};
void trace_get_status(const struct trace *t, struct trace_status *s);
/* The last `count` records, oldest first, as far as they are kept. */
uint64_t trace_visit(const struct trace *t, uint64_t count, void (*visit)(void *user, const struct trace_record *r),
                     void *user);

/* ---- 4. Names ------------------------------------------------------------------------------- */

/* "do_fork+0x12" in buf, or "". */
struct trace_names {
	const char *(*name)(const void *user, uint32_t eip, char *buf, size_t bytes);
	const void *user;
};
struct trace_names trace_symbols(const struct symbols *symbols); /* NULL: none */
#define TRACE_NAME_MAX 160u

/* ---- 5. Forms ------------------------------------------------------------------------------- */

/* docs/trace.schema.json, a line each.  trace_json_start() before the first, trace_json_end() after the last. */
void trace_json_start(struct text *out, const struct trace_filter *filter);
void trace_json_record(struct text *out, const struct trace_record *r, const struct trace_names *names);
void trace_json_lost(struct text *out, uint64_t lost); /* so many are missing here */
void trace_json_end(struct text *out, uint64_t records, uint64_t lost);

/* The Chrome trace-event form, as Perfetto opens it: an address space is a track, the time for which it is current a
 * slice, shadow entries and tables counters. */
#define TRACE_TRACKS_MAX 1024u /* address spaces with a track of their own; a guest can make any number */
struct trace_chrome {
	bool any, in_slice;
	unsigned tracks;
	uint32_t track[TRACE_TRACKS_MAX];
	uint32_t cr3;
	uint64_t since, last, counted;
	uint32_t entries, tables;
};
void trace_chrome_start(struct trace_chrome *c, struct text *out);
void trace_chrome_record(struct trace_chrome *c, struct text *out, const struct trace_record *r,
                         const struct trace_names *names);
void trace_chrome_lost(struct trace_chrome *c, struct text *out, uint64_t lost);
void trace_chrome_end(struct trace_chrome *c, struct text *out);

/* For people: 80 columns where the names allow. */
void trace_table_head(struct text *out);
void trace_table_record(struct text *out, const struct trace_record *r, const struct trace_names *names);
/* A sentence about it: "write by u, PTE not present". */
void trace_describe(struct text *out, const struct trace_record *r);

/* ---- 6. Files ------------------------------------------------------------------------------- */

/* Write all records to `path` from now on.  A pipe that does not take them loses the oldest, counted; a full disk or a
 * closed pipe ends the file, not the guest (trace_status.error).  false: why. */
bool trace_open_file(struct trace *t, const char *path, enum trace_format format, struct symbols_error *error);
/* Finish it; errno if it could not be. */
int trace_close_file(struct trace *t);
/* What is in the ring, to a new file. */
bool trace_write_file(const struct trace *t, const char *path, enum trace_format format, struct symbols_error *error);

/* ---- 7. Logs -------------------------------------------------------------------------------- */

#define TRACE_LOG_MAX 2000000u  /* records that are read of a file */
#define TRACE_LINE_MAX 4096u    /* bytes of a line of one */

struct trace_log {
	struct trace_record *record;
	size_t count, room;
	uint64_t lost;
	bool cut;                /* TRACE_LOG_MAX was reached */
	bool ended;              /* it has its last line */
	struct trace_log_name *names;
	uint32_t *name_slot;     /* of an EIP's name */
	size_t name_count, name_room;
};
/* JSON lines: text, or a file's.  false: why, with the line's number. */
bool trace_log_read(struct trace_log *log, const char *text, size_t bytes, struct symbols_error *error);
bool trace_log_read_file(struct trace_log *log, FILE *file, struct symbols_error *error);
/* One more, by hand.  false: no memory (what is beyond TRACE_LOG_MAX is left out: log->cut). */
bool trace_log_add(struct trace_log *log, const struct trace_record *r);
bool trace_log_name(struct trace_log *log, uint32_t eip, const char *name);
void trace_log_free(struct trace_log *log);
struct trace_names trace_log_names(const struct trace_log *log);
/* Keep what a filter takes, of it the last `count` (0: all). */
void trace_log_filter(struct trace_log *log, const struct trace_filter *filter, size_t count);
/* Counts by kind, the code that faults most, the code that writes most; `top` lines each. */
void trace_log_summary(const struct trace_log *log, unsigned top, struct text *out);

/* ---- 8. Words ------------------------------------------------------------------------------- */

struct trace_options {
	struct trace_filter filter;
	enum trace_format format;
	size_t bytes;
	char path[1024]; /* "": none */
};
void trace_options_default(struct trace_options *o);
/* "FILE,format=chrome,events=fill+fault,cr3=0x1000,from=ADDR,to=ADDR,size=N[K|M]"; `with_path`: the first item is a
 * path.  What it does not name stays. */
bool trace_options_parse(struct trace_options *o, const char *text, bool with_path, struct symbols_error *error);
/* The monitor's: trace start|stop|clear|status|show|write. */
void trace_command(struct scope *scope, char *suffix, char *rest, struct text *out);
void trace_command_json(struct scope *scope, char *suffix, char *rest, struct text *out);

#endif
