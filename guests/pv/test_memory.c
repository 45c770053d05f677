/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_memory.c - page-table entries: rights, accessed and dirty, what is not present, and what
 * each call makes the host forget.
 *
 *   1. Rights        of entries and of directory entries
 *   2. Bits          accessed, dirty, global, and those of absent entries
 *   3. Forgetting    one page, all of the user's, everything
 *   4. Limits        of memory, of the address space
 */
#include "guests/pv/probes.h"

enum { A = USER_HEAP, B = USER_HEAP + PAGE };

/* A process with a table for the heap, and two frames that say who they are. */
static struct process p;
static uint32_t one, two;

static void set_up(void)
{
	process_create(&p);
	one = take_frame();
	two = take_frame();
	*word_at((uint32_t)virtual(one)) = 0x111;
	*word_at((uint32_t)virtual(two)) = 0x222;
	switch_to(&p);
}

static void tear_down(void)
{
	*make_pte(p.top, A) = 0;
	*make_pte(p.top, B) = 0;
	process_destroy(&p);
	release_frame(one);
	release_frame(two);
}

static uint32_t entry(uint32_t va)
{
	return *(volatile uint32_t *)find_pte(p.top, va);
}

/* What ring 3 reads there. */
static uint32_t seen(uint32_t va)
{
	uint32_t fault = user_read(&p, va);

	return fault == NO_FAULT ? p.frame.eax : fault | 0xFA000000;
}

/* ---- 1. Rights ------------------------------------------------------------------------------ */

static void test_rights(void)
{
	set_up();
	set_pte(p.top, A, one | PTE_P | PTE_U | PTE_A);
	CHECK_EQUAL(seen(A), 0x111);
	CHECK_EQUAL(user_write(&p, A, 1), FAULT_P | FAULT_W | FAULT_U);
	CHECK_EQUAL(kernel_write(A, 1), FAULT_P | FAULT_W); /* as if CR0.WP were set */
	CHECK_EQUAL(entry(A), one | PTE_P | PTE_U | PTE_A);
	set_pte(p.top, A, one | PTE_P | PTE_W | PTE_A | PTE_D);
	CHECK_EQUAL(user_read(&p, A), FAULT_P | FAULT_U);
	CHECK_EQUAL(user_write(&p, A, 1), FAULT_P | FAULT_W | FAULT_U);
	CHECK_EQUAL(kernel_write(A, 0x112), NO_FAULT);
	CHECK_EQUAL(*word_at((uint32_t)virtual(one)), 0x112);
	CHECK_EQUAL(user_read(&p, B), FAULT_U);
	CHECK_EQUAL(user_write(&p, B, 1), FAULT_U | FAULT_W);
	CHECK_EQUAL(kernel_read(B), 0);
	CHECK_EQUAL(kernel_write(B, 1), FAULT_W);
	CHECK_EQUAL(user_read(&p, PAGE_OFFSET), FAULT_P | FAULT_U);
	CHECK_EQUAL(user_write(&p, (uint32_t)lguest_data, 1), FAULT_P | FAULT_U | FAULT_W);
	CHECK_EQUAL(run_user(&p, u_jump, 0, 0, B), 14);
	CHECK_EQUAL(p.frame.error, FAULT_U);
	CHECK_EQUAL(caught.cr2, B);
	CHECK_EQUAL(p.frame.eip, B);
	tear_down();
}

static void test_kernel_read_only(void)
{
	uint32_t va = VMALLOC + 0x200000, frame = take_frame();

	map_kernel(va, frame | (PTE_KERNEL & ~(uint32_t)PTE_W));
	CHECK_EQUAL(kernel_read(va), NO_FAULT);
	CHECK_EQUAL(kernel_write(va, 1), FAULT_P | FAULT_W);
	map_kernel(va, frame | PTE_KERNEL);
	CHECK_EQUAL(kernel_write(va, 1), NO_FAULT);
	map_kernel(va, 0);
	CHECK_EQUAL(kernel_read(va), 0);
	release_frame(frame);
}

