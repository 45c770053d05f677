/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/tap.c - TAP output, the filter and test_rounds(): see tap.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/lib/tap.h"

int __real__cmocka_run_group_tests(const char *, const struct CMUnitTest *, size_t, CMFixtureFunction,
                                   CMFixtureFunction);
int __wrap__cmocka_run_group_tests(const char *, const struct CMUnitTest *, size_t, CMFixtureFunction,
                                   CMFixtureFunction);

int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count,
                                   CMFixtureFunction set_up, CMFixtureFunction tear_down)
{
	const char *filter = getenv("UMBRA_TEST_FILTER");

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (filter && *filter)
		cmocka_set_test_filter(filter);
	return __real__cmocka_run_group_tests(group, tests, count, set_up, tear_down);
}

unsigned long test_rounds(unsigned long full)
{
	const char *quick = getenv("TEST_QUICK");

	if (!quick || !*quick)
		return full;
	return full < 100 ? 1 : full / 100;
}
