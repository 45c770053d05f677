/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/user.c - what runs in ring 3: checks of what the kernel promises a process, and a
 * worker.
 *
 *   1. Calls
 *   2. Checks    of memory, of protection, of copies
 *   3. Worker    two processes that live on beside the shell
 *   4. Entry
 *
 * Linked at USER_BASE, apart from the kernel: nothing here may call the kernel's functions.
 */
#include <stdbool.h>
#include <stdint.h>

#include "guests/hello/syscall.h"

/* ---- 1. Calls ------------------------------------------------------------------------------- */

static int call(enum system_call which, uint32_t a, uint32_t b)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(which), "b"(a), "c"(b) : "memory");
	return result;
}

static void report(const char *what, bool ok)
{
	call(CALL_REPORT, (uint32_t)what, ok);
}

/* One access that ought to fault.  Returns the error code, -1: it did not; *where: the address
 * reported. */
enum access { READ, WRITE, JUMP };

static int attempt(enum access access, uint32_t address, uint32_t *where)
{
	int error;
	uint32_t at;

	__asm__ volatile("movl %%esp, %%edi\n\t"
			 "movl $7, %%eax\n\t" /* CALL_RECOVER */
			 "movl $2f, %%ebx\n\t"
			 "int $0x80\n\t"
			 "movl $-1, %%eax\n\t"
			 "cmpl $1, %%ecx\n\t"
			 "jb 3f\n\t"
			 "je 4f\n\t"
			 "jmp *%%edx\n"
			 "3: movl (%%edx), %%ebx\n\t"
			 "jmp 2f\n"
			 "4: movl %%eax, (%%edx)\n"
			 "2: movl %%edi, %%esp"
			 : "=&a"(error), "=d"(at)
			 : "c"(access), "d"(address)
			 : "ebx", "edi", "memory");
	*where = at;
	return error;
}

/* ---- 2. Checks ------------------------------------------------------------------------------ */

#define PAGE 4096u
#define HEAP_PAGES 32u

static volatile uint32_t initialised = 0x600DDA7A;
static volatile uint32_t zeroes[3 * PAGE / 4];
static const uint32_t constant = 0xC0457A47;
extern char user_end[]; /* the heap begins here */

static volatile uint32_t *heap_page(uint32_t n)
{
	return (volatile uint32_t *)(user_end + n * PAGE);
}

static void check_memory(void)
{
	bool ok = initialised == 0x600DDA7A && constant == 0xC0457A47;

	for (uint32_t i = 0; i < sizeof(zeroes) / 4; i++)
		ok = ok && zeroes[i] == 0;
	report("ring 3: data is there, bss is zero", ok);
	ok = true;
	for (uint32_t n = 0; n < HEAP_PAGES; n++) {
		ok = ok && heap_page(n)[n] == 0;
		*heap_page(n) = n * 0x01010101;
	}
	for (uint32_t n = 0; n < HEAP_PAGES; n++)
		ok = ok && *heap_page(n) == n * 0x01010101;
	report("ring 3: heap pages appear when touched", ok);
}

static uint32_t __attribute__((noinline)) dig(uint32_t depth)
{
	volatile uint32_t frame[256];

	frame[depth % 256] = depth;
	return depth ? dig(depth - 1) + frame[depth % 256] : 0;
}

static void check_protection(void)
{
	uint32_t where, stack = dig(100);
	bool ok = attempt(READ, 0x100000, &where) == 5 && where == 0x100000;

	report("ring 3: the stack grows downwards", stack == 5050);
	ok = ok && attempt(WRITE, 0x100000, &where) == 7 && where == 0x100000;
	ok = ok && attempt(JUMP, 0x100000, &where) == 5;
	report("ring 3: kernel memory is refused", ok);
	report("ring 3: text is read-only",
	       attempt(WRITE, (uint32_t)&constant, &where) == 7 && where == (uint32_t)&constant);
	ok = attempt(READ, 0x70000000, &where) == 4 && where == 0x70000000;
	ok = ok && attempt(JUMP, 0, &where) == 4 && where == 0;
	ok = ok && attempt(WRITE, 0xFFFFFFF0, &where) == 6 && where == 0xFFFFFFF0;
	report("ring 3: unmapped addresses are refused", ok);
}

static int be_the_child(void)
{
	bool ok = initialised == 0x600DDA7A;

	for (uint32_t n = 0; n < HEAP_PAGES; n++)
		ok = ok && *heap_page(n) == n * 0x01010101;
	for (uint32_t n = 0; n < HEAP_PAGES; n += 2)
		*heap_page(n) = ~n;
	initialised = 1;
	call(CALL_SLEEP, 3, 0); /* the parent writes meanwhile */
	for (uint32_t n = 0; n < HEAP_PAGES; n++)
		ok = ok && *heap_page(n) == (n % 2 ? n * 0x01010101 : ~n);
	return ok && initialised == 1 ? 42 : 1;
}

static void check_copies(void)
{
	int child = call(CALL_FORK, 0, 0), status;
	bool ok = true;

	if (child == 0)
		call(CALL_EXIT, (uint32_t)be_the_child(), 0);
	for (uint32_t n = 0; n < HEAP_PAGES; n += 3)
		*heap_page(n) = n + 7;
	initialised = 2;
	status = call(CALL_WAIT, 0, 0);
	for (uint32_t n = 0; n < HEAP_PAGES; n++)
		ok = ok && *heap_page(n) == (n % 3 ? n * 0x01010101 : n + 7);
	report("fork: parent and child write to copies of their own",
	       ok && initialised == 2 && status == 42);
	/* many, one after the other */
	ok = true;
	for (uint32_t i = 0; i < 50; i++) {
		if (call(CALL_FORK, 0, 0) == 0) {
			*heap_page(i % HEAP_PAGES) = i;
			call(CALL_EXIT, i, 0);
		}
		ok = ok && call(CALL_WAIT, 0, 0) == (int)i;
	}
	report("fork: fifty children in turn", ok);
}

/* ---- 3. Worker ------------------------------------------------------------------------------ */

/* Two of these, of the same ancestor: each touches another page now and then. */
static void work(void)
{
	uint32_t pause = call(CALL_FORK, 0, 0) ? 100 : 170;

	for (uint32_t n = 0;; n++) {
		*heap_page(n / 8 % 64) += pause;
		call(CALL_SLEEP, pause, 0);
	}
}

/* ---- 4. Entry ------------------------------------------------------------------------------- */

__attribute__((used)) static void user_main(uint32_t argument)
{
	if (argument)
		work();
	check_memory();
	check_protection();
	check_copies();
	call(CALL_EXIT, 0, 0);
}

/* EAX holds the argument (start_process). */
__attribute__((naked, used, section(".text.entry"))) void user_entry(void)
{
	__asm__ volatile("pushl %eax\n\t"
			 "call user_main\n\t"
			 "ud2");
}
