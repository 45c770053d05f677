/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_spaces.c - more address spaces than the host keeps, and what changes behind its back.
 *
 *   1. Rotation    each has pages of its own, always
 *   2. Inactive    entries of tables that are not in force
 *   3. Kernel      one call, all tables
 *   4. Life        fork, exec, frames that are something else next time
 */
#include "guests/pv/probes.h"

enum { SPACES_MAX = 80, SPACES = 12, PAGES = 6, FAR = 0x4000000 };

static struct process people[SPACES_MAX];

static uint32_t space_count(void)
{
	uint32_t n = word_number("spaces", SPACES);

	return n < 2 ? 2 : n > SPACES_MAX ? SPACES_MAX : n;
}

static void start_people(uint32_t n, uint32_t pages)
{
	for (uint32_t i = 0; i < n; i++) {
		process_create(&people[i]);
		people[i].heap_end = USER_HEAP + FAR + pages * PAGE;
	}
}

static void end_people(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		process_destroy(&people[i]);
}

static void fill(struct process *p, uint32_t va, uint32_t pages, uint32_t value)
{
	CHECK_EQUAL(run_user(p, u_fill, value, pages, va), VECTOR_SYSCALL);
}

/* Each word was what it should be; it is `more` more now. */
static void add(struct process *p, uint32_t va, uint32_t pages, uint32_t value, uint32_t more)
{
	p->frame.ebx = value;
	CHECK_EQUAL(run_user(p, u_add, more, pages, va), VECTOR_SYSCALL);
	CHECK_EQUAL(p->frame.ebx, 0);
}

/* ---- 1. Rotation ---------------------------------------------------------------------------- */

static void test_rotation(void)
{
	uint32_t n = space_count(), before = frames_free();

	start_people(n, PAGES);
	for (uint32_t i = 0; i < n; i++) {
		fill(&people[i], USER_HEAP, PAGES, i << 16);
		fill(&people[i], USER_HEAP + FAR, PAGES, i << 16 | 0x8000);
	}
	for (uint32_t round = 0; round < 3; round++)
		for (uint32_t k = 0; k < n; k++) {
			uint32_t i = round == 1 ? n - 1 - k : k; /* and backwards */

			add(&people[i], USER_HEAP, PAGES, (i << 16) + 7 * round, 7);
			add(&people[i], USER_HEAP + FAR, PAGES, (i << 16 | 0x8000) + 7 * round, 7);
		}
	for (uint32_t i = 0; i < n; i++)
		CHECK_EQUAL(people[i].demand_faults, 2 * PAGES);
	end_people(n);
	CHECK_EQUAL(frames_free(), before);
}

/* By the clock instead, in the middle of whatever they do. */
static void test_preemption(void)
{
	uint32_t n = 6;

	start_people(n, PAGES);
	for (uint32_t i = 0; i < n; i++) {
		people[i].frame.eip = user_address(u_spin_memory);
		people[i].frame.edx = USER_HEAP;
	}
	for (uint32_t k = 0; k < 5 * n; k++) {
		stop_on_interrupt = true;
		timer_set(100000);
		CHECK_EQUAL(run_process(&people[k % n]), VECTOR_IRQ0 + IRQ_TIMER);
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t total = 0;

		switch_to(&people[i]);
		for (uint32_t k = 0; k < 4; k++)
			total += *word_at(USER_HEAP + k * PAGE);
		CHECK(total - people[i].frame.eax <= 1);
	}
	end_people(n);
	timer_set(0);
}

/* ---- 2. Inactive ---------------------------------------------------------------------------- */

/* The old families say nothing of these: only the switch itself can tell the host. */
static void test_inactive(void)
{
	struct process *a = &people[0], *b = &people[1];
	uint32_t frame, fresh = take_frame();

	*word_at((uint32_t)virtual(fresh)) = 0xF4E54;
	start_people(2, 4);
	fill(b, USER_HEAP, 4, 100);
	b->heap_end = USER_HEAP;
	CHECK_EQUAL(run_user(a, u_nothing, 0, 0, 0), VECTOR_SYSCALL);
	frame = *find_pte(b->top, USER_HEAP) & PTE_FRAME;
	store_pte(b->top, USER_HEAP, 0);                            /* stolen */
	store_pte(b->top, USER_HEAP + PAGE,                         /* write-protected */
		  *find_pte(b->top, USER_HEAP + PAGE) & ~(uint32_t)PTE_W);
	store_pte(b->top, USER_HEAP + 2 * PAGE, fresh | PTE_USER);  /* another */
	store_pte(b->top, USER_HEAP + 3 * PAGE,                     /* aged and cleaned */
		  *find_pte(b->top, USER_HEAP + 3 * PAGE) & ~(uint32_t)(PTE_A | PTE_D));
	CHECK_EQUAL(user_read(b, USER_HEAP), FAULT_U);
	CHECK_EQUAL(user_write(b, USER_HEAP + PAGE, 1), FAULT_P | FAULT_U | FAULT_W);
	CHECK_EQUAL(user_read(b, USER_HEAP + 2 * PAGE), NO_FAULT);
	CHECK_EQUAL(b->frame.eax, 0xF4E54);
	CHECK_EQUAL(user_read(b, USER_HEAP + 3 * PAGE), NO_FAULT);
	CHECK_EQUAL(*find_pte(b->top, USER_HEAP + 3 * PAGE) & (PTE_A | PTE_D), PTE_A);
	CHECK_EQUAL(user_write(b, USER_HEAP + 3 * PAGE, 1), NO_FAULT);
	CHECK_EQUAL(*find_pte(b->top, USER_HEAP + 3 * PAGE) & (PTE_A | PTE_D), PTE_A | PTE_D);
	release_frame(frame);
	end_people(2);
}

