/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/paging.c - page tables: the kernel's, and one set for each process.
 *
 *   1. Kernel     all memory at its own address, ring 0 only
 *   2. Spaces     a directory for each process; the kernel's tables are shared by all
 *   3. Faults     demand paging and copy on write
 *   4. Printing   the tables as runs
 *
 * 32-bit paging as in SDM vol. 3, 4.3.  A page table's memory is reached at its own address, like
 * all memory.
 */
#include "guests/hello/hello.h"

#define ENTRIES 1024u
#define SPAN (ENTRIES * PAGE) /* bytes that one directory entry covers: 4 MiB */
#define KERNEL_ENTRIES (USER_BASE / SPAN)
#define USER_ENTRIES_END (USER_TOP / SPAN)

static uint32_t *table_at(uint32_t entry)
{
	return (uint32_t *)(entry & PTE_FRAME);
}

/* ---- 1. Kernel ------------------------------------------------------------------------------ */

static uint32_t kernel[ENTRIES] __attribute__((aligned(4096)));

uint32_t kernel_directory(void)
{
	return (uint32_t)kernel;
}

/* One 4 MiB piece by a table of its own: page 0 left out, so that a null pointer faults; text
 * read-only. */
static void map_small(uint32_t base)
{
	uint32_t *table = (uint32_t *)take_frame();

	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint32_t address = base + i * PAGE;
		bool text = address >= (uint32_t)image_start && address < (uint32_t)text_end;

		if (address)
			table[i] = address | (text ? PTE_P : PTE_P | PTE_W);
	}
	kernel[base / SPAN] = (uint32_t)table | PTE_P | PTE_W;
}

