/* SPDX-License-Identifier: MIT */
/*
 * guest/bootsector.c - a raw image that starts like a disk: 16-bit code at 0000:7C00.
 *
 * There is no BIOS behind it: such an image must do without INT 10h and 13h.  The whole file is loaded, so
 * that one of more than a sector needs no disk.
 */
#include "guest/internal.h"

#define BOOT_SECTOR_GPA 0x7C00u

bool load_boot_sector(struct plan *plan, const struct image *image, struct cpu_state *start)
{
	if (image->size > LOW_RAM_END - BOOT_SECTOR_GPA)
		return refuse(plan->error, image->path,
		              "is too large for a boot sector image: at most %u bytes (there is no BIOS)",
		              LOW_RAM_END - BOOT_SECTOR_GPA);
	if (!place_bytes(plan, image->path, "the boot sector", BOOT_SECTOR_GPA, image->bytes, image->size,
	                 image->size))
		return false;
	for (unsigned k = 0; k < 6; k++)
		start->seg[k] = (struct cpu_segment){ 0, 0x0093, 0, 0xFFFF };
	start->ldtr = (struct cpu_segment){ 0, 0x0082, 0, 0xFFFF };
	start->tr = (struct cpu_segment){ 0, 0x008B, 0, 0xFFFF };
	start->idtr.limit = 0x3FF;
	start->gdtr.limit = 0xFFFF;
	start->gpr[CPU_ESP] = BOOT_SECTOR_GPA;
	start->gpr[CPU_EDX] = 0x80; /* the first hard disk, as a BIOS says */
	start->eip = BOOT_SECTOR_GPA;
	start->eflags = 0x2;
	start->cr0 = 0x10; /* ET */
	start->dr[6] = 0xFFFF0FF0;
	start->dr[7] = 0x400;
	put16(start->fxsave, 0x37F);
	put32(start->fxsave + 24, 0x1F80);
	commit_plan(plan);
	return true;
}
