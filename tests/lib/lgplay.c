/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/lgplay.c - inputs of lgbox.h: bytes become a setting and a program of moves.
 *
 *   1. Addresses, entries, descriptors
 *   2. Calls                             arguments for each number
 *   3. The outside                       time, interrupts, the host's own needs
 *   4. The program
 */
#include "tests/lib/lgplay.h"

/* ---- 1. Addresses, entries, descriptors ----------------------------------------------------- */

uint32_t play_edge(struct input *i)
{
	static const uint32_t edges[] = {
		0, UM_PAGE_SIZE, LGBOX_DATA, LGBOX_MEM, LGBOX_MAPPED, LGBOX_MMIO_END, LGBOX_USER_VA, LGBOX_SPLIT,
		LGBOX_SPLIT + LGBOX_MEM, LGUEST_WINDOW, LGUEST_WINDOW + 0x1000, LGUEST_WINDOW + 0x2000, 0x80000000u,
		0x7FFFFFFFu, 0x00400000u, 0xFFFFFFFFu,
	};
	uint8_t how = take8(i);
	uint32_t at = edges[how & 15];

	if ((how >> 4) == 15)
		at = (uint32_t)i->b->limit;
	return at + take8(i) - 128u;
}

uint32_t play_physical(struct input *i)
{
	static const uint32_t good[] = { LGBOX_SCRATCH, LGBOX_DATA, LGBOX_TEXT, LGBOX_STACK, LGBOX_KERNEL_TABLE,
		                         LGBOX_DIRS, LGBOX_USER_TABLES, LGBOX_MEM, 0x30000, 0x40000, 0, 0xFF000 };
	uint8_t how = take8(i);

	if (how == 0xFF)
		return play_edge(i);
	if (how == 0xFE)
		return take32(i);
	return good[(how & 63) % (sizeof good / sizeof *good)] + (how & 0x40 ? take16(i) & 0xFFF : 0);
}

uint32_t play_directory(struct input *i)
{
	uint8_t how = take8(i);

	if (how == 0xFF)
		return play_physical(i);
	if (how == 0xFE)
		return 0;
	if (how == 0xFD)
		return LGBOX_BOOT_DIR;
	return LGBOX_DIRS + how % LGBOX_DIR_COUNT * UM_PAGE_SIZE;
}

uint32_t play_virtual(struct input *i)
{
	uint8_t how = take8(i);

	if (how < 0xC0)
		return LGBOX_USER_VA + (how & 31u) * UM_PAGE_SIZE + (how & 0x20 ? take16(i) & 0xFFF : 0);
	if (how < 0xFD)
		return LGBOX_SPLIT + (play_physical(i) & (LGBOX_MAPPED - 1));
	return how < 0xFF ? play_edge(i) : take32(i);
}

uint32_t play_entry(struct input *i)
{
	uint8_t frame = take8(i), flags = take8(i);

	switch (flags) {
	case 0xFF: /* PSE, PWT, PCD, global, or not present with what looks like them */
		return take32(i);
	case 0xFE:
		return (take16(i) & 0xFFF) | (uint32_t)frame << UM_PAGE_SHIFT;
	case 0xFD: /* devices, and beyond */
		return (0x100u + frame) << UM_PAGE_SHIFT | (frame & 7u) | 0x60;
	case 0xFC: /* swapped out, PROT_NONE */
		return (take16(i) & 0xFFE) | (uint32_t)frame << UM_PAGE_SHIFT;
	case 0xFB: /* the device page and its rings */
		return (0x100u + frame % 20u) << UM_PAGE_SHIFT | 0x67;
	default:
		return (uint32_t)frame << UM_PAGE_SHIFT | (flags & 0x67u) | (flags & 8 ? 1u : 0);
	}
}

/* The high words of descriptors: present data and code of rings 0, 1 and 3, others. */
static uint32_t descriptor(struct input *i)
{
	static const uint32_t high[] = { 0x00CFFB00, 0x00CFF300, 0x00CFBB00, 0x00CFB300, 0x00CF9B00, 0x00CF9300, 0x0040F300,
		                         0x00CFF600, 0x00CFBF00, 0x0000F300 };
	uint8_t how = take8(i);

	return how >= 0xFC ? take32(i) : high[how % (sizeof high / sizeof *high)];
}

/* ---- 2. Calls ------------------------------------------------------------------------------- */

static void gdt_arguments(struct input *i, uint32_t arg[4])
{
	uint8_t how = take8(i);

	/* Those that are loaded are seldom touched: their loss is the guest's end. */
	arg[0] = how & 31;
	if (how < 0xFC && arg[0] >= 12 && arg[0] <= 15)
		arg[0] -= 6;
	if (how == 0xFF)
		arg[0] = take8(i) & 0x80 ? take32(i) : 32;
	arg[1] = how & 0x40 ? take32(i) : 0xFFFF;
	arg[2] = descriptor(i);
}

