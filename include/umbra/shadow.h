/* SPDX-License-Identifier: MIT */
/*
 * umbra/shadow.h - libumbra: shadow page tables for x86 guests.
 *
 * The guest keeps page tables that we can neither trust nor use.  The core reads them, verifies and
 * converts one entry at a time, lazily, and builds tables of its own - the shadow - that hardware
 * may use.  "Hardware" is whatever the embedder has: a software processor's TLB, the host's MMU
 * driven by mmap, or the real thing.
 *
 *   1. Words             types, access bits, results
 *   2. The embedder      callbacks: guest memory, host pages, table memory, invalidation, observer
 *   3. Life              um_size, um_init, um_destroy                            (part vii)
 *   4. Modes and roots   um_set_mode, um_switch_root, um_current_root, um_set_learn (part iv)
 *   5. Access            um_demand_page, um_lookup, um_pin_page                  (parts i, ii)
 *   6. Changes           um_set_pte, um_set_pde, um_guest_wrote                  (part iii)
 *   7. Flushes           um_flush_user, um_flush_all, um_flush_page              (part v)
 *   8. The window        um_window_*                                             (part vi)
 *   9. The host's side   um_forget_frame, um_shrink, um_set_budget
 *  10. Looking           um_stats, um_audit, um_visit, um_digest
 *
 * The library is freestanding: no libc, no globals, no I/O, no allocation of its own, no clock.
 * One `struct um` is one guest's shadow; calls on it must not overlap (the embedder serialises;
 * calls on different objects are independent).  Callbacks must not call back into the same object,
 * except that invalidate(), invalidate_all(), invalidate_nonglobal() and event() may call
 * um_lookup().
 *
 * Three kinds of failure, never mixed: the guest's (UM_FAULT, UM_STOP), the caller's
 * (UM_EINVAL...), ours (a bug: um_audit() names the broken invariant).  Every call checks, then
 * commits: one that does not return UM_OK has changed no translation (it may have evicted some,
 * which is always allowed: the shadow is a cache).
 */
#ifndef UMBRA_SHADOW_H
#define UMBRA_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- 1. Words ------------------------------------------------------------------------------- */

typedef uint64_t um_gva; /* guest-virtual (linear) address, bytes */
typedef uint64_t um_gpa; /* guest-physical address, bytes */
typedef uint64_t um_gfn; /* guest frame number = gpa >> 12 */
typedef uint64_t um_hfn; /* host frame number: the embedder's word, at most 40 bits */

#define UM_PAGE_SHIFT 12u
#define UM_PAGE_SIZE 4096u

/* An access, in the bit positions of the #PF error code (Intel SDM vol. 3, 4.7). */
enum um_access {
	UM_READ = 0,
	UM_PRESENT = 1u << 0, /* only in error codes: a protection violation */
	UM_WRITE = 1u << 1,
	UM_USER = 1u << 2,    /* CPL 3; otherwise a supervisor access */
	UM_RSVD = 1u << 3,    /* only in error codes: a reserved bit was set */
	UM_FETCH = 1u << 4,
};

enum um_result {
	UM_OK = 0,
	/* the guest's doing */
	UM_FAULT,   /* an architectural #PF: reflect um_map.error with CR2 = the address */
	UM_TRACKED, /* a permitted write to a tracked guest table: carry the write out at um_map.hfn
	             * yourself, then call um_guest_wrote(); the mapping itself stays read-only */
	UM_MMIO,    /* permitted, but no RAM there (or read-only memory written): um_map.gpa */
	UM_STOP,    /* told mode: the guest broke the interface; um_stop_reason() says how */
	/* the host's */
	UM_NOMEM,   /* get_table() gave nothing although everything that can go was evicted */
	/* the caller's */
	UM_EINVAL,  /* an argument is out of its documented range */
	UM_EMPTY,   /* um_lookup(): no shadow entry permits this access (ask um_demand_page) */
};

