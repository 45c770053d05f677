/* SPDX-License-Identifier: MIT */
/*
 * cpu/interrupt.c - delivery of exceptions, interrupts and INT n (SDM vol. 3, chapter 6; vol. 2, INT n).
 *
 *   1. Events        what is delivered, and the class that decides about double faults
 *   2. Real mode     the interrupt vector table
 *   3. Frames        what a gate pushes, on which stack
 *   4. Gates         protected and virtual-8086 mode
 *   5. The host      gates that lead to it; frames that it wants built
 *   6. Delivery      faults while delivering: double fault, shutdown
 *   7. INT n         the instruction's part
 *
 * A fault while delivering changes nothing of the processor, so that the next event is delivered from the
 * same state (a task gate's switch excepted: there the state is the new task's).
 */
#include <stdarg.h>
#include <stdio.h>

#include "cpu/fpu.h"
#include "cpu/system.h"

/* ---- 1. Events ------------------------------------------------------------------------------ */

struct event {
	unsigned vector;
	bool software;  /* INT n, INT3, INTO: the gate's DPL counts, error codes have EXT = 0 */
	bool external;  /* an interrupt: never part of a double fault */
	bool has_error;
	uint32_t error;
	bool has_eflags; /* a host says what is pushed (cpu_reflect) */
	uint32_t eflags;
};

enum { ERROR_EXT = 1, ERROR_IDT = 2 };

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

/* SDM vol. 3, table 6-4. */
static enum fault_class classify(const struct event *e)
{
	if (e->software || e->external)
		return BENIGN;
	switch (e->vector) {
	case EXC_DE:
	case EXC_TS:
	case EXC_NP:
	case EXC_SS:
	case EXC_GP:
		return CONTRIBUTORY;
	case EXC_PF:
		return PAGE_FAULT;
	case EXC_DF:
		return DOUBLE_FAULT;
	default:
		return BENIGN;
	}
}

/* Faults are restarted, so their frame says RF = 1; traps, interrupts and all debug exceptions keep RF as it
 * is (SDM vol. 3, 17.3.1.1). */
static uint32_t flags_image(const struct cpu *c, const struct event *e)
{
	static const uint32_t faults = 1u << EXC_DE | 1u << EXC_BR | 1u << EXC_UD | 1u << EXC_NM | 1u << EXC_TS |
		1u << EXC_NP | 1u << EXC_SS | 1u << EXC_GP | 1u << EXC_PF | 1u << EXC_MF | 1u << EXC_AC |
		1u << EXC_XM;
	if (e->has_eflags)
		return e->eflags;
	bool restarts = !e->software && !e->external && e->vector < 32 && (faults >> e->vector & 1);

	return get_eflags(c) | (restarts ? FL_RF : 0);
}

/* ---- 2. Real mode --------------------------------------------------------------------------- */

static bool deliver_real(struct cpu *c, const struct event *e)
{
	struct stack s = current_stack(c);
	uint32_t target, at = e->vector * 4;

	if (at + 3 > c->idtr.limit)
		return fault(c, EXC_GP, 0);
	if (!lin_read32(c, c->idtr.base + at, 0, &target))
		return false;
	if (!stack_room(&s, 3, 2))
		return fault(c, EXC_SS, 0);
	if (!stack_push(c, &s, 2, get_eflags(c)) || !stack_push(c, &s, 2, c->seg[CPU_CS].selector) ||
	    !stack_push(c, &s, 2, c->eip))
		return false;
	c->gpr[CPU_ESP] = stack_pointer(c, &s);
	c->eip = target & 0xFFFF;
	set_segment_real(c, CPU_CS, (uint16_t)(target >> 16));
	set_eflags(c, 0, FL_IF | FL_TF | FL_AC | FL_RF);
	return true;
}

/* ---- 3. Frames ------------------------------------------------------------------------------ */