static void gate_arguments(struct input *i, uint32_t arg[4])
{
	uint8_t how = take8(i);
	uint32_t at = LGBOX_SPLIT + LGBOX_HANDLERS + take8(i) * 16u;

	arg[0] = how == 0xFF ? take16(i) : how;
	arg[1] = 0x00600000u | (at & 0xFFFF);
	arg[2] = (at & 0xFFFF0000u) | 0x8E00u | (take8(i) & 0x61u) << 8;
	if (rarely(i))
		arg[2] = take32(i);
}

static void stack_arguments(struct input *i, uint32_t arg[4])
{
	uint8_t how = take8(i);

	arg[0] = how == 0xFF ? take16(i) : 0x69;
	arg[1] = how >= 0xF8 ? play_virtual(i) : LGBOX_SPLIT + LGBOX_STACK_END - (how & 15u) * 4;
	arg[2] = how == 0xFE ? take32(i) : how % 3;
}

static void notify_arguments(struct input *i, uint32_t arg[4])
{
	uint8_t how = take8(i);

	if (how < 0x08) /* a ring's page, perhaps: the device may not be ready, which is the guest's end */
		arg[0] = LGBOX_MEM + (how & 15u) * UM_PAGE_SIZE;
	else if (how < 0x20) /* a record's start, perhaps */
		arg[0] = LGBOX_MEM + take8(i);
	else
		arg[0] = play_physical(i);
}

/* What a guest of some family passes with this number. */
static void arguments(struct input *i, uint32_t number, uint32_t arg[4])
{
	switch (number) {
	case 1:
		arg[0] = i->b->data;
		break;
	case 2:
	case 16:
		arg[0] = rarely(i) ? LGBOX_TEXTS : play_physical(i);
		arg[1] = take8(i) & 3;
		break;
	case 3:
		arg[0] = rarely(i) ? play_physical(i) : LGBOX_SCRATCH;
		arg[1] = rarely(i) ? take32(i) : take8(i) & 31;
		break;
	case 4:
		arg[0] = play_directory(i);
		break;
	case 5:
	case 8:
		arg[0] = take8(i) & 1;
		break;
	case 6:
		gate_arguments(i, arg);
		break;
	case 7:
		stack_arguments(i, arg);
		break;
	case 9:
		arg[0] = take16(i);
		break;
	case 14:
		arg[0] = play_directory(i);
		arg[1] = play_virtual(i);
		arg[2] = play_entry(i);
		break;
	case 13:
	case 15:
		arg[0] = play_directory(i);
		arg[1] = take8(i) & 0x80 ? (uint32_t)take8(i) << 2 | (take8(i) & 7u) : (uint32_t)LGBOX_USER_VA >> 22;
		break;
	case 17:
		notify_arguments(i, arg);
		break;
	case 18:
		gdt_arguments(i, arg);
		break;
	default:
		break;
	}
}

/* Numbers by how much there is behind them.  3 is of the old families, 18 and 19 of the later, 17 not of G. */
static uint32_t choose_call(struct input *i)
{
	static const uint8_t usual[64] = { 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14, 14,
		                           15, 15, 15, 15, 15, 15, 4,  4,  4,  4,  4,  4,  4,  5,  5,  5,
		                           5,  7,  7,  7,  8,  8,  16, 16, 16, 6,  6,  6,  9,  9,  10, 0,
		                           0,  18, 18, 18, 17, 17, 17, 17, 19, 3,  3,  17, 5,  4,  16, 8 };
	enum lguest_family family = i->b->set.family;
	uint8_t how = take8(i);
	uint32_t number = usual[how & 63];

	if (how == 0xFF && !(take8(i) & 7))
		return take8(i) & 0x80 ? take32(i) : take8(i) & 31u;
	if (how == 0xBF && !(take8(i) & 3))
		return take8(i) % 20u;
	if (family <= LGUEST_C && number >= 18)
		return number == 18 ? 3 : 0;
	if (family > LGUEST_C && number == 3)
		return 18;
	return family >= LGUEST_G1 && number == 17 ? 14 : number;
}

static uint32_t choose(struct input *i, uint32_t arg[4])
{
	uint32_t number = choose_call(i);

	memset(arg, 0, 4 * sizeof *arg);
	arguments(i, number, arg);
	if (rarely(i))
		arg[take8(i) & 3] = take8(i) & 1 ? play_edge(i) : take32(i);
	return number;
}

void play_call(struct input *i)
{
	uint32_t arg[4], number = choose(i, arg);
	enum lguest_family family = i->b->set.family;

	lgbox_call(i->b, number, arg, (family == LGUEST_C || family == LGUEST_D) && take8(i) & 1);
}

void play_queue(struct input *i)
{
	uint32_t arg[4] = { 0 }, number;

	for (unsigned n = take8(i) & 63; n + 1 > 0 && i->at < i->end; n--) {
		number = choose(i, arg);
		/* The guest's drivers stop at a full ring; one that does not is worth a try. */
		lgbox_queue(i->b, number, arg);
		if (!n)
			break;
	}
	memset(arg, 0, sizeof arg);
	lgbox_call(i->b, 0, arg, false);
}

/* ---- 3. The outside ------------------------------------------------------------------------- */

