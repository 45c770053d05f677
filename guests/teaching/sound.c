/* SPDX-License-Identifier: MIT */
/*
 * guests/teaching/sound.c - a small kernel that does it right: processes with address spaces of their own, fork, exec, a
 * heap that grows and shrinks, frames and tables that are used again; and each change of an entry is flushed as it must
 * be, no more.  The other teaching guests are mistakes; this one is what they are mistakes against.
 *
 *   1. Frames      counted, for a copy that is put off; used again after they were freed
 *   2. Spaces      the kernel's pages, global and protected; a recursive slot; unmapping
 *   3. Processes   fork, exec, exit, wait
 *   4. The heap    pages when they are touched, copies when they are written
 *   5. Programs    what runs in ring 3
 *
 * Which flush where:
 *   absent to present        none (SDM vol. 3, 4.10.4.3)
 *   one entry of this space  INVLPG
 *   many, or a table's       CR3
 *   of another space         none: its entries went when CR3 was loaded
 *   the kernel's own         they are global: INVLPG, or CR4.PGE off and on
 *   what has just faulted    none: the fault itself has made the processor forget it (4.10.4.1)
 *
 * Started with the word without1 (2, 3, 4) it leaves one of them out: then it is not sound any more, and each of the four
 * is something that umbra run -check tlb finds.
 */
#include "guests/teaching/teach.h"

enum flush { NO_FLUSH, FLUSH_EMPTIED, FLUSH_WINDOW, FLUSH_FORKED, FLUSH_HEAP };
static enum flush left_out;

/* ---- 1. Frames ------------------------------------------------------------------------------ */

/* teach.c hands out 2 MiB .. 3 MiB, where frame and address are the same. */
#define FIRST 0x200000u
#define FRAMES 256u

static uint8_t users[FRAMES]; /* mappings of each */
static uint32_t free_list;    /* its first word is the next */

static uint32_t new_frame(void)
{
	uint32_t frame = free_list;

	if (frame) {
		free_list = *(uint32_t *)frame;
		memset((void *)frame, 0, PAGE);
	} else {
		frame = (uint32_t)new_page();
	}
	users[(frame - FIRST) / PAGE] = 1;
	return frame;
}

static void put_frame(uint32_t frame)
{
	if (--users[(frame - FIRST) / PAGE])
		return;
	*(uint32_t *)frame = free_list;
	free_list = frame;
}

/* ---- 2. Spaces ------------------------------------------------------------------------------ */

#define USER 0x40000000u
#define USER_END 0x60000000u
#define DATA (USER + PAGE)
#define HEAP 0x50000000u
#define PTE_COPY (1u << 9) /* ours: read-only until it has been copied */
#define RECURSIVE 0xFFC00000u

/* The entry of an address of the running space. */
static uint32_t *here(uint32_t address)
{
	return (uint32_t *)(RECURSIVE + address / PAGE * 4);
}
static uint32_t *slot_here(uint32_t address)
{
	return (uint32_t *)(0xFFFFF000u + SLOT(address) * 4);
}

static uint32_t new_space(void)
{
	uint32_t *directory = (uint32_t *)new_frame();

	directory[0] = kernel_directory[0];
	directory[SLOT(RECURSIVE)] = (uint32_t)directory | PTE_P | PTE_W;
	return (uint32_t)directory;
}

static void map_here(uint32_t address, uint32_t entry)
{
	if (!(*slot_here(address) & PTE_P))
		*slot_here(address) = new_frame() | PTE_P | PTE_W | PTE_U;
	*here(address) = entry;
}

/* All of the user's; what was not there need not be flushed.  The tables go as well, and with them the pages by which
 * the recursive slot shows them: only CR3 makes the processor forget those. */
static void empty_space(void)
{
	for (uint32_t table = USER; table < USER_END; table += TABLE_SPAN) {
		uint32_t slot = *slot_here(table);

		if (!(slot & PTE_P))
			continue;
		for (uint32_t page = table; page < table + TABLE_SPAN; page += PAGE)
			if (*here(page) & PTE_P) {
				uint32_t frame = *here(page) & PTE_FRAME;

				*here(page) = 0;
				put_frame(frame); /* nobody else runs before the flush */
			}
		*slot_here(table) = 0;
		put_frame(slot & PTE_FRAME);
	}
	if (left_out != FLUSH_EMPTIED)
		flush_all();
}

/* The kernel's pages are the same everywhere: global, and its code read-only. */
static void protect_kernel(void)
{
	extern char image_start[], text_end[];

	for (uint32_t i = 0; i < ENTRIES; i++) {
		uint32_t page = i * PAGE;
		bool code = page >= (uint32_t)image_start && page < (uint32_t)text_end;

		kernel_table[i] = page | PTE_P | PTE_G | (code ? 0 : PTE_W);
	}
	if (cpu_features() & FEATURE_PGE)
		write_cr4(read_cr4() | CR4_PGE);
	flush_all();
	kernel_directory[SLOT(RECURSIVE)] = (uint32_t)kernel_directory | PTE_P | PTE_W;
}

