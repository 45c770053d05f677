/* SPDX-License-Identifier: MIT */
/*
 * scope/check_internal.h - the inside of the checks: their index.
 *
 *   check.c            life, the words of -check, who hears what
 *   check_model.c      what a processor's translation caches may hold
 *   check_tlb.c        the missing-flush detector: each access, judged by the model and by the tables
 *   check_writers.c    who wrote which table entry
 *   check_entries.c    rsvd, alias, freed, stack: what is written into tables
 *   check_accesses.c   rsvd, beyond, alias, wx, user: what is done with mappings
 *   check_tables.c     half, slot, wp: entries, directories and control bits that do not go together
 *   check_report.c     findings: each place once, a bounded number
 *   check_text.c       ... as text and as JSON
 */
#ifndef SCOPE_CHECK_INTERNAL_H
#define SCOPE_CHECK_INTERNAL_H

#include "cpu/cpu.h"
#include "scope/check.h"
#include "scope/space.h"
#include "scope/symbols.h"
#include "scope/text.h"
#include "vmm/vmm.h"

/* Entry bits (SDM vol. 3, tables 4-4 to 4-6). */
enum { PTE_P = 1u << 0, PTE_RW = 1u << 1, PTE_US = 1u << 2, PTE_A = 1u << 5, PTE_D = 1u << 6, PTE_PS = 1u << 7,
       PTE_G = 1u << 8 };
#define PTE_FRAME 0xFFFFF000u
#define LARGE_FRAME 0xFFC00000u

/* ---- check_model.c -------------------------------------------------------------------------- */

/* One translation that the processor may hold. */
struct line {
	uint32_t entry;      /* as a leaf entry: frame, RW and US merged over the levels, D, G if it counts */
	uint32_t generation; /* live while it is the model's, local's or global's as G says */
	uint64_t agreed;     /* check.changes when the tables were last seen to say the same */
	uint32_t leaf;       /* physical address of the entry that it came from */
	uint32_t root;       /* the page directory that it was found by */
};
#define PAGES (1u << 20)
#define SLOTS 1024u
struct model {
	struct line *page;         /* by linear page, PAGES of them; memory where it is used only */
	struct line large[SLOTS];  /* 4 MiB pages */
	struct {
		uint32_t entry, generation;
	} upper[SLOTS];            /* page directory entries that lead to tables (paging-structure cache) */
	uint32_t globals[SLOTS];   /* `global` when a global line was last held there */
	uint32_t local, global, above; /* generations: of non-global lines, of global ones, of `upper` */
};

bool model_open(struct model *m); /* false: no memory */
void model_close(struct model *m);
/* NULL: none is live. */
struct line *model_page(struct model *m, uint32_t linear);
struct line *model_large(struct model *m, uint32_t linear);
/* 0: none is live. */
uint32_t model_upper(const struct model *m, uint32_t linear);
void model_hold_page(struct model *m, uint32_t linear, const struct line *line);
void model_hold_large(struct model *m, uint32_t linear, const struct line *line);
void model_hold_upper(struct model *m, uint32_t linear, uint32_t entry);
/* May a global line be live in the 4 MiB of this directory entry? */
bool model_has_global(const struct model *m, unsigned slot);
/* INVLPG; a page fault.  true: a large page went. */
bool model_forget_page(struct model *m, uint32_t linear);
bool model_forget_fault(struct model *m, uint32_t linear);
void model_forget_local(struct model *m); /* MOV to CR3 */
void model_forget_all(struct model *m);

/* ---- check_writers.c ------------------------------------------------------------------------ */

