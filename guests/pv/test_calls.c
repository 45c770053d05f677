/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_calls.c - the calls themselves: at once, by the ring, in order.
 *
 *   1. Direct      every call that a running system can make; registers are kept
 *   2. The ring    order, wrapping, fullness, gaps
 *   3. Oddities    addresses and indices that are nobody's
 */
#include "guests/pv/probes.h"

enum { TEST_VECTOR = 5 };

static volatile uint8_t *status_of(unsigned slot)
{
	return (volatile uint8_t *)lguest_data + family->status + slot % RING_SLOTS;
}

static void check_ring_empty(void)
{
	unsigned busy = 0;

	for (unsigned i = 0; i < RING_SLOTS; i++)
		busy += *status_of(i) != RING_FREE;
	CHECK_EQUAL(busy, 0);
}

/* ---- 1. Direct ------------------------------------------------------------------------------ */

typedef void caller(enum hypercall number, uint32_t a, uint32_t b, uint32_t c);

/* All but those that end, wait or speak; with the effect that a later test looks into. */
static void make_every_call(caller *make)
{
	static uint64_t descriptors[GDT_ENTRIES] __attribute__((aligned(8)));
	uint32_t *pte = find_pte(physical(swapper), (uint32_t)lguest_data);

	make(CALL_FLUSH_ASYNC, 0, 0, 0);
	if (!family->gdt_entries)
		make(CALL_LOAD_GDT, physical(descriptors), 1, 0);
	make(CALL_NEW_PGTABLE, current_table, 0, 0);
	make(CALL_FLUSH_TLB, 0, 0, 0);
	make(CALL_FLUSH_TLB, 1, 0, 0);
	make(CALL_LOAD_IDT_ENTRY, TEST_VECTOR, 0, 0);
	make(CALL_SET_STACK, KERNEL_DATA, (uint32_t)boot_stack_top, 1);
	make(CALL_SET_STACK, KERNEL_DATA, (uint32_t)boot_stack_top, 2);
	make(CALL_TS, 1, 0, 0);
	make(CALL_TS, 0, 0, 0);
	make(CALL_SET_CLOCKEVENT, 0, 0, 0);
	make(CALL_SET_PTE, physical(swapper), (uint32_t)lguest_data, *pte);
	make(CALL_SET_PTE, current_table, (uint32_t)lguest_data, 0);
	make(CALL_SET_PGD, physical(swapper), (uint32_t)lguest_data >> 22, 0);
	make(CALL_SET_PGD, physical(swapper), 1, 0);
	make(CALL_LOAD_TLS, physical(descriptors), 0, 0);
	if (family->gdt_entries) {
		make(CALL_LOAD_GDT_ENTRY, 0, 0, 0);
		make(CALL_SEND_INTERRUPTS, 0, 0, 0);
	}
}

static void test_direct(void)
{
	make_every_call(call);
	default_gate(TEST_VECTOR);
	CHECK_EQUAL(registers_changed, 0);
	CHECK_EQUAL(*data_word(DATA_IRQ_ENABLED), 0);
	check_ring_empty();
}

static void test_queued(void)
{
	make_every_call(queue_call);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	default_gate(TEST_VECTOR);
	CHECK_EQUAL(registers_changed, 0);
	check_ring_empty();
}

/* ---- 2. The ring ---------------------------------------------------------------------------- */

static uint64_t tls_arrays[RING_SLOTS + 2][3] __attribute__((aligned(8)));
static uint32_t tls_words[RING_SLOTS + 2];

static void prepare_tls(void)
{
	for (unsigned i = 0; i < RING_SLOTS + 2; i++) {
		tls_words[i] = 0x715 + i;
		tls_arrays[i][0] = make_segment((uint32_t)&tls_words[i], 3, 0x92);
	}
}

/* Which of the arrays is in force? */
static uint32_t tls_in_force(void)
{
	uint32_t word;

	__asm__ volatile("movl %1, %%gs\n\t"
			 "movl %%gs:0, %0\n\t"
			 "movl %2, %%gs"
			 : "=&r"(word)
			 : "r"(USER_TLS & ~3), "r"(0));
	return word - 0x715;
}

static void queue_tls(unsigned i)
{
	queue_call(CALL_LOAD_TLS, physical(tls_arrays[i]), 0, 0);
}

static void clear_tls(void)
{
	static uint64_t none[3] __attribute__((aligned(8)));

	call(CALL_LOAD_TLS, physical(none), 0, 0);
}

static void test_order(void)
{
	prepare_tls();
	for (unsigned i = 0; i < 10; i++)
		queue_tls(i);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	CHECK_EQUAL(tls_in_force(), 9);
	queue_tls(3);
	call(CALL_LOAD_TLS, physical(tls_arrays[7]), 0, 0); /* the ring goes first */
	CHECK_EQUAL(tls_in_force(), 7);
	queue_tls(8);
	call(CALL_FLUSH_TLB, 0, 0, 0);
	CHECK_EQUAL(tls_in_force(), 8);
	clear_tls();
}

