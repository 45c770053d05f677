/* SPDX-License-Identifier: MIT */
/*
 * shadow/core.h - the inside of libumbra: its data and its index.
 *
 *   1. Bounds       every size or loop that a guest influences
 *   2. Data         tables, links, frames, struct um
 *   3. Helpers      small inline accessors
 *   4. The index    what each file offers the others
 *
 * How it hangs together.  A shadow table is a descriptor (struct table, named by its id) with
 * memory from the embedder: 1024 shadow entries and as many links.  A slot is a table id and an
 * index in one word.  The links thread lists through the tables themselves, so that the reverse map
 * needs no memory of its own: a leaf entry is on the list of all entries of its guest frame, an
 * upper entry on the list of all parents of its child.  A guest frame's record (struct frame) heads
 * the list of its leaf entries and the list of the tables that shadow it: the cache is found by
 * frame number, without hashing, so no guest can choose colliding keys.
 *
 * Id 0 and slot 0 mean "none": zeroed memory is an empty shadow.
 */
#ifndef SHADOW_CORE_H
#define SHADOW_CORE_H

#include <umbra/shadow.h>

#include "bits.h"

/* ---- 1. Bounds ------------------------------------------------------------------------------ */

enum {
	ENTRIES = 1024,         /* slots in a table */
	SLOT_SHIFT = 10,        /* slot = id << SLOT_SHIFT | index */
	LEVELS_MAX = 4,
	TABLES_MAX = 1 << 20,   /* ids fit a slot, which fits 31 bits */
	FRAMES_MAX = 1 << 24,   /* frame numbers fit a link with its tag */
	PREFETCH_MAX = 64,
	/* One frame mapped everywhere would make write-protecting it a sweep of the whole shadow:
	 * past this many mappings a new one replaces another. */
	ALIASES_MAX = 4096,
	/* One table entered everywhere would make evicting it as slow. */
	PARENTS_MAX = 4096,
	/* A frame used as a table in every possible role would make each write to it as slow. */
	SHADOWS_MAX = 256,
	/* An entry that changes under us for ever (a device writes there) would hold us. */
	RETRIES_MAX = 64,
	/* Tables spared because they were used lately, for each one evicted. */
	CHANCES_MAX = 32,
	/* Guest tables out of step at a time: what a root switch has to bring back. */
	UNSYNC_MAX = 32,
	/* Entries compared at a switch in told mode, so that large processes that switch all the
	 * time pay for what they use: the other tables are entered anew, each by a fault. */
	REVALIDATED_MAX = 256,
	/* Tracked writes to a leaf table before it is left to itself. */
	UNSYNC_WRITES = 3,
	/* Tracked writes to an idle root before it is taken for recycled memory. */
	FLOOD_WRITES = 8,
	/* Upper entries followed to find which roots lead to a table, for hardware that keeps many:
	 * past it every root is told. */
	REACH_MAX = 64,
	/* Top-level slots of the window. */
	WINDOW_SLOTS_MAX = 16,
	/* What one demand can need at once besides window tables. */
	TABLES_RESERVED = LEVELS_MAX,
};

/* ---- 2. Data -------------------------------------------------------------------------------- */

/* One place in the reverse map.  prev of the first in a list is LINK_HEAD | the list's owner (a
 * frame number for leaves, a table id for parents): removal needs no search. */
struct link {
	uint32_t next, prev;
	uint32_t gfn; /* leaves: the guest frame mapped */
};
#define LINK_HEAD 0x80000000u
#define ROOTS_ALL UINT32_MAX

enum table_flag {
	TABLE_USED = 1u << 0,   /* looked at since the evictor last came by */
	TABLE_MULTI = 1u << 1,  /* reachable at more than one address */
	TABLE_GLOBAL = 1u << 2, /* held a global entry: the hardware may keep it across roots */
	TABLE_PINNED = 1u << 3, /* in use by the running call */
	TABLE_NO_AD = 1u << 4,  /* the guest table does not take A and D (ROM) */
};

struct table {
	uint64_t *spte;      /* the entries; NULL: this descriptor is free */
	uint64_t gva;        /* first address mapped here, unless TABLE_MULTI */
	uint32_t gfn;        /* the guest table shadowed; direct: the first frame mapped */
	uint32_t role;       /* bits.h */
	uint32_t owner;      /* UM_OPT_SHARE off: whose table (root frame + 1); else 0 */
	uint32_t generation; /* live only while it is um->generation */
	uint32_t next_same;  /* next table of the same frame; next free descriptor */
	uint32_t lru_prev, lru_next;
	uint32_t root_prev, root_next; /* roots: the list of roots, most recently current first */
	uint32_t parents;    /* first upper slot that points here */
	uint16_t nparents;
	uint16_t present;    /* entries present */
	uint8_t flags;       /* enum table_flag */
	uint8_t writes;      /* tracked writes since last known good */
	uint8_t hooked;      /* roots: 1 + the processor whose window is hooked in, 0 = none */
};

