/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/pv.h - a small paravirtual kernel that judges its host: what each file gives the others.
 *
 * Written to the interface alone, for every family of it.  The kernel runs in ring 1 at PAGE_OFFSET, where
 * all memory is mapped; processes run in ring 3 below it, one step at a time, as the tests like.
 *
 *   boot: head.S -> early.c -> main.c -> the tests, test_*.c
 */
#ifndef PV_H
#define PV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guests/common/text.h"
#include "guests/pv/family.h"
#include "guests/pv/selectors.h"

/* early.c reaches all of these by their distance, not by a table of addresses. */
#pragma GCC visibility push(hidden)

/* ---- the map -------------------------------------------------------------------------------- */

#define PAGE 4096u
#define PAGE_OFFSET 0xC0000000u
#define MEMORY_MAX 0x10000000u /* more than 256 MiB we leave alone */
#define PHYSICAL_COMMAND_LINE 0x1000u
#define KERNEL_INDEX (PAGE_OFFSET >> 22)
#define USER_TEXT 0x08048000u  /* ring 3 code, shared */
#define USER_HEAP 0x10000000u
#define USER_STACK 0xBFFFF000u /* its page; the stack begins at its end */
#define USER_TOP PAGE_OFFSET
#define VMALLOC 0xE0000000u
#define VMALLOC_END 0xF0000000u

extern char image_start[], image_end[], user_text[], user_text_end[], boot_stack_top[];
extern const uint32_t boot_registers[15]; /* head.S */

static inline void *virtual(uint32_t physical) { return (void *)(physical + PAGE_OFFSET); }
static inline uint32_t physical(const volatile void *at) { return (uint32_t)at - PAGE_OFFSET; }

/* ---- early.c -------------------------------------------------------------------------------- */

void early_start(void);
extern unsigned family_index;
extern uint32_t iret_only;
extern char lguest_data[DATA_BYTES_MAX];

/* ---- hypercall.c ---------------------------------------------------------------------------- */

extern const struct family *family;

static inline volatile uint32_t *data_word(unsigned offset)
{
	return (volatile uint32_t *)(lguest_data + offset);
}

void raw_hypercall(uint32_t regs[REGS], bool vmcall); /* entry.S */
void call(enum hypercall number, uint32_t a, uint32_t b, uint32_t c);
/* Queued, or direct when the ring is full; the host gets to see it at the next direct call. */
void queue_call(enum hypercall number, uint32_t a, uint32_t b, uint32_t c);
/* Between these, page-table and switching calls are queued; the last ends with FLUSH_ASYNC. */
void lazy_begin(void), lazy_end(void);
void lazy_call(enum hypercall number, uint32_t a, uint32_t b, uint32_t c);
extern unsigned ring_next;          /* the slot that queue_call() uses next */
extern uint32_t calls_made[20];     /* by number, direct and queued */
extern unsigned registers_changed;  /* over direct calls: should stay 0 */
_Noreturn void shut_down(const char *text, unsigned reason);

/* ---- console.c ------------------------------------------------------------------------------ */

void flush_print(void);
const char *command_line(void);
/* Does the command line have `name` or name=..., and what comes behind the =? */
bool find_word(const char *name, const char **value);
uint32_t word_number(const char *name, uint32_t otherwise);
/* Is `name` an element of the comma-separated list? */
bool in_list(const char *list, const char *name);


/* ---- trap.c --------------------------------------------------------------------------------- */

/* What entry.S leaves on the stack.  esp and ss are there only if the trap came from ring 3. */
struct trap_frame {
	uint32_t edi, esi, ebp, unused, ebx, edx, ecx, eax;
	uint32_t ds, es, fs, gs;
	uint32_t vector, error;
	uint32_t eip, cs, eflags, esp, ss;
};

/* The last trap that somebody waited for. */
struct caught {
	struct trap_frame frame;
	uint32_t at;           /* where the host put EIP */
	uint32_t irq_enabled;  /* the word as the handler found it */
	uint32_t cr2;
	uint32_t eflags;       /* in force in the handler */
	uint32_t cs, ss;
};
extern struct caught caught;
extern uint32_t guarded;
extern char noirq_start[], noirq_end[], noirq_iret[], trap_entries[];

