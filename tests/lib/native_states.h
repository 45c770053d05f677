/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_states.h - random states that make an instruction do something.
 *
 *   1. Batches          native_states.c, native_sequence.c
 *   2. Floating point   native_fx.c
 */
#ifndef TESTS_LIB_NATIVE_STATES_H
#define TESTS_LIB_NATIVE_STATES_H

#include "tests/lib/native_forms.h"

/* ---- 1. Batches ----------------------------------------------------------------------------- */

struct native_batch_plan {
	struct native_form form;
	uint8_t code[NATIVE_CODE_BYTES]; /* the page to be */
	struct native_batch *batch;      /* in: everything set */
	uint32_t ea[NATIVE_CASES_MAX];   /* linear address of the ModRM memory operand, 0 if none */
	uint8_t *data;                   /* NATIVE_DATA_BYTES: the operands to be */
	uint32_t undefined;              /* flags that the whole leaves undefined */
};
/* Fill plan->batch (eip, cs, fx, cases' inputs), plan->code and plan->data for plan->form. */
void states_draw(struct native_batch_plan *plan, struct native_rng *rng, unsigned count);

/* The parts that sequences share with single instructions. */
unsigned put_pad(struct native_batch_plan *plan, uint32_t at, uint32_t landing);
void fill_data(struct native_batch_plan *plan, struct native_rng *rng);
uint32_t draw_eflags(struct native_rng *rng);
uint32_t draw_place(const struct native_form *form, struct native_rng *rng, unsigned index, uint32_t bytes);

/* Several integer instructions that belong together (native_sequence.c): flags of one are the next one's
 * operands, branches lead from one to another, faults strike in the middle. */
struct native_pool {
	struct native_recipe *recipes;
	size_t count;
};
bool sequence_pool(struct native_pool *pool); /* free(pool->recipes) */
void sequence_draw(struct native_batch_plan *plan, const struct native_pool *pool, struct native_rng *rng,
                   unsigned count);

/* ---- 2. Floating point ---------------------------------------------------------------------- */

/* `bytes` of floats of `width` (4, 8), with a taste for zeros, infinities, NaNs and denormals. */
void fx_draw_floats(struct native_rng *rng, uint8_t *at, unsigned bytes, unsigned width);
/* The ten bytes of an extended real, also of the forms that no processor makes any more. */
void fx_draw_extended(struct native_rng *rng, uint8_t *at);
/* 16 bytes: floats, doubles or integers. */
void fx_draw_vector(struct native_rng *rng, uint8_t *at);
uint32_t fx_draw_mxcsr(struct native_rng *rng); /* for LDMXCSR: may have reserved bits */
/* A state that FXRSTOR takes without #GP (512 bytes). */
void fx_draw_image(struct native_rng *rng, uint8_t *at);

#endif