/* Two frames through one window, a global page of the kernel's. */
static bool check_window(void)
{
	const uint32_t window = 0x3FF000;
	uint32_t a = new_frame(), b = new_frame();

	*(uint32_t *)a = 1;
	*(uint32_t *)b = 2;
	kernel_table[INDEX(window)] = a | PTE_P | PTE_W | PTE_G;
	flush_page(window);
	uint32_t first = *(volatile uint32_t *)window;
	kernel_table[INDEX(window)] = b | PTE_P | PTE_W | PTE_G;
	if (left_out != FLUSH_WINDOW)
		flush_page(window);
	uint32_t second = *(volatile uint32_t *)window;
	kernel_table[INDEX(window)] = 0;
	if (read_cr4() & CR4_PGE) {
		write_cr4(read_cr4() & ~(uint32_t)CR4_PGE);
		write_cr4(read_cr4() | CR4_PGE);
	} else {
		flush_all();
	}
	put_frame(a);
	put_frame(b);
	return first == 1 && second == 2;
}

/* ---- 3. Processes --------------------------------------------------------------------------- */

struct process {
	uint32_t space, heap_end, code;
	struct trap_frame frame;
	bool used, ended;
};
static struct process parent, child, *now = &parent;

static void run(struct process *next, struct trap_frame *f)
{
	now->frame = *f;
	now = next;
	*f = next->frame;
	write_cr3(next->space);
}

/* A program is one page of code and one of data. */
static void load(const char *program)
{
	uint32_t code = new_frame();

	memcpy((void *)code, program, PAGE);
	map_here(USER, code | PTE_P | PTE_U);
	map_here(DATA, new_frame() | PTE_P | PTE_W | PTE_U);
	now->heap_end = HEAP;
}

/* The child's entries are the parent's; what may be written is copied when it is. */
static void fork(struct trap_frame *f)
{
	child = (struct process){ .space = new_space(), .heap_end = now->heap_end, .used = true };
	for (uint32_t page = USER; page < USER_END; page += PAGE) {
		if (!(*slot_here(page) & PTE_P)) {
			page += TABLE_SPAN - PAGE;
			continue;
		}
		if (!(*here(page) & PTE_P))
			continue;
		if (*here(page) & PTE_W)
			*here(page) = (*here(page) & ~(uint32_t)PTE_W) | PTE_COPY;
		users[((*here(page) & PTE_FRAME) - FIRST) / PAGE]++;
		uint32_t *slot = &((uint32_t *)child.space)[SLOT(page)];
		if (!(*slot & PTE_P))
			*slot = new_frame() | PTE_P | PTE_W | PTE_U;
		((uint32_t *)(*slot & PTE_FRAME))[INDEX(page)] = *here(page);
	}
	if (left_out != FLUSH_FORKED)
		flush_all(); /* or the parent could still write */
	child.frame = *f;
	child.frame.eax = 0;
	f->eax = 1;
}

static void end(struct trap_frame *f)
{
	uint32_t space = now->space;

	now->code = f->ebx;
	now->ended = true;
	empty_space();
	run(&parent, f);
	put_frame(space); /* CR3 is another's now */
	f->eax = child.code;
	child.used = false;
}

/* ---- 4. The heap ---------------------------------------------------------------------------- */

static void move_end(struct trap_frame *f)
{
	uint32_t old = now->heap_end;

	now->heap_end += f->ebx * PAGE;
	for (uint32_t page = now->heap_end; page < old; page += PAGE) {
		if (!(*slot_here(page) & PTE_P) || !(*here(page) & PTE_P))
			continue;
		uint32_t frame = *here(page) & PTE_FRAME;
		*here(page) = 0;
		if (left_out != FLUSH_HEAP)
			flush_page(page);
		put_frame(frame);
	}
	f->eax = old;
}

static bool repair(uint32_t address)
{
	uint32_t page = address & PTE_FRAME;

	if (page < USER || page >= USER_END)
		return false;
	uint32_t entry = *slot_here(page) & PTE_P ? *here(page) : 0;
	if (!(entry & PTE_P)) {
		if (page < HEAP || page >= now->heap_end)
			return false;
		map_here(page, new_frame() | PTE_P | PTE_W | PTE_U);
		return true;
	}
	if (!(entry & PTE_COPY))
		return false;
	uint32_t copy = new_frame();
	memcpy((void *)copy, (void *)(entry & PTE_FRAME), PAGE);
	*here(page) = copy | PTE_P | PTE_W | PTE_U; /* another frame, of a page that has just faulted */
	put_frame(entry & PTE_FRAME);
	return true;
}

