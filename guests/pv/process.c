/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/process.c - processes in ring 3: their spaces, their faults, and going from one to another.
 *
 *   1. Spaces      directories whose kernel half is the master's
 *   2. Life        create, fork with copy on write, exec, end
 *   3. Running     a lazy section at each switch; steps of ring 3
 *   4. Faults      demand paging, copies
 *   5. FPU         lazily, by trap 7
 */
#include "guests/pv/pv.h"

struct process *current;

/* ---- 1. Spaces ------------------------------------------------------------------------------ */

/* The kernel's entries are copied without a call: all directories are the same there. */
uint32_t new_space(void)
{
	uint32_t top = take_frame();

	memcpy((uint32_t *)virtual(top) + KERNEL_INDEX, swapper + KERNEL_INDEX,
	       (1024 - KERNEL_INDEX) * 4);
	return top;
}

static void free_entries(uint32_t *entries)
{
	for (unsigned i = 0; i < 1024; i++) {
		uint32_t pte = entries[i];

		entries[i] = 0;
		if (pte & PTE_P)
			release_frame(pte & PTE_FRAME);
	}
}

/* Entries go in silence, directory entries with a call each. */
void free_space(uint32_t top)
{
	const volatile uint32_t *directory = virtual(top);

	lazy_begin();
	for (uint32_t i = 0; i < KERNEL_INDEX; i++) {
		uint32_t pde = directory[i];

		if (!(pde & PTE_P))
			continue;
		free_entries(virtual(pde & PTE_FRAME));
		set_pde(top, i << 22, 0);
		release_frame(pde & PTE_FRAME);
	}
	lazy_end();
	release_frame(top);
}

/* ---- 2. Life -------------------------------------------------------------------------------- */

uint32_t user_address(const char *code)
{
	return USER_TEXT + (uint32_t)(code - user_text);
}

void map_user(struct process *p, uint32_t va, uint32_t frame, uint32_t flags)
{
	set_pte(p->top, va, frame | flags);
}

void unmap_user(struct process *p, uint32_t va)
{
	uint32_t pte = *find_pte(p->top, va);

	edit_pte(p->top, va, 0);
	release_frame(pte & PTE_FRAME);
}

static void map_image(struct process *p)
{
	uint32_t pages = (uint32_t)(user_text_end - user_text) / PAGE;

	lazy_begin();
	for (uint32_t i = 0; i < pages; i++) {
		uint32_t frame = physical(user_text) + i * PAGE;

		share_frame(frame);
		map_user(p, USER_TEXT + i * PAGE, frame, PTE_P | PTE_U | PTE_A);
	}
	map_user(p, USER_STACK, take_frame(), PTE_USER);
	lazy_end();
}

static void reset_frame(struct process *p)
{
	memset(&p->frame, 0, sizeof p->frame);
	p->frame.cs = USER_CODE;
	p->frame.ss = p->frame.ds = p->frame.es = USER_DATA;
	p->frame.eflags = 0x202;
	p->frame.esp = USER_STACK + PAGE;
}

void process_create(struct process *p)
{
	memset(p, 0, sizeof *p);
	p->stack = take_frames(STACK_PAGES);
	p->esp1 = (uint32_t)virtual(p->stack) + STACK_BYTES - 8;
	p->top = new_space();
	p->heap_end = USER_HEAP;
	map_image(p);
	reset_frame(p);
}

/* The parent's entries lose their right to write, in place; then one flush. */
static void copy_entries(struct process *child, struct process *parent, uint32_t base)
{
	const uint32_t *entries = find_pte(parent->top, base);

	for (unsigned i = 0; i < 1024; i++) {
		uint32_t pte = entries[i], va = base + i * PAGE;

		if (!(pte & PTE_P))
			continue;
		if (pte & PTE_W) {
			pte = (pte & ~(uint32_t)PTE_W) | PTE_COW;
			store_pte(parent->top, va, pte);
		}
		share_frame(pte & PTE_FRAME);
		map_user(child, va, pte & PTE_FRAME, pte & ~PTE_FRAME & ~(uint32_t)PTE_D);
	}
}

void process_fork(struct process *child, struct process *parent)
{
	memset(child, 0, sizeof *child);
	child->stack = take_frames(STACK_PAGES);
	child->esp1 = (uint32_t)virtual(child->stack) + STACK_BYTES - 8;
	child->top = new_space();
	child->heap_end = parent->heap_end;
	child->frame = parent->frame;
	lazy_begin();
	for (uint32_t i = 0; i < KERNEL_INDEX; i++)
		if (find_pte(parent->top, i << 22))
			copy_entries(child, parent, i << 22);
	if (parent->top == current_table)
		flush_user();
	lazy_end();
}

