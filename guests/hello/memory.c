/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/memory.c - frames: 4 KiB pieces of memory, each with a count of its owners.
 *
 * A frame has several owners when processes share it (copy on write).  The frames of the kernel's
 * own image are nobody's to free: sharing and releasing them does nothing.
 */
#include "guests/hello/hello.h"

#define FRAMES (MEMORY_MAX / PAGE)

static uint8_t owners[FRAMES];
static uint16_t free_frames[FRAMES]; /* a stack of frame numbers */
static uint32_t free_count, total, first;

void memory_start(uint32_t top)
{
	first = ((uint32_t)image_end + PAGE - 1) / PAGE;
	/* the lowest frames come out first */
	for (uint32_t n = top / PAGE; n-- > first; total++)
		free_frames[free_count++] = (uint16_t)n;
}

uint32_t take_frame(void)
{
	uint32_t frame;

	if (!free_count)
		return 0;
	frame = free_frames[--free_count] * PAGE;
	owners[frame / PAGE] = 1;
	memset((void *)frame, 0, PAGE);
	return frame;
}

void share_frame(uint32_t frame)
{
	if (frame / PAGE >= first)
		owners[frame / PAGE]++;
}

void release_frame(uint32_t frame)
{
	uint32_t n = frame / PAGE;

	if (n >= first && --owners[n] == 0)
		free_frames[free_count++] = (uint16_t)n;
}

/* The image's frames count as shared: whoever writes to one gets a copy. */
unsigned frame_owners(uint32_t frame)
{
	return frame / PAGE >= first ? owners[frame / PAGE] : 2;
}

uint32_t frames_total(void)
{
	return total;
}

uint32_t frames_free(void)
{
	return free_count;
}
