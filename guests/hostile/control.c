/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/control.c - modes and tables that change while they are in use.
 *
 *   1. Modes
 *   2. Tables in ring 3's hands
 */
#include "guests/hostile/hostile.h"

enum { RWU = PTE_P | PTE_W | PTE_U };
static volatile uint32_t other_directory[1024] __attribute__((aligned(4096)));
static volatile uint32_t other_table[1024] __attribute__((aligned(4096)));

/* ---- 1. Modes ------------------------------------------------------------------------------- */

/* Ring 0 writes to ring 3's read-only page. */
static void write_protection(void)
{
	struct context c = kernel_context;

	c.ebx = READ_ONLY;
	PUT("\x89\x03\x40\x89\x43\x08");
	for (unsigned n = 0; n < 300; n++) {
		if (n % 3 == 0)
			write_cr0(read_cr0() ^ CR0_WP);
		attempt(&c);
		if (n % 7 == 0)
			flush_page(READ_ONLY);
	}
	write_cr0(read_cr0() | CR0_WP);
	attempt(&c);
	told("CR0.WP");
}

/* Without paging, and without protection, with the segments that there are: the code is mapped one to one. */
static void no_paging(void)
{
	volatile uint32_t *word = (volatile uint32_t *)frame_address(FRAME_DATA);

	for (unsigned n = 0; n < 300; n++) {
		uint32_t cr0 = read_cr0(), seen;
		write_cr0(cr0 & ~(uint32_t)CR0_PG);
		*word += n;
		if (n % 5 == 0) { /* PE as well: no selector is loaded meanwhile */
			write_cr0(cr0 & ~(CR0_PG | 1u));
			*word += 7;
			seen = *word;
			write_cr0(cr0 & ~(uint32_t)CR0_PG);
		} else {
			seen = *word;
		}
		write_cr0(cr0);
		note(seen);
		note(*(volatile uint32_t *)DATA);
		if (n % 10 == 0) {
			write_cr4(read_cr4() ^ CR4_PGE);
			note(*(volatile uint32_t *)(DATA + PAGE));
		}
	}
	told("CR0.PG, CR0.PE, CR4.PGE");
}

static void make_other(void)
{
	for (unsigned n = 0; n < 1024; n++) {
		other_directory[n] = directory[n];
		other_table[n] = user_table[n];
	}
	other_directory[CODE >> 22] = (uint32_t)other_table | RWU;
	for (unsigned n = 0; n < 4; n++)
		other_table[4 + n] = frame_address(FRAME_DATA + 3 - n) | RWU;
	other_table[8] = frame_address(FRAME_SPARE) | RWU;
	other_table[9] = 0;
}

/* mov %eax, %cr3; mov (%ebx), %edx; mov %ecx, %cr3; add (%ebx), %edx; ... */
static void switches(void)
{
	struct context c = kernel_context;

	make_other();
	for (unsigned n = 0; n < 1500; n++) {
		c.eax = (uint32_t)directory;
		c.ecx = (uint32_t)other_directory;
		c.ebx = DATA + (n % 5) * PAGE + n % PAGE / 4 * 4;
		PUT("\x0F\x22\xD8\x03\x13\x0F\x22\xD9\x03\x13\x89\x13\x0F\x22\xD8\x01\x13\x0F\x22\xD9\x03\x13\x0F\x22\xD8");
		attempt(&c);
		write_cr3((uint32_t)directory);
	}
	note_memory(frame_address(FRAME_DATA), 4 * PAGE);
	told("CR3 at each instruction");
	/* The code as well: ring 3's page is another in the other directory. */
	other_table[0] = frame_address(FRAME_SPARE + 1) | RWU;
	memcpy(frames[FRAME_SPARE + 1], "\x40\x40\x40\x40\x40\xCD\x80", 7);
	PUT("\x41\x42\x43\x46\x47");
	for (unsigned n = 0; n < 500; n++) {
		struct context u = user_context;
		write_cr3(n & 1 ? (uint32_t)directory : (uint32_t)other_directory);
		attempt(&u);
	}
	write_cr3((uint32_t)directory);
	told("... and other code behind the same address");
}

