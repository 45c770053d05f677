/* SPDX-License-Identifier: MIT */
/*
 * scope/gdb_run.c - going on, stopping, and what makes the guest stop.
 *
 *   1. Stopping     the answer that a client waits for while the guest runs
 *   2. Going on     c, s, C, S, vCont, Ctrl-C, D
 *   3. Breakpoints  Z and z
 *
 * A guest that cannot go on (a triple fault, say) stops with SIGABRT and the reason as text, so that it can be looked
 * at.  Continued with that signal, as gdb does by itself, its run ends as it would have.
 */
#include <stdio.h>
#include <string.h>

#include "scope/gdb_internal.h"

/* ---- 1. Stopping ---------------------------------------------------------------------------- */

/* Which of the client's breakpoints is it that the guest has met?  NULL: of another time. */
static const struct gdb_point *met(const struct gdb_session *s, const struct cpu_breakpoint *b)
{
	for (unsigned k = 0; k < s->points; k++)
		if (s->point[k].breakpoint.kind == b->kind && s->point[k].breakpoint.linear == b->linear &&
		    s->point[k].breakpoint.bytes == b->bytes)
			return &s->point[k];
	return NULL;
}

/* Text for the user, while a client waits: cut to what a packet holds. */
static void say_text(struct gdb_session *s, const char *text)
{
	size_t size = strlen(text);
	text_add(&s->reply, "O");
	gdb_add_hex(&s->reply, text, size < GDB_PACKET / 2 - 1 ? size : GDB_PACKET / 2 - 1);
	gdb_send(s);
}

static void describe_stop(struct gdb_session *s, const struct vm_stop *stop)
{
	static const char *const watch[] = { [CPU_BREAK_WRITE] = "watch", [CPU_BREAK_READ] = "rwatch",
		                             [CPU_BREAK_ACCESS] = "awatch" };
	const struct gdb_point *p = met(s, &stop->at.breakpoint);
	unsigned signal_number = stop->reason == VM_STOP_PAUSED ? GDB_SIGINT :
	                         stop->reason == VM_STOP_END ? GDB_SIGABRT : GDB_SIGTRAP;
	int size = snprintf(s->stop, sizeof s->stop, "T%02xthread:1;", signal_number);
	char *end = s->stop + size;
	size_t room = sizeof s->stop - (size_t)size;
	if (stop->reason == VM_STOP_WATCHPOINT)
		snprintf(end, room, "%s:%x;", watch[stop->at.breakpoint.kind], stop->at.linear);
	else if (stop->reason == VM_STOP_BREAKPOINT && p && (p->type ? s->hwbreak : s->swbreak))
		snprintf(end, room, "%s:;", p->type ? "hwbreak" : "swbreak");
}

void gdb_stopped(void *session, const struct vm_stop *stop)
{
	struct gdb_session *s = session;
	if (!s->waiting && stop->reason == VM_STOP_PAUSED)
		return; /* its own doing, or a monitor's while it looks on */
	describe_stop(s, stop);
	s->end_shown = stop->reason == VM_STOP_END;
	if (!s->waiting)
		return;
	s->waiting = false;
	if (stop->why)
		say_text(s, stop->why);
	text_add(&s->reply, "%s", s->stop);
	gdb_add_expedited(s, &s->reply);
	gdb_send(s);
}

/* To who waits for a stop: an exit, or the signal that the end was shown with. */
void gdb_ended(struct gdb_session *s, enum vm_end end)
{
	if (!s->waiting)
		return;
	if (end == VM_SHUTDOWN || end == VM_STUCK || end == VM_KILLED || end == VM_CRASHED)
		text_add(&s->reply, "X%02x", GDB_SIGABRT);
	else
		text_add(&s->reply, "W%02x", (unsigned)(vm_exit_code(s->scope->vm) & 0xFF));
	s->waiting = false;
	gdb_send(s);
}

/* ---- 2. Going on ---------------------------------------------------------------------------- */

static void go(struct gdb_session *s, bool step, uint32_t signal_number)
{
	struct vm *vm = s->scope->vm;
	bool ends = s->end_shown && signal_number == GDB_SIGABRT;
	s->waiting = true;
	s->end_shown = false;
	if (ends)
		vm_let_end(vm);
	else if (step)
		vm_step(vm);
	else
		vm_pause(vm, false);
}

