/* SPDX-License-Identifier: MIT */
/*
 * cpu/cpu.h - the portable engine: an i686 in software that sees memory through the shadow only.
 *
 *   1. The outside   struct cpu_bus: ports, memory-mapped I/O, interrupt acknowledge, time
 *   2. Life          cpu_new, cpu_free, cpu_reset
 *   3. Running       cpu_run and its exits
 *   4. State         struct cpu_state: the architectural registers, in and out
 *   5. Lines         interrupts, NMI, invalidation (called from the core's callbacks), code writes
 *   6. A host inside what a host does that keeps ring 0 for itself
 *   7. Observing     who hears what the TLB had no answer for
 *   8. A debugger   breakpoints and steps that the guest does not see
 *
 * The engine knows the shadow core and nothing of devices.  One thread at a time uses a cpu, except
 * cpu_kick(), which any thread and any signal handler may call.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <umbra/shadow.h>

struct cpu;

/* ---- 1. The outside ------------------------------------------------------------------------- */

/* Something that is delivered through the IDT. */
struct cpu_event {
	unsigned vector;
	bool software;   /* INT n, INT3, INTO: eip is after the instruction */
	bool external;
	bool has_error;
	uint32_t error;
	uint32_t eflags; /* as a gate pushes them */
};
enum cpu_trap {
	CPU_TRAP_RESUME, /* dealt with: go on from the state that the processor is in now */
	CPU_TRAP_LEAVE,  /* ... but leave cpu_run() first, with CPU_EXIT_HOST */
	CPU_TRAP_AGAIN,  /* cpu_reflect() was refused by the shadow: leave cpu_run() with that; the event
	                  * comes again first thing in the next one */
};

struct cpu_bus {
	void *user;
	uint32_t (*port_in)(void *user, uint16_t port, unsigned bytes); /* bytes: 1, 2, 4 */
	void (*port_out)(void *user, uint16_t port, unsigned bytes, uint32_t value);
	uint64_t (*mmio_read)(void *user, um_gpa gpa, unsigned bytes);  /* bytes: 1, 2, 4, 8 */
	void (*mmio_write)(void *user, um_gpa gpa, unsigned bytes, uint64_t value);
	int (*ack_irq)(void *user);      /* INTA cycle: vector 0..255; -1: the line fell meanwhile */
	uint64_t (*tsc)(void *user);     /* what RDTSC returns */
	void (*ferr)(void *user);        /* x87 exception with CR0.NE clear: IRQ 13; NULL: #MF instead */
	/* INT n is about to be executed by software (may be NULL).  true: it was a hypercall, carried out;
	 * go on after the instruction.  VMCALL/VMMCALL ask with vector 0x100 before they raise #UD. */
	bool (*software_int)(void *user, struct cpu *cpu, unsigned vector);
	/* An event met a gate that leads to the host's code segment (cpu_config.host_code): the gate's
	 * checks are done, nothing has been pushed, eip is what would be. */
	enum cpu_trap (*trap)(void *user, struct cpu *cpu, const struct cpu_event *event);
};

/* Optimisations, each with its switch. */
enum cpu_opt {
	CPU_OPT_BLOCKS = 1u << 0,  /* cache decoded blocks (off: decode each instruction each time) */
	CPU_OPT_CHAIN = 1u << 1,   /* jump from block to block without a look-up */
	CPU_OPT_FUSE = 1u << 2,    /* compare-and-branch pairs as one operation */
	CPU_OPT_TLB = 1u << 3,     /* keep translations (off: ask the shadow at every access) */
	CPU_OPT_STRINGS = 1u << 4, /* REP MOVS/STOS by the page */
	CPU_OPT_FLAT = 1u << 5,    /* skip limit checks in flat segments */
	CPU_OPT_WARM = 1u << 6,    /* when HLT ends, prefetch what waking took last time */
	CPU_OPT_ALL = (1u << 7) - 1,
};