/* What one access came to. */
struct um_map {
	um_gpa gpa;      /* UM_OK, UM_TRACKED, UM_MMIO: guest-physical address of the byte accessed */
	um_hfn hfn;      /* UM_OK, UM_TRACKED: the host's frame */
	uint8_t rights;  /* UM_OK: UM_WRITE and/or UM_USER: what the shadow entry permits in all.
	                  * A supervisor may use it always; read and fetch are permitted always */
	uint8_t error;   /* UM_FAULT: error code, UM_PRESENT|UM_WRITE|UM_USER|UM_RSVD|UM_FETCH */
	bool tracked;    /* UM_OK: the frame is a tracked guest table, so rights lack UM_WRITE now */
	bool global;     /* UM_OK: the hardware may keep it over invalidate_nonglobal() */
};

/* ---- 2. The embedder ------------------------------------------------------------------------ */

enum um_grant {
	UM_GRANT_RAM,     /* map it, writable if the guest's tables say so */
	UM_GRANT_ROM,     /* map it read-only; permitted writes come back as UM_MMIO */
	UM_GRANT_MMIO,    /* never mapped: every access comes back as UM_MMIO */
	UM_GRANT_REFUSED, /* not the guest's: told mode UM_STOP, tracked mode as UM_GRANT_MMIO */
};

/* One table's memory: UM_TABLE_BYTES bytes, aligned to UM_PAGE_SIZE.  The first 8 KiB hold the
 * shadow entries in hardware form (1024 of 8 bytes at most), the rest the links of the reverse map. */
#define UM_TABLE_BYTES 20480u

/* One shadow event, for observers (the microscope, recordings, tests).  Observing never steers. */
enum um_event_kind {
	UM_EV_FILL,        /* leaf entry built on demand: gva, gpa, value = entry */
	UM_EV_PREFETCH,    /* leaf entry built ahead */
	UM_EV_REFLECT,     /* fault belongs to the guest: gva, value = error code */
	UM_EV_TRACKED,     /* tracked guest table written: gpa, value = bytes */
	UM_EV_UNSYNC,      /* leaf table left to itself: gpa = guest table */
	UM_EV_SYNC,        /* ... and brought back in step: value = entries dropped or changed */
	UM_EV_SET_PTE,     /* told: gva, value = guest entry */
	UM_EV_SET_PDE,     /* told: gva = index, value */
	UM_EV_SWITCH,      /* root switched: gpa = CR3, value = 1 hit, 0 miss */
	UM_EV_FLUSH_USER,
	UM_EV_FLUSH_ALL,
	UM_EV_FLUSH_PAGE,  /* gva */
	UM_EV_EVICT,       /* shadow table dropped for memory: gpa = what it shadowed, value = level */
	UM_EV_FORGET,      /* frame taken back by the host: gpa */
	UM_EV_STOP,        /* value = enum um_stop */
	UM_EV_MODE,        /* what tables mean changed: value = enum um_mode, gpa = CR3 */
};

struct um_event {
	enum um_event_kind kind;
	um_gva gva;
	um_gpa gpa;
	uint64_t value;
};

/* One call of this interface that may change something, for recordings.  The numbers are those of
 * docs/RECORDING.md: new ones go to the end. */
enum um_call_kind {
	UM_CALL_SET_MODE = 1,   /* mode, cr3 */
	UM_CALL_SWITCH_ROOT,    /* cr3 */
	UM_CALL_SET_USER_END,   /* address */
	UM_CALL_SET_LEARN,      /* learn */
	UM_CALL_DEMAND_PAGE,    /* gva, access */
	UM_CALL_LOOKUP,         /* gva, access */
	UM_CALL_PIN_PAGE,       /* gva */
	UM_CALL_SET_PTE,        /* root, gva, gpte */
	UM_CALL_SET_PDE,        /* root, index */
	UM_CALL_GUEST_WROTE,    /* gpa, bytes */
	UM_CALL_FLUSH_USER,
	UM_CALL_FLUSH_ALL,
	UM_CALL_FLUSH_PAGE,     /* gva */
	UM_CALL_WINDOW_RESERVE, /* first, bytes */
	UM_CALL_WINDOW_MAP,     /* cpu, gva, hfn, rights */
	UM_CALL_WINDOW_ENTER,   /* cpu */
	UM_CALL_FORGET_FRAME,   /* gfn */
	UM_CALL_SHRINK,         /* tables */
	UM_CALL_SET_BUDGET,     /* tables */
};

