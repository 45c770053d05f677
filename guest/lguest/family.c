/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/family.c - what differs between the interface's families, as data.
 *
 *   1. The table
 *   2. Names
 *
 * B and C have one layout of struct lguest_data but not the same registers; the order of the words in a slot
 * of the ring is that of the save area, so one map serves both.
 */
#include <strings.h>

#include "guest/lguest/internal.h"

/* ---- 1. The table --------------------------------------------------------------------------- */

/* The layouts of struct lguest_data. */
#define DATA_BC                                                                                        \
	.status = 20, .ring = 84, .reserve_mem = 1108, .tsc_khz = 1112, .pgdir = 1116,                 \
	.noirq_start = 1120, .noirq_end = 1124, .kernel_address = 1128, .syscall_vec = 1132,           \
	.bytes = 1136
#define DATA_DE                                                                                        \
	.irq_pending = 20, .status = 24, .ring = 88, .reserve_mem = 1368, .tsc_khz = 1372,             \
	.pgdir = 1376, .noirq_start = 1380, .noirq_end = 1384, .kernel_address = 1388,                 \
	.syscall_vec = 1392, .bytes = 1396
#define DATA_F                                                                                         \
	.irq_pending = 20, .status = 24, .ring = 88, .reserve_mem = 1368, .tsc_khz = 1372,             \
	.noirq_start = 1376, .noirq_end = 1380, .kernel_address = 1384, .syscall_vec = 1388,           \
	.bytes = 1392
#define DATA_G2                                                                                        \
	.irq_pending = 20, .status = 24, .ring = 88, .reserve_mem = 1368, .tsc_khz = 1372,             \
	.noirq_iret = 1376, .kernel_address = 1380, .syscall_vec = 1384, .bytes = 1388
/* ... and the orders of arguments. */
#define ARGS_B .arg = { SAVE_EDX, SAVE_EBX, SAVE_ECX }, .args = 3, .slot_words = 4
#define ARGS_C .arg = { SAVE_EBX, SAVE_ECX, SAVE_EDX }, .args = 3, .slot_words = 4
#define ARGS_D .arg = { SAVE_EBX, SAVE_ECX, SAVE_EDX, SAVE_ESI }, .args = 4, .slot_words = 5

const struct family lguest_families[LGUEST_FAMILIES] = {
	[LGUEST_AUTO] = { "auto", .vmcall = true, .tables = true, .alias = true },
	[LGUEST_B] = { "B", ARGS_B, DATA_BC, .tables = true, .port_reset = true },
	[LGUEST_C] = { "C", ARGS_C, DATA_BC, .vmcall = true, .tables = true },
	[LGUEST_D] = { "D", ARGS_D, DATA_DE, .vmcall = true, .tables = true, .alias = true },
	[LGUEST_E] = { "E", ARGS_D, DATA_DE, .tables = true, .alias = true },
	[LGUEST_F] = { "F", ARGS_D, DATA_F },
	[LGUEST_G1] = { "G1", ARGS_D, DATA_F, .pci = true },
	[LGUEST_G2] = { "G2", ARGS_D, DATA_G2, .pci = true },
};

/* ---- 2. Names ------------------------------------------------------------------------------- */

bool lguest_parse_family(const char *name, enum lguest_family *family)
{
	if (strcasecmp(name, "G") == 0)
		name = "G2";
	for (unsigned k = 0; k < LGUEST_FAMILIES; k++) {
		if (strcasecmp(name, lguest_families[k].name) == 0) {
			*family = (enum lguest_family)k;
			return true;
		}
	}
	return false;
}

const char *lguest_family_name(enum lguest_family family)
{
	return (unsigned)family < LGUEST_FAMILIES ? lguest_families[family].name : "?";
}

enum lguest_family lguest_family(const struct lguest *lg) { return lg->family; }
