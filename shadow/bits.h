/* SPDX-License-Identifier: MIT */
/*
 * shadow/bits.h - every bit layout of the core, each declared once.
 *
 *   1. Guest entries    x86 page-table entries, as the guest writes them
 *   2. Shadow entries   what we build: the same places as the hardware's, software bits above
 *   3. Roles            what a shadow table means beside the frame it shadows
 *
 * Each table is a list of X(name, bit, text): the enums below and the names that reports print come
 * from the same line.
 */
#ifndef SHADOW_BITS_H
#define SHADOW_BITS_H

#include <stdint.h>

#define BIT_ENUM(name, bit, text) name = 1u << (bit),

/* ---- 1. Guest entries (SDM vol. 3, tables 4-4 to 4-6) --------------------------------------- */

#define GPTE_BITS(X)                                                      \
	X(GPTE_PRESENT, 0, "P")                                           \
	X(GPTE_WRITE, 1, "R/W")                                           \
	X(GPTE_USER, 2, "U/S")                                            \
	X(GPTE_PWT, 3, "PWT: accepted, without effect (R17)")             \
	X(GPTE_PCD, 4, "PCD: accepted, without effect (R17)")             \
	X(GPTE_ACCESSED, 5, "A")                                          \
	X(GPTE_DIRTY, 6, "D, in leaf entries")                            \
	X(GPTE_LARGE, 7, "PS in upper entries; PAT in lowest ones")       \
	X(GPTE_GLOBAL, 8, "G, in leaf entries, with CR4.PGE")
enum gpte_bit { GPTE_BITS(BIT_ENUM) };

/* ---- 2. Shadow entries ---------------------------------------------------------------------- */

/* Upper entries are permissive (P W U A): a leaf holds the rights merged over all levels. */
#define SPTE_BITS(X)                                                      \
	X(SPTE_PRESENT, 0, "P")                                           \
	X(SPTE_WRITE, 1, "R/W; hardware runs as with CR0.WP = 1")         \
	X(SPTE_USER, 2, "U/S")                                            \
	X(SPTE_ACCESSED, 5, "A: always, hardware never needs to write it") \
	X(SPTE_DIRTY, 6, "D: with W")                                     \
	X(SPTE_GLOBAL, 8, "G as the guest has it")                        \
	X(SPTE_PREFETCHED, 9, "built ahead, not looked up yet")           \
	X(SPTE_WINDOW, 10, "the host's own entry: no guest frame")
enum spte_bit { SPTE_BITS(BIT_ENUM) };

/* Bits 12-51: the host frame in a leaf, the child's table id in an upper entry. */
#define SPTE_FRAME_SHIFT 12u
#define SPTE_FRAME_BITS 40u
#define HFN_LIMIT (UINT64_C(1) << SPTE_FRAME_BITS)

static inline uint64_t spte_frame(uint64_t spte)
{
	return spte >> SPTE_FRAME_SHIFT & (HFN_LIMIT - 1);
}

/* ---- 3. Roles ------------------------------------------------------------------------------- */

/* Bits 0-1: the level.  The rights stand at their entry places + ROLE_RIGHTS_SHIFT, the mode bits
 * (enum um_mode) at + ROLE_MODE_SHIFT. */
#define ROLE_LEVEL_MASK 3u
#define ROLE_RIGHTS_SHIFT 2u
#define ROLE_MODE_SHIFT 8u
#define ROLE_BITS(X)                                                      \
	X(ROLE_WRITE, 3, "all levels above permit writing")               \
	X(ROLE_USER, 4, "all levels above permit the user")               \
	X(ROLE_DIRECT, 5, "part of a large page or of 1:1: gfn is the first frame, no guest table") \
	X(ROLE_DIRTY, 6, "direct: the large page's entry is Dirty")       \
	X(ROLE_ROOT, 7, "CR3 points here")                                \
	X(ROLE_PAGING, 8, "CR0.PG")                                       \
	X(ROLE_WP, 9, "CR0.WP")                                           \
	X(ROLE_PSE, 10, "CR4.PSE, above the lowest level")                \
	X(ROLE_WINDOW, 11, "the host's window: shadows nothing")         \
	X(ROLE_GLOBAL, 12, "direct: the large page's entry is Global")
enum role_bit { ROLE_BITS(BIT_ENUM) };

#endif
