/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/native_guest.h - run the same cases as native.h on umbra.
 *
 * A guest with nothing but page tables, descriptor tables and a way back: ring 3 runs the instruction at
 * the same linear addresses, under the same selectors; where the host's loop lands, the guest has an INT
 * that the bus hook takes (software_int), stores what came of the case and loads the next one.
 */
#ifndef TESTS_LIB_NATIVE_GUEST_H
#define TESTS_LIB_NATIVE_GUEST_H

#include "tests/lib/native.h"

struct native_guest;

/* `options`: enum cpu_opt. NULL: no memory. */
struct native_guest *guest_new(uint32_t options);
/* Returns the core's audit after everything: NULL, or the broken invariant. */
const char *guest_free(struct native_guest *g);
/* As native_code() and native_data(): guest memory as the host sees it. Read-only pages hold what the
 * host's hold.  After writing code, guest_code_written(). */
uint8_t *guest_code(struct native_guest *g);
uint8_t *guest_data(struct native_guest *g);
void guest_code_written(struct native_guest *g);
/* Run every case. false: the guest did not come back; *why says how (a text of g's). */
bool guest_run(struct native_guest *g, struct native_batch *batch, const char **why);

#endif
