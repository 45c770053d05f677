/* SPDX-License-Identifier: MIT */
/*
 * guests/common/text.h - what every guest has: print(), and the strings that the compiler may call.
 */
#ifndef GUESTS_COMMON_TEXT_H
#define GUESTS_COMMON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The guest's own: one character to wherever its console is. */
void put(char c);
/* %s %c %d %u %x with width and leading zero; nothing else. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

void *memset(void *to, int value, size_t bytes);
void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *s);

#endif
