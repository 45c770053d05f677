/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/crash.c - what a host must end a guest for, one at a time: crash=KIND.
 *
 *   1. Calls
 *   2. Tables
 *   3. Stacks
 *   4. Traps
 *   5. The list
 */
#include "guests/pv/probes.h"

static struct process victim;

static uint32_t beyond_limit(void)
{
	return 0x7FFFF000; /* more than anybody gives us, devices included */
}

/* ---- 1. Calls ------------------------------------------------------------------------------- */

static void crash_text(void) { shut_down("pv: a deliberate crash", SHUTDOWN_POWER_OFF); }
static void crash_restart(void) { shut_down("pv: once more", SHUTDOWN_RESTART); }
static void crash_text_range(void) { call(CALL_SHUTDOWN, beyond_limit(), SHUTDOWN_POWER_OFF, 0); }
static void crash_init(void) { call(CALL_INIT, physical(lguest_data), 0, 0); }
static void crash_call(void) { call((enum hypercall)0x1234, 0, 0, 0); }
static void crash_old_call(void) { call((enum hypercall)11, 0, 0, 0); }

static void crash_init_queued(void)
{
	queue_call(CALL_INIT, physical(lguest_data), 0, 0);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
}

static void crash_call_queued(void)
{
	queue_call((enum hypercall)12, 0, 0, 0);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
}

static void crash_idt_type(void) { call(CALL_LOAD_IDT_ENTRY, 3, 0x00610000, 0x8500); }
static void crash_idt_range(void) { call(CALL_LOAD_IDT_ENTRY, 256, 0x00610000, 0x8E00); }
static void crash_tls_range(void) { call(CALL_LOAD_TLS, beyond_limit(), 0, 0); }
static void crash_notify(void) { call(CALL_NOTIFY, beyond_limit(), 0, 0); }

/* 33 descriptors, or the one of that number. */
static void crash_gdt(void)
{
	if (family->gdt_entries)
		call(CALL_LOAD_GDT_ENTRY, GDT_ENTRIES, 0, 0);
	else
		call(CALL_LOAD_GDT, physical(lguest_data), GDT_ENTRIES + 1, 0);
}

static void crash_gdt_range(void)
{
	if (!family->gdt_entries)
		call(CALL_LOAD_GDT, beyond_limit(), GDT_ENTRIES, 0);
	else
		call(CALL_LOAD_GDT_ENTRY, ~0u, 0, 0);
}

/* ---- 2. Tables ------------------------------------------------------------------------------ */

/* Found when it is touched. */
static void touch_entry(uint32_t value)
{
	process_create(&victim);
	switch_to(&victim);
	*make_pte(victim.top, USER_HEAP) = value;
	user_read(&victim, USER_HEAP);
}

static void touch_directory_entry(uint32_t value)
{
	process_create(&victim);
	switch_to(&victim);
	*((volatile uint32_t *)virtual(victim.top) + (USER_HEAP >> 22)) = value;
	user_read(&victim, USER_HEAP);
}

/* Told: the host may judge it at once, or when it is touched. */
static void tell_entry(uint32_t value)
{
	process_create(&victim);
	switch_to(&victim);
	set_pte(victim.top, USER_HEAP, value);
	user_read(&victim, USER_HEAP);
}

static void crash_pse(void) { touch_entry(take_frame() | PTE_USER | PTE_PS); }
static void crash_pse_told(void) { tell_entry(take_frame() | PTE_USER | PTE_PS); }
static void crash_pde_pse(void) { touch_directory_entry(0x400000 | PDE_TABLE | PTE_PS); }
static void crash_pde_flags(void) { touch_directory_entry(take_frame() | PDE_TABLE | PTE_G); }
static void crash_limit(void) { touch_entry(beyond_limit() | PTE_USER); }
static void crash_limit_told(void) { tell_entry(beyond_limit() | PTE_USER); }
static void crash_pde_limit(void) { touch_directory_entry(beyond_limit() | PDE_TABLE); }

/* Nothing is mapped any more, the stack least of all. */
static void crash_table(void)
{
	call(CALL_NEW_PGTABLE, take_frame(), 0, 0);
	call(CALL_FLUSH_TLB, 1, 0, 0);
}

static void crash_table_range(void)
{
	call(CALL_NEW_PGTABLE, beyond_limit(), 0, 0);
	call(CALL_FLUSH_TLB, 1, 0, 0);
}