/* A directory entry takes away what its entries allow. */
static void test_directory_rights(void)
{
	uint32_t table;

	set_up();
	set_pte(p.top, A, one | PTE_USER);
	table = *((uint32_t *)virtual(p.top) + (A >> 22)) & PTE_FRAME;
	CHECK_EQUAL(user_write(&p, A, 0x113), NO_FAULT);
	set_pde(p.top, A, table | (PDE_TABLE & ~(uint32_t)PTE_U));
	CHECK_EQUAL(user_read(&p, A), FAULT_P | FAULT_U);
	CHECK_EQUAL(user_write(&p, A, 1), FAULT_P | FAULT_U | FAULT_W);
	CHECK_EQUAL(kernel_write(A, 0x114), NO_FAULT);
	set_pde(p.top, A, table | (PDE_TABLE & ~(uint32_t)PTE_W));
	CHECK_EQUAL(seen(A), 0x114);
	CHECK_EQUAL(user_write(&p, A, 1), FAULT_P | FAULT_U | FAULT_W);
	CHECK_EQUAL(kernel_write(A, 1), FAULT_P | FAULT_W);
	set_pde(p.top, A, table | PDE_TABLE);
	CHECK_EQUAL(user_write(&p, A, 0x115), NO_FAULT);
	tear_down();
}

/* ---- 2. Bits -------------------------------------------------------------------------------- */

/* Neither bit, then accessed only: reads set one, writes the other, and nobody hears of it. */
static void test_accessed_dirty(void)
{
	uint32_t flags = PTE_P | PTE_W | PTE_U;

	set_up();
	set_pte(p.top, A, one | flags);
	CHECK_EQUAL(entry(A), one | flags);
	CHECK_EQUAL(seen(A), 0x111);
	CHECK_EQUAL(entry(A), one | flags | PTE_A);
	CHECK_EQUAL(user_write(&p, A, 0x116), NO_FAULT);
	CHECK_EQUAL(entry(A), one | flags | PTE_A | PTE_D);
	set_pte(p.top, B, two | flags | PTE_A);
	CHECK_EQUAL(seen(B), 0x222);
	CHECK_EQUAL(entry(B), two | flags | PTE_A);
	CHECK_EQUAL(kernel_write(B, 0x223), NO_FAULT);
	CHECK_EQUAL(entry(B), two | flags | PTE_A | PTE_D);
	/* ageing: cleared in place and flushed, they come back */
	edit_pte(p.top, B, two | flags);
	CHECK_EQUAL(seen(B), 0x223);
	CHECK_EQUAL(entry(B), two | flags | PTE_A);
	edit_pte(p.top, B, two | flags | PTE_A); /* cleaned */
	CHECK_EQUAL(user_write(&p, B, 0x224), NO_FAULT);
	CHECK_EQUAL(entry(B), two | flags | PTE_A | PTE_D);
	/* by a write at once; and a refused one leaves no trace */
	set_pte(p.top, A, one | flags);
	CHECK_EQUAL(user_write(&p, A, 0x117), NO_FAULT);
	CHECK_EQUAL(entry(A), one | flags | PTE_A | PTE_D);
	set_pte(p.top, A, one | PTE_P | PTE_U);
	CHECK_EQUAL(user_write(&p, A, 1), FAULT_P | FAULT_U | FAULT_W);
	CHECK_EQUAL(entry(A), one | PTE_P | PTE_U);
	tear_down();
}

/* Swap entries, PROT_NONE, file offsets: bits without meaning while present is clear. */
static void test_absent(void)
{
	static const uint32_t values[] = { 0x0A0,      0x040,      0x020,      0x0E0,     0x102,
					   0xFFFFF0A0, 0xFFFFF0E6, 0x12345040, 0x00000180, 0xFFFFFFFE };

	set_up();
	for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
		set_pte(p.top, A, one | PTE_USER);
		CHECK_EQUAL(user_write(&p, A, i), NO_FAULT);
		set_pte(p.top, A, values[i]);
		CHECK_EQUAL(user_read(&p, A), FAULT_U);
		CHECK_EQUAL(user_write(&p, A, 1), FAULT_U | FAULT_W);
		CHECK_EQUAL(kernel_read(A), 0);
		CHECK_EQUAL(entry(A), values[i]);
		set_pte(p.top, A, one | PTE_USER);
		edit_pte(p.top, A, values[i]); /* the same in place */
		CHECK_EQUAL(user_read(&p, A), FAULT_U);
		set_pte(p.top, A, one | PTE_USER);
		CHECK_EQUAL(seen(A), i);
	}
	tear_down();
}

