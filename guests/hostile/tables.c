/* SPDX-License-Identifier: MIT */
/*
 * guests/hostile/tables.c - descriptors of all kinds, and an address space with holes.
 *
 *   1. Descriptors
 *   2. Pages
 */
#include "guests/hostile/hostile.h"

struct table_pointer {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed));

/* ---- 1. Descriptors ------------------------------------------------------------------------- */

extern const char gate_target[];
static uint64_t gdt[GDT_END / 8] __attribute__((aligned(8)));
static uint64_t ldt[4] __attribute__((aligned(8)));

/* `access` is byte 5, `flags` the upper half of byte 6: G, B, L, AVL. */
static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t access, uint32_t flags)
{
	uint32_t low = (base << 16) | (limit & 0xFFFF);
	uint32_t high = (base & 0xFF000000) | flags << 20 | (limit & 0xF0000) | access << 8 | (base >> 16 & 0xFF);

	return (uint64_t)high << 32 | low;
}

static uint64_t gate(uint32_t target, uint32_t selector, uint32_t access)
{
	return (uint64_t)((target & 0xFFFF0000) | access << 8) << 32 | selector << 16 | (target & 0xFFFF);
}

/* All types with each privilege; what would switch tasks has no room for one. */
static uint64_t of_kind(uint32_t kind)
{
	uint32_t type = kind & 0x1F, access = type | (kind & 0x20 ? 0x60u : 0u) | (kind & 0x40 ? 0x80u : 0u);

	if (type & 0x10)
		return descriptor(0, 0xFFFFF, access, 0xC);
	if ((type & 7) == 4 || (type & 7) == 5)
		return gate((uint32_t)gate_target, (type & 7) == 5 ? 0u : (uint32_t)KERNEL_CODE, access);
	return descriptor((uint32_t)gdt, 15, access, 0);
}

static void make_descriptors(void)
{
	struct table_pointer p;

	__asm__ volatile("sgdt %0" : "=m"(p));
	memcpy(gdt, (const void *)p.base, 6 * 8);
	gdt[CODE1 / 8] = descriptor(0, 0xFFFFF, 0xBA, 0xC);
	gdt[DATA1 / 8] = descriptor(0, 0xFFFFF, 0xB2, 0xC);
	gdt[CODE2 / 8] = descriptor(0, 0xFFFFF, 0xDA, 0xC);
	gdt[DATA2 / 8] = descriptor(0, 0xFFFFF, 0xD2, 0xC);
	gdt[TLS / 8] = descriptor(DATA + 0x1000, 0xFFFFF, 0xF2, 0xC);
	gdt[SHORT / 8] = descriptor(DATA, 0xFFF, 0xF2, 0x4);
	gdt[DOWN / 8] = descriptor(0, (DATA >> 12), 0xF6, 0xC);
	gdt[STACK16 / 8] = descriptor(STACK, 0xFFFF, 0xF2, 0);
	gdt[BASED / 8] = descriptor(STACK, 0xFFFFF, 0xF2, 0xC);
	gdt[CODE3_LONG / 8] = descriptor(0, 0xFFFFF, 0xFA, 0xA);
	gdt[CODE0_LONG / 8] = descriptor(0, 0xFFFFF, 0x9A, 0xA);
	gdt[GATE / 8] = gate((uint32_t)gate_target, KERNEL_CODE, 0xEC);
	gdt[CODE3_16 / 8] = descriptor(CODE, 0xFFFF, 0xFA, 0);
	gdt[LDT / 8] = descriptor((uint32_t)ldt, sizeof(ldt) - 1, 0x82, 0);
	gdt[CONFORMING / 8] = descriptor(0, 0xFFFFF, 0x9E, 0xC);
	for (uint32_t n = 0; n < KINDS_COUNT; n++)
		gdt[KINDS / 8 + n] = of_kind(n);
	ldt[0] = descriptor(0, 0xFFFFF, 0xF2, 0xC);
	ldt[1] = descriptor(0, 0xFFFFF, 0xFA, 0xC);
	ldt[2] = descriptor(0, 0xFFFFF, 0x92, 0xC);
	p = (struct table_pointer){ sizeof(gdt) - 1, (uint32_t)gdt };
	__asm__ volatile("lgdt %0; lldt %w1" : : "m"(p), "r"(LDT));
}

/* ---- 2. Pages ------------------------------------------------------------------------------- */

uint8_t frames[USER_FRAMES][PAGE] __attribute__((aligned(4096)));
volatile uint32_t directory[1024] __attribute__((aligned(4096)));
volatile uint32_t user_table[1024] __attribute__((aligned(4096)));
static volatile uint32_t low_table[1024] __attribute__((aligned(4096)));
static volatile uint32_t top_table[1024] __attribute__((aligned(4096)));
static volatile uint32_t tables_table[1024] __attribute__((aligned(4096)));

enum { RW = PTE_P | PTE_W, RWU = PTE_P | PTE_W | PTE_U };

uint32_t frame_address(unsigned n)
{
	return (uint32_t)frames[n];
}

static void set_user(uint32_t address, unsigned frame, uint32_t bits)
{
	*user_entry(address) = frame_address(frame) | bits;
}

void give_tables(void)
{
	directory[TABLES >> 22] = (uint32_t)tables_table | RWU;
}

static void map_user(void)
{
	directory[TABLES >> 22] = 0;
	for (unsigned n = 0; n < 1024; n++)
		user_table[n] = 0;
	for (unsigned n = 0; n < 2; n++) {
		set_user(CODE + n * PAGE, FRAME_CODE + n, RWU);
		set_user(ALIAS + n * PAGE, FRAME_CODE + n, RWU);
		set_user(STACK + n * PAGE, FRAME_STACK + n, RWU);
	}
	for (unsigned n = 0; n < 4; n++)
		set_user(DATA + n * PAGE, FRAME_DATA + n, RWU);
	set_user(READ_ONLY, FRAME_DATA + 5, PTE_P | PTE_U);
	set_user(KERNELS, FRAME_DATA + 6, RW);
	set_user(LAST_DATA, FRAME_DATA + 7, RWU);
}

/* Words that say where they are. */
static void fill(void)
{
	for (unsigned n = 0; n < USER_FRAMES; n++)
		for (unsigned k = 0; k < PAGE; k += 4)
			*(uint32_t *)(frames[n] + k) = (n << 24 | k << 8) ^ (k * 0x01000193u);
}

void tidy_up(void)
{
	map_user();
	write_cr3((uint32_t)directory);
	fill();
}

void tables_start(void)
{
	make_descriptors();
	for (uint32_t n = 0; n < 1024; n++)
		low_table[n] = n * PAGE | RW;
	low_table[0] = frame_address(FRAME_ZERO) | RWU;
	for (unsigned n = 0; n < 2; n++)
		top_table[1022 + n] = frame_address(FRAME_TOP + n) | RWU;
	tables_table[0] = (uint32_t)directory | RWU;
	tables_table[1] = (uint32_t)user_table | RWU;
	directory[0] = (uint32_t)low_table | RWU;
	directory[CODE >> 22] = (uint32_t)user_table | RWU;
	directory[TOP >> 22] = (uint32_t)top_table | RWU;
	directory[DEEP >> 22] = 0x800000 | RWU | PTE_PS;
	map_user();
	fill();
	write_cr4(read_cr4() | CR4_PSE | 1u << 9); /* OSFXSR */
	write_cr3((uint32_t)directory);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}
