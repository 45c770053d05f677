/* SPDX-License-Identifier: MIT */
/*
 * guests/hello/syscall.h - the calls from ring 3: int 0x80, EAX which, EBX and ECX arguments,
 * EAX the result.
 */
#ifndef HELLO_SYSCALL_H
#define HELLO_SYSCALL_H

enum system_call {
	CALL_EXIT,    /* status */
	CALL_WRITE,   /* text, bytes */
	CALL_PID,
	CALL_FORK,    /* 0 in the child, its pid in the parent, -1: no memory */
	CALL_SLEEP,   /* timer ticks */
	CALL_WAIT,    /* the next child's status */
	CALL_REPORT,  /* text, ok: a line of the self-check */
	CALL_RECOVER, /* address: go on there after a bad access, EAX error code, EDX where */
	CALLS
};

#endif