/* The host's own addresses; PAE's middle level and its directories, which this guest does not have. */
static void crash_switcher(void) { call(CALL_SET_PTE, physical(swapper), 0xFFFFF000, PTE_KERNEL); }
static void crash_middle(void) { call(CALL_SET_PMD, physical(swapper), 0, 0); }
static void crash_pgd_unaligned(void) { call(CALL_SET_PGD, physical(swapper) + 32, 1, 0); }
static void crash_pgd_index(void) { call(CALL_SET_PGD, physical(swapper), 1024, 0); }

/* ---- 3. Stacks ------------------------------------------------------------------------------ */

static void set_stack(uint32_t selector, uint32_t esp, uint32_t pages)
{
	call(CALL_SET_STACK, selector, esp, pages);
}

static void crash_stack_pages(void) { set_stack(KERNEL_DATA, (uint32_t)boot_stack_top, 3); }
static void crash_stack_many(void) { set_stack(KERNEL_DATA, (uint32_t)boot_stack_top, ~0u); }
static void crash_stack_ring(void) { set_stack(KERNEL_DATA_RPL0, (uint32_t)boot_stack_top, 2); }
static void crash_stack_user(void) { set_stack(USER_DATA, (uint32_t)boot_stack_top, 2); }
static void crash_stack_absent(void) { set_stack(KERNEL_DATA, VMALLOC + 2 * PAGE, 1); }

static void crash_stack_readonly(void)
{
	map_kernel(VMALLOC, take_frame() | (PTE_KERNEL & ~(uint32_t)PTE_W));
	set_stack(KERNEL_DATA, VMALLOC + PAGE, 1);
}

static void trap_now(void)
{
	__asm__ volatile("ud2");
}

/* A trap in the kernel, whose own stack is not there. */
static void crash_stack_lost(void)
{
	k_on_stack(trap_now, VMALLOC_END - PAGE);
}

/* ---- 4. Traps ------------------------------------------------------------------------------- */

static void crash_trap(void)
{
	set_gate(6, 0, 0, 0);
	trap_now();
}

static void crash_page_fault(void)
{
	set_gate(14, 0, 0, 0);
	(void)*word_at(0x12345678);
}

/* A descriptor goes while a register holds it. */
static void crash_segment(void)
{
	set_descriptor(20, make_segment(0, ~0u, 0x92));
	__asm__ volatile("movl %0, %%fs" : : "r"(20 * 8));
	set_descriptor(20, 0);
	call(CALL_FLUSH_ASYNC, 0, 0, 0);
	__asm__ volatile("movl %0, %%fs" : : "r"(20 * 8));
}

/* ---- 5. The list ---------------------------------------------------------------------------- */

static const struct {
	const char *kind;
	void (*run)(void);
} crashes[] = {
	{ "text", crash_text },
	{ "restart", crash_restart },
	{ "text-range", crash_text_range },
	{ "init", crash_init },
	{ "init-queued", crash_init_queued },
	{ "call", crash_call },
	{ "old-call", crash_old_call },
	{ "call-queued", crash_call_queued },
	{ "idt-type", crash_idt_type },
	{ "idt-range", crash_idt_range },
	{ "tls-range", crash_tls_range },
	{ "gdt", crash_gdt },
	{ "gdt-range", crash_gdt_range },
	{ "notify", crash_notify },
	{ "pse", crash_pse },
	{ "pse-told", crash_pse_told },
	{ "pde-pse", crash_pde_pse },
	{ "pde-flags", crash_pde_flags },
	{ "limit", crash_limit },
	{ "limit-told", crash_limit_told },
	{ "pde-limit", crash_pde_limit },
	{ "table", crash_table },
	{ "table-range", crash_table_range },
	{ "switcher", crash_switcher },
	{ "middle", crash_middle },
	{ "pgd-unaligned", crash_pgd_unaligned },
	{ "pgd-index", crash_pgd_index },
	{ "stack-pages", crash_stack_pages },
	{ "stack-many", crash_stack_many },
	{ "stack-ring", crash_stack_ring },
	{ "stack-user", crash_stack_user },
	{ "stack-absent", crash_stack_absent },
	{ "stack-readonly", crash_stack_readonly },
	{ "stack-lost", crash_stack_lost },
	{ "trap", crash_trap },
	{ "page-fault", crash_page_fault },
	{ "segment", crash_segment },
};

void run_crash(const char *kind)
{
	for (unsigned i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
		if (!in_list(kind, crashes[i].kind))
			continue;
		print("# crash: %s\n", crashes[i].kind);
		crashes[i].run();
		print("# crash: still alive after %s\n", crashes[i].kind);
		shut_down("pv: still alive", SHUTDOWN_POWER_OFF);
	}
	print("# crash: no such kind\n");
	shut_down("pv: no such crash", SHUTDOWN_POWER_OFF);
}
