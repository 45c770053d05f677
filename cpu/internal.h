/* SPDX-License-Identifier: MIT */
/*
 * cpu/internal.h - the inside of the portable engine: its index.
 *
 * How an instruction runs.  decode.c asks Zydis once, fills a `struct insn` with operands in a plain form
 * and asks the select_*() functions, in order, for the handler.  Instructions that follow each other make
 * a block (block.c), keyed by where its bytes are in *host* memory, so that aliases and address-space
 * switches do not matter.  A handler does its work and tail-calls the next one's (NEXT); the last of a
 * block sets c->eip and returns to the loop (run.c).
 *
 * What a handler returns:
 *   NEXT          go on with the following instruction of the block (never returns in a good compiler;
 *                 blocks are short enough that a bad one only nests)
 *   RUN_BLOCK     c->eip is set; the loop goes on from there (checks interrupts)
 *   RUN_FAULT     an exception is recorded in c->exc; architectural state is as before the instruction
 *                 (for traps: as after it, with c->eip set); the loop delivers it
 *   RUN_EXIT      c->exit says why cpu_run() returns; c->eip is set
 *
 * An instruction's own address is c->block_eip + i->off: eip is not kept up to date inside a block.
 * A handler that may fault does every access that can fail before it changes any register or memory.
 */
#ifndef CPU_INTERNAL_H
#define CPU_INTERNAL_H

#include "cpu/cpu.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

struct insn;
enum run { RUN_BLOCK, RUN_FAULT, RUN_EXIT };
typedef enum run insn_fn(struct cpu *c, const struct insn *i);

#define NEXT(c, i) return (i)[1].fn((c), (i) + 1)

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "guest registers and memory are accessed in place: the host must be little-endian"
#endif

/* ---- Decoded instruction -------------------------------------------------------------------- */

enum { REG_NONE = 8 }; /* c->gpr[REG_NONE] is always 0 */

struct insn {
	insn_fn *fn;
	union {
		struct {
			uint32_t disp; /* displacement of the memory operand, sign-extended; ENTER's second
			                * immediate, far pointers' selector */
			uint32_t imm;  /* immediate (sign-extended to the operand size), or relative branch
			                * distance */
		};
		const struct insn *successor; /* of a poisoned block's first: block.c */
	};
	uint16_t off;       /* bytes from the block's first byte to this instruction */
	uint16_t thunk;     /* host code for the handler: fpu_state.h */
	uint8_t len;        /* bytes */
	uint8_t opsize : 3; /* operand size by prefix and mode: 2 or 4 */
	uint8_t addrsize : 3; /* 2 or 4 */
	uint8_t prefix : 2; /* mandatory/REP prefix: PREFIX_* (F2/F3 win) */
	uint8_t seg : 3;    /* segment register of the memory operand (CPU_ES..CPU_GS), override applied */
	uint8_t first : 1;  /* of its block */
	uint8_t crossing : 1; /* ... which depends on another page's translation: no link may lead here */
	uint8_t linked : 1; /* poisoned: `successor` holds */
	uint8_t base, index;/* 0..7 or REG_NONE */
	uint8_t scale;      /* shift 0..3 */
	uint8_t reg;        /* ModRM.reg, or the register of a +r opcode */
	uint8_t rm;         /* ModRM.rm as a register when mod == 3 */
	uint8_t flags;      /* INSN_* */
	uint8_t opcode;     /* last opcode byte */
	uint8_t size;       /* access size in bytes, where a handler serves several */
	uint8_t count;      /* 1 for the block's first instruction, 2 for the second... (block.c) */
};
/* Two to a cache line: a kernel's timer tick streams through thousands of them, each once. */
_Static_assert(sizeof(struct insn) == 32 || sizeof(void *) != 8, "struct insn has grown");
enum { PREFIX_NONE, PREFIX_66, PREFIX_F3, PREFIX_F2 };
enum {
	INSN_MEM = 1u << 0,   /* has a memory operand (ModRM) */
	INSN_LOCK = 1u << 1,
	INSN_REP = 1u << 2,   /* F3 */
	INSN_REPNE = 1u << 3, /* F2 */
	INSN_END = 1u << 4,   /* the last of its block: never uses NEXT.  Set for branches by decode.c, by
	                       * select_*() for others that always return to the loop (HLT, MOV CR...) */
	INSN_TAKEN_NEAR = 1u << 5, /* branch: the target lies in the block's own page */
	INSN_FALL_NEAR = 1u << 6,  /* ... and so does the following instruction */
};

