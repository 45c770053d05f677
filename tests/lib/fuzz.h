/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/fuzz.h - what a fuzz target (tests/fuzz/NAME.c) has beside LLVMFuzzerTestOneInput().
 *
 * Linked with libFuzzer (`make fuzz T=NAME SECONDS=60`) the target is all there is.  Without, fuzz_main.c is its main
 * program and a test as any other: it replays tests/fuzz/corpus/NAME and then plays random inputs.
 *
 *	UMBRA_FUZZ_INPUTS=n   random inputs (else a few seconds' worth)
 *	UMBRA_FUZZ_SECONDS=n  as many as go into that time
 *	UMBRA_FUZZ_SEED=n     of the first (else 1); input k has seed n + k
 *	UMBRA_FUZZ_FILE=path  only this input, from a file; UMBRA_FUZZ_SAVE=path: each before it is played
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_target {
	const char *name;
	unsigned long inputs;     /* random ones in the test suite */
	size_t bytes;             /* of a random input, at most */
	void (*report)(void);     /* how much was done, for the log; also gives back what was kept */
};
extern const struct fuzz_target fuzz_target;

#endif
