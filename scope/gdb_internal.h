/* SPDX-License-Identifier: MIT */
/*
 * scope/gdb_internal.h - the inside of the debugger's stub: its index.
 *
 *   gdb.c            listening, sessions, the monitor's command
 *   gdb_packet.c     bytes to packets and back
 *   gdb_command.c    what each packet asks for
 *   gdb_run.c        going on and stopping
 *   gdb_register.c   the registers, as a table that the target description is made from
 *
 * The protocol: "Debugging with GDB", appendix E.  A client is not trusted: what it sends is bounded by GDB_PACKET,
 * what it makes us keep by that and by server.h's bounds, and an address, a length or a number that makes no sense is
 * answered with an error.
 */
#ifndef SCOPE_GDB_INTERNAL_H
#define SCOPE_GDB_INTERNAL_H

#include "scope/gdb.h"

/* A packet's bytes, either way: what somebody who sends no end can make us keep. */
#define GDB_PACKET 16384u
/* The answer to a monitor command, as text: hexadecimal digits in packets take twice as much of the queue. */
#define GDB_ANSWER (4u << 20)
/* Breakpoints as the client counts them: a software and a hardware one at one address are one of the guest's. */
#define GDB_POINTS_MAX (2 * CPU_BREAKPOINTS_MAX)

enum gdb_signal { GDB_SIGINT = 2, GDB_SIGTRAP = 5, GDB_SIGABRT = 6 };

struct gdb_point {
	unsigned type;                /* of Z: 0 software, 1 hardware, 2 write, 3 read, 4 access */
	struct cpu_breakpoint breakpoint;
};

struct gdb_session {
	struct scope *scope;
	void *user;
	void (*say)(void *user, const char *bytes, size_t count);
	struct vm_debugger debugger;

	enum { GDB_IDLE, GDB_PAYLOAD, GDB_ESCAPED, GDB_SUM_HIGH, GDB_SUM_LOW } state;
	uint8_t sum, sum_sent;        /* of the payload; as the client has it */
	bool too_long;
	size_t size;
	char packet[GDB_PACKET + 1];  /* unescaped, with a 0 behind it */
	struct text reply;            /* the payload of the answer being made */
	struct text sent;             /* the last packet, for a client that asks for it again */

	bool no_ack, swbreak, hwbreak; /* what the client has agreed to */
	bool physical;                /* m and M are guest-physical */
	bool waiting;                 /* it has let the guest go, and waits for the stop */
	bool ending;                  /* nothing more is heard from it */
	bool end_shown;               /* the stop stands for the end of the run */
	char stop[128];               /* the last stop, as `?` answers it */
	struct gdb_point point[GDB_POINTS_MAX];
	unsigned points;
};

/* ---- gdb.c ---------------------------------------------------------------------------------- */

/* The guest stops.  NULL: it has a debugger already, or there is no memory. */
struct gdb_session *gdb_session_new(struct scope *scope, void (*say)(void *user, const char *bytes, size_t count),
                                    void *user);
/* The guest goes on, without its breakpoints. */
void gdb_session_free(struct gdb_session *s);

/* ---- gdb_packet.c --------------------------------------------------------------------------- */

/* Bytes from the client, up to the end of the first packet among them, which is answered; returns how many. */
size_t gdb_hear(struct gdb_session *s, const char *bytes, size_t count);
/* Send s->reply, and make it empty. */
void gdb_send(struct gdb_session *s);
/* For replies. */
void gdb_add_hex(struct text *t, const void *bytes, size_t count);
/* Two digits a byte; false: there are not `count` of them. */
bool gdb_parse_hex(const char *text, void *bytes, size_t count);
/* A hexadecimal number of at most 32 bits, and what follows it.  false: there is none. */
bool gdb_parse_number(const char **at, uint32_t *value);
/* ... and this character, which is passed. */
bool gdb_parse_until(const char **at, char end, uint32_t *value);

/* ---- gdb_command.c -------------------------------------------------------------------------- */

/* s->packet has been received. */
void gdb_command(struct gdb_session *s);
void gdb_ok(struct gdb_session *s);
enum gdb_error { GDB_EINVAL = 0x16, GDB_EFAULT = 0x0E, GDB_ENOSPC = 0x1C };
void gdb_fail(struct gdb_session *s, enum gdb_error error);

/* ---- gdb_run.c ------------------------------------------------------------------------------ */

void gdb_resume(struct gdb_session *s);                 /* c, C, s, S */
void gdb_vcont(struct gdb_session *s);                  /* vCont;... */
void gdb_interrupt(struct gdb_session *s);              /* Ctrl-C */
void gdb_stopped(void *session, const struct vm_stop *stop);
void gdb_ended(struct gdb_session *s, enum vm_end end);   /* the run */
void gdb_point_command(struct gdb_session *s);          /* Z, z */
/* Breakpoints go, and so does the guest. */
void gdb_detach(struct gdb_session *s);

/* ---- gdb_register.c ------------------------------------------------------------------------- */

void gdb_read_registers(struct gdb_session *s);         /* g */
void gdb_write_registers(struct gdb_session *s);        /* G */
void gdb_read_register(struct gdb_session *s);          /* p */
void gdb_write_register(struct gdb_session *s);         /* P */
/* The target description. */
void gdb_describe_target(struct text *t);
/* "08:00101000;..." : what a debugger asks for first after a stop. */
void gdb_add_expedited(struct gdb_session *s, struct text *t);

#endif