#define TRACE_MAX 6u
struct written {
	uint32_t gpa;          /* of the entry; 0 in an empty record */
	uint32_t old, new;
	uint32_t eip, cr3;
	uint64_t at;           /* instructions */
	uint8_t ring, depth;
	bool exact, device, known; /* known: `old` is */
	uint32_t trace[TRACE_MAX]; /* return addresses, innermost first */
};
/* The last change of this many entries, SETS x WAYS; a set's oldest goes. */
#define WRITER_SETS 4096u
#define WRITER_WAYS 4u
/* Ranges that a device or a debugger wrote. */
#define WRITER_RANGES 64u
/* Entries of a write that are looked at before it is made: the longest store but FXSAVE's. */
#define WRITE_WORDS 5u
struct writers {
	struct written *record;
	struct { uint32_t first, last; uint64_t at; } range[WRITER_RANGES];
	unsigned next_range;
	struct coming {
		bool waits;            /* the processor is about to write a table */
		uint64_t at;           /* ... by the instruction that runs now: one that faults never does */
		uint32_t gpa;          /* its first entry there */
		uint32_t old[WRITE_WORDS];
	} coming[2];                   /* a store may lie across two pages */
	unsigned next_coming;
};
bool writers_open(struct writers *w);
void writers_close(struct writers *w);
void writers_forget(struct writers *w); /* all of them */
/* The processor is about to write a table.  false: it has to be asked for exactly. */
bool writers_expect(struct check *k, const struct cpu_access *access);
/* A table was written. */
void writers_hear(struct check *k, const struct um_event *event);
/* Who changed the entry at `gpa` last; false: nobody who is still known. */
bool writers_find(const struct writers *w, uint32_t gpa, struct written *found);
/* Who made the entry there what it is now: false also if that change is not known any more. */
bool writers_made(const struct check *k, uint32_t gpa, struct written *found);
/* ... if what it wrote is what the entry says now, but for A and D. */
bool writers_find_now(const struct writers *w, uint32_t gpa, uint32_t entry, struct written *found);
/* What is running, as a writer. */
void writers_see(struct check *k, struct written *now);

/* ---- check_report.c ------------------------------------------------------------------------- */

enum finding_kind {
	FOUND_GONE,      /* tlb: unmapped, still used */
	FOUND_RIGHTS,    /* fewer rights */
	FOUND_FRAME,     /* another frame */
	FOUND_UPPER,     /* the upper level changed: the processor may still go by the old one */
	FOUND_SPACES,    /* a global page that another address space has elsewhere */
	FOUND_RESERVED,  /* rsvd: reserved bits in an entry */
	FOUND_PS,        /* PS set while CR4.PSE is clear */
	FOUND_CR3,       /* CR3 does not point to the start of a page */
	FOUND_BEYOND, FOUND_ALIAS, FOUND_RECURSIVE, FOUND_TABLE_WRITE, FOUND_WX, FOUND_FREED, FOUND_USER,
	FOUND_SPLIT,     /* user: as FOUND_USER, but the page table's entry alone would let it */
	FOUND_STACK_GONE, FOUND_STACK_READ_ONLY,
	FOUND_HALF, FOUND_SLOT, FOUND_WP,
	FINDINGS,
};

/* One thing found at one place. */
struct finding {
	enum finding_kind kind;
	/* Where: the instruction that uses the mapping, or that writes the entry. */
	uint32_t eip, cr3;
	bool exact;
	unsigned ring;
	uint64_t at;             /* instructions */
	uint64_t count;          /* how often, since */
	bool uses;               /* ... by an access: */
	uint32_t linear;
	unsigned access;
	bool holds;              /* the model's */
	uint32_t held;           /* what the processor may still hold, as a leaf entry */
	bool held_large;
	bool walked;
	struct space_walk now;   /* what the tables say */
	bool is_written;         /* the entry, and who changed it */
	struct written write;
	uint32_t value;          /* what else there is to say: CR3's value, pages in a run */
};

/* Places that are kept of each kind; what comes beyond is counted.  A guest cannot make us grow, nor say one thing for
 * ever, nor drown another kind in it. */
