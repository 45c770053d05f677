/* SPDX-License-Identifier: MIT */
/*
 * guests/access/main.c - the access suite's set-up, its TAP, its end.  See access.h.
 */
#include "guests/access/access.h"

volatile uint32_t directory[1024] __attribute__((aligned(4096)));
volatile uint32_t test_table[1024] __attribute__((aligned(4096)));
uint8_t pages[PAGES][PAGE] __attribute__((aligned(4096)));
static volatile uint32_t low_table[1024] __attribute__((aligned(4096)));
/* The large frame 1:1, by small pages, so that it can be looked at from elsewhere. */
static volatile uint32_t large_table[1024] __attribute__((aligned(4096)));

static unsigned results, failures;

void ok(bool good, const char *what)
{
	print("%s %u - %s\n", good ? "ok" : "not ok", ++results, what);
	failures += !good;
}

void ok_count(unsigned wrong, const char *what, uint32_t count)
{
	print("%s %u - %s: %u combinations\n", wrong ? "not ok" : "ok", ++results, what, count);
	failures += wrong != 0;
}

static void map_one_to_one(uint32_t base, volatile uint32_t *table)
{
	for (uint32_t i = 0; i < 1024; i++)
		table[i] = (base + i * PAGE) | RW;
	directory[base >> 22] = (uint32_t)table | RW;
}

static void fill_pages(void)
{
	for (unsigned n = 0; n < PAGES; n++) {
		pages[n][PAGE_CODE] = 0xC3; /* RET */
		*(uint32_t *)(pages[n] + PAGE_NUMBER) = NUMBER_OF(n);
	}
	for (uint32_t i = 0; i < 1024; i++) {
		uint8_t *large = (uint8_t *)(LARGE_FRAME + i * PAGE);

		memset(large, 0, 128);
		large[PAGE_CODE] = 0xC3;
		*(uint32_t *)(large + PAGE_NUMBER) = LARGE_NUMBER;
	}
}

void guest_main(uint32_t magic, const struct multiboot *info)
{
	console_start();
	if (magic != MULTIBOOT_MAGIC || memory_top(info) < LARGE_FRAME + SPAN) {
		print("Bail out! a multiboot loader and 12 MiB of memory are needed\n");
		debug_exit(2);
	}
	lenient_rsvd = has_word(info, "lenient-rsvd");
	traps_start();
	fill_pages();
	map_one_to_one(0, low_table);
	map_one_to_one(LARGE_FRAME, large_table);
	probe_start();
	write_cr3((uint32_t)directory);
	write_cr0(read_cr0() | CR0_PG);
	combinations();
	rules_of_flushing();
	rules_of_tables();
	rules_of_pages();
	print("1..%u\n", results);
	if (failures)
		print("# %u of %u failed\n", failures, results);
	debug_exit(failures ? 1 : 0);
}