struct cpu_config {
	struct um *um;        /* the shadow; its callbacks must call cpu_invalidate*() */
	struct cpu_bus bus;
	uint32_t options;     /* enum cpu_opt */
	/* Guest RAM as the host sees it, one range.  A host frame number (um_hfn) times 4096 is a host
	 * address inside it. Frames outside (a ROM) run uncached. */
	uint8_t *ram;
	size_t ram_bytes;
	uint64_t tsc_hz;      /* reported by CPUID where it can be */
	/* A guest that runs in rings 1 to 3 (section 6); both 0: none. */
	uint32_t window;      /* first address of the core's reserved window: the processor's own reads of
	                       * descriptor tables and task state segments find its pages there */
	uint16_t host_code;   /* selector in IDT gates that means: call bus.trap */
};

/* ---- 2. Life -------------------------------------------------------------------------------- */

struct cpu *cpu_new(const struct cpu_config *config); /* NULL: no memory */
void cpu_free(struct cpu *cpu);
/* The state after RESET (SDM vol. 3, table 9-1): real mode, CS base 0xFFFF0000, EIP 0xFFF0. */
void cpu_reset(struct cpu *cpu);

/* ---- 3. Running ----------------------------------------------------------------------------- */

enum cpu_exit {
	CPU_EXIT_BUDGET,   /* about the number of instructions asked for have run */
	CPU_EXIT_KICKED,   /* cpu_kick() */
	CPU_EXIT_HALTED,   /* HLT: call again when an interrupt is pending (it returns HALTED until then).  A budget that
	                    * ends with HLT itself is BUDGET, and the next call says this */
	CPU_EXIT_SHUTDOWN, /* triple fault: cpu_describe_shutdown() says what happened */
	CPU_EXIT_STOP,     /* the shadow said UM_STOP: um_stop_reason() */
	CPU_EXIT_NOMEM,    /* the shadow said UM_NOMEM; nothing changed, may be called again */
	CPU_EXIT_DEBUG,    /* a debugger's breakpoint or step: cpu_get_stop() */
	CPU_EXIT_HOST,     /* bus.trap() said CPU_TRAP_LEAVE */
};
/* Run guest code until an exit.  `budget`: instructions (approximately), >= 1. */
enum cpu_exit cpu_run(struct cpu *cpu, uint64_t budget);
uint64_t cpu_instructions(const struct cpu *cpu); /* executed since creation */
/* Make cpu_run() return soon (within one decoded block or one REP slice). */
void cpu_kick(struct cpu *cpu);

/* ---- 4. State ------------------------------------------------------------------------------- */

enum { CPU_EAX, CPU_ECX, CPU_EDX, CPU_EBX, CPU_ESP, CPU_EBP, CPU_ESI, CPU_EDI };
enum { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS };

/* A segment register with its hidden part (SDM vol. 3, 3.4.3).  limit is in bytes, inclusive, already
 * scaled by G.  attr: descriptor bits 40-47 in 0-7 (type 0-3, S 4, DPL 5-6, P 7), bits 52-55 in 12-15
 * (AVL 12, L 13, D/B 14, G 15).  attr == 0: unusable (null selector). */
struct cpu_segment {
	uint16_t selector;
	uint16_t attr;
	uint32_t base;
	uint32_t limit;
};

struct cpu_state {
	uint32_t gpr[8];
	uint32_t eip, eflags;
	struct cpu_segment seg[6], ldtr, tr;
	struct { uint32_t base; uint16_t limit; } gdtr, idtr;
	uint32_t cr0, cr2, cr3, cr4;
	uint32_t dr[8];
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint8_t fxsave[512]; /* the FXSAVE image (SDM vol. 1, 10.5.1, 32-bit form) */
	bool halted;
	bool interrupt_shadow; /* after STI or MOV SS */
};
void cpu_get_state(struct cpu *cpu, struct cpu_state *out);
void cpu_set_state(struct cpu *cpu, const struct cpu_state *in); /* also tells the core mode and root */

/* ... and what is between the lines, for a snapshot: a processor that is given it goes on as this one would. */
struct cpu_saved {
	struct cpu_state state;
	bool nmi_pending, nmi_blocked, inhibit_debug;
	uint64_t misc_msr[4];
	struct {
		int32_t vector;  /* of an event that is still to be delivered; -1: none */
		bool has_error, software, external;
		uint32_t error, eip;
	} undelivered;
};
void cpu_save(struct cpu *cpu, struct cpu_saved *out);
/* Bits that no processor could have are dropped: any bytes are a state. */
void cpu_restore(struct cpu *cpu, const struct cpu_saved *in);