static void storm(void)
{
	struct context c = kernel_context;

	/* invlpg (%ebx); mov (%ebx), %eax; invlpg -1(%ebx); invlpg 0; invlpg (%ebx) */
	PUT("\x0F\x01\x3B\x8B\x03\x0F\x01\x7B\xFF\x0F\x01\x3D\x00\x00\x00\x00\x0F\x01\x3B\x03\x43\xFC");
	for (unsigned n = 0; n < 3000; n++) {
		uint32_t at = DATA + (random() & 3) * PAGE;
		*user_entry(at) = frame_address(FRAME_DATA + (random() & 3)) | RWU;
		flush_page(at);
		c.ebx = at + 0x10;
		attempt(&c);
	}
	told("a storm of INVLPG");
}

void modes(void)
{
	write_protection();
	no_paging();
	switches();
	storm();
}

/* ---- 2. Tables in ring 3's hands ------------------------------------------------------------ */

#define ENTRY(address) (TABLES + PAGE + ((address) >> 12 & 1023) * 4)
#define AD (PTE_A | PTE_D)

void changing_tables(void)
{
	struct context c = user_context;

	give_tables();
	/* From not present to present needs no flush: mov %eax, (%ebx); mov (%ecx), %edx; mov %edx, 4(%ecx) */
	for (unsigned n = 0; n < 500; n++) {
		c.ebx = ENTRY(MISSING);
		c.ecx = MISSING;
		c.eax = frame_address(FRAME_DATA + n % 8) | (n % 3 ? (uint32_t)RWU : (uint32_t)(PTE_P | PTE_U));
		PUT("\x89\x03\x8B\x11\x89\x51\x04");
		attempt(&c);
		note(*user_entry(MISSING) & (0xFFF & ~AD));
		*user_entry(MISSING) = 0;
		flush_page(MISSING);
	}
	told("ring 3 makes pages present");
	/* Other changes count once the kernel has flushed. */
	for (unsigned n = 0; n < 2000; n++) {
		uint32_t page = random() % 12;
		c.ebx = ENTRY(DATA + page * PAGE);
		c.eax = (random() & 7 ? frame_address(FRAME_DATA + random() % 8) : 0x100000) | (random() & 0x67);
		if (!(random() & 7))
			c.eax = random() | 0x800; /* anything, beyond memory mostly */
		c.ecx = DATA + page * PAGE;
		PUT("\x89\x03");
		attempt(&c);
		if (n & 1)
			flush_page(c.ecx);
		else
			flush_all();
		/* Where it is the kernel's or the tables' own memory: only looked at. */
		if ((c.eax & PTE_FRAME) < frame_address(0) || (c.eax & PTE_FRAME) > frame_address(USER_FRAMES - 1))
			continue;
		PUT("\x8B\x11\x89\x51\x04\xFF\x41\x08");
		attempt(&c);
		note(*user_entry(c.ecx));
	}
	told("ring 3 changes its pages");
	tidy_up();
	give_tables();
	/* The directory: a second way to the same table. */
	for (unsigned n = 0; n < 200; n++) {
		c.ebx = TABLES + (0x70 + n % 8) * 4;
		c.eax = n % 3 == 2 ? 0 : (uint32_t)user_table | RWU;
		c.ecx = (0x70 + n % 8) << 22 | (DATA & 0x3FFFFF);
		PUT("\x89\x03");
		attempt(&c);
		flush_all();
		PUT("\x8B\x11\x89\x51\x04\xFF\x41\x08");
		attempt(&c);
	}
	told("ring 3 changes the directory");
	/* Code in the table itself, which changes the entries beside it: mov %eax, (%ebx); mov (%ecx), %edx */
	for (unsigned n = 0; n < 200; n++) {
		put_code(TABLES + PAGE + 0xF00, "\x89\x03\x8B\x11\x89\x51\x04", 7);
		c.eip = TABLES + PAGE + 0xF00;
		c.ebx = ENTRY(MISSING);
		c.ecx = MISSING;
		c.eax = frame_address(FRAME_DATA + n % 8) | RWU;
		attempt(&c);
		*user_entry(MISSING) = 0;
		flush_page(MISSING);
	}
	told("code in a page table");
}