/* EFLAGS, CS, EIP and the error code: the part that every frame has. */
static bool push_frame(struct cpu *c, struct stack *s, unsigned size, const struct event *e)
{
	return stack_push(c, s, size, flags_image(c, e)) && stack_push(c, s, size, c->seg[CPU_CS].selector) &&
	       stack_push(c, s, size, c->eip) && (!e->has_error || stack_push(c, s, size, e->error));
}

/* The stack of the inner ring `cpl`; its selector for #SS is s->ss.selector. */
static bool switch_stack(struct cpu *c, unsigned cpl, struct stack *s)
{
	struct cpu_segment ss;
	uint16_t selector;
	uint32_t esp;

	if (!read_inner_stack(c, cpl, &selector, &esp) || !check_stack_segment(c, selector, cpl, EXC_TS, &ss))
		return false;
	*s = other_stack(&ss, esp, cpl);
	return true;
}

/* What an interruption of virtual-8086 code saves first: the segments, which become null. */
static bool push_v86_segments(struct cpu *c, struct stack *s, unsigned size)
{
	static const uint8_t order[] = { CPU_GS, CPU_FS, CPU_DS, CPU_ES };

	for (unsigned n = 0; n < sizeof order; n++)
		if (!stack_push(c, s, size, c->seg[order[n]].selector))
			return false;
	return true;
}

/* ---- 4. Gates ------------------------------------------------------------------------------- */

struct gate {
	unsigned type, dpl;
	bool present;
	uint16_t selector;
	uint32_t offset;
};

static bool read_gate(struct cpu *c, const struct event *e, struct gate *g)
{
	uint32_t at = e->vector * 8, lo, hi, code = at | ERROR_IDT;
	uint64_t both;

	if (at + 7 > c->idtr.limit)
		return fault(c, EXC_GP, code);
	if (!sys_read64(c, c->idtr.base + at, &both))
		return false;
	lo = (uint32_t)both;
	hi = (uint32_t)(both >> 32);
	g->type = desc_type(hi);
	g->dpl = desc_dpl(hi);
	g->selector = (uint16_t)(lo >> 16);
	g->offset = (lo & 0xFFFF) | (g->type & SYS_32BIT ? hi & 0xFFFF0000 : 0);
	switch (g->type) {
	case SYS_TASK_GATE:
	case SYS_INT16:
	case SYS_TRAP16:
	case SYS_INT32:
	case SYS_TRAP32:
		break;
	default:
		return fault(c, EXC_GP, code);
	}
	if (e->software && g->dpl < c->cpl)
		return fault(c, EXC_GP, code);
	if (!desc_present(hi))
		return fault(c, EXC_NP, code);
	return true;
}

/* The handler's code segment, and the privilege that it will run with. */
static bool read_handler(struct cpu *c, const struct gate *g, uint32_t *lo, uint32_t *hi, unsigned *cpl)
{
	unsigned dpl;

	if (sel_null(g->selector))
		return fault(c, EXC_GP, 0);
	if (!read_descriptor(c, g->selector, lo, hi, EXC_GP))
		return false;
	dpl = desc_dpl(*hi);
	if (!desc_is_code(*hi) || dpl > c->cpl)
		return fault(c, EXC_GP, sel_error(g->selector));
	if (!desc_present(*hi))
		return fault(c, EXC_NP, sel_error(g->selector));
	*cpl = desc_is_conforming(*hi) ? c->cpl : dpl;
	/* Virtual-8086 code is interrupted by ring 0 only. */
	if (in_v86(c) && *cpl != 0)
		return fault(c, EXC_GP, sel_error(g->selector));
	return true;
}

