/* SPDX-License-Identifier: MIT */
/*
 * direct/internal.h - the inside of the direct engine: its data and its index.
 *
 *   1. Registers     what is where while translated code runs
 *   2. Worlds        4 GiB of host addresses that are a guest address space
 *   3. Blocks        translated code
 *   4. struct direct
 *   5. The index
 */
#ifndef DIRECT_INTERNAL_H
#define DIRECT_INTERNAL_H

#include <stddef.h>

#include "cpu/block.h"
#include "cpu/fpu_state.h"
#include "cpu/memory.h"
#include "direct/direct.h"
#include "direct/layout.h"

/* ---- 1. Registers ---------------------------------------------------------------------------
 *
 *   EAX ECX EDX EBX EBP ESI EDI   the guest's, upper halves zero
 *   R12D                          the guest's ESP
 *   host flags                    the guest's six arithmetic flags; DF is always clear (the guest's: DMODE_DF)
 *   RSP                           the return stack: host return addresses, one for each guest CALL
 *   R8-R11                        free within the translation of an instruction
 *   R13, R14, R15                 TLB, jump table, struct hot
 *   GS.base                       the world
 *
 * At the first host instruction of a guest instruction these are the guest's exact state (D1), and no host
 * instruction that may fault comes after one that changed it (D2).  So a signal finds an exact state.
 */
enum { R_ESP = 12, R_TLB = 13, R_TABLE = 14, R_HOT = 15 };

struct hot {
	struct cpu *cpu;
	uint64_t c_rsp, p_rsp;
	uint32_t flags;
	uint32_t mask_jump, mask_bit;
	uint32_t seg_base[2];
	uint32_t mask_tlb;
	void **table;
	struct tlb_entry *tlb;
	const void *target;
	const void *stub_fallback, *stub_link, *stub_miss, *stub_soft, *stub_fpu;
	struct fpu *fpu;
	uint8_t *world;
	uint32_t x87_bad, sse_bad;
	uint32_t mask_no_if, mask_lahf, mask_status;
};
#define HOT_IS(field, offset) _Static_assert(offsetof(struct hot, field) == (offset), #field)
HOT_IS(c_rsp, HOT_C_RSP); HOT_IS(p_rsp, HOT_P_RSP); HOT_IS(flags, HOT_FLAGS); HOT_IS(mask_jump, HOT_MASK_JUMP);
HOT_IS(mask_bit, HOT_MASK_BIT); HOT_IS(seg_base, HOT_SEG_BASE); HOT_IS(mask_tlb, HOT_MASK_TLB);
HOT_IS(table, HOT_TABLE); HOT_IS(tlb, HOT_TLB); HOT_IS(target, HOT_TARGET);
HOT_IS(stub_fallback, HOT_STUB_FALLBACK); HOT_IS(stub_link, HOT_STUB_LINK); HOT_IS(stub_miss, HOT_STUB_MISS);
HOT_IS(stub_soft, HOT_STUB_SOFT); HOT_IS(stub_fpu, HOT_STUB_FPU); HOT_IS(fpu, HOT_FPU); HOT_IS(world, HOT_WORLD);
HOT_IS(x87_bad, HOT_X87_BAD); HOT_IS(sse_bad, HOT_SSE_BAD); HOT_IS(mask_no_if, HOT_MASK_NO_IF);
HOT_IS(mask_lahf, HOT_MASK_LAHF); HOT_IS(mask_status, HOT_MASK_STATUS);
_Static_assert(offsetof(struct cpu, gpr) == 0, "enter_x86_64.S knows this");
_Static_assert(offsetof(struct cpu, kicked) == CPU_KICKED, "... this");
_Static_assert(offsetof(struct fpu, xmm) == FPU_XMM, "... and this");

/* ---- 2. Worlds ------------------------------------------------------------------------------ */

#define WORLD_BYTES (UINT64_C(1) << 32)
#define WORLD_GUARD 65536u     /* no access reaches further over the end: the guest's addresses have 32 bits */
#define WORLD_PAGES (1u << 20)
#define WORLDS_MAX 1024u       /* ids fit a node */
#define MODES 32u

/* What the code of a block may assume; part of its key.  Ring 1 stands for 1 and 2. */
enum { DMODE_RING = 3u, DMODE_FS = 1u << 2, DMODE_GS = 1u << 3, DMODE_DF = 1u << 4 };

/* Jump tables: PEXT of EIP's bits 2-16, so that a page's entries are JUMP_LINE in a row. */
#define JUMP_MASK 0x1FFFCu
#define JUMP_ENTRIES 32768u
#define JUMP_LINE 1024u
#define JUMP_LINES (JUMP_ENTRIES / JUMP_LINE)
static inline unsigned jump_line(uint32_t page) { return page % JUMP_LINES; }
static inline unsigned jump_index(uint32_t eip) { return (eip & JUMP_MASK) >> 2; }

/* Which translations a world holds. */
enum world_kind {
	WORLD_FREE,
	WORLD_USER,       /* of one root, for CPL 3 */
	WORLD_SUPERVISOR, /* of one root, for CPL 0-2 */
	WORLD_GLOBAL,     /* the global ones of every root, for CPL 0-2 while CR4.PGE is set */
};