struct um_call {
	enum um_call_kind kind;
	uint64_t arg[4]; /* in the order above, the rest 0 */
};

struct um_ops {
	/* Read one guest table entry of `bytes` (4 or 8) at `gpa` (naturally aligned).  false:
	 * there is no memory there; tracked mode then takes the entry as not present, told mode
	 * stops the guest. */
	bool (*read_entry)(void *user, um_gpa gpa, unsigned bytes, uint64_t *value);
	/* Accessed/Dirty write-back: replace `old` by `value`, atomically with respect to every
	 * other writer (R16); false: it no longer held `old`, and the core reads it again. */
	bool (*update_entry)(void *user, um_gpa gpa, unsigned bytes, uint64_t old, uint64_t value);
	/* Borrow the host page behind guest frame `gfn`.  Called once when a frame gets its first
	 * shadow mapping (or is about to: it comes back at once if nothing is mapped; write = one
	 * of the mappings may become writable: ask for the real page, not for a shared copy);
	 * put_page() gives it back after the last is gone, `dirty` = a writable mapping existed or
	 * UM_TRACKED was answered.  A frame borrowed without `write` is borrowed again with it
	 * before its first writable mapping: put, then get. */
	enum um_grant (*get_page)(void *user, um_gfn gfn, bool write, um_hfn *hfn);
	void (*put_page)(void *user, um_gfn gfn, um_hfn hfn, bool dirty);
	/* Memory for one shadow table, contents arbitrary; NULL: none now (the core evicts and
	 * retries). */
	void *(*get_table)(void *user);
	void (*put_table)(void *user, void *table);
	/* The hardware must drop every cached translation of [first, last] (byte addresses,
	 * inclusive) in the current root, or all translations of every root.  Called before the
	 * call that changed the shadow returns (R9). */
	void (*invalidate)(void *user, um_gva first, um_gva last);
	void (*invalidate_all)(void *user);
	/* May be NULL.  Costs nothing then. */
	void (*event)(void *user, const struct um_event *event);
	/* As invalidate_all, but translations whose um_map.global was set may stay (CR4.PGE).  May
	 * be NULL: invalidate_all is called instead. */
	void (*invalidate_nonglobal)(void *user);
	/* May be NULL, both together.  Each call of enum um_call_kind is heard as it begins and as it
	 * ends, with what it returns (0: nothing) and the map it filled or NULL.  Calls without any
	 * effect need not be heard, those that only look never are.  Hearing never steers. */
	void (*enter)(void *user, const struct um_call *call);
	void (*leave)(void *user, uint64_t result, const struct um_map *map);
	/* May be NULL, both together: for hardware that keeps translations of many roots at once, each
	 * under the root's id (um_current_root() when it was looked up), and global ones under none.
	 * The three invalidate*() above are called as ever, for hardware that knows one root.
	 *
	 * It must forget [first, last] (inclusive) of this root, current or not; 0: of every root.
	 * Called at once, for each root that leads to what changed, several times if need be; only
	 * forgetting is asked for, so it must not look anything up.  Global translations of these
	 * addresses go too, whichever root it is; but the whole address space of one root (a root
	 * that is freed: its id may soon be another's) says nothing of global ones: of these, what
	 * no other root leads to is told apart. */
	void (*invalidate_root)(void *user, uint32_t root, um_gva first, um_gva last);
	/* um_switch_root() came to this root (0: it has no shadow yet, the next access builds one),
	 * INSTEAD OF invalidate_nonglobal() or invalidate_all(): tagged hardware keeps all it has,
	 * what has changed meanwhile was told by invalidate_root(). */
	void (*root_switched)(void *user, uint32_t root);
};

