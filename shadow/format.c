/* SPDX-License-Identifier: MIT */
/*
 * shadow/format.c - the formats of guest tables, as data.
 *
 *   1. i386   two levels of 32-bit entries, 4 KiB and 4 MiB pages
 */
#include "core.h"

/* ---- 1. i386 (SDM vol. 3, 4.3) -------------------------------------------------------------- */

/* Without PSE-36 bits 13-21 of a 4 MiB entry are reserved; bit 12 is PAT, which we ignore. */
const struct um_format um_format_i386 = {
	.name = "i386",
	.levels = 2,
	.entry_bytes = 4,
	.frame_mask = 0xFFFFF000,
	.root_mask = 0xFFFFF000,
	.level = {
		{ .shift = 12, .index_bits = 10 },
		{ .shift = 22, .index_bits = 10, .page_mode = UM_MODE_PSE, .reserved_ps = 0x003FE000 },
	},
};
