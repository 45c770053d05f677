/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/kallsyms.h - a Linux kernel's table of its symbols, as its build lays it out, made by hand.
 */
#ifndef TESTS_LIB_KALLSYMS_H
#define TESTS_LIB_KALLSYMS_H

#include <stddef.h>
#include <stdint.h>

enum kallsyms_form { KALLSYMS_ABSOLUTE, KALLSYMS_RELATIVE, KALLSYMS_PERCPU };

struct kallsyms_layout {
	enum kallsyms_form form;
	int late;            /* addresses behind the tokens, as since 6.4 */
	int sequence;        /* the alphabetical order between markers and tokens, as in 6.2 and 6.3 */
	int long_name;       /* one name's length takes two bytes, as since 6.1 it may */
	uint32_t base;       /* the first symbol's address; each one is 16 bytes behind the one before */
	unsigned count;
};

/* Symbol number k is "T" (or "t", where k is odd) "do_thing_<k>".  Returns the bytes written, at most `room`. */
size_t kallsyms_make(const struct kallsyms_layout *layout, uint8_t *to, size_t room);
/* Its name. */
void kallsyms_name(const struct kallsyms_layout *layout, unsigned k, char name[400]);

#endif
