/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/main.c - from the boot loader to the shell, and what traps come to.
 *
 *   1. Traps     interrupts, page faults, calls, everything else
 *   2. Boot
 *
 * Command line: `selfcheck` runs the checks and powers off.
 */
#include "guests/hello/hello.h"

/* ---- 1. Traps ------------------------------------------------------------------------------- */

static bool from_user(const struct trap_frame *f)
{
	return (f->cs & 3) == 3;
}

/* A process did what it may not: it goes on where it asked to, or not at all. */
static void punish(struct trap_frame *f)
{
	if (f->vector == TRAP_PAGE_FAULT && current->recover) {
		f->eip = current->recover;
		f->eax = f->error;
		f->edx = read_cr2();
		current->recover = 0;
		return;
	}
	print("process %u: trap %u, error %x, at %08x, address %08x: ended\n", current->pid,
	      f->vector, f->error, f->eip, read_cr2());
	end_current(-1);
}

static void page_fault(struct trap_frame *f)
{
	uint32_t address = read_cr2();

	if (resolve_fault(current, address, f->error))
		return;
	if (from_user(f))
		punish(f);
	else if (!probe_recover(f)) {
		print("kernel: page fault, error %x, at %08x, address %08x\n", f->error, f->eip,
		      address);
		debug_exit(2);
	}
}

static void interrupt(struct trap_frame *f)
{
	unsigned line = f->vector - TRAP_IRQ0;

	if (line == 7) /* spurious: nothing is in service */
		return;
	end_of_interrupt(line);
	if (line == 4)
		keys_interrupt();
	if (line == 0) {
		ticks++;
		processes_tick(from_user(f));
	}
}

void handle_trap(struct trap_frame *f)
{
	if (f->vector == TRAP_PAGE_FAULT) {
		page_fault(f);
	} else if (f->vector == TRAP_USER) {
		system_call(f);
	} else if (f->vector >= TRAP_IRQ0 && f->vector < TRAP_IRQ0 + 16) {
		interrupt(f);
	} else if (from_user(f)) {
		punish(f);
	} else {
		print("kernel: trap %u, error %x, at %08x\n", f->vector, f->error, f->eip);
		debug_exit(2);
	}
}

/* ---- 2. Boot -------------------------------------------------------------------------------- */

void guest_main(uint32_t magic, const struct multiboot *info)
{
	uint32_t top = memory_top(info);
	bool check_only = has_word(info, "selfcheck"), ok;

	console_start();
	print("hello: a small kernel, in its own words\n");
	if (magic != MULTIBOOT_MAGIC || top < 4u << 20) {
		print("a multiboot loader and 4 MiB of memory are needed\n");
		debug_exit(1);
	}
	top = (top < MEMORY_MAX ? top : MEMORY_MAX) & ~(PAGE * 1024 - 1);
	memory_start(top);
	paging_start(top);
	traps_start();
	processes_start();
	timer_start();
	keys_start();
	print("paging is on, %u MiB of memory, %u frames free\n", top >> 20, frames_free());
	ok = self_check();
	print("BOOT-OK %u.%02u\n", ticks / HZ, ticks % HZ);
	if (check_only) {
		print("SELF-CHECK %s %u.%02u\n", ok ? "ok" : "failed", ticks / HZ, ticks % HZ);
		if (!ok)
			debug_exit(1);
		power_off();
	}
	if (!start_process(RUN_WORKER))
		print("no memory for the worker processes\n");
	print("`help` lists the commands\n");
	shell();
}
