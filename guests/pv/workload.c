/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/workload.c - forks and execs of a realistic shape, for the host's statistics.
 *
 * A shell of some 60 pages and a text of 16 forks; both write a little; the child execs a program of the
 * same shared text with 30 pages of its own, and ends.
 */
#include "guests/pv/probes.h"

enum { COUNT = 300, SHELL_PAGES = 60, PROGRAM_PAGES = 30, TEXT_PAGES = 16, CHILD_WRITES = 8,
       PARENT_WRITES = 10 };
#define TEXT 0x40000000u /* of the C library, so to speak */

static uint32_t text_frames[TEXT_PAGES];

/* What is in the page cache is mapped when it is touched; here, by the kernel at once. */
static void map_text(struct process *p)
{
	lazy_begin();
	for (uint32_t i = 0; i < TEXT_PAGES; i++) {
		share_frame(text_frames[i]);
		map_user(p, TEXT + i * PAGE, text_frames[i], PTE_P | PTE_U | PTE_A);
	}
	lazy_end();
}

static bool run_program(struct process *p, const char *code, uint32_t value, uint32_t pages, uint32_t va)
{
	return run_user(p, code, value, pages, va) == VECTOR_SYSCALL;
}

static bool one_fork(struct process *shell, struct process *child, uint32_t round)
{
	bool ok = run_program(shell, u_sum, 0, TEXT_PAGES, TEXT);

	process_fork(child, shell);
	ok = ok && run_program(child, u_fill, round, CHILD_WRITES, USER_HEAP);
	ok = ok && run_program(shell, u_fill, round, PARENT_WRITES, USER_HEAP + 20 * PAGE);
	process_exec(child);
	map_text(child);
	child->heap_end = USER_HEAP + PROGRAM_PAGES * PAGE;
	ok = ok && run_program(child, u_sum, 0, TEXT_PAGES, TEXT);
	ok = ok && run_program(child, u_fill, round, PROGRAM_PAGES, USER_HEAP);
	ok = ok && run_program(shell, u_nothing, 0, 0, 0);
	ok = ok && run_program(child, u_sum, 0, PROGRAM_PAGES, USER_HEAP);
	ok = ok && child->frame.eax == PROGRAM_PAGES * round + PROGRAM_PAGES * (PROGRAM_PAGES - 1) / 2;
	switch_to(shell);
	process_destroy(child);
	return ok && run_program(shell, u_fill, round, PARENT_WRITES, USER_HEAP);
}

void run_workload(const char *what)
{
	static struct process shell, child;
	uint32_t count = COUNT, done = 0, demand = 0, copies = 0, value = 0;

	if (memcmp(what, "forks", 5) != 0) {
		print("# workload: forks[,COUNT]\n");
		return;
	}
	if (what[5] == ',') {
		for (what += 6; *what >= '0' && *what <= '9'; what++)
			value = value * 10 + (uint32_t)(*what - '0');
		count = value;
	}
	for (uint32_t i = 0; i < TEXT_PAGES; i++)
		text_frames[i] = take_frame();
	process_create(&shell);
	shell.heap_end = USER_HEAP + SHELL_PAGES * PAGE;
	map_text(&shell);
	run_program(&shell, u_fill, 0, SHELL_PAGES, USER_HEAP);
	memset(calls_made, 0, sizeof calls_made);
	for (uint32_t i = 0; i < count; i++) {
		done += one_fork(&shell, &child, i);
		demand += child.demand_faults;
		copies += child.copy_faults;
	}
	copies += shell.copy_faults;
	print("# forks %u of %u, demand faults %u, copies %u\n", done, count, demand, copies);
	print("# SET_PTE %u, SET_PGD %u, NEW_PGTABLE %u, FLUSH_TLB %u, FLUSH_ASYNC %u, "
	      "SEND_INTERRUPTS %u, needless %u\n",
	      calls_made[CALL_SET_PTE], calls_made[CALL_SET_PGD], calls_made[CALL_NEW_PGTABLE],
	      calls_made[CALL_FLUSH_TLB], calls_made[CALL_FLUSH_ASYNC], interrupts_sent,
	      interrupts_needless);
	process_destroy(&shell);
}