/* The geometry of the guest's tables: data, so that another format is another descriptor. */
struct um_level {
	uint8_t shift;        /* lowest address bit that indexes this level's table */
	uint8_t index_bits;   /* entries = 1 << index_bits */
	uint32_t page_mode;   /* mode bits under which PS=1 makes an entry a leaf; 0 = never (at the
	                       * lowest level every entry is a leaf) */
	uint64_t reserved;    /* bits that must be 0 in a present non-leaf entry (RSVD fault) */
	uint64_t reserved_ps; /* ... in a present PS leaf */
	uint64_t no_rights;   /* permission bits that this level does not have (PAE's top level) */
};
struct um_format {
	const char *name;
	uint8_t levels;       /* level[0] is the lowest (page table), level[levels-1] the root */
	uint8_t entry_bytes;  /* 4 or 8 */
	uint64_t frame_mask;  /* frame bits of an entry */
	uint64_t root_mask;   /* address bits of CR3 */
	struct um_level level[4];
};
extern const struct um_format um_format_i386; /* 2 levels, 4 KiB and 4 MiB pages (SDM vol. 3, 4.3) */

/* How the core learns that the guest changed its tables. */
enum um_learn {
	UM_LEARN_TRACKED, /* shadowed guest tables are write-protected; writers call um_guest_wrote() */
	UM_LEARN_TOLD,    /* the guest tells: um_set_pte(), um_set_pde(); switching re-validates (R7) */
	UM_LEARN_BOUND,   /* as TRACKED, of a guest that will tell and is bound by the interface's rules
	                   * already: what told mode answers with UM_STOP, this does too */
};

/* Optimisations, each with its switch; none changes what the guest sees. */
enum um_opt {
	UM_OPT_PREFETCH = 1u << 0,      /* fill neighbours of a demand-filled entry */
	UM_OPT_UNSYNC = 1u << 1,        /* tracked: leaf tables written often stay writable till flushed */
	UM_OPT_SHARE = 1u << 2,         /* share leaf tables between roots (off: each root has its own) */
	UM_OPT_INSTALL_AHEAD = 1u << 3, /* told/tracked: an announced A entry is built at once */
	UM_OPT_LAZY_FLUSH = 1u << 4,    /* flush by generation; tables and their pages go back only as the
	                                 * memory is wanted again (off: at once) */
	UM_OPT_REVALIDATE = 1u << 5,    /* told: the tables of a root switched to are compared with the
	                                 * guest's at once, and stay (off: when they are missed) */
	UM_OPT_ALL = (1u << 6) - 1,
};

struct um_config {
	const struct um_ops *ops;
	void *user;
	const struct um_format *format;
	enum um_learn learn;
	uint32_t options;      /* enum um_opt */
	uint64_t max_gfn;      /* first guest frame number that does not exist (frames); <= 1 << 24 */
	uint32_t max_tables;   /* hard budget of shadow tables, >= UM_MIN_TABLES */
	uint32_t max_roots;    /* roots kept, >= 1 */
	uint32_t prefetch;     /* entries filled around a demanded one (0..64), 8 is good */
	um_gva user_end;       /* told: first kernel address (PAGE_OFFSET); later by um_set_user_end() */
};
#define UM_MIN_TABLES 8u

/* ---- 3. Life -------------------------------------------------------------------------------- */

struct um;

/* Bytes of memory um_init() needs for `config`, 0 if the config is invalid. */
size_t um_size(const struct um_config *config);
/* Build a shadow in `memory` (um_size() bytes, zeroed, aligned to 16).  The guest starts with
 * paging off (mode 0, every address maps to itself).  Table memory is taken only on demand.
 * Returns UM_OK or UM_EINVAL. */
