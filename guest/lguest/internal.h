/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/internal.h - the inside of the lguest host: its index.
 *
 * How a trap goes.  The processor meets a gate of our IDT and calls lguest_trap() (trap.c).  The registers are
 * saved in the register page; a hypercall is dispatched (hypercall.c) to mmu.c, segments.c, init.c..., an
 * exception is emulated (emulate.c) or reflected to the guest's own handler (trap.c), and last an interrupt
 * that waits is injected (interrupt.c).
 *
 *   1. Layouts       struct lguest_data, the save area, the state page
 *   2. Families      what differs between them, as data
 *   3. The object
 *   4. The index     one caption for each file
 */
#ifndef GUEST_LGUEST_INTERNAL_H
#define GUEST_LGUEST_INTERNAL_H

#include <string.h>

#include "guest/internal.h"
#include "guest/lguest/lguest.h"

/* ---- 1. Layouts ----------------------------------------------------------------------------- */

/* struct lguest_data: what stands at the same place in every family; the rest is in struct family. */
enum { DATA_IRQ_ENABLED = 0, DATA_BLOCKED = 4, DATA_CR2 = 8, DATA_SECONDS = 12, DATA_NANOSECONDS = 16 };
#define VIRTUAL_IF 0x200u     /* in irq_enabled and irq_pending: EFLAGS.IF's place */

/* The asynchronous ring. */
#define RING_SLOTS 64u
#define SLOT_FREE 0xFFu
#define SLOT_WORDS_MAX 5u

/* The registers as the original's entry code left them: words of the save area, the last 72 bytes of the
 * register page.  A slot of the ring has its first words' order. */
enum save {
	SAVE_EAX, SAVE_EBX, SAVE_ECX, SAVE_EDX, SAVE_ESI, SAVE_EDI, SAVE_EBP, SAVE_GS, SAVE_FS, SAVE_DS,
	SAVE_ES, SAVE_TRAP, SAVE_ERROR, SAVE_EIP, SAVE_CS, SAVE_EFLAGS, SAVE_ESP, SAVE_SS, SAVE_WORDS
};
#define SAVE_OFFSET 4024u
_Static_assert(SAVE_OFFSET + SAVE_WORDS * 4 == UM_PAGE_SIZE, "the save area ends its page");

/* The window: page 0 would hold the switch code, which this host has no need of. */
#define REGISTER_PAGE (LGUEST_WINDOW + 0x1000u)
#define STATE_PAGE (LGUEST_WINDOW + 0x2000u)
/* Inside the state page. */
enum { STATE_IDTR = 20, STATE_GDTR = 26, STATE_TSS = 32, STATE_IDT = 136, STATE_GDT = 2184 };
enum { TSS_ESP0 = 4, TSS_SS0 = 8, TSS_ESP1 = 12, TSS_SS1 = 16, TSS_IO_BASE = 102, TSS_BYTES = 104 };

/* Segments. */
#define GDT_ENTRIES 32u
enum { ENTRY_HOST_CS = 10, ENTRY_HOST_DS = 11, ENTRY_KERNEL_CS = 12, ENTRY_KERNEL_DS = 13, ENTRY_TSS = 16,
       ENTRY_DOUBLE_FAULT_TSS = 31, ENTRY_TLS = 6, TLS_ENTRIES = 3 };
#define KERNEL_CS 0x61u
#define KERNEL_DS 0x69u
#define KERNEL_RING 1u

/* Gates. */
#define IDT_ENTRIES 256u
#define IRQ_VECTOR 0x20u      /* of IRQ 0 */
#define IRQS 32u
#define HYPERCALL_VECTOR 0x1Fu
enum { GATE_INTERRUPT = 0xE, GATE_TRAP = 0xF };
enum { TRAP_DB = 1, TRAP_NMI = 2, TRAP_UD = 6, TRAP_NM = 7, TRAP_DF = 8, TRAP_GP = 13, TRAP_PF = 14,
       TRAP_SEGMENTS = 256 /* said when segment registers cannot be loaded again */ };

#define STACK_PAGES_MAX 2u    /* a guest could have us touch 4 GiB of "stack" */
#define STRING_MAX 128u       /* of SHUTDOWN: what the original copies, NUL included */
#define NOTIFY_TEXT_MAX 4096u /* of one NOTIFY: a guest could have us print all its memory */

/* ---- 2. Families ---------------------------------------------------------------------------- */

struct family {
	const char *name;
	bool vmcall;              /* calls by VMCALL; INT 0x1F is taken as well */
	uint8_t arg[4];           /* word of the save area, or of a slot, with argument 1, 2... */
	uint8_t args;
	uint8_t slot_words;
	bool tables;              /* the launcher or the host gives it page tables */
	bool alias;               /* ... with the kernel's alias */
	bool port_reset;          /* restarts by writing 0xFE to port 0x64 */
	bool pci;                 /* devices on PCI: emulated ports */
	/* struct lguest_data: offsets, 0 = not there */
	uint16_t irq_pending, status, ring, reserve_mem, tsc_khz, pgdir, noirq_start, noirq_end, noirq_iret,
		kernel_address, syscall_vec, bytes;
};
extern const struct family lguest_families[LGUEST_FAMILIES]; /* family.c; [LGUEST_AUTO]: before it is known */

/* ---- 3. The object -------------------------------------------------------------------------- */

