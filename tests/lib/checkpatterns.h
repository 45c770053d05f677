/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/checkpatterns.h - what the patterns of the missing-flush detector's tests have in common.
 */
#ifndef TESTS_CHECKPATTERNS_H
#define TESTS_CHECKPATTERNS_H

#include "tests/lib/checkbench.h"

/* The addresses of the patterns that come again and again. */
#define PAGE 0x200000u    /* a page whose entry is changed */
#define OTHER 0x201000u   /* one beside it */
#define FRAME 0x300000u   /* another frame for it */
#define TABLE2 0x180000u  /* room for a second page table */
#define SPACE2 0x181000u  /* ... and a second directory */
#define LARGE 0x00C00000u /* a 4 MiB page's address; the frame below is what it maps at first */
#define PS 0x80u
#define G 0x100u
/* The page used, and its entry changed by the instruction whose address is returned. */
uint32_t bench_use_and_change(struct bench *b, uint32_t linear, uint32_t entry);
/* A directory at SPACE2: the first 4 MiB as ever, and `above` for LARGE's. */
void bench_second_space(struct bench *b, uint32_t above);
/* Run it: nothing is reported; the end of the bench. */
void bench_silent(struct bench *b);

#endif
