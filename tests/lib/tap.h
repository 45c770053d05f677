/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/tap.h - what every test program has: TAP, a filter by name, a measure of patience.
 *
 * The test programs are linked with --wrap=_cmocka_run_group_tests, so every group prints TAP and
 * obeys UMBRA_TEST_FILTER (a pattern with * and ?; set by `make test T=PATTERN`) without a word in
 * the program itself.
 */
#ifndef TESTS_LIB_TAP_H
#define TESTS_LIB_TAP_H

/* How many rounds of something long to run: `full`, or a hundredth (at least 1) where everything is
 * slow (TEST_QUICK=1: sanitizers, valgrind). */
unsigned long test_rounds(unsigned long full);

#endif
