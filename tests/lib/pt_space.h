/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/pt_space.h - guest memory made by hand, as an address space to look at, and views of it.
 */
#ifndef TESTS_LIB_PT_SPACE_H
#define TESTS_LIB_PT_SPACE_H

#include "scope/pt.h"
#include "tests/lib/refwalk.h"

enum { BIT_P = 1, BIT_W = 2, BIT_U = 4, BIT_A = 0x20, BIT_D = 0x40, BIT_PS = 0x80, BIT_G = 0x100 };
#define SPACE_CR0 0x80010001u /* PE WP PG */
#define SPACE_CR4 0x90u       /* PSE PGE */

struct pt_ram {
	uint32_t *words;
	uint64_t bytes;
	unsigned reads;        /* calls of space.read */
	struct space space;    /* its registers are the test's to set: CR3 0, CR0 and CR4 as above */
};
void pt_ram_start(struct pt_ram *r, uint64_t bytes);
void pt_ram_end(struct pt_ram *r);
ref_read pt_ram_ref_read;
uint32_t pt_ref_mode(const struct space *space); /* REF_* */

/* A view by a line of words; fails the test if it cannot be had.  A JSON one is checked against the schema. */
const char *view(const struct space *space, struct text *out, const char *line);
/* ... which must be refused with a line that has `word` in it. */
void refused(const struct space *space, const char *line, const char *word);
/* Every line of the text fits the terminal. */
void fits_80(const char *text);
void has_text(const char *text, const char *part);
void has_no_text(const char *text, const char *part);

#endif
