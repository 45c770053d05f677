/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test_fpu.c - CR0.TS by call and trap 7: floating-point registers over switches.
 */
#include "guests/pv/probes.h"

enum { PEOPLE = 3 };

static void test_task_switched(void)
{
	void *const probes[] = { k_fpu, k_sse };
	void *const at[] = { k_fpu_at, k_sse_at };

	for (unsigned i = 0; i < 2; i++) {
		call(CALL_TS, 1, 0, 0);
		if (CHECK(call_guarded(probes[i], 0, 0))) {
			CHECK_EQUAL(caught.frame.vector, 7);
			CHECK_EQUAL(caught.frame.eip, (uint32_t)at[i]);
			CHECK_EQUAL(caught.at, caught.frame.esp - 12);
		}
		queue_call(CALL_TS, 0, 0, 0);
		call(CALL_FLUSH_ASYNC, 0, 0, 0);
		CHECK(!call_guarded(probes[i], 0, 0));
		call(CALL_TS, 0x80000000, 0, 0); /* nonzero is nonzero */
		CHECK(call_guarded(probes[i], 0, 0));
		call(CALL_TS, 0, 0, 0);
	}
	set_task_switched(true); /* whatever the kernel thinks it is */
	set_task_switched(false);
	irq_off();
}

static void test_switching(void)
{
	static struct process p[PEOPLE];

	for (unsigned i = 0; i < PEOPLE; i++) {
		process_create(&p[i]);
		CHECK_EQUAL(run_user(&p[i], u_nothing, 0, 0, 0), VECTOR_SYSCALL);
		CHECK_EQUAL(p[i].fpu_traps, 0);
	}
	for (unsigned i = 0; i < PEOPLE; i++)
		CHECK_EQUAL(run_user(&p[i], u_fpu_load, 1000 * (i + 1), 0, 0), VECTOR_SYSCALL);
	for (unsigned round = 0; round < 4; round++)
		for (unsigned i = 0; i < PEOPLE; i++) {
			CHECK_EQUAL(run_user(&p[i], u_fpu_check, 0, 1000 * (i + 1), 0),
				    VECTOR_SYSCALL);
			CHECK_EQUAL(p[i].frame.eax, 0);
			CHECK_EQUAL(p[i].fpu_traps, round + 2);
		}
	/* who goes on alone does not trap */
	run_user(&p[0], u_fpu_check, 0, 1000, 0);
	CHECK_EQUAL(p[0].fpu_traps, 6);
	run_user(&p[0], u_fpu_check, 0, 1000, 0);
	run_user(&p[1], u_nothing, 0, 0, 0);
	run_user(&p[0], u_fpu_check, 0, 1000, 0);
	CHECK_EQUAL(p[0].frame.eax, 0);
	CHECK_EQUAL(p[0].fpu_traps, 6);
	for (unsigned i = 0; i < PEOPLE; i++)
		process_destroy(&p[i]);
}

const struct test fpu_tests[] = {
	{ "fpu", "task-switched", test_task_switched },
	{ "fpu", "switching", test_switching },
	{ 0 },
};
