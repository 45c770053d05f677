/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/lguest_boot.c - a guest of each family begins: recognised, initialised, mapped, reflected to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lguest_rig.h"
#include "tests/lib/tap.h"

static void test_each_family_boots_and_maps(void **state)
{
	(void)state;
	for (unsigned family = LGUEST_B; family <= LGUEST_G2; family++) {
		struct lgrig *rig = lgrig_new((enum lguest_family)family);
		uint32_t page;

		lgrig_boot(rig);
		page = lgrig_page(rig);
		lgrig_map(rig, rig->space, 0x10000000, page | 7);
		assert_int_equal(lgrig_touch(rig, 0x10000000, UM_USER | UM_WRITE), LGRIG_DONE);
		assert_int_equal(lgrig_get(rig, lgrig_entry(rig, rig->space, 0x10000000)), page | 0x67);
		assert_int_equal(lgrig_touch(rig, 0x10001000, UM_USER | UM_WRITE), LGRIG_REFLECTED);
		assert_int_equal(rig->frame.vector, 14);
		assert_int_equal(rig->frame.error, UM_USER | UM_WRITE);
		assert_true(rig->frame.from_user);
		assert_int_equal(lgrig_data(rig, LGDATA_CR2), 0x10001000);
		lgrig_free(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_family_boots_and_maps),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("lguest_boot", tests, NULL, NULL);
}
