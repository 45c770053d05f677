/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/direct_make.h - between the two files that make direct_rig.h's programs.
 */
#ifndef TESTS_LIB_DIRECT_MAKE_H
#define TESTS_LIB_DIRECT_MAKE_H

#include "tests/lib/direct_rig.h"

extern const uint8_t direct_kernel[], direct_kernel_start[], direct_kernel_sysenter[], direct_kernel_gate[],
	direct_kernel_df[], direct_kernel_end[];

#define PIECE_ROOM 0xC00u  /* bytes of code, at most */
#define LABELS_MAX 128u
#define FIXUPS_MAX 256u

/* A place in the code that a label's address belongs in. */
struct fixup {
	uint32_t at;           /* where, in the image */
	uint16_t label;
	uint8_t bytes;         /* 1, 2, 4: relative to what follows; 0: four bytes, the offset in the segment */
	uint8_t skew;          /* into the instruction there */
};

struct maker {
	struct program *p;
	struct native_rng rng;
	enum program_kind kind;
	bool paging, global;   /* CR4.PGE may be set */
	uint32_t cr4;

	/* The running piece. */
	uint32_t at;           /* where code goes, in the image */
	uint32_t start, shown; /* image address of its first byte; CS offset of the same */
	unsigned ring;
	bool code16, v86, flat_data, based;
	uint32_t label[LABELS_MAX]; /* image addresses */
	unsigned labels, fixups;
	struct fixup fixup[FIXUPS_MAX];
};

/* direct_make.c */
void put_word(struct maker *m, uint32_t phys, uint32_t value);
uint32_t pick(struct maker *m, const uint32_t *list, unsigned count);
uint32_t address(struct maker *m);     /* linear, interesting */
uint32_t value(struct maker *m);       /* of a register or an immediate */
uint32_t table_entry(struct maker *m, bool kernel);

/* direct_code.c: code at m->at and its record at `record` */
void make_piece(struct maker *m, uint32_t record);

#endif