/* Read or write guest memory at linear addresses as a debugger does (any rights, no A/D, no faults).
 * Returns the bytes transferred, from the start. */
size_t cpu_peek(struct cpu *cpu, uint32_t linear, void *buf, size_t bytes);
size_t cpu_poke(struct cpu *cpu, uint32_t linear, const void *buf, size_t bytes);

/* One paragraph of text: the exceptions that led to the shutdown, registers. Returns bytes written. */
size_t cpu_describe_shutdown(struct cpu *cpu, char *buf, size_t bytes);
size_t cpu_describe_state(struct cpu *cpu, char *buf, size_t bytes);

/* ---- 5. Lines ------------------------------------------------------------------------------- */

void cpu_set_irq(struct cpu *cpu, bool level); /* INTR from the interrupt controller */
void cpu_pulse_nmi(struct cpu *cpu);
/* From um_ops.invalidate / invalidate_all / invalidate_nonglobal. */
void cpu_invalidate(struct cpu *cpu, um_gva first, um_gva last);
void cpu_invalidate_all(struct cpu *cpu);
void cpu_invalidate_nonglobal(struct cpu *cpu);
/* RAM bytes at host address were written by someone else (DMA, loader, debugger): decoded code goes. */
void cpu_code_written(struct cpu *cpu, const uint8_t *host, size_t bytes);

/* Log exceptions and interrupts as they are delivered (-d int); may be NULL. */
struct cpu_trace {
	void *user;
	void (*interrupt)(void *user, struct cpu *cpu, unsigned vector, bool software, bool has_error,
	                  uint32_t error);
	void (*block)(void *user, struct cpu *cpu, uint32_t eip); /* a block was decoded (-d in_asm) */
};
void cpu_set_trace(struct cpu *cpu, const struct cpu_trace *trace);

/* ---- 6. A host inside ----------------------------------------------------------------------- */

/* A host of a paravirtual guest puts a GDT, an IDT and a TSS of its own in the core's window, runs the
 * guest in ring 1 and 3 with IOPL 0, and hears of what meets its gates by bus.trap().  The calls below are
 * cheap, and for bus.trap() or between two cpu_run(). */

struct cpu_regs {
	uint32_t gpr[8], eip, eflags;
	uint16_t selector[6];
	uint8_t cpl;
	bool halted;
	bool busy;       /* no interrupt may come now: after MOV SS, or an event is still to be delivered */
};
void cpu_get_regs(struct cpu *cpu, struct cpu_regs *out);
void cpu_set_gpr(struct cpu *cpu, unsigned gpr, uint32_t value);
void cpu_set_eip(struct cpu *cpu, uint32_t eip);
uint32_t cpu_get_cr2(const struct cpu *cpu);
uint32_t cpu_get_cr3(const struct cpu *cpu);
void cpu_set_ts(struct cpu *cpu, bool ts);         /* CR0.TS: the next FPU instruction raises #NM */
/* CR0.PG and CR3, and the core is told: MOV to CR3, or the change of mode. */
void cpu_set_root(struct cpu *cpu, bool paging, uint32_t cr3);
void cpu_set_halted(struct cpu *cpu, bool halted); /* cpu_run() returns CPU_EXIT_HALTED while it is */
/* Load all six segment registers again from the selectors that they hold, as a return from ring 0 would.
 * false: one of them no longer can be (the registers are as before). */
bool cpu_reload_segments(struct cpu *cpu);
/* Deliver `event` through a 32-bit trap gate selector:offset that the caller gives instead of the IDT: frame,
 * stack of the TSS, checks and page faults as there; event->eflags is what is pushed, the running IF stays.
 * false: nothing has changed but memory below the stack pointer, and *why says what prevented it. */
enum cpu_refusal {
	CPU_REFUSED_FAULT,  /* the guest's: an exception, event->vector says which (14: cpu_get_cr2()) */
	CPU_REFUSED_NOMEM,  /* the shadow said UM_NOMEM: it may be asked again */
	CPU_REFUSED_STOP,   /* ... UM_STOP */
};
bool cpu_reflect(struct cpu *cpu, uint16_t selector, uint32_t offset, struct cpu_event *event,
                 enum cpu_refusal *why);