enum um_result um_init(void *memory, const struct um_config *config, struct um **out);
/* Give back every page and table.  The memory is the caller's again. */
void um_destroy(struct um *um);

/* ---- 4. Modes and roots --------------------------------------------------------------------- */

/* Control bits that change what tables mean: part of a shadow's identity (its role). */
enum um_mode {
	UM_MODE_PAGING = 1u << 0, /* CR0.PG; without it the mapping is 1:1, all rights */
	UM_MODE_WP = 1u << 1,     /* CR0.WP */
	UM_MODE_PSE = 1u << 2,    /* CR4.PSE */
	UM_MODE_PGE = 1u << 3,    /* CR4.PGE: global entries survive um_switch_root's hardware flush */
};

/* MOV to CR0/CR4: the new bits (others are ignored), with the root's address.  Flushes the hardware
 * as the manual says (SDM vol. 3, 4.10.4.1), and is free when nothing changes.  Shadows of the old
 * mode stay cached.  Never fails: a root is built at the next access. */
void um_set_mode(struct um *um, uint32_t mode, um_gpa cr3);
/* MOV to CR3: make this the current root; unsync tables are brought in step, the hardware drops
 * non-global translations.  Low bits of cr3 outside the format's root_mask are ignored (D26). */
void um_switch_root(struct um *um, um_gpa cr3);
/* The id of the current root's shadow, 0: it has none yet.  An id is one root's in one mode until
 * invalidate_root() tells that all of it goes; it may change in every call but um_lookup(). */
uint32_t um_current_root(const struct um *um);
uint32_t um_mode(const struct um *um); /* enum um_mode, as set last */
/* Told mode: the user/kernel split.  0: not known yet; every address is then treated as both.  A
 * new value flushes everything.  UM_EINVAL when it reaches the reserved window. */
enum um_result um_set_user_end(struct um *um, um_gva first_kernel_address);
/* From now on the core learns of changes this way: a guest of unknown kind makes itself known, or is
 * reset.  Everything cached is dropped at once, every page and table given back, nothing stays
 * tracked, the hardware forgets all; mode, CR3, split and window stay, and the next access builds
 * anew (with a window: um_window_enter(), as after um_flush_all()).  Free when nothing changes.
 * UM_EINVAL: there is no such way. */
enum um_result um_set_learn(struct um *um, enum um_learn learn);

/* ---- 5. Access ------------------------------------------------------------------------------ */

/* Part (i).  The hardware found no entry for `gva` that permits `access` (UM_WRITE, UM_USER,
 * UM_FETCH; other bits are ignored): consult the guest's tables, build the shadow entry.  When the
 * access is permitted (UM_OK, UM_TRACKED, UM_MMIO) Accessed is set at every level and Dirty in the
 * leaf of a write, where they are not set yet; any other result leaves guest memory as it was.
 * After UM_OK um_lookup() with the same arguments succeeds; UM_TRACKED leaves a read-only entry.
 * Returns these, UM_FAULT, UM_STOP, UM_NOMEM, or UM_EINVAL (gva outside the format's address
 * space); fills *map as described there.  The window's addresses are never present. */
enum um_result um_demand_page(struct um *um, um_gva gva, unsigned access, struct um_map *map);
/* What the shadow says now, with no side effect on the guest or on any translation (it notes which
 * tables and prefetched entries are in use): UM_OK or UM_EMPTY.  This is what a software TLB is
 * filled from. UM_EMPTY leaves *map alone. */
enum um_result um_lookup(struct um *um, um_gva gva, unsigned access, struct um_map *map);
/* Part (ii).  Make `gva` writable for the supervisor now (a kernel stack that traps will push on).
 * As um_demand_page(UM_WRITE) but does nothing if it is mapped so already.  Not a pin on the host
 * page. */
enum um_result um_pin_page(struct um *um, um_gva gva);

/* ---- 6. Changes ----------------------------------------------------------------------------- */

