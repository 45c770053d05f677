/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/process.h - processes, and the devices: the rest of what the tests use.
 *
 *   1. Processes    process.c, user.S
 *   2. Devices      device_page.c, pci.c, ring.c, console_device.c, block.c
 */
#ifndef PV_PROCESS_H
#define PV_PROCESS_H

/* ---- 1. Processes --------------------------------------------------------------------------- */

enum { STACK_PAGES = 2, STACK_BYTES = STACK_PAGES * 4096 };

struct process {
	uint32_t top;                   /* its directory, physical */
	uint32_t stack;                 /* its kernel stack, physical; STACK_PAGES of them */
	uint32_t esp1;
	struct trap_frame frame;        /* where ring 3 is */
	uint64_t tls[3];
	uint32_t heap_end;              /* USER_HEAP up to here appears when it is touched */
	uint32_t demand_faults, copy_faults, fpu_traps;
	bool fpu_valid;
	uint8_t fpu[512] __attribute__((aligned(16)));
};

extern struct process *current; /* whose address space, stack and TLS are in force; NULL: none's */
extern bool stop_on_interrupt;  /* ring 3 stops at the next interrupt */

void process_create(struct process *p);  /* text, a page of stack, nothing else */
void process_fork(struct process *child, struct process *parent);
void process_exec(struct process *p);    /* a new address space, the old one is torn down */
void process_destroy(struct process *p);
void process_forget(struct process *p);  /* the kernel runs on the master directory */
void switch_to(struct process *p);
/* Runs it until a trap that is not the kernel's business; the vector.  See p->frame, caught. */
uint32_t run_process(struct process *p);
/* Runs a piece of user.S with these registers. */
uint32_t run_user(struct process *p, const char *code, uint32_t eax, uint32_t ecx, uint32_t edx);
uint32_t user_address(const char *code);
bool process_fault(uint32_t va, uint32_t error);
void process_stopped(const struct trap_frame *f);
bool fpu_trap(void);
void fpu_forget(const struct process *p);
void set_task_switched(bool on);
void map_user(struct process *p, uint32_t va, uint32_t frame, uint32_t flags);
void unmap_user(struct process *p, uint32_t va);
uint32_t new_space(void);
void free_space(uint32_t top); /* must not be in force */

/* ---- 2. Devices ----------------------------------------------------------------------------- */

bool console_ready(void);
void console_start(void);
void console_write(const char *text, uint32_t length);
void pci_early_write(const char *text, uint32_t length);

#endif