static bool deliver_gate(struct cpu *c, const struct event *e, const struct gate *g)
{
	unsigned size = g->type & SYS_32BIT ? 4 : 2, items = 3 + e->has_error, cpl = 0;
	bool v86 = in_v86(c), interrupt = (g->type & ~(unsigned)SYS_32BIT) == SYS_INT16, inner;
	uint32_t lo = 0, hi = 0;
	struct stack s;

	if (!read_handler(c, g, &lo, &hi, &cpl))
		return false;
	inner = cpl < c->cpl;
	if (!inner)
		s = current_stack(c);
	else if (!switch_stack(c, cpl, &s))
		return false;
	if (!stack_room(&s, items + (inner ? 2 : 0) + (v86 ? 4 : 0), size))
		return fault(c, EXC_SS, inner ? sel_error(s.ss.selector) : 0);
	if (g->offset > unpack_descriptor(g->selector, lo, hi).limit)
		return fault(c, EXC_GP, 0);
	if (!write_accessed(c, g->selector, &hi))
		return false;
	if (v86 && !push_v86_segments(c, &s, size))
		return false;
	if (inner && (!stack_push(c, &s, size, c->seg[CPU_SS].selector) ||
	              !stack_push(c, &s, size, c->gpr[CPU_ESP])))
		return false;
	if (!push_frame(c, &s, size, e))
		return false;
	c->gpr[CPU_ESP] = stack_pointer(c, &s);
	if (inner)
		c->seg[CPU_SS] = s.ss;
	if (v86)
		for (unsigned n = 0; n < 6; n++)
			if (n != CPU_SS && n != CPU_CS)
				c->seg[n] = (struct cpu_segment){ .selector = 0 };
	load_cs(c, g->selector, lo, hi, cpl);
	c->eip = g->offset;
	set_eflags(c, 0, FL_TF | FL_NT | FL_RF | FL_VM | (interrupt ? FL_IF : 0u)); /* VM: looks at all segments */
	ring_changed(c);
	return true;
}

/* ---- 5. The host ---------------------------------------------------------------------------- */

/* false with c->exc.vector < 0 and c->exit: the event is put off. */
static bool call_host(struct cpu *c, const struct event *e)
{
	const struct cpu_event event = {
		.vector = e->vector,
		.software = e->software,
		.external = e->external,
		.has_error = e->has_error,
		.error = e->error,
		.eflags = flags_image(c, e),
	};

	fpu_leave(c);
	switch (c->bus.trap(c->bus.user, c, &event)) {
	case CPU_TRAP_RESUME:
		break;
	case CPU_TRAP_LEAVE:
		c->exit = CPU_EXIT_HOST;
		c->events |= EV_EXIT;
		break;
	case CPU_TRAP_AGAIN:
		return false;
	}
	return true;
}

bool cpu_reflect(struct cpu *c, uint16_t selector, uint32_t offset, struct cpu_event *event,
                 enum cpu_refusal *why)
{
	const struct gate gate = { .type = SYS_TRAP32, .present = true, .selector = selector, .offset = offset };
	const struct event e = {
		.vector = event->vector,
		.software = event->software,
		.external = event->external,
		.has_error = event->has_error,
		.error = event->error,
		.has_eflags = true,
		.eflags = event->eflags,
	};

	c->exc.vector = -1;
	if (!deliver_gate(c, &e, &gate)) {
		*why = c->exc.vector >= 0          ? CPU_REFUSED_FAULT
		       : c->exit == CPU_EXIT_NOMEM ? CPU_REFUSED_NOMEM
		                                   : CPU_REFUSED_STOP;
		if (*why == CPU_REFUSED_FAULT)
			event->vector = (unsigned)c->exc.vector;
		c->exc.vector = -1;
		return false;
	}
	c->halted = c->inhibit = c->inhibit_debug = false;
	return true;
}

static bool deliver_protected(struct cpu *c, const struct event *e)
{
	struct gate g = { 0 };

	if (!read_gate(c, e, &g))
		return false;
	if (unlikely(c->host_code && g.selector == c->host_code))
		return call_host(c, e);
	if (g.type != SYS_TASK_GATE)
		return deliver_gate(c, e, &g);
	c->flags = (c->flags & ~(uint32_t)FL_RF) | (flags_image(c, e) & FL_RF); /* the old TSS gets it */
	return switch_task(c, g.selector, TASK_GATE, c->eip, e->has_error, e->error);
}