/* c[ADDRESS], s[ADDRESS], CSIGNAL[;ADDRESS], SSIGNAL[;ADDRESS] */
void gdb_resume(struct gdb_session *s)
{
	const char *at = s->packet + 1;
	uint32_t signal_number = 0, address;
	bool with_signal = s->packet[0] == 'C' || s->packet[0] == 'S';
	if (with_signal && !gdb_parse_number(&at, &signal_number)) {
		gdb_fail(s, GDB_EINVAL);
		gdb_send(s);
		return;
	}
	if (with_signal && *at == ';')
		at++;
	if (gdb_parse_number(&at, &address))
		cpu_set_eip(vm_cpu(s->scope->vm), address);
	go(s, s->packet[0] == 's' || s->packet[0] == 'S', signal_number);
}

/* vCont;ACTION[:THREAD]...: the first that is for thread 1 counts. */
void gdb_vcont(struct gdb_session *s)
{
	const char *at = s->packet + strlen("vCont");
	while (*at == ';') {
		char action = at[1];
		uint32_t signal_number = 0, thread = 1;
		bool fine = action && strchr("cCsS", action);
		at += fine ? 2 : 1;
		if (action == 'C' || action == 'S')
			fine = gdb_parse_number(&at, &signal_number);
		if (fine && strncmp(at, ":-1", 3) == 0)
			at += 3; /* all */
		else if (fine && *at == ':' && at++)
			fine = gdb_parse_number(&at, &thread);
		if (!fine || (*at && *at != ';'))
			break;
		if (thread <= 1) {
			go(s, action == 's' || action == 'S', signal_number);
			return;
		}
	}
	gdb_fail(s, GDB_EINVAL);
	gdb_send(s);
}

void gdb_interrupt(struct gdb_session *s)
{
	vm_pause(s->scope->vm, true);
}

void gdb_detach(struct gdb_session *s)
{
	struct vm *vm = s->scope->vm;
	bool ends = s->end_shown;
	vm_detach_debugger(vm, &s->debugger);
	s->ending = true;
	s->points = 0;
	s->end_shown = false;
	if (ends)
		vm_let_end(vm);
	else
		vm_pause(vm, false);
}

/* ---- 3. Breakpoints ------------------------------------------------------------------------- */

static bool same_breakpoint(const struct cpu_breakpoint *a, const struct cpu_breakpoint *b)
{
	return a->kind == b->kind && a->linear == b->linear && a->bytes == b->bytes;
}

static bool is_wanted(const struct gdb_session *s, const struct cpu_breakpoint *b)
{
	for (unsigned k = 0; k < s->points; k++)
		if (same_breakpoint(&s->point[k].breakpoint, b))
			return true;
	return false;
}

static struct gdb_point *find_point(struct gdb_session *s, const struct gdb_point *wanted)
{
	for (unsigned k = 0; k < s->points; k++)
		if (s->point[k].type == wanted->type &&
		    same_breakpoint(&s->point[k].breakpoint, &wanted->breakpoint))
			return &s->point[k];
	return NULL;
}

static void add_point(struct gdb_session *s, const struct gdb_point *p)
{
	if (!find_point(s, p)) {
		if (s->points == GDB_POINTS_MAX || !vm_add_breakpoint(s->scope->vm, &p->breakpoint)) {
			gdb_fail(s, GDB_ENOSPC);
			return;
		}
		s->point[s->points++] = *p;
	}
	gdb_ok(s);
}

static void remove_point(struct gdb_session *s, const struct gdb_point *p)
{
	struct gdb_point *found = find_point(s, p);
	if (found) {
		*found = s->point[--s->points];
		if (!is_wanted(s, &p->breakpoint))
			vm_remove_breakpoint(s->scope->vm, &p->breakpoint);
	}
	gdb_ok(s);
}

/* ZTYPE,ADDRESS,KIND: software ones too are the processor's, so that the guest's memory stays as it is. */
void gdb_point_command(struct gdb_session *s)
{
	static const enum cpu_break kinds[] = { CPU_BREAK_EXECUTE, CPU_BREAK_EXECUTE, CPU_BREAK_WRITE, CPU_BREAK_READ,
		                                CPU_BREAK_ACCESS };
	const char *at = s->packet + 1;
	struct gdb_point p = { 0 };
	uint32_t type, kind;
	if (!gdb_parse_until(&at, ',', &type) || !gdb_parse_until(&at, ',', &p.breakpoint.linear) ||
	    !gdb_parse_number(&at, &kind)) {
		gdb_fail(s, GDB_EINVAL);
		return;
	}
	if (type > 4)
		return; /* not supported: an empty answer */
	p.type = type;
	p.breakpoint.kind = kinds[type];
	p.breakpoint.bytes = type < 2 ? 1 : kind;
	if (!p.breakpoint.bytes)
		gdb_fail(s, GDB_EINVAL);
	else if (s->packet[0] == 'Z')
		add_point(s, &p);
	else
		remove_point(s, &p);
}