enum frame_flag {
	FRAME_BORROWED = 1u << 0,
	FRAME_REAL = 1u << 1,    /* borrowed with write */
	FRAME_ROM = 1u << 2,
	FRAME_DIRTY = 1u << 3,   /* had a writable mapping since borrowed */
	FRAME_SHADOWED = 1u << 4, /* a table shadows it (direct ones aside) */
	FRAME_UNSYNC = 1u << 5,  /* ... and is left out of step: writable, listed in um->unsync */
	FRAME_HELD = 1u << 6,    /* the running call is about to map it: not given back now */
};

struct frame {
	uint32_t rmap;    /* first leaf slot that maps it */
	uint32_t tables;  /* first table with this gfn */
	uint32_t hfn_low; /* while borrowed */
	uint8_t hfn_high;
	uint8_t flags;    /* enum frame_flag */
	uint16_t aliases; /* length of rmap */
};

/* Hardware invalidation owed before this call returns or gives a page back. */
struct pending {
	bool some, all;
	um_gva first, last;
};

struct um {
	const struct um_ops *ops;
	void *user;
	const struct um_format *fmt;
	enum um_learn learn; /* TRACKED or TOLD */
	bool bound;          /* the guest is bound by the paravirtual interface's rules: always when told */
	uint32_t options;
	uint32_t prefetch;
	uint32_t max_gfn;
	uint32_t max_tables, budget, max_roots;
	bool heard;        /* calls are: ops->enter */
	bool tagged;       /* the hardware keeps many roots: ops->invalidate_root */
	uint32_t leaving;  /* the root that is being freed, or ROOTS_ALL: it has been told of as a whole */
	um_gva limit;      /* first address that is not the guest's: the window, or the end */
	um_gva end;        /* one past the last address */
	um_gva user_end;

	uint32_t mode;
	um_gpa cr3;        /* masked */
	uint32_t root;     /* table id, 0: to be built at the next access */
	uint32_t generation;

	struct table *tables; /* [1..max_tables] */
	struct frame *frames; /* [0..max_gfn-1] */
	uint32_t roots, last_root; /* the list of roots */
	uint32_t nroots;
	uint32_t free_tables; /* descriptors never used or given back */
	uint32_t lru_head, lru_tail;
	uint32_t ntables;     /* with memory: counted against the budget */
	uint32_t nwindow;     /* ... of these, the window's */
	void *spare[TABLES_RESERVED]; /* memory set aside by the running call (counted too) */
	uint32_t nspare;
	struct pending pending;

	uint32_t unsync[UNSYNC_MAX]; /* frames */
	uint32_t nunsync;

	/* Told: the table that all roots enter at this top-level index (told.c). */
	uint32_t kernel_slot[ENTRIES];

	bool window;
	um_gva window_first;
	uint8_t window_cpu; /* 1 + cpu last entered, 0 = none */
	uint32_t window_tables[UM_MAX_CPUS][WINDOW_SLOTS_MAX];

	enum um_stop stop;
	struct um_stats stats;
};

/* A guest walk: what the guest's tables say about one access. */
struct walk {
	um_gva gva;
	unsigned access;
	unsigned leaf;             /* level of the leaf entry; fmt->levels: paging is off */
	um_gfn gfn;                /* the 4 KiB frame */
	uint32_t rights;           /* GPTE_WRITE | GPTE_USER, merged over all levels */
	uint8_t error;             /* UM_FAULT */
	uint8_t no_ad;             /* levels (bits) whose entry did not take A or D */
	um_gpa gpa[LEVELS_MAX];    /* of the entry at each level >= leaf */
	uint64_t gpte[LEVELS_MAX]; /* as read */
	uint64_t want[LEVELS_MAX]; /* as after the access: A, and D in a leaf written */
};

/* What identifies a shadow table. */
struct key {
	uint32_t gfn, role, owner;
};

enum { RIGHTS = GPTE_WRITE | GPTE_USER };

/* ---- 3. Helpers ----------------------------------------------------------------------------- */