/* ---- 6. Delivery ---------------------------------------------------------------------------- */

/* Benign exceptions may follow each other without end (an alignment check whose handler's stack is not
 * aligned): real processors hang there; this one shuts down. */
#define MAX_FAULTS_IN_A_ROW 16u

static const char *vector_name(unsigned vector)
{
	static const char *const names[] = { "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF",
	                                     "coprocessor overrun", "#TS", "#NP", "#SS", "#GP", "#PF",
	                                     "exception 15", "#MF", "#AC", "#MC", "#XM" };

	return vector < sizeof names / sizeof *names ? names[vector] : "interrupt";
}

/* One more step of the story that ends in a shutdown. */
static __attribute__((format(printf, 2, 3))) void tell(struct cpu *c, const char *format, ...)
{
	size_t at = strnlen(c->last_words, sizeof c->last_words - 1);
	va_list args;

	va_start(args, format);
	vsnprintf(c->last_words + at, sizeof c->last_words - at, format, args);
	va_end(args);
}

static void tell_event(struct cpu *c, const struct event *e)
{
	if (e->vector < 32 && !e->external && !e->software)
		tell(c, "%s", vector_name(e->vector));
	else
		tell(c, "%s %#x", e->software ? "int" : "interrupt", e->vector);
	if (e->has_error)
		tell(c, " error 0x%x", e->error);
	if (classify(e) == PAGE_FAULT)
		tell(c, " address %08x", c->cr2);
}

static bool deliver_once(struct cpu *c, const struct event *e)
{
	if (c->trace.interrupt) {
		fpu_leave(c);
		c->trace.interrupt(c->trace.user, c, e->vector, e->software, e->has_error, e->error);
	}
	c->exc.vector = -1;
	if (c->cr0 & CR0_PE ? !deliver_protected(c, e) : !deliver_real(c, e))
		return false;
	if (e->vector == EXC_DB)
		c->dr[7] &= ~(uint32_t)DR7_GD;
	return true;
}

/* The exception that delivering `e` met, taken together with it (SDM vol. 3, table 6-5).  false: shutdown. */
static bool combine(struct cpu *c, struct event *e)
{
	static const uint32_t ext_vectors = 1u << EXC_TS | 1u << EXC_NP | 1u << EXC_SS | 1u << EXC_GP;
	struct event second = {
		.vector = (unsigned)c->exc.vector,
		.software = c->exc.software,
		.has_error = c->exc.has_error,
		.error = c->exc.error,
	};
	enum fault_class was = classify(e), is = classify(&second);

	if (!e->software && second.vector < 32 && (ext_vectors >> second.vector & 1))
		second.error |= ERROR_EXT;
	tell(c, "; delivering it, ");
	tell_event(c, &second);
	if (was == DOUBLE_FAULT && is != BENIGN)
		return false;
	if ((was == CONTRIBUTORY && is == CONTRIBUTORY) || (was == PAGE_FAULT && is != BENIGN)) {
		second = (struct event){ .vector = EXC_DF, .has_error = true };
		tell(c, ": a double fault, #DF");
	}
	*e = second;
	return true;
}

/* The host had no memory for the shadow, or the shadow stopped: the event waits for the next cpu_run(). */
static void put_off(struct cpu *c, const struct event *e)
{
	c->undelivered.vector = (int)e->vector;
	c->undelivered.software = e->software;
	c->undelivered.external = e->external;
	c->undelivered.has_error = e->has_error;
	c->undelivered.error = e->error;
	c->events |= EV_EXIT;
}