#define REPORTS_EACH 64u
#define REPORTS_MAX (REPORTS_EACH * FINDINGS)
#define REPORT_BUCKETS 4096u
struct reports {
	struct finding list[REPORTS_MAX];
	unsigned count, of_kind[FINDINGS];
	uint16_t bucket[REPORT_BUCKETS]; /* 1 + index, by place */
	uint64_t met, more;              /* findings; those at places for which there was no room */
	bool full[FINDINGS];             /* ... of this kind, which was said */
};
/* Was this place reported?  Then it is counted once more. */
void report(struct check *k, const struct finding *finding);
/* The place that is running; false: not exactly known. */
bool locate(struct check *k, struct finding *finding);

/* ---- check_tables.c ------------------------------------------------------------------------- */

/* A guest with more processes has those forgotten that ran longest ago; one that loads CR3 with anything fills no more. */
#define DIRECTORIES_MAX 64u
/* Missing entries that wait for their kernel: more at once are not looked into. */
#define MISSING_MAX 8u
/* Instructions that a kernel has to add one. */
#define MISSING_PATIENCE 100000u
struct tables {
	uint32_t directory[DIRECTORIES_MAX]; /* that CR3 pointed to, the latest first */
	unsigned directories, missings;
	struct finding missing[MISSING_MAX];
};
bool tables_access(struct check *k, const struct cpu_access *access);
/* CR3 was loaded, or the mode changed. */
void tables_root(struct check *k);
void tables_end(struct check *k);
/* The address that is in recursive slot `slot` what `linear` is in its own. */
uint32_t through_slot(uint32_t linear, uint32_t slot);

/* ---- check_text.c --------------------------------------------------------------------------- */

unsigned finding_check(enum finding_kind kind); /* enum check_bit */
void finding_text(const struct check *k, const struct finding *f, struct text *out);
void finding_json(const struct check *k, const struct finding *f, struct text *out);
/* There is no room for more places of this kind. */
void finding_full(const struct check *k, enum finding_kind kind, struct text *out);

/* ---- check.c -------------------------------------------------------------------------------- */

struct check {
	unsigned what;
	struct check_target target;
	struct vm *vm;           /* NULL: attached to parts */
	struct vm_observer observer;
	const struct symbols *symbols;
	FILE *to;
	struct space space;      /* the guest's own tables, as they are walked now */
	uint32_t mode;           /* enum um_mode */
	uint64_t changes;        /* of any table, and of which tables they are */
	struct model model;
	struct writers writers;
	struct reports reports;
	struct tables tables;
	struct {
		bool seen;       /* the running access is a device's, or nobody's */
		uint32_t linear;
		unsigned access;
		um_gpa gpa;
	} device;
	/* wx */
	bool protects;           /* ring 0 has run code in a read-only page, with CR0.WP */
	uint32_t *suspect;       /* by page: model.local when ring 0 was first seen to run there, writable; 0: never */
};
static inline bool checks(const struct check *k, unsigned bit) { return k->what & bit; }
/* May this access be made, by these rights? (SDM vol. 3, 4.6.1; CR0.WP is the mode's, not the entry's.) */
static inline bool entry_permits(const struct check *k, uint32_t entry, unsigned access)
{
	if (access & UM_USER)
		return (entry & PTE_US) && (!(access & UM_WRITE) || (entry & PTE_RW));
	return !(access & UM_WRITE) || (entry & PTE_RW) || !(k->mode & UM_MODE_WP);
}
uint32_t table_word(const struct check *k, uint64_t gpa); /* 0 where there is no memory */

/* ---- check_tlb.c ---------------------------------------------------------------------------- */

bool tlb_access(struct check *k, const struct cpu_access *access);
void tlb_event(struct check *k, const struct um_event *event);

/* ---- check_entries.c ------------------------------------------------------------------------ */

/* The entry at w->gpa was written. */
void entry_written(struct check *k, const struct written *w);

/* ---- check_accesses.c ----------------------------------------------------------------------- */

bool judge_access(struct check *k, const struct cpu_access *access);
void judge_absent(struct check *k, bool write, um_gpa gpa, unsigned bytes);
void judge_root(struct check *k);
/* Is this frame a table of the current directory, or the directory? */
bool is_linked_table(const struct check *k, uint32_t frame);

#endif