/* ---- 7. Observing --------------------------------------------------------------------------- */

/* One translation that the TLB could not answer, as the shadow answered it: the first use of a page since the
 * hardware had to forget it, and every one that is more than a plain access to memory (a write to a tracked
 * table, memory-mapped I/O, a fault).  The access itself has not been made yet. */
struct cpu_access {
	uint32_t linear;
	unsigned access;        /* UM_WRITE, UM_USER, UM_FETCH */
	enum um_result result;
	const struct um_map *map;
	uint32_t eip;           /* of the instruction, if exact; else of the first one of its block */
	bool exact;
};
struct cpu_observer {
	void *user;
	/* May be called again for the same access.  false (only if not exact): ask again, exactly; nothing of the
	 * instruction has happened then, and it alone runs next.  Observing never steers. */
	bool (*translated)(void *user, struct cpu *cpu, const struct cpu_access *access);
};
/* Between two cpu_run(); NULL: nobody, which costs nothing.  Only cpu_run() is observed, the direct engine is not. */
void cpu_observe(struct cpu *cpu, const struct cpu_observer *observer);
/* The instruction that is running, from a callback: its EIP if that is known (*exact), else its block's. */
uint32_t cpu_running_eip(const struct cpu *cpu, bool *exact);

/* ---- 8. A debugger -------------------------------------------------------------------------- */

/* All of this is for between two cpu_run(), which honours it; the direct engine does not.  The guest sees nothing of it:
 * no memory is patched, and DR0-DR7, TF, RF and INT3 stay its own.  Addresses are linear, in whatever address space is
 * current when one is met; nothing need be mapped there yet. */

/* EXECUTE: cpu_run() returns before the instruction that begins at `linear`, which must be there (one that cannot be
 * fetched faults first), and the next cpu_run() begins with it, without a stop and before any interrupt.  It is met again
 * when it is executed again, so also when the guest starts it anew after a fault; the elements of a repeated string
 * instruction are one execution.
 * The others: cpu_run() returns after the instruction, the element of a string instruction or the delivery of an
 * interrupt that has accessed one of the bytes.  What devices write and the A and D bits are not accesses. */
enum cpu_break { CPU_BREAK_EXECUTE, CPU_BREAK_WRITE, CPU_BREAK_READ, CPU_BREAK_ACCESS };
struct cpu_breakpoint {
	enum cpu_break kind;
	uint32_t linear;
	uint32_t bytes;         /* >= 1; of no meaning for EXECUTE */
};
#define CPU_BREAKPOINTS_MAX 64u /* bounds what an access to a watched page costs */
/* false: there are CPU_BREAKPOINTS_MAX, or it watches no byte.  One that is there already is there once. */
bool cpu_add_breakpoint(struct cpu *cpu, const struct cpu_breakpoint *breakpoint);
/* false: there is none like it. */
bool cpu_remove_breakpoint(struct cpu *cpu, const struct cpu_breakpoint *breakpoint);
/* All of them, and a step that was asked for. */
void cpu_forget_debugger(struct cpu *cpu);
unsigned cpu_breakpoints(const struct cpu *cpu);

/* The next cpu_run() executes one instruction, whatever breakpoint it stands on, and one element of a repeated one; an
 * exception that it raises has been delivered when cpu_run() returns.  No interrupt and no NMI is taken before it; but a
 * halted processor waits for one, and stops before the handler's first instruction. */
void cpu_set_step(struct cpu *cpu, bool on);

/* Why cpu_run() returned CPU_EXIT_DEBUG the last time. */
struct cpu_stop {
	enum { CPU_STOP_STEP, CPU_STOP_BREAKPOINT, CPU_STOP_WATCHPOINT } reason;
	struct cpu_breakpoint breakpoint; /* the one that was met (WATCHPOINT: the first) */
	uint32_t linear;                  /* WATCHPOINT: the first of its bytes that was accessed */
	bool write;                       /* ... how */
};
void cpu_get_stop(const struct cpu *cpu, struct cpu_stop *stop);

#endif
