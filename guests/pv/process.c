/* SPDX-License-Identifier: MIT */
#include "guests/pv/pv.h"
struct process *current;
bool stop_on_interrupt;
bool process_fault(uint32_t va, uint32_t error) { return va & error & 0; }
void process_stopped(const struct trap_frame *f) { (void)f; }
bool fpu_trap(void) { return false; }
bool console_ready(void) { return false; }
void console_write(const char *text, uint32_t length) { (void)text; (void)length; }