static inline struct table *table_at(const struct um *um, uint32_t id)
{
	return &um->tables[id];
}
static inline uint32_t table_id(const struct um *um, const struct table *t)
{
	return (uint32_t)(t - um->tables);
}
static inline uint32_t slot_of(const struct um *um, const struct table *t, unsigned index)
{
	return table_id(um, t) << SLOT_SHIFT | index;
}
static inline struct table *slot_table(const struct um *um, uint32_t slot)
{
	return &um->tables[slot >> SLOT_SHIFT];
}
static inline unsigned slot_index(uint32_t slot)
{
	return slot & (ENTRIES - 1u);
}
static inline struct link *link_at(const struct table *t, unsigned index)
{
	return (struct link *)(void *)(t->spte + ENTRIES) + index;
}
static inline unsigned level_of(const struct table *t)
{
	return t->role & ROLE_LEVEL_MASK;
}
static inline unsigned top_level(const struct um *um)
{
	return um->fmt->levels - 1u;
}
static inline unsigned index_bits(const struct um *um, unsigned level)
{
	return um->fmt->level[level].index_bits;
}
static inline unsigned entries_of(const struct um *um, unsigned level)
{
	return 1u << index_bits(um, level);
}
static inline unsigned index_at(const struct um *um, unsigned level, um_gva gva)
{
	return (unsigned)(gva >> um->fmt->level[level].shift) & (entries_of(um, level) - 1u);
}
/* Bytes mapped by one entry of a level. */
static inline uint64_t span_of(const struct um *um, unsigned level)
{
	return UINT64_C(1) << um->fmt->level[level].shift;
}
static inline struct table *next_root(const struct um *um, const struct table *after)
{
	uint32_t id = after ? after->root_next : um->roots;

	return id ? &um->tables[id] : NULL;
}
static inline bool is_live(const struct um *um, const struct table *t)
{
	return t->generation == um->generation;
}
static inline struct table *child_of(const struct um *um, uint64_t spte)
{
	return &um->tables[spte_frame(spte)];
}
static inline struct frame *frame_at(const struct um *um, um_gfn gfn)
{
	return &um->frames[gfn];
}
static inline um_hfn frame_hfn(const struct frame *f)
{
	return (um_hfn)f->hfn_high << 32 | f->hfn_low;
}
/* A write to this frame must come to us. */
static inline bool is_tracked(const struct um *um, const struct frame *f)
{
	return (f->flags & (FRAME_SHADOWED | FRAME_UNSYNC)) == FRAME_SHADOWED &&
	       um->learn == UM_LEARN_TRACKED;
}
static inline uint32_t role_rights(uint32_t role)
{
	return role >> ROLE_RIGHTS_SHIFT & RIGHTS;
}
static inline void observe(const struct um *um, enum um_event_kind kind, um_gva gva, um_gpa gpa,
                           uint64_t value)
{
	if (um->ops->event) {
		struct um_event event = { kind, gva, gpa, value };

		um->ops->event(um->user, &event);
	}
}

/* For recordings: a call begins, a call ends.  Calls inside the core are not heard. */
static inline void enter(const struct um *um, enum um_call_kind kind, uint64_t a, uint64_t b,
                         uint64_t c)
{
	if (um->heard) {
		struct um_call call = { kind, { a, b, c, 0 } };

		um->ops->enter(um->user, &call);
	}
}
static inline enum um_result leave(const struct um *um, enum um_result result,
                                   const struct um_map *map)
{
	if (um->heard)
		um->ops->leave(um->user, result, map);
	return result;
}

/* ---- 4. The index --------------------------------------------------------------------------- */

/* walk.c: read the guest's tables. */
enum um_result walk_guest(struct um *um, struct walk *w);
bool read_gpte(const struct um *um, um_gpa gpa, uint64_t *gpte);
/* The guest's entry behind entry `index` of t (not a direct one).  false: no memory there. */
bool read_shadowed(const struct um *um, const struct table *t, unsigned index, uint64_t *gpte);
/* Write Accessed and Dirty where they are wanted.  false: an entry has changed; walk again.
 * `insist`: go on even if an entry does not take them. */
bool write_accessed_dirty(struct um *um, struct walk *w, bool insist);
enum um_stop check_told(const struct um *um, uint64_t gpte, enum um_stop bits);
um_gfn gpte_frame(const struct um *um, uint64_t gpte);

