/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/early.c - until the kernel is mapped where it is linked.  Built position-independent, it runs
 * at physical addresses: the address of a variable is its physical one here.
 *
 *   1. Family       the word family= of the command line
 *   2. lguest_data  what a linker would have put there
 *   3. Tables       the kernel's alias, as each family comes by it
 *   4. Accidents    early=KIND: what a host must not let pass before it knows us
 *   5. Start
 */
#include "guests/pv/pv.h"

/* ---- 1. Family ------------------------------------------------------------------------------ */

static bool names_family(const char *at, const struct family *f)
{
	unsigned n = 0;

	for (; f->name[n]; n++)
		if (at[n] != f->name[n])
			return false;
	if (n == 1 && f->name[0] == 'G' && at[n] == '2') /* G2, as hosts call the later of the two */
		n++;
	return at[n] == 0 || at[n] == ' ';
}

/* What follows `key` on the command line; NULL: it is not there. */
static const char *find_key(const char *key)
{
	for (const char *line = (const char *)PHYSICAL_COMMAND_LINE; *line; line++) {
		unsigned n = 0;

		while (key[n] && line[n] == key[n])
			n++;
		if (!key[n])
			return line + n;
	}
	return NULL;
}

static unsigned choose_family(void)
{
	const char *name = find_key("family=");

	for (unsigned i = 0; name && i < FAMILIES; i++)
		if (names_family(name, &families[i]))
			return i;
	return FAMILY_DEFAULT;
}

/* ---- 2. lguest_data ------------------------------------------------------------------------- */

static void put_word(unsigned offset, uint32_t value)
{
	if (offset)
		*(volatile uint32_t *)(lguest_data + offset) = value;
}

static void fill_data(const struct family *f)
{
	*(volatile uint32_t *)(lguest_data + DATA_BLOCKED) = 1;
	for (unsigned i = 0; i < RING_SLOTS; i++)
		*(volatile uint8_t *)(lguest_data + f->status + i) = RING_FREE;
	put_word(f->noirq_start, (uint32_t)noirq_start + PAGE_OFFSET);
	put_word(f->noirq_end, (uint32_t)noirq_end + PAGE_OFFSET);
	put_word(f->noirq_iret, (uint32_t)noirq_iret + PAGE_OFFSET);
	put_word(f->kernel_address, PAGE_OFFSET);
	put_word(f->syscall_vec, VECTOR_SYSCALL);
}

/* ---- 3. Tables ------------------------------------------------------------------------------ */

/* The first 8 MiB, at their own address and at PAGE_OFFSET; what the kernel needs to build the rest. */
enum { EARLY_TABLES = 2, ALIAS = PAGE_OFFSET >> 22 };
static uint32_t initial_page_table[1024] __attribute__((aligned(4096)));
static uint32_t initial_entries[EARLY_TABLES][1024] __attribute__((aligned(4096)));

static void early_call(const struct family *f, uint32_t number, uint32_t argument)
{
	uint32_t regs[REGS] = { 0 };

	regs[REG_EDX] = PHYSICAL_COMMAND_LINE; /* a leftover; B has its argument there */
	regs[REG_EAX] = number;
	regs[f->argument[0]] = argument;
	raw_hypercall(regs, f->vmcall);
}

static void build_tables(void)
{
	for (unsigned t = 0; t < EARLY_TABLES; t++) {
		for (unsigned i = 0; i < 1024; i++)
			initial_entries[t][i] = (t << 22) | (i << 12) | 0x003;
		initial_page_table[t] = (uint32_t)initial_entries[t] | 0x067;
		initial_page_table[ALIAS + t] = initial_page_table[t];
	}
}

/* The live directory is changed without a word to the host: it is expected to look. */
static void alias_tables(uint32_t directory)
{
	volatile uint32_t *words = (volatile uint32_t *)directory;

	for (unsigned i = 0; i < 32; i++)
		words[ALIAS + i] = words[i];
}

/* ---- 4. Accidents --------------------------------------------------------------------------- */

/* early=call, vector, kernel, page, touch, trap: by their first letters. */
static void have_accident(const struct family *f)
{
	const char *kind = find_key("early=");

	switch (kind ? kind[0] : 0) {
	case 'c': /* a call before LGUEST_INIT */
		early_call(f, CALL_FLUSH_ASYNC, 0);
		break;
	case 'v': /* a system call vector that is an exception's */
		put_word(f->syscall_vec, 8);
		break;
	case 'k': /* a kernel in the host's area */
		put_word(f->kernel_address, 0xFFFFF000);
		break;
	case 'p': /* lguest_data where no memory is */
		early_call(f, CALL_INIT, 0x7FFFF000);
		break;
	case 't': /* t[ouch]: beyond all memory; t[rap]: nobody handles it */
		if (kind[1] == 'r')
			__asm__ volatile("ud2");
		*(volatile uint32_t *)0x7FFFF000 = 0;
		break;
	default:
		break;
	}
}

/* ---- 5. Start ------------------------------------------------------------------------------- */

void early_start(void)
{
	const struct family *f = &families[choose_family()];

	family_index = (unsigned)(f - families);
	iret_only = f->iret_only;
	fill_data(f);
	if (f->tables == TABLES_NONE)
		build_tables();
	have_accident(f);
	early_call(f, CALL_INIT, (uint32_t)lguest_data);
	if (f->tables == TABLES_NONE)
		early_call(f, CALL_NEW_PGTABLE, (uint32_t)initial_page_table);
	else if (f->tables == TABLES_IDENTITY)
		alias_tables(*(volatile uint32_t *)(lguest_data + f->pgdir));
}