/* One page: what is mapped, and its place in the list of its frame's mappings. */
struct mapping {
	uint32_t frame; /* (guest RAM page + 1) << 1 | writable; 0: nothing is mapped */
	uint32_t next, prev; /* nodes: world << 20 | page, + 1; 0: none */
};

struct world {
	uint8_t *base;
	struct mapping *map;      /* WORLD_PAGES of them, in memory that the host gives as it is touched */
	void **tables[MODES];     /* jump tables, or NULL */
	uint32_t root;
	enum world_kind kind;
	uint32_t id;
	uint64_t used;            /* d->clock when last entered */
	uint32_t mapped;          /* pages */
	uint32_t areas;           /* of the host's, about one for each run of pages */
	uint32_t drop_first, drop_end; /* pages whose munmap() is still to come */
	uint32_t lines_used;      /* bit: a jump table has entries in this line */
	/* Behind map[], so that a look through all worlds touches little. */
	uint16_t *dir;            /* mapped pages in each 4 MiB: 1024 of them */
	uint8_t *table_pages;     /* bit by page: a jump table has entries of it */
};
#define MAP_BYTES (WORLD_PAGES * sizeof(struct mapping) + WORLD_PAGES / 8 + 1024 * sizeof(uint16_t))

/* ---- 3. Blocks ------------------------------------------------------------------------------ */

#define CACHE_BYTES (64u << 20)
#define CACHE_SLACK 65536u        /* the largest block is smaller */
#define BLOCK_INSNS_MAX 64u
#define BLOCKS_MAX (512u << 10)
#define LINKS_MAX (1u << 20)
#define FALLBACKS_MAX (512u << 10)
#define HASH_BUCKETS (1u << 17)
#define SOFT_SLOTS (1u << 14)

/* Where a guest instruction's code begins. */
struct point {
	uint16_t host;  /* bytes from the block's code */
	uint16_t guest; /* bytes from the block's first byte; POINT_SHADOW: no interrupt before it */
};
#define POINT_SHADOW 0x8000u
static inline uint32_t guest_offset(const struct point *p) { return p->guest & ~POINT_SHADOW; }

struct block {
	uint32_t eip;
	uint32_t frame;      /* page of guest RAM */
	uint32_t next_hash, next_page; /* block numbers, 0: none */
	uint32_t second, next_crossing; /* reaches into this page of guest RAM (its number + 1) as well */
	uint32_t code;       /* offset in the cache: the checked entry */
	uint32_t code_bytes;
	uint32_t points;     /* first of its points */
	uint32_t links;      /* first of its links */
	uint16_t bytes;      /* of guest code */
	uint16_t entry;      /* bytes from the checked entry to the plain one */
	uint8_t insns;
	uint8_t mode;
	uint8_t link_count;
	bool dead;
};

/* A jump that leads to a stub until its target is known. */
struct block_link {
	uint32_t site;       /* offset in the cache of its 32-bit displacement */
	uint32_t stub;       /* where it leads while it is not linked */
	uint32_t target;     /* eip */
	uint32_t block;      /* whose it is; 0: a dead block's, to the one in its place */
	uint32_t frame;      /* the page of guest RAM that it is in */
	uint8_t mode;
	bool far;            /* the target is in another page */
	bool linked;
};

/* How often a page of guest RAM with code was written, and given up. */
struct page_patience {
	uint32_t writes;
	uint8_t times;
};

/* An instruction that the portable engine's handler does. */
struct fallback {
	struct insn insn[2]; /* the second ends it */
	uint32_t eip;
	uint32_t resume;     /* offset in the cache of what follows; 0: nothing in the block */
	uint32_t again;      /* ... of a check of x87 or SSE, to be passed */
	bool sse;
	bool shadowed;       /* the instruction after STI: nothing comes before it */
	uint32_t block;
	uint16_t index;      /* in its block */
	uint16_t cause;      /* for statistics */
	const uint8_t *second; /* in two pages, of which only the first is sure: where the second was; NULL: in one */
};

/* ---- 4. struct direct ----------------------------------------------------------------------- */

#define RETURN_STACK_BYTES 65536u
#define CAUSES 24u

struct direct {
	_Alignas(64) struct hot hot;
	struct direct_config config;
	struct cpu *cpu;
	struct um *um;
	uint32_t options;
	bool stepping;           /* direct_step(): nothing is linked */
	bool leave;              /* direct_step(): back to the caller */
	uint32_t step_block, step_index; /* which instruction comes next, where translated code was entered */
	uint64_t counted;
	uint64_t runs;
	enum cpu_exit exit;
	struct block *found;     /* by the last dispatch() */
	uint64_t clock;

	/* worlds */
	struct world *worlds;
	uint32_t world_count;
	struct world *world;     /* in use */
	bool wrgsbase;           /* the host lets programs use it */
	uint32_t *frame_nodes;   /* by page of guest RAM: first node of its mappings, + 1 */
	uint32_t areas, areas_max;