static void test_wrap(void)
{
	prepare_tls();
	for (unsigned round = 1; round <= 12; round++) {
		unsigned before = ring_next, n = 11 * round % (RING_SLOTS - 1) + 1;

		for (unsigned i = 0; i < n; i++)
			queue_tls((round + i) % RING_SLOTS);
		CHECK_EQUAL(ring_next, (before + n) % RING_SLOTS);
		call(CALL_FLUSH_ASYNC, 0, 0, 0);
		CHECK_EQUAL(tls_in_force(), (round + n - 1) % RING_SLOTS);
		check_ring_empty();
	}
	clear_tls();
}

/* 64 are queued; what finds no slot goes at once, after all of them. */
static void test_full(void)
{
	unsigned before = ring_next, busy = 0;

	prepare_tls();
	for (unsigned i = 0; i < RING_SLOTS; i++)
		queue_tls(i);
	CHECK_EQUAL(ring_next, before);
	for (unsigned i = 0; i < RING_SLOTS; i++)
		busy += *status_of(i) == RING_PENDING;
	CHECK_EQUAL(busy, RING_SLOTS);
	queue_tls(RING_SLOTS);
	CHECK_EQUAL(ring_next, before);
	check_ring_empty();
	CHECK_EQUAL(tls_in_force(), RING_SLOTS);
	queue_tls(5); /* the host's cursor came round to where ours is */
	CHECK_EQUAL(*status_of(before), RING_PENDING);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	CHECK_EQUAL(tls_in_force(), 5);
	clear_tls();
}

/* A free slot stops the host, whatever is behind it. */
static void test_gap(void)
{
	unsigned gap = ring_next;

	prepare_tls();
	clear_tls();
	ring_next = (gap + 1) % RING_SLOTS;
	queue_tls(20);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	CHECK_EQUAL(*status_of(gap + 1), RING_PENDING);
	ring_next = gap;
	queue_tls(21);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	check_ring_empty();
	CHECK_EQUAL(tls_in_force(), 20);
	ring_next = (gap + 2) % RING_SLOTS;
	queue_tls(22);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	CHECK_EQUAL(tls_in_force(), 22);
	clear_tls();
}

/* ---- 3. Oddities ---------------------------------------------------------------------------- */

/* Table address 0 is a page like any other, and nobody's table until somebody loads it. */
static void test_table_zero(void)
{
	static uint32_t saved[1024];
	uint32_t *zero = virtual(0), home = current_table;

	call(CALL_SET_PTE, 0, USER_HEAP, 0);
	call(CALL_SET_PTE, 0, USER_HEAP, 0x1067);
	call(CALL_SET_PGD, 0, 1, 0);
	call(CALL_SET_PTE, 0x7000, USER_HEAP, 0x1067); /* of an unknown table */
	memcpy(saved, zero, sizeof saved);
	memcpy(zero, swapper, sizeof saved);
	load_table(0);
	CHECK_EQUAL(zero[KERNEL_INDEX], swapper[KERNEL_INDEX]);
	call(CALL_SET_PTE, 0, USER_HEAP, 0);
	call(CALL_FLUSH_TLB, 0, 0, 0);
	CHECK_EQUAL(kernel_read(USER_HEAP), 0);
	load_table(home);
	memcpy(zero, saved, sizeof saved);
	CHECK_EQUAL(zero[0x2D8 / 4], saved[0x2D8 / 4]);
}

/* Entries of the reserved area: announced early by every guest.  Families B and C may announce any. */
static void test_top_indices(void)
{
	call(CALL_SET_PGD, physical(swapper), 1022, 0);
	call(CALL_SET_PGD, physical(swapper), 1023, 0);
	call(CALL_SET_PGD, 0x7000, 1023, 0);
	if (!family->gdt_entries) {
		call(CALL_SET_PGD, physical(swapper), 1024, 0);
		call(CALL_SET_PGD, physical(swapper), ~0u, 0);
	}
	CHECK_EQUAL(swapper[1023], 0);
	CHECK_EQUAL(*word_at(PAGE_OFFSET + 0x228), PHYSICAL_COMMAND_LINE);
}

const struct test calls_tests[] = {
	{ "calls", "direct", test_direct },
	{ "calls", "queued", test_queued },
	{ "calls", "order", test_order },
	{ "calls", "wrap", test_wrap },
	{ "calls", "full", test_full },
	{ "calls", "gap", test_gap },
	{ "calls", "table-zero", test_table_zero },
	{ "calls", "top-indices", test_top_indices },
	{ 0 },
};