/* rmap.c: leaf entries, the lists of a frame's mappings, borrowed frames. */
/* Borrow the frame and hold it until release_frame(), which gives it back if nothing maps it. */
enum um_grant borrow_frame(struct um *um, um_gfn gfn, bool write);
void release_frame(struct um *um, um_gfn gfn);
void set_leaf(struct um *um, struct table *t, unsigned index, um_gfn gfn, uint64_t bits);
void drop_leaf(struct um *um, struct table *t, unsigned index);
void discard_leaf(struct um *um, struct table *t, unsigned index); /* the caller invalidates */
void protect_frame(struct um *um, um_gfn gfn);
void drop_frame(struct um *um, um_gfn gfn);

/* key.c: which table an upper entry leads to. */
struct key root_key(const struct um *um);
struct key key_of(const struct table *t);
bool child_key(const struct um *um, const struct key *parent, unsigned index, uint64_t gpte,
               struct key *child);
bool has_key(const struct um *um, const struct table *t, const struct key *key);
/* Does gpte, in the guest table behind the upper table t, have a reserved bit set? */
bool upper_reserved(const struct um *um, const struct table *t, uint64_t gpte);

/* table.c: the cache of shadow tables. */
struct table *find_table(const struct um *um, const struct key *key);
bool reserve_tables(struct um *um, unsigned count);
struct table *make_table(struct um *um, const struct key *key); /* from the reserve */
struct table *make_window_table(struct um *um, um_gva gva);     /* from the reserve */
void free_table(struct um *um, struct table *t);
void *strip_table(struct um *um, struct table *t); /* free it but keep its memory, all zero */
void link_child(struct um *um, struct table *parent, unsigned index, struct table *child);
void unlink_slot(struct um *um, struct table *parent, unsigned index);
bool is_idle(const struct table *t); /* nothing leads to it */

/* evict.c: who goes first. */
void lru_insert(struct um *um, struct table *t);
void lru_remove(struct um *um, struct table *t);
void lru_touch(struct um *um, struct table *t);
void *evict_one(struct um *um, bool stale_only, bool even_root);
void put_memory(struct um *um, void *memory);
void release_spares(struct um *um);
void free_all_tables(struct um *um);

/* invalidate.c: the hardware's copies. */
void invalidate_leaf(struct um *um, const struct table *t, unsigned index, uint64_t spte);
void invalidate_upper(struct um *um, const struct table *t, unsigned index);
void invalidate_table(struct um *um, const struct table *t);
void invalidate_everything(struct um *um);
void invalidate_page(struct um *um, um_gva gva); /* of the current root, cached here or not */
void commit_invalidate(struct um *um);

/* root.c */
struct table *make_root(struct um *um); /* from the reserve; makes it the current one */
void root_removed(struct um *um, struct table *t);

/* fill.c: build entries. */
/* The shadow bits that entry `index` of t may hold for gpte; 0: none. */
uint64_t leaf_bits(const struct um *um, const struct table *t, uint64_t gpte, unsigned access);
/* Build entry `index` of t without an access behind it, if gpte permits it. */
bool fill_ahead(struct um *um, struct table *t, unsigned index, uint64_t gpte, bool prefetch);

/* prefetch.c */
void prefetch_around(struct um *um, struct table *t, unsigned index);

/* sync.c: bring entries in step with the guest's; how many were not. */
unsigned sync_entry(struct um *um, struct table *t, unsigned index);
unsigned sync_table(struct um *um, struct table *t);

/* tracked.c */
void frame_written(struct um *um, um_gfn gfn, unsigned first, unsigned last);
/* The guest wants to write the tracked frame: stop tracking it if that is wise. */
void consider_untracking(struct um *um, um_gfn gfn);

/* unsync.c */
void make_unsync(struct um *um, um_gfn gfn);
void sync_frame(struct um *um, um_gfn gfn);
void sync_all(struct um *um);
void forget_unsync(struct um *um, um_gfn gfn);

/* told.c */
#define SLOT_DIVERGED UINT32_MAX /* um->kernel_slot: roots lead to different tables here */
void told_linked(struct um *um, unsigned index, const struct table *child);
bool told_in_step(const struct um *um, unsigned index, const struct table *child);
void drop_user_half(struct um *um, struct table *root);
void revalidate_user_half(struct um *um, struct table *root);
void told_reset(struct um *um);

/* look.c */
/* The lowest table the current root leads to for gva, or NULL. */
struct table *current_leaf(const struct um *um, um_gva gva);
enum um_result look_up(struct um *um, um_gva gva, unsigned access, struct um_map *map);

/* flush.c */
void flush_all(struct um *um);

/* window.c */
void hook_window(struct um *um, struct table *root);
void refresh_window(struct um *um);
void free_window(struct um *um);

#endif
