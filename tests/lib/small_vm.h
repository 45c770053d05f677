/* SPDX-License-Identifier: MIT */
/*
 * tests/lib/small_vm.h - a machine with a guest of a few bytes, for tests of what is attached to one.
 */
#ifndef TESTS_LIB_SMALL_VM_H
#define TESTS_LIB_SMALL_VM_H

#include <pthread.h>

#include "tests/lib/image.h"
#include "vmm/vmm.h"

struct small_vm {
	struct loading files;
	struct vm *vm;
	pthread_t thread;
	enum vm_end end;
};

/* 32-bit code at SMALL_CODE, entered as a multiboot kernel, on the portable engine; 16 MiB of memory. */
#define SMALL_CODE 0x100020u
void small_vm_make(struct small_vm *s, const void *code, size_t bytes, bool paused);
/* vm_run() in a thread of its own. */
void small_vm_start(struct small_vm *s);
/* Kick it, and wait for its end. */
enum vm_end small_vm_stop(struct small_vm *s);
void small_vm_free(struct small_vm *s);

/* incl 0x200000; jmp back: for ever, with interrupts off, and never twice the same. */
#define SMALL_COUNTER 0x200000u
#define SMALL_COUNTS "\xFF\x05\x00\x00\x20\x00\xEB\xF8"
uint32_t small_vm_counter(struct small_vm *s);

#endif