/* Told of a table that is not in force, whether or not the host still has it. */
static void test_told_inactive(void)
{
	uint32_t n = space_count();

	start_people(n, 1);
	for (uint32_t i = 0; i < n; i++)
		fill(&people[i], USER_HEAP, 1, i);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t frame = take_frame(), old = *find_pte(people[i].top, USER_HEAP);

		*word_at((uint32_t)virtual(frame)) = 0x600 + i;
		set_pte(people[i].top, USER_HEAP, frame | PTE_USER);
		release_frame(old & PTE_FRAME);
	}
	for (uint32_t i = 0; i < n; i++)
		add(&people[i], USER_HEAP, 1, 0x600 + i, 1);
	end_people(n);
}

/* ---- 3. Kernel ------------------------------------------------------------------------------ */

static void check_everywhere(uint32_t n, uint32_t va, uint32_t wanted)
{
	for (uint32_t i = 0; i < n; i++) {
		switch_to(&people[i]);
		CHECK_EQUAL(*word_at(va), wanted);
	}
}

static uint32_t frame_with(uint32_t value)
{
	uint32_t frame = take_frame();

	*word_at((uint32_t)virtual(frame)) = value;
	return frame;
}

static void test_kernel_entry(void)
{
	uint32_t n = 5, va = VMALLOC + 0x400000, one = frame_with(1), two = frame_with(2);

	map_kernel(va, one | PTE_KERNEL);
	start_people(n, 1);
	check_everywhere(n, va, 1);
	map_kernel(va, two | PTE_KERNEL);
	check_everywhere(n, va, 2);
	map_kernel(va, one | PTE_KERNEL);
	flush_page(va);
	check_everywhere(n, va, 1);
	map_kernel(va, 0);
	for (uint32_t i = 0; i < n; i++) {
		switch_to(&people[i]);
		CHECK_EQUAL(kernel_read(va), 0);
	}
	end_people(n);
	release_frame(one);
	release_frame(two);
}

/* Another table under all their directory entries, one call. */
static void test_kernel_directory(void)
{
	uint32_t n = 5, va = VMALLOC + 0x800000, one = frame_with(1), two = frame_with(2);
	uint32_t table = take_frame();

	map_kernel(va, one | PTE_KERNEL);
	*(uint32_t *)virtual(table) = two | PTE_KERNEL;
	start_people(n, 1);
	check_everywhere(n, va, 1);
	for (uint32_t i = 0; i < n; i++)
		*((volatile uint32_t *)virtual(people[i].top) + (va >> 22)) = table | PDE_TABLE;
	set_pde(physical(swapper), va, table | PDE_TABLE);
	check_everywhere(n, va, 2);
	end_people(n);
	map_kernel(va, 0);
	release_frame(one);
	release_frame(two);
}

/* The master's entries come to the others when they miss them. */
static void test_vmalloc(void)
{
	uint32_t n = 4, va = VMALLOC + 0xC00000, frames[3];

	start_people(n, 1);
	for (uint32_t k = 0; k < 3; k++) {
		frames[k] = frame_with(0x3A110 + k);
		map_kernel(va + k * PAGE, frames[k] | PTE_KERNEL);
	}
	vmalloc_faults = 0;
	for (uint32_t round = 0; round < 2; round++)
		for (uint32_t k = 0; k < 3; k++)
			check_everywhere(n, va + k * PAGE, 0x3A110 + k);
	CHECK(vmalloc_faults <= n);
	for (uint32_t i = 0; i < n; i++) {
		switch_to(&people[i]);
		CHECK_EQUAL(kernel_read(va + 3 * PAGE), 0);
		CHECK_EQUAL(user_read(&people[i], va), FAULT_P | FAULT_U);
	}
	end_people(n);
	for (uint32_t k = 0; k < 3; k++) {
		map_kernel(va + k * PAGE, 0);
		release_frame(frames[k]);
	}
}

/* ---- 4. Life -------------------------------------------------------------------------------- */