/* What a block's last instruction is followed by: its successors in the same page, NULL until known.  In
 * the place of one more struct insn, so that a handler finds it at i + 1. */
struct link {
	const struct insn *taken, *fall;
};

/* What decode.c hands to select_*(): Zydis' view, for the mnemonic. */
struct decoded; /* decode.h: { ZydisDecodedInstruction z; uint8_t bytes[15]; ... } */
/* Each returns the handler for its own instructions and completes *i, NULL for everybody else's. */
insn_fn *select_integer(const struct decoded *d, struct insn *i); /* select_integer.c */
insn_fn *select_system(const struct decoded *d, struct insn *i);  /* select_system.c */
insn_fn *select_fpu(const struct decoded *d, struct insn *i);     /* select_fpu.c: x87 */
insn_fn *select_simd(const struct decoded *d, struct insn *i);    /* select_simd.c: MMX, FXSR, SSE, SSE2 */
insn_fn op_undefined;                                             /* raises #UD */

/* ---- The processor -------------------------------------------------------------------------- */

enum vector {
	EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7,
	EXC_DF = 8, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_MF = 16,
	EXC_AC = 17, EXC_XM = 19,
};

enum {
	FL_CF = 1u << 0, FL_PF = 1u << 2, FL_AF = 1u << 4, FL_ZF = 1u << 6, FL_SF = 1u << 7, FL_TF = 1u << 8,
	FL_IF = 1u << 9, FL_DF = 1u << 10, FL_OF = 1u << 11, FL_IOPL = 3u << 12, FL_NT = 1u << 14,
	FL_RF = 1u << 16, FL_VM = 1u << 17, FL_AC = 1u << 18, FL_VIF = 1u << 19, FL_VIP = 1u << 20,
	FL_ID = 1u << 21,
	FL_STATUS = FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF,
};
enum {
	CR0_PE = 1u << 0, CR0_MP = 1u << 1, CR0_EM = 1u << 2, CR0_TS = 1u << 3, CR0_ET = 1u << 4,
	CR0_NE = 1u << 5, CR0_WP = 1u << 16, CR0_AM = 1u << 18, CR0_NW = 1u << 29, CR0_CD = 1u << 30,
	CR0_PG = 1u << 31,
};
enum {
	CR4_VME = 1u << 0, CR4_PVI = 1u << 1, CR4_TSD = 1u << 2, CR4_DE = 1u << 3, CR4_PSE = 1u << 4,
	CR4_PGE = 1u << 7, CR4_PCE = 1u << 8, CR4_OSFXSR = 1u << 9, CR4_OSXMMEXCPT = 1u << 10,
};

/* Lazy arithmetic flags: the last result and enough of its carries to derive all six without knowing the
 * operation (flags.h explains and owns this).  Everybody else uses get_eflags()/set_eflags(). */
struct lazy_flags { int64_t result; uint64_t aux; };

#define TLB_ENTRIES 1024u
/* A translation for one mode (user or supervisor).  A tag is the page's linear address when the access is
 * permitted straight to memory, else TLB_NEVER; an access of n bytes compares the page of its *last*
 * byte with the entry of its first, so that page-crossing ones take the slow path. */
struct tlb_entry {
	uint32_t read, write;
	uintptr_t addend; /* host address = linear + addend */
};
#define TLB_NEVER 0xFFFFFFFFu

struct fpu; /* fpu.h */
struct block_cache; /* block.h */
struct decoder; /* decode.h */
struct warm; /* warm.c */