/* Part (iii), told mode (UM_EINVAL in tracked mode).  "In the tables at `root`, the entry for gva
 * is now gpte."  Guest memory is not read.  An address at or above the split changes every root.
 * An unknown root is ignored (R6), an address in the window refused (UM_EINVAL, nothing changed).
 * UM_STOP: a present entry that the interface forbids (PSE, frame beyond max_gfn). */
enum um_result um_set_pte(struct um *um, um_gpa root, um_gva gva, uint64_t gpte);
/* ... and top-level entry `index` changed in `root`; its translations are dropped.  Window slots
 * and indices past the table: UM_EINVAL, nothing changed (D18, N3, N4). */
enum um_result um_set_pde(struct um *um, um_gpa root, uint64_t index);
/* Guest memory [gpa, gpa+bytes) was written: by the processor after UM_TRACKED, by a device, the
 * loader or a debugger.  Any range; costs one look-up a page where no table is tracked. */
void um_guest_wrote(struct um *um, um_gpa gpa, uint64_t bytes);
/* Is this frame a tracked guest table?  (An engine may cache the answer until invalidate*().) */
bool um_is_tracked(const struct um *um, um_gfn gfn);

/* ---- 7. Flushes ----------------------------------------------------------------------------- */

void um_flush_user(struct um *um);             /* user half of the current root (no split: all of it) */
void um_flush_all(struct um *um);              /* everything, every root: O(1); told mode's, and a last
                                                * resort: a processor that reloads CR3 or toggles
                                                * CR4.PGE needs only um_switch_root() or
                                                * um_set_mode() */
void um_flush_page(struct um *um, um_gva gva); /* INVLPG in the current root */

/* ---- 8. The Switcher window ----------------------------------------------------------------- */

/* Reserve [first, first+bytes) of every guest's address space for the host; both multiples of the
 * span of a top-level entry (4 MiB), at the top.  Guest accesses there are reflected (R10).
 * UM_EINVAL: misaligned, empty, more than 16 top-level entries, not ending at the top, overlaps the
 * user half, already reserved, or a format of more than two levels. */
enum um_result um_window_reserve(struct um *um, um_gva first, uint64_t bytes);
/* Put host frame `hfn` at `gva` in the window of processor `cpu` (supervisor; rights 0 or
 * UM_WRITE). UM_OK, UM_NOMEM, UM_EINVAL. */
enum um_result um_window_map(struct um *um, unsigned cpu, um_gva gva, um_hfn hfn, unsigned rights);
/* The guest is about to run on processor `cpu`: hook that processor's window into the current root
 * (and into those that follow, until another processor's is entered).  UM_OK, UM_NOMEM, UM_EINVAL. */
enum um_result um_window_enter(struct um *um, unsigned cpu);
/* What the current root holds at `gva` in the window: UM_OK fills map->hfn and rights, else
 * UM_EMPTY. */
enum um_result um_window_lookup(const struct um *um, um_gva gva, struct um_map *map);
#define UM_MAX_CPUS 8u

/* ---- 9. The host's side --------------------------------------------------------------------- */

/* The host wants the page behind gfn back, or has replaced it: every mapping goes, put_page() is
 * called before this returns.  The next access borrows it anew.  No guest page is ever pinned. */
void um_forget_frame(struct um *um, um_gfn gfn);
/* Give back up to `tables` shadow tables, least recently used first; returns how many went. */
uint32_t um_shrink(struct um *um, uint32_t tables);
/* Change the hard budget; evicts down to it.  UM_EINVAL below UM_MIN_TABLES (or what the window
 * holds plus 4), and above um_config.max_tables. */
enum um_result um_set_budget(struct um *um, uint32_t max_tables);

/* ---- 10. Looking ---------------------------------------------------------------------------- */

