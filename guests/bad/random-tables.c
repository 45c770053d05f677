/* SPDX-License-Identifier: MIT */
/*
 * guests/bad/random-tables.c - page tables out of random bytes, seed after seed.
 *
 *   1. Randomness    and the command line: seeds=N, first=N
 *   2. Noise         a directory and tables whose entries are anything
 *   3. Touching      reads and writes anywhere, faults taken
 *   4. Seeds
 *
 * The first 4 MiB stay mapped, so that the guest itself goes on; everything else is noise: frames
 * that do not exist, reserved bits, tables that are each other's and their own, changed without
 * flushing.  A write is kept out of the guest's own image by walking the noise first; nothing else
 * is.  Says how many seeds it lived through, then powers off.
 */
#include "guests/common/guest.h"

/* ---- 1. Randomness -------------------------------------------------------------------------- */

static uint32_t state;

static uint32_t random(void)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static uint32_t option(const struct multiboot *info, const char *name, uint32_t otherwise)
{
	const char *at = (const char *)info->command_line;
	size_t length = strlen(name);
	uint32_t value = 0;

	if (!(info->flags & 4))
		return otherwise;
	for (; *at; at++) {
		if (memcmp(at, name, length) != 0)
			continue;
		for (at += length; *at >= '0' && *at <= '9'; at++)
			value = value * 10 + (uint32_t)(*at - '0');
		return value;
	}
	return otherwise;
}

/* ---- 2. Noise ------------------------------------------------------------------------------- */

#define ENTRIES 1024u
#define TABLES 4u /* the first is the directory */

static uint32_t noise[TABLES][ENTRIES] __attribute__((aligned(4096)));
static uint32_t identity[ENTRIES] __attribute__((aligned(4096)));
extern char image_start[], image_end[];

static uint32_t random_entry(void)
{
	uint32_t r = random(), flags = random() & 0xFFF;

	switch (r & 7) {
	case 0: /* anything at all */
		return random();
	case 1: /* one of our own tables */
		return (uint32_t)noise[r >> 8 & 3] | flags | PTE_P;
	case 2: /* well formed, small */
		return (r & 0x00FFF000) | (flags & 0x67) | PTE_P;
	case 3: /* large */
		return (r & 0x01C00000) | flags | PTE_P | PTE_PS;
	case 4:
		return 0;
	default:
		return (r & 0x03FFF000) | flags;
	}
}

/* The processor marks what it uses as a table (A, D): that must not be our own image, or it would
 * change under us. In the lowest 4 MiB only the noise itself serves. */
static uint32_t random_directory_entry(void)
{
	uint32_t entry = random_entry();

	if (entry < 0x400000 && (entry - (uint32_t)noise) >= sizeof(noise))
		entry += 0x400000;
	return entry;
}

static void make_noise(void)
{
	noise[0][0] = (uint32_t)identity | PTE_P | PTE_W; /* never anything else: we run by it */
	for (unsigned i = 1; i < TABLES * ENTRIES; i++)
		noise[i / ENTRIES][i % ENTRIES] =
		    i < ENTRIES ? random_directory_entry() : random_entry();
	flush_all();
}

/* ---- 3. Touching ---------------------------------------------------------------------------- */

static uint32_t faults;
extern const char touch_first[], touch_last[];
void touch_read(uint32_t address);
void touch_write(uint32_t address, uint32_t value);

__asm__(".globl touch_read, touch_write, touch_first, touch_last\n"
	"touch_read:\n\t"
	"movl 4(%esp), %edx\n"
	"touch_first:\n\t"
	"movl (%edx), %eax\n\t"
	"ret\n"
	"touch_write:\n\t"
	"movl 4(%esp), %edx\n\t"
	"movl 8(%esp), %eax\n\t"
	"movl %eax, (%edx)\n"
	"touch_last:\n\t"
	"ret\n");

void handle_trap(struct trap_frame *f)
{
	if (f->vector == TRAP_PAGE_FAULT && f->eip >= (uint32_t)touch_first &&
	    f->eip < (uint32_t)touch_last) {
		faults++;
		f->eip = (uint32_t)touch_last;
		return;
	}
	print("trap %u, error %x, at %08x, address %08x\n", f->vector, f->error, f->eip,
	      read_cr2());
	debug_exit(1);
}

/* A word of physical memory, through the identity map where that reaches. */
static bool read_physical(uint32_t address, uint32_t *value)
{
	if (address >= 0x400000)
		return false;
	*value = *(volatile uint32_t *)(address & ~3u);
	return true;
}

/* Could a write there reach our own image?  Where we cannot look, nothing of ours is. */
static bool is_dangerous(uint32_t address)
{
	uint32_t pde = noise[0][address >> 22], pte, physical;

	if (!(pde & PTE_P))
		return false;
	if (pde & PTE_PS && read_cr4() & CR4_PSE)
		physical = (pde & 0xFFC00000) | (address & 0x3FFFFF);
	else if (!read_physical((pde & PTE_FRAME) | (address >> 10 & 0xFFC), &pte))
		return true;
	else
		physical = pte & PTE_FRAME;
	return physical < 0x400000;
}

static void touch(void)
{
	uint32_t address = random() & ~3u;

	if (random() & 1) {
		touch_read(address);
		return;
	}
	flush_page(address); /* or an entry of long ago could still lead the write to us */
	if (!is_dangerous(address))
		touch_write(address, random_entry());
}

/* ---- 4. Seeds ------------------------------------------------------------------------------- */

static void live_through(uint32_t seed)
{
	state = seed * 2654435761u | 1;
	make_noise();
	for (unsigned i = 0; i < 24; i++) {
		uint32_t r = random();

		touch();
		if (r & 1)
			noise[0][1 + (r >> 8) % (ENTRIES - 1)] = random_directory_entry();
		if (r & 2)
			noise[1 + (r >> 18) % (TABLES - 1)][r >> 20 & 1023] = random_entry();
		if (!(r & 0x1C))
			flush_all();
		if (!(r & 0x60))
			write_cr0(read_cr0() ^ CR0_WP);
		if (!(r & 0xC0))
			write_cr4(read_cr4() ^ CR4_PSE);
	}
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	uint32_t first = option(info, "first=", 1), count = option(info, "seeds=", 1000);

	(void)magic;
	console_start();
	traps_start();
	for (uint32_t i = 0; i < ENTRIES; i++)
		identity[i] = i * PAGE | PTE_P | PTE_W;
	make_noise();
	write_cr3((uint32_t)noise[0]);
	write_cr0(read_cr0() | CR0_PG);
	for (uint32_t i = 0; i < count; i++)
		live_through(first + i);
	print("lived through %u seeds from %u on, %u faults\n", count, first, faults);
	power_off();
}