struct cpu {
	uint32_t gpr[9]; /* [8] is 0: "no register" in address arithmetic */
	uint32_t eip;        /* valid outside blocks */
	uint32_t block_eip;  /* eip of the running block's first instruction */
	struct lazy_flags lazy;
	uint32_t flags;      /* EFLAGS without the six status flags (bit 1 set) */
	union {              /* tested together by the last instruction of a block */
		struct {
			uint32_t events; /* EV_*: something for the loop to look at before the next block */
			volatile uint32_t kicked; /* by cpu_kick(): any thread, any time */
		};
		volatile uint64_t pending;
	};
	int64_t budget;      /* instructions left before the loop is to be seen again */
	int64_t reserve;     /* ... and after that in this cpu_run() */
	int64_t slice;       /* what cpu_run() was given */
	uint64_t bounce;     /* memory.h: a value on its way from or to memory */
	uint32_t linear;     /* memory.h: result of seg_linear_slow() */
	struct tlb_entry *tlb; /* of the current privilege: tlbs[cpl == 3] */
	struct jump *jumps;  /* block.h: blocks by linear address */
	uint32_t jump_key;   /* generation and mode that a jump must agree with */
	uint8_t flat_all;    /* run.c: bit per flat segment, CS too */
	uint8_t flat_segs;   /* bit per segment register: base 0, limit 4 GiB, readable and writable */
	uint8_t no_tags;     /* NO_TAGS: TLB off: data breakpoints, alignment checks, or the option; OBSERVED; WATCHED */
	bool align_check;    /* CR0.AM, EFLAGS.AC, CPL 3 */
	const struct insn **patch; /* the link that led to the loop, to be set by it; or NULL */
	uint32_t debug_hits; /* DR6 bits of data and I/O breakpoints met by the running instruction */

	struct cpu_segment seg[6], ldtr, tr;
	struct { uint32_t base; uint16_t limit; } gdtr, idtr;
	uint8_t cpl;
	uint8_t mode;        /* MODE_*: what decoding depends on; recomputed by mode_changed() */
	uint8_t exit;        /* enum cpu_exit for RUN_EXIT */
	bool halted;
	bool irq_line, nmi_pending, nmi_blocked;
	bool inhibit;        /* STI / MOV SS shadow: no interrupt before the next instruction is done */
	bool inhibit_debug;  /* MOV SS, POP SS: no debug trap either */
	uint32_t flags_seen; /* flags_changed()'s: `flags` at its last call */
	uint32_t cr0, cr2, cr3, cr4;
	uint32_t int_eip;    /* of the INT n or INTO being delivered */
	bool is_int;         /* ... and that is what is running, though eip is behind it */
	uint32_t dr[8];
	uint32_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t misc_msr[4]; /* system code's own: PAT, MTRR default, APIC base... */

	/* The exception being raised, or none (vector < 0). */
	struct {
		int vector;
		bool has_error;
		bool software;    /* INT n, INT3, INTO: gate DPL is checked, eip is after it */
		uint32_t error;
	} exc;
	/* The event whose delivery the host could not finish (CPU_EXIT_NOMEM, CPU_EXIT_STOP), vector < 0: none.
	 * The next cpu_run() begins with it. */
	struct {
		int vector;
		bool has_error, software, external;
		uint32_t error;
	} undelivered;

