/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_segments.c - descriptors: what the host makes of them, seen by their effects.
 */
#include "guests/pv/probes.h"

enum { DPL_SHIFT = 13, ACCESSED = 0x100, FREE_ENTRY = 20 };

static unsigned dpl_of(uint32_t selector)
{
	return k_lar(selector) >> DPL_SHIFT & 3;
}

/* #GP with this error code? */
static void check_load_refused(uint32_t selector)
{
	if (CHECK(call_guarded(k_load_es, selector, 0))) {
		CHECK_EQUAL(caught.frame.vector, 13);
		CHECK_EQUAL(caught.frame.error, selector & ~3u);
		CHECK_EQUAL(caught.frame.eip, (uint32_t)k_load_es_at);
	}
	__asm__ volatile("movl %0, %%es" : : "r"(KERNEL_DATA_RPL0));
}

static void check_load(uint32_t selector)
{
	CHECK(!call_guarded(k_load_es, selector, 0));
	__asm__ volatile("movl %0, %%es" : : "r"(KERNEL_DATA_RPL0));
}

/* DPL 0 becomes 1, the accessed bit is set; DPL 3 stays. */
static void test_normalise(void)
{
	CHECK_EQUAL(dpl_of(KERNEL_CODE), 1);
	CHECK_EQUAL(dpl_of(KERNEL_DATA), 1);
	CHECK_EQUAL(dpl_of(USER_CODE), 3);
	CHECK_EQUAL(dpl_of(USER_DATA), 3);
	set_descriptor(FREE_ENTRY, make_segment(0, ~0u, 0x92));
	CHECK_EQUAL(dpl_of(8 * FREE_ENTRY), 1);
	CHECK(k_lar(8 * FREE_ENTRY) & ACCESSED);
	check_load(8 * FREE_ENTRY);
	check_load(8 * FREE_ENTRY | 1);
	check_load_refused(8 * FREE_ENTRY | 2); /* less than its RPL */
	set_descriptor(FREE_ENTRY, make_segment(0, ~0u, 0xB2));
	CHECK_EQUAL(dpl_of(8 * FREE_ENTRY), 1);
	set_descriptor(FREE_ENTRY, make_segment(0, ~0u, 0xD2));
	check_load(8 * FREE_ENTRY | 2);
	set_descriptor(FREE_ENTRY, 0);
	check_load_refused(8 * FREE_ENTRY);
}

/* The host's own entries take what we say and keep what they are. */
static void test_ignored(void)
{
	static const uint8_t entries[] = { 10, 11, 16, 31 };

	for (unsigned i = 0; i < sizeof entries; i++) {
		set_descriptor(entries[i], make_segment(0, ~0u, 0xF2));
		check_load_refused(8u * entries[i]);
		set_descriptor(entries[i], 0);
	}
	check_load_refused(8 * GDT_ENTRIES); /* there are 32 */
	set_descriptor(16, make_segment(0, 103, 0x89));
}

static uint32_t area[2][4] = { { 1, 2, 3, 4 }, { 11, 12, 13, 14 } };

static uint32_t fs_word(uint32_t offset)
{
	uint32_t value;

	__asm__ volatile("movl %%fs:(%1), %0" : "=r"(value) : "r"(offset));
	return value;
}

static void load_fs(uint32_t selector)
{
	__asm__ volatile("movl %0, %%fs" : : "r"(selector));
}