void paging_start(uint32_t top)
{
	bool large = cpu_features() & FEATURE_PSE;

	if (large)
		write_cr4(read_cr4() | CR4_PSE);
	for (uint32_t base = 0; base < top; base += SPAN)
		if (large && base)
			kernel[base / SPAN] = base | PTE_P | PTE_W | PTE_PS;
		else
			map_small(base);
	write_cr3((uint32_t)kernel);
	/* WP: read-only is read-only in ring 0 too, or the kernel would write into shared pages */
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

/* ---- 2. Spaces ------------------------------------------------------------------------------ */

uint32_t new_directory(void)
{
	uint32_t directory = take_frame();

	if (directory)
		memcpy((void *)directory, kernel, KERNEL_ENTRIES * sizeof(kernel[0]));
	return directory;
}

void free_directory(uint32_t directory)
{
	uint32_t *entry = (uint32_t *)directory;

	for (uint32_t i = KERNEL_ENTRIES; i < USER_ENTRIES_END; i++) {
		if (!(entry[i] & PTE_P))
			continue;
		for (uint32_t n = 0; n < ENTRIES; n++)
			if (table_at(entry[i])[n] & PTE_P)
				release_frame(table_at(entry[i])[n] & PTE_FRAME);
		release_frame(entry[i] & PTE_FRAME);
	}
	release_frame(directory);
}

uint32_t *find_entry(uint32_t directory, uint32_t address)
{
	uint32_t entry = ((uint32_t *)directory)[address / SPAN];

	return entry & PTE_P ? &table_at(entry)[address / PAGE % ENTRIES] : NULL;
}

/* The same, with a new table where there is none.  NULL: no memory. */
static uint32_t *make_entry(uint32_t directory, uint32_t address)
{
	uint32_t *entry = &((uint32_t *)directory)[address / SPAN], table;

	if (!(*entry & PTE_P)) {
		table = take_frame();
		if (!table)
			return NULL;
		*entry = table | PTE_P | PTE_W | PTE_U;
	}
	return find_entry(directory, address);
}

/* Both sides keep the frame, neither may write to it: the first write makes the copy. */
static void share_entry(uint32_t *from, uint32_t *to)
{
	if (*from & PTE_W)
		*from = (*from & ~(uint32_t)PTE_W) | PTE_COW;
	*to = *from & ~(uint32_t)(PTE_A | PTE_D);
	share_frame(*from & PTE_FRAME);
}

uint32_t copy_directory(uint32_t from)
{
	uint32_t to = new_directory();

	if (!to)
		return 0;
	for (uint32_t i = KERNEL_ENTRIES; i < USER_ENTRIES_END; i++) {
		uint32_t entry = ((uint32_t *)from)[i];

		for (uint32_t n = 0; entry & PTE_P && n < ENTRIES; n++) {
			uint32_t *to_entry;

			if (!(table_at(entry)[n] & PTE_P))
				continue;
			to_entry = make_entry(to, i * SPAN + n * PAGE);
			if (!to_entry) {
				free_directory(to);
				flush_all();
				return 0;
			}
			share_entry(&table_at(entry)[n], to_entry);
		}
	}
	flush_all(); /* the parent's entries lost their W */
	return to;
}

/* ---- 3. Faults ------------------------------------------------------------------------------ */

static bool is_stack(uint32_t address)
{
	return address >= USER_TOP - STACK_BYTES && address < USER_TOP;
}

static bool is_heap(uint32_t address) /* with .bss in front of it */
{
	return address >= (uint32_t)user_data_end && address < (uint32_t)user_end + HEAP_BYTES;
}

static bool is_program(uint32_t address)
{
	return address >= USER_BASE && address < (uint32_t)user_data_end;
}

bool is_user_range(uint32_t address, uint32_t bytes)
{
	if (address < USER_BASE || address >= USER_TOP || bytes > USER_TOP - address)
		return false;
	for (uint32_t at = address & PTE_FRAME; at < address + bytes; at += PAGE)
		if (!is_stack(at) && !is_heap(at) && !is_program(at))
			return false;
	return true;
}

/* What a page holds at first: a page of the image, to be copied if it is written to, or zeroes. */
static uint32_t first_content(uint32_t page)
{
	uint32_t image = (uint32_t)user_load + (page - USER_BASE), frame;

	if (page < (uint32_t)user_text_end && is_program(page))
		return image | PTE_P | PTE_U;
	if (is_program(page))
		return image | PTE_P | PTE_U | PTE_COW;
	frame = take_frame();
	return frame ? frame | PTE_P | PTE_W | PTE_U : 0;
}

/* A write to a page that is shared: the last owner keeps the frame, the others copy it. */
static bool copy_on_write(uint32_t *entry)
{
	uint32_t old = *entry & PTE_FRAME, new = old;

	if (frame_owners(old) > 1) {
		new = take_frame();
		if (!new)
			return false;
		memcpy((void *)new, (void *)old, PAGE);
		release_frame(old);
	}
	*entry = new | PTE_P | PTE_W | PTE_U;
	return true;
}

bool resolve_fault(struct process *p, uint32_t address, uint32_t error)
{
	uint32_t page = address & PTE_FRAME, *entry;

	if (!p->directory || !is_user_range(address, 1))
		return false;
	entry = make_entry(p->directory, page);
	if (!entry)
		return false;
	if (!(*entry & PTE_P)) {
		*entry = first_content(page); /* absent to present: nothing to flush */
		p->demand++;
		return *entry & PTE_P;
	}
	if (!(error & FAULT_W) || !(*entry & PTE_COW) || !copy_on_write(entry))
		return false;
	flush_page(page);
	p->cow++;
	return true;
}

/* ---- 4. Printing ---------------------------------------------------------------------------- */

/* A run of pages whose addresses, frames and rights go on alike. */
struct run {
	uint32_t virtual, physical, bytes, flags;
};

static void print_run(const struct run *r)
{
	uint32_t f = r->flags;

	if (!r->bytes)
		return;
	print("  %08x-%08x -> %08x-%08x %6u KiB  %c%c%c%c%c %s%s\n", r->virtual,
	      r->virtual + r->bytes - 1, r->physical, r->physical + r->bytes - 1, r->bytes / 1024,
	      f & PTE_U ? 'u' : '-', f & PTE_W ? 'w' : '-', f & PTE_A ? 'a' : '-',
	      f & PTE_D ? 'd' : '-', f & PTE_G ? 'g' : '-', f & PTE_PS ? "4M" : "4K",
	      f & PTE_COW ? " copy-on-write" : "");
}

static void add_to_run(struct run *r, uint32_t address, uint32_t entry, uint32_t bytes)
{
	uint32_t physical = entry & PTE_FRAME, flags = entry & ~PTE_FRAME;

	if (!r->bytes || flags != r->flags || address != r->virtual + r->bytes ||
	    physical != r->physical + r->bytes) {
		print_run(r);
		*r = (struct run){.virtual = address, .physical = physical, .flags = flags};
	}
	r->bytes += bytes;
}

void print_tables(uint32_t directory)
{
	const uint32_t *entry = (const uint32_t *)directory;
	struct run run = {0, 0, 0, 0};

	print("  directory at %08x                            user write accessed dirty global\n",
	      directory);
	for (uint32_t i = 0; i < ENTRIES; i++) {
		if (!(entry[i] & PTE_P))
			continue;
		if (entry[i] & PTE_PS) {
			add_to_run(&run, i * SPAN, entry[i], SPAN);
			continue;
		}
		for (uint32_t n = 0; n < ENTRIES; n++)
			if (table_at(entry[i])[n] & PTE_P)
				add_to_run(&run, i * SPAN + n * PAGE, table_at(entry[i])[n], PAGE);
	}
	print_run(&run);
}