	uint64_t instructions;
	struct cpu_observer observer; /* observe.c */
	bool exact;            /* observed: c->eip is the running instruction's (or nothing is running) */
	bool again;            /* the next instruction runs alone, to be exact about it */
	bool alone;            /* the running one does: of a repeated one, an element */
	struct debugger {      /* breakpoint.c */
		unsigned count, executes, watches;
		bool splits;       /* any bit of `split` */
		bool hit;          /* stop.breakpoint was accessed: stop after the instruction */
		uint8_t step;      /* STEP_* */
		uint8_t pass;      /* PASS_* */
		bool passes_rep;
		uint32_t pass_linear, pass_esp, pass_cr3;
		struct cpu_stop stop;
		struct cpu_breakpoint breakpoint[CPU_BREAKPOINTS_MAX];
		uint64_t split[UM_PAGE_SIZE / 64]; /* offsets in pages where blocks begin that only the loop leads to */
	} debugger;
	struct um *um;
	struct cpu_bus bus;
	struct cpu_trace trace;
	uint32_t options;
	uint8_t *ram;
	size_t ram_bytes;
	struct fpu *fpu;
	struct block_cache *blocks;
	const struct decoder *decoder;
	struct memo *memos;    /* uncached.c */
	struct warm *warm;     /* warm.c */
	/* Who else keeps code made from guest memory (the direct engine), or none. */
	struct {
		void *user;
		const uint8_t *pages; /* bit by page of guest RAM: there is such code; NULL: nobody */
		void (*written)(void *user, const uint8_t *host, unsigned bytes); /* within one page */
		void (*decoded)(void *user, const uint8_t *host); /* this engine keeps some from there now */
	} watch;
	uint64_t tsc_hz;
	uint64_t window;       /* where the window begins; 1 << 32: there is none */
	uint16_t host_code;
	char last_words[512];  /* how the shutdown came about */
	struct tlb_entry tlbs[2][TLB_ENTRIES];
	uint64_t tlb_global[2][TLB_ENTRIES / 64]; /* bit per entry: may stay over cpu_invalidate_nonglobal() */
};

/* MODE_FLAT: CS, SS, DS and ES are flat (and CPU_OPT_FLAT).  MODE_STEP: one instruction a block (TF, a
 * breakpoint armed). */
enum { MODE_CODE32 = 1u << 0, MODE_STACK32 = 1u << 1, MODE_FLAT = 1u << 2, MODE_STEP = 1u << 3,
       MODE_USER = 1u << 4 };
/* cpu.no_tags.  OBSERVED: only that somebody hears of what the TLB has no answer for.  WATCHED: some pages' accesses
 * may meet a debugger's watchpoint, and those have no tags. */
enum { NO_TAGS = 1u << 0, OBSERVED = 1u << 1, WATCHED = 1u << 2 };
/* c->exit, inside: the instruction at EIP runs again, alone (observe.c). */
#define EXIT_AGAIN 0xFFu
/* What a decoded instruction depends on. */
#define MODE_DECODING (MODE_CODE32 | MODE_STACK32 | MODE_FLAT | MODE_STEP)
/* EV_INHIBIT: c->inhibit was set.  EV_HALT: c->halted was.  EV_STEP: TF or an armed breakpoint.
 * EV_RESUME: RF is set.  EV_CODE: look the running code up again.  EV_EXIT: leave with c->exit.
 * EV_RECORD: warm.c wants to see each block.  EV_DEBUGGER: breakpoint.c has something to do or to say. */
enum { EV_IRQ = 1u << 0, EV_NMI = 1u << 1, EV_CODE = 1u << 2, EV_STEP = 1u << 3, EV_INHIBIT = 1u << 4,
       EV_HALT = 1u << 5, EV_EXIT = 1u << 6, EV_RESUME = 1u << 7, EV_RECORD = 1u << 8,
       EV_DEBUGGER = 1u << 9 };

/* ---- The index ------------------------------------------------------------------------------ */

/* flags.h (inline): uint32_t get_eflags(c); void set_eflags(c, value, mask);  -- mask says which bits change;
 * changes of IF/TF/VM/IOPL take effect (events, mode) through flags_changed(). */
void flags_changed(struct cpu *c);