static void play_time(struct input *i)
{
	struct lgbox *b = i->b;
	uint8_t how = take8(i);

	b->now += take16(i);
	if (how & 1)
		lguest_raise(b->lg, how >> 3);
	if (how & 2)
		virtio_pci_poll(b->pci);
	if (how & 4 && b->transport != LGBOX_PCI)
		device_page_poll(b->page[b->transport]);
	lguest_poll(b->lg);
	(void)lguest_deadline(b->lg);
	(void)lguest_interrupts_off(b->lg);
	if (lguest_is_waiting(b->lg) && lguest_ended(b->lg) != LGUEST_RUNS)
		lgbox_fail(b, "a guest that is no more waits for an interrupt");
}

static void play_host(struct input *i)
{
	struct lgbox *b = i->b;
	uint8_t how = take8(i);

	switch (how & 7) {
	case 0:
	case 1:
	case 2:
		um_forget_frame(b->um, take8(i));
		break;
	case 3:
		(void)um_shrink(b->um, how >> 3);
		break;
	case 4:
		(void)um_set_budget(b->um, 8 + (how >> 3));
		break;
	case 5:
		lguest_time_calls(b->lg, how & 8);
		break;
	case 6:
		b->set.fail_every = how >> 3 & 3;
		break;
	default:
		lgbox_audit(b);
		break;
	}
}

/* ---- 4. The program ------------------------------------------------------------------------- */

enum { LIVES_MAX = 8, AUDIT_EVERY = 128 };

static const struct { uint8_t below; play_move *play; } moves[] = {
	{ 120, play_call }, { 156, play_queue }, { 166, play_table }, { 172, play_scribble }, { 180, play_data },
	{ 192, play_queue_of_device }, { 196, play_record }, { 199, play_ports }, { 203, play_registers }, { 206, play_pci_start },
	{ 209, play_input }, { 218, play_time }, { 224, play_trap }, { 242, play_snippets }, { 248, play_code },
	{ 255, play_host },
};

static void one_move(struct input *i)
{
	uint8_t what = take8(i);

	for (unsigned n = 0; n < sizeof moves / sizeof *moves; n++) {
		if (what < moves[n].below) {
			moves[n].play(i);
			return;
		}
	}
	lgbox_restart(i->b);
}

static void read_data_setting(struct lgbox_setting *set, uint8_t how)
{
	static const uint32_t odd[] = { LGBOX_MEM - LGBOX_DATA_BYTES, LGBOX_KERNEL_TABLE + 0x900, LGBOX_DIRS + 0x7400, 0x5FFE,
		                        LGBOX_DATA + 1, 0, LGBOX_MEM + 0x20, LGBOX_SCRATCH + 0xC00, 0xFFFFFF00u,
		                        LGBOX_STACK + 0x100 };
	static const uint32_t split[] = { 0, 0x40000000, 0x80000000u, 0xFFC00000u, 0xC0000001u, 0xFFBFFFFFu, 0xB0000000u };

	set->data = how < 0xE0 ? LGBOX_DATA : odd[how % (sizeof odd / sizeof *odd)];
	set->split = how < 0xD0 || how >= 0xE0 ? LGBOX_SPLIT : split[how % (sizeof split / sizeof *split)];
	set->syscall_vector = how == 0xC0 ? 0x40 : how == 0xC1 ? 0x1F : 0x80;
	/* What cannot work is not expected to. */
	set->odd = how >= 0xC0;
}

/* The first bytes. */
static struct lgbox_setting read_setting(struct input *i)
{
	struct lgbox_setting set = { 0 };
	uint8_t how = take8(i);

	set.family = (enum lguest_family)(LGUEST_B + how % 7);
	how = take8(i);
	set.forced = how & 1;
	set.old_page = how & 2;
	set.progress = how & 0x1C ? 2 : how >> 5 & 3;
	set.um_options = (uint32_t)take8(i) ^ UM_OPT_ALL;
	set.max_tables = 8 + take8(i) % (LGBOX_TABLES - 7u);
	set.max_roots = 1 + take8(i) % 12u;
	set.prefetch = take8(i) & 8;
	set.tsc_khz = take8(i) & 1 ? 0 : 1000000;
	how = take8(i);
	set.fail_every = how >= 0xE0 ? 1 + (how & 15u) : 0;
	read_data_setting(&set, take8(i));
	return set;
}

void lgbox_play(struct lgbox *b, const uint8_t *input, size_t bytes)
{
	struct input i = { b, input, input + bytes };
	struct lgbox_setting set = read_setting(&i);

	lgbox_begin(b, &set);
	for (unsigned n = 1; i.at < i.end; n++) {
		one_move(&i);
		b->moves++;
		lgbox_check(b);
		if (n % AUDIT_EVERY == 0)
			lgbox_audit(b);
		if (lguest_ended(b->lg) == LGUEST_RUNS)
			continue;
		if (b->lives >= LIVES_MAX)
			break;
		if (!b->set.odd)
			b->set.progress = 2; /* that it can die early is seen once */
		lgbox_restart(b);
	}
	lgbox_end(b, b->inputs % 64 == 0);
}