static bool deliver(struct cpu *c, struct event e)
{
	bool real = !(c->cr0 & CR0_PE);
	uint16_t task = c->tr.selector;

	c->halted = false;
	c->inhibit = false;
	for (unsigned n = 0; n < MAX_FAULTS_IN_A_ROW; n++) {
		if (real)
			e.has_error = false; /* SDM vol. 3, 21.1.4 */
		c->is_int = e.software;
		bool delivered = deliver_once(c, &e);
		c->is_int = false;
		if (likely(delivered))
			return true;
		if (c->exc.vector < 0) {
			put_off(c, &e);
			return true;
		}
		if (n == 0) {
			c->last_words[0] = 0;
			tell(c, "at %04x:%08x ", c->seg[CPU_CS].selector, c->eip);
			tell_event(c, &e);
		}
		/* INT n itself faults and may be restarted - unless its task is no longer the one that runs. */
		if (e.software && c->tr.selector == task)
			c->eip = c->int_eip;
		if (!combine(c, &e))
			return false;
	}
	tell(c, "; and so on");
	return false;
}

bool deliver_exception(struct cpu *c)
{
	struct event e = {
		.vector = (unsigned)c->exc.vector,
		.software = c->exc.software,
		.has_error = c->exc.has_error,
		.error = c->exc.error,
	};

	return deliver(c, e);
}

bool deliver_external(struct cpu *c, unsigned vector)
{
	return deliver(c, (struct event){ .vector = vector, .external = true });
}

bool deliver_undelivered(struct cpu *c)
{
	struct event e = {
		.vector = (unsigned)c->undelivered.vector,
		.software = c->undelivered.software,
		.external = c->undelivered.external,
		.has_error = c->undelivered.has_error,
		.error = c->undelivered.error,
	};

	c->undelivered.vector = -1;
	return deliver(c, e);
}

/* ---- 7. INT n ------------------------------------------------------------------------------- */

enum run software_interrupt(struct cpu *c, const struct insn *i, unsigned vector)
{
	c->exc.vector = (int)vector;
	c->exc.has_error = false;
	c->exc.software = true;
	c->exc.error = 0;
	c->int_eip = insn_eip(c, i);
	c->eip = next_eip(c, i);
	c->budget -= i->count;
	return RUN_FAULT;
}

/* The hypercall has been carried out; it may have changed any register, eip included. */
static enum run end_hypercall(struct cpu *c, const struct insn *i)
{
	c->budget -= i->count;
	return RUN_BLOCK;
}

/* INT n may be a call to the host; in virtual-8086 mode it needs IOPL 3 (SDM vol. 3, 20.3). */
enum run op_int(struct cpu *c, const struct insn *i)
{
	unsigned vector = i->imm & 0xFF;

	if (in_v86(c) && io_privilege(c) < 3)
		return raise_error(c, i, EXC_GP, 0);
	if (c->bus.software_int) {
		c->eip = next_eip(c, i);
		fpu_leave(c);
		if (c->bus.software_int(c->bus.user, c, vector))
			return end_hypercall(c, i);
	}
	return software_interrupt(c, i, vector);
}

enum run op_int3(struct cpu *c, const struct insn *i) { return software_interrupt(c, i, EXC_BP); }

/* INT1: a debug exception like hardware's: no DPL check, DR6 untouched (SDM vol. 2, INT n). */
enum run op_int1(struct cpu *c, const struct insn *i)
{
	(void)software_interrupt(c, i, EXC_DB);
	c->exc.software = false;
	return RUN_FAULT;
}

/* VMCALL, VMMCALL. */
enum { HYPERCALL_VECTOR = 0x100 };
enum run op_hypercall(struct cpu *c, const struct insn *i)
{
	c->eip = next_eip(c, i);
	fpu_leave(c);
	if (c->bus.software_int && c->bus.software_int(c->bus.user, c, HYPERCALL_VECTOR))
		return end_hypercall(c, i);
	return raise(c, i, EXC_UD);
}