/* memory.h (inline fast paths) and memory.c: guest memory through the TLB.  All return false after recording
 * an exception (#PF; #GP/#SS/#AC for the segment forms).  Privilege is c->cpl's for the seg forms.
 *   bool seg_read8/16/32/64(c, seg, offset, &value)      bool seg_write8/16/32/64(c, seg, offset, value)
 *   bool seg_read_bytes(c, seg, offset, buf, n)          bool seg_write_bytes(c, seg, offset, buf, n)   n <= 512
 *   bool seg_probe_write(c, seg, offset, n)              (checks all, touches A/D, changes no memory)
 *   bool lin_read8/16/32/64(c, linear, access, &value)   bool lin_write8/16/32(c, linear, access, value)
 *       access: 0 (supervisor, as descriptor tables and TSSs are) or UM_USER
 *   bool lin_probe_write(c, linear, n, access)
 *   uint32_t ea(c, i)     effective offset of the memory operand (address size applied)
 */

/* run.c */
/* For another engine on the same state, between instructions.  What comes before the next one (interrupts...):
 * false: c->exit.  *extra: MODE_STEP when just one may follow.  c->budget: 0 when none follows now. */
bool cpu_attend(struct cpu *c, unsigned *extra);
/* Execute i, which no other follows but an end (op_block_return), at c->block_eip, and what comes of it (an
 * exception is delivered).  false: c->exit. */
bool cpu_execute(struct cpu *c, const struct insn *i);
/* One block at EIP, or with MODE_STEP one instruction.  false: c->exit. */
bool cpu_run_block(struct cpu *c, unsigned extra);
/* One instruction at EIP (with c->budget 1), of which no decoded block is kept. */
bool cpu_run_insn(struct cpu *c);
/* Record an exception; returns RUN_FAULT so that handlers can `return raise(...)`.  Faults leave eip at the
 * instruction: c->eip = c->block_eip + i->off is done by the loop from the handler's `i` via these. */
enum run raise_exception(struct cpu *c, const struct insn *i, enum vector vector);
#define raise(c, i, vector) raise_exception((c), (i), (vector)) /* the C library has a raise() */
enum run raise_error(struct cpu *c, const struct insn *i, enum vector vector, uint32_t error);
/* After an access returned false: finish the fault of instruction i. */
enum run faulted(struct cpu *c, const struct insn *i);
/* Record an exception without an instruction at hand (inside helpers that return bool): always false. */
bool fault(struct cpu *c, enum vector vector, uint32_t error); /* vectors without error code ignore it */
/* End the block after instruction i: eip = the following one. */
enum run end_block(struct cpu *c, const struct insn *i);
enum run exit_run(struct cpu *c, const struct insn *i, enum cpu_exit why); /* after i */
/* Set c->halted or c->inhibit, and make the loop see it. */
void set_halted(struct cpu *c);
void set_inhibit(struct cpu *c);
/* After any change of CPL, a segment register, CR0.AM/PE, DR7 (flags_changed() is for EFLAGS). */
void mode_changed(struct cpu *c);
/* ... after a change of nothing but CS, SS and CPL; of nothing but DS, ES, FS or GS. */
void ring_changed(struct cpu *c);
void data_segment_changed(struct cpu *c, unsigned seg);
static inline uint32_t insn_eip(const struct cpu *c, const struct insn *i) { return c->block_eip + i->off; }
static inline uint32_t next_eip(const struct cpu *c, const struct insn *i)
{
	return c->block_eip + i->off + i->len;
}

/* segment.c: loads in real, protected and V86 mode with all checks (SDM vol. 3, 5.5-5.7) */
bool load_segment(struct cpu *c, unsigned seg, uint16_t selector);    /* MOV/POP/LxS to ES, SS, DS, FS, GS */
void set_segment_real(struct cpu *c, unsigned seg, uint16_t selector);
/* What a descriptor makes of a segment register. */
static inline struct cpu_segment unpack_descriptor(uint16_t selector, uint32_t lo, uint32_t hi)
{
	struct cpu_segment s = {
		.selector = selector,
		.attr = (uint16_t)((hi >> 8) & 0xF0FF),
		.base = (lo >> 16) | (hi & 0xFF) << 16 | (hi & 0xFF000000),
		.limit = (lo & 0xFFFF) | (hi & 0xF0000),
	};

	if (s.attr & 1u << 15 /* G */)
		s.limit = s.limit << 12 | 0xFFF;
	return s;
}

