/* SPDX-License-Identifier: MIT */
/*
 * guest/lguest/interrupt.c - interrupts, the timer, the clock, HALT.
 *
 *   1. Asking      what waits, and whether the guest would take it
 *   2. Injection   before the guest runs on
 *   3. The timer   one shot, on the guest's own clock
 *   4. Calls       SET_CLOCKEVENT, HALT, SEND_INTERRUPTS
 *   5. Between two slices
 *
 * The virtual interrupt flag is bit 9 of irq_enabled and nothing else of it: the guest's way back from an
 * interrupt stores a whole EFLAGS there.
 */
#include "guest/lguest/internal.h"

/* ---- 1. Asking ------------------------------------------------------------------------------ */

static uint32_t candidates(const struct lguest *lg)
{
	return lg->initialised ? lg->pending & ~lguest_get(lg, DATA_BLOCKED) : 0;
}

bool lguest_may_interrupt(const struct lguest *lg) { return candidates(lg) != 0; }

/* The guest restores its flags and returns here: between the two it must not be met. */
static bool is_protected(const struct lguest *lg, uint32_t eip)
{
	if (lg->f->noirq_iret)
		return eip == lg->noirq_iret;
	return eip >= lg->noirq_start && eip < lg->noirq_end;
}

/* The guest asks for interrupts (SEND_INTERRUPTS) when it finds this set: it must be cleared as soon as nothing
 * waits, or each of its flag restores would be a call. */
static void set_irq_pending(struct lguest *lg, bool on)
{
	if (lg->f->irq_pending)
		lguest_set(lg, lg->f->irq_pending, on ? VIRTUAL_IF : 0);
}

/* ---- 2. Injection --------------------------------------------------------------------------- */

void lguest_update_time(struct lguest *lg)
{
	uint32_t seconds = 0, nanoseconds = 0;

	if (lg->world.wall)
		lg->world.wall(lg->world.user, &seconds, &nanoseconds);
	lguest_set(lg, DATA_SECONDS, seconds);
	lguest_set(lg, DATA_NANOSECONDS, nanoseconds);
}

/* Can it be interrupted where it stands?  A halted guest is woken. */
static bool is_ready(struct lguest *lg)
{
	struct cpu_regs regs;

	cpu_get_regs(lg->world.cpu, &regs);
	if (regs.busy || is_protected(lg, regs.eip))
		return false;
	if (regs.halted) {
		lguest_set(lg, DATA_IRQ_ENABLED, VIRTUAL_IF);
		cpu_set_halted(lg->world.cpu, false);
	} else if (!(lguest_get(lg, DATA_IRQ_ENABLED) & VIRTUAL_IF)) {
		set_irq_pending(lg, true);
		return false;
	}
	return true;
}

static void inject(struct lguest *lg, unsigned irq)
{
	struct cpu_event event = { .vector = IRQ_VECTOR + irq, .external = true };
	struct cpu_regs regs;

	cpu_get_regs(lg->world.cpu, &regs);
	event.eflags = regs.eflags;
	switch (lguest_reflect(lg, &event)) {
	case REFLECTED:
		lg->pending &= ~(1u << irq);
		lg->stats.interrupts++;
		lguest_update_time(lg);
		if (!candidates(lg))
			set_irq_pending(lg, false);
		break;
	case REFLECT_LATER:
		lg->waiting = true;
		break;
	case REFLECT_NO_GATE: /* stays pending: a gate comes by a call */
	case REFLECT_KILLED:
		break;
	}
}

void lguest_inject(struct lguest *lg)
{
	uint32_t ready = candidates(lg);

	lg->waiting = false;
	if (!ready) {
		if (lg->initialised)
			set_irq_pending(lg, false);
		return;
	}
	if (is_ready(lg))
		inject(lg, (unsigned)__builtin_ctz(ready));
	else
		lg->waiting = true;
}

void lguest_raise(struct lguest *lg, unsigned irq)
{
	if (irq < IRQS)
		lg->pending |= 1u << irq;
}

/* ---- 3. The timer --------------------------------------------------------------------------- */

static void check_alarm(struct lguest *lg)
{
	if (lg->alarm == UINT64_MAX || lg->world.now(lg->world.user) < lg->alarm)
		return;
	lg->alarm = UINT64_MAX;
	lg->pending |= 1u; /* IRQ 0 */
}

uint64_t lguest_deadline(const struct lguest *lg) { return lg->alarm; }

/* ---- 4. Calls ------------------------------------------------------------------------------- */

void lguest_call_clock(struct lguest *lg, const uint32_t arg[4])
{
	lg->alarm = arg[0] ? lg->world.now(lg->world.user) + arg[0] : UINT64_MAX;
}

/* Whatever irq_enabled says: the idle loop calls it with interrupts off. */
void lguest_call_halt(struct lguest *lg, const uint32_t arg[4])
{
	(void)arg;
	cpu_set_halted(lg->world.cpu, true);
}

/* Injection follows every trap. */
void lguest_call_send(struct lguest *lg, const uint32_t arg[4])
{
	(void)arg;
	if (lguest_may_interrupt(lg))
		return;
	lg->stats.needless_sends++;
	set_irq_pending(lg, false);
}

/* ---- 5. Between two slices ------------------------------------------------------------------ */

void lguest_poll(struct lguest *lg)
{
	if (lg->end != LGUEST_RUNS)
		return;
	check_alarm(lg);
	if (!lg->initialised)
		return;
	if (lg->segments_stale)
		lguest_reload_segments(lg);
	if (!lg->world.tsc_khz)
		lguest_update_time(lg);
	if (lg->pending && lg->end == LGUEST_RUNS)
		lguest_inject(lg);
}

bool lguest_is_waiting(const struct lguest *lg) { return lg->waiting && lg->end == LGUEST_RUNS; }

bool lguest_interrupts_off(const struct lguest *lg)
{
	struct cpu_regs regs;

	if (!lg->initialised) /* none is delivered before, and nothing wakes it */
		return true;
	if (lguest_get(lg, DATA_IRQ_ENABLED) & VIRTUAL_IF)
		return false;
	cpu_get_regs(lg->world.cpu, &regs);
	return !regs.halted;
}