void traps_start(void);
void segments_start(void);
/* A descriptor of the interface: GDT entry `index`. */
void set_descriptor(unsigned index, uint64_t descriptor);
uint64_t make_segment(uint32_t base, uint32_t limit, unsigned type_dpl);
void set_gate(unsigned vector, uint32_t handler, unsigned type, unsigned dpl); /* type 0: none */
void default_gate(unsigned vector);
enum gate { GATE_INTERRUPT = 0xE, GATE_TRAP = 0xF };
enum gate exception_gate(unsigned vector);
void handle_trap(struct trap_frame *f);
void enter_user(const struct trap_frame *f);
_Noreturn void leave_user(void);
/* true: the function ended by a trap, see `caught`. */
bool call_guarded(void *function, uint32_t a, uint32_t b);
_Noreturn void leave_guarded(void);

/* ---- irq.c ---------------------------------------------------------------------------------- */

enum { IRQS = 32, IRQ_TIMER = 0, IRQ_ON = 0x200, IRQ_ORDER = 8 };

extern volatile uint32_t irq_count[IRQS];
extern uint8_t irq_order[IRQ_ORDER]; /* the first ones since irq_order_used was 0 */
extern unsigned irq_order_used;
extern uint32_t interrupts_sent;   /* SEND_INTERRUPTS made */
extern uint32_t interrupts_needless; /* of them, those that brought no interrupt */
extern uint32_t interrupts_misplaced; /* that came where none may */
extern struct trap_frame irq_frame; /* of the last interrupt */

void irqs_start(void);
uint32_t irq_save(void); /* the word before; off now */
void irq_restore(uint32_t word);
void irq_on(void);       /* and take what waits */
void irq_off(void);
void irq_mask(unsigned irq), irq_unmask(unsigned irq);
void irq_handle(unsigned irq, void (*handler)(void *), void *object);
void take_interrupt(struct trap_frame *f);
void timer_set(uint32_t nanoseconds);
void halt(void); /* until an interrupt came; interrupts are on then */
uint64_t read_tsc(void);
bool wait_irq(unsigned irq, uint32_t count); /* with interrupts on, about a second at most */

/* ---- memory.c ------------------------------------------------------------------------------- */

/* Page-table entry bits (SDM vol. 3, tables 4-4 to 4-6). */
enum pte {
	PTE_P = 1u << 0,
	PTE_W = 1u << 1,
	PTE_U = 1u << 2,
	PTE_PWT = 1u << 3,
	PTE_PCD = 1u << 4,
	PTE_A = 1u << 5,
	PTE_D = 1u << 6,
	PTE_PS = 1u << 7,
	PTE_G = 1u << 8,
	PTE_COW = 1u << 9, /* ours: writable once it is copied */
};
#define PTE_FRAME 0xFFFFF000u
#define PDE_TABLE 0x067u    /* flags of every directory entry */
#define PTE_KERNEL 0x163u   /* present, writable, accessed, dirty, global */
#define PTE_USER 0x067u     /* present, writable, user, accessed, dirty */
/* Error code of a page fault (SDM vol. 3, 4.7). */
enum fault { FAULT_P = 1u << 0, FAULT_W = 1u << 1, FAULT_U = 1u << 2 };

extern uint32_t memory_bytes;
extern uint32_t *swapper; /* the master directory */
extern uint32_t current_table;

void memory_start(void);
uint32_t take_frame(void);          /* zeroed, one owner */
uint32_t take_frames(unsigned n);   /* contiguous; for good */
void share_frame(uint32_t frame);
void release_frame(uint32_t frame);
uint32_t frame_owners(uint32_t frame);
uint32_t frames_free(void);

/* Every change is made in memory first and then told, as the family does. */
void load_table(uint32_t top);                 /* NEW_PGTABLE */
void flush_page(uint32_t va);                  /* of the current table */
void flush_user(void), flush_everything(void);
uint32_t *find_pte(uint32_t top, uint32_t va); /* NULL: no table */
uint32_t *make_pte(uint32_t top, uint32_t va);
void set_pte(uint32_t top, uint32_t va, uint32_t value);  /* store and tell */
/* In place: told by the families that tell such; the second also flushes what is in force. */
void store_pte(uint32_t top, uint32_t va, uint32_t value);
void edit_pte(uint32_t top, uint32_t va, uint32_t value);
void set_pde(uint32_t top, uint32_t va, uint32_t value);
void map_kernel(uint32_t va, uint32_t value);
/* A page for a device, mapped where no memory is. */
void *map_device(uint32_t at, uint32_t bytes, uint32_t flags);
bool kernel_fault(uint32_t va, uint32_t error); /* vmalloc: the master has it */
extern uint32_t vmalloc_faults;

#include "guests/pv/process.h"
#include "guests/pv/test.h"

#pragma GCC visibility pop
#endif