/* far.c */
bool far_jump(struct cpu *c, uint16_t selector, uint32_t offset, uint32_t return_eip, unsigned opsize);
bool far_call(struct cpu *c, uint16_t selector, uint32_t offset, uint32_t return_eip, unsigned opsize);
bool far_return(struct cpu *c, unsigned opsize, uint16_t pop_bytes);
bool interrupt_return(struct cpu *c, uint32_t next_eip, unsigned opsize); /* IRET */

/* interrupt.c: deliver what c->exc holds, or an external vector, through the IDT; double and triple faults.
 * c->eip is the address to push.  false: shutdown. */
bool deliver_exception(struct cpu *c);
bool deliver_external(struct cpu *c, unsigned vector);
bool deliver_undelivered(struct cpu *c); /* c->undelivered.vector >= 0 */
/* INT n, INT3, INTO: record the vector to be delivered after instruction i; what a handler returns. */
enum run software_interrupt(struct cpu *c, const struct insn *i, unsigned vector);

/* task.c */
enum task_switch { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_GATE };
bool switch_task(struct cpu *c, uint16_t selector, enum task_switch why, uint32_t next_eip, bool push_error,
                 uint32_t error);

/* control.c */
void control_changed(struct cpu *c, uint32_t old_cr0, uint32_t old_cr4); /* tells the core the mode */
/* observe.c: tell the observer.  false: c->exit is EXIT_AGAIN */
bool observe_access(struct cpu *c, uint32_t linear, unsigned access, enum um_result result, const struct um_map *map);
/* breakpoint.c, a debugger's.  (The guest's own: debug.c) */
/* Does an instruction that is part of a block begin a new one, at this offset in its page? */
static inline bool splits_at(const struct cpu *c, unsigned offset)
{
	return unlikely(c->debugger.splits) && c->debugger.split[offset / 64] >> offset % 64 & 1;
}
/* i is about to run, at `linear`, where splits_at() says so.  false: not now, c->exit says why. */
bool may_run(struct cpu *c, uint32_t linear, const struct insn *i);
/* Would may_run() refuse the next one? */
bool breaks_next(const struct cpu *c);
bool watches_page(const struct cpu *c, uint32_t linear);
/* With WATCHED, before an access and after it.  false: c->exit is EXIT_AGAIN */
bool check_watched(struct cpu *c, uint32_t linear, unsigned bytes, bool write);
void note_watched(struct cpu *c, uint32_t linear, unsigned bytes, bool write);
/* What attending takes: is it time to stop (c->exit is set)?  Does the next instruction run alone, and unless it goes on
 * with what it has begun before any interrupt?  It is going to be run.  A run ends.  The state is another. */
bool stops_now(struct cpu *c);
enum next { NEXT_ANY, NEXT_ALONE, NEXT_ALONE_FIRST };
enum next what_is_next(const struct cpu *c);
void grant_next(struct cpu *c);
bool stops_at_handler(struct cpu *c); /* what was stepped came out as an event's delivery */
void end_debugged_run(struct cpu *c);
void debugger_starts_afresh(struct cpu *c);

/* debug.c: DR7-armed data and I/O breakpoints; bits for DR6, 0 = none */
uint32_t debug_match(const struct cpu *c, uint32_t linear, unsigned bytes, unsigned type);
/* io.c */
bool io_permitted(struct cpu *c, uint16_t port, unsigned bytes); /* CPL/IOPL/TSS bitmap; #GP recorded */

/* fpu.c */
bool fpu_new(struct cpu *c);   /* allocates c->fpu; false: no memory */
void fpu_free(struct cpu *c);
void fpu_reset(struct cpu *c); /* RESET/FNINIT state */
void fpu_save(struct cpu *c, uint8_t image[512]);  /* FXSAVE form, for cpu_get_state */
void fpu_load(struct cpu *c, const uint8_t image[512]);

#endif