/* The global bit means nothing, cache bits change nothing. */
static void test_ignored_bits(void)
{
	uint32_t flags = PTE_USER | PTE_G | 0xC00;

	set_up();
	set_pte(p.top, A, one | flags);
	CHECK_EQUAL(seen(A), 0x111);
	*(volatile uint32_t *)find_pte(p.top, A) = two | flags; /* in silence, but for CR3 */
	load_table(physical(swapper));
	load_table(p.top);
	CHECK_EQUAL(seen(A), 0x222);
	*(volatile uint32_t *)find_pte(p.top, A) = one | flags;
	flush_user();
	CHECK_EQUAL(seen(A), 0x111);
	set_pte(p.top, B, two | PTE_USER | PTE_PCD);
	CHECK_EQUAL(seen(B), 0x222);
	if (!family->silent_edits) { /* the oldest refuse it */
		set_pte(p.top, B, two | PTE_USER | PTE_PWT);
		CHECK_EQUAL(seen(B), 0x222);
	}
	tear_down();
}

/* ---- 3. Forgetting -------------------------------------------------------------------------- */

/* SET_PTE with 0 while the entry is there: forgotten, not cleared. */
static void test_flush_page(void)
{
	set_up();
	set_pte(p.top, A, one | PTE_USER);
	CHECK_EQUAL(seen(A), 0x111);
	flush_page(A);
	CHECK_EQUAL(entry(A), one | PTE_USER);
	CHECK_EQUAL(seen(A), 0x111);
	*(volatile uint32_t *)find_pte(p.top, A) = two | PTE_USER;
	flush_page(A);
	CHECK_EQUAL(seen(A), 0x222);
	*(volatile uint32_t *)find_pte(p.top, A) = one | (PTE_USER & ~(uint32_t)PTE_W);
	flush_page(A);
	CHECK_EQUAL(user_write(&p, A, 1), FAULT_P | FAULT_U | FAULT_W);
	flush_page(0x20000000); /* no table there */
	tear_down();
}

static void test_flush_user(void)
{
	set_up();
	set_pte(p.top, A, one | PTE_USER);
	set_pte(p.top, B, two | PTE_USER);
	CHECK_EQUAL(seen(A) + seen(B), 0x333);
	*(volatile uint32_t *)find_pte(p.top, A) = two | PTE_USER;
	*(volatile uint32_t *)find_pte(p.top, B) = 0;
	flush_user();
	CHECK_EQUAL(seen(A), 0x222);
	CHECK_EQUAL(user_read(&p, B), FAULT_U);
	CHECK_EQUAL(entry(A), two | PTE_USER);
	tear_down();
}

/* Kernel entries change with one call for all; the stack is usable at once. */
static void test_flush_everything(void)
{
	uint32_t va = VMALLOC + 0x300000, home;

	set_up();
	home = current_table;
	map_kernel(va, one | PTE_KERNEL);
	CHECK_EQUAL(*word_at(va), 0x111);
	load_table(physical(swapper));
	CHECK_EQUAL(*word_at(va), 0x111);
	*(volatile uint32_t *)find_pte(physical(swapper), va) = two | PTE_KERNEL;
	flush_everything();
	CHECK_EQUAL(*word_at(va), 0x222);
	load_table(home);
	CHECK_EQUAL(run_user(&p, u_nothing, 0, 0, 0), VECTOR_SYSCALL);
	CHECK_EQUAL(*word_at(va), 0x222);
	*(volatile uint32_t *)find_pte(physical(swapper), va) = 0;
	flush_everything();
	CHECK_EQUAL(run_user(&p, u_nothing, 0, 0, 0), VECTOR_SYSCALL);
	CHECK_EQUAL(kernel_read(va), 0);
	tear_down();
}