void process_exec(struct process *p)
{
	uint32_t old = p->top;

	p->top = new_space();
	p->heap_end = USER_HEAP;
	map_image(p);
	reset_frame(p);
	if (current_table == old)
		load_table(p->top);
	free_space(old);
}

void process_forget(struct process *p)
{
	if (current != p)
		return;
	current = NULL;
	load_table(physical(swapper));
}

void process_destroy(struct process *p)
{
	process_forget(p);
	fpu_forget(p);
	free_space(p->top);
	for (unsigned i = 0; i < STACK_PAGES; i++)
		release_frame(p->stack + i * PAGE);
}

/* ---- 3. Running ----------------------------------------------------------------------------- */

static struct process *fpu_owner;
static bool task_switched;

void set_task_switched(bool on)
{
	if (on != task_switched)
		lazy_call(CALL_TS, on, 0, 0);
	task_switched = on;
}

void switch_to(struct process *p)
{
	static uint64_t tls[3] __attribute__((aligned(8)));

	current = p;
	lazy_begin();
	if (current_table != p->top)
		load_table(p->top);
	lazy_call(CALL_SET_STACK, KERNEL_DATA, p->esp1, STACK_PAGES);
	memcpy(tls, p->tls, sizeof tls);
	__asm__ volatile("movl %0, %%gs" : : "r"(0)); /* its descriptor may go */
	lazy_call(CALL_LOAD_TLS, physical(tls), 0, 0);
	set_task_switched(fpu_owner != p);
	lazy_end();
}

uint32_t run_process(struct process *p)
{
	irq_off();
	if (current != p)
		switch_to(p);
	enter_user(&p->frame);
	return p->frame.vector;
}

uint32_t run_user(struct process *p, const char *code, uint32_t eax, uint32_t ecx, uint32_t edx)
{
	p->frame.eip = user_address(code);
	p->frame.esp = USER_STACK + PAGE;
	p->frame.eflags = 0x202;
	p->frame.eax = eax;
	p->frame.ecx = ecx;
	p->frame.edx = edx;
	return run_process(p);
}

void process_stopped(const struct trap_frame *f)
{
	current->frame = *f;
}

/* ---- 4. Faults ------------------------------------------------------------------------------ */

static bool copy_page(struct process *p, uint32_t va, uint32_t pte)
{
	uint32_t frame = pte & PTE_FRAME, flags = pte & ~PTE_FRAME, fresh;

	flags = (flags & ~(uint32_t)PTE_COW) | PTE_W | PTE_A | PTE_D;
	p->copy_faults++;
	if (frame_owners(frame) == 1) {
		edit_pte(p->top, va, frame | flags);
		return true;
	}
	fresh = take_frame();
	memcpy(virtual(fresh), virtual(frame), PAGE);
	edit_pte(p->top, va, 0);
	set_pte(p->top, va, fresh | flags);
	release_frame(frame);
	return true;
}

bool process_fault(uint32_t va, uint32_t error)
{
	struct process *p = current;
	const uint32_t *at;
	uint32_t pte;

	if (!p || va >= USER_TOP)
		return false;
	at = find_pte(p->top, va);
	pte = at ? *at : 0;
	if (pte & PTE_P)
		return (error & FAULT_P) && (error & FAULT_W) && (pte & PTE_COW) &&
		       copy_page(p, va, pte);
	if (pte || (error & FAULT_P) || va < USER_HEAP || va >= p->heap_end)
		return false;
	p->demand_faults++;
	map_user(p, va, take_frame(), PTE_USER);
	return true;
}

/* ---- 5. FPU --------------------------------------------------------------------------------- */

/* CR0.TS is the host's; what the registers held goes to their owner now. */
bool fpu_trap(void)
{
	set_task_switched(false);
	if (fpu_owner)
		__asm__ volatile("fxsave %0" : "=m"(fpu_owner->fpu));
	if (current->fpu_valid)
		__asm__ volatile("fxrstor %0" : : "m"(current->fpu));
	else
		__asm__ volatile("fninit");
	current->fpu_valid = true;
	current->fpu_traps++;
	fpu_owner = current;
	return true;
}

void fpu_forget(const struct process *p)
{
	if (fpu_owner == p)
		fpu_owner = NULL;
}