/* ---- 5. Programs ---------------------------------------------------------------------------- */

#define CHILDREN 20

/* They run at USER.  EAX: 0 exit, 1 fork, 2 wait, 3 heap by EBX pages, 4 exec, 5 the verdict. */
__asm__("	.section .text.programs, \"ax\"\n"
	"	.balign 4096\n"
	"	.globl first_program, second_program\n"
	"first_program:\n"
	"	movl	$20, %esi\n" /* children to come */
	"	xorl	%edi, %edi\n" /* what they returned */
	"1:	movl	$1, %eax\n"
	"	int	$0x80\n"
	"	testl	%eax, %eax\n"
	"	jz	2f\n"
	"	movl	%esi, 0x40001000\n" /* ours, not the child's */
	"	movl	$2, %eax\n"
	"	int	$0x80\n"
	"	addl	%eax, %edi\n"
	"	cmpl	%esi, 0x40001000\n"
	"	jne	9f\n"
	"	decl	%esi\n"
	"	jnz	1b\n"
	"	movl	%edi, %ebx\n"
	"	movl	$5, %eax\n"
	"	int	$0x80\n"
	"2:	movl	$0x5A5A5A5A, 0x40001000\n" /* the child */
	"	movl	%esi, %ebx\n"
	"	movl	$3, %eax\n"
	"	int	$0x80\n"
	"	movl	%eax, %ebp\n"
	"	movl	%esi, %ecx\n"
	"	movl	%ebp, %edx\n"
	"3:	cmpl	$0, (%edx)\n" /* fresh */
	"	jne	9f\n"
	"	movl	%edx, (%edx)\n"
	"	addl	$4096, %edx\n"
	"	loop	3b\n"
	"	movl	%esi, %ecx\n"
	"	movl	%ebp, %edx\n"
	"4:	cmpl	%edx, (%edx)\n" /* its own */
	"	jne	9f\n"
	"	addl	$4096, %edx\n"
	"	loop	4b\n"
	"	movl	%esi, %ebx\n"
	"	negl	%ebx\n"
	"	movl	$3, %eax\n"
	"	int	$0x80\n" /* given back, */
	"	movl	%esi, %ebx\n"
	"	movl	$3, %eax\n"
	"	int	$0x80\n" /* and had again: */
	"	cmpl	$0, (%ebp)\n" /* others */
	"	jne	9f\n"
	"	cmpl	$0x5A5A5A5A, 0x40001000\n"
	"	jne	9f\n"
	"	movl	$4, %eax\n"
	"	testl	$1, %esi\n"
	"	jz	5f\n"
	"	movl	%esi, %ebx\n"
	"	xorl	%eax, %eax\n"
	"5:	int	$0x80\n" /* exec or exit */
	"9:	movl	$0xBAD, %ebx\n"
	"	movl	$5, %eax\n"
	"	int	$0x80\n"
	"	.balign 4096\n"
	"second_program:\n"
	"	cmpl	$0, 0x40001000\n" /* nothing of the first is left */
	"	jne	9f\n"
	"	movl	%esi, 0x40001000\n"
	"	movl	0x40001000, %ebx\n"
	"	xorl	%eax, %eax\n"
	"	int	$0x80\n"
	"9:	movl	$0xBAD, %ebx\n"
	"	movl	$5, %eax\n"
	"	int	$0x80\n"
	"	.balign 4096\n"
	"	.previous\n");
extern const char first_program[], second_program[];

static void system_call(struct trap_frame *f)
{
	switch (f->eax) {
	case 0:
		end(f);
		break;
	case 1:
		fork(f);
		break;
	case 2:
		run(&child, f);
		break;
	case 3:
		move_end(f);
		break;
	case 4:
		empty_space();
		load(second_program);
		f->eip = USER;
		break;
	default:
		got_value("they returned", f->ebx, CHILDREN * (CHILDREN + 1) / 2);
	}
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	static const char *const words[] = { "sound", "without1", "without2", "without3", "without4" };

	(void)magic;
	start_paging();
	print("sound: processes come and go\n");
	for (unsigned n = FLUSH_EMPTIED; n <= FLUSH_HEAP; n++)
		if (has_word(info, words[n]))
			left_out = (enum flush)n;
	protect_kernel();
	expect("they returned 000000d2");
	if (!check_window())
		got("the window shows the wrong frame", false);
	on_page_fault(repair);
	parent.space = new_space();
	write_cr3(parent.space);
	load(first_program);
	enter_user((const char *)USER, system_call);
}