/* Another table under a directory entry. */
static void test_directory(void)
{
	uint32_t old, other = take_frame();

	set_up();
	set_pte(p.top, A, one | PTE_USER);
	CHECK_EQUAL(seen(A), 0x111);
	old = *((uint32_t *)virtual(p.top) + (A >> 22));
	*((uint32_t *)virtual(other) + (A >> 12 & 1023)) = two | PTE_USER;
	set_pde(p.top, A, other | PDE_TABLE);
	CHECK_EQUAL(seen(A), 0x222);
	set_pde(p.top, A, 0);
	CHECK_EQUAL(user_read(&p, A), FAULT_U);
	set_pde(p.top, A, old);
	CHECK_EQUAL(seen(A), 0x111);
	/* one table under two directory entries */
	set_pde(p.top, A + 0x400000, old);
	CHECK_EQUAL(seen(A + 0x400000), 0x111);
	CHECK_EQUAL(user_write(&p, A + 0x400000, 0x118), NO_FAULT);
	CHECK_EQUAL(seen(A), 0x118);
	set_pde(p.top, A + 0x400000, 0);
	release_frame(other);
	tear_down();
}

/* ---- 4. Limits ------------------------------------------------------------------------------ */

/* The last page of memory; the last below the reserved area; nothing of that. */
static void test_last_page(void)
{
	uint32_t last = memory_bytes - PAGE, kept;

	set_up();
	kept = *word_at((uint32_t)virtual(last));
	set_pte(p.top, A, last | PTE_USER);
	CHECK_EQUAL(user_write(&p, A, 0x1A57), NO_FAULT);
	CHECK_EQUAL(*word_at((uint32_t)virtual(last)), 0x1A57);
	*word_at((uint32_t)virtual(last)) = kept;
	tear_down();
}

static void test_fixmap(void)
{
	uint32_t va = 0u - *data_word(family->reserve) - PAGE;

	set_up();
	map_kernel(va, one | PTE_KERNEL);
	CHECK_EQUAL(*word_at(va), 0x111);
	map_kernel(va, two | PTE_KERNEL);
	CHECK_EQUAL(*word_at(va), 0x222);
	map_kernel(va, 0);
	CHECK_EQUAL(kernel_read(va), 0);
	tear_down();
}

static void check_refused(struct process *who, uint32_t va)
{
	uint32_t read = user_read(who, va), write = user_write(who, va, 1), kernel = kernel_read(va);

	CHECK(read != NO_FAULT && (read & FAULT_U) && !(read & FAULT_W));
	CHECK(write != NO_FAULT && (write & FAULT_U) && (write & FAULT_W));
	CHECK(kernel != NO_FAULT && !(kernel & FAULT_U));
	CHECK(kernel_write(va, 1) != NO_FAULT);
}

/* The host's own: a fault like any other, whatever our entries say. */
static void test_reserved(void)
{
	uint32_t first = 0u - *data_word(family->reserve), top = 0u - PAGE;
	uint32_t *directory, *table;

	set_up();
	check_refused(&p, first);
	check_refused(&p, top);
	check_refused(&p, top - 0x1000);
	directory = virtual(p.top);
	if (!(directory[1023] & PTE_P)) /* unannounced, but it would be found */
		directory[1023] = two | PDE_TABLE;
	table = virtual(directory[1023] & PTE_FRAME);
	table[1023] = one | PTE_USER;
	if (first >> 22 == 1023)
		table[first >> 12 & 1023] = one | PTE_USER;
	load_table(physical(swapper));
	load_table(p.top);
	check_refused(&p, top);
	if (first >> 22 == 1023)
		check_refused(&p, first);
	table[1023] = table[first >> 12 & 1023] = 0;
	if ((directory[1023] & PTE_FRAME) == two)
		directory[1023] = 0;
	tear_down();
}

const struct test memory_tests[] = {
	{ "memory", "rights", test_rights },
	{ "memory", "kernel-read-only", test_kernel_read_only },
	{ "memory", "directory-rights", test_directory_rights },
	{ "memory", "accessed-dirty", test_accessed_dirty },
	{ "memory", "absent", test_absent },
	{ "memory", "ignored-bits", test_ignored_bits },
	{ "memory", "flush-page", test_flush_page },
	{ "memory", "flush-user", test_flush_user },
	{ "memory", "flush-everything", test_flush_everything },
	{ "memory", "directory", test_directory },
	{ "memory", "last-page", test_last_page },
	{ "memory", "fixmap", test_fixmap },
	{ "memory", "reserved", test_reserved },
	{ 0 },
};