struct um_stats {
	uint64_t faults;          /* um_demand_page() calls */
	uint64_t reflected;       /* ... that were the guest's */
	uint64_t fills;           /* leaf entries built on demand */
	uint64_t prefetched;      /* leaf entries built ahead */
	uint64_t prefetch_used;   /* ... and later found in use (first look-up that hits them) */
	uint64_t tracked_writes;  /* um_guest_wrote() that hit a tracked table */
	uint64_t unsyncs, syncs;  /* tables left to themselves, and brought back */
	uint64_t told_ptes, told_pdes;
	uint64_t switches, switch_hits;
	uint64_t flush_user, flush_all, flush_page;
	uint64_t tables_made, evictions /* of live tables, for want of room */, forgets;
	uint64_t tables, tables_peak;   /* shadow tables' memory held now, and at most */
	uint64_t entries;               /* present leaf entries now (not counting stale tables') */
	uint64_t roots;                 /* cached roots now (stale ones not counted) */
};
void um_get_stats(const struct um *um, struct um_stats *out);

enum um_stop {
	UM_STOP_NONE,
	UM_STOP_BAD_PTE,       /* a page table entry with the PSE bit */
	UM_STOP_BAD_PDE,       /* a page directory entry with PSE, or another bit that is not for one */
	UM_STOP_BAD_FRAME,     /* an entry that names a frame beyond max_gfn, or a refused one */
	UM_STOP_TABLE_OUTSIDE, /* a table where there is no memory */
};
/* Why the last UM_STOP: a constant, and a fixed text. */
enum um_stop um_stop_reason(const struct um *um, const char **text);

/* The first violated invariant, or invariant == 0.  Numbers are those of docs/INVARIANTS.md. */
struct um_violation {
	int invariant;
	const char *text;
	um_gva gva;
	um_gfn gfn;
	uint64_t spte, gpte;
};
struct um_violation um_audit(const struct um *um);

/* Visit the present shadow leaves of the current root from `from` upwards; visit() returns false to
 * stop.  Bounded by the shadow's own size. */
struct um_leaf {
	um_gva gva;
	um_gfn gfn;
	um_hfn hfn;
	uint8_t rights;
	bool tracked, prefetched;
};
void um_visit(const struct um *um, um_gva from, bool (*visit)(void *arg, const struct um_leaf *),
              void *arg);

/* The shadow as tables, for views.  An id is one table's until a call that may change something;
 * um_current_root() is one. */
struct um_table {
	unsigned level;   /* 0: the lowest */
	um_gfn gfn;       /* the guest table that it shadows; direct: the first frame mapped */
	uint32_t mode;    /* enum um_mode that it was made under (PGE is no part of it) */
	uint8_t rights;   /* UM_WRITE, UM_USER: what all levels above permit */
	bool root;        /* CR3 leads here */
	bool direct;      /* part of a large page, or of the 1:1 map without paging: no guest table */
	bool window;      /* the host's own */
	bool unsync;      /* the guest table is writable: entries may lag behind it until a flush */
	unsigned present; /* entries */
	unsigned parents; /* upper entries that lead here, stale ones too */
};
/* false: there is no such table, or what it holds is stale. */
bool um_look_table(const struct um *um, uint32_t table, struct um_table *out);
struct um_entry {
	uint32_t child;   /* upper: the table that it leads to; 0: a leaf */
	um_gfn gfn;       /* leaf: the guest's frame and the host's (window: only that) */
	um_hfn hfn;
	uint8_t rights;   /* UM_WRITE, UM_USER */
	bool global, tracked, prefetched, window;
};
/* Entry `index` of a table.  false: not present, or there is no such table or entry. */
bool um_look_entry(const struct um *um, uint32_t table, unsigned index, struct um_entry *out);
/* The cached roots, the one that was current last first: 0 gives the first, 0 comes after the last. */
uint32_t um_look_root(const struct um *um, uint32_t after);

/* One number for all that is cached: each live table of every root, what it shadows and each of its
 * entries.  The same calls with the same answers give the same number. */
uint64_t um_digest(const struct um *um);

#endif