struct lguest {
	struct lguest_world world;
	enum lguest_family wanted, family; /* AUTO: not known yet */
	uint32_t version;                  /* what the image said of itself */
	uint64_t limit;                    /* bytes of guest-physical memory */
	const struct family *f;
	bool windowed;                     /* the core has the window */
	bool segments_stale;               /* the host had no memory when they were to be loaded again */
	uint8_t *pages;                    /* register page, state page */
	uint32_t *save;                    /* the save area */

	/* the guest's */
	uint32_t data;                     /* physical address of its lguest_data */
	bool initialised;
	bool flat;                         /* 1:1, until its first NEW_PGTABLE */
	bool tells;                        /* it tells of changes: the core is in told mode */
	uint32_t root;                     /* page directory in force; flat: none */
	uint32_t seen_root[2];             /* the directories of its boot, during which it may be silent */
	unsigned seen_roots;
	uint32_t noirq_start, noirq_end, noirq_iret, kernel_address, syscall_vec;
	uint32_t gate[IDT_ENTRIES][2];     /* as it registered them; 0: none */
	uint32_t ss1, esp1, stack_pages;
	bool ts;
	unsigned cursor;                   /* in the ring */

	/* interrupts and time */
	uint32_t pending;                  /* IRQs */
	uint64_t alarm;                    /* ns on world.now; UINT64_MAX: none */
	bool waiting;                      /* an unmasked interrupt found the guest not ready */

	enum lguest_end end;
	char reason[192];
	bool timed;
	unsigned sample;
	struct lguest_stats stats;
};

/* ---- 4. The index --------------------------------------------------------------------------- */

/* memory.c: guest-physical memory.  The guest names an address: false kills it ("bad read address"). */
bool lguest_holds(const struct lguest *lg, uint64_t gpa, uint64_t bytes); /* all memory?  Kills nobody. */
bool lguest_read(struct lguest *lg, uint32_t gpa, void *to, uint32_t bytes);
/* The shared structure, which is known to lie in memory. */
uint32_t lguest_get(const struct lguest *lg, unsigned offset);
void lguest_set(struct lguest *lg, unsigned offset, uint32_t value);
uint8_t *lguest_data_at(struct lguest *lg, unsigned offset);
void lguest_wrote(struct lguest *lg, uint32_t gpa, uint32_t bytes);
/* Bytes of code where the guest executes; returns how many could be had. */
size_t lguest_fetch(struct lguest *lg, const struct cpu_regs *regs, uint8_t *to, size_t bytes);

/* start.c: life; also the processor's tables in the state page */
void lguest_set_gate(struct lguest *lg, unsigned vector, uint32_t low, uint32_t high);
uint32_t *lguest_gdt(struct lguest *lg); /* the processor's: low and high word by turns */
void lguest_put_tss(struct lguest *lg, unsigned offset, uint32_t value);

/* end.c */
void lguest_finish(struct lguest *lg, enum lguest_end end, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void lguest_core_stopped(struct lguest *lg); /* the core said UM_STOP */
void lguest_beyond_limit(struct lguest *lg, um_gpa gpa);

/* hypercall.c: words[0] is the number; words as in the save area */
void lguest_direct_call(struct lguest *lg, bool by_vmcall);

/* init.c: LGUEST_INIT, and what the first call tells of the family */
bool lguest_recognise(struct lguest *lg, bool by_vmcall); /* false: killed */
void lguest_set_family(struct lguest *lg, enum lguest_family family);

/* What each call does: the arguments in the family's order, missing ones 0. */
typedef void lguest_call_fn(struct lguest *lg, const uint32_t arg[4]);
lguest_call_fn lguest_call_init;                                              /* init.c */
lguest_call_fn lguest_call_new_pgtable, lguest_call_flush_tlb, lguest_call_set_pte, lguest_call_set_pmd,
	lguest_call_set_pgd, lguest_call_middle;                               /* mmu.c */
lguest_call_fn lguest_call_load_gdt, lguest_call_load_gdt_entry, lguest_call_load_tls, lguest_call_set_stack,
	lguest_call_load_idt_entry, lguest_call_ts;                            /* segments.c */
lguest_call_fn lguest_call_clock, lguest_call_halt, lguest_call_send;         /* interrupt.c */

/* mmu.c */
void lguest_enter_window(struct lguest *lg); /* the core built anew: our pages are in its current root again */
bool lguest_pin_stack(struct lguest *lg, bool must);

/* segments.c */
void lguest_reload_segments(struct lguest *lg);
void lguest_reset_gates(struct lguest *lg);
void lguest_refresh_gates(struct lguest *lg); /* after the family or the system call's vector became known */

/* interrupt.c */
void lguest_inject(struct lguest *lg);       /* what is pending, if it can be now */
void lguest_update_time(struct lguest *lg);
bool lguest_may_interrupt(const struct lguest *lg); /* is one pending that is not blocked? */

/* emulate.c */
enum emulated { EMULATED, NOT_EMULATED };
enum emulated lguest_emulate(struct lguest *lg, struct cpu_regs *regs);
/* VMCALL or VMMCALL at eip */
bool lguest_is_vmcall(struct lguest *lg, const struct cpu_regs *regs);

/* trap.c: through the guest's gate; see cpu_reflect().  false: refused by a host without memory. */
enum reflected { REFLECTED, REFLECT_NO_GATE, REFLECT_KILLED, REFLECT_LATER };
enum reflected lguest_reflect(struct lguest *lg, const struct cpu_event *event);

#endif