	/* code cache: the same memory twice */
	uint8_t *code;           /* executable */
	ptrdiff_t to_write;      /* code + to_write is writable */
	uint32_t used;
	uint32_t stubs;          /* where blocks begin */
	struct block *blocks;
	uint32_t block_count;
	struct block_link *links;
	uint32_t link_count;
	struct fallback *fallbacks;
	uint32_t fallback_count;
	struct point *points;
	uint32_t point_count;
	uint32_t *hash;
	uint32_t *page_blocks;   /* by page of guest RAM */
	uint8_t *code_pages;     /* bit by page: it holds translated code */
	uint8_t *second_pages;   /* ... the end of a block that begins in another page */
	struct page_patience *patience; /* by page of guest RAM */
	uint32_t crossings;      /* first block in two pages */
	uint8_t *link_pages;     /* bit by linear page: a link leads there from another page */
	uint32_t *soft;          /* hashed set of addresses of soft instructions */
	uint32_t *soft_list;     /* their slots */
	uint32_t soft_count;
	uint8_t *heat;           /* hashed by address: faults of an instruction */
	uint8_t *return_stack;   /* with a guard page on both sides */
	bool confined;           /* no system call comes from `code` any more: confine.c */

	/* signals */
	uint32_t fault_eip;
	bool stepping_out;       /* TF is set: to the next instruction's start */
	struct direct *outer;    /* what the thread ran before */

	struct direct_stats stats;
	uint64_t causes[CAUSES];
};

/* ---- 5. The index --------------------------------------------------------------------------- */

/* world.c */
bool worlds_new(struct direct *d, const char **why);
void worlds_free(struct direct *d);
/* The world for code of this kind under this root; NULL: no memory. */
struct world *find_world(struct direct *d, enum world_kind kind, uint32_t root);
/* Map `pages` pages of guest RAM from `frame` at `page`.  false: the host would not. */
bool world_map(struct direct *d, struct world *w, uint32_t page, uint32_t frame, uint32_t pages, bool writable);
void world_drop(struct direct *d, struct world *w, uint32_t first, uint32_t last); /* pages, inclusive */
void world_settle(struct direct *d, struct world *w); /* what is still to be unmapped is */
void world_reset(struct direct *d, struct world *w);
/* No mapping of this page of guest RAM may be written through. */
void protect_frame_everywhere(struct direct *d, uint32_t frame);
void forget_jumps(struct world *w);

/* fill.c: pages into worlds */
/* The shadow permits this access at `linear`, and it is mapped now. */
bool fill_page_in(struct direct *d, uint32_t linear, unsigned access);

/* cache.c: blocks, links, fallbacks */
bool cache_new(struct direct *d, const char **why);
void cache_free(struct direct *d);
void cache_flush(struct direct *d);
struct block *find_translation(struct direct *d, uint32_t eip, uint32_t frame, unsigned mode);
void add_translation(struct direct *d, struct block *b);
/* Bytes [first, last] of this page were written. */
void forget_written(struct direct *d, uint32_t frame, uint32_t first, uint32_t last);
/* ... once more: is there still any use in keeping code from it? */
void give_up_page(struct direct *d, uint32_t frame);
/* The block whose code is at this host address, or NULL. */
struct block *block_at(const struct direct *d, const uint8_t *host);
void kill_translation(struct direct *d, struct block *b);
void link_to(struct direct *d, struct block_link *l, const struct block *target);
void unlink_far(struct direct *d);
bool is_soft(const struct direct *d, uint32_t frame, uint32_t offset);
/* It faulted once more; true: it is to be translated anew.  `for_good`: to stay soft. */
bool heat_up(struct direct *d, uint32_t frame, uint32_t offset, unsigned by, bool for_good);

void redirect_link(struct direct *d, struct block_link *l);
/* A soft instruction did not find its page. */
void missed_softly(struct direct *d, uint32_t frame, uint32_t offset);
/* Soft instructions that missed little since the last time are translated anew. */
#define RUNS_PER_SWEEP 4u
void cool_down(struct direct *d);

/* confine.c */
void keep_addresses(uint8_t *code); /* in place of unmapping a confined cache */

/* translate.c */
/* The page of guest RAM behind the code at `linear`, or NULL (with nothing raised). */
const uint8_t *code_page(struct cpu *c, uint32_t linear);
struct block *translate(struct direct *d, uint32_t eip, const uint8_t *host, unsigned mode);

/* run.c */
void invalidate_returns(struct direct *d);

/* signal.c */
bool signals_new(const char **why);
/* This thread runs d from now on.  false: no memory for its signals. */
bool signals_enter(struct direct *d);
void signals_leave(struct direct *d);

/* enter_x86_64.S */
void direct_enter(struct hot *hot);
extern const uint8_t direct_stub_fallback[], direct_stub_link[], direct_stub_miss[], direct_stub_soft[],
	direct_stub_fpu[], direct_stub_return_miss[], direct_stub_fault[], direct_stub_kicked[],
	direct_stubs_begin[], direct_stubs_end[];

static inline struct direct *direct_of(struct hot *hot) { return (struct direct *)(void *)hot; }

#endif