static void test_per_cpu(void)
{
	uint32_t base;

	CHECK_EQUAL(fs_word(0), 0x9E12C947);
	__asm__ volatile("pushl %%fs; popl %0" : "=r"(base));
	CHECK_EQUAL(base & 0xFFFF, PERCPU);
	set_descriptor(FREE_ENTRY, make_segment((uint32_t)area[0], sizeof area[0] - 1, 0x92));
	load_fs(8 * FREE_ENTRY);
	CHECK_EQUAL(fs_word(4), 2);
	set_descriptor(FREE_ENTRY, make_segment((uint32_t)area[1], sizeof area[1] - 1, 0x92));
	load_fs(8 * FREE_ENTRY);
	CHECK_EQUAL(fs_word(4), 12);
	CHECK_EQUAL(fs_word(12), 14);
	if (CHECK(call_guarded(k_fs_read, 13, 0))) { /* one byte beyond */
		CHECK_EQUAL(caught.frame.vector, 13);
		CHECK_EQUAL(caught.frame.error, 0);
		CHECK_EQUAL(caught.frame.fs & 0xFFFF, 8 * FREE_ENTRY);
		CHECK_EQUAL(caught.frame.eip, (uint32_t)k_fs_read_at);
	}
	load_fs(PERCPU);
	set_descriptor(FREE_ENTRY, 0);
}

/* Two processes, three descriptors each. */
static void test_tls(void)
{
	static struct process p[2];
	static const uint8_t selectors[] = { 0x33, 0x3B, 0x43 };

	for (unsigned i = 0; i < 2; i++) {
		process_create(&p[i]);
		p[i].heap_end = USER_HEAP + PAGE;
		for (unsigned k = 0; k < 3; k++)
			p[i].tls[k] = make_segment(USER_HEAP + 16 * k, 15, 0xF2);
		CHECK_EQUAL(run_user(&p[i], u_write, 100 + 10 * i, 0, USER_HEAP), VECTOR_SYSCALL);
		run_user(&p[i], u_write, 101 + 10 * i, 0, USER_HEAP + 16);
		run_user(&p[i], u_write, 102 + 10 * i, 0, USER_HEAP + 32);
	}
	p[1].tls[2] = 0;
	for (unsigned turn = 0; turn < 4; turn++) {
		struct process *one = &p[turn % 2];

		for (unsigned k = 0; k < 2; k++) {
			CHECK_EQUAL(run_user(one, u_gs, 0, selectors[k], 0), VECTOR_SYSCALL);
			CHECK_EQUAL(one->frame.eax, 100 + 10 * (turn % 2) + k);
		}
	}
	CHECK_EQUAL(run_user(&p[0], u_gs_kept, 0, 0, 0), VECTOR_SYSCALL); /* over switches */
	CHECK_EQUAL(p[0].frame.eax, 101);
	CHECK_EQUAL(run_user(&p[0], u_gs, 0, 0x43, 0), VECTOR_SYSCALL);
	CHECK_EQUAL(p[0].frame.eax, 102);
	CHECK_EQUAL(run_user(&p[1], u_load_gs, 0, 0x43, 0), 13);
	CHECK_EQUAL(p[1].frame.error, 0x40);
	process_destroy(&p[0]);
	process_destroy(&p[1]);
}

/* DPL 0 becomes 1: not for ring 3. */
static void test_tls_privilege(void)
{
	static struct process p;

	process_create(&p);
	p.tls[0] = make_segment(USER_HEAP, 15, 0x92);
	CHECK_EQUAL(run_user(&p, u_load_gs, 0, USER_TLS, 0), 13);
	CHECK_EQUAL(p.frame.error, USER_TLS & ~3);
	CHECK_EQUAL(p.frame.eip, user_address(u_load_gs));
	CHECK_EQUAL(run_user(&p, u_load_gs, 0, PERCPU, 0), 13);
	CHECK_EQUAL(p.frame.error, PERCPU);
	CHECK_EQUAL(run_user(&p, u_load_gs, 0, USER_DATA, 0), VECTOR_SYSCALL);
	CHECK_EQUAL(p.frame.gs & 0xFFFF, USER_DATA);
	p.frame.gs = 0;
	process_destroy(&p);
}

const struct test segments_tests[] = {
	{ "segments", "normalise", test_normalise },
	{ "segments", "ignored", test_ignored },
	{ "segments", "per-cpu", test_per_cpu },
	{ "segments", "tls", test_tls },
	{ "segments", "tls-privilege", test_tls_privilege },
	{ 0 },
};