static void test_demand(void)
{
	struct process *p = &people[0];
	uint32_t many = 1100; /* more than a table has */

	start_people(1, 0);
	p->heap_end = USER_HEAP + many * PAGE;
	CHECK_EQUAL(run_user(p, u_sum, 0, many, USER_HEAP), VECTOR_SYSCALL);
	CHECK_EQUAL(p->frame.eax, 0);
	CHECK_EQUAL(p->demand_faults, many);
	fill(p, USER_HEAP, many, 1);
	add(p, USER_HEAP, many, 1, 1);
	CHECK_EQUAL(p->demand_faults, many);
	CHECK_EQUAL(user_read(p, USER_HEAP + many * PAGE), FAULT_U);
	/* the kernel touches what the user may: the fault is the same */
	p->heap_end += 2 * PAGE;
	*word_at(USER_HEAP + many * PAGE) = 5;
	CHECK_EQUAL(*word_at(USER_HEAP + (many + 1) * PAGE), 0);
	CHECK_EQUAL(p->demand_faults, many + 2);
	end_people(1);
}

static void test_fork(void)
{
	struct process *parent = &people[0], *child = &people[1], *grandchild = &people[2];
	uint32_t before = frames_free();

	start_people(1, PAGES);
	fill(parent, USER_HEAP, PAGES, 10);
	process_fork(child, parent);
	CHECK_EQUAL(frame_owners(*find_pte(parent->top, USER_HEAP) & PTE_FRAME), 2);
	add(child, USER_HEAP, 2, 10, 100);
	add(parent, USER_HEAP, 3, 10, 200);
	add(child, USER_HEAP + 2 * PAGE, PAGES - 2, 12, 0); /* adds nothing, writes all the same */
	process_fork(grandchild, child);
	add(parent, USER_HEAP, 3, 210, 1);
	add(parent, USER_HEAP + 3 * PAGE, PAGES - 3, 13, 1);
	add(grandchild, USER_HEAP, 2, 110, 1000);
	add(child, USER_HEAP, 2, 110, 1);
	add(child, USER_HEAP + 2 * PAGE, PAGES - 2, 12, 1);
	add(grandchild, USER_HEAP + 2 * PAGE, PAGES - 2, 12, 1000);
	/* of a parent that is not in force: its entries change in place */
	process_destroy(child);
	process_fork(child, grandchild);
	switch_to(parent);
	add(grandchild, USER_HEAP, 2, 1110, 5);
	add(child, USER_HEAP, 2, 1110, 7);
	switch_to(parent);
	process_destroy(child);
	process_fork(child, grandchild);
	add(child, USER_HEAP, 2, 1115, 7);
	add(grandchild, USER_HEAP, 2, 1115, 1);
	CHECK(parent->copy_faults >= 3 && grandchild->copy_faults >= PAGES);
	/* the kernel writes to what is shared */
	process_destroy(child);
	process_fork(child, parent);
	switch_to(parent);
	*word_at(USER_HEAP) = 4711;
	CHECK_EQUAL(parent->copy_faults >= 4, true);
	add(child, USER_HEAP, 1, 211, 1);
	add(parent, USER_HEAP, 1, 4711, 1);
	end_people(3);
	CHECK_EQUAL(frames_free(), before);
}

static void test_exec(void)
{
	struct process *p = &people[0];
	uint32_t before = frames_free();

	start_people(1, PAGES);
	for (uint32_t round = 0; round < 10; round++) {
		p->heap_end = USER_HEAP + PAGES * PAGE;
		CHECK_EQUAL(run_user(p, u_sum, 0, PAGES, USER_HEAP), VECTOR_SYSCALL);
		CHECK_EQUAL(p->frame.eax, 0);
		fill(p, USER_HEAP, PAGES, round + 1);
		process_exec(p);
		CHECK_EQUAL(user_read(p, USER_HEAP), FAULT_U);
	}
	end_people(1);
	CHECK_EQUAL(frames_free(), before);
}

/* Frames that were tables become data, and the other way round; a directory comes back as another. */
static void test_recycling(void)
{
	uint32_t before = frames_free();

	for (uint32_t round = 0; round < 40; round++) {
		struct process *p = &people[round % 3];

		process_create(p);
		p->heap_end = USER_HEAP + (5 + round % 7) * PAGE;
		CHECK_EQUAL(run_user(p, u_sum, 0, 5 + round % 7, USER_HEAP), VECTOR_SYSCALL);
		CHECK_EQUAL(p->frame.eax, 0);
		fill(p, USER_HEAP, 5 + round % 7, ~round);
		if (round % 3 == 2)
			for (uint32_t i = 0; i < 3; i++) {
				uint32_t r = round - 2 + i;

				add(&people[i], USER_HEAP, 5 + r % 7, ~r, 1);
				process_destroy(&people[i]);
			}
	}
	process_destroy(&people[0]);
	CHECK_EQUAL(frames_free(), before);
}

const struct test spaces_tests[] = {
	{ "spaces", "rotation", test_rotation },
	{ "spaces", "preemption", test_preemption },
	{ "spaces", "inactive", test_inactive },
	{ "spaces", "told-inactive", test_told_inactive },
	{ "spaces", "kernel-entry", test_kernel_entry },
	{ "spaces", "kernel-directory", test_kernel_directory },
	{ "spaces", "vmalloc", test_vmalloc },
	{ "spaces", "demand", test_demand },
	{ "spaces", "fork", test_fork },
	{ "spaces", "exec", test_exec },
	{ "spaces", "recycling", test_recycling },
	{ 0 },
};
