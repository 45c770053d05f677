/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/stack-page-unmapped.c - a thread frees its own stack while it still stands on it.
 *
 * Leaving is the last thing a thread does, and somebody has to free its stack.  If it does so itself, the next push has
 * nowhere to go: the page fault cannot be delivered, because delivering pushes too; nor can the double fault.  The
 * processor shuts down.  Or not: as long as it has the translation in its TLB all seems well, here, today.
 *
 * The bug:  the stack is unmapped, and CALL pushes a return address on it.
 * The fix:  step on another stack first; then unmap and INVLPG.
 */
#include "guests/teaching/teach.h"

#define STACK_PAGE 0xE0000000u

static bool fixed;

static _Noreturn __attribute__((noinline)) void thread_gone(void)
{
	if (fixed)
		flush_page(STACK_PAGE);
	got("the next thread runs", true);
}

/* In assembler, since it matters to the instruction when which stack is used. */
static _Noreturn void leave_thread(uint32_t *stack_entry)
{
	extern char stack_top[]; /* the boot stack */
	uint32_t stack;

	__asm__ volatile("movl %%esp, %0" : "=r"(stack));
	if (fixed)
		stack = (uint32_t)stack_top;
	__asm__ volatile(".globl unmap_stack, push_on_nothing\n\t"
			 "movl %2, %%esp\n"
			 "unmap_stack:\n\t"
			 "movl $0, (%0)\n" /* the bug shows here */
			 "push_on_nothing:\n\t"
			 "call *%1" /* ... and hurts here */
			 :
			 : "r"(stack_entry), "r"(thread_gone), "r"(stack)
			 : "memory");
	__builtin_unreachable();
}

static _Noreturn void thread(void)
{
	print("stack-page-unmapped: a thread on its own stack ends\n");
	expect("the next thread runs");
	leave_thread(entry_of(kernel_directory, STACK_PAGE));
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	(void)magic;
	start_paging();
	fixed = has_word(info, "fixed");
	map(kernel_directory, STACK_PAGE, (uint32_t)new_page(), PTE_P | PTE_W);
	__asm__ volatile("movl %0, %%esp\n\t"
			 "call *%1"
			 :
			 : "r"(STACK_PAGE + PAGE), "r"(thread)
			 : "memory");
	__builtin_unreachable();
}
