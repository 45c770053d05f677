/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/check.c - the self-check: what ring 3 reports, and what the kernel can see for
 * itself.
 */
#include "guests/hello/hello.h"

extern const char probe_first[], probe_last[], probe_fault[];

static unsigned passed, failed;

void report(const char *what, bool ok)
{
	if (ok)
		passed++;
	else
		failed++;
	print("%s %s\n", ok ? "  ok    " : "  FAILED", what);
}

/* A fault while probe_read() or probe_write() touches an address is their answer. */
bool probe_recover(struct trap_frame *f)
{
	if (f->eip < (uint32_t)probe_first || f->eip >= (uint32_t)probe_last)
		return false;
	f->eax = f->error;
	f->eip = (uint32_t)probe_fault;
	return true;
}

static void check_timer(void)
{
	uint32_t from = ticks;

	while (ticks - from < 5)
		idle();
	report("timer: it ticks, and wakes the processor", true);
}

static void check_kernel_pages(void)
{
	bool ok = probe_read(0) == 0 && probe_write(0x10) == FAULT_W;

	report("ring 0: a null pointer faults", ok);
	ok = probe_write((uint32_t)image_start) == (FAULT_P | FAULT_W) &&
	     probe_read((uint32_t)image_start) == -1;
	report("ring 0: text is read-only (CR0.WP)", ok);
}

/* An entry that changes counts from INVLPG on; one that appears counts at once. */
static void check_flushes(void)
{
	uint32_t directory = new_directory(), one = take_frame(), two = take_frame();
	uint32_t table = take_frame(), address = USER_BASE + 0x5000;
	uint32_t *entry = (uint32_t *)table + 5;
	bool ok;

	*(uint32_t *)one = 1;
	*(uint32_t *)two = 2;
	write_cr3(directory);
	ok = probe_read(address) == 0;
	((uint32_t *)directory)[USER_BASE >> 22] = table | PTE_P | PTE_W;
	ok = ok && probe_read(address) == 0;
	*entry = one | PTE_P | PTE_W;
	ok = ok && probe_read(address) == -1 && *(volatile uint32_t *)address == 1;
	*entry = two | PTE_P;
	flush_page(address);
	ok =
	    ok && *(volatile uint32_t *)address == 2 && probe_write(address) == (FAULT_P | FAULT_W);
	ok = ok && *entry == (two | PTE_P | PTE_A);
	*entry = two | PTE_P | PTE_W;
	ok = ok && probe_write(address) == -1 && *entry == (two | PTE_P | PTE_W | PTE_A | PTE_D);
	ok = ok && *(uint32_t *)two == 0;
	report("tables: changes count when they must", ok);
	write_cr3(kernel_directory());
	release_frame(one);
	release_frame(two);
	release_frame(table);
	((uint32_t *)directory)[USER_BASE >> 22] = 0;
	free_directory(directory);
}

bool self_check(void)
{
	uint32_t before = frames_free();
	struct process *p;

	passed = failed = 0;
	check_timer();
	check_kernel_pages();
	check_flushes();
	p = start_process(RUN_CHECKS);
	report("ring 3: the checks ran to their end", p && wait_for(p) == 0);
	report("memory: all frames were given back", frames_free() == before);
	print("  %u checks passed, %u failed\n", passed, failed);
	return failed == 0;
}
