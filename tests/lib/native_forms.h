/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_forms.h - every opcode form, and random states for it.
 *
 *   1. Random numbers
 *   2. Forms        native_forms.c: enumerate, classify, leave out with a reason
 *
 * The enumeration goes through every opcode of the one-byte and 0F maps, every ModRM byte and every
 * mandatory prefix, and asks Zydis what it is: nothing that umbra decodes can be forgotten.
 */
#ifndef TESTS_LIB_NATIVE_FORMS_H
#define TESTS_LIB_NATIVE_FORMS_H

#include <Zydis/Zydis.h>

#include "tests/lib/native.h"

/* ---- 1. Random numbers ---------------------------------------------------------------------- */

struct native_rng { uint64_t s[4]; }; /* xoshiro256++ */

void rng_seed(struct native_rng *rng, uint64_t seed);
uint64_t rng_next(struct native_rng *rng);
/* 0..below-1 */
static inline uint32_t rng_below(struct native_rng *rng, uint32_t below)
{
	return (uint32_t)((rng_next(rng) >> 32) * below >> 32);
}
static inline bool rng_one_in(struct native_rng *rng, uint32_t n) { return rng_below(rng, n) == 0; }
uint32_t rng_value(struct native_rng *rng); /* random, with a taste for edges */

/* ---- 2. Forms ------------------------------------------------------------------------------- */

enum native_group {
	GROUP_NONE, /* left out */
	GROUP_ARITHMETIC, GROUP_LOGIC, GROUP_SHIFT, GROUP_MULTIPLY, GROUP_DECIMAL, GROUP_BITS, GROUP_MOVE,
	GROUP_CONDITION, GROUP_SEMAPHORE, GROUP_STACK, GROUP_STRING, GROUP_BRANCH, GROUP_FLAGS,
	GROUP_SEGMENT, GROUP_PRIVILEGED, GROUP_X87, GROUP_FPU_STATE, GROUP_MMX, GROUP_SSE, GROUP_SSE2,
	GROUP_UNDEFINED,
	GROUP_COUNT,
	GROUP_SEQUENCE = GROUP_COUNT, /* of several: native_sequence.c */
};
extern const char *const native_group_names[GROUP_COUNT];

/* What stays fixed about a form: the rest (SIB, displacement, immediate, segment prefix, address size,
 * LOCK, code size) is drawn anew for each batch. */
struct native_recipe {
	uint8_t prefix; /* 0, 0x66, 0xF2, 0xF3 */
	bool two_byte;  /* 0F map */
	uint8_t opcode;
	uint8_t modrm;  /* used if the opcode has one */
};

struct native_form {
	uint8_t bytes[96]; /* room for a sequence, too */
	unsigned length;
	bool code16;
	bool known;  /* Zydis decodes it: the rest is valid */
	bool locked; /* LOCK, or XCHG with memory */
	uint16_t size; /* of the largest memory operand, bytes */
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
};

/* All recipes of a group; free() the array. */
struct native_recipe *forms_of_group(enum native_group group, size_t *count);
/* One variation: not always of the recipe's own group. */
void form_draw(struct native_form *form, const struct native_recipe *recipe, struct native_rng *rng);
/* Why a mnemonic is left out of the test (forms_of_group gives none of its), or NULL. */
const char *form_left_out(const struct native_form *form);
/* Decode form->bytes. */
void form_decode(struct native_form *form);
/* The number of a 16- or 32-bit general register, or -1. */
int register_number(ZydisRegister reg);

#endif
