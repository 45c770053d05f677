/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/trap.c - what meets our gates: hypercalls, and exceptions that go to the guest's own handlers.
 *
 *   1. The save area   registers as the original's entry code left them
 *   2. Reflecting      a frame as the guest's gate asks for it
 *   3. Disposition     what becomes of each vector
 *   4. lguest_trap
 */
#include "guest/lguest/internal.h"

/* ---- 1. The save area ----------------------------------------------------------------------- */

static void save_registers(uint32_t *save, const struct cpu_regs *r, const struct cpu_event *event)
{
	save[SAVE_EAX] = r->gpr[CPU_EAX];
	save[SAVE_EBX] = r->gpr[CPU_EBX];
	save[SAVE_ECX] = r->gpr[CPU_ECX];
	save[SAVE_EDX] = r->gpr[CPU_EDX];
	save[SAVE_ESI] = r->gpr[CPU_ESI];
	save[SAVE_EDI] = r->gpr[CPU_EDI];
	save[SAVE_EBP] = r->gpr[CPU_EBP];
	save[SAVE_GS] = r->selector[CPU_GS];
	save[SAVE_FS] = r->selector[CPU_FS];
	save[SAVE_DS] = r->selector[CPU_DS];
	save[SAVE_ES] = r->selector[CPU_ES];
	save[SAVE_TRAP] = event->vector;
	save[SAVE_ERROR] = event->error;
	save[SAVE_EIP] = r->eip;
	save[SAVE_CS] = r->selector[CPU_CS];
	save[SAVE_EFLAGS] = event->eflags;
	save[SAVE_ESP] = r->gpr[CPU_ESP];
	save[SAVE_SS] = r->selector[CPU_SS];
}

/* ---- 2. Reflecting -------------------------------------------------------------------------- */

/* The guest's stack cannot take the frame. */
static enum reflected refused(struct lguest *lg, const struct cpu_event *event, enum cpu_refusal why)
{
	if (why == CPU_REFUSED_NOMEM)
		return REFLECT_LATER;
	if (why == CPU_REFUSED_STOP)
		lguest_core_stopped(lg);
	else if (event->vector == TRAP_PF)
		lguest_kill(lg, "Bad address %#x: the stack for a trap's frame", cpu_get_cr2(lg->world.cpu));
	else
		lguest_kill(lg, "unhandled trap %u: no frame can be built for a handler at %#x (trap %u)",
		            TRAP_SEGMENTS, KERNEL_CS, event->vector);
	return REFLECT_KILLED;
}

/* EFLAGS in the frame have the virtual interrupt flag; an interrupt gate clears that, and leaves the real one
 * alone.  From user mode the frame is on the stack of SET_STACK, else on the current one. */
enum reflected lguest_reflect(struct lguest *lg, const struct cpu_event *event)
{
	const uint32_t *gate = lg->gate[event->vector % IDT_ENTRIES];
	struct cpu_event frame = *event;
	enum cpu_refusal why;

	if (!gate[1])
		return REFLECT_NO_GATE;
	frame.eflags &= ~VIRTUAL_IF;
	frame.eflags |= lguest_get(lg, DATA_IRQ_ENABLED) & VIRTUAL_IF;
	if (!cpu_reflect(lg->world.cpu, KERNEL_CS, (gate[0] & 0xFFFF) | (gate[1] & 0xFFFF0000u), &frame, &why))
		return refused(lg, &frame, why);
	if ((gate[1] >> 8 & 0xF) == GATE_INTERRUPT)
		lguest_set(lg, DATA_IRQ_ENABLED, 0);
	return REFLECTED;
}

/* ---- 3. Disposition ------------------------------------------------------------------------- */

static enum cpu_trap reflect_trap(struct lguest *lg, const struct cpu_event *event)
{
	bool page_fault = event->vector == TRAP_PF && !event->software;
	uint32_t detail = page_fault ? cpu_get_cr2(lg->world.cpu) : event->error;

	if (lg->initialised && page_fault)
		lguest_set(lg, DATA_CR2, detail);
	switch (lguest_reflect(lg, event)) {
	case REFLECTED:
		lg->stats.reflected++;
		break;
	case REFLECT_NO_GATE:
		lguest_kill(lg, "unhandled trap %u at %#x (%#x)", event->vector, lg->save[SAVE_EIP], detail);
		break;
	case REFLECT_LATER:
		return CPU_TRAP_AGAIN;
	case REFLECT_KILLED:
		break;
	}
	return CPU_TRAP_RESUME;
}

/* While the guest lives 1:1 there is nothing above its limit. */
static enum cpu_trap page_fault(struct lguest *lg, const struct cpu_event *event)
{
	if (lg->flat && !event->software) {
		lguest_beyond_limit(lg, cpu_get_cr2(lg->world.cpu));
		return CPU_TRAP_RESUME;
	}
	return reflect_trap(lg, event);
}

static enum cpu_trap dispose(struct lguest *lg, const struct cpu_event *event, struct cpu_regs *regs)
{
	bool kernel = (regs->selector[CPU_SS] & 3) == KERNEL_RING;

	switch (event->vector) {
	case HYPERCALL_VECTOR: /* the gate is ring 1's: another cannot get here */
		lguest_direct_call(lg, false);
		return CPU_TRAP_RESUME;
	case TRAP_PF:
		return page_fault(lg, event);
	case TRAP_GP:
		if (kernel && !event->software && !event->error && lguest_emulate(lg, regs) == EMULATED)
			return CPU_TRAP_RESUME;
		break;
	case TRAP_NM:
		if (!lg->ts) /* INT 7 */
			return CPU_TRAP_RESUME;
		break;
	case TRAP_UD:
		if (kernel && !event->software && lg->f->vmcall && lguest_is_vmcall(lg, regs)) {
			cpu_set_eip(lg->world.cpu, regs->eip + 3);
			lguest_direct_call(lg, true);
			return CPU_TRAP_RESUME;
		}
		break;
	default:
		break;
	}
	return reflect_trap(lg, event);
}

/* ---- 4. lguest_trap ------------------------------------------------------------------------- */

enum cpu_trap lguest_trap(void *user, struct cpu *cpu, const struct cpu_event *event)
{
	struct lguest *lg = user;
	struct cpu_regs regs;
	enum cpu_trap result;

	if (lg->end != LGUEST_RUNS)
		return CPU_TRAP_LEAVE;
	cpu_get_regs(cpu, &regs);
	save_registers(lg->save, &regs, event);
	result = dispose(lg, event, &regs);
	if (lg->end != LGUEST_RUNS)
		return CPU_TRAP_LEAVE;
	if (result == CPU_TRAP_AGAIN)
		return result;
	if (lg->initialised && !lg->world.tsc_khz)
		lguest_update_time(lg); /* its only clock */
	if (lg->segments_stale)
		lguest_reload_segments(lg);
	if (lg->pending)
		lguest_inject(lg);
	return lg->end == LGUEST_RUNS ? CPU_TRAP_RESUME : CPU_TRAP_LEAVE;
}
