/* SPDX-License-Identifier: MIT */
/*
 * guests/pv/test.h - tests: a table of them in main.c, TAP on the console.
 */
#ifndef PV_TEST_H
#define PV_TEST_H

struct test {
	const char *group, *name;
	void (*run)(void);
};

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)
/* Notes a failure, goes on; returns the condition. */
bool check(bool ok, const char *what, const char *file, unsigned line);
void check_equal(uint32_t got, uint32_t wanted, const char *what, const char *file, unsigned line);
#define CHECK_EQUAL(got, wanted) check_equal((got), (wanted), #got, __FILE__, __LINE__)
void skip_test(const char *why);
/* A line of its own for the results: "# text". */
void note(const char *what, uint32_t value);

/* The tables. */
extern const struct test boot_tests[], calls_tests[], segments_tests[], traps_tests[];
extern const struct test instructions_tests[], time_tests[], fpu_tests[], memory_tests[];
extern const struct test spaces_tests[], stress_tests[], devices_tests[], end_tests[];

void run_workload(const char *what); /* workload.c */
void run_crash(const char *kind);    /* crash.c */

#endif
